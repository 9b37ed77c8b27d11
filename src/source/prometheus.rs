//! Prometheus, or VictoriaMetrics, as deltas: what it measures of each cluster, by the queries of the configuration.
//!
//! One task an endpoint: clusters that share it share the requests, and a label tells what belongs to which. Queries go one after the other, all of
//! them once a minute but those that are dear, which the others do not wait for. A query that is refused costs only itself; one that finds nothing says
//! whether there is nothing of the kind or no metric. What nodes and what pods use is asked only of clusters whose metrics.k8s.io does not tell of them.

use super::service::{self, Closed, Handle, failed};
use super::shared::{self, Member, Not, Owner, Wanted, grouped};
use super::stead::{KINDS, Stead};
use super::uses::{Full, Told};
use crate::client::{Backoff, ClientError};
use crate::model::prometheus::{Answer, Rules, Series};
use crate::model::query::fill;
use crate::model::{
    Alert, AlertState, Batch, ClaimRow, ClusterId, Delta, Gives, Interner, Kind, Labels, Object, Query, Service, ServiceState, Signal,
    SignalState, Str, Uid,
};
use crate::reach::{Reached, Replica, Sought, forwarded, replicas};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// How long until what. Scaled down in tests.
#[derive(Clone, Copy)]
struct Pace {
    /// Between two rounds.
    round: Duration,
    /// How long one answer may take.
    answer: Duration,
    /// The same of a query that is not asked every round.
    dear: Duration,
    /// How long the cluster may take to have a client.
    client: Duration,
    /// Between two looks for a Prometheus where there is none.
    absent: Duration,
    /// How long it holds whether a metric is there.
    known: Duration,
}

const PACE: Pace = Pace {
    round: Duration::from_secs(60),
    answer: Duration::from_secs(10),
    dear: Duration::from_secs(60),
    client: Duration::from_secs(10),
    absent: Duration::from_secs(300),
    known: Duration::from_secs(600),
};
/// Between two points of a course, seconds.
const STEP: u64 = 60;
/// Points of a course.
const POINTS: usize = 30;
/// Alerts that are pending are told so many of a cluster.
const WAITING: usize = 200;
/// The queries that tell of targets that are down, and of alerts where Prometheus itself does not tell.
const DOWN: &str = "targets-down";
const PENDING: &str = "alerts-pending";
/// Rows of a query and cluster at the most.
const ROWS: usize = 50;

/// Starts to ask for the signals of these clusters, each endpoint by a task of its own, and for the use of those that lack it. Deltas go to `tx`, which
/// waits while it is full. Must be called within a tokio runtime.
pub fn spawn_prometheus(
    clusters: Vec<Wanted>,
    queries: &Arc<[Query]>,
    steads: impl Fn(ClusterId) -> Stead,
    tx: &mpsc::Sender<Batch>,
) -> Vec<Handle> {
    grouped(clusters).into_iter().map(|group| spawn(group, queries.clone(), &steads, tx.clone(), PACE)).collect()
}

fn spawn(group: Vec<Wanted>, queries: Arc<[Query]>, steads: impl Fn(ClusterId) -> Stead, tx: mpsc::Sender<Batch>, pace: Pace) -> Handle {
    let members = shared::members(&group);
    let steads: Vec<Stead> = members.iter().map(|m| steads(m.id)).collect();
    for kind in queries.iter().filter_map(|q| q.gives.instead()) {
        steads.iter().for_each(|s| s.of(kind).ask());
    }
    let way = group.into_iter().next();
    Handle::of(tokio::spawn(async move {
        let Some(way) = way else { return };
        let watch = Watch {
            pace,
            tx,
            queries,
            replica: replicas(&way.endpoint, None).into_iter().next(),
            members,
            steads,
            way,
            interner: Interner::default(),
            backoff: Backoff::default(),
            answered: false,
            courses: HashMap::new(),
            waiting: Vec::new(),
            full: Vec::new(),
            there: HashMap::new(),
            kept: HashMap::new(),
        };
        // The only error is that nobody takes deltas any more.
        let _ = watch.run().await;
    }))
}

