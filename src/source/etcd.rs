//! A cluster's etcd as deltas: who the members are, how each stands, what their metrics tell.
//!
//! Asked directly, so that it is seen when the API server is gone with the quorum. One task a cluster; members that were seen are remembered
//! and told as down for as long as nobody answers. Where it is, and who we are there, is configured or found through the cluster. While no
//! member was ever met, a row tells what the API server says of it. What it all means is `inspect`'s.

use super::exposition::{Buckets, samples};
use super::kube::Reader;
use super::second_hand::{AGAIN, Listener};
use super::service::{self, Closed, Handle, failed};
use crate::client::{ClientError, ReadClient};
use crate::config::Etcd;
use crate::model::etcd_act::snapshot_time;
use crate::model::etcd_rpc::{AlarmMember, StatusResponse, alarm_name};
use crate::model::{
    Batch, ClusterId, Delta, EtcdMember, EtcdMetrics, EtcdPast, EtcdStatus, Kind, Labels, Meta, Object, SecondHand, Service, ServiceState,
    Str, Time, Uid,
};
use crate::reach::{EtcdFound, EtcdReach, Heard, Way};
use futures::future::join_all;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

/// Between two looks: a lost quorum is to be seen within 10 s, and a member that hangs takes 5 of them.
const LOOK: Duration = Duration::from_secs(4);
/// Metrics are read at every so manieth look.
const METRICS: u32 = 4;
/// How long the cluster may take to have a client, and until it is asked again where that went wrong.
const CLIENT: Duration = Duration::from_secs(10);

/// Whose etcd it is.
pub struct EtcdSource<'a> {
    pub cluster: ClusterId,
    /// As shown: our snapshots are named after it.
    pub name: &'a str,
    /// What was done to it, by the audit log.
    pub past: watch::Receiver<EtcdPast>,
    /// The cluster's own client: for what is found through it.
    pub reader: Reader,
    /// Is told the way that was found where none is configured.
    pub found: EtcdFound,
}

/// Starts to ask a cluster's etcd. Must be called within a tokio runtime.
pub fn spawn_etcd(source: EtcdSource, settings: &Etcd, tx: mpsc::Sender<Batch>) -> Handle {
    let EtcdSource { cluster, name, past, reader, found } = source;
    let watch = Watch {
        cluster,
        reach: EtcdReach::of(settings),
        settings: settings.clone(),
        reader,
        found,
        state: ServiceState::Waiting,
        due: Instant::now(),
        listener: Listener::default(),
        tx,
        past,
        kept: settings.snapshots.value.clone().map(|dir| (dir, name.to_owned())),
        snapshot: None,
        members: BTreeMap::new(),
        looks: 0,
        answered: false,
    };
    // The only error is that nobody takes deltas any more.
    Handle::of(tokio::spawn(async move { drop(watch.run().await) }))
}

struct Watch {
    cluster: ClusterId,
    /// None while there is no way to it.
    reach: Option<EtcdReach>,
    settings: Etcd,
    reader: Reader,
    found: EtcdFound,
    /// How it stands while there is no way.
    state: ServiceState,
    /// The cluster is not asked for the way before.
    due: Instant,
    listener: Listener,
    tx: mpsc::Sender<Batch>,
    past: watch::Receiver<EtcdPast>,
    /// The directory of snapshots, and what the cluster is called there.
    kept: Option<(PathBuf, String)>,
    /// When the newest of these was taken, in unix seconds.
    snapshot: Option<i64>,
    members: BTreeMap<u64, Seen>,
    looks: u32,
    /// Somebody has, once.
    answered: bool,
}

/// A member, and what its next look needs.
struct Seen {
    member: EtcdMember,
    /// Where it answered last.
    url: Option<String>,
    /// Bytes, by its metrics: before 3.6 its status does not tell.
    quota: Option<i64>,
    /// At the last look, by name and peer.
    histograms: BTreeMap<String, Buckets>,
}

