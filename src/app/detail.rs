//! An open object: why it is as it is, then its YAML, as one text with a cursor line.
//!
//! The explanation comes from the store at once; the full object is fetched, and fetched again when its row changes, one
//! request at a time. What was seen stays when a fetch fails or the object goes, and is marked.

use super::{Effect, Notice, Own, RequestId, World};
use crate::command::Command;
use crate::doc::{Doc, Mask, Search, redact};
use crate::inspect::explain::{Section, concerns, explain, with_moved};
use crate::model::{Kind, MovedData, Object, ObjectRef, Uid};
use crate::store::Touched;
use crate::table::{Row, Subject, item_json};
use serde_json::Value;

/// A line of the text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Item {
    /// A section's heading.
    Head(usize),
    /// A section's line.
    Line(usize, usize),
    Blank,
    YamlHead,
    /// A line of the document, folded or not.
    Yaml(usize),
}

/// Cells that Left and Right move by.
const SIDEWAYS: usize = 16;

/// An open object.
pub struct Detail {
    pub object: ObjectRef,
    pub request: RequestId,
    /// Why it is as it is.
    pub sections: Vec<Section>,
    /// The object as YAML; none before the first answer.
    pub doc: Option<Doc>,
    /// Why the last fetch brought nothing, in words.
    pub error: Option<String>,
    /// Since when it is gone (unix seconds).
    pub gone: Option<i64>,
    /// Of a backup: what it has moved of the data of volumes, where anything tells.
    moved: Option<MovedData>,
    pub unmasked: bool,
    /// Values that are masked.
    pub masked: usize,
    /// When the object was fetched (unix seconds), and its resourceVersion.
    pub fetched: Option<(i64, u64)>,
    /// The line that has the cursor, in [`Detail::items`].
    pub cursor: usize,
    /// First line that was drawn.
    pub offset: usize,
    /// Cells that long lines are moved to the left.
    pub hscroll: usize,
    pub search: Option<Search>,
    items: Vec<Item>,
    found: Vec<Item>,
    /// As it came: secrets are masked in copies of it.
    raw: Option<Value>,
    /// What the store had last.
    row: Option<Object>,
    asked: bool,
    /// The YAML is wanted but not here yet.
    to_yaml: bool,
}

/// What is asked for of an object: itself, and of a backup how much it has moved.
fn wanted(request: RequestId, object: &ObjectRef) -> Vec<Effect> {
    let measure = (object.kind == Kind::Backup).then(|| Effect::Measure(request, object.clone()));
    [Effect::Fetch(request, object.clone())].into_iter().chain(measure).collect()
}

impl Detail {
    /// Opens an object and asks for it.
    pub fn open(world: &World, object: ObjectRef, request: RequestId) -> (Self, Vec<Effect>) {
        // What a service tells has no object at the API server: its row is all there is.
        let asked = object.kind.watched();
        let effects = if asked { wanted(request, &object) } else { Vec::new() };
        let mut detail = Self {
            object,
            request,
            sections: Vec::new(),
            doc: None,
            error: None,
            gone: None,
            moved: None,
            unmasked: false,
            masked: 0,
            fetched: None,
            cursor: 0,
            offset: 0,
            hscroll: 0,
            search: None,
            items: Vec::new(),
            found: Vec::new(),
            raw: None,
            row: None,
            asked,
            to_yaml: false,
        };
        detail.refresh(world);
        (detail, effects)
    }

    /// Whether an answer is awaited.
    pub fn fetching(&self) -> bool {
        self.asked
    }

    /// The lines of the text, top to bottom.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Matches of the search, and which of them has the cursor (from 1).
    pub fn matches(&self) -> (usize, Option<usize>) {
        let here = self.items.get(self.cursor).and_then(|item| self.found.iter().position(|f| f == item));
        (self.found.len(), here.map(|n| n + 1))
    }

