use super::*;
use crate::client::ReadClient;
use crate::client::fake::{Reply, Server, connect, flowing, reply};
use crate::client::install_crypto_provider;
use crate::config::{Endpoint, Reach, Setting};
use crate::model::ClusterId;
use crate::model::{AlertState, Change};
use crate::reach::Found;
use crate::source::kube::Reader;
use http::Request;
use serde_json::{Value, json};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

const QUICK: Pace = Pace {
    poll: Duration::from_millis(20),
    answer: Duration::from_secs(1),
    client: Duration::from_secs(5),
    absent: Duration::from_millis(50),
};

/// What was told of one cluster, as the store would have it.
#[derive(Default)]
struct Seen {
    state: Option<ServiceState>,
    via: String,
    silences: Option<KindState>,
    rows: BTreeMap<&'static str, Vec<Object>>,
    lists: usize,
}

impl Seen {
    fn word(&self) -> &str {
        self.state.as_ref().map_or("", ServiceState::word)
    }
    fn reason(&self) -> &str {
        self.state.as_ref().and_then(ServiceState::reason).map_or("", |r| r)
    }
    /// Name and state of each alert.
    fn alerts(&self) -> Vec<(&str, AlertState)> {
        let rows = self.rows.get("Alert").map_or(&[][..], |rows| rows);
        rows.iter().map(|o| if let Object::Alert(a) = o { (&*a.meta.name, a.state) } else { panic!("{o:?}") }).collect()
    }
    /// Id of each silence, and how much it hides.
    fn silences(&self) -> Vec<(&str, u32)> {
        let rows = self.rows.get("Silence").map_or(&[][..], |rows| rows);
        rows.iter().map(|o| if let Object::Silence(s) = o { (&*s.meta.name, s.hides) } else { panic!("{o:?}") }).collect()
    }
}

/// Clusters that are followed, and what was told of them.
struct World {
    batches: mpsc::Receiver<Batch>,
    seen: [Seen; 2],
    told: Vec<String>,
    handles: Vec<Handle>,
}

impl World {
    fn of(clusters: Vec<Wanted>) -> Self {
        let (tx, batches) = mpsc::channel(64);
        let handles = grouped(clusters).into_iter().map(|group| spawn(group, tx.clone(), QUICK)).collect();
        Self { batches, seen: Default::default(), told: Vec::new(), handles }
    }

