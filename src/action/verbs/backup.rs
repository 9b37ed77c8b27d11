//! `backup`: a Backup of Velero, now: of namespaces, of workloads by a label that they share with their pods, of what a schedule takes, or of
//! all of a cluster. What is taken in is counted before, what will be missing is said.

use super::super::snapshot::gather;
use super::velero::{
    busy, checked, contents, counted, deletion, free, home, list, location, put, selector, some, stamped, unusable, works,
};
use super::{Request, Snapshot, Stop, subject};
use crate::model::duration::age;
use crate::model::{
    Act, Args, ClusterId, Interner, Inverse, Kind, Labels, Level, Method, Plan, Selection, Selector, Step, Target, Verdict, Wait, Write,
    quantity,
};
use crate::store::Cluster;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Labels that a workload may share with its pods, the most telling first.
const SHARED: [&str; 5] = ["app.kubernetes.io/instance", "app.kubernetes.io/name", "app", "k8s-app", "name"];
/// Namespaces whose claims are asked for one by one.
const APART: usize = 5;
/// Seconds that the server keeps a backup of which nobody says how long.
const KEPT: i64 = 30 * 86_400;

/// What one backup takes in.
struct Take<'a> {
    cluster: ClusterId,
    /// What its name is made from.
    head: String,
    /// In words: `namespace pay`.
    what: String,
    /// `*`: all.
    namespaces: Vec<String>,
    /// One of these must match; empty: everything does.
    labels: Vec<Selector>,
    schedule: Option<&'a Value>,
}

pub fn plan(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let whole = |t: &Target| !t.resource.is_cluster() && t.resource.known() != Some(Kind::Namespace);
    let objects = gather(request.targets.iter().map(|t| if whole(t) { snapshot.object(t).map(Some) } else { Ok(None) }))?;
    let title = match request.targets.as_slice() {
        [one] if one.resource.is_cluster() => format!("back up all of {}", snapshot.cluster(one.cluster)?.info.name),
        _ => format!("back up {}", subject(request)),
    };
    let mut plan = Plan::new(request.verb, &request.args, title);
    let mut takes = Vec::new();
    let mut clusters: Vec<ClusterId> = request.targets.iter().map(|t| t.cluster).collect();
    clusters.dedup();
    for id in clusters {
        let here = request.targets.iter().zip(&objects).filter(|(t, _)| t.cluster == id);
        takes.extend(taken(&mut plan, id, here.map(|(t, o)| (t, *o)).collect()));
    }
    if request.args.get("name").is_some() && takes.len() > 1 {
        return Err(Stop::refuse("usage", format!("one name is for one backup: leave it out, these are {}", takes.len())));
    }
    for (lane, take) in takes.iter().enumerate() {
        make(snapshot, &mut plan, take, &request.args, lane)?;
    }
    plan.targets = plan.steps.iter().filter(|s| s.act.request().is_some()).map(|s| s.target.clone()).collect();
    (plan.parallel, plan.undo_text) = (4, "deletes the new backup with all that is kept of it".to_owned());
    Ok(plan)
}

