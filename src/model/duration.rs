//! Durations as people write them: `24h`, `5m`, `1h30m`, `500ms`.

use std::fmt::Write as _;
use std::time::Duration;

/// Units, longest first, in milliseconds.
const UNITS: [(&str, u64); 6] = [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads `5m`, `1h30m`, `2d`, `500ms`, `0s`: whole numbers, each with its unit, the longest unit first.
/// A number without a unit is refused. `None` when it is no such text, or too long to count.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let (mut total, mut longest) = (0u64, u64::MAX);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let unit_end = rest[digits..].find(|c: char| !c.is_ascii_alphabetic()).map_or(rest.len(), |i| i + digits);
        let (_, unit) = UNITS.into_iter().find(|(name, _)| *name == &rest[digits..unit_end])?;
        if unit >= longest {
            return None;
        }
        longest = unit;
        total = total.checked_add(rest[..digits].parse::<u64>().ok()?.checked_mul(unit)?)?;
        rest = &rest[unit_end..];
    }
    (longest != u64::MAX).then(|| Duration::from_millis(total))
}

/// The text that [`parse_duration`] reads back: `1d`, `1h30m`; less than a millisecond is dropped.
pub fn format_duration(duration: Duration) -> String {
    let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (name, unit) in UNITS {
        if left >= unit {
            let _ = write!(text, "{}{name}", left / unit);
            left %= unit;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// An age, in seconds, in one unit: `40s` below two minutes, then `5m`, `3h`, `2d`.
pub fn age(secs: i64) -> String {
    match secs {
        ..120 => format!("{secs}s"),
        120..7200 => format!("{}m", secs / 60),
        7200..172_800 => format!("{}h", secs / 3600),
        _ => format!("{}d", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        let seconds = |text| parse_duration(text).map(|d| d.as_secs());
        assert_eq!(seconds("24h"), Some(86_400));
        assert_eq!(seconds(" 5m "), Some(300));
        assert_eq!(seconds("30s"), Some(30));
        assert_eq!(seconds("1h30m"), Some(5_400));
        assert_eq!(seconds("2w"), Some(1_209_600));
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(seconds("0s"), Some(0));
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for text in ["", "5", "m", "5 m", "-5m", "1.5h", "5min", "30m1h", "1h1h", "99999999999999999999s", "1h x"] {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
    }

    #[test]
    fn format_and_parse_agree() {
        for text in ["1d", "1h30m", "5m", "1s500ms", "0s", "2w3d"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
    }
}
