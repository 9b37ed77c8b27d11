//! One eviction: asked for until the budgets allow it, then waited for until the pod is gone. A pod that is blocked holds up no other.

use super::{Ended, Run, Why};
use crate::client::ClientError;
use crate::model::{Act, Method, Step, StepState, Uid, Write};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// Between two tries of a blocked pod, growing.
const AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));
/// A pod that goes is looked at this often where no watch tells of it.
const LOOK: Duration = Duration::from_secs(5);

/// What a pod that is looked at is.
enum Pod {
    Gone,
    /// Being deleted, with its finalizers.
    Leaving(Vec<String>),
    There,
}

impl Run {
    pub(super) async fn evict(&self, at: usize, step: &Step) -> Ended {
        let Act::Evict { grace, no_wait, keep_capacity, delete } = step.act else { return Err((Why::Failed, "no eviction".to_owned())) };
        let cluster = step.target.cluster;
        let client = self.clients.write(cluster).map_err(|why| (Why::Failed, why))?;
        let awaited = self.sightings.await_gone(cluster, step.target.uid.as_deref().map(Uid::parse).unwrap_or_default());
        let request = request(step, grace, delete);
        let mut alone = None;
        let (mut tries, mut said) = (0u32, String::new());
        loop {
            self.turn().await.map_err(|s| stopped(s, &said))?;
            if keep_capacity {
                alone = Some(self.alone.lock().await);
                self.turn().await.map_err(|s| stopped(s, &said))?;
                self.capacity(at, step).await.map_err(|s| stopped(s, &said))?;
            }
            // Whoever has that name now may be another pod.
            if tries > 0 {
                match self.pod(step).await {
                    Ok(Pod::Gone) => return Ok("gone".to_owned()),
                    Ok(Pod::Leaving(_)) => break,
                    Ok(Pod::There) | Err(_) => {}
                }
            }
            let answer = {
                let _place = self.requests.acquire().await;
                client.send(&request, &self.receipt).await
            };
            tries += 1;
            let (mut why, mut wait) = match &answer {
                Ok(answer) => (answer.message(), answer.retry_after),
                Err(e) => (e.reason(), None),
            };
            match &answer {
                Ok(a) if a.ok() => {
                    self.tell(at, StepState::Running, Some(a));
                    break;
                }
                Ok(a) if a.code == 404 => return Ok("gone already".to_owned()),
                // The uid is another one: what we meant is gone.
                Ok(a) if a.code == 409 => match self.pod(step).await {
                    Ok(Pod::Gone) => return Ok("replaced already".to_owned()),
                    Ok(Pod::Leaving(_)) => break,
                    _ => {}
                },
                Ok(a) if a.code == 429 => {
                    let causes: Vec<&str> = a
                        .causes()
                        .filter(|(kind, ..)| *kind == "DisruptionBudget")
                        .map(|(.., text)| text.strip_prefix("The disruption ").unwrap_or(text))
                        .collect();
                    if !causes.is_empty() {
                        why = causes.join("; ");
                    } else if a.throttled {
                        why = "the API server is throttling us".to_owned();
                        wait = wait.or(Some(Duration::from_secs(1)));
                    }
                }
                Ok(a) if a.code == 403 && a.caused_by("NamespaceTerminating") => match self.pod(step).await {
                    Ok(Pod::Gone) => return Ok("gone".to_owned()),
                    Ok(Pod::Leaving(_)) => break,
                    _ => {}
                },
                Ok(a) if a.code >= 500 && !a.message().contains("more than one PodDisruptionBudget") => {}
                Ok(_) => return Err((Why::Failed, why)),
                Err(e) if e.is_auth() || matches!(e, ClientError::Forbidden { .. }) => return Err((Why::Failed, why)),
                Err(_) => {}
            }
            if why != said {
                said.clone_from(&why);
                self.tell(at, StepState::Blocked(why.clone()), answer.as_ref().ok());
            }
            if Self::late() {
                return Err((Why::Blocked, why));
            }
            // Who is blocked gives the others their turn.
            drop(alone.take());
            let backoff = AGAIN.0.saturating_mul(tries.min(6)).min(AGAIN.1).mul_f64(0.8 + 0.4 * fastrand::f64());
            self.rest(wait.map_or(backoff, |w| w.max(backoff))).await.map_err(|s| stopped(s, &said))?;
        }
        if no_wait {
            return Ok("asked for".to_owned());
        }
        let ended = self.leaving(at, step, awaited).await;
        drop(alone);
        ended
    }

