//! Rules of the user's own: `[[rule]]` tables of `config.toml` and of the files that `rules` names, by default those of `rules/` beside it.
//!
//! What TOML can get wrong is found here, with its place. What an expression means is `inspect`'s, and so is whether an id is free.

use super::schema::url;
use super::settings::Setting;
use super::walk::{Entries, KeyDoc, Value, Walk, find};
use super::{Config, config_dir};
use crate::diag::{self, Diag};
use crate::model::duration::parse_duration;
use crate::model::{Gives, Kind, Measure, Query, Severity, VERBS, VerbId};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

const fn key(name: &'static str, doc: &'static str) -> KeyDoc {
    KeyDoc { name, doc }
}

pub(super) const RULE: &[KeyDoc] = &[
    key("id", "what it is called: small letters, digits and dashes, and no rule of qd's"),
    key("area", "what it is about; own"),
    key("tier", "1 wakes people, or will; 2 completes the picture; 3 is for depth; 2"),
    key("severity", "info, warning or critical; warning"),
    key("burns", "whether it goes wrong now, and is in BURNING too; false"),
    key("kind", "the kind that it judges, or a list of kinds"),
    key("finds", "the condition in one line; the message"),
    key("why", "why it matters"),
    key("when", "CEL over object, thresholds, cluster and now: where it is true there is a finding"),
    key("promql", "in place of kind and when: PromQL; each series at or above warning or critical is a finding"),
    key("needs", "with promql: the metric without which it says nothing"),
    key("measure", "with promql: ratio, seconds, bytes, bytes/s, per-second or count; count"),
    key("warning", "with promql: from this value on it is a warning"),
    key("critical", "with promql: from this value on it is critical"),
    key("top", "with promql: only so many series of a cluster, the highest; 50"),
    key("for", "how long it must be so; 0s"),
    key("message", "what is wrong, short, without the object's name; {CEL} stands for its value"),
    key("evidence", "a table of names, each with CEL: what it rests on"),
    key("steps", "what to do, in words; {CEL} stands for its value"),
    key("run", "the action that mends it, as docs/actions.md names it"),
    key("args", "the action's arguments, as the palette takes them; {CEL} stands for its value"),
    key("links", "a list of addresses to read more at, https:// or http://; the first is the one that tools show"),
    key("thresholds", "a table of names, each with its default: 5m, 3 or 80%; thresholds.NAME in CEL, set as those of other rules are"),
    key("case", "objects that it must find, or must not: `qd rule test` judges them"),
];
pub(super) const CASE: &[KeyDoc] = &[
    key("name", "what it shows"),
    key("object", "the object as YAML in a text, or as a table"),
    key("value", "with promql: the value of a series"),
    key("labels", "with promql: the labels of the series"),
    key("fires", "whether there is a finding"),
    key("message", "the message, where that is to be the same too"),
    key("now", "the time at which it is judged, as 2026-01-31T08:00:00Z; now"),
];
const FILE: &[KeyDoc] = &[key("rule", "a rule")];

/// A rule as it is written.
#[derive(Clone, Debug)]
pub struct OwnRule {
    pub id: Setting<String>,
    pub area: String,
    pub tier: u8,
    pub severity: Severity,
    pub burns: bool,
    pub finds: String,
    pub why: String,
    pub condition: Condition,
    /// Seconds for which it must be so.
    pub hold: i64,
    pub message: Setting<String>,
    pub evidence: Vec<(String, Setting<String>)>,
    pub steps: Option<Setting<String>>,
    pub run: Option<Setting<VerbId>>,
    pub args: Setting<String>,
    pub links: Vec<String>,
    /// Name and default.
    pub thresholds: Vec<(String, Setting<String>)>,
    pub cases: Vec<OwnCase>,
}

/// When a rule finds something.
#[derive(Clone, Debug)]
pub enum Condition {
    Cel { kinds: Vec<Kind>, when: Setting<String> },
    Query(Query),
}

/// A case of a rule.
#[derive(Clone, Debug)]
pub struct OwnCase {
    pub name: Option<String>,
    pub given: Given,
    pub fires: Setting<bool>,
    pub message: Option<String>,
    /// Unix seconds.
    pub now: Option<i64>,
}

/// What a case judges.
#[derive(Clone, Debug)]
pub enum Given {
    Object(serde_json::Value),
    Series { value: f64, labels: Vec<(String, String)> },
}