impl Watch {
    async fn run(mut self) -> Result<(), Closed> {
        let mut next = Instant::now();
        loop {
            if self.reach.is_none() {
                self.find(CLIENT).await?;
            }
            let way = self.reach.is_some();
            if way {
                self.look().await?
            } else {
                self.tell_nothing().await?
            }
            next = if way { (next + LOOK).max(Instant::now()) } else { self.due.max(Instant::now()) };
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.tx.closed() => return Err(Closed),
            }
        }
    }

    /// Asks the cluster for the way, which has to have a client by then.
    async fn find(&mut self, within: Duration) -> Result<(), Closed> {
        self.due = Instant::now() + CLIENT;
        let client = match timeout(within, self.reader.wait()).await {
            Ok(Some(client)) => client,
            Ok(None) => return Err(Closed),
            Err(_) => {
                let error = ClientError::Unreachable { reason: "the cluster is not connected".to_owned() };
                self.state = failed(self.answered, &error);
                return Ok(());
            }
        };
        let found = EtcdReach::find(&self.settings, &client).await;
        if found.is_ok() {
            self.due = Instant::now() + AGAIN;
        }
        match found {
            Ok(Way::There(reach)) => {
                self.found.set(&reach);
                self.reach = Some(match self.reach.take() {
                    Some(before) => reach.after(before),
                    None => *reach,
                });
            }
            // It was found before, and its pods have gone with what they were.
            _ if self.reach.is_some() => {}
            Ok(Way::Missing(hint)) => self.state = self.missing(hint),
            Err(ClientError::Forbidden { .. }) if !self.settings.configured() => {
                let own = ServiceState::absent(Service::Etcd);
                let hint = own.reason().map_or("", |hint| hint);
                self.state = ServiceState::Absent { hint: format!("pods of kube-system may not be listed to find it; {hint}").into() };
            }
            Err(ClientError::NotFound { .. }) if !self.settings.configured() => self.state = self.missing(None),
            Err(error) => self.state = failed(self.answered, &error),
        }
        if self.reach.is_none() {
            self.listener.look(&client).await;
        }
        Ok(())
    }

    fn missing(&self, hint: Option<String>) -> ServiceState {
        match hint {
            Some(hint) => ServiceState::Absent { hint: hint.into() },
            None if self.settings.configured() => {
                ServiceState::Failing { reason: "no pods of etcd are in kube-system: endpoints says where it is".into() }
            }
            None => ServiceState::absent(Service::Etcd),
        }
    }

    /// How it stands while there is no way, with what the API server says of it.
    async fn tell_nothing(&mut self) -> Result<(), Closed> {
        self.tell_rows().await?;
        service::send(&self.tx, self.cluster, Delta::Service { service: Service::Etcd, state: self.state.clone(), via: Str::default() })
            .await
    }

    async fn tell_rows(&mut self) -> Result<(), Closed> {
        let heard = self.listener.said().filter(|_| self.members.is_empty()).map(told);
        if self.members.is_empty() && heard.is_none() {
            return Ok(());
        }
        let rows = self.members.values().map(|s| s.member.clone()).chain(heard).map(|m| Object::EtcdMember(Arc::new(m)));
        service::list(&self.tx, self.cluster, Kind::EtcdMember, rows).await
    }

    /// The cluster's client, where the API server is to be heard: no member has ever been met.
    fn hears(&self) -> Option<ReadClient> {
        self.reader.client().filter(|_| self.members.is_empty())
    }

    async fn look(&mut self) -> Result<(), Closed> {
        let Some(reach) = &mut self.reach else { return Ok(()) };
        let look = reach.look().await;
        if look.answers().next().is_none() {
            // What was found may have moved; what is configured is read anew by itself.
            if EtcdReach::of(&self.settings).is_none() && Instant::now() >= self.due {
                self.find(LOOK).await?;
            }
            if let Some(client) = self.hears() {
                self.listener.look(&client).await;
            }
        }
        if look.listed {
            self.remember();
        }
        self.judge(&look.heard, look.alarms.as_deref());
        if self.looks.is_multiple_of(METRICS) {
            self.measure().await;
            self.browse().await;
        }
        self.date();
        self.looks += 1;
        self.tell(&look.heard).await
    }

    /// Takes in who the members are; who is none any more is forgotten.
    fn remember(&mut self) {
        let Some(reach) = &self.reach else { return };
        let listed = reach.members();
        self.members.retain(|id, _| listed.iter().any(|m| m.id == *id));
        for m in listed {
            let texts = |list: &[String]| list.iter().map(|t| Str::from(&**t)).collect::<Box<[Str]>>();
            let name =
                [&m.name].into_iter().chain(&m.peer_urls).find(|n| !n.is_empty()).map_or_else(|| format!("{:x}", m.id), Clone::clone);
            let seen = self.members.entry(m.id).or_insert_with(|| Seen {
                member: unknown(m.id),
                url: None,
                quota: None,
                histograms: BTreeMap::new(),
            });
            let member = &mut seen.member;
            member.meta.name = name.into();
            (member.peers, member.clients, member.learner) = (texts(&m.peer_urls), texts(&m.client_urls), m.is_learner);
        }
    }

    /// Takes in how they stand.
    fn judge(&mut self, heard: &[Heard], alarms: Option<&[AlarmMember]>) {
        let now = Time::from_secs(jiff::Timestamp::now().as_second());
        for (id, seen) in &mut self.members {
            let said = heard
                .iter()
                .find_map(|h| Some((h, h.answer.as_ref().ok().filter(|s| s.header.as_ref().is_some_and(|x| x.member_id == *id))?)));
            let member = &mut seen.member;
            if let Some(alarms) = alarms {
                member.alarms = alarms.iter().filter(|a| a.member == *id).map(|a| Str::from(alarm_name(a.alarm))).collect();
            }
            let Some((at, status)) = said else {
                let there = |h: &&Heard| seen.url.as_deref() == Some(&h.url) || member.clients.iter().any(|c| **c == *h.url);
                let why = heard.iter().find(there).and_then(|h| h.answer.as_ref().err()).map(ClientError::words);
                member.down = Some(why.unwrap_or_else(|| "no configured address leads to it".to_owned()).into());
                continue;
            };
            seen.url = Some(at.url.clone());
            (member.down, member.answered) = (None, now);
            member.learner = status.is_learner;
            member.status = Some(status_of(status, seen.quota));
        }
    }

    /// Reads the metrics of those who answer.
    async fn measure(&mut self) {
        let asked = self.members.iter().filter(|(_, s)| s.member.down.is_none()).filter_map(|(id, s)| {
            let client = self.reach.as_ref()?.client(s.url.as_ref()?)?.clone();
            Some(async move { (*id, client.metrics().await) })
        });
        for (id, answer) in join_all(asked.collect::<Vec<_>>()).await {
            let Some(seen) = self.members.get_mut(&id) else { continue };
            let text = answer.ok().and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
            seen.quota =
                text.as_deref().and_then(|text| samples(text).find(|s| s.name == QUOTA)).map(|s| s.value as i64).filter(|q| *q > 0);
            seen.member.metrics = text.map(|text| measured(&text, &mut seen.histograms));
        }
    }

    /// Looks for snapshots that are kept. A directory that cannot be read says nothing.
    async fn browse(&mut self) {
        let Some((dir, name)) = self.kept.clone() else { return };
        let newest = move || {
            let names = std::fs::read_dir(dir).ok()?.filter_map(|e| e.ok()?.file_name().into_string().ok());
            names.filter_map(|file| snapshot_time(&name, &file)).max()
        };
        self.snapshot = tokio::task::spawn_blocking(newest).await.unwrap_or_default();
    }

    /// Takes in what was done to them, as far as is known.
    fn date(&mut self) {
        let past = self.past.borrow();
        let time = |at: Option<i64>| at.and_then(Time::from_secs);
        for (id, seen) in &mut self.members {
            // Each has the same data: a snapshot of one is one of all.
            seen.member.snapshot = time(past.snapshot.max(self.snapshot));
            seen.member.defragmented = time(past.defragmented.get(id).copied());
        }
    }

    async fn tell(&mut self, heard: &[Heard]) -> Result<(), Closed> {
        let answering = heard.iter().filter(|h| h.answer.is_ok()).count();
        self.answered |= answering > 0;
        let state = match heard.iter().find_map(|h| h.answer.as_ref().err()) {
            Some(error) if answering == 0 => failed(self.answered, error),
            _ => ServiceState::Live,
        };
        self.tell_rows().await?;
        // Last: whoever waits for it finds the rows there.
        let via = self.reach.as_ref().map_or_else(Str::default, |r| r.words().into());
        service::send(&self.tx, self.cluster, Delta::Service { service: Service::Etcd, state, via }).await
    }
}

