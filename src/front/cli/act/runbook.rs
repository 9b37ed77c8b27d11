//! `qd run`: the runbooks there are, and one of them as one plan, one confirmation, one job.

use super::super::args::{Global, Output};
use super::super::fail::{Code, Failure};
use super::command::Writing;
use super::{SILENCES, carry_out, silences, with_fleet};
use crate::action::Wanted;
use crate::action::runbook::Params;
use crate::config::{Config, Does, Runbook, runbooks};
use serde_json::json;
use std::io::Write as _;

pub fn run(global: &Global, name: Option<&str>, given: &[String], writing: &Writing) -> Result<Code, Failure> {
    let (books, diags) = runbooks(&Config::load(global.config.as_deref()).config);
    for diag in &diags {
        eprintln!("qd: {diag}");
    }
    let Some(name) = name else { return list(global, &books) };
    let Some(book) = books.iter().find(|b| b.name == name) else {
        let names = || books.iter().map(|b| b.name.as_str());
        let there = format!("there are {}", names().collect::<Vec<_>>().join(", "));
        return Err(Failure::usage(crate::diag::unknown("runbook", name, names())).hint(there));
    };
    let mut params = Params { namespace: global.namespace.first().cloned(), ..Params::default() };
    for pair in given {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(Failure::usage(format!("`{pair}` is no NAME=VALUE")));
        };
        params.values.insert(name.to_owned(), value.to_owned());
    }
    if let (true, Some(namespace)) = (book.params.contains_key("namespace"), &params.namespace) {
        params.values.entry("namespace".to_owned()).or_insert_with(|| namespace.clone());
    }
    let muted = |does: &Does| matches!(does, Does::Verb { verb, .. } if silences(*verb));
    let kinds = if book.steps.iter().any(|s| muted(&s.does)) { SILENCES } else { &[] };
    with_fleet(global, kinds, async |fleet, state| {
        params.clusters = fleet.store.clusters().iter().map(|c| c.id).collect();
        carry_out(fleet, state, global, writing, &Wanted::Run(Box::new((book.clone(), params)))).await
    })
}

fn list(global: &Global, books: &[Runbook]) -> Result<Code, Failure> {
    let mut out = std::io::stdout().lock();
    if global.output == Output::Json {
        let item = |b: &Runbook| json!({"name": b.name, "doc": b.doc, "params": b.params, "defaults": b.defaults, "steps": b.steps.iter().map(|s| &s.name).collect::<Vec<_>>()});
        writeln!(out, "{}", json!({"items": books.iter().map(item).collect::<Vec<_>>()}))?;
        return Ok(Code::Done);
    }
    for b in books {
        writeln!(out, "{}: {}", b.name, b.doc)?;
        for (name, doc) in &b.params {
            let default = b.defaults.get(name).map(|d| format!("; {d}")).unwrap_or_default();
            writeln!(out, "  --param {name}=...  {doc}{default}")?;
        }
    }
    Ok(Code::Done)
}
