//! `label` and `annotate`: a merge patch of the keys that are named, and of no other.

use super::super::snapshot::{NoFact, gather};
use super::fields::escape;
use super::template::owners;
use super::{Request, Snapshot, Stop, nothing, subject};
use crate::model::{Kind, Labels, Level, Method, Object, Plan, Step, Str, Target, Write};
use serde_json::{Map, Value, json};

pub fn label(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    plan(snapshot, request, "labels")
}

pub fn annotate(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    plan(snapshot, request, "annotations")
}

fn plan(snapshot: &Snapshot, request: &Request, field: &'static str) -> Result<Plan, Stop> {
    let changes: Vec<(String, Option<String>)> = request.args.all(field).map(|t| parse(t, field)).collect::<Result<_, _>>()?;
    let objects = snapshot.objects(&request.targets)?;
    // Who may not see Services labels all the same, and is told.
    let pods = request.targets.iter().filter(|t| field == "labels" && t.resource.known() == Some(Kind::Pod));
    gather(pods.map(|t| snapshot.fact(t.cluster, services(t))))?;
    let mut plan = Plan::new(request.verb, &request.args, format!("{} {}", request.verb, subject(request)));
    plan.parallel = 8;
    plan.undo_text = format!("the {field} there were come back");
    for (lane, (target, object)) in request.targets.iter().zip(objects).enumerate() {
        let now = |key: &str| object["metadata"][field][key].as_str().map(str::to_owned);
        let (mut forward, mut back, mut step) =
            (Map::new(), Map::new(), Step::write(format!("{} {}", request.verb, target.label()), target, Method::MergePatch, Value::Null));
        for (key, value) in &changes {
            let before = now(key);
            if before == *value {
                plan.note(Level::Info, format!("{}: {key} is so already", target.title()));
                continue;
            }
            if let (Some(is), Some(_)) = (&before, value)
                && !request.args.flag("overwrite")
            {
                return Err(
                    Stop::refuse("conflict", format!("{} has {key}={is} already", target.label())).with_hint("--overwrite changes it")
                );
            }
            forward.insert(key.clone(), value.clone().map_or(Value::Null, Value::from));
            back.insert(key.clone(), before.clone().map_or(Value::Null, Value::from));
            step = step.changing(format!("/metadata/{field}/{}", escape(key)), before.map(Value::from), value.clone().map(Value::from));
        }
        if forward.is_empty() {
            continue;
        }
        if field == "labels" {
            selected(snapshot, &mut plan, target, object, &changes);
        }
        owners(&mut plan, target, object, &format!("the {field}"));
        let body = |set: Map<String, Value>| json!({"metadata": {field: set}});
        let write = Write { method: Method::MergePatch, path: target.path(), query: String::new(), body: body(back) };
        step.act = crate::model::Act::Write(Write { body: body(forward), ..write.clone() });
        step.target.uid = object["metadata"]["uid"].as_str().map(str::to_owned);
        plan.steps.push(step.undone_by(format!("put the {field} of {} back", target.label()), write).at(lane, 0));
    }
    if plan.steps.is_empty() { Err(nothing(&plan)) } else { Ok(plan) }
}

/// `key=value`, or `key-` to take it away; by the API's rules.
fn parse(text: &str, field: &str) -> Result<(String, Option<String>), Stop> {
    let wrong = |why: &str| Stop::refuse("usage", format!("`{text}`: {why}")).with_hint("write KEY=VALUE, or KEY- to take it away");
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (text.strip_suffix('-').ok_or_else(|| wrong("no value"))?, None),
    };
    let word = |t: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        edge(t.chars().next())
            && edge(t.chars().last())
            && t.len() <= 63
            && t.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    let (prefix, name) = key.split_once('/').map_or((None, key), |(p, n)| (Some(p), n));
    let dns =
        |p: &str| !p.is_empty() && p.len() <= 253 && p.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c));
    if !word(name) || prefix.is_some_and(|p| !dns(p)) {
        return Err(wrong("no key of labels and annotations"));
    }
    if field == "labels" && value.is_some_and(|v| !v.is_empty() && !word(v)) {
        return Err(wrong("a label's value has at most 63 letters, digits, - _ . and begins and ends with a letter or digit"));
    }
    Ok((key.to_owned(), value.map(str::to_owned)))
}

fn services(target: &Target) -> String {
    format!("/api/v1/namespaces/{}/services", target.namespace)
}

