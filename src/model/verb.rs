//! What can be done to a cluster: the catalogue of verbs, and the arguments of one.
//!
//! Names, parameters and docs are data here, so that keys, palette, command line, runbooks and `docs/actions.md` follow from one
//! line each. How a verb plans is `action::verbs`'s; nothing here can change anything.

use super::duration::parse_duration;
use super::{Kind, Matcher, Resource, Until, quantity};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Whether what a verb did can be taken back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UndoKind {
    /// The state before comes back as it was.
    Exact,
    /// Something is done that makes up for it; what happened in between stays happened.
    Compensating,
    /// It cannot be taken back.
    None,
}

impl UndoKind {
    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Compensating => "compensating",
            Self::None => "none",
        }
    }
}

/// What a verb can be done to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum On {
    /// Objects of these kinds.
    Kinds(&'static [Kind]),
    /// Whatever has `/scale`: these, and custom resources by name on the command line.
    Scalable,
    /// Members of a cluster's etcd; a cluster alone means all of its.
    Etcd,
    /// Any object.
    Any,
    /// Objects of these kinds, or a whole cluster.
    OrCluster(&'static [Kind]),
    /// A whole cluster.
    Cluster,
    /// No object: what it touches is in its arguments.
    Nothing,
}

impl On {
    /// Whether an object of that kind is one of them.
    pub fn takes(self, kind: Kind) -> bool {
        match self {
            Self::Kinds(kinds) | Self::OrCluster(kinds) => kinds.contains(&kind),
            Self::Scalable => matches!(kind, Kind::Deployment | Kind::StatefulSet | Kind::ReplicaSet),
            Self::Etcd => kind == Kind::EtcdMember,
            Self::Any => kind.watched(),
            Self::Nothing | Self::Cluster => false,
        }
    }

    /// Whether such an object, of no kind that is known here, is one of them.
    pub fn takes_other(self, resource: &Resource) -> bool {
        match self {
            Self::Kinds(_) => false,
            Self::OrCluster(_) | Self::Etcd | Self::Cluster => resource.is_cluster(),
            Self::Scalable | Self::Any | Self::Nothing => !resource.is_cluster(),
        }
    }

    /// Whether it can be done without naming an object.
    pub fn alone(self) -> bool {
        matches!(self, Self::Nothing | Self::OrCluster(_) | Self::Cluster)
    }

    /// In words: `a Deployment, StatefulSet or DaemonSet`.
    pub fn words(self) -> String {
        match self {
            Self::Kinds(kinds) => {
                let names: Vec<&str> = kinds.iter().map(|k| k.name()).collect();
                match names.split_last() {
                    Some((last, [])) => (*last).to_owned(),
                    Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
                    None => String::new(),
                }
            }
            Self::OrCluster(kinds) => {
                let names: Vec<&str> = kinds.iter().map(|k| k.name()).collect();
                format!("{} or a whole cluster", names.join(", "))
            }
            Self::Cluster => "a whole cluster".to_owned(),
            Self::Scalable => "anything with /scale".to_owned(),
            Self::Etcd => "etcd's members".to_owned(),
            Self::Any => "what an API server has".to_owned(),
            Self::Nothing => "no object".to_owned(),
        }
    }
}

/// How a parameter's text is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParamKind {
    /// On when it is there.
    Flag,
    /// A whole number, not negative.
    Count,
    /// `5`, `+2`, `-1` or `150%`.
    Replicas,
    Text,
    /// `30s`, `5m`.
    Duration,
    /// `cpu=500m,memory=1Gi`.
    Resources,
    /// `key=value`; `key-` takes it away. May be given several times.
    Pairs,
    /// A label selector.
    Selector,
    /// `label=value`, as Alertmanager matches: `=`, `!=`, `=~`, `!~`. May be given several times.
    Matchers,
    /// `2h`, `+30m`, `until 08:00` (UTC).
    Until,
    /// A file's path; `-` is standard input.
    File,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

impl ParamKind {
    /// Whether each value given is one more.
    pub fn several(self) -> bool {
        matches!(self, Self::Pairs | Self::Matchers)
    }
}

/// A parameter of a verb.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Param {
    /// Kebab-case: `--name` on the command line, `name=` elsewhere.
    pub name: &'static str,
    /// What stands for its value in usage lines, `N`.
    pub value: &'static str,
    pub kind: ParamKind,
    /// May be given without its name; in the order of the register.
    pub positional: bool,
    pub required: bool,
    /// One line.
    pub doc: &'static str,
}

