//! Whether a cluster is live, proven: from the last sign of life, failed attempts and the progress of the lists to a
//! `ConnectionState`. Time is an argument; no I/O.

use crate::client::ClientError;
use crate::model::{ConnectionState, Str, Time};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How long until what. Scaled down in tests.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Without a sign of life for this long, one is asked for.
    pub quiet: Duration,
    /// How long a probe may take.
    pub probe: Duration,
    /// The round trip is measured this often, also on a busy connection.
    pub latency: Duration,
    /// Without proof for this long, what is shown may be old.
    pub stale: Duration,
    /// Without proof for this long, the cluster counts as lost.
    pub unreachable: Duration,
    /// Connections that are refused again and again for this long: the cluster counts as lost. A restart behind one address
    /// refuses for a moment, and whoever looks sees that it is stale before it is gone.
    pub refused: Duration,
    /// Between attempts while it is not live, at first.
    pub again: Duration,
    /// And at most.
    pub again_most: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            quiet: Duration::from_secs(5),
            probe: Duration::from_secs(4),
            latency: Duration::from_secs(12),
            stale: Duration::from_secs(12),
            unreachable: Duration::from_secs(45),
            refused: Duration::from_secs(3),
            again: Duration::from_secs(1),
            again_most: Duration::from_secs(10),
        }
    }
}

/// When the server last gave a sign of life; written by all that read from it.
pub(super) struct Proof {
    base: Instant,
    /// Milliseconds after `base`, plus one; zero: never.
    at: AtomicU64,
}

impl Proof {
    pub fn new() -> Self {
        Self { base: Instant::now(), at: AtomicU64::new(0) }
    }
    /// A byte came.
    pub fn touch(&self) {
        let millis = u64::try_from(self.base.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.at.store(millis + 1, Ordering::Relaxed);
    }
    /// When the last one came.
    pub fn last(&self) -> Option<Instant> {
        let at = self.at.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.base + Duration::from_millis(at))
    }
}

/// What is known about one cluster's connection.
pub(super) struct Health {
    pub timing: Timing,
    /// When the present connection was begun.
    begun: Instant,
    last: Option<Instant>,
    /// Attempts that were refused since the last proof, the first one's time and the last one's reason.
    failures: u32,
    failed: Option<(Instant, Str)>,
    /// What a server that answers, but not well, said last.
    hint: Option<Str>,
    /// Credentials are refused, or what answers is something else.
    refused: Option<Str>,
    /// It is something else.
    strange: bool,
    /// Kinds whose first list is through (or settled otherwise), of all.
    pub synced: (u16, u16),
}

impl Health {
    pub fn new(timing: Timing, now: Instant) -> Self {
        Self { timing, begun: now, last: None, failures: 0, failed: None, hint: None, refused: None, strange: false, synced: (0, 0) }
    }

    /// The user wants to see it tried: forget why it failed.
    pub fn restart(&mut self, now: Instant) {
        *self = Self { last: self.last, synced: self.synced, ..Self::new(self.timing, now) };
    }

    /// Takes note of the last sign of life; says whether it ends a failure or a silence.
    pub fn proven(&mut self, last: Option<Instant>, now: Instant) -> bool {
        let Some(last) = last.filter(|l| self.last.is_none_or(|old| *l > old)) else { return false };
        // What came before the failure does not end it.
        if self.failed.as_ref().is_some_and(|(at, _)| last <= *at) {
            return false;
        }
        let recovered = self.failed.is_some() || self.refused.is_some() || self.silence(now) >= self.timing.stale;
        self.last = Some(last);
        (self.failures, self.failed, self.hint, self.refused, self.strange) = (0, None, None, None, false);
        recovered
    }

    /// An attempt failed. Silence is not counted: the clock is.
    pub fn failed(&mut self, error: &ClientError, now: Instant) {
        if error.is_auth() {
            self.refused = Some(error.reason().into());
        } else if matches!(error, ClientError::Server { .. }) && self.heard() {
            self.hint = Some(error.reason().into());
        } else if !matches!(error, ClientError::Timeout { .. }) {
            self.failures += 1;
            let first = self.failed.as_ref().map_or(now, |(at, _)| *at);
            self.failed = Some((first, error.reason().into()));
        }
    }

