//! A container that cannot start.

use super::{containers, core};
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{ContainerState, Kind, Object, VerbId};

const AFTER: Threshold = Threshold { name: "after", default: "2m", doc: "how long a reason that does not go by itself may last" };
const STARTING: Threshold = Threshold { name: "starting-after", default: "10m", doc: "how long it may be about to start" };

pub static RULE: RuleInfo = RuleInfo {
    id: "container-waiting",
    area: "availability",
    tier: 2,
    burns: true,
    severity: Severity::Critical,
    scope: "pod, rolled up to workload",
    summary: "A container waits for an image, a key or the runtime for 2 minutes, or is about to start for 10; critical when core and nothing is ready",
    why: "The pod is scheduled but cannot start: wrong image, missing key, volume, sandbox or IP.",
    kinds: &[Kind::Pod],
    needs: &[],
    leans_on: &[],
    thresholds: &[AFTER, STARTING],
    peers: &[
        "popeye:202",
        "k8s-mixin:KubeContainerWaiting",
        "npd:ContainerCreationFailed",
        "npd:CorruptDockerImage",
        "npd:DockerContainerStartupFailure",
    ],
    links: &[
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubecontainerwaiting/",
        "https://kubernetes.io/docs/concepts/containers/images/",
    ],
    judge,
};

const STUCK: [&str; 7] = [
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(object @ Object::Pod(pod)) = judge.object else { return Verdict::Fine };
    if pod.finished() || pod.meta.deleting.is_some() || pod.node.is_none() {
        return Verdict::Fine;
    }
    let waiting = |c: &crate::model::ContainerStatus| match &c.state {
        ContainerState::Waiting { reason: Some(reason), message } => Some((reason.clone(), message.as_ref().map(|m| (**m).clone()))),
        _ => None,
    };
    let all: Vec<_> = containers(pod).filter_map(|c| Some((c, waiting(c)?))).collect();
    let stuck = all.iter().find(|(_, (reason, _))| STUCK.contains(&&**reason));
    let starting = all.iter().find(|(_, (reason, _))| matches!(&**reason, "ContainerCreating" | "PodInitializing"));
    // Init containers that still run are no fault of the others that wait for them.
    let working = pod.init.iter().any(|c| matches!(c.state, ContainerState::Running { .. }) && !c.started);
    let (found, hold) = match (stuck, starting) {
        (Some(found), _) => (found, &AFTER),
        (None, Some(found)) if !working => (found, &STARTING),
        _ => return Verdict::Fine,
    };
    let (c, (reason, message)) = found;
    // Nothing says since when it waits; the pod was not ready for that long at least.
    let since = pod.ready_since.or(pod.started).or(pod.meta.created);
    let hold = judge.value(hold);
    let held = since.map_or(Ok(()), |t| judge.held(t.secs(), hold)).and_then(|()| judge.held_since_seen(hold.min(60)));
    super::after(held, || {
        let none = matches!(judge.cluster.workload_of(object), Object::Workload(w) if w.available == 0);
        let severity = if none && core(judge, object) { Severity::Critical } else { Severity::Warning };
        let image = super::spec(pod, c).map_or("", |s| &*s.image);
        let next = match &**reason {
            "ImagePullBackOff" | "ErrImagePull" | "InvalidImageName" | "ErrImageNeverPull" => {
                "Correct the image or its pull secret; roll back if a rollout brought it"
            }
            "CreateContainerConfigError" => "Make the ConfigMap, Secret or key that its message names",
            "ContainerCreating" | "PodInitializing" => "See its events: a volume, the sandbox or an address is waited for",
            _ => "See what the runtime says in its message and events",
        };
        judge
            .finding(severity, since, format!("{} {reason}", c.name))
            .with("message", message.as_deref().unwrap_or(""), None)
            .with("image", image, None)
            .with("node", pod.node.as_deref().unwrap_or(""), None)
            .then(next)
            .act(VerbId::Rollback, super::rolls_back(judge, object), &[])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, deployment, owned, pod, replicaset};
    use serde_json::{Value, json};

    fn waiting(reason: &str) -> Value {
        json!({"restartCount": 0, "state": {"waiting": {"reason": reason, "message": "no such image"}}})
    }

    fn at(reason: &str, since: i64, wait: i64) -> Option<Severity> {
        let mut fleet = Fleet::default();
        let mut p = pod(json!({"name": "p", "creationTimestamp": ago(since)}), "n", false, since, waiting(reason));
        p["status"]["phase"] = json!("Pending");
        p["status"]["startTime"] = json!(ago(since));
        fleet.put(Kind::Pod, [p]);
        fleet.wait(wait).severity(Kind::Pod, "p", RULE.id)
    }

    #[test]
    fn what_does_not_go_by_itself_after_two_minutes_and_a_start_after_ten() {
        assert_eq!((at("ImagePullBackOff", 119, 0), at("ImagePullBackOff", 120, 60)), (None, Some(Severity::Warning)));
        assert_eq!((at("ContainerCreating", 500, 60), at("ContainerCreating", 600, 60)), (None, Some(Severity::Warning)));
        assert_eq!(at("CrashLoopBackOff", 9000, 60), None, "another rule's");
    }

    #[test]
    fn critical_when_a_core_workload_has_nothing_else() {
        let mut fleet = Fleet::default();
        let mut d = deployment("web", 1, 0);
        d["metadata"]["labels"] = json!({"tier": "core"});
        fleet.put(Kind::Deployment, [d]).put(Kind::ReplicaSet, [replicaset("rs", "web", 1, "i:1", 9000, 1)]);
        fleet.put(Kind::Pod, [pod(owned("p", Kind::ReplicaSet, "rs"), "n", false, 900, waiting("ErrImagePull"))]);
        assert_eq!(fleet.wait(60).severity(Kind::Pod, "p", RULE.id), Some(Severity::Critical));
    }
}
