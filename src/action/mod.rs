//! Every change there is: planned, checked, confirmed, carried out, written down.
//!
//! ```text
//! Request ─▶ plan ─▶ Plan ─▶ preflight ─▶ Preview ─▶ confirm ─▶ Confirmed ─▶ execute ─▶ cluster
//!   (pure; asks for facts)      (reads,        (guard)              │  journal first
//!                                dry runs)                          └─▶ Progress
//! ```
//!
//! A verb is a file in `verbs/` and a line in [`verbs::PLANNERS`]; its name, parameters and docs are its line in `model::verb`. Keys,
//! palette, command line, runbooks and remedies all pass here, so that nobody can skip a check: [`execute`] takes only a [`Confirmed`],
//! which only [`confirm`] makes, and nothing is sent before its intent is on disk. What is on the screen is `view`'s.

mod acts;
pub mod blast;
mod clients;
pub mod diff;
pub mod etcd;
mod execute;
mod guard;
mod ledger;
mod preflight;
pub mod rollout;
pub mod runbook;
mod sightings;
pub mod silences;
mod silencing;
pub mod snapfile;
mod snapshot;
mod undo;
pub mod verbs;
mod wanted;

pub use acts::refused;
pub use blast::scaled_object;
pub use clients::{Clients, ClusterClients, EtcdSides};
pub use execute::{Executor, execute};
pub use guard::{Ask, Confirmation, Confirmed, Gate, Guardrails, Refused, Rules, confirm};
pub use ledger::{Ledger, Past, TERMINAL_LOST, TOLD_TO_END, new_job_id};
pub use preflight::{Check, Finding, Preflight, Preview, preflight};
pub use sightings::Sightings;
pub use snapshot::{Facts, Need, Request, Snapshot, Stop};
pub use undo::{remaining, undo};
pub use wanted::Wanted;

use crate::model::{Plan, PlanCluster};

/// Makes a plan: pure, from what is known. Where more has to be known, it says what ([`Stop::Needs`]): fetch it into the facts and ask again.
///
/// # Errors
/// What is missing, or why it cannot be done.
pub fn plan(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let info = request.verb.info();
    request.args.complete(info).map_err(|e| Stop::refuse("usage", e.message).with_hint(e.hint))?;
    if request.targets.is_empty() && !info.on.alone() {
        return Err(Stop::refuse("usage", format!("{} needs an object: {}", info.name, info.on.words())));
    }
    for target in &request.targets {
        let fits = match target.resource.known() {
            _ if info.on == crate::model::verb::On::Nothing => true,
            Some(kind) => info.on.takes(kind),
            None => info.on.takes_other(&target.resource),
        };
        if !fits {
            return Err(Stop::refuse("usage", format!("{} is for {}, not for a {}", info.name, info.on.words(), target.resource.kind)));
        }
    }
    let mut plan = verbs::planner(request.verb)(snapshot, request)?;
    if plan.targets.is_empty() {
        plan.targets.clone_from(&request.targets);
    }
    name_clusters(snapshot, &mut plan);
    Ok(plan)
}

/// Says in the plan which clusters it touches, so that the guardrails of each count and the job can be gone on with in another run.
fn name_clusters(snapshot: &Snapshot, plan: &mut Plan) {
    let named = |id| {
        let c = snapshot.store.cluster(id)?;
        let context = c.info.contexts.first().map_or_else(String::new, ToString::to_string);
        Some(PlanCluster { id, name: c.info.name.to_string(), context, server: c.info.server.to_string(), uid: snapshot.cluster_uid(id) })
    };
    plan.clusters = plan.touched().into_iter().filter_map(named).collect();
}
