//! One cluster: who it is, how it is reached, its tables and their sums.

use super::endpoints::EndpointsOf;
use super::{
    Counts, Elections, FindingsOf, History, RowId, Series, SignalsOf, Stops, Sums, Table, Touched, UseCourse, UseSum, Uses, table::Upsert,
};
use crate::model::{
    Alert, Amiss, Asked, Change, ClaimUse, ClusterId, ConnectionState, Delta, Endpoints, Generation, Heard, Kind, KindState, OWNER_LABELS,
    Object, Selector, Service, ServiceState, Severity, Signal, Str, Svc, Time, Uid, Usage, UsageList,
};
use hashbrown::HashMap;
use std::sync::Arc;

/// Who judges a cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Judged {
    /// We do, by its rows.
    #[default]
    Here,
    /// A scheduled inspection inside it, whose reports are read.
    ByReports,
    /// The same, and these are all that is read of it.
    ByReportsAlone,
}

/// Who a cluster is: from kubeconfig and configuration.
#[derive(Clone, Debug, Default)]
pub struct ClusterInfo {
    /// What is shown.
    pub name: Str,
    /// The contexts that are this cluster, first the one it is named after.
    pub contexts: Vec<Str>,
    pub server: Str,
    /// `production`, `staging`, `development`, or none.
    pub tier: Option<Str>,
    pub group: Option<Str>,
    /// Why nothing may be written, when it may not.
    pub read_only: Option<Str>,
    /// Where its Alertmanager is, is configured.
    pub alertmanager: bool,
    /// The directory for snapshots of its etcd; none: not configured.
    pub snapshots: Option<Str>,
    /// The namespace and the labels of CronJobs that take snapshots; none: nobody has said.
    pub snapshot_jobs: Option<(Str, Selector)>,
    /// What a snapshot is given to, and for how many seconds at most; empty: to nobody.
    pub after_snapshot: (Vec<String>, u64),
    /// The label that tells its alerts from other clusters', where its Alertmanager serves several or one is configured.
    pub alert_label: Option<Str>,
    /// The other clusters of the same Alertmanager.
    pub alert_peers: Vec<ClusterId>,
    /// Labels of an alert or of its namespace that say whose it is; empty: the usual ones.
    pub owner_labels: Vec<Str>,
    /// How old the newest backup may be, in seconds; none: nobody has said.
    pub rpo: Option<i64>,
    pub judged: Judged,
}

impl ClusterInfo {
    /// Its findings are read from reports.
    pub fn reported(&self) -> bool {
        self.judged != Judged::Here
    }
    /// Production clusters are marked and ask for the typed name.
    pub fn production(&self) -> bool {
        self.tier.as_deref() == Some("production")
    }
    /// The labels that say whose something is, the first that is there.
    pub fn owners(&self) -> impl Iterator<Item = &str> {
        let usual = OWNER_LABELS.iter().copied().filter(|_| self.owner_labels.is_empty());
        self.owner_labels.iter().map(|l| &**l).chain(usual)
    }
    /// What it may be called by a label that tells clusters apart: as shown, and its contexts.
    pub fn names(&self) -> impl Iterator<Item = &Str> {
        std::iter::once(&self.name).chain(self.contexts.iter().filter(|c| **c != self.name))
    }
}

/// An owner of an owner of an owner, and not for ever.
const OWNERS: usize = 4;
/// Seconds without a proof of life after which nobody knows when things changed.
const UNSEEN: i64 = 120;

#[derive(Default)]
struct KindSlot {
    state: KindState,
    table: Table,
}

/// What a member of etcd was like over the last half hour.
#[derive(Clone, Debug, Default)]
pub struct EtcdTrends {
    /// KiB of the database file.
    pub size: Series,
    /// Microseconds, of the 99th percentile.
    pub fsync: Series,
    pub commit: Series,
}

