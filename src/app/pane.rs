//! One table as the person sees it: its view, cursor, columns and marks. A tile of the cockpit and a full pane alike.

use super::{GroupBy, Grouping, Line, Scope, World};
use crate::model::{ObjectRef, Uid};
use crate::store::Touched;
use crate::table::{Column, Filter, FilterError, Row, RowKey, Show, Sort, Subject, View};
use hashbrown::HashSet;

/// A chosen column.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnChoice {
    pub id: &'static str,
    /// Set by the person; none is by content.
    pub width: Option<u16>,
}

/// A table with a cursor.
pub struct TablePane {
    pub subject: Subject,
    pub view: View,
    pub filter_text: String,
    pub cursor: usize,
    /// The first row on screen.
    pub offset: usize,
    /// Columns scrolled away to the right of the name.
    pub hscroll: usize,
    pub wide: bool,
    /// Chosen by the person, in order; none is the subject's own choice.
    pub columns: Option<Vec<ColumnChoice>>,
    /// Widest content drawn so far by column; columns do not dance while rows scroll.
    pub widths: Vec<(&'static str, u16)>,
    pub marks: HashSet<(RowKey, Uid)>,
    pub last_mark: Option<RowKey>,
    /// What the cursor is on: it follows its object, or its group.
    anchor: Option<Anchor>,
    /// As the person, or the pane, wants it.
    pub group_by: GroupBy,
    pub grouping: Option<Grouping>,
    /// Somebody works with the lines as they are.
    pub(super) settled: bool,
    /// Rows were touched while nobody looked.
    pub outdated: bool,
}

/// What a cursor follows.
enum Anchor {
    Row(RowKey, Uid),
    /// The head of the group of that title.
    Head(String),
}

pub(super) fn uid(world: &World, key: RowKey) -> Uid {
    match Row::of(world.store, key) {
        Some(Row::Object(_, o)) => o.meta().uid,
        _ => Uid::default(),
    }
}

impl TablePane {
    pub fn new(subject: Subject) -> Self {
        Self {
            subject,
            view: View::new(subject),
            filter_text: String::new(),
            cursor: 0,
            offset: 0,
            hscroll: 0,
            wide: false,
            columns: None,
            widths: Vec::new(),
            marks: HashSet::new(),
            last_mark: None,
            anchor: None,
            group_by: GroupBy::Auto,
            grouping: None,
            settled: false,
            outdated: true,
        }
    }

    /// Makes the rows current: what was touched, or everything.
    pub fn refresh(&mut self, world: &World, touched: Option<&[Touched]>) -> bool {
        let before = (self.len(), self.cursor);
        let changed = match touched {
            Some(touched) if !self.outdated => self.view.repair(&world.ctx(), touched),
            _ => {
                self.view.rebuild(&world.ctx());
                self.outdated = false;
                true
            }
        };
        if changed {
            self.follow(world);
        }
        changed || before != (self.len(), self.cursor)
    }

    /// Puts the cursor back on what it follows, after the rows have changed; the screen stays where it is.
    pub(super) fn follow(&mut self, world: &World) {
        self.regroup(world);
        let at = match &self.anchor {
            Some(Anchor::Row(key, id)) if uid(world, *key) == *id => self.place_of(*key),
            Some(Anchor::Head(title)) => self.head_of(title),
            _ => None,
        };
        if let Some(at) = at {
            let shift = at as isize - self.cursor as isize;
            self.offset = self.offset.saturating_add_signed(if self.offset > 0 { shift } else { 0 });
            self.cursor = at;
        }
        self.cursor = self.cursor.min(self.len().saturating_sub(1));
    }

    /// The row that the cursor is on; none on the head of a group.
    pub fn current(&self) -> Option<RowKey> {
        self.key(self.cursor)
    }

    /// The object under the cursor.
    pub fn object(&self, world: &World) -> Option<ObjectRef> {
        match Row::of(world.store, self.current()?)? {
            Row::Object(c, o) => Some(o.reference(c.id)),
            Row::Cluster(_) => None,
        }
    }

    /// The marked objects, or those of the head under the cursor, or the one under it.
    pub fn objects(&self, world: &World) -> Vec<ObjectRef> {
        let marked: Vec<_> = self
            .marks
            .iter()
            .filter(|(key, id)| uid(world, *key) == *id)
            .filter_map(|(key, _)| match Row::of(world.store, *key)? {
                Row::Object(c, o) => Some(o.reference(c.id)),
                Row::Cluster(_) => None,
            })
            .collect();
        match self.head() {
            _ if !marked.is_empty() => marked,
            Some(group) => self.members(world, &group.title),
            None => self.object(world).into_iter().collect(),
        }
    }

    /// Moves the cursor to a row; from now on it follows that row's object.
    pub fn move_to(&mut self, world: &World, at: usize) {
        self.cursor = at.min(self.len().saturating_sub(1));
        self.anchor = match self.head() {
            Some(group) => Some(Anchor::Head(group.title.clone())),
            None => self.current().map(|key| Anchor::Row(key, uid(world, key))),
        };
    }

