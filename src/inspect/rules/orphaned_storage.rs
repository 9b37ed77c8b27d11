//! Storage that nobody uses: claims that no pod mounts, volumes that are released or were never taken, snapshots of claims that are gone.
//!
//! Nobody writes down since when a claim is not mounted, or gone: it, or its snapshot, must be that old, and be so now. Left out: which classes are paid.

use super::later;
use crate::inspect::explain::words::{bytes, joined};
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::asked::{Part, SNAPSHOT, Unused};
use crate::model::{Claim, Kind, Object, Time, VerbId};

const AFTER: Threshold = Threshold { name: "after", default: "7d", doc: "how old a claim, and how long released a volume, must be" };
const WARNING: Threshold = Threshold { name: "warning-from", default: "100", doc: "GiB of such volumes in a cluster, or of one claim" };

pub static RULE: RuleInfo = RuleInfo {
    id: "orphaned-storage",
    area: "cost",
    tier: 2,
    burns: false,
    severity: Severity::Warning,
    scope: "claim; the cluster, its volumes and snapshots",
    summary: "A claim of a week that no pod mounts and no StatefulSet is to have, or volumes Released or Available for a week, or a snapshot of a week whose claim is gone; a warning from 100 GiB on",
    why: "Volumes outlive their workloads and are billed until somebody dares to delete them.",
    kinds: &[Kind::Claim],
    needs: &[Need::Kind(Kind::Pod), Need::Asked(Part::Volumes)],
    leans_on: &[],
    thresholds: &[AFTER, WARNING],
    peers: &["popeye:400", "popeye:1000"],
    links: &["https://kubernetes.io/docs/concepts/storage/persistent-volumes/#reclaiming"],
    judge,
};

/// Pods come and go without their claims: how often one looks again (seconds).
const AGAIN: i64 = 3600;

fn judge(judge: &Judge<'_>) -> Verdict {
    match judge.object {
        Some(Object::Claim(c)) => claim(judge, c),
        Some(_) => Verdict::Fine,
        None => volumes(judge),
    }
}

fn severity(judge: &Judge<'_>, size: i64) -> Severity {
    if size >> 30 >= judge.value(&WARNING) { Severity::Warning } else { Severity::Info }
}

fn claim(judge: &Judge<'_>, c: &Claim) -> Verdict {
    if c.meta.deleting.is_some() || &*c.phase != "Bound" {
        return Verdict::Fine;
    }
    let age = judge.held(c.meta.created.map_or(0, Time::secs), judge.value(&AFTER));
    if let Err(at) = age {
        return Verdict::FineUntil(at);
    }
    if !judge.cluster.current(Kind::Pod) || !judge.cluster.current(Kind::StatefulSet) {
        return Verdict::Fine;
    }
    // `data-db-0` is of the set `db`, also while that has no replicas.
    let of_set = |o: &Object| {
        let (meta, (stem, ordinal)) = (o.meta(), c.meta.name.rsplit_once('-').unwrap_or_default());
        let own = stem.strip_suffix(&*meta.name).is_some_and(|template| template.ends_with('-'));
        own && ordinal.parse::<u32>().is_ok()
    };
    let mut sets = judge.index.in_namespace(judge.cluster, Kind::StatefulSet, &c.meta.namespace).into_iter().flatten();
    if judge.index.mounted(&c.meta.namespace, &c.meta.name) || sets.any(of_set) {
        return Verdict::LookAgain(later(judge, AGAIN));
    }
    let size = c.capacity.or(c.requested).unwrap_or(0);
    let backup = judge.cluster.backup_of(&c.meta.namespace);
    let finding = judge
        .finding(severity(judge, size), c.meta.created, format!("no pod mounts its {}", bytes(size)))
        .with("storage class", c.class.as_deref().unwrap_or("none"), None)
        .with("volume", c.volume.as_deref().unwrap_or("none"), None)
        .with("newest backup of its namespace", backup.map_or("none", |b| &*b.meta.name), backup.and_then(|b| b.point()))
        .then("Back its namespace up, then delete it if nobody misses it; a CronJob may mount it now and then")
        .here(VerbId::Delete, &[]);
    Verdict::BurningUntil(finding, later(judge, AGAIN))
}

