//! `delete`: an object and what belongs to it. What goes with it is counted and named before.

use super::super::blast::owned_by;
use super::{Request, Snapshot, Stop, subject};
use crate::model::duration::age;
use crate::model::plan::Offer;
use crate::model::{Act, Args, Kind, Level, Method, Object, Plan, Step, Target, Tri, Uid, VerbId, Verdict, Wait};
use crate::store::Cluster;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Namespaces that a cluster does not work without.
const SYSTEM: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "default"];

pub fn plan(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let objects = snapshot.objects(&request.targets)?;
    let force = request.args.flag("force");
    let grace = if force { Some(0) } else { request.args.count("grace-period") };
    let policy = match request.args.get("cascade") {
        Some("orphan") => "Orphan",
        Some("foreground") => "Foreground",
        _ => "Background",
    };
    let mut plan = Plan::new(request.verb, &request.args, format!("delete {}", subject(request)));
    plan.parallel = 8;
    plan.undo_text = "what is deleted does not come back".to_owned();
    if force {
        plan.note(
            Level::Danger,
            "force: the API forgets the pod at once while its process may go on running, and a StatefulSet may start its twin beside it",
        );
    }
    for (lane, (target, object)) in request.targets.iter().zip(objects).enumerate() {
        let uid = object["metadata"]["uid"].as_str().unwrap_or("").to_owned();
        let target = Target { uid: Some(uid.clone()), ..target.clone() };
        if object["metadata"]["labels"]["policy.kruise.io/delete-protection"].is_string() {
            plan.note(Level::Warning, format!("{} is protected from deletion by a label of OpenKruise", target.label()));
        }
        let finalizers: Vec<&str> = object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(|f| f.as_str()).collect();
        if !finalizers.is_empty() {
            plan.note(Level::Info, format!("{} goes when its finalizers are done: {}", target.label(), finalizers.join(", ")));
        }
        consequence(snapshot, &mut plan, &target, &uid, policy)?;
        for tool in owned_by(object) {
            plan.note(Level::Warning, format!("{tool} may make {} anew", target.label()));
            plan.blast_in(target.cluster).undone_by.push(tool);
        }
        let mut body = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy, "preconditions": {"uid": uid}});
        if let Some(seconds) = grace {
            body["gracePeriodSeconds"] = seconds.into();
        }
        plan.steps.push(Step::write(format!("delete {}", target.label()), &target, Method::Delete, body).at(lane, 0));
        plan.steps.push(Step::new(format!("wait for {} to be gone", target.label()), &target, Act::Wait(Wait::Gone)).at(lane, 1));
    }
    Ok(plan)
}

/// What goes with it, and whether something makes it anew.
fn consequence(snapshot: &Snapshot, plan: &mut Plan, target: &Target, uid: &str, policy: &str) -> Result<(), Stop> {
    let cluster = snapshot.cluster(target.cluster)?;
    let kind = target.resource.known();
    if kind == Some(Kind::Namespace) {
        if SYSTEM.contains(&target.name.as_str()) {
            plan.note(Level::Danger, format!("{} is a system namespace: the cluster does not work without it", target.name));
        }
        let inside = in_namespace(cluster, &target.name);
        kept(plan, cluster, target, snapshot.now);
        count(plan, cluster, &inside);
        plan.note(Level::Danger, format!("everything in it goes too, also kinds that qd does not watch: {}", words(&inside)));
        plan.judge(Verdict::Degrades(format!("namespace {} to nothing", target.name)));
        return Ok(());
    }
    if kind == Some(Kind::Backup) {
        plan.note(Level::Danger, "what is kept of it stays, and Velero makes the object anew from that within a minute");
        let text = format!("delete {} with all that is kept of it", target.label());
        offer(plan, VerbId::BackupDelete, false, target, text, |n| format!("delete {n} backups with all that is kept of them"));
    }
    if kind == Some(Kind::Node) {
        plan.note(Level::Warning, "its pods are deleted with it; the kubelet, if it runs, registers the node anew");
    }
    let dependents = dependents(cluster, Uid::parse(uid));
    if policy == "Orphan" {
        if !dependents.is_empty() {
            plan.note(Level::Warning, format!("left without an owner: {}", words(&dependents)));
        }
    } else {
        count(plan, cluster, &dependents);
        if !dependents.is_empty() {
            plan.note(Level::Warning, format!("goes with it: {}", words(&dependents)));
            plan.judge(Verdict::Degrades(target.title()));
        }
    }
    match snapshot.row(target) {
        Some(Object::Pod(pod)) => {
            let blast = plan.blast_in(target.cluster);
            blast.pods += 1;
            blast.unavailable += u32::from(pod.ready == Tri::True);
            match pod.meta.owner.as_deref() {
                Some(owner) => plan.note(
                    Level::Info,
                    format!("{} {} makes another one; evict minds the disruption budgets, delete does not", owner.kind, owner.name),
                ),
                None => plan.note(Level::Danger, "no controller brings it back"),
            }
        }
        Some(Object::Workload(w)) => {
            plan.blast_in(target.cluster).workloads += 1;
            if let Some(owner) = w.meta.owner.as_deref() {
                plan.note(Level::Warning, format!("{} {} makes it anew", owner.kind, owner.name));
            }
        }
        _ => {}
    }
    Ok(())
}

