//! A finding: what is wrong, why that matters, what it rests on, what else is wrong there, and what mends it.

use super::words::ago;
use super::{Look, Parts, Section, events};
use crate::inspect::title;
use crate::model::{FindingRow, FindingState, Kind, Object, Remedy};
use crate::store::Cluster;

/// The object that a finding is attached to, while it is there.
pub(super) fn object<'a>(cluster: &'a Cluster, f: &FindingRow) -> Option<&'a Object> {
    let about = f.about.as_ref()?;
    let table = cluster.table(about.kind);
    table.slot_of(about.uid).and_then(|slot| table.get(slot)).or_else(|| cluster.named(about.kind, &about.namespace, &about.name))
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
    life.say("area", &*f.area);
    life.say("since", f.since.map_or_else(|| "its object has no time for it".to_owned(), |t| ago(t, look.now)));
    life.say("first seen", f.meta.created.map_or_else(|| "-".to_owned(), |t| ago(t, look.now)));
    if f.begun > 1 {
        life.say("began", format!("{} times within the last hour", f.begun));
    }
    if let Some(at) = f.resolved {
        life.say("resolved", ago(at, look.now));
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
    for link in look.rules.links(&f.meta.name) {
        fix.say("read", link.as_str());
    }
    let mut about = Section::new("object");
    let mut all = vec![fix, evidence];
    match (&f.about, object(look.cluster, f)) {
        (None, _) => about.say("cluster", &*look.cluster.info.name),
        (Some(o), None) => about.say(o.kind.name(), format!("{}, which is gone", title(&o.namespace, &o.name))),
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
    let rows = look.cluster.objects(Kind::Finding).filter_map(|o| if let Object::Finding(f) = o { Some(&**f) } else { None });
    let mut found: Vec<&FindingRow> = rows.filter(beside).collect();
    found.sort_by_key(|o| (std::cmp::Reverse(o.severity), o.meta.name.clone()));
    for o in found.iter().take(10) {
        let place = o.about.as_ref().filter(|a| Some(*a) != f.about.as_ref()).map_or_else(String::new, |a| format!("{}: ", a.name));
        others.add(Some(o.severity), &*o.meta.name, format!("{place}{}", o.message));
    }
    all.extend([about, others, life]);
    (why, format!("{}: {}", f.state.word(), f.message), all)
}