/// A member of which nothing is known but its id.
fn unknown(id: u64) -> EtcdMember {
    EtcdMember {
        meta: Meta::bare(Uid::parse(&format!("etcd/{id:x}")), Str::default(), Str::default(), Labels::default(), None),
        id,
        peers: Box::default(),
        clients: Box::default(),
        learner: false,
        status: None,
        down: None,
        answered: None,
        alarms: Box::default(),
        metrics: None,
        snapshot: None,
        defragmented: None,
        second_hand: None,
    }
}

/// What the API server says, in the place of the members.
fn told(heard: &SecondHand) -> EtcdMember {
    let mut row = unknown(0);
    let uid = Uid::parse("etcd/second-hand");
    row.meta = Meta::bare(uid, "api-server".into(), Str::default(), Labels::default(), None);
    row.second_hand = Some(Box::new(heard.clone()));
    row
}

fn status_of(s: &StatusResponse, quota: Option<i64>) -> EtcdStatus {
    EtcdStatus {
        version: (&*s.version).into(),
        leader: Some(s.leader).filter(|l| *l != 0),
        term: s.raft_term,
        raft_index: s.raft_index,
        applied_index: s.raft_applied_index,
        db_size: s.db_size,
        db_in_use: s.db_size_in_use,
        quota: Some(s.db_size_quota).filter(|q| *q > 0).or(quota),
        errors: s.errors.iter().map(|e| Str::from(&**e)).collect(),
    }
}

