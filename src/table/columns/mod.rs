//! The columns, a file a kind. What every kind has is here.
//!
//! A column's doc names the fields of the API object that its value is derived from: a test compares with kubectl.

/// A function that reads a row of one kind; of another's there is nothing to read.
macro_rules! reader {
    ($name:ident: $kind:ident) => {
        fn $name<'a, V: Into<Value<'a>>>(r: Row<'a>, f: impl FnOnce(&'a $kind) -> V) -> Value<'a> {
            match r.object() {
                Some(Object::$kind(o)) => f(o).into(),
                _ => Value::None,
            }
        }
    };
}

mod alerts;
mod backups;
mod claims;
mod clusters;
mod etcd;
mod events;
mod findings;
mod hpa;
mod ingresses;
mod locations;
mod namespaces;
mod nodes;
mod pdb;
mod pods;
mod restores;
mod schedules;
mod services;
mod signals;
mod silences;
mod workloads;

pub(super) use etcd::status as etcd_status;
pub(super) use hpa::status as hpa_status;
pub(super) use schedules::status as schedule_status;
pub(super) use silences::SOON;
pub use workloads::status as status_of;

use super::column::{Column, Unit, col};
use super::{Ctx, Row, Subject, Tone, Value, bad, stale};
use crate::model::{Condition, Kind, Labels, Object, Severity, Str, Usage};
use crate::store::{Cluster, UseCourse, UseSum};
use std::borrow::Cow;

/// Names that one subject's people use for its columns.
pub(super) const OWN_ALIASES: &[(Subject, &str, &str)] = &[(Subject::Alerts, "alertname", "name")];

/// Short names that filters and `--sort` take besides ids and titles; the first that the subject has wins.
pub(super) const ALIASES: &[(&str, &str)] = &[
    ("ns", "namespace"),
    ("age", "age_s"),
    ("cpu", "cpu_request_m"),
    ("mem", "memory_request_bytes"),
    ("memory", "memory_request_bytes"),
    ("cpu_limit", "cpu_limit_m"),
    ("mem_limit", "memory_limit_bytes"),
    ("cpu%", "cpu_request_percent"),
    ("mem%", "memory_request_percent"),
    ("cpu_use", "cpu_use_m"),
    ("cpu_use%", "cpu_use_percent"),
    ("cpu_use%", "cpu_use_request_percent"),
    ("mem_use%", "memory_use_percent"),
    ("mem_use%", "memory_use_request_percent"),
    ("mem_use", "memory_use_bytes"),
    ("cpu_slack", "cpu_slack_m"),
    ("mem_slack", "memory_slack_bytes"),
    ("label", "labels"),
    ("image", "images"),
    ("taint", "taints"),
    ("exit", "last_exit_code"),
    ("reason", "last_reason"),
    ("msg", "message"),
    ("cl", "cluster"),
    ("replicas", "ready"),
    ("obj", "object"),
    ("max", "max_replicas"),
    ("min", "min_replicas"),
    ("allowed", "disruptions_allowed"),
    ("host", "hosts"),
    ("backend", "backends"),
    ("endpoints", "endpoints_ready"),
    ("latency", "latency_ms"),
    ("role", "roles"),
    ("phase", "status"),
    ("sev", "severity"),
    ("started", "started_age_s"),
    ("expires", "expires_in_s"),
    ("ends", "ends_in_s"),
    ("next", "next_run_in_s"),
    ("late", "late_s"),
    ("last", "last_seen_age_s"),
    ("first", "first_seen_age_s"),
];

/// A subject's columns.
pub(super) fn of(subject: Subject) -> &'static [Column] {
    match subject {
        Subject::Clusters => clusters::COLUMNS,
        Subject::Nodes => nodes::COLUMNS,
        Subject::Pods => pods::COLUMNS,
        Subject::Workloads => workloads::ALL,
        Subject::Deployments => workloads::DEPLOYMENTS,
        Subject::StatefulSets => workloads::STATEFULSETS,
        Subject::DaemonSets => workloads::DAEMONSETS,
        Subject::ReplicaSets => workloads::REPLICASETS,
        Subject::Jobs => workloads::JOBS,
        Subject::CronJobs => workloads::CRONJOBS,
        Subject::Hpa => hpa::COLUMNS,
        Subject::Pdb => pdb::COLUMNS,
        Subject::Events => events::COLUMNS,
        Subject::Namespaces => namespaces::COLUMNS,
        Subject::Claims => claims::COLUMNS,
        Subject::Services => services::COLUMNS,
        Subject::Ingresses => ingresses::COLUMNS,
        Subject::Etcd => etcd::COLUMNS,
        Subject::Alerts => alerts::COLUMNS,
        Subject::Silences => silences::COLUMNS,
        Subject::Signals => signals::COLUMNS,
        Subject::Findings => findings::COLUMNS,
        Subject::Backups => backups::COLUMNS,
        Subject::Restores => restores::COLUMNS,
        Subject::Schedules => schedules::COLUMNS,
        Subject::Locations => locations::COLUMNS,
    }
}

