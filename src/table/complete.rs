//! What may stand at the cursor of a filter: fields, their operators, and the values that there are.

use super::column::Unit;
use super::parse::{self, Op, Raw, Token};
use super::{Column, Ctx, Row, Subject, Value};
use crate::store::Store;
use hashbrown::HashMap;
use std::ops::Range;

/// One way to go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Completion {
    /// The bytes that `text` takes the place of.
    pub replace: Range<usize>,
    pub text: String,
    /// What it is; for values, how many rows have it.
    pub doc: String,
}

/// Rows that are looked at for values: enough for every namespace and node, and over within a frame.
const ROWS: usize = 20_000;
/// Values that are offered.
const VALUES: usize = 50;

/// What may follow at `cursor` (a byte of `text`), best first; nothing inside quotes and regular expressions.
pub fn complete(subject: Subject, text: &str, cursor: usize, store: &Store) -> Vec<Completion> {
    let cursor = text.floor_char_boundary(cursor.min(text.len()));
    // Only what is before the cursor counts: the rest of the word is kept.
    let before = &text[..cursor];
    let token = parse::tokens(before).pop().filter(|t| t.span.end == cursor && !before.ends_with(char::is_whitespace));
    let Some(token) = token else { return fields(subject, "", cursor..cursor) };
    let start = token.span.start + usize::from(token.negate);
    match &token.raw {
        Raw::Word(word) if token.span.end - token.span.start == 1 && matches!(word.as_str(), "!" | "-") => {
            fields(subject, "", cursor..cursor)
        }
        Raw::Word(word) => fields(subject, word, start..cursor),
        Raw::Field { quoted: false, .. } => values(subject, before, &token, store),
        _ => Vec::new(),
    }
}

fn fields(subject: Subject, typed: &str, replace: Range<usize>) -> Vec<Completion> {
    let typed = typed.to_ascii_lowercase();
    let offer = |name: &str, unit: Unit, doc: &str| Completion {
        replace: replace.clone(),
        text: format!("{name}{}", if unit.ordered() { ">" } else { ":" }),
        doc: doc.to_owned(),
    };
    let mut out: Vec<_> = subject
        .fields()
        .into_iter()
        .filter(|f| f.starts_with(&typed) && *f != "labels")
        .filter_map(|f| subject.column(f).ok().map(|c| (f, c)))
        .filter(|(_, c)| !matches!(c.unit, Unit::Trend))
        .map(|(f, c)| offer(f, c.unit, c.doc))
        .collect();
    out.retain(|c| c.text != "label:");
    if subject != Subject::Clusters && "label".starts_with(&typed) {
        out.push(offer("label", Unit::Text, "A label: label:key, label:key=value"));
    }
    // Short names first: they are what people type.
    out.sort_by_key(|c| c.text.len());
    if !typed.is_empty() && subject.column(&typed).is_ok() {
        let doc = |unit: Unit| {
            if unit.ordered() {
                &[("=", "equal"), (">", "more than"), ("<", "less than"), (">=", "at least"), ("<=", "at most")][..]
            } else {
                &[(":", "is"), ("!=", "is not"), ("~", "matches a regular expression")][..]
            }
        };
        let unit = subject.column(&typed).map_or(Unit::Text, |c| c.unit);
        let ops =
            doc(unit).iter().map(|(op, doc)| Completion { replace: replace.clone(), text: format!("{typed}{op}"), doc: (*doc).to_owned() });
        let own = ops.collect::<Vec<_>>();
        out.retain(|c| own.iter().all(|o| o.text != c.text));
        out.splice(0..0, own);
    }
    out
}

fn values(subject: Subject, text: &str, token: &Token, store: &Store) -> Vec<Completion> {
    let Raw::Field { name, op, value, .. } = &token.raw else { return Vec::new() };
    let (name, typed) = (&text[name.clone()], &text[value.clone()]);
    if matches!(name, "label" | "labels") {
        return label_values(subject, typed, value, store);
    }
    let Ok(column) = subject.column(name) else { return Vec::new() };
    if !matches!(op, Op::Is | Op::IsNot) {
        return Vec::new();
    }
    let from = typed.rfind(',').map_or(0, |n| n + 1);
    let replace = value.start + from..value.end;
    let found = if column.unit == Unit::Bool {
        vec![("yes".to_owned(), 0), ("no".to_owned(), 0)]
    } else {
        seen(subject, store, |ctx, row, add| cells(column, ctx, row, add))
    };
    offer(found, &typed[from..], &replace)
}