/// Reads the rules of a table into `into`.
pub(super) fn read(walk: &mut Walk, entries: &Entries<'_>, into: &mut Vec<OwnRule>) {
    let Some((_, value)) = find(entries, "rule") else { return };
    for own in walk.list(value, rule).unwrap_or_default() {
        if let Some(first) = into.iter().find(|r| r.id.value == own.id.value) {
            walk.diags.push(own.id.error(format!("rule `{}` is there already, at {}", own.id.value, first.id.origin)));
            continue;
        }
        into.push(own);
    }
}

/// Reads a file of rules.
pub fn parse(text: &str, file: &Path, into: &mut Vec<OwnRule>, diags: &mut Vec<Diag>) {
    let mut walk = Walk::new(Arc::from(file), Arc::from(text));
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        walk.wrong(error.span().unwrap_or_default(), error.message());
    }
    if errors.is_empty() {
        walk.check_keys(table.get_ref(), "a file of rules", FILE);
        read(&mut walk, table.get_ref(), into);
    }
    diags.extend(walk.diags);
}

/// Reads the files that the configuration names, or those beside it; and lets Prometheus be asked what rules are over.
pub(super) fn load(config: &mut Config, diags: &mut Vec<Diag>) {
    let mut files = Vec::new();
    for path in &config.rule_files {
        match found(&path.value) {
            Ok(some) => files.extend(some),
            Err(e) => diags.push(path.error(format!("{}: {e}", path.value.display()))),
        }
    }
    if config.rule_files.is_empty() {
        let beside = config.file().and_then(Path::parent).map(Path::to_owned).or_else(config_dir);
        files.extend(beside.and_then(|dir| found(&dir.join("rules")).ok()).unwrap_or_default());
    }
    for file in files {
        match std::fs::read_to_string(&file) {
            Ok(text) => parse(&text, &file, &mut config.rules, diags),
            Err(e) => diags.push(Diag::error(format!("it cannot be read: {e}")).in_file(&file)),
        }
    }
    config.rules.retain(|own| {
        let Condition::Query(query) = &own.condition else { return true };
        let taken = config.queries.iter().any(|q| q.name == query.name);
        if taken {
            diags.push(own.id.error(format!("`{}` is the name of a query already", query.name)));
        } else {
            config.queries.push(query.clone());
        }
        !taken
    });
}

/// A file, or the TOML files of a directory in the order of their names.
fn found(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(path)?.filter_map(|f| Some(f.ok()?.path())).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "toml"));
    files.sort();
    Ok(files)
}

fn text(walk: &mut Walk, table: &Entries<'_>, name: &str) -> Option<Setting<String>> {
    find(table, name).and_then(|(_, value)| walk.named_string(value))
}

