//! `ignore`: an object's own word that findings of some rules at it may be, until then: an entry of its annotation `quarterdeck.io/ignore`.

use super::template::owners;
use super::{Request, Snapshot, Stop, nothing, subject};
use crate::config::suppression_end;
use crate::model::meta::IGNORE;
use crate::model::{Level, Method, Plan, Step, Time, Until, Write};
use serde_json::{Value, json};

/// What lasts longer than this is forgotten, in seconds.
const LONG: i64 = 90 * 86_400;

pub fn plan(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let given = |name| request.args.get(name).unwrap_or_default().trim();
    let rules: Vec<&str> = given("rule").split(',').map(str::trim).filter(|r| !r.is_empty()).collect();
    let id = |r: &&str| r.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if rules.is_empty() || !rules.iter().all(id) {
        return Err(usage(format!("`{}` names no rules", given("rule"))).with_hint("qd rule list tells their ids"));
    }
    let because = given("because");
    if because.is_empty() || because.contains(';') || because.contains("until=") {
        return Err(usage("the reason is a text without `;` and `until=`, which separate entries in the annotation"));
    }
    let ends = end(given("until"), snapshot.now)?;
    let objects = snapshot.objects(&request.targets)?;
    let mut plan = Plan::new(request.verb, &request.args, format!("ignore {} at {}", rules.join(", "), subject(request)));
    plan.parallel = 8;
    plan.undo_text = "the annotation is as it was: what was found is told again".to_owned();
    if ends.secs() - snapshot.now > LONG {
        let days = (ends.secs() - snapshot.now) / 86_400;
        plan.note(Level::Warning, format!("it lasts {days} days: what nobody looks at again hides what is new too"));
    }
    for (lane, (target, object)) in request.targets.iter().zip(objects).enumerate() {
        let before = object["metadata"]["annotations"][IGNORE].as_str();
        let after = entries(before, &rules, because, ends);
        if before == Some(after.as_str()) {
            plan.note(Level::Info, format!("{}: it says so already", target.title()));
            continue;
        }
        owners(&mut plan, target, object, "the annotations");
        let body = |value: Option<&str>| json!({"metadata": {"annotations": {IGNORE: value}}});
        let back = Write { method: Method::MergePatch, path: target.path(), query: String::new(), body: body(before) };
        let mut step = Step::write(format!("ignore {} at {}", rules.join(", "), target.label()), target, Method::MergePatch, Value::Null)
            .changing(
                format!("/metadata/annotations/{}", super::fields::escape(IGNORE)),
                before.map(Value::from),
                Some(Value::from(after.as_str())),
            );
        step.act = crate::model::Act::Write(Write { body: body(Some(&after)), ..back.clone() });
        step.target.uid = object["metadata"]["uid"].as_str().map(str::to_owned);
        plan.steps.push(step.undone_by(format!("put the annotations of {} back", target.label()), back).at(lane, 0));
    }
    if plan.steps.is_empty() { Err(nothing(&plan)) } else { Ok(plan) }
}

fn usage(why: impl Into<String>) -> Stop {
    Stop::refuse("usage", why.into())
}

fn end(text: &str, now: i64) -> Result<Time, Stop> {
    let ends = suppression_end(text).or_else(|| Time::from_secs(Until::parse(text)?.of(now, None)));
    let ends = ends.ok_or_else(|| usage(format!("`{text}` is no end")).with_hint("2026-12-31, 30d, or until 08:00"))?;
    if ends.secs() <= now { Err(usage(format!("{text} is past"))) } else { Ok(ends) }
}

/// The annotation with these rules' entry in place of what it said of them.
fn entries(before: Option<&str>, rules: &[&str], because: &str, ends: Time) -> String {
    let kept = before.unwrap_or_default().split(';').map(str::trim).filter(|part| !part.is_empty()).filter_map(|part| {
        let (named, rest) = part.split_once('=')?;
        let others: Vec<&str> = named.split(',').map(str::trim).filter(|r| !rules.contains(r)).collect();
        (!others.is_empty()).then(|| format!("{}={rest}", others.join(",")))
    });
    kept.chain([format!("{}={because} until={}", rules.join(","), ends.rfc3339())]).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;
    use crate::model::{Act, Kind, VerbId};

    fn sent(f: &mut Fixture, args: &str) -> Result<(Value, Value), String> {
        let plan = f.plan(VerbId::Ignore, Kind::Deployment, &["api"], args)?;
        let body = |act: &Act| act.request().unwrap().body["metadata"]["annotations"][IGNORE].clone();
        Ok((body(&plan.steps[0].act), body(&plan.steps[0].undo.as_ref().unwrap().act)))
    }

    #[test]
    fn an_entry_takes_the_place_of_what_was_said_of_the_rule_and_leaves_others() {
        let mut f = Fixture::new();
        f.deployment("api", 1, |_| {});
        let (is, was) = sent(&mut f, r#"rule=pdb-missing until=2099-12-31 because="batch only""#).unwrap();
        assert_eq!(was, Value::Null);
        let text = is.as_str().unwrap().to_owned();
        assert!(text.starts_with("pdb-missing=batch only until=2099-12-31T"), "{text}");
        f.deployment("api", 1, |d| {
            d["metadata"]["annotations"] = json!({IGNORE: "image-not-pinned,pdb-missing=old until=2099-01-01; other=x until=2099-01-01"});
        });
        let (is, was) = sent(&mut f, "rule=pdb-missing,probes until=30d because=batch").unwrap();
        assert_eq!(was, "image-not-pinned,pdb-missing=old until=2099-01-01; other=x until=2099-01-01");
        let parts: Vec<&str> = is.as_str().unwrap().split("; ").collect();
        assert_eq!(parts[..2], ["image-not-pinned=old until=2099-01-01", "other=x until=2099-01-01"]);
        assert!(parts[2].starts_with("pdb-missing,probes=batch until="), "{is}");
    }

    #[test]
    fn what_would_never_end_or_says_nothing_is_refused() {
        let mut f = Fixture::new();
        f.deployment("api", 1, |_| {});
        for (args, why) in [
            ("rule=pdb-missing until=2001-01-01 because=x", "past"),
            ("rule=pdb-missing until=never because=x", "no end"),
            ("rule=PDB until=30d because=x", "names no rules"),
            ("rule=pdb-missing until=30d because=\"a; b\"", "without `;`"),
            ("rule=pdb-missing until=30d because=\"a until=b\"", "without `;`"),
        ] {
            let refused = sent(&mut f, args).unwrap_err();
            assert!(refused.contains(why), "{args}: {refused}");
        }
        let plan = f.plan(VerbId::Ignore, Kind::Deployment, &["api"], "rule=pdb-missing until=400d because=x").unwrap();
        assert!(plan.notes.iter().any(|n| n.level == Level::Warning && n.text.contains("400 days")), "{:?}", plan.notes);
    }
}
