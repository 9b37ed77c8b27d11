//! A critical alert that fires.
//!
//! Each alert is a finding; a cluster's of one name are one line, which says which objects they name. Silenced, inhibited and pending ones do not burn.

use crate::inspect::explain::words::joined;
use crate::inspect::{Judge, RuleInfo, Severity, Verdict, title};
use crate::model::{Alert, AlertState, Kind, Object};
use crate::store::Cluster;

pub static RULE: RuleInfo = RuleInfo {
    id: "alert-critical",
    area: "alerting",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "alert, a cluster's of one name as one",
    summary: "An alert with severity critical (or page, error, emergency) fires, neither silenced nor inhibited",
    why: "Somebody has decided that this is to be looked at at once.",
    kinds: &[Kind::Alert],
    needs: &[],
    leans_on: &[],
    thresholds: &[],
    peers: &[],
    links: &["https://prometheus.io/docs/practices/alerting/", "https://prometheus.io/docs/alerting/latest/overview/"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Alert(a)) = judge.object else { return Verdict::Fine };
    if a.state != AlertState::Firing || !a.critical() {
        return Verdict::Fine;
    }
    let mut finding = judge.finding(Severity::Critical, a.starts, a.says().unwrap_or("it fires".into()));
    let about = joined(a.about().map(|(kind, namespace, name)| format!("{} {}", kind.name(), title(&namespace.into(), &name.into()))), 4);
    finding = finding.with("about", about, a.starts).with("runbook", a.runbook().unwrap_or_default(), None);
    Verdict::Burning(finding.then(match a.runbook() {
        Some(url) => format!("Follow its runbook: {url}"),
        None => "Look at what it names; it has no runbook".to_owned(),
    }))
}

/// The most particular object that an alert names and that there is.
pub fn named<'a>(cluster: &'a Cluster, alert: &Alert) -> Option<&'a Object> {
    alert.about().find_map(|(kind, namespace, name)| cluster.named(kind, namespace, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, NOW, alert, deployment, node, owned, pod, replicaset, running, told};
    use crate::model::{Service, ServiceState};

    fn crash(n: u32, state: AlertState, severity: &str) -> Object {
        let name = format!("p{n}");
        alert(&[("alertname", "PodCrashLooping"), ("namespace", "pay"), ("pod", &name), ("severity", severity)], state)
    }

    #[test]
    fn only_what_fires_and_is_critical() {
        for (state, severity, burns) in [
            (AlertState::Firing, "critical", true),
            (AlertState::Firing, "page", true),
            (AlertState::Firing, "warning", false),
            (AlertState::Silenced, "critical", false),
            (AlertState::Inhibited, "critical", false),
            (AlertState::Pending, "critical", false),
        ] {
            let mut fleet = Fleet::default();
            told(&mut fleet, Service::Alertmanager, ServiceState::Live, vec![crash(1, state, severity)]);
            assert_eq!(fleet.lines().len(), usize::from(burns), "{state:?} {severity}");
        }
    }

    #[test]
    fn a_storm_of_one_name_is_one_line_that_names_the_objects() {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Deployment, [deployment("checkout", 3, 3)]);
        fleet.put(Kind::ReplicaSet, [replicaset("set", "checkout", 2, "reg/app:1", 90_000, 3)]);
        fleet.put(Kind::Pod, (1..4).map(|n| pod(owned(&format!("p{n}"), Kind::ReplicaSet, "set"), "n1", true, 90, running())));
        told(&mut fleet, Service::Alertmanager, ServiceState::Live, vec![crash(1, AlertState::Firing, "critical")]);
        let line = &fleet.lines()[0];
        assert_eq!((line.title.as_str(), line.message.as_str()), ("alert PodCrashLooping", "pay/checkout: it burns"));
        assert_eq!(line.subject.as_ref().map(|s| (s.kind, &*s.name)), Some((Kind::Pod, "p1")), "Enter opens what it names");
        told(&mut fleet, Service::Alertmanager, ServiceState::Live, (1..4).map(|n| crash(n, AlertState::Firing, "critical")).collect());
        let lines = fleet.lines();
        assert_eq!((lines.len(), lines[0].count, lines[0].message.as_str()), (1, 3, "3 on pay/checkout: it burns"));
        assert_eq!(lines[0].since.map(|t| t.secs()), Some(NOW - 600));
        assert_eq!(lines[0].subject.as_ref().map(|s| (s.kind, &*s.name)), Some((Kind::Deployment, "checkout")));
        let many = (0..2000).map(|n| crash(n + 100, AlertState::Firing, "critical")).collect();
        told(&mut fleet, Service::Alertmanager, ServiceState::Live, many);
        assert_eq!((fleet.lines().len(), fleet.lines()[0].count), (1, 2000), "a poll is a list: what was there before is gone");
        assert_eq!(fleet.lines()[0].subject.as_ref().map(|s| s.kind), Some(Kind::Alert), "it names nothing that there is");
    }

    #[test]
    fn several_objects_are_named_and_an_old_answer_is_marked() {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Node, ["n1", "n2", "n3"].map(|n| node(n, "True", 9000)));
        let down = |n: &str| alert(&[("alertname", "NodeDown"), ("node", n), ("severity", "critical")], AlertState::Firing);
        let all = || ["n1", "n2", "n3"].map(down).to_vec();
        told(&mut fleet, Service::Alertmanager, ServiceState::Live, all());
        assert_eq!((fleet.lines()[0].message.as_str(), fleet.lines()[0].stale), ("3 on n1, n2 and 1 more: it burns", false));
        let revision = fleet.engine.revision();
        told(&mut fleet, Service::Alertmanager, ServiceState::Stale { reason: "timeout".into() }, all());
        assert!(fleet.lines()[0].stale && fleet.engine.revision() > revision);
    }
}
