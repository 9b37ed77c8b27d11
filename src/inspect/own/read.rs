//! From the configuration's rules to rules that judge, with every mistake told at its place; and their cases.

use super::super::manifests::Manifests;
use super::super::{Need, Policy, RULES, RuleInfo, Severity, Threshold, Thresholds, threshold};
use super::cel::{Compiled, compile};
use super::fields::{Wanted, near, shown};
use super::template::Template;
use super::{Own, Rules, What};
use crate::config::{Condition, Config, Given, OwnCase, OwnRule, Setting};
use crate::diag::{self, Diag};
use crate::model::{Args, Kind, Object, Signal};
use std::sync::Arc;

const OBJECTS: &[&str] = &["object", "thresholds", "cluster", "now"];
const SERIES: &[&str] = &["value", "shown", "of", "labels", "thresholds", "cluster"];

impl Rules {
    /// Those of qd and of the configuration. A rule with a mistake is left out.
    pub fn of(config: &Config) -> (Self, Vec<Diag>) {
        let (mut all, mut own, mut diags) = (RULES.to_vec(), Vec::new(), Vec::new());
        for rule in &config.rules {
            if RULES.iter().any(|r| r.id == rule.id.value) {
                diags.push(
                    rule.id
                        .error(format!("`{}` is a rule of qd's", rule.id.value))
                        .hint("give it another id; `thresholds` and `severity` change qd's"),
                );
                continue;
            }
            let mut reader = Reader { rule, diags: Vec::new() };
            let read = reader.read();
            if let (Some(read), true) = (read, reader.diags.is_empty()) {
                all.push(leaked(rule));
                own.push(read);
            }
            diags.extend(reader.diags);
        }
        (Self { all: all.into(), own: own.into() }, diags)
    }
}

/// A rule lives as long as the process does: the configuration is read once.
fn leaked(rule: &OwnRule) -> &'static RuleInfo {
    let keep = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
    let id = keep(&rule.id.value);
    let threshold =
        |(name, default): &(String, Setting<String>)| Threshold { name: keep(name), default: keep(&default.value), doc: "set by the rule" };
    let thresholds: Vec<Threshold> = rule.thresholds.iter().map(threshold).collect();
    let links: Vec<&'static str> = rule.links.iter().map(|l| keep(l)).collect();
    let (kinds, needs, severity): (Vec<Kind>, Vec<Need>, Severity) = match &rule.condition {
        Condition::Cel { kinds, .. } => (kinds.clone(), Vec::new(), rule.severity),
        Condition::Query(q) => {
            let worst = if q.critical.is_some() { Severity::Critical } else { Severity::Warning };
            (vec![Kind::Signal], vec![Need::Query(id)], worst)
        }
    };
    let scope = match &rule.condition {
        Condition::Cel { kinds, .. } => kinds.iter().map(|k| k.name()).collect::<Vec<_>>().join(", "),
        Condition::Query(_) => "series".to_owned(),
    };
    Box::leak(Box::new(RuleInfo {
        id,
        area: keep(&rule.area),
        tier: rule.tier,
        burns: rule.burns,
        severity,
        scope: keep(&scope),
        summary: keep(&rule.finds),
        why: keep(&rule.why),
        kinds: Box::leak(kinds.into_boxed_slice()),
        needs: Box::leak(needs.into_boxed_slice()),
        leans_on: &[],
        thresholds: Box::leak(thresholds.into_boxed_slice()),
        peers: &[],
        links: Box::leak(links.into_boxed_slice()),
        judge: super::judge,
    }))
}

struct Reader<'a> {
    rule: &'a OwnRule,
    diags: Vec<Diag>,
}

