//! The jobs that the audit log tells of: what was wanted, what was done, and which never came to an end.

use crate::model::{
    Act, Actor, AuditEvent, AuditRecord, ClusterId, EtcdCall, EtcdPast, Job, JobId, JobState, JobStep, Outcome, Plan, PlanCluster, Step,
    StepState, Str,
};
use crate::state::StateDir;
use std::collections::BTreeMap;
use std::io;

/// A new job's name: `20260301-024730-4f2a`.
pub fn new_job_id() -> JobId {
    let now = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S");
    JobId(format!("{now}-{:04x}", fastrand::u16(..)))
}

/// The file whose lock says that a process works on the job.
pub(super) fn lock_name(job: &JobId) -> String {
    format!("job-{job}.lock")
}

/// Why a job stopped whose terminal went away, or whose process was told to end.
pub const TERMINAL_LOST: &str = "the terminal went away";
pub const TOLD_TO_END: &str = "asked to end (SIGTERM)";

/// One job of the log.
#[derive(Clone, Debug)]
pub struct Past {
    pub id: JobId,
    /// RFC 3339.
    pub began: String,
    pub actor: Actor,
    pub clusters: Vec<String>,
    pub confirmed: String,
    pub reason: Option<String>,
    pub plan: Plan,
    pub plan_hash: String,
    pub resumes: Option<JobId>,
    /// What was heard last of each step.
    pub steps: BTreeMap<usize, StepState>,
    /// The uids of what its steps created.
    pub created: BTreeMap<usize, String>,
    /// When it ended, how, and why it is not done.
    pub outcome: Option<(String, Outcome, String)>,
    /// A process works on it now.
    pub locked: bool,
    /// The job that took it back or went on with it.
    pub followed_by: Option<JobId>,
    /// The job that it goes on with: what that one did is taken back with it.
    pub before: Option<Box<Past>>,
}

impl Past {
    /// How it stands.
    pub fn state(&self) -> JobState {
        match &self.outcome {
            Some((_, outcome, _)) => JobState::Ended(*outcome),
            None if self.locked => JobState::Running,
            None => JobState::Interrupted,
        }
    }

    /// Whether it was stopped because its process was to end, and not by somebody who wanted it stopped.
    fn lost(&self) -> bool {
        let lost = |why: &str| why.starts_with(TERMINAL_LOST) || why.starts_with(TOLD_TO_END);
        matches!(&self.outcome, Some((_, Outcome::Cancelled, why)) if lost(why))
    }

    /// Whether `resume` can go on with it: it ended before its time, nobody has yet, and the log has what is left to do.
    pub fn resumable(&self) -> bool {
        let left = |(at, _): &(usize, &Step)| !matches!(self.steps.get(at), Some(StepState::Done(_)));
        self.state().resumable() && self.followed_by.is_none() && self.plan.steps.iter().enumerate().filter(left).all(|(_, s)| s.kept())
    }

    /// Whether what it did can be taken back: something was done, or may have been, and nobody has yet.
    pub fn undoable(&self) -> bool {
        self.followed_by.is_none() && self.state() != JobState::Running && self.deeds(false).any(|(.., step)| step.undo.is_some())
    }

    /// What it and the jobs that it goes on with did, or may have done: newest job first, each job's last step first. A step that a later
    /// one did again is the later one's. `going_on`: for somebody who goes on with it, not for one who takes it back.
    pub fn deeds(&self, going_on: bool) -> impl Iterator<Item = (&Self, usize, &Step)> {
        self.chain().enumerate().flat_map(move |(n, job)| {
            let again = move |step: &Step| self.chain().take(n).any(|later| later.done(false).any(|(_, s)| s.same(step)));
            // One that was killed may have sent what nobody heard of; who went on with it found that done.
            let killed = (n > 0 || going_on) && job.outcome.is_none();
            job.done(killed).rev().filter(move |(_, step)| !again(step)).map(move |(at, step)| (job, at, step))
        })
    }

