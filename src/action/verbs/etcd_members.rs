//! `etcd-member-add`, `etcd-promote`, `etcd-member-remove`: who is a member of etcd. Always one at a time, and never below the quorum.

use super::etcd::{Seen, hand_over, seen, touched};
use super::{Request, Snapshot, Stop, nothing};
use crate::model::plan::Offer;
use crate::model::{Act, Args, EtcdCall, EtcdId, EtcdMember, Inverse, Level, Plan, Quorum, Target, VerbId, Verdict};

/// Seconds that a learner may take to catch up where nobody says.
const PROMOTE: u64 = 300;

/// The cluster that is meant: members of one at a time.
fn single<'a>(snapshot: &Snapshot<'a>, request: &Request) -> Result<Seen<'a>, Stop> {
    let mut all = seen(snapshot, request)?;
    match (all.pop(), all.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => Err(Stop::refuse("usage", format!("{} is for one cluster at a time", request.verb))),
    }
}

/// The one member that is meant.
fn named<'a>(etcd: &Seen<'a>, verb: VerbId) -> Result<&'a EtcdMember, Stop> {
    match etcd.named.as_slice() {
        [one] if etcd.members.len() > 1 => Ok(one),
        [one] => Err(etcd.refuse(format!("{} is the only member", one.meta.name))),
        _ => Err(Stop::refuse("usage", format!("{verb}: name one member"))
            .with_hint(etcd.members.iter().map(|m| m.meta.name.to_string()).collect::<Vec<_>>().join(", "))),
    }
}

/// What to know of an even number of voters.
fn even(plan: &mut Plan, after: Quorum) {
    if after.voters > 0 && after.voters.is_multiple_of(2) {
        plan.note(
            Level::Warning,
            format!("{} voters survive the loss of no more members than {} do: {}", after.voters, after.voters - 1, after.words()),
        );
    }
}

/// A snapshot first, where there is a place for it.
fn offer_snapshot(snapshot: &Snapshot, plan: &mut Plan, etcd: &Seen, target: Target) {
    let place = snapshot.store.cluster(etcd.cluster).and_then(|c| c.info.snapshots.clone());
    match place {
        Some(_) => plan.offers.push(Offer {
            text: "take a snapshot".to_owned(),
            before: true,
            verb: VerbId::EtcdSnapshot,
            args: Args::default(),
            targets: vec![target],
        }),
        None => plan.note(Level::Info, "take a snapshot first: qd etcd snapshot --out FILE"),
    }
}

/// `https://10.0.0.4:2380`.
fn address(url: &str) -> Result<&str, Stop> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let fine = rest.is_some_and(|r| {
        r.rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && !host.contains(['/', '@', ' ', ',']) && port.parse::<u16>().is_ok())
    });
    if fine { Ok(url) } else { Err(Stop::refuse("usage", format!("`{url}` is no peer address: write https://HOST:PORT"))) }
}

pub fn add(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let etcd = single(snapshot, request)?;
    let url = address(request.args.get("peer-url").unwrap_or_default())?;
    let mut plan = Plan::new(request.verb, &request.args, format!("add {url} to etcd as a learner"));
    if let Some(m) = etcd.members.iter().find(|m| m.peers.iter().any(|p| **p == *url)) {
        plan.note(Level::Info, format!("{url} is {} already", m.meta.name));
        return Err(nothing(&plan));
    }
    etcd.holds()?;
    if let Some(m) = etcd.members.iter().find(|m| m.learner) {
        return Err(etcd
            .refuse(format!("{} is a learner already, and etcd has one at a time", m.meta.name))
            .with_hint("promote or remove it first"));
    }
    let through = etcd.leader().or(etcd.followers().first().copied()).ok_or_else(|| etcd.refuse("nobody answers"))?;
    etcd.blast(&mut plan, 1, etcd.quorum, "");
    let peers = vec![url.to_owned()];
    let mut step = etcd.step(0, 0, through, format!("add {url} as a learner"), EtcdCall::Add { peers: peers.clone() });
    let act = Act::Etcd(EtcdCall::RemoveAt { peers });
    step.undo = Some(Inverse { text: format!("remove {url} again"), act, changes: Vec::new(), target: None });
    plan.steps.push(step);
    plan.note(Level::Info, "a learner has no vote: the quorum stays as it is until it is promoted (qd etcd member promote)");
    plan.note(
        Level::Info,
        format!("then start etcd there with --initial-cluster-state existing and --initial-cluster {}", initial(&etcd, url)),
    );
    plan.undo_text = "removes it again; what its process has written there stays".to_owned();
    Ok(plan)
}

