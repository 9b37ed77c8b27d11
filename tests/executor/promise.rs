//! The promise: no write without its intent, its guardrails and its word, whatever happens in between.

use super::*;
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, RngAlgorithm, TestRng, TestRunner};
use quarterdeck::action::runbook::Params;
use quarterdeck::config::runbooks;
use std::collections::BTreeMap;

const MERGE: &str = "application/merge-patch+json";
/// A number that the same turns come from again; each run says its own when it fails.
const SEED: &str = "QD_PROMISE_SEED";
/// What has failed once is tried first from then on.
const FAILED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/executor/promise.seeds");

/// A configuration.
#[derive(Clone, Debug)]
struct Ground {
    tier: Option<&'static str>,
    read_only: bool,
    /// The tier denies scaling.
    denied: bool,
}

/// What somebody wishes.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Wish {
    Scale,
    /// Of two objects at once.
    Both,
    Label,
    Delete,
    /// Two runbooks.
    Freeze,
    Waves,
    Undo,
    Resume,
}

/// From a wish to a write, and what gets in between.
#[derive(Clone, Debug)]
struct Turn {
    wish: Wish,
    /// Somebody else changes the same field before it is confirmed, or after.
    other: Option<bool>,
    /// 0 nothing, 1 y, 2 the right words, 3 wrong ones, 4 the right words for another plan, 5 y and the right words with a changed case.
    said: u8,
    /// It is stopped once one write is out.
    stopped: bool,
}

fn grounds() -> impl Strategy<Value = Ground> {
    let tier = prop_oneof![Just(None), Just(Some("staging")), Just(Some("production"))];
    (tier, prop::bool::weighted(0.15), prop::bool::weighted(0.15)).prop_map(|(tier, read_only, denied)| Ground { tier, read_only, denied })
}

fn said() -> impl Strategy<Value = u8> {
    prop_oneof![1 => Just(0u8), 3 => Just(1u8), 5 => Just(2u8), 1 => Just(3u8), 1 => Just(4u8), 1 => Just(5u8)]
}

fn one(wish: impl Strategy<Value = Wish>, stopped: impl Strategy<Value = bool>) -> impl Strategy<Value = Turn> {
    (wish, prop::option::weighted(0.3, any::<bool>()), said(), stopped).prop_map(|(wish, other, said, stopped)| Turn {
        wish,
        other,
        said,
        stopped,
    })
}

/// One turn; or one, and what follows on it.
fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let acts = || prop_oneof![3 => Just(Wish::Scale), 3 => Just(Wish::Both), 2 => Just(Wish::Label), 1 => Just(Wish::Delete), 2 => Just(Wish::Freeze), 2 => Just(Wish::Waves)];
    let follows = || prop_oneof![Just(Wish::Undo), Just(Wish::Resume)];
    prop_oneof![
        2 => one(prop_oneof![2 => acts(), 1 => follows()], prop::bool::weighted(0.4)).prop_map(|t| vec![t]),
        1 => (one(acts(), Just(true)), one(follows(), prop::bool::weighted(0.3))).prop_map(|(a, b)| vec![a, b]),
        // A runbook that was stopped half way, and what becomes of it.
        1 => (one(prop_oneof![Just(Wish::Freeze), Just(Wish::Waves)], Just(true)), one(follows(), Just(false)))
            .prop_map(|(a, b)| vec![Turn { said: 2, other: None, ..a }, Turn { said: 2, other: None, ..b }]),
    ]
}

/// What a production cluster wants to read, not asked of the gate.
fn words(preview: &Preview) -> String {
    let n = preview.plan.targets.len();
    if n > 1 { format!("{CLUSTER} {n}") } else { CLUSTER.to_owned() }
}

/// Scales the objects as somebody else, past everything.
fn meddle(sim: &Running, targets: &[Target]) {
    for t in targets {
        if let Some(o) = sim.fleet.object(CLUSTER, &t.path()) {
            let to = 2 + (o["spec"]["replicas"].as_i64().unwrap_or(2) + 1) % 3;
            let body = serde_json::json!({"spec": {"replicas": to}, "metadata": {"labels": {"tried": format!("other-{to}")}}});
            sim.fleet.by_another(CLUSTER, "PATCH", &t.path(), MERGE, body).unwrap();
        }
    }
}

/// How often each came so far that it was written: a property that never writes shows nothing.
static WRITTEN: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

/// A runbook of several waves, none of which waits for a rollout.
const WAVES: &str = "[[runbook]]\nname = \"waves\"\nparams = { n = \"a number\" }\n[[runbook.step]]\nname = \"room\"\ncheck = \"no-pending\"\n\
    [[runbook.step]]\nname = \"label\"\nrun = \"label\"\non = [\"deployment/*\"]\nnamespace = \"pay\"\nargs = \"tried=wave-${n} overwrite\"\nwave = \"1\"\n\
    [[runbook.step]]\nname = \"note\"\nrun = \"annotate\"\non = [\"deployment/ledger\"]\nnamespace = \"pay\"\nargs = \"tried=wave-${n} overwrite\"\n";

