//! Workloads: one set of columns, of which each kind has those that it can fill.

use super::super::bad::is_true;
use super::super::column::Show;
use super::*;
use crate::model::{Tri, Workload, WorkloadDetail as Detail, meta};

reader!(workload: Workload);

/// How a workload does, in one plain word.
///
/// `Terminating`; Jobs: `Failed`, `Complete`, `Suspended`, `Running`, `Pending`; CronJobs: `Suspended`, `Running`, `Scheduled`; the others:
/// `Paused`, `Stuck` (the rollout's deadline passed, or pods cannot be made), `Progressing`, `Degraded` (rolled out, but pods are missing),
/// `ScaledToZero`, `Available`.
pub fn status(w: &Workload) -> &'static str {
    if w.meta.deleting.is_some() {
        return "Terminating";
    }
    let desired = w.desired.unwrap_or(0);
    let unseen = w.observed != 0 && w.observed < w.meta.generation;
    let rolling = match &w.detail {
        Detail::Job { suspended, active, .. } => {
            return match () {
                () if is_true(&w.conditions, "Failed") => "Failed",
                () if is_true(&w.conditions, "Complete") => "Complete",
                () if *suspended => "Suspended",
                () if *active > 0 => "Running",
                () => "Pending",
            };
        }
        Detail::CronJob { suspended, active, .. } => {
            return match () {
                () if *suspended => "Suspended",
                () if *active > 0 => "Running",
                () => "Scheduled",
            };
        }
        Detail::Deployment { paused, .. } => {
            if late(w).is_some() || is_true(&w.conditions, "ReplicaFailure") {
                return "Stuck";
            }
            if *paused {
                return "Paused";
            }
            w.updated < desired || w.current > w.updated
        }
        Detail::StatefulSet { strategy, partition, current_revision, update_revision, .. } => {
            &**strategy != "OnDelete" && current_revision != update_revision && w.updated < desired - partition
        }
        Detail::DaemonSet { strategy, .. } => &**strategy != "OnDelete" && w.updated < desired,
        Detail::ReplicaSet => {
            if is_true(&w.conditions, "ReplicaFailure") {
                return "Stuck";
            }
            w.current != desired
        }
    };
    match () {
        () if unseen || rolling => "Progressing",
        () if w.available < desired => "Degraded",
        () if desired == 0 => "ScaledToZero",
        () => "Available",
    }
}

/// Progressing while False: the deadline has passed.
fn late(w: &Workload) -> Option<&Condition> {
    meta::condition(&w.conditions, "Progressing").filter(|c| c.status == Tri::False)
}

fn message(w: &Workload) -> Option<&str> {
    let on = |kind: &str| meta::condition(&w.conditions, kind).filter(|c| c.status == Tri::True);
    let unavailable = || meta::condition(&w.conditions, "Available").filter(|c| c.status == Tri::False);
    on("Failed").or_else(|| on("ReplicaFailure")).or_else(|| late(w)).or_else(unavailable).and_then(words)
}

fn ready(w: &Workload) -> Value<'_> {
    match &w.detail {
        Detail::Job { completions, succeeded, .. } => Value::Ratio((*succeeded).into(), completions.unwrap_or(1).into()),
        Detail::CronJob { .. } => Value::None,
        _ => Value::Ratio(w.ready.into(), w.desired.unwrap_or(0).into()),
    }
}

fn ready_tone(ctx: &Ctx<'_>, r: Row<'_>, value: &Value<'_>) -> Tone {
    match r.object() {
        Some(Object::Workload(w)) if matches!(w.detail, Detail::Job { .. }) => Tone::Plain,
        _ => ratio_tone(ctx, r, value),
    }
}

/// For the kinds that keep pods up; Jobs and CronJobs have no such number.
fn serving<'a>(r: Row<'a>, f: impl FnOnce(&Workload) -> i32) -> Value<'a> {
    workload(r, |w| (!matches!(w.detail, Detail::Job { .. } | Detail::CronJob { .. })).then(|| f(w)))
}

fn suspended(w: &Workload) -> Option<bool> {
    match w.detail {
        Detail::Job { suspended, .. } | Detail::CronJob { suspended, .. } => Some(suspended),
        Detail::Deployment { paused, .. } => Some(paused),
        _ => None,
    }
}

