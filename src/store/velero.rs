//! Velero in a cluster: where it works, whether it does, and what is backed up.

use super::Cluster;
use crate::model::duration::age;
use crate::model::{Backup, Kind, Object, Run, RunState, StorageLocation, Str, Time};

/// Seconds that a backup or a restore may be New before nobody seems to take it up.
pub const LEFT: i64 = 3 * 60;

/// Why Velero seems to stand still: its server is gone, or hangs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Idle {
    /// In words: `nobody has looked at location default for 12m`.
    pub why: String,
    /// Its last sign of life; none: there never was one.
    pub since: Option<Time>,
}

impl Cluster {
    /// The namespace that Velero works in: that of its default storage location, else of anything of its kinds.
    pub fn velero(&self) -> Option<Str> {
        let default = |o: &&Object| matches!(o, Object::StorageLocation(l) if l.default);
        let location = self.objects(Kind::StorageLocation).find(default);
        let any = || [Kind::StorageLocation, Kind::Schedule, Kind::Backup].into_iter().find_map(|k| self.objects(k).next());
        location.or_else(any).map(|o| o.meta().namespace.clone())
    }

    /// Why Velero seems to stand still at `now` (unix seconds): of the locations that are to be looked at none is any more, or a backup or a restore
    /// stays New. None while it works, and where what would tell is not seen.
    pub fn velero_idle(&self, now: i64) -> Option<Idle> {
        self.unlooked(now).or_else(|| self.left_new(now))
    }

    /// When a server last looked at one of the locations.
    pub fn velero_looked(&self) -> Option<Time> {
        self.locations().filter_map(StorageLocation::looked).max()
    }

    fn unlooked(&self, now: i64) -> Option<Idle> {
        let last = self.locations().filter(|l| l.overdue().is_some()).max_by_key(|l| l.overdue());
        let last = last.filter(|l| self.current(Kind::StorageLocation) && l.overdue().is_some_and(|at| at <= now))?;
        let name = &last.meta.name;
        let why = match last.looked() {
            Some(at) => format!("nobody has looked at location {name} for {}", age(at.age(now))),
            None => format!("nobody has ever looked at location {name}"),
        };
        Some(Idle { why, since: last.looked() })
    }

    fn left_new(&self, now: i64) -> Option<Idle> {
        let all = [Kind::Backup, Kind::Restore].into_iter().flat_map(|kind| self.objects(kind));
        let left = all.filter(|o| self.left(o).is_some_and(|at| at <= now)).min_by_key(|o| o.meta().created)?;
        let old = age(left.meta().created?.age(now));
        let why = format!("{} {} is New for {old}", left.kind().name().to_lowercase(), left.meta().name);
        Some(Idle { why, since: self.velero_looked() })
    }

    fn locations(&self) -> impl Iterator<Item = &StorageLocation> {
        self.objects(Kind::StorageLocation).filter_map(|o| if let Object::StorageLocation(l) = o { Some(&**l) } else { None })
    }

    /// From when on (unix seconds) a backup or a restore that is New has been left alone for too long. None where it is not New, or may be waiting
    /// for another one of its kind that runs.
    pub fn left(&self, object: &Object) -> Option<i64> {
        run(object).filter(|r| r.fresh())?;
        let runs = |o: &Object| run(o).is_some_and(|r| matches!(r.state(), RunState::Running | RunState::Deleting));
        if !self.current(object.kind()) || self.objects(object.kind()).any(runs) {
            return None;
        }
        Some(object.meta().created?.secs() + LEFT)
    }

    /// The newest completed backup that has all of a namespace.
    pub fn backup_of(&self, namespace: &str) -> Option<&Backup> {
        let good = self.objects(Kind::Backup).filter_map(|o| if let Object::Backup(b) = o { Some(&**b) } else { None });
        good.filter(|b| b.good() && b.selection.whole(namespace)).max_by_key(|b| b.point())
    }
}

fn run(object: &Object) -> Option<&Run> {
    match object {
        Object::Backup(b) => Some(&b.run),
        Object::Restore(r) => Some(&r.run),
        _ => None,
    }
}
