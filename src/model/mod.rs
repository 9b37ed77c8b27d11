//! What a cluster is made of: one file a kind, each a slim projection and how it is read from the wire.
//!
//! Owns ids, kinds, rows, deltas and the protobuf framing; and as data what may be done to it: verbs, plans, jobs, audit records. Leaves fetching to `source`, folding to `store`,
//! and words for people to `table`.

pub mod access;
pub mod act;
pub mod alert;
pub mod alertmanager;
pub mod audit;
pub mod backup;
pub mod claim;
pub mod cron;
pub mod delta;
pub mod duration;
pub mod etcd;
pub mod etcd_act;
pub mod etcd_rpc;
pub mod event;
pub mod frame;
pub mod hpa;
pub mod intern;
pub mod job;
pub mod kind;
pub mod location;
pub mod meta;
pub mod namespace;
pub mod node;
pub mod object;
pub mod pdb;
pub mod placing;
pub mod plan;
pub mod pod;
pub mod prometheus;
pub mod quantity;
pub mod query;
pub mod schedule;
pub mod selector;
pub mod service;
pub mod signal;
pub mod silence;
pub mod silencing;
pub mod time;
pub mod until;
pub mod usage;
pub mod velero;
pub mod verb;
pub mod wire;
pub mod workload;

pub use act::{Act, Sweep, Wait};
pub use alert::{Alert, AlertState, OWNER_LABELS};
pub use audit::{Actor, AuditEvent, AuditRecord};
pub use backup::{Backup, Restore, Run, RunState, Selection};
pub use claim::Claim;
pub use cron::Cron;
pub use delta::{Batch, Change, ClusterId, ConnectionState, Delta, Generation, KindState};
pub use etcd::{EtcdMember, EtcdMetrics, EtcdStatus, Quorum, SecondHand};
pub use etcd_act::{EtcdBlast, EtcdCall, EtcdId, EtcdPast, HandTo, SnapshotTo};
pub use event::Event;
pub use hpa::{Hpa, HpaMetric};
pub use intern::Interner;
pub use job::{Control, Job, JobId, JobState, JobStep, Outcome, Progress, StepState};
pub use kind::{Feed, Kind};
pub use location::StorageLocation;
pub use meta::{Condition, Labels, Meta, Owner, Tri, Uid};
pub use namespace::Namespace;
pub use node::{Node, Taint};
pub use object::{Object, ObjectRef, decode_json, decode_proto};
pub use pdb::{Amount, Pdb};
pub use placing::Placing;
pub use plan::{BlastRadius, FieldChange, Inverse, Level, Method, Permission, Plan, PlanCluster, Resource, Step, Target, Verdict, Write};
pub use pod::{ContainerSpec, ContainerState, ContainerStatus, Phase, Pod, PodShape, Qos, Terminated};
pub use query::{Gives, Measure, Query};
pub use schedule::Schedule;
pub use selector::Selector;
pub use service::{Service, ServiceState};
pub use signal::{Signal, SignalState};
pub use silence::{Matcher, Sieve, Silence, SilenceState};
pub use silencing::{SilenceBody, SilenceWrite};
pub use time::Time;
pub use until::Until;
pub use usage::{Usage, UsageList, UsageRow};
pub use verb::{Args, Replicas, UndoKind, VERBS, VerbId, VerbInfo};
pub use workload::{Workload, WorkloadDetail};

/// A shared string. Strings that repeat (namespaces, nodes, images, reasons) come from an [`Interner`].
pub type Str = std::sync::Arc<str>;
