//! Frames of every pane, calm and burning, at three sizes: symbols and styles.

use crate::app::{App, Event, SessionState, World};
use crate::config::Config;
use crate::inspect::{Engine, Thresholds};
use crate::keymap::Keymap;
use crate::model::{Batch, Change, ClusterId, ConnectionState, Delta, Generation, Interner, Kind, KindState, Time, object};
use crate::store::{ClusterInfo, Store, Touched};
use crate::theme::{Glyphs, Theme};
use crate::view::{self, Draw};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// 2026-03-01 02:47:30Z.
const NOW: i64 = 1_772_333_250;

fn at(minutes_ago: i64) -> String {
    Time::from_secs(NOW - minutes_ago * 60).unwrap().rfc3339()
}

struct Fixture {
    store: Store,
    engine: Engine,
    touched: Vec<Touched>,
}

impl Fixture {
    fn new() -> Self {
        let cluster = |name: &str, tier: &str| ClusterInfo {
            name: name.into(),
            contexts: vec![name.into()],
            server: "https://127.0.0.1:6443".into(),
            tier: Some(tier.into()),
            ..ClusterInfo::default()
        };
        let clusters = vec![cluster("prod-eu", "production"), cluster("prod-us", "production"), cluster("staging", "staging")];
        let mut f = Self { store: Store::new(clusters, NOW - 600), engine: Engine::new(Thresholds::default()), touched: Vec::new() };
        for c in 0..3 {
            f.delta(c, Delta::State(ConnectionState::Live));
            f.delta(c, Delta::Version("v1.36.3".into()));
            f.delta(c, Delta::Latency(12 + u32::from(c)));
            for kind in Kind::WATCHED {
                f.delta(c, Delta::KindState(kind, KindState::Live));
            }
            for n in 0..4 {
                f.node(c, n, "True", "KubeletReady", "kubelet is posting ready status");
            }
            for app in ["api", "db", "数据库", "web"] {
                f.app(c, "shop", app, 3, "1.0", 3);
            }
            f.add(c, Kind::Namespace, json!({"metadata": {"name": "shop", "uid": format!("ns-{c}"), "creationTimestamp": at(90_000)}, "status": {"phase": "Active"}}));
        }
        f
    }

    fn delta(&mut self, cluster: u16, delta: Delta) {
        self.store.apply(Batch { cluster: ClusterId(cluster), generation: Generation(1), delta }, NOW - 30, &mut self.touched);
    }

    fn add(&mut self, cluster: u16, kind: Kind, value: Value) {
        let row = object::decode_json(kind, value.to_string().as_bytes(), &mut Interner::default()).unwrap();
        self.delta(cluster, Delta::Rows { kind, changes: vec![Change::Upsert(row)] });
    }

    fn node(&mut self, c: u16, n: usize, ready: &str, reason: &str, message: &str) {
        let since = if ready == "True" { at(90_000) } else { at(9) };
        self.add(
            c,
            Kind::Node,
            json!({"metadata": {"name": format!("node-{n:03}"), "uid": format!("node-{c}-{n}"), "creationTimestamp": at(100_000), "labels": {"topology.kubernetes.io/zone": "room-a"}},
            "spec": {}, "status": {"allocatable": {"cpu": "8", "memory": "32Gi", "pods": "110"}, "capacity": {"cpu": "8", "memory": "32Gi", "pods": "110"},
            "nodeInfo": {"kubeletVersion": "v1.36.3", "kernelVersion": "6.12.0", "containerRuntimeVersion": "containerd://2.1", "osImage": "Debian 13"},
            "conditions": [{"type": "Ready", "status": ready, "reason": reason, "message": message, "lastTransitionTime": since}]}}),
        );
    }

