//! A store filled from JSON, and an engine over it, for the tests of rules.

use super::{Engine, Finding, Line, Policy, Severity, Thresholds};
use crate::config::Config;
use crate::model::{
    AlertState, Batch, Change, ClusterId, ConnectionState, Delta, EtcdMember, Generation, Interner, Kind, Object, Service, ServiceState,
    Time, Uid, object,
};
use crate::store::{ClusterInfo, Store, Touched};
use serde_json::{Value, json};

/// Now, in every fixture: 2026-01-05T12:00:00Z.
pub const NOW: i64 = 1_767_614_400;

/// The API's text for so many seconds before now.
pub fn ago(secs: i64) -> String {
    Time::from_secs(NOW - secs).unwrap().rfc3339()
}

pub struct Fleet {
    pub store: Store,
    pub engine: Engine,
    pub now: i64,
    /// Somebody presses keys all the time: of what is to be judged one thing is, until [`Fleet::catch_up`].
    pub hurried: bool,
}

impl Default for Fleet {
    fn default() -> Self {
        let info = |name: &str, tier: &str| ClusterInfo { name: name.into(), tier: Some(tier.into()), ..Default::default() };
        let mut fleet = Self {
            store: Store::new(
                vec![info("prod", "production"), info("dev", "development"), ClusterInfo { name: "plain".into(), ..Default::default() }],
                NOW,
            ),
            engine: Engine::new(Thresholds::default()),
            now: NOW,
            hurried: false,
        };
        for cluster in 0..3 {
            fleet.delta(cluster, Delta::State(ConnectionState::Live));
        }
        fleet
    }
}

impl Fleet {
    /// With what a configuration says of findings.
    pub fn configured(text: &str) -> Self {
        let loaded = Config::parse(text, std::path::Path::new("c.toml"));
        assert_eq!(loaded.diags, []);
        Self { engine: Engine::new(Thresholds::default()).with(Policy::of(&loaded.config)), ..Self::default() }
    }
    pub fn delta(&mut self, cluster: u16, delta: Delta) {
        let mut touched: Vec<Touched> = Vec::new();
        self.store.apply(Batch { cluster: ClusterId(cluster), generation: Generation(1), delta }, self.now, &mut touched);
        self.engine.touched_some(&self.store, &touched, self.now, || !self.hurried);
        if !self.hurried {
            self.check();
        }
    }
    /// Judges what was left to be judged, bit by bit.
    pub fn catch_up(&mut self) {
        while self.engine.next_due().is_some_and(|at| at <= 0) {
            self.engine.tick_some(&self.store, self.now, || false);
        }
        self.check();
    }
    /// What is kept of incidents is what would be told from nothing.
    fn check(&self) {
        for cluster in self.store.clusters() {
            if let Some(room) = self.engine.room(cluster.id) {
                room.settled.check(cluster, room, self.now);
            }
        }
    }
    /// Puts objects into cluster 0. `metadata.uid` is the kind and the name where none is given.
    pub fn put(&mut self, kind: Kind, objects: impl IntoIterator<Item = Value>) -> &mut Self {
        let mut interner = Interner::default();
        let read = |mut o: Value| {
            if o["metadata"]["uid"].is_null() {
                o["metadata"]["uid"] = json!(format!("{}/{}", kind.plural(), o["metadata"]["name"].as_str().unwrap()));
            }
            if o["metadata"]["namespace"].is_null() && kind.info().namespaced {
                o["metadata"]["namespace"] = json!("pay");
            }
            Change::Upsert(object::decode_json(kind, o.to_string().as_bytes(), &mut interner).unwrap())
        };
        let changes = objects.into_iter().map(read).collect();
        self.delta(0, Delta::Rows { kind, changes });
        self
    }
    pub fn delete(&mut self, kind: Kind, name: &str) {
        self.delta(0, Delta::Rows { kind, changes: vec![Change::Delete(uid(kind, name))] });
    }
    pub fn wait(&mut self, secs: i64) -> &mut Self {
        self.catch_up();
        self.now += secs;
        self.engine.tick(&self.store, self.now);
        self.check();
        self
    }
    pub fn finding(&self, kind: Kind, name: &str, rule: &str) -> Option<&Finding> {
        self.engine.for_object(ClusterId(0), uid(kind, name)).iter().find(|f| f.rule.id == rule)
    }
    pub fn severity(&self, kind: Kind, name: &str, rule: &str) -> Option<Severity> {
        self.finding(kind, name, rule).map(|f| f.severity)
    }
    pub fn lines(&self) -> Vec<Line> {
        self.engine.lines(&self.store, self.now)
    }
}

