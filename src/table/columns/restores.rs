//! Velero's restores.

use super::backups::{ERRORS, ITEMS_TOTAL, MESSAGE, STARTED, STARTED_AT, STATUS, TOOK, WARNINGS, items};
use super::*;
use crate::model::Restore;

reader!(restore: Restore);

pub(super) static COLUMNS: &[Column] = &[
    CLUSTER,
    KIND,
    NAMESPACE.wide().leave(50),
    NAME,
    STATUS,
    col("backup", "BACKUP", Unit::Text, |_, r| restore(r, |x| x.backup.as_ref()), "What is restored: `spec.backupName`")
        .width(8, 40)
        .leave(3),
    items("Items that are restored: `status.progress.itemsRestored` of `totalItems`, best effort; JSON has the first"),
    ITEMS_TOTAL,
    ERRORS,
    WARNINGS,
    STARTED,
    TOOK,
    col(
        "namespaces",
        "NAMESPACES",
        Unit::List,
        |_, r| restore(r, |x| takes(&x.namespaces, &x.without_namespaces)),
        "`spec.includedNamespaces` (* is all of the backup), and `spec.excludedNamespaces` behind a minus",
    )
    .width(6, 40)
    .leave(10),
    col(
        "mapping",
        "MAPPED",
        Unit::Json,
        |_, r| restore(r, |x| (!x.mapping.is_empty()).then(|| labels(&x.mapping))),
        "Namespaces that get another name: `spec.namespaceMapping`",
    )
    .width(6, 40)
    .leave(11),
    MESSAGE,
    col(
        "existing",
        "EXISTING",
        Unit::Text,
        |_, r| restore(r, |x| x.policy.as_deref().unwrap_or("none")),
        "What becomes of what is there already: `spec.existingResourcePolicy`, none (left alone) or update",
    )
    .wide()
    .leave(51),
    col("schedule", "SCHEDULE", Unit::Text, |_, r| restore(r, |x| x.schedule.as_ref()), "`spec.scheduleName`: its newest completed backup")
        .wide()
        .leave(52),
    STARTED_AT,
    FINDINGS,
    AGE.hidden(),
    LABELS,
    DELETED,
];
