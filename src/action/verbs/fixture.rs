//! A cluster for the verbs' tests: whole objects as JSON, projected into a store and given as facts.

use super::super::{Facts, Need, Request, Snapshot, Stop, snapshot::NoFact};
use crate::model::{
    AlertState, Args, Batch, Change, ClusterId, ConnectionState, Delta, EtcdMember, Generation, Interner, Kind, KindState, Object, Plan,
    Service, ServiceState, SilenceState, Target, VerbId, object,
};
use crate::store::{ClusterInfo, Store};
use serde_json::{Value, json};
use std::sync::Arc;

pub const NOW: i64 = 1_772_333_250;

pub struct Fixture {
    pub store: Store,
    pub facts: Facts,
    objects: Vec<(Kind, Value)>,
    uids: u32,
}

impl Fixture {
    pub fn new() -> Self {
        Self::of(None)
    }

    /// A cluster of that tier.
    pub fn of(tier: Option<&str>) -> Self {
        let (name, server, tier) = ("lab".into(), "https://lab".into(), tier.map(Into::into));
        let info = ClusterInfo { name, contexts: vec!["lab".into()], server, tier, alertmanager: true, ..ClusterInfo::default() };
        let mut f = Self { store: Store::new(vec![info], NOW), facts: Facts::default(), objects: Vec::new(), uids: 0 };
        f.delta(Delta::State(ConnectionState::Live));
        for kind in Kind::WATCHED {
            f.delta(Delta::KindState(kind, KindState::Live));
        }
        f
    }

    fn delta(&mut self, delta: Delta) {
        self.store.apply(Batch { cluster: ClusterId(0), generation: Generation(1), delta }, NOW, &mut Vec::new());
    }

    /// The members of its etcd.
    pub fn etcd(&mut self, members: Vec<EtcdMember>) {
        let (kind, namespace) = (Kind::EtcdMember, None);
        self.delta(Delta::ListBegin { kind, namespace: namespace.clone() });
        let rows = members.into_iter().map(|m| Change::Upsert(Object::EtcdMember(Arc::new(m)))).collect();
        self.delta(Delta::Rows { kind, changes: rows });
        self.delta(Delta::ListEnd { kind, namespace });
    }

    /// Its Alertmanager is read.
    pub fn alerts(&mut self) {
        self.delta(Delta::Service { service: Service::Alertmanager, state: ServiceState::Live, via: "http://am".into() });
    }

    /// Its API server does not answer.
    pub fn unreachable(&mut self) {
        self.delta(Delta::State(ConnectionState::Unreachable { last: None, reason: "dial timeout".into() }));
    }

    /// It has no Alertmanager.
    pub fn unserved(&mut self) {
        self.delta(Delta::Service { service: Service::Alertmanager, state: ServiceState::absent(Service::Alertmanager), via: "".into() });
    }

    /// Its Alertmanager tells clusters apart by that label.
    pub fn shares_alerts(&mut self, label: &str) {
        self.store.share_alerts(ClusterId(0), label);
    }

    /// An alert that fires.
    pub fn alert(&mut self, labels: &[(&str, &str)]) {
        let alert = crate::model::alert::tests::alert(labels, AlertState::Firing);
        let (namespace, name, uid) = (alert.meta.namespace.to_string(), alert.meta.name.to_string(), alert.meta.uid.to_string());
        self.objects.push((Kind::Alert, json!({"metadata": {"name": name, "namespace": namespace, "uid": uid}})));
        self.delta(Delta::Rows { kind: Kind::Alert, changes: vec![Change::Upsert(Object::Alert(alert.into()))] });
    }

    /// A silence of `alertname="X"`; its end in unix seconds.
    pub fn silence(&mut self, id: &str, state: SilenceState, ends: i64) {
        let silence = crate::model::silence::tests::silence(id, state, ends);
        self.objects.push((Kind::Silence, json!({"metadata": {"name": id, "uid": silence.meta.uid.to_string()}})));
        self.delta(Delta::Rows { kind: Kind::Silence, changes: vec![Change::Upsert(Object::Silence(silence.into()))] });
    }

    /// As if that kind might not be read.
    pub fn unseen(&mut self, kind: Kind) {
        self.delta(Delta::KindState(kind, KindState::Forbidden { missing: format!("list {}", kind.plural()).as_str().into() }));
    }

    /// Adds an object; its uid is made where it has none.
    pub fn add(&mut self, kind: Kind, mut value: Value) -> Target {
        self.uids += 1;
        value["kind"] = kind.name().into();
        value["apiVersion"] = kind.api_version().into();
        if value["metadata"]["uid"].is_null() {
            value["metadata"]["uid"] = format!("00000000-0000-4000-8000-{:012x}", self.uids).into();
        }
        value["metadata"]["resourceVersion"] = self.uids.to_string().into();
        let row = object::decode_json(kind, value.to_string().as_bytes(), &mut Interner::default()).unwrap();
        self.delta(Delta::Rows { kind, changes: vec![Change::Upsert(row)] });
        let target = target_of(kind, &value);
        self.facts.set(Need { cluster: ClusterId(0), path: target.path() }, Ok(value.clone()));
        self.objects.push((kind, value));
        target
    }

