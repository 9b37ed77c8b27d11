//! `scale`: the replicas of anything that has `/scale`. Who else owns that number is said, and what would serve better is offered.

use super::super::blast::{Newcomer, Scaler, Storage, claims, owned_by, place, scalers};
use super::super::snapshot::{NoFact, gather};
use super::template::{budgets, labels, selector};
use super::{Request, Snapshot, Stop, nothing, subject};
use crate::model::plan::Offer;
use crate::model::{Act, Args, Kind, Level, Method, Object, Plan, Replicas, Step, Target, VerbId, Verdict, Wait, Write};
use serde_json::{Value, json};

/// New pods that are placed in thought at most.
const MOST: usize = 500;

pub fn plan(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let wanted = request.args.get("replicas").and_then(Replicas::parse);
    let wanted = wanted.ok_or_else(|| Stop::refuse("usage", "scale needs a number of replicas"))?;
    let known = gather(request.targets.iter().map(|t| now(snapshot, t)))?;
    // What serves nothing any more is only of interest where nothing is left.
    let ends = |(t, number): (&Target, &Number)| (wanted.of(number.is) == 0).then(|| services(snapshot, t));
    gather(request.targets.iter().zip(&known).filter_map(ends))?;
    let mut plan = Plan::new(request.verb, &request.args, format!("scale {}", subject(request)));
    for (lane, (target, number)) in request.targets.iter().zip(known).enumerate() {
        let (object, is, was) = (number.object, number.is, number.word());
        if number.set.is_none() && !matches!(wanted, Replicas::To(_)) {
            let why = format!("{} has no number of its own: its controller fills it in", target.label());
            return Err(Stop::refuse("usage", why).with_hint("say the number itself"));
        }
        if request.args.count("current-replicas").is_some_and(|n| number.set != Some(n)) {
            let expected = request.args.get("current-replicas").unwrap_or("");
            return Err(Stop::refuse("conflict", format!("{} has {was} replicas, not {expected}", target.label())));
        }
        let to = wanted.of(is);
        let title = format!("scale {} {was} -> {to}", target.label());
        if request.targets.len() == 1 {
            plan.title.clone_from(&title);
        }
        if number.set == Some(to) {
            plan.note(Level::Info, format!("{} has {is} replicas already", target.label()));
            continue;
        }
        let target = Target { uid: object["metadata"]["uid"].as_str().map(str::to_owned), ..target.clone() };
        judge(snapshot, &mut plan, &target, object, is, to)?;
        let write = |n: i64| Write {
            method: Method::MergePatch,
            path: format!("{}/scale", target.path()),
            query: String::new(),
            body: json!({"spec": {"replicas": n}}),
        };
        let mut step = Step::new(title, &target, Act::Write(write(to)));
        let back = match (number.set, &number.field) {
            (None, Some(field)) => Some(unset(&target, field)),
            (set, _) => set.map(write),
        };
        match number.field {
            Some(field) => step = step.changing(field, number.set.map(Value::from), Some(json!(to))),
            None => plan.note(
                Level::Warning,
                format!("where {} keeps its number cannot be read: a change by others before it begins goes unnoticed", target.label()),
            ),
        }
        if let Some(back) = back {
            step = step.undone_by(format!("scale {} {to} -> {was}", target.label()), back);
        }
        plan.steps.push(step.at(lane, 0));
        plan.steps.push(Step::new(format!("wait for {}", target.label()), &target, Act::Wait(Wait::Scaled { replicas: to })).at(lane, 1));
    }
    if plan.steps.is_empty() {
        return Err(nothing(&plan));
    }
    plan.parallel = 4;
    plan.undo_text = "scales back to the number there was".to_owned();
    Ok(plan)
}

/// Where an object keeps the number of its replicas.
struct Number<'a> {
    object: &'a Value,
    /// None: it is unset, which is for its controller to fill in.
    set: Option<i64>,
    /// How many there are.
    is: i64,
    /// The field, as a pointer. None: the definition of its kind cannot be read.
    field: Option<String>,
}

impl Number<'_> {
    fn word(&self) -> String {
        self.set.map_or_else(|| "unset".to_owned(), |n| n.to_string())
    }
}

