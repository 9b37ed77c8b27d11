//! The clusters that are followed, what is known of them, and what burns: the same for the cockpit and the command line.

use crate::action::{Clients, ClusterClients, EtcdSides, Guardrails, Ledger, Sightings};
use crate::app::World;
use crate::client::{BudgetConfig, EtcdPermit, ExecPool, Licence, Target, WriteClient};
use crate::config::{ClusterSettings, Config, Endpoint, Findings, Reach, Setting};
use crate::diag::Diag;
use crate::inspect::{Engine, Policy, Rules, Thresholds};
use crate::model::{Batch, ClusterId, Delta, EtcdPast, Generation, Kind, Object, Query, Service, ServiceState, Str, Tri};
use crate::reach::{Alertmanager, EtcdFound, EtcdReach, Found, forwarded, same};
use crate::source::alertmanager::spawn_alertmanagers;
use crate::source::asked::spawn_asked;
use crate::source::etcd::{EtcdSource, spawn_etcd};
use crate::source::kube::{ClusterSource, Handle, Reader, Timing, spawn_cluster};
use crate::source::metrics;
use crate::source::prometheus::spawn_prometheus;
use crate::source::reports::spawn_reports;
use crate::source::{ServiceHandle, Stead, Wanted, label};
use crate::store::{ClusterInfo, Judged, Store, Touched};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};

/// A cluster with its settings.
pub struct Member {
    pub target: Target,
    pub settings: ClusterSettings,
}

impl Member {
    /// What the cluster may be called by a label that tells clusters apart: as shown, and its contexts.
    fn names(&self) -> Vec<String> {
        let shown = &self.settings.name.value;
        std::iter::once(shown).chain(self.target.contexts.iter().filter(|c| *c != shown)).cloned().collect()
    }
}

fn cluster_id(n: usize) -> ClusterId {
    ClusterId(u16::try_from(n).unwrap_or(u16::MAX))
}

/// Gives every target its settings; `read_only` is absolute.
pub fn members(targets: Vec<Target>, config: &Config) -> Vec<Member> {
    targets.into_iter().map(|target| Member { settings: config.for_cluster(&target.name), target }).collect()
}

/// The namespaces to look at: those of `--namespace`, else the configured ones; none: all.
fn wanted(member: &Member, namespaces: &[String]) -> Option<Vec<String>> {
    let wanted: &[String] = if namespaces.is_empty() { &member.settings.namespaces.value } else { namespaces };
    (!wanted.is_empty()).then(|| wanted.to_vec())
}

/// A cluster of which a service beside it is to tell.
fn beside_of(n: usize, member: &Member, endpoint: fn(&ClusterSettings) -> &Endpoint, handle: &Handle, found: Found) -> Wanted {
    let endpoint = endpoint(&member.settings).clone();
    Wanted { id: cluster_id(n), names: member.names(), endpoint, reader: handle.reader(), found }
}

/// Everything that is followed.
pub struct Fleet {
    pub store: Store,
    pub engine: Engine,
    pub guardrails: Guardrails,
    /// What running jobs wait for.
    pub sightings: Sightings,
    /// What people should know and no row says; whoever shows it takes it.
    pub told: Vec<String>,
    /// Whether all is read that rules rest on: else what they find is no whole, and no row.
    judges: bool,
    read_only: bool,
    members: Vec<Member>,
    handles: Vec<Handle>,
    /// Kept for as long as they are to ask.
    services: Vec<ServiceHandle>,
    /// The Alertmanager of each cluster that none is configured for.
    found: Vec<Found>,
    /// The way to the etcd of each cluster that had to be asked for it.
    etcds: Vec<EtcdFound>,
    /// To be notified where reports are to be read at once.
    again: Vec<(ClusterId, Arc<Notify>)>,
    /// Who tells what each cluster uses.
    steads: Vec<Stead>,
    /// What a Prometheus is asked for the use of nodes and pods, if for nothing else yet.
    use_queries: Option<Arc<[Query]>>,
    /// What was done to the etcd of each cluster before, for who asks it.
    pasts: Vec<watch::Sender<EtcdPast>>,
    /// The nodes of each cluster that are not ready, by name, for who asks their leases.
    unready: Vec<watch::Sender<Arc<[Str]>>>,
    /// What `--namespace` asks for.
    namespaces: Vec<String>,
    tx: mpsc::WeakSender<Batch>,
    deltas: mpsc::Receiver<Batch>,
    pool: ExecPool,
}

