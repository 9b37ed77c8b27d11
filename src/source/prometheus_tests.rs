use super::*;
use crate::client::fake::{Reply, Server, connect, reply};
use crate::client::install_crypto_provider;
use crate::config::{Endpoint, Reach, Setting};
use crate::model::{Change, Gives, Measure};
use crate::reach::Found;
use crate::source::kube::Reader;
use crate::source::stead::Instead;
use http::Request;
use serde_json::{Value, json};
use tokio::time::timeout;

const QUICK: Pace = Pace {
    round: Duration::from_millis(20),
    answer: Duration::from_secs(1),
    dear: Duration::from_secs(1),
    client: Duration::from_secs(5),
    absent: Duration::from_millis(50),
    known: Duration::from_secs(600),
};

fn query(name: &str, expr: &str, top: Option<u32>) -> Query {
    Query {
        name: name.into(),
        area: "pods".into(),
        title: name.into(),
        expr: expr.to_owned(),
        measure: Measure::Ratio,
        warning: Some(0.5),
        critical: None,
        top,
        every: None,
        needs: format!("{name}_total"),
        gives: Gives::Signals,
    }
}

fn urls(server: &Server) -> Endpoint {
    Endpoint { reach: Setting::default_to(Some(Reach::Urls(vec![server.url()]))), ..Endpoint::default() }
}

fn wanted(n: u16, name: &str, endpoint: Endpoint, reader: Reader) -> Wanted {
    Wanted { id: ClusterId(n), names: vec![name.to_owned()], endpoint, reader, found: Found::default() }
}

fn vector(series: &Value) -> Reply {
    reply(200, json!({"status": "success", "data": {"resultType": "vector", "result": series}}).to_string())
}

fn asked(request: &Request<()>) -> String {
    let query = request.uri().query().unwrap_or_default();
    let expr = query.split('&').find_map(|p| p.strip_prefix("query=")).unwrap_or_default();
    let mut out = Vec::new();
    let mut bytes = expr.bytes();
    while let Some(b) = bytes.next() {
        out.push(match b {
            b'%' => u8::from_str_radix(&String::from_utf8(vec![bytes.next().unwrap(), bytes.next().unwrap()]).unwrap(), 16).unwrap(),
            b => b,
        });
    }
    String::from_utf8(out).unwrap()
}

