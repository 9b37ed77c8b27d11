//! Pods that take traffic and do not say when they can.

use super::lint::{SERVING, Whole};
use crate::inspect::{Judge, RuleInfo, Severity, Verdict};

pub static RULE: RuleInfo = RuleInfo {
    id: "probes-missing",
    area: "availability",
    tier: 1,
    burns: false,
    severity: Severity::Critical,
    scope: "workload, by container",
    summary: "No container of a pod that serves has a readiness probe: a warning, critical for core workloads; info: no liveness probe",
    why: "Without readiness, traffic reaches a pod before it listens and while it shuts down.",
    kinds: SERVING,
    needs: &[],
    leans_on: &[],
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
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(whole) = Whole::of(judge) else { return Verdict::Fine };
    let Some(by) = whole.serves() else { return Verdict::Fine };
    let all = || whole.template.running();
    let (severity, message, next) = if !all().any(|c| c.readiness.is_some()) {
        let severity = if whole.core() { Severity::Critical } else { Severity::Warning };
        (
            severity,
            "no readiness probe, and it serves",
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
    let finding = judge.finding(severity, None, message).with("it serves", by, None).with("containers", names.join(", "), None);
    whole.verdict(judge, Some(finding.then(next).edit()))
}

#[cfg(test)]
mod tests {
    use super::super::lint::tests::one;
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_serves_says_when_it_can() {
        let rule = |c: Value, core| one(RULE.id, c, core).map(|f| f.0);
        let probe = json!({"httpGet": {"port": 80}});
        let port = json!([{"containerPort": 80}]);
        assert_eq!(rule(json!({}), true), None, "it serves nobody");
        assert_eq!(
            (rule(json!({"ports": port}), false), rule(json!({"ports": port}), true)),
            (Some(Severity::Warning), Some(Severity::Critical))
        );
        assert_eq!(rule(json!({"ports": port, "readinessProbe": probe}), true), Some(Severity::Info));
        assert_eq!(rule(json!({"ports": port, "readinessProbe": probe, "livenessProbe": probe}), true), None);
        assert_eq!(rule(json!({"ports": port, "livenessProbe": probe}), false), Some(Severity::Warning));
    }
}
