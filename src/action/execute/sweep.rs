//! What comes to a node while it is emptied: a pod that was bound between the plan's list and the cordon is in no step, and is evicted too.
//!
//! The node's pods are listed again at once, then ever more seldom while its lane goes on, and until a look after its end finds none.

use super::super::verbs::drain::{newcomer, swept};
use super::{DEADLINE, Run, Why, unix};
use crate::model::{Control, JobStep, Progress, StepState, Sweep};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Between two looks, growing.
const LOOKS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

impl Run {
    /// The stages of a lane that empties a node, and whoever comes meanwhile: which step failed.
    pub(super) async fn swept(self: &Arc<Self>, stages: BTreeMap<u16, Vec<usize>>, sweep: &Sweep) -> Option<String> {
        let deadline = self.plan.timeout.map(|s| Instant::now() + Duration::from_secs(s));
        let mut known: HashSet<String> = self.plan.steps.iter().filter_map(|s| s.target.uid.clone()).collect();
        let lane = self.lane(stages, None);
        tokio::pin!(lane);
        let (mut more, mut ended, mut pause) = (JoinSet::new(), None, LOOKS.0);
        loop {
            let came = self.look_again(sweep, deadline, &mut known, &mut more).await;
            match &ended {
                None => {
                    tokio::select! {
                        failed = &mut lane => ended = Some(failed),
                        () = tokio::time::sleep(pause) => pause = (pause * 2).min(LOOKS.1),
                    }
                }
                Some(failed) => {
                    let mut failed: Option<String> = failed.clone();
                    while let Some(done) = more.join_next().await {
                        failed = failed.or(done.ok().flatten());
                    }
                    if !came || failed.is_some() {
                        return failed;
                    }
                }
            }
        }
    }

    /// Lists the node's pods, and begins to evict those that are in no step: whether there are any.
    async fn look_again(
        self: &Arc<Self>,
        sweep: &Sweep,
        deadline: Option<Instant>,
        known: &mut HashSet<String>,
        more: &mut JoinSet<Option<String>>,
    ) -> bool {
        if !matches!(*self.control.borrow(), Control::Run) || deadline.is_some_and(|d| Instant::now() >= d) {
            return false;
        }
        let Ok(client) = self.clients.read(sweep.node.cluster) else { return false };
        let list = match client.get_json(&swept(sweep)).await {
            Ok(list) => list,
            Err(e) => {
                tracing::warn!("the pods of {} cannot be listed again: {}", sweep.node.name, e.reason());
                return false;
            }
        };
        let mut came = false;
        for pod in list["items"].as_array().into_iter().flatten() {
            let uid = pod["metadata"]["uid"].as_str().map(str::to_owned).unwrap_or_default();
            if known.contains(&uid) {
                continue;
            }
            let Some((step, why_not)) = newcomer(sweep, pod) else { continue };
            known.insert(uid);
            came = true;
            let at = self.add(step.clone());
            if let Some(why) = why_not {
                self.end(at, Err((Why::Blocked, why)));
                more.spawn(std::future::ready(Some(format!("\"{}\" did not succeed", step.text))));
                continue;
            }
            let run = self.clone();
            more.spawn(DEADLINE.scope(deadline, async move {
                let ended = match run.turn().await {
                    Ok(()) => {
                        run.tell(at, StepState::Running, None);
                        run.evict(at, &step).await
                    }
                    Err(stopped) => Err(stopped),
                };
                let failed = ended.is_err().then(|| format!("\"{}\" did not succeed", step.text));
                run.end(at, ended);
                failed
            }));
        }
        came
    }

    /// Its number.
    fn add(&self, step: crate::model::Step) -> usize {
        let shown = JobStep {
            text: step.text.clone(),
            cluster: step.target.cluster,
            part: step.part.clone(),
            waits: false,
            state: StepState::Waiting,
            since: unix(),
        };
        let mut added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
        added.push(step);
        // Told under the lock: whoever shows it counts along.
        let _ = self.progress.send(Progress::Added { job: self.id.clone(), step: Box::new(shown) });
        self.plan.steps.len() + added.len() - 1
    }
}
