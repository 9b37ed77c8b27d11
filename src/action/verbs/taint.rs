//! `taint`: a node's taints. The list is one field of the API, so it is sent whole, bound to the version that was looked at: a taint that
//! the node controller sets meanwhile is not lost.

use super::super::snapshot::gather;
use super::{Request, Snapshot, Stop, nothing, subject};
use crate::model::{Interner, Kind, Level, Method, Object, Plan, Step, Target, Verdict, Write, decode_json};
use serde_json::{Value, json};

/// One change as it was typed.
enum Change {
    Set {
        key: String,
        value: String,
        effect: String,
    },
    /// Without an effect: every one of that key.
    Remove {
        key: String,
        effect: Option<String>,
    },
}

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

fn parse(text: &str) -> Result<Change, Stop> {
    let wrong =
        |why: String| Stop::refuse("usage", why).with_hint("write KEY=VALUE:EFFECT or KEY:EFFECT to set, KEY:EFFECT- or KEY- to take away");
    let effect = |text: &str| {
        EFFECTS.iter().find(|e| **e == text).map(|e| (*e).to_owned()).ok_or_else(|| wrong(crate::diag::unknown("effect", text, EFFECTS)))
    };
    let key_of = |key: &str| {
        let fine = !key.is_empty() && key.len() <= 317 && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
        if fine { Ok(key.to_owned()) } else { Err(wrong(format!("`{text}`: `{key}` is no taint key"))) }
    };
    if let Some(rest) = text.strip_suffix('-') {
        return Ok(match rest.split_once(':') {
            Some((key, e)) => Change::Remove { key: key_of(key.split('=').next().unwrap_or(key))?, effect: Some(effect(e)?) },
            None => Change::Remove { key: key_of(rest)?, effect: None },
        });
    }
    let (pair, e) = text.rsplit_once(':').ok_or_else(|| wrong(format!("`{text}` has no effect")))?;
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    Ok(Change::Set { key: key_of(key)?, value: value.to_owned(), effect: effect(e)? })
}

