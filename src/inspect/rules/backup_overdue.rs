//! A cluster whose newest complete backup is older than its objective.
//!
//! Only where an objective is set (`velero.rpo`) and Velero's objects are seen. Before the first backup the age counts from when the oldest schedule
//! or location was made.

use crate::inspect::recovery::recovery;
use crate::inspect::{Judge, RuleInfo, Severity, Verdict, age};
use crate::model::{Kind, Time};

pub static RULE: RuleInfo = RuleInfo {
    id: "backup-overdue",
    area: "backup",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "cluster",
    summary: "The newest complete backup is older than the objective of the cluster (velero.rpo)",
    why: "A restore now would lose more than was agreed on.",
    kinds: &[],
    needs: &[],
    leans_on: &[],
    thresholds: &[],
    peers: &[],
    links: &["https://velero.io/docs/main/how-velero-works/#scheduled-backups", "https://velero.io/docs/main/disaster-case/"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let cluster = judge.cluster;
    let Some(objective) = cluster.info.rpo else { return Verdict::Fine };
    let seen = cluster.seen(Kind::Backup) || !cluster.table(Kind::Backup).is_empty();
    let Some(recovery) = recovery(cluster, judge.now).filter(|_| seen) else { return Verdict::Fine };
    let begun = [Kind::Schedule, Kind::StorageLocation].into_iter().flat_map(|k| cluster.objects(k)).filter_map(|o| o.meta().created).min();
    let from = recovery.point.or(begun);
    let overdue = from.map_or(0, |t| t.secs() + objective + 1);
    super::until(judge.held(overdue, 0), || {
        let message = match recovery.point {
            Some(p) => format!("overdue: newest complete is {} old, the objective is {}", age(p.age(judge.now)), age(objective)),
            None => format!("none is complete, the objective is {}", age(objective)),
        };
        let since = Time::from_secs(overdue).filter(|_| overdue > 0);
        let finding = judge.finding(Severity::Critical, since, message).with("restore", recovery.text, recovery.point);
        let next = "Look at why the schedule made none (B shows backups, BB schedules), and back up now from its template";
        (finding.then(next), recovery.point.map(|p| super::repaint(p.age(judge.now), judge.now)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, NOW, ago, backup};
    use crate::model::{ClusterId, Delta, KindState, Uid};
    use crate::store::{ClusterInfo, Store};
    use serde_json::json;

    fn fleet(rpo: Option<i64>) -> Fleet {
        let mut f =
            Fleet { store: Store::new(vec![ClusterInfo { name: "prod".into(), rpo, ..Default::default() }], NOW), ..Default::default() };
        f.delta(0, Delta::State(crate::model::ConnectionState::Live));
        f.delta(0, Delta::KindState(Kind::Backup, KindState::Live));
        f
    }

    fn found(f: &Fleet) -> Option<&str> {
        f.engine.for_object(ClusterId(0), Uid::default()).iter().find(|x| x.rule.id == RULE.id).map(|x| x.message.as_str())
    }

    #[test]
    fn older_than_the_objective_by_a_second() {
        let with = |rpo, secs, phase: &str| {
            let mut f = fleet(rpo);
            f.put(Kind::Backup, [backup("b", phase, secs)]);
            f
        };
        assert_eq!(found(&with(Some(3600), 3600, "Completed")), None);
        let mut f = with(Some(3600), 3601, "Completed");
        assert_eq!(found(&f), Some("overdue: newest complete is 60m old, the objective is 60m"));
        let line = &f.lines()[0];
        assert_eq!((line.severity, line.title.as_str(), line.since), (Severity::Critical, "backups", Time::from_secs(NOW)));
        assert_eq!(line.subject.as_ref().map(|s| &*s.name), Some("b"), "Enter opens the newest that there is");
        f.wait(60);
        assert_eq!(found(&f), Some("overdue: newest complete is 61m old, the objective is 60m"), "the age goes on");
        f.put(Kind::Backup, [backup("c", "Completed", 5)]);
        assert_eq!(found(&f), None);
        assert_eq!(found(&with(None, 999_999, "Completed")), None, "nobody has said how old it may be");
        assert_eq!(found(&with(Some(3600), 60, "PartiallyFailed")), Some("none is complete, the objective is 60m"));
    }

    #[test]
    fn it_comes_due_by_the_clock_and_a_new_installation_has_its_time() {
        let mut f = fleet(Some(3600));
        f.put(Kind::Backup, [backup("b", "Completed", 3590)]);
        assert_eq!(found(f.wait(10)), None);
        assert!(found(f.wait(1)).is_some());
        let mut f = fleet(Some(3600));
        f.put(
            Kind::StorageLocation,
            [json!({"metadata": {"name": "default", "creationTimestamp": ago(3500)}, "status": {"phase": "Available"}})],
        );
        assert_eq!(found(f.wait(100)), None);
        assert_eq!(found(f.wait(1)), Some("none is complete, the objective is 60m"));
    }

    #[test]
    fn what_is_not_seen_is_not_overdue() {
        let mut f = fleet(Some(3600));
        f.delta(0, Delta::KindState(Kind::Backup, KindState::Forbidden { missing: "list backups".into() }));
        assert_eq!(found(&f), None);
        f.delta(0, Delta::KindState(Kind::Backup, KindState::Missing));
        assert_eq!(found(&f), None, "no Velero");
    }
}
