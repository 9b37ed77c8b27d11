//! The panes of etcd, alerts and backups: frames, and what they say where there is nothing.

use super::*;
use crate::model::{AlertState, Change, EtcdMetrics, Object, Service, ServiceState, SilenceState};

fn backup(f: &mut Fixture, c: u16, name: &str, phase: &str, began: i64, errors: i64) {
    let schedule = name.split('-').next().unwrap();
    let done = if phase == "Completed" { 310 } else { 290 };
    f.add(
        c,
        Kind::Backup,
        json!({"metadata": {"name": name, "namespace": "velero", "uid": format!("{c}-{name}"), "creationTimestamp": at(began), "labels": {"velero.io/schedule-name": schedule}},
        "spec": {"includedNamespaces": ["shop"], "storageLocation": "default", "ttl": "720h0m0s"},
        "status": {"phase": phase, "startTimestamp": at(began), "completionTimestamp": at(began - 2), "expiration": at(began - 43_200), "errors": errors, "progress": {"totalItems": 310, "itemsBackedUp": done}}}),
    );
}

fn told(f: &mut Fixture, c: u16, service: Service, object: Object) {
    f.delta(c, Delta::Service { service, state: ServiceState::Live, via: "https://10.0.0.1".into() });
    f.delta(c, Delta::Rows { kind: object.kind(), changes: vec![Change::Upsert(object)] });
}

/// What Prometheus measures of the first two clusters: a course, a highest one, what is not there.
fn measured(f: &mut Fixture, burning: bool) {
    use crate::model::signal::tests::{labels, query};
    use crate::model::{Measure, Query, Signal};
    for c in 0..2u16 {
        let latency = Query {
            area: "api".into(),
            title: "API latency p99".into(),
            measure: Measure::Seconds,
            warning: Some(1.0),
            critical: Some(5.0),
            top: None,
            ..query("api-latency")
        };
        let slow = if burning && c == 1 { 6.5 } else { 0.04 };
        let course: Box<[f64]> = (0..30).map(|n| if n < 20 { 0.04 } else { slow }).collect();
        let hot = if burning { 0.61 } else { 0.02 };
        let pod = [("container", "app"), ("namespace", "pay"), ("pod", "checkout-7d4b9-00001")];
        let lost = Query { area: "dns".into(), title: "DNS latency p99".into(), ..query("dns-latency") };
        for signal in [
            Signal::of(&latency, labels(&[("verb", "LIST")]), slow, course),
            Signal::of(&query("cpu-throttled"), labels(&pod), hot, [0.01, hot].into()),
            Signal::without(
                &lost,
                crate::model::SignalState::NoData,
                Some("there is no coredns_dns_request_duration_seconds_bucket".into()),
            ),
        ] {
            told(f, c, Service::Prometheus, Object::Signal(signal.into()));
        }
    }
}

