//! `restore`: a Restore of Velero from a backup, or from the newest complete one of a schedule. What is there already is counted, and stays as
//! it is unless somebody says otherwise.

use super::velero::{backup, busy, checked, contents, counted, free, home, list, location, put, selector, some, stamped, unusable, works};
use super::{Request, Snapshot, Stop, subject};
use crate::model::duration::age;
use crate::model::{Act, Args, Backup, Kind, Level, Method, Object, Plan, RunState, Step, Target, Verdict, Wait, Write};
use crate::store::Cluster;
use serde_json::{Map, Value, json};

/// A backup that expires within this many seconds may be gone before it is read.
const SOON: i64 = 3600;
/// Namespaces that are told one by one.
const TOLD: usize = 6;

pub fn plan(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let args = &request.args;
    let mut plan = Plan::new(request.verb, args, format!("restore {}", subject(request)));
    if args.get("name").is_some() && request.targets.len() > 1 {
        return Err(Stop::refuse("usage", "one name is for one restore: leave it out for several backups"));
    }
    for (lane, target) in request.targets.iter().enumerate() {
        let backup = meant(snapshot, target)?;
        if request.targets.len() == 1 {
            plan.title = format!("restore backup {}/{}", backup.meta.namespace, backup.meta.name);
        }
        make(snapshot, &mut plan, target, backup, args, lane)?;
    }
    plan.targets = plan.steps.iter().filter(|s| s.act.request().is_some()).map(|s| s.target.clone()).collect();
    plan.undo_text = "what it makes stays; what is not wanted has to be deleted".to_owned();
    Ok(plan)
}

/// The backup itself, or the newest completed one of a schedule.
fn meant<'a>(snapshot: &Snapshot<'a>, target: &Target) -> Result<&'a Backup, Stop> {
    if target.resource.known() != Some(Kind::Schedule) {
        return backup(snapshot, target);
    }
    let cluster = snapshot.cluster(target.cluster)?;
    let of = |o: &'a Object| match o {
        Object::Backup(b) if b.schedule.as_deref() == Some(&*target.name) && b.meta.namespace.as_ref() == target.namespace && b.good() => {
            Some(&**b)
        }
        _ => None,
    };
    let newest = cluster.objects(Kind::Backup).filter_map(of).max_by_key(|b| b.point());
    newest.ok_or_else(|| Stop::refuse("not-found", format!("{} has no completed backup", target.label())))
}

/// Whether it can be read at all.
fn readable(backup: &Backup) -> Result<(), Stop> {
    let (name, phase) = (&backup.meta.name, &backup.run.phase);
    match backup.run.state() {
        RunState::Completed | RunState::Partly => Ok(()),
        RunState::Failed => Err(Stop::refuse("conflict", format!("backup {name} is {phase}: there is nothing to restore"))),
        RunState::Deleting => Err(Stop::refuse("conflict", format!("backup {name} is being deleted"))),
        RunState::Waiting | RunState::Running => {
            let phase = if phase.is_empty() { "New" } else { phase };
            Err(Stop::refuse("conflict", format!("backup {name} is {phase}: it can be restored when it is complete")))
        }
    }
}

/// The namespaces under another name.
fn mapping(args: &Args) -> Result<Map<String, Value>, Stop> {
    let mut map = Map::new();
    for pair in list(args.get("namespace-mapping")) {
        let Some((from, to)) = pair.split_once(':').filter(|(a, b)| !a.is_empty() && !b.is_empty()) else {
            return Err(Stop::refuse("usage", format!("`{pair}` is no mapping: write OLD:NEW")));
        };
        map.insert(from.trim().to_owned(), checked(to.trim())?.into());
    }
    Ok(map)
}

