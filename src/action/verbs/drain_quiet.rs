//! What a drain keeps quiet: alerts of a node that is emptied tell nothing new. A silence before its first eviction, ended when its last pod is
//! gone; where nobody asked for it, it is offered.

use super::super::silences::{Width, hidden, propose, width, within};
use super::{Request, Snapshot, Stop};
use crate::model::duration::age;
use crate::model::plan::Offer;
use crate::model::until::clock;
use crate::model::{Act, Level, Plan, Service, ServiceState, SilenceBody, SilenceWrite, Step, Target, VerbId};
use std::collections::BTreeMap;

/// What a drain is given in seconds, where it has no timeout: at the least, for each pod, and at the most.
const EXPECTED: (i64, i64, i64) = (900, 60, 4 * 3600);
/// What another clock may be ahead, in seconds: a silence that begins in the past begins at once.
const EARLY: i64 = 600;

/// How long emptying a node is expected to take, in seconds.
fn expected(plan: &Plan, pods: usize) -> i64 {
    let pods = i64::try_from(pods).unwrap_or(i64::MAX / EXPECTED.1);
    let guess = (EXPECTED.0 + EXPECTED.1 * pods).min(EXPECTED.2);
    plan.timeout.map_or(guess, |t| i64::try_from(t).unwrap_or(EXPECTED.2) + EXPECTED.0)
}

fn served(snapshot: &Snapshot, target: &Target) -> bool {
    let state = |t: &Target| snapshot.store.cluster(t.cluster).map(|c| &c.service(Service::Alertmanager).state);
    state(target).is_some_and(|s| !matches!(s, ServiceState::Absent { .. }))
}

/// Puts the silences of the nodes into a drain's plan: `nodes` in the order of its lanes, the steps that empty them in stage 1, which moves behind.
pub(super) fn put(snapshot: &Snapshot, plan: &mut Plan, nodes: &[&Target]) -> Result<(), Stop> {
    if let Some(none) = nodes.iter().find(|t| !served(snapshot, t)) {
        let place = snapshot.place(none.cluster);
        return Err(Stop::refuse("not-found", format!("{place}no Alertmanager: {} cannot be silenced", none.name))
            .with_hint("drain without silence"));
    }
    let mut pods: BTreeMap<u16, usize> = BTreeMap::new();
    for step in plan.steps.iter_mut().filter(|s| s.stage > 0) {
        *pods.entry(step.lane).or_default() += 1;
        step.stage += 1;
    }
    // One node after the other at the worst: each silence lasts until its own is done.
    let mut ends = snapshot.now;
    for (lane, node) in nodes.iter().enumerate() {
        let Some(pods) = u16::try_from(lane).ok().and_then(|l| pods.get(&l)) else { continue };
        ends += expected(plan, *pods);
        let own = propose(snapshot.store, node).map_err(|why| Stop::refuse("usage", why))?;
        let (matchers, _) = within(snapshot.store, node, own);
        let words = matchers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let hides = hidden(snapshot.store, node.cluster, &matchers);
        let label = snapshot.cluster(node.cluster)?.info.alert_label.as_deref();
        if let Width::Wide(why) = width(label, &matchers, &hides) {
            plan.note(Level::Warning, format!("the silence of {}: {why}", node.name));
        }
        let body = SilenceBody {
            matchers,
            starts: snapshot.now - EARLY,
            ends,
            creator: String::new(),
            comment: format!("drain of node {}", node.name),
            annotations: BTreeMap::new(),
        };
        let add = SilenceWrite::Add { body };
        let until = clock(ends, snapshot.now);
        let begin = Step::new(format!("silence {words} until {until}"), node, Act::Silence(add.clone()))
            .taken_back_by(format!("end the silence {words}"), Act::Silence(add.back()))
            .at(lane, 1);
        // It ends by itself where this does not come to pass.
        let end = Step { optional: true, ..Step::new(format!("end the silence {words}"), node, Act::Silence(add.back())) }.at(lane, 3);
        let first = plan.steps.iter().position(|s| usize::from(s.lane) == lane && s.stage > 0).unwrap_or(plan.steps.len());
        plan.steps.insert(first, begin);
        let last = plan.steps.iter().rposition(|s| usize::from(s.lane) == lane).map_or(plan.steps.len(), |n| n + 1);
        plan.steps.insert(last, end);
        let n = hides.len();
        let now = if n == 0 { "nothing that fires now".to_owned() } else { format!("{n} alert{} now", if n == 1 { "" } else { "s" }) };
        plan.note(
            Level::Info,
            format!("{} is silenced before its first pod goes ({now}), until it is empty, {until} at the latest", node.name),
        );
    }
    plan.undo_text = "uncordons what this cordons and ends its silences; pods stay where they have gone".to_owned();
    Ok(())
}

