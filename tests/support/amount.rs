//! Kubernetes quantities, times and selectors, as apimachinery has them.

use serde_json::Value;

/// A quantity in thousandths of its unit, rounded up.
pub fn milli(text: &str) -> i128 {
    let at = text.find(|c: char| !(c.is_ascii_digit() || "+-.".contains(c))).unwrap_or(text.len());
    let (number, suffix) = text.split_at(at);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().unwrap_or_else(|_| panic!("no quantity: {text}"));
    let (mut up, mut down) = (1000i128, 10i128.pow(fraction.len() as u32));
    if let Some(power) = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter().position(|s| *s == suffix) {
        up *= 1024i128.pow(power as u32 + 1);
    } else if let Some(power) = ["k", "M", "G", "T", "P", "E"].iter().position(|s| *s == suffix) {
        up *= 1000i128.pow(power as u32 + 1);
    } else if let Some(power) = ["m", "u", "n"].iter().position(|s| *s == suffix) {
        down *= 1000i128.pow(power as u32 + 1);
    } else if let Some(exponent) = suffix.strip_prefix(['e', 'E']) {
        let exponent: i32 = exponent.parse().unwrap_or_else(|_| panic!("no quantity: {text}"));
        if exponent < 0 { down *= 10i128.pow(exponent.unsigned_abs()) } else { up *= 10i128.pow(exponent as u32) }
    } else {
        assert!(suffix.is_empty(), "no quantity: {text}");
    }
    -(-digits * up).div_euclid(down)
}

/// A quantity in whole units, rounded up.
pub fn whole(text: &str) -> i128 {
    -(-milli(text)).div_euclid(1000)
}

/// Unix seconds of a timestamp of the API, with or without a fraction.
pub fn seconds(value: &Value) -> Option<i64> {
    let text = value.as_str()?;
    let number =
        |range: std::ops::Range<usize>| text.get(range).and_then(|t| t.parse::<i64>().ok()).unwrap_or_else(|| panic!("no time: {text}"));
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    // Days since 1970-03-01 shifted by whole years, so that the leap day is a year's last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day - 719_469;
    Some(days * 86_400 + number(11..13) * 3600 + number(14..16) * 60 + number(17..19))
}

/// A label selector as `kubectl` prints it; none for none, and a word for the empty one, which selects everything.
pub fn selector(value: &Value) -> Value {
    let mut terms: Vec<(String, String)> = Vec::new();
    for (key, label) in value["matchLabels"].as_object().into_iter().flatten() {
        terms.push((key.clone(), format!("{key}={}", label.as_str().unwrap_or_default())));
    }
    for term in value["matchExpressions"].as_array().into_iter().flatten() {
        let key = term["key"].as_str().unwrap_or_default().to_owned();
        let mut values: Vec<&str> = term["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let text = match term["operator"].as_str() {
            Some("In") => format!("{key} in ({})", values.join(",")),
            Some("NotIn") => format!("{key} notin ({})", values.join(",")),
            Some("Exists") => key.clone(),
            _ => format!("!{key}"),
        };
        terms.push((key, text));
    }
    terms.sort_by(|a, b| a.0.cmp(&b.0));
    if value.is_null() {
        Value::Null
    } else if terms.is_empty() {
        "<all>".into()
    } else {
        terms.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(",").into()
    }
}

/// What these functions must get right, or the whole comparison says nothing.
pub fn check() {
    for (text, expected) in
        [("250m", 250), ("1", 1000), ("0.1", 100), ("1.5", 1500), ("1n", 1), ("1e3", 1_000_000), ("2500m", 2500), ("500", 500_000)]
    {
        assert_eq!(milli(text), expected, "{text}");
    }
    for (text, expected) in
        [("1Gi", 1 << 30), ("15892316Ki", 15_892_316 << 10), ("129M", 129_000_000), ("1e9", 1_000_000_000), ("1500m", 2)]
    {
        assert_eq!(whole(text), expected, "{text}");
    }
    for (text, expected) in
        [("1970-01-01T00:00:00Z", 0), ("2000-02-29T12:00:01Z", 951_825_601), ("2026-11-23T23:25:01.001431Z", 1_795_476_301)]
    {
        assert_eq!(seconds(&text.into()), Some(expected), "{text}");
    }
}
