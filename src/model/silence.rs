//! Silences of an Alertmanager.

use super::{Labels, Meta, Str, Time};

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
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Matcher {
    pub name: Str,
    pub value: Str,
    /// The value is a regular expression, fully anchored.
    pub regex: bool,
    /// False turns it round.
    pub equal: bool,
}

impl std::fmt::Display for Matcher {
    /// As amtool writes it: `alertname="X"`, `pod=~"a.*"`, `node!="n1"`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let op = match (self.equal, self.regex) {
            (true, false) => "=",
            (true, true) => "=~",
            (false, false) => "!=",
            (false, true) => "!~",
        };
        write!(f, "{}{op}{:?}", self.name, self.value)
    }
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
    /// Seconds until it ends; none unless it is active, or when it ends never.
    pub fn left(&self, now: i64) -> Option<i64> {
        (self.state == SilenceState::Active).then(|| self.ends.map(|e| (e.secs() - now).max(0))).flatten()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::Uid;

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