/// One verb of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct VerbInfo {
    pub id: VerbId,
    /// As the palette, keymaps, runbooks and the audit log spell it; kebab-case.
    pub name: &'static str,
    /// Other spellings in the palette.
    pub aliases: &'static [&'static str],
    /// The words of the subcommand: `["rollout", "undo"]`.
    pub cli: &'static [&'static str],
    pub on: On,
    pub params: &'static [Param],
    pub undo: UndoKind,
    /// Asks for the typed name also where no tier is set.
    pub irreversible: bool,
    /// One line, for help, palette and `-h`.
    pub doc: &'static str,
    /// A line that works, after `qd `.
    pub example: &'static str,
}

impl VerbInfo {
    /// The parameter of that name.
    pub fn param(&self, name: &str) -> Option<&'static Param> {
        self.params.iter().find(|p| p.name == name)
    }

    /// `scale REPLICAS`, `drain [timeout=DURATION]`.
    pub fn usage(&self) -> String {
        let mut out = self.name.to_owned();
        for p in self.params {
            let text = match (p.positional, p.kind) {
                (true, _) => p.value.to_owned(),
                (false, ParamKind::Flag) => p.name.to_owned(),
                (false, _) => format!("{}={}", p.name, p.value),
            };
            out.push_str(&if p.required { format!(" {text}") } else { format!(" [{text}]") });
        }
        out
    }
}

const fn flag(name: &'static str, doc: &'static str) -> Param {
    Param { name, value: "", kind: ParamKind::Flag, positional: false, required: false, doc }
}
const fn opt(name: &'static str, value: &'static str, kind: ParamKind, doc: &'static str) -> Param {
    Param { name, value, kind, positional: false, required: false, doc }
}
const fn pos(name: &'static str, value: &'static str, kind: ParamKind, doc: &'static str) -> Param {
    Param { name, value, kind, positional: true, required: false, doc }
}
const fn must(param: Param) -> Param {
    Param { required: true, ..param }
}

const TEMPLATED: &[Kind] = &[Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet];
const DRAIN: &[Param] = &[
    flag("delete-emptydir-data", "also evict pods with emptyDir volumes; what is in them is lost"),
    flag("force", "also evict pods that no controller brings back"),
    opt("ignore-daemonsets", "true|false", ParamKind::OneOf(&["true", "false"]), "leave pods of DaemonSets where they are; true"),
    flag("disable-eviction", "delete pods in place of evicting them: disruption budgets do not count"),
    opt("grace-period", "SECONDS", ParamKind::Count, "seconds for each pod to end in place of its own; 0 ends it at once"),
    opt("timeout", "DURATION", ParamKind::Duration, "how long each node may take; without it, until it is done or stopped"),
    opt("pod-selector", "LABELS", ParamKind::Selector, "only pods with these labels"),
    opt(
        "skip-wait-for-delete-timeout",
        "SECONDS",
        ParamKind::Count,
        "do not wait for pods that have been terminating for longer than this",
    ),
    opt("parallel", "N", ParamKind::Count, "nodes at the same time, zone by zone; 1, and never more than the tier allows"),
    flag("keep-capacity", "stop evicting while pods are pending for want of room"),
    flag("silence", "silence the alerts of each node before its first pod goes, until it is empty"),
];

const BACKUP: &[Param] = &[
    pos("name", "NAME", ParamKind::Text, "the backup's name; without it, made from what it is of and the time"),
    opt("labels", "LABELS", ParamKind::Selector, "only objects with these labels"),
    opt("exclude-namespaces", "NS,NS", ParamKind::Text, "all namespaces but these; of all of a cluster only"),
    opt("include-resources", "KIND,KIND", ParamKind::Text, "only these kinds, as Velero spells them: deployments.apps"),
    opt("exclude-resources", "KIND,KIND", ParamKind::Text, "all kinds but these"),
    opt("snapshot-volumes", "true|false", ParamKind::OneOf(&["true", "false"]), "snapshots of volumes; as the server says"),
    opt("ttl", "DURATION", ParamKind::Duration, "how long it is kept; as the server says, 30d where it says nothing"),
    opt("location", "NAME", ParamKind::Text, "where it is kept; the default location"),
];
const RESTORE: &[Param] = &[
    pos("name", "NAME", ParamKind::Text, "the restore's name; without it, made from the backup's and the time"),
    opt("namespaces", "NS,NS", ParamKind::Text, "only these namespaces of the backup"),
    opt("namespace-mapping", "OLD:NEW,..", ParamKind::Text, "restore a namespace under another name"),
    opt("labels", "LABELS", ParamKind::Selector, "only objects with these labels"),
    opt("include-resources", "KIND,KIND", ParamKind::Text, "only these kinds, as Velero spells them: deployments.apps"),
    opt("exclude-resources", "KIND,KIND", ParamKind::Text, "all kinds but these"),
    opt("existing", "none|update", ParamKind::OneOf(&["none", "update"]), "what becomes of what is there already; none: it stays as it is"),
];

