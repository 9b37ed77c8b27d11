//! Programs that count the node's processors in place of their own.
//!
//! Judged from the template, the image's name and the nodes' sizes. What Go and JVMs report themselves counts where a Prometheus has that.
//! Left out: the threads that they have, Node.js (whose workers are the program's own affair), and Go and JDKs whose image does not say their version.

use super::images;
use super::lint::{SERVING, Whole, and};
use super::measured::{Measured, USUAL};
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{ContainerTemplate, Kind, Object};

const SHARE: Threshold =
    Threshold { name: "share", default: "50%", doc: "a CPU limit up to this share of the node's cores is one that the program overlooks" };

const KINDS: [Kind; SERVING.len() + 1] = and(SERVING, Kind::Signal);

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "runtime-sees-host-cpus",
        area: "runtime",
        tier: 1,
        burns: false,
        severity: Severity::Warning,
        scope: "workload, by container",
        summary: "A runtime that counts the node's processors has a CPU limit of half of them or less, or one that sizes itself by its limit has none; a warning where a runtime reports twice the processors of its limit",
        why: "/proc is not namespaced, so top, free and many runtimes show the host; they start far too many threads and heaps, which burn the quota in the first milliseconds of each period.",
        kinds: &KINDS,
        needs: &[Need::Kind(Kind::Pod), Need::Kind(Kind::Node)],
        leans_on: &[],
        thresholds: &[SHARE],
        peers: &[],
        links: &["https://go.dev/blog/container-aware-gomaxprocs", "https://linuxcontainers.org/lxcfs/introduction/"],
        judge,
    },
    queries: &["cpus-believed"],
    says: |seen| format!("its runtime counts {} times the processors of its pod's limit", seen.value()),
    next: "Tell it: GOMAXPROCS from resourceFieldRef limits.cpu, -XX:ActiveProcessorCount; or raise the limit",
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(judge);

/// A runtime that sizes itself by processors.
struct Runtime {
    name: String,
    /// It sees the node's, whatever its limit is.
    unaware: bool,
    /// What tells it another number.
    remedy: &'static str,
}

/// The runtime of a container, if one is known and nobody told it how many processors it has.
fn runtime(c: &ContainerTemplate, image: &str) -> Option<Runtime> {
    let of = |name: String, unaware, remedy| Some(Runtime { name, unaware, remedy });
    if let Some(minor) = images::go(image) {
        let name = format!("Go 1.{minor}");
        return if c.told.go_cpus { None } else { of(name, minor < 25, "GOMAXPROCS from resourceFieldRef limits.cpu") };
    }
    if c.told.jvm || images::jvm(image) {
        let jdk = images::jdk(image);
        let aware = if c.told.unaware { Some(false) } else { jdk.and_then(images::Jdk::aware) };
        let name = jdk.map_or_else(|| "the JVM".to_owned(), |j| format!("JDK {}", j.text()));
        return if c.told.jvm_cpus { None } else { of(name, aware == Some(false), "-XX:ActiveProcessorCount") };
    }
    if images::nginx(image) {
        return if c.told.nginx_cpus {
            None
        } else {
            of("nginx".to_owned(), true, "worker_processes, or NGINX_ENTRYPOINT_WORKER_PROCESSES_AUTOTUNE")
        };
    }
    if images::openmp(image) {
        return if c.told.omp_cpus { None } else { of("OpenMP".to_owned(), true, "OMP_NUM_THREADS") };
    }
    None
}

