//! Guardrails: what a cluster's tier allows, and what a person has to say before anything is sent.

use super::Preview;
use crate::config::{Config, Confirm, Glob, Reason, Tier, Window};
use crate::diag::Diag;
use crate::model::{ClusterId, Plan, Target, VERBS, VerbId};
use std::collections::BTreeMap;

/// What is never allowed: `VERB KIND/NAME` with globs.
#[derive(Clone, Debug)]
struct Deny {
    text: String,
    verb: Glob,
    object: Glob,
}

impl Deny {
    /// Reads `delete namespace/*`, `drain *`.
    fn parse(text: &str) -> Result<Self, String> {
        let (verb, object) = text.split_once(char::is_whitespace).map_or((text, "*"), |(v, o)| (v, o.trim()));
        let glob = Glob::new(verb)?;
        if !VERBS.iter().any(|v| glob.matches(v.name)) {
            return Err(crate::diag::unknown("verb", verb, VERBS.iter().map(|v| v.name)));
        }
        Ok(Self { text: text.to_owned(), verb: glob, object: Glob::new(object)? })
    }

    fn forbids(&self, verb: VerbId, target: &Target) -> bool {
        let plural = format!("{}/{}", target.resource.plural, target.name);
        self.verb.matches(verb.info().name) && (self.object.matches(&target.slashed()) || self.object.matches(&plural))
    }
}

/// The guardrails of one cluster.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What is shown and typed.
    pub name: String,
    pub tier: Option<Tier>,
    confirm: Option<Confirm>,
    reason_required: bool,
    max_parallel: Option<u16>,
    windows: Vec<Window>,
    deny: Vec<Deny>,
    /// Why nothing may be written.
    pub read_only: Option<String>,
}

/// The guardrails of the fleet.
#[derive(Clone, Debug, Default)]
pub struct Guardrails(BTreeMap<ClusterId, Rules>);

impl Guardrails {
    /// Reads the tiers' rules for these clusters: id, display name, tier, why read-only. A rule that cannot be read locks the clusters
    /// of its tier; the mistakes are given back.
    pub fn of<'a>(
        config: &Config,
        clusters: impl Iterator<Item = (ClusterId, &'a str, Option<Tier>, Option<&'a str>)>,
    ) -> (Self, Vec<Diag>) {
        let mut diags = Vec::new();
        let mut tiers = BTreeMap::new();
        for tier in [Tier::Production, Tier::Staging, Tier::Development] {
            let (name, rules) = (tier.name(), config.tiers.get(tier));
            let mut mistake = None;
            let mut deny = Vec::new();
            for text in &rules.deny.value {
                match Deny::parse(&text.value) {
                    Ok(rule) => deny.push(rule),
                    Err(why) => {
                        mistake = Some(format!("deny of tier {name}: {why}"));
                        diags.push(text.error(why));
                    }
                }
            }
            tiers.insert(name, (deny, mistake));
        }
        let rules = clusters.map(|(id, name, tier, read_only)| {
            let set = tier.map(|t| config.tiers.get(t));
            let (deny, mistake) = tier.and_then(|t| tiers.get(t.name())).cloned().unwrap_or_default();
            let rules = Rules {
                name: name.to_owned(),
                tier,
                confirm: set.map(|s| s.confirm.value),
                reason_required: set.is_some_and(|s| s.reason.value == Reason::Required),
                max_parallel: set.and_then(|s| s.max_parallel.value).map(|n| u16::try_from(n).unwrap_or(u16::MAX)),
                windows: set.map(|s| s.window.value.clone()).unwrap_or_default(),
                deny,
                read_only: read_only.map(str::to_owned).or(mistake),
            };
            (id, rules)
        });
        let rules = rules.collect();
        (Self(rules), diags)
    }

    /// One cluster's.
    pub fn get(&self, id: ClusterId) -> Option<&Rules> {
        self.0.get(&id)
    }

    /// What stands between this plan and its execution. Time is unix seconds.
    pub fn gate(&self, plan: &Plan, now: i64) -> Gate {
        let mut gate = Gate { ask: Ask::Nothing, reason_required: false, refusals: Vec::new(), parallel: plan.parallel.max(1) };
        let mut typed = Vec::new();
        for cluster in &plan.clusters {
            let Some(rules) = self.get(cluster.id) else {
                gate.refusals.push(format!("{}: not of this fleet", cluster.name));
                continue;
            };
            if let Some(why) = &rules.read_only {
                gate.refusals.push(format!("{} is read-only: {why}", rules.name));
            }
            if !rules.windows.is_empty() && !rules.windows.iter().any(|w| w.contains(now)) {
                let windows: Vec<String> = rules.windows.iter().map(ToString::to_string).collect();
                gate.refusals.push(format!("{}: outside its window, {} UTC", rules.name, windows.join(", ")));
            }
            let touched = plan.targets.iter().chain(plan.steps.iter().map(|s| &s.target)).filter(|t| t.cluster == cluster.id);
            let denied = touched.flat_map(|t| rules.deny.iter().filter(move |d| d.forbids(plan.verb, t)).map(move |d| (d, t))).next();
            if let Some((rule, target)) = denied {
                let tier = rules.tier.map_or("", Tier::name);
                gate.refusals.push(format!("{}: tier {tier} denies `{}` ({})", rules.name, rule.text, target.label()));
            }
            gate.reason_required |= rules.reason_required;
            if let Some(most) = rules.max_parallel {
                gate.parallel = gate.parallel.min(most).max(1);
            }
            // Without a tier, what cannot be taken back asks for the name.
            let wanted = rules.confirm.unwrap_or(if plan.irreversible { Confirm::Typed } else { Confirm::Yes });
            match wanted {
                Confirm::Typed => typed.push(rules.name.clone()),
                Confirm::Yes if gate.ask == Ask::Nothing => gate.ask = Ask::Yes,
                Confirm::Yes | Confirm::None => {}
            }
        }
        if !typed.is_empty() {
            let bulk = plan.targets.len();
            if bulk > 1 {
                typed.push(bulk.to_string());
            }
            gate.ask = Ask::Typed(typed.join(" "));
        }
        gate
    }
}

