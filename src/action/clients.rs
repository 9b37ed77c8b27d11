//! How a plan's clusters are reached: to read, and where that is allowed to write.

use crate::client::{EtcdPermit, ReadClient, WriteClient};
use crate::model::ClusterId;
use crate::reach::{Alertmanager, EtcdReach};
use std::collections::BTreeMap;

/// One cluster's two sides.
#[derive(Clone, Debug)]
pub struct ClusterClients {
    pub read: ReadClient,
    /// Or why nothing may be written.
    pub write: Result<WriteClient, String>,
    /// Where one is configured, or was found.
    pub alerts: Option<Alertmanager>,
}

/// A cluster's etcd. It is reached whether its API server is or not.
#[derive(Clone, Debug)]
pub struct EtcdSides {
    pub reach: EtcdReach,
    /// Or why nothing may be written.
    pub permit: Result<EtcdPermit, String>,
}

const NOWHERE: &str = "no address of its etcd is configured or found";

/// The clusters of a plan.
#[derive(Clone, Debug, Default)]
pub struct Clients(BTreeMap<ClusterId, ClusterClients>, BTreeMap<ClusterId, EtcdSides>);

impl Clients {
    pub fn add(&mut self, id: ClusterId, clients: ClusterClients) {
        self.0.insert(id, clients);
    }

    pub fn add_etcd(&mut self, id: ClusterId, sides: EtcdSides) {
        self.1.insert(id, sides);
    }

    /// # Errors
    /// When no address of its etcd is configured or found, in words.
    pub fn etcd(&self, id: ClusterId) -> Result<EtcdReach, String> {
        self.1.get(&id).map(|e| e.reach.clone()).ok_or_else(|| NOWHERE.to_owned())
    }

    /// # Errors
    /// As [`Self::etcd`]; when the cluster is read-only.
    pub fn etcd_permit(&self, id: ClusterId) -> Result<EtcdPermit, String> {
        let sides = self.1.get(&id).ok_or(NOWHERE)?;
        sides.permit.clone().map_err(|why| format!("read-only: {why}"))
    }

    /// # Errors
    /// When the cluster is not connected, in words.
    pub fn read(&self, id: ClusterId) -> Result<&ReadClient, String> {
        self.0.get(&id).map(|c| &c.read).ok_or_else(|| "not connected".to_owned())
    }

    /// # Errors
    /// When the cluster is not connected or has no Alertmanager, in words.
    pub fn alerts(&self, id: ClusterId) -> Result<&Alertmanager, String> {
        let cluster = self.0.get(&id).ok_or("not connected")?;
        cluster.alerts.as_ref().ok_or_else(|| "no Alertmanager is configured or found".to_owned())
    }

    /// # Errors
    /// When the cluster is not connected or read-only, in words.
    pub fn write(&self, id: ClusterId) -> Result<&WriteClient, String> {
        match self.0.get(&id) {
            Some(c) => c.write.as_ref().map_err(|why| format!("read-only: {why}")),
            None => Err("not connected".to_owned()),
        }
    }
}
