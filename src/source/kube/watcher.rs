//! One kind in one namespace (or all): a list that is handed on while it streams in, then a watch from where it ended.
//!
//! Owns resourceVersions, framing, batching and what to do after each failure. What the failures mean for the cluster is
//! the supervisor's, in `cluster`; rows that a re-list no longer names are swept by the store.

use super::escape;
use super::health::Proof;
use crate::client::{Backoff, ByteStream, ClientError, ReadClient};
use crate::model::frame::{self, FrameError, ListDecoder, ListPart, WatchDecoder};
use crate::model::{Batch, Change, ClusterId, Delta, Generation, Interner, Kind, Object, Str, Uid, decode_json, decode_proto};
use futures::future::{Either, select};
use futures::{StreamExt, TryStreamExt};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

/// Rows in a batch at most.
const ROWS: usize = 512;
/// Items on a page of a JSON list: a page is held in memory whole.
const PAGE: usize = 500;
/// Pods that are asked for beside the first whole list, of which a server sends nothing before it has read all: a screenful
/// at once. 10,000 pods on the lab: after 15 ms, where the list begins after 180.
const GLANCE: usize = 100;
/// How long the server is asked to keep a watch open, and how much longer we wait for it to end.
const WATCH: Duration = Duration::from_secs(290);
const GRACE: Duration = Duration::from_secs(5);
const JSON: &str = "application/json";
/// Rows that come in this soon after the first go with it; then the next batch waits for `PAUSE`.
const GATHER: Duration = Duration::from_millis(15);
const PAUSE: Duration = Duration::from_millis(30);
/// A watch that ends sooner and brought nothing counts as a failure.
const SHORT: Duration = Duration::from_secs(5);
/// The longest line of a JSON watch, as with protobuf's frames.
const LINE: usize = 16 << 20;

/// Where batches go, and as whose.
#[derive(Clone)]
pub(super) struct Out {
    pub cluster: ClusterId,
    pub generation: Generation,
    pub tx: mpsc::Sender<Batch>,
}

impl Out {
    /// Hands a delta to the store, waiting while it is behind. An error means that nobody listens any more.
    pub async fn send(&self, delta: Delta) -> Result<(), Fault> {
        let batch = Batch { cluster: self.cluster, generation: self.generation, delta };
        self.tx.send(batch).await.map_err(|_| Fault::Closed)
    }
}

/// What one connection to a cluster gives all its watchers.
pub(super) struct Link {
    pub client: ReadClient,
    pub out: Out,
    pub notes: mpsc::UnboundedSender<Note>,
    pub proof: Arc<Proof>,
}

/// What a watcher follows.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Scope {
    pub kind: Kind,
    pub namespace: Option<Str>,
}

/// What a watcher tells its supervisor.
pub(super) struct Note {
    pub generation: Generation,
    pub scope: Scope,
    pub what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Listing,
    Live,
    Forbidden,
    Missing,
    /// The server answers, but not with what was asked for.
    Failing(ClientError),
    /// The connection is gone or was refused.
    Broken(ClientError),
    /// Credentials are needed; the watcher waits until it is stopped.
    Auth(ClientError),
}

/// Why a list or a watch ended before its time.
#[derive(Debug)]
pub(super) enum Fault {
    Client(ClientError),
    /// The receiver of batches is gone.
    Closed,
}

impl From<ClientError> for Fault {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}
impl From<FrameError> for Fault {
    fn from(error: FrameError) -> Self {
        unreadable(error)
    }
}

fn unreadable(error: impl std::fmt::Display) -> Fault {
    Fault::Client(ClientError::Decode { message: error.to_string() })
}

/// Follows one scope; keeps its place when the connection is replaced.
pub(super) struct Watcher {
    pub scope: Scope,
    interner: Interner,
    /// Where the watch goes on; none: list first.
    version: Option<String>,
    /// The list must be current: after 410, what the server's cache has may be older than what we had.
    current: bool,
    /// The server does not speak protobuf for this kind.
    json: bool,
    /// 403 in a row.
    refusals: u32,
    was_live: bool,
    told: Told,
}

impl Watcher {
    pub fn new(scope: Scope) -> Self {
        Self {
            json: !scope.kind.proto(),
            scope,
            interner: Interner::default(),
            version: None,
            current: false,
            refusals: 0,
            was_live: false,
            told: Told::default(),
        }
    }

