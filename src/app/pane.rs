//! One table as the person sees it: its view, cursor, columns and marks. A tile of the cockpit and a full pane alike.

use super::{Scope, World};
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
    /// What the cursor is on: it follows its object.
    anchor: Option<(RowKey, Uid)>,
    /// Rows were touched while nobody looked.
    pub outdated: bool,
}

fn uid(world: &World, key: RowKey) -> Uid {
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
            outdated: true,
        }
    }

    /// Makes the rows current: what was touched, or everything.
    pub fn refresh(&mut self, world: &World, touched: Option<&[Touched]>) -> bool {
        let before = (self.view.len(), self.cursor);
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
        changed || before != (self.view.len(), self.cursor)
    }

    /// Puts the cursor back on its object; the screen stays where it is.
    fn follow(&mut self, world: &World) {
        if let Some((key, id)) = self.anchor
            && uid(world, key) == id
            && let Some(at) = self.view.position(key)
        {
            let shift = at as isize - self.cursor as isize;
            self.offset = self.offset.saturating_add_signed(if self.offset > 0 { shift } else { 0 });
            self.cursor = at;
        }
        self.cursor = self.cursor.min(self.view.len().saturating_sub(1));
    }

    /// What the cursor is on.
    pub fn current(&self) -> Option<RowKey> {
        self.view.key(self.cursor)
    }

    /// The object under the cursor.
    pub fn object(&self, world: &World) -> Option<ObjectRef> {
        match Row::of(world.store, self.current()?)? {
            Row::Object(c, o) => Some(o.reference(c.id)),
            Row::Cluster(_) => None,
        }
    }

    /// The marked objects, or the one under the cursor.
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
        if marked.is_empty() { self.object(world).into_iter().collect() } else { marked }
    }

    /// Moves the cursor to a row; from now on it follows that row's object.
    pub fn move_to(&mut self, world: &World, at: usize) {
        self.cursor = at.min(self.view.len().saturating_sub(1));
        self.anchor = self.current().map(|key| (key, uid(world, key)));
    }

    /// Moves by rows.
    pub fn step(&mut self, world: &World, by: isize) {
        self.move_to(world, self.cursor.saturating_add_signed(by));
    }

    /// Puts the cursor on a row if the view has it.
    pub fn select(&mut self, world: &World, key: RowKey) -> bool {
        let at = self.view.position(key);
        if let Some(at) = at {
            self.move_to(world, at);
        }
        at.is_some()
    }

    /// Scrolls so that the cursor is among `rows` visible ones; the first row to draw.
    pub fn visible(&self, rows: usize) -> usize {
        let rows = rows.max(1);
        let last = self.view.len().saturating_sub(rows);
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

    /// Marks or unmarks the row under the cursor.
    pub fn mark(&mut self, world: &World) {
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
        let from = self.last_mark.and_then(|key| self.view.position(key)).unwrap_or(self.cursor);
        for at in from.min(self.cursor)..=from.max(self.cursor) {
            if let Some(key) = self.view.key(at) {
                self.marks.insert((key, uid(world, key)));
            }
        }
    }

    /// Marks every row of the filter.
    pub fn mark_all(&mut self, world: &World) {
        self.marks = (0..self.view.len()).filter_map(|at| self.view.key(at)).map(|key| (key, uid(world, key))).collect();
    }
}
