//! What an API server tells of itself when it is asked, and what rules make of it: each with its real cause.

use super::support::lab::{Lab, Room, until};
use super::support::runner::{Test, tests};
use serde_json::{Value, json};
use std::time::Duration;

pub const TESTS: &[Test] = tests![
    what_an_api_server_tells_of_itself_is_judged,
    a_scheduler_that_is_gone_leads_nothing,
    a_node_that_was_emptied_says_why,
    an_ingress_controller_and_its_balancer_disagree_and_kubelets_that_are_not_reached_say_nothing
];

const CONTEXT: &str = "lab-1";

/// The findings of these rules: rule, severity, message, and evidence in one piece.
fn found(lab: &Lab, room: &Room, rules: &[&str]) -> Vec<(String, String, String, String)> {
    let mut args = vec!["inspect", "--context", CONTEXT, "-o", "json"];
    args.extend(rules.iter().flat_map(|r| ["--rule", *r]));
    let (report, _, said) = room.json(&lab.kubeconfig(), &args);
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let items = report["items"].as_array().unwrap_or_else(|| panic!("no items: {said}"));
    items.iter().map(|i| (text(&i["rule"]), text(&i["severity"]), text(&i["message"]), i["evidence"].to_string())).collect()
}

/// One look has no time to wait for what must hold for a while.
fn at_once(room: &Room, rules: &[&str]) {
    let dir = room.path("config").join("qd");
    std::fs::create_dir_all(&dir).unwrap();
    let text: String = rules.iter().map(|r| format!("[thresholds.{r}]\nafter = '0s'\n")).collect();
    std::fs::write(dir.join("config.toml"), text).unwrap();
}

