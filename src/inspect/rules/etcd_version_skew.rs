//! Members of one etcd that run different versions.

use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{EtcdMember, Kind, Object};

const MINOR: Threshold = Threshold { name: "minor-after", default: "1h", doc: "how long members may differ in the minor version" };
const PATCH: Threshold = Threshold { name: "patch-after", default: "7d", doc: "how long they may differ in the patch" };

pub static RULE: RuleInfo = RuleInfo {
    id: "etcd-version-skew",
    area: "etcd",
    tier: 2,
    burns: false,
    severity: Severity::Warning,
    scope: "etcd member",
    summary: "It runs an older version than another member: another minor for an hour, or another patch for a week",
    why: "Half-finished upgrades run with the features of the oldest member and are not tested for long operation.",
    kinds: &[Kind::EtcdMember],
    needs: &[],
    leans_on: &[Kind::EtcdMember],
    thresholds: &[MINOR, PATCH],
    peers: &[],
    links: &[
        "https://etcd.io/docs/latest/op-guide/versioning/",
        "https://kubernetes.io/docs/tasks/administer-cluster/configure-upgrade-etcd/",
    ],
    judge,
};

/// `3.6.4` as numbers.
fn version(m: &EtcdMember) -> Option<(u32, u32, u32)> {
    let text = &m.status.as_ref().filter(|_| m.second_hand.is_none())?.version;
    let mut parts = text.split(['.', '-', '+']).map(|p| p.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::EtcdMember(m)) = judge.object else { return Verdict::Fine };
    let Some(own) = version(m) else { return Verdict::Fine };
    let others = judge.cluster.objects(Kind::EtcdMember).filter_map(|o| if let Object::EtcdMember(o) = o { version(o) } else { None });
    let Some(newest) = others.max().filter(|v| *v > own) else { return Verdict::Fine };
    let text = |(a, b, c): (u32, u32, u32)| format!("{a}.{b}.{c}");
    let (severity, hold) = if (own.0, own.1) != (newest.0, newest.1) { (Severity::Warning, &MINOR) } else { (Severity::Info, &PATCH) };
    super::after(judge.held_since_seen(judge.value(hold)), || {
        judge
            .finding(severity, None, format!("runs {}, another member {}", text(own), text(newest)))
            .then("Take a snapshot and finish the upgrade, or go back on the members that have it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, etcd_members, put_members};
    use crate::model::ClusterId;

    fn at(versions: [&str; 2], wait: i64) -> [Option<Severity>; 2] {
        let mut fleet = Fleet::default();
        let mut members = etcd_members(&[('u', 0), ('u', 0)]);
        for (m, v) in members.iter_mut().zip(versions) {
            m.status.as_mut().unwrap().version = v.into();
        }
        let uids = [members[0].meta.uid, members[1].meta.uid];
        put_members(&mut fleet, members);
        fleet.wait(wait);
        uids.map(|uid| fleet.engine.for_object(ClusterId(0), uid).iter().find(|f| f.rule.id == RULE.id).map(|f| f.severity))
    }

    #[test]
    fn the_older_one_says_it_when_it_lasts() {
        assert_eq!(at(["3.6.4", "3.6.4"], 900_000), [None, None]);
        assert_eq!(at(["3.5.9", "3.6.4"], 3599), [None, None]);
        assert_eq!(at(["3.5.9", "3.6.4"], 3600), [Some(Severity::Warning), None]);
        assert_eq!(at(["3.6.3", "3.6.4"], 7 * 86_400 - 1), [None, None]);
        assert_eq!(at(["3.6.3", "3.6.4"], 7 * 86_400), [Some(Severity::Info), None]);
    }
}
