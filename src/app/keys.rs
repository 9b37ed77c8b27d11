//! Keys, mouse and pasted text: to commands through the keymap, or into what is being typed.

use super::chooser::{find_items, palette_items};
use super::{App, Chooser, Effect, Focus, Hit, Overlay, Place, Prompt, Purpose, World};
use crate::command::Command;
use crate::keymap::{Chord, Match};
use crossterm::event::{KeyEvent, KeyEventKind, MouseButton, MouseEvent, MouseEventKind};

impl App {
    pub(super) fn key(&mut self, world: &World, key: KeyEvent) -> Vec<Effect> {
        if key.kind == KeyEventKind::Release {
            return Vec::new();
        }
        self.notice = None;
        if let Some(effects) = self.preview_key(world, key) {
            return effects;
        }
        let Some(chord) = Chord::from_event(key) else { return Vec::new() };
        let writing = self.overlay.is_none() && matches!(self.place, Place::Editor(_));
        let typing = writing || matches!(self.overlay, Some(Overlay::Prompt(_) | Overlay::Search(..) | Overlay::Form(_)));
        let was_pending = !self.pending.is_empty();
        let modes = self.modes();
        match self.keymap.feed(&mut self.pending, &modes, chord) {
            Match::Command(command) => {
                self.hints.clear();
                self.run(world, &command)
            }
            Match::Pending(hints) => {
                self.hints = hints;
                Vec::new()
            }
            Match::None => {
                self.hints.clear();
                if typing && !was_pending {
                    return self.typed(world, key);
                }
                if was_pending {
                    self.notice = Some(super::Notice::info(format!("nothing on {chord} there")));
                }
                Vec::new()
            }
        }
    }

    fn typed(&mut self, world: &World, key: KeyEvent) -> Vec<Effect> {
        if let (None, Place::Editor(editor)) = (&self.overlay, &mut self.place) {
            editor.key(key);
            return Vec::new();
        }
        if let Some(Overlay::Form(form)) = &mut self.overlay {
            form.key(key);
            return Vec::new();
        }
        let changed = match &mut self.overlay {
            Some(Overlay::Prompt(prompt) | Overlay::Search(prompt, _)) => prompt.key(key),
            _ => false,
        };
        if changed {
            self.text_changed(world);
        }
        Vec::new()
    }

    pub(super) fn paste(&mut self, world: &World, text: &str) -> Vec<Effect> {
        if let Some(Overlay::Prompt(prompt) | Overlay::Search(prompt, _)) = &mut self.overlay {
            prompt.paste(text);
            self.text_changed(world);
        } else if let Some(Overlay::Form(form)) = &mut self.overlay {
            form.paste(text);
        } else if let (None, Place::Editor(editor)) = (&self.overlay, &mut self.place) {
            editor.paste(text);
        }
        Vec::new()
    }

    /// The typed text changed: a filter is applied as it is typed, lists follow.
    pub(super) fn text_changed(&mut self, world: &World) {
        let views: Vec<String> = self.views.iter().map(|v| v.name.clone()).collect();
        match &mut self.overlay {
            Some(Overlay::Prompt(prompt)) => {
                prompt.typed();
                self.apply_prompt(world);
            }
            Some(Overlay::Search(prompt, chooser)) => {
                prompt.typed();
                chooser.items = if prompt.purpose == Purpose::Find {
                    find_items(world, prompt.text())
                } else {
                    palette_items(world, prompt.text(), &views, &self.runbooks)
                };
                chooser.selected = 0;
            }
            _ => {}
        }
    }

    /// Applies what is being typed in the prompt, without ending it.
    pub(super) fn apply_prompt(&mut self, world: &World) {
        let Some(Overlay::Prompt(prompt)) = &self.overlay else { return };
        let (purpose, text) = (prompt.purpose, prompt.text().to_owned());
        let error = match purpose {
            Purpose::Filter(_) => self.table_mut().and_then(|t| t.set_filter(world, &text).err()).map(|e| e.to_string()),
            Purpose::Search => self.search_in_place(&text),
            Purpose::AuditFilter => {
                if let Place::Audit(pane) = &mut self.place {
                    pane.filter(&text);
                }
                None
            }
            _ => None,
        };
        if let Some(Overlay::Prompt(prompt)) = &mut self.overlay {
            prompt.error = error;
        }
    }

