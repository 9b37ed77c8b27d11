//! What a cluster's nodes and pods use, as metrics.k8s.io tells it: asked now and then, over the cluster's own connection and budget.
//!
//! An answer is read while it comes in, an item at a time. What it means beside requests and limits is `table`'s.

use super::kube::Reader;
use super::service::{self, Closed, Handle};
use super::stead::{Instead, KINDS, Stead};
use crate::client::{ClientError, ReadClient};
use crate::model::{
    Batch, ClusterId, Delta, Interner, Kind, Service, ServiceState, Str, Time, Usage, UsageList, UsageRow, from_other, quantity,
};
use futures::TryStreamExt as _;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

const ROOT: &str = "/apis/metrics.k8s.io/v1beta1";
/// Between two looks. The server measures every 15 s at the most; of many pods it is asked less often.
const LOOK: Duration = Duration::from_secs(30);
const LOOK_AT_MANY: Duration = Duration::from_secs(60);
const MANY: usize = 2000;
/// Looks that fail, or find nothing to ask, get rarer up to this.
const RARE: Duration = Duration::from_secs(300);
/// A whole list takes no longer.
const ANSWER: Duration = Duration::from_secs(20);
/// What was measured before is not what is used now: no longer told after this.
const KEEP: Duration = Duration::from_secs(300);
/// The longest item, bytes.
const ITEM: usize = 1 << 20;

/// A cluster whose use is to be told.
pub struct MetricsSource {
    pub cluster: ClusterId,
    /// Its client, as soon as there is one.
    pub reader: Reader,
    /// Only pods of these; none: of all, and where that is forbidden of `fallback`.
    pub namespaces: Option<Vec<String>>,
    pub fallback: Option<String>,
    /// The first look waits so long: the first lists go before.
    pub after: Duration,
    /// Who else may tell it.
    pub stead: Stead,
}

/// Starts to ask for a cluster's metrics. Must be called within a tokio runtime.
pub fn spawn_metrics(source: MetricsSource, tx: mpsc::Sender<Batch>) -> Handle {
    let watch = Watch { source, tx, interner: Interner::default(), told: HashMap::new(), answered: false, failures: 0, last: None };
    Handle::of(tokio::spawn(async move {
        // The only error is that nobody takes deltas any more.
        let _ = watch.run().await;
    }))
}

/// A list that was asked for, and what came.
struct Heard {
    kind: Kind,
    namespace: Option<Str>,
    answer: Result<Vec<UsageRow>, ClientError>,
}

impl Heard {
    /// The permission that a 403 misses.
    fn missing(&self) -> Option<String> {
        let place = self.namespace.as_ref().map(|n| format!(" in {n}")).unwrap_or_default();
        matches!(self.answer, Err(ClientError::Forbidden { .. })).then(|| format!("list {}.metrics.k8s.io{place}", self.kind.plural()))
    }

    /// Why it does not answer; none: it does.
    fn gap(&self) -> Option<String> {
        match (self.missing(), &self.answer) {
            (_, Ok(_)) => None,
            (Some(missing), _) => Some(format!("forbidden, needs {missing}")),
            (None, Err(error)) => Some(format!("{}: {}", self.kind.plural(), error.reason())),
        }
    }
}

struct Watch {
    source: MetricsSource,
    tx: mpsc::Sender<Batch>,
    interner: Interner,
    /// When a list was told last, unless it was taken back.
    told: HashMap<(Kind, Option<Str>), Instant>,
    /// Something has, once.
    answered: bool,
    /// Looks in a row without any answer.
    failures: u32,
    last: Option<Looked>,
}

/// What the last look came to.
struct Looked {
    /// Live where anything answered.
    state: ServiceState,
    /// The kinds of which nothing answered.
    silent: Vec<Kind>,
    /// What did not answer, each in words.
    gaps: Vec<String>,
}

impl Looked {
    /// How it stands, and how it is told, where others tell of some kinds in its stead.
    fn with(&self, others: &[(Kind, Str)]) -> (ServiceState, Str) {
        let mut words: Vec<String> = Vec::new();
        match (&self.state, others) {
            (ServiceState::Live, _) => {
                words.push("the API server".to_owned());
                words.extend(self.gaps.iter().cloned());
                words.extend(others.iter().map(|(kind, by)| from_other(*kind, by)));
            }
            (_, [(_, by), ..]) => {
                words.push(by.to_string());
                let left = self.silent.iter().filter(|kind| others.iter().all(|(other, _)| other != *kind));
                words.extend(left.map(|kind| format!("nothing of {}", kind.plural())));
            }
            (state, []) => return (state.clone(), Str::default()),
        }
        (ServiceState::Live, words.join("; ").into())
    }
}

