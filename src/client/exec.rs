//! Exec plugins: run by us, off the event loop, without the terminal, with a limit, identical ones once.
//!
//! Owns the process and the cache of what it returned. When a credential is needed or refused is `auth`'s business.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    hash::{Hash, Hasher},
    path::Path,
    process::{ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
    sync::Semaphore,
    time::timeout,
};

use super::{
    auth::Another,
    error::ClientError,
    kubeconfig::Target,
    limits,
    oidc::Issuers,
    redact::{asks_for_a_person, last_words},
};

/// How long a plugin may take.
pub const LIMIT: Duration = Duration::from_secs(30);
/// How many run at the same time, whatever the number of clusters.
pub const AT_ONCE: usize = 4;
const STDOUT_MAX: usize = 1 << 20;
const STDERR_MAX: usize = 4 << 10;
/// A plugin's helper may keep its pipes open after it has answered; we do not wait for that.
const PIPES_GRACE: Duration = Duration::from_millis(500);
/// No credential is asked for again sooner than this, whatever its expiry and whoever refuses it.
const PAUSE: Duration = Duration::from_secs(10);

/// A plugin as the kubeconfig describes it. Equal ones share one run and one credential.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ExecSpec {
    pub command: String,
    pub args: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub api_version: String,
    /// `interactiveMode: Always`.
    pub always_interactive: bool,
    /// `spec.cluster` of the ExecCredential that the plugin is given.
    pub cluster: Option<serde_json::Value>,
    pub install_hint: Option<String>,
}

impl Hash for ExecSpec {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.command, &self.args, &self.env).hash(state);
    }
}

/// Arguments and environment may hold secrets.
impl fmt::Debug for ExecSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecSpec").field("command", &self.command).finish_non_exhaustive()
    }
}

impl ExecSpec {
    /// The program's name without its path.
    pub fn name(&self) -> String {
        let path = Path::new(&self.command);
        path.file_name().map_or_else(|| self.command.clone(), |name| name.to_string_lossy().into_owned())
    }

    fn info(&self, interactive: bool) -> String {
        let mut spec = serde_json::json!({ "interactive": interactive });
        if let Some(cluster) = &self.cluster {
            spec["cluster"] = cluster.clone();
        }
        serde_json::json!({ "apiVersion": self.api_version, "kind": "ExecCredential", "spec": spec }).to_string()
    }

    fn command(&self, interactive: bool) -> std::process::Command {
        let mut command = std::process::Command::new(&self.command);
        command.args(&self.args).envs(&self.env).env("KUBERNETES_EXEC_INFO", self.info(interactive)).stdout(Stdio::piped());
        command
    }
}

/// What a plugin returned.
pub(super) struct Credential {
    pub token: Option<SecretString>,
    pub identity: Option<Identity>,
    /// Distinguishes this answer from every other one of the pool.
    pub serial: u64,
    /// When to ask again; `None`: when it is refused.
    renew_at: Option<Timestamp>,
}

/// A client certificate and its key, as PEM.
#[derive(Clone)]
pub(super) struct Identity {
    pub certificate: String,
    pub key: SecretString,
}

/// Why there is no credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ExecError {
    #[error("{command} wants to ask")]
    NeedsPrompt { command: String },
    #[error("{command}: {reason}")]
    Failed { command: String, reason: String, hint: Option<String> },
}

impl ExecError {
    pub fn of(self, cluster: &str) -> ClientError {
        match self {
            Self::NeedsPrompt { command } => ClientError::NeedsPrompt { cluster: cluster.to_owned(), command },
            Self::Failed { command, reason, hint } => ClientError::Exec { command, reason, hint },
        }
    }
}

/// Runs plugins for all clusters of the process and keeps what they return. Clones share everything.
#[derive(Clone)]
pub struct ExecPool(Arc<Inner>);

struct Inner {
    slots: Mutex<HashMap<ExecSpec, Arc<Slot>>>,
    running: Semaphore,
    limit: Duration,
    serial: AtomicU64,
    issuers: Issuers,
}

/// One plugin. The lock is held while it runs: that is the single flight.
#[derive(Default)]
struct Slot(tokio::sync::Mutex<State>);

#[derive(Default)]
struct State {
    credential: Option<Arc<Credential>>,
    /// The last failure, for those who were already waiting when it happened.
    failed: Option<(Instant, ExecError)>,
    refused: Option<Instant>,
}

impl Default for ExecPool {
    fn default() -> Self {
        Self::with_limit(LIMIT)
    }
}

impl ExecPool {
    /// A pool whose plugins are killed after `limit`.
    pub fn with_limit(limit: Duration) -> Self {
        Self(Arc::new(Inner {
            slots: Mutex::default(),
            running: Semaphore::new(AT_ONCE),
            limit,
            serial: AtomicU64::new(1),
            issuers: Issuers::default(),
        }))
    }

