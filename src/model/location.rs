//! Velero's storage locations: where backups are kept.

use super::{Interner, Meta, Str, Time, time, velero};

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
        }
    }
    /// Whether it can be read and written.
    pub fn available(&self) -> bool {
        &*self.phase == "Available"
    }
}
