//! The register of rules, one file each, and what several of them ask.

mod aggregated_api_down;
pub(super) mod alert_critical;
mod apiserver_errors;
mod apiserver_saturated;
mod apiserver_slow;
mod backup_overdue;
mod calico_ipam_exhausted;
mod calico_node_restarts;
mod calico_typha_overload;
mod cert_expiring;
mod cluster_overcommit;
mod cluster_unreachable;
mod component_down;
mod conntrack_near_full;
mod container_oomkilled;
mod container_restart_rate;
mod container_waiting;
mod controller_leader;
mod coredns_degraded;
mod cpu_governor_slow;
mod cpu_limit_below_burst;
mod cpu_manager_mismatch;
mod cpu_throttled;
mod cronjob_missed;
mod deprecated_api_in_use;
mod dns_cache_missing;
mod dns_ndots_amplification;
mod dns_policy_odd;
mod ephemeral_storage_unbounded;
mod etcd_alarm;
mod etcd_backup_stale;
mod etcd_db_quota;
mod etcd_disk_slow;
mod etcd_fragmentation;
mod etcd_leader_changes;
mod etcd_quorum_risk;
mod etcd_raft_lag;
mod etcd_version_skew;
mod eviction_storm;
mod grpc_ingress_protocol;
mod grpc_l4_balancing;
mod hpa_at_max;
mod hpa_metrics_missing;
mod hpa_min_equals_max;
mod hpa_no_requests;
mod hpa_unable_to_scale;
mod image_not_pinned;
mod images;
mod ingress_duplicate_path;
mod ingress_forwarded_headers;
mod ingress_host_annotation_conflict;
mod ingress_redirect_shift;
mod job_failed;
mod jvm_heap_unaware;
mod keda_paused;
mod lint;
mod lxcfs_stale_mount;
pub(super) mod measured;
mod monitoring_blind;
mod node_binpack_low;
mod node_config_drift;
mod node_emptied;
mod node_io_saturated;
mod node_maxpods;
pub(super) mod node_not_ready;
mod node_peer_outlier;
mod node_pressure;
mod node_reservation_thin;
mod orphaned_storage;
mod page_cache_inflation;
mod pdb_blocks_drain;
mod pdb_ineffective;
mod pdb_missing;
mod pdb_overlap;
mod pleg_unhealthy;
mod pod_crashloop;
mod pod_load_skew;
mod pod_not_ready;
mod pod_pending;
mod priority_class_missing;
mod privileged_or_host_access;
mod probes_missing;
mod qos_core_not_guaranteed;
mod rbac_too_wide;
mod release_not_lossless;
mod replicas_colocated;
mod replicas_excess;
mod replicas_unavailable;
mod requests_too_high;
mod resources_missing;
mod rollout_stuck;
mod runtime_sees_host_cpus;
mod sa_token_automount;
mod scheduler_backlog;
mod secret_in_env;
mod service_links_bloat;
mod service_no_endpoints;
mod silence_expiring;
mod silence_matches_nothing;
mod single_replica_critical;
mod spread_policy_missing;
mod stuck_terminating;
mod usage_denominator_shift;
mod velero_backup_failed;
pub(super) mod velero_bsl_unavailable;
pub(super) mod velero_schedule_stale;
mod version_skew;
mod vm_baseline_drift;
mod volume_nearly_full;
mod webhook_fail_closed;

use super::{Finding, Judge, RuleInfo, Verdict};
use crate::model::{ContainerSpec, ContainerStatus, Hpa, Kind, Node, Object, ObjectRef, Pdb, Pod, Time, Tri, Workload, WorkloadDetail};
use crate::store::Cluster;

