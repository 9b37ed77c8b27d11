//! What the tasks that ask services have in common: their handle, their way to the store, and how a failure is said.

use crate::client::ClientError;
use crate::model::{Batch, Change, ClusterId, Delta, Generation, Kind, Object, ServiceState, UsageList};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A service that is asked until this is dropped.
pub struct Handle(JoinHandle<()>);

impl Handle {
    pub(super) fn of(task: JoinHandle<()>) -> Self {
        Self(task)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Nobody takes deltas any more.
pub(super) struct Closed;

/// Tells of one cluster. Services have no generations: one task tells of them, in order.
pub(super) async fn send(tx: &mpsc::Sender<Batch>, cluster: ClusterId, delta: Delta) -> Result<(), Closed> {
    tx.send(Batch { cluster, generation: Generation(0), delta }).await.map_err(|_| Closed)
}

/// From so many on, use is told in parts: between two of them a key is looked at.
const PART: usize = 100;

/// What nodes or pods use.
pub(super) async fn usage(tx: &mpsc::Sender<Batch>, cluster: ClusterId, list: UsageList) -> Result<(), Closed> {
    let UsageList { kind, namespace, mut rows } = list;
    while rows.len() > PART {
        let part = UsageList { kind, namespace: namespace.clone(), rows: rows.split_off(rows.len() - PART) };
        send(tx, cluster, Delta::UsagePart(part)).await?;
    }
    send(tx, cluster, Delta::Usage(UsageList { kind, namespace, rows })).await
}

/// All rows of a kind: what is not among them is gone.
pub(super) async fn list(
    tx: &mpsc::Sender<Batch>,
    cluster: ClusterId,
    kind: Kind,
    rows: impl Iterator<Item = Object>,
) -> Result<(), Closed> {
    send(tx, cluster, Delta::ListBegin { kind, namespace: None }).await?;
    send(tx, cluster, Delta::Rows { kind, changes: rows.map(Change::Upsert).collect() }).await?;
    send(tx, cluster, Delta::ListEnd { kind, namespace: None }).await
}

/// How a service stands that does not answer as it should. `answered`: it did so once.
pub(super) fn failed(answered: bool, error: &ClientError) -> ServiceState {
    let words = error.words();
    match error {
        _ if answered => ServiceState::Stale { reason: words.into() },
        ClientError::Forbidden { .. } => ServiceState::Forbidden { missing: words.strip_prefix("may not ").unwrap_or(&words).into() },
        ClientError::Unauthorized { .. } => ServiceState::Forbidden { missing: format!("other credentials: {words}").into() },
        _ => ServiceState::Failing { reason: words.into() },
    }
}
