//! `set-env`: environment variables of a workload's containers. Values are secret: no text has them, and the log only their hashes, so
//! that the way back is the revision before. What comes from Secrets and ConfigMaps stays unless it is named.

use super::template::{Container, aimed, container, containers, nest, rolls, root};
use super::{Request, Snapshot, Stop, nothing, subject};
use crate::model::{Act, Kind, Level, Method, Plan, Step, Target, UndoKind, Wait};
use serde_json::{Value, json};

pub fn plan(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let wanted = request.args.all("env").map(variable).collect::<Result<Vec<_>, Stop>>()?;
    let mut plan = Plan::new(request.verb, &request.args, format!("set environment of {}", subject(request)));
    for (lane, (target, object)) in request.targets.iter().zip(snapshot.objects(&request.targets)?).enumerate() {
        let (target, root) = (aimed(target, object), root(target));
        let template = object.pointer(root).unwrap_or(&Value::Null);
        let chosen = match request.args.get("container") {
            Some(name) => vec![container(template, Some(name), &target)?],
            None => containers(template).into_iter().filter(|c| c.list == "containers").collect(),
        };
        let mut spec = json!({});
        let mut step = Step::write(String::new(), &target, Method::StrategicPatch, Value::Null);
        let mut words = Vec::new();
        for c in &chosen {
            let (patch, after, names) = of_container(&mut plan, &target, c, &wanted);
            if patch.is_empty() {
                continue;
            }
            words.push(format!("{} of {}", names.join(", "), c.name));
            if spec[c.list].is_null() {
                spec[c.list] = json!([]);
            }
            if let Some(list) = spec[c.list].as_array_mut() {
                list.push(json!({"name": c.name, "env": patch}));
            }
            let before = Some(c.value["env"].clone()).filter(|v| !v.is_null());
            step = step.changing(format!("{root}/spec/{}/{}/env", c.list, c.at), before, Some(Value::Array(after)));
        }
        if words.is_empty() {
            plan.note(Level::Info, format!("{} has these variables so already", target.label()));
            continue;
        }
        step.text = format!("set {} in {}", words.join("; "), target.label());
        step.sensitive = true;
        if let Act::Write(write) = &mut step.act {
            write.body = nest(root, json!({"spec": spec}));
        }
        plan.steps.push(step.at(lane, 0));
        if rolls(snapshot, &mut plan, &target, object) {
            plan.steps.push(Step::new(format!("wait for {}", target.label()), &target, Act::Wait(Wait::RolledOut)).at(lane, 1));
        }
    }
    if plan.steps.is_empty() {
        return Err(nothing(&plan));
    }
    let revisions = request.targets.iter().all(|t| t.resource.known() != Some(Kind::CronJob));
    if revisions {
        plan.undo_text = "values are kept only as hashes: the way back is the revision before (rollout undo)".to_owned();
    } else {
        plan.undo = UndoKind::None;
        plan.undo_text = "values are kept only as hashes, and a CronJob has no revisions: set the value before again".to_owned();
    }
    Ok(plan)
}

/// A name, and its value; none takes it away.
fn variable(text: &str) -> Result<(&str, Option<&str>), Stop> {
    let pair = match text.split_once('=') {
        Some((name, value)) => Some((name, Some(value))),
        None => text.strip_suffix('-').map(|name| (name, None)),
    };
    // The text may be a value that was meant to follow a name: it is not repeated.
    let pair = pair.filter(|(name, _)| !name.is_empty() && !name.contains(char::is_whitespace));
    pair.ok_or_else(|| Stop::refuse("usage", "a variable is NAME=VALUE, or NAME- to take it away"))
}

