//! Alertmanagers as deltas: which alerts fire, and what is silenced.
//!
//! One task an endpoint: clusters that share their Alertmanagers share the polls, and a label tells what belongs to which. Replicas are asked
//! one by one, and what several say is one row; one that does not answer is left alone for a while and costs the others nothing. Where none
//! is configured the cluster is looked through for the usual installations.

use super::service::{self, Closed, Handle, failed};
use super::shared::{self, Member, Not, Owner, Wanted, grouped};
use crate::client::{Backoff, ClientError};
use crate::model::alertmanager as wire;
use crate::model::{Alert, Batch, Delta, Interner, Kind, KindState, Object, Service, ServiceState, Silence, Str};
use crate::reach::{Replica, Sought, forwarded, replicas};
use futures::future::join_all;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

/// Who refuses us is not asked again at once.
const REFUSED: Duration = Duration::from_secs(30);
/// Polls between two looks at which pods there are.
const RENEW: u32 = 6;

/// How long until what. Scaled down in tests.
#[derive(Clone, Copy)]
struct Pace {
    /// Between two polls.
    poll: Duration,
    /// How long a replica may take for an answer.
    answer: Duration,
    /// How long the cluster may take to have a client.
    client: Duration,
    /// Between two looks for an Alertmanager where there is none.
    absent: Duration,
}

const PACE: Pace = Pace {
    poll: Duration::from_secs(10),
    answer: Duration::from_secs(5),
    client: Duration::from_secs(10),
    absent: Duration::from_secs(300),
};

/// Starts to ask for the alerts of these clusters, each endpoint by a task of its own. Deltas go to `tx`, which waits while it is full. Must be
/// called within a tokio runtime.
pub fn spawn_alertmanagers(clusters: Vec<Wanted>, tx: &mpsc::Sender<Batch>) -> Vec<Handle> {
    grouped(clusters).into_iter().map(|group| spawn(group, tx.clone(), PACE)).collect()
}

fn spawn(group: Vec<Wanted>, tx: mpsc::Sender<Batch>, pace: Pace) -> Handle {
    let members = shared::members(&group);
    let way = group.into_iter().next();
    Handle::of(tokio::spawn(async move {
        let Some(way) = way else { return };
        let watch = Watch {
            pace,
            tx,
            members,
            peers: replicas(&way.endpoint, None).into_iter().map(Peer::of).collect(),
            way,
            interner: Interner::default(),
            backoff: Backoff::default(),
            looks: 0,
            answered: false,
            said: [false; 3],
        };
        // The only error is that nobody takes deltas any more.
        let _ = watch.run().await;
    }))
}

/// Whether a silence can hide something of this cluster: one that says nothing of clusters hides in all of them.
fn concerns(member: &Member, silence: &Silence) -> bool {
    let Some(label) = &member.label else { return true };
    silence.matchers.iter().filter(|m| *m.name == **label).all(|m| member.names.iter().any(|name| m.takes(name)))
}

/// A replica, and how it answered last.
struct Peer {
    replica: Replica,
    backoff: Backoff,
    /// It is not asked before.
    due: Instant,
    heard: Result<Answer, ClientError>,
}

struct Answer {
    alerts: Vec<wire::Alert>,
    /// On their own: that they cannot be listed must not hide what fires.
    silences: Result<Vec<wire::Silence>, ClientError>,
}

impl Peer {
    fn of(replica: Replica) -> Self {
        let heard = Err(ClientError::Unreachable { reason: "not asked yet".to_owned() });
        Self { replica, backoff: Backoff::default(), due: Instant::now(), heard }
    }

    async fn ask(&mut self, pace: Pace) {
        let replica = &mut self.replica;
        let asked = async {
            let at = replica.reach().await?;
            let (alerts, silences) = futures::join!(
                at.get::<Vec<wire::Alert>>("/api/v2/alerts", pace.answer),
                at.get::<Vec<wire::Silence>>("/api/v2/silences", pace.answer)
            );
            let alerts = alerts?;
            match alerts.iter().all(|a| !a.fingerprint.is_empty()) {
                true => Ok::<_, ClientError>(Answer { alerts, silences }),
                false => Err(ClientError::Decode { message: "an alert without a fingerprint".to_owned() }),
            }
        };
        self.heard = timeout(pace.answer * 2, asked).await.unwrap_or(Err(ClientError::Timeout { after: pace.answer }));
        match &self.heard {
            Ok(_) => self.backoff.reset(),
            Err(error) => {
                self.replica.forget();
                let refused = matches!(error, ClientError::Unauthorized { .. } | ClientError::Forbidden { .. });
                let wait = if refused { REFUSED } else { self.backoff.next_delay() };
                self.due = Instant::now() + wait.max(error.retry_after().unwrap_or_default());
            }
        }
    }
}

