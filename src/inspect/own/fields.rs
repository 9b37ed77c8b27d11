//! The fields of the API's objects that the store keeps, under the API's own names: what CEL sees of a row, and what a rule may name.
//!
//! What the API leaves out (an empty text, a flag that is off, an optional number that is 0) is left out here too.

use crate::model::meta::Condition;
use crate::model::pod::Resources;
use crate::model::{
    Amount, ContainerState, ContainerStatus, Kind, Labels, Object, PodShape, Selector, Terminated, Time, Tri, WorkloadDetail,
};
use kube::core::cel::cel::Value;
use kube::core::cel::cel::objects::{Key, Map};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What is below a field.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Inner {
    /// A text, a number, a flag.
    One,
    /// Keys that are the user's own.
    Map,
    /// A list; of what each member keeps. Empty: of texts.
    List(&'static [&'static str]),
}
use Inner::{List, One};

/// A field that is kept.
pub struct Field {
    /// `spec.nodeName`.
    pub path: &'static str,
    pub inner: Inner,
    get: fn(&Object) -> Value,
}

const CONTAINER: &[&str] = &[
    "name",
    "image",
    "restartPolicy",
    "resources.requests.cpu",
    "resources.requests.memory",
    "resources.limits.cpu",
    "resources.limits.memory",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
];
const STATUS: &[&str] = &[
    "name",
    "ready",
    "started",
    "restartCount",
    "state.waiting.reason",
    "state.waiting.message",
    "state.running.startedAt",
    "state.terminated.exitCode",
    "state.terminated.signal",
    "state.terminated.reason",
    "state.terminated.message",
    "state.terminated.startedAt",
    "state.terminated.finishedAt",
    "lastState.terminated.exitCode",
    "lastState.terminated.signal",
    "lastState.terminated.reason",
    "lastState.terminated.message",
    "lastState.terminated.startedAt",
    "lastState.terminated.finishedAt",
];
const CONDITION: Inner = List(&["type", "status", "reason", "message", "lastTransitionTime"]);

fn none() -> Value {
    Value::Null
}

fn text(text: &str) -> Value {
    if text.is_empty() { none() } else { Value::String(Arc::new(text.to_owned())) }
}

fn maybe(text_of: Option<impl AsRef<str>>) -> Value {
    text_of.map_or_else(none, |t| text(t.as_ref()))
}

fn time(at: Option<Time>) -> Value {
    at.map_or_else(none, |t| text(&t.rfc3339()))
}

fn int(n: impl Into<i64>) -> Value {
    Value::Int(n.into())
}

/// A number that the API leaves out when it is 0.
fn count(n: impl Into<i64>) -> Value {
    match n.into() {
        0 => none(),
        n => Value::Int(n),
    }
}

fn opt(n: Option<impl Into<i64>>) -> Value {
    n.map_or_else(none, int)
}

fn flag(on: bool) -> Value {
    if on { Value::Bool(true) } else { none() }
}

fn amount(a: Option<Amount>) -> Value {
    match a {
        None => none(),
        Some(Amount::Count(n)) => int(n),
        Some(a @ Amount::Percent(_)) => text(&a.to_string()),
    }
}

/// Millicores as a quantity.
fn cpu(m: Option<i64>) -> Value {
    m.map_or_else(none, |m| text(&if m % 1000 == 0 { (m / 1000).to_string() } else { format!("{m}m") }))
}

