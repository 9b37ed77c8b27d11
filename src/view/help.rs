//! Help: made from the keymap, for the pane one came from.

use super::Draw;
use super::text::cut;
use crate::app::HitMap;
use crate::keymap::Chord;
use crate::theme::Role;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

pub fn draw(d: &Draw, scroll: usize, area: Rect, buf: &mut Buffer, hits: &mut HitMap) {
    let modes = d.app.modes_under_help();
    let bindings = d.app.keymap.bindings(&modes);
    let mut lines: Vec<(String, String, Role)> = Vec::new();
    for mode in &modes {
        let mut of: Vec<(String, &str)> = Vec::new();
        for b in bindings.iter().filter(|b| b.mode == *mode) {
            let keys = Chord::print_sequence(&b.chords);
            match of.iter_mut().find(|(_, desc)| *desc == b.desc) {
                Some((all, _)) => *all = format!("{all} {keys}"),
                None => of.push((keys, &b.desc)),
            }
        }
        if of.is_empty() {
            continue;
        }
        lines.push((format!("{} ({})", mode.name().to_uppercase(), mode.doc()), String::new(), Role::Title));
        lines.extend(of.into_iter().map(|(keys, desc)| (keys, desc.to_owned(), Role::KeyDesc)));
    }
    let title = format!("KEYS of keymap {} ({} rows)", d.app.keymap.name(), lines.len());
    d.rule(buf, Rect { height: 1, ..area }, &title, "Esc closes", true);
    let rows = usize::from(area.height - 1);
    hits.page = rows;
    hits.text_page = rows;
    // Two columns where there is room: the whole map on one screen.
    let columns = if area.width >= 160 { 2 } else { 1 };
    let per = lines.len().div_ceil(columns);
    let first = scroll.min(per.saturating_sub(rows));
    let width = area.width / columns as u16;
    for c in 0..columns {
        let from = (c * per + first).min(lines.len());
        let to = ((c + 1) * per).min(lines.len()).min(from + rows);
        for (i, (keys, desc, role)) in lines[from..to].iter().enumerate() {
            let (x, y) = (area.x + width * c as u16, area.y + 1 + i as u16);
            if desc.is_empty() {
                d.put(buf, x, y, width, &cut(keys, usize::from(width) - 1, d.glyphs.ellipsis), *role);
            } else {
                d.put(buf, x + 2, y, 18, &cut(keys, 18, d.glyphs.ellipsis), Role::Key);
                d.put(
                    buf,
                    x + 21,
                    y,
                    width.saturating_sub(22),
                    &cut(desc, usize::from(width.saturating_sub(22)), d.glyphs.ellipsis),
                    *role,
                );
            }
        }
    }
}
