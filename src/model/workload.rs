//! What makes pods: Deployment, StatefulSet, DaemonSet, ReplicaSet, Job and CronJob in one row type.

use super::{Amount, Condition, Interner, Kind, Labels, Meta, PodShape, Selector, Str, Time, time, wire};
use std::sync::Arc;

/// A workload of one of [`Kind::WORKLOADS`].
#[derive(Clone, PartialEq, Debug)]
pub struct Workload {
    pub kind: Kind,
    pub meta: Meta,
    /// Pods wanted: replicas, scheduled by a DaemonSet, a Job's parallelism. None for CronJobs.
    pub desired: Option<i32>,
    pub current: i32,
    pub ready: i32,
    pub available: i32,
    pub updated: i32,
    pub selector: Option<Selector>,
    pub shape: Arc<PodShape>,
    /// The labels of its pod template.
    pub pod_labels: Labels,
    pub conditions: Box<[Condition]>,
    /// The generation that the status speaks of; zero where the kind has none.
    pub observed: u32,
    /// `deployment.kubernetes.io/revision`.
    pub revision: Option<Str>,
    /// [`BASELINE`]'s value.
    pub baseline: Option<Str>,
    pub detail: WorkloadDetail,
}

/// What only one kind has.
#[derive(Clone, PartialEq, Debug)]
pub enum WorkloadDetail {
    Deployment {
        strategy: Str,
        paused: bool,
        max_unavailable: Option<Amount>,
        max_surge: Option<Amount>,
        /// Seconds.
        min_ready: i32,
        progress_deadline: Option<i32>,
    },
    StatefulSet {
        service: Str,
        strategy: Str,
        partition: i32,
        current_revision: Str,
        update_revision: Str,
    },
    DaemonSet {
        strategy: Str,
        misscheduled: i32,
    },
    ReplicaSet,
    Job {
        completions: Option<i32>,
        succeeded: i32,
        failed: i32,
        active: i32,
        backoff_limit: i32,
        started: Option<Time>,
        ended: Option<Time>,
        suspended: bool,
    },
    CronJob {
        schedule: Str,
        time_zone: Option<Str>,
        suspended: bool,
        active: u32,
        last_schedule: Option<Time>,
        last_success: Option<Time>,
        concurrency: Str,
    },
}

fn generation(n: i64) -> u32 {
    u32::try_from(n).unwrap_or(0)
}

fn template(meta: Option<&wire::ObjectMeta>, t: Option<&wire::PodTemplateSpec>, i: &mut Interner) -> Arc<PodShape> {
    let none = wire::PodSpec::default();
    let owned = meta.is_some_and(|m| !m.owner_references.is_empty());
    PodShape::of(t.and_then(|t| t.spec.as_ref()).unwrap_or(&none), !owned, i)
}

fn labels(t: Option<&wire::PodTemplateSpec>, i: &mut Interner) -> Labels {
    t.and_then(|t| t.metadata.as_ref()).map(|m| i.labels(&m.labels)).unwrap_or_default()
}

fn annotation(meta: Option<&wire::ObjectMeta>, key: &str, i: &mut Interner) -> Option<Str> {
    meta.and_then(|m| m.annotations.iter().find(|p| p.key == key)).map(|p| i.str(&p.value))
}

/// The annotation that says what it used where it ran before: `cpu=1200m,requests=150,memory=3Gi,vcpus=8` (cores, requests a second, bytes a pod, and
/// the processors that each VM had).
pub const BASELINE: &str = "quarterdeck.io/vm-baseline";
const REVISION: &str = "deployment.kubernetes.io/revision";

