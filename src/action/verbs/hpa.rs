//! `hpa-set`, `hpa-freeze`, `hpa-thaw`: an autoscaler's bounds and behaviour. What a freeze replaced is kept in an annotation on the
//! autoscaler itself, so that anybody can thaw it, from another machine and after a restart.

use super::template::{aimed, owners};
use super::{Request, Snapshot, Stop, nothing, subject};
use crate::model::{Kind, Level, Method, Object, Plan, Step, Target, Verdict, Write};
use serde_json::{Map, Value, json};

const FROZEN: &str = "quarterdeck.io/frozen";
const FROZEN_AT: &str = "/metadata/annotations/quarterdeck.io~1frozen";
/// The longest stabilization window that the API takes, in seconds.
const WINDOW: i64 = 3600;

/// One field: its pointer, and the value wanted; none takes it away.
type Field = (String, Option<Value>);

pub fn set(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let args = &request.args;
    if args.is_empty() {
        return Err(Stop::refuse("usage", "hpa-set needs min, max, or a policy or window").with_hint(request.verb.info().usage()));
    }
    let mut plan = Plan::new(request.verb, args, format!("set {}", about(request)));
    for (lane, (target, hpa)) in request.targets.iter().zip(snapshot.objects(&request.targets)?).enumerate() {
        of_keda(target, hpa)?;
        let (mut min, mut max) = (hpa["spec"]["minReplicas"].as_i64().unwrap_or(1), hpa["spec"]["maxReplicas"].as_i64().unwrap_or(0));
        let mut wanted: Vec<Field> = Vec::new();
        for (name, field, bound) in [("min", "minReplicas", &mut min), ("max", "maxReplicas", &mut max)] {
            if let Some(n) = args.count(name) {
                *bound = n;
                wanted.push((format!("/spec/{field}"), Some(json!(n))));
            }
        }
        if max < 1 || max < min {
            return Err(Stop::refuse("usage", format!("{}: max must be at least 1 and not less than min: {min} to {max}", target.label())));
        }
        for way in ["scale-down", "scale-up"] {
            let side = if way == "scale-up" { "scaleUp" } else { "scaleDown" };
            if let Some(policy) = args.get(way) {
                wanted.push((format!("/spec/behavior/{side}/selectPolicy"), Some(json!(policy))));
            }
            if let Some(seconds) = args.count(&format!("{way}-window")) {
                if seconds > WINDOW {
                    return Err(Stop::refuse("usage", format!("{way}-window: {seconds} is more than {WINDOW} seconds")));
                }
                wanted.push((format!("/spec/behavior/{side}/stabilizationWindowSeconds"), Some(json!(seconds))));
            }
        }
        if min == 0 && args.count("min") == Some(0) {
            plan.note(Level::Warning, "a least of 0 needs the feature HPAScaleToZero; the dry run tells whether the server takes it");
        }
        if hpa["metadata"]["annotations"][FROZEN].is_string() {
            plan.note(Level::Warning, format!("{} is frozen: a thaw puts back what there was before the freeze", words(target)));
        }
        let target = aimed(target, hpa);
        let Some(step) =
            step(format!("set {}", words(&target)), format!("give {} back what it had", words(&target)), &target, hpa, &wanted)
        else {
            plan.note(Level::Info, format!("{} is so already", words(&target)));
            continue;
        };
        plan.steps.push(step.at(lane, 0));
        let is = replicas(snapshot, &target, hpa);
        judge(&mut plan, &target, hpa, is, min, max);
    }
    finish(plan, "puts the bounds and the behaviour back")
}

