//! Pods that take traffic and do not say when they can.

use super::lint::{SERVED, Whole};
use crate::inspect::{Judge, Need, RuleInfo, Severity, Verdict};
use crate::model::Kind;

pub static RULE: RuleInfo = RuleInfo {
    id: "probes-missing",
    area: "availability",
    tier: 1,
    burns: false,
    severity: Severity::Critical,
    scope: "workload, by container",
    summary: "No container of a pod behind a Service has a readiness probe: a warning, critical for core workloads; info: no liveness probe",
    why: "Without readiness, traffic reaches a pod before it listens and while it shuts down.",
    kinds: SERVED,
    needs: &[Need::Kind(Kind::Service)],
    leans_on: &[Kind::Service],
    thresholds: &[],
    peers: &[
        "popeye:102",
        "popeye:103",
        "popeye:104",
        "kube-score:pod-probes",
        "polaris:readinessProbeMissing",
        "polaris:livenessProbeMissing",
        "kube-linter:no-readiness-probe",
        "kube-linter:no-liveness-probe",
    ],
    links: &["https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(whole) = Whole::of(judge) else { return Verdict::Fine };
    let Some(by) = whole.serves(judge) else { return Verdict::Fine };
    let all = || whole.template.running();
    let (severity, message, next) = if !all().any(|c| c.readiness.is_some()) {
        let severity = if whole.core() { Severity::Critical } else { Severity::Warning };
        (
            severity,
            "no readiness probe, and a Service leads to it",
            "Give the container that serves a readiness probe on its port: httpGet, tcpSocket or grpc",
        )
    } else if !all().any(|c| c.liveness.is_some()) {
        (
            Severity::Info,
            "no liveness probe",
            "Give it a liveness probe if it can hang without ending; one that asks less than readiness does",
        )
    } else {
        return Verdict::Fine;
    };
    let names: Vec<String> = all().map(|c| c.name.to_string()).collect();
    let finding = judge.finding(severity, None, message).with("Services", by, None).with("containers", names.join(", "), None);
    whole.verdict(judge, Some(finding.then(next).edit()))
}

#[cfg(test)]
mod tests {
    use super::super::lint::tests::{one, served};
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_serves_says_when_it_can() {
        let rule = |c: Value, core| served(RULE.id, c, core).map(|f| f.0);
        let probe = json!({"httpGet": {"port": 80}});
        assert_eq!(one(RULE.id, json!({}), true), None, "no Service leads to it");
        assert_eq!((rule(json!({}), false), rule(json!({}), true)), (Some(Severity::Warning), Some(Severity::Critical)));
        assert_eq!(rule(json!({"readinessProbe": probe}), true), Some(Severity::Info));
        assert_eq!(rule(json!({"readinessProbe": probe, "livenessProbe": probe}), true), None);
        assert_eq!(rule(json!({"livenessProbe": probe}), false), Some(Severity::Warning));
    }
}
