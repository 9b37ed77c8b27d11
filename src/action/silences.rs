//! What a silence would hide: matchers that an object proposes, the alerts that they match now, and whether that is more than anybody
//! meant. Pure, for plans and for whoever types matchers.

use crate::model::{Alert, AlertState, ClusterId, Kind, Matcher, Object, Sieve, Target};
use crate::store::{Cluster, Store};
use std::collections::BTreeSet;

/// More alerts than this are many at once.
const MANY: usize = 20;

/// Labels that say who has sent an alert, or change when a pod is restarted.
const VOLATILE: [&str; 13] = [
    "prometheus",
    "prometheus_replica",
    "__replica__",
    "replica",
    "receive",
    "endpoint",
    "uid",
    "pod_uid",
    "pod_ip",
    "host_ip",
    "id",
    "container_id",
    "image_id",
];
/// Labels that alerts of all kinds share.
const BROAD: [&str; 6] = ["cluster", "severity", "job", "service", "container", "endpoint"];
/// Labels by which exporters name a node.
const NODES: [&str; 6] = ["node", "nodename", "kubernetes_node", "node_name", "host", "instance"];
/// No label has this value.
const NOBODY: &str = "quarterdeck-7f3a-nobody";

/// The matchers that an object proposes; in the order of the alert's labels, the cluster's last.
///
/// # Errors
/// When it says nothing by which alerts could be told, in words.
pub fn propose(store: &Store, target: &Target) -> Result<Vec<Matcher>, String> {
    let cluster = store.cluster(target.cluster).ok_or("no such cluster")?;
    let kind = target.resource.known();
    let name = target.name.as_str();
    let mut matchers = match kind {
        Some(Kind::Alert) => {
            let alert = alert(cluster, target).ok_or_else(|| format!("alert {name} is not among those that fire"))?;
            return Ok(own(alert));
        }
        Some(Kind::Node) => vec![of_node(cluster, name)],
        Some(Kind::Namespace) => vec![Matcher::is("namespace", name)],
        Some(Kind::Pod) => vec![Matcher::is("namespace", &target.namespace), Matcher::is("pod", name)],
        Some(kind) => vec![Matcher::is("namespace", &target.namespace), of_workload(cluster, kind, target)],
        None => Vec::new(),
    };
    matchers.extend(of_cluster(cluster));
    if matchers.is_empty() {
        let name = &cluster.info.name;
        return Err(format!(
            "no label tells the alerts of {name} from others: name some by match, such as alertname=~\".+\" severity=info"
        ));
    }
    Ok(matchers)
}

/// By its own labels, but for those that come and go.
fn own(alert: &Alert) -> Vec<Matcher> {
    let replaced = alert.meta.labels.get("pod").is_some() || alert.meta.labels.get("node").is_some();
    let stays = |label: &str| !(VOLATILE.contains(&label) || replaced && label == "instance");
    let mut own: Vec<Matcher> =
        alert.meta.labels.iter().filter(|(l, v)| stays(l) && !v.is_empty()).map(|(l, v)| Matcher::is(l, v)).collect();
    own.sort_by_key(|m| *m.name != *"alertname");
    own
}

/// What all of these alerts have in common, where that tells them from others: one silence for all of them. None: each proposes its own.
pub fn together(store: &Store, targets: &[Target]) -> Option<Vec<Matcher>> {
    let row = |t: &Target| match store.find(t.cluster, Kind::Alert, crate::model::Uid::parse(t.uid.as_deref()?))?.1 {
        Object::Alert(alert) => Some(&**alert),
        _ => None,
    };
    let (first, rest) = targets.split_first()?;
    let mut common = own(row(first)?);
    for target in rest {
        let labels = &row(target)?.meta.labels;
        common.retain(|m| labels.get(&m.name) == Some(&*m.value));
    }
    let cluster = store.cluster(first.cluster).and_then(|c| c.info.alert_label.clone());
    let tells = |m: &Matcher| !BROAD.contains(&&*m.name) && Some(&m.name) != cluster.as_ref();
    common.iter().any(tells).then_some(common)
}

