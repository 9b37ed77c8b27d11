//! An etcd whose database comes near its quota.
//!
//! Without a hold: the file shrinks by a defragmentation alone. When it will be full is what Prometheus tells, where it measures etcd.

use super::measured::{BASE, Measured, USUAL, after};
use crate::inspect::explain::words::bytes;
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Object};

const INFO: Threshold = Threshold { name: "info-above", default: "70%", doc: "share of the quota from which it is worth knowing" };
const WARNING: Threshold = Threshold { name: "warning-above", default: "80%", doc: "share of the quota from which it is a warning" };
const CRITICAL: Threshold = Threshold { name: "critical-above", default: "95%", doc: "share of the quota from which it is critical" };
const LARGE: Threshold = Threshold { name: "quota-above", default: "8", doc: "GiB of quota above which it is worth knowing" };

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "etcd-db-quota",
        area: "etcd",
        scope: "etcd member, a cluster's as one",
        summary: "The database takes more than 70, 80 or 95 % of its quota, or will be at it within 24 hours (a warning) or 4 hours (critical) at its rate; info: a quota of more than 8 GiB, which etcd advises against",
        why: "At the quota etcd raises NOSPACE and the whole cluster becomes read-only.",
        kinds: &[Kind::EtcdMember, Kind::Signal],
        thresholds: &[INFO, WARNING, CRITICAL, LARGE, after("10m")],
        peers: &["etcd-mixin:etcdDatabaseQuotaLowSpace", "etcd-mixin:etcdExcessiveDatabaseGrowth"],
        links: &[
            "https://runbooks.prometheus-operator.dev/runbooks/etcd/etcdbackendquotalowspace/",
            "https://etcd.io/docs/latest/op-guide/maintenance/#space-quota",
        ],
        ..BASE
    },
    queries: &["etcd-db-fills"],
    level: |seen| seen.limits().map(|_| if seen.label("within") == "4h" { Severity::Critical } else { Severity::Warning }),
    says: |seen| format!("the database is at its quota within {} at its rate", seen.label("within")),
    next: "Find what grows (events, a custom resource, large Secrets) and delete it, then compact and defragment; or raise the quota",
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| match judge.object {
    Some(Object::Signal(_)) => FACTS.judge(judge),
    _ => self::judge(judge),
});

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::EtcdMember(m)) = judge.object else { return Verdict::Fine };
    let Some((s, quota)) = m.status.as_ref().and_then(|s| Some((s, s.quota.filter(|q| *q > 0)?))) else { return Verdict::Fine };
    let above = |t: &Threshold| i128::from(s.db_size) * 100 > i128::from(judge.value(t)) * i128::from(quota);
    let levels = [(&CRITICAL, Severity::Critical), (&WARNING, Severity::Warning), (&INFO, Severity::Info)];
    let Some((_, severity)) = levels.into_iter().find(|(t, _)| above(t)) else { return large(judge, quota) };
    let percent = s.quota_percent().unwrap_or_default();
    let next = match s.fragmented_percent() {
        Some(free @ 30..) => format!("Defragment one member at a time, the leader last: {free}% of the file hold no data"),
        _ => "Find what grows (events, a custom resource, large Secrets) and delete it, then defragment; or raise the quota".to_owned(),
    };
    let finding = judge.finding(severity, None, format!("database at {percent}% of its quota of {}", bytes(quota)));
    Verdict::Burning(finding.with("database", bytes(s.db_size), None).with("in use", bytes(s.db_in_use), None).then(next))
}

/// A quota that lets the database grow further than etcd works well with.
fn large(judge: &Judge<'_>, quota: i64) -> Verdict {
    if quota <= judge.value(&LARGE).saturating_mul(1 << 30) {
        return Verdict::Fine;
    }
    let finding = judge.finding(Severity::Info, None, format!("a quota of {}: etcd advises against more than 8 GiB", bytes(quota)));
    Verdict::Burning(
        finding.then(
            "Set --quota-backend-bytes to 8 GiB or less: starts, snapshots and a new member's copy take as long as the file is large",
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, etcd_members, put_members};

    /// The severity for so many bytes of a quota of 1000.
    fn at(size: i64) -> Option<Severity> {
        let mut fleet = Fleet::default();
        let mut members = etcd_members(&[('u', 0)]);
        let status = members[0].status.as_mut().unwrap();
        (status.db_size, status.db_in_use, status.quota) = (size, size / 4, Some(1000));
        put_members(&mut fleet, members);
        fleet.lines().first().map(|l| l.severity)
    }

    #[test]
    fn above_seventy_eighty_and_ninety_five_percent() {
        for (size, severity) in [
            (700, None),
            (701, Some(Severity::Info)),
            (800, Some(Severity::Info)),
            (801, Some(Severity::Warning)),
            (950, Some(Severity::Warning)),
            (951, Some(Severity::Critical)),
        ] {
            assert_eq!(at(size), severity, "{size}");
        }
    }

    #[test]
    fn by_its_rate_within_a_day_and_within_four_hours() {
        let of = |within: &str, value: f64, wait: i64| {
            let labels = [("instance", "10.0.0.1:2379"), ("within", within)];
            crate::inspect::rules::measured::tests::seen(&mut Fleet::default(), &RULE, "etcd-db-fills", &labels, value, wait)
                .map(|f| f.severity)
        };
        assert_eq!((of("24h", 1.0, 600), of("4h", 1.0, 600)), (Some(Severity::Warning), Some(Severity::Critical)));
        assert_eq!((of("4h", 1.0, 599), of("4h", 0.99, 600)), (None, None));
    }

    #[test]
    fn a_defragmentation_is_advised_where_it_helps() {
        let mut fleet = Fleet::default();
        let mut members = etcd_members(&[('u', 0)]);
        let status = members[0].status.as_mut().unwrap();
        (status.db_size, status.db_in_use, status.quota) = (960, 240, Some(1000));
        put_members(&mut fleet, members);
        let found = fleet.engine.findings().next().unwrap();
        assert_eq!((found.message.as_str(), found.next_step.contains("75% of the file")), ("database at 96% of its quota of 1000", true));
    }

    #[test]
    fn a_quota_that_is_too_large() {
        let of = |quota: i64| {
            let mut fleet = Fleet::default();
            let mut members = etcd_members(&[('u', 0)]);
            let status = members[0].status.as_mut().unwrap();
            (status.db_size, status.db_in_use, status.quota) = (1 << 20, 1 << 20, Some(quota));
            put_members(&mut fleet, members);
            fleet.engine.findings().find(|f| f.rule == &RULE).map(|f| f.severity)
        };
        assert_eq!((of(8 << 30), of((8 << 30) + 1)), (None, Some(Severity::Info)));
    }
}
