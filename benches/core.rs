//! The core loop without network and terminal: fold, judge, sort, filter, draw, encode. `cargo bench --bench core [PODS]`
//!
//! Prints one line a figure: what, how many pods, the time of one step. For docs/performance.md.
#![allow(clippy::unwrap_used)]

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use quarterdeck::app::{App, Event, SessionState, World};
use quarterdeck::config::Config;
use quarterdeck::front::tui::writer::Writer;
use quarterdeck::inspect::{Engine, Thresholds};
use quarterdeck::keymap::Keymap;
use quarterdeck::model::{Batch, Change, ClusterId, ConnectionState, Delta, Generation, Interner, Kind, KindState, object};
use quarterdeck::store::{ClusterInfo, Store, Touched};
use quarterdeck::theme::{Glyphs, Theme};
use quarterdeck::view::{self, Draw};
use ratatui::layout::Size;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NOW: i64 = 1_772_333_250;

fn pod(n: usize, restarts: u32) -> Value {
    let app = n / 20;
    json!({"metadata": {"name": format!("app-{app:04}-5d8f7c9b64-{n:06}"), "namespace": format!("team-{:02}", app % 20), "uid": format!("00000000-0000-4000-8000-{n:012}"), "resourceVersion": "5",
            "creationTimestamp": "2026-02-20T10:00:00Z", "labels": {"app": format!("app-{app:04}"), "pod-template-hash": "5d8f7c9b64"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": format!("app-{app:04}-5d8f7c9b64"), "uid": format!("11111111-0000-4000-8000-{app:012}"), "controller": true}]},
        "spec": {"nodeName": format!("node-{:04}", n % 1000), "containers": [
            {"name": "app", "image": format!("registry.internal/app-{app:04}:1.{}.0", app % 30), "resources": {"requests": {"cpu": "200m", "memory": "256Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}}},
            {"name": "proxy", "image": "registry.internal/mesh/proxy:2.4.1", "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}}}]},
        "status": {"phase": "Running", "podIP": format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255), "qosClass": "Burstable", "startTime": "2026-02-20T10:00:01Z",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-02-20T10:00:05Z"}],
            "containerStatuses": [{"name": "app", "ready": true, "restartCount": restarts, "state": {"running": {"startedAt": "2026-02-20T10:00:03Z"}}},
                {"name": "proxy", "ready": true, "restartCount": 0, "state": {"running": {"startedAt": "2026-02-20T10:00:03Z"}}}]}})
}

fn rss_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|l| l.strip_prefix("RssAnon:")).and_then(|l| l.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

struct Core {
    store: Store,
    engine: Engine,
    app: App,
    writer: Writer<Vec<u8>>,
    theme: Theme,
    bytes: Vec<u8>,
}

impl Core {
    fn apply(&mut self, delta: Delta) -> Vec<Touched> {
        let mut touched = Vec::new();
        self.store.apply(Batch { cluster: ClusterId(0), generation: Generation(1), delta }, NOW, &mut touched);
        touched
    }
    fn draw(&mut self) -> usize {
        let world = World { store: &self.store, engine: &self.engine, now: NOW };
        let hits = view::draw(&Draw { world, app: &self.app, theme: &self.theme, glyphs: Glyphs::of(false) }, self.writer.buffer());
        self.app.drawn(hits);
        self.bytes.clear();
        self.writer.encode(&mut self.bytes);
        self.bytes.len()
    }
    fn key(&mut self, c: char) {
        let world = World { store: &self.store, engine: &self.engine, now: NOW };
        self.app.update(&world, Event::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)));
    }
}

fn say(what: &str, pods: usize, mut times: Vec<Duration>) {
    times.sort_unstable();
    let q = |p: f64| times[((times.len() - 1) as f64 * p) as usize].as_secs_f64() * 1000.0;
    println!("{what:<44} {pods:>7} pods   p50 {:>9.3} ms   p99 {:>9.3} ms   ({} runs)", q(0.5), q(0.99), times.len());
}

fn timed(n: usize, mut f: impl FnMut(usize)) -> Vec<Duration> {
    (0..n)
        .map(|i| {
            let at = Instant::now();
            f(i);
            at.elapsed()
        })
        .collect()
}

fn run(pods: usize) {
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let info = ClusterInfo { name: "bench".into(), contexts: vec!["bench".into()], ..ClusterInfo::default() };
    let app = App::new(&Config::default(), Keymap::load("default", None).0, Vec::new());
    let (store, engine) = (Store::new(vec![info], NOW), Engine::new(Thresholds::default()));
    let writer = Writer::new(Vec::new(), Size::new(120, 40));
    let mut c = Core { store, engine, app, writer, theme: Theme::load("dark", None).0, bytes: Vec::new() };
    let mut interner = Interner::default();
    let protos: Vec<Vec<u8>> = (0..pods).map(|n| object::json_to_proto(Kind::Pod, &pod(n, 0)).unwrap()).collect();
    let before = rss_mib();
    let mut decode = Duration::ZERO;
    let mut fold = Duration::ZERO;
    let mut judge = Duration::ZERO;
    c.apply(Delta::State(ConnectionState::Live));
    for chunk in protos.chunks(512) {
        let at = Instant::now();
        let changes: Vec<Change> =
            chunk.iter().map(|b| Change::Upsert(object::decode_proto(Kind::Pod, b, &mut interner).unwrap())).collect();
        decode += at.elapsed();
        let at = Instant::now();
        let touched = c.apply(Delta::Rows { kind: Kind::Pod, changes });
        fold += at.elapsed();
        let at = Instant::now();
        c.engine.touched(&c.store, &touched, NOW);
        judge += at.elapsed();
    }
    c.apply(Delta::KindState(Kind::Pod, KindState::Live));
    println!(
        "{:<44} {pods:>7} pods   {:>6.0} bytes",
        "memory a row, with its shared strings",
        (rss_mib() - before) * 1024.0 * 1024.0 / pods as f64
    );
    say("decode all, protobuf", pods, vec![decode]);
    say("fold all", pods, vec![fold]);
    say("judge pods as they come, nothing else there", pods, vec![judge]);
    let world = World { store: &c.store, engine: &c.engine, now: NOW };
    let at = Instant::now();
    c.app.restore(&world, SessionState::default(), Some("pods"));
    say("sort all (opening the pane)", pods, vec![at.elapsed()]);
    c.draw();
    let mut bytes = Vec::new();
    let keys = timed(2000, |i| {
        c.key(if i % 40 < 20 { 'j' } else { 'k' });
        bytes.push(c.draw());
    });
    say("key to encoded frame, 120x40, cursor", pods, keys);
    bytes.sort_unstable();
    println!("{:<44} {pods:>7} pods   p50 {:>6} bytes", "a key's frame", bytes[bytes.len() / 2]);
    let scrolls = timed(2000.min(pods / 2), |_| {
        c.key('j');
        c.draw();
    });
    say("key to encoded frame, 120x40, scroll", pods, scrolls[40..].to_vec());
    let draws = timed(1000, |_| {
        let world = World { store: &c.store, engine: &c.engine, now: NOW };
        view::draw(&Draw { world, app: &c.app, theme: &c.theme, glyphs: Glyphs::of(false) }, c.writer.buffer());
    });
    say("of that, drawing", pods, draws);
    // One frame's worth of 500 updates a second at ten frames a second.
    let mut version = 0;
    let updates = timed(200, |i| {
        version += 1;
        let changes = (0..50)
            .map(|k| {
                let n = (i * 7919 + k * 104_729) % pods;
                Change::Upsert(
                    object::decode_proto(Kind::Pod, &object::json_to_proto(Kind::Pod, &pod(n, version)).unwrap(), &mut interner).unwrap(),
                )
            })
            .collect();
        let touched = c.apply(Delta::Rows { kind: Kind::Pod, changes });
        c.engine.touched(&c.store, &touched, NOW);
        let world = World { store: &c.store, engine: &c.engine, now: NOW };
        c.app.touched(&world, &touched);
        c.draw();
    });
    say("50 updates: make, decode, fold, judge, draw", pods, updates);
    for (what, text) in
        [("filter by a field's glob", "node:node-00*"), ("filter by a bare word", "app-0012"), ("filter by status", "status!=Running")]
    {
        let times = timed(9, |_| {
            let world = World { store: &c.store, engine: &c.engine, now: NOW };
            for text in ["", text] {
                let _ = c.app.panes.get_mut(&quarterdeck::table::Subject::Pods).map(|p| p.set_filter(&world, text));
            }
        });
        say(what, pods, times);
    }
}

/// What stands around so many pods: a node for a hundred of them; for twenty a Deployment, its ReplicaSet, a Service with its slice and an
/// Ingress; a budget and an autoscaler for every second one.
fn around(pods: usize) -> Vec<(Kind, Vec<Value>)> {
    // A uid is one object's, of whatever kind; pods name the ReplicaSets as their owners.
    let meta = |kind: u32, name: &str, ns: Option<usize>, n: usize| {
        let mut m = json!({"name": name, "uid": format!("{kind:08}-0000-4000-8000-{n:012}"), "resourceVersion": "5", "creationTimestamp": "2026-02-20T10:00:00Z", "labels": {"app": name}});
        if let Some(ns) = ns {
            m["namespace"] = format!("team-{ns:02}").into();
        }
        m
    };
    let app = |n: usize| format!("app-{n:04}");
    let apps = || 0..pods.div_ceil(20);
    let template = |n: usize| json!({"metadata": {"labels": {"app": app(n)}}, "spec": pod(n * 20, 0)["spec"]});
    let node = |n: usize| {
        json!({"metadata": meta(22222222, &format!("node-{n:04}"), None, n), "spec": {}, "status": {"capacity": {"cpu": "64", "memory": "256Gi", "pods": "250"}, "allocatable": {"cpu": "63", "memory": "250Gi", "pods": "250"},
            "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-03-01T06:00:00Z", "lastTransitionTime": "2026-02-20T10:00:00Z"}], "nodeInfo": {"kubeletVersion": "v1.36.3"}}})
    };
    let deployment = |n: usize| {
        json!({"metadata": meta(33333333, &app(n), Some(n % 20), n), "spec": {"replicas": 20, "selector": {"matchLabels": {"app": app(n)}}, "template": template(n)},
            "status": {"replicas": 20, "readyReplicas": 20, "updatedReplicas": 20, "availableReplicas": 20, "observedGeneration": 1}})
    };
    let replica_set = |n: usize| {
        let mut meta = meta(11111111, &format!("{}-5d8f7c9b64", app(n)), Some(n % 20), n);
        meta["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": app(n), "uid": format!("33333333-0000-4000-8000-{n:012}"), "controller": true}]);
        json!({"metadata": meta, "spec": {"replicas": 20, "selector": {"matchLabels": {"app": app(n)}}, "template": template(n)}, "status": {"replicas": 20, "readyReplicas": 20}})
    };
    let budget = |n: usize| {
        json!({"metadata": meta(44444444, &app(n), Some(n % 20), n), "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": app(n)}}},
            "status": {"disruptionsAllowed": 1, "currentHealthy": 20, "desiredHealthy": 19, "expectedPods": 20, "observedGeneration": 1}})
    };
    let autoscaler = |n: usize| {
        let cpu = json!({"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}});
        json!({"metadata": meta(55555555, &app(n), Some(n % 20), n), "spec": {"minReplicas": 10, "maxReplicas": 40, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": app(n)}, "metrics": [{"type": "Resource", "resource": cpu}]},
            "status": {"currentReplicas": 20, "desiredReplicas": 20, "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 61, "averageValue": "122m"}}}]}})
    };
    let service = |n: usize| json!({"metadata": meta(66666666, &app(n), Some(n % 20), n), "spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1", "selector": {"app": app(n)}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}});
    let slice = |n: usize| {
        let mut meta = meta(77777777, &app(n), Some(n % 20), n);
        meta["labels"] = json!({"kubernetes.io/service-name": app(n)});
        let endpoint = |k: usize| json!({"addresses": [format!("10.1.{}.{k}", n % 250)], "conditions": {"ready": true, "serving": true}});
        json!({"metadata": meta, "addressType": "IPv4", "endpoints": (0..20).map(endpoint).collect::<Vec<_>>(), "ports": [{"name": "http", "port": 8080}]})
    };
    let ingress = |n: usize| {
        let backend = json!({"service": {"name": app(n), "port": {"name": "http"}}});
        json!({"metadata": meta(88888888, &app(n), Some(n % 20), n), "spec": {"ingressClassName": "nginx", "rules": [{"host": format!("{}.example.com", app(n)), "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]}})
    };
    vec![
        (
            Kind::Namespace,
            (0..20).map(|n| json!({"metadata": meta(99999999, &format!("team-{n:02}"), None, n), "status": {"phase": "Active"}})).collect(),
        ),
        (Kind::Node, (0..pods.div_ceil(100)).map(node).collect()),
        (Kind::Deployment, apps().map(deployment).collect()),
        (Kind::ReplicaSet, apps().map(replica_set).collect()),
        (Kind::Hpa, apps().step_by(2).map(autoscaler).collect()),
        (Kind::Pdb, apps().step_by(2).map(budget).collect()),
        (Kind::Service, apps().map(service).collect()),
        (Kind::EndpointSlice, apps().map(slice).collect()),
        (Kind::Ingress, apps().map(ingress).collect()),
    ]
}

/// Every rule over a store that holds it all, and what one pod's change costs then.
fn inspect(pods: usize) {
    let info = ClusterInfo { name: "bench".into(), contexts: vec!["bench".into()], ..ClusterInfo::default() };
    let mut store = Store::new(vec![info], NOW);
    let mut interner = Interner::default();
    let apply = |store: &mut Store, delta: Delta| {
        let mut touched = Vec::new();
        store.apply(Batch { cluster: ClusterId(0), generation: Generation(1), delta }, NOW, &mut touched);
        touched
    };
    let mut all = apply(&mut store, Delta::State(ConnectionState::Live));
    let mut lists = around(pods);
    lists.push((Kind::Pod, (0..pods).map(|n| pod(n, 0)).collect()));
    for (kind, objects) in lists {
        let read = |o: &Value| Change::Upsert(object::decode_json(kind, o.to_string().as_bytes(), &mut interner).unwrap());
        let changes = objects.iter().map(read).collect();
        all.extend(apply(&mut store, Delta::Rows { kind, changes }));
    }
    for kind in Kind::ALL {
        all.extend(apply(&mut store, Delta::KindState(kind, KindState::Live)));
    }
    let mut engine = Engine::new(Thresholds::default());
    let times = timed(9, |_| {
        engine = Engine::new(Thresholds::default());
        engine.touched(&store, &all, NOW);
    });
    say(&format!("inspect all, {} rules", engine.rules().all().len()), pods, times);
    println!("{:<44} {pods:>7} pods   {:>6} findings", "what it found", engine.findings().count());
    let mut version = 0;
    let changes: Vec<Vec<Touched>> = (0..500)
        .map(|i| {
            version += 1;
            let o = pod(i * 7919 % pods, version);
            let change = Change::Upsert(object::decode_json(Kind::Pod, o.to_string().as_bytes(), &mut interner).unwrap());
            apply(&mut store, Delta::Rows { kind: Kind::Pod, changes: vec![change] })
        })
        .collect();
    let again = timed(changes.len(), |i| engine.touched(&store, &changes[i], NOW));
    say("judge one pod's change", pods, again);
    let cluster = timed(200, |_| engine.touched(&store, &[Touched::Cluster(ClusterId(0))], NOW));
    say("judge the cluster itself", pods, cluster);
}

fn main() {
    let sizes: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    for pods in if sizes.is_empty() { vec![10_000, 50_000] } else { sizes } {
        run(pods);
        inspect(pods);
    }
}
