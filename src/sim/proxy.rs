//! The API server's way to what is behind a Service, `/api/v1/namespaces/NS/services/NAME:PORT/proxy/...`, and to a kubelet's configuration,
//! `/api/v1/nodes/NAME/proxy/configz`.

use super::api::{self, Role, body};
use super::query::{Place, Query};
use super::register::{NODES, REGISTER, SERVICES};
use super::reply::{Refusal, Reply};
use super::serve::{Cluster, Written};
use super::store::{State, selector_of};
use super::{alertmanager, control, prometheus};
use crate::model::Str;
use http::{Method, Request, header};
use hyper::body::Incoming;
use std::sync::Arc;

/// Where a request is to go.
#[derive(PartialEq, Debug)]
pub struct To {
    namespace: String,
    name: String,
    /// Empty: the only one.
    port: String,
    /// From the slash on.
    path: String,
}

/// Where the path leads; none when it is no proxy's.
pub fn to(path: &str) -> Option<To> {
    let rest = path.strip_prefix("/api/v1/namespaces/")?;
    let (namespace, rest) = rest.split_once("/services/")?;
    let (service, path) = rest.split_once("/proxy").filter(|(s, p)| !s.contains('/') && (p.is_empty() || p.starts_with('/')))?;
    let (name, port) = match service.split(':').collect::<Vec<_>>().as_slice() {
        [name] => (*name, ""),
        [name, port] | [_, name, port] => (*name, *port),
        _ => return None,
    };
    let owned = str::to_owned;
    Some(To { namespace: owned(namespace), name: owned(name), port: owned(port), path: owned(if path.is_empty() { "/" } else { path }) })
}

fn unavailable(text: String) -> Refusal {
    Refusal::new(503, "ServiceUnavailable", text)
}

/// Who answers behind a Service.
#[derive(Clone, Copy)]
enum Behind {
    Alertmanager,
    Prometheus,
}

/// Who is at that place.
fn reached(s: &State, to: &To) -> Result<Behind, Refusal> {
    let service = s.get(SERVICES, &to.namespace, &to.name).ok_or_else(|| Refusal::not_found(&REGISTER[SERVICES], &to.name))?.value();
    let ports = service["spec"]["ports"].as_array().cloned().unwrap_or_default();
    let port = match to.port.as_str() {
        "" => ports.first().filter(|_| ports.len() == 1),
        wanted => ports.iter().find(|p| p["name"] == wanted || p["port"].as_u64().is_some_and(|n| wanted.parse() == Ok(n))),
    };
    let port = port.ok_or_else(|| unavailable(format!("no service port {:?} found for service {:?}", to.port, to.name)))?;
    let selector = selector_of(&serde_json::json!({"matchLabels": service["spec"]["selector"]}));
    let ready = control::matching(s, &Str::from(to.namespace.as_str()), &selector).iter().any(|p| p.pod.as_ref().is_some_and(|f| f.ready));
    if !ready {
        return Err(unavailable(format!("no endpoints available for service {:?}", to.name)));
    }
    match to.name.as_str() {
        alertmanager::NAME if to.namespace == alertmanager::NAMESPACE && port["name"] == "web" => Ok(Behind::Alertmanager),
        prometheus::NAME if to.namespace == alertmanager::NAMESPACE => Ok(Behind::Prometheus),
        _ => {
            let address = format!("10.64.0.9:{}", port["port"]);
            Err(unavailable(format!("error trying to reach service: dial tcp {address}: connect: connection refused")))
        }
    }
}

/// Answers a request through a proxy.
pub async fn answer(cluster: &Arc<Cluster>, role: Role, to: &To, query: &Query, request: Request<Incoming>) -> Result<Reply, Refusal> {
    let method = request.method().clone();
    let verb = match method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "get",
    };
    let resource = "services/proxy";
    let faults = cluster.switch.now();
    if faults.denied.iter().any(|(v, r)| v == verb && r == resource) || !role.may(verb, resource) {
        let name = Some(to.name.clone());
        let place = Place { res: SERVICES, namespace: Some(to.namespace.clone()), name, sub: Some("proxy".to_owned()), old: false };
        return Err(api::forbidden(role, verb, resource, &place));
    }
    let changes = verb != "get";
    let audit_id = request.headers().get("audit-id").and_then(|v| v.to_str().ok()).map(str::to_owned);
    let json = request.headers().get(header::CONTENT_TYPE).is_none_or(|t| t.as_bytes().starts_with(b"application/json"));
    let written = Written { method: method.to_string(), path: request.uri().path().to_owned(), dry_run: false, audit_id };
    let sent = body(request).await?;
    if changes {
        cluster.tell(&written);
    }
    if method == Method::POST && !json {
        return Ok(super::reply::json_reply(415, &serde_json::json!({"code": 415, "message": "unsupported media type"})));
    }
    let trouble = if changes { cluster.switch.trouble(&to.name) } else { super::fault::Trouble::None };
    trouble.before(cluster, || Refusal::conflict(&REGISTER[SERVICES], &to.name)).await?;
    let reply = match cluster.etcd(|s| reached(s, to))? {
        Behind::Alertmanager => cluster.etcd(|s| alertmanager::answer(s, &method, &to.path, query, &sent)),
        Behind::Prometheus => prometheus::answer(std::slice::from_ref(cluster), &method, &to.path, query),
    };
    trouble.after()?;
    Ok(reply)
}

/// How a node's kubelet is configured.
pub fn configz(cluster: &Arc<Cluster>, role: Role, node: &str) -> Result<Reply, Refusal> {
    let (verb, resource, faults) = ("get", "nodes/proxy", cluster.switch.now());
    let denied = faults.denied.iter().any(|(v, r)| v == verb && r == resource) || faults.forbidden.iter().any(|r| r == "nodes");
    if denied || !role.may(verb, resource) {
        let place = Place { res: NODES, namespace: None, name: Some(node.to_owned()), sub: Some("proxy".to_owned()), old: false };
        return Err(api::forbidden(role, verb, resource, &place));
    }
    let s = cluster.read();
    let facts = s.world.nodes.iter().find(|n| *n.name == *node).ok_or_else(|| Refusal::not_found(&REGISTER[NODES], node))?;
    if s.world.dead.contains(&facts.name) {
        return Err(unavailable(format!("error trying to reach service: dial tcp {}:10250: i/o timeout", facts.address)));
    }
    let (cpus, topology) = if s.world.pinned { ("static", "best-effort") } else { ("none", "none") };
    let config = serde_json::json!({"cpuManagerPolicy": cpus, "topologyManagerPolicy": topology, "memoryManagerPolicy": "None", "cpuCFSQuota": true,
        "cpuCFSQuotaPeriod": "100ms", "maxPods": facts.pods, "cgroupDriver": "systemd"});
    Ok(super::reply::json_reply(200, &serde_json::json!({"kubeletconfig": config})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_with_and_without_schemes_and_ports() {
        let at = |path: &str| to(path).map(|t| [t.namespace, t.name, t.port, t.path].join(" "));
        assert_eq!(at("/api/v1/namespaces/m/services/am:9093/proxy/api/v2/alerts").unwrap(), "m am 9093 /api/v2/alerts");
        assert_eq!(at("/api/v1/namespaces/m/services/http:am:web/proxy").unwrap(), "m am web /");
        assert_eq!(at("/api/v1/namespaces/m/services/am/proxy/").unwrap(), "m am  /");
        assert_eq!(at("/api/v1/namespaces/m/services/am"), None);
        assert_eq!(at("/api/v1/namespaces/m/services/a/proxied"), None);
    }
}