fn pairs<T>(
    walk: &mut Walk,
    table: &Entries<'_>,
    name: &str,
    mut read: impl FnMut(&mut Walk, &Value<'_>) -> Option<T>,
) -> Vec<(String, T)> {
    let inner = find(table, name).and_then(|(_, value)| walk.table(value));
    inner.into_iter().flatten().filter_map(|(key, value)| Some((key.get_ref().to_string(), read(walk, value)?))).collect()
}

fn kebab(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
}

fn rule(walk: &mut Walk, value: &Value<'_>) -> Option<OwnRule> {
    let mark = walk.diags.len();
    let table = walk.table(value)?;
    walk.check_keys(table, "a rule", RULE);
    let Some(id) = text(walk, table, "id") else {
        walk.wrong(value.span(), "a rule has an id");
        return None;
    };
    if !kebab(&id.value) {
        walk.diags.push(id.error(format!("`{}`: a rule's id has small letters, digits and dashes", id.value)));
    }
    let severity = text(walk, table, "severity").and_then(|s| {
        let known = Severity::parse(&s.value);
        if known.is_none() {
            walk.diags.push(s.error(diag::unknown("severity", &s.value, Severity::ALL.map(Severity::word))));
        }
        known
    });
    let message = text(walk, table, "message");
    if message.is_none() && find(table, "message").is_none() {
        walk.wrong(value.span(), format!("rule `{}` has no message", id.value));
    }
    let condition = condition(walk, value, table, &id);
    let run = text(walk, table, "run").and_then(|name| {
        let verb = VerbId::find(&name.value);
        if verb.is_none() {
            walk.diags.push(name.error(diag::unknown("action", &name.value, VERBS.iter().map(|v| v.name))));
        }
        Some(Setting { value: verb?, origin: name.origin })
    });
    let args = text(walk, table, "args");
    if let (Some(args), None) = (&args, find(table, "run")) {
        walk.diags.push(args.error("`args` are those of the action that `run` names"));
    }
    let tier = find(table, "tier").and_then(|(_, v)| walk.whole(v, 1, 3)).and_then(|n| u8::try_from(n).ok()).unwrap_or(2);
    let burns = find(table, "burns").and_then(|(_, v)| walk.flag(v)).unwrap_or(false);
    let hold = find(table, "for").and_then(|(_, v)| walk.duration(v)).map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX));
    let links = find(table, "links").and_then(|(_, v)| walk.list(v, link)).unwrap_or_default();
    let thresholds = pairs(walk, table, "thresholds", threshold);
    let evidence = pairs(walk, table, "evidence", Walk::named_string);
    let area = text(walk, table, "area").map_or_else(|| "own".to_owned(), |s| s.value);
    let finds = text(walk, table, "finds").map(|s| s.value);
    let why = text(walk, table, "why").map(|s| s.value);
    let steps = text(walk, table, "steps");
    let of_series = matches!(condition, Some(Condition::Query(_)));
    let cases = find(table, "case").and_then(|(_, v)| walk.list(v, |walk, v| case(walk, v, of_series))).unwrap_or_default();
    // A rule of which a part is not understood might find what is not so.
    if walk.first_error_since(mark).is_some() {
        return None;
    }
    let message = message?;
    Some(OwnRule {
        area,
        tier,
        severity: severity.unwrap_or(Severity::Warning),
        burns,
        finds: one_line(finds.as_deref().unwrap_or(&message.value)),
        why: one_line(why.as_deref().unwrap_or("A rule of your own.")),
        condition: condition?,
        hold,
        message,
        evidence,
        steps,
        run,
        args: args.unwrap_or_else(|| Setting::default_to(String::new())),
        links,
        thresholds,
        cases,
        id,
    })
}

/// An address that a line can hold.
fn link(walk: &mut Walk, value: &Value<'_>) -> Option<String> {
    let text = url(walk, value)?;
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        walk.wrong(value.span(), "an address has no blanks");
        return None;
    }
    Some(text)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn condition(walk: &mut Walk, value: &Value<'_>, table: &Entries<'_>, id: &Setting<String>) -> Option<Condition> {
    let of_query = ["needs", "measure", "warning", "critical", "top"];
    match (find(table, "when"), find(table, "promql")) {
        (Some(_), None) => {
            for name in of_query {
                if let Some((key, _)) = find(table, name) {
                    walk.wrong(key.span(), format!("`{name}` is for rules with `promql`"));
                }
            }
            let when = text(walk, table, "when")?;
            let Some((_, kind)) = find(table, "kind") else {
                walk.wrong(value.span(), format!("rule `{}` has no kind", id.value));
                return None;
            };
            let kinds = match kind.get_ref() {
                DeValue::Array(_) => walk.some_list(kind, kind_of)?,
                _ => vec![kind_of(walk, kind)?],
            };
            Some(Condition::Cel { kinds, when })
        }
        (None, Some(_)) => {
            if let Some((key, _)) = find(table, "kind") {
                walk.wrong(key.span(), "`kind` is for rules with `when`: a series is about what its labels name");
            }
            let expr = text(walk, table, "promql")?;
            let mut number = |name: &str| find(table, name).and_then(|(_, v)| walk.number(v));
            let (warning, critical) = (number("warning"), number("critical"));
            if warning.is_none() && critical.is_none() {
                walk.wrong(value.span(), format!("rule `{}` has neither warning nor critical", id.value));
            }
            let measure = find(table, "measure").and_then(|(_, v)| walk.one_of::<Measure>(v)).unwrap_or_default();
            Some(Condition::Query(Query {
                name: id.value.as_str().into(),
                area: text(walk, table, "area").map_or_else(|| "own".into(), |a| a.value.as_str().into()),
                title: text(walk, table, "finds").map_or_else(|| id.value.as_str().into(), |t| t.value.as_str().into()),
                expr: one_line(&expr.value),
                measure,
                // Without a warning the first limit is the critical one.
                warning,
                critical,
                top: find(table, "top").and_then(|(_, v)| walk.whole(v, 1, 200)).or(Some(50)),
                needs: text(walk, table, "needs").map(|n| n.value).unwrap_or_default(),
                every: None,
                gives: Gives::default(),
            }))
        }
        (None, None) => {
            walk.wrong(value.span(), format!("rule `{}` has neither when nor promql", id.value));
            None
        }
        (Some(_), Some((key, _))) => {
            walk.wrong(key.span(), "`when` and `promql` exclude each other");
            None
        }
    }
}

