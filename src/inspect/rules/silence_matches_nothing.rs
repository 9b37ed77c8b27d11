//! A silence that hides nothing.

use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Object, SilenceState, VerbId};

const AFTER: Threshold = Threshold { name: "after", default: "1h", doc: "how long it may hide nothing" };

pub static RULE: RuleInfo = RuleInfo {
    id: "silence-matches-nothing",
    area: "alerting",
    tier: 2,
    burns: false,
    severity: Severity::Info,
    scope: "silence",
    summary: "It has hidden no alert for an hour",
    why: "A mistyped silence gives false safety; a leftover one will hide a real alert later.",
    kinds: &[Kind::Silence],
    needs: &[],
    leans_on: &[],
    thresholds: &[AFTER],
    peers: &[],
    links: &["https://prometheus.io/docs/alerting/latest/alertmanager/#silences"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Silence(s)) = judge.object else { return Verdict::Fine };
    if s.state != SilenceState::Active || s.hides > 0 {
        return Verdict::Fine;
    }
    let began = s.starts.map_or(judge.now, |t| t.secs());
    let hold = judge.value(&AFTER);
    let held = judge.held(began, hold).and_then(|()| judge.held_since_seen(hold.min(600)));
    super::after(held, || {
        let matchers: Vec<String> = s.matchers.iter().map(ToString::to_string).collect();
        judge
            .finding(Severity::Info, s.starts, "hides nothing")
            .with("matches", matchers.join(" "), None)
            .with("by", &*s.creator, None)
            .with("comment", &*s.comment, None)
            .then("Correct its matchers, or end it")
            .here(VerbId::SilenceExpire, &[])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, NOW, told};
    use crate::model::{ClusterId, Service, ServiceState, Time};

    fn at(age: i64, hides: u32, wait: i64) -> Option<Severity> {
        let mut fleet = Fleet::default();
        let mut silence = crate::model::silence::tests::silence("s1", SilenceState::Active, NOW + 90_000);
        silence.starts = Time::from_secs(NOW - age);
        silence.hides = hides;
        let own = silence.meta.uid;
        told(&mut fleet, Service::Alertmanager, ServiceState::Live, vec![Object::Silence(silence.into())]);
        fleet.wait(wait);
        fleet.engine.for_object(ClusterId(0), own).iter().find(|f| f.rule.id == RULE.id).map(|f| f.severity)
    }

    #[test]
    fn after_an_hour_of_its_own_and_ten_minutes_of_ours() {
        assert_eq!(at(3600, 0, 599), None);
        assert_eq!(at(3600, 0, 600), Some(Severity::Info));
        assert_eq!(at(3600, 1, 600), None);
    }
}
