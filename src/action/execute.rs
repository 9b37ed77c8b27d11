//! Carrying out a confirmed plan: intent on disk, lanes side by side, stages one after the other, each step's answer written down, the
//! outcome last.
//!
//! A job can be paused and stopped; what is in flight is waited for. How one request is sent is `write`'s, one eviction `evict`'s, what is
//! done to etcd `etcd`'s and `snapshot`'s, waited for `wait`'s, what is fetched `fetch`'s, what comes to a node while it is emptied `sweep`'s.

mod etcd;
mod evict;
mod fetch;
#[cfg(test)]
mod fixture;
mod hand;
mod silence;
mod snapshot;
mod sweep;
pub(super) mod wait;
mod write;

use super::ledger::lock_name;
use super::{Clients, Confirmed, Sightings};
use crate::client::{Receipt, WriteAnswer};
use crate::model::until::clock;
use crate::model::{
    Act, Actor, AuditEvent, AuditRecord, Control, Job, JobId, JobState, JobStep, Outcome, Plan, Progress, SilenceWrite, Step, StepState,
};
use crate::state::{Journal, StateDir};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;

/// Requests of one job at the same time.
const REQUESTS: usize = 8;

tokio::task_local! {
    /// When the time of the lane that a step belongs to is up: each node of a drain has its own.
    static DEADLINE: Option<Instant>;
    /// There while something is ended that the job began: it is, however the job goes on.
    static CLOSING: ();
}

/// What a job needs beside its plan.
pub struct Executor {
    pub state: StateDir,
    pub actor: Actor,
    pub clients: Clients,
    pub sightings: Sightings,
    pub progress: mpsc::UnboundedSender<Progress>,
    pub control: watch::Receiver<Control>,
}

/// Why a step did not come to its good end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Why {
    /// Budget, conflict, time: nothing is lost, it can be gone on with.
    Blocked,
    Failed,
    /// It was sent and nobody knows.
    Unknown,
    /// The job was stopped before.
    Stopped,
}

/// How a step ended: well, with words; or not.
type Ended = Result<String, (Why, String)>;

/// A job under way.
struct Run {
    plan: Plan,
    id: JobId,
    state: StateDir,
    journal: Journal,
    receipt: Receipt,
    clients: Clients,
    sightings: Sightings,
    progress: mpsc::UnboundedSender<Progress>,
    control: watch::Receiver<Control>,
    requests: Semaphore,
    /// One eviction at a time, where capacity is kept.
    alone: tokio::sync::Mutex<()>,
    /// `user@host`, where others are told who did it.
    who: String,
    /// Pods that waited for room when it began, by cluster.
    pending: BTreeMap<crate::model::ClusterId, u32>,
    ended: Mutex<BTreeMap<usize, Ended>>,
    /// Steps that the plan did not have; their numbers follow its own.
    added: Mutex<Vec<Step>>,
}

