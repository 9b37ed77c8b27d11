//! `qd rule`: the rules there are, one of them, and the cases of the user's own.

use super::args::{Global, Output};
use super::fail::{Code, Failure};
use super::{print, read};
use crate::config::{Config, OwnRule, parse_rules};
use crate::diag::Diag;
use crate::inspect::{RuleInfo, Rules, Thresholds, blind_words, judges_manifests, run_cases};
use crate::report::{ClusterReport, Report, Wanted};
use crate::runtime::{now, thresholds};
use crate::table::Align;
use crate::view::width;
use serde_json::json;
use std::collections::HashMap;
use std::path::PathBuf;

/// The configuration with the rules that it brings.
///
/// # Errors
/// When one has a mistake: a report gets no answer that may have left out what the broken rule meant.
pub fn loaded(global: &Global) -> Result<(Config, Thresholds), Failure> {
    let loaded = Config::load(global.config.as_deref());
    let (thresholds, more) = thresholds(&loaded.config);
    refuse(loaded.diags.iter().chain(&more))?;
    Ok((loaded.config, thresholds))
}

fn refuse<'a>(diags: impl Iterator<Item = &'a Diag>) -> Result<(), Failure> {
    let errors: Vec<&Diag> = diags.filter(|d| d.is_error()).collect();
    for d in &errors {
        eprintln!("{d}");
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(Failure::usage("the configuration or a rule of it has mistakes")
        .hint("`qd config check` lists them all; the cockpit opens all the same"))
}

/// The rules there are; what is wrong with those of the configuration is told.
fn rules(global: &Global) -> (Rules, Vec<OwnRule>) {
    let loaded = Config::load(global.config.as_deref());
    let (rules, diags) = Rules::of(&loaded.config);
    for d in loaded.diags.iter().chain(&diags) {
        eprintln!("{d}");
    }
    (rules, loaded.config.rules)
}

/// Where rules cannot judge: by rule, the clusters and why.
type Blind = HashMap<&'static str, Vec<(String, String)>>;

/// Looks at the clusters that the arguments name. Nobody is asked where none is named.
fn blind(global: &Global) -> Result<Option<Blind>, Failure> {
    if global.context.is_empty() && global.clusters.is_none() && !global.all {
        return Ok(None);
    }
    let runtime = super::runtime()?;
    let blind = runtime.block_on(async {
        let (fleet, _) = read::open_judged(global, &read::judged(), global.timeout).await?;
        let report = Report::of(&fleet.store, &fleet.engine, &Wanted::default(), now());
        let mut blind = Blind::new();
        for rule in fleet.engine.rules().all() {
            let not = |c: &ClusterReport| c.not_evaluated.iter().find(|n| n.rule == rule.id).map(|n| (c.name.clone(), n.why.clone()));
            blind.insert(rule.id, report.clusters.iter().filter_map(not).collect());
        }
        Ok::<_, Failure>(blind)
    });
    runtime.shutdown_background();
    blind.map(Some)
}

/// `qd rule list`.
pub fn list(global: &Global) -> Result<Code, Failure> {
    let (rules, written) = rules(global);
    let blind = blind(global)?;
    let not = |r: &RuleInfo| blind.as_ref().map(|b| b.get(r.id).map_or(&[][..], Vec::as_slice));
    match global.output {
        Output::Json => {
            let one = |r: &&'static RuleInfo| {
                let mut all = told(&rules, &written, r);
                if let Some(not) = not(r) {
                    all["not_evaluated"] = not.iter().map(|(cluster, why)| json!({"cluster": cluster, "why": why})).collect();
                }
                all
            };
            let all: Vec<_> = rules.all().iter().map(one).collect();
            print::text(&(serde_json::to_string_pretty(&json!({"items": all})).map_err(std::io::Error::from)? + "\n"))?;
        }
        Output::Name => print::text(&rules.all().iter().map(|r| format!("{}\n", r.id)).collect::<String>())?,
        _ => {
            let last = if blind.is_some() { "NOT EVALUATED IN" } else { "FINDS" };
            let titles: Vec<(&str, Align)> = ["RULE", "TIER", "AREA", "UP-TO", last].map(|t| (t, Align::Left)).to_vec();
            let line = |r: &&'static RuleInfo| {
                let last = not(r).map_or_else(|| r.summary.to_owned(), blind_words);
                vec![r.id.to_owned(), r.tier.to_string(), r.area.to_owned(), r.severity.word().to_owned(), last]
            };
            let cells: Vec<Vec<String>> = rules.all().iter().map(line).collect();
            print::grid(&mut std::io::stdout().lock(), &titles, &cells)?;
        }
    }
    Ok(Code::Done)
}

