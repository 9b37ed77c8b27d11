//! A snapshot is given to a program of this machine, which brings it to where it is safe. The snapshot stays, however that ends.

use super::{Ended, Run, Why};
use crate::client::run;
use crate::model::{HandTo, StepState};
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// How often it is looked whether the job is to stop.
const LOOK: Duration = Duration::from_millis(300);

impl Run {
    pub(super) async fn hand(&self, at: usize, hand: &HandTo) -> Ended {
        let argv = hand.argv();
        let program = hand.command.first().cloned().unwrap_or_default();
        let stays = |why: String| format!("{program}: {why}; the snapshot is in {}", hand.file);
        if !Path::new(&hand.file).is_file() {
            return Err((Why::Failed, format!("{program} was not run: there is no {}", hand.file)));
        }
        self.tell(at, StepState::Waits(format!("{program} runs, for {} s at most", hand.within)), None);
        let begun = Instant::now();
        let until = begun + Duration::from_secs(hand.within);
        let mut running = std::pin::pin!(run(&argv));
        let ran = loop {
            tokio::select! {
                ran = &mut running => break ran,
                () = tokio::time::sleep(LOOK) => {}
            }
            // Whoever leaves here ends it, with what it has started.
            if Instant::now() >= until {
                return Err((Why::Failed, stays(format!("ended after {} s, the limit", hand.within))));
            }
            if let Some(why) = self.told_to_stop() {
                return Err((Why::Stopped, stays(format!("ended: {why}"))));
            }
        };
        let ran = ran.map_err(|e| (Why::Failed, stays(format!("cannot be run: {e}"))))?;
        let took = format!("{} in {:.1} s", ran.status, begun.elapsed().as_secs_f32());
        if ran.status.success() {
            return Ok(format!("{program}: {took}"));
        }
        let said = if ran.said.is_empty() { String::new() } else { format!(": {}", ran.said) };
        Err((Why::Failed, stays(format!("{took}{said}"))))
    }
}
