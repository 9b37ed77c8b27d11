//! How long to wait before the next attempt: exponential with jitter, so that a fleet that lost one router does not
//! come back in step.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(800);
const LAST: Duration = Duration::from_secs(30);

/// Delays between 0.8 s and a ceiling that doubles from 1.6 s to 30 s, uniform in between.
#[derive(Debug, Clone)]
pub struct Backoff {
    rng: fastrand::Rng,
    attempt: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { rng: fastrand::Rng::new(), attempt: 0 }
    }
}

impl Backoff {
    /// The same seed gives the same delays.
    pub fn seeded(seed: u64) -> Self {
        Self { rng: fastrand::Rng::with_seed(seed), attempt: 0 }
    }

    /// The delay before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        self.attempt = self.attempt.saturating_add(1);
        let ceiling = FIRST.saturating_mul(1 << self.attempt.min(16)).min(LAST);
        FIRST + (ceiling - FIRST).mul_f64(self.rng.f64())
    }

    /// Attempts since the last [`reset`](Self::reset).
    pub fn attempts(&self) -> u32 {
        self.attempt
    }

    /// Something worked: the next failure starts small again.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_the_ceiling_within_bounds_and_resets() {
        let mut backoff = Backoff::seeded(7);
        let delays: Vec<_> = (0..200).map(|_| backoff.next_delay()).collect();
        assert!(delays.iter().all(|d| (FIRST..=LAST).contains(d)));
        assert!(delays[0] <= FIRST * 2, "the first is short: {:?}", delays[0]);
        assert!(delays.iter().any(|d| *d > Duration::from_secs(25)), "the ceiling is reached");
        assert_eq!(backoff.attempts(), 200);
        backoff.reset();
        assert!(backoff.next_delay() <= FIRST * 2);
    }

    #[test]
    fn jitter_differs_by_seed_and_repeats_with_it() {
        let ten = |seed| {
            let mut backoff = Backoff::seeded(seed);
            (0..10).map(|_| backoff.next_delay()).collect::<Vec<_>>()
        };
        assert_eq!(ten(1), ten(1));
        assert_ne!(ten(1), ten(2));
    }
}
