//! Jobs: confirmed plans under way or at their end, and the progress that the executor tells of them.

use super::ClusterId;
use serde::{Deserialize, Serialize};

/// A job's name: when it began and a few random characters; sorts by time.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub String);

impl std::fmt::Display for JobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What became of a plan.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Done,
    /// Some steps were done, some failed.
    Partial,
    /// Nothing was sent: read-only, permission, guardrail, no confirmation.
    Refused,
    /// Budget, conflict or time: what is left can be resumed.
    Blocked,
    Failed,
    /// Somebody stopped it; what is left can be resumed.
    Cancelled,
}

impl Outcome {
    /// One word, as JSON has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Partial => "partial",
            Self::Refused => "refused",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// How a step stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "state", content = "why", rename_all = "lowercase")]
pub enum StepState {
    Waiting,
    Running,
    /// It waits for what others make of a change: what is missing.
    Waits(String),
    /// It cannot go on now and is tried again: by whom and why.
    Blocked(String),
    /// With the server's answer or what was seen, in words.
    Done(String),
    Failed(String),
    /// Not tried, and why.
    Skipped(String),
    /// Sent, and no answer came: whether it was done has to be looked at.
    Unknown(String),
}

impl StepState {
    /// One word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Waits(_) => "waits",
            Self::Blocked(_) => "blocked",
            Self::Done(_) => "done",
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
            Self::Unknown(_) => "unknown",
        }
    }
    /// What it says, if anything.
    pub fn why(&self) -> &str {
        match self {
            Self::Waiting | Self::Running => "",
            Self::Waits(t) | Self::Blocked(t) | Self::Done(t) | Self::Failed(t) | Self::Skipped(t) | Self::Unknown(t) => t,
        }
    }
    /// Nothing more will come of it.
    pub fn ended(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Failed(_) | Self::Skipped(_) | Self::Unknown(_))
    }
}

/// How a job stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    Running,
    Paused,
    /// Somebody wants it to stop: the requests in flight are waited for.
    Stopping,
    Ended(Outcome),
    /// Its process ended before it did.
    Interrupted,
}

impl JobState {
    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::Ended(outcome) => outcome.word(),
            Self::Interrupted => "interrupted",
        }
    }
    /// Whether requests may still go out.
    pub fn active(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Stopping)
    }
    /// Whether `resume` can go on with it.
    pub fn resumable(self) -> bool {
        matches!(self, Self::Interrupted | Self::Ended(Outcome::Blocked | Outcome::Cancelled | Outcome::Partial | Outcome::Failed))
    }
}

/// A step as it is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobStep {
    pub text: String,
    pub cluster: ClusterId,
    /// The step of the runbook that it belongs to; empty: of none.
    pub part: String,
    /// It changes nothing: it waits for what others make of a change.
    pub waits: bool,
    pub state: StepState,
    /// When it came into this state; unix seconds.
    pub since: i64,
}

/// A job as it is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    pub id: JobId,
    /// The runbook's name, or the verb's.
    pub what: String,
    pub title: String,
    /// Display names.
    pub clusters: Vec<String>,
    /// Unix seconds.
    pub began: i64,
    pub ended: Option<i64>,
    pub state: JobState,
    pub steps: Vec<JobStep>,
    /// What it said last that is no step's.
    pub note: String,
}

impl Job {
    /// Steps that were tried and have come to their end, of all.
    pub fn progress(&self) -> (usize, usize) {
        let tried = |s: &&JobStep| s.state.ended() && !matches!(s.state, StepState::Skipped(_));
        (self.steps.iter().filter(tried).count(), self.steps.len())
    }
    /// The steps that are blocked now. Waiting for what a controller does is none of them.
    pub fn blocked(&self) -> impl Iterator<Item = &JobStep> {
        self.steps.iter().filter(|s| matches!(s.state, StepState::Blocked(_)))
    }
}

/// What the executor tells.
#[derive(Clone, PartialEq, Debug)]
pub enum Progress {
    Began(Box<Job>),
    Step {
        job: JobId,
        step: usize,
        state: StepState,
    },
    /// A step that the plan did not have; it follows those there are.
    Added {
        job: JobId,
        step: Box<JobStep>,
    },
    State {
        job: JobId,
        state: JobState,
    },
    Note {
        job: JobId,
        text: String,
    },
}

/// What may be asked of a job that is under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Control {
    Run,
    /// No new step begins.
    Pause,
    /// The same, for good, and why; what is in flight is waited for.
    Stop(&'static str),
}
