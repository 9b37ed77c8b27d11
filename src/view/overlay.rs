//! What lies over the screen: the prompt line, the palette and its like, the column chooser.

use super::Draw;
use super::text::{cut, width};
use crate::app::{Chooser, Field, Form, Hit, HitMap, Of, Overlay, Prompt, muted};
use crate::model::Level;
use crate::model::verb::ParamKind;
use crate::theme::Role;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Lines of what a silence would hide.
const TOLD: usize = 10;

pub fn draw(d: &Draw, body: Rect, buf: &mut Buffer, hits: &mut HitMap) {
    match &d.app.overlay {
        None => hints(d, body, buf),
        Some(Overlay::Quit) => {
            let jobs: Vec<_> = d.world.store.jobs.active().collect();
            let area = frame(d, body, "Quit?", jobs.len().min(6) + 2, 76, buf);
            for (n, job) in jobs.iter().take(6).enumerate() {
                let text = cut(&format!("{} {}", job.state.word(), job.title), usize::from(area.width) - 2, d.glyphs.ellipsis);
                d.put(buf, area.x + 1, area.y + n as u16, area.width - 2, &text, Role::Text);
            }
            let y = area.bottom() - 1;
            // They may have come to their end since it was asked.
            let (what, keys) = match jobs.is_empty() {
                true => ("The jobs have ended by now.", "ctrl-c ctrl-c again quits   Esc stays"),
                false => {
                    ("Quitting stops them safely; what is left can be resumed.", "ctrl-c ctrl-c again stops them and quits   Esc stays")
                }
            };
            d.put(buf, area.x + 1, y - 1, area.width - 2, what, Role::TextStrong);
            d.put(buf, area.x + 1, y, area.width - 2, keys, Role::Key);
        }
        Some(Overlay::Prompt(p)) => completions(d, p, body, buf),
        Some(Overlay::Search(p, chooser)) => {
            let area = frame(d, body, &chooser.title, chooser.items.len() + 1, 76, buf);
            prompt(d, p, Rect { height: 1, ..area }, buf, hits);
            list(d, chooser, Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area }, buf, hits);
        }
        Some(Overlay::Choose(chooser)) => {
            // As wide as it needs to be: a reason is worth reading to its end.
            let words = |i: &crate::app::Item| width(&i.doc);
            let longest =
                chooser.items.iter().map(|i| width(&i.text)).max().unwrap_or(0) + chooser.items.iter().map(words).max().unwrap_or(0);
            let columns = if chooser.objects.is_empty() { 76 } else { (longest + 8).clamp(76, 110) as u16 };
            let title = if chooser.asked.is_some() { format!("{}: asking the clusters", chooser.title) } else { chooser.title.clone() };
            let area = frame(d, body, &title, chooser.items.len(), columns, buf);
            list(d, chooser, area, buf, hits);
        }
        Some(Overlay::Form(f)) => form(d, f, body, buf, hits),
        Some(Overlay::Columns { selected }) => columns(d, *selected, body, buf),
    }
}

/// What may follow the chords typed so far, over the last rows.
fn hints(d: &Draw, body: Rect, buf: &mut Buffer) {
    let n = d.app.hints.len();
    if n == 0 {
        return;
    }
    let columns = usize::from(body.width / 38).clamp(1, n);
    let rows = n.div_ceil(columns);
    let (top, each) = (body.bottom().saturating_sub(rows as u16 + 1), body.width / columns as u16);
    for y in top..body.bottom() {
        d.put(buf, body.x, y, body.width, &" ".repeat(usize::from(body.width)), Role::Dialog);
    }
    d.rule(buf, Rect { y: top, height: 1, ..body }, "", "", false);
    for (i, (chord, what)) in d.app.hints.iter().enumerate() {
        let (x, y) = (body.x + each * (i / rows) as u16, top + 1 + (i % rows) as u16);
        let end = d.put(buf, x + 1, y, 10, &chord.to_string(), Role::Key);
        let room = (x + each).saturating_sub(end + 2);
        d.put(buf, end + 1, y, room, &cut(what, usize::from(room), d.glyphs.ellipsis), Role::KeyDesc);
    }
}

