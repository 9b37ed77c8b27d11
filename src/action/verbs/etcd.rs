//! `etcd-defrag`, `etcd-move-leader`, `etcd-disarm`, `etcd-compact`: what keeps etcd in shape, member by member, minding the quorum.

use super::{Request, Snapshot, Stop, nothing};
use crate::model::etcd_rpc::alarm_name;
use crate::model::{
    Act, ClusterId, EtcdBlast, EtcdCall, EtcdId, EtcdMember, Inverse, Kind, Level, Object, Plan, Quorum, Service, Step, Target, Verdict,
};
use std::collections::BTreeMap;

/// Seconds that one member may take to defragment where nobody says.
const DEFRAG: u64 = 600;
/// Percent of a file that a defragmentation is worth it for.
const WORTH: i64 = 10;
/// Percent of the quota from which on NOSPACE would be raised again. etcd raises it when a write would not fit any more, which may be large:
/// the file itself need not have reached the quota.
const FULL: i64 = 95;

/// A cluster's etcd as it was seen last.
pub(super) struct Seen<'a> {
    pub cluster: ClusterId,
    /// `prod-eu: `
    pub place: String,
    pub members: Vec<&'a EtcdMember>,
    pub quorum: Quorum,
    /// Those that were named, in the order of `members`.
    pub named: Vec<&'a EtcdMember>,
}

impl<'a> Seen<'a> {
    /// Whether all of them are meant.
    pub fn whole(&self) -> bool {
        self.named.len() == self.members.len()
    }
    pub fn leader(&self) -> Option<&'a EtcdMember> {
        self.members.iter().copied().find(|m| m.leads())
    }
    /// Voters that answer and do not lead, who is furthest first; of equals by name.
    pub fn followers(&self) -> Vec<&'a EtcdMember> {
        let mut all: Vec<_> = self.members.iter().copied().filter(|m| m.healthy() && !m.leads() && !m.learner).collect();
        let far = |m: &EtcdMember| m.status.as_ref().map_or(0, |s| s.applied_index);
        all.sort_by(|a, b| a.alarms.len().cmp(&b.alarms.len()).then(far(b).cmp(&far(a))).then(a.meta.name.cmp(&b.meta.name)));
        all
    }
    /// Whether etcd takes no more writes for want of space.
    pub fn full(&self) -> bool {
        self.members.iter().any(|m| m.alarms.iter().any(|a| &**a == "NOSPACE"))
    }
    pub fn target(&self, m: &EtcdMember) -> Target {
        Target {
            cluster: self.cluster,
            resource: Kind::EtcdMember.into(),
            namespace: String::new(),
            name: m.meta.name.to_string(),
            uid: Some(m.meta.uid.to_string()),
        }
    }
    /// A step on a member, in the cluster's own lane.
    pub fn step(&self, lane: usize, stage: usize, m: &EtcdMember, text: String, call: EtcdCall) -> Step {
        Step::new(text, &self.target(m), Act::Etcd(call)).at(lane, stage)
    }
    /// Says what is touched.
    pub fn blast(&self, plan: &mut Plan, members: usize, after: Quorum, meanwhile: impl Into<String>) {
        let members = u32::try_from(members).unwrap_or(u32::MAX);
        plan.blast_in(self.cluster).etcd = Some(EtcdBlast { members, before: self.quorum, after, meanwhile: meanwhile.into() });
    }
    pub fn refuse(&self, why: impl std::fmt::Display) -> Stop {
        Stop::refuse("quorum", format!("{}{why}", self.place))
    }
    /// That writes go on: nothing is changed in a cluster that has lost its quorum.
    ///
    /// # Errors
    /// When it has.
    pub fn holds(&self) -> Result<(), Stop> {
        match self.quorum.holds() {
            true => Ok(()),
            false => Err(self
                .refuse(format!("the quorum is lost: {}; no member can be changed", self.quorum.words()))
                .with_hint("start the members that do not answer; where they are lost, restore: qd etcd restore-plan FILE")),
        }
    }
}

/// The etcd of each cluster that is meant.
///
/// # Errors
/// When one is not reached.
pub(super) fn seen<'a>(snapshot: &Snapshot<'a>, request: &Request) -> Result<Vec<Seen<'a>>, Stop> {
    let mut clusters: BTreeMap<ClusterId, Vec<&Target>> = BTreeMap::new();
    request.targets.iter().for_each(|t| clusters.entry(t.cluster).or_default().push(t));
    clusters.into_iter().map(|(id, targets)| one(snapshot, id, &targets)).collect()
}

