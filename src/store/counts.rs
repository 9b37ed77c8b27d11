//! Sums over a cluster's rows, kept by adding and taking away single rows.

use crate::model::{AlertState, Object, Phase, Pod, RunState, Severity, SignalState, SilenceState, Str, Tri};
use hashbrown::HashMap;

/// What the pods of one node reserve.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NodeUse {
    /// Pods that have not ended.
    pub pods: u32,
    /// Of these, not ready or worse.
    pub bad: u32,
    pub cpu_request_m: i64,
    pub cpu_limit_m: i64,
    pub memory_request: i64,
    pub memory_limit: i64,
}

/// What the cluster strip shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    pub nodes: u32,
    pub nodes_ready: u32,
    pub cordoned: u32,
    pub pods: u32,
    pub pods_bad: u32,
    pub pods_pending: u32,
    /// Of these, on no node yet: they wait for room.
    pub pods_unplaced: u32,
    pub restarts: u32,
    pub workloads_short: u32,
    pub hpas: u32,
    pub hpas_at_max: u32,
    pub pdbs: u32,
    /// Budgets that allow nothing while they cover something.
    pub pdbs_zero: u32,
    /// Services that select pods and have no ready endpoint.
    pub services_dead: u32,
    /// Claims whose volume is gone.
    pub claims_lost: u32,
    pub warnings: u32,
    /// Millicores and bytes: of all nodes, and requested by pods on nodes.
    pub cpu_allocatable_m: i64,
    pub memory_allocatable: i64,
    pub cpu_request_m: i64,
    pub memory_request: i64,
    pub etcd_members: u32,
    /// Of these, not answering, without a leader or with an alarm.
    pub etcd_bad: u32,
    /// Alerts that fire, and of these are critical; neither silenced nor inhibited.
    pub alerts_firing: u32,
    pub alerts_critical: u32,
    pub silences_active: u32,
    /// Signals at or above a limit of their query.
    pub signals_bad: u32,
    pub backups: u32,
    /// Backups and restores that ended with errors.
    pub backups_failed: u32,
    pub restores_failed: u32,
    pub locations_bad: u32,
    /// Open findings above info.
    pub findings_bad: u32,
    pub findings_critical: u32,
    pub by_node: HashMap<Str, NodeUse>,
}

impl Counts {
    /// Adds a row (`sign` 1) or takes it away (-1).
    pub fn count(&mut self, object: &Object, sign: i32) {
        let n = |slot: &mut u32, on: bool| *slot = if on { slot.wrapping_add_signed(sign) } else { *slot };
        match object {
            Object::Node(node) => {
                n(&mut self.nodes, true);
                n(&mut self.nodes_ready, node.ready() == Tri::True);
                n(&mut self.cordoned, node.unschedulable);
                self.cpu_allocatable_m += i64::from(sign) * node.cpu_allocatable_m;
                self.memory_allocatable += i64::from(sign) * node.memory_allocatable;
            }
            Object::Pod(pod) => {
                n(&mut self.pods, true);
                n(&mut self.pods_bad, pod.bad());
                n(&mut self.pods_pending, pod.phase == Phase::Pending && pod.meta.deleting.is_none());
                n(&mut self.pods_unplaced, pod.phase == Phase::Pending && pod.node.is_none() && pod.meta.deleting.is_none());
                self.restarts = self.restarts.wrapping_add_signed(sign.saturating_mul(i32::try_from(pod.restarts()).unwrap_or(0)));
                self.reserve(pod, sign);
            }
            Object::Workload(w) => n(&mut self.workloads_short, w.short()),
            Object::Hpa(h) => {
                n(&mut self.hpas, true);
                n(&mut self.hpas_at_max, h.at_max());
            }
            Object::Pdb(p) => {
                n(&mut self.pdbs, true);
                n(&mut self.pdbs_zero, p.allowed == 0 && p.expected > 0);
            }
            Object::Claim(c) => n(&mut self.claims_lost, c.lost()),
            Object::Event(e) => n(&mut self.warnings, e.warning),
            // What the API server tells of them is none of them.
            Object::EtcdMember(m) if m.second_hand.is_some() => {}
            Object::EtcdMember(m) => {
                n(&mut self.etcd_members, true);
                n(&mut self.etcd_bad, !m.healthy() || !m.alarms.is_empty());
            }
            Object::Alert(a) => {
                let firing = a.state == AlertState::Firing;
                n(&mut self.alerts_firing, firing);
                n(&mut self.alerts_critical, firing && a.critical());
            }
            Object::Signal(s) => n(&mut self.signals_bad, matches!(s.state, SignalState::Warning | SignalState::Critical)),
            Object::Silence(s) => n(&mut self.silences_active, s.state == SilenceState::Active),
            Object::Backup(b) => {
                n(&mut self.backups, true);
                n(&mut self.backups_failed, matches!(b.run.state(), RunState::Partly | RunState::Failed));
            }
            Object::Restore(r) => n(&mut self.restores_failed, matches!(r.run.state(), RunState::Partly | RunState::Failed)),
            Object::StorageLocation(l) => n(&mut self.locations_bad, &*l.phase == "Unavailable"),
            Object::Finding(f) => {
                n(&mut self.findings_bad, f.open() && f.severity > Severity::Info);
                n(&mut self.findings_critical, f.open() && f.severity == Severity::Critical);
            }
            // A Service is counted with its endpoints.
            Object::Namespace(_) | Object::Schedule(_) | Object::Svc(_) | Object::EndpointSlice(_) | Object::Ingress(_) => {}
        }
    }

    fn reserve(&mut self, pod: &Pod, sign: i32) {
        let Some(node) = pod.node.as_ref().filter(|_| !pod.finished()) else { return };
        let (r, s) = (&pod.shape.requests, i64::from(sign));
        let (cpu, memory) = (s * r.cpu_request_m.unwrap_or(0), s * r.memory_request.unwrap_or(0));
        self.cpu_request_m += cpu;
        self.memory_request += memory;
        let slot = self.by_node.entry(node.clone()).or_default();
        slot.pods = slot.pods.wrapping_add_signed(sign);
        slot.bad = slot.bad.wrapping_add_signed(if pod.bad() { sign } else { 0 });
        slot.cpu_request_m += cpu;
        slot.memory_request += memory;
        slot.cpu_limit_m += s * r.cpu_limit_m.unwrap_or(0);
        slot.memory_limit += s * r.memory_limit.unwrap_or(0);
        if slot.pods == 0 {
            self.by_node.remove(node);
        }
    }
}
