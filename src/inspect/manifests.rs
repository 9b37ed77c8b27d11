//! Objects that are judged without a cluster: manifests from files, and the cases of rules.

use super::{Engine, Need, Policy, RuleInfo, Thresholds};
use crate::model::object::{DecodeError, decode_json};
use crate::model::{
    Batch, Change, ClusterId, ConnectionState, Delta, Generation, Interner, Kind, KindState, Object, Service, ServiceState, Uid,
};
use crate::store::{ClusterInfo, RowId, Store, Touched};
use serde_json::{Value, json};

/// The kinds that people write and rules judge. Pods that nobody owns come with the rules over templates.
const WRITTEN: &[Kind] = &[
    Kind::Deployment,
    Kind::StatefulSet,
    Kind::DaemonSet,
    Kind::ReplicaSet,
    Kind::Job,
    Kind::CronJob,
    Kind::Service,
    Kind::Ingress,
    Kind::Hpa,
    Kind::Pdb,
    Kind::Namespace,
];

/// Whether a rule can judge manifests: all that it reads is written. One of the user's own can where it judges objects.
pub fn judges_manifests(rule: &RuleInfo, own: bool) -> bool {
    if own {
        return !rule.kinds.contains(&Kind::Signal);
    }
    let written = |kind: &Kind| WRITTEN.contains(kind);
    let templated = |kind: &Kind| written(kind) || *kind == Kind::Pod;
    let there = |need: &Need| match need {
        Need::Kind(kind) => written(kind),
        Need::Made(_) => true,
        Need::Running | Need::Service(_) | Need::Query(_) | Need::Asked(_) | Need::EtcdWatched | Need::EtcdSnapshots => false,
    };
    // What a rule over templates reads of measurements and nodes besides, it does without.
    let besides = |kind: &Kind| rule.kinds.contains(&Kind::Pod) && matches!(kind, Kind::Signal | Kind::Node);
    rule.kinds.iter().all(|k| templated(k) || besides(k)) && rule.kinds.iter().any(written) && rule.needs.iter().all(there)
}

/// A store of one cluster that is none, and what its rules find.
pub struct Manifests {
    pub store: Store,
    pub engine: Engine,
    interner: Interner,
    now: i64,
}

const CLUSTER: ClusterId = ClusterId(0);

impl Manifests {
    /// An empty one. `now` in unix seconds.
    pub fn new(name: &str, thresholds: Thresholds, policy: Policy, now: i64) -> Self {
        let info = ClusterInfo { name: name.into(), ..Default::default() };
        let engine = Engine::new(thresholds).with(policy);
        let mut all = Self { store: Store::new(vec![info], now), engine, interner: Interner::default(), now };
        all.delta(Delta::State(ConnectionState::Live));
        for kind in Kind::WATCHED {
            all.delta(Delta::KindState(kind, KindState::Live));
        }
        all
    }

    fn delta(&mut self, delta: Delta) {
        let mut touched: Vec<Touched> = Vec::new();
        self.store.apply(Batch { cluster: CLUSTER, generation: Generation(1), delta }, self.now, &mut touched);
        self.engine.touched(&self.store, &touched, self.now);
    }

    /// Judges an object; as a whole, or only what is kept of it. A name that it lacks is given.
    ///
    /// # Errors
    /// When it is no such object.
    pub fn put(&mut self, kind: Kind, mut object: Value, whole: bool) -> Result<Uid, DecodeError> {
        let meta = &mut object["metadata"];
        if meta["name"].is_null() {
            meta["name"] = meta["generateName"].as_str().map_or_else(|| json!("case"), |g| json!(format!("{g}0")));
        }
        if kind.info().namespaced && meta["namespace"].is_null() {
            meta["namespace"] = json!("default");
        }
        if meta["uid"].is_null() {
            let part = |name: &str| meta[name].as_str().unwrap_or_default().to_owned();
            meta["uid"] = json!(format!("{}/{}/{}", kind.plural(), part("namespace"), part("name")));
        }
        let row = decode_json(kind, object.to_string().as_bytes(), &mut self.interner)?;
        let uid = row.meta().uid;
        if whole {
            self.engine.whole(CLUSTER, uid, object);
        }
        self.delta(Delta::Rows { kind, changes: vec![Change::Upsert(row)] });
        Ok(uid)
    }

    /// Judges all of it again: what one speaks of may have come after it.
    pub fn again(&mut self) {
        let mut rows = Vec::new();
        for cluster in self.store.clusters() {
            for kind in Kind::WATCHED {
                let row = |(slot, object): (u32, &Object)| Touched::Row {
                    id: RowId { cluster: CLUSTER, kind, slot },
                    before: Some(object.clone()),
                };
                rows.extend(cluster.table(kind).iter().map(row));
            }
        }
        self.engine.touched(&self.store, &rows, self.now);
    }

    /// What a service tells.
    pub(super) fn told(&mut self, row: Object) {
        let kind = row.kind();
        self.delta(Delta::Service { service: Service::Prometheus, state: ServiceState::Live, via: "".into() });
        self.delta(Delta::Rows { kind, changes: vec![Change::Upsert(row)] });
    }

    /// Lets time go by (seconds).
    pub(super) fn wait(&mut self, secs: i64) {
        self.now += secs;
        self.engine.tick(&self.store, self.now);
    }
}
