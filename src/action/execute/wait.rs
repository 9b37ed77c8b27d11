//! Waiting for what controllers make of a change: by looking, once a second.

use super::super::Clients;
use super::{Ended, Run, Why};
use crate::client::{ClientError, ReadClient};
use crate::model::{ClusterId, Interner, Kind, Object, Run as VeleroRun, RunState, Step, StepState, Wait, decode_json};
use serde_json::Value;
use std::time::Duration;

const LOOK: Duration = Duration::from_secs(1);
/// Looks at something of which nobody has said a word: then it is not known.
const SILENCE: u32 = 30;

/// How far something is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Far {
    There,
    /// What is missing, in words.
    Not(String),
    /// Nobody who should has said anything about it.
    Silent(String),
    /// It will not get there.
    Never(String),
}

impl Run {
    pub(super) async fn wait(&self, at: usize, step: &Step, wait: &Wait) -> Ended {
        let (wait, once) = match wait {
            Wait::Check { what } => (what.as_ref(), true),
            wait => (wait, false),
        };
        if let Wait::Seconds { seconds } = wait {
            self.rest(Duration::from_secs(*seconds)).await?;
            return Ok(format!("{seconds} s"));
        }
        let client = self.clients.read(step.target.cluster).map_err(|why| (Why::Failed, why))?;
        let (mut said, mut silent, mut so) = (String::new(), 0, "so it is".to_owned());
        loop {
            let far = match wait {
                Wait::NoPending => match self.sightings.pending_in(step.target.cluster) {
                    Some(0) => Far::There,
                    Some(n) => Far::Not(format!("{n} pods wait for room")),
                    None => Far::Not("the pods are not seen".to_owned()),
                },
                Wait::AlertGone { alert } => quiet(&self.clients, step.target.cluster, alert).await,
                Wait::Check { .. } => Far::Never("a check of a check".to_owned()),
                Wait::Gone
                | Wait::RolledOut
                | Wait::Scaled { .. }
                | Wait::Ready
                | Wait::Condition { .. }
                | Wait::Resized { .. }
                | Wait::Completed
                | Wait::Processed
                | Wait::Available
                | Wait::Seconds { .. } => match client.get_json(&step.target.path()).await {
                    Ok(live) => {
                        if let (Wait::Completed, Some(run)) = (wait, run(live["kind"].as_str().unwrap_or(""), &live)) {
                            so = run.words();
                        }
                        looked(wait, step, &live)
                    }
                    Err(ClientError::NotFound { .. }) if matches!(wait, Wait::Gone | Wait::Processed) => Far::There,
                    Err(ClientError::NotFound { .. }) => Far::Never("it is gone".to_owned()),
                    Err(e) => Far::Not(e.reason()),
                },
            };
            let far = match (far, wait) {
                (Far::Silent(why), Wait::Completed) if silent >= SILENCE && !once => turn(client, step).await.unwrap_or(Far::Silent(why)),
                (far, _) => far,
            };
            let quiet = matches!(far, Far::Silent(_));
            match far {
                Far::There => return Ok(so),
                Far::Never(why) => return Err((Why::Failed, why)),
                Far::Not(why) | Far::Silent(why) if once => return Err((Why::Failed, why)),
                Far::Silent(why) if silent >= SILENCE => return Err((Why::Unknown, why)),
                Far::Not(why) | Far::Silent(why) => {
                    silent = if quiet { silent + 1 } else { 0 };
                    if why != said {
                        said.clone_from(&why);
                        self.tell(at, StepState::Waits(why.clone()), None);
                    }
                    if Self::late() {
                        return Err((Why::Blocked, format!("not within the time limit: {why}")));
                    }
                }
            }
            self.rest(LOOK).await?;
        }
    }
}

