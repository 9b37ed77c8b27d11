//! Why one object is as it is, in words: worst first, then the facts.
//!
//! Pure: reads the store's rows and the engine's findings. The detail screen and `qd describe` show the same sections.
//! Leaves YAML to `doc` and drawing to `view`.

mod alert;
mod before;
mod claim;
mod etcd;
mod events;
mod finding;
mod network;
mod node;
mod pod;
mod scale;
mod signal;
mod velero;
pub(super) mod words;
mod workload;

use super::{Engine, Finding, Index, Rules, Severity};
use crate::model::{Condition, Kind, Meta, MovedData, Object, Tri, Uid};
use crate::store::{Cluster, Jobs, Store};
use words::{ago, joined};

/// Lines under one heading.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Section {
    pub title: String,
    /// The worst of its lines; none when they are plain facts.
    pub tone: Option<Severity>,
    pub lines: Vec<ExplainLine>,
}

/// One statement. The text is one line, as long as it has to be.
#[derive(Clone, PartialEq, Debug)]
pub struct ExplainLine {
    /// What it is about; empty when it goes on from the line above.
    pub label: String,
    pub text: String,
    pub tone: Option<Severity>,
}

impl Section {
    fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }
    /// A fact.
    fn say(&mut self, label: impl Into<String>, text: impl Into<String>) {
        self.add(None, label, text);
    }
    /// What is not as it should be.
    fn bad(&mut self, tone: Severity, label: impl Into<String>, text: impl Into<String>) {
        self.add(Some(tone), label, text);
    }
    fn add(&mut self, tone: Option<Severity>, label: impl Into<String>, text: impl Into<String>) {
        let text = text.into().split_whitespace().collect::<Vec<_>>().join(" ");
        if text.is_empty() {
            return;
        }
        self.tone = self.tone.max(tone);
        self.lines.push(ExplainLine { label: label.into(), text, tone });
    }
    /// Whether somebody should look.
    fn wrong(&self) -> bool {
        self.tone >= Some(Severity::Warning)
    }
}

/// What an explanation may look at.
struct Look<'a> {
    rules: &'a Rules,
    /// What was done from here.
    jobs: &'a Jobs,
    cluster: &'a Cluster,
    index: &'a Index,
    now: i64,
}

/// Adds to what is told of a backup what it has moved of the data of volumes, which the store does not have.
pub fn with_moved(sections: &mut [Section], moved: Option<&MovedData>) {
    if let (Some(moved), Some(facts)) = (moved, sections.iter_mut().find(|s| s.title == velero::BACKUP)) {
        facts.say("data", velero::data(moved));
    }
}

/// Why an object of the cluster is as it is. The first section is `why` when something is wrong, else `healthy` with one line.
pub fn explain(engine: &Engine, store: &Store, cluster: &Cluster, object: &Object, now: i64) -> Vec<Section> {
    let none = Index::default();
    let index = engine.room(cluster.id).map_or(&none, |r| &r.index);
    let look = Look { rules: engine.rules(), jobs: &store.jobs, cluster, index, now };
    let mut all = Vec::new();
    let (mut why, healthy, mut facts) = match object {
        Object::Pod(p) => pod::explain(&look, object, p),
        Object::Workload(w) => workload::explain(&look, object, w),
        Object::Node(n) => node::explain(&look, n),
        Object::Hpa(h) => scale::hpa(&look, h),
        Object::Pdb(p) => scale::pdb(&look, object, p),
        Object::Claim(c) => claim::explain(&look, object, c),
        Object::Svc(s) => network::service(&look, object, s),
        Object::Ingress(i) => network::ingress(&look, object, i),
        Object::Backup(b) => velero::backup(&look, object, b),
        Object::Restore(r) => velero::restore(&look, object, r),
        Object::Schedule(s) => velero::schedule(&look, object, s),
        Object::StorageLocation(l) => velero::storage(&look, object, l),
        Object::EtcdMember(m) => etcd::explain(&look, m),
        Object::Alert(a) => alert::alert(&look, a),
        Object::Silence(s) => alert::silence(&look, s),
        Object::Signal(s) => signal::explain(&look, s),
        Object::Finding(f) => finding::explain(&look, f),
        _ => plain(&look, object),
    };
    why.title = "why".to_owned();
    deleting(&look, object.meta(), &mut why);
    // Worst first; what goes on from a line stays below it.
    let mut groups: Vec<(Option<Severity>, Vec<ExplainLine>)> = Vec::new();
    for line in why.lines.drain(..) {
        match groups.last_mut().filter(|_| line.label.is_empty()) {
            Some((tone, group)) => {
                *tone = (*tone).max(line.tone);
                group.push(line);
            }
            None => groups.push((line.tone, vec![line])),
        }
    }
    groups.sort_by_key(|(tone, _)| std::cmp::Reverse(*tone));
    why.lines = groups.into_iter().flat_map(|(_, group)| group).collect();
    let findings = findings(engine.for_object(cluster.id, object.meta().uid), now);
    let alerts = if object.kind().watched() { alert::section(&look, object) } else { Section::default() };
    if !why.wrong() && !findings.wrong() && !alerts.wrong() {
        let mut ok = Section::new("healthy");
        ok.say("", healthy);
        all.push(ok);
        why.title = "worth knowing".to_owned();
    }
    all.push(why);
    // What changed last explains more than what rules say of it.
    let at = facts.iter().position(|s| s.title == "events").unwrap_or(0);
    facts.insert(at, findings);
    facts.insert(at, alerts);
    all.extend(facts);
    all.retain(|s| !s.lines.is_empty());
    all
}