    /// The tokens of OIDC issuers, which the same clusters share.
    pub(super) fn issuers(&self) -> &Issuers {
        &self.0.issuers
    }

    /// Hands over what the command of [`login_command`] printed.
    pub async fn put(&self, target: &Target, stdout: &[u8]) -> Result<(), ClientError> {
        let Some(spec) = target.exec() else {
            return Err(ClientError::Config { reason: format!("{} has no exec plugin", target.name) });
        };
        let credential = self.parse(spec, stdout).map_err(|error| error.of(&target.name))?;
        let slot = self.slot(spec);
        let mut state = slot.0.lock().await;
        *state = State { credential: Some(Arc::new(credential)), ..State::default() };
        Ok(())
    }

    /// The credential of a plugin: the one kept while it lasts, else a new one.
    pub(super) async fn get(&self, spec: &ExecSpec) -> Result<Arc<Credential>, ExecError> {
        let slot = self.slot(spec);
        let asked = Instant::now();
        let mut state = slot.0.lock().await;
        if let Some(credential) = &state.credential
            && credential.renew_at.is_none_or(|at| Timestamp::now() < at)
        {
            return Ok(credential.clone());
        }
        if let Some((when, error)) = &state.failed
            && *when >= asked
        {
            return Err(error.clone());
        }
        let outcome = self.run(spec).await.map(Arc::new);
        match &outcome {
            Ok(credential) => state.credential = Some(credential.clone()),
            Err(error) => state.failed = Some((Instant::now(), error.clone())),
        }
        outcome
    }

    /// The server refused credential `serial`. Says whether [`get`](Self::get) may now give a better one.
    pub(super) async fn refused(&self, spec: &ExecSpec, serial: u64) -> Another {
        let slot = self.slot(spec);
        let mut state = slot.0.lock().await;
        match &state.credential {
            Some(credential) if credential.serial == serial => {
                let another = Another::after(state.refused, PAUSE);
                if another == Another::Now {
                    state.refused = Some(Instant::now());
                    state.credential = None;
                }
                another
            }
            _ => Another::Now,
        }
    }

    fn slot(&self, spec: &ExecSpec) -> Arc<Slot> {
        let mut slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(spec) {
            return slot.clone();
        }
        slots.entry(spec.clone()).or_default().clone()
    }

    async fn run(&self, spec: &ExecSpec) -> Result<Credential, ExecError> {
        if spec.always_interactive {
            return Err(ExecError::NeedsPrompt { command: spec.name() });
        }
        let failed = |reason: String, hint| ExecError::Failed { command: spec.name(), reason, hint };
        let _permit = self.0.running.acquire().await.map_err(|_| failed("stopped".to_owned(), None))?;
        let mut process = Process::start(spec.command(false)).map_err(|error| {
            let reason = match error.kind() {
                std::io::ErrorKind::NotFound => "command not found".to_owned(),
                std::io::ErrorKind::PermissionDenied => "may not be executed".to_owned(),
                _ => error.to_string(),
            };
            failed(reason, spec.install_hint.clone())
        })?;
        let ended = timeout(self.0.limit, process.wait()).await;
        let said = last_words(&process.stderr);
        let reason = match ended {
            Ok(Ok(status)) if process.overflow => {
                process.kill();
                format!("printed more than 1 MiB ({status})")
            }
            Ok(Ok(status)) if status.success() => return self.parse(spec, &process.stdout),
            Ok(Ok(status)) => status.code().map_or_else(|| status.to_string(), |code| format!("exit status {code}")),
            Ok(Err(error)) => error.to_string(),
            Err(_) => {
                process.kill();
                format!("no answer within {} s", self.0.limit.as_secs_f32())
            }
        };
        if asks_for_a_person(&process.stderr) || asks_for_a_person(&process.stdout) {
            return Err(ExecError::NeedsPrompt { command: spec.name() });
        }
        Err(failed(if said.is_empty() { reason } else { format!("{said} ({reason})") }, None))
    }

    fn parse(&self, spec: &ExecSpec, stdout: &[u8]) -> Result<Credential, ExecError> {
        let failed = |reason: &str| ExecError::Failed { command: spec.name(), reason: reason.to_owned(), hint: None };
        // The parsers' own messages quote the input, which may be a token.
        let printed: Printed = serde_json::from_slice(stdout)
            .ok()
            .or_else(|| serde_saphyr::from_slice(stdout).ok())
            .ok_or_else(|| failed("what it printed is not an ExecCredential"))?;
        let status = printed.status.ok_or_else(|| failed("its ExecCredential has no status"))?;
        let identity = match (status.client_certificate_data, status.client_key_data) {
            (Some(certificate), Some(key)) => Some(Identity { certificate, key: key.into() }),
            (None, None) => None,
            _ => return Err(failed("it returned a certificate or a key, not both")),
        };
        let token = status.token.filter(|token| !token.is_empty()).map(SecretString::from);
        if token.is_none() && identity.is_none() {
            return Err(failed("it returned neither a token nor a certificate"));
        }
        let now = Timestamp::now();
        let expires = status
            .expiration_timestamp
            .map(|text| text.parse::<Timestamp>().map_err(|_| failed("its expirationTimestamp is not a time")))
            .transpose()?;
        Ok(Credential {
            token,
            identity,
            serial: self.0.serial.fetch_add(1, Ordering::Relaxed),
            renew_at: expires.map(|expires| renew_at(now, expires)),
        })
    }
}

