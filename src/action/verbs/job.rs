//! `trigger`: a Job from a CronJob's template, now. `retry-job`: a Job once more, as a new one with the same template.

use super::template::{LONGEST, away, literals, owners, stamped};
use super::{Request, Snapshot, Stop, nothing, subject};
use crate::model::{Act, Kind, Level, Method, Object, Plan, Step, Target, Wait, Write};
use serde_json::{Value, json};

/// Labels and annotations that belong to one Job alone.
const OWN: &[&str] = &[
    "controller-uid",
    "job-name",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
    "batch.kubernetes.io/job-tracking",
    "batch.kubernetes.io/cronjob-scheduled-timestamp",
    "kubectl.kubernetes.io/last-applied-configuration",
    "cronjob.kubernetes.io/instantiate",
];

pub fn trigger(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let mut plan = Plan::new(request.verb, &request.args, format!("trigger {}", subject(request)));
    if request.args.get("name").is_some() && request.targets.len() > 1 {
        return Err(Stop::refuse("usage", "one name is for one Job: leave it out for several CronJobs"));
    }
    for (lane, (target, cron)) in request.targets.iter().zip(snapshot.objects(&request.targets)?).enumerate() {
        let name = match request.args.get("name") {
            Some(name) => checked(name)?,
            None => stamped(&target.name, "manual", snapshot.now),
        };
        let template = &cron["spec"]["jobTemplate"];
        let mut metadata = json!({"name": name, "namespace": target.namespace, "labels": template["metadata"]["labels"],
            "annotations": template["metadata"]["annotations"]});
        metadata["annotations"]["cronjob.kubernetes.io/instantiate"] = "manual".into();
        metadata["ownerReferences"] = json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": target.name,
            "uid": cron["metadata"]["uid"], "controller": true}]);
        if metadata["labels"].is_null() {
            metadata["labels"] = json!({});
        }
        let text = format!("create job {}/{name} from {}", target.namespace, target.label());
        create(&mut plan, target, lane, text, &name, metadata, template["spec"].clone());
        let running = cron["status"]["active"].as_array().map_or(0, Vec::len);
        let policy = cron["spec"]["concurrencyPolicy"].as_str().unwrap_or("Allow");
        if running > 0 && policy != "Allow" {
            plan.note(
                Level::Warning,
                format!("{running} Jobs of {} run already, and its policy is {policy}: this one runs beside them", target.label()),
            );
        } else if policy == "Forbid" {
            plan.note(Level::Info, format!("while it runs, {} starts no other: its policy is Forbid", target.label()));
        }
        if cron["spec"]["suspend"] == true {
            plan.note(Level::Info, format!("{} is suspended and stays so", target.label()));
        }
    }
    plan.undo_text = "deletes the new Job and its pods; what it has done stays done".to_owned();
    Ok(plan)
}

pub fn retry(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let mut plan = Plan::new(request.verb, &request.args, format!("retry {}", subject(request)));
    for (lane, (target, job)) in request.targets.iter().zip(snapshot.objects(&request.targets)?).enumerate() {
        let conditions = job["status"]["conditions"].as_array();
        let ended = |kind: &str| conditions.into_iter().flatten().any(|c| c["type"] == kind && c["status"] == "True");
        if !ended("Complete") && !ended("Failed") {
            return Err(Stop::refuse("usage", format!("{} has not ended: it would run twice at once", target.label()))
                .with_hint("delete it first, or wait until it has ended"));
        }
        if ended("Complete") {
            plan.note(Level::Warning, format!("{} was complete: its work is done once more", target.label()));
        }
        // The retry of a retry is not longer than the first one.
        let first = target.name.split("-retry-").next().unwrap_or(&target.name);
        let name = stamped(first, "retry", snapshot.now);
        let mut spec = job["spec"].clone();
        if let Some(spec) = spec.as_object_mut() {
            for key in ["selector", "manualSelector", "suspend"] {
                spec.shift_remove(key);
            }
        }
        if let Some(labels) = spec.pointer_mut("/template/metadata/labels").and_then(Value::as_object_mut) {
            labels.retain(|k, _| !OWN.contains(&k.as_str()));
        }
        let mut metadata = json!({"name": name, "namespace": target.namespace});
        for key in ["labels", "annotations"] {
            let kept = job["metadata"][key].as_object().into_iter().flatten().filter(|(k, _)| !OWN.contains(&k.as_str()));
            metadata[key] = Value::Object(kept.map(|(k, v)| (k.clone(), v.clone())).collect());
        }
        metadata["annotations"]["quarterdeck.io/retry-of"] = target.name.clone().into();
        owned(snapshot, &mut plan, target, job, &mut metadata);
        let text = format!("create job {}/{name} like {}", target.namespace, target.label());
        create(&mut plan, target, lane, text, &name, metadata, spec);
        owners(&mut plan, target, job, "the Jobs");
    }
    if plan.steps.is_empty() {
        return Err(nothing(&plan));
    }
    plan.undo_text = "deletes the new Job and its pods; what it has done stays done".to_owned();
    Ok(plan)
}

