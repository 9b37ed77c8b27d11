//! `qd inspect`, `qd rule`: what the rules find, once, on paper.

use super::args::{Global, Output};
use super::fail::{Code, Failure};
use super::{print, read};
use crate::inspect::{RULES, RuleInfo, Severity};
use crate::model::{Kind, KindState, Service, ServiceState};
use crate::report::{Report, Wanted, html, junit, markdown, sarif};
use crate::runtime::now;
use crate::store::Cluster;
use crate::table::Align;
use crate::view::width;
use serde_json::json;
use std::path::PathBuf;

/// What is asked for.
#[derive(clap::Args, Debug, Clone)]
pub struct Inspect {
    /// Only this rule; may be given several times
    #[arg(long, value_name = "ID", value_parser = super::suggest::Suggest(super::suggest::rules), hide_possible_values = true)]
    pub rule: Vec<String>,
    /// Only rules of this area; may be given several times
    #[arg(long, value_name = "AREA", value_parser = super::suggest::Suggest(super::suggest::areas), hide_possible_values = true)]
    pub area: Vec<String>,
    /// Exit code 6 when something is found that is this bad, or worse: info, warning, critical
    #[arg(long, value_name = "SEVERITY", value_parser = severity)]
    pub fail_on: Option<Severity>,
    /// Compare with an earlier report, as -o json wrote it: what is new, still there, fixed
    #[arg(long, value_name = "REPORT")]
    pub since: Option<PathBuf>,
}

fn severity(text: &str) -> Result<Severity, String> {
    Severity::parse(text).ok_or_else(|| crate::diag::unknown("severity", text, Severity::ALL.map(Severity::word)))
}

/// Everything that rules read.
fn kinds() -> Vec<Kind> {
    Kind::ALL.into_iter().filter(|k| *k != Kind::Finding).collect()
}

pub fn run(global: &Global, args: &Inspect) -> Result<Code, Failure> {
    let before = args.since.as_ref().map(read_report).transpose()?;
    for (what, given, known) in [("rule", &args.rule, super::suggest::rules()), ("area", &args.area, super::suggest::areas())] {
        if let Some(odd) = given.iter().find(|g| !known.contains(&g.as_str())) {
            return Err(Failure::usage(crate::diag::unknown(what, odd, known)));
        }
    }
    let wanted = Wanted { rules: args.rule.clone(), areas: args.area.clone(), namespaces: global.namespace.clone() };
    let runtime = super::runtime()?;
    let (mut report, partial) = runtime.block_on(async {
        let (fleet, _) = read::open_judged(global, &kinds(), global.timeout).await?;
        let partial = fleet.store.clusters().iter().any(|c| !whole(c));
        for c in fleet.store.clusters().iter().filter(|c| !c.state.live()) {
            eprintln!("qd: {}: {}{}", c.info.name, c.state.word(), c.state.reason().map(|r| format!(": {r}")).unwrap_or_default());
        }
        Ok::<_, Failure>((Report::of(&fleet.store, &fleet.engine, &wanted, now()), partial))
    })?;
    runtime.shutdown_background();
    if let Some(before) = &before {
        report = report.compare(before);
    }
    write(global.output, &report)?;
    Ok(match args.fail_on {
        Some(severity) if report.fails(severity) => Code::Found,
        _ if partial => Code::Partial,
        _ => Code::Done,
    })
}

/// Whether a cluster was seen with all that rules read of it there.
fn whole(c: &Cluster) -> bool {
    let kind = |k: Kind| !matches!(c.kind_state(k), KindState::Forbidden { .. } | KindState::Failing { .. });
    let service = |s: Service| {
        !matches!(c.service(s).state, ServiceState::Failing { .. } | ServiceState::Stale { .. } | ServiceState::Forbidden { .. })
    };
    c.state.live() && Kind::WATCHED.into_iter().all(kind) && Service::ALL.into_iter().all(service)
}

fn read_report(path: &PathBuf) -> Result<Report, Failure> {
    let file = path.display();
    let text = std::fs::read_to_string(path).map_err(|e| Failure::usage(format!("{file}: {e}")))?;
    serde_json::from_str(&text).map_err(|e| Failure::usage(format!("{file}: no report: {e}")).hint("`qd inspect -o json` writes one"))
}

fn write(output: Output, report: &Report) -> Result<(), Failure> {
    let pretty = |value: &serde_json::Value| serde_json::to_string_pretty(value).map(|t| t + "\n").map_err(std::io::Error::from);
    let text = match output {
        Output::Json => serde_json::to_string_pretty(report).map_err(std::io::Error::from)? + "\n",
        Output::Yaml => crate::doc::Doc::new(&json!(report)).text(),
        Output::Markdown => markdown(report),
        Output::Html => html(report),
        Output::Sarif => pretty(&sarif(report))?,
        Output::Junit => junit(report),
        Output::Csv => csv(report),
        Output::Name => report.items.iter().map(|i| format!("{}/{}\n", i.kind.to_lowercase(), i.name)).collect(),
        Output::Table | Output::Wide => return table(output, report),
    };
    print::text(&text)
}