fn kind_of(walk: &mut Walk, value: &Value<'_>) -> Option<Kind> {
    let text = walk.string(value)?;
    let of_api = || Kind::WATCHED.into_iter().map(|k| k.info().aliases.first().copied().unwrap_or(k.plural()));
    match Kind::parse(&text) {
        Some(kind) if kind.watched() => Some(kind),
        Some(_) => {
            let diag = Diag::error(format!("`{text}` is no kind of the API: there is no object to judge"));
            walk.push(diag.hint(format!("one of {}", of_api().collect::<Vec<_>>().join(", "))), value.span());
            None
        }
        None => {
            let diag = Diag::error(diag::unknown("kind", &text, Kind::names()));
            walk.push(diag.hint(format!("one of {}", of_api().collect::<Vec<_>>().join(", "))), value.span());
            None
        }
    }
}

/// `"5m"`, `"80%"`, `3` or `"3"`.
fn threshold(walk: &mut Walk, value: &Value<'_>) -> Option<Setting<String>> {
    let text = match value.get_ref() {
        DeValue::Integer(_) => walk.whole(value, 0, 1_000_000_000)?.to_string(),
        _ => walk.string(value)?,
    };
    let number = text.strip_suffix('%').unwrap_or(&text).parse::<u32>().is_ok();
    let single = text.len() > 1 && text[..text.len() - 1].bytes().all(|c| c.is_ascii_digit()) && parse_duration(&text).is_some();
    if !number && !single {
        let diag = Diag::error(format!("`{text}` is no threshold"));
        walk.push(diag.hint("a duration of one unit (5m), a whole number (3) or a percentage (80%)"), value.span());
        return None;
    }
    Some(Setting { value: text, origin: walk.origin(value.span()) })
}

fn case(walk: &mut Walk, value: &Value<'_>, of_series: bool) -> Option<OwnCase> {
    let table = walk.table(value)?;
    walk.check_keys(table, "a case", CASE);
    let Some((_, fires)) = find(table, "fires") else {
        walk.wrong(value.span(), "a case says whether the rule fires: fires = true, or false");
        return None;
    };
    let fires = Setting { value: walk.flag(fires)?, origin: walk.origin(value.span()) };
    let now = text(walk, table, "now").and_then(|at| {
        let time = super::suppress::end(&at.value);
        if time.is_none() {
            walk.diags.push(at.error(format!("`{}` is no time; write 2026-01-31T08:00:00Z", at.value)));
        }
        time.map(crate::model::Time::secs)
    });
    let given = if of_series {
        let Some((_, number)) = find(table, "value") else {
            walk.wrong(value.span(), "a case of a rule with `promql` has a value");
            return None;
        };
        let labels = pairs(walk, table, "labels", Walk::string);
        Given::Series { value: walk.number(number)?, labels }
    } else {
        let Some((_, object)) = find(table, "object") else {
            walk.wrong(value.span(), "a case has an object");
            return None;
        };
        Given::Object(object_of(walk, object)?)
    };
    let (name, message) = (text(walk, table, "name").map(|s| s.value), text(walk, table, "message").map(|s| s.value));
    Some(OwnCase { name, given, fires, message, now })
}

/// YAML (or JSON, which is YAML too) in a text, or a table.
fn object_of(walk: &mut Walk, value: &Value<'_>) -> Option<serde_json::Value> {
    let object = match value.get_ref() {
        DeValue::String(text) => match serde_saphyr::from_str::<serde_json::Value>(text) {
            Ok(object) => object,
            Err(e) => {
                let why = e.to_string();
                walk.wrong(value.span(), format!("it is no YAML: {}", why.lines().next().unwrap_or_default()));
                return None;
            }
        },
        other => {
            walk.table(value)?;
            json(other)?
        }
    };
    if !object.is_object() {
        walk.wrong(value.span(), "an object is a mapping");
        return None;
    }
    Some(object)
}