    /// Something answers that is no API server: a proxy, a wrong port.
    pub fn stranger(&mut self) {
        self.refused = Some("what answers there is no Kubernetes API server".into());
        self.strange = true;
    }

    /// Whether that is how it is.
    pub fn strange(&self) -> bool {
        self.strange
    }

    /// What is shown may be old for a reason of our own: the next proof begins a new connection.
    pub fn doubt(&mut self, reason: &str, now: Instant) {
        self.failed = Some((now, reason.into()));
    }

    /// Credentials are refused now, or no API server answers.
    pub fn refused(&self) -> bool {
        self.refused.is_some()
    }

    fn heard(&self) -> bool {
        self.last.is_some_and(|l| l >= self.begun)
    }

    fn since(&self) -> Instant {
        self.last.map_or(self.begun, |l| l.max(self.begun))
    }

    fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since())
    }

    /// Lost: connections are dropped and attempts are made from time to time.
    pub fn lost(&self, now: Instant) -> bool {
        let refused = self.failed.as_ref().is_some_and(|(at, _)| {
            let for_long = now.saturating_duration_since(*at);
            (self.failures >= 2 && for_long >= self.timing.refused) || !self.heard() && self.failures > 0 || for_long >= self.timing.quiet
        });
        refused || self.silence(now) >= self.timing.unreachable
    }

    /// Whether probes go at a faster pace than the idle one.
    pub fn doubtful(&self, now: Instant) -> bool {
        self.failed.is_some() || self.silence(now) >= self.timing.quiet
    }

    /// When a sign of life must be asked for, on an otherwise silent connection.
    pub fn quiet_at(&self) -> Instant {
        self.since() + self.timing.quiet
    }

    /// What to show. `wall` is seconds since 1970 at `now`.
    pub fn state(&self, now: Instant, wall: i64) -> ConnectionState {
        let last = self.last.and_then(|l| Time::from_secs(wall - i64::try_from(now.saturating_duration_since(l).as_secs()).unwrap_or(0)));
        let reason = || self.failed.as_ref().map(|(_, r)| r).or(self.hint.as_ref()).map_or_else(|| Str::from("no answer"), Str::clone);
        if let Some(reason) = self.refused.as_ref().filter(|_| self.strange) {
            return ConnectionState::Unreachable { last, reason: reason.clone() };
        }
        if let Some(reason) = &self.refused {
            return ConnectionState::Unauthorized { last, reason: reason.clone() };
        }
        if self.lost(now) {
            return ConnectionState::Unreachable { last, reason: reason() };
        }
        if self.failed.is_some() || self.silence(now) >= self.timing.stale {
            return ConnectionState::Stale { last, reason: reason() };
        }
        match self.synced {
            _ if !self.heard() => ConnectionState::Connecting,
            (done, of) if of == 0 || done < of => ConnectionState::Syncing { done, of },
            _ => ConnectionState::Live,
        }
    }

    /// When the state may change without an event.
    pub fn next_change(&self, now: Instant) -> Option<Instant> {
        let from = self.since();
        let failed = self.failed.as_ref().map(|(at, _)| *at);
        let (refused, quiet) = (failed.map(|at| at + self.timing.refused), failed.map(|at| at + self.timing.quiet));
        [Some(from + self.timing.stale), Some(from + self.timing.unreachable), refused, quiet]
            .into_iter()
            .flatten()
            .filter(|at| *at > now)
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: i64 = 1_800_000_000;
    fn refused() -> ClientError {
        ClientError::Unreachable { reason: "connection refused".into() }
    }
    fn at(start: Instant, secs: u64) -> Instant {
        start + Duration::from_secs(secs)
    }
    fn live(start: Instant) -> Health {
        let mut health = Health::new(Timing::default(), start);
        health.synced = (2, 2);
        health.proven(Some(at(start, 1)), at(start, 1));
        health
    }

    #[test]
    fn silence_shows_stale_within_15_s_and_unreachable_within_60_s() {
        let start = Instant::now();
        let health = live(start);
        let word = |s| health.state(at(start, s), WALL + s as i64).word();
        assert_eq!([word(5), word(12), word(13), word(45), word(46)], ["live", "live", "stale", "stale", "unreachable"]);
        let ConnectionState::Stale { last, .. } = health.state(at(start, 20), WALL + 20) else { panic!() };
        assert_eq!(last.map(Time::secs), Some(WALL + 1));
        assert_eq!(health.next_change(at(start, 2)), Some(at(start, 13)));
        assert_eq!(health.next_change(at(start, 14)), Some(at(start, 46)));
    }

    #[test]
    fn a_black_hole_from_the_start_is_stale_then_unreachable() {
        let start = Instant::now();
        let mut health = Health::new(Timing::default(), start);
        health.failed(&ClientError::Timeout { after: Duration::from_secs(4) }, at(start, 4));
        let word = |s| health.state(at(start, s), WALL).word();
        assert_eq!([word(11), word(12), word(45)], ["connecting", "stale", "unreachable"]);
    }

    #[test]
    fn refused_is_stale_at_once_then_unreachable_and_recovers() {
        let start = Instant::now();
        let mut health = live(start);
        health.failed(&refused(), at(start, 2));
        assert_eq!(health.state(at(start, 2), WALL).word(), "stale");
        assert!(!health.proven(Some(at(start, 1)), at(start, 2)), "older than the failure");
        assert_eq!(health.state(at(start, 7), WALL).word(), "unreachable", "five seconds of it are enough");
        health.failed(&refused(), at(start, 3));
        assert_eq!(health.state(at(start, 3), WALL).word(), "stale", "a person can see it before it is gone");
        assert_eq!(health.next_change(at(start, 3)), Some(at(start, 5)));
        assert_eq!(health.state(at(start, 5), WALL).reason(), Some("connection refused"));
        assert!(health.lost(at(start, 5)));
        assert!(health.proven(Some(at(start, 9)), at(start, 9)), "says that it recovered");
        assert!(health.state(at(start, 9), WALL).live());
    }

    #[test]
    fn a_first_dial_that_fails_is_unreachable_and_a_refused_credential_unauthorized() {
        let start = Instant::now();
        let mut health = Health::new(Timing::default(), start);
        health.failed(&refused(), start);
        assert_eq!(health.state(start, WALL).word(), "unreachable");
        let mut health = live(start);
        health.failed(&ClientError::NeedsPrompt { cluster: "prod".into(), command: "sso".into() }, start);
        assert_eq!(
            health.state(start, WALL),
            ConnectionState::Unauthorized { last: Time::from_secs(WALL), reason: ":login prod (sso wants a prompt)".into() }
        );
    }

    #[test]
    fn a_machine_that_slept_shows_stale_until_proven() {
        let start = Instant::now();
        let mut health = live(start);
        health.doubt("this machine slept", at(start, 2));
        assert_eq!((health.state(at(start, 2), WALL).word(), health.lost(at(start, 3))), ("stale", false));
        assert!(health.proven(Some(at(start, 4)), at(start, 4)));
        assert!(health.state(at(start, 4), WALL).live());
    }

    #[test]
    fn a_server_that_answers_badly_says_why_it_is_stale() {
        let start = Instant::now();
        let mut health = live(start);
        health.failed(&ClientError::Server { code: 500, message: "etcd failed".into() }, at(start, 6));
        assert!(health.state(at(start, 6), WALL).live(), "its watches may still work");
        assert_eq!(health.state(at(start, 13), WALL).reason(), Some("HTTP 500 etcd failed"));
        let broken = ClientError::Config { reason: "no such file".into() };
        let mut health = Health::new(Timing::default(), start);
        health.failed(&broken, start);
        assert_eq!(health.state(start, WALL).word(), "unreachable", "not a matter of credentials");
    }

    #[test]
    fn lists_count_up_to_live() {
        let start = Instant::now();
        let mut health = Health::new(Timing::default(), start);
        assert_eq!(health.state(start, WALL), ConnectionState::Connecting);
        health.synced = (1, 3);
        health.proven(Some(at(start, 1)), at(start, 1));
        assert_eq!(health.state(at(start, 1), WALL), ConnectionState::Syncing { done: 1, of: 3 });
        health.synced = (3, 3);
        assert!(health.state(at(start, 1), WALL).live());
    }
}