struct Watch {
    pace: Pace,
    tx: mpsc::Sender<Batch>,
    queries: Arc<[Query]>,
    /// Never empty.
    members: Vec<Member>,
    /// Of each member.
    steads: Vec<Stead>,
    /// None while it is not known where it is.
    replica: Option<Replica>,
    /// The first member's way there.
    way: Wanted,
    interner: Interner,
    backoff: Backoff,
    /// It has, once.
    answered: bool,
    /// What was heard before of the rows of queries for the highest, by member: such a query has no course of its own.
    courses: HashMap<(usize, Uid), VecDeque<f64>>,
    /// What it alone knows of, of each member.
    waiting: Vec<Vec<Alert>>,
    /// How full the claims of each member are.
    full: Vec<Vec<ClaimRow>>,
    /// In which members a query's metric is, and when that was asked.
    there: HashMap<Str, (Instant, Vec<bool>)>,
    /// The rows of queries that are not asked every round, and when they are asked again.
    kept: HashMap<Str, (Instant, Rows)>,
}

/// The rows of each member.
type Rows = Vec<Vec<Signal>>;

impl Watch {
    async fn run(mut self) -> Result<(), Closed> {
        let mut lacks: Vec<watch::Receiver<bool>> = self.steads.iter().flat_map(|s| KINDS.map(|kind| s.of(kind).listen())).collect();
        loop {
            let began = Instant::now();
            lacks.iter_mut().for_each(watch::Receiver::mark_unchanged);
            let wait = match self.replica.clone() {
                None => self.find().await?,
                Some(replica) => match self.round(replica).await {
                    Ok(rows) => {
                        self.answered = true;
                        self.backoff.reset();
                        self.tell(rows).await?;
                        self.uses().await?;
                        self.pace.round.mul_f64(0.95 + 0.1 * fastrand::f64()).saturating_sub(began.elapsed())
                    }
                    Err(error) => self.lost(&error).await?,
                },
            };
            let until = Instant::now() + wait;
            loop {
                let lacking = futures::future::select_all(lacks.iter_mut().map(|l| Box::pin(l.changed())));
                tokio::select! {
                    () = sleep_until(until) => break,
                    _ = lacking => self.uses().await?,
                    () = self.tx.closed() => return Err(Closed),
                }
            }
        }
    }

    /// The kinds that a member lacks the use of.
    fn lacking(&self, member: usize) -> impl Iterator<Item = Kind> {
        KINDS.into_iter().filter(move |kind| self.steads[member].of(*kind).lacking())
    }

    /// Tells what the nodes and pods of those members use that lack it; of which nothing is known, that it cannot.
    async fn uses(&mut self) -> Result<(), Closed> {
        let lacking: Vec<(usize, Kind)> = (0..self.members.len()).flat_map(|n| self.lacking(n).map(move |kind| (n, kind))).collect();
        if lacking.is_empty() {
            return Ok(());
        }
        let at = match &mut self.replica {
            Some(replica) => replica.reach().await.ok(),
            None => None,
        };
        let via: Str = self.replica.as_ref().map_or_else(Str::default, |r| format!("Prometheus, {r}").into());
        for kind in KINDS.into_iter().filter(|kind| lacking.iter().any(|(_, lacks)| lacks == kind)) {
            let mut told = match &at {
                Some(at) => self.ask_uses(at, kind).await,
                None => Vec::new(),
            };
            told.resize_with(self.members.len(), || Told::new(kind));
            for (n, told) in told.into_iter().enumerate().filter(|(n, _)| lacking.contains(&(*n, kind))) {
                let known = !told.is_empty();
                // Meanwhile the other may tell again.
                if known && self.steads[n].of(kind).lacking() {
                    service::usage(&self.tx, self.members[n].id, told.list()).await?;
                }
                self.steads[n].of(kind).give(known.then_some(&via));
            }
        }
        Ok(())
    }

