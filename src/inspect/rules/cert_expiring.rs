//! Certificates that end soon: the one by which we are known, the one that the API server shows us, kubelets' and cert-manager's.
//!
//! Of kubelets Prometheus tells what is left; of cert-manager's it counts that they should have been renewed a day ago. Left out: certificates of webhooks
//! and Ingresses that cert-manager does not keep (Secrets are not read; of webhooks' caBundle webhook-fail-closed tells), and etcd's (its handshakes are not
//! kept). Requests of kubelets that nobody answers are told too. A certificate that a credential plugin gives is renewed by it.

use super::later;
use crate::inspect::explain::words::joined;
use crate::inspect::{Finding, Judge, Need, RuleInfo, Severity, Threshold, Verdict, age};
use crate::model::asked::{InUse, Part, Unanswered, Whose};
use crate::model::{Kind, Object, Service, ServiceState, Signal, SignalState, Time};

const INFO: Threshold = Threshold { name: "info-below", default: "30d", doc: "what is left" };
const WARNING: Threshold = Threshold { name: "warning-below", default: "14d", doc: "what is left" };
const CRITICAL: Threshold = Threshold { name: "critical-below", default: "3d", doc: "what is left" };
const UNANSWERED: Threshold =
    Threshold { name: "unanswered-after", default: "10m", doc: "how long a kubelet's request for a certificate may wait" };

pub static RULE: RuleInfo = RuleInfo {
    id: "cert-expiring",
    area: "control-plane",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "cluster, its certificates",
    summary: "The kubeconfig's client certificate or the API server's has less than 30 days left (info), 14 (a warning) or 3 (critical); of one made for 90 days or less, a third (a warning) or a tenth (critical); a kubelet's has less than 7 days (a warning) or 1 (critical); cert-manager should have renewed one a day ago (a warning; critical with a tenth of its life or 3 days left); a kubelet's request for one is not answered for 10 minutes (a warning)",
    why: "Expiry is the one outage with a known date; control-plane certificates take everything with them.",
    kinds: &[],
    needs: &[Need::Asked(Part::Certificates)],
    leans_on: &[],
    thresholds: &[INFO, WARNING, CRITICAL, UNANSWERED],
    peers: &[
        "~k8s-mixin:KubeClientCertificateExpiration",
        "k8s-mixin:KubeletClientCertificateExpiration",
        "k8s-mixin:KubeletServerCertificateExpiration",
    ],
    links: &[
        "https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/",
        "https://cert-manager.io/docs/usage/certificate/#reissuance-triggered-by-expiry-renewal",
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubeclientcertificateexpiration/",
    ],
    judge,
};

/// Seconds of a life from which on it counts in days.
const LONG: i64 = 90 * 86_400;

/// The times from which on it is info, a warning and critical.
fn limits(judge: &Judge<'_>, c: &InUse) -> [(i64, Severity); 3] {
    let life = c.until - c.from;
    let before = |secs: i64| c.until - secs;
    if let Whose::Issued { late, .. } = &c.whose {
        let critical = before(judge.value(&CRITICAL).min(life / 10)).max(*late);
        return [(*late, Severity::Warning), (*late, Severity::Warning), (critical, Severity::Critical)];
    }
    if life > LONG {
        let of = |t: &Threshold| before(judge.value(t));
        return [(of(&INFO), Severity::Info), (of(&WARNING), Severity::Warning), (of(&CRITICAL), Severity::Critical)];
    }
    [(before(life / 3), Severity::Warning), (before(life / 3), Severity::Warning), (before(life / 10), Severity::Critical)]
}

/// How often one looks again (seconds) at what is measured.
const AGAIN: i64 = 600;