fn judge(judge: &Judge<'_>) -> Verdict {
    if let Some(Object::Signal(_)) = judge.object {
        return FACTS.judge(judge);
    }
    let Some(whole) = Whole::of(judge) else { return Verdict::Fine };
    let image = |c: &ContainerTemplate| whole.spec(&c.name).map_or("", |s| &*s.image);
    let all: Vec<_> = whole.template.running().filter_map(|c| runtime(c, image(c)).map(|r| (c, r))).collect();
    if all.is_empty() {
        return Verdict::Fine;
    }
    let Some(node) = whole.nodes(judge).into_iter().filter(|n| n.cpu_capacity_m > 0).max_by_key(|n| n.cpu_capacity_m) else {
        return whole.again(judge, None);
    };
    let limit = |c: &ContainerTemplate| whole.spec(&c.name).and_then(|s| s.resources.cpu_limit_m);
    let few = |limit: i64| limit.saturating_mul(100) <= node.cpu_capacity_m.saturating_mul(judge.value(&SHARE));
    let bad = all.iter().find(|(c, r)| limit(c).is_none_or(|l| r.unaware && few(l)));
    let Some((c, r)) = bad else { return whole.again(judge, None) };
    let cores = |m: i64| format!("{}", m as f64 / 1000.0);
    let node_cores = cores(node.cpu_capacity_m);
    let message = match limit(c) {
        Some(l) => format!("{} may use {} cores and counts the node's {node_cores}", r.name, cores(l)),
        None => format!("{} has no CPU limit and takes the node's {node_cores} cores for its own", r.name),
    };
    let finding = judge
        .finding(Severity::Info, None, message)
        .with("container", &*c.name, None)
        .with("image", image(c), None)
        .with("CPU limit", limit(c).map_or_else(|| "none".to_owned(), cores), None)
        .with("cores of the node", format!("{node_cores} ({})", node.meta.name), None)
        .then(format!("Tell it: {}", r.remedy))
        .edit();
    whole.again(judge, Some(finding))
}

#[cfg(test)]
mod tests {
    use super::super::lint::tests::with;
    use super::*;
    use crate::inspect::fixture::{Fleet, node, owned, pod, replicaset, running};
    use serde_json::{Value, json};

    fn rule(image: &str, limit: Option<&str>, env: Value) -> Option<String> {
        let mut n = node("n1", "True", 9000);
        n["status"]["capacity"] = json!({"cpu": "16"});
        let c = json!({"name": "a", "image": image, "env": env, "resources": {"limits": {"cpu": limit}}});
        let c = if limit.is_none() { json!({"name": "a", "image": image, "env": env}) } else { c };
        let mut fleet = Fleet::default();
        fleet.put(Kind::Node, [n]).put(Kind::ReplicaSet, [replicaset("rs", "web", 1, image, 9000, 1)]);
        fleet.put(Kind::Pod, [pod(owned("p", Kind::ReplicaSet, "rs"), "n1", true, 9000, running())]);
        fleet.put(Kind::Deployment, [with(json!({"containers": [c]}), false)]);
        fleet.finding(Kind::Deployment, "web", RULE.id).map(|f| f.message.clone())
    }

    #[test]
    fn what_counts_the_nodes_processors() {
        let none = json!([]);
        assert_eq!(rule("golang:1.22", Some("2"), none.clone()).as_deref(), Some("Go 1.22 may use 2 cores and counts the node's 16"));
        assert_eq!(rule("golang:1.22", Some("2"), json!([{"name": "GOMAXPROCS", "value": "2"}])), None);
        assert_eq!(rule("golang:1.25", Some("2"), none.clone()), None);
        assert!(rule("openjdk:8u181", Some("2"), none.clone()).is_some() && rule("nginx:1.25", Some("2"), none.clone()).is_some());
        assert_eq!((rule("eclipse-temurin:17", Some("2"), none.clone()), rule("reg/app:1", Some("2"), none)), (None, None));
    }

    #[test]
    fn half_of_the_node_and_no_limit_at_all() {
        let none = json!([]);
        assert!(rule("golang:1.22", Some("8"), none.clone()).is_some());
        assert_eq!(rule("golang:1.22", Some("8001m"), none.clone()), None);
        assert_eq!(
            rule("eclipse-temurin:17", None, none.clone()).as_deref(),
            Some("JDK 17 has no CPU limit and takes the node's 16 cores for its own")
        );
        assert_eq!(rule("reg/app:1", None, none), None, "nobody knows what runs in it");
    }

    #[test]
    fn what_a_runtime_reports() {
        use crate::inspect::rules::measured::tests::seen;
        let labels = [("namespace", "pay"), ("workload", "none-such")];
        let of = |value: f64| {
            seen(&mut crate::inspect::fixture::Fleet::default(), &RULE, "cpus-believed", &labels, value, 0).map(|f| f.severity)
        };
        assert_eq!((of(2.0), of(1.9)), (Some(Severity::Warning), None));
    }
}
