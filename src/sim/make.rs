//! Full-looking objects: templates, pods and their states, nodes.

use super::store::{Obj, rfc3339};
use serde_json::{Value, json};

/// What a simulated app is made of.
#[derive(Clone, Debug)]
pub struct App {
    pub namespace: String,
    pub name: String,
    pub image: String,
    pub cpu_m: i64,
    pub memory_mi: i64,
}

/// A pod template.
pub fn template(app: &App) -> Value {
    let limits = json!({"cpu": format!("{}m", app.cpu_m * 2), "memory": format!("{}Mi", app.memory_mi * 2)});
    let probe = |path: &str, failures: i64| json!({"httpGet": {"path": path, "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10, "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": failures});
    let spread = |key: &str| json!({"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"app": app.name}}});
    json!({
        "metadata": {"creationTimestamp": null, "labels": {"app": app.name}},
        "spec": {
            "containers": [{
                "name": app.name, "image": app.image, "imagePullPolicy": "IfNotPresent",
                "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                "resources": {"requests": {"cpu": format!("{}m", app.cpu_m), "memory": format!("{}Mi", app.memory_mi)}, "limits": limits},
                "readinessProbe": probe("/readyz", 3), "livenessProbe": probe("/healthz", 6), "lifecycle": {"preStop": {"sleep": {"seconds": 10}}},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            }],
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst", "automountServiceAccountToken": false,
            "topologySpreadConstraints": [spread("kubernetes.io/hostname"), spread("topology.kubernetes.io/zone")],
            "securityContext": {}, "schedulerName": "default-scheduler",
        },
    })
}

/// What an object says about who made it.
pub fn owner_reference(api_version: &str, kind: &str, owner: &Obj) -> Value {
    json!([{"apiVersion": api_version, "kind": kind, "name": &*owner.key.1, "uid": &*owner.uid, "controller": true, "blockOwnerDeletion": true}])
}

/// A new pod from a template, pending. `extra` labels are added.
pub fn pod(template: &Value, name: &str, namespace: &str, owner: Value, extra: &[(&str, &str)]) -> Value {
    let mut metadata = json!({"name": name, "namespace": namespace, "labels": template["metadata"]["labels"], "ownerReferences": owner});
    if template["metadata"]["annotations"].is_object() {
        metadata["annotations"] = template["metadata"]["annotations"].clone();
    }
    for (key, value) in extra {
        metadata["labels"][*key] = (*value).into();
    }
    let mut spec = template["spec"].clone();
    default_spec(&mut spec);
    let qos = qos(&spec);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": "Pending", "qosClass": qos}})
}

/// What admission fills in.
pub fn default_spec(spec: &mut Value) {
    let defaults = [
        ("serviceAccountName", json!("default")),
        ("enableServiceLinks", json!(true)),
        ("preemptionPolicy", json!("PreemptLowerPriority")),
        ("priority", json!(0)),
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("schedulerName", json!("default-scheduler")),
    ];
    for (key, value) in defaults {
        if spec[key].is_null() {
            spec[key] = value;
        }
    }
    if spec["tolerations"].is_null() {
        let toleration = |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3600});
        spec["tolerations"] = json!([toleration("node.kubernetes.io/not-ready"), toleration("node.kubernetes.io/unreachable")]);
    }
}

/// The quality of service class.
pub fn qos(spec: &Value) -> &'static str {
    let all = |f: fn(&Value) -> bool| spec["containers"].as_array().is_some_and(|c| c.iter().all(f));
    let has = |v: &Value, what: &str| v["resources"][what].as_object().is_some_and(|m| !m.is_empty());
    if all(|c| c["resources"]["requests"] == c["resources"]["limits"] && c["resources"]["limits"].as_object().is_some_and(|l| l.len() >= 2))
    {
        "Guaranteed"
    } else if spec["containers"].as_array().is_some_and(|c| c.iter().any(|c| has(c, "requests") || has(c, "limits"))) {
        "Burstable"
    } else {
        "BestEffort"
    }
}

/// Sets a condition; the transition time moves only when the status does.
pub fn condition(status: &mut Value, kind: &str, value: &str, (reason, message): (&str, &str), at: i64) {
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    let Some(all) = status["conditions"].as_array_mut() else { return };
    let place = all.iter().position(|c| c["type"] == kind);
    let mut new = json!({"type": kind, "status": value, "lastTransitionTime": rfc3339(at)});
    if !reason.is_empty() {
        new["reason"] = reason.into();
    }
    if !message.is_empty() {
        new["message"] = message.into();
    }
    match place {
        Some(i) => {
            if all[i]["status"] == value {
                new["lastTransitionTime"] = all[i]["lastTransitionTime"].clone();
            }
            for extra in ["lastUpdateTime", "lastHeartbeatTime", "observedGeneration"] {
                if !all[i][extra].is_null() {
                    new[extra] = all[i][extra].clone();
                }
            }
            all[i] = new;
        }
        None => all.push(new),
    }
}

/// The scheduler's word.
pub fn bind(pod: &mut Value, node: &str, at: i64) {
    pod["spec"]["nodeName"] = node.into();
    condition(&mut pod["status"], "PodScheduled", "True", ("", ""), at);
}

/// All containers run and are ready.
pub fn run(pod: &mut Value, (host, ip): (&str, &str), at: i64) {
    let mut statuses = Vec::new();
    for c in pod["spec"]["containers"].as_array().into_iter().flatten() {
        let (name, image) = (c["name"].as_str().unwrap_or(""), c["image"].as_str().unwrap_or(""));
        let old = old_status(pod, name);
        let mut new = json!({
            "name": name, "image": image, "imageID": format!("{image}@sha256:{:016x}", fnv(image)), "containerID": format!("containerd://{:016x}{:016x}", fnv(ip), fnv(&format!("{at}{name}{}", pod["metadata"]["name"]))),
            "ready": true, "started": true, "restartCount": old["restartCount"].as_i64().unwrap_or(0), "state": {"running": {"startedAt": rfc3339(at)}},
            "lastState": if old["lastState"].is_object() { old["lastState"].clone() } else { json!({}) },
        });
        // What the kubelet gives; who resizes in place looks for it.
        for (kept, asked) in [("allocatedResources", &c["resources"]["requests"]), ("resources", &c["resources"])] {
            let is = if old[kept].is_object() { &old[kept] } else { asked };
            new[kept] = if is.is_object() { is.clone() } else { json!({}) };
        }
        statuses.push(new);
    }
    let status = &mut pod["status"];
    for kind in ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"] {
        condition(status, kind, "True", ("", ""), at);
    }
    status["phase"] = "Running".into();
    status["hostIP"] = host.into();
    status["hostIPs"] = json!([{"ip": host}]);
    status["podIP"] = ip.into();
    status["podIPs"] = json!([{"ip": ip}]);
    if !status["startTime"].is_string() {
        status["startTime"] = rfc3339(at).into();
    }
    status["containerStatuses"] = Value::Array(statuses);
}

fn old_status(pod: &Value, name: &str) -> Value {
    let all = pod["status"]["containerStatuses"].as_array();
    all.and_then(|s| s.iter().find(|s| s["name"] == name)).cloned().unwrap_or(Value::Null)
}

/// How a container ends.
#[derive(Clone, Debug)]
pub struct End {
    pub exit: i64,
    pub reason: String,
}

fn terminated(end: &End, from: i64, to: i64) -> Value {
    json!({"terminated": {"exitCode": end.exit, "reason": end.reason, "startedAt": rfc3339(from), "finishedAt": rfc3339(to), "containerID": format!("containerd://{:032x}", from)}})
}

/// Every container ended once more and waits. Gives the restarts.
pub fn crash(pod: &mut Value, (host, ip): (&str, &str), end: &End, at: i64) -> i64 {
    if !pod["status"]["containerStatuses"].is_array() {
        run(pod, (host, ip), at);
    }
    let backoff = |n: i64| (10i64 << n.clamp(0, 5)).min(300);
    let mut restarts = 0;
    let whole = format!(
        "pod={}_{}({})",
        pod["metadata"]["name"].as_str().unwrap_or(""),
        pod["metadata"]["namespace"].as_str().unwrap_or(""),
        pod["metadata"]["uid"].as_str().unwrap_or("")
    );
    for s in pod["status"]["containerStatuses"].as_array_mut().into_iter().flatten() {
        restarts = s["restartCount"].as_i64().unwrap_or(0) + 1;
        s["restartCount"] = restarts.into();
        s["ready"] = false.into();
        s["started"] = false.into();
        s["lastState"] = terminated(end, at - 7, at);
        let wait = backoff(restarts - 1);
        let text =
            format!("back-off {}m{}s restarting failed container={} {whole}", wait / 60, wait % 60, s["name"].as_str().unwrap_or(""));
        s["state"] = json!({"waiting": {"reason": "CrashLoopBackOff", "message": text}});
    }
    unready(pod, "ContainersNotReady", at);
    restarts
}

/// All containers ended for good.
pub fn finish(pod: &mut Value, end: &End, at: i64) {
    for s in pod["status"]["containerStatuses"].as_array_mut().into_iter().flatten() {
        s["ready"] = false.into();
        s["started"] = false.into();
        let from = super::store::parse_time(&s["state"]["running"]["startedAt"]).unwrap_or(at);
        s["state"] = terminated(end, from, at);
    }
    let good = end.exit == 0;
    pod["status"]["phase"] = if good { "Succeeded" } else { "Failed" }.into();
    unready(pod, if good { "PodCompleted" } else { "PodFailed" }, at);
}

/// The pod stops being ready. Reason `NodeNotReady` leaves the containers' own words.
pub fn unready(pod: &mut Value, reason: &str, at: i64) {
    let names: Vec<String> =
        pod["spec"]["containers"].as_array().into_iter().flatten().filter_map(|c| c["name"].as_str().map(ToOwned::to_owned)).collect();
    let message =
        if reason == "ContainersNotReady" { format!("containers with unready status: [{}]", names.join(" ")) } else { String::new() };
    condition(&mut pod["status"], "Ready", "False", (reason, &message), at);
    if reason != "NodeNotReady" {
        condition(&mut pod["status"], "ContainersReady", "False", (reason, &message), at);
    }
}

/// What is not the same for every node.
pub struct NodeSpec<'a> {
    pub name: &'a str,
    pub zone: &'a str,
    pub region: &'a str,
    pub index: usize,
    pub cpu: i64,
    pub memory_gi: i64,
    pub pods: i64,
}

