//! Incidents in words, and the lines of BURNING: the incidents of which something burns.
//!
//! What belongs together is `incident`'s to say. Order: critical first, production first, then clusters, nodes, workloads with nothing available,
//! the rest; newest first within. It does not change between two calls unless a finding did.

use super::causes;
use super::engine::Room;
use super::explain::words::joined;
use super::incident::{Correlation, Group, Head};
use super::rules::alert_critical;
use super::{Engine, Finding, FindingId, RULES, Severity, title};
use crate::model::{Alert, Backup, ClusterId, ConnectionState, Explains, Kind, Object, ObjectRef, ServiceState, Time, Tri, Uid, Workload};
use crate::store::{Cluster, Store};
use hashbrown::{HashMap, HashSet};
use std::borrow::Cow;
use std::cmp::Reverse;

/// One problem: findings that have one cause or one owner, folded.
#[derive(Clone, PartialEq, Debug)]
pub struct Line {
    pub severity: Severity,
    pub cluster: ClusterId,
    /// What Enter opens: a node, workload, pod, HPA...; none: the cluster.
    pub subject: Option<ObjectRef>,
    /// `pay/checkout`, `node-017`, `hpa pay/api`, `zone a`, `API`.
    pub title: String,
    /// Why, about 50 columns.
    pub message: String,
    /// Pods folded in, or other objects where there are none; one at least.
    pub count: usize,
    pub since: Option<Time>,
    /// The second line, for the highlighted one.
    pub detail: String,
    /// The cluster does not answer: this was so when last seen.
    pub stale: bool,
    /// The findings folded in, the one that speaks for all first: the probable cause.
    pub findings: Vec<FindingId>,
}

/// Findings and alerts that one thing explains.
#[derive(Clone, PartialEq, Debug)]
pub struct Incident {
    /// In words; its first finding is the probable cause.
    pub line: Line,
    /// It is in BURNING.
    pub burns: bool,
    /// What explains it, as object and rule: `node-017 node-not-ready`.
    pub name: String,
    /// Alerts that fire, findings or not; one that explains the rest is left out.
    pub alerts: usize,
    /// Objects that are touched.
    pub objects: usize,
    /// Of these, and of what is above them, workloads.
    pub workloads: usize,
    /// Findings besides the cause, those of alerts left out.
    consequences: usize,
}

impl Incident {
    /// What the cause explains.
    pub fn explains(&self) -> Explains {
        let n = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Explains {
            says: self.line.message.as_str().into(),
            findings: n(self.consequences),
            alerts: n(self.alerts),
            objects: n(self.objects),
            workloads: n(self.workloads),
        }
    }
}

/// More unschedulable pods of one workload than this are critical.
const MANY_PENDING: usize = 10;
/// A new image is named beside a fault for this long after its rollout (seconds).
const BLAME: i64 = 86_400;

/// Objects of more alerts than this on one line are named as the labels have them, and not looked up.
const MANY_ALERTS: usize = 50;

/// Whether a cluster's rows of a kind are unproven.
pub(super) fn stale(cluster: &Cluster, kind: Kind) -> bool {
    match kind.service() {
        Some(service) => cluster.service(service).state != ServiceState::Live,
        None => !matches!(cluster.state, ConnectionState::Live | ConnectionState::Syncing { .. }),
    }
}

/// An incident, with its place among the others.
#[derive(Clone)]
pub(super) struct Placed {
    rank: u8,
    /// Some of its words are said for a while only.
    pub ages: bool,
    pub incident: Incident,
}

impl Engine {
    /// What burns, worst first. `now` in unix seconds.
    pub fn lines(&self, store: &Store, now: i64) -> Vec<Line> {
        self.told(store, now, |p| p.incident.burns).into_iter().map(|p| p.into_owned().incident.line).collect()
    }

    /// What belongs together, burning or not, worst first. `now` in unix seconds.
    pub fn incidents(&self, store: &Store, now: i64) -> Vec<Incident> {
        self.told(store, now, |_| true).into_iter().map(|p| p.into_owned().incident).collect()
    }