    /// What each member's nodes or pods use; none where the query is refused.
    async fn ask_uses(&mut self, at: &Reached, kind: Kind) -> Vec<Told> {
        let mut told: Vec<Told> = self.members.iter().map(|_| Told::new(kind)).collect();
        for query in self.queries.clone().iter().filter(|q| q.gives.instead() == Some(kind)) {
            if let Err(error) = self.share(at, query, |n, series, interner| told[n].take(series, interner)).await {
                tracing::debug!("query {}: {}", query.name, error.reason());
            }
        }
        told
    }

    /// Asks a query, and gives each series to the member that it is of.
    async fn share(&mut self, at: &Reached, query: &Query, mut take: impl FnMut(usize, &Series, &mut Interner)) -> Result<(), ClientError> {
        let answer = self.ask(at, query).await?;
        for series in &answer.data.result {
            if let Owner::Member(n) = shared::owner(&self.members, |label| series.metric.get(label).map(String::as_str)) {
                take(n, series, &mut self.interner);
            }
        }
        Ok(())
    }

    /// How full the claims of each member are. A query that fails costs only itself, and is among the rows.
    async fn ask_full(&mut self, at: &Reached, rows: &mut Rows) -> Result<Vec<Vec<ClaimRow>>, ClientError> {
        let mut full: Vec<Full> = self.members.iter().map(|_| Full::default()).collect();
        for query in self.queries.clone().iter().filter(|q| q.gives == Gives::ClaimUse) {
            match self.share(at, query, |n, series, interner| full[n].take(series, interner)).await {
                Ok(()) => {}
                Err(error) if error.never_sent() || error.is_auth() => return Err(error),
                Err(error) => {
                    let row = Signal::without(query, SignalState::Failing, Some(error.reason().into()));
                    rows.iter_mut().for_each(|r| r.push(row.clone()));
                }
            }
        }
        Ok(full.into_iter().map(Full::rows).collect())
    }

    async fn find(&mut self) -> Result<Duration, Closed> {
        match shared::way(&mut self.way, &Sought::PROMETHEUS, self.pace.client, self.answered).await? {
            Ok((there, _)) => {
                self.replica = there.into_iter().next();
                Ok(Duration::ZERO)
            }
            Err(Not::Yet(state)) => {
                self.stand(&state, Str::default()).await?;
                self.uses().await?;
                Ok(self.backoff.next_delay())
            }
            Err(Not::There(state)) => {
                self.backoff.reset();
                if self.answered {
                    for member in &self.members {
                        service::send(&self.tx, member.id, Delta::Waiting(Arc::default())).await?;
                        service::send(&self.tx, member.id, Delta::ClaimUse(Vec::new())).await?;
                    }
                    self.list(self.members.iter().map(|_| Vec::new()).collect()).await?;
                }
                self.stand(&state, Str::default()).await?;
                self.uses().await?;
                Ok(self.pace.absent)
            }
        }
    }

    /// It does not answer as it should: says so, and how long to wait.
    async fn lost(&mut self, error: &ClientError) -> Result<Duration, Closed> {
        let via = self.replica.as_ref().map_or_else(Str::default, |r| r.to_string().into());
        match (&mut self.replica, error) {
            // What was found by itself is looked for anew once it is gone.
            (replica, ClientError::NotFound { .. }) if self.way.endpoint.reach.value.is_none() => {
                *replica = None;
                self.way.found.set(None);
            }
            // A pod that is met by itself may have been replaced.
            (replica, _) if forwarded(&self.way.endpoint).is_some() => *replica = None,
            (Some(replica), _) => replica.forget(),
            (None, _) => {}
        }
        self.stand(&failed(self.answered, error), via).await?;
        for half in self.steads.iter().flat_map(|s| KINDS.map(|kind| s.of(kind))).filter(|h| h.lacking()) {
            half.give(None);
        }
        Ok(self.backoff.next_delay().max(error.retry_after().unwrap_or_default()))
    }