/// Whether another one of the kind runs, whose end it may be waiting for: a server takes up one restore at a time, and an old one also one backup.
async fn turn(client: &ReadClient, step: &Step) -> Option<Far> {
    let all = client.get_json(&step.target.resource.path(&step.target.namespace)).await.ok()?;
    let kind = step.target.resource.kind.as_str();
    let runs = |o: &&Value| run(kind, o).is_some_and(|r| r.state() == RunState::Running);
    let other = all["items"].as_array()?.iter().find(runs)?;
    let name = other["metadata"]["name"].as_str().unwrap_or("another one");
    Some(Far::Not(format!("no Velero server has taken it up; {name} is {}", other["status"]["phase"].as_str().unwrap_or("under way"))))
}

/// Whether an alert has stopped. An Alertmanager that does not answer says nothing of it.
async fn quiet(clients: &Clients, cluster: ClusterId, alert: &str) -> Far {
    let alerts = match clients.alerts(cluster) {
        Ok(alerts) => alerts,
        Err(why) => return Far::Never(why),
    };
    match alerts.firing(alert).await {
        Ok(0) => Far::There,
        Ok(n) => Far::Not(format!("{alert} fires, {n} {}", if n == 1 { "alert" } else { "alerts" })),
        Err(e) => Far::Not(format!("Alertmanager: {}", e.reason())),
    }
}

fn looked(wait: &Wait, step: &Step, live: &Value) -> Far {
    let uid = |v: &Value| v["metadata"]["uid"].as_str().map(crate::model::Uid::parse);
    let other = step.target.uid.as_deref().map(crate::model::Uid::parse).is_some_and(|wanted| uid(live) != Some(wanted));
    match wait {
        Wait::Gone if other => Far::There,
        Wait::Gone => {
            let finalizer = live["metadata"]["finalizers"].get(0).and_then(Value::as_str);
            Far::Not(match finalizer.filter(|_| live["metadata"]["deletionTimestamp"].is_string()) {
                Some(finalizer) => format!("terminating: finalizer {finalizer}"),
                None => "it is still there".to_owned(),
            })
        }
        _ if other => Far::Never("another object has that name by now".to_owned()),
        Wait::RolledOut => rolled_out(live),
        Wait::Condition { condition, status } => conditioned(live, condition, status),
        Wait::Resized { container, resources } => resized(live, container, resources),
        Wait::Completed => completed(live),
        Wait::Processed => processed(live),
        Wait::Available => available(live),
        Wait::Scaled { replicas } => match live.pointer("/spec/replicas").and_then(Value::as_i64) {
            Some(is) if is != *replicas => Far::Never(format!("overridden: {} set {is} replicas", last_manager(live, "f:replicas"))),
            _ => rolled_out(live),
        },
        _ => ready(live),
    }
}

/// How a backup or a restore of Velero goes.
fn run(kind: &str, live: &Value) -> Option<VeleroRun> {
    let kind = if kind == "Restore" { Kind::Restore } else { Kind::Backup };
    match decode_json(kind, live.to_string().as_bytes(), &mut Interner::default()).ok()? {
        Object::Backup(b) => Some(b.run.clone()),
        Object::Restore(r) => Some(r.run.clone()),
        _ => None,
    }
}

/// Whether a backup or a restore is Completed: every other end is none that is good.
fn completed(live: &Value) -> Far {
    let Some(run) = run(live["kind"].as_str().unwrap_or(""), live) else {
        return Far::Never("it is neither a backup nor a restore".to_owned());
    };
    let queue =
        live["status"]["queuePosition"].as_i64().filter(|n| *n > 0).map_or_else(String::new, |n| format!(", place {n} in the queue"));
    match run.state() {
        RunState::Completed => Far::There,
        RunState::Partly | RunState::Failed => Far::Never(run.words()),
        RunState::Deleting => Far::Never("it is being deleted".to_owned()),
        RunState::Waiting if run.fresh() => Far::Silent("no Velero server has taken it up".to_owned()),
        RunState::Waiting | RunState::Running => Far::Not(format!("{}{queue}", run.words())),
    }
}