fn one<'a>(snapshot: &Snapshot<'a>, id: ClusterId, targets: &[&Target]) -> Result<Seen<'a>, Stop> {
    let (c, place) = (snapshot.cluster(id)?, snapshot.place(id));
    let direct = |o: &'a Object| if let Object::EtcdMember(m) = o { Some(&**m).filter(|m| m.second_hand.is_none()) } else { None };
    let mut members: Vec<&EtcdMember> = c.objects(Kind::EtcdMember).filter_map(direct).collect();
    members.sort_by(|a, b| a.meta.name.cmp(&b.meta.name));
    if members.is_empty() {
        let slot = c.service(Service::Etcd);
        let why = slot.state.reason().map_or_else(|| slot.state.word().to_owned(), ToString::to_string);
        return Err(Stop::refuse("unreachable", format!("{place}etcd is not reached: {why}")).with_hint("qd doctor says what to configure"));
    }
    let whole = targets.iter().any(|t| t.resource.is_cluster());
    let mut named = if whole { members.clone() } else { Vec::new() };
    for target in targets.iter().filter(|_| !whole) {
        let uid = target.uid.as_deref().map(crate::model::Uid::parse);
        let is = |m: &&&EtcdMember| uid.map_or(*m.meta.name == *target.name, |uid| m.meta.uid == uid);
        let found = members.iter().find(is);
        named.push(*found.ok_or_else(|| Stop::refuse("not-found", format!("{place}{} is no member any more", target.name)))?);
    }
    named.sort_by(|a, b| a.meta.name.cmp(&b.meta.name));
    let quorum = Quorum::of(members.iter().copied());
    Ok(Seen { cluster: id, place, members, quorum, named })
}

/// What the plan is about, in its title: the members that were named, or the clusters.
pub(super) fn subject(all: &[Seen]) -> String {
    match all {
        [one] if one.whole() => "etcd".to_owned(),
        [one] => one.named.iter().map(|m| m.meta.name.to_string()).collect::<Vec<_>>().join(", "),
        many => format!("etcd of {} clusters", many.len()),
    }
}

/// The targets of a plan are those that it touches, not all that were highlighted.
pub(super) fn touched(plan: &mut Plan) {
    plan.targets = plan.steps.iter().map(|s| s.target.clone()).collect();
    plan.targets.sort();
    plan.targets.dedup();
}

fn mib(bytes: i64) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes >> 10) }
}

pub fn defrag(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let all = seen(snapshot, request)?;
    let mut plan = Plan::new(request.verb, &request.args, format!("defragment {}", subject(&all)));
    for (lane, etcd) in all.iter().enumerate() {
        defrag_one(&mut plan, request, lane, etcd)?;
    }
    if plan.steps.is_empty() {
        return Err(nothing(&plan));
    }
    plan.timeout = Some(request.args.duration("timeout").map_or(DEFRAG, |d| d.as_secs()) * plan.steps.len() as u64);
    plan.undo_text = "the space that was given back is taken again as etcd needs it".to_owned();
    touched(&mut plan);
    Ok(plan)
}

