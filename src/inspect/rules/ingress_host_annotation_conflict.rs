//! Ingresses of one host that tell the controller different things about it.

use super::ingress_duplicate_path::{before, new, rivals};
use crate::inspect::index::{claims, taken_along};
use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict, title};
use crate::model::{Ingress, Kind, Object};

const NEW: Threshold = Threshold { name: "new-for", default: "24h", doc: "how long the newer of two is new, and a conflict critical" };

pub static RULE: RuleInfo = RuleInfo {
    id: "ingress-host-annotation-conflict",
    area: "network",
    tier: 1,
    burns: false,
    severity: Severity::Critical,
    scope: "the newer of two Ingresses",
    summary: "Ingresses of ingress-nginx with one host differ in TLS, redirects, aliases, auth or regex paths (critical while the newer is new); info where paths alone differ",
    why: "Some annotations act on the whole server block of a host; adding one more Ingress changes redirects and callback URLs of applications nobody touched.",
    kinds: &[Kind::Ingress],
    needs: &[],
    leans_on: &[],
    thresholds: &[NEW],
    peers: &[],
    links: &[
        "https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/",
        "https://kubernetes.github.io/ingress-nginx/how-it-works/#building-the-nginx-model",
        "https://kubernetes.github.io/ingress-nginx/user-guide/ingress-path-matching/#warning",
    ],
    judge,
};

/// They act on the whole host. One that makes all paths of the host regular expressions does too.
const SERVER: [&str; 12] = [
    "ssl-redirect",
    "force-ssl-redirect",
    "from-to-www-redirect",
    "server-alias",
    "server-snippet",
    "auth-url",
    "auth-signin",
    "auth-type",
    "auth-secret",
    "auth-tls-secret",
    "use-regex",
    "rewrite-target",
];
/// They act on the paths of the one Ingress.
const PATH: [&str; 11] = [
    "app-root",
    "backend-protocol",
    "configuration-snippet",
    "permanent-redirect",
    "permanent-redirect-code",
    "preserve-trailing-slash",
    "proxy-redirect-from",
    "proxy-redirect-to",
    "temporal-redirect",
    "upstream-vhost",
    "x-forwarded-prefix",
];

/// What differs at one host, and how badly.
struct Differs<'a> {
    severity: Severity,
    what: &'static str,
    host: String,
    own: String,
    their: String,
    other: &'a Ingress,
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Ingress(own)) = judge.object else { return Verdict::Fine };
    let until = new(judge, own, &NEW);
    let worst = if until.is_some() { Severity::Critical } else { Severity::Warning };
    let mut found: Vec<Differs<'_>> = Vec::new();
    for host in claims(own) {
        let others = judge.index.at_host(judge.cluster, &host);
        for other in others.filter(|o| rivals(own, o) && before(o, own) && (own.nginx() || o.nginx())) {
            let differs =
                |severity, what, own: String, their: String| Differs { severity, what, host: host.to_string(), own, their, other };
            let (mine, theirs) = (named(own, &host), named(other, &host));
            if !mine || !theirs {
                let taken = |i: &Ingress| if named(i, &host) { "its host" } else { "alias or www twin" }.to_owned();
                if mine || theirs {
                    found.push(differs(worst, "a claim to the host", taken(own), taken(other)));
                }
                continue;
            }
            let tls = |i: &Ingress| match i.certificate(&host) {
                None => "no TLS".to_owned(),
                Some(secret) => secret.map_or_else(|| "the controller's own".to_owned(), ToString::to_string),
            };
            if tls(own) != tls(other) {
                found.push(differs(worst, "tls", tls(own), tls(other)));
            }
            for (keys, severity) in [(&SERVER[..], worst), (&PATH[..], Severity::Info)] {
                for key in keys {
                    let value = |i: &Ingress| i.settings.get(key).unwrap_or("unset").to_owned();
                    if value(own) != value(other) {
                        found.push(differs(severity, key, value(own), value(other)));
                    }
                }
            }
        }
    }
    found.sort_by_key(|d| std::cmp::Reverse(d.severity));
    let Some(first) = found.first() else { return Verdict::Fine };
    let mut names: Vec<&str> = found.iter().filter(|d| d.severity == first.severity).map(|d| d.what).collect();
    names.dedup();
    let who = |i: &Ingress| title(&i.meta.namespace, &i.meta.name);
    let host = if first.host.is_empty() { "any host" } else { &first.host };
    let mut finding = judge
        .finding(first.severity, own.meta.created, format!("{host}: {} differ from {}", names.join(", "), who(first.other)))
        .with("the older", who(first.other), first.other.meta.created)
        .with("the newer", who(own), own.meta.created);
    for d in &found {
        finding = finding.with(d.what, format!("{}: {} here, {} at {}", d.host, d.own, d.their, who(d.other)), None);
    }
    let finding = finding.then("Align them, or give the newer application its own host").edit();
    match until.filter(|_| first.severity == Severity::Critical) {
        Some(at) => Verdict::BurningUntil(finding, at),
        None => Verdict::Burning(finding),
    }
}

