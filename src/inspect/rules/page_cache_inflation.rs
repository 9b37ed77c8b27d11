//! A container is near its memory limit, and most of that is page cache.
//!
//! Left out: tmpfs and shared memory, and pressure stall information of containers (few kubelets tell it to cAdvisor).

use super::measured::{BASE, Measured, Seen, USUAL, after, percent, whole};
use crate::inspect::{Need, RuleInfo, Severity};
use crate::model::{Kind, Measure, Object, VerbId};

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "page-cache-inflation",
        area: "runtime",
        burns: false,
        severity: Severity::Warning,
        scope: "container",
        summary: "Its working set is at 80 % of its limit and half of that is page cache, for 15 minutes; a warning when it reads that back from disk 100 times a second",
        why: "Working set counts active file cache of the cgroup, so a service that used 40 % in a VM shows 90 % in a container although nothing leaked.",
        needs: &[Need::Query("cache-share")],
        thresholds: &[after("15m")],
        links: &[
            "https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#eviction-signals",
            "https://docs.kernel.org/admin-guide/cgroup-v2.html",
        ],
        ..BASE
    },
    queries: &["cache-share", "cache-thrashed"],
    level: |seen| if thrashed(seen) { seen.limits() } else { seen.known() },
    says: |seen| {
        if thrashed(seen) {
            return format!("reads its page cache back from disk: {}", seen.value());
        }
        format!("{} of its working set is page cache, not a leak", seen.value())
    },
    next: "Read its resident memory in place of the working set; more memory only helps what reads its cache back",
    more: |seen, finding| {
        let Some(object @ Object::Pod(pod)) = seen.object() else { return finding };
        let spec = pod.shape.containers.iter().find(|c| *c.name == *seen.label("container"));
        let limit = spec.and_then(|c| c.resources.memory_limit).unwrap_or(0);
        let used = seen.judge.cluster.usage(Kind::Pod, &pod.meta.namespace, &pod.meta.name).and_then(|u| u.memory).unwrap_or(0);
        let finding = finding.with_all([
            ("memory limit", Measure::Bytes.text(limit as f64)),
            ("working set of the pod", format!("{} ({} of the limit)", Measure::Bytes.text(used as f64), percent(used, limit))),
        ]);
        if !thrashed(seen) {
            let resident = whole(used as f64 * (1.0 - seen.number()));
            return finding.with_all([("resident, as a VM would show", percent(resident, limit))]);
        }
        let Some(on) = super::controller(seen.judge, object).filter(|_| limit > 0) else {
            return finding;
        };
        finding.act(
            VerbId::Resize,
            Some(on),
            &[("container", seen.label("container")), ("limits", &format!("memory={}Mi", (limit * 5 / 4) >> 20))],
        )
    },
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

fn thrashed(seen: &Seen<'_>) -> bool {
    &*seen.signal.meta.name == "cache-thrashed"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, owned, pod, running};
    use crate::inspect::rules::measured::tests::seen;

    #[test]
    fn cache_is_worth_knowing_and_thrashing_a_warning() {
        let at = |query: &str, value: f64, wait: i64| {
            let mut fleet = Fleet::default();
            fleet.put(Kind::Pod, [pod(owned("p", Kind::ReplicaSet, "r"), "n1", true, 900, running())]);
            seen(&mut fleet, &RULE, query, &[("namespace", "pay"), ("pod", "p"), ("container", "app")], value, wait)
        };
        let found = at("cache-share", 0.5, 900).unwrap();
        assert_eq!((found.severity, found.message.as_str()), (Severity::Info, "50% of its working set is page cache, not a leak"));
        assert!(found.evidence.iter().any(|e| e.what == "memory limit" && e.value == "512Mi"), "{found:?}");
        assert_eq!((at("cache-share", 0.49, 900), at("cache-share", 0.5, 899)), (None, None));
        assert_eq!(at("cache-thrashed", 100.0, 900).map(|f| f.severity), Some(Severity::Warning));
        assert_eq!(at("cache-thrashed", 99.0, 900), None);
    }
}