    /// Waits until a pod that goes is gone, and says what keeps it when it takes longer than it was given.
    async fn leaving(&self, at: usize, step: &Step, awaited: super::super::sightings::Awaited) -> Ended {
        let began = Instant::now();
        let mut said = String::new();
        self.tell(at, StepState::Running, None);
        loop {
            tokio::select! {
                () = awaited.gone() => return Ok("gone".to_owned()),
                rested = self.rest(LOOK) => if rested.is_err() {
                    return Ok("evicted; its end was not waited for".to_owned());
                },
            }
            match self.pod(step).await {
                Ok(Pod::Gone) => return Ok("gone".to_owned()),
                Ok(Pod::Leaving(finalizers)) => {
                    let why = match finalizers.first() {
                        Some(finalizer) => format!("terminating: finalizer {finalizer}"),
                        None => format!("terminating for {} s", began.elapsed().as_secs() / 30 * 30),
                    };
                    if why != said && began.elapsed() > Duration::from_secs(25) {
                        said.clone_from(&why);
                        self.tell(at, StepState::Blocked(why.clone()), None);
                    }
                    if Self::late() {
                        return Err((Why::Blocked, why));
                    }
                }
                Ok(Pod::There) | Err(_) if Self::late() => return Err((Why::Blocked, "it is still there".to_owned())),
                Ok(Pod::There) | Err(_) => {}
            }
        }
    }

    /// Waits while more pods wait for room than did when the job began.
    async fn capacity(&self, at: usize, step: &Step) -> Result<(), (Why, String)> {
        let cluster = step.target.cluster;
        let most = self.pending.get(&cluster).copied().unwrap_or(0);
        let mut said = false;
        while let Some(now) = self.sightings.pending_in(cluster).filter(|now| *now > most) {
            let why = format!("{} pods wait for room", now - most);
            if !said {
                self.tell(at, StepState::Blocked(why.clone()), None);
                said = true;
            }
            if Self::late() {
                return Err((Why::Blocked, why));
            }
            tokio::select! {
                () = self.sightings.changed() => {}
                rested = self.rest(LOOK) => rested?,
            }
        }
        Ok(())
    }

