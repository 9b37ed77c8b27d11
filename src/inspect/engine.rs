//! When which rule judges what, and the findings that stand.
//!
//! A touched row is judged by the rules of its kind. What follows from it elsewhere is judged too: a workload's burning
//! pods and Jobs when the workload changes, a short workload when its pods turn bad or good, budgets when a node is cordoned, the cluster when a
//! member of its etcd or what its backups rest on changes, a schedule and the failed backups when another backup does.

mod blind;
mod due;
mod follow;
mod reported;

pub use blind::words as blind_words;

use super::causes;
use super::incident;
use super::index::Index;
use super::life::Lives;
use super::settled::{self, Settled};
use super::{Finding, FindingId, Judge, Need, Policy, Remedy, RuleInfo, Rules, Thresholds, Verdict, judges_manifests};
use crate::model::asked::Part;
use crate::model::{Change, ClusterId, Kind, Object, Str, Uid, VerbId};
use crate::store::{Cluster, RowId, Store, Touched};
use hashbrown::{HashMap, HashSet};
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

/// One cluster's findings, and what the engine keeps to find its way.
#[derive(Default)]
pub(super) struct Room {
    /// By object; the cluster's own under the zero uid. No entry is empty.
    pub(super) findings: HashMap<Uid, Vec<Finding>>,
    pub(super) index: Index,
    pub(super) lives: Lives,
    /// The objects of findings that take part in incidents.
    acute: HashSet<Uid>,
    /// Of these, those whose findings may explain others of the whole cluster.
    wide: HashSet<Uid>,
    pub(super) settled: Settled,
    blind: blind::Blind,
    /// Rows that are not told yet.
    pub(super) news: Vec<Change>,
    /// The nodes with a node-not-ready finding.
    unsteady: HashSet<Str>,
    /// Of these, those that are so now.
    pub(super) lost: HashSet<Str>,
    cordoned: HashSet<Str>,
    /// What the rows were when it was last looked at: old or proven, by who tells of them.
    stale: [bool; 3],
    /// The kinds that were all there then, a bit each.
    current: u64,
    /// What the API server had told of itself then, a bit a part.
    told: u64,
    /// What was taken from reports, where it is judged elsewhere.
    taken: reported::Taken,
}

impl Room {
    /// The findings that take part in incidents.
    pub(super) fn acute(&self) -> impl Iterator<Item = &Finding> {
        self.acute.iter().filter_map(|uid| self.findings.get(uid)).flatten().filter(|f| incident::acute(f))
    }

    /// Those of them that may explain others of the whole cluster.
    pub(super) fn wide(&self) -> impl Iterator<Item = &Finding> {
        let all = self.wide.iter().filter_map(|uid| self.findings.get(uid)).flatten();
        all.filter(|f| incident::acute(f) && causes::wide(f.rule.id))
    }

    /// Whether what a remedy does is done already: a node that it cordons is cordoned.
    fn done(&self, remedy: &Remedy) -> bool {
        matches!(remedy, Remedy::Act { verb: VerbId::Cordon, on, .. } if self.cordoned.contains(&on.name))
    }

    /// Whether an object has findings that take part in incidents.
    fn takes_part(&self, object: &Object) -> bool {
        self.acute.contains(&object.meta().uid)
    }

    /// The objects at which what is told may be other now that this is, or was, found at one: what it is about, the workload above, and the
    /// Services in front, which what is wrong behind them explains.
    fn around(&self, cluster: &Cluster, object: Option<&Object>, found: &[&Finding]) -> HashSet<Uid> {
        let mut all: HashSet<Uid> = found.iter().flat_map(|f| settled::places(cluster, f)).collect();
        let Some(object) = object else { return all };
        all.extend(cluster.and_above(object));
        if matches!(object, Object::Pod(_) | Object::Workload(_)) {
            let services = self.index.in_namespace(cluster, Kind::Service, &object.meta().namespace).into_iter().flatten();
            all.extend(services.filter(|s| self.takes_part(s)).map(|s| s.meta().uid));
        }
        all
    }
}

