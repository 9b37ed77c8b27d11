//! A container's log as batches of lines: no line lost or doubled over reconnects, and no more in memory than the
//! reader takes.
//!
//! The server takes `sinceTime` in whole seconds. What came in the last second is remembered by hash, and dropped when it
//! comes again. Merging several pods, searching and keeping are left to others.

use super::{cluster::Reader, escape};
use crate::client::{Backoff, ByteStream, ClientError, ReadClient};
use crate::model::{ObjectRef, Str, Uid};
use bytes::BytesMut;
use futures::{StreamExt, stream::Fuse};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

/// Longer lines come in pieces, bytes.
pub const LINE_MAX: usize = 64 << 10;
/// Lines in a batch at most, and their bytes.
const LINES: usize = 512;
const BYTES: usize = 256 << 10;
/// Lines of one second that are remembered; in a second with more, a reconnect may double some.
const REMEMBERED: usize = 1 << 17;
/// Attempts in a row without follow.
const ATTEMPTS: u32 = 4;

/// Which log.
#[derive(Debug, Clone)]
pub struct LogRequest {
    pub pod: ObjectRef,
    pub container: Str,
    /// Of the container's last run but one.
    pub previous: bool,
    /// Only so many of the last lines to begin with.
    pub tail_lines: Option<u32>,
    /// Only what is younger.
    pub since: Option<Duration>,
    /// Go on as lines are written, also when the container restarts.
    pub follow: bool,
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLine {
    /// When the runtime got it; none when the server gives no time.
    pub time: Option<Timestamp>,
    pub pod: Str,
    pub container: Str,
    /// Without the line's end; not valid UTF-8 is replaced. Control characters are as they were written.
    pub text: Box<str>,
    /// The line goes on in the next one.
    pub cut: bool,
}

/// What comes from a log.
#[derive(Debug, Clone, PartialEq)]
pub enum LogEvent {
    Lines(Vec<LogLine>),
    /// No more for now, the reason in words; attempts go on.
    Waiting {
        reason: Str,
    },
    /// Nothing comes after this.
    Ended(LogEnd),
}

/// Why a log ended.
#[derive(Debug, Clone, PartialEq)]
pub enum LogEnd {
    /// All there was; it was not to be followed.
    Complete,
    /// The container ended and will not be started again.
    ContainerEnded,
    PodGone,
    /// 403: the permission that is missing.
    Forbidden {
        missing: Str,
    },
    /// The reason in words.
    Failed {
        reason: Str,
    },
}

/// Reads the log into `tx`, waiting while that is full, until it ends or nobody listens.
pub async fn follow(mut reader: Reader, request: LogRequest, tx: mpsc::Sender<LogEvent>) {
    let mut log = Log { place: Place::Start, seen: Seen::default(), fresh: false, request, tx };
    if let Some(end) = log.run(&mut reader).await {
        // Nobody listens: nobody needs to know.
        let _ = log.tx.send(LogEvent::Ended(end)).await;
    }
}

/// Where to begin.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// As the request says.
    Start,
    /// The request was answered, with nothing; all that comes is new.
    Empty,
    /// At this second.
    Second(i64),
}

struct Log {
    request: LogRequest,
    tx: mpsc::Sender<LogEvent>,
    place: Place,
    seen: Seen,
    /// New lines since the last attempt.
    fresh: bool,
}

/// How a round ended.
enum Round {
    /// The answer's end was reached.
    End,
    /// Nobody listens.
    Closed,
}

