//! `create-pdb`: a disruption budget for a workload that has none. Two budgets over one pod make every eviction of it fail, and one that
//! allows nothing blocks every drain: both are found before.

use super::template::{aimed, amount_of, away, budgets, labels, owners, selector};
use super::{Request, Snapshot, Stop, nothing, subject};
use crate::model::{Act, Amount, Args, Kind, Level, Method, Object, Plan, Step, Target, Verdict, Write};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub fn plan(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let args = &request.args;
    let mut plan = Plan::new(request.verb, args, format!("create a disruption budget for {}", subject(request)));
    if args.get("name").is_some() && request.targets.len() > 1 {
        return Err(Stop::refuse("usage", "one name is for one budget: leave it out for several workloads"));
    }
    for (lane, (target, object)) in request.targets.iter().zip(snapshot.objects(&request.targets)?).enumerate() {
        let target = aimed(target, object);
        let owner = object["metadata"]["ownerReferences"].as_array().into_iter().flatten().find(|o| o["controller"] == true);
        if let Some(owner) = owner.filter(|_| target.resource.known() == Some(Kind::ReplicaSet)) {
            let (kind, name) = (owner["kind"].as_str().unwrap_or("owner").to_lowercase(), owner["name"].as_str().unwrap_or(""));
            let message = format!("{} belongs to {kind} {name}: a budget for it would be for one revision", target.label());
            return Err(Stop::refuse("owned", message).with_hint(format!("qd create-pdb {kind}/{name} -n {}", target.namespace)));
        }
        let all = object["spec"]["replicas"].as_i64().unwrap_or(1);
        let (field, amount) = wanted(args, &target, all)?;
        let name = args.get("name").unwrap_or(&target.name);
        taken(snapshot, &target, object, name)?;
        let budget = Target { resource: Kind::Pdb.into(), name: name.to_owned(), uid: None, ..target.clone() };
        let value = match amount {
            Amount::Count(n) => json!(n),
            percent => json!(percent.to_string()),
        };
        let body = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name, "namespace": target.namespace},
            "spec": {field: value, "selector": object["spec"]["selector"]}});
        let post = Write { method: Method::Post, path: budget.resource.path(&budget.namespace), query: String::new(), body };
        let back = Write { method: Method::Delete, path: budget.path(), query: String::new(), body: away() };
        let text = format!("create pdb {} for {}: {field} {amount}", budget.title(), target.label());
        let step = Step::new(text, &budget, Act::Write(post)).undone_by(format!("delete pdb {}", budget.title()), back);
        plan.steps.push(step.at(lane, 0));
        judge(&mut plan, snapshot, &target, object, all, field, amount);
    }
    if plan.steps.is_empty() {
        return Err(nothing(&plan));
    }
    (plan.parallel, plan.undo_text) = (4, "deletes the new budget".to_owned());
    Ok(plan)
}

/// The field and what it shall be: as typed, else one pod away.
fn wanted(args: &Args, target: &Target, all: i64) -> Result<(&'static str, Amount), Stop> {
    let (field, text) = match (args.get("min-available"), args.get("max-unavailable")) {
        (Some(_), Some(_)) => return Err(Stop::refuse("usage", "a budget has min-available or max-unavailable, not both")),
        (Some(text), None) => ("minAvailable", text),
        (None, Some(text)) => ("maxUnavailable", text),
        (None, None) if all <= 1 => {
            let message = format!("{} has {all} replicas: a budget blocks every drain or protects nothing", target.label());
            return Err(Stop::refuse("usage", message).with_hint("scale it to 2 first, or say which: min-available=1 or max-unavailable=1"));
        }
        (None, None) => return Ok(("maxUnavailable", Amount::Count(1))),
    };
    let amount = match text.strip_suffix('%') {
        Some(percent) => percent.parse().ok().filter(|p| (0..=100).contains(p)).map(Amount::Percent),
        None => text.parse().ok().filter(|n| *n >= 0).map(Amount::Count),
    };
    amount
        .map(|a| (field, a))
        .ok_or_else(|| Stop::refuse("usage", format!("`{text}` is neither a number nor a percentage from 0% to 100%")))
}

/// Refuses what is there already: a budget of that name, or one over the same pods.
fn taken(snapshot: &Snapshot, target: &Target, object: &Value, name: &str) -> Result<(), Stop> {
    let cluster = snapshot.cluster(target.cluster)?;
    let mut found: BTreeSet<&str> =
        budgets(snapshot, target, &labels(&object["spec"]["template"]["metadata"]["labels"])).into_iter().map(|p| &*p.meta.name).collect();
    // The selector may take pods of others, and these have a budget.
    let own = selector(&object["spec"]["selector"]).unwrap_or_default();
    for pod in cluster.objects(Kind::Pod).filter(|p| *p.meta().namespace == *target.namespace && own.matches(&p.meta().labels)) {
        found.extend(budgets(snapshot, target, &pod.meta().labels).into_iter().map(|p| &*p.meta.name));
    }
    if !found.is_empty() {
        let names: Vec<String> = found.iter().map(|n| format!("pdb {}/{n}", target.namespace)).collect();
        let message = format!("pods of {} have {}: a second budget makes every eviction of them fail", target.label(), names.join(", "));
        return Err(Stop::refuse("conflict", message).with_hint(format!(
            "change that one: qd edit pdb/{} -n {}",
            found.first().copied().unwrap_or(""),
            target.namespace
        )));
    }
    match cluster.named(Kind::Pdb, &target.namespace, name) {
        Some(_) => {
            Err(Stop::refuse("conflict", format!("pdb {}/{name} is there already, for other pods", target.namespace))
                .with_hint("name=NAME"))
        }
        None => Ok(()),
    }
}