/// One that comes with qd, or the one above.
fn book(name: &str, cluster: quarterdeck::model::ClusterId, values: &[(&str, &str)]) -> Wanted {
    let book = runbooks(&Config::parse(WAVES, Path::new("test.toml")).config).0.into_iter().find(|b| b.name == name).unwrap();
    let values = values.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Wanted::Run(Box::new((book, Params { values, clusters: vec![cluster], namespace: None })))
}

async fn turn(sim: &Running, ours: &mut Fleet, state: &StateDir, ground: &Ground, n: usize, turn: &Turn) {
    let targets = deployments(ours, 4);
    let cluster = targets[0].cluster;
    let past = || Ledger::read(state).unwrap().jobs.pop();
    let args = |verb: VerbId, text: &str, on: &[Target]| act(verb, on.to_vec(), text);
    let wanted = match (turn.wish, past()) {
        (Wish::Scale, _) => args(VerbId::Scale, "+1", &targets[..1]),
        (Wish::Both, _) => args(VerbId::Scale, "+1", &targets[..2]),
        (Wish::Label, _) => args(VerbId::Label, &format!("tried=ours-{n} overwrite"), &targets[1..3]),
        (Wish::Delete, _) => {
            // Something to delete, that nobody needs.
            let path = "/apis/policy/v1/namespaces/shop/poddisruptionbudgets";
            let pdb = serde_json::json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
                "metadata": {"name": "spare", "namespace": "shop"},
                "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "nobody"}}}});
            let _ = sim.fleet.by_another(CLUSTER, "POST", path, "application/json", pdb);
            let mut target = targets[0].clone();
            target.resource = named(ours, Kind::Pdb, "pay", "checkout").resource;
            (target.namespace, target.name, target.uid) = ("shop".into(), "spare".into(), None);
            args(VerbId::Delete, "", &[target])
        }
        (Wish::Freeze, _) => {
            // An autoscaler that is frozen already is not frozen again.
            let free = serde_json::json!({"spec": {"minReplicas": 2, "maxReplicas": 12}, "metadata": {"annotations": null}});
            sim.fleet
                .by_another(CLUSTER, "PATCH", "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/web", MERGE, free)
                .unwrap();
            ours.alongside(tokio::time::sleep(Duration::from_millis(200))).await;
            book("freeze-hpas", cluster, &[("namespace", "shop")])
        }
        (Wish::Waves, _) => book("waves", cluster, &[("n", &n.to_string())]),
        (Wish::Undo, Some(past)) => Wanted::Undo(Box::new(past)),
        (Wish::Resume, Some(past)) => Wanted::Resume(Box::new(past)),
        (Wish::Undo | Wish::Resume, None) => return,
    };
    // Nothing is written by a plan and its preview, whoever looks.
    let quiet = changes(sim, |_, _| {});
    let prepared = acting::prepare(ours, &wanted, false).await;
    assert!(quiet.lock().unwrap().is_empty(), "a preview writes: {turn:?} {:?}", quiet.lock().unwrap());
    // What there is nothing to do for, or no way back from, is no plan.
    let Ok(mut preview) = prepared else { return };
    preview.gate.parallel = 1;
    if turn.other == Some(false) {
        meddle(sim, &targets);
    }
    let right = words(&preview);
    let typed = match turn.said {
        2 | 4 => Some(right.clone()),
        3 => Some("staging".to_owned()),
        5 => Some(right.to_uppercase()),
        _ => None,
    };
    let hash = if turn.said == 4 { "another".to_owned() } else { preview.hash.clone() };
    let said = Confirmation { yes: matches!(turn.said, 1 | 2 | 4 | 5), typed, hash, ..Confirmation::default() };
    // What may be, reckoned here from the configuration and what was said.
    let scales = preview.plan.verb == VerbId::Scale || preview.plan.parts.contains(&VerbId::Scale);
    let typed_wanted = ground.tier == Some("production") || ground.tier.is_none() && preview.plan.irreversible;
    let word = if typed_wanted { turn.said == 2 } else { matches!(turn.said, 1 | 2 | 5) };
    let allowed = word && !ground.read_only && !(ground.denied && ground.tier.is_some() && scales);
    let confirmed = confirm(&preview, &said);
    if confirmed.is_ok() {
        assert!(allowed, "{ground:?} {turn:?}: confirmed");
    } else if allowed {
        // Nothing else may be in the way but what has changed since.
        let why = confirmed.as_ref().err();
        assert!(matches!(why, Some(Refused::Drifted(_))), "{ground:?} {turn:?}: {why:?}");
    }
    let jobs = Ledger::read(state).unwrap().jobs.len();
    // From here on each write finds its intent on disk: the job that is confirmed, begun and not ended.
    let (hash, place, may) = (preview.hash.clone(), state.path(""), confirmed.is_ok());
    let wrong: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = wrong.clone();
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let writes = changes(sim, move |_, w| {
        let ledger = Ledger::read(&StateDir::at(&place).unwrap()).unwrap();
        let intent = ledger.jobs.last().filter(|j| j.plan_hash == hash && j.outcome.is_none());
        let said = intent.is_some_and(|j| j.plan.steps.iter().any(|s| w.path.starts_with(&s.target.path())));
        if !may || ledger.jobs.len() != jobs + 1 || !said {
            told.lock().unwrap().push(format!("{} {} of {} jobs, {:?}", w.method, w.path, ledger.jobs.len(), intent.map(|j| &j.id)));
        }
        let _ = stop.send(true);
    });
    if turn.other == Some(true) {
        meddle(sim, &targets);
    }
    let mut outcome = None;
    if let Ok(confirmed) = confirmed {
        let (tx, _rx) = mpsc::unbounded_channel();
        let started = acting::start(ours, state, confirmed, wanted.resumes(), acting::actor("test", &preview), tx);
        let (control, mut stopping, stopped) = (started.control.clone(), stopping, turn.stopped);
        let both = async {
            let halt = async {
                if stopped && stopping.changed().await.is_ok() {
                    let _ = control.send(Control::Stop("enough"));
                }
            };
            // Where nothing is written there is nothing to stop.
            tokio::select! { done = started.task => done, () = async { halt.await; std::future::pending().await } => unreachable!() }
        };
        outcome = Some(ours.alongside(both).await.unwrap());
    }
    assert!(wrong.lock().unwrap().is_empty(), "{ground:?} {turn:?}: {:?}", wrong.lock().unwrap());
    let (sent, ledger) = (writes.lock().unwrap().len(), Ledger::read(state).unwrap());
    assert!(ledger.bad.is_empty(), "{:?}", ledger.bad);
    assert_eq!(ledger.jobs.len(), jobs + usize::from(outcome.is_some()), "{ground:?} {turn:?}");
    if let Some(outcome) = outcome {
        assert_eq!(ledger.jobs.last().and_then(|j| j.outcome.as_ref()).map(|o| o.1), Some(outcome), "it is written down as it ended");
        let whole = if preview.plan.parts.is_empty() || matches!(turn.wish, Wish::Freeze | Wish::Waves) { "" } else { " of a runbook" };
        *WRITTEN.lock().unwrap().entry(format!("{:?}{whole}", turn.wish)).or_default() += usize::from(sent > 0);
    } else {
        assert_eq!(sent, 0, "{ground:?} {turn:?}");
    }
}

