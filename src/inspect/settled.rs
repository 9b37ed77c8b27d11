//! The incidents of a cluster as they were last told. What changes at one object tells the incidents anew that its findings leave, are in or come to.

use super::causes;
use super::engine::Room;
use super::incident::{Correlation, Group, Head, acute, said};
use super::lines::{Placed, Telling};
use super::{Finding, FindingId};
use crate::model::{Alert, Kind, Str, Uid};
use crate::store::Cluster;
use hashbrown::{HashMap, HashSet};

/// What has to be told anew.
#[derive(Default)]
enum Unsettled {
    #[default]
    Nothing,
    /// What findings of these objects, and of what is below them, are part of.
    At(HashSet<Uid>),
    All,
}

/// From so many objects on, and a quarter of the incidents, it is quicker to tell all.
const MANY: usize = 64;

/// An incident, and what it was told from.
struct Kept {
    findings: Vec<FindingId>,
    alerts: Vec<Uid>,
    /// The objects of its findings, what these are about and the workloads above, and its alerts.
    at: HashSet<Uid>,
    placed: Option<Placed>,
}

type Name = Head<Str>;

/// A cluster's incidents, and which of them have to be told anew.
#[derive(Default)]
pub(super) struct Settled {
    kept: HashMap<Name, Kept>,
    /// The incidents by [`Kept::at`].
    of: HashMap<Uid, Vec<Name>>,
    /// What the alerts that fire name.
    alerted: HashSet<Box<str>>,
    /// Of the last telling of all (unix seconds / 60): some words grow old.
    minute: i64,
    unsettled: Unsettled,
    /// How often all was told.
    #[cfg(test)]
    whole: u32,
}

impl Settled {
    /// Anything may be other now.
    pub fn disturb(&mut self) {
        self.unsettled = Unsettled::All;
    }

    /// What is told of findings at these objects and below them may be other now, and where.
    pub fn touch(&mut self, uids: impl IntoIterator<Item = Uid>) {
        match &mut self.unsettled {
            Unsettled::Nothing => self.unsettled = Unsettled::At(uids.into_iter().collect()),
            Unsettled::At(all) => {
                all.extend(uids);
                if all.len() > MANY && all.len() * 4 > self.kept.len() {
                    self.unsettled = Unsettled::All;
                }
            }
            Unsettled::All => {}
        }
    }

    /// Whether an alert that fires may name an object of that name.
    pub fn alerted(&self, name: &str) -> bool {
        self.alerted.contains(name)
    }

    /// The incidents, in no order; none while they are not as they were last told. `now` in unix seconds.
    pub fn told(&self, now: i64) -> Option<impl Iterator<Item = &Placed>> {
        let all = || self.kept.values().filter_map(|k| k.placed.as_ref());
        let current = self.minute == now.div_euclid(60) || !all().any(|p| p.ages);
        (current && matches!(self.unsettled, Unsettled::Nothing)).then(all)
    }

    fn keep(&mut self, telling: &Telling<'_>, group: Group<'_>) {
        let name = group.head.kept();
        let mut at: HashSet<Uid> = group.alerts.iter().map(|a| a.meta.uid).collect();
        for f in &group.findings {
            at.insert(f.id().uid);
            at.extend(places(telling.cluster, f));
        }
        at.iter().for_each(|uid| self.of.entry(*uid).or_default().push(name.clone()));
        let kept = Kept {
            findings: group.findings.iter().map(|f| f.id()).collect(),
            alerts: group.alerts.iter().map(|a| a.meta.uid).collect(),
            at,
            placed: telling.incident(group),
        };
        self.kept.insert(name, kept);
    }

    fn drop(&mut self, name: &Name) {
        for uid in self.kept.remove(name).into_iter().flat_map(|k| k.at) {
            if let Some(all) = self.of.get_mut(&uid) {
                all.retain(|n| n != name);
                if all.is_empty() {
                    self.of.remove(&uid);
                }
            }
        }
    }
}

/// What a finding is about, and the workload above, where they are there.
pub(super) fn places(cluster: &Cluster, f: &Finding) -> impl Iterator<Item = Uid> {
    let object = f.place().and_then(|place| {
        let table = cluster.table(place.kind);
        table.get(table.slot_of(place.uid)?)
    });
    object.into_iter().flat_map(|o| cluster.and_above(o))
}

