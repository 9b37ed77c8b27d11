//! A full object for reading: masked, as YAML lines with folds and styles, searched.
//!
//! Owns how an object looks as text. Fetching it is left to `source`, colours and scrolling to `view`. Nothing here
//! does I/O, and nothing is kept in the store.

mod redact;
mod search;
mod yaml;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;

use serde_json::Value;

pub use redact::{Mask, redact};
pub use search::{Match, Search};

/// What a part of a line is, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Key,
    String,
    Number,
    Bool,
    Null,
    Comment,
    Punct,
}

/// A line of YAML.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Line {
    /// Without the line feed. No control characters but tabs.
    pub text: String,
    /// How many spaces it begins with.
    pub indent: usize,
    /// What it shows, such as `spec.containers[0].name`; all lines of a long text have the same.
    pub path: String,
    /// The lines below that belong to it and can be hidden.
    pub fold: Option<Range<usize>>,
    /// Byte ranges of `text` in ascending order, which do not overlap.
    pub styles: Vec<(Range<usize>, Kind)>,
}

/// An object as lines of YAML, some of them folded away.
#[derive(Clone, Debug, Default)]
pub struct Doc {
    lines: Vec<Line>,
    folded: BTreeSet<usize>,
}

impl Doc {
    /// The YAML of `value`, with apiVersion, kind, metadata, spec and status first and the rest as given.
    /// `managedFields` are folded.
    pub fn new(value: &Value) -> Self {
        let mut doc = Self { lines: yaml::lines(value), folded: BTreeSet::new() };
        for index in 0..doc.lines.len() {
            if doc.lines[index].path.ends_with("metadata.managedFields") {
                doc.fold(index);
            }
        }
        doc
    }

    /// All lines, folded or not.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The whole text, whatever is folded. Parses to the value that it was made from.
    pub fn text(&self) -> String {
        self.lines.iter().fold(String::new(), |text, line| text + &line.text + "\n")
    }

    /// The indices of the lines that are not hidden.
    pub fn visible(&self) -> Vec<usize> {
        let (mut visible, mut index) = (Vec::with_capacity(self.lines.len()), 0);
        while index < self.lines.len() {
            visible.push(index);
            index = self.hidden_by(index).map_or(index + 1, |hidden| hidden.end);
        }
        visible
    }