fn make(snapshot: &Snapshot, plan: &mut Plan, of: &Target, backup: &Backup, args: &Args, lane: usize) -> Result<(), Stop> {
    let cluster = snapshot.cluster(of.cluster)?;
    let home = home(snapshot, of.cluster)?;
    readable(backup)?;
    let name = match args.get("name") {
        Some(name) => checked(name)?,
        None => stamped(&backup.meta.name, snapshot.now),
    };
    let target = Target { resource: Kind::Restore.into(), namespace: home.clone(), name, uid: None, ..of.clone() };
    free(snapshot, &target)?;
    let (mapping, wanted) = (mapping(args)?, list(args.get("namespaces")));
    if let Some(odd) = wanted.iter().chain(mapping.keys()).find(|ns| !backup.selection.takes(ns)) {
        return Err(Stop::refuse("usage", format!("backup {} does not have namespace {odd}", backup.meta.name)));
    }
    let update = args.get("existing") == Some("update");
    told(plan, backup, snapshot.now);
    meets(plan, cluster, backup, &wanted, &mapping, update);
    let mut spec = json!({"backupName": &*backup.meta.name, "existingResourcePolicy": if update { "update" } else { "none" }});
    put(&mut spec, "includedNamespaces", wanted);
    put(&mut spec, "includedResources", list(args.get("include-resources")));
    put(&mut spec, "excludedResources", list(args.get("exclude-resources")));
    if !mapping.is_empty() {
        spec["namespaceMapping"] = mapping.into();
    }
    if let Some(text) = args.get("labels") {
        spec["labelSelector"] = selector(text)?;
    }
    match location(cluster, &home, &backup.selection.location) {
        Err(why) => plan.judge(Verdict::Blocks(why)),
        Ok(place) => {
            if let Some(why) = unusable(place, false) {
                plan.judge(Verdict::Blocks(why));
            }
            let (kind, name) = (Kind::StorageLocation, place.meta.name.to_string());
            let at = Target { resource: kind.into(), name, uid: None, ..target.clone() };
            let look = Act::Wait(Wait::Check { what: Box::new(Wait::Available) });
            plan.steps.push(Step::new(format!("check that location {} is available", at.name), &at, look).at(lane, 0));
        }
    }
    works(plan, cluster, &home, snapshot.now);
    busy(plan, cluster, &home, Kind::Restore);
    let body = json!({"apiVersion": "velero.io/v1", "kind": "Restore", "metadata": {"name": target.name, "namespace": home}, "spec": spec});
    let post = Write { method: Method::Post, path: target.resource.path(&home), query: String::new(), body };
    let text = format!("create restore {} of backup {}", target.title(), backup.meta.name);
    plan.steps.push(Step::new(text, &target, Act::Write(post)).at(lane, 1));
    let wait = Step::new(format!("wait for restore {}", target.title()), &target, Act::Wait(Wait::Completed));
    plan.steps.push(wait.at(lane, 2));
    Ok(())
}

/// What is to be known of the backup itself.
fn told(plan: &mut Plan, backup: &Backup, now: i64) {
    let name = &backup.meta.name;
    if let Some(point) = backup.point() {
        plan.note(Level::Info, format!("leads back to {} ago ({})", age(point.age(now)), point.rfc3339()));
    }
    if backup.run.state() == RunState::Partly {
        plan.note(Level::Warning, format!("{name} is {}, {} errors: what failed is not in it", backup.run.phase, backup.run.errors));
    }
    if let Some(left) = backup.expires.map(|at| at.secs() - now).filter(|left| *left < SOON) {
        let words = if left > 0 { format!("expires in {}", age(left)) } else { "has expired".to_owned() };
        plan.note(Level::Warning, format!("{name} {words}: Velero deletes it then"));
    }
}

