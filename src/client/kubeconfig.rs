//! From kubeconfig files (or the pod we run in) to the clusters to open: finding, merging, choosing, and making one of
//! contexts that are the same cluster as the same user.
//!
//! A file that cannot be read is an error; a context that cannot be used is a [`Target`] that says why, so that it costs
//! the others nothing.

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use kube::config::{AuthInfo, Cluster, Context, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext};

use super::{
    error::printable,
    exec::ExecSpec,
    forward::Forward,
    oidc::Home,
    origin::Origin,
    reach::{self, Reach},
};

/// Where to look and what to take.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// `--kubeconfig`: this file only. Else `KUBECONFIG`, `~/.kube/config`, the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// `--context`, repeated; in this order. Empty: all.
    pub contexts: Vec<String>,
    /// `--clusters`: a glob on context names.
    pub clusters: Option<String>,
    /// `--as`: replaces the user that the kubeconfig impersonates.
    pub as_user: Option<String>,
    /// `--as-group`, repeated; needs `as_user`.
    pub as_groups: Vec<String>,
}

/// A cluster to open: one server as one user, by one or more contexts.
#[derive(Clone)]
pub struct Target {
    /// The first of `contexts`.
    pub name: String,
    /// Every chosen context that reaches this server as this user, in the order of the kubeconfig.
    pub contexts: Vec<String>,
    /// The URL as the kubeconfig has it; empty when it has none.
    pub server: String,
    /// The namespace of the first context.
    pub namespace: Option<String>,
    reach: Result<Reach, String>,
    /// Where to read it again; none when no file has it.
    origin: Option<Arc<Origin>>,
    forward: Option<Forward>,
}

/// Without credentials.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("contexts", &self.contexts)
            .field("server", &self.server)
            .field("namespace", &self.namespace)
            .field("broken", &self.broken())
            .finish_non_exhaustive()
    }
}

impl Target {
    /// A server that no kubeconfig names, through the environment's proxies.
    pub fn direct(name: &str, cluster: Cluster, user: AuthInfo) -> Self {
        let proxies = proxies(&|name| std::env::var_os(name));
        Self {
            name: name.to_owned(),
            contexts: vec![name.to_owned()],
            server: cluster.server.clone().unwrap_or_default(),
            namespace: None,
            reach: Reach::new(cluster, user, &proxies),
            origin: None,
            forward: None,
        }
    }

    /// The same by port-forward: connections are made to that pod, whatever the host of the address, and through no proxy.
    pub fn by(self, forward: Forward) -> Self {
        Self { forward: Some(forward), ..self }
    }

    /// Why this cluster can never be reached as it is written, in words.
    pub fn broken(&self) -> Option<&str> {
        self.reach.as_ref().err().map(String::as_str)
    }

    /// How we say who we are, in words and without what is secret: `client certificate`, `exec plugin NAME`.
    pub fn identity(&self) -> String {
        self.reach.as_ref().map_or_else(|_| "not known".to_owned(), Reach::method)
    }

    pub(super) fn reach(&self) -> Result<&Reach, &str> {
        self.reach.as_ref().map_err(String::as_str)
    }

    pub(super) fn origin(&self) -> Option<Arc<Origin>> {
        self.origin.clone()
    }

    pub(super) fn forward(&self) -> Option<Forward> {
        self.forward.clone()
    }

    pub(super) fn exec(&self) -> Option<&ExecSpec> {
        self.reach.as_ref().ok()?.exec.as_ref()
    }
}