/// Carries it out. Returns when nothing more will be sent.
pub async fn execute(confirmed: Confirmed, id: JobId, resumes: Option<JobId>, executor: Executor) -> Outcome {
    let Executor { state, actor, clients, sightings, progress, control } = executor;
    let plan = confirmed.plan().clone();
    let tell = progress.clone();
    let _ = tell.send(Progress::Began(Box::new(job_of(&plan, &id))));
    let refused = |why: String| {
        let _ = tell.send(Progress::Note { job: id.clone(), text: why });
        let _ = tell.send(Progress::State { job: id.clone(), state: JobState::Ended(Outcome::Refused) });
        Outcome::Refused
    };
    let lock = match state.try_lock(&lock_name(&id)) {
        Ok(Some(lock)) => lock,
        Ok(None) => return refused("another process works on this job".to_owned()),
        Err(e) => return refused(format!("no lock: {e}")),
    };
    // Who goes on with a job keeps others from doing the same.
    let _before = match resumes.as_ref().map(|before| state.try_lock(&lock_name(before))).transpose() {
        Ok(before) if before.as_ref().is_some_and(Option::is_none) => return refused("another process works on that job".to_owned()),
        Ok(before) => before,
        Err(e) => return refused(format!("no lock: {e}")),
    };
    let journal = state.journal();
    let who = format!("{}@{}", actor.user, actor.host);
    let intent = intent(&confirmed, &id, resumes.clone(), actor);
    let receipt = {
        let journal = journal.clone();
        let logged = tokio::task::spawn_blocking(move || Receipt::after(|| journal.append(&intent, true))).await;
        match logged {
            Ok(Ok(receipt)) => receipt,
            Ok(Err(e)) => return refused(format!("nothing was sent: the audit log cannot be written: {e}")),
            Err(_) => return refused("nothing was sent: the audit log cannot be written".to_owned()),
        }
    };
    let pending = plan.clusters.iter().filter_map(|c| Some((c.id, sightings.pending_in(c.id)?))).collect();
    let run = Arc::new(Run {
        plan,
        id: id.clone(),
        state: state.clone(),
        journal,
        receipt,
        clients,
        sightings,
        progress,
        control,
        requests: Semaphore::new(REQUESTS),
        alone: tokio::sync::Mutex::new(()),
        who,
        pending,
        ended: Mutex::new(BTreeMap::new()),
        added: Mutex::new(Vec::new()),
    });
    let telling = run.tell_control();
    run.lanes(usize::from(confirmed.parallel())).await;
    let outcome = run.conclude().await;
    telling.abort();
    drop(lock);
    for job in [Some(&id), resumes.as_ref()].into_iter().flatten() {
        let _ = std::fs::remove_file(state.path(&lock_name(job)));
    }
    let _ = run.progress.send(Progress::State { job: id, state: JobState::Ended(outcome) });
    outcome
}

fn job_of(plan: &Plan, id: &JobId) -> Job {
    let now = unix();
    let step = |s: &Step| JobStep {
        text: s.text.clone(),
        cluster: s.target.cluster,
        part: s.part.clone(),
        waits: matches!(s.act, Act::Wait(_)),
        state: StepState::Waiting,
        since: now,
    };
    Job {
        id: id.clone(),
        what: plan.what().to_owned(),
        title: plan.title.clone(),
        clusters: plan.clusters.iter().map(|c| c.name.clone()).collect(),
        began: now,
        ended: None,
        state: JobState::Running,
        steps: plan.steps.iter().map(step).collect(),
        note: String::new(),
    }
}

fn intent(confirmed: &Confirmed, id: &JobId, resumes: Option<JobId>, actor: Actor) -> AuditRecord {
    let plan = confirmed.plan();
    let salt = format!("{:032x}", fastrand::u128(..));
    let event = AuditEvent::Intent {
        actor: Box::new(actor),
        clusters: plan.clusters.iter().map(|c| c.name.clone()).collect(),
        confirmed: confirmed.how().to_owned(),
        reason: confirmed.reason().map(str::to_owned),
        plan_hash: plan.hash(),
        plan: Box::new(plan.redacted(&salt)),
        salt,
        resumes,
    };
    record(id, event)
}

fn record(id: &JobId, event: AuditEvent) -> AuditRecord {
    AuditRecord { at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(), job: id.clone(), event, prev: String::new() }
}

fn unix() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn deadline() -> Option<Instant> {
    DEADLINE.try_with(|d| *d).ok().flatten()
}

