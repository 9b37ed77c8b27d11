//! A node that does not report as ready.
//!
//! Flapping is what was seen since this program follows the cluster. The lease of a node that is not ready is asked for, and says whether its kubelet is
//! dead or cut off, or lives and reports itself. A whole zone is folded by the lines.

use super::later;
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict, clock};
use crate::model::{Condition, Kind, Node, Object, Time, Tri, VerbId, meta};
use crate::store::NodeEvent;

const AFTER: Threshold = Threshold { name: "after", default: "1m", doc: "how long Ready must be false or unknown" };
const CRITICAL: Threshold =
    Threshold { name: "critical-after", default: "5m", doc: "when it is critical: pods with the default toleration of 300 s start to go" };
const NETWORK: Threshold = Threshold { name: "network-after", default: "2m", doc: "how long NetworkUnavailable must be true" };

const FLAPS: Threshold = Threshold { name: "flaps", default: "3", doc: "changes of Ready within 15 minutes that are flapping" };
/// Seconds in which it flaps.
const WITHIN: i64 = 900;
/// How often one looks again (seconds) at what its lease says.
const AGAIN: i64 = 60;

pub static RULE: RuleInfo = RuleInfo {
    id: "node-not-ready",
    area: "node",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "node, a zone's nodes as one",
    summary: "Ready is false or unknown, or changed three times within 15 minutes; or the node's network is unavailable",
    why: "After the toleration time every pod on it is deleted and recreated elsewhere, if there is room.",
    kinds: &[Kind::Node],
    needs: &[],
    leans_on: &[],
    thresholds: &[AFTER, CRITICAL, NETWORK, FLAPS],
    peers: &[
        "popeye:701",
        "popeye:702",
        "popeye:707",
        "k8s-mixin:KubeNodeNotReady",
        "k8s-mixin:KubeNodeUnreachable",
        "k8s-mixin:KubeNodeReadinessFlapping",
        "npd:KubeletUnhealthy",
        "npd:ContainerRuntimeUnhealthy",
    ],
    links: &[
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubenodenotready/",
        "https://kubernetes.io/docs/concepts/architecture/nodes/#condition",
    ],
    judge,
};

/// The word that says most, from the condition's message: kubelet's own signals hide there behind `KubeletNotReady`.
fn cause(ready: &Condition) -> &str {
    let message = ready.message.as_deref().unwrap_or("");
    let known = [
        ("PLEG", "PLEG"),
        ("container runtime", "runtime"),
        ("network plugin", "CNI"),
        ("cni", "CNI"),
        ("stopped posting", "kubelet silent"),
    ];
    let found = known.iter().find(|(text, _)| message.contains(text)).map(|(_, word)| *word);
    found.or(ready.reason.as_deref()).unwrap_or("no reason given")
}

/// Whether it is out of service now.
pub(in crate::inspect) fn down(node: &Node) -> bool {
    node.ready() != Tri::True || meta::condition(&node.conditions, "NetworkUnavailable").is_some_and(|c| c.status == Tri::True)
}

/// Ready came and went again and again, whatever it is now.
fn flaps(judge: &Judge<'_>, node: &Node) -> Option<Verdict> {
    let past = judge.cluster.history.node(&node.meta.name)?;
    let changes = past.events.iter().filter(|(_, e)| matches!(e, NodeEvent::Ready | NodeEvent::Unready(_)));
    let lately: Vec<i64> = changes.map(|(at, _)| *at).filter(|at| at + WITHIN > judge.now).collect();
    let limit = usize::try_from(judge.value(&FLAPS)).ok().filter(|n| *n > 0)?;
    let nth = *lately.get(lately.len().checked_sub(limit)?)?;
    let finding = judge
        .finding(Severity::Warning, Time::from_secs(lately[0]), format!("flaps: Ready changed {} times in 15m", lately.len()))
        .with("Ready now", node.ready().as_str(), lately.last().and_then(|at| Time::from_secs(*at)))
        .then(if node.unschedulable {
            "Cordoned already: look at its kubelet's log, its load and its way to the API server"
        } else {
            "Look at its kubelet's log, its load and its way to the API server; cordon it before its pods are moved to and fro"
        })
        .here(VerbId::Cordon, &[]);
    Some(Verdict::BurningUntil(finding, nth + WITHIN))
}

