//! What the person is doing: where they are, what is highlighted, what is open.
//!
//! Owns navigation, cursors, filters, overlays and saved views. `update` is pure: it takes an event and gives effects; what is
//! drawn is `view`'s, what is fetched is `runtime`'s. It never waits and never mutates a cluster.

mod afterwards;
mod chooser;
mod cockpit;
mod commands;
mod deed;
pub mod detail;
mod editor;
mod event;
mod fetched;
mod form;
mod grouping;
mod ignoring;
mod jobs;
mod jump;
mod keys;
pub mod logs;
mod muting;
mod overlays;
mod pane;
mod prompt;
mod runbook;
mod scope;
mod session;

pub use chooser::{Choice, Chooser, Item, Overlay};
pub use cockpit::{Cockpit, Focus, TileRow, line_key};
pub use deed::{PreviewPane, Refusal, Remember, Stage, blocked};
pub use detail::Detail;
pub use editor::{Copy, Editor, Pages};
pub use event::{Effect, Event, LogLine, LogState, LogsOf, Notice, RequestId};
pub use fetched::KeptFile;
pub use form::{Field, Form, Of};
pub use grouping::{GroupBy, Grouping, Line};
pub use jobs::{AuditPane, JobsPane};
pub use jump::pods_of;
pub use logs::Logs;
pub use muting::muted;
pub use pane::{ColumnChoice, TablePane};
pub use prompt::{Prompt, Purpose};
pub use scope::Scope;
pub use session::{SavedView, SessionState};

use crate::action::Wanted;
use crate::command::PaneName;
use crate::config::{Config, Runbook};
use crate::diag::Diag;
use crate::inspect::Engine;
use crate::keymap::{Chord, Keymap, Mode, Pending};
use crate::model::{ClusterId, JobId, ObjectRef};
use crate::store::{Store, Touched};
use crate::table::{Ctx, RowKey, Subject};
use ratatui::layout::Rect;
use std::collections::BTreeMap;

/// What `update` and `draw` read.
#[derive(Clone, Copy)]
pub struct World<'a> {
    pub store: &'a Store,
    pub engine: &'a Engine,
    /// Unix seconds.
    pub now: i64,
}

impl<'a> World<'a> {
    pub fn ctx(&self) -> Ctx<'a> {
        Ctx { store: self.store, now: self.now }
    }
}

/// What fills the screen.
pub enum Place {
    Cockpit,
    Table(Subject),
    Detail(Box<Detail>),
    Logs(Box<Logs>),
    Help {
        scroll: usize,
    },
    /// What would be done, before it is.
    Preview(Box<PreviewPane>),
    /// An object's text, as it may become.
    Editor(Box<Editor>),
    Jobs(JobsPane),
    Audit(AuditPane),
}

/// What can be gone back to.
#[derive(Clone, Debug, PartialEq)]
pub enum Spot {
    Cockpit,
    Table { subject: Subject, filter: String, at: Option<RowKey> },
    Detail(ObjectRef),
}

/// What the mouse may hit, as `draw` left it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Hit {
    /// A line of BURNING.
    Line(usize),
    /// A part of the cockpit (border and empty rows).
    Part(Focus),
    /// A row of the focused or named table.
    Row { part: Option<Focus>, at: usize },
    /// A column's header in the full pane.
    Header(&'static str),
    /// An item of the overlay's list.
    Item(usize),
}

