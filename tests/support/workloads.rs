//! Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs and CronJobs.

use super::amount::{seconds, selector};
use super::derive::{Expected, condition, list, names, number, since, text, words_of};
use super::pods;
use serde_json::{Value, json};

fn kind(o: &Value) -> &str {
    o["kind"].as_str().unwrap()
}

fn is(o: &Value, kind: &str, status: &str) -> bool {
    condition(o, kind)["status"] == status
}

fn desired(o: &Value) -> Option<i64> {
    match kind(o) {
        "CronJob" => None,
        "DaemonSet" => Some(number(&o["status"]["desiredNumberScheduled"])),
        "Job" => Some(o["spec"]["parallelism"].as_i64().unwrap_or(1)),
        _ => Some(o["spec"]["replicas"].as_i64().unwrap_or(1)),
    }
}

/// Counters of the status: `plain` of those that have replicas, `daemon` of DaemonSets; Jobs and CronJobs have none.
fn counter(o: &Value, plain: &str, daemon: &str) -> Option<i64> {
    match kind(o) {
        "Job" | "CronJob" => None,
        "DaemonSet" => Some(number(&o["status"][daemon])),
        _ => Some(number(&o["status"][plain])),
    }
}

fn available(o: &Value) -> i64 {
    counter(o, "availableReplicas", "numberAvailable").unwrap_or(0)
}

fn updated(o: &Value) -> Option<i64> {
    if kind(o) == "ReplicaSet" { Some(number(&o["status"]["replicas"])) } else { counter(o, "updatedReplicas", "updatedNumberScheduled") }
}

/// Fewer pods serve than are wanted; a ReplicaSet of a Deployment is its owner's matter; of Jobs those that failed.
pub fn short(o: &Value) -> bool {
    match kind(o) {
        "Job" => is(o, "Failed", "True"),
        "CronJob" => false,
        "ReplicaSet" if !list(&o["metadata"]["ownerReferences"]).is_empty() => false,
        _ => available(o) < desired(o).unwrap_or(0),
    }
}

fn status(o: &Value) -> &'static str {
    let (spec, status) = (&o["spec"], &o["status"]);
    if !o["metadata"]["deletionTimestamp"].is_null() {
        return "Terminating";
    }
    let pick = |cases: &[(bool, &'static str)]| cases.iter().find(|(on, _)| *on).map_or("", |(_, word)| word);
    let suspended = spec["suspend"] == true;
    match kind(o) {
        "Job" => {
            return pick(&[
                (is(o, "Failed", "True"), "Failed"),
                (is(o, "Complete", "True"), "Complete"),
                (suspended, "Suspended"),
                (number(&status["active"]) > 0, "Running"),
                (true, "Pending"),
            ]);
        }
        "CronJob" => return pick(&[(suspended, "Suspended"), (!list(&status["active"]).is_empty(), "Running"), (true, "Scheduled")]),
        _ => {}
    }
    let (want, new) = (desired(o).unwrap_or(0), updated(o).unwrap_or(0));
    let stuck = is(o, "ReplicaFailure", "True") || (kind(o) == "Deployment" && is(o, "Progressing", "False"));
    let rolling = match kind(o) {
        "Deployment" => new < want || number(&status["replicas"]) > new,
        "StatefulSet" => {
            spec["updateStrategy"]["type"] != "OnDelete"
                && status["currentRevision"] != status["updateRevision"]
                && new < want - number(&spec["updateStrategy"]["rollingUpdate"]["partition"])
        }
        "DaemonSet" => spec["updateStrategy"]["type"] != "OnDelete" && new < want,
        _ => number(&status["replicas"]) != want,
    };
    let unseen = status["observedGeneration"].as_i64().is_some_and(|seen| seen < number(&o["metadata"]["generation"]));
    pick(&[
        (stuck, "Stuck"),
        (spec["paused"] == true, "Paused"),
        (unseen || rolling, "Progressing"),
        (available(o) < want, "Degraded"),
        (want == 0, "ScaledToZero"),
        (true, "Available"),
    ])
}

fn pod_spec(o: &Value) -> &Value {
    if kind(o) == "CronJob" { &o["spec"]["jobTemplate"]["spec"]["template"]["spec"] } else { &o["spec"]["template"]["spec"] }
}

/// From the start to the end, else to now: an age that grows while it runs.
fn duration(o: &Value) -> Expected {
    let status = &o["status"];
    let Some(start) = seconds(&status["startTime"]) else { return Value::Null.into() };
    let failed = condition(o, "Failed");
    let end = seconds(&status["completionTime"]).or_else(|| seconds(&failed["lastTransitionTime"]).filter(|_| failed["status"] == "True"));
    end.map_or(Expected::Since(start), |end| (end - start).into())
}

pub fn field(field: &str, o: &Value) -> Option<Expected> {
    let (spec, status_of, job) = (&o["spec"], &o["status"], kind(o) == "Job");
    let asked = |set: &str, key: &str| json!(pods::asked(pod_spec(o), set, key));
    Some(match field {
        "ready" if job => number(&status_of["succeeded"]).into(),
        "ready" => json!(counter(o, "readyReplicas", "numberReady")).into(),
        "desired" => json!(desired(o)).into(),
        "current" => json!(counter(o, "replicas", "currentNumberScheduled")).into(),
        "up_to_date" => json!(updated(o)).into(),
        "available" => json!(counter(o, "availableReplicas", "numberAvailable")).into(),
        "misscheduled" => number(&status_of["numberMisscheduled"]).into(),
        "status" => status(o).into(),
        "cpu_request_m" => asked("requests", "cpu").into(),
        "cpu_limit_m" => asked("limits", "cpu").into(),
        "memory_request_bytes" => asked("requests", "memory").into(),
        "memory_limit_bytes" => asked("limits", "memory").into(),
        "images" => names(&pod_spec(o)["containers"], "image").into(),
        "container_names" => names(&pod_spec(o)["containers"], "name").into(),
        "strategy" => text(match kind(o) {
            "Deployment" => &spec["strategy"]["type"],
            "CronJob" => &spec["concurrencyPolicy"],
            _ => &spec["updateStrategy"]["type"],
        })
        .into(),
        "revision" if kind(o) == "StatefulSet" => text(&status_of["updateRevision"]).into(),
        "revision" => text(&o["metadata"]["annotations"]["deployment.kubernetes.io/revision"]).into(),
        "selector" => selector(&spec["selector"]).into(),
        "message" => {
            words_of(o, &[("Failed", "True"), ("ReplicaFailure", "True"), ("Progressing", "False"), ("Available", "False")]).into()
        }
        "suspended" => match kind(o) {
            "Job" | "CronJob" => (spec["suspend"] == true).into(),
            "Deployment" => (spec["paused"] == true).into(),
            _ => Value::Null.into(),
        },
        "service" => text(&spec["serviceName"]).into(),
        "active" if job => number(&status_of["active"]).into(),
        "active" => list(&status_of["active"]).len().into(),
        "failed" => number(&status_of["failed"]).into(),
        "backoff_limit" => spec["backoffLimit"].as_i64().unwrap_or(6).into(),
        "duration_s" => duration(o),
        "schedule" => text(&spec["schedule"]).into(),
        "time_zone" => text(&spec["timeZone"]).into(),
        "last_schedule_age_s" => since(&status_of["lastScheduleTime"]),
        "last_success_age_s" => since(&status_of["lastSuccessfulTime"]),
        // StatefulSets and DaemonSets have none that a controller writes.
        "conditions" if status_of["conditions"].is_null() => json!([]).into(),
        _ => return None,
    })
}
