use super::super::mock::{Ask, Mock, Reply, gzip, pod, pod_frame, pod_list, status};
use super::*;
use crate::model::{Uid, wire};
use prost::Message as _;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

const PODS: &str = "/api/v1/pods";

/// A watcher of pods against a server, and what it sent.
struct Rig {
    mock: Mock,
    batches: mpsc::Receiver<Batch>,
    notes: mpsc::UnboundedReceiver<Note>,
    rows: BTreeSet<String>,
    begun: usize,
    ended: usize,
    task: tokio::task::JoinHandle<()>,
}

impl Rig {
    async fn new(answer: impl Fn(&Ask) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::of(Kind::Pod, answer).await
    }

    async fn of(kind: Kind, answer: impl Fn(&Ask) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::with(kind, Mock::start(answer).await).await
    }

    async fn with(kind: Kind, mock: Mock) -> Self {
        let (tx, batches) = mpsc::channel(16);
        let (notes_tx, notes) = mpsc::unbounded_channel();
        let out = Out { cluster: ClusterId(0), generation: Generation(1), tx };
        let link = Link { client: mock.client().await, out, notes: notes_tx, proof: Arc::new(Proof::new()) };
        let task = tokio::spawn(async move { Watcher::new(Scope { kind, namespace: None }).run(&link).await });
        Self { mock, batches, notes, rows: BTreeSet::new(), begun: 0, ended: 0, task }
    }