/// `--initial-cluster` of the new one, its name left open.
fn initial(etcd: &Seen, url: &str) -> String {
    let known = etcd.members.iter().flat_map(|m| m.peers.iter().map(move |p| format!("{}={p}", m.meta.name)));
    known.chain([format!("NAME={url}")]).collect::<Vec<_>>().join(",")
}

pub fn promote(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let etcd = single(snapshot, request)?;
    let learners: Vec<&EtcdMember> = etcd.members.iter().copied().filter(|m| m.learner).collect();
    let member = match learners.as_slice() {
        [one] if etcd.whole() => one,
        _ => named(&etcd, request.verb)?,
    };
    let name = member.meta.name.clone();
    let mut plan = Plan::new(request.verb, &request.args, format!("give {name} a vote in etcd"));
    if !member.learner {
        plan.note(Level::Info, format!("{name} has a vote already"));
        return Err(nothing(&plan));
    }
    etcd.holds()?;
    if !member.healthy() {
        let why = member.down.as_deref().unwrap_or("it knows of no leader");
        return Err(etcd.refuse(format!("{name} does not answer ({why}): as a voter it would count against the quorum")));
    }
    let after = etcd.quorum.with_one();
    etcd.blast(&mut plan, 1, after, "");
    even(&mut plan, after);
    plan.steps.push(etcd.step(
        0,
        0,
        member,
        format!("promote {name}, once it has caught up"),
        EtcdCall::Promote { member: EtcdId(member.id) },
    ));
    plan.timeout = Some(request.args.duration("timeout").map_or(PROMOTE, |d| d.as_secs()));
    plan.undo_text = "a vote is not taken back; the member can be removed".to_owned();
    touched(&mut plan);
    Ok(plan)
}

