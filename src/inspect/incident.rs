//! What belongs together: the findings and alerts of a cluster that one thing explains, the probable cause on top.
//!
//! Two steps. By ownership: pods and Jobs fold into the workload above them, most of a zone's nodes into the zone, failed backups into their
//! schedule, what is found of etcd into one, alerts of one name into one. Then by cause: [`causes::CAUSES`] says which rule may explain which and by what
//! tie; a finding that another one explains folds into that one's. Firing alerts fold into what burns at the object that they name. Looks at
//! findings and alerts alone, and at objects by index. Leaves the words to `lines`.

use super::causes::{Cause, DEEP, Tie};
use super::engine::Room;
use super::rules::{alert_critical, velero_bsl_unavailable, velero_schedule_stale};
use super::{Finding, Severity, causes, quorum};
use crate::model::{Alert, AlertState, Kind, Object, ObjectRef, Str, Svc, Tri, Uid, Workload};
use crate::store::Cluster;
use hashbrown::{HashMap, HashSet};
use std::cmp::Reverse;

/// Whether a finding takes part: it goes wrong now, or [`causes::CAUSES`] has its rule. Others stand for themselves.
pub(super) fn acute(f: &Finding) -> bool {
    f.open() && (f.rule.burns || causes::linked(f.rule.id))
}

/// What an incident is about. `T`: a name, borrowed or kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Head<T> {
    Cluster,
    /// A rule of the cluster as a whole.
    Rule(&'static str),
    Etcd,
    /// Of the cluster as a whole.
    Backups,
    /// Alerts of this name.
    Alerts(T),
    Zone(T),
    Object(Kind, Uid),
}

impl Head<&str> {
    /// The same to keep.
    pub fn kept(self) -> Head<Str> {
        match self {
            Head::Cluster => Head::Cluster,
            Head::Rule(rule) => Head::Rule(rule),
            Head::Etcd => Head::Etcd,
            Head::Backups => Head::Backups,
            Head::Alerts(name) => Head::Alerts(name.into()),
            Head::Zone(name) => Head::Zone(name.into()),
            Head::Object(kind, uid) => Head::Object(kind, uid),
        }
    }
}

/// Findings and alerts with one head.
pub(super) struct Group<'a> {
    pub head: Head<&'a str>,
    /// In no order.
    pub findings: Vec<&'a Finding>,
    /// Firing ones that are no findings.
    pub alerts: Vec<&'a Alert>,
}

