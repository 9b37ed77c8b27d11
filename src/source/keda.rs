//! What of KEDA stands still: ScaledObjects and ScaledJobs that are paused, or whose triggers fail.

use super::asked::{Condition, Wire, list, time};
use crate::client::{ClientError, ReadClient};
use crate::model::Str;
use crate::model::asked::Scaled;
use serde_json::Value;

const PAUSES: [&str; 4] = ["paused", "paused-replicas", "paused-scale-in", "paused-scale-out"];

/// Those that stand still, of both kinds; none of a kind that is not there, or may not be listed beside the first.
pub(super) async fn scaled(client: &ReadClient) -> Result<Box<[Scaled]>, ClientError> {
    let objects: Vec<Wire<Value, Value>> = list(client, "/apis/keda.sh/v1alpha1/scaledobjects").await?;
    let jobs: Vec<Wire<Value, Value>> = list(client, "/apis/keda.sh/v1alpha1/scaledjobs").await.unwrap_or_default();
    let objects = objects.into_iter().map(|one| {
        let target = &one.spec["scaleTargetRef"];
        let text = |key: &str, none: &str| Str::from(target[key].as_str().unwrap_or(none));
        let target = (text("kind", "Deployment"), text("name", ""));
        (one, target)
    });
    let jobs = jobs.into_iter().map(|one| {
        let target = (Str::from("ScaledJob"), Str::from(&*one.metadata.name));
        (one, target)
    });
    let troubled = objects.chain(jobs).filter_map(|(one, target)| {
        let conditions: Vec<Condition> = serde_json::from_value(one.status["conditions"].clone()).unwrap_or_default();
        let is = |kind: &str, status: &str| conditions.iter().find(|c| c.r#type == kind && c.status == status);
        let annotation = |name: &&str| {
            let value = one.metadata.annotations.get(&format!("autoscaling.keda.sh/{name}"))?;
            (value != "false").then(|| Str::from(format!("{name}={value}")))
        };
        // Who wrote it, and when they last wrote anything of this object.
        let written = one.metadata.managed_fields.iter().find(|m| {
            let annotations = m["fieldsV1"]["f:metadata"]["f:annotations"].as_object();
            annotations.is_some_and(|all| PAUSES.iter().any(|p| all.contains_key(&format!("f:autoscaling.keda.sh/{p}"))))
        });
        let paused: Box<[Str]> = PAUSES.iter().filter_map(annotation).collect();
        let wrong = is("Ready", "False").filter(|_| paused.is_empty()).or_else(|| is("Fallback", "True"));
        let health = one.status["health"].as_object().into_iter().flatten();
        let failing: Box<[(Str, i64)]> =
            health.filter_map(|(name, h)| Some((Str::from(&**name), h["numberOfFailures"].as_i64().filter(|n| *n >= 3)?))).collect();
        if paused.is_empty() && wrong.is_none() && failing.is_empty() {
            return None;
        }
        Some(Scaled {
            namespace: one.metadata.namespace.into(),
            name: one.metadata.name.into(),
            target,
            since: is("Paused", "True")
                .and_then(Condition::since)
                .or_else(|| time(written?["time"].as_str()?))
                .filter(|_| !paused.is_empty()),
            by: written.and_then(|w| w["manager"].as_str()).map(Str::from),
            wrong: wrong.map(|c| (c.r#type.as_str().into(), c.message.clone().unwrap_or_default())),
            wrong_since: wrong.and_then(Condition::since),
            paused,
            failing,
        })
    });
    Ok(troubled.collect())
}

#[cfg(test)]
mod tests {
    use super::super::asked::tests::{heard, ok};
    use crate::client::fake::reply;
    use serde_json::{Value, json};

    #[tokio::test]
    async fn what_stands_still() {
        let one = |name: &str, annotations: Value, conditions: Value, failures: i64| {
            json!({"metadata": {"name": name, "namespace": "pay", "annotations": annotations}, "spec": {"scaleTargetRef": {"name": "web"}},
                "status": {"conditions": conditions, "health": {"s0-cron": {"numberOfFailures": failures, "status": "Failing"}}}})
        };
        let ready = |status: &str| json!([{"type": "Ready", "status": status, "message": "m"}]);
        let (asked, _) = heard(
            move |r| match r.uri().path() {
                "/apis/keda.sh/v1alpha1/scaledobjects" => ok(&json!({"items": [
                    one("fine", json!({}), ready("True"), 0), one("paused", json!({"autoscaling.keda.sh/paused": "true"}), ready("False"), 0),
                    one("on", json!({"autoscaling.keda.sh/paused": "false"}), ready("True"), 2), one("wrong", json!({}), ready("False"), 0),
                    one("fails", json!({}), ready("True"), 3)]})),
                "/apis/keda.sh/v1alpha1/scaledjobs" => ok(&json!({"items": [one("paused", json!({"autoscaling.keda.sh/paused": "true"}), ready("True"), 0),
                    one("runs", json!({}), ready("True"), 0)]})),
                _ => reply(404, "{}"),
            },
            1,
        )
        .await;
        let facts = asked.scaled.unwrap();
        let dated: Vec<_> = facts.iter().map(|s| (s.since.is_some(), s.wrong_since.is_some())).collect();
        assert_eq!(dated, [(true, false), (false, true), (false, false), (true, false)]);
        let job = &facts[3].target;
        assert_eq!((&*job.0, &*job.1), ("ScaledJob", "paused"));
        let facts: Vec<_> = facts.iter().map(|s| (&*s.name, s.paused.len(), s.wrong.is_some(), s.failing.len())).collect();
        assert_eq!(facts, [("paused", 1, false, 0), ("wrong", 0, true, 0), ("fails", 0, false, 1), ("paused", 1, false, 0)]);
    }
    #[tokio::test]
    async fn who_paused_it_and_since_when() {
        let one = |name: &str, pause: &str, conditions: Value| {
            let written = json!([
                {"manager": "helm", "time": "2020-01-01T00:00:00Z", "fieldsV1": {"f:metadata": {"f:annotations": {"f:other": {}}}}},
                {"manager": "kubectl-annotate", "operation": "Update", "time": "2020-01-02T00:00:00Z",
                    "fieldsV1": {"f:metadata": {"f:annotations": {format!("f:autoscaling.keda.sh/{pause}"): {}}}}}]);
            json!({"metadata": {"name": name, "namespace": "pay", "managedFields": written, "annotations": {format!("autoscaling.keda.sh/{pause}"): "0"}},
                "spec": {"scaleTargetRef": {"name": "web"}}, "status": {"conditions": conditions}})
        };
        let paused = json!([{"type": "Paused", "status": "True", "lastTransitionTime": "2020-01-03T00:00:00Z"}]);
        let all = json!({"items": [one("in", "paused-scale-in", json!([])), one("out", "paused-scale-out", json!([])), one("at", "paused-replicas", paused)]});
        let (asked, _) = heard(move |r| if r.uri().path().ends_with("/scaledobjects") { ok(&all) } else { reply(404, "{}") }, 1).await;
        let scaled = asked.scaled.unwrap();
        let facts: Vec<_> = scaled.iter().map(|s| (&*s.paused[0], s.by.as_deref(), s.since.map(crate::model::Time::rfc3339))).collect();
        let (by, at) = (Some("kubectl-annotate"), |day: u32| Some(format!("2020-01-0{day}T00:00:00Z")));
        assert_eq!(facts, [("paused-scale-in=0", by, at(2)), ("paused-scale-out=0", by, at(2)), ("paused-replicas=0", by, at(3))]);
    }
}
