//! A report as JUnit XML: a suite a cluster, a case a rule, so that a pipeline shows what fails.

use super::Report;
use super::markdown::place;
use std::fmt::Write as _;

/// The document. A rule with findings fails, one that could not judge is skipped; info fails nothing.
pub fn junit(report: &Report) -> String {
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"qd inspect\">\n".to_owned();
    for cluster in &report.clusters {
        let mut cases = String::new();
        let (mut tests, mut failures, mut skipped) = (0, 0, 0);
        for rule in report.rules.all() {
            let own = |i: &&super::Item| i.rule == rule.id && i.cluster == cluster.name;
            let found: Vec<_> = report.items.iter().filter(own).collect();
            let not = cluster.not_evaluated.iter().find(|n| n.rule == rule.id);
            tests += 1;
            let _ = write!(cases, "    <testcase classname=\"{}.{}\" name=\"{}\"", xml(&cluster.name), rule.area, rule.id);
            let bad: Vec<_> = found.iter().filter(|i| i.severity != "info").collect();
            match (bad.as_slice(), not) {
                ([], None) => cases.push_str("/>\n"),
                ([], Some(not)) => {
                    skipped += 1;
                    let _ = writeln!(cases, "><skipped message=\"{}\"/></testcase>", xml(&not.why));
                }
                (bad, _) => {
                    failures += 1;
                    let lines: Vec<String> = bad.iter().map(|i| format!("{} {}: {}", i.severity, place(i), i.message)).collect();
                    let _ = writeln!(
                        cases,
                        "><failure type=\"{}\" message=\"{}\">{}</failure></testcase>",
                        bad[0].severity,
                        xml(&super::markdown::counted(bad.len())),
                        xml(&lines.join("\n"))
                    );
                }
            }
        }
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" skipped=\"{skipped}\" timestamp=\"{}\">\n{cases}  </testsuite>",
            xml(&cluster.name),
            report.at
        );
    }
    out.push_str("</testsuites>\n");
    out
}

/// As text or an attribute of XML and HTML. What XML does not allow becomes a space.
pub(super) fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && !matches!(c, '\n' | '\t') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
