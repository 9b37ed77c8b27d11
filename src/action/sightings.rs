//! What the watches see while jobs run: which objects are gone, how many pods wait for room. The loop that owns the store tells it;
//! jobs wait for it, so that a drain of two hundred pods does not ask for each of them again and again.

use crate::model::{ClusterId, Uid};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Shared between the loop and the jobs.
#[derive(Clone, Default)]
pub struct Sightings(Arc<Inner>);

#[derive(Default)]
struct Inner {
    seen: Mutex<Seen>,
    changed: Notify,
}

#[derive(Default)]
struct Seen {
    /// Who waits for what to be gone.
    awaited: BTreeMap<(ClusterId, Uid), usize>,
    gone: HashSet<(ClusterId, Uid)>,
    /// Pods that no node takes, by cluster.
    pending: BTreeMap<ClusterId, u32>,
}

impl Sightings {
    /// An object is gone.
    pub fn gone(&self, cluster: ClusterId, uid: Uid) {
        let mut seen = self.lock();
        if seen.awaited.contains_key(&(cluster, uid)) && seen.gone.insert((cluster, uid)) {
            self.0.changed.notify_waiters();
        }
    }

    /// Pods that wait for room, now.
    pub fn pending(&self, cluster: ClusterId, pods: u32) {
        if self.lock().pending.insert(cluster, pods) != Some(pods) {
            self.0.changed.notify_waiters();
        }
    }

    /// How many pods wait for room, as last told; none when nobody has.
    pub fn pending_in(&self, cluster: ClusterId) -> Option<u32> {
        self.lock().pending.get(&cluster).copied()
    }

    /// Begins to look out for an object. Before the request that makes it go, so that nothing is missed.
    pub fn await_gone(&self, cluster: ClusterId, uid: Uid) -> Awaited {
        *self.lock().awaited.entry((cluster, uid)).or_default() += 1;
        Awaited { all: self.clone(), key: (cluster, uid) }
    }

    /// Waits until something was told.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks out for one object, as long as it lives.
pub struct Awaited {
    all: Sightings,
    key: (ClusterId, Uid),
}

impl Awaited {
    /// Returns when the object was seen to be gone.
    pub async fn gone(&self) {
        loop {
            let changed = self.all.0.changed.notified();
            if self.all.lock().gone.contains(&self.key) {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        let mut seen = self.all.lock();
        if let Some(n) = seen.awaited.get_mut(&self.key) {
            *n -= 1;
            if *n == 0 {
                seen.awaited.remove(&self.key);
                seen.gone.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn who_waits_is_told_whether_it_goes_before_or_after() {
        let (all, uid) = (Sightings::default(), Uid::parse("a"));
        all.gone(ClusterId(0), uid);
        let one = all.await_gone(ClusterId(0), uid);
        let other = all.await_gone(ClusterId(1), uid);
        assert!(tokio::time::timeout(Duration::from_millis(20), one.gone()).await.is_err(), "nobody waited for it yet");
        all.gone(ClusterId(0), uid);
        one.gone().await;
        assert!(tokio::time::timeout(Duration::from_millis(20), other.gone()).await.is_err(), "another cluster's");
        drop((one, other));
        assert!(all.lock().gone.is_empty() && all.lock().awaited.is_empty());
    }
}
