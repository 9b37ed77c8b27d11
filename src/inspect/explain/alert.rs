//! Alerts and silences: what fires and about what, who hides it, until when.

use super::words::{ago, count, joined};
use super::{Look, Parts, Section};
use crate::inspect::{Severity, age, title};
use crate::model::{Alert, AlertState, Kind, Labels, Object, Pod, Silence, SilenceState, Time};

/// Of an alert without annotations and labels.
const SILENT: &str = "it says nothing of itself";

/// A silence that ends within this (seconds) and hides something is worth a look.
const ENDING: i64 = 30 * 60;

fn alerts<'a>(look: &Look<'a>) -> impl Iterator<Item = &'a Alert> {
    look.cluster.objects(Kind::Alert).filter_map(|o| if let Object::Alert(a) = o { Some(&**a) } else { None })
}

fn silence_of<'a>(look: &Look<'a>, id: &str) -> Option<&'a Silence> {
    let of = |o: &'a Object| if let Object::Silence(s) = o { Some(&**s) } else { None };
    look.cluster.objects(Kind::Silence).filter_map(of).find(|s| &*s.meta.name == id)
}

fn tone(a: &Alert) -> Severity {
    match (a.state, a.severity()) {
        (AlertState::Firing, _) if a.critical() => Severity::Critical,
        (AlertState::Firing, Some("none" | "info")) => Severity::Info,
        (AlertState::Firing | AlertState::Down, _) => Severity::Warning,
        _ => Severity::Info,
    }
}

fn moment(look: &Look, at: Option<Time>) -> String {
    at.map_or_else(|| "not known".to_owned(), |t| format!("{} ({})", ago(t, look.now), t.rfc3339()))
}

pub fn alert(look: &Look, a: &Alert) -> Parts {
    let mut why = Section::default();
    why.bad(tone(a), a.state.word(), a.says().unwrap_or(SILENT.into()));
    for (_, text) in a.annotations.iter().filter(|(name, text)| matches!(*name, "description" | "message") && Some(*text) != a.summary()) {
        why.say("", text);
    }
    for id in &a.silenced_by {
        match silence_of(look, id) {
            Some(s) => {
                let until = s.ends.map_or_else(String::new, |t| format!(" until {} ({})", t.rfc3339(), ago(t, look.now)));
                why.bad(Severity::Info, "silenced", format!("by {}{until}: {}", s.creator, s.comment));
            }
            None => why.bad(Severity::Info, "silenced", format!("by silence {id}")),
        }
    }
    for fingerprint in &a.inhibited_by {
        let by = alerts(look).find(|o| o.fingerprint == *fingerprint).map_or_else(|| fingerprint.to_string(), |o| o.meta.name.to_string());
        why.bad(Severity::Info, "inhibited", format!("{by} speaks for it"));
    }
    let mut next = Section::new("next");
    next.say("runbook", a.runbook().unwrap_or("it has none"));
    let mut about = Section::new("about");
    for (kind, namespace, name) in a.about() {
        let text = match look.cluster.named(kind, namespace, name) {
            Some(o) => {
                let top = look.cluster.workload_of(o).meta();
                let above = if top.uid == o.meta().uid { String::new() } else { format!(", of {}", title(&top.namespace, &top.name)) };
                let status = if let Object::Pod(p) = o { format!(": {}", p.status()) } else { String::new() };
                format!("{}{above}{status}", title(&o.meta().namespace, &o.meta().name))
            }
            None if look.cluster.current(kind) => format!("{}, which is not there", title(&namespace.into(), &name.into())),
            None => title(&namespace.into(), &name.into()),
        };
        about.say(kind.name(), text);
    }
    let mut facts = Section::new("alert");
    facts.say("since", moment(look, a.starts));
    facts.say("severity", a.severity().unwrap_or("none is given"));
    facts.say("sent to", joined(a.receivers.iter(), 10));
    facts.say("told last", moment(look, a.updated));
    facts.say("rule", a.generator.as_deref().unwrap_or_default());
    facts.say("fingerprint", &*a.fingerprint);
    let said = match a.state {
        AlertState::Firing => "it fires, and is no more than information",
        AlertState::Pending => "its condition holds, not yet for long enough to fire",
        AlertState::Down => "Prometheus cannot scrape it",
        AlertState::Silenced => "a silence hides it",
        AlertState::Inhibited => "another alert speaks for it",
    };
    (why, said.to_owned(), vec![next, about, facts, pairs("labels", &a.meta.labels), pairs("annotations", &a.annotations)])
}

