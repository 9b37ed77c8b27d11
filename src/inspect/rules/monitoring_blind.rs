//! The way from a measurement to somebody's phone is broken: targets, rules, Prometheus, Alertmanager, and the alert that always fires.
//!
//! Says too which rules cannot be evaluated for want of data.

use super::measured::lasted;
use crate::inspect::{Judge, RULES, RuleInfo, Severity, Threshold, Verdict, not_evaluated};
use crate::model::{Kind, Object, Service, ServiceState};

const AFTER: Threshold = Threshold { name: "after", default: "5m", doc: "how long something on the way must fail" };
const GONE: Threshold =
    Threshold { name: "gone-after", default: "10m", doc: "how long targets must be down, or the Watchdog missing at the Alertmanager" };
const SILENT: Threshold = Threshold { name: "silent-after", default: "2m", doc: "how long Prometheus must not answer as it did" };
/// How often one looks again (seconds).
const AGAIN: i64 = 60;

pub static RULE: RuleInfo = RuleInfo {
    id: "monitoring-blind",
    area: "alerting",
    tier: 2,
    burns: true,
    severity: Severity::Critical,
    scope: "cluster",
    summary: "The Watchdog fires in Prometheus and is not at the Alertmanager, notifications fail, rules fail, peers of the Alertmanager disagree, what is to be kept elsewhere is not, a tenth of a job's targets is down, or Prometheus tells nothing any more",
    why: "No alert is only good news while the alerting path works.",
    kinds: &[],
    needs: &[],
    leans_on: &[],
    thresholds: &[AFTER, GONE, SILENT],
    peers: &[
        "kube-prometheus:TargetDown",
        "kube-prometheus:Watchdog",
        "kube-prometheus:AlertmanagerFailedToSendAlerts",
        "kube-prometheus:PrometheusRuleFailures",
    ],
    links: &[
        "https://runbooks.prometheus-operator.dev/runbooks/general/watchdog/",
        "https://prometheus.io/docs/practices/alerting/#metamonitoring",
    ],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let slot = judge.cluster.service(Service::Prometheus);
    let mut broken: Vec<(Severity, String)> = Vec::new();
    let again = match &slot.state {
        ServiceState::Live => {
            measured(judge, &mut broken);
            Some(super::later(judge, AGAIN))
        }
        state @ (ServiceState::Stale { .. } | ServiceState::Failing { .. }) => match judge.held(slot.since, judge.value(&SILENT)) {
            Ok(()) => {
                broken.push((Severity::Warning, format!("Prometheus tells nothing: {}", state.reason().map_or(state.word(), |r| &**r))));
                None
            }
            Err(at) => return Verdict::FineUntil(at),
        },
        _ => None,
    };
    broken.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let Some((severity, message)) = broken.first().cloned() else { return again.map_or(Verdict::Fine, Verdict::LookAgain) };
    let mut finding = judge.finding(severity, None, message);
    for (_, hop) in &broken {
        finding = finding.with("broken", hop.as_str(), None);
    }
    let blind: Vec<&str> =
        RULES.iter().filter(|r| !r.needs.is_empty() && not_evaluated(r, judge.cluster).is_some()).map(|r| r.id).collect();
    let blind = if blind.is_empty() { "none".to_owned() } else { blind.join(", ") };
    let finding = finding
        .with("rules that cannot be evaluated", blind, None)
        .then("Go along the way, scrape, rule, Alertmanager, receiver, to the hop that fails, and restart or mend that");
    match again {
        Some(at) => Verdict::BurningUntil(finding, at),
        None => Verdict::Burning(finding),
    }
}

fn measured(judge: &Judge<'_>, broken: &mut Vec<(Severity, String)>) {
    let (after, gone) = (judge.value(&AFTER), judge.value(&GONE));
    for object in judge.cluster.objects(Kind::Signal) {
        let Object::Signal(s) = object else { continue };
        let label = |name: &str| s.meta.labels.get(name).unwrap_or_default();
        let value = || s.value.map_or_else(String::new, |v| s.measure.text(v));
        match &*s.meta.name {
            "job-down" if lasted(judge, s, gone) => {
                broken.push((Severity::Warning, format!("{} of the targets of {} are not scraped", value(), label("job"))))
            }
            "monitoring-failures" if lasted(judge, s, after) => {
                let severity = match label("hop") {
                    "textfile" => Severity::Info,
                    "rules" | "peers" | "remote write" => Severity::Warning,
                    _ => Severity::Critical,
                };
                let of = ["rule_group", "alertmanager", "integration", "job", "instance"]
                    .into_iter()
                    .map(label)
                    .find(|v| !v.is_empty())
                    .unwrap_or_default();
                let words = match label("hop") {
                    "peers" => format!("Alertmanagers of {of} do not see {} of their peers", value()),
                    "dropped" => format!("{of} dropped {} notifications", value()),
                    "remote write" => format!("{of} could not write {} samples to where they are kept", value()),
                    "textfile" => format!("{of} could not read its text files"),
                    hop => format!("{} failures {hop}, {of}", value()),
                };
                broken.push((severity, words));
            }
            "watchdog" if unheard(judge, gone) && lasted(judge, s, gone) => {
                broken.push((Severity::Critical, "the Watchdog fires in Prometheus and is not at the Alertmanager".to_owned()));
            }
            _ => {}
        }
    }
}