    fn told(&self, store: &Store, now: i64, wanted: impl Fn(&Placed) -> bool) -> Vec<Cow<'_, Placed>> {
        let mut all: Vec<Cow<'_, Placed>> = Vec::new();
        for cluster in store.clusters() {
            let Some(room) = self.room(cluster.id).filter(|r| !r.findings.is_empty()) else { continue };
            match room.settled.told(now) {
                Some(told) => all.extend(told.filter(|p| wanted(p)).map(Cow::Borrowed)),
                None => all.extend(Telling { cluster, room, now }.all().filter(|p| wanted(p)).map(Cow::Owned)),
            }
        }
        let production = |id: ClusterId| store.cluster(id).is_some_and(|c| c.info.production());
        let place = |p: &Placed| {
            let l = &p.incident.line;
            (Reverse(l.severity), !production(l.cluster), p.rank, Reverse(l.since), l.cluster)
        };
        let uid = |p: &Placed| p.incident.line.subject.as_ref().map(|s| s.uid);
        let title = |a: &Placed, b: &Placed| a.incident.line.title.cmp(&b.incident.line.title);
        all.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| title(a, b)).then_with(|| uid(a).cmp(&uid(b))));
        all
    }
}

/// One cluster's incidents, told.
pub(super) struct Telling<'a> {
    pub cluster: &'a Cluster,
    pub room: &'a Room,
    pub now: i64,
}