/// The backups that these objects of one cluster are: one of all, one of the namespaces, one of each namespace that has workloads, one of
/// each schedule.
fn taken<'a>(plan: &mut Plan, cluster: ClusterId, objects: Vec<(&Target, Option<&'a Value>)>) -> Vec<Take<'a>> {
    let mut takes: Vec<Take<'a>> = Vec::new();
    let mut namespaces: Vec<String> = Vec::new();
    let mut apps: BTreeMap<&str, Vec<(&Target, Option<Selector>)>> = BTreeMap::new();
    for (target, object) in objects {
        match (target.resource.known(), object) {
            (Some(Kind::Schedule), Some(schedule)) => takes.push(Take {
                cluster,
                head: target.name.clone(),
                what: format!("schedule {}", target.name),
                namespaces: Vec::new(),
                labels: Vec::new(),
                schedule: Some(schedule),
            }),
            (_, Some(workload)) => apps.entry(&target.namespace).or_default().push((target, shared(workload))),
            (_, None) => {
                let name = if target.resource.is_cluster() { "*" } else { &target.name };
                if !namespaces.iter().any(|n| n == name) {
                    namespaces.push(name.to_owned());
                }
            }
        }
    }
    if !namespaces.is_empty() {
        let (head, what) = match namespaces.as_slice() {
            [all] if all == "*" => ("all".to_owned(), "all namespaces".to_owned()),
            [one] => (one.clone(), format!("namespace {one}")),
            all => ("namespaces".to_owned(), format!("namespaces {}", some(all))),
        };
        takes.push(Take { cluster, head, what, namespaces, labels: Vec::new(), schedule: None });
    }
    for (namespace, of) in apps {
        let mut labels: Vec<Selector> = Vec::new();
        for (_, shared) in &of {
            labels.extend(shared.clone().filter(|l| !labels.contains(l)));
        }
        let odd = of.iter().find(|(_, shared)| shared.is_none()).map(|(t, _)| *t);
        if let Some(odd) = odd {
            plan.note(
                Level::Warning,
                format!("{} has no label that its pods have too: all of namespace {namespace} is taken", odd.label()),
            );
            labels.clear();
        } else {
            let terms: Vec<String> = labels.iter().map(ToString::to_string).collect();
            plan.note(
                Level::Warning,
                format!(
                    "only what is labelled {} is taken: Secrets, ConfigMaps and claims without it are not in the backup",
                    terms.join(" or ")
                ),
            );
        }
        let (head, what) = match of.as_slice() {
            [(one, _)] => (one.name.clone(), one.label()),
            all => (namespace.to_owned(), format!("{} workloads of {namespace}", all.len())),
        };
        takes.push(Take { cluster, head, what, namespaces: vec![namespace.to_owned()], labels, schedule: None });
    }
    takes
}

/// A label that a workload and its pods have alike.
fn shared(workload: &Value) -> Option<Selector> {
    let of = |at: &str, key: &str| workload.pointer(at).and_then(|l| l[key].as_str());
    let key = SHARED.into_iter().find(|k| {
        let own = of("/metadata/labels", k);
        own.is_some() && own == of("/spec/template/metadata/labels", k)
    })?;
    let value = of("/metadata/labels", key)?;
    Some(Selector { labels: Labels::from(vec![(key.into(), value.into())]), ..Selector::default() })
}

/// The specification of a backup.
fn spec(take: &Take, args: &Args) -> Result<Value, Stop> {
    let mut spec = match take.schedule {
        Some(schedule) => {
            if let Some(name) =
                ["labels", "exclude-namespaces", "include-resources", "exclude-resources"].into_iter().find(|n| args.get(n).is_some())
            {
                return Err(Stop::refuse("usage", format!("{name}: what a schedule takes in is its own")));
            }
            let mut spec = schedule["spec"]["template"].clone();
            if let Some(spec) = spec.as_object_mut() {
                spec.shift_remove("metadata");
            }
            if spec.is_object() { spec } else { json!({}) }
        }
        None => json!({"includedNamespaces": take.namespaces}),
    };
    if args.get("exclude-namespaces").is_some() && take.namespaces != ["*"] {
        return Err(Stop::refuse("usage", "exclude-namespaces is for a backup of all namespaces"));
    }
    put(&mut spec, "excludedNamespaces", list(args.get("exclude-namespaces")));
    put(&mut spec, "includedResources", list(args.get("include-resources")));
    put(&mut spec, "excludedResources", list(args.get("exclude-resources")));
    match (take.labels.as_slice(), args.get("labels")) {
        ([], None) => {}
        ([], Some(text)) => spec["labelSelector"] = selector(text)?,
        (_, Some(_)) => return Err(Stop::refuse("usage", "labels: those of a workload are its own; name its namespace in place of it")),
        ([one], None) => spec["labelSelector"] = one.json(),
        (all, None) => spec["orLabelSelectors"] = all.iter().map(Selector::json).collect(),
    }
    if let Some(ttl) = args.duration("ttl") {
        spec["ttl"] = format!("{}s", ttl.as_secs()).into();
    }
    if let Some(on) = args.get("snapshot-volumes") {
        spec["snapshotVolumes"] = (on == "true").into();
    }
    if let Some(name) = args.get("location") {
        spec["storageLocation"] = name.into();
    }
    Ok(spec)
}

