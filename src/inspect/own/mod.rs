//! Rules of the user's own: CEL over objects, and limits of PromQL, as the configuration has them.
//!
//! Owns what such a rule is once it is read ([`Own`]), and all the rules there are together ([`Rules`]). What it may name of an object is in
//! `fields`: what the store keeps. A rule that costs too much is off from then on, and says so where rules that cannot judge are told.

mod cel;
mod fields;
mod read;
mod template;
#[cfg(test)]
mod tests;

pub use fields::kept;
pub use read::{CaseResult, run_cases};

use super::rules::{RULES, measured};
use super::threshold::Unit;
use super::{Finding, Judge, RuleInfo, Verdict, needs};
use crate::model::{Args, Kind, Object, Remedy, Str, Time, VerbId};
use crate::store::Cluster;
use cel::{Compiled, Fault};
use fields::Wanted;
use kube::core::cel::cel::Value;
use kube::core::cel::cel::objects::{Key, Map};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use template::Template;

/// Steps of a loop that one evaluation may take, over what the store keeps and over a whole object.
const STEPS: [u64; 2] = [2_000, 200_000];
/// Processor time that one evaluation over what the store keeps may take (nanoseconds); and all of them on average, once there are so many.
const SLOW_ONE: u64 = 50_000_000;
const SLOW_MEAN: u64 = if cfg!(debug_assertions) { 5_000_000 } else { 300_000 };
const ENOUGH: u64 = 500;
/// Seconds after which a rule that names `now` judges again.
const AGAIN: i64 = 60;

/// All the rules there are: those of qd, and the user's own behind them.
#[derive(Clone)]
pub struct Rules {
    all: Arc<[&'static RuleInfo]>,
    /// The last of all, in the same order.
    own: Arc<[Own]>,
}

impl Default for Rules {
    fn default() -> Self {
        Self { all: RULES.into(), own: Vec::new().into() }
    }
}
impl PartialEq for Rules {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all
    }
}
impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.all.iter()).finish()
    }
}

impl Rules {
    /// Every rule, qd's first.
    pub fn all(&self) -> &[&'static RuleInfo] {
        &self.all
    }

    /// The rule of that id.
    pub fn find(&self, id: &str) -> Option<&'static RuleInfo> {
        self.all.iter().copied().find(|r| r.id == id)
    }

    /// Where a rule stands among the others.
    pub fn place(&self, id: &str) -> Option<usize> {
        self.all.iter().position(|r| r.id == id)
    }

    /// Whether a rule is the user's own.
    pub fn is_own(&self, id: &str) -> bool {
        self.named(id).is_some()
    }

    /// Why a rule judges nothing in a cluster, or not all. None where it does.
    pub fn not_evaluated(&self, rule: &RuleInfo, cluster: &Cluster) -> Option<String> {
        let own = self.named(rule.id).and_then(|own| own.state.told());
        own.or_else(|| needs::not_evaluated(rule, cluster))
    }

    /// What the rule at a place is, if it is the user's own.
    pub(super) fn own(&self, place: usize) -> Option<&Own> {
        self.own.get(place.checked_sub(self.all.len() - self.own.len())?)
    }

    fn named(&self, id: &str) -> Option<&Own> {
        self.own(self.place(id)?)
    }

    /// How many are off because they cost too much.
    pub(super) fn off(&self) -> usize {
        self.own.iter().filter(|o| o.state.off.get().is_some()).count()
    }

    pub(super) fn is_off(&self, id: &str) -> bool {
        self.named(id).is_some_and(|o| o.state.off.get().is_some())
    }
}

/// A rule of the user's own, ready to judge.
pub(super) struct Own {
    what: What,
    hold: i64,
    message: Template,
    evidence: Vec<(String, Template)>,
    steps: Option<Template>,
    run: Option<(VerbId, Template)>,
    units: Vec<(String, Unit)>,
    state: State,
}

