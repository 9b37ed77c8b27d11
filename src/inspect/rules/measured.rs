//! The constructor of rules over Prometheus' measurements: such a rule is its facts, and its cases.
//!
//! Each series of its queries is judged by itself: its level, which the query's own limits give unless the rule has another one, must last for the
//! threshold `after`. The finding is the signal's, and about the object that its labels name, where that is there.

use crate::inspect::{Evidence, Finding, Judge, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{ContainerSpec, Hpa, Kind, Measure, Node, Object, ObjectRef, Signal, SignalState, Workload};

/// The facts of a rule over queries.
pub(super) struct Measured {
    /// Of what it is, all but how it judges: [`Measured::rule`] adds that. `after` is among its thresholds, and is how long it must be so; its kinds are
    /// more than signals where it says something without measurements too.
    pub info: RuleInfo,
    /// The queries whose series it judges. The limits are the queries' own: `[[query]]` sets them.
    pub queries: &'static [&'static str],
    /// It is looked at again after so many seconds although the series is the same: what it rests on changes without it. Then it is so at once.
    pub again: Option<i64>,
    /// How bad one series is; none: it is as it should be.
    pub level: fn(&Seen<'_>) -> Option<Severity>,
    /// The message, without the name of the object.
    pub says: fn(&Seen<'_>) -> String,
    pub next: &'static str,
    /// Adds evidence and what a key can do.
    pub more: fn(&Seen<'_>, Finding) -> Finding,
}

/// What they are unless they say otherwise.
pub(super) const BASE: RuleInfo = RuleInfo {
    id: "",
    area: "",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "",
    summary: "",
    why: "",
    kinds: &[Kind::Signal],
    needs: &[],
    leans_on: &[],
    thresholds: &[after("5m")],
    peers: &[],
    links: &[],
    judge: |_| Verdict::Fine,
};

/// What they do unless they say otherwise.
pub(super) const USUAL: Measured = Measured {
    info: BASE,
    queries: &[],
    again: None,
    level: |seen| seen.limits(),
    says: |seen| format!("{}: {}", seen.signal.title, seen.value()),
    next: "",
    more: |_, finding| finding,
};

/// How long it must be so.
pub(super) const fn after(default: &'static str) -> Threshold {
    Threshold { name: "after", default, doc: "how long it must be so" }
}

/// The case of a rule that goes by its queries' limits alone: it fires at each of them after so many seconds, and neither below nor before.
macro_rules! held {
    ($after:expr) => {
        #[cfg(test)]
        mod tests {
            #[test]
            fn at_its_limits_after_its_time() {
                super::super::measured::tests::holds(&super::RULE, &super::FACTS, $after);
            }
        }
    };
}
pub(super) use held;

impl Measured {
    /// The rule; `judge` is [`Measured::judge`] of the same facts, and what it judges besides.
    pub const fn rule(&self, judge: fn(&Judge<'_>) -> Verdict) -> RuleInfo {
        RuleInfo { judge, ..self.info }
    }

    /// Judges a signal.
    pub fn judge(&self, judge: &Judge<'_>) -> Verdict {
        let Some(Object::Signal(signal)) = judge.object else { return Verdict::Fine };
        if signal.value.is_none() || !self.queries.contains(&&*signal.meta.name) {
            return Verdict::Fine;
        }
        let seen = Seen { judge, signal };
        let later = self.again.map(|every| super::later(judge, every));
        let Some(severity) = (self.level)(&seen) else { return later.map_or(Verdict::Fine, Verdict::LookAgain) };
        let hold = judge.rule.thresholds.iter().find(|t| t.name == "after").map_or(0, |t| judge.value(t));
        let held = if hold == 0 || later.is_some() { Ok(()) } else { judge.held_since_seen(hold) };
        super::until(held, || {
            let finding = seen.finding(severity, (self.says)(&seen));
            ((self.more)(&seen, finding.then(self.next)), later)
        })
    }
}

/// A series of a query of the user's own that has been over the query's limits for so many seconds.
pub(in crate::inspect) fn over(judge: &Judge<'_>, query: &str, hold: i64, says: impl FnOnce() -> String, next: &str) -> Verdict {
    let Some(Object::Signal(signal)) = judge.object.filter(|o| *o.meta().name == *query) else { return Verdict::Fine };
    let seen = Seen { judge, signal };
    let Some(severity) = seen.limits() else { return Verdict::Fine };
    let held = if hold == 0 { Ok(()) } else { judge.held_since_seen(hold) };
    super::after(held, || seen.finding(severity, says()).then(next))
}

/// A series that is judged.
pub(super) struct Seen<'a> {
    pub judge: &'a Judge<'a>,
    pub signal: &'a Signal,
}

impl<'a> Seen<'a> {
    /// As bad as the query's limits say.
    pub fn limits(&self) -> Option<Severity> {
        match self.signal.state {
            SignalState::Critical => Some(Severity::Critical),
            SignalState::Warning => Some(Severity::Warning),
            _ => None,
        }
    }

    /// Worth knowing from the query's warning on.
    pub fn known(&self) -> Option<Severity> {
        self.limits().map(|_| Severity::Info)
    }

    /// In the measure's unit.
    pub fn number(&self) -> f64 {
        self.signal.value.unwrap_or_default()
    }

    /// The value for people.
    pub fn value(&self) -> String {
        self.signal.value.map_or_else(|| "none".to_owned(), |v| self.signal.measure.text(v))
    }

    /// Which one of its kind: `pay/checkout-1 app`, `GET`; empty where there is one.
    pub fn of(&self) -> String {
        self.signal.of_what()
    }

    /// One of the rule's thresholds.
    pub fn threshold(&self, threshold: &Threshold) -> i64 {
        self.judge.value(threshold)
    }

    /// A label's value; empty without it.
    pub fn label(&self, name: &str) -> &'a str {
        self.signal.meta.labels.get(name).unwrap_or_default()
    }

    /// The most particular object that its labels name and that is there; the node that an exporter is told by.
    pub fn object(&self) -> Option<&'a Object> {
        let cluster = self.judge.cluster;
        let named = |(kind, namespace, name): (Kind, &str, &str)| cluster.named(kind, namespace, name);
        let about = self.signal.about().filter(|(kind, ..)| *kind != Kind::Namespace).find_map(named);
        let (namespace, workload) = (self.label("namespace"), self.label("workload"));
        let workload = || Kind::WORKLOADS.iter().filter(|_| !workload.is_empty()).find_map(|k| cluster.named(*k, namespace, workload));
        about.or_else(workload).or_else(|| self.exporter())
    }

    fn exporter(&self) -> Option<&'a Object> {
        let instance = Some(self.label("instance")).filter(|i| !i.is_empty())?;
        let host = instance.rsplit_once(':').map_or(instance, |(host, _)| host);
        let is = |o: &&Object| matches!(o, Object::Node(n) if &*n.meta.name == host || n.internal_ip.as_deref() == Some(host));
        let cluster = self.judge.cluster;
        cluster.named(Kind::Node, "", host).or_else(|| cluster.objects(Kind::Node).find(is))
    }

    /// The node that it is about.
    pub fn node(&self) -> Option<&'a Node> {
        match self.object() {
            Some(Object::Node(node)) => Some(node),
            _ => None,
        }
    }

    /// The workload that it is about, or that is above the pod that it is about.
    pub fn workload(&self) -> Option<&'a Workload> {
        match self.judge.cluster.workload_of(self.object()?) {
            Object::Workload(w) => Some(w),
            _ => None,
        }
    }

    /// The container of a workload's template that the labels name.
    pub fn container(&self, workload: &'a Workload) -> Option<&'a ContainerSpec> {
        workload.shape.containers.iter().find(|c| *c.name == *self.label("container"))
    }

    /// The autoscaler of a workload.
    pub fn scaler(&self, workload: &Workload) -> Option<&'a Hpa> {
        self.judge.index.scaler(self.judge.cluster, workload)
    }

    fn finding(&self, severity: Severity, message: String) -> Finding {
        let signal = self.signal;
        let text = |v: Option<f64>| v.map_or_else(|| "none".to_owned(), |v| signal.measure.text(v));
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ").replace(" :", ":");
        let mut finding = self.judge.finding(severity, None, message).with(&signal.title, self.value(), None);
        finding.about = self.object().map(|o| o.reference(self.judge.cluster.id));
        if signal.warning.is_some() {
            let limits = format!("{} / {}", text(signal.warning), text(signal.critical));
            finding = finding.with("warning / critical from", limits, None);
        }
        let course = signal.course.iter().rev().take(6).rev().map(|v| signal.measure.text(*v)).collect::<Vec<_>>().join(", ");
        finding.with("of", self.of(), None).with("the last values", course, None)
    }
}

