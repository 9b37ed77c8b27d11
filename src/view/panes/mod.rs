//! The register of panes: one file each, a line in [`PANES`].
//!
//! A pane says what its tile shows and what stands in the title; the columns are `table`'s.

mod alerts;
mod backups;
mod claims;
mod clusters;
mod etcd;
mod events;
mod findings;
mod hpa;
mod ingresses;
mod locations;
mod namespaces;
mod nodes;
mod pdb;
mod pods;
mod restores;
mod schedules;
mod services;
mod signals;
mod silences;
mod workloads;

use crate::inspect::Severity;
use crate::model::ClusterId;
use crate::store::{Cluster, Store};
use crate::table::Subject;

/// How a subject looks as a tile of the cockpit.
pub struct Pane {
    pub subject: Subject,
    /// What the one-line summary of a small screen calls it.
    pub short: &'static str,
    /// Columns of the tile, most important first.
    pub tile: &'static [&'static str],
    /// How many are bad in one cluster, now (unix seconds).
    pub bad: fn(&Cluster, i64) -> u32,
    /// What "bad" is called, after the number: `2 bad`, `3 block`.
    pub bad_word: &'static str,
    /// Lines over the rows, the most needed first: what the rows together mean, a line a cluster. `now` in unix seconds.
    pub head: Option<fn(&Store, i64) -> Vec<HeadLine>>,
}

/// What a pane says of one cluster over its rows.
#[derive(Clone, PartialEq, Debug)]
pub struct HeadLine {
    pub cluster: ClusterId,
    /// None: all is well.
    pub severity: Option<Severity>,
    /// Without the cluster's name.
    pub text: String,
}

/// Every pane with a tile.
pub static PANES: &[&Pane] = &[
    &clusters::PANE,
    &nodes::PANE,
    &pods::PANE,
    &workloads::PANE,
    &hpa::PANE,
    &pdb::PANE,
    &events::PANE,
    &namespaces::PANE,
    &claims::PANE,
    &services::PANE,
    &ingresses::PANE,
    &etcd::PANE,
    &alerts::PANE,
    &silences::PANE,
    &backups::PANE,
    &restores::PANE,
    &schedules::PANE,
    &locations::PANE,
    &signals::PANE,
    &findings::PANE,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pane_is_once_and_its_columns_exist() {
        let mut seen = std::collections::BTreeSet::new();
        for pane in PANES {
            assert!(seen.insert(pane.subject), "{:?} is there twice", pane.subject);
            for id in pane.tile {
                assert!(pane.subject.columns().iter().any(|c| c.id == *id), "{}: no column {id}", pane.subject.name());
            }
        }
    }
}