/// The number that an object has now.
fn now<'a>(snapshot: &Snapshot<'a>, target: &Target) -> Result<Number<'a>, Stop> {
    let scale = snapshot.fact(target.cluster, format!("{}/scale", target.path()));
    let field = field(snapshot, target);
    let known = [snapshot.object(target).map(drop), scale.clone().map(drop), scalers(snapshot, target).map(drop), field.clone().map(drop)];
    gather(known.into_iter())?;
    let (object, field) = (snapshot.object(target)?, field?);
    // What an earlier step of the same plan sets is in the object.
    let written = |field: &Option<String>| field.as_ref().and_then(|f| object.pointer(f)).and_then(Value::as_i64);
    let set = match scale? {
        Ok(scale) => written(&field).or_else(|| scale["spec"]["replicas"].as_i64()),
        // A custom resource whose replicas are unset answers with an error, and can be scaled all the same.
        Err(NoFact::Other(_)) if field.is_some() && target.resource.known().is_none() => written(&field),
        Err(NoFact::NotFound) => return Err(Stop::refuse("usage", format!("{} cannot be scaled: it has no /scale", target.label()))),
        Err(NoFact::Forbidden(why) | NoFact::Other(why)) => return Err(Stop::refuse("forbidden", format!("{}: {why}", target.label()))),
    };
    let is = set.or_else(|| object["status"]["replicas"].as_i64()).unwrap_or(0);
    Ok(Number { object, set, is, field })
}

/// Where objects of a target's kind keep the number: a custom one's definition says.
fn field(snapshot: &Snapshot, target: &Target) -> Result<Option<String>, Stop> {
    let usual = || Some("/spec/replicas".to_owned());
    let kind = &target.resource;
    if kind.known().is_some() {
        return Ok(usual());
    }
    let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{}.{}", kind.plural, kind.group);
    Ok(match snapshot.fact(target.cluster, path)? {
        Ok(definition) => {
            let mut versions = definition["spec"]["versions"].as_array().into_iter().flatten();
            let version = versions.find(|v| v["name"] == kind.version.as_str());
            let path = version.and_then(|v| v["subresources"]["scale"]["specReplicasPath"].as_str());
            path.map_or_else(usual, |path| Some(path.replace('.', "/")))
        }
        Err(NoFact::NotFound) => usual(),
        Err(_) => match snapshot.fact(target.cluster, target.path())? {
            Ok(object) if object["spec"]["replicas"].is_i64() => usual(),
            _ => None,
        },
    })
}

/// The write that takes the number away again.
fn unset(target: &Target, field: &str) -> Write {
    let body = field.rsplit('/').filter(|part| !part.is_empty()).fold(Value::Null, |inner, part| json!({part: inner}));
    Write { method: Method::MergePatch, path: target.path(), query: String::new(), body }
}

/// What it means: who scales it otherwise, what is left, who would put it back.
fn judge(snapshot: &Snapshot, plan: &mut Plan, target: &Target, object: &Value, is: i64, to: i64) -> Result<(), Stop> {
    for scaler in scalers(snapshot, target)? {
        match &scaler {
            Scaler::Hpa { target: hpa, min, max } => {
                let fate = if to == 0 {
                    "at 0 it stops scaling and does not bring the workload back".to_owned()
                } else if to < i64::from(*min) || to > i64::from(*max) {
                    format!("its bounds are {min} to {max}: it puts the number back at once")
                } else {
                    "it puts the number back as its metrics say".to_owned()
                };
                plan.note(Level::Warning, format!("{} owns the replicas: {fate}", scaler.words()));
                let bounds = format!("min={to} max={}", to.max(i64::from(*max)));
                if to > 0
                    && let Ok(args) = Args::parse(VerbId::HpaSet.info(), &bounds)
                {
                    let text = format!("set the least replicas of {} to {to}", scaler.words());
                    plan.offers.push(Offer { text, before: false, verb: VerbId::HpaSet, args, targets: vec![hpa.clone()] });
                }
            }
            Scaler::Keda { paused: true, .. } => plan.note(Level::Info, format!("{} is paused", scaler.words())),
            Scaler::Keda { target: keda, paused: false } => {
                plan.note(Level::Warning, format!("{} owns the replicas: it puts the number back", scaler.words()));
                if let Ok(args) = Args::parse(VerbId::KedaPause.info(), &format!("replicas={to}")) {
                    let text = format!("pause {} at {to}", scaler.words());
                    plan.offers.push(Offer { text, before: false, verb: VerbId::KedaPause, args, targets: vec![keda.clone()] });
                }
            }
        }
        plan.blast_in(target.cluster).undone_by.push(scaler.words());
    }
    for tool in owned_by(object) {
        plan.note(Level::Warning, format!("{tool} may put the number back, and its next apply conflicts"));
        plan.blast_in(target.cluster).undone_by.push(tool);
    }
    let touched = u32::try_from((to - is).abs()).unwrap_or(u32::MAX);
    let blast = plan.blast_in(target.cluster);
    blast.workloads += 1;
    blast.pods += touched;
    if to < is {
        blast.unavailable += touched;
        let template = labels(&object["spec"]["template"]["metadata"]["labels"]);
        let over = budgets(snapshot, target, &template);
        let names = over.iter().map(|pdb| format!("{}/{}", pdb.meta.namespace, pdb.meta.name)).collect::<Vec<_>>();
        if let Some(first) = names.first() {
            plan.note(Level::Info, format!("pdb {first} does not count here: budgets are for evictions"));
        }
        plan.blast_in(target.cluster).budgets.extend(names);
        if object["spec"]["persistentVolumeClaimRetentionPolicy"]["whenScaled"] == "Delete" {
            plan.note(Level::Danger, format!("the claims of the pods that go are deleted with their data: {} says so", target.label()));
            plan.irreversible = true;
        }
    }
    if to > is {
        room(snapshot, plan, target, object, (is, to))?;
    }
    if to == 0 {
        for service in services(snapshot, target)? {
            if let Some(name) = emptied(snapshot, target, object, service) {
                plan.note(Level::Danger, format!("service {}/{name} has no ready endpoint any more", target.namespace));
            }
        }
        plan.note(Level::Danger, format!("no pod of {} is left: nothing serves it any more", target.label()));
        plan.judge(Verdict::Degrades(format!("{} to nothing", target.title())));
        plan.irreversible = true;
    }
    Ok(())
}

