//! The lines of BURNING: findings with one cause or one owner, folded.
//!
//! Pods and Jobs fold into the workload above them; pods of a dead node, and workloads that are short only because of it, into the node; most
//! of a zone's nodes into the zone. What is wrong with a cluster's etcd is one line, and alerts of one name are; failed backups fold into their
//! schedule, and both into a location that is gone. Order: critical first, production first, then clusters, nodes, workloads with nothing available, the rest; newest
//! first within. It does not change between two calls unless a finding did.

use super::engine::Room;
use super::explain::words::joined;
use super::rules::{alert_critical, velero_bsl_unavailable, velero_schedule_stale};
use super::{Engine, Finding, FindingId, RULES, Severity, quorum, title};
use crate::model::{Alert, Backup, ClusterId, ConnectionState, Kind, Object, ObjectRef, ServiceState, Str, Svc, Time, Tri, Uid, Workload};
use crate::store::{Cluster, Store};
use hashbrown::{HashMap, HashSet};
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
    /// The findings folded in, the one that speaks for all first.
    pub findings: Vec<FindingId>,
}

/// More unschedulable pods of one workload than this are critical.
const MANY_PENDING: usize = 10;
/// From this share of a zone's nodes (percent), and more than two of them, the zone is the problem: there the eviction rate changes.
const ZONE_PERCENT: usize = 55;
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

/// What a line is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Head<'a> {
    Cluster,
    Etcd,
    /// Of the cluster as a whole.
    Backups,
    /// Alerts of this name.
    Alerts(&'a str),
    Zone(&'a str),
    Object(Kind, Uid),
}

/// A line, with its place among the others.
struct Placed {
    rank: u8,
    line: Line,
}

impl Engine {
    /// What burns, worst first. `now` in unix seconds.
    pub fn lines(&self, store: &Store, now: i64) -> Vec<Line> {
        let mut all = Vec::new();
        for cluster in store.clusters() {
            if let Some(room) = self.room(cluster.id).filter(|r| !r.findings.is_empty()) {
                Fold { cluster, room, now }.run(&mut all);
            }
        }
        let production = |id: ClusterId| store.cluster(id).is_some_and(|c| c.info.production());
        all.sort_by_cached_key(|p| {
            let l = &p.line;
            (
                Reverse(l.severity),
                !production(l.cluster),
                p.rank,
                Reverse(l.since),
                l.cluster,
                l.title.clone(),
                l.subject.as_ref().map(|s| s.uid),
            )
        });
        all.into_iter().map(|p| p.line).collect()
    }
}

/// One cluster's folding.
struct Fold<'a> {
    cluster: &'a Cluster,
    room: &'a Room,
    now: i64,
}

impl<'a> Fold<'a> {
    fn run(&self, out: &mut Vec<Placed>) {
        let lost = self.lost();
        let mut groups: HashMap<Head<'a>, Vec<&'a Finding>> = HashMap::new();
        for finding in self.room.findings.values().flatten().filter(|f| f.burns()) {
            groups.entry(self.head(finding, &lost)).or_default().push(finding);
        }
        for (head, mut findings) in groups {
            speak(&mut findings);
            out.extend(self.line(head, &findings));
        }
    }

