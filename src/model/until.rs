//! Ends as people say them: `2h`, `+30m`, `until 08:00`.

use super::Time;
use super::duration::parse_duration;
use std::time::Duration;

/// When something shall end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// So long from now.
    In(Duration),
    /// So much later than it would; from now, where nothing ends yet.
    By(Duration),
    /// The next time that the clock says so, in minutes since midnight UTC.
    Clock(u32),
    /// That moment, in unix seconds.
    At(i64),
}

impl Until {
    /// Reads `2h`, `+30m`, `until 08:00`, `08:00`, `until 2026-11-27T08:00:00Z`. `None` when it is no such text.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let said = text.strip_prefix("until").filter(|rest| rest.starts_with(char::is_whitespace)).map(str::trim);
        if said.is_none() {
            let length = |text| parse_duration(text).filter(|d| d.as_secs() > 0);
            let found = match text.strip_prefix('+') {
                Some(rest) => length(rest).map(Self::By),
                None => length(text).map(Self::In),
            };
            if found.is_some() {
                return found;
            }
        }
        let text = said.unwrap_or(text);
        if let Some((hours, minutes)) = text.trim_end_matches('Z').split_once(':').filter(|(_, m)| m.len() == 2) {
            let (h, m) = (hours.parse::<u32>().ok()?, minutes.parse::<u32>().ok()?);
            return (hours.len() <= 2 && h < 24 && m < 60).then_some(Self::Clock(h * 60 + m));
        }
        text.parse::<jiff::Timestamp>().ok().map(|t| Self::At(t.as_second()))
    }

    /// That moment, in unix seconds; `end`: when it ends as it is.
    pub fn of(self, now: i64, end: Option<i64>) -> i64 {
        let secs = |d: Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX / 4);
        match self {
            Self::In(time) => now + secs(time),
            Self::By(time) => end.unwrap_or(now) + secs(time),
            Self::Clock(minutes) => {
                let today = now - now.rem_euclid(86_400) + i64::from(minutes) * 60;
                if today > now { today } else { today + 86_400 }
            }
            Self::At(moment) => moment,
        }
    }
}

/// A moment as it is shown beside `now`: `16:30Z`, or with its day where that is another one. Unix seconds.
pub fn clock(at: i64, now: i64) -> String {
    let text = Time::from_secs(at).map(Time::rfc3339).unwrap_or_default();
    match (text.get(..10), text.get(11..16)) {
        (Some(_), Some(time)) if at.div_euclid(86_400) == now.div_euclid(86_400) => format!("{time}Z"),
        (Some(day), Some(time)) => format!("{day} {time}Z"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-01T02:47:30Z.
    const NOW: i64 = 1_772_333_250;

    #[test]
    fn ends_in_every_form() {
        let of = |text: &str, end| Until::parse(text).map(|u| u.of(NOW, end) - NOW);
        assert_eq!([of("2h", None), of("2h", Some(NOW + 60)), of("1h30m", None)], [Some(7200), Some(7200), Some(5400)]);
        assert_eq!([of("+30m", Some(NOW + 60)), of("+30m", None)], [Some(1860), Some(1800)]);
        assert_eq!([of("until 08:00", None), of("8:00", None), of("until 08:00Z", None)], [Some(18_750); 3]);
        assert_eq!(of("until 02:47", None), Some(86_370), "it is past: tomorrow");
        assert_eq!(of("until 2026-03-01T03:00:00Z", None), Some(750));
        assert_eq!(of("2026-03-01T03:00:00Z", None), Some(750));
        for text in ["", "2", "until", "until 2h", "until 25:00", "12:5", "+", "-1h", "0s", "tomorrow", "08:00:00:00"] {
            assert_eq!(Until::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn another_day_is_named() {
        assert_eq!((clock(NOW + 3600, NOW), clock(NOW + 86_400, NOW)), ("03:47Z".into(), "2026-03-02 02:47Z".into()));
    }
}
