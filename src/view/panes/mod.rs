//! The register of panes: one file each, a line in [`PANES`].
//!
//! A pane says what its tile shows and what stands in the title; the columns are `table`'s.

mod clusters;
mod events;
mod hpa;
mod namespaces;
mod nodes;
mod pdb;
mod pods;
mod workloads;

use crate::store::Counts;
use crate::table::Subject;

/// How a subject looks as a tile of the cockpit.
pub struct Pane {
    pub subject: Subject,
    /// What the one-line summary of a small screen calls it.
    pub short: &'static str,
    /// Columns of the tile, most important first.
    pub tile: &'static [&'static str],
    /// How many are bad in one cluster.
    pub bad: fn(&Counts) -> u32,
    /// What "bad" is called, after the number: `2 bad`, `3 block`.
    pub bad_word: &'static str,
}

/// Every pane with a tile.
pub static PANES: &[&Pane] =
    &[&clusters::PANE, &nodes::PANE, &pods::PANE, &workloads::PANE, &hpa::PANE, &pdb::PANE, &events::PANE, &namespaces::PANE];

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
