//! Watches: the log replayed from a version, then what comes; bookmarks, initial events, expiry; as JSON, protobuf or Table.

use super::list::check_version;
use super::query::{Place, Query, Wanted};
use super::register::{REGISTER, Res};
use super::reply::{Accept, Encoding, Refusal, Reply, streamed};
use super::serve::Cluster;
use super::store::{Change, Obj};
use super::table;
use crate::model::frame::{self, MEDIA_TYPE};
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Objects that go into one piece.
const BATCH: usize = 256;
const BOOKMARKS: Duration = Duration::from_secs(60);

struct Watch {
    cluster: Arc<Cluster>,
    res: Res,
    wanted: Wanted,
    encoding: Encoding,
    include: Option<String>,
    /// Everything up to here was sent.
    at: u64,
    initial: VecDeque<Arc<Obj>>,
    /// A bookmark is due that ends the initial events.
    announce: bool,
    bookmark: Option<Instant>,
    until: Instant,
    news: watch::Receiver<u64>,
    titled: bool,
    over: bool,
}

fn invalid(field: &str, message: &str) -> Refusal {
    Refusal::new(422, "Invalid", format!("ListOptions.meta.k8s.io \"\" is invalid: {field}: {message}"))
}

/// Answers a watch.
pub fn watch(cluster: &Arc<Cluster>, place: &Place, query: &Query, accept: Accept) -> Result<Reply, Refusal> {
    let wanted = Wanted::of(place, query).map_err(Refusal::bad)?;
    let (initial, matching) = (query.get("sendInitialEvents"), query.get("resourceVersionMatch"));
    match (initial, matching) {
        (Some(_), None) => {
            return Err(invalid(
                "resourceVersionMatch",
                "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ));
        }
        (Some(_), Some(m)) if m != "NotOlderThan" => {
            return Err(invalid("resourceVersionMatch", "Unsupported value: only NotOlderThan is supported for sendInitialEvents"));
        }
        (None, Some(_)) => {
            return Err(invalid(
                "resourceVersionMatch",
                "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
        }
        _ => {}
    }
    let resource = &REGISTER[place.res];
    let encoding = if accept.encoding == Encoding::Proto && resource.proto().is_none() { Encoding::Json } else { accept.encoding };
    let bookmarks = query.flag("allowWatchBookmarks");
    let seconds = query.number("timeoutSeconds").filter(|n| *n > 0).unwrap_or(1800);
    let state = {
        let s = cluster.read();
        let asked = check_version(query.get("resourceVersion"), s.rv)?;
        let table = &s.tables[place.res];
        let synthetic = initial == Some("true") || (initial.is_none() && asked == 0);
        // Before it begins the answer is 410; a watch that falls behind hears it as an event.
        if asked > 0 && !synthetic && asked < table.floor {
            return Err(Refusal::gone());
        }
        let mut state = Watch {
            cluster: cluster.clone(),
            res: place.res,
            encoding,
            include: query.get("includeObject").map(ToOwned::to_owned),
            at: if asked == 0 || synthetic { s.rv } else { asked },
            initial: VecDeque::new(),
            announce: bookmarks && initial == Some("true"),
            bookmark: bookmarks.then(|| Instant::now() + BOOKMARKS),
            until: Instant::now() + Duration::from_secs(seconds.unsigned_abs()),
            news: table.news.subscribe(),
            titled: false,
            over: false,
            wanted,
        };
        if synthetic {
            state.initial = table.objects.values().filter(|o| state.wanted.takes(o)).cloned().collect();
        }
        state
    };
    let media = if encoding == Encoding::Proto { format!("{MEDIA_TYPE};stream=watch") } else { "application/json".to_owned() };
    let pieces =
        futures::stream::unfold(state, |mut state| async move { state.piece().await.map(|piece| (Ok::<_, io::Error>(piece), state)) });
    Ok(streamed(&media, pieces))
}

impl Watch {
    /// The next bytes; none: the watch is over.
    async fn piece(&mut self) -> Option<Bytes> {
        loop {
            if self.over {
                return None;
            }
            let mut out = Vec::new();
            while let Some(object) = self.initial.pop_front() {
                self.event(&mut out, "ADDED", &object);
                if out.len() > 64 << 10 {
                    return Some(out.into());
                }
            }
            if std::mem::take(&mut self.announce) {
                self.mark(&mut out, true);
            }
            self.news.mark_unchanged();
            let more = self.replay(&mut out);
            if !out.is_empty() {
                return Some(out.into());
            }
            if more {
                continue;
            }
            let wake = self.bookmark.map_or(self.until, |b| b.min(self.until));
            tokio::select! {
                changed = self.news.changed() => if changed.is_err() { return None },
                () = tokio::time::sleep_until(wake) => {
                    if Instant::now() >= self.until {
                        return None;
                    }
                    self.bookmark = Some(Instant::now() + BOOKMARKS);
                    self.mark(&mut out, false);
                    return Some(out.into());
                }
            }
        }
    }

    /// Takes the next changes from the log; says whether there may be more.
    fn replay(&mut self, out: &mut Vec<u8>) -> bool {
        let cluster = self.cluster.clone();
        let (entries, newest) = {
            let s = cluster.read();
            let table = &s.tables[self.res];
            if self.at < table.floor {
                self.over = true;
                drop(s);
                self.error(out, &Refusal::gone());
                return false;
            }
            let from = table.log.partition_point(|e| e.object.rv <= self.at);
            let entries: Vec<_> = table.log.range(from..).take(BATCH).cloned().collect();
            (entries, s.rv)
        };
        let full = entries.len() == BATCH;
        for entry in &entries {
            let now = entry.change != Change::Deleted && self.wanted.takes(&entry.object);
            let before = entry.before.as_ref().is_some_and(|o| self.wanted.takes(o));
            let name = match (before, now) {
                (false, true) => "ADDED",
                (true, true) => "MODIFIED",
                (true, false) => "DELETED",
                (false, false) => continue,
            };
            self.event(out, name, &entry.object);
        }
        self.at = entries.last().filter(|_| full).map_or(newest, |e| e.object.rv);
        full
    }

    fn event(&mut self, out: &mut Vec<u8>, name: &str, object: &Arc<Obj>) {
        let resource = &REGISTER[self.res];
        match self.encoding {
            Encoding::Proto => {
                out.extend(frame::watch_frame(name, &resource.api_version(), resource.kind, object.proto(self.res).to_vec()))
            }
            Encoding::Json => {
                out.extend_from_slice(format!("{{\"type\":\"{name}\",\"object\":").as_bytes());
                out.extend_from_slice(&object.json);
                out.extend_from_slice(b"}\n");
            }
            Encoding::Table => {
                let mut table = table::table(self.res, std::slice::from_ref(object), self.include.as_deref());
                if std::mem::replace(&mut self.titled, true) {
                    table["columnDefinitions"] = Value::Null;
                }
                table["metadata"] = json!({"resourceVersion": object.rv.to_string()});
                self.line(out, name, &table);
            }
        }
    }

    fn line(&self, out: &mut Vec<u8>, name: &str, object: &Value) {
        out.extend_from_slice(json!({"type": name, "object": object}).to_string().as_bytes());
        out.push(b'\n');
    }

    fn mark(&mut self, out: &mut Vec<u8>, initial_end: bool) {
        let resource = &REGISTER[self.res];
        let mut object = json!({"kind": resource.kind, "apiVersion": resource.api_version(), "metadata": {"resourceVersion": self.at.to_string(), "creationTimestamp": null}});
        if initial_end {
            object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        match (self.encoding, resource.proto()) {
            (Encoding::Proto, Some(kind)) => {
                let raw = crate::model::object::json_to_proto(kind, &object).unwrap_or_default();
                out.extend(frame::watch_frame("BOOKMARK", &resource.api_version(), resource.kind, raw));
            }
            (Encoding::Table, _) => {
                let table = json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"], "columnDefinitions": null, "rows": [{"cells": [], "object": object}]});
                self.line(out, "BOOKMARK", &table);
            }
            _ => self.line(out, "BOOKMARK", &object),
        }
    }

    fn error(&self, out: &mut Vec<u8>, refusal: &Refusal) {
        match self.encoding {
            Encoding::Proto => out.extend(frame::watch_frame("ERROR", "v1", "Status", refusal.message())),
            _ => self.line(out, "ERROR", &refusal.status()),
        }
    }
}