impl<'a> Telling<'a> {
    /// What belongs together, in no order.
    pub fn groups(&self) -> Vec<Group<'a>> {
        Correlation::new(self.cluster, self.room).groups()
    }

    fn all(&self) -> impl Iterator<Item = Placed> {
        self.groups().into_iter().filter_map(|group| self.incident(group))
    }

    /// A group in words. What only hangs together with what burns adds nothing to its line, and an alert about what is told here is counted.
    pub fn incident(&self, group: Group<'a>) -> Option<Placed> {
        let of_alerts = matches!(group.head, Head::Alerts(_));
        let seen = |o: &ObjectRef| o.kind == Kind::Alert && self.get(o.kind, o.uid).is_some();
        let is_alert = |f: &&Finding| !of_alerts && f.object.as_ref().is_some_and(seen);
        let (alerts, mut findings): (Vec<&Finding>, Vec<&Finding>) = group.findings.into_iter().partition(is_alert);
        speak(&mut findings);
        let cause = *findings.first()?;
        let burns = !alerts.is_empty() || findings.iter().any(|f| f.burns());
        let mut uids: HashSet<Uid> = HashSet::new();
        let mut workloads: HashSet<Uid> = HashSet::new();
        for place in findings.iter().filter_map(|f| f.place()) {
            uids.insert(place.uid);
            let top = self.get(place.kind, place.uid).map(|o| self.cluster.workload_of(o));
            workloads.extend(top.filter(|o| matches!(o, Object::Workload(_))).map(|o| o.meta().uid));
        }
        let consequences = findings.len() - 1;
        let (loud, quiet): (Vec<&Finding>, Vec<&Finding>) = findings.into_iter().partition(|f| !burns || f.burns() || *f == cause);
        let mut placed = self.line(group.head, &loud)?;
        let incident = &mut placed.incident;
        let firing = group.alerts.len() + alerts.len();
        (incident.burns, incident.objects, incident.workloads) = (burns, uids.len().max(incident.line.count), workloads.len());
        (incident.alerts, incident.consequences) = if of_alerts { (consequences, 0) } else { (firing, consequences) };
        incident.line.severity = alerts.iter().map(|f| f.severity).max().max(Some(incident.line.severity))?;
        incident.line.findings.extend(quiet.into_iter().chain(alerts).map(|f| f.id()));
        if firing > 0 {
            incident.line.message.push_str(&format!(", {firing} alert{}", if firing == 1 { "" } else { "s" }));
        }
        Some(placed)
    }

    fn get(&self, kind: Kind, uid: Uid) -> Option<&'a Object> {
        let table = self.cluster.table(kind);
        table.get(table.slot_of(uid)?)
    }

    fn line(&self, head: Head<&'a str>, findings: &[&'a Finding]) -> Option<Placed> {
        let speaker = *findings.first()?;
        let mut severity = findings.iter().map(|f| f.severity).max()?;
        let mut count = affected(findings);
        let mut since = findings
            .iter()
            .filter(|f| f.rule == speaker.rule)
            .filter_map(|f| f.since)
            .min()
            .or(findings.iter().filter_map(|f| f.since).min());
        let mut message = speaker.message.clone();
        let mut detail = Vec::new();
        let object = if let Head::Object(kind, uid) = head { self.get(kind, uid) } else { None };
        let (mut rank, mut name) = (3, object.map(|o| title(&o.meta().namespace, &o.meta().name)));
        // What Enter opens where no single object heads the line.
        let (mut opens, mut ages) = (None, false);
        let nodes: Vec<&Finding> = findings.iter().copied().filter(|f| f.rule.id == "node-not-ready").collect();
        match (head, object) {
            (Head::Cluster, _) => (rank, name) = (0, Some("API".to_owned())),
            (Head::Rule(rule), _) => (rank, name) = (0, Some(rule.to_owned())),
            (Head::Etcd, _) => {
                rank = 0;
                let alike = findings.iter().filter(|f| f.rule == speaker.rule && f.message == speaker.message);
                let members: HashSet<Uid> = alike.filter_map(|f| f.object.as_ref()).map(|o| o.uid).collect();
                name = Some(match &speaker.object {
                    Some(one) if members.len() == 1 => format!("etcd {}", one.name),
                    _ => "etcd".to_owned(),
                });
                if members.len() > 1 {
                    message = format!("{} members: {message}", members.len());
                }
                let ill = |o: &&Object| matches!(o, Object::EtcdMember(m) if !m.learner && !m.healthy());
                opens = self.cluster.objects(Kind::EtcdMember).find(ill).map(|o| o.reference(self.cluster.id));
                opens = speaker.object.clone().or(opens);
            }
            (Head::Backups, _) => {
                name = Some("backups".to_owned());
                let newest = self.cluster.objects(Kind::Backup).max_by_key(|o| as_backup(o).map(|b| (b.good(), b.point())));
                opens = newest.map(|o| o.reference(self.cluster.id));
            }
            (Head::Alerts(alert), _) => {
                name = Some(format!("alert {alert}"));
                (message, opens) = self.alerts(findings, message);
            }
            (Head::Zone(zone), _) => {
                (rank, severity, name) = (1, Severity::Critical, Some(format!("zone {zone}")));
                message = format!("{} nodes {}", nodes.len(), speaker.message);
            }
            (_, Some(Object::Node(_))) => rank = 1,
            (_, Some(Object::Hpa(h))) => name = Some(format!("hpa {}", title(&h.meta.namespace, &h.meta.name))),
            (_, Some(Object::Pdb(p))) => name = Some(format!("pdb {}", title(&p.meta.namespace, &p.meta.name))),
            (_, Some(Object::Namespace(n))) => name = Some(format!("namespace {}", n.meta.name)),
            (_, Some(Object::Backup(b))) => name = Some(format!("backup {}", title(&b.meta.namespace, &b.meta.name))),
            (_, Some(Object::Schedule(s))) => name = Some(format!("schedule {}", title(&s.meta.namespace, &s.meta.name))),
            (_, Some(Object::Signal(s))) => name = Some(s.title.to_string()),
            (_, Some(Object::Claim(c))) => name = Some(format!("pvc {}", title(&c.meta.namespace, &c.meta.name))),
            (_, Some(Object::Svc(s))) => name = Some(format!("service {}", title(&s.meta.namespace, &s.meta.name))),
            (_, Some(Object::Ingress(i))) => name = Some(format!("ingress {}", title(&i.meta.namespace, &i.meta.name))),
            (_, Some(Object::StorageLocation(l))) => name = Some(format!("location {}", title(&l.meta.namespace, &l.meta.name))),
            (_, Some(Object::Workload(w))) => {
                if findings.iter().filter(|f| f.rule.id == "pod-pending" && f.severity > Severity::Info).count() > MANY_PENDING {
                    severity = Severity::Critical;
                }
                let desired = w.desired.filter(|_| !matches!(w.kind, Kind::Job | Kind::CronJob));
                if let Some(desired) = desired {
                    message = format!("{}/{desired} {message}", w.ready);
                    if w.available == 0 && desired > 0 {
                        rank = 2;
                    }
                }
                since = w.condition("Available").filter(|c| c.status == Tri::False).and_then(|c| c.since).or(since);
                if let Some((change, at)) = self.image_change(w, since) {
                    ages = true;
                    message.push_str(&format!(" <- image {change} {}", super::clock(at).trim_end_matches('Z')));
                    detail.push(format!("image {change} rolled out {}", super::clock(at)));
                }
                if w.kind == Kind::CronJob && speaker.rule.id == "job-failed" && count > 1 {
                    message = format!("{count} runs {message}");
                }
                let pods =
                    findings.iter().filter(|f| f.rule == speaker.rule && f.object.as_ref().is_some_and(|o| o.kind == Kind::Pod)).count();
                if let Some(desired) = desired.filter(|_| pods > 0) {
                    detail.insert(0, format!("{pods} of {desired} pods"));
                }
            }
            _ => {}
        }
        if !nodes.is_empty() {
            let (pods, down) = self.blast(&nodes);
            count = pods.max(1);
            message.push_str(&blast(pods, down));
        } else if matches!(head, Head::Rule(_)) && findings.len() > 1 {
            let of = findings.iter().skip(1).filter_map(|f| f.place()).map(|o| o.kind == Kind::Pod);
            let (pods, others): (Vec<bool>, Vec<bool>) = of.partition(|pod| *pod);
            message.push_str(&blast(pods.len(), 0));
            if pods.is_empty() {
                message.push_str(&format!(": {} object{}", others.len(), if others.len() == 1 { "" } else { "s" }));
            }
        }
        let mut others: Vec<String> = Vec::new();
        for f in findings.iter().filter(|f| f.rule != speaker.rule) {
            if others.len() < 3 && !others.contains(&f.message) {
                others.push(f.message.clone());
            }
        }
        let evidence = speaker.evidence.iter().filter(|e| !e.value.is_empty()).map(|e| format!("{} {}", e.what, e.value));
        // A dead node explains what its pods only suffer from.
        let (first, last): (Vec<String>, Vec<String>) =
            if nodes.is_empty() { (others, evidence.collect()) } else { (evidence.collect(), others) };
        let detail = first.into_iter().chain(detail).chain(last).collect::<Vec<_>>().join(", ");
        // A zone's line opens one of its nodes.
        let subject = object.map(|o| o.reference(self.cluster.id)).or(opens).or_else(|| speaker.object.clone());
        let short = match (head, &name, &subject) {
            (Head::Etcd | Head::Backups | Head::Alerts(_) | Head::Rule(_), Some(name), _) => name.as_str().into(),
            (_, _, Some(s)) => s.name.clone(),
            _ => self.cluster.info.name.clone(),
        };
        let title = name.or(subject.as_ref().map(|s| title(&s.namespace, &s.name))).unwrap_or_default();
        let named = if title == speaker.rule.id { title.clone() } else { format!("{title} {}", speaker.rule.id) };
        let incident = |line| Incident { line, burns: true, name: named, alerts: 0, objects: 0, workloads: 0, consequences: 0 };
        Some(Placed {
            rank,
            ages,
            incident: incident(Line {
                severity,
                cluster: self.cluster.id,
                title,
                subject,
                message,
                count,
                since,
                detail: format!("{short}: {detail}"),
                // What is said of etcd as a whole says itself when it is not reached.
                stale: match head {
                    Head::Cluster | Head::Etcd | Head::Rule(_) => false,
                    Head::Alerts(_) => stale(self.cluster, Kind::Alert),
                    Head::Backups | Head::Zone(_) => stale(self.cluster, Kind::Backup),
                    Head::Object(kind, _) => stale(self.cluster, kind),
                },
                findings: findings.iter().map(|f| f.id()).collect(),
            }),
        })
    }

    /// What alerts of one name say, and the one object that all of them name, or that is above all of these.
    fn alerts(&self, findings: &[&Finding], says: String) -> (String, Option<ObjectRef>) {
        let alert = |f: &&Finding| match self.get(Kind::Alert, f.object.as_ref()?.uid)? {
            Object::Alert(a) => Some(&**a),
            _ => None,
        };
        let all: Vec<&Alert> = findings.iter().filter_map(alert).collect();
        let look = |a: &&Alert| (all.len() <= MANY_ALERTS).then(|| alert_critical::named(self.cluster, a)).flatten();
        let named: Vec<Option<&Object>> = all.iter().map(look).collect();
        let one = |of: &dyn Fn(&'a Object) -> &'a Object| {
            let first = named.first().copied().flatten().map(of)?;
            named.iter().all(|o| o.map(of).is_some_and(|o| o.meta().uid == first.meta().uid)).then(|| first.reference(self.cluster.id))
        };
        let above = |o: &'a Object| self.cluster.workload_of(o);
        let place = |(a, named): (&&Alert, &Option<&'a Object>)| match named {
            Some(o) => Some(title(&above(o).meta().namespace, &above(o).meta().name)),
            None => a.about().next().map(|(_, namespace, name)| title(&namespace.into(), &name.into())),
        };
        let mut places: Vec<String> = all.iter().zip(&named).filter_map(place).collect();
        places.sort_unstable();
        places.dedup();
        let on = joined(places, 2);
        let message = match (all.len(), on.as_str()) {
            (1, "") => says,
            (1, on) => format!("{on}: {says}"),
            (n, "") => format!("{n}: {says}"),
            (n, on) => format!("{n} on {on}: {says}"),
        };
        (message, one(&|o| o).or_else(|| one(&above)))
    }

    /// What dead nodes take along: their pods that have not ended, and the workloads of these with nothing available.
    fn blast(&self, nodes: &[&Finding]) -> (usize, usize) {
        let mut pods = 0;
        let mut down = HashSet::new();
        for node in nodes.iter().filter_map(|f| f.object.as_ref()) {
            for object in self.room.index.on_node(self.cluster, &node.name) {
                if !matches!(object, Object::Pod(p) if !p.finished()) {
                    continue;
                }
                pods += 1;
                if let Object::Workload(w) = self.cluster.workload_of(object)
                    && !matches!(w.kind, Kind::Job | Kind::CronJob)
                    && w.available == 0
                    && w.desired.unwrap_or(0) > 0
                {
                    down.insert(w.meta.uid);
                }
            }
        }
        (pods, down.len())
    }

    /// `1.8>1.9` and when, if a Deployment's newest ReplicaSet has another image than the one before, and is new enough to be the cause.
    fn image_change(&self, w: &Workload, since: Option<Time>) -> Option<(String, Time)> {
        let set = |o: &'a Object| match o {
            Object::Workload(rs) if rs.kind == Kind::ReplicaSet => Some((rs.revision.as_ref()?.parse::<u64>().ok()?, rs)),
            _ => None,
        };
        let mut sets: Vec<_> = self.room.index.owned(self.cluster, w.meta.uid).filter_map(set).collect();
        sets.sort_by_key(|(revision, _)| Reverse(*revision));
        let [(_, new), (_, old), ..] = &sets[..] else { return None };
        let at = new.meta.created?;
        // A minute of slack: clocks of different components.
        if at.age(self.now) > BLAME || since.is_some_and(|s| s.secs() + 60 < at.secs()) {
            return None;
        }
        let changed = |c: &'a crate::model::ContainerSpec| {
            let before = old.shape.containers.iter().find(|o| o.name == c.name)?;
            (before.image != c.image).then(|| change(&before.image, &c.image))
        };
        let changes: Vec<String> = new.shape.containers.iter().filter_map(changed).collect();
        let more = if changes.len() > 1 { format!(" +{}", changes.len() - 1) } else { String::new() };
        changes.first().map(|c| (format!("{c}{more}"), at))
    }
}