/// A box in the upper middle, as high as it needs to be; its inside.
fn frame(d: &Draw, body: Rect, title: &str, rows: usize, columns: u16, buf: &mut Buffer) -> Rect {
    let w = columns.min(body.width);
    let h = (u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(2)).clamp(3, body.height.saturating_sub(1));
    let r = Rect { x: body.x + (body.width - w) / 2, y: body.y + (body.height - h) / 3, width: w, height: h };
    let blank = " ".repeat(usize::from(w));
    let b = &d.glyphs.border;
    for y in r.y..r.bottom() {
        d.put(buf, r.x, y, w, &blank, Role::Dialog);
        buf.set_style(Rect { y, height: 1, ..r }, d.role(Role::Dialog));
        d.put(buf, r.x, y, 1, b.vertical_left, Role::DialogBorder);
        d.put(buf, r.right() - 1, y, 1, b.vertical_right, Role::DialogBorder);
    }
    let inner = usize::from(w - 2);
    let line = |left: &str, mid: &str, right: &str| format!("{left}{}{right}", mid.repeat(inner));
    d.put(buf, r.x, r.y, w, &line(b.top_left, b.horizontal_top, b.top_right), Role::DialogBorder);
    d.put(buf, r.x, r.bottom() - 1, w, &line(b.bottom_left, b.horizontal_bottom, b.bottom_right), Role::DialogBorder);
    d.put(buf, r.x + 2, r.y, w - 4, &format!(" {title} "), Role::TitleFocus);
    Rect { x: r.x + 1, y: r.y + 1, width: w - 2, height: h - 2 }
}

/// The line that is typed, with the terminal's cursor in it.
pub fn prompt(d: &Draw, p: &Prompt, area: Rect, buf: &mut Buffer, hits: &mut HitMap) {
    let x = d.put(buf, area.x, area.y, area.width, p.purpose.label(), Role::Key);
    let before: String = p.text().chars().take(p.cursor()).collect();
    let room = usize::from(area.right().saturating_sub(x)).saturating_sub(1);
    // The end of the text stays in sight.
    let hidden = width(&before).saturating_sub(room);
    let mut skipped = 0;
    let shown: String = p
        .text()
        .chars()
        .skip_while(|c| {
            let skip = skipped < hidden;
            skipped += if skip { width(c.encode_utf8(&mut [0; 4])) } else { 0 };
            skip
        })
        .collect();
    let end = d.put(buf, x, area.y, area.right().saturating_sub(x), &shown, Role::Input);
    hits.cursor = Some((x + (width(&before) - hidden.min(width(&before))) as u16, area.y));
    if let Some(error) = &p.error {
        d.put(buf, end + 2, area.y, area.right().saturating_sub(end + 2), error, Role::FilterError);
    }
}

/// Proposals for the word at the cursor, above the prompt.
fn completions(d: &Draw, p: &Prompt, body: Rect, buf: &mut Buffer) {
    let rows = p.completions.len().min(8);
    let first = p.selected.unwrap_or(0).saturating_sub(rows.saturating_sub(1));
    for (i, c) in p.completions.iter().skip(first).take(rows).enumerate() {
        let y = body.bottom() - rows as u16 + i as u16;
        let role = if p.selected == Some(first + i) { Role::TitleFocus } else { Role::Dialog };
        let text = format!(" {:<24} {} ", c.text, c.doc);
        d.put(buf, body.x, y, body.width, &format!("{:<60}", cut(&text, 60, d.glyphs.ellipsis)), role);
    }
}

/// Parameters, a line each; what the field means, and what is wrong, below.
fn form(d: &Draw, f: &Form, body: Rect, buf: &mut Buffer, hits: &mut HitMap) {
    let columns = 76;
    let cluster = |id| d.world.store.cluster(id).map_or((String::new(), false), |c| (c.info.name.to_string(), c.info.production()));
    let title = match &f.of {
        Of::Verb(verb, targets) => {
            let places = targets.iter().map(|t| cluster(t.cluster)).map(|(n, p)| if p { format!("{n} [P]") } else { n });
            let mut seen = std::collections::HashSet::new();
            let places: Vec<_> = places.filter(|p| seen.insert(p.clone())).collect();
            let what = match targets.as_slice() {
                [one] => one.label(),
                all => format!("{} objects", all.len()),
            };
            format!("{} {what} on {}", verb.info().name, places.join(", "))
        }
        Of::Run(book) => format!("runbook {}: {}", book.name, book.doc),
    };
    let title = super::pieces::clean(&title).into_owned();
    let room = usize::from(body.height).saturating_sub(f.fields.len() + 6);
    let told = muted(&d.world, f, room.min(TOLD)).unwrap_or_default();
    let area = frame(d, body, &cut(&title, usize::from(columns) - 6, d.glyphs.ellipsis), f.fields.len() + told.len() + 3, columns, buf);
    let label = |p: &Field| format!("{}{}", p.name, if p.required { " *" } else { "" });
    let longest = f.fields.iter().map(|l| width(&label(l))).max().unwrap_or(0) as u16;
    for (n, field) in f.fields.iter().enumerate() {
        let y = area.y + n as u16;
        if n == f.at {
            d.put(buf, area.x, y, 1, d.glyphs.cursor, Role::CursorMarker);
        }
        d.put(buf, area.x + 2, y, longest, &label(field), if n == f.at { Role::Key } else { Role::KeyDesc });
        let (x, right) = (area.x + 4 + longest, area.right() - 1);
        let wrong = f.error.as_ref().is_some_and(|(at, _)| *at == Some(n));
        let (text, room) = (field.text(), usize::from(right - x));
        if text.is_empty() && n != f.at {
            d.put(buf, x, y, right - x, &field.value, Role::TextDim);
            continue;
        }
        // The cursor stays in sight, and with it the end of what was typed last.
        let before: String = text.chars().take(field.cursor()).collect();
        let skip = (width(&before) + 1).saturating_sub(room);
        let role = if wrong { Role::FilterError } else { Role::Input };
        super::pieces::put(d, buf, (x, y), right - x, &[(super::pieces::clean(text), role)], skip);
        if n == f.at {
            hits.cursor = Some((x + (width(&before) - skip) as u16, y));
        }
    }
    let room = usize::from(area.width) - 2;
    for (n, (level, text)) in told.iter().enumerate() {
        let role = match level {
            Level::Danger => Role::SeverityCritical,
            Level::Warning => Role::SeverityWarning,
            Level::Info => Role::Text,
        };
        let y = area.y + (f.fields.len() + n) as u16;
        d.put(buf, area.x + 1, y, area.width - 2, &cut(&super::pieces::clean(text), room, d.glyphs.ellipsis), role);
    }
    let y = area.bottom() - 3;
    if let Some(field) = f.fields.get(f.at) {
        let words = match field.kind {
            ParamKind::Flag => "Space: ".to_owned(),
            ParamKind::OneOf(words) => format!("Space, {}: ", words.join(" ")),
            _ if field.proposed() => "type over it: ".to_owned(),
            _ => String::new(),
        };
        d.put(buf, area.x + 1, y, area.width - 2, &cut(&format!("{words}{}", field.doc), room, d.glyphs.ellipsis), Role::Hint);
    }
    if let Some((_, why)) = &f.error {
        d.put(buf, area.x + 1, y + 1, area.width - 2, &cut(&super::pieces::clean(why), room, d.glyphs.ellipsis), Role::FilterError);
    }
    d.put(buf, area.x + 1, y + 2, area.width - 2, "Enter previews it   Tab the next field   Esc closes", Role::Key);
}

