//! One replica of a service: by its own address, or whichever the API server's proxy picks.

use super::pods::forwarded;
use crate::client::{BudgetConfig, ClientError, ExecPool, Forward, ReadClient, Target};
use crate::config::{Endpoint, Reach, Service};
use kube::config::{AuthInfo, Cluster};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// As much of an answer as is read, in bytes: some ten thousand alerts.
const MOST: usize = 64 << 20;

/// A replica of a service, and the connection to it while there is one.
#[derive(Clone)]
pub struct Replica {
    at: At,
    reached: Option<Reached>,
}

#[derive(Clone)]
enum At {
    Url { url: String, endpoint: Box<Endpoint> },
    Service { service: Service, through: ReadClient },
    Pod { url: String, endpoint: Box<Endpoint>, forward: Forward },
}

/// A replica that requests can be sent to.
#[derive(Clone)]
pub struct Reached {
    pub client: ReadClient,
    /// What its paths begin with at that client: empty, or the API server's proxy.
    base: String,
}

/// The replicas of an endpoint; none of a service that is met by port-forward, none where it is not configured, and none of a cluster's service without a client `through` that cluster.
pub fn replicas(endpoint: &Endpoint, through: Option<&ReadClient>) -> Vec<Replica> {
    let at = match (&endpoint.reach.value, through) {
        (Some(Reach::Urls(urls)), _) => {
            urls.iter().map(|url| At::Url { url: bare(url).to_owned(), endpoint: endpoint.clone().into() }).collect()
        }
        // Which pods there are is not known before they are asked for.
        (Some(Reach::Service(_)), _) if forwarded(endpoint).is_some() => Vec::new(),
        (Some(Reach::Service(service)), Some(through)) => vec![At::Service { service: service.clone(), through: through.clone() }],
        _ => Vec::new(),
    };
    at.into_iter().map(|at| Replica { at, reached: None }).collect()
}

/// Whether two clusters' endpoints are the same replicas, met as the same user. Services of a cluster are its own.
pub fn same(a: &Endpoint, b: &Endpoint) -> bool {
    let urls = |e: &Endpoint| match &e.reach.value {
        Some(Reach::Urls(urls)) => {
            let mut urls: Vec<String> = urls.iter().map(|u| bare(u).to_owned()).collect();
            urls.sort_unstable();
            urls.dedup();
            Some(urls)
        }
        _ => None,
    };
    let who = |e: &Endpoint| {
        let files = [&e.token_file, &e.password_file, &e.tls.ca, &e.tls.cert, &e.tls.key];
        (files.map(|f| f.value.clone()), e.username.value.clone())
    };
    urls(a).is_some_and(|a| urls(b) == Some(a)) && who(a) == who(b)
}

fn bare(url: &str) -> &str {
    url.trim_end_matches('/')
}

impl fmt::Display for Replica {
    /// `https://10.0.0.1:9093`, `service monitoring/alertmanager-operated:9093`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            At::Url { url, .. } => f.write_str(url),
            At::Service { service, .. } => write!(f, "service {service}"),
            At::Pod { forward, .. } => write!(f, "{forward} by port-forward"),
        }
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Replica({self})")
    }
}

impl Replica {
    /// A pod that is met by port-forward; `url` is what it is called there: the host of requests and certificates.
    pub(super) fn forwarded(url: String, endpoint: &Endpoint, forward: Forward) -> Self {
        Self { at: At::Pod { url, endpoint: endpoint.clone().into(), forward }, reached: None }
    }

    /// The connection. Sends nothing. After [`Replica::forget`] it is a new one, with what is in the files by then.
    ///
    /// # Errors
    /// When a file cannot be read or is not what it should be.
    pub async fn reach(&mut self) -> Result<Reached, ClientError> {
        if let Some(reached) = &self.reached {
            return Ok(reached.clone());
        }
        let reached = match &self.at {
            At::Url { url, endpoint } => Reached { client: connect(url, endpoint, None).await?, base: String::new() },
            At::Pod { url, endpoint, forward } => Reached { client: connect(url, endpoint, Some(forward)).await?, base: String::new() },
            At::Service { service: Service { namespace, name, port }, through } => {
                Reached { client: through.clone(), base: format!("/api/v1/namespaces/{namespace}/services/{name}:{port}/proxy") }
            }
        };
        self.reached = Some(reached.clone());
        Ok(reached)
    }

    /// It failed: it is met anew the next time.
    pub fn forget(&mut self) {
        self.reached = None;
    }
}

impl Reached {
    /// A path of the service's own, as the client takes it.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A JSON answer as `T`, of 64 MiB at most.
    ///
    /// # Errors
    /// When it does not come within that time, or as something else.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, within: Duration) -> Result<T, ClientError> {
        self.client.get_within(&self.path(path), MOST, within).await
    }
}

