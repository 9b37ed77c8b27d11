//! What several clusters share: an Alertmanager or Prometheus that serves more than one is asked once, and a label tells what belongs to which.

use super::kube::Reader;
use super::service::{Closed, failed, send};
use crate::client::ClientError;
use crate::config::{Endpoint, Reach, Service, Setting};
use crate::model::{self, Batch, ClusterId, Delta, ServiceState, Str};
use crate::reach::{Found, Replica, Sought, find, forwarded, replicas, replicas_of, same};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// What tells the clusters of a shared endpoint apart where no label is configured: most Prometheuses send it.
const LABEL: &str = "cluster";

/// A cluster of which something is wanted.
pub struct Wanted {
    pub id: ClusterId,
    /// What it may be called by the label that tells clusters apart: as shown, and its contexts.
    pub names: Vec<String>,
    /// Where it is configured, if it is.
    pub endpoint: Endpoint,
    /// The cluster's own client, for its services.
    pub reader: Reader,
    /// Is told what was found where none is configured.
    pub found: Found,
}

/// Those that share their endpoint together; no group is empty.
pub(super) fn grouped(clusters: Vec<Wanted>) -> Vec<Vec<Wanted>> {
    let mut groups: Vec<Vec<Wanted>> = Vec::new();
    for cluster in clusters {
        match groups.iter_mut().find(|group| same(&group[0].endpoint, &cluster.endpoint)) {
            Some(group) => group.push(cluster),
            None => groups.push(vec![cluster]),
        }
    }
    groups
}

/// A cluster of the endpoint.
pub(super) struct Member {
    pub id: ClusterId,
    /// None: all is its own.
    pub label: Option<String>,
    pub names: Vec<String>,
}

/// The label that tells clusters apart at an endpoint: the configured one, else the usual one where it serves several; none: all is its own.
pub fn label(endpoint: &Endpoint, several: bool) -> Option<String> {
    endpoint.cluster_label.value.clone().or(several.then(|| LABEL.to_owned()))
}

/// The clusters of a group, as the endpoint tells them apart.
pub(super) fn members(group: &[Wanted]) -> Vec<Member> {
    let several = group.len() > 1;
    let member = |w: &Wanted| Member { id: w.id, label: label(&w.endpoint, several), names: w.names.clone() };
    group.iter().map(member).collect()
}

/// Tells every cluster of an endpoint how its service stands.
pub(super) async fn stand(
    tx: &mpsc::Sender<Batch>,
    members: &[Member],
    service: model::Service,
    state: &ServiceState,
    via: Str,
) -> Result<(), Closed> {
    for member in members {
        send(tx, member.id, Delta::Service { service, state: state.clone(), via: via.clone() }).await?;
    }
    Ok(())
}

/// Whose something is.
pub(super) enum Owner {
    Member(usize),
    /// It does not say.
    Unsaid,
    /// A cluster's that is not followed here.
    Other,
}

/// Whose it is by its labels.
pub(super) fn owner<'a>(members: &[Member], value: impl Fn(&str) -> Option<&'a str>) -> Owner {
    let mut said = false;
    for (n, member) in members.iter().enumerate() {
        let Some(label) = &member.label else { return Owner::Member(n) };
        match value(label).filter(|value| !value.is_empty()) {
            Some(value) if member.names.iter().any(|name| name == value) => return Owner::Member(n),
            Some(_) => said = true,
            None => {}
        }
    }
    if said { Owner::Other } else { Owner::Unsaid }
}

/// Why one is not there.
pub(super) enum Not {
    /// It may come soon.
    Yet(ServiceState),
    /// The cluster has none that could be found.
    There(ServiceState),
}

/// The way to an endpoint through the first cluster that has it: its replicas, and all that was found where none is configured. The cluster may take so
/// long to have a client; `answered`: the endpoint did so once.
///
/// # Errors
/// When the cluster is no longer followed.
pub(super) async fn way(
    wanted: &mut Wanted,
    sought: &Sought,
    within: Duration,
    answered: bool,
) -> Result<Result<(Vec<Replica>, Vec<Service>), Not>, Closed> {
    let client = match timeout(within, wanted.reader.wait()).await {
        Ok(Some(client)) => client,
        Ok(None) => return Err(Closed),
        Err(_) => {
            let error = ClientError::Unreachable { reason: "the cluster is not connected".to_owned() };
            return Ok(Err(Not::Yet(failed(answered, &error))));
        }
    };
    if let Some(service) = forwarded(&wanted.endpoint) {
        return Ok(match replicas_of(&wanted.endpoint, service, &client).await {
            Ok(pods) => {
                wanted.found.set_pods(&pods);
                Ok((pods, Vec::new()))
            }
            Err(error) => Err(Not::Yet(failed(answered, &error))),
        });
    }
    if wanted.endpoint.reach.value.is_some() {
        return Ok(Ok((replicas(&wanted.endpoint, Some(&client)), Vec::new())));
    }
    let found = match find(&client, sought).await {
        Ok(found) => found,
        Err(ClientError::NotFound { .. }) => Vec::new(),
        Err(ClientError::Forbidden { .. }) => {
            let hint = format!("no {} is configured, and services may not be listed to find one; {}", sought.name, sought.setting);
            return Ok(Err(Not::There(ServiceState::Absent { hint: hint.into() })));
        }
        Err(error) => return Ok(Err(Not::Yet(failed(answered, &error)))),
    };
    let Some(first) = found.first() else { return Ok(Err(Not::There(ServiceState::absent(sought.service)))) };
    wanted.found.set(Some(first.clone()));
    let endpoint = Endpoint { reach: Setting::default_to(Some(Reach::Service(first.clone()))), ..wanted.endpoint.clone() };
    Ok(Ok((replicas(&endpoint, Some(&client)), found)))
}
