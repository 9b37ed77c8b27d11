//! What rules over Prometheus' measurements share: a limit of the query that is passed for a while.

use crate::inspect::{Finding, Judge, Severity, Threshold, Verdict};
use crate::model::{Kind, Object, ObjectRef, Signal, SignalState};

/// What a rule words.
pub(in crate::inspect) struct Over {
    pub title: String,
    pub value: String,
    /// Which one of its kind: `pay/checkout-1 app`, `GET`; empty where there is one.
    pub of: String,
}

/// A signal of one of these queries that is over a limit for so long. The finding is the signal's, and about the object that its labels
/// name, where that is there.
pub(super) fn over(judge: &Judge<'_>, queries: &[&str], after: &Threshold, words: impl Fn(Over) -> String, next: &str) -> Verdict {
    over_for(judge, queries, judge.value(after), words, next)
}

/// The same for so many seconds.
pub(in crate::inspect) fn over_for(judge: &Judge<'_>, queries: &[&str], hold: i64, words: impl Fn(Over) -> String, next: &str) -> Verdict {
    let Some(Object::Signal(signal)) = judge.object else { return Verdict::Fine };
    let severity = match signal.state {
        SignalState::Critical => Severity::Critical,
        SignalState::Warning => Severity::Warning,
        _ => return Verdict::Fine,
    };
    if !queries.contains(&&*signal.meta.name) {
        return Verdict::Fine;
    }
    let held = if hold == 0 { Ok(()) } else { judge.held_since_seen(hold) };
    super::after(held, || finding(judge, signal, severity, &words).then(next))
}

fn finding(judge: &Judge<'_>, signal: &Signal, severity: Severity, words: impl Fn(Over) -> String) -> Finding {
    let text = |v: Option<f64>| v.map_or_else(|| "none".to_owned(), |v| signal.measure.text(v));
    let (value, of) = (text(signal.value), signal.of_what());
    let message = words(Over { title: signal.title.to_string(), value: value.clone(), of: of.clone() });
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ").replace(" :", ":");
    let mut finding = judge.finding(severity, None, message).with(&signal.title, value, None);
    finding.about = about(judge, signal);
    let limits = format!("{} / {}", text(signal.warning), text(signal.critical));
    let course = signal.course.iter().rev().take(6).rev().map(|v| signal.measure.text(*v)).collect::<Vec<_>>().join(", ");
    finding.with("warning / critical from", limits, None).with("of", of, None).with("the last minutes", course, None)
}

/// The most particular object that its labels name and that is there.
fn about(judge: &Judge<'_>, signal: &Signal) -> Option<ObjectRef> {
    let there = |(kind, namespace, name): (Kind, &str, &str)| judge.cluster.named(kind, namespace, name);
    signal.about().filter(|(kind, ..)| *kind != Kind::Namespace).find_map(there).map(|o| o.reference(judge.cluster.id))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::inspect::RuleInfo;
    use crate::inspect::fixture::{Fleet, told};
    use crate::model::{Query, Service, ServiceState};

    /// A rule over queries: silent below the warning and before its time, a warning from then on, critical from the second limit on.
    pub fn holds(rule: &'static RuleInfo, queries: &[&str], after: i64) {
        let shipped = crate::config::Config::default().queries;
        for name in queries {
            let query: &Query = shipped.iter().find(|q| *q.name == **name).unwrap_or_else(|| panic!("no query {name}"));
            let labels = crate::model::signal::tests::labels(&[("namespace", "pay"), ("pod", "none-such"), ("verb", "GET")]);
            let at = |value: f64, wait: i64| {
                let mut fleet = Fleet::default();
                let signal = Signal::of(query, labels.clone(), value, [value].into());
                let uid = signal.meta.uid;
                told(&mut fleet, Service::Prometheus, ServiceState::Live, vec![Object::Signal(signal.into())]);
                fleet.wait(wait);
                fleet.engine.for_object(crate::model::ClusterId(0), uid).iter().find(|f| f.rule == rule).map(|f| f.severity)
            };
            let warning = query.warning.unwrap_or_else(|| panic!("{name} has no warning"));
            assert_eq!(at(warning * 0.99, after), None, "{name} below its limit");
            assert_eq!(at(warning, after - 1), None, "{name} before its time");
            assert_eq!(at(warning, after), Some(Severity::Warning), "{name}");
            if let Some(critical) = query.critical {
                assert_eq!(at(critical * 0.99, after), Some(Severity::Warning), "{name}");
                assert_eq!(at(critical, after), Some(Severity::Critical), "{name}");
            }
        }
    }
}
