//! The workload verbs in detail: what they warn of, refuse and leave behind.

use crate::support::lab::{Lab, until};
use crate::support::runner::{Test, tests};
use crate::support::stage::{self, CONTEXT, Definition, Stage};
use serde_json::{Value, json};
use std::time::Duration;

pub const TESTS: &[Test] = tests![
    scale_goes_there_and_back,
    an_autoscaler_is_set_frozen_and_thawed,
    a_scaled_object_is_paused_and_resumed,
    a_pod_is_resized_in_place_and_nobody_says_so,
    a_workload_is_resized_in_its_template,
    a_restart_replaces_every_pod,
    an_image_is_set_and_rolled_back,
    a_stateful_set_is_rolled_back_to_its_revision,
    a_rollout_is_paused_and_resumed,
    environment_values_are_in_the_cluster_and_nowhere_else,
    a_cron_job_is_triggered_suspended_and_resumed,
    a_job_is_run_again,
    a_budget_is_created_once,
];

const NAMESPACE: &str = "work";

fn template(app: &str, image: &str) -> Value {
    let mut made = stage::template(app);
    made["spec"]["containers"][0]["image"] = image.into();
    made["spec"]["containers"][0]["resources"]["requests"] = json!({"cpu": "100m", "memory": "64Mi"});
    made
}

fn deployment(app: &str, replicas: i64) -> Value {
    let mut made = stage::deployment(NAMESPACE, app, replicas);
    made["spec"]["template"] = template(app, "registry.internal/app:1");
    made
}

fn scale_goes_there_and_back(lab: &Lab) {
    let stage = Stage::new(lab, NAMESPACE, &[deployment("api", 3)]);
    stage.ready("deployment/api", 3);
    let did = stage.there_and_back("scale deployment/api --replicas 5", "deployment/api", |now| assert_eq!(now["spec"]["replicas"], 5));
    assert_eq!(did.plan()["title"], "scale deployment work/api 3 -> 5");
    let none = stage.qd("scale deployment/api --replicas 3").done();
    assert!(none.plan().is_null(), "nothing was to be done");
}

fn an_autoscaler_is_set_frozen_and_thawed(lab: &Lab) {
    // Where ScaledObjects are known, one that owns something and is not there is found out.
    let _alone = lab.alone_with_definitions();
    let hpa = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "api", "namespace": NAMESPACE},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}, "minReplicas": 2, "maxReplicas": 10,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]}});
    let stage = Stage::new(lab, NAMESPACE, &[deployment("api", 3), hpa]);
    stage.ready("deployment/api", 3);
    stage.there_and_back("hpa set hpa/api --min 3 --max 20 --scale-down Disabled --scale-up-window 60", "hpa/api", |now| {
        assert_eq!((&now["spec"]["minReplicas"], &now["spec"]["maxReplicas"]), (&json!(3), &json!(20)));
        assert_eq!(now["spec"]["behavior"]["scaleDown"]["selectPolicy"], "Disabled");
        assert_eq!(now["spec"]["behavior"]["scaleUp"]["stabilizationWindowSeconds"], 60);
    });
    let before = stage.said("hpa/api");
    stage.there_and_back("hpa freeze hpa/api", "hpa/api", |now| {
        assert_eq!((&now["spec"]["minReplicas"], &now["spec"]["maxReplicas"]), (&json!(3), &json!(3)));
    });
    for line in ["hpa freeze hpa/api", "hpa freeze hpa/api --direction down"] {
        stage.qd(line).done();
        stage.there_and_back("hpa thaw hpa/api", "hpa/api", |now| assert_eq!(now, &before, "{line}"));
        stage.qd("hpa thaw hpa/api").done();
        assert_eq!(stage.said("hpa/api"), before, "{line}");
    }
    let refused = stage.qd("hpa set hpa/api --min 30");
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    // Of a version that is not served: where another test has defined ScaledObjects, the garbage collector takes what an unknown one owns.
    let owned =
        json!({"metadata": {"ownerReferences": [{"apiVersion": "keda.sh/v0", "kind": "ScaledObject", "name": "queue", "uid": "x"}]}});
    lab.kubectl(CONTEXT, &["patch", "hpa", "api", "-n", NAMESPACE, "--type=merge", "-p", &owned.to_string()]);
    let refused = stage.qd("hpa freeze hpa/api");
    assert!(refused.code != 0 && refused.stderr.contains("scaledobject work/queue"), "{}", refused.stderr);
}