enum What {
    /// The condition, and what it needs of each kind.
    Objects { when: Compiled, wanted: Vec<(Kind, Wanted)>, now: bool },
    /// The query's name.
    Series(&'static str),
}

/// How a rule has fared.
#[derive(Default)]
struct State {
    off: OnceLock<String>,
    count: AtomicU64,
    nanos: AtomicU64,
    /// The first object that it could not judge, and how many there were.
    odd: Mutex<Option<(String, u64)>>,
}

impl State {
    fn told(&self) -> Option<String> {
        let odd = || {
            self.odd.lock().ok()?.as_ref().map(|(first, n)| match n {
                1 => first.clone(),
                n => format!("{first}, and {} more times", n - 1),
            })
        };
        self.off.get().cloned().or_else(odd)
    }

    /// Notes what an evaluation took, and whether that is too much.
    fn took(&self, nanos: u64, place: impl Fn() -> String) {
        let (count, all) = (self.count.fetch_add(1, Relaxed) + 1, self.nanos.fetch_add(nanos, Relaxed) + nanos);
        if nanos > SLOW_ONE {
            let _ = self.off.set(format!("off: {} took {} ms, more than {}", place(), nanos / 1_000_000, SLOW_ONE / 1_000_000));
        } else if count >= ENOUGH && all / count > SLOW_MEAN {
            let _ = self.off.set(format!("off: an object takes {} us, more than {}", all / count / 1000, SLOW_MEAN / 1000));
        }
    }

    fn wrong(&self, fault: &Fault, place: impl Fn() -> String, steps: u64) {
        match fault {
            Fault::Missing => {}
            Fault::Steps => {
                let _ = self.off.set(format!("off: {} took more than {steps} steps", place()));
            }
            Fault::Wrong(why) => {
                let Ok(mut odd) = self.odd.lock() else { return };
                match odd.as_mut() {
                    Some((_, n)) => *n += 1,
                    None => *odd = Some((format!("cannot judge {}: {why}", place()), 1)),
                }
            }
        }
    }
}

/// Processor time of this thread (nanoseconds).
fn spent() -> u64 {
    let at = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(at.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(at.tv_nsec).unwrap_or(0)
}

fn text(text: &str) -> Value {
    Value::String(Arc::new(text.to_owned()))
}

fn mapping<K: Into<Key>>(entries: impl IntoIterator<Item = (K, Value)>) -> Value {
    Value::Map(Map { map: Arc::new(entries.into_iter().map(|(k, v)| (k.into(), v)).collect()) })
}

/// What a rule of the user's own says of an object.
pub(super) fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(own) = judge.own else { return Verdict::Fine };
    if own.state.off.get().is_some() {
        return Verdict::Fine;
    }
    match &own.what {
        What::Objects { when, wanted, now } => own.objects(judge, when, wanted, *now),
        What::Series(query) => own.series(judge, query),
    }
}

impl Own {
    fn objects(&self, judge: &Judge<'_>, when: &Compiled, wanted: &[(Kind, Wanted)], now: bool) -> Verdict {
        let Some(object) = judge.object else { return Verdict::Fine };
        let Some((_, wanted)) = wanted.iter().find(|(kind, _)| *kind == object.kind()) else { return Verdict::Fine };
        let began = spent();
        let seen = judge.whole.map_or_else(|| wanted.value(object), fields::whole);
        let variables = self.variables(judge, now);
        let mut all: Vec<(&str, &Value)> = variables.iter().map(|(name, value)| (*name, value)).collect();
        all.push(("object", &seen));
        let steps = STEPS[usize::from(judge.whole.is_some())];
        let place = || super::title(&object.meta().namespace, &object.meta().name);
        let value = when.eval(&all, steps);
        // On the minute, but not all objects of a cluster at once.
        let later = || super::rules::later(judge, AGAIN) + (object.meta().uid.0 % 12) as i64 * 5;
        let verdict = match value {
            Ok(Value::Bool(true)) => {
                let finding = || self.finding(judge, object, &all, steps);
                match (now, self.hold) {
                    (true, _) => Verdict::BurningUntil(finding(), later()),
                    (false, 0) => Verdict::Burning(finding()),
                    (false, hold) => super::rules::after(judge.held_since_seen(hold), finding),
                }
            }
            other => {
                match other {
                    Ok(Value::Bool(false)) => {}
                    Ok(_) => self.state.wrong(&Fault::Wrong("the condition is neither true nor false".to_owned()), place, steps),
                    Err(fault) => self.state.wrong(&fault, place, steps),
                }
                if now { Verdict::LookAgain(later()) } else { Verdict::Fine }
            }
        };
        if judge.whole.is_none() {
            self.state.took(spent().saturating_sub(began), place);
        }
        if self.state.off.get().is_some() { Verdict::Fine } else { verdict }
    }