/// What is judged: an object of a kind, or the cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Subject {
    cluster: ClusterId,
    kind: Option<Kind>,
    uid: Uid,
}

/// What a rule asked for when it last judged something.
#[derive(Clone, Copy, PartialEq)]
struct Asked {
    /// When it is to judge again (unix seconds).
    at: i64,
    /// When the hold of what it waits for is over. Stays while it burns: a hold that was waited for is not waited for again.
    hold: Option<i64>,
    /// That nothing dates what it waits for.
    undated: bool,
}

/// Judges what changed and keeps the findings.
pub struct Engine {
    thresholds: Thresholds,
    policy: Policy,
    /// The rules of each kind, and last those of clusters: their places in [`Rules::all`].
    by_kind: [Vec<usize>; Kind::ALL.len() + 1],
    /// The kinds that are judged again when an object of a kind changes.
    leaning: [Vec<Kind>; Kind::ALL.len()],
    /// The kinds that rules judge only when a kind is all there. Pods are not among them: they are many, and no rule on them needs another kind.
    needing: [Vec<Kind>; Kind::ALL.len()],
    /// The same for what the API server tells of itself.
    asking: [Vec<Kind>; Part::ALL.len()],
    rooms: Vec<Room>,
    /// What each rule last asked for.
    asked: HashMap<(Subject, usize), Asked>,
    later: BinaryHeap<Reverse<(i64, Subject, usize)>>,
    /// What changed, or is gone, and was not judged since; with what it was.
    changes: VecDeque<(Subject, Option<Object>)>,
    /// What is to be judged now and was not yet.
    backlog: BTreeSet<Subject>,
    /// The rules by which clusters are to be judged now and were not yet.
    parts: BTreeSet<(ClusterId, usize)>,
    /// When what may be for a while may be no more.
    ends: BTreeSet<(i64, Subject)>,
    /// Objects of which all is there, as they were read.
    whole: HashMap<(ClusterId, Uid), serde_json::Value>,
    /// Rules that do not judge, and why.
    left_out: HashMap<&'static str, &'static str>,
    /// Objects are written and run nowhere.
    written: bool,
    /// How many rules were off when their findings were last looked for.
    off: usize,
    revision: u64,
}

impl Engine {
    /// An engine that has seen nothing.
    pub fn new(thresholds: Thresholds) -> Self {
        let mut by_kind: [Vec<usize>; Kind::ALL.len() + 1] = Default::default();
        let mut leaning: [Vec<Kind>; Kind::ALL.len()] = Default::default();
        let mut needing: [Vec<Kind>; Kind::ALL.len()] = Default::default();
        let mut asking: [Vec<Kind>; Part::ALL.len()] = Default::default();
        for (at, rule) in thresholds.rules().all().iter().enumerate() {
            for kind in rule.kinds {
                by_kind[*kind as usize].push(at);
            }
            for on in rule.leans_on {
                let all = &mut leaning[*on as usize];
                all.extend(rule.kinds);
                all.sort_unstable();
                all.dedup();
            }
            for need in rule.needs {
                let all = match need {
                    Need::Kind(kind) | Need::Made(kind) => &mut needing[*kind as usize],
                    Need::Asked(part) => &mut asking[*part as usize],
                    _ => continue,
                };
                all.extend(rule.kinds.iter().filter(|k| **k != Kind::Pod));
                all.sort_unstable();
                all.dedup();
            }
            let asked = rule.needs.iter().any(|n| matches!(n, Need::Asked(_)));
            if rule.kinds.is_empty() || asked {
                by_kind[Kind::ALL.len()].push(at);
            }
        }
        Self {
            thresholds,
            policy: Policy::default(),
            ends: BTreeSet::new(),
            whole: HashMap::new(),
            left_out: HashMap::new(),
            written: false,
            off: 0,
            by_kind,
            leaning,
            needing,
            asking,
            rooms: Vec::new(),
            asked: HashMap::new(),
            later: BinaryHeap::new(),
            changes: VecDeque::new(),
            backlog: BTreeSet::new(),
            parts: BTreeSet::new(),
            revision: 0,
        }
    }

