//! What is to be judged later, and what is left of what is to be judged now: a list brings hundreds of ReplicaSets, a part that the API server
//! tells of itself at last makes thousands of workloads due at once, and who presses a key then does not wait for all of them.

use super::{Engine, Subject};
use crate::model::{ClusterId, Kind, Object};
use crate::store::Store;
use hashbrown::HashSet;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Room that is kept for what changed.
const CHANGES: usize = 256;

impl Engine {
    /// Judges a cluster, or an object if it is still there.
    pub(super) fn again(&mut self, store: &Store, subject: Subject, now: i64) {
        let Some(cluster) = store.cluster(subject.cluster) else { return };
        match subject.kind {
            None => self.judge(store, cluster, None, now),
            Some(kind) => {
                if let Some((_, object)) = store.find(subject.cluster, kind, subject.uid) {
                    self.judge(store, cluster, Some(object), now);
                }
            }
        }
    }

    /// Judges an object that changed, if it is still there, and says what follows from the change.
    fn changed(&mut self, store: &Store, subject: Subject, before: Option<&Object>, now: i64) {
        let Some((cluster, kind)) = store.cluster(subject.cluster).zip(subject.kind) else { return };
        let after = store.find(subject.cluster, kind, subject.uid).map(|(_, object)| object);
        match after {
            // They come by the hundred, and none follows from another.
            Some(_) if kind == Kind::Signal => _ = self.backlog.insert(subject),
            Some(object) => self.judge(store, cluster, Some(object), now),
            None => {}
        }
        let mut again = HashSet::new();
        self.follow(cluster, before, after, &mut again);
        self.backlog.extend(again);
    }

    /// Judges what was left to be judged, as long as `more`, which is asked after each, says so. A cluster is judged rule by rule: some of its
    /// rules look at all that is in it.
    pub(super) fn work(&mut self, store: &Store, now: i64, mut more: impl FnMut() -> bool) {
        loop {
            if let Some((subject, before)) = self.changes.pop_front() {
                self.changed(store, subject, before.as_ref(), now);
            } else if let Some((id, rule)) = self.parts.pop_first() {
                if let Some(cluster) = store.cluster(id) {
                    self.judge_cluster_by(rule, store, cluster, now);
                }
            } else if let Some(subject) = self.backlog.pop_first() {
                match store.cluster(subject.cluster).filter(|c| subject.kind.is_none() && !c.info.reported()) {
                    Some(cluster) => self.parts.extend(self.by_kind[Kind::ALL.len()].iter().map(|rule| (cluster.id, *rule))),
                    None => self.again(store, subject, now),
                }
            } else {
                // The first lists have left it long.
                self.changes.shrink_to(CHANGES);
                break;
            }
            if !more() {
                break;
            }
        }
    }

    /// Judges what asked to be judged by now.
    pub fn tick(&mut self, store: &Store, now: i64) {
        self.tick_some(store, now, || true);
    }

    /// Judges of it, and of what was left before, what it can until `more` says no. The rest stays due.
    pub fn tick_some(&mut self, store: &Store, now: i64, more: impl FnMut() -> bool) {
        self.come(store, now);
        self.work(store, now, more);
        for room in &mut self.rooms {
            let gone = room.lives.tick(now);
            room.news.extend(gone);
        }
        self.silence(store, now);
        self.settle(store, now);
        self.trim();
    }

    /// What asked to be judged by now is to be.
    fn come(&mut self, store: &Store, now: i64) {
        while let Some(Reverse((at, subject, rule))) = self.later.peek().copied() {
            if at > now {
                break;
            }
            self.later.pop();
            if self.asked.get(&(subject, rule)).is_some_and(|a| a.at == at) {
                self.backlog.insert(subject);
            }
        }
        while let Some((_, subject)) = self.ends.first().copied().filter(|(at, _)| *at <= now) {
            self.ends.pop_first();
            match store.cluster(subject.cluster).filter(|c| c.info.reported()) {
                Some(cluster) => self.take(store, cluster, now),
                None => _ = self.backlog.insert(subject),
            }
        }
    }

    /// When [`Engine::tick`] has something to do again (unix seconds); 0: now.
    pub fn next_due(&self) -> Option<i64> {
        if !self.changes.is_empty() || !self.backlog.is_empty() || !self.parts.is_empty() {
            return Some(0);
        }
        let ended = self.rooms.iter().filter_map(|r| r.lives.next()).chain(self.ends.first().map(|(at, _)| *at));
        self.later.peek().map(|Reverse((at, ..))| *at).into_iter().chain(ended).min()
    }

    /// The rules that see what they look for in a cluster, and cannot tell yet for how long: nothing but further looks dates it.
    pub fn waiting(&self, cluster: ClusterId) -> BTreeSet<&'static str> {
        let here = self.asked.iter().filter(|((subject, _), a)| subject.cluster == cluster && a.undated);
        here.map(|((_, rule), _)| self.thresholds.rules().all()[*rule].id).collect()
    }

    /// Whether a rule has asked to see it later.
    pub(super) fn waits(&self, subject: Subject) -> bool {
        let rules = subject.kind.map_or(Kind::ALL.len(), |k| k as usize);
        !self.asked.is_empty() && self.by_kind[rules].iter().any(|rule| self.asked.contains_key(&(subject, *rule)))
    }

    /// Drops what nobody waits for any more from the top, so that `next_due` is true.
    pub(super) fn trim(&mut self) {
        while let Some(Reverse((at, subject, rule))) = self.later.peek() {
            if self.asked.get(&(*subject, *rule)).is_some_and(|a| a.at == *at) {
                break;
            }
            self.later.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::inspect::fixture::Fleet;
    use crate::model::{ClusterId, Kind};
    use serde_json::json;

    /// Twenty Deployments of one replica that has been missing for a while: their hold is over at once.
    fn fleet() -> Fleet {
        let mut fleet = Fleet::default();
        let short = |n: usize| {
            json!({"metadata": {"name": format!("app-{n:02}"), "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"replicas": 3, "selector": {"matchLabels": {"app": n.to_string()}}},
                "status": {"replicas": 3, "readyReplicas": 1, "availableReplicas": 1, "updatedReplicas": 3, "observedGeneration": 1}})
        };
        fleet.put(Kind::Deployment, (0..20).map(short));
        fleet
    }

    fn short(fleet: &Fleet) -> usize {
        fleet.engine.findings().filter(|f| f.rule.id == "replicas-unavailable" && f.cluster == ClusterId(0)).count()
    }

    #[test]
    fn what_is_due_is_judged_by_and_by_where_somebody_waits() {
        let mut fleet = fleet();
        assert_eq!(short(&fleet), 0);
        fleet.now += 3600;
        let due = fleet.now;
        let (mut asked, mut all) = (0, Vec::new());
        while fleet.engine.next_due().is_some_and(|at| at <= due) {
            fleet.engine.tick_some(&fleet.store, due, || {
                asked += 1;
                false
            });
            all.push(short(&fleet));
            assert!(all.len() < 100, "it comes to an end: {all:?}");
        }
        assert_eq!(all, (1..=20).collect::<Vec<_>>(), "one at a time");
        assert_eq!(asked, 20);
        let whole = self::fleet().wait(3600).lines();
        assert_eq!(fleet.lines(), whole);
    }
}
