//! An etcd whose file is mostly free pages.

use crate::inspect::explain::words::bytes;
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Object, VerbId};

const FREE: Threshold = Threshold { name: "free-above", default: "50%", doc: "share of the file that holds no data" };
const QUOTA: Threshold = Threshold { name: "warning-above", default: "60%", doc: "share of the quota from which that is a warning" };
/// Bytes from which it is worth the pause of a defragmentation.
const LARGE: i64 = 200 << 20;

pub static RULE: RuleInfo = RuleInfo {
    id: "etcd-fragmentation",
    area: "etcd",
    tier: 2,
    burns: false,
    severity: Severity::Warning,
    scope: "etcd member",
    summary: "More than half of a file of over 200 MiB holds no data; a warning when the file takes over 60 % of the quota",
    why: "Freed pages are not returned to the disk until a defrag, and they count against the quota.",
    kinds: &[Kind::EtcdMember],
    needs: &[],
    leans_on: &[],
    thresholds: &[FREE, QUOTA],
    peers: &["etcd-mixin:etcdDatabaseHighFragmentationRatio"],
    links: &["https://etcd.io/docs/latest/op-guide/maintenance/#defragmentation"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::EtcdMember(m)) = judge.object else { return Verdict::Fine };
    let Some(s) = m.status.as_ref().filter(|s| s.db_size > LARGE && m.second_hand.is_none()) else { return Verdict::Fine };
    let free = s.db_size - s.db_in_use;
    if i128::from(free) * 100 <= i128::from(judge.value(&FREE)) * i128::from(s.db_size) {
        return Verdict::Fine;
    }
    let full = s.quota_percent().is_some_and(|p| p > judge.value(&QUOTA));
    let severity = if full { Severity::Warning } else { Severity::Info };
    Verdict::Burning(
        judge
            .finding(severity, None, format!("{} of {} hold no data", bytes(free), bytes(s.db_size)))
            .with("in use", bytes(s.db_in_use), None)
            .with("quota", s.quota.map(bytes).unwrap_or_default(), None)
            .then("Defragment one member at a time, the leader last, after a fresh snapshot")
            .here(VerbId::EtcdDefrag, &[]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, etcd_members, put_members};
    use crate::model::ClusterId;

    fn at(size: i64, in_use: i64, quota: i64) -> Option<Severity> {
        let mut fleet = Fleet::default();
        let mut members = etcd_members(&[('u', 0)]);
        let status = members[0].status.as_mut().unwrap();
        (status.db_size, status.db_in_use, status.quota) = (size, in_use, Some(quota));
        let uid = members[0].meta.uid;
        put_members(&mut fleet, members);
        fleet.engine.for_object(ClusterId(0), uid).iter().find(|f| f.rule.id == RULE.id).map(|f| f.severity)
    }

    #[test]
    fn more_than_half_of_a_large_file_and_worse_near_the_quota() {
        let mib = |n: i64| n << 20;
        assert_eq!(at(mib(400), mib(200), mib(2048)), None, "exactly half");
        assert_eq!(at(mib(400), mib(199), mib(2048)), Some(Severity::Info));
        assert_eq!(at(mib(200), mib(1), mib(2048)), None, "not large");
        assert_eq!(at(mib(400), mib(100), mib(650)), Some(Severity::Warning));
    }
}
