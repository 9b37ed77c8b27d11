//! The same load is much of its request, little of its limit and little of the node: three percentages that mean different things.
//!
//! Of the fifty workloads of a cluster that use most of what they request. Left out: alert expressions and dashboards.

use super::measured::{BASE, Measured, Seen, USUAL, after, cores, percent, whole};
use super::vm_baseline_drift::recorded;
use crate::inspect::{Need, RuleInfo, Severity, Threshold};
use crate::model::{HpaMetric, Kind, VerbId, Workload, quantity};

const LIMIT: Threshold = Threshold { name: "limit-below", default: "60%", doc: "share of its limit that it must use less than" };
const NODE: Threshold = Threshold { name: "node-below", default: "50%", doc: "the same of its nodes' CPU" };
const SCALED: Threshold = Threshold {
    name: "scaled-below",
    default: "50%",
    doc: "share of its limit that it uses less than while its autoscaler is above its target",
};
const VM: Threshold = Threshold { name: "of-vm", default: "30%", doc: "of the VM's processors, what a pod requests at the most" };

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "usage-denominator-shift",
        area: "runtime",
        tier: 2,
        burns: false,
        severity: Severity::Info,
        scope: "workload",
        summary: "It uses one and a half of its CPU request, less than 60 % of its limit, and its nodes less than half of theirs; or its autoscaler is above its target for CPU while it uses less than half of its limit; or a pod requests 30 % or less of the vcpus that the annotation quarterdeck.io/vm-baseline says it had; for 30 minutes",
        why: "A VM shows use of its vCPUs, Kubernetes shows use of request, of limit or of the node; the same load becomes three different percentages and load average is the host's.",
        needs: &[Need::Query("cpu-of-request")],
        thresholds: &[after("30m"), LIMIT, NODE, SCALED, VM],
        links: &[
            "https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/",
            "https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#requests-and-limits",
        ],
        ..BASE
    },
    queries: &["cpu-of-request"],
    level: |seen| {
        let use_ = Use::of(seen)?;
        let below = |part: i64, whole: i64, t: &Threshold| part * 100 < whole * seen.threshold(t);
        let limited = |t: &Threshold| use_.limit > 0 && below(use_.cpu, use_.limit, t);
        let shifted = seen.known().is_some() && limited(&LIMIT) && use_.nodes.is_some_and(|(used, all)| below(used, all, &NODE));
        (shifted || over_target(seen, use_.workload).is_some() && limited(&SCALED) || use_.of_vm(seen).is_some()).then_some(Severity::Info)
    },
    says: |seen| {
        let Some(u) = Use::of(seen) else { return String::new() };
        let vm =
            u.of_vm(seen).map(|(each, had)| format!(", and it requests {} of what its VM had", percent(each, had))).unwrap_or_default();
        format!(
            "CPU is {} of its request, {} of its limit, {} of its nodes{vm}",
            percent(u.cpu, u.request),
            percent(u.cpu, u.limit),
            share(u.nodes)
        )
    },
    next: "Request the p95 of its busiest hours, so that 100 % means what it did before, and set the autoscaler's target anew",
    more: |seen, finding| {
        let Some(u) = Use::of(seen) else { return finding };
        let scaler = seen.scaler(u.workload).map_or_else(|| "none".to_owned(), |h| format!("{}, of the request", h.meta.name));
        let marked =
            u.workload.meta.labels.iter().find(|(name, _)| name.contains("migrated")).map(|(name, value)| format!("{name}={value}"));
        let finding = finding.with_all([
            ("cores used", cores(u.cpu)),
            ("requested", cores(u.request)),
            ("limit", cores(u.limit)),
            ("autoscaler", scaler),
            ("over its autoscaler's target", over_target(seen, u.workload).map_or_else(|| "no".to_owned(), shown)),
            (
                "requested of the VM's processors",
                u.of_vm(seen).map_or_else(|| "not less than usual".to_owned(), |(each, vm)| percent(each, vm)),
            ),
            ("marked as migrated", marked.unwrap_or_else(|| "no".to_owned())),
        ]);
        let (w, on) = (u.workload, finding.there());
        let Some([one]) = Some(&*w.shape.containers) else { return finding };
        let each = u.cpu / i64::from(w.desired.unwrap_or(1).max(1));
        finding.act(VerbId::Resize, on, &[("container", &one.name), ("requests", &format!("cpu={each}m"))])
    },
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

