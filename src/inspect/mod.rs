//! Rules that read the store and give findings with evidence and what to do.
//!
//! Owns the rules ([`RULES`], one file each in `rules/`), when each is judged ([`Engine`]: a changed row is judged
//! again, and what a rule asked to see later), which findings and alerts one thing explains ([`Incident`]), and what that is as a line of BURNING
//! ([`Line`]).
//! Leaves drawing to `view`, and changing anything to nobody here.

mod causes;
mod engine;
pub mod explain;
mod incident;
mod index;
mod life;
mod lines;
mod manifests;
mod needs;
mod own;
mod policy;
pub mod quorum;
pub mod recovery;
mod rules;
mod settled;
mod threshold;

pub use causes::told as explanations;
pub use engine::{Engine, blind_words};
pub use lines::{Incident, Line};
pub use manifests::{Manifests, judges_manifests};
pub use needs::Need;
use needs::not_evaluated;
pub use own::{CaseResult, Rules, kept, run_cases};
pub use policy::Policy;
pub use rules::RULES;
pub use threshold::{Threshold, ThresholdError, Thresholds};

use crate::model::duration::age;
use crate::model::{Args, ClusterId, Kind, Object, ObjectRef, Str, Time, Uid, VerbId};
pub use crate::model::{Evidence, Remedy, Severity};
use crate::store::{Cluster, Store};
use hashbrown::HashSet;
use index::Index;
use std::cell::Cell;

/// A rule: what it is, and how it judges one object.
pub struct RuleInfo {
    /// As people type it, `pod-crashloop`.
    pub id: &'static str,
    pub area: &'static str,
    /// 1: it wakes people, or will. 2: completes the picture. 3: for depth.
    pub tier: u8,
    /// It says that something goes wrong now: BURNING has it. Others say how things are made, and stay in the findings pane.
    pub burns: bool,
    /// The worst that it gives.
    pub severity: Severity,
    /// What a finding is attached to and rolled up to, in words.
    pub scope: &'static str,
    /// The condition in one line.
    pub summary: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// The kinds whose objects are judged; empty: every cluster is, and also for a rule that needs what the API server is asked.
    pub kinds: &'static [Kind],
    /// What it cannot judge without, besides objects of its kinds.
    pub needs: &'static [Need],
    /// Kinds whose objects its verdicts also rest on: when one of them changes in what matters, the objects of its namespace are judged again.
    pub leans_on: &'static [Kind],
    pub thresholds: &'static [Threshold],
    /// Checks of other programs that it has too, as `popeye:206`; `~` before one that sees only a part of it.
    pub peers: &'static [&'static str],
    /// Pages to read further, https; the first is the one that tools show. Those of a rule of the user's own may be http.
    pub links: &'static [&'static str],
    pub judge: fn(&Judge<'_>) -> Verdict,
}

impl PartialEq for RuleInfo {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}
impl std::fmt::Debug for RuleInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

/// What a rule found at one object.
#[derive(Clone, PartialEq, Debug)]
pub struct Finding {
    pub rule: &'static RuleInfo,
    pub severity: Severity,
    pub cluster: ClusterId,
    /// None: the cluster itself.
    pub object: Option<ObjectRef>,
    /// What it is about, where that is another object: a measurement is about a pod.
    pub about: Option<ObjectRef>,
    /// From the objects' own timestamps; none where they have none.
    pub since: Option<Time>,
    /// When an inspection elsewhere saw it first; none: it is seen here.
    pub first_seen: Option<Time>,
    /// Short, without the object's name.
    pub message: String,
    pub evidence: Vec<Evidence>,
    /// What to do, in words.
    pub next_step: String,
    /// What a key can do about it.
    pub remedy: Option<Remedy>,
    /// Why it may be, and until when.
    pub suppressed: Option<String>,
}

/// Which finding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FindingId {
    pub cluster: ClusterId,
    /// Of the object; zero for the cluster itself.
    pub uid: Uid,
    pub rule: &'static str,
}

/// What a rule says of one object. The time (unix seconds) is when it must be judged again although nothing changed.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict {
    Fine,
    /// So it is, and when that time has come the hold of what it waits for is over.
    FineUntil(i64),
    /// So it is, and nothing is waited for.
    LookAgain(i64),
    Burning(Finding),
    BurningUntil(Finding, i64),
}

