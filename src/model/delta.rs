//! What sources tell the store.

use super::{Alert, Asked, ClaimRow, Heard, Kind, Object, Service, ServiceState, Str, Time, Uid, UsageList};
use std::sync::Arc;

/// A cluster's place in the fleet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ClusterId(pub u16);

/// Counts a cluster's connections: what carries an older one is late and dropped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Generation(pub u32);

/// How a cluster is reached now. `since` is when this state began.
#[derive(Clone, PartialEq, Debug)]
pub enum ConnectionState {
    Connecting,
    /// Lists that are complete, of all.
    Syncing {
        done: u16,
        of: u16,
    },
    Live,
    /// No proof of life since then; the rows are that old.
    Stale {
        last: Option<Time>,
        reason: Str,
    },
    /// Credentials are refused; the reason in words.
    Unauthorized {
        last: Option<Time>,
        reason: Str,
    },
    /// Not reached; the reason in words.
    Unreachable {
        last: Option<Time>,
        reason: Str,
    },
}

impl ConnectionState {
    /// One word, as JSON and the strip have it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Syncing { .. } => "syncing",
            Self::Live => "live",
            Self::Stale { .. } => "stale",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Unreachable { .. } => "unreachable",
        }
    }
    /// What is shown is proven to be current.
    pub fn live(&self) -> bool {
        matches!(self, Self::Live)
    }
    /// Why not, in words.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Stale { reason, .. } | Self::Unauthorized { reason, .. } | Self::Unreachable { reason, .. } => Some(reason),
            _ => None,
        }
    }
}

/// How a kind's watch stands in one cluster.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum KindState {
    /// Not asked yet.
    #[default]
    Waiting,
    /// The list is coming in.
    Listing,
    Live,
    /// 403: the permission that is missing, `list pods`.
    Forbidden {
        missing: Str,
    },
    /// The server has no such API.
    Missing,
    /// Listing or watching fails; the reason in words.
    Failing {
        reason: Str,
    },
}

/// One row's change.
#[derive(Clone, Debug)]
pub enum Change {
    Upsert(Object),
    Delete(Uid),
}

/// What happened at a cluster.
#[derive(Clone, Debug)]
pub enum Delta {
    State(ConnectionState),
    /// The server answered now (a probe, a row, a bookmark).
    Alive,
    /// Round trip of a small request, milliseconds.
    Latency(u32),
    /// `major.minor` and the full version.
    Version(Str),
    /// A kind's watch changed its state.
    KindState(Kind, KindState),
    /// A list begins: rows of this kind (in this namespace, or all) that are not named until `ListEnd` are gone then.
    ListBegin {
        kind: Kind,
        namespace: Option<Str>,
    },
    Rows {
        kind: Kind,
        changes: Vec<Change>,
    },
    ListEnd {
        kind: Kind,
        namespace: Option<Str>,
    },
    /// What a person should know that changes no row: shown once.
    Told(Str),
    /// A service changed its state, or answered again. `via`: how it is reached, in words (`https://10.0.0.1:2379`,
    /// `service monitoring/alertmanager:9093`). Its rows come as lists of its kinds.
    Service {
        service: Service,
        state: ServiceState,
        via: Str,
    },
    /// All that Prometheus alone knows of: alerts that are pending, targets that are down. They are rows beside the Alertmanager's.
    Waiting(Arc<[Arc<Alert>]>),
    /// A part of what nodes or pods use now: what it does not name comes with another one, or with the list that ends it.
    UsagePart(UsageList),
    /// What nodes or pods use now, but for what parts told since the last.
    Usage(UsageList),
    /// What the API server tells of itself when it is asked.
    Asked(Arc<Asked>),
    /// What was heard of the reports of a scheduled inspection.
    Reports(Arc<Heard>),
    /// How full all claims are that are measured: of others it is no longer known.
    ClaimUse(Vec<ClaimRow>),
    /// Requests sent so far and now waiting in the budget.
    Requests {
        sent: u64,
        waiting: u32,
    },
}

impl Delta {
    /// Whether a service's task sent it, which knows nothing of the cluster's connections: it is never late.
    pub fn of_service(&self) -> bool {
        match self {
            Self::Service { .. }
            | Self::UsagePart(_)
            | Self::Usage(_)
            | Self::ClaimUse(_)
            | Self::Waiting(_)
            | Self::Asked(_)
            | Self::Reports(_) => true,
            Self::KindState(kind, _) | Self::ListBegin { kind, .. } | Self::Rows { kind, .. } | Self::ListEnd { kind, .. } => {
                !kind.watched()
            }
            _ => false,
        }
    }
}

/// A delta with where it is from.
#[derive(Clone, Debug)]
pub struct Batch {
    pub cluster: ClusterId,
    pub generation: Generation,
    pub delta: Delta,
}