fn strategy(w: &Workload) -> Option<&str> {
    match &w.detail {
        Detail::Deployment { strategy, .. } | Detail::StatefulSet { strategy, .. } | Detail::DaemonSet { strategy, .. } => Some(strategy),
        Detail::CronJob { concurrency, .. } => Some(concurrency),
        _ => None,
    }
}

fn revision(w: &Workload) -> Option<&str> {
    match &w.detail {
        Detail::StatefulSet { update_revision, .. } => Some(update_revision),
        _ => w.revision.as_deref(),
    }
}

fn duration(now: i64, w: &Workload) -> Value<'static> {
    let Detail::Job { started: Some(start), ended, .. } = &w.detail else { return Value::None };
    let failed = || meta::condition(&w.conditions, "Failed").filter(|c| c.status == Tri::True).and_then(|c| c.since);
    let end = ended.or_else(failed).map_or(now, |t| t.secs());
    Value::Seconds((end - start.secs()).max(0))
}

const KIND_SHOWN: Column = Column { show: Show::Always, ..KIND };

const READY: Column = col(
    "ready", "READY", Unit::Ratio, |_, r| workload(r, ready),
    "Ready pods of those wanted: `status.readyReplicas` of `spec.replicas` (DaemonSets: `numberReady` of `desiredNumberScheduled`; Jobs: `succeeded` of `spec.completions`); JSON has the first",
).leave(2).tone(ready_tone);
const DESIRED: Column = col(
    "desired",
    "DESIRED",
    Unit::Number,
    |_, r| workload(r, |w| w.desired),
    "Pods wanted: `spec.replicas`, 1 when absent (DaemonSets: `status.desiredNumberScheduled`; Jobs: `spec.parallelism`)",
)
.hidden();
const CURRENT: Column = col(
    "current",
    "CURRENT",
    Unit::Number,
    |_, r| serving(r, |w| w.current),
    "Pods there are: `status.replicas` (DaemonSets: `status.currentNumberScheduled`)",
)
.hidden();
const UPDATED: Column = col(
    "up_to_date",
    "UPDATED",
    Unit::Number,
    |_, r| serving(r, |w| w.updated),
    "Pods of the newest template: `status.updatedReplicas` (DaemonSets: `updatedNumberScheduled`; ReplicaSets: `replicas`)",
)
.leave(14);
const AVAILABLE: Column = col(
    "available",
    "AVAILABLE",
    Unit::Number,
    |_, r| serving(r, |w| w.available),
    "Pods ready for long enough: `status.availableReplicas` (DaemonSets: `numberAvailable`)",
)
.leave(13);
const STATUS: Column = col(
    "status", "STATUS", Unit::Text, |_, r| workload(r, |w| Value::from(status(w))),
    "In a word: Available, Progressing, Degraded, Stuck, Paused, ScaledToZero; Jobs: Running, Complete, Failed, Suspended, Pending; CronJobs: Scheduled, Running, Suspended; Terminating",
).width(7, 12).leave(1).tone(row_tone);
const IMAGES: Column = col(
    "images",
    "IMAGES",
    Unit::List,
    |_, r| workload(r, |w| list(w.shape.containers.iter().map(|c| &*c.image))),
    "Images of the template: `containers[].image`",
)
.width(10, 60)
.leave(40);
const CONTAINERS: Column = col(
    "container_names",
    "CONTAINERS",
    Unit::List,
    |_, r| workload(r, |w| list(w.shape.containers.iter().map(|c| &*c.name))),
    "Containers of the template: `containers[].name`",
)
.wide()
.leave(62);
const CPU: Column = col(
    "cpu_request_m",
    "CPU",
    Unit::Millicores,
    |_, r| workload(r, |w| w.shape.requests.cpu_request_m.map(Value::Millicores)),
    "CPU that one pod of the template requests, summed as the scheduler does",
)
.leave(30);
const CPU_LIMIT: Column = col(
    "cpu_limit_m",
    "CPU-LIM",
    Unit::Millicores,
    |_, r| workload(r, |w| w.shape.requests.cpu_limit_m.map(Value::Millicores)),
    "CPU limit of one pod of the template",
)
.wide()
.leave(51);
const MEMORY: Column = col(
    "memory_request_bytes",
    "MEM",
    Unit::Bytes,
    |_, r| workload(r, |w| w.shape.requests.memory_request.map(Value::Bytes)),
    "Memory that one pod of the template requests, summed as the scheduler does",
)
.leave(31);
const MEMORY_LIMIT: Column = col(
    "memory_limit_bytes",
    "MEM-LIM",
    Unit::Bytes,
    |_, r| workload(r, |w| w.shape.requests.memory_limit.map(Value::Bytes)),
    "Memory limit of one pod of the template",
)
.wide()
.leave(52);
const STRATEGY: Column = col(
    "strategy",
    "STRATEGY",
    Unit::Text,
    |_, r| workload(r, strategy),
    "How it is updated: `spec.strategy.type` or `spec.updateStrategy.type`; CronJobs: `spec.concurrencyPolicy`",
)
.width(6, 13)
.wide()
.leave(45);
const REVISION: Column = col(
    "revision",
    "REVISION",
    Unit::Text,
    |_, r| workload(r, revision),
    "Annotation `deployment.kubernetes.io/revision`; StatefulSets: `status.updateRevision`",
)
.width(4, 24)
.wide()
.leave(46);
const SELECTOR: Column = col(
    "selector",
    "SELECTOR",
    Unit::Text,
    |_, r| workload(r, |w| w.selector.as_ref().map(ToString::to_string)),
    "`spec.selector` as kubectl writes selectors",
)
.width(8, 50)
.wide()
.leave(61);
const MESSAGE: Column = col(
    "message",
    "MESSAGE",
    Unit::Text,
    |_, r| workload(r, message),
    "Message, else reason, of Failed or ReplicaFailure while True, else of Progressing or Available while False",
)
.width(10, 80)
.wide()
.leave(70);
const CONDITIONS: Column =
    col("conditions", "CONDITIONS", Unit::List, |_, r| workload(r, |w| conditions(&w.conditions)), "`status.conditions` as type=status")
        .hidden();