/// Offers the same drain with its nodes silenced.
pub(super) fn offer(snapshot: &Snapshot, plan: &mut Plan, request: &Request) {
    if !request.targets.iter().all(|t| served(snapshot, t)) {
        return;
    }
    let mut args = request.args.clone();
    if args.set(VerbId::Drain.info(), "silence", "true").is_err() {
        return;
    }
    let pods = plan.steps.iter().filter(|s| s.stage > 0).count();
    if pods == 0 {
        return;
    }
    let what = match request.targets.as_slice() {
        [one] => format!("the alerts of {}", one.name),
        all => format!("the alerts of {} nodes", all.len()),
    };
    let text = format!("drain with {what} silenced until it is done, for {} at the most", age(expected(plan, pods)));
    plan.offers.push(Offer { text, before: false, verb: VerbId::Drain, args, targets: request.targets.clone() });
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, NOW};
    use super::*;
    use crate::model::Kind;
    use serde_json::json;

    fn lab(nodes: &[&str]) -> Fixture {
        let mut f = Fixture::new();
        f.alerts();
        for node in nodes {
            f.node(node, |_| {});
            let pod = f.pod(&format!("web-{node}"), "web", node, |_| {});
            let items = json!({"items": [f.object(&pod)]});
            f.fact(&format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}"), items);
        }
        f
    }

    fn told(plan: &Plan) -> Vec<(u16, u16, &str)> {
        plan.steps.iter().map(|s| (s.lane, s.stage, s.text.as_str())).collect()
    }

    #[test]
    fn a_drain_offers_to_silence_its_nodes_and_does_so_around_its_evictions() {
        let mut f = lab(&["n1", "n2"]);
        f.alert(&[("alertname", "NodeDown"), ("node", "n1")]);
        let plain = f.plan(VerbId::Drain, Kind::Node, &["n1", "n2"], "").unwrap();
        let offer = &plain.offers[0];
        assert_eq!((offer.verb, offer.before, offer.targets.len(), offer.args.flag("silence")), (VerbId::Drain, false, 2, true));
        assert_eq!(offer.text, "drain with the alerts of 2 nodes silenced until it is done, for 17m at the most");
        let plan = f.plan(VerbId::Drain, Kind::Node, &["n1", "n2"], "silence").unwrap();
        assert_eq!(
            told(&plan),
            [
                (0, 0, "cordon node n1"),
                (0, 1, r#"silence node="n1" until 03:03Z"#),
                (0, 2, "evict pod pay/web-n1"),
                (0, 3, r#"end the silence node="n1""#),
                (1, 0, "cordon node n2"),
                (1, 1, r#"silence node="n2" until 03:19Z"#),
                (1, 2, "evict pod pay/web-n2"),
                (1, 3, r#"end the silence node="n2""#),
            ]
        );
        assert!(plan.offers.is_empty() && plan.steps[1].undo.is_some() && plan.steps[3].undo.is_none() && plan.steps[3].optional);
        let Act::Silence(SilenceWrite::Add { body }) = &plan.steps[1].act else { panic!() };
        assert_eq!((body.ends, body.comment.as_str()), (NOW + 960, "drain of node n1"));
        assert!(matches!(&plan.steps[3].act, Act::Silence(SilenceWrite::Expire { id, body: b }) if id.is_empty() && b == body));
        assert!(plan.notes.iter().any(|n| n.text.contains("n1 is silenced before its first pod goes (1 alert now)")), "{:?}", plan.notes);
        let timed = f.plan(VerbId::Drain, Kind::Node, &["n1"], "silence timeout=1h").unwrap();
        assert!(matches!(&timed.steps[1].act, Act::Silence(SilenceWrite::Add { body }) if body.ends == NOW + 4500));
    }

    #[test]
    fn without_an_alertmanager_it_is_neither_offered_nor_done_and_a_cordon_never_does() {
        let mut f = lab(&["n1"]);
        assert!(f.plan(VerbId::Cordon, Kind::Node, &["n1"], "").unwrap().offers.is_empty());
        f.unserved();
        assert!(f.plan(VerbId::Drain, Kind::Node, &["n1"], "").unwrap().offers.is_empty());
        assert_eq!(f.plan(VerbId::Drain, Kind::Node, &["n1"], "silence").unwrap_err(), "lab: no Alertmanager: n1 cannot be silenced");
    }
}
