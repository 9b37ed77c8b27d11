//! The jobs of this process, and those that the audit log tells of: the fold of the executor's progress.

use crate::model::{Job, JobId, JobState, Progress};

/// Jobs, oldest first.
#[derive(Default, Debug)]
pub struct Jobs(Vec<Job>);

impl Jobs {
    /// All of them.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Job> {
        self.0.iter()
    }
    pub fn len(&self) -> usize {
        self.0.len()
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// The job of that name.
    pub fn get(&self, id: &JobId) -> Option<&Job> {
        self.0.iter().find(|j| j.id == *id)
    }
    /// Jobs that still send requests.
    pub fn active(&self) -> impl Iterator<Item = &Job> {
        self.0.iter().filter(|j| j.state.active())
    }

    /// Jobs of earlier runs, as the audit log has them; what runs here stays as it is.
    pub fn remember(&mut self, past: impl IntoIterator<Item = Job>) {
        for job in past {
            if self.get(&job.id).is_none() {
                self.0.push(job);
            }
        }
        self.0.sort_by(|a, b| a.id.cmp(&b.id));
    }

    /// Folds what the executor tells. Time is unix seconds.
    pub fn apply(&mut self, progress: Progress, now: i64) {
        let id = match &progress {
            Progress::Began(job) => &job.id,
            Progress::Step { job, .. } | Progress::Added { job, .. } | Progress::State { job, .. } | Progress::Note { job, .. } => job,
        };
        let at = self.0.iter().position(|j| j.id == *id);
        match (progress, at) {
            (Progress::Began(job), Some(at)) => self.0[at] = *job,
            (Progress::Began(job), None) => self.0.push(*job),
            (Progress::Step { step, state, .. }, Some(at)) => {
                if let Some(step) = self.0[at].steps.get_mut(step)
                    && step.state != state
                {
                    (step.state, step.since) = (state, now);
                }
            }
            (Progress::Added { step, .. }, Some(at)) => self.0[at].steps.push(*step),
            (Progress::State { state, .. }, Some(at)) => {
                self.0[at].state = state;
                if let JobState::Ended(_) = state {
                    self.0[at].ended = Some(now);
                }
            }
            (Progress::Note { text, .. }, Some(at)) => self.0[at].note = text,
            (_, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ClusterId, JobStep, Outcome, StepState};

    fn job(id: &str) -> Job {
        let step =
            JobStep { text: "evict".into(), cluster: ClusterId(0), part: String::new(), waits: false, state: StepState::Waiting, since: 1 };
        Job {
            id: JobId(id.into()),
            what: "drain".into(),
            title: "drain".into(),
            clusters: vec![],
            began: 1,
            ended: None,
            state: JobState::Running,
            steps: vec![step],
            note: String::new(),
        }
    }

    #[test]
    fn progress_is_folded_and_a_step_keeps_when_it_changed() {
        let mut jobs = Jobs::default();
        jobs.apply(Progress::Began(Box::new(job("a"))), 1);
        let id = JobId("a".into());
        let blocked = || Progress::Step { job: JobId("a".into()), step: 0, state: StepState::Blocked("pdb".into()) };
        jobs.apply(blocked(), 5);
        jobs.apply(blocked(), 9);
        assert_eq!((jobs.get(&id).unwrap().steps[0].since, jobs.get(&id).unwrap().blocked().count()), (5, 1));
        assert_eq!(jobs.active().count(), 1);
        jobs.apply(Progress::State { job: id.clone(), state: JobState::Ended(Outcome::Cancelled) }, 12);
        assert_eq!((jobs.active().count(), jobs.get(&id).unwrap().ended), (0, Some(12)));
        jobs.remember([job("a"), job("0")]);
        assert_eq!(jobs.iter().map(|j| (j.id.0.as_str(), j.state.active())).collect::<Vec<_>>(), [("0", true), ("a", false)]);
    }
}