    /// Lists and watches until the receiver is gone or the future is dropped, which is safe at any point.
    pub async fn run(&mut self, link: &Link) {
        let mut backoff = Backoff::default();
        loop {
            let outcome = match self.version.clone() {
                None => self.list(link).await,
                Some(version) => self.watch(link, version, &mut backoff).await,
            };
            let error = match outcome {
                Ok(()) => continue,
                Err(Fault::Closed) => return,
                Err(Fault::Client(error)) => error,
            };
            tracing::debug!(cluster = link.out.cluster.0, kind = self.scope.kind.name(), error = error.kind(), "watch");
            let wait = self.react(link, error, &mut backoff).await;
            sleep(wait).await;
        }
    }

    /// Takes note of an error and says how long to wait.
    async fn react(&mut self, link: &Link, error: ClientError, backoff: &mut Backoff) -> Duration {
        let listing = self.version.is_none();
        let delay = backoff.next_delay();
        let first = backoff.attempts() == 1;
        match error {
            ClientError::Gone { .. } => {
                self.relist();
                if first { Duration::ZERO } else { delay }
            }
            ClientError::TooLarge { retry_after } => {
                self.relist();
                retry_after.unwrap_or(Duration::from_secs(1))
            }
            ClientError::Decode { .. } => {
                self.version = None;
                self.note(link, What::Failing(error));
                delay
            }
            ClientError::Forbidden { .. } => {
                self.version = None;
                self.refusals += 1;
                self.note(link, What::Forbidden);
                // A server that has just started refuses what it will grant once its rules are loaded.
                let soon = if self.was_live { [2, 5, 15].get(self.refusals as usize - 1) } else { None };
                soon.map_or_else(|| Duration::from_secs(60).mul_f64(0.9 + 0.3 * fastrand::f64()), |s| Duration::from_secs(*s))
            }
            ClientError::NotFound { .. } => {
                self.version = None;
                self.note(link, What::Missing);
                Duration::from_secs(300).mul_f64(0.9 + 0.3 * fastrand::f64())
            }
            // 406, and 415, which is among the invalid.
            ClientError::NotAcceptable { .. } | ClientError::Invalid { .. } if !self.json => {
                self.json = true;
                self.version = None;
                Duration::ZERO
            }
            ClientError::TooManyRequests { retry_after } => {
                if listing {
                    self.note(link, What::Failing(error));
                }
                delay.max(retry_after.unwrap_or_default())
            }
            ClientError::Unreachable { .. } | ClientError::Timeout { .. } => {
                self.note(link, What::Broken(error));
                delay
            }
            _ if error.is_auth() || matches!(error, ClientError::Config { .. }) => {
                self.note(link, What::Auth(error));
                std::future::pending().await
            }
            _ => {
                self.note(link, What::Failing(error));
                delay
            }
        }
    }

    fn relist(&mut self) {
        self.version = None;
        self.current = true;
    }

    fn note(&self, link: &Link, what: What) {
        // Without a supervisor the task is about to be stopped.
        let _ = link.notes.send(Note { generation: link.out.generation, scope: self.scope.clone(), what });
    }

    async fn list(&mut self, link: &Link) -> Result<(), Fault> {
        let mut list = Listing { rows: Rows::new(self.scope.kind), begun: false, version: String::new() };
        self.told.clear();
        let path = self.scope.kind.path(self.scope.namespace.as_deref());
        let mut next = String::new();
        loop {
            let query = match (next.as_str(), self.json) {
                ("", true) => format!("limit={PAGE}"),
                ("", false) if self.current => String::new(),
                ("", false) => "resourceVersion=0".to_owned(),
                (token, _) => format!("limit={PAGE}&continue={}", escape(token)),
            };
            let url = if query.is_empty() { path.clone() } else { format!("{path}?{query}") };
            let asked = ask(link, &url, self.json);
            let glances = self.scope.kind == Kind::Pod && !list.begun && !self.json && !self.current && !self.was_live;
            let answer = if glances { self.glance(link, &path, asked).await? } else { asked.await? };
            if !list.begun {
                list.begun = true;
                self.note(link, What::Listing);
                let (kind, namespace) = (self.scope.kind, self.scope.namespace.clone());
                link.out.send(Delta::ListBegin { kind, namespace }).await?;
            }
            next = if self.json { self.page_json(link, answer, &mut list).await? } else { self.page(link, answer, &mut list).await? };
            if next.is_empty() {
                break;
            }
        }
        list.rows.flush(&link.out).await?;
        let (kind, namespace) = (self.scope.kind, self.scope.namespace.clone());
        link.out.send(Delta::ListEnd { kind, namespace }).await?;
        self.interner.sweep(list.rows.total);
        self.version = Some(list.version);
        self.current = false;
        self.live(link);
        Ok(())
    }

