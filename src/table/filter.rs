//! Filters: which rows a text asks for.
//!
//! Terms stand between spaces and all must hold. A bare word is looked for in everything that the subject shows (wide columns too),
//! its letters scattered in the name alone; `"..."` takes it literally, `/.../` or `re:...` as a regular expression. A field term is a
//! column's id, title or alias with `:`, `=` or `!=` and values with `*` and `?` (a comma is "or"), `~` and a regular expression, or
//! `>`, `<`, `>=`, `<=` and an amount with a unit. `label:key`, `label:key=value`; `!` or `-` before a term turns it round.
//! Case counts only when a capital is typed. `field:` alone holds where there is something, `field=` where there is nothing.

use super::column::Unit;
use super::parse::{self, Op, Raw, Token};
use super::pattern::{Glob, Needle};
use super::{Column, Ctx, Row, Show, Subject, Value};
use crate::model::{Kind, Labels, Object, quantity};
use regex::Regex;
use std::ops::Range;

/// What is wrong with a filter, and where (bytes of its text).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct FilterError {
    pub message: String,
    pub span: Range<usize>,
    pub hint: Option<String>,
}

/// A parsed filter of one subject.
#[derive(Clone, Debug)]
pub struct Filter {
    subject: Subject,
    text: String,
    terms: Vec<Term>,
    /// What bare words look at: texts, then numbers.
    texts: Vec<&'static Column>,
    numbers: Vec<&'static Column>,
}

#[derive(Clone, Debug)]
struct Term {
    negate: bool,
    /// As typed.
    source: String,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Word(Needle),
    Literal(Needle),
    Regex(Regex),
    Field { column: &'static Column, want: Want },
    Label { key: String, values: Vec<Glob>, not: bool },
}

#[derive(Clone, Debug)]
enum Want {
    /// There is something.
    Some,
    /// There is nothing.
    Nothing,
    Any(Vec<Is>),
    None(Vec<Is>),
    Like(Regex),
    Compare(Op, i64),
}

#[derive(Clone, Debug)]
enum Is {
    Number(i64),
    Text(Glob),
}

impl std::fmt::Debug for Column {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

impl Filter {
    /// The filter that every row of the subject passes.
    pub fn all(subject: Subject) -> Self {
        Self { subject, text: String::new(), terms: Vec::new(), texts: Vec::new(), numbers: Vec::new() }
    }

    /// Reads a filter; an empty text is [`Filter::all`].
    ///
    /// # Errors
    /// With the first bad term: what is wrong, where, and the nearest field or an example.
    pub fn parse(subject: Subject, text: &str) -> Result<Self, FilterError> {
        let terms = parse::tokens(text).into_iter().map(|token| term(subject, text, token)).collect::<Result<Vec<_>, _>>()?;
        let shown = |c: &&Column| c.show != Show::Hidden && !matches!(c.unit, Unit::Bool | Unit::Trend | Unit::Moment);
        let (numbers, texts) = subject.columns().iter().filter(shown).partition(|c| c.unit.ordered());
        Ok(Self { subject, text: text.to_owned(), terms, texts, numbers })
    }

    /// As it was typed.
    pub fn text(&self) -> &str {
        &self.text
    }
    /// Whose columns it speaks of.
    pub fn subject(&self) -> Subject {
        self.subject
    }
    /// Whether every row passes.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }
    /// Whether rows pass or not as time goes by, with no change of theirs: look again each minute.
    pub fn timed(&self) -> bool {
        self.looks_at(|unit| unit == Unit::Seconds)
    }

    /// Whether rows pass or not by amounts in them.
    pub fn weighs(&self) -> bool {
        self.looks_at(|unit| unit.ordered() || unit == Unit::Trend)
    }

    /// Whether a term may look at cells of such a unit: a number that is looked for may stand in any.
    fn looks_at(&self, fit: impl Fn(Unit) -> bool) -> bool {
        self.terms.iter().any(|t| match &t.test {
            Test::Field { column, .. } => fit(column.unit),
            Test::Word(n) | Test::Literal(n) => n.numeric,
            Test::Regex(_) => true,
            Test::Label { .. } => false,
        })
    }

