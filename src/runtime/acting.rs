//! From a request to a job: plans with facts fetched as they are asked for, preflight, and the executor beside the loop. The same for
//! the cockpit and the command line.

use super::{Fleet, now};
use crate::action::{Confirmed, Executor, Facts, Preview, Snapshot, Stop, Wanted, execute, new_job_id, preflight};
use crate::model::{Actor, Control, JobId, Outcome, Progress, VerbId};
use crate::state::StateDir;
use std::io::Read as _;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Rounds of facts at most: who still asks then asks for ever. A runbook asks anew for each of its steps.
pub(super) const ROUNDS: usize = 64;

/// Larger manifests are refused (bytes), as the API server does.
const MANIFEST: u64 = 3 << 20;
/// A report of a large cluster is no object (bytes).
const REPORT: u64 = 128 << 20;

/// Reads a text that an act names: of a file, or with `-` from standard input.
///
/// # Errors
/// In words, when it cannot be read, is larger than the verb takes, or is no text: nothing of it is taken then.
pub fn document(verb: VerbId, file: &str) -> Result<String, String> {
    let most = if verb == VerbId::Publish { REPORT } else { MANIFEST };
    let failed = |e: std::io::Error| format!("{file}: {e}");
    match file {
        "-" => text(std::io::stdin(), most),
        _ => text(std::fs::File::open(file).map_err(failed)?, most),
    }
    .map_err(|why| format!("{file}: {why}"))
}

fn text(from: impl std::io::Read, most: u64) -> Result<String, String> {
    let mut bytes = Vec::new();
    from.take(most + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 > most {
        return Err(format!("larger than {} MiB, and nothing of it is taken", most >> 20));
    }
    String::from_utf8(bytes).map_err(|_| "no text in UTF-8".to_owned())
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_an_error_and_no_part_of_it() {
        let read = |text: &str| super::text(text.as_bytes(), 8);
        assert_eq!(read("12345678").as_deref(), Ok("12345678"));
        assert!(read("123456789").unwrap_err().starts_with("larger than "));
        assert!(read("1234567ä").unwrap_err().starts_with("larger than "), "a character is not cut either");
        assert!(super::text(&b"\xff"[..], 8).is_err());
    }

    #[test]
    fn a_report_may_be_larger_than_a_manifest() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("large").display().to_string();
        std::fs::write(&file, " ".repeat((MANIFEST + 1) as usize)).unwrap();
        assert_eq!(document(VerbId::Apply, &file).unwrap_err(), format!("{file}: larger than 3 MiB, and nothing of it is taken"));
        assert_eq!(document(VerbId::Publish, &file).map(|text| text.len() as u64), Ok(MANIFEST + 1));
    }
}