/// Bytes as a quantity.
fn bytes(n: Option<i64>) -> Value {
    let word = |n: i64| {
        let unit =
            [("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)].into_iter().find(|(_, size)| n != 0 && n % size == 0);
        unit.map_or_else(|| n.to_string(), |(name, size)| format!("{}{name}", n / size))
    };
    n.map_or_else(none, |n| text(&word(n)))
}

/// A map of what is there.
fn always(entries: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let map: HashMap<Key, Value> = entries.into_iter().filter(|(_, v)| *v != Value::Null).map(|(k, v)| (Key::from(k), v)).collect();
    Value::Map(Map { map: Arc::new(map) })
}

/// The same; nothing where nothing is.
fn map(entries: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    match always(entries) {
        Value::Map(map) if map.map.is_empty() => none(),
        some => some,
    }
}

fn list(items: impl IntoIterator<Item = Value>) -> Value {
    let all: Vec<Value> = items.into_iter().filter(|v| *v != Value::Null).collect();
    if all.is_empty() { none() } else { Value::List(Arc::new(all)) }
}

fn labels(labels: &Labels) -> Value {
    let map: HashMap<Key, Value> = labels.iter().map(|(k, v)| (Key::from(k), Value::String(Arc::new(v.to_owned())))).collect();
    if map.is_empty() { none() } else { Value::Map(Map { map: Arc::new(map) }) }
}

fn selected(selector: Option<&Selector>) -> Value {
    selector.map_or_else(none, |s| labels(&s.labels))
}

fn there(is: bool) -> Value {
    if is { always([]) } else { none() }
}

fn resources(r: &Resources) -> Value {
    let of = |c, m| map([("cpu", cpu(c)), ("memory", bytes(m))]);
    always([("requests", of(r.cpu_request_m, r.memory_request)), ("limits", of(r.cpu_limit_m, r.memory_limit))])
}

fn containers(all: &[crate::model::ContainerSpec]) -> Value {
    list(all.iter().map(|c| {
        map([
            ("name", text(&c.name)),
            ("image", text(&c.image)),
            ("restartPolicy", if c.sidecar { text("Always") } else { none() }),
            ("resources", resources(&c.resources)),
            ("livenessProbe", there(c.liveness)),
            ("readinessProbe", there(c.readiness)),
            ("startupProbe", there(c.startup)),
        ])
    }))
}

fn terminated(t: &Terminated) -> Value {
    map([
        ("exitCode", int(t.exit_code)),
        ("signal", count(t.signal)),
        ("reason", maybe(t.reason.as_deref())),
        ("message", maybe(t.message.as_deref())),
        ("startedAt", time(t.started)),
        ("finishedAt", time(t.finished)),
    ])
}

fn statuses(all: &[ContainerStatus]) -> Value {
    list(all.iter().map(|s| {
        let state = match &s.state {
            ContainerState::Waiting { reason, message } => {
                ("waiting", map([("reason", maybe(reason.as_deref())), ("message", maybe(message.as_deref().map(|m| &**m)))]))
            }
            ContainerState::Running { since } => ("running", always([("startedAt", time(*since))])),
            ContainerState::Terminated(t) => ("terminated", terminated(t)),
        };
        map([
            ("name", text(&s.name)),
            ("ready", Value::Bool(s.ready)),
            ("started", Value::Bool(s.started)),
            ("restartCount", int(s.restarts)),
            ("state", always([state])),
            ("lastState", always([("terminated", s.last.as_deref().map_or_else(none, terminated))])),
        ])
    }))
}

fn conditions<'a>(all: impl IntoIterator<Item = &'a Condition>) -> Value {
    list(all.into_iter().map(condition))
}

fn condition(c: &Condition) -> Value {
    map([
        ("type", text(&c.kind)),
        ("status", text(c.status.as_str())),
        ("reason", maybe(c.reason.as_deref())),
        ("message", maybe(c.message.as_deref())),
        ("lastTransitionTime", time(c.since)),
    ])
}

/// Of a pod's conditions that are as usual only Ready is told.
fn pod_conditions(pod: &crate::model::Pod) -> Value {
    let told = pod.conditions.iter().any(|c| &*c.kind == "Ready");
    let ready = (!told && pod.ready == Tri::True)
        .then(|| map([("type", text("Ready")), ("status", text("True")), ("lastTransitionTime", time(pod.ready_since))]));
    list(ready.into_iter().chain(pod.conditions.iter().map(condition)))
}

fn shape(object: &Object, of: impl Fn(&PodShape) -> Value) -> Value {
    match object {
        Object::Pod(p) => of(&p.shape),
        Object::Workload(w) => of(&w.shape),
        _ => none(),
    }
}

macro_rules! pod_spec {
    ($prefix:literal) => {
        &[
            Field { path: concat!($prefix, "containers"), inner: List(CONTAINER), get: |o| shape(o, |s| containers(&s.containers)) },
            Field { path: concat!($prefix, "initContainers"), inner: List(CONTAINER), get: |o| shape(o, |s| containers(&s.init)) },
            Field { path: concat!($prefix, "priorityClassName"), inner: One, get: |o| shape(o, |s| maybe(s.priority_class.as_deref())) },
            Field { path: concat!($prefix, "priority"), inner: One, get: |o| shape(o, |s| count(s.priority)) },
            Field { path: concat!($prefix, "serviceAccountName"), inner: One, get: |o| shape(o, |s| text(&s.service_account)) },
            Field { path: concat!($prefix, "hostNetwork"), inner: One, get: |o| shape(o, |s| flag(s.host_network)) },
            Field { path: concat!($prefix, "restartPolicy"), inner: One, get: |o| shape(o, |s| text(&s.restart_policy)) },
            Field { path: concat!($prefix, "terminationGracePeriodSeconds"), inner: One, get: |o| shape(o, |s| int(s.grace)) },
            Field { path: concat!($prefix, "nodeSelector"), inner: Inner::Map, get: |o| shape(o, |s| labels(&s.node_selector)) },
            Field {
                path: concat!($prefix, "tolerations"),
                inner: List(&["key", "operator", "value", "effect"]),
                get: |o| {
                    shape(o, |s| {
                        list(s.placing.tolerations.iter().map(|t| {
                            let operator = if t.exists { text("Exists") } else { none() };
                            map([("key", text(&t.key)), ("operator", operator), ("value", text(&t.value)), ("effect", text(&t.effect))])
                        }))
                    })
                },
            },
        ]
    };
}

macro_rules! fields {
    ($variant:ident $o:ident { $($path:literal $inner:expr => $value:expr;)* }) => {
        &[$(Field { path: $path, inner: $inner, get: |object| match object { Object::$variant($o) => $value, _ => none() } }),*]
    };
}

macro_rules! detail {
    ($variant:ident { $($path:literal $field:ident $inner:expr => $value:expr;)* }) => {
        &[$(Field { path: $path, inner: $inner, get: |object| match object {
            Object::Workload(w) => match &w.detail { WorkloadDetail::$variant { $field, .. } => $value, _ => none() },
            _ => none(),
        } }),*]
    };
}

const META: &[Field] = &[
    Field { path: "kind", inner: One, get: |o| text(o.kind().name()) },
    Field { path: "apiVersion", inner: One, get: |o| text(&o.kind().api_version()) },
    Field { path: "metadata.name", inner: One, get: |o| text(&o.meta().name) },
    Field { path: "metadata.namespace", inner: One, get: |o| text(&o.meta().namespace) },
    Field { path: "metadata.uid", inner: One, get: |o| text(&o.meta().uid.to_string()) },
    Field { path: "metadata.labels", inner: Inner::Map, get: |o| labels(&o.meta().labels) },
    Field { path: "metadata.creationTimestamp", inner: One, get: |o| time(o.meta().created) },
    Field { path: "metadata.deletionTimestamp", inner: One, get: |o| time(o.meta().deleting) },
    Field { path: "metadata.generation", inner: One, get: |o| count(o.meta().generation) },
    Field { path: "metadata.finalizers", inner: List(&[]), get: |o| list(o.meta().finalizers.iter().map(|f| text(f))) },
    Field {
        path: "metadata.ownerReferences",
        inner: List(&["kind", "name", "uid"]),
        get: |o| {
            list(o.meta().owner.iter().map(|w| map([("kind", text(&w.kind)), ("name", text(&w.name)), ("uid", text(&w.uid.to_string()))])))
        },
    },
];

const POD: &[Field] = fields! { Pod p {
    "spec.nodeName" One => maybe(p.node.as_deref());
    "status.phase" One => text(p.phase.as_str());
    "status.reason" One => maybe(p.reason.as_deref());
    "status.message" One => maybe(p.message.as_deref());
    "status.podIP" One => maybe(p.ip.as_deref());
    "status.startTime" One => time(p.started);
    "status.qosClass" One => text(p.qos.as_str());
    "status.containerStatuses" List(STATUS) => statuses(&p.containers);
    "status.initContainerStatuses" List(STATUS) => statuses(&p.init);
    "status.conditions" CONDITION => pod_conditions(p);
} };

const NODE: &[Field] = fields! { Node n {
    "spec.unschedulable" One => flag(n.unschedulable);
    "spec.podCIDR" One => maybe(n.pod_cidr.as_deref());
    "spec.taints" List(&["key", "value", "effect"]) =>
        list(n.taints.iter().map(|t| map([("key", text(&t.key)), ("value", text(&t.value)), ("effect", text(&t.effect))])));
    "status.capacity.cpu" One => cpu(Some(n.cpu_capacity_m));
    "status.capacity.memory" One => bytes(Some(n.memory_capacity));
    "status.allocatable.cpu" One => cpu(Some(n.cpu_allocatable_m));
    "status.allocatable.memory" One => bytes(Some(n.memory_allocatable));
    "status.allocatable.pods" One => text(&n.pods_allocatable.to_string());
    "status.conditions" CONDITION => conditions(&n.conditions);
    "status.nodeInfo.kernelVersion" One => text(&n.kernel);
    "status.nodeInfo.osImage" One => text(&n.os_image);
    "status.nodeInfo.containerRuntimeVersion" One => text(&n.runtime);
    "status.nodeInfo.kubeletVersion" One => text(&n.kubelet);
    "status.nodeInfo.architecture" One => text(&n.arch);
    "status.nodeInfo.operatingSystem" One => text(&n.os);
} };

/// Of what has a template and counts its pods.
const TEMPLATE: &[Field] = fields! { Workload w {
    "spec.template.metadata.labels" Inner::Map => labels(&w.pod_labels);
    "spec.selector.matchLabels" Inner::Map => selected(w.selector.as_ref());
} };
const REPLICAS: &[Field] = fields! { Workload w {
    "spec.replicas" One => opt(w.desired);
    "status.replicas" One => count(w.current);
    "status.readyReplicas" One => count(w.ready);
    "status.availableReplicas" One => count(w.available);
    "status.observedGeneration" One => count(w.observed);
} };
const CONDITIONS: &[Field] = fields! { Workload w {
    "status.conditions" CONDITION => conditions(&w.conditions);
} };
const UPDATED: &[Field] = fields! { Workload w {
    "status.updatedReplicas" One => count(w.updated);
} };
const DEPLOYMENT: &[Field] = detail! { Deployment {
    "spec.strategy.type" strategy One => text(strategy);
    "spec.strategy.rollingUpdate.maxUnavailable" max_unavailable One => amount(*max_unavailable);
    "spec.paused" paused One => flag(*paused);
    "spec.progressDeadlineSeconds" progress_deadline One => opt(*progress_deadline);
} };
const STATEFULSET: &[Field] = detail! { StatefulSet {
    "spec.serviceName" service One => text(service);
    "spec.updateStrategy.type" strategy One => text(strategy);
    "spec.updateStrategy.rollingUpdate.partition" partition One => count(*partition);
    "status.currentRevision" current_revision One => text(current_revision);
    "status.updateRevision" update_revision One => text(update_revision);
} };
const DAEMONSET: &[Field] = detail! { DaemonSet {
    "spec.updateStrategy.type" strategy One => text(strategy);
    "status.numberMisscheduled" misscheduled One => int(*misscheduled);
} };
const DAEMONS: &[Field] = fields! { Workload w {
    "status.desiredNumberScheduled" One => int(w.desired.unwrap_or(0));
    "status.currentNumberScheduled" One => int(w.current);
    "status.numberReady" One => int(w.ready);
    "status.numberAvailable" One => count(w.available);
    "status.updatedNumberScheduled" One => count(w.updated);
    "status.observedGeneration" One => count(w.observed);
} };
const JOB: &[Field] = detail! { Job {
    "spec.completions" completions One => opt(*completions);
    "spec.backoffLimit" backoff_limit One => int(*backoff_limit);
    "spec.suspend" suspended One => flag(*suspended);
    "status.active" active One => count(*active);
    "status.succeeded" succeeded One => count(*succeeded);
    "status.failed" failed One => count(*failed);
    "status.startTime" started One => time(*started);
    "status.completionTime" ended One => time(*ended);
} };
const JOBS: &[Field] = fields! { Workload w {
    "spec.parallelism" One => opt(w.desired);
    "status.ready" One => count(w.ready);
} };
const CRONJOB: &[Field] = detail! { CronJob {
    "spec.schedule" schedule One => text(schedule);
    "spec.timeZone" time_zone One => maybe(time_zone.as_deref());
    "spec.suspend" suspended One => flag(*suspended);
    "spec.concurrencyPolicy" concurrency One => text(concurrency);
    "status.lastScheduleTime" last_schedule One => time(*last_schedule);
    "status.lastSuccessfulTime" last_success One => time(*last_success);
} };
const CRON_TEMPLATE: &[Field] = fields! { Workload w {
    "spec.jobTemplate.spec.template.metadata.labels" Inner::Map => labels(&w.pod_labels);
} };
const HPA: &[Field] = fields! { Hpa h {
    "spec.scaleTargetRef.kind" One => text(&h.target_kind);
    "spec.scaleTargetRef.name" One => text(&h.target_name);
    "spec.minReplicas" One => int(h.min);
    "spec.maxReplicas" One => int(h.max);
    "status.currentReplicas" One => count(h.current);
    "status.desiredReplicas" One => int(h.desired);
    "status.lastScaleTime" One => time(h.last_scale);
    "status.conditions" CONDITION => conditions(&h.conditions);
} };
const PDB: &[Field] = fields! { Pdb p {
    "spec.minAvailable" One => amount(p.min_available);
    "spec.maxUnavailable" One => amount(p.max_unavailable);
    "spec.selector.matchLabels" Inner::Map => selected(p.selector.as_ref());
    "spec.unhealthyPodEvictionPolicy" One => maybe(p.unhealthy_policy.as_deref());
    "status.disruptionsAllowed" One => int(p.allowed);
    "status.currentHealthy" One => int(p.healthy);
    "status.desiredHealthy" One => int(p.desired);
    "status.expectedPods" One => int(p.expected);
    "status.observedGeneration" One => count(p.observed);
    "status.conditions" CONDITION => conditions(&p.conditions);
} };
const NAMESPACE: &[Field] = fields! { Namespace n {
    "status.phase" One => text(&n.phase);
    "status.conditions" CONDITION => conditions(&n.conditions);
} };
const CLAIM: &[Field] = fields! { Claim c {
    "spec.volumeName" One => maybe(c.volume.as_deref());
    "spec.storageClassName" One => maybe(c.class.as_deref());
    "spec.volumeMode" One => text(&c.mode);
    "spec.accessModes" List(&[]) => list(c.access.iter().map(|m| text(m)));
    "spec.resources.requests.storage" One => bytes(c.requested);
    "status.phase" One => text(&c.phase);
    "status.capacity.storage" One => bytes(c.capacity);
    "status.conditions" CONDITION => conditions(&c.conditions);
} };

const POD_SPEC: &[Field] = pod_spec!("spec.");
const TEMPLATE_SPEC: &[Field] = pod_spec!("spec.template.spec.");
const CRON_SPEC: &[Field] = pod_spec!("spec.jobTemplate.spec.template.spec.");

/// The fields of a kind that are kept. Of kinds that are not named here only metadata may be asked for.
pub fn of(kind: Kind) -> impl Iterator<Item = &'static Field> {
    let own: &[&'static [Field]] = match kind {
        Kind::Pod => &[POD, POD_SPEC],
        Kind::Node => &[NODE],
        Kind::Deployment => &[REPLICAS, UPDATED, CONDITIONS, DEPLOYMENT, TEMPLATE, TEMPLATE_SPEC],
        Kind::StatefulSet => &[REPLICAS, UPDATED, STATEFULSET, TEMPLATE, TEMPLATE_SPEC],
        Kind::ReplicaSet => &[REPLICAS, CONDITIONS, TEMPLATE, TEMPLATE_SPEC],
        Kind::DaemonSet => &[DAEMONS, DAEMONSET, TEMPLATE, TEMPLATE_SPEC],
        Kind::Job => &[JOBS, JOB, CONDITIONS, TEMPLATE, TEMPLATE_SPEC],
        Kind::CronJob => &[CRONJOB, CRON_TEMPLATE, CRON_SPEC],
        Kind::Hpa => &[HPA],
        Kind::Pdb => &[PDB],
        Kind::Namespace => &[NAMESPACE],
        Kind::Claim => &[CLAIM],
        _ => &[],
    };
    std::iter::once(META).chain(own.iter().copied()).flatten()
}