fn csv(report: &Report) -> String {
    let mut out = "severity,rule,cluster,kind,namespace,name,message,since\n".to_owned();
    for i in &report.items {
        let cells = [
            &i.severity,
            &i.rule,
            &i.cluster,
            &i.kind,
            i.namespace.as_deref().unwrap_or(""),
            &i.name,
            &i.message,
            i.since.as_deref().unwrap_or(""),
        ];
        out.push_str(&cells.map(print::csv).join(","));
        out.push('\n');
    }
    out
}

/// For people: the worst first, grouped by rule; then what was not evaluated.
fn table(output: Output, report: &Report) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let titles: Vec<(&str, Align)> = ["SEVERITY", "RULE", "CLUSTER", "OBJECT", "WHAT"].map(|t| (t, Align::Left)).to_vec();
    let few = if output == Output::Wide { usize::MAX } else { 5 };
    let mut cells = Vec::new();
    for (rule, items) in report.by_rule() {
        for i in items.iter().take(few) {
            let place = i.namespace.as_ref().map_or_else(String::new, |n| format!("{n}/"));
            let new = if i.change.as_deref() == Some("new") { "new: " } else { "" };
            cells.push(vec![
                i.severity.clone(),
                rule.to_owned(),
                i.cluster.clone(),
                format!("{} {place}{}", i.kind, i.name),
                format!("{new}{}", i.message),
            ]);
        }
        if items.len() > few {
            cells.push(vec![
                String::new(),
                rule.to_owned(),
                String::new(),
                String::new(),
                format!("and {} more; -o wide has all", items.len() - few),
            ]);
        }
    }
    if cells.is_empty() {
        eprintln!("qd: nothing was found");
    } else {
        print::grid(&mut out, &titles, &cells)?;
    }
    for c in &report.clusters {
        let score = c.score.map_or_else(|| "not seen".to_owned(), |s| format!("score {s}"));
        let was = c.score_before.map_or_else(String::new, |b| format!(" (was {b})"));
        eprintln!(
            "qd: {}: {score}{was}; {} critical, {} warnings, {} info; {} rules judged, {} could not",
            c.name,
            c.critical,
            c.warning,
            c.info,
            c.evaluated,
            c.not_evaluated.len()
        );
    }
    if let Some(since) = &report.since {
        eprintln!("qd: fixed since {since}: {}", report.fixed.len());
    }
    Ok(())
}

/// `qd rule list`.
pub fn list(global: &Global) -> Result<Code, Failure> {
    match global.output {
        Output::Json => {
            let all: Vec<_> = RULES.iter().map(|r| told(r)).collect();
            print::text(&(serde_json::to_string_pretty(&json!({"items": all})).map_err(std::io::Error::from)? + "\n"))?;
        }
        Output::Name => print::text(&RULES.iter().map(|r| format!("{}\n", r.id)).collect::<String>())?,
        _ => {
            let titles: Vec<(&str, Align)> = ["RULE", "TIER", "AREA", "UP-TO", "FINDS"].map(|t| (t, Align::Left)).to_vec();
            let cells: Vec<Vec<String>> = RULES
                .iter()
                .map(|r| vec![r.id.to_owned(), r.tier.to_string(), r.area.to_owned(), r.severity.word().to_owned(), r.summary.to_owned()])
                .collect();
            print::grid(&mut std::io::stdout().lock(), &titles, &cells)?;
        }
    }
    Ok(Code::Done)
}

fn told(r: &RuleInfo) -> serde_json::Value {
    let kinds: Vec<&str> = r.kinds.iter().map(|k| k.name()).collect();
    let thresholds: Vec<_> = r.thresholds.iter().map(|t| json!({"name": t.name, "default": t.default, "is": t.doc})).collect();
    json!({"id": r.id, "area": r.area, "tier": r.tier, "severity": r.severity.word(), "scope": r.scope, "finds": r.summary, "why": r.why,
        "kinds": kinds, "needs": r.needs.iter().map(|n| n.words()).collect::<Vec<_>>(), "thresholds": thresholds, "peers": r.peers})
}

/// `qd rule show ID`.
pub fn show(global: &Global, id: &str) -> Result<Code, Failure> {
    let rule = RULES.iter().find(|r| r.id == id);
    let rule = rule.ok_or_else(|| Failure::usage(crate::diag::unknown("rule", id, RULES.iter().map(|r| r.id))))?;
    if global.output == Output::Json {
        print::text(&(serde_json::to_string_pretty(&told(rule)).map_err(std::io::Error::from)? + "\n"))?;
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
    let label = lines.iter().map(|(l, _)| width(l)).max().unwrap_or(0);
    let text: String = lines.iter().map(|(l, t)| format!("  {l}{}  {t}\n", " ".repeat(label - width(l)))).collect();
    print::text(&format!("{}\n{text}", rule.id))?;
    Ok(Code::Done)
}
