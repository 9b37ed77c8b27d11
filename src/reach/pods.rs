//! The pods behind a service of the cluster, each a replica that a port-forward leads to.

use super::replica::Replica;
use crate::client::{ClientError, Forward, ReadClient};
use crate::config::{Endpoint, Reach, Service, Via};
use serde::Deserialize;
use std::time::Duration;

/// How long each of the two requests may take.
const LIMIT: Duration = Duration::from_secs(10);
/// As much of an answer as is read, in bytes.
const MOST: usize = 4 << 20;

#[derive(Deserialize)]
struct Described {
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    ports: Vec<Port>,
}

#[derive(Deserialize)]
struct Port {
    #[serde(default)]
    name: Option<String>,
    port: Option<u16>,
}

#[derive(Deserialize)]
struct Slices {
    items: Vec<Slice>,
}

#[derive(Deserialize)]
struct Slice {
    #[serde(default)]
    endpoints: Option<Vec<Peer>>,
    #[serde(default)]
    ports: Option<Vec<Port>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Peer {
    #[serde(default)]
    conditions: Conditions,
    #[serde(default)]
    target_ref: Option<Referred>,
}

#[derive(Deserialize, Default)]
struct Conditions {
    ready: Option<bool>,
}

#[derive(Deserialize)]
struct Referred {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    name: String,
}

/// The service that an endpoint reaches by port-forward; none: it is reached otherwise.
pub fn forwarded(endpoint: &Endpoint) -> Option<&Service> {
    match &endpoint.reach.value {
        Some(Reach::Service(service)) if endpoint.via.value == Some(Via::PortForward) => Some(service),
        _ => None,
    }
}

/// A replica for each ready pod of the endpoint's service, in the order of their names.
///
/// # Errors
/// When the service or its EndpointSlices cannot be read, it has no such port, or no pod that is ready.
pub async fn replicas_of(endpoint: &Endpoint, service: &Service, through: &ReadClient) -> Result<Vec<Replica>, ClientError> {
    let Service { namespace, name, port } = service;
    let (described, slices) = (
        format!("/api/v1/namespaces/{namespace}/services/{name}"),
        format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector=kubernetes.io/service-name%3D{name}"),
    );
    let (described, slices) =
        futures::try_join!(through.get_within::<Described>(&described, MOST, LIMIT), through.get_within::<Slices>(&slices, MOST, LIMIT))?;
    let named = |p: &Port| p.name.clone().unwrap_or_default();
    let wanted = described.spec.ports.iter().find(|p| p.port.is_some_and(|n| n.to_string() == *port) || named(p) == *port);
    let wanted = wanted.ok_or_else(|| ClientError::Config { reason: format!("service {namespace}/{name} has no port {port}") })?;
    let mut pods: Vec<(String, u16)> = Vec::new();
    for Slice { endpoints, ports } in slices.items {
        // Its number is the pod's own, which the service's may differ from.
        let own = ports.into_iter().flatten().find(|p| named(p) == named(wanted)).and_then(|p| p.port);
        for peer in endpoints.into_iter().flatten().filter(|e| e.conditions.ready != Some(false)) {
            if let (Some(own), Some(pod)) = (own, peer.target_ref.filter(|r| r.kind == "Pod")) {
                pods.push((pod.name, own));
            }
        }
    }
    // A pod of two address families is in two slices.
    pods.sort();
    pods.dedup();
    if pods.is_empty() {
        return Err(ClientError::Unreachable { reason: format!("service {namespace}/{name} has no pod that is ready") });
    }
    let scheme = if endpoint.tls.ca.is_some() { "https" } else { "http" };
    let replica = |(pod, own): (String, u16)| {
        let url = format!("{scheme}://{name}.{namespace}.svc:{own}");
        Replica::forwarded(url, endpoint, Forward::new(through, namespace, &pod, own))
    };
    Ok(pods.into_iter().map(replica).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fake::{Reply, Server, connect, reply};
    use crate::config::Setting;
    use http::Request;
    use serde_json::json;

    fn endpoint(port: &str) -> Endpoint {
        let service = Service { namespace: "m".into(), name: "am".into(), port: port.into() };
        let (reach, via) = (Setting::default_to(Some(Reach::Service(service))), Setting::default_to(Some(Via::PortForward)));
        Endpoint { reach, via, ..Endpoint::default() }
    }

    fn answers(request: &Request<()>) -> Reply {
        let pod = |name: &str, ready: bool| json!({"conditions": {"ready": ready}, "targetRef": {"kind": "Pod", "name": name}});
        if request.uri().path().ends_with("/services/am") {
            let ports = json!([{"name": "mesh", "port": 9094}, {"name": "web", "port": 80, "targetPort": 9093}]);
            return reply(200, json!({"spec": {"ports": ports}}).to_string());
        }
        if request.uri().path().ends_with("/endpointslices") {
            let ports = json!([{"name": "mesh", "port": 9094}, {"name": "web", "port": 9093}]);
            let all = json!([pod("am-1", true), pod("am-0", true), pod("am-2", false)]);
            let six = json!({"endpoints": [pod("am-0", true)], "ports": ports});
            return reply(200, json!({"items": [{"endpoints": all, "ports": ports}, six, {"endpoints": null, "ports": null}]}).to_string());
        }
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403,
            "message": "pods \"am-0\" is forbidden: User \"v\" cannot create resource \"pods/portforward\" in API group \"\" in the namespace \"m\""});
        reply(403, status.to_string())
    }

    #[tokio::test]
    async fn each_ready_pod_is_a_replica_at_its_own_port_and_a_refusal_names_the_right() {
        let server = Server::start(answers).await;
        let through = connect(&server, "token: canary").await;
        for port in ["80", "web"] {
            let endpoint = endpoint(port);
            let mut all = replicas_of(&endpoint, forwarded(&endpoint).unwrap(), &through).await.unwrap();
            let names: Vec<String> = all.iter().map(ToString::to_string).collect();
            assert_eq!(names, ["pod m/am-0:9093 by port-forward", "pod m/am-1:9093 by port-forward"]);
            let refused = all[0].reach().await.unwrap().get::<u8>("/", LIMIT).await.unwrap_err();
            assert!(
                matches!(&refused, ClientError::Forbidden { .. }) && refused.reason() == "may not create pods/portforward",
                "{refused}"
            );
        }
        let seen = server.seen.lock().unwrap();
        let asked = seen.iter().find(|r| r.uri().path().ends_with("/pods/am-0/portforward")).unwrap();
        assert_eq!(asked.headers()["authorization"], "Bearer canary");
        assert_eq!(asked.headers()["upgrade"], "websocket");
    }

    #[tokio::test]
    async fn a_port_that_is_not_there_is_told() {
        let server = Server::start(answers).await;
        let through = connect(&server, "").await;
        let endpoint = endpoint("grpc");
        let none = replicas_of(&endpoint, forwarded(&endpoint).unwrap(), &through).await.unwrap_err();
        assert!(none.words().contains("service m/am has no port grpc"), "{none}");
    }
}
