//! `etcd-snapshot`: the whole database of one member to a file here, from a follower where there is one.

use super::etcd::{Seen, seen, subject, touched};
use super::{Request, Snapshot, Stop};
use crate::model::etcd_act::snapshot_name;
use crate::model::{EtcdCall, EtcdId, EtcdMember, HandTo, Level, Plan, SnapshotTo, Verdict};
use std::path::Path;

pub fn plan(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let all = seen(snapshot, request)?;
    let args = &request.args;
    let mut plan = Plan::new(request.verb, args, format!("take a snapshot of {}", subject(&all)));
    if args.get("out").is_some() && (all.len() > 1 || args.get("keep").is_some()) {
        let why = if all.len() > 1 { "a file is of one cluster" } else { "keep is for files that qd names" };
        return Err(Stop::refuse("usage", format!("{why}: leave out out, and configure snapshots")));
    }
    for (lane, etcd) in all.iter().enumerate() {
        let info = &snapshot.cluster(etcd.cluster)?.info;
        let file = match (args.get("out"), &info.snapshots) {
            (Some(out), _) => out.to_owned(),
            (None, Some(dir)) => format!("{}/{}", dir.trim_end_matches('/'), snapshot_name(&info.name, snapshot.now)),
            (None, None) => {
                return Err(Stop::refuse("usage", format!("{}where to? There is no directory for snapshots", etcd.place))
                    .with_hint(format!("out=FILE, or snapshots = \"DIR\" in [clusters.{}.etcd]", info.name)));
            }
        };
        let member = source(&mut plan, etcd)?;
        let size = member.status.as_ref().map_or(0, |s| s.db_size);
        let to = SnapshotTo {
            member: EtcdId(member.id),
            file: file.clone(),
            keep: args.count("keep").and_then(|n| u32::try_from(n).ok()),
            move_to: args.get("move-to").map(str::to_owned),
            unhashed: args.flag("no-hash"),
        };
        if to.keep == Some(0) {
            return Err(Stop::refuse("usage", "keep: at least the new one stays"));
        }
        let kept = to.keep.map(|n| format!(", keep {n}")).unwrap_or_default();
        let moved = to.move_to.as_ref().map(|dir| format!(", then move it to {dir}")).unwrap_or_default();
        let text = format!("snapshot {}, about {} MiB, to {file}{kept}{moved}", member.meta.name, (size >> 20) + 1);
        etcd.blast(&mut plan, 1, etcd.quorum, "the member reads its whole file and sends it; nothing stops");
        let name = Path::new(&file).file_name().unwrap_or_default();
        let place = to.move_to.as_ref().map_or_else(|| file.clone(), |dir| Path::new(dir).join(name).to_string_lossy().into_owned());
        plan.steps.push(etcd.step(lane, 0, member, text, EtcdCall::Snapshot(to)));
        let (command, within) = info.after_snapshot.clone();
        if !command.is_empty() {
            let hand = HandTo { command, file: place, within };
            let text = format!("run {}", hand.argv().join(" "));
            plan.steps.push(etcd.step(lane, 1, member, text, EtcdCall::Hand(hand)));
        }
    }
    plan.note(Level::Warning, "it holds every Secret of the cluster: the file is private (0600), keep it so");
    plan.undo_text = "nothing in the cluster is changed; the file stays until somebody deletes it".to_owned();
    touched(&mut plan);
    Ok(plan)
}

