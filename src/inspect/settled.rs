//! The incidents of a cluster as they were last told. What only changes the words of a finding tells the one incident anew that it is part of.

use super::causes;
use super::engine::Room;
use super::incident::{Group, Head, said};
use super::lines::{Placed, Telling};
use super::{Finding, FindingId};
use crate::model::{Kind, Object, Str, Uid};
use crate::store::Cluster;
use hashbrown::{HashMap, HashSet};

/// What has to be told anew.
#[derive(Default)]
enum Unsettled {
    #[default]
    Nothing,
    /// The incidents of these objects' findings; which finding is in which incident is as it was.
    Words(HashSet<Uid>),
    All,
}

/// An incident, and what it was told from.
struct Kept {
    head: Head<Str>,
    findings: Vec<FindingId>,
    alerts: Vec<Uid>,
    placed: Option<Placed>,
}

/// A cluster's incidents, and which of them have to be told anew.
#[derive(Default)]
pub(super) struct Settled {
    kept: Vec<Kept>,
    /// Where in `kept` an object's findings are.
    of: HashMap<Uid, Vec<usize>>,
    /// Of the last telling (unix seconds / 60): some words grow old.
    minute: i64,
    unsettled: Unsettled,
    /// How often all was told.
    #[cfg(test)]
    whole: u32,
}

impl Settled {
    /// Which finding is in which incident may be other now.
    pub fn disturb(&mut self) {
        self.unsettled = Unsettled::All;
    }

    /// What is said of an object may be other now.
    pub fn reword(&mut self, uid: Uid) {
        match &mut self.unsettled {
            Unsettled::Nothing => self.unsettled = Unsettled::Words([uid].into()),
            Unsettled::Words(all) => {
                all.insert(uid);
            }
            Unsettled::All => {}
        }
    }

    /// The incidents, in no order; none while they are not as they were last told. `now` in unix seconds.
    pub fn told(&self, now: i64) -> Option<impl Iterator<Item = &Placed>> {
        let current = matches!(self.unsettled, Unsettled::Nothing) && self.minute == now.div_euclid(60);
        current.then(|| self.kept.iter().filter_map(|k| k.placed.as_ref()))
    }
}

/// Whether the findings of one object, then and now, are told in the same incidents: no other finding or alert goes elsewhere for what differs.
pub(super) fn alike(old: &[Finding], new: &[Finding]) -> bool {
    let same = |(a, b): (&Finding, &Finding)| {
        let place = |f: &Finding| f.place().map(|o| (o.kind, o.uid));
        let stands = |f: &Finding| (f.rule.id, f.severity, f.open(), f.burns(), place(f), said(f, "Insufficient"));
        stands(a) == stands(b) && !causes::wide(a.rule.id)
    };
    old.len() == new.len() && old.iter().zip(new).all(same)
}

/// Tells anew what has to be, and the rows of the findings that are in it. `now` in unix seconds.
pub(super) fn settle(cluster: &Cluster, room: &mut Room, now: i64) {
    let minute = now.div_euclid(60);
    let mut settled = std::mem::take(&mut room.settled);
    let unsettled = std::mem::take(&mut settled.unsettled);
    let telling = Telling { cluster, room, now };
    let words = match &unsettled {
        Unsettled::Nothing => Some(Vec::new()),
        Unsettled::Words(uids) if settled.minute == minute => reworded(&telling, &settled, uids),
        Unsettled::Words(_) | Unsettled::All => None,
    };
    let anew: Vec<usize> = match words {
        Some(words) => words
            .into_iter()
            .map(|(at, placed)| {
                settled.kept[at].placed = placed;
                at
            })
            .collect(),
        None => {
            #[cfg(test)]
            let whole = settled.whole + 1;
            settled = all(&telling, minute);
            #[cfg(test)]
            (settled.whole = whole);
            (0..settled.kept.len()).collect()
        }
    };
    for incident in anew.into_iter().filter_map(|at| settled.kept[at].placed.as_ref()).map(|p| &p.incident) {
        for (n, id) in incident.line.findings.iter().enumerate() {
            let news = room.lives.explained(id.uid, id.rule, &incident.name, (n == 0).then(|| incident.explains()));
            room.news.extend(news);
        }
    }
    room.settled = settled;
}