fn volumes(judge: &Judge<'_>) -> Verdict {
    let Ok(unused) = &judge.cluster.asked.volumes else { return Verdict::Fine };
    let hold = judge.value(&AFTER);
    let began = |v: &Unused| v.since.map_or(judge.now, Time::secs);
    let mut old: Vec<&Unused> = unused.iter().filter(|v| judge.held(began(v), hold).is_ok()).collect();
    let next = unused.iter().map(|v| began(v) + hold).filter(|at| *at > judge.now).min();
    if old.is_empty() {
        return next.map_or(Verdict::Fine, Verdict::FineUntil);
    }
    old.sort_by_key(|v| std::cmp::Reverse(v.size));
    let size: i64 = old.iter().map(|v| v.size).sum();
    let names = joined(old.iter().map(|v| &*v.name), 2);
    let (what, next_step) = match old.iter().filter(|v| &*v.phase == SNAPSHOT).count() {
        0 => {
            ("volumes", "Snapshot what may be needed at its storage, then delete volume and storage; what is retained goes by no other way")
        }
        n if n == old.len() => (
            "snapshots",
            "Each may be the last copy of what its claim had: ask whoever made it, then delete those that nobody will restore",
        ),
        _ => (
            "volumes and snapshots",
            "A snapshot may be the last copy of what its claim had: ask whoever made it first. Of volumes snapshot what may be needed, then delete volume and storage",
        ),
    };
    let what = if old.len() == 1 { what.trim_end_matches('s') } else { what };
    let message = format!("{} {what} that nobody has, {}: {names}", old.len(), bytes(size));
    let mut finding = judge.finding(severity(judge, size), old.iter().filter_map(|v| v.since).min(), message);
    for v in old.iter().take(12) {
        let whose = v.claim.as_deref().map(|c| format!(", was {c}'s")).unwrap_or_default();
        finding = finding.with(&v.name, format!("{} {}, {}, {}{whose}", v.phase, bytes(v.size), v.class, v.reclaim), v.since);
    }
    let finding = finding.then(next_step);
    next.map_or(Verdict::Burning(finding.clone()), |at| Verdict::BurningUntil(finding, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, NOW, ago, pod, running};
    use crate::model::{Asked, ClusterId, Delta, KindState, Uid};
    use serde_json::json;

    const WEEK: i64 = 7 * 86_400;

    fn fleet() -> Fleet {
        let mut fleet = Fleet::default();
        for kind in [Kind::Pod, Kind::StatefulSet] {
            fleet.delta(0, Delta::KindState(kind, KindState::Live));
        }
        fleet
    }

    fn bound(name: &str, created: i64, size: &str) -> serde_json::Value {
        json!({"metadata": {"name": name, "creationTimestamp": ago(created)}, "spec": {}, "status": {"phase": "Bound", "capacity": {"storage": size}}})
    }

    #[test]
    fn a_claim_of_a_week_that_nobody_mounts() {
        let at = |created: i64, size: &str| fleet().put(Kind::Claim, [bound("data", created, size)]).severity(Kind::Claim, "data", RULE.id);
        assert_eq!((at(WEEK, "10Gi"), at(WEEK - 1, "10Gi")), (Some(Severity::Info), None));
        assert_eq!((at(WEEK, "100Gi"), at(WEEK, "99Gi")), (Some(Severity::Warning), Some(Severity::Info)));
        let mut mounted = fleet();
        let mut p = pod(json!({"name": "p"}), "n", true, 900, running());
        p["spec"]["volumes"] = json!([{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]);
        mounted.put(Kind::Pod, [p]).put(Kind::Claim, [bound("data", WEEK, "1Gi")]);
        assert_eq!(mounted.severity(Kind::Claim, "data", RULE.id), None);
        mounted.delete(Kind::Pod, "p");
        assert_eq!(mounted.wait(3600).severity(Kind::Claim, "data", RULE.id), Some(Severity::Info));
        let mut set = fleet();
        set.put(Kind::StatefulSet, [json!({"metadata": {"name": "db"}, "spec": {"replicas": 0}, "status": {}})]);
        set.put(Kind::Claim, [bound("data-db-0", WEEK, "1Gi"), bound("data-xdb-0", WEEK, "1Gi")]);
        assert_eq!(set.severity(Kind::Claim, "data-db-0", RULE.id), None);
        assert_eq!(set.severity(Kind::Claim, "data-xdb-0", RULE.id), Some(Severity::Info));
    }

    #[test]
    fn volumes_of_nobody_together() {
        let of = |phase: &str, since: i64, size: i64| {
            let mut fleet = fleet();
            let v = Unused {
                name: "pv-1".into(),
                phase: phase.into(),
                claim: Some("pay/data".into()),
                class: "ssd".into(),
                reclaim: "Retain".into(),
                size: size << 30,
                since: Time::from_secs(NOW - since),
            };
            fleet.delta(0, Delta::Asked(Asked { volumes: Ok([v.clone(), v].into()), ..Asked::default() }.into()));
            fleet.engine.for_object(ClusterId(0), Uid::default()).iter().find(|f| f.rule == &RULE).map(|f| (f.severity, f.message.clone()))
        };
        let at = |since: i64, size: i64| of("Released", since, size).map(|f| f.0);
        assert_eq!(of("Snapshot", WEEK, 1), Some((Severity::Info, "2 snapshots that nobody has, 2Gi: pv-1, pv-1".to_owned())));
        assert_eq!(of("Snapshot", WEEK - 1, 1), None);
        assert_eq!((at(WEEK, 49), at(WEEK, 50), at(WEEK - 1, 50)), (Some(Severity::Info), Some(Severity::Warning), None));
    }
    #[test]
    fn a_week_ends_by_the_clock_alone_and_a_snapshot_may_be_the_last_copy() {
        let mut fleet = fleet();
        let of = |name: &str, phase: &str, secs: i64| Unused {
            name: name.into(),
            phase: phase.into(),
            claim: None,
            class: "ssd".into(),
            reclaim: "Delete".into(),
            size: 1 << 30,
            since: Time::from_secs(NOW - secs),
        };
        let all = [of("pay/s", "Snapshot", WEEK - 60), of("pv-1", "Available", WEEK - 120)];
        fleet.delta(0, Delta::Asked(Asked { volumes: Ok(all.into()), ..Asked::default() }.into()));
        let found = |fleet: &Fleet| {
            let all = fleet.engine.for_object(ClusterId(0), Uid::default());
            all.iter().find(|f| f.rule == &RULE).map(|f| (f.message.clone(), f.next_step.contains("last copy")))
        };
        assert_eq!(found(&fleet), None);
        assert_eq!(found(fleet.wait(60)), Some(("1 snapshot that nobody has, 1Gi: pay/s".to_owned(), true)));
        assert_eq!(found(fleet.wait(60)), Some(("2 volumes and snapshots that nobody has, 2Gi: pay/s, pv-1".to_owned(), true)));
    }
}
