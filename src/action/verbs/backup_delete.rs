//! `backup-delete`: a backup and all that is kept of it, by the request that Velero wants for it.

use super::velero::{backup, deletion, home, location, processed, some, stamped, unusable, works};
use super::{Request, Snapshot, Stop, subject};
use crate::model::duration::age;
use crate::model::{Act, Backup, Kind, Level, Object, Plan, RunState, Step, Target, Verdict};
use crate::store::Cluster;

pub fn plan(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let mut plan = Plan::new(request.verb, &request.args, format!("delete {}", subject(request)));
    for (lane, target) in request.targets.iter().enumerate() {
        let (cluster, backup) = (snapshot.cluster(target.cluster)?, backup(snapshot, target)?);
        let target = Target { uid: Some(backup.meta.uid.to_string()), ..target.clone() };
        consequence(&mut plan, cluster, backup, snapshot.now);
        let home = home(snapshot, target.cluster)?;
        match location(cluster, &home, &backup.selection.location) {
            Err(why) => plan.judge(Verdict::Blocks(why)),
            Ok(place) => drop(unusable(place, true).map(|why| plan.judge(Verdict::Blocks(why)))),
        }
        if matches!(backup.run.state(), RunState::Running | RunState::Deleting) {
            plan.judge(Verdict::Blocks(format!("backup {}: it is {}", backup.meta.name, backup.run.phase)));
        }
        works(&mut plan, cluster, &home, snapshot.now);
        let (asked, post) = deletion(&target, stamped(&target.name, snapshot.now));
        let text = format!("ask Velero to delete backup {}", target.title());
        plan.steps.push(Step::new(text, &asked, Act::Write(post)).at(lane, 0));
        plan.steps.push(processed(format!("wait for backup {} to be deleted", target.title()), &asked).at(lane, 1));
    }
    (plan.parallel, plan.undo_text) = (4, "what is deleted does not come back".to_owned());
    Ok(plan)
}

/// What is lost with it.
fn consequence(plan: &mut Plan, cluster: &Cluster, backup: &Backup, now: i64) {
    let name = &backup.meta.name;
    let began = backup.point().map_or_else(String::new, |p| format!(" of {} ago", age(p.age(now))));
    let places: Vec<String> = backup.selection.namespaces.iter().map(ToString::to_string).collect();
    let of = if places.is_empty() { "all namespaces".to_owned() } else { format!("namespace {}", some(&places)) };
    let volumes = match backup.volumes.0 {
        0 => String::new(),
        n => format!(", {n} volume snapshots"),
    };
    plan.note(Level::Danger, format!("all that is kept of {name}{began} goes: {of}{volumes}"));
    let restores = cluster.objects(Kind::Restore).filter(|o| matches!(o, Object::Restore(r) if r.backup.as_deref() == Some(&**name)));
    match restores.count() {
        0 => {}
        1 => plan.note(Level::Info, "1 restore of it goes with it; what it made stays"),
        n => plan.note(Level::Info, format!("{n} restores of it go with it; what they made stays")),
    }
    let others = |o: &'_ Object| match o {
        Object::Backup(b) if b.good() && b.meta.uid != backup.meta.uid => b.point(),
        _ => None,
    };
    let newest = cluster.objects(Kind::Backup).filter_map(others).max();
    if backup.good() && newest < backup.point() {
        let rest = newest.map_or_else(|| "there is no other".to_owned(), |at| format!("the next is {} old", age(at.age(now))));
        plan.note(Level::Danger, format!("{name} is the newest completed backup: {rest}"));
        plan.judge(Verdict::Degrades(format!("what {} can be restored to", cluster.info.name)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;
    use crate::model::VerbId;
    use serde_json::json;

    #[test]
    fn velero_is_asked_and_what_is_lost_is_said() {
        let mut f = Fixture::new();
        f.velero();
        f.backup("b1", "Completed", 7200, |_| {});
        f.backup("b2", "Completed", 60, |b| b["status"]["volumeSnapshotsCompleted"] = 2.into());
        f.add(Kind::Restore, json!({"metadata": {"name": "r1", "namespace": "velero"}, "spec": {"backupName": "b2"}}));
        let plan = f.plan(VerbId::BackupDelete, Kind::Backup, &["b2"], "").unwrap();
        let write = plan.steps[0].act.request().unwrap();
        assert_eq!(write.path, "/apis/velero.io/v1/namespaces/velero/deletebackuprequests");
        assert_eq!(
            (&write.body["spec"], &write.body["metadata"]["labels"]["velero.io/backup-name"]),
            (&json!({"backupName": "b2"}), &json!("b2"))
        );
        assert_eq!(plan.steps[0].permission().unwrap().words(), "create deletebackuprequests in velero");
        let notes: Vec<&str> = plan.notes.iter().map(|n| n.text.as_str()).collect();
        assert_eq!(
            notes,
            [
                "all that is kept of b2 of 60s ago goes: namespace pay, 2 volume snapshots",
                "1 restore of it goes with it; what it made stays",
                "b2 is the newest completed backup: the next is 2h old",
            ]
        );
        assert_eq!((plan.irreversible, plan.verdict.words().as_str()), (true, "degrades what lab can be restored to"));
        assert_eq!(f.plan(VerbId::BackupDelete, Kind::Backup, &["b1"], "").unwrap().verdict, Verdict::Fits);
    }

    #[test]
    fn what_velero_would_turn_down_blocks() {
        let mut f = Fixture::new();
        f.velero();
        f.backup("b1", "InProgress", 60, |_| {});
        let plan = f.plan(VerbId::BackupDelete, Kind::Backup, &["b1"], "").unwrap();
        assert_eq!(plan.verdict.words(), "blocks on backup b1: it is InProgress");
        f.backup("b0", "Completed", 60, |_| {});
        f.location(|l| l["spec"]["accessMode"] = "ReadOnly".into());
        let plan = f.plan(VerbId::BackupDelete, Kind::Backup, &["b0"], "").unwrap();
        assert_eq!(plan.verdict.words(), "blocks on location default: ReadOnly");
        assert_eq!(f.plan(VerbId::BackupDelete, Kind::Backup, &["no"], "").unwrap_err(), "lab: backup pay/no is gone");
    }
}