impl Workload {
    pub fn of_deployment(o: &wire::Deployment, i: &mut Interner) -> Self {
        let (spec, status) = (o.spec.clone().unwrap_or_default(), o.status.clone().unwrap_or_default());
        let strategy = spec.strategy.unwrap_or_default();
        Self {
            kind: Kind::Deployment,
            meta: Meta::of(o.metadata.as_ref(), i),
            desired: Some(spec.replicas.unwrap_or(1)),
            current: status.replicas,
            ready: status.ready_replicas,
            available: status.available_replicas,
            updated: status.updated_replicas,
            selector: spec.selector.as_ref().map(|s| Selector::of(s, i)),
            shape: template(o.metadata.as_ref(), spec.template.as_ref(), i),
            pod_labels: labels(spec.template.as_ref(), i),
            conditions: status
                .conditions
                .iter()
                .map(|c| Condition::of(&c.r#type, &c.status, &c.reason, &c.message, c.last_transition_time, i))
                .collect(),
            observed: generation(status.observed_generation),
            revision: annotation(o.metadata.as_ref(), REVISION, i),
            baseline: annotation(o.metadata.as_ref(), BASELINE, i),
            detail: WorkloadDetail::Deployment {
                strategy: i.str(&strategy.r#type),
                paused: spec.paused,
                max_unavailable: strategy.rolling_update.as_ref().and_then(|r| r.max_unavailable.as_ref()).map(Amount::of),
                max_surge: strategy.rolling_update.as_ref().and_then(|r| r.max_surge.as_ref()).map(Amount::of),
                min_ready: spec.min_ready_seconds,
                progress_deadline: spec.progress_deadline_seconds,
            },
        }
    }

    pub fn of_statefulset(o: &wire::StatefulSet, i: &mut Interner) -> Self {
        let (spec, status) = (o.spec.clone().unwrap_or_default(), o.status.clone().unwrap_or_default());
        let strategy = spec.update_strategy.unwrap_or_default();
        Self {
            kind: Kind::StatefulSet,
            meta: Meta::of(o.metadata.as_ref(), i),
            desired: Some(spec.replicas.unwrap_or(1)),
            current: status.replicas,
            ready: status.ready_replicas,
            available: status.available_replicas,
            updated: status.updated_replicas,
            selector: spec.selector.as_ref().map(|s| Selector::of(s, i)),
            shape: template(o.metadata.as_ref(), spec.template.as_ref(), i),
            pod_labels: labels(spec.template.as_ref(), i),
            conditions: Box::default(),
            observed: generation(status.observed_generation),
            revision: None,
            baseline: annotation(o.metadata.as_ref(), BASELINE, i),
            detail: WorkloadDetail::StatefulSet {
                service: i.str(&spec.service_name),
                strategy: i.str(&strategy.r#type),
                partition: strategy.rolling_update.and_then(|r| r.partition).unwrap_or(0),
                current_revision: Str::from(status.current_revision),
                update_revision: Str::from(status.update_revision),
            },
        }
    }

    pub fn of_daemonset(o: &wire::DaemonSet, i: &mut Interner) -> Self {
        let (spec, status) = (o.spec.clone().unwrap_or_default(), o.status.clone().unwrap_or_default());
        Self {
            kind: Kind::DaemonSet,
            meta: Meta::of(o.metadata.as_ref(), i),
            desired: Some(status.desired_number_scheduled),
            current: status.current_number_scheduled,
            ready: status.number_ready,
            available: status.number_available,
            updated: status.updated_number_scheduled,
            selector: spec.selector.as_ref().map(|s| Selector::of(s, i)),
            shape: template(o.metadata.as_ref(), spec.template.as_ref(), i),
            pod_labels: labels(spec.template.as_ref(), i),
            conditions: Box::default(),
            observed: generation(status.observed_generation),
            revision: None,
            baseline: annotation(o.metadata.as_ref(), BASELINE, i),
            detail: WorkloadDetail::DaemonSet {
                strategy: i.str(&spec.update_strategy.unwrap_or_default().r#type),
                misscheduled: status.number_misscheduled,
            },
        }
    }

    pub fn of_replicaset(o: &wire::ReplicaSet, i: &mut Interner) -> Self {
        let (spec, status) = (o.spec.clone().unwrap_or_default(), o.status.clone().unwrap_or_default());
        Self {
            kind: Kind::ReplicaSet,
            meta: Meta::of(o.metadata.as_ref(), i),
            desired: Some(spec.replicas.unwrap_or(1)),
            current: status.replicas,
            ready: status.ready_replicas,
            available: status.available_replicas,
            updated: status.replicas,
            selector: spec.selector.as_ref().map(|s| Selector::of(s, i)),
            shape: template(o.metadata.as_ref(), spec.template.as_ref(), i),
            pod_labels: labels(spec.template.as_ref(), i),
            conditions: status
                .conditions
                .iter()
                .map(|c| Condition::of(&c.r#type, &c.status, &c.reason, &c.message, c.last_transition_time, i))
                .collect(),
            observed: generation(status.observed_generation),
            revision: annotation(o.metadata.as_ref(), REVISION, i),
            baseline: None,
            detail: WorkloadDetail::ReplicaSet,
        }
    }

    pub fn of_job(o: &wire::Job, i: &mut Interner) -> Self {
        let (spec, status) = (o.spec.clone().unwrap_or_default(), o.status.clone().unwrap_or_default());
        let ready = status.ready.unwrap_or(0);
        Self {
            kind: Kind::Job,
            meta: Meta::of(o.metadata.as_ref(), i),
            desired: Some(spec.parallelism.unwrap_or(1)),
            current: status.active,
            ready,
            available: ready,
            updated: status.active,
            selector: spec.selector.as_ref().map(|s| Selector::of(s, i)),
            shape: template(o.metadata.as_ref(), spec.template.as_ref(), i),
            pod_labels: labels(spec.template.as_ref(), i),
            conditions: status
                .conditions
                .iter()
                .map(|c| Condition::of(&c.r#type, &c.status, &c.reason, &c.message, c.last_transition_time, i))
                .collect(),
            observed: 0,
            revision: None,
            baseline: None,
            detail: WorkloadDetail::Job {
                completions: spec.completions,
                succeeded: status.succeeded,
                failed: status.failed,
                active: status.active,
                backoff_limit: spec.backoff_limit.unwrap_or(6),
                started: time::of(status.start_time),
                ended: time::of(status.completion_time),
                suspended: spec.suspend.unwrap_or(false),
            },
        }
    }

    pub fn of_cronjob(o: &wire::CronJob, i: &mut Interner) -> Self {
        let (spec, status) = (o.spec.clone().unwrap_or_default(), o.status.clone().unwrap_or_default());
        let job = spec.job_template.and_then(|t| t.spec).unwrap_or_default();
        Self {
            kind: Kind::CronJob,
            meta: Meta::of(o.metadata.as_ref(), i),
            desired: None,
            current: i32::try_from(status.active.len()).unwrap_or(i32::MAX),
            ready: 0,
            available: 0,
            updated: 0,
            selector: None,
            shape: template(o.metadata.as_ref(), job.template.as_ref(), i),
            pod_labels: labels(job.template.as_ref(), i),
            conditions: Box::default(),
            observed: 0,
            revision: None,
            baseline: None,
            detail: WorkloadDetail::CronJob {
                schedule: i.str(&spec.schedule),
                time_zone: i.opt(&spec.time_zone),
                suspended: spec.suspend.unwrap_or(false),
                active: u32::try_from(status.active.len()).unwrap_or(u32::MAX),
                last_schedule: time::of(status.last_schedule_time),
                last_success: time::of(status.last_successful_time),
                concurrency: i.str(&spec.concurrency_policy),
            },
        }
    }

    /// The Job's condition of that type, when it is true.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        super::meta::condition(&self.conditions, kind)
    }

    /// Pods that serve against pods wanted: fewer is bad. A ReplicaSet with an owner is judged through it, a Job by its conditions.
    pub fn short(&self) -> bool {
        match self.kind {
            Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => self.available < self.desired.unwrap_or(0),
            Kind::ReplicaSet => self.meta.owner.is_none() && self.available < self.desired.unwrap_or(0),
            Kind::Job => self.condition("Failed").is_some_and(|c| c.status == super::Tri::True),
            _ => false,
        }
    }
}
