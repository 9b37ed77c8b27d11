//! The clusters that are followed, what is known of them, and what burns: the same for the cockpit and the command line.

use crate::app::World;
use crate::client::{BudgetConfig, ExecPool, Target};
use crate::config::{ClusterSettings, Config};
use crate::diag::Diag;
use crate::inspect::{Engine, Thresholds};
use crate::model::{Batch, ClusterId, Kind};
use crate::source::kube::{ClusterSource, Handle, Reader, Timing, spawn_cluster};
use crate::store::{ClusterInfo, Store, Touched};
use tokio::sync::mpsc;

/// A cluster with its settings.
pub struct Member {
    pub target: Target,
    pub settings: ClusterSettings,
}

/// Gives every target its settings; `read_only` is absolute.
pub fn members(targets: Vec<Target>, config: &Config) -> Vec<Member> {
    targets.into_iter().map(|target| Member { settings: config.for_cluster(&target.name), target }).collect()
}

/// Everything that is followed.
pub struct Fleet {
    pub store: Store,
    pub engine: Engine,
    members: Vec<Member>,
    handles: Vec<Handle>,
    deltas: mpsc::Receiver<Batch>,
    pool: ExecPool,
}

impl Fleet {
    /// Begins to follow these clusters. Needs a tokio runtime.
    pub fn open(members: Vec<Member>, kinds: &[Kind], config: &Config, read_only: bool, namespaces: &[String]) -> (Self, Vec<Diag>) {
        let (thresholds, diags) = thresholds(config);
        let info = |m: &Member| {
            let s = &m.settings;
            let locked = s.read_only_because.clone().or(s.read_only.value.then(|| "read_only is set".to_owned()));
            ClusterInfo {
                name: s.name.value.as_str().into(),
                contexts: m.target.contexts.iter().map(|c| c.as_str().into()).collect(),
                server: m.target.server.as_str().into(),
                tier: s.tier.value.map(|t| t.name().into()),
                group: s.group.value.as_deref().map(Into::into),
                read_only: if read_only { Some("--read-only".into()) } else { locked.map(|l| l.as_str().into()) },
            }
        };
        let store = Store::new(members.iter().map(info).collect(), super::now());
        let (tx, deltas) = mpsc::channel(256);
        let pool = ExecPool::default();
        let handles = members.iter().enumerate().map(|(n, m)| {
            let configured = &m.settings.namespaces.value;
            let wanted = if namespaces.is_empty() { configured.clone() } else { namespaces.to_vec() };
            let budget = &m.settings.budget;
            let source = ClusterSource {
                id: ClusterId(u16::try_from(n).unwrap_or(u16::MAX)),
                target: m.target.clone(),
                kinds: kinds.to_vec(),
                namespaces: (!wanted.is_empty()).then_some(wanted),
                budget: BudgetConfig {
                    requests_per_second: budget.requests_per_second.value,
                    burst: budget.burst.value,
                    ..BudgetConfig::default()
                },
                pool: pool.clone(),
                timing: Timing::default(),
            };
            spawn_cluster(source, tx.clone())
        });
        let handles = handles.collect();
        let mut fleet = Self { store, engine: Engine::new(thresholds), members, handles, deltas, pool };
        fleet.engine.touched(&fleet.store, &[], super::now());
        (fleet, diags)
    }

    pub fn world(&self) -> World<'_> {
        World { store: &self.store, engine: &self.engine, now: super::now() }
    }

    /// The next delta.
    pub async fn next(&mut self) -> Option<Batch> {
        self.deltas.recv().await
    }

    /// A delta that is there already.
    pub fn try_next(&mut self) -> Option<Batch> {
        self.deltas.try_recv().ok()
    }

    /// Judges what was touched.
    pub fn judge(&mut self, touched: &[Touched], now: i64) {
        self.engine.touched(&self.store, touched, now);
    }

    /// Judges what has come due.
    pub fn tick(&mut self, now: i64) {
        self.engine.tick(&self.store, now);
    }

    pub fn target(&self, id: ClusterId) -> Option<&Target> {
        self.members.get(usize::from(id.0)).map(|m| &m.target)
    }

    /// For full objects and logs of a cluster.
    pub fn reader(&self, id: ClusterId) -> Option<Reader> {
        self.handles.get(usize::from(id.0)).map(Handle::reader)
    }

    /// Connects anew: one cluster, or all.
    pub fn reconnect(&self, id: Option<ClusterId>) {
        for handle in self.handles.iter().filter(|h| id.is_none_or(|id| h.id == id)) {
            handle.reconnect();
        }
    }

    /// Takes what a credential plugin printed in the foreground, and connects anew.
    pub fn renew(&self, id: ClusterId, output: Vec<u8>) {
        let (Some(target), Some(handle)) = (self.target(id).cloned(), self.handles.get(usize::from(id.0))) else { return };
        let (pool, renewed) = (self.pool.clone(), handle.renewer());
        tokio::spawn(async move {
            if let Err(e) = pool.put(&target, &output).await {
                tracing::warn!("what the credential plugin of {} printed is no credential: {e}", target.name);
            }
            renewed();
        });
    }
}

/// The thresholds that were set; the ones that mean nothing are told.
pub fn thresholds(config: &Config) -> (Thresholds, Vec<Diag>) {
    let mut diags = Vec::new();
    let mut thresholds = Thresholds::default();
    for t in &config.thresholds {
        let value = match &t.value {
            crate::config::ThresholdValue::Flag(on) => on.to_string(),
            crate::config::ThresholdValue::Number(n) => n.to_string(),
            crate::config::ThresholdValue::Duration(d) => crate::config::format_duration(*d),
            crate::config::ThresholdValue::Text(text) => text.clone(),
        };
        if let Err(e) = thresholds.set(&t.rule.value, &t.key.value, &value) {
            diags.push(t.key.error(e.to_string()));
        }
    }
    (thresholds, diags)
}