pub fn freeze(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let mut plan = Plan::new(request.verb, &request.args, format!("freeze {}", about(request)));
    let direction = request.args.get("direction");
    for (lane, (target, hpa)) in request.targets.iter().zip(snapshot.objects(&request.targets)?).enumerate() {
        of_keda(target, hpa)?;
        let kept = kept(target, hpa)?;
        let key = direction.unwrap_or("bounds");
        if kept.as_ref().is_some_and(|k| k.contains_key(key) || k.contains_key("bounds")) {
            plan.note(Level::Info, format!("{} is frozen already", words(target)));
            continue;
        }
        let mut kept = kept.unwrap_or_default();
        let is = replicas(snapshot, target, hpa);
        let mut wanted: Vec<Field> = Vec::new();
        if let Some(direction) = direction {
            let side = if direction == "up" { "scaleUp" } else { "scaleDown" };
            // Null tells that there was no behaviour at all: the server fills in the rest of it as soon as there is some.
            kept.insert(direction.to_owned(), hpa["spec"]["behavior"][side]["selectPolicy"].clone());
            wanted.push((format!("/spec/behavior/{side}/selectPolicy"), Some(json!("Disabled"))));
            plan.note(
                Level::Info,
                format!("{} scales {direction} no more while its bounds hold; out of them it does at once", words(target)),
            );
        } else {
            if is < 1 {
                return Err(Stop::refuse("usage", format!("{}: its workload has no replicas: it scales nothing", words(target))));
            }
            kept.insert(
                "bounds".to_owned(),
                json!({"min": hpa["spec"]["minReplicas"].as_i64().unwrap_or(1), "max": hpa["spec"]["maxReplicas"]}),
            );
            wanted.extend(["/spec/minReplicas", "/spec/maxReplicas"].map(|p| (p.to_owned(), Some(json!(is)))));
            plan.note(Level::Warning, format!("{} stays at {is}, whatever the load", workload(hpa)));
        }
        wanted.push((FROZEN_AT.to_owned(), Some(Value::String(Value::Object(kept).to_string()))));
        let target = aimed(target, hpa);
        let text = match direction {
            Some(direction) => format!("freeze {} scaling {direction}", words(&target)),
            None => format!("freeze {} at {is}", words(&target)),
        };
        if request.targets.len() == 1 {
            plan.title.clone_from(&text);
        }
        plan.steps.extend(step(text, format!("thaw {}", words(&target)), &target, hpa, &wanted).map(|s| s.at(lane, 0)));
        judge(&mut plan, &target, hpa, is, is, is);
    }
    finish(plan, "thaws it: the bounds and policies come back")
}

pub fn thaw(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let mut plan = Plan::new(request.verb, &request.args, format!("thaw {}", about(request)));
    for (lane, (target, hpa)) in request.targets.iter().zip(snapshot.objects(&request.targets)?).enumerate() {
        of_keda(target, hpa)?;
        let Some(kept) = kept(target, hpa)? else {
            plan.note(Level::Info, format!("{} is not frozen by quarterdeck", words(target)));
            continue;
        };
        let mut wanted: Vec<Field> = Vec::new();
        let (mut min, mut max) = (hpa["spec"]["minReplicas"].as_i64().unwrap_or(1), hpa["spec"]["maxReplicas"].as_i64().unwrap_or(0));
        if let Some(bounds) = kept.get("bounds") {
            let (Some(least), Some(most)) = (bounds["min"].as_i64(), bounds["max"].as_i64()) else { return Err(unreadable(target)) };
            if min != max {
                plan.note(Level::Warning, format!("{} was changed since it was frozen: {min} to {max} goes", words(target)));
            }
            (min, max) = (least, most);
            wanted.extend([("/spec/minReplicas".to_owned(), Some(json!(min))), ("/spec/maxReplicas".to_owned(), Some(json!(max)))]);
        }
        let policies: Vec<_> =
            [("up", "scaleUp"), ("down", "scaleDown")].into_iter().filter_map(|(d, side)| Some((side, kept.get(d)?))).collect();
        if policies.iter().any(|(_, policy)| policy.is_null()) {
            wanted.push(("/spec/behavior".to_owned(), None));
        } else {
            wanted.extend(policies.iter().map(|(side, policy)| (format!("/spec/behavior/{side}/selectPolicy"), Some((*policy).clone()))));
        }
        wanted.push((FROZEN_AT.to_owned(), None));
        let target = aimed(target, hpa);
        let text = format!("thaw {} to {min}..{max}", words(&target));
        if request.targets.len() == 1 {
            plan.title.clone_from(&text);
        }
        plan.steps.extend(step(text, format!("freeze {} again", words(&target)), &target, hpa, &wanted).map(|s| s.at(lane, 0)));
        let is = replicas(snapshot, &target, hpa);
        judge(&mut plan, &target, hpa, is, min, max);
    }
    finish(plan, "freezes it again as it was")
}

