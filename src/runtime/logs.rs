//! Carries out `StartLogs`: reads every container's log through `source`, and hands the lines to the loop in few, small,
//! sorted batches. When the loop is behind, the readers wait, and so does the server.

use super::Fleet;
use crate::app::{Event, LogLine, LogState, LogsOf, RequestId};
use crate::source::kube::logs::{LogEnd, LogEvent, LogRequest, follow};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout_at};

/// Lines in one event at most.
const LINES: usize = 200;
/// The same of files, which are all there.
const READ: usize = 2000;
/// Between two events: twenty a second.
const PACE: Duration = Duration::from_millis(50);

/// Which log something is of.
#[derive(Clone)]
struct Of {
    pod: Arc<str>,
    container: Arc<str>,
}

/// Begins to read. All of it ends when the task that is given back is aborted.
pub fn start(id: RequestId, of: &LogsOf, fleet: &Fleet, events: mpsc::Sender<Event>) -> AbortHandle {
    let mut readers = JoinSet::new();
    // Few: what waits here is not waited for at the server.
    let (tx, rx) = mpsc::channel(8);
    let clusters: BTreeSet<_> = of.pods.iter().map(|(p, _)| p.cluster).collect();
    for (pod, containers) in &of.pods {
        // Pods of several clusters may have one name.
        let cluster = fleet.store.cluster(pod.cluster).filter(|_| clusters.len() > 1);
        let name: Arc<str> = cluster.map_or_else(|| pod.name.clone(), |c| format!("{}/{}", c.info.name, pod.name).into());
        for container in containers {
            let tag = Of { pod: name.clone(), container: container.as_str().into() };
            let request = LogRequest {
                pod: pod.clone(),
                container: tag.container.clone(),
                previous: of.previous,
                tail_lines: Some(of.tail),
                since: None,
                follow: of.follow,
            };
            let (reader, tx) = (fleet.reader(pod.cluster), tx.clone());
            readers.spawn(async move {
                let Some(reader) = reader else {
                    let _ = tx.send((tag, LogEvent::Ended(LogEnd::Failed { reason: "the cluster is not followed".into() }))).await;
                    return;
                };
                let (lines, mut read) = mpsc::channel(1);
                let forward = async move {
                    while let Some(event) = read.recv().await {
                        if tx.send((tag.clone(), event)).await.is_err() {
                            return;
                        }
                    }
                };
                tokio::join!(follow(reader, request, lines), forward);
            });
        }
    }
    drop(tx);
    tokio::spawn(async move {
        // The readers end with this task.
        let _readers = readers;
        gather(id, rx, events).await;
    })
    .abort_handle()
}

/// Gathers what comes within a beat, sorts it by time and hands it on, until nothing comes any more or nobody listens.
async fn gather(id: RequestId, mut rx: mpsc::Receiver<(Of, LogEvent)>, events: mpsc::Sender<Event>) {
    let mut open = BTreeSet::new();
    let mut waiting: Vec<LogLine> = Vec::new();
    let mut beat = Instant::now();
    loop {
        let mut ended = false;
        // Nothing to hand on: no reason to wake up. Enough to hand on: nothing more is taken.
        while waiting.len() < LINES {
            let next = if waiting.is_empty() { Ok(rx.recv().await) } else { timeout_at(beat, rx.recv()).await };
            let (of, event) = match next {
                Err(_) => break,
                Ok(None) => {
                    ended = true;
                    break;
                }
                Ok(Some(next)) => next,
            };
            let key = (of.pod.clone(), of.container.clone());
            let state = match event {
                LogEvent::Lines(lines) => {
                    beat = if waiting.is_empty() { beat.max(Instant::now() + Duration::from_millis(5)) } else { beat };
                    waiting.extend(lines.into_iter().map(|l| line(&of, l)));
                    if open.insert(key) { LogState::Open } else { continue }
                }
                LogEvent::Waiting { reason } => {
                    open.remove(&key);
                    LogState::Waiting(reason.to_string())
                }
                LogEvent::Ended(end) => LogState::Ended(words(end)),
            };
            if events.send(Event::LogState { id, pod: of.pod.to_string(), container: of.container.to_string(), state }).await.is_err() {
                return;
            }
        }
        if waiting.iter().all(|l| !l.time.is_empty()) {
            waiting.sort_by(|a, b| a.time.cmp(&b.time));
        }
        while !waiting.is_empty() {
            let rest = waiting.split_off(waiting.len().min(LINES));
            let batch = std::mem::replace(&mut waiting, rest);
            tokio::time::sleep_until(beat).await;
            if events.send(Event::Logs(id, batch)).await.is_err() {
                return;
            }
            beat = Instant::now() + PACE;
        }
        if ended {
            return;
        }
    }
}

/// Reads what was fetched into files, each with what it is about. It ends when the task that is given back is aborted.
pub fn read(id: RequestId, files: Vec<(PathBuf, String)>, events: mpsc::Sender<Event>) -> AbortHandle {
    tokio::spawn(async move {
        for (path, about) in files {
            let of = Of { pod: about.into(), container: "log".into() };
            let shown = path.display().to_string();
            let read = tokio::fs::read(&path).await;
            let (mut lines, end) = match &read {
                Ok(text) => (String::from_utf8_lossy(text).lines().map(|l| kept(&of, l)).collect(), format!("kept in {shown}")),
                Err(e) => (Vec::new(), format!("{shown}: {e}")),
            };
            while !lines.is_empty() {
                let rest = lines.split_off(lines.len().min(READ));
                let batch: Vec<LogLine> = std::mem::replace(&mut lines, rest);
                if events.send(Event::Logs(id, batch)).await.is_err() {
                    return;
                }
            }
            let state = LogState::Ended(end);
            if events.send(Event::LogState { id, pod: of.pod.to_string(), container: of.container.to_string(), state }).await.is_err() {
                return;
            }
        }
    })
    .abort_handle()
}

