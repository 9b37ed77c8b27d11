//! A finding: what is wrong, why that matters, what it rests on, what else is wrong there, and what mends it.

use super::words::ago;
use super::{Look, Parts, Section, before, events};
use crate::inspect::title;
use crate::model::{FindingRow, FindingState, Kind, Object, Remedy};
use crate::store::Cluster;

/// Findings that are named under their cause.
const NAMED: usize = 10;
/// Pages to read that are named.
const READ: usize = 2;

/// The object that a finding is attached to, while it is there.
pub(super) fn object<'a>(cluster: &'a Cluster, f: &FindingRow) -> Option<&'a Object> {
    let about = f.about.as_ref()?;
    let table = cluster.table(about.kind);
    table.slot_of(about.uid).and_then(|slot| table.get(slot)).or_else(|| cluster.named(about.kind, &about.namespace, &about.name))
}

fn rows<'a>(look: &Look<'a>) -> impl Iterator<Item = &'a FindingRow> {
    look.cluster.objects(Kind::Finding).filter_map(|o| if let Object::Finding(f) = o { Some(&**f) } else { None })
}

/// What explains it, or what it explains.
fn cause(look: &Look, f: &FindingRow, why: &mut Section) {
    let Some(cause) = &f.cause else { return };
    if let Some(explains) = f.explains.as_ref().map(|e| e.words()).filter(|w| !w.is_empty()) {
        why.say("explains", explains);
    } else if f.explains.is_none() {
        let by = rows(look).find(|o| o.cause.as_ref() == Some(cause) && o.explains.is_some());
        let says = by.and_then(|by| by.explains.as_ref()).map_or_else(String::new, |e| format!(": {}", e.says));
        why.say("cause", format!("{cause}{says}"));
    }
}

/// The findings that it explains, the worst first.
fn explained(look: &Look, f: &FindingRow) -> Section {
    let mut out = Section::new("explains");
    if f.explains.is_none() {
        return out;
    }
    let of = |o: &&FindingRow| o.cause == f.cause && o.meta.uid != f.meta.uid && o.open();
    let mut all: Vec<&FindingRow> = rows(look).filter(of).collect();
    all.sort_by_key(|o| (std::cmp::Reverse(o.severity), o.meta.name.clone(), o.about.as_ref().map(|a| a.name.clone())));
    for o in all.iter().take(NAMED) {
        let place = o.about.as_ref().map_or_else(String::new, |a| format!("{}: ", title(&a.namespace, &a.name)));
        out.add(Some(o.severity), &*o.meta.name, format!("{place}{}", o.message));
    }
    if all.len() > NAMED {
        out.say("", format!("and {} more: group the findings by cause to have them all", all.len() - NAMED));
    }
    out
}

pub(super) fn explain(look: &Look, f: &FindingRow) -> Parts {
    let rule = look.rules.find(&f.meta.name);
    let mut why = Section::default();
    let open = matches!(f.state, FindingState::Open | FindingState::Flapping);
    if open {
        why.bad(f.severity, f.severity.word(), &*f.message);
    } else {
        why.say(f.state.word(), &*f.message);
    }
    if let Some(rule) = rule {
        why.add(open.then_some(f.severity), "matters", rule.why);
    }
    if let Some(reason) = &f.suppressed {
        why.say("suppressed", &**reason);
    }
    cause(look, f, &mut why);
    let mut evidence = Section::new("evidence");
    for e in f.evidence.iter().filter(|e| !e.value.is_empty()) {
        let at = e.at.map_or_else(String::new, |t| format!(" ({})", ago(t, look.now)));
        evidence.say(e.what.as_str(), format!("{}{at}", e.value));
    }
    let mut life = Section::new("finding");
    life.say("rule", &*f.meta.name);
    if let Some(rule) = rule {
        life.say("finds", rule.summary);
    }
    if look.cluster.info.reported() && &*f.meta.name != "cluster-unreachable" {
        if rule.is_none() {
            life.say("finds", "a rule that this qd does not have, and the inspection inside the cluster does");
        }
        let at = look.cluster.reports.reports.as_ref().and_then(|r| r.at).map_or_else(|| "-".to_owned(), |t| ago(t, look.now));
        let amiss = look.cluster.reports_amiss(look.now).map_or_else(String::new, |(_, words)| format!("; {words}"));
        life.say("inspected", format!("{at}, inside the cluster{amiss}"));
    }
    life.say("area", &*f.area);
    life.say("since", f.since.map_or_else(|| "its object has no time for it".to_owned(), |t| ago(t, look.now)));
    life.say("first seen", f.meta.created.map_or_else(|| "-".to_owned(), |t| ago(t, look.now)));
    if f.begun > 1 {
        life.say("began", format!("{} times within the last hour", f.begun));
    }
    if let Some(at) = f.resolved {
        life.say("resolved", ago(at, look.now));
    }
    for link in rule.iter().flat_map(|r| r.links).take(READ) {
        life.say("read", *link);
    }
    let mut fix = Section::new("fix");
    match &f.remedy {
        Some(remedy @ Remedy::Act { .. }) => fix.say("F", format!("{}: its preview comes first", remedy.words())),
        Some(remedy @ Remedy::Edit(_)) => fix.say("F", remedy.words()),
        None => fix.say("by hand", &*f.next_step),
    }
    if f.remedy.is_some() {
        fix.say("next", &*f.next_step);
    }
    let mut about = Section::new("object");
    let found = object(look.cluster, f);
    let mut all = vec![fix, evidence, before::section(look, f, found), explained(look, f)];
    match (&f.about, found) {
        (None, _) => about.say("cluster", &*look.cluster.info.name),
        (Some(o), None) => {
            let why = if look.cluster.info.reported() { "not seen here" } else { "gone" };
            about.say(o.kind.name(), format!("{}, which is {why}", title(&o.namespace, &o.name)));
        }
        (Some(o), Some(object)) => {
            about.say(o.kind.name(), title(&o.namespace, &o.name));
            let top = look.cluster.workload_of(object);
            if top.meta().uid != object.meta().uid {
                about.say(top.kind().name(), title(&top.meta().namespace, &top.meta().name));
            }
            if let Object::Pod(p) = object {
                about.say("node", p.node.as_deref().unwrap_or("none yet"));
            }
            all.push(events::section(look, object, &[]));
        }
    }
    let mut others = Section::new("also found there");
    let beside = |o: &&FindingRow| {
        let same = |a: &Option<crate::model::ObjectRef>| a.is_some() && *a == f.about;
        let top = f.top.is_some() && o.top == f.top && o.meta.namespace == f.meta.namespace;
        o.meta.uid != f.meta.uid && o.state != FindingState::Resolved && (same(&o.about) || top)
    };
    let mut found: Vec<&FindingRow> = rows(look).filter(beside).collect();
    found.sort_by_key(|o| (std::cmp::Reverse(o.severity), o.meta.name.clone()));
    for o in found.iter().take(10) {
        let place = o.about.as_ref().filter(|a| Some(*a) != f.about.as_ref()).map_or_else(String::new, |a| format!("{}: ", a.name));
        others.add(Some(o.severity), &*o.meta.name, format!("{place}{}", o.message));
    }
    all.extend([about, others, life]);
    (why, format!("{}: {}", f.state.word(), f.message), all)
}
