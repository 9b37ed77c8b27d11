//! How one cluster is reached and as whom: the kubeconfig's words checked once, its files read each time a client is
//! built, so that rotated certificates are taken up.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use kube::config::{AuthInfo, Cluster, Config, ExecInteractiveMode};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::{
    certificate::Certificate,
    exec::{ExecSpec, Identity},
    oidc::OidcSpec,
};

/// The extension of a cluster entry that is meant for its exec plugin.
const EXEC_EXTENSION: &str = "client.authentication.k8s.io/exec";

/// The environment's proxies, as Go reads them.
#[derive(Clone, Default)]
pub(super) struct ProxyEnv {
    pub https: String,
    pub http: String,
    pub none: String,
}

/// A server and a user, checked.
#[derive(Clone)]
pub(super) struct Reach {
    pub uri: Uri,
    pub proxy: Option<Intercept>,
    pub exec: Option<ExecSpec>,
    pub oidc: Option<OidcSpec>,
    pub user: AuthInfo,
    cluster: Cluster,
}

/// What a client is built from, read anew.
pub(super) struct Material {
    pub config: Config,
    /// Changes when a certificate or a key has.
    pub fingerprint: [u8; 32],
}

impl Reach {
    /// `Err` says in words what is wrong with the context.
    pub fn new(cluster: Cluster, user: AuthInfo, env: &ProxyEnv) -> Result<Self, String> {
        let uri = server(&cluster, &user)?;
        let proxy = proxy(&cluster, &uri, env)?;
        if let Some(name) = cluster.tls_server_name.as_deref().filter(|name| !name.is_empty()) {
            ServerName::try_from(name).map_err(|_| format!("tls-server-name {name:?} is not a name"))?;
        }
        let ca = authority(&cluster)?;
        let exec = check_user(&user, &cluster, ca.as_deref())?;
        let oidc = user.auth_provider.as_ref().map(|provider| OidcSpec::new(&provider.config, env)).transpose()?;
        let reach = Self { uri, proxy, exec, oidc, user, cluster };
        reach.identity()?;
        Ok(reach)
    }

    /// Equal for contexts that are the same server as the same user.
    pub fn key(&self) -> [u8; 32] {
        let cluster = &self.cluster;
        let ca = authority(cluster).ok().flatten().unwrap_or_default();
        let mut user = self.user.clone();
        let identity = self.identity().ok().flatten();
        if identity.is_some() {
            // By content: the same certificate may be inline in one file and a path in another.
            user.client_certificate = None;
            user.client_certificate_data = None;
            user.client_key = None;
            user.client_key_data = None;
        }
        let mut whole = serde_json::json!([
            self.uri.to_string(),
            ca,
            cluster.tls_server_name,
            cluster.insecure_skip_tls_verify.unwrap_or(false),
            cluster.proxy_url,
            identity.map(|i| i.certificate),
            self.exec.as_ref().and_then(|e| e.cluster.clone()),
            serde_json::to_value(&user).unwrap_or_default(),
        ]);
        // Maps of the kubeconfig have no order.
        whole.sort_all_objects();
        Sha256::digest(whole.to_string()).into()
    }

    /// The ways in which the user says who it is, and whom it acts as, in words and without what is secret.
    pub fn method(&self) -> String {
        let user = &self.user;
        let set = |text: &Option<String>| text.as_ref().is_some_and(|t| !t.is_empty());
        let mut ways = Vec::new();
        if user.client_certificate_data.is_some() || user.client_certificate.is_some() {
            ways.push("client certificate".to_owned());
        }
        if let Some(exec) = &self.exec {
            ways.push(format!("exec plugin {}", exec.command));
        }
        if self.oidc.is_some() {
            ways.push("OIDC".to_owned());
        }
        match (&user.token_file, &user.token) {
            (Some(file), _) => ways.push(format!("token of {file}")),
            (None, Some(_)) => ways.push("token".to_owned()),
            _ => {}
        }
        if set(&user.username) {
            ways.push(format!("password of {}", user.username.as_deref().unwrap_or_default()));
        }
        if ways.is_empty() {
            ways.push("anonymous".to_owned());
        }
        let acting = user.impersonate.as_ref().map_or_else(String::new, |u| format!(", acting as {u}"));
        format!("{}{acting}", ways.join(" and "))
    }

