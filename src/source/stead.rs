//! Who tells what a cluster uses: metrics.k8s.io where it answers, in its stead a Prometheus that measures the cluster; never both.
//!
//! `metrics` says when it has nothing to tell; whoever asks a Prometheus says whether that can, and stops as soon as it is not needed.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// What a Prometheus told holds so long.
const KEEP: Duration = Duration::from_secs(180);

/// Whether a Prometheus can tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Given {
    /// Nobody asks one.
    #[default]
    Nobody,
    /// It is not known yet.
    Asked,
    Not,
    /// It told, then.
    At(Instant),
}

/// What the two sides of a cluster know of each other.
#[derive(Clone, Default)]
pub struct Stead {
    lacking: Arc<watch::Sender<bool>>,
    given: Arc<watch::Sender<Given>>,
}

/// What may be said of a cluster whose metrics.k8s.io does not answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Instead {
    /// That it does not.
    Nothing,
    /// Nothing yet.
    Wait,
    /// Another tells.
    Told,
}

impl Stead {
    /// metrics.k8s.io does not answer, or does again.
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

    /// Somebody asks a Prometheus for this cluster.
    pub(super) fn ask(&self) {
        self.given.send_replace(Given::Asked);
    }

    /// It told now, or could not. What it told before holds for a while.
    pub(super) fn give(&self, told: bool) {
        self.given.send_if_modified(|given| {
            let new = match (told, *given) {
                (true, _) => Given::At(Instant::now()),
                (false, Given::At(at)) if at.elapsed() < KEEP => Given::At(at),
                (false, _) => Given::Not,
            };
            std::mem::replace(given, new) != new
        });
    }

    /// Whether a Prometheus tells.
    pub(super) fn instead(&self) -> Instead {
        match *self.given.borrow() {
            Given::Nobody | Given::Not => Instead::Nothing,
            Given::Asked => Instead::Wait,
            Given::At(at) if at.elapsed() < KEEP => Instead::Told,
            Given::At(_) => Instead::Nothing,
        }
    }

    /// Whether something was told that is to be taken back; afterwards it is.
    pub(super) fn take_back(&self) -> bool {
        let told = matches!(*self.given.borrow(), Given::At(_));
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
        assert_eq!(stead.instead(), Instead::Nothing, "nobody asks");
        stead.ask();
        assert_eq!(stead.instead(), Instead::Wait);
        stead.give(true);
        stead.give(false);
        assert_eq!(stead.instead(), Instead::Told);
        let Some(long_ago) = Instant::now().checked_sub(KEEP) else { return };
        stead.given.send_replace(Given::At(long_ago));
        assert_eq!(stead.instead(), Instead::Nothing);
        stead.give(false);
        assert_eq!((stead.instead(), stead.take_back()), (Instead::Nothing, false));
        stead.give(true);
        assert!(stead.take_back() && !stead.take_back());
    }
}
