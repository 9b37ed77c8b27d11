//! One fault at a time, in the middle of a job: what is done is done once, what is not is said, and the audit log says the same.

use super::*;
use quarterdeck::action::Past;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};

const MERGE: &str = "application/merge-patch+json";

/// Names of Deployments of `pay` and `shop` that nobody scales but we.
const FREE: [(&str, &str); 4] = [("pay", "checkout"), ("pay", "ledger"), ("shop", "cart"), ("shop", "catalog")];

fn path(target: &Target) -> String {
    target.path()
}

fn replicas_of(sim: &Running, target: &Target) -> i64 {
    sim.fleet.object(CLUSTER, &path(target)).map_or(-1, |o| o["spec"]["replicas"].as_i64().unwrap())
}

fn free(fleet: &Fleet, n: usize) -> Vec<Target> {
    FREE[..n].iter().map(|(ns, name)| named(fleet, Kind::Deployment, ns, name)).collect()
}

/// What a job's steps came to, in words.
fn words(job: &Job) -> Vec<String> {
    job.steps.iter().map(|s| format!("{}: {:?}", s.text, s.state)).collect()
}

fn count(job: &Job, is: fn(&StepState) -> bool) -> usize {
    job.steps.iter().filter(|s| is(&s.state)).count()
}
fn done(state: &StepState) -> bool {
    matches!(state, StepState::Done(_))
}
fn failed(state: &StepState) -> bool {
    matches!(state, StepState::Failed(_))
}

/// The audit log ends as the screen does.
#[track_caller]
fn logged(state: &StateDir, outcome: Outcome, job: &Job) -> Past {
    let past = last(state);
    assert_eq!(past.id, job.id);
    assert_eq!(past.outcome.as_ref().map(|(_, o, _)| *o), Some(outcome));
    let steps: Vec<_> = (0..job.steps.len()).map(|at| past.steps.get(&at).cloned().unwrap_or(StepState::Waiting)).collect();
    assert_eq!(steps, job.steps.iter().map(|s| s.state.clone()).collect::<Vec<_>>());
    past
}

/// A fleet with one job to be done, and what came of it.
struct Scene {
    sim: Running,
    fleet: Fleet,
    state: StateDir,
    _dir: tempfile::TempDir,
}

impl Scene {
    fn replicas(&self, targets: &[Target]) -> Vec<i64> {
        targets.iter().map(|t| replicas_of(&self.sim, t)).collect()
    }
    /// How many more each has than before.
    fn grown(&self, targets: &[Target], before: &[i64]) -> Vec<i64> {
        self.replicas(targets).iter().zip(before).map(|(now, before)| now - before).collect()
    }
    async fn new() -> Self {
        let sim = sim();
        let (dir, state) = state();
        let fleet = fleet(&sim, "", false).await;
        Self { sim, fleet, state, _dir: dir }
    }
    fn fault(&self, fault: Fault) {
        assert!(self.sim.fleet.fault(CLUSTER, &fault));
    }
    async fn plan(&mut self, wanted: &Wanted) -> Preview {
        acting::prepare(&mut self.fleet, wanted, false).await.unwrap()
    }
    async fn run(&mut self, preview: &Preview) -> (Outcome, Job) {
        job(&mut self.fleet, &self.state, preview, None, |_| async {}).await
    }
    /// Goes on with the last job.
    async fn resume(&mut self) -> (Outcome, Job) {
        let wanted = Wanted::Resume(Box::new(last(&self.state)));
        through(&mut self.fleet, &self.state, &wanted).await
    }
    /// Until the cockpit sees it.
    async fn seen(&mut self, what: impl Fn(&Fleet) -> bool) {
        for _ in 0..200 {
            if what(&self.fleet) {
                return;
            }
            self.fleet.alongside(tokio::time::sleep(Duration::from_millis(50))).await;
        }
        panic!("not seen");
    }
}