fn a_scaled_object_is_paused_and_resumed(lab: &Lab) {
    let _alone = lab.alone_with_definitions();
    let _definition = Definition::new(lab, "keda.sh", "v1alpha1", "ScaledObject");
    let object = json!({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "queue", "namespace": NAMESPACE},
        "spec": {"scaleTargetRef": {"name": "api"}}});
    let stage = Stage::new(lab, NAMESPACE, &[deployment("api", 3), object]);
    let name = "scaledobject.keda.sh/queue";
    stage.there_and_back("keda pause scaledobject/queue --replicas 2 --no-wait", name, |now| {
        assert_eq!(now["annotations"]["autoscaling.keda.sh/paused-replicas"], "2");
    });
    // No KEDA runs here: what is written is written, and whether it is in effect is not known.
    let did = stage.qd("keda pause scaledobject/queue");
    assert_eq!((did.code, did.outcome()), (3, "partial"), "{:#?}", did.events);
    assert!(did.events.iter().any(|e| e.to_string().contains("is not known")), "{:#?}", did.events);
    assert_eq!(stage.said(name)["annotations"]["autoscaling.keda.sh/paused"], "true");
    let offered = stage.qd("scale deployment/api --replicas 4 --dry-run");
    assert!(offered.notes().contains("scaledobject work/queue is paused"), "{}", offered.notes());
    stage.there_and_back("keda resume scaledobject/queue --no-wait", name, |now| {
        assert!(now["annotations"]["autoscaling.keda.sh/paused"].is_null(), "{now}");
    });
}

fn a_pod_is_resized_in_place_and_nobody_says_so(lab: &Lab) {
    let stage = Stage::new(lab, NAMESPACE, &[deployment("api", 1)]);
    stage.ready("deployment/api", 1);
    let name = stage.pods("app=api")[0]["metadata"]["name"].as_str().unwrap().to_owned();
    let object = format!("pod/{name}");
    let refused = stage.qd(&format!("resize {object} --requests cpu=1"));
    assert!(refused.code == 2 && refused.stderr.contains("kubelet cannot resize"), "{} {}", refused.code, refused.stderr);
    // The kubelet's part: that it can do it, and what it has given.
    let given = |cpu: &str| {
        let resources = json!({"requests": {"cpu": cpu, "memory": "64Mi"}});
        let status = json!({"status": {"containerStatuses": [{"name": "app", "resources": resources}]}}).to_string();
        lab.kubectl(CONTEXT, &["patch", &object, "-n", NAMESPACE, "--subresource=status", "--type=strategic", "-p", &status]);
    };
    given("100m");
    let before = stage.said(&object);
    stage.there_and_back(&format!("resize {object} --requests cpu=1000m,memory=128Mi --no-wait"), &object, |now| {
        assert_eq!(now["spec"]["containers"][0]["resources"]["requests"], json!({"cpu": "1", "memory": "128Mi"}));
    });
    // It says nothing: not known. It says what is wanted: done.
    let did = stage.qd(&format!("resize {object} --requests cpu=200m"));
    assert_eq!((did.code, did.outcome()), (3, "partial"), "{:#?}", did.events);
    assert!(did.events.iter().any(|e| e.to_string().contains("is not known")), "{:#?}", did.events);
    assert_eq!(did.plan()["offers"][0]["text"], "resize the template of deployment work/api");
    stage.qd("undo last").done();
    assert_eq!(stage.said(&object), before);
    given("0.2");
    stage.there_and_back(&format!("resize {object} --requests cpu=200m"), &object, |_| {});
    let refused = stage.qd(&format!("resize {object} --requests cpu=1,memory=1Gi --limits cpu=1,memory=1Gi"));
    assert!(refused.code == 2 && refused.stderr.contains("would be Guaranteed"), "{} {}", refused.code, refused.stderr);
}