const SUSPENDED: Column =
    col("suspended", "SUSPENDED", Unit::Bool, |_, r| workload(r, suspended), "`spec.suspend`; Deployments: `spec.paused`").hidden();
const SERVICE: Column = col(
    "service",
    "SERVICE",
    Unit::Text,
    |_, r| {
        workload(r, |w| match &w.detail {
            Detail::StatefulSet { service, .. } => Some(service),
            _ => None,
        })
    },
    "`spec.serviceName`",
)
.wide()
.leave(47);
const MISSCHEDULED: Column = col(
    "misscheduled",
    "MISPLACED",
    Unit::Number,
    |_, r| {
        workload(r, |w| match w.detail {
            Detail::DaemonSet { misscheduled, .. } => Some(misscheduled),
            _ => None,
        })
    },
    "Pods on nodes where they should not be: `status.numberMisscheduled`",
)
.leave(33)
.tone(some_tone);
const PARALLELISM: Column =
    Column { doc: "Pods at a time: `spec.parallelism`, 1 when absent", title: "PARALLEL", show: Show::Wide, leave: 48, ..DESIRED };
const ACTIVE: Column = col(
    "active",
    "ACTIVE",
    Unit::Number,
    |_, r| {
        workload(r, |w| match w.detail {
            Detail::Job { active, .. } => Value::Int(active.into()),
            Detail::CronJob { active, .. } => Value::Int(active.into()),
            _ => Value::None,
        })
    },
    "Jobs: pods that run, `status.active`; CronJobs: Jobs that run, the number of `status.active`",
)
.leave(12);
const FAILED: Column = col(
    "failed",
    "FAILED",
    Unit::Number,
    |_, r| {
        workload(r, |w| match w.detail {
            Detail::Job { failed, .. } => Some(failed),
            _ => None,
        })
    },
    "Pods that failed: `status.failed`",
)
.leave(11)
.tone(some_tone);
const BACKOFF: Column = col(
    "backoff_limit",
    "RETRIES",
    Unit::Number,
    |_, r| {
        workload(r, |w| match w.detail {
            Detail::Job { backoff_limit, .. } => Some(backoff_limit),
            _ => None,
        })
    },
    "`spec.backoffLimit`, 6 when absent",
)
.wide()
.leave(49);
const DURATION: Column = col(
    "duration_s",
    "DURATION",
    Unit::Seconds,
    |c, r| workload(r, |w| duration(c.now, w)),
    "`status.startTime` to `status.completionTime`, else to when Failed became True, else to now",
)
.leave(15);
const SCHEDULE: Column = col(
    "schedule",
    "SCHEDULE",
    Unit::Text,
    |_, r| {
        workload(r, |w| match &w.detail {
            Detail::CronJob { schedule, .. } => Some(schedule),
            _ => None,
        })
    },
    "`spec.schedule`",
)
.width(9, 20)
.leave(3);
const TIME_ZONE: Column = col(
    "time_zone",
    "TIME-ZONE",
    Unit::Text,
    |_, r| {
        workload(r, |w| match &w.detail {
            Detail::CronJob { time_zone, .. } => time_zone.as_ref(),
            _ => None,
        })
    },
    "`spec.timeZone`",
)
.width(3, 20)
.wide()
.leave(50);
const LAST_RUN: Column = col(
    "last_schedule_age_s",
    "LAST-RUN",
    Unit::Seconds,
    |_, r| {
        workload(r, |w| match w.detail {
            Detail::CronJob { last_schedule, .. } => last_schedule.map(Value::Age),
            _ => None,
        })
    },
    "Since it last started a Job: now less `status.lastScheduleTime`",
)
.leave(6);
const LAST_SUCCESS: Column = col(
    "last_success_age_s",
    "LAST-OK",
    Unit::Seconds,
    |_, r| {
        workload(r, |w| match w.detail {
            Detail::CronJob { last_success, .. } => last_success.map(Value::Age),
            _ => None,
        })
    },
    "Since a Job of it last succeeded: now less `status.lastSuccessfulTime`",
)
.leave(7);

