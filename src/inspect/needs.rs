//! What a rule cannot judge without, and why a cluster does not have it: a rule that cannot look says so, and never that all is well.

use super::{RuleInfo, age};
use crate::model::asked::Part;
use crate::model::{Kind, KindState, Object, Service, ServiceState, SignalState};
use crate::store::Cluster;

/// What a rule needs besides the objects that it judges.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// Objects of another kind.
    Kind(Kind),
    /// The same of a kind that nobody writes: where manifests are judged, the templates and selectors that it comes from are enough.
    Made(Kind),
    /// How it goes with what it judges, which no manifest says.
    Running,
    /// A service that answers.
    Service(Service),
    /// What this query of the Prometheus measures.
    Query(&'static str),
    /// What the API server tells when it is asked.
    Asked(Part),
    /// More than one look at the members of etcd: what they count from the beginning says nothing of when.
    EtcdWatched,
    /// Something that proves snapshots of etcd.
    EtcdSnapshots,
}

impl Need {
    /// `nodes`, `prometheus`, `prometheus: the query cpu-throttled`.
    pub fn words(&self) -> String {
        match self {
            Self::Kind(kind) | Self::Made(kind) => kind.plural().to_owned(),
            Self::Running => "a cluster: what runs is judged".to_owned(),
            Self::Service(service) => service.name().to_owned(),
            Self::Asked(part) => part.words().to_owned(),
            Self::EtcdWatched => "etcd, looked at for a while".to_owned(),
            Self::EtcdSnapshots => "a directory of snapshots of etcd, CronJobs that take them, or our own".to_owned(),
            Self::Query(name) => format!("{}: the query {name}", Service::Prometheus.name()),
        }
    }
}

/// Seconds that etcd is watched for before nothing seen is nothing that was.
const WATCHED: i64 = 60;

/// Whether there is anything that could prove a snapshot of etcd.
fn proven(cluster: &Cluster) -> bool {
    let taken = |o: &Object| matches!(o, Object::EtcdMember(m) if m.snapshot.is_some());
    cluster.info.snapshots.is_some() || cluster.info.snapshot_jobs.is_some() || cluster.objects(Kind::EtcdMember).any(taken)
}

/// Why a rule judges nothing in a cluster: `no Prometheus`, `no right to list nodes`. None where it does.
pub fn not_evaluated(rule: &RuleInfo, cluster: &Cluster) -> Option<String> {
    // It judges the connection itself.
    if rule.kinds.is_empty() && rule.needs.is_empty() {
        return None;
    }
    // Of several kinds one is enough: the others are other clusters'.
    let kinds: Vec<Option<String>> = rule.kinds.iter().map(|k| kind(cluster, *k)).collect();
    if !kinds.is_empty() && kinds.iter().all(Option::is_some) {
        return kinds.into_iter().next().flatten();
    }
    rule.needs.iter().find_map(|need| match need {
        Need::Kind(k) | Need::Made(k) => kind(cluster, *k),
        Need::Running => None,
        Need::Service(s) => service(cluster, *s),
        Need::Asked(part) => cluster.asked.lacks(*part).map(ToString::to_string),
        Need::EtcdWatched => (cluster.elections.seen_for() < WATCHED).then(|| format!("etcd has not been watched for {}", age(WATCHED))),
        Need::EtcdSnapshots => (!proven(cluster))
            .then(|| "no proof of snapshots is configured ([clusters.CONTEXT.etcd] snapshots or snapshot_jobs)".to_owned()),
        Need::Query(name) => service(cluster, Service::Prometheus).or_else(|| query(cluster, name)),
    })
}

fn kind(cluster: &Cluster, kind: Kind) -> Option<String> {
    if let Some(told) = kind.service() {
        return service(cluster, told);
    }
    match cluster.kind_state(kind) {
        KindState::Live => None,
        KindState::Waiting | KindState::Listing => Some(format!("{} are not read yet", kind.plural())),
        KindState::Forbidden { missing } => Some(format!("no right to {missing}")),
        KindState::Missing => Some(format!("no {}", kind.plural())),
        KindState::Failing { reason } => Some(format!("no {}: {reason}", kind.plural())),
    }
}

fn service(cluster: &Cluster, service: Service) -> Option<String> {
    let name = service.name();
    match &cluster.service(service).state {
        ServiceState::Live => None,
        ServiceState::Waiting => Some(format!("{name} has not answered yet")),
        ServiceState::Absent { .. } => Some(format!("no {name}")),
        state => Some(format!("no {name}: {}", state.reason().map_or(state.word(), |r| &**r))),
    }
}

fn query(cluster: &Cluster, name: &str) -> Option<String> {
    let of_it = |o: &&Object| matches!(o, Object::Signal(s) if *s.meta.name == *name);
    let Some(Object::Signal(signal)) = cluster.objects(Kind::Signal).find(of_it) else {
        return Some(format!("no answer to the query {name} yet"));
    };
    match signal.state {
        SignalState::NoData => {
            let what = signal.why.as_deref().unwrap_or(name);
            Some(format!("no {}", what.strip_prefix("there is no ").unwrap_or(what)))
        }
        SignalState::Failing => Some(format!("the query {name} is refused: {}", signal.why.as_deref().unwrap_or("no reason given"))),
        SignalState::Ok | SignalState::Warning | SignalState::Critical | SignalState::Nothing => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{RULES, fixture::Fleet};
    use crate::model::Delta;

    #[test]
    fn a_rule_says_what_it_has_not() {
        let rule = |id: &str| RULES.iter().copied().find(|r| r.id == id).unwrap();
        let mut fleet = Fleet::default();
        let why = |fleet: &Fleet, id: &str| not_evaluated(rule(id), &fleet.store.clusters()[0]);
        assert_eq!(why(&fleet, "node-not-ready").as_deref(), Some("nodes are not read yet"));
        fleet.delta(0, Delta::KindState(Kind::Node, KindState::Forbidden { missing: "list nodes".into() }));
        assert_eq!(why(&fleet, "node-not-ready").as_deref(), Some("no right to list nodes"));
        fleet.delta(0, Delta::KindState(Kind::Node, KindState::Live));
        assert_eq!(why(&fleet, "node-not-ready"), None);
        assert_eq!(why(&fleet, "alert-critical").as_deref(), Some("no alertmanager"));
        assert_eq!(why(&fleet, "cluster-unreachable"), None, "it judges the connection itself");
        // Of several kinds one is enough.
        fleet.delta(0, Delta::KindState(Kind::Deployment, KindState::Live));
        assert_eq!(why(&fleet, "replicas-unavailable"), None);
    }

    #[test]
    fn a_query_that_measures_nothing_is_named() {
        let cluster = |state| {
            let mut fleet = Fleet::default();
            let query = crate::model::signal::tests::query("cpu-throttled");
            let signal = crate::model::Signal::without(&query, state, Some("there is no container_cpu_cfs_periods_total".into()));
            crate::inspect::fixture::told(&mut fleet, Service::Prometheus, ServiceState::Live, vec![Object::Signal(signal.into())]);
            fleet
        };
        let why = |fleet: &Fleet| query(&fleet.store.clusters()[0], "cpu-throttled");
        assert_eq!(why(&cluster(SignalState::NoData)).as_deref(), Some("no container_cpu_cfs_periods_total"));
        assert_eq!(why(&cluster(SignalState::Nothing)), None, "asked, and there is nothing of the kind");
        assert!(query(&Fleet::default().store.clusters()[0], "x").is_some());
        assert_eq!(service(&Fleet::default().store.clusters()[0], Service::Prometheus).as_deref(), Some("no prometheus"));
    }
}
