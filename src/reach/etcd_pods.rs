//! etcd's own pods, as kubeadm makes them: where each member is, and which files of its host lead to it.
//!
//! Facts: `cmd/kubeadm/app/phases/etcd/local.go` (flags, labels, annotation), `constants.go` (names of the files).

use crate::client::{Certificates, ClientError, ReadClient};
use crate::config::SecretRef;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Uri;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a request may take: it is made while members are to be looked at.
const LIMIT: Duration = Duration::from_secs(5);
/// As much of an answer as is read, in bytes.
const MOST: usize = 4 << 20;
pub const NAMESPACE: &str = "kube-system";
const PODS: &str = "/api/v1/namespaces/kube-system/pods?labelSelector=component%3Detcd%2Ctier%3Dcontrol-plane";
const ADVERTISED: &str = "kubeadm.kubernetes.io/etcd.advertise-client-urls";
/// etcd's client port.
const CLIENT: u16 = 2379;

/// A pod of etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdPod {
    pub name: String,
    pub node: String,
    /// Where it says that clients find it.
    pub url: String,
    /// The port on which it listens on its loopback address: where a port-forward arrives.
    pub port: u16,
    /// A file of the host: the authority of clients' certificates.
    ca: Option<String>,
    /// A file of the host: the member's own certificate.
    cert: Option<String>,
}

#[derive(Deserialize)]
struct Pods {
    items: Vec<Pod>,
}

#[derive(Deserialize)]
struct Pod {
    metadata: Metadata,
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    node_name: String,
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Deserialize)]
struct Container {
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    args: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default, rename = "podIP")]
    pod_ip: String,
}

impl EtcdPod {
    fn of(pod: Pod) -> Option<Self> {
        let words: Vec<&String> = pod.spec.containers.iter().flat_map(|c| c.command.iter().chain(&c.args)).collect();
        let flag = |name: &str| words.iter().find_map(|w| w.trim_start_matches('-').strip_prefix(name)?.strip_prefix('='));
        let first = |urls: &str| urls.split(',').map(str::trim).find(|u| !u.is_empty()).map(str::to_owned);
        let told = pod.metadata.annotations.get(ADVERTISED).map(String::as_str).or_else(|| flag("advertise-client-urls"));
        let host = Some(&pod.status.pod_ip).filter(|ip| !ip.is_empty());
        let host = host.map(|ip| if ip.contains(':') { format!("[{ip}]") } else { ip.clone() });
        let url = told.and_then(first).or_else(|| Some(format!("https://{}:{CLIENT}", host?)))?;
        let port = |url: &str| url.parse::<Uri>().ok()?.port_u16();
        let local = flag("listen-client-urls").into_iter().flat_map(|urls| urls.split(','));
        let local =
            local.filter(|u| ["://127.0.0.1:", "://localhost:", "://[::1]:", "://0.0.0.0:", "://[::]:"].iter().any(|l| u.contains(l)));
        let port = local.filter_map(port).next().or_else(|| port(&url)).unwrap_or(CLIENT);
        let (ca, cert) = (flag("trusted-ca-file").map(str::to_owned), flag("cert-file").map(str::to_owned));
        Some(Self { name: pod.metadata.name, node: pod.spec.node_name, url, port, ca, cert })
    }

    /// The files of its host that let a client in: authority, certificate, key.
    fn files(&self) -> [String; 3] {
        let cert = self.cert.as_deref().unwrap_or("/etc/kubernetes/pki/etcd/server.crt");
        let dir = cert.rsplit_once('/').map_or("", |(dir, _)| dir);
        let ca = self.ca.clone().unwrap_or_else(|| format!("{dir}/ca.crt"));
        [ca, format!("{dir}/healthcheck-client.crt"), format!("{dir}/healthcheck-client.key")]
    }
}

/// The pods of etcd, in the order of their names; none where it does not run in pods that kubeadm has made.
///
/// # Errors
/// When the pods of kube-system cannot be listed.
pub async fn etcd_pods(through: &ReadClient) -> Result<Vec<EtcdPod>, ClientError> {
    let pods: Pods = through.get_within(PODS, MOST, LIMIT).await?;
    let mut pods: Vec<EtcdPod> = pods.items.into_iter().filter_map(EtcdPod::of).collect();
    pods.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(pods)
}

/// Which members there are, and what to copy and write to reach them.
pub fn hint(pods: &[EtcdPod]) -> Option<String> {
    let first = pods.first()?;
    let all: Vec<String> = pods.iter().map(|p| format!("{} on {} at {}", p.name, p.node, p.url)).collect();
    let [ca, cert, key] = first.files();
    Some(format!(
        "etcd runs in pods: {}. Copy {ca}, {cert} and {key} from {} and write [clusters.CONTEXT.etcd] ca = \"FILE\", cert = \"FILE\", key = \"FILE\"; \
         or put them as ca.crt, tls.crt and tls.key into a Secret and write secret = \"NAMESPACE/NAME\". Where these addresses are not reached from \
         here, via = \"port-forward\" too",
        all.join(", "),
        first.node
    ))
}

