//! When changes are allowed: days of the week and hours, in UTC.

use std::fmt;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Hours on some days of the week. One that ends before it begins ends on the next day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// Bit 0 is Monday.
    days: u8,
    /// Minutes after midnight.
    from: u16,
    to: u16,
}

impl Window {
    /// Reads `Mon-Fri 08:00-18:00`, `Sat 22:00-04:00`, `daily 01:00-03:00`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no window: write Mon-Fri 08:00-18:00, Sat 22:00-04:00 or daily 01:00-03:00");
        let (days, hours) = text.trim().split_once(char::is_whitespace).ok_or_else(wrong)?;
        let day = |name: &str| DAYS.iter().position(|d| d.eq_ignore_ascii_case(name));
        let days = match (days, days.split_once('-')) {
            ("daily", _) => 0x7f,
            (_, Some((first, last))) => {
                let (first, last) = (day(first).ok_or_else(wrong)?, day(last).ok_or_else(wrong)?);
                (0..7).map(|n| (first + n) % 7).take((last + 7 - first) % 7 + 1).fold(0, |mask, d| mask | 1 << d)
            }
            (one, None) => 1 << day(one).ok_or_else(wrong)?,
        };
        let minutes = |text: &str| {
            let (h, m) = text.trim().split_once(':')?;
            let (h, m) = (h.parse::<u16>().ok()?, m.parse::<u16>().ok()?);
            (h < 24 && m < 60 || h == 24 && m == 0).then_some(h * 60 + m)
        };
        let (from, to) = hours.split_once('-').ok_or_else(wrong)?;
        let (from, to) = (minutes(from).ok_or_else(wrong)?, minutes(to).ok_or_else(wrong)?);
        if from == to { Err(wrong()) } else { Ok(Self { days, from, to }) }
    }

    /// Whether a moment, in unix seconds, is in it.
    pub fn contains(&self, now: i64) -> bool {
        // 1970-01-01 was a Thursday.
        let day = usize::try_from((now.div_euclid(86_400) + 3).rem_euclid(7)).unwrap_or(0);
        let minute = u16::try_from(now.rem_euclid(86_400) / 60).unwrap_or(0);
        let on = |day: usize| self.days & 1 << (day % 7) != 0;
        if self.from < self.to {
            on(day) && (self.from..self.to).contains(&minute)
        } else {
            on(day) && minute >= self.from || on(day + 6) && minute < self.to
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = |d: usize| self.days & 1 << (d % 7) != 0;
        if self.days == 0x7f {
            f.write_str("daily")?;
        } else {
            let first = (0..7).find(|d| on(*d) && !on(d + 6)).unwrap_or(0);
            let last = (first..first + 7).take_while(|d| on(*d)).last().unwrap_or(first) % 7;
            f.write_str(DAYS[first])?;
            if last != first {
                write!(f, "-{}", DAYS[last])?;
            }
        }
        write!(f, " {:02}:{:02}-{:02}:{:02}", self.from / 60, self.from % 60, self.to / 60, self.to % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-02 00:00Z, a Monday.
    const MONDAY: i64 = 1_772_409_600;
    fn at(day: i64, hour: i64, minute: i64) -> i64 {
        MONDAY + day * 86_400 + hour * 3600 + minute * 60
    }

    #[test]
    fn days_and_hours() {
        let window = Window::parse("Mon-Fri 08:00-18:00").unwrap();
        let inside = |day, hour, minute| window.contains(at(day, hour, minute));
        assert_eq!(
            [inside(0, 8, 0), inside(4, 17, 59), inside(0, 7, 59), inside(0, 18, 0), inside(5, 12, 0)],
            [true, true, false, false, false]
        );
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let window = Window::parse("Sat 22:00-04:00").unwrap();
        assert!(window.contains(at(5, 23, 0)) && window.contains(at(6, 3, 59)));
        assert!(!window.contains(at(5, 3, 0)) && !window.contains(at(6, 22, 0)) && !window.contains(at(6, 4, 0)));
        assert!(Window::parse("Sun-Mon 22:00-04:00").unwrap().contains(at(1, 1, 0)), "the night from Monday");
    }

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["Mon-Fri 08:00-18:00", "Sat 22:00-04:00", "daily 01:00-24:00", "Sat-Mon 00:00-12:30"] {
            assert_eq!(Window::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "08:00-18:00", "Mon 8", "Mon 08:00-25:00", "Foo 08:00-09:00", "Mon 08:00-08:00"] {
            assert!(Window::parse(text).unwrap_err().contains("write Mon-Fri"), "{text}");
        }
    }
}
