//! A report as one HTML file that needs nothing else: for people who do not have a terminal open.

use super::junit::xml;
use super::markdown::{counted, place};
use super::{ClusterReport, Item, Report};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const STYLE: &str = include_str!("../../assets/report.css");
/// Objects that are named under a rule before the rest is folded away.
const NAMED: usize = 8;

/// The document.
pub fn html(report: &Report) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Inspection of {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header><h1>Inspection</h1><p>{} cluster{}, {}, at {}{}</p></header>\n<main>\n",
        report.at,
        report.clusters.len(),
        if report.clusters.len() == 1 { "" } else { "s" },
        counted(report.items.len()),
        report.at,
        report.since.as_ref().map_or_else(String::new, |s| format!(", against {s}"))
    );
    if report.since.is_some() {
        let new = report.items.iter().filter(|i| i.change.as_deref() == Some("new")).count();
        let _ = writeln!(
            out,
            "<p class=\"diff\"><b>{new}</b> new, <b>{}</b> still there, <b>{}</b> fixed</p>",
            report.items.len() - new,
            report.fixed.len()
        );
    }
    clusters(report, &mut out);
    areas(report, &mut out);
    incidents(report, &mut out);
    out.push_str("<h2>What was found, the worst first</h2>\n");
    for (rule, items) in report.by_rule() {
        finding(report, rule, &items, &mut out);
    }
    if report.items.is_empty() {
        out.push_str("<p>Nothing.</p>\n");
    }
    if !report.fixed.is_empty() {
        let _ = writeln!(out, "<h2>Fixed since then</h2>\n<ul>");
        for item in &report.fixed {
            let _ = writeln!(out, "<li>{}: {} <small>{}</small></li>", xml(&place(item)), xml(&item.message), item.rule);
        }
        out.push_str("</ul>\n");
    }
    blind(report, &mut out);
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

/// What one thing explains.
fn incidents(report: &Report, out: &mut String) {
    if report.incidents.is_empty() {
        return;
    }
    out.push_str("<h2>Incidents, by their probable cause</h2>\n<ul class=\"incidents\">\n");
    for i in &report.incidents {
        let since = i.since.as_ref().map_or_else(String::new, |s| format!(", since {s}"));
        let (cause, what) = (xml(&i.cause), xml(&i.message));
        let _ = writeln!(out, "<li class=\"{}\"><b>{cause}</b>: {what} <small>{}{since}</small></li>", i.severity, i.counts());
    }
    out.push_str("</ul>\n");
}

/// A card a cluster, the worst first.
fn clusters(report: &Report, out: &mut String) {
    let mut all: Vec<&ClusterReport> = report.clusters.iter().collect();
    all.sort_by_key(|c| (c.score, std::cmp::Reverse(c.critical)));
    out.push_str("<section class=\"cards\">\n");
    for c in all {
        let class = match c.score {
            None => "unseen",
            Some(0..60) => "critical",
            Some(60..85) => "warning",
            Some(_) => "ok",
        };
        let trend = match (c.score, c.score_before) {
            (Some(now), Some(before)) if now != before => {
                let (sign, way) = if now > before { ("+", "better") } else { ("&minus;", "worse") };
                format!(" <span class=\"{way}\">{sign}{}</span>", now.abs_diff(before))
            }
            (Some(_), Some(_)) => " <span>&plusmn;0</span>".to_owned(),
            _ => String::new(),
        };
        let tier = c.tier.as_ref().map_or_else(String::new, |t| format!(" <small>{}</small>", xml(t)));
        let _ = writeln!(
            out,
            "<article class=\"{class}\"><h3>{}{tier}</h3><p class=\"score\">{}{trend}</p>{}<p>{} critical, {} warnings, {} info</p><p><small>{} nodes, {} pods; rules: {} judged, {} could not</small></p>{}</article>",
            xml(&c.name),
            c.score.map_or_else(|| "not seen".to_owned(), |s| format!("{s}<small>/100</small>")),
            if c.score.is_some() { bar(&[("critical", c.critical), ("warning", c.warning), ("info", c.info)]) } else { String::new() },
            c.critical,
            c.warning,
            c.info,
            c.nodes,
            c.pods,
            c.evaluated,
            c.not_evaluated.len(),
            c.message.as_ref().map_or_else(String::new, |m| format!("<p>{}: {}</p>", c.state, xml(m)))
        );
    }
    out.push_str("</section>\n");
}

