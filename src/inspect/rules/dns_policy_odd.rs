//! Pods that resolve names with another server, or other suffixes, than people think.
//!
//! Judged from the template. Left out: the kubelet's own settings (clusterDNS, resolvConf) and the event DNSConfigForming.

use super::lint::{TEMPLATED, Whole, several};
use crate::inspect::{Judge, RuleInfo, Severity, Verdict};

pub static RULE: RuleInfo = RuleInfo {
    id: "dns-policy-odd",
    area: "network",
    tier: 1,
    burns: false,
    severity: Severity::Warning,
    scope: "workload",
    summary: "hostNetwork with ClusterFirst, dnsPolicy Default on what names Services, more than three nameservers or 32 search domains; info: a musl before Alpine 3.18",
    why: "The pod resolves with another server or other suffixes than people think, so names work on one node and not on the next.",
    kinds: TEMPLATED,
    needs: &[],
    leans_on: &[],
    thresholds: &[],
    peers: &[],
    judge,
};

/// What the resolver and the kubelet take: more is dropped.
const NAMESERVERS: usize = 3;
const SEARCHES: usize = 32;
const SEARCH_CHARS: usize = 2048;

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(whole) = Whole::of(judge) else { return Verdict::Fine };
    let dns = &whole.template.dns;
    let policy = dns.policy.as_deref().unwrap_or("ClusterFirst");
    // With the node's network it falls back to the node's resolver.
    let cluster = policy == "ClusterFirstWithHostNet" || policy == "ClusterFirst" && !whole.shape.host_network;
    let names = whole.template.containers.iter().find(|c| c.names_service);
    let nameservers = dns.nameservers.len() + usize::from(cluster);
    let suffixes = if cluster { 3 } else { 0 };
    let chars: usize = dns.searches.iter().map(|s| s.len() + 1).sum();
    let musl = whole.shape.containers.iter().chain(&whole.shape.init).find(|c| old_musl(&c.image));
    let (severity, message, next) = if whole.shape.host_network && policy == "ClusterFirst" {
        let next = "Set dnsPolicy ClusterFirstWithHostNet, or Default if it names no Services";
        (Severity::Warning, "hostNetwork with ClusterFirst: the node's resolver answers, and Services' names fail".to_owned(), next)
    } else if policy == "Default"
        && let Some(c) = names
    {
        let next = "Set dnsPolicy ClusterFirst";
        (Severity::Warning, format!("dnsPolicy Default, and {} names a Service: the node's resolver does not know it", c.name), next)
    } else if nameservers > NAMESERVERS {
        let next = "Leave the nameservers that it needs: three with the cluster's own";
        (Severity::Warning, format!("{nameservers} nameservers: the resolver takes {NAMESERVERS} and drops the rest"), next)
    } else if dns.searches.len() + suffixes > SEARCHES || chars > SEARCH_CHARS {
        (
            Severity::Warning,
            format!("{} search domains: some are dropped", dns.searches.len() + suffixes),
            "Take out search domains that nobody needs",
        )
    } else if let Some(c) = musl {
        let next = "Build it on Alpine 3.18 or newer";
        (Severity::Info, format!("{}: its musl does not ask again over TCP, and large answers are cut", c.name), next)
    } else {
        return Verdict::Fine;
    };
    let list = |all: &[crate::model::Str]| several(all.iter().map(ToString::to_string).collect(), 6);
    let mut finding = judge
        .finding(severity, None, message)
        .with("dnsPolicy", policy, None)
        .with("hostNetwork", whole.shape.host_network.to_string(), None)
        .with("nameservers", list(&dns.nameservers), None)
        .with("search domains", list(&dns.searches), None)
        .with("options", list(&dns.options), None);
    if dns.aliases > 0 {
        finding = finding.with("names in hostAliases", dns.aliases.to_string(), None);
    }
    if let Some(c) = musl {
        finding = finding.with("image", &*c.image, None);
    }
    whole.verdict(judge, Some(finding.then(next).edit()))
}

/// Whether an image says that its Alpine is older than 3.18, whose musl was the first to ask over TCP.
fn old_musl(image: &str) -> bool {
    let name = image.split('@').next().unwrap_or(image);
    let last = name.rsplit('/').next().unwrap_or(name);
    let versions = last.match_indices("alpine").map(|(at, word)| last[at + word.len()..].trim_start_matches([':', '-']));
    let minor = |text: &str| {
        let rest = text.strip_prefix("3.")?;
        rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse::<u32>().ok()
    };
    versions.filter_map(minor).any(|n| n < 18)
}

#[cfg(test)]
mod tests {
    use super::super::lint::tests::judged;
    use super::*;
    use serde_json::{Value, json};

    fn rule(spec: Value) -> Option<Severity> {
        let mut spec = spec;
        if spec["containers"].is_null() {
            spec["containers"] = json!([{"name": "a"}]);
        }
        judged(RULE.id, spec, false).map(|f| f.0)
    }

    #[test]
    fn whose_resolver_answers() {
        assert_eq!(rule(json!({})), None);
        assert_eq!(rule(json!({"hostNetwork": true})), Some(Severity::Warning));
        assert_eq!(rule(json!({"hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet"})), None);
        let env = json!([{"name": "a", "env": [{"name": "DB", "value": "db.pay.svc:5432"}]}]);
        assert_eq!(rule(json!({"dnsPolicy": "Default"})), None);
        assert_eq!(rule(json!({"dnsPolicy": "Default", "containers": env})), Some(Severity::Warning));
        assert_eq!(rule(json!({"dnsPolicy": "ClusterFirst", "containers": env})), None);
    }

    #[test]
    fn what_is_dropped() {
        let servers = |n: usize, policy: &str| rule(json!({"dnsPolicy": policy, "dnsConfig": {"nameservers": vec!["1.1.1.1"; n]}}));
        assert_eq!((servers(2, "ClusterFirst"), servers(3, "ClusterFirst")), (None, Some(Severity::Warning)));
        assert_eq!((servers(3, "None"), servers(4, "None")), (None, Some(Severity::Warning)));
        let searches = |n: usize| rule(json!({"dnsConfig": {"searches": vec!["a.b"; n]}}));
        assert_eq!((searches(29), searches(30)), (None, Some(Severity::Warning)));
    }

    #[test]
    fn images_that_say_an_old_alpine() {
        for (image, old) in [
            ("alpine:3.17", true),
            ("alpine:3.18.4", false),
            ("reg/app:1.2-alpine3.9", true),
            ("node:18-alpine", false),
            ("reg/alpine-3.12/app:1", false),
            ("app:1@sha256:aa", false),
        ] {
            assert_eq!(old_musl(image), old, "{image}");
        }
        assert_eq!(rule(json!({"containers": [{"name": "a", "image": "node:16-alpine3.16"}]})), Some(Severity::Info));
    }
}