impl Watch {
    async fn run(mut self) -> Result<(), Closed> {
        let Some(client) = self.source.reader.wait().await else { return Ok(()) };
        sleep(self.source.after).await;
        let mut given = KINDS.map(|kind| self.source.stead.of(kind).hear());
        loop {
            let heard = self.look(&client).await;
            let pause = sleep(self.pause(&heard).mul_f64(0.9 + 0.2 * fastrand::f64()));
            self.tell(heard).await?;
            tokio::pin!(pause);
            loop {
                let changed = futures::future::select_all(given.iter_mut().map(|g| Box::pin(g.changed())));
                tokio::select! {
                    () = &mut pause => break,
                    // The senders are our own: they are always there.
                    _ = changed => self.stand().await?,
                    () = self.tx.closed() => return Err(Closed),
                }
            }
        }
    }

    /// Says how it stands, as soon as it is known who tells of what it does not.
    async fn stand(&mut self) -> Result<(), Closed> {
        let Some(last) = &self.last else { return Ok(()) };
        let halves = || last.silent.iter().map(|kind| (*kind, self.source.stead.of(*kind)));
        // While what it measured itself still holds, nobody else is asked: then there is nothing to wait for.
        if halves().any(|(_, half)| half.lacking() && half.instead() == Instead::Wait) {
            return Ok(());
        }
        let told = |(kind, half): (Kind, &super::stead::Half)| match half.instead() {
            Instead::Told(by) if half.lacking() => Some((kind, by)),
            _ => None,
        };
        let others: Vec<(Kind, Str)> = halves().filter_map(told).collect();
        let (state, via) = last.with(&others);
        for kind in last.silent.iter().filter(|kind| others.iter().all(|(other, _)| other != *kind)) {
            self.take_back(*kind).await?;
        }
        service::send(&self.tx, self.source.cluster, Delta::Service { service: Service::Metrics, state, via }).await
    }

    /// What another told of a kind is no longer known.
    async fn take_back(&self, kind: Kind) -> Result<(), Closed> {
        if self.source.stead.of(kind).take_back() {
            service::usage(&self.tx, self.source.cluster, UsageList { kind, namespace: None, rows: Vec::new() }).await?;
        }
        Ok(())
    }

    async fn look(&mut self, client: &ReadClient) -> Vec<Heard> {
        let mut heard = vec![self.ask(client, Kind::Node, None).await];
        let Some(list) = self.source.namespaces.clone() else {
            let all = self.ask(client, Kind::Pod, None).await;
            let own = self.source.fallback.clone().filter(|n| all.missing().is_some() && !n.is_empty());
            let Some(own) = own else {
                heard.push(all);
                return heard;
            };
            self.source.namespaces = Some(vec![own.clone()]);
            heard.push(self.ask(client, Kind::Pod, Some(&own)).await);
            return heard;
        };
        for namespace in &list {
            heard.push(self.ask(client, Kind::Pod, Some(namespace)).await);
        }
        heard
    }

    async fn ask(&mut self, client: &ReadClient, kind: Kind, namespace: Option<&str>) -> Heard {
        let path = match namespace {
            Some(namespace) => format!("{ROOT}/namespaces/{namespace}/{}", kind.plural()),
            None => format!("{ROOT}/{}", kind.plural()),
        };
        let answer = timeout(ANSWER, rows(client, &path, &mut self.interner)).await;
        Heard { kind, namespace: namespace.map(Str::from), answer: answer.unwrap_or(Err(ClientError::Timeout { after: ANSWER })) }
    }

    /// How long until the next look.
    fn pause(&mut self, heard: &[Heard]) -> Duration {
        let rows: usize = heard.iter().filter_map(|h| h.answer.as_ref().ok()).map(Vec::len).sum();
        if heard.iter().any(|h| h.answer.is_ok()) {
            self.failures = 0;
            return if rows > MANY { LOOK_AT_MANY } else { LOOK };
        }
        self.failures += 1;
        let asked = heard.iter().filter_map(|h| h.answer.as_ref().err()?.retry_after()).max().unwrap_or_default();
        LOOK.saturating_mul(1 << (self.failures - 1).min(8)).min(RARE).max(asked)
    }

    async fn tell(&mut self, heard: Vec<Heard>) -> Result<(), Closed> {
        let (answers, silent): (Vec<Kind>, Vec<Kind>) =
            KINDS.into_iter().partition(|kind| heard.iter().any(|h| h.kind == *kind && h.answer.is_ok()));
        self.last = Some(Looked { state: self.state(&heard), silent: silent.clone(), gaps: heard.iter().filter_map(Heard::gap).collect() });
        for kind in answers {
            self.source.stead.of(kind).lack(false);
            self.take_back(kind).await?;
        }
        for Heard { kind, namespace, answer } in heard {
            let place = (kind, namespace.clone());
            let rows = match answer {
                Ok(rows) => {
                    self.told.insert(place, Instant::now());
                    rows
                }
                Err(error) => {
                    let gone = matches!(error, ClientError::NotFound { .. } | ClientError::Forbidden { .. });
                    if !self.told.get(&place).is_some_and(|at| gone || at.elapsed() > KEEP) {
                        continue;
                    }
                    self.told.remove(&place);
                    Vec::new()
                }
            };
            service::usage(&self.tx, self.source.cluster, UsageList { kind, namespace, rows }).await?;
        }
        for kind in silent {
            // What was measured by it before goes first.
            self.source.stead.of(kind).lack(!self.told.keys().any(|(told, _)| *told == kind));
        }
        self.stand().await
    }

