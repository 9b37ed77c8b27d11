//! Silences of an Alertmanager.

use super::{Interner, Labels, Meta, Str, Time, Uid, alertmanager, time};
use regex::Regex;
use serde::{Deserialize, Serialize};

/// How a silence stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SilenceState {
    Active,
    Pending,
    Expired,
}

impl SilenceState {
    /// One word, as Alertmanager and JSON have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pending => "pending",
            Self::Expired => "expired",
        }
    }
}

/// One condition on a label.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Matcher {
    pub name: Str,
    pub value: Str,
    /// The value is a regular expression, fully anchored.
    pub regex: bool,
    /// False turns it round.
    pub equal: bool,
}

/// The same as Alertmanager has it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    name: String,
    value: String,
    is_regex: bool,
    is_equal: bool,
}

impl From<&alertmanager::Matcher> for Matcher {
    fn from(m: &alertmanager::Matcher) -> Self {
        Self { name: m.name.as_str().into(), value: m.value.as_str().into(), regex: m.is_regex, equal: m.is_equal.unwrap_or(true) }
    }
}

impl From<Written> for Matcher {
    fn from(w: Written) -> Self {
        Self { name: w.name.into(), value: w.value.into(), regex: w.is_regex, equal: w.is_equal }
    }
}

impl From<Matcher> for Written {
    fn from(m: Matcher) -> Self {
        Self { name: m.name.to_string(), value: m.value.to_string(), is_regex: m.regex, is_equal: m.equal }
    }
}

impl std::fmt::Display for Matcher {
    /// As amtool writes it: `alertname="X"`, `pod=~"a.*"`, `node!="n1"`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}{:?}", self.name, self.op(), self.value)
    }
}

impl Matcher {
    /// `name="value"`.
    pub fn is(name: &str, value: &str) -> Self {
        Self { name: name.into(), value: value.into(), regex: false, equal: true }
    }

    /// `name=~"value"`.
    pub fn like(name: &str, value: &str) -> Self {
        Self { regex: true, ..Self::is(name, value) }
    }

    /// Reads `alertname=X`, `pod=~"web-.*"`, `node!="n1"`, `severity!~info|none`: as amtool, the quotes may be left out.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("`{text}` is no matcher: {why}"));
        let Some(at) = text.find(['=', '!']) else { return wrong("write LABEL=VALUE, with =, !=, =~ or !~") };
        let (name, rest) = (text[..at].trim(), &text[at..]);
        let ops = [("=~", true, true), ("!~", true, false), ("!=", false, false), ("=", false, true)];
        let Some((op, regex, equal)) = ops.into_iter().find(|(op, ..)| rest.starts_with(op)) else {
            return wrong("write LABEL=VALUE, with =, !=, =~ or !~");
        };
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || "\"{},~".contains(c)) {
            return wrong("it begins with the name of a label");
        }
        let value = rest[op.len()..].trim();
        let value = match value.strip_prefix('"').map(|v| v.strip_suffix('"')) {
            Some(Some(inner)) => unescaped(inner),
            Some(None) => return wrong("a quote is left open"),
            None => value.to_owned(),
        };
        if regex && let Err(e) = anchored(&value) {
            let why = e.to_string();
            return wrong(&format!("{}: not a regular expression", why.lines().last().unwrap_or_default().trim()));
        }
        Ok(Self { name: name.into(), value: value.into(), regex, equal })
    }

    /// As a person would type it among others: quotes only where there are spaces or quotes in the value.
    pub fn typed(&self) -> String {
        let op = self.op();
        match self.value.contains(|c: char| c.is_whitespace() || c == '"') {
            true => format!("{}{op}\"{}\"", self.name, self.value.replace('"', "\\\"")),
            false => format!("{}{op}{}", self.name, self.value),
        }
    }

    fn op(&self) -> &'static str {
        match (self.equal, self.regex) {
            (true, false) => "=",
            (true, true) => "=~",
            (false, false) => "!=",
            (false, true) => "!~",
        }
    }

    /// Whether it holds of this value; a label that is not there has the empty one. A pattern that is not understood here may hold.
    pub fn takes(&self, value: &str) -> bool {
        let alike = match self.regex {
            false => *self.value == *value,
            true => match anchored(&self.value) {
                Ok(pattern) => pattern.is_match(value),
                Err(_) => return true,
            },
        };
        alike == self.equal
    }
}

fn anchored(pattern: &str) -> Result<Regex, regex::Error> {
    Regex::new(&format!("^(?:{pattern})$"))
}

/// What stands between quotes.
fn unescaped(text: &str) -> String {
    let (mut out, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some(next @ ('"' | '\\'))) => out.push(next),
            _ => {
                out.push(c);
                continue;
            }
        }
        chars.next();
    }
    out
}

/// A silence: it hides every alert that all its matchers match.
#[derive(Clone, PartialEq, Debug)]
pub struct Silence {
    /// `name` is the silence's id, `created` startsAt; the uid is that of the id.
    pub meta: Meta,
    pub state: SilenceState,
    pub matchers: Box<[Matcher]>,
    pub starts: Option<Time>,
    pub ends: Option<Time>,
    pub updated: Option<Time>,
    /// `createdBy`.
    pub creator: Str,
    pub comment: Str,
    /// `annotations`, which Alertmanager keeps since 0.32.
    pub annotations: Labels,
    /// Alerts that it hides now, counted with the poll that brought it.
    pub hides: u32,
}