impl Run {
    /// Every lane, wave by wave, so many at the same time.
    async fn lanes(self: &Arc<Self>, parallel: usize) {
        let mut waves: BTreeMap<u16, BTreeMap<u16, BTreeMap<u16, Vec<usize>>>> = BTreeMap::new();
        for (at, step) in self.plan.steps.iter().enumerate() {
            let wave = self.plan.waves.get(usize::from(step.lane)).copied().unwrap_or(0);
            waves.entry(wave).or_default().entry(step.lane).or_default().entry(step.stage).or_default().push(at);
        }
        let mut failed = BTreeMap::new();
        if self.plan.parts.is_empty() {
            for lanes in waves.values_mut() {
                failed.append(&mut self.cordons(lanes).await);
            }
        }
        let mut stopped: Option<String> = None;
        for mut lanes in waves.into_values() {
            if let Some(why) = &stopped {
                for at in lanes.into_values().flat_map(BTreeMap::into_values).flatten() {
                    self.end(at, Err((Why::Stopped, format!("not tried: {why}"))));
                }
                continue;
            }
            // A runbook's later steps begin only when those before have ended, their cordons too.
            if !self.plan.parts.is_empty() {
                failed.append(&mut self.cordons(&mut lanes).await);
            }
            let places = Arc::new(Semaphore::new(parallel.max(1)));
            let mut tasks = tokio::task::JoinSet::new();
            for (lane, stages) in lanes {
                // Here and not in its task: lanes begin in the order in which the preview lists them.
                let place = places.clone().acquire_owned().await;
                let (run, failed) = (self.clone(), failed.remove(&lane));
                tasks.spawn(async move {
                    let _place = place;
                    match run.plan.sweeps.iter().find(|s| s.lane == lane).filter(|_| failed.is_none()) {
                        Some(sweep) => run.swept(stages, sweep).await,
                        None => run.lane(stages, failed).await,
                    }
                });
            }
            while let Some(done) = tasks.join_next().await {
                // In a runbook what comes after stands on what came before.
                if let Ok(Some(why)) = done
                    && !self.plan.parts.is_empty()
                {
                    stopped = Some(why);
                }
            }
        }
    }

    /// Takes the first stage of every drain out of these lanes and carries it out: all nodes are cordoned before the first pod goes, for it
    /// must not go to a node that is next, whose pods are counted already. Gives the lanes where that failed, and which step did.
    async fn cordons(self: &Arc<Self>, lanes: &mut BTreeMap<u16, BTreeMap<u16, Vec<usize>>>) -> BTreeMap<u16, String> {
        let mut failed = BTreeMap::new();
        for (lane, stages) in lanes {
            let all = |steps: &[usize], is: fn(&Act) -> bool| steps.iter().all(|at| self.plan.steps.get(*at).is_some_and(|s| is(&s.act)));
            let cordons = stages.get(&0).is_some_and(|steps| all(steps, |a| matches!(a, Act::Write(_))));
            let evicts = stages.values().any(|steps| !all(steps, |a| !matches!(a, Act::Evict { .. })));
            if cordons
                && evicts
                && let Some(steps) = stages.remove(&0)
                && let Some(why) = self.lane(BTreeMap::from([(0, steps)]), None).await
            {
                failed.insert(*lane, why);
            }
        }
        failed
    }

    /// The stages of a lane, until one fails: which did, or had before. What the lane began to end it itself is ended all the same.
    async fn lane(self: &Arc<Self>, stages: BTreeMap<u16, Vec<usize>>, mut failed: Option<String>) -> Option<String> {
        let deadline = self.plan.timeout.map(|s| Instant::now() + Duration::from_secs(s));
        for steps in stages.into_values() {
            if let Some(text) = &failed {
                for at in steps {
                    let ended = if self.closes(at) { self.step(at).await } else { Err((Why::Stopped, format!("not tried: {text}"))) };
                    self.end(at, ended);
                }
                continue;
            }
            let mut tasks = tokio::task::JoinSet::new();
            for at in steps {
                let run = self.clone();
                tasks.spawn(DEADLINE.scope(deadline, async move {
                    let ended = run.step(at).await;
                    let bad = ended.is_err() && run.plan.steps.get(at).is_some_and(|s| !s.optional);
                    let text = run.plan.steps.get(at).map(|s| s.text.clone()).unwrap_or_default();
                    run.end(at, ended);
                    bad.then_some(text)
                }));
            }
            while let Some(done) = tasks.join_next().await {
                if let Ok(Some(text)) = done {
                    failed = Some(format!("\"{text}\" did not succeed"));
                }
            }
        }
        failed
    }

