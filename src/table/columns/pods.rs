//! Pods.

use super::*;
use crate::model::pod::Resources;
use crate::model::{Pod, Str};

reader!(pod: Pod);

/// What keeps it from running, in the words of the API.
fn message(p: &Pod) -> Option<&str> {
    let unscheduled = crate::model::meta::condition(&p.conditions, "PodScheduled").and_then(|c| c.message.as_deref());
    let waiting = || {
        p.init.iter().chain(&p.containers).find_map(|c| match &c.state {
            crate::model::ContainerState::Waiting { message: Some(m), .. } => Some(&***m),
            _ => None,
        })
    };
    unscheduled.or(p.message.as_deref()).or_else(waiting)
}

fn strs<'a>(items: impl Iterator<Item = &'a Str>) -> Value<'a> {
    list(items.map(|s| &**s))
}

fn restarts_tone(_: &Ctx<'_>, r: Row<'_>, value: &Value<'_>) -> Tone {
    match (value, r.object()) {
        (Value::Int(1..), Some(Object::Pod(p))) if p.bad() => Tone::Warning,
        (Value::Int(1..), _) => Tone::Info,
        _ => Tone::Dim,
    }
}

fn ready_tone(ctx: &Ctx<'_>, r: Row<'_>, value: &Value<'_>) -> Tone {
    match r.object() {
        Some(Object::Pod(p)) if p.finished() => Tone::Dim,
        _ => ratio_tone(ctx, r, value),
    }
}

/// What it uses, of what `of` gives of its requests and limits.
fn share<'a>(r: Row<'a>, used: fn(&Usage) -> Option<i64>, of: fn(&Resources) -> Option<i64>) -> Value<'a> {
    pod(r, |p| Some(used_now(r, |u| used(u).zip(of(&p.shape.requests)).map(|(used, of)| percent(used, of)))))
}

/// What it requests and does not use.
fn slack(r: Row<'_>, used: fn(&Usage) -> Option<i64>, of: fn(&Resources) -> Option<i64>) -> Option<i64> {
    let Row::Object(c, Object::Pod(p)) = r else { return None };
    let used = used(c.usage(Kind::Pod, &p.meta.namespace, &p.meta.name)?)?;
    Some(of(&p.shape.requests).unwrap_or(0) - used)
}

/// Nearer to its limit than this, a container's next growth may be its end.
fn limit_tone(_: &Ctx<'_>, _: Row<'_>, value: &Value<'_>) -> Tone {
    match value {
        Value::Percent(90..) => Tone::Warning,
        _ => Tone::Plain,
    }
}

const REQUESTED: &str =
    "KEP-753: containers and sidecars summed, the largest init container, pod-level `spec.resources`, and `spec.overhead`";

