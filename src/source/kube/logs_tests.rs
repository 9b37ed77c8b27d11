use super::super::mock::{Ask, Mock, Reply};
use super::*;
use crate::model::{ClusterId, Kind};
use serde_json::json;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const LOG: &str = "/api/v1/namespaces/ns/pods/p/log";
const POD: &str = "/api/v1/namespaces/ns/pods/p";

fn request(follow: bool) -> LogRequest {
    let pod = ObjectRef { cluster: ClusterId(0), kind: Kind::Pod, namespace: "ns".into(), name: "p".into(), uid: Uid::parse("u") };
    LogRequest { pod, container: "c".into(), previous: false, tail_lines: Some(100), since: None, follow }
}

fn pod(state: &serde_json::Value, restart: &str) -> Reply {
    Reply::json(
        &json!({ "metadata": { "uid": "u" }, "spec": { "restartPolicy": restart }, "status": { "phase": "Running", "containerStatuses": [{ "name": "c", "state": state }] } }),
    )
}

fn ended(code: i64) -> serde_json::Value {
    json!({ "terminated": { "exitCode": code } })
}

async fn read(mock: &Mock, request: LogRequest) -> (Vec<LogLine>, LogEnd, Vec<Str>) {
    let (tx, mut rx) = mpsc::channel(1);
    let task = tokio::spawn(super::follow(Reader::of(mock.client().await), request, tx));
    let (mut lines, mut waits) = (Vec::new(), Vec::new());
    loop {
        match timeout(Duration::from_secs(20), rx.recv()).await.expect("in time").expect("an end") {
            LogEvent::Lines(more) => lines.extend(more),
            LogEvent::Waiting { reason } => waits.push(reason),
            LogEvent::Ended(end) => {
                task.await.unwrap();
                return (lines, end, waits);
            }
        }
    }
}

fn texts(lines: &[LogLine]) -> Vec<&str> {
    lines.iter().map(|l| &*l.text).collect()
}

/// A log as a kubelet has it: since a second, from a line on.
fn log(lines: &[(&str, &str)], ask: &Ask) -> String {
    let since = ask.get("sinceTime").map(|t| t.replace("%3A", ":").trim_end_matches('Z').to_owned()).unwrap_or_default();
    lines
        .iter()
        .filter(|(time, _)| time.get(..since.len()).is_some_and(|t| t >= since.as_str()))
        .map(|(time, text)| format!("{time} {text}\n"))
        .collect()
}

const WRITTEN: [(&str, &str); 7] = [
    ("2026-01-01T00:00:01.100000000Z", "one"),
    ("2026-01-01T00:00:02.100000000Z", "two"),
    ("2026-01-01T00:00:02.100000000Z", "same time, same text"),
    ("2026-01-01T00:00:02.100000000Z", "same time, same text"),
    ("2026-01-01T00:00:02.100000000Z", "same time, same text"),
    ("2026-01-01T00:00:02.900000000Z", "later in the second"),
    ("2026-01-01T00:00:03.000000000Z", "last"),
];

#[tokio::test]
async fn a_broken_connection_loses_and_doubles_nothing() {
    // Broken in the middle of the fourth line, then in the middle of the sixth, then after everything.
    let cuts = [
        log(&WRITTEN[..3], &Ask { path: String::new(), query: String::new(), accept: String::new(), encoding: String::new() }).len() + 40,
        200,
        0,
    ];
    let round = AtomicUsize::new(0);
    let mock = Mock::start(move |ask| match ask.path.as_str() {
        LOG => {
            let n = round.fetch_add(1, Relaxed);
            let text = log(&WRITTEN, ask);
            Some(match cuts.get(n) {
                Some(0) | None => Reply::new(200, "text/plain", text),
                Some(cut) => Reply::new(200, "text/plain", text[..*cut].to_owned()).cut(13).broken(),
            })
        }
        POD => Some(pod(&ended(0), "Never")),
        _ => None,
    })
    .await;
    let (lines, end, waits) = read(&mock, request(true)).await;
    assert_eq!(texts(&lines), WRITTEN.map(|(_, text)| text));
    assert_eq!(end, LogEnd::ContainerEnded);
    assert_eq!(waits.len(), 2, "{waits:?}");
    let asks = mock.asks(LOG);
    assert_eq!((asks[0].get("tailLines"), asks[0].get("follow"), asks[0].get("timestamps")), (Some("100"), Some("true"), Some("true")));
    assert_eq!((asks[1].get("tailLines"), asks[1].get("sinceTime")), (None, Some("2026-01-01T00%3A00%3A02Z")));
    assert_eq!(asks.last().unwrap().get("follow"), None, "what was written at the end is fetched once more");
}

