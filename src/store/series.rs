//! A short trend: the largest value of each of the last minutes.

/// Minutes that are kept.
pub const MINUTES: usize = 30;

/// The largest value of each of the last `MINUTES` minutes.
#[derive(Clone, Debug)]
pub struct Series {
    values: [u32; MINUTES],
    /// Minute (since 1970) of the newest value; 0 when empty.
    newest: i64,
    first: i64,
}

impl Default for Series {
    fn default() -> Self {
        Self { values: [0; MINUTES], newest: 0, first: 0 }
    }
}

impl Series {
    /// Notes a value; minutes without one carry the last value on.
    pub fn record(&mut self, now: i64, value: u32) {
        let minute = now / 60;
        if self.newest == 0 {
            (self.newest, self.first) = (minute, minute);
        }
        let last = self.at(self.newest);
        let from = (minute - MINUTES as i64).max(self.newest);
        for m in from + 1..=minute {
            self.values[m.rem_euclid(MINUTES as i64) as usize] = last;
        }
        if minute > self.newest {
            self.newest = minute;
            self.values[minute.rem_euclid(MINUTES as i64) as usize] = value;
        } else {
            let slot = &mut self.values[self.newest.rem_euclid(MINUTES as i64) as usize];
            *slot = value.max(*slot);
        }
    }

    fn at(&self, minute: i64) -> u32 {
        self.values[minute.rem_euclid(MINUTES as i64) as usize]
    }

    /// The values, oldest first, as many as were seen.
    pub fn values(&self) -> Vec<u32> {
        if self.newest == 0 {
            return Vec::new();
        }
        let from = self.first.max(self.newest - MINUTES as i64 + 1);
        (from..=self.newest).map(|m| self.at(m)).collect()
    }

    /// By how much the value grew over the last `minutes`.
    pub fn growth(&self, minutes: i64) -> u32 {
        let from = self.first.max(self.newest - minutes.min(MINUTES as i64 - 1));
        self.at(self.newest).saturating_sub(self.at(from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_peak_of_a_minute_and_carries_on() {
        let mut s = Series::default();
        s.record(6000, 3);
        s.record(6010, 7);
        s.record(6020, 5);
        s.record(6190, 1);
        assert_eq!(s.values(), [7, 7, 7, 1]);
        s.record(6000 + 60 * 500, 2);
        assert_eq!(s.values().len(), MINUTES);
        assert_eq!(s.values().last(), Some(&2));
    }
}
