//! Each verb of the register on each kind that it takes: what kubectl sees before, after, and after undo; where there is no way back, that
//! it is refused in words. A verb without a case does not compile, a kind without one fails without a lab too.

use crate::support::alerts::Alertmanagers;
use crate::support::lab::{Lab, until};
use crate::support::pool::Pool;
use crate::support::runner::{NO_VELERO, Test, test};
use crate::support::stage::{self, CONTEXT, Definition, Did, Stage, manifests};
use quarterdeck::model::verb::On;
use quarterdeck::model::{VERBS, VerbId, VerbInfo};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

pub const TESTS: &[Test] = &[
    Test::alone(concat!(module_path!(), "::no_kind_that_a_verb_takes_is_without_a_case"), no_kind_that_a_verb_takes_is_without_a_case),
    test!(each_verb_is_done_and_taken_back),
];

/// Where an effect is seen.
#[derive(Clone, Copy)]
enum Look {
    /// One object.
    At(&'static str),
    /// The names of a kind's objects.
    Names(&'static str),
    /// The silences at the Alertmanagers that have not ended.
    Silences,
    /// One object beside Velero.
    Kept(&'static str),
    /// The names of a kind's objects there that begin as the namespace does.
    KeptNames(&'static str),
}

/// What is there after it that was not before.
#[derive(Clone, Copy)]
enum Then {
    /// A field has this value.
    Is(&'static str, fn() -> Value),
    /// A field has another value.
    Other(&'static str),
    /// The object is gone.
    Gone,
    /// So many more names, or silences.
    More(usize),
    /// So many less.
    Less(usize),
}

/// One try of a verb. In its lines `{space}` is the namespace, `{web}` a pod of the Deployment `web`, `{node}` a node with pods of it, `FILE` the file that comes
/// with it; a name in a pool of nodes is the test's own.
struct Case {
    kind: &'static str,
    /// What is done before, each taken back after.
    first: &'static [&'static str],
    line: &'static str,
    look: Look,
    then: Then,
    /// Why it cannot be taken back, in words; none where it can.
    stays: Option<&'static str>,
    file: Option<fn(&Stage) -> String>,
}

impl Case {
    fn first(self, first: &'static [&'static str]) -> Self {
        Self { first, ..self }
    }
    fn stays(self, why: &'static str) -> Self {
        Self { stays: Some(why), ..self }
    }
    fn with(self, file: fn(&Stage) -> String) -> Self {
        Self { file: Some(file), ..self }
    }
}

fn on(kind: &'static str, line: &'static str, look: Look, then: Then) -> Case {
    Case { kind, first: &[], line, look, then, stays: None, file: None }
}

const IMAGE: &str = "/spec/template/spec/containers/0/image";
const CRON_IMAGE: &str = "/spec/jobTemplate/spec/template/spec/containers/0/image";
const RESTARTED: &str = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";
const CPU: &str = "/spec/template/spec/containers/0/resources/requests/cpu";
const ENV: &str = "/spec/template/spec/containers/0/env/0/name";
const GAUGE: &str = "gauge.every.quarterdeck.io/one";

fn second() -> Value {
    "registry.internal/app:2".into()
}
fn first() -> Value {
    "registry.internal/app:1".into()
}

fn cases(verb: VerbId) -> Vec<Case> {
    use Look::{At, Kept, KeptNames, Names, Silences};
    use Then::{Gone, Is, Less, More, Other};
    let (web, db, agent, lone) = (At("deployment/web"), At("statefulset/db"), At("daemonset/agent"), At("replicaset/lone"));
    let (hpa, keda, cron, node) = (At("hpa/elastic"), At("scaledobject.keda.sh/queue"), At("cronjob/report"), At("node/{node}"));
    let yes = || json!(true);
    match verb {
        VerbId::Scale => vec![
            on("Deployment", "scale deployment/web --replicas +1", web, Is("/spec/replicas", || json!(4))),
            on("StatefulSet", "scale statefulset/db --replicas 200%", db, Is("/spec/replicas", || json!(4))),
            on("ReplicaSet", "scale replicaset/lone --replicas 0 --confirm lab-1", lone, Is("/spec/replicas", || json!(0))),
            on("Gauge", "scale gauge/one --replicas 5 --no-wait", At(GAUGE), Is("/spec/replicas", || json!(5))),
        ],
        VerbId::HpaSet => vec![on("HorizontalPodAutoscaler", "hpa set hpa/elastic --max 9", hpa, Is("/spec/maxReplicas", || json!(9)))],
        VerbId::HpaFreeze => vec![on("HorizontalPodAutoscaler", "hpa freeze hpa/elastic", hpa, Is("/spec/maxReplicas", || json!(2)))],
        VerbId::HpaThaw => {
            let thaw = on("HorizontalPodAutoscaler", "hpa thaw hpa/elastic", hpa, Is("/spec/maxReplicas", || json!(6)));
            vec![thaw.first(&["hpa freeze hpa/elastic"])]
        }
        VerbId::KedaPause => {
            let paused = "/annotations/autoscaling.keda.sh~1paused-replicas";
            vec![on("ScaledObject", "keda pause scaledobject/queue --replicas 3 --no-wait", keda, Is(paused, || json!("3")))]
        }
        VerbId::KedaResume => {
            let resume = on(
                "ScaledObject",
                "keda resume scaledobject/queue --no-wait",
                keda,
                Is("/annotations/autoscaling.keda.sh~1paused", || Value::Null),
            );
            vec![resume.first(&["keda pause scaledobject/queue --no-wait"])]
        }
        VerbId::Resize => vec![
            on(
                "Pod",
                "resize pod/bare --requests cpu=20m --no-wait",
                At("pod/bare"),
                Is("/spec/containers/0/resources/requests/cpu", || json!("20m")),
            ),
            on("Deployment", "resize deployment/web --requests cpu=20m", web, Is(CPU, || json!("20m"))),
            on("StatefulSet", "resize statefulset/db --requests cpu=20m", db, Is(CPU, || json!("20m"))),
            on("DaemonSet", "resize daemonset/agent --requests cpu=20m", agent, Is(CPU, || json!("20m"))),
        ],
        VerbId::Restart => vec![
            on("Deployment", "restart deployment/web", web, Other(RESTARTED)),
            on("StatefulSet", "restart statefulset/db", db, Other(RESTARTED)),
            on("DaemonSet", "restart daemonset/agent", agent, Other(RESTARTED)),
        ],
        VerbId::Rollback => vec![
            on("Deployment", "rollout undo deployment/web", web, Is(IMAGE, first))
                .first(&["set image deployment/web app=registry.internal/app:2"]),
            on("StatefulSet", "rollout undo statefulset/db", db, Is(IMAGE, first))
                .first(&["set image statefulset/db app=registry.internal/app:2"]),
            on("DaemonSet", "rollout undo daemonset/agent", agent, Is(IMAGE, first))
                .first(&["set image daemonset/agent app=registry.internal/app:2"]),
        ],
        VerbId::RolloutPause => vec![on("Deployment", "rollout pause deployment/web", web, Is("/spec/paused", yes))],
        VerbId::RolloutResume => {
            vec![on("Deployment", "rollout resume deployment/web", web, Other("/spec/paused")).first(&["rollout pause deployment/web"])]
        }
        VerbId::SetImage => vec![
            on("Pod", "set image pod/bare app=registry.internal/app:2 --no-wait", At("pod/bare"), Is("/spec/containers/0/image", second)),
            on("Deployment", "set image deployment/web app=registry.internal/app:2", web, Is(IMAGE, second)),
            on("StatefulSet", "set image statefulset/db app=registry.internal/app:2", db, Is(IMAGE, second)),
            on("DaemonSet", "set image daemonset/agent app=registry.internal/app:2", agent, Is(IMAGE, second)),
            on("CronJob", "set image cronjob/report app=registry.internal/app:2", cron, Is(CRON_IMAGE, second)),
        ],
        VerbId::SetEnv => vec![
            on("Deployment", "set env deployment/web LEVEL=debug", web, Is(ENV, || json!("LEVEL"))).stays("rollout undo"),
            on("StatefulSet", "set env statefulset/db LEVEL=debug", db, Is(ENV, || json!("LEVEL"))).stays("rollout undo"),
            on("DaemonSet", "set env daemonset/agent LEVEL=debug", agent, Is(ENV, || json!("LEVEL"))).stays("rollout undo"),
            on(
                "CronJob",
                "set env cronjob/report LEVEL=debug",
                cron,
                Is("/spec/jobTemplate/spec/template/spec/containers/0/env/0/name", || json!("LEVEL")),
            )
            .stays("cannot be taken back"),
        ],
        VerbId::Cordon => vec![on("Node", "cordon {node}", node, Is("/spec/unschedulable", yes))],
        VerbId::Uncordon => {
            vec![on("Node", "uncordon {node}", node, Is("/spec/unschedulable", || Value::Null)).first(&["cordon {node}"])]
        }
        VerbId::Drain => vec![on("Node", "drain {node} --timeout 60s", node, Is("/spec/unschedulable", yes))],
        VerbId::Evict => {
            vec![on("Pod", "evict pod/{web}", At("pod/{web}"), Gone).stays("cannot be taken back")]
        }
        VerbId::Delete => vec![
            on("ConfigMap", "delete configmap/spare --confirm lab-1", At("configmap/spare"), Gone).stays("cannot be taken back"),
            on("Gauge", "delete gauge/spare --confirm lab-1", At("gauge.every.quarterdeck.io/spare"), Gone).stays("cannot be taken back"),
            on("Deployment", "delete deployment/spare --confirm lab-1", At("deployment/spare"), Gone).stays("cannot be taken back"),
            // Its own time to end is five minutes, and it takes all of it.
            on("Pod", "delete pod/slow --force --no-wait --confirm lab-1", At("pod/slow"), Gone).stays("cannot be taken back"),
        ],
        VerbId::Taint => vec![
            on(
                "Node",
                "taint {node} maintenance=now:NoSchedule",
                node,
                Is("/spec/taints/1", || json!({"effect": "NoSchedule", "key": "maintenance", "value": "now"})),
            ),
            on("Node", "taint {node} maintenance-", node, Is("/spec/taints/1", || Value::Null))
                .first(&["taint {node} maintenance=now:NoSchedule"]),
        ],
        VerbId::Label => vec![
            on("Deployment", "label deployment/web owner=pay", web, Is("/labels/owner", || json!("pay"))),
            on("Node", "label node/{node} owner=pay", node, Is("/labels/owner", || json!("pay"))),
            on("Gauge", "label gauge/one owner- --no-wait", At(GAUGE), Is("/labels/owner", || Value::Null))
                .first(&["label gauge/one owner=pay"]),
        ],
        VerbId::Annotate => vec![
            on("Deployment", "annotate deployment/web note=seen", web, Is("/annotations/note", || json!("seen"))),
            on("Node", "annotate node/{node} note=seen", node, Is("/annotations/note", || json!("seen"))),
            on("ConfigMap", "annotate configmap/one note=seen", At("configmap/one"), Is("/annotations/note", || json!("seen"))),
        ],
        VerbId::Ignore => {
            let said = || json!("pdb-missing=batch until=2099-12-31T00:00:00Z");
            let line = "ignore deployment/web --rule pdb-missing --until 2099-12-31 --because batch";
            let of_node = "ignore node/{node} --rule pdb-missing --until 2099-12-31 --because batch";
            vec![
                on("Deployment", line, web, Is("/annotations/quarterdeck.io~1ignore", said)),
                on("Node", of_node, node, Is("/annotations/quarterdeck.io~1ignore", said)),
            ]
        }
        VerbId::Trigger => vec![on("CronJob", "cronjob trigger cronjob/report --no-wait", Names("jobs"), More(1))],
        VerbId::Suspend => vec![on("CronJob", "cronjob suspend cronjob/report", cron, Is("/spec/suspend", yes))],
        VerbId::Unsuspend => {
            let resume = on("CronJob", "cronjob resume cronjob/report", cron, Is("/spec/suspend", || json!(false)));
            vec![resume.first(&["cronjob suspend cronjob/report"])]
        }
        VerbId::RetryJob => vec![on("Job", "job retry job/once --no-wait", Names("jobs"), More(1))],
        VerbId::CreatePdb => vec![
            on("Deployment", "create-pdb deployment/web", Names("pdb"), More(1)),
            on("StatefulSet", "create-pdb statefulset/db --min-available 50%", Names("pdb"), More(1)),
            on("ReplicaSet", "create-pdb replicaset/lone --name alone", Names("pdb"), More(1)),
        ],
        VerbId::Edit => vec![
            on("Deployment", "edit deployment/web --file FILE", web, Is("/spec/minReadySeconds", || json!(1)))
                .with(|s| edited(s, "deployment/web", "/spec", "minReadySeconds", json!(1))),
            on("ConfigMap", "edit configmap/one --file FILE", At("configmap/one"), Is("/data/a", || json!("2")))
                .with(|s| edited(s, "configmap/one", "/data", "a", json!("2"))),
            on("Gauge", "edit gauge/one --file FILE", At(GAUGE), Is("/spec/unit", || json!("bar")))
                .with(|s| edited(s, GAUGE, "/spec", "unit", json!("bar"))),
        ],
        VerbId::Silence => [
            ("Alert", "alert/EveryDown"),
            ("Pod", "pod/{web}"),
            ("Deployment", "deployment/web"),
            ("StatefulSet", "statefulset/db"),
            ("DaemonSet", "daemonset/agent"),
            ("ReplicaSet", "replicaset/lone"),
            ("Job", "job/once"),
            ("CronJob", "cronjob/report"),
            ("Node", "node/{node}"),
            ("Namespace", "namespace/every-mute"),
            ("Cluster", "--match alertname=EveryDown"),
        ]
        .map(|(kind, object)| on(kind, format!("silence add {object} --for 2h --comment work").leak(), Silences, More(1)))
        .into(),
        VerbId::SilenceExtend => {
            let extend = on("Silence", "silence extend {silence} +30m", Silences, Other("/0/endsAt"));
            vec![extend.first(&["silence add pod/{web} --for 2h --comment work"])]
        }
        VerbId::SilenceExpire => {
            vec![on("Silence", "silence expire {silence}", Silences, Less(1)).first(&["silence add pod/{web} --for 2h --comment work"])]
        }
        VerbId::Apply => vec![
            on("new", "apply -f FILE", Names("configmaps"), More(2)).with(|_| format!("{}---\n{}", map("new", "1"), map("newer", "1"))),
            on("changed", "apply -f FILE --force-conflicts", At("configmap/applied"), Is("/data/a", || json!("2")))
                .with(|_| map("applied", "2")),
        ],
        VerbId::Backup => vec![
            on("Namespace", "backup create {space}-ns --include-namespace {space}", KeptNames("backups"), More(1)),
            on("Deployment", "backup create {space}-web deployment/web", KeptNames("backups"), More(1)),
            on("StatefulSet", "backup create {space}-db statefulset/db --ttl 2h", KeptNames("backups"), More(1)),
            on("DaemonSet", "backup create {space}-agent daemonset/agent", KeptNames("backups"), More(1)),
            on("Schedule", "backup create --from-schedule {space}-daily", KeptNames("backups"), More(1)),
            on("Cluster", "backup create {space}-all --include-resources configmaps", KeptNames("backups"), More(1)),
        ],
        VerbId::BackupDelete => vec![
            on("Backup", "backup delete {space}-gone --confirm lab-1", Kept("backup/{space}-gone"), Gone)
                .first(&["backup create {space}-gone --include-namespace {space} --include-resources configmaps"])
                .stays("cannot be taken back"),
        ],
        VerbId::BackupLogs => vec![
            on("Backup", "backup logs {space}-log", KeptNames("downloadrequests"), More(1))
                .first(&["backup create {space}-log --include-namespace {space} --include-resources configmaps"])
                .stays("cannot be taken back"),
            on("Restore", "backup logs restore/{space}-log2", KeptNames("downloadrequests"), More(1))
                .first(&[
                    "backup create {space}-log2 --include-namespace {space} --include-resources configmaps",
                    "restore create {space}-log2 --from-backup {space}-log2",
                ])
                .stays("cannot be taken back"),
        ],
        VerbId::Restore => vec![
            on("Backup", "restore create {space}-again --from-backup {space}-full", KeptNames("restores"), More(1))
                .first(&["backup create {space}-full --include-namespace {space} --include-resources configmaps"])
                .stays("cannot be taken back"),
            on("Schedule", "restore create {space}-late --from-schedule {space}-daily", KeptNames("restores"), More(1))
                .first(&["backup create {space}-daily-1 --from-schedule {space}-daily"])
                .stays("cannot be taken back"),
        ],
        VerbId::SchedulePause => {
            vec![on("Schedule", "schedule pause {space}-daily", Kept("schedule/{space}-daily"), Is("/spec/paused", yes))]
        }
        VerbId::ScheduleResume => {
            let resume =
                on("Schedule", "schedule resume {space}-daily", Kept("schedule/{space}-daily"), Is("/spec/paused", || json!(false)));
            vec![resume.first(&["schedule pause {space}-daily"])]
        }
        // Of no namespace: `etcd.rs` tries each of them, and the suite of the lab publishes what it finds.
        VerbId::EtcdSnapshot
        | VerbId::EtcdDefrag
        | VerbId::EtcdMoveLeader
        | VerbId::EtcdDisarm
        | VerbId::EtcdCompact
        | VerbId::EtcdMemberAdd
        | VerbId::EtcdPromote
        | VerbId::EtcdMemberRemove
        | VerbId::Publish => Vec::new(),
    }
}

/// The verbs that need Velero.
const BESIDE_VELERO: [VerbId; 6] =
    [VerbId::Backup, VerbId::BackupDelete, VerbId::BackupLogs, VerbId::Restore, VerbId::SchedulePause, VerbId::ScheduleResume];

fn map(name: &str, a: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: '{a}'}}\n")
}

/// An object as somebody would leave it in an editor.
fn edited(stage: &Stage, object: &str, at: &str, key: &str, value: Value) -> String {
    let mut live = stage.get(object);
    live.pointer_mut(at).unwrap()[key] = value;
    live.to_string()
}

fn no_kind_that_a_verb_takes_is_without_a_case() {
    let mut missing = Vec::new();
    for verb in VERBS {
        let tried: BTreeSet<&str> = cases(verb.id).iter().map(|c| c.kind).collect();
        let wanted: Vec<&str> = match verb.on {
            On::Kinds(kinds) => kinds.iter().map(|k| k.name()).collect(),
            // A kind that qd knows nothing of counts as well.
            On::Scalable => vec!["Deployment", "StatefulSet", "ReplicaSet", "Gauge"],
            On::OrCluster(kinds) => kinds.iter().map(|k| k.name()).chain(["Cluster"]).collect(),
            On::Any | On::Nothing | On::Etcd | On::Cluster => Vec::new(),
        };
        missing.extend(wanted.into_iter().filter(|k| !tried.contains(k)).map(|k| format!("{} of a {k}", verb.name)));
        let typed = verb.cli.join(" ");
        missing.extend(cases(verb.id).iter().filter(|c| !c.line.starts_with(&typed)).map(|c| format!("{}: {}", verb.name, c.line)));
        if tried.is_empty() && !matches!(verb.on, On::Etcd | On::Cluster) {
            missing.push(verb.name.to_owned());
        }
    }
    assert_eq!(missing, Vec::<String>::new(), "verbs that are not tried");
}

/// Objects of every kind that a verb takes, in a namespace and on nodes of their own.
pub struct Scene<'a> {
    pub stage: Stage<'a>,
    pool: Pool<'a>,
    alerts: Option<&'a Alertmanagers<'a>>,
    space: &'static str,
    /// A schedule beside Velero, where it is there.
    _schedule: Option<Schedule<'a>>,
}

/// A schedule of the namespace's ConfigMaps, and whatever Velero has of it: they go when the test ends.
struct Schedule<'a> {
    lab: &'a Lab,
    space: &'static str,
}