/// Whether a namespace could be restored, and the offer of a backup before, where there is Velero.
fn kept(plan: &mut Plan, cluster: &Cluster, target: &Target, now: i64) {
    if cluster.velero().is_none() {
        return;
    }
    let last = cluster.backup_of(&target.name).and_then(|b| Some((&b.meta.name, b.point()?)));
    let made = cluster.named(Kind::Namespace, "", &target.name).and_then(|o| o.meta().created);
    let (level, text) = match last {
        Some((name, at)) if made.is_some_and(|made| made > at) => {
            (Level::Danger, format!("no completed backup has it as it is: the newest of that name ({name}) is older than the namespace"))
        }
        Some((name, at)) => (Level::Info, format!("the newest completed backup of it is {} old ({name})", age(at.age(now)))),
        None => (Level::Danger, "no completed backup has it".to_owned()),
    };
    plan.note(level, text);
    let text = format!("back up {}", target.label());
    offer(plan, VerbId::Backup, true, target, text, |n| format!("back up these {n} namespaces"));
}

/// Offers a verb on the target, or on it too where others are offered that: `many` says it of so many.
fn offer(plan: &mut Plan, verb: VerbId, before: bool, target: &Target, one: String, many: impl Fn(usize) -> String) {
    match plan.offers.iter_mut().find(|o| o.verb == verb && o.before == before) {
        Some(there) => {
            there.targets.push(target.clone());
            there.text = many(there.targets.len());
        }
        None => plan.offers.push(Offer { text: one, before, verb, args: Args::default(), targets: vec![target.clone()] }),
    }
}

/// Everything that belongs to an object, at any depth, by kind.
fn dependents(cluster: &Cluster, uid: Uid) -> BTreeMap<Kind, Vec<String>> {
    let mut owners = BTreeSet::from([uid]);
    let mut found: BTreeMap<Kind, Vec<String>> = BTreeMap::new();
    for _ in 0..4 {
        let mut more = BTreeSet::new();
        for kind in Kind::WATCHED {
            for o in cluster.objects(kind) {
                let meta = o.meta();
                if meta.owner.as_ref().is_some_and(|owner| owners.contains(&owner.uid)) && more.insert(meta.uid) {
                    found.entry(kind).or_default().push(meta.name.to_string());
                }
            }
        }
        if more.is_empty() {
            break;
        }
        owners = more;
    }
    found
}

fn in_namespace(cluster: &Cluster, namespace: &str) -> BTreeMap<Kind, Vec<String>> {
    let mut found: BTreeMap<Kind, Vec<String>> = BTreeMap::new();
    for kind in Kind::WATCHED.into_iter().filter(|k| k.info().namespaced && *k != Kind::Event) {
        let names: Vec<String> =
            cluster.objects(kind).filter(|o| *o.meta().namespace == *namespace).map(|o| o.meta().name.to_string()).collect();
        if !names.is_empty() {
            found.insert(kind, names);
        }
    }
    found
}

fn count(plan: &mut Plan, cluster: &Cluster, found: &BTreeMap<Kind, Vec<String>>) {
    let n = |kinds: &[Kind]| u32::try_from(kinds.iter().filter_map(|k| found.get(k)).map(Vec::len).sum::<usize>()).unwrap_or(u32::MAX);
    let (pods, workloads) = (n(&[Kind::Pod]), n(&[Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::Job, Kind::CronJob]));
    let names: BTreeSet<&str> = found.get(&Kind::Pod).into_iter().flatten().map(String::as_str).collect();
    // What has ended serves nobody.
    let serving = |o: &&Object| matches!(o, Object::Pod(p) if p.ready == Tri::True && names.contains(&*p.meta.name));
    let serving = cluster.objects(Kind::Pod).filter(serving).count();
    let blast = plan.blast_in(cluster.id);
    blast.pods += pods;
    blast.unavailable += u32::try_from(serving).unwrap_or(u32::MAX).min(pods);
    blast.workloads += workloads;
}

