//! The register of columns, the filter language, sort and filter indices.
//!
//! A [`Subject`] is what a pane or `qd get` lists; its [`Column`]s are the JSON fields too. Owns the words for people and
//! scripts; reads the store, keeps no rows (a [`View`] keeps their places). Leaves drawing to `view`, judging causes to `inspect`.

mod bad;
mod column;
mod columns;
mod complete;
mod filter;
mod find;
mod group;
mod parse;
mod pattern;
mod subject;
mod value;
mod view;

pub use bad::{bad, stale};
pub use column::{Align, Column, Get, Severity, Show, Tone, Unit};
pub use columns::{SHOWN, percent, status_of};
pub use complete::{Completion, complete};
pub use filter::{Filter, FilterError};
pub use find::{Found, find_anywhere};
pub use group::{Group, groups_by, usual};
pub use subject::{Subject, Unknown};
pub use value::Value;
pub use view::{Sort, View};

use crate::model::{ClusterId, Object};
use crate::store::{Cluster, RowId, Store};

/// Which row; only while the store does not change (slots are used again).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RowKey {
    Cluster(ClusterId),
    Object(RowId),
}

impl RowKey {
    /// The cluster it is, or is in.
    pub fn cluster(self) -> ClusterId {
        match self {
            Self::Cluster(id) => id,
            Self::Object(id) => id.cluster,
        }
    }
}

/// A row of a table.
#[derive(Clone, Copy)]
pub enum Row<'a> {
    Cluster(&'a Cluster),
    Object(&'a Cluster, &'a Object),
}

impl<'a> Row<'a> {
    /// The row there, if it is still there.
    pub fn of(store: &'a Store, key: RowKey) -> Option<Self> {
        match key {
            RowKey::Cluster(id) => store.cluster(id).map(Self::Cluster),
            RowKey::Object(id) => store.row(id).map(|(c, o)| Self::Object(c, o)),
        }
    }
    /// The cluster it is, or is in.
    pub fn cluster(self) -> &'a Cluster {
        match self {
            Self::Cluster(c) | Self::Object(c, _) => c,
        }
    }
    /// The object, for all but clusters.
    pub fn object(self) -> Option<&'a Object> {
        match self {
            Self::Cluster(_) => None,
            Self::Object(_, o) => Some(o),
        }
    }
    /// The name; a cluster's is its display name.
    pub fn name(self) -> &'a str {
        match self {
            Self::Cluster(c) => &c.info.name,
            Self::Object(_, o) => &o.meta().name,
        }
    }
    /// Empty for what is cluster-wide.
    pub fn namespace(self) -> &'a str {
        self.object().map_or("", |o| &o.meta().namespace)
    }
}

/// What a cell may look at.
#[derive(Clone, Copy)]
pub struct Ctx<'a> {
    pub store: &'a Store,
    /// Unix seconds.
    pub now: i64,
}

/// The row as an item of `-o json`: every column but trends, in the columns' order.
pub fn item_json(ctx: &Ctx<'_>, subject: Subject, row: Row<'_>) -> serde_json::Map<String, serde_json::Value> {
    let columns = subject.columns().iter().filter(|c| c.unit != Unit::Trend);
    columns.map(|c| (c.id.to_owned(), c.value(ctx, row).json(ctx.now))).collect()
}

#[cfg(test)]
mod tests;