    /// Explains again, from the rows as they are now; the cursor stays on its line.
    pub fn refresh(&mut self, world: &World) {
        let Some(cluster) = world.store.cluster(self.object.cluster) else { return };
        match world.store.find(self.object.cluster, self.object.kind, self.object.uid) {
            Some((_, object)) => {
                self.row = Some(object.clone());
                self.gone = None;
            }
            None => self.gone = self.gone.or(Some(world.now)),
        }
        if let Some(row) = &self.row.clone() {
            self.sections = explain(world.engine, world.store, cluster, row, world.now);
            with_moved(&mut self.sections, self.moved.as_ref());
            if !self.object.kind.watched() {
                let subject = Subject::of_kind(self.object.kind);
                self.raw = Some(Value::Object(item_json(&world.ctx(), subject, Row::Object(cluster, row))));
                self.fetched = Some((world.now, 0));
                self.write();
            }
        }
        self.lay_out();
    }

    /// The full object has come, or why not. What to fetch anew: it may have changed meanwhile.
    pub fn fetched(&mut self, world: &World, id: RequestId, result: &Result<Value, String>) -> Vec<Effect> {
        if id != self.request {
            return Vec::new();
        }
        self.asked = false;
        match result {
            Ok(value) => {
                let meta = &value["metadata"];
                let uid = meta["uid"].as_str().map(Uid::parse);
                if uid.is_some_and(|uid| uid != self.object.uid) {
                    self.error = Some("another object has this name now".to_owned());
                    self.gone = self.gone.or(Some(world.now));
                    return Vec::new();
                }
                let version = meta["resourceVersion"].as_str().and_then(|v| v.parse().ok()).unwrap_or(0);
                self.error = None;
                self.fetched = Some((world.now, version));
                self.raw = Some(value.clone());
                self.write();
                if std::mem::take(&mut self.to_yaml) {
                    self.show_yaml();
                }
                self.refetch(world)
            }
            Err(reason) => {
                self.error = Some(reason.clone());
                Vec::new()
            }
        }
    }

    /// Asks again when the row is newer than what was fetched and nothing is under way.
    pub fn refetch(&mut self, world: &World) -> Vec<Effect> {
        let newest = world.store.find(self.object.cluster, self.object.kind, self.object.uid).map(|(_, o)| o.meta().version);
        let newer = newest.is_some_and(|v| self.fetched.is_none_or(|(_, fetched)| v > fetched));
        if self.asked || !newer {
            return Vec::new();
        }
        self.asked = true;
        wanted(self.request, &self.object)
    }

    /// What a backup has moved was told.
    pub fn moved(&mut self, world: &World, id: RequestId, moved: Option<MovedData>) {
        if id == self.request {
            self.moved = moved;
            self.refresh(world);
        }
    }

    /// The store changed: whether to draw again, and what to fetch anew.
    pub fn touched(&mut self, world: &World, touched: &[Touched]) -> (bool, Vec<Effect>) {
        let Some(cluster) = world.store.cluster(self.object.cluster) else { return (false, Vec::new()) };
        let (mut about, mut own) = (false, false);
        for touch in touched {
            let row = match touch {
                Touched::Cluster(id) => {
                    about |= *id == cluster.id;
                    continue;
                }
                Touched::Row { id, .. } if id.cluster == cluster.id => world.store.row(*id).map(|(_, o)| o),
                Touched::Gone { id, before } if id.cluster == cluster.id => Some(before),
                _ => None,
            };
            let Some(row) = row else { continue };
            own |= row.meta().uid == self.object.uid;
            about = about || self.row.as_ref().is_none_or(|mine| concerns(cluster, mine, row));
        }
        if about || own {
            self.refresh(world);
        }
        (about || own, if own { self.refetch(world) } else { Vec::new() })
    }

