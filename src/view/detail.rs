//! An open object on the screen: its title, why it is as it is, its YAML.

use super::pieces::{self, Piece, clean};
use super::text::{cut, elide, width};
use super::{Draw, clock, since};
use crate::app::detail::Item;
use crate::app::{Detail, Hit, HitMap};
use crate::doc::{Doc, Kind};
use crate::inspect::Severity;
use crate::theme::Role;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::ops::Range;

/// Cells before the text: the cursor's sign, and a fold's.
const GUTTER: u16 = 2;
/// Cells of labels at most.
const LABEL: usize = 26;

pub fn draw(d: &Draw, detail: &Detail, area: Rect, buf: &mut Buffer, hits: &mut HitMap) {
    title(d, detail, Rect { height: 1, ..area }, buf);
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let rows = usize::from(body.height);
    let items = detail.items();
    // From the offset on, moved so that the cursor's line is seen.
    let mut first = detail.offset.min(detail.cursor);
    let mut used: usize = items[first..=detail.cursor].iter().map(|i| height(d, detail, *i, body.width)).sum();
    while used > rows && first < detail.cursor {
        used -= height(d, detail, items[first], body.width);
        first += 1;
    }
    let mut y = body.y;
    let mut at = first;
    while y < body.bottom() && at < items.len() {
        let used = item(d, detail, items[at], Rect { y, height: body.bottom() - y, ..body }, buf);
        if at == detail.cursor {
            d.put(buf, body.x, y, 1, d.glyphs.cursor, Role::CursorMarker);
        }
        hits.add(Rect { y, height: used, ..body }, Hit::Row { part: None, at });
        y += used;
        at += 1;
    }
    (hits.page, hits.text_page, hits.text_offset, hits.text_at_end) = (rows, rows, first, at == items.len());
}

/// What it is, where, and how current that is.
fn title(d: &Draw, detail: &Detail, area: Rect, buf: &mut Buffer) {
    let o = &detail.object;
    let cluster = d.world.store.cluster(o.cluster);
    let (state, role) = state(d, detail);
    let place = if o.namespace.is_empty() { o.name.to_string() } else { format!("{}/{}", o.namespace, o.name) };
    d.rule(buf, area, "", "", true);
    let mut x =
        d.put(buf, area.x, area.y, area.width, &format!("{} {} ", o.kind.name(), cluster.map_or("", |c| &c.info.name)), Role::TitleFocus);
    if cluster.is_some_and(|c| c.info.production()) {
        x = d.put(buf, x, area.y, area.right().saturating_sub(x), "[P] ", Role::Production);
    }
    let right = width(&state) as u16;
    let room = area.right().saturating_sub(x + right + u16::from(right > 0) * 2);
    d.put(buf, x, area.y, room, &elide(&clean(&place), usize::from(room), d.glyphs.ellipsis), Role::TitleFocus);
    d.put(buf, area.right().saturating_sub(right + 1), area.y, right, &state, role);
}

/// What one has to know before one believes what is shown.
fn state(d: &Draw, detail: &Detail) -> (String, Role) {
    if let Some(at) = detail.gone {
        return (format!("GONE {}, as last seen", clock(at)), Role::Error);
    }
    if let Some(c) = d.world.store.cluster(detail.object.cluster).filter(|c| !c.state.live()) {
        let age = c.age(d.world.now).map_or_else(String::new, |s| format!(" {}", crate::table::Value::Seconds(s).text(d.world.now)));
        let reason = c.state.reason().map_or_else(String::new, |r| format!(": {r}"));
        let text = format!("{}{age}{reason}", c.state.word().to_uppercase());
        return (cut(&clean(&text), 40, d.glyphs.ellipsis), Role::StateStale);
    }
    match detail.matches() {
        _ if detail.search.is_none() => (String::new(), Role::TitleFocus),
        (0, _) => ("no match".to_owned(), Role::FilterError),
        (n, Some(at)) => (format!("match {at}/{n}"), Role::TitleFocus),
        (n, None) => (format!("{n} matches"), Role::TitleFocus),
    }
}

/// Cells of a section's label column.
fn label_width(detail: &Detail, section: usize) -> usize {
    detail.sections[section].lines.iter().map(|l| width(&l.label)).max().unwrap_or(0).min(LABEL)
}

/// Where a section's texts begin, and their cells.
fn text_area(detail: &Detail, section: usize, columns: u16) -> (u16, usize) {
    let label = label_width(detail, section);
    let x = GUTTER + 2 + label as u16 + if label > 0 { 2 } else { 0 };
    (x, usize::from(columns.saturating_sub(x)))
}

/// Rows that a line takes.
fn height(_: &Draw, detail: &Detail, item: Item, columns: u16) -> usize {
    let Item::Line(s, l) = item else { return 1 };
    let (_, room) = text_area(detail, s, columns);
    pieces::wrap(&[(clean(&detail.sections[s].lines[l].text), Role::Text)], room, true).len()
}