/// What a person has to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    Nothing,
    /// `y`.
    Yes,
    /// This text: the names of the production clusters, for a bulk act with the number of objects.
    Typed(String),
}

/// What stands between a plan and its execution.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gate {
    pub ask: Ask,
    pub reason_required: bool,
    /// Why it is not allowed at all.
    pub refusals: Vec<String>,
    /// Lanes at the same time.
    pub parallel: u16,
}

/// What a person said.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Confirmation {
    /// `y`, or `--yes`.
    pub yes: bool,
    pub typed: Option<String>,
    pub reason: Option<String>,
    /// It came as a flag, not from a person who saw the preview.
    pub flag: bool,
    /// The hash of the plan that was on the screen.
    pub hash: String,
}

/// Why a confirmation does not hold.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// Read-only, denied, outside the window, not permitted: no word helps.
    #[error("{0}")]
    Forbidden(String),
    /// The clusters have changed since it was planned.
    #[error("{0}")]
    Drifted(String),
    #[error("a reason is required (--reason)")]
    NoReason,
    #[error("it has to be confirmed: {0}")]
    NotConfirmed(String),
    #[error("{typed:?} is not {expected:?}")]
    Mistyped { typed: String, expected: String },
    #[error("the plan is another one than was shown")]
    OtherPlan,
}

/// A plan that passed every check and was confirmed. There is no other way to make one.
#[derive(Debug)]
pub struct Confirmed {
    plan: Plan,
    parallel: u16,
    how: &'static str,
    reason: Option<String>,
}

impl Confirmed {
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
    pub(super) fn parallel(&self) -> u16 {
        self.parallel
    }
    pub(super) fn how(&self) -> &'static str {
        self.how
    }
    pub(super) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}

/// Whether what was said is enough. The same text with other spaces is the same text.
///
/// # Errors
/// What is missing, or what forbids it.
pub fn confirm(preview: &Preview, said: &Confirmation) -> Result<Confirmed, Refused> {
    if said.hash != preview.hash {
        return Err(Refused::OtherPlan);
    }
    if let Some(why) = preview.gate.refusals.first() {
        return Err(Refused::Forbidden(why.clone()));
    }
    if let Some(why) = preview.preflight.forbidden() {
        return Err(Refused::Forbidden(why));
    }
    if let Some(why) = preview.preflight.drifted() {
        return Err(Refused::Drifted(why));
    }
    let reason = said.reason.as_deref().map(str::trim).filter(|r| !r.is_empty());
    if preview.gate.reason_required && reason.is_none() {
        return Err(Refused::NoReason);
    }
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let how = match (&preview.gate.ask, &said.typed) {
        (Ask::Typed(expected), Some(typed)) if plain(typed) == plain(expected) => "typed",
        (Ask::Typed(expected), Some(typed)) => {
            return Err(Refused::Mistyped { typed: typed.clone(), expected: expected.clone() });
        }
        (Ask::Typed(expected), None) => return Err(Refused::NotConfirmed(format!("type {expected} (--confirm {expected:?})"))),
        (Ask::Yes, _) if said.yes => {
            if said.flag {
                "flag"
            } else {
                "yes"
            }
        }
        (Ask::Yes, _) => return Err(Refused::NotConfirmed("y (--yes)".to_owned())),
        (Ask::Nothing, _) => "none",
    };
    Ok(Confirmed { plan: preview.plan.clone(), parallel: preview.gate.parallel, how, reason: reason.map(str::to_owned) })
}
