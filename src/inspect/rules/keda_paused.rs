//! ScaledObjects that stand still: paused and forgotten, or with triggers that fail.
//!
//! Left out: ScaledJobs, load above the target while paused, and what Prometheus has of the scalers.

use super::core;
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict, title};
use crate::model::asked::{Part, Scaled};
use crate::model::{Kind, Object, Time};

const PAUSED: Threshold = Threshold { name: "paused-after", default: "24h", doc: "how long it may be paused" };
const WRONG: Threshold = Threshold { name: "after", default: "5m", doc: "how long it may be not ready, or at its fallback" };

pub static RULE: RuleInfo = RuleInfo {
    id: "keda-paused",
    area: "capacity",
    tier: 1,
    burns: false,
    severity: Severity::Critical,
    scope: "cluster, its ScaledObjects",
    summary: "A ScaledObject is paused for a day (critical when what it scales is core), not ready or at its fallback for 5 minutes, or a trigger fails three times in a row",
    why: "A pause set during an incident is easily forgotten, and a failing trigger silently pins the fallback size.",
    kinds: &[],
    needs: &[Need::Asked(Part::Scaled)],
    leans_on: &[],
    thresholds: &[PAUSED, WRONG],
    peers: &[],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Ok(all) = &judge.cluster.asked.scaled else { return Verdict::Fine };
    if all.is_empty() {
        return Verdict::Fine;
    }
    let target = |s: &Scaled| Kind::parse(&s.target.0).and_then(|kind| judge.cluster.named(kind, &s.namespace, &s.target.1));
    let hold = |t: &Threshold| judge.value(t);
    let mut next: Option<i64> = None;
    let mut wait = |held: Result<(), i64>| match held {
        Ok(()) => true,
        Err(at) => {
            next = Some(next.map_or(at, |n| n.min(at)));
            false
        }
    };
    let mut found: Vec<(Severity, &Scaled, String, Option<Time>)> = Vec::new();
    for s in all {
        let dated = |since: Option<Time>, secs: i64| judge.held(since.map_or(judge.now, Time::secs), secs);
        if !s.paused.is_empty() && wait(dated(s.since, hold(&PAUSED))) {
            let is_core = target(s).is_some_and(|o| core(judge, o));
            let severity = if is_core { Severity::Critical } else { Severity::Warning };
            found.push((severity, s, format!("paused ({})", s.paused.join(", ")), s.since));
        } else if let Some((condition, message)) = s.wrong.as_ref().filter(|_| wait(dated(s.wrong_since, hold(&WRONG)))) {
            let words = if &**condition == "Fallback" { "at its fallback" } else { "not ready" };
            found.push((Severity::Warning, s, format!("{words}: {message}"), s.wrong_since));
        } else if let Some((name, n)) = s.failing.first() {
            found.push((Severity::Warning, s, format!("trigger {name} failed {n} times in a row"), None));
        }
    }
    found.sort_by_key(|f| std::cmp::Reverse(f.0));
    let Some((severity, first, words, since)) = found.first() else { return next.map_or(Verdict::Fine, Verdict::FineUntil) };
    let more = if found.len() > 1 { format!(" and {} more", found.len() - 1) } else { String::new() };
    let mut finding = judge.finding(*severity, *since, format!("{} {words}{more}", title(&first.namespace, &first.name)));
    for (_, s, words, since) in found.iter().take(8) {
        let replicas = match target(s) {
            Some(Object::Workload(w)) => format!("; {} {} has {} of {} replicas", s.target.0, s.target.1, w.ready, w.desired.unwrap_or(0)),
            _ => format!("; {} {}", s.target.0, s.target.1),
        };
        let by = s.by.as_deref().map(|b| format!("; written by {b}")).unwrap_or_default();
        finding = finding.with(&title(&s.namespace, &s.name), format!("{words}{replicas}{by}"), *since);
    }
    finding = finding.then("Take the annotation autoscaling.keda.sh/paused away when the incident is over, or mend the trigger");
    match next {
        Some(at) => Verdict::BurningUntil(finding, at),
        None => Verdict::Burning(finding),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, NOW, deployment};
    use crate::model::{Asked, ClusterId, Delta, Str, Uid};
    use serde_json::json;

    fn scaled() -> Scaled {
        Scaled {
            namespace: "pay".into(),
            name: "web".into(),
            target: ("Deployment".into(), "web".into()),
            paused: Box::default(),
            since: None,
            by: None,
            wrong: None,
            wrong_since: None,
            failing: Box::default(),
        }
    }

    fn at(s: Scaled, is_core: bool, wait: i64) -> Option<Severity> {
        let mut fleet = Fleet::default();
        let mut d = deployment("web", 2, 2);
        if is_core {
            d["metadata"]["labels"] = json!({"tier": "core"});
        }
        fleet.put(Kind::Deployment, [d]);
        fleet.delta(0, Delta::Asked(Asked { scaled: Ok([s].into()), ..Asked::default() }.into()));
        fleet.wait(wait);
        fleet.engine.for_object(ClusterId(0), Uid::default()).iter().find(|f| f.rule == &RULE).map(|f| f.severity)
    }

    #[test]
    fn a_pause_of_a_day_and_what_fails() {
        let before = |secs: i64| Time::from_secs(NOW - secs);
        let paused = |since| Scaled { paused: ["paused=true".into()].into(), since, ..scaled() };
        assert_eq!((at(paused(before(86_400)), false, 0), at(paused(before(86_399)), false, 0)), (Some(Severity::Warning), None));
        assert_eq!(at(paused(before(86_399)), true, 1), Some(Severity::Critical));
        let wrong = |since| Scaled { wrong: Some((Str::from("Fallback"), Str::from("x"))), wrong_since: before(since), ..scaled() };
        assert_eq!((at(wrong(300), false, 0), at(wrong(299), false, 0)), (Some(Severity::Warning), None));
        assert_eq!(at(Scaled { failing: [("s0".into(), 3)].into(), ..scaled() }, false, 0), Some(Severity::Warning));
    }
}