fn a_workload_is_resized_in_its_template(lab: &Lab) {
    let stage = Stage::new(lab, NAMESPACE, &[deployment("api", 2)]);
    stage.ready("deployment/api", 2);
    let did = stage.there_and_back(
        "resize deployment/api --requests cpu=200m,memory=128Mi --limits cpu=200m,memory=128Mi",
        "deployment/api",
        |now| {
            let resources = &now["spec"]["template"]["spec"]["containers"][0]["resources"];
            assert_eq!(resources, &json!({"requests": {"cpu": "200m", "memory": "128Mi"}, "limits": {"cpu": "200m", "memory": "128Mi"}}));
        },
    );
    assert!(did.notes().contains("Burstable -> Guaranteed"), "{}", did.notes());
}

fn uids(stage: &Stage) -> Vec<String> {
    let alive = stage.pods("app=api").into_iter().filter(|p| p["metadata"]["deletionTimestamp"].is_null());
    alive.map(|p| p["metadata"]["uid"].as_str().unwrap().to_owned()).collect()
}

fn a_restart_replaces_every_pod(lab: &Lab) {
    let stage = Stage::new(lab, NAMESPACE, &[deployment("api", 3)]);
    stage.ready("deployment/api", 3);
    let old = uids(&stage);
    let did = stage.there_and_back("restart deployment/api", "deployment/api", |now| {
        assert!(now["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"].is_string());
        let new = uids(&stage);
        assert!(new.len() == 3 && new.iter().all(|u| !old.contains(u)), "{old:?} {new:?}");
    });
    assert_eq!((&did.plan()["verdict"], &did.plan()["blast"][0]["pods"]), (&json!("fits"), &json!(3)));
    stage.qd("rollout pause deployment/api").done();
    let refused = stage.qd("restart deployment/api");
    assert!(refused.code == 2 && refused.stderr.contains("is paused"), "{}", refused.stderr);
}

fn an_image_is_set_and_rolled_back(lab: &Lab) {
    let stage = Stage::new(lab, NAMESPACE, &[deployment("api", 3)]);
    stage.ready("deployment/api", 3);
    let first = stage.said("deployment/api");
    let image = |now: &Value| now["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap().to_owned();
    stage.there_and_back("set image deployment/api app=registry.internal/app:2", "deployment/api", |now| {
        assert_eq!(image(now), "registry.internal/app:2");
        assert!(stage.pods("app=api").iter().all(
            |p| !p["metadata"]["deletionTimestamp"].is_null() || image(&json!({"spec": {"template": p}})) == "registry.internal/app:2"
        ));
    });
    let refused = stage.qd("set image deployment/api ap=registry.internal/app:2");
    assert!(refused.code == 2 && refused.stderr.contains("did you mean `app`?"), "{}", refused.stderr);
    stage.qd("set image deployment/api app=registry.internal/app:3").done();
    let did = stage.there_and_back("rollout undo deployment/api", "deployment/api", |now| {
        // The template before, and kubectl's own idea of the revision before, are the same.
        assert_eq!(now["spec"], first["spec"]);
    });
    assert!(did.notes().contains("was applied by kubectl"), "{}", did.notes());
    assert_eq!(image(&stage.said("deployment/api")), "registry.internal/app:3");
    lab.kubectl(CONTEXT, &["rollout", "undo", "deployment/api", "-n", NAMESPACE]);
    assert_eq!(stage.said("deployment/api")["spec"], first["spec"], "kubectl goes to the same one");
    let none = stage.qd("rollout undo deployment/api --to-revision 99");
    assert!(none.code == 1 && none.stderr.contains("has no revision 99"), "{} {}", none.code, none.stderr);
}

fn a_stateful_set_is_rolled_back_to_its_revision(lab: &Lab) {
    let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": NAMESPACE}, "spec": {"replicas": 2, "serviceName": "db",
        "selector": {"matchLabels": {"app": "db"}}, "template": template("db", "registry.internal/db:1")}});
    let daemons = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent", "namespace": NAMESPACE}, "spec": {
        "selector": {"matchLabels": {"app": "agent"}}, "template": template("agent", "registry.internal/agent:1")}});
    let stage = Stage::new(lab, NAMESPACE, &[set, daemons]);
    stage.ready("statefulset/db", 2);
    for (object, image) in [("statefulset/db", "registry.internal/db:2"), ("daemonset/agent", "registry.internal/agent:2")] {
        let first = stage.said(object);
        let revision = |stage: &Stage| stage.get(object)["status"]["updateRevision"].clone();
        let was = revision(&stage);
        stage.qd(&format!("set image {object} app={image}")).done();
        stage.there_and_back(&format!("rollout undo {object}"), object, |now| {
            assert_eq!(now["spec"], first["spec"], "{object}");
            assert_eq!(revision(&stage), was, "{object}: the controller takes it for the revision that it was");
        });
    }
}

