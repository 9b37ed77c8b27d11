//! Which rules judge nothing in which cluster, and why: kept, since panes ask at every frame.

use super::Engine;
use crate::model::ClusterId;
use crate::store::{Store, Touched};

/// What is kept of one cluster.
#[derive(Default)]
pub(super) struct Blind {
    /// Rules and why, in the order of the rules.
    rules: Vec<(&'static str, String)>,
    /// When it was looked at (unix seconds / 60).
    minute: i64,
}

impl Engine {
    /// The rules that judge nothing in a cluster, and why, as of the last change of its state or a minute ago. None of one that does not answer:
    /// what is found there is old as a whole.
    pub fn blind(&self, cluster: ClusterId) -> &[(&'static str, String)] {
        self.room(cluster).map_or(&[], |room| &room.blind.rules)
    }

    /// Looks again at clusters whose state changed, and at all once a minute. `now` in unix seconds.
    pub(super) fn look_blind(&mut self, store: &Store, touched: &[Touched], now: i64) {
        let minute = now.div_euclid(60);
        for cluster in store.clusters() {
            let changed = touched.iter().any(|t| matches!(t, Touched::Cluster(id) if *id == cluster.id));
            let at = usize::from(cluster.id.0);
            if !changed && self.rooms[at].blind.minute == minute {
                continue;
            }
            let all = self.rules().all().iter().filter(|_| cluster.state.live());
            let rules = all.filter_map(|r| self.not_evaluated(r, cluster).map(|why| (r.id, why))).collect();
            self.rooms[at].blind = Blind { rules, minute };
        }
    }
}

/// `lab-1, lab-2: no prometheus; lab-3: ...`: what several clusters have in common is said once. `not`: clusters and why.
pub fn words(not: &[(String, String)]) -> String {
    let mut whys: Vec<(&str, Vec<&str>)> = Vec::new();
    for (cluster, why) in not {
        match whys.iter_mut().find(|(w, _)| w == why) {
            Some((_, clusters)) => clusters.push(cluster),
            None => whys.push((why, vec![cluster])),
        }
    }
    whys.iter().map(|(why, clusters)| format!("{}: {why}", clusters.join(", "))).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::Fleet;
    use crate::model::{ConnectionState, Delta, Kind, KindState};

    #[test]
    fn rules_without_their_data_are_kept_by_cluster_and_none_of_one_that_is_down() {
        let mut fleet = Fleet::default();
        let why = |fleet: &Fleet, rule: &str| fleet.engine.blind(ClusterId(0)).iter().find(|(r, _)| *r == rule).map(|(_, why)| why.clone());
        assert_eq!(why(&fleet, "node-not-ready").as_deref(), Some("nodes are not read yet"));
        assert_eq!(why(&fleet, "cluster-unreachable"), None);
        fleet.delta(0, Delta::KindState(Kind::Node, KindState::Forbidden { missing: "list nodes".into() }));
        assert_eq!(why(&fleet, "node-not-ready").as_deref(), Some("no right to list nodes"));
        fleet.delta(0, Delta::KindState(Kind::Node, KindState::Live));
        assert_eq!(why(&fleet, "node-not-ready"), None);
        fleet.delta(0, Delta::State(ConnectionState::Unreachable { last: None, reason: "dial timeout".into() }));
        assert_eq!(fleet.engine.blind(ClusterId(0)), []);
        assert!(!fleet.engine.blind(ClusterId(1)).is_empty());
    }

    #[test]
    fn what_clusters_have_in_common_is_said_once() {
        let of = |c: &str, why: &str| (c.to_owned(), why.to_owned());
        let not = [of("a", "no etcd"), of("b", "no prometheus"), of("c", "no etcd")];
        assert_eq!(words(&not), "a, c: no etcd; b: no prometheus");
    }
}
