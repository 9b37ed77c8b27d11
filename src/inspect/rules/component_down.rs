//! A part of the control plane that does not work: checks of the API server that fail, static pods that are not ready.
//!
//! Of the API server that we talk to. Leaders are controller-leader's, aggregated APIs aggregated-api-down's. What a
//! Prometheus does not reach of a component counts too. Left out: other endpoints of the API server one by one (they are asked through the one that
//! the kubeconfig names).

use super::measured::lasted;
use crate::inspect::explain::words::joined;
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::asked::Part;
use crate::model::{Kind, Measure, Object, Pod, Service, ServiceState, Str, Time, Tri};
use std::collections::BTreeMap;

const AFTER: Threshold = Threshold { name: "after", default: "1m", doc: "how long a check of the API server may fail" };
const PODS: Threshold = Threshold { name: "pods-after", default: "5m", doc: "how long a static pod of the control plane may be not ready" };
const TARGETS: Threshold = Threshold { name: "targets-after", default: "15m", doc: "how long Prometheus may not reach a component" };
/// How often one looks again (seconds) at what is measured.
const AGAIN: i64 = 60;

pub static RULE: RuleInfo = RuleInfo {
    id: "component-down",
    area: "control-plane",
    tier: 2,
    burns: true,
    severity: Severity::Critical,
    scope: "cluster, by component",
    summary: "A check of /readyz fails for a minute, or a static pod of the control plane is not ready for 5; or Prometheus does not reach it for 15; critical where no other of its component is",
    why: "A missing controller breaks nothing at first and everything an hour later.",
    kinds: &[],
    needs: &[Need::Asked(Part::Checks), Need::Kind(Kind::Pod)],
    leans_on: &[],
    thresholds: &[AFTER, PODS, TARGETS],
    peers: &[
        "~k8s-mixin:KubeAPIInstanceUnreachable",
        "~k8s-mixin:KubeSchedulerInstanceUnreachable",
        "~k8s-mixin:KubeControllerManagerInstanceUnreachable",
    ],
    links: &[
        "https://kubernetes.io/docs/tasks/debug/debug-cluster/",
        "https://kubernetes.io/docs/reference/using-api/health-checks/",
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubecontrollermanagerdown/",
    ],
    judge,
};

/// Components by what their jobs are called.
const JOBS: [&str; 5] = ["apiserver", "controller-manager", "scheduler", "kube-proxy", "etcd"];

/// The jobs of components of which Prometheus does not reach targets for long, and which share of them that is.
fn unreached<'a>(judge: &Judge<'a>) -> Vec<(&'a str, f64)> {
    let hold = judge.value(&TARGETS);
    let of = |o: &'a Object| match o {
        Object::Signal(s) if &*s.meta.name == "job-down" && lasted(judge, s, hold) => Some((s.meta.labels.get("job")?, s.value?)),
        _ => None,
    };
    let all = judge.cluster.objects(Kind::Signal).filter_map(of);
    all.filter(|(job, _)| JOBS.iter().any(|known| job.contains(known))).collect()
}

fn component(pod: &Pod) -> Option<&str> {
    let labels = &pod.meta.labels;
    let own = pod.mirror && &*pod.meta.namespace == "kube-system";
    own.then(|| labels.get("component").or_else(|| labels.get("k8s-app")).or_else(|| labels.get("tier").map(|_| "static pod"))).flatten()
}

/// How many pods a component has, and which of them are not ready since when.
type Pods<'a> = (usize, Vec<(&'a str, Option<Time>)>);

