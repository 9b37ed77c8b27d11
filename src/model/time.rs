//! Instants of the API: whole seconds since 1970, four bytes, never zero.

use super::wire;
use std::num::NonZeroU32;

/// A moment, in seconds since 1970 (until 2106). `Option<Time>` is four bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(NonZeroU32);

impl Time {
    /// From seconds since 1970; none for zero, negative and out of range values.
    pub fn from_secs(secs: i64) -> Option<Self> {
        u32::try_from(secs).ok().and_then(NonZeroU32::new).map(Self)
    }

    /// Seconds since 1970.
    pub fn secs(self) -> i64 {
        i64::from(self.0.get())
    }

    /// Whole seconds from this moment to `now` (unix seconds); never negative.
    pub fn age(self, now: i64) -> i64 {
        (now - self.secs()).max(0)
    }

    /// RFC 3339 in UTC, as the API writes it.
    pub fn rfc3339(self) -> String {
        jiff::Timestamp::from_second(self.secs()).map(|t| t.to_string()).unwrap_or_default()
    }
}

impl std::fmt::Debug for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

/// The wire's time; a zero message is none.
pub fn of(time: Option<wire::Time>) -> Option<Time> {
    time.and_then(|t| Time::from_secs(t.seconds))
}
