//! ScaledObjects and ScaledJobs that stand still: paused and forgotten, or with triggers that fail.
//!
//! Load above the target while paused is told where KEDA leaves the autoscaler in place, which it does when only one direction is paused. Left out: what
//! Prometheus has of the scalers (KEDA says of each trigger itself how often it failed).

use super::{core, later, scaler};
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict, title};
use crate::model::asked::{Part, Scaled};
use crate::model::{HpaMetric, Kind, Object, Time};

const PAUSED: Threshold = Threshold { name: "paused-after", default: "24h", doc: "how long it may be paused" };
const WRONG: Threshold = Threshold { name: "after", default: "5m", doc: "how long it may be not ready, or at its fallback" };

/// How often one looks again (seconds) at the load of what is paused.
const AGAIN: i64 = 60;

pub static RULE: RuleInfo = RuleInfo {
    id: "keda-paused",
    area: "capacity",
    tier: 1,
    burns: false,
    severity: Severity::Critical,
    scope: "cluster, its ScaledObjects and ScaledJobs",
    summary: "A ScaledObject or ScaledJob is paused for a day, or for 5 minutes while a metric of its autoscaler is above its target (critical when what it scales is core), not ready or at its fallback for 5 minutes, or a trigger fails three times in a row",
    why: "A pause set during an incident is easily forgotten, and a failing trigger silently pins the fallback size.",
    kinds: &[],
    needs: &[Need::Asked(Part::Scaled)],
    leans_on: &[],
    thresholds: &[PAUSED, WRONG],
    peers: &[],
    links: &[
        "https://keda.sh/docs/latest/concepts/scaling-deployments/#pausing-autoscaling",
        "https://keda.sh/docs/latest/reference/scaledobject-spec/#fallback",
    ],
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
        let loaded = if s.paused.is_empty() { None } else { target(s).and_then(|o| loaded(judge, o)) };
        let patience = if loaded.is_some() { &WRONG } else { &PAUSED };
        if !s.paused.is_empty() && wait(dated(s.since, hold(patience))) {
            let is_core = target(s).is_some_and(|o| core(judge, o));
            let severity = if is_core { Severity::Critical } else { Severity::Warning };
            let load = loaded.map(|m| format!(" while {m} is above its target")).unwrap_or_default();
            found.push((severity, s, format!("paused ({}){load}", s.paused.join(", ")), s.since));
        } else if let Some((condition, message)) = s.wrong.as_ref().filter(|_| wait(dated(s.wrong_since, hold(&WRONG)))) {
            let words = if &**condition == "Fallback" { "at its fallback" } else { "not ready" };
            found.push((Severity::Warning, s, format!("{words}: {message}"), s.wrong_since));
        } else if let Some((name, n)) = s.failing.first() {
            found.push((Severity::Warning, s, format!("trigger {name} failed {n} times in a row"), None));
        }
    }
    found.sort_by_key(|f| std::cmp::Reverse(f.0));
    // Load comes and goes without what is asked.
    let again = all.iter().any(|s| !s.paused.is_empty() && !is_job(s)).then(|| later(judge, AGAIN));
    let Some((severity, first, words, since)) = found.first() else {
        return match (next, again) {
            (Some(at), again) => Verdict::FineUntil(again.map_or(at, |again| again.min(at))),
            (None, again) => again.map_or(Verdict::Fine, Verdict::LookAgain),
        };
    };
    let more = if found.len() > 1 { format!(" and {} more", found.len() - 1) } else { String::new() };
    let named = |s: &Scaled| {
        let kind = if is_job(s) { "ScaledJob " } else { "" };
        format!("{kind}{}", title(&s.namespace, &s.name))
    };
    let mut finding = judge.finding(*severity, *since, format!("{} {words}{more}", named(first)));
    for (_, s, words, since) in found.iter().take(8) {
        let replicas = match target(s) {
            Some(Object::Workload(w)) => format!("; {} {} has {} of {} replicas", s.target.0, s.target.1, w.ready, w.desired.unwrap_or(0)),
            _ if is_job(s) => String::new(),
            _ => format!("; {} {}", s.target.0, s.target.1),
        };
        let by = s.by.as_deref().map(|b| format!("; written by {b}")).unwrap_or_default();
        finding = finding.with(&named(s), format!("{words}{replicas}{by}"), *since);
    }
    finding = finding.then("Take the annotation autoscaling.keda.sh/paused away when the incident is over, or mend the trigger");
    let next = again.into_iter().chain(next).min();
    match next {
        Some(at) => Verdict::BurningUntil(finding, at),
        None => Verdict::Burning(finding),
    }
}

fn is_job(s: &Scaled) -> bool {
    &*s.target.0 == "ScaledJob"
}