    /// The same with what was said of findings.
    pub fn with(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The rules that it judges by.
    pub fn rules(&self) -> &Rules {
        self.thresholds.rules()
    }

    /// Only some of the rules judge from now on; why the others do not, in words.
    pub fn only(mut self, wanted: impl Fn(&RuleInfo) -> bool, why: &'static str) -> Self {
        let all = self.thresholds.rules().all();
        for some in &mut self.by_kind {
            some.retain(|at| wanted(all[*at]));
        }
        self.left_out = all.iter().filter(|r| !wanted(r)).map(|r| (r.id, why)).collect();
        self
    }

    /// The same for objects that are written and run nowhere: rules that need a cluster do not judge, and nothing is waited for.
    pub fn of_manifests(mut self) -> Self {
        let rules = self.thresholds.rules().clone();
        self.written = true;
        self.only(|r| judges_manifests(r, rules.is_own(r.id)), "needs a cluster")
    }

    /// Why a rule judges nothing in a cluster. None where it does.
    pub fn not_evaluated(&self, rule: &RuleInfo, cluster: &Cluster) -> Option<String> {
        let why = self.left_out.get(rule.id).map(|why| (*why).to_owned());
        let elsewhere = cluster.info.reported() && !reported::judged_here(rule.id);
        why.or_else(|| if elsewhere { self.unreported(rule, cluster) } else { self.rules().not_evaluated(rule, cluster) })
    }

    /// Keeps an object as a whole, for rules of the user's own.
    pub(super) fn whole(&mut self, cluster: ClusterId, uid: Uid, object: serde_json::Value) {
        self.whole.insert((cluster, uid), object);
    }

    /// What a rule found that is off by now is found no more.
    fn silence(&mut self, store: &Store, now: i64) {
        let off = self.rules().off();
        if off == std::mem::replace(&mut self.off, off) {
            return;
        }
        let of = |room: &Room| -> Vec<Subject> {
            room.findings.values().flatten().filter(|f| self.rules().is_off(f.rule.id)).filter_map(follow::found_at).collect()
        };
        for subject in self.rooms.iter().flat_map(of).collect::<Vec<_>>() {
            self.again(store, subject, now);
        }
    }

    /// Judges what was touched, and what follows from it. `now` in unix seconds.
    pub fn touched(&mut self, store: &Store, touched: &[Touched], now: i64) {
        self.touched_some(store, touched, now, || true);
    }

    /// Judges of what was touched, and of what follows from it, what it can until `more` says no; the rest is due at once, for
    /// [`Engine::tick_some`]. What is gone is forgotten at once.
    pub fn touched_some(&mut self, store: &Store, touched: &[Touched], now: i64, more: impl FnMut() -> bool) {
        self.rooms.resize_with(store.clusters().len().max(self.rooms.len()), Room::default);
        for touch in touched {
            match touch {
                Touched::Row { id, before } => self.note(store, *id, before.as_ref()),
                Touched::Gone { id, before } => self.note(store, *id, Some(before)),
                Touched::Cluster(_) | Touched::Usage { .. } => {}
            }
        }
        let mut follow = HashSet::new();
        for touch in touched {
            let subject = |id: &RowId, object: &Object| Subject { cluster: id.cluster, kind: Some(id.kind), uid: object.meta().uid };
            match touch {
                Touched::Row { id, before } => {
                    let Some((_, object)) = store.row(*id) else { continue };
                    self.changes.push_back((subject(id, object), before.clone()));
                }
                Touched::Gone { id, before } => {
                    let Some(cluster) = store.cluster(id.cluster) else { continue };
                    // The same uid may be back in the same batch.
                    if store.find(id.cluster, id.kind, before.meta().uid).is_none() {
                        self.forget(cluster, id.kind, before, now);
                    }
                    self.changes.push_back((subject(id, before), Some(before.clone())));
                }
                Touched::Usage { cluster, kind: Kind::Claim } => {
                    let Some(cluster) = store.cluster(*cluster) else { continue };
                    follow.extend(cluster.objects(Kind::Claim).map(|o| Subject {
                        cluster: cluster.id,
                        kind: Some(Kind::Claim),
                        uid: o.meta().uid,
                    }));
                }
                Touched::Usage { .. } => {}
                Touched::Cluster(id) => {
                    let Some(cluster) = store.cluster(*id) else { continue };
                    follow.insert(Subject { cluster: *id, kind: None, uid: Uid::default() });
                    self.arrived(cluster, &mut follow);
                    let stale = [Kind::Pod, Kind::EtcdMember, Kind::Alert].map(|kind| super::lines::stale(cluster, kind));
                    let room = &mut self.rooms[usize::from(id.0)];
                    if room.stale != stale {
                        room.stale = stale;
                        let shown = !room.findings.is_empty();
                        self.shown(*id, shown);
                    }
                }
            }
        }
        self.backlog.extend(follow);
        self.work(store, now, more);
        self.retake(store, touched, now);
        self.look_blind(store, touched, now);
        self.silence(store, now);
        self.settle(store, now);
        self.trim();
    }

    /// What is shown of a cluster's incidents may be other now.
    fn shown(&mut self, cluster: ClusterId, other: bool) {
        if other && let Some(room) = self.rooms.get_mut(usize::from(cluster.0)) {
            room.settled.disturb();
            self.revision += 1;
        }
    }

    /// What is told of these objects, and of what is below them, may be other now.
    fn told_anew(&mut self, cluster: ClusterId, uids: impl IntoIterator<Item = Uid>) {
        let mut uids = uids.into_iter().peekable();
        if let Some(room) = self.rooms.get_mut(usize::from(cluster.0))
            && uids.peek().is_some()
        {
            room.settled.touch(uids);
            self.revision += 1;
        }
    }

    /// Tells what belongs together, where that may be other now, and the rows of findings what explains them.
    fn settle(&mut self, store: &Store, now: i64) {
        for (room, cluster) in self.rooms.iter_mut().zip(store.clusters()) {
            settled::settle(cluster, room, now);
        }
    }

    /// What rules could not judge before a kind was all there, or a part told, where one is now.
    fn arrived(&mut self, cluster: &Cluster, follow: &mut HashSet<Subject>) {
        let current = Kind::ALL.into_iter().filter(|k| cluster.current(*k)).fold(0, |bits, k| bits | 1 << k as u64);
        let told = Part::ALL.into_iter().filter(|p| cluster.asked.lacks(*p).is_none()).fold(0, |bits, p| bits | 1 << p as u64);
        let room = &mut self.rooms[usize::from(cluster.id.0)];
        let new_kinds = current & !std::mem::replace(&mut room.current, current);
        let new_parts = told & !std::mem::replace(&mut room.told, told);
        let needing = Kind::ALL.into_iter().filter(|k| new_kinds & 1 << *k as u64 != 0).flat_map(|k| &self.needing[k as usize]);
        let asking = Part::ALL.into_iter().filter(|p| new_parts & 1 << *p as u64 != 0).flat_map(|p| &self.asking[p as usize]);
        let mut kinds: Vec<Kind> = needing.chain(asking).copied().collect();
        kinds.sort_unstable();
        kinds.dedup();
        for kind in kinds {
            follow.extend(cluster.objects(kind).map(|o| Subject { cluster: cluster.id, kind: Some(kind), uid: o.meta().uid }));
        }
    }

    /// The rows of findings that became others since this was last asked.
    pub fn news(&mut self) -> Vec<(ClusterId, Vec<Change>)> {
        let of = |(n, room): (usize, &mut Room)| {
            let id = ClusterId(u16::try_from(n).unwrap_or(u16::MAX));
            (!room.news.is_empty()).then(|| (id, std::mem::take(&mut room.news)))
        };
        self.rooms.iter_mut().enumerate().filter_map(of).collect()
    }

    /// All findings, in no order.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.rooms.iter().flat_map(|r| r.findings.values().flatten())
    }