macro_rules! verbs {
    ($($id:ident $name:literal [$($alias:literal)*] [$($cli:literal),+] $on:expr, $params:expr, $undo:ident $($irreversible:ident)?, $doc:literal, $example:literal;)*) => {
        /// Which verb.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum VerbId { $(#[doc = $doc] $id),* }

        /// Every verb, in the order of the pages.
        pub static VERBS: &[VerbInfo] = &[$(VerbInfo {
            id: VerbId::$id, name: $name, aliases: &[$($alias),*], cli: &[$($cli),+], on: $on, params: $params, undo: UndoKind::$undo,
            irreversible: false $(|| { stringify!($irreversible); true })?, doc: $doc, example: $example,
        }),*];
    };
}

verbs! {
    Scale "scale" [] ["scale"] On::Scalable, &[
        must(pos("replicas", "REPLICAS", ParamKind::Replicas, "a number, +n, -n or n%")),
        opt("current-replicas", "N", ParamKind::Count, "only if it has this many now"),
    ], Exact, "Change a workload's replicas", "scale deployment/app-0001 --replicas 7 --context lab-1 -n team-01";
    HpaSet "hpa-set" ["autoscale"] ["hpa", "set"] On::Kinds(&[Kind::Hpa]), &[
        opt("min", "N", ParamKind::Count, "the least replicas"),
        opt("max", "N", ParamKind::Count, "the most replicas"),
        opt("scale-down", "POLICY", ParamKind::OneOf(&["Max", "Min", "Disabled"]), "which policy counts when scaling down"),
        opt("scale-up", "POLICY", ParamKind::OneOf(&["Max", "Min", "Disabled"]), "which policy counts when scaling up"),
        opt("scale-down-window", "SECONDS", ParamKind::Count, "stabilization window when scaling down, 0 to 3600"),
        opt("scale-up-window", "SECONDS", ParamKind::Count, "stabilization window when scaling up, 0 to 3600"),
    ], Exact, "Change an autoscaler's bounds or behaviour", "hpa set hpa/api --min 3 --max 20 --context lab-1 -n team-01";
    HpaFreeze "hpa-freeze" ["freeze-hpa"] ["hpa", "freeze"] On::Kinds(&[Kind::Hpa]), &[
        opt("direction", "up|down", ParamKind::OneOf(&["up", "down"]), "only this direction, by its policy; the bounds still count"),
    ], Exact,
        "Hold an autoscaler at the replicas there are now", "hpa freeze hpa/api --context lab-1 -n team-01";
    HpaThaw "hpa-thaw" ["thaw-hpa"] ["hpa", "thaw"] On::Kinds(&[Kind::Hpa]), &[], Exact,
        "Give a frozen autoscaler its bounds back", "hpa thaw hpa/api --context lab-1 -n team-01";
    KedaPause "keda-pause" [] ["keda", "pause"] On::Any, &[
        opt("replicas", "N", ParamKind::Count, "hold this many; without it, as many as there are"),
    ], Exact, "Pause a KEDA ScaledObject", "keda pause scaledobject/queue --replicas 3 --context lab-1 -n team-01";
    KedaResume "keda-resume" [] ["keda", "resume"] On::Any, &[], Exact, "Let a paused KEDA ScaledObject scale again",
        "keda resume scaledobject/queue --context lab-1 -n team-01";
    Resize "resize" [] ["resize"] On::Kinds(&[Kind::Pod, Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet]), &[
        opt("container", "NAME", ParamKind::Text, "the container; may be left out where there is one"),
        pos("requests", "REQUESTS", ParamKind::Resources, "cpu=500m,memory=1Gi"),
        opt("limits", "LIMITS", ParamKind::Resources, "cpu=1,memory=2Gi"),
    ], Exact, "Change a container's requests and limits: a pod's in place, a workload's in its template",
        "resize pod/app-0001-abcde --requests cpu=500m --context lab-1 -n team-01";
    Restart "restart" [] ["restart"] On::Kinds(TEMPLATED), &[], Compensating, "Restart a workload, rolling",
        "restart deployment/app-0001 --context lab-1 -n team-01";
    Rollback "rollback" ["undo-rollout" "rollout-undo"] ["rollout", "undo"] On::Kinds(TEMPLATED), &[
        pos("to-revision", "REVISION", ParamKind::Count, "the revision; without it, the one before"),
    ], Compensating, "Roll a workload back to an earlier revision", "rollout undo deployment/app-0001 --to-revision 3 --context lab-1 -n team-01";
    RolloutPause "rollout-pause" [] ["rollout", "pause"] On::Kinds(&[Kind::Deployment]), &[], Exact, "Hold a Deployment's rollout where it is",
        "rollout pause deployment/app-0001 --context lab-1 -n team-01";
    RolloutResume "rollout-resume" [] ["rollout", "resume"] On::Kinds(&[Kind::Deployment]), &[], Exact, "Let a paused rollout go on",
        "rollout resume deployment/app-0001 --context lab-1 -n team-01";
    SetImage "set-image" ["image"] ["set", "image"] On::Kinds(&[Kind::Pod, Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::CronJob]), &[
        must(pos("image", "[CONTAINER=]IMAGE", ParamKind::Pairs, "the container and its image; * is every container; the image alone where there is one container")),
    ], Exact, "Change a container's image", "set image deployment/app-0001 app=registry.internal/app:1.2 --context lab-1 -n team-01";
    SetEnv "set-env" ["env"] ["set", "env"] On::Kinds(&[Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::CronJob]), &[
        must(pos("env", "NAME=VALUE", ParamKind::Pairs, "a variable; NAME- takes it away")),
        opt("container", "NAME", ParamKind::Text, "only this container, an init container too; without it, all but these"),
    ], Compensating, "Change environment variables of a workload's containers", "set env deployment/app-0001 LEVEL=debug --context lab-1 -n team-01";
    Cordon "cordon" [] ["cordon"] On::Kinds(&[Kind::Node]), &[], Exact, "Keep new pods off a node", "cordon node-0003 --context lab-1";
    Uncordon "uncordon" [] ["uncordon"] On::Kinds(&[Kind::Node]), &[], Exact, "Let pods onto a node again", "uncordon node-0003 --context lab-1";
    Drain "drain" [] ["drain"] On::Kinds(&[Kind::Node]), DRAIN, Compensating, "Move a node's pods away, minding the disruption budgets",
        "drain node-0003 --context lab-1 --delete-emptydir-data --timeout 2m";
    Evict "evict" ["kill"] ["evict"] On::Kinds(&[Kind::Pod]), &[
        opt("grace-period", "SECONDS", ParamKind::Count, "seconds for the pod to end in place of its own"),
    ], None, "Evict a pod, minding the disruption budgets", "evict pod/app-0001-abcde --context lab-1 -n team-01";
    Delete "delete" ["del" "rm"] ["delete"] On::Any, &[
        opt("grace-period", "SECONDS", ParamKind::Count, "seconds for a pod to end in place of its own"),
        opt("cascade", "POLICY", ParamKind::OneOf(&["background", "foreground", "orphan"]), "what happens to dependents; background"),
        flag("force", "do not wait for the kubelet: the process may go on running"),
    ], None irreversible, "Delete an object and what belongs to it", "delete pod/app-0001-abcde --context lab-1 -n team-01";
    Taint "taint" [] ["taint"] On::Kinds(&[Kind::Node]), &[
        must(pos("taints", "KEY[=VALUE]:EFFECT", ParamKind::Pairs, "a taint to set; KEY[:EFFECT]- takes it away")),
        flag("overwrite", "change a taint that is there"),
    ], Exact, "Taint a node, or take a taint away", "taint node-0003 maintenance=true:NoSchedule --context lab-1";
    Label "label" [] ["label"] On::Any, &[
        must(pos("labels", "KEY=VALUE", ParamKind::Pairs, "a label to set; KEY- takes it away")),
        flag("overwrite", "change a label that is there"),
    ], Exact, "Set labels, or take them away", "label deployment/app-0001 owner=pay --context lab-1 -n team-01";
    Annotate "annotate" [] ["annotate"] On::Any, &[
        must(pos("annotations", "KEY=VALUE", ParamKind::Pairs, "an annotation to set; KEY- takes it away")),
        flag("overwrite", "change an annotation that is there"),
    ], Exact, "Set annotations, or take them away", "annotate deployment/app-0001 note=checked --context lab-1 -n team-01";
    Ignore "ignore" ["suppress"] ["ignore"] On::Any, &[
        must(opt("rule", "ID[,ID]", ParamKind::Text, "the rules whose findings at it may be")),
        must(opt("until", "WHEN", ParamKind::Text, "when it ends: 2026-12-31, 30d, or until 08:00 (UTC)")),
        must(opt("because", "TEXT", ParamKind::Text, "why it may be, for whoever reads it then")),
    ], Exact, "Suppress findings at an object for a while, by its annotation quarterdeck.io/ignore",
        "ignore deployment/app-0001 --rule pdb-missing --until 30d --because batch --context lab-1 -n team-01";
    Trigger "trigger" [] ["cronjob", "trigger"] On::Kinds(&[Kind::CronJob]), &[
        opt("name", "NAME", ParamKind::Text, "the Job's name; without it, made from the CronJob's and the time"),
    ], Compensating, "Run a CronJob now", "cronjob trigger cronjob/report --context lab-1 -n team-01";
    Suspend "suspend-cronjob" ["pause-cronjob"] ["cronjob", "suspend"] On::Kinds(&[Kind::CronJob]), &[], Exact, "Keep a CronJob from starting Jobs",
        "cronjob suspend cronjob/report --context lab-1 -n team-01";
    Unsuspend "resume-cronjob" ["unsuspend-cronjob"] ["cronjob", "resume"] On::Kinds(&[Kind::CronJob]), &[], Exact, "Let a suspended CronJob start Jobs again",
        "cronjob resume cronjob/report --context lab-1 -n team-01";
    RetryJob "retry-job" ["rerun"] ["job", "retry"] On::Kinds(&[Kind::Job]), &[], Compensating, "Run a Job again, as a new Job with the same template",
        "job retry job/migrate --context lab-1 -n team-01";
    CreatePdb "create-pdb" [] ["create-pdb"] On::Kinds(&[Kind::Deployment, Kind::StatefulSet, Kind::ReplicaSet]), &[
        opt("min-available", "N|N%", ParamKind::Text, "how many must stay"),
        opt("max-unavailable", "N|N%", ParamKind::Text, "how many may be away; 1, which leaves one at two replicas"),
        opt("name", "NAME", ParamKind::Text, "the budget's name; without it, the workload's"),
    ], Exact, "Give a workload a disruption budget", "create-pdb deployment/app-0001 --max-unavailable 1 --context lab-1 -n team-01";
    Edit "edit" [] ["edit"] On::Any, &[
        opt("file", "FILE", ParamKind::File, "the edited object; without it, an editor opens"),
    ], Exact, "Edit an object, with a diff and the owners of its fields before anything is sent", "edit deployment/app-0001 --context lab-1 -n team-01";
    Silence "silence" ["mute"] ["silence", "add"] On::OrCluster(&[
        Kind::Alert, Kind::Pod, Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::ReplicaSet, Kind::Job, Kind::CronJob, Kind::Node, Kind::Namespace,
    ]), &[
        must(pos("for", "DURATION", ParamKind::Until, "how long: 2h, or until 08:00 (UTC)")),
        must(opt("comment", "TEXT", ParamKind::Text, "why, for whoever finds it")),
        opt("match", "LABEL=VALUE", ParamKind::Matchers, "what is silenced, in place of what the object proposes; =, !=, =~ or !~; several must all match"),
        opt("creator", "NAME", ParamKind::Text, "who; without it, you at this machine"),
    ], Exact, "Silence alerts: of an object, or those that match",
        "silence add --context lab-1 --match alertname=LabPod --for 2h --comment work";
    SilenceExtend "silence-extend" [] ["silence", "extend"] On::Kinds(&[Kind::Silence]), &[
        must(pos("for", "DURATION", ParamKind::Until, "+30m later than it would end, 2h from now, or until 08:00 (UTC)")),
    ], Exact, "Give a silence another end", "silence extend 0d3f2a10-6a8f-4ad1-9d0f-8b2f6f7a9c11 +30m --context lab-1";
    SilenceExpire "silence-expire" ["unsilence" "unmute"] ["silence", "expire"] On::Kinds(&[Kind::Silence]), &[], Compensating,
        "End a silence now: what it hides is sent again", "silence expire 0d3f2a10-6a8f-4ad1-9d0f-8b2f6f7a9c11 --context lab-1";
    Apply "apply" [] ["apply"] On::Nothing, &[
        must(opt("filename", "FILE", ParamKind::File, "manifests to apply on the server's side; - is standard input")),
        flag("force-conflicts", "take over fields that others own; they are named first"),
    ], Exact, "Apply manifests, with a diff and conflicts before anything is sent", "apply -f app.yaml --context lab-1";
    Publish "publish" [] ["publish"] On::Cluster, &[
        must(opt("filename", "FILE", ParamKind::File, "an inspection as qd inspect -o json writes it; - is standard input")),
        opt("every", "DURATION", ParamKind::Duration, "how often it is made, for who reads it and must know when it is old; 1h"),
    ], None, "Write what an inspection found into its cluster, as PolicyReports", "publish -f report.json --context lab-1";
    Backup "backup" [] ["backup", "create"] On::OrCluster(&[Kind::Namespace, Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::Schedule]), BACKUP,
        Compensating, "Back up with Velero, now: a namespace, a workload, what a schedule takes, or all of a cluster",
        "backup create b1 --include-namespace pay --context lab-1";
    BackupDelete "backup-delete" [] ["backup", "delete"] On::Kinds(&[Kind::Backup]), &[], None irreversible,
        "Delete a backup with all that is kept of it", "backup delete b1 --context lab-1";
    BackupLogs "backup-logs" [] ["backup", "logs"] On::Kinds(&[Kind::Backup, Kind::Restore]), &[
        opt("what", "log|results", ParamKind::OneOf(&["log", "results"]), "its log, or its errors and warnings alone; log"),
    ], None, "Fetch what Velero wrote of a backup or a restore", "backup logs b1 --context lab-1";
    Restore "restore" [] ["restore", "create"] On::Kinds(&[Kind::Backup, Kind::Schedule]), RESTORE, None,
        "Restore a backup with Velero; what is there already stays as it is", "restore create --from-backup b1 --context lab-1";
    SchedulePause "schedule-pause" ["pause-schedule"] ["schedule", "pause"] On::Kinds(&[Kind::Schedule]), &[], Exact,
        "Keep a schedule from making backups", "schedule pause nightly --context lab-1";
    ScheduleResume "schedule-resume" ["resume-schedule"] ["schedule", "resume"] On::Kinds(&[Kind::Schedule]), &[], Exact,
        "Let a paused schedule make backups again", "schedule resume nightly --context lab-1";
    EtcdSnapshot "etcd-snapshot" ["snapshot-etcd"] ["etcd", "snapshot"] On::Etcd, &[
        opt("out", "FILE", ParamKind::Text, "the file; without it, one named after cluster and time in the directory that is configured"),
        opt("keep", "N", ParamKind::Count, "then delete all but so many of the newest that qd named in that directory"),
        opt("move-to", "DIR", ParamKind::Text, "in the end move it to this directory"),
        flag("no-hash", "do not compare the members' data first"),
    ], None, "Take a snapshot of a cluster's etcd from a follower, and verify it", "etcd snapshot --context lab-1 --out lab-1.db";
    EtcdDefrag "etcd-defrag" ["defrag" "defragment"] ["etcd", "defrag"] On::Etcd, &[
        flag("even-small", "also members with little to give back"),
        flag("keep-leader", "do not move the leadership away before it is the leader's turn"),
        opt("timeout", "DURATION", ParamKind::Duration, "how long one member may take; 10m"),
    ], None, "Defragment etcd's members one by one, the leader last", "etcd defrag --context lab-1";
    EtcdMoveLeader "etcd-move-leader" ["move-leader"] ["etcd", "move-leader"] On::Etcd, &[], Compensating,
        "Make another member etcd's leader: the one that is named, else who is furthest", "etcd move-leader etcd-1 --context lab-1";
    EtcdDisarm "etcd-disarm" ["disarm"] ["etcd", "alarm", "disarm"] On::Etcd, &[
        flag("corrupt", "also the alarm CORRUPT, of one member that is named"),
        flag("force", "although it would be raised again at once"),
    ], None, "Disarm etcd's alarms once what raised them is over", "etcd alarm disarm --context lab-1";
    EtcdCompact "etcd-compact" ["compact"] ["etcd", "compact"] On::Etcd, &[
        opt("revision", "N", ParamKind::Text, "up to this revision; without it, up to the newest"),
    ], None, "Forget etcd's old revisions, so that a defragmentation can give their space back", "etcd compact --context lab-1";
    EtcdMemberAdd "etcd-member-add" [] ["etcd", "member", "add"] On::Etcd, &[
        must(opt("peer-url", "URL", ParamKind::Text, "where the new member talks to the others: https://10.0.0.4:2380")),
    ], Compensating, "Add a member to etcd as a learner", "etcd member add --peer-url https://10.0.0.4:2380 --context lab-1";
    EtcdPromote "etcd-promote" ["etcd-member-promote"] ["etcd", "member", "promote"] On::Etcd, &[
        opt("timeout", "DURATION", ParamKind::Duration, "how long it may take to catch up; 5m"),
    ], None, "Give a learner of etcd a vote, once it has caught up", "etcd member promote etcd-3 --context lab-1";
    EtcdMemberRemove "etcd-member-remove" [] ["etcd", "member", "remove"] On::Etcd, &[], None irreversible,
        "Remove a member from etcd, never below its quorum", "etcd member remove etcd-2 --context lab-1";
}

