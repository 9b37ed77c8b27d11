//! Could we restore, and to when? One answer a cluster, from its backups against the age that they may have.

use super::{Severity, age};
use crate::model::{Backup, Kind, Object, RunState, Service, ServiceState, StorageLocation, Str, Time};
use crate::store::Cluster;
use std::collections::{BTreeMap, BTreeSet};

/// The answer of one cluster.
#[derive(Clone, PartialEq, Debug)]
pub struct Recovery {
    /// None: it is as it should be, or nobody has said how it should be.
    pub severity: Option<Severity>,
    /// The newest moment that a restore leads back to.
    pub point: Option<Time>,
    /// In words, one line, without the cluster's name.
    pub text: String,
}

/// Judges a cluster's backups. None where nothing is known of them: no Velero, or not seen yet.
pub fn recovery(cluster: &Cluster, now: i64) -> Option<Recovery> {
    let etcd = snapshot(cluster);
    match &cluster.service(Service::Velero).state {
        ServiceState::Absent { .. } | ServiceState::Waiting => {
            let whole = |at: Time| format!("only etcd as a whole, to {} ago (its newest snapshot): there is no Velero", age(at.age(now)));
            return etcd.map(|at| Recovery { severity: None, point: Some(at), text: whole(at) });
        }
        state if cluster.table(Kind::Backup).is_empty() && *state != ServiceState::Live => {
            let why = state.reason().map_or_else(String::new, |r| format!(": {r}"));
            return Some(Recovery { severity: Some(Severity::Warning), point: None, text: format!("backups are not seen{why}") });
        }
        _ => {}
    }
    let backups: Vec<&Backup> = cluster.objects(Kind::Backup).filter_map(as_backup).collect();
    let unavailable: Vec<&StorageLocation> =
        cluster.objects(Kind::StorageLocation).filter_map(as_location).filter(|l| &*l.phase == "Unavailable").collect();
    let lost = |b: &Backup| unavailable.iter().find(|l| b.selection.location.is_empty() || *l.meta.name == *b.selection.location);
    let idle = cluster.velero_idle(now);
    let newest = |fits: &dyn Fn(&Backup) -> bool| {
        let fit = backups.iter().copied().filter(|b| b.run.ended() && fits(b));
        fit.max_by_key(|b| b.point())
    };
    let Some(kept) = newest(&Backup::good) else {
        let mut text = match newest(&|b| !b.good()) {
            Some(b) => format!("no: of {} none is Completed; {} is {}", counted(backups.len()), b.meta.name, b.run.phase),
            None => "no: there is no completed backup".to_owned(),
        };
        if let Some(idle) = idle {
            text.push_str(&format!("; Velero stands still: {}", idle.why));
        }
        return Some(Recovery { severity: Some(Severity::Critical), point: None, text });
    };
    let readable = newest(&|b| b.good() && lost(b).is_none());
    let last = readable.unwrap_or(kept);
    let point = last.point();
    let old = point.map_or(i64::MAX, |p| p.age(now));
    let place = format!("to {} ago ({}{})", age(old), last.meta.name, part(last));
    let (mut severity, mut text) = match (&idle, lost(last), cluster.info.rpo) {
        (Some(idle), ..) => (Some(Severity::Critical), format!("not now, Velero stands still ({}): {place} when it goes on", idle.why)),
        (None, Some(location), _) => {
            (Some(Severity::Critical), format!("not now, location {} is unavailable: {place} when it is back", location.meta.name))
        }
        (None, None, Some(rpo)) if old > rpo => (Some(Severity::Critical), format!("only {place}, the objective is {}", age(rpo))),
        (None, None, Some(rpo)) => (None, format!("yes, {place}, within the objective of {}", age(rpo))),
        (None, None, None) => (None, format!("yes, {place}")),
    };
    if let (Some(_), Some(location)) = (readable, lost(kept)) {
        severity = severity.max(Some(Severity::Warning));
        text.push_str(&format!("; newer ones are in location {}, which is unavailable", location.meta.name));
    }
    if !whole(last) {
        let all = backups.iter().filter(|b| b.good() && whole(b)).max_by_key(|b| b.point());
        match all.and_then(|b| Some((b.point()?, b))) {
            Some((at, b)) => text.push_str(&format!("; all namespaces to {} ago ({})", age(at.age(now)), b.meta.name)),
            None => text.push_str("; no complete backup has all namespaces"),
        }
    }
    let forgotten = if severity.is_none() { forgotten(cluster, &backups, now) } else { Vec::new() };
    if let Some(first) = forgotten.first() {
        severity = Some(Severity::Warning);
        let more = match forgotten.len() - 1 {
            0 => String::new(),
            n => format!(" and {}", more(n)),
        };
        let within = cluster.info.rpo.map_or_else(String::new, |rpo| format!(" of the last {}", age(rpo)));
        text.push_str(&format!("; no backup{within} has {first}{more}"));
    }
    for failed in failing(&backups, point) {
        severity = severity.max(Some(Severity::Warning));
        text.push_str(&format!("; {} is {}", failed.meta.name, failed.run.phase));
    }
    let late = cluster.objects(Kind::Schedule).filter(|o| matches!(o, Object::Schedule(s) if s.late(now).is_some())).count();
    if late > 0 {
        severity = severity.max(Some(Severity::Warning));
        text.push_str(&format!("; {late} schedule{} late", if late == 1 { " is" } else { "s are" }));
    }
    if let Some(at) = etcd {
        text.push_str(&format!("; etcd as a whole to {} ago", age(at.age(now))));
    }
    if cluster.info.rpo.is_none() {
        text.push_str("; no objective is set ([clusters.CONTEXT.velero] rpo)");
    }
    Some(Recovery { severity, point, text })
}

