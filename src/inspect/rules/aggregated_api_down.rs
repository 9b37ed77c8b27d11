//! An aggregated API that is not available.
//!
//! One that comes and goes is told where a Prometheus has what the API server measures of it. Left out: how old the measurements of metrics.k8s.io are.

use super::later;
use crate::inspect::explain::words::joined;
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::asked::{Api, Part};
use crate::model::{Kind, Object, Signal, SignalState, Time};

const AFTER: Threshold = Threshold { name: "after", default: "2m", doc: "how long it may be not available" };

pub static RULE: RuleInfo = RuleInfo {
    id: "aggregated-api-down",
    area: "control-plane",
    tier: 3,
    burns: true,
    severity: Severity::Critical,
    scope: "cluster, its APIServices",
    summary: "An APIService is not Available for 2 minutes, or was not for 15 % of the last 10; critical when HPAs need it or a namespace cannot be deleted for it",
    why: "Broken aggregation stops HPAs, kubectl discovery and namespace deletion at once.",
    kinds: &[],
    needs: &[Need::Asked(Part::Apis)],
    leans_on: &[],
    thresholds: &[AFTER],
    peers: &["~popeye:402", "popeye:708", "~k8s-mixin:KubeAggregatedAPIErrors", "k8s-mixin:KubeAggregatedAPIDown"],
    links: &[
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubeaggregatedapidown/",
        "https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/apiserver-aggregation/",
    ],
    judge,
};

/// How often one looks again (seconds) at what is measured.
const AGAIN: i64 = 60;

fn judge(judge: &Judge<'_>) -> Verdict {
    let Ok(apis) = &judge.cluster.asked.apis else { return Verdict::Fine };
    let began = |a: &Api| a.since.map_or(0, Time::secs);
    let hold = judge.value(&AFTER);
    let down: Vec<&Api> = apis.iter().filter(|a| judge.held(began(a), hold).is_ok()).collect();
    let restless = restless(judge, &down);
    let measured = judge.cluster.objects(Kind::Signal).next().is_some().then(|| later(judge, AGAIN));
    let held = apis.iter().map(|a| began(a) + hold).filter(|at| *at > judge.now).min();
    let next = measured.into_iter().chain(held).min();
    if down.is_empty() && restless.is_empty() {
        return match next {
            Some(at) if held.is_some() => Verdict::FineUntil(at),
            next => next.map_or(Verdict::Fine, Verdict::LookAgain),
        };
    }
    let hpas = judge.cluster.objects(Kind::Hpa).count();
    let named = || down.iter().map(|a| &*a.name).chain(restless.iter().map(|(name, _)| *name));
    let measures = named().any(|name| name.ends_with("metrics.k8s.io")) && hpas > 0;
    let stuck = judge
        .cluster
        .objects(Kind::Namespace)
        .filter(|o| matches!(o, Object::Namespace(n) if n.meta.deleting.is_some_and(|t| judge.held(t.secs(), hold).is_ok())));
    let stuck = joined(stuck.map(|o| &*o.meta().name), 4);
    let severity = if measures || !stuck.is_empty() { Severity::Critical } else { Severity::Warning };
    let message = match down.is_empty() {
        false => format!("{} not available", joined(down.iter().map(|a| &*a.name), 3)),
        true => format!("{} comes and goes", joined(restless.iter().map(|(name, _)| name), 3)),
    };
    let mut finding = judge.finding(severity, down.iter().filter_map(|a| a.since).min(), message);
    for a in down.iter().take(6) {
        let service = a.service.as_ref().map_or_else(String::new, |(namespace, name)| format!("service {namespace}/{name}: "));
        let why = format!("{service}{} {}", a.reason.as_deref().unwrap_or(""), a.message.as_deref().unwrap_or(""));
        finding = finding.with(&a.name, why.trim(), a.since);
    }
    for (name, signal) in restless.iter().take(6) {
        let share = signal.value.map_or_else(String::new, |v| signal.measure.text(v));
        finding = finding.with(name, format!("not available for {share} of the last 10 minutes"), None);
    }
    if measures {
        finding = finding.with("autoscalers that may need it", hpas.to_string(), None);
    }
    let finding = finding.with("namespaces that are being deleted", stuck, None).then("Bring back the Deployment behind its service");
    match next {
        Some(at) => Verdict::BurningUntil(finding, at),
        None => Verdict::Burning(finding),
    }
}