impl VerbId {
    /// Its line in the catalogue.
    pub fn info(self) -> &'static VerbInfo {
        &VERBS[self as usize]
    }

    /// By name or alias.
    pub fn find(name: &str) -> Option<Self> {
        VERBS.iter().find(|v| v.name == name || v.aliases.contains(&name)).map(|v| v.id)
    }
}

impl fmt::Display for VerbId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.info().name)
    }
}

impl serde::Serialize for VerbId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.info().name)
    }
}
impl<'de> serde::Deserialize<'de> for VerbId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let name = <String as serde::Deserialize>::deserialize(d)?;
        Self::find(&name).ok_or_else(|| serde::de::Error::custom(format!("no verb {name}")))
    }
}

/// The arguments of a verb: each parameter's values as typed, checked when they were set.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Args(BTreeMap<String, Vec<String>>);

/// An argument that cannot be used: why, and the usage line.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct ArgError {
    pub message: String,
    pub hint: String,
}

impl Args {
    /// Reads the rest of a palette line: `7`, `+2 current-replicas=5`, `force timeout=2m`, `--timeout 2m`.
    ///
    /// # Errors
    /// An unknown name, a value of the wrong form, one too many or one missing; with the usage line.
    pub fn parse(info: &VerbInfo, text: &str) -> Result<Self, ArgError> {
        let mut args = Self::default();
        let mut words = split(text).into_iter().peekable();
        let mut free = info.params.iter().filter(|p| p.positional);
        let mut open: Option<&Param> = None;
        while let Some(word) = words.next() {
            let (name, value) = match word.strip_prefix("--") {
                Some(rest) => rest.split_once('=').map_or((rest, None), |(n, v)| (n, Some(v.to_owned()))),
                None => match word.split_once('=') {
                    Some((n, v)) if info.param(n).is_some() => (n, Some(v.to_owned())),
                    _ => (word.as_str(), None),
                },
            };
            let named = info.param(name).filter(|p| value.is_some() || word.starts_with("--") || p.kind == ParamKind::Flag);
            if let Some(param) = named {
                let value = match value {
                    Some(value) => value,
                    None if param.kind == ParamKind::Flag => "true".to_owned(),
                    None => words.next().ok_or_else(|| wrong(info, format!("{name} needs a value")))?,
                };
                args.set(info, param.name, &value)?;
                continue;
            }
            if word.starts_with("--") {
                return Err(unknown(info, name));
            }
            let param = match open.filter(|p| p.kind == ParamKind::Pairs).or_else(|| free.next()) {
                Some(param) => param,
                None => match word.split_once('=') {
                    Some((name, _)) => return Err(unknown(info, name)),
                    None => return Err(wrong(info, format!("`{word}` is one argument too many"))),
                },
            };
            open = Some(param);
            args.set(info, param.name, &word)?;
        }
        args.complete(info)?;
        Ok(args)
    }