/// Whether Velero has done what a request asks for. What it has done well it deletes.
fn processed(live: &Value) -> Far {
    let errors: Vec<&str> = live["status"]["errors"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    match live["status"]["phase"].as_str().unwrap_or("") {
        "Processed" if errors.is_empty() => Far::There,
        "Processed" => Far::Never(format!("Velero: {}", errors.join("; "))),
        "" | "New" => Far::Silent("no Velero server has taken it up".to_owned()),
        phase => Far::Not(phase.to_owned()),
    }
}

/// Whether a storage location can be used.
fn available(live: &Value) -> Far {
    match live["status"]["phase"].as_str().unwrap_or("") {
        "Available" => Far::There,
        phase => {
            let message =
                live["status"]["message"].as_str().filter(|m| !m.is_empty()).map_or_else(String::new, |m| format!(": {}", m.trim()));
            Far::Not(format!("it is {}{message}", if phase.is_empty() { "not looked at yet" } else { phase }))
        }
    }
}

/// A condition of an object: type, status, reason and message.
fn condition<'a>(live: &'a Value, kind: &str) -> Option<(&'a str, String)> {
    let found = live["status"]["conditions"].as_array().into_iter().flatten().find(|c| c["type"] == kind)?;
    let text = |key: &str| found[key].as_str().unwrap_or("");
    let words = [text("reason"), text("message")].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(": ");
    Some((text("status"), words))
}

/// Whether a condition has that status.
fn conditioned(live: &Value, kind: &str, status: &str) -> Far {
    match condition(live, kind) {
        Some((is, _)) if is == status => Far::There,
        Some((is, words)) => {
            Far::Silent(format!("its condition {kind} is {is}{}", if words.is_empty() { words } else { format!(" ({words})") }))
        }
        None => Far::Silent(format!("its condition {kind} is not there: whether it is in effect is not known")),
    }
}

/// Whether the kubelet has given a container what was asked for. The spec alone says only what is wanted.
fn resized(live: &Value, container: &str, wanted: &[(String, String)]) -> Far {
    if let Some(("True", words)) = condition(live, "PodResizePending") {
        let never = words.starts_with("Infeasible");
        return if never {
            Far::Never(format!("the node cannot give it: {words}"))
        } else {
            Far::Not(format!("put off by the kubelet: {words}"))
        };
    }
    match condition(live, "PodResizeInProgress") {
        Some(("True", words)) if words.starts_with("Error") => return Far::Never(format!("the kubelet could not do it: {words}")),
        Some(("True", words)) => return Far::Not(format!("under way{}", if words.is_empty() { words } else { format!(": {words}") })),
        _ => {}
    }
    let statuses =
        ["containerStatuses", "initContainerStatuses"].into_iter().flat_map(|list| live["status"][list].as_array().into_iter().flatten());
    let has = statuses.into_iter().find(|s| s["name"] == container).map_or(&Value::Null, |s| &s["resources"]);
    let same = |pointer: &str, text: &str| {
        let is = has.pointer(pointer).and_then(Value::as_str).and_then(crate::model::quantity::milli);
        is.is_some() && is == crate::model::quantity::milli(text)
    };
    match wanted.iter().all(|(pointer, text)| same(pointer, text)) {
        true => Far::There,
        false => Far::Silent("the kubelet has not said anything: whether it is in effect is not known".to_owned()),
    }
}

/// Who wrote that field last, from managedFields.
fn last_manager(live: &Value, field: &str) -> String {
    let entries = live["metadata"]["managedFields"].as_array().into_iter().flatten();
    let owns = entries.filter(|e| e["fieldsV1"]["f:spec"].get(field).is_some());
    let last = owns.max_by_key(|e| e["time"].as_str().unwrap_or("").to_owned());
    last.and_then(|e| e["manager"].as_str()).unwrap_or("somebody").to_owned()
}

