//! How bad a row is, and whether what it says is still true.
//!
//! Almost no time in it: a row is as bad as its fields say, so that it moves only when they change; but a schedule is late by the clock.
//! Thresholds are `inspect`'s.

use super::{Ctx, Row, Tone};
use crate::model::{
    Alert, AlertState, Claim, ConnectionState, EtcdMember, FindingRow, FindingState, Hpa, Ingress, Kind, KindState, Namespace, Node,
    Object, Pdb, Phase, Pod, RunState, Severity, Signal, SignalState, Silence, SilenceState, StorageLocation, Svc, Tri, Workload, meta,
};
use crate::store::Cluster;

/// How bad the row as a whole is: what "the bad on top" sorts by and "faults only" keeps ([`Tone::fault`]).
pub fn bad(ctx: &Ctx<'_>, row: Row<'_>) -> Tone {
    match row {
        Row::Cluster(c) => match c.state {
            ConnectionState::Live => Tone::Ok,
            ConnectionState::Connecting | ConnectionState::Syncing { .. } => Tone::Info,
            ConnectionState::Stale { .. } => Tone::Warning,
            ConnectionState::Unauthorized { .. } | ConnectionState::Unreachable { .. } => Tone::Critical,
        },
        Row::Object(_, Object::Pod(p)) => pod(p),
        Row::Object(_, Object::Node(n)) => node(n),
        Row::Object(_, Object::Workload(w)) => workload(w),
        Row::Object(_, Object::Hpa(h)) => hpa(h),
        Row::Object(_, Object::Pdb(p)) => pdb(p),
        Row::Object(_, Object::Event(e)) => {
            if e.warning {
                Tone::Warning
            } else {
                Tone::Plain
            }
        }
        Row::Object(_, Object::Namespace(n)) => namespace(n),
        Row::Object(_, Object::Claim(c)) => claim(c),
        Row::Object(c, Object::Svc(s)) => service(c, s),
        Row::Object(c, Object::Ingress(i)) => ingress(c, i),
        Row::Object(_, Object::EndpointSlice(_)) => Tone::Plain,
        Row::Object(_, Object::EtcdMember(m)) => etcd(m),
        Row::Object(_, Object::Alert(a)) => alert(a),
        Row::Object(_, Object::Silence(s)) => silence(s, ctx.now),
        Row::Object(_, Object::Signal(s)) => signal(s),
        Row::Object(_, Object::Backup(b)) => run(b.run.state()),
        Row::Object(_, Object::Restore(r)) => run(r.run.state()),
        Row::Object(_, Object::Schedule(s)) => match super::columns::schedule_status(s, ctx.now) {
            "Late" | "Invalid" => Tone::Critical,
            "Paused" | "New" => Tone::Info,
            _ => Tone::Ok,
        },
        Row::Object(c, Object::StorageLocation(l)) => location(c, l, ctx.now),
        Row::Object(_, Object::Finding(f)) => finding(f),
    }
}

/// Whether what the row says may no longer be so (or, for a cluster's sums, not be so yet): shown with `?`.
pub fn stale(row: Row<'_>) -> bool {
    match row {
        Row::Cluster(c) => !c.state.live(),
        Row::Object(c, o) => {
            // Prometheus tells of some alerts.
            let teller = match o {
                Object::Alert(a) if a.state.waits() => Kind::Signal,
                o => o.kind(),
            };
            o.kind().watched() && !matches!(c.state, ConnectionState::Live | ConnectionState::Syncing { .. })
                || !matches!(c.kind_state(teller), KindState::Live | KindState::Listing)
        }
    }
}

/// Waiting reasons that are no fault.
const STARTING: [&str; 2] = ["ContainerCreating", "PodInitializing"];

fn pod(p: &Pod) -> Tone {
    if !p.bad() {
        return if p.meta.deleting.is_some() || p.restarts() > 0 && p.ready != Tri::True && !p.finished() { Tone::Info } else { Tone::Ok };
    }
    let broken = p
        .init
        .iter()
        .chain(&p.containers)
        .any(|c| c.waiting_reason().is_some_and(|r| !STARTING.contains(&r)) || c.terminated().is_some_and(|t| t.exit_code != 0));
    if broken || matches!(p.phase, Phase::Failed | Phase::Unknown) { Tone::Critical } else { Tone::Warning }
}

fn node(n: &Node) -> Tone {
    if n.ready() != Tri::True {
        Tone::Critical
    } else if n.pressures().next().is_some() {
        Tone::Warning
    } else if n.unschedulable {
        Tone::Info
    } else {
        Tone::Ok
    }
}

fn workload(w: &Workload) -> Tone {
    let none = w.kind != Kind::Job && w.short() && w.available == 0;
    match super::columns::status_of(w) {
        "Failed" | "Stuck" => Tone::Critical,
        _ if none => Tone::Critical,
        _ if w.short() => Tone::Warning,
        "Progressing" | "Terminating" | "Paused" | "Suspended" | "Pending" => Tone::Info,
        _ => Tone::Ok,
    }
}

