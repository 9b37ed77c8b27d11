//! `restart`: a new annotation on the pod template, so that the controller replaces every pod by its own strategy.

use super::template::{aimed, rolls};
use super::{Request, Snapshot, Stop, nothing, subject};
use crate::model::{Act, Level, Method, Plan, Step, Wait, Write};
use serde_json::{Value, json};

const AT: &str = "kubectl.kubernetes.io/restartedAt";

pub fn plan(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let mut plan = Plan::new(request.verb, &request.args, format!("restart {}", subject(request)));
    let now = jiff::Timestamp::from_second(snapshot.now).map(|t| t.to_string()).unwrap_or_default();
    for (lane, (target, object)) in request.targets.iter().zip(snapshot.objects(&request.targets)?).enumerate() {
        if object["spec"]["paused"] == true {
            return Err(Stop::refuse("usage", format!("{} is paused: a restart would wait with it", target.label())).with_hint(format!(
                "resume it first: qd rollout resume {} -n {}",
                target.slashed(),
                target.namespace
            )));
        }
        let was = object["spec"]["template"]["metadata"]["annotations"][AT].clone();
        if was == now {
            plan.note(Level::Info, format!("{} was restarted this very second", target.label()));
            continue;
        }
        let target = aimed(target, object);
        let body = |value: &Value| json!({"spec": {"template": {"metadata": {"annotations": {AT: value}}}}});
        let back = Write { method: Method::StrategicPatch, path: target.path(), query: String::new(), body: body(&was) };
        let before = Some(was).filter(|v| !v.is_null());
        let step = Step::write(format!("restart {}", target.label()), &target, Method::StrategicPatch, body(&json!(now)))
            .changing("/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt", before, Some(json!(now)))
            .undone_by(format!("give {} the template it had: every pod is replaced again", target.label()), back);
        plan.steps.push(step.at(lane, 0));
        if rolls(snapshot, &mut plan, &target, object) {
            plan.steps.push(Step::new(format!("wait for {}", target.label()), &target, Act::Wait(Wait::RolledOut)).at(lane, 1));
        }
    }
    if plan.steps.is_empty() {
        return Err(nothing(&plan));
    }
    plan.undo_text = "gives the template back that there was; the pods are replaced once more".to_owned();
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use crate::model::{Act, Kind, VerbId};
    use serde_json::json;

    #[test]
    fn the_template_gets_the_time_and_the_rollout_is_waited_for() {
        let mut f = Fixture::new();
        f.deployment("api", 4, |d| {
            d["spec"]["strategy"]["rollingUpdate"] = json!({"maxUnavailable": 1});
            d["metadata"]["labels"] = json!({"kustomize.toolkit.fluxcd.io/name": "pay"});
        });
        f.add(Kind::Pdb, json!({"metadata": {"name": "api", "namespace": "pay"}, "spec": {"selector": {"matchLabels": {"app": "api"}}}}));
        let plan = f.plan(VerbId::Restart, Kind::Deployment, &["api"], "").unwrap();
        let Act::Write(write) = &plan.steps[0].act else { panic!() };
        let annotation = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";
        assert_eq!(write.body.pointer(annotation), Some(&json!("2026-03-01T02:47:30Z")));
        assert_eq!(plan.steps[0].undo.as_ref().unwrap().act.request().unwrap().body.pointer(annotation), Some(&json!(null)));
        assert!(matches!(plan.steps[1].act, Act::Wait(_)));
        let blast = &plan.blast[0];
        assert_eq!(
            (blast.workloads, blast.pods, blast.unavailable, blast.budgets.as_slice()),
            (1, 4, 1, ["pay/api".to_owned()].as_slice())
        );
        assert_eq!(blast.undone_by, ["Flux Kustomization (?/pay)"]);
    }

    #[test]
    fn what_would_not_restart_is_refused_or_said() {
        let mut f = Fixture::new();
        f.deployment("api", 3, |d| d["spec"]["paused"] = true.into());
        assert_eq!(
            f.plan(VerbId::Restart, Kind::Deployment, &["api"], "").unwrap_err(),
            "deployment pay/api is paused: a restart would wait with it"
        );
        f.add(
            Kind::StatefulSet,
            json!({"metadata": {"name": "db", "namespace": "pay"}, "spec": {"replicas": 2, "updateStrategy": {"type": "OnDelete"}}}),
        );
        let plan = f.plan(VerbId::Restart, Kind::StatefulSet, &["db"], "").unwrap();
        assert_eq!(plan.steps.len(), 1, "there is nothing to wait for");
        assert_eq!(plan.notes[0].text, "the strategy of statefulset pay/db is OnDelete: no pod is replaced until it is deleted");
    }
}
