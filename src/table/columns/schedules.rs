//! Velero's schedules.

use super::*;
use crate::model::Schedule;

reader!(schedule: Schedule);

/// What a schedule is now, in one word.
pub fn status(s: &Schedule, now: i64) -> &'static str {
    match &*s.phase {
        "FailedValidation" => "Invalid",
        _ if s.paused => "Paused",
        _ if s.late(now).is_some() => "Late",
        "" | "New" => "New",
        _ => "Enabled",
    }
}

fn message(s: &Schedule, now: i64) -> Option<Cow<'_, str>> {
    match (status(s, now), &s.cron) {
        ("Invalid", _) => s.invalid.first().map(|t| (&**t).into()),
        ("Late", _) => Some("the server has not made the backup that is due".into()),
        (_, Err(why)) => Some(format!("its time cannot be read here: {why}").into()),
        _ => None,
    }
}

/// When its newest completed backup began.
fn good<'a>(r: Row<'a>) -> Value<'a> {
    let Row::Object(c, Object::Schedule(s)) = r else { return Value::None };
    let backups = c.objects(Kind::Backup).filter_map(|o| match o {
        Object::Backup(b) if b.good() && b.schedule.as_deref() == Some(&*s.meta.name) && b.meta.namespace == s.meta.namespace => b.point(),
        _ => None,
    });
    backups.max().map(Value::Age).into()
}

pub(super) static COLUMNS: &[Column] = &[
    CLUSTER,
    KIND,
    NAMESPACE.wide().leave(50),
    NAME,
    col(
        "status",
        "STATUS",
        Unit::Text,
        |ctx, r| schedule(r, |s| status(s, ctx.now)),
        "Enabled, New, Invalid (`status.phase`), Paused (`spec.paused`), or Late: the run that is due is more than 5 minutes overdue",
    )
    .width(6, 8)
    .leave(1)
    .tone(row_tone),
    col("schedule", "SCHEDULE", Unit::Text, |_, r| schedule(r, |s| &s.text), "When it runs: `spec.schedule`, in UTC unless it names a zone")
        .width(9, 40)
        .leave(3),
    col(
        "last_backup_age_s",
        "LAST",
        Unit::Seconds,
        |_, r| schedule(r, |s| s.last_backup.map(Value::Age)),
        "Since it last made a backup, whatever became of it: now less `status.lastBackup`",
    )
    .leave(4),
    col(
        "last_success_age_s",
        "LAST-GOOD",
        Unit::Seconds,
        |_, r| good(r),
        "Since its newest Completed backup began: what can be restored is that old",
    )
    .leave(2),
    col(
        "next_run_in_s",
        "NEXT",
        Unit::Seconds,
        |ctx, r| schedule(r, |s| until(ctx, s.due())),
        "Until the next run by the server's own sum, 0 when it is due; none while it is paused",
    )
    .leave(5),
    col(
        "late_s",
        "LATE",
        Unit::Seconds,
        |ctx, r| schedule(r, |s| s.late(ctx.now).map(Value::Seconds)),
        "How long the run that is due is overdue, from 5 minutes: now less the first run after `status.lastBackup` (or `lastSkipped`, or its creation)",
    )
    .leave(6)
    .tone(some_tone),
    col(
        "namespaces",
        "NAMESPACES",
        Unit::List,
        |_, r| schedule(r, |s| takes(&s.selection.namespaces, &s.selection.without_namespaces)),
        "`spec.template.includedNamespaces` (* is all), and `excludedNamespaces` behind a minus",
    )
    .width(6, 40)
    .leave(10),
    col("ttl_s", "KEEPS", Unit::Seconds, |_, r| schedule(r, |s| s.selection.ttl.map(Value::Seconds)), "`spec.template.ttl`").leave(12),
    col("location", "LOCATION", Unit::Text, |_, r| schedule(r, |s| &s.selection.location), "`spec.template.storageLocation`")
        .width(6, 24)
        .leave(13),
    col("message", "WHY", Unit::Text, |ctx, r| schedule(r, |s| message(s, ctx.now)), "Why it is not well: the first of `status.validationErrors`, or that it is late")
        .width(10, 70)
        .leave(7),
    col("paused", "PAUSED", Unit::Bool, |_, r| schedule(r, |s| s.paused), "`spec.paused`").hidden(),
    FINDINGS,
    AGE.wide().leave(51),
    LABELS,
    DELETED,
];