pub fn uid(kind: Kind, name: &str) -> Uid {
    Uid::parse(&format!("{}/{name}", kind.plural()))
}

/// One object in a fleet of its own: the severity that `rule` gives it.
pub fn judged(kind: Kind, object: Value, rule: &str) -> Option<Severity> {
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    Fleet::default().put(kind, [object]).severity(kind, &name, rule)
}

/// `metadata` of an object that is owned.
pub fn owned(name: &str, kind: Kind, owner: &str) -> Value {
    json!({"name": name, "creationTimestamp": ago(7200), "ownerReferences": [{"kind": kind.name(), "name": owner, "uid": format!("{}/{owner}", kind.plural()), "controller": true}]})
}

/// A pod on a node whose one container is so; ready since, or not ready since.
pub fn pod(metadata: Value, node: &str, ready: bool, since: i64, status: Value) -> Value {
    let mut status = status;
    status["name"] = json!("app");
    status["ready"] = json!(ready);
    json!({"metadata": metadata,
        "spec": {"nodeName": node, "containers": [{"name": "app", "image": "reg/app:1.9", "resources": {"limits": {"memory": "512Mi"}}}]},
        "status": {"phase": "Running", "startTime": ago(7200), "containerStatuses": [status],
            "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }, "lastTransitionTime": ago(since)}]}})
}

/// A container in back-off that ran for five seconds and ended so, `ended` seconds ago.
pub fn crashing(restarts: u32, exit: i32, reason: &str, ended: i64) -> Value {
    json!({"restartCount": restarts, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": exit, "reason": reason, "startedAt": ago(ended + 5), "finishedAt": ago(ended)}}})
}

/// A running container.
pub fn running() -> Value {
    json!({"restartCount": 0, "state": {"running": {"startedAt": ago(7000)}}})
}

/// A node whose Ready is so since then.
pub fn node(name: &str, ready: &str, since: i64) -> Value {
    json!({"metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": "a"}},
        "status": {"conditions": [{"type": "Ready", "status": ready, "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status.", "lastTransitionTime": ago(since)}]}})
}

/// A Deployment that wants so many pods and has so many available.
pub fn deployment(name: &str, desired: i32, available: i32) -> Value {
    json!({"metadata": {"name": name, "creationTimestamp": ago(90_000), "generation": 2, "annotations": {"deployment.kubernetes.io/revision": "2"}},
        "spec": {"replicas": desired, "selector": {"matchLabels": {"app": name}}, "template": {"spec": {"containers": [{"name": "app", "image": "reg/app:1.9"}]}}},
        "status": {"observedGeneration": 2, "replicas": desired, "updatedReplicas": desired, "readyReplicas": available, "availableReplicas": available, "conditions": []}})
}

/// A Deployment's ReplicaSet.
pub fn replicaset(name: &str, deployment: &str, revision: u32, image: &str, created: i64, desired: i32) -> Value {
    let mut metadata = owned(name, Kind::Deployment, deployment);
    metadata["annotations"] = json!({"deployment.kubernetes.io/revision": revision.to_string()});
    metadata["creationTimestamp"] = json!(ago(created));
    json!({"metadata": metadata, "spec": {"replicas": desired, "template": {"spec": {"containers": [{"name": "app", "image": image}]}}}, "status": {"replicas": desired}})
}

/// A Service with one port, 80, that selects `app: APP`; made long ago.
pub fn service(name: &str, app: &str) -> Value {
    json!({"metadata": {"name": name, "creationTimestamp": ago(900_000)},
        "spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1", "selector": {"app": app}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}})
}

/// The one EndpointSlice of a Service.
pub fn slice(service: &str, ready: usize, unready: usize) -> Value {
    let endpoint = |ready: bool| json!({"addresses": ["10.0.0.9"], "conditions": {"ready": ready}});
    let all: Vec<Value> = std::iter::repeat_n(endpoint(true), ready).chain(std::iter::repeat_n(endpoint(false), unready)).collect();
    json!({"metadata": {"name": format!("{service}-x"), "labels": {"kubernetes.io/service-name": service}}, "addressType": "IPv4", "endpoints": all})
}

/// An Ingress of ingress-nginx with one host; each path with the Service that it leads to, port 80.
pub fn ingress(name: &str, host: &str, paths: &[(&str, &str)]) -> Value {
    let path = |(path, to): &(&str, &str)| json!({"path": path, "pathType": "Prefix", "backend": {"service": {"name": to, "port": {"number": 80}}}});
    json!({"metadata": {"name": name, "creationTimestamp": ago(900_000)},
        "spec": {"ingressClassName": "nginx", "rules": [{"host": host, "http": {"paths": paths.iter().map(path).collect::<Vec<_>>()}}]}})
}

/// A backup in that phase, begun so many seconds ago; nothing is left out, and it is in the default location.
pub fn backup(name: &str, phase: &str, started: i64) -> Value {
    json!({"metadata": {"name": name}, "spec": {}, "status": {"phase": phase, "startTimestamp": ago(started)}})
}

/// Voters `etcd-1`, `etcd-2`...: `u` is well, `o` takes another member for the leader, `n` knows of none, `d` is down since so many seconds.
pub fn etcd_members(all: &[(char, i64)]) -> Vec<EtcdMember> {
    let make = |(n, (how, secs)): (usize, &(char, i64))| {
        let id = n as u64 + 1;
        let mut m = crate::model::etcd::tests::member(id, &format!("etcd-{id}"), (*how != 'd').then_some(if *how == 'o' { 9 } else { 1 }));
        if let Some(status) = m.status.as_mut().filter(|_| *how == 'n') {
            status.leader = None;
        }
        m.answered = Time::from_secs(NOW - secs);
        m
    };
    all.iter().enumerate().map(make).collect()
}

/// What etcd's members tell of themselves, directly.
pub fn put_members(fleet: &mut Fleet, members: Vec<EtcdMember>) {
    told(fleet, Service::Etcd, ServiceState::Live, members.into_iter().map(|m| Object::EtcdMember(m.into())).collect());
}

pub fn etcd(fleet: &mut Fleet, members: &[(char, i64)]) {
    put_members(fleet, etcd_members(members));
}

/// An alert that began ten minutes ago and says "it burns".
pub fn alert(labels: &[(&str, &str)], state: AlertState) -> Object {
    let mut alert = crate::model::alert::tests::alert(labels, state);
    alert.starts = Time::from_secs(NOW - 600);
    Object::Alert(alert.into())
}

/// What a service of cluster 0 tells in one poll: rows of one kind.
pub fn told(fleet: &mut Fleet, service: Service, state: ServiceState, rows: Vec<Object>) {
    fleet.delta(0, Delta::Service { service, state, via: "https://10.0.0.1".into() });
    let Some(kind) = rows.first().map(Object::kind) else { return };
    fleet.delta(0, Delta::ListBegin { kind, namespace: None });
    fleet.delta(0, Delta::Rows { kind, changes: rows.into_iter().map(Change::Upsert).collect() });
    fleet.delta(0, Delta::ListEnd { kind, namespace: None });
}