    /// Reads the certificates and gives kube's configuration. Authorization is not in it: kube would run the plugins.
    pub fn material(&self, from_exec: Option<&Identity>) -> Result<Material, String> {
        let mut config = Config::new(self.uri.clone());
        let ca = authority(&self.cluster)?;
        let mut hash = Sha256::new();
        if let Some(pem) = &ca {
            hash.update(pem);
            config.root_cert = Some(certificates(pem)?);
        }
        config.accept_invalid_certs = self.cluster.insecure_skip_tls_verify.unwrap_or(false);
        if ca.is_none() && (config.accept_invalid_certs || self.uri.scheme_str() == Some("http")) {
            // Nothing is verified: do not ask for the system's roots, which a small image may not have.
            config.root_cert = Some(Vec::new());
        }
        config.tls_server_name = self.cluster.tls_server_name.clone().filter(|name| !name.is_empty());
        config.default_retry = false;
        config.auth_info.impersonate = self.user.impersonate.clone();
        config.auth_info.impersonate_uid = self.user.impersonate_uid.clone();
        config.auth_info.impersonate_groups = self.user.impersonate_groups.clone();
        config.auth_info.impersonate_user_extra = self.user.impersonate_user_extra.clone();
        // What the kubeconfig has itself goes before what the plugin returned, as in kubectl.
        if let Some(identity) = self.identity()?.as_ref().or(from_exec) {
            hash.update(&identity.certificate);
            hash.update(identity.key.expose_secret());
            config.auth_info.client_certificate_data = Some(STANDARD.encode(&identity.certificate));
            config.auth_info.client_key_data = Some(STANDARD.encode(identity.key.expose_secret()).into());
        }
        Ok(Material { config, fingerprint: hash.finalize().into() })
    }

    /// The certificate that the kubeconfig has of us, where it has one.
    pub fn own_certificate(&self) -> Option<Certificate> {
        let identity = self.identity().ok()??;
        Certificate::read(certificates(identity.certificate.as_bytes()).ok()?.first()?)
    }

    fn identity(&self) -> Result<Option<Identity>, String> {
        let user = &self.user;
        let key = user.client_key_data.as_ref().map(SecretString::expose_secret);
        let certificate = content("client certificate", user.client_certificate_data.as_deref(), user.client_certificate.as_deref())?;
        let key = content("client key", key, user.client_key.as_deref())?;
        match (certificate, key) {
            (Some(certificate), Some(key)) => {
                if certificates(&certificate)?.is_empty() {
                    return Err("the client certificate is not PEM".to_owned());
                }
                let key = String::from_utf8(key).map_err(|_| "the client key is not PEM".to_owned())?;
                Ok(Some(Identity { certificate: String::from_utf8_lossy(&certificate).into_owned(), key: SecretString::from(key) }))
            }
            (None, None) => Ok(None),
            (Some(_), None) => Err("a client certificate without its key".to_owned()),
            (None, Some(_)) => Err("a client key without its certificate".to_owned()),
        }
    }
}

fn server(cluster: &Cluster, user: &AuthInfo) -> Result<Uri, String> {
    let text = cluster.server.as_deref().map(str::trim).unwrap_or_default();
    if text.is_empty() {
        return Err("the cluster has no server".to_owned());
    }
    let text = if text.contains("://") {
        text.to_owned()
    } else {
        let tls = cluster.certificate_authority.is_some()
            || cluster.certificate_authority_data.is_some()
            || cluster.insecure_skip_tls_verify == Some(true)
            || user.client_certificate.is_some()
            || user.client_certificate_data.is_some();
        format!("{}://{text}", if tls { "https" } else { "http" })
    };
    let uri: Uri = text.parse().map_err(|_| format!("the server {text:?} is not a URL"))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("https" | "http"), Some(host)) if !host.is_empty() => Ok(uri),
        _ => Err(format!("the server {text:?} is not an http(s) URL")),
    }
}

/// The kubeconfig's proxy, always; else the environment's unless it excepts the server.
fn proxy(cluster: &Cluster, server: &Uri, env: &ProxyEnv) -> Result<Option<Intercept>, String> {
    match cluster.proxy_url.as_deref().unwrap_or_default() {
        "" => from_env(server, env),
        // Not repeated: it may hold a password.
        explicit => match Matcher::builder().all(explicit).build().intercept(server) {
            Some(proxy) => known(proxy).map(Some),
            None => Err("proxy-url is not a URL of http, https or socks5".to_owned()),
        },
    }
}

/// The environment's proxy for a server, unless it excepts it.
pub(super) fn from_env(server: &Uri, env: &ProxyEnv) -> Result<Option<Intercept>, String> {
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
    // As Go has it: the local host is never proxied.
    if host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()) {
        return Ok(None);
    }
    let matcher = Matcher::builder().https(env.https.as_str()).http(env.http.as_str()).no(env.none.as_str()).build();
    matcher.intercept(server).map(known).transpose()
}

