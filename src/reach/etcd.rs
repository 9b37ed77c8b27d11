//! The members of a cluster's etcd, each met where it is: at a configured address, else where its pod or it itself says that it is.

use super::etcd_pods::{NAMESPACE, certificates, etcd_pods, hint};
use crate::client::{ClientError, EtcdClient, EtcdWay, Forward, ReadClient};
use crate::config::{Etcd, Via};
use crate::model::Quorum;
use crate::model::etcd_rpc::{AlarmMember, Member, StatusResponse};
use futures::future::join_all;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long alarms may take while somebody does not answer.
const HURRY: Duration = Duration::from_secs(1);

/// A cluster's etcd. Whoever answered is kept, whoever fails is met anew with what is in the files then.
#[derive(Clone, Debug)]
pub struct EtcdReach {
    /// As whom.
    who: EtcdWay,
    /// The addresses that are configured, or those of the pods that were found.
    endpoints: Vec<String>,
    /// The pods to which port-forwards lead, by address; empty: the addresses themselves are met.
    forwards: HashMap<String, Forward>,
    clients: HashMap<String, EtcdClient>,
    listed: Vec<Member>,
}

/// What was heard at one address.
pub struct Heard {
    pub url: String,
    pub answer: Result<StatusResponse, ClientError>,
}

/// One look at all of them.
pub struct Look {
    pub heard: Vec<Heard>,
    /// The list of members is new; else it is the one before.
    pub listed: bool,
    /// None: nobody could say.
    pub alarms: Option<Vec<AlarmMember>>,
}

/// Whether there is a way to a cluster's etcd.
pub enum Way {
    There(Box<EtcdReach>),
    /// Which pods were found that are not met, and what to do, in words.
    Missing(Option<String>),
}

/// The way to an etcd that the cluster had to be asked for: written by whoever looks, read by whoever acts.
#[derive(Clone, Default, Debug)]
pub struct EtcdFound(Arc<Mutex<Option<EtcdReach>>>);

impl EtcdFound {
    pub fn get(&self) -> Option<EtcdReach> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set(&self, reach: &EtcdReach) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reach.clone());
    }
}

impl EtcdReach {
    /// None where the cluster has to be asked: no address is configured, or who we are is in a Secret.
    pub fn of(settings: &Etcd) -> Option<Self> {
        let some = !settings.endpoints.is_empty() && settings.secret.is_none();
        some.then(|| Self::met(EtcdWay { tls: settings.tls.clone(), ..EtcdWay::default() }, settings.endpoints.value.clone()))
    }

    fn met(who: EtcdWay, endpoints: Vec<String>) -> Self {
        Self { who, endpoints, forwards: HashMap::new(), clients: HashMap::new(), listed: Vec::new() }
    }

    /// Asks the cluster for what is not configured: the pods of etcd, and the Secret that says who we are.
    ///
    /// # Errors
    /// When one of them may not be read, or is not what it should be.
    pub async fn find(settings: &Etcd, through: &ReadClient) -> Result<Way, ClientError> {
        let (mut endpoints, mut forwards) = (settings.endpoints.value.clone(), HashMap::new());
        if endpoints.is_empty() {
            let pods = etcd_pods(through).await?;
            let known = settings.secret.is_some() || settings.tls.cert.is_some();
            if pods.is_empty() || !known && pods.iter().any(|p| p.url.starts_with("https:")) {
                return Ok(Way::Missing(hint(&pods)));
            }
            if settings.via.value == Some(Via::PortForward) {
                let forward = |p: &super::etcd_pods::EtcdPod| (p.url.clone(), Forward::new(through, NAMESPACE, &p.name, p.port));
                forwards = pods.iter().map(forward).collect();
            }
            endpoints = pods.into_iter().map(|p| p.url).collect();
        }
        let certificates = match &settings.secret.value {
            Some(secret) => Some(Arc::new(certificates(through, secret).await?)),
            None => None,
        };
        let who = EtcdWay { tls: settings.tls.clone(), certificates, forward: None };
        Ok(Way::There(Box::new(Self { forwards, ..Self::met(who, endpoints) })))
    }

    /// Takes the place of another one and remembers its members.
    pub fn after(self, before: Self) -> Self {
        Self { listed: before.listed, ..self }
    }