    fn app(&mut self, c: u16, ns: &str, app: &str, replicas: i64, tag: &str, available: i64) {
        let template = json!({"spec": {"containers": [{"name": "app", "image": format!("registry.internal/{app}:{tag}"), "resources": {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}}}]}});
        self.add(
            c,
            Kind::Deployment,
            json!({"metadata": {"name": app, "namespace": ns, "uid": format!("d-{c}-{app}"), "creationTimestamp": at(50_000), "generation": 2, "annotations": {"deployment.kubernetes.io/revision": "2"}},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": app}}, "template": template, "strategy": {"type": "RollingUpdate"}},
            "status": {"observedGeneration": 2, "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": available, "availableReplicas": available,
                "conditions": [{"type": "Available", "status": if available > 0 {"True"} else {"False"}, "reason": "r", "lastTransitionTime": at(20)}]}}),
        );
        self.add(
            c,
            Kind::ReplicaSet,
            json!({"metadata": {"name": format!("{app}-7d4b9"), "namespace": ns, "uid": format!("rs-{c}-{app}"), "creationTimestamp": at(25), "annotations": {"deployment.kubernetes.io/revision": "2"},
                "ownerReferences": [{"kind": "Deployment", "name": app, "uid": format!("d-{c}-{app}"), "controller": true}]},
            "spec": {"replicas": replicas, "template": template}, "status": {"replicas": replicas, "readyReplicas": available, "availableReplicas": available}}),
        );
        for n in 0..replicas {
            self.pod(c, ns, app, n, n < available, false);
        }
    }

    fn pod(&mut self, c: u16, ns: &str, app: &str, n: i64, ready: bool, crash: bool) {
        let state = if crash {
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}})
        } else {
            json!({"running": {"startedAt": at(600)}})
        };
        let last = if crash { json!({"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": at(3)}}) } else { json!({}) };
        self.add(
            c,
            Kind::Pod,
            json!({"metadata": {"name": format!("{app}-7d4b9-{n:05}"), "namespace": ns, "uid": format!("p-{c}-{app}-{n}"), "creationTimestamp": at(600), "labels": {"app": app},
                "ownerReferences": [{"kind": "ReplicaSet", "name": format!("{app}-7d4b9"), "uid": format!("rs-{c}-{app}"), "controller": true}]},
            "spec": {"nodeName": format!("node-{:03}", n % 4), "containers": [{"name": "app", "image": format!("registry.internal/{app}:1.0"), "resources": {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}}}]},
            "status": {"phase": "Running", "podIP": "10.0.0.7", "qosClass": "Burstable", "startTime": at(600),
                "conditions": [{"type": "Ready", "status": if ready {"True"} else {"False"}, "lastTransitionTime": at(if ready {500} else {20})}],
                "containerStatuses": [{"name": "app", "ready": ready, "restartCount": if crash {7} else {0}, "state": state, "lastState": last}]}}),
        );
    }

    fn calm() -> Self {
        let mut f = Self::new();
        f.add(2, Kind::Claim, claim("data-db-0", "Bound"));
        f.network(3);
        f.judge();
        f
    }

    /// A Service with so many ready endpoints of three, and the Ingress to it.
    fn network(&mut self, ready: usize) {
        let meta = |name: &str| json!({"name": name, "namespace": "shop", "uid": format!("net-{name}"), "creationTimestamp": at(9000), "labels": {"kubernetes.io/service-name": "web"}});
        let endpoint = |n: usize| json!({"addresses": ["10.0.0.7"], "conditions": {"ready": n < ready}});
        self.add(
            2,
            Kind::EndpointSlice,
            json!({"metadata": meta("web-x"), "addressType": "IPv4", "endpoints": (0..3).map(endpoint).collect::<Vec<_>>()}),
        );
        let ports = json!([{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]);
        self.add(2, Kind::Service, json!({"metadata": meta("web"), "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.9", "selector": {"app": "web"}, "ports": ports}}));
        let paths = json!([{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": if ready > 0 { "web" } else { "wbe" }, "port": {"name": "http"}}}}]);
        self.add(
            2,
            Kind::Ingress,
            json!({"metadata": meta("shop"), "spec": {"ingressClassName": "nginx", "tls": [{"hosts": ["shop.example.com"], "secretName": "shop-tls"}],
                "rules": [{"host": "shop.example.com", "http": {"paths": paths}}]}, "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.10"}]}}}),
        );
    }

    fn burning() -> Self {
        let mut f = Self::new();
        f.node(1, 2, "False", "KubeletNotReady", "PLEG is not healthy: pleg was last seen active 9m ago");
        for app in ["api", "db", "web"] {
            f.pod(1, "shop", app, 2, false, false);
        }
        f.app(1, "pay", "checkout", 6, "1.9", 0);
        for n in 0..6 {
            f.pod(1, "pay", "checkout", n, false, true);
        }
        f.add(
            2,
            Kind::Hpa,
            json!({"metadata": {"name": "api", "namespace": "shop", "uid": "h1", "creationTimestamp": at(9000)},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "api"}, "minReplicas": 2, "maxReplicas": 40, "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]},
            "status": {"currentReplicas": 40, "desiredReplicas": 40, "lastScaleTime": at(30), "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 143}}}],
                "conditions": [{"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas", "lastTransitionTime": at(14)}]}}),
        );
        f.add(
            2,
            Kind::Pdb,
            json!({"metadata": {"name": "db", "namespace": "shop", "uid": "b1", "creationTimestamp": at(9000), "generation": 1},
            "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "db"}}},
            "status": {"observedGeneration": 1, "expectedPods": 3, "currentHealthy": 3, "desiredHealthy": 3, "disruptionsAllowed": 0,
                "conditions": [{"type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "lastTransitionTime": at(8000)}]}}),
        );
        f.add(
            1,
            Kind::Event,
            json!({"metadata": {"name": "e1", "namespace": "pay", "uid": "e1", "creationTimestamp": at(4)}, "type": "Warning", "reason": "BackOff", "message": "Back-off restarting failed container app",
            "involvedObject": {"kind": "Pod", "namespace": "pay", "name": "checkout-7d4b9-00000", "uid": "p-1-checkout-0"}, "count": 88, "firstTimestamp": at(20), "lastTimestamp": at(1), "source": {"component": "kubelet"}}),
        );
        for (name, phase) in [("data-db-0", "Bound"), ("data-db-3", "Pending"), ("data-db-4", "Lost")] {
            f.add(2, Kind::Claim, claim(name, phase));
        }
        f.network(0);
        f.delta(0, Delta::State(ConnectionState::Unreachable { last: Time::from_secs(NOW - 130), reason: "dial timeout".into() }));
        f.judge();
        f
    }

    fn judge(&mut self) {
        self.engine.touched(&self.store, &self.touched, NOW);
        for (cluster, changes) in self.engine.news() {
            self.delta(cluster.0, Delta::Rows { kind: Kind::Finding, changes });
        }
    }

    fn world(&self) -> World<'_> {
        World { store: &self.store, engine: &self.engine, now: NOW }
    }

    fn app_on(&self, screen: &str, size: (u16, u16)) -> App {
        let mut app = App::new(&Config::default(), Keymap::load("default", None).0, Vec::new());
        app.size = size;
        app.restore(&self.world(), SessionState::default(), Some(screen));
        app
    }

    /// Draws until nothing moves any more, as a terminal would.
    fn frame(&self, app: &mut App, size: (u16, u16)) -> Buffer {
        let theme = Theme::load("dark", None).0;
        let mut buffer = Buffer::empty(Rect::new(0, 0, size.0, size.1));
        for _ in 0..2 {
            buffer.reset();
            let hits = view::draw(&Draw { world: self.world(), app, theme: &theme, glyphs: Glyphs::of(false) }, &mut buffer);
            app.drawn(hits);
        }
        buffer
    }

    fn keys(&self, app: &mut App, keys: &str) {
        for c in keys.chars() {
            let code = match c {
                '\r' => KeyCode::Enter,
                '\t' => KeyCode::Tab,
                '\x1b' => KeyCode::Esc,
                c => KeyCode::Char(c),
            };
            let modifiers = if c.is_uppercase() { KeyModifiers::SHIFT } else { KeyModifiers::NONE };
            app.update(&self.world(), Event::Key(KeyEvent::new(code, modifiers)));
        }
    }
}

fn claim(name: &str, phase: &str) -> Value {
    let capacity = if phase == "Bound" { json!({"storage": "50Gi"}) } else { json!({}) };
    json!({"metadata": {"name": name, "namespace": "shop", "uid": name, "creationTimestamp": at(9000)},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "50Gi"}}, "storageClassName": "ssd",
            "volumeName": if phase == "Pending" { "" } else { "pvc-0f3c" }}, "status": {"phase": phase, "capacity": capacity}})
}