fn defrag_one(plan: &mut Plan, request: &Request, lane: usize, etcd: &Seen) -> Result<(), Stop> {
    let mut order = Vec::new();
    for m in &etcd.named {
        let status = m.status.as_ref().filter(|_| m.healthy());
        let Some(status) = status else {
            plan.note(Level::Warning, format!("{}{} does not answer: it is left out", etcd.place, m.meta.name));
            continue;
        };
        let (percent, free) = (status.fragmented_percent().unwrap_or(0), (status.db_size - status.db_in_use).max(0));
        if percent < WORTH && !request.args.flag("even-small") {
            plan.note(Level::Info, format!("{} has {percent} % to give back, {}: it is left alone (even-small)", m.meta.name, mib(free)));
            continue;
        }
        order.push((m.leads(), *m, free));
    }
    if order.is_empty() {
        return Ok(());
    }
    order.sort_by_key(|(leads, m, _)| (*leads, m.meta.name.clone()));
    let away = etcd.quorum.while_away();
    let voters = order.iter().any(|(_, m, _)| !m.learner);
    let mut meanwhile = "a member answers nothing while its file is written anew; the others go on".to_owned();
    if etcd.quorum.voters == 1 && voters {
        meanwhile = "etcd answers nothing, and neither does the API server".to_owned();
        plan.note(Level::Danger, format!("{}it is the only voter: all stands still while its file is written anew", etcd.place));
        plan.judge(Verdict::Degrades("the API server: its only etcd member is away meanwhile".to_owned()));
    } else if voters && !away.holds() {
        let why = format!("while one member is away: {}", away.words());
        if !etcd.full() {
            return Err(etcd.refuse(why).with_hint("bring the members that do not answer back first"));
        }
        meanwhile = "no writes: the quorum needs the member that is away".to_owned();
        plan.note(Level::Danger, format!("{}{why}. Writes are refused already (NOSPACE), so it may be", etcd.place));
    }
    etcd.blast(plan, order.len(), etcd.quorum, meanwhile);
    let mut stage = 0;
    for (leads, m, free) in &order {
        // One that has its turn behind it, else whoever is furthest.
        let done = order.iter().map(|(_, d, _)| *d).filter(|d| !d.leads());
        let heir =
            etcd.followers().into_iter().max_by_key(|f| (done.clone().any(|d| d.id == f.id), f.status.as_ref().map(|s| s.applied_index)));
        if let Some(heir) = heir.filter(|_| *leads && !request.args.flag("keep-leader")) {
            let text = format!("move the leadership from {} to {}", m.meta.name, heir.meta.name);
            plan.steps.push(etcd.step(lane, stage, heir, text, EtcdCall::MoveLeader { to: EtcdId(heir.id) }));
            stage += 1;
            plan.note(Level::Info, format!("{} leads afterwards: writes do not wait for {}", heir.meta.name, m.meta.name));
        }
        let text = format!("defragment {}, {} to give back, and wait until it has caught up", m.meta.name, mib(*free));
        plan.steps.push(etcd.step(lane, stage, m, text, EtcdCall::Defragment { member: EtcdId(m.id) }));
        stage += 1;
    }
    Ok(())
}

/// The step that gives somebody else the leadership, and the way back.
pub(super) fn hand_over(etcd: &Seen, lane: usize, stage: usize, from: Option<&EtcdMember>, to: &EtcdMember) -> Step {
    let by = from.map_or_else(String::new, |f| format!(" from {}", f.meta.name));
    let text = format!("move the leadership{by} to {}", to.meta.name);
    let mut step = etcd.step(lane, stage, to, text, EtcdCall::MoveLeader { to: EtcdId(to.id) });
    step.undo = from.map(|f| Inverse {
        text: format!("move the leadership back to {}", f.meta.name),
        act: Act::Etcd(EtcdCall::MoveLeader { to: EtcdId(f.id) }),
        changes: Vec::new(),
        target: Some(etcd.target(f)),
    });
    step
}

pub fn move_leader(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let all = seen(snapshot, request)?;
    let mut plan = Plan::new(request.verb, &request.args, "move etcd's leadership");
    for (lane, etcd) in all.iter().enumerate() {
        etcd.holds()?;
        let leader = etcd.leader();
        let to = match etcd.named.as_slice() {
            [one] if !one.leads() || etcd.members.len() == 1 => *one,
            [_] => best(etcd)?,
            _ if etcd.whole() => best(etcd)?,
            _ => return Err(Stop::refuse("usage", "name the one member that is to lead")),
        };
        if to.leads() {
            plan.note(Level::Info, format!("{}{} leads already", etcd.place, to.meta.name));
            continue;
        }
        if to.learner {
            return Err(etcd.refuse(format!("{} is a learner: it has no vote and cannot lead", to.meta.name)));
        }
        if !to.healthy() {
            return Err(etcd.refuse(format!("{} does not answer", to.meta.name)));
        }
        etcd.blast(&mut plan, 2, etcd.quorum, "writes wait for a moment until the new leader has begun");
        plan.title = format!("move etcd's leadership to {}", to.meta.name);
        plan.steps.push(hand_over(etcd, lane, 0, leader, to));
    }
    if plan.steps.is_empty() {
        return Err(nothing(&plan));
    }
    plan.undo_text = "gives the leadership back to who had it".to_owned();
    touched(&mut plan);
    Ok(plan)
}

fn best<'a>(etcd: &Seen<'a>) -> Result<&'a EtcdMember, Stop> {
    etcd.followers().first().copied().ok_or_else(|| etcd.refuse("there is no follower that answers"))
}