/// How a fleet goes through random turns: each an own plan, so that undo and resume have what went before.
fn interleaved() {
    let sim = sim();
    let given = std::env::var(SEED).ok().map(|text| text.parse::<u64>().unwrap_or_else(|e| panic!("{SEED}={text}: {e}")));
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(24);
    let config = ProptestConfig {
        cases,
        // Each try takes seconds, and the simulated fleet is as the ones before have left it.
        max_shrink_iters: 40,
        max_shrink_time: 60_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(FAILED))),
        ..ProptestConfig::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed.to_le_bytes().repeat(4));
    let mut runner = TestRunner::new_with_rng(config, rng);
    let done = runner.run(&(grounds(), prop::collection::vec(turns(), 1..=9)), |(ground, all)| {
        block_on(async {
            let (_dir, state) = state();
            let mut config = ground.tier.map_or_else(String::new, |t| format!("[clusters.\"{CLUSTER}\"]\ntier = \"{t}\"\n"));
            if let (Some(tier), true) = (ground.tier, ground.denied) {
                config.push_str(&format!("[tiers.{tier}]\ndeny = [\"scale deployment/*\"]\n"));
            }
            let mut ours = fleet(&sim, &config, ground.read_only).await;
            if ground.read_only {
                assert!(ours.clients().write(deployments(&ours, 1)[0].cluster).is_err(), "no write can be built");
            }
            for (n, t) in all.iter().flatten().enumerate() {
                turn(&sim, &mut ours, &state, &ground, n, t).await;
                ours.alongside(tokio::time::sleep(Duration::from_millis(60))).await;
            }
        });
        Ok(())
    });
    if let Err(failed) = done {
        panic!("{failed}\nthe same turns again: {SEED}={seed} cargo test --test executor promise");
    }
}

#[test]
fn nothing_is_written_without_intent_guardrail_and_word() {
    interleaved();
    let counts = WRITTEN.lock().unwrap();
    eprintln!("written: {counts:?}");
    // Chance may leave one of the rare ones out, not the common ones.
    let came = |wish: &str| counts.get(wish).is_some_and(|n| *n > 0);
    let common = ["Scale", "Both", "Label", "Freeze", "Waves", "Undo of a runbook", "Resume of a runbook"];
    let never: Vec<&str> = common.into_iter().filter(|w| !came(w)).collect();
    assert!(never.is_empty() && (came("Undo") || came("Resume")), "never written: {never:?} of {counts:?}");
}