/// Where things are on the drawn screen, and what was measured while drawing.
#[derive(Clone, Debug, Default)]
pub struct HitMap {
    pub areas: Vec<(Rect, Hit)>,
    /// Rows that a page has in the focused part.
    pub page: usize,
    /// First drawn row of each table: (its part, none for the full pane; offset).
    pub offsets: Vec<(Option<Focus>, usize)>,
    /// First drawn line of BURNING.
    pub burning_offset: usize,
    /// Widest content of each column drawn: (part, column, cells).
    pub widths: Vec<(Option<Focus>, &'static str, u16)>,
    /// What was highlighted in this frame: an object, or the head of the group of that title.
    pub highlighted: Option<ObjectRef>,
    pub group: Option<String>,
    /// Rows that the text that scrolls has.
    pub text_page: usize,
    /// Its first drawn line, and whether its last one was drawn.
    pub text_offset: usize,
    pub text_at_end: bool,
    /// The frame's number, growing.
    pub frame: u64,
    /// Where the terminal's cursor shall be, when text is typed.
    pub cursor: Option<(u16, u16)>,
}

/// What an open text made of a command.
pub enum Own {
    /// It is none of its own.
    No,
    Done(Vec<Effect>),
    Say(Notice),
    /// Something has to be typed; with what is there already.
    Ask(Purpose, String),
    /// Logs are read anew.
    Restart {
        previous: bool,
    },
}

impl HitMap {
    /// Notes an area.
    pub fn add(&mut self, area: Rect, hit: Hit) {
        self.areas.push((area, hit));
    }
    fn at(&self, x: u16, y: u16) -> Option<Hit> {
        self.areas.iter().rev().find(|(r, _)| r.contains((x, y).into())).map(|(_, hit)| *hit)
    }
}

/// The cockpit's state.
pub struct App {
    pub place: Place,
    /// What lies under what is open: Back goes there.
    under: Vec<Place>,
    pub panes: BTreeMap<Subject, TablePane>,
    pub cockpit: Cockpit,
    pub scope: Scope,
    pub overlay: Option<Overlay>,
    pub notice: Option<Notice>,
    /// Mistakes in configuration, keymap and theme: shown until looked at, never fatal.
    pub diags: Vec<Diag>,
    pub keymap: Keymap,
    pub pending: Pending,
    pub hints: Vec<(Chord, String)>,
    pub frozen: bool,
    pub mouse: bool,
    pub theme: String,
    /// The theme that the configuration names.
    configured_theme: String,
    pub views: Vec<SavedView>,
    /// The runbooks that `run` knows.
    pub runbooks: Vec<Runbook>,
    back: Vec<Spot>,
    forward: Vec<Spot>,
    search: String,
    requests: u64,
    /// What jobs are fetching, to be opened.
    fetching: Vec<fetched::Fetching>,
    /// What is to be previewed when a job has ended well.
    afterwards: Vec<(JobId, Wanted)>,
    /// The logs that were open after the last event.
    reading: Vec<RequestId>,
    pub shown: HitMap,
    /// The newest frame that is certain to have been seen when the last key was typed.
    pub acked: u64,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    quit: bool,
}

impl App {
    /// The cockpit on its first screen.
    pub fn new(config: &Config, keymap: Keymap, mut diags: Vec<Diag>) -> Self {
        let (cockpit, mistakes) = Cockpit::new(config);
        diags.extend(mistakes);
        let mut app = Self {
            place: Place::Cockpit,
            under: Vec::new(),
            panes: BTreeMap::new(),
            cockpit,
            scope: Scope::default(),
            overlay: None,
            notice: None,
            diags,
            keymap,
            pending: Pending::default(),
            hints: Vec::new(),
            frozen: false,
            mouse: true,
            theme: config.theme.value.clone(),
            configured_theme: config.theme.value.clone(),
            views: Vec::new(),
            runbooks: Vec::new(),
            back: Vec::new(),
            forward: Vec::new(),
            search: String::new(),
            requests: 0,
            fetching: Vec::new(),
            afterwards: Vec::new(),
            reading: Vec::new(),
            shown: HitMap::default(),
            acked: 0,
            size: (80, 24),
            quit: false,
        };
        app.configure_columns(config);
        app
    }

    fn configure_columns(&mut self, config: &Config) {
        for chosen in &config.columns {
            let Ok(subject) = Subject::parse(&chosen.pane.value) else {
                self.diags.push(chosen.pane.unknown("pane", Subject::ALL.iter().map(|s| s.name())));
                continue;
            };
            let mut columns = Vec::new();
            for name in &chosen.names {
                match subject.column(&name.value) {
                    Ok(column) => columns.push(ColumnChoice { id: column.id, width: None }),
                    Err(_) => self.diags.push(name.unknown("column", subject.columns().iter().map(|c| c.id))),
                }
            }
            self.pane(subject).columns = (!columns.is_empty()).then_some(columns);
        }
    }

