//! `qd doctor`: what is reached of each cluster, how, since when, and what to configure for the rest.

use super::args::{Global, Output};
use super::fail::{Code, Failure};
use super::{print, read};
use crate::client::Target;
use crate::config::ClusterSettings;
use crate::model::{ConnectionState, Kind, KindState, Object, Service, ServiceState, Time, refused};
use crate::runtime::{Fleet, now};
use crate::store::Cluster;
use crate::table::Value as Cell;
use crate::view::width;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// One thing that was looked at.
struct Check {
    /// `api`, `authentication`, `permissions`, the kind's plural or the service's name.
    what: &'static str,
    /// One word.
    state: &'static str,
    /// How it is reached, in words; empty where it is not.
    via: String,
    /// Since when it is so (unix seconds).
    since: Option<i64>,
    /// Configured or found: it counts when it is not reached.
    expected: bool,
    ok: bool,
    /// What is wrong, or what to do.
    says: String,
}

impl Check {
    /// Whether somebody should do something.
    fn fails(&self) -> bool {
        self.expected && !self.ok
    }
}

/// What was found of one cluster.
struct Report<'a> {
    cluster: &'a Cluster,
    identity: String,
    checks: Vec<Check>,
}

impl<'a> Report<'a> {
    fn of(cluster: &'a Cluster, target: Option<&Target>, settings: Option<&ClusterSettings>, now: i64) -> Self {
        let identity = target.map_or_else(|| "not known".to_owned(), Target::identity);
        let mut checks = vec![api(cluster, target.and_then(Target::broken)), authentication(cluster, &identity)];
        checks.extend(permissions(cluster));
        checks.extend(Service::ALL.into_iter().map(|s| service(cluster, s, settings, now)));
        checks.extend(reports(cluster, now));
        Self { cluster, identity, checks }
    }

    fn ok(&self) -> bool {
        !self.checks.iter().any(Check::fails)
    }

    fn json(&self, at: i64) -> Value {
        let c = self.cluster;
        let check = |k: &Check| {
            json!({"what": k.what, "state": k.state, "via": (!k.via.is_empty()).then_some(&k.via), "since": k.since.and_then(Time::from_secs).map(Time::rfc3339),
                "age_s": k.since.map(|s| (at - s).max(0)), "expected": k.expected, "ok": k.ok, "message": (!k.says.is_empty()).then_some(&k.says)})
        };
        json!({"cluster": &*c.info.name, "contexts": c.info.contexts.iter().map(|s| &**s).collect::<Vec<_>>(), "ok": self.ok(), "server": &*c.info.server,
            "version": c.version.as_deref(), "latency_ms": c.latency_ms, "authentication": self.identity, "checks": self.checks.iter().map(check).collect::<Vec<_>>()})
    }
}

fn api(c: &Cluster, broken: Option<&str>) -> Check {
    let says = match (&c.state, broken) {
        (_, Some(why)) => why.to_owned(),
        (ConnectionState::Connecting | ConnectionState::Syncing { .. }, _) => "not complete within the time limit".to_owned(),
        (state, _) => state.reason().map_or_else(
            || {
                let version = c.version.as_deref().unwrap_or("of unknown version");
                c.latency_ms.map_or_else(|| version.to_owned(), |ms| format!("{version}, {ms} ms"))
            },
            ToString::to_string,
        ),
    };
    Check {
        what: "api",
        state: c.state.word(),
        via: c.info.server.to_string(),
        since: Some(c.since),
        expected: true,
        ok: c.state.live(),
        says,
    }
}

fn authentication(c: &Cluster, identity: &str) -> Check {
    let (state, ok) = match c.state {
        ConnectionState::Unauthorized { .. } => ("refused", false),
        ConnectionState::Live | ConnectionState::Syncing { .. } | ConnectionState::Stale { .. } => ("accepted", true),
        ConnectionState::Connecting | ConnectionState::Unreachable { .. } => ("unknown", true),
    };
    let says = if ok { "" } else { "log in again: `:login` in the cockpit, or the login command of the credential plugin" };
    Check { what: "authentication", state, via: identity.to_owned(), since: None, expected: true, ok, says: says.to_owned() }
}

