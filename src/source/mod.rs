//! The outside world as `Delta`s: discovery, lists and watches, full objects, logs.
//!
//! Owns how a cluster is followed and how its connection state is known. Leaves transport and credentials to `client`,
//! and folding to `store`.

pub mod alertmanager;
pub mod asked;
mod controllers;
pub mod etcd;
pub mod exposition;
mod heartbeats;
mod issued;
mod keda;
pub mod kube;
mod kubelets;
pub mod metrics;
pub mod prometheus;
mod quotas;
mod rbac;
pub mod reports;
mod second_hand;
mod service;
mod shared;
mod stead;
mod storage;
mod uses;

pub use service::Handle as ServiceHandle;
pub use shared::{Wanted, label};
pub use stead::Stead;
