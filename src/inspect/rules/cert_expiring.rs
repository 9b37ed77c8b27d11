//! Certificates that end soon: the one by which we are known, and the one that the API server shows us.
//!
//! Left out: certificates of kubelets, etcd, webhooks and Ingresses, and cert-manager's. A certificate that a credential plugin gives is
//! renewed by it.

use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict, age};
use crate::model::Time;
use crate::model::asked::{InUse, Part};

const INFO: Threshold = Threshold { name: "info-below", default: "30d", doc: "what is left" };
const WARNING: Threshold = Threshold { name: "warning-below", default: "14d", doc: "what is left" };
const CRITICAL: Threshold = Threshold { name: "critical-below", default: "3d", doc: "what is left" };

pub static RULE: RuleInfo = RuleInfo {
    id: "cert-expiring",
    area: "control-plane",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "cluster, the certificates between it and us",
    summary: "The kubeconfig's client certificate or the API server's has less than 30 days left (info), 14 (a warning) or 3 (critical); of one made for 90 days or less, a third (a warning) or a tenth (critical)",
    why: "Expiry is the one outage with a known date; control-plane certificates take everything with them.",
    kinds: &[],
    needs: &[Need::Asked(Part::Certificates)],
    leans_on: &[],
    thresholds: &[INFO, WARNING, CRITICAL],
    peers: &["~k8s-mixin:KubeClientCertificateExpiration"],
    judge,
};

/// Seconds of a life from which on it counts in days.
const LONG: i64 = 90 * 86_400;

/// The times from which on it is info, a warning and critical.
fn limits(judge: &Judge<'_>, c: &InUse) -> [(i64, Severity); 3] {
    let life = c.until - c.from;
    let before = |secs: i64| c.until - secs;
    if life > LONG {
        let of = |t: &Threshold| before(judge.value(t));
        return [(of(&INFO), Severity::Info), (of(&WARNING), Severity::Warning), (of(&CRITICAL), Severity::Critical)];
    }
    [(before(life / 3), Severity::Warning), (before(life / 3), Severity::Warning), (before(life / 10), Severity::Critical)]
}

fn judge(judge: &Judge<'_>) -> Verdict {
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
    let whose = |c: &InUse| if c.ours { "our client certificate" } else { "the API server's certificate" };
    let left = first.until - judge.now;
    let message = if left <= 0 { format!("{} has expired", whose(first)) } else { format!("{} expires in {}", whose(first), age(left)) };
    let mut finding = judge.finding(*severity, Time::from_secs(first.from), message);
    for (_, c) in &found {
        let until = Time::from_secs(c.until);
        let value = format!("{}, for {}, until {}", c.subject, age(c.until - c.from), until.map(Time::rfc3339).unwrap_or_default());
        finding = finding.with(whose(c), value, until);
    }
    let finding = finding.then(if first.ours {
        "Get a new one for the kubeconfig: on a kubeadm cluster `kubeadm certs renew admin.conf` on a control plane node"
    } else {
        "Renew it on every control plane node (`kubeadm certs renew apiserver` on a kubeadm cluster), then restart the API servers one by one"
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
        let c = InUse { ours: true, subject: "kubernetes-admin".into(), from: until - life, until };
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
}
