//! Velero's storage locations: where backups are kept.

use super::{Interner, Meta, Str, Time, time, velero};

/// Seconds between two looks of the server at a location that says nothing of it: the default of its `--store-validation-frequency`.
const LOOKS: i64 = 60;
/// So many of them missed: nobody looks any more.
const MISSED: i64 = 3;

/// A BackupStorageLocation.
#[derive(Clone, PartialEq, Debug)]
pub struct StorageLocation {
    pub meta: Meta,
    pub provider: Str,
    pub bucket: Str,
    /// The path inside the bucket.
    pub prefix: Option<Str>,
    /// `spec.default`.
    pub default: bool,
    /// `spec.accessMode` is ReadOnly: nothing is backed up to it.
    pub read_only: bool,
    /// `Available`, `Unavailable`, or empty before it was looked at.
    pub phase: Str,
    /// Why it is unavailable.
    pub message: Option<Str>,
    /// When its backups were last read.
    pub synced: Option<Time>,
    /// When it was last looked at.
    pub validated: Option<Time>,
    /// `spec.validationFrequency` in seconds; 0: it is not looked at; none: as often as the server is told to.
    pub every: Option<i64>,
}

impl StorageLocation {
    /// Projects the wire's object.
    pub fn of(o: &velero::StorageLocation, i: &mut Interner) -> Self {
        let (spec, status) = (&o.spec, &o.status);
        Self {
            meta: Meta::of(o.metadata.as_ref(), i),
            provider: i.str(&spec.provider),
            bucket: i.str(&spec.object_storage.bucket),
            prefix: i.opt(&spec.object_storage.prefix),
            default: spec.default,
            read_only: spec.access_mode == "ReadOnly",
            phase: i.str(&status.phase),
            message: (!status.message.is_empty()).then(|| Str::from(status.message.trim())),
            synced: time::of(status.last_synced_time),
            validated: time::of(status.last_validation_time),
            every: (!spec.validation_frequency.is_empty()).then(|| velero::seconds(&spec.validation_frequency).unwrap_or(0)),
        }
    }
    /// Whether it can be read and written.
    pub fn available(&self) -> bool {
        &*self.phase == "Available"
    }
    /// Seconds between two looks at it; none: it is not looked at.
    pub fn period(&self) -> Option<i64> {
        Some(self.every.unwrap_or(LOOKS)).filter(|every| *every > 0)
    }
    /// When a server last did something about it. Where it says nothing of how often it is looked at, reading its backups counts too: a server
    /// may have been told not to look, and reads all the same.
    pub fn looked(&self) -> Option<Time> {
        if self.every.is_some() { self.validated } else { self.validated.max(self.synced) }
    }
    /// From when on (unix seconds) too many looks have been missed; before the first they count from its creation. None where it is not looked at.
    pub fn overdue(&self) -> Option<i64> {
        Some(self.looked().or(self.meta.created)?.secs() + MISSED * self.period()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, Object, decode_json};
    use serde_json::{Value, json};

    const LOOKED: i64 = 1_795_694_400; // 2026-11-26T12:00:00Z

    fn location(spec: Value, status: Value) -> StorageLocation {
        let value = json!({"metadata": {"name": "l", "creationTimestamp": "2026-11-26T11:00:00Z"}, "spec": spec, "status": status});
        match decode_json(Kind::StorageLocation, value.to_string().as_bytes(), &mut Interner::default()).unwrap() {
            Object::StorageLocation(l) => (*l).clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn three_looks_missed_by_its_own_period_or_the_servers() {
        let looked = json!({"lastValidationTime": "2026-11-26T12:00:00Z"});
        let at = |every: &str| location(json!({"validationFrequency": every}), looked.clone()).overdue();
        assert_eq!((at("10m0s"), at("30s"), at("0s")), (Some(LOOKED + 1800), Some(LOOKED + 90), None), "0 is off");
        assert_eq!(location(json!({}), looked.clone()).overdue(), Some(LOOKED + 180));
        assert_eq!(location(json!({}), json!({})).overdue(), Some(LOOKED - 3600 + 180), "never looked at");
    }

    #[test]
    fn a_server_that_reads_and_was_told_not_to_look_works() {
        let status = json!({"lastValidationTime": "2026-11-26T12:00:00Z", "lastSyncedTime": "2026-11-26T12:30:00Z"});
        assert_eq!(location(json!({}), status.clone()).overdue(), Some(LOOKED + 1980));
        assert_eq!(
            location(json!({"validationFrequency": "1m0s"}), status).overdue(),
            Some(LOOKED + 180),
            "this one says that it is looked at"
        );
    }
}