    /// It, and the jobs that it goes on with, newest first.
    fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |job| job.before.as_deref())
    }

    /// The steps that were done, or may have been, by their numbers; `unheard`: also those of which nothing was heard.
    fn done(&self, unheard: bool) -> impl DoubleEndedIterator<Item = (usize, &Step)> {
        let done = move |at: &usize| match self.steps.get(at) {
            Some(StepState::Done(_) | StepState::Unknown(_)) => true,
            Some(StepState::Failed(_) | StepState::Skipped(_)) => false,
            // Begun when the process was killed.
            Some(_) => unheard || self.outcome.is_none(),
            None => unheard,
        };
        self.plan.steps.iter().enumerate().filter(move |(at, _)| done(at))
    }

    /// As the cockpit shows it.
    pub fn job(&self) -> Job {
        let secs = |text: &str| text.parse::<jiff::Timestamp>().map_or(0, |t| t.as_second());
        let began = secs(&self.began);
        let step = |(at, s): (usize, &crate::model::Step)| JobStep {
            text: s.text.clone(),
            cluster: s.target.cluster,
            part: s.part.clone(),
            waits: matches!(s.act, Act::Wait(_)),
            state: self.steps.get(&at).cloned().unwrap_or(StepState::Waiting),
            since: began,
        };
        Job {
            id: self.id.clone(),
            what: self.plan.what().to_owned(),
            title: self.plan.title.clone(),
            clusters: self.clusters.clone(),
            began,
            ended: self.outcome.as_ref().map(|(at, ..)| secs(at)),
            state: self.state(),
            steps: self.plan.steps.iter().enumerate().map(step).collect(),
            note: self.outcome.as_ref().map(|(.., why)| why.clone()).unwrap_or_default(),
        }
    }
}

/// Every job of the audit log, oldest first.
#[derive(Debug, Default)]
pub struct Ledger {
    pub jobs: Vec<Past>,
    /// Lines that cannot be read, in words.
    pub bad: Vec<String>,
}