/// The steps of one backup, and what is to be known of it.
fn make(snapshot: &Snapshot, plan: &mut Plan, take: &Take, args: &Args, lane: usize) -> Result<(), Stop> {
    let cluster = snapshot.cluster(take.cluster)?;
    let home = home(snapshot, take.cluster)?;
    let spec = spec(take, args)?;
    let name = match args.get("name") {
        Some(name) => checked(name)?,
        None => stamped(&take.head, snapshot.now),
    };
    let target = Target { cluster: take.cluster, resource: Kind::Backup.into(), namespace: home.clone(), name, uid: None };
    free(snapshot, &target)?;
    let selection = serde_json::from_value(spec.clone()).map(|s| Selection::of(&s, &mut Interner::default()));
    let selection = selection.map_err(|e| Stop::refuse("usage", format!("{}: {e}", take.what)))?;
    includes(plan, cluster, take, &selection);
    volumes(snapshot, plan, cluster, &home, &selection)?;
    let mut metadata = json!({"name": target.name, "namespace": home});
    if let Some(schedule) = take.schedule {
        inherited(&mut metadata, schedule);
    }
    let (undone, undo) = deletion(&target, stamped(&format!("{}-undo", target.name), snapshot.now));
    let mut stage = 0;
    match location(cluster, &home, &selection.location) {
        Err(why) => plan.judge(Verdict::Blocks(why)),
        Ok(place) => {
            if let Some(why) = unusable(place, true) {
                plan.judge(Verdict::Blocks(why));
            }
            let kept = age(selection.ttl.unwrap_or(KEPT));
            plan.note(Level::Info, format!("kept for {kept} at location {} ({} {})", place.meta.name, place.provider, place.bucket));
            let (kind, name) = (Kind::StorageLocation, place.meta.name.to_string());
            let at = Target { resource: kind.into(), name, uid: None, ..target.clone() };
            let mut look = Step::new(
                format!("check that location {} is available", at.name),
                &at,
                Act::Wait(Wait::Check { what: Box::new(Wait::Available) }),
            );
            // What is taken back last: the new backup is gone when its deletion was carried out.
            look.undo = Some(Inverse {
                text: format!("wait for backup {} to be deleted", target.title()),
                act: Act::Wait(Wait::Processed),
                changes: Vec::new(),
                target: Some(undone.clone()),
            });
            plan.steps.push(look.at(lane, 0));
            stage = 1;
        }
    }
    works(plan, cluster, &home, snapshot.now);
    busy(plan, cluster, &home, Kind::Backup);
    let body = json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": metadata, "spec": spec});
    let post = Write { method: Method::Post, path: target.resource.path(&home), query: String::new(), body };
    let mut create = Step::new(format!("create backup {} of {}", target.title(), take.what), &target, Act::Write(post));
    create.undo = Some(Inverse {
        text: format!("delete backup {}", target.title()),
        act: Act::Write(undo),
        changes: Vec::new(),
        target: Some(undone),
    });
    plan.steps.push(create.at(lane, stage));
    let wait = Step::new(format!("wait for backup {}", target.title()), &target, Act::Wait(Wait::Completed));
    plan.steps.push(wait.at(lane, stage + 1));
    Ok(())
}

/// What a backup has from its schedule, as Velero's own have it.
fn inherited(metadata: &mut Value, schedule: &Value) {
    let own = &schedule["metadata"];
    metadata["labels"] = schedule.pointer("/spec/template/metadata/labels").unwrap_or(&own["labels"]).clone();
    metadata["labels"]["velero.io/schedule-name"] = own["name"].clone();
    if let Value::Object(mut annotations) = own["annotations"].clone() {
        annotations.shift_remove("kubectl.kubernetes.io/last-applied-configuration");
        if !annotations.is_empty() {
            metadata["annotations"] = annotations.into();
        }
    }
    if schedule["spec"]["useOwnerReferencesInBackup"] == true {
        metadata["ownerReferences"] =
            json!([{"apiVersion": "velero.io/v1", "kind": "Schedule", "name": own["name"], "uid": own["uid"], "controller": true}]);
    }
}