/// How a service of a cluster stands.
#[derive(Clone, PartialEq, Debug)]
pub struct ServiceSlot {
    pub state: ServiceState,
    /// How it is reached, in words; empty while it is not.
    pub via: Str,
    /// When this state began (unix seconds).
    pub since: i64,
    /// Its last answer (unix seconds); 0 before the first.
    pub alive: i64,
}

/// One cluster of the fleet.
pub struct Cluster {
    pub id: ClusterId,
    pub info: ClusterInfo,
    pub generation: Generation,
    pub state: ConnectionState,
    /// When this state began (unix seconds).
    pub since: i64,
    /// Last proof of life (unix seconds); 0 before the first.
    pub alive: i64,
    pub version: Option<Str>,
    /// Milliseconds.
    pub latency_ms: Option<u32>,
    pub latency: Series,
    pub pending: Series,
    pub restarts: Series,
    /// Of each member of its etcd.
    pub etcd: HashMap<Uid, EtcdTrends>,
    /// Elections of its etcd in the last hour.
    pub elections: Elections,
    pub requests: u64,
    pub waiting: u32,
    pub counts: Counts,
    pub history: History,
    /// How pods ended that were deleted.
    pub stops: Stops,
    /// What the API server tells of itself when it is asked.
    pub asked: Arc<Asked>,
    /// What was heard of the reports of a scheduled inspection; nobody asks where it is judged here.
    pub reports: Arc<Heard>,
    kinds: [KindSlot; Kind::ALL.len()],
    services: [ServiceSlot; Service::ALL.len()],
    uses: Uses,
    /// What the pods use together that the list has named which is being told.
    summing: Sums,
    endpoints: EndpointsOf,
    signals_of: SignalsOf,
    findings_of: FindingsOf,
    /// What Prometheus alone knows of: alerts that are pending, targets that are down.
    alone: Arc<[Arc<Alert>]>,
}

impl Cluster {
    pub(super) fn new(id: ClusterId, info: ClusterInfo, now: i64) -> Self {
        let slot = |service| ServiceSlot { state: ServiceState::absent(service), via: Str::default(), since: now, alive: 0 };
        let mut kinds: [KindSlot; Kind::ALL.len()] = Default::default();
        for kind in Kind::ALL.into_iter().filter(|k| k.service().is_some()) {
            kinds[kind as usize].state = KindState::Missing;
        }
        // Judged here: there is nobody who might not tell.
        kinds[Kind::Finding as usize].state = if info.reported() { unreported(&Heard::default(), now) } else { KindState::Live };
        Self {
            id,
            info,
            generation: Generation::default(),
            state: ConnectionState::Connecting,
            since: now,
            alive: 0,
            version: None,
            latency_ms: None,
            latency: Series::default(),
            pending: Series::default(),
            restarts: Series::default(),
            etcd: HashMap::new(),
            elections: Elections::default(),
            requests: 0,
            waiting: 0,
            counts: Counts::default(),
            history: History::default(),
            stops: Stops::default(),
            asked: Arc::default(),
            reports: Arc::default(),
            kinds,
            services: Service::ALL.map(slot),
            uses: Uses::default(),
            summing: Sums::default(),
            endpoints: EndpointsOf::default(),
            signals_of: SignalsOf::default(),
            findings_of: FindingsOf::default(),
            alone: Arc::default(),
        }
    }

    /// The rows of a kind.
    pub fn table(&self, kind: Kind) -> &Table {
        &self.kinds[kind as usize].table
    }

    /// How a kind's watch stands, or the service that tells of it.
    pub fn kind_state(&self, kind: Kind) -> &KindState {
        &self.kinds[kind as usize].state
    }

    /// The objects of a kind.
    pub fn objects(&self, kind: Kind) -> impl Iterator<Item = &Object> {
        self.table(kind).iter().map(|(_, o)| o)
    }