/// The metric of a workload's autoscaler that is above its target.
fn loaded<'a>(judge: &Judge<'a>, of: &Object) -> Option<&'a str> {
    let Object::Workload(w) = of else { return None };
    let above = |m: &&HpaMetric| m.current.zip(m.target).is_some_and(|(now, target)| now > target);
    scaler(judge, w)?.metrics.iter().find(above).map(|m| &*m.name)
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
    #[test]
    fn a_pause_while_its_load_is_above_the_target() {
        let of = |cpu: i64, since: i64, wait: i64| {
            let mut fleet = Fleet::default();
            fleet.put(Kind::Deployment, [deployment("web", 2, 2)]);
            let metric =
                json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}});
            let now = json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": cpu}}});
            fleet.put(
                Kind::Hpa,
                [json!({"metadata": {"name": "keda-hpa-web"},
                "spec": {"maxReplicas": 9, "scaleTargetRef": {"kind": "Deployment", "name": "web"}, "metrics": [metric]},
                "status": {"currentReplicas": 2, "currentMetrics": [now]}})],
            );
            let s = Scaled { paused: ["paused-scale-out=true".into()].into(), since: Time::from_secs(NOW - since), ..scaled() };
            fleet.delta(0, Delta::Asked(Asked { scaled: Ok([s].into()), ..Asked::default() }.into()));
            fleet.wait(wait);
            fleet.engine.for_object(ClusterId(0), Uid::default()).iter().find(|f| f.rule == &RULE).map(|f| f.message.clone())
        };
        let says = "pay/web paused (paused-scale-out=true) while cpu is above its target";
        assert_eq!((of(81, 300, 0).as_deref(), of(81, 299, 0), of(80, 300, 0)), (Some(says), None, None));
        assert_eq!(of(81, 240, 60).as_deref(), Some(says), "by the clock alone");
    }

    #[test]
    fn a_job_that_is_paused_is_named_so() {
        let mut fleet = Fleet::default();
        let s = Scaled {
            target: ("ScaledJob".into(), "web".into()),
            paused: ["paused=true".into()].into(),
            since: Time::from_secs(NOW - 86_400),
            ..scaled()
        };
        fleet.delta(0, Delta::Asked(Asked { scaled: Ok([s].into()), ..Asked::default() }.into()));
        let found = fleet.engine.for_object(ClusterId(0), Uid::default()).iter().find(|f| f.rule == &RULE).cloned().unwrap();
        assert_eq!((found.severity, found.message.as_str()), (Severity::Warning, "ScaledJob pay/web paused (paused=true)"));
    }
    #[test]
    fn load_that_rises_later_and_core_first() {
        let mut fleet = Fleet::default();
        let hpa = |cpu: i64| {
            let metric =
                json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}});
            let now = json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": cpu}}});
            json!({"metadata": {"name": "keda-hpa-web"},
                "spec": {"maxReplicas": 9, "scaleTargetRef": {"kind": "Deployment", "name": "web"}, "metrics": [metric]},
                "status": {"currentReplicas": 2, "currentMetrics": [now]}})
        };
        let message = |fleet: &Fleet| {
            let all = fleet.engine.for_object(ClusterId(0), Uid::default());
            all.iter().find(|f| f.rule == &RULE).map(|f| (f.severity, f.message.clone()))
        };
        let mut core = deployment("api", 2, 2);
        core["metadata"]["labels"] = json!({"tier": "core"});
        fleet.put(Kind::Deployment, [deployment("web", 2, 2), core]).put(Kind::Hpa, [hpa(50)]);
        let paused = |name: &str, secs: i64| Scaled {
            name: name.into(),
            target: ("Deployment".into(), name.into()),
            paused: ["paused-scale-out=true".into()].into(),
            since: Time::from_secs(NOW - secs),
            ..scaled()
        };
        fleet.delta(0, Delta::Asked(Asked { scaled: Ok([paused("web", 3600)].into()), ..Asked::default() }.into()));
        assert_eq!(message(fleet.wait(60)), None);
        fleet.put(Kind::Hpa, [hpa(90)]);
        let says = "pay/web paused (paused-scale-out=true) while cpu is above its target";
        assert_eq!(message(fleet.wait(60)), Some((Severity::Warning, says.to_owned())), "nothing of what is asked changed");
        let both = [paused("web", 90_000), paused("api", 86_400)].into();
        fleet.delta(0, Delta::Asked(Asked { scaled: Ok(both), ..Asked::default() }.into()));
        assert_eq!(message(&fleet), Some((Severity::Critical, "pay/api paused (paused-scale-out=true) and 1 more".to_owned())));
    }
}