    async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let limit = Instant::now() + Duration::from_secs(10);
        while !done(self) {
            let batch = tokio::time::timeout_at(limit, self.batches.recv()).await;
            let Ok(Some(batch)) = batch else {
                panic!("{what}: {} rows, {} lists, {:?}", self.rows.len(), self.ended, self.mock.asks(PODS))
            };
            match batch.delta {
                Delta::ListBegin { .. } => self.begun += 1,
                Delta::ListEnd { .. } => self.ended += 1,
                Delta::Rows { changes, .. } => {
                    for change in changes {
                        match change {
                            Change::Upsert(o) => drop(self.rows.insert(o.meta().name.to_string())),
                            Change::Delete(uid) => self.rows.retain(|n| Uid::parse(&format!("uid-{n}")) != uid),
                        }
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    async fn note(&mut self, what: impl Fn(&What) -> bool) {
        let wait = async {
            while let Some(note) = self.notes.recv().await {
                if what(&note.what) {
                    return;
                }
            }
        };
        timeout(Duration::from_secs(10), wait).await.unwrap();
    }

    fn queries(&self) -> Vec<String> {
        self.mock
            .asks(PODS)
            .iter()
            .map(|a| if a.watch() { format!("watch {}", a.get("resourceVersion").unwrap()) } else { a.query.clone() })
            .collect()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn names(n: usize) -> impl Iterator<Item = String> {
    (0..n).map(|n| format!("pod-{n}"))
}

type Answer = Box<dyn Fn(&Ask) -> Reply + Send + Sync>;

/// The n-th answer for pods, the last one for ever.
fn script(answers: Vec<Answer>) -> impl Fn(&Ask) -> Option<Reply> + Send + Sync + 'static {
    let next = AtomicUsize::new(0);
    move |ask| (ask.path == PODS).then(|| answers[next.fetch_add(1, Relaxed).min(answers.len() - 1)](ask))
}

fn answer(f: impl Fn() -> Reply + Send + Sync + 'static) -> Answer {
    Box::new(move |_| f())
}

fn listing() -> Answer {
    answer(|| Reply::proto(pod_list("100", names(2))))
}

fn silent() -> Answer {
    answer(|| Reply::proto(Vec::new()).hang())
}

fn error_frame(code: u16, reason: &str) -> Vec<u8> {
    let status = wire::Status { code: code.into(), reason: reason.into(), ..Default::default() };
    frame::watch_frame("ERROR", "v1", "Status", status.encode_to_vec())
}

#[tokio::test]
async fn a_list_streams_in_gzip_and_any_cut_and_the_watch_goes_on_from_bookmarks() {
    let mut rig = Rig::new(script(vec![
        answer(|| {
            let mut reply = Reply::proto(gzip(&pod_list("100", names(1200)))).cut(997);
            reply.headers.push(("content-encoding", "gzip".into()));
            reply
        }),
        answer(|| {
            let frames = [pod_frame("ADDED", "new", 101), pod_frame("DELETED", "pod-0", 102), pod_frame("BOOKMARK", "", 150)];
            Reply::proto(frames.concat()).cut(11)
        }),
        silent(),
    ]))
    .await;
    rig.until("all", |r| r.rows.contains("new") && !r.rows.contains("pod-0")).await;
    assert_eq!((rig.rows.len(), rig.begun, rig.ended), (1200, 1, 1));
    rig.note(|w| matches!(w, What::Live)).await;
    while rig.queries().len() < 3 {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(rig.queries(), ["resourceVersion=0", "watch 100", "watch 150"]);
    let asks = rig.mock.asks(PODS);
    assert_eq!((asks[0].encoding.as_str(), asks[1].encoding.as_str()), ("gzip", "identity"), "a compressed watch may lose members");
    assert_eq!(
        (asks[1].accept.as_str(), asks[1].get("allowWatchBookmarks"), asks[1].get("timeoutSeconds")),
        (frame::MEDIA_TYPE, Some("true"), Some("290"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn some_rows_come_before_the_first_list_begins_and_only_then() {
    let held = Arc::new(AtomicBool::new(true));
    let late = held.clone();
    let answers = move |ask: &Ask| match (ask.path.as_str(), ask.query.as_str()) {
        (PODS, "limit=100") => Some(Reply::proto(pod_list("99", ["pod-1".to_owned(), "early".to_owned()]))),
        (PODS, "resourceVersion=0") => Some(Reply::proto(pod_list("100", names(5))).held(&late)),
        (PODS, "") => Some(Reply::proto(pod_list("101", names(5)))),
        _ => Some(Reply::proto(error_frame(410, "Expired"))).filter(|_| ask.path == PODS),
    };
    let mut rig = Rig::with(Kind::Pod, Mock::glanced_at(answers).await).await;
    rig.until("a glance", |r| r.rows.len() == 2).await;
    assert_eq!((rig.begun, rig.ended), (0, 0), "what the list does not name is swept: it must not have begun");
    held.store(false, Relaxed);
    rig.until("a second list", |r| r.ended == 2).await;
    let glances = rig.queries().iter().filter(|q| *q == "limit=100").count();
    assert_eq!(glances, 1, "what is there already is not looked at again");
}

#[tokio::test]
async fn a_watch_in_three_gzip_members_loses_nothing() {
    let mut rig = Rig::new(script(vec![
        listing(),
        answer(|| {
            let members: Vec<u8> = (0..3u64).flat_map(|n| gzip(&pod_frame("ADDED", &format!("late-{n}"), 200 + n))).collect();
            Reply::proto(members).header("content-encoding", "gzip").hang()
        }),
    ]))
    .await;
    rig.until("three", |r| r.rows.len() == 5).await;
}

#[tokio::test]
async fn an_expired_version_lists_again_and_not_from_the_cache() {
    for gone in [answer(|| Reply::proto(error_frame(410, "Expired"))), answer(|| Reply::status(410, "Expired", "too old"))] {
        let mut rig = Rig::new(script(vec![listing(), gone, answer(|| Reply::proto(pod_list("300", names(1)))), silent()])).await;
        rig.until("second list", |r| r.ended == 2).await;
        while rig.queries().len() < 4 {
            sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(rig.queries(), ["resourceVersion=0", "watch 100", "", "watch 300"]);
    }
}

#[tokio::test]
async fn a_version_ahead_of_the_server_waits_as_it_says_and_lists() {
    let too_large = || {
        let mut body = status(504, "Timeout", "Too large resource version: 900, current: 100");
        body["details"] =
            json!({ "causes": [{ "reason": "ResourceVersionTooLarge", "message": "Too large resource version" }], "retryAfterSeconds": 1 });
        Reply::new(504, "application/json", body.to_string()).header("retry-after", "1")
    };
    let began = Instant::now();
    let mut rig = Rig::new(script(vec![answer(too_large), listing(), silent()])).await;
    rig.until("list", |r| r.ended == 1).await;
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(rig.queries()[..2], ["resourceVersion=0", ""]);
}

#[tokio::test]
async fn a_list_that_breaks_off_is_begun_again_and_ends_once() {
    let half = || {
        let whole = pod_list("100", names(900));
        Reply::proto(whole[..whole.len() / 2].to_vec()).cut(4096)
    };
    let mut rig = Rig::new(script(vec![
        answer(move || half().broken()),
        answer(half),
        answer(|| Reply::proto(pod_list("101", names(900)))),
        silent(),
    ]))
    .await;
    rig.until("list", |r| r.ended == 1).await;
    assert_eq!((rig.begun, rig.rows.len()), (3, 900), "broken off, and ended in the middle of an item");
}

#[tokio::test]
async fn what_cannot_be_read_lists_again() {
    let garbage = answer(|| Reply::proto(frame::watch_frame("ADDED", "v1", "Pod", vec![0xff; 40])));
    let mut rig = Rig::new(script(vec![listing(), garbage, listing(), silent()])).await;
    rig.until("second list", |r| r.ended == 2).await;
}

#[tokio::test]
async fn forbidden_is_said_and_not_asked_again_at_once() {
    let mut rig =
        Rig::new(script(vec![answer(|| Reply::status(403, "Forbidden", "pods is forbidden: User \"u\" cannot list resource \"pods\""))]))
            .await;
    rig.note(|w| matches!(w, What::Forbidden)).await;
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(rig.queries().len(), 1);
    assert!(rig.batches.try_recv().is_err(), "no list has begun: the rows stay");
}

#[tokio::test]
async fn a_server_without_protobuf_is_read_as_json_in_pages() {
    for refusal in [406, 415, 200] {
        let rig = Rig::new(move |ask: &Ask| {
            if ask.path != PODS {
                return None;
            }
            if ask.accept == frame::MEDIA_TYPE {
                let wrong = Reply::json(&json!({ "kind": "PodList", "metadata": { "resourceVersion": "1" }, "items": [] }));
                return Some(if refusal == 200 { wrong } else { Reply::status(refusal, "NotAcceptable", "only json") });
            }
            let meta = |next: &str| json!({ "resourceVersion": "70", "continue": next });
            Some(if ask.watch() {
                let lines = [json!({ "type": "ADDED", "object": pod("c", 71) }), json!({ "type": "DELETED", "object": pod("a", 72) })];
                Reply::new(200, "application/json", lines.map(|l| format!("{l}\n")).concat()).cut(50).hang()
            } else if ask.get("continue") == Some("t%3D1") {
                Reply::json(&json!({ "metadata": meta(""), "items": [pod("b", 2)] }))
            } else {
                Reply::json(&json!({ "metadata": meta("t=1"), "items": [pod("a", 1)] }))
            })
        });
        let mut rig = rig.await;
        rig.until("json", |r| r.rows.iter().map(String::as_str).eq(["b", "c"])).await;
        assert_eq!(rig.queries()[1..], ["limit=500", "limit=500&continue=t%3D1", "watch 70"]);
        assert_eq!((rig.begun, rig.ended), (1, 1));
    }
}

#[tokio::test]
async fn custom_resources_are_asked_for_as_json_at_once() {
    let backup = |name: &str, version: u64| {
        json!({ "apiVersion": "velero.io/v1", "kind": "Backup", "spec": {}, "status": { "phase": "Completed" },
        "metadata": { "name": name, "namespace": "velero", "uid": format!("uid-{name}"), "resourceVersion": version.to_string() } })
    };
    let path = "/apis/velero.io/v1/backups";
    let mut rig = Rig::of(Kind::Backup, move |ask: &Ask| {
        (ask.path == path).then(|| {
            if ask.watch() {
                let bookmark = json!({ "type": "BOOKMARK", "object": { "kind": "Backup", "apiVersion": "velero.io/v1", "metadata": { "resourceVersion": "90", "creationTimestamp": null }, "spec": {}, "status": {} } });
                let lines = [json!({ "type": "ADDED", "object": backup("b", 71) }), bookmark];
                Reply::new(200, "application/json", lines.map(|l| format!("{l}\n")).concat()).hang()
            } else {
                Reply::json(&json!({ "metadata": { "resourceVersion": "70" }, "items": [backup("a", 1)] }))
            }
        })
    })
    .await;
    rig.until("both", |r| r.rows.iter().map(String::as_str).eq(["a", "b"])).await;
    assert!(rig.mock.asks(path).iter().all(|a| a.accept == JSON), "{:?}", rig.mock.asks(path));
}

#[tokio::test]
async fn a_burst_of_updates_is_few_batches() {
    let (tx, rx) = mpsc::channel(1);
    let rx = Mutex::new(Some(rx));
    let mut rig =
        Rig::new(script(vec![listing(), answer(move || Reply::proto(Vec::new()).then(rx.lock().unwrap().take().unwrap()))])).await;
    rig.until("list", |r| r.ended == 1).await;
    for n in 0..300u64 {
        tx.send(Ok(pod_frame("ADDED", &format!("burst-{n}"), 200 + n).into())).await.unwrap();
        sleep(Duration::from_millis(1)).await;
    }
    let mut batches = 0;
    let mut rows = 0;
    while rows < 300 {
        if let Delta::Rows { changes, .. } = timeout(Duration::from_secs(5), rig.batches.recv()).await.unwrap().unwrap().delta {
            rows += changes.len();
            batches += 1;
        }
    }
    assert!(batches < 60, "{batches} batches for 300 rows");
}

/// A node as its kubelet reports it; `version` and the heartbeat's time are all that differs between two reports.
fn node(version: u64, cordoned: bool) -> serde_json::Value {
    let time = format!("2026-03-01T02:{:02}:{:02}Z", version / 60 % 60, version % 60);
    json!({ "metadata": { "name": "n", "uid": "uid-n", "resourceVersion": version.to_string() }, "spec": { "unschedulable": cordoned },
        "status": { "conditions": [{ "type": "Ready", "status": "True", "lastHeartbeatTime": time, "lastTransitionTime": "2026-03-01T00:00:00Z" }] } })
}

#[tokio::test]
async fn heartbeats_are_taken_note_of_and_not_handed_on() {
    // What comes in one piece is handed on in one: there what is pending counts, and not what was handed on before.
    let reports = [(101, false), (102, false), (103, true), (104, true), (105, false), (106, true), (107, false), (108, false)];
    let lines = move |range: std::ops::Range<usize>| -> String {
        reports[range].iter().map(|(v, c)| json!({ "type": "MODIFIED", "object": node(*v, *c) }).to_string() + "\n").collect()
    };
    let watches = AtomicUsize::new(0);
    let mut rig = Rig::of(Kind::Node, move |ask| {
        if ask.path != "/api/v1/nodes" {
            return None;
        }
        if ask.accept == frame::MEDIA_TYPE {
            return Some(Reply::status(406, "NotAcceptable", "only json"));
        }
        if !ask.watch() {
            return Some(Reply::json(&json!({ "metadata": { "resourceVersion": "100" }, "items": [node(100, false)] })));
        }
        let watch = |range| Reply::new(200, "application/json", lines(range));
        Some(match watches.fetch_add(1, Relaxed) {
            0 => watch(0..2),
            1 => watch(2..5),
            2 => watch(5..7),
            _ => watch(7..8).hang(),
        })
    })
    .await;
    let mut handed_on = Vec::new();
    let versions = |rig: &Rig| -> Vec<String> {
        rig.mock.asks("/api/v1/nodes").iter().filter(|a| a.watch()).filter_map(|a| a.get("resourceVersion").map(Into::into)).collect()
    };
    while handed_on.len() < 6 {
        let Ok(Some(batch)) = timeout(Duration::from_secs(10), rig.batches.recv()).await else { panic!("{handed_on:?}") };
        let Delta::Rows { changes, .. } = batch.delta else { continue };
        for change in changes {
            let Change::Upsert(Object::Node(node)) = change else { panic!("{change:?}") };
            handed_on.push((node.meta.version, node.unschedulable));
        }
    }
    assert_eq!(handed_on, [(100, false), (103, true), (104, true), (105, false), (106, true), (107, false)]);
    while versions(&rig).len() < 4 {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(versions(&rig), ["100", "102", "105", "107"], "the watch goes on from the last heartbeat");
    assert!(timeout(Duration::from_millis(200), rig.batches.recv()).await.is_err(), "the last heartbeat wakes nobody");
}