fn finish(mut plan: Plan, undo: &str) -> Result<Plan, Stop> {
    if plan.steps.is_empty() {
        return Err(nothing(&plan));
    }
    (plan.parallel, plan.undo_text) = (4, undo.to_owned());
    Ok(plan)
}

/// `hpa pay/api`.
/// The one that is named in titles, or how many there are.
fn about(request: &Request) -> String {
    if let [one] = request.targets.as_slice() { words(one) } else { subject(request) }
}

fn words(target: &Target) -> String {
    format!("hpa {}", target.title())
}

/// `deployment pay/api`, as the autoscaler names it.
fn workload(hpa: &Value) -> String {
    let of = &hpa["spec"]["scaleTargetRef"];
    let text = |v: &Value| v.as_str().unwrap_or("?").to_owned();
    format!("{} {}/{}", text(&of["kind"]).to_lowercase(), text(&hpa["metadata"]["namespace"]), text(&of["name"]))
}

/// KEDA writes its autoscalers anew whenever it looks at them.
fn of_keda(target: &Target, hpa: &Value) -> Result<(), Stop> {
    let owner = hpa["metadata"]["ownerReferences"].as_array().into_iter().flatten().find(|o| o["kind"] == "ScaledObject");
    let Some(name) = owner.and_then(|o| o["name"].as_str()) else { return Ok(()) };
    let message = format!("{} belongs to scaledobject {}/{name}, which would put it back", words(target), target.namespace);
    Err(Stop::refuse("owned", message)
        .with_hint(format!("qd keda pause scaledobject/{name} -n {}, or edit the ScaledObject", target.namespace)))
}

/// What the freeze kept; none: it is not frozen.
fn kept(target: &Target, hpa: &Value) -> Result<Option<Map<String, Value>>, Stop> {
    let Some(text) = hpa["metadata"]["annotations"][FROZEN].as_str() else { return Ok(None) };
    serde_json::from_str(text).map(Some).map_err(|_| unreadable(target))
}

fn unreadable(target: &Target) -> Stop {
    Stop::refuse(
        "usage",
        format!("{}: the annotation {FROZEN} cannot be read: set the bounds with hpa-set and take it away", words(target)),
    )
}

/// The replicas that its workload is to have now.
fn replicas(snapshot: &Snapshot, target: &Target, hpa: &Value) -> i64 {
    let of = &hpa["spec"]["scaleTargetRef"];
    let kind = of["kind"].as_str().and_then(Kind::parse);
    let row = kind.and_then(|k| snapshot.store.cluster(target.cluster)?.named(k, &target.namespace, of["name"].as_str().unwrap_or("")));
    match row {
        Some(Object::Workload(w)) => i64::from(w.desired.unwrap_or(0)),
        _ => hpa["status"]["currentReplicas"].as_i64().unwrap_or(0),
    }
}

