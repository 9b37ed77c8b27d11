//! An ingress-nginx controller and the balancer before it disagree on who ends TLS, or on who says where a request comes from.
//!
//! Judged by the annotations of the controller's Services and the keys of its ConfigMap. Left out: balancers that nothing in the cluster tells of
//! (an appliance before NodePorts), the share of 308 among the answers, and a request of our own to see what comes through.

use super::later;
use super::lint::several;
use crate::inspect::{Finding, Judge, Need, RuleInfo, Severity, Verdict};
use crate::model::asked::{Controller, INGRESS_NGINX, Part, Way};
use crate::model::{Ingress, Kind, Object};

pub static RULE: RuleInfo = RuleInfo {
    id: "ingress-forwarded-headers",
    area: "network",
    tier: 1,
    burns: false,
    severity: Severity::Critical,
    scope: "ingress controller",
    summary: "Its balancer ends TLS and it does not use forwarded headers (critical when hosts redirect to themselves, or with OAuth behind them); it uses them from whoever comes; or only one of the two speaks PROXY (critical)",
    why: "The scheme and host an app puts into redirect_uri come from forwarded headers; one wrong hop turns https into http or into an inner name.",
    kinds: &[Kind::Deployment, Kind::DaemonSet],
    needs: &[Need::Asked(Part::Controllers)],
    leans_on: &[],
    thresholds: &[],
    peers: &[],
    links: &[
        "https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/configmap/#use-forwarded-headers",
        "https://kubernetes.github.io/ingress-nginx/user-guide/miscellaneous/#source-ip-address",
    ],
    judge,
};

/// How often one looks again (seconds): Services, the ConfigMap and Ingresses change without the controller.
const AGAIN: i64 = 300;

fn judge(judge: &Judge<'_>) -> Verdict {
    let (Some(Object::Workload(w)), Ok(all)) = (judge.object, &judge.cluster.asked.controllers) else { return Verdict::Fine };
    let is = |c: &&Controller| c.namespace == w.meta.namespace && *c.of.1 == *w.meta.name && *c.of.0 == *w.kind.name();
    let again = later(judge, AGAIN);
    let Some(controller) = all.iter().find(is) else {
        // One that was made since they were read last.
        let named = INGRESS_NGINX.iter().any(|(label, names)| w.meta.labels.get(label).is_some_and(|name| names.contains(&name)));
        return if named { Verdict::LookAgain(again) } else { Verdict::Fine };
    };
    let found = one_sided(judge, controller).or_else(|| unheard(judge, controller)).or_else(|| believed(judge, controller));
    found.map_or(Verdict::LookAgain(again), |f| Verdict::BurningUntil(f, again))
}

/// Whether a key of its ConfigMap is true.
fn on(c: &Controller, key: &str, otherwise: bool) -> bool {
    c.settings.get(key).map_or(otherwise, |v| v == "true")
}

/// Where its keys are, for people.
fn place(c: &Controller) -> String {
    c.config.as_deref().map_or_else(|| "a ConfigMap, named by its argument --configmap".to_owned(), |c| format!("the ConfigMap {c}"))
}

/// With what it is told.
fn told(finding: Finding, c: &Controller) -> Finding {
    let keys: Vec<String> = c.settings.iter().map(|(k, v)| format!("{k}: {v}")).collect();
    let keys = if keys.is_empty() { "none of the keys that matter".to_owned() } else { keys.join(", ") };
    let ways = c.ways.iter().map(|w| {
        let said: Vec<&str> = [&w.tls, &w.proxy].into_iter().flatten().map(|s| &**s).collect();
        format!("{} {} {}", w.class, w.service, said.join(", ")).trim_end().to_owned()
    });
    finding.with("its ConfigMap", format!("{}: {keys}", c.config.as_deref().unwrap_or("none")), None).with(
        "reached by",
        ways.collect::<Vec<_>>().join("; "),
        None,
    )
}

