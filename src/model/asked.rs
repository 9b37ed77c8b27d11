//! What an API server tells of itself when it is asked now and then: what changes too often, or too seldom, to be watched.

use super::{Str, Time};

/// What was told; or why not, in words: `no right to list leases in kube-system`.
pub type Told<T> = Result<T, Str>;

/// A part of what is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    Leases,
    Checks,
    Hooks,
    Apis,
    Deprecated,
    Scaled,
    Certificates,
    Grants,
    Volumes,
}

impl Part {
    /// In words, for `qd rule show`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Leases => "leases of kube-system",
            Self::Checks => "/readyz?verbose of the API server",
            Self::Hooks => "admission webhooks, and the endpoints of their services",
            Self::Apis => "apiservices",
            Self::Deprecated => "/metrics of the API server",
            Self::Scaled => "scaledobjects of keda.sh",
            Self::Certificates => "a client certificate, or a handshake of our own",
            Self::Grants => "roles and rolebindings, of the cluster too",
            Self::Volumes => "persistentvolumes",
        }
    }
}

/// A Lease of kube-system that elects a leader.
#[derive(Clone, PartialEq, Debug)]
pub struct Lease {
    pub name: Str,
    pub holder: Str,
    /// Seconds that a renewal holds.
    pub duration: i64,
    /// The last renewal, where it is older than twice that by the server's own clock. A fresh one is not kept: it says nothing.
    pub lapsed: Option<Time>,
    pub transitions: i64,
    /// How often the holder changed within the last hour, as far as that was seen.
    pub changed: u32,
}

/// One webhook of an admission configuration.
#[derive(Clone, PartialEq, Debug)]
pub struct Hook {
    /// Of the configuration.
    pub config: Str,
    pub mutating: bool,
    pub name: Str,
    /// What it does not answer is refused.
    pub fail_closed: bool,
    /// Namespace and name of the Service that answers; none: a URL.
    pub service: Option<(Str, Str)>,
    /// Ready endpoints of it; none: not known.
    pub ready: Option<u32>,
    /// The nodes that these are on.
    pub nodes: Box<[Str]>,
    /// `CREATE, UPDATE of pods`.
    pub matches: Str,
    /// It is asked about pods, or about everything.
    pub pods: bool,
    /// Its selectors leave in kube-system.
    pub system: bool,
    /// They leave in the namespace of its own Service.
    pub own: bool,
    /// Seconds.
    pub timeout: i64,
}

/// An aggregated API that is not available.
#[derive(Clone, PartialEq, Debug)]
pub struct Api {
    /// `v1beta1.metrics.k8s.io`.
    pub name: Str,
    pub service: Option<(Str, Str)>,
    pub reason: Option<Str>,
    pub message: Option<Str>,
    pub since: Option<Time>,
}

/// An API that is deprecated and was requested since the server started.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Deprecated {
    /// `flowcontrol.apiserver.k8s.io`; empty for the core group.
    pub group: Str,
    pub version: Str,
    pub resource: Str,
    /// `1.38`; empty: not decided.
    pub removed: Str,
}

/// A ScaledObject of KEDA that does not scale as it is written.
#[derive(Clone, PartialEq, Debug)]
pub struct Scaled {
    pub namespace: Str,
    pub name: Str,
    /// Kind and name of what it scales.
    pub target: (Str, Str),
    /// The annotations that pause it, as `paused=true`.
    pub paused: Box<[Str]>,
    /// Since when it is paused: as it says, as the annotation was written, or as it was first seen.
    pub since: Option<Time>,
    /// Who wrote the annotation: the manager of the field.
    pub by: Option<Str>,
    /// The condition that is wrong and its message: `Ready`, `Fallback`.
    pub wrong: Option<(Str, Str)>,
    /// Since when, or since when that was seen.
    pub wrong_since: Option<Time>,
    /// Triggers that fail: name, and how often in a row.
    pub failing: Box<[(Str, i64)]>,
}

/// A certificate in use between us and the API server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InUse {
    /// The kubeconfig's; else the API server's.
    pub ours: bool,
    /// The common name of its subject.
    pub subject: Str,
    /// Unix seconds.
    pub from: i64,
    pub until: i64,
}

/// Who has a right.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reach {
    /// All users, or whoever comes.
    Everybody,
    /// A service account.
    Workload,
    /// A user or a group.
    Person,
}

/// A binding that gives much.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    pub binding: Str,
    /// None: in the whole cluster.
    pub namespace: Option<Str>,
    pub role: Str,
    /// `ServiceAccount pay/web`, `Group devs`.
    pub subject: Str,
    pub reach: Reach,
    /// All verbs on all resources of all groups.
    pub everything: bool,
    /// In words, each to follow `may`: `exec into pods`.
    pub powers: Box<[Str]>,
}

/// A PersistentVolume that no claim has.
#[derive(Clone, PartialEq, Debug)]
pub struct Unused {
    pub name: Str,
    /// `Released` or `Available`.
    pub phase: Str,
    /// The claim that had it, `ns/name`.
    pub claim: Option<Str>,
    pub class: Str,
    /// What becomes of it: `Retain` or `Delete`.
    pub reclaim: Str,
    /// Bytes.
    pub size: i64,
    pub since: Option<Time>,
}

/// All of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Asked {
    pub leases: Told<Box<[Lease]>>,
    /// The checks that fail, each with when that was first seen.
    pub checks: Told<Box<[(Str, Time)]>>,
    pub hooks: Told<Box<[Hook]>>,
    pub apis: Told<Box<[Api]>>,
    pub deprecated: Told<Box<[Deprecated]>>,
    pub scaled: Told<Box<[Scaled]>>,
    pub certificates: Told<Box<[InUse]>>,
    pub grants: Told<Box<[Grant]>>,
    pub volumes: Told<Box<[Unused]>>,
}

impl Default for Asked {
    fn default() -> Self {
        let not_yet = || Str::from("not asked yet");
        Self {
            leases: Err(not_yet()),
            checks: Err(not_yet()),
            hooks: Err(not_yet()),
            apis: Err(not_yet()),
            deprecated: Err(not_yet()),
            scaled: Err(not_yet()),
            certificates: Err(not_yet()),
            grants: Err(not_yet()),
            volumes: Err(not_yet()),
        }
    }
}

impl Asked {
    /// Whether anything was heard yet.
    pub fn told(&self) -> bool {
        *self != Self::default()
    }

    /// Why a part is not known; none: it is.
    pub fn lacks(&self, part: Part) -> Option<&Str> {
        match part {
            Part::Leases => self.leases.as_ref().err(),
            Part::Checks => self.checks.as_ref().err(),
            Part::Hooks => self.hooks.as_ref().err(),
            Part::Apis => self.apis.as_ref().err(),
            Part::Deprecated => self.deprecated.as_ref().err(),
            Part::Scaled => self.scaled.as_ref().err(),
            Part::Certificates => self.certificates.as_ref().err(),
            Part::Grants => self.grants.as_ref().err(),
            Part::Volumes => self.volumes.as_ref().err(),
        }
    }
}
