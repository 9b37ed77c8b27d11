//! The settings as values: each with the place that it came from.

use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::diag::{self, Diag};
use crate::model::Selector;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Origin {
    /// Nobody set it.
    #[default]
    Default,
    /// A settings file; line and column are 1-based.
    File { file: Arc<Path>, line: u32, column: u32 },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line, .. } => write!(f, "{}:{line}", file.display()),
        }
    }
}

/// A value and its [`Origin`]. Reads like the value itself.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Setting<T> {
    pub value: T,
    pub origin: Origin,
}

impl<T> Setting<T> {
    /// A value that nobody set.
    pub fn default_to(value: T) -> Self {
        Self { value, origin: Origin::Default }
    }

    /// A mistake of the file that this value names, at this place unless it has one of its own.
    pub fn place(&self, diag: Diag) -> Diag {
        match &self.origin {
            Origin::File { file, line, column } if diag.file.is_none() => {
                let mut diag = diag.in_file(file.as_ref());
                (diag.line, diag.column) = (*line, *column);
                diag
            }
            _ => diag,
        }
    }

    /// An error at this place, for the room that knows which values there are.
    pub fn error(&self, message: impl Into<String>) -> Diag {
        self.place(Diag::error(message))
    }
}

impl Setting<String> {
    /// The error "unknown WHAT `value`" at this place, with the nearest of the known names.
    pub fn unknown<'a>(&self, what: &str, known: impl IntoIterator<Item = &'a str>) -> Diag {
        self.error(diag::unknown(what, &self.value, known))
    }
}

impl<T> Deref for Setting<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// A value that is one of a few names.
pub(super) trait Named: Copy + PartialEq + 'static {
    /// What a message calls such a value.
    const WHAT: &'static str;
    const ALL: &'static [(&'static str, Self)];

    fn named(self) -> &'static str {
        Self::ALL.iter().find(|(_, value)| *value == self).map_or("", |(name, _)| name)
    }
}

macro_rules! named {
    ($(#[$doc:meta])* $type:ident, $what:literal, { $($(#[$vdoc:meta])* $variant:ident = $name:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type { $($(#[$vdoc])* $variant),+ }

        impl Named for $type {
            const WHAT: &'static str = $what;
            const ALL: &'static [(&'static str, Self)] = &[$(($name, Self::$variant)),+];
        }

        impl $type {
            /// As it is written in the settings.
            pub fn name(self) -> &'static str {
                self.named()
            }
        }
    };
}

named!(
    /// How much harm a mistake does on a cluster; it decides the guardrails.
    Tier, "tier", { Production = "production", Staging = "staging", Development = "development" }
);
named!(
    /// What a write asks for before it is done.
    Confirm, "confirmation", {
        /// The typed name of the cluster.
        Typed = "typed",
        /// A yes.
        Yes = "yes",
        /// Nothing.
        None = "none",
    }
);
named!(
    /// Whether a write needs a reason for the audit log.
    Reason, "value of reason", { Required = "required", Optional = "optional" }
);
named!(
    /// How something inside the cluster is reached through its API server.
    Via, "way", {
        /// By the API server's proxy of services, which picks a replica.
        ServiceProxy = "service-proxy",
        /// By a port-forward to each pod.
        PortForward = "port-forward",
    }
);
named!(
    /// Where the findings of a cluster are from.
    Findings, "source of findings", {
        /// Its rows are judged here.
        Computed = "computed",
        /// A scheduled inspection inside it publishes them.
        Reports = "reports",
    }
);
named!(
    /// How much is written to the log file.
    LogLevel, "log level", { Off = "off", Error = "error", Warn = "warn", Info = "info", Debug = "debug", Trace = "trace" }
);

/// The guardrails of a tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierRules {
    pub confirm: Setting<Confirm>,
    pub reason: Setting<Reason>,
    /// How many of the named objects a write works on at the same time; `None`: the verb's own limit.
    pub max_parallel: Setting<Option<u32>>,
    /// What is refused, as `VERB KIND/NAME` with globs; the room of the verbs resolves it.
    pub deny: Setting<Vec<Setting<String>>>,
    /// When a write is allowed; none: always.
    pub window: Setting<Vec<super::Window>>,
}

/// The rules of every tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiers {
    pub production: TierRules,
    pub staging: TierRules,
    pub development: TierRules,
}

impl Tiers {
    /// The rules of one tier.
    pub fn get(&self, tier: Tier) -> &TierRules {
        match tier {
            Tier::Production => &self.production,
            Tier::Staging => &self.staging,
            Tier::Development => &self.development,
        }
    }

    pub(super) fn get_mut(&mut self, tier: Tier) -> &mut TierRules {
        match tier {
            Tier::Production => &mut self.production,
            Tier::Staging => &mut self.staging,
            Tier::Development => &mut self.development,
        }
    }
}

impl Default for Tiers {
    fn default() -> Self {
        let rules = |confirm, max_parallel| TierRules {
            confirm: Setting::default_to(confirm),
            reason: Setting::default_to(Reason::Optional),
            max_parallel: Setting::default_to(max_parallel),
            deny: Setting::default(),
            window: Setting::default(),
        };
        Self { production: rules(Confirm::Typed, Some(1)), staging: rules(Confirm::Yes, None), development: rules(Confirm::Yes, None) }
    }
}

/// How many requests a cluster's API server gets from us.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// Sustained; more than 0.
    pub requests_per_second: Setting<f64>,
    /// At once, at least 1.
    pub burst: Setting<u32>,
}

/// A service inside the cluster: `namespace/name:port`, the port a number or a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub namespace: String,
    pub name: String,
    pub port: String,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.namespace, self.name, self.port)
    }
}

