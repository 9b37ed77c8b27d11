//! A simulated fleet: API servers behind loopback sockets and TLS, with objects, controllers and faults, deterministic by seed.
//!
//! ```text
//! scenario ─▶ generate ─▶ store ◀─ control, workloads, incident
//!                           ▲
//! socket ─▶ serve ─▶ api ───┼─▶ list, watch, table
//!             │             └─▶ proxy ─▶ alertmanager ─▶ alerts
//!             │                      └─▶ prometheus ─▶ measured
//!             └────▶ etcd
//! ```
//!
//! It serves the demo, drills and tests; nothing of it is in the way of a real cluster, and clients reach it as they reach any.

mod alertmanager;
mod alerts;
mod api;
mod budgets;
mod control;
mod endpoints;
mod etcd;
mod evict;
mod fault;
mod fields;
mod generate;
mod incident;
mod judged;
mod list;
mod logs;
mod make;
mod measured;
mod metrics;
mod orders;
mod patch;
mod prometheus;
mod proxy;
mod query;
mod register;
mod reply;
mod resize;
mod review;
mod revisions;
mod scaler;
mod scenario;
mod schema;
mod serve;
mod store;
mod table;
mod taints;
mod velero;
mod watch;
mod workloads;
mod write;

pub use fault::Fault;
pub use scenario::{BUILT_IN, Moment, Scenario};
pub use serve::{Witness, Written};

use rustls::pki_types::PrivateKeyDer;
use serve::Cluster;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What to simulate.
pub struct Options {
    pub scenario: Scenario,
    /// Where the kubeconfig goes; none: a private directory of its own.
    pub kubeconfig: Option<PathBuf>,
    /// Contexts of a user who may not see nodes and secrets, nor change anything.
    pub viewer: bool,
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path} is there already; it is not overwritten", path = .0.display())]
    Exists(PathBuf),
    #[error("cannot write {path}: {1}", path = .0.display())]
    Write(PathBuf, io::Error),
    #[error("no certificate: {0}")]
    Certificate(String),
    #[error("no socket: {0}")]
    Socket(#[from] io::Error),
}

/// Fleets larger than this have an etcd to be asked in so many of their clusters only: each costs three sockets, and what polls them.
const ETCDS: usize = 16;

/// The clusters, to be troubled.
#[derive(Clone)]
pub struct Fleet {
    clusters: Arc<[Arc<Cluster>]>,
    prometheus: Arc<str>,
}

