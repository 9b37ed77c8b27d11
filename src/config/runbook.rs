//! Runbooks: `[[runbook]]` tables of named steps, in `config.toml`, in `runbooks/*.toml` beside it, and those that come with qd.
//!
//! What can be wrong with one before its parameters are known is found here, with its place; what a step becomes is `action::runbook`'s.

use super::settings::Origin;
use super::walk::{Entries, KeyDoc, Value, Walk, find};
use super::{Config, config_dir};
use crate::diag::{self, Diag};
use crate::model::{Kind, VERBS, VerbId};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use toml::de::DeTable;

const fn key(name: &'static str, doc: &'static str) -> KeyDoc {
    KeyDoc { name, doc }
}

pub(super) const RUNBOOK: &[KeyDoc] = &[
    key("name", "what it is run by: letters, digits and dashes"),
    key("doc", "one line about it"),
    key("params", "its parameters, each with one line about it; ${name} stands for the value in steps"),
    key("defaults", "values of parameters that may be left out"),
    key("step", "the steps, one after the other"),
];
const FILE: &[KeyDoc] = &[key("runbook", "a runbook")];
pub(super) const STEP: &[KeyDoc] = &[
    key("name", "what it is called in the preview"),
    key("run", "the action, as docs/actions.md names it"),
    key("on", "the objects: a list of KIND/NAME; KIND/* is every one of the namespace"),
    key("namespace", "the namespace of the objects; the one that was named on the command line"),
    key("args", "the action's arguments, as the palette takes them"),
    key("wave", "so many objects together, then the next ones; all"),
    key("wait", "in place of run: a duration, `ready KIND/NAME`, `no-pending`, or `alert-gone NAME`, which needs an Alertmanager"),
    key("check", "in place of run: what must be so, as in wait; when it is not, the runbook stops"),
];

/// The runbooks that come with qd.
const EMBEDDED: &[(&str, &str)] = &[
    ("node-maintenance.toml", include_str!("../../assets/runbooks/node-maintenance.toml")),
    ("restart-in-waves.toml", include_str!("../../assets/runbooks/restart-in-waves.toml")),
    ("freeze-hpas.toml", include_str!("../../assets/runbooks/freeze-hpas.toml")),
];

/// A runbook as it is written.
#[derive(Clone, PartialEq, Debug)]
pub struct Runbook {
    pub name: String,
    pub doc: String,
    /// Name and what it is.
    pub params: BTreeMap<String, String>,
    pub defaults: BTreeMap<String, String>,
    pub steps: Vec<RunbookStep>,
    pub origin: Origin,
}

impl Runbook {
    /// Whether a step is about objects of a namespace and names none.
    pub fn wants_namespace(&self) -> bool {
        let namespaced = |on: &String| on.split_once('/').and_then(|(kind, _)| Kind::parse(kind)).is_some_and(|k| k.info().namespaced);
        self.steps.iter().any(|s| match &s.does {
            Does::Verb { on, namespace: None, .. } => on.iter().any(namespaced),
            Does::Verb { .. } => false,
            Does::Wait(text) | Does::Check(text) => text.strip_prefix("ready ").is_some_and(|on| namespaced(&on.to_owned())),
        })
    }
}

/// One step of a runbook.
#[derive(Clone, PartialEq, Debug)]
pub struct RunbookStep {
    pub name: String,
    pub does: Does,
}

/// What a step does. Texts may hold `${param}`.
#[derive(Clone, PartialEq, Debug)]
pub enum Does {
    Verb { verb: VerbId, on: Vec<String>, namespace: Option<String>, args: String, wave: Option<String> },
    Wait(String),
    Check(String),
}

/// Reads the runbooks of a table into `into`; one of a name that is there takes its place.
pub(super) fn read(walk: &mut Walk, entries: &Entries<'_>, into: &mut Vec<Runbook>) {
    let Some((_, value)) = find(entries, "runbook") else { return };
    for book in walk.list(value, runbook).unwrap_or_default() {
        into.retain(|b| b.name != book.name);
        into.push(book);
    }
}

/// A table of texts.
fn texts(walk: &mut Walk, table: &Entries<'_>, name: &str) -> BTreeMap<String, String> {
    let inner = find(table, name).and_then(|(_, value)| walk.table(value));
    inner.into_iter().flatten().filter_map(|(key, value)| Some((key.get_ref().to_string(), walk.string(value)?))).collect()
}