/// Whether it was at its limit for so many seconds: the course has a value a minute. Where it is, and the course is shorter, only further looks tell.
pub(super) fn lasted(judge: &Judge<'_>, signal: &Signal, secs: i64) -> bool {
    let count = usize::try_from(secs / 60).unwrap_or(0).max(1);
    let limit = signal.warning.unwrap_or(f64::MIN_POSITIVE);
    let over = signal.course.iter().rev().take(count).all(|v| *v >= limit);
    if over && (1..count).contains(&signal.course.len()) {
        judge.undated.set(true);
    }
    over && signal.course.len() >= count
}

/// `34%`; nothing of nothing.
pub(super) fn percent(part: i64, whole: i64) -> String {
    if whole > 0 { format!("{}%", part * 100 / whole) } else { "none".to_owned() }
}

/// Millicores as people write them: `250m`, `1.5`.
pub(super) fn cores(millicores: i64) -> String {
    if millicores < 1000 { format!("{millicores}m") } else { Measure::Count.text(millicores as f64 / 1000.0) }
}

/// What is measured in cores or bytes, as thousandths of a core or bytes.
#[expect(clippy::cast_possible_truncation, reason = "saturates")]
pub(super) fn whole(value: f64) -> i64 {
    value as i64
}

impl Finding {
    /// On what a key acts: the object that it is about.
    pub(super) fn there(&self) -> Option<ObjectRef> {
        self.about.clone()
    }

