//! `backup-logs`: what Velero wrote of a backup or a restore, into a private file. Velero tells where it is when it is asked, by a signed
//! address that nobody else has to see.

use super::velero::{request, stamped, works};
use super::{Request, Snapshot, Stop, subject};
use crate::model::{Act, Method, Object, Plan, Run, RunState, Step, Target, Write};
use serde_json::json;

pub fn plan(snapshot: &Snapshot, asked_for: &Request) -> Result<Plan, Stop> {
    let results = asked_for.args.get("what") == Some("results");
    let word = if results { "results" } else { "log" };
    let mut plan = Plan::new(asked_for.verb, &asked_for.args, format!("fetch the {word} of {}", subject(asked_for)));
    for (lane, target) in asked_for.targets.iter().enumerate() {
        let (run, kind) = match snapshot.row(target) {
            Some(Object::Backup(b)) => (&b.run, "Backup"),
            Some(Object::Restore(r)) => (&r.run, "Restore"),
            _ => return Err(Stop::refuse("not-found", format!("{}{} is gone", snapshot.place(target.cluster), target.label()))),
        };
        written(run, target)?;
        let cluster = snapshot.cluster(target.cluster)?;
        works(&mut plan, cluster, &target.namespace, snapshot.now);
        let resource = request("downloadrequests", "DownloadRequest");
        let asked = Target { resource, name: stamped(&target.name, snapshot.now), uid: None, ..target.clone() };
        let what = if results { "Results" } else { "Log" };
        let body = json!({"apiVersion": asked.resource.api_version(), "kind": asked.resource.kind,
            "metadata": {"name": asked.name, "namespace": asked.namespace}, "spec": {"target": {"kind": format!("{kind}{what}"), "name": target.name}}});
        let post = Write { method: Method::Post, path: asked.resource.path(&asked.namespace), query: String::new(), body };
        plan.steps.push(Step::new(format!("ask Velero where the {word} of {} is", target.label()), &asked, Act::Write(post)).at(lane, 0));
        let file = file(&cluster.info.name, target, word);
        let text = format!("fetch the {word} of {}", target.label());
        plan.steps.push(Step::new(text, &asked, Act::Fetch { file }).at(lane, 1));
    }
    plan.undo_text = "nothing is changed; Velero forgets the request by itself".to_owned();
    Ok(plan)
}

/// Whether there is anything to fetch.
fn written(run: &Run, target: &Target) -> Result<(), Stop> {
    let refuse = |why: String| Err(Stop::refuse("conflict", format!("{}: {why}", target.label())));
    match run.state() {
        RunState::Waiting | RunState::Running => refuse("its log is kept when it has ended".to_owned()),
        RunState::Failed if !run.invalid.is_empty() => refuse(format!("it was never begun and has no log: {}", run.invalid.join("; "))),
        _ => Ok(()),
    }
}

/// The file's name: of the cluster, of what it is about.
fn file(cluster: &str, target: &Target, word: &str) -> String {
    let plain = |text: &str| text.chars().map(|c| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '-' }).collect::<String>();
    let kind = target.resource.kind.to_lowercase();
    let end = if word == "results" { "results.json" } else { "log.txt" };
    format!("velero-{}-{kind}-{}-{end}", plain(cluster), plain(&target.name))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use crate::model::{Act, Kind, VerbId};
    use serde_json::json;

    #[test]
    fn velero_is_asked_where_it_is_and_it_is_fetched() {
        let mut f = Fixture::new();
        f.velero();
        f.backup("b1", "PartiallyFailed", 60, |_| {});
        f.add(Kind::Restore, json!({"metadata": {"name": "r1", "namespace": "velero"}, "status": {"phase": "Completed"}}));
        let plan = f.plan(VerbId::BackupLogs, Kind::Backup, &["b1"], "").unwrap();
        assert_eq!(plan.steps[0].act.request().unwrap().body["spec"]["target"], json!({"kind": "BackupLog", "name": "b1"}));
        assert_eq!(plan.steps[0].permission().unwrap().words(), "create downloadrequests in velero");
        assert_eq!(plan.steps[1].act, Act::Fetch { file: "velero-lab-backup-b1-log.txt".into() });
        assert_eq!(plan.steps[1].permission(), None);
        let plan = f.plan(VerbId::BackupLogs, Kind::Restore, &["r1"], "results").unwrap_err();
        assert_eq!(plan, "`results` is one argument too many");
        let plan = f.plan(VerbId::BackupLogs, Kind::Restore, &["r1"], "what=results").unwrap();
        assert_eq!(plan.steps[0].act.request().unwrap().body["spec"]["target"]["kind"], "RestoreResults");
        assert_eq!(plan.steps[1].act, Act::Fetch { file: "velero-lab-restore-r1-results.json".into() });
    }

    #[test]
    fn what_has_no_log_says_so() {
        let mut f = Fixture::new();
        f.velero();
        f.backup("b1", "InProgress", 60, |_| {});
        f.backup("b2", "FailedValidation", 60, |b| b["status"]["validationErrors"] = json!(["no such location"]));
        let refused = |f: &mut Fixture, name: &str| f.plan(VerbId::BackupLogs, Kind::Backup, &[name], "").unwrap_err();
        assert_eq!(refused(&mut f, "b1"), "backup velero/b1: its log is kept when it has ended");
        assert_eq!(refused(&mut f, "b2"), "backup velero/b2: it was never begun and has no log: no such location");
    }
}