    /// Sets or adds a value.
    ///
    /// # Errors
    /// An unknown name, or a value of the wrong form.
    pub fn set(&mut self, info: &VerbInfo, name: &str, value: &str) -> Result<(), ArgError> {
        let Some(param) = info.param(name) else { return Err(unknown(info, name)) };
        check(param, value).map_err(|why| wrong(info, format!("{name}: {why}")))?;
        let values = self.0.entry(param.name.to_owned()).or_default();
        if !param.kind.several() {
            values.clear();
        }
        values.push(value.to_owned());
        Ok(())
    }

    /// Whether nothing that must be there is missing.
    ///
    /// # Errors
    /// The first parameter that is.
    pub fn complete(&self, info: &VerbInfo) -> Result<(), ArgError> {
        match info.params.iter().find(|p| p.required && !self.0.contains_key(p.name)) {
            Some(missing) => Err(wrong(info, format!("{} needs {}", info.name, missing.value))),
            None => Ok(()),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// The value, or the last of several.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(|v| v.last()).map(String::as_str)
    }
    /// Every value, in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.get(name).into_iter().flatten().map(String::as_str)
    }
    /// Whether a flag is set; an option of `true` or `false` that is `true`.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }
    /// A count.
    pub fn count(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }
    /// A duration.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        parse_duration(self.get(name)?)
    }
    /// The same arguments, the values of the named ones replaced.
    pub fn hashed(&self, names: &[&str], hash: impl Fn(&str) -> String) -> Self {
        let value = |name: &str, v: &String| if names.contains(&name) { hash(v) } else { v.clone() };
        Self(self.0.iter().map(|(n, values)| (n.clone(), values.iter().map(|v| value(n, v)).collect())).collect())
    }
    /// Every argument: name and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_slice()))
    }
}