/// A member of a list, in the paths that expressions name.
pub const MEMBER: &str = "[]";

impl Field {
    /// Whether a path of an expression is this field, or a part or a whole of it.
    fn holds(&self, path: &[String]) -> bool {
        let mut own = self.path.split('.');
        let mut rest = path.iter();
        loop {
            match (own.next(), rest.next()) {
                (Some(a), Some(b)) if a == b => {}
                (Some(_), Some(_)) => return false,
                (Some(_), None) => return true,
                (None, None) => return true,
                (None, Some(first)) => {
                    let more: Vec<&str> = rest.map(String::as_str).collect();
                    return match self.inner {
                        One => false,
                        Inner::Map => more.is_empty(),
                        List(inner) => {
                            let fits = |i: &&str| i.split('.').zip(&more).all(|(a, b)| a == *b) && i.split('.').count() >= more.len();
                            first == MEMBER && (more.is_empty() || inner.iter().any(fits))
                        }
                    };
                }
            }
        }
    }
}

/// What of an object an expression needs: the fields below each name.
#[derive(Default)]
pub struct Wanted {
    below: BTreeMap<&'static str, Wanted>,
    get: Option<fn(&Object) -> Value>,
}

impl Wanted {
    /// What these paths need of a kind.
    ///
    /// # Errors
    /// The first path that is not kept.
    pub fn of(kind: Kind, paths: &[Vec<String>]) -> Result<Self, Vec<String>> {
        let mut all = Self::default();
        for path in paths {
            let mut none = true;
            for field in of(kind).filter(|f| f.holds(path)) {
                none = false;
                let mut at = &mut all;
                for part in field.path.split('.') {
                    at = at.below.entry(part).or_default();
                }
                at.get = Some(field.get);
            }
            if none {
                return Err(path.clone());
            }
        }
        Ok(all)
    }

