//! Signals: what is measured, how it went, from when on it is bad, and what it is about.

use super::words::joined;
use super::{Look, Parts, Section};
use crate::inspect::{Severity, title};
use crate::model::{Signal, SignalState};

pub fn explain(look: &Look, s: &Signal) -> Parts {
    let mut why = Section::default();
    let text = |v: Option<f64>| v.map_or_else(|| "none".to_owned(), |v| s.measure.text(v));
    let (value, of) = (text(s.value), s.of_what());
    let what = if of.is_empty() { s.title.to_string() } else { format!("{} of {of}", s.title) };
    match s.state {
        SignalState::Critical => why.bad(Severity::Critical, "critical", format!("{what} is {value}: bad from {} on", text(s.critical))),
        SignalState::Warning => {
            why.bad(Severity::Warning, "warning", format!("{what} is {value}: worth a look from {} on", text(s.warning)))
        }
        SignalState::Failing => {
            why.bad(Severity::Warning, "failing", format!("the query was refused: {}", s.why.as_deref().unwrap_or("no reason given")))
        }
        SignalState::NoData => why.bad(
            Severity::Info,
            "no data",
            format!("{}: it is not scraped here, or nothing makes it", s.why.as_deref().unwrap_or("its metric is not there")),
        ),
        SignalState::Ok | SignalState::Nothing => {}
    }
    let mut facts = Section::new("signal");
    facts.say("value", &*value);
    facts.say("warning", text(s.warning));
    facts.say("critical", text(s.critical));
    if s.course.len() > 1 {
        let (least, most) = s.course.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
        facts.say(
            "last half hour",
            format!("from {} to {}: {}", text(Some(least)), text(Some(most)), joined(s.course.iter().map(|v| s.measure.text(*v)), 30)),
        );
    }
    facts.say("query", &*s.meta.name);
    facts.say("area", &*s.area);
    let mut about = Section::new("about");
    for (kind, namespace, name) in s.about() {
        let there = look.cluster.named(kind, namespace, name).is_some();
        let gone = if !there && look.cluster.current(kind) { ", which is not there" } else { "" };
        about.say(kind.name(), format!("{}{gone}", title(&namespace.into(), &name.into())));
    }
    let healthy = match s.state {
        SignalState::Nothing => format!("there is nothing of the kind: {}", s.title),
        _ => format!("{what} is {value}"),
    };
    (why, healthy, vec![about, facts, super::alert::pairs("labels", &s.meta.labels)])
}
