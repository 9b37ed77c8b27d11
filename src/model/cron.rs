//! Cron expressions as Velero reads them (robfig/cron, `ParseStandard`): five fields or `@daily`, `@every 1h`, with `CRON_TZ=` in front.
//!
//! Months and weekdays may be names, `?` is `*`, a day matches when both day fields do, or either where neither is `*`. Without a time zone
//! it is the server's own, which in its container is UTC.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// When something runs.
#[derive(Clone, PartialEq, Debug)]
pub struct Cron {
    when: When,
    zone: TimeZone,
}

#[derive(Clone, PartialEq, Debug)]
enum When {
    /// Bits of minutes, hours, days, months, weekdays (Sunday is 0); and whether both day fields must match.
    Fields { minutes: u64, hours: u64, days: u64, months: u64, weekdays: u64, both: bool },
    /// So many seconds after the last.
    Every(i64),
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Days that are looked at for a match: robfig gives up after five years.
const HORIZON: i32 = 5 * 366;

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (zone, text) = match text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) {
            None => (TimeZone::UTC, text),
            Some(rest) => {
                let (name, rest) = rest.split_once(char::is_whitespace).ok_or("there is a time zone and no time")?;
                (TimeZone::get(name).map_err(|_| format!("no time zone is called {name}"))?, rest.trim())
            }
        };
        Ok(Self { when: When::parse(text)?, zone })
    }

    /// The first time after `after` (unix seconds), seconds left out; none when there is none within five years.
    pub fn next(&self, after: i64) -> Option<i64> {
        let (minutes, hours, days, months, weekdays, both) = match &self.when {
            When::Every(secs) => return after.checked_add(*secs),
            When::Fields { minutes, hours, days, months, weekdays, both } => (minutes, hours, days, months, weekdays, *both),
        };
        let bit = |set: &u64, n: i8| u32::try_from(n).is_ok_and(|n| set >> n & 1 == 1);
        let start = Timestamp::from_second(after).ok()?.to_zoned(self.zone.clone());
        let mut date = start.date();
        for _ in 0..HORIZON {
            let (day, week) = (bit(days, date.day()), bit(weekdays, date.weekday().to_sunday_zero_offset()));
            if bit(months, date.month()) && if both { day && week } else { day || week } {
                for hour in (0..24).filter(|h| bit(hours, *h)) {
                    for minute in (0..60).filter(|m| bit(minutes, *m)) {
                        // An hour that a clock change leaves out is the one after it.
                        let at = date.at(hour, minute, 0, 0).to_zoned(self.zone.clone()).ok()?.timestamp().as_second();
                        if at > after {
                            return Some(at);
                        }
                    }
                }
            }
            date = next_day(date)?;
        }
        None
    }
}

fn next_day(date: Date) -> Option<Date> {
    date.checked_add(Span::new().days(1)).ok()
}

impl When {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix('@') {
            let fields = match name {
                "yearly" | "annually" => "0 0 1 1 *",
                "monthly" => "0 0 1 * *",
                "weekly" => "0 0 * * 0",
                "daily" | "midnight" => "0 0 * * *",
                "hourly" => "0 * * * *",
                _ => {
                    let every = name.strip_prefix("every ").ok_or_else(|| format!("@{name} is no time"))?;
                    let secs = super::velero::seconds(every.trim()).ok_or_else(|| format!("{every} is no duration of a second or more"))?;
                    return Ok(Self::Every(secs));
                }
            };
            return Self::parse(fields);
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let &[minute, hour, day, month, weekday] = &fields[..] else {
            return Err(format!("five fields are expected, {} are there", fields.len()));
        };
        let star = |field: &str| field.split(',').any(|part| part.starts_with(['*', '?']));
        Ok(Self::Fields {
            minutes: set(minute, 0, 59, &[])?,
            hours: set(hour, 0, 23, &[])?,
            days: set(day, 1, 31, &[])?,
            months: set(month, 1, 12, &MONTHS)?,
            weekdays: set(weekday, 0, 6, &DAYS)?,
            both: star(day) || star(weekday),
        })
    }
}

