//! From a plan to a job against a simulated API server that is troubled on demand (`faults`); and the promise that nothing is written
//! without its intent, its guardrails and its confirmation, whatever happens in between (`promise`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test: helpers beside the test functions too")]

mod etcd;
mod faults;
mod promise;
mod verbs;

use quarterdeck::action::{Confirmation, Ledger, Preview, Refused, Request, Stop, Wanted, confirm};
use quarterdeck::client::{LoadOptions, install_crypto_provider, load};
use quarterdeck::config::Config;
use quarterdeck::model::{Args, Control, Job, Kind, Object, Outcome, StepState, Target, VerbId};
use quarterdeck::runtime::{Fleet, acting, members};
use quarterdeck::sim::{Fault, Moment, Options, Running, Scenario, Written, start};
use quarterdeck::state::StateDir;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

const CLUSTER: &str = "prod-eu";

fn sim() -> Running {
    install_crypto_provider();
    let mut scenario = Scenario::load("calm").unwrap();
    scenario.resize(Some(1), Some(3), Some(40)).unwrap();
    (scenario.replace_every, scenario.churn) = (0.0, 0.0);
    start(&Options { scenario, kubeconfig: None, viewer: false }).unwrap()
}

/// The fleet as a configuration has it, live.
async fn fleet(sim: &Running, config: &str, read_only: bool) -> Fleet {
    let targets = load(&LoadOptions { kubeconfig: Some(sim.kubeconfig.clone()), ..LoadOptions::default() }).unwrap();
    let config = Config::parse(config, Path::new("test.toml")).config;
    let (mut fleet, diags) = Fleet::open(members(targets, &config), &Kind::WATCHED, &config, read_only, &[]);
    assert!(diags.is_empty(), "{diags:?}");
    for _ in 0..200 {
        if fleet.store.clusters().iter().all(|c| Kind::WATCHED.iter().all(|k| c.current(*k))) {
            return fleet;
        }
        fleet.alongside(tokio::time::sleep(Duration::from_millis(50))).await;
    }
    panic!("not live");
}

/// Deployments that nobody scales but we.
fn deployments(fleet: &Fleet, n: usize) -> Vec<Target> {
    let c = &fleet.store.clusters()[0];
    // One that an autoscaler owns is put back as it likes.
    let owned = |name: &str| c.objects(Kind::Hpa).any(|o| matches!(o, Object::Hpa(h) if &*h.target_name == name));
    let free = c.objects(Kind::Deployment).filter(|o| !owned(&o.meta().name));
    let found: Vec<Target> = free.map(|o| Target::from(&o.reference(c.id))).take(n).collect();
    assert_eq!(found.len(), n);
    found
}

/// An object that is seen.
fn named(fleet: &Fleet, kind: Kind, namespace: &str, name: &str) -> Target {
    let c = &fleet.store.clusters()[0];
    let found = c.objects(kind).find(|o| *o.meta().namespace == *namespace && *o.meta().name == *name);
    Target::from(&found.unwrap_or_else(|| panic!("no {kind:?} {namespace}/{name}")).reference(c.id))
}

fn act(verb: VerbId, targets: Vec<Target>, args: &str) -> Wanted {
    Wanted::Act(Request { verb, targets, args: Args::parse(verb.info(), args).unwrap(), documents: Vec::new() })
}

fn scale(targets: Vec<Target>, by: &str) -> Wanted {
    act(VerbId::Scale, targets, by)
}

/// The changes that come in, dry runs apart. `on` is told of each, and how many came before it, before it is looked at.
fn changes(sim: &Running, on: impl Fn(usize, &Written) + Send + Sync + 'static) -> Arc<Mutex<Vec<Written>>> {
    let seen: Arc<Mutex<Vec<Written>>> = Arc::default();
    let told = seen.clone();
    let witness = move |w: &Written| {
        if !w.dry_run {
            let before = {
                let mut seen = told.lock().unwrap();
                seen.push(w.clone());
                seen.len() - 1
            };
            on(before, w);
        }
    };
    assert!(sim.fleet.witness(CLUSTER, Some(Arc::new(witness))));
    seen
}

async fn replicas(fleet: &mut Fleet, target: &Target) -> i64 {
    let client = fleet.reader(target.cluster).unwrap().client().unwrap();
    fleet.alongside(client.get_json(&target.path())).await.unwrap()["spec"]["replicas"].as_i64().unwrap()
}

/// Everything that could be asked for, said.
fn yes(preview: &Preview) -> Confirmation {
    let typed = match &preview.gate.ask {
        quarterdeck::action::Ask::Typed(text) => Some(text.clone()),
        _ => None,
    };
    Confirmation { yes: true, typed, hash: preview.hash.clone(), ..Confirmation::default() }
}

