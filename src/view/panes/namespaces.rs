//! The namespaces tile.

use super::Pane;
use crate::table::Subject;

pub static PANE: Pane =
    Pane { subject: Subject::Namespaces, short: "NS", tile: &["cluster", "name", "status"], bad: |_, _| 0, bad_word: "bad", head: None };
