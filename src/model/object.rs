//! Any projected object, and reading one from either encoding.

use super::{
    Alert, Backup, Claim, ClusterId, EndpointSlice, EtcdMember, Event, FindingRow, Hpa, Ingress, Interner, Kind, Meta, Namespace, Node,
    Pdb, Pod, Restore, Schedule, Signal, Silence, StorageLocation, Str, Svc, Uid, Workload, velero, wire,
};
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
    Claim(Arc<Claim>),
    Svc(Arc<Svc>),
    EndpointSlice(Arc<EndpointSlice>),
    Ingress(Arc<Ingress>),
    Backup(Arc<Backup>),
    Restore(Arc<Restore>),
    Schedule(Arc<Schedule>),
    StorageLocation(Arc<StorageLocation>),
    EtcdMember(Arc<EtcdMember>),
    Alert(Arc<Alert>),
    Silence(Arc<Silence>),
    Signal(Arc<Signal>),
    Finding(Arc<FindingRow>),
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
            Self::Claim(_) => Kind::Claim,
            Self::Svc(_) => Kind::Service,
            Self::EndpointSlice(_) => Kind::EndpointSlice,
            Self::Ingress(_) => Kind::Ingress,
            Self::Backup(_) => Kind::Backup,
            Self::Restore(_) => Kind::Restore,
            Self::Schedule(_) => Kind::Schedule,
            Self::StorageLocation(_) => Kind::StorageLocation,
            Self::EtcdMember(_) => Kind::EtcdMember,
            Self::Alert(_) => Kind::Alert,
            Self::Silence(_) => Kind::Silence,
            Self::Signal(_) => Kind::Signal,
            Self::Finding(_) => Kind::Finding,
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
            Self::Claim(o) => &o.meta,
            Self::Svc(o) => &o.meta,
            Self::EndpointSlice(o) => &o.meta,
            Self::Ingress(o) => &o.meta,
            Self::Backup(o) => &o.meta,
            Self::Restore(o) => &o.meta,
            Self::Schedule(o) => &o.meta,
            Self::StorageLocation(o) => &o.meta,
            Self::EtcdMember(o) => &o.meta,
            Self::Alert(o) => &o.meta,
            Self::Silence(o) => &o.meta,
            Self::Signal(o) => &o.meta,
            Self::Finding(o) => &o.meta,
        }
    }
    pub fn reference(&self, cluster: ClusterId) -> ObjectRef {
        let m = self.meta();
        ObjectRef { cluster, kind: self.kind(), namespace: m.namespace.clone(), name: m.name.clone(), uid: m.uid }
    }
}

/// Both encodings of every kind, in one place: those that come as protobuf, and those that come as JSON only.
macro_rules! decoders {
    (proto { $($kind:ident => $wire:ident, $variant:ident, $project:expr;)* } json { $($jkind:ident => $jproject:expr;)* }) => {
        /// Reads one object of `kind` from protobuf (the bytes inside `Unknown`, or a list's item).
        ///
        /// # Errors
        /// When the bytes are no such message, or the kind has no protobuf.
        pub fn decode_proto(kind: Kind, bytes: &[u8], i: &mut Interner) -> Result<Object, DecodeError> {
            Ok(match kind {
                $(Kind::$kind => Object::$variant(Arc::new($project(&wire::$wire::decode(bytes)?, i))),)*
                _ => return Err(DecodeError::Encoding(kind.name())),
            })
        }
        /// Reads one object of `kind` from JSON.
        ///
        /// # Errors
        /// When the text is no such object, or the kind is no API server's.
        pub fn decode_json(kind: Kind, bytes: &[u8], i: &mut Interner) -> Result<Object, DecodeError> {
            Ok(match kind {
                $(Kind::$kind => Object::$variant(Arc::new($project(&serde_json::from_slice::<wire::$wire>(bytes)?, i))),)*
                $(Kind::$jkind => Object::$jkind(Arc::new($jproject(&serde_json::from_slice::<velero::$jkind>(bytes)?, i))),)*
                _ => return Err(DecodeError::Encoding(kind.name())),
            })
        }
        /// The protobuf encoding of what we project of a JSON object; for servers that speak to us (the simulation) and tests.
        ///
        /// # Errors
        /// When the value is no such object, or the kind has no protobuf.
        pub fn json_to_proto(kind: Kind, value: &serde_json::Value) -> Result<Vec<u8>, DecodeError> {
            use serde::Deserialize as _;
            Ok(match kind {
                $(Kind::$kind => wire::$wire::deserialize(value)?.encode_to_vec(),)*
                _ => return Err(DecodeError::Encoding(kind.name())),
            })
        }
    };
}

/// Why an object could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error(transparent)]
    Proto(#[from] prost::DecodeError),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("{0} does not come in this encoding")]
    Encoding(&'static str),
}

decoders! {
    proto {
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
        Claim => PersistentVolumeClaim, Claim, Claim::of;
        Service => Service, Svc, Svc::of;
        EndpointSlice => EndpointSlice, EndpointSlice, EndpointSlice::of;
        Ingress => Ingress, Ingress, Ingress::of;
    }
    json {
        Backup => Backup::of;
        Restore => Restore::of;
        Schedule => Schedule::of;
        StorageLocation => StorageLocation::of;
    }
}