    /// Adds what is known.
    pub(super) fn with_all(mut self, more: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.evidence.extend(more.into_iter().map(|(what, value)| Evidence { what: what.to_owned(), value, at: None }));
        self
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, told};
    use crate::model::{ClusterId, Query, Service, ServiceState};

    /// A query that qd ships.
    pub fn shipped(name: &str) -> Query {
        crate::config::Config::default().queries.iter().find(|q| *q.name == *name).unwrap_or_else(|| panic!("no query {name}")).clone()
    }

    /// What a rule finds of one series of a query, in a fleet, once that has been told for so many seconds.
    pub fn seen(fleet: &mut Fleet, rule: &RuleInfo, query: &str, labels: &[(&str, &str)], value: f64, wait: i64) -> Option<Finding> {
        let signal = Signal::of(&shipped(query), crate::model::signal::tests::labels(labels), value, [value].into());
        let uid = signal.meta.uid;
        told(fleet, Service::Prometheus, ServiceState::Live, vec![Object::Signal(signal.into())]);
        fleet.wait(wait);
        fleet.engine.for_object(ClusterId(0), uid).iter().find(|f| f.rule == rule).cloned()
    }

    /// A rule by its queries' limits: silent below the warning and before its time, a warning (or what is said) from then on, critical from the second
    /// limit on.
    pub fn holds(rule: &'static RuleInfo, facts: &Measured, after: i64) {
        holds_as(rule, facts, after, Severity::Warning);
    }

    /// The same, the first limit giving another severity.
    pub fn holds_as(rule: &'static RuleInfo, facts: &Measured, after: i64, first: Severity) {
        for name in facts.queries {
            let query = shipped(name);
            let at = |value: f64, wait: i64| {
                let labels = [("namespace", "pay"), ("pod", "none-such"), ("verb", "GET")];
                seen(&mut Fleet::default(), rule, name, &labels, value, wait).map(|f| f.severity)
            };
            let warning = query.warning.unwrap_or_else(|| panic!("{name} has no warning"));
            let first = if query.critical == Some(warning) { Severity::Critical } else { first };
            assert_eq!(at(warning * 0.99, after), None, "{name} below its limit");
            assert_eq!(at(warning, after - 1), None, "{name} before its time");
            assert_eq!(at(warning, after), Some(first), "{name}");
            if let Some(critical) = query.critical.filter(|c| *c > warning) {
                assert_eq!(at(critical * 0.99, after), Some(first), "{name}");
                assert_eq!(at(critical, after), Some(Severity::Critical), "{name}");
            }
        }
    }
}
