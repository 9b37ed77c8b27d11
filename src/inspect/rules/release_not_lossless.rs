//! A rollout that drops requests by the way its template is made.
//!
//! Judged from the template. Left out: what was measured during rollouts (errors at the Ingress, exit codes of replaced pods).
//! An app that drains by itself says so with the label `quarterdeck.io/drains=true`.

use super::lint::{REPLICATED, Whole};
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Workload, WorkloadDetail, pdb::Amount};

const DELAY: Threshold = Threshold { name: "delay", default: "5s", doc: "how long a pod goes on serving before it is told to stop" };
const MARGIN: Threshold = Threshold { name: "margin", default: "10s", doc: "what the grace period leaves after the delay" };

pub static RULE: RuleInfo = RuleInfo {
    id: "release-not-lossless",
    area: "release",
    tier: 1,
    burns: false,
    severity: Severity::Warning,
    scope: "workload behind a Service",
    summary: "No readiness, no delay before the stop, a grace period that the delay uses up, Recreate, or all pods may be unavailable at once; info for StatefulSets",
    why: "Endpoint removal and SIGTERM start at the same moment; a pod that stops at once drops requests that proxies still send to it.",
    kinds: REPLICATED,
    needs: &[Need::Kind(Kind::Service)],
    leans_on: &[Kind::Service],
    thresholds: &[DELAY, MARGIN],
    peers: &["kube-score:deployment-strategy", "kube-linter:no-rolling-update-strategy"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(whole) = Whole::of(judge) else { return Verdict::Fine };
    let (Some(by), Some(w)) = (whole.serves(judge), whole.workload.filter(|w| w.desired.is_some_and(|n| n > 0))) else {
        return Verdict::Fine;
    };
    // Sidecars that declare no port take no requests of others.
    let ports = whole.template.running().any(|c| !c.ports.is_empty());
    let serving = || whole.template.running().filter(|c| !ports || !c.ports.is_empty());
    let mut wrong: Vec<String> = Vec::new();
    if !whole.template.running().any(|c| c.readiness.is_some()) {
        wrong.push("no readiness probe".to_owned());
    }
    let drains = w.meta.labels.get("quarterdeck.io/drains").or(whole.labels.get("quarterdeck.io/drains")) == Some("true");
    let hooks: Vec<_> = serving().filter_map(|c| c.pre_stop).collect();
    let waits = hooks.iter().map(|h| h.waits).max().flatten();
    if !drains {
        match (hooks.is_empty(), waits) {
            (true, _) => wrong.push("no preStop: it stops while requests still come".to_owned()),
            (false, Some(n)) if i64::from(n) < judge.value(&DELAY) => wrong.push(format!("preStop waits {n} s only")),
            // What a hook without a sleep does is its own affair.
            _ => {}
        }
    }
    if let Some(n) = waits
        && i64::from(n) + judge.value(&MARGIN) > i64::from(whole.shape.grace)
    {
        wrong.push(format!("preStop waits {n} s of a grace period of {} s", whole.shape.grace));
    }
    wrong.extend(strategy(w));
    if wrong.is_empty() {
        return Verdict::Fine;
    }
    // Stateful programs hand over by their own protocols.
    let severity = if w.kind == Kind::StatefulSet { Severity::Info } else { Severity::Warning };
    let hook = if hooks.is_empty() { "none".to_owned() } else { waits.map_or_else(|| "no sleep in it".to_owned(), |n| format!("{n} s")) };
    let finding = judge
        .finding(severity, None, wrong.join("; "))
        .with("Services", by, None)
        .with("preStop", hook, None)
        .with("grace period", format!("{} s", whole.shape.grace), None)
        .with("strategy", rollout(w), None)
        .then("Add preStop sleep 10, a grace period of that, the longest request and 10 s more, and roll out with maxUnavailable 0 and maxSurge 25%");
    whole.verdict(judge, Some(finding.edit()))
}

fn strategy(w: &Workload) -> Option<String> {
    let WorkloadDetail::Deployment { strategy, max_unavailable, .. } = &w.detail else { return None };
    if &**strategy == "Recreate" {
        return Some("Recreate: no pod serves during a rollout".to_owned());
    }
    let desired = w.desired.unwrap_or(0);
    let all = match max_unavailable {
        Some(Amount::Count(n)) => *n >= desired,
        Some(Amount::Percent(p)) => *p >= 100,
        None => false,
    };
    all.then(|| {
        format!(
            "maxUnavailable {} of {desired}: no pod may serve during a rollout",
            max_unavailable.map(|a| a.to_string()).unwrap_or_default()
        )
    })
}

fn rollout(w: &Workload) -> String {
    match &w.detail {
        WorkloadDetail::Deployment { strategy, max_unavailable, max_surge, min_ready, .. } => {
            let amount = |a: &Option<Amount>| a.map_or_else(|| "25%".to_owned(), |a| a.to_string());
            let strategy = if strategy.is_empty() { "RollingUpdate" } else { strategy };
            format!("{strategy}, maxUnavailable {}, maxSurge {}, minReadySeconds {min_ready}", amount(max_unavailable), amount(max_surge))
        }
        WorkloadDetail::StatefulSet { strategy, .. } => strategy.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::lint::tests::with;
    use super::*;
    use crate::inspect::fixture::{Fleet, service};
    use serde_json::{Value, json};

    fn at(hook: Value, grace: i64, strategy: Value, labels: Value) -> Option<String> {
        let probe = json!({"httpGet": {"port": 80}});
        let mut d = with(
            json!({"terminationGracePeriodSeconds": grace, "containers": [{"name": "a", "ports": [{"containerPort": 80}], "readinessProbe": probe, "lifecycle": hook}]}),
            false,
        );
        d["spec"]["strategy"] = strategy;
        d["metadata"]["labels"] = labels;
        let mut fleet = Fleet::default();
        fleet.put(Kind::Service, [service("web", "web")]).put(Kind::Deployment, [d]);
        fleet.finding(Kind::Deployment, "web", RULE.id).map(|f| f.message.clone())
    }

    fn sleep(seconds: i64) -> Value {
        json!({"preStop": {"sleep": {"seconds": seconds}}})
    }

    #[test]
    fn the_delay_and_the_grace_period() {
        let hook = |hook: Value, grace: i64| at(hook, grace, json!({}), json!({}));
        assert_eq!(hook(sleep(10), 30), None);
        assert_eq!(hook(Value::Null, 30).as_deref(), Some("no preStop: it stops while requests still come"));
        assert_eq!(at(Value::Null, 30, json!({}), json!({"quarterdeck.io/drains": "true"})), None, "it says that it drains");
        assert_eq!((hook(sleep(5), 30), hook(sleep(4), 30).as_deref()), (None, Some("preStop waits 4 s only")));
        assert_eq!((hook(sleep(20), 30), hook(sleep(21), 30).as_deref()), (None, Some("preStop waits 21 s of a grace period of 30 s")));
        assert_eq!(hook(json!({"preStop": {"exec": {"command": ["/drain"]}}}), 30), None, "what it does is its own affair");
    }

    #[test]
    fn the_strategy() {
        let of = |strategy: Value| at(sleep(10), 30, strategy, json!({}));
        let rolling = |n: Value| of(json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": n}}));
        assert_eq!(of(json!({"type": "Recreate"})).as_deref(), Some("Recreate: no pod serves during a rollout"));
        assert_eq!((rolling(json!(1)), rolling(json!("99%"))), (None, None));
        assert!(rolling(json!(2)).is_some() && rolling(json!("100%")).is_some());
    }

    #[test]
    fn what_serves_nobody_may_stop_at_once() {
        assert_eq!(super::super::lint::tests::one(RULE.id, json!({}), true), None);
    }
}