    /// The findings of one object; of the cluster itself under `Uid::default()`.
    pub fn for_object(&self, cluster: ClusterId, uid: Uid) -> &[Finding] {
        self.room(cluster).and_then(|r| r.findings.get(&uid)).map_or(&[], Vec::as_slice)
    }

    /// One finding, while it stands.
    pub fn finding(&self, id: FindingId) -> Option<&Finding> {
        self.for_object(id.cluster, id.uid).iter().find(|f| f.rule.id == id.rule)
    }

    /// Grows when what [`Engine::lines`] shows may have changed.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn room(&self, cluster: ClusterId) -> Option<&Room> {
        self.rooms.get(usize::from(cluster.0))
    }

    /// Keeps the index and the sets of nodes.
    fn note(&mut self, store: &Store, id: RowId, before: Option<&Object>) {
        let after = store.row(id).map(|(_, o)| o);
        let Some(room) = self.rooms.get_mut(usize::from(id.cluster.0)) else { return };
        room.index.note(id, before, after);
        if id.kind == Kind::Node {
            if let Some(Object::Node(node)) = before {
                room.cordoned.remove(&node.meta.name);
            }
            if let Some(Object::Node(node)) = after
                && node.unschedulable
            {
                room.cordoned.insert(node.meta.name.clone());
            }
        }
    }

    /// All rules of an object's kind (or the cluster's) judge it.
    fn judge(&mut self, store: &Store, cluster: &Cluster, object: Option<&Object>, now: i64) {
        let kind = object.map(Object::kind);
        let rules = kind.map_or(Kind::ALL.len(), |k| k as usize);
        let elsewhere = cluster.info.reported();
        if self.by_kind[rules].is_empty() || elsewhere && object.is_some() {
            return;
        }
        let mut found = Vec::new();
        for nth in 0..self.by_kind[rules].len() {
            found.extend(self.judge_by(self.by_kind[rules][nth], store, cluster, object, now));
        }
        if elsewhere {
            found.extend(self.rooms[usize::from(cluster.id.0)].taken.own.iter().cloned());
        }
        let subject = Subject { cluster: cluster.id, kind, uid: object.map(|o| o.meta().uid).unwrap_or_default() };
        self.keep(cluster, subject, object, found, now);
    }

    /// One rule judges the cluster; what others found of it stays.
    fn judge_cluster_by(&mut self, rule: usize, store: &Store, cluster: &Cluster, now: i64) {
        let found = self.judge_by(rule, store, cluster, None, now);
        let all = self.rules().all();
        let old = self.for_object(cluster.id, Uid::default());
        if old.iter().find(|f| *f.rule == *all[rule]) == found.as_ref() {
            return;
        }
        let mut found: Vec<Finding> = old.iter().filter(|f| *f.rule != *all[rule]).cloned().chain(found).collect();
        found.sort_by_key(|f| all.iter().position(|r| *r == f.rule));
        self.keep(cluster, Subject { cluster: cluster.id, kind: None, uid: Uid::default() }, None, found, now);
    }

    /// What one rule finds at an object, or at the cluster, and when it wants to look again.
    fn judge_by(&mut self, rule: usize, store: &Store, cluster: &Cluster, object: Option<&Object>, now: i64) -> Option<Finding> {
        let at = usize::from(cluster.id.0);
        let subject =
            Subject { cluster: cluster.id, kind: object.map(Object::kind), uid: object.map(|o| o.meta().uid).unwrap_or_default() };
        let key = (subject, rule);
        let info = self.thresholds.rules().all()[rule];
        if cluster.info.reported() && !reported::judged_here(info.id) {
            return None;
        }
        let asked = if self.asked.is_empty() { None } else { self.asked.get(&key).copied() };
        let judge = Judge {
            store,
            cluster,
            object,
            now,
            rule: info,
            index: &self.rooms[at].index,
            cordoned: &self.rooms[at].cordoned,
            written: self.written,
            policy: &self.policy,
            thresholds: self.thresholds.at(rule),
            own: self.thresholds.rules().own(rule),
            whole: if self.whole.is_empty() { None } else { self.whole.get(&(cluster.id, subject.uid)) },
            hold: asked.and_then(|a| a.hold),
            undated: Cell::new(false),
            apart: Cell::new(None),
        };
        let verdict = (info.judge)(&judge);
        let undated = judge.undated.get();
        let again = match &verdict {
            Verdict::FineUntil(at) => Some(Asked { at: (*at).max(now + 1), hold: Some(*at), undated }),
            Verdict::LookAgain(at) => Some(Asked { at: (*at).max(now + 1), hold: None, undated }),
            Verdict::BurningUntil(_, at) => {
                let hold = judge.apart.get().unwrap_or_else(|| Some(asked.and_then(|a| a.hold).unwrap_or(now).min(now)));
                Some(Asked { at: (*at).max(now + 1), hold, undated })
            }
            Verdict::Burning(_) => asked.map(|a| Asked { undated, ..a }),
            Verdict::Fine => None,
        };
        if again != asked {
            match again {
                Some(new) => {
                    self.asked.insert(key, new);
                    if asked.is_none_or(|a| a.at != new.at) {
                        self.later.push(Reverse((new.at, subject, rule)));
                    }
                }
                None => {
                    self.asked.remove(&key);
                }
            }
        }
        let (Verdict::Burning(finding) | Verdict::BurningUntil(finding, _)) = verdict else { return None };
        let (finding, end) = self.policy.apply(cluster, object, finding, now)?;
        self.ends.extend(end.map(|at| (at, subject)));
        let remedy = finding.remedy.filter(|r| !self.rooms[at].done(r));
        Some(Finding { remedy, ..finding })
    }

    fn keep(&mut self, cluster: &Cluster, subject: Subject, object: Option<&Object>, found: Vec<Finding>, now: i64) {
        let room = &mut self.rooms[usize::from(subject.cluster.0)];
        if found.is_empty() && room.findings.is_empty() {
            return;
        }
        let old = room.findings.get(&subject.uid).map_or(&[][..], Vec::as_slice);
        if old == found.as_slice() {
            return;
        }
        room.news.extend(room.lives.change(cluster, object, subject.uid, old, &found, now));
        let takes_part = |all: &'_ [Finding]| all.iter().filter(|f| incident::acute(f)).cloned().collect::<Vec<_>>();
        let acute = takes_part(&found);
        let before = takes_part(old);
        mark(&mut room.acute, subject.uid, !acute.is_empty());
        mark(&mut room.wide, subject.uid, acute.iter().any(|f| causes::wide(f.rule.id)));
        if let Some(Object::Node(node)) = object {
            let unsteady = found.iter().any(|f| f.rule.id == "node-not-ready" && f.open());
            mark(&mut room.unsteady, node.meta.name.clone(), unsteady);
            mark(&mut room.lost, node.meta.name.clone(), unsteady && super::rules::node_not_ready::down(node));
        }
        if found.is_empty() {
            room.findings.remove(&subject.uid);
        } else {
            room.findings.insert(subject.uid, found);
        }
        if before == acute {
            return;
        }
        if settled::alike(&before, &acute) {
            self.told_anew(subject.cluster, [subject.uid]);
        } else if settled::near(subject.kind, &before, &acute) {
            let all: Vec<&Finding> = before.iter().chain(&acute).collect();
            let mut around = room.around(cluster, object, &all);
            around.insert(subject.uid);
            self.told_anew(subject.cluster, around);
        } else {
            self.shown(subject.cluster, true);
        }
    }

    fn forget(&mut self, cluster: &Cluster, kind: Kind, object: &Object, now: i64) {
        // Its inspection says when a finding is no more.
        if cluster.info.reported() {
            return;
        }
        let subject = Subject { cluster: cluster.id, kind: Some(kind), uid: object.meta().uid };
        if !self.asked.is_empty() {
            for rule in &self.by_kind[kind as usize] {
                self.asked.remove(&(subject, *rule));
            }
        }
        self.keep(cluster, subject, Some(object), Vec::new(), now);
    }
}

/// Whether a set has something from now on.
fn mark<T: std::hash::Hash + Eq>(set: &mut HashSet<T>, what: T, has: bool) {
    if has {
        set.insert(what);
    } else {
        set.remove(&what);
    }
}