    /// Whether a row passes.
    pub fn matches(&self, ctx: &Ctx<'_>, row: Row<'_>) -> bool {
        self.terms.iter().all(|t| t.negate != self.holds(&t.test, ctx, row))
    }

    fn holds(&self, test: &Test, ctx: &Ctx<'_>, row: Row<'_>) -> bool {
        match test {
            Test::Word(n) => fuzzy(n, row) || self.found(n, ctx, row),
            Test::Literal(n) => self.found(n, ctx, row),
            Test::Regex(r) => {
                let mut text = String::new();
                self.texts.iter().chain(&self.numbers).any(|c| on_text(&c.value(ctx, row), ctx.now, &mut text, |t| r.is_match(t)))
            }
            Test::Field { column, want } => want.holds(column, ctx, row),
            Test::Label { key, values, not } => {
                let value = labels(row).and_then(|l| l.get(key));
                let listed = value.is_some_and(|v| values.is_empty() || values.iter().any(|g| g.matches(v)));
                listed != *not
            }
        }
    }

    /// Whether a text stands in any cell. Most rows fail, so no cell is written out that cannot have it.
    fn found(&self, needle: &Needle, ctx: &Ctx<'_>, row: Row<'_>) -> bool {
        let mut text = String::new();
        let is_in = |t: &str| needle.find(t, 0).is_some();
        // An owner's `Kind/name` need not be put together to see that a text without a slash is not in it.
        let parts = !needle.has_slash() && row.object().is_some();
        let owner = |c: &Column| parts && c.id == "owner";
        let owned = || row.object().and_then(|o| o.meta().owner.as_deref()).is_some_and(|o| is_in(&o.name) || is_in(&o.kind));
        let mut has = |c: &&'static Column| if owner(c) { owned() } else { on_text(&c.value(ctx, row), ctx.now, &mut text, is_in) };
        self.texts.iter().any(&mut has) || needle.numeric && self.numbers.iter().any(&mut has)
    }

    /// Whether each row that passes also passes `other`: it then suffices to look at those that did.
    pub fn narrows(&self, other: &Self) -> bool {
        let implied = |o: &Term| {
            self.terms.iter().any(|t| {
                t.source == o.source
                    || (!t.negate && !o.negate)
                        && match (&t.test, &o.test) {
                            (Test::Word(a), Test::Word(b)) | (Test::Literal(a), Test::Literal(b) | Test::Word(b)) => a.narrows(b),
                            _ => false,
                        }
            })
        };
        self.subject == other.subject && !other.timed() && other.terms.iter().all(implied)
    }

