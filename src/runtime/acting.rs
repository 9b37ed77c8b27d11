//! From a request to a job: plans with facts fetched as they are asked for, preflight, and the executor beside the loop. The same for
//! the cockpit and the command line.

use super::{Fleet, now};
use crate::action::{Confirmed, Executor, Facts, Preview, Snapshot, Stop, Wanted, execute, new_job_id, preflight};
use crate::model::{Actor, Control, JobId, Outcome, Progress};
use crate::state::StateDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Rounds of facts at most: who still asks then asks for ever. A runbook asks anew for each of its steps.
pub(super) const ROUNDS: usize = 64;

/// Plans and checks, while the clusters go on being followed.
///
/// # Errors
/// Why it cannot be done.
pub async fn prepare(fleet: &mut Fleet, wanted: &Wanted, waiting: bool) -> Result<Preview, Stop> {
    let mut plan = known(fleet, |s| wanted.plan(s.store, s.facts, s.now)).await?;
    if !waiting {
        plan.without_waiting();
    }
    let clients = fleet.clients();
    let gate = fleet.guardrails.gate(&plan, now());
    let checked = fleet.alongside(async { preflight(&plan, &clients).await }).await;
    Ok(Preview::new(plan, checked, gate))
}

/// What a look at the snapshot gives, once everything that it asks for was fetched.
///
/// # Errors
/// Why there is nothing to see.
pub async fn known<T>(fleet: &mut Fleet, look: impl Fn(&Snapshot) -> Result<T, Stop>) -> Result<T, Stop> {
    let mut facts = Facts::default();
    for _ in 0..ROUNDS {
        match look(&Snapshot { store: &fleet.store, facts: &facts, now: now() }) {
            Err(Stop::Needs(needs)) => {
                let clients = fleet.clients();
                facts = fleet
                    .alongside(async move {
                        facts.fetch(needs, &clients).await;
                        facts
                    })
                    .await;
            }
            seen => return seen,
        }
    }
    Err(Stop::refuse("failed", "it asks for more and more"))
}

/// A job that was started.
pub struct Started {
    pub id: JobId,
    pub control: watch::Sender<Control>,
    pub task: JoinHandle<Outcome>,
}

/// Begins to carry out a confirmed plan. Needs a tokio runtime.
pub fn start(
    fleet: &Fleet,
    state: &StateDir,
    confirmed: Confirmed,
    resumes: Option<JobId>,
    actor: Actor,
    progress: mpsc::UnboundedSender<Progress>,
) -> Started {
    let (control, told) = watch::channel(Control::Run);
    let id = new_job_id();
    let executor =
        Executor { state: state.clone(), actor, clients: fleet.clients(), sightings: fleet.sightings.clone(), progress, control: told };
    let task = tokio::spawn(execute(confirmed, id.clone(), resumes, executor));
    Started { id, control, task }
}

/// Who acts: the user and machine as the system has them, the connection as ssh has it, the users that the clusters see.
pub fn actor(ui: &str, preview: &Preview) -> Actor {
    let var = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    let named = |id: &crate::model::ClusterId| preview.plan.clusters.iter().find(|c| c.id == *id).map(|c| c.name.clone());
    Actor {
        user: var("SUDO_USER")
            .or_else(|| var("USER"))
            .or_else(|| var("LOGNAME"))
            .unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw())),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        ssh_from: var("SSH_CONNECTION").and_then(|c| c.split(' ').next().map(str::to_owned)),
        ui: ui.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cluster_users: preview.preflight.users.iter().filter_map(|(id, user)| Some((named(id)?, user.clone()))).collect(),
    }
}