/// The row of an alert.
fn alert<'a>(cluster: &'a Cluster, target: &Target) -> Option<&'a Alert> {
    let all = cluster.objects(Kind::Alert).filter_map(|o| if let Object::Alert(a) = o { Some(&**a) } else { None });
    let uid = target.uid.as_deref().map(crate::model::Uid::parse);
    let mut named = all.filter(|a| *a.meta.name == *target.name && *a.meta.namespace == *target.namespace);
    match uid {
        Some(uid) => named.find(|a| a.meta.uid == uid),
        None => named.next(),
    }
}

/// What tells the cluster's alerts from those of others, where something does.
fn of_cluster(cluster: &Cluster) -> Option<Matcher> {
    let label = cluster.info.alert_label.as_ref()?;
    let said: BTreeSet<&str> = alerts(cluster).filter_map(|a| a.meta.labels.get(label)).collect();
    let mut names: Vec<&str> = cluster.info.names().map(|n| &**n).filter(|n| said.contains(n)).collect();
    if names.is_empty() {
        names = cluster.info.names().map(|n| &**n).collect();
    }
    Some(match names.as_slice() {
        [one] => Matcher::is(label, one),
        all => Matcher::like(label, &all.iter().map(|n| literal(n)).collect::<Vec<_>>().join("|")),
    })
}

/// Matchers that stay within the target's cluster, and what was added to them for that: where its Alertmanager tells clusters apart by a
/// label and none of them is about it. An alert that does not say whose it is would be missed by that.
pub fn within(store: &Store, target: &Target, mut matchers: Vec<Matcher>) -> (Vec<Matcher>, Option<Matcher>) {
    let own = store.cluster(target.cluster).and_then(of_cluster);
    let added = own.filter(|own| !matchers.iter().any(|m| m.name == own.name) && !unsaid(store, target));
    matchers.extend(added.clone());
    (matchers, added)
}

/// Whether an alert does not say whose it is, though others do.
fn unsaid(store: &Store, target: &Target) -> bool {
    let Some(cluster) = store.cluster(target.cluster).filter(|_| target.resource.known() == Some(Kind::Alert)) else { return false };
    let label = cluster.info.alert_label.as_deref();
    label.zip(alert(cluster, target)).is_some_and(|(label, alert)| alert.meta.labels.get(label).is_none())
}

/// The label by which most of what fires names the node.
fn of_node(cluster: &Cluster, name: &str) -> Matcher {
    let ported = format!("{}(:[0-9]+)?", literal(name));
    let of = |label: &str| if label == "instance" { Matcher::like(label, &ported) } else { Matcher::is(label, name) };
    let hits = |m: &Matcher| hits(cluster, std::slice::from_ref(m));
    let best = NODES.iter().rev().map(|l| of(l)).max_by_key(hits);
    best.unwrap_or_else(|| Matcher::is("node", name))
}

/// By the pods of a workload, or by itself where more of what fires does that.
fn of_workload(cluster: &Cluster, kind: Kind, target: &Target) -> Matcher {
    let name = literal(&target.name);
    let (label, pods) = match kind {
        Kind::Deployment => ("deployment", "[0-9a-z]+-[0-9a-z]+"),
        Kind::StatefulSet => ("statefulset", "[0-9]+"),
        Kind::DaemonSet => ("daemonset", "[0-9a-z]+"),
        Kind::Job => ("job_name", "[0-9a-z]+"),
        Kind::CronJob => ("cronjob", "[0-9]+-[0-9a-z]+"),
        _ => ("replicaset", "[0-9a-z]+"),
    };
    let (pods, itself) = (Matcher::like("pod", &format!("{name}-{pods}")), Matcher::is(label, &target.name));
    let namespace = Matcher::is("namespace", &target.namespace);
    let hits = |m: &Matcher| hits(cluster, &[namespace.clone(), m.clone()]);
    if hits(&itself) > hits(&pods) { itself } else { pods }
}

/// A name as a regular expression. Names of objects have no other special characters.
fn literal(name: &str) -> String {
    regex::escape(name).replace("\\-", "-")
}

/// What is an alert, or may become one.
fn alerts(cluster: &Cluster) -> impl Iterator<Item = &Alert> {
    let alerts = cluster.objects(Kind::Alert).filter_map(|o| if let Object::Alert(a) = o { Some(&**a) } else { None });
    alerts.filter(|a| a.state != AlertState::Down)
}

/// How many alerts of a cluster all matchers match.
fn hits(cluster: &Cluster, matchers: &[Matcher]) -> usize {
    let sieve = Sieve::of(matchers);
    alerts(cluster).filter(|a| sieve.takes(&a.meta.labels)).count()
}