#[test]
fn a_storm_of_conflicts_is_weathered_and_nobodys_change_is_lost() {
    block_on(async {
        // Every second change loses the race.
        let mut s = Scene::new().await;
        let targets = free(&s.fleet, 4);
        let before = s.replicas(&targets);
        let preview = s.plan(&scale(targets.clone(), "+1")).await;
        s.fault(Fault::Conflicts(2));
        let (outcome, job) = s.run(&preview).await;
        assert_eq!(outcome, Outcome::Done, "{:?}", words(&job));
        s.fault(Fault::Heal);
        // Somebody writes another field of it between each look and each change of ours.
        let target = targets[0].clone();
        let preview = s.plan(&scale(vec![target.clone()], "+1")).await;
        let (theirs, at) = (s.sim.fleet.clone(), path(&target));
        let seen = changes(&s.sim, move |n, w| {
            if w.path.starts_with(&at) && n < 5 {
                theirs.by_another(CLUSTER, "PATCH", &at, MERGE, json!({"metadata": {"labels": {"n": n.to_string()}}})).unwrap();
            }
        });
        let (outcome, job) = s.run(&preview).await;
        assert_eq!((outcome, seen.lock().unwrap().len()), (Outcome::Done, 6), "{:?}", words(&job));
        let now = s.sim.fleet.object(CLUSTER, &path(&target)).unwrap();
        assert_eq!((&now["metadata"]["labels"]["n"], now["spec"]["replicas"].as_i64()), (&json!("4"), Some(before[0] + 2)));
        // Somebody writes the very field: theirs stands.
        let preview = s.plan(&scale(vec![target.clone()], "+1")).await;
        let (theirs, at) = (s.sim.fleet.clone(), path(&target));
        changes(&s.sim, move |n, _| {
            if n == 0 {
                theirs.by_another(CLUSTER, "PATCH", &at, MERGE, json!({"spec": {"replicas": 1}})).unwrap();
            }
        });
        let (outcome, job) = s.run(&preview).await;
        assert_eq!((outcome, replicas_of(&s.sim, &target)), (Outcome::Blocked, 1), "{:?}", words(&job));
        assert!(matches!(&job.steps[0].state, StepState::Failed(why) if why.contains("spec.replicas is 1")), "{:?}", words(&job));
    });
}

#[test]
fn a_storm_without_end_is_given_up_and_gone_on_with_later() {
    block_on(async {
        let mut s = Scene::new().await;
        let targets = free(&s.fleet, 2);
        let before = s.replicas(&targets);
        let preview = s.plan(&scale(targets.clone(), "+1")).await;
        let seen = changes(&s.sim, |_, _| {});
        s.fault(Fault::Conflicts(1));
        let (outcome, job) = s.run(&preview).await;
        assert_eq!(outcome, Outcome::Blocked, "{:?}", words(&job));
        assert!(job.steps.iter().all(|s| matches!(&s.state, StepState::Failed(why) if why.contains("the object has been modified"))));
        assert_eq!(seen.lock().unwrap().len(), 22, "ten times again, each");
        logged(&s.state, outcome, &job);
        s.fault(Fault::Heal);
        let (outcome, job) = s.resume().await;
        assert_eq!(outcome, Outcome::Done, "{:?}", words(&job));
        let grown = s.grown(&targets, &before);
        assert_eq!(grown, [1, 1]);
    });
}

/// Changes whose answer is lost after they were made: by a cut, and by a server that gave up waiting for its own answer.
#[test]
fn an_answer_that_is_lost_is_looked_for_and_nothing_is_written_twice() {
    let cases: [(VerbId, Kind, &str, &str, &str); 8] = [
        (VerbId::Scale, Kind::Deployment, "pay", "checkout", "+1"),
        (VerbId::Restart, Kind::Deployment, "pay", "ledger", ""),
        (VerbId::Label, Kind::Deployment, "shop", "cart", "owner=shop"),
        (VerbId::CreatePdb, Kind::Deployment, "shop", "catalog", ""),
        (VerbId::Trigger, Kind::CronJob, "data", "compact", "name=by-hand"),
        (VerbId::Delete, Kind::Deployment, "auth", "session", ""),
        (VerbId::Cordon, Kind::Node, "", "node-001", ""),
        (VerbId::Evict, Kind::Pod, "pay", "db-0", ""),
    ];
    for fault in [Fault::Cut(1), Fault::Late(1)] {
        block_on(async {
            let mut s = Scene::new().await;
            for (verb, kind, namespace, name, args) in cases {
                let target = named(&s.fleet, kind, namespace, name);
                let preview = s.plan(&act(verb, vec![target], args)).await;
                let seen = changes(&s.sim, |_, _| {});
                s.fault(fault.clone());
                let (outcome, job) = s.run(&preview).await;
                assert_eq!(outcome, Outcome::Done, "{verb} {fault:?}: {:?}", words(&job));
                let sent: Vec<String> = seen.lock().unwrap().iter().map(|w| format!("{} {}", w.method, w.path)).collect();
                assert_eq!(sent.len(), 1, "{verb} {fault:?}: {sent:?}");
                // The log says how it is known: it was looked at.
                let past = logged(&s.state, outcome, &job);
                let StepState::Done(how) = &past.steps[&0] else { panic!("{:?}", past.steps) };
                let known = ["done, as was seen", "created", "gone already", "gone", "asked for"];
                assert!(known.contains(&how.as_str()), "{verb} {fault:?}: {how}");
            }
            let made = s.sim.fleet.object(CLUSTER, "/apis/batch/v1/namespaces/data/jobs/by-hand");
            assert!(made.is_some() && s.sim.fleet.object(CLUSTER, "/apis/apps/v1/namespaces/auth/deployments/session").is_none());
            assert!(s.sim.fleet.object(CLUSTER, "/apis/policy/v1/namespaces/shop/poddisruptionbudgets/catalog").is_some());
        });
    }
}

