//! Velero's backups and restores.

use super::{Interner, Labels, Meta, Selector, Str, Time, time, velero, wire};
use sha2::{Digest as _, Sha256};

/// The label that names the schedule a backup is from.
const SCHEDULE: &str = "velero.io/schedule-name";

/// How a backup or a restore goes on, from its phase.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RunState {
    /// New, Queued, ReadyToStart.
    Waiting,
    /// InProgress, WaitingForPluginOperations, Finalizing and what is not known: not usable yet.
    Running,
    /// Completed: the only one that is good.
    Completed,
    /// Ended, with errors at single items.
    Partly,
    /// Failed, FailedValidation.
    Failed,
    Deleting,
}

/// How a backup or a restore went, or goes.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Run {
    /// `status.phase` as Velero writes it; empty before it was seen.
    pub phase: Str,
    /// `status.startTimestamp`.
    pub started: Option<Time>,
    /// `status.completionTimestamp`, set for failures too.
    pub completed: Option<Time>,
    /// `status.progress`: items done, and of how many; none before there are any. Best effort, says Velero.
    pub items: Option<(i64, i64)>,
    pub errors: i64,
    pub warnings: i64,
    /// `status.failureReason`.
    pub failure: Option<Str>,
    /// `status.validationErrors`.
    pub invalid: Box<[Str]>,
    /// Hooks that were run, and of these failed.
    pub hooks: (i64, i64),
}

impl Run {
    /// From the status of a backup or a restore; `done`: the items that it has done.
    fn of(s: &velero::RunStatus, done: i64, i: &mut Interner) -> Self {
        Self {
            phase: i.str(&s.phase),
            started: time::of(s.start_timestamp),
            completed: time::of(s.completion_timestamp),
            items: (s.progress.total_items > 0).then_some((done, s.progress.total_items)),
            errors: s.errors,
            warnings: s.warnings,
            failure: (!s.failure_reason.is_empty()).then(|| Str::from(&*s.failure_reason)),
            invalid: strings([&s.validation_errors], i),
            hooks: (s.hook_status.hooks_attempted, s.hook_status.hooks_failed),
        }
    }
    /// What the phase means.
    pub fn state(&self) -> RunState {
        match &*self.phase {
            "" | "New" | "Queued" | "ReadyToStart" => RunState::Waiting,
            "Completed" => RunState::Completed,
            "PartiallyFailed" => RunState::Partly,
            "Failed" | "FailedValidation" => RunState::Failed,
            "Deleting" => RunState::Deleting,
            _ => RunState::Running,
        }
    }
    /// Whether no server has taken it up yet.
    pub fn fresh(&self) -> bool {
        matches!(&*self.phase, "" | "New")
    }
    /// Whether it will not go on.
    pub fn ended(&self) -> bool {
        matches!(self.state(), RunState::Completed | RunState::Partly | RunState::Failed)
    }
    /// Why it is not well, in words.
    pub fn why(&self) -> Option<&str> {
        self.failure.as_deref().or(self.invalid.first().map(|t| &**t))
    }
    /// How far it is, or how it went: `InProgress, 12 of 120 items`, `PartiallyFailed, 40 items, 1 error: ...`.
    pub fn words(&self) -> String {
        let mut words = vec![if self.phase.is_empty() { "New".to_owned() } else { self.phase.to_string() }];
        match self.items {
            Some((done, all)) if self.ended() && done == all => words.push(format!("{all} items")),
            Some((done, all)) => words.push(format!("{done} of {all} items")),
            None => {}
        }
        for (n, word) in [(self.errors, "error"), (self.warnings, "warning")] {
            if n > 0 {
                words.push(format!("{n} {word}{}", if n == 1 { "" } else { "s" }));
            }
        }
        let why = self.why().map_or_else(String::new, |w| format!(": {w}"));
        format!("{}{why}", words.join(", "))
    }
    /// Seconds that it took, or has taken by `now`.
    pub fn took(&self, now: i64) -> Option<i64> {
        let end = self.completed.map(Time::secs).or((!self.ended()).then_some(now))?;
        self.started.map(|s| s.age(end))
    }
}

/// What a backup takes in.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Selection {
    /// Empty: all.
    pub namespaces: Box<[Str]>,
    pub without_namespaces: Box<[Str]>,
    /// Empty: all. Old and scoped filters alike.
    pub resources: Box<[Str]>,
    pub without_resources: Box<[Str]>,
    /// One of these must match; empty: all do.
    pub selectors: Box<[Selector]>,
    /// `snapshotVolumes`; none is yes where there is a snapshotter.
    pub snapshots: Option<bool>,
    /// `defaultVolumesToFsBackup`.
    pub files: Option<bool>,
    /// Empty: the default location.
    pub location: Str,
    /// Seconds that it is kept; none: as long as the server says.
    pub ttl: Option<i64>,
}

