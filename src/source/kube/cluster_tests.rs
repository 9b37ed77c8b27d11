use super::*;
use crate::client::{LoadOptions, install_crypto_provider, load};
use crate::model::Change;

/// What a store would know, roughly.
#[derive(Default)]
struct Seen {
    rows: HashMap<Kind, HashMap<crate::model::Uid, crate::model::Object>>,
    states: Vec<ConnectionState>,
    kinds: HashMap<Kind, crate::model::KindState>,
    log: Vec<String>,
    generation: Generation,
    marks: HashMap<Kind, std::collections::HashSet<crate::model::Uid>>,
    batches: usize,
}

impl Seen {
    fn fold(&mut self, batch: Batch) {
        assert!(batch.generation >= self.generation, "nothing late");
        self.generation = batch.generation;
        self.batches += 1;
        match batch.delta {
            Delta::State(state) => {
                self.log.push(state.word().to_owned());
                self.states.push(state);
            }
            Delta::KindState(kind, state) => {
                self.kinds.insert(kind, state);
            }
            Delta::ListBegin { kind, .. } => {
                self.marks.insert(kind, self.rows.entry(kind).or_default().keys().copied().collect());
                self.log.push(format!("list {}", kind.plural()));
            }
            Delta::Rows { kind, changes } => {
                assert!(changes.len() <= 512 && !changes.is_empty());
                for change in changes {
                    match change {
                        Change::Upsert(object) => {
                            self.marks.entry(kind).or_default().remove(&object.meta().uid);
                            self.rows.entry(kind).or_default().insert(object.meta().uid, object);
                        }
                        Change::Delete(uid) => {
                            self.rows.entry(kind).or_default().remove(&uid);
                        }
                    }
                }
            }
            Delta::ListEnd { kind, .. } => {
                for uid in self.marks.remove(&kind).unwrap_or_default() {
                    self.rows.entry(kind).or_default().remove(&uid);
                }
            }
            Delta::Latency(ms) => self.log.push(format!("latency {ms}")),
            Delta::Version(v) => self.log.push(format!("version {v}")),
            Delta::Alive => self.log.push("alive".to_owned()),
            Delta::Told(_) | Delta::Requests { .. } => {}
            other => panic!("a service's: {other:?}"),
        }
    }

    async fn until(&mut self, rx: &mut mpsc::Receiver<Batch>, within: Duration, what: &str, done: impl Fn(&Self) -> bool) {
        let limit = Instant::now() + within;
        while !done(self) {
            match tokio::time::timeout_at(limit, rx.recv()).await {
                Ok(Some(batch)) => self.fold(batch),
                Ok(None) => panic!("{what}: the source ended; {:?} {:?}", self.log, self.kinds),
                Err(_) => panic!("{what}: not within {within:?}; {:?} {:?}", self.log, self.kinds),
            }
        }
    }

    fn word(&self) -> &str {
        self.states.last().map_or("", ConnectionState::word)
    }
}