impl Fleet {
    /// Whether only some namespaces of a cluster are looked at.
    pub fn limited(&self, cluster: ClusterId) -> bool {
        self.members.get(usize::from(cluster.0)).is_some_and(|m| wanted(m, &self.namespaces).is_some())
    }

    /// Begins to follow these clusters. Needs a tokio runtime.
    pub fn open(members: Vec<Member>, kinds: &[Kind], config: &Config, read_only: bool, namespaces: &[String]) -> (Self, Vec<Diag>) {
        let (thresholds, mut diags) = thresholds(config);
        let judges = Kind::ALL.into_iter().all(|k| k == Kind::Finding || kinds.contains(&k));
        // Who asks for what rules rest on, and for no row of a finding beside it, wants nothing but findings.
        let elsewhere = if judges && !kinds.contains(&Kind::Finding) { Judged::ByReportsAlone } else { Judged::ByReports };
        let judged = |m: &Member| if m.settings.findings.value == Findings::Reports { elsewhere } else { Judged::Here };
        let alone = |m: &Member| judged(m) == Judged::ByReportsAlone;
        let info = |(n, m): (usize, &Member)| {
            let s = &m.settings;
            let shares = |(other, o): &(usize, &Member)| *other != n && same(&o.settings.alertmanager, &s.alertmanager);
            let alert_peers: Vec<ClusterId> = members.iter().enumerate().filter(shares).map(|(n, _)| cluster_id(n)).collect();
            let locked = s.read_only_because.clone().or(s.read_only.value.then(|| "read_only is set".to_owned()));
            ClusterInfo {
                name: s.name.value.as_str().into(),
                contexts: m.target.contexts.iter().map(|c| c.as_str().into()).collect(),
                server: m.target.server.as_str().into(),
                tier: s.tier.value.map(|t| t.name().into()),
                group: s.group.value.as_deref().map(Into::into),
                alertmanager: s.alertmanager.reach.value.is_some(),
                snapshots: s.etcd.snapshots.value.as_ref().map(|dir| dir.to_string_lossy().as_ref().into()),
                snapshot_jobs: s.etcd.snapshot_jobs.value.as_ref().map(|j| (j.namespace.as_str().into(), j.labels.clone())),
                after_snapshot: (s.etcd.after_snapshot.value.clone(), s.etcd.after_snapshot_within.as_secs().max(1)),
                alert_label: label(&s.alertmanager, !alert_peers.is_empty()).map(Into::into),
                alert_peers,
                owner_labels: s.owner_labels.value.iter().map(|l| l.as_str().into()).collect(),
                rpo: s.velero.rpo.value.map(|d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX)),
                judged: judged(m),
                read_only: if read_only { Some("--read-only".into()) } else { locked.map(|l| l.as_str().into()) },
            }
        };
        let mut infos: Vec<ClusterInfo> = members.iter().enumerate().map(info).collect();
        let known = infos
            .iter()
            .zip(&members)
            .enumerate()
            .map(|(n, (i, m))| (cluster_id(n), &*i.name, m.settings.tier.value, i.read_only.as_deref()));
        let (guardrails, mistakes) = Guardrails::of(config, known);
        diags.extend(mistakes);
        for (n, info) in infos.iter_mut().enumerate() {
            // A guardrail that cannot be read locks its clusters too.
            info.read_only = guardrails.get(cluster_id(n)).and_then(|r| r.read_only.as_deref()).map(Into::into);
        }
        let mut store = Store::new(infos, super::now());
        let (tx, deltas) = mpsc::channel(256);
        let pool = ExecPool::default();
        let handles = members.iter().enumerate().map(|(n, m)| {
            let budget = &m.settings.budget;
            let source = ClusterSource {
                id: cluster_id(n),
                target: m.target.clone(),
                // A connection is known by a list that is there: the shortest.
                kinds: kinds.iter().copied().filter(|k| k.watched() && (!alone(m) || *k == Kind::Namespace)).collect(),
                namespaces: wanted(m, namespaces),
                velero: m.settings.velero.namespace.value.clone(),
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
        let handles: Vec<Handle> = handles.collect();
        let asked = |service: Service| kinds.iter().any(|k| k.service() == Some(service));
        // From the start: who looks before the first answer is not to be told that there is none.
        let mut wait = |n: usize, service, addresses: &[String]| {
            let delta = Delta::Service { service, state: ServiceState::Waiting, via: addresses.join(", ").into() };
            store.apply(Batch { cluster: cluster_id(n), generation: Generation::default(), delta }, super::now(), &mut Vec::new());
        };
        let mut services = Vec::new();
        let pasts: Vec<_> = members.iter().map(|_| watch::channel(EtcdPast::default()).0).collect();
        let unready: Vec<_> = members.iter().map(|_| watch::channel(Arc::default()).0).collect();
        let etcds: Vec<EtcdFound> = members.iter().map(|_| EtcdFound::default()).collect();
        for (n, member) in members.iter().enumerate().filter(|(_, m)| asked(Service::Etcd) && !alone(m)) {
            let (name, past) = (member.settings.name.value.as_str(), pasts[n].subscribe());
            let source = EtcdSource { cluster: cluster_id(n), name, past, reader: handles[n].reader(), found: etcds[n].clone() };
            services.push(spawn_etcd(source, &member.settings.etcd, tx.clone()));
            wait(n, Service::Etcd, &member.settings.etcd.endpoints);
        }
        let found: Vec<Found> = members.iter().map(|_| Found::default()).collect();
        let mut beside = |service: Service, endpoint: fn(&ClusterSettings) -> &Endpoint, found: &dyn Fn(usize) -> Found| -> Vec<Wanted> {
            let of = |(n, m): (usize, &Member)| {
                let wanted = beside_of(n, m, endpoint, &handles[n], found(n));
                let addresses = if let Some(Reach::Urls(urls)) = &wanted.endpoint.reach.value { urls.as_slice() } else { &[] };
                wait(n, service, addresses);
                wanted
            };
            members.iter().enumerate().filter(|(_, m)| asked(service) && !alone(m)).map(of).collect()
        };
        let alertmanagers = beside(Service::Alertmanager, |s| &s.alertmanager, &|n| found[n].clone());
        services.extend(spawn_alertmanagers(alertmanagers, &tx));
        let prometheus = beside(Service::Prometheus, |s| &s.prometheus, &|_| Found::default());
        let steads: Vec<Stead> = members.iter().map(|_| Stead::default()).collect();
        let use_queries = || config.queries.iter().filter(|q| q.gives.instead().is_some()).cloned().collect();
        let use_queries = (!asked(Service::Prometheus)).then(use_queries);
        services.extend(spawn_prometheus(prometheus, &config.queries.clone().into(), |id| steads[usize::from(id.0)].clone(), &tx));
        let (policy, sightings) = (Policy::of(config), Sightings::default());
        diags.extend(policy.strangers(thresholds.rules()).into_iter().map(Diag::warning));
        let engine = Engine::new(thresholds).with(policy);
        let mut fleet = Self {
            store,
            engine,
            guardrails,
            sightings,
            told: Vec::new(),
            judges,
            read_only,
            members,
            handles,
            services,
            found,
            etcds,
            again: Vec::new(),
            steads,
            use_queries,
            pasts,
            unready,
            namespaces: namespaces.to_vec(),
            tx: tx.downgrade(),
            deltas,
            pool,
        };
        fleet.engine.touched(&fleet.store, &[], super::now());
        (fleet, diags)
    }

    /// Whether a cluster's findings are read from reports, and nothing else of it is.
    fn alone(&self, n: usize) -> bool {
        self.store.cluster(cluster_id(n)).is_some_and(|c| c.info.judged == Judged::ByReportsAlone)
    }

    /// Begins to ask API servers of themselves, the first time after so long; where findings are read from reports, to read these. Needs a tokio
    /// runtime.
    pub fn follow_asked(&mut self, after: Duration) {
        self.follow_reports();
        let Some(tx) = self.tx.upgrade() else { return };
        let of = |(n, handle): (usize, &Handle)| {
            let unready = self.unready.get(n)?.subscribe();
            Some(spawn_asked(cluster_id(n), handle.reader(), unready, after, tx.clone()))
        };
        let judged = |(n, _): &(usize, &Handle)| self.store.cluster(cluster_id(*n)).is_some_and(|c| !c.info.reported());
        self.services.extend(self.handles.iter().enumerate().filter(judged).filter_map(of));
    }

    /// Begins to read the reports of the clusters whose findings are read from reports. Needs a tokio runtime.
    pub fn follow_reports(&mut self) {
        let Some(tx) = self.tx.upgrade() else { return };
        for cluster in self.store.clusters().iter().filter(|c| c.info.reported()) {
            let Some(handle) = self.handles.get(usize::from(cluster.id.0)) else { continue };
            let again = Arc::new(Notify::new());
            self.services.push(spawn_reports(cluster.id, handle.reader(), again.clone(), tx.clone()));
            self.again.push((cluster.id, again));
        }
    }

    /// Begins to follow what nodes and pods use, the first look after so long. Needs a tokio runtime.
    pub fn follow_use(&mut self, after: Duration) {
        let Some(tx) = self.tx.upgrade() else { return };
        if let Some(queries) = self.use_queries.take() {
            let beside = |(n, (m, handle)): (usize, (&Member, &Handle))| beside_of(n, m, |s| &s.prometheus, handle, Found::default());
            let wanted = self.members.iter().zip(&self.handles).enumerate().filter(|(n, _)| !self.alone(*n)).map(beside).collect();
            self.services.extend(spawn_prometheus(wanted, &queries, |id| self.steads[usize::from(id.0)].clone(), &tx));
        }
        for (n, (member, handle)) in self.members.iter().zip(&self.handles).enumerate() {
            let cluster = cluster_id(n);
            if self.alone(n) {
                continue;
            }
            let source = metrics::MetricsSource {
                cluster,
                reader: handle.reader(),
                namespaces: wanted(member, &self.namespaces),
                fallback: member.target.namespace.clone(),
                after,
                stead: self.steads[n].clone(),
            };
            self.services.push(metrics::spawn_metrics(source, tx.clone()));
            let delta = Delta::Service { service: Service::Metrics, state: ServiceState::Waiting, via: Str::default() };
            self.store.apply(Batch { cluster, generation: Generation::default(), delta }, super::now(), &mut Vec::new());
        }
    }

    /// Tells whoever asks etcd what the audit log has of it.
    pub fn remember(&self, ledger: &Ledger) {
        for (past, cluster) in self.pasts.iter().zip(self.store.clusters()) {
            let new = ledger.etcd(&cluster.info.server, &cluster.info.contexts);
            past.send_if_modified(|old| std::mem::replace(old, new.clone()) != new);
        }
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

    /// Folds a delta. `at`: unix seconds.
    pub fn fold(&mut self, batch: Batch, at: i64, touched: &mut Vec<Touched>) {
        if let Delta::Told(words) = &batch.delta {
            self.told.push(words.to_string());
        }
        self.store.apply(batch, at, touched);
    }

    /// Judges what was touched, and adds the rows of the findings to it.
    pub fn judge(&mut self, touched: &mut Vec<Touched>, now: i64) {
        self.judge_some(touched, now, || true);
    }

    /// The same for as long as `more` says so; what is left is due at once (see [`Fleet::tick`]).
    pub fn judge_some(&mut self, touched: &mut Vec<Touched>, now: i64, more: impl FnMut() -> bool) {
        self.engine.touched_some(&self.store, touched, now, more);
        self.tell_unready(touched);
        self.tell(touched, now);
        for t in &*touched {
            if let Touched::Gone { id, before } = t {
                self.sightings.gone(id.cluster, before.meta().uid);
            }
        }
        for c in self.store.clusters().iter().filter(|c| c.current(Kind::Pod)) {
            self.sightings.pending(c.id, c.counts.pods_unplaced);
        }
    }

    /// Tells who asks for leases which nodes are not ready, where that may be other now.
    fn tell_unready(&self, touched: &[Touched]) {
        let of = |t: &Touched| match t {
            Touched::Row { id, .. } | Touched::Gone { id, .. } if id.kind == Kind::Node => Some(id.cluster),
            _ => None,
        };
        let mut clusters: Vec<ClusterId> = touched.iter().filter_map(of).collect();
        clusters.sort_unstable();
        clusters.dedup();
        for id in clusters {
            let (Some(cluster), Some(unready)) = (self.store.cluster(id), self.unready.get(usize::from(id.0))) else { continue };
            let down = |o: &Object| if let Object::Node(n) = o { (n.ready() != Tri::True).then(|| n.meta.name.clone()) } else { None };
            let mut names: Vec<Str> = Vec::new();
            if cluster.counts.nodes_ready < cluster.counts.nodes {
                names.extend(cluster.objects(Kind::Node).filter_map(down));
            }
            names.sort_unstable();
            unready.send_if_modified(|old| {
                let other = **old != *names;
                *old = names.into();
                other
            });
        }
    }

    /// The findings that became others are rows that did.
    fn tell(&mut self, touched: &mut Vec<Touched>, now: i64) {
        for (cluster, changes) in self.engine.news().into_iter().filter(|_| self.judges) {
            let delta = Delta::Rows { kind: Kind::Finding, changes };
            self.store.apply(Batch { cluster, generation: Generation::default(), delta }, now, touched);
        }
    }

    /// Both sides of every cluster that is connected, for the action layer.
    pub fn clients(&self) -> Clients {
        let mut clients = Clients::default();
        for (n, (member, handle)) in self.members.iter().zip(&self.handles).enumerate() {
            let locked = self.guardrails.get(cluster_id(n)).and_then(|r| r.read_only.clone());
            let licence = match locked {
                Some(why) => Err(why),
                None => Licence::of(&member.settings, self.read_only),
            };
            let found = || self.etcds.get(n).and_then(EtcdFound::get);
            if let Some(reach) = EtcdReach::of(&member.settings.etcd).or_else(found) {
                clients.add_etcd(cluster_id(n), EtcdSides { reach, permit: licence.clone().map(EtcdPermit::new) });
            }
            let Some(read) = handle.reader().client() else { continue };
            let write = licence.map(|licence| WriteClient::new(&read, licence));
            let mut endpoint = member.settings.alertmanager.clone();
            if let (None, Some(found)) = (&endpoint.reach.value, self.found.get(n).and_then(Found::get)) {
                endpoint.reach = Setting::default_to(Some(Reach::Service(found)));
            }
            let alerts = match self.found.get(n).filter(|_| forwarded(&endpoint).is_some()) {
                Some(found) => Alertmanager::at(found.pods(), &endpoint, member.names()),
                None => Alertmanager::of(&endpoint, &read, member.names()),
            };
            clients.add(cluster_id(n), ClusterClients { read, write, alerts });
        }
        clients
    }

    /// Goes on following the clusters until something else is done.
    pub async fn alongside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let mut touched = Vec::new();
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                batch = self.deltas.recv() => {
                    let Some(batch) = batch else { return work.await };
                    self.fold(batch, super::now(), &mut touched);
                    self.judge(&mut touched, super::now());
                    touched.clear();
                }
            }
        }
    }

    /// Judges what has come due, for as long as `more` says so.
    pub fn tick(&mut self, now: i64, touched: &mut Vec<Touched>, more: impl FnMut() -> bool) {
        self.engine.tick_some(&self.store, now, more);
        self.tell(touched, now);
    }

    pub fn target(&self, id: ClusterId) -> Option<&Target> {
        self.members.get(usize::from(id.0)).map(|m| &m.target)
    }

    pub fn settings(&self, id: ClusterId) -> Option<&ClusterSettings> {
        self.members.get(usize::from(id.0)).map(|m| &m.settings)
    }

    /// For full objects and logs of a cluster.
    pub fn reader(&self, id: ClusterId) -> Option<Reader> {
        self.handles.get(usize::from(id.0)).map(Handle::reader)
    }

    /// Connects anew: one cluster, or all; their reports are read at once.
    pub fn reconnect(&self, id: Option<ClusterId>) {
        for (_, again) in self.again.iter().filter(|(at, _)| id.is_none_or(|id| *at == id)) {
            again.notify_one();
        }
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
    let (rules, mut diags) = Rules::of(config);
    let mut thresholds = Thresholds::of(rules);
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