    async fn pod(&self, step: &Step) -> Result<Pod, String> {
        let client = self.clients.read(step.target.cluster)?;
        let pod = match client.get_json(&step.target.path()).await {
            Ok(pod) => pod,
            Err(ClientError::NotFound { .. }) => return Ok(Pod::Gone),
            Err(e) => return Err(e.reason()),
        };
        let uid = pod["metadata"]["uid"].as_str().unwrap_or("");
        if step.target.uid.as_deref().is_some_and(|wanted| Uid::parse(wanted) != Uid::parse(uid)) {
            return Ok(Pod::Gone);
        }
        let finalizers = pod["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
        Ok(if pod["metadata"]["deletionTimestamp"].is_string() { Pod::Leaving(finalizers.collect()) } else { Pod::There })
    }
}

/// Who stops learns what it was waiting for.
fn stopped((why, words): (Why, String), said: &str) -> (Why, String) {
    (why, if said.is_empty() { words } else { format!("{words}; it was blocked: {said}") })
}

/// kube's own eviction loses the delete options; this one has them.
fn request(step: &Step, grace: Option<i64>, delete: bool) -> Write {
    let t = &step.target;
    let mut options = json!({});
    if let Some(seconds) = grace {
        options["gracePeriodSeconds"] = seconds.into();
    }
    if let Some(uid) = &t.uid {
        options["preconditions"] = json!({"uid": uid});
    }
    if delete {
        options["kind"] = "DeleteOptions".into();
        options["apiVersion"] = "v1".into();
        return Write { method: Method::Delete, path: t.path(), query: String::new(), body: options };
    }
    let body = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": t.name, "namespace": t.namespace}, "deleteOptions": options});
    Write { method: Method::Post, path: format!("{}/eviction", t.path()), query: String::new(), body }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Clients, ClusterClients, Sightings};
    use super::*;
    use crate::client::fake::{Reply, Server, connect, reply, writes};
    use crate::model::{Args, ClusterId, Control, JobId, Kind, Method, Plan, Progress, Target, VerbId};
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};
    use tokio::sync::{Semaphore, mpsc, watch};

    fn status(code: u16, message: &str, cause: &str) -> Reply {
        let causes = json!([{"reason": cause, "message": message}]);
        reply(code, json!({"kind": "Status", "code": code, "message": message, "details": {"causes": causes}}).to_string())
    }

    /// A job of evictions of these pods, whose uids are their names, of a cluster that answers so.
    async fn job(
        pods: &[&str],
        keep_capacity: bool,
        answer: impl Fn(&str, bool) -> Reply + Send + Sync + 'static,
    ) -> (tempfile::TempDir, Run, watch::Sender<Control>, mpsc::UnboundedReceiver<Progress>) {
        let server = Server::start(move |request| {
            let path = request.uri().path().trim_end_matches("/eviction");
            answer(path.rsplit('/').next().unwrap_or(""), request.method() == "POST")
        })
        .await;
        let read = connect(&server, "token: t").await;
        let (write, receipt) = writes(&read);
        let mut clients = Clients::default();
        clients.add(ClusterId(0), ClusterClients { read, write: Ok(write), alerts: None });
        let mut plan = Plan::new(VerbId::Evict, &Args::parse(VerbId::Evict.info(), "").unwrap(), "evict");
        for name in pods {
            let target = Target {
                cluster: ClusterId(0),
                resource: Kind::Pod.into(),
                namespace: "pay".into(),
                name: (*name).into(),
                uid: Some((*name).into()),
            };
            let act = Act::Evict { grace: None, no_wait: false, keep_capacity, delete: false };
            plan.steps.push(Step::new(format!("evict {name}"), &target, act));
        }
        let dir = tempfile::tempdir().unwrap();
        let journal = crate::state::StateDir::at(dir.path()).unwrap().journal();
        let ((progress, told), (lead, control)) = (mpsc::unbounded_channel(), watch::channel(Control::Run));
        let run = Run {
            plan,
            id: JobId("j".into()),
            journal,
            receipt,
            clients,
            sightings: Sightings::default(),
            progress,
            control,
            requests: Semaphore::new(8),
            alone: tokio::sync::Mutex::new(()),
            who: "ada@bastion".into(),
            pending: BTreeMap::new(),
            ended: Mutex::new(BTreeMap::new()),
            added: Mutex::new(Vec::new()),
        };
        (dir, run, lead, told)
    }

    async fn ended(run: &Run, at: usize) -> Ended {
        run.evict(at, &run.plan.steps[at]).await
    }

    #[tokio::test]
    async fn every_answer_of_the_eviction_api_is_understood() {
        let pods = ["two", "replaced", "closing", "gone", "denied"];
        let (_dir, run, _lead, _told) = job(&pods, false, |pod, evicts| match (pod, evicts) {
            ("two", _) => {
                status(500, "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.", "")
            }
            ("replaced", true) => status(409, "Precondition failed: UID in precondition", ""),
            ("closing", true) => status(403, "namespace pay is being terminated", "NamespaceTerminating"),
            ("gone", _) => status(404, "pods \"gone\" not found", ""),
            ("denied", _) => status(403, "pods \"denied\" is forbidden", ""),
            (_, _) => reply(200, json!({"metadata": {"uid": "another"}}).to_string()),
        })
        .await;
        assert!(matches!(ended(&run, 0).await, Err((Why::Failed, why)) if why.contains("more than one")));
        assert_eq!(ended(&run, 1).await, Ok("replaced already".to_owned()));
        assert_eq!(ended(&run, 2).await, Ok("gone".to_owned()));
        assert_eq!(ended(&run, 3).await, Ok("gone already".to_owned()));
        assert!(matches!(ended(&run, 4).await, Err((Why::Failed, _))));
    }

    #[tokio::test]
    async fn a_blocked_pod_holds_up_no_other_where_capacity_is_kept_and_says_who_blocks_when_it_is_stopped() {
        let (_dir, run, lead, mut told) = job(&["db", "web"], true, |pod, evicts| match (pod, evicts) {
            ("db", true) => status(429, "The disruption budget db needs 1 healthy pods and has 1 currently", "DisruptionBudget"),
            ("web", true) => reply(201, json!({"kind": "Status", "status": "Success", "code": 201}).to_string()),
            ("web", false) => status(404, "pods \"web\" not found", ""),
            (_, _) => reply(200, json!({"metadata": {"uid": "db"}}).to_string()),
        })
        .await;
        let others = async {
            let web = tokio::time::timeout(Duration::from_secs(20), ended(&run, 1)).await;
            lead.send(Control::Stop("enough")).unwrap();
            web
        };
        let (db, web) = tokio::join!(ended(&run, 0), others);
        assert_eq!(web.expect("it is not held up"), Ok("gone".to_owned()));
        assert!(matches!(db, Err((Why::Stopped, why)) if why.starts_with("enough; it was blocked: budget db")));
        let mut blocked = Vec::new();
        while let Ok(told) = told.try_recv() {
            if let Progress::Step { step, state: StepState::Blocked(why), .. } = told {
                blocked.push((step, why));
            }
        }
        assert_eq!(blocked, [(0, "budget db needs 1 healthy pods and has 1 currently".to_owned())]);
    }

    /// In what order two nodes are cordoned and lose their pod, each node's work being a lane.
    async fn order(change: impl FnOnce(&mut Plan)) -> Vec<usize> {
        let (_dir, mut run, _lead, mut told) = job(&["a", "a-pod", "b", "b-pod"], false, |pod, evicts| {
            if evicts || !pod.ends_with("-pod") {
                reply(201, json!({"metadata": {"uid": pod}}).to_string())
            } else {
                status(404, "not found", "")
            }
        })
        .await;
        for (at, step) in run.plan.steps.iter_mut().enumerate() {
            (step.lane, step.stage) = (if at < 2 { 0 } else { 1 }, if at % 2 == 0 { 0 } else { 1 });
            if step.stage == 0 {
                let act = Step::write("cordon", &step.target, Method::MergePatch, json!({"spec": {"unschedulable": true}})).act;
                step.act = act;
            } else {
                step.act = Act::Evict { grace: None, no_wait: true, keep_capacity: false, delete: false };
            }
        }
        change(&mut run.plan);
        Arc::new(run).lanes(1).await;
        let mut begun = Vec::new();
        while let Ok(told) = told.try_recv() {
            if let Progress::Step { step, state: StepState::Running, .. } = told {
                begun.push(step);
            }
        }
        begun.dedup();
        begun
    }

    /// A pod was bound to the node between the plan's list and the cordon; another one that ignores the cordon comes for ever.
    #[tokio::test]
    async fn who_came_to_the_node_meanwhile_is_evicted_too_but_not_who_ignores_the_cordon() {
        let evicted = Arc::new(Mutex::new(Vec::new()));
        let seen = evicted.clone();
        let (_dir, mut run, _lead, mut told) = job(&["a"], false, move |name, evicts| {
            if evicts {
                seen.lock().unwrap().push(name.to_owned());
                return reply(201, "{}");
            }
            if name != "pods" {
                return status(404, "not found", "");
            }
            let pod = |name: &str, more: serde_json::Value| {
                json!({"metadata": {"name": name, "namespace": "pay", "uid": name, "ownerReferences": [{"kind": "ReplicaSet", "name": "r", "uid": "r",
                    "apiVersion": "apps/v1", "controller": true}]}, "spec": more, "status": {"phase": "Running"}})
            };
            let gone = seen.lock().unwrap().clone();
            let all = [
                pod("late", json!({})),
                pod("scratch", json!({"volumes": [{"name": "v", "emptyDir": {}}]})),
                pod("stubborn", json!({"tolerations": [{"operator": "Exists"}]})),
            ];
            let left: Vec<_> = all.into_iter().filter(|p| !gone.iter().any(|g| p["metadata"]["name"] == **g)).collect();
            reply(200, json!({"items": left}).to_string())
        })
        .await;
        let node = Target { name: "n1".into(), namespace: String::new(), resource: Kind::Node.into(), ..run.plan.steps[0].target.clone() };
        let act = run.plan.steps[0].act.clone();
        run.plan.sweeps =
            vec![crate::model::Sweep { lane: 0, node, act, emptydir: false, force: false, selector: None, part: "drain".to_owned() }];
        run.plan.waves = vec![0];
        let run = Arc::new(run);
        run.clone().lanes(1).await;
        let mut evicted = evicted.lock().unwrap().clone();
        evicted.sort();
        assert_eq!(evicted, ["a", "late"]);
        let mut ends: Vec<(String, Option<String>)> = Vec::new();
        let mut texts = vec!["evict a".to_owned()];
        while let Ok(told) = told.try_recv() {
            match told {
                Progress::Added { step, .. } => {
                    assert_eq!(step.part, "drain", "it belongs to the runbook's step");
                    texts.push(step.text);
                }
                Progress::Step { step, state, .. } if state.ended() => ends
                    .push((texts[step].clone(), Some(state.why().to_owned()).filter(|_| state != StepState::Done(state.why().to_owned())))),
                _ => {}
            }
        }
        ends.sort();
        assert_eq!(ends.len(), 3, "{ends:?}");
        assert!(ends.iter().any(|(t, why)| t.contains("late, which came to n1 meanwhile") && why.is_none()), "{ends:?}");
        assert!(
            ends.iter().any(|(t, why)| t.contains("scratch") && why.as_deref().is_some_and(|w| w.contains("delete-emptydir-data"))),
            "{ends:?}"
        );
    }

    #[tokio::test]
    async fn nodes_are_cordoned_before_the_first_pod_goes_but_not_before_an_earlier_step_of_a_runbook() {
        assert_eq!(order(|_| ()).await, [0, 2, 1, 3]);
        let steps_of_a_runbook = |plan: &mut Plan| (plan.parts, plan.waves) = (vec![VerbId::Drain, VerbId::Drain], vec![0, 1]);
        assert_eq!(order(steps_of_a_runbook).await, [0, 1, 2, 3]);
        assert_eq!(order(|plan| plan.parts = vec![VerbId::Drain]).await, [0, 2, 1, 3]);
    }

    #[test]
    fn the_eviction_carries_grace_and_uid() {
        let target = Target {
            cluster: ClusterId(0),
            resource: Kind::Pod.into(),
            namespace: "pay".into(),
            name: "db-0".into(),
            uid: Some("u".into()),
        };
        let step = Step::new("evict", &target, Act::evict(Some(0)));
        let write = request(&step, Some(0), false);
        assert_eq!(write.path, "/api/v1/namespaces/pay/pods/db-0/eviction");
        assert_eq!(
            write.body,
            json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "db-0", "namespace": "pay"},
            "deleteOptions": {"gracePeriodSeconds": 0, "preconditions": {"uid": "u"}}})
        );
        assert_eq!(request(&step, None, false).body["deleteOptions"], json!({"preconditions": {"uid": "u"}}));
        assert_eq!(request(&step, None, true).path, "/api/v1/namespaces/pay/pods/db-0");
    }
}