fn words(found: &BTreeMap<Kind, Vec<String>>) -> String {
    let part = |(kind, names): (&Kind, &Vec<String>)| match names.as_slice() {
        [one] => format!("{} {one}", kind.name()),
        all => format!("{} {}", all.len(), kind.plural()),
    };
    found.iter().map(part).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, NOW, at};
    use crate::model::{Kind, VerbId};
    use serde_json::json;

    #[test]
    fn what_goes_with_it_is_named() {
        let mut f = Fixture::new();
        let d = f.deployment("api", 2, |_| {});
        let owner = |kind: &str, uid: &str| json!([{"kind": kind, "name": "x", "uid": uid, "controller": true}]);
        let rs = f.add(
            Kind::ReplicaSet,
            json!({"metadata": {"name": "api-1", "namespace": "pay", "ownerReferences": owner("Deployment", d.uid.as_deref().unwrap())}}),
        );
        for n in 0..2 {
            f.pod(&format!("api-1-{n}"), "api", "n1", |p| {
                p["metadata"]["ownerReferences"] = owner("ReplicaSet", rs.uid.as_deref().unwrap());
                p["status"]["conditions"][0]["status"] = if n == 0 { "True" } else { "False" }.into();
            });
        }
        let plan = f.plan(VerbId::Delete, Kind::Deployment, &["api"], "").unwrap();
        assert_eq!(plan.notes[0].text, "goes with it: 2 pods, ReplicaSet api-1");
        assert_eq!((plan.blast[0].pods, plan.blast[0].unavailable), (2, 1), "one of them does not serve now");
        assert_eq!((plan.irreversible, plan.undo.word()), (true, "none"));
        let crate::model::Act::Write(write) = &plan.steps[0].act else { panic!() };
        assert_eq!(write.body["preconditions"]["uid"].as_str(), d.uid.as_deref());
        let orphan = f.plan(VerbId::Delete, Kind::Deployment, &["api"], "cascade=orphan").unwrap();
        assert_eq!((orphan.notes[0].text.as_str(), orphan.blast[0].pods), ("left without an owner: 2 pods, ReplicaSet api-1", 0));
    }

    #[test]
    fn a_namespace_takes_everything_and_force_says_what_it_is() {
        let mut f = Fixture::new();
        f.add(Kind::Namespace, json!({"metadata": {"name": "pay"}}));
        f.add(Kind::Namespace, json!({"metadata": {"name": "kube-system"}}));
        f.deployment("api", 2, |_| {});
        f.pod("api-0", "api", "n1", |_| {});
        let plan = f.plan(VerbId::Delete, Kind::Namespace, &["pay"], "").unwrap();
        assert_eq!(
            (plan.verdict.words().as_str(), plan.blast[0].pods, plan.blast[0].workloads),
            ("degrades namespace pay to nothing", 1, 1)
        );
        assert!(f.plan(VerbId::Delete, Kind::Namespace, &["kube-system"], "").unwrap().notes[0].text.contains("system namespace"));
        let forced = f.plan(VerbId::Delete, Kind::Pod, &["api-0"], "force").unwrap();
        assert!(forced.notes[0].text.starts_with("force: "));
        let crate::model::Act::Write(write) = &forced.steps[0].act else { panic!() };
        assert_eq!(write.body["gracePeriodSeconds"], 0);
    }

    #[test]
    fn before_a_namespace_goes_a_backup_of_it_is_offered() {
        let mut f = Fixture::new();
        f.velero();
        let plan = f.plan(VerbId::Delete, Kind::Namespace, &["pay"], "").unwrap();
        assert_eq!((plan.notes[0].level, plan.notes[0].text.as_str()), (crate::model::Level::Danger, "no completed backup has it"));
        let offer = &plan.offers[0];
        assert_eq!((offer.verb, offer.before, offer.text.as_str()), (VerbId::Backup, true, "back up namespace pay"));
        f.backup("b0", "Completed", 7200, |_| {});
        f.backup("b1", "Completed", 60, |b| b["spec"]["labelSelector"] = json!({"matchLabels": {"app": "api"}}));
        let plan = f.plan(VerbId::Delete, Kind::Namespace, &["pay"], "").unwrap();
        assert_eq!(plan.notes[0].text, "the newest completed backup of it is 2h old (b0)", "b1 has a part of it");
        f.add(Kind::Namespace, json!({"metadata": {"name": "new", "creationTimestamp": at(NOW - 60)}}));
        f.backup("all", "Completed", 600, |b| b["spec"]["includedNamespaces"] = json!(["*"]));
        let note = f.plan(VerbId::Delete, Kind::Namespace, &["new"], "").unwrap().notes[0].clone();
        let text = "no completed backup has it as it is: the newest of that name (all) is older than the namespace";
        assert_eq!((note.level, note.text.as_str()), (crate::model::Level::Danger, text));
        let all = f.plan(VerbId::Delete, Kind::Namespace, &["pay", "shop"], "").unwrap();
        let names: Vec<&str> = all.offers[0].targets.iter().map(|t| t.name.as_str()).collect();
        assert_eq!((all.offers.len(), all.offers[0].text.as_str(), names), (1, "back up these 2 namespaces", vec!["pay", "shop"]));
        let object = f.plan(VerbId::Delete, Kind::Backup, &["b0"], "").unwrap();
        assert_eq!((object.offers[0].verb, object.offers[0].before), (VerbId::BackupDelete, false));
    }

    #[test]
    fn what_is_gone_is_said() {
        let mut f = Fixture::new();
        assert_eq!(f.plan(VerbId::Delete, Kind::Pod, &["no"], "").unwrap_err(), "lab: pod pay/no is gone");
    }
}