/// Warns where a Service, a budget or a workload selects by a label that changes.
fn selected(snapshot: &Snapshot, plan: &mut Plan, target: &Target, object: &Value, changes: &[(String, Option<String>)]) {
    let Some(cluster) = snapshot.store.cluster(target.cluster) else { return };
    let of = |set: &Map<String, Value>| {
        Labels::from(set.iter().map(|(k, v)| (Str::from(k.as_str()), Str::from(v.as_str().unwrap_or("")))).collect::<Vec<_>>())
    };
    let mut now = object["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    let (was, before) = (now.clone(), of(&now));
    for (key, value) in changes {
        match value {
            Some(value) => drop(now.insert(key.clone(), value.as_str().into())),
            None => drop(now.shift_remove(key)),
        }
    }
    let after = of(&now);
    let own = object["metadata"]["uid"].as_str().map(crate::model::Uid::parse);
    for kind in [Kind::Pdb, Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::ReplicaSet] {
        for o in cluster.objects(kind).filter(|o| *o.meta().namespace == *target.namespace && Some(o.meta().uid) != own) {
            let selector = match o {
                Object::Pdb(p) => p.selector.as_ref(),
                Object::Workload(w) => w.selector.as_ref(),
                _ => None,
            };
            if selector.is_some_and(|s| s.matches(&before) != s.matches(&after)) && target.resource.known() == Some(Kind::Pod) {
                let after = selector.is_some_and(|s| s.matches(&after));
                plan.note(Level::Warning, format!("{} {} {}", kind.name(), o.meta().name, selecting(after)));
            }
        }
    }
    if target.resource.known() != Some(Kind::Pod) {
        return;
    }
    let found = match snapshot.fact(target.cluster, services(target)) {
        Ok(Ok(list)) => list["items"].as_array().map_or(&[][..], Vec::as_slice),
        Ok(Err(NoFact::Forbidden(why) | NoFact::Other(why))) => {
            plan.note(Level::Warning, format!("whether Services select by it is not known: {why}"));
            return;
        }
        _ => return,
    };
    for service in found {
        // A Service without a selector selects nothing.
        let Some(selector) = service["spec"]["selector"].as_object().filter(|s| !s.is_empty()) else { continue };
        let matches = |labels: &Map<String, Value>| selector.iter().all(|(k, v)| labels.get(k) == Some(v));
        if matches(&was) != matches(&now) {
            let name = service["metadata"]["name"].as_str().unwrap_or("");
            plan.note(Level::Warning, format!("Service {name} {}", selecting(matches(&now))));
        }
    }
}

fn selecting(after: bool) -> &'static str {
    if after { "would select it from then on" } else { "selects it, and would no longer" }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use crate::model::{Act, Kind, Level, VerbId};
    use serde_json::json;

    #[test]
    fn only_the_named_keys_are_sent_and_given_back() {
        let mut f = Fixture::new();
        f.deployment("api", 1, |d| d["metadata"]["labels"] = json!({"owner": "shop", "x.io/tier": "core"}));
        let plan = f.plan(VerbId::Label, Kind::Deployment, &["api"], "team=pay x.io/tier-").unwrap();
        let Act::Write(write) = &plan.steps[0].act else { panic!() };
        assert_eq!(write.body, json!({"metadata": {"labels": {"team": "pay", "x.io/tier": null}}}));
        assert_eq!(
            plan.steps[0].undo.as_ref().unwrap().act.request().unwrap().body,
            json!({"metadata": {"labels": {"team": null, "x.io/tier": "core"}}})
        );
        assert_eq!(plan.steps[0].changes[1].pointer, "/metadata/labels/x.io~1tier");
        let refused = f.plan(VerbId::Label, Kind::Deployment, &["api"], "owner=pay").unwrap_err();
        assert_eq!(refused, "deployment pay/api has owner=shop already");
        assert!(f.plan(VerbId::Label, Kind::Deployment, &["api"], "owner=pay overwrite").is_ok());
        assert_eq!(
            f.plan(VerbId::Label, Kind::Deployment, &["api"], "owner=shop").unwrap_err(),
            "nothing to do: pay/api: owner is so already"
        );
        for bad in ["-x=1", "a=b c=d/e", "UP/x=1"] {
            assert!(f.plan(VerbId::Label, Kind::Deployment, &["api"], bad).is_err(), "{bad}");
        }
        assert!(f.plan(VerbId::Annotate, Kind::Deployment, &["api"], "note=\"any text: at all/\"").is_ok());
    }

    #[test]
    fn who_puts_it_back_is_a_warning_and_counts_by_cluster() {
        let mut f = Fixture::new();
        f.deployment("api", 1, |d| {
            d["metadata"]["annotations"] = json!({"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:pay/api"})
        });
        for (verb, what) in [(VerbId::Label, "labels"), (VerbId::Annotate, "annotations")] {
            let plan = f.plan(verb, Kind::Deployment, &["api"], "owner=pay").unwrap();
            let note = &plan.notes[0];
            assert_eq!(
                (note.level, note.text.clone()),
                (Level::Warning, format!("Argo CD (shop) may put the {what} of deployment pay/api back"))
            );
            assert_eq!(plan.blast[0].undone_by, ["Argo CD (shop)"]);
        }
    }

    #[test]
    fn a_label_that_a_budget_selects_by_warns() {
        let mut f = Fixture::new();
        f.pod("db-0", "db", "n1", |_| {});
        f.add(Kind::Pdb, json!({"metadata": {"name": "db", "namespace": "pay"}, "spec": {"selector": {"matchLabels": {"app": "db"}}}}));
        let plan = f.plan(VerbId::Label, Kind::Pod, &["db-0"], "app=other overwrite").unwrap();
        assert_eq!(plan.notes[0].text, "PodDisruptionBudget db selects it, and would no longer");
        let service = |name: &str, selector| json!({"metadata": {"name": name}, "spec": {"selector": selector}});
        let items = [service("db", json!({"app": "db"})), service("other", json!({"app": "other"})), service("none", json!({}))];
        f.fact("/api/v1/namespaces/pay/services", json!({"items": items}));
        let plan = f.plan(VerbId::Label, Kind::Pod, &["db-0"], "app=other overwrite").unwrap();
        let told: Vec<&str> = plan.notes.iter().map(|n| n.text.as_str()).filter(|t| t.starts_with("Service ")).collect();
        assert_eq!(told, ["Service db selects it, and would no longer", "Service other would select it from then on"]);
    }
}