    /// The line as it is to be drawn: one that hides others says how many.
    pub fn shown(&self, index: usize) -> Option<Cow<'_, Line>> {
        let line = self.lines.get(index)?;
        let Some(hidden) = self.hidden_by(index) else {
            return Some(Cow::Borrowed(line));
        };
        let mut line = line.clone();
        let start = line.text.len();
        let plural = if hidden.len() == 1 { "" } else { "s" };
        let _ = write!(line.text, " # {} line{plural}", hidden.len());
        line.styles.push((start + 1..line.text.len(), Kind::Comment));
        Some(Cow::Owned(line))
    }

    /// The lines that `index` hides at present.
    fn hidden_by(&self, index: usize) -> Option<Range<usize>> {
        self.folded.contains(&index).then(|| self.lines.get(index)?.fold.clone()).flatten()
    }

    /// Whether `index` hides lines.
    pub fn is_folded(&self, index: usize) -> bool {
        self.folded.contains(&index)
    }

    /// Hides what belongs to the line `index`, if anything does.
    pub fn fold(&mut self, index: usize) {
        if self.lines.get(index).is_some_and(|line| line.fold.is_some()) {
            self.folded.insert(index);
        }
    }

    /// Shows what the line `index` hides.
    pub fn unfold(&mut self, index: usize) {
        self.folded.remove(&index);
    }

    /// Folds or unfolds `index`; on a line with nothing below it, folds what it is part of. Gives the line that the
    /// cursor is on then.
    pub fn toggle(&mut self, index: usize) -> usize {
        if self.is_folded(index) {
            self.unfold(index);
            return index;
        }
        let head = match self.lines.get(index) {
            Some(line) if line.fold.is_some() => Some(index),
            _ => (0..index.min(self.lines.len())).rev().find(|head| self.holds(*head, index)),
        };
        head.map_or(index, |head| {
            self.fold(head);
            head
        })
    }

    /// Shows everything.
    pub fn unfold_all(&mut self) {
        self.folded.clear();
    }

    /// Unfolds whatever hides the line `index`.
    pub fn reveal(&mut self, index: usize) {
        let lines = &self.lines;
        self.folded.retain(|head| !lines[*head].fold.as_ref().is_some_and(|fold| fold.contains(&index)));
    }

    fn holds(&self, head: usize, index: usize) -> bool {
        self.lines[head].fold.as_ref().is_some_and(|fold| fold.contains(&index))
    }

    /// Folds here what is folded in `old`, an earlier state of the same object, and nothing else.
    pub fn fold_as(&mut self, old: &Self) {
        let paths: BTreeSet<&str> = old.folded.iter().map(|head| old.lines[*head].path.as_str()).collect();
        let heads = (0..self.lines.len()).filter(|index| {
            let line = &self.lines[*index];
            line.fold.is_some() && paths.contains(line.path.as_str())
        });
        self.folded = heads.collect();
    }

    /// Where `search` matches, hidden lines too, from top to bottom.
    pub fn search(&self, search: &Search) -> Vec<Match> {
        self.lines.iter().enumerate().flat_map(|(line, content)| search.matches(line, &content.text)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod() -> Doc {
        Doc::new(&json!({
            "metadata": {"name": "web", "managedFields": [{"manager": "kubectl"}, {"manager": "qd"}]},
            "spec": {"containers": [{"name": "a", "image": "x"}], "nodeName": "n1"},
        }))
    }

    fn shown(doc: &Doc) -> Vec<String> {
        doc.visible().iter().map(|index| doc.shown(*index).unwrap().text.clone()).collect()
    }

    #[test]
    fn managed_fields_are_folded_and_unfold() {
        let mut doc = pod();
        let folded = [
            "metadata:",
            "  name: web",
            "  managedFields: # 2 lines",
            "spec:",
            "  containers:",
            "  - name: a",
            "    image: x",
            "  nodeName: n1",
        ];
        assert_eq!(shown(&doc), folded);
        assert_eq!(doc.shown(2).unwrap().styles.last().unwrap().1, Kind::Comment);
        assert_eq!(doc.toggle(2), 2);
        assert_eq!(shown(&doc).len(), 10);
        assert_eq!(doc.shown(2).unwrap().text, "  managedFields:");
        assert!(doc.text().contains("manager: qd"));
    }

    #[test]
    fn toggle_on_a_line_inside_folds_what_it_is_part_of() {
        let mut doc = pod();
        assert_eq!(doc.toggle(8), 7, "image folds its container");
        assert_eq!(doc.shown(7).unwrap().text, "  - name: a # 1 line");
        assert_eq!(doc.toggle(9), 5, "nodeName folds spec");
        assert_eq!(shown(&doc).last().unwrap(), "spec: # 4 lines");
        doc.reveal(8);
        assert_eq!(shown(&doc).last().unwrap(), "  nodeName: n1");
        assert!(doc.is_folded(2), "what hides something else stays");
        doc.unfold_all();
        assert_eq!(shown(&doc).len(), 10);
        assert_eq!(doc.toggle(99), 99);
    }

    #[test]
    fn folds_are_kept_when_the_object_changes() {
        let mut old = pod();
        old.unfold(2);
        old.fold(6);
        let mut new = Doc::new(&json!({
            "metadata": {"name": "web", "labels": {"new": "line"}, "managedFields": [{"manager": "qd"}]},
            "spec": {"containers": [{"name": "b"}]},
        }));
        new.fold_as(&old);
        assert_eq!(shown(&new).last().unwrap(), "  containers: # 1 line");
        assert_eq!(shown(&new).len(), 8, "managedFields were open");
    }

    #[test]
    fn search_finds_hidden_lines_too() {
        let mut doc = pod();
        let found = doc.search(&Search::plain("manager: "));
        assert_eq!(found.iter().map(|found| found.line).collect::<Vec<_>>(), [3, 4]);
        doc.reveal(found[0].line);
        assert!(shown(&doc).contains(&"  - manager: kubectl".to_owned()));
    }
}
