//! The fold of deltas: every cluster's tables, connection state, capabilities, counts, series and history; and the jobs.
//!
//! No I/O; time is an argument (unix seconds). One thread owns it, everyone else reads `&Store`.

mod cluster;
mod counts;
mod elections;
mod endpoints;
mod findings;
mod history;
mod jobs;
mod series;
mod signals;
mod stops;
mod table;
mod uses;
mod velero;

pub use cluster::{Cluster, ClusterInfo, EtcdTrends, Judged, ServiceSlot};
pub use counts::{Counts, NodeUse};
pub use elections::{Election, Elections};
use findings::FindingsOf;
pub use history::{Course, Fall, History, Lost, NodeEvent, NodePast, Restart};
pub use jobs::Jobs;
pub use series::{MINUTES, Series};
use signals::SignalsOf;
pub use stops::{Stop, Stops};
pub use table::Table;
use uses::{Sums, Uses};
pub use uses::{UseCourse, UseSum};
pub use velero::Idle;

use crate::model::{Batch, ClusterId, Kind, Object, ObjectRef, Uid};

/// Where a row is. Slots are used again after a delete: keep a uid for anything that outlives a frame.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RowId {
    pub cluster: ClusterId,
    pub kind: Kind,
    pub slot: u32,
}

/// What an applied delta touched.
#[derive(Clone, Debug)]
pub enum Touched {
    /// A row appeared or changed in a projected field; with what it was.
    Row { id: RowId, before: Option<Object> },
    /// A row is gone.
    Gone { id: RowId, before: Object },
    /// The cluster's state, version, latency, counts of requests, a kind's state or a service's changed.
    Cluster(ClusterId),
    /// What nodes or pods use was told anew, or what Prometheus measures at them.
    Usage { cluster: ClusterId, kind: Kind },
}

/// Everything known of the fleet.
#[derive(Default)]
pub struct Store {
    clusters: Vec<Cluster>,
    /// What is being done, and was.
    pub jobs: Jobs,
}

impl Store {
    /// An empty fleet of these clusters; their ids are their places.
    pub fn new(clusters: Vec<ClusterInfo>, now: i64) -> Self {
        let cluster = |(n, info)| Cluster::new(ClusterId(u16::try_from(n).unwrap_or(u16::MAX)), info, now);
        Self { clusters: clusters.into_iter().enumerate().map(cluster).collect(), jobs: Jobs::default() }
    }

    /// As if that label told this cluster's alerts from others'.
    #[cfg(test)]
    pub fn share_alerts(&mut self, id: ClusterId, label: &str) {
        self.clusters[usize::from(id.0)].info.alert_label = Some(label.into());
    }

    /// As if snapshots of its etcd were given to that command.
    #[cfg(test)]
    pub fn hand_snapshots(&mut self, id: ClusterId, command: Vec<String>) {
        self.clusters[usize::from(id.0)].info.after_snapshot = (command, 60);
    }

    /// All clusters in fleet order.
    pub fn clusters(&self) -> &[Cluster] {
        &self.clusters
    }

    /// One cluster.
    pub fn cluster(&self, id: ClusterId) -> Option<&Cluster> {
        self.clusters.get(usize::from(id.0))
    }

    /// The cluster of that display name or context.
    pub fn cluster_named(&self, name: &str) -> Option<&Cluster> {
        self.clusters
            .iter()
            .find(|c| &*c.info.name == name)
            .or_else(|| self.clusters.iter().find(|c| c.info.contexts.iter().any(|x| &**x == name)))
    }

    /// The row there, if the slot is in use.
    pub fn row(&self, id: RowId) -> Option<(&Cluster, &Object)> {
        let cluster = self.cluster(id.cluster)?;
        Some((cluster, cluster.table(id.kind).get(id.slot)?))
    }

    /// An object by its uid.
    pub fn find(&self, cluster: ClusterId, kind: Kind, uid: Uid) -> Option<(RowId, &Object)> {
        let table = self.cluster(cluster)?.table(kind);
        let slot = table.slot_of(uid)?;
        Some((RowId { cluster, kind, slot }, table.get(slot)?))
    }

    /// The object that a reference names: by uid, else (re-created) by name.
    pub fn resolve(&self, reference: &ObjectRef) -> Option<&Object> {
        self.find(reference.cluster, reference.kind, reference.uid)
            .map(|(_, o)| o)
            .or_else(|| self.cluster(reference.cluster)?.named(reference.kind, &reference.namespace, &reference.name))
    }

    /// Folds one batch in; what it touched is added to `touched`. A batch of an older generation is late and
    /// dropped; what services tell has none.
    pub fn apply(&mut self, batch: Batch, now: i64, touched: &mut Vec<Touched>) {
        let Some(cluster) = self.clusters.get_mut(usize::from(batch.cluster.0)) else { return };
        if !batch.delta.of_service() {
            if batch.generation < cluster.generation {
                return;
            }
            cluster.generation = batch.generation;
        }
        cluster.apply(batch.delta, now, touched);
    }
}

#[cfg(test)]
mod tests;
