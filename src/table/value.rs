//! What a cell holds, and how it reads to people, to scripts and to a sort.

use crate::model::{Severity, Str, Time};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::Write as _;

/// A cell's value, borrowed from the store where it can be.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Not known, or there is none.
    None,
    Bool(bool),
    Int(i64),
    Text(Cow<'a, str>),
    Millicores(i64),
    Bytes(i64),
    Percent(i64),
    /// A moment, shown as the seconds since.
    Age(Time),
    /// A moment, shown as such.
    Moment(Time),
    /// A length of time in seconds.
    Seconds(i64),
    /// So many of so many.
    Ratio(i64, i64),
    Millis(i64),
    /// So many findings, the worst of them so bad.
    Found(Severity, i64),
    List(Vec<Cow<'a, str>>),
    /// Oldest first; drawn, not in JSON.
    Trend(Vec<u32>),
    Json(serde_json::Value),
}

impl Value<'_> {
    /// For people: `250m`, `1.5Gi`, `3d4h`, `2/3`, `71%`, and `-` where nothing is known. One line.
    pub fn text(&self, now: i64) -> String {
        let mut out = String::new();
        self.write(now, &mut out);
        out
    }

    /// Appends [`Value::text`].
    pub fn write(&self, now: i64, out: &mut String) {
        let _ = match self {
            Self::None => out.write_str("-"),
            Self::Bool(b) => out.write_str(if *b { "yes" } else { "no" }),
            Self::Int(n) => write!(out, "{n}"),
            Self::Text(t) => line(t, out),
            Self::Millicores(n) => cores(*n, out),
            Self::Bytes(n) => bytes(*n, out),
            Self::Percent(n) => write!(out, "{n}%"),
            Self::Age(t) => seconds(t.age(now), out),
            Self::Seconds(n) => seconds(*n, out),
            Self::Moment(t) => out.write_str(&t.rfc3339()),
            Self::Ratio(a, b) => write!(out, "{a}/{b}"),
            Self::Millis(n) => write!(out, "{n}ms"),
            Self::Found(_, 0) => out.write_str("0"),
            Self::Found(worst, n) => write!(out, "{}{n}", worst.sign()),
            Self::List(list) if list.is_empty() => out.write_str("-"),
            Self::List(list) => list.iter().enumerate().try_for_each(|(n, t)| {
                out.write_str(if n > 0 { "," } else { "" })?;
                line(t, out)
            }),
            Self::Trend(values) => values.last().map_or(Ok(()), |v| write!(out, "{v}")),
            Self::Json(json) => plain(json, out),
        };
    }

    /// For scripts: the unit is in the column's id, an age is its seconds, a ratio its first number, the unknown null.
    pub fn json(&self, now: i64) -> serde_json::Value {
        match self {
            Self::None => serde_json::Value::Null,
            Self::Bool(b) => (*b).into(),
            Self::Int(n)
            | Self::Millicores(n)
            | Self::Bytes(n)
            | Self::Percent(n)
            | Self::Seconds(n)
            | Self::Millis(n)
            | Self::Found(_, n)
            | Self::Ratio(n, _) => (*n).into(),
            Self::Text(t) => t.as_ref().into(),
            Self::Age(t) => t.age(now).into(),
            Self::Moment(t) => t.rfc3339().into(),
            Self::List(list) => list.iter().map(|t| serde_json::Value::from(t.as_ref())).collect(),
            Self::Trend(values) => values.clone().into(),
            Self::Json(json) => json.clone(),
        }
    }

    /// Whether nothing is known.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The number that `>` and `<` compare: seconds for ages, a ratio's first number.
    pub fn number(&self, now: i64) -> Option<i64> {
        match self {
            Self::Int(n)
            | Self::Millicores(n)
            | Self::Bytes(n)
            | Self::Percent(n)
            | Self::Seconds(n)
            | Self::Millis(n)
            | Self::Found(_, n)
            | Self::Ratio(n, _) => Some(*n),
            Self::Age(t) => Some(t.age(now)),
            _ => None,
        }
    }

    /// Order within a column, the unknown last: the younger before the older, the emptier ratio before the fuller.
    #[expect(clippy::should_implement_trait, reason = "an order within one column, not of all values")]
    pub fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::None, Self::None) => Ordering::Equal,
            (Self::None, _) => Ordering::Greater,
            (_, Self::None) => Ordering::Less,
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Age(a), Self::Age(b)) => b.cmp(a),
            (Self::Moment(a), Self::Moment(b)) => a.cmp(b),
            (Self::Ratio(a, b), Self::Ratio(c, d)) => share(*a, *b).cmp(&share(*c, *d)).then(b.cmp(d)).then(a.cmp(c)),
            (Self::Found(..), Self::Found(..)) => self.sort_key().cmp(&other.sort_key()),
            (Self::List(a), Self::List(b)) => a.cmp(b),
            (Self::Trend(a), Self::Trend(b)) => a.last().cmp(&b.last()),
            (a, b) => match (a.number(0), b.number(0)) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => a.text(0).cmp(&b.text(0)),
            },
        }
    }

    /// A prefix of the order: where keys differ [`Value::cmp`] says the same, where they are equal it decides. Within one column.
    pub fn sort_key(&self) -> u64 {
        match self {
            Self::None => u64::MAX,
            Self::Bool(b) => u64::from(*b),
            Self::Text(t) => prefix(t),
            Self::Age(t) => u64::MAX - 1 - t.secs().unsigned_abs(),
            Self::Moment(t) => t.secs().unsigned_abs(),
            Self::Ratio(a, b) => share(*a, *b),
            Self::List(list) => list.first().map_or(0, |t| prefix(t)),
            Self::Trend(values) => values.last().map_or(0, |v| u64::from(*v) + 1),
            Self::Found(_, 0) => 0,
            Self::Found(worst, n) => (*worst as u64 + 1) << 32 | n.unsigned_abs(),
            Self::Json(_) => 0,
            Self::Int(n) | Self::Millicores(n) | Self::Bytes(n) | Self::Percent(n) | Self::Seconds(n) | Self::Millis(n) => {
                (*n as u64) ^ (1 << 63)
            }
        }
    }
}

