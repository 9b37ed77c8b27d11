//! The cockpit screen: BURNING, the cluster strip, the tiles. Which part has the focus and where its cursor is.

use super::{TablePane, World};
use crate::config::{Config, Setting};
use crate::diag::Diag;
use crate::inspect::Line;
use crate::model::ServiceState;
use crate::store::Store;
use crate::table::Subject;
use hashbrown::HashSet;

/// Which part of the cockpit the keys go to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Focus {
    Burning,
    Strip,
    Tile(usize),
}

/// A row of tiles.
#[derive(Clone, Debug, PartialEq)]
pub struct TileRow {
    /// Screen rows wanted, border included.
    pub height: u16,
    /// Places in [`Cockpit::tiles`].
    pub tiles: Vec<usize>,
}

/// The cockpit screen.
pub struct Cockpit {
    pub focus: Focus,
    /// The problems, worst first.
    pub lines: Vec<Line>,
    /// Engine revision and minute that `lines` were made for.
    made_for: Option<(u64, i64)>,
    pub cursor: usize,
    pub offset: usize,
    /// What was on screen when the person said "seen"; none before the first time.
    pub seen: Option<HashSet<String>>,
    pub strip: TablePane,
    pub tiles: Vec<TablePane>,
    pub rows: Vec<TileRow>,
}

/// What a line is, across redraws.
pub fn line_key(line: &Line) -> String {
    let uid = line.subject.as_ref().map(|s| s.uid.to_string()).unwrap_or_default();
    format!("{}/{}/{uid}", line.cluster.0, line.title)
}

const DEFAULT_ROWS: &[(u16, &[Subject])] = &[
    (7, &[Subject::Nodes, Subject::Workloads]),
    (5, &[Subject::Pods, Subject::Hpa, Subject::Pdb]),
    (4, &[Subject::Alerts, Subject::Etcd, Subject::Backups]),
    (3, &[Subject::Events]),
];

/// Whether some cluster has what tells of a subject, or may have it: a service that none has takes no place on the screen.
fn there(store: &Store, subject: Subject) -> bool {
    let mut services = subject.kinds().iter().filter_map(|k| k.teller()).peekable();
    services.peek().is_none()
        || services.any(|s| store.clusters().iter().any(|c| !matches!(c.service(s).state, ServiceState::Absent { .. })))
}

impl Cockpit {
    /// The configured layout, or the built-in one; names that are no pane are told.
    pub fn new(config: &Config) -> (Self, Vec<Diag>) {
        let mut diags = Vec::new();
        let wanted = config.layouts.iter().find(|l| l.name.value == config.layout.value);
        if wanted.is_none() && config.layout.value != "default" {
            diags.push(config.layout.unknown("layout", config.layouts.iter().map(|l| l.name.value.as_str()).chain(["default"])));
        }
        let mut resolve = |name: &Setting<String>| match Subject::parse(&name.value) {
            Ok(subject) => Some(subject),
            Err(_) => {
                diags.push(name.unknown("pane", Subject::ALL.iter().map(|s| s.name())));
                None
            }
        };
        let rows: Vec<(u16, Vec<Subject>)> = match wanted {
            Some(layout) => layout.rows.iter().map(|r| (r.height, r.tiles.iter().filter_map(&mut resolve).collect())).collect(),
            None => DEFAULT_ROWS.iter().map(|(height, tiles)| (*height, tiles.to_vec())).collect(),
        };
        let mut cockpit = Self {
            focus: Focus::Burning,
            lines: Vec::new(),
            made_for: None,
            cursor: 0,
            offset: 0,
            seen: None,
            strip: TablePane::new(Subject::Clusters),
            tiles: Vec::new(),
            rows: Vec::new(),
        };
        for (height, subjects) in rows.into_iter().filter(|(_, tiles)| !tiles.is_empty()) {
            let tiles = subjects.into_iter().map(|s| {
                cockpit.tiles.push(TablePane::new(s));
                cockpit.tiles.len() - 1
            });
            let tiles = tiles.collect();
            cockpit.rows.push(TileRow { height, tiles });
        }
        (cockpit, diags)
    }

    /// Makes the problem lines current; the cursor stays on its problem. Whether anything changed.
    pub fn refresh_lines(&mut self, world: &World) -> bool {
        let stamp = (world.engine.revision(), world.now / 60);
        if self.made_for == Some(stamp) {
            return false;
        }
        self.made_for = Some(stamp);
        let on = self.lines.get(self.cursor).map(line_key).filter(|_| self.cursor > 0);
        let lines = world.engine.lines(world.store, world.now);
        if lines == self.lines {
            return false;
        }
        self.lines = lines;
        if let Some(at) = on.and_then(|on| self.lines.iter().position(|l| line_key(l) == on)) {
            self.cursor = at;
        }
        self.cursor = self.cursor.min(self.lines.len().saturating_sub(1));
        true
    }

    /// The table that has the focus.
    pub fn table(&self) -> Option<&TablePane> {
        match self.focus {
            Focus::Burning => None,
            Focus::Strip => Some(&self.strip),
            Focus::Tile(n) => self.tiles.get(n),
        }
    }

    pub fn table_mut(&mut self) -> Option<&mut TablePane> {
        match self.focus {
            Focus::Burning => None,
            Focus::Strip => Some(&mut self.strip),
            Focus::Tile(n) => self.tiles.get_mut(n),
        }
    }

    /// All tables of the screen.
    pub fn tables(&mut self) -> impl Iterator<Item = &mut TablePane> {
        std::iter::once(&mut self.strip).chain(&mut self.tiles)
    }

    /// The rows of tiles that have a place on the screen.
    pub fn rows_there(&self, store: &Store) -> Vec<TileRow> {
        let shown = |n: &usize| self.tiles.get(*n).is_some_and(|t| there(store, t.subject));
        let row = |r: &TileRow| TileRow { height: r.height, tiles: r.tiles.iter().copied().filter(shown).collect() };
        self.rows.iter().map(row).filter(|r| !r.tiles.is_empty()).collect()
    }

    /// The next part that is on the screen, or the one before.
    pub fn turn(&mut self, store: &Store, forward: bool) {
        let tiles = self.rows_there(store).into_iter().flat_map(|r| r.tiles).map(Focus::Tile);
        let parts: Vec<Focus> = [Focus::Burning, Focus::Strip].into_iter().chain(tiles).collect();
        let at = parts.iter().position(|p| *p == self.focus).unwrap_or(0);
        self.focus = parts[(at + if forward { 1 } else { parts.len() - 1 }) % parts.len()];
    }

    /// Whether a line appeared after the person said "seen".
    pub fn is_new(&self, line: &Line) -> bool {
        self.seen.as_ref().is_some_and(|seen| !seen.contains(&line_key(line)))
    }
}
