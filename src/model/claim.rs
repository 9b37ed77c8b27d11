//! PersistentVolumeClaims.

use super::{Condition, Interner, Meta, Str, quantity, wire};

/// A PersistentVolumeClaim.
#[derive(Clone, PartialEq, Debug)]
pub struct Claim {
    pub meta: Meta,
    /// `Pending`, `Bound` or `Lost`.
    pub phase: Str,
    /// The volume that it is bound to.
    pub volume: Option<Str>,
    /// The storage class; none where the default is to be taken, or none at all.
    pub class: Option<Str>,
    /// `Filesystem` or `Block`.
    pub mode: Str,
    /// `ReadWriteOnce`, `ReadWriteMany`...
    pub access: Box<[Str]>,
    /// Bytes asked for.
    pub requested: Option<i64>,
    /// Bytes that it has; none before it is bound.
    pub capacity: Option<i64>,
    pub conditions: Box<[Condition]>,
}

impl Claim {
    /// Projects the wire's object.
    pub fn of(o: &wire::PersistentVolumeClaim, i: &mut Interner) -> Self {
        let (spec, status) = (o.spec.clone().unwrap_or_default(), o.status.clone().unwrap_or_default());
        let storage = |set: &[wire::QuantityPair]| {
            set.iter().find(|p| p.key == "storage").and_then(|p| p.value.as_ref()).and_then(|q| quantity::whole(&q.text))
        };
        Self {
            meta: Meta::of(o.metadata.as_ref(), i),
            phase: i.str(&status.phase),
            volume: i.opt(&spec.volume_name),
            class: i.opt(&spec.storage_class_name),
            mode: i.str(if spec.volume_mode.is_empty() { "Filesystem" } else { &spec.volume_mode }),
            access: spec.access_modes.iter().map(|m| i.str(m)).collect(),
            requested: spec.resources.as_ref().and_then(|r| storage(&r.requests)),
            capacity: storage(&status.capacity),
            conditions: status
                .conditions
                .iter()
                .map(|c| Condition::of(&c.r#type, &c.status, &c.reason, &c.message, c.last_transition_time, i))
                .collect(),
        }
    }

    /// Nothing can be written to what it stands for: its volume is gone.
    pub fn lost(&self) -> bool {
        &*self.phase == "Lost"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, Object, decode_json, decode_proto, object::json_to_proto};
    use serde_json::json;

    #[test]
    fn both_encodings_say_the_same() {
        let value = json!({"metadata": {"name": "data-db-0", "namespace": "pay", "uid": "u"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}, "volumeName": "pv-1",
                "storageClassName": "ssd"},
            "status": {"phase": "Bound", "capacity": {"storage": "20Gi"},
                "conditions": [{"type": "FileSystemResizePending", "status": "True", "message": "waits for the node"}]}});
        let mut i = Interner::default();
        let one = decode_json(Kind::Claim, value.to_string().as_bytes(), &mut i).unwrap();
        assert_eq!(one, decode_proto(Kind::Claim, &json_to_proto(Kind::Claim, &value).unwrap(), &mut i).unwrap());
        let Object::Claim(claim) = one else { panic!() };
        assert_eq!((claim.requested, claim.capacity, &*claim.mode), (Some(10 << 30), Some(20 << 30), "Filesystem"));
        assert_eq!((claim.volume.as_deref(), claim.class.as_deref(), claim.lost()), (Some("pv-1"), Some("ssd"), false));
    }
}
