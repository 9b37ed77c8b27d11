//! A preview: the verdict first, then what would be done to what, what it would cost, and what has to be said to do it.

use super::Draw;
use super::pieces::clean;
use super::text::{cut, elide, width};
use crate::action::{Ask, Finding, Preview};
use crate::app::{HitMap, PreviewPane, Stage, blocked};
use crate::model::{BlastRadius, ClusterId, Level, Plan, Step, UndoKind, VerbId, Verdict};
use crate::theme::{Role, SIGN_CRITICAL, SIGN_INFO, SIGN_WARNING};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::Value;

/// Steps of a cluster that are shown before the rest is counted.
const STEPS: usize = 60;

/// A line: its indent, text and role.
struct Line(u16, String, Role);

pub fn draw(d: &Draw, pane: &PreviewPane, area: Rect, buf: &mut Buffer, hits: &mut HitMap) {
    let (title, right) = match &pane.stage {
        Stage::Making => (pane.wanted.title(), "planning, checking"),
        Stage::Refused(_) => (pane.wanted.title(), ""),
        Stage::Ready(p) => (p.plan.title.clone(), "PREVIEW: nothing is sent yet"),
        Stage::Sent => (pane.wanted.title(), "sent"),
    };
    let room = usize::from(area.width).saturating_sub(width(right) + 4);
    d.rule(buf, Rect { height: 1, ..area }, &elide(&clean(&title), room, d.glyphs.ellipsis), right, true);
    let lines = match &pane.stage {
        Stage::Making => vec![Line(0, "the clusters are asked: permissions, dry run, what is there now".to_owned(), Role::TextDim)],
        Stage::Refused(refusal) => {
            let role = if refusal.nothing { Role::TextStrong } else { Role::Error };
            let mut lines = vec![Line(0, refusal.message.clone(), role)];
            lines.extend(refusal.hint.iter().map(|h| Line(0, h.clone(), Role::Hint)));
            lines
        }
        Stage::Ready(preview) => text(d, preview),
        Stage::Sent => vec![Line(0, "the intent is written down, then it begins".to_owned(), Role::TextDim)],
    };
    let asked = asked(pane);
    let below = asked.len() as u16 + 1;
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1 + below), ..area };
    let rows = usize::from(body.height);
    let wrapped: Vec<Line> = lines.into_iter().flat_map(|l| wrap(l, usize::from(area.width))).collect();
    let first = pane.offset.min(wrapped.len().saturating_sub(rows));
    for (n, Line(indent, text, role)) in wrapped.iter().skip(first).take(rows).enumerate() {
        d.put(buf, body.x + indent, body.y + n as u16, body.width.saturating_sub(*indent), text, *role);
    }
    (hits.text_page, hits.text_offset, hits.text_at_end) = (rows.max(1), first, first + rows >= wrapped.len());
    let more = wrapped.len().saturating_sub(first + rows);
    let rule = Rect { y: body.bottom(), height: 1, ..area };
    d.rule(buf, rule, "", &if more > 0 { format!("{more} more rows: PgDn") } else { String::new() }, false);
    for (n, Line(indent, text, role)) in asked.iter().enumerate() {
        let y = rule.y + 1 + n as u16;
        let end = d.put(buf, area.x + indent, y, area.width.saturating_sub(*indent), text, *role);
        if *role == Role::Input {
            hits.cursor = Some((end.min(area.right().saturating_sub(1)), y));
        }
    }
}