/// Whether a rule of it names the host; else it only takes it along.
fn named(ingress: &Ingress, host: &str) -> bool {
    ingress.hosts.iter().any(|h| &**h == host) || !taken_along(ingress).any(|h| &*h == host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, ingress};
    use serde_json::{Value, json};

    const DAY: i64 = 86_400;

    fn made(name: &str, host: &str, age: i64, settings: &[(&str, &str)], tls: Option<&str>) -> Value {
        let mut i = ingress(name, host, &[(&format!("/{name}"), name)]);
        i["metadata"]["creationTimestamp"] = json!(ago(age));
        for (key, value) in settings {
            i["metadata"]["annotations"][format!("nginx.ingress.kubernetes.io/{key}")] = json!(value);
        }
        if let Some(secret) = tls {
            i["spec"]["tls"] = json!([{"hosts": [host], "secretName": secret}]);
        }
        i
    }
    fn rule(all: &[Value]) -> (Option<Severity>, Fleet) {
        let mut f = Fleet::default();
        f.put(Kind::Ingress, all.iter().cloned());
        assert_eq!(f.severity(Kind::Ingress, "old", RULE.id), None);
        (f.severity(Kind::Ingress, "new", RULE.id), f)
    }

    #[test]
    fn what_acts_on_the_host_is_critical_while_it_is_new() {
        const HOST: &str = "a.example.com";
        let old = made("old", HOST, 9 * DAY, &[("ssl-redirect", "true")], Some("cert"));
        let new = |age, settings: &[(&str, &str)], tls| rule(&[made("new", HOST, age, settings, tls), old.clone()]);
        assert_eq!(new(60, &[("ssl-redirect", "true")], Some("cert")).0, None, "they agree");
        let (severity, mut f) = new(DAY - 10, &[("ssl-redirect", "false"), ("use-regex", "true")], Some("cert"));
        assert_eq!(severity, Some(Severity::Critical));
        assert_eq!(f.finding(Kind::Ingress, "new", RULE.id).unwrap().message, "a.example.com: ssl-redirect, use-regex differ from pay/old");
        assert_eq!(f.wait(10).severity(Kind::Ingress, "new", RULE.id), Some(Severity::Warning), "new no more");
        assert_eq!(new(60, &[("ssl-redirect", "true")], None).0, Some(Severity::Critical), "the certificate");
        assert_eq!(new(60, &[("ssl-redirect", "true"), ("app-root", "/x")], Some("cert")).0, Some(Severity::Info), "its own paths");
    }

    #[test]
    fn a_host_that_another_takes_along() {
        let old = made("old", "example.com", 9 * DAY, &[("from-to-www-redirect", "true")], None);
        let (severity, f) = rule(&[old, made("new", "www.example.com", 60, &[], None)]);
        assert_eq!(severity, Some(Severity::Critical));
        assert!(f.finding(Kind::Ingress, "new", RULE.id).unwrap().message.contains("www.example.com: a claim to the host"));
        let old = made("old", "a.example.com", 9 * DAY, &[("server-alias", "b.example.com, c.example.com")], None);
        assert_eq!(rule(&[old.clone(), made("new", "c.example.com", 60, &[], None)]).0, Some(Severity::Critical));
        assert_eq!(rule(&[old, made("new", "d.example.com", 60, &[], None)]).0, None);
    }
}
