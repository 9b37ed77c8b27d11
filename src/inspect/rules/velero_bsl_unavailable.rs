//! A storage location that cannot be reached, or that nobody looks at any more.
//!
//! Unavailable is dated by when its backups were last read, which happens every minute while it is there. Not looked at: the controller has missed
//! three looks by the location's own period, else by the server's default one; a period of zero is off, and never judged. One that is
//! only read although backups are made to it, or none that is the default while schedules name none, is a warning. Left out: repositories (not watched), and
//! credentials, which are Secrets.

use super::{after, later};
use crate::inspect::explain::words::joined;
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict, age, clock};
use crate::model::{Kind, Object, StorageLocation, Time};
use crate::store::Cluster;

const AFTER: Threshold = Threshold { name: "after", default: "5m", doc: "how long a location must be unavailable" };

/// Seconds between two looks whether a location is seen again.
const AGAIN: i64 = 10;

pub static RULE: RuleInfo = RuleInfo {
    id: "velero-bsl-unavailable",
    area: "backup",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "storage location, with what is kept there",
    summary: "A storage location of backups is Unavailable, or the server has missed three looks at it; a warning where schedules back up to one that is only read, or name none and none is the default",
    why: "All schedules writing there fail, and existing backups cannot be read.",
    kinds: &[Kind::StorageLocation],
    needs: &[],
    leans_on: &[Kind::Schedule],
    thresholds: &[AFTER],
    peers: &[],
    links: &[
        "https://velero.io/docs/main/locations/",
        "https://velero.io/docs/main/troubleshooting/#is-velero-using-the-correct-cloud-credentials",
    ],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::StorageLocation(l)) = judge.object else { return Verdict::Fine };
    if &*l.phase != "Unavailable" {
        return match unlooked(judge, l) {
            Verdict::Fine => unwritable(judge, l, None),
            Verdict::FineUntil(at) => unwritable(judge, l, Some(at)),
            verdict => verdict,
        };
    }
    let since = l.synced.or(l.meta.created);
    after(judge.held(since.map_or(0, |t| t.secs()), judge.value(&AFTER)), || {
        let message = l.message.as_deref().map_or_else(|| "unavailable".to_owned(), |m| format!("unavailable: {m}"));
        judge
            .finding(Severity::Critical, since, message)
            .with("bucket", &*l.bucket, None)
            .with("backups there", kept(judge.cluster, l), None)
            .then("Check the address, the bucket and the credentials of the location; another one may be the default meanwhile")
    })
}

/// Nobody has looked at it for three of its periods.
fn unlooked(judge: &Judge<'_>, l: &StorageLocation) -> Verdict {
    let (Some(period), Some(overdue)) = (l.period(), l.overdue()) else { return Verdict::Fine };
    if !judge.cluster.current(Kind::StorageLocation) {
        // Whether it is looked at is not seen meanwhile.
        return Verdict::LookAgain(later(judge, AGAIN));
    }
    after(judge.held(overdue, 0), || {
        let looked = l.looked();
        let last = looked.map_or_else(|| "never".to_owned(), Time::rfc3339);
        let message = looked.map_or_else(|| "never looked at".to_owned(), |at| format!("not looked at since {}", clock(at)));
        judge
            .finding(Severity::Critical, looked.or(l.meta.created), format!("{message}: Velero is gone, or hangs at it"))
            .with("last looked at", last, looked)
            .with("looked at every", age(period), None)
            .with("backups there", kept(judge.cluster, l), None)
            .then("Look at the Velero server's pod and its log, and whether the location answers: nothing is backed up, restored or deleted meanwhile")
    })
}

/// Schedules write to it and it is only read, outside of a restore; or they name no location and none is the default. `next`: when one looks again.
fn unwritable(judge: &Judge<'_>, l: &StorageLocation, next: Option<i64>) -> Verdict {
    let fine = next.map_or(Verdict::Fine, Verdict::LookAgain);
    let here = |o: &&Object| o.meta().namespace == l.meta.namespace;
    let all = || judge.cluster.objects(Kind::Schedule).filter(here);
    let writes = |named: &str| {
        let of = |o: &Object| match o {
            Object::Schedule(s) if !s.paused && *s.selection.location == *named => Some(s.meta.name.to_string()),
            _ => None,
        };
        all().filter_map(of).collect::<Vec<_>>()
    };
    let locations = || judge.cluster.objects(Kind::StorageLocation).filter(here);
    let default = |o: &Object| matches!(o, Object::StorageLocation(l) if l.default);
    let restores = || judge.cluster.objects(Kind::Restore).filter(here).any(|o| matches!(o, Object::Restore(r) if !r.run.ended()));
    let first = locations().map(|o| &o.meta().name).min() == Some(&l.meta.name);
    let mut writers = if l.read_only { writes(&l.meta.name) } else { Vec::new() };
    writers.extend((l.read_only && l.default).then(|| writes("")).into_iter().flatten());
    let (message, writers, next_step) = if !writers.is_empty() && !restores() {
        (
            "only read, and schedules back up to it".to_owned(),
            writers,
            "Set its accessMode to ReadWrite once what it was set so for is over",
        )
    } else if first && !locations().any(default) && judge.cluster.current(Kind::StorageLocation) {
        let writers = writes("");
        if writers.is_empty() {
            return fine;
        }
        (
            "no location is the default, and schedules name none".to_owned(),
            writers,
            "Make one the default (spec.default), or name one in the schedules",
        )
    } else {
        return fine;
    };
    match judge.held_since_seen(judge.value(&AFTER)) {
        Err(at) => Verdict::FineUntil(at),
        Ok(()) => {
            let finding = judge.finding(Severity::Warning, None, message).with("schedules", joined(writers, 4), None).then(next_step);
            next.map_or_else(|| Verdict::Burning(finding.clone()), |at| Verdict::BurningUntil(finding.clone(), at))
        }
    }
}

