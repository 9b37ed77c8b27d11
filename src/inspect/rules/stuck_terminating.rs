//! An object whose deletion does not end.
//!
//! Of a namespace the aggregated APIs that do not answer are named, of a pod the volumes that do not leave its node, of a finalizer who takes it away, where
//! that is known by its name. Left out: custom resources, of which only the namespace tells.

use super::after;
use crate::inspect::explain::words::joined;
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
    links: &[
        "https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/",
        "https://kubernetes.io/docs/tasks/run-application/force-delete-stateful-set-pod/",
    ],
    judge,
};

/// Finalizers that many clusters have, and who takes them away; those of a group end with its slash.
const FINALIZERS: &[(&str, &str)] = &[
    ("foregroundDeletion", "the garbage collector, once what it owns is gone"),
    ("orphan", "the garbage collector"),
    ("kubernetes.io/pvc-protection", "kube-controller-manager, once no pod mounts the claim"),
    ("kubernetes.io/pv-protection", "kube-controller-manager, once no claim has the volume"),
    ("batch.kubernetes.io/job-tracking", "kube-controller-manager, once the Job has counted the pod"),
    ("service.kubernetes.io/load-balancer-cleanup", "the cloud's controller, once the balancer is gone"),
    ("external-attacher/", "the attacher of that CSI driver"),
    ("finalizer.keda.sh", "keda-operator"),
    ("argocd.argoproj.io/", "Argo CD's application controller"),
    ("finalizers.fluxcd.io", "Flux' controllers"),
    ("customresourcecleanup.apiextensions.k8s.io", "the API server, once its objects are gone"),
];

/// Who takes a finalizer away, as far as its name says.
fn taker(finalizer: &str) -> String {
    let is = |name: &str| finalizer == name || name.ends_with('/') && finalizer.starts_with(name);
    let known = FINALIZERS.iter().find(|(name, _)| is(name)).map(|(_, who)| (*who).to_owned());
    known.unwrap_or_else(|| match finalizer.split_once('/') {
        Some((group, _)) => format!("the controller of {group}"),
        None => "a controller that its name does not tell".to_owned(),
    })
}

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
        for finalizer in object.meta().finalizers.iter().take(4) {
            finding = finding.with(finalizer, format!("taken away by {}", taker(finalizer)), None);
        }
        let leads = |l: &crate::model::asked::Lease| &*l.name == "kube-controller-manager" && l.lapsed.is_some();
        if judge.cluster.asked.leases.iter().flatten().any(leads) {
            finding = finding.with("kube-controller-manager", "has no live leader: it takes nothing away", None);
        }
        match object {
            Object::Pod(pod) => {
                finding = finding.with("node", pod.node.as_deref().unwrap_or("none"), None);
                let leave = judge.cluster.asked.detaching.iter().filter(|d| pod.node.as_ref() == Some(&d.node));
                for d in leave.take(4) {
                    let error = d.error.as_deref().map(|e| format!(": {e}")).unwrap_or_default();
                    finding = finding.with("volume that does not leave its node", format!("{}{error}", d.volume), Some(d.since));
                }
            }
            Object::Namespace(ns) => {
                let down = judge.cluster.asked.apis.as_deref().unwrap_or_default();
                if !down.is_empty() {
                    let down = joined(down.iter().map(|a| &*a.name), 4);
                    finding = finding.with("aggregated APIs that do not answer", down, None);
                }
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
    use crate::inspect::fixture::{Fleet, ago, judged};
    use crate::model::asked::{Api, Detaching, Lease};
    use crate::model::{Asked, Delta};
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

    #[test]
    fn who_holds_it() {
        let mut fleet = Fleet::default();
        let lease = Lease {
            name: "kube-controller-manager".into(),
            holder: "x".into(),
            duration: 15,
            lapsed: crate::model::Time::from_secs(1),
            transitions: 0,
            changed: 0,
        };
        let api = Api { name: "v1.custom.metrics.k8s.io".into(), service: None, reason: None, message: None, since: None };
        let leaves = |volume: &str, node: &str| Detaching {
            volume: volume.into(),
            node: node.into(),
            since: crate::model::Time::from_secs(1).unwrap(),
            error: Some("busy".into()),
        };
        let detaching = [leaves("pv-1", "n1"), leaves("pv-2", "n2")].into();
        fleet.delta(0, Delta::Asked(Asked { leases: Ok([lease].into()), apis: Ok([api].into()), detaching, ..Asked::default() }.into()));
        let gone =
            |name: &str, finalizers: &[&str]| json!({"metadata": {"name": name, "deletionTimestamp": ago(9000), "finalizers": finalizers}});
        fleet
            .put(Kind::Namespace, [gone("ns", &[])])
            .put(
                Kind::Pod,
                [{
                    let mut p = gone("p", &[]);
                    p["spec"] = json!({"nodeName": "n1", "containers": []});
                    p
                }],
            )
            .put(Kind::Job, [gone("j", &["batch.kubernetes.io/job-tracking", "example.org/hold", "odd"])]);
        let evidence = |kind, name: &str| fleet.finding(kind, name, RULE.id).unwrap().evidence.clone();
        let has = |kind, name: &str, what: &str, value: &str| {
            let all = evidence(kind, name);
            assert!(all.iter().any(|e| e.what == what && e.value == value), "{what}: {all:?}");
        };
        has(Kind::Namespace, "ns", "aggregated APIs that do not answer", "v1.custom.metrics.k8s.io");
        has(Kind::Pod, "p", "volume that does not leave its node", "pv-1: busy");
        assert!(!evidence(Kind::Pod, "p").iter().any(|e| e.value.starts_with("pv-2")), "it is of another node");
        let counted = "taken away by kube-controller-manager, once the Job has counted the pod";
        has(Kind::Job, "j", "batch.kubernetes.io/job-tracking", counted);
        has(Kind::Job, "j", "example.org/hold", "taken away by the controller of example.org");
        has(Kind::Job, "j", "odd", "taken away by a controller that its name does not tell");
        has(Kind::Job, "j", "kube-controller-manager", "has no live leader: it takes nothing away");
    }
    #[test]
    fn a_name_that_only_begins_like_another_and_leaders_that_live() {
        let of = |name: &str| taker(name);
        assert_eq!(of("orphan"), "the garbage collector");
        assert_eq!(of("orphan.example.org/pods"), "the controller of orphan.example.org");
        assert_eq!(of("external-attacher/ebs-csi-aws-com"), "the attacher of that CSI driver");
        assert_eq!(of("argocd.argoproj.io/hook-finalizer"), "Argo CD's application controller");
        let led = |name: &str, lapsed: Option<i64>| {
            let mut fleet = Fleet::default();
            let lapsed = lapsed.and_then(crate::model::Time::from_secs);
            let lease = Lease { name: name.into(), holder: "x".into(), duration: 15, lapsed, transitions: 0, changed: 0 };
            fleet.delta(0, Delta::Asked(Asked { leases: Ok([lease].into()), ..Asked::default() }.into()));
            fleet.put(Kind::Job, [json!({"metadata": {"name": "j", "deletionTimestamp": ago(9000), "finalizers": ["orphan"]}})]);
            !fleet.finding(Kind::Job, "j", RULE.id).unwrap().evidence.iter().any(|e| e.value.starts_with("has no live leader"))
        };
        assert_eq!(
            (led("kube-controller-manager", None), led("kube-scheduler", Some(1)), led("kube-controller-manager", Some(1))),
            (true, true, false)
        );
    }
}
