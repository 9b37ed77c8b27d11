//! `qd inspect`: what the rules find, once, on paper.

use super::args::{Global, Output, Writing};
use super::fail::{Code, Failure};
use super::metrics::Metrics;
use super::{act, manifest, print, read, rule};
use crate::inspect::Severity;
use crate::model::{Kind, KindState, Service, ServiceState};
use crate::report::{Report, Wanted, html, junit, markdown, metrics, sarif};
use crate::runtime::now;
use crate::store::Cluster;
use crate::table::Align;
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

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
    /// Judge manifests instead of clusters: a file, a directory of them, or - for standard input; may be given several times
    #[arg(long, value_name = "FILE")]
    pub file: Vec<PathBuf>,
    /// Write what is found into each cluster, in place of printing it
    #[arg(long, value_name = "FORM", value_enum, conflicts_with_all = ["rule", "area", "since", "file"], help_heading = "Publishing")]
    pub publish: Option<Form>,
    /// How often that is done, for who reads it and must know when it is old; 1h
    #[arg(long, value_name = "DURATION", value_parser = super::args::duration, requires = "publish", help_heading = "Publishing")]
    pub every: Option<Duration>,
    #[command(flatten)]
    pub metrics: Metrics,
    #[command(flatten, next_help_heading = "Publishing")]
    pub writing: Writing,
}

/// As what it is published.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// PolicyReports and a ClusterPolicyReport of wgpolicyk8s.io
    Policyreport,
}

fn severity(text: &str) -> Result<Severity, String> {
    Severity::parse(text).ok_or_else(|| crate::diag::unknown("severity", text, Severity::ALL.map(Severity::word)))
}

pub fn run(global: &Global, args: &Inspect) -> Result<Code, Failure> {
    let before = args.since.as_ref().map(read_report).transpose()?;
    let (config, thresholds) = rule::loaded(global)?;
    let known: Vec<&str> = thresholds.rules().all().iter().map(|r| r.id).collect();
    let areas: Vec<&str> = thresholds.rules().all().iter().map(|r| r.area).collect();
    for (what, given, known) in [("rule", &args.rule, known), ("area", &args.area, areas)] {
        if let Some(odd) = given.iter().find(|g| !known.contains(&g.as_str())) {
            return Err(Failure::usage(crate::diag::unknown(what, odd, known)));
        }
    }
    let wanted = Wanted { rules: args.rule.clone(), areas: args.area.clone(), namespaces: global.namespace.clone() };
    if args.publish.is_some() {
        // A part would take the place of the whole.
        if !global.namespace.is_empty() {
            return Err(Failure::usage("--publish is of whole clusters: leave -n out"));
        }
        act::named(global, &read::select(global, &config)?)?;
    }
    let began = Instant::now();
    let (mut report, partial, published, took) = if args.file.is_empty() {
        live(global, &wanted, args, began)?
    } else {
        let (report, partial) = manifest::judge(&args.file, &wanted, thresholds, &config)?;
        (report, partial, None, began.elapsed())
    };
    if let Some(before) = &before {
        report = report.compare(before);
    }
    if published.is_none() {
        write(global.output, &report, took)?;
    }
    // A dry run tells nobody; who cannot be told costs nothing of what is printed.
    if !args.writing.dry_run {
        args.metrics.tell(&report, took)?;
    }
    if let Some(code) = published.filter(|code| *code != Code::Done) {
        return Ok(code);
    }
    Ok(match args.fail_on {
        Some(severity) if report.fails(severity) => Code::Found,
        _ if partial => Code::Partial,
        _ => Code::Done,
    })
}

/// What is found in the clusters, whether one of them was not seen as a whole, what came of publishing it, where that is asked for, and how long
/// the inspection took.
fn live(global: &Global, wanted: &Wanted, args: &Inspect, began: Instant) -> Result<(Report, bool, Option<Code>, Duration), Failure> {
    let runtime = super::runtime()?;
    let found = runtime.block_on(async {
        let (mut fleet, _) = read::open_judged(global, &read::judged(), global.timeout).await?;
        let partial = fleet.store.clusters().iter().any(|c| !whole(c));
        for c in fleet.store.clusters().iter().filter(|c| !c.state.live()) {
            eprintln!("qd: {}: {}{}", c.info.name, c.state.word(), c.state.reason().map(|r| format!(": {r}")).unwrap_or_default());
        }
        for (c, words) in fleet.store.clusters().iter().filter_map(|c| Some((c, c.reports_amiss(now())?.1))) {
            eprintln!("qd: {}: {words}", c.info.name);
        }
        let mut report = Report::of(&fleet.store, &fleet.engine, wanted, now());
        let limited = |name: &str| fleet.store.clusters().iter().any(|c| *c.info.name == *name && fleet.limited(c.id));
        for cluster in &mut report.clusters {
            cluster.part |= limited(&cluster.name);
        }
        let took = began.elapsed();
        let published = match args.publish {
            Some(Form::Policyreport) => {
                summary(&report);
                let text = serde_json::to_string(&report).map_err(std::io::Error::from)?;
                Some(act::publish(&mut fleet, global, &(&args.writing).into(), text, args.every).await?)
            }
            None => None,
        };
        Ok::<_, Failure>((report, partial, published, took))
    });
    runtime.shutdown_background();
    found
}