    /// The object, as far as it is needed. What every object has (spec, template, strategy...) is there, however little is in it.
    pub fn value(&self, object: &Object) -> Value {
        always(self.below.iter().map(|(name, inner)| {
            let value = match inner.get {
                Some(get) => get(object),
                None => inner.value(object),
            };
            let may_lack = matches!(*name, "rollingUpdate" | "selector" | "capacity");
            let empty = matches!(&value, Value::Map(map) if map.map.is_empty());
            (*name, if may_lack && empty { none() } else { value })
        }))
    }
}

/// The kept fields of a kind that are nearest to a path, for a message: those below the same parent, else all.
pub fn near(kind: Kind, path: &[String]) -> String {
    let of_parent = |depth: usize| -> Vec<String> {
        let parent = path[..depth].join(".");
        let below = of(kind).flat_map(|f| match f.inner {
            List(inner) if !inner.is_empty() => inner.iter().map(|i| format!("{}.{MEMBER}.{i}", f.path)).collect(),
            _ => vec![f.path.to_owned()],
        });
        below.filter(|p| parent.is_empty() || p.strip_prefix(&parent).is_some_and(|rest| rest.starts_with('.'))).collect()
    };
    let found = (0..path.len()).rev().map(of_parent).find(|all| !all.is_empty()).unwrap_or_default();
    let mut text = found.iter().take(12).map(|p| shown(p)).collect::<Vec<_>>().join(", ");
    if found.len() > 12 {
        text.push_str(", ...");
    }
    text
}

