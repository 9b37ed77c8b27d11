//! Where text is typed: the filter line, search, names.

use super::World;
use crate::table::{Completion, Subject, complete};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tui_textarea::{CursorMove, TextArea};

/// What the typed text is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Terms for the pane of that subject; applied while typing.
    Filter(Subject),
    Search,
    /// Words for the audit log; applied while typing.
    AuditFilter,
    LogFilter,
    SaveView,
    /// The palette: commands, panes, clusters, namespaces.
    Palette,
    /// Any object by name.
    Find,
}

impl Purpose {
    /// What stands before the text.
    pub fn label(self) -> &'static str {
        match self {
            Self::Filter(_) | Self::AuditFilter => "/",
            Self::Search => "search: ",
            Self::LogFilter => "keep lines (! drops): ",
            Self::SaveView => "view name: ",
            Self::Palette => ":",
            Self::Find => "find: ",
        }
    }
}

/// A line of text that is being typed.
pub struct Prompt {
    pub purpose: Purpose,
    area: TextArea<'static>,
    /// What it was before; put back on Esc.
    pub before: String,
    /// Why the text cannot be used as it is.
    pub error: Option<String>,
    pub completions: Vec<Completion>,
    pub selected: Option<usize>,
}

impl Prompt {
    pub fn new(purpose: Purpose, text: &str) -> Self {
        let mut area = TextArea::new(vec![text.to_owned()]);
        area.move_cursor(CursorMove::End);
        Self { purpose, area, before: text.to_owned(), error: None, completions: Vec::new(), selected: None }
    }

    /// The text.
    /// Empty, and Esc puts `before` back.
    pub fn over(purpose: Purpose, before: String) -> Self {
        Self { before, ..Self::new(purpose, "") }
    }

    pub fn text(&self) -> &str {
        self.area.lines().first().map_or("", String::as_str)
    }

    /// The cursor, in characters from the start.
    pub fn cursor(&self) -> usize {
        self.area.cursor().1
    }

    /// The cursor, in bytes.
    fn cursor_byte(&self) -> usize {
        let text = self.text();
        text.char_indices().nth(self.cursor()).map_or(text.len(), |(n, _)| n)
    }

    /// Takes a key; whether the text changed.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        let before = self.text().to_owned();
        if (key.code, key.modifiers) == (KeyCode::Char('u'), KeyModifiers::CONTROL) {
            // As in a shell, where the text area would undo.
            self.area.delete_line_by_head();
        } else {
            self.area.input(key);
        }
        before != self.text()
    }

    /// Takes pasted text, as one line.
    pub fn paste(&mut self, text: &str) {
        self.area.insert_str(text.replace(['\n', '\r'], " ").trim());
    }

    pub fn set(&mut self, text: &str) {
        let before = std::mem::take(&mut self.before);
        *self = Self { before, ..Self::new(self.purpose, text) };
    }

    /// Completes the word at the cursor, or goes on to the next proposal.
    pub fn complete(&mut self, world: &World) {
        let Purpose::Filter(subject) = self.purpose else { return };
        let next = match self.selected {
            Some(n) if !self.completions.is_empty() => (n + 1) % self.completions.len(),
            _ => {
                self.completions = complete(subject, self.text(), self.cursor_byte(), world.store);
                0
            }
        };
        let Some(choice) = self.completions.get(next).cloned() else { return };
        let (text, start) = (self.text().to_owned(), choice.replace.start);
        let end = if self.selected.is_some() { self.cursor_byte() } else { choice.replace.end };
        let (Some(head), Some(tail)) = (text.get(..start), text.get(end..)) else { return };
        let completed = format!("{head}{}{tail}", choice.text);
        let column = head.chars().count() + choice.text.chars().count();
        let mut area = TextArea::new(vec![completed]);
        area.move_cursor(CursorMove::Jump(0, u16::try_from(column).unwrap_or(u16::MAX)));
        self.area = area;
        self.selected = Some(next);
    }

    /// Forgets proposals: something else was typed.
    pub fn typed(&mut self) {
        self.completions.clear();
        self.selected = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_fingers_know_from_the_shell() {
        let ctrl = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL);
        let mut prompt = Prompt::new(Purpose::Search, "one two three");
        assert!(prompt.key(ctrl('w')));
        assert_eq!(prompt.text(), "one two ");
        assert!(!prompt.key(ctrl('a')));
        assert!(!prompt.key(ctrl('u')), "nothing stands before the cursor");
        prompt.key(ctrl('e'));
        assert!(prompt.key(ctrl('u')));
        assert_eq!((prompt.text(), prompt.cursor()), ("", 0));
    }
}