const CLUSTER: Column = col(
    "cluster",
    "CLUSTER",
    Unit::Text,
    |_, r| (&r.cluster().info.name).into(),
    "Cluster: its display name from the configuration, else the context's",
)
.width(5, 20)
.leave(0);
const KIND: Column = col("kind", "KIND", Unit::Text, |_, r| kind(r).into(), "Kind of the object: `kind`").width(3, 11).hidden();
const NAMESPACE: Column =
    col("namespace", "NAMESPACE", Unit::Text, |_, r| r.namespace().into(), "Namespace: `metadata.namespace`").width(6, 24).leave(0);
const NO_NAMESPACE: Column = NAMESPACE.hidden();
const NAME: Column = col("name", "NAME", Unit::Text, |_, r| r.name().into(), "Name: `metadata.name`").width(12, 63).leave(0);
const AGE: Column = col("age_s", "AGE", Unit::Seconds, age, "Age: now less `metadata.creationTimestamp`").leave(5);
const OWNER: Column = col(
    "owner",
    "OWNER",
    Unit::Reference,
    owner,
    "What controls it, as Kind/name: the `metadata.ownerReferences` entry with `controller`, else the first",
)
.wide()
.leave(60);
const FINDINGS: Column = col(
    "findings",
    "FOUND",
    Unit::Number,
    |_, r| match r {
        Row::Object(c, o) => c.findings_at(o.meta().uid).map(|(worst, n)| Value::Found(worst, n.into())).into(),
        Row::Cluster(_) => Value::None,
    },
    "Open findings at it and at what belongs to it, with the sign of the worst; none where there are none, and in `qd get`, which does not read all that rules rest on",
)
.width(2, 5)
.leave(18)
.tone(found_tone);
const LABELS: Column =
    col("labels", "LABELS", Unit::Json, |_, r| r.object().map_or(Value::None, |o| labels(&o.meta().labels)), "Labels: `metadata.labels`")
        .width(10, 60)
        .hidden();
const DELETED: Column = col(
    "deletion_at",
    "DELETION",
    Unit::Moment,
    |_, r| r.object().and_then(|o| o.meta().deleting).map_or(Value::None, Value::Moment),
    "When it is to be gone: `metadata.deletionTimestamp`",
)
.hidden();

fn kind(r: Row<'_>) -> &'static str {
    r.object().map_or("Cluster", |o| o.kind().name())
}

fn age<'a>(_: &Ctx<'a>, r: Row<'a>) -> Value<'a> {
    r.object().and_then(|o| o.meta().created).map_or(Value::None, Value::Age)
}

fn owner<'a>(_: &Ctx<'a>, r: Row<'a>) -> Value<'a> {
    r.object().and_then(|o| o.meta().owner.as_deref()).map(|o| reference(&o.kind, &o.name)).into()
}

fn reference<'a>(kind: &str, name: &str) -> Cow<'a, str> {
    format!("{kind}/{name}").into()
}

fn labels<'a>(labels: &Labels) -> Value<'a> {
    Value::Json(labels.iter().map(|(k, v)| (k.to_owned(), serde_json::Value::from(v))).collect::<serde_json::Map<_, _>>().into())
}

fn list<'a, S: Into<Cow<'a, str>>>(items: impl IntoIterator<Item = S>) -> Value<'a> {
    Value::List(items.into_iter().map(Into::into).collect())
}

/// All conditions as `Type=Status`.
fn conditions<'a>(conditions: &'a [Condition]) -> Value<'a> {
    list(conditions.iter().map(|c| format!("{}={}", c.kind, c.status.as_str())))
}

/// What a backup or a restore takes in: all, or names, with what is left out behind a minus.
fn takes<'a>(with: &'a [Str], without: &'a [Str]) -> Value<'a> {
    let all = with.is_empty().then_some(Cow::Borrowed("*"));
    list(all.into_iter().chain(with.iter().map(|n| Cow::Borrowed(&**n))).chain(without.iter().map(|n| Cow::Owned(format!("-{n}")))))
}

/// A moment as the seconds until then; what is past is 0.
fn until<'a>(ctx: &Ctx<'_>, at: Option<i64>) -> Value<'a> {
    at.map(|at| Value::Seconds((at - ctx.now).max(0))).into()
}

/// A condition in words: the message, else the reason.
fn words(c: &Condition) -> Option<&str> {
    c.message.as_deref().or(c.reason.as_deref())
}

