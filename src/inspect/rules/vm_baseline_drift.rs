//! A workload that is said to have run in a VM costs more CPU for a request, or more memory, than it did there.
//!
//! The annotation says what that was. Requests are those of the ingress to the Service of the workload's name. Left out: latency, and a VM that still
//! runs beside it.

use super::measured::{BASE, Measured, Seen, USUAL, after};
use crate::inspect::{Need, RuleInfo, Severity, Threshold};
use crate::model::{BASELINE, Workload, quantity};

const CPU: Threshold = Threshold { name: "cpu-above", default: "120%", doc: "of its baseline, the CPU time for a request" };
const MEMORY: Threshold = Threshold { name: "memory-above", default: "130%", doc: "the same of a pod's memory without page cache" };

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "vm-baseline-drift",
        area: "runtime",
        tier: 2,
        burns: false,
        severity: Severity::Warning,
        scope: "workload with a recorded VM baseline",
        summary: "CPU time for a request is above 1.2, or memory without page cache above 1.3 of what the annotation quarterdeck.io/vm-baseline says, for 1 hour",
        why: "Only a comparison at equal load tells if the container is slower or just measured differently.",
        needs: &[Need::Query("cpu-by-request")],
        thresholds: &[after("1h"), CPU, MEMORY],
        links: &[
            "https://docs.kernel.org/scheduler/sched-bwc.html",
            "https://kubernetes.io/docs/tasks/administer-cluster/cpu-management-policies/",
        ],
        ..BASE
    },
    queries: &["cpu-by-request", "resident"],
    level: |seen| {
        let (was, above) = (before(seen)?, if cpu(seen) { &CPU } else { &MEMORY });
        (seen.number() * 100.0 > was * seen.threshold(above) as f64).then_some(Severity::Warning)
    },
    says: |seen| {
        let was = before(seen).unwrap_or_default();
        let what = if cpu(seen) { "a request costs" } else { "memory is" };
        format!("{what} {} of what it was in the VM", crate::model::Measure::Ratio.text(seen.number() / was))
    },
    next: "See which of its other findings explain it: throttling, threads, governor, page cache, DNS; then measure at equal load again",
    more: |seen, finding| {
        let said = seen.workload().and_then(|w| w.baseline.as_deref()).unwrap_or_default().to_owned();
        let was = before(seen).map_or_else(String::new, |v| seen.signal.measure.text(v));
        finding.with_all([("in the VM", was), (BASELINE, said)])
    },
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

fn cpu(seen: &Seen<'_>) -> bool {
    &*seen.signal.meta.name == "cpu-by-request"
}

/// What is recorded of the VM that a workload ran in, by its name in the annotation.
pub(super) fn recorded<'a>(w: &'a Workload, name: &str) -> Option<&'a str> {
    w.baseline.as_deref()?.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
}

/// What it was before: seconds of CPU for a request, or bytes of a pod.
fn before(seen: &Seen<'_>) -> Option<f64> {
    let workload = seen.workload()?;
    let of = |name: &str| recorded(workload, name);
    let was = if cpu(seen) {
        quantity::milli(of("cpu")?)? as f64 / quantity::milli(of("requests")?)? as f64
    } else {
        quantity::whole(of("memory")?)? as f64
    };
    Some(was).filter(|was| was.is_finite() && *was > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, deployment};
    use crate::inspect::rules::measured::tests::seen;
    use crate::model::Kind;
    use serde_json::json;

    fn found(said: &str, query: &str, value: f64, wait: i64) -> Option<String> {
        let mut fleet = Fleet::default();
        let mut web = deployment("web", 2, 2);
        web["metadata"]["annotations"][BASELINE] = json!(said);
        fleet.put(Kind::Deployment, [web]);
        seen(&mut fleet, &RULE, query, &[("namespace", "pay"), ("workload", "web")], value, wait).map(|f| f.message)
    }

    #[test]
    fn against_what_is_said_of_the_vm() {
        let said = "cpu=1500m, requests=150,memory=1Gi";
        // Ten milliseconds for a request.
        assert_eq!(found(said, "cpu-by-request", 0.0125, 3600).as_deref(), Some("a request costs 125% of what it was in the VM"));
        assert_eq!((found(said, "cpu-by-request", 0.0119, 3600), found(said, "cpu-by-request", 0.0125, 3599)), (None, None));
        assert_eq!(found(said, "resident", 1.5 * 1024f64.powi(3), 3600).as_deref(), Some("memory is 150% of what it was in the VM"));
        assert_eq!(found(said, "resident", 1.29 * 1024f64.powi(3), 3600), None);
        assert_eq!(
            (found("cpu=1", "cpu-by-request", 9.0, 3600), found("", "resident", 9e9, 3600)),
            (None, None),
            "nothing to compare with"
        );
    }
}