fn all(telling: &Telling<'_>, minute: i64) -> Settled {
    let mut settled = Settled { minute, ..Settled::default() };
    for group in telling.groups() {
        let at = settled.kept.len();
        for f in &group.findings {
            let own = f.object.as_ref().map(|o| o.uid).unwrap_or_default();
            let places = settled.of.entry(own).or_default();
            if places.last() != Some(&at) {
                places.push(at);
            }
        }
        settled.kept.push(Kept {
            head: group.head.kept(),
            findings: group.findings.iter().map(|f| f.id()).collect(),
            alerts: group.alerts.iter().map(|a| a.meta.uid).collect(),
            placed: telling.incident(group),
        });
    }
    settled
}

/// The incidents that findings of these objects are part of, in new words. None: they are not what they were told from any more.
fn reworded(telling: &Telling<'_>, settled: &Settled, uids: &HashSet<Uid>) -> Option<Vec<(usize, Option<Placed>)>> {
    let mut anew: Vec<usize> = uids.iter().filter_map(|uid| settled.of.get(uid)).flatten().copied().collect();
    anew.sort_unstable();
    anew.dedup();
    let tell = |at: usize| Some((at, telling.incident(again(telling.cluster, telling.room, &settled.kept[at])?)));
    anew.into_iter().map(tell).collect()
}

/// The group that an incident was told from, with its findings as they are now.
fn again<'a>(cluster: &'a Cluster, room: &'a Room, kept: &'a Kept) -> Option<Group<'a>> {
    let finding = |id: &FindingId| room.findings.get(&id.uid)?.iter().find(|f| f.rule.id == id.rule);
    let alert = |uid: &Uid| {
        let table = cluster.table(Kind::Alert);
        match table.get(table.slot_of(*uid)?)? {
            Object::Alert(a) => Some(&**a),
            _ => None,
        }
    };
    Some(Group {
        head: kept.head.seen(),
        findings: kept.findings.iter().map(finding).collect::<Option<_>>()?,
        alerts: kept.alerts.iter().map(alert).collect::<Option<_>>()?,
    })
}

#[cfg(test)]
impl Settled {
    /// That what is kept is what would be told from nothing. `now` in unix seconds.
    pub fn check(&self, cluster: &Cluster, room: &Room, now: i64) {
        let telling = Telling { cluster, room, now };
        let names = |all: Vec<&super::Incident>| {
            let mut all: Vec<String> = all.into_iter().map(|i| format!("{i:?}")).collect();
            all.sort_unstable();
            all
        };
        let fresh: Vec<Placed> = telling.groups().into_iter().filter_map(|g| telling.incident(g)).collect();
        let Some(kept) = self.told(now) else { return };
        assert_eq!(names(kept.map(|p| &p.incident).collect()), names(fresh.iter().map(|p| &p.incident).collect()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, crashing, deployment, owned, pod, replicaset};
    use crate::model::ClusterId;

    #[test]
    fn what_only_changes_words_tells_one_incident_anew() {
        let mut fleet = Fleet::default();
        let looping = |name: &str, exit: i32| pod(owned(name, Kind::ReplicaSet, "api-1"), "n1", false, 900, crashing(7, exit, "Error", 30));
        fleet.put(Kind::Deployment, [deployment("api", 2, 0)]);
        fleet.put(Kind::ReplicaSet, [replicaset("api-1", "api", 1, "reg/app:1.9", 90_000, 2)]);
        fleet.put(Kind::Pod, [looping("a", 1), looping("b", 1)]);
        let whole = |fleet: &Fleet| fleet.engine.room(ClusterId(0)).unwrap().settled.whole;
        let (before, revision) = (whole(&fleet), fleet.engine.revision());
        assert!(fleet.lines()[0].message.starts_with("0/2"), "{:?}", fleet.lines());
        // The fixture compares what is kept with what would be told from nothing after each of these.
        fleet.put(Kind::Pod, [looping("a", 7)]);
        assert_eq!(whole(&fleet), before, "words alone");
        assert!(fleet.engine.revision() > revision);
        fleet.put(Kind::Deployment, [deployment("api", 3, 0)]);
        assert!(fleet.lines()[0].message.starts_with("0/3"), "{:?}", fleet.lines());
        let before = whole(&fleet);
        fleet.delete(Kind::Pod, "a");
        assert!(whole(&fleet) > before, "a finding is gone");
    }
}
