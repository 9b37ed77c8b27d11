//! Pods: kubectl's STATUS, READY and RESTARTS, and what a pod asks for by KEP-753.

use super::amount::{milli, whole};
use super::derive::{Expected, condition, list, names, number, since, text};
use serde_json::{Value, json};

fn sidecar(spec: &Value, name: &Value) -> bool {
    list(&spec["initContainers"]).iter().any(|c| &c["name"] == name && c["restartPolicy"] == "Always")
}

/// Succeeded or failed: it holds nothing any more.
pub fn ended(p: &Value) -> bool {
    p["status"]["phase"] == "Succeeded" || p["status"]["phase"] == "Failed"
}

pub fn bad(p: &Value) -> bool {
    let going = !p["metadata"]["deletionTimestamp"].is_null();
    match p["status"]["phase"].as_str() {
        Some("Succeeded") => false,
        Some("Running") => condition(p, "Ready")["status"] != "True" && !going,
        Some("Pending") => !going,
        _ => true,
    }
}

/// What kubectl's printer makes of a pod: STATUS, ready containers, restarts.
struct Printed {
    status: String,
    ready: usize,
    restarts: i64,
}

fn ending(t: &Value) -> String {
    match (t["reason"].as_str().unwrap_or_default(), number(&t["signal"])) {
        ("", 0) => format!("ExitCode:{}", number(&t["exitCode"])),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn printed(p: &Value) -> Printed {
    let (spec, status) = (&p["spec"], &p["status"]);
    let mut word = status["reason"].as_str().filter(|r| !r.is_empty()).or(status["phase"].as_str()).unwrap_or_default().to_owned();
    if list(&status["conditions"]).iter().any(|c| c["type"] == "PodScheduled" && c["reason"] == "SchedulingGated") {
        word = "SchedulingGated".into();
    }
    let (mut ready, mut restarts, mut sidecars, mut initializing) = (0, 0, 0, false);
    for (at, c) in list(&status["initContainerStatuses"]).iter().enumerate() {
        let (state, beside) = (&c["state"], sidecar(spec, &c["name"]));
        restarts += number(&c["restartCount"]);
        sidecars += if beside { number(&c["restartCount"]) } else { 0 };
        let (terminated, waiting) = (&state["terminated"], state["waiting"]["reason"].as_str().unwrap_or_default());
        if !terminated.is_null() && number(&terminated["exitCode"]) == 0 {
            continue;
        }
        if beside && c["started"] == true {
            ready += usize::from(c["ready"] == true);
            continue;
        }
        word = match () {
            () if !terminated.is_null() => format!("Init:{}", ending(terminated)),
            () if !waiting.is_empty() && waiting != "PodInitializing" => format!("Init:{waiting}"),
            () => format!("Init:{at}/{}", list(&spec["initContainers"]).len()),
        };
        initializing = true;
        break;
    }
    if !initializing || condition(p, "Initialized")["status"] == "True" {
        restarts = sidecars;
        let mut running = false;
        for c in list(&status["containerStatuses"]).iter().rev() {
            restarts += number(&c["restartCount"]);
            let state = &c["state"];
            if let Some(reason) = state["waiting"]["reason"].as_str().filter(|r| !r.is_empty()) {
                word = reason.to_owned();
            } else if !state["terminated"].is_null() {
                word = ending(&state["terminated"]);
            } else if c["ready"] == true && !state["running"].is_null() {
                running = true;
                ready += 1;
            }
        }
        if word == "Completed" && running {
            word = if condition(p, "Ready")["status"] == "True" { "Running" } else { "NotReady" }.into();
        }
    }
    if !p["metadata"]["deletionTimestamp"].is_null() {
        if status["reason"] == "NodeLost" {
            word = "Unknown".into();
        } else if !ended(p) {
            word = "Terminating".into();
        }
    }
    Printed { status: word, ready, restarts }
}

pub fn restarts(p: &Value) -> i64 {
    printed(p).restarts
}

/// What a pod of this spec asks for: `set` is requests or limits; millicores or bytes; none when nothing asks.
pub fn asked(spec: &Value, set: &str, key: &str) -> Option<i128> {
    let read = if key == "cpu" { milli } else { whole };
    let of = |c: &Value| c["resources"][set][key].as_str().map(read);
    let add = |a: Option<i128>, b: Option<i128>| if a.is_none() && b.is_none() { None } else { Some(a.unwrap_or(0) + b.unwrap_or(0)) };
    let mut all = list(&spec["containers"]).iter().fold(None, |sum, c| add(sum, of(c)));
    let (mut beside, mut most) = (None, None);
    for c in list(&spec["initContainers"]) {
        let now = add(beside, of(c));
        if c["restartPolicy"] == "Always" {
            all = add(all, of(c));
            beside = now;
        }
        most = most.max(now);
    }
    all = all.max(most);
    let whole_pod = of(spec).or(all);
    let overhead = spec["overhead"][key].as_str().filter(|_| set == "requests").map(read);
    add(whole_pod, overhead)
}

/// How a container that was restarted ended last.
fn last_end(p: &Value) -> Value {
    let status = &p["status"];
    let ends =
        list(&status["initContainerStatuses"]).iter().chain(list(&status["containerStatuses"])).map(|c| &c["lastState"]["terminated"]);
    ends.filter(|t| !t.is_null()).max_by_key(|t| t["finishedAt"].as_str().map(str::to_owned)).cloned().unwrap_or_default()
}

fn message(p: &Value) -> Value {
    let status = &p["status"];
    let scheduled = condition(p, "PodScheduled");
    let waiting = list(&status["initContainerStatuses"])
        .iter()
        .chain(list(&status["containerStatuses"]))
        .map(|c| text(&c["state"]["waiting"]["message"]));
    let unscheduled = if scheduled["status"] == "True" { Value::Null } else { text(&scheduled["message"]) };
    [unscheduled, text(&status["message"])].into_iter().chain(waiting).find(|m| !m.is_null()).unwrap_or_default()
}

pub fn field(field: &str, p: &Value) -> Option<Expected> {
    let (spec, status) = (&p["spec"], &p["status"]);
    let asked = |set: &str, key: &str| json!(asked(spec, set, key));
    Some(match field {
        "ready" => printed(p).ready.into(),
        "containers" => (list(&spec["containers"]).len()
            + list(&spec["initContainers"]).iter().filter(|c| c["restartPolicy"] == "Always").count())
        .into(),
        "status" => printed(p).status.into(),
        "restarts" => restarts(p).into(),
        "last_restart_age_s" => since(&last_end(p)["finishedAt"]),
        "last_reason" => text(&last_end(p)["reason"]).into(),
        "last_exit_code" => last_end(p)["exitCode"].clone().into(),
        "cpu_request_m" => asked("requests", "cpu").into(),
        "cpu_limit_m" => asked("limits", "cpu").into(),
        "memory_request_bytes" => asked("requests", "memory").into(),
        "memory_limit_bytes" => asked("limits", "memory").into(),
        "qos" => text(&status["qosClass"]).into(),
        "node" => text(&spec["nodeName"]).into(),
        "ip" => text(&status["podIP"]).into(),
        "message" => message(p).into(),
        "phase" => text(&status["phase"]).into(),
        "ready_change_age_s" => since(&condition(p, "Ready")["lastTransitionTime"]),
        "start_age_s" => since(&status["startTime"]),
        "images" => names(&spec["containers"], "image").into(),
        "container_names" => names(&spec["containers"], "name").into(),
        "priority" => number(&spec["priority"]).into(),
        "priority_class" => text(&spec["priorityClassName"]).into(),
        "service_account" => text(&spec["serviceAccountName"]).into(),
        _ => return None,
    })
}