/// Against real control planes, where there are any.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lab_clusters_go_live_with_every_row() {
    let Ok(file) = std::env::var("QD_LAB_KUBECONFIG") else {
        eprintln!("skipped: QD_LAB_KUBECONFIG is not set");
        return;
    };
    install_crypto_provider();
    for target in load(&LoadOptions { kubeconfig: Some(file.into()), ..Default::default() }).unwrap() {
        let (name, pool, timing) = (target.name.clone(), ExecPool::default(), Timing::default());
        let (tx, mut rx) = mpsc::channel(256);
        let began = Instant::now();
        let source = ClusterSource {
            id: ClusterId(1),
            target: target.clone(),
            kinds: Kind::WATCHED.to_vec(),
            namespaces: None,
            velero: "velero".to_owned(),
            budget: BudgetConfig::default(),
            pool: pool.clone(),
            timing,
        };
        let handle = spawn_cluster(source, tx);
        let mut seen = Seen::default();
        seen.until(&mut rx, Duration::from_secs(10), "rows", |s| s.rows.values().any(|r| !r.is_empty())).await;
        eprintln!("{name}: first rows {:?}", began.elapsed());
        seen.until(&mut rx, Duration::from_secs(10), "live", |s| s.word() == "live").await;
        eprintln!("{name}: live {:?}, batches {}, {:?}", began.elapsed(), seen.batches, seen.log);
        let client = handle.reader().client().unwrap();
        let seconds = std::env::var("QD_LAB_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
        let (limit, before) = (Instant::now() + Duration::from_secs(seconds), seen.batches);
        while let Ok(Some(batch)) = tokio::time::timeout_at(limit, rx.recv()).await {
            seen.fold(batch);
        }
        eprintln!("{name}: {} batches in {seconds} s", seen.batches - before);
        for kind in Kind::WATCHED.into_iter().filter(|k| *k != Kind::Event) {
            let path = kind.path(None);
            let limit = Instant::now() + Duration::from_secs(40);
            loop {
                let list = client.get_json(&path).await.unwrap();
                let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
                let theirs: std::collections::BTreeMap<_, _> = list["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|o| (text(&o["metadata"]["uid"]), text(&o["metadata"]["resourceVersion"])))
                    .collect();
                while let Ok(Some(batch)) = tokio::time::timeout(Duration::from_millis(100), rx.recv()).await {
                    seen.fold(batch);
                }
                let ours =
                    seen.rows.get(&kind).into_iter().flatten().map(|(uid, o)| (uid.to_string(), o.meta().version.to_string())).collect();
                if theirs == ours {
                    eprintln!("{name}: {} {}", ours.len(), kind.plural());
                    break;
                }
                assert!(Instant::now() < limit, "{}: {} of {} rows, or of other versions", kind.plural(), ours.len(), theirs.len());
            }
        }
        let generation = seen.generation;
        handle.reconnect();
        seen.until(&mut rx, Duration::from_secs(10), "again", |s| s.generation > generation && s.word() == "live").await;
        seen.until(&mut rx, Duration::from_secs(10), "latency", |s| s.log.iter().any(|l| l.starts_with("latency"))).await;
        eprintln!("{name}: {:?}", seen.log);
    }
}

use super::super::mock::{Ask, Mock, Reply, pod_list, target};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A twentieth of the real ones.
fn fast() -> Timing {
    let ms = Duration::from_millis;
    Timing {
        quiet: ms(250),
        probe: ms(200),
        latency: ms(600),
        stale: ms(600),
        unreachable: ms(2250),
        refused: ms(150),
        again: ms(50),
        again_most: ms(300),
    }
}

fn follow(target: Target, kinds: &[Kind]) -> (Handle, mpsc::Receiver<Batch>) {
    install_crypto_provider();
    let (tx, rx) = mpsc::channel(256);
    let source = ClusterSource {
        id: ClusterId(3),
        target,
        kinds: kinds.to_vec(),
        namespaces: None,
        velero: "velero".to_owned(),
        budget: BudgetConfig::default(),
        pool: ExecPool::default(),
        timing: fast(),
    };
    (spawn_cluster(source, tx), rx)
}

/// Two pods, and watches that say nothing.
fn calm(ask: &Ask) -> Option<Reply> {
    (ask.path == "/api/v1/pods")
        .then(|| if ask.watch() { Reply::proto(Vec::new()).hang() } else { Reply::proto(pod_list("5", ["a".into(), "b".into()])) })
}

const SOON: Duration = Duration::from_secs(10);

impl Seen {
    fn pods(&self) -> usize {
        self.rows.get(&Kind::Pod).map_or(0, HashMap::len)
    }
    async fn state(&mut self, rx: &mut mpsc::Receiver<Batch>, word: &str) {
        self.until(rx, SOON, word, |s| s.word() == word).await;
    }
}

#[tokio::test]
async fn a_server_that_stops_is_stale_then_unreachable_and_live_again_when_it_goes_on() {
    let mock = Mock::start(calm).await;
    let (_handle, mut rx) = follow(mock.target(), &[Kind::Pod]);
    let mut seen = Seen::default();
    seen.state(&mut rx, "live").await;
    seen.until(&mut rx, SOON, "probe", |s| s.log.iter().any(|l| l.starts_with("latency"))).await;
    tokio::time::sleep(Duration::from_millis(900)).await;
    while let Ok(batch) = rx.try_recv() {
        seen.fold(batch);
    }
    assert!(seen.log.contains(&"alive".to_owned()), "the age of what is shown is told");
    assert_eq!(seen.word(), "live", "a silent watch with an answering server is live: {:?}", seen.log);
    mock.frozen.store(true, Relaxed);
    seen.state(&mut rx, "stale").await;
    assert_eq!(seen.states.last().unwrap().reason(), Some("no answer"));
    seen.state(&mut rx, "unreachable").await;
    assert_eq!(seen.pods(), 2, "rows stay");
    mock.frozen.store(false, Relaxed);
    let generation = seen.generation;
    seen.state(&mut rx, "live").await;
    assert!(seen.generation > generation, "over new connections");
    seen.until(&mut rx, SOON, "kind", |s| s.kinds[&Kind::Pod] == crate::model::KindState::Live).await;
    assert_eq!(mock.asks("/api/v1/pods").iter().filter(|a| !a.watch()).count(), 1, "the watch goes on, nothing is listed again");
}

#[tokio::test]
async fn a_short_silence_is_stale_and_recovers() {
    let mock = Mock::start(calm).await;
    let (_handle, mut rx) = follow(mock.target(), &[Kind::Pod]);
    let mut seen = Seen::default();
    seen.state(&mut rx, "live").await;
    mock.frozen.store(true, Relaxed);
    seen.state(&mut rx, "stale").await;
    mock.frozen.store(false, Relaxed);
    seen.state(&mut rx, "live").await;
    assert!(!seen.log.contains(&"unreachable".to_owned()));
}

#[tokio::test]
async fn a_black_hole_from_the_start_costs_nobody_and_says_so() {
    let hole = Mock::start(calm).await;
    hole.frozen.store(true, Relaxed);
    let well = Mock::start(calm).await;
    let (_dead, mut dead_rx) = follow(hole.target(), &[Kind::Pod]);
    let (_live, mut live_rx) = follow(well.target(), &[Kind::Pod]);
    let (mut dead, mut live) = (Seen::default(), Seen::default());
    let began = Instant::now();
    live.state(&mut live_rx, "live").await;
    assert!(began.elapsed() < Duration::from_secs(2));
    dead.state(&mut dead_rx, "stale").await;
    dead.state(&mut dead_rx, "unreachable").await;
    assert_eq!(dead.log, ["connecting", "connecting", "stale", "unreachable"]);
}

#[tokio::test]
async fn a_server_that_is_killed_and_started_again() {
    let mock = Mock::start(calm).await;
    let port = mock.port;
    let (_handle, mut rx) = follow(mock.target(), &[Kind::Pod]);
    let mut seen = Seen::default();
    seen.state(&mut rx, "live").await;
    drop(mock);
    let began = Instant::now();
    seen.state(&mut rx, "stale").await;
    seen.state(&mut rx, "unreachable").await;
    assert!(began.elapsed() < Duration::from_secs(2), "refused is known sooner than silence");
    assert_eq!(seen.states.last().unwrap().reason(), Some("connection refused"));
    assert_eq!(seen.pods(), 2);
    let _again = Mock::at(port, Arc::new(calm)).await;
    seen.state(&mut rx, "live").await;
}

#[tokio::test]
async fn nobody_listens_there() {
    let port = Mock::start(calm).await.port;
    let (_handle, mut rx) = follow(target(port), &[Kind::Pod]);
    let mut seen = Seen::default();
    seen.state(&mut rx, "unreachable").await;
    assert_eq!(seen.states.last().unwrap(), &ConnectionState::Unreachable { last: None, reason: "connection refused".into() });
}

/// A proxy, another service on that port: it answers, and it is not live.
#[tokio::test]
async fn what_knows_nothing_of_kubernetes_is_unreachable_until_an_api_server_answers() {
    let strange = Arc::new(AtomicBool::new(true));
    let flag = strange.clone();
    let mock =
        Mock::start(move |ask| if flag.load(Relaxed) { Some(Reply::new(404, "text/html", "<h1>Not here</h1>")) } else { calm(ask) }).await;
    let (handle, mut rx) = follow(mock.target(), &[Kind::Pod]);
    let mut seen = Seen::default();
    seen.state(&mut rx, "unreachable").await;
    assert_eq!(seen.states.last().unwrap().reason(), Some("what answers there is no Kubernetes API server"));
    let asked = mock.asked.lock().unwrap().len();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(mock.asked.lock().unwrap().len() < asked + 8, "it is not hammered");
    strange.store(false, Relaxed);
    handle.reconnect();
    seen.state(&mut rx, "live").await;
    assert_eq!(seen.pods(), 2);
}

#[tokio::test]
async fn refused_credentials_are_unauthorized_until_renewed() {
    let expired = Arc::new(AtomicBool::new(false));
    let flag = expired.clone();
    let mock = Mock::start(move |ask| {
        if flag.load(Relaxed) {
            return Some(Reply::status(401, "Unauthorized", "Unauthorized"));
        }
        if ask.watch() { Some(Reply::proto(super::super::mock::pod_frame("BOOKMARK", "", 9))) } else { calm(ask) }
    })
    .await;
    let (handle, mut rx) = follow(mock.target(), &[Kind::Pod]);
    let mut seen = Seen::default();
    seen.state(&mut rx, "live").await;
    expired.store(true, Relaxed);
    seen.state(&mut rx, "unauthorized").await;
    assert_eq!(seen.states.last().unwrap().reason(), Some("credentials refused"));
    assert_eq!(seen.pods(), 2);
    let asked = mock.asked.lock().unwrap().len();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(mock.asked.lock().unwrap().len() < asked + 5, "refused is not hammered");
    expired.store(false, Relaxed);
    handle.credential_renewed();
    seen.state(&mut rx, "live").await;
}

#[tokio::test]
async fn forbidden_everywhere_falls_back_to_the_contexts_namespace() {
    let mock = Mock::start(|ask| match ask.path.as_str() {
        "/api/v1/pods" | "/api/v1/nodes" => Some(Reply::status(403, "Forbidden", "forbidden")),
        "/api/v1/namespaces/ns/pods" if !ask.watch() => Some(Reply::proto(pod_list("5", ["a".into()]))),
        "/api/v1/namespaces/ns/pods" => Some(Reply::proto(Vec::new()).hang()),
        _ => None,
    })
    .await;
    let (_handle, mut rx) = follow(mock.target(), &[Kind::Pod, Kind::Node, Kind::Hpa]);
    let mut seen = Seen::default();
    seen.state(&mut rx, "live").await;
    use crate::model::KindState;
    assert_eq!(seen.kinds[&Kind::Node], KindState::Forbidden { missing: "list nodes".into() });
    assert_eq!((&seen.kinds[&Kind::Pod], &seen.kinds[&Kind::Hpa]), (&KindState::Live, &KindState::Missing));
    assert_eq!(seen.pods(), 1);
}

#[tokio::test]
async fn kinds_come_and_go() {
    let mock = Mock::start(|ask| match ask.path.as_str() {
        "/api/v1/namespaces" if !ask.watch() => Some(Reply::proto(crate::model::frame::list("v1", "NamespaceList", "5", "", None, &[]))),
        "/api/v1/namespaces" => Some(Reply::proto(Vec::new()).hang()),
        _ => calm(ask),
    })
    .await;
    let (handle, mut rx) = follow(mock.target(), &[Kind::Pod]);
    let mut seen = Seen::default();
    seen.state(&mut rx, "live").await;
    assert!(mock.asks("/api/v1/namespaces").is_empty(), "what nobody wants is not watched");
    let live = |kind| move |s: &Seen| s.kinds.get(&kind) == Some(&crate::model::KindState::Live);
    handle.set_kinds(vec![Kind::Namespace]);
    seen.until(&mut rx, SOON, "namespaces", live(Kind::Namespace)).await;
    assert_eq!(seen.kinds[&Kind::Pod], crate::model::KindState::Waiting);
    handle.set_kinds(vec![Kind::Namespace, Kind::Pod]);
    seen.until(&mut rx, SOON, "pods", live(Kind::Pod)).await;
    assert_eq!(mock.asks("/api/v1/pods").iter().filter(|a| !a.watch()).count(), 1, "it went on where it was");
}