impl Ledger {
    /// Reads the log of a state directory, and which jobs somebody works on.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read(state: &StateDir) -> io::Result<Self> {
        let history = state.journal().read()?;
        let mut ledger = Self::of(history.records);
        ledger.bad = history.bad.iter().map(|b| format!("{}:{}: {}", b.file.display(), b.line, b.why)).collect();
        for job in ledger.jobs.iter_mut().filter(|j| j.outcome.is_none()) {
            let name = lock_name(&job.id);
            // A lock file that is not there is nobody's: looking must not create it.
            job.locked = state.path(&name).exists() && state.try_lock(&name)?.is_none();
        }
        Ok(ledger)
    }

    /// The jobs of these records, none of them worked on.
    pub fn of(records: Vec<AuditRecord>) -> Self {
        let mut jobs: Vec<Past> = Vec::new();
        for record in records {
            let AuditRecord { at, job: id, event, .. } = record;
            match event {
                AuditEvent::Intent { actor, clusters, confirmed, reason, plan_hash, plan, resumes, .. } => {
                    let before = resumes.clone().or_else(|| plan.undoes.clone().map(JobId));
                    if let Some(before) = jobs.iter_mut().rfind(|j| Some(&j.id) == before.as_ref()) {
                        before.followed_by = Some(id.clone());
                    }
                    jobs.push(Past {
                        id,
                        began: at,
                        actor: *actor,
                        clusters,
                        confirmed,
                        reason,
                        plan: *plan,
                        plan_hash,
                        resumes,
                        steps: BTreeMap::new(),
                        created: BTreeMap::new(),
                        outcome: None,
                        locked: false,
                        followed_by: None,
                        before: None,
                    });
                }
                AuditEvent::Step { step, state, uid, .. } => {
                    if let Some(job) = jobs.iter_mut().rfind(|j| j.id == id) {
                        job.steps.insert(step, state);
                        job.created.extend(uid.map(|uid| (step, uid)));
                    }
                }
                AuditEvent::Outcome { outcome, why, .. } => {
                    if let Some(job) = jobs.iter_mut().rfind(|j| j.id == id) {
                        job.outcome = Some((at, outcome, why));
                    }
                }
            }
        }
        for at in 0..jobs.len() {
            // One that was gone on with is complete here: it began before.
            let Some(before) = jobs[at].resumes.clone() else { continue };
            let found = jobs[..at].iter().rfind(|j| j.id == before).cloned();
            jobs[at].before = found.map(Box::new);
        }
        Self { jobs, bad: Vec::new() }
    }

    /// What was done to the etcd of a cluster, which is known by its server or one of its contexts.
    pub fn etcd(&self, server: &str, contexts: &[Str]) -> EtcdPast {
        let mut past = EtcdPast::default();
        for job in &self.jobs {
            let same = |c: &&PlanCluster| c.server == server || contexts.iter().any(|x| **x == *c.context);
            let here: Vec<ClusterId> = job.plan.clusters.iter().filter(same).map(|c| c.id).collect();
            // Each step has its time in the log, of which the job's end is near enough.
            let at = job.outcome.as_ref().map_or(&job.began, |(at, ..)| at).parse::<jiff::Timestamp>().map_or(0, |t| t.as_second());
            for (n, step) in job.plan.steps.iter().enumerate().filter(|(_, s)| here.contains(&s.target.cluster)) {
                match (&step.act, job.steps.get(&n)) {
                    (Act::Etcd(EtcdCall::Snapshot(_)), Some(StepState::Done(_))) => past.snapshot = past.snapshot.max(Some(at)),
                    (Act::Etcd(EtcdCall::Defragment { member }), Some(StepState::Done(_))) => {
                        let known = past.defragmented.entry(member.0).or_insert(at);
                        *known = at.max(*known);
                    }
                    _ => {}
                }
            }
        }
        past
    }

    /// The job of that name; `last` is the newest that can be taken back.
    ///
    /// # Errors
    /// When there is none, in words with the nearest.
    pub fn find(&self, name: &str) -> Result<&Past, String> {
        if name == "last" {
            return self.jobs.iter().rfind(|j| j.undoable()).ok_or_else(|| "no job can be undone".to_owned());
        }
        let found = self.jobs.iter().rfind(|j| j.id.0 == name);
        found.ok_or_else(|| crate::diag::unknown("job", name, self.jobs.iter().map(|j| j.id.0.as_str())))
    }

    /// Jobs whose process or terminal ended before they did, and that nobody went on with.
    pub fn interrupted(&self) -> impl Iterator<Item = &Past> {
        self.jobs.iter().filter(|j| (j.state() == JobState::Interrupted || j.lost()) && j.followed_by.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Args, VerbId};

    fn record(job: &str, event: AuditEvent) -> AuditRecord {
        AuditRecord { at: "2026-03-01T02:47:30Z".into(), job: JobId(job.into()), event, prev: String::new() }
    }
    fn intent(job: &str, resumes: Option<&str>) -> AuditRecord {
        let plan = Plan::new(VerbId::Drain, &Args::default(), "drain node n");
        record(
            job,
            AuditEvent::Intent {
                actor: Box::default(),
                clusters: vec!["prod".into()],
                confirmed: "yes".into(),
                reason: None,
                plan_hash: plan.hash(),
                plan: Box::new(plan),
                salt: "s".into(),
                resumes: resumes.map(|r| JobId(r.into())),
            },
        )
    }

    #[test]
    fn intent_without_outcome_is_interrupted_until_somebody_goes_on_with_it() {
        let ledger = Ledger::of(vec![intent("a", None)]);
        assert_eq!(ledger.interrupted().map(|j| j.id.0.as_str()).collect::<Vec<_>>(), ["a"]);
        let done = AuditEvent::Outcome { outcome: Outcome::Done, done: 1, failed: 0, left: 0, why: String::new() };
        let ledger = Ledger::of(vec![intent("a", None), intent("b", Some("a")), record("b", done)]);
        assert_eq!(ledger.interrupted().count(), 0);
        assert_eq!(ledger.jobs[0].followed_by, Some(JobId("b".into())));
        assert_eq!(ledger.jobs[1].state(), JobState::Ended(Outcome::Done));
    }

    #[test]
    fn one_that_lost_its_terminal_is_named_and_one_that_somebody_stopped_is_not() {
        let ended = |outcome, why: &str| AuditEvent::Outcome { outcome, done: 1, failed: 0, left: 1, why: why.into() };
        let named = |events: Vec<AuditEvent>| {
            let ledger = Ledger::of(std::iter::once(intent("a", None)).chain(events.into_iter().map(|e| record("a", e))).collect());
            ledger.interrupted().count()
        };
        assert_eq!(named(vec![ended(Outcome::Cancelled, TERMINAL_LOST)]), 1);
        assert_eq!(named(vec![ended(Outcome::Cancelled, TOLD_TO_END)]), 1);
        assert_eq!(named(vec![ended(Outcome::Cancelled, "interrupted by ctrl-c")]), 0);
        assert_eq!(named(vec![ended(Outcome::Done, "")]), 0);
    }

    #[test]
    fn a_job_that_somebody_works_on_is_not_interrupted() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::at(dir.path()).unwrap();
        state.journal().append(&intent("a", None), true).unwrap();
        let lock = state.try_lock(&lock_name(&JobId("a".into()))).unwrap();
        assert_eq!(Ledger::read(&state).unwrap().jobs[0].state(), JobState::Running);
        drop(lock);
        assert_eq!(Ledger::read(&state).unwrap().jobs[0].state(), JobState::Interrupted);
    }

    #[test]
    fn what_was_done_to_an_etcd_is_known_by_its_cluster_and_only_where_it_ended_well() {
        let member = |n| crate::model::EtcdId(n);
        let to = crate::model::SnapshotTo { member: member(1), file: "f".into(), keep: None, move_to: None, unhashed: false };
        let calls = [EtcdCall::Snapshot(to), EtcdCall::Defragment { member: member(2) }, EtcdCall::Defragment { member: member(3) }];
        let target = |cluster| crate::model::Target {
            cluster: ClusterId(cluster),
            resource: crate::model::Kind::EtcdMember.into(),
            namespace: String::new(),
            name: "m".into(),
            uid: None,
        };
        let mut start = intent("a", None);
        let AuditEvent::Intent { plan, .. } = &mut start.event else { panic!() };
        let cluster = |id, server: &str| PlanCluster {
            id: ClusterId(id),
            name: "c".into(),
            context: server.into(),
            server: server.into(),
            uid: None,
        };
        plan.clusters = vec![cluster(0, "https://other"), cluster(1, "https://prod")];
        plan.steps = calls.into_iter().map(|c| Step::new("x", &target(1), Act::Etcd(c))).collect();
        let step = |step, state| {
            record("a", AuditEvent::Step { step, text: String::new(), state, audit_id: None, uid: None, http: None, warnings: vec![] })
        };
        let done = || StepState::Done("done".into());
        let ledger = Ledger::of(vec![start, step(0, done()), step(1, done()), step(2, StepState::Unknown("?".into()))]);
        let past = ledger.etcd("https://prod", &[]);
        assert_eq!((past.snapshot, past.defragmented.into_iter().collect::<Vec<_>>()), (Some(1_772_333_250), vec![(2, 1_772_333_250)]));
        assert_eq!(ledger.etcd("https://other", &[]), EtcdPast::default());
        assert_eq!(ledger.etcd("https://moved", &["https://prod".into()]).snapshot, Some(1_772_333_250), "by its context");
    }

    #[test]
    fn nobody_is_told_to_go_on_with_what_the_log_does_not_hold() {
        let ledger = |sensitive: bool, state: StepState| {
            let mut start = intent("a", None);
            let AuditEvent::Intent { plan, .. } = &mut start.event else { panic!() };
            let target = crate::model::Target::of_cluster(ClusterId(0), "c");
            let step = |text: &str| Step::write(text, &target, crate::model::Method::Put, serde_json::Value::Null);
            plan.steps = vec![Step { sensitive, ..step("one") }, step("two")];
            let heard = AuditEvent::Step { step: 0, text: String::new(), state, audit_id: None, uid: None, http: None, warnings: vec![] };
            Ledger::of(vec![start, record("a", heard)]).jobs.remove(0)
        };
        let failed = || StepState::Failed("refused".into());
        assert!(ledger(false, failed()).resumable());
        assert!(!ledger(true, failed()).resumable());
        assert!(ledger(true, StepState::Done("done".into())).resumable(), "what held a secret is done");
    }

    #[test]
    fn jobs_are_found_by_name_with_a_hint() {
        let ledger = Ledger::of(vec![intent("20260301-024730-4f2a", None)]);
        assert!(ledger.find("20260301-024730-4f2a").is_ok());
        assert_eq!(
            ledger.find("20260301-024730-4f2b").unwrap_err(),
            "unknown job `20260301-024730-4f2b`; did you mean `20260301-024730-4f2a`?"
        );
        assert_eq!(ledger.find("last").unwrap_err(), "no job can be undone");
        assert!(new_job_id() != new_job_id() || new_job_id() != new_job_id());
    }
}
