//! JVMs whose heap does not fit their container.
//!
//! Judged from the template: options in the environment and on the command line, the memory limit, the image's name. Options that an image or a
//! script brings show in what the JVM itself reports, where a Prometheus has that. Left out: JDKs that know only cgroup v1 (which version a node has is not
//! read), and heaps that are too small for their limit (what is full of a heap is the garbage collector's affair).

use super::container_oomkilled::binary;
use super::images;
use super::lint::{TEMPLATED, Whole, and};
use super::measured::{Measured, USUAL};
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{ContainerTemplate, Kind, Object};

const ROOM: Threshold = Threshold {
    name: "most",
    default: "80%",
    doc: "the largest share of the memory limit that the heap may have: the rest is for metaspace, threads and buffers",
};

const KINDS: [Kind; TEMPLATED.len() + 1] = and(TEMPLATED, Kind::Signal);

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "jvm-heap-unaware",
        area: "runtime",
        tier: 1,
        burns: false,
        severity: Severity::Critical,
        scope: "workload, by container",
        summary: "A JVM's largest heap is its memory limit or more, or a JDK that does not know of limits sets none: critical; over 80 % of the limit, or without any limit: a warning",
        why: "An unaware JVM sizes heap and GC threads from the host and is OOM-killed; an aware one with defaults wastes three quarters of the limit.",
        kinds: &KINDS,
        needs: &[],
        leans_on: &[],
        thresholds: &[ROOM],
        peers: &[],
        links: &[
            "https://learn.microsoft.com/en-us/azure/developer/java/containers/overview",
            "https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#requests-and-limits",
        ],
        judge,
    },
    queries: &["jvm-heap"],
    says: |seen| format!("its JVM's largest heap is {} of its pod's memory limit", seen.value()),
    next: "Set -XX:MaxRAMPercentage=70, or -Xmx to 70 % of the memory limit",
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(judge);

/// What is wrong with a container's heap.
fn wrong(c: &ContainerTemplate, image: &str, limit: Option<i64>, most: i64) -> Option<(Severity, String, &'static str)> {
    let told = &c.told;
    if !told.jvm && !images::jvm(image) {
        return None;
    }
    let jdk = images::jdk(image);
    let unaware = told.unaware || jdk.and_then(images::Jdk::aware) == Some(false);
    let old = "Set -Xmx to 70 % of the memory limit, and move to an image whose JDK knows of limits";
    let less = "Set -XX:MaxRAMPercentage=70, or -Xmx to 70 % of the memory limit";
    if told.heap.is_none() && unaware && !told.elsewhere {
        let who = match jdk {
            _ if told.unaware => "-XX:-UseContainerSupport".to_owned(),
            Some(j) => format!("JDK {}", j.text()),
            None => "the JDK".to_owned(),
        };
        return Some((Severity::Critical, format!("{who} and no -Xmx: the heap is sized by the node's memory"), old));
    }
    let Some(limit) = limit else {
        if told.heap.is_some() || told.elsewhere {
            return None;
        }
        let share = told.heap_share.map_or_else(|| "a quarter".to_owned(), |t| format!("{} %", t / 10));
        return Some((
            Severity::Warning,
            format!("no memory limit: its heap may grow to {share} of the node's memory"),
            "Set a memory limit, and -XX:MaxRAMPercentage=70",
        ));
    };
    let (heap, said) = match (told.heap, told.heap_share) {
        (Some(heap), _) => (heap, format!("heap up to {}", binary(heap))),
        (None, Some(share)) => (limit.saturating_mul(i64::from(share)) / 1000, format!("heap up to {} % of its limit", share / 10)),
        _ => return None,
    };
    if heap >= limit {
        return Some((Severity::Critical, format!("{said}, limit {}: it is killed before the heap is full", binary(limit)), less));
    }
    (heap.saturating_mul(100) > limit.saturating_mul(most))
        .then(|| (Severity::Warning, format!("{said}, limit {}: little room beside it", binary(limit)), less))
}

