//! Clusters: how each is reached, and sums over its rows. A sum of a kind that is not seen is unknown, not zero.

use super::super::column::Show;
use super::*;
use crate::model::{Amiss, Time};
use crate::store::Counts;

fn info<'a, V: Into<Value<'a>>>(r: Row<'a>, f: impl FnOnce(&'a Cluster) -> V) -> Value<'a> {
    match r {
        Row::Cluster(c) => f(c).into(),
        Row::Object(..) => Value::None,
    }
}

/// What is amiss with a cluster's reports. Who lists clusters alone does not ask for them.
fn reports(c: &Cluster, now: i64) -> Option<String> {
    c.reports_amiss(now).filter(|(amiss, _)| *amiss != Amiss::Waiting).map(|(_, words)| words)
}

/// A sum over rows of that kind.
fn sum<'a, V: Into<Value<'a>>>(r: Row<'a>, kind: Kind, f: impl FnOnce(&'a Counts) -> V) -> Value<'a> {
    match r {
        Row::Cluster(c) if known(c, kind) => f(&c.counts).into(),
        _ => Value::None,
    }
}

/// Sums that need nodes and pods both.
fn both<'a>(r: Row<'a>, f: impl FnOnce(&'a Counts) -> Value<'a>) -> Value<'a> {
    match r {
        Row::Cluster(c) if known(c, Kind::Node) => sum(r, Kind::Pod, f),
        _ => Value::None,
    }
}

/// What the nodes use that were measured.
fn of_nodes<'a>(r: Row<'a>, f: impl FnOnce(Usage, &'a Counts) -> Option<Value<'a>>) -> Value<'a> {
    info(r, |c| f(c.usage_of_nodes(), &c.counts))
}

/// Short of pods: when any of the kinds that can be is seen.
fn short<'a>(r: Row<'a>) -> Value<'a> {
    let kinds = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::ReplicaSet, Kind::Job];
    info(r, |c| kinds.iter().any(|k| known(c, *k)).then_some(c.counts.workloads_short))
}

fn moment<'a>(secs: i64) -> Value<'a> {
    Time::from_secs(secs).map_or(Value::None, Value::Age)
}