/// What was told, until the service of every one of so many clusters is as `word`, so many times.
async fn heard(rx: &mut mpsc::Receiver<Batch>, clusters: usize, word: &str, times: usize) -> (Vec<Vec<Signal>>, ServiceState) {
    let (mut rows, mut seen) = (vec![Vec::new(); clusters], vec![0; clusters]);
    loop {
        let Ok(Some(Batch { cluster, delta, .. })) = timeout(Duration::from_secs(20), rx.recv()).await else {
            panic!("never {word}: {rows:?}")
        };
        let n = usize::from(cluster.0);
        match delta {
            Delta::Rows { changes, .. } => {
                rows[n] = changes
                    .into_iter()
                    .map(|c| if let Change::Upsert(Object::Signal(s)) = c { (*s).clone() } else { panic!("{c:?}") })
                    .collect();
                rows[n].sort_by(|a, b| (&a.meta.name, b.value.map(|v| v.to_bits())).cmp(&(&b.meta.name, a.value.map(|v| v.to_bits()))));
            }
            Delta::Service { state, .. } if state.word() == word => {
                seen[n] += 1;
                if seen.iter().all(|s| *s >= times) {
                    return (rows, state);
                }
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn two_clusters_share_the_requests_and_each_has_its_own() {
    install_crypto_provider();
    let server = Server::start(|request| {
        let expr = asked(request);
        if expr.contains("lost_total") {
            return vector(&json!([]));
        }
        if expr.starts_with("count by (cluster,) (") {
            return vector(&json!([{"metric": {"cluster": "eu"}, "value": [1, "7"]}]));
        }
        let of =
            |cluster: &str, pod: &str, v: &str| json!({"metric": {"cluster": cluster, "namespace": "pay", "pod": pod}, "value": [1, v]});
        vector(&json!([of("eu", "a", "0.4"), of("eu", "b", "0.9"), of("other", "c", "1"), {"metric": {"pod": "x"}, "value": [1, "1"]}]))
    })
    .await;
    let reader = Reader::of(connect(&server, "").await);
    let queries: Arc<[Query]> =
        vec![query("hot", "hot{$match}", Some(3)), query("lost", "sum by ($by pod)(lost_total{$match})", Some(3))].into();
    let (tx, mut rx) = mpsc::channel(64);
    let clusters = vec![wanted(0, "eu", urls(&server), reader.clone()), wanted(1, "us", urls(&server), reader)];
    let handles: Vec<Handle> =
        grouped(clusters).into_iter().map(|g| spawn(g, queries.clone(), |_| Stead::default(), tx.clone(), QUICK)).collect();
    assert_eq!(handles.len(), 1, "one task for both");
    let (rows, _) = heard(&mut rx, 2, "live", 3).await;
    let of = |n: usize| -> Vec<(String, String, &'static str)> {
        rows[n].iter().map(|s| (s.meta.name.to_string(), s.of_what(), s.state.word())).collect()
    };
    let row = |name: &str, what: &str, word: &'static str| (name.to_owned(), what.to_owned(), word);
    assert_eq!(of(0), [row("hot", "pay/b", "warning"), row("hot", "pay/a", "ok"), row("lost", "", "no-data")]);
    assert_eq!(of(1), [row("hot", "", "no-data"), row("lost", "", "no-data")], "what other clusters have is not its own");
    assert!(rows[0][0].course.len() >= 3 && rows[0][2].why.as_deref() == Some("there is no lost_total"), "{:?}", rows[0]);
    let exprs: Vec<String> = server.seen.lock().unwrap().iter().map(asked).collect();
    assert!(exprs.contains(&"topk by (cluster,) (3, hot{cluster=~\"eu|us\",})".to_owned()), "{exprs:?}");
    assert_eq!(
        exprs.iter().filter(|e| e.contains("lost_total{")).count()
            - exprs.iter().filter(|e| e.starts_with("topk by (cluster,) (3, sum")).count(),
        1
    );
}

#[tokio::test]
async fn a_query_without_top_has_the_course_of_the_last_half_hour() {
    install_crypto_provider();
    let server = Server::start(|request| {
        let now = jiff::Timestamp::now().as_second() / 60 * 60;
        if request.uri().path().ends_with("/api/v1/rules") {
            return reply(404, "page not found");
        }
        assert!(request.uri().path().ends_with("/api/v1/query_range"), "{}", request.uri());
        let values: Vec<Value> = (0..3).map(|n| json!([now - 120 + n * 60, format!("0.{n}")])).collect();
        let old = json!([[now - 1800, "9"]]);
        let result = json!([{"metric": {"verb": "GET"}, "values": values}, {"metric": {"verb": "PUT"}, "values": old}]);
        reply(200, json!({"status": "success", "data": {"resultType": "matrix", "result": result}}).to_string())
    })
    .await;
    let reader = Reader::of(connect(&server, "").await);
    let (tx, mut rx) = mpsc::channel(64);
    let _handle =
        spawn(vec![wanted(0, "eu", urls(&server), reader)], vec![query("lat", "lat", None)].into(), |_| Stead::default(), tx, QUICK);
    let (rows, _) = heard(&mut rx, 1, "live", 1).await;
    assert_eq!((rows[0].len(), &*rows[0][0].course, rows[0][0].value), (1, &[0.0, 0.1, 0.2][..], Some(0.2)), "what has ended is not now");
}

#[tokio::test]
async fn a_refused_query_costs_only_itself_and_a_dead_server_says_why() {
    install_crypto_provider();
    let dead = Arc::new(std::sync::atomic::AtomicU16::new(0));
    let code = dead.clone();
    let server = Server::start(move |request| match code.load(std::sync::atomic::Ordering::Relaxed) {
        0 if asked(request).contains("bad") => {
            reply(400, json!({"status": "error", "errorType": "bad_data", "error": "parse error: unexpected end"}).to_string())
        }
        0 => vector(&json!([{"metric": {}, "value": [1, "0.1"]}])),
        code => reply(code, "{}"),
    })
    .await;
    let reader = Reader::of(connect(&server, "").await);
    let (tx, mut rx) = mpsc::channel(64);
    let queries = vec![query("bad", "bad(", Some(1)), query("good", "good", Some(1))];
    let _handle = spawn(vec![wanted(0, "eu", urls(&server), reader)], queries.into(), |_| Stead::default(), tx, QUICK);
    let (rows, _) = heard(&mut rx, 1, "live", 1).await;
    assert_eq!(rows[0].iter().map(|s| s.state.word()).collect::<Vec<_>>(), ["failing", "ok"]);
    assert!(rows[0][0].why.as_deref().unwrap().contains("unexpected end"), "{:?}", rows[0][0].why);
    dead.store(503, std::sync::atomic::Ordering::Relaxed);
    let (_, state) = heard(&mut rx, 1, "stale", 1).await;
    assert!(state.reason().unwrap().contains("503"), "{state:?}");
    dead.store(0, std::sync::atomic::Ordering::Relaxed);
    heard(&mut rx, 1, "live", 1).await;
}

#[tokio::test]
async fn it_is_found_in_the_cluster_and_absent_is_no_failure() {
    install_crypto_provider();
    let there = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is = there.clone();
    let server = Server::start(move |request| {
        let path = request.uri().path().to_owned();
        if path.ends_with("/services") {
            let items = match is.load(std::sync::atomic::Ordering::Relaxed) {
                true => json!([{"metadata": {"name": "prometheus-k8s", "namespace": "monitoring"}, "spec": {"ports": [{"name": "web", "port": 9090}]}}]),
                false => json!([]),
            };
            return reply(200, json!({"items": items}).to_string());
        }
        assert!(path.starts_with("/api/v1/namespaces/monitoring/services/prometheus-k8s:9090/proxy/api/v1/"), "{path}");
        vector(&json!([{"metric": {}, "value": [1, "0.7"]}]))
    })
    .await;
    let reader = Reader::of(connect(&server, "").await);
    let (tx, mut rx) = mpsc::channel(64);
    let one = wanted(0, "eu", Endpoint::default(), reader);
    let _handle = spawn(vec![one], vec![query("q", "q", Some(1))].into(), |_| Stead::default(), tx, QUICK);
    let (_, state) = heard(&mut rx, 1, "absent", 1).await;
    assert!(state.reason().unwrap().contains("[clusters.CONTEXT.prometheus]"));
    there.store(true, std::sync::atomic::Ordering::Relaxed);
    let (rows, _) = heard(&mut rx, 1, "live", 1).await;
    assert_eq!(rows[0][0].state, SignalState::Warning);
}

#[tokio::test]
async fn alerts_that_are_pending_and_targets_that_are_down_are_told_beside_the_signals() {
    install_crypto_provider();
    let rules = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let has = rules.clone();
    let server = Server::start(move |request| {
        if request.uri().path().ends_with("/api/v1/rules") {
            let alert = |name: &str, state: &str, cluster: &str| {
                json!({"labels": {"alertname": name, "cluster": cluster, "pod": "p1"}, "annotations": {"summary": "soon"}, "state": state,
                    "activeAt": "2026-11-26T10:00:00.123456789Z", "value": "1e+00"})
            };
            let alerts = json!([alert("Disk", "pending", "eu"), alert("Fires", "firing", "eu"), alert("Theirs", "pending", "other")]);
            return match has.load(std::sync::atomic::Ordering::Relaxed) {
                true => reply(
                    200,
                    json!({"status": "success", "data": {"groups": [{"rules": [{"type": "alerting", "alerts": alerts}]}]}}).to_string(),
                ),
                false => reply(404, "page not found"),
            };
        }
        let expr = asked(request);
        let metric = match expr.contains("ALERTS") {
            true => json!({"alertname": "Cpu", "cluster": "eu"}),
            false => json!({"job": "node", "instance": "n1:9100", "cluster": "eu"}),
        };
        vector(&json!([{"metric": metric, "value": [1, "1"]}]))
    })
    .await;
    let reader = Reader::of(connect(&server, "").await);
    let (tx, mut rx) = mpsc::channel(64);
    let queries = vec![query("targets-down", "up == 0", Some(3)), query("alerts-pending", "ALERTS", Some(3))];
    let endpoint = Endpoint { cluster_label: Setting::default_to(Some("cluster".to_owned())), ..urls(&server) };
    let _handle = spawn(vec![wanted(0, "eu", endpoint, reader)], queries.into(), |_| Stead::default(), tx, QUICK);
    let mut waiting = async || loop {
        if let Delta::Waiting(alerts) = rx.recv().await.unwrap().delta {
            return alerts.iter().map(|a| format!("{} {} {:?}", a.meta.name, a.state.word(), a.summary())).collect::<Vec<_>>();
        }
    };
    assert_eq!(
        waiting().await,
        ["Disk pending Some(\"soon\")", "TargetDown down Some(\"n1:9100 node\")"],
        "what fires is Alertmanager's, what is others' theirs"
    );
    rules.store(false, std::sync::atomic::Ordering::Relaxed);
    let mut last = waiting().await;
    for _ in 0..3 {
        last = waiting().await;
    }
    assert_eq!(last, ["TargetDown down Some(\"n1:9100 node\")", "Cpu pending None"], "without rules of its own, by its series");
}

#[tokio::test]
async fn use_is_told_only_where_it_lacks_and_not_when_it_cannot() {
    install_crypto_provider();
    let server = Server::start(|request| {
        let expr = asked(request);
        assert!(!expr.starts_with("topk"), "{expr}");
        match expr.contains("pod_use") {
            true => vector(&json!([
                {"metric": {"cluster": "eu", "namespace": "pay", "pod": "a", "resource": "cpu"}, "value": [100, "0.25"]},
                {"metric": {"cluster": "eu", "namespace": "pay", "pod": "a", "resource": "memory"}, "value": [100, "1024"]},
            ])),
            false => reply(422, json!({"status": "error", "errorType": "execution", "error": "too many samples"}).to_string()),
        }
    })
    .await;
    let reader = Reader::of(connect(&server, "").await);
    let queries = [("pod_use{$match}", Gives::PodUse), ("node_use{$match}", Gives::NodeUse)];
    let queries: Arc<[Query]> = queries.into_iter().map(|(expr, gives)| Query { gives, ..query("use", expr, None) }).collect();
    let (tx, mut rx) = mpsc::channel(64);
    let clusters = ["eu", "us", "ap"].into_iter().enumerate();
    let clusters = clusters.map(|(n, name)| wanted(n as u16, name, urls(&server), reader.clone())).collect();
    let steads = [(); 3].map(|()| Stead::default());
    let _handle = spawn(clusters, queries, |id| steads[usize::from(id.0)].clone(), tx, QUICK);
    heard(&mut rx, 3, "live", 2).await;
    assert!(server.seen.lock().unwrap().iter().all(|r| !r.uri().path().contains("/query")), "nobody lacks it");
    let lack = |n: usize, kind| steads[n].of(kind).lack(true);
    lack(0, Kind::Pod);
    lack(1, Kind::Pod);
    let mut told = Vec::new();
    let end = Instant::now() + Duration::from_secs(20);
    let mut wait = async |n: usize, kind: Kind| {
        while steads[n].of(kind).instead() == Instead::Wait && Instant::now() < end {
            if let Ok(Some(Batch { cluster, delta: Delta::Usage(list), .. })) = timeout(Duration::from_millis(20), rx.recv()).await {
                told.extend(list.rows.into_iter().map(|r| (cluster.0, list.kind, r.name.to_string(), r.usage.cpu_m, r.usage.memory)));
            }
        }
        steads[n].of(kind).instead()
    };
    // The second one is not among what it measures: whoever waits hears so.
    assert_eq!(wait(1, Kind::Pod).await, Instead::Nothing);
    let Instead::Told(by) = wait(0, Kind::Pod).await else { panic!("{:?}", steads[0].of(Kind::Pod).instead()) };
    assert!(by.starts_with("Prometheus, http"), "{by}");
    let asked_nodes = || server.seen.lock().unwrap().iter().any(|r| asked(r).contains("node_use"));
    assert!(!asked_nodes(), "of nodes nobody lacks it");
    lack(0, Kind::Node);
    assert_eq!(wait(0, Kind::Node).await, Instead::Nothing, "the query is refused");
    assert!(asked_nodes());
    assert!(!told.is_empty() && told.iter().all(|t| *t == (0, Kind::Pod, "a".to_owned(), Some(250), Some(1024))), "{told:?}");
}

#[tokio::test]
async fn how_full_every_claim_is_comes_with_the_signals_and_a_refusal_is_said() {
    install_crypto_provider();
    let refuses = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let refused = refuses.clone();
    let server = Server::start(move |request| {
        let expr = asked(request);
        assert!(!expr.starts_with("topk"), "{expr}");
        if refused.load(std::sync::atomic::Ordering::Relaxed) {
            return reply(422, json!({"status": "error", "errorType": "execution", "error": "too many samples"}).to_string());
        }
        let of = |cluster: &str, n: usize| {
            let metric = json!({"cluster": cluster, "namespace": "pay", "persistentvolumeclaim": format!("data-{n}"), "resource": "bytes"});
            json!({"metric": metric, "value": [100, "0.25"]})
        };
        let all: Vec<Value> = (0..60).map(|n| of("eu", n)).chain([of("us", 0), of("other", 0)]).collect();
        vector(&json!(all))
    })
    .await;
    let reader = Reader::of(connect(&server, "").await);
    let queries: Arc<[Query]> = [Query { gives: Gives::ClaimUse, ..query("full", "full{$match}", None) }].into();
    let (tx, mut rx) = mpsc::channel(64);
    let clusters = ["eu", "us"].into_iter().enumerate().map(|(n, name)| wanted(n as u16, name, urls(&server), reader.clone())).collect();
    let _handle = spawn(clusters, queries, |_| Stead::default(), tx, QUICK);
    let mut full = async |last: u16| {
        let mut told = Vec::new();
        loop {
            let Batch { cluster, delta, .. } = timeout(Duration::from_secs(20), rx.recv()).await.unwrap().unwrap();
            match delta {
                Delta::ClaimUse(rows) => {
                    assert!(rows.iter().all(|r| r.full == crate::model::ClaimUse { bytes: Some(0.25), inodes: None }), "{rows:?}");
                    told.push((cluster.0, rows.len()));
                }
                Delta::Rows { changes, .. } if !changes.is_empty() => told.push((cluster.0, 1000 + changes.len())),
                Delta::Service { .. } if cluster.0 == last => return told,
                _ => {}
            }
        }
    };
    assert_eq!(full(1).await, [(0, 60), (1, 1)], "more than any top has, and what others have is not its own");
    refuses.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut told = full(1).await;
    while told.contains(&(0, 60)) {
        told = full(1).await;
    }
    assert_eq!(told, [(0, 1001), (1, 1001), (0, 0), (1, 0)], "a row of signals says that the query fails");
}

#[tokio::test]
async fn use_that_comes_when_the_cluster_tells_it_again_itself_is_not_told() {
    install_crypto_provider();
    let stead = Stead::default();
    let again = stead.clone();
    let server = Server::start(move |request| {
        if !asked(request).contains("pod_use") {
            return reply(422, json!({"status": "error", "errorType": "execution", "error": "too many samples"}).to_string());
        }
        again.of(Kind::Pod).lack(false);
        let of = |resource: &str| json!({"metric": {"cluster": "eu", "namespace": "pay", "pod": "a", "resource": resource}, "value": [100, "1"]});
        vector(&json!([of("cpu"), of("memory")]))
    })
    .await;
    let reader = Reader::of(connect(&server, "").await);
    let queries: Arc<[Query]> = [Query { gives: Gives::PodUse, ..query("use", "pod_use{$match}", None) }].into();
    let (tx, mut rx) = mpsc::channel(64);
    stead.of(Kind::Pod).lack(true);
    let own = stead.clone();
    let _handle = spawn(vec![wanted(0, "eu", urls(&server), reader)], queries, |_| own.clone(), tx, QUICK);
    let end = Instant::now() + Duration::from_secs(20);
    let mut told = 0;
    while !matches!(stead.of(Kind::Pod).instead(), Instead::Told(_)) {
        assert!(Instant::now() < end, "it is asked");
        let told_of = |b: Batch| matches!(b.delta, Delta::Usage(_) | Delta::Service { service: Service::Metrics, .. });
        told += usize::from(timeout(Duration::from_millis(20), rx.recv()).await.ok().flatten().is_some_and(told_of));
    }
    while let Ok(batch) = rx.try_recv() {
        told += usize::from(matches!(batch.delta, Delta::Usage(_) | Delta::Service { service: Service::Metrics, .. }));
    }
    assert_eq!(told, 0);
}

#[tokio::test]
async fn what_is_dear_is_asked_seldom_and_costs_only_itself() {
    install_crypto_provider();
    let server = Server::start(|request| match asked(request) {
        expr if expr.contains("dear{") => vector(&json!([{"metric": {"pod": "a"}, "value": [1, "0.7"]}])),
        expr if expr.contains("late{") => reply(503, "query timed out in expression evaluation"),
        _ => vector(&json!([{"metric": {"pod": "b"}, "value": [1, "0.4"]}])),
    })
    .await;
    let reader = Reader::of(connect(&server, "").await);
    let every = Some(Duration::from_secs(3600));
    let dear = |name: &str, top| Query { every, ..query(name, &format!("{name}{{$match}}"), top) };
    let queries: Arc<[Query]> = vec![dear("dear", None), dear("late", Some(3)), query("hot", "hot{$match}", Some(3))].into();
    let (tx, mut rx) = mpsc::channel(64);
    let _task = spawn(vec![wanted(0, "eu", urls(&server), reader)], queries, |_| Stead::default(), tx, QUICK);
    let (rows, _) = heard(&mut rx, 1, "live", 4).await;
    let row = |name: &str| rows[0].iter().find(|s| *s.meta.name == *name).unwrap();
    assert_eq!((row("dear").value, row("dear").course.len()), (Some(0.7), 1), "kept from round to round");
    assert_eq!((row("late").state, row("hot").state.word()), (SignalState::Failing, "ok"));
    assert!(row("hot").course.len() >= 4, "{:?}", row("hot"));
    let paths: Vec<String> = server
        .seen
        .lock()
        .unwrap()
        .iter()
        .filter(|r| asked(r).contains("dear{") || asked(r).contains("late{"))
        .map(|r| r.uri().path().to_owned())
        .collect();
    assert_eq!(paths.len(), 2, "{paths:?}");
    assert!(paths.iter().all(|p| p.ends_with("/api/v1/query")), "a moment, not half an hour: {paths:?}");
}
