//! What is changed at an Alertmanager: a silence set, given another end, or ended now.

use super::{Matcher, Silence, SilenceState, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// All that a silence says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SilenceBody {
    /// All must match; in the order of their names.
    pub matchers: Vec<Matcher>,
    /// Unix seconds. One in the past is taken as now.
    pub starts: i64,
    /// Unix seconds.
    pub ends: i64,
    /// Empty: whoever carries it out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub creator: String,
    pub comment: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl SilenceBody {
    /// As Alertmanager takes it; `creator` stands where none is said.
    pub fn json(&self, creator: &str) -> Value {
        let time = |secs| Time::from_secs(secs).map(Time::rfc3339);
        let mut body = json!({
            "matchers": self.matchers, "startsAt": time(self.starts), "endsAt": time(self.ends),
            "createdBy": if self.creator.is_empty() { creator } else { &self.creator }, "comment": self.comment,
        });
        if !self.annotations.is_empty() {
            body["annotations"] = json!(self.annotations);
        }
        body
    }

    /// Whether a silence is this one under whatever id; `creator` stands where none is said.
    pub fn same(&self, silence: &Silence, creator: &str) -> bool {
        let sorted = |all: &[Matcher]| {
            let mut all = all.to_vec();
            all.sort();
            all
        };
        silence.state != SilenceState::Expired
            && silence.ends.map(Time::secs) == Some(self.ends)
            && *silence.comment == *self.comment
            && *silence.creator == *(if self.creator.is_empty() { creator } else { &self.creator })
            && sorted(&silence.matchers) == sorted(&self.matchers)
    }
}

impl From<&Silence> for SilenceBody {
    fn from(s: &Silence) -> Self {
        let secs = |t: Option<Time>| t.map_or(0, Time::secs);
        Self {
            matchers: s.matchers.to_vec(),
            starts: secs(s.starts),
            ends: secs(s.ends),
            creator: s.creator.to_string(),
            comment: s.comment.to_string(),
            annotations: s.annotations.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
        }
    }
}

/// A change of silences.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "silence", rename_all = "kebab-case")]
pub enum SilenceWrite {
    /// A new one.
    Add { body: SilenceBody },
    /// Another end for that one; all else stays. Unix seconds.
    End { id: String, was: i64, ends: i64 },
    /// That one ends now. An empty id: it is found by what it says.
    Expire { id: String, body: SilenceBody },
}

impl SilenceWrite {
    /// What takes it back. A silence that was ended is set anew: its id is another one.
    pub fn back(&self) -> Self {
        match self {
            Self::Add { body } => Self::Expire { id: String::new(), body: body.clone() },
            Self::End { id, was, ends } => Self::End { id: id.clone(), was: *ends, ends: *was },
            Self::Expire { body, .. } => Self::Add { body: body.clone() },
        }
    }

    /// The silence that it is about, where that has an id.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Add { .. } => None,
            Self::End { id, .. } | Self::Expire { id, .. } => Some(id.as_str()).filter(|id| !id.is_empty()),
        }
    }

    /// The same of a silence that was made under that id.
    pub fn of(mut self, made: &str) -> Self {
        if let Self::End { id, .. } | Self::Expire { id, .. } = &mut self {
            made.clone_into(id);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::silence::tests::silence;
    use super::*;
    use crate::model::Act;

    #[test]
    fn it_is_written_as_alertmanager_takes_it_and_known_again() {
        let mut theirs = silence("s1", SilenceState::Active, 5_000);
        let body = SilenceBody::from(&theirs);
        assert_eq!(
            body.json("bo@host"),
            json!({"matchers": [{"name": "alertname", "value": "X", "isRegex": false, "isEqual": true}], "startsAt": "1970-01-01T00:16:40Z",
                "endsAt": "1970-01-01T01:23:20Z", "createdBy": "ada", "comment": "node work"})
        );
        let anybody = SilenceBody { creator: String::new(), ..body.clone() };
        assert_eq!(anybody.json("bo@host")["createdBy"], "bo@host");
        assert!(body.same(&theirs, "bo") && anybody.same(&theirs, "ada") && !anybody.same(&theirs, "bo"));
        theirs.state = SilenceState::Expired;
        assert!(!body.same(&theirs, "ada"), "one that has ended hides nothing");
    }

    #[test]
    fn what_takes_it_back_survives_the_journal() {
        let body = SilenceBody::from(&silence("s1", SilenceState::Active, 5_000));
        let add = SilenceWrite::Add { body: body.clone() };
        assert_eq!(add.back().of("s2"), SilenceWrite::Expire { id: "s2".into(), body: body.clone() });
        assert_eq!((add.back().id(), add.back().back()), (None, add.clone()));
        let end = SilenceWrite::End { id: "s".into(), was: 1, ends: 2 };
        assert_eq!(end.back(), SilenceWrite::End { id: "s".into(), was: 2, ends: 1 });
        for write in [add, end] {
            let act = Act::Silence(write);
            let text = serde_json::to_string(&act).unwrap();
            assert_eq!(serde_json::from_str::<Act>(&text).unwrap(), act, "{text}");
        }
    }
}
