//! `qd rollout status` and `qd rollout history`: what a workload's rollout is at, and the revisions that it can go back to. Reads only.

use super::super::args::{Global, Output};
use super::super::fail::{Code, Failure};
use super::{command, objects, with_fleet};
use crate::action::rollout::{Far, Revision, histories, status};
use crate::model::{Target, VerbId};
use crate::runtime::{Fleet, acting};
use crate::view::effects::between;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};
use std::io::Write as _;
use std::time::{Duration, Instant};

/// How often a rollout is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The two subcommands.
pub fn commands() -> [Command; 2] {
    let object = || {
        let help = "A Deployment, StatefulSet or DaemonSet: KIND/NAME, or KIND and then names";
        Arg::new("words").value_name("OBJECT").num_args(0..).help(help)
    };
    let about = "How far a rollout is; waits for its end";
    let example = "Exit code: 0 when it is complete, 1 when it failed, 5 when --timeout was not enough.\n\nExample:\n  qd rollout status deployment/app-0001 --timeout 5m --context lab-1 -n team-01";
    let once = Arg::new("no_wait").long("no-wait").action(ArgAction::SetTrue).help("Say how far it is and leave");
    let status = Command::new("status").about(about).after_help(example).arg(object()).arg(once);
    let about = "The revisions of a workload, or how one of them differs from what runs now";
    let example = "Example:\n  qd rollout history deployment/app-0001 --revision 2 --context lab-1 -n team-01";
    let revision = Arg::new("revision").long("revision").value_name("N").value_parser(clap::value_parser!(i64));
    let revision = revision.help("Only this revision, with what going back to it would change");
    [status, Command::new("history").about(about).after_help(example).arg(object()).arg(revision)]
}

/// Runs one of them, if one was typed.
pub fn chosen(global: &Global, matches: &ArgMatches) -> Option<Result<Code, Failure>> {
    match matches.subcommand()? {
        ("rollout", inner) => match inner.subcommand()? {
            ("status", inner) => Some(tell(global, inner)),
            ("history", inner) => Some(history(global, inner)),
            _ => None,
        },
        _ => None,
    }
}

async fn targets(fleet: &Fleet, global: &Global, matches: &ArgMatches) -> Result<Vec<Target>, Failure> {
    let info = VerbId::Rollback.info();
    let (names, _) = objects::split(info, command::words(matches))?;
    objects::resolve(fleet, global, info, &names).await
}

fn cluster(fleet: &Fleet, target: &Target) -> String {
    fleet.store.cluster(target.cluster).map_or_else(String::new, |c| c.info.name.to_string())
}

fn item(fleet: &Fleet, target: &Target) -> Value {
    json!({"cluster": cluster(fleet, target), "kind": target.resource.kind, "namespace": target.namespace, "name": target.name})
}

fn tell(global: &Global, matches: &ArgMatches) -> Result<Code, Failure> {
    let once = matches.get_flag("no_wait");
    let limit = command::time_limit(matches).map(|_| global.timeout);
    let until = limit.map(|l| Instant::now() + l);
    with_fleet(global, &[], async |fleet, _| {
        let targets = targets(fleet, global, matches).await?;
        let mut said: Vec<Option<Far>> = vec![None; targets.len()];
        loop {
            for (target, before) in targets.iter().zip(&mut said) {
                if matches!(before, Some(Far::There | Far::Never(_))) {
                    continue;
                }
                let far = look(fleet, target).await?;
                if before.as_ref() != Some(&far) && global.output != Output::Json {
                    println!("{}: {}: {}", cluster(fleet, target), target.label(), words(&far).1);
                }
                *before = Some(far);
            }
            let going = said.iter().any(|f| matches!(f, Some(Far::Not(_))));
            let late = until.is_some_and(|u| Instant::now() >= u);
            if going && !once && !late {
                fleet.alongside(tokio::time::sleep(LOOK)).await;
                continue;
            }
            if global.output == Output::Json {
                let items: Vec<Value> = targets
                    .iter()
                    .zip(&said)
                    .map(|(target, far)| {
                        let mut out = item(fleet, target);
                        let (state, why) = far.as_ref().map_or(("unknown", String::new()), words);
                        (out["state"], out["message"]) = (state.into(), why.into());
                        out
                    })
                    .collect();
                println!("{}", json!({"items": items}));
            }
            return Ok(match said.iter().any(|f| matches!(f, Some(Far::Never(_)))) {
                true => Code::Failed,
                false if going && !once => Code::Blocked,
                false => Code::Done,
            });
        }
    })
}