/// How full a ratio is, in 2^-32; nothing of nothing is full.
fn share(a: i64, b: i64) -> u64 {
    if b <= 0 {
        return 1 << 32;
    }
    u64::try_from((i128::from(a.max(0)) << 32) / i128::from(b)).unwrap_or(u64::MAX - 1)
}

/// The first eight bytes, so that integers compare as the texts do.
pub(super) fn prefix(text: &str) -> u64 {
    let mut bytes = [0; 8];
    let n = text.len().min(8);
    bytes[..n].copy_from_slice(&text.as_bytes()[..n]);
    u64::from_be_bytes(bytes)
}

/// Text on one line: what would break a cell becomes a space.
fn line(text: &str, out: &mut String) -> std::fmt::Result {
    if text.contains(char::is_control) {
        out.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
    } else {
        out.push_str(text);
    }
    Ok(())
}

/// JSON for people: `a=b,c=d` and `x,y`.
fn plain(json: &serde_json::Value, out: &mut String) -> std::fmt::Result {
    use serde_json::Value as J;
    match json {
        J::Null => out.write_str("-"),
        J::String(t) => line(t, out),
        J::Array(list) => list.iter().enumerate().try_for_each(|(n, v)| {
            out.write_str(if n > 0 { "," } else { "" })?;
            plain(v, out)
        }),
        J::Object(map) => map.iter().enumerate().try_for_each(|(n, (k, v))| {
            write!(out, "{}{k}=", if n > 0 { "," } else { "" })?;
            plain(v, out)
        }),
        other => write!(out, "{other}"),
    }
}

/// Seconds as people say them, two units at most: seconds only below two minutes.
fn seconds(n: i64, out: &mut String) -> std::fmt::Result {
    const DAY: i64 = 86_400;
    let n = n.max(0);
    let two = |out: &mut String, a: i64, x: char, b: i64, y: char| if b == 0 { write!(out, "{a}{x}") } else { write!(out, "{a}{x}{b}{y}") };
    match n {
        0..120 => write!(out, "{n}s"),
        120..3600 => write!(out, "{}m", n / 60),
        3600..DAY => two(out, n / 3600, 'h', n % 3600 / 60, 'm'),
        DAY..864_000 => two(out, n / DAY, 'd', n % DAY / 3600, 'h'),
        864_000..63_072_000 => write!(out, "{}d", n / DAY),
        _ => write!(out, "{}y", n / (365 * DAY)),
    }
}

/// Millicores: `250m`, `1.5`, `12`.
fn cores(n: i64, out: &mut String) -> std::fmt::Result {
    match n {
        i64::MIN..=-1000 => {
            out.push('-');
            cores(n.saturating_neg(), out)
        }
        -999..1000 => write!(out, "{n}m"),
        _ if n % 1000 == 0 => write!(out, "{}", n / 1000),
        _ => out.write_str(format!("{}.{:02}", n / 1000, n % 1000 / 10).trim_end_matches('0').trim_end_matches('.')),
    }
}

/// Bytes in the largest binary unit, one decimal below a hundred.
fn bytes(n: i64, out: &mut String) -> std::fmt::Result {
    const UNITS: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if n < 0 {
        out.push('-');
        return bytes(n.saturating_neg(), out);
    }
    let unit = if n == 0 { 0 } else { (n.ilog2() / 10) as usize };
    let one = 1i64 << (10 * unit);
    if n % one == 0 {
        return write!(out, "{}{}", n / one, UNITS[unit]);
    }
    let number = n as f64 / one as f64;
    if number < 99.95 {
        write!(out, "{}{}", format!("{number:.1}").trim_end_matches(".0"), UNITS[unit])
    } else {
        write!(out, "{number:.0}{}", UNITS[unit])
    }
}