/// What is there already where it is restored to.
fn meets(plan: &mut Plan, cluster: &Cluster, backup: &Backup, wanted: &[String], mapping: &Map<String, Value>, update: bool) {
    let listed: Vec<String> = backup.selection.namespaces.iter().map(ToString::to_string).collect();
    let named = !listed.is_empty() && !listed.iter().any(|n| n.contains('*'));
    let from: Vec<String> = match (wanted, named) {
        ([_, ..], _) => wanted.to_vec(),
        (_, true) => listed,
        // Which it has only its own list tells: those that are there now, and whatever else.
        _ => {
            let all = cluster.objects(Kind::Namespace).map(|o| o.meta().name.to_string());
            all.filter(|n| backup.selection.takes(n)).collect()
        }
    };
    let to = |ns: &String| mapping.get(ns).and_then(Value::as_str).unwrap_or(ns).to_owned();
    let (there, new): (Vec<String>, Vec<String>) = from.iter().map(to).partition(|ns| cluster.named(Kind::Namespace, "", ns).is_some());
    if wanted.is_empty() && !named {
        plan.note(Level::Info, "the backup has all namespaces of its time: those that are not there now are made");
    }
    if !new.is_empty() {
        plan.note(Level::Info, format!("namespace{} {} is made anew", if new.len() == 1 { "" } else { "s" }, some(&new)));
    }
    let (level, fate) = match update {
        true => (Level::Danger, "become as they were in the backup"),
        false => (Level::Warning, "stay as they are, whatever the backup has"),
    };
    let mut full = Vec::new();
    for ns in &there {
        if let Some(Object::Namespace(n)) = cluster.named(Kind::Namespace, "", ns)
            && &*n.phase == "Terminating"
        {
            plan.note(Level::Warning, format!("namespace {ns} is terminating: Velero waits for its end, ten minutes at most"));
        }
        let found = contents(cluster, |n| n == ns, |_| true);
        if !found.is_empty() {
            full.push(ns.clone());
        }
        if !found.is_empty() && full.len() <= TOLD {
            plan.note(level, format!("namespace {ns} is there: {} in it {fate}", counted(&found)));
        }
    }
    if full.len() > TOLD {
        let found = contents(cluster, |n| full.iter().any(|f| f == n), |_| true);
        plan.note(level, format!("{} namespaces are there in all, with {}: these {fate}", full.len(), counted(&found)));
    }
    if update && !full.is_empty() {
        plan.irreversible = true;
        plan.judge(Verdict::Degrades(format!("what is there in {}", some(&full))));
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;
    use crate::model::VerbId;

    fn fixture() -> Fixture {
        let mut f = Fixture::new();
        f.velero();
        f
    }

    fn plan(f: &mut Fixture, args: &str) -> Plan {
        f.plan(VerbId::Restore, Kind::Backup, &["b1"], args).unwrap()
    }

    fn body(plan: &Plan) -> &Value {
        &plan.steps[1].act.request().unwrap().body
    }

    #[test]
    fn what_is_there_stays_and_is_counted() {
        let mut f = fixture();
        f.backup("b1", "Completed", 7200, |_| {});
        f.deployment("api", 2, |_| {});
        f.pod("api-1", "api", "n1", |_| {});
        let plan = plan(&mut f, "");
        assert_eq!(plan.title, "restore backup velero/b1");
        assert_eq!(body(&plan)["spec"], json!({"backupName": "b1", "existingResourcePolicy": "none"}));
        assert_eq!(plan.steps[1].act.request().unwrap().path, "/apis/velero.io/v1/namespaces/velero/restores");
        let notes: Vec<(Level, &str)> = plan.notes.iter().map(|n| (n.level, n.text.as_str())).collect();
        assert_eq!(
            notes,
            [
                (Level::Info, "leads back to 2h ago (2026-03-01T00:47:30Z)"),
                (Level::Warning, "namespace pay is there: 1 Pod, 1 Deployment in it stay as they are, whatever the backup has"),
            ]
        );
        assert_eq!((plan.verdict.words().as_str(), plan.irreversible, plan.undo.word()), ("fits", false, "none"));
        assert_eq!(plan.steps[2].act, Act::Wait(Wait::Completed));
    }

    #[test]
    fn what_is_there_is_overwritten_only_when_somebody_says_so_with_the_name_typed() {
        let mut f = fixture();
        f.backup("b1", "Completed", 7200, |_| {});
        f.deployment("api", 2, |_| {});
        let plan = plan(&mut f, "existing=update");
        assert_eq!(body(&plan)["spec"]["existingResourcePolicy"], "update");
        assert_eq!((plan.verdict.words().as_str(), plan.irreversible), ("degrades what is there in pay", true));
        assert!(plan.notes.iter().any(|n| n.level == Level::Danger && n.text.ends_with("become as they were in the backup")));
    }

    #[test]
    fn a_namespace_under_another_name_is_made_anew() {
        let mut f = fixture();
        f.backup("b1", "Completed", 7200, |_| {});
        f.deployment("api", 2, |_| {});
        let plan = plan(&mut f, "r1 namespace-mapping=pay:pay-copy");
        assert_eq!(body(&plan)["spec"]["namespaceMapping"], json!({"pay": "pay-copy"}));
        assert_eq!(body(&plan)["metadata"]["name"], "r1");
        assert!(
            plan.notes.iter().any(|n| n.text == "namespace pay-copy is made anew")
                && !plan.notes.iter().any(|n| n.text.contains("stay as"))
        );
        let refused = |f: &mut Fixture, args: &str| f.plan(VerbId::Restore, Kind::Backup, &["b1"], args).unwrap_err();
        assert_eq!(refused(&mut f, "namespace-mapping=shop:x"), "backup b1 does not have namespace shop");
        assert_eq!(refused(&mut f, "namespace-mapping=pay"), "`pay` is no mapping: write OLD:NEW");
        assert_eq!(refused(&mut f, "namespaces=shop"), "backup b1 does not have namespace shop");
    }

    #[test]
    fn only_what_can_be_read_is_restored() {
        let mut f = fixture();
        let mut refused = |phase: &str| {
            f.backup("b1", phase, 600, |b| b["metadata"]["uid"] = "00000000-0000-4000-8000-0000000000b1".into());
            f.plan(VerbId::Restore, Kind::Backup, &["b1"], "").unwrap_err()
        };
        assert_eq!(refused("InProgress"), "backup b1 is InProgress: it can be restored when it is complete");
        assert_eq!(refused("Failed"), "backup b1 is Failed: there is nothing to restore");
        f.backup("b1", "PartiallyFailed", 600, |b| {
            b["metadata"]["uid"] = "00000000-0000-4000-8000-0000000000b1".into();
            b["status"]["errors"] = 3.into();
            b["status"]["expiration"] = super::super::fixture::at(super::super::fixture::NOW + 600).into();
        });
        let partly = plan(&mut f, "");
        let warned: Vec<&str> = partly.notes.iter().filter(|n| n.level == Level::Warning).map(|n| n.text.as_str()).collect();
        assert_eq!(warned, ["b1 is PartiallyFailed, 3 errors: what failed is not in it", "b1 expires in 10m: Velero deletes it then"]);
        f.location(|l| l["status"]["phase"] = "Unavailable".into());
        assert_eq!(plan(&mut f, "").verdict.words(), "blocks on location default: Unavailable");
    }

    #[test]
    fn of_a_schedule_it_is_the_newest_that_is_complete() {
        let mut f = fixture();
        f.add(Kind::Schedule, json!({"metadata": {"name": "nightly", "namespace": "velero"}, "spec": {"schedule": "0 2 * * *"}}));
        let none = f.plan(VerbId::Restore, Kind::Schedule, &["nightly"], "").unwrap_err();
        assert_eq!(none, "schedule velero/nightly has no completed backup");
        for (name, phase, ago) in [("n1", "Completed", 90_000), ("n2", "Completed", 7200), ("n3", "Failed", 60)] {
            f.backup(name, phase, ago, |b| b["metadata"]["labels"] = json!({"velero.io/schedule-name": "nightly"}));
        }
        let plan = f.plan(VerbId::Restore, Kind::Schedule, &["nightly"], "").unwrap();
        assert_eq!((body(&plan)["spec"]["backupName"].as_str(), plan.title.as_str()), (Some("n2"), "restore backup velero/n2"));
    }

    #[test]
    fn of_all_namespaces_those_that_are_there_are_told_with_one_line_for_the_rest() {
        let mut f = fixture();
        for n in 0..8 {
            let ns = format!("team-{n}");
            f.add(Kind::Namespace, json!({"metadata": {"name": ns}, "status": {"phase": if n == 0 { "Terminating" } else { "Active" }}}));
            f.add(Kind::Job, json!({"metadata": {"name": "job", "namespace": ns}}));
        }
        f.backup("b1", "Completed", 7200, |b| b["spec"] = json!({"storageLocation": "default"}));
        let plan = plan(&mut f, "");
        let about = plan.notes.iter().filter(|n| n.text.contains("stay as they are")).count();
        assert_eq!(about, TOLD + 1);
        assert!(plan.notes.iter().any(|n| n.text.starts_with("8 namespaces are there in all, with 8 jobs")));
        assert!(plan.notes.iter().any(|n| n.text.starts_with("namespace team-0 is terminating")));
    }
}