/// As it would be typed in the palette.
impl fmt::Display for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (name, values) in self.iter() {
            for value in values {
                let value = quoted(value);
                write!(f, "{}{name}={value}", if first { "" } else { " " })?;
                first = false;
            }
        }
        Ok(())
    }
}

/// A word as [`split`] gives it back.
pub fn quoted(word: &str) -> String {
    match word.is_empty() || word.contains(|c: char| c.is_whitespace() || c == '"') {
        true => format!("\"{}\"", word.replace('"', "\\\"")),
        false => word.to_owned(),
    }
}

/// Words, of which those in double quotes may have spaces; `\"` there is a quote itself.
pub fn split(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted && chars.peek() == Some(&'"') => word.extend(chars.next()),
            '"' => (quoted, any) = (!quoted, true),
            c if c.is_whitespace() && !quoted => {
                if any {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            c => {
                word.push(c);
                any = true;
            }
        }
    }
    if any {
        words.push(word);
    }
    words
}

fn wrong(info: &VerbInfo, message: String) -> ArgError {
    ArgError { message, hint: format!("usage: {}", info.usage()) }
}

fn unknown(info: &VerbInfo, name: &str) -> ArgError {
    wrong(info, crate::diag::unknown("argument", name, info.params.iter().map(|p| p.name)))
}