fn as_backup(o: &Object) -> Option<&Backup> {
    if let Object::Backup(b) = o { Some(b) } else { None }
}

/// The pods among the findings' objects; where there are none, all of them.
fn affected(findings: &[&Finding]) -> usize {
    let mut objects: Vec<(bool, Uid)> = findings.iter().filter_map(|f| f.object.as_ref()).map(|o| (o.kind != Kind::Pod, o.uid)).collect();
    objects.sort_unstable();
    objects.dedup();
    let pods = objects.iter().take_while(|(other, _)| !other).count();
    if pods > 0 { pods } else { objects.len().max(1) }
}

/// `: 31 pods, 2 apps at 0`.
fn blast(pods: usize, down: usize) -> String {
    let many = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    match (pods, down) {
        (0, _) => String::new(),
        (_, 0) => format!(": {}", many(pods, "pod")),
        _ => format!(": {}, {} at 0", many(pods, "pod"), many(down, "app")),
    }
}

/// Puts the finding that speaks for all first: what explains others here weighs as much as the worst of them.
fn speak(findings: &mut [&Finding]) {
    if findings.len() < 2 {
        return;
    }
    let place = |f: &Finding| RULES.iter().position(|r| *r == f.rule).unwrap_or(usize::MAX);
    let mut worst: HashMap<&'static str, Severity> = HashMap::new();
    let mut often: HashMap<(&str, &str), usize> = HashMap::new();
    for f in findings.iter() {
        *often.entry((f.rule.id, f.message.as_str())).or_default() += 1;
        let entry = worst.entry(f.rule.id).or_insert(f.severity);
        *entry = f.severity.max(*entry);
    }
    // The worst of what it explains here, where that is anything.
    let explained: HashMap<&'static str, Option<Severity>> =
        worst.keys().map(|rule| (*rule, worst.iter().filter(|(other, _)| causes::explains(rule, other)).map(|(_, s)| *s).max())).collect();
    let of = |f: &Finding| explained.get(f.rule.id).copied().flatten().filter(|_| f.severity > Severity::Info);
    findings.sort_by_cached_key(|f| {
        (
            Reverse(of(f).max(Some(f.severity))),
            of(f).map_or(usize::MAX, |_| causes::rank(f.rule.id)),
            place(f),
            Reverse(often.get(&(f.rule.id, f.message.as_str())).copied()),
            f.message.clone(),
            f.object.as_ref().map(|o| o.uid),
        )
    });
}

