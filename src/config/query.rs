//! Queries for Prometheus: those that come with qd, and `[[query]]` tables of the configuration, which take their place key by key.

use super::settings::Named;
use super::walk::{Entries, KeyDoc, Value, Walk, find};
use crate::diag::Diag;
use crate::model::{Gives, Measure, Query};
use std::path::Path;
use std::sync::Arc;
use toml::de::DeTable;

const fn key(name: &'static str, doc: &'static str) -> KeyDoc {
    KeyDoc { name, doc }
}

pub(super) const QUERY: &[KeyDoc] = &[
    key("name", "what it is called: letters, digits and dashes; one that comes with qd is changed key by key"),
    key("area", "what it is about, such as pods, nodes, storage, network, api or dns"),
    key("title", "what it measures, in a few words"),
    key("expr", "PromQL; $by and $match stand for the label that tells clusters apart"),
    key("measure", "ratio, seconds, bytes, bytes/s, per-second, cores or count; count"),
    key("warning", "at and above this it is worth a look"),
    key("critical", "at and above this it is bad"),
    key("top", "only so many of a cluster, the highest; all, with their course"),
    key("every", "how often it is asked, where it is dear; every minute"),
    key("needs", "the metric without which it says nothing"),
    key("gives", "signals; use-of-claims; or use-of-pods or use-of-nodes, asked where metrics.k8s.io does not answer; signals"),
    key("off", "whether it is not asked; false"),
];
const FILE: &[KeyDoc] = &[key("query", "a query")];

/// The queries that come with qd.
const EMBEDDED: &str = include_str!("../../assets/queries.toml");

impl Named for Gives {
    const WHAT: &'static str = "use of an answer";
    const ALL: &'static [(&'static str, Self)] = &Self::ALL;
}

impl Named for Measure {
    const WHAT: &'static str = "measure";
    const ALL: &'static [(&'static str, Self)] = &Self::ALL;
}

/// Those that come with qd.
pub(super) fn embedded() -> Vec<Query> {
    let (queries, diags) = parse(EMBEDDED);
    debug_assert!(diags.is_empty(), "{diags:?}");
    queries
}

fn parse(text: &str) -> (Vec<Query>, Vec<Diag>) {
    let mut walk = Walk::new(Arc::from(Path::new("queries.toml")), Arc::from(text));
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        walk.wrong(error.span().unwrap_or_default(), error.message());
    }
    let mut queries = Vec::new();
    if errors.is_empty() {
        walk.check_keys(table.get_ref(), "a file of queries", FILE);
        read(&mut walk, table.get_ref(), &mut queries);
    }
    (queries, walk.diags)
}

/// Lays the queries of a table over `into`.
pub(super) fn read(walk: &mut Walk, entries: &Entries<'_>, into: &mut Vec<Query>) {
    let Some((_, value)) = find(entries, "query") else { return };
    walk.list(value, |walk, value| query(walk, value, into));
}

fn text(walk: &mut Walk, table: &Entries<'_>, name: &str) -> Option<String> {
    find(table, name).and_then(|(_, value)| walk.string(value))
}