/// The kinds that are not seen, and one line where all are.
fn permissions(c: &Cluster) -> Vec<Check> {
    if !matches!(c.state, ConnectionState::Live | ConnectionState::Syncing { .. } | ConnectionState::Stale { .. }) {
        return Vec::new();
    }
    let check = |kind: Kind, state, says: String| Check {
        what: kind.plural(),
        state,
        via: String::new(),
        since: None,
        expected: true,
        ok: false,
        says,
    };
    let bad = |kind: Kind| match c.kind_state(kind) {
        KindState::Forbidden { missing } => Some(check(kind, "forbidden", format!("needs {missing}"))),
        KindState::Failing { reason } => Some(check(kind, "failing", reason.to_string())),
        KindState::Live | KindState::Missing | KindState::Waiting | KindState::Listing if kind.optional() => None,
        KindState::Missing => Some(check(kind, "missing", format!("this server has no {}", kind.api_version()))),
        KindState::Waiting | KindState::Listing => Some(check(kind, "waiting", "not complete within the time limit".to_owned())),
        KindState::Live => None,
    };
    // How backups are seen is how Velero is.
    let found: Vec<Check> = Kind::WATCHED.into_iter().filter(|k| *k != Kind::Backup).filter_map(bad).collect();
    if !found.is_empty() {
        return found;
    }
    let says = format!("all {} kinds are seen", Kind::WATCHED.into_iter().filter(|k| !k.optional()).count());
    vec![Check { what: "permissions", state: "complete", via: String::new(), since: None, expected: true, ok: true, says }]
}

/// The reports that its findings are read from, where they are.
fn reports(c: &Cluster, now: i64) -> Option<Check> {
    let amiss = c.reports_amiss(now);
    let read = c.reports.reports.as_ref();
    c.info.reported().then(|| Check {
        what: "reports",
        state: amiss.as_ref().map_or("current", |(amiss, _)| amiss.word()),
        via: read.map_or_else(String::new, |_| "the API server".to_owned()),
        since: read.and_then(|r| r.at).map(Time::secs),
        expected: true,
        ok: amiss.is_none(),
        says: amiss.map_or_else(String::new, |(_, words)| words),
    })
}

/// Whether somebody has set it up.
fn configured(service: Service, settings: &ClusterSettings) -> bool {
    match service {
        Service::Etcd => settings.etcd.configured(),
        Service::Alertmanager => settings.alertmanager.reach.is_some(),
        Service::Prometheus => settings.prometheus.reach.is_some(),
        // An objective without backups cannot be met.
        Service::Velero => settings.velero.rpo.is_some(),
        Service::Metrics => false,
    }
}

fn service(c: &Cluster, service: Service, settings: Option<&ClusterSettings>, now: i64) -> Check {
    let slot = c.service(service);
    let configured = settings.is_some_and(|s| configured(service, s));
    let absent = matches!(slot.state, ServiceState::Absent { .. });
    let mut says = match &slot.state {
        ServiceState::Live => String::new(),
        ServiceState::Waiting => "no answer within the time limit".to_owned(),
        ServiceState::Forbidden { missing } => refused(missing).trim_start_matches("forbidden, ").to_owned(),
        state => state.reason().map_or_else(String::new, ToString::to_string),
    };
    if absent {
        says = hint(c, service, configured, &says);
    }
    // Its objects are there without it.
    let idle = (service == Service::Velero && slot.state == ServiceState::Live).then(|| c.velero_idle(now)).flatten();
    if let Some(idle) = &idle {
        says = format!("it stands still: {}; look at its server's pod and log, and whether the location answers", idle.why);
    }
    Check {
        what: service.name(),
        state: if idle.is_some() { "stalled" } else { slot.state.word() },
        via: if absent { String::new() } else { slot.via.to_string() },
        since: match &idle {
            Some(idle) => idle.since.map(Time::secs),
            None => (!absent).then_some(slot.since),
        },
        expected: configured || !absent,
        ok: slot.state == ServiceState::Live && idle.is_none(),
        says,
    }
}