    async fn step(&self, at: usize) -> Ended {
        let Some(step) = self.plan.steps.get(at) else { return Err((Why::Failed, "no such step".to_owned())) };
        if let Act::Silence(write @ SilenceWrite::Expire { body, .. }) = &step.act
            && self.closes(at)
        {
            self.tell(at, StepState::Running, None);
            let ended = CLOSING.scope((), self.silence(at, step, write)).await;
            return ended.map_err(|(why, text)| (why, format!("{text}; it ends by itself at {}", clock(body.ends, unix()))));
        }
        self.turn().await?;
        self.tell(at, StepState::Running, None);
        match &step.act {
            Act::Write(write) => self.write(at, step, write).await,
            Act::Evict { .. } => self.evict(at, step).await,
            Act::Wait(wait) => self.wait(at, step, wait).await,
            Act::Etcd(call) => self.etcd(at, step, call).await,
            Act::Silence(write) => self.silence(at, step, write).await,
            Act::Fetch { file } => self.fetch(at, step, file).await,
        }
    }

    /// Whether a step ends a silence that its lane has set, or may have.
    fn closes(&self, at: usize) -> bool {
        let Some(step) = self.plan.steps.get(at).filter(|s| s.optional) else { return false };
        let Act::Silence(SilenceWrite::Expire { body, .. }) = &step.act else { return false };
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let set = |(n, s): (usize, &Step)| {
            s.lane == step.lane
                && matches!(&s.act, Act::Silence(SilenceWrite::Add { body: b }) if b == body)
                && matches!(ended.get(&n), Some(Ok(_) | Err((Why::Unknown, _))))
        };
        self.plan.steps.iter().enumerate().any(set)
    }

    /// Waits while the job is paused.
    async fn turn(&self) -> Result<(), (Why, String)> {
        let mut control = self.control.clone();
        loop {
            match *control.borrow_and_update() {
                Control::Run => return Ok(()),
                Control::Stop(_) if CLOSING.try_with(|()| ()).is_ok() => return Ok(()),
                Control::Stop(why) => return Err((Why::Stopped, why.to_owned())),
                Control::Pause => {}
            }
            // Nobody is left who could say so: as if it had been told to stop.
            if control.changed().await.is_err() {
                return Err((Why::Stopped, "nobody leads this job any more".to_owned()));
            }
        }
    }

    /// Sleeps, unless the job is stopped or its time is up before.
    async fn rest(&self, time: Duration) -> Result<(), (Why, String)> {
        let mut control = self.control.clone();
        let until = Instant::now() + time;
        let until = deadline().map_or(until, |d| d.min(until));
        let stopped = async {
            loop {
                if matches!(*control.borrow_and_update(), Control::Stop(_)) || control.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = stopped => {}
            () = tokio::time::sleep_until(until) => {}
        }
        self.turn().await
    }

    /// Why the job is to end before it is done, if it is.
    fn told_to_stop(&self) -> Option<&'static str> {
        if let Control::Stop(why) = *self.control.borrow() { Some(why) } else { None }
    }

    /// Whether the time for what is blocked is up.
    fn late() -> bool {
        deadline().is_some_and(|d| Instant::now() >= d)
    }