/// The APIs that come and go, by name, as is measured: those that are down are told already.
fn restless<'a>(judge: &Judge<'a>, down: &[&Api]) -> Vec<(&'a str, &'a Signal)> {
    let of = |o: &'a Object| match o {
        Object::Signal(s) if &*s.meta.name == "api-aggregation" => Some((s.meta.labels.get("name")?, &**s)),
        _ => None,
    };
    let often = |s: &Signal| matches!(s.state, SignalState::Warning | SignalState::Critical);
    let all = judge.cluster.objects(Kind::Signal).filter_map(of);
    all.filter(|(name, s)| often(s) && down.iter().all(|a| *a.name != **name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, NOW};
    use crate::model::{Asked, ClusterId, Delta, Uid};
    use serde_json::json;

    #[test]
    fn not_available_for_two_minutes_and_worse_when_something_needs_it() {
        let at = |name: &str, since: i64, hpa: bool| {
            let mut fleet = Fleet::default();
            if hpa {
                fleet.put(Kind::Hpa, [json!({"metadata": {"name": "h"}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 3}})]);
            }
            let since = Time::from_secs(NOW - since);
            let api = Api {
                name: name.into(),
                service: Some(("kube-system".into(), "m".into())),
                reason: Some("MissingEndpoints".into()),
                message: None,
                since,
            };
            fleet.delta(0, Delta::Asked(Asked { apis: Ok([api].into()), ..Asked::default() }.into()));
            fleet.engine.for_object(ClusterId(0), Uid::default()).iter().find(|f| f.rule == &RULE).map(|f| f.severity)
        };
        assert_eq!(at("v1beta1.metrics.k8s.io", 120, false), Some(Severity::Warning));
        assert_eq!(at("v1beta1.metrics.k8s.io", 119, false), None);
        assert_eq!(at("v1beta1.metrics.k8s.io", 120, true), Some(Severity::Critical));
        assert_eq!(at("v1.packages.example.com", 120, true), Some(Severity::Warning));
    }
    #[test]
    fn one_that_comes_and_goes() {
        use crate::inspect::fixture::told;
        use crate::inspect::rules::measured::tests::shipped;
        use crate::model::{Service, ServiceState};
        let of = |share: f64, since: Option<i64>| {
            let mut fleet = Fleet::default();
            let labels = crate::model::signal::tests::labels(&[("name", "v1beta1.metrics.k8s.io")]);
            let signal = Signal::of(&shipped("api-aggregation"), labels, share, [share].into());
            told(&mut fleet, Service::Prometheus, ServiceState::Live, vec![Object::Signal(signal.into())]);
            let api = |secs: i64| Api {
                name: "v1beta1.metrics.k8s.io".into(),
                service: None,
                reason: None,
                message: None,
                since: Time::from_secs(NOW - secs),
            };
            fleet.delta(0, Delta::Asked(Asked { apis: Ok(since.map(api).into_iter().collect()), ..Asked::default() }.into()));
            let all = fleet.engine.for_object(ClusterId(0), Uid::default());
            all.iter().find(|f| f.rule == &RULE).map(|f| (f.severity, f.message.clone()))
        };
        let says = |message: &str| Some((Severity::Warning, message.to_owned()));
        assert_eq!((of(0.15, None), of(0.149, None)), (says("v1beta1.metrics.k8s.io comes and goes"), None));
        assert_eq!(of(0.15, Some(60)), says("v1beta1.metrics.k8s.io comes and goes"), "it is down for a minute");
        assert_eq!(of(0.4, Some(120)), says("v1beta1.metrics.k8s.io not available"), "it is told once");
    }
    #[test]
    fn what_waits_for_it_and_those_that_follow() {
        let api = |name: &str, secs: i64| Api {
            name: name.into(),
            service: None,
            reason: None,
            message: None,
            since: Time::from_secs(NOW - secs),
        };
        let found = |fleet: &Fleet| {
            let all = fleet.engine.for_object(ClusterId(0), Uid::default());
            all.iter().find(|f| f.rule == &RULE).map(|f| (f.severity, f.message.clone())).unwrap()
        };
        let of = |namespace: serde_json::Value| {
            let mut fleet = Fleet::default();
            fleet.put(Kind::Namespace, [namespace]);
            let apis = Ok([api("v1.a.example.com", 120), api("v1.b.example.com", 60)].into());
            fleet.delta(0, Delta::Asked(Asked { apis, ..Asked::default() }.into()));
            fleet
        };
        let mut fleet = of(json!({"metadata": {"name": "old"}}));
        assert_eq!(found(&fleet), (Severity::Warning, "v1.a.example.com not available".to_owned()));
        assert_eq!(found(fleet.wait(60)).1, "v1.a.example.com, v1.b.example.com not available", "by the clock alone");
        let going = |secs: i64| of(json!({"metadata": {"name": "old", "deletionTimestamp": crate::inspect::fixture::ago(secs)}}));
        let of = |secs: i64| found(&going(secs)).0;
        assert_eq!((of(120), of(119)), (Severity::Critical, Severity::Warning), "a namespace cannot go");
    }

    #[test]
    fn what_is_down_is_no_evidence_that_it_comes_and_goes() {
        use crate::inspect::fixture::told;
        use crate::inspect::rules::measured::tests::shipped;
        use crate::model::{Service, ServiceState};
        let mut fleet = Fleet::default();
        let signal = |name: &str| {
            let labels = crate::model::signal::tests::labels(&[("name", name)]);
            Object::Signal(Signal::of(&shipped("api-aggregation"), labels, 0.4, [0.4].into()).into())
        };
        told(&mut fleet, Service::Prometheus, ServiceState::Live, vec![signal("v1.a.example.com"), signal("v1.b.example.com")]);
        let down = Api { name: "v1.a.example.com".into(), service: None, reason: Some("x".into()), message: None, since: None };
        fleet.delta(0, Delta::Asked(Asked { apis: Ok([down].into()), ..Asked::default() }.into()));
        let all = fleet.engine.for_object(ClusterId(0), Uid::default());
        let evidence = &all.iter().find(|f| f.rule == &RULE).unwrap().evidence;
        let of = |name: &str| evidence.iter().filter(|e| e.what == name).map(|e| e.value.as_str()).collect::<Vec<_>>();
        assert_eq!((of("v1.a.example.com"), of("v1.b.example.com")), (vec!["x"], vec!["not available for 40% of the last 10 minutes"]));
    }
}