struct Watch {
    pace: Pace,
    tx: mpsc::Sender<Batch>,
    /// Never empty.
    members: Vec<Member>,
    /// Empty while it is not known where it is.
    peers: Vec<Peer>,
    /// The first member's way there.
    way: Wanted,
    interner: Interner,
    backoff: Backoff,
    looks: u32,
    /// Somebody has, once.
    answered: bool,
    /// What was told to people, which is done once: that alerts do not say whose they are; that all are others'; that there are several.
    said: [bool; 3],
}

impl Watch {
    async fn run(mut self) -> Result<(), Closed> {
        loop {
            let began = Instant::now();
            if self.peers.is_empty() {
                let wait = self.find().await?;
                if self.peers.is_empty() {
                    self.rest(Instant::now() + wait).await?;
                }
                continue;
            }
            self.renew().await?;
            self.look().await?;
            let live = self.peers.iter().any(|p| p.heard.is_ok());
            let due = self.peers.iter().map(|p| p.due).min().unwrap_or(began);
            let next = if live { began + self.pace.poll.mul_f64(0.9 + 0.2 * fastrand::f64()) } else { due };
            self.rest(next.max(Instant::now())).await?;
            // What was found by itself is looked for anew once it is gone.
            if self.peers.iter().all(|p| matches!(p.heard, Err(ClientError::NotFound { .. }))) && self.way.endpoint.reach.value.is_none() {
                self.peers.clear();
                self.way.found.set(None);
                let wait = self.backoff.next_delay();
                self.rest(Instant::now() + wait).await?;
            }
        }
    }

    /// Where pods are met one by one: once one does not answer, and from time to time, which they are by now. Who stays is kept as it is.
    async fn renew(&mut self) -> Result<(), Closed> {
        self.looks = self.looks.wrapping_add(1);
        let failing = self.peers.iter().any(|p| p.heard.is_err());
        if forwarded(&self.way.endpoint).is_none() || !failing && !self.looks.is_multiple_of(RENEW) {
            return Ok(());
        }
        if let Ok((there, _)) = shared::way(&mut self.way, &Sought::ALERTMANAGER, self.pace.client, self.answered).await? {
            let mut before = std::mem::take(&mut self.peers);
            for replica in there {
                let at = before.iter().position(|p| p.replica.to_string() == replica.to_string());
                self.peers.push(at.map_or_else(|| Peer::of(replica), |at| before.swap_remove(at)));
            }
        }
        Ok(())
    }

    async fn rest(&self, until: Instant) -> Result<(), Closed> {
        tokio::select! {
            () = sleep_until(until) => Ok(()),
            () = self.tx.closed() => Err(Closed),
        }
    }

    /// Where it is, through the cluster; how long to wait where that is not known.
    async fn find(&mut self) -> Result<Duration, Closed> {
        let (there, found) = match shared::way(&mut self.way, &Sought::ALERTMANAGER, self.pace.client, self.answered).await? {
            Ok(there) => there,
            Err(Not::Yet(state)) => {
                self.stand(&state, Str::default()).await?;
                return Ok(self.backoff.next_delay());
            }
            Err(Not::There(state)) => {
                self.backoff.reset();
                self.clear().await?;
                self.stand(&state, Str::default()).await?;
                return Ok(self.pace.absent);
            }
        };
        if found.len() > 1 {
            let all: Vec<String> = found.iter().map(ToString::to_string).collect();
            let words = format!("{}: Alertmanagers in {} namespaces, {}: the first one is read", self.name(0), all.len(), all.join(", "));
            self.say(2, words).await?;
        }
        self.peers = there.into_iter().map(Peer::of).collect();
        Ok(Duration::ZERO)
    }

