//! Kubelets that are too old, or newer than their API server.

use crate::inspect::{Judge, RuleInfo, Severity, Verdict};
use crate::model::{Kind, Object, VerbId};

pub static RULE: RuleInfo = RuleInfo {
    id: "version-skew",
    area: "control-plane",
    tier: 2,
    burns: false,
    severity: Severity::Critical,
    scope: "node",
    summary: "Its kubelet is newer than the API server or more than three minor versions older; a warning when it is three older",
    why: "Outside the supported window upgrades are blocked and behaviour is untested.",
    kinds: &[Kind::Node],
    needs: &[],
    leans_on: &[],
    thresholds: &[],
    peers: &["popeye:405", "popeye:406", "k8s-mixin:KubeVersionMismatch"],
    links: &["https://kubernetes.io/releases/version-skew-policy/", "https://kubernetes.io/docs/tasks/administer-cluster/cluster-upgrade/"],
    judge,
};

/// `v1.36.3+k3s1` as major and minor.
pub(super) fn minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches('v').split('.');
    let number = |text: &str| text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok();
    Some((number(parts.next()?)?, number(parts.next()?)?))
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Node(node)) = judge.object else { return Verdict::Fine };
    let (Some(server), Some(kubelet)) = (judge.cluster.version.as_deref().and_then(minor), minor(&node.kubelet)) else {
        return Verdict::Fine;
    };
    if server.0 != kubelet.0 {
        return Verdict::Fine;
    }
    // Since 1.28 (for kubelets of 1.25 and later) three, before that two.
    let most = if kubelet.1 >= 25 { 3 } else { 2 };
    let behind = i64::from(server.1) - i64::from(kubelet.1);
    let (severity, message) = match behind {
        ..0 => (Severity::Critical, format!("kubelet {} is newer than the API server's 1.{}", node.kubelet, server.1)),
        b if b > most => (Severity::Critical, format!("kubelet {} is {b} minor versions behind, {most} are supported", node.kubelet)),
        b if b == most => {
            (Severity::Warning, format!("kubelet {} is {b} minor versions behind: upgrade it before the API server", node.kubelet))
        }
        _ => return Verdict::Fine,
    };
    Verdict::Burning(
        judge
            .finding(severity, None, message)
            .with("API server", judge.cluster.version.as_deref().unwrap_or(""), None)
            .with("kubelet", &*node.kubelet, None)
            .then("Drain it, upgrade its kubelet, uncordon it")
            .here(VerbId::Cordon, &[]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, node};
    use crate::model::Delta;
    use serde_json::json;

    fn at(server: &str, kubelet: &str) -> Option<Severity> {
        let mut fleet = Fleet::default();
        fleet.delta(0, Delta::Version(server.into()));
        let mut n = node("n", "True", 9000);
        n["status"]["nodeInfo"] = json!({"kubeletVersion": kubelet});
        fleet.put(Kind::Node, [n]);
        fleet.severity(Kind::Node, "n", RULE.id)
    }

    #[test]
    fn the_supported_window() {
        assert_eq!((at("v1.36.3", "v1.36.0"), at("v1.36.3", "v1.34.9+k3s1")), (None, None));
        assert_eq!((at("v1.36.3", "v1.33.0"), at("v1.36.3", "v1.32.0")), (Some(Severity::Warning), Some(Severity::Critical)));
        assert_eq!(at("v1.36.3", "v1.37.0"), Some(Severity::Critical));
        assert_eq!((at("v1.26.0", "v1.24.1"), at("v1.26.0", "v1.23.1")), (Some(Severity::Warning), Some(Severity::Critical)));
        assert_eq!(at("v1.36.3", "unknown"), None);
    }
}
