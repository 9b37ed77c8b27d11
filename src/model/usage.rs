//! What nodes and pods use now, as metrics tell it: a side table of the store, for rows that are there already.

use super::{Kind, Str, Time};

/// What one node or pod uses. What is not known is none, never 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Millicores.
    pub cpu_m: Option<i64>,
    /// Working set, bytes.
    pub memory: Option<i64>,
    /// When it was measured.
    pub at: Option<Time>,
}

/// All that is known of a kind now: what it does not name is no longer known.
#[derive(Clone, Debug)]
pub struct UsageList {
    /// Node or Pod.
    pub kind: Kind,
    /// The namespace that it speaks of; none: all.
    pub namespace: Option<Str>,
    pub rows: Vec<UsageRow>,
}

/// The use of one object.
#[derive(Clone, Debug)]
pub struct UsageRow {
    /// Empty for nodes.
    pub namespace: Str,
    pub name: Str,
    pub usage: Usage,
}
