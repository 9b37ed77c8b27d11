//! What somebody has said of findings: that one may be, for a while and for a reason; and how bad a rule is in a tier.

use super::{Finding, Rules};
use crate::config::{Config, Glob, Override, Suppression, suppression_end};
use crate::model::Object;
use crate::store::Cluster;

/// What the configuration says of findings.
pub struct Policy {
    suppressions: Vec<Suppression>,
    overrides: Vec<Override>,
    infra: Vec<Glob>,
    /// Seconds for which what is new is left in peace: who makes it may not be done.
    pub(super) new_for: i64,
}

impl Default for Policy {
    fn default() -> Self {
        Self::of(&Config::default())
    }
}

impl Policy {
    /// As the configuration has it.
    pub fn of(config: &Config) -> Self {
        let infra = config.infra_namespaces.value.clone();
        let new_for = i64::try_from(config.new_for.value.as_secs().min(1_000_000_000)).unwrap_or_default();
        Self { suppressions: config.suppressions.clone(), overrides: config.overrides.clone(), infra, new_for }
    }

    /// Whether what lives in a namespace is what the cluster itself runs on.
    pub(super) fn infra(&self, namespace: &str) -> bool {
        self.infra.iter().any(|g| g.matches(namespace))
    }

    /// Rules that it names and that do not exist.
    pub fn strangers(&self, rules: &Rules) -> Vec<String> {
        let known = |id: &str| rules.find(id).is_some();
        let glob = self.suppressions.iter().filter(|s| !rules.all().iter().any(|r| s.rule.matches(r.id))).map(|s| s.rule.as_str());
        let named = self.overrides.iter().map(|o| o.rule.as_str()).filter(|id| !known(id));
        glob.chain(named).map(|name| crate::diag::unknown("rule", name, rules.all().iter().map(|r| r.id))).collect()
    }

    /// The finding as it is to be told, and when that ends (unix seconds). None: the rule is off there.
    pub(super) fn apply(
        &self,
        cluster: &Cluster,
        object: Option<&Object>,
        mut finding: Finding,
        now: i64,
    ) -> Option<(Finding, Option<i64>)> {
        if let Some(tier) = cluster.info.tier.as_deref() {
            let own = |o: &&Override| o.tier == *tier && o.rule == finding.rule.id;
            if let Some(o) = self.overrides.iter().find(own) {
                finding.severity = o.severity?;
            }
        }
        let (namespace, name) = finding.place().map_or(("", &*cluster.info.name), |o| (&*o.namespace, &*o.name));
        let fits = |s: &&Suppression| {
            s.until.secs() > now
                && s.rule.matches(finding.rule.id)
                && s.cluster.as_ref().is_none_or(|g| g.matches(&cluster.info.name))
                && s.namespace.as_ref().is_none_or(|g| !namespace.is_empty() && g.matches(namespace))
                && s.name.as_ref().is_none_or(|g| g.matches(name))
        };
        let configured = self.suppressions.iter().filter(fits).max_by_key(|s| s.until).map(|s| (s.reason.clone(), s.until));
        // A measurement carries no annotation: what it is about does.
        let about = finding.about.as_ref().and_then(|o| {
            let table = cluster.table(o.kind);
            table.get(table.slot_of(o.uid)?)
        });
        let said = |o: &Object| annotated(o.meta().ignore.as_deref()?, finding.rule.id).filter(|(_, until)| until.secs() > now);
        let own = || object.and_then(said).or_else(|| about.and_then(said));
        let Some((reason, until)) = configured.or_else(own) else { return Some((finding, None)) };
        finding.suppressed = Some(format!("{reason} (until {})", until.rfc3339()));
        Some((finding, Some(until.secs())))
    }
}

/// What an object says of a rule in `quarterdeck.io/ignore`: `rule[,rule]=reason until=2026-12-31`, several of them with `;` between. Without
/// an end it says nothing: what is forgotten would stay for ever.
fn annotated(text: &str, rule: &str) -> Option<(String, crate::model::Time)> {
    text.split(';').find_map(|part| {
        let (rules, rest) = part.trim().split_once('=')?;
        rules.split(',').any(|r| r.trim() == rule).then_some(())?;
        let (reason, until) = rest.rsplit_once("until=")?;
        Some((reason.trim().to_owned(), suppression_end(until.trim())?))
    })
}