/// What says who we are, from a Secret. Kept in memory only.
///
/// # Errors
/// When it may not be read, or one of the three is not in it.
pub async fn certificates(through: &ReadClient, secret: &SecretRef) -> Result<Certificates, ClientError> {
    #[derive(Deserialize)]
    struct Object {
        #[serde(default)]
        data: BTreeMap<String, String>,
    }
    let path = format!("/api/v1/namespaces/{}/secrets/{}", secret.namespace, secret.name);
    let object: Object = through.get_within(&path, MOST, LIMIT).await?;
    let mut data: BTreeMap<String, SecretString> = object.data.into_iter().map(|(name, text)| (name, SecretString::from(text))).collect();
    let mut take = |name: &str| {
        let broken = |what: &str| ClientError::Config { reason: format!("Secret {secret}: {what} {name}") };
        let text = data.remove(name).ok_or_else(|| broken("it has no"))?;
        let bytes = STANDARD.decode(text.expose_secret()).map_err(|_| broken("not base64:"))?;
        String::from_utf8(bytes).map(SecretString::from).map_err(|_| broken("not PEM:"))
    };
    let (ca, cert, key) = (take("ca.crt")?, take("tls.crt")?, take("tls.key")?);
    Ok(Certificates { ca: ca.expose_secret().to_owned(), cert: cert.expose_secret().to_owned(), key })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fake::{Server, connect, reply};
    use serde_json::{Value, json};

    fn pod(name: &str, annotations: Value, command: &[&str], ip: &str) -> Value {
        json!({"metadata": {"name": name, "annotations": annotations}, "spec": {"nodeName": name.replace("etcd-", ""), "containers": [{"command": command}]},
            "status": {"podIP": ip}})
    }

    #[tokio::test]
    async fn kubeadms_pods_say_where_they_are_and_what_to_copy() {
        let command = [
            "etcd",
            "--advertise-client-urls=https://10.0.0.2:2379",
            "--cert-file=/srv/pki/etcd/server.crt",
            "--listen-client-urls=https://127.0.0.1:12379,https://10.0.0.2:2379",
            "--trusted-ca-file=/srv/pki/etcd/ca.crt",
        ];
        let items = json!([
            pod("etcd-cp2", json!({ADVERTISED: "https://10.0.0.2:2379"}), &command, "10.0.0.2"),
            pod("etcd-cp1", json!({}), &command[2..], "10.0.0.1"),
            pod("etcd-cp3", json!({}), &[], "fd00::3"),
            pod("etcd-cp4", json!({}), &[], ""),
        ]);
        let server = Server::start(move |_| reply(200, json!({"items": items}).to_string())).await;
        let found = etcd_pods(&connect(&server, "").await).await.unwrap();
        let where_to: Vec<_> = found.iter().map(|p| (p.name.as_str(), p.url.as_str(), p.port)).collect();
        assert_eq!(
            where_to,
            [
                ("etcd-cp1", "https://10.0.0.1:2379", 12379),
                ("etcd-cp2", "https://10.0.0.2:2379", 12379),
                ("etcd-cp3", "https://[fd00::3]:2379", 2379)
            ]
        );
        let hint = hint(&found).unwrap();
        assert!(hint.contains("etcd-cp2 on cp2 at https://10.0.0.2:2379"), "{hint}");
        assert!(
            hint.contains("/srv/pki/etcd/ca.crt, /srv/pki/etcd/healthcheck-client.crt and /srv/pki/etcd/healthcheck-client.key from cp1"),
            "{hint}"
        );
        assert!(super::hint(&found[2..]).unwrap().contains("/etc/kubernetes/pki/etcd/healthcheck-client.key"));
        assert!(super::hint(&[]).is_none());
    }

    #[tokio::test]
    async fn a_secret_is_read_and_what_it_lacks_is_named_without_what_it_has() {
        let server = Server::start(|r| {
            let key = if r.uri().path().ends_with("/whole") { json!("Y2FuYXJ5") } else { json!(null) };
            let mut data = json!({"ca.crt": "Y2E=", "tls.crt": "Y2VydA=="});
            if !key.is_null() {
                data["tls.key"] = key;
            }
            reply(200, json!({"data": data}).to_string())
        })
        .await;
        let client = connect(&server, "").await;
        let of = |name: &str| SecretRef { namespace: "kube-system".into(), name: name.into() };
        let whole = certificates(&client, &of("whole")).await.unwrap();
        assert_eq!((whole.ca.as_str(), whole.cert.as_str(), whole.key.expose_secret()), ("ca", "cert", "canary"));
        assert!(!format!("{whole:?}").contains("canary"));
        let half = certificates(&client, &of("half")).await.unwrap_err();
        assert!(half.words().contains("Secret kube-system/half: it has no tls.key"), "{half}");
    }
}