fn judge(judge: &Judge<'_>) -> Verdict {
    let measured = judge.cluster.service(Service::Prometheus).state == ServiceState::Live;
    let look = measured.then(|| super::later(judge, AGAIN));
    let mut next: Option<i64> = None;
    let unreached = if measured { unreached(judge) } else { Vec::new() };
    let mut wait = |held: Result<(), i64>| match held {
        Ok(()) => true,
        Err(at) => {
            next = Some(next.map_or(at, |n| n.min(at)));
            false
        }
    };
    let told = judge.cluster.asked.checks.as_deref().unwrap_or_default();
    let failing: Vec<&(Str, Time)> = told.iter().filter(|(_, since)| wait(judge.held(since.secs(), judge.value(&AFTER)))).collect();
    // By component: how many there are, and those that are not ready for long.
    let mut parts: BTreeMap<&str, Pods<'_>> = BTreeMap::new();
    if judge.cluster.counts.pods_bad > 0 && judge.cluster.current(Kind::Pod) {
        let pods = judge.index.labelled(judge.cluster, "kube-system", |_| true);
        for (name, pod) in pods.filter_map(|p| Some((component(p)?, p))) {
            let part = parts.entry(name).or_default();
            part.0 += 1;
            if pod.ready == Tri::True {
                continue;
            }
            let since = pod.ready_since.or(pod.started).or(pod.meta.created);
            if wait(judge.held(since.map_or(0, Time::secs), judge.value(&PODS))) {
                part.1.push((pod.node.as_deref().unwrap_or(&pod.meta.name), since));
            }
        }
        parts.retain(|_, (_, bad)| !bad.is_empty());
    }
    if failing.is_empty() && parts.is_empty() && unreached.is_empty() {
        return match (next, look) {
            (Some(at), _) => Verdict::FineUntil(look.map_or(at, |look| at.min(look))),
            (None, Some(look)) => Verdict::LookAgain(look),
            (None, None) => Verdict::Fine,
        };
    }
    let gone = parts.values().any(|(all, bad)| bad.len() == *all) || unreached.iter().any(|(_, share)| *share >= 1.0);
    let severity = if gone { Severity::Critical } else { Severity::Warning };
    let mut words = Vec::new();
    if !failing.is_empty() {
        words.push(format!("the API server's check of {} fails", joined(failing.iter().map(|f| &*f.0), 3)));
    }
    words.extend(parts.iter().map(|(name, (all, bad))| format!("{name} {} of {all} not ready", bad.len())));
    words.extend(unreached.iter().map(|(job, share)| match share {
        1.0.. => format!("Prometheus reaches none of {job}"),
        share => format!("Prometheus does not reach {} of {job}", Measure::Ratio.text(*share)),
    }));
    let since = parts.values().flat_map(|p| &p.1).filter_map(|b| b.1).chain(failing.iter().map(|f| f.1)).min();
    let mut finding = judge.finding(severity, since, words.join(", ")).with(
        "failing checks",
        joined(failing.iter().map(|f| &*f.0), 10),
        failing.iter().map(|f| f.1).min(),
    );
    for (name, (_, bad)) in &parts {
        finding = finding.with(name, format!("not ready on {}", joined(bad.iter().map(|b| b.0), 4)), bad.iter().filter_map(|b| b.1).min());
    }
    finding =
        finding.then("See its logs, on its node with crictl where the API server has none; its manifest is in /etc/kubernetes/manifests");
    next.into_iter().chain(look).min().map_or(Verdict::Burning(finding.clone()), |at| Verdict::BurningUntil(finding, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, pod, running};
    use crate::model::{Asked, ClusterId, Delta, KindState, Uid};
    use serde_json::{Value, json};

    fn said(fleet: &Fleet) -> Option<(Severity, String)> {
        let all = fleet.engine.for_object(ClusterId(0), Uid::default());
        all.iter().find(|f| f.rule == &RULE).map(|f| (f.severity, f.message.clone()))
    }

    #[test]
    fn a_check_that_fails_for_a_minute() {
        let mut fleet = Fleet::default();
        let since = Time::from_secs(crate::inspect::fixture::NOW).unwrap();
        let asked = |checks: &[&str]| {
            Delta::Asked(Asked { checks: Ok(checks.iter().map(|c| (Str::from(*c), since)).collect()), ..Asked::default() }.into())
        };
        fleet.delta(0, asked(&["etcd", "etcd-readiness"]));
        assert_eq!(said(fleet.wait(59)), None);
        assert_eq!(said(fleet.wait(1)), Some((Severity::Warning, "the API server's check of etcd, etcd-readiness fails".to_owned())));
        fleet.delta(0, asked(&[]));
        assert_eq!(said(&fleet), None);
    }

    #[test]
    fn static_pods_of_the_control_plane() {
        let one = |n: usize, ready: bool, since: i64| -> Value {
            let mut p = pod(
                json!({"name": format!("kube-scheduler-n{n}"), "namespace": "kube-system", "labels": {"component": "kube-scheduler"},
                "annotations": {"kubernetes.io/config.mirror": "x"}}),
                &format!("n{n}"),
                ready,
                since,
                running(),
            );
            p["metadata"]["uid"] = json!(format!("s{n}"));
            p
        };
        let at = |second: bool, since: i64| {
            let mut fleet = Fleet::default();
            fleet.put(Kind::Pod, [one(1, false, since), one(2, second, since)]);
            fleet.delta(0, Delta::KindState(Kind::Pod, KindState::Live));
            said(&fleet)
        };
        assert_eq!(at(true, 300), Some((Severity::Warning, "kube-scheduler 1 of 2 not ready".to_owned())));
        assert_eq!(at(true, 299), None);
        assert_eq!(at(false, 300), Some((Severity::Critical, "kube-scheduler 2 of 2 not ready".to_owned())));
    }

    #[test]
    fn what_prometheus_does_not_reach() {
        use crate::inspect::fixture::told;
        use crate::inspect::rules::measured::tests::shipped;
        use crate::model::{Signal, signal::tests::labels};
        let of = |job: &str, share: f64, minutes: usize| {
            let mut fleet = Fleet::default();
            let signal = Signal::of(&shipped("job-down"), labels(&[("job", job)]), share, vec![share; minutes].into());
            told(&mut fleet, Service::Prometheus, ServiceState::Live, vec![Object::Signal(signal.into())]);
            said(fleet.wait(60))
        };
        assert_eq!(of("kube-scheduler", 1.0, 15), Some((Severity::Critical, "Prometheus reaches none of kube-scheduler".into())));
        assert_eq!(of("kube-etcd", 0.5, 15), Some((Severity::Warning, "Prometheus does not reach 50% of kube-etcd".into())));
        assert_eq!((of("kube-etcd", 0.5, 14), of("node-exporter", 1.0, 15)), (None, None));
    }
}
