//! An etcd of which no snapshot is young.
//!
//! Proof is a snapshot of ours (by the audit log, or by name in the configured directory), or a CronJob that succeeded and has the labels that
//! `snapshot_jobs` names. Where nothing of this is there or configured nothing is judged. Left out: the size, the hash and the place of a snapshot
//! that others took (not told by a CronJob); a directory that cannot be read is one without snapshots.

use super::later;
use crate::inspect::quorum::members;
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict, age, title};
use crate::model::{EtcdMember, Kind, Object, Time, VerbId, Workload, WorkloadDetail};

/// Seconds between two looks while it burns.
const AGAIN: i64 = 60;

const WARNING: Threshold = Threshold { name: "warning", default: "24h", doc: "how old the newest snapshot may be" };
const CRITICAL: Threshold = Threshold { name: "critical", default: "72h", doc: "the same, before it is critical" };

pub static RULE: RuleInfo = RuleInfo {
    id: "etcd-backup-stale",
    area: "backup",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "etcd of a cluster",
    summary: "The newest snapshot of etcd that is proven is a day old (warning), three days, or there is none (critical)",
    why: "Losing quorum permanently without a recent snapshot means rebuilding the cluster.",
    kinds: &[],
    needs: &[Need::EtcdSnapshots],
    leans_on: &[],
    thresholds: &[WARNING, CRITICAL],
    peers: &[],
    links: &[
        "https://kubernetes.io/docs/tasks/administer-cluster/configure-upgrade-etcd/",
        "https://etcd.io/docs/latest/op-guide/recovery/#snapshotting-the-keyspace",
    ],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let cluster = judge.cluster;
    let met: Vec<&EtcdMember> = members(cluster).filter(|m| m.second_hand.is_none()).collect();
    let ours = met.iter().filter_map(|m| m.snapshot).max();
    let kept = !met.is_empty() && (cluster.info.snapshots.is_some() || ours.is_some());
    let jobs = cluster.info.snapshot_jobs.as_ref().filter(|_| cluster.current(Kind::CronJob));
    if !kept && jobs.is_none() {
        // Where a proof would be is not seen.
        return Verdict::Fine;
    }
    let of = |o: &'_ Object| if let Object::Workload(w) = o { Some(w.clone()) } else { None };
    let all = jobs.into_iter().flat_map(|(namespace, labels)| {
        let fits = move |w: &std::sync::Arc<Workload>| w.meta.namespace == *namespace && labels.matches(&w.meta.labels);
        cluster.objects(Kind::CronJob).filter_map(of).filter(fits)
    });
    let all: Vec<std::sync::Arc<Workload>> = all.collect();
    let best = all.iter().max_by_key(|w| succeeded(w));
    let theirs = best.and_then(|w| succeeded(w));
    let newest = ours.max(theirs);
    let old = newest.map(|at| at.age(judge.now));
    let (warning, critical) = (judge.value(&WARNING), judge.value(&CRITICAL));
    let severity = match old {
        Some(old) if old < warning => return newest.map_or(Verdict::Fine, |at| Verdict::FineUntil(at.secs() + warning)),
        Some(old) if old < critical => Severity::Warning,
        _ => Severity::Critical,
    };
    let message =
        old.map_or_else(|| "no snapshot of etcd is proven".to_owned(), |old| format!("the newest snapshot of etcd is {} old", age(old)));
    let told = |at: Option<Time>| at.map_or_else(|| "none".to_owned(), Time::rfc3339);
    let mut finding = judge.finding(severity, newest.and_then(|at| Time::from_secs(at.secs() + warning)), message);
    if kept {
        let place = cluster.info.snapshots.as_deref().map_or_else(String::new, |dir| format!(" in {dir}"));
        finding = finding.with(&format!("our own{place}"), told(ours), ours);
    }
    if let Some((namespace, labels)) = jobs {
        let what = best.map_or_else(
            || format!("CronJobs of {namespace} with {labels}"),
            |w| format!("CronJob {}", title(&w.meta.namespace, &w.meta.name)),
        );
        let value = if best.is_none() { "there is none".to_owned() } else { format!("last success: {}", told(theirs)) };
        finding = finding.with(&what, value, theirs);
    }
    let follower = met.iter().find(|m| m.healthy() && !m.learner && !m.leads()).or(met.iter().find(|m| m.healthy()));
    let on = follower.and_then(|m| cluster.objects(Kind::EtcdMember).find(|o| o.meta().uid == m.meta.uid)).map(|o| o.reference(cluster.id));
    let finding = finding.then("Take a snapshot now, and copy it off the members' hosts").act(VerbId::EtcdSnapshot, on, &[]);
    // A CronJob that succeeds touches nothing that is judged here.
    Verdict::BurningUntil(finding, later(judge, AGAIN))
}