/// One of balancer and controller speaks the PROXY protocol, the other does not.
fn one_sided(judge: &Judge<'_>, c: &Controller) -> Option<Finding> {
    let expects = on(c, "use-proxy-protocol", false);
    let apart = |w: &&Way| if expects { &*w.class == "LoadBalancer" && w.told && w.proxy.is_none() } else { w.proxy.is_some() };
    let way = c.ways.iter().find(apart)?;
    let (message, next) = if expects {
        (
            format!("expects PROXY, which the balancer of {} does not speak: its requests are refused", way.service),
            format!("Let the balancer of {} speak PROXY by its annotation, or take use-proxy-protocol out of {}", way.service, place(c)),
        )
    } else {
        (
            format!("the balancer of {} speaks PROXY, which it does not expect: requests are refused", way.service),
            format!("Set use-proxy-protocol: \"true\" in {}, or take the annotation from the Service {}", place(c), way.service),
        )
    };
    Some(told(judge.finding(Severity::Critical, None, message), c).then(next))
}

/// The Ingresses that it serves.
fn served<'a>(judge: &'a Judge<'_>, c: &'a Controller) -> impl Iterator<Item = &'a Ingress> {
    let ingress = |o: &'a Object| if let Object::Ingress(i) = o { Some(&**i) } else { None };
    let its = |i: &&Ingress| i.class.as_deref().map_or(!i.settings.is_empty(), |class| *class == *c.class);
    judge.cluster.objects(Kind::Ingress).filter_map(ingress).filter(its)
}

/// Hosts of an Ingress to which plain requests are redirected as https.
fn redirected<'a>(c: &Controller, i: &'a Ingress) -> impl Iterator<Item = &'a str> {
    let of = |key: &str, otherwise: bool| i.settings.get(key).map_or_else(|| on(c, key, otherwise), |v| v == "true");
    let (forced, with_tls) = (of("force-ssl-redirect", false), of("ssl-redirect", true));
    i.hosts.iter().map(|h| &**h).filter(move |h| forced || with_tls && i.certificate(h).is_some())
}

/// Whether something behind an Ingress has a secret of OAuth or OIDC among its variables.
fn signs_in(judge: &Judge<'_>, i: &Ingress) -> bool {
    let service = |name: &str| match judge.cluster.named(Kind::Service, &i.meta.namespace, name) {
        Some(Object::Svc(s)) => judge.index.selected(judge.cluster, s),
        _ => Vec::new(),
    };
    let workloads = i.backends().into_iter().flat_map(|b| service(&b.service));
    let mut templates = workloads.filter_map(|w| w.shape.template.as_deref());
    templates.any(|t| t.containers.iter().flat_map(|c| &c.secret_env).any(|n| n.contains("OAUTH") || n.contains("OIDC")))
}

/// The balancer ends TLS, and the controller does not listen to what it says of that.
fn unheard(judge: &Judge<'_>, c: &Controller) -> Option<Finding> {
    if on(c, "use-forwarded-headers", false) {
        return None;
    }
    let way = c.ways.iter().find(|w| w.tls.is_some())?;
    let names = |hosts: Vec<&str>| several(hosts.into_iter().map(str::to_owned).collect(), 3);
    let loops: Vec<&str> = served(judge, c).flat_map(|i| redirected(c, i)).collect();
    let oauth: Vec<&str> = served(judge, c).filter(|i| signs_in(judge, i)).flat_map(|i| i.hosts.iter().map(|h| &**h)).collect();
    let hosts: Vec<&str> = served(judge, c).flat_map(|i| i.hosts.iter().map(|h| &**h)).collect();
    let severity = if loops.is_empty() && oauth.is_empty() { Severity::Warning } else { Severity::Critical };
    let message = if loops.is_empty() {
        format!("TLS ends at the balancer of {}, and apps are told http", way.service)
    } else {
        format!("TLS ends at the balancer of {}: {} without end", way.service, count(loops.len()))
    };
    let next = format!(
        "Set use-forwarded-headers: \"true\" in {}, and proxy-real-ip-cidr to the balancer's addresses; ssl-redirect stays as it is",
        place(c)
    );
    let finding = judge
        .finding(severity, None, message)
        .with("hops", "client -https-> balancer -http-> controller -X-Forwarded-Proto: http-> pods", None)
        .with("hosts that redirect to themselves", names(loops), None)
        .with("hosts with OAuth or OIDC behind them", names(oauth), None)
        .with("hosts in all", hosts.len().to_string(), None);
    Some(told(finding, c).then(next))
}