pub(super) static COLUMNS: &[Column] = &[
    CLUSTER,
    KIND,
    NO_NAMESPACE,
    Column { show: Show::Hidden, ..NAME },
    col("context", "CONTEXT", Unit::Text, |_, r| info(r, |c| c.info.contexts.first()), "The kubeconfig context that it is named after")
        .width(6, 30)
        .wide()
        .leave(50),
    col(
        "contexts",
        "CONTEXTS",
        Unit::List,
        |_, r| info(r, |c| list(c.info.contexts.iter().map(|s| &**s))),
        "All contexts that are this cluster",
    )
    .hidden(),
    col("state", "STATE", Unit::Text, |_, r| info(r, |c| c.state.word()), "connecting, syncing, live, stale, unauthorized or unreachable")
        .width(5, 12)
        .leave(0)
        .tone(|ctx, r, _| bad(ctx, r)),
    col("state_age_s", "FOR", Unit::Seconds, |_, r| info(r, |c| moment(c.since)), "Since it is in that state").leave(30),
    col("age_s", "SEEN", Unit::Seconds, |_, r| info(r, |c| moment(c.alive)), "Since the last proof of life: the age of what is shown")
        .leave(8),
    col(
        "message",
        "MESSAGE",
        Unit::Text,
        |ctx, r| match r {
            Row::Cluster(c) => c.state.reason().map_or_else(|| reports(c, ctx.now).into(), Into::into),
            Row::Object(..) => Value::None,
        },
        "Why it is not live, or what is amiss with the reports that its findings are read from, in words",
    )
    .width(10, 60)
    .wide()
    .leave(55),
    col(
        "nodes_ready",
        "NODES",
        Unit::Ratio,
        |_, r| sum(r, Kind::Node, |c| Value::Ratio(c.nodes_ready.into(), c.nodes.into())),
        "Ready nodes of all; JSON has the ready",
    )
    .leave(1)
    .tone(ratio_tone),
    col("nodes", "NODES-ALL", Unit::Number, |_, r| sum(r, Kind::Node, |c| c.nodes), "Nodes").hidden(),
    col("nodes_cordoned", "CORDON", Unit::Number, |_, r| sum(r, Kind::Node, |c| c.cordoned), "Cordoned nodes")
        .wide()
        .leave(45)
        .tone(some_tone),
    col("pods", "PODS", Unit::Number, |_, r| sum(r, Kind::Pod, |c| c.pods), "Pods").leave(20),
    col(
        "pods_bad",
        "BAD",
        Unit::Number,
        |_, r| sum(r, Kind::Pod, |c| c.pods_bad),
        "Pods that are not as they should be: not ready, pending, failed, not being deleted",
    )
    .leave(2)
    .tone(some_tone),
    col(
        "pods_pending",
        "PEND",
        Unit::Number,
        |_, r| sum(r, Kind::Pod, |c| c.pods_pending),
        "Pods with phase Pending that are not being deleted",
    )
    .leave(4)
    .tone(some_tone),
    col(
        "pending_trend",
        "PENDING",
        Unit::Trend,
        |_, r| info(r, |c| Value::Trend(c.pending.values())),
        "Pending pods over the last half hour",
    )
    .wide()
    .leave(60),
    col("hpas_at_max", "MAX", Unit::Number, |_, r| sum(r, Kind::Hpa, |c| c.hpas_at_max), "HPAs at their maximum that are not pinned there")
        .leave(6)
        .tone(some_tone),
    col("pdbs_zero", "PDB0", Unit::Number, |_, r| sum(r, Kind::Pdb, |c| c.pdbs_zero), "Budgets that allow nothing while they cover pods")
        .leave(7)
        .tone(some_tone),
    col(
        "etcd_healthy",
        "ETCD",
        Unit::Ratio,
        // What the API server tells in their place is no member.
        |_, r| {
            let members = |c: &Counts| Value::Ratio((c.etcd_members - c.etcd_bad).into(), c.etcd_members.into());
            sum(r, Kind::EtcdMember, |c| if c.etcd_members == 0 { Value::None } else { members(c) })
        },
        "Members of etcd that answer, know a leader and have no alarm, of all; JSON has those",
    )
    .wide()
    .leave(10)
    .tone(ratio_tone),
    col(
        "alerts_firing",
        "ALERTS",
        Unit::Number,
        |_, r| sum(r, Kind::Alert, |c| c.alerts_firing),
        "Alerts that fire, neither silenced nor inhibited",
    )
    .wide()
    .leave(11)
    .tone(some_tone),
    col("alerts_critical", "CRITICAL", Unit::Number, |_, r| sum(r, Kind::Alert, |c| c.alerts_critical), "Of these, critical").hidden(),
    col(
        "findings",
        "FOUND",
        Unit::Number,
        |_, r| {
            let worst = |c: &Counts| if c.findings_critical > 0 { Severity::Critical } else { Severity::Warning };
            info(r, |c| Some(&c.counts).filter(|c| c.findings_bad > 0).map(|c| Value::Found(worst(c), c.findings_bad.into())))
        },
        "Open findings above info, with the sign of the worst; none where there are none, and in `qd get`, which does not read all that rules rest on",
    )
    .width(2, 6)
    .leave(7)
    .tone(found_tone),
    col("workloads_short", "SHORT", Unit::Number, |_, r| short(r), "Workloads with fewer available pods than wanted, and failed Jobs")
        .leave(5)
        .tone(some_tone),
    col(
        "cpu_request_percent",
        "CPU%",
        Unit::Percent,
        |_, r| both(r, |c| percent(c.cpu_request_m, c.cpu_allocatable_m)),
        "Requested CPU of allocatable, rounded down",
    )
    .leave(3)
    .tone(full_tone),
    col(
        "cpu_request_m",
        "CPU",
        Unit::Millicores,
        |_, r| sum(r, Kind::Pod, |c| Value::Millicores(c.cpu_request_m)),
        "CPU requested by pods that are on a node and have not ended",
    )
    .wide()
    .leave(46),
    col(
        "cpu_allocatable_m",
        "CPU-ALLOC",
        Unit::Millicores,
        |_, r| sum(r, Kind::Node, |c| Value::Millicores(c.cpu_allocatable_m)),
        "Allocatable CPU of all nodes",
    )
    .wide()
    .leave(47),
    col(
        "memory_request_percent",
        "MEM%",
        Unit::Percent,
        |_, r| both(r, |c| percent(c.memory_request, c.memory_allocatable)),
        "Requested memory of allocatable, rounded down",
    )
    .leave(3)
    .tone(full_tone),
    col(
        "memory_request_bytes",
        "MEM",
        Unit::Bytes,
        |_, r| sum(r, Kind::Pod, |c| Value::Bytes(c.memory_request)),
        "Memory requested by pods that are on a node and have not ended",
    )
    .wide()
    .leave(48),
    col(
        "memory_allocatable_bytes",
        "MEM-ALLOC",
        Unit::Bytes,
        |_, r| sum(r, Kind::Node, |c| Value::Bytes(c.memory_allocatable)),
        "Allocatable memory of all nodes",
    )
    .wide()
    .leave(49),
    col(
        "cpu_use_percent",
        "CPU-USE%",
        Unit::Percent,
        |_, r| of_nodes(r, |u, c| u.cpu_m.map(|cpu| percent(cpu, c.cpu_allocatable_m))),
        "CPU that its nodes use, of allocatable, rounded down",
    )
    .wide()
    .leave(43)
    .tone(full_tone),
    col(
        "cpu_use_m",
        "CPU-USE",
        Unit::Millicores,
        |_, r| of_nodes(r, |u, _| u.cpu_m.map(Value::Millicores)),
        "CPU that its nodes use, as far as it was measured: metrics.k8s.io",
    )
    .wide()
    .leave(51),
    col(
        "memory_use_percent",
        "MEM-USE%",
        Unit::Percent,
        |_, r| of_nodes(r, |u, c| u.memory.map(|memory| percent(memory, c.memory_allocatable))),
        "Memory that its nodes use, of allocatable, rounded down",
    )
    .wide()
    .leave(43)
    .tone(full_tone),
    col(
        "memory_use_bytes",
        "MEM-USE",
        Unit::Bytes,
        |_, r| of_nodes(r, |u, _| u.memory.map(Value::Bytes)),
        "Memory that its nodes use, as far as it was measured: metrics.k8s.io",
    )
    .wide()
    .leave(52),
    col("restarts", "RESTARTS", Unit::Number, |_, r| sum(r, Kind::Pod, |c| c.restarts), "Restarts of all containers of the pods there are")
        .hidden(),
    col(
        "restarts_trend",
        "RESTARTED",
        Unit::Trend,
        |_, r| info(r, |c| Value::Trend(c.restarts.values())),
        "Restarts over the last half hour",
    )
    .wide()
    .leave(61),
    col("hpas", "HPAS", Unit::Number, |_, r| sum(r, Kind::Hpa, |c| c.hpas), "HorizontalPodAutoscalers").hidden(),
    col("pdbs", "PDBS", Unit::Number, |_, r| sum(r, Kind::Pdb, |c| c.pdbs), "PodDisruptionBudgets").hidden(),
    col(
        "warnings",
        "WARNINGS",
        Unit::Number,
        |_, r| sum(r, Kind::Event, |c| c.warnings),
        "Events of type Warning that the server still keeps",
    )
    .hidden(),
    col(
        "latency_ms",
        "API",
        Unit::Millis,
        |_, r| info(r, |c| c.latency_ms.map(|ms| Value::Millis(ms.into()))),
        "Round trip of a small request",
    )
    .leave(9),
    col(
        "latency_trend",
        "LATENCY",
        Unit::Trend,
        |_, r| info(r, |c| Value::Trend(c.latency.values())),
        "Round trips over the last half hour",
    )
    .leave(35),
    col("version", "VERSION", Unit::Text, |_, r| info(r, |c| c.version.as_ref()), "The server's version").width(6, 16).leave(25).tone(dim),
    col("tier", "TIER", Unit::Text, |_, r| info(r, |c| c.info.tier.as_ref()), "production, staging or development, from the configuration")
        .width(4, 11)
        .leave(40),
    col("group", "GROUP", Unit::Text, |_, r| info(r, |c| c.info.group.as_ref()), "Group or room, from the configuration")
        .width(5, 16)
        .leave(41),
    col("server", "SERVER", Unit::Text, |_, r| info(r, |c| &c.info.server), "The API server's address").hidden(),
    col(
        "read_only",
        "READ-ONLY",
        Unit::Text,
        |_, r| info(r, |c| c.info.read_only.as_ref()),
        "Why nothing may be written, when nothing may",
    )
    .wide()
    .leave(56),
    col(
        "requests_sent",
        "REQUESTS",
        Unit::Number,
        |_, r| info(r, |c| Value::Int(i64::try_from(c.requests).unwrap_or(i64::MAX))),
        "Requests sent since the start",
    )
    .hidden(),
    col("requests_waiting", "WAITING", Unit::Number, |_, r| info(r, |c| c.waiting), "Requests that wait in the budget").hidden(),
];