impl Finding {
    /// Whether somebody should look: nobody has said that it may be.
    pub fn open(&self) -> bool {
        self.suppressed.is_none()
    }

    /// Whether it is told at once, beside what else burns.
    pub(super) fn burns(&self) -> bool {
        self.rule.burns && self.open()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::Severity;
    use crate::inspect::fixture::{Fleet, NOW, node};
    use crate::model::{FindingRow, FindingState, Kind, Time};
    use serde_json::json;

    fn state(fleet: &mut Fleet) -> Option<(FindingState, Severity)> {
        for (cluster, changes) in fleet.engine.news() {
            fleet.delta(cluster.0, crate::model::Delta::Rows { kind: Kind::Finding, changes });
        }
        let uid = FindingRow::uid("node-not-ready", crate::inspect::fixture::uid(Kind::Node, "n"));
        match fleet.store.find(crate::model::ClusterId(0), Kind::Finding, uid) {
            Some((_, Object::Finding(row))) => Some((row.state, row.severity)),
            _ => None,
        }
    }

    #[test]
    fn what_may_be_burns_no_more_until_its_end() {
        let until = Time::from_secs(NOW + 100).unwrap().rfc3339();
        let text = format!("[[suppress]]\nrule = 'node-*'\ncluster = 'prod'\nreason = 'new rack'\nuntil = '{until}'\n");
        let mut f = Fleet::configured(&text);
        f.put(Kind::Node, [node("n", "False", 9000)]);
        assert_eq!((state(&mut f), f.lines().len()), (Some((FindingState::Suppressed, Severity::Critical)), 0));
        assert_eq!(f.store.clusters()[0].counts.findings_bad, 0);
        f.wait(99);
        assert_eq!(f.lines().len(), 0);
        f.wait(1);
        assert_eq!((state(&mut f), f.lines().len()), (Some((FindingState::Open, Severity::Critical)), 1));
        let mut elsewhere = Fleet::configured(&text.replace("'prod'", "'dev'"));
        elsewhere.put(Kind::Node, [node("n", "False", 9000)]);
        assert_eq!(elsewhere.lines().len(), 1);
    }

    #[test]
    fn an_object_says_it_itself_with_a_reason_and_an_end() {
        let of = |text: &str| {
            let mut f = Fleet::configured("");
            let mut n = node("n", "False", 9000);
            n["metadata"]["annotations"] = json!({"quarterdeck.io/ignore": text});
            f.put(Kind::Node, [n]);
            f.lines().len()
        };
        assert_eq!(of("pod-pending,node-not-ready=new rack until=2026-12-31"), 0);
        assert_eq!(of("x=y until=2026-12-31; node-not-ready=new rack until=2026-12-31"), 0);
        assert_eq!(of("node-not-ready=new rack"), 1, "without an end");
        assert_eq!(of("node-not-ready=new rack until=2026-01-01"), 1, "over");
        assert_eq!(of("pod-pending=new rack until=2026-12-31"), 1, "another rule");
    }

    #[test]
    fn a_tier_has_its_own_word() {
        let with = |word: &str| {
            let mut f = Fleet::configured(&format!("[severity.production]\nnode-not-ready = '{word}'\n"));
            f.put(Kind::Node, [node("n", "False", 9000)]);
            state(&mut f).map(|s| s.1)
        };
        assert_eq!((with("info"), with("warning"), with("off")), (Some(Severity::Info), Some(Severity::Warning), None));
        let policy = Policy {
            overrides: vec![Override { tier: "staging".into(), rule: "node-not-redy".into(), severity: None }],
            ..Policy::default()
        };
        let strangers = policy.strangers(&Rules::default());
        assert!(strangers[0].contains("node-not-ready"), "{strangers:?}");
    }
}
