//! The preview of each verb at 80x24, where it asks for most: production, with the name to be typed. A verb without a case does not
//! compile, one without a frame fails.

use super::*;
use crate::action::runbook::{Params, plan as plan_runbook};
use crate::action::verbs::fixture::{self, Fixture as Lab};
use crate::action::{Check, Finding, Guardrails, Preflight, Preview, Request, Snapshot, Stop};
use crate::app::{Place, PreviewPane};
use crate::config::{Tier, parse_runbooks};
use crate::model::{Args, EtcdMember, Plan, Resource, SilenceState, Target, VERBS, VerbId};
use std::path::Path;

/// What there is: two nodes, a Deployment with its revisions, pods, an autoscaler, a budget and a Service's worth of the rest.
fn lab() -> Lab {
    let mut f = Lab::of(Some("production"));
    f.node("n1", |_| {});
    f.node("n2", |_| {});
    let d = f.deployment("api", 3, |d| {
        d["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": "2"});
        d["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "LEVEL", "value": "info"}]);
    });
    let set = |n: i64, image: &str| {
        let container = json!({"name": "app", "image": image, "env": [{"name": "LEVEL", "value": "info"}]});
        json!({"metadata": {"name": format!("api-{n}"), "creationTimestamp": "2026-03-01T02:00:00Z", "annotations": {"deployment.kubernetes.io/revision": n.to_string()},
                "ownerReferences": [{"uid": d.uid, "controller": true}]},
            "spec": {"template": {"metadata": {"labels": {"app": "api"}}, "spec": {"containers": [container]}}}})
    };
    let sets = json!({"items": [set(1, "registry.internal/app:0"), set(2, "registry.internal/app:1")]});
    f.fact("/apis/apps/v1/namespaces/pay/replicasets?labelSelector=app%3Dapi", sets);
    let pods: Vec<Value> = (1..4)
        .map(|n| {
            let pod = f.pod(&format!("api-{n}"), "api", "n1", |p| {
                p["status"]["containerStatuses"] =
                    json!([{"name": "app", "state": {"running": {}}, "resources": p["spec"]["containers"][0]["resources"]}]);
            });
            f.object(&pod)
        })
        .collect();
    f.fact("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1", json!({"items": pods}));
    f.fact(
        "/api/v1",
        json!({"resources": [{"name": "pods"}, {"name": "pods/resize"}, {"name": "configmaps", "kind": "ConfigMap", "namespaced": true}]}),
    );
    f.add(
        Kind::CronJob,
        json!({"metadata": {"name": "report", "namespace": "pay"}, "spec": {"schedule": "0 * * * *", "jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "r/app:1"}]}}}}}}),
    );
    f.etcd(etcd(|_| {}));
    f.add(
        Kind::Job,
        json!({"metadata": {"name": "migrate", "namespace": "pay"}, "spec": {"template": {"spec": {"containers": [{"name": "app"}]}}}, "status": {"failed": 1, "conditions": [{"type": "Failed", "status": "True"}]}}),
    );
    f
}

const ETCD: &[&str] = &["etcd-1", "etcd-2", "etcd-3"];

/// Three members, the first of which leads.
fn etcd(more: impl FnOnce(&mut [EtcdMember])) -> Vec<EtcdMember> {
    let mut all: Vec<_> = ETCD.iter().zip(1..).map(|(name, id)| crate::model::etcd::tests::member(id, name, Some(1))).collect();
    more(&mut all);
    all
}

fn hpa(f: &mut Lab, more: impl FnOnce(&mut Value)) {
    let mut hpa = json!({"metadata": {"name": "api", "namespace": "pay"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "api"}, "minReplicas": 2, "maxReplicas": 10}, "status": {"currentReplicas": 3, "desiredReplicas": 3}});
    more(&mut hpa);
    f.add(Kind::Hpa, hpa);
}

fn queue(f: &mut Lab, verb: VerbId, annotations: Value) -> Plan {
    let resource = Resource {
        group: "keda.sh".into(),
        version: "v1alpha1".into(),
        plural: "scaledobjects".into(),
        kind: "ScaledObject".into(),
        namespaced: true,
    };
    let target = Target { cluster: ClusterId(0), resource, namespace: "pay".into(), name: "queue".into(), uid: None };
    let object = json!({"metadata": {"name": "queue", "namespace": "pay", "uid": "k1", "annotations": annotations}, "spec": {"scaleTargetRef": {"name": "api"}}});
    f.fact(&target.path(), object);
    f.request(&Request { verb, targets: vec![target], args: Args::default(), documents: Vec::new() }).unwrap()
}

/// Velero with a backup of the namespace, a schedule and one that is paused.
fn kept(f: &mut Lab) {
    f.velero();
    f.backup("b1", "Completed", 7200, |b| b["status"]["progress"] = json!({"totalItems": 42, "itemsBackedUp": 42}));
    for (name, paused) in [("nightly", false), ("held", true)] {
        f.add(
            Kind::Schedule,
            json!({"metadata": {"name": name, "namespace": "velero"}, "spec": {"schedule": "0 2 * * *", "paused": paused, "template": {"includedNamespaces": ["pay"]}},
                "status": {"phase": "Enabled", "lastBackup": fixture::at(fixture::NOW - 30 * 3600)}}),
        );
    }
    let claim = json!({"metadata": {"name": "data", "namespace": "pay"}, "spec": {"resources": {"requests": {"storage": "20Gi"}}}});
    f.fact("/api/v1/namespaces/pay/persistentvolumeclaims", json!({"items": [claim]}));
}

/// A plan of each verb for one object.
fn planned(verb: VerbId) -> (Lab, Plan) {
    let mut f = lab();
    let plan = match verb {
        VerbId::Scale => {
            hpa(&mut f, |_| {});
            f.plan(verb, Kind::Deployment, &["api"], "7")
        }
        VerbId::HpaSet => {
            hpa(&mut f, |_| {});
            f.plan(verb, Kind::Hpa, &["api"], "max=20 scale-down=Disabled")
        }
        VerbId::HpaFreeze => {
            hpa(&mut f, |_| {});
            f.plan(verb, Kind::Hpa, &["api"], "")
        }
        VerbId::HpaThaw => {
            hpa(&mut f, |_| {});
            let frozen = f.plan(VerbId::HpaFreeze, Kind::Hpa, &["api"], "").unwrap();
            let crate::model::Act::Write(write) = &frozen.steps[0].act else { panic!() };
            let body = write.body.clone();
            hpa(&mut f, |h| {
                h["metadata"]["annotations"] = body["metadata"]["annotations"].clone();
                h["spec"]["minReplicas"] = body["spec"]["minReplicas"].clone();
                h["spec"]["maxReplicas"] = body["spec"]["maxReplicas"].clone();
            });
            f.plan(verb, Kind::Hpa, &["api"], "")
        }
        VerbId::KedaPause => Ok(queue(&mut f, verb, json!({}))),
        VerbId::KedaResume => Ok(queue(&mut f, verb, json!({"autoscaling.keda.sh/paused-replicas": "3"}))),
        VerbId::Resize => f.plan(verb, Kind::Pod, &["api-1"], "cpu=1"),
        VerbId::Restart | VerbId::Rollback | VerbId::RolloutPause | VerbId::CreatePdb => f.plan(verb, Kind::Deployment, &["api"], ""),
        VerbId::RolloutResume => {
            f.deployment("api", 3, |d| d["spec"]["paused"] = true.into());
            f.plan(verb, Kind::Deployment, &["api"], "")
        }
        VerbId::SetImage => f.plan(verb, Kind::Deployment, &["api"], "app=registry.internal/app:2"),
        VerbId::SetEnv => f.plan(verb, Kind::Deployment, &["api"], "LEVEL=debug"),
        VerbId::Cordon => f.plan(verb, Kind::Node, &["n1"], ""),
        VerbId::Uncordon => {
            f.node("n1", |n| n["spec"]["unschedulable"] = true.into());
            f.plan(verb, Kind::Node, &["n1"], "")
        }
        VerbId::Drain => {
            f.add(
                Kind::Pdb,
                json!({"metadata": {"name": "api", "namespace": "pay", "generation": 1}, "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "api"}}},
                    "status": {"observedGeneration": 1, "expectedPods": 3, "currentHealthy": 3, "desiredHealthy": 3, "disruptionsAllowed": 0}}),
            );
            f.plan(verb, Kind::Node, &["n1"], "timeout=10m")
        }
        VerbId::Evict | VerbId::Delete => f.plan(verb, Kind::Pod, &["api-1"], ""),
        VerbId::Taint => f.plan(verb, Kind::Node, &["n1"], "maintenance=true:NoExecute"),
        VerbId::Label => f.plan(verb, Kind::Deployment, &["api"], "owner=pay"),
        VerbId::Annotate => f.plan(verb, Kind::Deployment, &["api"], "note=\"seen by jane\""),
        VerbId::Ignore => f.plan(verb, Kind::Deployment, &["api"], "rule=pdb-missing until=2099-12-31 because=\"batch only\""),
        VerbId::Trigger | VerbId::Suspend => f.plan(verb, Kind::CronJob, &["report"], ""),
        VerbId::Unsuspend => {
            f.add(
                Kind::CronJob,
                json!({"metadata": {"name": "report", "namespace": "pay"}, "spec": {"suspend": true, "schedule": "0 * * * *", "jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "app"}]}}}}}}),
            );
            f.plan(verb, Kind::CronJob, &["report"], "")
        }
        VerbId::RetryJob => f.plan(verb, Kind::Job, &["migrate"], ""),
        VerbId::Edit => {
            let target = f.deployment("api", 3, |_| {});
            let base = f.object(&target);
            let mut edited = base.clone();
            edited["spec"]["replicas"] = 5.into();
            edited["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.internal/app:2".into();
            let documents = vec![("the editor".to_owned(), edited.to_string()), ("base".to_owned(), base.to_string())];
            f.request(&Request { verb, targets: vec![target], args: Args::default(), documents })
        }
        VerbId::Silence | VerbId::SilenceExtend | VerbId::SilenceExpire => {
            f.alerts();
            for (name, pod) in [("KubePodCrashLooping", "api-1"), ("KubePodCrashLooping", "api-2"), ("TargetDown", "api-1")] {
                f.alert(&[("alertname", name), ("namespace", "pay"), ("pod", pod), ("severity", "warning")]);
            }
            f.silence("0d3f2a10-6a8f-4ad1-9d0f-8b2f6f7a9c11", SilenceState::Active, fixture::NOW + 1800);
            match verb {
                VerbId::Silence => f.plan(verb, Kind::Pod, &["api-1"], "2h comment=\"image 1.9 is pulled\""),
                VerbId::SilenceExtend => f.plan(verb, Kind::Silence, &["0d3f2a10-6a8f-4ad1-9d0f-8b2f6f7a9c11"], "+30m"),
                _ => f.plan(verb, Kind::Silence, &["0d3f2a10-6a8f-4ad1-9d0f-8b2f6f7a9c11"], ""),
            }
        }
        VerbId::Apply => {
            let into =
                Target { cluster: ClusterId(0), resource: Kind::Namespace.into(), namespace: String::new(), name: "pay".into(), uid: None };
            let args = Args::parse(verb.info(), "filename=app.yaml").unwrap();
            let text = "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: pay}, data: {level: debug}}";
            f.request(&Request { verb, targets: vec![into], args, documents: vec![("app.yaml".into(), text.into())] })
        }
        VerbId::Publish => {
            let item = |namespace: Option<&str>, kind: &str, name: &str| {
                json!({"rule": "pdb-missing", "severity": "warning", "cluster": "lab", "kind": kind,
                "namespace": namespace, "name": name, "message": "no budget"})
            };
            let report = json!({"at": fixture::at(fixture::NOW), "items": [item(Some("pay"), "Deployment", "api"), item(None, "Node", "n1")],
                "clusters": [{"name": "lab", "score": 96, "evaluated": 100, "not_evaluated": []}]});
            f.add(Kind::Namespace, json!({"metadata": {"name": "pay"}, "status": {"phase": "Active"}}));
            for namespaced in [false, true] {
                f.fact(&crate::model::policy_report::list(namespaced), json!({"items": []}));
            }
            let args = Args::parse(verb.info(), "filename=report.json every=15m").unwrap();
            let targets = vec![Target::of_cluster(ClusterId(0), "lab")];
            f.request(&Request { verb, targets, args, documents: vec![("report.json".into(), report.to_string())] })
        }
        VerbId::Backup => {
            kept(&mut f);
            f.plan(verb, Kind::Namespace, &["pay"], "b2")
        }
        VerbId::Restore | VerbId::BackupDelete | VerbId::BackupLogs => {
            kept(&mut f);
            f.plan(verb, Kind::Backup, &["b1"], "")
        }
        VerbId::SchedulePause => {
            kept(&mut f);
            f.plan(verb, Kind::Schedule, &["nightly"], "")
        }
        VerbId::ScheduleResume => {
            kept(&mut f);
            f.plan(verb, Kind::Schedule, &["held"], "")
        }
        VerbId::EtcdSnapshot => f.plan(verb, Kind::EtcdMember, ETCD, "out=/var/backups/lab.db move-to=/mnt/backups"),
        VerbId::EtcdDefrag | VerbId::EtcdMoveLeader | VerbId::EtcdCompact => f.plan(verb, Kind::EtcdMember, ETCD, ""),
        VerbId::EtcdDisarm => {
            f.etcd(etcd(|m| m[1].alarms = ["NOSPACE".into()].into()));
            f.plan(verb, Kind::EtcdMember, ETCD, "")
        }
        VerbId::EtcdMemberAdd => f.plan(verb, Kind::EtcdMember, ETCD, "peer-url=https://10.0.0.4:2380"),
        VerbId::EtcdPromote => {
            f.etcd(etcd(|m| m[2].learner = true));
            f.plan(verb, Kind::EtcdMember, &["etcd-3"], "")
        }
        VerbId::EtcdMemberRemove => f.plan(verb, Kind::EtcdMember, &["etcd-1"], ""),
    };
    let plan = plan.unwrap_or_else(|why| panic!("{verb}: {why}"));
    (f, plan)
}

/// The frame of a preview in production, and whether all of it is on it.
fn framed(f: Lab, plan: Plan, size: (u16, u16)) -> (String, bool) {
    let rails = Guardrails::of(&Config::default(), [(ClusterId(0), "lab", Some(Tier::Production), None)].into_iter()).0;
    let checks = plan.permissions().into_iter().map(|(cluster, p)| Check {
        cluster,
        text: format!("may {}", p.words()),
        finding: Finding::Fine,
        warnings: Vec::new(),
    });
    let mut preflight = Preflight { checks: checks.collect(), ..Preflight::default() };
    let snapshot = Snapshot { store: &f.store, facts: &f.facts, now: fixture::NOW };
    let live = plan.steps.iter().enumerate().filter(|(_, s)| !s.changes.is_empty());
    preflight.live = live.filter_map(|(at, s)| Some((at, snapshot.object(&s.target).ok()?.clone()))).collect();
    let gate = rails.gate(&plan, fixture::NOW);
    let f = Fixture { store: f.store, engine: Engine::new(Thresholds::default()), touched: Vec::new() };
    let mut app = f.app_on("cockpit", size);
    app.place = Place::Preview(Box::new(PreviewPane::showing(Preview::new(plan, preflight, gate))));
    let frame = dump(&f.frame(&mut app, size));
    (frame, app.shown.text_offset == 0 && app.shown.text_at_end)
}

#[test]
fn the_preview_of_every_verb_fits_80x24() {
    let mut long = Vec::new();
    for verb in VERBS {
        let (f, plan) = planned(verb.id);
        let (frame, whole) = framed(f, plan, (80, 24));
        insta::assert_snapshot!(format!("verb-{}-80x24", verb.name), frame);
        // A report is written as a whole, and has as many lines as there are findings.
        if !whole && verb.id != VerbId::Publish {
            long.push(verb.name);
        }
    }
    assert_eq!(long, Vec::<&str>::new(), "these scroll for a single object");
}

#[test]
fn before_a_namespace_goes_the_offer_of_a_backup_is_in_sight() {
    let mut f = lab();
    kept(&mut f);
    let plan = f.plan(VerbId::Delete, Kind::Namespace, &["pay"], "").unwrap();
    let (frame, _) = framed(f, plan, (80, 24));
    assert!(frame.contains("1 before: back up namespace pay"), "{frame}");
    insta::assert_snapshot!("preview-delete-namespace-80x24", frame);
}

#[test]
fn a_backup_that_cannot_be_kept_says_so_first() {
    let mut f = lab();
    kept(&mut f);
    f.location(|l| l["status"] = json!({"phase": "Unavailable", "message": "dial tcp 10.0.0.9:443: connection refused"}));
    let plan = f.plan(VerbId::Backup, Kind::Namespace, &["pay"], "b2").unwrap();
    insta::assert_snapshot!("preview-backup-blocked-80x24", framed(f, plan, (80, 24)).0);
}

#[test]
fn a_runbook_is_one_preview_by_its_steps() {
    let mut f = lab();
    let (mut books, mut diags) = (Vec::new(), Vec::new());
    parse_runbooks(include_str!("../../../assets/runbooks/node-maintenance.toml"), Path::new("r.toml"), &mut books, &mut diags);
    let values = [("node", "n1"), ("pause", "5m")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let params = Params { values, clusters: vec![ClusterId(0)], namespace: None };
    let plan = loop {
        match plan_runbook(&Snapshot { store: &f.store, facts: &f.facts, now: fixture::NOW }, &books[0], &params) {
            Ok(plan) => break plan,
            Err(Stop::Needs(needs)) => needs.into_iter().for_each(|n| f.facts.missing(n)),
            Err(stop) => panic!("{stop:?}"),
        }
    };
    assert_eq!(plan.what(), "node-maintenance");
    let (frame, whole) = framed(f, plan, (120, 40));
    assert!(whole);
    for words in ["  cordon", "  drain", "  work", "    wait 5m", "  uncordon"] {
        assert!(frame.lines().any(|l| l.trim_end() == words), "no line {words:?}:\n{frame}");
    }
    insta::assert_snapshot!("preview-runbook-120x40", frame);
}