fn source(written: &[OwnRule], rule: &RuleInfo) -> Option<String> {
    written.iter().find(|w| w.id.value == rule.id).map(|w| w.id.origin.to_string())
}

fn told(rules: &Rules, written: &[OwnRule], r: &RuleInfo) -> serde_json::Value {
    let kinds: Vec<&str> = r.kinds.iter().map(|k| k.name()).collect();
    let thresholds: Vec<_> = r.thresholds.iter().map(|t| json!({"name": t.name, "default": t.default, "is": t.doc})).collect();
    json!({"id": r.id, "area": r.area, "tier": r.tier, "severity": r.severity.word(), "scope": r.scope, "finds": r.summary, "why": r.why,
        "kinds": kinds, "needs": r.needs.iter().map(|n| n.words()).collect::<Vec<_>>(), "thresholds": thresholds, "peers": r.peers,
        "manifests": judges_manifests(r, rules.is_own(r.id)),
        "links": r.links, "source": source(written, r)})
}

/// `qd rule show ID`.
pub fn show(global: &Global, id: &str) -> Result<Code, Failure> {
    let (rules, written) = rules(global);
    let rule = rules.find(id).ok_or_else(|| Failure::usage(crate::diag::unknown("rule", id, rules.all().iter().map(|r| r.id))))?;
    if global.output == Output::Json {
        print::text(&(serde_json::to_string_pretty(&told(&rules, &written, rule)).map_err(std::io::Error::from)? + "\n"))?;
        return Ok(Code::Done);
    }
    let mut lines = vec![
        ("finds", rule.summary.to_owned()),
        ("matters", rule.why.to_owned()),
        ("area", rule.area.to_owned()),
        ("tier", rule.tier.to_string()),
        ("up to", rule.severity.word().to_owned()),
        ("judges", rule.scope.to_owned()),
    ];
    lines.extend(rule.needs.iter().map(|n| ("needs", n.words())));
    lines
        .extend(rule.thresholds.iter().map(|t| ("threshold", format!("thresholds.{}.{} = \"{}\"  {}", rule.id, t.name, t.default, t.doc))));
    lines.extend((!rule.peers.is_empty()).then(|| ("as", rule.peers.join(", "))));
    lines.extend(rule.links.iter().map(|l| ("read", (*l).to_owned())));
    lines.extend(source(&written, rule).map(|s| ("from", s)));
    let label = lines.iter().map(|(l, _)| width(l)).max().unwrap_or(0);
    let text: String = lines.iter().map(|(l, t)| format!("  {l}{}  {t}\n", " ".repeat(label - width(l)))).collect();
    print::text(&format!("{}\n{text}", rule.id))?;
    Ok(Code::Done)
}

/// `qd rule test [FILE..]`.
pub fn test(global: &Global, files: &[PathBuf]) -> Result<Code, Failure> {
    let mut config = Config::default();
    if files.is_empty() {
        config = loaded(global)?.0;
    } else {
        let mut diags = Vec::new();
        for file in files {
            let text = std::fs::read_to_string(file).map_err(|e| Failure::usage(format!("{}: {e}", file.display())))?;
            parse_rules(&text, file, &mut config.rules, &mut diags);
        }
        refuse(diags.iter())?;
    }
    let (rules, diags) = Rules::of(&config);
    refuse(diags.iter())?;
    let results = run_cases(&rules, &config.rules, now());
    let idle: Vec<&OwnRule> = config.rules.iter().filter(|r| !r.cases.iter().any(|c| c.fires.value)).collect();
    let failed = results.iter().filter(|r| r.wrong.is_some()).count();
    if global.output == Output::Json {
        let items: Vec<_> = results
            .iter()
            .map(|r| json!({"rule": r.rule, "case": r.case, "at": r.at, "ok": r.wrong.is_none(), "message": r.wrong}))
            .collect();
        let without: Vec<_> = idle.iter().map(|r| &r.id.value).collect();
        let all = json!({"items": items, "without_a_case_that_fires": without});
        print::text(&(serde_json::to_string_pretty(&all).map_err(std::io::Error::from)? + "\n"))?;
    } else {
        let line = |r: &crate::inspect::CaseResult| match &r.wrong {
            None => format!("ok    {}: {}\n", r.rule, r.case),
            Some(wrong) => format!("wrong {}: {} ({}): {wrong}\n", r.rule, r.case, r.at),
        };
        print::text(&results.iter().map(line).collect::<String>())?;
        for rule in &idle {
            eprintln!("{}: rule `{}` has no case in which it fires", rule.id.origin, rule.id.value);
        }
        eprintln!("qd: {} rules, {} cases, {failed} wrong", config.rules.len(), results.len());
    }
    Ok(if failed == 0 && idle.is_empty() { Code::Done } else { Code::Failed })
}