/// How many backups are in it.
fn kept(cluster: &Cluster, l: &StorageLocation) -> String {
    let there = |o: &&Object| matches!(o, Object::Backup(b) if holds(l, &b.meta.namespace, &b.selection.location));
    cluster.objects(Kind::Backup).filter(there).count().to_string()
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
    use crate::model::{ConnectionState, Delta, KindState};
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
    fn three_looks_missed() {
        let looked = |every: Option<&str>, ago_s: i64| {
            let mut l = location("Available", 86_400);
            l["status"]["lastValidationTime"] = json!(ago(ago_s));
            l["spec"]["validationFrequency"] = json!(every);
            l
        };
        let found = |l: Value| {
            let mut fleet = Fleet::default();
            fleet.delta(0, Delta::KindState(Kind::StorageLocation, KindState::Live));
            fleet.put(Kind::StorageLocation, [l]);
            fleet.severity(Kind::StorageLocation, "default", RULE.id)
        };
        assert_eq!((found(looked(None, 179)), found(looked(None, 180))), (None, Some(Severity::Critical)));
        assert_eq!((found(looked(Some("10m0s"), 1799)), found(looked(Some("10m0s"), 1800))), (None, Some(Severity::Critical)));
        assert_eq!(found(looked(Some("0s"), 90_000)), None, "it is not to be looked at");
        let mut read = looked(None, 90_000);
        read["status"]["lastSyncedTime"] = json!(ago(30));
        assert_eq!(found(read), None, "a server that reads it was told not to look");
    }

    #[test]
    fn what_is_not_seen_is_not_old() {
        let mut fleet = Fleet::default();
        let mut l = location("Available", 86_400);
        l["status"]["lastValidationTime"] = json!(ago(0));
        fleet.delta(0, Delta::KindState(Kind::StorageLocation, KindState::Live));
        fleet.put(Kind::StorageLocation, [l]);
        fleet.delta(0, Delta::State(ConnectionState::Stale { last: None, reason: "dial timeout".into() }));
        assert_eq!(fleet.wait(600).severity(Kind::StorageLocation, "default", RULE.id), None, "the cluster is not seen");
        fleet.delta(0, Delta::State(ConnectionState::Live));
        assert_eq!(fleet.wait(60).lines()[0].message, "not looked at since 12:00Z: Velero is gone, or hangs at it");
        let mut seen = location("Available", 0);
        seen["status"]["lastValidationTime"] = json!(crate::model::Time::from_secs(fleet.now).unwrap().rfc3339());
        fleet.put(Kind::StorageLocation, [seen]);
        assert!(fleet.lines().is_empty());
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

    #[test]
    fn what_schedules_cannot_write_to() {
        let of = |read_only: bool, default: bool, named: &str, wait: i64| {
            let mut fleet = Fleet::default();
            fleet.delta(0, Delta::KindState(Kind::StorageLocation, KindState::Live));
            let schedule = json!({"metadata": {"name": "s", "creationTimestamp": ago(600)},
                "spec": {"schedule": "@every 1h", "template": {"storageLocation": named}}, "status": {"phase": "Enabled"}});
            let mut l = location("Available", 30);
            l["spec"]["default"] = json!(default);
            l["spec"]["validationFrequency"] = json!("0s");
            l["spec"]["accessMode"] = json!(if read_only { "ReadOnly" } else { "ReadWrite" });
            fleet.put(Kind::Schedule, [schedule]).put(Kind::StorageLocation, [l]);
            fleet.wait(wait).finding(Kind::StorageLocation, "default", RULE.id).map(|f| f.message.clone())
        };
        assert_eq!(of(true, true, "", 300).as_deref(), Some("only read, and schedules back up to it"));
        assert_eq!(of(true, false, "default", 300).as_deref(), Some("only read, and schedules back up to it"));
        assert_eq!((of(true, true, "", 299), of(true, true, "other", 300), of(false, true, "", 300)), (None, None, None));
        assert_eq!(of(false, false, "", 300).as_deref(), Some("no location is the default, and schedules name none"));
        assert_eq!(of(false, false, "default", 300), None);
    }
}
