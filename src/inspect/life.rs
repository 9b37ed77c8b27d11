//! The life of findings: when each was first seen, how often it came and went, and that it was there when it is gone.

use super::Finding;
use super::incident::acute;
use crate::model::{Change, Explains, FindingRow, FindingState, Object, Str, Time, Uid};
use crate::store::Cluster;
use hashbrown::HashMap;
use std::sync::Arc;

/// Seconds for which what ended is still told, and within which what comes and goes flaps.
const MEMORY: i64 = 3600;
/// From this many beginnings within [`MEMORY`] on, a finding flaps.
const FLAPS: u32 = 3;

/// One finding's life.
struct Life {
    row: Arc<FindingRow>,
    /// When it began, each time within [`MEMORY`]; the last is of now.
    begun: Vec<i64>,
}

/// The lives of one cluster's findings, by rule and object.
#[derive(Default)]
pub(super) struct Lives {
    all: HashMap<(Uid, &'static str), Life>,
    /// When the next of those that ended is forgotten (unix seconds).
    next: Option<i64>,
}

impl Lives {
    /// What was found at an object is another thing now; the rows that follow.
    pub fn change(
        &mut self,
        cluster: &Cluster,
        object: Option<&Object>,
        uid: Uid,
        old: &[Finding],
        new: &[Finding],
        now: i64,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        for gone in old.iter().filter(|o| new.iter().all(|n| n.rule != o.rule)) {
            let Some(life) = self.all.get_mut(&(uid, gone.rule.id)) else { continue };
            let ended = FindingRow { state: FindingState::Resolved, resolved: Time::from_secs(now), explains: None, ..(*life.row).clone() };
            life.row = Arc::new(ended);
            let end = now + MEMORY;
            self.next = Some(self.next.map_or(end, |n| n.min(end)));
            changes.push(Change::Upsert(Object::Finding(life.row.clone())));
        }
        for finding in new.iter().filter(|n| !old.contains(n)) {
            let key = (uid, finding.rule.id);
            let before = self.all.remove(&key);
            let again = old.iter().any(|o| o.rule == finding.rule);
            let mut begun = before.as_ref().map(|l| l.begun.clone()).unwrap_or_default();
            begun.retain(|at| *at > now - MEMORY || again);
            if !again {
                begun.push(now);
            }
            let (cause, explains) =
                before.as_ref().filter(|_| again).map_or((None, None), |l| (l.row.cause.clone(), l.row.explains.clone()));
            let first = before.filter(|l| again || !l.begun.is_empty()).and_then(|l| l.row.meta.created);
            let mut row = row(cluster, object, finding, finding.first_seen.or(first).or(Time::from_secs(now)), &begun);
            // Who does not take part any more stands for itself.
            if acute(finding) {
                (row.cause, row.explains) = (cause, explains);
            }
            let row = Arc::new(row);
            changes.push(Change::Upsert(Object::Finding(row.clone())));
            self.all.insert(key, Life { row, begun });
        }
        changes
    }

    /// What explains a finding, and what it explains itself, is so now; the row that follows where that is news.
    pub fn explained(&mut self, uid: Uid, rule: &'static str, cause: &str, explains: Option<Explains>) -> Option<Change> {
        let life = self.all.get_mut(&(uid, rule))?;
        if life.row.cause.as_deref() == Some(cause) && life.row.explains == explains {
            return None;
        }
        life.row = Arc::new(FindingRow { cause: Some(cause.into()), explains, ..(*life.row).clone() });
        Some(Change::Upsert(Object::Finding(life.row.clone())))
    }

    /// Forgets what was found at an object, as if it had never been; not what the rules `but` have found.
    pub fn forget(&mut self, uid: Uid, but: impl Fn(&str) -> bool) -> Vec<Change> {
        let gone: Vec<_> = self.all.keys().filter(|(at, rule)| *at == uid && !but(rule)).copied().collect();
        gone.iter().filter_map(|key| self.all.remove(key)).map(|l| Change::Delete(l.row.meta.uid)).collect()
    }

    /// Forgets what ended long ago.
    pub fn tick(&mut self, now: i64) -> Vec<Change> {
        if self.next.is_none_or(|at| at > now) {
            return Vec::new();
        }
        let ended = |l: &Life| l.row.resolved.map(Time::secs);
        let over: Vec<_> = self.all.iter().filter(|(_, l)| ended(l).is_some_and(|at| at + MEMORY <= now)).map(|(k, _)| *k).collect();
        let gone = over.into_iter().filter_map(|key| self.all.remove(&key)).map(|l| Change::Delete(l.row.meta.uid)).collect();
        self.next = self.all.values().filter_map(ended).min().map(|at| at + MEMORY);
        gone
    }