const FSYNC: &str = "etcd_disk_wal_fsync_duration_seconds_bucket";
const COMMIT: &str = "etcd_disk_backend_commit_duration_seconds_bucket";
const QUOTA: &str = "etcd_server_quota_backend_bytes";
const PEER: &str = "etcd_network_peer_round_trip_time_seconds_bucket";

/// What the metrics say, of histograms what came since the last look.
fn measured(text: &str, histograms: &mut BTreeMap<String, Buckets>) -> EtcdMetrics {
    let mut now: BTreeMap<String, Buckets> = BTreeMap::new();
    let mut metrics = EtcdMetrics::default();
    for sample in samples(text) {
        // A counter that is no whole number is none of ours.
        let whole = || Some(sample.value as i64).filter(|_| sample.value.is_finite());
        match sample.name {
            FSYNC | COMMIT | PEER => {
                let key = format!("{} {}", sample.name, sample.label("To").unwrap_or_default());
                now.entry(key).or_default().add(&sample);
            }
            "etcd_server_leader_changes_seen_total" => metrics.leader_changes = whole(),
            "etcd_server_proposals_pending" => metrics.proposals_pending = whole(),
            "etcd_server_proposals_failed_total" => metrics.proposals_failed = whole(),
            "etcd_server_slow_apply_total" => metrics.slow_applies = whole(),
            _ => {}
        }
    }
    let micros = |(key, b): (&String, &Buckets)| Some((b.since(histograms.get(key)?).quantile(0.99)? * 1e6).ceil() as i64);
    let slowest = |name: &str| now.iter().filter(|(key, _)| key.starts_with(name)).filter_map(micros).max();
    (metrics.fsync_p99_us, metrics.commit_p99_us, metrics.peer_p99_us) = (slowest(FSYNC), slowest(COMMIT), slowest(PEER));
    *histograms = now;
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(fsync: [u32; 3], to_b: [u32; 3], to_c: [u32; 3]) -> String {
        let bounds = ["0.001", "0.1", "+Inf"];
        let lines = |name: &str, more: &str, counts: [u32; 3]| -> String {
            bounds.iter().zip(counts).map(|(le, n)| format!("{name}{{{more}le=\"{le}\"}} {n}\n")).collect()
        };
        format!(
            "{}{}{}etcd_server_proposals_pending 3\netcd_server_slow_apply_total NaN\n",
            lines(FSYNC, "", fsync),
            lines(PEER, "To=\"b\",", to_b),
            lines(PEER, "To=\"c\",", to_c)
        )
    }

    #[test]
    fn latencies_are_of_what_came_since_the_last_look_and_of_the_slowest_peer() {
        let mut histograms = BTreeMap::new();
        let first = measured(&text([100, 100, 100], [5, 5, 5], [5, 5, 5]), &mut histograms);
        assert_eq!((first.fsync_p99_us, first.proposals_pending, first.slow_applies), (None, Some(3), None), "nothing to compare with yet");
        let next = measured(&text([100, 200, 200], [105, 105, 105], [5, 15, 15]), &mut histograms);
        assert_eq!((next.fsync_p99_us, next.peer_p99_us), (Some(99_010), Some(99_010)));
        assert_eq!(
            measured(&text([100, 200, 200], [105, 105, 105], [5, 15, 15]), &mut histograms).fsync_p99_us,
            None,
            "nothing was written"
        );
    }
}