/// The alerts of a cluster, and of those that share its Alertmanager, that these matchers would silence now.
pub fn hidden<'a>(store: &'a Store, cluster: ClusterId, matchers: &[Matcher]) -> Vec<(&'a Cluster, &'a Alert)> {
    let Some(own) = store.cluster(cluster) else { return Vec::new() };
    let all = std::iter::once(own).chain(own.info.alert_peers.iter().filter_map(|id| store.cluster(*id)));
    let sieve = Sieve::of(matchers);
    let mut hidden: Vec<(&Cluster, &Alert)> = all.flat_map(|c| alerts(c).map(move |a| (c, a))).collect();
    hidden.retain(|(_, a)| sieve.takes(&a.meta.labels));
    hidden
        .sort_by(|(c, a), (d, b)| (c.id, a.state, &a.meta.name, &a.meta.namespace).cmp(&(d.id, b.state, &b.meta.name, &b.meta.namespace)));
    hidden
}

/// How much matchers take in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Width {
    Fine,
    /// More than anybody is likely to mean; why, in words.
    Wide(String),
    /// All there is, whatever it says.
    Everything,
}

/// Judges matchers by themselves and by what they match now.
pub fn width(label: Option<&str>, matchers: &[Matcher], hidden: &[(&Cluster, &Alert)]) -> Width {
    let narrows = |m: &&Matcher| m.equal && !m.takes("") && !m.takes(NOBODY);
    let narrowing: Vec<&Matcher> = matchers.iter().filter(narrows).collect();
    if narrowing.is_empty() {
        return Width::Everything;
    }
    let broad = |m: &&Matcher| Some(&*m.name) == label || matches!(&*m.name, "cluster" | "severity");
    if narrowing.iter().all(broad) {
        let names: BTreeSet<&str> = narrowing.iter().map(|m| &*m.name).collect();
        return Width::Wide(format!("it matches by {} alone", names.into_iter().collect::<Vec<_>>().join(" and ")));
    }
    let clusters: BTreeSet<ClusterId> = hidden.iter().map(|(c, _)| c.id).collect();
    if clusters.len() > 1 {
        return Width::Wide(format!("it hides alerts of {} clusters", clusters.len()));
    }
    let spaces: BTreeSet<&str> = hidden.iter().map(|(_, a)| &*a.meta.namespace).filter(|n| !n.is_empty()).collect();
    if spaces.len() > 1 {
        return Width::Wide(format!("it hides alerts of {} namespaces", spaces.len()));
    }
    if hidden.len() > MANY { Width::Wide(format!("it hides {} alerts", hidden.len())) } else { Width::Fine }
}

/// An alert in words: its name, what it is about, and how it stands unless it fires.
pub fn words(alert: &Alert) -> String {
    let about = alert.about().next().map(|(kind, namespace, name)| {
        let place = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        format!(" {} {place}{name}", kind.name().to_lowercase())
    });
    let about = about.or_else(|| alert.meta.labels.get("instance").map(|i| format!(" {i}"))).unwrap_or_default();
    let state = if alert.state == AlertState::Firing { String::new() } else { format!(" ({})", alert.state.word()) };
    format!("{}{about}{state}", alert.meta.name)
}