impl<'a> Schedule<'a> {
    fn new(lab: &'a Lab, space: &'static str) -> Self {
        let template = json!({"includedNamespaces": [space], "includedResources": ["configmaps"], "ttl": "1h"});
        let name = format!("{space}-daily");
        let schedule = json!({"apiVersion": "velero.io/v1", "kind": "Schedule", "metadata": {"name": name, "namespace": "velero"},
            "spec": {"schedule": "0 0 1 1 *", "template": template}});
        lab.apply(CONTEXT, &schedule);
        Self { lab, space }
    }
}

impl Drop for Schedule<'_> {
    fn drop(&mut self) {
        let name = format!("{}-daily", self.space);
        self.lab.kubectl(CONTEXT, &["delete", "-n", "velero", "schedules.velero.io", &name, "--ignore-not-found"]);
    }
}

impl<'a> Scene<'a> {
    pub fn new(lab: &'a Lab, space: &'static str) -> Self {
        let pool = Pool::new(lab, CONTEXT, space, &[("a", "4"), ("a", "4")]);
        let pods = |app: &str| {
            let mut pods = stage::template(app);
            pods["spec"].as_object_mut().unwrap().extend(pool.only_here(0));
            pods
        };
        let workload = |kind: &str, name: &str, more: Value| {
            let mut made = json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": space},
                "spec": {"selector": {"matchLabels": {"app": name}}, "template": pods(name)}});
            made["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            made
        };
        let job = json!({"template": {"metadata": {"labels": {"app": "job"}}, "spec": pods("job")["spec"]}});
        let never = |mut job: Value| {
            job["template"]["spec"]["restartPolicy"] = "Never".into();
            job
        };
        let plain = |version: &str, kind: &str, name: &str, more: Value| {
            let mut made = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": space}});
            made.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            made
        };
        // What no controller brings back stands on the other node: the first one is drained.
        let mut alone = pods("alone")["spec"].clone();
        alone["nodeSelector"] = json!({"kubernetes.io/hostname": pool.node(1)});
        let mut slow = plain("v1", "Pod", "slow", json!({"spec": alone}));
        slow["metadata"]["annotations"] = json!({"lab.internal/end": "late"});
        slow["spec"]["terminationGracePeriodSeconds"] = 300.into();
        let hpa = json!({"spec": {"minReplicas": 1, "maxReplicas": 6, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "elastic"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}]}});
        let gauge = |name: &str| plain("every.quarterdeck.io/v1", "Gauge", name, json!({"spec": {"replicas": 3, "unit": "psi"}}));
        let data = |name: &str| plain("v1", "ConfigMap", name, json!({"data": {"a": "1"}}));
        let stage = Stage::at(
            lab,
            CONTEXT,
            space,
            &[
                workload("Deployment", "web", json!({"replicas": 3})),
                workload("Deployment", "elastic", json!({"replicas": 2})),
                workload("Deployment", "spare", json!({"replicas": 1})),
                workload("StatefulSet", "db", json!({"replicas": 2, "serviceName": "db", "podManagementPolicy": "Parallel"})),
                workload("DaemonSet", "agent", json!({})),
                workload("ReplicaSet", "lone", json!({"replicas": 2})),
                plain("autoscaling/v2", "HorizontalPodAutoscaler", "elastic", hpa),
                plain(
                    "batch/v1",
                    "CronJob",
                    "report",
                    json!({"spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": never(job.clone())}}}),
                ),
                plain("batch/v1", "Job", "once", json!({"spec": never(job)})),
                plain("v1", "Pod", "bare", json!({"spec": alone})),
                slow,
                plain("keda.sh/v1alpha1", "ScaledObject", "queue", json!({"spec": {"scaleTargetRef": {"name": "elastic"}}})),
                gauge("one"),
                gauge("spare"),
                data("one"),
                data("spare"),
                data("applied"),
            ],
        );
        for (object, n) in [("deployment/web", 3), ("deployment/elastic", 2), ("statefulset/db", 2), ("replicaset/lone", 2)] {
            stage.ready(object, n);
        }
        stage.until("daemonset/agent", "to be ready", |live| live["status"]["numberReady"] == 2);
        stage.until("hpa/elastic", "to have counted", |live| live["status"]["currentReplicas"] == 2);
        stage.until("job/once", "to be complete", |live| live["status"]["succeeded"] == 1);
        stage.until("pod/bare", "to run", |live| live["status"]["phase"] == "Running");
        // The kubelet's part of a resize: what it has given.
        let given = json!({"status": {"containerStatuses": [{"name": "app", "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}}}]}});
        let patch = given.to_string();
        lab.kubectl(CONTEXT, &["patch", "pod/bare", "-n", space, "--subresource=status", "--type=strategic", "-p", &patch]);
        let schedule = lab.has_velero().then(|| Schedule::new(lab, space));
        Self { stage, pool, alerts: None, space, _schedule: schedule }
    }

    /// The same with these Alertmanagers.
    pub fn with(self, alerts: &'a Alertmanagers<'a>) -> Self {
        let config = self.stage.room.path("config/qd");
        std::fs::create_dir_all(&config).unwrap();
        let text = format!("[clusters.{CONTEXT}.alertmanager]\nurls = {}\n", json!(alerts.urls));
        std::fs::write(config.join("config.toml"), text).unwrap();
        Self { alerts: Some(alerts), ..self }
    }

    fn silences(&self) -> Vec<Value> {
        self.alerts.map(Alertmanagers::silences).unwrap_or_default()
    }

    /// A line with its names filled in, and what they were.
    fn fill(&self, line: &str, web: &str) -> String {
        let line = line.replace("{web}", web).replace("{node}", self.pool.node(0)).replace("{space}", self.space);
        match line.contains("{silence}") {
            true => line.replace("{silence}", self.silences()[0]["id"].as_str().unwrap()),
            false => line,
        }
    }

    fn see(&self, look: Look, web: &str) -> Value {
        match look {
            Look::At(object) => self.stage.said(&self.fill(object, web)),
            Look::Names(resource) => self.stage.names(resource),
            // One that is set again has another id, and begins anew.
            Look::Silences => {
                let said = |s: &Value| json!({"matchers": s["matchers"], "endsAt": s["endsAt"], "comment": s["comment"], "createdBy": s["createdBy"]});
                self.silences().iter().map(said).collect()
            }
            Look::Kept(object) => self.stage.said_in("velero", &self.fill(object, web)),
            Look::KeptNames(resource) => {
                let names = self.stage.names_in("velero", &format!("{resource}.velero.io"));
                names.as_array().unwrap().iter().filter(|n| n.as_str().unwrap().contains(&format!("/{}-", self.space))).cloned().collect()
            }
        }
    }

    /// Waits until it is seen so.
    fn comes(&self, what: &str, look: Look, web: &str, so: impl Fn(&Value) -> bool) {
        until(what, Duration::from_secs(30), || {
            let now = self.see(look, web);
            if so(&now) { Ok(()) } else { Err(now.to_string()) }
        });
    }

    /// The lines of those that do not do what they should.
    fn wrong(&self, cases: impl Iterator<Item = Case>) -> Vec<&'static str> {
        cases.filter(|c| catch_unwind(AssertUnwindSafe(|| self.try_it(c))).is_err()).map(|c| c.line).collect()
    }

    /// The same of the verbs of silences, in a scene with Alertmanagers.
    pub fn wrong_silences(&self) -> Vec<&'static str> {
        self.wrong(VERBS.iter().flat_map(|v| cases(v.id)).filter(|c| matches!(c.look, Look::Silences)))
    }

    fn try_it(&self, case: &Case) {
        let web = self.stage.pods("app=web").iter().find(|p| p["metadata"]["deletionTimestamp"].is_null()).unwrap()["metadata"]["name"]
            .as_str()
            .unwrap()
            .to_owned();
        let file = case.file.map(|text| manifests(&text(&self.stage)));
        let path = file.as_ref().map_or("FILE", |f| f.path().to_str().unwrap());
        let mut done: Vec<(Value, Did)> = Vec::new();
        for line in case.first.iter().chain([&case.line]) {
            let before = self.see(case.look, &web);
            let line = self.fill(line, &web).replace("FILE", path);
            let tried = self.stage.qd(&format!("{line} --dry-run"));
            assert_eq!(tried.code, 0, "{line}: {:#?}{}", tried.events, tried.stderr);
            assert_eq!(self.see(case.look, &web), before, "a dry run of {line} changes nothing");
            done.push((before, self.stage.qd(&line).done()));
        }
        let before = done.last().unwrap().0.clone();
        let field = |v: &Value, at: &str| v.pointer(at).cloned().unwrap_or(Value::Null);
        self.comes(&format!("what {} does", case.line), case.look, &web, |now| match case.then {
            Then::Is(at, wanted) => field(now, at) == wanted() && field(&before, at) != wanted(),
            Then::Other(at) => field(now, at) != field(&before, at),
            Then::Gone => now.is_null() && !before.is_null(),
            Then::More(n) => now.as_array().unwrap().len() == before.as_array().unwrap().len() + n,
            Then::Less(n) => now.as_array().unwrap().len() + n == before.as_array().unwrap().len(),
        });
        let job = |did: &Did| did.events.last().unwrap()["job"].as_str().unwrap().to_owned();
        if let Some(why) = case.stays {
            let then = self.see(case.look, &web);
            let refused = self.stage.qd(&format!("undo {}", job(&done.last().unwrap().1)));
            assert!(refused.code != 0 && refused.stderr.contains(why), "{}: {} {}", case.line, refused.code, refused.stderr);
            assert_eq!(self.see(case.look, &web), then, "an undo of {} that is refused changes nothing", case.line);
            // What was made for it is in nobody's way, whatever becomes of its undo.
            for (_, did) in done.iter().rev().skip(1) {
                self.stage.qd(&format!("undo {}", job(did)));
            }
            return;
        }
        for (n, (before, did)) in done.iter().rev().enumerate() {
            // What was set again has another id, of which the job that set it first knows nothing.
            let again = n > 0 && matches!((case.look, case.then), (Look::Silences, Then::Less(_)));
            let undo = if again { self.fill("silence expire {silence}", &web) } else { format!("undo {}", job(did)) };
            self.stage.qd(&undo).done();
            self.comes(&format!("undo of {}", did.line), case.look, &web, |now| now == before);
        }
    }
}

/// What the objects of a scene are defined by; they go with the test.
pub fn definitions(lab: &Lab) -> [Definition<'_>; 2] {
    [Definition::new(lab, "every.quarterdeck.io", "v1", "Gauge"), Definition::new(lab, "keda.sh", "v1alpha1", "ScaledObject")]
}

fn each_verb_is_done_and_taken_back(lab: &Lab) {
    let _alone = lab.alone_with_definitions();
    let _definitions = definitions(lab);
    let velero = lab.has_velero();
    if !velero {
        println!("skipped: {} verbs: {NO_VELERO}", BESIDE_VELERO.len());
    }
    // Several at a time: most of it is waiting.
    let spaces = ["every-a", "every-b", "every-c"];
    let wrong = std::thread::scope(|scope| {
        let work = |at: usize, space: &'static str| {
            let scene = Scene::new(lab, space);
            let here = |v: &&VerbInfo| velero || !BESIDE_VELERO.contains(&v.id);
            let mine = VERBS.iter().skip(at).step_by(spaces.len()).filter(here).flat_map(|v| cases(v.id));
            scene.wrong(mine.filter(|c| !matches!(c.look, Look::Silences)))
        };
        let workers: Vec<_> = spaces.into_iter().enumerate().map(|(at, space)| scope.spawn(move || work(at, space))).collect();
        workers.into_iter().flat_map(|w| w.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(wrong, Vec::<&str>::new(), "what is wrong with each stands above");
}