impl Silence {
    /// Projects the wire's silence, which hides nothing yet; none when it has no id, which every silence has.
    pub fn of(o: &alertmanager::Silence, i: &mut Interner) -> Option<Self> {
        let id: Str = Some(o.id.as_str()).filter(|id| !id.is_empty())?.into();
        let starts = time::of(o.starts_at);
        let matcher = |m: &alertmanager::Matcher, i: &mut Interner| Matcher {
            name: i.str(&m.name),
            value: i.str(&m.value),
            regex: m.is_regex,
            equal: m.is_equal.unwrap_or(true),
        };
        Some(Self {
            meta: Meta::bare(Uid::parse(&id), id, Str::default(), Labels::default(), starts),
            state: match o.status.state.as_str() {
                "pending" => SilenceState::Pending,
                "expired" => SilenceState::Expired,
                _ => SilenceState::Active,
            },
            matchers: o.matchers.iter().map(|m| matcher(m, i)).collect(),
            starts,
            ends: time::of(o.ends_at),
            updated: time::of(o.updated_at),
            creator: i.str(&o.created_by),
            comment: i.str(&o.comment),
            annotations: i.labels(&o.annotations.0),
            hides: 0,
        })
    }
    /// Seconds until it ends; none unless it is active, or when it ends never.
    pub fn left(&self, now: i64) -> Option<i64> {
        (self.state == SilenceState::Active).then(|| self.ends.map(|e| (e.secs() - now).max(0))).flatten()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn silence(id: &str, state: SilenceState, ends: i64) -> Silence {
        let matcher = Matcher { name: "alertname".into(), value: "X".into(), regex: false, equal: true };
        Silence {
            meta: Meta::bare(Uid::parse(id), id.into(), "".into(), Labels::default(), Time::from_secs(1_000)),
            state,
            matchers: [matcher].into(),
            starts: Time::from_secs(1_000),
            ends: Time::from_secs(ends),
            updated: None,
            creator: "ada".into(),
            comment: "node work".into(),
            annotations: Labels::default(),
            hides: 0,
        }
    }

    #[test]
    fn a_silence_is_read_as_alertmanager_writes_it() {
        let read = |json: &str| Silence::of(&serde_json::from_str(json).unwrap(), &mut Interner::default());
        let s = read(
            r#"{"id": "0d3f2a10-6a8f-4ad1-9d0f-8b2f6f7a9c11", "status": {"state": "pending"}, "updatedAt": "2026-11-26T09:00:00.000Z",
            "comment": "work", "createdBy": "ada", "startsAt": "2026-11-26T10:00:00.000Z", "endsAt": "2026-11-26T12:00:00.000Z",
            "matchers": [{"name": "a", "value": "b", "isRegex": false}, {"name": "c", "value": "d.*", "isRegex": true, "isEqual": false}]}"#,
        )
        .unwrap();
        assert_eq!(s.meta.uid.to_string(), &*s.meta.name);
        assert_eq!((s.state, &*s.creator, &*s.comment), (SilenceState::Pending, "ada", "work"));
        assert_eq!((s.starts, s.ends), (Time::from_secs(1_795_687_200), Time::from_secs(1_795_694_400)));
        assert_eq!(s.matchers.iter().map(ToString::to_string).collect::<Vec<_>>(), [r#"a="b""#, r#"c!~"d.*""#]);
        assert!(read("{}").is_none());
    }

    #[test]
    fn matchers_hold_of_whole_values() {
        let holds = |value: &str, regex, equal, of: &str| Matcher { name: "pod".into(), value: value.into(), regex, equal }.takes(of);
        assert!(holds("a", false, true, "a") && !holds("a", false, true, "ab") && holds("a", false, false, ""));
        assert!(holds("a|b", true, true, "b") && !holds("a|b", true, true, "ab") && holds(".+", true, false, ""));
        assert!(holds("(", true, true, "a"), "what is not understood may hold");
    }

    #[test]
    fn matchers_are_read_as_amtool_reads_them() {
        let read = |text: &str| Matcher::parse(text).map(|m| m.to_string());
        for (text, same) in [
            ("alertname=LabPod", r#"alertname="LabPod""#),
            (r#"pod=~"web-.*""#, r#"pod=~"web-.*""#),
            ("node != n1", r#"node!="n1""#),
            ("severity!~info|none", r#"severity!~"info|none""#),
            (r#"x="a \"b\" c""#, r#"x="a \"b\" c""#),
            ("x=", r#"x="""#),
            ("x=a=b", r#"x="a=b""#),
        ] {
            assert_eq!(read(text).as_deref(), Ok(same));
        }
        for text in ["alertname", "=x", "a b=c", "x=~(", r#"x="a"#, "x!y"] {
            assert!(read(text).is_err(), "{text}");
        }
        let m = Matcher::parse("pod!~a|b").unwrap();
        let json = serde_json::to_string(&m).unwrap();
        assert_eq!(json, r#"{"name":"pod","value":"a|b","isRegex":true,"isEqual":false}"#);
        assert_eq!(serde_json::from_str::<Matcher>(&json).unwrap(), m);
    }

    #[test]
    fn matchers_read_as_amtool_writes_them() {
        let m = |regex, equal| Matcher { name: "pod".into(), value: "a\"b".into(), regex, equal }.to_string();
        assert_eq!(
            [m(false, true), m(true, true), m(false, false), m(true, false)],
            [r#"pod="a\"b""#, r#"pod=~"a\"b""#, r#"pod!="a\"b""#, r#"pod!~"a\"b""#]
        );
        let s = silence("1", SilenceState::Active, 5_000);
        assert_eq!((s.left(4_000), s.left(6_000)), (Some(1_000), Some(0)));
        assert_eq!(silence("1", SilenceState::Expired, 5_000).left(4_000), None);
    }
}