/// Which finding of an object says where that is told: the smallest.
type Place = (bool, Reverse<Severity>, usize, &'static str, Uid);

/// What a finding is explained by.
enum Up<'a> {
    Head(Head<&'a str>),
    Finding(&'a Finding),
}

/// One cluster's correlation.
pub(super) struct Correlation<'a> {
    cluster: &'a Cluster,
    room: &'a Room,
    /// The head that each dead node belongs to: its own, or its zone's.
    lost: HashMap<&'a Str, Head<&'a str>>,
    /// Findings of rules that may explain others of the whole cluster, the worst first.
    standing: HashMap<&'static str, Vec<&'a Finding>>,
    /// Workloads of which pods were refused by a webhook that is down.
    refused: HashSet<Uid>,
    nothing_answers: bool,
}

/// From this share of a zone's nodes (percent), and more than two of them, the zone is the problem: there the eviction rate changes.
const ZONE_PERCENT: usize = 55;

impl<'a> Correlation<'a> {
    pub fn new(cluster: &'a Cluster, room: &'a Room) -> Self {
        let mut standing: HashMap<&'static str, Vec<&Finding>> = HashMap::new();
        for f in room.wide().filter(|f| f.severity > Severity::Info) {
            standing.entry(f.rule.id).or_default().push(f);
        }
        for all in standing.values_mut() {
            all.sort_by_key(|f| (Reverse(f.severity), f.object.as_ref().map(|o| o.uid)));
        }
        let own = room.findings.get(&Uid::default());
        let unreachable = own.is_some_and(|all| all.iter().any(|f| f.open() && f.rule.id == "cluster-unreachable"));
        let mut new = Self {
            cluster,
            room,
            lost: lost(cluster, room),
            refused: HashSet::new(),
            standing,
            nothing_answers: unreachable && quorum::silent(cluster),
        };
        new.refused = new.refused_pods();
        new
    }

    /// Its findings.
    pub fn room(&self) -> &'a Room {
        self.room
    }

    /// Whether no finding stands that explains others by more than where these are.
    pub fn local(&self) -> bool {
        !self.standing.contains_key("webhook-fail-closed")
    }

    /// Whether a finding is of an alert that is seen. One that only a report names stands for itself.
    pub fn of_alert(&self, f: &Finding) -> bool {
        f.object.as_ref().is_some_and(|o| o.kind == Kind::Alert && self.get(o).is_some())
    }

    /// The alerts that fire.
    pub fn firing(&self) -> impl Iterator<Item = &'a Alert> + use<'a> {
        let firing = |o: &'a Object| match o {
            Object::Alert(a) if a.state == AlertState::Firing => Some(&**a),
            _ => None,
        };
        self.cluster.objects(Kind::Alert).filter_map(firing)
    }

    /// What an alert is about, and the workload above.
    pub fn names(&self, a: &Alert) -> Vec<Uid> {
        self.named(a).into_iter().flat_map(|o| self.cluster.and_above(o)).collect()
    }

    /// All groups, in no order.
    pub fn groups(&self) -> Vec<Group<'a>> {
        self.gather(self.room.acute().filter(|f| !self.of_alert(f)), self.firing())
    }

    /// The groups of these findings, none of them an alert's, and of these alerts, in no order; of what these alerts name, all findings have to be there.
    pub fn gather(&self, findings: impl Iterator<Item = &'a Finding>, alerts: impl Iterator<Item = &'a Alert>) -> Vec<Group<'a>> {
        let mut groups: HashMap<Head<&'a str>, Group<'a>> = HashMap::new();
        let new = |head| Group { head, findings: Vec::new(), alerts: Vec::new() };
        for finding in findings {
            let head = self.head(finding);
            groups.entry(head).or_insert_with(|| new(head)).findings.push(finding);
        }
        // Where what an alert names is told already.
        let mut places: HashMap<Uid, (Place, Head<&'a str>)> = HashMap::new();
        for (group, f) in groups.values().flat_map(|g| g.findings.iter().map(move |f| (g, *f))) {
            let Some(place) = f.place() else { continue };
            let top = self.get(place).map(|o| self.cluster.workload_of(o).meta().uid);
            for uid in std::iter::once(place.uid).chain(top) {
                let elsewhere = !matches!(group.head, Head::Object(_, of) if of == uid);
                let here = ((elsewhere, Reverse(f.severity), causes::rank(f.rule.id), f.rule.id, place.uid), group.head);
                let entry = places.entry(uid).or_insert(here);
                if here.0 < entry.0 {
                    *entry = here;
                }
            }
        }
        let told = !places.is_empty() || !self.lost.is_empty();
        for a in alerts {
            let found: Vec<&Finding> = self.room.findings.get(&a.meta.uid).into_iter().flatten().filter(|f| acute(f)).collect();
            let head = if told { self.named(a).and_then(|o| self.place(o, &places)) } else { None };
            match head {
                Some(head) if found.is_empty() => groups.entry(head).or_insert_with(|| new(head)).alerts.push(a),
                None if found.is_empty() => {}
                head => {
                    let head = head.unwrap_or(Head::Alerts(&a.meta.name));
                    groups.entry(head).or_insert_with(|| new(head)).findings.extend(found);
                }
            }
        }
        groups.into_values().filter(|g| !g.findings.is_empty()).collect()
    }

    /// What an alert is about, namespaces left out: they say nothing of what.
    fn named(&self, a: &Alert) -> Option<&'a Object> {
        alert_critical::named(self.cluster, a).filter(|o| o.kind() != Kind::Namespace)
    }

    /// The group in which an object is told already.
    fn place(&self, object: &'a Object, places: &HashMap<Uid, (Place, Head<&'a str>)>) -> Option<Head<&'a str>> {
        let told = |o: &Object| places.get(&o.meta().uid).map(|(_, head)| *head);
        self.lost_at(object).or_else(|| told(object)).or_else(|| told(self.cluster.workload_of(object)))
    }

    /// The dead node's head that what an alert is about is lost with.
    pub fn lost_with(&self, a: &Alert) -> Option<Head<&'a str>> {
        self.lost_at(self.named(a)?)
    }

    /// The head of the dead node that an object is, is on, or has all its bad pods on.
    fn lost_at(&self, object: &Object) -> Option<Head<&'a str>> {
        match object {
            Object::Node(n) => self.lost.get(&n.meta.name).copied(),
            Object::Pod(p) => self.lost.get(p.node.as_ref()?).copied(),
            Object::Workload(w) => self.only_lost(w),
            _ => None,
        }
    }

    fn get(&self, reference: &ObjectRef) -> Option<&'a Object> {
        let table = self.cluster.table(reference.kind);
        table.get(table.slot_of(reference.uid)?)
    }

    /// The head of what explains a finding in the end; of itself where nothing does.
    pub fn head(&self, finding: &'a Finding) -> Head<&'a str> {
        let mut at = finding;
        for _ in 0..DEEP {
            match self.up(at) {
                Some(Up::Head(head)) => return head,
                Some(Up::Finding(up)) => at = up,
                None => break,
            }
        }
        self.own(at)
    }

    /// What explains a finding, by the first tie that holds.
    fn up(&self, f: &'a Finding) -> Option<Up<'a>> {
        let object = f.place().and_then(|place| self.get(place));
        causes::of(f.rule.id).iter().find_map(|c| self.tied(c, f, object))
    }

    fn tied(&self, cause: &Cause, f: &'a Finding, object: Option<&'a Object>) -> Option<Up<'a>> {
        let standing = || cause.by.iter().filter_map(|id| self.standing.get(id)).flatten().next().map(|f| Up::Finding(f));
        match (cause.tie, object) {
            (Tie::Same, _) => None,
            (Tie::Cluster, _) => standing(),
            (Tie::Silent, _) => self.nothing_answers.then_some(Up::Head(Head::Cluster)),
            (Tie::OnNode, Some(Object::Pod(pod))) => self.lost.get(pod.node.as_ref()?).copied().map(Up::Head),
            (Tie::OnNode, Some(Object::Workload(w))) => self.only_lost(w).map(Up::Head),
            (Tie::Refused, Some(o)) => {
                let top = self.cluster.workload_of(o).meta().uid;
                self.refused.contains(&top).then(standing).flatten()
            }
            (Tie::NoRoom, Some(o)) => standing().filter(|_| said(f, "Insufficient") && self.fits_somewhere(o)),
            (Tie::Metrics, Some(Object::Hpa(h))) => {
                let group = |source: &str| match source {
                    "External" => "external.metrics.k8s.io",
                    "Pods" | "Object" => "custom.metrics.k8s.io",
                    _ => "metrics.k8s.io",
                };
                // An API is named `v1beta1.metrics.k8s.io`.
                let read = |api: &str| api.split_once('.').is_some_and(|(_, of)| h.metrics.iter().any(|m| group(&m.source) == of));
                let of = |f: &&&Finding| f.evidence.iter().any(|e| read(&e.what));
                cause.by.iter().filter_map(|id| self.standing.get(id)).flatten().find(of).map(|f| Up::Finding(f))
            }
            (Tie::Location, Some(Object::Backup(b))) => self.location(&b.meta.namespace, &b.selection.location),
            (Tie::Location, Some(Object::Schedule(s))) => self.location(&s.meta.namespace, &s.selection.location),
            (Tie::Behind, Some(Object::Svc(s))) => self.behind(cause, s).map(Up::Finding),
            _ => None,
        }
    }

    /// The head of a finding that nothing else explains.
    fn own(&self, finding: &'a Finding) -> Head<&'a str> {
        if finding.rule.area == "etcd" {
            return Head::Etcd;
        }
        let Some(reference) = finding.place() else {
            return match finding.rule.id {
                "cluster-unreachable" => Head::Cluster,
                _ if finding.rule.area == "backup" => Head::Backups,
                id => Head::Rule(id),
            };
        };
        let own = Head::Object(reference.kind, reference.uid);
        let Some(object) = self.get(reference) else { return own };
        match object {
            Object::Node(node) => self.lost.get(&node.meta.name).copied().unwrap_or(own),
            Object::Pod(_) | Object::Workload(_) => {
                let top = self.cluster.workload_of(object);
                Head::Object(top.kind(), top.meta().uid)
            }
            Object::EtcdMember(_) => Head::Etcd,
            Object::Backup(b) => velero_schedule_stale::of(self.cluster, b).map_or(own, |s| Head::Object(Kind::Schedule, s.meta().uid)),
            _ => own,
        }
    }

    /// What is found of the one workload behind a Service, or of its pods.
    fn behind(&self, cause: &Cause, service: &Svc) -> Option<&'a Finding> {
        let [workload] = self.room.index.selected(self.cluster, service)[..] else { return None };
        let uid = workload.meta.uid;
        let fit = |f: &&Finding| acute(f) && (f.rule.burns || cause.by.contains(&f.rule.id));
        let found = |uid: &Uid| self.room.findings.get(uid).into_iter().flatten().find(fit);
        found(&uid).or_else(|| self.room.index.below(self.cluster, uid).iter().find_map(|o| found(&o.meta().uid)))
    }

    /// The location that backups go to, where that is what is wrong.
    fn location(&self, namespace: &str, named: &str) -> Option<Up<'a>> {
        let uid = velero_bsl_unavailable::of(self.cluster, namespace, named)?.meta().uid;
        let down = |f: &Finding| acute(f) && f.rule.id == velero_bsl_unavailable::RULE.id;
        self.room.findings.get(&uid)?.iter().any(down).then_some(Up::Head(Head::Object(Kind::StorageLocation, uid)))
    }

    /// The dead node's head, when every bad pod of the workload is on dead nodes and none is missing.
    fn only_lost(&self, w: &Workload) -> Option<Head<&'a str>> {
        if self.lost.is_empty() || w.current < w.desired.unwrap_or(0) {
            return None;
        }
        let mut first: Option<(&Str, Head<&'a str>)> = None;
        for pod in self.room.index.pods(self.cluster, w.meta.uid).into_iter().filter(|p| p.bad()) {
            let (name, head) = self.lost.get_key_value(pod.node.as_ref()?)?;
            if first.is_none_or(|(n, _)| **name < *n) {
                first = Some((name, *head));
            }
        }
        first.map(|(_, head)| head)
    }

    /// Whether some node could take the pod if nothing else were on it.
    fn fits_somewhere(&self, object: &Object) -> bool {
        let Object::Pod(pod) = object else { return false };
        let asked = (pod.shape.requests.cpu_request_m.unwrap_or(0), pod.shape.requests.memory_request.unwrap_or(0));
        let takes = |o: &Object| matches!(o, Object::Node(n) if n.cpu_allocatable_m >= asked.0 && n.memory_allocatable >= asked.1);
        self.cluster.objects(Kind::Node).any(takes)
    }

    /// The workloads whose pods a webhook that is down refused, by their conditions and by what was said of them.
    fn refused_pods(&self) -> HashSet<Uid> {
        let Some(down) = self.standing.get("webhook-fail-closed") else { return HashSet::new() };
        let hooks: Vec<&str> =
            down.iter().filter(|f| f.severity == Severity::Critical).flat_map(|f| &f.evidence).map(|e| e.what.as_str()).collect();
        let names = |text: &str| text.contains("webhook") && hooks.iter().any(|hook| text.contains(hook));
        let mut all = HashSet::new();
        for f in self.room.acute().filter(|f| causes::of(f.rule.id).iter().any(|c| c.tie == Tie::Refused)) {
            let Some(object) = f.place().and_then(|place| self.get(place)) else { continue };
            let Object::Workload(top) = self.cluster.workload_of(object) else { continue };
            let failed = top
                .conditions
                .iter()
                .any(|c| &*c.kind == "ReplicaFailure" && c.status == Tri::True && c.message.as_deref().is_some_and(names));
            if failed {
                all.insert(top.meta.uid);
            }
        }
        for o in self.cluster.objects(Kind::Event) {
            let Object::Event(e) = o else { continue };
            if &*e.reason != "FailedCreate" || !names(&e.message) {
                continue;
            }
            let table = e.about.known_kind().map(|kind| self.cluster.table(kind));
            if let Some(object) = table.and_then(|t| t.get(t.slot_of(e.about.uid)?)) {
                all.insert(self.cluster.workload_of(object).meta().uid);
            }
        }
        all
    }
}

