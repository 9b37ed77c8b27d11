//! What the workload verbs share: where a kind keeps its pod template, what a new template replaces, who would put it back, which budgets
//! are over the pods, and names of Jobs.

use super::super::blast::owned_by;
use super::{Snapshot, Stop};
use crate::model::{Amount, Interner, Kind, Labels, Level, Object, Pdb, Plan, Str, Target, Verdict};
use serde_json::{Map, Value, json};

/// The longest name of a Job: its pods have it as a label.
pub const LONGEST: usize = 63;

/// The pointer to the pod template of a kind; a pod is its own.
pub fn root(target: &Target) -> &'static str {
    match target.resource.known() {
        Some(Kind::Pod) => "",
        Some(Kind::CronJob) => "/spec/jobTemplate/spec/template",
        _ => "/spec/template",
    }
}

/// The patch that sets `value` at a pointer.
pub fn nest(pointer: &str, value: Value) -> Value {
    pointer.rsplit('/').filter(|key| !key.is_empty()).fold(value, |inner, key| {
        let mut outer = Map::new();
        outer.insert(key.to_owned(), inner);
        Value::Object(outer)
    })
}

/// The target with the uid of the object that was looked at.
pub fn aimed(target: &Target, object: &Value) -> Target {
    Target { uid: object["metadata"]["uid"].as_str().map(str::to_owned), ..target.clone() }
}

/// A container of a pod template.
#[derive(Clone, Copy)]
pub struct Container<'a> {
    /// `containers` or `initContainers`.
    pub list: &'static str,
    pub at: usize,
    pub name: &'a str,
    pub value: &'a Value,
}

/// Every container of a template, init containers last.
pub fn containers(template: &Value) -> Vec<Container<'_>> {
    let of = |list: &'static str| {
        let all = template["spec"][list].as_array().into_iter().flatten().enumerate();
        all.map(move |(at, value)| Container { list, at, name: value["name"].as_str().unwrap_or(""), value })
    };
    of("containers").chain(of("initContainers")).collect()
}

/// The container of that name; without one the only container there is.
pub fn container<'a>(template: &'a Value, name: Option<&str>, target: &Target) -> Result<Container<'a>, Stop> {
    let all = containers(template);
    let Some(name) = name else {
        let mut main = all.iter().filter(|c| c.list == "containers");
        return match (main.next(), main.next()) {
            (Some(one), None) => Ok(*one),
            _ => {
                let names: Vec<&str> = all.iter().map(|c| c.name).collect();
                Err(Stop::refuse("usage", format!("{} has several containers: name one of {}", target.label(), names.join(", "))))
            }
        };
    };
    all.iter().find(|c| c.name == name).copied().ok_or_else(|| {
        let message = crate::diag::unknown("container", name, all.iter().map(|c| c.name));
        Stop::refuse("usage", format!("{}: {message}", target.label()))
    })
}

/// Labels of an object as JSON.
pub fn labels(value: &Value) -> Labels {
    let pairs = value.as_object().into_iter().flatten();
    let mut all: Vec<(Str, Str)> = pairs.map(|(k, v)| (Str::from(k.as_str()), Str::from(v.as_str().unwrap_or("")))).collect();
    all.sort();
    Labels::from(all)
}

/// A selector as JSON.
pub fn selector(value: &Value) -> Option<crate::model::Selector> {
    let wire = serde_json::from_value::<crate::model::wire::LabelSelector>(value.clone()).ok()?;
    value.is_object().then(|| crate::model::Selector::of(&wire, &mut Interner::default()))
}

/// The budgets of a namespace that take pods with these labels.
pub fn budgets<'a>(snapshot: &Snapshot<'a>, target: &Target, labels: &Labels) -> Vec<&'a Pdb> {
    let all = snapshot.store.cluster(target.cluster).into_iter().flat_map(|c| c.objects(Kind::Pdb));
    all.filter_map(|o| match o {
        Object::Pdb(pdb) => Some(&**pdb),
        _ => None,
    })
    .filter(|pdb| *pdb.meta.namespace == *target.namespace && pdb.selector.as_ref().is_some_and(|s| s.matches(labels)))
    .collect()
}

/// Notes who would put an object back as it was.
pub fn owners(plan: &mut Plan, target: &Target, object: &Value, what: &str) {
    for tool in owned_by(object) {
        plan.note(Level::Warning, format!("{tool} may put {what} of {} back", target.label()));
        let undone_by = &mut plan.blast_in(target.cluster).undone_by;
        if !undone_by.contains(&tool) {
            undone_by.push(tool);
        }
    }
}

/// Of so many, rounded down or up.
fn amount(value: &Value, of: i64, up: bool) -> Option<i64> {
    match value {
        Value::Number(n) => n.as_i64(),
        Value::String(text) => {
            let percent: i64 = text.strip_suffix('%')?.parse().ok()?;
            Some((of * percent + if up { 99 } else { 0 }) / 100)
        }
        _ => None,
    }
}

/// The same of a budget: percentages count up.
pub fn amount_of(amount: Amount, of: i64) -> i64 {
    match amount {
        Amount::Count(n) => i64::from(n),
        Amount::Percent(p) => (of * i64::from(p) + 99) / 100,
    }
}

