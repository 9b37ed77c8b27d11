//! The register of rules, one file each, and what several of them ask.

mod cluster_unreachable;
mod container_oomkilled;
mod hpa_at_max;
mod job_failed;
mod node_not_ready;
mod node_pressure;
mod pdb_blocks_drain;
mod pod_crashloop;
mod pod_pending;
mod replicas_unavailable;
mod rollout_stuck;
mod stuck_terminating;

use super::{Finding, Judge, RuleInfo, Verdict};
use crate::model::{ContainerSpec, ContainerStatus, Object, Pod, Time, Tri, Workload};

/// Every rule. Of two findings of equal weight on one line, the earlier rule speaks.
pub static RULES: &[&RuleInfo] = &[
    &cluster_unreachable::RULE,
    &node_not_ready::RULE,
    &node_pressure::RULE,
    &pod_crashloop::RULE,
    &container_oomkilled::RULE,
    &pod_pending::RULE,
    &rollout_stuck::RULE,
    &replicas_unavailable::RULE,
    &hpa_at_max::RULE,
    &job_failed::RULE,
    &pdb_blocks_drain::RULE,
    &stuck_terminating::RULE,
];

/// Burning once the hold is over, fine until then.
fn after(held: Result<(), i64>, finding: impl FnOnce() -> Finding) -> Verdict {
    match held {
        Ok(()) => Verdict::Burning(finding()),
        Err(at) => Verdict::FineUntil(at),
    }
}

/// Every container's status, init containers first.
fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.init.iter().chain(&pod.containers)
}

/// A container as its template has it.
fn spec<'a>(pod: &'a Pod, status: &ContainerStatus) -> Option<&'a ContainerSpec> {
    pod.shape.init.iter().chain(&pod.shape.containers).find(|c| c.name == status.name)
}

/// `137 (SIGKILL)`.
fn exit(code: i32) -> String {
    let meaning = match code {
        0 => "ended by itself",
        126 => "cannot be executed",
        127 => "command not found",
        134 => "SIGABRT",
        137 => "SIGKILL",
        139 => "SIGSEGV",
        143 => "SIGTERM",
        _ => return code.to_string(),
    };
    format!("{code} ({meaning})")
}

/// The workload above a pod, when there is one.
fn workload_of<'a>(judge: &'a Judge<'_>, object: &'a Object) -> Option<&'a Workload> {
    match judge.cluster.workload_of(object) {
        Object::Workload(w) => Some(w),
        _ => None,
    }
}

/// Whether the object or the workload above it is core.
fn core(judge: &Judge<'_>, object: &Object) -> bool {
    super::core(object) || super::core(judge.cluster.workload_of(object))
}

/// Since when a pod is not ready: Ready's last change, else its creation. None while it is ready or has ended.
fn unready_since(pod: &Pod) -> Option<Time> {
    (pod.ready != Tri::True && !pod.finished()).then(|| pod.ready_since.or(pod.meta.created)).flatten()
}

/// The last time that anything moved among a workload's pods: one was made, or turned ready or unready.
fn last_progress<'a>(pods: impl IntoIterator<Item = &'a std::sync::Arc<Pod>>) -> Option<Time> {
    pods.into_iter().filter_map(|p| p.meta.created.max(p.ready_since)).max()
}

/// What is wrong with the pods that are not ready: `3 ImagePullBackOff, 1 Pending`, most frequent first.
fn reasons<'a>(pods: impl IntoIterator<Item = &'a std::sync::Arc<Pod>>) -> String {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for pod in pods {
        let mut status = pod.status().into_owned();
        if status == "Running" {
            status = "not ready".to_owned();
        }
        match counts.iter_mut().find(|(s, _)| *s == status) {
            Some((_, n)) => *n += 1,
            None => counts.push((status, 1)),
        }
    }
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts.iter().map(|(s, n)| format!("{n} {s}")).collect::<Vec<_>>().join(", ")
}
