//! The heads of groups in a table: what each group is, how many there are and how they stand.

use super::Draw;
use super::table::tone;
use super::text::{cut, elide, width};
use crate::app::TablePane;
use crate::model::Severity;
use crate::table::{Group, Tone};
use crate::theme::Role;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Cells that the title may have at the most, as a part of the line.
const TITLE_PART: (u16, u16) = (2, 5);

/// What stands in a head's columns.
struct Cells {
    title: String,
    count: String,
    age: String,
    severity: String,
    states: String,
    /// Whether `states` is what an incident says.
    says: bool,
}

fn cells(d: &Draw, pane: &TablePane, group: &Group) -> Cells {
    let by = pane.grouping.as_ref().map_or("", |g| g.by.title).to_lowercase();
    let (marked, all) = pane.marked_of(&d.world, group);
    let age = group.oldest.map(|t| crate::table::Value::Age(t).text(d.world.now));
    Cells {
        title: if group.title.is_empty() { format!("(no {by})") } else { short(d, group).to_owned() },
        count: if marked > 0 && marked < all { format!("{marked}/{all}") } else { all.to_string() },
        age: age.unwrap_or_default(),
        // The sign has it, and an incident has more to say.
        severity: if pane.grouping.as_ref().is_some_and(|g| g.by.id == "cause") { String::new() } else { group.severity.clone() },
        says: group.says.is_some(),
        states: group
            .says
            .as_ref()
            .map(|(says, explains)| said(says, explains))
            .unwrap_or_else(|| group.states.iter().map(|(state, n)| format!("{n} {state}")).collect::<Vec<_>>().join(", ")),
    }
}

/// An incident's title without the rule, where there is an object too: what it says tells as much. A cluster's name may have blanks.
fn short<'a>(d: &Draw, group: &'a Group) -> &'a str {
    let whole = group.title.as_str();
    let cluster = group.rows.first().and_then(|row| d.world.store.cluster(row.cluster()));
    let cause = cluster.and_then(|c| whole.strip_prefix(&*c.info.name)).map(str::trim_start).filter(|_| group.says.is_some());
    match cause.and_then(|cause| cause.rsplit_once(' ')) {
        Some((_, rule)) => whole[..whole.len() - rule.len()].trim_end(),
        None => whole,
    }
}

/// What an incident is, and what that explains.
fn said(says: &str, explains: &str) -> String {
    if explains.is_empty() { says.to_owned() } else { format!("{says}; explains {explains}") }
}

/// Widths that the heads have in common, so that their numbers stand below each other.
pub(super) struct Heads {
    title: u16,
    count: u16,
    age: u16,
    severity: u16,
}

impl Heads {
    pub fn of<'a>(d: &Draw, pane: &TablePane, groups: impl Iterator<Item = &'a Group>, room: u16) -> Self {
        let mut own = Self { title: 0, count: 0, age: 0, severity: 0 };
        let wide = |text: &str| u16::try_from(width(text)).unwrap_or(u16::MAX);
        for c in groups.map(|g| cells(d, pane, g)) {
            own.title = own.title.max(wide(&c.title));
            own.count = own.count.max(wide(&c.count));
            own.age = own.age.max(wide(&c.age));
            own.severity = own.severity.max(wide(&c.severity));
        }
        if own.age > 0 {
            own.age = own.age.max(5);
        }
        own.title = own.title.min(room * TITLE_PART.0 / TITLE_PART.1).max(8);
        own
    }

    /// What stands over the heads where there are heads alone.
    pub fn header(&self, d: &Draw, pane: &TablePane, line: Rect, buf: &mut Buffer) {
        let by = pane.grouping.as_ref().map_or("", |g| g.by.title);
        let mut x = line.x + 4;
        let cells = [(self.title, by, false), (self.count, "N", true), (self.age, "SINCE", true), (self.severity, "SEVERITY", false)];
        for (of, text, right) in cells.into_iter().filter(|(of, ..)| *of > 0) {
            let text = cut(text, usize::from(of), "");
            let pad = if right { of.saturating_sub(u16::try_from(width(&text)).unwrap_or(0)) } else { 0 };
            d.put(buf, x + pad, line.y, line.right().saturating_sub(x + pad), &text, Role::Header);
            x += of + 1;
        }
        d.put(
            buf,
            x,
            line.y,
            line.right().saturating_sub(x),
            if pane.grouping.as_ref().is_some_and(|g| g.by.id == "cause") { "WHAT" } else { "STATES" },
            Role::Header,
        );
    }

    /// Draws the head of a group; `current`: the cursor is on it.
    pub fn draw(&self, d: &Draw, pane: &TablePane, group: &Group, line: Rect, current: bool, buf: &mut Buffer) {
        let c = cells(d, pane, group);
        let open = pane.grouping.as_ref().is_some_and(|g| g.is_open(group));
        let sign = match group.worst {
            Tone::Critical => Severity::Critical.sign(),
            Tone::Warning => Severity::Warning.sign(),
            _ => " ",
        };
        let role = tone(group.worst);
        d.put(buf, line.x, line.y, 1, sign, role);
        let mut x = line.x + 2;
        let left = |x: u16| line.right().saturating_sub(x);
        let put = |x: &mut u16, width_of: u16, text: &str, right: bool, role: Role, buf: &mut Buffer| {
            let text = elide(text, usize::from(width_of), d.glyphs.ellipsis);
            let pad = if right { width_of.saturating_sub(u16::try_from(width(&text)).unwrap_or(0)) } else { 0 };
            d.put(buf, *x + pad, line.y, width_of.saturating_sub(pad).min(left(*x + pad)), &text, role);
            *x += width_of + 1;
        };
        put(&mut x, 1, if open { d.glyphs.unfolded } else { d.glyphs.folded }, false, Role::TextDim, buf);
        let name = Rect { x, width: self.title.min(left(x)), ..line };
        put(&mut x, self.title, &c.title, false, if group.worst.fault() { role } else { Role::Text }, buf);
        put(&mut x, self.count, &c.count, true, Role::Text, buf);
        if self.age > 0 {
            put(&mut x, self.age, &c.age, true, Role::TextDim, buf);
        }
        if self.severity > 0 {
            put(&mut x, self.severity, &c.severity, false, role, buf);
        }
        let role = if c.says { Role::Text } else { Role::TextDim };
        d.put(buf, x, line.y, left(x), &cut(&c.states, usize::from(left(x)), d.glyphs.ellipsis), role);
        if pane.marked_of(&d.world, group).0 > 0 {
            d.put(buf, line.x + 1, line.y, 1, d.glyphs.mark, Role::Mark);
            buf.set_style(line, d.role(Role::Mark));
        }
        if current {
            d.put(buf, line.x + 1, line.y, 1, d.glyphs.cursor, Role::CursorMarker);
            d.highlight(buf, Rect { x: line.x + 1, width: line.width.saturating_sub(1), ..line }, name);
        }
    }
}

/// What can be done on the head of a group.
pub(super) fn why(group: &Group) -> String {
    let n = group.rows.len();
    let all = if n == 1 { "it".to_owned() } else { format!("all {n}") };
    if let Some((says, explains)) = &group.says {
        return format!("> {}; Enter opens and folds it", said(says, explains));
    }
    format!("> Enter opens and folds it, Space marks {all}; what is done here is done to {all}")
}