async fn connect(url: &str, endpoint: &Endpoint, forward: Option<&Forward>) -> Result<ReadClient, ClientError> {
    let text = |path: &Option<PathBuf>| path.as_ref().map(|p| p.to_string_lossy().into_owned());
    let tls = &endpoint.tls;
    let cluster = Cluster { server: Some(url.to_owned()), certificate_authority: text(&tls.ca.value), ..Cluster::default() };
    let password = match &endpoint.password_file.value {
        None => None,
        Some(path) => {
            let read = tokio::fs::read_to_string(path).await;
            Some(read.map_err(|why| ClientError::Unauthorized { reason: format!("{}: {why}", path.display()) })?)
        }
    };
    let user = AuthInfo {
        username: endpoint.username.value.clone(),
        password: password.map(|p| SecretString::from(p.trim_end_matches(['\r', '\n']))),
        token_file: text(&endpoint.token_file.value),
        client_certificate: text(&tls.cert.value),
        client_key: text(&tls.key.value),
        ..AuthInfo::default()
    };
    let target = Target::direct(url, cluster, user);
    let target = if let Some(forward) = forward { target.by(forward.clone()) } else { target };
    ReadClient::connect(&target, &ExecPool::default(), BudgetConfig::default()).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fake::{Server, connect, reply};
    use crate::client::install_crypto_provider;
    use crate::config::Setting;

    fn urls(urls: &[&str]) -> Endpoint {
        let urls = urls.iter().map(|u| (*u).to_owned()).collect();
        Endpoint { reach: Setting::default_to(Some(Reach::Urls(urls))), ..Endpoint::default() }
    }

    #[test]
    fn the_same_replicas_as_the_same_user_are_one_endpoint() {
        let a = urls(&["http://a:1", "http://b:1/"]);
        assert!(same(&a, &urls(&["http://b:1", "http://a:1/"])));
        assert!(!same(&a, &urls(&["http://a:1"])));
        let other = Endpoint { username: Setting::default_to(Some("ada".to_owned())), ..a.clone() };
        assert!(!same(&a, &other), "what one may see another may not");
        let service = Service { namespace: "m".into(), name: "am".into(), port: "web".into() };
        let service = Endpoint { reach: Setting::default_to(Some(Reach::Service(service))), ..Endpoint::default() };
        assert!(!same(&service, &service.clone()), "each cluster has its own");
        assert!(!same(&Endpoint::default(), &Endpoint::default()));
    }

    #[tokio::test]
    async fn who_we_are_comes_from_files_and_is_read_anew_after_a_failure() {
        install_crypto_provider();
        let server = Server::start(|_| reply(200, "1")).await;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        let mut endpoint = urls(&[&format!("{}/am/", server.url())]);
        endpoint.username = Setting::default_to(Some("ada".to_owned()));
        endpoint.password_file = Setting::default_to(Some(file.clone()));
        let mut replica = replicas(&endpoint, None).remove(0);
        assert!(matches!(replica.reach().await, Err(ClientError::Unauthorized { reason }) if reason.contains("password")));
        for (password, header) in [("one\n", "Basic YWRhOm9uZQ=="), ("two", "Basic YWRhOnR3bw==")] {
            std::fs::write(&file, password).unwrap();
            replica.forget();
            let got: u8 = replica.reach().await.unwrap().get("/api/v2/status", Duration::from_secs(5)).await.unwrap();
            assert_eq!(got, 1);
            assert_eq!(server.header(server.count() - 1, "authorization").as_deref(), Some(header));
        }
        assert_eq!(server.seen.lock().unwrap()[0].uri().path(), "/am/api/v2/status", "what stands before the API stays");
    }

    #[tokio::test]
    async fn a_service_is_met_through_the_api_server() {
        let server = Server::start(|_| reply(200, "1")).await;
        let through = connect(&server, "token: t").await;
        let service = Service { namespace: "m".into(), name: "am".into(), port: "web".into() };
        let endpoint = Endpoint { reach: Setting::default_to(Some(Reach::Service(service))), ..Endpoint::default() };
        assert!(replicas(&endpoint, None).is_empty());
        let mut replica = replicas(&endpoint, Some(&through)).remove(0);
        assert_eq!(replica.to_string(), "service m/am:web");
        replica.reach().await.unwrap().get::<u8>("/-/ready", Duration::from_secs(5)).await.unwrap();
        assert_eq!(server.seen.lock().unwrap()[0].uri().path(), "/api/v1/namespaces/m/services/am:web/proxy/-/ready");
    }
}