/// The fields of a kind that rules may name: `spec.containers[].image`, `metadata.labels.*`.
pub fn kept(kind: Kind) -> Vec<String> {
    let paths = |f: &Field| match f.inner {
        One => vec![f.path.to_owned()],
        Inner::Map => vec![format!("{}.*", f.path)],
        List([]) => vec![format!("{}[]", f.path)],
        List(inner) => inner.iter().map(|i| format!("{}[].{i}", f.path)).collect(),
    };
    of(kind).flat_map(paths).collect()
}

/// `spec.containers[].image`.
pub fn shown(path: &str) -> String {
    path.replace(".[]", "[]")
}

/// A whole object, as JSON has it.
pub fn whole(json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => none(),
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(n) => {
            n.as_i64().map(Value::Int).or_else(|| n.as_u64().map(Value::UInt)).unwrap_or(Value::Float(n.as_f64().unwrap_or(0.0)))
        }
        Json::String(text) => Value::String(Arc::new(text.clone())),
        Json::Array(items) => Value::List(Arc::new(items.iter().map(whole).collect())),
        Json::Object(fields) => {
            let map: HashMap<Key, Value> =
                fields.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (Key::from(k.as_str()), whole(v))).collect();
            Value::Map(Map { map: Arc::new(map) })
        }
    }
}

#[cfg(test)]
mod tests;