fn matches(detail: &Detail, text: &str) -> Vec<Range<usize>> {
    detail.search.iter().flat_map(|s| s.matches(0, text)).map(|m| m.range).collect()
}

/// Draws one line of the text; the rows it took.
fn item(d: &Draw, detail: &Detail, item: Item, area: Rect, buf: &mut Buffer) -> u16 {
    match item {
        Item::Blank => {}
        Item::Head(s) => {
            let section = &detail.sections[s];
            let x = area.x + GUTTER;
            let x = match section.tone.filter(|t| *t >= Severity::Warning) {
                Some(tone) => {
                    let (sign, role) = Draw::severity(tone);
                    d.put(buf, x, area.y, 2, sign, role) + 1
                }
                None => x,
            };
            let role = if section.title == "healthy" { Role::SeverityOk } else { Role::Title };
            d.put(buf, x, area.y, area.right().saturating_sub(x), &section.title.to_uppercase(), role);
        }
        Item::Line(s, l) => return line(d, detail, (s, l), area, buf),
        Item::YamlHead => yaml_head(d, detail, area, buf),
        Item::Yaml(n) => {
            if let Some(doc) = &detail.doc {
                yaml(d, detail, doc, n, area, buf);
            }
        }
    }
    1
}

fn line(d: &Draw, detail: &Detail, (s, l): (usize, usize), area: Rect, buf: &mut Buffer) -> u16 {
    let said = &detail.sections[s].lines[l];
    let (from, room) = text_area(detail, s, area.width);
    let role = match said.tone {
        Some(tone) => Draw::severity(tone).1,
        None if said.label.is_empty() => Role::TextDim,
        None => Role::Text,
    };
    let label = cut(&said.label, LABEL, d.glyphs.ellipsis);
    let base = if said.tone.is_some() { role } else { Role::TextDim };
    let label = pieces::split(&label, base, [], &matches(detail, &label));
    pieces::put(d, buf, (area.x + GUTTER + 2, area.y), LABEL as u16, &label, 0);
    let text: Vec<Piece> = pieces::split(&said.text, role, [], &matches(detail, &said.text));
    let rows = pieces::wrap(&text, room, true);
    for (n, row) in rows.iter().take(usize::from(area.height)).enumerate() {
        pieces::put(d, buf, (area.x + from, area.y + n as u16), room as u16, row, 0);
    }
    rows.len().min(usize::from(area.height)) as u16
}

/// The YAML's heading: how old it is, what is under way, what is masked.
fn yaml_head(d: &Draw, detail: &Detail, area: Rect, buf: &mut Buffer) {
    let mut x = d.put(buf, area.x + GUTTER, area.y, area.width, "YAML", Role::Title);
    let mut say = |text: String, role: Role| {
        if !text.is_empty() {
            let room = area.right().saturating_sub(x + 2);
            x = d.put(buf, x + 2, area.y, room, &cut(&clean(&text), usize::from(room), d.glyphs.ellipsis), role);
        }
    };
    if let Some(reason) = &detail.error {
        let old = detail.fetched.map_or_else(String::new, |(at, _)| format!("; this is from {}", since(at, d.world.now)));
        say(format!("not fetched: {reason}{old}"), Role::Error);
    } else if detail.doc.is_none() {
        say("fetching the whole object...".to_owned(), Role::TextDim);
    } else if let Some((at, version)) = detail.fetched {
        let again = if detail.fetching() { ", fetching again..." } else { "" };
        say(format!("resourceVersion {version}, fetched {}Z{again}", since(at, d.world.now)), Role::TextDim);
    }
    if detail.unmasked {
        say("UNMASKED".to_owned(), Role::SeverityWarning);
    } else if detail.masked > 0 {
        say(format!("{} masked", detail.masked), Role::TextDim);
    }
}

fn yaml(d: &Draw, detail: &Detail, doc: &Doc, n: usize, area: Rect, buf: &mut Buffer) {
    let Some(line) = doc.shown(n) else { return };
    if line.fold.is_some() {
        let sign = if doc.is_folded(n) { d.glyphs.folded } else { d.glyphs.unfolded };
        d.put(buf, area.x + 1, area.y, 1, sign, Role::TextDim);
    }
    let role = |kind: Kind| match kind {
        Kind::Key => Role::YamlKey,
        Kind::String => Role::YamlString,
        Kind::Number => Role::YamlNumber,
        Kind::Bool => Role::YamlBool,
        Kind::Null => Role::YamlNull,
        Kind::Comment => Role::YamlComment,
        Kind::Punct => Role::Yaml,
    };
    let pieces =
        pieces::split(&line.text, Role::Yaml, line.styles.iter().map(|(r, k)| (r.clone(), role(*k))), &matches(detail, &line.text));
    pieces::put(d, buf, (area.x + GUTTER, area.y), area.width - GUTTER, &pieces, detail.hscroll);
}