/// What its lease says of its kubelet, and when that renewed it last; none: it was not heard.
fn lease(judge: &Judge<'_>, node: &Node) -> Option<(String, Option<Time>)> {
    Some(match &judge.cluster.asked.heartbeat(&node.meta.name)?.lapsed {
        Ok(None) => ("renewed all the time: its kubelet lives and reaches the API server".to_owned(), None),
        Ok(Some(at)) => (format!("renewed last at {}: its kubelet is dead, or cut off from the API server", clock(*at)), Some(*at)),
        Err(why) => (format!("not known: {why}"), None),
    })
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Node(node)) = judge.object else { return Verdict::Fine };
    match (state(judge, node), flaps(judge, node)) {
        (Verdict::Fine | Verdict::FineUntil(_) | Verdict::LookAgain(_), Some(flaps)) => flaps,
        (verdict, _) => verdict,
    }
}

fn state(judge: &Judge<'_>, node: &Node) -> Verdict {
    let network = meta::condition(&node.conditions, "NetworkUnavailable").filter(|c| c.status == Tri::True);
    let ready = meta::condition(&node.conditions, "Ready");
    let (condition, hold, message) = match (ready, network) {
        (Some(ready), _) if ready.status != Tri::True => (Some(ready), &AFTER, format!("NotReady ({})", cause(ready))),
        (Some(_), Some(network)) => (Some(network), &NETWORK, "network unavailable".to_owned()),
        (Some(_), None) => return Verdict::Fine,
        (None, _) => (None, &AFTER, "NotReady (never reported)".to_owned()),
    };
    let since = condition.and_then(|c| c.since).or(node.meta.created);
    let began = since.map_or(judge.now, |t| t.secs());
    if let Err(at) = since.map_or_else(|| judge.held_since_seen(judge.value(hold)), |_| judge.held(began, judge.value(hold))) {
        return Verdict::FineUntil(at);
    }
    let evicting = began + judge.value(&CRITICAL);
    let severity = if judge.now >= evicting { Severity::Critical } else { Severity::Warning };
    let text = condition.map_or("the kubelet has never reported", |c| c.message.as_deref().unwrap_or(""));
    let mut finding = judge
        .finding(severity, since, message)
        .with("reason", condition.and_then(|c| c.reason.as_deref()).unwrap_or("none"), since)
        .with("message", text, since);
    if let Some((says, at)) = lease(judge, node) {
        finding = finding.with("lease", says, at);
    }
    let next = if node.unschedulable {
        "Cordoned already: look at its console or hypervisor; drain it when it answers"
    } else {
        "Cordon it, look at the kubelet by console or hypervisor; drain it when it answers"
    };
    finding = finding.then(next).here(VerbId::Cordon, &[]);
    if let Some(zone) = node.zone() {
        finding = finding.with("zone", zone, None);
    }
    if severity == Severity::Warning {
        let at = crate::model::Time::from_secs(evicting);
        let finding = finding.with("eviction starts", at.map(clock).unwrap_or_default(), at);
        return Verdict::BurningUntil(finding, evicting.min(later(judge, AGAIN)));
    }
    Verdict::BurningUntil(finding, later(judge, AGAIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, NOW, ago, judged, node};
    use crate::model::asked::{Asked, Heartbeat, Told};
    use crate::model::{Delta, Str};
    use serde_json::json;

    #[test]
    fn warns_after_a_minute_critical_after_five() {
        for (status, since, severity) in [
            ("True", 9000, None),
            ("Unknown", 59, None),
            ("Unknown", 60, Some(Severity::Warning)),
            ("False", 299, Some(Severity::Warning)),
            ("False", 300, Some(Severity::Critical)),
        ] {
            assert_eq!(judged(Kind::Node, node("n", status, since), "node-not-ready"), severity, "{status} {since}");
        }
    }

    #[test]
    fn becomes_critical_by_time_alone_and_names_the_cause() {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Node, [node("n", "Unknown", 200)]);
        assert_eq!(fleet.finding(Kind::Node, "n", "node-not-ready").unwrap().message, "NotReady (kubelet silent)");
        fleet.wait(100);
        assert_eq!(fleet.severity(Kind::Node, "n", "node-not-ready"), Some(Severity::Critical));
    }

    #[test]
    fn its_lease_says_whether_the_kubelet_lives() {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Node, [node("n", "Unknown", 200)]);
        let mut says = |lapsed: Option<Told<Option<Time>>>| {
            let heartbeats = lapsed.map(|lapsed| Heartbeat { node: "n".into(), lapsed }).into_iter().collect();
            fleet.delta(0, Delta::Asked(Asked { heartbeats, ..Asked::default() }.into()));
            let evidence = fleet.wait(60).finding(Kind::Node, "n", RULE.id).unwrap().evidence.clone();
            evidence.into_iter().find(|e| e.what == "lease").map(|e| (e.value, e.at))
        };
        assert_eq!(says(None), None, "not heard yet");
        let at = Time::from_secs(NOW - 240);
        assert_eq!(says(Some(Ok(at))), Some(("renewed last at 11:56Z: its kubelet is dead, or cut off from the API server".into(), at)));
        let lives = says(Some(Ok(None))).unwrap().0;
        assert_eq!(lives, "renewed all the time: its kubelet lives and reaches the API server");
        let why = Str::from("no right to get leases");
        assert_eq!(says(Some(Err(why))).unwrap().0, "not known: no right to get leases");
    }

    #[test]
    fn it_flaps_for_a_quarter_of_an_hour() {
        let mut fleet = Fleet::default();
        let turn = |fleet: &mut Fleet, status: &str| {
            fleet.wait(20);
            let now = NOW - fleet.now;
            fleet.put(Kind::Node, [node("n", status, now)]);
            fleet.finding(Kind::Node, "n", RULE.id).map(|f| (f.severity, f.message.clone()))
        };
        fleet.put(Kind::Node, [node("n", "True", 9000)]);
        assert_eq!((turn(&mut fleet, "False"), turn(&mut fleet, "True")), (None, None));
        assert_eq!(turn(&mut fleet, "False"), Some((Severity::Warning, "flaps: Ready changed 3 times in 15m".into())));
        assert!(turn(&mut fleet, "True").is_some(), "it is ready now, and was not just now");
        // The second change is the last that counts with two others.
        assert!(fleet.wait(WITHIN - 41).severity(Kind::Node, "n", RULE.id).is_some());
        assert_eq!(fleet.wait(2).severity(Kind::Node, "n", RULE.id), None);
    }

    #[test]
    fn a_network_that_is_not_there_counts_too() {
        let mut n = node("n", "True", 9000);
        n["status"]["conditions"]
            .as_array_mut()
            .unwrap()
            .push(json!({"type": "NetworkUnavailable", "status": "True", "lastTransitionTime": ago(120)}));
        assert_eq!(judged(Kind::Node, n, "node-not-ready"), Some(Severity::Warning));
    }
    #[test]
    fn a_cordon_that_comes_and_goes_is_no_flapping_and_what_is_cordoned_is_left_so() {
        let mut fleet = Fleet::default();
        let turn = |fleet: &mut Fleet, status: &str, cordoned: bool| {
            let since = NOW - fleet.wait(20).now;
            let mut n = node("n", status, since);
            n["spec"] = json!({"unschedulable": cordoned});
            fleet.put(Kind::Node, [n]);
            fleet.finding(Kind::Node, "n", RULE.id).map(|f| f.remedy.is_some())
        };
        for cordoned in [false, true, false, true, false] {
            assert_eq!(turn(&mut fleet, "True", cordoned), None);
        }
        for (status, cordoned, found) in
            [("False", false, None), ("True", false, None), ("False", false, Some(true)), ("True", true, Some(false))]
        {
            assert_eq!(turn(&mut fleet, status, cordoned), found, "{status} {cordoned}");
        }
    }
}
