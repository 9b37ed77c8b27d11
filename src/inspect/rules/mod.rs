//! The register of rules, one file each, and what several of them ask.

pub(super) mod alert_critical;
mod backup_overdue;
mod cluster_unreachable;
mod container_oomkilled;
mod etcd_alarm;
mod etcd_db_quota;
mod etcd_quorum_risk;
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
mod velero_backup_failed;
pub(super) mod velero_bsl_unavailable;
pub(super) mod velero_schedule_stale;

use super::{Finding, Judge, RuleInfo, Verdict};
use crate::model::{ContainerSpec, ContainerStatus, Object, Pod, Time, Tri, Workload};

/// Every rule. Of two findings of equal weight on one line, the earlier rule speaks.
pub static RULES: &[&RuleInfo] = &[
    &cluster_unreachable::RULE,
    &etcd_quorum_risk::RULE,
    &etcd_alarm::RULE,
    &etcd_db_quota::RULE,
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
    &alert_critical::RULE,
    &velero_bsl_unavailable::RULE,
    &velero_schedule_stale::RULE,
    &velero_backup_failed::RULE,
    &backup_overdue::RULE,
];

/// Burning once the hold is over, fine until then.
fn after(held: Result<(), i64>, finding: impl FnOnce() -> Finding) -> Verdict {
    match held {
        Ok(()) => Verdict::Burning(finding()),
        Err(at) => Verdict::FineUntil(at),
    }
}

/// The same for what says something else by the clock: the finding, and when it must be made anew.
fn until(held: Result<(), i64>, finding: impl FnOnce() -> (Finding, Option<i64>)) -> Verdict {
    match held.map(|()| finding()) {
        Ok((finding, Some(at))) => Verdict::BurningUntil(finding, at),
        Ok((finding, None)) => Verdict::Burning(finding),
        Err(at) => Verdict::FineUntil(at),
    }
}

/// When the words of an age change (unix seconds): on the minute, later on the hour and the day.
fn repaint(age: i64, now: i64) -> i64 {
    let unit = match age {
        ..7200 => 60,
        7200..172_800 => 3600,
        _ => 86_400,
    };
    now + unit - age.rem_euclid(unit)
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