/// Whether a kind's rows are there to be counted: what is not seen is not zero.
fn known(c: &Cluster, kind: Kind) -> bool {
    *c.kind_state(kind) == crate::model::KindState::Live || !c.table(kind).is_empty()
}

/// So much of the whole, rounded down; none of nothing.
pub fn percent<'a>(part: i64, whole: i64) -> Value<'a> {
    if whole > 0 { Value::Percent(i64::try_from(i128::from(part) * 100 / i128::from(whole)).unwrap_or(i64::MAX)) } else { Value::None }
}

/// What a node or a pod uses; none where it was not measured.
fn used_now<'a, V: Into<Value<'a>>>(r: Row<'a>, f: impl FnOnce(&Usage) -> V) -> Value<'a> {
    match r {
        Row::Object(c, o) => c.usage(o.kind(), &o.meta().namespace, &o.meta().name).map(f).into(),
        Row::Cluster(_) => Value::None,
    }
}

/// What the measured pods of a workload or a namespace use and request; none where none was measured.
fn pods_use<'a>(r: Row<'a>, f: impl FnOnce(&UseSum) -> Option<Value<'a>>) -> Value<'a> {
    match r {
        Row::Object(c, o) => c.usage_of_pods(o).and_then(f).into(),
        Row::Cluster(_) => Value::None,
    }
}

/// The columns of nodes and pods that show what a query of Prometheus measures, and that query.
pub const SHOWN: [(&str, &str); 8] = [
    ("cpu_throttled_percent", "cpu-throttled"),
    ("recent_restarts", "restarts"),
    ("recent_oom_kills", "oom-kills"),
    ("receive_rate_bytes", "pod-receive"),
    ("transmit_rate_bytes", "pod-transmit"),
    ("filesystem_use_percent", "filesystem-use"),
    ("conntrack_use_percent", "conntrack-use"),
    ("pleg_relist_ms", "pleg-relist"),
];

/// What a query measures at the object, or at its pods, taken together by `fold`; none where it told nothing of them.
fn told<'a>(r: Row<'a>, query: &'static str, fold: fn(f64, f64) -> f64, value: fn(i64) -> Value<'a>, scale: f64) -> Value<'a> {
    let Row::Object(c, o) = r else { return Value::None };
    let all = c.signals_of(o, query).filter_map(|s| s.value);
    all.reduce(fold).map_or(Value::None, |v| value(whole(v * scale)))
}

#[expect(clippy::cast_possible_truncation, reason = "saturates")]
fn whole(value: f64) -> i64 {
    value.round() as i64
}

/// How the use of a node, a pod or a workload went; none before there are two points.
fn use_trend<'a>(r: Row<'a>, of: fn(UseCourse) -> Vec<u32>) -> Value<'a> {
    let Row::Object(c, o) = r else { return Value::None };
    c.use_course(o).map(of).filter(|points| points.len() > 1).map_or(Value::None, Value::Trend)
}

const CPU_TREND: Column = col(
    "cpu_use_trend_m",
    "CPU-30M",
    Unit::Trend,
    |_, r| use_trend(r, |c| c.cpu_m),
    "CPU that it, or its pods, used in the last half hour: the highest of each four minutes while qd looks",
)
.wide()
.leave(45);
const MEMORY_TREND: Column = col(
    "memory_use_trend_kib",
    "MEM-30M",
    Unit::Trend,
    |_, r| use_trend(r, |c| c.memory_kib),
    "Memory that it, or its pods, used in the last half hour: the highest of each four minutes while qd looks",
)
.wide()
.leave(46);
const THROTTLED: Column = col(
    "cpu_throttled_percent",
    "THROTTLED",
    Unit::Percent,
    |_, r| told(r, "cpu-throttled", f64::max, Value::Percent, 100.0),
    "CPU periods in which a container is throttled, of the worst: Prometheus, query cpu-throttled, which tells only the `top` worst of a cluster, ten unless configured; of the others nothing is known",
)
.hidden();
const RESTARTED: Column = col(
    "recent_restarts",
    "RESTARTS-15M",
    Unit::Number,
    |_, r| told(r, "restarts", |a, b| a + b, Value::Int, 1.0),
    "Restarts of containers within 15 minutes: Prometheus, query restarts, which tells only the `top` worst of a cluster, ten unless configured; blank where there are none, and beyond those",
)
.hidden();
const OOM_KILLED: Column = col(
    "recent_oom_kills",
    "OOM-15M",
    Unit::Number,
    |_, r| told(r, "oom-kills", |a, b| a + b, Value::Int, 1.0),
    "Containers that ran out of memory within 15 minutes: Prometheus, query oom-kills, which tells only the `top` worst of a cluster, ten unless configured; blank where there are none, and beyond those",
)
.hidden();

