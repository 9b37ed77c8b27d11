//! The disruption budgets tile.

use super::Pane;
use crate::table::Subject;

pub static PANE: Pane = Pane {
    subject: Subject::Pdb,
    short: "PDB",
    tile: &["cluster", "name", "disruptions_allowed", "message"],
    bad: |c, _| c.counts.pdbs_zero,
    bad_word: "block",
    head: None,
};
