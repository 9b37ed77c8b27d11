//! Services and Ingresses: the chain from host to pod, and where it breaks.

use super::words::joined;
use super::{Look, Parts, Section, created, events};
use crate::inspect::{Severity, title};
use crate::model::ingress::Backend;
use crate::model::{Ingress, Kind, Object, Svc};
use std::sync::Arc;

/// How many endpoints answer, in words.
fn answers(look: &Look, service: &Svc) -> String {
    match look.cluster.endpoints(service).filter(|_| service.selects()) {
        Some(e) => format!("{} of {} endpoints ready", e.ready, e.all),
        None if service.selects() => "its endpoints are not seen".to_owned(),
        None => "it selects no pods".to_owned(),
    }
}

/// A Service, and who is behind it and before it.
pub fn service(look: &Look, object: &Object, s: &Svc) -> Parts {
    let mut why = Section::default();
    let workloads = look.index.selected(look.cluster, s);
    let routing: Vec<&Arc<Ingress>> = look.index.routing(look.cluster, s).collect();
    let endpoints = look.cluster.endpoints(s).filter(|_| s.selects());
    match endpoints {
        Some(e) if e.all == 0 && workloads.is_empty() => {
            why.bad(Severity::Warning, "endpoints", "no pod has the labels that it selects");
        }
        Some(e) if e.ready == 0 => why.bad(Severity::Critical, "endpoints", format!("none of {} is ready: callers reach nobody", e.all)),
        Some(e) if e.ready < e.all => {
            why.bad(Severity::Info, "endpoints", format!("{} of {} are not ready, {} are going", e.all - e.ready, e.all, e.terminating));
        }
        _ => {}
    }
    let mut facts = Section::new("service");
    facts.say("type", &*s.class);
    facts.say("address", s.ip.as_deref().unwrap_or(if s.headless { "none: names lead to the pods themselves" } else { "none" }));
    if !s.outside.is_empty() {
        facts.say("outside", joined(s.outside.iter(), 4));
    }
    for port in &s.ports {
        let name = port.name.as_deref().unwrap_or("port");
        let speaks = port.grpc().map_or_else(String::new, |by| format!(", gRPC by {by}"));
        facts.say(name, format!("{} to {}{speaks}", port.text(), port.target));
    }
    facts.say("selects", s.selector.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(","));
    facts.say("endpoints", answers(look, s));
    for w in workloads.iter().take(4) {
        facts.say("behind it", format!("{} {} {}/{} ready", w.kind.name(), w.meta.name, w.ready, w.desired.unwrap_or(0)));
    }
    for i in routing.iter().take(4) {
        facts.say("led to by", format!("ingress {} {}", i.meta.name, joined(i.hosts.iter(), 3)));
    }
    created(look, &s.meta, &mut facts);
    (why, answers(look, s), vec![events::section(look, object, &[]), facts])
}

/// An Ingress, and what each of its paths leads to.
pub fn ingress(look: &Look, object: &Object, i: &Ingress) -> Parts {
    let mut why = Section::default();
    let known = look.cluster.current(Kind::Service);
    let mut reaches = |place: &str, backend: &Backend| {
        let service = match look.cluster.named(Kind::Service, &i.meta.namespace, &backend.service) {
            Some(Object::Svc(s)) => s,
            _ if known => {
                why.bad(Severity::Warning, place, format!("leads to {backend}, and there is no Service of that name here"));
                return format!("{backend}, which is not there");
            }
            _ => return format!("{backend}, Services are not seen"),
        };
        if service.port(&backend.port).is_none() {
            why.bad(Severity::Warning, place, format!("leads to {backend}, and the Service has no such port"));
        }
        if look.cluster.endpoints(service).is_some_and(|e| service.selects() && e.ready == 0) {
            why.bad(Severity::Critical, place, format!("leads to {backend}, and nobody answers behind it"));
        }
        format!("{backend}, {}", answers(look, service))
    };
    let mut paths = Section::new("paths");
    for route in &i.routes {
        let place = format!("{}{}", if route.host.is_empty() { "*" } else { &route.host }, route.path);
        let to = route.backend.as_ref().map_or_else(|| "a resource".to_owned(), |b| reaches(&place, b));
        paths.say(place, to);
    }
    if let Some(backend) = &i.default {
        let to = reaches("anything else", backend);
        paths.say("anything else", to);
    }
    let mut facts = Section::new("ingress");
    facts.say("class", i.class.as_deref().unwrap_or("none: the default one, if there is one"));
    facts.say("address", if i.addresses.is_empty() { "none yet".to_owned() } else { joined(i.addresses.iter(), 4) });
    for host in &i.hosts {
        let tls = match i.certificate(host) {
            None => "no TLS".to_owned(),
            Some(secret) => format!("TLS with {}", secret.map_or("the controller's own certificate", |s| s)),
        };
        let others: Vec<String> = look
            .index
            .at_host(look.cluster, host)
            .filter(|o| o.meta.uid != i.meta.uid)
            .map(|o| title(&o.meta.namespace, &o.meta.name))
            .collect();
        let shared = if others.is_empty() { String::new() } else { format!("; also of {}", joined(others.iter(), 4)) };
        facts.say(&**host, format!("{tls}{shared}"));
    }
    for (key, value) in i.settings.iter() {
        facts.say(key, value);
    }
    created(look, &i.meta, &mut facts);
    let healthy = format!("{} of {} lead to Services that are there", i.routes.len(), i.routes.len());
    (why, healthy, vec![paths, events::section(look, object, &[]), facts])
}

#[cfg(test)]
mod tests {
    use crate::inspect::explain::tests::{has, said};
    use crate::inspect::fixture::{Fleet, deployment, ingress, service, slice};
    use crate::model::{Delta, Kind, KindState};
    use serde_json::json;

    #[test]
    fn the_chain_from_host_to_pod_and_where_it_breaks() {
        let mut f = Fleet::default();
        for kind in [Kind::EndpointSlice, Kind::Service] {
            f.delta(0, Delta::KindState(kind, KindState::Live));
        }
        let mut d = deployment("web", 2, 2);
        d["spec"]["template"]["metadata"] = json!({"labels": {"app": "web"}});
        f.put(Kind::Deployment, [d]).put(Kind::EndpointSlice, [slice("web", 2, 0)]).put(Kind::Service, [service("web", "web")]);
        f.put(Kind::Ingress, [ingress("i", "a.example.com", &[("/", "web"), ("/x", "gone")])]);
        has(&said(&f, Kind::Service, "web"), "behind it|Deployment web 2/2 ready");
        has(&said(&f, Kind::Service, "web"), "led to by|ingress i a.example.com");
        has(&said(&f, Kind::Ingress, "i"), "a.example.com/x|leads to gone:80, and there is no Service");
        has(&said(&f, Kind::Ingress, "i"), "a.example.com/|web:80, 2 of 2 endpoints ready");
        has(&said(&f, Kind::Ingress, "i"), "a.example.com|no TLS");
        f.put(Kind::EndpointSlice, [slice("web", 0, 2)]);
        has(&said(&f, Kind::Service, "web"), "endpoints|none of 2 is ready");
        has(&said(&f, Kind::Ingress, "i"), "a.example.com/|leads to web:80, and nobody answers behind it");
    }
}
