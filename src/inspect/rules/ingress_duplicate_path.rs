//! Two Ingresses that lead one host and path to different places.

use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict, title};
use crate::model::ingress::Route;
use crate::model::{Ingress, Kind, Object, Str};

const NEW: Threshold = Threshold { name: "new-for", default: "24h", doc: "how long the newer of two is new, and a clash critical" };

pub static RULE: RuleInfo = RuleInfo {
    id: "ingress-duplicate-path",
    area: "network",
    tier: 1,
    burns: false,
    severity: Severity::Critical,
    scope: "the newer of two Ingresses",
    summary: "An older Ingress of its class has the same host and path with another backend (critical while the newer is new), or its host in another namespace",
    why: "ingress-nginx lets the oldest object win, others merge or pick at random, so a new or re-created Ingress can silently take over or lose a path, login callbacks included.",
    kinds: &[Kind::Ingress],
    needs: &[],
    leans_on: &[],
    thresholds: &[NEW],
    peers: &[],
    links: &[
        "https://kubernetes.github.io/ingress-nginx/how-it-works/#building-the-nginx-model",
        "https://kubernetes.io/docs/concepts/services-networking/ingress/",
    ],
    judge,
};

/// Lines of evidence at the most.
const SHOWN: usize = 5;

/// A path without its trailing slash.
fn bare(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// Whether a path is taken as it is written, and not as a beginning.
fn exact(route: &Route) -> bool {
    &*route.path_type == "Exact"
}

/// Whether one was there before another; of two of one age, by name.
pub(super) fn before(one: &Ingress, other: &Ingress) -> bool {
    let key = |i: &Ingress| (i.meta.created, i.meta.namespace.clone(), i.meta.name.clone());
    key(one) < key(other)
}

/// Whether two are served by the same, and both are meant to be.
pub(super) fn rivals(one: &Ingress, other: &Ingress) -> bool {
    let stands = |i: &Ingress| i.meta.deleting.is_none() && !i.canary();
    one.meta.uid != other.meta.uid && one.class == other.class && stands(one) && stands(other)
}

/// Whether it is new, and when it will not be any more (unix seconds).
pub(super) fn new(judge: &Judge<'_>, ingress: &Ingress, threshold: &Threshold) -> Option<i64> {
    let until = ingress.meta.created?.secs() + judge.value(threshold);
    (judge.now < until).then_some(until)
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Ingress(own)) = judge.object else { return Verdict::Fine };
    let until = new(judge, own, &NEW);
    let clash = if until.is_some() { Severity::Critical } else { Severity::Warning };
    // What is wrong, how badly, and with whom.
    let mut found: Vec<(Severity, String, &Ingress)> = Vec::new();
    let mut hosts: Vec<&Str> = own.routes.iter().map(|r| &r.host).collect();
    hosts.sort_unstable();
    hosts.dedup();
    for host in hosts {
        let all = if host.is_empty() { "*" } else { host };
        for other in judge.index.at_host(judge.cluster, host).filter(|o| rivals(own, o)) {
            let theirs: Vec<&Route> = other.routes.iter().filter(|r| r.host == *host).collect();
            if theirs.is_empty() || !before(other, own) {
                continue;
            }
            let elsewhere = other.meta.namespace != own.meta.namespace;
            for route in own.routes.iter().filter(|r| r.host == *host) {
                for their in theirs.iter().filter(|t| bare(&t.path) == bare(&route.path)) {
                    if !elsewhere && their.backend == route.backend {
                        continue;
                    }
                    let to = |r: &Route| r.backend.as_ref().map_or_else(|| "a resource".to_owned(), ToString::to_string);
                    let who = title(&other.meta.namespace, &other.meta.name);
                    let text = format!("{all}{} leads to {} here and to {} by {who}", route.path, to(route), to(their));
                    found.push(if exact(route) == exact(their) { (clash, text, other) } else { (Severity::Info, text, other) });
                }
            }
            if elsewhere && !host.is_empty() {
                let who = title(&other.meta.namespace, &other.meta.name);
                found.push((Severity::Warning, format!("{all} is a host of {who} too, in another namespace"), other));
            }
        }
        if let Some((_, parent)) = host.split_once('.').filter(|(first, _)| *first != "*") {
            let wild = format!("*.{parent}");
            for other in judge.index.at_host(judge.cluster, &wild).filter(|o| rivals(own, o)) {
                let who = title(&other.meta.namespace, &other.meta.name);
                found.push((Severity::Info, format!("{host} is in {wild} of {who} too"), other));
            }
        }
    }
    found.sort_by_key(|(severity, ..)| std::cmp::Reverse(*severity));
    let Some((severity, message, other)) = found.first() else { return Verdict::Fine };
    let more = if found.len() > 1 { format!(", and {} more", found.len() - 1) } else { String::new() };
    let mut finding = judge
        .finding(*severity, own.meta.created, format!("{message}{more}"))
        .with("the older", title(&other.meta.namespace, &other.meta.name), other.meta.created)
        .with("the newer", title(&own.meta.namespace, &own.meta.name), own.meta.created)
        .with("class", own.class.as_deref().unwrap_or("none"), None);
    for (_, text, _) in found.iter().take(SHOWN) {
        finding = finding.with("route", text.clone(), None);
    }
    let finding =
        finding.then("Take the path out of one of the two, or give the newer its own host; with ingress-nginx the older wins").edit();
    match until.filter(|_| *severity == Severity::Critical) {
        Some(at) => Verdict::BurningUntil(finding, at),
        None => Verdict::Burning(finding),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, ingress};
    use serde_json::{Value, json};

    const DAY: i64 = 86_400;

    fn aged(mut i: Value, secs: i64) -> Value {
        i["metadata"]["creationTimestamp"] = json!(ago(secs));
        i
    }
    fn rule(f: &Fleet, name: &str) -> Option<Severity> {
        f.severity(Kind::Ingress, name, RULE.id)
    }
    fn two(old: Value, new: Value, age: i64) -> Fleet {
        let mut f = Fleet::default();
        // The order in which they are told says nothing.
        f.put(Kind::Ingress, [aged(new, age), aged(old, 30 * DAY)]);
        f
    }

    #[test]
    fn the_newer_burns_and_is_critical_for_a_day() {
        let old = || ingress("old", "a.example.com", &[("/login", "auth"), ("/x", "x")]);
        let new = || ingress("new", "a.example.com", &[("/login/", "shiny")]);
        let mut f = two(old(), new(), DAY - 10);
        assert_eq!((rule(&f, "new"), rule(&f, "old")), (Some(Severity::Critical), None));
        let found = f.finding(Kind::Ingress, "new", RULE.id).unwrap();
        assert_eq!(found.message, "a.example.com/login/ leads to shiny:80 here and to auth:80 by pay/old");
        assert_eq!(rule(f.wait(10), "new"), Some(Severity::Warning), "new no more");
        f.delete(Kind::Ingress, "old");
        assert_eq!(rule(&f, "new"), None, "the other is gone");
    }

    #[test]
    fn what_is_no_clash() {
        let old = || ingress("old", "a.example.com", &[("/login", "auth")]);
        let fine = |new: Value| rule(&two(old(), new, 60), "new");
        assert_eq!(fine(ingress("new", "a.example.com", &[("/", "auth")])), None, "another path");
        assert_eq!(fine(ingress("new", "a.example.com", &[("/login", "auth")])), None, "the same place");
        assert_eq!(fine(ingress("new", "b.example.com", &[("/login", "x")])), None, "another host");
        let mut other = ingress("new", "a.example.com", &[("/login", "x")]);
        other["spec"]["ingressClassName"] = json!("internal");
        assert_eq!(fine(other), None, "another class");
        let mut canary = ingress("new", "a.example.com", &[("/login", "x")]);
        canary["metadata"]["annotations"] = json!({"nginx.ingress.kubernetes.io/canary": "true"});
        assert_eq!(fine(canary), None, "a canary");
    }

    #[test]
    fn other_namespaces_overlaps_and_wildcards_weigh_less() {
        let old = || ingress("old", "a.example.com", &[("/login", "auth")]);
        let mut elsewhere = ingress("new", "a.example.com", &[("/", "auth")]);
        elsewhere["metadata"]["namespace"] = json!("shop");
        assert_eq!(rule(&two(old(), elsewhere, 60), "new"), Some(Severity::Warning));
        let mut exact = ingress("new", "a.example.com", &[("/login", "x")]);
        exact["spec"]["rules"][0]["http"]["paths"][0]["pathType"] = json!("Exact");
        assert_eq!(rule(&two(old(), exact, 60), "new"), Some(Severity::Info));
        let mut f = two(old(), ingress("wild", "*.example.com", &[("/", "w")]), 60);
        assert_eq!(
            (rule(&f, "old"), rule(&f, "wild")),
            (Some(Severity::Info), None),
            "the listed host is in the wildcard, which came later"
        );
        f.delete(Kind::Ingress, "wild");
        assert_eq!(rule(&f, "old"), None);
    }
}