impl Log {
    /// None when nobody listens any more.
    async fn run(&mut self, reader: &mut Reader) -> Option<LogEnd> {
        let mut backoff = Backoff::default();
        let mut last = !self.request.follow || self.request.previous;
        loop {
            let Some(client) = reader.wait().await else {
                return Some(LogEnd::Failed { reason: "the cluster is no longer followed".into() });
            };
            let outcome = self.round(&client, last).await;
            if std::mem::take(&mut self.fresh) {
                backoff.reset();
            }
            let error = match outcome {
                Ok(Round::Closed) => return None,
                Ok(Round::End) if last && self.request.follow && !self.request.previous => return Some(LogEnd::ContainerEnded),
                Ok(Round::End) if last => return Some(LogEnd::Complete),
                Ok(Round::End) => None,
                Err(ClientError::NotFound { .. }) => return Some(LogEnd::PodGone),
                Err(ClientError::Forbidden { .. }) => return Some(LogEnd::Forbidden { missing: "get pods/log".into() }),
                Err(ClientError::Invalid { message }) if !self.request.follow || self.request.previous => {
                    return Some(LogEnd::Failed { reason: message.into() });
                }
                Err(error) => Some(error),
            };
            if last && backoff.attempts() + 1 >= ATTEMPTS {
                return Some(LogEnd::Failed { reason: error.map_or_else(|| "broken".into(), |e| e.reason().into()) });
            }
            let mut reason = error.as_ref().map(ClientError::reason);
            // The end, and a refusal, have their cause in the pod.
            if !last && matches!(error, None | Some(ClientError::Invalid { .. })) {
                match self.look(&client).await {
                    Ok(Standing::Gone) => return Some(LogEnd::PodGone),
                    // What was written after the connection broke is still to be had.
                    Ok(Standing::Ended) => {
                        last = true;
                        backoff.reset();
                        continue;
                    }
                    Ok(Standing::Waiting(why)) => reason = Some(why),
                    Ok(Standing::Running) => {
                        // It may have begun to run just now.
                        if let Some(ClientError::Invalid { message }) = error
                            && !message.contains("waiting to start")
                        {
                            return Some(LogEnd::Failed { reason: message.into() });
                        }
                    }
                    Err(error) => reason = Some(error.reason()),
                }
            }
            if let Some(reason) = reason
                && self.tx.send(LogEvent::Waiting { reason: reason.into() }).await.is_err()
            {
                return None;
            }
            tokio::select! {
                () = self.tx.closed() => return None,
                () = sleep(backoff.next_delay()) => {}
            }
        }
    }

    fn url(&self, last: bool) -> String {
        let LogRequest { pod, container, previous, tail_lines, since, .. } = &self.request;
        let mut url = format!("{}/log?timestamps=true&container={}", pod.path(), escape(container));
        let mut add = |name: &str, value: &str| url.extend(["&", name, "=", value]);
        if !last {
            add("follow", "true");
        }
        if *previous {
            add("previous", "true");
        }
        match self.place {
            Place::Second(second) => add("sinceTime", &escape(&Timestamp::from_second(second).unwrap_or_default().to_string())),
            place => {
                if let Some(lines) = tail_lines.filter(|_| place == Place::Start) {
                    add("tailLines", &lines.to_string());
                }
                if let Some(since) = since {
                    add("sinceSeconds", &since.as_secs().max(1).to_string());
                }
            }
        }
        url
    }

    /// One request, read to its end. `last`: no follow, and what has no line's end is a line too.
    async fn round(&mut self, client: &ReadClient, last: bool) -> Result<Round, ClientError> {
        let began = Timestamp::now();
        let mut stream = client.stream(&self.url(last), "*/*").await?.fuse();
        let mut replay = Replay { from: (!self.seen.lines.is_empty()).then_some(self.seen.second), left: self.seen.lines.clone() };
        if self.place == Place::Start {
            self.place = match (self.request.tail_lines, self.request.since) {
                (Some(0), _) => Place::Second(began.as_second()),
                (_, Some(since)) => Place::Second(began.as_second().saturating_sub_unsigned(since.as_secs())),
                _ => Place::Empty,
            };
        }
        let mut lines = Splitter::default();
        loop {
            let Some(chunk) = self.chunk(&mut stream).await else { return Ok(Round::Closed) };
            let Some(chunk) = chunk.transpose()? else { break };
            lines.push(&chunk);
            if !self.take(&mut lines, &mut replay, &mut stream).await? {
                return Ok(Round::Closed);
            }
        }
        if last && let Some(piece) = lines.rest() {
            let batch: Vec<_> = self.accept(piece, &mut replay).into_iter().collect();
            if !self.send(batch).await {
                return Ok(Round::Closed);
            }
        }
        Ok(Round::End)
    }