    /// Writes the YAML anew: another object, or masked differently.
    fn write(&mut self) {
        let Some(raw) = &self.raw else { return };
        let mut copy = raw.clone();
        self.masked = if self.unmasked { 0 } else { redact(&mut copy, Mask::Ascii) };
        let mut doc = Doc::new(&copy);
        if let Some(old) = &self.doc {
            doc.fold_as(old);
        }
        let here = self.path_here();
        self.doc = Some(doc);
        self.lay_out();
        if let (Some((path, below)), Some(doc)) = (here, &self.doc) {
            let at = self.items.iter().position(|i| matches!(i, Item::Yaml(n) if doc.lines()[*n].path == path));
            if let Some(at) = at {
                self.cursor = at + below.min(self.items.len() - 1 - at);
            }
        }
    }

    /// What the cursor's line of YAML shows, and how many lines of the same path are above it.
    fn path_here(&self) -> Option<(String, usize)> {
        let Item::Yaml(n) = *self.items.get(self.cursor)? else { return None };
        let lines = self.doc.as_ref()?.lines();
        let path = &lines.get(n)?.path;
        let first = lines[..=n].iter().rposition(|l| l.path != *path).map_or(0, |at| at + 1);
        Some((path.clone(), n - first))
    }

    /// Makes the list of lines; the cursor stays on its line, or where that was.
    fn lay_out(&mut self) {
        let here = self.items.get(self.cursor).copied();
        let mut items = Vec::with_capacity(self.items.len());
        for (s, section) in self.sections.iter().enumerate() {
            items.push(Item::Head(s));
            items.extend((0..section.lines.len()).map(|l| Item::Line(s, l)));
            items.push(Item::Blank);
        }
        let yaml = items.len();
        items.push(Item::YamlHead);
        if let Some(doc) = &self.doc {
            items.extend(doc.visible().into_iter().map(Item::Yaml));
        }
        let was_yaml = self.items.iter().position(|i| *i == Item::YamlHead);
        self.cursor = match here {
            // The sections above may have grown.
            Some(Item::YamlHead | Item::Yaml(_)) => {
                let shift = yaml as isize - was_yaml.unwrap_or(yaml) as isize;
                self.offset = self.offset.saturating_add_signed(shift);
                items.iter().position(|i| Some(*i) == here).unwrap_or_else(|| self.cursor.saturating_add_signed(shift))
            }
            _ => self.cursor,
        };
        self.cursor = self.cursor.min(items.len() - 1);
        self.items = items;
        self.find();
    }

    /// Looks for the pattern in everything, hidden lines too.
    fn find(&mut self) {
        self.found.clear();
        let Some(search) = &self.search else { return };
        for (s, section) in self.sections.iter().enumerate() {
            let lines = section.lines.iter().enumerate();
            let hits = lines.filter(|(_, l)| search.matches(0, &l.label).next().is_some() || search.matches(0, &l.text).next().is_some());
            self.found.extend(hits.map(|(l, _)| Item::Line(s, l)));
        }
        if let Some(doc) = &self.doc {
            let mut lines: Vec<usize> = doc.search(search).into_iter().map(|m| m.line).collect();
            lines.dedup();
            self.found.extend(lines.into_iter().map(Item::Yaml));
        }
    }

    /// Puts the cursor on a line, and unfolds what hides it.
    fn go_to(&mut self, item: Item) {
        if let (Item::Yaml(n), Some(doc)) = (item, &mut self.doc)
            && !self.items.contains(&item)
        {
            doc.reveal(n);
            self.lay_out();
        }
        if let Some(at) = self.items.iter().position(|i| *i == item) {
            self.cursor = at;
        }
    }

    /// The next match below (or above) the cursor, round the end.
    fn next_match(&mut self, down: bool) -> Own {
        if self.search.is_none() {
            return Own::Say(Notice::info("nothing is searched for; / searches"));
        }
        let here = self.items.get(self.cursor).copied().unwrap_or(Item::Blank);
        let rank = |i: &Item| match *i {
            Item::Head(s) => (0, s, 0),
            Item::Line(s, l) => (0, s, l + 1),
            Item::Blank => (0, usize::MAX, 0),
            Item::YamlHead => (1, 0, 0),
            Item::Yaml(n) => (1, 1, n),
        };
        // A blank line has no place of its own: that of the line above.
        let here =
            if here == Item::Blank { self.cursor.checked_sub(1).and_then(|at| self.items.get(at).copied()).unwrap_or(here) } else { here };
        let next = if down {
            self.found.iter().find(|i| rank(i) > rank(&here)).or(self.found.first())
        } else {
            self.found.iter().rev().find(|i| rank(i) < rank(&here)).or(self.found.last())
        };
        match next.copied() {
            Some(item) => {
                self.go_to(item);
                Own::Done(Vec::new())
            }
            None => Own::Say(Notice::info("not found")),
        }
    }