/// A little before `expires`: a minute, or a tenth of a short life; but not at once, should the clocks differ.
fn renew_at(now: Timestamp, expires: Timestamp) -> Timestamp {
    let life = expires.duration_since(now);
    let margin = (life / 10).clamp(SignedDuration::ZERO, SignedDuration::from_secs(60));
    let soonest = now.saturating_add(PAUSE).unwrap_or(now);
    expires.saturating_sub(margin).unwrap_or(expires).max(soonest)
}

#[derive(Deserialize)]
struct Printed {
    status: Option<PrintedStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PrintedStatus {
    expiration_timestamp: Option<String>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// The plugin of `target` for the foreground: stdin and stderr are the terminal's, stdout is a pipe whose content goes
/// to [`ExecPool::put`]. `None` when the target has no plugin.
pub fn login_command(target: &Target) -> Option<std::process::Command> {
    let mut command = target.exec()?.command(true);
    command.stdin(Stdio::inherit()).stderr(Stdio::inherit());
    Some(command)
}

/// What the kubeconfig says to whoever does not have the plugin of `target`.
pub fn login_hint(target: &Target) -> Option<String> {
    target.exec()?.install_hint.as_deref().map(|hint| super::error::shorten(&super::error::printable(hint), 100))
}

/// How a program ended.
pub struct Ran {
    pub status: ExitStatus,
    /// The last thing that it said on stderr, without what looks secret; often empty.
    pub said: String,
}

/// Runs a program in a session of its own, without terminal, input and output, in our environment. Dropped before its end it is killed, with
/// all that it started.
///
/// # Errors
/// When it cannot be started.
pub async fn run(argv: &[String]) -> std::io::Result<Ran> {
    let (program, args) = argv.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    let mut command = std::process::Command::new(program);
    command.args(args).stdout(Stdio::null());
    let mut process = Process::start(command)?;
    let status = process.wait().await?;
    Ok(Ran { status, said: last_words(&process.stderr) })
}

/// A running program; dropping it kills it and what it started.
struct Process {
    child: tokio::process::Child,
    group: Option<rustix::process::Pid>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    overflow: bool,
}

impl Process {
    fn start(command: std::process::Command) -> std::io::Result<Self> {
        let mut command = Command::from(command);
        command.stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let files = limits::original_nofile();
        let detach = move || {
            rustix::process::setsid()?;
            if let Some(files) = files {
                rustix::process::setrlimit(rustix::process::Resource::Nofile, files)?;
            }
            Ok(())
        };
        // SAFETY: between fork and exec only the system calls setsid and setrlimit are made, both async-signal-safe;
        // nothing is allocated and no lock is taken.
        #[allow(unsafe_code)]
        unsafe {
            command.pre_exec(detach);
        }
        let child = command.spawn()?;
        let group = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        Ok(Self { child, group, stdout: Vec::new(), stderr: Vec::new(), overflow: false })
    }

    /// Until it ends, or prints too much.
    async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        let Self { child, stdout, stderr, overflow, .. } = self;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let pipes = async {
            tokio::join!(
                async {
                    if let Some(out) = out {
                        *overflow = !read_all(out, stdout).await;
                    }
                },
                async {
                    if let Some(err) = err {
                        read_tail(err, stderr).await;
                    }
                }
            );
        };
        tokio::pin!(pipes);
        tokio::select! {
            status = child.wait() => {
                let _ = timeout(PIPES_GRACE, pipes).await;
                status
            }
            () = &mut pipes => child.wait().await,
        }
    }

    fn kill(&mut self) {
        if let Some(group) = self.group.take() {
            // Gone already is as good.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that ended by itself may have left an agent behind on purpose.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
        }
    }
}

/// Reads to the end; false when that is beyond the limit (the reader is then closed, which ends the writer).
async fn read_all(mut from: impl AsyncRead + Unpin, into: &mut Vec<u8>) -> bool {
    let mut from = (&mut from).take(STDOUT_MAX as u64 + 1);
    let _ = from.read_to_end(into).await;
    into.len() <= STDOUT_MAX
}

/// Reads to the end and keeps the last part.
async fn read_tail(mut from: impl AsyncRead + Unpin, into: &mut Vec<u8>) {
    let mut chunk = [0; 1024];
    while let Ok(read @ 1..) = from.read(&mut chunk).await {
        into.extend_from_slice(&chunk[..read]);
        into.drain(..into.len().saturating_sub(STDERR_MAX));
    }
}

#[cfg(test)]
mod tests;