/// The namespaces that it takes in, and what is there of the kinds that are watched.
fn includes(plan: &mut Plan, cluster: &Cluster, take: &Take, selection: &Selection) {
    let all: Vec<String> = cluster.objects(Kind::Namespace).map(|o| o.meta().name.to_string()).collect();
    let taken: Vec<String> = all.iter().filter(|n| selection.takes(n)).cloned().collect();
    let unknown = selection.namespaces.iter().filter(|n| !n.contains('*') && !all.iter().any(|a| *a == ***n));
    let unknown: Vec<String> = unknown.map(ToString::to_string).collect();
    if cluster.current(Kind::Namespace) && !unknown.is_empty() {
        plan.note(Level::Warning, format!("there is no namespace {}", some(&unknown)));
    }
    let places = match taken.len() {
        n if n == all.len() && n > 1 => format!("all {n} namespaces"),
        1 => format!("namespace {}", taken[0]),
        n => format!("{n} namespaces, {}", some(&taken)),
    };
    let has = |labels: &Labels| selection.selectors.is_empty() || selection.selectors.iter().any(|s| s.matches(labels));
    let found = contents(cluster, |ns| selection.takes(ns), has);
    if found.is_empty() {
        plan.note(Level::Warning, format!("{}: qd sees nothing in {places} that it would take", take.what));
    } else {
        let others = if selection.resources.is_empty() { "; kinds that qd does not watch go with it" } else { "" };
        plan.note(Level::Info, format!("takes in {places}: {}{others}", counted(&found)));
    }
    if !selection.resources.is_empty() || !selection.without_resources.is_empty() {
        plan.note(Level::Info, "only some kinds are taken: a restore of it alone may not work");
    }
}