pub(super) static ALL: &[Column] = &[
    CLUSTER,
    KIND_SHOWN.leave(4),
    NAMESPACE,
    NAME,
    READY,
    DESIRED,
    CURRENT,
    UPDATED,
    AVAILABLE,
    STATUS,
    CPU,
    MEMORY,
    CPU_LIMIT,
    MEMORY_LIMIT,
    PODS_CPU,
    PODS_CPU_PERCENT,
    PODS_MEMORY,
    PODS_MEMORY_PERCENT,
    PODS_CPU_REQUEST,
    PODS_CPU_SLACK,
    PODS_MEMORY_REQUEST,
    PODS_MEMORY_SLACK,
    CPU_TREND,
    MEMORY_TREND,
    THROTTLED,
    RESTARTED,
    OOM_KILLED,
    PODS_MEASURED,
    FINDINGS,
    AGE,
    IMAGES,
    CONTAINERS,
    STRATEGY,
    REVISION,
    SELECTOR,
    SUSPENDED,
    OWNER,
    MESSAGE,
    CONDITIONS,
    LABELS,
    DELETED,
];
pub(super) static DEPLOYMENTS: &[Column] = &[
    CLUSTER,
    KIND,
    NAMESPACE,
    NAME,
    READY,
    DESIRED,
    CURRENT,
    UPDATED,
    AVAILABLE,
    STATUS,
    CPU,
    MEMORY,
    CPU_LIMIT,
    MEMORY_LIMIT,
    PODS_CPU,
    PODS_CPU_PERCENT,
    PODS_MEMORY,
    PODS_MEMORY_PERCENT,
    PODS_CPU_REQUEST,
    PODS_CPU_SLACK,
    PODS_MEMORY_REQUEST,
    PODS_MEMORY_SLACK,
    CPU_TREND,
    MEMORY_TREND,
    THROTTLED,
    RESTARTED,
    OOM_KILLED,
    PODS_MEASURED,
    FINDINGS,
    AGE,
    IMAGES,
    CONTAINERS,
    STRATEGY,
    REVISION,
    SELECTOR,
    SUSPENDED,
    OWNER,
    MESSAGE,
    CONDITIONS,
    LABELS,
    DELETED,
];
pub(super) static STATEFULSETS: &[Column] = &[
    CLUSTER,
    KIND,
    NAMESPACE,
    NAME,
    READY,
    DESIRED,
    CURRENT,
    UPDATED,
    AVAILABLE,
    STATUS,
    CPU,
    MEMORY,
    CPU_LIMIT,
    MEMORY_LIMIT,
    PODS_CPU,
    PODS_CPU_PERCENT,
    PODS_MEMORY,
    PODS_MEMORY_PERCENT,
    PODS_CPU_REQUEST,
    PODS_CPU_SLACK,
    PODS_MEMORY_REQUEST,
    PODS_MEMORY_SLACK,
    CPU_TREND,
    MEMORY_TREND,
    THROTTLED,
    RESTARTED,
    OOM_KILLED,
    PODS_MEASURED,
    FINDINGS,
    AGE,
    IMAGES,
    CONTAINERS,
    STRATEGY,
    REVISION,
    SERVICE,
    SELECTOR,
    OWNER,
    LABELS,
    DELETED,
];
pub(super) static DAEMONSETS: &[Column] = &[
    CLUSTER,
    KIND,
    NAMESPACE,
    NAME,
    READY,
    DESIRED,
    CURRENT,
    UPDATED,
    AVAILABLE,
    MISSCHEDULED,
    STATUS,
    CPU,
    MEMORY,
    CPU_LIMIT,
    MEMORY_LIMIT,
    PODS_CPU,
    PODS_CPU_PERCENT,
    PODS_MEMORY,
    PODS_MEMORY_PERCENT,
    PODS_CPU_REQUEST,
    PODS_CPU_SLACK,
    PODS_MEMORY_REQUEST,
    PODS_MEMORY_SLACK,
    CPU_TREND,
    MEMORY_TREND,
    THROTTLED,
    RESTARTED,
    OOM_KILLED,
    PODS_MEASURED,
    FINDINGS,
    AGE,
    IMAGES,
    CONTAINERS,
    STRATEGY,
    SELECTOR,
    OWNER,
    LABELS,
    DELETED,
];
pub(super) static REPLICASETS: &[Column] = &[
    CLUSTER,
    KIND,
    NAMESPACE,
    NAME,
    READY,
    DESIRED,
    CURRENT,
    AVAILABLE,
    STATUS,
    Column { show: Show::Always, leave: 20, ..OWNER },
    REVISION,
    CPU,
    MEMORY,
    CPU_LIMIT,
    MEMORY_LIMIT,
    PODS_CPU,
    PODS_CPU_PERCENT,
    PODS_MEMORY,
    PODS_MEMORY_PERCENT,
    PODS_CPU_REQUEST,
    PODS_CPU_SLACK,
    PODS_MEMORY_REQUEST,
    PODS_MEMORY_SLACK,
    CPU_TREND,
    MEMORY_TREND,
    THROTTLED,
    RESTARTED,
    OOM_KILLED,
    PODS_MEASURED,
    FINDINGS,
    AGE,
    IMAGES,
    CONTAINERS,
    SELECTOR,
    MESSAGE,
    CONDITIONS,
    LABELS,
    DELETED,
];
pub(super) static JOBS: &[Column] = &[
    CLUSTER,
    KIND,
    NAMESPACE,
    NAME,
    READY,
    PARALLELISM,
    ACTIVE,
    FAILED,
    BACKOFF,
    STATUS,
    DURATION,
    CPU,
    MEMORY,
    CPU_LIMIT,
    MEMORY_LIMIT,
    PODS_CPU,
    PODS_CPU_PERCENT,
    PODS_MEMORY,
    PODS_MEMORY_PERCENT,
    PODS_CPU_REQUEST,
    PODS_CPU_SLACK,
    PODS_MEMORY_REQUEST,
    PODS_MEMORY_SLACK,
    CPU_TREND,
    MEMORY_TREND,
    THROTTLED,
    RESTARTED,
    OOM_KILLED,
    PODS_MEASURED,
    FINDINGS,
    AGE,
    IMAGES,
    CONTAINERS,
    SELECTOR,
    SUSPENDED,
    OWNER,
    MESSAGE,
    CONDITIONS,
    LABELS,
    DELETED,
];
pub(super) static CRONJOBS: &[Column] = &[
    CLUSTER,
    KIND,
    NAMESPACE,
    NAME,
    SCHEDULE,
    TIME_ZONE,
    STATUS,
    ACTIVE,
    LAST_RUN,
    LAST_SUCCESS,
    SUSPENDED,
    STRATEGY,
    CPU,
    MEMORY,
    CPU_LIMIT,
    MEMORY_LIMIT,
    PODS_CPU,
    PODS_CPU_PERCENT,
    PODS_MEMORY,
    PODS_MEMORY_PERCENT,
    PODS_CPU_REQUEST,
    PODS_CPU_SLACK,
    PODS_MEMORY_REQUEST,
    PODS_MEMORY_SLACK,
    CPU_TREND,
    MEMORY_TREND,
    THROTTLED,
    RESTARTED,
    OOM_KILLED,
    PODS_MEASURED,
    FINDINGS,
    AGE,
    IMAGES,
    CONTAINERS,
    OWNER,
    LABELS,
    DELETED,
];

#[cfg(test)]
#[path = "workloads_tests.rs"]
mod tests;
