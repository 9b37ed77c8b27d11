//! A node that leaves its own daemons too little.

use crate::inspect::explain::words::bytes;
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Object};

const SHARE: Threshold = Threshold { name: "share", default: "50%", doc: "of the usual reservation that a node must keep" };

pub static RULE: RuleInfo = RuleInfo {
    id: "node-reservation-thin",
    area: "capacity",
    tier: 1,
    burns: false,
    severity: Severity::Warning,
    scope: "node",
    summary: "It reserves no CPU, at most 100 MiB of memory, or less than half of what is usual for its size",
    why: "Pods may then take the memory and CPU the kubelet, runtime and sshd need; the whole node goes NotReady instead of one pod.",
    kinds: &[Kind::Node],
    needs: &[],
    leans_on: &[],
    thresholds: &[SHARE],
    peers: &[],
    links: &["https://kubernetes.io/docs/tasks/administer-cluster/reserve-compute-resources/#node-allocatable"],
    judge,
};

const GIB: i64 = 1 << 30;
/// The kubelet's hard eviction threshold of memory, when nothing else is set.
const EVICTION: i64 = 100 << 20;

/// What is usual for so much memory (bytes): a quarter of the first 4 GiB, a fifth of the next 4, a tenth of the next 8, 6 % of the next 112, 2 %
/// of the rest.
fn memory(capacity: i64) -> i64 {
    let mut left = capacity;
    let mut sum = 0;
    for (size, percent) in [(4 * GIB, 25), (4 * GIB, 20), (8 * GIB, 10), (112 * GIB, 6), (i64::MAX, 2)] {
        let part = left.min(size);
        sum += part / 100 * percent;
        left -= part;
    }
    sum
}

/// What is usual for so many millicores: 6 % of the first core, 1 % of the next, half a percent of the next two, a quarter of the rest.
fn cpu(capacity_m: i64) -> i64 {
    let part = |from: i64, size: i64, per_ten_thousand: i64| (capacity_m - from).clamp(0, size) * per_ten_thousand / 10_000;
    part(0, 1000, 600) + part(1000, 1000, 100) + part(2000, 2000, 50) + part(4000, i64::MAX, 25)
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Node(n)) = judge.object else { return Verdict::Fine };
    if n.memory_capacity <= 0 || n.cpu_capacity_m <= 0 || n.memory_allocatable <= 0 {
        return Verdict::Fine;
    }
    let kept = (n.cpu_capacity_m - n.cpu_allocatable_m, n.memory_capacity - n.memory_allocatable);
    let usual = (cpu(n.cpu_capacity_m), memory(n.memory_capacity));
    let share = judge.value(&SHARE);
    let mut thin = Vec::new();
    if kept.0 * 100 < usual.0 * share || kept.0 <= 0 {
        thin.push(if kept.0 <= 0 { "no CPU".to_owned() } else { format!("{}m CPU", kept.0) });
    }
    if kept.1 / 100 * 100 < usual.1 / 100 * share || kept.1 <= EVICTION {
        thin.push(if kept.1 <= 0 { "no memory".to_owned() } else { format!("{} of memory", bytes(kept.1)) });
    }
    if thin.is_empty() {
        return Verdict::Fine;
    }
    Verdict::Burning(
        judge
            .finding(Severity::Warning, n.meta.created, format!("reserves {}", thin.join(" and ")))
            .with("reserved", format!("{}m CPU, {}", kept.0, bytes(kept.1)), None)
            .with("usual for its size", format!("{}m CPU, {}", usual.0, bytes(usual.1)), None)
            .then(format!(
                "Set the kubelet's systemReserved and kubeReserved to about {}m CPU and {} together, node by node: cordon, drain, restart",
                usual.0,
                bytes(usual.1)
            )),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, node};
    use serde_json::json;

    fn at(cpu: &str, memory: &str) -> Option<String> {
        let mut fleet = Fleet::default();
        let mut n = node("n", "True", 9000);
        n["status"]["capacity"] = json!({"cpu": "16", "memory": "64Gi", "pods": "110"});
        n["status"]["allocatable"] = json!({"cpu": cpu, "memory": memory, "pods": "110"});
        fleet.put(Kind::Node, [n]);
        fleet.finding(Kind::Node, "n", RULE.id).map(|f| f.message.clone())
    }

    #[test]
    fn the_usual_sums() {
        // 0.25*4 + 0.2*4 + 0.1*8 + 0.06*48 GiB; 60 + 10 + 10 + 30 millicores.
        assert_eq!((memory(64 * GIB) * 100 / GIB, cpu(16_000)), (547, 110));
        assert_eq!(cpu(500), 30);
    }

    #[test]
    fn less_than_half_of_the_usual_or_nothing() {
        assert_eq!(at("15900m", "58Gi"), None);
        assert_eq!(at("16", "58Gi").as_deref(), Some("reserves no CPU"));
        assert_eq!(at("15945m", "58Gi"), None, "exactly half");
        assert_eq!(at("15946m", "58Gi").as_deref(), Some("reserves 54m CPU"));
        assert!(at("15900m", "65436Mi").unwrap().starts_with("reserves 100"), "only the eviction threshold");
    }
}