/// Whether the findings of one object, then and now, are told in the same incidents: no other finding or alert goes elsewhere for what differs.
pub(super) fn alike(old: &[Finding], new: &[Finding]) -> bool {
    let same = |(a, b): (&Finding, &Finding)| stands(a) == stands(b) && !causes::wide(a.rule.id);
    old.len() == new.len() && old.iter().zip(new).all(same)
}

/// What decides in which incident a finding is told.
fn stands(f: &Finding) -> impl PartialEq + use<> {
    let place = f.place().map(|o| (o.kind, o.uid));
    (f.rule.id, f.severity, f.open(), f.burns(), place, said(f, "Insufficient"))
}

/// Whether what differs between the findings of an object of that kind, then and now, moves no other finding but at the workload that it belongs to,
/// below that, and at the Services in front.
pub(super) fn near(kind: Option<Kind>, old: &[Finding], new: &[Finding]) -> bool {
    let differs = |f: &&Finding| !(old.contains(f) && new.contains(f));
    !matches!(kind, None | Some(Kind::Node | Kind::EtcdMember | Kind::Alert | Kind::StorageLocation | Kind::Schedule | Kind::Backup))
        && !old.iter().chain(new).filter(differs).any(|f| causes::wide(f.rule.id))
}

/// Tells anew what has to be, and the rows of the findings that are in it. `now` in unix seconds.
pub(super) fn settle(cluster: &Cluster, room: &mut Room, now: i64) {
    let minute = now.div_euclid(60);
    let mut settled = std::mem::take(&mut room.settled);
    let telling = Telling { cluster, room, now };
    let some = match std::mem::take(&mut settled.unsettled) {
        Unsettled::Nothing => Some(HashSet::new()),
        Unsettled::At(uids) if settled.minute == minute && !settled.kept.is_empty() => Some(uids),
        Unsettled::At(_) | Unsettled::All => None,
    };
    let groups = match some {
        Some(uids) if uids.is_empty() => Vec::new(),
        Some(uids) => moved(&telling, &mut settled, uids).unwrap_or_else(|| whole(&telling, &mut settled, minute)),
        None => whole(&telling, &mut settled, minute),
    };
    let anew: Vec<Name> = groups.iter().map(|g| g.head.kept()).collect();
    groups.into_iter().for_each(|group| settled.keep(&telling, group));
    for incident in anew.iter().filter_map(|name| settled.kept.get(name)?.placed.as_ref()).map(|p| &p.incident) {
        for (n, id) in incident.line.findings.iter().enumerate() {
            let news = room.lives.explained(id.uid, id.rule, &incident.name, (n == 0).then(|| incident.explains()));
            room.news.extend(news);
        }
    }
    room.settled = settled;
}

fn whole<'a>(telling: &Telling<'a>, settled: &mut Settled, minute: i64) -> Vec<Group<'a>> {
    let correlation = Correlation::new(telling.cluster, telling.room);
    *settled = Settled {
        minute,
        alerted: correlation.firing().flat_map(|a| a.about()).map(|(.., name)| name.into()).collect(),
        #[cfg(test)]
        whole: settled.whole + 1,
        ..Settled::default()
    };
    correlation.groups()
}

/// The groups that findings of these objects, and of what is below them, leave, are in or come to, taken out of what is kept. None: that is for
/// the whole to tell.
fn moved<'a>(telling: &Telling<'a>, settled: &mut Settled, mut todo: HashSet<Uid>) -> Option<Vec<Group<'a>>> {
    let (cluster, room) = (telling.cluster, telling.room);
    let correlation = Correlation::new(cluster, room);
    if !correlation.local() {
        return None;
    }
    let below: Vec<Uid> = todo.iter().flat_map(|uid| room.index.below(cluster, *uid)).map(|o| o.meta().uid).collect();
    todo.extend(below.into_iter().filter(|uid| room.findings.contains_key(uid) || settled.of.contains_key(uid)));
    let firing: Vec<(&Alert, Vec<Uid>)> = correlation.firing().map(|a| (a, correlation.names(a))).collect();
    let kept = &*settled;
    let mut open = Opened {
        settled: kept,
        correlation: &correlation,
        names: HashSet::new(),
        findings: HashMap::new(),
        todo: todo.into_iter().collect(),
    };
    let (mut seen, mut alerts) = (HashSet::new(), vec![false; firing.len()]);
    loop {
        while let Some(uid) = open.todo.pop() {
            if !seen.insert(uid) {
                continue;
            }
            kept.of.get(&uid).into_iter().flatten().for_each(|name| open.enter(name.clone()));
            room.findings.get(&uid).into_iter().flatten().for_each(|f| open.take(f));
        }
        for (told, (alert, names)) in alerts.iter_mut().zip(&firing) {
            if !*told && (seen.contains(&alert.meta.uid) || names.iter().any(|uid| seen.contains(uid))) {
                *told = true;
                open.todo.push(alert.meta.uid);
                open.todo.extend(names);
                open.heads(alert);
            }
        }
        if open.todo.is_empty() {
            break;
        }
    }
    let Opened { names, findings, .. } = open;
    names.iter().for_each(|name| settled.drop(name));
    let alerts = firing.into_iter().zip(alerts).filter(|(_, told)| *told).map(|((alert, _), _)| alert);
    Some(correlation.gather(findings.into_values(), alerts))
}