fn a_rollout_is_paused_and_resumed(lab: &Lab) {
    let stage = Stage::new(lab, NAMESPACE, &[deployment("api", 3)]);
    stage.ready("deployment/api", 3);
    stage.there_and_back("rollout pause deployment/api", "deployment/api", |now| assert_eq!(now["spec"]["paused"], true));
    stage.qd("rollout pause deployment/api").done();
    let held = stage.qd("set image deployment/api app=registry.internal/app:2").done();
    assert!(held.notes().contains("is paused: nothing rolls out"), "{}", held.notes());
    let refused = stage.qd("rollout undo deployment/api");
    assert!(refused.code == 2 && refused.stderr.contains("is paused"), "{}", refused.stderr);
    stage.qd("rollout resume deployment/api").done();
    assert_eq!(stage.get("deployment/api")["status"]["updatedReplicas"], 3);
}

fn environment_values_are_in_the_cluster_and_nowhere_else(lab: &Lab) {
    let canary = format!("canary-{}", std::process::id());
    let mut with = deployment("api", 2);
    with["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "LEVEL", "value": "info"},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]);
    let stage = Stage::new(lab, NAMESPACE, &[with]);
    stage.ready("deployment/api", 2);
    let before = stage.said("deployment/api");
    let did = stage.qd(&format!("set env deployment/api MODE={canary} LEVEL-")).done();
    let env = stage.get("deployment/api")["spec"]["template"]["spec"]["containers"][0]["env"].clone();
    assert_eq!(
        env.as_array().unwrap().iter().map(|e| e["name"].as_str().unwrap()).collect::<std::collections::BTreeSet<_>>(),
        ["MODE", "NODE"].into()
    );
    assert_eq!(env.as_array().unwrap().iter().find(|e| e["name"] == "MODE").unwrap()["value"], canary.as_str());
    let job = did.events.last().unwrap()["job"].as_str().unwrap();
    let undo = stage.qd(&format!("undo {job}"));
    assert!(undo.code != 0 && undo.stderr.contains("rollout undo"), "{} {}", undo.code, undo.stderr);
    // The way back that its preview names.
    let back = stage.qd("rollout undo deployment/api").done();
    assert_eq!(stage.said("deployment/api")["spec"], before["spec"]);
    let kept = stage.kept();
    assert!(kept.contains("\"set-env\"") && !kept.contains(&canary), "the log has the act and not the value");
    for did in [did, back] {
        let told = format!("{:?} {}", did.events, did.stderr);
        assert!(!told.contains(&canary), "{told}");
    }
}

fn a_cron_job_is_triggered_suspended_and_resumed(lab: &Lab) {
    let cron = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "report", "namespace": NAMESPACE}, "spec": {"schedule": "0 0 1 1 *",
        "jobTemplate": {"metadata": {"labels": {"app": "report"}}, "spec": {"template": {"spec": {"restartPolicy": "Never",
            "containers": [{"name": "app", "image": "registry.internal/app:1", "env": [{"name": "TOKEN", "value": "canary"}]}]}}}}}});
    let stage = Stage::new(lab, NAMESPACE, &[cron]);
    stage.there_and_back("cronjob suspend cronjob/report", "cronjob/report", |now| assert_eq!(now["spec"]["suspend"], true));
    stage.qd("cronjob suspend cronjob/report").done();
    stage.there_and_back("cronjob resume cronjob/report", "cronjob/report", |now| assert_eq!(now["spec"]["suspend"], false));
    stage.qd("cronjob trigger cronjob/report --name now --no-wait").done();
    let job = stage.get("job/now");
    assert_eq!(job["metadata"]["annotations"]["cronjob.kubernetes.io/instantiate"], "manual");
    assert_eq!(job["metadata"]["ownerReferences"][0]["uid"], stage.get("cronjob/report")["metadata"]["uid"]);
    assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["image"], "registry.internal/app:1");
    let twice = stage.qd("cronjob trigger cronjob/report --name now --no-wait");
    assert_eq!(twice.code, 4, "{:#?}", twice.events);
    stage.qd("undo last").done();
    until("the Job to be gone", Duration::from_secs(20), || if stage.exists("job/now") { Err("it is still there".into()) } else { Ok(()) });
}

