//! Objects that are judged without a cluster: manifests from files, and the cases of rules.

use super::{Engine, Policy, RuleInfo, Thresholds};
use crate::model::object::{DecodeError, decode_json};
use crate::model::{
    Batch, Change, ClusterId, ConnectionState, Delta, Generation, Interner, Kind, KindState, Object, Service, ServiceState, Uid,
};
use crate::store::{ClusterInfo, Store, Touched};
use serde_json::{Value, json};

/// Rules of qd whose verdict rests on what objects are meant to be alone; others would guess at what no manifest says.
const WRITTEN: &[&str] = &[
    "hpa-min-equals-max",
    "hpa-no-requests",
    "image-not-pinned",
    "pdb-missing",
    "qos-core-not-guaranteed",
    "resources-missing",
    "single-replica-critical",
];

/// Whether a rule of qd can judge manifests. One of the user's own can where it judges objects.
pub fn judges_manifests(rule: &RuleInfo, own: bool) -> bool {
    if own { !rule.kinds.contains(&Kind::Signal) } else { WRITTEN.contains(&rule.id) }
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