    /// Whether the person asked to leave.
    pub fn quitting(&self) -> bool {
        self.quit
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    fn pane(&mut self, subject: Subject) -> &mut TablePane {
        self.panes.entry(subject).or_insert_with(|| TablePane::new(subject))
    }

    /// The table that the keys go to.
    pub fn table(&self) -> Option<&TablePane> {
        match &self.place {
            Place::Cockpit => self.cockpit.table(),
            Place::Table(subject) => self.panes.get(subject),
            _ => None,
        }
    }

    fn table_mut(&mut self) -> Option<&mut TablePane> {
        match &self.place {
            Place::Cockpit => self.cockpit.table_mut(),
            Place::Table(subject) => self.panes.get_mut(subject),
            _ => None,
        }
    }

    /// The object that a key acts on: the one highlighted in the last drawn frame.
    pub fn highlighted(&self, world: &World) -> Option<ObjectRef> {
        match &self.place {
            Place::Detail(d) => Some(d.object.clone()),
            Place::Logs(l) => l.objects.first().cloned(),
            Place::Editor(e) => Some(e.object.clone()),
            Place::Help { .. } | Place::Preview(_) | Place::Jobs(_) | Place::Audit(_) => None,
            Place::Cockpit if self.cockpit.focus == Focus::Burning => {
                self.cockpit.lines.get(self.cockpit.cursor).and_then(|l| l.subject.clone())
            }
            _ => self.table().and_then(|t| t.object(world)),
        }
    }

    /// The cluster that is highlighted, or that of the highlighted object.
    pub fn highlighted_cluster(&self, world: &World) -> Option<ClusterId> {
        if let Some(RowKey::Cluster(id)) = self.table().and_then(TablePane::current) {
            return Some(id);
        }
        if let Place::Cockpit = self.place
            && self.cockpit.focus == Focus::Burning
        {
            return self.cockpit.lines.get(self.cockpit.cursor).map(|l| l.cluster);
        }
        self.highlighted(world).map(|o| o.cluster)
    }

    /// Where one is, most specific first: which tables of the keymap count.
    pub fn modes(&self) -> Vec<Mode> {
        match &self.overlay {
            Some(Overlay::Prompt(_)) => return vec![Mode::Input],
            Some(Overlay::Search(..)) => return vec![Mode::Palette, Mode::Input],
            Some(Overlay::Form(_)) => return vec![Mode::Form],
            Some(Overlay::Columns { .. }) => return vec![Mode::Columns, Mode::Dialog],
            Some(Overlay::Choose(_) | Overlay::Quit) => return vec![Mode::Dialog],
            None => {}
        }
        match &self.place {
            Place::Cockpit => match self.cockpit.table() {
                Some(t) => vec![mode_of(t.subject), Mode::Table, Mode::Object, Mode::Global],
                None => vec![Mode::Cockpit, Mode::Table, Mode::Object, Mode::Global],
            },
            Place::Table(s) => vec![mode_of(*s), Mode::Table, Mode::Object, Mode::Global],
            Place::Detail(d) => {
                let mut modes = vec![Mode::Detail, Mode::Text];
                modes.push(mode_of(Subject::of_kind(d.object.kind)));
                modes.extend([Mode::Object, Mode::Global]);
                modes
            }
            Place::Logs(_) => vec![Mode::Logs, Mode::Text, Mode::Global],
            Place::Help { .. } => vec![Mode::Help, Mode::Text, Mode::Global],
            Place::Preview(_) => vec![Mode::Dialog],
            Place::Editor(_) => vec![Mode::Editor],
            Place::Jobs(_) => vec![Mode::Jobs, Mode::Text, Mode::Global],
            Place::Audit(_) => vec![Mode::Audit, Mode::Text, Mode::Global],
        }
    }

    /// The modes of what lies under help, for its text.
    pub fn modes_under_help(&self) -> Vec<Mode> {
        match self.under.last() {
            Some(Place::Table(s)) => vec![mode_of(*s), Mode::Table, Mode::Object, Mode::Global],
            Some(Place::Detail(_)) => vec![Mode::Detail, Mode::Text, Mode::Object, Mode::Global],
            Some(Place::Logs(_)) => vec![Mode::Logs, Mode::Text, Mode::Global],
            Some(Place::Jobs(_)) => vec![Mode::Jobs, Mode::Text, Mode::Global],
            Some(Place::Audit(_)) => vec![Mode::Audit, Mode::Text, Mode::Global],
            _ => vec![Mode::Cockpit, Mode::Table, Mode::Object, Mode::Global],
        }
    }

    /// The store changed. Whether the screen may have to be drawn again.
    pub fn touched(&mut self, world: &World, touched: &[Touched]) -> (bool, Vec<Effect>) {
        if self.frozen {
            self.panes.values_mut().chain(self.cockpit.tables()).for_each(|p| p.outdated = true);
            return (false, Vec::new());
        }
        // The first line counts the problems on every screen.
        let (mut dirty, mut effects) = (self.cockpit.refresh_lines(world), Vec::new());
        let shown = match &mut self.place {
            Place::Cockpit => {
                for t in self.cockpit.tables() {
                    dirty |= t.refresh(world, Some(touched));
                }
                dirty |= touched.iter().any(|t| matches!(t, Touched::Cluster(_)));
                dirty |= !touched.is_empty();
                None
            }
            Place::Table(subject) => {
                let subject = *subject;
                if let Some(pane) = self.panes.get_mut(&subject) {
                    dirty |= pane.refresh(world, Some(touched));
                }
                dirty |= touched.iter().any(|t| matches!(t, Touched::Cluster(_)));
                Some(subject)
            }
            Place::Detail(d) => {
                let (changed, more) = d.touched(world, touched);
                dirty |= changed;
                effects.extend(more);
                None
            }
            Place::Logs(l) => {
                let (changed, more) = l.touched(world, touched);
                dirty |= changed;
                effects.extend(more);
                None
            }
            Place::Help { .. } | Place::Preview(_) | Place::Editor(_) | Place::Jobs(_) | Place::Audit(_) => None,
        };
        let cockpit = matches!(self.place, Place::Cockpit);
        for (subject, pane) in &mut self.panes {
            pane.outdated |= Some(*subject) != shown;
        }
        if !cockpit {
            self.cockpit.tables().for_each(|t| t.outdated = true);
        }
        (dirty, effects)
    }

    /// A minute has gone by or a rule came due: what depends on time alone.
    pub fn tick(&mut self, world: &World) -> bool {
        if self.frozen {
            return false;
        }
        if let Place::Detail(d) = &mut self.place {
            d.refresh(world);
        }
        self.cockpit.refresh_lines(world)
    }

    /// The table on screen has nothing to show yet.
    pub fn waits_for_rows(&self) -> bool {
        matches!(self.place, Place::Table(_)) && self.table().is_some_and(|t| t.view.is_empty() && t.filter_text.is_empty())
    }

    /// Whether the pane on screen lists this kind.
    pub fn shows(&self, kind: crate::model::Kind) -> bool {
        matches!(self.place, Place::Table(subject) if subject.kinds().contains(&kind))
    }

    /// A minute has gone by: filters that speak of ages are asked anew.
    pub fn minute(&mut self, world: &World) {
        self.tick(world);
        if !self.frozen
            && let Some(t) = self.table_mut()
            && t.view.timed()
        {
            t.refresh(world, None);
        }
    }

    /// What was drawn: offsets and widths are kept for the next frame and for keys that move by pages.
    pub fn drawn(&mut self, hits: HitMap) {
        for (part, offset) in &hits.offsets {
            if let Some(t) = self.part_mut(*part) {
                t.offset = *offset;
            }
        }
        for (part, id, width) in &hits.widths {
            if let Some(t) = self.part_mut(*part) {
                match t.widths.iter_mut().find(|(x, _)| x == id) {
                    Some((_, w)) => *w = (*w).max(*width),
                    None => t.widths.push((id, *width)),
                }
            }
        }
        match &mut self.place {
            Place::Detail(d) => d.offset = hits.text_offset,
            Place::Logs(l) => l.drawn(&hits),
            Place::Editor(e) => e.offset = hits.text_offset,
            Place::Preview(p) => {
                p.offset = hits.text_offset;
                p.drawn(hits.frame);
            }
            Place::Jobs(p) => p.offset = if p.open { hits.text_offset } else { 0 },
            Place::Audit(p) => p.offset = if p.open { hits.text_offset } else { 0 },
            _ => {}
        }
        self.cockpit.offset = hits.burning_offset;
        self.shown = hits;
    }

    fn part_mut(&mut self, part: Option<Focus>) -> Option<&mut TablePane> {
        match part {
            None => match &self.place {
                Place::Table(s) => self.panes.get_mut(s),
                _ => None,
            },
            Some(Focus::Burning) => None,
            Some(Focus::Strip) => Some(&mut self.cockpit.strip),
            Some(Focus::Tile(n)) => self.cockpit.tiles.get_mut(n),
        }
    }

    /// Makes what is on screen current after one went there.
    fn refresh_place(&mut self, world: &World) {
        self.cockpit.refresh_lines(world);
        match self.place {
            Place::Cockpit => {
                for t in self.cockpit.tables().filter(|t| t.outdated) {
                    t.refresh(world, None);
                }
            }
            Place::Table(subject) => {
                let scope = self.scope.clone();
                let pane = self.pane(subject);
                pane.limit(world, &scope);
                if pane.outdated {
                    pane.refresh(world, None);
                }
            }
            Place::Detail(ref mut d) => d.refresh(world),
            _ => {}
        }
    }

    /// Only these clusters and namespaces, in every table.
    fn set_scope(&mut self, world: &World, scope: Scope) {
        self.scope = scope;
        for t in self.cockpit.tables() {
            t.limit(world, &self.scope);
        }
        self.refresh_place(world);
    }

    /// What happened, and what shall be done about it. The screen is drawn after every call.
    pub fn update(&mut self, world: &World, event: Event) -> Vec<Effect> {
        let effects = self.happened(world, event);
        self.close_logs(effects)
    }

    /// Stops what is read for logs that are no longer open.
    fn close_logs(&mut self, mut effects: Vec<Effect>) -> Vec<Effect> {
        let open: Vec<RequestId> = self
            .under
            .iter()
            .chain([&self.place])
            .filter_map(|p| match p {
                Place::Logs(l) => Some(l.request),
                _ => None,
            })
            .collect();
        let left = self.reading.iter().filter(|id| !open.contains(id));
        effects.extend(left.map(|id| Effect::StopLogs(*id)));
        self.reading = open;
        effects
    }

    fn happened(&mut self, world: &World, event: Event) -> Vec<Effect> {
        match event {
            Event::Key(key) => self.key(world, key),
            Event::Mouse(mouse) => self.mouse(world, mouse),
            Event::Paste(text) => self.paste(world, &text),
            Event::Resize(columns, rows) => {
                self.size = (columns, rows);
                Vec::new()
            }
            Event::Fetched(id, result) => {
                if let Some(editor) = self.editor_mut(id) {
                    editor.fetched(&result);
                    return Vec::new();
                }
                let details =
                    self.under.iter_mut().chain([&mut self.place]).filter_map(|p| if let Place::Detail(d) = p { Some(d) } else { None });
                details.flat_map(|d| d.fetched(world, id, &result)).collect()
            }
            Event::Moved(id, moved) => {
                let places = self.under.iter_mut().chain([&mut self.place]);
                places.filter_map(|p| if let Place::Detail(d) = p { Some(d) } else { None }).for_each(|d| d.moved(world, id, moved));
                Vec::new()
            }
            Event::Logs(id, lines) => {
                if let Some(l) = self.logs_mut(id) {
                    l.lines(lines);
                }
                Vec::new()
            }
            Event::LogState { id, pod, container, state } => {
                if let Some(l) = self.logs_mut(id) {
                    l.state(&pod, &container, state);
                }
                Vec::new()
            }
            Event::Refused(id, verbs) => {
                self.refused(id, &verbs);
                Vec::new()
            }
            Event::Previewed(id, result) => {
                self.previewed(id, result);
                Vec::new()
            }
            Event::Started(id, result) => self.started(world, id, result),
            Event::JobEnded(id, state) => {
                self.job_ended(world, &id, state);
                let mut effects = self.open_fetched(&id, state);
                effects.extend(self.go_on(&id, state));
                effects
            }
            Event::Remembered(why, Ok(ledger)) => self.remembered(&why, &ledger),
            Event::Edited(id, result) => {
                self.edited(id, result);
                Vec::new()
            }
            Event::Remembered(_, Err(e)) => {
                self.notice = Some(Notice::error(e));
                Vec::new()
            }
            Event::Notice(notice) => {
                self.notice = Some(notice);
                Vec::new()
            }
        }
    }

    fn logs_mut(&mut self, id: RequestId) -> Option<&mut Logs> {
        self.under.iter_mut().chain([&mut self.place]).find_map(|place| match place {
            Place::Logs(l) if l.request == id => Some(&mut **l),
            _ => None,
        })
    }

    /// Whether lines arriving for this request change the screen.
    pub fn shows_logs(&self) -> bool {
        matches!(self.place, Place::Logs(_))
    }
}

/// The keymap's table for a pane.
pub fn mode_of(subject: Subject) -> Mode {
    PaneName::find(subject.name()).map_or(Mode::Table, Mode::from)
}

#[cfg(test)]
mod tests;