impl Fleet {
    /// The clusters' names, which are their contexts.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.clusters.iter().map(|c| c.name.as_str())
    }
    /// Who is told of every request that would change a cluster, before it is looked at; none: nobody any more.
    pub fn witness(&self, cluster: &str, witness: Option<Witness>) -> bool {
        let found = self.clusters.iter().find(|c| c.name == cluster);
        found.is_some_and(|c| {
            c.witness(witness);
            true
        })
    }
    /// The requests since the last call, each method (`WATCH` too) and path once; from the first call on they are noted.
    pub fn heard(&self, cluster: &str) -> std::collections::BTreeSet<(String, String)> {
        self.clusters.iter().find(|c| c.name == cluster).map(|c| c.heard()).unwrap_or_default()
    }
    /// The token that is good when the administrator's has expired.
    pub fn renewed_token(&self, cluster: &str) -> Option<String> {
        self.clusters.iter().find(|c| c.name == cluster).map(|c| c.renewed())
    }
    /// Where a cluster's members of etcd answer, gRPC and metrics; empty where nobody does.
    pub fn etcd(&self, cluster: &str) -> Vec<String> {
        let found = self.clusters.iter().find(|c| c.name == cluster);
        found.map(|c| c.read().etcd.members.iter().filter_map(|m| m.client.clone()).collect()).unwrap_or_default()
    }
    /// Where the Prometheus answers that the clusters share; its label `cluster` has their names.
    pub fn prometheus(&self) -> &str {
        &self.prometheus
    }
    /// Lets a fault of connections hold for a member of etcd (`etcd-1`), or end; false when there is no such member.
    pub fn member(&self, cluster: &str, member: &str, fault: &Fault, begins: bool) -> bool {
        let found = self.clusters.iter().find(|c| c.name == cluster);
        found.is_some_and(|c| c.etcd(|s| s.member(member, fault, begins)))
    }
    /// An object as it is, by its path in the API: a look past sockets and faults.
    pub fn object(&self, cluster: &str, path: &str) -> Option<serde_json::Value> {
        let (cluster, place) = (self.clusters.iter().find(|c| c.name == cluster)?, query::place(path)?);
        let state = cluster.read();
        state.get(place.res, place.namespace.as_deref().unwrap_or(""), place.name.as_deref()?).map(|o| o.value())
    }
    /// A change that somebody else makes now, past sockets and faults: `PATCH`, a path in the API, the body's type.
    ///
    /// # Errors
    /// Why the server does not take it, in its words.
    pub fn by_another(
        &self,
        cluster: &str,
        method: &str,
        path: &str,
        content: &str,
        body: serde_json::Value,
    ) -> Result<serde_json::Value, String> {
        let found = self.clusters.iter().find(|c| c.name == cluster).ok_or_else(|| format!("no cluster {cluster}"))?;
        let method = method.parse().map_err(|_| format!("{method} is no method"))?;
        api::by_another(found, &method, path, content, body)
    }
    /// Lets a fault hold for a cluster; false when there is no such cluster.
    pub fn fault(&self, cluster: &str, fault: &Fault) -> bool {
        let found = self.clusters.iter().find(|c| c.name == cluster);
        found.is_some_and(|c| {
            c.fault(fault);
            true
        })
    }
}

/// A fleet that runs; it ends, and its kubeconfig goes, when this is dropped.
pub struct Running {
    pub kubeconfig: PathBuf,
    pub fleet: Fleet,
    /// Its own threads: nothing of it delays the one that draws.
    runtime: Option<tokio::runtime::Runtime>,
    dir: Option<PathBuf>,
    /// Beside the kubeconfig, if it was written.
    settings: Option<PathBuf>,
}