    /// Says how a step stands, to the screen and to the log.
    fn tell(&self, at: usize, state: StepState, answer: Option<&WriteAnswer>) {
        let _ = self.progress.send(Progress::Step { job: self.id.clone(), step: at, state: state.clone() });
        let text = match self.plan.steps.get(at) {
            Some(step) => step.text.clone(),
            None => {
                let added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
                added.get(at - self.plan.steps.len()).map(|s| s.text.clone()).unwrap_or_default()
            }
        };
        let sensitive = self.plan.steps.get(at).is_some_and(|s| s.sensitive);
        let created = answer.and_then(|a| {
            let uid = if a.code == 201 { &a.body["metadata"]["uid"] } else { &a.body["silenceID"] };
            uid.as_str().map(str::to_owned)
        });
        let event = AuditEvent::Step {
            step: at,
            text,
            state,
            audit_id: answer.and_then(|a| a.audit_id.clone()),
            uid: created,
            http: answer.map(|a| a.code).filter(|code| *code > 0),
            // A webhook may quote what it was shown.
            warnings: answer.filter(|_| !sensitive).map(|a| a.warnings.clone()).unwrap_or_default(),
        };
        // The intent is on disk: a step's line that is lost costs a look at the cluster, no more.
        if let Err(e) = self.journal.append(&record(&self.id, event), false) {
            tracing::error!("the audit log cannot be written: {e}");
            let text = format!("the audit log cannot be written: {e}");
            let _ = self.progress.send(Progress::Note { job: self.id.clone(), text });
        }
    }

    fn end(&self, at: usize, ended: Ended) {
        let state = match &ended {
            Ok(text) => StepState::Done(text.clone()),
            Err((Why::Stopped, text)) => StepState::Skipped(text.clone()),
            Err((Why::Unknown, text)) => StepState::Unknown(text.clone()),
            Err((Why::Blocked | Why::Failed, text)) => StepState::Failed(text.clone()),
        };
        self.tell(at, state, None);
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).insert(at, ended);
    }

    /// Tells the screen when it is paused, goes on, or is to stop.
    fn tell_control(self: &Arc<Self>) -> tokio::task::JoinHandle<()> {
        let (mut control, progress, job) = (self.control.clone(), self.progress.clone(), self.id.clone());
        tokio::spawn(async move {
            while control.changed().await.is_ok() {
                let state = match *control.borrow() {
                    Control::Run => JobState::Running,
                    Control::Pause => JobState::Paused,
                    Control::Stop(_) => JobState::Stopping,
                };
                let _ = progress.send(Progress::State { job: job.clone(), state });
                if state == JobState::Stopping {
                    return;
                }
            }
        })
    }

    /// What became of it all, written down.
    async fn conclude(&self) -> Outcome {
        let (outcome, done, failed, left, why) = {
            let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            let count = |f: fn(&Ended) -> bool| ended.values().filter(|e| f(e)).count();
            let done = count(|e| e.is_ok());
            let stopped = count(|e| matches!(e, Err((Why::Stopped, _))));
            let bad = |at: &usize| self.plan.steps.get(*at).is_none_or(|s| !s.optional);
            let failures: Vec<&(Why, String)> =
                ended.iter().filter(|(at, _)| bad(at)).filter_map(|(_, e)| e.as_ref().err()).filter(|(w, _)| *w != Why::Stopped).collect();
            let told = matches!(*self.control.borrow(), Control::Stop(_));
            let outcome = match failures.as_slice() {
                [] if stopped == 0 => Outcome::Done,
                _ if told => Outcome::Cancelled,
                [] => Outcome::Cancelled,
                all if all.iter().all(|(w, _)| *w == Why::Blocked) => Outcome::Blocked,
                _ if done > 0 => Outcome::Partial,
                _ => Outcome::Failed,
            };
            let why = match (outcome, *self.control.borrow()) {
                (Outcome::Cancelled, Control::Stop(why)) => why.to_owned(),
                _ => failures.first().map(|(_, text)| text.clone()).unwrap_or_default(),
            };
            (outcome, done, failures.len(), stopped, why)
        };
        if !why.is_empty() {
            let _ = self.progress.send(Progress::Note { job: self.id.clone(), text: why.clone() });
        }
        let last = record(&self.id, AuditEvent::Outcome { outcome, done, failed, left, why });
        let journal = self.journal.clone();
        if let Ok(Err(e)) = tokio::task::spawn_blocking(move || journal.append(&last, true)).await {
            tracing::error!("the audit log cannot be written: {e}");
        }
        outcome
    }
}
