//! An admission webhook without which nothing can be made, and that is down or one pod away from it.
//!
//! Judged by configurations, endpoints and the certificates in caBundle, and by what Prometheus measures of the calls where there is one: those that were
//! skipped because the policy is Ignore too.

use super::measured::lasted;
use crate::inspect::explain::words::joined;
use crate::inspect::{Finding, Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::asked::{Hook, Part};
use crate::model::{Kind, Object, Signal, Time};

const AFTER: Threshold = Threshold { name: "after", default: "1m", doc: "how long it may be so" };
const TIMEOUT: Threshold = Threshold { name: "timeout-above", default: "10", doc: "seconds that it may take to answer" };
const TRUSTED: Threshold = Threshold { name: "trusted-below", default: "14d", doc: "how long its caBundle is good for" };
const FAILING: Threshold = Threshold { name: "failing-after", default: "2m", doc: "how long calls may fail, or be slow" };
/// The query for calls that were skipped.
const SKIPPED: &str = "webhook-skipped";
/// What is measured of calls, the worst first.
const QUERIES: [&str; 3] = ["webhook-errors", "webhook-latency", SKIPPED];
/// How often one looks again (seconds) at what is measured.
const AGAIN: i64 = 60;

pub static RULE: RuleInfo = RuleInfo {
    id: "webhook-fail-closed",
    area: "control-plane",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "cluster, its webhooks that refuse what they do not answer",
    summary: "The Service of a webhook with failurePolicy Fail has no ready endpoint, its caBundle has ended, or a hundredth of its calls fail for 2 minutes; info: ten calls of one with Ignore were skipped in 10 minutes; a warning when its p99 is over a second, or when it is asked about pods of kube-system or its own namespace with one replica, all on one node, or over 10 seconds, or its caBundle has less than 14 days left",
    why: "When a fail-closed hook is down nothing it matches can be created, often including its own pods, so the cluster cannot heal.",
    kinds: &[],
    needs: &[Need::Asked(Part::Hooks)],
    leans_on: &[],
    thresholds: &[AFTER, TIMEOUT, FAILING, TRUSTED],
    peers: &[],
    links: &[
        "https://kubernetes.io/docs/concepts/cluster-administration/admission-webhooks-good-practices/",
        "https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/",
    ],
    judge,
};

/// What is risky about a webhook that works.
fn risks(h: &Hook, timeout: i64) -> Vec<String> {
    let mut risks = Vec::new();
    if h.pods && (h.system || h.own) {
        match h.ready {
            Some(1) => risks.push("one replica".to_owned()),
            Some(n) if h.nodes.len() == 1 => risks.push(format!("all {n} replicas on {}", h.nodes[0])),
            _ => {}
        }
        if h.timeout > timeout {
            risks.push(format!("it may take {} s", h.timeout));
        }
    }
    risks
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let measured = judge.cluster.objects(Kind::Signal).next().is_some();
    let (verdict, next) = configured(judge);
    let again = measured.then(|| super::later(judge, AGAIN)).into_iter().chain(next).min();
    let burning = |finding: Finding, again: Option<i64>| match again {
        Some(at) => Verdict::BurningUntil(finding, at),
        None => Verdict::Burning(finding),
    };
    match (verdict, measured.then(|| called(judge)).flatten()) {
        // What nobody answers fails too.
        (Verdict::Burning(a), Some(b)) if a.severity < b.severity => burning(b, again),
        (Verdict::Burning(a), _) => burning(a, again),
        (waits, Some(b)) => {
            let over = if let Verdict::FineUntil(at) = waits { Some(at) } else { None };
            judge.holds_apart(over);
            burning(b, over.into_iter().chain(again).min())
        }
        (Verdict::FineUntil(at), None) => Verdict::FineUntil(at),
        (_, None) => again.map_or(Verdict::Fine, Verdict::LookAgain),
    }
}

/// A webhook that is called and fails, or is slow.
fn called(judge: &Judge<'_>) -> Option<Finding> {
    let hooks = judge.cluster.asked.hooks.as_deref().ok()?;
    let hold = judge.value(&FAILING);
    let rank = |s: &Signal| QUERIES.iter().position(|q| **q == *s.meta.name);
    let signal = |o: &'_ Object| matches!(o, Object::Signal(s) if rank(s).is_some() && lasted(judge, s, hold));
    let whose = |s: &Signal| {
        let name = s.meta.labels.get("name").unwrap_or_default();
        hooks.iter().find(|h| h.fail_closed != (&*s.meta.name == SKIPPED) && *h.name == *name)
    };
    let fails = |s: &Signal| &*s.meta.name == "webhook-errors";
    let all =
        judge.cluster.objects(Kind::Signal).filter(|o| signal(o)).filter_map(|o| if let Object::Signal(s) = o { Some(&**s) } else { None });
    let (s, hook) = all.filter_map(|s| Some((s, whose(s)?))).min_by_key(|(s, _)| rank(s))?;
    let value = s.value.map(|v| s.measure.text(v)).unwrap_or_default();
    let (severity, message, next) = if fails(s) {
        let message = format!("{value} of the calls of {} fail: {} is refused", hook.name, hook.matches);
        (
            Severity::Critical,
            message,
            "Read the webhook's log and the API server's; until it is mended set failurePolicy to Ignore in its configuration",
        )
    } else if &*s.meta.name == SKIPPED {
        let message = format!("{value} calls of {} were skipped in 10m: {} went unchecked", hook.name, hook.matches);
        (Severity::Info, message, "See why it does not answer; what it would have refused is there now")
    } else {
        let message = format!("{} takes {value} to answer: every {} waits for it", hook.name, hook.matches);
        (Severity::Warning, message, "Give its pods CPU and replicas, or let it be asked about less by its rules and selectors")
    };
    Some(judge.finding(severity, None, message).with("configuration", &*hook.config, None).with(&s.title, value, None).then(next))
}

/// What its configuration and its endpoints say, and when a bundle ends, or is about to (unix seconds).
fn configured(judge: &Judge<'_>) -> (Verdict, Option<i64>) {
    let Ok(hooks) = &judge.cluster.asked.hooks else { return (Verdict::Fine, None) };
    let closed = || hooks.iter().filter(|h| h.fail_closed && h.service.is_some());
    let down: Vec<&Hook> = closed().filter(|h| h.ready == Some(0)).collect();
    let timeout = judge.value(&TIMEOUT);
    let risky: Vec<(&Hook, Vec<String>)> = closed().map(|h| (h, risks(h, timeout))).filter(|(_, r)| !r.is_empty()).collect();
    let soon = |until: i64| until - judge.value(&TRUSTED);
    let mut ending: Vec<(&Hook, i64)> = closed().filter_map(|h| Some((h, h.trusted?))).collect();
    let next = ending.iter().flat_map(|(_, until)| [soon(*until), *until]).filter(|at| *at > judge.now).min();
    ending.retain(|(_, until)| soon(*until) <= judge.now);
    ending.sort_by_key(|(_, until)| *until);
    if down.is_empty() && risky.is_empty() && ending.is_empty() {
        return (Verdict::Fine, next);
    }
    let day = |until: i64| Time::from_secs(until).map(Time::rfc3339).unwrap_or_default();
    let verdict = super::after(judge.held_since_seen(judge.value(&AFTER)), || {
        let place = |h: &Hook| h.service.as_ref().map_or_else(String::new, |(namespace, name)| format!("{namespace}/{name}"));
        let (severity, message) = match down.first() {
            Some(h) => {
                let more = if down.len() > 1 { format!(" and {} more", down.len() - 1) } else { String::new() };
                (Severity::Critical, format!("{} of {} has no endpoints{more}: {} is refused", place(h), h.config, h.matches))
            }
            None if !ending.is_empty() => {
                let (h, until) = ending[0];
                if until <= judge.now {
                    // Nothing that it shows is trusted any more: its calls fail, as they do without endpoints.
                    (Severity::Critical, format!("the caBundle of {} was good until {}: {} is refused", h.config, day(until), h.matches))
                } else {
                    (Severity::Warning, format!("the caBundle of {} is good until {}: then {} is refused", h.config, day(until), h.matches))
                }
            }
            None => {
                let names = joined(risky.iter().map(|(h, _)| &*h.config), 3);
                (Severity::Warning, format!("pods cannot be made when {names} is down: {}", risky[0].1.join(", ")))
            }
        };
        let mut finding = judge.finding(severity, None, message);
        for h in down.iter().take(6) {
            let what = if h.mutating { "mutating" } else { "validating" };
            finding = finding.with(&h.name, format!("{what}, refuses {}; {} has no ready endpoint", h.matches, place(h)), None);
            if h.own && h.pods {
                finding = finding.with(&h.name, "it is asked about its own pods too: they cannot come back", None);
            }
        }
        for (h, risks) in risky.iter().filter(|(h, _)| h.ready != Some(0)).take(6) {
            finding = finding.with(&h.name, format!("{}; asked about {}", risks.join(", "), h.matches), None);
        }
        for (h, until) in ending.iter().take(6) {
            finding = finding.with(&h.name, format!("its caBundle is good until {}", day(*until)), Time::from_secs(*until));
        }
        finding.then(match (down.is_empty(), ending.is_empty()) {
            (false, _) => "Bring its pods back; until then set failurePolicy to Ignore in its configuration, and take that back afterwards",
            (true, false) => "See who writes its caBundle (cert-manager's injector, or the webhook itself) and why that has not renewed it",
            (true, true) => "Give it two replicas on two nodes, and leave kube-system and its own namespace out of its namespaceSelector",
        })
    });
    (verdict, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::Fleet;
    use crate::model::{Asked, ClusterId, Delta, Uid};

    fn hook() -> Hook {
        Hook {
            config: "policy".into(),
            mutating: false,
            name: "check.policy.io".into(),
            fail_closed: true,
            service: Some(("policy".into(), "policy".into())),
            ready: Some(2),
            nodes: ["n1".into(), "n2".into()].into(),
            matches: "CREATE of pods".into(),
            pods: true,
            system: true,
            own: true,
            timeout: 10,
            trusted: None,
        }
    }

    fn at(hook: Hook, wait: i64) -> Option<(Severity, String)> {
        let mut fleet = Fleet::default();
        fleet.delta(0, Delta::Asked(Asked { hooks: Ok([hook].into()), ..Asked::default() }.into()));
        fleet.wait(wait);
        let all = fleet.engine.for_object(ClusterId(0), Uid::default());
        all.iter().find(|f| f.rule == &RULE).map(|f| (f.severity, f.message.clone()))
    }

    #[test]
    fn calls_that_fail_for_two_minutes_and_slow_ones() {
        use crate::inspect::fixture::told;
        use crate::inspect::rules::measured::tests::shipped;
        use crate::model::{Service, ServiceState};
        let of = |query: &str, name: &str, value: f64, minutes: usize, hook: Hook| {
            let mut fleet = Fleet::default();
            let labels = crate::model::signal::tests::labels(&[("name", name)]);
            let signal = Signal::of(&shipped(query), labels, value, vec![value; minutes].into());
            told(&mut fleet, Service::Prometheus, ServiceState::Live, vec![Object::Signal(signal.into())]);
            fleet.delta(0, Delta::Asked(Asked { hooks: Ok([hook].into()), ..Asked::default() }.into()));
            let all = fleet.engine.for_object(ClusterId(0), Uid::default());
            all.iter().find(|f| f.rule == &RULE).map(|f| (f.severity, f.message.clone()))
        };
        let fails = "1% of the calls of check.policy.io fail: CREATE of pods is refused";
        assert_eq!(of("webhook-errors", "check.policy.io", 0.01, 2, hook()), Some((Severity::Critical, fails.to_owned())));
        assert_eq!(of("webhook-errors", "check.policy.io", 0.01, 1, hook()), None, "not for two minutes");
        assert_eq!(of("webhook-errors", "check.policy.io", 0.009, 2, hook()), None);
        assert_eq!(of("webhook-errors", "check.policy.io", 0.01, 2, Hook { fail_closed: false, ..hook() }), None, "it is skipped");
        assert_eq!(of("webhook-errors", "another.policy.io", 0.01, 2, hook()), None);
        assert_eq!(of("webhook-latency", "check.policy.io", 1.0, 2, hook()).map(|f| f.0), Some(Severity::Warning));
        let open = || Hook { fail_closed: false, ..hook() };
        let skipped = "10 calls of check.policy.io were skipped in 10m: CREATE of pods went unchecked";
        assert_eq!(of("webhook-skipped", "check.policy.io", 10.0, 2, open()), Some((Severity::Info, skipped.to_owned())));
        assert_eq!(of("webhook-skipped", "check.policy.io", 9.9, 2, open()), None);
        assert_eq!(of("webhook-skipped", "check.policy.io", 10.0, 2, hook()), None, "it refuses, and skips nothing");
    }

    #[test]
    fn a_service_without_endpoints_has_its_own_minute_whatever_was_found_before() {
        use crate::inspect::fixture::told;
        use crate::inspect::rules::measured::tests::shipped;
        use crate::model::{Service, ServiceState};
        let mut fleet = Fleet::default();
        let labels = crate::model::signal::tests::labels(&[("name", "check.policy.io")]);
        let slow = Signal::of(&shipped("webhook-latency"), labels, 1.0, vec![1.0; 2].into());
        told(&mut fleet, Service::Prometheus, ServiceState::Live, vec![Object::Signal(slow.into())]);
        let ready = |fleet: &mut Fleet, n: u32| {
            let hook = Hook { ready: Some(n), ..hook() };
            fleet.delta(0, Delta::Asked(Asked { hooks: Ok([hook].into()), ..Asked::default() }.into()));
        };
        let severity = |fleet: &Fleet| {
            let all = fleet.engine.for_object(ClusterId(0), Uid::default());
            all.iter().find(|f| f.rule == &RULE).map(|f| f.severity)
        };
        ready(&mut fleet, 2);
        assert_eq!(severity(&fleet), Some(Severity::Warning), "it is slow");
        ready(&mut fleet, 0);
        assert_eq!(severity(fleet.wait(59)), Some(Severity::Warning), "its endpoints are gone for less than a minute");
        assert_eq!(severity(fleet.wait(1)), Some(Severity::Critical));
        // They come back, and go again: another minute.
        ready(&mut fleet, 2);
        ready(&mut fleet, 0);
        assert_eq!(severity(fleet.wait(59)), Some(Severity::Warning));
        assert_eq!(severity(fleet.wait(1)), Some(Severity::Critical));
    }

    #[test]
    fn no_endpoint_is_critical_and_one_is_a_risk() {
        let with = |change: fn(&mut Hook)| {
            let mut h = hook();
            change(&mut h);
            at(h, 60).map(|f| f.0)
        };
        let critical = at(Hook { ready: Some(0), ..hook() }, 60);
        assert_eq!(critical, Some((Severity::Critical, "policy/policy of policy has no endpoints: CREATE of pods is refused".to_owned())));
        assert_eq!(at(Hook { ready: Some(0), ..hook() }, 59), None);
        assert_eq!(with(|_| ()), None);
        assert_eq!(with(|h| (h.ready, h.fail_closed) = (Some(0), false)), None, "it is skipped");
        assert_eq!(with(|h| h.ready = None), None, "nobody knows");
        assert_eq!(with(|h| h.ready = Some(1)), Some(Severity::Warning));
        assert_eq!(with(|h| h.nodes = ["n1".into()].into()), Some(Severity::Warning));
        assert_eq!(with(|h| h.timeout = 11), Some(Severity::Warning));
        assert_eq!(with(|h| (h.ready, h.system, h.own) = (Some(1), false, false)), None, "it leaves the system out");
    }
    #[test]
    fn a_bundle_that_ends() {
        use crate::inspect::fixture::NOW;
        const FORTNIGHT: i64 = 14 * 86_400;
        let of = |left: i64, wait: i64| at(Hook { trusted: Some(NOW + left), ..hook() }, wait);
        let says = "the caBundle of policy is good until 2026-01-19T12:00:00Z: then CREATE of pods is refused";
        assert_eq!(of(FORTNIGHT, 60), Some((Severity::Warning, says.to_owned())));
        assert_eq!((of(FORTNIGHT + 1, 0), of(-86_400, 60).map(|f| f.0)), (None, Some(Severity::Critical)));
        assert_eq!(of(FORTNIGHT + 600, 600), None, "its minute begins");
        assert_eq!(at(Hook { trusted: Some(NOW), fail_closed: false, ..hook() }, 60), None, "it is skipped");
    }
    #[test]
    fn bundles_end_by_the_clock_alone_the_first_first() {
        use crate::inspect::fixture::NOW;
        let mut fleet = Fleet::default();
        let hook = |config: &str, left: i64| Hook { config: config.into(), trusted: Some(NOW + left), ..hook() };
        let all = [hook("later", 14 * 86_400 + 600), hook("soon", 86_400)];
        let found = |fleet: &Fleet| {
            let all = fleet.engine.for_object(ClusterId(0), Uid::default());
            all.iter().find(|f| f.rule == &RULE).map(|f| (f.severity, f.message.clone(), f.evidence.len()))
        };
        let tell = |fleet: &mut Fleet, hooks: &[Hook]| {
            fleet.delta(0, Delta::Asked(Asked { hooks: Ok(hooks.iter().cloned().collect()), ..Asked::default() }.into()));
        };
        tell(&mut fleet, &all[..1]);
        assert_eq!(found(fleet.wait(600)), None, "its minute begins");
        assert_eq!(found(fleet.wait(60)).map(|f| f.0), Some(Severity::Warning));
        tell(&mut fleet, &all);
        let says = "the caBundle of soon is good until 2026-01-06T12:00:00Z: then CREATE of pods is refused";
        assert_eq!(found(fleet.wait(60)), Some((Severity::Warning, says.to_owned(), 2)));
        let says = "the caBundle of soon was good until 2026-01-06T12:00:00Z: CREATE of pods is refused";
        assert_eq!(found(fleet.wait(86_400)), Some((Severity::Critical, says.to_owned(), 2)));
    }
}
