//! The checks of other programs (`peers.toml`): which rule has each, or why it is left out.

use quarterdeck::inspect::RULES;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Peers {
    program: Vec<Program>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Program {
    name: String,
    checks: Vec<String>,
    #[serde(default)]
    left_out: Vec<LeftOut>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LeftOut {
    why: String,
    checks: Vec<String>,
}

fn peers() -> Peers {
    toml::from_str(include_str!("peers.toml")).unwrap()
}

/// The rules that have a check, by program and check; those that see only a part of it apart.
fn rules(part: bool) -> BTreeMap<(&'static str, &'static str), Vec<&'static str>> {
    let mut all: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for rule in RULES {
        for peer in rule.peers.iter().filter(|p| p.starts_with('~') == part) {
            let (program, check) = peer.trim_start_matches('~').split_once(':').unwrap();
            all.entry((program, check)).or_default().push(rule.id);
        }
    }
    all
}

/// The tables of `docs/rules.md`.
pub fn tables() -> String {
    let (peers, whole, part) = (peers(), rules(false), rules(true));
    let mut out = "\n## Checks of other programs\n\n| Program | Checks | Ours |\n|---|---|---|\n".to_owned();
    for program in &peers.program {
        let ours = program.checks.iter().filter(|c| whole.contains_key(&(program.name.as_str(), c.as_str()))).count();
        let _ = writeln!(out, "| {} | {} | {ours} |", program.name, program.checks.len());
    }
    out.push_str("\n| Program | Check | Rule |\n|---|---|---|\n");
    for ((program, check), rules) in &whole {
        let _ = writeln!(out, "| {program} | {check} | {} |", rules.join(", "));
    }
    out.push_str("\n### Left out\n\n| Program | Checks | Why |\n|---|---|---|\n");
    for program in &peers.program {
        for left in &program.left_out {
            let of = |c: &String| {
                let seen = part.get(&(program.name.as_str(), c.as_str()));
                seen.map_or_else(|| c.clone(), |rules| format!("{c} (in part {})", rules.join(", ")))
            };
            let checks: Vec<String> = left.checks.iter().map(of).collect();
            let _ = writeln!(out, "| {} | {} | {} |", program.name, checks.join(", "), left.why);
        }
    }
    out
}

#[test]
fn every_check_of_a_peer_has_a_rule_or_a_reason() {
    let (whole, part) = (rules(false), rules(true));
    let mut wrong = Vec::new();
    for program in peers().program {
        let name = program.name.as_str();
        let ours = |c: &str| whole.keys().any(|(p, check)| *p == name && *check == c);
        let listed: BTreeSet<&str> = program.checks.iter().map(String::as_str).collect();
        let reasons: BTreeSet<&str> =
            program.left_out.iter().filter(|l| !l.why.is_empty()).flat_map(|l| &l.checks).map(String::as_str).collect();
        assert_eq!(listed.len(), program.checks.len(), "{name}: one is there twice");
        wrong.extend(
            listed.iter().filter(|c| !ours(c) && !reasons.contains(**c)).map(|c| format!("{name}:{c} has neither rule nor reason")),
        );
        wrong.extend(reasons.iter().filter(|c| ours(c)).map(|c| format!("{name}:{c} is left out and has a rule")));
        let named = whole.keys().chain(part.keys()).filter(|(p, _)| *p == name).map(|(_, c)| *c);
        let unknown = named.chain(reasons.iter().copied()).filter(|c| !listed.contains(c));
        wrong.extend(unknown.map(|c| format!("{name}:{c} is no check of it")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