fn judge(judge: &Judge<'_>) -> Verdict {
    if let Some(Object::Signal(_)) = judge.object {
        return FACTS.judge(judge);
    }
    let Some(whole) = Whole::of(judge) else { return Verdict::Fine };
    let spec = |c: &ContainerTemplate| whole.spec(&c.name);
    let image = |c: &ContainerTemplate| spec(c).map_or("", |s| &*s.image);
    let limit = |c: &ContainerTemplate| spec(c).and_then(|s| s.resources.memory_limit);
    let all = whole.template.running().filter_map(|c| wrong(c, image(c), limit(c), judge.value(&ROOM)).map(|w| (c, w)));
    let Some((c, (severity, message, next))) = all.max_by_key(|(_, (severity, ..))| *severity) else { return Verdict::Fine };
    let finding = judge
        .finding(severity, None, message)
        .with("container", &*c.name, None)
        .with("image", image(c), None)
        .with("-Xmx", c.told.heap.map_or_else(|| "not set here".to_owned(), binary), None)
        .with("memory limit", limit(c).map_or_else(|| "none".to_owned(), binary), None)
        .then(next);
    whole.verdict(judge, Some(finding.edit()))
}

#[cfg(test)]
mod tests {
    use super::super::lint::tests::one;
    use super::*;
    use serde_json::json;

    fn at(image: &str, options: &str, limit: &str) -> Option<Severity> {
        let mut c = json!({"image": image, "resources": {"limits": {"memory": limit}}});
        if limit.is_empty() {
            c["resources"] = json!({});
        }
        if !options.is_empty() {
            c["env"] = json!([{"name": "JAVA_TOOL_OPTIONS", "value": options}]);
        }
        one(RULE.id, c, false).map(|f| f.0)
    }

    #[test]
    fn the_heap_against_the_limit() {
        let heap = |options: &str| at("reg/app:1", options, "1000Mi");
        assert_eq!((heap("-Xmx800m"), heap("-Xmx801m")), (None, Some(Severity::Warning)));
        assert_eq!((heap("-Xmx999m"), heap("-Xmx1000m")), (Some(Severity::Warning), Some(Severity::Critical)));
        assert_eq!(
            (heap("-XX:MaxRAMPercentage=80"), heap("-XX:MaxRAMPercentage=81"), heap("-XX:MaxRAMFraction=1")),
            (None, Some(Severity::Warning), Some(Severity::Critical))
        );
        assert_eq!(heap("-Dx=y"), None, "an aware one takes a quarter of its limit");
    }

    #[test]
    fn jdks_that_do_not_know_of_limits() {
        assert_eq!(
            (at("openjdk:8u181", "", "1Gi"), at("openjdk:8u191", "", "1Gi"), at("openjdk:8", "", "1Gi")),
            (Some(Severity::Critical), None, None)
        );
        assert_eq!(at("openjdk:8u181", "-Xmx700m", "1Gi"), None);
        assert_eq!(at("eclipse-temurin:17", "-XX:-UseContainerSupport", "1Gi"), Some(Severity::Critical));
    }

    #[test]
    fn without_a_limit() {
        assert_eq!((at("eclipse-temurin:17", "", ""), at("eclipse-temurin:17", "-Xmx1g", "")), (Some(Severity::Warning), None));
        assert_eq!(at("reg/app:1", "", ""), None, "no JVM that anybody sees");
    }

    #[test]
    fn what_a_jvm_reports() {
        use crate::inspect::rules::measured::tests::seen;
        let labels = [("namespace", "pay"), ("workload", "none-such")];
        let of =
            |value: f64| seen(&mut crate::inspect::fixture::Fleet::default(), &RULE, "jvm-heap", &labels, value, 0).map(|f| f.severity);
        assert_eq!((of(0.8), of(0.79), of(1.0)), (Some(Severity::Warning), None, Some(Severity::Critical)));
    }
}
