//! Containers whose environment is full of their namespace's Services.

use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Object, PodShape};

const SERVICES: Threshold = Threshold { name: "services", default: "60", doc: "Services of the namespace from which it is worth knowing" };
const INFO: Threshold =
    Threshold { name: "info-from", default: "500", doc: "variables from which it is worth knowing; a warning for Node.js" };
const WARNING: Threshold = Threshold { name: "warning-from", default: "1000", doc: "variables from which it is a warning" };
const CRITICAL: Threshold = Threshold { name: "critical-from", default: "5000", doc: "variables from which it is critical" };
const KIB: Threshold = Threshold { name: "critical-kib", default: "512", doc: "KiB of names and values over which it is critical" };

pub static RULE: RuleInfo = RuleInfo {
    id: "service-links-bloat",
    area: "runtime",
    tier: 1,
    burns: false,
    severity: Severity::Critical,
    scope: "workload",
    summary: "enableServiceLinks gives its containers 500 variables, or those of 60 Services; a warning from 1000 on (500 for Node.js), critical from 5000 or 512 KiB on",
    why: "Every process.env lookup in Node.js scans the whole environment and every fork copies it; hundreds of Services make start and hot paths slow, and only after a restart.",
    kinds: &[Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet],
    needs: &[Need::Kind(Kind::Service)],
    leans_on: &[Kind::Service],
    thresholds: &[SERVICES, INFO, WARNING, CRITICAL, KIB],
    peers: &[],
    links: &["https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables"],
    judge,
};

/// Whether an image says that it is Node.js: a word of its last part.
fn node(shape: &PodShape) -> bool {
    let last = |image: &str| image.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    shape.containers.iter().any(|c| last(&c.image).split(['-', '_', '.', ':', '@']).any(|word| matches!(word, "node" | "nodejs")))
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(object @ Object::Workload(w)) = judge.object else { return Verdict::Fine };
    let links = judge.index.links(&w.meta.namespace);
    let (services, variables, kib) = (i64::from(links.services), i64::from(links.variables), i64::from(links.bytes) / 1024);
    if !w.shape.service_links || w.meta.deleting.is_some() || services < judge.value(&SERVICES) && variables < judge.value(&INFO) {
        return Verdict::Fine;
    }
    let node = node(&w.shape);
    let severity = if variables >= judge.value(&CRITICAL) || kib > judge.value(&KIB) {
        Severity::Critical
    } else if variables >= judge.value(&WARNING) || node && variables >= judge.value(&INFO) {
        Severity::Warning
    } else {
        Severity::Info
    };
    let pods = judge.index.pods(judge.cluster, w.meta.uid);
    // The set is frozen when a container starts: the oldest pod has the fewest.
    let had = pods.iter().filter_map(|p| p.meta.created).min().map(|oldest| {
        let before = |s: &&std::sync::Arc<crate::model::Svc>| s.meta.created.is_none_or(|c| c <= oldest);
        let all = judge.index.services(judge.cluster, &w.meta.namespace).filter(before);
        all.filter_map(|s| s.links()).map(|(count, _)| i64::from(count)).sum::<i64>()
    });
    let grows = had.filter(|had| variables >= had * 2);
    let message = match grows {
        Some(had) => format!("{variables} variables of {services} Services at its next restart, where its oldest pod has {had}"),
        None => format!("{variables} variables of {services} Services in every container"),
    };
    Verdict::Burning(
        judge
            .finding(severity, None, message)
            .with("Services with an address", services.to_string(), None)
            .with("variables", format!("{variables}, {kib} KiB"), None)
            .with("variables of its oldest pod", had.map(|n| n.to_string()).unwrap_or_default(), None)
            .with("pods", pods.len().to_string(), None)
            .with("runtime", if node { "Node.js, by its image" } else { "" }, None)
            .then("Set enableServiceLinks: false in its template, once nothing reads *_SERVICE_HOST; KUBERNETES_SERVICE_* stay")
            .edit_of(Some(object.reference(judge.cluster.id))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, deployment, owned, pod, replicaset, running, service};
    use serde_json::json;

    /// Services of eight variables each, made so many seconds ago.
    fn fleet(services: usize, made: i64, image: &str, links: Option<bool>) -> Fleet {
        let mut fleet = Fleet::default();
        let mut d = deployment("web", 1, 1);
        d["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
        d["spec"]["template"]["spec"]["enableServiceLinks"] = json!(links);
        fleet.put(Kind::Deployment, [d]).put(Kind::ReplicaSet, [replicaset("rs", "web", 1, "i:1", 9000, 1)]);
        fleet.put(Kind::Pod, [pod(owned("p", Kind::ReplicaSet, "rs"), "n", true, 900, running())]);
        let made = |n: usize| {
            let mut s = service(&format!("s{n}"), "x");
            s["metadata"]["creationTimestamp"] = json!(ago(made));
            s
        };
        fleet.put(Kind::Service, (0..services).map(made));
        fleet
    }
    fn rule(f: &Fleet) -> Option<Severity> {
        f.severity(Kind::Deployment, "web", RULE.id)
    }

    #[test]
    fn by_services_and_by_variables() {
        let of = |n: usize| rule(&fleet(n, 9000, "reg/app:1", None));
        assert_eq!((of(59), of(60)), (None, Some(Severity::Info)));
        assert_eq!((of(124), of(125)), (Some(Severity::Info), Some(Severity::Warning)), "a thousand variables");
        assert_eq!((of(624), of(625)), (Some(Severity::Warning), Some(Severity::Critical)), "five thousand");
        assert_eq!(rule(&fleet(63, 9000, "reg/node:22", None)), Some(Severity::Warning));
        assert_eq!(rule(&fleet(62, 9000, "reg/node:22", None)), Some(Severity::Info));
        assert_eq!(rule(&fleet(63, 9000, "reg/nodelocal:22", None)), Some(Severity::Info));
        assert_eq!(rule(&fleet(625, 9000, "reg/app:1", Some(false))), None);
    }

    #[test]
    fn what_the_next_restart_brings_and_what_a_service_less_ends() {
        let f = fleet(60, 60, "reg/app:1", None);
        assert_eq!(
            f.finding(Kind::Deployment, "web", RULE.id).unwrap().message,
            "480 variables of 60 Services at its next restart, where its oldest pod has 0"
        );
        let mut f = fleet(60, 9000, "reg/app:1", None);
        assert_eq!(f.finding(Kind::Deployment, "web", RULE.id).unwrap().message, "480 variables of 60 Services in every container");
        f.delete(Kind::Service, "s7");
        assert_eq!(rule(&f), None);
        let mut headless = service("s7", "x");
        headless["spec"]["clusterIP"] = json!("None");
        f.put(Kind::Service, [headless]);
        assert_eq!(rule(&f), None, "without an address it gives none");
    }
}
