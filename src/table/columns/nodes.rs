//! Nodes. What their pods ask for is summed over the cluster's pods that have not ended.

use super::*;
use crate::model::{Node, Tri};
use crate::store::NodeUse;

reader!(node: Node);

/// What the node's pods take; none where pods are not seen.
fn used<'a>(r: Row<'a>, f: impl FnOnce(&'a Node, NodeUse) -> Value<'a>) -> Value<'a> {
    match r {
        Row::Object(c, Object::Node(n)) if known(c, Kind::Pod) => f(n, c.counts.by_node.get(&n.meta.name).copied().unwrap_or_default()),
        _ => Value::None,
    }
}

/// What it uses, of what is allocatable.
fn share<'a>(r: Row<'a>, used: fn(&Usage) -> Option<i64>, of: fn(&Node) -> i64) -> Value<'a> {
    node(r, |n| used_now(r, |u| used(u).map(|used| percent(used, of(n)))))
}

/// What its pods request and nobody uses.
fn slack<'a>(r: Row<'a>, used_of: fn(&Usage) -> Option<i64>, of: fn(NodeUse) -> i64, value: fn(i64) -> Value<'a>) -> Value<'a> {
    used(r, |_, asked| used_now(r, |u| used_of(u).map(|used| value(of(asked) - used))))
}

fn status(n: &Node) -> &str {
    let ready = crate::model::meta::condition(&n.conditions, "Ready").map(|c| c.status == Tri::True);
    match (ready, n.unschedulable) {
        (Some(true), false) => "Ready",
        (Some(true), true) => "Ready,SchedulingDisabled",
        (Some(false), false) => "NotReady",
        (Some(false), true) => "NotReady,SchedulingDisabled",
        (None, false) => "Unknown",
        (None, true) => "Unknown,SchedulingDisabled",
    }
}

fn message(n: &Node) -> Option<&str> {
    let unready = crate::model::meta::condition(&n.conditions, "Ready").filter(|c| c.status != Tri::True);
    unready.or_else(|| n.pressures().next()).and_then(words)
}

fn pods_tone(_: &Ctx<'_>, _: Row<'_>, value: &Value<'_>) -> Tone {
    match value {
        Value::Ratio(a, b) if a >= b => Tone::Critical,
        Value::Ratio(a, b) if a * 10 >= b * 9 => Tone::Warning,
        _ => Tone::Plain,
    }
}

const REQUESTED: &str = "CPU that its pods request, summed: of pods with this `spec.nodeName` whose phase is neither Succeeded nor Failed";