/// Where something is: reached directly, or through the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// `http` or `https`; at least one, all replicas of the same thing.
    Urls(Vec<String>),
    Service(Service),
}

/// Something that speaks HTTP: Alertmanager, Prometheus. What identifies us is named by file.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Endpoint {
    /// `None`: not configured.
    pub reach: Setting<Option<Reach>>,
    /// How a service is reached; `None`: by the service proxy.
    pub via: Setting<Option<Via>>,
    /// The label that tells clusters apart, when it serves several; where none is set an Alertmanager has `cluster`.
    pub cluster_label: Setting<Option<String>>,
    pub token_file: Setting<Option<PathBuf>>,
    pub username: Setting<Option<String>>,
    pub password_file: Setting<Option<PathBuf>>,
    pub tls: Tls,
}

/// Certificates, as paths of PEM files.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Tls {
    pub ca: Setting<Option<PathBuf>>,
    pub cert: Setting<Option<PathBuf>>,
    pub key: Setting<Option<PathBuf>>,
}

/// A Secret: `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRef {
    pub namespace: String,
    pub name: String,
}

/// CronJobs by their labels: `namespace/labels`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobsRef {
    pub namespace: String,
    pub labels: Selector,
}

impl fmt::Display for JobsRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.labels)
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The etcd of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Etcd {
    /// Empty: the pods that kubeadm labels, where there are some.
    pub endpoints: Setting<Vec<String>>,
    /// [`Via::PortForward`] reaches the pods that are found through the API server; `None`: their own addresses. Never the service proxy.
    pub via: Setting<Option<Via>>,
    pub tls: Tls,
    /// The Secret with `ca.crt`, `tls.crt` and `tls.key`, in place of files.
    pub secret: Setting<Option<SecretRef>>,
    /// The directory for snapshots.
    pub snapshots: Setting<Option<PathBuf>>,
    /// The CronJobs whose success proves a snapshot that others take.
    pub snapshot_jobs: Setting<Option<JobsRef>>,
    /// The program and its arguments that a snapshot is given to; empty: none.
    pub after_snapshot: Setting<Vec<String>>,
    /// How long it may take.
    pub after_snapshot_within: Setting<Duration>,
}

impl Default for Etcd {
    fn default() -> Self {
        Self {
            endpoints: Setting::default(),
            via: Setting::default(),
            tls: Tls::default(),
            secret: Setting::default(),
            snapshots: Setting::default(),
            snapshot_jobs: Setting::default(),
            after_snapshot: Setting::default(),
            after_snapshot_within: Setting::default_to(Duration::from_secs(600)),
        }
    }
}

impl Etcd {
    /// Whether somebody has said where it is, or how it is reached.
    pub fn configured(&self) -> bool {
        !self.endpoints.is_empty() || self.via.is_some() || self.secret.is_some() || self.tls.cert.is_some()
    }
}

/// The backups of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Velero {
    pub namespace: Setting<String>,
    /// How old the newest backup may be.
    pub rpo: Setting<Option<Duration>>,
}

/// What holds for one cluster, all tables that match its context laid over each other.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterSettings {
    pub context: String,
    /// What is shown, and typed to confirm; the context when nothing is set.
    pub name: Setting<String>,
    pub tier: Setting<Option<Tier>>,
    pub group: Setting<Option<String>>,
    /// True as well when a mistake in the settings made it so.
    pub read_only: Setting<bool>,
    /// Why it is read-only, in words; `None` when it is not.
    pub read_only_because: Option<String>,
    /// Empty: all.
    pub namespaces: Setting<Vec<String>>,
    /// Of an alert or its namespace: whose it is.
    pub owner_labels: Setting<Vec<String>>,
    pub findings: Setting<Findings>,
    pub budget: Budget,
    pub etcd: Etcd,
    pub alertmanager: Endpoint,
    pub prometheus: Endpoint,
    pub velero: Velero,
}

impl ClusterSettings {
    /// What holds when nothing is set.
    pub fn new(context: &str) -> Self {
        Self {
            context: context.to_owned(),
            name: Setting::default_to(context.to_owned()),
            tier: Setting::default(),
            group: Setting::default(),
            read_only: Setting::default(),
            read_only_because: None,
            namespaces: Setting::default(),
            owner_labels: Setting::default_to(crate::model::OWNER_LABELS.map(str::to_owned).to_vec()),
            findings: Setting::default_to(Findings::Computed),
            budget: Budget { requests_per_second: Setting::default_to(20.0), burst: Setting::default_to(40) },
            etcd: Etcd::default(),
            alertmanager: Endpoint::default(),
            prometheus: Endpoint::default(),
            velero: Velero { namespace: Setting::default_to("velero".to_owned()), rpo: Setting::default() },
        }
    }
}

/// A layout of the cockpit: rows of tiles, from top to bottom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub name: Setting<String>,
    pub rows: Vec<LayoutRow>,
}

/// Tiles side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutRow {
    /// In screen rows, at least 1.
    pub height: u16,
    /// Names of panes, at least one; the room of the panes resolves them.
    pub tiles: Vec<Setting<String>>,
}

/// The columns of a pane, in order; the room of the columns resolves both names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    pub pane: Setting<String>,
    pub names: Vec<Setting<String>>,
}

/// A number of an inspection rule that was set; the room of the rules resolves rule and key.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    pub rule: Setting<String>,
    pub key: Setting<String>,
    pub value: ThresholdValue,
}

/// The value of a [`Threshold`].
#[derive(Clone, Debug, PartialEq)]
pub enum ThresholdValue {
    Flag(bool),
    Number(f64),
    Duration(Duration),
    /// Any text that is no duration.
    Text(String),
}