/// The symbols, and under each row the styles as letters that the end explains.
fn dump(buffer: &Buffer) -> String {
    let (mut out, mut names) = (String::new(), BTreeMap::<String, char>::new());
    for y in 0..buffer.area.height {
        let (mut text, mut marks) = (String::new(), String::new());
        let mut x = 0;
        while x < buffer.area.width {
            let cell = &buffer[(x, y)];
            let style = Style { fg: Some(cell.fg), bg: Some(cell.bg), add_modifier: cell.modifier, ..Style::default() };
            let key = format!("{:?} on {:?} {:?}", style.fg.unwrap_or_default(), style.bg.unwrap_or_default(), style.add_modifier);
            let next = char::from(b'a' + u8::try_from(names.len()).unwrap_or(25));
            let name = *names.entry(key).or_insert(next);
            text.push_str(cell.symbol());
            let w = view::width(cell.symbol()).max(1);
            marks.extend(std::iter::repeat_n(name, w));
            x += w as u16;
        }
        let _ = writeln!(out, "{}", text.trim_end());
        let plain = marks.chars().next().unwrap_or('a');
        let _ = writeln!(out, "{}", marks.trim_end_matches(plain).replace(plain, "."));
    }
    for (style, name) in names {
        let _ = writeln!(out, "{name}: {style}");
    }
    out
}

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];
const SCREENS: [&str; 12] =
    ["cockpit", "clusters", "nodes", "pods", "workloads", "hpa", "pdb", "events", "namespaces", "pvc", "services", "ingresses"];