/// What is told anew, as it is found out.
struct Opened<'s, 'a> {
    settled: &'s Settled,
    correlation: &'s Correlation<'a>,
    names: HashSet<Name>,
    findings: HashMap<(Uid, &'static str), &'a Finding>,
    /// Objects that are still to be looked at.
    todo: Vec<Uid>,
}

impl<'s, 'a> Opened<'s, 'a> {
    /// An incident is told anew, and with it all that is in it.
    fn enter(&mut self, name: Name) {
        let (settled, room) = (self.settled, self.correlation.room());
        let mut names = vec![name];
        while let Some(name) = names.pop() {
            let Some(kept) = settled.kept.get(&name) else { continue };
            if !self.names.insert(name) {
                continue;
            }
            self.todo.extend(&kept.alerts);
            for id in &kept.findings {
                let finding = room.findings.get(&id.uid).and_then(|all| all.iter().find(|f| f.rule.id == id.rule));
                names.extend(finding.and_then(|f| self.add(f)));
            }
        }
    }

    /// A finding is told anew.
    fn take(&mut self, f: &'a Finding) {
        if let Some(name) = self.add(f) {
            self.enter(name);
        }
    }

    /// The incident that a finding belongs to, the first time that it is asked for.
    fn add(&mut self, f: &'a Finding) -> Option<Name> {
        if !acute(f) {
            return None;
        }
        let id = f.id();
        if self.correlation.of_alert(f) {
            self.todo.push(id.uid);
            return None;
        }
        self.findings.insert((id.uid, id.rule), f).is_none().then(|| self.correlation.head(f).kept())
    }

    /// The incidents that an alert may be in whatever is found at what it names.
    fn heads(&mut self, alert: &'a Alert) {
        let found = self.correlation.room().findings.contains_key(&alert.meta.uid).then_some(Head::Alerts(&*alert.meta.name));
        for head in found.into_iter().chain(self.correlation.lost_with(alert)) {
            self.enter(head.kept());
        }
    }
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
        let (mut kept, mut fresh) = (names(kept.map(|p| &p.incident).collect()), names(fresh.iter().map(|p| &p.incident).collect()));
        let same: HashSet<String> = kept.iter().filter(|k| fresh.contains(k)).cloned().collect();
        kept.retain(|k| !same.contains(k));
        fresh.retain(|k| !same.contains(k));
        assert_eq!(kept, fresh, "beside {} alike", same.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, alert, crashing, deployment, node, owned, pod, replicaset, running, service, told};
    use crate::model::{AlertState, ClusterId, Delta, KindState, Service, ServiceState};
    use serde_json::json;
    use std::collections::BTreeSet;

    #[test]
    fn what_changes_at_one_workload_tells_one_incident_anew() {
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
        assert_eq!(whole(&fleet), before);
        fleet.delete(Kind::Pod, "a");
        assert_eq!((whole(&fleet), fleet.lines()[0].count), (before, 1), "a finding is gone");
        fleet.put(Kind::Pod, [looping("a", 1)]);
        assert_eq!((whole(&fleet), fleet.lines()[0].count), (before, 2), "and back");
        fleet.put(Kind::Node, [node("n1", "False", 900)]);
        assert!(whole(&fleet) > before, "a node explains what is anywhere");
    }

