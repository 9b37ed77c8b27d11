//! Most DNS answers are that there is no such name: pods try every search suffix first.
//!
//! Left out: which workloads ask for names outside (needs their environment and ConfigMaps).

use super::measured::{BASE, Measured, Seen, USUAL, after, cores, percent};
use crate::inspect::{Need, RuleInfo, Severity};
use crate::model::Object;

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "dns-ndots-amplification",
        area: "network",
        scope: "cluster",
        summary: "More than 40 % of DNS answers are NXDOMAIN and over 200 a second, or 60 % and over 20, for 15 minutes; critical from 75 % on when CoreDNS uses 70 % of its CPU limit",
        why: "With ndots:5 every outside name is first tried with each search suffix, A and AAAA, so one lookup becomes 8-10 queries and answers odd names if a wildcard domain is in the search list.",
        needs: &[Need::Query("dns-nxdomain")],
        thresholds: &[after("15m")],
        peers: &["kube-linter:dnsconfig-options"],
        links: &[
            "https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-dns-config",
            "https://coredns.io/plugins/autopath/",
        ],
        ..BASE
    },
    queries: &["dns-nxdomain"],
    level: |seen| {
        let busy = coredns(seen).is_some_and(|(used, limit)| limit > 0 && used * 100 > limit * 70);
        seen.limits().map(|s| if busy { s } else { Severity::Warning })
    },
    next: "Give those who ask for outside names dnsConfig ndots 2, or write them with a dot at the end; a cache on every node helps all",
    more: |seen, finding| {
        let (used, limit) = coredns(seen).unwrap_or_default();
        let questions = 1.0 / (1.0 - seen.number()).max(0.01);
        finding.with_all([
            ("questions for one answer, about", crate::model::Measure::Count.text(questions)),
            ("CoreDNS CPU", format!("{} ({} of its limit)", cores(used), percent(used, limit))),
        ])
    },
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

/// Millicores that CoreDNS uses, and may.
fn coredns(seen: &Seen<'_>) -> Option<(i64, i64)> {
    let cluster = seen.judge.cluster;
    let object = super::dns_cache_missing::dns(cluster)?;
    let Object::Workload(w) = object else { return None };
    let sum = cluster.usage_of_pods(object)?;
    let limit = w.shape.containers.iter().map(|c| c.resources.cpu_limit_m).sum::<Option<i64>>();
    Some((sum.cpu_m?, limit.unwrap_or(0) * i64::from(sum.pods)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, deployment, owned, pod, replicaset, running};
    use crate::inspect::rules::measured::tests::seen;
    use crate::model::{Delta, Kind, Usage, UsageList, UsageRow};
    use serde_json::json;

    fn at(share: f64, cpu: i64, wait: i64) -> Option<Severity> {
        let mut fleet = Fleet::default();
        let mut dns = deployment("coredns", 1, 1);
        dns["metadata"]["namespace"] = json!("kube-system");
        dns["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "1"}});
        let within = |mut o: serde_json::Value| {
            o["metadata"]["namespace"] = json!("kube-system");
            o
        };
        fleet.put(Kind::Deployment, [dns]).put(Kind::ReplicaSet, [within(replicaset("rs", "coredns", 2, "i:1", 900, 1))]);
        fleet.put(Kind::Pod, [within(pod(owned("dns-1", Kind::ReplicaSet, "rs"), "n1", true, 900, running()))]);
        let usage = Usage { cpu_m: Some(cpu), memory: None, at: None };
        let rows = vec![UsageRow { namespace: "kube-system".into(), name: "dns-1".into(), usage }];
        fleet.delta(0, Delta::Usage(UsageList { kind: Kind::Pod, namespace: None, rows }));
        seen(&mut fleet, &RULE, "dns-nxdomain", &[("job", "coredns")], share, wait).map(|f| f.severity)
    }

    #[test]
    fn a_warning_and_critical_when_the_resolver_is_busy_with_it() {
        assert_eq!(at(0.4, 100, 900), Some(Severity::Warning));
        assert_eq!((at(0.39, 100, 900), at(0.4, 100, 899)), (None, None));
        assert_eq!(at(0.75, 700, 900), Some(Severity::Warning), "at 70 %, not above");
        assert_eq!(at(0.75, 701, 900), Some(Severity::Critical));
        assert_eq!(at(0.74, 900, 900), Some(Severity::Warning));
    }
}