    /// The next piece of the answer; none when nobody listens.
    async fn chunk(&self, stream: &mut Fuse<ByteStream>) -> Option<Option<Result<bytes::Bytes, ClientError>>> {
        tokio::select! {
            () = self.tx.closed() => None,
            chunk = stream.next() => Some(chunk),
        }
    }

    /// Sends the whole lines that are there, with those that come right behind.
    async fn take(&mut self, lines: &mut Splitter, replay: &mut Replay, stream: &mut Fuse<ByteStream>) -> Result<bool, ClientError> {
        let (mut batch, mut bytes, began) = (Vec::new(), 0, Instant::now());
        loop {
            while let Some(piece) = lines.next() {
                let Some(line) = self.accept(piece, replay) else { continue };
                bytes += line.text.len();
                batch.push(line);
                if batch.len() >= LINES || bytes >= BYTES {
                    bytes = 0;
                    if !self.send(std::mem::take(&mut batch)).await {
                        return Ok(false);
                    }
                }
            }
            if batch.is_empty() || began.elapsed() > Duration::from_millis(15) {
                break;
            }
            match timeout(Duration::from_millis(2), stream.next()).await {
                Ok(Some(Ok(chunk))) => lines.push(&chunk),
                Ok(Some(Err(error))) => {
                    self.send(batch).await;
                    return Err(error);
                }
                Ok(None) | Err(_) => break,
            }
        }
        Ok(self.send(batch).await)
    }

    async fn send(&self, batch: Vec<LogLine>) -> bool {
        batch.is_empty() || self.tx.send(LogEvent::Lines(batch)).await.is_ok()
    }

    /// The line, unless it was seen before the connection broke.
    fn accept(&mut self, piece: Piece, replay: &mut Replay) -> Option<LogLine> {
        if let Some(time) = piece.time {
            let hash = hash(time, &piece.text);
            if replay.known(time.as_second(), hash) {
                return None;
            }
            self.seen.add(time.as_second(), hash);
            self.place = Place::Second(self.seen.second);
        }
        self.fresh = true;
        Some(LogLine {
            time: piece.time,
            pod: self.request.pod.name.clone(),
            container: self.request.container.clone(),
            text: piece.text,
            cut: piece.cut,
        })
    }

    /// How the container stands.
    async fn look(&self, client: &ReadClient) -> Result<Standing, ClientError> {
        match client.get_json(&self.request.pod.path()).await {
            Ok(pod) => Ok(standing(&pod, &self.request)),
            Err(ClientError::NotFound { .. }) => Ok(Standing::Gone),
            Err(error) => Err(error),
        }
    }
}

enum Standing {
    Running,
    /// Not running, but to come; the reason in words.
    Waiting(String),
    Ended,
    Gone,
}

fn standing(pod: &Value, request: &LogRequest) -> Standing {
    let (meta, spec, status) = (&pod["metadata"], &pod["spec"], &pod["status"]);
    if request.pod.uid != Uid::default() && meta["uid"].as_str().is_some_and(|uid| Uid::parse(uid) != request.pod.uid) {
        return Standing::Gone;
    }
    if matches!(status["phase"].as_str(), Some("Succeeded" | "Failed")) {
        return Standing::Ended;
    }
    let statuses = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"].into_iter();
    let found = statuses
        .flat_map(|list| status[list].as_array().into_iter().flatten().map(move |c| (list, c)))
        .find(|(_, c)| c["name"] == *request.container);
    let Some((list, container)) = found else { return Standing::Waiting("the container is not there yet".to_owned()) };
    let state = &container["state"];
    if let Some(ended) = state["terminated"].as_object() {
        let failed = ended.get("exitCode").and_then(Value::as_i64) != Some(0);
        let again = match (list, spec["restartPolicy"].as_str()) {
            ("containerStatuses", Some("Always")) => true,
            ("containerStatuses" | "initContainerStatuses", Some("Always" | "OnFailure")) => failed,
            _ => false,
        };
        if !again || meta.get("deletionTimestamp").is_some_and(|t| !t.is_null()) {
            return Standing::Ended;
        }
        return Standing::Waiting("the container ended and will be restarted".to_owned());
    }
    match state["waiting"].as_object() {
        Some(waiting) => Standing::Waiting(waiting.get("reason").and_then(Value::as_str).unwrap_or("the container waits").to_owned()),
        None => Standing::Running,
    }
}

