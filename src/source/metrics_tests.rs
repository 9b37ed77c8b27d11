use super::super::kube::mock::{Ask, Mock, Reply};
use super::super::stead::Half;
use super::*;
use serde_json::{Value, json};

fn pod(namespace: &str, name: &str, usage: &[(&str, &str)]) -> Value {
    let container = |(n, (cpu, memory)): (usize, &(&str, &str))| json!({"name": format!("c{n}"), "usage": {"cpu": cpu, "memory": memory}});
    json!({"metadata": {"name": name, "namespace": namespace, "labels": {"a": "]}\\\"[{"}}, "timestamp": "2026-01-01T00:00:10Z", "window": "15s",
        "containers": usage.iter().enumerate().map(container).collect::<Vec<_>>()})
}

fn node(name: &str, cpu: &str) -> Value {
    json!({"metadata": {"name": name}, "timestamp": "2026-01-01T00:00:10Z", "window": "20s", "usage": {"cpu": cpu, "memory": "1Gi"}})
}

fn list(items: &[Value]) -> String {
    json!({"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {"x": {"y": [{"z": 1}]}}, "items": items})
        .to_string()
}

fn measured(value: &Value) -> Usage {
    row(value.to_string().as_bytes(), &mut Interner::default()).unwrap().usage
}

#[test]
fn items_are_cut_out_wherever_the_pieces_end() {
    let all = [pod("a", "p1", &[("1", "1Ki")]), pod("a", "p2", &[])];
    let text = list(&all);
    for size in 1..text.len() {
        let (mut items, mut found) = (Items::default(), Vec::new());
        for piece in text.as_bytes().chunks(size) {
            items
                .feed(piece, |item| {
                    found.push(serde_json::from_slice::<Value>(item).unwrap());
                    Ok(())
                })
                .unwrap();
        }
        items.end().unwrap();
        assert_eq!(found, all, "{size}");
    }
    for wrong in ["", "<html>[{}]</html>", &text[..text.len() - 2]] {
        let mut items = Items::default();
        assert!(items.feed(wrong.as_bytes(), |_| Ok(())).is_err() || items.end().is_err(), "{wrong}");
    }
}

#[test]
fn a_pod_is_the_sum_of_its_containers_and_the_unmeasured_is_unknown() {
    let of = |usage: &[(&str, &str)]| {
        let usage = measured(&pod("a", "p", usage));
        (usage.cpu_m, usage.memory)
    };
    assert_eq!(of(&[("1500000n", "100Ki"), ("400u", "1Mi")]), (Some(2), Some(1_150_976)), "1.9 millicores, rounded up once");
    assert_eq!(of(&[("0", "0")]), (Some(0), Some(0)), "measured, and nothing used");
    assert_eq!(of(&[]), (None, None));
    let mut partly = pod("a", "p", &[("1", "1Ki"), ("1", "1Ki")]);
    partly["containers"][1]["usage"] = json!({"cpu": "1"});
    let partly = measured(&partly);
    assert_eq!((partly.cpu_m, partly.memory, partly.at.map(Time::secs)), (Some(2000), None, Some(1_767_225_610)));
    assert_eq!(measured(&json!({"metadata": {"name": "p"}, "containers": null})), Usage::default());
    assert_eq!(measured(&node("n", "2")).cpu_m, Some(2000));
}

/// What comes of the first looks until one says how the service stands.
async fn looked(
    namespaces: Option<&[&str]>,
    answer: impl Fn(&Ask) -> Option<Reply> + Send + Sync + 'static,
) -> (Vec<UsageList>, ServiceState, Str) {
    let mock = Mock::start(answer).await;
    let (tx, mut rx) = mpsc::channel(8);
    let source = MetricsSource {
        cluster: ClusterId(0),
        reader: Reader::of(mock.client().await),
        namespaces: namespaces.map(|all| all.iter().map(|n| (*n).to_owned()).collect()),
        fallback: Some("own".to_owned()),
        after: Duration::ZERO,
        stead: Stead::default(),
    };
    let _handle = spawn_metrics(source, tx);
    let mut lists = Vec::new();
    loop {
        match timeout(Duration::from_secs(20), rx.recv()).await.expect("in time").expect("a delta").delta {
            Delta::Usage(list) => lists.push(list),
            Delta::Service { service, state, via } => {
                assert_eq!(service, Service::Metrics);
                return (lists, state, via);
            }
            other => panic!("{other:?}"),
        }
    }
}

const NODES: &str = "/apis/metrics.k8s.io/v1beta1/nodes";
const PODS: &str = "/apis/metrics.k8s.io/v1beta1/pods";

fn forbidden() -> Option<Reply> {
    Some(Reply::status(
        403,
        "Forbidden",
        "pods.metrics.k8s.io is forbidden: User \"u\" cannot list resource \"pods\" in API group \"metrics.k8s.io\" at the cluster scope",
    ))
}

#[tokio::test]
async fn nodes_and_pods_are_told_and_then_that_they_were() {
    let (lists, state, via) = looked(None, |ask| {
        let text = match ask.path.as_str() {
            NODES => list(&[node("n1", "250m")]),
            PODS => list(&[pod("a", "p", &[("10m", "1Mi")]), pod("b", "p", &[("20m", "1Mi")])]),
            _ => return None,
        };
        Some(Reply::new(200, "application/json", text).cut(7))
    })
    .await;
    let told: Vec<_> = lists.iter().flat_map(|l| l.rows.iter().map(|r| (l.kind, &*r.namespace, &*r.name, r.usage.cpu_m))).collect();
    assert_eq!(told, [(Kind::Node, "", "n1", Some(250)), (Kind::Pod, "a", "p", Some(10)), (Kind::Pod, "b", "p", Some(20))]);
    assert!(lists.iter().all(|l| l.namespace.is_none()));
    assert_eq!((state, &*via), (ServiceState::Live, "the API server"));
}

#[tokio::test]
async fn none_is_absent_and_what_is_forbidden_is_named() {
    let (lists, state, _) = looked(None, |_| None).await;
    assert_eq!((lists.len(), state), (0, ServiceState::absent(Service::Metrics)));
    let (_, state, _) = looked(None, |_| forbidden()).await;
    assert_eq!(state, ServiceState::Forbidden { missing: "list pods.metrics.k8s.io in own".into() });
    let (_, state, _) = looked(None, |_| Some(Reply::status(503, "ServiceUnavailable", "service unavailable"))).await;
    assert_eq!(state.word(), "failing");
    assert!(state.reason().unwrap().contains("503"), "{state:?}");
    let (lists, state, via) =
        looked(None, |ask| if ask.path == PODS { Some(Reply::new(200, "application/json", list(&[]))) } else { forbidden() }).await;
    assert_eq!((lists.len(), state, &*via), (1, ServiceState::Live, "the API server; forbidden, needs list nodes.metrics.k8s.io"));
    let (lists, state, _) = looked(None, |_| Some(Reply::new(200, "application/json", list(&[node("n", "1")])[..60].to_owned()))).await;
    assert_eq!((lists.len(), state.word()), (0, "failing"), "half a list is none");
}

#[tokio::test]
async fn only_the_wanted_namespaces_are_asked_for_and_ones_own_where_all_are_forbidden() {
    let answer = |ask: &Ask| {
        let within = ask.path.strip_prefix("/apis/metrics.k8s.io/v1beta1/namespaces/").and_then(|p| p.strip_suffix("/pods"));
        match within {
            Some(ns) => Some(Reply::new(200, "application/json", list(&[pod(ns, "p", &[("1m", "1Mi")])]))),
            None => forbidden(),
        }
    };
    let names = |lists: &[UsageList]| lists.iter().map(|l| l.namespace.as_deref().unwrap_or("all").to_owned()).collect::<Vec<_>>();
    let (lists, state, _) = looked(Some(&["a", "b"]), answer).await;
    assert_eq!((names(&lists), state), (vec!["a".to_owned(), "b".to_owned()], ServiceState::Live));
    let (lists, ..) = looked(None, answer).await;
    assert_eq!(names(&lists), ["own"]);
}

#[tokio::test]
async fn while_another_may_tell_nothing_is_said_and_what_it_told_is_taken_back() {
    let there = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is = there.clone();
    let mock = Mock::start(move |ask| {
        let all = is.load(std::sync::atomic::Ordering::Relaxed) && ask.path == PODS;
        all.then(|| Reply::new(200, "application/json", list(&[pod("a", "p", &[("10m", "1Mi")])])))
    })
    .await;
    let (tx, mut rx) = mpsc::channel(8);
    let (stead, client) = (Stead::default(), mock.client().await);
    let source = || MetricsSource {
        cluster: ClusterId(0),
        reader: Reader::of(client.clone()),
        namespaces: None,
        fallback: None,
        after: Duration::ZERO,
        stead: stead.clone(),
    };
    let both = || KINDS.map(|kind| stead.of(kind));
    both().into_iter().for_each(Half::ask);
    let mut lacks = stead.of(Kind::Pod).listen();
    let handle = spawn_metrics(source(), tx.clone());
    lacks.changed().await.unwrap();
    assert!(timeout(Duration::from_millis(200), rx.recv()).await.is_err(), "whether Prometheus can is not known yet");
    both().into_iter().for_each(|half| half.give(None));
    let Delta::Service { state, .. } = rx.recv().await.unwrap().delta else { panic!() };
    assert_eq!(state, ServiceState::absent(Service::Metrics));
    let by = Str::from("Prometheus, x");
    both().into_iter().for_each(|half| half.give(Some(&by)));
    let told = loop {
        let Delta::Service { state, via, .. } = rx.recv().await.unwrap().delta else { panic!() };
        if state == ServiceState::Live && &*via == "Prometheus, x" {
            break via;
        }
        assert!(state != ServiceState::Live || &*via == "Prometheus, x; nothing of pods", "{state:?} {via}");
    };
    assert_eq!(told, by);
    drop(handle);
    // It is back: what was told meanwhile goes first.
    there.store(true, std::sync::atomic::Ordering::Relaxed);
    let _handle = spawn_metrics(source(), tx);
    let mut told = Vec::new();
    let (state, via) = loop {
        match timeout(Duration::from_secs(20), rx.recv()).await.unwrap().unwrap().delta {
            Delta::Usage(list) => told.push((list.kind, list.rows.len())),
            // Said before the first was ended.
            Delta::Service { via, .. } if via.starts_with("Prometheus") => {}
            Delta::Service { state, via, .. } => break (state, via),
            other => panic!("{other:?}"),
        }
    };
    // Of nodes it still tells nothing: there the other one goes on.
    assert_eq!((state, told), (ServiceState::Live, vec![(Kind::Pod, 0), (Kind::Pod, 1)]));
    let parts: Vec<&str> = via.split("; ").collect();
    assert!(parts.len() == 3 && parts[0] == "the API server" && parts[2] == "nodes are from Prometheus, x", "{via}");
    assert_eq!(KINDS.map(|kind| stead.of(kind).lacking()), [true, false]);
}

#[tokio::test]
async fn pods_that_are_forbidden_are_another_ones_to_tell_while_nodes_are_its_own() {
    let mock =
        Mock::start(
            |ask| if ask.path == NODES { Some(Reply::new(200, "application/json", list(&[node("n1", "250m")]))) } else { forbidden() },
        )
        .await;
    let (tx, mut rx) = mpsc::channel(8);
    let stead = Stead::default();
    KINDS.iter().for_each(|kind| stead.of(*kind).ask());
    let source = MetricsSource {
        cluster: ClusterId(0),
        reader: Reader::of(mock.client().await),
        namespaces: None,
        fallback: None,
        after: Duration::ZERO,
        stead: stead.clone(),
    };
    let mut lacks = stead.of(Kind::Pod).listen();
    let _handle = spawn_metrics(source, tx);
    lacks.changed().await.unwrap();
    assert_eq!(KINDS.map(|kind| stead.of(kind).lacking()), [false, true], "of nodes nobody else is asked");
    let Delta::Usage(nodes) = rx.recv().await.unwrap().delta else { panic!() };
    assert_eq!((nodes.kind, nodes.rows.len()), (Kind::Node, 1));
    assert!(timeout(Duration::from_millis(200), rx.recv()).await.is_err(), "who tells of pods is not known yet");
    stead.of(Kind::Pod).give(Some(&"Prometheus, x".into()));
    let Delta::Service { state, via, .. } = rx.recv().await.unwrap().delta else { panic!() };
    assert_eq!(state, ServiceState::Live);
    assert_eq!(&*via, "the API server; forbidden, needs list pods.metrics.k8s.io; pods are from Prometheus, x");
}

#[tokio::test]
async fn one_that_measured_a_moment_ago_and_fails_says_so_although_another_could_tell() {
    let (tx, mut rx) = mpsc::channel(8);
    let (stead, mock) = (Stead::default(), Mock::start(|_| None).await);
    let source = MetricsSource {
        cluster: ClusterId(0),
        reader: Reader::of(mock.client().await),
        namespaces: None,
        fallback: None,
        after: Duration::ZERO,
        stead: stead.clone(),
    };
    KINDS.iter().for_each(|kind| stead.of(*kind).ask());
    let told = HashMap::from(KINDS.map(|kind| ((kind, None), Instant::now())));
    let mut watch = Watch { source, tx, interner: Interner::default(), told, answered: true, failures: 0, last: None };
    let failed = || KINDS.map(|kind| Heard { kind, namespace: None, answer: Err(ClientError::Timeout { after: ANSWER }) }).into();
    assert!(watch.tell(failed()).await.is_ok());
    let Ok(Batch { delta: Delta::Service { state, .. }, .. }) = rx.try_recv() else { panic!("nothing is said") };
    assert_eq!((state.word(), KINDS.map(|kind| stead.of(kind).lacking())), ("stale", [false; 2]), "what it measured still holds");
    // When that is too old another is asked, and waited for.
    watch.told.clear();
    assert!(watch.tell(failed()).await.is_ok());
    assert!(rx.try_recv().is_err() && KINDS.map(|kind| stead.of(kind).lacking()) == [true; 2]);
}