/// The CronJob that owned the old Job owns the new one, if it is still there; nobody else does.
fn owned(snapshot: &Snapshot, plan: &mut Plan, target: &Target, job: &Value, metadata: &mut Value) {
    let Some(owner) = job["metadata"]["ownerReferences"].as_array().into_iter().flatten().find(|o| o["controller"] == true) else { return };
    let name = owner["name"].as_str().unwrap_or("");
    let cron = snapshot.store.cluster(target.cluster).and_then(|c| c.named(Kind::CronJob, &target.namespace, name));
    let same = |o: &Object| owner["uid"].as_str().map(crate::model::Uid::parse) == Some(o.meta().uid);
    if owner["kind"] == "CronJob" && cron.is_some_and(same) {
        metadata["ownerReferences"] = json!([owner]);
        metadata["annotations"]["cronjob.kubernetes.io/instantiate"] = "manual".into();
    } else {
        let kind = owner["kind"].as_str().unwrap_or("owner");
        plan.note(Level::Warning, format!("{} belongs to {} {name}; the new one belongs to nobody", target.label(), kind.to_lowercase()));
    }
}

/// The steps that create a Job and wait for its end.
fn create(plan: &mut Plan, from: &Target, lane: usize, text: String, name: &str, metadata: Value, spec: Value) {
    let job = Target { resource: Kind::Job.into(), name: name.to_owned(), uid: None, ..from.clone() };
    let pods = spec["parallelism"].as_i64().unwrap_or(1);
    let suspended = spec["suspend"] == true;
    let body = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec});
    let collection = Write { method: Method::Post, path: job.resource.path(&job.namespace), query: String::new(), body };
    let back = Write { method: Method::Delete, path: job.path(), query: String::new(), body: away() };
    let mut step = Step::new(text, &job, Act::Write(collection.clone())).undone_by(format!("delete job {}/{name}", job.namespace), back);
    step.sensitive = literals(&collection.body);
    plan.steps.push(step.at(lane, 0));
    if suspended {
        plan.note(Level::Warning, format!("the template says suspend: job {}/{name} waits until that is taken back", job.namespace));
    } else {
        plan.steps.push(Step::new(format!("wait for job {}/{name}", job.namespace), &job, Act::Wait(Wait::Ready)).at(lane, 1));
    }
    let blast = plan.blast_in(from.cluster);
    blast.workloads += 1;
    blast.pods += u32::try_from(pods).unwrap_or(1);
}