/// The Alertmanager has answered for so long and has no Watchdog.
fn unheard(judge: &Judge<'_>, secs: i64) -> bool {
    let slot = judge.cluster.service(Service::Alertmanager);
    let heard = |o: &Object| matches!(o, Object::Alert(a) if &*a.meta.name == "Watchdog" && !a.state.waits());
    if slot.state != ServiceState::Live || judge.cluster.objects(Kind::Alert).any(heard) {
        return false;
    }
    let long = judge.now - slot.since >= secs;
    if !long {
        judge.undated.set(true);
    }
    long
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::Finding;
    use crate::inspect::fixture::{Fleet, alert, told};
    use crate::inspect::rules::measured::tests::shipped;
    use crate::model::{AlertState, ClusterId, Signal, Uid};

    fn found(fleet: &Fleet) -> Option<Finding> {
        fleet.engine.for_object(ClusterId(0), Uid::default()).iter().find(|f| f.rule == &RULE).cloned()
    }

    /// Told so many minutes in a row.
    fn tell(fleet: &mut Fleet, query: &str, labels: &[(&str, &str)], value: f64, minutes: usize) {
        let signal = Signal::of(&shipped(query), crate::model::signal::tests::labels(labels), value, vec![value; minutes].into());
        told(fleet, Service::Prometheus, ServiceState::Live, vec![Object::Signal(signal.into())]);
        fleet.wait(60);
    }

    #[test]
    fn what_fails_on_the_way_for_a_while() {
        let at = |query: &str, labels: &[(&str, &str)], value: f64, minutes: usize| {
            let mut fleet = Fleet::default();
            tell(&mut fleet, query, labels, value, minutes);
            found(&fleet).map(|f| (f.severity, f.message))
        };
        let of = |severity, message: &str| Some((severity, message.to_owned()));
        assert_eq!(at("job-down", &[("job", "kubelet")], 0.1, 10), of(Severity::Warning, "10% of the targets of kubelet are not scraped"));
        assert_eq!((at("job-down", &[("job", "kubelet")], 0.1, 9), at("job-down", &[("job", "kubelet")], 0.09, 10)), (None, None));
        let sends = [("hop", "from Alertmanager"), ("integration", "pager")];
        assert_eq!(at("monitoring-failures", &sends, 3.0, 5), of(Severity::Critical, "3 failures from Alertmanager, pager"));
        assert_eq!(at("monitoring-failures", &sends, 3.0, 4), None);
        let rules = [("hop", "rules"), ("rule_group", "node")];
        assert_eq!(at("monitoring-failures", &rules, 1.0, 5), of(Severity::Warning, "1 failures rules, node"));
        for (hop, says, severity) in [
            ("peers", "Alertmanagers of am do not see 1 of their peers", Severity::Warning),
            ("dropped", "am dropped 1 notifications", Severity::Critical),
            ("remote write", "am could not write 1 samples to where they are kept", Severity::Warning),
            ("textfile", "am could not read its text files", Severity::Info),
        ] {
            let labels = [("hop", hop), ("job", "am")];
            assert_eq!(at("monitoring-failures", &labels, 1.0, 5), of(severity, says));
            assert_eq!((at("monitoring-failures", &labels, 1.0, 4), at("monitoring-failures", &labels, 0.9, 5)), (None, None));
        }
    }

    #[test]
    fn one_look_cannot_tell_for_how_long_and_says_so() {
        let waits = |query: &str, labels: &[(&str, &str)], value: f64| {
            let mut fleet = Fleet::default();
            let signal = Signal::of(&shipped(query), crate::model::signal::tests::labels(labels), value, [value].into());
            told(&mut fleet, Service::Prometheus, ServiceState::Live, vec![Object::Signal(signal.into())]);
            fleet.wait(60);
            fleet.engine.waiting(ClusterId(0)).contains(RULE.id)
        };
        assert!(waits("job-down", &[("job", "kubelet")], 0.1));
        assert!(!waits("job-down", &[("job", "kubelet")], 0.09));
        assert!(!waits("watchdog", &[("alertname", "Watchdog")], 1.0), "no Alertmanager is known");
        let mut fleet = Fleet::default();
        told(&mut fleet, Service::Alertmanager, ServiceState::Live, vec![alert(&[("alertname", "Other")], AlertState::Firing)]);
        tell(&mut fleet, "watchdog", &[("alertname", "Watchdog")], 1.0, 10);
        assert!(fleet.engine.waiting(ClusterId(0)).contains(RULE.id), "the Alertmanager has not answered for long");
    }

    #[test]
    fn the_watchdog_must_arrive() {
        let mut fleet = Fleet::default();
        told(&mut fleet, Service::Alertmanager, ServiceState::Live, vec![alert(&[("alertname", "Other")], AlertState::Firing)]);
        fleet.wait(540);
        tell(&mut fleet, "watchdog", &[("alertname", "Watchdog")], 1.0, 10);
        let it = found(&fleet).unwrap();
        assert_eq!(it.severity, Severity::Critical);
        assert!(it.evidence.iter().any(|e| e.what == "rules that cannot be evaluated" && e.value.contains("cpu-throttled")), "{it:?}");
        told(&mut fleet, Service::Alertmanager, ServiceState::Live, vec![alert(&[("alertname", "Watchdog")], AlertState::Firing)]);
        fleet.wait(60);
        assert_eq!(found(&fleet), None);
    }

    #[test]
    fn who_tells_nothing_any_more() {
        let mut fleet = Fleet::default();
        let stale = ServiceState::Stale { reason: "connection refused".into() };
        told(&mut fleet, Service::Prometheus, stale, Vec::new());
        assert_eq!(found(&fleet), None);
        fleet.wait(120);
        assert_eq!(found(&fleet).unwrap().message, "Prometheus tells nothing: connection refused");
    }
}