fn strings<'a>(lists: impl IntoIterator<Item = &'a Vec<String>>, i: &mut Interner) -> Box<[Str]> {
    lists.into_iter().flatten().map(|t| i.str(t)).collect()
}

impl Selection {
    /// From a backup's spec, or a schedule's template.
    pub fn of(spec: &velero::BackupSpec, i: &mut Interner) -> Self {
        Self {
            namespaces: strings([&spec.included_namespaces], i).into_iter().filter(|n| &**n != "*").collect(),
            without_namespaces: strings([&spec.excluded_namespaces], i),
            resources: strings([&spec.included_resources, &spec.included_namespaced_resources, &spec.included_cluster_scope_resources], i),
            without_resources: strings(
                [&spec.excluded_resources, &spec.excluded_namespaced_resources, &spec.excluded_cluster_scope_resources],
                i,
            ),
            selectors: spec.label_selector.iter().chain(&spec.or_label_selectors).map(|s| Selector::of(s, i)).collect(),
            snapshots: spec.snapshot_volumes,
            files: spec.default_volumes_to_fs_backup,
            location: i.str(&spec.storage_location),
            ttl: velero::seconds(&spec.ttl),
        }
    }

    /// Whether a namespace is in it, as far as its filters of namespaces go.
    pub fn takes(&self, namespace: &str) -> bool {
        let named =
            |list: &[Str]| list.iter().any(|n| &**n == namespace || n.strip_suffix('*').is_some_and(|head| namespace.starts_with(head)));
        (self.namespaces.is_empty() || named(&self.namespaces)) && !named(&self.without_namespaces)
    }

    /// Whether nothing of a namespace is left out.
    pub fn whole(&self, namespace: &str) -> bool {
        self.takes(namespace)
            && self.selectors.is_empty()
            && self.resources.iter().all(|r| &**r == "*")
            && self.without_resources.is_empty()
    }
}

/// A backup.
#[derive(Clone, PartialEq, Debug)]
pub struct Backup {
    pub meta: Meta,
    pub run: Run,
    pub selection: Selection,
    /// The schedule that made it.
    pub schedule: Option<Str>,
    /// `status.expiration`: from then on it is deleted.
    pub expires: Option<Time>,
    /// Its place among those that wait; none when it does not wait.
    pub queue: Option<i64>,
    /// Volume snapshots that were completed, of those attempted; Velero's own and those of CSI.
    pub volumes: (i64, i64),
    /// Operations of plugins that were completed, attempted, failed.
    pub operations: (i64, i64, i64),
}

impl Backup {
    /// Projects the wire's object.
    pub fn of(o: &velero::Backup, i: &mut Interner) -> Self {
        let (meta, s) = (Meta::of(o.metadata.as_ref(), i), &o.status);
        Self {
            schedule: meta.labels.get(SCHEDULE).map(|n| i.str(n)),
            selection: Selection::of(&o.spec, i),
            expires: time::of(s.expiration),
            queue: Some(s.queue_position).filter(|n| *n > 0),
            volumes: (
                s.volume_snapshots_completed + s.csi_volume_snapshots_completed,
                s.volume_snapshots_attempted + s.csi_volume_snapshots_attempted,
            ),
            operations: (s.backup_item_operations_completed, s.backup_item_operations_attempted, s.backup_item_operations_failed),
            run: Run::of(s, s.progress.items_backed_up, i),
            meta,
        }
    }

    /// The moment that a restore of it leads back to: when it began.
    pub fn point(&self) -> Option<Time> {
        self.run.started.or(self.meta.created)
    }
    /// Whether it can be restored whole.
    pub fn good(&self) -> bool {
        self.run.state() == RunState::Completed
    }
}

/// The data of volumes that a backup has moved to its location, as its PodVolumeBackups and DataUploads tell. Of the objects nobody tells a size.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MovedData {
    /// Volumes that tell how large they are.
    pub volumes: usize,
    /// Bytes of these: the sum of `status.progress.totalBytes`.
    pub bytes: i64,
    /// Volumes that do not, or not yet.
    pub unknown: usize,
}

impl MovedData {
    /// Adds one volume by its `status.progress.totalBytes`.
    pub fn add(&mut self, total: Option<i64>) {
        match total.filter(|bytes| *bytes > 0) {
            Some(bytes) => (self.volumes, self.bytes) = (self.volumes + 1, self.bytes.saturating_add(bytes)),
            None => self.unknown += 1,
        }
    }
}