pub fn disarm(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let all = seen(snapshot, request)?;
    let mut plan = Plan::new(request.verb, &request.args, format!("disarm the alarms of {}", subject(&all)));
    for (lane, etcd) in all.iter().enumerate() {
        for (m, alarm) in etcd.named.iter().flat_map(|m| m.alarms.iter().map(move |a| (*m, &**a))) {
            let Some(code) = (1..=2).find(|code| alarm_name(*code) == alarm) else {
                plan.note(Level::Warning, format!("{}: the alarm {alarm} is not known here: it is left raised", m.meta.name));
                continue;
            };
            if alarm == "CORRUPT" && !(request.args.flag("corrupt") && etcd.named.len() == 1) {
                plan.note(
                    Level::Danger,
                    format!(
                        "{} has the alarm CORRUPT: its data differs from the others'. It stays raised (name this member, and corrupt)",
                        m.meta.name
                    ),
                );
                continue;
            }
            if alarm == "NOSPACE" && !request.args.flag("force") {
                let quota = |m: &&&EtcdMember| m.status.as_ref().and_then(|s| s.quota_percent()).is_some_and(|p| p >= FULL);
                if let Some(full) = etcd.members.iter().find(quota) {
                    let percent = full.status.as_ref().and_then(|s| s.quota_percent()).unwrap_or(FULL);
                    return Err(etcd
                        .refuse(format!(
                            "{} takes {percent} % of its quota: the alarm would be raised again at the next write",
                            full.meta.name
                        ))
                        .with_hint("first qd etcd compact, then qd etcd defrag; --force disarms it all the same"));
                }
            }
            let text = format!("disarm {alarm} of {}", m.meta.name);
            plan.steps.push(etcd.step(lane, plan.steps.len(), m, text, EtcdCall::Disarm { member: EtcdId(m.id), alarm: code }));
        }
        if etcd.named.iter().all(|m| m.alarms.is_empty()) {
            plan.note(Level::Info, format!("{}no alarm is raised", etcd.place));
        }
        if plan.steps.iter().any(|s| s.target.cluster == etcd.cluster) {
            etcd.holds()?;
            let members = etcd.named.iter().filter(|m| !m.alarms.is_empty()).count();
            etcd.blast(&mut plan, members, etcd.quorum, "");
        }
    }
    if plan.steps.is_empty() {
        return Err(nothing(&plan));
    }
    plan.undo_text = "an alarm is raised by etcd alone, when there is reason".to_owned();
    touched(&mut plan);
    Ok(plan)
}

