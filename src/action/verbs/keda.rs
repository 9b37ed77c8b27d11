//! `keda-pause` and `keda-resume`: annotations on a ScaledObject. A full pause ends KEDA's loop, takes its HPA away and then scales;
//! whether KEDA has done so is told by the condition `Paused`.

use super::super::blast::{paused, scaled_object};
use super::template::{aimed, owners};
use super::{Request, Snapshot, Stop, nothing, subject};
use crate::model::{Act, Kind, Level, Method, Object, Plan, Step, Target, Verdict, Wait, Write};
use serde_json::{Value, json};

const PAUSED: &str = "autoscaling.keda.sh/paused";
const REPLICAS: &str = "autoscaling.keda.sh/paused-replicas";
const ALL: [&str; 4] = [PAUSED, REPLICAS, "autoscaling.keda.sh/paused-scale-in", "autoscaling.keda.sh/paused-scale-out"];

pub fn pause(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let to = request.args.count("replicas");
    let mut plan = Plan::new(request.verb, &request.args, format!("pause {}", subject(request)));
    for (lane, (target, object)) in objects(snapshot, request)?.into_iter().enumerate() {
        let annotations = &object["metadata"]["annotations"];
        let (key, value) = to.map_or((PAUSED, "true".to_owned()), |n| (REPLICAS, n.to_string()));
        let there = annotations[key].as_str() == Some(&value);
        if there || (to.is_none() && paused(object)) {
            plan.note(Level::Info, format!("{} is paused already", target.label()));
            continue;
        }
        if to.is_none() && annotations[REPLICAS].is_null() {
            plan.note(Level::Info, "as many replicas as there are now stay");
        }
        let how = to.map(|n| format!(" at {n}")).unwrap_or_default();
        let text = format!("pause {}{how}", target.label());
        plan.steps.push(
            step(&text, &format!("give {} the annotations it had", target.label()), &target, annotations, &[(key, Some(value))])
                .at(lane, 0),
        );
        let wait = Wait::Condition { condition: "Paused".to_owned(), status: "True".to_owned() };
        plan.steps.push(Step::new(format!("wait for KEDA to pause {}", target.label()), &target, Act::Wait(wait)).at(lane, 1));
        plan.note(Level::Warning, format!("KEDA takes the HPA of {} away: nothing scales it until it is resumed", target.label()));
        judge(snapshot, &mut plan, &target, object, to);
    }
    finish(plan, "takes the annotations away again")
}

pub fn resume(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let mut plan = Plan::new(request.verb, &request.args, format!("resume {}", subject(request)));
    for (lane, (target, object)) in objects(snapshot, request)?.into_iter().enumerate() {
        let annotations = &object["metadata"]["annotations"];
        let set: Vec<(&str, Option<String>)> = ALL.into_iter().filter(|k| !annotations[*k].is_null()).map(|k| (k, None)).collect();
        if set.is_empty() {
            plan.note(Level::Info, format!("{} is not paused", target.label()));
            continue;
        }
        let text = format!("resume {}", target.label());
        plan.steps.push(step(&text, &format!("pause {} as it was", target.label()), &target, annotations, &set).at(lane, 0));
        if paused(object) {
            let wait = Wait::Condition { condition: "Paused".to_owned(), status: "False".to_owned() };
            plan.steps.push(Step::new(format!("wait for KEDA to resume {}", target.label()), &target, Act::Wait(wait)).at(lane, 1));
            plan.note(Level::Warning, format!("KEDA sets the replicas of {} by its triggers again", target.label()));
        }
        judge(snapshot, &mut plan, &target, object, None);
    }
    finish(plan, "pauses it again as it was")
}

fn finish(mut plan: Plan, undo: &str) -> Result<Plan, Stop> {
    if plan.steps.is_empty() {
        return Err(nothing(&plan));
    }
    (plan.parallel, plan.undo_text) = (4, undo.to_owned());
    Ok(plan)
}

/// The ScaledObjects that are meant; anything else is refused.
fn objects<'a>(snapshot: &Snapshot<'a>, request: &Request) -> Result<Vec<(Target, &'a Value)>, Stop> {
    let keda = scaled_object();
    let other = request.targets.iter().find(|t| (&t.resource.group, &t.resource.plural) != (&keda.group, &keda.plural));
    if let Some(other) = other {
        return Err(Stop::refuse("usage", format!("{} is for a ScaledObject, not for a {}", request.verb, other.resource.kind)));
    }
    let found = snapshot.objects(&request.targets)?;
    Ok(request.targets.iter().zip(found).map(|(t, o)| (aimed(t, o), o)).collect())
}

fn step(text: &str, back: &str, target: &Target, annotations: &Value, set: &[(&str, Option<String>)]) -> Step {
    let (mut body, mut undo) = (json!({}), json!({}));
    for (key, value) in set {
        body["metadata"]["annotations"][*key] = json!(value);
        undo["metadata"]["annotations"][*key] = annotations[*key].clone();
    }
    let write = Write { method: Method::MergePatch, path: target.path(), query: String::new(), body: undo };
    let step = set.iter().fold(Step::write(text, target, Method::MergePatch, body), |step, (key, value)| {
        let pointer = format!("/metadata/annotations/{}", super::super::rollout::escape(key));
        step.changing(pointer, Some(annotations[*key].clone()).filter(|v| !v.is_null()), value.as_ref().map(|v| json!(v)))
    });
    step.undone_by(back, write)
}

