//! Namespaces.

use super::*;
use crate::model::{Namespace, Tri};

reader!(namespace: Namespace);

pub(super) static COLUMNS: &[Column] = &[
    CLUSTER,
    KIND,
    NO_NAMESPACE,
    NAME,
    col("status", "STATUS", Unit::Text, |_, r| namespace(r, |n| &n.phase), "Active or Terminating: `status.phase`")
        .width(6, 11)
        .leave(1)
        .tone(row_tone),
    FINDINGS,
    AGE,
    PODS_CPU,
    PODS_CPU_PERCENT,
    PODS_MEMORY,
    PODS_MEMORY_PERCENT,
    PODS_CPU_REQUEST,
    PODS_CPU_SLACK,
    PODS_MEMORY_REQUEST,
    PODS_MEMORY_SLACK,
    PODS_MEASURED,
    LABELS.wide().leave(50),
    col(
        "message",
        "MESSAGE",
        Unit::Text,
        |_, r| namespace(r, |n| n.conditions.iter().find(|c| c.status == Tri::True).and_then(words)),
        "Why deletion does not end: message, else reason, of the first condition that is True",
    )
    .width(10, 80)
    .wide()
    .leave(60),
    col("conditions", "CONDITIONS", Unit::List, |_, r| namespace(r, |n| conditions(&n.conditions)), "`status.conditions` as type=status")
        .hidden(),
    DELETED,
];