    /// When [`Lives::tick`] has something to do (unix seconds).
    pub fn next(&self) -> Option<i64> {
        self.next
    }
}

fn row(cluster: &Cluster, object: Option<&Object>, finding: &Finding, first: Option<Time>, begun: &[i64]) -> FindingRow {
    let labels = object.map(|o| o.meta().labels.clone()).unwrap_or_default();
    // Of an object that a report names and that is not seen, its namespace is known.
    let named = || finding.place().map(|o| o.namespace.clone());
    let namespace = object.map(|o| o.meta().namespace.clone()).or_else(named).unwrap_or_else(|| Str::from(""));
    let uid = object.map(|o| o.meta().uid).unwrap_or_default();
    let top = object.map(|o| cluster.workload_of(o)).filter(|top| top.meta().uid != uid);
    let count = u32::try_from(begun.len()).unwrap_or(u32::MAX);
    FindingRow {
        meta: FindingRow::meta(finding.rule.id, finding.id().uid, namespace, labels, first),
        area: finding.rule.area.into(),
        tier: finding.rule.tier,
        severity: finding.severity,
        state: match () {
            () if finding.suppressed.is_some() => FindingState::Suppressed,
            () if count >= FLAPS => FindingState::Flapping,
            () => FindingState::Open,
        },
        about: finding.place().cloned(),
        top: top.map(|t| t.reference(cluster.id)),
        message: finding.message.as_str().into(),
        evidence: finding.evidence.clone().into(),
        remedy: finding.remedy.clone(),
        next_step: finding.next_step.as_str().into(),
        since: finding.since,
        resolved: None,
        begun: count,
        suppressed: finding.suppressed.as_deref().map(Into::into),
        cause: None,
        explains: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, NOW, node, uid};
    use crate::model::{ClusterId, Delta, Kind};

    /// Puts the node, tells the store what became of the findings, and gives the row of its finding.
    fn stands(fleet: &mut Fleet, ready: &str) -> Option<FindingRow> {
        fleet.put(Kind::Node, [node("n", ready, 9000)]);
        told(fleet)
    }

    fn told(fleet: &mut Fleet) -> Option<FindingRow> {
        for (cluster, changes) in fleet.engine.news() {
            fleet.delta(cluster.0, Delta::Rows { kind: Kind::Finding, changes });
        }
        let row = FindingRow::uid("node-not-ready", uid(Kind::Node, "n"));
        match fleet.store.find(ClusterId(0), Kind::Finding, row) {
            Some((_, Object::Finding(row))) => Some((**row).clone()),
            _ => None,
        }
    }

    #[test]
    fn a_finding_is_seen_resolved_forgotten_and_flaps() {
        let mut fleet = Fleet::default();
        assert_eq!(stands(&mut fleet, "True"), None);
        let row = stands(&mut fleet, "False").unwrap();
        assert_eq!((row.state, row.begun, row.meta.created), (FindingState::Open, 1, Time::from_secs(NOW)));
        assert_eq!(row.about.as_ref().map(|o| (o.kind, &*o.name)), Some((Kind::Node, "n")));
        assert_eq!(fleet.store.clusters()[0].counts.findings_bad, 1);
        fleet.wait(60);
        let row = stands(&mut fleet, "True").unwrap();
        assert_eq!((row.state, row.resolved), (FindingState::Resolved, Time::from_secs(NOW + 60)));
        assert_eq!(fleet.store.clusters()[0].counts.findings_bad, 0);
        // It comes and goes: the same one, since then.
        for began in 2..=3 {
            // Not so often that the node itself flaps.
            fleet.wait(960);
            let row = stands(&mut fleet, "False").unwrap();
            assert_eq!((row.begun, row.meta.created, row.resolved), (began, Time::from_secs(NOW), None));
            assert_eq!(row.state, if began < 3 { FindingState::Open } else { FindingState::Flapping });
            stands(&mut fleet, "True");
        }
        fleet.wait(MEMORY - 1);
        assert!(told(&mut fleet).is_some());
        fleet.wait(1);
        assert_eq!(told(&mut fleet), None, "it ended an hour ago");
        // What comes back then is a new one.
        let row = stands(&mut fleet, "False").unwrap();
        assert_eq!((row.begun, row.meta.created), (1, Time::from_secs(fleet.now)));
    }

    #[test]
    fn one_that_stays_keeps_its_first_sight_when_its_words_change() {
        let mut fleet = Fleet::default();
        stands(&mut fleet, "False");
        fleet.wait(7200);
        let row = stands(&mut fleet, "Unknown").unwrap();
        assert_eq!((row.begun, row.meta.created, row.state), (1, Time::from_secs(NOW), FindingState::Open));
        fleet.delete(Kind::Node, "n");
        assert_eq!(told(&mut fleet).unwrap().state, FindingState::Resolved, "its object is gone");
    }
}
