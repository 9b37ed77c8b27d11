//! Where the services beside the API server are, and how one gets there.
//!
//! A service is configured by its addresses (a replica each) or as a service of the cluster, or it is found where the usual installations
//! put it. Where that was asked for, the pods of the service are met one by one by port-forward. Either way each [`Replica`] is met as if it were an API server: the same TLS, proxies, limits and errors in words. What is asked
//! there and what the answers mean is `source`'s and `action`'s.

mod alertmanager;
mod download;
mod etcd;
mod etcd_pods;
mod find;
mod pods;
mod replica;

pub use alertmanager::{Alertmanager, silence_path};
pub use download::download;
pub use etcd::{EtcdFound, EtcdReach, Heard, Look, Way};
pub use find::{Found, Sought, find};
pub use pods::{forwarded, replicas_of};
pub use replica::{Reached, Replica, replicas, same};
