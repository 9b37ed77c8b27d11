//! Guardrails: what a cluster's tier allows, and what a person has to say before anything is sent.

use super::Preview;
use crate::config::{Config, Confirm, Glob, Reason, Tier, Window};
use crate::diag::Diag;
use crate::model::{ClusterId, Kind, Plan, Target, VERBS, VerbId};
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
        // A rule that can never hold would be no rule.
        let object = match object.split_once('/') {
            Some((kind, name)) => Kind::parse(kind).map_or_else(|| object.to_owned(), |k| format!("{}/{name}", k.name().to_lowercase())),
            None if object == "*" => object.to_owned(),
            None => return Err(format!("`{object}` is no object: write KIND/NAME, such as `{verb} node/{object}`")),
        };
        Ok(Self { text: text.to_owned(), verb: glob, object: Glob::new(&object)? })
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

impl Rules {
    /// Why the tier denies a verb on an object.
    pub fn denies(&self, verb: VerbId, target: &Target) -> Option<String> {
        let rule = self.deny.iter().find(|d| d.forbids(verb, target))?;
        Some(format!("tier {} denies `{}`", self.tier.map_or("", Tier::name), rule.text))
    }
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
        // Not the plan's own list: what is touched is what counts.
        for id in plan.touched() {
            let Some(rules) = self.get(id) else {
                gate.refusals.push("a cluster that is not of this fleet".to_owned());
                continue;
            };
            if let Some(why) = &rules.read_only {
                gate.refusals.push(format!("{} is read-only: {why}", rules.name));
            }
            if !rules.windows.is_empty() && !rules.windows.iter().any(|w| w.contains(now)) {
                let windows: Vec<String> = rules.windows.iter().map(ToString::to_string).collect();
                gate.refusals.push(format!("{}: outside its window, {} UTC", rules.name, windows.join(", ")));
            }
            let touched = plan.targets.iter().chain(plan.steps.iter().map(|s| &s.target)).filter(|t| t.cluster == id);
            let denied = touched
                .flat_map(|t| {
                    rules
                        .deny
                        .iter()
                        .filter(move |d| d.forbids(plan.verb, t) || plan.parts.iter().any(|v| d.forbids(*v, t)))
                        .map(move |d| (d, t))
                })
                .next();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{Check, Finding, Preflight};
    use crate::model::{Args, Kind, PlanCluster, Step};
    use std::path::Path;

    /// 2026-03-02 12:00Z, a Monday.
    const MONDAY: i64 = 1_772_452_800;

    /// Clusters 0 `prod eu`, 1 `stage`, 2 `bare` without a tier.
    fn rails(config: &str) -> (Guardrails, Vec<Diag>) {
        let loaded = Config::parse(config, Path::new("test.toml"));
        let clusters = [("prod eu", Some(Tier::Production)), ("stage", Some(Tier::Staging)), ("bare", None)];
        let clusters = clusters.into_iter().enumerate();
        Guardrails::of(&loaded.config, clusters.map(|(n, (name, tier))| (ClusterId(u16::try_from(n).unwrap()), name, tier, None)))
    }

    fn plan(verb: VerbId, clusters: &[u16], names: &[&str]) -> Plan {
        let mut plan = Plan::new(verb, &Args::default(), "x");
        for cluster in clusters {
            let name = ["prod eu", "stage", "bare"][usize::from(*cluster)].to_owned();
            let (id, context, server) = (ClusterId(*cluster), String::new(), String::new());
            plan.clusters.push(PlanCluster { id, name, context, server, uid: None });
            for name in names {
                let (namespace, name) = ("pay".to_owned(), (*name).to_owned());
                plan.targets.push(Target { cluster: id, resource: Kind::Deployment.into(), namespace, name, uid: None });
            }
        }
        plan.parallel = 5;
        plan
    }

    fn preview(rails: &Guardrails, plan: Plan) -> Preview {
        let gate = rails.gate(&plan, MONDAY);
        Preview::new(plan, Preflight::default(), gate)
    }

    fn said(preview: &Preview) -> Confirmation {
        Confirmation { hash: preview.hash.clone(), ..Confirmation::default() }
    }

    #[test]
    fn production_asks_for_the_name_and_in_bulk_for_the_number_too() {
        let (rails, diags) = rails("");
        assert!(diags.is_empty());
        let one = preview(&rails, plan(VerbId::Restart, &[0], &["a"]));
        assert_eq!((&one.gate.ask, one.gate.parallel), (&Ask::Typed("prod eu".into()), 1));
        assert!(matches!(confirm(&one, &Confirmation { yes: true, ..said(&one) }), Err(Refused::NotConfirmed(_))));
        let mistyped = confirm(&one, &Confirmation { typed: Some("prod us".into()), ..said(&one) }).unwrap_err();
        assert_eq!(mistyped.to_string(), "\"prod us\" is not \"prod eu\"");
        assert_eq!(confirm(&one, &Confirmation { typed: Some(" prod  eu ".into()), ..said(&one) }).unwrap().how(), "typed");
        let bulk = preview(&rails, plan(VerbId::Restart, &[0, 1], &["a", "b"]));
        assert_eq!(bulk.gate.ask, Ask::Typed("prod eu 4".into()), "the strictest of all clusters");
        assert!(confirm(&bulk, &Confirmation { typed: Some("prod eu".into()), ..said(&bulk) }).is_err());
    }

    #[test]
    fn elsewhere_y_is_enough_unless_it_cannot_be_taken_back() {
        let (rails, _) = rails("");
        let stage = preview(&rails, plan(VerbId::Restart, &[1], &["a"]));
        assert_eq!((&stage.gate.ask, stage.gate.parallel), (&Ask::Yes, 5));
        assert!(confirm(&stage, &said(&stage)).is_err(), "nothing was said");
        assert_eq!(confirm(&stage, &Confirmation { yes: true, flag: true, ..said(&stage) }).unwrap().how(), "flag");
        assert_eq!(preview(&rails, plan(VerbId::Delete, &[1], &["a"])).gate.ask, Ask::Yes);
        assert_eq!(preview(&rails, plan(VerbId::Restart, &[2], &["a"])).gate.ask, Ask::Yes);
        assert_eq!(
            preview(&rails, plan(VerbId::Delete, &[2], &["a"])).gate.ask,
            Ask::Typed("bare".into()),
            "no tier, and it is gone for good"
        );
    }

    #[test]
    fn what_is_denied_or_outside_the_window_no_word_allows() {
        let (rails, diags) = rails("[tiers.staging]\ndeny = [\"restart deployment/core-*\"]\nwindow = [\"Tue-Fri 08:00-18:00\"]\n");
        assert!(diags.is_empty(), "{diags:?}");
        let refusals = |verb, names: &[&str]| preview(&rails, plan(verb, &[1], names)).gate.refusals;
        assert_eq!(
            refusals(VerbId::Restart, &["a", "core-x"]),
            [
                "stage: outside its window, Tue-Fri 08:00-18:00 UTC",
                "stage: tier staging denies `restart deployment/core-*` (deployment pay/core-x)"
            ]
        );
        assert_eq!(refusals(VerbId::Scale, &["core-x"]).len(), 1);
        let refused = preview(&rails, plan(VerbId::Restart, &[1], &["core-x"]));
        assert!(matches!(confirm(&refused, &Confirmation { yes: true, ..said(&refused) }), Err(Refused::Forbidden(_))));
    }

    #[test]
    fn a_rule_that_names_no_verb_locks_its_tier() {
        let (rails, diags) = rails("[tiers.production]\ndeny = [\"drian node/*\"]\n");
        assert_eq!(diags.len(), 1, "{diags:?}");
        assert!(rails.get(ClusterId(0)).unwrap().read_only.as_ref().unwrap().contains("did you mean `drain`?"));
        assert_eq!(rails.get(ClusterId(1)).unwrap().read_only, None);
        assert!(preview(&rails, plan(VerbId::Restart, &[0], &["a"])).gate.refusals[0].starts_with("prod eu is read-only: "));
    }

    #[test]
    fn a_rule_that_names_no_object_locks_its_tier_and_kinds_go_by_every_name() {
        let (locked, diags) = rails("[tiers.staging]\ndeny = [\"restart core-*\"]\n");
        assert_eq!(diags.len(), 1, "{diags:?}");
        assert!(locked.get(ClusterId(1)).unwrap().read_only.as_ref().unwrap().contains("write KIND/NAME, such as `restart node/core-*`"));
        for kind in ["deploy", "deployments", "Deployment", "dep*"] {
            let (rails, _) = rails(&format!("[tiers.staging]\ndeny = [\"restart {kind}/core-*\"]\n"));
            assert_eq!(preview(&rails, plan(VerbId::Restart, &[1], &["core-x"])).gate.refusals.len(), 1, "{kind}");
        }
    }

    #[test]
    fn a_reason_the_shown_plan_and_a_clean_preflight_are_needed() {
        let (rails, _) = rails("[tiers.staging]\nreason = \"required\"\n");
        let mut stage = preview(&rails, plan(VerbId::Restart, &[1], &["a"]));
        let yes = Confirmation { yes: true, ..said(&stage) };
        assert_eq!(confirm(&stage, &yes).unwrap_err(), Refused::NoReason);
        let yes = Confirmation { reason: Some("INC-7".into()), ..yes };
        assert_eq!(confirm(&stage, &yes).unwrap().reason(), Some("INC-7"));
        assert_eq!(confirm(&stage, &Confirmation { hash: "other".into(), ..yes.clone() }).unwrap_err(), Refused::OtherPlan);
        let mut found = |finding| {
            stage.preflight.checks = vec![Check { cluster: ClusterId(1), text: "dry run".into(), finding, warnings: vec![] }];
            confirm(&stage, &yes).err()
        };
        assert!(matches!(found(Finding::Drifted("moved".into())), Some(Refused::Drifted(_))));
        assert!(matches!(found(Finding::Forbidden("no".into())), Some(Refused::Forbidden(_))));
        assert_eq!(found(Finding::Unknown("webhook".into())), None, "what cannot be told keeps nobody");
    }

    #[test]
    fn denied_steps_count_as_well_as_named_objects() {
        let (rails, _) = rails("[tiers.staging]\ndeny = [\"* pod/db-*\"]\n");
        let mut drain = plan(VerbId::Drain, &[1], &["a"]);
        let pod = Target { resource: Kind::Pod.into(), name: "db-0".into(), ..drain.targets[0].clone() };
        drain.steps.push(Step::new("evict", &pod, crate::model::Act::evict(None)));
        assert_eq!(rails.gate(&drain, MONDAY).refusals.len(), 1);
    }
}