    async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            let next = timeout(Duration::from_secs(20), self.batches.recv()).await;
            let Ok(Some(Batch { cluster, delta, .. })) = next else {
                let said: Vec<_> = self.seen.iter().map(|s| (s.word(), s.reason(), &s.via, s.alerts(), s.silences())).collect();
                panic!("no {what}: {said:?}, {:?}", self.told)
            };
            let seen = &mut self.seen[usize::from(cluster.0)];
            match delta {
                Delta::Service { service: Service::Alertmanager, state, via } => (seen.state, seen.via) = (Some(state), via.to_string()),
                Delta::KindState(Kind::Silence, state) => seen.silences = Some(state),
                Delta::Rows { kind, changes } => {
                    let rows = changes.into_iter().map(|c| if let Change::Upsert(o) = c { o } else { panic!("{c:?}") });
                    seen.rows.insert(kind.name(), rows.collect());
                }
                Delta::ListEnd { .. } => seen.lists += 1,
                Delta::Told(words) => self.told.push(words.to_string()),
                Delta::ListBegin { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn lists(&mut self, more: usize) {
        let wanted = self.seen[0].lists + more;
        self.until("more lists", |w| w.seen[0].lists >= wanted).await;
    }
}

fn alert(labels: &Value, silenced: &[&str]) -> Value {
    json!({"labels": labels, "fingerprint": labels.to_string(), "status": {"state": "?", "silencedBy": silenced, "inhibitedBy": []},
        "annotations": {}, "receivers": [], "startsAt": "2026-11-26T10:00:00.000Z", "updatedAt": "2026-11-26T10:00:00.000Z"})
}

fn silence(id: &str, matchers: &Value) -> Value {
    json!({"id": id, "status": {"state": "active"}, "matchers": matchers, "createdBy": "ada", "comment": "work",
        "startsAt": "2026-11-26T10:00:00.000Z", "endsAt": "2036-11-26T10:00:00.000Z", "updatedAt": "2026-11-26T10:00:00.000Z"})
}

/// An Alertmanager that says this.
async fn says(alerts: Value, silences: Value) -> Server {
    Server::start(move |r| answers(r, &alerts, &silences)).await
}

fn answers(request: &Request<()>, alerts: &Value, silences: &Value) -> Reply {
    match request.uri().path() {
        path if path.ends_with("/api/v2/alerts") => reply(200, alerts.to_string()),
        path if path.ends_with("/api/v2/silences") => reply(200, silences.to_string()),
        path => reply(404, path.to_owned()),
    }
}

fn urls(urls: &[String]) -> Endpoint {
    Endpoint { reach: Setting::default_to(Some(Reach::Urls(urls.to_vec()))), ..Endpoint::default() }
}

/// A client of nothing, for clusters whose Alertmanager has an address.
async fn nowhere() -> ReadClient {
    install_crypto_provider();
    connect(&Server::bind().await.0, "").await
}

fn cluster(n: u16, name: &str, endpoint: &Endpoint, through: &ReadClient) -> Wanted {
    let (endpoint, reader) = (endpoint.clone(), Reader::of(through.clone()));
    Wanted { id: ClusterId(n), names: vec![name.to_owned()], endpoint, reader, found: Found::default() }
}

#[tokio::test]
async fn what_fires_and_what_is_silenced_is_told_until_it_is_over() {
    let now = Arc::new(Mutex::new((json!([]), json!([]))));
    let server = {
        let now = now.clone();
        Server::start(move |r| {
            let now = now.lock().unwrap();
            answers(r, &now.0, &now.1)
        })
        .await
    };
    let mut world = World::of(vec![cluster(0, "a", &urls(&[server.url()]), &nowhere().await)]);
    world.until("live", |w| w.seen[0].word() == "live").await;
    assert_eq!((world.seen[0].lists, world.seen[0].via.as_str()), (2, server.url().as_str()), "the rows are there before it is live");
    let (slow, full) = (json!({"alertname": "Slow"}), json!({"alertname": "Full"}));
    *now.lock().unwrap() =
        (json!([alert(&slow, &[]), alert(&full, &["s1"])]), json!([silence("s1", &json!([])), silence("s2", &json!([]))]));
    world.until("alerts", |w| w.seen[0].alerts().len() == 2).await;
    assert_eq!(world.seen[0].alerts(), [("Full", AlertState::Silenced), ("Slow", AlertState::Firing)]);
    world.lists(2).await;
    assert_eq!(world.seen[0].silences(), [("s1", 1), ("s2", 0)]);
    // Sent again, later: nothing is to be drawn.
    let before = world.seen[0].rows.clone();
    now.lock().unwrap().0[0]["updatedAt"] = "2026-11-26T10:07:00.000Z".into();
    world.lists(4).await;
    assert_eq!(world.seen[0].rows, before);
    *now.lock().unwrap() = (json!([alert(&full, &[])]), json!([]));
    world.until("the end", |w| w.seen[0].alerts() == [("Full", AlertState::Firing)] && w.seen[0].silences().is_empty()).await;
    assert_eq!(world.told, Vec::<String>::new());
}

#[tokio::test]
async fn whatever_goes_wrong_is_said_and_is_no_calm() {
    let through = nowhere().await;
    let refused = |body: &'static str, code| move |_: &Request<()>| reply(code, body);
    let cases: [(&str, &str, Server); 7] = [
        ("forbidden", "", Server::start(refused("no", 401)).await),
        ("forbidden", "", Server::start(refused("no", 403)).await),
        ("failing", "HTTP 503 settling", Server::start(refused("settling", 503)).await),
        ("failing", "HTTP 502", Server::start(refused("<html>bad gateway", 502)).await),
        ("failing", "answer cannot be read", Server::start(refused("<html>hello", 200)).await),
        ("failing", "answer cannot be read", Server::start(refused("[{}]", 200)).await),
        ("failing", "no answer for 1 s", Server::start(|_| flowing("[", futures::stream::pending())).await),
    ];
    for (word, reason, server) in &cases {
        let mut world = World::of(vec![cluster(0, "a", &urls(&[server.url()]), &through)]);
        world.until("an answer", |w| w.seen[0].state.is_some()).await;
        assert_eq!((world.seen[0].word(), world.seen[0].lists), (*word, 0));
        assert!(world.seen[0].reason().contains(reason) && !world.seen[0].reason().is_empty(), "{:?}", world.seen[0].state);
        assert_eq!(world.seen[0].via, server.url());
    }
    let mut world = World::of(vec![cluster(0, "a", &urls(&["http://127.0.0.1:1".to_owned()]), &through)]);
    world.until("an answer", |w| w.seen[0].state.is_some()).await;
    assert_eq!((world.seen[0].word(), world.seen[0].reason()), ("failing", "connection refused"));
}

#[tokio::test]
async fn who_answered_once_is_stale_then_with_its_rows_and_comes_back() {
    let down = Arc::new(AtomicBool::new(false));
    let server = {
        let down = down.clone();
        Server::start(move |r| match down.load(Ordering::Relaxed) {
            true => reply(500, "oh no"),
            false => answers(r, &json!([alert(&json!({"alertname": "Slow"}), &[])]), &json!([])),
        })
        .await
    };
    let mut world = World::of(vec![cluster(0, "a", &urls(&[server.url()]), &nowhere().await)]);
    world.until("live", |w| w.seen[0].word() == "live").await;
    down.store(true, Ordering::Relaxed);
    world.until("stale", |w| w.seen[0].word() == "stale").await;
    assert_eq!((world.seen[0].reason(), world.seen[0].alerts().len()), ("HTTP 500 oh no", 1));
    down.store(false, Ordering::Relaxed);
    world.until("live again", |w| w.seen[0].word() == "live").await;
}

#[tokio::test]
async fn replicas_are_one_and_a_dead_one_costs_nothing() {
    let labels = json!({"alertname": "Slow"});
    let one = says(json!([alert(&labels, &["s1"]), alert(&json!({"alertname": "Mine"}), &[])]), json!([silence("s1", &json!([]))])).await;
    let two = says(json!([alert(&labels, &[])]), json!([])).await;
    let hung = Server::start(|_| flowing("[", futures::stream::pending())).await;
    let endpoint = urls(&[one.url(), "http://127.0.0.1:1".to_owned(), two.url(), hung.url()]);
    let mut world = World::of(vec![cluster(0, "a", &endpoint, &nowhere().await)]);
    world.until("live", |w| w.seen[0].word() == "live").await;
    // One of the two does not know the silence, and would send it.
    assert_eq!(world.seen[0].alerts(), [("Mine", AlertState::Firing), ("Slow", AlertState::Firing)]);
    assert_eq!(world.seen[0].silences(), [("s1", 0)]);
    let (one, two, hung) = (one.url(), two.url(), hung.url());
    assert_eq!(world.seen[0].via, format!("{one}, {two}; http://127.0.0.1:1: connection refused; {hung}: no answer for 1 s"));
}

#[tokio::test]
async fn what_two_clusters_share_is_asked_once_and_split() {
    let alerts = json!([
        alert(&json!({"alertname": "OfA", "cluster": "a"}), &[]),
        alert(&json!({"alertname": "OfB", "cluster": "b"}), &["both"]),
        alert(&json!({"alertname": "OfC", "cluster": "c"}), &[]),
        alert(&json!({"alertname": "Nobodys"}), &[]),
    ]);
    let matcher = |value: &str| json!([{"name": "cluster", "value": value, "isRegex": true, "isEqual": true}]);
    let silences = json!([silence("b-only", &matcher("b|x")), silence("both", &json!([])), silence("c-only", &matcher("c"))]);
    let server = says(alerts, silences).await;
    let through = nowhere().await;
    let (a, b) = (urls(&[server.url()]), urls(&[format!("{}/", server.url())]));
    let mut world = World::of(vec![cluster(0, "a", &a, &through), cluster(1, "b", &b, &through)]);
    assert_eq!(world.handles.len(), 1);
    world.until("live", |w| w.seen.iter().all(|s| s.word() == "live")).await;
    assert_eq!(world.seen[0].alerts().iter().map(|a| a.0).collect::<Vec<_>>(), ["Nobodys", "OfA"]);
    assert_eq!(world.seen[1].alerts(), [("OfB", AlertState::Silenced)]);
    assert_eq!(world.seen[0].silences(), [("both", 0)]);
    assert_eq!(world.seen[1].silences(), [("b-only", 0), ("both", 1)]);
    world.lists(4).await;
    let told = format!("{}: alerts without the label cluster are shown at a, though it serves 1 more", server.url());
    assert_eq!(world.told, [told], "once");
    drop(world);
    // With an Alertmanager of its own a cluster is told all, unless its label is configured.
    let mut own = World::of(vec![cluster(0, "a", &a, &through)]);
    own.until("live", |w| w.seen[0].word() == "live").await;
    assert_eq!((own.seen[0].alerts().len(), own.told.len()), (4, 0));
}

#[tokio::test]
async fn a_label_that_never_names_the_cluster_is_said() {
    let server = says(json!([alert(&json!({"alertname": "A", "region": "eu-1"}), &[])]), json!([])).await;
    let mut endpoint = urls(&[server.url()]);
    endpoint.cluster_label = Setting::default_to(Some("region".to_owned()));
    let mut world = World::of(vec![cluster(0, "eu", &endpoint, &nowhere().await)]);
    world.until("live", |w| w.seen[0].word() == "live").await;
    assert!(world.seen[0].alerts().is_empty());
    assert_eq!(world.told, [format!("{}: all alerts are of other clusters: the label region is never eu", server.url())]);
}

#[tokio::test]
async fn one_that_nobody_configured_is_found_and_missed_when_it_is_gone() {
    let there = Arc::new(AtomicBool::new(true));
    let api = {
        let there = there.clone();
        Server::start(move |r| {
            let there = there.load(Ordering::Relaxed);
            let service =
                |ns: &str| json!({"metadata": {"name": "am", "namespace": ns}, "spec": {"ports": [{"name": "web", "port": 9093}]}});
            match r.uri().path() {
                "/api/v1/services" if there => reply(200, json!({"items": [service("zoo"), service("am")]}).to_string()),
                "/api/v1/services" => reply(200, r#"{"items": []}"#),
                path if there && path.starts_with("/api/v1/namespaces/am/services/am:9093/proxy/") => {
                    answers(r, &json!([alert(&json!({"alertname": "Slow"}), &[])]), &json!([]))
                }
                path => reply(404, path.to_owned()),
            }
        })
        .await
    };
    let wanted = cluster(0, "a", &Endpoint::default(), &connect(&api, "").await);
    let found = wanted.found.clone();
    let mut world = World::of(vec![wanted]);
    world.until("live", |w| w.seen[0].word() == "live").await;
    assert_eq!((world.seen[0].via.as_str(), world.seen[0].alerts().len()), ("service am/am:9093", 1));
    assert_eq!(found.get().unwrap().to_string(), "am/am:9093");
    assert_eq!(world.told, ["a: Alertmanagers in 2 namespaces, am/am:9093, zoo/am:9093: the first one is read"]);
    there.store(false, Ordering::Relaxed);
    world.until("absent", |w| w.seen[0].word() == "absent").await;
    assert_eq!((world.seen[0].alerts(), found.get()), (Vec::new(), None));
    there.store(true, Ordering::Relaxed);
    world.until("live again", |w| w.seen[0].word() == "live").await;
}

#[tokio::test]
async fn a_cluster_that_cannot_be_looked_through_says_what_to_configure() {
    for (code, word, reason) in [(403, "absent", "services may not be listed"), (500, "failing", "HTTP 500")] {
        let api = Server::start(move |_| reply(code, "")).await;
        let mut world = World::of(vec![cluster(0, "a", &Endpoint::default(), &connect(&api, "").await)]);
        world.until("an answer", |w| w.seen[0].state.is_some()).await;
        assert_eq!(world.seen[0].word(), word);
        assert!(world.seen[0].reason().contains(reason), "{:?}", world.seen[0].state);
    }
}

#[tokio::test]
async fn silences_that_cannot_be_listed_hide_no_alert() {
    let server = Server::start(|r| match r.uri().path() {
        "/api/v2/alerts" => reply(200, json!([alert(&json!({"alertname": "Slow"}), &[])]).to_string()),
        _ => reply(500, "matcher sets"),
    })
    .await;
    let mut world = World::of(vec![cluster(0, "a", &urls(&[server.url()]), &nowhere().await)]);
    world.until("live", |w| w.seen[0].word() == "live" && w.seen[0].silences.is_some()).await;
    assert_eq!(world.seen[0].alerts(), [("Slow", AlertState::Firing)]);
    assert_eq!(world.seen[0].silences, Some(KindState::Failing { reason: "HTTP 500 matcher sets".into() }));
}