    /// What to highlight in a cell's text: byte ranges, in order, apart.
    pub fn matched_spans(&self, column: &Column, text: &str) -> Vec<Range<usize>> {
        let mut spans: Vec<Range<usize>> = Vec::new();
        for t in self.terms.iter().filter(|t| !t.negate) {
            match &t.test {
                Test::Word(n) | Test::Literal(n) => {
                    let found = n.spans(text);
                    let scattered = found.is_empty() && matches!(t.test, Test::Word(_)) && column.id == name_column(self.subject);
                    spans.extend(if scattered { n.scattered_spans(text) } else { found });
                }
                Test::Regex(r) => spans.extend(r.find_iter(text).map(|m| m.range()).filter(|r| !r.is_empty())),
                Test::Field { column: c, want: Want::Like(r) } if c.id == column.id => {
                    spans.extend(r.find_iter(text).map(|m| m.range()).filter(|r| !r.is_empty()))
                }
                _ => {}
            }
        }
        spans.sort_unstable_by_key(|r| r.start);
        spans.dedup_by(|next, kept| {
            let joined = next.start <= kept.end;
            if joined {
                kept.end = kept.end.max(next.end);
            }
            joined
        });
        spans
    }
}

/// The column whose letters a bare word may skip.
fn name_column(subject: Subject) -> &'static str {
    match subject {
        Subject::Clusters => "cluster",
        Subject::Events => "object",
        _ => "name",
    }
}

fn fuzzy(needle: &Needle, row: Row<'_>) -> bool {
    let name = match row.object() {
        Some(Object::Event(e)) => &*e.about.name,
        _ => row.name(),
    };
    if needle.has_slash() { needle.scattered([row.namespace(), "/", name].into_iter()) } else { needle.scattered(std::iter::once(name)) }
}

fn labels(row: Row<'_>) -> Option<&Labels> {
    row.object().map(|o| &o.meta().labels)
}

/// Whether a test holds for a cell as text, or for any part of a list; `buffer` spares allocations.
fn on_text(value: &Value<'_>, now: i64, buffer: &mut String, mut test: impl FnMut(&str) -> bool) -> bool {
    match value {
        Value::None => false,
        Value::Text(t) => test(t),
        Value::List(list) => list.iter().any(|t| test(t)),
        other => {
            buffer.clear();
            other.write(now, buffer);
            test(buffer)
        }
    }
}

impl Want {
    fn holds(&self, column: &'static Column, ctx: &Ctx<'_>, row: Row<'_>) -> bool {
        let value = column.value(ctx, row);
        let nothing = || value.is_none() || matches!(&value, Value::List(l) if l.is_empty());
        match self {
            Self::Some => !nothing(),
            Self::Nothing => nothing(),
            Self::Any(list) => list.iter().any(|is| is.holds(column, &value, ctx, row)),
            Self::None(list) => !list.iter().any(|is| is.holds(column, &value, ctx, row)),
            Self::Like(regex) => on_text(&value, ctx.now, &mut String::new(), |t| regex.is_match(t)),
            Self::Compare(op, n) => value.number(ctx.now).is_some_and(|v| match op {
                Op::Greater => v > *n,
                Op::Less => v < *n,
                Op::AtLeast => v >= *n,
                _ => v <= *n,
            }),
        }
    }
}

impl Is {
    fn holds(&self, column: &Column, value: &Value<'_>, ctx: &Ctx<'_>, row: Row<'_>) -> bool {
        match self {
            Self::Number(n) => value.number(ctx.now) == Some(*n) || *value == Value::Bool(*n != 0),
            Self::Text(glob) if column.id == "cluster" => {
                let info = &row.cluster().info;
                glob.matches(&info.name) || info.contexts.iter().any(|c| glob.matches(c))
            }
            Self::Text(glob) => on_text(value, ctx.now, &mut String::new(), |t| {
                let name = || t.split_once('/').is_some_and(|(_, name)| glob.matches(name));
                glob.matches(t) || column.unit == Unit::Reference && !glob.has_slash() && name()
            }),
        }
    }
}

fn term(subject: Subject, text: &str, token: Token) -> Result<Term, FilterError> {
    let error = |message: String, hint: Option<String>| FilterError { message, span: token.span.clone(), hint };
    let regex = |pattern: &str| {
        let any_case = !pattern.replace("\\S", "").replace("\\W", "").replace("\\D", "").replace("\\B", "").chars().any(char::is_uppercase);
        regex::RegexBuilder::new(pattern).case_insensitive(any_case).size_limit(1 << 20).build().map_err(|e| {
            let why = match &e {
                regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
                other => other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
            };
            error(format!("bad regular expression: {why}"), Some(format!("to look for the text itself: \"{pattern}\"")))
        })
    };
    let test = match &token.raw {
        Raw::Word(w) => Test::Word(Needle::new(w)),
        Raw::Quoted(q) => Test::Literal(Needle::new(q)),
        Raw::Regex(r) => Test::Regex(regex(r)?),
        Raw::Field { name, op, value, quoted, sign } => {
            let (name_text, value) = (&text[name.clone()], &text[value.clone()]);
            let wrong = |message: String, hint: &str| error(message, Some(hint.to_owned()));
            if matches!(name_text, "label" | "labels") {
                label(subject, *op, value, *quoted).map_err(|(m, h)| wrong(m, h))?
            } else {
                let column = subject.column(name_text).map_err(|unknown| {
                    let literal =
                        || format!("to look for the text itself: \"{}\"", text[token.span.clone()].trim_start_matches(['!', '-']));
                    FilterError {
                        message: unknown.message,
                        span: name.clone(),
                        hint: Some(unknown.nearest.map_or_else(literal, |near| format!("{near}{sign}{value}"))),
                    }
                })?;
                let want = match op {
                    Op::Like => Want::Like(regex(value)?),
                    Op::Is | Op::IsNot if value.is_empty() => {
                        if *sign == "=" {
                            Want::Nothing
                        } else {
                            Want::Some
                        }
                    }
                    Op::Is | Op::IsNot => {
                        let values = if *quoted { vec![value] } else { value.split(',').filter(|v| !v.is_empty()).collect() };
                        let list = values
                            .into_iter()
                            .map(|v| is(column, v, *quoted))
                            .collect::<Result<Vec<_>, _>>()
                            .map_err(|(m, h)| wrong(m, h))?;
                        if *op == Op::Is { Want::Any(list) } else { Want::None(list) }
                    }
                    _ if !column.unit.ordered() => {
                        return Err(error(
                            format!("`{}` has no order for `{sign}`", column.id),
                            Some(format!("{name_text}:VALUE, with * and ?, or {name_text}~REGEX")),
                        ));
                    }
                    _ => Want::Compare(
                        *op,
                        amount(column, value).ok_or_else(|| wrong(not_a(column, name_text, sign, value), example(column.unit)))?,
                    ),
                };
                Test::Field { column, want }
            }
        }
    };
    Ok(Term { negate: token.negate, source: text[token.span.clone()].to_owned(), test })
}

type Wrong = (String, &'static str);

fn label(subject: Subject, op: Op, value: &str, quoted: bool) -> Result<Test, Wrong> {
    const HINT: &str = "label:app, label:app=x, label:app!=x";
    if subject == Subject::Clusters {
        return Err(("clusters have no labels".to_owned(), "cluster:prod-*, tier:production, group:room-a"));
    }
    if !matches!(op, Op::Is | Op::IsNot) {
        return Err(("a label has no order".to_owned(), HINT));
    }
    let split = value.split_once("!=").map(|(k, v)| (k, Some(v), true));
    let (key, values, not) = split.unwrap_or_else(|| value.split_once('=').map_or((value, None, false), |(k, v)| (k, Some(v), false)));
    if key.is_empty() {
        return Err(("`label:` needs a key".to_owned(), HINT));
    }
    let globs = values.map_or_else(Vec::new, |v| v.split(',').map(|v| Glob::new(v, quoted)).collect());
    Ok(Test::Label { key: key.to_owned(), values: globs, not: not != (op == Op::IsNot) })
}

fn is(column: &Column, value: &str, quoted: bool) -> Result<Is, Wrong> {
    let glob = || Is::Text(Glob::new(value, quoted));
    let wild = value.contains(['*', '?']);
    match column.unit {
        Unit::Bool => match value.to_ascii_lowercase().as_str() {
            "yes" | "true" | "y" => Ok(Is::Number(1)),
            "no" | "false" | "n" => Ok(Is::Number(0)),
            _ => Err((format!("`{}` is yes or no, not `{value}`", column.id), "yes, no, true or false")),
        },
        Unit::Ratio if value.contains('/') => Ok(glob()),
        // An age is compared as it is shown: nobody means the very second.
        Unit::Seconds => amount(column, value)
            .map(|_| glob())
            .or(wild.then(glob))
            .ok_or_else(|| (not_a(column, column.id, ":", value), example(column.unit))),
        unit if unit.ordered() => {
            amount(column, value).map(Is::Number).or(wild.then(glob)).ok_or_else(|| (not_a(column, column.id, ":", value), example(unit)))
        }
        _ if column.id == "kind" => Ok(Kind::parse(value).map_or_else(glob, |k| Is::Text(Glob::new(k.name(), true)))),
        _ => Ok(glob()),
    }
}

fn not_a(column: &Column, name: &str, sign: &str, value: &str) -> String {
    let what = match column.unit {
        Unit::Millicores => "an amount of CPU",
        Unit::Bytes => "an amount of memory",
        Unit::Percent => "a percentage",
        Unit::Seconds => "a length of time",
        _ => "a number",
    };
    if value.is_empty() { format!("`{name}{sign}` needs {what}") } else { format!("`{name}` is {what}, `{value}` is not") }
}

fn example(unit: Unit) -> &'static str {
    match unit {
        Unit::Millicores => "500m, 0.5 or 2",
        Unit::Bytes => "512Mi, 1Gi or 1000000",
        Unit::Percent => "80 or 80%",
        Unit::Seconds => "90s, 10m, 3h, 2d or 1h30m",
        Unit::Millis => "250 or 250ms",
        _ => "3",
    }
}

fn amount(column: &Column, text: &str) -> Option<i64> {
    match column.unit {
        Unit::Millicores => quantity::milli(text),
        Unit::Bytes => quantity::whole(text),
        Unit::Percent => text.trim_end_matches('%').parse().ok(),
        Unit::Millis => text.trim_end_matches("ms").parse().ok(),
        Unit::Seconds => duration(text),
        _ => text.parse().ok(),
    }
}

/// `10m`, `1h30m`, `2d`; a bare number is seconds.
fn duration(text: &str) -> Option<i64> {
    if let Ok(n) = text.parse::<u32>() {
        return Some(n.into());
    }
    let (mut rest, mut sum) = (text, 0i64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let unit = match rest.as_bytes()[digits] {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 604_800,
            b'y' => 31_536_000,
            _ => return None,
        };
        sum = sum.checked_add(i64::from(rest[..digits].parse::<u32>().ok()?).checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NOW, everything, rows};
    use super::*;

    fn names(subject: Subject, filter: &str) -> Vec<String> {
        let store = everything();
        let ctx = Ctx { store: &store, now: NOW };
        let filter = Filter::parse(subject, filter).unwrap_or_else(|e| panic!("{filter}: {e}"));
        rows(&store, subject).into_iter().filter(|r| filter.matches(&ctx, *r)).map(|r| r.name().to_owned()).collect()
    }

    #[test]
    fn terms_of_pods() {
        const BOTH: [&str; 2] = ["checkout-1", "web-1"];
        for (filter, expected) in [
            ("", &BOTH[..]),
            ("cluster:prod-* ns:pay", &BOTH[..1]),
            ("cluster:ctx-prod-eu", &BOTH),
            ("cluster:dev", &[]),
            ("status!=Running", &BOTH[..1]),
            ("restarts>3", &BOTH[..1]),
            ("restarts>4", &[]),
            ("restarts=4", &BOTH[..1]),
            ("age<10m", &[]),
            ("age>1h", &BOTH),
            ("age:2h", &BOTH),
            ("age<1h60m1s", &BOTH),
            ("node:node-00*", &BOTH),
            ("label:app=shop", &BOTH[1..]),
            ("label:app", &BOTH),
            ("label:none", &[]),
            ("!label:app=shop", &BOTH[..1]),
            ("label:app!=shop", &BOTH[..1]),
            ("label:app=shop,pay", &BOTH),
            ("cpu>200m", &BOTH),
            ("cpu>0.5", &[]),
            ("mem>=1Gi", &BOTH),
            ("mem>1Gi", &[]),
            ("ready<1", &BOTH[..1]),
            ("ready:0/1", &BOTH[..1]),
            ("ns:pay,shop", &BOTH),
            ("-ns:pay", &BOTH[1..]),
            ("chkt", &BOTH[..1]),
            ("pay/chk", &BOTH[..1]),
            ("crashloop", &BOTH[..1]),
            ("Crashloop", &[]),
            ("\"in words\"", &BOTH[..1]),
            ("/^web-\\d$/", &BOTH[1..]),
            ("re:^WEB", &[]),
            ("!web", &BOTH[..1]),
            ("kind:po", &BOTH),
            ("kind:deploy", &[]),
            ("owner:web-1-rs", &BOTH[1..]),
            ("owner:replicaset/web*", &BOTH[1..]),
            ("image:*app:1.9", &BOTH),
            ("image~1\\.9$", &BOTH),
            ("cpu_limit_m=", &BOTH),
            ("cpu_limit_m:", &[]),
            ("exit:137", &BOTH),
            ("STATUS:crash*", &BOTH[..1]),
            ("256", &[]),
            ("250m", &BOTH),
            ("message:\"CrashLoopBackOff: in words\"", &BOTH[..1]),
        ] {
            assert_eq!(names(Subject::Pods, filter), expected, "{filter}");
        }
        assert_eq!(names(Subject::Nodes, "cordoned:yes taints:a=b* cpu%>=50 zone:z?"), ["node-001"]);
        assert_eq!(names(Subject::Events, "日本 type:warning object:checkout-1 count>80"), ["e1"]);
        assert_eq!(names(Subject::Clusters, "tier:production"), ["prod-eu"]);
        assert_eq!(names(Subject::Clusters, "nodes=0"), Vec::<String>::new());
    }

    #[test]
    fn a_bad_term_is_named_with_what_was_meant() {
        for (filter, span, message, hint) in [
            ("web restart>3", "restart", "unknown field `restart`; did you mean `restarts`?", "restarts>3"),
            ("nginx:1.25", "nginx", "unknown field `nginx`", "to look for the text itself: \"nginx:1.25\""),
            ("age<ten", "age<ten", "`age` is a length of time, `ten` is not", "90s, 10m, 3h, 2d or 1h30m"),
            ("age<", "age<", "`age<` needs a length of time", "90s, 10m, 3h, 2d or 1h30m"),
            ("name>3", "name>3", "`name` has no order for `>`", "name:VALUE, with * and ?, or name~REGEX"),
            ("/a(/", "/a(/", "bad regular expression: unclosed group", "to look for the text itself: \"a(\""),
            ("restarts:many", "restarts:many", "`restarts` is a number, `many` is not", "3"),
            ("label:=x", "label:=x", "`label:` needs a key", "label:app, label:app=x, label:app!=x"),
        ] {
            let e = Filter::parse(Subject::Pods, filter).unwrap_err();
            assert_eq!((&filter[e.span.clone()], &*e.message, e.hint.as_deref()), (span, message, Some(hint)), "{filter}");
        }
        assert_eq!(Filter::parse(Subject::Nodes, "cordoned:maybe").unwrap_err().message, "`cordoned` is yes or no, not `maybe`");
    }

    #[test]
    fn narrowing_is_only_claimed_where_it_holds() {
        let f = |t: &str| Filter::parse(Subject::Pods, t).unwrap();
        for (new, old, expected) in [
            ("pay", "pa", true),
            ("pa x", "pa", true),
            ("pa", "pay", false),
            ("Pa", "pa", true),
            ("!pay", "!pa", false),
            ("ns:a web", "ns:a", true),
            ("ns:ab", "ns:a", false),
            ("x", "", true),
            ("1m", "m", false),
            ("a/b", "a", false),
            ("age<10m x", "age<10m", false),
        ] {
            assert_eq!(f(new).narrows(&f(old)), expected, "{new:?} {old:?}");
        }
    }

    #[test]
    fn spans_to_highlight() {
        let f = Filter::parse(Subject::Pods, "chkt back /o+/ !web").unwrap();
        let column = |id| Subject::Pods.column(id).unwrap();
        assert_eq!(f.matched_spans(column("name"), "checkout"), [0..2, 4..6, 7..8]);
        assert_eq!(f.matched_spans(column("status"), "CrashLoopBackOff"), [6..8, 9..14]);
        assert_eq!(f.matched_spans(column("status"), "日web"), Vec::<Range<usize>>::new());
    }
}
