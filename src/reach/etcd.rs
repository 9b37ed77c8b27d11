//! The members of a cluster's etcd, each met where it is: at a configured address, else where it says that it is.

use crate::client::{ClientError, EtcdClient};
use crate::config::Etcd;
use crate::model::Quorum;
use crate::model::etcd_rpc::{AlarmMember, Member, StatusResponse};
use futures::future::join_all;
use std::collections::HashMap;

/// A cluster's etcd. Whoever answered is kept, whoever fails is met anew with what is in the files then.
#[derive(Clone, Debug)]
pub struct EtcdReach {
    settings: Etcd,
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

impl EtcdReach {
    /// None where no address is configured.
    pub fn of(settings: &Etcd) -> Option<Self> {
        let some = !settings.endpoints.is_empty();
        some.then(|| Self { settings: settings.clone(), clients: HashMap::new(), listed: Vec::new() })
    }

    /// The configured addresses.
    pub fn endpoints(&self) -> &[String] {
        &self.settings.endpoints.value
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
        let mut heard = self.ask(self.settings.endpoints.value.clone()).await;
        let (mut listed, mut alarms) = (None, None);
        let live = heard.iter().find(|h| h.answer.is_ok()).map(|h| h.url.clone());
        if let Some(client) = live.and_then(|url| self.clients.get(&url).cloned()) {
            let (members, raised) = futures::join!(client.members(false), client.alarms());
            (listed, alarms) = (members.ok(), raised.ok());
        }
        let new = listed.is_some();
        if let Some(listed) = listed {
            self.listed = listed;
        }
        let known: Vec<u64> = heard.iter().filter_map(Heard::member).collect();
        let elsewhere = self.listed.iter().filter(|m| !known.contains(&m.id)).flat_map(|m| &m.client_urls);
        let elsewhere: Vec<String> = elsewhere.filter(|url| !self.settings.endpoints.contains(url)).cloned().collect();
        heard.extend(self.ask(elsewhere).await);
        Look { heard, listed: new, alarms }
    }

    /// Asks the members at these addresses how they stand, all at once.
    async fn ask(&mut self, urls: Vec<String>) -> Vec<Heard> {
        let mut asked = Vec::new();
        for url in urls {
            let client = match self.clients.get(&url) {
                Some(client) => Ok(client.clone()),
                None => EtcdClient::connect(&url, &self.settings.tls).await,
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