    /// Moves by rows.
    pub fn step(&mut self, world: &World, by: isize) {
        self.settled = true;
        self.move_to(world, self.cursor.saturating_add_signed(by));
    }

    /// Puts the cursor on a row if the view has it.
    pub fn select(&mut self, world: &World, key: RowKey) -> bool {
        if self.position(key).is_none() {
            self.unhide(key);
        }
        let at = self.position(key);
        if let Some(at) = at {
            self.move_to(world, at);
        }
        at.is_some()
    }

    /// Scrolls so that the cursor is among `rows` visible ones; the first row to draw.
    pub fn visible(&self, rows: usize) -> usize {
        let rows = rows.max(1);
        let last = self.len().saturating_sub(rows);
        self.offset.min(self.cursor).max((self.cursor + 1).saturating_sub(rows)).min(last)
    }

    /// Sets the filter.
    ///
    /// # Errors
    /// When a term is bad; the filter stays as it was.
    pub fn set_filter(&mut self, world: &World, text: &str) -> Result<(), FilterError> {
        let filter = Filter::parse(self.subject, text)?;
        text.clone_into(&mut self.filter_text);
        self.view.set_filter(&world.ctx(), filter);
        self.follow(world);
        Ok(())
    }

    /// Keeps only what is a warning or worse, or everything again.
    pub fn set_faults_only(&mut self, world: &World, on: bool) {
        self.view.set_faults_only(&world.ctx(), on);
        self.follow(world);
    }

    /// Sorts by a column; the same again turns round.
    pub fn sort_by(&mut self, world: &World, column: &'static Column) {
        let descending = self.view.sort().is_some_and(|s| s.column.id == column.id && !s.descending);
        self.set_sort(world, Some(Sort { column, descending }));
    }

    /// Only these clusters and namespaces.
    pub fn limit(&mut self, world: &World, scope: &Scope) {
        if self.view.clusters() != scope.clusters.as_ref() || self.view.namespaces() != scope.namespaces.as_ref() {
            self.view.set_scope(&world.ctx(), scope.clusters.clone(), scope.namespaces.clone());
            self.follow(world);
        }
    }

    /// None is worst first.
    pub fn set_sort(&mut self, world: &World, sort: Option<Sort>) {
        self.view.set_sort(&world.ctx(), sort);
        self.follow(world);
    }

    /// The columns to show, in order.
    pub fn shown_columns(&self) -> Vec<(&'static Column, Option<u16>)> {
        let all = self.subject.columns();
        match &self.columns {
            Some(chosen) => chosen.iter().filter_map(|c| Some((all.iter().find(|x| x.id == c.id)?, c.width))).collect(),
            None => all.iter().filter(|c| c.show == Show::Always || (self.wide && c.show == Show::Wide)).map(|c| (c, None)).collect(),
        }
    }

    /// The chosen columns, made the person's own so that they can be changed.
    pub fn own_columns(&mut self) -> &mut Vec<ColumnChoice> {
        let shown = self.shown_columns();
        self.columns.get_or_insert_with(|| shown.iter().map(|(c, width)| ColumnChoice { id: c.id, width: *width }).collect())
    }

    /// Marks or unmarks the row under the cursor, or all rows of the head under it.
    pub fn mark(&mut self, world: &World) {
        self.settled = true;
        if let Some(group) = self.head() {
            let (marked, all) = self.marked_of(world, group);
            let entries: Vec<_> = group.rows.iter().map(|key| (*key, uid(world, *key))).collect();
            match marked == all {
                true => self.marks.retain(|e| !entries.contains(e)),
                false => self.marks.extend(entries),
            }
            return;
        }
        if let Some(key) = self.current() {
            let entry = (key, uid(world, key));
            if !self.marks.remove(&entry) {
                self.marks.insert(entry);
                self.last_mark = Some(key);
            }
        }
    }

    /// Marks everything between the last marked row and the cursor.
    pub fn mark_range(&mut self, world: &World) {
        let from = self.last_mark.and_then(|key| self.place_of(key)).unwrap_or(self.cursor);
        for at in from.min(self.cursor)..=from.max(self.cursor) {
            let keys = match self.line(at) {
                Some(Line::Row(key)) => vec![key],
                Some(Line::Head(_)) => self.head_at(at).map(|g| g.rows.clone()).unwrap_or_default(),
                None => Vec::new(),
            };
            self.marks.extend(keys.into_iter().map(|key| (key, uid(world, key))));
        }
    }

    /// Marks every row of the filter.
    pub fn mark_all(&mut self, world: &World) {
        self.marks = (0..self.view.len()).filter_map(|at| self.view.key(at)).map(|key| (key, uid(world, key))).collect();
    }
}