    /// Hands some rows on while the whole list is waited for, before it begins: what it does not name is swept. Whatever goes wrong
    /// with them goes wrong with the list too, which says so.
    async fn glance(
        &mut self,
        link: &Link,
        path: &str,
        list: impl Future<Output = Result<ByteStream, Fault>>,
    ) -> Result<ByteStream, Fault> {
        let url = format!("{path}?limit={GLANCE}");
        let some = async { Ok::<_, Fault>(ask(link, &url, false).await?.collect().await?.bytes) };
        let (some, list) = (std::pin::pin!(some), std::pin::pin!(list));
        let (some, list) = match select(some, list).await {
            Either::Left((some, list)) => (some, list),
            Either::Right((list, _)) => return list,
        };
        if let Ok(bytes) = some {
            let (mut decoder, mut rows) = (ListDecoder::default(), Rows::new(self.scope.kind));
            decoder.push(&bytes);
            while let Ok(Some(part)) = decoder.part() {
                if let ListPart::Item(bytes) = part
                    && let Ok(object) = decode_proto(self.scope.kind, &bytes, &mut self.interner)
                {
                    rows.pending.push(Change::Upsert(object));
                }
            }
            rows.flush(&link.out).await?;
        }
        list.await
    }

    fn live(&mut self, link: &Link) {
        self.refusals = 0;
        self.was_live = true;
        self.note(link, What::Live);
    }