/// An empty text is none: the API leaves it out.
impl<'a> From<&'a str> for Value<'a> {
    fn from(t: &'a str) -> Self {
        if t.is_empty() { Self::None } else { Self::Text(t.into()) }
    }
}
impl<'a> From<&'a Str> for Value<'a> {
    fn from(t: &'a Str) -> Self {
        (&**t).into()
    }
}
impl<'a> From<Cow<'a, str>> for Value<'a> {
    fn from(t: Cow<'a, str>) -> Self {
        if t.is_empty() { Self::None } else { Self::Text(t) }
    }
}
impl From<String> for Value<'_> {
    fn from(t: String) -> Self {
        Cow::<str>::Owned(t).into()
    }
}
impl From<bool> for Value<'_> {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}
impl From<i64> for Value<'_> {
    fn from(n: i64) -> Self {
        Self::Int(n)
    }
}
impl From<i32> for Value<'_> {
    fn from(n: i32) -> Self {
        Self::Int(n.into())
    }
}
impl From<u32> for Value<'_> {
    fn from(n: u32) -> Self {
        Self::Int(n.into())
    }
}
impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(v: Option<T>) -> Self {
        v.map_or(Self::None, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_seconds_only_below_two_minutes() {
        for (n, expected) in [
            (-5, "0s"),
            (0, "0s"),
            (95, "95s"),
            (119, "119s"),
            (120, "2m"),
            (179, "2m"),
            (3599, "59m"),
            (3600, "1h"),
            (11_520, "3h12m"),
            (11_579, "3h12m"),
            (86_399, "23h59m"),
            (86_400, "1d"),
            (187_200, "2d4h"),
            (863_999, "9d23h"),
            (864_000, "10d"),
            (2_937_600, "34d"),
            (63_071_999, "729d"),
            (63_072_000, "2y"),
        ] {
            assert_eq!(Value::Seconds(n).text(0), expected, "{n}");
        }
    }

    #[test]
    fn amounts() {
        for (v, expected) in [
            (Value::Millicores(0), "0m"),
            (Value::Millicores(250), "250m"),
            (Value::Millicores(1000), "1"),
            (Value::Millicores(1500), "1.5"),
            (Value::Millicores(1250), "1.25"),
            (Value::Millicores(1001), "1"),
            (Value::Bytes(0), "0"),
            (Value::Bytes(512), "512"),
            (Value::Bytes(1536), "1.5Ki"),
            (Value::Bytes(128 << 20), "128Mi"),
            (Value::Bytes(3 << 29), "1.5Gi"),
            (Value::Bytes(500_000_000), "477Mi"),
            (Value::Bytes(i64::MAX), "8Ei"),
            (Value::Bytes(-5), "-5"),
            (Value::Bytes(-(3 << 29)), "-1.5Gi"),
            (Value::Bytes(i64::MIN), "-8Ei"),
            (Value::Millicores(-250), "-250m"),
            (Value::Millicores(-1500), "-1.5"),
            (Value::Ratio(2, 3), "2/3"),
            (Value::Percent(71), "71%"),
            (Value::None, "-"),
            (Value::Millis(41), "41ms"),
            (Value::List(vec![]), "-"),
            (Value::List(vec!["a".into(), "b".into()]), "a,b"),
            (Value::Bool(true), "yes"),
            (Value::Text("日本\n\u{1b}[1m語".into()), "日本  [1m語"),
            (Value::Json(serde_json::json!({"a": "b", "c": [1, null]})), "a=b,c=1,-"),
        ] {
            assert_eq!(v.text(0), expected, "{v:?}");
        }
    }

    #[test]
    fn json_has_numbers_and_null() {
        let t = Time::from_secs(1000).unwrap();
        for (v, expected) in [
            (Value::None, "null"),
            (Value::Age(t), "500"),
            (Value::Ratio(2, 3), "2"),
            (Value::Moment(t), "\"1970-01-01T00:16:40Z\""),
            (Value::List(vec![]), "[]"),
        ] {
            assert_eq!(v.json(1500).to_string(), expected);
        }
    }

    #[test]
    fn keys_are_a_prefix_of_the_order() {
        let t = |s: i64| Value::Age(Time::from_secs(s).unwrap());
        let groups: Vec<Vec<Value<'_>>> = vec![
            vec![t(500), t(5), Value::None],
            vec![Value::Int(-3), Value::Int(0), Value::Int(7), Value::Int(i64::MAX), Value::None],
            vec![Value::Ratio(0, 3), Value::Ratio(2, 3), Value::Ratio(0, 0), Value::Ratio(3, 3), Value::None],
            vec![
                Value::Text("a".into()),
                Value::Text("abcdefgh".into()),
                Value::Text("abcdefghi".into()),
                Value::Text("日".into()),
                Value::None,
            ],
            vec![Value::List(vec![]), Value::List(vec!["a".into()]), Value::List(vec!["a".into(), "b".into()])],
        ];
        for group in groups {
            for pair in group.windows(2) {
                assert_eq!(pair[0].cmp(&pair[1]), Ordering::Less, "{pair:?}");
                assert!(pair[0].sort_key() <= pair[1].sort_key(), "{pair:?}");
            }
        }
    }
}
