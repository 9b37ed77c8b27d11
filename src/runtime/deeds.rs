//! Acts of the cockpit: plans in the making, previews that wait for a word, jobs under way.
//!
//! A plan is made on the loop's thread, where the store is; what it asks for is fetched, and what it says is checked, beside the loop.
//! Previews stay here: the app shows one, and names it when somebody confirms.

use super::acting::{self, ROUNDS, Started};
use super::{Fleet, now};
use crate::action::{Confirmation, Facts, Gate, Need, Preflight, Preview, Stop, Wanted, confirm, preflight};
use crate::app::{Event, Refusal, RequestId};
use crate::model::{Control, JobId, Plan, Progress, VerbId};
use crate::state::StateDir;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// What is in flight is waited for this long at the end: the server gives up changes after 34 s.
const LAST: Duration = Duration::from_secs(45);

/// What comes back from beside the loop.
pub enum Done {
    Facts(RequestId, Box<Facts>),
    Checked(RequestId, Box<Plan>, Preflight),
    Told(Progress),
}

struct Making {
    wanted: Wanted,
    rounds: usize,
    preview: Option<Arc<Preview>>,
}

/// Everything that is being planned and done.
pub struct Deeds {
    tx: mpsc::UnboundedSender<Done>,
    rx: mpsc::UnboundedReceiver<Done>,
    progress: (mpsc::UnboundedSender<Progress>, mpsc::UnboundedReceiver<Progress>),
    making: HashMap<RequestId, Making>,
    jobs: HashMap<JobId, Started>,
}

/// Reads the manifests that an apply from the screen names, or the report that is to be published.
fn with_documents(wanted: &mut Wanted) -> Result<(), String> {
    let Wanted::Act(request) = wanted else { return Ok(()) };
    if !matches!(request.verb, VerbId::Apply | VerbId::Publish) || !request.documents.is_empty() {
        return Ok(());
    }
    for file in request.args.all("filename") {
        // The loop waits for nobody who writes into a pipe.
        if !std::fs::metadata(file).map_err(|e| format!("{file}: {e}"))?.is_file() {
            return Err(format!("{file}: no file"));
        }
        request.documents.push((file.to_owned(), acting::document(request.verb, file)?));
    }
    Ok(())
}

impl Deeds {
    pub fn new() -> Self {
        let (tx, rx) = mpsc::unbounded_channel();
        Self { tx, rx, progress: mpsc::unbounded_channel(), making: HashMap::new(), jobs: HashMap::new() }
    }

    /// The next thing from beside the loop. We hold senders ourselves: it never ends. Cancel safe.
    pub async fn next(&mut self) -> Done {
        tokio::select! {
            biased;
            Some(told) = self.progress.1.recv() => Done::Told(told),
            Some(done) = self.rx.recv() => done,
            else => std::future::pending().await,
        }
    }

    /// Begins to plan; a refusal at once.
    pub fn plan(&mut self, id: RequestId, mut wanted: Wanted, fleet: &Fleet) -> Option<Event> {
        if let Err(message) = with_documents(&mut wanted) {
            return Some(Event::Previewed(id, Err(Refusal { nothing: false, message, hint: None })));
        }
        self.making.insert(id, Making { wanted, rounds: 0, preview: None });
        self.go_on(id, Facts::default(), fleet)
    }

    /// The dialog was closed: what still comes for it is late and dropped.
    pub fn forget(&mut self, id: RequestId) {
        self.making.remove(&id);
    }

    fn go_on(&mut self, id: RequestId, mut facts: Facts, fleet: &Fleet) -> Option<Event> {
        let making = self.making.get_mut(&id)?;
        let refusal =
            |kind: &str, message: String, hint| Some(Event::Previewed(id, Err(Refusal { nothing: kind == "nothing", message, hint })));
        match making.wanted.plan(&fleet.store, &facts, now()) {
            Ok(plan) => {
                let (tx, clients) = (self.tx.clone(), fleet.clients());
                tokio::spawn(async move {
                    let checked = preflight(&plan, &clients).await;
                    let _ = tx.send(Done::Checked(id, Box::new(plan), checked));
                });
                None
            }
            Err(Stop::Needs(needs)) if making.rounds < ROUNDS => {
                making.rounds += 1;
                let (tx, clients): (_, _) = (self.tx.clone(), fleet.clients());
                let needs: Vec<Need> = needs;
                tokio::spawn(async move {
                    facts.fetch(needs, &clients).await;
                    let _ = tx.send(Done::Facts(id, Box::new(facts)));
                });
                None
            }
            Err(Stop::Needs(_)) => refusal("failed", "the plan asks for more and more".to_owned(), None),
            Err(Stop::Refuse { kind, message, hint }) => refusal(kind, message, hint),
        }
    }

    /// Takes what came back. What the app has to know of it; progress goes to the store.
    pub fn take(&mut self, done: Done, fleet: &mut Fleet) -> Option<Event> {
        match done {
            Done::Facts(id, facts) => self.go_on(id, *facts, fleet),
            Done::Checked(id, plan, checked) => {
                let making = self.making.get_mut(&id)?;
                let gate: Gate = fleet.guardrails.gate(&plan, now());
                let preview = Arc::new(Preview::new(*plan, checked, gate));
                making.preview = Some(preview.clone());
                Some(Event::Previewed(id, Ok(preview)))
            }
            Done::Told(told) => {
                let ended = match &told {
                    Progress::State { job, state } if !state.active() => Some((job.clone(), *state)),
                    _ => None,
                };
                fleet.store.jobs.apply(told, now());
                let (job, state) = ended?;
                self.jobs.remove(&job);
                Some(Event::JobEnded(job, state))
            }
        }
    }

    /// Somebody said yes to a preview: begins the job if that is enough.
    pub fn confirm(&mut self, id: RequestId, said: &Confirmation, fleet: &Fleet, state: Option<&StateDir>) -> Event {
        let refused = |message: String| Event::Started(id, Err(message));
        let Some((wanted, preview)) = self.making.get(&id).and_then(|m| Some((&m.wanted, m.preview.clone()?))) else {
            return refused("there is no such plan any more".to_owned());
        };
        let Some(state) = state else {
            return refused("without a state directory there is no audit log, and nothing is changed".to_owned());
        };
        let confirmed = match confirm(&preview, said) {
            Ok(confirmed) => confirmed,
            Err(why) => return refused(why.to_string()),
        };
        let actor = acting::actor("cockpit", &preview);
        let started = acting::start(fleet, state, confirmed, wanted.resumes(), actor, self.progress.0.clone());
        let job = started.id.clone();
        self.jobs.insert(job.clone(), started);
        self.making.remove(&id);
        Event::Started(id, Ok(job))
    }

    /// Pauses, lets go on, stops.
    pub fn control(&self, job: &JobId, control: Control) -> bool {
        self.jobs.get(job).is_some_and(|j| j.control.send(control).is_ok())
    }

    /// Stops every job and waits for what is in flight.
    pub async fn stop_all(&mut self, why: &'static str, fleet: &mut Fleet) {
        for job in self.jobs.values() {
            let _ = job.control.send(Control::Stop(why));
        }
        let until = tokio::time::Instant::now() + LAST;
        for (_, mut job) in std::mem::take(&mut self.jobs) {
            let ended = fleet.alongside(tokio::time::timeout_at(until, &mut job.task)).await;
            if ended.is_err() {
                tracing::warn!(job = %job.id, "a job did not stop in time");
            }
        }
    }
}