pub(super) static COLUMNS: &[Column] = &[
    CLUSTER,
    KIND,
    NO_NAMESPACE,
    NAME,
    col(
        "status",
        "STATUS",
        Unit::Text,
        |_, r| node(r, status),
        "Status as `kubectl get nodes` has it: the Ready condition, and whether it is cordoned",
    )
    .width(5, 27)
    .leave(1)
    .tone(row_tone),
    col(
        "ready_change_age_s",
        "SINCE",
        Unit::Seconds,
        |_, r| node(r, |n| crate::model::meta::condition(&n.conditions, "Ready").and_then(|c| c.since).map(Value::Age)),
        "Since Ready last changed: now less the Ready condition's `lastTransitionTime`",
    )
    .leave(15),
    col("cordoned", "CORDON", Unit::Bool, |_, r| node(r, |n| n.unschedulable), "Whether new pods are kept away: `spec.unschedulable`")
        .leave(45)
        .tone(some_tone),
    col(
        "pressure",
        "PRESSURE",
        Unit::List,
        |_, r| node(r, |n| list(n.pressures().map(|c| &*c.kind))),
        "The `...Pressure` conditions that are True",
    )
    .width(5, 28)
    .leave(12)
    .tone(some_tone),
    col(
        "pods",
        "PODS",
        Unit::Ratio,
        |_, r| used(r, |n, u| Value::Ratio(u.pods.into(), n.pods_allocatable)),
        "Pods on it that have not ended, of `status.allocatable.pods`; JSON has the first",
    )
    .leave(6)
    .tone(pods_tone),
    col("pods_max", "PODS-MAX", Unit::Number, |_, r| node(r, |n| n.pods_allocatable), "`status.allocatable.pods`").hidden(),
    col(
        "pods_bad",
        "BAD",
        Unit::Number,
        |_, r| used(r, |_, u| u.bad.into()),
        "Pods on it that are not as they should be: not ready, pending, failed, not being deleted",
    )
    .leave(7)
    .tone(some_tone),
    col(
        "cpu_request_percent",
        "CPU%",
        Unit::Percent,
        |_, r| used(r, |n, u| percent(u.cpu_request_m, n.cpu_allocatable_m)),
        "Requested CPU of allocatable, rounded down",
    )
    .leave(8)
    .tone(full_tone),
    col(
        "memory_request_percent",
        "MEM%",
        Unit::Percent,
        |_, r| used(r, |n, u| percent(u.memory_request, n.memory_allocatable)),
        "Requested memory of allocatable, rounded down",
    )
    .leave(9)
    .tone(full_tone),
    col("cpu_request_m", "CPU", Unit::Millicores, |_, r| used(r, |_, u| Value::Millicores(u.cpu_request_m)), REQUESTED).wide().leave(50),
    col(
        "cpu_allocatable_m",
        "CPU-ALLOC",
        Unit::Millicores,
        |_, r| node(r, |n| Value::Millicores(n.cpu_allocatable_m)),
        "`status.allocatable.cpu`",
    )
    .leave(47),
    col("cpu_capacity_m", "CPU-CAP", Unit::Millicores, |_, r| node(r, |n| Value::Millicores(n.cpu_capacity_m)), "`status.capacity.cpu`")
        .hidden(),
    col(
        "cpu_limit_m",
        "CPU-LIM",
        Unit::Millicores,
        |_, r| used(r, |_, u| Value::Millicores(u.cpu_limit_m)),
        "CPU limits of its pods, summed",
    )
    .hidden(),
    col(
        "memory_request_bytes",
        "MEM",
        Unit::Bytes,
        |_, r| used(r, |_, u| Value::Bytes(u.memory_request)),
        "Memory that its pods request, summed",
    )
    .wide()
    .leave(51),
    col(
        "memory_allocatable_bytes",
        "MEM-ALLOC",
        Unit::Bytes,
        |_, r| node(r, |n| Value::Bytes(n.memory_allocatable)),
        "`status.allocatable.memory`",
    )
    .leave(48),
    col("memory_capacity_bytes", "MEM-CAP", Unit::Bytes, |_, r| node(r, |n| Value::Bytes(n.memory_capacity)), "`status.capacity.memory`")
        .hidden(),
    col(
        "memory_limit_bytes",
        "MEM-LIM",
        Unit::Bytes,
        |_, r| used(r, |_, u| Value::Bytes(u.memory_limit)),
        "Memory limits of its pods, summed",
    )
    .hidden(),
    col(
        "cpu_use_percent",
        "CPU-USE%",
        Unit::Percent,
        |_, r| share(r, |u| u.cpu_m, |n| n.cpu_allocatable_m),
        "CPU that it uses, of allocatable, rounded down",
    )
    .wide()
    .leave(42)
    .tone(full_tone),
    col(
        "cpu_use_m",
        "CPU-USE",
        Unit::Millicores,
        |_, r| used_now(r, |u| u.cpu_m.map(Value::Millicores)),
        "CPU that it uses, with all that is no pod: metrics.k8s.io, `usage.cpu`, rounded up; else Prometheus",
    )
    .wide()
    .leave(52),
    col(
        "cpu_slack_m",
        "CPU-SLACK",
        Unit::Millicores,
        |_, r| slack(r, |u| u.cpu_m, |asked| asked.cpu_request_m, Value::Millicores),
        "CPU that its pods request and that is not used; negative: more is used",
    )
    .hidden(),
    col(
        "memory_use_percent",
        "MEM-USE%",
        Unit::Percent,
        |_, r| share(r, |u| u.memory, |n| n.memory_allocatable),
        "Memory that it uses, of allocatable, rounded down",
    )
    .wide()
    .leave(42)
    .tone(full_tone),
    col(
        "memory_use_bytes",
        "MEM-USE",
        Unit::Bytes,
        |_, r| used_now(r, |u| u.memory.map(Value::Bytes)),
        "Memory that it uses, with all that is no pod: metrics.k8s.io, `usage.memory` (the working set); else Prometheus",
    )
    .wide()
    .leave(53),
    col(
        "memory_slack_bytes",
        "MEM-SLACK",
        Unit::Bytes,
        |_, r| slack(r, |u| u.memory, |asked| asked.memory_request, Value::Bytes),
        "Memory that its pods request and that is not used; negative: more is used",
    )
    .hidden(),
    col(
        "use_age_s",
        "MEASURED",
        Unit::Seconds,
        |_, r| used_now(r, |u| u.at.map(Value::Age)),
        "Since its use was measured: now less metrics.k8s.io's `timestamp`, else that of Prometheus' sample",
    )
    .hidden(),
    CPU_TREND,
    MEMORY_TREND,
    col(
        "filesystem_use_percent",
        "FS%",
        Unit::Percent,
        |_, r| told(r, "filesystem-use", f64::max, Value::Percent, 100.0),
        "How full its fullest filesystem is: Prometheus, query filesystem-use, which tells only the fullest of a cluster",
    )
    .hidden()
    .tone(full_tone),
    col(
        "conntrack_use_percent",
        "CONNTRACK%",
        Unit::Percent,
        |_, r| told(r, "conntrack-use", f64::max, Value::Percent, 100.0),
        "How full its table of connections is: Prometheus, query conntrack-use, which tells only the fullest of a cluster",
    )
    .hidden()
    .tone(full_tone),
    col(
        "pleg_relist_ms",
        "PLEG",
        Unit::Millis,
        |_, r| told(r, "pleg-relist", f64::max, Value::Millis, 1000.0),
        "How long its kubelet takes to look at all containers, 99th percentile: Prometheus, query pleg-relist, which tells only the slowest of a cluster",
    )
    .hidden(),
    col("zone", "ZONE", Unit::Text, |_, r| node(r, Node::zone), "Label `topology.kubernetes.io/zone`").width(4, 20).leave(35),
    col(
        "taints",
        "TAINTS",
        Unit::List,
        |_, r| node(r, |n| list(n.taints.iter().map(ToString::to_string))),
        "`spec.taints` as key=value:effect",
    )
    .leave(46),
    col(
        "roles",
        "ROLES",
        Unit::List,
        |_, r| node(r, |n| list(n.roles())),
        "Labels `node-role.kubernetes.io/ROLE` and `kubernetes.io/role`, sorted",
    )
    .width(5, 20)
    .wide()
    .leave(55),
    col("version", "VERSION", Unit::Text, |_, r| node(r, |n| &n.kubelet), "`status.nodeInfo.kubeletVersion`").width(7, 16).leave(30),
    FINDINGS,
    AGE,
    col("internal_ip", "INTERNAL-IP", Unit::Text, |_, r| node(r, |n| n.internal_ip.as_ref()), "`status.addresses[]` of type InternalIP")
        .width(7, 39)
        .wide()
        .leave(56),
    col("external_ip", "EXTERNAL-IP", Unit::Text, |_, r| node(r, |n| n.external_ip.as_ref()), "`status.addresses[]` of type ExternalIP")
        .width(7, 39)
        .wide()
        .leave(57),
    col("os_image", "OS-IMAGE", Unit::Text, |_, r| node(r, |n| &n.os_image), "`status.nodeInfo.osImage`").wide().leave(60),
    col("kernel", "KERNEL", Unit::Text, |_, r| node(r, |n| &n.kernel), "`status.nodeInfo.kernelVersion`").wide().leave(61),
    col("runtime", "RUNTIME", Unit::Text, |_, r| node(r, |n| &n.runtime), "`status.nodeInfo.containerRuntimeVersion`").wide().leave(62),
    col("arch", "ARCH", Unit::Text, |_, r| node(r, |n| &n.arch), "`status.nodeInfo.architecture`").hidden(),
    col("os", "OS", Unit::Text, |_, r| node(r, |n| &n.os), "`status.nodeInfo.operatingSystem`").hidden(),
    col("pod_cidr", "POD-CIDR", Unit::Text, |_, r| node(r, |n| n.pod_cidr.as_ref()), "`spec.podCIDR`").hidden(),
    col(
        "message",
        "MESSAGE",
        Unit::Text,
        |_, r| node(r, message),
        "Message, else reason, of Ready unless true, else of the first pressure",
    )
    .width(10, 80)
    .wide()
    .leave(70),
    col("conditions", "CONDITIONS", Unit::List, |_, r| node(r, |n| conditions(&n.conditions)), "`status.conditions` as type=status")
        .hidden(),
    LABELS,
    DELETED,
];