    /// Searches in the text that is open; why the pattern is bad.
    fn search_in_place(&mut self, text: &str) -> Option<String> {
        text.clone_into(&mut self.search);
        match &mut self.place {
            Place::Detail(d) => d.search(text),
            Place::Logs(l) => l.search(text),
            _ => None,
        }
    }

    pub(super) fn search_found(&self) -> bool {
        match &self.place {
            Place::Detail(d) => d.matches().0 > 0,
            Place::Logs(l) => l.at().is_some(),
            _ => true,
        }
    }

    pub(super) fn open_prompt(&mut self, purpose: Purpose, text: &str) {
        self.overlay = Some(Overlay::Prompt(Prompt::new(purpose, text)));
    }

    pub(super) fn open_search(&mut self, world: &World, purpose: Purpose, text: &str) {
        let title = if purpose == Purpose::Find { "Find anywhere" } else { "Commands" };
        self.overlay = Some(Overlay::Search(Prompt::new(purpose, text), Chooser::new(title, Vec::new())));
        self.text_changed(world);
    }

    pub(super) fn mouse(&mut self, world: &World, mouse: MouseEvent) -> Vec<Effect> {
        let hit = self.shown.at(mouse.column, mouse.row);
        match mouse.kind {
            MouseEventKind::ScrollDown => self.scroll(world, hit, 3),
            MouseEventKind::ScrollUp => self.scroll(world, hit, -3),
            MouseEventKind::Down(MouseButton::Left) => self.click(world, hit),
            _ => Vec::new(),
        }
    }

    fn scroll(&mut self, world: &World, hit: Option<Hit>, by: isize) -> Vec<Effect> {
        if self.overlay.is_none() {
            self.focus_on(hit);
        }
        self.step(world, by);
        Vec::new()
    }

    fn focus_on(&mut self, hit: Option<Hit>) {
        match hit {
            Some(Hit::Part(focus)) | Some(Hit::Row { part: Some(focus), .. }) => self.cockpit.focus = focus,
            Some(Hit::Line(_)) => self.cockpit.focus = Focus::Burning,
            _ => {}
        }
    }

    fn click(&mut self, world: &World, hit: Option<Hit>) -> Vec<Effect> {
        self.notice = None;
        if self.overlay.is_some() {
            if let (Some(Overlay::Choose(c) | Overlay::Search(_, c)), Some(Hit::Item(n))) = (&mut self.overlay, hit) {
                c.selected = n;
                return self.run(world, &Command::Accept);
            }
            return Vec::new();
        }
        let before = self.cockpit.focus;
        self.focus_on(hit);
        match hit {
            Some(Hit::Line(at)) => {
                if before == Focus::Burning && self.cockpit.cursor == at {
                    return self.run(world, &Command::Open);
                }
                self.cockpit.cursor = at;
            }
            Some(Hit::Row { at, .. }) if let Place::Detail(d) = &mut self.place => {
                if d.cursor == at {
                    return self.run(world, &Command::Fold);
                }
                d.cursor = at;
            }
            Some(Hit::Row { part, at }) => {
                let again = part.is_none_or(|p| p == before) && self.table().is_some_and(|t| t.cursor == at);
                if again {
                    return self.run(world, &Command::Open);
                }
                if let Some(t) = self.table_mut() {
                    t.move_to(world, at);
                }
            }
            Some(Hit::Header(column)) => {
                if let Some(t) = self.table_mut()
                    && let Ok(column) = t.subject.column(column)
                {
                    t.sort_by(world, column);
                }
            }
            Some(Hit::Part(_) | Hit::Item(_)) | None => {}
        }
        Vec::new()
    }
}