    /// What comes, goes and changes at random; the fixture compares after each. Where somebody presses keys all the time it is judged bit by bit, and
    /// is the same in the end.
    #[test]
    fn whatever_happens_it_is_as_if_told_from_nothing() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut moved, mut steps) = (0, 0);
        let app = |name: &str, available: i32| {
            let mut d = deployment(name, 3, available);
            d["spec"]["template"]["metadata"] = json!({"labels": {"app": name}});
            d
        };
        for round in 0..6 {
            let mut fleets = [false, true].map(|hurried| Fleet { hurried, ..Fleet::default() });
            for fleet in &mut fleets {
                fleet.put(Kind::Node, ["n0", "n1", "n2"].map(|n| node(n, "True", 9000)));
                for n in 0..4 {
                    let (name, set) = (format!("app-{n}"), format!("set-{n}"));
                    fleet.put(Kind::Deployment, [app(&name, 3)]);
                    fleet.put(Kind::ReplicaSet, [replicaset(&set, &name, 1, "reg/app:1.9", 90_000, 3)]);
                    fleet.put(Kind::Service, [service(&name, &name)]);
                }
                if round % 2 == 0 {
                    fleet.delta(0, Delta::KindState(Kind::EndpointSlice, KindState::Live));
                }
            }
            for _ in 0..120 {
                let (at, n) = (random.u8(..4), random.u8(..3));
                let (name, set, node_name) = (format!("app-{at}"), format!("set-{at}"), format!("n{n}"));
                let pod_name = format!("p-{at}-{}", random.u8(..3));
                let before = fleets[0].engine.room(ClusterId(0)).unwrap().settled.whole;
                let revision = fleets[0].engine.revision();
                let step: Box<dyn Fn(&mut Fleet)> = match random.u8(..12) {
                    0..=4 => {
                        let bad = random.bool();
                        let status = if bad { crashing(u32::from(n) + 4, 1, "Error", 30) } else { running() };
                        let metadata = owned(&pod_name, Kind::ReplicaSet, &set);
                        let pod = pod(metadata, &node_name, !bad, 900, status);
                        Box::new(move |fleet| _ = fleet.put(Kind::Pod, [pod.clone()]))
                    }
                    5 => Box::new(move |fleet| fleet.delete(Kind::Pod, &pod_name)),
                    6 | 7 => {
                        let app = app(&name, random.i32(0..4));
                        Box::new(move |fleet| _ = fleet.put(Kind::Deployment, [app.clone()]))
                    }
                    8 => {
                        let node = node(&node_name, if random.u8(..3) == 0 { "False" } else { "True" }, 9000);
                        Box::new(move |fleet| _ = fleet.put(Kind::Node, [node.clone()]))
                    }
                    9 => {
                        let mut of = |n: u8| {
                            alert(
                                &[
                                    ("alertname", "Restarts"),
                                    ("namespace", "pay"),
                                    ("pod", &format!("p-{n}-0")),
                                    ("severity", if n > 1 { "critical" } else { "warning" }),
                                ],
                                if random.bool() { AlertState::Firing } else { AlertState::Silenced },
                            )
                        };
                        let alerts: Vec<_> = (0..4).map(&mut of).collect();
                        Box::new(move |fleet| told(fleet, Service::Alertmanager, ServiceState::Live, alerts.clone()))
                    }
                    10 => {
                        let secs = i64::from(random.u8(..50));
                        Box::new(move |fleet| _ = fleet.wait(secs))
                    }
                    _ => Box::new(move |fleet| fleet.delete(Kind::Deployment, &name)),
                };
                fleets.iter_mut().for_each(step);
                steps += 1;
                let settled = &fleets[0].engine.room(ClusterId(0)).unwrap().settled;
                moved += u32::from(settled.whole == before && fleets[0].engine.revision() > revision);
                let [fleet, hurried] = &mut fleets;
                if random.u8(..5) == 0 {
                    // Since when it is so is what was seen when it was judged, and for Services at which change of a workload.
                    let found = [fleet, hurried].map(|f| {
                        f.wait(3600);
                        f.engine.findings().map(|f| (f.rule.id, f.object.as_ref().map(|o| o.name.clone()))).collect::<BTreeSet<_>>()
                    });
                    assert!(round % 2 == 0 || found[0] == found[1], "{found:#?}");
                }
            }
        }
        assert!(moved * 4 > steps, "much is told in part: {moved} of {steps}");
    }
}
