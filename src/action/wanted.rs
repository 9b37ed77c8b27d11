//! What somebody wants to be planned: an act, taking a job back, going on with one.

use super::runbook::{self, Params};
use super::{Facts, Past, Request, Snapshot, Stop, plan, remaining, undo};
use crate::config::Runbook;
use crate::model::{JobId, Plan, VerbId};
use crate::store::Store;

/// What is to be planned.
#[derive(Clone, Debug)]
pub enum Wanted {
    Act(Request),
    /// A runbook, and what it is run with.
    Run(Box<(Runbook, Params)>),
    /// Taking a job back.
    Undo(Box<Past>),
    /// Going on with one.
    Resume(Box<Past>),
}

impl Wanted {
    /// In words, before there is a plan.
    pub fn title(&self) -> String {
        match self {
            Self::Act(request) => match request.targets.as_slice() {
                [one] => format!("{} {}", request.verb, one.label()),
                all => format!("{} of {} objects", request.verb, all.len()),
            },
            Self::Run(run) => format!("runbook {}", run.0.name),
            Self::Undo(past) => format!("undo: {}", past.plan.title),
            Self::Resume(past) => format!("resume: {}", past.plan.title),
        }
    }

    /// The verb, where it is one act.
    pub fn verb(&self) -> Option<VerbId> {
        if let Self::Act(request) = self { Some(request.verb) } else { None }
    }

    /// The job that the new one goes on with.
    pub fn resumes(&self) -> Option<JobId> {
        match self {
            Self::Resume(past) => Some(past.id.clone()),
            _ => None,
        }
    }

    /// One try with what is known. Time is unix seconds.
    ///
    /// # Errors
    /// What is missing, or why it cannot be done.
    pub fn plan(&self, store: &Store, facts: &Facts, now: i64) -> Result<Plan, Stop> {
        let snapshot = Snapshot { store, facts, now };
        match self {
            Self::Act(request) => plan(&snapshot, request),
            Self::Run(run) => runbook::plan(&snapshot, &run.0, &run.1),
            Self::Undo(past) => undo(past, &snapshot),
            Self::Resume(past) => remaining(past, &snapshot),
        }
    }
}

/// By what is wanted, not by what came of it.
impl PartialEq for Wanted {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Act(a), Self::Act(b)) => a == b,
            (Self::Run(a), Self::Run(b)) => a == b,
            (Self::Undo(a), Self::Undo(b)) | (Self::Resume(a), Self::Resume(b)) => a.id == b.id,
            _ => false,
        }
    }
}
