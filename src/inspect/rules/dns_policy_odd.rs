//! Pods that resolve names with another server, or other suffixes, than people think.
//!
//! Judged from the template, and of nodes by the DNS that their kubelets give to pods, where these were heard. Left out: the resolv.conf of nodes (a file
//! there), and the event DNSConfigForming, which says of a pod what its template says.

use super::later;
use super::lint::{TEMPLATED, Whole, and, several};
use crate::inspect::{Judge, RuleInfo, Severity, Verdict};
use crate::model::{Kind, Node, Object, Svc};

pub static RULE: RuleInfo = RuleInfo {
    id: "dns-policy-odd",
    area: "network",
    tier: 1,
    burns: false,
    severity: Severity::Critical,
    scope: "workload, node",
    summary: "hostNetwork with ClusterFirst, dnsPolicy Default on what names Services, more than three nameservers or 32 search domains; info: a musl before Alpine 3.18; critical: a kubelet gives pods a DNS that is no Service of kube-system and not on the node",
    why: "The pod resolves with another server or other suffixes than people think, so names work on one node and not on the next.",
    kinds: &KINDS,
    needs: &[],
    leans_on: &[],
    thresholds: &[],
    peers: &[],
    links: &[
        "https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/",
        "https://kubernetes.io/docs/tasks/administer-cluster/dns-custom-nameservers/",
    ],
    judge,
};

const KINDS: [Kind; TEMPLATED.len() + 1] = and(TEMPLATED, Kind::Node);

/// How often one looks again (seconds) at what kubelets say.
const AGAIN: i64 = 600;

/// The DNS that a node's pods get is nobody's that is known here.
fn node(judge: &Judge<'_>, node: &Node) -> Verdict {
    let again = Verdict::LookAgain(later(judge, AGAIN));
    let Some(kubelet) = judge.cluster.asked.kubelet(&node.meta.name).filter(|k| !k.dns.is_empty()) else { return again };
    let answers = |s: &&std::sync::Arc<Svc>| s.ip.is_some() && s.ports.iter().any(|p| p.port == 53);
    let services: Vec<&Svc> = judge.index.services(judge.cluster, "kube-system").filter(answers).map(|s| &**s).collect();
    if services.is_empty() || !judge.cluster.current(Kind::Service) {
        return again;
    }
    // Of two families each Service tells one address.
    let known = |ip: &str| ip.starts_with("169.254.") || services.iter().any(|s| s.ip.as_deref() == Some(ip));
    if kubelet.dns.split(',').any(known) {
        return again;
    }
    let names = several(services.iter().map(|s| format!("{} {}", s.meta.name, s.ip.as_deref().unwrap_or(""))).collect(), 3);
    let finding = judge
        .finding(Severity::Critical, None, format!("its pods ask {} for names: no DNS of this cluster", kubelet.dns))
        .with("clusterDNS of its kubelet", &*kubelet.dns, None)
        .with("DNS Services of kube-system", names, None)
        .then("Set clusterDNS in the kubelet's configuration to the DNS Service's address, and restart the kubelet; pods get it when they start anew");
    Verdict::BurningUntil(finding, later(judge, AGAIN))
}

/// What the resolver and the kubelet take: more is dropped.
const NAMESERVERS: usize = 3;
const SEARCHES: usize = 32;
const SEARCH_CHARS: usize = 2048;

fn judge(judge: &Judge<'_>) -> Verdict {
    if let Some(Object::Node(n)) = judge.object {
        return node(judge, n);
    }
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

    #[test]
    fn what_kubelets_give_to_pods() {
        use crate::inspect::fixture::{Fleet, node, service};
        use crate::model::asked::Kubelet;
        use crate::model::{Asked, Delta, KindState};
        let of = |dns: &str, port: i32| {
            let mut fleet = Fleet::default();
            fleet.delta(0, Delta::KindState(Kind::Service, KindState::Live));
            let mut s = service("kube-dns", "dns");
            s["metadata"]["namespace"] = json!("kube-system");
            s["spec"]["ports"][0]["port"] = json!(port);
            fleet.put(Kind::Service, [s]);
            let kubelet = Kubelet { node: "n1".into(), dns: dns.into(), ..Kubelet::default() };
            fleet.delta(0, Delta::Asked(Asked { kubelets: Ok([kubelet].into()), ..Asked::default() }.into()));
            fleet.put(Kind::Node, [node("n1", "True", 9000)]);
            fleet.finding(Kind::Node, "n1", RULE.id).map(|f| (f.severity, f.message.clone()))
        };
        let says = "its pods ask 10.0.0.99 for names: no DNS of this cluster";
        assert_eq!(of("10.0.0.99", 53), Some((Severity::Critical, says.to_owned())));
        assert_eq!((of("10.0.0.1", 53), of("169.254.20.10", 53), of("fd00::a,10.0.0.1", 53)), (None, None, None));
        assert_eq!((of("10.0.0.99", 80), of("", 53)), (None, None), "no DNS is seen, or none is named");
    }
}
