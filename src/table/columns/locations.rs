//! Velero's storage locations.

use super::*;
use crate::model::StorageLocation;

reader!(location: StorageLocation);

/// Backups that are kept there.
fn backups<'a>(r: Row<'a>) -> Value<'a> {
    let Row::Object(c, Object::StorageLocation(l)) = r else { return Value::None };
    let kept = |o: &&Object| matches!(o, Object::Backup(b) if b.selection.location == l.meta.name && b.meta.namespace == l.meta.namespace);
    known(c, Kind::Backup).then(|| Value::Int(i64::try_from(c.objects(Kind::Backup).filter(kept).count()).unwrap_or(i64::MAX))).into()
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
        |_, r| location(r, |l| if l.phase.is_empty() { "New" } else { &l.phase }),
        "Available or Unavailable: `status.phase`; New before the server has looked",
    )
    .width(6, 11)
    .leave(1)
    .tone(row_tone),
    col("default", "DEFAULT", Unit::Bool, |_, r| location(r, |l| l.default), "Whether backups go there that name none: `spec.default`")
        .leave(5),
    col(
        "access",
        "ACCESS",
        Unit::Text,
        |_, r| location(r, |l| if l.read_only { "ReadOnly" } else { "ReadWrite" }),
        "ReadWrite, or ReadOnly: nothing is backed up to it; `spec.accessMode`",
    )
    .width(8, 9)
    .leave(6),
    col("provider", "PROVIDER", Unit::Text, |_, r| location(r, |l| &l.provider), "`spec.provider`").width(4, 20).leave(9),
    col("bucket", "BUCKET", Unit::Text, |_, r| location(r, |l| &l.bucket), "`spec.objectStorage.bucket`").width(6, 40).leave(4),
    col("prefix", "PREFIX", Unit::Text, |_, r| location(r, |l| l.prefix.as_ref()), "`spec.objectStorage.prefix`")
        .width(4, 30)
        .wide()
        .leave(51),
    col("backups", "BACKUPS", Unit::Number, |_, r| backups(r), "Backups whose `spec.storageLocation` it is").leave(8),
    col(
        "synced_age_s",
        "SYNCED",
        Unit::Seconds,
        |_, r| location(r, |l| l.synced.map(Value::Age)),
        "Since its backups were read: `status.lastSyncedTime`",
    )
    .leave(7),
    col(
        "validated_age_s",
        "CHECKED",
        Unit::Seconds,
        |_, r| location(r, |l| l.validated.map(Value::Age)),
        "Since the server looked whether it is there: `status.lastValidationTime`",
    )
    .leave(3),
    col("message", "WHY", Unit::Text, |_, r| location(r, |l| l.message.as_ref()), "Why it is unavailable: `status.message`")
        .width(10, 90)
        .leave(2),
    FINDINGS,
    AGE,
    LABELS,
    DELETED,
];
