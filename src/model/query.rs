//! What a Prometheus is asked for: PromQL as data, with what its answer means.

use super::Str;
use std::time::Duration;

/// What a query's numbers are in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Measure {
    /// A share of 1, shown in percent.
    Ratio,
    /// Seconds, shown as 12ms, 3.4s, 2h.
    Seconds,
    Bytes,
    /// Bytes a second.
    BytesPerSecond,
    /// Something a second.
    PerSecond,
    /// Cores of a CPU.
    Cores,
    #[default]
    Count,
}

impl Measure {
    /// By the names that settings use.
    pub const ALL: [(&'static str, Self); 7] = [
        ("ratio", Self::Ratio),
        ("seconds", Self::Seconds),
        ("bytes", Self::Bytes),
        ("bytes/s", Self::BytesPerSecond),
        ("per-second", Self::PerSecond),
        ("cores", Self::Cores),
        ("count", Self::Count),
    ];

    /// As settings and JSON call it.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, m)| *m == self).map_or("count", |(name, _)| name)
    }

    /// For people: `12.5%`, `240ms`, `1.5Gi`, `3.2Mi/s`, `0.5/s`, `17`; `-` for what is no number.
    pub fn text(self, value: f64) -> String {
        if !value.is_finite() {
            return "-".to_owned();
        }
        match self {
            Self::Ratio => format!("{}%", short(value * 100.0)),
            Self::Seconds => match value {
                v if v.abs() < 0.001 && v != 0.0 => format!("{}us", short(v * 1e6)),
                v if v.abs() < 1.0 => format!("{}ms", short(v * 1e3)),
                v if v.abs() < 120.0 => format!("{}s", short(v)),
                v if v.abs() < 7200.0 => format!("{}m", short(v / 60.0)),
                v => format!("{}h", short(v / 3600.0)),
            },
            Self::Bytes => bytes(value),
            Self::BytesPerSecond => format!("{}/s", bytes(value)),
            Self::PerSecond => format!("{}/s", short(value)),
            Self::Cores => format!("{} cores", short(value)),
            Self::Count => short(value),
        }
    }
}

/// Three digits that count, no needless zeros.
fn short(value: f64) -> String {
    let places = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn bytes(value: f64) -> String {
    let (mut value, mut units) = (value, ["B", "Ki", "Mi", "Gi", "Ti"].iter());
    let mut unit = units.next().unwrap_or(&"B");
    while value.abs() >= 1024.0 {
        let Some(next) = units.next() else { break };
        (value, unit) = (value / 1024.0, next);
    }
    format!("{}{unit}", short(value))
}

/// What becomes of a query's answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Gives {
    /// A row a series.
    #[default]
    Signals,
    /// What pods use, where metrics.k8s.io does not tell: `namespace`, `pod`, and `resource`, which is `cpu` (cores) or `memory` (bytes).
    PodUse,
    /// The same of nodes: `node`, else `instance` less its port.
    NodeUse,
    /// How full the volumes of claims are: `namespace`, `persistentvolumeclaim`, and `resource`, which is `bytes` or `inodes` (shares).
    ClaimUse,
}

impl Gives {
    /// By the names that settings use.
    pub const ALL: [(&'static str, Self); 4] =
        [("signals", Self::Signals), ("use-of-pods", Self::PodUse), ("use-of-nodes", Self::NodeUse), ("use-of-claims", Self::ClaimUse)];

    /// Whose use it tells in the stead of metrics.k8s.io; none: it tells something else.
    pub fn instead(self) -> Option<super::Kind> {
        match self {
            Self::Signals | Self::ClaimUse => None,
            Self::PodUse => Some(super::Kind::Pod),
            Self::NodeUse => Some(super::Kind::Node),
        }
    }
}

/// A query: one of those that come with qd, or of the settings.
#[derive(Clone, PartialEq, Debug)]
pub struct Query {
    /// Kebab-case.
    pub name: Str,
    /// `pods`, `nodes`, `storage`, `api`, `scheduler`, `dns`, `network`, `etcd`, `monitoring`, or the user's own.
    pub area: Str,
    /// What it measures, in a few words.
    pub title: Str,
    /// PromQL. `$by` stands for the label that tells clusters apart and a comma, `$match` for a matcher on it and a comma; both are empty where a Prometheus
    /// serves one cluster.
    pub expr: String,
    pub measure: Measure,
    /// At and above this it is worth a look.
    pub warning: Option<f64>,
    /// At and above this it is bad.
    pub critical: Option<f64>,
    /// Only the so many highest of a cluster; none: all, with their course.
    pub top: Option<u32>,
    /// How often it is asked, where it is dear; none: every minute. Then it has no course but what was heard.
    pub every: Option<Duration>,
    /// The metric without which it says nothing.
    pub needs: String,
    pub gives: Gives,
}

impl Query {
    /// The expression for one cluster label, and the names that it may have; both empty where all there is belongs to one cluster.
    pub fn filled(&self, label: Option<&str>, names: &[String]) -> String {
        fill(&self.expr, label, names)
    }
}

/// Puts the cluster's label into an expression's `$by` and `$match`.
pub fn fill(expr: &str, label: Option<&str>, names: &[String]) -> String {
    let Some(label) = label else { return expr.replace("$by", "").replace("$match", "") };
    let escaped: Vec<String> = names.iter().map(|n| regex::escape(n)).collect();
    // A string of PromQL: the backslash of the pattern is doubled.
    let pattern = escaped.join("|").replace('\\', "\\\\").replace('"', "\\\"");
    expr.replace("$by", &format!("{label},")).replace("$match", &format!("{label}=~\"{pattern}\","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        let of = |m: Measure, v: f64| m.text(v);
        assert_eq!(of(Measure::Ratio, 0.4567), "45.7%");
        assert_eq!(of(Measure::Ratio, 1.0), "100%");
        assert_eq!(of(Measure::Seconds, 0.0004), "400us");
        assert_eq!(of(Measure::Seconds, 0.24), "240ms");
        assert_eq!(of(Measure::Seconds, 3.4), "3.4s");
        assert_eq!(of(Measure::Seconds, 0.0), "0ms");
        assert_eq!(of(Measure::Seconds, 7200.0), "2h");
        assert_eq!(of(Measure::Bytes, 1.5 * 1024.0 * 1024.0 * 1024.0), "1.5Gi");
        assert_eq!(of(Measure::BytesPerSecond, 512.0), "512B/s");
        assert_eq!(of(Measure::Count, 17.0), "17");
        assert_eq!(of(Measure::Cores, 0.25), "0.25 cores");
        assert_eq!(of(Measure::PerSecond, f64::NAN), "-");
        assert!(Measure::ALL.iter().all(|(name, m)| m.name() == *name));
    }

    #[test]
    fn a_cluster_is_told_by_its_label_or_not_at_all() {
        let expr = "sum by ($by job)(up{$match job!=\"\"})";
        assert_eq!(fill(expr, None, &[]), "sum by ( job)(up{ job!=\"\"})");
        let names = ["prod.eu".to_owned(), "a\"b".to_owned()];
        assert_eq!(fill(expr, Some("cluster"), &names), "sum by (cluster, job)(up{cluster=~\"prod\\\\.eu|a\\\"b\", job!=\"\"})");
    }
}