fn label_values(subject: Subject, typed: &str, value: &Range<usize>, store: &Store) -> Vec<Completion> {
    let labels = |row: Row<'_>| row.object().map(|o| o.meta().labels.clone()).unwrap_or_default();
    match typed.split_once('=') {
        None => offer(seen(subject, store, |_, row, add| labels(row).iter().for_each(|(k, _)| add(k))), typed, value),
        Some((key, rest)) => {
            let key = key.trim_end_matches('!');
            let from = rest.rfind(',').map_or(0, |n| n + 1);
            let start = value.end - rest.len() + from;
            offer(
                seen(subject, store, |_, row, add| labels(row).get(key).into_iter().for_each(&mut *add)),
                &rest[from..],
                &(start..value.end),
            )
        }
    }
}

/// A cell's texts; numbers are not offered.
fn cells(column: &Column, ctx: &Ctx<'_>, row: Row<'_>, add: &mut dyn FnMut(&str)) {
    match column.value(ctx, row) {
        Value::Text(t) => add(&t),
        Value::List(list) => list.iter().for_each(|t| add(t)),
        _ => {}
    }
}

/// The texts of the subject's rows, with how many have them.
fn seen(subject: Subject, store: &Store, mut texts: impl FnMut(&Ctx<'_>, Row<'_>, &mut dyn FnMut(&str))) -> Vec<(String, usize)> {
    let ctx = Ctx { store, now: 0 };
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut add = |text: &str| *counts.entry_ref(text).or_default() += 1;
    if subject == Subject::Clusters {
        store.clusters().iter().for_each(|c| texts(&ctx, Row::Cluster(c), &mut add));
    } else {
        // Each cluster has its part of the budget, so that the last is seen too.
        let part = ROWS / store.clusters().len().max(1);
        for c in store.clusters() {
            let rows = subject.kinds().iter().flat_map(|k| c.objects(*k)).filter(|o| subject.lists(o));
            rows.take(part.max(100)).for_each(|o| texts(&ctx, Row::Object(c, o), &mut add));
        }
    }
    counts.into_iter().collect()
}

/// Those that begin so, then those that contain it; a value that would be taken apart is quoted where that is possible.
fn offer(found: Vec<(String, usize)>, typed: &str, replace: &Range<usize>) -> Vec<Completion> {
    let typed = typed.to_ascii_lowercase();
    let mut fit: Vec<(bool, String, usize)> = found
        .into_iter()
        .filter(|(text, _)| text.len() < 100 && !text.contains(['"', ',']) && !text.contains(char::is_whitespace))
        .filter_map(|(text, n)| text.to_ascii_lowercase().find(&typed).map(|at| (at > 0, text, n)))
        .collect();
    fit.sort_unstable();
    fit.truncate(VALUES);
    let doc = |n: usize| match n {
        0 => String::new(),
        1 => "1 row".to_owned(),
        n => format!("{n} rows"),
    };
    fit.into_iter().map(|(_, text, n)| Completion { replace: replace.clone(), text, doc: doc(n) }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Filter;
    use super::super::tests::everything;
    use super::*;

    fn texts(subject: Subject, text: &str) -> Vec<String> {
        let store = everything();
        let all = complete(subject, text, text.len(), &store);
        for c in &all {
            assert!(text.get(c.replace.clone()).is_some() && c.replace.end == text.len(), "{c:?}");
        }
        all.into_iter().map(|c| c.text).collect()
    }

    #[test]
    fn fields_operators_and_values() {
        assert_eq!(texts(Subject::Pods, "web sta"), ["status:", "start_age_s>"]);
        assert_eq!(texts(Subject::Pods, "!restarts"), ["restarts=", "restarts>", "restarts<", "restarts>=", "restarts<="]);
        assert_eq!(texts(Subject::Pods, "ns:"), ["pay", "shop"]);
        assert_eq!(texts(Subject::Pods, "ns:pay,sh"), ["shop"]);
        assert_eq!(texts(Subject::Pods, "status!=run"), ["Running"]);
        assert_eq!(texts(Subject::Pods, "label:"), ["app"]);
        assert_eq!(texts(Subject::Pods, "label:app=s"), ["shop"]);
        assert_eq!(texts(Subject::Pods, "lab"), ["label:"]);
        assert_eq!(texts(Subject::Clusters, "cluster:"), ["dev", "prod-eu"]);
        assert_eq!(texts(Subject::Nodes, "cordoned:"), ["no", "yes"]);
        assert!(texts(Subject::Pods, "restarts>").is_empty() && texts(Subject::Pods, "\"ns").is_empty());
        assert!(texts(Subject::Pods, "").len() > 10);
    }

    #[test]
    fn whatever_is_offered_parses_once_it_has_a_value() {
        let store = everything();
        for subject in Subject::ALL {
            for c in complete(subject, "", 0, &store) {
                let sample = ["", "1", "yes", "10m"].into_iter().any(|v| Filter::parse(subject, &format!("{}{v}", c.text)).is_ok());
                assert!(sample, "{} {}", subject.name(), c.text);
            }
        }
    }
}