/// Counts what a new template replaces and how much of it is away meanwhile. Whether there is a rollout to wait for.
pub fn rolls(snapshot: &Snapshot, plan: &mut Plan, target: &Target, object: &Value) -> bool {
    owners(plan, target, object, "the template");
    let (spec, kind) = (&object["spec"], target.resource.known());
    let blast = plan.blast_in(target.cluster);
    blast.workloads += 1;
    if kind == Some(Kind::CronJob) {
        plan.note(Level::Info, format!("Jobs of {} that run already stay as they are", target.label()));
        return false;
    }
    if spec["paused"] == true {
        plan.note(Level::Warning, format!("{} is paused: nothing rolls out until it is resumed", target.label()));
        return false;
    }
    let strategy = if kind == Some(Kind::Deployment) { &spec["strategy"] } else { &spec["updateStrategy"] };
    let all = match kind {
        Some(Kind::DaemonSet) => object["status"]["desiredNumberScheduled"].as_i64().unwrap_or(0),
        _ => spec["replicas"].as_i64().unwrap_or(1),
    };
    let rolling = &strategy["rollingUpdate"];
    let pods = (all - rolling["partition"].as_i64().unwrap_or(0)).max(0);
    let away = match (strategy["type"].as_str().unwrap_or("RollingUpdate"), kind) {
        ("OnDelete", _) => {
            plan.note(Level::Warning, format!("the strategy of {} is OnDelete: no pod is replaced until it is deleted", target.label()));
            return false;
        }
        ("Recreate", _) => pods,
        (_, Some(Kind::Deployment)) => {
            let away = amount(&rolling["maxUnavailable"], all, false).unwrap_or(all / 4);
            // With neither surge nor absence nothing could move: the controller then takes one away.
            let surge = amount(&rolling["maxSurge"], all, true).unwrap_or((all + 3) / 4);
            if away == 0 && surge == 0 { 1 } else { away }
        }
        (_, Some(Kind::DaemonSet)) => {
            let surge = amount(&rolling["maxSurge"], all, true).unwrap_or(0);
            if surge > 0 { 0 } else { amount(&rolling["maxUnavailable"], all, true).unwrap_or(1).max(1) }
        }
        _ => amount(&rolling["maxUnavailable"], all, false).unwrap_or(1).max(1),
    }
    .min(pods);
    if pods < all {
        plan.note(Level::Warning, format!("{} has a partition: {} of {all} pods stay old", target.label(), all - pods));
    }
    let over = budgets(snapshot, target, &labels(&spec["template"]["metadata"]["labels"]));
    let count = |n: i64| u32::try_from(n).unwrap_or(0);
    let blast = plan.blast_in(target.cluster);
    blast.pods += count(pods);
    blast.unavailable += count(away);
    for pdb in over {
        let title = format!("{}/{}", pdb.meta.namespace, pdb.meta.name);
        if !blast.budgets.contains(&title) {
            blast.budgets.push(title);
        }
    }
    if away > 0 {
        let how = if away == pods { format!("all {pods} pods at once") } else { format!("{away} of {pods} pods at a time") };
        let how = if pods == 1 { "its only pod".to_owned() } else { how };
        plan.judge(Verdict::Degrades(format!("{}: {how}", target.title())));
    }
    true
}

/// Whether environment variables with literal values are in it.
pub fn literals(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.iter().any(|(k, v)| {
            let set = k == "env" && v.as_array().into_iter().flatten().any(|e| !e["value"].is_null());
            set || literals(v)
        }),
        Value::Array(all) => all.iter().any(literals),
        _ => false,
    }
}

/// `report-manual-20260301-024730`: short enough, whatever the name was.
pub fn stamped(name: &str, word: &str, now: i64) -> String {
    let time = jiff::Timestamp::from_second(now).map(|t| t.strftime("%Y%m%d-%H%M%S").to_string()).unwrap_or_default();
    let end = format!("-{word}-{time}");
    let head: String = name.chars().take(LONGEST - end.len()).collect();
    format!("{}{end}", head.trim_end_matches(['-', '.']))
}

/// The body of a deletion that takes a new object away again.
pub fn away() -> Value {
    json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"})
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;
    use crate::model::VerbId;

    #[test]
    fn what_is_away_while_it_rolls_follows_the_strategy() {
        for (replicas, strategy, verdict) in [
            (
                4,
                json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}),
                "degrades pay/api: 1 of 4 pods at a time",
            ),
            (3, json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}), "fits"),
            (
                3,
                json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 0}}),
                "degrades pay/api: 1 of 3 pods at a time",
            ),
            (3, json!({"type": "Recreate"}), "degrades pay/api: all 3 pods at once"),
            (1, json!({"type": "Recreate"}), "degrades pay/api: its only pod"),
        ] {
            let mut f = Fixture::new();
            f.deployment("api", replicas, |d| d["spec"]["strategy"] = strategy.clone());
            let plan = f.plan(VerbId::Restart, Kind::Deployment, &["api"], "").unwrap();
            assert_eq!(plan.verdict.words(), verdict, "{strategy}");
        }
    }

    #[test]
    fn a_patch_is_nested_and_a_name_is_cut() {
        assert_eq!(nest("/spec/template", json!({"a": 1})), json!({"spec": {"template": {"a": 1}}}));
        assert_eq!(nest("", json!(1)), json!(1));
        assert_eq!(stamped("report", "manual", 1_772_333_250), "report-manual-20260301-024730");
        assert_eq!(stamped(&"x".repeat(80), "manual", 0).len(), LONGEST);
    }

    #[test]
    fn literal_values_are_found_wherever_they_stand() {
        assert!(literals(&json!({"spec": {"containers": [{"env": [{"name": "A", "value": "x"}]}]}})));
        assert!(!literals(&json!({"spec": {"containers": [{"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}]}]}})));
    }
}