    fn get(&self, kind: Kind, uid: Uid) -> Option<&'a Object> {
        let table = self.cluster.table(kind);
        table.get(table.slot_of(uid)?)
    }

    /// The line that each dead node belongs to: its own, or its zone's.
    fn lost(&self) -> HashMap<&'a Str, Head<'a>> {
        if self.room.lost.is_empty() {
            return HashMap::new();
        }
        let mut zones: HashMap<&str, (usize, usize)> = HashMap::new();
        let mut lost = Vec::new();
        for object in self.cluster.objects(Kind::Node) {
            let Object::Node(node) = object else { continue };
            let dead = self.room.lost.contains(&node.meta.name);
            if let Some(zone) = node.zone() {
                let (n, of) = zones.entry(zone).or_default();
                *n += usize::from(dead);
                *of += 1;
            }
            if dead {
                lost.push(node);
            }
        }
        let whole = |zone: &&str| zones.get(zone).is_some_and(|(n, of)| *n > 2 && n * 100 >= of * ZONE_PERCENT);
        lost.into_iter().map(|n| (&n.meta.name, n.zone().filter(whole).map_or(Head::Object(Kind::Node, n.meta.uid), Head::Zone))).collect()
    }

    fn head(&self, finding: &'a Finding, lost: &HashMap<&'a Str, Head<'a>>) -> Head<'a> {
        let Some(reference) = finding.place() else { return self.whole(finding) };
        let own = Head::Object(reference.kind, reference.uid);
        let Some(object) = self.get(reference.kind, reference.uid) else { return own };
        let top = || {
            let top = self.cluster.workload_of(object);
            Head::Object(top.kind(), top.meta().uid)
        };
        match object {
            Object::Node(node) => lost.get(&node.meta.name).copied().unwrap_or(own),
            Object::Pod(pod) => pod.node.as_ref().and_then(|n| lost.get(n).copied()).unwrap_or_else(top),
            Object::Workload(w) if finding.rule.id == "replicas-unavailable" && !lost.is_empty() => {
                self.only_lost(w, lost).unwrap_or_else(top)
            }
            Object::Workload(_) => top(),
            Object::EtcdMember(_) => Head::Etcd,
            Object::Alert(a) => Head::Alerts(&a.meta.name),
            Object::Backup(b) => self
                .location(&b.meta.namespace, &b.selection.location)
                .unwrap_or_else(|| velero_schedule_stale::of(self.cluster, b).map_or(own, |s| Head::Object(Kind::Schedule, s.meta().uid))),
            Object::Schedule(s) => self.location(&s.meta.namespace, &s.selection.location).unwrap_or(own),
            Object::Svc(s) => self.behind(s, lost).unwrap_or(own),
            _ => own,
        }
    }

    /// The line of what is found of the cluster as a whole. An etcd of which no member answers is no news of its own where nothing answers.
    fn whole(&self, finding: &Finding) -> Head<'a> {
        let nothing = || {
            let found = self.room.findings.get(&Uid::default());
            found.is_some_and(|all| all.iter().any(|f| f.rule.id == "cluster-unreachable")) && quorum::silent(self.cluster)
        };
        match finding.rule.area {
            "etcd" if !nothing() => Head::Etcd,
            "backup" => Head::Backups,
            _ => Head::Cluster,
        }
    }

    /// The line of the one workload behind a Service, where that burns itself.
    fn behind(&self, service: &Svc, lost: &HashMap<&'a Str, Head<'a>>) -> Option<Head<'a>> {
        let [workload] = self.room.index.selected(self.cluster, service)[..] else { return None };
        let uid = workload.meta.uid;
        let burning = |uid: &Uid| self.room.findings.get(uid).into_iter().flatten().find(|f| f.burns());
        let of_pods = || self.room.index.below(self.cluster, uid).iter().find_map(|o| burning(&o.meta().uid));
        burning(&uid).or_else(of_pods).map(|f| self.head(f, lost))
    }

    /// The line of the location that backups go to, where that is what is wrong.
    fn location(&self, namespace: &str, named: &str) -> Option<Head<'a>> {
        let uid = velero_bsl_unavailable::of(self.cluster, namespace, named)?.meta().uid;
        self.room.findings.contains_key(&uid).then_some(Head::Object(Kind::StorageLocation, uid))
    }

    /// The dead node's line, when every bad pod of the workload is on dead nodes and none is missing.
    fn only_lost(&self, w: &Workload, lost: &HashMap<&'a Str, Head<'a>>) -> Option<Head<'a>> {
        if w.current < w.desired.unwrap_or(0) {
            return None;
        }
        let mut first: Option<(&Str, Head<'a>)> = None;
        for pod in self.room.index.pods(self.cluster, w.meta.uid).into_iter().filter(|p| p.bad()) {
            let (name, head) = lost.get_key_value(pod.node.as_ref()?)?;
            if first.is_none_or(|(n, _)| **name < *n) {
                first = Some((name, *head));
            }
        }
        first.map(|(_, head)| head)
    }

    fn line(&self, head: Head<'a>, findings: &[&'a Finding]) -> Option<Placed> {
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
        let mut opens = None;
        let nodes: Vec<&Finding> = findings.iter().copied().filter(|f| f.rule.id == "node-not-ready").collect();
        match (head, object) {
            (Head::Cluster, _) => (rank, name) = (0, Some("API".to_owned())),
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
            (Head::Etcd | Head::Backups | Head::Alerts(_), Some(name), _) => name.as_str().into(),
            (_, _, Some(s)) => s.name.clone(),
            _ => self.cluster.info.name.clone(),
        };
        Some(Placed {
            rank,
            line: Line {
                severity,
                cluster: self.cluster.id,
                title: name.or(subject.as_ref().map(|s| title(&s.namespace, &s.name))).unwrap_or_default(),
                subject,
                message,
                count,
                since,
                detail: format!("{short}: {detail}"),
                // What is said of etcd as a whole says itself when it is not reached.
                stale: match head {
                    Head::Cluster | Head::Etcd => false,
                    Head::Alerts(_) => stale(self.cluster, Kind::Alert),
                    Head::Backups | Head::Zone(_) => stale(self.cluster, Kind::Backup),
                    Head::Object(kind, _) => stale(self.cluster, kind),
                },
                findings: findings.iter().map(|f| f.id()).collect(),
            },
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

/// Puts the finding that speaks for all first. A crash or what the scheduler says explains what follows from it, so it weighs as much as the worst.
fn speak(findings: &mut [&Finding]) {
    let worst = findings.iter().map(|f| f.severity).max();
    let place = |f: &Finding| RULES.iter().position(|r| *r == f.rule).unwrap_or(usize::MAX);
    let weight = |f: &Finding| {
        let causes =
            f.severity > Severity::Info && matches!(f.rule.id, "cluster-unreachable" | "node-not-ready" | "pod-crashloop" | "pod-pending");
        if causes { worst } else { Some(f.severity) }
    };
    let mut often: HashMap<(&str, &str), usize> = HashMap::new();
    for f in findings.iter() {
        *often.entry((f.rule.id, f.message.as_str())).or_default() += 1;
    }
    findings.sort_by_cached_key(|f| {
        (
            Reverse(weight(f)),
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
