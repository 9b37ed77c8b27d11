//! A preview: the verdict first, then what would be done to what, what it would cost, and what has to be said to do it.

use super::Draw;
use super::pieces::clean;
use super::telling;
use super::text::{elide, width};
use crate::action::{Ask, Preview};
use crate::app::{HitMap, PreviewPane, Stage, blocked};
use crate::model::{Severity, VerbId};
use crate::theme::Role;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

const PREVIEW: &str = "PREVIEW: nothing is sent yet";

/// A line: its indent, text and role.
struct Line(u16, String, Role);

pub fn draw(d: &Draw, pane: &PreviewPane, area: Rect, buf: &mut Buffer, hits: &mut HitMap) {
    let (title, right) = match &pane.stage {
        Stage::Making => (pane.wanted.title(), "planning, checking"),
        Stage::Refused(_) => (pane.wanted.title(), ""),
        Stage::Ready(p) => (p.plan.title.clone(), PREVIEW),
        Stage::Sent(_) => (pane.wanted.title(), "sent"),
    };
    // A title is worth more than words that everybody knows by now.
    let long = width(&title) + width(right) + 4 > usize::from(area.width);
    let right = if right == PREVIEW && long { "PREVIEW" } else { right };
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
        Stage::Sent(_) => vec![Line(0, "the intent is written down, then it begins".to_owned(), Role::TextDim)],
    };
    // Whether it can be taken back stays in sight, however long the list of steps is.
    let undo = pane.ready().map(|p| signed(telling::undo(&p.plan)));
    let below_rule = |line: Line| wrap(line, usize::from(area.width));
    let asked: Vec<Line> = undo.into_iter().chain(asked(pane)).flat_map(below_rule).collect();
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
        let more = if matches!(pane.stage, Stage::Refused(_)) && pane.takes_arguments() { "   o other arguments" } else { "" };
        return vec![keys(&format!("Esc closes{more}"))];
    };
    if let Some(why) = blocked(preview) {
        return vec![
            Line(0, format!("{} refused: {why}", Severity::Critical.sign()), Role::SeverityCritical),
            keys(&format!("Esc closes{}", ways(preview))),
        ];
    }
    let mut lines = Vec::new();
    if let Some(then) = pane.then() {
        lines.push(Line(0, format!("when it is done: the preview of {then}"), Role::TextDim));
    }
    if preview.gate.reason_required {
        lines.push(Line(0, format!("reason: {}", pane.reason), if pane.in_reason { Role::Input } else { Role::Text }));
    }
    match &preview.gate.ask {
        Ask::Typed(expected) => {
            lines.push(Line(0, format!("type {expected} and Enter to do it:"), Role::Production));
            lines.push(Line(0, format!("> {}", pane.typed), if pane.in_reason { Role::Text } else { Role::Input }));
            lines.push(keys(&format!("Esc closes, nothing is done{}", offers(preview))));
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
    let verb = preview.plan.verb;
    if preview.plan.runbook.is_some() || (!verb.info().params.is_empty() && verb != VerbId::Edit && preview.plan.undoes.is_none()) {
        keys.push_str("   o other arguments");
    }
    keys + &offers(preview)
}

/// The keys that take an offer.
fn offers(preview: &Preview) -> String {
    match preview.plan.offers.len() {
        0 => String::new(),
        1 => "   1 the offer".to_owned(),
        n => format!("   1-{} an offer", n.min(9)),
    }
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

/// What a preview says, signs first.
fn text(d: &Draw, preview: &Preview) -> Vec<Line> {
    let told = telling::lines(d.world.store, preview, telling::Reader::Keys, d.glyphs.ellipsis);
    told.into_iter().map(signed).collect()
}

fn signed(line: telling::Line) -> Line {
    let sign = if line.sign.is_empty() { String::new() } else { format!("{} ", line.sign) };
    Line(line.indent, format!("{sign}{}", line.text), line.role)
}