fn count(hosts: usize) -> String {
    if hosts == 1 { "1 host is redirected to itself".to_owned() } else { format!("{hosts} hosts are redirected to themselves") }
}

/// It uses forwarded headers, and whoever comes may send them.
fn believed(judge: &Judge<'_>, c: &Controller) -> Option<Finding> {
    let trusts = c.settings.get("proxy-real-ip-cidr").unwrap_or_default();
    let all = trusts.is_empty() || trusts.split(',').any(|t| matches!(t.trim(), "0.0.0.0/0" | "::/0"));
    if !on(c, "use-forwarded-headers", false) || !all {
        return None;
    }
    let direct = c.ways.iter().find(|w| w.tls.is_none());
    let by = direct.map(|w| format!("{} {}", w.class, w.service)).or_else(|| c.host_network.then(|| "its nodes' ports".to_owned()))?;
    let message = format!("believes X-Forwarded-* of whoever comes by {by}");
    let next = format!(
        "Set proxy-real-ip-cidr in {} to the addresses of the proxies before it, or take use-forwarded-headers out where there is none",
        place(c)
    );
    Some(told(judge.finding(Severity::Warning, None, message), c).then(next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, deployment, ingress, service};
    use crate::inspect::{Engine, Thresholds};
    use crate::model::{Asked, Delta, Labels, Str};
    use serde_json::json;

    const TLS: &str = "service.beta.kubernetes.io/aws-load-balancer-ssl-cert=arn:x";
    const PROXY: &str = "service.beta.kubernetes.io/aws-load-balancer-proxy-protocol=*";

    fn controller(settings: &[(&str, &str)], way: (&str, Option<&str>, Option<&str>, bool)) -> Controller {
        let settings: Vec<(Str, Str)> = settings.iter().map(|(k, v)| (Str::from(*k), Str::from(*v))).collect();
        let way = Way { service: "in".into(), class: way.0.into(), tls: way.1.map(Str::from), proxy: way.2.map(Str::from), told: way.3 };
        Controller {
            namespace: "pay".into(),
            of: ("Deployment".into(), "in".into()),
            class: "nginx".into(),
            config: Some("pay/conf".into()),
            settings: Labels::from(settings),
            ways: [way].into(),
            host_network: false,
        }
    }

    /// Behind it is a host of the Service `web`.
    fn fleet(tls: bool) -> Fleet {
        let mut f = Fleet::default();
        let mut i = ingress("i", "a.example.com", &[("/", "web")]);
        if tls {
            i["spec"]["tls"] = json!([{"hosts": ["a.example.com"], "secretName": "c"}]);
        }
        f.put(Kind::Deployment, [deployment("in", 2, 2)]).put(Kind::Ingress, [i]).put(Kind::Service, [service("web", "web")]);
        f
    }

    fn tell(f: &mut Fleet, c: Controller) -> Option<(Severity, String)> {
        f.delta(0, Delta::Asked(Asked { controllers: Ok([c].into()), ..Asked::default() }.into()));
        f.wait(AGAIN);
        f.finding(Kind::Deployment, "in", RULE.id).map(|f| (f.severity, f.message.clone()))
    }

    fn at(settings: &[(&str, &str)], way: (&str, Option<&str>, Option<&str>, bool), tls: bool) -> Option<(Severity, String)> {
        tell(&mut fleet(tls), controller(settings, way))
    }

    #[test]
    fn tls_that_ends_at_the_balancer() {
        let outer = ("LoadBalancer", Some(TLS), None, true);
        let trusts = ("proxy-real-ip-cidr", "10.0.0.0/8");
        assert_eq!(at(&[], outer, false), Some((Severity::Warning, "TLS ends at the balancer of in, and apps are told http".into())));
        assert_eq!(at(&[("use-forwarded-headers", "true"), trusts], outer, false), None);
        let looping = "TLS ends at the balancer of in: 1 host is redirected to itself without end";
        assert_eq!(at(&[], outer, true), Some((Severity::Critical, looping.into())));
        assert_eq!(at(&[("ssl-redirect", "false")], outer, true).map(|f| f.0), Some(Severity::Warning));
        assert_eq!(at(&[("force-ssl-redirect", "true")], outer, false).map(|f| f.0), Some(Severity::Critical));
        assert_eq!(at(&[], ("LoadBalancer", None, None, true), true), None, "TLS ends at the controller");
    }

    #[test]
    fn oauth_behind_it_weighs_more() {
        let mut f = fleet(false);
        let mut web = deployment("web", 2, 2);
        web["spec"]["template"] = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app",
            "env": [{"name": "OAUTH2_CLIENT_SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}]}});
        f.put(Kind::Deployment, [web]);
        let found = tell(&mut f, controller(&[], ("LoadBalancer", Some(TLS), None, true)));
        assert_eq!(found.map(|f| f.0), Some(Severity::Critical));
    }

    #[test]
    fn whoever_comes_is_believed() {
        let (uses, direct) = (("use-forwarded-headers", "true"), ("LoadBalancer", None, None, false));
        let found = at(&[uses], direct, false);
        assert_eq!(found, Some((Severity::Warning, "believes X-Forwarded-* of whoever comes by LoadBalancer in".into())));
        assert!(at(&[("proxy-real-ip-cidr", "10.0.0.0/8,0.0.0.0/0"), uses], direct, false).is_some());
        assert_eq!(at(&[("proxy-real-ip-cidr", "10.0.0.0/8"), uses], direct, false), None);
        assert_eq!(at(&[], direct, false), None);
    }

    #[test]
    fn proxy_on_one_side() {
        let says = |f: Option<(Severity, String)>, what: &str| {
            assert!(f.as_ref().is_some_and(|f| f.0 == Severity::Critical && f.1.contains(what)), "{f:?}");
        };
        says(at(&[], ("LoadBalancer", None, Some(PROXY), true), false), "which it does not expect");
        says(at(&[("use-proxy-protocol", "true")], ("LoadBalancer", None, None, true), false), "does not speak");
        assert_eq!(at(&[("use-proxy-protocol", "true")], ("LoadBalancer", None, Some(PROXY), true), false), None);
        assert_eq!(
            at(&[("use-proxy-protocol", "true")], ("LoadBalancer", None, None, false), false),
            None,
            "nothing tells of its balancer"
        );
    }

    #[test]
    fn one_that_was_made_after_they_were_read_is_judged_when_they_are_read_again() {
        // No other rule has it judged again.
        let engine = Engine::new(Thresholds::default()).only(|r| r.id == RULE.id, "not wanted");
        let mut f = Fleet { engine, ..Fleet::default() };
        let read = |all: &[Controller]| Delta::Asked(Asked { controllers: Ok(all.into()), ..Asked::default() }.into());
        f.delta(0, read(&[]));
        let mut new = deployment("in", 2, 2);
        new["metadata"]["labels"] = json!({"app.kubernetes.io/name": "ingress-nginx"});
        f.put(Kind::Deployment, [new, deployment("other", 2, 2)]);
        f.delta(0, read(&[controller(&[], ("LoadBalancer", Some(TLS), None, true))]));
        assert!(f.finding(Kind::Deployment, "in", RULE.id).is_none(), "nothing of it has changed");
        f.wait(AGAIN);
        assert!(f.finding(Kind::Deployment, "in", RULE.id).is_some());
    }

    #[test]
    fn mended_it_is_gone_and_unheard_it_is_not_judged() {
        let mut f = fleet(false);
        assert_eq!(f.finding(Kind::Deployment, "in", RULE.id), None);
        assert!(tell(&mut f, controller(&[], ("LoadBalancer", Some(TLS), None, true))).is_some());
        let trusts = ("proxy-real-ip-cidr", "10.0.0.0/8");
        assert_eq!(tell(&mut f, controller(&[trusts, ("use-forwarded-headers", "true")], ("LoadBalancer", Some(TLS), None, true))), None);
    }
}