fn what_an_api_server_tells_of_itself_is_judged(lab: &Lab) {
    const RULES: [&str; 6] =
        ["webhook-fail-closed", "aggregated-api-down", "rbac-too-wide", "deprecated-api-in-use", "keda-paused", "orphaned-storage"];
    let lab = lab.own(2, 1);
    let room = Room::new();
    at_once(&room, &["webhook-fail-closed", "aggregated-api-down"]);
    let has = |rule: &str, all: &[(String, String, String, String)]| all.iter().any(|f| f.0 == rule);
    let before = found(&lab, &room, &RULES);
    for rule in ["webhook-fail-closed", "aggregated-api-down", "rbac-too-wide", "keda-paused"] {
        assert!(!has(rule, &before), "nothing is wrong yet: {before:?}");
    }
    let hook = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "qd-lab"},
        "webhooks": [{"name": "check.qd.lab", "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "namespaceSelector": {"matchLabels": {"qd-lab": "hooked"}}, "clientConfig": {"service": {"namespace": "default", "name": "nobody"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}]}]});
    let api = json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1.qd.lab.example"},
        "spec": {"group": "qd.lab.example", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 100, "insecureSkipTLSVerify": true,
            "service": {"namespace": "default", "name": "nobody"}}});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "qd-lab"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "web", "namespace": "default"}]});
    let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "scaledobjects.keda.sh"},
        "spec": {"group": "keda.sh", "scope": "Namespaced", "names": {"plural": "scaledobjects", "singular": "scaledobject", "kind": "ScaledObject"},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}});
    let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "qd-lab"},
        "spec": {"capacity": {"storage": "200Gi"}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "none", "hostPath": {"path": "/tmp/x"}}});
    for object in [&hook, &api, &binding, &crd, &volume] {
        lab.apply(CONTEXT, object);
    }
    let scaled = json!({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
        "metadata": {"name": "web", "namespace": "default", "annotations": {"autoscaling.keda.sh/paused": "true"}},
        "spec": {"scaleTargetRef": {"name": "web"}},
        "status": {"conditions": [{"type": "Paused", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    until("the definition is served", Duration::from_secs(30), || {
        let file = room.path("scaled.json");
        std::fs::write(&file, scaled.to_string()).unwrap();
        let out = lab.try_kubectl(CONTEXT, &["apply", "-f", file.to_str().unwrap()]);
        if out.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&out.stderr).into_owned()) }
    });
    // Deprecated since 1.33; who asks is warned, and counted.
    lab.kubectl(CONTEXT, &["get", "endpoints", "-A"]);
    let all = until("all of it is found", Duration::from_secs(60), || {
        let all = found(&lab, &room, &RULES);
        let missing: Vec<&str> = RULES[..5].iter().copied().filter(|r| !has(r, &all)).collect();
        if missing.is_empty() { Ok(all) } else { Err(format!("{missing:?} are missing of {all:?}")) }
    });
    let one = |rule: &str| all.iter().find(|f| f.0 == rule).unwrap();
    assert_eq!(
        (one("webhook-fail-closed").1.as_str(), one("webhook-fail-closed").2.as_str()),
        ("critical", "default/nobody of qd-lab has no endpoints: CREATE of configmaps is refused")
    );
    assert!(one("aggregated-api-down").2.contains("v1.qd.lab.example"), "{all:?}");
    assert_eq!(
        (one("rbac-too-wide").1.as_str(), one("rbac-too-wide").2.as_str()),
        ("critical", "ServiceAccount default/web may do everything")
    );
    assert!(one("deprecated-api-in-use").2.contains("endpoints.v1"), "{all:?}");
    assert_eq!((one("keda-paused").1.as_str(), one("keda-paused").2.as_str()), ("warning", "default/web paused (paused=true)"));
    // The volume is not a week old.
    assert!(!has("orphaned-storage", &all), "{all:?}");
    // What is claimed is true: it is refused.
    lab.kubectl(CONTEXT, &["create", "namespace", "hooked"]);
    lab.kubectl(CONTEXT, &["label", "namespace", "hooked", "qd-lab=hooked"]);
    until("the webhook is in force", Duration::from_secs(30), || {
        let out = lab.try_kubectl(CONTEXT, &["create", "configmap", &format!("x{}", super::support::lab::now()), "-n", "hooked"]);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        if said.contains("failed calling webhook") { Ok(()) } else { Err(said) }
    });
    lab.kubectl(CONTEXT, &["delete", "validatingwebhookconfiguration", "qd-lab"]);
    lab.kubectl(CONTEXT, &["delete", "apiservice", "v1.qd.lab.example"]);
    lab.kubectl(CONTEXT, &["delete", "clusterrolebinding", "qd-lab"]);
    let after = found(&lab, &room, &RULES);
    for rule in ["webhook-fail-closed", "aggregated-api-down", "rbac-too-wide"] {
        assert!(!has(rule, &after), "{after:?}");
    }
}

/// The lab's own elect nobody: the lease is what a scheduler leaves behind that has died.
fn a_scheduler_that_is_gone_leads_nothing(lab: &Lab) {
    let room = Room::new();
    at_once(&room, &["controller-leader"]);
    assert_eq!(found(lab, &room, &["controller-leader"]), []);
    let renewed = |age: i64| {
        let at = jiff::Timestamp::from_second(super::support::lab::now() - age).unwrap().strftime("%Y-%m-%dT%H:%M:%S.000000Z").to_string();
        let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "kube-scheduler", "namespace": "kube-system"},
            "spec": {"holderIdentity": "node-1_a", "leaseDurationSeconds": 15, "leaseTransitions": 3, "acquireTime": at, "renewTime": at}});
        lab.apply(CONTEXT, &lease);
        found(lab, &room, &["controller-leader"])
    };
    let all = renewed(60);
    assert_eq!(all.iter().map(|f| (f.1.as_str(), f.2.as_str())).collect::<Vec<_>>(), [("critical", "kube-scheduler has no live leader")]);
    assert!(all[0].3.contains("held by node-1_a"), "{all:?}");
    assert_eq!(renewed(0), []);
    lab.kubectl(CONTEXT, &["delete", "lease", "kube-scheduler", "-n", "kube-system"]);
}