/// Every rule. Of two findings of equal weight on one line, the earlier rule speaks.
pub static RULES: &[&RuleInfo] = &[
    &cluster_unreachable::RULE,
    &etcd_quorum_risk::RULE,
    &etcd_alarm::RULE,
    &etcd_db_quota::RULE,
    &webhook_fail_closed::RULE,
    &controller_leader::RULE,
    &component_down::RULE,
    &cert_expiring::RULE,
    &node_not_ready::RULE,
    &node_pressure::RULE,
    &pleg_unhealthy::RULE,
    &node_emptied::RULE,
    &pod_crashloop::RULE,
    &container_oomkilled::RULE,
    &pod_pending::RULE,
    &rollout_stuck::RULE,
    &replicas_unavailable::RULE,
    &service_no_endpoints::RULE,
    &hpa_at_max::RULE,
    &job_failed::RULE,
    &pdb_blocks_drain::RULE,
    &stuck_terminating::RULE,
    &alert_critical::RULE,
    &calico_node_restarts::RULE,
    &velero_bsl_unavailable::RULE,
    &velero_schedule_stale::RULE,
    &velero_backup_failed::RULE,
    &backup_overdue::RULE,
    &cpu_throttled::RULE,
    &volume_nearly_full::RULE,
    &coredns_degraded::RULE,
    &apiserver_slow::RULE,
    &apiserver_errors::RULE,
    &apiserver_saturated::RULE,
    &calico_ipam_exhausted::RULE,
    &conntrack_near_full::RULE,
    &scheduler_backlog::RULE,
    &aggregated_api_down::RULE,
    &etcd_backup_stale::RULE,
    &etcd_leader_changes::RULE,
    &etcd_raft_lag::RULE,
    &etcd_disk_slow::RULE,
    &monitoring_blind::RULE,
    &eviction_storm::RULE,
    &node_io_saturated::RULE,
    &node_peer_outlier::RULE,
    &ingress_redirect_shift::RULE,
    &ingress_forwarded_headers::RULE,
    &dns_ndots_amplification::RULE,
    &calico_typha_overload::RULE,
    &pod_load_skew::RULE,
    &container_waiting::RULE,
    &pod_not_ready::RULE,
    &container_restart_rate::RULE,
    &hpa_unable_to_scale::RULE,
    &hpa_metrics_missing::RULE,
    &hpa_no_requests::RULE,
    &keda_paused::RULE,
    &hpa_min_equals_max::RULE,
    &pdb_overlap::RULE,
    &pdb_missing::RULE,
    &etcd_fragmentation::RULE,
    &etcd_version_skew::RULE,
    &silence_expiring::RULE,
    &silence_matches_nothing::RULE,
    &cronjob_missed::RULE,
    &replicas_colocated::RULE,
    &single_replica_critical::RULE,
    &resources_missing::RULE,
    &image_not_pinned::RULE,
    &qos_core_not_guaranteed::RULE,
    &node_maxpods::RULE,
    &node_reservation_thin::RULE,
    &node_config_drift::RULE,
    &node_binpack_low::RULE,
    &cluster_overcommit::RULE,
    &version_skew::RULE,
    &deprecated_api_in_use::RULE,
    &rbac_too_wide::RULE,
    &orphaned_storage::RULE,
    &pdb_ineffective::RULE,
    &lxcfs_stale_mount::RULE,
    &jvm_heap_unaware::RULE,
    &probes_missing::RULE,
    &release_not_lossless::RULE,
    &secret_in_env::RULE,
    &privileged_or_host_access::RULE,
    &dns_policy_odd::RULE,
    &priority_class_missing::RULE,
    &spread_policy_missing::RULE,
    &runtime_sees_host_cpus::RULE,
    &ephemeral_storage_unbounded::RULE,
    &sa_token_automount::RULE,
    &cpu_governor_slow::RULE,
    &cpu_limit_below_burst::RULE,
    &cpu_manager_mismatch::RULE,
    &dns_cache_missing::RULE,
    &page_cache_inflation::RULE,
    &replicas_excess::RULE,
    &requests_too_high::RULE,
    &usage_denominator_shift::RULE,
    &vm_baseline_drift::RULE,
    &ingress_duplicate_path::RULE,
    &ingress_host_annotation_conflict::RULE,
    &grpc_ingress_protocol::RULE,
    &grpc_l4_balancing::RULE,
    &service_links_bloat::RULE,
];

/// Burning once the hold is over, fine until then.
pub(super) fn after(held: Result<(), i64>, finding: impl FnOnce() -> Finding) -> Verdict {
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

/// The next time on a grid of so many seconds (unix seconds): what looks again and again does so together, and wakes nobody in between.
pub(super) fn later(judge: &Judge<'_>, every: i64) -> i64 {
    judge.now - judge.now.rem_euclid(every) + every
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

/// The nodes that take pods, each with the taints by which it is kept for some of them, as they are written; empty: it takes any.
fn open_nodes(cluster: &Cluster) -> impl Iterator<Item = (&Node, String)> {
    let nodes = cluster.objects(Kind::Node).filter_map(|o| if let Object::Node(n) = o { Some(&**n) } else { None });
    nodes.filter(|n| !n.unschedulable && n.ready() == Tri::True).map(|n| {
        let kept = n.taints.iter().filter(|t| matches!(&*t.effect, "NoSchedule" | "NoExecute"));
        (n, kept.map(ToString::to_string).collect::<Vec<_>>().join(", "))
    })
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

/// The controller above an object, whose template a rollback or a restart is of.
fn controller(judge: &Judge<'_>, object: &Object) -> Option<ObjectRef> {
    let top = judge.cluster.workload_of(object);
    matches!(top.kind(), Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet).then(|| top.reference(judge.cluster.id))
}

/// The controller above an object, where there is an earlier revision to roll back to, or may be one.
fn rolls_back(judge: &Judge<'_>, object: &Object) -> Option<ObjectRef> {
    controller(judge, object).filter(|_| workload_of(judge, object).is_some_and(|w| earlier(judge, w)))
}

/// Whether a workload has a revision before the one that runs, as far as that is known: a Deployment's are its ReplicaSets. Those of others are not
/// read; what was never changed has none.
fn earlier(judge: &Judge<'_>, w: &Workload) -> bool {
    let sets = || judge.index.owned(judge.cluster, w.meta.uid).filter(|o| matches!(o, Object::Workload(rs) if rs.revision.is_some()));
    match &w.detail {
        _ if w.meta.generation == 1 => false,
        WorkloadDetail::Deployment { .. } if judge.cluster.current(Kind::ReplicaSet) => sets().count() > 1,
        _ => true,
    }
}

/// Whether the object or the workload above it is core.
fn core(judge: &Judge<'_>, object: &Object) -> bool {
    super::core(object) || super::core(judge.cluster.workload_of(object))
}

/// The autoscaler of a workload.
pub(super) fn scaler<'a>(judge: &Judge<'a>, w: &Workload) -> Option<&'a Hpa> {
    judge.index.scaler(judge.cluster, w)
}

/// The workloads whose pods a budget selects, as they are written, and how many pods that is at the least.
fn guarded<'a>(judge: &Judge<'a>, pdb: &Pdb) -> (Vec<&'a Workload>, i32) {
    let Some(selector) = &pdb.selector else { return (Vec::new(), 0) };
    let all = judge.index.workloads(judge.cluster, &pdb.meta.namespace).into_iter().map(|w| &**w);
    let all: Vec<&Workload> = all.filter(|w| selector.matches(&w.pod_labels)).collect();
    let pods = all.iter().map(|w| scaler(judge, w).map_or(w.desired.unwrap_or(0), |h| h.min)).sum();
    (all, pods)
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