#[test]
fn what_nobody_could_look_at_is_called_unknown_and_is_gone_on_with() {
    block_on(async {
        let mut s = Scene::new().await;
        let target = free(&s.fleet, 1).remove(0);
        let before = replicas_of(&s.sim, &target);
        let preview = s.plan(&scale(vec![target.clone()], "+1")).await;
        s.fault(Fault::Cut(1));
        let fleet = s.sim.fleet.clone();
        changes(&s.sim, move |_, _| assert!(fleet.fault(CLUSTER, &Fault::Unauthorized)));
        let (outcome, job) = s.run(&preview).await;
        assert!(matches!(job.steps[0].state, StepState::Unknown(_)), "{outcome:?} {:?}", words(&job));
        assert_eq!((outcome, replicas_of(&s.sim, &target)), (Outcome::Failed, before + 1));
        let past = logged(&s.state, outcome, &job);
        assert!(past.state().resumable() && past.undoable(), "whether it was done is not known: both ways are open");
        s.fault(Fault::Heal);
        let seen = changes(&s.sim, |_, _| {});
        let (outcome, job) = s.resume().await;
        assert_eq!((outcome, seen.lock().unwrap().len()), (Outcome::Done, 0), "{:?}", words(&job));
        assert_eq!(replicas_of(&s.sim, &target), before + 1);
        assert!(matches!(&job.steps[0].state, StepState::Done(how) if how == "was so already"), "{:?}", words(&job));
    });
}

#[test]
fn too_many_requests_without_a_time_to_come_back_are_asked_again_later() {
    for fault in [Fault::TooMany(0), Fault::Throttled(0), Fault::Webhook("eviction triggered a migration".into())] {
        let (outcome, steps, grown) = under(fault.clone(), 1500);
        assert_eq!((outcome, grown), (Outcome::Done, vec![1, 1, 1]), "{fault:?}: {steps:?}");
    }
}

/// A webhook that says 429 for ever, and a server that fails for one object of several: both tried for the better part of a minute.
#[test]
fn what_never_gives_way_is_blocked_and_one_object_that_fails_hides_no_other() {
    let webhook = || {
        block_on(async {
            let mut s = Scene::new().await;
            let targets = free(&s.fleet, 1);
            let before = replicas_of(&s.sim, &targets[0]);
            let preview = s.plan(&scale(targets.clone(), "+1")).await;
            let seen = changes(&s.sim, |_, _| {});
            s.fault(Fault::Webhook("busy with a migration".into()));
            let (outcome, job) = s.run(&preview).await;
            assert_eq!((outcome, seen.lock().unwrap().len()), (Outcome::Blocked, 7), "{:?}", words(&job));
            assert!(matches!(&job.steps[0].state, StepState::Failed(why) if why == "busy with a migration"), "{:?}", words(&job));
            logged(&s.state, outcome, &job);
            assert_eq!(replicas_of(&s.sim, &targets[0]), before);
        });
    };
    let one_fails = || {
        block_on(async {
            let mut s = Scene::new().await;
            let targets = free(&s.fleet, 4);
            let before = s.replicas(&targets);
            let preview = s.plan(&scale(targets.clone(), "+1")).await;
            s.fault(Fault::Fails(targets[1].name.clone()));
            let (outcome, job) = s.run(&preview).await;
            assert_eq!((outcome, count(&job, done)), (Outcome::Partial, 3), "{:?}", words(&job));
            assert!(matches!(&job.steps[1].state, StepState::Unknown(why) if why.contains("leader changed")), "{:?}", words(&job));
            let past = logged(&s.state, outcome, &job);
            assert!(past.outcome.as_ref().unwrap().2.contains("leader changed"));
            let grown = s.grown(&targets, &before);
            assert_eq!(grown, [1, 0, 1, 1]);
            s.fault(Fault::Heal);
            let (outcome, job) = s.resume().await;
            assert_eq!((outcome, job.steps.len()), (Outcome::Done, 1), "{:?}", words(&job));
            assert_eq!(replicas_of(&s.sim, &targets[1]), before[1] + 1);
        });
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(webhook);
        one_fails();
        other.join().unwrap();
    });
}