/// The merge patch that sets these fields and the one that puts them back; none where all are so.
fn step(text: String, back: String, target: &Target, hpa: &Value, wanted: &[Field]) -> Option<Step> {
    let changed: Vec<&Field> = wanted.iter().filter(|(p, v)| hpa.pointer(p).filter(|v| !v.is_null()) != v.as_ref()).collect();
    let (mut body, mut undo) = (json!({}), json!({}));
    for (pointer, value) in &changed {
        put(&mut body, pointer, value.clone().unwrap_or(Value::Null));
        put(&mut undo, pointer, hpa.pointer(pointer).cloned().unwrap_or(Value::Null));
    }
    if hpa["spec"]["behavior"].is_null() && !undo["spec"]["behavior"].is_null() {
        // The server fills in what a behaviour leaves open: without one there was nothing of it.
        undo["spec"]["behavior"] = Value::Null;
    }
    let write = Write { method: Method::MergePatch, path: target.path(), query: String::new(), body: undo };
    let step = changed.iter().fold(Step::write(text, target, Method::MergePatch, body), |step, (pointer, value)| {
        step.changing(pointer.clone(), hpa.pointer(pointer).cloned(), value.clone())
    });
    (!changed.is_empty()).then(|| step.undone_by(back, write))
}

/// Sets a value at a pointer, making what is on the way.
fn put(body: &mut Value, pointer: &str, value: Value) {
    let mut at = body;
    for key in pointer.split('/').skip(1) {
        at = &mut at[key.replace("~1", "/").replace("~0", "~")];
    }
    *at = value;
}