    fn state(&mut self, heard: &[Heard]) -> ServiceState {
        if heard.iter().any(|h| h.answer.is_ok()) {
            self.answered = true;
            return ServiceState::Live;
        }
        // Pods are what most is made of: their answer is last.
        match heard.last().map(|h| (h.missing(), &h.answer)) {
            Some((Some(missing), _)) => ServiceState::Forbidden { missing: missing.into() },
            Some((_, Err(ClientError::NotFound { .. }))) => ServiceState::absent(Service::Metrics),
            Some((_, Err(error))) => service::failed(self.answered, error),
            _ => ServiceState::Waiting,
        }
    }
}

/// Reads a list of measurements while it comes in.
async fn rows(client: &ReadClient, path: &str, interner: &mut Interner) -> Result<Vec<UsageRow>, ClientError> {
    let mut stream = client.stream(path, "application/json").await?;
    let (mut items, mut rows) = (Items::default(), Vec::new());
    while let Some(piece) = stream.try_next().await? {
        items.feed(&piece, |item| {
            rows.push(row(item, interner)?);
            Ok(())
        })?;
    }
    items.end()?;
    Ok(rows)
}

fn unreadable(message: &str) -> ClientError {
    ClientError::Decode { message: message.to_owned() }
}

/// Cuts the items out of a list in JSON that comes in pieces; holds one item at most.
#[derive(Default)]
struct Items {
    /// Open brackets.
    depth: usize,
    /// Inside the array that is the list's own.
    listed: bool,
    /// Inside a string, and behind its backslash.
    text: bool,
    escaped: bool,
    item: Vec<u8>,
    whole: bool,
}

impl Items {
    fn feed(&mut self, piece: &[u8], mut take: impl FnMut(&[u8]) -> Result<(), ClientError>) -> Result<(), ClientError> {
        for byte in piece {
            let before = self.depth;
            if before == 0 && *byte != b'{' && !byte.is_ascii_whitespace() {
                return Err(unreadable("no list"));
            }
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.text => self.escaped = true,
                b'"' => self.text = !self.text,
                _ if self.text => {}
                b'[' | b'{' => self.depth += 1,
                b']' | b'}' => self.depth = before.checked_sub(1).ok_or_else(|| unreadable("no list"))?,
                _ => {}
            }
            match (before, self.depth) {
                (1, 2) => self.listed = *byte == b'[',
                (2, 1) => self.listed = false,
                (1, 0) => self.whole = true,
                _ => {}
            }
            if !self.listed || before.max(self.depth) < 3 {
                continue;
            }
            self.item.push(*byte);
            if self.depth < 3 {
                take(&self.item)?;
                self.item.clear();
            } else if self.item.len() > ITEM {
                return Err(unreadable("an item without end"));
            }
        }
        Ok(())
    }

    fn end(&self) -> Result<(), ClientError> {
        if self.whole { Ok(()) } else { Err(unreadable("the list ends before its end")) }
    }
}

#[derive(Deserialize)]
struct Measured<'a> {
    #[serde(borrow)]
    metadata: Named<'a>,
    #[serde(borrow, default)]
    timestamp: Option<Cow<'a, str>>,
    /// Of a node.
    #[serde(borrow, default)]
    usage: Option<Amounts<'a>>,
    /// Of a pod.
    #[serde(borrow, default)]
    containers: Option<Vec<Container<'a>>>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Container<'a> {
    #[serde(borrow, default)]
    usage: Option<Amounts<'a>>,
}

#[derive(Deserialize)]
struct Amounts<'a> {
    #[serde(borrow, default)]
    cpu: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    memory: Option<Cow<'a, str>>,
}

/// One item: of a pod the sum of its containers, none where one of them was not measured.
fn row(item: &[u8], interner: &mut Interner) -> Result<UsageRow, ClientError> {
    let measured: Measured = serde_json::from_slice(item).map_err(|_| unreadable("no measurement"))?;
    let containers = measured.containers.iter().flatten().map(|c| c.usage.as_ref());
    let parts: Vec<Option<&Amounts>> = measured.usage.as_ref().map(Some).into_iter().chain(containers).collect();
    let sum = |amount: fn(&Amounts) -> Option<i64>| {
        parts.iter().map(|part| part.and_then(amount)).reduce(|a, b| Some(a?.saturating_add(b?))).flatten()
    };
    // Rounded up when summed, as kubectl does: a pod of many idle containers does not use a millicore each.
    let cpu = sum(|a| quantity::nano(a.cpu.as_deref()?)).map(|nano| nano / 1_000_000 + i64::from(nano % 1_000_000 > 0));
    let at = measured.timestamp.and_then(|t| t.parse::<jiff::Timestamp>().ok()).and_then(|t| Time::from_secs(t.as_second()));
    Ok(UsageRow {
        namespace: interner.str(&measured.metadata.namespace),
        name: (&*measured.metadata.name).into(),
        usage: Usage { cpu_m: cpu, memory: sum(|a| quantity::whole(a.memory.as_deref()?)), at },
    })
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