/// Parts of a whole, side by side.
fn bar(parts: &[(&str, usize)]) -> String {
    let all: usize = parts.iter().map(|(_, n)| n).sum();
    let mut out =
        "<svg class=\"bar\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"by severity\">".to_owned();
    let mut x = 0.0;
    for (class, n) in parts.iter().filter(|(_, n)| *n > 0) {
        let w = *n as f64 * 100.0 / all as f64;
        let _ = write!(out, "<rect class=\"{class}\" x=\"{x:.2}\" y=\"0\" width=\"{w:.2}\" height=\"6\"/>");
        x += w;
    }
    if all == 0 {
        out.push_str("<rect class=\"ok\" x=\"0\" y=\"0\" width=\"100\" height=\"6\"/>");
    }
    out + "</svg>"
}

/// How many findings there are of each area.
fn areas(report: &Report, out: &mut String) {
    let mut all: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for item in &report.items {
        let at = match item.severity.as_str() {
            "critical" => 0,
            "warning" => 1,
            _ => 2,
        };
        all.entry(&item.area).or_default()[at] += 1;
    }
    if all.is_empty() {
        return;
    }
    let most = all.values().map(|n| n.iter().sum::<usize>()).max().unwrap_or(1).max(1);
    let mut all: Vec<_> = all.into_iter().collect();
    all.sort_by_key(|(area, n)| (std::cmp::Reverse(*n), *area));
    out.push_str("<h2>By area</h2>\n<table class=\"areas\">\n");
    for (area, [critical, warning, info]) in all {
        let width = (critical + warning + info) * 100 / most;
        let _ = writeln!(
            out,
            "<tr><th>{area}</th><td><div style=\"width:{}%\">{}</div></td><td>{}</td></tr>",
            width.max(1),
            bar(&[("critical", critical), ("warning", warning), ("info", info)]),
            critical + warning + info
        );
    }
    out.push_str("</table>\n");
}

fn finding(report: &Report, rule: &str, items: &[&Item], out: &mut String) {
    let Some(first) = items.first() else { return };
    let _ = writeln!(
        out,
        "<details class=\"{}\"{}><summary><b>{}</b> {} <small>{}</small></summary>",
        first.severity,
        if first.severity == "critical" { " open" } else { "" },
        rule,
        counted(items.len()),
        first.severity
    );
    if let Some(info) = report.rules.find(rule) {
        let _ = writeln!(out, "<p>{}</p><p class=\"why\">{}</p>", xml(info.summary), xml(info.why));
        if !info.links.is_empty() {
            let link = |l: &&str| format!("<a href=\"{0}\" rel=\"noreferrer\">{0}</a>", xml(l));
            let _ = writeln!(out, "<p class=\"read\">Read: {}</p>", info.links.iter().map(link).collect::<Vec<_>>().join(", "));
        }
    }
    let line = |i: &Item| {
        let new = if i.change.as_deref() == Some("new") { " <mark>new</mark>" } else { "" };
        let since = i.since.as_ref().map_or_else(String::new, |s| format!(" <small>since {s}</small>"));
        let evidence: Vec<String> =
            i.evidence.iter().filter(|e| !e.value.is_empty()).map(|e| format!("{}: {}", xml(&e.what), xml(&e.value))).collect();
        format!("<li>{}{new}: {}{since}<br><small>{}</small></li>", xml(&place(i)), xml(&i.message), evidence.join("; "))
    };
    let (shown, more) = items.split_at(items.len().min(NAMED));
    let _ = writeln!(out, "<ul>{}</ul>", shown.iter().map(|i| line(i)).collect::<String>());
    if !more.is_empty() {
        let rest: String = more.iter().map(|i| line(i)).collect();
        let _ = writeln!(out, "<details><summary>and {} more</summary><ul>{rest}</ul></details>", more.len());
    }
    if !first.next_step.is_empty() {
        let _ = writeln!(out, "<p class=\"next\">Next: {}</p>", xml(&first.next_step));
    }
    out.push_str("</details>\n");
}

/// What no rule could say.
fn blind(report: &Report, out: &mut String) {
    let mut why: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for c in &report.clusters {
        for n in &c.not_evaluated {
            why.entry((&c.name, &n.why)).or_default().push(&n.rule);
        }
    }
    if why.is_empty() {
        return;
    }
    out.push_str("<h2>Not evaluated</h2>\n<table>\n<tr><th>Cluster</th><th>Why</th><th>Rules</th></tr>\n");
    for ((cluster, why), rules) in why {
        let _ = writeln!(out, "<tr><td>{}</td><td>{}</td><td>{}</td></tr>", xml(cluster), xml(why), rules.join(", "));
    }
    out.push_str("</table>\n");
}