fn words(far: &Far) -> (&'static str, String) {
    match far {
        Far::There => ("complete", "rolled out".to_owned()),
        Far::Not(why) | Far::Silent(why) => ("progressing", why.clone()),
        Far::Never(why) => ("failed", why.clone()),
    }
}

async fn look(fleet: &mut Fleet, target: &Target) -> Result<Far, Failure> {
    let client = fleet.reader(target.cluster).and_then(|r| r.client()).ok_or_else(|| Failure::failed("unreachable", "not connected"))?;
    match fleet.alongside(async { client.get_json(&target.path()).await }).await {
        Ok(live) => Ok(status(&live)),
        Err(crate::client::ClientError::NotFound { .. }) => Ok(Far::Never("it is gone".to_owned())),
        Err(e) => Ok(Far::Not(e.reason())),
    }
}

fn history(global: &Global, matches: &ArgMatches) -> Result<Code, Failure> {
    let wanted = matches.get_one::<i64>("revision").copied();
    with_fleet(global, &[], async |fleet, _| {
        let targets = targets(fleet, global, matches).await?;
        let all = match acting::known(fleet, |s| histories(s, &targets)).await {
            Ok(all) => all,
            Err(stop) => return super::refused_plan(stop, global.output == Output::Json),
        };
        let mut items = Vec::new();
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        for (target, revisions) in targets.iter().zip(&all) {
            let current = revisions.iter().find(|r| r.current);
            if let Some(n) = wanted.filter(|n| !revisions.iter().any(|r| r.number == *n)) {
                let there: Vec<String> = revisions.iter().map(|r| r.number.to_string()).collect();
                return Err(Failure::failed("not-found", format!("{} has no revision {n}", target.label()))
                    .hint(format!("there are {}", there.join(", "))));
            }
            let shown = revisions.iter().filter(|r| wanted.is_none_or(|n| r.number == n));
            if global.output == Output::Json {
                items.extend(shown.map(|r| json_of(item(fleet, target), r, wanted.is_some(), current)));
                continue;
            }
            writeln!(out, "{}: {}", cluster(fleet, target), target.label())?;
            for r in shown {
                let mark = if r.current { "*" } else { " " };
                let cause = r.cause.as_ref().map(|c| format!("  {c}")).unwrap_or_default();
                writeln!(out, "{mark} {:<4} {}  {}{cause}", r.number, r.created, r.images.join(", "))?;
                if wanted.is_some() {
                    for line in changes(r, current) {
                        writeln!(out, "      {line}")?;
                    }
                }
            }
        }
        if global.output == Output::Json {
            writeln!(out, "{}", json!({"items": items}))?;
        }
        out.flush()?;
        Ok(Code::Done)
    })
}

/// What going back to it would change, a line a field.
fn changes(revision: &Revision, current: Option<&Revision>) -> Vec<String> {
    let Some(current) = current else { return vec!["what runs now is none of the revisions that are kept".to_owned()] };
    let found = between(&current.template, &revision.template, "...");
    if found.is_empty() { vec!["the template is the one that runs now".to_owned()] } else { found }
}

fn json_of(mut item: Value, r: &Revision, compared: bool, current: Option<&Revision>) -> Value {
    item["revision"] = r.number.into();
    item["created"] = r.created.clone().into();
    item["current"] = r.current.into();
    item["images"] = r.images.clone().into();
    item["cause"] = r.cause.clone().into();
    if compared {
        item["changes"] = changes(r, current).into();
    }
    item
}