/// What differs between two images: the tags, or the short names where the repositories differ too.
fn change(old: &str, new: &str) -> String {
    fn split(image: &str) -> (&str, &str) {
        if let Some((name, digest)) = image.split_once('@') {
            let hex = digest.rsplit(':').next().unwrap_or(digest);
            return (name, hex.get(..7).unwrap_or(hex));
        }
        match image.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (image, "latest"),
        }
    }
    fn elide(text: &str) -> String {
        let n = text.chars().count();
        if n <= 16 { text.to_owned() } else { text.chars().take(7).chain("..".chars()).chain(text.chars().skip(n - 7)).collect() }
    }
    let ((old_name, old_tag), (new_name, new_tag)) = (split(old), split(new));
    if old_name == new_name {
        return format!("{}>{}", elide(old_tag), elide(new_tag));
    }
    let short = |name: &str, tag: &str| elide(&format!("{}:{tag}", name.rsplit('/').next().unwrap_or(name)));
    format!("{}>{}", short(old_name, old_tag), short(new_name, new_tag))
}

#[cfg(test)]
mod tests {
    use super::change;

    #[test]
    fn images_differ_in_few_words() {
        for (old, new, text) in [
            ("reg:5000/pay/app:1.8", "reg:5000/pay/app:1.9", "1.8>1.9"),
            ("reg:5000/app", "reg:5000/app:2", "latest>2"),
            ("a/app:1", "b/ppa:1", "app:1>ppa:1"),
            ("app@sha256:0123456789", "app@sha256:abcdef0123", "0123456>abcdef0"),
            ("app:release-2026-01-04-aaaaaaa", "app:release-2026-01-05-bbbbbbb", "release..aaaaaaa>release..bbbbbbb"),
        ] {
            assert_eq!(change(old, new), text);
        }
    }
}