/// The Services of the target's namespace.
fn services<'a>(snapshot: &Snapshot<'a>, target: &Target) -> Result<&'a [Value], Stop> {
    match snapshot.list(target.cluster, format!("/api/v1/namespaces/{}/services", target.namespace)) {
        // Not ours to see: the number can be set all the same.
        Err(Stop::Refuse { .. }) => Ok(&[]),
        other => other,
    }
}

/// The name of a Service that only pods of this workload serve.
fn emptied(snapshot: &Snapshot, target: &Target, object: &Value, service: &Value) -> Option<String> {
    let wanted = &service["spec"]["selector"];
    let picks = selector(&json!({"matchLabels": wanted})).filter(|_| wanted.as_object().is_some_and(|o| !o.is_empty()))?;
    let own = selector(&object["spec"]["selector"])?;
    let template = labels(&object["spec"]["template"]["metadata"]["labels"]);
    let cluster = snapshot.store.cluster(target.cluster)?;
    let pods = cluster.objects(Kind::Pod).filter(|p| *p.meta().namespace == *target.namespace && picks.matches(&p.meta().labels));
    let others =
        pods.filter(|p| !own.matches(&p.meta().labels) && matches!(p, Object::Pod(p) if p.ready == crate::model::Tri::True)).count();
    (picks.matches(&template) && others == 0).then(|| service["metadata"]["name"].as_str().unwrap_or("").to_owned())
}

/// Whether the new pods find room.
fn room(snapshot: &Snapshot, plan: &mut Plan, target: &Target, object: &Value, (is, to): (i64, i64)) -> Result<(), Stop> {
    let (Some(cluster), Some(Object::Workload(w))) = (snapshot.store.cluster(target.cluster), snapshot.row(target)) else { return Ok(()) };
    if !cluster.current(Kind::Node) || !cluster.current(Kind::Pod) {
        plan.note(Level::Info, "whether the new pods find room is not known: nodes and pods are not all seen");
        return Ok(());
    }
    // The labels that spread and affinity look at are those of the pods: of one that is there, else of the selector.
    let pod = cluster
        .objects(Kind::Pod)
        .find(|p| *p.meta().namespace == *target.namespace && w.selector.as_ref().is_some_and(|s| s.matches(&p.meta().labels)));
    let selected = w.selector.as_ref().map(|s| s.labels.clone()).unwrap_or_default();
    let labels = pod.map_or(&selected, |p| &p.meta().labels);
    let count = usize::try_from(to - is).unwrap_or(0).min(MOST);
    let mut claimed: Vec<Vec<String>> = (is..).take(count).map(|n| claims_of(target, object, n)).collect();
    let wanted = claimed.iter().flatten().map(|claim| (target.namespace.clone(), claim.clone()));
    let storage = Storage::of(snapshot, target.cluster, wanted.collect())?;
    if target.resource.known() == Some(Kind::StatefulSet) {
        // What is not there is made where the pod goes.
        claimed.iter_mut().for_each(|claims| claims.retain(|claim| storage.has(&target.namespace, claim)));
    }
    let newcomer = |claims| Newcomer { namespace: &target.namespace, name: &target.name, labels, shape: &w.shape, claims };
    let newcomers: Vec<Newcomer> = claimed.iter().map(|claims| newcomer(claims.as_slice())).collect();
    let placement = place(cluster, &newcomers, &[], &[], &storage);
    if let Some((_, why)) = placement.unplaced.first() {
        let fits = placement.fits;
        plan.note(Level::Warning, format!("{fits} of {count} new pods of {} find room: {why}", target.label()));
        plan.judge(Verdict::Degrades(format!("{}: {} of its new pods stay pending", target.title(), placement.unplaced.len())));
    }
    let all = plan.blast_in(target.cluster).placement.get_or_insert_default();
    all.fits += placement.fits;
    all.unplaced.extend(placement.unplaced);
    all.unjudged += placement.unjudged;
    all.unknown.extend(placement.unknown);
    Ok(())
}