fn list(d: &Draw, chooser: &Chooser, area: Rect, buf: &mut Buffer, hits: &mut HitMap) {
    let rows = usize::from(area.height);
    let first = (chooser.selected + 1).saturating_sub(rows);
    let longest = chooser.items.iter().map(|i| width(&i.text)).max().unwrap_or(0).min(usize::from(area.width) / 2);
    for (i, item) in chooser.items.iter().skip(first).take(rows).enumerate() {
        let y = area.y + i as u16;
        let row = Rect { y, height: 1, ..area };
        hits.add(row, Hit::Item(first + i));
        let current = first + i == chooser.selected;
        if current {
            d.put(buf, area.x, y, 1, d.glyphs.cursor, Role::CursorMarker);
        }
        d.put(
            buf,
            area.x + 2,
            y,
            longest as u16,
            &cut(&item.text, longest, d.glyphs.ellipsis),
            if item.off { Role::TextDim } else { Role::Key },
        );
        let x = area.x + 3 + longest as u16;
        d.put(
            buf,
            x,
            y,
            area.right().saturating_sub(x),
            &cut(&item.doc, usize::from(area.right().saturating_sub(x)), d.glyphs.ellipsis),
            if item.off { Role::TextDim } else { Role::KeyDesc },
        );
        if current {
            buf.set_style(row, d.role(Role::Cursor));
        }
    }
    if chooser.items.is_empty() {
        d.put(buf, area.x + 2, area.y, area.width, "nothing matches", Role::TextDim);
    }
}

fn columns(d: &Draw, selected: usize, body: Rect, buf: &mut Buffer) {
    let Some(pane) = d.app.table() else { return };
    let all = pane.subject.columns();
    let shown = pane.shown_columns();
    let area = frame(d, body, "Columns: Space shows, < > moves, + - sizes, Esc closes", all.len(), 76, buf);
    let rows = usize::from(area.height);
    let first = (selected + 1).saturating_sub(rows);
    for (i, column) in all.iter().enumerate().skip(first).take(rows) {
        let y = area.y + (i - first) as u16;
        let place = shown.iter().position(|(c, _)| c.id == column.id);
        let sign = place.map_or("   ".to_owned(), |n| format!("{:>2} ", n + 1));
        let x = d.put(buf, area.x + 1, y, 4, &sign, Role::Mark);
        d.put(buf, x, y, 26, column.id, if place.is_some() { Role::Key } else { Role::TextDim });
        let width = place.and_then(|n| shown[n].1).map_or(String::new(), |w| format!("[{w}] "));
        let doc = format!("{width}{}", column.doc);
        d.put(buf, area.x + 32, y, area.width - 33, &cut(&doc, usize::from(area.width - 33), d.glyphs.ellipsis), Role::KeyDesc);
        if i == selected {
            d.put(buf, area.x, y, 1, d.glyphs.cursor, Role::CursorMarker);
            buf.set_style(Rect { y, height: 1, ..area }, d.role(Role::Cursor));
        }
    }
}