#[test]
fn every_pane_calm_and_burning_at_three_sizes() {
    for (mood, fixture) in [("calm", Fixture::calm()), ("burning", Fixture::burning())] {
        for screen in SCREENS {
            for size in SIZES {
                let mut app = fixture.app_on(screen, size);
                let frame = fixture.frame(&mut app, size);
                insta::assert_snapshot!(format!("{screen}-{mood}-{}x{}", size.0, size.1), dump(&frame));
            }
        }
    }
}

#[test]
fn overlays_help_and_small_screens() {
    let f = Fixture::burning();
    for (name, keys) in [
        ("help", "?"),
        ("palette", ":hp"),
        ("find", ":find chk\r"),
        ("columns", "3C"),
        ("sort", "3S"),
        ("filter", "3/restarts>3 bogus:x"),
        ("pending", "g"),
        ("acts", "a"),
    ] {
        let mut app = f.app_on("cockpit", (80, 24));
        f.frame(&mut app, (80, 24));
        f.keys(&mut app, keys);
        insta::assert_snapshot!(format!("overlay-{name}-80x24"), dump(&f.frame(&mut app, (80, 24))));
    }
    let mut app = f.app_on("cockpit", (60, 20));
    insta::assert_snapshot!("too-small-60x20", dump(&f.frame(&mut app, (60, 20))));
}

#[test]
fn a_full_pane_shows_18_rows_at_80x24() {
    let mut f = Fixture::new();
    for n in 0..40 {
        f.pod(0, "shop", "many", n, true, false);
    }
    f.judge();
    let mut app = f.app_on("pods", (80, 24));
    let frame = dump(&f.frame(&mut app, (80, 24)));
    let rows = frame.lines().filter(|l| l.contains("-7d4b9-")).count();
    assert!(rows >= 18, "{rows} rows\n{frame}");
}

#[test]
fn the_cursor_follows_its_object_when_rows_come_and_go() {
    let mut f = Fixture::calm();
    let mut app = f.app_on("pods", (80, 24));
    f.frame(&mut app, (80, 24));
    f.keys(&mut app, "jjjj");
    let before = app.highlighted(&f.world()).unwrap();
    f.touched.clear();
    f.pod(0, "shop", "api", 0, false, true);
    f.pod(0, "aaa", "first", 0, true, false);
    let touched = std::mem::take(&mut f.touched);
    app.touched(&f.world(), &touched);
    assert_eq!(app.highlighted(&f.world()), Some(before));
}

