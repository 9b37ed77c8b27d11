//! Velero's objects as they come (velero.io/v1), naming only the fields that are projected. Custom resources: JSON only.

use super::wire::{self, LabelSelector, ObjectMeta, Pair, Time, zero};
use serde::Deserialize;

/// Declares structs that are read from JSON, absent and `null` alike being zero.
macro_rules! json {
    ($($(#[$doc:meta])* $name:ident { $($(#[$more:meta])* $field:ident: $type:ty,)* })*) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name { $($(#[$more])* #[serde(deserialize_with = "zero")] pub $field: $type,)* }
    )* };
}
pub(super) use json;

json! {
    Backup { metadata: Option<ObjectMeta>, spec: BackupSpec, status: RunStatus, }
    /// Also the template of a Schedule.
    BackupSpec {
        included_namespaces: Vec<String>, excluded_namespaces: Vec<String>, included_resources: Vec<String>, excluded_resources: Vec<String>,
        included_cluster_scope_resources: Vec<String>, excluded_cluster_scope_resources: Vec<String>,
        included_namespaced_resources: Vec<String>, excluded_namespaced_resources: Vec<String>,
        label_selector: Option<LabelSelector>, or_label_selectors: Vec<LabelSelector>, snapshot_volumes: Option<bool>,
        default_volumes_to_fs_backup: Option<bool>, storage_location: String, ttl: String,
    }
    /// Of a backup or a restore.
    RunStatus {
        phase: String, expiration: Option<Time>, validation_errors: Vec<String>, start_timestamp: Option<Time>, completion_timestamp: Option<Time>,
        failure_reason: String, warnings: i64, errors: i64, progress: Progress, queue_position: i64,
        volume_snapshots_attempted: i64, volume_snapshots_completed: i64, csi_volume_snapshots_attempted: i64, csi_volume_snapshots_completed: i64,
        backup_item_operations_attempted: i64, backup_item_operations_completed: i64, backup_item_operations_failed: i64,
        hook_status: Hooks,
    }
    Progress { total_items: i64, items_backed_up: i64, items_restored: i64, }
    Hooks { hooks_attempted: i64, hooks_failed: i64, }

    Restore { metadata: Option<ObjectMeta>, spec: RestoreSpec, status: RunStatus, }
    RestoreSpec {
        backup_name: String, schedule_name: String, included_namespaces: Vec<String>, excluded_namespaces: Vec<String>,
        namespace_mapping: Mapping, existing_resource_policy: String,
    }

    Schedule { metadata: Option<ObjectMeta>, spec: ScheduleSpec, status: ScheduleStatus, }
    ScheduleSpec { template: BackupSpec, schedule: String, paused: bool, skip_immediately: Option<bool>, }
    ScheduleStatus { phase: String, last_backup: Option<Time>, last_skipped: Option<Time>, validation_errors: Vec<String>, }

    StorageLocation { metadata: Option<ObjectMeta>, spec: LocationSpec, status: LocationStatus, }
    LocationSpec { provider: String, default: bool, access_mode: String, object_storage: ObjectStorage, validation_frequency: String, }
    ObjectStorage { bucket: String, prefix: String, }
    LocationStatus { phase: String, message: String, last_synced_time: Option<Time>, last_validation_time: Option<Time>, }
}

/// A map of strings.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Mapping(#[serde(deserialize_with = "wire::pairs")] pub Vec<Pair>);

/// A Go duration (`720h0m0s`, `1h30m`, `500ms`) in seconds, rounded down; none when it is none, or zero.
pub fn seconds(text: &str) -> Option<i64> {
    let (mut rest, mut nanos) = (text, 0f64);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let unit = rest[end..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |n| end + n);
        let each = match &rest[end..unit] {
            "h" => 3600e9,
            "m" => 60e9,
            "s" => 1e9,
            "ms" => 1e6,
            "us" | "µs" => 1e3,
            "ns" => 1.0,
            _ => return None,
        };
        nanos += rest[..end].parse::<f64>().ok()? * each;
        rest = &rest[unit..];
    }
    Some((nanos / 1e9) as i64).filter(|s| *s > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations() {
        for (text, expected) in [
            ("720h0m0s", Some(2_592_000)),
            ("1h30m", Some(5_400)),
            ("90.5s", Some(90)),
            ("500ms", None),
            ("", None),
            ("x", None),
            ("5", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn null_is_absent() {
        let b: Backup = serde_json::from_str(
            r#"{"metadata":null,"spec":{"includedNamespaces":null,"ttl":"720h0m0s"},"status":{"startTimestamp":null,"progress":null}}"#,
        )
        .unwrap();
        assert!(b.spec.included_namespaces.is_empty() && b.status.start_timestamp.is_none());
        let r: Restore = serde_json::from_str(r#"{"spec":{"namespaceMapping":{"a":"b"}}}"#).unwrap();
        assert_eq!(r.spec.namespace_mapping.0[0].value, "b");
    }
}
