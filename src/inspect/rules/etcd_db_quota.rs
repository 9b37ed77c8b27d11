//! An etcd whose database comes near its quota.
//!
//! Without a hold: the file shrinks by a defragmentation alone. Left out: how fast it grows and when it would be full (needs history), and quotas
//! that are too large.

use crate::inspect::explain::words::bytes;
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Object};

const INFO: Threshold = Threshold { name: "info-above", default: "70%", doc: "share of the quota from which it is worth knowing" };
const WARNING: Threshold = Threshold { name: "warning-above", default: "80%", doc: "share of the quota from which it is a warning" };
const CRITICAL: Threshold = Threshold { name: "critical-above", default: "95%", doc: "share of the quota from which it is critical" };

pub static RULE: RuleInfo = RuleInfo {
    id: "etcd-db-quota",
    area: "etcd",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "etcd member, a cluster's as one",
    summary: "The database takes more than 70, 80 or 95 % of its quota",
    why: "At the quota etcd raises NOSPACE and the whole cluster becomes read-only.",
    kinds: &[Kind::EtcdMember],
    needs: &[],
    leans_on: &[],
    thresholds: &[INFO, WARNING, CRITICAL],
    peers: &["etcd-mixin:etcdDatabaseQuotaLowSpace", "etcd-mixin:etcdExcessiveDatabaseGrowth"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::EtcdMember(m)) = judge.object else { return Verdict::Fine };
    let Some((s, quota)) = m.status.as_ref().and_then(|s| Some((s, s.quota.filter(|q| *q > 0)?))) else { return Verdict::Fine };
    let above = |t: &Threshold| i128::from(s.db_size) * 100 > i128::from(judge.value(t)) * i128::from(quota);
    let levels = [(&CRITICAL, Severity::Critical), (&WARNING, Severity::Warning), (&INFO, Severity::Info)];
    let Some((_, severity)) = levels.into_iter().find(|(t, _)| above(t)) else { return Verdict::Fine };
    let percent = s.quota_percent().unwrap_or_default();
    let next = match s.fragmented_percent() {
        Some(free @ 30..) => format!("Defragment one member at a time, the leader last: {free}% of the file hold no data"),
        _ => "Find what grows (events, a custom resource, large Secrets) and delete it, then defragment; or raise the quota".to_owned(),
    };
    let finding = judge.finding(severity, None, format!("database at {percent}% of its quota of {}", bytes(quota)));
    Verdict::Burning(finding.with("database", bytes(s.db_size), None).with("in use", bytes(s.db_in_use), None).then(next))
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
    fn a_defragmentation_is_advised_where_it_helps() {
        let mut fleet = Fleet::default();
        let mut members = etcd_members(&[('u', 0)]);
        let status = members[0].status.as_mut().unwrap();
        (status.db_size, status.db_in_use, status.quota) = (960, 240, Some(1000));
        put_members(&mut fleet, members);
        let found = fleet.engine.findings().next().unwrap();
        assert_eq!((found.message.as_str(), found.next_step.contains("75% of the file")), ("database at 96% of its quota of 1000", true));
    }
}
