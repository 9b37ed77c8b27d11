//! Bindings that give more than a leaked token should be worth.
//!
//! Left out: aggregation of roles as it changes (the API server has resolved it), the right to make pods, and who made a binding.

use crate::inspect::explain::words::joined;
use crate::inspect::{Judge, Need, RuleInfo, Severity, Verdict};
use crate::model::asked::{Grant, Part, Reach};

pub static RULE: RuleInfo = RuleInfo {
    id: "rbac-too-wide",
    area: "security",
    tier: 2,
    burns: false,
    severity: Severity::Critical,
    scope: "cluster, its bindings",
    summary: "A binding besides the built-in ones gives everything: critical for all users or a workload's account, else a warning; a warning too for exec, secrets, impersonation, kubelets, tokens or more rights cluster-wide; info for everything or wildcards in a namespace",
    why: "One leaked token of such a subject is the whole cluster.",
    kinds: &[],
    needs: &[Need::Asked(Part::Grants)],
    leans_on: &[],
    thresholds: &[],
    peers: &[
        "polaris:clusterrolebindingClusterAdmin",
        "polaris:rolebindingClusterAdminClusterRole",
        "polaris:rolebindingClusterAdminRole",
        "polaris:clusterrolePodExecAttach",
        "polaris:clusterrolebindingPodExecAttach",
        "kube-linter:cluster-admin-role-binding",
        "kube-linter:wildcard-in-rules",
        "kube-linter:access-to-secrets",
    ],
    links: &["https://kubernetes.io/docs/concepts/security/rbac-good-practices/"],
    judge,
};

fn severity(g: &Grant) -> Severity {
    match (g.namespace.is_some(), g.everything, g.reach) {
        (true, ..) => Severity::Info,
        (false, true, Reach::Everybody | Reach::Workload) => Severity::Critical,
        _ => Severity::Warning,
    }
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Ok(grants) = &judge.cluster.asked.grants else { return Verdict::Fine };
    let mut all: Vec<(Severity, &Grant)> = grants.iter().map(|g| (severity(g), g)).collect();
    all.sort_by_key(|(severity, g)| (std::cmp::Reverse(*severity), g.reach, g.namespace.is_some()));
    let Some((worst, first)) = all.first() else { return Verdict::Fine };
    let more = if all.len() > 1 { format!(" and {} more", all.len() - 1) } else { String::new() };
    let place = |g: &Grant| g.namespace.as_ref().map_or_else(String::new, |n| format!(" in {n}"));
    let message = format!("{} may {}{}{more}", first.subject, said(first), place(first));
    let mut finding = judge.finding(*worst, None, message);
    for (severity, g) in all.iter().take(12) {
        let value = format!("{}: may {}{}, by role {}{}", g.subject, said(g), place(g), g.role, users(judge, g));
        finding = finding.with(&format!("{} {}", severity.word(), g.binding), value, None);
    }
    Verdict::Burning(finding.then("See whether the subject needs it; bind it to a role with the verbs that it uses, in its namespace"))
}

fn said(g: &Grant) -> String {
    if g.everything { "do everything".to_owned() } else { joined(g.powers.iter(), 3) }
}

/// The pods that run as a binding's subject.
fn users(judge: &Judge<'_>, g: &Grant) -> String {
    let Some((namespace, name)) = g.subject.strip_prefix("ServiceAccount ").and_then(|s| s.split_once('/')) else { return String::new() };
    match judge.index.labelled(judge.cluster, namespace, |_| true).filter(|p| *p.shape.service_account == *name).count() {
        0 => String::new(),
        n => format!("; {n} pods run as it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::Fleet;
    use crate::model::{Asked, ClusterId, Delta, Uid};

    #[test]
    fn who_has_it_and_where_decides() {
        let at = |everything: bool, reach: Reach, namespace: Option<&str>| {
            let mut fleet = Fleet::default();
            let grant = Grant {
                binding: "b".into(),
                namespace: namespace.map(Into::into),
                role: "r".into(),
                subject: "ServiceAccount pay/web".into(),
                reach,
                everything,
                powers: ["exec into pods".into()].into(),
            };
            fleet.delta(0, Delta::Asked(Asked { grants: Ok([grant].into()), ..Asked::default() }.into()));
            let all = fleet.engine.for_object(ClusterId(0), Uid::default());
            all.iter().find(|f| f.rule == &RULE).map(|f| (f.severity, f.message.clone()))
        };
        let severity = |e, r, n| at(e, r, n).map(|f| f.0);
        assert_eq!(at(true, Reach::Workload, None), Some((Severity::Critical, "ServiceAccount pay/web may do everything".to_owned())));
        assert_eq!(severity(true, Reach::Everybody, None), Some(Severity::Critical));
        assert_eq!(severity(true, Reach::Person, None), Some(Severity::Warning));
        assert_eq!(severity(false, Reach::Workload, None), Some(Severity::Warning));
        assert_eq!(severity(true, Reach::Workload, Some("pay")), Some(Severity::Info));
        let mut none = Fleet::default();
        none.delta(0, Delta::Asked(Asked { grants: Ok([].into()), ..Asked::default() }.into()));
        assert!(none.engine.for_object(ClusterId(0), Uid::default()).is_empty());
    }

    #[test]
    fn the_pods_that_run_as_it_are_those_of_its_namespace_and_account() {
        use crate::inspect::fixture::{pod, running};
        let mut fleet = Fleet::default();
        let of = |name: &str, namespace: &str, account: &str| {
            let mut p = pod(serde_json::json!({"name": name, "namespace": namespace}), "n1", true, 900, running());
            p["spec"]["serviceAccountName"] = account.into();
            p
        };
        fleet.put(crate::model::Kind::Pod, [of("a", "pay", "web"), of("b", "pay", "web"), of("c", "pay", "other"), of("d", "shop", "web")]);
        let grant = Grant {
            binding: "b".into(),
            namespace: None,
            role: "r".into(),
            subject: "ServiceAccount pay/web".into(),
            reach: Reach::Workload,
            everything: true,
            powers: Box::default(),
        };
        fleet.delta(0, Delta::Asked(Asked { grants: Ok([grant].into()), ..Asked::default() }.into()));
        let all = fleet.engine.for_object(ClusterId(0), Uid::default());
        let found = all.iter().find(|f| f.rule == &RULE).unwrap();
        assert!(found.evidence.iter().any(|e| e.value.ends_with("; 2 pods run as it")), "{found:?}");
    }
}
