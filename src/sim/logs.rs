//! Container logs: lines that follow from the pod and the time, so that the same log is read twice the same.

use super::make::fnv;
use super::query::{Place, Query};
use super::register::{PODS, REGISTER};
use super::reply::{Refusal, Reply, streamed, whole};
use super::serve::Cluster;
use super::store::{parse_time, rfc3339};
use bytes::Bytes;
use serde_json::Value;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Seconds between lines.
const EVERY: i64 = 2;
/// Without tailLines: this many lines at most.
const MOST: i64 = 5000;

/// What a container has said.
struct Log {
    seed: u64,
    app: String,
    /// First and last line's time.
    from: i64,
    end: Option<i64>,
    /// The last line, when it ended badly.
    last_words: Option<String>,
    timestamps: bool,
}

impl Log {
    fn line(&self, at: i64) -> String {
        let n = self.seed.wrapping_mul(31).wrapping_add(at.unsigned_abs()).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let path = ["/v1/orders", "/v1/cart", "/v1/pay", "/healthz", "/v1/items"][(n % 5) as usize];
        let text = match (&self.last_words, self.end) {
            (Some(words), Some(end)) if at >= end => format!("level=fatal msg=\"{words}\""),
            _ if n.is_multiple_of(97) => format!("level=error msg=\"upstream timed out\" path={path} after=5s trace={n:012x}"),
            _ if n.is_multiple_of(23) => format!("level=warn msg=\"slow request\" path={path} ms={} trace={n:012x}", 900 + n % 3000),
            _ => format!("level=info msg=\"request\" method=GET path={path} status=200 ms={} trace={n:012x}", 3 + n % 80),
        };
        let stamp = if self.timestamps { format!("{} ", rfc3339(at).replace('Z', ".000000000Z")) } else { String::new() };
        format!("{stamp}time={} app={} {text}\n", rfc3339(at), self.app)
    }
}

/// Answers `pods/NAME/log`.
pub fn log(cluster: &Arc<Cluster>, place: &Place, query: &Query) -> Result<Reply, Refusal> {
    let (namespace, name) = (place.namespace.as_deref().unwrap_or(""), place.name.as_deref().unwrap_or(""));
    let (pod, now) = {
        let s = cluster.read();
        let pod = s.get(PODS, namespace, name).ok_or_else(|| Refusal::not_found(&REGISTER[PODS], name))?.value();
        (pod, cluster.millis().div_euclid(1000))
    };
    let statuses = pod["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
    let first = pod["spec"]["containers"][0]["name"].as_str().unwrap_or("").to_owned();
    let container = query.get("container").unwrap_or(&first).to_owned();
    let specs = pod["spec"]["containers"].as_array();
    if !specs.is_some_and(|c| c.iter().any(|c| c["name"] == *container)) {
        return Err(Refusal::bad(format!("container {container} is not valid for pod {name}")));
    }
    let status = statuses.iter().find(|c| c["name"] == *container).cloned().unwrap_or(Value::Null);
    let previous = query.flag("previous");
    let state = if previous { &status["lastState"] } else { &status["state"] };
    let ended = &state["terminated"];
    let (from, end) = if ended.is_object() {
        (parse_time(&ended["startedAt"]), parse_time(&ended["finishedAt"]))
    } else if status["lastState"]["terminated"].is_object() && !state["running"].is_object() && !previous {
        let last = &status["lastState"]["terminated"];
        (parse_time(&last["startedAt"]), parse_time(&last["finishedAt"]))
    } else {
        (parse_time(&state["running"]["startedAt"]), None)
    };
    let Some(from) = from else {
        let word = if previous {
            format!("previous terminated container \"{container}\" in pod \"{name}\" not found")
        } else {
            format!("container \"{container}\" in pod \"{name}\" is waiting to start: ContainerCreating")
        };
        return Err(Refusal::bad(word));
    };
    let exit = [&ended["exitCode"], &status["lastState"]["terminated"]["exitCode"]].into_iter().find_map(Value::as_i64).unwrap_or(0);
    let words = match exit {
        0 => None,
        137 => Some("java.lang.OutOfMemoryError: Java heap space".to_owned()),
        code => Some(format!("cannot go on, exit {code}")),
    };
    let seed = fnv(pod["metadata"]["uid"].as_str().unwrap_or("")) ^ fnv(&container);
    let log = Log { seed, app: container, from, end, last_words: words, timestamps: query.flag("timestamps") };
    let last = end.unwrap_or(now);
    // Lines lie on even seconds, wherever one begins to read.
    let grid = |at: i64| at.div_euclid(EVERY) * EVERY + if at.rem_euclid(EVERY) > 0 { EVERY } else { 0 };
    let mut begin = log.from;
    if let Some(since) = query.number("sinceSeconds") {
        begin = begin.max(now - since);
    }
    if let Some(since) = query.get("sinceTime").and_then(|t| t.parse::<jiff::Timestamp>().ok()) {
        begin = begin.max(since.as_second());
    }
    let lines = query.number("tailLines").unwrap_or(MOST);
    let mut times: Vec<i64> = (0..).map(|i| grid(begin.max(last - (lines + 1) * EVERY)) + i * EVERY).take_while(|t| *t <= last).collect();
    if end.is_some() && times.last() != Some(&last) && begin <= last {
        times.push(last);
    }
    let skip = times.len().saturating_sub(usize::try_from(lines).unwrap_or(0));
    let text: String = times[skip..].iter().map(|t| log.line(*t)).collect();
    if !query.flag("follow") || end.is_some() {
        return Ok(whole(200, "text/plain", text));
    }
    let next = grid(now + 1);
    let key = (crate::model::Str::from(namespace), crate::model::Str::from(name));
    let uid = pod["metadata"]["uid"].as_str().unwrap_or("").to_owned();
    let state = (log, cluster.clone(), next, Some(text).filter(|t| !t.is_empty()));
    let pieces = futures::stream::unfold(state, move |(log, cluster, next, first)| {
        let (key, uid) = (key.clone(), uid.clone());
        async move {
            if let Some(text) = first {
                return Some((Ok::<_, io::Error>(Bytes::from(text)), (log, cluster, next, None)));
            }
            let wait = next * 1000 - cluster.millis();
            tokio::time::sleep(Duration::from_millis(wait.max(0).unsigned_abs())).await;
            // The stream ends with its container.
            cluster.read().at(PODS, &key).filter(|p| *p.uid == *uid && !p.ended())?;
            Some((Ok(Bytes::from(log.line(next))), (log, cluster, next + EVERY, None)))
        }
    });
    Ok(streamed("text/plain", pieces))
}