/// How many there are and where: `5 alerts (lab 3, prod 2)`.
pub fn count(hidden: &[(&Cluster, &Alert)]) -> String {
    let mut places: Vec<(&str, usize)> = Vec::new();
    for (cluster, _) in hidden {
        match places.iter_mut().find(|(name, _)| *name == &*cluster.info.name) {
            Some((_, n)) => *n += 1,
            None => places.push((&cluster.info.name, 1)),
        }
    }
    let n = hidden.len();
    let alerts = format!("{n} alert{}", if n == 1 { "" } else { "s" });
    match places.as_slice() {
        [] => alerts,
        [(name, _)] => format!("{alerts} in {name}"),
        all => format!("{alerts} ({})", all.iter().map(|(name, n)| format!("{name} {n}")).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::verbs::fixture::Fixture;
    use super::*;

    fn proposed(f: &Fixture, kind: Kind, namespace: &str, name: &str) -> String {
        let target = Target { cluster: ClusterId(0), resource: kind.into(), namespace: namespace.into(), name: name.into(), uid: None };
        propose(&f.store, &target).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn an_object_proposes_what_names_it_and_the_cluster_where_several_share() {
        let mut f = Fixture::new();
        assert_eq!(proposed(&f, Kind::Pod, "pay", "web-1"), r#"namespace="pay" pod="web-1""#);
        assert_eq!(proposed(&f, Kind::Deployment, "pay", "web"), r#"namespace="pay" pod=~"web-[0-9a-z]+-[0-9a-z]+""#);
        assert_eq!(proposed(&f, Kind::StatefulSet, "pay", "db.a"), r#"namespace="pay" pod=~"db\\.a-[0-9]+""#);
        assert_eq!(proposed(&f, Kind::Node, "", "n1"), r#"node="n1""#);
        assert_eq!(proposed(&f, Kind::Namespace, "", "pay"), r#"namespace="pay""#);
        let target = Target::of_cluster(ClusterId(0), "lab");
        assert!(propose(&f.store, &target).unwrap_err().contains("no label tells the alerts of lab"));
        f.shares_alerts("cluster");
        assert_eq!(proposed(&f, Kind::Namespace, "", "pay"), r#"namespace="pay" cluster="lab""#);
        assert_eq!(propose(&f.store, &target).unwrap(), [Matcher::is("cluster", "lab")]);
    }

    #[test]
    fn what_fires_tells_by_which_label() {
        let mut f = Fixture::new();
        f.alert(&[("alertname", "NodeDown"), ("instance", "n1:9100")]);
        f.alert(&[("alertname", "Stuck"), ("namespace", "pay"), ("deployment", "web")]);
        assert_eq!(proposed(&f, Kind::Node, "", "n1"), r#"instance=~"n1(:[0-9]+)?""#);
        assert_eq!(proposed(&f, Kind::Deployment, "pay", "web"), r#"namespace="pay" deployment="web""#);
    }

    #[test]
    fn an_alert_proposes_its_labels_but_those_that_come_and_go() {
        let mut f = Fixture::new();
        f.alert(&[
            ("alertname", "Crash"),
            ("namespace", "pay"),
            ("pod", "web-1"),
            ("instance", "10.0.0.1:80"),
            ("prometheus", "m/k8s"),
            ("uid", "7"),
        ]);
        f.alert(&[("alertname", "Disk"), ("instance", "n1:9100"), ("a", "b")]);
        assert_eq!(proposed(&f, Kind::Alert, "pay", "Crash"), r#"alertname="Crash" namespace="pay" pod="web-1""#);
        assert_eq!(proposed(&f, Kind::Alert, "", "Disk"), r#"alertname="Disk" instance="n1:9100" a="b""#);
    }

    #[test]
    fn what_is_too_wide_is_said_and_what_matches_everything_too() {
        let mut f = Fixture::new();
        for (ns, pod) in [("pay", "a"), ("pay", "b"), ("shop", "c")] {
            f.alert(&[("alertname", "Crash"), ("namespace", ns), ("pod", pod), ("severity", "warning")]);
        }
        let judged = |text: &str| {
            let matchers: Vec<Matcher> = text.split(' ').map(|m| Matcher::parse(m).unwrap()).collect();
            let hidden = hidden(&f.store, ClusterId(0), &matchers);
            (hidden.len(), width(Some("k8s"), &matchers, &hidden))
        };
        assert_eq!(judged("alertname=Crash namespace=pay"), (2, Width::Fine));
        assert_eq!(judged("alertname=Crash"), (3, Width::Wide("it hides alerts of 2 namespaces".into())));
        assert_eq!(judged("severity=warning k8s=lab"), (0, Width::Wide("it matches by k8s and severity alone".into())));
        for text in ["pod!=a", "alertname=~.+", "namespace=~.*", "x=", "severity!~critical|page alertname=~.+"] {
            assert_eq!(judged(text).1, Width::Everything, "{text}");
        }
        for n in 0..30 {
            f.alert(&[("alertname", "Many"), ("namespace", "pay"), ("pod", &format!("p{n}"))]);
        }
        let matchers = [Matcher::is("alertname", "Many")];
        let hidden = hidden(&f.store, ClusterId(0), &matchers);
        assert_eq!((count(&hidden), words(hidden[0].1)), ("30 alerts in lab".into(), "Many pod pay/p0".into()));
        assert_eq!(width(None, &matchers, &hidden), Width::Wide("it hides 30 alerts".into()));
    }
}
