//! A container that the kernel killed for memory within the last hour.
//!
//! Counting kills in an hour needs history: three count when every restart of the pod lies in the window. Left out: the classes by peak use
//! (limit, node, child process), which need Prometheus or kubelet statistics; whether there is a limit at all is said.

use super::{containers, core, spec};
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict, clock};
use crate::model::{Kind, Object, Phase};

const WINDOW: Threshold = Threshold { name: "window", default: "1h", doc: "how long a kill is shown" };
const MANY: Threshold = Threshold { name: "many", default: "3", doc: "kills in the window that make it critical" };

pub static RULE: RuleInfo = RuleInfo {
    id: "container-oomkilled",
    area: "availability",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "container, rolled up to its workload",
    summary: "A container was OOMKilled in the last hour; critical when it is core or was killed three times",
    why: "The kernel killed the process; the right fix differs if the container limit, the node, or a child process ran out.",
    kinds: &[Kind::Pod],
    needs: &[],
    leans_on: &[],
    thresholds: &[WINDOW, MANY],
    peers: &["npd:OOMKilling", "~krr:use_oomkill_data"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(object @ Object::Pod(pod)) = judge.object else { return Verdict::Fine };
    if pod.phase == Phase::Succeeded || pod.meta.deleting.is_some() {
        return Verdict::Fine;
    }
    let ends = containers(pod).flat_map(|c| c.terminated().into_iter().chain(c.last.as_deref()).map(move |t| (c, t)));
    let kills = ends.filter(|(_, t)| t.reason.as_deref() == Some("OOMKilled"));
    let Some((c, end)) = kills.max_by_key(|(_, t)| t.finished) else { return Verdict::Fine };
    let Some(at) = end.finished else { return Verdict::Fine };
    let window = judge.value(&WINDOW);
    if at.age(judge.now) >= window {
        return Verdict::Fine;
    }
    let young = pod.meta.created.is_some_and(|t| t.age(judge.now) < window);
    let many = young && i64::from(c.restarts) >= judge.value(&MANY);
    let severity = if many || core(judge, object) { Severity::Critical } else { Severity::Warning };
    let limit = spec(pod, c).and_then(|s| s.resources.memory_limit);
    let (message, next) = match limit {
        Some(bytes) => (
            format!("OOMKilled {}, limit {}", clock(at), binary(bytes)),
            "Raise the memory limit above the peak before the kill, or find the leak; if it began with a new revision, roll back",
        ),
        None => (
            format!("OOMKilled {}, no limit", clock(at)),
            "It has no limit: the node ran out. Look at the node's memory and what else runs there; set requests and limits",
        ),
    };
    let finding = judge
        .finding(severity, Some(at), message)
        .with("container", &*c.name, None)
        .with("memory limit", limit.map_or_else(|| "none".to_owned(), binary), None)
        .with("node", pod.node.as_deref().unwrap_or("none"), None)
        .with("QoS", pod.qos.as_str(), None)
        .with("restarts", c.restarts.to_string(), Some(at))
        .then(next);
    Verdict::BurningUntil(finding, at.secs() + window)
}

/// Bytes as a template would say them: `512Mi`.
pub(super) fn binary(bytes: i64) -> String {
    let units = [(30, "Gi"), (20, "Mi"), (10, "Ki")];
    let unit = units
        .iter()
        .find(|(shift, _)| bytes >= 1 << shift && bytes % (1 << shift) == 0)
        .or(units.iter().find(|(shift, _)| bytes >= 100 << shift));
    unit.map_or_else(|| bytes.to_string(), |(shift, name)| format!("{}{name}", bytes >> shift))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, crashing, judged, pod};
    use serde_json::{Value, json};

    fn killed(metadata: Value, restarts: u32, reason: &str, ended: i64) -> Option<Severity> {
        judged(Kind::Pod, pod(metadata, "n", true, ended, crashing(restarts, 137, reason, ended)), "container-oomkilled")
    }

    #[test]
    fn for_an_hour() {
        let old = || json!({"name": "p", "creationTimestamp": ago(90_000)});
        assert_eq!(killed(old(), 1, "OOMKilled", 3599), Some(Severity::Warning));
        assert_eq!(killed(old(), 1, "OOMKilled", 3600), None);
        assert_eq!(killed(old(), 1, "Error", 60), None);
        let mut fleet = Fleet::default();
        fleet.put(Kind::Pod, [pod(old(), "n", true, 60, crashing(1, 137, "OOMKilled", 60))]);
        assert_eq!(fleet.finding(Kind::Pod, "p", "container-oomkilled").unwrap().message, "OOMKilled 11:59Z, limit 512Mi");
        assert_eq!(fleet.wait(3540).severity(Kind::Pod, "p", "container-oomkilled"), None);
    }

    #[test]
    fn critical_when_core_or_killed_three_times_in_a_young_pod() {
        assert_eq!(killed(json!({"name": "p", "labels": {"tier": "core"}}), 1, "OOMKilled", 60), Some(Severity::Critical));
        let young = || json!({"name": "p", "creationTimestamp": ago(1800)});
        assert_eq!(killed(young(), 3, "OOMKilled", 60), Some(Severity::Critical));
        assert_eq!(killed(young(), 2, "OOMKilled", 60), Some(Severity::Warning));
    }
}