/// Whether a value has the form that the parameter wants; why not, in words.
fn check(param: &Param, value: &str) -> Result<(), String> {
    let fine = |ok: bool, wanted: &str| if ok { Ok(()) } else { Err(format!("`{value}` is not {wanted}")) };
    match param.kind {
        ParamKind::Flag => fine(matches!(value, "true" | "false"), "true or false"),
        ParamKind::Count => fine(value.parse::<u32>().is_ok_and(|n| i32::try_from(n).is_ok()), "a whole number"),
        ParamKind::Replicas => fine(Replicas::parse(value).is_some(), "a number of replicas: write 5, +2, -1 or 150%"),
        ParamKind::Duration => fine(parse_duration(value).is_some(), "a duration: write 30s, 5m or 2h"),
        ParamKind::Resources => resources(value).map(drop),
        ParamKind::Selector => super::Selector::parse(value).map(drop),
        ParamKind::Matchers => Matcher::parse(value).map(drop),
        ParamKind::Until => fine(Until::parse(value).is_some(), "an end: write 2h, +30m or until 08:00 (UTC)"),
        ParamKind::Text | ParamKind::File | ParamKind::Pairs => fine(!value.trim().is_empty(), "a value"),
        ParamKind::OneOf(words) if words.contains(&value) => Ok(()),
        ParamKind::OneOf(words) => Err(crate::diag::unknown("value", value, words.iter().copied())),
    }
}

