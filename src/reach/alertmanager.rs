//! A cluster's Alertmanager for whoever acts: whether an alert still fires, and its silences, each replica on its own.

use super::replica::{Reached, Replica, replicas};
use crate::client::{ClientError, ReadClient};
use crate::config::Endpoint;
use crate::model::alertmanager::{Peers, Silence, Status};
use futures::future::join_all;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long one replica may take.
const LIMIT: Duration = Duration::from_secs(10);

/// An alert as the API v2 has it; the labels are enough.
#[derive(Deserialize)]
struct Alert {
    labels: BTreeMap<String, String>,
}

/// Where a cluster's alerts are.
#[derive(Clone, Debug)]
pub struct Alertmanager {
    replicas: Vec<Replica>,
    /// The label that tells clusters apart.
    label: Option<String>,
    /// What the cluster may be called by that label.
    names: Vec<String>,
    /// How long one replica may take.
    limit: Duration,
}

impl Alertmanager {
    /// None where none is configured. `through`: the cluster's own client, for a service; `names`: the cluster's, as shown and its contexts.
    pub fn of(endpoint: &Endpoint, through: &ReadClient, names: Vec<String>) -> Option<Self> {
        Self::at(replicas(endpoint, Some(through)), endpoint, names)
    }

    /// The same of replicas that were found. None where there are none.
    pub fn at(replicas: Vec<Replica>, endpoint: &Endpoint, names: Vec<String>) -> Option<Self> {
        (!replicas.is_empty()).then(|| Self { replicas, label: endpoint.cluster_label.value.clone(), names, limit: LIMIT })
    }

    /// With another limit than 10 s for each answer.
    pub fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// How long one replica may take.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// The connection to a replica.
    ///
    /// # Errors
    /// When a file cannot be read or is not what it should be.
    pub async fn reached(&self, replica: usize) -> Result<Reached, ClientError> {
        let found = self.replicas.get(replica).cloned();
        found.ok_or_else(|| ClientError::Config { reason: "no such replica".to_owned() })?.reach().await
    }

    /// The replicas, in words.
    pub fn replicas(&self) -> impl ExactSizeIterator<Item = String> {
        self.replicas.iter().map(ToString::to_string)
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, replica: usize, path: &str) -> Result<T, ClientError> {
        let asked = async { self.reached(replica).await?.get(path, self.limit).await };
        // A proxy may send the head of an answer and then nothing.
        tokio::time::timeout(self.limit * 2, asked).await.unwrap_or(Err(ClientError::Timeout { after: self.limit }))
    }

    /// The silences that a replica knows, ended ones too.
    ///
    /// # Errors
    /// When it does not answer, or refuses; some fail where a silence has several sets of matchers.
    pub async fn silences(&self, replica: usize) -> Result<Vec<Silence>, ClientError> {
        self.get(replica, "/api/v2/silences").await
    }

    /// A silence as a replica knows it; none where it has not heard of it.
    ///
    /// # Errors
    /// When it does not answer, or refuses.
    pub async fn silence(&self, replica: usize, id: &str) -> Result<Option<Silence>, ClientError> {
        match self.get(replica, &silence_path(id)).await {
            Ok(silence) => Ok(Some(silence)),
            Err(ClientError::NotFound { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// What keeps a replica from telling its peers, in words; none where nothing does.
    ///
    /// # Errors
    /// When it does not answer, or refuses.
    pub async fn apart(&self, replica: usize) -> Result<Option<String>, ClientError> {
        let Status { cluster: Peers { status, peers } } = self.get(replica, "/api/v2/status").await?;
        Ok(match status.as_str() {
            _ if self.replicas.len() < 2 => None,
            "ready" if peers.len() > 1 => None,
            "ready" => Some("it sees no peer".to_owned()),
            other => Some(format!("its cluster is {other}")),
        })
    }

    /// How many alerts of this name fire in the cluster, silenced and inhibited ones too. Replicas may lag behind each other: the most
    /// that one of them says counts, and those that do not answer count only when none does.
    ///
    /// # Errors
    /// When no replica answers: what the last one did.
    pub async fn firing(&self, alert: &str) -> Result<usize, ClientError> {
        let quoted = alert.replace('\\', "\\\\").replace('"', "\\\"");
        let path = format!("/api/v2/alerts?filter={}", escaped(&format!("alertname=\"{quoted}\"")));
        let asked = self.replicas.iter().cloned().map(|mut replica| {
            let path = &path;
            async move { replica.reach().await?.get::<Vec<Alert>>(path, LIMIT).await }
        });
        let mut said: Result<usize, ClientError> = Err(ClientError::Config { reason: "no Alertmanager is configured".to_owned() });
        for answer in join_all(asked).await {
            let answer = answer.map(|alerts| alerts.iter().filter(|a| self.ours(a)).count());
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
        let label = self.label.as_ref().and_then(|l| alert.labels.get(l));
        label.is_none_or(|l| self.names.contains(l))
    }
}

/// The path of a silence.
pub fn silence_path(id: &str) -> String {
    format!("/api/v2/silence/{}", escaped(id))
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
    use super::*;
    use crate::client::fake::{Server, connect, reply};
    use crate::client::install_crypto_provider;
    use crate::config::{Reach, Service, Setting};

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
