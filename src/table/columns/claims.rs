//! PersistentVolumeClaims.

use super::*;
use crate::model::{Claim, ClaimUse, Tri};

reader!(claim: Claim);

/// How full its volume is, of what `part` says: a share, rounded down.
fn share<'a>(r: Row<'a>, part: fn(&ClaimUse) -> Option<f64>) -> Value<'a> {
    let Row::Object(cluster, Object::Claim(c)) = r else { return Value::None };
    let full = cluster.claim_use(&c.meta.namespace, &c.meta.name).and_then(part);
    full.map(|v| Value::Percent((v * 100.0) as i64)).into()
}

fn message(c: &Claim) -> Option<Cow<'_, str>> {
    if c.lost() {
        return Some(c.volume.as_ref().map_or_else(|| "its volume is gone".into(), |v| format!("its volume {v} is gone").into()));
    }
    c.conditions.iter().find(|c| c.status == Tri::True).and_then(words).map(Into::into)
}

/// Short forms, as kubectl has them.
fn access(c: &Claim) -> Value<'_> {
    list(c.access.iter().map(|m| match &**m {
        "ReadWriteOnce" => Cow::Borrowed("RWO"),
        "ReadOnlyMany" => Cow::Borrowed("ROX"),
        "ReadWriteMany" => Cow::Borrowed("RWX"),
        "ReadWriteOncePod" => Cow::Borrowed("RWOP"),
        other => Cow::Borrowed(other),
    }))
}

pub(super) static COLUMNS: &[Column] = &[
    CLUSTER,
    KIND,
    NAMESPACE,
    NAME,
    col("status", "STATUS", Unit::Text, |_, r| claim(r, |c| &c.phase), "Pending, Bound, or Lost (its volume is gone): `status.phase`")
        .width(4, 7)
        .leave(1)
        .tone(row_tone),
    col(
        "used_percent",
        "USED%",
        Unit::Percent,
        |_, r| share(r, |u| u.bytes),
        "How full its volume is: Prometheus' `kubelet_volume_stats_used_bytes` of the capacity, rounded down; query use-of-claims, which tells every claim that is measured",
    )
    .leave(3)
    .tone(full_tone),
    col(
        "inodes_percent",
        "INODES%",
        Unit::Percent,
        |_, r| share(r, |u| u.inodes),
        "How many of its inodes are used: Prometheus' `kubelet_volume_stats_inodes_used`, rounded down; query use-of-claims",
    )
    .wide()
    .leave(40)
    .tone(full_tone),
    col(
        "capacity_bytes",
        "CAPACITY",
        Unit::Bytes,
        |_, r| claim(r, |c| c.capacity.map(Value::Bytes)),
        "What it has: `status.capacity.storage`",
    )
    .leave(4),
    col(
        "requested_bytes",
        "ASKED",
        Unit::Bytes,
        |_, r| claim(r, |c| c.requested.map(Value::Bytes)),
        "What it asks for: `spec.resources.requests.storage`",
    )
    .wide()
    .leave(41),
    col("class", "CLASS", Unit::Text, |_, r| claim(r, |c| c.class.as_ref()), "Its storage class: `spec.storageClassName`")
        .width(4, 24)
        .leave(10),
    col("access", "ACCESS", Unit::List, |_, r| claim(r, access), "How it may be mounted, as kubectl shortens it: `spec.accessModes`")
        .width(3, 12)
        .leave(20),
    FINDINGS,
    AGE,
    col("volume", "VOLUME", Unit::Text, |_, r| claim(r, |c| c.volume.as_ref()), "The volume that it is bound to: `spec.volumeName`")
        .width(6, 44)
        .leave(30),
    col("volume_mode", "MODE", Unit::Text, |_, r| claim(r, |c| &c.mode), "Filesystem or Block: `spec.volumeMode`").wide().leave(50),
    col(
        "message",
        "MESSAGE",
        Unit::Text,
        |_, r| claim(r, message),
        "What it waits for: message, else reason, of the first condition that is True; or that its volume is gone",
    )
    .width(10, 60)
    .wide()
    .leave(60),
    col("conditions", "CONDITIONS", Unit::List, |_, r| claim(r, |c| conditions(&c.conditions)), "`status.conditions` as type=status")
        .hidden(),
    OWNER.hidden(),
    LABELS,
    DELETED,
];