fn fixture(burning: bool) -> Fixture {
    let mut f = Fixture::new();
    for c in 0..2u16 {
        for n in 0..4 {
            backup(&mut f, c, &format!("hourly-2026030{n}"), "Completed", 40 + 60 * n, 0);
        }
        let late = burning && c == 1;
        f.add(
            c,
            Kind::Schedule,
            json!({"metadata": {"name": "hourly", "namespace": "velero", "uid": format!("s-{c}"), "creationTimestamp": at(90_000)}, "spec": {"schedule": "@every 1h", "template": {"includedNamespaces": ["shop"], "ttl": "720h0m0s"}},
            "status": {"phase": "Enabled", "lastBackup": at(if late { 700 } else { 40 })}}),
        );
        let phase = if burning && c == 0 { "Unavailable" } else { "Available" };
        f.add(
            c,
            Kind::StorageLocation,
            json!({"metadata": {"name": "default", "namespace": "velero", "uid": format!("l-{c}"), "creationTimestamp": at(90_000)}, "spec": {"provider": "aws", "default": true, "objectStorage": {"bucket": "backups"}},
            "status": {"phase": phase, "message": if c == 0 && burning { "dial tcp 10.0.0.9:443: connection refused" } else { "" }, "lastValidationTime": at(1), "lastSyncedTime": at(if phase == "Available" { 1 } else { 10 })}}),
        );
        for id in 1..4u64 {
            let mut m = crate::model::etcd::tests::member(id, &format!("etcd-{id}"), (!(burning && c == 1 && id > 1)).then_some(1));
            m.meta.uid = crate::model::Uid::parse(&format!("etcd/{c}/{id}"));
            m.metrics = Some(EtcdMetrics {
                fsync_p99_us: Some(3_400),
                commit_p99_us: Some(9_000),
                leader_changes: Some(1),
                ..EtcdMetrics::default()
            });
            m.answered = Time::from_secs(NOW - 40);
            told(&mut f, c, Service::Etcd, Object::EtcdMember(m.into()));
        }
        let watchdog = crate::model::alert::tests::alert(&[("alertname", "Watchdog"), ("severity", "none")], AlertState::Firing);
        told(&mut f, c, Service::Alertmanager, Object::Alert(watchdog.into()));
    }
    measured(&mut f, burning);
    f.delta(2, Delta::KindState(Kind::Backup, KindState::Missing));
    for kind in [Kind::Restore, Kind::Schedule, Kind::StorageLocation] {
        f.delta(2, Delta::KindState(kind, KindState::Missing));
    }
    if burning {
        backup(&mut f, 0, "hourly-20260305", "PartiallyFailed", 10, 3);
        f.add(
            0,
            Kind::Restore,
            json!({"metadata": {"name": "shop-again", "namespace": "velero", "uid": "r-1", "creationTimestamp": at(5)}, "spec": {"backupName": "hourly-20260300", "namespaceMapping": {"shop": "shop-copy"}},
            "status": {"phase": "InProgress", "startTimestamp": at(5), "progress": {"totalItems": 310, "itemsRestored": 120}}}),
        );
        for (n, state) in [(1, AlertState::Firing), (2, AlertState::Silenced), (3, AlertState::Inhibited)] {
            let pod = format!("checkout-7d4b9-0000{n}");
            let labels = [("alertname", "PodCrashLooping"), ("namespace", "pay"), ("pod", &pod), ("severity", "critical")];
            told(&mut f, 1, Service::Alertmanager, Object::Alert(crate::model::alert::tests::alert(&labels, state).into()));
        }
        for (id, state, ends) in
            [("a", SilenceState::Active, NOW + 300), ("b", SilenceState::Active, NOW + 90_000), ("c", SilenceState::Expired, NOW - 60)]
        {
            let mut s = crate::model::silence::tests::silence(id, state, ends);
            s.starts = Time::from_secs(NOW - 3600);
            s.hides = u32::from(id == "a");
            told(&mut f, 1, Service::Alertmanager, Object::Silence(s.into()));
        }
    }
    f.judge();
    f
}

/// Whether a line of BURNING has a text.
fn burns(frame: &str, text: &str) -> bool {
    let mut lines = frame.lines().skip_while(|l| !l.starts_with("BURNING")).take_while(|l| !l.contains("CLUSTERS"));
    lines.any(|l| l.contains(text))
}

#[test]
fn the_cockpit_with_services_and_what_burns_in_them() {
    for (mood, f) in [("calm", fixture(false)), ("burning", fixture(true))] {
        for size in SIZES {
            let mut app = f.app_on("cockpit", size);
            let frame = dump(&f.frame(&mut app, size));
            let burning = mood == "burning";
            for text in ["etcd QUORUM LOST: 1 of 3", "alert PodCrashLooping", "schedule velero/hourly late", "unavailable: dial tcp"] {
                assert_eq!(burns(&frame, text), burning, "{text}: {frame}");
            }
            for text in if size.1 < 28 { ["ETCD ", "ALERTS ", "BACKUPS "] } else { ["ETCD", "ALERTS 2", "BACKUPS 8"] } {
                assert!(burning || frame.contains(text), "{text}: {frame}");
            }
            insta::assert_snapshot!(format!("cockpit-services-{mood}-{}x{}", size.0, size.1), frame);
        }
    }
}