fn text(walk: &mut Walk, table: &Entries<'_>, name: &str) -> Option<String> {
    find(table, name).and_then(|(_, value)| walk.string(value))
}

fn runbook(walk: &mut Walk, value: &Value<'_>) -> Option<Runbook> {
    let mark = walk.diags.len();
    let table = walk.table(value)?;
    walk.check_keys(table, "a runbook", RUNBOOK);
    let Some(name) = text(walk, table, "name") else {
        walk.wrong(value.span(), "a runbook has a name");
        return None;
    };
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        walk.wrong(value.span(), format!("`{name}`: a runbook's name has letters, digits and dashes"));
    }
    let (params, defaults) = (texts(walk, table, "params"), texts(walk, table, "defaults"));
    if let Some((key, _)) = find(table, "defaults") {
        for name in defaults.keys().filter(|n| !params.contains_key(*n)) {
            walk.wrong(key.span(), diag::unknown("parameter", name, params.keys().map(String::as_str)));
        }
    }
    let doc = text(walk, table, "doc").unwrap_or_default();
    let Some((_, steps)) = find(table, "step") else {
        walk.wrong(value.span(), format!("runbook `{name}` has no step"));
        return None;
    };
    let steps = walk.some_list(steps, |walk, value| step(walk, value, &params))?;
    let origin = walk.origin(value.span());
    // A runbook of which a part is not understood is none: what is left of it might do harm.
    let whole = walk.first_error_since(mark).is_none();
    whole.then_some(Runbook { name, doc, params, defaults, steps, origin })
}

fn step(walk: &mut Walk, value: &Value<'_>, params: &BTreeMap<String, String>) -> Option<RunbookStep> {
    let table = walk.table(value)?;
    walk.check_keys(table, "a step", STEP);
    for (_, value) in table.iter() {
        let all = value.get_ref().as_array().map_or_else(|| vec![value], |a| a.iter().collect());
        for value in all {
            for name in value.get_ref().as_str().map(named).unwrap_or_default() {
                if !params.contains_key(&name) {
                    walk.wrong(value.span(), diag::unknown("parameter", &name, params.keys().map(String::as_str)));
                }
            }
        }
    }
    let (run, wait, check) = (find(table, "run"), text(walk, table, "wait"), text(walk, table, "check"));
    let label = text(walk, table, "name");
    let does = match (run, wait, check) {
        (Some((_, value)), None, None) => {
            let name = walk.string(value)?;
            let Some(verb) = VerbId::find(&name) else {
                walk.wrong(value.span(), diag::unknown("action", &name, VERBS.iter().map(|v| v.name)));
                return None;
            };
            let on = find(table, "on").and_then(|(_, list)| walk.list(list, object)).unwrap_or_default();
            let (namespace, wave) = (text(walk, table, "namespace"), text(walk, table, "wave"));
            Does::Verb { verb, on, namespace, args: text(walk, table, "args").unwrap_or_default(), wave }
        }
        (None, Some(text), None) => Does::Wait(waiting(walk, value, text)?),
        (None, None, Some(text)) => Does::Check(waiting(walk, value, text)?),
        _ => {
            walk.wrong(value.span(), "a step has one of run, wait and check");
            return None;
        }
    };
    let fallback = match &does {
        Does::Verb { verb, .. } => verb.to_string(),
        Does::Wait(text) | Does::Check(text) => text.clone(),
    };
    Some(RunbookStep { name: label.unwrap_or(fallback), does })
}

fn object(walk: &mut Walk, value: &Value<'_>) -> Option<String> {
    let text = walk.string(value)?;
    let kind = text.split_once('/').map(|(kind, _)| kind.to_owned());
    match kind {
        None => walk.wrong(value.span(), format!("`{text}`: write KIND/NAME or KIND/*")),
        Some(kind) if !kind.contains('$') && Kind::parse(&kind).is_none() => {
            walk.wrong(value.span(), diag::unknown("kind", &kind, Kind::names()));
        }
        Some(_) => return Some(text),
    }
    None
}