/// What to configure, with the cluster's own context and, for etcd, what its API server says of it.
fn hint(c: &Cluster, service: Service, configured: bool, says: &str) -> String {
    let context = c.info.contexts.first().map_or("CONTEXT", |name| &**name);
    let plain = !context.is_empty() && context.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    let key = if plain { context.to_owned() } else { format!("{context:?}") };
    if service == Service::Velero && configured {
        return "an objective is set (velero.rpo) and this server has no velero.io/v1: install Velero, or take the objective away"
            .to_owned();
    }
    if configured {
        return "it is configured, and was not asked".to_owned();
    }
    let second = second_hand(c).filter(|_| service == Service::Etcd).map_or_else(String::new, |heard| format!("second hand: {heard}. "));
    second + &says.replace("clusters.CONTEXT", &format!("clusters.{key}"))
}

fn second_hand(c: &Cluster) -> Option<String> {
    c.objects(Kind::EtcdMember).find_map(|o| if let Object::EtcdMember(m) = o { Some(m.second_hand.as_ref()?.words()) } else { None })
}

pub fn run(global: &Global) -> Result<Code, Failure> {
    if !matches!(global.output, Output::Table | Output::Wide | Output::Json | Output::Yaml) {
        return Err(Failure::usage("doctor prints a table, -o json or -o yaml"));
    }
    let runtime = super::runtime()?;
    let code = runtime.block_on(async {
        let (mut fleet, _) = read::open_with_use(global, &Kind::ALL, global.timeout).await?;
        fleet.follow_reports();
        // Services without rows of their own, and reports.
        let reported = |c: &Cluster| !c.info.reported() || !c.state.live() || c.reports.told;
        let answered = |c: &Cluster| Service::ALL.into_iter().all(|s| c.service(s).state != ServiceState::Waiting) && reported(c);
        read::follow(&mut fleet, global.timeout / 2, &mut Vec::new(), answered).await;
        tell(global.output, &fleet)
    })?;
    runtime.shutdown_background();
    Ok(code)
}

fn tell(output: Output, fleet: &Fleet) -> Result<Code, Failure> {
    let at = now();
    let clusters = fleet.store.clusters().iter();
    let reports: Vec<Report> = clusters.map(|c| Report::of(c, fleet.target(c.id), fleet.settings(c.id), at)).collect();
    let ok = !reports.is_empty() && reports.iter().all(Report::ok);
    print::text(&match output {
        Output::Json => format!("{:#}\n", document(&reports, ok, at)),
        Output::Yaml => crate::doc::Doc::new(&document(&reports, ok, at)).text(),
        _ => table(&reports, at),
    })?;
    Ok(if ok { Code::Done } else { Code::Partial })
}

fn document(reports: &[Report], ok: bool, at: i64) -> Value {
    json!({"ok": ok, "items": reports.iter().map(|r| r.json(at)).collect::<Vec<_>>()})
}