/// A ready node.
pub fn node(n: &NodeSpec<'_>, at: i64) -> Value {
    let good = |kind: &str, reason: &str, message: &str| {
        let status = if kind == "Ready" { "True" } else { "False" };
        json!({"type": kind, "status": status, "reason": reason, "message": message, "lastHeartbeatTime": rfc3339(at), "lastTransitionTime": rfc3339(at)})
    };
    let (a, b) = (n.index / 250, n.index % 250 + 1);
    let room = |cpu: i64, memory: i64| json!({"cpu": cpu.to_string(), "memory": format!("{memory}Ki"), "pods": n.pods.to_string(), "ephemeral-storage": "203056560Ki", "hugepages-2Mi": "0"});
    let memory = n.memory_gi << 20;
    // The node keeps some for its kubelet and runtime, as a well-run one does.
    let mut allocatable = room(n.cpu, memory - memory / 10);
    allocatable["cpu"] = format!("{}m", n.cpu * 1000 - 100 - n.cpu * 2).into();
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": n.name, "creationTimestamp": rfc3339(at), "annotations": {"node.alpha.kubernetes.io/ttl": "0"}, "labels": {
            "kubernetes.io/hostname": n.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "node.kubernetes.io/instance-type": format!("m7.{}xlarge", n.cpu / 4),
            "topology.kubernetes.io/zone": n.zone, "topology.kubernetes.io/region": n.region, "room": format!("room-{}", n.zone.chars().last().unwrap_or('a')),
        }},
        "spec": {"podCIDR": format!("10.{}.{b}.0/24", 64 + a), "podCIDRs": [format!("10.{}.{b}.0/24", 64 + a)], "providerID": format!("sim:///{}/{}", n.zone, n.name)},
        "status": {
            "capacity": room(n.cpu, memory), "allocatable": allocatable,
            "conditions": [
                good("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"), good("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                good("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"), good("Ready", "KubeletReady", "kubelet is posting ready status"),
            ],
            "addresses": [{"type": "InternalIP", "address": format!("192.168.{a}.{b}")}, {"type": "Hostname", "address": n.name}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {"machineID": format!("{:032x}", fnv(n.name)), "systemUUID": format!("{:032x}", fnv(n.zone)), "bootID": format!("{:032x}", fnv(n.region)), "kernelVersion": "6.12.48-amd64",
                "osImage": "Debian GNU/Linux 13 (trixie)", "containerRuntimeVersion": "containerd://2.1.4", "kubeletVersion": "v1.36.3", "kubeProxyVersion": "", "operatingSystem": "linux", "architecture": "amd64"},
            "images": [],
        },
    })
}

/// A stable number for a text.
pub fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// The same whatever order fields came in, and whether they are missing or null.
fn ordered(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<_> = map.iter().filter(|(_, v)| !v.is_null()).collect();
            fields.sort_by_key(|(k, _)| k.as_str());
            Value::Object(fields.into_iter().map(|(k, v)| (k.clone(), ordered(v))).collect())
        }
        Value::Array(all) => Value::Array(all.iter().map(ordered).collect()),
        other => other.clone(),
    }
}

/// The letters by which templates are told apart.
pub fn template_hash(template: &Value) -> String {
    let mut template = template.clone();
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove("pod-template-hash");
        labels.remove("controller-revision-hash");
    }
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut hash = fnv(&ordered(&template).to_string());
    (0..10)
        .map(|_| {
            let letter = ALPHABET[usize::try_from(hash % 27).unwrap_or(0)];
            hash = hash / 27 + 1;
            char::from(letter)
        })
        .collect()
}
