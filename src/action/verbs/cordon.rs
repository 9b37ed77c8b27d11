//! `cordon` and `uncordon`: whether the scheduler puts new pods on a node. One that is so already is left alone, and undo touches only
//! what this act changed.

use super::{Request, Snapshot, Stop, nothing, subject};
use crate::model::{ClusterId, Kind, Level, Method, Object, Plan, Step, Target, Verdict, Write};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Who cordoned a node: whoever looks at it later can tell.
const MARK: &str = "quarterdeck.io/cordoned";

pub fn cordon(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    plan(snapshot, request, true)
}

pub fn uncordon(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    plan(snapshot, request, false)
}

fn plan(snapshot: &Snapshot, request: &Request, on: bool) -> Result<Plan, Stop> {
    let mut plan = Plan::new(request.verb, &request.args, format!("{} {}", request.verb, subject(request)));
    let nodes = snapshot.objects(&request.targets)?;
    for (lane, (target, node)) in request.targets.iter().zip(nodes).enumerate() {
        plan.blast_in(target.cluster).nodes += 1;
        match step(target, node, on) {
            Some(step) => plan.steps.push(step.at(lane, 0)),
            None => plan.note(Level::Info, format!("{} is {} already", target.name, if on { "cordoned" } else { "schedulable" })),
        }
    }
    if plan.steps.is_empty() {
        return Err(nothing(&plan));
    }
    plan.undo_text = if on { "uncordons what this cordons" } else { "cordons again what this uncordons" }.to_owned();
    let clusters: BTreeSet<ClusterId> = request.targets.iter().map(|t| t.cluster).filter(|_| on).collect();
    if clusters.into_iter().any(|cluster| schedulable(snapshot, cluster, &request.targets) == 0) {
        plan.judge(Verdict::Degrades("scheduling: no schedulable node is left".to_owned()));
    }
    Ok(plan)
}

/// Nodes of a cluster that take pods when these no longer do.
fn schedulable(snapshot: &Snapshot, cluster: ClusterId, without: &[Target]) -> usize {
    let nodes = snapshot.store.cluster(cluster).into_iter().flat_map(|c| c.objects(Kind::Node));
    nodes
        .filter(|o| matches!(o, Object::Node(n) if !n.unschedulable))
        .filter(|o| !without.iter().any(|t| t.cluster == cluster && *t.name == *o.meta().name))
        .count()
}

/// The step that makes a node so; none when it is.
pub(super) fn step(target: &Target, node: &Value, on: bool) -> Option<Step> {
    let is = node["spec"]["unschedulable"].as_bool().unwrap_or(false);
    if is == on {
        return None;
    }
    let target = Target { uid: node["metadata"]["uid"].as_str().map(str::to_owned), ..target.clone() };
    let body = |on: bool| {
        let mark = if on { json!("by qd") } else { Value::Null };
        json!({"spec": {"unschedulable": if on { json!(true) } else { Value::Null }}, "metadata": {"annotations": {MARK: mark}}})
    };
    let value = |on: bool| on.then(|| json!(true));
    let words = |on: bool| format!("{} node {}", if on { "cordon" } else { "uncordon" }, target.name);
    let back = Write { method: Method::StrategicPatch, path: target.path(), query: String::new(), body: body(is) };
    let step = Step::write(words(on), &target, Method::StrategicPatch, body(on));
    Some(step.changing("/spec/unschedulable", value(is), value(on)).undone_by(words(is), back))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use crate::model::{Kind, VerbId};

    #[test]
    fn what_is_cordoned_already_is_left_alone() {
        let mut f = Fixture::new();
        f.node("n1", |_| {});
        f.node("n2", |n| n["spec"]["unschedulable"] = true.into());
        f.node("n3", |_| {});
        let plan = f.plan(VerbId::Cordon, Kind::Node, &["n1", "n2"], "").unwrap();
        assert_eq!(plan.steps.iter().map(|s| s.text.as_str()).collect::<Vec<_>>(), ["cordon node n1"]);
        assert_eq!(plan.notes[0].text, "n2 is cordoned already");
        assert_eq!(plan.steps[0].undo.as_ref().unwrap().text, "uncordon node n1");
        assert_eq!(plan.verdict.words(), "fits");
        let refused = f.plan(VerbId::Uncordon, Kind::Node, &["n1"], "").unwrap_err();
        assert_eq!(refused, "nothing to do: n1 is schedulable already");
    }

    #[test]
    fn the_last_schedulable_node_is_named() {
        let mut f = Fixture::new();
        f.node("n1", |_| {});
        let plan = f.plan(VerbId::Cordon, Kind::Node, &["n1"], "").unwrap();
        assert_eq!(plan.verdict.words(), "degrades scheduling: no schedulable node is left");
    }
}