/// The claims of a workload's n-th pod, from 0: those of its template, and a StatefulSet's own.
fn claims_of(target: &Target, object: &Value, n: i64) -> Vec<String> {
    let mut all = claims(&object["spec"]["template"]);
    let ordinal = object["spec"]["ordinals"]["start"].as_i64().unwrap_or(0) + n;
    let own = object["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten().filter_map(|t| t["metadata"]["name"].as_str());
    all.extend(own.map(|name| format!("{name}-{}-{ordinal}", target.name)));
    all
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use crate::model::{Kind, VerbId};
    use serde_json::json;

    #[test]
    fn new_pods_that_find_no_room_are_said_before() {
        let mut f = Fixture::new();
        f.node("n1", |_| {});
        f.deployment("api", 1, |d| d["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "3"}}));
        let plan = f.plan(VerbId::Scale, Kind::Deployment, &["api"], "5").unwrap();
        assert_eq!(plan.verdict.words(), "degrades pay/api: 2 of its new pods stay pending");
        let placement = plan.blast[0].placement.as_ref().unwrap();
        assert_eq!((placement.fits, placement.unplaced.len()), (2, 2));
    }

    #[test]
    fn a_pod_whose_claim_was_kept_goes_where_it_is_and_a_new_one_anywhere() {
        let mut f = Fixture::new();
        f.node("n1", |n| n["metadata"]["labels"]["zone"] = "a".into());
        let set = f.add(
            Kind::StatefulSet,
            json!({"metadata": {"name": "db", "namespace": "pay"}, "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "db"}},
                "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "db"}]}},
                "volumeClaimTemplates": [{"metadata": {"name": "data"}}]}}),
        );
        f.fact(&format!("{}/scale", set.path()), json!({"kind": "Scale", "metadata": {"resourceVersion": "1"}, "spec": {"replicas": 1}}));
        let claim = json!({"metadata": {"name": "data-db-1"}, "spec": {"volumeName": "pv-1"}});
        f.fact("/api/v1/namespaces/pay/persistentvolumeclaims", json!({"items": [claim]}));
        let term = json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]});
        f.fact("/api/v1/persistentvolumes/pv-1", json!({"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [term]}}}}));
        let plan = f.plan(VerbId::Scale, Kind::StatefulSet, &["db"], "3").unwrap();
        let placement = plan.blast[0].placement.as_ref().unwrap();
        assert_eq!((placement.fits, placement.unplaced.len()), (1, 1), "db-1 has its claim in another zone, db-2 gets a new one");
        assert!(placement.unplaced[0].1.contains("not where claim data-db-1 is") && placement.unknown.is_empty());
    }

    #[test]
    fn services_that_nobody_serves_any_more_are_named_and_claims_that_go() {
        let mut f = Fixture::new();
        f.deployment("api", 3, |_| {});
        f.add(Kind::Pdb, json!({"metadata": {"name": "api", "namespace": "pay"}, "spec": {"selector": {"matchLabels": {"app": "api"}}}}));
        let service = |name: &str, app: &str| json!({"metadata": {"name": name}, "spec": {"selector": {"app": app}}});
        f.fact(
            "/api/v1/namespaces/pay/services",
            json!({"items": [service("front", "api"), service("other", "web"), {"metadata": {"name": "none"}, "spec": {}}]}),
        );
        let plan = f.plan(VerbId::Scale, Kind::Deployment, &["api"], "0").unwrap();
        let notes: Vec<&str> = plan.notes.iter().map(|n| n.text.as_str()).collect();
        assert!(
            notes.contains(&"service pay/front has no ready endpoint any more") && !notes.iter().any(|n| n.contains("other")),
            "{notes:?}"
        );
        assert_eq!(plan.blast[0].budgets, ["pay/api"]);
        let set = json!({"metadata": {"name": "db", "namespace": "pay"}, "spec": {"replicas": 3, "persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"}}});
        f.add(Kind::StatefulSet, set);
        f.fact("/apis/apps/v1/namespaces/pay/statefulsets/db/scale", json!({"spec": {"replicas": 3}}));
        let plan = f.plan(VerbId::Scale, Kind::StatefulSet, &["db"], "2").unwrap();
        assert!(plan.irreversible && plan.notes[0].text.contains("are deleted with their data"));
    }

    #[test]
    fn the_number_goes_there_and_back() {
        let mut f = Fixture::new();
        f.node("n1", |_| {});
        f.deployment("api", 3, |_| {});
        let plan = f.plan(VerbId::Scale, Kind::Deployment, &["api"], "+4").unwrap();
        assert_eq!((plan.title.as_str(), plan.verdict.words().as_str()), ("scale deployment pay/api 3 -> 7", "fits"));
        let step = &plan.steps[0];
        assert_eq!(step.permission().unwrap().words(), "patch deployments/scale in pay");
        assert_eq!(step.undo.as_ref().unwrap().act.request().unwrap().body, json!({"spec": {"replicas": 3}}));
        assert_eq!(step.undo.as_ref().unwrap().changes[0].before, Some(json!(7)));
        let same = f.plan(VerbId::Scale, Kind::Deployment, &["api"], "3").unwrap_err();
        assert_eq!(same, "nothing to do: deployment pay/api has 3 replicas already");
        let moved = f.plan(VerbId::Scale, Kind::Deployment, &["api"], "5 current-replicas=2").unwrap_err();
        assert_eq!(moved, "deployment pay/api has 3 replicas, not 2");
    }

    #[test]
    fn an_autoscaler_that_owns_the_number_is_named_and_offered() {
        let mut f = Fixture::new();
        f.deployment("api", 3, |_| {});
        f.add(
            Kind::Hpa,
            json!({"metadata": {"name": "api", "namespace": "pay"},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "api"}, "minReplicas": 2, "maxReplicas": 5}}),
        );
        let plan = f.plan(VerbId::Scale, Kind::Deployment, &["api"], "8").unwrap();
        assert_eq!(plan.notes[0].text, "hpa pay/api owns the replicas: its bounds are 2 to 5: it puts the number back at once");
        let offer = &plan.offers[0];
        assert_eq!((offer.text.as_str(), offer.args.to_string().as_str()), ("set the least replicas of hpa pay/api to 8", "max=8 min=8"));
        assert_eq!(plan.blast[0].undone_by, ["hpa pay/api"]);
    }

    #[test]
    fn a_scaled_object_is_offered_to_be_paused() {
        let mut f = Fixture::new();
        f.deployment("api", 3, |_| {});
        f.fact(
            "/apis/keda.sh/v1alpha1/namespaces/pay/scaledobjects",
            json!({"items": [{"metadata": {"name": "queue", "uid": "k"}, "spec": {"scaleTargetRef": {"name": "api"}}}]}),
        );
        let plan = f.plan(VerbId::Scale, Kind::Deployment, &["api"], "1").unwrap();
        assert_eq!(plan.offers[0].text, "pause scaledobject pay/queue at 1");
    }

    #[test]
    fn zero_warns_and_asks_for_the_name() {
        let mut f = Fixture::new();
        f.deployment("api", 3, |_| {});
        let plan = f.plan(VerbId::Scale, Kind::Deployment, &["api"], "0").unwrap();
        assert_eq!((plan.verdict.words().as_str(), plan.irreversible), ("degrades pay/api to nothing", true));
    }

    #[test]
    fn what_has_no_scale_says_so() {
        let mut f = Fixture::new();
        f.add(Kind::Deployment, json!({"metadata": {"name": "odd", "namespace": "pay"}}));
        let refused = f.plan(VerbId::Scale, Kind::Deployment, &["odd"], "2").unwrap_err();
        assert_eq!(refused, "deployment pay/odd cannot be scaled: it has no /scale");
        assert_eq!(f.plan(VerbId::Scale, Kind::Node, &["n"], "2").unwrap_err(), "scale is for anything with /scale, not for a Node");
    }
}
