//! An object whose deletion does not end.
//!
//! Left out: volume attachments, broken aggregated APIs, and which controller owns a finalizer (not watched).

use super::after;
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Object, Tri};

const POD: Threshold = Threshold { name: "pod-after", default: "5m", doc: "how long after its grace period a pod may still be there" };
const NAMESPACE: Threshold = Threshold { name: "namespace-after", default: "10m", doc: "how long a namespace may take" };
const OTHER: Threshold = Threshold { name: "after", default: "15m", doc: "how long any other object may take" };

pub static RULE: RuleInfo = RuleInfo {
    id: "stuck-terminating",
    area: "availability",
    tier: 1,
    burns: true,
    severity: Severity::Warning,
    scope: "any object that is being deleted",
    summary: "Still there 5 minutes (namespace 10, others 15) after it should be gone",
    why: "Something holds the object: a dead controller's finalizer, an unreachable node, a volume, or a broken aggregated API.",
    kinds: &[
        Kind::Node,
        Kind::Pod,
        Kind::Deployment,
        Kind::StatefulSet,
        Kind::DaemonSet,
        Kind::ReplicaSet,
        Kind::Job,
        Kind::CronJob,
        Kind::Hpa,
        Kind::Pdb,
        Kind::Namespace,
    ],
    needs: &[crate::inspect::Need::Running],
    leans_on: &[],
    thresholds: &[POD, NAMESPACE, OTHER],
    peers: &["popeye:200", "popeye:201", "popeye:800"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some((object, since)) = judge.object.and_then(|o| Some((o, o.meta().deleting?))) else { return Verdict::Fine };
    let threshold = match object.kind() {
        Kind::Pod => &POD,
        Kind::Namespace => &NAMESPACE,
        _ => &OTHER,
    };
    // One second more: the threshold has to be passed.
    after(judge.held(since.secs() + 1, judge.value(threshold)), || {
        let finalizers = object.meta().finalizers.join(", ");
        let (message, next) = match object {
            _ if !finalizers.is_empty() => (
                format!("Terminating, held by {finalizers}"),
                "Repair the controller that owns the finalizer; only last take the finalizer away",
            ),
            Object::Pod(_) => {
                ("Terminating".to_owned(), "See whether its node's kubelet answers; if the node is gone for good, taint it out-of-service")
            }
            Object::Namespace(_) => {
                ("Terminating".to_owned(), "The conditions say what remains or which API does not answer: repair that first")
            }
            _ => ("Terminating".to_owned(), "See what it still owns (foreground deletion waits for its dependents)"),
        };
        let mut finding = judge.finding(Severity::Warning, Some(since), message).with("should be gone since", since.rfc3339(), Some(since));
        match object {
            Object::Pod(pod) => finding = finding.with("node", pod.node.as_deref().unwrap_or("none"), None),
            Object::Namespace(ns) => {
                for c in ns.conditions.iter().filter(|c| c.status == Tri::True) {
                    finding = finding.with(&c.kind, c.message.as_deref().unwrap_or(""), c.since);
                }
            }
            _ => {}
        }
        finding.then(next)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{ago, judged};
    use serde_json::json;

    #[test]
    fn each_kind_has_its_patience() {
        for (kind, secs, severity) in [
            (Kind::Pod, 300, None),
            (Kind::Pod, 301, Some(Severity::Warning)),
            (Kind::Namespace, 600, None),
            (Kind::Namespace, 601, Some(Severity::Warning)),
            (Kind::Deployment, 601, None),
            (Kind::Deployment, 901, Some(Severity::Warning)),
        ] {
            let object = json!({"metadata": {"name": "x", "deletionTimestamp": ago(secs), "finalizers": ["example.org/hold"]}});
            assert_eq!(judged(kind, object, "stuck-terminating"), severity, "{kind:?} {secs}");
        }
        assert_eq!(judged(Kind::Pod, json!({"metadata": {"name": "x"}}), "stuck-terminating"), None);
    }
}