#[test]
fn a_permission_that_is_taken_away_in_the_middle_ends_what_is_left() {
    block_on(async {
        let mut s = Scene::new().await;
        let targets = free(&s.fleet, 4);
        let before = s.replicas(&targets);
        let mut preview = s.plan(&scale(targets.clone(), "+1")).await;
        preview.gate.parallel = 1;
        let fleet = s.sim.fleet.clone();
        changes(&s.sim, move |n, _| {
            if n == 1 {
                assert!(fleet.fault(CLUSTER, &Fault::Denied("patch".into(), "deployments/scale".into())));
            }
        });
        let (outcome, job) = s.run(&preview).await;
        assert_eq!((outcome, count(&job, done), count(&job, failed)), (Outcome::Partial, 2, 2), "{:?}", words(&job));
        let told = |s: &StepState| matches!(s, StepState::Failed(why) if why.contains("cannot patch resource \"deployments/scale\""));
        assert!(job.steps[2..].iter().all(|s| told(&s.state)), "{:?}", words(&job));
        logged(&s.state, outcome, &job);
        // Without it the rest is refused before anything is sent; with it the rest is done, and nothing twice.
        let wanted = Wanted::Resume(Box::new(last(&s.state)));
        let preview = s.plan(&wanted).await;
        assert!(matches!(confirm(&preview, &yes(&preview)), Err(Refused::Forbidden(why)) if why.contains("deployments/scale")));
        s.fault(Fault::Heal);
        let (outcome, job) = s.resume().await;
        assert_eq!((outcome, job.steps.len()), (Outcome::Done, 2), "{:?}", words(&job));
        let grown = s.grown(&targets, &before);
        assert_eq!(grown, [1, 1, 1, 1]);
    });
}

#[test]
fn a_drain_whose_right_to_evict_goes_leaves_the_node_cordoned_and_says_so() {
    block_on(async {
        let mut s = Scene::new().await;
        let node = named(&s.fleet, Kind::Node, "", "node-002");
        let preview = s.plan(&act(VerbId::Drain, vec![node.clone()], "delete-emptydir-data")).await;
        let fleet = s.sim.fleet.clone();
        changes(&s.sim, move |n, w| {
            if w.path.ends_with("/eviction") && n == 3 {
                assert!(fleet.fault(CLUSTER, &Fault::Denied("create".into(), "pods/eviction".into())));
            }
        });
        let (outcome, job) = s.run(&preview).await;
        assert_eq!(outcome, Outcome::Partial, "{:?}", words(&job));
        assert!(count(&job, done) > 1 && count(&job, failed) > 0, "{:?}", words(&job));
        let denied = |s: &StepState| !failed(s) || matches!(s, StepState::Failed(why) if why.contains("pods/eviction"));
        assert!(job.steps.iter().all(|s| denied(&s.state)), "{:?}", words(&job));
        let past = logged(&s.state, outcome, &job);
        let is = |sim: &Running| sim.fleet.object(CLUSTER, &path(&node)).unwrap()["spec"]["unschedulable"].clone();
        assert_eq!(is(&s.sim), json!(true), "what was cordoned stays so");
        s.fault(Fault::Heal);
        let (outcome, job) = through(&mut s.fleet, &s.state, &Wanted::Undo(Box::new(past))).await;
        assert_eq!(outcome, Outcome::Done, "{:?}", words(&job));
        assert_ne!(is(&s.sim), json!(true));
    });
}