/// Whether what is in volumes is kept.
fn volumes(snapshot: &Snapshot, plan: &mut Plan, cluster: &Cluster, home: &str, selection: &Selection) -> Result<(), Stop> {
    let takes = |o: &&crate::model::Object| selection.takes(&o.meta().name);
    let namespaces: Vec<&str> = cluster.objects(Kind::Namespace).filter(takes).map(|o| &*o.meta().name).collect();
    let paths: Vec<String> = match namespaces.len() {
        0 => return Ok(()),
        1..=APART => namespaces.iter().map(|ns| format!("/api/v1/namespaces/{ns}/persistentvolumeclaims")).collect(),
        _ => vec!["/api/v1/persistentvolumeclaims".to_owned()],
    };
    let snapshots = format!("/apis/velero.io/v1/namespaces/{home}/volumesnapshotlocations");
    let list = |path: &String| match snapshot.list(cluster.id, path.as_str()) {
        // Not ours to see: the backup can be made all the same.
        Err(Stop::Refuse { .. }) => Ok(None),
        Err(needs) => Err(needs),
        Ok(list) => Ok(Some(list)),
    };
    let mut found = gather(paths.iter().chain([&snapshots]).map(list))?;
    let places = found.pop().flatten();
    let Some(claims) = found.into_iter().collect::<Option<Vec<_>>>() else {
        plan.note(Level::Info, "claims may not be listed: whether what is in volumes is kept is not known");
        return Ok(());
    };
    let of = |c: &&Value| selection.takes(c["metadata"]["namespace"].as_str().unwrap_or(""));
    let claims: Vec<&Value> = claims.into_iter().flatten().filter(of).collect();
    if claims.is_empty() {
        return Ok(());
    }
    let bytes: i64 = claims.iter().filter_map(|c| quantity::whole(c["spec"]["resources"]["requests"]["storage"].as_str()?)).sum();
    let count = format!("{} claim{} of {} GiB", claims.len(), if claims.len() == 1 { "" } else { "s" }, (bytes + (1 << 29)) >> 30);
    let files = selection.files == Some(true);
    match (selection.snapshots, places) {
        (Some(false), _) if !files => {
            plan.note(Level::Warning, format!("{count}: what is in them is not in the backup, snapshot-volumes is false"));
        }
        (_, Some([])) if !files => plan.note(
            Level::Warning,
            format!("{count}: no volume snapshot location is there: what is in them is kept only by CSI snapshots or the node agent"),
        ),
        _ if files => plan.note(Level::Info, format!("{count}: copied by the node agent")),
        _ => plan.note(Level::Info, format!("{count}: by snapshots, where their volumes have a snapshotter")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, NOW, at};
    use super::*;
    use crate::model::VerbId;

    fn fixture() -> Fixture {
        let mut f = Fixture::new();
        f.velero();
        f
    }

    fn plan(f: &mut Fixture, kind: Kind, names: &[&str], args: &str) -> Plan {
        f.plan(VerbId::Backup, kind, names, args).unwrap()
    }

    /// The step that creates, and its body.
    fn created(plan: &Plan) -> (&Step, &Value) {
        let step = plan.steps.iter().find(|s| s.act.request().is_some()).unwrap();
        (step, &step.act.request().unwrap().body)
    }

    fn notes(plan: &Plan) -> Vec<&str> {
        plan.notes.iter().map(|n| n.text.as_str()).collect()
    }

    #[test]
    fn a_namespace_is_backed_up_and_what_is_in_it_is_counted() {
        let mut f = fixture();
        f.deployment("api", 2, |_| {});
        f.pod("api-1", "api", "n1", |_| {});
        f.pod("api-2", "api", "n1", |_| {});
        let plan = plan(&mut f, Kind::Namespace, &["pay"], "");
        let texts: Vec<&str> = plan.steps.iter().map(|s| s.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "check that location default is available",
                "create backup velero/pay-20260301024730 of namespace pay",
                "wait for backup velero/pay-20260301024730"
            ]
        );
        let (step, body) = created(&plan);
        assert_eq!(step.act.request().unwrap().path, "/apis/velero.io/v1/namespaces/velero/backups");
        assert_eq!((&body["spec"], &body["kind"]), (&json!({"includedNamespaces": ["pay"]}), &json!("Backup")));
        assert_eq!(step.permission().unwrap().words(), "create backups in velero");
        assert_eq!(
            notes(&plan),
            [
                "takes in namespace pay: 2 pods, 1 Deployment; kinds that qd does not watch go with it",
                "kept for 30d at location default (aws backups)"
            ]
        );
        assert_eq!((plan.verdict.clone(), plan.irreversible), (Verdict::Fits, false));
        assert_eq!(plan.targets[0].label(), "backup velero/pay-20260301024730");
    }

    #[test]
    fn its_undo_asks_velero_to_delete_it_and_waits() {
        let mut f = fixture();
        let plan = plan(&mut f, Kind::Namespace, &["pay"], "name=b1");
        let undo = created(&plan).0.undo.as_ref().unwrap();
        let write = undo.act.request().unwrap();
        assert_eq!((write.method, write.path.as_str()), (Method::Post, "/apis/velero.io/v1/namespaces/velero/deletebackuprequests"));
        assert_eq!(write.body["spec"], json!({"backupName": "b1"}));
        let wait = plan.steps[0].undo.as_ref().unwrap();
        assert_eq!((&wait.act, &wait.target), (&Act::Wait(Wait::Processed), &undo.target));
    }

    #[test]
    fn all_of_a_cluster_and_several_namespaces_are_one_backup_each() {
        let mut f = fixture();
        let args = Args::parse(VerbId::Backup.info(), "b1 exclude-namespaces=shop ttl=12h location=default").unwrap();
        let request = Request { verb: VerbId::Backup, targets: vec![Target::of_cluster(ClusterId(0), "lab")], args, documents: Vec::new() };
        let all = f.request(&request).unwrap();
        assert_eq!(all.title, "back up all of lab");
        let wanted = json!({"includedNamespaces": ["*"], "excludedNamespaces": ["shop"], "ttl": "43200s", "storageLocation": "default"});
        assert_eq!(created(&all).1["spec"], wanted);
        assert!(notes(&all).contains(&"kept for 12h at location default (aws backups)"));
        let two = plan(&mut f, Kind::Namespace, &["pay", "shop"], "labels=tier=web include-resources=deployments.apps");
        let spec = json!({"includedNamespaces": ["pay", "shop"], "includedResources": ["deployments.apps"], "labelSelector": {"matchLabels": {"tier": "web"}}});
        assert_eq!((created(&two).1["spec"].clone(), two.steps.len()), (spec, 3));
        assert!(notes(&two).contains(&"only some kinds are taken: a restore of it alone may not work"));
        let refused = f.plan(VerbId::Backup, Kind::Namespace, &["pay"], "exclude-namespaces=shop").unwrap_err();
        assert_eq!(refused, "exclude-namespaces is for a backup of all namespaces");
    }

    #[test]
    fn a_workload_is_taken_by_the_label_that_its_pods_have_too() {
        let mut f = fixture();
        f.deployment("api", 1, |d| d["metadata"]["labels"] = json!({"app": "api", "team": "x"}));
        f.deployment("web", 1, |d| d["metadata"]["labels"] = json!({"app": "web"}));
        f.deployment("odd", 1, |_| {});
        let one = plan(&mut f, Kind::Deployment, &["api"], "");
        assert_eq!(created(&one).1["spec"]["labelSelector"], json!({"matchLabels": {"app": "api"}}));
        assert!(notes(&one)[0].starts_with("only what is labelled app=api is taken"));
        let two = plan(&mut f, Kind::Deployment, &["api", "web"], "");
        assert_eq!(created(&two).1["spec"]["orLabelSelectors"], json!([{"matchLabels": {"app": "api"}}, {"matchLabels": {"app": "web"}}]));
        let odd = plan(&mut f, Kind::Deployment, &["odd", "api"], "");
        assert_eq!(created(&odd).1["spec"], json!({"includedNamespaces": ["pay"]}), "all of its namespace");
    }

    #[test]
    fn of_a_schedule_it_is_what_velero_would_make() {
        let mut f = fixture();
        f.add(
            Kind::Schedule,
            json!({"metadata": {"name": "nightly", "namespace": "velero", "uid": "s1", "labels": {"team": "x"}},
                "spec": {"schedule": "0 2 * * *", "useOwnerReferencesInBackup": true, "template": {"includedNamespaces": ["pay"], "ttl": "24h0m0s", "metadata": {"labels": {"own": "y"}}}}}),
        );
        let plan = plan(&mut f, Kind::Schedule, &["nightly"], "");
        let (_, body) = created(&plan);
        assert_eq!(body["metadata"]["name"], "nightly-20260301024730");
        assert_eq!(body["metadata"]["labels"], json!({"own": "y", "velero.io/schedule-name": "nightly"}));
        assert_eq!(body["metadata"]["ownerReferences"][0]["uid"], "s1");
        assert_eq!(body["spec"], json!({"includedNamespaces": ["pay"], "ttl": "24h0m0s"}));
        let refused = f.plan(VerbId::Backup, Kind::Schedule, &["nightly"], "labels=a=b").unwrap_err();
        assert_eq!(refused, "labels: what a schedule takes in is its own");
    }

    #[test]
    fn it_blocks_where_it_could_not_be_kept_or_nobody_would_make_it() {
        let mut f = fixture();
        let verdict = |f: &mut Fixture, args: &str| plan(f, Kind::Namespace, &["pay"], args).verdict.words();
        assert_eq!(verdict(&mut f, "location=other"), "blocks on unknown storage location `other`");
        f.location(|l| l["status"] = json!({"phase": "Unavailable", "message": "refused", "lastValidationTime": at(NOW - 30)}));
        assert_eq!(verdict(&mut f, ""), "blocks on location default: Unavailable: refused");
        f.location(|l| l["spec"]["accessMode"] = "ReadOnly".into());
        assert_eq!(verdict(&mut f, ""), "blocks on location default: ReadOnly");
        f.location(|l| l["status"]["lastValidationTime"] = at(NOW - 7200).into());
        assert_eq!(verdict(&mut f, ""), "blocks on Velero: nobody has looked at location default for 2h");
        let mut velero = |ready: i64| {
            f.add(
                Kind::Deployment,
                json!({"metadata": {"name": "velero", "namespace": "velero", "uid": "00000000-0000-4000-8000-0000000000be"},
                    "spec": {"replicas": 1}, "status": {"readyReplicas": ready}}),
            );
            verdict(&mut f, "")
        };
        assert_eq!(velero(0), "blocks on Velero: nobody has looked at location default for 2h");
        assert_eq!(velero(1), "degrades Velero: nobody has looked at location default for 2h", "who runs may be told not to look");
        let mut none = Fixture::new();
        none.add(Kind::Namespace, json!({"metadata": {"name": "pay"}}));
        let refused = none.plan(VerbId::Backup, Kind::Namespace, &["pay"], "").unwrap_err();
        assert_eq!(refused, "lab: Velero is not there, or has no storage location");
    }

    #[test]
    fn a_server_that_has_not_looked_for_a_while_is_said_before() {
        let mut f = fixture();
        let said = |f: &mut Fixture, ago: i64| {
            f.location(|l| l["status"]["lastValidationTime"] = at(NOW - ago).into());
            let plan = plan(f, Kind::Namespace, &["pay"], "");
            let note = plan.notes.iter().find(|n| n.text.starts_with("Velero stands still")).map(|n| (n.level, n.text.clone()));
            (plan.verdict.words(), note)
        };
        assert_eq!(said(&mut f, 179), ("fits".to_owned(), None));
        let (verdict, note) = said(&mut f, 240);
        assert_eq!(verdict, "degrades Velero: nobody has looked at location default for 4m");
        let text = "Velero stands still (nobody has looked at location default for 4m): what is asked for stays New until it goes on";
        assert_eq!(note, Some((Level::Warning, text.to_owned())));
        f.add(Kind::Backup, json!({"metadata": {"name": "walk", "namespace": "velero", "creationTimestamp": at(NOW - 300)}}));
        assert_eq!(said(&mut f, 30).0, "degrades Velero: backup walk is New for 5m");
    }

    #[test]
    fn whether_what_is_in_volumes_is_kept_is_said() {
        let mut f = fixture();
        let claim = |ns: &str| json!({"metadata": {"namespace": ns}, "spec": {"resources": {"requests": {"storage": "10Gi"}}}});
        f.fact("/api/v1/namespaces/pay/persistentvolumeclaims", json!({"items": [claim("pay"), claim("pay")]}));
        let said = |f: &mut Fixture, args: &str| {
            let plan = plan(f, Kind::Namespace, &["pay"], args);
            plan.notes.iter().find(|n| n.text.starts_with("2 claims of 20 GiB: ")).map(|n| (n.level, n.text[20..].to_owned())).unwrap()
        };
        let (level, text) = said(&mut f, "");
        assert_eq!((level, text.starts_with("no volume snapshot location is there")), (Level::Warning, true), "{text}");
        f.fact("/apis/velero.io/v1/namespaces/velero/volumesnapshotlocations", json!({"items": [{}]}));
        assert_eq!(said(&mut f, ""), (Level::Info, "by snapshots, where their volumes have a snapshotter".to_owned()));
        assert_eq!(said(&mut f, "snapshot-volumes=false").0, Level::Warning);
    }

    #[test]
    fn what_is_odd_about_it_is_refused_or_said() {
        let mut f = fixture();
        f.backup("b1", "InProgress", 20, |_| {});
        let refused = |f: &mut Fixture, names: &[&str], args: &str| f.plan(VerbId::Backup, Kind::Namespace, names, args).unwrap_err();
        assert_eq!(refused(&mut f, &["pay"], "b1"), "backup velero/b1 is there already");
        assert!(refused(&mut f, &["pay"], "Bad_Name").starts_with("`Bad_Name` is no name"));
        let plan = plan(&mut f, Kind::Namespace, &["pay"], "");
        assert!(notes(&plan).contains(&"backup b1 is under way: this one may have to wait for it"));
        assert!(notes(&plan)[0].contains("qd sees nothing in namespace pay"));
        f.deployment("api", 1, |d| d["metadata"]["labels"] = json!({"app": "api"}));
        let args = Args::parse(VerbId::Backup.info(), "b2").unwrap();
        let target = |kind: Kind, namespace: &str, name: &str| Target {
            cluster: ClusterId(0),
            resource: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
            uid: None,
        };
        let targets = vec![target(Kind::Namespace, "", "shop"), target(Kind::Deployment, "pay", "api")];
        let request = Request { verb: VerbId::Backup, targets, args, documents: Vec::new() };
        assert_eq!(f.request(&request).unwrap_err(), "one name is for one backup: leave it out, these are 2");
    }
}