/// The patch of a container's variables, the list as it will be, and the names that change.
fn of_container<'a>(
    plan: &mut Plan,
    target: &Target,
    c: &Container,
    wanted: &[(&'a str, Option<&str>)],
) -> (Vec<Value>, Vec<Value>, Vec<&'a str>) {
    let mut after: Vec<Value> = c.value["env"].as_array().cloned().unwrap_or_default();
    let (mut patch, mut names) = (Vec::new(), Vec::new());
    for (name, value) in wanted {
        let at = after.iter().position(|e| e["name"] == *name);
        let was = at.and_then(|n| after.get(n)).cloned().unwrap_or(Value::Null);
        match value {
            Some(value) => {
                if !was.is_null() && was["valueFrom"].is_null() && was["value"].as_str().unwrap_or("") == *value {
                    continue;
                }
                let mut entry = json!({"name": name, "value": value});
                let new = entry.clone();
                if let Some(source) = was["valueFrom"].as_object().and_then(|f| f.keys().next()) {
                    plan.note(
                        Level::Warning,
                        format!("{name} of {} in {} comes from a {source}: a plain value takes its place", c.name, target.label()),
                    );
                    entry["valueFrom"] = Value::Null;
                }
                patch.push(entry);
                match at.and_then(|n| after.get_mut(n)) {
                    Some(slot) => *slot = new,
                    None => after.push(new),
                }
            }
            None if was.is_null() => {
                plan.note(Level::Info, format!("{} in {} has no {name}", c.name, target.label()));
                continue;
            }
            None => {
                patch.push(json!({"name": name, "$patch": "delete"}));
                after.retain(|e| e["name"] != *name);
            }
        }
        names.push(*name);
    }
    (patch, after, names)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;
    use crate::model::VerbId;

    fn fixture() -> Fixture {
        let mut f = Fixture::new();
        f.deployment("api", 3, |d| {
            d["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "LEVEL", "value": "info"},
                {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "t"}}}]);
        });
        f
    }

    #[test]
    fn variables_are_set_and_taken_away_and_the_rest_stays() {
        let mut f = fixture();
        let plan = f.plan(VerbId::SetEnv, Kind::Deployment, &["api"], "MODE=canary-value LEVEL-").unwrap();
        let Act::Write(write) = &plan.steps[0].act else { panic!() };
        let list = json!([{"name": "MODE", "value": "canary-value"}, {"name": "LEVEL", "$patch": "delete"}]);
        assert_eq!(write.body.pointer("/spec/template/spec/containers/0/env"), Some(&list));
        let change = &plan.steps[0].changes[0];
        assert_eq!(change.after.as_ref().unwrap()[0]["valueFrom"]["secretKeyRef"]["name"], "s", "what comes from a Secret stays");
        assert_eq!(plan.steps[0].text, "set MODE, LEVEL of app in deployment pay/api");
        assert!(plan.steps[0].undo.is_none() && plan.undo_text.contains("rollout undo"));
    }

    #[test]
    fn no_text_and_no_log_has_a_value() {
        let mut f = fixture();
        let plan = f.plan(VerbId::SetEnv, Kind::Deployment, &["api"], "TOKEN=canary-value LEVEL=debug").unwrap();
        assert!(plan.notes[0].text.contains("TOKEN of app in deployment pay/api comes from a secretKeyRef"));
        let texts =
            format!("{} {:?} {} {:?}", plan.title, plan.notes, plan.undo_text, plan.steps.iter().map(|s| &s.text).collect::<Vec<_>>());
        assert!(!texts.contains("canary-value"));
        assert!(!serde_json::to_string(&plan.redacted("salt")).unwrap().contains("canary-value"));
        let wrong = f.plan(VerbId::SetEnv, Kind::Deployment, &["api"], "canary-value").unwrap_err();
        assert_eq!(wrong, "a variable is NAME=VALUE, or NAME- to take it away");
    }

    #[test]
    fn what_is_so_already_and_what_has_no_revisions() {
        let mut f = fixture();
        assert!(f.plan(VerbId::SetEnv, Kind::Deployment, &["api"], "LEVEL=info").unwrap_err().starts_with("nothing to do"));
        assert!(f.plan(VerbId::SetEnv, Kind::Deployment, &["api"], "A=b container=ap").unwrap_err().contains("did you mean `app`?"));
        f.add(
            Kind::CronJob,
            json!({"metadata": {"name": "report", "namespace": "pay"}, "spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "app"}]}}}}}}),
        );
        let plan = f.plan(VerbId::SetEnv, Kind::CronJob, &["report"], "A=b").unwrap();
        assert_eq!((plan.undo, plan.steps.len()), (UndoKind::None, 1));
    }
}
