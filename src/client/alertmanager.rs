//! A cluster's Alertmanager, to read: which alerts fire. Its replicas are asked directly, or the service through the API server's proxy.

use super::{
    budget::BudgetConfig,
    error::ClientError,
    exec::ExecPool,
    kubeconfig::{Target, proxies},
    read::ReadClient,
};
use crate::config::{Endpoint, Reach};
use kube::config::{AuthInfo, Cluster};
use secrecy::SecretString;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How long one replica may take.
const LIMIT: Duration = Duration::from_secs(10);

/// An alert as the API v2 has it; the labels are enough.
#[derive(Deserialize)]
struct Alert {
    labels: BTreeMap<String, String>,
}

/// Where a cluster's alerts are.
#[derive(Clone)]
pub struct Alertmanager {
    endpoint: Endpoint,
    /// The cluster's own client, for a service.
    through: ReadClient,
    /// What the cluster may be called by the label that tells clusters apart.
    names: Vec<String>,
}

impl fmt::Debug for Alertmanager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alertmanager").field("reach", &self.endpoint.reach.value).finish_non_exhaustive()
    }
}

impl Alertmanager {
    /// None where none is configured. `names` are the cluster's: as shown, and its contexts.
    pub fn of(endpoint: &Endpoint, through: &ReadClient, names: Vec<String>) -> Option<Self> {
        endpoint.reach.value.as_ref()?;
        Some(Self { endpoint: endpoint.clone(), through: through.clone(), names })
    }

    /// How many alerts of this name fire in the cluster, silenced and inhibited ones too. Replicas may lag behind each other: the most
    /// that one of them says counts, and those that do not answer count only when none does.
    ///
    /// # Errors
    /// When no replica answers: what the last one did.
    pub async fn firing(&self, alert: &str) -> Result<usize, ClientError> {
        let quoted = alert.replace('\\', "\\\\").replace('"', "\\\"");
        let query = format!("/api/v2/alerts?filter={}", escaped(&format!("alertname=\"{quoted}\"")));
        let mut said: Result<usize, ClientError> = Err(ClientError::Config { reason: "no Alertmanager is configured".to_owned() });
        let clients = match &self.endpoint.reach.value {
            None => Vec::new(),
            Some(Reach::Service(s)) => {
                let path = format!("/api/v1/namespaces/{}/services/{}:{}/proxy{query}", s.namespace, s.name, s.port);
                vec![(Ok(self.through.clone()), path)]
            }
            Some(Reach::Urls(urls)) => {
                let mut clients = Vec::new();
                for url in urls {
                    clients.push((self.connect(url).await, query.clone()));
                }
                clients
            }
        };
        for (client, path) in clients {
            let asked = async { client?.get_typed::<Vec<Alert>>(&path).await };
            let answer = match tokio::time::timeout(LIMIT, asked).await {
                Ok(answer) => answer.map(|alerts| alerts.iter().filter(|a| self.ours(a)).count()),
                Err(_) => Err(ClientError::Timeout { after: LIMIT }),
            };
            said = match (said, answer) {
                (Ok(a), Ok(b)) => Ok(a.max(b)),
                (Ok(a), Err(_)) | (Err(_), Ok(a)) => Ok(a),
                (Err(_), Err(e)) => Err(e),
            };
        }
        said
    }

    /// An alert without the label may be ours.
    fn ours(&self, alert: &Alert) -> bool {
        let label = self.endpoint.cluster_label.value.as_ref().and_then(|l| alert.labels.get(l));
        label.is_none_or(|l| self.names.contains(l))
    }

    /// A replica as if it were an API server: the same TLS, proxies, limits and errors in words. Files are read anew.
    async fn connect(&self, url: &str) -> Result<ReadClient, ClientError> {
        let e = &self.endpoint;
        let text = |path: &Option<PathBuf>| path.as_ref().map(|p| p.to_string_lossy().into_owned());
        let cluster = Cluster {
            server: Some(url.trim_end_matches('/').to_owned()),
            certificate_authority: text(&e.tls.ca.value),
            ..Cluster::default()
        };
        let password = match &e.password_file.value {
            None => None,
            Some(path) => Some(
                std::fs::read_to_string(path).map_err(|why| ClientError::Unauthorized { reason: format!("{}: {why}", path.display()) })?,
            ),
        };
        let user = AuthInfo {
            username: e.username.value.clone(),
            password: password.map(|p| SecretString::from(p.trim_end_matches(['\r', '\n']))),
            token_file: text(&e.token_file.value),
            client_certificate: text(&e.tls.cert.value),
            client_key: text(&e.tls.key.value),
            ..AuthInfo::default()
        };
        let target = Target::of("alertmanager", cluster, user, &proxies(&|name| std::env::var_os(name)));
        ReadClient::connect(&target, &ExecPool::default(), BudgetConfig::default()).await
    }
}

/// A query's value: all that is neither letter, digit nor one of `-._~` as %XX.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Server, connect, reply};
    use super::*;
    use crate::client::install_crypto_provider;
    use crate::config::{Service, Setting};

    fn alerts(clusters: &[&str]) -> String {
        let all: Vec<_> = clusters.iter().map(|c| serde_json::json!({"labels": {"alertname": "NodeDown", "cluster": c}})).collect();
        serde_json::to_string(&all).unwrap()
    }

    fn endpoint(reach: Reach, label: Option<&str>) -> Endpoint {
        Endpoint {
            reach: Setting::default_to(Some(reach)),
            cluster_label: Setting::default_to(label.map(str::to_owned)),
            ..Endpoint::default()
        }
    }

    #[tokio::test]
    async fn replicas_are_asked_and_what_other_clusters_fire_is_not_counted() {
        install_crypto_provider();
        let full = Server::start(|_| reply(200, alerts(&["lab", "lab", "other"]))).await;
        let empty = Server::start(|_| reply(200, "[]")).await;
        let through = connect(&empty, "").await;
        let of = |urls: Vec<String>, label| Alertmanager::of(&endpoint(Reach::Urls(urls), label), &through, vec!["lab".into()]).unwrap();
        assert_eq!(of(vec![empty.url(), full.url()], Some("cluster")).firing("NodeDown").await, Ok(2));
        assert_eq!(of(vec![full.url()], None).firing("NodeDown").await, Ok(3));
        // One that is down does not make it quiet, nor unknown.
        assert_eq!(of(vec![empty.url(), "http://127.0.0.1:1".into()], None).firing("NodeDown").await, Ok(0));
        assert!(of(vec!["http://127.0.0.1:1".into()], None).firing("NodeDown").await.is_err());
    }

    #[tokio::test]
    async fn a_service_is_asked_through_the_api_server_and_names_are_escaped() {
        let server =
            Server::start(|r| reply(200, if r.uri().query() == Some("filter=alertname%3D%22a%20b%22") { "[]" } else { "{}" })).await;
        let through = connect(&server, "").await;
        let service = Service { namespace: "monitoring".into(), name: "am".into(), port: "9093".into() };
        let am = Alertmanager::of(&endpoint(Reach::Service(service), None), &through, Vec::new()).unwrap();
        assert_eq!(am.firing("a b").await, Ok(0));
        assert!(am.firing("ab").await.is_err(), "what is no list of alerts says nothing");
        assert!(Alertmanager::of(&Endpoint::default(), &through, Vec::new()).is_none());
    }
}
