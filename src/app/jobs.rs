//! The panes of jobs and of the audit log: where the cursor is, what is open.

use super::World;
use crate::action::{Ledger, Past};
use crate::model::{Job, JobId};

/// The jobs pane.
#[derive(Clone, Debug, Default)]
pub struct JobsPane {
    /// The highlighted job; the newest when it is none of the list.
    pub current: Option<JobId>,
    /// Its steps are shown.
    pub open: bool,
    /// Asked once to be stopped.
    pub stopping: Option<JobId>,
    pub offset: usize,
}

impl JobsPane {
    /// Jobs as they are listed: those under way first, then the newest.
    pub fn list<'a>(world: &World<'a>) -> Vec<&'a Job> {
        let mut all: Vec<&Job> = world.store.jobs.iter().collect();
        all.sort_by(|a, b| b.state.active().cmp(&a.state.active()).then_with(|| b.id.cmp(&a.id)));
        all
    }

    /// The row of the cursor.
    pub fn cursor(&self, list: &[&Job]) -> usize {
        list.iter().position(|j| Some(&j.id) == self.current.as_ref()).unwrap_or(0)
    }

    pub(super) fn step(&mut self, world: &World, by: isize) {
        let list = Self::list(world);
        if self.open {
            self.offset = self.offset.saturating_add_signed(by);
            return;
        }
        let at = self.cursor(&list).saturating_add_signed(by).min(list.len().saturating_sub(1));
        self.current = list.get(at).map(|j| j.id.clone());
        self.stopping = None;
    }

    /// Keeps the cursor on a job, whatever comes and goes.
    pub(super) fn settle(&mut self, world: &World) {
        let list = Self::list(world);
        let at = self.cursor(&list);
        self.current = list.get(at).map(|j| j.id.clone());
    }
}

/// The audit pane.
#[derive(Clone, Debug, Default)]
pub struct AuditPane {
    /// Newest first; none while the log is being read.
    pub jobs: Option<Vec<Past>>,
    pub bad: Vec<String>,
    /// Words that a job has to have, all of them.
    pub filter: String,
    /// In those that are shown.
    pub cursor: usize,
    pub open: bool,
    pub offset: usize,
}

impl AuditPane {
    pub(super) fn fill(&mut self, ledger: &Ledger) {
        self.jobs = Some(ledger.jobs.iter().rev().cloned().collect());
        self.bad.clone_from(&ledger.bad);
        self.cursor = 0;
    }

    /// The jobs that the filter leaves.
    pub fn shown(&self) -> Vec<&Past> {
        let words: Vec<String> = self.filter.split_whitespace().map(str::to_lowercase).collect();
        let has = |past: &&Past| {
            let text = told(past);
            words.iter().all(|w| text.contains(w.as_str()))
        };
        self.jobs.iter().flatten().filter(has).collect()
    }

    pub(super) fn filter(&mut self, text: &str) {
        text.clone_into(&mut self.filter);
        self.cursor = 0;
    }

    pub(super) fn step(&mut self, by: isize) {
        if self.open {
            self.offset = self.offset.saturating_add_signed(by);
        } else {
            let last = self.shown().len().saturating_sub(1);
            self.cursor = self.cursor.saturating_add_signed(by).min(last);
        }
    }
}

/// What the filter looks in: what, who, where, why, how it ended, and what was touched.
fn told(past: &Past) -> String {
    let actor = &past.actor;
    let mut text = format!(
        "{} {} {} {} {} {}@{} {} {} {}",
        past.plan.title,
        past.plan.verb,
        past.id,
        past.began,
        past.clusters.join(" "),
        actor.user,
        actor.host,
        actor.ui,
        past.state().word(),
        past.reason.as_deref().unwrap_or_default()
    );
    for step in &past.plan.steps {
        text.push(' ');
        text.push_str(&step.text);
    }
    text.to_lowercase()
}