#[test]
fn an_object_that_goes_is_said_and_hides_no_other() {
    block_on(async {
        let mut s = Scene::new().await;
        let targets = free(&s.fleet, 4);
        let before = s.replicas(&targets);
        let mut preview = s.plan(&scale(targets.clone(), "+1")).await;
        preview.gate.parallel = 1;
        // One before the job begins, one between the look and the change, one that is another object of the same name by then.
        let delete = |path: &str| s.sim.fleet.by_another(CLUSTER, "DELETE", path, "application/json", Value::Null).map(drop);
        delete(&path(&targets[0])).unwrap();
        let again = s.sim.fleet.object(CLUSTER, &path(&targets[2])).unwrap();
        let (fleet, paths) = (s.sim.fleet.clone(), targets.iter().map(path).collect::<Vec<_>>());
        changes(&s.sim, move |_, w| {
            if w.path.starts_with(&paths[1]) {
                fleet.by_another(CLUSTER, "DELETE", &paths[1], "application/json", Value::Null).unwrap();
                fleet.by_another(CLUSTER, "DELETE", &paths[2], "application/json", Value::Null).unwrap();
                let (mut new, list) = (again.clone(), paths[2].rsplit_once('/').unwrap().0);
                new["metadata"].as_object_mut().unwrap().remove("uid");
                fleet.by_another(CLUSTER, "POST", list, "application/json", new).unwrap();
            }
        });
        let (outcome, job) = s.run(&preview).await;
        assert_eq!((outcome, count(&job, done)), (Outcome::Blocked, 1), "{:?}", words(&job));
        let said = |at: usize, text: &str| matches!(&job.steps[at].state, StepState::Failed(why) if why.contains(text));
        assert!(said(0, "it is gone") && said(1, "it is gone") && said(2, "another object has that name"), "{:?}", words(&job));
        logged(&s.state, outcome, &job);
        let now = s.replicas(&targets);
        assert_eq!(now, [-1, -1, before[2], before[3] + 1], "the new one was not touched");
    });
}

/// A namespace that goes and is kept by a pod's finalizer.
fn terminate(sim: &Running, namespace: &str) {
    let keep = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "kept", "finalizers": ["example.com/keep"]}, "spec": {"containers": [{"name": "c", "image": "x"}]}});
    let f = &sim.fleet;
    f.by_another(CLUSTER, "POST", &format!("/api/v1/namespaces/{namespace}/pods"), "application/json", keep).unwrap();
    f.by_another(CLUSTER, "DELETE", &format!("/api/v1/namespaces/{namespace}"), "application/json", Value::Null).unwrap();
    assert_eq!(f.object(CLUSTER, &format!("/api/v1/namespaces/{namespace}")).unwrap()["status"]["phase"], "Terminating");
}

#[test]
fn into_a_namespace_that_goes_nothing_is_made() {
    block_on(async {
        let document = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "shop"}, "data": {"a": "b"}});
        let mut s = Scene::new().await;
        let request = Request {
            verb: VerbId::Apply,
            targets: vec![named(&s.fleet, Kind::Namespace, "", "shop")],
            args: Args::parse(VerbId::Apply.info(), "filename=-").unwrap(),
            documents: vec![("m.json".to_owned(), document.to_string())],
        };
        // Confirmed while it was there, sent when it goes.
        let catalog = named(&s.fleet, Kind::Deployment, "shop", "catalog");
        let pdb = s.plan(&act(VerbId::CreatePdb, vec![catalog.clone()], "")).await;
        let apply = s.plan(&Wanted::Act(request.clone())).await;
        terminate(&s.sim, "shop");
        for preview in [pdb, apply] {
            let (outcome, job) = s.run(&preview).await;
            assert_eq!(outcome, Outcome::Failed, "{:?}", words(&job));
            let told = "because it is being terminated";
            assert!(matches!(&job.steps[0].state, StepState::Failed(why) if why.contains(told)), "{:?}", words(&job));
            logged(&s.state, outcome, &job);
        }
        // Planned into it: refused before anybody confirms.
        let preview = s.plan(&Wanted::Act(request)).await;
        assert!(matches!(confirm(&preview, &yes(&preview)), Err(Refused::Forbidden(why)) if why.contains("being terminated")));
        assert!(s.sim.fleet.object(CLUSTER, "/api/v1/namespaces/shop/configmaps/m").is_none());
    });
}

#[test]
fn a_drain_lets_pods_go_whose_namespace_goes() {
    block_on(async {
        let mut s = Scene::new().await;
        let pods: Vec<(String, String)> = {
            let c = &s.fleet.store.clusters()[0];
            let pods = c.objects(Kind::Pod).filter_map(|o| if let Object::Pod(p) = o { Some(p) } else { None });
            pods.filter(|p| &*p.meta.namespace == "shop")
                .filter_map(|p| Some((p.node.as_deref()?.to_owned(), p.meta.name.to_string())))
                .collect()
        };
        let node = named(&s.fleet, Kind::Node, "", &pods[0].0);
        let preview = s.plan(&act(VerbId::Drain, vec![node], "delete-emptydir-data force")).await;
        let fleet = s.sim.fleet.clone();
        let gone = AtomicBool::new(false);
        changes(&s.sim, move |_, w| {
            if w.path.ends_with("/eviction") && !gone.swap(true, Ordering::SeqCst) {
                fleet.by_another(CLUSTER, "DELETE", "/api/v1/namespaces/shop", "application/json", Value::Null).unwrap();
            }
        });
        let (outcome, job) = s.run(&preview).await;
        assert_eq!(outcome, Outcome::Done, "{:?}", words(&job));
    });
}