/// Whether a cluster was seen with all that rules read of it there.
fn whole(c: &Cluster) -> bool {
    let kind = |k: Kind| !matches!(c.kind_state(k), KindState::Forbidden { .. } | KindState::Failing { .. });
    let service = |s: Service| {
        !matches!(c.service(s).state, ServiceState::Failing { .. } | ServiceState::Stale { .. } | ServiceState::Forbidden { .. })
    };
    if c.info.reported() {
        return c.state.live() && c.reports_amiss(now()).is_none();
    }
    c.state.live() && Kind::WATCHED.into_iter().all(kind) && Service::ALL.into_iter().all(service)
}

fn read_report(path: &PathBuf) -> Result<Report, Failure> {
    let file = path.display();
    let text = std::fs::read_to_string(path).map_err(|e| Failure::usage(format!("{file}: {e}")))?;
    serde_json::from_str(&text).map_err(|e| Failure::usage(format!("{file}: no report: {e}")).hint("`qd inspect -o json` writes one"))
}

fn write(output: Output, report: &Report, took: Duration) -> Result<(), Failure> {
    let pretty = |value: &serde_json::Value| serde_json::to_string_pretty(value).map(|t| t + "\n").map_err(std::io::Error::from);
    let text = match output {
        Output::Json => serde_json::to_string_pretty(report).map_err(std::io::Error::from)? + "\n",
        Output::Yaml => crate::doc::Doc::new(&json!(report)).text(),
        Output::Markdown => markdown(report),
        Output::Html => html(report),
        Output::Sarif => pretty(&sarif(report))?,
        Output::Junit => junit(report),
        Output::Metrics => metrics(report, None, took),
        Output::Csv => csv(report),
        Output::Name => report.items.iter().map(|i| format!("{}/{}\n", i.kind.to_lowercase(), i.name)).collect(),
        Output::Table | Output::Wide => return table(output, report),
    };
    print::text(&text)
}

fn csv(report: &Report) -> String {
    let mut out = "severity,rule,cluster,kind,namespace,name,message,since,cause\n".to_owned();
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
            i.cause.as_deref().unwrap_or(""),
        ];
        out.push_str(&cells.map(print::csv).join(","));
        out.push('\n');
    }
    out
}

/// For people: the worst first, grouped by rule; then what was not evaluated.
fn table(output: Output, report: &Report) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let titles: Vec<(&str, Align)> = ["SEVERITY", "RULE", "CLUSTER", "OBJECT", "WHAT", "CAUSE"].map(|t| (t, Align::Left)).to_vec();
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
                format!("{new}{}{}", i.message, i.file.as_ref().map_or_else(String::new, |f| format!(" ({f}:{})", i.line.unwrap_or(1)))),
                i.cause.clone().unwrap_or_default(),
            ]);
        }
        if items.len() > few {
            cells.push(vec![
                String::new(),
                rule.to_owned(),
                String::new(),
                String::new(),
                format!("and {} more; -o wide has all", items.len() - few),
                String::new(),
            ]);
        }
    }
    if cells.is_empty() {
        // Of what was not seen nobody knows.
        if report.clusters.iter().any(|c| c.score.is_some()) {
            eprintln!("qd: nothing was found");
        }
    } else {
        print::grid(&mut out, &titles, &cells)?;
    }
    summary(report);
    Ok(())
}

/// A line an incident and a cluster.
fn summary(report: &Report) {
    for i in &report.incidents {
        eprintln!("qd: {} {}: {} ({})", i.severity, i.cause, i.message, i.counts());
    }
    for c in &report.clusters {
        let score = c.score.map_or_else(|| "not seen".to_owned(), |s| format!("score {s}"));
        let was = c.score_before.map_or_else(String::new, |b| format!(" (was {b})"));
        let read = c.reported_at.as_ref().map_or_else(String::new, |at| format!(", as its report of {at} says"));
        eprintln!(
            "qd: {}: {score}{was}; {} critical, {} warnings, {} info; rules: {} judged, {} could not{read}",
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
}
