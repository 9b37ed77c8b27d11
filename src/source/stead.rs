//! Who tells what a cluster's nodes and what its pods use: metrics.k8s.io where it answers, in its stead a Prometheus that measures the cluster. Each of
//! the two kinds by itself, and of one kind never both.
//!
//! `metrics` says when it has nothing to tell; whoever asks a Prometheus says whether that can, and stops as soon as it is not needed.

use crate::model::{Kind, Str};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// What a Prometheus told holds so long.
const KEEP: Duration = Duration::from_secs(180);

/// Whether a Prometheus can tell.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) enum Given {
    /// Nobody asks one.
    #[default]
    Nobody,
    /// It is not known yet.
    Asked,
    Not,
    /// It told, then; which one, in words.
    At(Instant, Str),
}

/// The kinds of which use is told.
pub(super) const KINDS: [Kind; 2] = [Kind::Node, Kind::Pod];

/// What the two sides of a cluster know of each other.
#[derive(Clone, Default)]
pub struct Stead {
    nodes: Half,
    pods: Half,
}

impl Stead {
    /// That of nodes, or of pods.
    pub(super) fn of(&self, kind: Kind) -> &Half {
        if kind == Kind::Node { &self.nodes } else { &self.pods }
    }
}

/// What they know of one kind.
#[derive(Clone, Default)]
pub(super) struct Half {
    lacking: Arc<watch::Sender<bool>>,
    given: Arc<watch::Sender<Given>>,
}

/// What may be said of a kind of which metrics.k8s.io does not tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Instead {
    /// That it does not.
    Nothing,
    /// Nothing yet.
    Wait,
    /// Another tells: which one, in words.
    Told(Str),
}

impl Half {
    /// metrics.k8s.io does not tell of it, or does again.
    pub(super) fn lack(&self, lacking: bool) {
        self.lacking.send_if_modified(|l| std::mem::replace(l, lacking) != lacking);
    }

    /// Whether somebody else is to tell.
    pub(super) fn lacking(&self) -> bool {
        *self.lacking.borrow()
    }

    /// Hears when that changes.
    pub(super) fn listen(&self) -> watch::Receiver<bool> {
        self.lacking.subscribe()
    }

    /// Somebody asks a Prometheus for it.
    pub(super) fn ask(&self) {
        self.given.send_replace(Given::Asked);
    }

    /// This one told now, or none could. What was told before holds for a while.
    pub(super) fn give(&self, told: Option<&Str>) {
        self.given.send_if_modified(|given| {
            let new = match (told, &*given) {
                (Some(by), _) => Given::At(Instant::now(), by.clone()),
                (None, Given::At(at, by)) if at.elapsed() < KEEP => Given::At(*at, by.clone()),
                (None, _) => Given::Not,
            };
            let changed = new != *given;
            *given = new;
            changed
        });
    }

    /// Whether a Prometheus tells.
    pub(super) fn instead(&self) -> Instead {
        match &*self.given.borrow() {
            Given::Asked => Instead::Wait,
            Given::At(at, by) if at.elapsed() < KEEP => Instead::Told(by.clone()),
            Given::Nobody | Given::Not | Given::At(..) => Instead::Nothing,
        }
    }

    /// Whether something was told that is to be taken back; afterwards it is.
    pub(super) fn take_back(&self) -> bool {
        let told = matches!(*self.given.borrow(), Given::At(..));
        if told {
            self.ask();
        }
        told
    }

    /// Hears when it is known anew whether a Prometheus can tell.
    pub(super) fn hear(&self) -> watch::Receiver<Given> {
        self.given.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_holds_for_a_while_and_is_taken_back_once() {
        let stead = Stead::default();
        let pods = stead.of(Kind::Pod);
        let by = Str::from("Prometheus, x");
        assert_eq!(pods.instead(), Instead::Nothing, "nobody asks");
        pods.ask();
        assert_eq!((pods.instead(), stead.of(Kind::Node).instead()), (Instead::Wait, Instead::Nothing), "each kind by itself");
        pods.give(Some(&by));
        pods.give(None);
        assert_eq!(pods.instead(), Instead::Told(by.clone()));
        let Some(long_ago) = Instant::now().checked_sub(KEEP) else { return };
        pods.given.send_replace(Given::At(long_ago, by.clone()));
        assert_eq!(pods.instead(), Instead::Nothing);
        pods.give(None);
        assert_eq!((pods.instead(), pods.take_back()), (Instead::Nothing, false));
        pods.give(Some(&by));
        assert!(pods.take_back() && !pods.take_back());
    }
}