/// The metric of its autoscaler for CPU by request, while that is above its target.
fn over_target<'a>(seen: &Seen<'a>, w: &Workload) -> Option<&'a HpaMetric> {
    let cpu = |m: &&HpaMetric| &*m.name == "cpu" && m.percent && m.current.zip(m.target).is_some_and(|(now, target)| now > target);
    seen.scaler(w)?.metrics.iter().find(cpu)
}

/// `95% of 80%`.
fn shown(m: &HpaMetric) -> String {
    format!("{}% of {}%", m.current.unwrap_or(0), m.target.unwrap_or(0))
}

fn share(of: Option<(i64, i64)>) -> String {
    of.map_or_else(|| "none".to_owned(), |(part, whole)| percent(part, whole))
}

/// Millicores, of all replicas.
struct Use<'a> {
    workload: &'a Workload,
    cpu: i64,
    request: i64,
    /// 0 where a container has none.
    limit: i64,
    /// What the nodes of its pods use, and have; none where that is not known.
    nodes: Option<(i64, i64)>,
}

impl<'a> Use<'a> {
    fn of(seen: &Seen<'a>) -> Option<Self> {
        let (judge, workload) = (seen.judge, seen.workload()?);
        let replicas = i64::from(workload.desired.unwrap_or(1).max(1));
        let request = workload.shape.requests.cpu_request_m.filter(|r| *r > 0)? * replicas;
        let limits = workload.shape.containers.iter().map(|c| c.resources.cpu_limit_m).sum::<Option<i64>>();
        let mut names: Vec<_> = judge.index.pods(judge.cluster, workload.meta.uid).iter().filter_map(|p| p.node.clone()).collect();
        names.sort_unstable();
        names.dedup();
        let node = |name: &crate::model::Str| match judge.cluster.named(Kind::Node, "", name) {
            Some(crate::model::Object::Node(n)) => Some((judge.cluster.usage(Kind::Node, "", name)?.cpu_m?, n.cpu_allocatable_m)),
            _ => None,
        };
        let nodes = names.iter().filter_map(node).reduce(|(a, b), (c, d)| (a + c, b + d));
        Some(Self { workload, cpu: whole(seen.number() * request as f64), request, limit: limits.unwrap_or(0) * replicas, nodes })
    }

    /// What a pod requests, and what its VM had (millicores), where that is so little of it.
    fn of_vm(&self, seen: &Seen<'_>) -> Option<(i64, i64)> {
        let had = quantity::milli(recorded(self.workload, "vcpus")?)?;
        let each = self.workload.shape.requests.cpu_request_m?;
        (each * 100 <= had * seen.threshold(&VM)).then_some((each, had))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, deployment, node, owned, pod, replicaset, running};
    use crate::inspect::rules::measured::tests::seen;
    use crate::model::{Delta, Usage, UsageList, UsageRow};
    use serde_json::json;

    fn found(of_request: f64, node_used: i64, wait: i64) -> Option<crate::inspect::Finding> {
        at(of_request, node_used, wait, None, "")
    }

