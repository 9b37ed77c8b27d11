//! Finding the Alertmanager or Prometheus of a cluster that none is configured for, where the usual installations put it.

use super::replica::Replica;
use crate::client::{ClientError, ReadClient};
use crate::config::Service;
use serde::Deserialize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long the look may take; it waits for its place among the cluster's own requests.
const LIMIT: Duration = Duration::from_secs(30);
/// As much of a list as is read, in bytes.
const MOST: usize = 4 << 20;

/// What is looked for, and how one knows it.
pub struct Sought {
    /// For the service itself: what a state and a hint are of.
    pub service: crate::model::Service,
    /// What people call it.
    pub name: &'static str,
    /// The setting that would say where it is.
    pub setting: &'static str,
    /// Selectors of several keys cannot be joined by "or".
    selectors: [&'static str; 2],
    /// Services of these names go before others.
    likely: [&'static str; 2],
    /// The port's usual names, the likeliest first; else it is its usual number.
    ports: &'static [&'static str],
    number: u16,
}

impl Sought {
    /// The service that the Prometheus operator makes for each Alertmanager; the ones of kube-prometheus, of the charts of prometheus-community,
    /// and of the VictoriaMetrics operator.
    pub const ALERTMANAGER: Self = Self {
        service: crate::model::Service::Alertmanager,
        name: "Alertmanager",
        setting: "[clusters.CONTEXT.alertmanager] takes urls or service",
        selectors: ["operated-alertmanager=true", "app.kubernetes.io/name%20in%20(alertmanager,vmalertmanager)"],
        likely: ["alertmanager-operated", "alertmanager-main"],
        ports: &["web", "http-web", "http"],
        number: 9093,
    };
    /// The same for Prometheus, and the single VictoriaMetrics.
    pub const PROMETHEUS: Self = Self {
        service: crate::model::Service::Prometheus,
        name: "Prometheus",
        setting: "[clusters.CONTEXT.prometheus] takes url or service",
        selectors: ["operated-prometheus=true", "app.kubernetes.io/name%20in%20(prometheus,vmsingle)"],
        likely: ["prometheus-operated", "prometheus-k8s"],
        ports: &["web", "http-web", "http"],
        number: 9090,
    };
}

/// What was found of a cluster: written by whoever looks, read by whoever acts.
#[derive(Clone, Default, Debug)]
pub struct Found(Arc<Mutex<(Option<Service>, Vec<Replica>)>>);

impl Found {
    /// Where it is.
    pub fn get(&self) -> Option<Service> {
        self.known().0.clone()
    }

    /// It is there, or no longer.
    pub fn set(&self, service: Option<Service>) {
        self.known().0 = service;
    }

    /// The pods of a service that is met by port-forward.
    pub fn pods(&self) -> Vec<Replica> {
        self.known().1.clone()
    }

    /// Which they are by now.
    pub fn set_pods(&self, pods: &[Replica]) {
        self.known().1 = pods.to_vec();
    }

    fn known(&self) -> std::sync::MutexGuard<'_, (Option<Service>, Vec<Replica>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Deserialize)]
struct List {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    namespace: String,
}

#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    ports: Vec<Port>,
}

#[derive(Deserialize)]
struct Port {
    #[serde(default)]
    name: String,
    #[serde(default)]
    protocol: String,
    port: u16,
}

/// The services that are one, one a namespace, the likeliest first.
///
/// # Errors
/// When the services of all namespaces cannot be listed.
pub async fn find(client: &ReadClient, sought: &Sought) -> Result<Vec<Service>, ClientError> {
    let [operated, named] = sought.selectors.map(|selector| {
        let path = format!("/api/v1/services?labelSelector={selector}");
        async move { client.get_within::<List>(&path, MOST, LIMIT).await }
    });
    let (operated, named) = futures::future::try_join(operated, named).await?;
    let mut found: Vec<(bool, String, usize, Service)> = Vec::new();
    for Item { metadata: Metadata { name, namespace }, spec } in operated.items.into_iter().chain(named.items) {
        let Some(port) = port(&spec.ports, sought) else { continue };
        let rank = sought.likely.iter().position(|l| *l == name).unwrap_or(sought.likely.len());
        found.push((namespace != "monitoring", namespace.clone(), rank, Service { namespace, name, port: port.to_string() }));
    }
    found.sort_by(|a, b| (a.0, &a.1, a.2, &a.3.name).cmp(&(b.0, &b.1, b.2, &b.3.name)));
    found.dedup_by(|a, b| a.1 == b.1);
    Ok(found.into_iter().map(|(.., service)| service).collect())
}

fn port(ports: &[Port], sought: &Sought) -> Option<u16> {
    let tcp = || ports.iter().filter(|p| matches!(p.protocol.as_str(), "TCP" | ""));
    let named = sought.ports.iter().find_map(|name| tcp().find(|p| p.name == *name));
    named.or_else(|| tcp().find(|p| p.port == sought.number)).map(|p| p.port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fake::{Server, connect, reply};
    use serde_json::{Value, json};

    fn service(namespace: &str, name: &str, ports: Value) -> Value {
        json!({"metadata": {"name": name, "namespace": namespace}, "spec": {"ports": ports}})
    }

    #[tokio::test]
    async fn the_usual_installations_are_found_one_a_namespace() {
        let web = json!([{"name": "reloader-web", "port": 8080, "protocol": "TCP"}, {"name": "web", "port": 9093, "protocol": "TCP"}]);
        let mesh = json!([{"name": "tcp-mesh", "port": 9094}, {"name": "http-web", "port": 9095}]);
        let server = Server::start(move |request| {
            let items = if request.uri().query().unwrap().contains("operated") {
                json!([service("monitoring", "alertmanager-operated", mesh.clone())])
            } else {
                json!([
                    service("am", "vmalertmanager-vm", json!([{"port": 9093}])),
                    service("monitoring", "alertmanager-main", web.clone()),
                    service("zoo", "alertmanager", json!([{"name": "grpc", "port": 1}, {"name": "udp", "port": 9093, "protocol": "UDP"}])),
                ])
            };
            reply(200, json!({"items": items}).to_string())
        })
        .await;
        let client = connect(&server, "").await;
        let found: Vec<String> = find(&client, &Sought::ALERTMANAGER).await.unwrap().iter().map(Service::to_string).collect();
        assert_eq!(found, ["monitoring/alertmanager-operated:9095", "am/vmalertmanager-vm:9093"]);
        let seen = server.seen.lock().unwrap();
        assert!(seen.iter().all(|r| r.uri().path() == "/api/v1/services"));
    }

    #[tokio::test]
    async fn what_may_not_be_listed_is_not_said_to_be_absent() {
        let server = Server::start(|_| reply(403, "{}")).await;
        let client = connect(&server, "").await;
        assert!(matches!(find(&client, &Sought::ALERTMANAGER).await, Err(ClientError::Forbidden { .. })));
    }

    #[test]
    fn the_role_of_a_scheduled_inspection_names_the_usual_services() {
        let role = include_str!("../../assets/inspect/rbac.yaml");
        for sought in [&Sought::ALERTMANAGER, &Sought::PROMETHEUS] {
            for name in sought.likely {
                assert!(role.contains(&format!("\"{name}:{}\"", sought.number)), "{name}");
            }
        }
    }
}
