//! A storage location that cannot be reached.
//!
//! Dated by when its backups were last read, which happens every minute while it is there. Left out: a location that nobody looks at any more (the
//! period is not projected; a schedule is late then too), repositories, and credentials.

use super::after;
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Object, StorageLocation};
use crate::store::Cluster;

const AFTER: Threshold = Threshold { name: "after", default: "5m", doc: "how long a location must be unavailable" };

pub static RULE: RuleInfo = RuleInfo {
    id: "velero-bsl-unavailable",
    area: "backup",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "storage location, with what is kept there",
    summary: "A storage location of backups is Unavailable",
    why: "All schedules writing there fail, and existing backups cannot be read.",
    kinds: &[Kind::StorageLocation],
    needs: &[],
    leans_on: &[],
    thresholds: &[AFTER],
    peers: &[],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::StorageLocation(l)) = judge.object else { return Verdict::Fine };
    if &*l.phase != "Unavailable" {
        return Verdict::Fine;
    }
    let since = l.synced.or(l.meta.created);
    after(judge.held(since.map_or(0, |t| t.secs()), judge.value(&AFTER)), || {
        let kept = judge
            .cluster
            .objects(Kind::Backup)
            .filter(|o| matches!(o, Object::Backup(b) if holds(l, &b.meta.namespace, &b.selection.location)));
        let message = l.message.as_deref().map_or_else(|| "unavailable".to_owned(), |m| format!("unavailable: {m}"));
        judge
            .finding(Severity::Critical, since, message)
            .with("bucket", &*l.bucket, None)
            .with("backups there", kept.count().to_string(), None)
            .then("Check the address, the bucket and the credentials of the location; another one may be the default meanwhile")
    })
}

/// Whether what names this location means that one: none named is the default.
fn holds(l: &StorageLocation, namespace: &str, named: &str) -> bool {
    *l.meta.namespace == *namespace && (*l.meta.name == *named || named.is_empty() && l.default)
}

/// The location that backups of a namespace of Velero's name.
pub fn of<'a>(cluster: &'a Cluster, namespace: &str, named: &str) -> Option<&'a Object> {
    cluster.objects(Kind::StorageLocation).find(|o| matches!(o, Object::StorageLocation(l) if holds(l, namespace, named)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, backup, judged};
    use serde_json::{Value, json};

    fn location(phase: &str, synced: i64) -> Value {
        json!({"metadata": {"name": "default", "creationTimestamp": ago(864_000)}, "spec": {"provider": "aws", "default": true, "objectStorage": {"bucket": "b"}},
            "status": {"phase": phase, "message": "no such host", "lastSyncedTime": ago(synced)}})
    }

    #[test]
    fn unavailable_for_five_minutes() {
        assert_eq!(judged(Kind::StorageLocation, location("Unavailable", 300), RULE.id), Some(Severity::Critical));
        assert_eq!(judged(Kind::StorageLocation, location("Unavailable", 299), RULE.id), None);
        assert_eq!(judged(Kind::StorageLocation, location("Available", 9000), RULE.id), None);
        let mut fleet = Fleet::default();
        fleet.put(Kind::StorageLocation, [location("Unavailable", 299)]);
        assert_eq!(fleet.wait(1).lines()[0].message, "unavailable: no such host");
    }

    #[test]
    fn it_explains_the_schedules_and_backups_that_fail_for_it() {
        let mut fleet = Fleet::default();
        let schedule = json!({"metadata": {"name": "s", "creationTimestamp": ago(864_000)}, "spec": {"schedule": "@every 1h"}, "status": {"phase": "Enabled", "lastBackup": ago(600)}});
        let mut failed = backup("s-1", "Failed", 600);
        failed["metadata"]["labels"] = json!({"velero.io/schedule-name": "s"});
        let mut elsewhere = backup("m", "Failed", 500);
        elsewhere["spec"]["storageLocation"] = json!("other");
        fleet.put(Kind::Schedule, [schedule]).put(Kind::Backup, [failed, elsewhere]);
        assert_eq!(fleet.lines().len(), 2);
        fleet.put(Kind::StorageLocation, [location("Unavailable", 900)]);
        let shown: Vec<_> = fleet.lines().into_iter().map(|l| (l.title, l.message)).collect();
        assert!(shown.contains(&("location pay/default".to_owned(), "unavailable: no such host".to_owned())), "{shown:?}");
        assert!(shown.len() == 2 && shown.iter().any(|(t, _)| t == "backup pay/m"), "{shown:?}");
        fleet.put(Kind::StorageLocation, [location("Available", 0)]);
        assert_eq!(fleet.lines().len(), 2);
    }
}