fn a_job_is_run_again(lab: &Lab) {
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate", "namespace": NAMESPACE, "labels": {"app": "m"}}, "spec": {"backoffLimit": 0,
        "template": {"metadata": {"labels": {"app": "m"}}, "spec": {"restartPolicy": "Never", "nodeSelector": {"no": "node"},
            "containers": [{"name": "app", "image": "registry.internal/app:1"}]}}}});
    let stage = Stage::new(lab, NAMESPACE, &[job]);
    let busy = stage.qd("job retry job/migrate");
    assert!(busy.code == 2 && busy.stderr.contains("has not ended"), "{} {}", busy.code, busy.stderr);
    // On a node kwok would end it, and well: it is said to have failed.
    until("the Job's pod", Duration::from_secs(30), || if stage.pods("app=m").is_empty() { Err("there is none".into()) } else { Ok(()) });
    let pod = stage.pods("app=m")[0]["metadata"]["name"].as_str().unwrap().to_owned();
    until("the Job to fail", Duration::from_secs(60), || {
        let status = json!({"status": {"phase": "Failed", "containerStatuses": null}}).to_string();
        lab.kubectl(CONTEXT, &["patch", "pod", &pod, "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", &status]);
        let conditions = stage.get("job/migrate")["status"]["conditions"].clone();
        let failed = conditions.as_array().into_iter().flatten().any(|c| c["type"] == "Failed" && c["status"] == "True");
        if failed { Ok(()) } else { Err(conditions.to_string()) }
    });
    let did = stage.qd("job retry job/migrate --no-wait").done();
    let name = format!("job/{}", did.plan()["steps"][0]["name"].as_str().unwrap());
    let (old, new) = (stage.get("job/migrate"), stage.get(&name));
    assert_eq!(new["spec"]["template"]["spec"], old["spec"]["template"]["spec"]);
    assert_ne!(new["spec"]["selector"], old["spec"]["selector"], "its own pods");
    stage.qd("undo last").done();
    until("the Job to be gone", Duration::from_secs(20), || if stage.exists(&name) { Err("it is still there".into()) } else { Ok(()) });
    assert!(stage.exists("job/migrate"));
}

fn a_budget_is_created_once(lab: &Lab) {
    let stage = Stage::new(lab, NAMESPACE, &[deployment("api", 3), deployment("one", 1)]);
    stage.ready("deployment/api", 3);
    let did = stage.qd("create-pdb deployment/api").done();
    until("the budget to count", Duration::from_secs(20), || match stage.get("pdb/api")["status"]["disruptionsAllowed"].as_i64() {
        Some(1) => Ok(()),
        is => Err(format!("{is:?}")),
    });
    assert!(did.notes().contains("1 of 3 pods may be evicted at a time"), "what the controller allows was predicted: {}", did.notes());
    let twice = stage.qd("create-pdb deployment/api --name other");
    assert!(twice.code == 5 && twice.stderr.contains("pdb work/api"), "{} {}", twice.code, twice.stderr);
    stage.qd("undo last").done();
    assert!(!stage.exists("pdb/api"));
    let one = stage.qd("create-pdb deployment/one");
    assert!(one.code == 2 && one.stderr.contains("blocks every drain"), "{} {}", one.code, one.stderr);
}