fn hpa(h: &Hpa) -> Tone {
    match super::columns::hpa_status(h) {
        "Unable" | "Blind" | "AtMax" => Tone::Warning,
        "Scaling" => Tone::Info,
        _ => Tone::Ok,
    }
}

fn pdb(p: &Pdb) -> Tone {
    if p.allowed == 0 && p.expected > 0 { Tone::Warning } else { Tone::Ok }
}

fn namespace(n: &Namespace) -> Tone {
    match &*n.phase {
        "Terminating" if n.conditions.iter().any(|c| c.status == Tri::True) => Tone::Warning,
        "Terminating" => Tone::Info,
        _ => Tone::Ok,
    }
}

/// One that waits for its first pod waits rightly: only its events tell.
fn claim(c: &Claim) -> Tone {
    match &*c.phase {
        "Bound" => Tone::Ok,
        "Pending" => Tone::Info,
        _ => Tone::Critical,
    }
}

/// One that selects pods and reaches none.
fn service(c: &Cluster, s: &Svc) -> Tone {
    match c.endpoints(s).filter(|_| s.selects()) {
        Some(e) if e.ready == 0 && e.all > 0 => Tone::Critical,
        Some(e) if e.ready == 0 => Tone::Warning,
        Some(e) if e.ready < e.all => Tone::Info,
        _ => Tone::Ok,
    }
}

/// One that leads to a Service that is not there.
fn ingress(c: &Cluster, i: &Ingress) -> Tone {
    let missing = |b: &&crate::model::ingress::Backend| c.named(Kind::Service, &i.meta.namespace, &b.service).is_none();
    if c.current(Kind::Service) && i.backends().iter().any(missing) { Tone::Warning } else { Tone::Ok }
}

fn etcd(m: &EtcdMember) -> Tone {
    let full = m.status.as_ref().and_then(|s| s.quota_percent()).unwrap_or(0);
    if let Some(heard) = &m.second_hand {
        return if matches!(heard.check, Some(Err(_))) { Tone::Critical } else { Tone::Info };
    }
    match super::columns::etcd_status(m) {
        "Down" | "NoLeader" | "Alarm" => Tone::Critical,
        _ if full >= 95 => Tone::Critical,
        _ if full >= 80 || m.status.as_ref().is_some_and(|s| !s.errors.is_empty()) => Tone::Warning,
        "Learner" | "Unknown" => Tone::Info,
        _ => Tone::Ok,
    }
}

fn alert(a: &Alert) -> Tone {
    match a.state {
        AlertState::Firing if a.critical() => Tone::Critical,
        AlertState::Firing if matches!(a.severity(), Some("info" | "none")) => Tone::Info,
        AlertState::Firing => Tone::Warning,
        AlertState::Down => Tone::Warning,
        AlertState::Pending => Tone::Info,
        AlertState::Silenced | AlertState::Inhibited => Tone::Dim,
    }
}

/// A silence that hides nothing is worth a look, and more so one that is about to give back what it hides.
fn silence(s: &Silence, now: i64) -> Tone {
    match s.state {
        SilenceState::Active if s.hides == 0 => Tone::Info,
        SilenceState::Active if s.left(now).is_some_and(|left| left < super::columns::SOON) => Tone::Warning,
        SilenceState::Active => Tone::Ok,
        SilenceState::Pending | SilenceState::Expired => Tone::Dim,
    }
}

fn signal(s: &Signal) -> Tone {
    match s.state {
        SignalState::Ok => Tone::Ok,
        SignalState::Warning | SignalState::Failing => Tone::Warning,
        SignalState::Critical => Tone::Critical,
        SignalState::Nothing | SignalState::NoData => Tone::Dim,
    }
}

fn run(state: RunState) -> Tone {
    match state {
        RunState::Completed => Tone::Ok,
        RunState::Waiting | RunState::Running | RunState::Deleting => Tone::Info,
        RunState::Partly => Tone::Warning,
        RunState::Failed => Tone::Critical,
    }
}

fn location(c: &Cluster, l: &StorageLocation, now: i64) -> Tone {
    match &*l.phase {
        // Nobody looks at it any more.
        "Available" if c.current(Kind::StorageLocation) && l.overdue().is_some_and(|at| at <= now) => Tone::Critical,
        "Available" => Tone::Ok,
        "" => Tone::Info,
        _ => Tone::Critical,
    }
}

fn finding(f: &FindingRow) -> Tone {
    match (f.state, f.severity) {
        (FindingState::Suppressed | FindingState::Resolved, _) => Tone::Dim,
        (_, Severity::Critical) => Tone::Critical,
        (_, Severity::Warning) => Tone::Warning,
        (_, Severity::Info) => Tone::Info,
    }
}

/// Whether a condition of that type is true.
pub(super) fn is_true(conditions: &[crate::model::Condition], kind: &str) -> bool {
    meta::condition(conditions, kind).is_some_and(|c| c.status == Tri::True)
}
