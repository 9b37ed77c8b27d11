//! One task a cluster: connects, discovers, runs the watchers, proves that the server lives, and says how it stands.
//!
//! Owns the connection's life and generations. How silence and failures become a state is `health`'s; what a watcher
//! does after an error is `watcher`'s.

use super::discovery::Discovery;
pub use super::health::Timing;
use super::health::{Health, Proof};
use super::kinds::Kinds;
use super::watcher::{Fault, Link, Note, Out, Scope, Watcher, What};
use crate::client::{BudgetConfig, ClientError, ExecPool, ReadClient, Target};
use crate::model::{Batch, ClusterId, ConnectionState, Delta, Generation, Kind};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// The wall clock may run ahead of the monotonic one by this much before we conclude that the machine slept.
const SLEPT: i64 = 10;
/// Wakes at least this often, to see that.
const LOOK: Duration = Duration::from_secs(5);
/// Refused credentials are tried again after this, doubling up to the second.
const REFUSED: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(300));
/// A watcher that crashed is started again after this.
const CRASHED: Duration = Duration::from_secs(30);
/// Reconnects after a recovery are spread over this.
const SPREAD: Duration = Duration::from_millis(300);

/// A cluster to follow.
pub struct ClusterSource {
    pub id: ClusterId,
    pub target: Target,
    /// In any order: nodes and pods are always first.
    pub kinds: Vec<Kind>,
    /// Only these; none: all, and where that is forbidden the context's own.
    pub namespaces: Option<Vec<String>>,
    /// Where Velero keeps its objects: looked at there, whatever namespaces are wanted, when not in all.
    pub velero: String,
    pub budget: BudgetConfig,
    /// Shared by all clusters.
    pub pool: ExecPool,
    pub timing: Timing,
}

enum Command {
    Reconnect,
    CredentialRenewed,
    Kinds(Vec<Kind>),
}

/// A followed cluster; dropping it stops the task and its connections.
pub struct Handle {
    pub id: ClusterId,
    commands: mpsc::UnboundedSender<Command>,
    reader: Reader,
    task: JoinHandle<()>,
}