#[test]
fn nothing_claims_that_all_is_well_while_a_cluster_is_unseen() {
    let mut f = Fixture::calm();
    let mut app = f.app_on("cockpit", (80, 24));
    assert!(dump(&f.frame(&mut app, (80, 24))).contains("nothing burns\n"));
    f.delta(2, Delta::State(ConnectionState::Syncing { done: 1, of: 12 }));
    let mut app = f.app_on("cockpit", (80, 24));
    let frame = dump(&f.frame(&mut app, (80, 24)));
    assert!(!frame.contains("nothing burns\n") && frame.contains("staging syncing 1/12"), "{frame}");
}

#[test]
fn a_cluster_that_has_just_gone_is_named_at_once_beside_the_problems() {
    let mut f = Fixture::burning();
    let state = ConnectionState::Unreachable { last: Time::from_secs(NOW - 6), reason: "dial timeout".into() };
    f.touched.clear();
    f.store.apply(Batch { cluster: ClusterId(2), generation: Generation(1), delta: Delta::State(state) }, NOW - 5, &mut f.touched);
    f.judge();
    let first = |f: &Fixture, size: (u16, u16)| dump(&f.frame(&mut f.app_on("cockpit", size), size)).lines().nth(2).unwrap().to_owned();
    for size in SIZES {
        let rule = first(&f, size);
        assert!(rule.contains("not seen: staging unreachable") && rule.contains("since"), "{rule}");
        // prod-eu has its line.
        assert!(!rule.contains("prod-eu"), "{rule}");
    }
    f.engine.tick(&f.store, NOW + 15);
    assert!(!first(&f, SIZES[0]).contains("not seen"));
}

mod alerts;
mod deed;
mod findings;
mod signals;
mod text;
mod verbs;

#[test]
fn what_may_not_be_seen_is_not_said_to_be_absent() {
    let mut f = Fixture::new();
    f.delta(0, Delta::Version("v1.36.3".into()));
    assert!(dump(&f.frame(&mut f.app_on("hpa", (120, 40)), (120, 40))).contains("there are no hpa"));
    for c in 0..3 {
        f.delta(c, Delta::KindState(Kind::Hpa, KindState::Forbidden { missing: "list horizontalpodautoscalers".into() }));
    }
    let frame = dump(&f.frame(&mut f.app_on("hpa", (120, 40)), (120, 40)));
    assert!(!frame.contains("there are no"), "{frame}");
    assert!(frame.contains("no hpa are seen: prod-eu forbidden, prod-us forbidden, staging forbidden"), "{frame}");
    assert!(frame.contains("forbidden, needs list horizontalpodautoscalers"), "{frame}");
}

#[test]
fn no_finding_is_told_of_for_as_long_as_a_cluster_is_not_read() {
    let mut f = Fixture::new();
    let frame = |f: &Fixture| dump(&f.frame(&mut f.app_on("findings", (120, 40)), (120, 40)));
    assert!(frame(&f).contains("there are no findings"), "{}", frame(&f));
    f.delta(1, Delta::State(ConnectionState::Connecting));
    assert!(frame(&f).contains("nothing yet: prod-us connecting"), "{}", frame(&f));
}

#[test]
fn clusters_that_a_filter_hides_are_not_said_to_be_absent() {
    let f = Fixture::new();
    let mut app = f.app_on("clusters", (120, 40));
    f.keys(&mut app, "/nosuch\r");
    let frame = dump(&f.frame(&mut app, (120, 40)));
    assert!(frame.contains("no clusters match the filter; it hides 3 (Esc clears it)"), "{frame}");
}

#[test]
fn a_tiles_count_of_bad_rows_is_of_what_it_is_limited_to() {
    let mut f = Fixture::burning();
    f.judge();
    let size = (120, 40);
    let mut app = f.app_on("cockpit", size);
    let mut title = |keys: &str| {
        f.keys(&mut app, keys);
        let frame = dump(&f.frame(&mut app, size));
        let from = frame.lines().find_map(|l| l.find("PODS ").map(|at| l[at..].to_owned())).unwrap();
        from.chars().take_while(char::is_ascii).collect::<String>().trim_end().to_owned()
    };
    assert_eq!(title(""), "PODS 9 bad of 42");
    assert_eq!(title(":ns pay\r"), "PODS 6 bad of 6");
    assert_eq!(title(":ns shop\r"), "PODS 3 bad of 36");
    assert_eq!(title("0"), "PODS 9 bad of 42");
    assert_eq!(title(":cluster prod-eu\r"), "PODS 12");
}