/// Kubelets whose certificate ends within a week, the first first, by what Prometheus measures.
fn kubelets(judge: &Judge<'_>) -> Option<Finding> {
    let of = |o: &'_ Object| matches!(o, Object::Signal(s) if &*s.meta.name == "kubelet-certificates" && s.value.is_some());
    let all = judge.cluster.objects(Kind::Signal).filter(|o| of(o));
    let mut all: Vec<&Signal> = all.filter_map(|o| if let Object::Signal(s) = o { Some(&**s) } else { None }).collect();
    all.retain(|s| matches!(s.state, SignalState::Warning | SignalState::Critical));
    all.sort_by(|a, b| b.value.unwrap_or(0.0).total_cmp(&a.value.unwrap_or(0.0)));
    let first = all.first()?;
    // It tells by how much less than a week is left.
    let left = |s: &Signal| 7 * 86_400 - super::measured::whole(s.value.unwrap_or(0.0));
    let words = |s: &Signal| match left(s) {
        ..=0 => "has expired".to_owned(),
        left => format!("expires in {}", age(left)),
    };
    let of = |s: &Signal| {
        let label = |name: &str| s.meta.labels.get(name).unwrap_or_default().to_owned();
        format!("the {} certificate of the kubelet at {}", label("whose"), label("instance"))
    };
    let severity = if first.state == SignalState::Critical { Severity::Critical } else { Severity::Warning };
    let mut finding = judge.finding(severity, None, format!("{} {}", of(first), words(first)));
    for s in all.iter().take(6) {
        finding = finding.with(&of(s), words(s), None);
    }
    let next = "See whether it asks for another one and nobody approves that (`kubectl get csr`), whether its rotation is on, and its log";
    Some(finding.then(next))
}

