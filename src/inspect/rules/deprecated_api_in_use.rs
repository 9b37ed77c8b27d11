//! Deprecated APIs that somebody still requests.
//!
//! As the API server counted since it started. Left out: who does (managedFields, releases of charts) and stored versions of custom
//! resources.

use crate::inspect::explain::words::joined;
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::asked::{Deprecated, Part};

const WITHIN: Threshold = Threshold { name: "warning-within", default: "2", doc: "minor versions until it is removed" };
const NEXT: Threshold = Threshold { name: "critical-within", default: "1", doc: "minor versions until it is removed" };

pub static RULE: RuleInfo = RuleInfo {
    id: "deprecated-api-in-use",
    area: "control-plane",
    tier: 2,
    burns: false,
    severity: Severity::Critical,
    scope: "cluster, its deprecated APIs",
    summary: "A deprecated API was requested since the API server started: critical when the next minor version has it no more, a warning within two, info later",
    why: "The upgrade removes the API and the client or chart breaks that day.",
    kinds: &[],
    needs: &[Need::Asked(Part::Deprecated)],
    leans_on: &[],
    thresholds: &[WITHIN, NEXT],
    peers: &["popeye:403", "~kube-score:stable-version", "~kube-linter:no-extensions-v1beta"],
    links: &[
        "https://kubernetes.io/docs/reference/using-api/deprecation-guide/",
        "https://kubernetes.io/docs/reference/using-api/deprecation-policy/",
    ],
    judge,
};

/// Minor versions until it is removed.
fn left(d: &Deprecated, minor: i64) -> Option<i64> {
    d.removed.split('.').nth(1)?.parse::<i64>().ok().map(|n| n - minor)
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Ok(used) = &judge.cluster.asked.deprecated else { return Verdict::Fine };
    let minor = judge.cluster.version.as_deref().and_then(super::version_skew::minor).map(|v| i64::from(v.1));
    let mut all: Vec<(Option<i64>, &Deprecated)> = used.iter().map(|d| (minor.and_then(|m| left(d, m)), d)).collect();
    all.sort_by_key(|(left, _)| left.unwrap_or(i64::MAX));
    let Some((soonest, _)) = all.first() else { return Verdict::Fine };
    let severity = match soonest {
        Some(n) if *n <= judge.value(&NEXT) => Severity::Critical,
        Some(n) if *n <= judge.value(&WITHIN) => Severity::Warning,
        _ => Severity::Info,
    };
    let name = |d: &Deprecated| {
        let group = if d.group.is_empty() { String::new() } else { format!(".{}", d.group) };
        format!("{}.{}{group}", d.resource, d.version)
    };
    let mut finding = judge.finding(severity, None, format!("requested: {}", joined(all.iter().map(|(_, d)| name(d)), 3)));
    for (_, d) in all.iter().take(10) {
        let end = if d.removed.is_empty() { "removal not decided".to_owned() } else { format!("removed in {}", d.removed) };
        finding = finding.with(&name(d), end, None);
    }
    Verdict::Burning(
        finding
            .with("the API server is", judge.cluster.version.as_deref().unwrap_or("not known"), None)
            .then("Find who asks for them in the API server's audit log (annotation k8s.io/deprecated), and write those manifests in the version that stays"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::Fleet;
    use crate::model::{Asked, ClusterId, Delta, Uid};

    #[test]
    fn by_how_soon_it_is_removed() {
        let at = |removed: &str| {
            let mut fleet = Fleet::default();
            fleet.delta(0, Delta::Version("v1.36.3".into()));
            let d = Deprecated {
                group: "flow.k8s.io".into(),
                version: "v1beta3".into(),
                resource: "flowschemas".into(),
                removed: removed.into(),
            };
            fleet.delta(0, Delta::Asked(Asked { deprecated: Ok([d].into()), ..Asked::default() }.into()));
            fleet.engine.for_object(ClusterId(0), Uid::default()).iter().find(|f| f.rule == &RULE).map(|f| f.severity)
        };
        assert_eq!(
            [at("1.37"), at("1.38"), at("1.39"), at("")],
            [Some(Severity::Critical), Some(Severity::Warning), Some(Severity::Info), Some(Severity::Info)]
        );
        let mut fleet = Fleet::default();
        fleet.delta(0, Delta::Asked(Asked { deprecated: Ok([].into()), ..Asked::default() }.into()));
        assert!(fleet.engine.for_object(ClusterId(0), Uid::default()).is_empty());
    }
}