    /// One poll: asks those that are due, and tells each cluster its part.
    async fn look(&mut self) -> Result<(), Closed> {
        let (now, pace) = (Instant::now(), self.pace);
        join_all(self.peers.iter_mut().filter(|p| p.due <= now).map(|p| p.ask(pace))).await;
        let via = self.via();
        let Some(alerts) = self.alerts() else {
            let error = self.peers.iter().find_map(|p| p.heard.as_ref().err());
            let state = error.map_or(ServiceState::Waiting, |error| failed(self.answered, error));
            return self.stand(&state, via).await;
        };
        self.answered = true;
        self.backoff.reset();
        let silences = self.silences();
        let mut owned: Vec<Vec<Alert>> = self.members.iter().map(|_| Vec::new()).collect();
        let (mut unsaid, mut others) = (0, 0);
        for alert in alerts {
            match shared::owner(&self.members, |label| alert.meta.labels.get(label)) {
                Owner::Member(n) => owned[n].push(alert),
                Owner::Unsaid => {
                    unsaid += 1;
                    owned[0].push(alert);
                }
                Owner::Other => others += 1,
            }
        }
        let label = self.members[0].label.clone().unwrap_or_default();
        if unsaid > 0 && self.members.len() > 1 {
            let (name, more) = (self.name(0), self.members.len() - 1);
            self.say(0, format!("{via}: alerts without the label {label} are shown at {name}, though it serves {more} more")).await?;
        }
        if others > 0 && owned.iter().all(Vec::is_empty) {
            let names = self.members.iter().map(|m| m.names.join(" or ")).collect::<Vec<_>>().join(", ");
            self.say(1, format!("{via}: all alerts are of other clusters: the label {label} is never {names}")).await?;
        }
        for (member, alerts) in self.members.iter().zip(owned) {
            if let Ok(silences) = &silences {
                let hiding = silences.iter().filter(|s| concerns(member, s)).map(|silence| {
                    let hides = alerts.iter().filter(|a| a.silenced_by.contains(&silence.meta.name)).count();
                    Object::Silence(Arc::new(Silence { hides: u32::try_from(hides).unwrap_or(u32::MAX), ..silence.clone() }))
                });
                service::list(&self.tx, member.id, Kind::Silence, hiding).await?;
            }
            let rows = alerts.into_iter().map(|a| Object::Alert(Arc::new(a)));
            service::list(&self.tx, member.id, Kind::Alert, rows).await?;
        }
        // Last: whoever waits for it finds the rows there.
        self.stand(&ServiceState::Live, via).await?;
        let state = silences.map_or_else(|e| KindState::Failing { reason: e.reason().into() }, |_| KindState::Live);
        for member in &self.members {
            service::send(&self.tx, member.id, Delta::KindState(Kind::Silence, state.clone())).await?;
        }
        Ok(())
    }

    /// What the replicas say that answer, each alert once; none when nobody does. Of two that differ the one that hides it less is right: it
    /// would send it.
    fn alerts(&mut self) -> Option<Vec<Alert>> {
        let mut all: BTreeMap<Str, Alert> = BTreeMap::new();
        let (mut answers, mut decoded) = (false, 0);
        for answer in self.peers.iter().filter_map(|p| p.heard.as_ref().ok()) {
            for alert in &answer.alerts {
                let Some(alert) = Alert::of(alert, &mut self.interner) else { continue };
                decoded += 1;
                let better = |old: &Alert| (alert.state, old.updated) < (old.state, alert.updated);
                if all.get(&alert.fingerprint).is_none_or(better) {
                    all.insert(alert.fingerprint.clone(), alert);
                }
            }
            answers = true;
        }
        self.interner.sweep(decoded);
        answers.then(|| all.into_values().collect())
    }

    /// The silences likewise, of two the one that was changed last; an error when nobody lists them.
    fn silences(&mut self) -> Result<Vec<Silence>, ClientError> {
        let mut all: BTreeMap<Str, Silence> = BTreeMap::new();
        let mut said = Err(ClientError::Decode { message: "no answer".to_owned() });
        for answer in self.peers.iter().filter_map(|p| p.heard.as_ref().ok()) {
            match &answer.silences {
                Ok(silences) => {
                    for silence in silences.iter().filter_map(|s| Silence::of(s, &mut self.interner)) {
                        if all.get(&silence.meta.name).is_none_or(|old| old.updated < silence.updated) {
                            all.insert(silence.meta.name.clone(), silence);
                        }
                    }
                    said = Ok(());
                }
                Err(error) if said.is_err() => said = Err(error.clone()),
                Err(_) => {}
            }
        }
        said.map(|()| all.into_values().collect())
    }

    /// Those that answer, then those that do not and why; all of them while none does.
    fn via(&self) -> Str {
        let (live, dead): (Vec<&Peer>, Vec<&Peer>) = self.peers.iter().partition(|p| p.heard.is_ok());
        let names = |peers: &[&Peer]| peers.iter().map(|p| p.replica.to_string()).collect::<Vec<_>>().join(", ");
        if live.is_empty() {
            return names(&dead).into();
        }
        let why = |p: &&Peer| p.heard.as_ref().err().map(|e| format!("; {}: {}", p.replica, e.reason()));
        format!("{}{}", names(&live), dead.iter().filter_map(why).collect::<String>()).into()
    }

    fn name(&self, member: usize) -> String {
        self.members[member].names.first().cloned().unwrap_or_default()
    }

    /// Nothing is there any more.
    async fn clear(&self) -> Result<(), Closed> {
        for member in self.members.iter().filter(|_| self.answered) {
            service::list(&self.tx, member.id, Kind::Alert, std::iter::empty()).await?;
            service::list(&self.tx, member.id, Kind::Silence, std::iter::empty()).await?;
        }
        Ok(())
    }

    async fn stand(&self, state: &ServiceState, via: Str) -> Result<(), Closed> {
        shared::stand(&self.tx, &self.members, Service::Alertmanager, state, via).await
    }

    async fn say(&mut self, what: usize, words: String) -> Result<(), Closed> {
        if std::mem::replace(&mut self.said[what], true) {
            return Ok(());
        }
        service::send(&self.tx, self.members[0].id, Delta::Told(words.into())).await
    }
}

#[cfg(test)]
#[path = "alertmanager_tests.rs"]
mod tests;