/// Whether a node, pod or Job is ready or complete.
pub fn ready(live: &Value) -> Far {
    let condition = |kind: &str| {
        let found = live["status"]["conditions"].as_array().into_iter().flatten().find(|c| c["type"] == kind);
        found.map(|c| (c["status"] == "True", c["reason"].as_str().unwrap_or("").to_owned()))
    };
    match live["kind"].as_str().unwrap_or("") {
        "Job" => match (condition("Complete"), condition("Failed")) {
            (Some((true, _)), _) => Far::There,
            (_, Some((true, why))) => Far::Never(format!("the Job failed: {why}")),
            _ => Far::Not("the Job is not complete".to_owned()),
        },
        _ => match condition("Ready") {
            Some((true, _)) => Far::There,
            Some((false, why)) => Far::Not(format!("not Ready{}", if why.is_empty() { String::new() } else { format!(": {why}") })),
            None => Far::Not("no Ready condition".to_owned()),
        },
    }
}

/// Whether a rollout has come to its end, by the rules of `kubectl rollout status`.
pub fn rolled_out(live: &Value) -> Far {
    let n = |pointer: &str| live.pointer(pointer).and_then(Value::as_i64);
    let (generation, observed) = (n("/metadata/generation").unwrap_or(0), n("/status/observedGeneration").unwrap_or(0));
    if observed < generation {
        return Far::Not("the controller has not seen the change yet".to_owned());
    }
    let status = |name: &str| n(&format!("/status/{name}")).unwrap_or(0);
    match live["kind"].as_str().unwrap_or("") {
        "Deployment" => {
            let late = live["status"]["conditions"].as_array().into_iter().flatten().any(|c| c["reason"] == "ProgressDeadlineExceeded");
            let (wanted, updated) = (n("/spec/replicas").unwrap_or(1), status("updatedReplicas"));
            let (all, available) = (status("replicas"), status("availableReplicas"));
            if late {
                Far::Never("its progress deadline was exceeded".to_owned())
            } else if updated < wanted {
                Far::Not(format!("{updated} of {wanted} updated"))
            } else if all > updated {
                Far::Not(format!("{} old replicas are still there", all - updated))
            } else if available < updated {
                Far::Not(format!("{available} of {updated} available"))
            } else {
                Far::There
            }
        }
        "DaemonSet" => {
            let (wanted, updated, available) =
                (status("desiredNumberScheduled"), status("updatedNumberScheduled"), status("numberAvailable"));
            if updated < wanted {
                Far::Not(format!("{updated} of {wanted} updated"))
            } else if available < wanted {
                Far::Not(format!("{available} of {wanted} available"))
            } else {
                Far::There
            }
        }
        "StatefulSet" => {
            if live["spec"]["updateStrategy"]["type"] == "OnDelete" {
                return Far::Never("its strategy is OnDelete: nothing rolls out by itself".to_owned());
            }
            let (wanted, ready, updated) = (n("/spec/replicas").unwrap_or(1), status("readyReplicas"), status("updatedReplicas"));
            let partition = n("/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
            if ready < wanted {
                Far::Not(format!("{ready} of {wanted} ready"))
            } else if partition > 0 && updated < wanted - partition {
                Far::Not(format!("{updated} of {} updated above the partition", wanted - partition))
            } else if partition == 0 && live["status"]["updateRevision"] != live["status"]["currentRevision"] {
                Far::Not(format!("{updated} of {wanted} updated"))
            } else {
                Far::There
            }
        }
        "ReplicaSet" => {
            let (wanted, ready) = (n("/spec/replicas").unwrap_or(1), status("readyReplicas"));
            let all = status("replicas");
            if all != wanted || ready < wanted { Far::Not(format!("{ready} of {wanted} ready")) } else { Far::There }
        }
        // Anything else that scales says it in status.replicas, where it says it at all.
        _ => match (n("/spec/replicas"), n("/status/replicas")) {
            (Some(wanted), Some(is)) if wanted != is => Far::Not(format!("{is} of {wanted} replicas")),
            _ => Far::There,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn an_alert_is_gone_when_its_alertmanager_says_so() {
        use crate::action::ClusterClients;
        use crate::client::fake::{Server, connect, reply, writes};
        use crate::config::{Endpoint, Reach, Setting};
        use crate::reach::Alertmanager;
        let server = Server::start(|request| match request.uri().query().unwrap_or("") {
            q if q.contains("Loud") => reply(200, r#"[{"labels": {"alertname": "Loud"}}]"#),
            q if q.contains("Broken") => reply(503, "no"),
            _ => reply(200, "[]"),
        })
        .await;
        let read = connect(&server, "").await;
        let endpoint = Endpoint { reach: Setting::default_to(Some(Reach::Urls(vec![server.url()]))), ..Endpoint::default() };
        let mut clients = Clients::default();
        for (n, endpoint) in [endpoint, Endpoint::default()].iter().enumerate() {
            let alerts = Alertmanager::of(endpoint, &read, Vec::new());
            let write = Ok(writes(&read).0);
            clients.add(ClusterId(u16::try_from(n).unwrap()), ClusterClients { read: read.clone(), write, alerts });
        }
        assert_eq!(quiet(&clients, ClusterId(0), "Quiet").await, Far::There);
        assert_eq!(quiet(&clients, ClusterId(0), "Loud").await, Far::Not("Loud fires, 1 alert".to_owned()));
        assert!(matches!(quiet(&clients, ClusterId(0), "Broken").await, Far::Not(_)), "no answer is not quiet");
        assert_eq!(quiet(&clients, ClusterId(1), "Quiet").await, Far::Never("no Alertmanager is configured or found".to_owned()));
    }

    #[test]
    fn a_rollout_ends_when_all_is_new_and_available() {
        let deployment = |status: Value| {
            rolled_out(&json!({"kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 3}, "status": status}))
        };
        let not = |text: &str| Far::Not(text.to_owned());
        assert_eq!(deployment(json!({"observedGeneration": 1})), not("the controller has not seen the change yet"));
        assert_eq!(deployment(json!({"observedGeneration": 2, "updatedReplicas": 1})), not("1 of 3 updated"));
        assert_eq!(
            deployment(json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 4})),
            not("1 old replicas are still there")
        );
        assert_eq!(
            deployment(json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 2})),
            not("2 of 3 available")
        );
        assert_eq!(deployment(json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 3})), Far::There);
        let late = json!({"observedGeneration": 2, "conditions": [{"reason": "ProgressDeadlineExceeded"}]});
        assert!(matches!(deployment(late), Far::Never(_)));
    }

    #[test]
    fn a_stateful_set_with_a_partition_is_done_above_it() {
        let set = |updated: i64| {
            rolled_out(&json!({"kind": "StatefulSet", "spec": {"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 2}}},
                "status": {"readyReplicas": 3, "updatedReplicas": updated, "updateRevision": "b", "currentRevision": "a"}}))
        };
        assert_eq!((set(0), set(1)), (Far::Not("0 of 1 updated above the partition".to_owned()), Far::There));
        assert!(matches!(rolled_out(&json!({"kind": "StatefulSet", "spec": {"updateStrategy": {"type": "OnDelete"}}})), Far::Never(_)));
    }

    #[test]
    fn a_resize_is_done_when_the_kubelet_says_so() {
        let pod = |conditions: Value, cpu: &str| {
            let live = json!({"kind": "Pod", "spec": {"containers": [{"name": "app", "resources": {"requests": {"cpu": "1"}}}]},
                "status": {"conditions": conditions, "containerStatuses": [{"name": "app", "resources": {"requests": {"cpu": cpu}}}]}});
            resized(&live, "app", &[("/requests/cpu".to_owned(), "1000m".to_owned())])
        };
        let pending = |reason: &str| json!([{"type": "PodResizePending", "status": "True", "reason": reason}]);
        assert_eq!(pod(json!([]), "1"), Far::There);
        assert!(matches!(pod(json!([]), "500m"), Far::Silent(_)), "wanted is not given");
        assert!(matches!(pod(pending("Infeasible"), "500m"), Far::Never(_)));
        assert!(matches!(pod(pending("Deferred"), "500m"), Far::Not(_)));
        assert!(matches!(pod(json!([{"type": "PodResizeInProgress", "status": "True"}]), "1"), Far::Not(_)));
        assert!(matches!(pod(json!([{"type": "PodResizeInProgress", "status": "True", "reason": "Error"}]), "1"), Far::Never(_)));
    }

    #[test]
    fn a_condition_that_nobody_writes_is_not_known() {
        let keda = |status: &str| conditioned(&json!({"status": {"conditions": [{"type": "Paused", "status": status}]}}), "Paused", "True");
        assert_eq!(keda("True"), Far::There);
        assert_eq!(keda("False"), Far::Silent("its condition Paused is False".to_owned()));
        assert!(matches!(conditioned(&json!({}), "Paused", "True"), Far::Silent(_)));
    }

    #[test]
    fn of_the_ends_of_a_backup_only_one_is_good() {
        let at = |kind: &str, status: Value| completed(&json!({"kind": kind, "metadata": {"name": "b"}, "status": status}));
        assert_eq!(at("Backup", json!({"phase": "Completed"})), Far::There);
        let running = json!({"phase": "InProgress", "progress": {"totalItems": 120, "itemsBackedUp": 12}});
        assert_eq!(at("Backup", running), Far::Not("InProgress, 12 of 120 items".to_owned()));
        let restored = json!({"phase": "InProgress", "progress": {"totalItems": 9, "itemsRestored": 3}});
        assert_eq!(at("Restore", restored), Far::Not("InProgress, 3 of 9 items".to_owned()));
        assert_eq!(at("Backup", json!({"phase": "Queued", "queuePosition": 2})), Far::Not("Queued, place 2 in the queue".to_owned()));
        let partly = json!({"phase": "PartiallyFailed", "errors": 1, "progress": {"totalItems": 5, "itemsBackedUp": 5}});
        assert_eq!(at("Backup", partly), Far::Never("PartiallyFailed, 5 items, 1 error".to_owned()));
        let invalid = json!({"phase": "FailedValidation", "validationErrors": ["no such location"]});
        assert_eq!(at("Backup", invalid), Far::Never("FailedValidation: no such location".to_owned()));
        for fresh in [json!({}), json!({"phase": "New"})] {
            assert_eq!(at("Backup", fresh), Far::Silent("no Velero server has taken it up".to_owned()));
        }
        assert!(matches!(at("Backup", json!({"phase": "Deleting"})), Far::Never(_)));
    }

    #[test]
    fn a_request_that_was_turned_down_says_why() {
        let at = |status: Value| processed(&json!({"status": status}));
        assert_eq!(at(json!({"phase": "Processed"})), Far::There);
        let refused = json!({"phase": "Processed", "errors": ["backup is still in progress"]});
        assert_eq!(at(refused), Far::Never("Velero: backup is still in progress".to_owned()));
        assert!(matches!((at(json!({})), at(json!({"phase": "InProgress"}))), (Far::Silent(_), Far::Not(_))));
        let location = |status: Value| available(&json!({"status": status}));
        assert_eq!(location(json!({"phase": "Available"})), Far::There);
        assert_eq!(location(json!({"phase": "Unavailable", "message": "refused\n"})), Far::Not("it is Unavailable: refused".to_owned()));
    }

    #[test]
    fn jobs_end_well_or_not() {
        let job = |kind: &str| ready(&json!({"kind": "Job", "status": {"conditions": [{"type": kind, "status": "True", "reason": "r"}]}}));
        assert_eq!((job("Complete"), job("Failed")), (Far::There, Far::Never("the Job failed: r".to_owned())));
        let node =
            json!({"kind": "Node", "status": {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}]}});
        assert_eq!(ready(&node), Far::Not("not Ready: NodeStatusUnknown".to_owned()));
    }
}
