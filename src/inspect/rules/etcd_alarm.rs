//! An alarm that etcd has raised.

use crate::inspect::explain::words::bytes;
use crate::inspect::{Judge, RuleInfo, Severity, Verdict};
use crate::model::{Kind, Object};

pub static RULE: RuleInfo = RuleInfo {
    id: "etcd-alarm",
    area: "etcd",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "etcd member, a cluster's as one",
    summary: "etcd has raised NOSPACE or CORRUPT",
    why: "NOSPACE refuses writes until it is disarmed; CORRUPT means that members hold different data.",
    kinds: &[Kind::EtcdMember],
    needs: &[],
    leans_on: &[],
    thresholds: &[],
    peers: &[],
    links: &["https://etcd.io/docs/latest/op-guide/maintenance/#space-quota", "https://etcd.io/docs/latest/op-guide/data_corruption/"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::EtcdMember(m)) = judge.object else { return Verdict::Fine };
    // What corrupts data is worse than what stops writes.
    let Some(alarm) = m.alarms.iter().find(|a| &***a == "CORRUPT").or(m.alarms.first()) else { return Verdict::Fine };
    let (means, next) = match &**alarm {
        "NOSPACE" => (": writes are refused", "Compact, defragment one member at a time, the leader last, then disarm the alarm"),
        "CORRUPT" => (
            ": members hold different data",
            "Compare the members' hashes, isolate the one that differs and make it anew from a healthy one",
        ),
        _ => ("", "Look at the log of the member"),
    };
    let mut finding = judge.finding(Severity::Critical, None, format!("alarm {alarm}{means}"));
    if let Some(s) = &m.status {
        let quota = s.quota.map_or_else(String::new, |q| format!(" of {}", bytes(q)));
        finding = finding.with("database", format!("{}{quota}", bytes(s.db_size)), None).with("in use", bytes(s.db_in_use), None);
    }
    Verdict::Burning(finding.then(next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, etcd_members, put_members};

    #[test]
    fn an_alarm_burns_until_it_is_disarmed_and_a_clusters_are_one_line() {
        let mut fleet = Fleet::default();
        let mut members = etcd_members(&[('u', 0), ('u', 0), ('u', 0)]);
        put_members(&mut fleet, members.clone());
        assert!(fleet.lines().is_empty());
        members[0].alarms = ["NOSPACE".into()].into();
        put_members(&mut fleet, members.clone());
        let shown = |f: &Fleet| f.lines().into_iter().map(|l| (l.severity, l.title, l.message)).collect::<Vec<_>>();
        assert_eq!(shown(&fleet), [(Severity::Critical, "etcd etcd-1".to_owned(), "alarm NOSPACE: writes are refused".to_owned())]);
        members[1].alarms = ["NOSPACE".into()].into();
        put_members(&mut fleet, members.clone());
        assert_eq!(shown(&fleet), [(Severity::Critical, "etcd".to_owned(), "2 members: alarm NOSPACE: writes are refused".to_owned())]);
        members[1].alarms = ["NOSPACE".into(), "CORRUPT".into()].into();
        put_members(&mut fleet, members.clone());
        assert!(fleet.lines()[0].message.contains("alarm "), "{:?}", fleet.lines());
        members.iter_mut().for_each(|m| m.alarms = Box::default());
        put_members(&mut fleet, members);
        assert!(fleet.lines().is_empty());
    }
}