fn known(proxy: Intercept) -> Result<Intercept, String> {
    match proxy.uri().scheme_str() {
        Some("http" | "https" | "socks5" | "socks5h") => Ok(proxy),
        _ => Err("the proxy is none of http, https, socks5".to_owned()),
    }
}

fn authority(cluster: &Cluster) -> Result<Option<Vec<u8>>, String> {
    let pem = content("certificate authority", cluster.certificate_authority_data.as_deref(), cluster.certificate_authority.as_deref())?;
    if let Some(pem) = &pem
        && certificates(pem)?.is_empty()
    {
        return Err("the certificate authority holds no certificate".to_owned());
    }
    Ok(pem)
}

pub(super) fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    CertificateDer::pem_slice_iter(pem)
        .map(|found| found.map(|der| der.to_vec()).map_err(|_| "a certificate is not PEM".to_owned()))
        .collect()
}

/// Inline data before a file, as kubectl has it.
pub(super) fn content(what: &str, data: Option<&str>, file: Option<&str>) -> Result<Option<Vec<u8>>, String> {
    let set = |text: &&str| !text.is_empty();
    match (data.filter(set), file.filter(set)) {
        (Some(data), _) => {
            let data: String = data.split_whitespace().collect();
            STANDARD.decode(data).map(Some).map_err(|_| format!("the {what} is not base64"))
        }
        (None, Some(file)) => std::fs::read(file).map(Some).map_err(|error| format!("cannot read the {what} {file}: {}", error.kind())),
        (None, None) => Ok(None),
    }
}

fn check_user(user: &AuthInfo, cluster: &Cluster, ca: Option<&[u8]>) -> Result<Option<ExecSpec>, String> {
    let has_token = user.token.as_ref().is_some_and(|t| !t.expose_secret().is_empty()) || user.token_file.is_some();
    if has_token && user.username.as_ref().is_some_and(|name| !name.is_empty()) {
        return Err("the user has a token and a password; one of them must go".to_owned());
    }
    if user.impersonate.is_none()
        && (user.impersonate_groups.is_some() || user.impersonate_uid.is_some() || user.impersonate_user_extra.is_some())
    {
        return Err("impersonation of groups, uid or extra needs `as`".to_owned());
    }
    if let Some(provider) = &user.auth_provider {
        if user.exec.is_some() {
            return Err("the user has an auth-provider and an exec plugin; one of them must go".to_owned());
        }
        if provider.name != "oidc" {
            return Err(format!("auth-provider {} is no more; use its exec plugin", provider.name));
        }
    }
    let Some(exec) = &user.exec else {
        return Ok(None);
    };
    let command = exec.command.clone().filter(|c| !c.is_empty()).ok_or("the exec plugin has no command")?;
    let api_version = exec.api_version.clone().unwrap_or_else(|| "client.authentication.k8s.io/v1".to_owned());
    let pairs = exec.env.iter().flatten().filter_map(|pair| Some((pair.get("name")?.clone(), pair.get("value")?.clone())));
    Ok(Some(ExecSpec {
        command,
        args: exec.args.clone().unwrap_or_default(),
        env: pairs.collect(),
        api_version,
        always_interactive: exec.interactive_mode == Some(ExecInteractiveMode::Always),
        cluster: exec.provide_cluster_info.then(|| cluster_info(cluster, ca)),
        install_hint: exec.install_hint.clone(),
    }))
}

fn cluster_info(cluster: &Cluster, ca: Option<&[u8]>) -> serde_json::Value {
    let mut info = serde_json::Map::new();
    let mut put = |name: &str, value: Option<serde_json::Value>| {
        if let Some(value) = value {
            info.insert(name.to_owned(), value);
        }
    };
    let extension = cluster.extensions.iter().flatten().find(|e| e.name == EXEC_EXTENSION);
    put("server", cluster.server.clone().map(Into::into));
    put("tls-server-name", cluster.tls_server_name.clone().map(Into::into));
    put("insecure-skip-tls-verify", cluster.insecure_skip_tls_verify.map(Into::into));
    put("certificate-authority-data", ca.map(|ca| STANDARD.encode(ca).into()));
    put("proxy-url", cluster.proxy_url.clone().map(Into::into));
    put("disable-compression", cluster.disable_compression.map(Into::into));
    put("config", extension.map(|e| e.extension.clone()));
    info.into()
}
