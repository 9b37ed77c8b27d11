//! A controller that nobody leads, whose leader changes again and again, or that does not get on with its work.
//!
//! Of kube-system alone. A holder whose pod or node is gone shows as one that does not renew. A leader that lives and does not get on shows in its work
//! queues, where a Prometheus measures them.

use super::measured::lasted;
use crate::inspect::explain::words::joined;
use crate::inspect::{Finding, Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::asked::{Lease, Part};
use crate::model::{Kind, Object, Service, ServiceState, Signal, SignalState};

const AFTER: Threshold = Threshold { name: "after", default: "30s", doc: "how long a renewal may be overdue, beyond twice its duration" };
const CHANGES: Threshold = Threshold { name: "changes", default: "3", doc: "changes of the leader within an hour" };
const GROWS: Threshold =
    Threshold { name: "grows-for", default: "10m", doc: "how long a work queue must grow, or a controller work at one thing" };
/// How often one looks again (seconds) at what is measured.
const AGAIN: i64 = 60;

pub static RULE: RuleInfo = RuleInfo {
    id: "controller-leader",
    area: "control-plane",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "cluster, its leases in kube-system",
    summary: "A lease was not renewed for twice its duration (critical for kube-controller-manager and kube-scheduler), or its holder changed three times in an hour; a work queue above 100 grows for 10 minutes, or a controller works at one thing for more than 5 (a warning)",
    why: "Without a live leader no ReplicaSet, endpoint, node or certificate work is done though all pods run.",
    kinds: &[],
    needs: &[Need::Asked(Part::Leases)],
    leans_on: &[],
    thresholds: &[AFTER, CHANGES, GROWS],
    peers: &[],
    links: &[
        "https://kubernetes.io/docs/concepts/architecture/leases/",
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubecontrollermanagerdown/",
    ],
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

/// A queue that grows, or a worker that hangs, by what Prometheus measures.
fn stuck(judge: &Judge<'_>) -> Option<Finding> {
    let hold = judge.value(&GROWS);
    let back = usize::try_from(hold / 60).unwrap_or(0);
    let grows = |s: &Signal| {
        let before = s.course.len().checked_sub(back.max(1)).and_then(|at| s.course.get(at));
        lasted(judge, s, hold) && before.zip(s.course.last()).is_some_and(|(before, now)| now > before)
    };
    let bad = |s: &Signal| match &*s.meta.name {
        "workqueue-depth" => grows(s),
        "workqueue-stuck" => matches!(s.state, SignalState::Warning | SignalState::Critical) && lasted(judge, s, hold),
        _ => false,
    };
    let all = judge.cluster.objects(Kind::Signal).filter_map(|o| if let Object::Signal(s) = o { Some(&**s) } else { None });
    let all: Vec<&Signal> = all.filter(|s| bad(s)).collect();
    let first = all.iter().max_by(|a, b| a.value.unwrap_or(0.0).total_cmp(&b.value.unwrap_or(0.0)))?;
    let says = |s: &Signal| s.value.map(|v| s.measure.text(v)).unwrap_or_default();
    let name = first.meta.labels.get("name").unwrap_or_default();
    let message = match &*first.meta.name {
        "workqueue-depth" => format!("the queue of {name} grows: {} wait", says(first)),
        _ => format!("{name} works at one thing for {}", says(first)),
    };
    let mut finding = judge.finding(Severity::Warning, None, message);
    for s in all.iter().take(6) {
        finding = finding.with(&s.title, format!("{} {}", s.of_what(), says(s)), None);
    }
    Some(finding.then(
        "See the log of the controller that leads, and what it waits for: the API server, a webhook, a cloud; restart it when it hangs",
    ))
}

fn judge(judge: &Judge<'_>) -> Verdict {
    if judge.cluster.service(Service::Prometheus).state != ServiceState::Live {
        return led(judge);
    }
    let again = super::later(judge, AGAIN);
    match led(judge) {
        Verdict::Burning(finding) => Verdict::BurningUntil(finding, again),
        Verdict::FineUntil(at) => Verdict::FineUntil(at),
        _ => stuck(judge).map_or(Verdict::LookAgain(again), |finding| Verdict::BurningUntil(finding, again)),
    }
}

fn led(judge: &Judge<'_>) -> Verdict {
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
    use crate::inspect::rules::measured::tests::shipped;
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

    #[test]
    fn a_queue_that_grows_and_a_worker_that_hangs() {
        let at = |query: &str, course: &[f64]| {
            let mut fleet = Fleet::default();
            let labels = crate::model::signal::tests::labels(&[("name", "deployment")]);
            let signal = Signal::of(&shipped(query), labels, course[course.len() - 1], course.into());
            told(&mut fleet, Asked { leases: Ok([].into()), ..Asked::default() });
            crate::inspect::fixture::told(&mut fleet, Service::Prometheus, ServiceState::Live, vec![Object::Signal(signal.into())]);
            fleet.wait(60);
            let all = fleet.engine.for_object(ClusterId(0), Uid::default());
            all.iter().find(|f| f.rule == &RULE).map(|f| (f.severity, f.message.clone()))
        };
        let grows: Vec<f64> = (0..10).map(|n| 100.0 + f64::from(n)).collect();
        assert_eq!(at("workqueue-depth", &grows), Some((Severity::Warning, "the queue of deployment grows: 109 wait".into())));
        assert_eq!(at("workqueue-depth", &grows[1..]), None, "for nine minutes");
        assert_eq!(
            (at("workqueue-depth", &[150.0; 10]), at("workqueue-depth", &[99.0; 10])),
            (None, None),
            "it does not grow, or is short"
        );
        assert_eq!(at("workqueue-stuck", &[300.0; 10]), Some((Severity::Warning, "deployment works at one thing for 5m".into())));
        assert_eq!((at("workqueue-stuck", &[299.0; 10]), at("workqueue-stuck", &[300.0; 9])), (None, None));
    }
}