fn json(value: &DeValue<'_>) -> Option<serde_json::Value> {
    Some(match value {
        DeValue::String(text) => text.to_string().into(),
        DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix()).ok()?.into(),
        DeValue::Float(n) => n.as_str().parse::<f64>().ok()?.into(),
        DeValue::Boolean(b) => (*b).into(),
        DeValue::Datetime(at) => at.to_string().into(),
        DeValue::Array(items) => items.iter().map(|i| json(i.get_ref())).collect::<Option<Vec<_>>>()?.into(),
        DeValue::Table(table) => serde_json::Value::Object(
            table.iter().map(|(k, v)| Some((k.get_ref().to_string(), json(v.get_ref())?))).collect::<Option<serde_json::Map<_, _>>>()?,
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> (Vec<OwnRule>, Vec<String>) {
        let (mut rules, mut diags) = (Vec::new(), Vec::new());
        parse(text, Path::new("r.toml"), &mut rules, &mut diags);
        (rules, diags.iter().map(|d| Diag { hint: None, ..d.clone() }.to_string()).collect())
    }

    const WHOLE: &str = "[[rule]]\nid = 'one'\nkind = 'deployment'\nwhen = 'true'\nmessage = 'm'\n";

    #[test]
    fn a_rule_is_read_with_its_defaults() {
        let (rules, diags) = said(&format!(
            "{WHOLE}thresholds.after = '5m'\nthresholds.most = 3\n[[rule.case]]\nobject = '''\nkind: Deployment\nspec: {{replicas: 2}}\n'''\nfires = true\n\
             [[rule.case]]\nobject.spec.replicas = 1\nfires = false\n[[rule]]\nid = 'two'\npromql = 'up == 0'\nwarning = 1\nmessage = 'down'\n"
        ));
        assert_eq!(diags, Vec::<String>::new());
        let one = &rules[0];
        assert_eq!((one.tier, one.severity, one.hold, one.area.as_str()), (2, Severity::Warning, 0, "own"));
        assert_eq!(
            one.thresholds.iter().map(|(n, d)| (n.as_str(), d.value.as_str())).collect::<Vec<_>>(),
            [("after", "5m"), ("most", "3")]
        );
        let replicas = |at: usize| match &one.cases[at].given {
            Given::Object(o) => o["spec"]["replicas"].as_i64(),
            Given::Series { .. } => None,
        };
        assert_eq!((replicas(0), replicas(1)), (Some(2), Some(1)));
        assert!(matches!(&rules[1].condition, Condition::Query(q) if &*q.name == "two" && q.warning == Some(1.0)));
    }

    #[test]
    fn mistakes_have_their_place_and_cost_their_rule() {
        let with = |line: &str| {
            let (rules, diags) = said(&format!("{WHOLE}{line}\n"));
            assert!(rules.is_empty(), "{line}: {rules:?}");
            diags.join("; ")
        };
        assert_eq!(with("sverity = 'info'"), "r.toml:6:1: unknown key `sverity`; did you mean `severity`?");
        assert_eq!(with("severity = 'bad'"), "r.toml:6:12: unknown severity `bad`");
        assert_eq!(with("run = 'drian'"), "r.toml:6:7: unknown action `drian`; did you mean `drain`?");
        assert!(with("args = 'x'").contains("`run` names"));
        assert_eq!(with("links = ['wiki/a']"), "r.toml:6:10: expected an address that begins with http:// or https://");
        assert_eq!(with("links = ['https://a/#b c']"), "r.toml:6:10: an address has no blanks");
        assert_eq!(with("links = ['https://u:p@a/']"), "r.toml:6:10: an address must not hold a user or password");
        assert!(with("promql = 'up'").contains("exclude each other"));
        assert!(with("warning = 3").contains("is for rules with `promql`"));
        assert!(with("thresholds.x = '1h30m'").contains("r.toml:6:16: `1h30m` is no threshold"));
        assert!(with("[[rule.case]]\nobject = 'a: ['\nfires = true").contains("r.toml:7:10: it is no YAML"));
        assert!(with("[[rule.case]]\nobject.a = 1").contains("fires = true, or false"));
        let (rules, diags) = said(&WHOLE.replace("deployment", "deploiment"));
        assert!(rules.is_empty() && diags[0].contains("r.toml:3:8: unknown kind `deploiment`; did you mean `deployment`?"), "{diags:?}");
        assert!(said(&WHOLE.replace("deployment", "alert")).1[0].contains("is no kind of the API"));
        let (rules, diags) = said(&format!("{WHOLE}{WHOLE}"));
        assert_eq!((rules.len(), diags[0].as_str()), (1, "r.toml:7:6: rule `one` is there already, at r.toml:2"));
    }
}