/// Requests of kubelets that nobody has answered; and when the next one has waited too long (unix seconds).
fn unanswered(judge: &Judge<'_>) -> (Option<Finding>, Option<i64>) {
    let hold = judge.value(&UNANSWERED);
    let due = |u: &Unanswered| u.since.secs() + hold;
    let all = &judge.cluster.asked.unanswered;
    let next = all.iter().map(due).filter(|at| *at > judge.now).min();
    let mut late: Vec<&Unanswered> = all.iter().filter(|u| due(u) <= judge.now).collect();
    late.sort_by_key(|u| (u.since, u.node.clone()));
    let Some(first) = late.first() else { return (None, next) };
    let mut nodes: Vec<&str> = late.iter().map(|u| &*u.node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let message = format!("nobody answers the requests for a certificate of the kubelets of {}", joined(nodes, 3));
    let mut finding = judge.finding(Severity::Warning, Some(first.since), message);
    for u in late.iter().take(6) {
        finding = finding.with(&u.node, format!("asks {}", u.signer), Some(u.since));
    }
    let next_step = "See that the nodes are yours, then approve (`kubectl get csr`, `kubectl certificate approve`); serving certificates need an approver";
    (Some(finding.then(next_step)), next)
}

/// The worse of two, the first of equals, with the evidence of the other behind its own.
fn both(a: Finding, b: Finding) -> Finding {
    let (mut first, second) = if a.severity >= b.severity { (a, b) } else { (b, a) };
    first.evidence.extend(second.evidence);
    first
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let (waits, next) = unanswered(judge);
    let sooner = |at: i64| next.map_or(at, |next| next.min(at));
    match (known(judge), waits) {
        (Verdict::BurningUntil(a, at), Some(b)) => Verdict::BurningUntil(both(a, b), sooner(at)),
        (Verdict::FineUntil(at) | Verdict::LookAgain(at), Some(b)) => Verdict::BurningUntil(b, sooner(at)),
        (_, Some(b)) => match next {
            Some(at) => Verdict::BurningUntil(b, at),
            None => Verdict::Burning(b),
        },
        (Verdict::BurningUntil(a, at), None) => Verdict::BurningUntil(a, sooner(at)),
        (Verdict::FineUntil(at), None) => Verdict::FineUntil(sooner(at)),
        (Verdict::LookAgain(at), None) => Verdict::LookAgain(sooner(at)),
        (verdict, None) => next.map_or(verdict, Verdict::LookAgain),
    }
}

fn known(judge: &Judge<'_>) -> Verdict {
    let ours = kept(judge);
    if judge.cluster.service(Service::Prometheus).state != ServiceState::Live {
        return ours;
    }
    let again = later(judge, AGAIN);
    match (ours, kubelets(judge)) {
        (Verdict::BurningUntil(a, at), Some(b)) => Verdict::BurningUntil(both(a, b), at.min(again)),
        (Verdict::BurningUntil(a, at), None) => Verdict::BurningUntil(a, at.min(again)),
        (_, Some(b)) => Verdict::BurningUntil(b, again),
        (Verdict::FineUntil(at), None) => Verdict::FineUntil(at.min(again)),
        (_, None) => Verdict::LookAgain(again),
    }
}

fn kept(judge: &Judge<'_>) -> Verdict {
    let Ok(all) = &judge.cluster.asked.certificates else { return Verdict::Fine };
    let mut next = i64::MAX;
    let mut found: Vec<(Severity, &InUse)> = Vec::new();
    for c in all {
        let limits = limits(judge, c);
        next = limits.iter().map(|l| l.0).chain([c.until]).filter(|at| *at > judge.now).fold(next, i64::min);
        found.extend(limits.iter().rev().find(|(at, _)| judge.now >= *at).map(|(_, severity)| (*severity, c)));
    }
    found.sort_by_key(|(severity, c)| (std::cmp::Reverse(*severity), c.until));
    let Some((severity, first)) = found.first() else {
        return if next == i64::MAX { Verdict::Fine } else { Verdict::FineUntil(next) };
    };
    let whose = |c: &InUse| match c.whose {
        Whose::Ours => "our client certificate".to_owned(),
        Whose::Server => "the API server's certificate".to_owned(),
        Whose::Issued { .. } => format!("certificate {}", c.subject),
    };
    let left = first.until - judge.now;
    let message = if left <= 0 { format!("{} has expired", whose(first)) } else { format!("{} expires in {}", whose(first), age(left)) };
    let mut finding = judge.finding(*severity, Time::from_secs(first.from), message);
    for (_, c) in &found {
        let until = Time::from_secs(c.until);
        let value = format!("{}, for {}, until {}", c.subject, age(c.until - c.from), until.map(Time::rfc3339).unwrap_or_default());
        finding = finding.with(&whose(c), value, until);
        if let Whose::Issued { late, why } = &c.whose {
            let due = Time::from_secs(late - 86_400);
            let why = if why.is_empty() { "cert-manager does not say why it is not" } else { why };
            finding = finding.with("to be renewed", format!("{}: {why}", due.map(Time::rfc3339).unwrap_or_default()), due);
        }
    }
    let finding = finding.then(match first.whose {
        Whose::Ours => "Get a new one for the kubeconfig: on a kubeadm cluster `kubeadm certs renew admin.conf` on a control plane node",
        Whose::Server => {
            "Renew it on every control plane node (`kubeadm certs renew apiserver` on a kubeadm cluster), then restart the API servers one by one"
        }
        Whose::Issued { .. } => "See its CertificateRequests and Orders, its issuer, and cert-manager's log; `cmctl renew` asks once more",
    });
    // The words say how long.
    let unit = match left {
        172_800.. => 86_400,
        7200.. => 3600,
        1.. => 60,
        _ => 86_400,
    };
    Verdict::BurningUntil(finding, (judge.now + left.rem_euclid(unit) + 1).min(next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, NOW};
    use crate::model::{Asked, ClusterId, Delta, Uid};

    const DAY: i64 = 86_400;

    fn at(life: i64, left: i64, wait: i64) -> Option<(Severity, String)> {
        let mut fleet = Fleet::default();
        let until = NOW + left;
        let c = InUse { whose: Whose::Ours, subject: "kubernetes-admin".into(), from: until - life, until };
        fleet.delta(0, Delta::Asked(Asked { certificates: Ok([c].into()), ..Asked::default() }.into()));
        fleet.wait(wait);
        let all = fleet.engine.for_object(ClusterId(0), Uid::default());
        all.iter().find(|f| f.rule == &RULE).map(|f| (f.severity, f.message.clone()))
    }

    #[test]
    fn a_year_counts_in_days_and_a_short_life_in_parts() {
        let severity = |life, left| at(life, left, 0).map(|f| f.0);
        let year = 365 * DAY;
        assert_eq!(severity(year, 30 * DAY + 1), None);
        assert_eq!(severity(year, 30 * DAY), Some(Severity::Info));
        assert_eq!(severity(year, 14 * DAY), Some(Severity::Warning));
        assert_eq!(severity(year, 3 * DAY), Some(Severity::Critical));
        assert_eq!(at(year, -5, 0), Some((Severity::Critical, "our client certificate has expired".to_owned())));
        assert_eq!((severity(90 * DAY, 30 * DAY + 1), severity(90 * DAY, 30 * DAY)), (None, Some(Severity::Warning)));
        assert_eq!((severity(90 * DAY, 9 * DAY + 1), severity(90 * DAY, 9 * DAY)), (Some(Severity::Warning), Some(Severity::Critical)));
    }

    #[test]
    fn it_wakes_when_the_time_comes() {
        assert_eq!(at(365 * DAY, 30 * DAY + 60, 59), None);
        assert_eq!(at(365 * DAY, 30 * DAY + 60, 60).map(|f| f.0), Some(Severity::Info));
    }

    #[test]
    fn what_cert_manager_should_have_renewed() {
        let of = |late: i64, left: i64| {
            let mut fleet = Fleet::default();
            let whose = Whose::Issued { late: NOW - late, why: "no such issuer".into() };
            let c = InUse { whose, subject: "pay/web".into(), from: NOW + left - 90 * DAY, until: NOW + left };
            fleet.delta(0, Delta::Asked(Asked { certificates: Ok([c].into()), ..Asked::default() }.into()));
            let all = fleet.engine.for_object(ClusterId(0), Uid::default());
            all.iter().find(|f| f.rule == &RULE).map(|f| (f.severity, f.message.clone(), f.evidence.clone()))
        };
        let (severity, message, evidence) = of(0, 29 * DAY).unwrap();
        assert_eq!((severity, message.as_str()), (Severity::Warning, "certificate pay/web expires in 29d"));
        assert!(evidence.iter().any(|e| e.what == "to be renewed" && e.value.ends_with(": no such issuer")), "{evidence:?}");
        assert_eq!(
            (of(-1, 29 * DAY), of(9, 3 * DAY + 1).map(|f| f.0), of(9, 3 * DAY).map(|f| f.0)),
            (None, Some(Severity::Warning), Some(Severity::Critical))
        );
    }

    #[test]
    fn what_kubelets_have_left() {
        use crate::inspect::fixture::told;
        use crate::inspect::rules::measured::tests::shipped;
        let of = |left: i64| {
            let mut fleet = Fleet::default();
            let labels = crate::model::signal::tests::labels(&[("instance", "n1:10250"), ("whose", "serving")]);
            let past = (7 * DAY - left) as f64;
            let signal = Signal::of(&shipped("kubelet-certificates"), labels, past, [past].into());
            told(&mut fleet, Service::Prometheus, ServiceState::Live, vec![Object::Signal(signal.into())]);
            fleet.wait(600);
            let all = fleet.engine.for_object(ClusterId(0), Uid::default());
            all.iter().find(|f| f.rule == &RULE).map(|f| (f.severity, f.message.clone()))
        };
        let says = |severity, text: &str| Some((severity, format!("the serving certificate of the kubelet at n1:10250 {text}")));
        assert_eq!((of(7 * DAY), of(7 * DAY + 1)), (says(Severity::Warning, "expires in 7d"), None));
        assert_eq!((of(DAY), of(-5)), (says(Severity::Critical, "expires in 24h"), says(Severity::Critical, "has expired")));
    }
    #[test]
    fn requests_that_nobody_answers() {
        let of = |waits: &[(&str, i64)], left: i64, wait: i64| {
            let mut fleet = Fleet::default();
            let one = |(node, secs): &(&str, i64)| Unanswered {
                node: (*node).into(),
                signer: "kubernetes.io/kubelet-serving".into(),
                since: Time::from_secs(NOW - secs).unwrap(),
            };
            let c = InUse { whose: Whose::Ours, subject: "admin".into(), from: NOW - 365 * DAY, until: NOW + left };
            let unanswered = waits.iter().map(one).collect();
            fleet.delta(0, Delta::Asked(Asked { certificates: Ok([c].into()), unanswered, ..Asked::default() }.into()));
            fleet.wait(wait);
            let all = fleet.engine.for_object(ClusterId(0), Uid::default());
            all.iter().find(|f| f.rule == &RULE).map(|f| (f.severity, f.message.clone(), f.evidence.len()))
        };
        let says = "nobody answers the requests for a certificate of the kubelets of n1";
        assert_eq!(of(&[("n1", 600), ("n2", 599)], 90 * DAY, 0), Some((Severity::Warning, says.to_owned(), 1)));
        assert_eq!((of(&[("n1", 599)], 90 * DAY, 0), of(&[("n1", 599)], 90 * DAY, 1).map(|f| f.0)), (None, Some(Severity::Warning)));
        // Beside what is worse it is evidence.
        assert_eq!(of(&[("n1", 600)], 2 * DAY, 0).map(|f| (f.0, f.2)), Some((Severity::Critical, 2)));
        assert_eq!(of(&[("n1", 600)], 29 * DAY, 0).map(|f| (f.0, f.2)), Some((Severity::Warning, 2)), "and beside what is not");
    }
    #[test]
    fn a_kubelet_that_asks_again_is_one_and_the_worst_certificate_speaks() {
        use crate::inspect::fixture::told;
        use crate::inspect::rules::measured::tests::shipped;
        let mut fleet = Fleet::default();
        let signal = |instance: &str, left: i64| {
            let labels = crate::model::signal::tests::labels(&[("instance", instance), ("whose", "client")]);
            let past = (7 * DAY - left) as f64;
            Object::Signal(Signal::of(&shipped("kubelet-certificates"), labels, past, [past].into()).into())
        };
        let asks = |secs: i64| Unanswered {
            node: "n1".into(),
            signer: "kubernetes.io/kubelet-serving".into(),
            since: Time::from_secs(NOW - secs).unwrap(),
        };
        let found = |fleet: &Fleet| {
            let all = fleet.engine.for_object(ClusterId(0), Uid::default());
            all.iter().find(|f| f.rule == &RULE).map(|f| (f.severity, f.message.clone(), f.evidence.len())).unwrap()
        };
        let c = InUse { whose: Whose::Ours, subject: "admin".into(), from: NOW - 365 * DAY, until: NOW + 20 * DAY };
        let tell = |fleet: &mut Fleet, unanswered: Box<[Unanswered]>| {
            fleet.delta(0, Delta::Asked(Asked { certificates: Ok([c.clone()].into()), unanswered, ..Asked::default() }.into()));
        };
        tell(&mut fleet, [asks(1500), asks(600)].into());
        let says = "nobody answers the requests for a certificate of the kubelets of n1";
        assert_eq!(found(&fleet), (Severity::Warning, says.to_owned(), 3), "ours is worth knowing only");
        told(&mut fleet, Service::Prometheus, ServiceState::Live, vec![signal("n2:10250", 5 * DAY), signal("n3:10250", DAY / 2)]);
        tell(&mut fleet, Box::default());
        let says = "the client certificate of the kubelet at n3:10250 expires in 12h";
        assert_eq!(found(&fleet), (Severity::Critical, says.to_owned(), 3), "with ours");
    }
}
