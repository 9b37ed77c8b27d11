//! How pods ended that were deleted: what it costs to replace them, and which had to make room.
//!
//! Kept from what was seen last of such a pod; of one that went without a word nothing is known. A workload has at most 64 of them, a cluster 4,096
//! (160 KiB).

use crate::model::{ContainerState, Pod, Tri, Uid, meta};
use hashbrown::HashMap;
use std::collections::VecDeque;

/// Seconds for which anything is kept.
const KEEP: i64 = 86_400;
/// Of one workload.
const OF_ONE: usize = 64;
const ALL: usize = 4096;
/// Exit codes of SIGKILL and SIGTERM.
const KILLED: i32 = 137;
const TERMINATED: i32 = 143;

/// A pod that was deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stop {
    /// Unix seconds.
    pub at: i64,
    /// Those whose end was seen, ...
    pub ended: u16,
    /// ... that were killed when their grace period was over, ...
    pub killed: u16,
    /// ... and that SIGTERM ended at once: nothing handles it.
    pub unhandled: u16,
    /// It had to make room for a pod of higher priority.
    pub preempted: bool,
}

/// The pods of a cluster that were deleted within the last day.
#[derive(Default, Debug)]
pub struct Stops {
    /// By the workload above them.
    of: HashMap<Uid, VecDeque<Stop>>,
    kept: usize,
}

impl Stops {
    /// Those of a workload, oldest first.
    pub fn of(&self, workload: Uid) -> impl Iterator<Item = &Stop> {
        self.of.get(&workload).into_iter().flatten()
    }

    /// A pod of a workload is gone, and was like this.
    pub(super) fn note(&mut self, workload: Uid, pod: &Pod, now: i64) {
        // One that fell was not replaced, it failed.
        if pod.meta.deleting.is_none() {
            return;
        }
        let said = meta::condition(&pod.conditions, "DisruptionTarget").filter(|c| c.status == Tri::True);
        let preempted = said.and_then(|c| c.reason.as_deref()).is_some_and(|r| r == "PreemptionByScheduler");
        let mut stop = Stop { at: now, ended: 0, killed: 0, unhandled: 0, preempted };
        for container in &pod.containers {
            let ContainerState::Terminated(end) = &container.state else { continue };
            // For want of memory it is killed before anybody asks it to stop.
            if end.reason.as_deref() == Some("OOMKilled") {
                continue;
            }
            stop.ended += 1;
            stop.killed += u16::from(end.exit_code == KILLED);
            stop.unhandled += u16::from(end.exit_code == TERMINATED);
        }
        if stop.ended == 0 && !preempted {
            return;
        }
        let all = self.of.entry(workload).or_default();
        if all.len() >= OF_ONE {
            all.pop_front();
            self.kept -= 1;
        }
        all.push_back(stop);
        self.kept += 1;
        let mut keep = KEEP;
        while self.kept > ALL && keep > 0 {
            self.forget(now - keep);
            keep /= 2;
        }
    }

    fn forget(&mut self, until: i64) {
        self.of.retain(|_, all| {
            all.retain(|s| s.at > until);
            !all.is_empty()
        });
        self.kept = self.of.values().map(VecDeque::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Interner, Kind, Object, decode_json};
    use serde_json::{Value, json};

    fn pod(deleting: bool, states: &[Value]) -> Pod {
        let mut metadata = json!({"name": "p", "namespace": "pay"});
        if deleting {
            metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        let status = |(n, state): (usize, &Value)| json!({"name": format!("c{n}"), "state": state});
        let statuses: Vec<Value> = states.iter().enumerate().map(status).collect();
        let pod = json!({"metadata": metadata, "spec": {"containers": []}, "status": {"phase": "Running", "containerStatuses": statuses}});
        match decode_json(Kind::Pod, pod.to_string().as_bytes(), &mut Interner::default()) {
            Ok(Object::Pod(pod)) => (*pod).clone(),
            other => panic!("{other:?}"),
        }
    }

    fn condition(kind: &str, reason: &str) -> crate::model::Condition {
        crate::model::Condition { kind: kind.into(), status: Tri::True, reason: Some(reason.into()), message: None, since: None }
    }

    fn ended(code: i32, reason: &str) -> Value {
        json!({"terminated": {"exitCode": code, "reason": reason}})
    }

    #[test]
    fn what_ended_and_how_and_no_more_than_is_needed() {
        let (mut stops, one) = (Stops::default(), Uid(1));
        let states = [ended(137, "Error"), ended(143, "Error"), ended(0, "Completed"), ended(137, "OOMKilled"), json!({"running": {}})];
        stops.note(one, &pod(true, &states), 1000);
        stops.note(one, &pod(false, &[ended(137, "Error")]), 1010);
        stops.note(one, &pod(true, &[json!({"running": {}})]), 1020);
        assert_eq!(stops.of(one).copied().collect::<Vec<_>>(), [Stop { at: 1000, ended: 3, killed: 1, unhandled: 1, preempted: false }]);
        assert_eq!(stops.of(Uid(2)).count(), 0);
        let mut victim = pod(true, &[]);
        victim.conditions = [condition("DisruptionTarget", "PreemptionByScheduler")].into();
        stops.note(Uid(2), &victim, 1000);
        victim.conditions = [condition("DisruptionTarget", "EvictionByEvictionAPI")].into();
        stops.note(Uid(2), &victim, 1010);
        assert_eq!(stops.of(Uid(2)).map(|s| (s.at, s.ended, s.preempted)).collect::<Vec<_>>(), [(1000, 0, true)]);
        let gone = pod(true, &[ended(0, "Completed")]);
        for n in 0..200 {
            stops.note(one, &gone, 2000 + n);
        }
        assert_eq!((stops.of(one).count(), stops.kept), (OF_ONE, OF_ONE + 1));
        for n in 0..10_000 {
            stops.note(Uid(100 + n), &gone, 3000 + i64::try_from(n).unwrap());
        }
        assert!(stops.kept <= ALL && stops.of(Uid(10_099)).count() == 1, "{}", stops.kept);
    }
    #[test]
    fn the_newest_are_kept_and_a_condition_must_be_true() {
        let (mut stops, one) = (Stops::default(), Uid(1));
        let gone = pod(true, &[ended(0, "Completed")]);
        for n in 0..100 {
            stops.note(one, &gone, 2000 + n);
        }
        assert_eq!((stops.of(one).next().map(|s| s.at), stops.of(one).last().map(|s| s.at)), (Some(2036), Some(2099)));
        let mut spared = pod(true, &[]);
        spared.conditions =
            [crate::model::Condition { status: Tri::False, ..condition("DisruptionTarget", "PreemptionByScheduler") }].into();
        stops.note(Uid(2), &spared, 3000);
        assert_eq!(stops.of(Uid(2)).count(), 0);
    }
}