/// What a rule may look at.
pub struct Judge<'a> {
    pub store: &'a Store,
    pub cluster: &'a Cluster,
    /// The object of one of the rule's kinds; none when the cluster is judged.
    pub object: Option<&'a Object>,
    /// Unix seconds.
    pub now: i64,
    rule: &'static RuleInfo,
    index: &'a Index,
    cordoned: &'a HashSet<Str>,
    /// What is judged is written and runs nowhere.
    written: bool,
    policy: &'a Policy,
    thresholds: &'a [i64],
    /// What a rule of the user's own is.
    own: Option<&'a own::Own>,
    /// The object as it was read, where all of it is there.
    whole: Option<&'a serde_json::Value>,
    /// Whether it saw what it looks for, and nothing but further looks can tell how long it has been so.
    undated: Cell<bool>,
    /// What burns is not what a hold is for: when that hold is over (unix seconds), or that none has begun.
    apart: Cell<Option<Option<i64>>>,
    /// When the hold is over that this rule waits, or waited, for here (unix seconds).
    hold: Option<i64>,
}

impl Judge<'_> {
    /// A threshold's value: seconds, a count or percent, as its default is written.
    fn value(&self, threshold: &Threshold) -> i64 {
        let at = self.rule.thresholds.iter().position(|t| t.name == threshold.name);
        at.and_then(|at| self.thresholds.get(at)).copied().unwrap_or_default()
    }

    /// Whether a condition that began at `began` has held for `hold` seconds; if not yet, when it will have.
    fn held(&self, began: i64, hold: i64) -> Result<(), i64> {
        if self.now >= began + hold { Ok(()) } else { Err(began + hold) }
    }

    /// The same for a condition that no timestamp dates: held since it was first seen. What is written is so for good.
    fn held_since_seen(&self, hold: i64) -> Result<(), i64> {
        match self.hold {
            _ if hold <= 0 || self.written => Ok(()),
            Some(at) if at <= self.now => Ok(()),
            waited => {
                self.undated.set(true);
                Err(waited.map_or(self.now + hold, |at| at.min(self.now + hold)))
            }
        }
    }

    /// What burns until a time is not what a hold was asked for: that one is over then, or has not begun.
    fn holds_apart(&self, over: Option<i64>) {
        self.apart.set(Some(over));
    }

    fn finding(&self, severity: Severity, since: Option<Time>, message: impl Into<String>) -> Finding {
        Finding {
            rule: self.rule,
            severity,
            cluster: self.cluster.id,
            object: self.object.map(|o| o.reference(self.cluster.id)),
            about: None,
            since,
            first_seen: None,
            message: message.into(),
            evidence: Vec::new(),
            next_step: String::new(),
            remedy: None,
            suppressed: None,
        }
    }
}

impl Finding {
    /// The object that people are sent to.
    pub fn place(&self) -> Option<&ObjectRef> {
        self.about.as_ref().or(self.object.as_ref())
    }

    /// Which one it is.
    pub fn id(&self) -> FindingId {
        FindingId { cluster: self.cluster, uid: self.object.as_ref().map(|o| o.uid).unwrap_or_default(), rule: self.rule.id }
    }

    fn with(mut self, what: &str, value: impl Into<String>, at: Option<Time>) -> Self {
        self.evidence.push(Evidence { what: what.to_owned(), value: value.into(), at });
        self
    }

    fn then(mut self, next_step: impl Into<String>) -> Self {
        self.next_step = next_step.into();
        self
    }

    /// A verb mends it, given these; nothing where there is nobody to do it to.
    fn act(mut self, verb: VerbId, on: Option<ObjectRef>, given: &[(&str, &str)]) -> Self {
        let mut args = Args::default();
        let all = given.iter().try_for_each(|(name, value)| args.set(verb.info(), name, value));
        self.remedy = on.filter(|_| all.is_ok()).map(|on| Remedy::Act { verb, on, args });
        self
    }

    /// The same, done to the object itself.
    fn here(self, verb: VerbId, given: &[(&str, &str)]) -> Self {
        let on = self.object.clone();
        self.act(verb, on, given)
    }

    /// It is mended in the editor.
    fn edit(self) -> Self {
        let on = self.object.clone();
        self.edit_of(on)
    }

    /// The same, of another object than its own.
    fn edit_of(mut self, on: Option<ObjectRef>) -> Self {
        self.remedy = on.map(Remedy::Edit);
        self
    }
}

/// Core workloads, whose faults weigh more: label `tier` core or critical, label `quarterdeck.io/core=true`, or a priority of a million and more.
fn core(object: &Object) -> bool {
    let labels = &object.meta().labels;
    let priority = match object {
        Object::Pod(p) => p.shape.priority,
        Object::Workload(w) => w.shape.priority,
        _ => 0,
    };
    priority >= 1_000_000 || matches!(labels.get("tier"), Some("core" | "critical")) || labels.get("quarterdeck.io/core") == Some("true")
}

/// `ns/name`, or the name alone.
fn title(namespace: &Str, name: &Str) -> String {
    if namespace.is_empty() { name.to_string() } else { format!("{namespace}/{name}") }
}

/// `02:39Z`.
fn clock(at: Time) -> String {
    let day = at.secs().rem_euclid(86_400);
    format!("{:02}:{:02}Z", day / 3600, day / 60 % 60)
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wellrun;