    /// A node of 8 CPUs, 32 Gi and 110 pods, ready.
    pub fn node(&mut self, name: &str, more: impl FnOnce(&mut Value)) -> Target {
        let mut node = json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}, "spec": {},
            "status": {"allocatable": {"cpu": "8", "memory": "32Gi", "pods": "110"}, "conditions": [{"type": "Ready", "status": "True"}]}});
        more(&mut node);
        self.add(Kind::Node, node)
    }

    /// A Deployment in the namespace `pay` of one container `app`.
    pub fn deployment(&mut self, name: &str, replicas: i64, more: impl FnOnce(&mut Value)) -> Target {
        let mut d = json!({"metadata": {"name": name, "namespace": "pay", "generation": 1},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "strategy": {"type": "RollingUpdate"},
                "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "app", "image": "registry.internal/app:1"}]}}},
            "status": {"observedGeneration": 1, "replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas, "updatedReplicas": replicas}});
        more(&mut d);
        let scale = json!({"kind": "Scale", "metadata": {"resourceVersion": "1"}, "spec": {"replicas": d["spec"]["replicas"]}});
        let target = self.add(Kind::Deployment, d);
        self.fact(&format!("{}/scale", target.path()), scale);
        target
    }

    /// A running pod in `pay`, of an application, on a node.
    pub fn pod(&mut self, name: &str, app: &str, node: &str, more: impl FnOnce(&mut Value)) -> Target {
        let mut pod = json!({"metadata": {"name": name, "namespace": "pay", "labels": {"app": app},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{app}-1"), "uid": format!("rs-{app}"), "controller": true}]},
            "spec": {"nodeName": node, "containers": [{"name": "app", "image": "registry.internal/app:1", "resources": {"requests": {"cpu": "500m", "memory": "512Mi"}}}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        more(&mut pod);
        self.add(Kind::Pod, pod)
    }

    /// Velero at work: its default location, looked at half a minute ago, and the namespaces `pay` and `shop`.
    pub fn velero(&mut self) {
        self.location(|_| {});
        for name in ["pay", "shop"] {
            self.add(Kind::Namespace, json!({"metadata": {"name": name}, "status": {"phase": "Active"}}));
        }
    }

    /// The location `default`.
    pub fn location(&mut self, more: impl FnOnce(&mut Value)) -> Target {
        let mut location = json!({"metadata": {"name": "default", "namespace": "velero", "uid": "00000000-0000-4000-8000-0000000000b5"},
            "spec": {"provider": "aws", "default": true, "objectStorage": {"bucket": "backups"}},
            "status": {"phase": "Available", "lastValidationTime": at(NOW - 30)}});
        more(&mut location);
        self.add(Kind::StorageLocation, location)
    }

    /// A backup of the namespace `pay` that began `ago` seconds before now.
    pub fn backup(&mut self, name: &str, phase: &str, ago: i64, more: impl FnOnce(&mut Value)) -> Target {
        let mut backup = json!({"metadata": {"name": name, "namespace": "velero"}, "spec": {"includedNamespaces": ["pay"], "storageLocation": "default"},
            "status": {"phase": phase, "startTimestamp": at(NOW - ago), "expiration": at(NOW - ago + 30 * 86_400)}});
        more(&mut backup);
        self.add(Kind::Backup, backup)
    }

    /// The whole object, as it was added last.
    pub fn object(&self, target: &Target) -> Value {
        self.objects.iter().rfind(|(_, o)| target_of(target.resource.known().unwrap(), o) == *target).unwrap().1.clone()
    }

    /// An answer to a GET; null: not found.
    pub fn fact(&mut self, path: &str, answer: Value) {
        let answer = if answer.is_null() { Err(NoFact::NotFound) } else { Ok(answer) };
        self.facts.set(Need { cluster: ClusterId(0), path: path.into() }, answer);
    }

    /// Plans; what is asked for and not there is not found. The refusal in words.
    pub fn plan(&mut self, verb: VerbId, kind: Kind, names: &[&str], args: &str) -> Result<Plan, String> {
        let named = |name: &&str| {
            let found = self.objects.iter().rfind(|(k, o)| *k == kind && o["metadata"]["name"] == **name).map(|(_, o)| target_of(kind, o));
            let namespace = if kind.info().namespaced { "pay" } else { "" };
            found.unwrap_or_else(|| target_of(kind, &json!({"metadata": {"name": name, "namespace": namespace}})))
        };
        let targets = names.iter().map(named).collect();
        let args = Args::parse(verb.info(), args).map_err(|e| e.to_string())?;
        self.request(&Request { verb, targets, args, documents: Vec::new() })
    }

    pub fn request(&mut self, request: &Request) -> Result<Plan, String> {
        loop {
            let snapshot = Snapshot { store: &self.store, facts: &self.facts, now: NOW };
            match super::super::plan(&snapshot, request) {
                Ok(plan) => return Ok(plan),
                Err(Stop::Needs(needs)) => needs.into_iter().for_each(|n| self.facts.set(n, Err(NoFact::NotFound))),
                Err(Stop::Refuse { message, .. }) => return Err(message),
            }
        }
    }
}

/// A moment as the API writes it.
pub fn at(secs: i64) -> String {
    jiff::Timestamp::from_second(secs).unwrap().to_string()
}

fn target_of(kind: Kind, value: &Value) -> Target {
    let text = |key: &str| value["metadata"][key].as_str().map(str::to_owned);
    Target {
        cluster: ClusterId(0),
        resource: kind.into(),
        namespace: text("namespace").unwrap_or_default(),
        name: text("name").unwrap_or_default(),
        uid: text("uid"),
    }
}
