//! A member that applies what the others have long applied.

use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{EtcdMember, EtcdStatus, Kind, Object};

const WARNING: Threshold = Threshold { name: "warning-above", default: "1000", doc: "entries behind the leader" };
const CRITICAL: Threshold =
    Threshold { name: "critical-above", default: "5000", doc: "entries behind the leader: from here on etcd refuses requests" };
const AFTER: Threshold = Threshold { name: "after", default: "1m", doc: "how long it may be so" };

pub static RULE: RuleInfo = RuleInfo {
    id: "etcd-raft-lag",
    area: "etcd",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "etcd member",
    summary: "It is more than 1000 entries behind the leader for a minute; critical from 5000 on",
    why: "A lagging member serves stale serializable reads and does not really count for safety.",
    kinds: &[Kind::EtcdMember],
    needs: &[],
    leans_on: &[],
    thresholds: &[WARNING, CRITICAL, AFTER],
    peers: &[],
    links: &[
        "https://etcd.io/docs/latest/op-guide/failures/#minor-followers-failure",
        "https://etcd.io/docs/latest/op-guide/runtime-configuration/#replace-a-failed-machine",
    ],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::EtcdMember(m)) = judge.object else { return Verdict::Fine };
    let status = |m: &'_ EtcdMember| m.status.clone().filter(|_| m.down.is_none() && m.second_hand.is_none());
    let Some(own) = status(m) else { return Verdict::Fine };
    let members = judge.cluster.objects(Kind::EtcdMember).filter_map(|o| if let Object::EtcdMember(o) = o { Some(&**o) } else { None });
    let Some(leader) = members.filter(|o| o.leads()).find_map(status) else { return Verdict::Fine };
    let behind = |s: &EtcdStatus| i64::try_from(leader.raft_index.saturating_sub(s.applied_index)).unwrap_or(i64::MAX);
    let lag = behind(&own);
    let severity = match lag {
        n if n > judge.value(&CRITICAL) => Severity::Critical,
        n if n > judge.value(&WARNING) => Severity::Warning,
        _ => return Verdict::Fine,
    };
    super::after(judge.held_since_seen(judge.value(&AFTER)), || {
        judge
            .finding(severity, None, format!("{lag} entries behind the leader"))
            .with("leader's raft index", leader.raft_index.to_string(), None)
            .with("its applied index", own.applied_index.to_string(), None)
            .then("See its disk and the way to its peers; restart it only while the quorum stays without it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, etcd_members, put_members};
    use crate::model::ClusterId;

    fn at(lag: u64, wait: i64) -> Option<Severity> {
        let mut fleet = Fleet::default();
        let mut members = etcd_members(&[('u', 0), ('u', 0), ('u', 0)]);
        for m in &mut members {
            let s = m.status.as_mut().unwrap();
            (s.raft_index, s.applied_index) = (90_000, 90_000);
        }
        members[1].status.as_mut().unwrap().applied_index = 90_000 - lag;
        let uid = members[1].meta.uid;
        put_members(&mut fleet, members);
        fleet.wait(wait);
        fleet.engine.for_object(ClusterId(0), uid).iter().find(|f| f.rule.id == RULE.id).map(|f| f.severity)
    }

    #[test]
    fn from_a_thousand_entries_for_a_minute() {
        assert_eq!(at(1000, 60), None);
        assert_eq!((at(1001, 59), at(1001, 60)), (None, Some(Severity::Warning)));
        assert_eq!((at(5000, 60), at(5001, 60)), (Some(Severity::Warning), Some(Severity::Critical)));
    }
}
