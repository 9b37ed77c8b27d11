//! A node's CPUs are not set to run at full speed, or do not.
//!
//! Left out: deviation within a machine model (any other governor than performance is told).

use super::measured::{BASE, Measured, Seen, USUAL, after};
use crate::inspect::{Need, RuleInfo, Severity};

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "cpu-governor-slow",
        area: "node",
        burns: false,
        severity: Severity::Warning,
        scope: "node",
        summary: "CPUs with another governor than performance (a warning where core workloads run), 15 % below their nominal frequency while busy, or throttled by heat, for 10 minutes",
        why: "Hypervisor hosts are usually tuned to performance; a fresh Kubernetes node of the same model often is not, so the same code runs slower.",
        needs: &[Need::Query("cpu-governor")],
        thresholds: &[after("10m")],
        links: &["https://docs.kernel.org/admin-guide/pm/cpufreq.html"],
        ..BASE
    },
    queries: &["cpu-governor", "cpu-below-nominal", "cpu-throttles"],
    level,
    says: |seen| match seen.label("governor") {
        "" => format!("{}: {}", seen.signal.title, seen.value()),
        governor => format!("{} CPUs with the governor {governor}", seen.value()),
    },
    next: "Set the governor to performance (a tuned profile, or cpupower); for heat, see its fans and its load",
    more: |seen, finding| {
        let model = seen.node().and_then(|n| n.meta.labels.get("node.kubernetes.io/instance-type")).unwrap_or("not known");
        finding.with_all([("machine", model.to_owned()), ("core pods on it", core_pods(seen).to_string())])
    },
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

fn core_pods(seen: &Seen<'_>) -> usize {
    let Some(node) = seen.node() else { return 0 };
    let judge = seen.judge;
    judge.index.on_node(judge.cluster, &node.meta.name).filter(|o| super::core(judge, o)).count()
}

fn level(seen: &Seen<'_>) -> Option<Severity> {
    match &*seen.signal.meta.name {
        "cpu-governor" if core_pods(seen) == 0 => Some(Severity::Info),
        "cpu-governor" => Some(Severity::Warning),
        _ => seen.limits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, node, owned, pod, running};
    use crate::inspect::rules::measured::tests::seen;
    use crate::model::Kind;
    use serde_json::json;

    #[test]
    fn worse_where_core_workloads_run() {
        let at = |tier: &str, query: &str, value: f64, wait: i64| {
            let mut fleet = Fleet::default();
            let mut one = pod(owned("p", Kind::ReplicaSet, "r"), "n1", true, 900, running());
            one["metadata"]["labels"] = json!({"tier": tier});
            fleet.put(Kind::Node, [node("n1", "True", 9000)]).put(Kind::Pod, [one]);
            let found = seen(&mut fleet, &RULE, query, &[("instance", "n1:9100"), ("governor", "powersave")], value, wait)?;
            assert_eq!(&*found.about.as_ref().unwrap().name, "n1");
            Some(found.severity)
        };
        assert_eq!(at("core", "cpu-governor", 8.0, 600), Some(Severity::Warning));
        assert_eq!(at("core", "cpu-governor", 8.0, 599), None);
        assert_eq!(at("web", "cpu-governor", 8.0, 600), Some(Severity::Info));
        assert_eq!(at("web", "cpu-below-nominal", 0.15, 600), Some(Severity::Warning));
        assert_eq!(at("web", "cpu-below-nominal", 0.149, 600), None);
        assert_eq!(at("web", "cpu-throttles", 1.0, 600), Some(Severity::Warning));
    }
}