/// Why there is no list of clusters at all.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// A file that is there cannot be read, or the one given is not there.
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// A file is not a kubeconfig. The message holds no values of it.
    #[error("{}{}: {message}", path.display(), line.map(|l| format!(":{l}")).unwrap_or_default())]
    Malformed { path: PathBuf, line: Option<u64>, message: String },
    /// Neither a file nor a service account.
    #[error("no kubeconfig found")]
    NoneFound { looked_at: Vec<PathBuf> },
    /// Files, but nothing in them.
    #[error("no context in {}", files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", "))]
    NoContexts { files: Vec<PathBuf> },
    /// `--context` names none.
    #[error("no context named {name:?}")]
    UnknownContext { name: String, nearest: Option<String>, all: Vec<String> },
    /// `--clusters` is not a glob.
    #[error("--clusters {glob:?}: {message}")]
    BadGlob { glob: String, message: String },
    /// `--clusters` leaves nothing.
    #[error("--clusters {glob:?} matches no context")]
    NoMatch { glob: String, all: Vec<String> },
    /// Groups of nobody.
    #[error("--as-group needs --as")]
    GroupsWithoutUser,
}

impl KubeconfigError {
    /// What the user may do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownContext { nearest: Some(nearest), all, .. } => {
                format!("did you mean {nearest:?}? There are: {}", all.join(", "))
            }
            Self::UnknownContext { all, .. } | Self::NoMatch { all, .. } => {
                format!("there are: {}", all.join(", "))
            }
            Self::NoneFound { looked_at } => {
                let files: Vec<_> = looked_at.iter().map(|f| f.display().to_string()).collect();
                format!("looked at {}; set KUBECONFIG, give --kubeconfig FILE, or try `qd demo`", files.join(", "))
            }
            Self::NoContexts { .. } => "add one with `kubectl config set-context`".to_owned(),
            _ => return None,
        })
    }
}

/// The clusters to open.
pub fn load(options: &LoadOptions) -> Result<Vec<Target>, KubeconfigError> {
    load_from(options, &|name| std::env::var_os(name), Path::new("/var/run/secrets/kubernetes.io/serviceaccount"))
}

pub(super) type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

pub(super) fn load_from(options: &LoadOptions, env: Env, pod: &Path) -> Result<Vec<Target>, KubeconfigError> {
    if options.as_user.is_none() && !options.as_groups.is_empty() {
        return Err(KubeconfigError::GroupsWithoutUser);
    }
    let (config, files) = read(options, env, pod)?;
    let proxies = proxies(env);
    let mut targets: Vec<([u8; 32], Target)> = Vec::new();
    for name in choose(options, &config)? {
        let (cluster, _, context) = parts(&config, &name);
        let reach = resolved(&config, &name, &files, options.as_user.as_deref(), &options.as_groups, &proxies);
        let key = reach.as_ref().ok().map(Reach::key);
        let same = targets.iter_mut().find(|(other, target)| target.reach.is_ok() && Some(*other) == key);
        if let Some((_, target)) = same {
            target.contexts.push(name);
            continue;
        }
        let target = Target {
            contexts: vec![name.clone()],
            server: cluster.and_then(|c| c.server.clone()).unwrap_or_default(),
            namespace: context.namespace.filter(|n| !n.is_empty()),
            reach,
            forward: None,
            origin: (!files.is_empty()).then(|| {
                Arc::new(Origin {
                    files: files.clone(),
                    context: name.clone(),
                    as_user: options.as_user.clone(),
                    as_groups: options.as_groups.clone(),
                    proxies: proxies.clone(),
                })
            }),
            name,
        };
        targets.push((key.unwrap_or_default(), target));
    }
    Ok(targets.into_iter().map(|(_, target)| target).collect())
}

/// What the files say together, and which they are.
fn read(options: &LoadOptions, env: Env, pod: &Path) -> Result<(Kubeconfig, Vec<PathBuf>), KubeconfigError> {
    if let Some(path) = &options.kubeconfig {
        return with_contexts(read_file(path)?, vec![path.clone()]);
    }
    let listed: Vec<PathBuf> =
        env("KUBECONFIG").map(|list| std::env::split_paths(&list).filter(|p| !p.as_os_str().is_empty()).collect()).unwrap_or_default();
    let files = match env("HOME") {
        Some(home) if listed.is_empty() => vec![Path::new(&home).join(".kube/config")],
        _ => listed,
    };
    let (merged, found) = merged(&files)?;
    if merged.contexts.is_empty()
        && let Some(config) = in_cluster(env, pod)
    {
        return Ok((config, Vec::new()));
    }
    if found.is_empty() {
        return Err(KubeconfigError::NoneFound { looked_at: files });
    }
    with_contexts(merged, found)
}