#[test]
fn a_service_that_no_cluster_has_takes_no_place() {
    let mut f = Fixture::calm();
    for c in 0..3 {
        f.delta(c, Delta::KindState(Kind::Backup, KindState::Missing));
    }
    for size in SIZES {
        let mut app = f.app_on("cockpit", size);
        let frame = dump(&f.frame(&mut app, size));
        assert!(!["ALERTS", "ETCD", "BACKUPS"].iter().any(|t| frame.contains(t)), "{frame}");
        // Round and back to the first part, over what is there.
        f.keys(&mut app, &"\t".repeat(8));
        assert_eq!(app.cockpit.focus, crate::app::Focus::Burning);
    }
    told(&mut f, 1, Service::Etcd, Object::EtcdMember(crate::model::etcd::tests::member(1, "etcd-1", Some(1)).into()));
    let size = (120, 40);
    let mut app = f.app_on("cockpit", size);
    let frame = dump(&f.frame(&mut app, size));
    assert!(frame.contains("ETCD 1") && frame.contains("─ETCD─") && !frame.contains("ALERTS"), "{frame}");
    f.keys(&mut app, &"\t".repeat(7));
    assert_eq!(app.table().map(|t| t.subject), Some(crate::table::Subject::Etcd));
}

const PANES: [&str; 8] = ["signals", "etcd", "alerts", "silences", "backups", "restores", "schedules", "locations"];

#[test]
fn frames_of_the_services_panes() {
    for (mood, f) in [("calm", fixture(false)), ("burning", fixture(true))] {
        for screen in PANES {
            for size in SIZES {
                let mut app = f.app_on(screen, size);
                insta::assert_snapshot!(format!("{screen}-{mood}-{}x{}", size.0, size.1), dump(&f.frame(&mut app, size)));
            }
        }
    }
}

#[test]
fn keys_open_them_and_go_round() {
    let f = fixture(true);
    let size = (120, 40);
    for (keys, title) in [
        ("E", "ETCD 6"),
        ("A", "ALERTS 5"),
        ("AA", "SILENCES 3"),
        ("B", "BACKUPS 9"),
        ("BB", "SCHEDULES 2"),
        ("BBB", "RESTORES 1"),
        ("BBBB", "LOCATIONS 2"),
        ("BBBBB", "BACKUPS 9"),
    ] {
        let mut app = f.app_on("cockpit", size);
        f.frame(&mut app, size);
        f.keys(&mut app, keys);
        let frame = dump(&f.frame(&mut app, size));
        assert!(frame.lines().any(|l| l.starts_with(title)), "{keys}: {frame}");
    }
}

#[test]
fn a_pane_says_what_to_configure_where_there_is_nothing() {
    let f = Fixture::calm();
    let size = (200, 60);
    let frame = dump(&f.frame(&mut f.app_on("etcd", size), size));
    assert!(
        frame.contains("prod-eu, prod-us and 1 more: no etcd is configured or found; [clusters.CONTEXT.etcd] takes endpoints"),
        "{frame}"
    );
    assert!(!frame.contains("there are no etcd"), "{frame}");
    let frame = dump(&f.frame(&mut f.app_on("alerts", size), size));
    assert!(frame.contains("[clusters.CONTEXT.alertmanager] takes urls or service"), "{frame}");
    let f = fixture(false);
    let frame = dump(&f.frame(&mut f.app_on("backups", size), size));
    assert!(frame.contains("staging Velero is not installed"), "{frame}");
    // What is not configured does not keep the fleet from being well.
    let f = Fixture::calm();
    assert!(dump(&f.frame(&mut f.app_on("cockpit", (80, 24)), (80, 24))).contains("nothing burns\n"));
}

#[test]
fn a_velero_that_stands_still_is_said_over_its_backups_on_as_many_lines_as_it_takes() {
    let mut f = fixture(false);
    f.delta(0, Delta::KindState(Kind::StorageLocation, KindState::Live));
    f.add(
        0,
        Kind::StorageLocation,
        json!({"metadata": {"name": "default", "namespace": "velero", "uid": "l-0", "creationTimestamp": at(90_000)}, "spec": {"provider": "aws", "default": true, "objectStorage": {"bucket": "backups"}},
        "status": {"phase": "Available", "lastValidationTime": at(12), "lastSyncedTime": at(12)}}),
    );
    f.judge();
    for size in [(80, 24), (120, 40)] {
        let frame = dump(&f.frame(&mut f.app_on("backups", size), size));
        let head: Vec<&str> = frame.lines().step_by(2).skip(2).take_while(|l| !l.contains("CLUSTER")).map(str::trim).collect();
        let said = head.join(" ");
        let gone = "X prod-eu: not now, Velero stands still (nobody has looked at location default for 12m): to 40m ago (hourly-20260300, of shop) when it goes on";
        assert!(said.starts_with(gone) && said.contains("; no complete backup has all namespaces"), "{frame}");
        assert!(head.len() > 2 && said.contains("prod-us: yes, to 40m ago"), "each cluster has its own lines: {frame}");
    }
    let size = (120, 40);
    let frame = dump(&f.frame(&mut f.app_on("cockpit", size), size));
    assert!(burns(&frame, "location velero/default not looked at since"), "{frame}");
}