    /// Reads one protobuf answer as it comes and gives its continue token.
    async fn page(&mut self, link: &Link, mut answer: ByteStream, list: &mut Listing) -> Result<String, Fault> {
        let (mut decoder, mut next) = (ListDecoder::default(), None);
        let mut sent = Instant::now();
        while let Some(chunk) = answer.try_next().await? {
            link.proof.touch();
            decoder.push(&chunk);
            while let Some(part) = decoder.part()? {
                match part {
                    ListPart::Meta(meta) => {
                        if list.version.is_empty() {
                            list.version = meta.resource_version;
                        }
                        next = Some(meta.r#continue);
                    }
                    ListPart::Item(bytes) => {
                        let object = decode_proto(self.scope.kind, &bytes, &mut self.interner).map_err(unreadable)?;
                        self.told.note(&object);
                        list.rows.push(&link.out, Change::Upsert(object)).await?;
                    }
                }
            }
            if sent.elapsed() >= GATHER {
                list.rows.flush(&link.out).await?;
                sent = Instant::now();
            }
        }
        match next {
            Some(next) if decoder.complete() => Ok(next),
            _ => Err(unreadable("the list ends too soon")),
        }
    }

    /// Reads one page of JSON, held whole, item by item.
    async fn page_json(&mut self, link: &Link, mut answer: ByteStream, list: &mut Listing) -> Result<String, Fault> {
        let mut whole = Vec::new();
        while let Some(chunk) = answer.try_next().await? {
            link.proof.touch();
            whole.extend_from_slice(&chunk);
        }
        let page: Page = serde_json::from_slice(&whole).map_err(unreadable)?;
        for item in page.items.unwrap_or_default() {
            let object = decode_json(self.scope.kind, item.get().as_bytes(), &mut self.interner).map_err(unreadable)?;
            self.told.note(&object);
            list.rows.push(&link.out, Change::Upsert(object)).await?;
        }
        if list.version.is_empty() {
            list.version = page.metadata.resource_version;
        }
        if list.version.is_empty() {
            return Err(unreadable("a list without a resourceVersion"));
        }
        Ok(page.metadata.r#continue.unwrap_or_default())
    }

    async fn watch(&mut self, link: &Link, version: String, backoff: &mut Backoff) -> Result<(), Fault> {
        let path = self.scope.kind.path(self.scope.namespace.as_deref());
        let url =
            format!("{path}?watch=true&allowWatchBookmarks=true&timeoutSeconds={}&resourceVersion={}", WATCH.as_secs(), escape(&version));
        let began = Instant::now();
        let mut answer = ask(link, &url, self.json).await?.fuse();
        self.live(link);
        let mut frames = Frames { json: self.json, proto: WatchDecoder::default(), lines: Vec::new() };
        let mut rows = Rows::new(self.scope.kind);
        let mut version = None;
        let mut any = false;
        loop {
            let left = (WATCH + GRACE).saturating_sub(began.elapsed());
            let Ok(chunk) = timeout(left, answer.next()).await else { break };
            let Some(chunk) = chunk.transpose()? else { break };
            // What comes right behind goes into the same batch: a busy cluster must not wake the core for each row.
            let mut chunk = Some(chunk);
            let (gathering, mut ended) = (Instant::now(), Ok(()));
            while let Some(bytes) = chunk.take() {
                link.proof.touch();
                frames.push(&bytes)?;
                while let Some(event) = frames.next(self.scope.kind, &mut self.interner)? {
                    any = true;
                    match event {
                        Event::Change(change, at) => {
                            version = at.or(version);
                            if !self.told.already(&change, &rows.pending) {
                                rows.pending.push(change);
                            }
                        }
                        Event::Bookmark(at) => version = at.or(version),
                        Event::Error(error) => {
                            ended = Err(Fault::Client(error));
                            break;
                        }
                        Event::Other => {}
                    }
                }
                if ended.is_ok() && !rows.pending.is_empty() && rows.pending.len() < ROWS && gathering.elapsed() < GATHER {
                    match timeout(Duration::from_millis(2), answer.next()).await {
                        Ok(Some(Ok(more))) => chunk = Some(more),
                        Ok(Some(Err(error))) => ended = Err(error.into()),
                        // The end is seen again by the outer loop.
                        Ok(None) | Err(_) => {}
                    }
                }
            }
            let some = !rows.pending.is_empty();
            let told = self.told.of(&rows.pending);
            rows.flush(&link.out).await?;
            // Not before: who is stopped while it waits goes on at the old version, and the same events come again.
            self.told.extend(told);
            if let Some(version) = version.take() {
                self.version = Some(version.to_string());
            }
            ended?;
            if any {
                backoff.reset();
            }
            if some {
                self.interner.sweep(std::mem::take(&mut rows.total));
                sleep(PAUSE).await;
            }
        }
        if !any && began.elapsed() < SHORT {
            return Err(Fault::Client(ClientError::Unreachable { reason: "connection closed by the server".to_owned() }));
        }
        Ok(())
    }
}

/// The nodes as they were handed on last. Kubelets report also that nothing has changed, and of a large cluster some do so
/// all the time: that must not wake the core. Nodes are few, and these are shared with the store.
#[derive(Default)]
struct Told(HashMap<Uid, Object>);

impl Told {
    fn clear(&mut self) {
        self.0.clear();
    }
    fn note(&mut self, object: &Object) {
        if object.kind() == Kind::Node {
            self.0.insert(object.meta().uid, object.clone());
        }
    }
    /// Whether the change says what was said, and nothing that is still pending said otherwise.
    fn already(&self, change: &Change, pending: &[Change]) -> bool {
        let Change::Upsert(object) = change else { return false };
        let uid = object.meta().uid;
        let concerns = |c: &Change| match c {
            Change::Upsert(o) => o.meta().uid == uid,
            Change::Delete(gone) => *gone == uid,
        };
        self.0.get(&uid).is_some_and(|told| told == object) && !pending.iter().any(concerns)
    }
    /// What has been said once these changes are.
    fn of(&self, changes: &[Change]) -> Vec<Change> {
        let node = |c: &&Change| match c {
            Change::Upsert(o) => o.kind() == Kind::Node,
            Change::Delete(uid) => self.0.contains_key(uid),
        };
        changes.iter().filter(node).cloned().collect()
    }
    fn extend(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Upsert(object) => self.note(&object),
                Change::Delete(uid) => drop(self.0.remove(&uid)),
            }
        }
    }
}