    /// The object of that name.
    pub fn named(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Object> {
        self.table(kind).named(namespace, name)
    }

    /// How many endpoints a Service has, over all its slices; none where slices are not seen, or not yet.
    pub fn endpoints(&self, service: &Svc) -> Option<Endpoints> {
        let known = matches!(self.kind_state(Kind::EndpointSlice), KindState::Live | KindState::Failing { .. });
        self.endpoints.of(&service.meta.namespace, &service.meta.name).or(known.then(Endpoints::default))
    }

    /// Whether nobody answers for a Service that selects pods.
    fn dead(&self, object: Option<&Object>) -> bool {
        let Some(Object::Svc(s)) = object else { return false };
        s.selects() && self.endpoints.of(&s.meta.namespace, &s.meta.name).is_none_or(|e| e.ready == 0)
    }

    /// Notes what a slice was and is; the Service whose endpoints are others now has changed too.
    fn slice(&mut self, before: Option<&Object>, after: Option<&Object>, touched: &mut Vec<Touched>) {
        let of = |o: Option<&Object>| match o {
            Some(Object::EndpointSlice(s)) => s.service.clone().map(|service| (s.meta.namespace.clone(), service)),
            _ => None,
        };
        let (old, new) = (of(before), of(after));
        let mut places: Vec<(Str, Str)> = old.into_iter().chain(new).collect();
        places.dedup();
        let row = |c: &Self, (namespace, name): &(Str, Str)| {
            let object = c.named(Kind::Service, namespace, name).cloned();
            (object.clone(), c.endpoints.of(namespace, name), c.dead(object.as_ref()))
        };
        let was: Vec<_> = places.iter().map(|p| row(self, p)).collect();
        if let Some(Object::EndpointSlice(s)) = before {
            self.endpoints.take(s);
        }
        if let Some(Object::EndpointSlice(s)) = after {
            self.endpoints.add(s);
        }
        for (place, (object, endpoints, dead)) in places.iter().zip(was) {
            let Some(object) = object.filter(|_| self.endpoints.of(&place.0, &place.1) != endpoints) else { continue };
            let slot = self.table(Kind::Service).slot_of(object.meta().uid);
            let now = self.dead(Some(&object));
            let count = &mut self.counts.services_dead;
            *count = count.wrapping_add_signed(i32::from(now) - i32::from(dead));
            if let Some(slot) = slot {
                touched.push(Touched::Row { id: RowId { cluster: self.id, kind: Kind::Service, slot }, before: Some(object) });
            }
        }
    }

    /// Seconds since the last proof of life; none before the first.
    pub fn age(&self, now: i64) -> Option<i64> {
        (self.alive > 0).then(|| (now - self.alive).max(0))
    }

    /// What is amiss with the reports that its findings are read from, and in words. None where all is well, or it is judged here.
    pub fn reports_amiss(&self, now: i64) -> Option<(Amiss, String)> {
        self.reports.amiss(now).filter(|_| self.info.reported())
    }

    /// When the report was made that its findings are read from, where nothing is amiss with it.
    pub fn current_report(&self, now: i64) -> Option<Time> {
        if !self.info.reported() || self.reports_amiss(now).is_some() {
            return None;
        }
        self.reports.reports.as_ref()?.at
    }

    /// How a service stands. Velero's is how its objects are watched.
    pub fn service(&self, service: Service) -> &ServiceSlot {
        &self.services[service as usize]
    }

    /// What a node or a pod uses, as was last told; the namespace is empty for nodes.
    pub fn usage(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Usage> {
        self.uses.get(kind, namespace, name)
    }

    /// How full a claim's volume is, as was last told; none where it is not measured.
    pub fn claim_use(&self, namespace: &str, name: &str) -> Option<&ClaimUse> {
        self.uses.claim(namespace, name)
    }

    /// What all nodes use that were measured.
    pub fn usage_of_nodes(&self) -> Usage {
        self.uses.total()
    }

    /// What the measured pods of a workload or a namespace use together; none where none was measured.
    pub fn usage_of_pods(&self, of: &Object) -> Option<&UseSum> {
        match of {
            Object::Namespace(n) => self.uses.of_namespace(&n.meta.name),
            other => self.uses.of_owner(other.meta().uid),
        }
    }

    /// How the use of a node, a pod, or a workload's measured pods went over the last half hour; none where nothing was measured.
    pub fn use_course(&self, of: &Object) -> Option<UseCourse> {
        let meta = of.meta();
        match of.kind() {
            kind @ (Kind::Node | Kind::Pod) => self.uses.course(kind, &meta.namespace, &meta.name),
            _ => self.uses.course_of_owner(meta.uid),
        }
    }

    /// Whether what is shown of a kind is current: live, and its watch too. What a service tells hangs on that service alone.
    pub fn current(&self, kind: Kind) -> bool {
        (!kind.watched() || self.state.live()) && *self.kind_state(kind) == KindState::Live
    }

    /// Whether nothing of a kind is hidden: it is current, or there can be none.
    pub fn seen(&self, kind: Kind) -> bool {
        self.current(kind) || kind.optional() && *self.kind_state(kind) == KindState::Missing
    }

    /// The workload that an object belongs to, through ReplicaSet and Job: itself when nobody owns it.
    pub fn workload_of<'a>(&'a self, object: &'a Object) -> &'a Object {
        let mut at = object;
        for _ in 0..OWNERS {
            let Some(up) = self.owner_of(at) else { return at };
            at = up;
        }
        at
    }

    /// An object and the workload that it belongs to: the places at which what concerns it is told.
    pub fn and_above(&self, object: &Object) -> [Uid; 2] {
        [object, self.workload_of(object)].map(|o| o.meta().uid)
    }

    fn owner_of(&self, object: &Object) -> Option<&Object> {
        let owner = object.meta().owner.as_deref()?;
        let table = self.table(Kind::parse(&owner.kind)?);
        table.get(table.slot_of(owner.uid)?)
    }

    /// Who owns an object, and who owns those; owners that are not seen too.
    pub(super) fn owners<'a>(&'a self, object: &'a Object) -> impl Iterator<Item = Uid> {
        let chain = std::iter::successors(Some(object), |at| self.owner_of(at)).take(OWNERS);
        chain.filter_map(|at| Some(at.meta().owner.as_deref()?.uid))
    }

    /// What a query of that name measures at an object, or at the pods that it owns; nothing where Prometheus tells nothing of it.
    pub fn signals_of<'a>(&'a self, of: &Object, query: &'a str) -> impl Iterator<Item = &'a Signal> {
        let table = self.table(Kind::Signal);
        let found = self.signals_of.of(of.meta().uid).iter().filter_map(move |uid| table.get(table.slot_of(*uid)?));
        found.filter_map(move |o| if let Object::Signal(s) = o { Some(&**s).filter(|s| *s.meta.name == *query) } else { None })
    }

    /// The worst open finding at an object or at what belongs to it, and how many there are; none where there are none, or nobody judges.
    pub fn findings_at(&self, uid: Uid) -> Option<(Severity, u32)> {
        self.findings_of.at(uid)
    }

    /// Notes what pods or nodes use, and adds it up where the list is of all namespaces.
    fn note_uses(&mut self, list: UsageList, now: i64) {
        if list.kind == Kind::Pod && list.namespace.is_none() {
            let mut sums = std::mem::take(&mut self.summing);
            for row in &list.rows {
                if let Some(object @ Object::Pod(pod)) = self.named(Kind::Pod, &row.namespace, &row.name) {
                    sums.add(&pod.meta.namespace, self.owners(object), &row.usage, &pod.shape.requests);
                }
            }
            self.summing = sums;
        }
        self.uses.note(list, now);
    }

    /// Sums what pods use, for those that own them and for namespaces; `measured`: they were just now.
    fn sum_uses(&mut self, measured: Option<i64>) {
        let mut sums = Sums::default();
        for object in self.objects(Kind::Pod) {
            let Object::Pod(pod) = object else { continue };
            let Some(usage) = self.usage(Kind::Pod, &pod.meta.namespace, &pod.meta.name) else { continue };
            sums.add(&pod.meta.namespace, self.owners(object), usage, &pod.shape.requests);
        }
        self.uses.sum(sums, measured);
    }

    pub(super) fn apply(&mut self, delta: Delta, now: i64, touched: &mut Vec<Touched>) {
        match delta {
            Delta::Alive => self.alive = now,
            Delta::State(state) => {
                if self.state.word() != state.word() {
                    self.since = now;
                }
                if state.live() {
                    if self.alive > 0 && now - self.alive > UNSEEN {
                        self.history.blind(now);
                    }
                    self.alive = now;
                }
                if self.state != state {
                    self.state = state;
                    touched.push(Touched::Cluster(self.id));
                }
            }
            Delta::Latency(ms) => {
                self.alive = now;
                self.latency.record(now, ms);
                if self.latency_ms.replace(ms) != Some(ms) {
                    touched.push(Touched::Cluster(self.id));
                }
            }
            Delta::Version(version) => {
                if self.version.replace(version.clone()) != Some(version) {
                    touched.push(Touched::Cluster(self.id));
                }
            }
            Delta::KindState(kind, state) => {
                if kind == Kind::Backup {
                    let state = velero(&state);
                    self.set_service(Service::Velero, state, "the API server".into(), now, touched);
                }
                let slot = &mut self.kinds[kind as usize];
                if slot.state != state {
                    if state == KindState::Live {
                        slot.table.shrink();
                    }
                    slot.state = state;
                    touched.push(Touched::Cluster(self.id));
                    if matches!(kind, Kind::Pod | Kind::ReplicaSet | Kind::Job) && !self.uses.is_empty() {
                        self.sum_uses(None);
                        touched.push(Touched::Usage { cluster: self.id, kind: Kind::Pod });
                    }
                }
            }
            // For the one who looks now: nothing to keep.
            Delta::Told(_) => {}
            Delta::Waiting(alerts) => {
                self.alone = alerts;
                self.settle(now, touched);
            }
            Delta::Service { service, state, via } => self.set_service(service, state, via, now, touched),
            Delta::UsagePart(part) => self.note_uses(part, now),
            Delta::Usage(list) => {
                let (kind, namespace) = (list.kind, list.namespace.clone());
                self.note_uses(list, now);
                self.uses.end(kind, namespace.as_ref());
                match namespace {
                    _ if kind != Kind::Pod => {}
                    None => self.uses.sum(std::mem::take(&mut self.summing), Some(now)),
                    Some(_) => self.sum_uses(Some(now)),
                }
                touched.push(Touched::Usage { cluster: self.id, kind });
            }
            Delta::Asked(asked) => {
                if self.asked != asked {
                    self.asked = asked;
                    touched.push(Touched::Cluster(self.id));
                }
            }
            Delta::Reports(heard) => {
                if self.reports != heard {
                    self.kinds[Kind::Finding as usize].state = unreported(&heard, now);
                    self.reports = heard;
                    touched.push(Touched::Cluster(self.id));
                }
            }
            Delta::ClaimUse(rows) => {
                self.uses.replace_claims(rows);
                touched.push(Touched::Usage { cluster: self.id, kind: Kind::Claim });
            }
            Delta::Requests { sent, waiting } => (self.requests, self.waiting) = (sent, waiting),
            Delta::ListBegin { kind, namespace } => self.kinds[kind as usize].table.begin(namespace),
            Delta::ListEnd { kind, namespace } => {
                self.heard(kind, now);
                let mut unseen = self.kinds[kind as usize].table.unseen(namespace.as_ref());
                unseen.retain(|uid| !self.waits(kind, *uid));
                for uid in unseen {
                    self.remove(kind, uid, now, touched);
                }
                if kind == Kind::Alert {
                    self.settle(now, touched);
                }
                if kind == Kind::Pod {
                    self.history.listed(now);
                }
                if kind == Kind::EtcdMember {
                    let mut elections = std::mem::take(&mut self.elections);
                    elections.look(self.objects(kind).filter_map(|o| if let Object::EtcdMember(m) = o { Some(&**m) } else { None }), now);
                    self.elections = elections;
                }
                self.record(now);
                if kind == Kind::Signal {
                    self.signals_of = SignalsOf::join(self);
                    touched.extend([Kind::Node, Kind::Pod].map(|kind| Touched::Usage { cluster: self.id, kind }));
                }
            }
            Delta::Rows { kind, changes } => {
                self.heard(kind, now);
                for change in changes {
                    match change {
                        Change::Upsert(object) => {
                            self.trend(&object, now);
                            self.upsert(kind, object, now, touched);
                        }
                        Change::Delete(uid) => self.remove(kind, uid, now, touched),
                    }
                }
                self.record(now);
            }
        }
    }

    /// Whether it is the row of an alert that only Prometheus tells of.
    fn waits(&self, kind: Kind, uid: Uid) -> bool {
        let row = (kind == Kind::Alert).then(|| self.table(kind).get(self.table(kind).slot_of(uid)?)).flatten();
        matches!(row, Some(Object::Alert(a)) if a.state.waits())
    }

    /// Makes rows of what waits, but for what the Alertmanager tells of too.
    fn settle(&mut self, now: i64, touched: &mut Vec<Touched>) {
        let alerts = self.objects(Kind::Alert).filter_map(|o| if let Object::Alert(a) = o { Some(a) } else { None });
        let (old, sent): (Vec<&Arc<Alert>>, Vec<&Arc<Alert>>) = alerts.partition(|a| a.state.waits());
        if old.is_empty() && self.alone.is_empty() {
            return;
        }
        let told = |a: &&Arc<Alert>| sent.iter().any(|s| s.meta.name == a.meta.name && s.covers(a));
        let wanted: Vec<Arc<Alert>> = self.alone.iter().filter(|a| !told(a)).cloned().collect();
        let gone = |a: &&&Arc<Alert>| !wanted.iter().any(|w| w.meta.uid == a.meta.uid);
        let gone: Vec<Uid> = old.iter().filter(gone).map(|a| a.meta.uid).collect();
        gone.into_iter().for_each(|uid| self.remove(Kind::Alert, uid, now, touched));
        wanted.into_iter().for_each(|a| self.upsert(Kind::Alert, Object::Alert(a), now, touched));
    }

    /// Rows prove that who tells of them lives.
    fn heard(&mut self, kind: Kind, now: i64) {
        match kind.service() {
            Some(service) => self.services[service as usize].alive = now,
            None if kind.watched() => self.alive = now,
            None => {}
        }
    }

    fn set_service(&mut self, service: Service, state: ServiceState, via: Str, now: i64, touched: &mut Vec<Touched>) {
        let slot = &mut self.services[service as usize];
        if state == ServiceState::Live {
            slot.alive = now;
        }
        if slot.state == state && slot.via == via {
            return;
        }
        if slot.state.word() != state.word() {
            slot.since = now;
        }
        for kind in service.kinds() {
            self.kinds[kind as usize].state = state.of_kinds();
        }
        (slot.state, slot.via) = (state, via);
        touched.push(Touched::Cluster(self.id));
    }

    /// Notes what a member of etcd is like now.
    fn trend(&mut self, object: &Object, now: i64) {
        let Object::EtcdMember(m) = object else { return };
        let trends = self.etcd.entry(m.meta.uid).or_default();
        let small = |n: i64| u32::try_from(n.max(0)).unwrap_or(u32::MAX);
        if let Some(status) = m.status.as_ref().filter(|_| m.down.is_none()) {
            trends.size.record(now, small(status.db_size >> 10));
        }
        let metrics = m.metrics.as_ref();
        for (series, told) in
            [(&mut trends.fsync, metrics.and_then(|x| x.fsync_p99_us)), (&mut trends.commit, metrics.and_then(|x| x.commit_p99_us))]
        {
            told.iter().for_each(|us| series.record(now, small(*us)));
        }
    }

    fn record(&mut self, now: i64) {
        self.pending.record(now, self.counts.pods_pending);
        self.restarts.record(now, self.counts.restarts);
    }

    fn upsert(&mut self, kind: Kind, object: Object, now: i64, touched: &mut Vec<Touched>) {
        let cluster = self.id;
        let table = &mut self.kinds[kind as usize].table;
        let (slot, before) = match table.upsert(object) {
            Upsert::Same => return,
            Upsert::Added(slot) => (slot, None),
            Upsert::Changed(slot, before) => (slot, Some(before)),
        };
        if let Some(before) = &before {
            count(&mut self.counts, &mut self.findings_of, before, -1);
        }
        let after = table.get(slot).cloned();
        if let Some(after) = &after {
            count(&mut self.counts, &mut self.findings_of, after, 1);
            self.history.note(before.as_ref(), Some(after), now);
        }
        match kind {
            Kind::EndpointSlice => self.slice(before.as_ref(), after.as_ref(), touched),
            Kind::Service => self.count_dead(before.as_ref(), after.as_ref()),
            _ => {}
        }
        touched.push(Touched::Row { id: RowId { cluster, kind, slot }, before });
    }

    fn count_dead(&mut self, before: Option<&Object>, after: Option<&Object>) {
        let by = i32::from(self.dead(after)) - i32::from(self.dead(before));
        self.counts.services_dead = self.counts.services_dead.wrapping_add_signed(by);
    }

    fn remove(&mut self, kind: Kind, uid: Uid, now: i64, touched: &mut Vec<Touched>) {
        let cluster = self.id;
        self.etcd.remove(&uid);
        if let Some((slot, before)) = self.kinds[kind as usize].table.remove(uid) {
            count(&mut self.counts, &mut self.findings_of, &before, -1);
            match kind {
                Kind::EndpointSlice => self.slice(Some(&before), None, touched),
                Kind::Service => self.count_dead(Some(&before), None),
                _ => {}
            }
            self.history.note(Some(&before), None, now);
            if let Object::Pod(pod) = &before
                && let Some(workload) = self.owners(&before).last()
            {
                self.stops.note(workload, pod, now);
            }
            touched.push(Touched::Gone { id: RowId { cluster, kind, slot }, before });
        }
    }
}

/// Adds a row to what is counted of the cluster's rows (`sign` 1), or takes it away (-1).
fn count(counts: &mut Counts, findings: &mut FindingsOf, object: &Object, sign: i32) {
    counts.count(object, sign);
    if let Object::Finding(f) = object {
        findings.count(f, sign);
    }
}

/// How findings stand that are read from reports. Old ones are findings all the same.
fn unreported(heard: &Heard, now: i64) -> KindState {
    match heard.amiss(now) {
        Some((_, why)) if heard.reports.is_none() => KindState::Failing { reason: why.into() },
        _ => KindState::Live,
    }
}

/// Velero as a service: how its objects are watched.
fn velero(kind: &KindState) -> ServiceState {
    match kind {
        KindState::Waiting | KindState::Listing => ServiceState::Waiting,
        KindState::Live => ServiceState::Live,
        KindState::Forbidden { missing } => ServiceState::Forbidden { missing: missing.clone() },
        KindState::Missing => ServiceState::absent(Service::Velero),
        KindState::Failing { reason } => ServiceState::Failing { reason: reason.clone() },
    }
}
