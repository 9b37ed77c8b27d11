//! Velero's backups.

use super::*;
use crate::model::{Backup, Run, RunState};

reader!(backup: Backup);

/// The run of a backup or a restore.
pub(super) fn run<'a, V: Into<Value<'a>>>(r: Row<'a>, f: impl FnOnce(&'a Run) -> V) -> Value<'a> {
    match r.object() {
        Some(Object::Backup(b)) => f(&b.run).into(),
        Some(Object::Restore(r)) => f(&r.run).into(),
        _ => Value::None,
    }
}

fn phase(run: &Run) -> &str {
    if run.phase.is_empty() { "New" } else { &run.phase }
}

/// Why it is not well, or what it waits for.
fn message(run: &Run) -> Option<Cow<'_, str>> {
    if let Some(why) = run.why() {
        return Some(why.into());
    }
    match run.state() {
        RunState::Partly => Some(match run.errors {
            1 => "1 item failed; its log says which".into(),
            n => format!("{n} items failed; its log says which").into(),
        }),
        RunState::Failed => Some("it failed and gives no reason; its log may".into()),
        _ => None,
    }
}

pub(super) const STATUS: Column = col(
    "status",
    "STATUS",
    Unit::Text,
    |_, r| run(r, phase),
    "`status.phase`: New, Queued, InProgress, WaitingForPluginOperations, Finalizing, Completed, PartiallyFailed, Failed, FailedValidation, Deleting",
)
.width(6, 26)
.leave(1)
.tone(row_tone);
/// How many items are through, of all; what they are is in the doc.
pub(super) const fn items(doc: &'static str) -> Column {
    col("items_done", "ITEMS", Unit::Ratio, |_, r| run(r, |x| x.items.map(|(done, all)| Value::Ratio(done, all))), doc).leave(6)
}
pub(super) const ITEMS_TOTAL: Column =
    col("items_total", "ITEMS-ALL", Unit::Number, |_, r| run(r, |x| x.items.map(|(_, all)| all)), "`status.progress.totalItems`").hidden();
pub(super) const ERRORS: Column =
    col("errors", "ERR", Unit::Number, |_, r| run(r, |x| x.errors), "`status.errors`; what they are is in its log")
        .leave(4)
        .tone(some_tone);
pub(super) const WARNINGS: Column = col("warnings", "WARN", Unit::Number, |_, r| run(r, |x| x.warnings), "`status.warnings`").leave(9);
pub(super) const STARTED: Column = col(
    "started_age_s",
    "STARTED",
    Unit::Seconds,
    |_, r| run(r, |x| x.started.map(Value::Age)),
    "Since it began: now less `status.startTimestamp`",
)
.leave(2);
pub(super) const STARTED_AT: Column =
    col("started_at", "STARTED-AT", Unit::Moment, |_, r| run(r, |x| x.started.map(Value::Moment)), "`status.startTimestamp`").hidden();
pub(super) const TOOK: Column = col(
    "duration_s",
    "TOOK",
    Unit::Seconds,
    |ctx, r| run(r, |x| x.took(ctx.now).map(Value::Seconds)),
    "How long it took: `status.completionTimestamp`, or now, less `status.startTimestamp`",
)
.leave(12);
pub(super) const MESSAGE: Column = col(
    "message",
    "WHY",
    Unit::Text,
    |_, r| run(r, message),
    "Why it is not well: `status.failureReason`, else the first of `status.validationErrors`, else how many items failed",
)
.width(10, 80)
.leave(7);

pub(super) static COLUMNS: &[Column] = &[
    CLUSTER,
    KIND,
    NAMESPACE.wide().leave(50),
    NAME,
    STATUS,
    items("Items that are backed up: `status.progress.itemsBackedUp` of `totalItems`, best effort; JSON has the first"),
    ITEMS_TOTAL,
    ERRORS,
    WARNINGS,
    STARTED,
    TOOK,
    col(
        "expires_in_s",
        "EXPIRES",
        Unit::Seconds,
        |ctx, r| backup(r, |b| until(ctx, b.expires.map(|t| t.secs()))),
        "Until it is deleted: `status.expiration` less now",
    )
    .leave(8),
    col("schedule", "SCHEDULE", Unit::Text, |_, r| backup(r, |b| b.schedule.as_ref()), "The label `velero.io/schedule-name`")
        .width(6, 30)
        .leave(11),
    col("location", "LOCATION", Unit::Text, |_, r| backup(r, |b| &b.selection.location), "`spec.storageLocation`").width(6, 24).leave(14),
    col(
        "namespaces",
        "NAMESPACES",
        Unit::List,
        |_, r| backup(r, |b| takes(&b.selection.namespaces, &b.selection.without_namespaces)),
        "`spec.includedNamespaces` (* is all), and `spec.excludedNamespaces` behind a minus",
    )
    .width(6, 40)
    .leave(10),
    MESSAGE,
    col("queue_position", "QUEUE", Unit::Number, |_, r| backup(r, |b| b.queue), "Its place among those that wait: `status.queuePosition`")
        .wide()
        .leave(51),
    col(
        "volumes_done",
        "VOLUMES",
        Unit::Ratio,
        |_, r| backup(r, |b| (b.volumes.1 > 0).then_some(Value::Ratio(b.volumes.0, b.volumes.1))),
        "Volume snapshots that were made, of those tried: `status.(csiV|v)olumeSnapshotsCompleted` and `...Attempted`; JSON has the first",
    )
    .wide()
    .leave(52)
    .tone(ratio_tone),
    col(
        "resources",
        "RESOURCES",
        Unit::List,
        |_, r| backup(r, |b| takes(&b.selection.resources, &b.selection.without_resources)),
        "`spec.includedResources` and the scoped ones (* is all), and those left out behind a minus",
    )
    .hidden(),
    col(
        "selector",
        "SELECTS",
        Unit::List,
        |_, r| backup(r, |b| list(b.selection.selectors.iter().map(ToString::to_string))),
        "`spec.labelSelector`, or each of `spec.orLabelSelectors`",
    )
    .hidden(),
    col("ttl_s", "TTL", Unit::Seconds, |_, r| backup(r, |b| b.selection.ttl.map(Value::Seconds)), "How long it is kept: `spec.ttl`")
        .hidden(),
    col(
        "operations_failed",
        "OPS-FAILED",
        Unit::Number,
        |_, r| backup(r, |b| (b.operations.1 > 0).then_some(b.operations.2)),
        "Operations of plugins that failed: `status.backupItemOperationsFailed`",
    )
    .hidden(),
    col(
        "hooks_failed",
        "HOOKS-FAILED",
        Unit::Number,
        |_, r| run(r, |x| (x.hooks.0 > 0).then_some(x.hooks.1)),
        "Hooks that failed: `status.hookStatus.hooksFailed`",
    )
    .hidden(),
    col("expires_at", "EXPIRES-AT", Unit::Moment, |_, r| backup(r, |b| b.expires.map(Value::Moment)), "`status.expiration`").hidden(),
    STARTED_AT,
    FINDINGS,
    AGE.hidden(),
    LABELS,
    DELETED,
];
