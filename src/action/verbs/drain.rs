//! `drain` and `evict`: pods that have to go, which of them may, what keeps them, where they find room.
//!
//! The filters are kubectl's, in its order, and all of them are asked before anything is cordoned. What stands in the way is said by name.

use super::super::blast::{Claim, Newcomer, Storage, budgets, claims, place};
use super::super::snapshot::{NoFact, gather};
use super::{Request, Snapshot, Stop, cordon, drain_quiet, subject};
use crate::model::{
    Act, ClusterId, Interner, Kind, Level, Object, Owner, Plan, Pod, Selector, Step, Sweep, Target, Tri, Verdict, Wait, decode_json,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How the command line asks for it.
struct Flags {
    emptydir: bool,
    force: bool,
    leave_daemonsets: bool,
    delete: bool,
    grace: Option<i64>,
    selector: Option<Selector>,
    skip_terminating: Option<i64>,
    keep_capacity: bool,
}

/// What becomes of a pod.
enum Fate {
    Evict,
    /// It goes already.
    Wait,
    Leave(&'static str),
    /// It must not go without a flag: which, and what about it.
    Needs(&'static str, String),
}

/// Ready pods by what they are under: the number of a budget, or none.
type Away = BTreeMap<Option<usize>, usize>;

/// A pod as the API server has it, and the claims of its volumes, which are in no row.
#[derive(Clone)]
struct Found {
    pod: Arc<Pod>,
    claims: Vec<String>,
}

pub fn drain(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let args = &request.args;
    let selector = args.get("pod-selector").map(Selector::parse).transpose().map_err(|e| Stop::refuse("usage", e))?;
    let flags = Flags {
        emptydir: args.flag("delete-emptydir-data"),
        force: args.flag("force"),
        leave_daemonsets: args.get("ignore-daemonsets") != Some("false"),
        delete: args.flag("disable-eviction"),
        grace: args.count("grace-period"),
        selector,
        skip_terminating: args.count("skip-wait-for-delete-timeout").filter(|s| *s > 0),
        keep_capacity: args.flag("keep-capacity"),
    };
    let read = |target: &Target| {
        gather([snapshot.object(target).map(drop), pods_on(snapshot, target).map(drop)].into_iter())?;
        Ok((snapshot.object(target)?, pods_on(snapshot, target)?))
    };
    let known = gather(request.targets.iter().map(read))?;
    // Zone by zone: lanes of one zone stand together.
    let zone = |node: &serde_json::Value| node["metadata"]["labels"]["topology.kubernetes.io/zone"].as_str().unwrap_or("").to_owned();
    let mut nodes: Vec<(&Target, _)> = request.targets.iter().zip(known).collect();
    nodes.sort_by_key(|(t, (node, _))| (t.cluster, zone(node)));

    let mut plan = Plan::new(request.verb, args, format!("drain {}", subject(request)));
    plan.parallel = u16::try_from(args.count("parallel").unwrap_or(1).max(1)).unwrap_or(u16::MAX);
    // As for kubectl, none at all is no limit.
    plan.timeout = args.duration("timeout").map(|d| d.as_secs()).filter(|s| *s > 0);
    plan.undo_text = "uncordons what this cordons; pods stay where they have gone".to_owned();
    let (mut refused, mut left): (BTreeMap<&str, Vec<String>>, BTreeMap<&str, usize>) = (BTreeMap::new(), BTreeMap::new());
    let mut going: BTreeMap<ClusterId, Vec<Found>> = BTreeMap::new();
    let mut zones: Vec<(ClusterId, String)> = Vec::new();
    for (lane, (target, (node, pods))) in nodes.iter().enumerate() {
        let here = (target.cluster, zone(node));
        if zones.last() != Some(&here) {
            zones.push(here);
        }
        plan.waves.push(u16::try_from(zones.len() - 1).unwrap_or(u16::MAX));
        plan.blast_in(target.cluster).nodes += 1;
        plan.sweeps.push(Sweep {
            lane: u16::try_from(lane).unwrap_or(u16::MAX),
            node: (*target).clone(),
            act: Act::Evict { grace: flags.grace, no_wait: false, keep_capacity: flags.keep_capacity, delete: flags.delete },
            emptydir: flags.emptydir,
            force: flags.force,
            selector: args.get("pod-selector").map(str::to_owned),
            part: String::new(),
        });
        if let Some(step) = cordon::step(target, node, true) {
            plan.steps.push(step.at(lane, 0));
        } else if !snapshot.assumed(target, "/spec/unschedulable") {
            plan.note(Level::Info, format!("{} is cordoned already, and stays so after an undo", target.name));
        }
        for found in pods {
            let pod = &found.pod;
            let (object, name) = (target_of(target.cluster, pod), title(pod));
            match fate(snapshot, target.cluster, pod, &flags)? {
                Fate::Evict => {
                    going.entry(target.cluster).or_default().push(found.clone());
                    let act = Act::Evict { grace: flags.grace, no_wait: false, keep_capacity: flags.keep_capacity, delete: flags.delete };
                    let how = if flags.delete { "delete" } else { "evict" };
                    plan.steps.push(Step::new(format!("{how} pod {name}"), &object, act).at(lane, 1));
                }
                Fate::Wait => {
                    plan.steps.push(Step::new(format!("wait for pod {name} to be gone"), &object, Act::Wait(Wait::Gone)).at(lane, 1));
                }
                Fate::Leave(why) => *left.entry(why).or_default() += 1,
                Fate::Needs(flag, what) => {
                    let several = request.targets.iter().any(|t| t.cluster != target.cluster);
                    let place = if several { snapshot.place(target.cluster) } else { String::new() };
                    refused.entry(flag).or_default().push(format!("{place}{name} ({what})"));
                }
            }
        }
    }
    if !refused.is_empty() {
        return Err(needs(&refused));
    }
    if plan.steps.is_empty() {
        plan.note(Level::Info, "no pod is left that would have to go");
        return Err(super::nothing(&plan));
    }
    if zones.len() < 2 || plan.parallel == 1 {
        plan.waves.clear();
    }
    for (why, n) in left {
        plan.note(Level::Info, format!("{n} pod{}: {why}", if n == 1 { " is left where it is" } else { "s are left where they are" }));
    }
    if flags.delete {
        plan.note(Level::Danger, "disruption budgets do not count: pods are deleted, not evicted");
    }
    if flags.emptydir && going.values().flatten().any(|p| p.pod.shape.placing.empty_dir) {
        plan.note(Level::Warning, "what is in emptyDir volumes is lost");
    }
    for (cluster, pods) in &going {
        let gone: Vec<&str> = request.targets.iter().filter(|t| t.cluster == *cluster).map(|t| t.name.as_str()).collect();
        judge(snapshot, &mut plan, *cluster, pods, &gone, flags.delete)?;
    }
    if args.flag("silence") {
        let nodes: Vec<&Target> = nodes.iter().map(|(target, _)| *target).collect();
        drain_quiet::put(snapshot, &mut plan, &nodes)?;
    } else {
        drain_quiet::offer(snapshot, &mut plan, request);
    }
    Ok(plan)
}

pub fn evict(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let grace = request.args.count("grace-period");
    let objects = snapshot.objects(&request.targets)?;
    let mut plan = Plan::new(request.verb, &request.args, format!("evict {}", subject(request)));
    plan.parallel = 16;
    plan.undo_text = "a controller makes another pod; this one does not come back".to_owned();
    let mut going: BTreeMap<ClusterId, Vec<Found>> = BTreeMap::new();
    for (lane, (target, object)) in request.targets.iter().zip(objects).enumerate() {
        let found = Found::of(object)?;
        let pod = &found.pod;
        if pod.mirror {
            return Err(Stop::refuse(
                "usage",
                format!("{} is a static pod: its kubelet runs it from a file, and it cannot be evicted", target.label()),
            ));
        }
        if pod.meta.owner.is_none() {
            plan.note(Level::Danger, format!("{} has no controller: nothing brings it back", target.label()));
            plan.irreversible = true;
        }
        plan.steps.push(Step::new(format!("evict {}", target.label()), &target_of(target.cluster, pod), Act::evict(grace)).at(lane, 0));
        going.entry(target.cluster).or_default().push(found);
    }
    for (cluster, pods) in &going {
        judge(snapshot, &mut plan, *cluster, pods, &[], false)?;
    }
    Ok(plan)
}

/// The pods of a node, as the API server has them now: also in namespaces that are not watched.
fn pods_on(snapshot: &Snapshot, node: &Target) -> Result<Vec<Found>, Stop> {
    let list = snapshot.list(node.cluster, list_path(node))?;
    list.iter().map(Found::of).collect()
}

fn list_path(node: &Target) -> String {
    format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", node.name)
}

/// Where a sweep finds the pods of its node.
pub(in crate::action) fn swept(sweep: &Sweep) -> String {
    list_path(&sweep.node)
}

/// A pod that came to a node while it was being emptied: its eviction, or why it must not go. None: it is left where it is.
pub(in crate::action) fn newcomer(sweep: &Sweep, pod: &serde_json::Value) -> Option<(Step, Option<String>)> {
    let pod = decode(pod).ok()?;
    let selector = sweep.selector.as_deref().map(Selector::parse).transpose().ok()?;
    let (owner, ended) = (pod.meta.owner.as_deref(), pod.finished());
    let daemon = owner.is_some_and(|o| &*o.kind == "DaemonSet") && !ended;
    if selector.is_some_and(|s| !s.matches(&pod.meta.labels)) || daemon || pod.mirror || pod.meta.deleting.is_some() {
        return None;
    }
    // Its controller would put the next one on the cordoned node too, and so for ever.
    if pod.shape.placing.ignores_cordon() {
        return None;
    }
    let why = if ended {
        None
    } else if pod.shape.placing.empty_dir && !sweep.emptydir {
        Some("it has emptyDir volumes: delete-emptydir-data would evict it")
    } else if owner.is_none() && !sweep.force {
        Some("no controller brings it back: force would evict it")
    } else {
        None
    };
    let text = format!("evict pod {}, which came to {} meanwhile", title(&pod), sweep.node.name);
    let step = Step { part: sweep.part.clone(), ..Step::new(text, &target_of(sweep.node.cluster, &pod), sweep.act.clone()) };
    Some((step, why.map(str::to_owned)))
}

impl Found {
    fn of(value: &serde_json::Value) -> Result<Self, Stop> {
        Ok(Self { pod: decode(value)?, claims: claims(value) })
    }
}

fn decode(value: &serde_json::Value) -> Result<Arc<Pod>, Stop> {
    match decode_json(Kind::Pod, value.to_string().as_bytes(), &mut Interner::default()) {
        Ok(Object::Pod(pod)) => Ok(pod),
        _ => Err(Stop::refuse("failed", "the answer holds something that is no pod")),
    }
}

fn target_of(cluster: ClusterId, pod: &Pod) -> Target {
    let (namespace, name) = (pod.meta.namespace.to_string(), pod.meta.name.to_string());
    Target { cluster, resource: Kind::Pod.into(), namespace, name, uid: Some(pod.meta.uid.to_string()) }
}

fn title(pod: &Pod) -> String {
    format!("{}/{}", pod.meta.namespace, pod.meta.name)
}

/// The first filter that has an opinion wins.
fn fate(snapshot: &Snapshot, cluster: ClusterId, pod: &Pod, flags: &Flags) -> Result<Fate, Stop> {
    if flags.selector.as_ref().is_some_and(|s| !s.matches(&pod.meta.labels)) {
        return Ok(Fate::Leave("not selected"));
    }
    if let (Some(most), Some(at)) = (flags.skip_terminating, pod.meta.deleting)
        && snapshot.now - at.secs() > most
    {
        return Ok(Fate::Leave("terminating for longer than is waited for"));
    }
    let owner = pod.meta.owner.as_deref();
    if let Some(owner) = owner.filter(|o| &*o.kind == "DaemonSet") {
        if pod.finished() {
            return Ok(Fate::Evict);
        }
        if orphaned(snapshot, cluster, pod, owner)? {
            return Ok(if flags.force { Fate::Evict } else { Fate::Needs("force", format!("its DaemonSet {} is gone", owner.name)) });
        }
        return Ok(if flags.leave_daemonsets {
            Fate::Leave("of DaemonSets")
        } else {
            Fate::Needs("ignore-daemonsets", format!("of DaemonSet {}", owner.name))
        });
    }
    if pod.mirror {
        return Ok(Fate::Leave("static pods of the kubelet"));
    }
    if !pod.finished() {
        if pod.shape.placing.empty_dir && !flags.emptydir {
            return Ok(Fate::Needs("delete-emptydir-data", "has emptyDir volumes".to_owned()));
        }
        if owner.is_none() && !flags.force {
            return Ok(Fate::Needs("force", "no controller brings it back".to_owned()));
        }
    }
    Ok(if pod.meta.deleting.is_some() { Fate::Wait } else { Fate::Evict })
}

/// Whether the DaemonSet of a pod is gone. Kinds of others that are called DaemonSet too are not in the table: theirs is always there.
fn orphaned(snapshot: &Snapshot, cluster: ClusterId, pod: &Pod, owner: &Owner) -> Result<bool, Stop> {
    let c = snapshot.cluster(cluster)?;
    if !c.current(Kind::DaemonSet) || c.table(Kind::DaemonSet).slot_of(owner.uid).is_some() {
        return Ok(false);
    }
    let target = target_of(cluster, pod);
    let own = match snapshot.fact(cluster, target.path())? {
        Ok(pod) => pod["metadata"]["ownerReferences"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|o| o["kind"] == "DaemonSet" && o["apiVersion"].as_str().is_some_and(|v| v.starts_with("apps/"))),
        Err(_) => false,
    };
    let path = format!("/apis/apps/v1/namespaces/{}/daemonsets/{}", pod.meta.namespace, owner.name);
    Ok(own && matches!(snapshot.fact(cluster, path)?, Err(NoFact::NotFound)))
}

/// Every reason, not only the last.
fn needs(refused: &BTreeMap<&str, Vec<String>>) -> Stop {
    let words = refused.iter().map(|(flag, pods)| {
        let more = if pods.len() > 5 { format!(" and {} more", pods.len() - 5) } else { String::new() };
        format!(
            "{} pod{} {flag}: {}{more}",
            pods.len(),
            if pods.len() == 1 { " needs" } else { "s need" },
            pods.iter().take(5).cloned().collect::<Vec<_>>().join(", ")
        )
    });
    let flags: Vec<&str> = refused.keys().copied().collect();
    Stop::refuse("flags", words.collect::<Vec<_>>().join("; "))
        .with_hint(format!("nothing was cordoned; with {}", flags.iter().map(|f| format!("--{f}")).collect::<Vec<_>>().join(" ")))
}

/// What it means for a cluster that these pods go, without these nodes.
fn judge(snapshot: &Snapshot, plan: &mut Plan, cluster: ClusterId, pods: &[Found], without: &[&str], delete: bool) -> Result<(), Stop> {
    let c = snapshot.cluster(cluster)?;
    let going: Vec<&Pod> = pods.iter().map(|p| &*p.pod).collect();
    let found = if delete { Default::default() } else { budgets(c, &going) };
    // What a controller brings back looks for room; what has ended or is alone does not.
    let back = || pods.iter().filter(|p| p.pod.meta.owner.is_some() && !p.pod.finished());
    let newcomers: Vec<Newcomer> = back().map(|p| Newcomer::of(&p.pod, &p.claims)).collect();
    let wanted = back().flat_map(|p| p.claims.iter().map(|claim| Claim::from((p.pod.meta.namespace.to_string(), claim.clone()))));
    let storage = Storage::of(snapshot, cluster, wanted.collect())?;
    let placement = place(c, &newcomers, without, &going, &storage);
    // Ready pods that are away at the same time: of those under one budget no more than it lets go.
    let together: Vec<(usize, &[String])> = found.together().collect();
    let group: BTreeMap<&str, usize> = together.iter().enumerate().flat_map(|(n, (_, pods))| pods.iter().map(move |p| (&**p, n))).collect();
    let (mut workloads, mut all) = (BTreeMap::<String, (Away, i32)>::new(), Away::default());
    for Found { pod, .. } in pods {
        let object = Object::Pod(pod.clone());
        let (ready, under) = (usize::from(pod.ready == Tri::True), group.get(&*title(pod)).copied());
        *all.entry(under).or_default() += ready;
        if let Object::Workload(w) = c.workload_of(&object) {
            let entry = workloads.entry(format!("{}/{}", w.meta.namespace, w.meta.name)).or_insert_with(|| (Away::new(), w.available));
            *entry.0.entry(under).or_default() += ready;
        }
    }
    let most = |away: &Away| -> usize { away.iter().map(|(under, n)| under.map_or(*n, |at| together[at].0.min(*n))).sum() };
    let to_nothing = |gone: usize, available: i32| gone > 0 && i32::try_from(gone).unwrap_or(i32::MAX) >= available;
    let emptied: Vec<&str> =
        workloads.iter().filter(|(_, (away, available))| to_nothing(most(away), *available)).map(|(name, _)| name.as_str()).collect();
    let unavailable = u32::try_from(most(&all)).unwrap_or(u32::MAX);
    for wave in &found.waves {
        plan.note(Level::Info, format!("pdb {} lets {} of {} go at a time", wave.name, wave.allowed, wave.pods.len()));
    }
    if let Some(seconds) = plan.timeout {
        let slow: BTreeSet<u32> = going.iter().map(|p| p.shape.grace).filter(|g| u64::from(*g) > seconds).collect();
        if let Some(grace) = slow.last() {
            plan.note(Level::Warning, format!("some pods may take {grace} s to end, longer than the time limit of {seconds} s"));
        }
    }
    if !emptied.is_empty() {
        plan.note(Level::Warning, format!("every ready pod of {} goes", list(&emptied)));
    }
    let verdict = if let Some(first) = found.blockers.first() {
        let more = if found.blockers.len() > 1 { format!(" and {} more", found.blockers.len() - 1) } else { String::new() };
        Verdict::Blocks(format!("{}{more}", first.what))
    } else if let Some((pod, _)) = placement.unplaced.first() {
        let more = if placement.unplaced.len() > 1 { format!(" and {} more", placement.unplaced.len() - 1) } else { String::new() };
        Verdict::Degrades(format!("{pod}{more}: no room"))
    } else if let Some(first) = emptied.first() {
        Verdict::Degrades(format!("{first} to nothing for a while"))
    } else {
        Verdict::Fits
    };
    plan.judge(verdict);
    let blast = plan.blast_in(cluster);
    blast.pods += u32::try_from(pods.len()).unwrap_or(u32::MAX);
    blast.workloads += u32::try_from(workloads.len()).unwrap_or(u32::MAX);
    blast.unavailable += unavailable;
    blast.budgets = found.names;
    blast.blockers = found.blockers;
    blast.placement = Some(placement);
    Ok(())
}

fn list(names: &[&str]) -> String {
    let more = if names.len() > 3 { format!(" and {} more", names.len() - 3) } else { String::new() };
    format!("{}{more}", names.iter().take(3).copied().collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use crate::model::{Act, Kind, Plan, VerbId};
    use serde_json::{Value, json};

    type Pods<'a> = &'a [(&'a str, fn(&mut Value))];

    /// Nodes n1 and n2; what is on n1 is also what its list of pods answers.
    fn lab(pods: Pods) -> Fixture {
        let mut f = Fixture::new();
        f.node("n1", |_| {});
        f.node("n2", |_| {});
        let mut items = Vec::new();
        for (name, more) in pods {
            let target = f.pod(name, "app", "n1", more);
            items.push(f.object(&target));
        }
        f.fact("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1", json!({"items": items}));
        f
    }

    fn texts(plan: &Plan) -> Vec<&str> {
        plan.steps.iter().map(|s| s.text.as_str()).collect()
    }

    #[test]
    fn cordon_first_then_every_pod_that_has_to_go() {
        let mut f = lab(&[
            ("a", |_| {}),
            ("static", |p| p["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"})),
            ("cni", |p| {
                p["metadata"]["ownerReferences"][0] =
                    json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "DaemonSet", "name": "cni", "uid": "ds", "controller": true})
            }),
            ("leaving", |p| p["metadata"]["deletionTimestamp"] = "2026-03-01T02:40:00Z".into()),
        ]);
        let plan = f.plan(VerbId::Drain, Kind::Node, &["n1"], "").unwrap();
        assert_eq!(texts(&plan), ["cordon node n1", "evict pod pay/a", "wait for pod pay/leaving to be gone"]);
        assert_eq!(plan.steps.iter().map(|s| s.stage).collect::<Vec<_>>(), [0, 1, 1]);
        assert_eq!(plan.verdict.words(), "fits");
        let notes: Vec<&str> = plan.notes.iter().map(|n| n.text.as_str()).collect();
        assert_eq!(notes, ["1 pod is left where it is: of DaemonSets", "1 pod is left where it is: static pods of the kubelet"]);
        assert!(plan.steps[1].undo.is_none() && plan.steps[0].undo.is_some(), "undo uncordons, no more");
    }

    #[test]
    fn every_pod_that_needs_a_flag_is_named_and_nothing_is_planned() {
        let pods: Pods = &[
            ("alone", |p| drop(p["metadata"].as_object_mut().unwrap().shift_remove("ownerReferences"))),
            ("scratch", |p| p["spec"]["volumes"] = json!([{"name": "s", "emptyDir": {}}])),
        ];
        let refused = lab(pods).plan(VerbId::Drain, Kind::Node, &["n1"], "").unwrap_err();
        assert_eq!(
            refused,
            "1 pod needs delete-emptydir-data: pay/scratch (has emptyDir volumes); 1 pod needs force: pay/alone (no controller brings it back)"
        );
        let plan = lab(pods).plan(VerbId::Drain, Kind::Node, &["n1"], "force delete-emptydir-data").unwrap();
        assert_eq!(plan.steps.len(), 3);
        let selected = lab(pods).plan(VerbId::Drain, Kind::Node, &["n1"], "pod-selector=app=other").unwrap();
        assert_eq!(texts(&selected), ["cordon node n1"]);
    }

    #[test]
    fn pods_of_a_daemonset_that_is_gone_need_force_and_zero_is_no_time_limit() {
        let pods: Pods = &[("cni", |p| p["metadata"]["ownerReferences"][0]["kind"] = "DaemonSet".into())];
        let refused = lab(pods).plan(VerbId::Drain, Kind::Node, &["n1"], "").unwrap_err();
        assert_eq!(refused, "1 pod needs force: pay/cni (its DaemonSet app-1 is gone)");
        let plan = lab(pods).plan(VerbId::Drain, Kind::Node, &["n1"], "force timeout=0s").unwrap();
        assert_eq!((texts(&plan).as_slice(), plan.timeout), (["cordon node n1", "evict pod pay/cni"].as_slice(), None));
        let mut there = lab(pods);
        there.fact("/apis/apps/v1/namespaces/pay/daemonsets/app-1", json!({"metadata": {"name": "app-1"}}));
        assert_eq!(texts(&there.plan(VerbId::Drain, Kind::Node, &["n1"], "").unwrap()), ["cordon node n1"]);
    }

    #[test]
    fn who_will_say_no_is_named_before() {
        let mut f = lab(&[("a", |_| {}), ("b", |_| {})]);
        f.add(
            Kind::Pdb,
            json!({"metadata": {"name": "app", "namespace": "pay", "generation": 1}, "spec": {"selector": {"matchLabels": {"app": "app"}}},
            "status": {"observedGeneration": 1, "disruptionsAllowed": 0, "currentHealthy": 2, "desiredHealthy": 2, "expectedPods": 2}}),
        );
        let plan = f.plan(VerbId::Drain, Kind::Node, &["n1"], "timeout=10s").unwrap();
        assert_eq!(plan.verdict.words(), "blocks on pdb pay/app");
        assert!(plan.blast[0].blockers[0].never && plan.timeout == Some(10));
        assert!(plan.notes.iter().any(|n| n.text.contains("30 s to end")), "{:?}", plan.notes);
        let forced = f.plan(VerbId::Drain, Kind::Node, &["n1"], "disable-eviction").unwrap();
        assert_eq!((forced.verdict.words().as_str(), forced.blast[0].blockers.len()), ("fits", 0));
        assert!(matches!(forced.steps[1].act, Act::Evict { delete: true, .. }));
    }

    #[test]
    fn of_pods_under_a_budget_no_more_are_away_than_it_lets_go() {
        let pods: Pods = &[("a", |_| {}), ("b", |_| {}), ("c", |_| {})];
        let planned = |allowed: i64| {
            let mut f = lab(pods);
            let replicas = json!({"replicas": 3, "readyReplicas": 3, "availableReplicas": 3});
            f.add(
                Kind::ReplicaSet,
                json!({"metadata": {"name": "app-1", "namespace": "pay", "uid": "rs-app"}, "spec": {"replicas": 3}, "status": replicas}),
            );
            f.add(
                Kind::Pdb,
                json!({"metadata": {"name": "app", "namespace": "pay", "generation": 1}, "spec": {"selector": {"matchLabels": {"app": "app"}}},
                "status": {"observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 3, "desiredHealthy": 3 - allowed, "expectedPods": 3}}),
            );
            let plan = f.plan(VerbId::Drain, Kind::Node, &["n1"], "").unwrap();
            (plan.verdict.words(), plan.blast[0].unavailable)
        };
        assert_eq!(planned(1), ("fits".to_owned(), 1), "two of them serve at any time");
        assert_eq!(planned(3), ("degrades pay/app-1 to nothing for a while".to_owned(), 3));
        assert_eq!(planned(0), ("blocks on pdb pay/app".to_owned(), 0), "they stay where they are");
    }

    #[test]
    fn a_pod_goes_only_where_its_storage_is() {
        let zoned = |zone: &'static str| move |n: &mut Value| n["metadata"]["labels"]["zone"] = zone.into();
        let planned = |volume: Option<Value>| {
            let mut f = Fixture::new();
            f.node("n1", zoned("a"));
            f.node("n2", zoned("b"));
            let pod = f.pod("db-0", "db", "n1", |p| {
                p["spec"]["volumes"] = json!([{"name": "d", "persistentVolumeClaim": {"claimName": "data-db-0"}}])
            });
            let items = json!({"items": [f.object(&pod)]});
            f.fact("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1", items);
            let claim = json!({"metadata": {"name": "data-db-0"}, "spec": {"volumeName": "pv-1"}});
            f.fact("/api/v1/namespaces/pay/persistentvolumeclaims", json!({"items": [claim]}));
            f.fact("/api/v1/persistentvolumes/pv-1", volume.unwrap_or(Value::Null));
            let plan = f.plan(VerbId::Drain, Kind::Node, &["n1"], "").unwrap();
            (plan.verdict.words(), plan.blast[0].placement.clone().unwrap())
        };
        let in_zone = |zone: &str| {
            let term = json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]});
            Some(json!({"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [term]}}}}))
        };
        let (verdict, placement) = planned(in_zone("a"));
        assert_eq!(verdict, "degrades pay/db-0: no room");
        assert_eq!(placement.unplaced, [("pay/db-0".to_owned(), "0 of 1 nodes: 1 not where claim data-db-0 is".to_owned())]);
        assert_eq!(planned(in_zone("b")).1.fits, 1);
        let (verdict, placement) = planned(None);
        assert_eq!((verdict.as_str(), placement.fits, placement.unjudged), ("fits", 0, 1), "it is not guessed");
        assert_eq!(placement.unknown, ["where the storage of 1 pod can go is not known: volume pv-1 is not there"]);
    }

    #[test]
    fn an_eviction_of_a_pod_without_a_controller_is_for_good() {
        let mut f = lab(&[("alone", |p| drop(p["metadata"].as_object_mut().unwrap().shift_remove("ownerReferences"))), ("a", |_| {})]);
        assert!(f.plan(VerbId::Evict, Kind::Pod, &["alone"], "").unwrap().irreversible);
        let plan = f.plan(VerbId::Evict, Kind::Pod, &["a"], "grace-period=0").unwrap();
        assert!(!plan.irreversible && plan.steps[0].act == Act::evict(Some(0)));
    }
}