/// Sends a request, in one of the two encodings.
async fn ask(link: &Link, url: &str, json: bool) -> Result<ByteStream, Fault> {
    let answer = link.client.stream(url, if json { JSON } else { frame::MEDIA_TYPE }).await?;
    link.proof.touch();
    if !json && answer.content_type().starts_with(JSON) {
        return Err(Fault::Client(ClientError::NotAcceptable { message: "the server answers in JSON".to_owned() }));
    }
    Ok(answer)
}

struct Listing {
    rows: Rows,
    begun: bool,
    version: String,
}

/// Rows on their way, in batches.
struct Rows {
    kind: Kind,
    pending: Vec<Change>,
    total: usize,
}

impl Rows {
    fn new(kind: Kind) -> Self {
        Self { kind, pending: Vec::new(), total: 0 }
    }
    async fn push(&mut self, out: &Out, change: Change) -> Result<(), Fault> {
        self.pending.push(change);
        if self.pending.len() >= ROWS { self.flush(out).await } else { Ok(()) }
    }
    async fn flush(&mut self, out: &Out) -> Result<(), Fault> {
        self.total += self.pending.len();
        while !self.pending.is_empty() {
            let rest = self.pending.split_off(self.pending.len().min(ROWS));
            let changes = std::mem::replace(&mut self.pending, rest);
            out.send(Delta::Rows { kind: self.kind, changes }).await?;
        }
        Ok(())
    }
}

/// A page of a JSON list whose items are still text.
#[derive(Deserialize)]
struct Page<'a> {
    metadata: PageMeta,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMeta {
    #[serde(default)]
    resource_version: String,
    r#continue: Option<String>,
}

/// A line of a JSON watch.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    r#type: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

enum Event {
    /// With the resourceVersion, where it is a number.
    Change(Change, Option<u64>),
    Bookmark(Option<u64>),
    Error(ClientError),
    Other,
}

/// Cuts a watch into events, in either encoding.
struct Frames {
    json: bool,
    proto: WatchDecoder,
    lines: Vec<u8>,
}

impl Frames {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if !self.json {
            self.proto.push(bytes);
            return Ok(());
        }
        if self.lines.len() + bytes.len() > LINE {
            return Err(unreadable("a line of more than 16 MiB"));
        }
        self.lines.extend_from_slice(bytes);
        Ok(())
    }

    fn next(&mut self, kind: Kind, interner: &mut Interner) -> Result<Option<Event>, Fault> {
        if !self.json {
            let Some(frame) = self.proto.frame()? else { return Ok(None) };
            return event(
                &frame.event,
                || decode_proto(kind, &frame.raw, interner).map_err(unreadable),
                || ClientError::from_status(&frame::seal("v1", "Status", frame.raw.to_vec())),
            )
            .map(Some);
        }
        let Some(end) = self.lines.iter().position(|b| *b == b'\n') else { return Ok(None) };
        let line: Vec<u8> = self.lines.drain(..=end).collect();
        if line.trim_ascii().is_empty() {
            return Ok(Some(Event::Other));
        }
        let line: Line = serde_json::from_slice(&line).map_err(unreadable)?;
        let object = line.object.get().as_bytes();
        event(&line.r#type, || decode_json(kind, object, interner).map_err(unreadable), || ClientError::from_status(object)).map(Some)
    }
}

fn event(name: &str, decode: impl FnOnce() -> Result<Object, Fault>, status: impl FnOnce() -> ClientError) -> Result<Event, Fault> {
    let at = |object: &Object| Some(object.meta().version).filter(|v| *v > 0);
    Ok(match name {
        "ADDED" | "MODIFIED" => {
            let object = decode()?;
            let version = at(&object);
            Event::Change(Change::Upsert(object), version)
        }
        "DELETED" => {
            let object = decode()?;
            Event::Change(Change::Delete(object.meta().uid), at(&object))
        }
        "BOOKMARK" => Event::Bookmark(at(&decode()?)),
        "ERROR" => Event::Error(status()),
        _ => Event::Other,
    })
}

#[cfg(test)]
#[path = "watcher_tests.rs"]
mod tests;
