//! The lines of the audit log: who wanted what, with which confirmation, and what each step was answered.

use super::{JobId, Outcome, Plan, StepState};
use serde::{Deserialize, Serialize};

/// Who acts.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Actor {
    /// The user of this machine.
    pub user: String,
    /// The machine.
    pub host: String,
    /// Where the SSH connection comes from; none: a local terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_from: Option<String>,
    /// The front end: `cockpit`, `cli`.
    pub ui: String,
    pub version: String,
    /// Who the clusters say we are, by display name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cluster_users: Vec<(String, String)>,
}

/// What is recorded.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum AuditEvent {
    /// On disk before the first request goes out.
    Intent {
        actor: Box<Actor>,
        /// Display names.
        clusters: Vec<String>,
        /// How it was confirmed: `typed`, `yes`, `flag`, `none`.
        confirmed: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        plan_hash: String,
        /// What is secret in it only as salted hashes.
        plan: Box<Plan>,
        /// The salt of those hashes.
        salt: String,
        /// The job that this goes on with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resumes: Option<JobId>,
    },
    /// A step is about to be sent, or was answered.
    Step {
        step: usize,
        text: String,
        #[serde(flatten)]
        state: StepState,
        /// The `Audit-ID` that the API server has in its own log.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audit_id: Option<String>,
        /// Of an object that was created.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uid: Option<String>,
        /// The answer's code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        http: Option<u16>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<String>,
    },
    /// The end.
    Outcome {
        outcome: Outcome,
        done: usize,
        failed: usize,
        left: usize,
        /// Why it is not done, in words.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        why: String,
    },
}

/// A line of the audit log.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AuditRecord {
    /// RFC 3339, UTC.
    pub at: String,
    pub job: JobId,
    #[serde(flatten)]
    pub event: AuditEvent,
    /// SHA-256 of the line before; empty for a file's first.
    #[serde(default)]
    pub prev: String,
}