    /// The same with an autoscaler whose target is 80 % and stands at that, and with that said of the VM.
    fn at(of_request: f64, node_used: i64, wait: i64, scaled: Option<i64>, vm: &str) -> Option<crate::inspect::Finding> {
        let mut fleet = Fleet::default();
        let mut web = deployment("web", 1, 1);
        web["metadata"]["annotations"][crate::model::BASELINE] = json!(vm);
        let hpa = |cpu: i64| {
            json!({"metadata": {"name": "web"}, "spec": {"maxReplicas": 4, "scaleTargetRef": {"kind": "Deployment", "name": "web"},
                    "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]},
                "status": {"currentReplicas": 1, "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": cpu}}}]}})
        };
        fleet.put(Kind::Hpa, scaled.map(hpa));
        web["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "1"}, "limits": {"cpu": "4"}});
        let mut n1 = node("n1", "True", 9000);
        n1["status"]["allocatable"] = json!({"cpu": "10"});
        fleet.put(Kind::Deployment, [web]).put(Kind::ReplicaSet, [replicaset("rs", "web", 2, "i:1", 900, 1)]).put(Kind::Node, [n1]);
        fleet.put(Kind::Pod, [pod(owned("p", Kind::ReplicaSet, "rs"), "n1", true, 900, running())]);
        let usage = Usage { cpu_m: Some(node_used), memory: None, at: None };
        let rows = vec![UsageRow { namespace: "".into(), name: "n1".into(), usage }];
        fleet.delta(0, Delta::Usage(UsageList { kind: Kind::Node, namespace: None, rows }));
        seen(&mut fleet, &RULE, "cpu-of-request", &[("namespace", "pay"), ("workload", "web")], of_request, wait)
    }

    #[test]
    fn much_of_the_request_little_of_the_limit_and_of_the_node() {
        let it = found(1.6, 4000, 1800).unwrap();
        assert_eq!(it.message, "CPU is 160% of its request, 40% of its limit, 40% of its nodes");
        assert_eq!(it.severity, Severity::Info);
        assert_eq!(found(1.6, 4000, 1799), None);
        assert_eq!(found(1.49, 4000, 1800), None, "of the request");
        assert_eq!(found(2.4, 4000, 1800), None, "of the limit");
        assert_eq!(found(1.6, 5000, 1800), None, "of the node");
    }
    #[test]
    fn above_the_autoscalers_target_and_far_below_the_limit() {
        let scaled = |cpu: i64, of_request: f64| at(of_request, 9000, 1800, Some(cpu), "").map(|f| f.severity);
        // The nodes are busy: by the other condition nothing is found.
        assert_eq!((scaled(81, 1.6), scaled(80, 1.6)), (Some(Severity::Info), None));
        assert_eq!((scaled(81, 1.99), scaled(81, 2.0)), (Some(Severity::Info), None), "half of the limit");
        let evidence = at(1.6, 9000, 1800, Some(95), "").unwrap().evidence;
        assert!(evidence.iter().any(|e| e.what == "over its autoscaler's target" && e.value == "95% of 80%"), "{evidence:?}");
    }

    #[test]
    fn a_request_that_is_little_of_what_the_vm_had() {
        let of = |vm: &str, wait: i64| at(0.5, 9000, wait, None, vm).map(|f| f.severity);
        assert_eq!((of("vcpus=4", 1800), of("vcpus=4", 1799), of("vcpus=3", 1800), of("", 1800)), (Some(Severity::Info), None, None, None));
        let evidence = at(0.5, 9000, 1800, None, "cpu=1,vcpus=4").unwrap().evidence;
        assert!(evidence.iter().any(|e| e.what == "requested of the VM's processors" && e.value == "25%"), "{evidence:?}");
    }
    #[test]
    fn it_says_what_it_goes_by_and_an_average_is_not_of_the_request() {
        let by_vm = at(0.5, 9000, 1800, None, "vcpus=4").unwrap().message;
        assert_eq!(by_vm, "CPU is 50% of its request, 12% of its limit, 90% of its nodes, and it requests 25% of what its VM had");
        let mut fleet = Fleet::default();
        let mut web = deployment("web", 1, 1);
        web["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "1"}, "limits": {"cpu": "4"}});
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "800m"}}});
        let now = json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageValue": "1600m"}}});
        fleet.put(Kind::Deployment, [web]).put(
            Kind::Hpa,
            [json!({"metadata": {"name": "web"}, "spec": {"maxReplicas": 4, "scaleTargetRef": {"kind": "Deployment", "name": "web"}, "metrics": [metric]},
                "status": {"currentReplicas": 1, "currentMetrics": [now]}})],
        );
        assert_eq!(seen(&mut fleet, &RULE, "cpu-of-request", &[("namespace", "pay"), ("workload", "web")], 1.6, 1800), None);
    }
}