pub(super) static COLUMNS: &[Column] = &[
    CLUSTER,
    KIND,
    NAMESPACE,
    NAME,
    col("ready", "READY", Unit::Ratio, |_, r| pod(r, |p| { let (a, b) = p.ready_containers(); Value::Ratio(a as i64, b as i64) }), "Ready containers of all, sidecars included, as kubectl counts; JSON has the ready: `status.containerStatuses[].ready`").leave(3).tone(ready_tone),
    col("containers", "CONTAINERS", Unit::Number, |_, r| pod(r, |p| Value::Int(p.ready_containers().1 as i64)), "Containers, sidecars included: `spec.containers`, `spec.initContainers[]` with `restartPolicy: Always`").hidden(),
    col("status", "STATUS", Unit::Text, |_, r| pod(r, Pod::status), "Status in one word, as `kubectl get pods` has it").width(7, 24).leave(1).tone(row_tone),
    col("restarts", "RESTARTS", Unit::Number, |_, r| pod(r, |p| p.restarts()), "Restarts of all containers, as kubectl sums them: `restartCount` (of init containers only while they run, or when they are sidecars)").leave(4).tone(restarts_tone),
    col("last_restart_age_s", "AGO", Unit::Seconds, |_, r| pod(r, |p| p.last_termination().and_then(|(_, t)| t.finished).map_or(Value::None, Value::Age)), "Since the last restart: now less the latest `lastState.terminated.finishedAt`").leave(30),
    col("last_reason", "WHY", Unit::Text, |_, r| pod(r, |p| p.last_termination().and_then(|(_, t)| t.reason.as_ref())), "Why the last instance ended: `reason` of the latest `lastState.terminated`").width(5, 14).leave(35),
    col("last_exit_code", "EXIT", Unit::Number, |_, r| pod(r, |p| p.last_termination().map(|(_, t)| t.exit_code)), "How the last instance ended: `exitCode` of the latest `lastState.terminated`").width(4, 4).leave(36),
    col("cpu_request_m", "CPU", Unit::Millicores, |_, r| pod(r, |p| p.shape.requests.cpu_request_m.map(Value::Millicores)), REQUESTED).leave(40),
    col("cpu_limit_m", "CPU-LIM", Unit::Millicores, |_, r| pod(r, |p| p.shape.requests.cpu_limit_m.map(Value::Millicores)), "CPU limit of the pod, summed as requests are: `resources.limits.cpu`").wide().leave(52),
    col("memory_request_bytes", "MEM", Unit::Bytes, |_, r| pod(r, |p| p.shape.requests.memory_request.map(Value::Bytes)), "Memory request of the pod, summed as CPU's: `resources.requests.memory`").leave(41),
    col("memory_limit_bytes", "MEM-LIM", Unit::Bytes, |_, r| pod(r, |p| p.shape.requests.memory_limit.map(Value::Bytes)), "Memory limit of the pod, summed as requests are: `resources.limits.memory`").wide().leave(53),
    col("cpu_use_m", "CPU-USE", Unit::Millicores, |_, r| used_now(r, |u| u.cpu_m.map(Value::Millicores)), "CPU that it uses: metrics.k8s.io, `containers[].usage.cpu`, summed and rounded up; else Prometheus").wide().leave(42),
    col("cpu_use_request_percent", "CPU-USE%", Unit::Percent, |_, r| share(r, |u| u.cpu_m, |s| s.cpu_request_m), "CPU that it uses, of what it requests, rounded down").wide().leave(43),
    col("cpu_use_limit_percent", "CPU-LIM%", Unit::Percent, |_, r| share(r, |u| u.cpu_m, |s| s.cpu_limit_m), "CPU that it uses, of its limit, rounded down").hidden(),
    col("cpu_slack_m", "CPU-SLACK", Unit::Millicores, |_, r| slack(r, |u| u.cpu_m, |s| s.cpu_request_m).map(Value::Millicores).into(), "CPU that it requests and does not use; negative: it uses more").hidden(),
    col("memory_use_bytes", "MEM-USE", Unit::Bytes, |_, r| used_now(r, |u| u.memory.map(Value::Bytes)), "Memory that it uses: metrics.k8s.io, `containers[].usage.memory` (the working set), summed; else Prometheus").wide().leave(42),
    col("memory_use_request_percent", "MEM-USE%", Unit::Percent, |_, r| share(r, |u| u.memory, |s| s.memory_request), "Memory that it uses, of what it requests, rounded down").wide().leave(43),
    col("memory_use_limit_percent", "MEM-LIM%", Unit::Percent, |_, r| share(r, |u| u.memory, |s| s.memory_limit), "Memory that it uses, of its limit, rounded down").wide().leave(44).tone(limit_tone),
    col("memory_slack_bytes", "MEM-SLACK", Unit::Bytes, |_, r| slack(r, |u| u.memory, |s| s.memory_request).map(Value::Bytes).into(), "Memory that it requests and does not use; negative: it uses more").hidden(),
    col("use_age_s", "MEASURED", Unit::Seconds, |_, r| used_now(r, |u| u.at.map(Value::Age)), "Since its use was measured: now less metrics.k8s.io's `timestamp`, else that of Prometheus' sample").hidden(),
    CPU_TREND,
    MEMORY_TREND,
    THROTTLED,
    RESTARTED,
    OOM_KILLED,
    col("receive_rate_bytes", "RX", Unit::Bytes, |_, r| told(r, "pod-receive", |a, b| a + b, Value::Bytes, 1.0), "Bytes that it receives a second: Prometheus, query pod-receive, which tells only the `top` highest of a cluster, five unless configured; of the others nothing is known").hidden(),
    col("transmit_rate_bytes", "TX", Unit::Bytes, |_, r| told(r, "pod-transmit", |a, b| a + b, Value::Bytes, 1.0), "Bytes that it sends a second: Prometheus, query pod-transmit, which tells only the `top` highest of a cluster, five unless configured; of the others nothing is known").hidden(),
    col("qos", "QOS", Unit::Text, |_, r| pod(r, |p| p.qos.as_str()), "Who is evicted first: `status.qosClass`").width(4, 10).wide().leave(54),
    col("node", "NODE", Unit::Text, |_, r| pod(r, |p| p.node.as_ref()), "Node: `spec.nodeName`").width(8, 30).leave(20),
    col("ip", "IP", Unit::Text, |_, r| pod(r, |p| p.ip.as_deref()), "Address: `status.podIP`").width(7, 39).wide().leave(55),
    OWNER,
    FINDINGS,
    AGE,
    col("message", "MESSAGE", Unit::Text, |_, r| pod(r, message), "What keeps it from running: the message of PodScheduled unless true, else `status.message`, else the first waiting container's").width(10, 80).wide().leave(70),
    col("phase", "PHASE", Unit::Text, |_, r| pod(r, |p| p.phase.as_str()), "`status.phase`").hidden(),
    col("ready_change_age_s", "READY-FOR", Unit::Seconds, |_, r| pod(r, |p| p.ready_since.map(Value::Age)), "Since Ready last changed: now less the Ready condition's `lastTransitionTime`").hidden(),
    col("start_age_s", "STARTED", Unit::Seconds, |_, r| pod(r, |p| p.started.map(Value::Age)), "Since the kubelet took it: now less `status.startTime`").hidden(),
    col("images", "IMAGES", Unit::List, |_, r| pod(r, |p| strs(p.shape.containers.iter().map(|c| &c.image))), "Images: `spec.containers[].image`").wide().leave(65),
    col("container_names", "CONTAINER-NAMES", Unit::List, |_, r| pod(r, |p| strs(p.shape.containers.iter().map(|c| &c.name))), "`spec.containers[].name`").hidden(),
    col("priority", "PRIORITY", Unit::Number, |_, r| pod(r, |p| p.shape.priority), "`spec.priority`, 0 when absent").hidden(),
    col("priority_class", "PRIORITY-CLASS", Unit::Text, |_, r| pod(r, |p| p.shape.priority_class.as_ref()), "`spec.priorityClassName`").hidden(),
    col("service_account", "SERVICE-ACCOUNT", Unit::Text, |_, r| pod(r, |p| &p.shape.service_account), "`spec.serviceAccountName`").hidden(),
    LABELS,
    DELETED,
];