pub(super) fn pairs(heading: &str, labels: &Labels) -> Section {
    let mut out = Section::new(heading);
    for (name, value) in labels.iter() {
        out.say(name, value);
    }
    out
}

pub fn silence(look: &Look, s: &Silence) -> Parts {
    let mut why = Section::default();
    let hidden: Vec<&Alert> = alerts(look).filter(|a| a.silenced_by.contains(&s.meta.name)).collect();
    let worst = hidden.iter().filter(|a| a.critical()).count();
    let left = s.left(look.now);
    match s.state {
        SilenceState::Active if hidden.is_empty() => {
            why.bad(
                Severity::Info,
                "hides nothing",
                "no alert matches it now: a leftover, a slip in a matcher, or what it is for has not come",
            );
        }
        SilenceState::Active if left.is_some_and(|left| left < ENDING) => {
            why.bad(
                Severity::Warning,
                "ends soon",
                format!("in {}: then {} is heard, {worst} of them critical", age(left.unwrap_or_default()), count(hidden.len(), "alert")),
            );
        }
        SilenceState::Active => {}
        SilenceState::Pending => why.bad(Severity::Info, "pending", format!("it begins {}", moment(look, s.starts))),
        SilenceState::Expired => why.bad(Severity::Info, "expired", format!("it ended {}", moment(look, s.ends))),
    }
    let mut hides = Section::new("hides");
    for a in hidden.iter().take(20) {
        let what =
            a.about().next().map_or_else(String::new, |(kind, ns, name)| format!(": {} {}", kind.name(), title(&ns.into(), &name.into())));
        let since = a.starts.map_or_else(String::new, |t| format!(", since {}", ago(t, look.now)));
        hides.say(a.severity().unwrap_or("-"), format!("{}{what}{since}", a.meta.name));
    }
    if hidden.len() > 20 {
        hides.say("", format!("and {} more", hidden.len() - 20));
    }
    let mut facts = Section::new("silence");
    for m in &s.matchers {
        facts.say("matches", m.to_string());
    }
    facts.say("state", s.state.word());
    facts.say("begins", moment(look, s.starts));
    facts.say("ends", moment(look, s.ends));
    facts.say("by", &*s.creator);
    facts.say("comment", if s.comment.is_empty() { "none" } else { &s.comment });
    facts.say("id", &*s.meta.name);
    let ends = left.map_or_else(String::new, |l| format!(", ends in {}", age(l)));
    (why, format!("it hides {}{ends}", count(hidden.len(), "alert")), vec![hides, facts, pairs("annotations", &s.annotations)])
}

/// The alerts that name an object, or a pod of the workload.
pub fn section(look: &Look, object: &Object) -> Section {
    let mut out = Section::new("alerts");
    let mut found: Vec<&Alert> = alerts(look).filter(|a| names(look, object, a)).collect();
    found.sort_by_key(|a| (a.state, std::cmp::Reverse(a.critical()), a.meta.name.clone()));
    for a in found.iter().take(20) {
        let since = a.starts.map_or_else(String::new, |t| format!(" since {}", ago(t, look.now)));
        out.add(Some(tone(a)), &*a.meta.name, format!("{}{since}: {}", a.state.word(), a.says().unwrap_or(SILENT.into())));
    }
    if found.len() > 20 {
        out.say("", format!("and {} more", found.len() - 20));
    }
    out
}

/// Whether an alert names the object itself as what it is most about, a pod of the workload, or a claim that the pod mounts.
fn names(look: &Look, object: &Object, a: &Alert) -> bool {
    let meta = object.meta();
    let Some((kind, namespace, name)) = a.about().next() else { return false };
    let own = kind == object.kind() && namespace == &*meta.namespace && name == &*meta.name;
    let mounts = |p: &Pod| kind == Kind::Claim && namespace == &*p.meta.namespace && p.claims.iter().any(|c| **c == *name);
    let of_it = |w: &crate::model::Workload| {
        matches!(kind, Kind::Pod | Kind::Claim)
            && namespace == &*w.meta.namespace
            && look.index.pods(look.cluster, w.meta.uid).iter().any(|p| kind == Kind::Pod && &*p.meta.name == name || mounts(p))
    };
    let node = |n: &crate::model::Node| a.about().any(|(kind, _, name)| kind == Kind::Node && name == &*n.meta.name);
    own || match object {
        Object::Workload(w) => of_it(w),
        Object::Pod(p) => mounts(p),
        Object::Node(n) => node(n),
        _ => false,
    }
}
