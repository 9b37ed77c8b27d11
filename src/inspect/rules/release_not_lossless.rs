//! A rollout that drops requests by the way its template is made, or whose pods had to be killed when they were replaced.
//!
//! Judged from the template, and by how the containers of deleted pods ended as far as that was seen since this program follows the cluster. Left out:
//! errors at the Ingress during rollouts (it counts by Service, and says of no answer which pod gave it). An app that drains by itself says so with the
//! label `quarterdeck.io/drains=true`.

use super::lint::{REPLICATED, Whole};
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Workload, WorkloadDetail, pdb::Amount};

const DELAY: Threshold = Threshold { name: "delay", default: "5s", doc: "how long a pod goes on serving before it is told to stop" };
const MARGIN: Threshold = Threshold { name: "margin", default: "10s", doc: "what the grace period leaves after the delay" };
const KILLED: Threshold =
    Threshold { name: "killed-from", default: "30%", doc: "of the containers of replaced pods, those that had to be killed" };
const REPLACED: Threshold =
    Threshold { name: "replaced-from", default: "3", doc: "containers of replaced pods within a day from which their ends are judged" };
/// Seconds that the end of a replaced pod counts.
const DAY: i64 = 86_400;

pub static RULE: RuleInfo = RuleInfo {
    id: "release-not-lossless",
    area: "release",
    tier: 1,
    burns: false,
    severity: Severity::Critical,
    scope: "workload behind a Service",
    summary: "Of the containers of pods that were replaced within a day 30 % were killed when their grace period was over (critical); no readiness, no delay before the stop, a grace period that the delay uses up, Recreate, or all pods may be unavailable at once; info for StatefulSets",
    why: "Endpoint removal and SIGTERM start at the same moment; a pod that stops at once drops requests that proxies still send to it.",
    kinds: REPLICATED,
    needs: &[Need::Kind(Kind::Service)],
    leans_on: &[Kind::Service],
    thresholds: &[DELAY, MARGIN, KILLED, REPLACED],
    peers: &["kube-score:deployment-strategy", "kube-linter:no-rolling-update-strategy"],
    links: &[
        "https://kubernetes.io/docs/tutorials/services/pods-and-endpoint-termination-flow/",
        "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination",
    ],
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
    let ends = Ends::of(judge, w);
    let killed = ends.all >= judge.value(&REPLACED).max(1) && ends.killed * 100 >= ends.all * judge.value(&KILLED);
    if killed {
        wrong
            .insert(0, format!("{} of {} containers of replaced pods were killed when their grace period was over", ends.killed, ends.all));
    }
    if wrong.is_empty() {
        return ends.next.map_or(Verdict::Fine, Verdict::LookAgain);
    }
    // Stateful programs hand over by their own protocols.
    let severity = match w.kind {
        _ if killed => Severity::Critical,
        Kind::StatefulSet => Severity::Info,
        _ => Severity::Warning,
    };
    let hook = if hooks.is_empty() { "none".to_owned() } else { waits.map_or_else(|| "no sleep in it".to_owned(), |n| format!("{n} s")) };
    let finding = judge
        .finding(severity, None, wrong.join("; "))
        .with("Services", by, None)
        .with("preStop", hook, None)
        .with("grace period", format!("{} s", whole.shape.grace), None)
        .with("strategy", rollout(w), None)
        .with("containers of replaced pods that were seen to end", ends.words(), None)
        .then("Add preStop sleep 10, a grace period of that, the longest request and 10 s more, and roll out with maxUnavailable 0 and maxSurge 25%");
    match (whole.verdict(judge, Some(finding.edit())), ends.next) {
        (Verdict::Burning(finding), Some(at)) => Verdict::BurningUntil(finding, at),
        (verdict, _) => verdict,
    }
}

/// How the containers of a workload's deleted pods ended within the last day.
struct Ends {
    all: i64,
    killed: i64,
    unhandled: i64,
    /// When the oldest counts no more (unix seconds).
    next: Option<i64>,
}