/// Begins a job whose end is waited for beside what `meanwhile` does; the job as the screen has it then.
async fn job<F: Future<Output = ()>>(
    fleet: &mut Fleet,
    state: &StateDir,
    preview: &Preview,
    resumes: Option<quarterdeck::model::JobId>,
    meanwhile: impl FnOnce(tokio::sync::watch::Sender<Control>) -> F,
) -> (Outcome, Job) {
    let confirmed = confirm(preview, &yes(preview)).unwrap();
    let (tx, mut rx) = mpsc::unbounded_channel();
    let started = acting::start(fleet, state, confirmed, resumes, acting::actor("test", preview), tx);
    let control = started.control.clone();
    let both = async { tokio::join!(started.task, meanwhile(control)).0.unwrap() };
    let outcome = fleet.alongside(tokio::time::timeout(Duration::from_secs(120), both)).await.expect("a job ends");
    while let Ok(told) = rx.try_recv() {
        fleet.store.jobs.apply(told, 0);
    }
    (outcome, fleet.store.jobs.get(&started.id).unwrap().clone())
}

/// The same; what each step came to.
async fn carry_out<F: Future<Output = ()>>(
    fleet: &mut Fleet,
    state: &StateDir,
    preview: &Preview,
    meanwhile: impl FnOnce(tokio::sync::watch::Sender<Control>) -> F,
) -> (Outcome, Vec<StepState>) {
    let (outcome, job) = job(fleet, state, preview, None, meanwhile).await;
    (outcome, job.steps.into_iter().map(|s| s.state).collect())
}

/// Plans and carries out.
async fn through(fleet: &mut Fleet, state: &StateDir, wanted: &Wanted) -> (Outcome, Job) {
    let preview = acting::prepare(fleet, wanted, false).await.unwrap();
    job(fleet, state, &preview, wanted.resumes(), |_| async {}).await
}

/// The newest job of the audit log.
fn last(state: &StateDir) -> quarterdeck::action::Past {
    let ledger = Ledger::read(state).unwrap();
    assert!(ledger.bad.is_empty(), "{:?}", ledger.bad);
    ledger.jobs.into_iter().next_back().unwrap()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}

fn state() -> (tempfile::TempDir, StateDir) {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::at(dir.path()).unwrap();
    (dir, state)
}

/// A fault holds for a while, from before the first request on.
fn under(fault: Fault, millis: u64) -> (Outcome, Vec<StepState>, Vec<i64>) {
    let sim = sim();
    block_on(async {
        let (_dir, state) = state();
        let mut fleet = fleet(&sim, "", false).await;
        let targets = deployments(&fleet, 3);
        let mut before = Vec::new();
        for t in &targets {
            before.push(replicas(&mut fleet, t).await);
        }
        let preview = acting::prepare(&mut fleet, &scale(targets.clone(), "+1"), false).await.unwrap();
        sim.fleet.fault(CLUSTER, &fault);
        let heal = sim.fleet.clone();
        let (outcome, steps) = carry_out(&mut fleet, &state, &preview, |_| async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            heal.fault(CLUSTER, &Fault::Heal);
        })
        .await;
        fleet.alongside(tokio::time::sleep(Duration::from_millis(300))).await;
        let mut grown = Vec::new();
        for (t, before) in targets.iter().zip(before) {
            grown.push(replicas(&mut fleet, t).await - before);
        }
        (outcome, steps, grown)
    })
}

#[test]
fn a_server_that_fails_for_a_while_is_asked_again_and_nothing_is_done_twice() {
    for fault in [Fault::Broken, Fault::TooMany(1), Fault::Hang, Fault::Refuse] {
        let (outcome, steps, grown) = under(fault.clone(), 1500);
        assert_eq!((outcome, grown), (Outcome::Done, vec![1, 1, 1]), "{fault:?}: {steps:?}");
    }
}

#[test]
fn a_token_that_is_refused_ends_the_job_and_it_can_be_gone_on_with() {
    let (outcome, steps, grown) = under(Fault::Unauthorized, 2500);
    assert!(matches!(outcome, Outcome::Failed | Outcome::Partial), "{outcome:?} {steps:?}");
    assert!(grown.iter().all(|g| *g == 0), "{grown:?}");
}