/// Whether a changed row of the same cluster may change what is said of `object`.
pub fn concerns(cluster: &Cluster, object: &Object, row: &Object) -> bool {
    let (meta, other) = (object.meta(), row.meta());
    if meta.uid == other.uid {
        return true;
    }
    let owns =
        |owner: Uid, o: &Object| o.meta().owner.as_deref().is_some_and(|x| x.uid == owner) || cluster.workload_of(o).meta().uid == owner;
    match (object, row) {
        (_, Object::Event(e)) => {
            let near = *e.about.namespace == *meta.namespace && e.about.name.starts_with(&*meta.name);
            e.about.uid == meta.uid || near || (meta.namespace.is_empty() && *e.about.name == *meta.name)
        }
        (Object::Node(n), Object::Pod(p)) => p.node.as_ref() == Some(&n.meta.name),
        (Object::Pod(p), Object::Node(n)) => p.node.as_ref() == Some(&n.meta.name),
        (Object::Pod(_), Object::Workload(_)) => owns(other.uid, object),
        (Object::Workload(w), Object::Pod(_) | Object::Workload(_)) => owns(w.meta.uid, row),
        (Object::Pdb(b), Object::Pod(p)) => {
            b.meta.namespace == p.meta.namespace && b.selector.as_ref().is_some_and(|s| s.matches(&p.meta.labels))
        }
        (Object::Claim(c), Object::Pod(p)) => c.meta.namespace == p.meta.namespace && p.claims.contains(&c.meta.name),
        (Object::Svc(s), Object::Workload(w)) => s.meta.namespace == w.meta.namespace && s.takes(&w.pod_labels),
        (Object::Svc(s), Object::Ingress(i)) => {
            s.meta.namespace == i.meta.namespace && i.backends().iter().any(|b| b.service == s.meta.name)
        }
        (Object::Ingress(i), Object::Svc(s)) => {
            s.meta.namespace == i.meta.namespace && i.backends().iter().any(|b| b.service == s.meta.name)
        }
        (Object::Ingress(i), Object::Ingress(o)) => i.hosts.iter().any(|h| o.hosts.contains(h)),
        (Object::Hpa(h), Object::Workload(w)) => h.meta.namespace == w.meta.namespace && h.target_name == w.meta.name,
        (Object::Backup(b), Object::Restore(r)) => r.backup.as_deref() == Some(&*b.meta.name),
        (Object::Schedule(s), Object::Backup(b)) => b.schedule.as_deref() == Some(&*s.meta.name),
        (Object::Restore(r), Object::Backup(b)) => r.backup.as_deref() == Some(&*b.meta.name),
        (Object::Backup(b), Object::StorageLocation(l)) => b.selection.location == l.meta.name,
        (Object::Schedule(s), Object::StorageLocation(l)) => s.selection.location == l.meta.name,
        (Object::StorageLocation(l), Object::Backup(b)) => b.selection.location == l.meta.name,
        (Object::EtcdMember(_), Object::EtcdMember(_)) => true,
        (Object::Finding(f), _) if f.about.as_ref().is_some_and(|o| o.uid == other.uid) => true,
        (Object::Finding(f), Object::Finding(o)) => f.meta.namespace == o.meta.namespace || f.cause.is_some() && f.cause == o.cause,
        (Object::Alert(a), Object::Silence(s)) => a.silenced_by.contains(&s.meta.name),
        (Object::Silence(s), Object::Alert(a)) => a.silenced_by.contains(&s.meta.name),
        (Object::Alert(a), Object::Alert(by)) => a.inhibited_by.contains(&by.fingerprint),
        (Object::Alert(a), _) => a.about().any(|(kind, ns, name)| kind == row.kind() && *ns == *other.namespace && *name == *other.name),
        // A workload's are those of its pods.
        (_, Object::Alert(a)) => {
            *a.meta.namespace == *meta.namespace || a.about().any(|(kind, _, name)| kind == object.kind() && *name == *meta.name)
        }
        (_, Object::Hpa(_) | Object::Pdb(_)) => meta.namespace == other.namespace,
        _ => false,
    }
}