impl Running {
    /// Writes settings for those who use the kubeconfig, in a file beside it that goes with the fleet.
    ///
    /// # Errors
    /// When there is a file that is not ours, or it cannot be written.
    pub fn write_settings(&mut self, text: &str) -> Result<PathBuf, Error> {
        let mut path = self.kubeconfig.clone().into_os_string();
        path.push(".qd.toml");
        let path = PathBuf::from(path);
        write_own(&path, &format!("{MARK}{text}"))?;
        self.settings = Some(path.clone());
        Ok(path)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Files that are gone already are as they should be.
        let _ = std::fs::remove_file(&self.kubeconfig);
        if let Some(settings) = &self.settings {
            let _ = std::fs::remove_file(settings);
        }
        if let Some(dir) = &self.dir {
            let _ = std::fs::remove_dir(dir);
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Letters that nobody can guess.
fn secret() -> Result<String, Error> {
    let mut bytes = [0u8; 24];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| Error::Certificate("no random numbers".to_owned()))?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// Starts a fleet.
///
/// # Errors
/// When sockets, certificates or the kubeconfig cannot be made.
pub fn start(options: &Options) -> Result<Running, Error> {
    let scenario = &options.scenario;
    let names = scenario::names(scenario.clusters);
    let now = jiff::Timestamp::now().as_second();
    let began = scenario.began.unwrap_or(now);
    let states: Vec<store::State> = std::thread::scope(|scope| {
        let jobs: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(n, name)| scope.spawn(move || generate::cluster(scenario, name, n, scenario.seed, began)))
            .collect();
        jobs.into_iter().filter_map(|j| j.join().ok()).collect()
    });
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).max_blocking_threads(4).thread_name("qd-sim").enable_all().build()?;
    let certificate = |e: rcgen::Error| Error::Certificate(e.to_string());
    let ca_key = rcgen::KeyPair::generate().map_err(certificate)?;
    let mut ca = rcgen::CertificateParams::new(Vec::new()).map_err(certificate)?;
    ca.distinguished_name.push(rcgen::DnType::CommonName, "qd demo");
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).map_err(certificate)?.pem();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let mut clusters = Vec::new();
    for state in states {
        let key = rcgen::KeyPair::generate().map_err(certificate)?;
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).map_err(certificate)?;
        let server = params.signed_by(&key, &issuer).map_err(certificate)?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::Certificate(e.to_string()))?
            .with_no_client_auth()
            .with_single_cert(vec![server.der().clone()], key)
            .map_err(|e| Error::Certificate(e.to_string()))?;
        let cluster = Cluster::new(state, (began - now) * 1000, secret()?, secret()?);
        // First: its time begins with the API server.
        if clusters.len() < ETCDS {
            let _inside = runtime.enter();
            etcd::rpc::listen(&cluster)?;
        }
        let address = serve::listen(&runtime, cluster.clone(), Arc::new(tls))?;
        cluster.change(|s| velero::at(s, &format!("https://{address}"), &encoded(&ca_pem)));
        clusters.push((cluster, address));
    }
    let (kubeconfig, dir) = match &options.kubeconfig {
        Some(path) => (path.clone(), None),
        None => {
            let dir = std::env::temp_dir().join(format!("qd-demo-{}", &secret()?[..12]));
            std::fs::DirBuilder::new().mode(0o700).create(&dir).map_err(|e| Error::Write(dir.clone(), e))?;
            (dir.join("kubeconfig"), Some(dir))
        }
    };
    write_own(&kubeconfig, &config_text(&clusters, &ca_pem, options.viewer))?;
    let clusters: Vec<Arc<Cluster>> = clusters.into_iter().map(|(c, _)| c).collect();
    let prometheus = {
        let _inside = runtime.enter();
        prometheus::listen(clusters.clone())?.into()
    };
    let fleet = Fleet { clusters: clusters.into(), prometheus };
    Ok(Running { kubeconfig, fleet, runtime: Some(runtime), dir, settings: None })
}

/// Files that begin so are ours, and may be left from before.
const MARK: &str = "# made by qd demo; gone when it ends\n";

/// PEM as a kubeconfig has it.
fn encoded(pem: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(pem)
}

fn config_text(clusters: &[(Arc<Cluster>, std::net::SocketAddr)], ca: &str, viewer: bool) -> String {
    let ca = encoded(ca);
    let (mut contexts, mut servers, mut users) = (String::new(), String::new(), String::new());
    for (c, address) in clusters {
        let name = &c.name;
        let (user, token) = if viewer { ("viewer", &c.viewer) } else { ("admin", &c.admin) };
        contexts.push_str(&format!("- name: {name}\n  context: {{cluster: {name}, user: {user}@{name}, namespace: default}}\n"));
        servers.push_str(&format!("- name: {name}\n  cluster:\n    server: https://{address}\n    certificate-authority-data: {ca}\n"));
        users.push_str(&format!("- name: {user}@{name}\n  user:\n    token: {token}\n"));
    }
    let current = clusters.first().map_or("", |(c, _)| c.name.as_str());
    format!("{MARK}apiVersion: v1\nkind: Config\ncurrent-context: {current}\ncontexts:\n{contexts}clusters:\n{servers}users:\n{users}")
}

fn write_own(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |e: io::Error| Error::Write(path.to_owned(), e);
    match std::fs::read_to_string(path) {
        Ok(old) if old.starts_with(MARK) => std::fs::remove_file(path).map_err(failed)?,
        Ok(_) => return Err(Error::Exists(path.to_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(failed(e)),
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_that_is_not_ours_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        std::fs::write(&path, "apiVersion: v1\n").unwrap();
        assert!(matches!(write_own(&path, MARK), Err(Error::Exists(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "apiVersion: v1\n");
        std::fs::write(&path, format!("{MARK}old")).unwrap();
        write_own(&path, MARK).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), MARK);
    }
}
