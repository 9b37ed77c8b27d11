//! A storm of alerts: in groups, opened, marked; the form that mutes a group or a cluster, with what it would hide.

use super::*;
use crate::model::{Alert, AlertState, Object, Service, ServiceState};
use std::sync::Arc;

fn storm() -> Fixture {
    let mut f = Fixture::calm();
    let mut rows = Vec::new();
    for n in 0..90u16 {
        let (name, severity) =
            [("HighErrorRate", "critical"), ("HighLatency", "warning"), ("CPUThrottlingHigh", "info")][usize::from(n % 3)];
        let state = match n {
            0..6 => AlertState::Silenced,
            6..9 => AlertState::Inhibited,
            _ => AlertState::Firing,
        };
        let (pod, node, ns) = (format!("checkout-7d4b9-{n:05}"), format!("node-{:03}", n % 4), if n < 60 { "pay" } else { "shop" });
        let labels = [("alertname", name), ("namespace", ns), ("node", &node), ("pod", &pod), ("severity", severity), ("team", "payments")];
        let mut alert = crate::model::alert::tests::alert(&labels, state);
        alert.starts = Time::from_secs(NOW - 60 * (i64::from(n) + 5));
        rows.push((n % 2, alert));
    }
    for (c, alert) in rows {
        f.delta(c, Delta::Service { service: Service::Alertmanager, state: ServiceState::Live, via: "https://10.0.0.1".into() });
        f.delta(c, Delta::Rows { kind: Kind::Alert, changes: vec![Change::Upsert(Object::Alert(alert.into()))] });
    }
    let pending = crate::model::alert::tests::alert(
        &[("alertname", "DiskWillFill"), ("node", "node-002"), ("severity", "warning")],
        AlertState::Firing,
    );
    let waits = |name: &str, state, labels: &crate::model::Labels| {
        Arc::new(Alert::waiting(name, state, labels.clone(), Default::default(), pending.starts))
    };
    let down = crate::model::alert::tests::alert(&[("job", "node-exporter"), ("instance", "10.0.0.4:9100")], AlertState::Firing);
    let waiting = [waits("", AlertState::Pending, &pending.meta.labels), waits("TargetDown", AlertState::Down, &down.meta.labels)];
    f.delta(0, Delta::Waiting(waiting.into()));
    f.judge();
    f
}

#[test]
fn a_storm_stands_in_groups_that_open() {
    let f = storm();
    for size in [(80, 24), (120, 40)] {
        let mut app = f.app_on("alerts", size);
        let frame = dump(&f.frame(&mut app, size));
        assert!(frame.contains("ALERTS 92 in 5 groups by alert") && frame.contains("27 firing, 2 silenced, 1 inhibited"), "{frame}");
        insta::assert_snapshot!(format!("alerts-grouped-{}x{}", size.0, size.1), frame);
        f.keys(&mut app, "j\r");
        let frame = dump(&f.frame(&mut app, size));
        assert!(frame.contains("checkout-7d4b9-"), "{frame}");
        insta::assert_snapshot!(format!("alerts-opened-{}x{}", size.0, size.1), frame);
        f.keys(&mut app, "\rfff");
        let frame = dump(&f.frame(&mut app, size));
        assert!(frame.contains("groups by node") && frame.contains("(no node)"), "{frame}");
        f.keys(&mut app, "ff");
        let frame = dump(&f.frame(&mut app, size));
        assert!(!frame.contains("groups"), "{frame}");
    }
}

#[test]
fn the_form_of_a_mute_shows_what_it_hides_while_it_is_typed() {
    let f = storm();
    for size in [(80, 24), (120, 40)] {
        let mut app = f.app_on("alerts", size);
        f.frame(&mut app, size);
        f.keys(&mut app, "m");
        let frame = dump(&f.frame(&mut app, size));
        assert!(frame.contains("alertname=HighErrorRate") && frame.contains("silences now 30 alerts"), "{frame}");
        assert!(frame.contains("too wide?"), "{frame}");
        insta::assert_snapshot!(format!("mute-form-{}x{}", size.0, size.1), frame);
    }
}

#[test]
fn all_of_a_cluster_can_be_acted_on() {
    let f = storm();
    let size = (80, 24);
    let mut app = f.app_on("clusters", size);
    f.frame(&mut app, size);
    f.keys(&mut app, "a");
    let frame = dump(&f.frame(&mut app, size));
    assert!(frame.contains("Acts on cluster prod-eu") && frame.contains("Silence alerts"), "{frame}");
    insta::assert_snapshot!("overlay-acts-cluster-80x24", frame);
}
