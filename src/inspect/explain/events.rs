//! Events of an object and, for what makes pods, of what it made: grouped, newest first.

use super::words::{ago, count};
use super::{Look, Section};
use crate::inspect::Severity;
use crate::model::{Event, Kind, Object, Str, Time, Uid};
use std::collections::{BTreeMap, BTreeSet};

/// Groups that are listed.
const MOST: usize = 12;

/// Whether an event is about an object. Kubelets name a node by its name where the uid should be.
fn about(e: &Event, object: &Object) -> bool {
    let meta = object.meta();
    e.about.uid == meta.uid || (object.kind() == Kind::Node && e.about.known_kind() == Some(Kind::Node) && e.about.name == meta.name)
}

/// The events about one object, newest first.
pub fn of<'a>(look: &Look<'a>, object: &Object) -> Vec<&'a Event> {
    let mut all: Vec<&Event> = look
        .cluster
        .objects(Kind::Event)
        .filter_map(|o| if let Object::Event(e) = o { Some(&**e) } else { None })
        .filter(|e| about(e, object))
        .collect();
    all.sort_by_key(|e| std::cmp::Reverse(e.last));
    all
}

#[derive(Default)]
struct Group<'a> {
    newest: Option<&'a Event>,
    last: Option<Time>,
    count: u64,
    objects: BTreeSet<Uid>,
}

/// The events about `object` and about what is `below` it.
pub fn section(look: &Look, object: &Object, below: &[&Object]) -> Section {
    let mut out = Section::new("events");
    if object.kind() == Kind::Event {
        return out;
    }
    let below: BTreeSet<Uid> = below.iter().map(|o| o.meta().uid).collect();
    // An object's own events by what they say; those below by reason, for hundreds of pods say the same with other names.
    let mut groups: BTreeMap<(bool, Str, Str, Str), Group> = BTreeMap::new();
    for o in look.cluster.objects(Kind::Event) {
        let Object::Event(e) = o else { continue };
        let e: &Event = e;
        let own = about(e, object);
        if !own && !below.contains(&e.about.uid) {
            continue;
        }
        let key = (own, e.about.kind.clone(), e.reason.clone(), if own { e.message.clone() } else { Str::default() });
        let group = groups.entry(key).or_default();
        if group.newest.is_none() || e.last > group.last {
            (group.newest, group.last) = (Some(e), e.last);
        }
        group.count += u64::from(e.count);
        group.objects.insert(e.about.uid);
    }
    let mut groups: Vec<((bool, Str, Str, Str), Group)> = groups.into_iter().collect();
    groups.sort_by_key(|(_, g)| std::cmp::Reverse(g.last));
    let more = groups.len().saturating_sub(MOST);
    for ((own, kind, ..), group) in groups.into_iter().take(MOST) {
        let Some(e) = group.newest else { continue };
        let times = if group.count > 1 { format!(" x{}", group.count) } else { String::new() };
        let label = format!("{}{times}", group.last.map_or_else(|| "-".to_owned(), |t| ago(t, look.now)));
        let place = match (own, group.objects.len()) {
            (true, _) => String::new(),
            (false, 1) => format!(" ({} {})", kind.to_lowercase(), e.about.name),
            (false, n) => format!(" ({}, newest {})", count(n, &kind.to_lowercase()), e.about.name),
        };
        let text = format!("{}: {}{place}", e.reason, e.message);
        if e.warning { out.bad(Severity::Warning, label, text) } else { out.say(label, text) }
    }
    if more > 0 {
        out.say("", format!("and {more} older kinds of events"));
    }
    if look.cluster.table(Kind::Event).is_empty() && !look.cluster.current(Kind::Event) {
        out.say("", "this cluster's events are not known");
    }
    out
}
