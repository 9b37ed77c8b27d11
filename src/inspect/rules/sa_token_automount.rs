//! Pods that get a credential of the API for nothing.
//!
//! Judged from the template; the ServiceAccount may still say otherwise. A binding that gives such an account much is
//! rbac-too-wide's. Left out: token Secrets, which are not read.

use super::lint::{TEMPLATED, Whole};
use crate::inspect::{Judge, RuleInfo, Severity, Verdict};

pub static RULE: RuleInfo = RuleInfo {
    id: "sa-token-automount",
    area: "security",
    tier: 2,
    burns: false,
    severity: Severity::Info,
    scope: "workload",
    summary: "A template leaves the token of the default ServiceAccount mounted",
    why: "Every process in the pod gets an API credential it rarely needs.",
    kinds: TEMPLATED,
    needs: &[],
    leans_on: &[],
    thresholds: &[],
    peers: &[
        "~popeye:300",
        "~popeye:301",
        "~popeye:303",
        "~popeye:308",
        "polaris:automountServiceAccountToken",
        "kube-linter:default-service-account",
    ],
    links: &["https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#opt-out-of-api-credential-automounting"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(whole) = Whole::of(judge) else { return Verdict::Fine };
    if whole.template.automount == Some(false) || !matches!(&*whole.shape.service_account, "" | "default") {
        return Verdict::Fine;
    }
    let said = whole.template.automount.map_or("not said", |_| "true");
    let finding = judge
        .finding(Severity::Info, None, "its pods hold the default ServiceAccount's token")
        .with("serviceAccountName", "default", None)
        .with("automountServiceAccountToken", said, None)
        .then("Set automountServiceAccountToken: false, or give it a ServiceAccount of its own if it speaks to the API");
    whole.verdict(judge, Some(finding.edit()))
}

#[cfg(test)]
mod tests {
    use super::super::lint::tests::judged;
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn the_default_account_with_its_token() {
        let rule = |spec: Value| {
            let mut spec = spec;
            spec["containers"] = json!([{"name": "a"}]);
            judged(RULE.id, spec, true).map(|f| f.0)
        };
        assert_eq!((rule(json!({})), rule(json!({"serviceAccountName": "default"}))), (Some(Severity::Info), Some(Severity::Info)));
        assert_eq!(rule(json!({"automountServiceAccountToken": true})), Some(Severity::Info));
        assert_eq!((rule(json!({"automountServiceAccountToken": false})), rule(json!({"serviceAccountName": "web"}))), (None, None));
    }
}