/// What has to be said, at the bottom.
fn asked(pane: &PreviewPane) -> Vec<Line> {
    let keys = |text: &str| Line(0, text.to_owned(), Role::Hint);
    let Some(preview) = pane.ready() else {
        let more = if matches!(pane.stage, Stage::Refused(_)) { "   o other arguments" } else { "" };
        return vec![keys(&format!("Esc closes{more}"))];
    };
    if let Some(why) = blocked(preview) {
        return vec![
            Line(0, format!("{SIGN_CRITICAL} refused: {why}"), Role::SeverityCritical),
            keys(&format!("Esc closes{}", ways(preview))),
        ];
    }
    let mut lines = Vec::new();
    if preview.gate.reason_required {
        lines.push(Line(0, format!("reason: {}", pane.reason), if pane.in_reason { Role::Input } else { Role::Text }));
    }
    match &preview.gate.ask {
        Ask::Typed(expected) => {
            lines.push(Line(0, format!("type {expected} and Enter to do it:"), Role::Production));
            lines.push(Line(0, format!("> {}", pane.typed), if pane.in_reason { Role::Text } else { Role::Input }));
            lines.push(keys("Esc closes, nothing is done"));
        }
        _ if preview.gate.reason_required => {
            lines.push(Line(
                0,
                format!("type y and Enter to do it: {}", pane.typed),
                if pane.in_reason { Role::Text } else { Role::Input },
            ));
            lines.push(keys("Esc closes, nothing is done   Tab the other field"));
        }
        _ => lines.push(Line(0, format!("y does it   Esc closes{}", ways(preview)), Role::Key)),
    }
    lines
}

/// The keys that lead to another preview, where there is one.
fn ways(preview: &Preview) -> String {
    let mut keys = String::new();
    if !preview.plan.verb.info().params.is_empty() && preview.plan.verb != VerbId::Edit {
        keys.push_str("   o other arguments");
    }
    match preview.plan.offers.len() {
        0 => {}
        1 => keys.push_str("   1 the offer"),
        n => keys.push_str(&format!("   1-{} an offer", n.min(9))),
    }
    keys
}

/// The lines of a text that fit.
fn wrap(line: Line, columns: usize) -> Vec<Line> {
    let Line(indent, text, role) = line;
    let room = columns.saturating_sub(usize::from(indent));
    let text = clean(&text);
    if width(&text) <= room {
        return vec![Line(indent, text.into_owned(), role)];
    }
    let pieces = [(text, role)];
    let rows = super::pieces::wrap(&pieces, room.saturating_sub(2), true);
    let joined = rows.iter().enumerate().map(|(n, row)| {
        let text: String = row.iter().map(|(t, _)| t.as_ref()).collect();
        Line(indent + if n > 0 { 2 } else { 0 }, text, role)
    });
    joined.collect()
}

fn text(d: &Draw, preview: &Preview) -> Vec<Line> {
    let plan = &preview.plan;
    let mut lines = vec![verdict(plan)];
    for b in &plan.blast {
        lines.extend(b.blockers.iter().map(|k| {
            let never = if k.never { "never by itself" } else { "for now" };
            let pods = if k.pods.len() == 1 { "1 pod".to_owned() } else { format!("{} pods", k.pods.len()) };
            Line(2, format!("{}: {pods}, {never}: {}", k.what, k.why), Role::SeverityCritical)
        }));
    }
    for n in plan.notes.iter().filter(|n| n.level != Level::Info) {
        let (sign, role) =
            if n.level == Level::Danger { (SIGN_CRITICAL, Role::SeverityCritical) } else { (SIGN_WARNING, Role::SeverityWarning) };
        lines.push(Line(0, format!("{sign} {}", n.text), role));
    }
    for c in preview.preflight.checks.iter().filter(|c| c.finding != Finding::Fine) {
        let (why, role) = match &c.finding {
            Finding::Unknown(why) => (format!("cannot be told: {why}"), Role::SeverityWarning),
            Finding::Forbidden(why) | Finding::Drifted(why) | Finding::Invalid(why) => (why.clone(), Role::SeverityCritical),
            Finding::Fine => continue,
        };
        lines.push(Line(0, format!("{}: {why}", c.text), role));
    }
    lines.extend(
        preview.preflight.warnings().iter().map(|w| Line(0, format!("{SIGN_WARNING} the server warns: {w}"), Role::SeverityWarning)),
    );
    for (n, offer) in plan.offers.iter().enumerate().take(9) {
        lines.push(Line(0, format!("{} instead: {}", n + 1, offer.text), Role::Key));
    }
    for c in &plan.clusters {
        lines.extend(cluster(d, plan, c.id, &c.name));
    }
    lines.extend(plan.notes.iter().filter(|n| n.level == Level::Info).map(|n| Line(0, n.text.clone(), Role::TextDim)));
    let fine = preview.preflight.checks.iter().filter(|c| c.finding == Finding::Fine).count();
    if fine > 0 {
        let s = if fine == 1 { "" } else { "s" };
        lines.push(Line(0, format!("{fine} check{s} passed: permissions and dry runs"), Role::SeverityOk));
    }
    let undo = match plan.undo {
        UndoKind::None => Role::SeverityWarning,
        _ => Role::Text,
    };
    let words = if plan.undo_text.is_empty() { String::new() } else { format!(": {}", plan.undo_text) };
    lines.push(Line(0, format!("undo: {}{words}", plan.undo.word()), undo));
    lines
}

