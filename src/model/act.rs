//! What a step of a plan does: a request, an eviction, a call to etcd, a wait.

use super::etcd_act::EtcdCall;
use super::plan::{Target, Write};
use super::silencing::SilenceWrite;
use serde::{Deserialize, Serialize};

/// What is waited for. Reads only.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "kebab-case")]
pub enum Wait {
    /// The object of that uid is gone.
    Gone,
    /// The controller has seen the change, and all replicas are new and available.
    RolledOut,
    /// The same with this many replicas; somebody who sets another number has overridden it.
    Scaled { replicas: i64 },
    /// A node is Ready, a pod is Ready, a Job complete.
    Ready,
    /// A condition of the object has that status.
    Condition { condition: String, status: String },
    /// A pod's container has these requests and limits in effect, by their pointers below `resources`.
    Resized { container: String, resources: Vec<(String, String)> },
    /// No pod of the cluster is pending for want of room.
    NoPending,
    /// No alert of that name fires in the cluster; needs an Alertmanager.
    AlertGone { alert: String },
    /// A backup or a restore of Velero has come to its good end.
    Completed,
    /// A request to Velero has been carried out: it is gone, or processed without an error.
    Processed,
    /// A storage location can be read and written.
    Available,
    /// A pause of that many seconds.
    Seconds { seconds: u64 },
    /// Looks once: it is so, or the step fails.
    Check { what: Box<Wait> },
}

/// What a step does.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub enum Act {
    Write(Write),
    /// Asks for an eviction until the budgets allow it, then waits until the pod is gone.
    Evict {
        /// Seconds; none: the pod's own.
        grace: Option<i64>,
        /// Do not wait for it to be gone.
        #[serde(default)]
        no_wait: bool,
        /// Ask only while no more pods wait for room than did when the job began, one pod at a time.
        #[serde(default)]
        keep_capacity: bool,
        /// Delete in place of evicting: budgets do not count.
        #[serde(default)]
        delete: bool,
    },
    Wait(Wait),
    Etcd(EtcdCall),
    /// A change at the cluster's Alertmanager.
    Silence(SilenceWrite),
    /// Fetches what the target, a DownloadRequest of Velero, comes to give the address of, and keeps it as a private file.
    Fetch {
        /// The file's name in the state directory.
        file: String,
    },
}

impl Act {
    /// A plain eviction; `grace` in seconds, none: the pod's own.
    pub fn evict(grace: Option<i64>) -> Self {
        Self::Evict { grace, no_wait: false, keep_capacity: false, delete: false }
    }

    /// The request to the API server, where it is one.
    pub fn request(&self) -> Option<&Write> {
        if let Self::Write(write) = self { Some(write) } else { None }
    }

    pub(super) fn request_mut(&mut self) -> Option<&mut Write> {
        if let Self::Write(write) = self { Some(write) } else { None }
    }
}

/// What goes on while a lane empties a node: pods that were bound to it between the plan and the cordon are evicted too.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sweep {
    pub lane: u16,
    pub node: Target,
    /// An eviction, as those of the lane.
    pub act: Act,
    /// Also pods with emptyDir volumes.
    pub emptydir: bool,
    /// Also pods that no controller brings back.
    pub force: bool,
    /// Only pods with these labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The step of the runbook that it belongs to; empty: of none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub part: String,
}