/// What those of the files that are there say together, and which these are.
pub(super) fn merged(files: &[PathBuf]) -> Result<(Kubeconfig, Vec<PathBuf>), KubeconfigError> {
    let mut merged = Kubeconfig::default();
    let mut found = Vec::new();
    for path in files {
        match read_file(path) {
            Ok(next) => {
                merged = merged.merge(next).map_err(|error| KubeconfigError::Malformed {
                    path: path.clone(),
                    line: None,
                    message: error.to_string(),
                })?;
                found.push(path.clone());
            }
            Err(KubeconfigError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok((merged, found))
}

fn with_contexts(config: Kubeconfig, files: Vec<PathBuf>) -> Result<(Kubeconfig, Vec<PathBuf>), KubeconfigError> {
    if config.contexts.is_empty() { Err(KubeconfigError::NoContexts { files }) } else { Ok((config, files)) }
}

/// One file, its relative paths made relative to it.
fn read_file(path: &Path) -> Result<Kubeconfig, KubeconfigError> {
    let malformed = |line, message: String| KubeconfigError::Malformed { path: path.to_owned(), line, message };
    Kubeconfig::read_from(path).map_err(|error| match error {
        kube::config::KubeconfigError::ReadConfig(source, path) => KubeconfigError::Read { path, source },
        kube::config::KubeconfigError::Parse(error) => {
            let line = error.location().map(|at| at.line());
            malformed(line, without_values(&error.without_snippet().to_string()))
        }
        other => malformed(None, other.to_string()),
    })
}

/// The parser quotes what it found, which may be a password.
fn without_values(message: &str) -> String {
    let mut out = String::new();
    let first = message.lines().next().unwrap_or_default();
    for (index, part) in first.split('"').enumerate() {
        out.push_str(if index % 2 == 0 { part } else { "…" });
    }
    for kind in ["integer `", "floating point `", "boolean `", "character `", "string `"] {
        if let Some(start) = out.find(kind).map(|at| at + kind.len())
            && let Some(end) = out[start..].find('`')
        {
            out.replace_range(start..start + end, "…");
        }
    }
    printable(&out)
}

/// The service account of the pod that we run in.
fn in_cluster(env: Env, pod: &Path) -> Option<Kubeconfig> {
    let (host, port) = (env("KUBERNETES_SERVICE_HOST")?, env("KUBERNETES_SERVICE_PORT")?);
    let (host, port) = (host.to_str()?, port.to_str()?);
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let file = |name: &str| pod.join(name).to_str().map(str::to_owned);
    let name = || "in-cluster".to_owned();
    let cluster = Cluster { server: Some(format!("https://{host}:{port}")), certificate_authority: file("ca.crt"), ..Cluster::default() };
    let user = AuthInfo { token_file: file("token"), ..AuthInfo::default() };
    let namespace = std::fs::read_to_string(pod.join("namespace")).ok().map(|n| n.trim().to_owned());
    let context = Context { cluster: name(), user: Some(name()), namespace, ..Context::default() };
    Some(Kubeconfig {
        clusters: vec![NamedCluster { name: name(), cluster: Some(cluster), ..NamedCluster::default() }],
        auth_infos: vec![NamedAuthInfo { name: name(), auth_info: Some(user), ..NamedAuthInfo::default() }],
        contexts: vec![NamedContext { name: name(), context: Some(context), ..NamedContext::default() }],
        ..Kubeconfig::default()
    })
}

/// The names of the contexts to open, each once.
fn choose(options: &LoadOptions, config: &Kubeconfig) -> Result<Vec<String>, KubeconfigError> {
    let mut all: Vec<String> = Vec::new();
    for context in &config.contexts {
        if !all.contains(&context.name) {
            all.push(context.name.clone());
        }
    }
    let mut chosen: Vec<String> = Vec::new();
    for name in &options.contexts {
        if !all.contains(name) {
            return Err(KubeconfigError::UnknownContext { name: name.clone(), nearest: nearest(name, &all), all });
        }
        if !chosen.contains(name) {
            chosen.push(name.clone());
        }
    }
    if options.contexts.is_empty() {
        chosen.clone_from(&all);
    }
    if let Some(glob) = &options.clusters {
        let matcher = globset::Glob::new(glob)
            .map_err(|e| KubeconfigError::BadGlob { glob: glob.clone(), message: e.kind().to_string() })?
            .compile_matcher();
        chosen.retain(|name| matcher.is_match(name));
        if chosen.is_empty() {
            return Err(KubeconfigError::NoMatch { glob: glob.clone(), all });
        }
    }
    Ok(chosen)
}

/// The name that was probably meant.
fn nearest(name: &str, all: &[String]) -> Option<String> {
    all.iter()
        .map(|other| (strsim::jaro_winkler(name, other), other))
        .filter(|(score, _)| *score > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, other)| other.clone())
}

fn parts<'a>(config: &'a Kubeconfig, name: &str) -> (Option<&'a Cluster>, Option<&'a AuthInfo>, Context) {
    let context = config.contexts.iter().find(|c| c.name == name).and_then(|c| c.context.clone()).unwrap_or_default();
    let cluster = config.clusters.iter().find(|c| c.name == context.cluster).and_then(|c| c.cluster.as_ref());
    let user = context.user.as_ref().and_then(|name| config.auth_infos.iter().find(|u| u.name == *name).map(|u| u.auth_info.as_ref()));
    // A user entry without content is no credentials; a user that is named and missing is a mistake.
    static NOBODY: std::sync::LazyLock<AuthInfo> = std::sync::LazyLock::new(AuthInfo::default);
    let user = match (&context.user, user) {
        (Some(name), None) if !name.is_empty() => None,
        (_, user) => Some(user.flatten().unwrap_or(&NOBODY)),
    };
    (cluster, user, context)
}

/// How a context is reached, or what is wrong with it in words.
pub(super) fn resolved(
    config: &Kubeconfig,
    name: &str,
    files: &[PathBuf],
    as_user: Option<&str>,
    as_groups: &[String],
    proxies: &reach::ProxyEnv,
) -> Result<Reach, String> {
    let (cluster, user, context) = parts(config, name);
    if context.cluster.is_empty() {
        return Err("the context names no cluster".to_owned());
    }
    let cluster = cluster.ok_or_else(|| format!("there is no cluster {:?}", context.cluster))?;
    let mut user = user.ok_or_else(|| format!("there is no user {:?}", context.user.as_deref().unwrap_or_default()))?.clone();
    if let Some(name) = as_user {
        user.impersonate = Some(name.to_owned());
        if !as_groups.is_empty() {
            user.impersonate_groups = Some(as_groups.to_owned());
        }
    }
    let mut reach = Reach::new(cluster.clone(), user, proxies)?;
    let home = Home { files: files.to_owned(), user: context.user.unwrap_or_default() };
    reach.oidc = reach.oidc.take().map(|oidc| oidc.at(home));
    Ok(reach)
}

/// The proxies that the environment names.
fn proxies(env: Env) -> reach::ProxyEnv {
    let text = |names: [&str; 2]| names.iter().find_map(|name| env(name)?.into_string().ok().filter(|v| !v.is_empty())).unwrap_or_default();
    reach::ProxyEnv {
        https: text(["HTTPS_PROXY", "https_proxy"]),
        http: text(["HTTP_PROXY", "http_proxy"]),
        none: text(["NO_PROXY", "no_proxy"]),
    }
}

#[cfg(test)]
mod tests;
