//! A report as Markdown, for a ticket or a chat.

use super::{Item, Report};
use std::fmt::Write as _;

/// Objects that are named under a rule; the rest is counted.
const NAMED: usize = 20;

/// The document.
pub fn markdown(report: &Report) -> String {
    let mut out = format!("# Inspection of {}\n\n", report.at);
    if let Some(since) = &report.since {
        let new = report.items.iter().filter(|i| i.change.as_deref() == Some("new")).count();
        let _ = writeln!(out, "Against {since}: {new} new, {} still there, {} fixed.\n", report.items.len() - new, report.fixed.len());
    }
    out.push_str(
        "| Cluster | State | Score | Critical | Warning | Info | Rules that judged | Not evaluated |\n|---|---|---|---|---|---|---|---|\n",
    );
    for c in &report.clusters {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            cell(&c.name),
            c.state,
            c.score.map_or_else(|| "-".to_owned(), |s| s.to_string() + &c.score_before.map_or_else(String::new, |b| format!(" (was {b})"))),
            c.critical,
            c.warning,
            c.info,
            c.evaluated,
            c.not_evaluated.len()
        );
    }
    if !report.incidents.is_empty() {
        out.push_str("\n## Incidents\n\n| Severity | Probable cause | What | Explains | Since |\n|---|---|---|---|---|\n");
        for i in &report.incidents {
            let since = i.since.as_deref().unwrap_or("-");
            let _ = writeln!(out, "| {} | {} | {} | {} | {since} |", i.severity, cell(&i.cause), cell(&i.message), i.counts());
        }
    }
    for (rule, items) in report.by_rule() {
        let first = items[0];
        let _ = writeln!(out, "\n## {} ({}, {})\n", rule, first.severity, counted(items.len()));
        if let Some(info) = report.rules.find(rule) {
            let _ = writeln!(out, "{} {}\n", info.summary.trim_end_matches('.').to_owned() + ".", info.why);
            if !info.links.is_empty() {
                let links: Vec<String> = info.links.iter().map(|l| format!("<{l}>")).collect();
                let _ = writeln!(out, "Read: {}\n", links.join(", "));
            }
        }
        for item in items.iter().take(NAMED) {
            let new = if item.change.as_deref() == Some("new") { " **new**" } else { "" };
            let _ = writeln!(
                out,
                "- {}{new}: {}{}{}",
                cell(&place(item)),
                cell(&item.message),
                item.cause.as_ref().filter(|c| !of_itself(c, item)).map_or_else(String::new, |c| format!(" (by {})", cell(c))),
                item.since.as_ref().map_or_else(String::new, |s| format!(" (since {s})"))
            );
        }
        if items.len() > NAMED {
            let _ = writeln!(out, "- and {} more", items.len() - NAMED);
        }
        if !first.next_step.is_empty() {
            let _ = writeln!(out, "\nNext: {}", first.next_step);
        }
    }
    if !report.fixed.is_empty() {
        out.push_str("\n## Fixed\n\n");
        for item in report.fixed.iter().take(NAMED) {
            let _ = writeln!(out, "- {}: {} ({})", cell(&place(item)), cell(&item.message), item.rule);
        }
        if report.fixed.len() > NAMED {
            let _ = writeln!(out, "- and {} more", report.fixed.len() - NAMED);
        }
    }
    let blind: Vec<String> = report
        .clusters
        .iter()
        .flat_map(|c| c.not_evaluated.iter().map(|n| format!("- {}: {}: {}", cell(&c.name), n.rule, cell(&n.why))))
        .collect();
    if !blind.is_empty() {
        let _ = writeln!(out, "\n## Not evaluated\n\n{}", blind.join("\n"));
    }
    out
}

/// Whether the cause is of the rule itself: then there is nothing to add.
pub(super) fn of_itself(cause: &str, item: &Item) -> bool {
    cause.ends_with(&item.rule)
}

/// `1 finding`, `14 findings`.
pub(super) fn counted(n: usize) -> String {
    if n == 1 { "1 finding".to_owned() } else { format!("{n} findings") }
}

/// `prod-eu Deployment pay/checkout`.
pub(super) fn place(item: &Item) -> String {
    let namespace = item.namespace.as_ref().map_or_else(String::new, |n| format!("{n}/"));
    if item.kind == "Cluster" { item.cluster.clone() } else { format!("{} {} {namespace}{}", item.cluster, item.kind, item.name) }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
