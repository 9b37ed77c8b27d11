//! Any projected object, and reading one from either encoding.

use super::{ClusterId, Event, Hpa, Interner, Kind, Meta, Namespace, Node, Pdb, Pod, Str, Uid, Workload, wire};
use prost::Message as _;
use std::sync::Arc;

/// A row of the store, cheap to clone.
#[derive(Clone, PartialEq, Debug)]
pub enum Object {
    Node(Arc<Node>),
    Pod(Arc<Pod>),
    Workload(Arc<Workload>),
    Hpa(Arc<Hpa>),
    Pdb(Arc<Pdb>),
    Event(Arc<Event>),
    Namespace(Arc<Namespace>),
}

/// Which object: enough to find, show and fetch it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ObjectRef {
    pub cluster: ClusterId,
    pub kind: Kind,
    /// Empty for cluster-wide kinds.
    pub namespace: Str,
    pub name: Str,
    pub uid: Uid,
}

impl ObjectRef {
    /// The object's own path in the API.
    pub fn path(&self) -> String {
        format!("{}/{}", self.kind.path((!self.namespace.is_empty()).then_some(&self.namespace)), self.name)
    }
}

impl Object {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Node(_) => Kind::Node,
            Self::Pod(_) => Kind::Pod,
            Self::Workload(w) => w.kind,
            Self::Hpa(_) => Kind::Hpa,
            Self::Pdb(_) => Kind::Pdb,
            Self::Event(_) => Kind::Event,
            Self::Namespace(_) => Kind::Namespace,
        }
    }
    pub fn meta(&self) -> &Meta {
        match self {
            Self::Node(o) => &o.meta,
            Self::Pod(o) => &o.meta,
            Self::Workload(o) => &o.meta,
            Self::Hpa(o) => &o.meta,
            Self::Pdb(o) => &o.meta,
            Self::Event(o) => &o.meta,
            Self::Namespace(o) => &o.meta,
        }
    }
    pub fn reference(&self, cluster: ClusterId) -> ObjectRef {
        let m = self.meta();
        ObjectRef { cluster, kind: self.kind(), namespace: m.namespace.clone(), name: m.name.clone(), uid: m.uid }
    }
}

/// Both encodings of every kind, in one place.
macro_rules! decoders {
    ($($kind:ident => $wire:ident, $variant:ident, $project:expr;)*) => {
        /// Reads one object of `kind` from protobuf (the bytes inside `Unknown`, or a list's item).
        ///
        /// # Errors
        /// When the bytes are no such message.
        pub fn decode_proto(kind: Kind, bytes: &[u8], i: &mut Interner) -> Result<Object, prost::DecodeError> {
            Ok(match kind { $(Kind::$kind => Object::$variant(Arc::new($project(&wire::$wire::decode(bytes)?, i))),)* })
        }
        /// Reads one object of `kind` from JSON.
        ///
        /// # Errors
        /// When the text is no such object.
        pub fn decode_json(kind: Kind, bytes: &[u8], i: &mut Interner) -> Result<Object, serde_json::Error> {
            Ok(match kind { $(Kind::$kind => Object::$variant(Arc::new($project(&serde_json::from_slice::<wire::$wire>(bytes)?, i))),)* })
        }
        /// The protobuf encoding of what we project of a JSON object; for servers that speak to us (the simulation) and tests.
        ///
        /// # Errors
        /// When the value is no such object.
        pub fn json_to_proto(kind: Kind, value: &serde_json::Value) -> Result<Vec<u8>, serde_json::Error> {
            use serde::Deserialize as _;
            Ok(match kind { $(Kind::$kind => wire::$wire::deserialize(value)?.encode_to_vec(),)* })
        }
    };
}

decoders! {
    Node => Node, Node, Node::of;
    Pod => Pod, Pod, Pod::of;
    Deployment => Deployment, Workload, Workload::of_deployment;
    StatefulSet => StatefulSet, Workload, Workload::of_statefulset;
    DaemonSet => DaemonSet, Workload, Workload::of_daemonset;
    ReplicaSet => ReplicaSet, Workload, Workload::of_replicaset;
    Job => Job, Workload, Workload::of_job;
    CronJob => CronJob, Workload, Workload::of_cronjob;
    Hpa => HorizontalPodAutoscaler, Hpa, Hpa::of;
    Pdb => PodDisruptionBudget, Pdb, Pdb::of;
    Event => Event, Event, Event::of;
    Namespace => Namespace, Namespace, Namespace::of;
}