/// When etcd was last snapshotted, as far as is known.
fn snapshot(cluster: &Cluster) -> Option<Time> {
    let of = |o: &Object| if let Object::EtcdMember(m) = o { m.snapshot } else { None };
    cluster.objects(Kind::EtcdMember).filter_map(of).max()
}

/// Whether a backup that went wrong has not been made good: it is the last of its schedule, or by hand and after the newest complete one.
pub(super) fn stands(cluster: &Cluster, backup: &Backup) -> bool {
    let makes_good = |b: &Backup| if backup.schedule.is_some() { b.schedule == backup.schedule } else { b.good() };
    let later = |b: &&Backup| b.run.ended() && b.point() > backup.point();
    !cluster.objects(Kind::Backup).filter_map(as_backup).filter(later).any(makes_good)
}

/// What has gone wrong and not been made good: of each schedule the last backup, and those by hand that came after `point`.
fn failing<'a>(backups: &[&'a Backup], point: Option<Time>) -> Vec<&'a Backup> {
    let mut last: BTreeMap<Option<&str>, &Backup> = BTreeMap::new();
    for b in backups.iter().filter(|b| b.run.ended()) {
        let newest = last.entry(b.schedule.as_deref()).or_insert(b);
        if b.point() > newest.point() {
            *newest = b;
        }
    }
    last.into_values().filter(|b| !b.good() && (b.schedule.is_some() || b.point() > point)).collect()
}

/// Namespaces with applications that no complete backup has, or none that is young enough. Those of the cluster itself are none.
fn forgotten(cluster: &Cluster, backups: &[&Backup], now: i64) -> Vec<Str> {
    let young = |b: &&&Backup| b.good() && cluster.info.rpo.is_none_or(|rpo| b.point().is_some_and(|p| p.age(now) <= rpo));
    let young: Vec<&&Backup> = backups.iter().filter(young).collect();
    let apps = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet].into_iter().flat_map(|k| cluster.objects(k));
    let spaces: BTreeSet<&Str> = apps.map(|o| &o.meta().namespace).collect();
    let home = cluster.velero();
    let own = |ns: &&&Str| ns.starts_with("kube-") || home.as_deref() == Some(&***ns);
    spaces.iter().filter(|ns| !own(ns) && !young.iter().any(|b| b.selection.takes(ns))).map(|ns| (*ns).clone()).collect()
}

/// Whether it leaves no namespace and no object out by its filters.
fn whole(b: &Backup) -> bool {
    let s = &b.selection;
    s.namespaces.is_empty() && s.without_namespaces.is_empty() && s.selectors.is_empty()
}

/// `1 more namespace`, `3 more namespaces`.
fn more(n: usize) -> String {
    format!("{n} more namespace{}", if n == 1 { "" } else { "s" })
}

/// What a backup of a part is of.
fn part(b: &Backup) -> String {
    match &b.selection.namespaces[..] {
        [] => String::new(),
        [one] => format!(", of {one}"),
        [one, rest @ ..] => format!(", of {one} and {}", more(rest.len())),
    }
}

fn as_backup(o: &Object) -> Option<&Backup> {
    match o {
        Object::Backup(b) if b.run.state() != RunState::Deleting => Some(b),
        _ => None,
    }
}

fn as_location(o: &Object) -> Option<&StorageLocation> {
    match o {
        Object::StorageLocation(l) => Some(l),
        _ => None,
    }
}

