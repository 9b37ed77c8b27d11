//! Velero's schedules: when they run next, and whether they are late.

use super::{Cron, Interner, Meta, Selection, Str, Time, time, velero};

/// A schedule that is due for longer than this is late: the server looks once a minute.
pub const LATE: i64 = 5 * 60;

/// A schedule of backups.
#[derive(Clone, PartialEq, Debug)]
pub struct Schedule {
    pub meta: Meta,
    /// `status.phase`: `New`, `Enabled`, `FailedValidation`; empty before it was looked at.
    pub phase: Str,
    /// `spec.schedule` as it is written.
    pub text: Str,
    /// The same, read; or why it cannot be.
    pub cron: Result<Cron, Str>,
    pub paused: bool,
    /// When it last made a backup, whatever became of that.
    pub last_backup: Option<Time>,
    pub last_skipped: Option<Time>,
    /// `status.validationErrors`.
    pub invalid: Box<[Str]>,
    pub selection: Selection,
}

impl Schedule {
    /// Projects the wire's object.
    pub fn of(o: &velero::Schedule, i: &mut Interner) -> Self {
        let status = &o.status;
        Self {
            meta: Meta::of(o.metadata.as_ref(), i),
            phase: i.str(&status.phase),
            text: i.str(&o.spec.schedule),
            cron: Cron::parse(&o.spec.schedule).map_err(|e| Str::from(&*e)),
            paused: o.spec.paused,
            last_backup: time::of(status.last_backup),
            last_skipped: time::of(status.last_skipped),
            invalid: status.validation_errors.iter().map(|t| Str::from(&**t)).collect(),
            selection: Selection::of(&o.spec.template, i),
        }
    }

    /// When the server is to make the next backup by its own sum: the first run after the last one (unix seconds). It may be past.
    /// None while it is paused, or when its expression cannot be read or has no such time.
    pub fn due(&self) -> Option<i64> {
        if self.paused || &*self.phase == "FailedValidation" {
            return None;
        }
        let last = self.last_backup.or(self.meta.created).max(self.last_skipped)?;
        self.cron.as_ref().ok()?.next(last.secs())
    }

    /// Seconds that a run is overdue; none when it is not.
    pub fn late(&self, now: i64) -> Option<i64> {
        self.due().map(|due| now - due).filter(|late| *late > LATE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, Object, decode_json};
    use serde_json::json;

    const NOW: i64 = 1_795_694_400; // 2026-11-26T12:00:00Z

    fn schedule(spec: serde_json::Value, status: serde_json::Value) -> Schedule {
        let value = json!({"metadata": {"name": "s", "creationTimestamp": "2026-11-01T00:00:00Z"}, "spec": spec, "status": status});
        match decode_json(Kind::Schedule, value.to_string().as_bytes(), &mut Interner::default()).unwrap() {
            Object::Schedule(s) => (*s).clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn late_by_the_servers_own_sum() {
        let daily = |last: &str| schedule(json!({"schedule": "0 2 * * *"}), json!({"phase": "Enabled", "lastBackup": last}));
        let fine = daily("2026-11-26T02:00:30Z");
        assert_eq!((fine.late(NOW), fine.due()), (None, Some(NOW + 14 * 3600)));
        assert_eq!(daily("2026-11-25T02:00:30Z").late(NOW), Some(10 * 3600));
        assert_eq!(daily("2026-11-25T02:00:30Z").late(NOW - 10 * 3600 + LATE), None, "the server looks once a minute");
        let every = schedule(json!({"schedule": "@every 1h"}), json!({"phase": "Enabled", "lastBackup": "2026-11-26T11:30:00Z"}));
        assert_eq!(every.due(), Some(NOW + 1800));
    }

    #[test]
    fn what_never_runs_is_never_late() {
        let paused = schedule(json!({"schedule": "0 2 * * *", "paused": true}), json!({"phase": "Enabled"}));
        assert_eq!((paused.due(), paused.late(NOW)), (None, None));
        let wrong =
            schedule(json!({"schedule": "every day"}), json!({"phase": "FailedValidation", "validationErrors": ["invalid schedule"]}));
        assert!(wrong.cron.is_err() && wrong.due().is_none());
        let skipped = schedule(
            json!({"schedule": "0 2 * * *"}),
            json!({"phase": "Enabled", "lastBackup": "2026-11-24T02:00:00Z", "lastSkipped": "2026-11-26T02:00:00Z"}),
        );
        assert_eq!(skipped.late(NOW), None);
        let young = schedule(json!({"schedule": "0 2 * * *"}), json!({}));
        assert!(young.late(NOW).is_some(), "counted from its creation");
    }
}