#[test]
fn a_change_by_somebody_else_between_plan_and_job_stops_it() {
    let sim = sim();
    block_on(async {
        let (_dir, state) = state();
        let mut ours = fleet(&sim, "", false).await;
        let mut theirs = fleet(&sim, "", false).await;
        let targets = deployments(&ours, 2);
        let preview = acting::prepare(&mut ours, &scale(targets.clone(), "+3"), false).await.unwrap();
        let other = acting::prepare(&mut theirs, &scale(vec![targets[0].clone()], "+1"), false).await.unwrap();
        let (outcome, _) = carry_out(&mut theirs, &state, &other, |_| async {}).await;
        assert_eq!(outcome, Outcome::Done);
        let is = replicas(&mut ours, &targets[0]).await;
        let (outcome, steps) = carry_out(&mut ours, &state, &preview, |_| async {}).await;
        assert_eq!(outcome, Outcome::Blocked, "{steps:?}");
        assert!(matches!(&steps[0], StepState::Failed(why) if why.contains("spec.replicas is")), "{steps:?}");
        assert!(matches!(&steps[1], StepState::Done(_)), "a failure in one does not hide the other: {steps:?}");
        assert_eq!(replicas(&mut ours, &targets[0]).await, is, "theirs stands");
        // Planned anew it drifts before it is confirmed.
        let mut drifted = acting::prepare(&mut ours, &scale(vec![targets[1].clone()], "+1"), false).await.unwrap();
        let other = acting::prepare(&mut theirs, &scale(vec![targets[1].clone()], "+1"), false).await.unwrap();
        carry_out(&mut theirs, &state, &other, |_| async {}).await;
        drifted =
            Preview::new(drifted.plan.clone(), quarterdeck::action::preflight(&drifted.plan, &ours.clients()).await, drifted.gate.clone());
        assert!(matches!(confirm(&drifted, &yes(&drifted)), Err(Refused::Drifted(_))), "{:?}", drifted.preflight);
    });
}

#[test]
fn a_job_is_paused_and_stopped_between_its_steps() {
    let sim = sim();
    block_on(async {
        let (_dir, state) = state();
        let mut fleet = fleet(&sim, "", false).await;
        let targets = deployments(&fleet, 6);
        let mut preview = acting::prepare(&mut fleet, &scale(targets, "+1"), false).await.unwrap();
        preview.gate.parallel = 1;
        sim.fleet.fault(CLUSTER, &Fault::Slow(200));
        let (outcome, steps) = carry_out(&mut fleet, &state, &preview, |control| async move {
            tokio::time::sleep(Duration::from_millis(500)).await;
            control.send(Control::Pause).unwrap();
            tokio::time::sleep(Duration::from_millis(1200)).await;
            control.send(Control::Stop("enough")).unwrap();
        })
        .await;
        assert_eq!(outcome, Outcome::Cancelled, "{steps:?}");
        let done = steps.iter().filter(|s| matches!(s, StepState::Done(_))).count();
        assert!((1..5).contains(&done), "{done} of 6 in half a second at 200 ms an answer: {steps:?}");
        let past = Ledger::read(&state).unwrap().jobs.pop().unwrap();
        assert_eq!(past.outcome.as_ref().map(|(_, o, why)| (*o, why.as_str())), Some((Outcome::Cancelled, "enough")));
        assert!(past.state().resumable() && past.undoable());
        sim.fleet.fault(CLUSTER, &Fault::Heal);
        let left = acting::prepare(&mut fleet, &Wanted::Resume(Box::new(past)), false).await.unwrap();
        assert_eq!(left.plan.steps.len(), 6 - done, "what was done is not done again");
    });
}

#[test]
fn without_an_audit_log_nothing_is_sent() {
    let sim = sim();
    block_on(async {
        let (_dir, state) = state();
        let mut fleet = fleet(&sim, "", false).await;
        let targets = deployments(&fleet, 1);
        let before = replicas(&mut fleet, &targets[0]).await;
        let preview = acting::prepare(&mut fleet, &scale(targets.clone(), "+1"), false).await.unwrap();
        std::fs::create_dir(state.path("audit.jsonl")).unwrap();
        let (outcome, steps) = carry_out(&mut fleet, &state, &preview, |_| async {}).await;
        assert_eq!((outcome, steps), (Outcome::Refused, vec![StepState::Waiting]));
        assert_eq!(replicas(&mut fleet, &targets[0]).await, before);
    });
}

#[test]
fn a_plan_that_cannot_be_made_says_why() {
    let sim = sim();
    block_on(async {
        let mut fleet = fleet(&sim, "", false).await;
        let mut target = deployments(&fleet, 1).remove(0);
        target.name = "nobody".into();
        let refused = acting::prepare(&mut fleet, &scale(vec![target], "1"), false).await.unwrap_err();
        assert!(matches!(&refused, Stop::Refuse { kind: "not-found", message, .. } if message.contains("is gone")), "{refused:?}");
    });
}