/// What it will allow, and whose pods it takes beside the workload's.
fn judge(plan: &mut Plan, snapshot: &Snapshot, target: &Target, object: &Value, all: i64, field: &str, amount: Amount) {
    owners(plan, target, object, "the spec");
    let healthy = object["status"]["readyReplicas"].as_i64().unwrap_or(0);
    let n = amount_of(amount, all);
    let (least, may) = if field == "minAvailable" { (n, all - n) } else { (all - n, n) };
    let blast = plan.blast_in(target.cluster);
    blast.workloads += 1;
    blast.pods += u32::try_from(all).unwrap_or(0);
    if all > 0 && may <= 0 {
        plan.note(Level::Danger, format!("no pod of {} may ever be evicted: every drain of their nodes waits for good", target.label()));
        plan.judge(Verdict::Blocks(format!("every drain of a node with a pod of {}", target.title())));
    } else if all > 0 && may >= all {
        plan.note(Level::Warning, format!("all {all} pods of {} may be away at once: it protects nothing", target.label()));
    } else if healthy <= least && all > 0 {
        plan.note(Level::Warning, format!("{healthy} of {all} pods are ready and {least} must stay: nothing may be evicted now"));
    } else {
        plan.note(Level::Info, format!("{} of {all} pods may be evicted at a time", may.min(healthy - least)));
    }
    let Some(cluster) = snapshot.store.cluster(target.cluster) else { return };
    let own = selector(&object["spec"]["selector"]).unwrap_or_default();
    let strangers = cluster.objects(Kind::Pod).filter(|o| *o.meta().namespace == *target.namespace && own.matches(&o.meta().labels));
    let strangers = strangers.filter(|o| matches!(cluster.workload_of(o), Object::Workload(w) if *w.meta.name != *target.name)).count();
    if strangers > 0 {
        plan.note(Level::Warning, format!("its selector also takes {strangers} pods of other workloads"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;
    use crate::model::VerbId;

    fn refused(f: &mut Fixture, name: &str, args: &str) -> String {
        f.plan(VerbId::CreatePdb, Kind::Deployment, &[name], args).unwrap_err()
    }

    #[test]
    fn one_pod_may_be_away_and_the_selector_is_the_workloads() {
        let mut f = Fixture::new();
        f.deployment("api", 3, |_| {});
        let plan = f.plan(VerbId::CreatePdb, Kind::Deployment, &["api"], "").unwrap();
        let Act::Write(write) = &plan.steps[0].act else { panic!() };
        assert_eq!(write.path, "/apis/policy/v1/namespaces/pay/poddisruptionbudgets");
        assert_eq!(write.body["spec"], json!({"maxUnavailable": 1, "selector": {"matchLabels": {"app": "api"}}}));
        assert_eq!(
            (plan.steps[0].text.as_str(), plan.notes[0].text.as_str()),
            ("create pdb pay/api for deployment pay/api: maxUnavailable 1", "1 of 3 pods may be evicted at a time")
        );
        assert_eq!(plan.steps[0].undo.as_ref().unwrap().act.request().unwrap().method, Method::Delete);
        let plan = f.plan(VerbId::CreatePdb, Kind::Deployment, &["api"], "min-available=50% name=keep").unwrap();
        let Act::Write(write) = &plan.steps[0].act else { panic!() };
        assert_eq!((&write.body["spec"]["minAvailable"], &write.body["metadata"]["name"]), (&json!("50%"), &json!("keep")));
    }

    #[test]
    fn what_would_block_every_drain_is_said() {
        let mut f = Fixture::new();
        f.deployment("one", 1, |_| {});
        f.deployment("api", 3, |_| {});
        assert_eq!(refused(&mut f, "one", ""), "deployment pay/one has 1 replicas: a budget blocks every drain or protects nothing");
        let plan = f.plan(VerbId::CreatePdb, Kind::Deployment, &["one"], "min-available=1").unwrap();
        assert_eq!(plan.verdict.words(), "blocks on every drain of a node with a pod of pay/one");
        let plan = f.plan(VerbId::CreatePdb, Kind::Deployment, &["api"], "max-unavailable=100%").unwrap();
        assert_eq!(plan.notes[0].text, "all 3 pods of deployment pay/api may be away at once: it protects nothing");
        assert!(refused(&mut f, "api", "max-unavailable=many").starts_with("`many` is neither"));
        assert!(refused(&mut f, "api", "max-unavailable=1 min-available=1").ends_with("not both"));
    }

    #[test]
    fn a_second_budget_is_refused_and_the_first_named() {
        let mut f = Fixture::new();
        f.deployment("api", 3, |_| {});
        let pdb = |name: &str, labels: Value| json!({"metadata": {"name": name, "namespace": "pay"}, "spec": {"selector": {"matchLabels": labels}}});
        f.add(Kind::Pdb, pdb("api", json!({"app": "other"})));
        assert_eq!(refused(&mut f, "api", ""), "pdb pay/api is there already, for other pods");
        f.add(Kind::Pdb, pdb("tier", json!({"tier": "web"})));
        f.pod("api-1", "api", "n1", |p| p["metadata"]["labels"]["tier"] = "web".into());
        assert_eq!(
            refused(&mut f, "api", "name=new"),
            "pods of deployment pay/api have pdb pay/tier: a second budget makes every eviction of them fail"
        );
    }
}