/// A line of a file. The time that logrus begins it with is the line's own.
fn kept(of: &Of, text: &str) -> LogLine {
    let timed = text.strip_prefix("time=\"").and_then(|rest| rest.split_once("\" "));
    let (time, text) = timed.unwrap_or(("", text));
    LogLine { time: time.to_owned(), pod: of.pod.clone(), container: of.container.clone(), text: text.to_owned() }
}

/// Times with nine digits: as texts they are in their own order.
fn line(of: &Of, line: crate::source::kube::LogLine) -> LogLine {
    let mut text = String::from(line.text);
    if line.cut {
        text.push_str(" ...");
    }
    LogLine { time: line.time.map_or_else(String::new, |t| format!("{t:.9}")), pod: of.pod.clone(), container: of.container.clone(), text }
}

fn words(end: LogEnd) -> String {
    match end {
        LogEnd::Complete => "that is all".to_owned(),
        LogEnd::ContainerEnded => "the container ended".to_owned(),
        LogEnd::PodGone => "the pod is gone".to_owned(),
        LogEnd::Forbidden { missing } => format!("not permitted: {missing}"),
        LogEnd::Failed { reason } => reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pod: &str) -> Of {
        Of { pod: pod.into(), container: "app".into() }
    }
    fn lines(pod: &str, secs: std::ops::Range<i64>) -> (Of, LogEvent) {
        let of = of(pod);
        let line = |s| crate::source::kube::LogLine {
            time: jiff::Timestamp::new(s, 5).ok(),
            pod: of.pod.clone(),
            container: of.container.clone(),
            text: format!("{pod} {s}").into(),
            cut: false,
        };
        let lines = secs.map(line).collect();
        (of, LogEvent::Lines(lines))
    }

    #[tokio::test]
    async fn batches_are_small_sorted_and_slow_and_states_go_first() {
        let (tx, rx) = mpsc::channel(8);
        let (events, mut out) = mpsc::channel(2);
        let task = tokio::spawn(gather(RequestId(1), rx, events));
        tx.send(lines("a", 0..150)).await.unwrap();
        tx.send(lines("b", 0..150)).await.unwrap();
        tx.send((of("a"), LogEvent::Ended(LogEnd::PodGone))).await.unwrap();
        drop(tx);
        let (began, mut batches, mut states) = (Instant::now(), Vec::new(), Vec::new());
        while let Some(event) = out.recv().await {
            match event {
                Event::Logs(RequestId(1), batch) => batches.push(batch),
                Event::LogState { pod, state, .. } => states.push((pod, state)),
                other => panic!("{other:?}"),
            }
        }
        task.await.unwrap();
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [200, 100]);
        assert!(began.elapsed() >= PACE, "two events in {:?}", began.elapsed());
        assert_eq!((&*batches[0][0].text, &*batches[0][1].text, &*batches[0][1].time), ("a 0", "b 0", "1970-01-01T00:00:00.000000005Z"));
        assert_eq!(
            states,
            [
                ("a".to_owned(), LogState::Open),
                ("b".to_owned(), LogState::Open),
                ("a".to_owned(), LogState::Ended("the pod is gone".into()))
            ]
        );
    }

    #[tokio::test]
    async fn a_kept_file_is_a_log_with_the_times_that_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.txt");
        let text = "time=\"2026-01-05T12:00:00Z\" level=info msg=\"Setting up\"\nno time\n";
        std::fs::write(&path, text.repeat(READ)).unwrap();
        let (events, mut out) = mpsc::channel(1);
        read(RequestId(1), vec![(path, "nightly".into()), (dir.path().join("gone"), "other".into())], events);
        let (mut lines, mut ends) = (Vec::new(), Vec::new());
        while let Some(event) = out.recv().await {
            match event {
                Event::Logs(RequestId(1), batch) => lines.extend(batch),
                Event::LogState { pod, state: LogState::Ended(why), .. } => ends.push((pod, why)),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(lines.len(), 2 * READ);
        assert_eq!((&*lines[0].time, &*lines[0].text), ("2026-01-05T12:00:00Z", "level=info msg=\"Setting up\""));
        assert_eq!((&*lines[1].time, &*lines[1].text), ("", "no time"));
        assert!(ends[0].1.starts_with("kept in ") && ends[1].0 == "other" && ends[1].1.contains("gone"), "{ends:?}");
    }

    #[tokio::test]
    async fn readers_wait_when_nobody_takes_events() {
        let (tx, rx) = mpsc::channel(1);
        let (events, _out) = mpsc::channel(1);
        let task = tokio::spawn(gather(RequestId(1), rx, events));
        let mut taken = 0;
        while tokio::time::timeout(Duration::from_millis(400), tx.send(lines("a", 0..LINES as i64))).await.is_ok() {
            taken += 1;
            assert!(taken < 10, "without end");
        }
        task.abort();
    }
}
