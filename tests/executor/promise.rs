//! The promise: no write without its intent, its guardrails and its word, whatever happens in between.

use super::*;
use proptest::prelude::*;

/// What may happen between a wish and a write.
#[derive(Clone, Debug)]
struct Case {
    tier: Option<&'static str>,
    read_only: bool,
    denied: bool,
    other: bool,
    /// 0 nothing, 1 y, 2 the right name, 3 a wrong name, 4 the right words for another plan.
    said: u8,
}

fn cases() -> impl Strategy<Value = Case> {
    let tier = prop_oneof![Just(None), Just(Some("staging")), Just(Some("production"))];
    (tier, prop::bool::weighted(0.2), prop::bool::weighted(0.2), prop::bool::weighted(0.3), 0u8..5)
        .prop_map(|(tier, read_only, denied, other, said)| Case { tier, read_only, denied, other, said })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_written_without_intent_guardrail_and_word(all in prop::collection::vec(cases(), 3)) {
        static SIM: std::sync::LazyLock<Running> = std::sync::LazyLock::new(sim);
        block_on(async {
            for case in all {
                let (_dir, state) = state();
                let mut config = case.tier.map_or_else(String::new, |t| format!("[clusters.\"{CLUSTER}\"]\ntier = \"{t}\"\n"));
                if let (Some(tier), true) = (case.tier, case.denied) {
                    config.push_str(&format!("[tiers.{tier}]\ndeny = [\"scale deployment/*\"]\n"));
                }
                let denied = case.denied && case.tier.is_some();
                let mut ours = fleet(&SIM, &config, case.read_only).await;
                let target = deployments(&ours, 1).remove(0);
                let before = replicas(&mut ours, &target).await;
                let to = if before > 3 { "-1" } else { "+1" };
                let preview = acting::prepare(&mut ours, &scale(vec![target.clone()], to), false).await.unwrap();
                if case.read_only {
                    assert!(ours.clients().write(target.cluster).is_err(), "no write can be built");
                }
                let mut expected = before;
                if case.other {
                    let mut theirs = fleet(&SIM, "", false).await;
                    let (_other, elsewhere) = self::state();
                    let other = acting::prepare(&mut theirs, &scale(vec![target.clone()], to), false).await.unwrap();
                    carry_out(&mut theirs, &elsewhere, &other, |_| async {}).await;
                    expected = replicas(&mut ours, &target).await;
                }
                let hash = if case.said == 4 { "another".to_owned() } else { preview.hash.clone() };
                let typed = match case.said {
                    2 | 4 => Some(CLUSTER.to_owned()),
                    3 => Some("staging".to_owned()),
                    _ => None,
                };
                let said = Confirmation { yes: matches!(case.said, 1 | 2 | 4), typed, hash, ..Confirmation::default() };
                let confirmed = confirm(&preview, &said);
                let allowed = !case.read_only && !denied && match case.tier {
                    Some("production") => case.said == 2,
                    _ => matches!(case.said, 1 | 2),
                };
                assert_eq!(confirmed.is_ok(), allowed, "{case:?}: {confirmed:?}");
                let mut outcome = None;
                if let Ok(confirmed) = confirmed {
                    let (tx, _rx) = mpsc::unbounded_channel();
                    let started = acting::start(&ours, &state, confirmed, None, acting::actor("test", &preview), tx);
                    outcome = Some(ours.alongside(started.task).await.unwrap());
                }
                let ledger = Ledger::read(&state).unwrap();
                let is = replicas(&mut ours, &target).await;
                assert_eq!(ledger.jobs.len(), usize::from(allowed), "{case:?}");
                if is != expected {
                    assert!(allowed && !case.other && outcome == Some(Outcome::Done), "{case:?}: {expected} became {is}, {outcome:?}");
                    assert_eq!(ledger.jobs[0].plan_hash, preview.hash, "what was written down is what was shown");
                } else {
                    assert!(!allowed || case.other, "{case:?}: {outcome:?}");
                }
            }
        });
    }
}