/// Whose database is taken: the follower that was named, else who is furthest; the leader only where there is nobody else.
fn source<'a>(plan: &mut Plan, etcd: &Seen<'a>) -> Result<&'a EtcdMember, Stop> {
    let followers = etcd.followers();
    let wished = followers.iter().copied().find(|f| !etcd.whole() && etcd.named.iter().any(|n| n.id == f.id));
    let chosen = wished.or(followers.first().copied());
    if let Some(member) = chosen {
        if let ([one], None) = (etcd.named.as_slice(), wished)
            && !etcd.whole()
        {
            let why = if one.leads() {
                "leads"
            } else if one.learner {
                "is a learner"
            } else {
                "does not answer"
            };
            plan.note(Level::Info, format!("{} {why}: it is taken from {}", one.meta.name, member.meta.name));
        }
        return Ok(member);
    }
    if let Some(leader) = etcd.leader() {
        if etcd.members.len() > 1 {
            plan.note(Level::Warning, format!("{}no follower answers: it is taken from the leader", etcd.place));
        }
        return Ok(leader);
    }
    // Without a quorum nobody leads, and what a member has is what there is.
    let alone = etcd.members.iter().copied().filter(|m| m.down.is_none() && m.status.is_some());
    let alone = alone.max_by_key(|m| m.status.as_ref().map(|s| (s.term, s.applied_index)));
    let member = alone.ok_or_else(|| etcd.refuse("no member answers"))?;
    plan.note(Level::Danger, format!("{}there is no leader: {} may lack the last writes", etcd.place, member.meta.name));
    plan.judge(Verdict::Degrades("the snapshot: the quorum is lost".to_owned()));
    Ok(member)
}

#[cfg(test)]
mod tests {
    use super::super::etcd::tests::{plan, stop, texts, three};
    use super::*;
    use crate::model::{ClusterId, VerbId};

    const OUT: &str = "out=/tmp/x.db";

    fn from(plan: &Plan) -> &str {
        &plan.steps[0].target.name
    }

    #[test]
    fn it_is_taken_from_a_follower_whoever_is_highlighted() {
        let mut f = three(|all| all[2].status.as_mut().unwrap().applied_index = 999);
        let taken = plan(&mut f, VerbId::EtcdSnapshot, &[], OUT).unwrap();
        assert_eq!((from(&taken), texts(&taken)), ("c", vec!["snapshot c, about 101 MiB, to /tmp/x.db"]));
        assert_eq!(taken.targets.len(), 1);
        assert_eq!(from(&plan(&mut f, VerbId::EtcdSnapshot, &["b"], OUT).unwrap()), "b", "the one that was named");
        let leader = plan(&mut f, VerbId::EtcdSnapshot, &["a"], OUT).unwrap();
        assert_eq!((from(&leader), leader.notes[0].text.as_str()), ("c", "a leads: it is taken from c"));
    }

    #[test]
    fn the_leader_serves_where_nobody_else_does_and_anybody_where_the_quorum_is_lost() {
        let mut f = three(|all| all[1..].iter_mut().for_each(stop));
        let taken = plan(&mut f, VerbId::EtcdSnapshot, &[], OUT).unwrap();
        assert_eq!((from(&taken), taken.notes[0].text.as_str()), ("a", "lab: no follower answers: it is taken from the leader"));
        let mut f = three(|all| {
            all[1..].iter_mut().for_each(stop);
            all[0].status.as_mut().unwrap().leader = None;
        });
        let taken = plan(&mut f, VerbId::EtcdSnapshot, &[], OUT).unwrap();
        assert_eq!((from(&taken), taken.notes[0].level), ("a", Level::Danger));
        let mut f = three(|all| all.iter_mut().for_each(stop));
        assert_eq!(plan(&mut f, VerbId::EtcdSnapshot, &[], OUT).unwrap_err(), "lab: no member answers");
    }

    #[test]
    fn a_configured_command_is_a_step_of_its_own_after_it() {
        let mut f = three(|_| {});
        f.store.hand_snapshots(ClusterId(0), ["/usr/bin/put", "{file}", "s3:etcd"].map(str::to_owned).to_vec());
        let taken = plan(&mut f, VerbId::EtcdSnapshot, &[], "out=/tmp/x.db move-to=/srv").unwrap();
        assert_eq!(texts(&taken)[1], "run /usr/bin/put /srv/x.db s3:etcd");
        assert_eq!((taken.steps[0].stage, taken.steps[1].stage), (0, 1), "only what is whole is handed on");
    }

    #[test]
    fn without_a_place_it_asks_for_one() {
        let mut f = three(|_| {});
        assert!(plan(&mut f, VerbId::EtcdSnapshot, &[], "").unwrap_err().contains("where to?"));
        assert!(plan(&mut f, VerbId::EtcdSnapshot, &[], "out=/tmp/x.db keep=3").unwrap_err().contains("keep is for files that qd names"));
    }
}