fn verdict(plan: &Plan) -> Line {
    let (sign, role) = match &plan.verdict {
        Verdict::Fits => (SIGN_INFO, Role::SeverityOk),
        Verdict::Degrades(_) => (SIGN_WARNING, Role::SeverityWarning),
        Verdict::Blocks(_) => (SIGN_CRITICAL, Role::SeverityCritical),
    };
    Line(0, format!("{sign} {}", plan.verdict.words()), role)
}

fn cluster(d: &Draw, plan: &Plan, id: ClusterId, name: &str) -> Vec<Line> {
    let production = d.world.store.cluster(id).is_some_and(|c| c.info.production());
    let steps: Vec<&Step> = plan.steps.iter().filter(|s| s.target.cluster == id).collect();
    let mark = if production { " [P]" } else { "" };
    let head = format!("{name}{mark}: {} step{}", steps.len(), if steps.len() == 1 { "" } else { "s" });
    let mut lines = vec![Line(0, head, if production { Role::Production } else { Role::Title })];
    lines.extend(plan.blast.iter().filter(|b| b.cluster == id).flat_map(blast));
    for step in steps.iter().take(STEPS) {
        lines.push(Line(2, step.text.clone(), Role::Text));
        for change in &step.changes {
            let word = |v: Option<&Value>| match v {
                None | Some(Value::Null) => "-".to_owned(),
                Some(_) if step.sensitive => "(hidden)".to_owned(),
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            let field = change.pointer.trim_start_matches('/').replace('/', ".").replace("~1", "/").replace("~0", "~");
            let (before, after) = (word(change.before.as_ref()), word(change.after.as_ref()));
            // What the title of the step has said already is not said again.
            if step.text.contains(&format!("{before} -> {after}")) {
                continue;
            }
            let shorten = |text: &str| cut(&clean(text), 90, d.glyphs.ellipsis);
            lines.push(Line(4, format!("{field}: {} -> {}", shorten(&before), shorten(&after)), Role::TextDim));
        }
    }
    if steps.len() > STEPS {
        lines.push(Line(2, format!("and {} more", steps.len() - STEPS), Role::TextDim));
    }
    lines
}

fn blast(b: &BlastRadius) -> Vec<Line> {
    let mut lines = Vec::new();
    let counted = [(b.nodes, "node"), (b.workloads, "workload"), (b.pods, "pod")];
    let mut parts: Vec<String> =
        counted.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}{}", if *n == 1 { "" } else { "s" })).collect();
    if b.unavailable > 0 {
        parts.push(format!("{} not serving meanwhile", b.unavailable));
    }
    if let Some(p) = &b.placement {
        parts.push(if p.unplaced.is_empty() { format!("all {} find room", p.fits) } else { format!("{} find room", p.fits) });
    }
    if !parts.is_empty() {
        lines.push(Line(2, format!("touches {}", parts.join(", ")), Role::TextStrong));
    }
    if !b.budgets.is_empty() {
        lines.push(Line(2, format!("budgets: {}", b.budgets.join(", ")), Role::TextDim));
    }
    for p in b.placement.iter() {
        lines.extend(p.unplaced.iter().take(10).map(|(pod, why)| Line(2, format!("no room for {pod}: {why}"), Role::SeverityWarning)));
        if p.unplaced.len() > 10 {
            lines.push(Line(2, format!("and {} more without room", p.unplaced.len() - 10), Role::SeverityWarning));
        }
        lines.extend(p.unknown.iter().map(|u| Line(2, format!("not judged: {u}"), Role::TextDim)));
    }
    if !b.undone_by.is_empty() {
        lines.push(Line(2, format!("would be undone by {}", b.undone_by.join(", ")), Role::SeverityWarning));
    }
    lines
}