#[test]
fn etcd_is_seen_while_the_api_server_is_gone() {
    let mut f = fixture(true);
    f.delta(1, Delta::State(ConnectionState::Unreachable { last: Time::from_secs(NOW - 60), reason: "dial timeout".into() }));
    f.judge();
    let size = (120, 40);
    let frame = dump(&f.frame(&mut f.app_on("etcd", size), size));
    assert!(frame.contains("X prod-us: QUORUM LOST: 1 of 3 voters answer, 2 are needed"), "{frame}");
    assert!(!frame.contains("dial timeout") && !frame.contains("prod-us?"), "{frame}");
    f.engine.tick(&f.store, NOW);
    let frame = dump(&f.frame(&mut f.app_on("cockpit", size), size));
    assert!(burns(&frame, "etcd QUORUM LOST: 1 of 3 voters answer") && burns(&frame, "API DOWN dial timeout"), "{frame}");
}

#[test]
fn a_services_row_opens_with_what_was_told() {
    let f = fixture(true);
    let size = (120, 40);
    let mut app = f.app_on("alerts", size);
    f.frame(&mut app, size);
    f.keys(&mut app, "\r");
    let frame = dump(&f.frame(&mut app, size));
    assert!(frame.contains("PodCrashLooping") && frame.contains("severity: critical"), "{frame}");
}

#[test]
fn a_pane_says_who_tells_the_use_of_its_rows_and_what_keeps_it_back() {
    let mut f = Fixture::calm();
    let size = (200, 60);
    let mut lines = |via: &str| {
        f.delta(0, Delta::Service { service: Service::Metrics, state: ServiceState::Live, via: via.into() });
        ["pods", "nodes"].map(|screen| {
            let frame = dump(&f.frame(&mut f.app_on(screen, size), size));
            frame.lines().find_map(|l| Some(l[l.find("use of cpu and memory")?..].trim_end().to_owned())).unwrap_or_default()
        })
    };
    assert_eq!(lines("the API server"), ["", ""]);
    let forbidden = "the API server; forbidden, needs list pods.metrics.k8s.io";
    assert_eq!(lines(forbidden), ["use of cpu and memory: forbidden, needs list pods.metrics.k8s.io", ""]);
    let by = "use of cpu and memory is from Prometheus, https://10.0.0.1";
    assert_eq!(lines(&format!("{forbidden}; pods are from Prometheus, https://10.0.0.1")), [by, ""]);
    assert_eq!(lines("Prometheus, https://10.0.0.1"), [by, by]);
}

#[test]
fn a_claim_says_how_full_it_is_and_where_it_is_not_measured_nothing() {
    let mut f = Fixture::calm();
    for name in ["data-db-0", "data-db-1"] {
        f.add(
            0,
            Kind::Claim,
            json!({"metadata": {"name": name, "namespace": "pay", "uid": name, "creationTimestamp": at(90)}, "status": {"phase": "Bound"}}),
        );
    }
    let full = crate::model::ClaimUse { bytes: Some(0.837), inodes: None };
    f.delta(0, Delta::ClaimUse(vec![crate::model::ClaimRow { namespace: "pay".into(), name: "data-db-0".into(), full }]));
    let size = (120, 40);
    let row = |f: &Fixture, name: &str| {
        let frame = dump(&f.frame(&mut f.app_on("pvc", size), size));
        frame.lines().find(|l| l.contains(name)).map(str::to_owned).unwrap_or_else(|| panic!("{frame}"))
    };
    assert!(row(&f, "data-db-0").contains("83%") && !row(&f, "data-db-1").contains('%'));
    f.delta(0, Delta::ClaimUse(Vec::new()));
    assert!(!row(&f, "data-db-0").contains('%'), "what is no longer told is no longer known");
}