    /// Every query once. An error is the endpoint's, not a query's.
    async fn round(&mut self, mut replica: Replica) -> Result<Rows, ClientError> {
        let at = replica.reach().await?;
        // Kept, so that the next round has the connection.
        self.replica = Some(replica);
        let mut rows: Rows = self.members.iter().map(|_| Vec::new()).collect();
        let queries = self.queries.clone();
        let signals = || queries.iter().filter(|q| q.gives == Gives::Signals);
        for query in signals().filter(|q| q.every.is_none()) {
            self.row(&at, query, &mut rows).await?;
        }
        self.dear(&at, signals().filter(|q| q.every.is_some()), &mut rows).await?;
        self.full = self.ask_full(&at, &mut rows).await?;
        self.waiting = self.waits(&at, &rows).await?;
        // What was not told again is over.
        let told: std::collections::HashSet<(usize, Uid)> =
            rows.iter().enumerate().flat_map(|(n, rows)| rows.iter().map(move |s| (n, s.meta.uid))).collect();
        self.courses.retain(|key, _| told.contains(key));
        self.interner.sweep(told.len());
        Ok(rows)
    }

    /// One query: its rows, or why there are none. An error is the endpoint's.
    async fn row(&mut self, at: &Reached, query: &Query, rows: &mut Rows) -> Result<(), ClientError> {
        match self.ask(at, query).await {
            Ok(answer) => {
                if self.fold(query, answer, rows) {
                    self.without(at, query, rows).await?;
                }
                Ok(())
            }
            Err(ClientError::Invalid { message }) => {
                fail(query, &message, rows);
                Ok(())
            }
            // What is dear may take too long here, and the rest not.
            Err(error @ (ClientError::Timeout { .. } | ClientError::Server { .. })) if query.every.is_some() => {
                fail(query, error.reason().as_ref(), rows);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The rows of queries that are not asked every round. What else is known is told before one waits for those that are due.
    async fn dear<'a>(&mut self, at: &Reached, queries: impl Iterator<Item = &'a Query>, rows: &mut Rows) -> Result<(), ClientError> {
        let (mut due, now) = (Vec::new(), Instant::now());
        for query in queries {
            let kept = self.kept.get(&query.name);
            if kept.is_none_or(|(again, _)| *again <= now) {
                due.push(query);
            }
            for (own, rows) in kept.iter().flat_map(|(_, kept)| kept).zip(rows.iter_mut()) {
                rows.extend(own.iter().cloned());
            }
        }
        // At first all of them, then one a round: the others wait for no more than one.
        if self.answered {
            due.truncate(1);
        }
        if !due.is_empty() && (self.list(rows.clone()).await.is_err() || self.uses().await.is_err()) {
            // Nobody listens: the next who is told finds out.
            return Ok(());
        }
        for query in due {
            rows.iter_mut().for_each(|rows| rows.retain(|s| s.meta.name != query.name));
            let mut own: Rows = self.members.iter().map(|_| Vec::new()).collect();
            self.row(at, query, &mut own).await?;
            rows.iter_mut().zip(&own).for_each(|(rows, own)| rows.extend(own.iter().cloned()));
            // Not all of them together for ever.
            let wait = query.every.unwrap_or_default().mul_f64(0.95 + 0.1 * fastrand::f64());
            self.kept.insert(query.name.clone(), (Instant::now() + wait, own));
        }
        Ok(())
    }

    /// The alerts that are pending, and the targets that are down.
    async fn waits(&mut self, at: &Reached, rows: &Rows) -> Result<Vec<Vec<Alert>>, ClientError> {
        let mut all: Vec<Vec<Alert>> = self.members.iter().map(|_| Vec::new()).collect();
        // What keeps series for others has no rules of its own, and may not have the path.
        let rules = match at.get::<Rules>("/api/v1/rules?type=alert", self.pace.answer).await {
            Ok(rules) => Some(rules).filter(|r| r.status == "success"),
            Err(error) if error.never_sent() || error.is_auth() => return Err(error),
            Err(_) => None,
        };
        for alert in rules.iter().flat_map(Rules::pending) {
            let Owner::Member(n) = shared::owner(&self.members, |label| alert.labels.get(label).map(String::as_str)) else { continue };
            if all[n].len() < WAITING {
                let mut labels = |all: &BTreeMap<String, String>| {
                    Labels::from(all.iter().map(|(name, value)| (self.interner.str(name), self.interner.str(value))).collect::<Vec<_>>())
                };
                let (labels, annotations) = (labels(&alert.labels), labels(&alert.annotations));
                all[n].push(Alert::waiting("", AlertState::Pending, labels, annotations, alert.since()));
            }
        }
        for (all, rows) in all.iter_mut().zip(rows) {
            for row in rows.iter().filter(|s| s.value.is_some_and(|n| n > 0.0)) {
                let (name, state, said) = match &*row.meta.name {
                    DOWN => ("TargetDown", AlertState::Down, vec![("summary".into(), row.of_what().into())]),
                    PENDING if rules.is_none() => ("", AlertState::Pending, Vec::new()),
                    _ => continue,
                };
                all.push(Alert::waiting(name, state, row.meta.labels.clone(), Labels::from(said), None));
            }
        }
        Ok(all)
    }

    async fn ask(&self, at: &Reached, query: &Query) -> Result<Answer, ClientError> {
        let expr = self.filled(&query.expr);
        let path = match query.top {
            Some(top) => {
                let by = self.filled("by ($by)");
                format!("/api/v1/query?query={}", encoded(&format!("topk {by} ({top}, {expr})")))
            }
            None if query.gives != Gives::Signals || query.every.is_some() => format!("/api/v1/query?query={}", encoded(&expr)),
            None => {
                let end = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0) / STEP * STEP;
                let start = end.saturating_sub(STEP * (POINTS as u64 - 1));
                format!("/api/v1/query_range?start={start}&end={end}&step={STEP}&query={}", encoded(&expr))
            }
        };
        let within = if query.every.is_some() { self.pace.dear } else { self.pace.answer };
        let answer: Answer = at.get(&path, within).await?;
        match answer.status.as_str() {
            "success" => Ok(answer),
            "error" => Err(ClientError::Invalid { message: answer.error }),
            _ => Err(ClientError::Decode { message: "it is no answer of a Prometheus".to_owned() }),
        }
    }

    fn filled(&self, expr: &str) -> String {
        let names: Vec<String> = self.members.iter().flat_map(|m| m.names.iter().cloned()).collect();
        fill(expr, self.members[0].label.as_deref(), &names)
    }

    /// Puts the series where they belong, the highest first; whether some member has none.
    fn fold(&mut self, query: &Query, answer: Answer, rows: &mut Rows) -> bool {
        let mut own: Vec<Vec<Signal>> = self.members.iter().map(|_| Vec::new()).collect();
        for series in answer.data.result {
            let Owner::Member(n) = shared::owner(&self.members, |label| series.metric.get(label).map(String::as_str)) else { continue };
            own[n].extend(self.signal(query, n, &series));
        }
        let mut missing = false;
        for (mut own, rows) in own.into_iter().zip(rows) {
            own.sort_by(|a, b| b.value.partial_cmp(&a.value).unwrap_or(std::cmp::Ordering::Equal));
            own.truncate(query.top.map_or(ROWS, |top| top as usize));
            missing |= own.is_empty();
            rows.append(&mut own);
        }
        missing
    }

    fn signal(&mut self, query: &Query, member: usize, series: &Series) -> Option<Signal> {
        let cluster = self.members[member].label.as_deref();
        let pairs = series.metric.iter().filter(|(name, _)| Some(name.as_str()) != cluster && *name != "__name__");
        let labels = Labels::from(pairs.map(|(name, value)| (self.interner.str(name), self.interner.str(value))).collect::<Vec<_>>());
        let Some(sample) = &series.value else {
            let course: Box<[f64]> = series.values.iter().filter_map(crate::model::prometheus::Sample::number).collect();
            // A series that has ended is not what is so now.
            let now = jiff::Timestamp::now().as_second();
            let last = series.values.last().filter(|s| s.0 + 3.0 * STEP as f64 >= now as f64)?.number()?;
            return Some(Signal::of(query, labels, last, course));
        };
        let value = sample.number()?;
        let course = self.courses.entry((member, Signal::uid(query, &labels))).or_default();
        course.push_back(value);
        if course.len() > POINTS {
            course.pop_front();
        }
        let course = course.iter().copied().collect();
        Some(Signal::of(query, labels, value, course))
    }

    /// A row for each member of which the query told nothing: whether there is nothing of the kind, or no metric.
    async fn without(&mut self, at: &Reached, query: &Query, rows: &mut Rows) -> Result<(), ClientError> {
        let there = match self.there.get(&query.name) {
            Some((asked, there)) if asked.elapsed() < self.pace.known => there.clone(),
            _ if query.needs.is_empty() => self.members.iter().map(|_| true).collect(),
            _ => {
                let expr = self.filled(&format!("count by ($by) ({}{{$match}})", query.needs));
                let path = format!("/api/v1/query?query={}", encoded(&expr));
                let answer: Answer = match at.get(&path, self.pace.answer).await {
                    Err(ClientError::Invalid { .. }) => Answer::default(),
                    other => other?,
                };
                let has = |n: usize| {
                    let of = |s: &Series| shared::owner(&self.members, |label| s.metric.get(label).map(String::as_str));
                    answer.data.result.iter().any(|s| matches!(of(s), Owner::Member(m) if m == n))
                };
                let there: Vec<bool> = (0..self.members.len()).map(has).collect();
                self.there.insert(query.name.clone(), (Instant::now(), there.clone()));
                there
            }
        };
        for (there, rows) in there.into_iter().zip(rows) {
            if rows.iter().any(|s| s.meta.name == query.name) {
                continue;
            }
            rows.push(match there {
                true => Signal::without(query, SignalState::Nothing, None),
                false => Signal::without(query, SignalState::NoData, Some(format!("there is no {}", query.needs).into())),
            });
        }
        Ok(())
    }

    async fn tell(&mut self, rows: Rows) -> Result<(), Closed> {
        self.list(rows).await?;
        for (member, alerts) in self.members.iter().zip(std::mem::take(&mut self.waiting)) {
            let alerts = alerts.into_iter().map(Arc::new).collect();
            service::send(&self.tx, member.id, Delta::Waiting(alerts)).await?;
        }
        for (member, rows) in self.members.iter().zip(std::mem::take(&mut self.full)) {
            service::send(&self.tx, member.id, Delta::ClaimUse(rows)).await?;
        }
        let via = self.replica.as_ref().map_or_else(Str::default, |r| r.to_string().into());
        // Last: whoever waits for it finds the rows there.
        self.stand(&ServiceState::Live, via).await
    }

    async fn list(&self, rows: Rows) -> Result<(), Closed> {
        for (member, rows) in self.members.iter().zip(rows) {
            // Of two with the same name and labels there can be one row.
            let rows: BTreeMap<Uid, Signal> = rows.into_iter().map(|s| (s.meta.uid, s)).collect();
            service::list(&self.tx, member.id, Kind::Signal, rows.into_values().map(|s| Object::Signal(Arc::new(s)))).await?;
        }
        Ok(())
    }

    async fn stand(&self, state: &ServiceState, via: Str) -> Result<(), Closed> {
        shared::stand(&self.tx, &self.members, Service::Prometheus, state, via).await
    }
}

/// A row for each member that says why it failed.
fn fail(query: &Query, why: &str, rows: &mut Rows) {
    let row = Signal::without(query, SignalState::Failing, Some(why.into()));
    rows.iter_mut().for_each(|r| r.push(row.clone()));
}

/// For a query string: all but letters, digits, `-`, `.`, `_` and `~` by their bytes.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
#[path = "prometheus_tests.rs"]
mod tests;