pub fn compact(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let all = seen(snapshot, request)?;
    let revision = request.args.get("revision").map(|text| match text.parse::<i64>() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(Stop::refuse("usage", format!("revision: `{text}` is no revision"))),
    });
    let revision = revision.transpose()?;
    if revision.is_some() && all.len() > 1 {
        return Err(Stop::refuse("usage", "a revision is of one cluster: name one"));
    }
    let upto = revision.map_or_else(|| "the newest revision".to_owned(), |n| format!("revision {n}"));
    let mut plan = Plan::new(request.verb, &request.args, format!("compact etcd up to {upto}"));
    for (lane, etcd) in all.iter().enumerate() {
        etcd.holds()?;
        let member = etcd.leader().or(etcd.followers().first().copied()).ok_or_else(|| etcd.refuse("nobody answers"))?;
        let meanwhile = "watches and lists that go on from an older revision begin anew (410 Gone)";
        etcd.blast(&mut plan, etcd.members.len(), etcd.quorum, meanwhile);
        plan.steps.push(etcd.step(lane, 0, member, format!("compact up to {upto}"), EtcdCall::Compact { revision }));
    }
    plan.note(Level::Info, "the file stays as large as it is until it is defragmented");
    plan.undo_text = "what was before that revision is forgotten; the API server does the same every five minutes".to_owned();
    touched(&mut plan);
    Ok(plan)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::fixture::Fixture;
    use super::*;
    use crate::model::etcd::tests::member;
    use crate::model::{Uid, VerbId};

    /// Three members `a`, `b`, `c` of which the first leads, `more` done to them.
    pub(crate) fn three(more: impl FnOnce(&mut [EtcdMember])) -> Fixture {
        let mut all: Vec<EtcdMember> = [(1, "a"), (2, "b"), (3, "c")].into_iter().map(|(id, name)| member(id, name, Some(1))).collect();
        more(&mut all);
        let mut f = Fixture::new();
        f.etcd(all);
        f
    }
    pub(crate) fn plan(f: &mut Fixture, verb: VerbId, names: &[&str], args: &str) -> Result<Plan, String> {
        let names = if names.is_empty() { &["a", "b", "c"] } else { names };
        f.plan(verb, Kind::EtcdMember, names, args)
    }
    pub(crate) fn texts(plan: &Plan) -> Vec<&str> {
        plan.steps.iter().map(|s| s.text.as_str()).collect()
    }
    pub(crate) fn stop(m: &mut EtcdMember) {
        m.down = Some("connection refused".into());
    }

    #[test]
    fn the_leader_is_defragmented_last_and_leads_no_more_then() {
        let mut f = three(|_| {});
        let full = plan(&mut f, VerbId::EtcdDefrag, &[], "").unwrap();
        let wait = "60 MiB to give back, and wait until it has caught up";
        assert_eq!(
            texts(&full),
            [
                format!("defragment b, {wait}"),
                format!("defragment c, {wait}"),
                "move the leadership from a to c".to_owned(),
                format!("defragment a, {wait}")
            ]
        );
        let stages: Vec<(u16, u16)> = full.steps.iter().map(|s| (s.lane, s.stage)).collect();
        assert_eq!(stages, [(0, 0), (0, 1), (0, 2), (0, 3)], "one after the other");
        let blast = full.blast[0].etcd.clone().unwrap();
        assert_eq!((blast.members, blast.before.words().as_str()), (3, "3 of 3 voters answer, 2 are needed"));
        let kept = plan(&mut f, VerbId::EtcdDefrag, &[], "keep-leader").unwrap();
        assert!(kept.steps.len() == 3 && texts(&kept)[2].starts_with("defragment a"), "{:?}", texts(&kept));
        assert_eq!(texts(&plan(&mut f, VerbId::EtcdDefrag, &["b"], "").unwrap()).len(), 1);
    }

    #[test]
    fn what_would_stop_all_writes_is_refused_unless_they_are_stopped_already() {
        let mut f = three(|all| stop(&mut all[2]));
        let why = plan(&mut f, VerbId::EtcdDefrag, &["b"], "").unwrap_err();
        assert_eq!(why, "lab: while one member is away: 1 of 3 voters answers, 2 are needed");
        let mut f = three(|all| {
            stop(&mut all[2]);
            all[0].alarms = ["NOSPACE".into()].into();
        });
        let full = plan(&mut f, VerbId::EtcdDefrag, &["b"], "").unwrap();
        assert!(full.notes[0].text.contains("Writes are refused already"), "{:?}", full.notes);
        let mut alone = Fixture::new();
        alone.etcd(vec![member(1, "a", Some(1))]);
        let full = plan(&mut alone, VerbId::EtcdDefrag, &["a"], "").unwrap();
        assert_eq!((texts(&full).len(), full.notes[0].level), (1, Level::Danger));
    }

    #[test]
    fn what_has_little_to_give_back_is_left_alone() {
        let mut f = three(|all| all.iter_mut().for_each(|m| m.status.as_mut().unwrap().db_in_use = 99 << 20));
        let why = plan(&mut f, VerbId::EtcdDefrag, &["b"], "").unwrap_err();
        assert_eq!(why, "nothing to do: b has 1 % to give back, 1 MiB: it is left alone (even-small)");
        assert!(plan(&mut f, VerbId::EtcdDefrag, &["b"], "even-small").is_ok());
    }

    #[test]
    fn the_leadership_goes_to_who_is_named_or_furthest_and_comes_back() {
        let mut f = three(|all| all[2].status.as_mut().unwrap().applied_index = 999);
        let moved = plan(&mut f, VerbId::EtcdMoveLeader, &[], "").unwrap();
        assert_eq!(texts(&moved), ["move the leadership from a to c"]);
        let undo = moved.steps[0].undo.clone().unwrap();
        assert_eq!((undo.act, undo.target.unwrap().name.as_str()), (Act::Etcd(EtcdCall::MoveLeader { to: EtcdId(1) }), "a"));
        assert_eq!(texts(&plan(&mut f, VerbId::EtcdMoveLeader, &["b"], "").unwrap()), ["move the leadership from a to b"]);
        let mut f = three(|all| all[1].learner = true);
        assert!(plan(&mut f, VerbId::EtcdMoveLeader, &["b"], "").unwrap_err().contains("it has no vote"));
        let mut f = three(|all| all[1..].iter_mut().for_each(stop));
        assert!(plan(&mut f, VerbId::EtcdMoveLeader, &["b"], "").unwrap_err().contains("the quorum is lost: 1 of 3"));
    }

    #[test]
    fn an_alarm_that_would_come_back_and_one_of_corrupt_data_stay_raised() {
        let nospace = |all: &mut [EtcdMember]| all[1].alarms = ["NOSPACE".into()].into();
        assert_eq!(texts(&plan(&mut three(nospace), VerbId::EtcdDisarm, &[], "").unwrap()), ["disarm NOSPACE of b"]);
        let mut f = three(|all| {
            nospace(all);
            all[2].status.as_mut().unwrap().db_size = 3 << 30;
        });
        let why = plan(&mut f, VerbId::EtcdDisarm, &[], "").unwrap_err();
        assert_eq!(why, "lab: c takes 150 % of its quota: the alarm would be raised again at the next write");
        assert!(plan(&mut f, VerbId::EtcdDisarm, &[], "force").is_ok());
        let at = |percent: i64| {
            let mut f = three(|all| {
                nospace(all);
                all[1].status.as_mut().unwrap().db_size = ((2 << 30) * percent + 99) / 100;
            });
            plan(&mut f, VerbId::EtcdDisarm, &[], "").is_ok()
        };
        assert_eq!((at(94), at(95)), (true, false));
        let mut f = three(|all| all[1].alarms = ["CORRUPT".into()].into());
        assert!(plan(&mut f, VerbId::EtcdDisarm, &[], "corrupt").unwrap_err().contains("It stays raised"));
        assert_eq!(texts(&plan(&mut f, VerbId::EtcdDisarm, &["b"], "corrupt").unwrap()), ["disarm CORRUPT of b"]);
        assert_eq!(plan(&mut three(|_| {}), VerbId::EtcdDisarm, &[], "").unwrap_err(), "nothing to do: lab: no alarm is raised");
    }

    #[test]
    fn every_call_is_for_the_member_that_its_step_names() {
        let mut f = three(|all| all.iter_mut().for_each(|m| m.alarms = ["NOSPACE".into()].into()));
        let all: [(VerbId, &[&str], usize); 4] = [
            (VerbId::EtcdDefrag, &[], 4),
            (VerbId::EtcdMoveLeader, &["b"], 1),
            (VerbId::EtcdDisarm, &[], 3),
            (VerbId::EtcdMemberRemove, &["a"], 2),
        ];
        for (verb, names, steps) in all {
            let plan = plan(&mut f, verb, names, "").unwrap();
            assert_eq!(plan.steps.len(), steps, "{verb}");
            for step in &plan.steps {
                let member = match step.act {
                    Act::Etcd(EtcdCall::MoveLeader { to } | EtcdCall::Remove { member: to } | EtcdCall::Defragment { member: to }) => to,
                    Act::Etcd(EtcdCall::Disarm { member, alarm: 1 }) => member,
                    _ => panic!("{step:?}"),
                };
                let uid = Uid::parse(&format!("etcd/{:x}", member.0)).to_string();
                assert_eq!((step.target.uid.as_deref(), step.text.contains(&step.target.name)), (Some(&*uid), true), "{}", step.text);
            }
        }
    }

    #[test]
    fn an_etcd_that_is_not_reached_is_told_with_why() {
        let mut f = Fixture::new();
        let why = plan(&mut f, VerbId::EtcdCompact, &["a"], "").unwrap_err();
        assert!(why.starts_with("lab: etcd is not reached: "), "{why}");
        let mut heard = member(1, "api-server", None);
        heard.second_hand = Some(Box::default());
        f.etcd(vec![heard]);
        let why = plan(&mut f, VerbId::EtcdCompact, &["api-server"], "").unwrap_err();
        assert!(why.starts_with("lab: etcd is not reached: "), "what the API server tells of it is no member: {why}");
        assert!(plan(&mut three(|_| {}), VerbId::EtcdCompact, &[], "revision=-1").unwrap_err().contains("no revision"));
        assert_eq!(texts(&plan(&mut three(|_| {}), VerbId::EtcdCompact, &[], "").unwrap()), ["compact up to the newest revision"]);
    }
}