/// What the rules found at it, and what they advise. Their evidence is in the other sections.
fn findings(found: &[Finding], now: i64) -> Section {
    let mut out = Section::new("findings");
    let mut found: Vec<&Finding> = found.iter().collect();
    found.sort_by_key(|f| std::cmp::Reverse(f.severity));
    for f in found {
        let since = f.since.map_or_else(String::new, |t| format!(" (since {})", ago(t, now)));
        out.bad(f.severity, f.rule.id, format!("{}{since}", f.message));
        if !f.next_step.is_empty() {
            out.say("", format!("next: {}", f.next_step));
        }
    }
    out
}

/// Deletion that was asked for, and what holds it up.
fn deleting(look: &Look, meta: &Meta, why: &mut Section) {
    let Some(until) = meta.deleting else { return };
    let late = look.now - until.secs();
    if late > 60 {
        why.bad(Severity::Critical, "terminating", format!("was to be gone {}", ago(until, look.now)));
    } else {
        why.bad(Severity::Info, "terminating", "deletion was asked for");
    }
    if !meta.finalizers.is_empty() {
        let tone = if late > 60 { Severity::Critical } else { Severity::Info };
        why.bad(
            tone,
            "",
            format!("waits for finalizers {}: each is taken away by the controller that set it", joined(meta.finalizers.iter(), 6)),
        );
    }
}

/// Conditions of which `good` says that they are as they should be are left out.
fn conditions(look: &Look, all: &[Condition], good: impl Fn(&Condition) -> bool, tone: Severity, out: &mut Section) {
    for c in all.iter().filter(|c| !good(c)) {
        let since = c.since.map_or_else(String::new, |t| format!(" since {}", ago(t, look.now)));
        let reason = c.reason.as_deref().map_or_else(String::new, |r| format!(": {r}"));
        let message = c.message.as_deref().filter(|m| !m.is_empty()).map_or_else(String::new, |m| format!(": {m}"));
        out.bad(tone, &*c.kind, format!("{}{since}{reason}{message}", c.status.as_str()));
    }
}

/// Why, what to say when all is well, and the facts.
type Parts = (Section, String, Vec<Section>);

fn plain(look: &Look, object: &Object) -> Parts {
    let mut why = Section::default();
    let mut facts = Section::new("facts");
    let meta = object.meta();
    match object {
        Object::Namespace(n) => {
            if &*n.phase == "Terminating" {
                why.bad(Severity::Warning, "terminating", "everything in it is being deleted");
                conditions(look, &n.conditions, |c| c.status == Tri::False, Severity::Warning, &mut why);
            }
            let pods: Vec<_> = look.cluster.objects(Kind::Pod).filter(|p| p.meta().namespace == meta.name).collect();
            let bad = pods.iter().filter(|p| matches!(p, Object::Pod(p) if p.bad())).count();
            facts.say("pods", format!("{}, {bad} of them not as they should be", pods.len()));
            let workloads = Kind::WORKLOADS
                .iter()
                .flat_map(|k| look.cluster.objects(*k))
                .filter(|w| w.meta().namespace == meta.name && w.meta().owner.is_none())
                .count();
            facts.say("workloads", workloads.to_string());
        }
        Object::Event(e) => {
            let tone = if e.warning { Severity::Warning } else { Severity::Info };
            why.bad(tone, &*e.reason, &*e.message);
            let place = if e.about.namespace.is_empty() { String::new() } else { format!("{}/", e.about.namespace) };
            facts.say("about", format!("{} {place}{}", e.about.kind, e.about.name));
            facts.say("source", &*e.source);
            facts.say("count", e.count.to_string());
            facts.say("first", e.first.map_or_else(|| "-".to_owned(), |t| ago(t, look.now)));
            facts.say("last", e.last.map_or_else(|| "-".to_owned(), |t| ago(t, look.now)));
        }
        _ => {}
    }
    created(look, meta, &mut facts);
    let healthy = match object {
        Object::Namespace(n) => format!("{}, nothing holds it up", n.phase),
        Object::Event(_) => "a normal event".to_owned(),
        _ => "as it should be".to_owned(),
    };
    (why, healthy, vec![events::section(look, object, &[]), facts])
}

fn created(look: &Look, meta: &Meta, facts: &mut Section) {
    if let Some(t) = meta.created {
        facts.say("created", format!("{} ({})", ago(t, look.now), t.rfc3339()));
    }
}

#[cfg(test)]
mod tests;