/// `cpu=500m,memory=1Gi` as pairs in the order given.
///
/// # Errors
/// Anything but `cpu` and `memory`, or a value that is no quantity.
pub fn resources(text: &str) -> Result<Vec<(&str, &str)>, String> {
    let pair = |part| {
        let (name, value): (&str, &str) = str::split_once(part, '=').ok_or_else(|| format!("`{part}` is not cpu=... or memory=..."))?;
        let known = match name {
            "cpu" => quantity::milli(value),
            "memory" => quantity::whole(value),
            _ => return Err(crate::diag::unknown("resource", name, ["cpu", "memory"])),
        };
        known.filter(|n| *n >= 0).map(|_| (name, value)).ok_or_else(|| format!("`{value}` is no quantity: write 500m or 1Gi"))
    };
    text.split(',').map(pair).collect()
}

/// A number of replicas as typed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replicas {
    To(i64),
    By(i64),
    /// Percent of what there is, rounded up.
    Percent(i64),
}

impl Replicas {
    /// `5`, `+2`, `-1`, `150%`.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |t: &str| t.parse::<u32>().ok().filter(|n| *n <= 1_000_000).map(i64::from);
        if let Some(percent) = text.strip_suffix('%') {
            return number(percent).map(Self::Percent);
        }
        match text.split_at_checked(1) {
            Some(("+", rest)) => number(rest).map(Self::By),
            Some(("-", rest)) => number(rest).map(|n| Self::By(-n)),
            _ => number(text).map(Self::To),
        }
    }

    /// The number wanted, of `now`; never negative.
    pub fn of(self, now: i64) -> i64 {
        match self {
            Self::To(n) => n,
            Self::By(n) => (now + n).max(0),
            Self::Percent(p) => (now * p + 99) / 100,
        }
    }
}

#[cfg(test)]
mod tests;