pub fn remove(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let etcd = single(snapshot, request)?;
    let member = named(&etcd, request.verb)?;
    let name = member.meta.name.clone();
    let mut plan = Plan::new(request.verb, &request.args, format!("remove {name} from etcd"));
    etcd.holds()?;
    let after = if member.learner { etcd.quorum } else { etcd.quorum.without(member.healthy()) };
    if !after.holds() {
        return Err(etcd
            .refuse(format!("without {name} the quorum would be lost: {} (now: {})", after.words(), etcd.quorum.words()))
            .with_hint("add a member and promote it first, or bring back those that do not answer"));
    }
    let mut stage = 0;
    if member.leads() {
        let heir = etcd.followers().first().copied().ok_or_else(|| etcd.refuse("nobody else answers who could lead"))?;
        let mut step = hand_over(&etcd, 0, stage, Some(member), heir);
        step.undo = None;
        plan.steps.push(step);
        stage += 1;
    }
    plan.steps.push(etcd.step(0, stage, member, format!("remove {name}"), EtcdCall::Remove { member: EtcdId(member.id) }));
    etcd.blast(&mut plan, 1, after, if member.leads() { "writes wait for a moment until the new leader has begun" } else { "" });
    even(&mut plan, after);
    if after.may_fail() == 0 {
        plan.judge(Verdict::Degrades(format!("etcd: afterwards no voter may fail, {}", after.words())));
    }
    plan.note(Level::Danger, format!("{name} comes back only as a new member: with an empty data directory, and added first"));
    plan.undo_text = "a member that was removed never comes back; a new one is added in its place".to_owned();
    touched(&mut plan);
    let target = etcd.target(member);
    offer_snapshot(snapshot, &mut plan, &etcd, target);
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::super::etcd::tests::{plan, stop, texts, three};
    use super::*;
    use crate::model::etcd::tests::member;

    #[test]
    fn a_removal_that_would_lose_the_quorum_is_refused_with_the_sum() {
        let mut f = three(|all| stop(&mut all[2]));
        let why = plan(&mut f, VerbId::EtcdMemberRemove, &["b"], "").unwrap_err();
        assert_eq!(
            why,
            "lab: without b the quorum would be lost: 1 of 2 voters answers, 2 are needed (now: 2 of 3 voters answer, 2 are needed)"
        );
        let dead = plan(&mut f, VerbId::EtcdMemberRemove, &["c"], "").unwrap();
        assert_eq!(texts(&dead), ["remove c"], "one that does not answer may go");
        assert_eq!(dead.blast[0].etcd.as_ref().unwrap().after, Quorum::sum(2, 2));
        assert!(
            dead.irreversible && dead.notes.iter().any(|n| n.text.contains("2 voters survive the loss of no more members than 1 do")),
            "{:?}",
            dead.notes
        );
        let mut lost = three(|all| all[1..].iter_mut().for_each(stop));
        assert!(plan(&mut lost, VerbId::EtcdMemberRemove, &["c"], "").unwrap_err().contains("the quorum is lost"));
        assert!(plan(&mut f, VerbId::EtcdMemberRemove, &[], "").unwrap_err().contains("name one member"));
    }

    #[test]
    fn a_leader_leads_no_more_before_it_is_removed() {
        let mut f = three(|_| {});
        let gone = plan(&mut f, VerbId::EtcdMemberRemove, &["a"], "").unwrap();
        assert_eq!(texts(&gone), ["move the leadership from a to b", "remove a"]);
        assert_eq!(gone.steps.iter().map(|s| s.stage).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn a_member_is_added_as_a_learner_and_can_be_taken_away_again() {
        let mut f = three(|_| {});
        let added = plan(&mut f, VerbId::EtcdMemberAdd, &[], "peer-url=https://10.0.0.4:2380").unwrap();
        assert_eq!(texts(&added), ["add https://10.0.0.4:2380 as a learner"]);
        let undo = added.steps[0].undo.clone().unwrap();
        assert_eq!(undo.act, Act::Etcd(EtcdCall::RemoveAt { peers: vec!["https://10.0.0.4:2380".into()] }));
        assert!(plan(&mut f, VerbId::EtcdMemberAdd, &[], "peer-url=https://10.0.0.1:2380").unwrap_err().contains("already"));
        for bad in ["10.0.0.4:2380", "https://10.0.0.4", "https://a:1/x", "https://a:1,https://b:2"] {
            assert!(plan(&mut f, VerbId::EtcdMemberAdd, &[], &format!("peer-url={bad}")).unwrap_err().contains("no peer address"), "{bad}");
        }
        let mut f = three(|all| all[2].learner = true);
        assert!(plan(&mut f, VerbId::EtcdMemberAdd, &[], "peer-url=https://10.0.0.4:2380").unwrap_err().contains("one at a time"));
    }

    #[test]
    fn only_a_learner_that_answers_is_promoted_and_the_new_sum_is_shown() {
        let mut f = three(|_| {});
        let mut learner = member(4, "d", Some(1));
        learner.learner = true;
        let mut all: Vec<EtcdMember> = [(1, "a"), (2, "b"), (3, "c")].into_iter().map(|(id, n)| member(id, n, Some(1))).collect();
        all.push(learner.clone());
        f.etcd(all.clone());
        let up = plan(&mut f, VerbId::EtcdPromote, &["d"], "").unwrap();
        assert_eq!((texts(&up), up.timeout), (vec!["promote d, once it has caught up"], Some(300)));
        assert_eq!(up.blast[0].etcd.as_ref().unwrap().after, Quorum::sum(4, 4));
        assert!(plan(&mut f, VerbId::EtcdPromote, &["a"], "").unwrap_err().contains("has a vote already"));
        stop(&mut all[3]);
        f.etcd(all);
        assert!(plan(&mut f, VerbId::EtcdPromote, &["d"], "").unwrap_err().contains("would count against the quorum"));
    }
}