fn counted(n: usize) -> String {
    if n == 1 { "1 backup".to_owned() } else { format!("{n} backups") }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fleet, NOW, ago, backup, etcd_members, put_members};
    use super::*;
    use crate::model::{Delta, KindState};
    use crate::store::{ClusterInfo, Store};
    use serde_json::{Value, json};

    fn fleet(rpo: Option<i64>, backups: &[Value]) -> Fleet {
        let mut f =
            Fleet { store: Store::new(vec![ClusterInfo { name: "prod".into(), rpo, ..Default::default() }], NOW), ..Default::default() };
        f.delta(0, Delta::KindState(Kind::Backup, KindState::Live));
        f.put(Kind::Backup, backups.to_vec());
        f
    }

    fn said(f: &Fleet) -> (Option<Severity>, String) {
        recovery(&f.store.clusters()[0], NOW).map(|r| (r.severity, r.text)).unwrap()
    }

    #[test]
    fn only_a_completed_backup_counts_against_the_objective() {
        let all = [backup("b1", "Completed", 7200), backup("b2", "PartiallyFailed", 600), backup("b3", "InProgress", 10)];
        let (severity, text) = said(&fleet(Some(3 * 3600), &all));
        assert_eq!((severity, &*text), (Some(Severity::Warning), "yes, to 2h ago (b1), within the objective of 3h; b2 is PartiallyFailed"));
        let (severity, text) = said(&fleet(Some(3600), &all[..1]));
        assert_eq!((severity, &*text), (Some(Severity::Critical), "only to 2h ago (b1), the objective is 60m"));
        let (severity, text) = said(&fleet(None, &all[..1]));
        assert!(severity.is_none() && text.contains("no objective is set"), "{text}");
        let (severity, text) = said(&fleet(None, &all[1..]));
        assert_eq!((severity, &*text), (Some(Severity::Critical), "no: of 2 backups none is Completed; b2 is PartiallyFailed"));
        assert_eq!(said(&fleet(None, &[])), (Some(Severity::Critical), "no: there is no completed backup".to_owned()));
    }

    #[test]
    fn a_schedule_whose_last_backup_failed_is_said_whatever_came_after() {
        let of = |schedule: &str, name: &str, phase: &str, started: i64| {
            let mut b = backup(name, phase, started);
            b["metadata"]["labels"] = json!({"velero.io/schedule-name": schedule});
            b
        };
        let all = [
            of("nightly", "n1", "Completed", 90_000),
            of("nightly", "n2", "PartiallyFailed", 7200),
            of("hourly", "h1", "Failed", 4000),
            of("hourly", "h2", "Completed", 600),
        ];
        let (severity, text) = said(&fleet(Some(3600), &all));
        assert_eq!(
            (severity, &*text),
            (Some(Severity::Warning), "yes, to 10m ago (h2), within the objective of 60m; n2 is PartiallyFailed")
        );
    }

    #[test]
    fn a_backup_of_a_part_is_no_answer_for_the_rest() {
        let mut part = backup("b2", "Completed", 600);
        part["spec"]["includedNamespaces"] = json!(["pay", "shop"]);
        let (severity, text) = said(&fleet(Some(3600), &[part.clone()]));
        assert_eq!(
            (severity, &*text),
            (None, "yes, to 10m ago (b2, of pay and 1 more namespace), within the objective of 60m; no complete backup has all namespaces")
        );
        let (_, text) = said(&fleet(Some(3600), &[part, backup("b1", "Completed", 7200)]));
        assert!(text.ends_with("; all namespaces to 2h ago (b1)"), "{text}");
    }

    #[test]
    fn an_application_that_no_young_backup_has_is_named() {
        let app = |ns: &str| json!({"metadata": {"name": format!("{ns}-app"), "namespace": ns}, "spec": {"replicas": 1}});
        let of = |name: &str, ns: &str, ago: i64| {
            let mut b = backup(name, "Completed", ago);
            b["spec"]["includedNamespaces"] = json!([ns]);
            b
        };
        let mut f = fleet(Some(3600), &[of("b1", "pay", 600), of("b2", "shop", 7200)]);
        f.put(Kind::StorageLocation, [json!({"metadata": {"name": "default", "namespace": "velero"}, "status": {"phase": "Available"}})]);
        f.put(Kind::Deployment, ["pay", "shop", "auth", "kube-system", "velero"].map(app));
        let (severity, text) = said(&f);
        assert_eq!(severity, Some(Severity::Warning));
        assert!(text.ends_with("; no backup of the last 60m has auth and 1 more namespace"), "{text}");
        f.put(Kind::Backup, [backup("b3", "Completed", 60)]);
        let (severity, text) = said(&f);
        assert_eq!((severity, &*text), (None, "yes, to 60s ago (b3), within the objective of 60m"));
    }

    #[test]
    fn a_location_that_is_gone_and_a_late_schedule_are_said() {
        let mut f = fleet(Some(86_400), &[backup("b1", "Completed", 7200)]);
        f.put(Kind::StorageLocation, [json!({"metadata": {"name": "default"}, "status": {"phase": "Unavailable"}})]);
        f.put(Kind::Schedule, [json!({"metadata": {"name": "s", "creationTimestamp": ago(90_000)}, "spec": {"schedule": "@hourly"}, "status": {"phase": "Enabled", "lastBackup": ago(7200)}})]);
        let (severity, text) = said(&f);
        assert_eq!(
            (severity, &*text),
            (Some(Severity::Critical), "not now, location default is unavailable: to 2h ago (b1) when it is back; 1 schedule is late")
        );
        // What is kept elsewhere can be restored.
        let mut far = backup("b0", "Completed", 9000);
        far["spec"]["storageLocation"] = json!("far");
        let mut near = backup("b1", "Completed", 7200);
        near["spec"]["storageLocation"] = json!("default");
        f.put(Kind::Backup, [far, near]);
        let (severity, text) = said(&f);
        assert_eq!(
            (severity, &*text),
            (
                Some(Severity::Warning),
                "yes, to 2h ago (b0), within the objective of 24h; newer ones are in location default, which is unavailable; 1 schedule is late"
            )
        );
    }

    #[test]
    fn a_snapshot_of_etcd_is_told_beside_the_backups_and_without_them() {
        let mut members = etcd_members(&[('u', 0), ('u', 0)]);
        members[1].snapshot = Time::from_secs(NOW - 7200);
        let mut f = fleet(Some(86_400), &[backup("b1", "Completed", 600)]);
        put_members(&mut f, members.clone());
        assert!(said(&f).1.ends_with("; etcd as a whole to 2h ago"), "{}", said(&f).1);
        let mut f = Fleet::default();
        put_members(&mut f, members);
        assert_eq!(said(&f), (None, "only etcd as a whole, to 2h ago (its newest snapshot): there is no Velero".to_owned()));
    }

    #[test]
    fn without_a_server_nothing_is_restored() {
        let looked = |ago: i64, every: &str| {
            json!({"metadata": {"name": "default"}, "spec": {"validationFrequency": every},
                "status": {"phase": "Available", "lastValidationTime": super::super::fixture::ago(ago)}})
        };
        let mut f = fleet(Some(86_400), &[backup("b1", "Completed", 7200)]);
        f.put(Kind::StorageLocation, [looked(720, "1m0s")]);
        assert_eq!(said(&f).0, None, "whether locations are seen is not known");
        f.delta(0, Delta::KindState(Kind::StorageLocation, KindState::Live));
        f.delta(0, Delta::State(crate::model::ConnectionState::Live));
        let gone = "not now, Velero stands still (nobody has looked at location default for 12m): to 2h ago (b1) when it goes on";
        assert_eq!(said(&f), (Some(Severity::Critical), gone.to_owned()));
        f.put(Kind::StorageLocation, [looked(720, "0s")]);
        assert_eq!(said(&f).0, None, "it is not to be looked at");
        // What is asked for and stays as it is tells it too, unless it may be waiting for another.
        let asked = |name: &str, phase: &str, secs: i64| json!({"metadata": {"name": name, "creationTimestamp": ago(secs)}, "status": {"phase": phase}});
        f.put(Kind::Backup, [asked("walk", "New", 179)]);
        assert_eq!(said(&f).0, None);
        f.put(Kind::Backup, [asked("walk", "", 180)]);
        assert!(said(&f).1.starts_with("not now, Velero stands still (backup walk is New for 3m): to 2h ago (b1)"), "{}", said(&f).1);
        f.put(Kind::Backup, [asked("long", "InProgress", 900)]);
        assert_eq!(said(&f).0, None);
        let mut none = fleet(None, &[asked("walk", "New", 600)]);
        none.delta(0, Delta::State(crate::model::ConnectionState::Live));
        assert_eq!(said(&none).1, "no: there is no completed backup; Velero stands still: backup walk is New for 10m");
    }

    #[test]
    fn what_is_not_seen_is_not_judged() {
        let f = Fleet::default();
        assert!(recovery(&f.store.clusters()[0], NOW).is_none(), "no Velero");
        let mut f = Fleet::default();
        f.delta(0, Delta::KindState(Kind::Backup, KindState::Forbidden { missing: "list backups".into() }));
        let (severity, text) = said(&f);
        assert_eq!((severity, &*text), (Some(Severity::Warning), "backups are not seen: list backups"));
    }
}