impl Ends {
    fn of(judge: &Judge<'_>, w: &Workload) -> Self {
        let mut ends = Self { all: 0, killed: 0, unhandled: 0, next: None };
        for stop in judge.cluster.stops.of(w.meta.uid).filter(|s| s.at + DAY > judge.now) {
            ends.all += i64::from(stop.ended);
            ends.killed += i64::from(stop.killed);
            ends.unhandled += i64::from(stop.unhandled);
            ends.next.get_or_insert(stop.at + DAY);
        }
        ends
    }

    fn words(&self) -> String {
        if self.all == 0 {
            return String::new();
        }
        format!("{}: {} killed (137), {} ended by SIGTERM at once (143)", self.all, self.killed, self.unhandled)
    }
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
    #[test]
    fn replaced_pods_that_had_to_be_killed() {
        use crate::inspect::fixture::{ago, owned, pod, replicaset};
        let of = |codes: &[i64], wait: i64| {
            let mut fleet = Fleet::default();
            let mut d = with(
                json!({"terminationGracePeriodSeconds": 30, "containers": [
                    {"name": "a", "ports": [{"containerPort": 80}], "readinessProbe": {"httpGet": {"port": 80}}, "lifecycle": sleep(10)}]}),
                false,
            );
            fleet.put(Kind::Service, [service("web", "web")]).put(Kind::Deployment, [d.clone()]);
            fleet.put(Kind::ReplicaSet, [replicaset("rs", "web", 2, "i:1", 900, 2)]);
            for (n, code) in codes.iter().enumerate() {
                let name = format!("p{n}");
                let mut metadata = owned(&name, Kind::ReplicaSet, "rs");
                metadata["deletionTimestamp"] = json!(ago(1));
                let end = json!({"restartCount": 0, "state": {"terminated": {"exitCode": code, "reason": "Error"}}});
                fleet.put(Kind::Pod, [pod(metadata, "n1", false, 1, end)]);
                fleet.delete(Kind::Pod, &name);
            }
            // Its rollout goes on.
            d["status"]["readyReplicas"] = json!(1);
            fleet.put(Kind::Deployment, [d]);
            fleet.wait(wait).finding(Kind::Deployment, "web", RULE.id).map(|f| (f.severity, f.message.clone()))
        };
        let says = "3 of 10 containers of replaced pods were killed when their grace period was over";
        assert_eq!(of(&[137, 137, 137, 0, 0, 0, 0, 143, 143, 0], 0), Some((Severity::Critical, says.to_owned())));
        assert_eq!(of(&[137, 137, 0, 0, 0, 0, 0, 143, 143, 0], 0), None, "a fifth");
        assert_eq!(of(&[137, 137], 0), None, "too few");
        assert_eq!(of(&[137, 137, 137], DAY - 1).map(|f| f.0), Some(Severity::Critical));
        assert_eq!(of(&[137, 137, 137], DAY), None, "a day ago");
    }
    #[test]
    fn what_had_to_be_killed_is_critical_of_a_set_too() {
        use crate::inspect::fixture::{ago, owned, pod};
        let mut fleet = Fleet::default();
        let template = json!({"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "a"}]}});
        let set = json!({"metadata": {"name": "db", "creationTimestamp": ago(90_000)}, "spec": {"replicas": 3, "template": template}, "status": {}});
        fleet.put(Kind::Service, [service("db", "db")]).put(Kind::StatefulSet, [set.clone()]);
        assert_eq!(fleet.severity(Kind::StatefulSet, "db", RULE.id), Some(Severity::Info), "by its template");
        for n in 0..3 {
            let name = format!("db-{n}");
            let mut metadata = owned(&name, Kind::StatefulSet, "db");
            metadata["deletionTimestamp"] = json!(ago(1));
            let end = json!({"restartCount": 0, "state": {"terminated": {"exitCode": 137, "reason": "Error"}}});
            fleet.put(Kind::Pod, [pod(metadata, "n1", false, 1, end)]);
            fleet.delete(Kind::Pod, &name);
        }
        let mut changed = set;
        changed["status"]["readyReplicas"] = json!(1);
        fleet.put(Kind::StatefulSet, [changed]);
        assert_eq!(fleet.severity(Kind::StatefulSet, "db", RULE.id), Some(Severity::Critical));
    }
}