fn a_node_that_was_emptied_says_why(lab: &Lab) {
    let lab = lab.own(3, 1);
    let room = Room::new();
    lab.lab(&["fill", CONTEXT, "--nodes", "3", "--pods", "30", "--namespaces", "1"]);
    let pods = || -> Value { serde_json::from_str(&lab.kubectl(CONTEXT, &["get", "pods", "-A", "-o", "json"])).unwrap() };
    let node = until("pods on a node", Duration::from_secs(60), || {
        let all = pods();
        let all = all["items"].as_array().unwrap();
        let running = all.iter().filter(|p| p["status"]["phase"] == "Running");
        let mut by_node = std::collections::BTreeMap::<String, usize>::new();
        running.filter_map(|p| p["spec"]["nodeName"].as_str()).for_each(|n| *by_node.entry(n.to_owned()).or_default() += 1);
        let most = by_node.into_iter().max_by_key(|(_, n)| *n).filter(|(_, n)| *n >= 6);
        most.map(|(node, _)| node).ok_or_else(|| "too few".to_owned())
    });
    let mut term = super::cockpit(&lab, &room, &[]);
    super::stands(&mut term, CONTEXT, &["live"], 30);
    // What changes within a minute of the first look may have changed before it.
    std::thread::sleep(Duration::from_secs(65));
    lab.kubectl(CONTEXT, &["taint", "node", &node, "rack=down:NoExecute"]);
    term.wait("the emptied node and its cause", 60, |lines| {
        super::burning(lines).into_iter().find(|l| l.contains(&node) && l.contains("lost ") && l.contains("NoExecute taint"))
    });
    term.keys("I/name:node-emptied\r");
    term.line(30, &["node-emptied", &node]);
}

fn an_ingress_controller_and_its_balancer_disagree_and_kubelets_that_are_not_reached_say_nothing(lab: &Lab) {
    const RULE: &str = "ingress-forwarded-headers";
    let room = Room::new();
    let labels = json!({"app.kubernetes.io/name": "ingress-nginx", "app.kubernetes.io/component": "controller"});
    let config =
        |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "edge", "namespace": "default"}, "data": data});
    let controller = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "edge", "namespace": "default", "labels": labels},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "controller",
            "image": "registry.example.com/ingress-nginx/controller:v1.12.1", "args": ["/nginx-ingress-controller", "--configmap=$(POD_NAMESPACE)/edge"]}]}}}});
    let service = |tls: &str| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "edge", "namespace": "default",
            "annotations": {"service.beta.kubernetes.io/aws-load-balancer-ssl-cert": tls}},
            "spec": {"type": "LoadBalancer", "selector": labels, "ports": [{"name": "https", "port": 443, "targetPort": 80}]}})
    };
    let host = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "edge", "namespace": "default"},
        "spec": {"ingressClassName": "nginx", "tls": [{"hosts": ["a.example.com"], "secretName": "a"}], "rules": [{"host": "a.example.com",
            "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "edge", "port": {"number": 443}}}}]}}]}});
    for object in [&config(json!({"proxy-body-size": "8m"})), &controller, &service("arn:aws:acm:eu-central-1:1:certificate/x"), &host] {
        lab.apply(CONTEXT, object);
    }
    let says = || found(lab, &room, &[RULE]).into_iter().map(|f| (f.1, f.2)).collect::<Vec<_>>();
    let of = |severity: &str, message: &str| vec![(severity.to_owned(), message.to_owned())];
    assert_eq!(says(), of("critical", "TLS ends at the balancer of edge: 1 host is redirected to itself without end"));
    lab.apply(CONTEXT, &config(json!({"use-forwarded-headers": "true", "proxy-real-ip-cidr": "10.0.0.0/8"})));
    assert_eq!(says(), []);
    lab.apply(CONTEXT, &config(json!({"use-forwarded-headers": "true"})));
    lab.apply(CONTEXT, &service(""));
    assert_eq!(says(), of("warning", "believes X-Forwarded-* of whoever comes by LoadBalancer edge"));
    for kind in ["deployment", "service", "configmap", "ingress"] {
        lab.kubectl(CONTEXT, &["delete", kind, "edge"]);
    }
    assert_eq!(says(), []);
    // Its nodes have no kubelets that an API server would go to.
    let why = |kubeconfig: &std::path::Path| {
        let (report, ..) = room.json(kubeconfig, &["inspect", "--context", CONTEXT, "--rule", "cpu-manager-mismatch", "-o", "json"]);
        report["clusters"][0]["not_evaluated"].to_string()
    };
    assert!(why(&lab.kubeconfig()).contains("no kubelet says how it is configured: "), "{}", why(&lab.kubeconfig()));
}