    /// How it is met, in words.
    pub fn words(&self) -> String {
        let one = |url: &String| self.forwards.get(url).map_or_else(|| url.clone(), |f| format!("{f} by port-forward"));
        self.endpoints.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// Who the members are, as somebody said last.
    pub fn members(&self) -> &[Member] {
        &self.listed
    }

    /// Whoever answered at an address.
    pub fn client(&self, url: &str) -> Option<&EtcdClient> {
        self.clients.get(url)
    }

    /// Asks everybody how they stand, and one of them who the members are and which alarms are raised.
    pub async fn look(&mut self) -> Look {
        let mut heard = self.ask(self.endpoints.clone()).await;
        let (mut listed, mut alarms) = (None, None);
        let live = heard.iter().find(|h| h.answer.is_ok()).map(|h| h.url.clone());
        if let Some(client) = live.and_then(|url| self.clients.get(&url).cloned()) {
            // Alarms are agreed on: where that has just become impossible they are not waited for, for the members are to be told.
            let limit = if heard.iter().any(|h| h.answer.is_err()) { HURRY } else { Duration::MAX };
            let (members, raised) = futures::join!(client.members(false), tokio::time::timeout(limit, client.alarms()));
            (listed, alarms) = (members.ok(), raised.ok().and_then(Result::ok));
        }
        let new = listed.is_some();
        if let Some(listed) = listed {
            self.listed = listed;
        }
        let known: Vec<u64> = heard.iter().filter_map(Heard::member).collect();
        let elsewhere = self.listed.iter().filter(|m| !known.contains(&m.id)).flat_map(|m| &m.client_urls);
        // By port-forward only those are met whose pods are known.
        let elsewhere: Vec<String> = elsewhere.filter(|url| self.forwards.is_empty() && !self.endpoints.contains(url)).cloned().collect();
        heard.extend(self.ask(elsewhere).await);
        Look { heard, listed: new, alarms }
    }

    /// Asks the members at these addresses how they stand, all at once.
    async fn ask(&mut self, urls: Vec<String>) -> Vec<Heard> {
        let mut asked = Vec::new();
        for url in urls {
            let client = match self.clients.get(&url) {
                Some(client) => Ok(client.clone()),
                None => {
                    let way = EtcdWay { forward: self.forwards.get(&url).cloned(), ..self.who.clone() };
                    EtcdClient::connect(&url, &way).await
                }
            };
            asked.push(async move {
                let answer = match &client {
                    Ok(client) => client.status().await,
                    Err(error) => Err(error.clone()),
                };
                (url, client.ok(), answer)
            });
        }
        let answers = join_all(asked).await;
        let heard = answers.into_iter().map(|(url, client, answer)| {
            match client {
                Some(client) if answer.is_ok() => drop(self.clients.insert(url.clone(), client)),
                _ => drop(self.clients.remove(&url)),
            }
            Heard { url, answer }
        });
        heard.collect()
    }
}

impl Heard {
    /// Who answered.
    pub fn member(&self) -> Option<u64> {
        Some(self.answer.as_ref().ok()?.header.as_ref()?.member_id)
    }
}

impl Look {
    /// What a member said, and where.
    pub fn of(&self, id: u64) -> Option<(&str, &StatusResponse)> {
        let heard = self.heard.iter().find(|h| h.member() == Some(id))?;
        Some((&heard.url, heard.answer.as_ref().ok()?))
    }

    /// Everybody who answered.
    pub fn answers(&self) -> impl Iterator<Item = &StatusResponse> {
        self.heard.iter().filter_map(|h| h.answer.as_ref().ok())
    }

    /// The leader, by the word of the newest term; none: nobody knows of one.
    pub fn leader(&self) -> Option<u64> {
        self.answers().filter(|s| s.leader != 0).max_by_key(|s| s.raft_term).map(|s| s.leader)
    }

    /// How these members stand together.
    pub fn quorum(&self, members: &[Member]) -> Quorum {
        let voters = members.iter().filter(|m| !m.is_learner);
        let healthy = voters.clone().filter(|m| self.of(m.id).is_some_and(|(_, s)| s.leader != 0)).count();
        Quorum::sum(voters.count(), healthy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::etcd_rpc::ResponseHeader;

    fn heard(id: u64, leader: u64, term: u64) -> Heard {
        let header = Some(ResponseHeader { member_id: id, ..ResponseHeader::default() });
        Heard { url: format!("https://{id}"), answer: Ok(StatusResponse { header, leader, raft_term: term, ..StatusResponse::default() }) }
    }

    #[test]
    fn the_leader_is_whom_the_newest_term_has_and_learners_have_no_vote() {
        let down = Heard { url: "https://3".into(), answer: Err(ClientError::Unreachable { reason: "refused".into() }) };
        let look = Look { heard: vec![heard(1, 1, 4), heard(2, 2, 5), heard(4, 2, 5), down], listed: true, alarms: None };
        assert_eq!((look.leader(), look.of(2).map(|(url, _)| url), look.of(3).is_none()), (Some(2), Some("https://2"), true));
        let member = |id, is_learner| Member { id, is_learner, ..Member::default() };
        let members = [member(1, false), member(2, false), member(3, false), member(4, true)];
        assert_eq!(look.quorum(&members), Quorum::sum(3, 2));
    }
}
