//! What is on the screen: draws a snapshot into a buffer and says where things are. Changes nothing, keeps nothing.
//!
//! A pane is a file in `panes/` and a line in [`panes::PANES`].

mod cockpit;
mod detail;
mod editor;
pub mod effects;
mod group;
mod help;
mod jobs;
mod logs;
mod overlay;
pub mod panes;
mod pieces;
mod preview;
mod table;
pub mod telling;
mod text;

pub use text::{elide, width};

use crate::app::{App, HitMap, Overlay, Place, World};
use crate::command::{Command, PaneName};
use crate::inspect::Severity;
use crate::theme::{Glyphs, Role, Theme};
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::Style;

/// The smallest screen that is drawn.
pub const SMALLEST: (u16, u16) = (80, 24);

/// What drawing reads. The theme is already at the terminal's colour depth.
#[derive(Clone, Copy)]
pub struct Draw<'a> {
    pub world: World<'a>,
    pub app: &'a App,
    pub theme: &'a Theme,
    pub glyphs: &'static Glyphs,
}

impl Draw<'_> {
    pub(crate) fn role(&self, role: Role) -> Style {
        self.theme.role(role)
    }

    /// Writes text, cut at `max` cells; where it ended.
    pub(crate) fn put(&self, buf: &mut Buffer, x: u16, y: u16, max: u16, text: &str, role: Role) -> u16 {
        if max == 0 || !buf.area.contains((x, y).into()) {
            return x;
        }
        let style = self.role(role);
        if !text.bytes().all(|b| matches!(b, b' '..=b'~')) {
            return buf.set_stringn(x, y, text, usize::from(max), style).0;
        }
        // Most text is plain: a cell a byte, without a look at graphemes.
        let n = text.len().min(usize::from(max)).min(usize::from(buf.area.right() - x));
        let at = buf.index_of(x, y);
        for (i, cell) in buf.content[at..at + n].iter_mut().enumerate() {
            cell.set_symbol(&text[i..=i]).set_style(style);
        }
        x + n as u16
    }

    /// A horizontal rule with a title in it, and one at its right end.
    pub(crate) fn rule(&self, buf: &mut Buffer, area: Rect, title: &str, right: &str, focused: bool) {
        let (line, name) = if focused { (Role::BorderFocus, Role::TitleFocus) } else { (Role::Border, Role::Title) };
        let (row, style) = (Rect { height: 1, ..area }.intersection(buf.area), self.role(line));
        // The glyphs of borders are one cell wide, as their test says.
        for at in row.positions() {
            buf[at].set_symbol(self.glyphs.border.horizontal_top).set_style(style);
        }
        self.put(buf, area.x, area.y, area.width, title, name);
        let w = width(right);
        if w > 0 && width(title) + w + 2 <= usize::from(area.width) {
            self.put(buf, area.right() - w as u16 - 1, area.y, w as u16, right, name);
        }
    }

    /// Highlights a row: all of it where the theme has a bar, else the name alone, which costs a third of the bytes.
    pub(crate) fn highlight(&self, buf: &mut Buffer, row: Rect, name: Rect) {
        let style = self.role(Role::Cursor);
        let bar = style.bg.is_some() || style.add_modifier.contains(ratatui::style::Modifier::REVERSED);
        buf.set_style(if bar { row } else { name }, style);
    }

    /// The sign and role of a severity.
    pub(crate) fn severity(severity: Severity) -> (&'static str, Role) {
        let role = match severity {
            Severity::Critical => Role::SeverityCritical,
            Severity::Warning => Role::SeverityWarning,
            Severity::Info => Role::SeverityInfo,
        };
        (severity.sign(), role)
    }

    /// A trend as bars, the newest at the right, at most `cells` of them.
    pub(crate) fn spark(&self, values: &[u32], cells: usize) -> String {
        let values = &values[values.len().saturating_sub(cells)..];
        let top = values.iter().copied().max().unwrap_or(0).max(1);
        values.iter().map(|v| self.glyphs.spark[(*v as usize * 7).div_ceil(top as usize).min(7)]).collect()
    }
}

/// `HH:MM` in UTC.
pub fn clock(secs: i64) -> String {
    format!("{:02}:{:02}", secs.rem_euclid(86_400) / 3600, secs.rem_euclid(3600) / 60)
}

/// When something began: the hour today, the day before that.
pub(crate) fn since(at: i64, now: i64) -> String {
    if now - at < 20 * 3600 {
        return clock(at);
    }
    jiff::Timestamp::from_second(at).map(|t| t.strftime("%b %d").to_string()).unwrap_or_default()
}

/// Draws the whole screen.
pub fn draw(d: &Draw, buf: &mut Buffer) -> HitMap {
    wipe(d.role(Role::Text), buf);
    draw_on_blank(d, buf)
}

/// Makes every cell a blank in the style of plain text.
pub fn wipe(text: Style, buf: &mut Buffer) {
    let mut blank = Cell::EMPTY;
    blank.set_style(text);
    for cell in &mut buf.content {
        cell.reset();
        (cell.fg, cell.bg, cell.modifier) = (blank.fg, blank.bg, blank.modifier);
    }
}