const PODS_MEASURED: Column = col(
    "pods_measured",
    "MEASURED",
    Unit::Number,
    |_, r| pods_use(r, |u| Some(u.pods.into())),
    "Its pods whose use was measured: metrics.k8s.io, else Prometheus",
)
.hidden();
const PODS_CPU: Column = col(
    "cpu_use_m",
    "CPU-USE",
    Unit::Millicores,
    |_, r| pods_use(r, |u| u.cpu_m.map(Value::Millicores)),
    "CPU that its measured pods use: metrics.k8s.io, `containers[].usage.cpu`, summed; else Prometheus",
)
.wide()
.leave(42);
const PODS_CPU_REQUEST: Column = col(
    "pods_cpu_request_m",
    "CPU-REQ",
    Unit::Millicores,
    |_, r| pods_use(r, |u| u.cpu_m.map(|_| Value::Millicores(u.cpu_request_m))),
    "CPU that its measured pods request",
)
.hidden();
const PODS_CPU_PERCENT: Column = col(
    "cpu_use_request_percent",
    "CPU-USE%",
    Unit::Percent,
    |_, r| pods_use(r, |u| u.cpu_m.map(|cpu| percent(cpu, u.cpu_request_m))),
    "CPU that its measured pods use, of what they request, rounded down",
)
.wide()
.leave(43);
const PODS_CPU_SLACK: Column = col(
    "cpu_slack_m",
    "CPU-SLACK",
    Unit::Millicores,
    |_, r| pods_use(r, |u| u.cpu_m.map(|cpu| Value::Millicores(u.cpu_request_m - cpu))),
    "CPU that its measured pods request and do not use; negative: they use more",
)
.hidden();
const PODS_MEMORY: Column = col(
    "memory_use_bytes",
    "MEM-USE",
    Unit::Bytes,
    |_, r| pods_use(r, |u| u.memory.map(Value::Bytes)),
    "Memory that its measured pods use: metrics.k8s.io, `containers[].usage.memory` (the working set), summed; else Prometheus",
)
.wide()
.leave(42);
const PODS_MEMORY_REQUEST: Column = col(
    "pods_memory_request_bytes",
    "MEM-REQ",
    Unit::Bytes,
    |_, r| pods_use(r, |u| u.memory.map(|_| Value::Bytes(u.memory_request))),
    "Memory that its measured pods request",
)
.hidden();
const PODS_MEMORY_PERCENT: Column = col(
    "memory_use_request_percent",
    "MEM-USE%",
    Unit::Percent,
    |_, r| pods_use(r, |u| u.memory.map(|memory| percent(memory, u.memory_request))),
    "Memory that its measured pods use, of what they request, rounded down",
)
.wide()
.leave(43);
const PODS_MEMORY_SLACK: Column = col(
    "memory_slack_bytes",
    "MEM-SLACK",
    Unit::Bytes,
    |_, r| pods_use(r, |u| u.memory.map(|memory| Value::Bytes(u.memory_request - memory))),
    "Memory that its measured pods request and do not use; negative: they use more",
)
.hidden();

/// The row's own badness, for the cell that says it.
fn row_tone(ctx: &Ctx<'_>, row: Row<'_>, _: &Value<'_>) -> Tone {
    if stale(row) { Tone::Stale } else { bad(ctx, row) }
}

/// Requested of allocatable: high is a warning, more than there is critical.
fn full_tone(_: &Ctx<'_>, _: Row<'_>, value: &Value<'_>) -> Tone {
    match value {
        Value::Percent(100..) => Tone::Critical,
        Value::Percent(90..) => Tone::Warning,
        _ => Tone::Plain,
    }
}

/// Anything but none and zero is a warning.
fn some_tone(_: &Ctx<'_>, _: Row<'_>, value: &Value<'_>) -> Tone {
    match value {
        Value::None | Value::Int(0) | Value::Bool(false) => Tone::Dim,
        Value::List(l) if l.is_empty() => Tone::Dim,
        _ => Tone::Warning,
    }
}

/// Less than all is a warning, none of some critical.
fn ratio_tone(_: &Ctx<'_>, _: Row<'_>, value: &Value<'_>) -> Tone {
    match value {
        Value::Ratio(0, 1..) => Tone::Critical,
        Value::Ratio(a, b) if a < b => Tone::Warning,
        _ => Tone::Plain,
    }
}

/// As bad as the worst that was found.
fn found_tone(_: &Ctx<'_>, _: Row<'_>, value: &Value<'_>) -> Tone {
    match value {
        Value::Found(Severity::Critical, _) => Tone::Critical,
        Value::Found(Severity::Warning, _) => Tone::Warning,
        Value::Found(Severity::Info, _) => Tone::Info,
        _ => Tone::Dim,
    }
}

/// Said, but not what the eye should go to.
fn dim(_: &Ctx<'_>, _: Row<'_>, _: &Value<'_>) -> Tone {
    Tone::Dim
}