    /// What expressions may name besides the object.
    fn variables(&self, judge: &Judge<'_>, now: bool) -> Vec<(&'static str, Value)> {
        let info = &judge.cluster.info;
        let opt = |s: Option<&Str>| s.map_or_else(|| text(""), |s| text(s));
        let cluster = mapping([("name", text(&info.name)), ("tier", opt(info.tier.as_ref())), ("group", opt(info.group.as_ref()))]);
        let mut all = vec![("cluster", cluster)];
        if !self.units.is_empty() {
            let value = |unit: Unit, set: i64| match unit {
                Unit::Duration => cel::literal(&format!("duration('{set}s')")).unwrap_or(Value::Int(set)),
                Unit::Count | Unit::Percent => Value::Int(set),
            };
            let set = self.units.iter().zip(judge.thresholds).map(|((name, unit), set)| (name.as_str(), value(*unit, *set)));
            all.push(("thresholds", mapping(set)));
        }
        if now {
            let at = Time::from_secs(judge.now).map(|t| t.rfc3339()).and_then(|t| cel::literal(&format!("timestamp('{t}')")));
            all.push(("now", at.unwrap_or(Value::Null)));
        }
        all
    }

    fn finding(&self, judge: &Judge<'_>, object: &Object, variables: &[(&str, &Value)], steps: u64) -> Finding {
        let fill = |t: &Template| t.fill(|c| c.eval(variables, steps));
        let mut finding = judge.finding(judge.rule.severity, None, fill(&self.message));
        for (name, value) in &self.evidence {
            finding = finding.with(name, fill(value), None);
        }
        finding = finding.then(self.steps.as_ref().map(&fill).unwrap_or_default());
        if let Some((verb, args)) = &self.run {
            let on = object.reference(judge.cluster.id);
            // Arguments that do not fit are asked for in the action's form.
            let args = Args::parse(verb.info(), &fill(args)).unwrap_or_default();
            finding.remedy = Some(Remedy::Act { verb: *verb, on, args });
        }
        finding
    }

    fn series(&self, judge: &Judge<'_>, query: &str) -> Verdict {
        let Some(Object::Signal(signal)) = judge.object.filter(|o| *o.meta().name == *query) else { return Verdict::Fine };
        let mut variables = self.variables(judge, false);
        variables.push(("value", signal.value.map_or(Value::Null, Value::Float)));
        variables.push(("shown", signal.value.map_or(Value::Null, |v| text(&signal.measure.text(v)))));
        variables.push(("of", text(&signal.of_what())));
        variables.push(("labels", mapping(signal.meta.labels.iter().map(|(k, v)| (k, text(v))))));
        let all: Vec<(&str, &Value)> = variables.iter().map(|(name, value)| (*name, value)).collect();
        let fill = |t: &Template| t.fill(|c| c.eval(&all, STEPS[0]));
        let next = self.steps.as_ref().map(&fill).unwrap_or_default();
        let mut verdict = measured::over(judge, query, self.hold, || fill(&self.message), &next);
        if let Verdict::Burning(finding) | Verdict::BurningUntil(finding, _) = &mut verdict {
            finding.evidence.extend(self.evidence.iter().map(|(name, t)| super::Evidence { what: name.clone(), value: fill(t), at: None }));
            if let Some((verb, args)) = &self.run {
                let on = finding.about.clone().filter(|on| verb.info().on.takes(on.kind));
                let args = Args::parse(verb.info(), &fill(args)).unwrap_or_default();
                finding.remedy = on.map(|on| Remedy::Act { verb: *verb, on, args });
            }
        }
        verdict
    }
}