/// Draws the whole screen into a buffer that was wiped.
pub fn draw_on_blank(d: &Draw, buf: &mut Buffer) -> HitMap {
    let area = buf.area;
    let mut hits = HitMap { page: 1, text_page: 1, ..HitMap::default() };
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text = format!("qd needs {}x{}; this is {}x{}", SMALLEST.0, SMALLEST.1, area.width, area.height);
        d.put(buf, area.x, area.y, area.width, &text, Role::Error);
        return hits;
    }
    status(d, Rect { height: 1, ..area }, buf);
    let body = Rect { y: area.y + 1, height: area.height - 2, ..area };
    match &d.app.place {
        Place::Cockpit => cockpit::draw(d, body, buf, &mut hits),
        Place::Table(subject) => {
            if let Some(pane) = d.app.panes.get(subject) {
                table::draw_full(d, pane, body, buf, &mut hits);
            }
        }
        Place::Detail(detail) => detail::draw(d, detail, body, buf, &mut hits),
        Place::Logs(logs) => logs::draw(d, logs, body, buf, &mut hits),
        Place::Help { scroll } => help::draw(d, *scroll, body, buf, &mut hits),
        Place::Preview(pane) => preview::draw(d, pane, body, buf, &mut hits),
        Place::Editor(editor) => editor::draw(d, editor, body, buf, &mut hits),
        Place::Jobs(pane) => jobs::draw(d, pane, body, buf, &mut hits),
        Place::Audit(pane) => jobs::audit(d, pane, body, buf, &mut hits),
    }
    hits.highlighted = d.app.highlighted(&d.world);
    hits.group = d.app.highlighted_group();
    footer(d, Rect { y: area.bottom() - 1, height: 1, ..area }, buf, &mut hits);
    overlay::draw(d, body, buf, &mut hits);
    hits
}

/// The first line: how the fleet is, how many problems, the time.
fn status(d: &Draw, area: Rect, buf: &mut Buffer) {
    let clusters = d.world.store.clusters();
    let count = |word: &str| clusters.iter().filter(|c| c.state.word() == word).count();
    let mut x = d.put(buf, area.x, area.y, area.width, "qd ", Role::Status);
    let narrow = area.width < 100;
    let total = if narrow {
        format!("{}cl:", clusters.len())
    } else {
        format!("{} cluster{}:", clusters.len(), if clusters.len() == 1 { "" } else { "s" })
    };
    x = d.put(buf, x, area.y, 30, &total, Role::Status);
    for (word, label, role) in [
        ("live", "live", Role::StateLive),
        ("connecting", "connecting", Role::StateConnecting),
        ("syncing", "syncing", Role::StateSyncing),
        ("stale", "STALE", Role::StateStale),
        ("unauthorized", "NO LOGIN", Role::StateUnauthorized),
        ("unreachable", "DOWN", Role::StateUnreachable),
    ] {
        let n = count(word);
        if n > 0 {
            x = d.put(buf, x, area.y, area.right().saturating_sub(x), &format!(" {n} {label}"), role);
        }
    }
    let lines = &d.app.cockpit.lines;
    let of = |s: Severity| lines.iter().filter(|l| l.severity == s).count();
    let (critical, warning) = (of(Severity::Critical), of(Severity::Warning));
    x = d.put(buf, x, area.y, area.right().saturating_sub(x), " | ", Role::TextDim);
    x = d.put(
        buf,
        x,
        area.y,
        area.right().saturating_sub(x),
        &format!("X{critical}"),
        if critical > 0 { Role::SeverityCritical } else { Role::TextDim },
    );
    x = d.put(
        buf,
        x,
        area.y,
        area.right().saturating_sub(x),
        &format!(" !{warning}"),
        if warning > 0 { Role::SeverityWarning } else { Role::TextDim },
    );
    let mut extra = |text: &str, role| {
        x = d.put(buf, x, area.y, area.right().saturating_sub(x), " | ", Role::TextDim);
        x = d.put(buf, x, area.y, area.right().saturating_sub(x), text, role);
    };
    let jobs = d.world.store.jobs.active().count();
    if jobs > 0 {
        let blocked = d.world.store.jobs.active().any(|j| j.blocked().next().is_some());
        extra(&format!("job{} {jobs}", if jobs == 1 { "" } else { "s" }), if blocked { Role::SeverityWarning } else { Role::TextStrong });
    }
    if !d.app.scope.is_all() {
        extra(&format!("only {}", d.app.scope.describe()), Role::Filter);
    }
    if d.app.frozen {
        extra("FROZEN", Role::StateStale);
    }
    if !d.app.diags.is_empty() {
        extra(&format!("config: {} mistake{}", d.app.diags.len(), if d.app.diags.len() == 1 { "" } else { "s" }), Role::Error);
    }
    let time = format!("{}Z", clock(d.world.now));
    let w = time.len() as u16;
    if x + w < area.right() {
        d.put(buf, area.right() - w, area.y, w, &time, Role::TextDim);
    }
}

