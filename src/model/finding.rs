//! What rules find, as data: how bad, resting on what, mended by what; and as a row.

use super::{Args, Labels, Meta, ObjectRef, Str, Time, Uid, VerbId};

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

impl Severity {
    /// Every one, the mildest first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// One word, as JSON has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The sign that goes with its colour: broken, about to break, worth knowing.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Info => "i",
            Self::Warning => "!",
            Self::Critical => "X",
        }
    }

    /// The severity of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.word() == word)
    }
}

/// One thing that a finding rests on.
#[derive(Clone, PartialEq, Debug)]
pub struct Evidence {
    pub what: String,
    pub value: String,
    pub at: Option<Time>,
}

/// What would mend it, where a key can.
#[derive(Clone, PartialEq, Debug)]
pub enum Remedy {
    /// A verb of the action layer, and what it is given; what is missing is asked for in its form.
    Act { verb: VerbId, on: ObjectRef, args: Args },
    /// The object opens in the editor: which value is right is for people to say.
    Edit(ObjectRef),
}

impl Remedy {
    /// `cordon node-3`, `scale web replicas=3`, `edit db`.
    pub fn words(&self) -> String {
        match self {
            Self::Act { verb, on, args } => format!("{} {} {args}", verb.info().name, on.name).trim_end().to_owned(),
            Self::Edit(on) => format!("edit {}", on.name),
        }
    }
}

/// How a finding stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FindingState {
    Open,
    /// Open, and it came and went three times or more within the last hour.
    Flapping,
    /// Open, and somebody said that it may be.
    Suppressed,
    /// It was open within the last hour.
    Resolved,
}

impl FindingState {
    /// One word, as JSON has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Flapping => "flapping",
            Self::Suppressed => "suppressed",
            Self::Resolved => "resolved",
        }
    }
}

/// A finding as a row of its own.
#[derive(Clone, PartialEq, Debug)]
pub struct FindingRow {
    /// `name` is the rule's id, `namespace` and `labels` those of the object; `created` is when it was first seen, and the uid is made of rule and object.
    pub meta: Meta,
    pub area: Str,
    /// 1 wakes people, 2 completes, 3 is for depth.
    pub tier: u8,
    pub severity: Severity,
    pub state: FindingState,
    /// What it is attached to; none: the cluster.
    pub about: Option<ObjectRef>,
    /// The workload that its object belongs to, where that is another one.
    pub top: Option<ObjectRef>,
    /// Short, without the object's name.
    pub message: Str,
    pub evidence: Box<[Evidence]>,
    pub remedy: Option<Remedy>,
    /// What to do, in words.
    pub next_step: Str,
    /// Since when it is so, from the objects' own timestamps.
    pub since: Option<Time>,
    /// When it was last seen to end.
    pub resolved: Option<Time>,
    /// How often it began within the last hour.
    pub begun: u32,
    /// Why it may be, and until when.
    pub suppressed: Option<Str>,
    /// What explains it and others, as object and rule: `node-017 node-not-ready`; its own where it explains itself. None: it is nobody's
    /// consequence and has none.
    pub cause: Option<Str>,
    /// What it explains; none where something else explains it.
    pub explains: Option<Explains>,
}

/// What a probable cause explains, itself left out.
#[derive(Clone, PartialEq, Debug)]
pub struct Explains {
    /// The whole in one line: `NotReady (PLEG): 31 pods, 2 apps at 0`.
    pub says: Str,
    /// Findings, those of alerts left out.
    pub findings: u32,
    /// Alerts that fire.
    pub alerts: u32,
    /// Objects that it touches, itself counted.
    pub objects: u32,
    /// Of these, and of what is above them, workloads.
    pub workloads: u32,
}

impl Explains {
    /// `30 findings and 5 alerts on 4 workloads`; empty where it stands alone.
    pub fn words(&self) -> String {
        let many = |n: u32, what: &str| (n > 0).then(|| format!("{n} {what}{}", if n == 1 { "" } else { "s" }));
        let all: Vec<String> = [many(self.findings, "finding"), many(self.alerts, "alert")].into_iter().flatten().collect();
        let on = if self.workloads > 1 && !all.is_empty() { format!(" on {} workloads", self.workloads) } else { String::new() };
        format!("{}{on}", all.join(" and "))
    }
}

impl FindingRow {
    /// Whether it is open, and nobody said that it may be.
    pub fn open(&self) -> bool {
        matches!(self.state, FindingState::Open | FindingState::Flapping)
    }

    /// Where it is shown: its object, and the workload that this belongs to.
    pub fn places(&self) -> impl Iterator<Item = &ObjectRef> {
        self.about.iter().chain(&self.top)
    }

    /// What tells it from others in its cluster.
    pub fn uid(rule: &str, object: Uid) -> Uid {
        Uid::parse(&format!("finding/{rule}/{object}"))
    }

    /// Its metadata.
    pub fn meta(rule: &str, object: Uid, namespace: Str, labels: Labels, first: Option<Time>) -> Meta {
        Meta::bare(Self::uid(rule, object), rule.into(), namespace, labels, first)
    }
}
