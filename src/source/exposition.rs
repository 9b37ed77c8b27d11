//! The text that `/metrics` answers with, as far as gauges, counters and histograms of a few names are read from it.
//!
//! Format: <https://prometheus.io/docs/instrumenting/exposition_formats/> (version 0.0.4). Lines that are not understood are skipped: they
//! are other people's.

use std::collections::BTreeMap;

/// A sample: a name, its labels as they stand between the braces, and a value.
pub struct Sample<'a> {
    pub name: &'a str,
    labels: &'a str,
    pub value: f64,
}

impl<'a> Sample<'a> {
    /// The value of a label, still escaped.
    pub fn label(&self, name: &str) -> Option<&'a str> {
        let mut rest = self.labels;
        while let Some((key, after)) = rest.split_once("=\"") {
            let end = end_of(after)?;
            if key.trim_start_matches([',', ' ']) == name {
                return Some(&after[..end]);
            }
            rest = &after[end + 1..];
        }
        None
    }
}

/// Where a quoted value ends: the first quote that is not escaped.
fn end_of(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|b| {
        let end = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        end
    })
}

/// The samples of a text.
pub fn samples(text: &str) -> impl Iterator<Item = Sample<'_>> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let name = &line[..line.find(['{', ' '])?];
        let rest = &line[name.len()..];
        let (labels, rest) = match rest.strip_prefix('{') {
            None => ("", rest),
            // A brace may stand in a value: the last one ends the labels, as values of samples have none.
            Some(rest) => rest.rsplit_once('}')?,
        };
        let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
        Some(Sample { name, labels, value })
    })
}

/// The buckets of a histogram: how many were at most that much, by upper bound in the metric's unit. Buckets of the same bound are summed.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Buckets(BTreeMap<u64, f64>);

impl Buckets {
    /// Adds a `_bucket` sample; one without a bound is none.
    pub fn add(&mut self, sample: &Sample<'_>) {
        let bound = sample.label("le").and_then(|le| if le == "+Inf" { Some(f64::INFINITY) } else { le.parse().ok() });
        if let Some(bound) = bound {
            // Bounds are positive: their bits are in their order.
            *self.0.entry(f64::to_bits(bound)).or_default() += sample.value;
        }
    }

    /// What came since `before`; a counter that fell began anew.
    pub fn since(&self, before: &Self) -> Self {
        let whole = |b: &Self| b.0.values().last().copied().unwrap_or(0.0);
        if whole(before) > whole(self) {
            return self.clone();
        }
        Self(self.0.iter().map(|(bound, n)| (*bound, (n - before.0.get(bound).unwrap_or(&0.0)).max(0.0))).collect())
    }

    /// The bound that a share of all stays under, in the metric's unit: within its bucket in proportion, as PromQL's `histogram_quantile` has
    /// it; of what is beyond the last bound, that bound. None when there is nothing.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let all = *self.0.values().last().filter(|n| **n > 0.0)?;
        let wanted = share * all;
        let (mut below, mut counted) = (0.0, 0.0);
        for (bound, n) in &self.0 {
            let bound = f64::from_bits(*bound);
            if *n >= wanted {
                let inside = if *n > counted { (wanted - counted) / (n - counted) } else { 1.0 };
                return Some(if bound.is_finite() { below + (bound - below) * inside } else { below });
            }
            (below, counted) = (bound, *n);
        }
        Some(below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# HELP a b
# TYPE a counter
a 3
b{x="1",path="/a\"}b",le="0.5"} 4.5e1 1700000000
broken{x="1
c{le="+Inf"} NaN
"#;

    #[test]
    fn samples_are_read_and_what_is_none_is_skipped() {
        let all: Vec<_> = samples(TEXT).map(|s| (s.name, s.label("path"), s.label("le"), s.value.to_string())).collect();
        assert_eq!(
            all,
            [
                ("a", None, None, "3".to_owned()),
                ("b", Some(r#"/a\"}b"#), Some("0.5"), "45".to_owned()),
                ("c", None, Some("+Inf"), "NaN".to_owned())
            ]
        );
    }

    #[test]
    fn a_quantile_is_of_what_came_since_and_a_restart_begins_anew() {
        let buckets = |counts: [u32; 4]| {
            let text: String =
                ["0.001", "0.01", "0.1", "+Inf"].iter().zip(counts).map(|(le, n)| format!("h_bucket{{le=\"{le}\"}} {n}\n")).collect();
            let mut b = Buckets::default();
            samples(&text).for_each(|s| b.add(&s));
            b
        };
        let (before, now) = (buckets([100, 100, 100, 100]), buckets([100, 190, 200, 200]));
        let near = |a: Option<f64>, b: f64| assert!((a.unwrap() - b).abs() < 1e-9, "{a:?}");
        near(now.since(&before).quantile(0.9), 0.01);
        near(now.since(&before).quantile(0.95), 0.055);
        near(now.quantile(0.5), 0.001);
        assert_eq!(before.since(&now), before, "it fell: a restart");
        assert_eq!(now.since(&now).quantile(0.99), None, "nothing came");
        near(buckets([0, 0, 0, 10]).quantile(0.99), 0.1);
    }
}