impl Reader<'_> {
    fn read(&mut self) -> Option<Own> {
        let rule = self.rule;
        let (kinds, variables): (&[Kind], _) = match &rule.condition {
            Condition::Cel { kinds, .. } => (kinds, OBJECTS),
            Condition::Query(_) => (&[], SERIES),
        };
        let mut now = false;
        let mut paths = Vec::new();
        let message = self.template(&rule.message, Template::parse, variables);
        let steps = rule.steps.as_ref().map(|s| self.template(s, Template::parse, variables));
        let args = self.template(&rule.args, Template::parse, variables);
        let evidence: Vec<_> = rule.evidence.iter().map(|(n, s)| (n.clone(), self.template(s, Template::value, variables), s)).collect();
        let texts = [Some((&message, &rule.message)), steps.as_ref().zip(rule.steps.as_ref()), Some((&args, &rule.args))];
        let texts = texts.into_iter().flatten().chain(evidence.iter().map(|(_, t, s)| (t, *s)));
        for (template, setting) in texts {
            for expression in template.as_ref().into_iter().flat_map(Template::expressions) {
                self.names(expression, setting, kinds);
                now |= expression.now;
                paths.extend(expression.paths.iter().cloned());
            }
        }
        if let Some(run) = &rule.run {
            self.action(run, args.as_ref(), kinds);
        }
        let what = match &rule.condition {
            Condition::Query(q) => What::Series(Box::leak(q.name.to_string().into_boxed_str())),
            Condition::Cel { kinds, when } => {
                let compiled = compile(&when.value, OBJECTS).map_err(|why| self.diags.push(when.error(why))).ok()?;
                self.names(&compiled, when, kinds);
                now |= compiled.now;
                paths.extend(compiled.paths.iter().cloned());
                if now && rule.hold > 0 {
                    let hint = "compare `now` with one of the object's times instead";
                    self.diags.push(when.error("`for` and `now` exclude each other").hint(hint));
                }
                // What is not kept has been told.
                let wanted = kinds.iter().map(|k| Some((*k, Wanted::of(*k, &paths).ok()?))).collect::<Option<Vec<_>>>()?;
                What::Objects { when: compiled, wanted, now }
            }
        };
        Some(Own {
            what,
            hold: rule.hold,
            message: message?,
            evidence: evidence.into_iter().map(|(name, t, _)| Some((name, t?))).collect::<Option<Vec<_>>>()?,
            steps: steps.flatten(),
            run: rule.run.as_ref().map(|r| r.value).zip(args),
            units: rule.thresholds.iter().filter_map(|(n, d)| Some((n.clone(), threshold::parse(&d.value)?.1))).collect(),
            state: super::State::default(),
        })
    }

    fn template(
        &mut self,
        text: &Setting<String>,
        read: fn(&str, &[&str]) -> Result<Template, String>,
        variables: &[&str],
    ) -> Option<Template> {
        read(&text.value, variables).map_err(|why| self.diags.push(text.error(why))).ok()
    }

    /// Whether what an expression names is there.
    fn names(&mut self, expression: &Compiled, at: &Setting<String>, kinds: &[Kind]) {
        for name in &expression.thresholds {
            if !self.rule.thresholds.iter().any(|(known, _)| known == name) {
                let known = self.rule.thresholds.iter().map(|(n, _)| n.as_str());
                self.diags.push(at.error(diag::unknown("threshold", name, known)));
            }
        }
        for kind in kinds {
            if let Err(path) = Wanted::of(*kind, &expression.paths) {
                let text = shown(&path.join("."));
                let message = format!("`{text}` of a {} is not kept by qd", kind.name());
                self.diags.push(at.error(message).hint(format!("kept there: {}", near(*kind, &path))));
            }
        }
    }

    fn action(&mut self, run: &Setting<crate::model::VerbId>, args: Option<&Template>, kinds: &[Kind]) {
        let info = run.value.info();
        if let Some(kind) = kinds.iter().find(|k| !info.on.takes(**k)) {
            self.diags.push(run.error(format!("`{}` is not done to a {}: it is done to {}", info.name, kind.name(), info.on.words())));
        }
        if let Some(Err(e)) = args.and_then(Template::plain).filter(|a| !a.is_empty()).map(|a| Args::parse(info, &a)) {
            self.diags.push(self.rule.args.error(e.to_string()));
        }
    }
}

/// What came of a case.
#[derive(Clone, PartialEq, Debug)]
pub struct CaseResult {
    pub rule: String,
    pub case: String,
    /// Where the case stands.
    pub at: String,
    /// What is other than it should be; none: all is as it should be.
    pub wrong: Option<String>,
}

/// Judges the cases of rules that were read without mistakes. `now` in unix seconds.
pub fn run_cases(rules: &Rules, written: &[OwnRule], now: i64) -> Vec<CaseResult> {
    let mut all = Vec::new();
    for rule in written.iter().filter(|r| rules.is_own(&r.id.value)) {
        for (n, case) in rule.cases.iter().enumerate() {
            all.push(CaseResult {
                rule: rule.id.value.clone(),
                case: case.name.clone().unwrap_or_else(|| format!("case {}", n + 1)),
                at: case.fires.origin.to_string(),
                wrong: one(rules, rule, case, case.now.unwrap_or(now)).err(),
            });
        }
    }
    all
}

fn one(rules: &Rules, rule: &OwnRule, case: &OwnCase, now: i64) -> Result<(), String> {
    match &case.given {
        Given::Series { value, labels } => {
            let Condition::Query(query) = &rule.condition else { return Ok(()) };
            let labels: Vec<_> = labels.iter().map(|(k, v)| (k.as_str().into(), v.as_str().into())).collect();
            let signal = Signal::of(query, labels.into(), *value, [*value].into());
            let mut shelf = Manifests::new("case", Thresholds::of(rules.clone()), Policy::default(), now);
            shelf.told(Object::Signal(Arc::new(signal)));
            compare(&mut shelf, rule, case)
        }
        Given::Object(object) => {
            let Condition::Cel { kinds, .. } = &rule.condition else { return Ok(()) };
            let kind = match object["kind"].as_str() {
                Some(named) => {
                    Kind::parse(named).filter(|k| kinds.contains(k)).ok_or_else(|| format!("the rule does not judge a {named}"))?
                }
                None => *kinds.first().ok_or("the rule has no kind")?,
            };
            // Over the object as it is, and as a cluster's are kept: a rule that differs there is none to rely on.
            let judged = |whole: bool| {
                let mut shelf = Manifests::new("case", Thresholds::of(rules.clone()), Policy::default(), now);
                shelf.put(kind, object.clone(), whole).map_err(|e| format!("no {}: {e}", kind.name()))?;
                compare(&mut shelf, rule, case)
            };
            judged(true)?;
            judged(false).map_err(|why| format!("over the whole object it is right; over what qd keeps of a cluster's objects: {why}"))
        }
    }
}

fn compare(shelf: &mut Manifests, rule: &OwnRule, case: &OwnCase) -> Result<(), String> {
    shelf.wait(rule.hold);
    let found = shelf.engine.findings().find(|f| f.rule.id == rule.id.value);
    let told = shelf.engine.rules().named(&rule.id.value).and_then(|o| o.state.told()).map_or_else(String::new, |t| format!(": {t}"));
    match (found, case.fires.value, &case.message) {
        (None, true, _) => Err(format!("it finds nothing{told}")),
        (Some(f), false, _) => Err(format!("it finds: {}", f.message)),
        (Some(f), true, Some(wanted)) if f.message != *wanted => Err(format!("it says: {}", f.message)),
        _ => Ok(()),
    }
}
