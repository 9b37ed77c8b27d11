//! Reaching a cluster: which there are, as whom, over what, how often, and what went wrong in words.
//!
//! ```text
//! kubeconfig ─▶ Target ─┐
//! ExecPool ─────────────┼─▶ ReadClient::connect ─▶ GET
//! BudgetConfig ─────────┘            │
//!                           Licence ─▶ WriteClient ◀─ Receipt
//! ```
//!
//! Services that speak HTTP are read in the same way, as if they were API servers ([`Target::direct`]): `reach` says where they are.
//!
//! What is read and when, connection state and re-listing are `source`'s. What is changed and whether it may be is `action`'s, the only
//! user of `WriteClient`.

mod auth;
mod backoff;
mod budget;
mod certificate;
mod error;
mod etcd;
mod exec;
#[cfg(test)]
pub(crate) mod fake;
mod forward;
mod gzip;
mod kubeconfig;
mod limits;
mod oidc;
mod origin;
mod push;
mod reach;
mod read;
mod redact;
mod session;
mod stack;
mod write;

pub use backoff::Backoff;
pub use budget::{BudgetConfig, BudgetUse};
pub use certificate::Certificate;
pub use error::ClientError;
pub use etcd::{Certificates, EtcdClient, EtcdPermit, EtcdWay, EtcdWriter};
pub use exec::{ExecPool, Ran, login_command, login_hint, run};
pub use forward::Forward;
pub use kubeconfig::{KubeconfigError, LoadOptions, Target, load};
pub use limits::{install_crypto_provider, raise_nofile_limit};
pub use push::put_metrics;
pub use read::{Access, Answer, Ask, ByteStream, ReadClient, ResourceRule, Version};
pub use write::{FIELD_MANAGER, Licence, Receipt, ServiceWriter, WriteAnswer, WriteClient};