/// The fleet's kubeconfig with another way to the token: what follows `user:`.
fn authenticated(sim: &Running, user: &str) -> String {
    let text = std::fs::read_to_string(&sim.kubeconfig).unwrap();
    let at = text.find("    token: ").unwrap();
    let end = at + text[at..].find('\n').unwrap();
    let token = text[at + "    token: ".len()..end].to_owned();
    std::fs::write(&sim.kubeconfig, format!("{}{user}{}", &text[..at], &text[end..])).unwrap();
    token
}

#[test]
fn a_token_that_expires_half_way_is_renewed_from_its_file_or_by_its_plugin() {
    for plugin in [false, true] {
        for renews in [true, false] {
            block_on(async {
                let sim = sim();
                let (dir, state) = state();
                let file = dir.path().join("token");
                let script = dir.path().join("login");
                let user = if plugin {
                    let printed = r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s"}}"#;
                    std::fs::write(&script, format!("#!/bin/sh\nprintf '{printed}' \"$(cat {})\"\n", file.display())).unwrap();
                    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
                    let exec = "apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never";
                    format!("    exec: {{{exec}, command: {}}}", script.display())
                } else {
                    format!("    tokenFile: {}", file.display())
                };
                let token = authenticated(&sim, &user);
                std::fs::write(&file, token).unwrap();
                let fleet = fleet(&sim, "", false).await;
                let mut s = Scene { sim, fleet, state, _dir: dir };
                let targets = free(&s.fleet, 4);
                let before = s.replicas(&targets);
                let mut preview = s.plan(&scale(targets.clone(), "+1")).await;
                preview.gate.parallel = 1;
                let next = s.sim.fleet.renewed_token(CLUSTER).unwrap();
                s.fault(Fault::Expires(2));
                let written = file.clone();
                let token = next.clone();
                changes(&s.sim, move |n, _| {
                    if n == 1 && renews {
                        std::fs::write(&written, &token).unwrap();
                    }
                });
                let (outcome, job) = s.run(&preview).await;
                let wanted = if renews { (Outcome::Done, 4) } else { (Outcome::Partial, 2) };
                assert_eq!((outcome, count(&job, done)), wanted, "plugin {plugin}: {:?}", words(&job));
                let past = logged(&s.state, outcome, &job);
                // A plugin that just gave what was refused is not run again for half a minute.
                let later = !renews && plugin;
                if !renews {
                    assert_eq!(count(&job, failed), 2, "not unknown: nothing was sent: {:?}", words(&job));
                    assert!(past.outcome.as_ref().unwrap().2.contains("credentials refused"), "{:?}", past.outcome);
                }
                if !renews && !plugin {
                    std::fs::write(&file, &next).unwrap();
                    s.seen(|f| f.store.clusters()[0].state.live()).await;
                    let (outcome, job) = s.resume().await;
                    assert_eq!((outcome, job.steps.len()), (Outcome::Done, 2), "{:?}", words(&job));
                }
                let grown = s.grown(&targets, &before);
                let all = if later { [1, 1, 0, 0] } else { [1, 1, 1, 1] };
                assert_eq!(grown, all, "plugin {plugin}, renews {renews}");
            });
        }
    }
}

#[test]
fn a_server_that_fails_now_and_then_in_a_bulk_job_is_asked_again() {
    block_on(async {
        let mut s = Scene::new().await;
        let targets = free(&s.fleet, 4);
        let before = s.replicas(&targets);
        let preview = s.plan(&scale(targets.clone(), "+1")).await;
        s.fault(Fault::Flaky(3));
        let (outcome, job) = s.run(&preview).await;
        assert_eq!(outcome, Outcome::Done, "{:?}", words(&job));
        let past = logged(&s.state, outcome, &job);
        assert_eq!(past.steps.len(), 4);
        let grown = s.grown(&targets, &before);
        assert_eq!(grown, [1, 1, 1, 1]);
    });
}
