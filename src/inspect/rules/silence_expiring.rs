//! A silence that is about to give back what it hides.

use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict, age};
use crate::model::{Alert, Kind, Object, SilenceState, VerbId};

const BEFORE: Threshold = Threshold { name: "before", default: "30m", doc: "how long before its end it is told" };

pub static RULE: RuleInfo = RuleInfo {
    id: "silence-expiring",
    area: "alerting",
    tier: 1,
    burns: false,
    severity: Severity::Critical,
    scope: "silence",
    summary: "It ends within 30 minutes and still hides an alert; critical when that is a critical one",
    why: "When it ends, everything it hides pages at once, often in the middle of the work it was made for.",
    kinds: &[Kind::Silence],
    needs: &[],
    leans_on: &[Kind::Alert],
    thresholds: &[BEFORE],
    peers: &[],
    links: &["https://prometheus.io/docs/alerting/latest/alertmanager/#silences"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Silence(s)) = judge.object else { return Verdict::Fine };
    let Some(left) = s.left(judge.now).filter(|_| s.state == SilenceState::Active) else { return Verdict::Fine };
    let before = judge.value(&BEFORE);
    if left >= before {
        return Verdict::FineUntil(judge.now + left - before + 1);
    }
    let hidden = |o: &'_ Object| matches!(o, Object::Alert(a) if a.silenced_by.contains(&s.meta.name));
    let alerts: Vec<&Alert> = judge
        .cluster
        .objects(Kind::Alert)
        .filter(|o| hidden(o))
        .filter_map(|o| if let Object::Alert(a) = o { Some(&**a) } else { None })
        .collect();
    let Some(worst) = alerts.iter().max_by_key(|a| a.critical()) else { return Verdict::LookAgain(super::later(judge, 60)) };
    let severity = if worst.critical() { Severity::Critical } else { Severity::Warning };
    let n = alerts.len();
    let finding = judge
        .finding(severity, s.starts, format!("ends in {} and hides {n} alert{}", age(left), if n == 1 { "" } else { "s" }))
        .with("by", &*s.creator, None)
        .with("comment", &*s.comment, None)
        .with("hides", worst.meta.name.to_string(), worst.starts)
        .then("Extend it, or end it when its work is done")
        .here(VerbId::SilenceExtend, &[("for", "+1h")]);
    Verdict::BurningUntil(finding, super::later(judge, 60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, NOW, told};
    use crate::model::{AlertState, ClusterId, Service, ServiceState};

    fn at(left: i64, severity: Option<&str>) -> Option<Severity> {
        let mut fleet = Fleet::default();
        if let Some(severity) = severity {
            let mut alert = crate::model::alert::tests::alert(&[("alertname", "Slow"), ("severity", severity)], AlertState::Silenced);
            alert.silenced_by = ["s1".into()].into();
            told(&mut fleet, Service::Alertmanager, ServiceState::Live, vec![Object::Alert(alert.into())]);
        }
        let mut silence = crate::model::silence::tests::silence("s1", SilenceState::Active, NOW + left);
        silence.hides = u32::from(severity.is_some());
        let own = silence.meta.uid;
        told(&mut fleet, Service::Alertmanager, ServiceState::Live, vec![Object::Silence(silence.into())]);
        fleet.engine.for_object(ClusterId(0), own).iter().find(|f| f.rule.id == RULE.id).map(|f| f.severity)
    }

    #[test]
    fn only_one_that_hides_something_and_ends_soon() {
        assert_eq!(at(1800, Some("warning")), None);
        assert_eq!(at(1799, Some("warning")), Some(Severity::Warning));
        assert_eq!(at(1799, Some("critical")), Some(Severity::Critical));
        assert_eq!(at(1799, None), None, "it hides nothing");
    }
}