/// A block a cluster. What fails is marked at its beginning.
fn table(reports: &[Report], at: i64) -> String {
    let since = |k: &Check| k.since.and_then(Time::from_secs).map_or_else(String::new, |t| Cell::Age(t).text(at));
    let cells: Vec<Vec<[String; 4]>> = reports
        .iter()
        .map(|r| r.checks.iter().map(|k| [k.what.to_owned(), k.state.to_owned(), since(k), k.via.clone()]).collect())
        .collect();
    let mut widths = [0; 4];
    for row in cells.iter().flatten() {
        for (w, cell) in widths.iter_mut().zip(row) {
            *w = width(cell).max(*w);
        }
    }
    let mut out = String::new();
    for (r, rows) in reports.iter().zip(&cells) {
        let state = if r.ok() { "reached" } else { "NOT ALL REACHED" };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}{}: {state}", if out.is_empty() { "" } else { "\n" }, r.cluster.info.name);
        for (check, row) in r.checks.iter().zip(rows) {
            let mark = if check.fails() { "X" } else { " " };
            let mut line = format!("{mark} ");
            for (cell, w) in row.iter().zip(widths) {
                let _ = write!(line, "{cell}{}  ", " ".repeat(w.saturating_sub(width(cell))));
            }
            line.push_str(&check.says);
            let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let _ = writeln!(out, "{}", line.trim_end());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Batch, Change, ClusterId, Delta, Generation};
    use crate::store::{ClusterInfo, Store};

    const NOW: i64 = 1_767_614_400;

    struct Room(Store);

    impl Room {
        fn live(context: &str) -> Self {
            let info = ClusterInfo {
                name: "prod".into(),
                contexts: vec![context.into()],
                server: "https://10.0.0.1:6443".into(),
                ..Default::default()
            };
            let mut room = Self(Store::new(vec![info], NOW - 60));
            room.delta(Delta::State(ConnectionState::Live));
            room.delta(Delta::Version("v1.36.3".into()));
            for kind in Kind::WATCHED {
                let state = if kind.optional() { KindState::Missing } else { KindState::Live };
                room.delta(Delta::KindState(kind, state));
            }
            room
        }
        fn delta(&mut self, delta: Delta) {
            self.0.apply(Batch { cluster: ClusterId(0), generation: Generation(1), delta }, NOW - 30, &mut Vec::new());
        }
        fn report(&self, settings: &ClusterSettings) -> Report<'_> {
            Report::of(&self.0.clusters()[0], None, Some(settings), NOW)
        }
        /// State and words of a check.
        fn of(&self, settings: &ClusterSettings, what: &str) -> (&'static str, String, bool) {
            let report = self.report(settings);
            let check = report.checks.into_iter().find(|k| k.what == what).unwrap();
            (check.state, check.says.clone(), check.fails())
        }
    }

    fn with_etcd() -> ClusterSettings {
        let mut settings = ClusterSettings::new("prod");
        settings.etcd.endpoints.value = vec!["https://10.0.0.1:2379".to_owned()];
        settings
    }

    #[test]
    fn all_that_is_configured_is_reached_or_it_is_not_well() {
        let mut room = Room::live("prod");
        let none = ClusterSettings::new("prod");
        assert!(room.report(&none).ok(), "what nobody has set up is no fault");
        let (state, says, fails) = room.of(&none, "etcd");
        assert_eq!((state, fails), ("absent", false));
        assert!(says.contains("[clusters.prod.etcd] takes endpoints"), "{says}");
        assert!(!room.report(&with_etcd()).ok(), "configured, and absent");
        let service = |state| Delta::Service { service: Service::Etcd, state, via: "https://10.0.0.1:2379".into() };
        room.delta(service(ServiceState::Failing { reason: "connection refused".into() }));
        assert_eq!(room.of(&with_etcd(), "etcd"), ("failing", "connection refused".to_owned(), true));
        room.delta(service(ServiceState::Live));
        assert!(room.report(&with_etcd()).ok());
        let text = table(&[room.report(&with_etcd())], NOW);
        assert!(
            text.starts_with("prod: reached\n") && text.contains("etcd") && text.contains("30s") && text.contains("https://10.0.0.1:2379"),
            "{text}"
        );
        let json = room.report(&with_etcd()).json(NOW);
        let etcd = json["checks"].as_array().unwrap().iter().find(|c| c["what"] == "etcd").unwrap();
        assert_eq!((&etcd["state"], &etcd["age_s"], &etcd["expected"]), (&json!("live"), &json!(30), &json!(true)));
    }

    #[test]
    fn a_kind_that_may_not_be_seen_is_named_with_what_it_needs() {
        let mut room = Room::live("prod");
        let none = ClusterSettings::new("prod");
        assert_eq!(room.of(&none, "permissions").0, "complete");
        room.delta(Delta::KindState(Kind::Node, KindState::Forbidden { missing: "list nodes".into() }));
        assert_eq!(room.of(&none, "nodes"), ("forbidden", "needs list nodes".to_owned(), true));
        room.delta(Delta::KindState(Kind::Schedule, KindState::Forbidden { missing: "list schedules".into() }));
        assert_eq!(room.of(&none, "schedules").0, "forbidden");
        assert!(!room.report(&none).ok());
        room.delta(Delta::State(ConnectionState::Unauthorized { last: None, reason: "token expired".into() }));
        assert_eq!(room.of(&none, "authentication").0, "refused");
        assert_eq!(room.of(&none, "api"), ("unauthorized", "token expired".to_owned(), true));
    }

    #[test]
    fn the_words_to_write_have_the_clusters_own_name_and_what_is_heard_is_marked() {
        let mut room = Room::live("kubernetes-admin@prod");
        let hint =
            "etcd runs in pods: etcd-a on a at https://10.0.0.1:2379. Copy /x from a and write [clusters.CONTEXT.etcd] ca = \"FILE\"";
        room.delta(Delta::Service { service: Service::Etcd, state: ServiceState::Absent { hint: hint.into() }, via: "".into() });
        let (_, says, fails) = room.of(&ClusterSettings::new("x"), "etcd");
        assert!(!fails && says.ends_with("write [clusters.\"kubernetes-admin@prod\".etcd] ca = \"FILE\""), "{says}");
        let mut row = crate::model::etcd::tests::member(1, "api-server", None);
        row.second_hand = Some(Box::new(crate::model::SecondHand { check: Some(Ok(())), ..Default::default() }));
        room.delta(Delta::Rows { kind: Kind::EtcdMember, changes: vec![Change::Upsert(Object::EtcdMember(row.into()))] });
        let (_, says, _) = room.of(&ClusterSettings::new("x"), "etcd");
        assert!(says.starts_with("second hand: the API server's check of etcd is ok. etcd runs in pods"), "{says}");
    }

    #[test]
    fn a_velero_that_nobody_runs_is_not_well() {
        let mut room = Room::live("prod");
        let put = |room: &mut Room, ago: i64| {
            let looked = Time::from_secs(NOW - ago).unwrap().rfc3339();
            let location = json!({"metadata": {"name": "default", "namespace": "velero", "uid": "l"}, "status": {"phase": "Available", "lastValidationTime": looked}});
            let row = crate::model::object::decode_json(
                Kind::StorageLocation,
                location.to_string().as_bytes(),
                &mut crate::model::Interner::default(),
            );
            for kind in [Kind::Backup, Kind::StorageLocation] {
                room.delta(Delta::KindState(kind, KindState::Live));
            }
            room.delta(Delta::Rows { kind: Kind::StorageLocation, changes: vec![Change::Upsert(row.unwrap())] });
        };
        let none = ClusterSettings::new("prod");
        put(&mut room, 170);
        assert_eq!(room.of(&none, "velero"), ("live", String::new(), false));
        put(&mut room, 720);
        let (state, says, fails) = room.of(&none, "velero");
        assert_eq!((state, fails), ("stalled", true));
        assert_eq!(
            says,
            "it stands still: nobody has looked at location default for 12m; look at its server's pod and log, and whether the location answers"
        );
        let since = room.report(&none).checks.into_iter().find(|k| k.what == "velero").unwrap().since;
        assert_eq!(since, Some(NOW - 720));
    }

    #[test]
    fn reports_are_checked_where_findings_are_read_from_them() {
        let mut room = Room::live("prod");
        let none = ClusterSettings::new("prod");
        assert!(!room.report(&none).checks.iter().any(|k| k.what == "reports"), "it is judged here");
        let info = ClusterInfo { judged: crate::store::Judged::ByReports, ..room.0.clusters()[0].info.clone() };
        room.0 = Store::new(vec![info], NOW - 60);
        room.delta(Delta::State(ConnectionState::Live));
        let heard = |every, ago: i64| {
            let reports = crate::model::Reports { at: Time::from_secs(NOW - ago), every: Some(every), ..Default::default() };
            Delta::Reports(crate::model::Heard { told: true, reports: Some(reports.into()), ..Default::default() }.into())
        };
        room.delta(Delta::Reports(crate::model::Heard { told: true, ..Default::default() }.into()));
        let (state, says, fails) = room.of(&none, "reports");
        assert!(state == "missing" && fails && says.starts_with("no report of an inspection is there"), "{says}");
        room.delta(heard(900, 60));
        assert_eq!(room.of(&none, "reports"), ("current", String::new(), false));
        room.delta(heard(900, 3000));
        let (state, says, fails) = room.of(&none, "reports");
        assert_eq!((state, fails, says.as_str()), ("stale", true, "the report is stale: 50m old, one is expected every 15m"));
    }

    #[test]
    fn an_objective_without_velero_is_told() {
        let room = Room::live("prod");
        let mut settings = ClusterSettings::new("prod");
        settings.velero.rpo.value = Some(std::time::Duration::from_secs(86_400));
        let (state, says, fails) = room.of(&settings, "velero");
        assert!(state == "absent" && fails && says.contains("objective"), "{says}");
    }
}