fn hash(time: Timestamp, text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (time.as_nanosecond(), text).hash(&mut hasher);
    hasher.finish()
}

/// The lines of the newest second.
#[derive(Default)]
struct Seen {
    second: i64,
    lines: HashMap<u64, u32>,
}

impl Seen {
    fn add(&mut self, second: i64, hash: u64) {
        if second > self.second || self.lines.is_empty() && self.second == 0 {
            self.second = second;
            self.lines.clear();
        }
        if second == self.second && self.lines.len() < REMEMBERED {
            *self.lines.entry(hash).or_default() += 1;
        }
    }
}

/// What the server is about to send again.
struct Replay {
    /// The second that it begins with; none when nothing was seen.
    from: Option<i64>,
    left: HashMap<u64, u32>,
}

impl Replay {
    fn known(&mut self, second: i64, hash: u64) -> bool {
        let Some(from) = self.from else { return false };
        if second != from {
            // A server that takes no sinceTime begins before it.
            return second < from;
        }
        match self.left.get_mut(&hash) {
            Some(count @ 1..) => {
                *count -= 1;
                true
            }
            _ => false,
        }
    }
}

/// A line, or a piece of a long one.
#[derive(Debug, PartialEq)]
struct Piece {
    time: Option<Timestamp>,
    text: Box<str>,
    cut: bool,
}

/// Cuts bytes into lines with their times.
#[derive(Default)]
struct Splitter {
    buffer: BytesMut,
    /// Bytes known to hold no line's end.
    scanned: usize,
    /// Within a long line: its time.
    inside: Option<Option<Timestamp>>,
}

impl Splitter {
    fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    fn next(&mut self) -> Option<Piece> {
        let end = self.buffer[self.scanned..].iter().position(|b| *b == b'\n').map(|n| n + self.scanned);
        // A time is 35 bytes at most, and a piece must not end within a character.
        let most = LINE_MAX + 40;
        if end.unwrap_or(self.buffer.len()) > most {
            self.scanned = 0;
            let time = self.time();
            let cut = (LINE_MAX - 3..=LINE_MAX).rev().find(|n| self.buffer[*n] & 0xc0 != 0x80).unwrap_or(LINE_MAX);
            let text = self.buffer.split_to(cut);
            self.inside = Some(time);
            return Some(Piece { time, text: words(&text), cut: true });
        }
        let Some(end) = end else {
            self.scanned = self.buffer.len();
            return None;
        };
        self.scanned = 0;
        let tail = self.buffer.split_off(end + 1);
        let piece = self.rest().unwrap_or(Piece { time: None, text: "".into(), cut: false });
        self.buffer = tail;
        self.inside = None;
        Some(piece)
    }

    /// What is there, as a line.
    fn rest(&mut self) -> Option<Piece> {
        if self.buffer.is_empty() {
            return None;
        }
        let time = self.time();
        let mut text = &self.buffer.split()[..];
        text = text.strip_suffix(b"\n").unwrap_or(text);
        text = text.strip_suffix(b"\r").unwrap_or(text);
        Some(Piece { time, text: words(text), cut: false })
    }

    /// Takes the time off the front of a line.
    fn time(&mut self) -> Option<Timestamp> {
        if let Some(time) = self.inside {
            return time;
        }
        let head = &self.buffer[..self.buffer.len().min(40)];
        let end = head.iter().position(|b| matches!(b, b' ' | b'\n')).unwrap_or(head.len());
        let time = std::str::from_utf8(&head[..end]).ok()?.parse().ok()?;
        let space = usize::from(self.buffer.get(end) == Some(&b' '));
        let _ = self.buffer.split_to(end + space);
        Some(time)
    }
}

fn words(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(bytes).into()
}

#[cfg(test)]
#[path = "logs_tests.rs"]
mod tests;