/// The value that the label `velero.io/backup-name` has for a backup: names beyond 63 characters are cut, with a digest of the whole.
pub fn label_of(name: &str) -> String {
    const LONGEST: usize = 63;
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let digest: String = Sha256::digest(name).iter().take(3).map(|b| format!("{b:02x}")).collect();
    format!("{}{digest}", name.get(..LONGEST - digest.len()).unwrap_or(name))
}

/// A restore.
#[derive(Clone, PartialEq, Debug)]
pub struct Restore {
    pub meta: Meta,
    pub run: Run,
    /// `spec.backupName`, which the server fills in for a schedule.
    pub backup: Option<Str>,
    /// `spec.scheduleName`: the newest completed backup of it.
    pub schedule: Option<Str>,
    /// Empty: all of the backup.
    pub namespaces: Box<[Str]>,
    pub without_namespaces: Box<[Str]>,
    /// Namespaces that are restored under another name.
    pub mapping: Labels,
    /// `spec.existingResourcePolicy`: `none`, `update`; none is the former.
    pub policy: Option<Str>,
}

impl Restore {
    /// Projects the wire's object.
    pub fn of(o: &velero::Restore, i: &mut Interner) -> Self {
        let mapping: &[wire::Pair] = &o.spec.namespace_mapping.0;
        Self {
            meta: Meta::of(o.metadata.as_ref(), i),
            backup: i.opt(&o.spec.backup_name),
            schedule: i.opt(&o.spec.schedule_name),
            namespaces: strings([&o.spec.included_namespaces], i).into_iter().filter(|n| &**n != "*").collect(),
            without_namespaces: strings([&o.spec.excluded_namespaces], i),
            mapping: i.labels(mapping),
            policy: i.opt(&o.spec.existing_resource_policy),
            run: Run::of(&o.status, o.status.progress.items_restored, i),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, Object, decode_json};
    use serde_json::json;

    fn backup(value: &serde_json::Value) -> Backup {
        match decode_json(Kind::Backup, value.to_string().as_bytes(), &mut Interner::default()).unwrap() {
            Object::Backup(b) => (*b).clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_backup_of_the_server() {
        let b = backup(
            &json!({"metadata": {"name": "nightly-20261126020000", "namespace": "velero", "labels": {"velero.io/schedule-name": "nightly"}},
            "spec": {"includedNamespaces": ["pay", "shop-*"], "excludedNamespaces": ["shop-test"], "includedResources": ["*"], "storageLocation": "default", "ttl": "720h0m0s", "snapshotVolumes": false},
            "status": {"phase": "PartiallyFailed", "startTimestamp": "2026-11-26T02:00:01Z", "completionTimestamp": "2026-11-26T02:01:31Z", "expiration": "2026-12-26T02:00:01Z",
                "progress": {"totalItems": 40, "itemsBackedUp": 39}, "errors": 1, "warnings": 2, "csiVolumeSnapshotsAttempted": 2, "csiVolumeSnapshotsCompleted": 1}}),
        );
        assert_eq!((b.run.state(), b.run.items, b.run.took(0), b.run.errors), (RunState::Partly, Some((39, 40)), Some(90), 1));
        assert_eq!((b.schedule.as_deref(), b.volumes, b.selection.ttl, b.good()), (Some("nightly"), (1, 2), Some(2_592_000), false));
        assert!(b.selection.takes("pay") && b.selection.takes("shop-eu") && !b.selection.takes("shop-test") && !b.selection.takes("data"));
    }

    #[test]
    fn a_long_name_is_labelled_as_velero_does() {
        assert_eq!(label_of("nightly"), "nightly");
        // As the test of Velero's `label.GetValidName` has it.
        assert_eq!(
            label_of("this_is_a_very_long_label_value_that_will_be_rejected_by_Kubernetes"),
            "this_is_a_very_long_label_value_that_will_be_rejected_by_8d0722"
        );
    }

    #[test]
    fn only_completed_is_good_and_what_is_not_known_still_runs() {
        let state = |phase: &str| backup(&json!({"metadata": {"name": "b"}, "status": {"phase": phase}})).run.state();
        assert_eq!(state("Completed"), RunState::Completed);
        for phase in ["InProgress", "WaitingForPluginOperationsPartiallyFailed", "FinalizingPartiallyFailed", "SomethingNew"] {
            assert_eq!(state(phase), RunState::Running, "{phase}");
        }
        assert_eq!((state(""), state("FailedValidation"), state("Deleting")), (RunState::Waiting, RunState::Failed, RunState::Deleting));
    }
}