/// Whether a finding says that word, or rests on something that does.
pub(super) fn said(f: &Finding, word: &str) -> bool {
    f.message.contains(word) || f.evidence.iter().any(|e| e.value.contains(word) || e.what.contains(word))
}

fn lost<'a>(cluster: &'a Cluster, room: &Room) -> HashMap<&'a Str, Head<&'a str>> {
    if room.lost.is_empty() {
        return HashMap::new();
    }
    let mut zones: HashMap<&str, (usize, usize)> = HashMap::new();
    let mut lost = Vec::new();
    for object in cluster.objects(Kind::Node) {
        let Object::Node(node) = object else { continue };
        let dead = room.lost.contains(&node.meta.name);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::Incident;
    use crate::inspect::fixture::{Fleet, ago, alert, backup, crashing, deployment, node, owned, pod, replicaset, running, told};
    use crate::model::{Delta, FindingRow, Service, ServiceState};
    use serde_json::{Value, json};

    fn incidents(fleet: &Fleet) -> Vec<Incident> {
        fleet.engine.incidents(&fleet.store, fleet.now)
    }

    fn names(fleet: &Fleet) -> Vec<(String, usize, usize)> {
        incidents(fleet).into_iter().map(|i| (i.name, i.line.findings.len(), i.alerts)).collect()
    }

    /// What the rows of the findings say explains them, by object, rule and cause.
    fn rows(fleet: &mut Fleet) -> Vec<(String, String, String, Option<String>)> {
        for (cluster, changes) in fleet.engine.news() {
            fleet.delta(cluster.0, Delta::Rows { kind: Kind::Finding, changes });
        }
        let row = |f: &FindingRow| {
            let about = f.about.as_ref().map_or_else(String::new, |o| o.name.to_string());
            let cause = f.cause.as_deref().unwrap_or("-").to_owned();
            (about, f.meta.name.to_string(), cause, f.explains.as_ref().map(|e| e.words()))
        };
        let of = |o: &Object| if let Object::Finding(f) = o { Some(row(f)) } else { None };
        let mut all: Vec<_> = fleet.store.clusters()[0].objects(Kind::Finding).filter_map(of).collect();
        all.retain(|r| r.2 != "-");
        all.sort();
        all
    }

    /// Three Deployments of ten pods, all on a node.
    fn thirty(fleet: &mut Fleet, node: impl Fn(usize, usize) -> &'static str, available: i32) {
        for (app, name) in ["api", "cart", "db"].into_iter().enumerate() {
            fleet.put(Kind::Deployment, [deployment(name, 10, available)]);
            fleet.put(Kind::ReplicaSet, [replicaset(&format!("{name}-rs"), name, 1, "i:1", 90_000, 10)]);
            let one =
                |n: usize| pod(owned(&format!("{name}-{n}"), Kind::ReplicaSet, &format!("{name}-rs")), node(app, n), false, 900, running());
            fleet.put(Kind::Pod, (0..10).map(one));
        }
    }

    fn pleg(name: &str) -> Value {
        let mut n = node(name, "False", 900);
        n["status"]["conditions"][0]["reason"] = json!("KubeletNotReady");
        n["status"]["conditions"][0]["message"] = json!("PLEG is not healthy: pleg was last seen active 9m ago");
        n
    }

    fn firing(labels: &[(&str, &str)]) -> Object {
        alert(labels, AlertState::Firing)
    }

    #[test]
    fn an_alert_on_a_workload_stands_with_it_although_one_of_its_pods_is_on_a_lost_node() {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Node, [pleg("n1"), node("n2", "True", 9000)]);
        fleet.put(Kind::Deployment, [deployment("api", 4, 0)]);
        fleet.put(Kind::ReplicaSet, [replicaset("api-rs", "api", 1, "i:1", 90_000, 4)]);
        let one = |n: usize| {
            let metadata = owned(&format!("api-{n}"), Kind::ReplicaSet, "api-rs");
            pod(metadata, if n == 0 { "n1" } else { "n2" }, false, 900, crashing(9, 137, "OOMKilled", 60))
        };
        fleet.put(Kind::Pod, (0..4).map(one));
        let down = firing(&[("alertname", "DeploymentDown"), ("namespace", "pay"), ("deployment", "api"), ("severity", "critical")]);
        told(&mut fleet, Service::Alertmanager, ServiceState::Live, vec![down]);
        let with: Vec<_> = names(&fleet).into_iter().filter(|(_, _, alerts)| *alerts > 0).map(|(name, ..)| name).collect();
        assert!(with.len() == 1 && with[0].starts_with("pay/api "), "{:?}", names(&fleet));
    }

    #[test]
    fn a_node_its_thirty_pods_and_five_alerts_are_one_incident_with_the_node_on_top() {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Node, [pleg("n1"), node("n2", "True", 9000), node("n3", "True", 9000)]);
        thirty(&mut fleet, |_, _| "n1", 0);
        let alerts = vec![
            firing(&[("alertname", "KubeNodeNotReady"), ("node", "n1"), ("severity", "critical")]),
            firing(&[("alertname", "KubePodNotReady"), ("namespace", "pay"), ("pod", "api-3"), ("severity", "warning")]),
            firing(&[("alertname", "KubePodNotReady"), ("namespace", "pay"), ("pod", "db-0"), ("severity", "critical")]),
            firing(&[
                ("alertname", "KubeDeploymentReplicasMismatch"),
                ("namespace", "pay"),
                ("deployment", "api"),
                ("severity", "warning"),
            ]),
            firing(&[("alertname", "KubeDeploymentReplicasMismatch"), ("namespace", "pay"), ("deployment", "db"), ("severity", "warning")]),
            // Of something else, and of nothing that there is.
            firing(&[("alertname", "NodeClockSkew"), ("node", "n2"), ("severity", "warning")]),
            firing(&[("alertname", "Lone"), ("severity", "critical")]),
        ];
        told(&mut fleet, Service::Alertmanager, ServiceState::Live, alerts);
        let all = incidents(&fleet);
        let first = all.iter().find(|i| i.name == "n1 node-not-ready").unwrap_or_else(|| panic!("{:?}", names(&fleet)));
        let found = |rule: &str| first.line.findings.iter().filter(|f| f.rule == rule).count();
        assert_eq!((found("pod-not-ready"), found("replicas-unavailable"), first.alerts, first.workloads), (30, 3, 5, 3));
        assert_eq!(first.line.findings[0].rule, "node-not-ready", "the cause is on top");
        assert_eq!(first.line.message, "NotReady (PLEG): 30 pods, 3 apps at 0, 5 alerts");
        let lines: Vec<_> = fleet.lines().into_iter().map(|l| l.title).collect();
        assert_eq!(lines, ["n1", "alert Lone"], "BURNING has the same");
        let rows = rows(&mut fleet);
        let of =
            |object: &str, rule: &str| rows.iter().find(|r| r.0 == object && r.1 == rule).map(|r| (r.2.as_str(), r.3.as_deref())).unwrap();
        assert_eq!(of("n1", "node-not-ready"), ("n1 node-not-ready", Some("34 findings and 5 alerts on 3 workloads")));
        assert_eq!(of("db-7", "pod-not-ready"), ("n1 node-not-ready", None));
        // The alerts end: the row of the cause alone says so.
        told(&mut fleet, Service::Alertmanager, ServiceState::Live, vec![firing(&[("alertname", "Lone"), ("severity", "critical")])]);
        assert_eq!(self::rows(&mut fleet).iter().find(|r| r.0 == "n1").unwrap().3.as_deref(), Some("34 findings on 3 workloads"));
        // The node comes back: each workload stands for itself.
        fleet.put(Kind::Node, [node("n1", "True", 1)]);
        let after = names(&fleet);
        assert!(after.iter().any(|(name, ..)| name.starts_with("pay/api ")) && after.len() == 4, "{after:?}");
        assert!(self::rows(&mut fleet).iter().filter(|r| r.0.starts_with("api-")).all(|r| r.2.starts_with("pay/api ")));
    }

    #[test]
    fn what_is_elsewhere_is_not_blamed_on_the_node() {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Node, [pleg("n1"), node("n2", "True", 9000), node("n3", "True", 9000)]);
        // One pod of `db` is not ready on a node that is well: the workload is not short by n1 alone.
        thirty(&mut fleet, |app, n| if app == 2 && n == 9 { "n2" } else { "n1" }, 0);
        let all = incidents(&fleet);
        let at = |name: &str| all.iter().find(|i| i.name.starts_with(name)).unwrap_or_else(|| panic!("{:?}", names(&fleet)));
        let uid = crate::inspect::fixture::uid(Kind::Pod, "db-9");
        assert!(at("n1 ").line.findings.iter().all(|f| f.uid != uid));
        let own: Vec<_> = at("pay/db ").line.findings.iter().map(|f| f.rule).collect();
        assert_eq!(own.len(), 2, "its own pod, and that it is short: {own:?}");
        // Missing pods are no node's doing.
        let mut fleet = Fleet::default();
        fleet.put(Kind::Node, [pleg("n1"), node("n2", "True", 9000), node("n3", "True", 9000)]);
        let mut few = deployment("web", 4, 1);
        few["status"]["replicas"] = json!(3);
        fleet.put(Kind::Deployment, [few]);
        fleet.put(Kind::ReplicaSet, [replicaset("rs", "web", 1, "i:1", 90_000, 4)]);
        fleet.put(Kind::Pod, (0..2).map(|n| pod(owned(&format!("w{n}"), Kind::ReplicaSet, "rs"), "n1", false, 900, running())));
        assert!(names(&fleet).iter().any(|(name, ..)| name.starts_with("pay/web ")), "{:?}", names(&fleet));
        // A node that may be as it is explains nothing.
        let mut fleet = Fleet::default();
        let mut known = pleg("n1");
        known["metadata"]["annotations"] =
            json!({"quarterdeck.io/ignore": "node-not-ready,pleg-unhealthy=disk is being replaced until=2026-12-31"});
        fleet.put(Kind::Node, [known, node("n2", "True", 9000), node("n3", "True", 9000)]);
        thirty(&mut fleet, |_, _| "n1", 0);
        assert!(names(&fleet).iter().all(|(name, ..)| name.starts_with("pay/")), "{:?}", names(&fleet));
    }

    fn pending(name: &str, cpu: &str, text: &str) -> Value {
        json!({"metadata": owned(name, Kind::StatefulSet, "s"), "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]},
            "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": text, "lastTransitionTime": ago(400)}]}})
    }

    #[test]
    fn a_full_cluster_explains_pods_without_room_and_no_others() {
        let at = |cpu: &str, text: &str| {
            let mut fleet = Fleet::default();
            let size = |name: &str| {
                let mut n = node(name, "True", 9000);
                n["status"]["allocatable"] = json!({"cpu": "4", "memory": "8Gi"});
                n
            };
            fleet.put(Kind::Node, ["n1", "n2"].map(size));
            let big = |name: &str, node: &str| {
                json!({"metadata": {"name": name}, "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "3"}}}]},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}})
            };
            fleet.put(Kind::Pod, [big("a", "n1"), big("b", "n2"), pending("p", cpu, text)]);
            for kind in [Kind::Node, Kind::Pod] {
                fleet.delta(0, Delta::KindState(kind, crate::model::KindState::Live));
            }
            fleet.wait(600);
            fleet
        };
        let fleet = at("2", "0/2 nodes are available: 2 Insufficient cpu.");
        assert!(names(&fleet).contains(&("cluster-overcommit".to_owned(), 2, 0)), "{:?}", names(&fleet));
        let lines = fleet.lines();
        assert_eq!((lines.len(), lines[0].title.as_str()), (1, "cluster-overcommit"), "what burns is told as what explains it: {lines:?}");
        for (cpu, text) in [
            ("2", "0/2 nodes are available: 2 node(s) had untolerated taint {a: b}."),
            ("9", "0/2 nodes are available: 2 Insufficient cpu."),
        ] {
            let fleet = at(cpu, text);
            assert!(names(&fleet).iter().any(|(name, ..)| name.ends_with("pod-pending")), "{cpu} {text}: {:?}", names(&fleet));
        }
    }

    #[test]
    fn a_webhook_that_is_down_explains_what_it_refused() {
        use crate::model::asked::Hook;
        let mut fleet = Fleet::default();
        let refused = |name: &str, hook: &str| {
            let mut d = deployment(name, 2, 0);
            d["status"]["conditions"] = json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "lastTransitionTime": ago(700),
                "message": format!("Internal error occurred: failed calling webhook \"{hook}\": connection refused")}]);
            d
        };
        fleet.put(Kind::Deployment, [refused("web", "check.example.com"), refused("api", "other.example.com")]);
        let hook = Hook {
            config: "policy".into(),
            name: "check.example.com".into(),
            fail_closed: true,
            service: Some(("sys".into(), "policy".into())),
            ready: Some(0),
            nodes: Box::default(),
            mutating: false,
            matches: "CREATE of pods".into(),
            pods: true,
            system: false,
            own: false,
            timeout: 10,
            trusted: None,
        };
        let asked = crate::model::Asked { hooks: Ok([hook].into()), ..Default::default() };
        fleet.delta(0, Delta::Asked(asked.into()));
        fleet.wait(900);
        let all = names(&fleet);
        assert!(all.contains(&("webhook-fail-closed".to_owned(), 2, 0)), "{all:?}");
        assert!(all.iter().any(|(name, ..)| name.starts_with("pay/api ")), "another hook refused those: {all:?}");
    }

    #[test]
    fn a_location_that_is_gone_explains_its_failed_backups_and_a_crash_what_follows() {
        let mut fleet = Fleet::default();
        let location = |name: &str, phase: &str| {
            json!({"metadata": {"name": name, "creationTimestamp": ago(864_000)}, "spec": {"provider": "aws", "default": name == "default", "objectStorage": {"bucket": "b"}},
            "status": {"phase": phase, "message": "no such host", "lastValidationTime": ago(30), "lastSyncedTime": ago(30)}})
        };
        fleet.put(Kind::StorageLocation, [location("default", "Unavailable"), location("other", "Available")]);
        let mut elsewhere = backup("b2", "Failed", 900);
        elsewhere["spec"]["storageLocation"] = json!("other");
        fleet.put(Kind::Backup, [backup("b1", "Failed", 900), elsewhere]);
        fleet.wait(600);
        let all = names(&fleet);
        assert!(all.iter().any(|(name, n, _)| name.ends_with("default velero-bsl-unavailable") && *n == 2), "{all:?}");
        assert!(all.iter().any(|(name, ..)| name == "backup pay/b2 velero-backup-failed"), "{all:?}");
        let mut fleet = Fleet::default();
        fleet.put(Kind::Deployment, [deployment("web", 1, 0)]);
        fleet.put(Kind::ReplicaSet, [replicaset("rs", "web", 1, "i:1", 90_000, 1)]);
        fleet.put(Kind::Pod, [pod(owned("p", Kind::ReplicaSet, "rs"), "n", false, 850, crashing(9, 137, "OOMKilled", 60))]);
        assert_eq!(names(&fleet)[0].0, "pay/web pod-crashloop");
    }

    #[test]
    fn an_etcd_without_quorum_explains_the_leases_that_lapse() {
        use crate::model::asked::Lease;
        let at = |members: &[(char, i64)]| {
            let mut fleet = Fleet::default();
            crate::inspect::fixture::etcd(&mut fleet, members);
            let lapsed = crate::model::Time::from_secs(fleet.now - 120);
            let name = "kube-controller-manager".into();
            let lease = Lease { name, holder: "node-1_x".into(), duration: 15, lapsed, transitions: 4, changed: 0 };
            fleet.delta(0, Delta::Asked(crate::model::Asked { leases: Ok([lease].into()), ..Default::default() }.into()));
            fleet.wait(600);
            names(&fleet)
        };
        let ill = at(&[('u', 0), ('d', 600), ('d', 600)]);
        assert!(ill.iter().any(|(name, n, _)| name.contains("etcd-quorum-risk") && *n >= 2), "{ill:?}");
        assert!(ill.iter().all(|(name, ..)| name != "controller-leader"), "{ill:?}");
        let well = at(&[('u', 0), ('u', 0), ('u', 0)]);
        assert!(well.iter().any(|(name, ..)| name == "controller-leader"), "{well:?}");
    }

    /// The rules of the probable causes, and how many findings each stands for.
    fn causes(fleet: &Fleet) -> Vec<(&'static str, usize)> {
        let mut all: Vec<_> = incidents(fleet).into_iter().map(|i| (i.line.findings[0].rule, i.line.findings.len())).collect();
        all.sort_unstable();
        all
    }

    /// A fleet where somebody has said that these rules' findings may be.
    fn suppressed(rules: &str) -> Fleet {
        Fleet::configured(&format!("[[suppress]]\nrule = '{rules}'\nreason = 'known'\nuntil = '2026-12-31'\n"))
    }

    #[test]
    fn an_api_of_metrics_that_is_gone_explains_who_reads_it_unless_it_may_be_gone() {
        use crate::model::asked::Api;
        let at = |mut fleet: Fleet, api: &str| {
            let spec = json!({"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d"},
                "metrics": [{"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "30"}}}]});
            let blind =
                json!([{"type": "ScalingActive", "status": "False", "reason": "FailedGetPodsMetric", "lastTransitionTime": ago(900)}]);
            fleet.put(Kind::Hpa, [json!({"metadata": {"name": "h"}, "spec": spec, "status": {"currentReplicas": 2, "conditions": blind}})]);
            let since = crate::model::Time::from_secs(fleet.now - 900);
            let api = Api { name: api.into(), service: None, reason: None, message: None, since };
            fleet.delta(0, Delta::Asked(crate::model::Asked { apis: Ok([api].into()), ..Default::default() }.into()));
            causes(&fleet)
        };
        let (api, hpa) = ("aggregated-api-down", "hpa-metrics-missing");
        assert_eq!(at(Fleet::default(), "v1beta1.custom.metrics.k8s.io"), [(api, 2)]);
        assert_eq!(at(Fleet::default(), "v1beta1.metrics.k8s.io"), [(api, 1), (hpa, 1)], "it reads another");
        assert_eq!(at(suppressed(api), "v1beta1.custom.metrics.k8s.io"), [(hpa, 1)]);
    }

    #[test]
    fn a_cluster_of_which_nothing_answers_explains_its_etcd_unless_it_may_be_away() {
        let at = |mut fleet: Fleet, members: &[(char, i64)]| {
            crate::inspect::fixture::etcd(&mut fleet, members);
            let state = crate::model::ConnectionState::Unreachable { last: None, reason: "dial timeout".into() };
            fleet.delta(0, Delta::State(state));
            fleet.wait(600);
            fleet
        };
        let (cluster, etcd) = ("cluster-unreachable", "etcd-quorum-risk");
        let (none, one) = ([('d', 600); 3], [('u', 0), ('d', 600), ('d', 600)]);
        assert_eq!(causes(&at(Fleet::default(), &none)), [(cluster, 2)]);
        assert_eq!(causes(&at(Fleet::default(), &one)), [(cluster, 1), (etcd, 1)], "one of them answers: the way is not it");
        let known = at(suppressed(cluster), &none);
        assert_eq!(causes(&known), [(etcd, 1)]);
        assert_ne!(incidents(&known)[0].line.title, "API", "it is etcd that is told");
    }
}
