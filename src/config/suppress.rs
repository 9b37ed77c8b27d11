//! What may be as it is: findings that somebody has looked at, with a reason and an end; and how bad a rule is in a tier.

use super::glob::Glob;
use super::walk::{Entries, KeyDoc, Value, Walk, find};
use crate::model::{Severity, Time};

const fn key(name: &'static str, doc: &'static str) -> KeyDoc {
    KeyDoc { name, doc }
}

pub(super) const SUPPRESS: &[KeyDoc] = &[
    key("rule", "the rule, or a glob of rules"),
    key("cluster", "clusters by their names, a glob; all"),
    key("namespace", "namespaces, a glob; all, and what is cluster-wide"),
    key("name", "objects by their names, a glob; all"),
    key("reason", "why it may be so"),
    key("until", "when it ends, as 2026-12-31 or 2026-12-31T08:00:00Z"),
];

/// Findings that are not to be looked at for a while.
#[derive(Clone, Debug)]
pub struct Suppression {
    pub rule: Glob,
    pub cluster: Option<Glob>,
    pub namespace: Option<Glob>,
    pub name: Option<Glob>,
    pub reason: String,
    pub until: Time,
}

/// The severity of a rule in the clusters of a tier.
#[derive(Clone, PartialEq, Debug)]
pub struct Override {
    /// `production`, `staging`, `development`.
    pub tier: String,
    pub rule: String,
    /// None: the rule says nothing there.
    pub severity: Option<Severity>,
}

/// The namespaces of what clusters themselves run on, where nobody says otherwise.
pub(super) fn infra() -> Vec<Glob> {
    let names =
        ["kube-*", "calico-*", "tigera-*", "cilium*", "*csi*", "rook-ceph", "longhorn-system", "metallb-system", "monitoring", "velero"];
    names.iter().filter_map(|n| Glob::new(n).ok()).collect()
}

/// Reads `2026-12-31` (its beginning, UTC) or a time of RFC 3339.
pub fn end(text: &str) -> Option<Time> {
    let day = || text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|z| z.timestamp());
    Time::from_secs(text.parse::<jiff::Timestamp>().ok().or_else(day)?.as_second())
}

/// Reads `[[suppress]]`.
pub(super) fn read(walk: &mut Walk, entries: &Entries<'_>, into: &mut Vec<Suppression>) {
    let Some((_, value)) = find(entries, "suppress") else { return };
    into.extend(walk.list(value, one).into_iter().flatten());
}

fn one(walk: &mut Walk, value: &Value<'_>) -> Option<Suppression> {
    let mark = walk.diags.len();
    let table = walk.table(value)?;
    walk.check_keys(table, "a suppression", SUPPRESS);
    let mut glob = |name: &str| {
        let (_, value) = find(table, name)?;
        let text = walk.string(value)?;
        walk.glob(&text, value.span())
    };
    let (rule, cluster, namespace, name) = (glob("rule"), glob("cluster"), glob("namespace"), glob("name"));
    let reason = find(table, "reason").and_then(|(_, v)| walk.string(v)).filter(|r| !r.trim().is_empty());
    let until = find(table, "until").and_then(|(_, v)| {
        let text = walk.string(v)?;
        let at = end(&text);
        if at.is_none() {
            walk.wrong(v.span(), format!("`{text}` is no time; write 2026-12-31 or 2026-12-31T08:00:00Z"));
        }
        at
    });
    if walk.first_error_since(mark).is_some() {
        return None;
    }
    let (Some(rule), Some(reason), Some(until)) = (rule, reason, until) else {
        walk.wrong(value.span(), "a suppression has a rule, a reason and an end (until)");
        return None;
    };
    Some(Suppression { rule, cluster, namespace, name, reason, until })
}

/// Reads `[severity.TIER]`: rules with `info`, `warning`, `critical` or `off`.
pub(super) fn read_overrides(walk: &mut Walk, entries: &Entries<'_>, into: &mut Vec<Override>) {
    let Some((_, value)) = find(entries, "severity") else { return };
    for (tier, value) in walk.table(value).into_iter().flatten() {
        let name = tier.get_ref().to_string();
        if !["production", "staging", "development"].contains(&name.as_str()) {
            let known = ["production", "staging", "development"];
            walk.wrong(tier.span(), crate::diag::unknown("tier", &name, known));
            continue;
        }
        for (rule, value) in walk.table(value).into_iter().flatten() {
            let Some(text) = walk.string(value) else { continue };
            let severity = Severity::parse(&text);
            if severity.is_none() && text != "off" {
                walk.wrong(value.span(), crate::diag::unknown("severity", &text, ["info", "warning", "critical", "off"]));
                continue;
            }
            into.push(Override { tier: name.clone(), rule: rule.get_ref().to_string(), severity });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::path::Path;

    fn parse(text: &str) -> (Config, Vec<String>) {
        let loaded = Config::parse(text, Path::new("c.toml"));
        (loaded.config, loaded.diags.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_reason_and_an_end_are_asked_for() {
        let (config, diags) = parse("[[suppress]]\nrule = 'pdb-*'\nnamespace = 'team-*'\nreason = 'batch only'\nuntil = '2026-12-31'\n");
        assert_eq!(diags, Vec::<String>::new());
        let s = &config.suppressions[0];
        assert!(s.rule.matches("pdb-missing") && s.namespace.as_ref().unwrap().matches("team-01") && s.cluster.is_none());
        assert_eq!((s.reason.as_str(), s.until.rfc3339().as_str()), ("batch only", "2026-12-31T00:00:00Z"));
        for (text, said) in [
            ("[[suppress]]\nrule = 'a'\nreason = 'x'\n", "has a rule, a reason and an end"),
            ("[[suppress]]\nrule = 'a'\nreason = ' '\nuntil = '2026-12-31'\n", "has a rule, a reason and an end"),
            ("[[suppress]]\nrule = 'a'\nreason = 'x'\nuntil = 'tomorrow'\n", "`tomorrow` is no time"),
            ("[[suppress]]\nrule = '['\nreason = 'x'\nuntil = '2026-12-31'\n", "c.toml:2"),
            ("[[suppress]]\nrul = 'a'\n", "rule"),
        ] {
            let (config, diags) = parse(text);
            assert!(config.suppressions.is_empty() && diags.iter().any(|d| d.contains(said)), "{text}: {diags:?}");
        }
    }

    #[test]
    fn a_tier_has_its_own_severities() {
        let (config, diags) = parse("[severity.development]\npod-pending = 'info'\npdb-missing = 'off'\n");
        assert_eq!(diags, Vec::<String>::new());
        let of = |rule: &str, severity| Override { tier: "development".into(), rule: rule.into(), severity };
        let mut all = config.overrides;
        all.sort_by(|a, b| a.rule.cmp(&b.rule));
        assert_eq!(all, [of("pdb-missing", None), of("pod-pending", Some(Severity::Info))]);
        for (text, said) in [("[severity.prod]\na = 'info'\n", "production"), ("[severity.staging]\na = 'wrning'\n", "warning")] {
            let (_, diags) = parse(text);
            assert!(diags.iter().any(|d| d.contains(said)), "{diags:?}");
        }
    }
}