    /// A command that is the detail's own.
    pub fn command(&mut self, world: &World, command: &Command) -> Own {
        match command {
            Command::NextMatch => return self.next_match(true),
            Command::PrevMatch => return self.next_match(false),
            Command::Left => self.hscroll = self.hscroll.saturating_sub(SIDEWAYS),
            Command::Right => self.hscroll = (self.hscroll + SIDEWAYS).min(1 << 16),
            Command::Open => (self.cursor, self.offset) = (0, 0),
            Command::Yaml => self.show_yaml(),
            Command::Fold => {
                if let (Some(Item::Yaml(n)), Some(doc)) = (self.items.get(self.cursor).copied(), &mut self.doc) {
                    let head = doc.toggle(n);
                    self.lay_out();
                    self.go_to(Item::Yaml(head));
                }
            }
            Command::FoldAll => {
                if let Some(doc) = &mut self.doc {
                    (0..doc.lines().len()).for_each(|n| doc.fold(n));
                    let here = self.items.get(self.cursor).copied();
                    self.lay_out();
                    if let (Some(Item::Yaml(n)), Some(doc)) = (here, &self.doc) {
                        let shown = doc.visible().into_iter().take_while(|v| *v <= n).last();
                        self.go_to(Item::Yaml(shown.unwrap_or(0)));
                    }
                }
            }
            Command::UnfoldAll => {
                if let Some(doc) = &mut self.doc {
                    doc.unfold_all();
                    self.lay_out();
                }
            }
            Command::Unmask => {
                self.unmasked = !self.unmasked;
                let masked = self.masked;
                self.write();
                let text = match (self.unmasked, masked.max(self.masked)) {
                    (_, 0) => "nothing here is masked".to_owned(),
                    (true, n) => format!("{n} values unmasked: they are on the screen now"),
                    (false, n) => format!("{n} values masked"),
                };
                return Own::Say(Notice::info(text));
            }
            Command::Reconnect(None)
                if self.error.is_some()
                    && !self.asked
                    && self.gone.is_none()
                    && world.store.cluster(self.object.cluster).is_some_and(|c| c.state.live()) =>
            {
                self.asked = true;
                return Own::Done(vec![Effect::Fetch(self.request, self.object.clone())]);
            }
            _ => return Own::No,
        }
        Own::Done(Vec::new())
    }

    /// Moves the cursor by lines.
    pub fn scroll(&mut self, by: isize) {
        self.cursor = self.cursor.saturating_add_signed(by).min(self.items.len().saturating_sub(1));
    }

    /// Searches from the cursor on; an empty text ends the search. A text that is no regular expression is looked for as it is.
    pub fn search(&mut self, text: &str) -> Option<String> {
        self.search = (!text.is_empty()).then(|| Search::regex(text).unwrap_or_else(|_| Search::plain(text)));
        self.find();
        let here = self.items.get(self.cursor).copied();
        if self.search.is_some() && !here.is_some_and(|i| self.found.contains(&i)) {
            let _ = self.next_match(true);
        }
        None
    }

    /// Puts the YAML on top of the screen, as soon as it is here.
    pub fn show_yaml(&mut self) {
        if self.doc.is_none() {
            self.to_yaml = true;
        }
        if let Some(at) = self.items.iter().position(|i| *i == Item::YamlHead) {
            (self.cursor, self.offset) = (at, at);
        }
    }
}

#[cfg(test)]
mod tests;
