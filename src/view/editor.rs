//! The built-in editor on the screen: what is edited, its text with the terminal's cursor in it.

use super::Draw;
use super::pieces::{self, clean};
use super::text::{elide, width};
use crate::app::{Copy, Editor, HitMap};
use crate::theme::Role;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

pub fn draw(d: &Draw, editor: &Editor, area: Rect, buf: &mut Buffer, hits: &mut HitMap) {
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let rows = usize::from(body.height);
    hits.text_page = rows.max(1);
    let pages = match &editor.copy {
        Copy::Here(pages) => pages,
        Copy::Coming => {
            title(d, editor, "", area, buf);
            d.put(buf, body.x, body.y, body.width, "the object is being fetched", Role::TextDim);
            return;
        }
        Copy::Failed(why) => {
            title(d, editor, "", area, buf);
            d.put(buf, body.x, body.y, body.width, &clean(why), Role::Error);
            return;
        }
    };
    let (row, column) = pages.cursor();
    let masked = if pages.masked > 0 { format!("{} masked  ", pages.masked) } else { String::new() };
    let changed = if pages.changed() { "changed  " } else { "" };
    title(d, editor, &format!("{changed}{masked}{}:{}", row + 1, column + 1), area, buf);
    let lines = pages.lines();
    // From the offset on, moved so that the cursor's line is seen.
    let first = editor.offset.min(row).max((row + 1).saturating_sub(rows.max(1)));
    let cells = usize::from(body.width);
    let before: String = lines.get(row).map(|l| l.chars().take(column).collect()).unwrap_or_default();
    let at = width(&clean(&before));
    // All lines move to the left together, in steps, so that what belongs together stays so.
    let skip = if at + 1 < cells { 0 } else { (at + 2 - cells).next_multiple_of(16) };
    for (n, line) in lines.iter().skip(first).take(rows).enumerate() {
        let role = if first + n == row && editor.error.is_some() { Role::Error } else { Role::Yaml };
        pieces::put(d, buf, (body.x, body.y + n as u16), body.width, &[(clean(line), role)], skip);
    }
    hits.cursor = Some((body.x + (at - skip.min(at)) as u16, body.y + (row - first) as u16));
    (hits.text_offset, hits.text_at_end) = (first, first + rows >= lines.len());
}

fn title(d: &Draw, editor: &Editor, right: &str, area: Rect, buf: &mut Buffer) {
    let o = &editor.object;
    let cluster = d.world.store.cluster(o.cluster);
    let mark = if cluster.is_some_and(|c| c.info.production()) { " [P]" } else { "" };
    let place = if o.namespace.is_empty() { o.name.to_string() } else { format!("{}/{}", o.namespace, o.name) };
    let text = format!("EDIT {} {}{mark} {place}", o.kind.name(), cluster.map_or("", |c| &c.info.name));
    let room = usize::from(area.width).saturating_sub(width(right) + 3);
    d.rule(buf, Rect { height: 1, ..area }, &elide(&clean(&text), room, d.glyphs.ellipsis), right, true);
}