impl Handle {
    /// Drops the connections and begins anew, now.
    pub fn reconnect(&self) {
        self.send(Command::Reconnect);
    }
    /// `:login` was successful: try again, now.
    pub fn credential_renewed(&self) {
        self.send(Command::CredentialRenewed);
    }
    /// The same, for a task that first stores the credential.
    pub fn renewer(&self) -> impl FnOnce() + Send + 'static {
        let commands = self.commands.clone();
        move || drop(commands.send(Command::CredentialRenewed))
    }
    /// What is to be watched from now on; rows of other kinds are no longer kept current.
    pub fn set_kinds(&self, kinds: Vec<Kind>) {
        self.send(Command::Kinds(kinds));
    }
    /// For full objects and logs.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }
    fn send(&self, command: Command) {
        // A task that has ended has nobody to tell.
        let _ = self.commands.send(command);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The cluster's client, once there is one.
#[derive(Clone)]
pub struct Reader(watch::Receiver<Option<ReadClient>>);

impl Reader {
    /// A reader of a client that is there already.
    pub fn of(client: ReadClient) -> Self {
        Self(watch::channel(Some(client)).1)
    }
    /// The client, if there is one yet.
    pub fn client(&self) -> Option<ReadClient> {
        self.0.borrow().clone()
    }
    /// The client, as soon as there is one; none when the cluster is no longer followed and never had one.
    pub async fn wait(&mut self) -> Option<ReadClient> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

/// Starts to follow a cluster. Deltas go to `tx`, which waits while it is full. Must be called within a tokio runtime.
pub fn spawn_cluster(source: ClusterSource, tx: mpsc::Sender<Batch>) -> Handle {
    let (commands, inbox) = mpsc::unbounded_channel();
    let (client, reader) = watch::channel(None);
    let id = source.id;
    let task = tokio::spawn(async move {
        // The only error is that nobody takes deltas any more.
        let _ = Supervisor::new(source, tx, inbox, client).run().await;
    });
    Handle { id, commands, reader: Reader(reader), task }
}

/// What runs beside the supervisor and comes back to it.
enum Job {
    /// A client that is ready to be used, or is so again.
    Connected(Result<ReadClient, ClientError>),
    /// The round trip, and whether it was made over a new connection.
    Probed(Result<Duration, ClientError>),
    Discovered(Generation, Discovery),
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    /// A client is being made or renewed.
    Connecting,
    /// Watchers run.
    Up,
    /// They do not; attempts are made from time to time.
    Down,
}

struct Supervisor {
    source: ClusterSource,
    out: Out,
    commands: mpsc::UnboundedReceiver<Command>,
    client: watch::Sender<Option<ReadClient>>,
    health: Health,
    /// Replaced when connections are dropped: what still trickles in from those proves nothing.
    proof: Arc<Proof>,
    kinds: Kinds,
    stage: Stage,
    link: Option<Arc<Link>>,
    notes: (mpsc::UnboundedSender<Note>, mpsc::UnboundedReceiver<Note>),
    jobs: JoinSet<Job>,
    watchers: JoinSet<Watcher>,
    running: HashMap<Scope, (CancellationToken, AbortHandle)>,
    parked: HashMap<Scope, Watcher>,
    crashed: HashSet<Scope>,
    probing: bool,
    last_probe: Option<Instant>,
    /// A probe is due then, whatever the usual pace.
    probe_soon: Option<Instant>,
    /// Attempts in a row that failed, for the pause until the next.
    attempts: u32,
    /// When to try again; none: when told to.
    attempt_at: Option<Instant>,
    /// The last time that watchers were refused: twice within a minute is not a matter of a stale credential.
    refused_at: Option<Instant>,
    /// When the files of the credential were last looked at.
    looked_at: Option<Instant>,
    sent: Option<ConnectionState>,
    /// The proof of life that the store knows of.
    told: Option<Instant>,
    version: Option<String>,
    latency: Option<u32>,
    requests: (u64, usize),
    /// Monotonic and wall clock when last seen.
    clock: (Instant, i64),
}

impl Supervisor {
    fn new(
        source: ClusterSource,
        tx: mpsc::Sender<Batch>,
        commands: mpsc::UnboundedReceiver<Command>,
        client: watch::Sender<Option<ReadClient>>,
    ) -> Self {
        let now = Instant::now();
        Self {
            out: Out { cluster: source.id, generation: Generation(0), tx },
            kinds: Kinds::new(&source.kinds, source.namespaces.as_deref(), source.target.namespace.as_deref()).velero(&source.velero),
            health: Health::new(source.timing, now),
            proof: Arc::new(Proof::new()),
            source,
            commands,
            client,
            stage: Stage::Connecting,
            link: None,
            notes: mpsc::unbounded_channel(),
            jobs: JoinSet::new(),
            watchers: JoinSet::new(),
            running: HashMap::new(),
            parked: HashMap::new(),
            crashed: HashSet::new(),
            probing: false,
            last_probe: None,
            probe_soon: None,
            attempts: 0,
            attempt_at: Some(now),
            refused_at: None,
            looked_at: None,
            sent: None,
            told: None,
            version: None,
            latency: None,
            requests: (0, 0),
            clock: (now, wall()),
        }
    }

    async fn run(mut self) -> Result<(), Fault> {
        self.connect(Duration::ZERO);
        loop {
            self.report().await?;
            let wake = self.wake();
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.command(command).await?,
                    None => return Ok(()),
                },
                Some(note) = self.notes.1.recv() => self.note(note),
                Some(done) = self.watchers.join_next() => self.ended(done.ok()),
                Some(done) = self.jobs.join_next() => if let Ok(job) = done {
                    self.finished(job).await?;
                },
                () = self.out.tx.closed() => return Ok(()),
                () = sleep_until(wake) => {}
            }
            self.drive().await?;
        }
    }

    async fn command(&mut self, command: Command) -> Result<(), Fault> {
        match command {
            Command::Reconnect | Command::CredentialRenewed => {
                self.health.restart(Instant::now());
                self.kinds.widen();
                (self.attempts, self.refused_at) = (0, None);
                self.park().await;
                self.connect(Duration::ZERO);
            }
            Command::Kinds(kinds) => {
                self.kinds.set(&kinds);
                self.reconcile();
            }
        }
        Ok(())
    }

    /// Makes a client, or renews the one there is; what is running is given up.
    fn connect(&mut self, after: Duration) {
        self.stage = Stage::Connecting;
        self.probing = false;
        self.jobs.abort_all();
        let client = self.client.borrow().clone();
        let (target, pool, budget) = (self.source.target.clone(), self.source.pool.clone(), self.source.budget);
        self.jobs.spawn(async move {
            sleep(after).await;
            Job::Connected(match client {
                Some(client) => client.reconnect().await.map(|()| client),
                None => ReadClient::connect(&target, &pool, budget).await,
            })
        });
    }

    /// Begins a generation: watchers go on where they were, over new connections.
    async fn up(&mut self, client: ReadClient) {
        self.park().await;
        self.stage = Stage::Up;
        self.out.generation.0 += 1;
        self.client.send_if_modified(|old| old.is_none().then(|| *old = Some(client.clone())).is_some());
        let link = Link { client: client.clone(), out: self.out.clone(), notes: self.notes.0.clone(), proof: self.proof.clone() };
        self.link = Some(Arc::new(link));
        let generation = self.out.generation;
        self.jobs.spawn(async move { Job::Discovered(generation, Discovery::ask(&client).await) });
        // Not at once: the round trip is to be measured over a connection that is there.
        self.probe_soon = Some(Instant::now() + self.source.timing.again);
        self.sent = None;
        self.reconcile();
    }

    /// Stops every watcher and waits until it is, so that nothing of an old generation comes after the new one's first.
    async fn park(&mut self) {
        self.link = None;
        self.proof = Arc::new(Proof::new());
        for (token, _) in self.running.values() {
            token.cancel();
        }
        while let Some(done) = self.watchers.join_next().await {
            self.parked.extend(done.ok().map(|w| (w.scope.clone(), w)));
        }
        self.running.clear();
    }

    /// Starts what is wanted and not running, stops what is no longer wanted.
    fn reconcile(&mut self) {
        let Some(link) = &self.link else { return };
        let wanted = self.kinds.wanted();
        for (_, (token, _)) in self.running.iter().filter(|(scope, _)| !wanted.contains(scope)) {
            token.cancel();
        }
        for scope in wanted {
            if self.running.contains_key(&scope) {
                continue;
            }
            let token = CancellationToken::new();
            let pause = if self.crashed.contains(&scope) { CRASHED } else { Duration::ZERO };
            let mut watcher = self.parked.remove(&scope).unwrap_or_else(|| Watcher::new(scope.clone()));
            let (link, stop) = (link.clone(), token.clone());
            let task = self.watchers.spawn(async move {
                let follow = async {
                    sleep(pause).await;
                    watcher.run(&link).await;
                };
                stop.run_until_cancelled(follow).await;
                watcher
            });
            self.running.insert(scope, (token, task));
        }
    }

    /// A watcher is back; or it crashed, which must not stop the others, nor itself for ever.
    fn ended(&mut self, watcher: Option<Watcher>) {
        match watcher {
            Some(watcher) => {
                self.running.remove(&watcher.scope);
                self.parked.insert(watcher.scope.clone(), watcher);
            }
            None => {
                let crashed: Vec<_> =
                    self.running.extract_if(|_, (stop, task)| task.is_finished() && !stop.is_cancelled()).map(|(scope, _)| scope).collect();
                for scope in crashed {
                    tracing::error!(cluster = self.out.cluster.0, kind = scope.kind.name(), "a watcher crashed");
                    self.kinds.note(scope.clone(), What::Failing(ClientError::Decode { message: "crashed".to_owned() }));
                    self.crashed.insert(scope);
                }
            }
        }
        self.reconcile();
    }

    fn note(&mut self, note: Note) {
        if note.generation != self.out.generation || self.link.is_none() {
            return;
        }
        match &note.what {
            What::Broken(_) => {
                let (now, again) = (Instant::now(), self.source.timing.again);
                let soon = self.last_probe.map_or(now, |last| now.max(last + again));
                self.probe_soon = Some(self.probe_soon.map_or(soon, |s| s.min(soon)));
            }
            What::Auth(error) => {
                let again = self.refused_at.is_some_and(|at| at.elapsed() < Duration::from_secs(60));
                self.refused_at = Some(Instant::now());
                if again || matches!(error, ClientError::NeedsPrompt { .. }) {
                    self.failed(&error.clone());
                } else {
                    self.attempt_at = Some(Instant::now());
                }
                self.stage = Stage::Down;
            }
            _ => {}
        }
        if self.kinds.note(note.scope, note.what) {
            self.reconcile();
        }
    }

    async fn finished(&mut self, job: Job) -> Result<(), Fault> {
        match job {
            Job::Connected(Ok(client)) => self.up(client).await,
            Job::Connected(Err(error)) => {
                self.stage = Stage::Down;
                self.failed(&error);
            }
            Job::Probed(result) => {
                self.probing = false;
                self.last_probe = Some(Instant::now());
                match result {
                    Ok(trip) => self.proved(trip).await?,
                    Err(ClientError::NotFound { .. }) if self.health.strange() => self.later(),
                    // It answers: overloaded, or it will not tell.
                    Err(ClientError::TooManyRequests { .. } | ClientError::Forbidden { .. } | ClientError::NotFound { .. }) => {
                        self.proved(Duration::ZERO).await?
                    }
                    Err(error) => self.failed(&error),
                }
            }
            Job::Discovered(generation, found) if generation == self.out.generation && found.stranger => {
                self.park().await;
                self.parked.clear();
                self.kinds.forget();
                self.stage = Stage::Down;
                self.health.stranger();
                self.later();
            }
            Job::Discovered(generation, found) if generation == self.out.generation => {
                if found.version.is_some() && found.version != self.version {
                    self.version.clone_from(&found.version);
                    let version = found.version.as_deref().unwrap_or_default().into();
                    self.out.send(Delta::Version(version)).await?;
                }
                self.kinds.discovered(|kind| found.has(kind));
                self.reconcile();
            }
            Job::Discovered(..) => {}
        }
        Ok(())
    }

    async fn proved(&mut self, trip: Duration) -> Result<(), Fault> {
        self.proof.touch();
        self.attempts = 0;
        let now = Instant::now();
        if self.stage == Stage::Down {
            // Found again, over a connection that was just made.
            self.health.proven(self.proof.last(), now);
            let client = self.client.borrow().clone();
            match client {
                Some(client) => self.up(client).await,
                None => self.connect(Duration::ZERO),
            }
        } else if trip > Duration::ZERO {
            let millis = u32::try_from(trip.as_millis()).unwrap_or(u32::MAX).max(1);
            if self.latency.is_none_or(|old| old.abs_diff(millis) > (old / 4).max(10)) {
                self.latency = Some(millis);
                self.out.send(Delta::Latency(millis)).await?;
            }
            self.used().await?;
        }
        Ok(())
    }

    /// Tells the use of the budget when something waits, or did; and now and then.
    async fn used(&mut self) -> Result<(), Fault> {
        let Some(used) = self.client.borrow().as_ref().map(ReadClient::used) else { return Ok(()) };
        if used.waiting != self.requests.1 || used.sent >= self.requests.0 + 20 {
            self.requests = (used.sent, used.waiting);
            let waiting = u32::try_from(used.waiting).unwrap_or(u32::MAX);
            self.out.send(Delta::Requests { sent: used.sent, waiting }).await?;
        }
        Ok(())
    }

    /// An attempt failed: the next is later.
    fn failed(&mut self, error: &ClientError) {
        let now = Instant::now();
        tracing::debug!(cluster = self.out.cluster.0, error = error.kind(), "attempt");
        self.health.failed(error, now);
        self.later();
        // A plugin that wants a person would open a browser each time.
        self.attempt_at = self.attempt_at.filter(|_| !matches!(error, ClientError::NeedsPrompt { .. }));
    }

    /// The next attempt, ever later.
    fn later(&mut self) {
        let timing = self.source.timing;
        let (first, most) = if self.health.refused() { REFUSED } else { (timing.again, timing.again_most) };
        let ceiling = first.saturating_mul(1 << self.attempts.min(16)).min(most);
        self.attempts += 1;
        self.attempt_at = Some(Instant::now() + ceiling.mul_f64(0.75 + 0.25 * fastrand::f64()));
    }

    /// Does what is due.
    async fn drive(&mut self) -> Result<(), Fault> {
        let now = Instant::now();
        self.look_at_the_clock(now);
        let recovered = self.health.proven(self.proof.last(), now);
        match self.stage {
            Stage::Connecting => {}
            Stage::Up if self.health.lost(now) || self.health.refused() => {
                self.stage = Stage::Down;
                self.park().await;
                self.attempt_at = self.attempt_at.or(Some(now)).filter(|_| !self.probing);
            }
            Stage::Up if recovered => {
                // Some of the connections may have died in silence.
                self.park().await;
                self.connect(SPREAD.mul_f64(fastrand::f64()));
            }
            Stage::Up => {
                if !self.probing && self.probe_at(now) <= now {
                    self.probe(false);
                }
            }
            Stage::Down => {
                if self.link.is_some() {
                    self.park().await;
                }
                self.look_at_the_files(now).await;
                if !self.probing && self.attempt_at.is_some_and(|at| at <= now) {
                    self.attempt_at = None;
                    if self.client.borrow().is_some() { self.probe(true) } else { self.connect(Duration::ZERO) }
                }
            }
        }
        Ok(())
    }

    /// Asks for a sign of life; `anew`: over a new connection, with what is in the files now.
    fn probe(&mut self, anew: bool) {
        let Some(client) = self.client.borrow().clone() else { return };
        self.probing = true;
        self.probe_soon = None;
        let (within, who) = (self.source.timing.probe, self.health.refused() || self.refused_at.is_some());
        self.jobs.spawn(async move {
            let ask = async {
                if anew {
                    client.reconnect().await?;
                }
                if anew && who {
                    // Unlike the health check, this one asks who we are.
                    client.get_bytes("/api", "application/json").await?;
                }
                client.readyz(within).await
            };
            // Plugins and dialling have limits of their own.
            Job::Probed(ask.await)
        });
    }

    fn probe_at(&self, now: Instant) -> Instant {
        let timing = self.source.timing;
        if let Some(soon) = self.probe_soon {
            return soon;
        }
        match self.last_probe {
            None => now,
            Some(last) if self.health.doubtful(now) => last + timing.again,
            Some(last) => (last + timing.latency).min(self.health.quiet_at().max(last + timing.again)),
        }
    }

    fn wake(&self) -> Instant {
        let now = Instant::now();
        let due = match self.stage {
            Stage::Up if !self.probing => Some(self.probe_at(now)),
            Stage::Down if !self.probing => self.attempt_at,
            _ => None,
        };
        let recheck = (self.stage == Stage::Up && self.health.doubtful(now)).then(|| now + self.source.timing.again);
        [due, self.health.next_change(now), recheck, Some(now + LOOK)].into_iter().flatten().min().unwrap_or(now + LOOK)
    }

    /// After a sleep every connection is doubtful, and no timer has noticed.
    fn look_at_the_clock(&mut self, now: Instant) {
        let wall = wall();
        let (then, wall_then) = std::mem::replace(&mut self.clock, (now, wall));
        let passed = i64::try_from(now.saturating_duration_since(then).as_secs()).unwrap_or(i64::MAX);
        if wall - wall_then - passed > SLEPT {
            tracing::debug!(cluster = self.out.cluster.0, "the machine slept");
            self.health.doubt("this machine slept", now);
            if self.stage == Stage::Up {
                self.stage = Stage::Down;
            }
            self.attempts = 0;
            self.attempt_at = Some(now);
        }
    }

    /// Refused, we wait ever longer: but whoever renews the credential meanwhile does not wait for that.
    async fn look_at_the_files(&mut self, now: Instant) {
        if !self.health.refused() || self.probing || self.looked_at.is_some_and(|at| now < at + LOOK / 2) {
            return;
        }
        self.looked_at = Some(now);
        let client = self.client.borrow().clone();
        if let Some(client) = client
            && client.rewritten().await
        {
            self.attempts = 0;
            self.attempt_at = Some(now);
        }
    }

    /// Sends what has changed of the states.
    async fn report(&mut self) -> Result<(), Fault> {
        let told = self.client.borrow().as_ref().and_then(ReadClient::told);
        if let Some(words) = told {
            self.out.send(Delta::Told(words.into())).await?;
        }
        for (kind, state) in self.kinds.changes() {
            self.out.send(Delta::KindState(kind, state)).await?;
        }
        self.health.synced = self.kinds.progress();
        let state = self.health.state(Instant::now(), wall());
        // The lists are in: the first round trip can be measured without waiting behind them, and somebody may wait for it.
        if self.latency.is_none() && self.last_probe.is_none() && state.live() && !self.probing {
            self.probe_soon = Some(Instant::now());
        }
        let same = match (&self.sent, &state) {
            (Some(ConnectionState::Stale { reason: a, .. }), ConnectionState::Stale { reason: b, .. })
            | (Some(ConnectionState::Unreachable { reason: a, .. }), ConnectionState::Unreachable { reason: b, .. }) => a == b,
            (Some(a), b) => a == b,
            (None, _) => false,
        };
        if !same {
            self.sent = Some(state.clone());
            self.out.send(Delta::State(state)).await?;
        }
        // The age of what is shown is told without a change on the screen: what comes from the server need not be one.
        let again = self.source.timing.again;
        if let Some(proof) = self.proof.last().filter(|at| self.told.is_none_or(|told| *at >= told + again)) {
            self.told = Some(proof);
            self.out.send(Delta::Alive).await?;
        }
        Ok(())
    }
}

/// Seconds since 1970.
fn wall() -> i64 {
    jiff::Timestamp::now().as_second()
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