/// Whether a wait has one of its forms, as far as that can be told before its parameters are known.
fn waiting(walk: &mut Walk, value: &Value<'_>, text: String) -> Option<String> {
    let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
    let fine = match word {
        "ready" => rest.contains('/'),
        "alert-gone" => !rest.is_empty(),
        "no-pending" => rest.is_empty(),
        _ => word.contains('$') || crate::model::duration::parse_duration(&text).is_some(),
    };
    if !fine {
        let diag = Diag::error(format!("`{text}` is nothing to wait for"));
        walk.push(diag.hint("a duration, `ready KIND/NAME`, `no-pending`, or `alert-gone NAME`"), value.span());
    }
    fine.then_some(text)
}

/// The parameters that a text names.
pub fn named(text: &str) -> Vec<String> {
    text.split("${").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name.to_owned()).collect()
}

/// Every runbook there is: those that come with qd, over them the files of the configuration directory, over them the configuration's.
pub fn runbooks(config: &Config) -> (Vec<Runbook>, Vec<Diag>) {
    let (mut books, mut diags) = (Vec::new(), Vec::new());
    for (name, text) in EMBEDDED {
        parse(text, Path::new(name), &mut books, &mut diags);
    }
    let files = config_dir().and_then(|dir| std::fs::read_dir(dir.join("runbooks")).ok()).into_iter().flatten().flatten();
    let mut files: Vec<_> = files.map(|f| f.path()).filter(|p| p.extension().is_some_and(|e| e == "toml")).collect();
    files.sort();
    for file in files {
        match std::fs::read_to_string(&file) {
            Ok(text) => parse(&text, &file, &mut books, &mut diags),
            Err(e) => diags.push(Diag::error(format!("it cannot be read: {e}")).in_file(&file)),
        }
    }
    for own in &config.runbooks {
        books.retain(|b| b.name != own.name);
        books.push(own.clone());
    }
    books.sort_by(|a, b| a.name.cmp(&b.name));
    (books, diags)
}

/// Reads a file of runbooks.
pub fn parse(text: &str, file: &Path, into: &mut Vec<Runbook>, diags: &mut Vec<Diag>) {
    let mut walk = Walk::new(Arc::from(file), Arc::from(text));
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        walk.wrong(error.span().unwrap_or_default(), error.message());
    }
    if errors.is_empty() {
        walk.check_keys(table.get_ref(), "a file of runbooks", FILE);
        read(&mut walk, table.get_ref(), into);
    }
    diags.extend(walk.diags);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<String> {
        let (mut books, mut diags) = (Vec::new(), Vec::new());
        parse(text, Path::new("r.toml"), &mut books, &mut diags);
        assert!(books.is_empty(), "{books:?}");
        diags.iter().map(|d| Diag { hint: None, ..d.clone() }.to_string()).collect()
    }

    #[test]
    fn those_that_come_with_qd_are_right() {
        let (mut books, mut diags) = (Vec::new(), Vec::new());
        for (name, text) in EMBEDDED {
            parse(text, Path::new(name), &mut books, &mut diags);
        }
        assert_eq!(diags, []);
        assert_eq!(books.iter().map(|b| b.name.as_str()).collect::<Vec<_>>(), ["node-maintenance", "restart-in-waves", "freeze-hpas"]);
    }

    #[test]
    fn mistakes_have_their_place_and_the_nearest_name() {
        let book = |step: &str| mistakes(&format!("[[runbook]]\nname = \"x\"\nparams.node = \"the node\"\n[[runbook.step]]\n{step}\n"));
        assert_eq!(book("run = \"drian\"\non = [\"node/x\"]"), ["r.toml:5:7: unknown action `drian`; did you mean `drain`?"]);
        assert_eq!(book("run = \"drain\"\non = [\"node/${nod}\"]"), ["r.toml:6:7: unknown parameter `nod`; did you mean `node`?"]);
        assert_eq!(book("run = \"drain\"\non = [\"nod/x\"]")[0], "r.toml:6:7: unknown kind `nod`; did you mean `node`?");
        assert_eq!(book("runn = \"drain\"\nwait = \"1m\""), ["r.toml:5:1: unknown key `runn`; did you mean `run`?"]);
        assert!(book("wait = \"soon\"")[0].contains("`soon` is nothing to wait for"));
        assert!(book("wait = \"1m\"\nrun = \"drain\"")[0].contains("one of run, wait and check"));
        assert!(mistakes("[[runbook]]\nname = \"x\"\n")[0].contains("has no step"));
    }
}