/// What these bounds mean for the workload.
fn judge(plan: &mut Plan, target: &Target, hpa: &Value, is: i64, min: i64, max: i64) {
    owners(plan, target, hpa, "the spec");
    let to = is.clamp(min, max.max(min));
    let blast = plan.blast_in(target.cluster);
    blast.workloads += 1;
    if is == 0 {
        return;
    }
    let touched = u32::try_from((to - is).abs()).unwrap_or(0);
    blast.pods += touched;
    if to < is {
        blast.unavailable += touched;
        plan.note(Level::Warning, format!("{} is scaled from {is} to {to} at once: bounds go before every policy", workload(hpa)));
        plan.judge(Verdict::Degrades(format!("{}: {is} to {to} replicas", workload(hpa))));
    } else if to > is {
        plan.note(Level::Warning, format!("{} is scaled from {is} to {to} at once: bounds go before every policy", workload(hpa)));
    } else if is == max && min < max {
        plan.note(Level::Info, format!("{} is at {is}: it cannot scale up", workload(hpa)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;
    use crate::model::{Act, VerbId};

    fn cluster(more: impl FnOnce(&mut Value)) -> Fixture {
        let mut f = Fixture::new();
        f.deployment("api", 5, |_| {});
        let mut hpa = json!({"metadata": {"name": "api", "namespace": "pay"},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "api"}, "minReplicas": 2, "maxReplicas": 10}});
        more(&mut hpa);
        f.add(Kind::Hpa, hpa);
        f
    }

    fn body(step: &Step) -> Value {
        let Act::Write(write) = &step.act else { panic!() };
        write.body.clone()
    }

    #[test]
    fn bounds_and_behaviour_are_set_and_put_back() {
        let mut f = cluster(|_| {});
        let plan = f.plan(VerbId::HpaSet, Kind::Hpa, &["api"], "max=3 scale-down=Disabled").unwrap();
        assert_eq!(body(&plan.steps[0]), json!({"spec": {"maxReplicas": 3, "behavior": {"scaleDown": {"selectPolicy": "Disabled"}}}}));
        let undo = &plan.steps[0].undo.as_ref().unwrap().act.request().unwrap().body;
        assert_eq!(undo, &json!({"spec": {"maxReplicas": 10, "behavior": null}}), "there was no behaviour at all");
        assert_eq!(plan.verdict.words(), "degrades deployment pay/api: 5 to 3 replicas");
        assert_eq!((plan.blast[0].pods, plan.blast[0].unavailable), (2, 2));
        for (args, refused) in [
            ("", "hpa-set needs min, max, or a policy or window"),
            ("min=11", "horizontalpodautoscaler pay/api: max must be at least 1 and not less than min: 11 to 10"),
            ("scale-up-window=4000", "scale-up-window: 4000 is more than 3600 seconds"),
            ("min=2", "nothing to do: hpa pay/api is so already"),
        ] {
            assert_eq!(f.plan(VerbId::HpaSet, Kind::Hpa, &["api"], args).unwrap_err(), refused);
        }
    }

    #[test]
    fn a_freeze_keeps_what_there_was_where_a_thaw_finds_it() {
        let mut f = cluster(|_| {});
        let plan = f.plan(VerbId::HpaFreeze, Kind::Hpa, &["api"], "").unwrap();
        assert_eq!(plan.title, "freeze hpa pay/api at 5");
        let frozen = body(&plan.steps[0]);
        let text = frozen["metadata"]["annotations"][FROZEN].as_str().unwrap().to_owned();
        assert_eq!((&frozen["spec"], text.as_str()), (&json!({"minReplicas": 5, "maxReplicas": 5}), r#"{"bounds":{"min":2,"max":10}}"#));
        assert_eq!(
            f.plan(VerbId::HpaThaw, Kind::Hpa, &["api"], "").unwrap_err(),
            "nothing to do: hpa pay/api is not frozen by quarterdeck"
        );
        let mut f = cluster(|h| {
            h["metadata"]["annotations"] = json!({FROZEN: text});
            h["spec"]["minReplicas"] = 5.into();
            h["spec"]["maxReplicas"] = 5.into();
        });
        let plan = f.plan(VerbId::HpaThaw, Kind::Hpa, &["api"], "").unwrap();
        assert_eq!(
            body(&plan.steps[0]),
            json!({"spec": {"minReplicas": 2, "maxReplicas": 10}, "metadata": {"annotations": {FROZEN: null}}})
        );
        assert_eq!(plan.steps[0].undo.as_ref().unwrap().act.request().unwrap().body["spec"]["maxReplicas"], 5);
        assert_eq!(f.plan(VerbId::HpaFreeze, Kind::Hpa, &["api"], "").unwrap_err(), "nothing to do: hpa pay/api is frozen already");
    }

    #[test]
    fn one_direction_is_frozen_by_its_policy() {
        let mut f = cluster(|h| h["spec"]["behavior"] = json!({"scaleDown": {"selectPolicy": "Max"}, "scaleUp": {"selectPolicy": "Min"}}));
        let plan = f.plan(VerbId::HpaFreeze, Kind::Hpa, &["api"], "direction=down").unwrap();
        let frozen = body(&plan.steps[0]);
        assert_eq!(frozen["spec"], json!({"behavior": {"scaleDown": {"selectPolicy": "Disabled"}}}));
        assert_eq!(frozen["metadata"]["annotations"][FROZEN], r#"{"down":"Max"}"#);
        let mut f = cluster(|h| {
            h["metadata"]["annotations"] = json!({FROZEN: r#"{"down":null}"#});
            h["spec"]["behavior"] = json!({"scaleDown": {"selectPolicy": "Disabled"}});
        });
        let plan = f.plan(VerbId::HpaThaw, Kind::Hpa, &["api"], "").unwrap();
        assert_eq!(body(&plan.steps[0])["spec"], json!({"behavior": null}));
        assert_eq!(
            plan.steps[0].undo.as_ref().unwrap().act.request().unwrap().body["spec"]["behavior"]["scaleDown"]["selectPolicy"],
            "Disabled"
        );
    }

    #[test]
    fn what_keda_owns_is_refused_and_the_scaled_object_named() {
        let mut f = cluster(|h| h["metadata"]["ownerReferences"] = json!([{"kind": "ScaledObject", "name": "queue", "controller": true}]));
        for verb in [VerbId::HpaFreeze, VerbId::HpaThaw] {
            let refused = f.plan(verb, Kind::Hpa, &["api"], "").unwrap_err();
            assert_eq!(refused, "hpa pay/api belongs to scaledobject pay/queue, which would put it back");
        }
    }
}
