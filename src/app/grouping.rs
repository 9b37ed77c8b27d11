//! A table in groups: a line for each, that folds its rows away. What is done to that line is done to its rows.

use super::chooser::Choice;
use super::pane::uid;
use super::{App, Chooser, Effect, Item, Notice, Overlay, TablePane, World};
use crate::command::Command;
use crate::model::ObjectRef;
use crate::table::{Column, Group, Row, RowKey, Subject, groups_by, usual};
use hashbrown::HashSet;

/// More findings than this are shown by what explains them.
const FEW: usize = 10;
/// More alerts than this are a storm: they are shown by name until somebody wants it otherwise.
const STORM: usize = 60;

/// A line of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Line {
    /// The head of the group of that number.
    Head(usize),
    Row(RowKey),
}

/// What the rows are grouped by.
#[derive(Clone, Copy, Default, Debug)]
pub enum GroupBy {
    /// As the pane sees fit.
    #[default]
    Auto,
    Nothing,
    Column(&'static Column),
}

impl GroupBy {
    /// As the session has it, and `group` takes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "",
            Self::Nothing => "none",
            Self::Column(column) => column.id,
        }
    }

    /// Reads [`GroupBy::word`].
    ///
    /// # Errors
    /// When there is no such column, or its cells do not repeat themselves.
    pub fn parse(subject: Subject, text: &str) -> Result<Self, String> {
        match text {
            "" | "auto" => Ok(Self::Auto),
            "none" | "nothing" | "off" => Ok(Self::Nothing),
            name => {
                let column = subject.column(name).map_err(|e| e.to_string())?;
                match groups_by(column) {
                    true => Ok(Self::Column(column)),
                    false => Err(format!("{} is a number or an age: rows are grouped by words", column.id)),
                }
            }
        }
    }
}

/// The groups, and which of them are open.
pub struct Grouping {
    pub by: &'static Column,
    pub groups: Vec<Group>,
    open: HashSet<String>,
    lines: Vec<Line>,
}

impl Grouping {
    fn new(by: &'static Column) -> Self {
        Self { by, groups: Vec::new(), open: HashSet::new(), lines: Vec::new() }
    }

    /// Whether the rows of a group are shown. The only one there is, is.
    pub fn is_open(&self, group: &Group) -> bool {
        self.groups.len() == 1 || self.open.contains(&group.title)
    }

    fn lay(&mut self) {
        let mut lines = Vec::with_capacity(self.groups.len());
        for (n, group) in self.groups.iter().enumerate() {
            lines.push(Line::Head(n));
            if self.is_open(group) {
                lines.extend(group.rows.iter().copied().map(Line::Row));
            }
        }
        self.lines = lines;
    }

    fn group_of(&self, row: RowKey) -> Option<&Group> {
        self.groups.iter().find(|g| g.rows.contains(&row))
    }

    fn head_of(&self, title: &str) -> Option<usize> {
        self.lines.iter().position(|l| matches!(l, Line::Head(n) if self.groups[*n].title == title))
    }
}