/// A name that a Job may have.
fn checked(name: &str) -> Result<String, Stop> {
    let inner = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.'));
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if inner && ends(name.chars().next()) && ends(name.chars().last()) && name.len() <= LONGEST {
        return Ok(name.to_owned());
    }
    Err(Stop::refuse("usage", format!("`{name}` is no name for a Job: lower-case letters, digits and -, {LONGEST} at most")))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;
    use crate::model::VerbId;

    fn cron(more: impl FnOnce(&mut Value)) -> Value {
        let mut cron = json!({"metadata": {"name": "report", "namespace": "pay", "uid": "00000000-0000-4000-8000-0000000000aa"},
            "spec": {"schedule": "0 * * * *", "jobTemplate": {"metadata": {"labels": {"app": "report"}},
                "spec": {"template": {"spec": {"containers": [{"name": "app", "image": "r/app:1"}], "restartPolicy": "Never"}}}}}});
        more(&mut cron);
        cron
    }

    fn body(plan: &Plan) -> Value {
        let Act::Write(write) = &plan.steps[0].act else { panic!() };
        assert_eq!((write.method, write.path.as_str()), (Method::Post, "/apis/batch/v1/namespaces/pay/jobs"));
        write.body.clone()
    }

    #[test]
    fn a_job_is_made_of_the_template_and_belongs_to_its_cron_job() {
        let mut f = Fixture::new();
        f.add(
            Kind::CronJob,
            cron(|c| {
                c["spec"]["concurrencyPolicy"] = "Forbid".into();
                c["status"] = json!({"active": [{}]});
            }),
        );
        let plan = f.plan(VerbId::Trigger, Kind::CronJob, &["report"], "").unwrap();
        let job = body(&plan);
        assert_eq!(job["metadata"]["name"], "report-manual-20260301-024730");
        assert_eq!(job["metadata"]["labels"], json!({"app": "report"}));
        assert_eq!(job["metadata"]["annotations"], json!({"cronjob.kubernetes.io/instantiate": "manual"}));
        assert_eq!(job["metadata"]["ownerReferences"][0]["uid"], "00000000-0000-4000-8000-0000000000aa");
        assert_eq!(plan.steps[0].permission().unwrap().words(), "create jobs in pay");
        assert!(plan.notes[0].text.contains("its policy is Forbid: this one runs beside them"));
        let undo = plan.steps[0].undo.as_ref().unwrap();
        assert_eq!(
            (undo.act.request().unwrap().method, undo.act.request().unwrap().path.as_str()),
            (Method::Delete, "/apis/batch/v1/namespaces/pay/jobs/report-manual-20260301-024730")
        );
        assert_eq!(plan.steps[1].act, Act::Wait(Wait::Ready));
        assert!(f.plan(VerbId::Trigger, Kind::CronJob, &["report"], "name=Bad_Name").unwrap_err().contains("is no name for a Job"));
    }

    #[test]
    fn values_in_the_template_are_secret_and_the_job_can_be_deleted_all_the_same() {
        let mut f = Fixture::new();
        f.add(
            Kind::CronJob,
            cron(|c| {
                c["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["env"] =
                    json!([{"name": "TOKEN", "value": "canary"}]);
            }),
        );
        let plan = f.plan(VerbId::Trigger, Kind::CronJob, &["report"], "name=now").unwrap();
        let kept = plan.redacted("salt");
        assert!(plan.steps[0].sensitive && !serde_json::to_string(&kept).unwrap().contains("canary"));
        assert_eq!(kept.steps[0].undo.as_ref().unwrap().act.request().unwrap().body["propagationPolicy"], "Background");
    }

    #[test]
    fn a_retry_leaves_out_what_belongs_to_the_old_job() {
        let mut f = Fixture::new();
        f.add(
            Kind::Job,
            json!({"metadata": {"name": "migrate-retry-20260301-000000", "namespace": "pay", "labels": {"app": "m", "batch.kubernetes.io/job-name": "migrate"},
                    "ownerReferences": [{"kind": "CronJob", "name": "gone", "uid": "x", "controller": true}]},
                "spec": {"parallelism": 2, "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
                    "template": {"metadata": {"labels": {"app": "m", "controller-uid": "u", "job-name": "migrate"}}, "spec": {}}},
                "status": {"conditions": [{"type": "Failed", "status": "True"}]}}),
        );
        let plan = f.plan(VerbId::RetryJob, Kind::Job, &["migrate-retry-20260301-000000"], "").unwrap();
        let job = body(&plan);
        assert_eq!(job["metadata"]["name"], "migrate-retry-20260301-024730");
        assert_eq!(job["spec"], json!({"parallelism": 2, "template": {"metadata": {"labels": {"app": "m"}}, "spec": {}}}));
        assert_eq!((&job["metadata"]["labels"], &job["metadata"]["ownerReferences"]), (&json!({"app": "m"}), &Value::Null));
        assert!(plan.notes[0].text.ends_with("belongs to cronjob gone; the new one belongs to nobody"));
        f.add(Kind::Job, json!({"metadata": {"name": "busy", "namespace": "pay"}, "status": {"active": 1}}));
        let refused = f.plan(VerbId::RetryJob, Kind::Job, &["busy"], "").unwrap_err();
        assert_eq!(refused, "job pay/busy has not ended: it would run twice at once");
    }
}