/// The bits of a field: `*`, `1-5`, `*/15`, `1,3,mon`.
fn set(field: &str, low: u32, high: u32, names: &[&str]) -> Result<u64, String> {
    let wrong = || format!("{field} is not within {low}-{high}");
    let number = |text: &str| {
        let named = names.iter().position(|n| text.eq_ignore_ascii_case(n)).and_then(|n| u32::try_from(n).ok()).map(|n| n + low);
        named.or_else(|| text.parse().ok()).filter(|n| (low..=high).contains(n)).ok_or_else(wrong)
    };
    let mut bits = 0u64;
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<usize>().ok().filter(|n| *n > 0).ok_or_else(wrong)?)),
            None => (part, None),
        };
        let (from, to) = match (range, range.split_once('-')) {
            ("*" | "?", _) => (low, high),
            (_, Some((a, b))) => (number(a)?, number(b)?),
            // `5/10` goes on to the end.
            _ => (number(range)?, if step.is_some() { high } else { number(range)? }),
        };
        if from > to {
            return Err(wrong());
        }
        bits |= (from..=to).step_by(step.unwrap_or(1)).fold(0, |bits, n| bits | 1 << n);
    }
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(expression: &str, after: &str) -> String {
        let after: Timestamp = after.parse().unwrap();
        let at = Cron::parse(expression).unwrap().next(after.as_second());
        at.map_or_else(|| "never".to_owned(), |at| Timestamp::from_second(at).unwrap().to_string())
    }

    #[test]
    fn the_next_time_of_what_people_write() {
        for (expression, after, expected) in [
            ("0 2 * * *", "2026-11-26T02:00:00Z", "2026-11-27T02:00:00Z"),
            ("0 2 * * *", "2026-11-26T01:59:59Z", "2026-11-26T02:00:00Z"),
            ("*/15 * * * *", "2026-11-26T23:50:10Z", "2026-11-27T00:00:00Z"),
            ("5/20 1 * * *", "2026-11-26T01:05:00Z", "2026-11-26T01:25:00Z"),
            ("30 4 1,15 * *", "2026-11-26T00:00:00Z", "2026-12-01T04:30:00Z"),
            ("0 0 * * mon-fri", "2026-11-27T12:00:00Z", "2026-11-30T00:00:00Z"),
            ("0 0 13 * FRI", "2026-11-26T00:00:00Z", "2026-11-27T00:00:00Z"),
            ("0 0 ? * 0", "2026-11-26T00:00:00Z", "2026-11-29T00:00:00Z"),
            ("0 0 29 feb *", "2026-11-26T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("0 0 31 2 *", "2026-11-26T00:00:00Z", "never"),
            ("@daily", "2026-11-26T10:00:00Z", "2026-11-27T00:00:00Z"),
            ("@weekly", "2026-11-26T10:00:00Z", "2026-11-29T00:00:00Z"),
            ("@every 1h30m", "2026-11-26T10:00:07Z", "2026-11-26T11:30:07Z"),
            ("CRON_TZ=Asia/Tokyo 0 2 * * *", "2026-11-26T00:00:00Z", "2026-11-26T17:00:00Z"),
            ("TZ=Europe/Berlin 30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z"),
        ] {
            assert_eq!(next(expression, after), expected, "{expression}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (expression, expected) in [
            ("", "five fields are expected, 0 are there"),
            ("0 2 * *", "five fields are expected, 4 are there"),
            ("60 2 * * *", "60 is not within 0-59"),
            ("0 2 * * 7", "7 is not within 0-6"),
            ("0 5-2 * * *", "5-2 is not within 0-23"),
            ("*/0 * * * *", "*/0 is not within 0-59"),
            ("@reboot", "@reboot is no time"),
            ("@every soon", "soon is no duration of a second or more"),
            ("CRON_TZ=Nowhere/X 0 2 * * *", "no time zone is called Nowhere/X"),
        ] {
            assert_eq!(Cron::parse(expression).unwrap_err(), expected, "{expression}");
        }
    }
}