fn succeeded(w: &Workload) -> Option<Time> {
    if let WorkloadDetail::CronJob { last_success, .. } = &w.detail { *last_success } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, NOW, ago, etcd_members, put_members};
    use crate::inspect::not_evaluated;
    use crate::model::{ClusterId, ConnectionState, Delta, KindState, Selector, Uid};
    use crate::store::{ClusterInfo, Store};
    use serde_json::{Value, json};

    fn fleet(snapshots: bool, jobs: bool) -> Fleet {
        let info = ClusterInfo {
            name: "prod".into(),
            snapshots: snapshots.then(|| "/var/backups".into()),
            snapshot_jobs: jobs.then(|| ("kube-system".into(), Selector::parse("app=etcd-backup").unwrap())),
            ..Default::default()
        };
        let mut f = Fleet { store: Store::new(vec![info], NOW), ..Default::default() };
        f.delta(0, Delta::State(ConnectionState::Live));
        f.delta(0, Delta::KindState(Kind::CronJob, KindState::Live));
        f
    }

    fn taken(f: &mut Fleet, ago: Option<i64>) {
        let mut members = etcd_members(&[('u', 0), ('u', 0), ('u', 0)]);
        members.iter_mut().for_each(|m| m.snapshot = ago.and_then(|s| Time::from_secs(NOW - s)));
        put_members(f, members);
    }

    fn job(name: &str, app: &str, success: Option<i64>) -> Value {
        json!({"metadata": {"name": name, "namespace": "kube-system", "labels": {"app": app}}, "spec": {"schedule": "@daily"},
            "status": {"lastSuccessfulTime": success.map(ago)}})
    }

    fn found(f: &Fleet) -> Option<(Severity, String)> {
        let all = f.engine.for_object(ClusterId(0), Uid::default());
        all.iter().find(|x| x.rule.id == RULE.id).map(|x| (x.severity, x.message.clone()))
    }

    #[test]
    fn a_day_three_days_and_none() {
        let of = |ago: Option<i64>| {
            let mut f = fleet(true, false);
            taken(&mut f, ago);
            found(&f)
        };
        assert_eq!(of(Some(86_399)), None);
        assert_eq!(of(Some(86_400)), Some((Severity::Warning, "the newest snapshot of etcd is 24h old".to_owned())));
        assert_eq!(of(Some(3 * 86_400 - 1)).map(|f| f.0), Some(Severity::Warning));
        assert_eq!(of(Some(3 * 86_400)).map(|f| f.0), Some(Severity::Critical));
        assert_eq!(of(None), Some((Severity::Critical, "no snapshot of etcd is proven".to_owned())));
        let mut f = fleet(true, false);
        taken(&mut f, Some(86_000));
        assert_eq!((found(&f), found(f.wait(399)), found(f.wait(1)).map(|f| f.0)), (None, None, Some(Severity::Warning)));
        let remedy = f.engine.for_object(ClusterId(0), Uid::default())[0].remedy.clone();
        assert!(
            matches!(remedy, Some(crate::model::Remedy::Act { verb: VerbId::EtcdSnapshot, on, .. }) if &*on.name == "etcd-2"),
            "a follower"
        );
    }

    #[test]
    fn a_cronjob_with_the_labels_that_are_configured_proves_it_too() {
        let mut f = fleet(false, true);
        f.put(Kind::CronJob, [job("other", "web", Some(60))]);
        taken(&mut f, None);
        assert_eq!(found(&f), Some((Severity::Critical, "no snapshot of etcd is proven".to_owned())));
        f.put(Kind::CronJob, [job("nightly", "etcd-backup", Some(100_000))]);
        taken(&mut f, None);
        f.wait(60);
        taken(&mut f, None);
        assert_eq!(found(&f).map(|f| f.0), Some(Severity::Warning));
        f.put(Kind::CronJob, [job("nightly", "etcd-backup", Some(60))]);
        f.wait(3600);
        assert_eq!(found(&f), None);
    }

    #[test]
    fn where_nothing_could_prove_it_nothing_is_judged() {
        let mut f = fleet(false, false);
        taken(&mut f, None);
        assert_eq!(found(&f), None);
        let why = |f: &Fleet| not_evaluated(&RULE, &f.store.clusters()[0]);
        assert!(why(&f).unwrap().contains("snapshot_jobs"), "{:?}", why(&f));
        taken(&mut f, Some(60));
        assert_eq!(why(&f), None, "ours are proof where there are some");
        assert_eq!(found(&fleet(true, false)), None, "no member is met");
    }
}