/// What it means for the workload.
fn judge(snapshot: &Snapshot, plan: &mut Plan, target: &Target, object: &Value, to: Option<i64>) {
    owners(plan, target, object, "the annotations");
    plan.blast_in(target.cluster).workloads += 1;
    let of = &object["spec"]["scaleTargetRef"];
    let (kind, name) = (of["kind"].as_str().unwrap_or("Deployment"), of["name"].as_str().unwrap_or(""));
    let row = Kind::parse(kind).and_then(|k| snapshot.store.cluster(target.cluster)?.named(k, &target.namespace, name));
    let (Some(to), Some(Object::Workload(w))) = (to, row) else { return };
    let is = i64::from(w.desired.unwrap_or(0));
    let title = format!("{}/{name}", target.namespace);
    let touched = u32::try_from((to - is).abs()).unwrap_or(0);
    let blast = plan.blast_in(target.cluster);
    blast.pods += touched;
    if to != is {
        plan.note(Level::Warning, format!("{} {title} is scaled from {is} to {to}", kind.to_lowercase()));
    }
    if to < is {
        plan.blast_in(target.cluster).unavailable += touched;
        plan.judge(Verdict::Degrades(format!("{title}: {is} to {to} replicas")));
    }
    if to == 0 {
        plan.note(Level::Danger, format!("no pod of {title} is left: nothing serves it any more"));
        plan.irreversible = true;
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;
    use crate::model::{Args, ClusterId, VerbId};

    fn wanted(f: &mut Fixture, verb: VerbId, args: &str, annotations: Value) -> Result<Plan, String> {
        f.deployment("api", 3, |_| {});
        let target = Target { cluster: ClusterId(0), resource: scaled_object(), namespace: "pay".into(), name: "queue".into(), uid: None };
        let object = json!({"metadata": {"name": "queue", "namespace": "pay", "uid": "k1", "annotations": annotations}, "spec": {"scaleTargetRef": {"name": "api"}}});
        f.fact(&target.path(), object);
        f.request(&Request { verb, targets: vec![target], args: Args::parse(verb.info(), args).unwrap(), documents: Vec::new() })
    }

    fn body(step: &Step) -> Value {
        let Act::Write(write) = &step.act else { panic!() };
        write.body["metadata"]["annotations"].clone()
    }

    #[test]
    fn it_is_paused_where_it_is_or_at_a_number() {
        let plan = wanted(&mut Fixture::new(), VerbId::KedaPause, "", Value::Null).unwrap();
        assert_eq!(body(&plan.steps[0]), json!({PAUSED: "true"}));
        assert_eq!(plan.steps[0].undo.as_ref().unwrap().act.request().unwrap().body["metadata"]["annotations"], json!({PAUSED: null}));
        assert_eq!(plan.steps[1].act, Act::Wait(Wait::Condition { condition: "Paused".into(), status: "True".into() }));
        let plan = wanted(&mut Fixture::new(), VerbId::KedaPause, "replicas=1", Value::Null).unwrap();
        assert_eq!((body(&plan.steps[0]), plan.verdict.words().as_str()), (json!({REPLICAS: "1"}), "degrades pay/api: 3 to 1 replicas"));
        let zero = wanted(&mut Fixture::new(), VerbId::KedaPause, "replicas=0", Value::Null).unwrap();
        assert!(zero.irreversible);
    }

    #[test]
    fn what_is_paused_already_is_left_and_any_word_but_false_is_paused() {
        let refused = wanted(&mut Fixture::new(), VerbId::KedaPause, "", json!({PAUSED: "no"})).unwrap_err();
        assert_eq!(refused, "nothing to do: scaledobject pay/queue is paused already");
        assert!(wanted(&mut Fixture::new(), VerbId::KedaPause, "", json!({PAUSED: "false"})).is_ok());
        let plan = wanted(&mut Fixture::new(), VerbId::KedaResume, "", json!({REPLICAS: "3", "x": "y"})).unwrap();
        assert_eq!(body(&plan.steps[0]), json!({REPLICAS: null}));
        assert_eq!(plan.steps[0].undo.as_ref().unwrap().act.request().unwrap().body["metadata"]["annotations"], json!({REPLICAS: "3"}));
        assert!(wanted(&mut Fixture::new(), VerbId::KedaResume, "", Value::Null).unwrap_err().contains("is not paused"));
    }

    #[test]
    fn nothing_but_a_scaled_object_is_paused() {
        let mut f = Fixture::new();
        f.deployment("api", 3, |_| {});
        let refused = f.plan(VerbId::KedaPause, Kind::Deployment, &["api"], "").unwrap_err();
        assert_eq!(refused, "keda-pause is for a ScaledObject, not for a Deployment");
    }
}