#[tokio::test]
async fn a_restart_is_waited_for_and_the_new_run_follows() {
    let round = AtomicUsize::new(0);
    let looks = AtomicUsize::new(0);
    let mock = Mock::start(move |ask| match ask.path.as_str() {
        LOG => Some(match round.fetch_add(1, Relaxed) {
            0 => Reply::new(200, "text/plain", log(&WRITTEN[..2], ask)),
            1 => Reply::status(400, "BadRequest", "container \"c\" in pod \"p\" is waiting to start: CrashLoopBackOff"),
            // A new run has a log of its own.
            _ => Reply::new(200, "text/plain", log(&WRITTEN[5..], ask)),
        }),
        POD => Some(match looks.fetch_add(1, Relaxed) {
            0 => pod(&ended(1), "Always"),
            1 => pod(&json!({ "waiting": { "reason": "CrashLoopBackOff" } }), "Always"),
            _ => Reply::status(404, "NotFound", "pods \"p\" not found"),
        }),
        _ => None,
    })
    .await;
    let (lines, end, waits) = read(&mock, request(true)).await;
    assert_eq!(texts(&lines), ["one", "two", "later in the second", "last"]);
    assert_eq!((end, waits), (LogEnd::PodGone, vec!["the container ended and will be restarted".into(), "CrashLoopBackOff".into()]));
}

#[tokio::test]
async fn ends_have_reasons() {
    let answer = Mutex::new(Reply::status(200, "", ""));
    let mock = Mock::start(move |ask| {
        (ask.path == LOG).then(|| std::mem::replace(&mut *answer.lock().unwrap(), Reply::status(404, "NotFound", "gone")))
    })
    .await;
    assert_eq!(read(&mock, request(false)).await.1, LogEnd::Complete);
    assert_eq!(read(&mock, request(true)).await.1, LogEnd::PodGone);
    let mock = Mock::start(|ask| (ask.path == LOG).then(|| Reply::status(403, "Forbidden", "no"))).await;
    assert_eq!(read(&mock, request(true)).await.1, LogEnd::Forbidden { missing: "get pods/log".into() });
    let mock =
        Mock::start(|ask| (ask.path == LOG).then(|| Reply::status(400, "BadRequest", "previous terminated container \"c\" not found")))
            .await;
    let previous = LogRequest { previous: true, ..request(true) };
    assert_eq!(read(&mock, previous).await.1, LogEnd::Failed { reason: "previous terminated container \"c\" not found".into() });
}

#[test]
fn long_lines_come_in_pieces_and_bad_bytes_are_replaced() {
    let time = "2026-01-01T00:00:01.5Z";
    let long = "é".repeat(LINE_MAX);
    let mut splitter = Splitter::default();
    let mut bytes = format!("{time} {long}\n{time} \r\nno time\n").into_bytes();
    bytes.extend([time.as_bytes(), b" bad \xff\xfe end\n", time.as_bytes(), b" rest"].concat());
    let mut pieces = Vec::new();
    for chunk in bytes.chunks(8191) {
        splitter.push(chunk);
        while let Some(piece) = splitter.next() {
            pieces.push(piece);
        }
    }
    pieces.extend(splitter.rest());
    let whole: String = pieces.iter().take_while(|p| p.cut).map(|p| &*p.text).collect();
    let cut = pieces.iter().take_while(|p| p.cut).count();
    assert!(pieces[..cut].iter().all(|p| p.text.len() <= LINE_MAX && p.time == pieces[0].time && p.time.is_some()));
    assert_eq!(format!("{whole}{}", pieces[cut].text), long);
    let rest: Vec<_> = pieces[cut + 1..].iter().map(|p| (&*p.text, p.time.is_some())).collect();
    assert_eq!(rest, [("", true), ("no time", false), ("bad \u{fffd}\u{fffd} end", true), ("rest", true)]);
}
