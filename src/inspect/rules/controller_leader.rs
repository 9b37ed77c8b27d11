//! A controller that nobody leads, or whose leader changes again and again.
//!
//! Of kube-system alone. A holder whose pod or node is gone shows as one that does not renew. Left out: the depth of work queues
//! (Prometheus').

use crate::inspect::explain::words::joined;
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::asked::{Lease, Part};
use crate::model::{Kind, Object};

const AFTER: Threshold = Threshold { name: "after", default: "30s", doc: "how long a renewal may be overdue, beyond twice its duration" };
const CHANGES: Threshold = Threshold { name: "changes", default: "3", doc: "changes of the leader within an hour" };

pub static RULE: RuleInfo = RuleInfo {
    id: "controller-leader",
    area: "control-plane",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "cluster, its leases in kube-system",
    summary: "A lease was not renewed for twice its duration (critical for kube-controller-manager and kube-scheduler), or its holder changed three times in an hour",
    why: "Without a live leader no ReplicaSet, endpoint, node or certificate work is done though all pods run.",
    kinds: &[],
    needs: &[Need::Asked(Part::Leases)],
    leans_on: &[],
    thresholds: &[AFTER, CHANGES],
    peers: &[],
    judge,
};

const VITAL: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];

/// The pod or the node that a holder is called after, where it is there.
fn who(judge: &Judge<'_>, lease: &Lease) -> &'static str {
    let name = lease.holder.split('_').next().unwrap_or_default();
    let node = judge.cluster.named(Kind::Node, "", name).is_some();
    let pod = || judge.cluster.named(Kind::Pod, "kube-system", name);
    match () {
        () if lease.holder.is_empty() => "nobody",
        () if node => "a node that is there",
        () => match pod() {
            Some(Object::Pod(p)) if p.bad() => "a pod that is not well",
            Some(_) => "a pod that is there",
            None => "no pod or node that is there",
        },
    }
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Ok(leases) = &judge.cluster.asked.leases else { return Verdict::Fine };
    let hold = judge.value(&AFTER);
    let dead: Vec<&Lease> = leases.iter().filter(|l| l.lapsed.is_some()).collect();
    let vital = |l: &Lease| VITAL.contains(&&*l.name);
    let restless: Vec<&Lease> = leases.iter().filter(|l| i64::from(l.changed) >= judge.value(&CHANGES)).collect();
    if dead.is_empty() && restless.is_empty() {
        return Verdict::Fine;
    }
    // The clock that dates renewals is the server's: the wait is by ours.
    let held = if dead.is_empty() { Ok(()) } else { judge.held_since_seen(hold) };
    super::after(held, || {
        let severity = if dead.iter().any(|l| vital(l)) { Severity::Critical } else { Severity::Warning };
        let mut named = dead.clone();
        named.sort_by_key(|l| !vital(l));
        let message = match named.is_empty() {
            false => format!("{} has no live leader", joined(named.iter().map(|l| &*l.name), 3)),
            true => format!("the leader of {} changes again and again", joined(restless.iter().map(|l| &*l.name), 3)),
        };
        let since = named.first().and_then(|l| l.lapsed);
        let mut finding = judge.finding(severity, since, message);
        for l in named.iter().chain(&restless).take(6) {
            let holder = if l.holder.is_empty() { "nobody" } else { &*l.holder };
            let value = format!(
                "held by {holder}, {}; renewed for {} s; {} changes of holder, {} in the last hour",
                who(judge, l),
                l.duration,
                l.transitions,
                l.changed
            );
            finding = finding.with(&l.name, value, l.lapsed);
        }
        finding.then("See the logs of its pods, and whether they reach the API server; restart the one that holds it and does nothing")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, NOW};
    use crate::model::{Asked, ClusterId, Delta, Time, Uid};

    pub fn told(fleet: &mut Fleet, asked: Asked) {
        fleet.delta(0, Delta::Asked(asked.into()));
    }

    fn at(name: &str, lapsed: bool, changed: u32, wait: i64) -> Option<(Severity, String)> {
        let mut fleet = Fleet::default();
        let lapsed = lapsed.then(|| Time::from_secs(NOW - 60)).flatten();
        let lease = Lease { name: name.into(), holder: "node-1_x".into(), duration: 15, lapsed, transitions: 4, changed };
        told(&mut fleet, Asked { leases: Ok([lease].into()), ..Asked::default() });
        fleet.wait(wait);
        let all = fleet.engine.for_object(ClusterId(0), Uid::default());
        all.iter().find(|f| f.rule == &RULE).map(|f| (f.severity, f.message.clone()))
    }

    #[test]
    fn a_lease_that_is_not_renewed_and_one_that_wanders() {
        let dead = |name: &str| format!("{name} has no live leader");
        assert_eq!(at("kube-scheduler", true, 0, 30), Some((Severity::Critical, dead("kube-scheduler"))));
        assert_eq!(at("kube-scheduler", true, 0, 29), None);
        assert_eq!(at("some-operator", true, 0, 30), Some((Severity::Warning, dead("some-operator"))));
        assert_eq!(at("kube-scheduler", false, 0, 30), None);
        assert_eq!(at("kube-scheduler", false, 3, 0).map(|f| f.0), Some(Severity::Warning));
        assert_eq!(at("kube-scheduler", false, 2, 0), None);
    }

    #[test]
    fn what_may_not_be_read_is_said() {
        let mut fleet = Fleet::default();
        let lacks = |fleet: &Fleet| crate::inspect::not_evaluated(&RULE, &fleet.store.clusters()[0]);
        assert_eq!(lacks(&fleet).as_deref(), Some("not asked yet"));
        told(&mut fleet, Asked { leases: Err("no right to list leases in kube-system".into()), ..Asked::default() });
        assert_eq!(lacks(&fleet).as_deref(), Some("no right to list leases in kube-system"));
    }
}