fn query(walk: &mut Walk, value: &Value<'_>, into: &mut Vec<Query>) -> Option<()> {
    let mark = walk.diags.len();
    let table = walk.table(value)?;
    walk.check_keys(table, "a query", QUERY);
    let Some(name) = text(walk, table, "name") else {
        walk.wrong(value.span(), "a query has a name");
        return None;
    };
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        walk.wrong(value.span(), format!("`{name}`: a query's name has letters, digits and dashes"));
        return None;
    }
    let known = into.iter().position(|q| *q.name == *name);
    if find(table, "off").and_then(|(_, value)| walk.flag(value)).unwrap_or(false) {
        if let Some(at) = known {
            into.remove(at);
        }
        return Some(());
    }
    let mut query = known.map_or_else(
        || Query {
            name: name.as_str().into(),
            area: "own".into(),
            title: name.as_str().into(),
            expr: String::new(),
            measure: Measure::default(),
            warning: None,
            critical: None,
            top: None,
            every: None,
            needs: String::new(),
            gives: Gives::default(),
        },
        |at| into[at].clone(),
    );
    if let Some(area) = text(walk, table, "area") {
        query.area = area.into();
    }
    if let Some(title) = text(walk, table, "title") {
        query.title = title.into();
    }
    if let Some(expr) = text(walk, table, "expr") {
        query.expr = expr.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    if let Some(needs) = text(walk, table, "needs") {
        query.needs = needs;
    }
    if let Some(measure) = find(table, "measure").and_then(|(_, value)| walk.one_of(value)) {
        query.measure = measure;
    }
    if let Some(gives) = find(table, "gives").and_then(|(_, value)| walk.one_of(value)) {
        query.gives = gives;
    }
    let mut number = |name: &str, into: &mut Option<f64>| {
        if let Some(number) = find(table, name).and_then(|(_, value)| walk.number(value)) {
            *into = Some(number);
        }
    };
    number("warning", &mut query.warning);
    number("critical", &mut query.critical);
    if let Some(top) = find(table, "top").and_then(|(_, value)| walk.whole(value, 1, 200)) {
        query.top = Some(top);
    }
    if let Some(every) = find(table, "every").and_then(|(_, value)| walk.duration(value)) {
        query.every = Some(every);
    }
    if query.expr.is_empty() {
        walk.wrong(value.span(), format!("query `{name}` has no expr"));
    }
    if walk.first_error_since(mark).is_some() {
        return None;
    }
    match known {
        Some(at) => into[at] = query,
        None => into.push(query),
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::collections::BTreeSet;

    #[test]
    fn those_that_come_with_qd_are_right() {
        let (queries, diags) = parse(EMBEDDED);
        assert_eq!(diags, []);
        let names: BTreeSet<&str> = queries.iter().map(|q| &*q.name).collect();
        assert_eq!((names.len(), queries.len() > 20), (queries.len(), true));
        for q in &queries {
            // Without both a Prometheus that serves several clusters would mix them up.
            assert!(q.expr.contains("$by") && q.expr.contains("$match"), "{}", q.name);
            assert!(q.expr.contains(&q.needs) || q.needs == "up", "{} does not ask {}", q.name, q.needs);
            assert!(q.warning <= q.critical || q.critical.is_none(), "{}", q.name);
            assert_eq!(q.expr.matches('(').count(), q.expr.matches(')').count(), "{}", q.name);
        }
    }

    #[test]
    fn the_configuration_changes_adds_and_leaves_out() {
        let text = "[[query]]\nname = 'api-latency'\nwarning = 2\n[[query]]\nname = 'dns-errors'\noff = true\n\
                    [[query]]\nname = 'jobs'\nexpr = 'sum(jobs_failed)'\nmeasure = 'per-second'\ntop = 3\n";
        let loaded = Config::parse(text, Path::new("c.toml"));
        assert_eq!(loaded.diags, []);
        let find = |name: &str| loaded.config.queries.iter().find(|q| *q.name == *name);
        let latency = find("api-latency").unwrap();
        assert_eq!((latency.warning, latency.critical, latency.measure), (Some(2.0), Some(5.0), Measure::Seconds));
        assert!(find("dns-errors").is_none());
        let own = find("jobs").unwrap();
        assert_eq!((own.expr.as_str(), own.measure, own.top, &*own.area), ("sum(jobs_failed)", Measure::PerSecond, Some(3), "own"));
    }

    #[test]
    fn mistakes_have_their_place_and_cost_only_their_query() {
        let text = "[[query]]\nname = 'a'\nexpr = 'up'\nmesure = 'ratio'\n[[query]]\nname = 'b'\n[[query]]\nname = 'c'\nexpr = 'up'\nmeasure = 'ration'\n";
        let loaded = Config::parse(text, Path::new("c.toml"));
        let said: Vec<String> = loaded.diags.iter().map(|d| Diag { hint: None, ..d.clone() }.to_string()).collect();
        assert!(said[0].contains("c.toml:4:1") && said[0].contains("did you mean `measure`"), "{said:?}");
        assert!(said[1].contains("query `b` has no expr"), "{said:?}");
        assert!(said[2].contains("ration"), "{said:?}");
        assert!(!loaded.config.queries.iter().any(|q| ["a", "b", "c"].contains(&&*q.name)));
        assert!(loaded.config.queries.len() > 20);
    }
}