/// The last line: what is being typed, a notice, what may follow, or the keys that matter here.
fn footer(d: &Draw, area: Rect, buf: &mut Buffer, hits: &mut HitMap) {
    if let Some(Overlay::Prompt(prompt)) = &d.app.overlay {
        return overlay::prompt(d, prompt, area, buf, hits);
    }
    if let Some(notice) = &d.app.notice {
        let role = if notice.error { Role::Error } else { Role::Hint };
        let text = elide(&notice.text, usize::from(area.width), d.glyphs.ellipsis);
        d.put(buf, area.x, area.y, area.width, &text, role);
        return;
    }
    if !d.app.pending.is_empty() {
        let typed = crate::keymap::Chord::print_sequence(d.app.pending.chords());
        d.put(buf, area.x, area.y, area.width, &format!("{typed} ..."), Role::Key);
        return;
    }
    if let (Some(diag), Place::Cockpit) = (d.app.diags.first(), &d.app.place) {
        let text = diag.to_string().replace('\n', " ");
        d.put(buf, area.x, area.y, area.width, &elide(&text, usize::from(area.width), d.glyphs.ellipsis), Role::Error);
        return;
    }
    let modes = d.app.modes();
    let mut x = area.x;
    for (command, label) in hints_of(&d.app.place) {
        let Some(keys) = d.app.keymap.keys_for(&modes, &command) else { continue };
        if x + (keys.len() + label.len() + 3) as u16 > area.right() {
            break;
        }
        x = d.put(buf, x, area.y, area.right().saturating_sub(x), &keys, Role::Key);
        x = d.put(buf, x, area.y, area.right().saturating_sub(x), &format!(" {label}  "), Role::KeyDesc);
    }
}

fn hints_of(place: &Place) -> Vec<(Command, &'static str)> {
    use Command as C;
    let keys: &[(Command, &str)] = match place {
        Place::Cockpit => &[
            (C::Open, "why"),
            (C::Fix, "fix"),
            (C::Acts, "act"),
            (C::Logs, "logs"),
            (C::NextTile, "tile"),
            (C::Zoom, "zoom"),
            (C::Filter(None), "filter"),
            (C::Palette, "go"),
            (C::Find(None), "find"),
            (C::Help, "keys"),
        ],
        Place::Table(_) => &[
            (C::Open, "why"),
            (C::Acts, "act"),
            (C::Logs, "logs"),
            (C::Yaml, "yaml"),
            (C::Filter(None), "filter"),
            (C::FaultsOnly, "faults"),
            (C::Sort(None), "sort"),
            (C::Wide, "wide"),
            (C::Mark, "mark"),
            (C::Palette, "go"),
            (C::Pane((PaneName::Cockpit, None)), "cockpit"),
            (C::Help, "keys"),
        ],
        Place::Detail(_) => &[
            (C::Logs, "logs"),
            (C::Yaml, "yaml"),
            (C::Search(None), "search"),
            (C::Fold, "fold"),
            (C::Unmask, "unmask"),
            (C::Copy, "copy"),
            (C::Back, "back"),
            (C::Help, "keys"),
        ],
        Place::Logs(_) => &[
            (C::LogFollow, "follow"),
            (C::LogWrap, "wrap"),
            (C::LogTimestamps, "times"),
            (C::LogPrevious, "previous"),
            (C::LogContainer(None), "container"),
            (C::LogFilter(None), "keep"),
            (C::Search(None), "search"),
            (C::LogSave(None), "save"),
            (C::Back, "back"),
        ],
        Place::Help { .. } => &[(C::Back, "back"), (C::PageDown, "more")],
        Place::Preview(_) => &[],
        Place::Editor(_) => &[(C::EditPreview, "preview"), (C::EditOutside, "$EDITOR"), (C::Unmask, "values"), (C::Back, "leave")],
        Place::Jobs(_) => &[
            (C::Open, "steps"),
            (C::JobPause, "pause"),
            (C::JobStop, "stop"),
            (C::Undo(None), "undo"),
            (C::Resume(None), "resume"),
            (C::Back, "back"),
        ],
        Place::Audit(_) => &[(C::Open, "record"), (C::Search(None), "filter"), (C::Back, "back")],
    };
    let mut keys = keys.to_vec();
    if let Place::Table(subject) = place {
        // What has no logs, and no YAML, does not offer them.
        let kinds = subject.kinds();
        let logs = kinds.iter().all(|k| *k == crate::model::Kind::Pod || crate::model::Kind::WORKLOADS.contains(k));
        keys.retain(|(c, _)| match c {
            C::Logs => logs && !kinds.is_empty(),
            C::Yaml => !kinds.is_empty(),
            _ => true,
        });
        // What is muted from here most.
        if kinds.contains(&crate::model::Kind::Alert) {
            keys.insert(2, (C::Verb(crate::model::VerbId::Silence, None), "mute"));
        }
    }
    keys
}

#[cfg(test)]
mod tests;