pub fn plan(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let changes: Vec<Change> = request.args.all("taints").map(parse).collect::<Result<_, _>>()?;
    let executes = changes.iter().any(|c| matches!(c, Change::Set { effect, .. } if effect == "NoExecute"));
    let pods = |t: &Target| snapshot.list(t.cluster, format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", t.name));
    let read = |t: &Target| {
        gather([snapshot.object(t).map(drop), if executes { pods(t).map(drop) } else { Ok(()) }].into_iter())?;
        Ok((snapshot.object(t)?, if executes { pods(t)? } else { &[] }))
    };
    let known = gather(request.targets.iter().map(read))?;
    let mut plan = Plan::new(request.verb, &request.args, format!("taint {}", subject(request)));
    plan.parallel = 8;
    plan.undo_text = "the taints there were come back".to_owned();
    for (lane, (target, (node, pods))) in request.targets.iter().zip(known).enumerate() {
        plan.blast_in(target.cluster).nodes += 1;
        let before = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        let after = changed(&before, &changes, request.args.flag("overwrite"), &target.name)?;
        if after == before {
            plan.note(Level::Info, format!("{} has these taints already", target.name));
            continue;
        }
        if executes {
            leave(&mut plan, target, node, &after, pods);
        }
        let target = Target { uid: node["metadata"]["uid"].as_str().map(str::to_owned), ..target.clone() };
        let body = |taints: &[Value]| json!({"spec": {"taints": taints}});
        let value = |taints: &[Value]| (!taints.is_empty()).then(|| json!(taints));
        let back = Write { method: Method::MergePatch, path: target.path(), query: String::new(), body: body(&before) };
        let step = Step::write(format!("taint node {}", target.name), &target, Method::MergePatch, body(&after))
            .changing("/spec/taints", value(&before), value(&after))
            .undone_by(format!("put the taints of node {} back", target.name), back);
        plan.steps.push(step.at(lane, 0));
    }
    if plan.steps.is_empty() { Err(nothing(&plan)) } else { Ok(plan) }
}

fn changed(before: &[Value], changes: &[Change], overwrite: bool, node: &str) -> Result<Vec<Value>, Stop> {
    let mut taints = before.to_vec();
    for change in changes {
        match change {
            Change::Remove { key, effect } => {
                let hit = |t: &Value| t["key"] == **key && effect.as_ref().is_none_or(|e| t["effect"] == **e);
                if !taints.iter().any(hit) {
                    let effect = effect.as_ref().map(|e| format!(":{e}")).unwrap_or_default();
                    return Err(Stop::refuse("not-found", format!("{node} has no taint {key}{effect}")));
                }
                taints.retain(|t| !hit(t));
            }
            Change::Set { key, value, effect } => {
                let new = if value.is_empty() {
                    json!({"key": key, "effect": effect})
                } else {
                    json!({"key": key, "value": value, "effect": effect})
                };
                match taints.iter_mut().find(|t| t["key"] == **key && t["effect"] == **effect) {
                    Some(there) if there["value"].as_str().unwrap_or("") == value => {}
                    Some(there) if overwrite => *there = new,
                    Some(there) => {
                        let is = there["value"].as_str().unwrap_or("");
                        return Err(
                            Stop::refuse("conflict", format!("{node} has {key}={is}:{effect} already")).with_hint("--overwrite changes it")
                        );
                    }
                    None => taints.push(new),
                }
            }
        }
    }
    Ok(taints)
}

/// The pods that a NoExecute taint drives away.
fn leave(plan: &mut Plan, target: &Target, node: &Value, after: &[Value], pods: &[Value]) {
    let mut tainted = node.clone();
    tainted["spec"]["taints"] = after.iter().filter(|t| t["effect"] == "NoExecute").cloned().collect();
    let Ok(Object::Node(node)) = decode_json(Kind::Node, tainted.to_string().as_bytes(), &mut Interner::default()) else { return };
    let mut driven = Vec::new();
    for value in pods {
        if let Ok(Object::Pod(pod)) = decode_json(Kind::Pod, value.to_string().as_bytes(), &mut Interner::default())
            && !pod.finished()
            && pod.shape.placing.repelled_by(&node).is_some()
        {
            driven.push(format!("{}/{}", pod.meta.namespace, pod.meta.name));
        }
    }
    if driven.is_empty() {
        return;
    }
    let n = u32::try_from(driven.len()).unwrap_or(u32::MAX);
    let blast = plan.blast_in(target.cluster);
    blast.pods += n;
    blast.unavailable += n;
    let more = if driven.len() > 5 { format!(" and {} more", driven.len() - 5) } else { String::new() };
    driven.truncate(5);
    plan.note(
        Level::Danger,
        format!("NoExecute deletes {n} pods of {} at once, without asking disruption budgets: {}{more}", target.name, driven.join(", ")),
    );
    plan.judge(Verdict::Degrades(format!("{n} pods of {}", target.name)));
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use crate::model::{Kind, VerbId};
    use serde_json::json;

    #[test]
    fn a_taint_is_set_changed_and_taken_away_beside_others() {
        let mut f = Fixture::new();
        f.node("n1", |n| {
            n["spec"]["taints"] = json!([{"key": "a", "effect": "NoSchedule"}, {"key": "b", "value": "1", "effect": "NoSchedule"}])
        });
        let mut after =
            |args: &str| f.plan(VerbId::Taint, Kind::Node, &["n1"], args).map(|p| p.steps[0].changes[0].after.clone().unwrap_or_default());
        assert_eq!(
            after("c=x:NoSchedule a-").unwrap(),
            json!([{"key": "b", "value": "1", "effect": "NoSchedule"}, {"key": "c", "value": "x", "effect": "NoSchedule"}])
        );
        assert_eq!(after("b=2:NoSchedule").unwrap_err(), "n1 has b=1:NoSchedule already");
        assert_eq!(after("b=2:NoSchedule overwrite").unwrap()[1]["value"], "2");
        assert_eq!(after("b:NoExecute-").unwrap_err(), "n1 has no taint b:NoExecute");
        assert_eq!(after("a:NoSchedule").unwrap_err(), "nothing to do: n1 has these taints already");
        assert_eq!(after("c:NoScedule").unwrap_err(), "unknown effect `NoScedule`; did you mean `NoSchedule`?");
        assert_eq!(after("c").unwrap_err(), "`c` has no effect");
    }

    #[test]
    fn no_execute_names_the_pods_that_it_drives_away() {
        let mut f = Fixture::new();
        f.node("n1", |_| {});
        let a = f.pod("a", "a", "n1", |_| {});
        let b = f.pod("b", "b", "n1", |p| p["spec"]["tolerations"] = json!([{"operator": "Exists"}]));
        let items = [f.object(&a), f.object(&b)];
        f.fact("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1", json!({"items": items}));
        let plan = f.plan(VerbId::Taint, Kind::Node, &["n1"], "out:NoExecute").unwrap();
        assert_eq!((plan.verdict.words().as_str(), plan.blast[0].pods), ("degrades 1 pods of n1", 1));
        assert!(plan.notes[0].text.ends_with(": pay/a"));
    }
}