impl TablePane {
    /// Lines: rows, and heads of groups.
    pub fn len(&self) -> usize {
        self.grouping.as_ref().map_or(self.view.len(), |g| g.lines.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The line at that place.
    pub fn line(&self, at: usize) -> Option<Line> {
        match &self.grouping {
            Some(grouping) => grouping.lines.get(at).copied(),
            None => self.view.key(at).map(Line::Row),
        }
    }

    /// The row at that place; none for the head of a group.
    pub fn key(&self, at: usize) -> Option<RowKey> {
        match self.line(at)? {
            Line::Row(key) => Some(key),
            Line::Head(_) => None,
        }
    }

    /// Where a row is shown.
    pub(super) fn position(&self, row: RowKey) -> Option<usize> {
        match &self.grouping {
            Some(grouping) => grouping.lines.iter().position(|l| *l == Line::Row(row)),
            None => self.view.position(row),
        }
    }

    /// The group whose head is at that place.
    pub fn head_at(&self, at: usize) -> Option<&Group> {
        match self.line(at)? {
            Line::Head(n) => self.grouping.as_ref()?.groups.get(n),
            Line::Row(_) => None,
        }
    }

    /// The group whose head the cursor is on.
    pub fn head(&self) -> Option<&Group> {
        self.head_at(self.cursor)
    }

    /// The rows of a group that are marked, and all of them.
    pub fn marked_of(&self, world: &World, group: &Group) -> (usize, usize) {
        let marked = |key: &&RowKey| self.marks.contains(&(**key, uid(world, **key)));
        let marked = if self.marks.is_empty() { 0 } else { group.rows.iter().filter(marked).count() };
        (marked, group.rows.len())
    }

    /// The objects of the group of that title.
    pub(super) fn members(&self, world: &World, title: &str) -> Vec<ObjectRef> {
        let group = self.grouping.iter().flat_map(|g| &g.groups).find(|g| g.title == title);
        let object = |key: &RowKey| match Row::of(world.store, *key)? {
            Row::Object(c, o) => Some(o.reference(c.id)),
            Row::Cluster(_) => None,
        };
        group.into_iter().flat_map(|g| g.rows.iter().filter_map(object)).collect()
    }

    /// Makes the groups those of the rows that are there now.
    pub(super) fn regroup(&mut self, world: &World) {
        let now = self.grouping.as_ref().map(|g| g.by);
        let by = match self.group_by {
            GroupBy::Nothing => None,
            GroupBy::Column(column) => Some(column),
            // What somebody works with does not change under their hands.
            GroupBy::Auto if self.settled => now,
            GroupBy::Auto => {
                let most = if now.is_some() { STORM / 2 } else { STORM };
                let storm = match self.subject {
                    Subject::Alerts => self.view.len() > most,
                    // One rule says the same of many objects.
                    Subject::Findings => self.view.len() > FEW,
                    _ => false,
                };
                usual(self.subject).into_iter().next().filter(|_| storm)
            }
        };
        let Some(by) = by else {
            self.grouping = None;
            return;
        };
        let kept = self.grouping.take().filter(|g| g.by.id == by.id);
        let mut grouping = kept.unwrap_or_else(|| Grouping::new(by));
        grouping.groups = Group::all(&world.ctx(), &self.view, by);
        grouping.lay();
        self.grouping = Some(grouping);
    }

    /// Groups the rows; the cursor stays on its row, or on the head that hides it.
    pub fn set_group(&mut self, world: &World, by: GroupBy) {
        self.group_by = by;
        self.settled = false;
        self.follow(world);
    }

    /// Where what a row is in is shown: itself, or the head of its group.
    pub(super) fn place_of(&self, row: RowKey) -> Option<usize> {
        self.position(row).or_else(|| {
            let grouping = self.grouping.as_ref()?;
            grouping.head_of(&grouping.group_of(row)?.title)
        })
    }

    /// Opens the group that hides a row.
    pub(super) fn unhide(&mut self, row: RowKey) {
        let Some(grouping) = &mut self.grouping else { return };
        if let Some(title) = grouping.group_of(row).map(|g| g.title.clone()) {
            grouping.open.insert(title);
            grouping.lay();
        }
    }

    /// Where the head of the group of that title is.
    pub(super) fn head_of(&self, title: &str) -> Option<usize> {
        self.grouping.as_ref()?.head_of(title)
    }

    /// Opens or folds the group that the cursor is on or in; whether there is one.
    pub fn fold(&mut self, world: &World) -> bool {
        let (row, head) = (self.current(), self.head().map(|g| g.title.clone()));
        let Some(grouping) = &mut self.grouping else { return false };
        let title = head.or_else(|| Some(grouping.group_of(row?)?.title.clone()));
        let Some(title) = title else { return false };
        if !grouping.open.remove(&title) {
            grouping.open.insert(title.clone());
        }
        grouping.lay();
        self.settled = true;
        let at = self.head_of(&title).unwrap_or(self.cursor);
        self.move_to(world, at);
        true
    }

    /// Opens all groups or folds them; whether there are any.
    pub fn fold_all(&mut self, world: &World, open: bool) -> bool {
        let Some(grouping) = &mut self.grouping else { return false };
        grouping.open = if open { grouping.groups.iter().map(|g| g.title.clone()).collect() } else { HashSet::new() };
        grouping.lay();
        self.settled = true;
        self.follow(world);
        true
    }
}

impl App {
    /// `group`: by that column; without one the next that is usual, and after the last none.
    pub(super) fn group(&mut self, world: &World, column: Option<&str>) -> Vec<Effect> {
        let Some(t) = self.table_mut() else { return self.say("no table here") };
        let by = match column {
            Some(text) => match GroupBy::parse(t.subject, text) {
                Ok(by) => by,
                Err(e) => {
                    self.notice = Some(Notice::error(e));
                    return Vec::new();
                }
            },
            None => {
                let (usual, now) = (usual(t.subject), t.grouping.as_ref().map(|g| g.by.id));
                let next = now.map_or(0, |id| usual.iter().position(|c| c.id == id).map_or(usual.len(), |n| n + 1));
                usual.get(next).map_or(GroupBy::Nothing, |c| GroupBy::Column(c))
            }
        };
        t.set_group(world, by);
        let text = t
            .grouping
            .as_ref()
            .map_or_else(|| "not grouped".to_owned(), |g| format!("{} groups by {}", g.groups.len(), g.by.title.to_lowercase()));
        self.say(text)
    }

    /// What rows can be grouped by.
    pub(super) fn choose_group(&mut self) -> Vec<Effect> {
        let Some(t) = self.table() else { return self.say("no table here") };
        let item = |id: &str, doc: &str| Item::new(id, doc, Choice::Run(Command::Group(Some(id.to_owned()))));
        let mut items = vec![item("none", "Every row by itself"), item("auto", "Findings by cause and very many alerts by name, else not")];
        items.extend(t.subject.columns().iter().filter(|c| groups_by(c)).map(|c| item(c.id, c.doc)));
        self.overlay = Some(Overlay::Choose(Chooser::new("Group by", items)));
        Vec::new()
    }

    /// The group whose head was highlighted in the last drawn frame; before the first one, the one that would be.
    pub(super) fn seen_group(&self) -> Option<String> {
        if self.shown.frame > 0 { self.shown.group.clone() } else { self.highlighted_group() }
    }

    /// The group whose head is highlighted.
    pub fn highlighted_group(&self) -> Option<String> {
        self.table()?.head().map(|g| g.title.clone())
    }
}
