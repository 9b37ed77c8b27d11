//! What comes back at the next start: screen, filters, sorts, columns, saved views.

use super::chooser::{Choice, blind_items};
use super::{App, Chooser, ColumnChoice, Effect, GroupBy, Item, Notice, Overlay, Place, Purpose, World};
use crate::command::Command;
use crate::table::{Sort, Subject};
use serde::{Deserialize, Serialize};

/// A pane as it was left.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedView {
    pub name: String,
    /// The pane's name.
    pub pane: String,
    pub filter: String,
    /// A column's id; empty is worst first.
    pub sort: String,
    pub descending: bool,
    pub wide: bool,
    pub faults_only: bool,
    /// A column's id, `none`, or empty: as the pane sees fit.
    pub group: String,
    /// Column ids and widths (0 by content); empty is the pane's own choice.
    pub columns: Vec<(String, u16)>,
}

/// The session's state, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionState {
    /// The last screen: a pane's name, or `cockpit`.
    pub screen: String,
    /// Chosen in the cockpit; empty: the configuration's, whatever that is by then.
    pub theme: String,
    pub panes: Vec<SavedView>,
    pub views: Vec<SavedView>,
}

impl App {
    fn view_of(&self, subject: Subject, name: &str) -> Option<SavedView> {
        let pane = self.panes.get(&subject)?;
        let (sort, descending) = match pane.view.sort() {
            Some(sort) => (sort.column.id.to_owned(), sort.descending),
            None => (String::new(), false),
        };
        let columns = pane.columns.iter().flatten().map(|c| (c.id.to_owned(), c.width.unwrap_or(0))).collect();
        Some(SavedView {
            name: name.to_owned(),
            pane: subject.name().to_owned(),
            filter: pane.filter_text.clone(),
            sort,
            descending,
            wide: pane.wide,
            faults_only: pane.view.faults_only(),
            group: pane.group_by.word().to_owned(),
            columns,
        })
    }

    /// What shall come back at the next start.
    pub fn session(&self) -> SessionState {
        let screen = std::iter::once(&self.place).chain(self.under.iter().rev()).find_map(|p| match p {
            Place::Cockpit => Some("cockpit".to_owned()),
            Place::Table(s) => Some(s.name().to_owned()),
            _ => None,
        });
        SessionState {
            screen: screen.unwrap_or_default(),
            theme: if self.theme == self.configured_theme { String::new() } else { self.theme.clone() },
            panes: self.panes.keys().filter_map(|s| self.view_of(*s, "")).collect(),
            views: self.views.clone(),
        }
    }

    /// Puts a session back; names that mean nothing any more are left out. `screen` wins over the session's.
    pub fn restore(&mut self, world: &World, state: SessionState, screen: Option<&str>) {
        for view in &state.panes {
            self.apply_view(world, view);
        }
        self.views = state.views;
        let wanted = screen.unwrap_or(&state.screen);
        if let Ok(subject) = Subject::parse(wanted)
            && wanted != "cockpit"
        {
            self.pane(subject);
            self.place = Place::Table(subject);
        }
        self.refresh_place(world);
    }

    fn apply_view(&mut self, world: &World, view: &SavedView) -> Option<Subject> {
        let subject = Subject::parse(&view.pane).ok()?;
        let columns = view
            .columns
            .iter()
            .filter_map(|(id, width)| Some(ColumnChoice { id: subject.column(id).ok()?.id, width: (*width > 0).then_some(*width) }));
        let columns: Vec<_> = columns.collect();
        let pane = self.pane(subject);
        if !columns.is_empty() {
            pane.columns = Some(columns);
        }
        pane.wide = view.wide;
        pane.widths.clear();
        let _ = pane.set_filter(world, &view.filter);
        pane.set_faults_only(world, view.faults_only);
        let sort = subject.column(&view.sort).ok().map(|column| Sort { column, descending: view.descending });
        pane.set_sort(world, sort);
        pane.set_group(world, GroupBy::parse(subject, &view.group).unwrap_or_default());
        Some(subject)
    }

    pub(super) fn save_view(&mut self, name: &str) -> Vec<Effect> {
        let Place::Table(subject) = self.place else { return self.say("a view is of a full pane; z zooms a tile") };
        if name.is_empty() {
            self.open_prompt(Purpose::SaveView, "");
            return Vec::new();
        }
        let Some(view) = self.view_of(subject, name) else { return Vec::new() };
        self.views.retain(|v| v.name != name);
        self.views.push(view);
        self.notice = Some(Notice::info(format!("view {name} saved")));
        vec![Effect::SaveSession]
    }

    /// The rules that are not evaluated.
    pub(super) fn list_blind(&mut self, world: &World) {
        let items = blind_items(world);
        if items.is_empty() {
            self.notice = Some(Notice::info("every rule is evaluated in every cluster that answers"));
            return;
        }
        self.overlay = Some(Overlay::Choose(Chooser::new(format!("{} rules are not evaluated everywhere", items.len()), items)));
    }

    pub(super) fn choose_view(&mut self) -> Vec<Effect> {
        let mut items: Vec<Item> = self
            .views
            .iter()
            .map(|v| Item::new(v.name.clone(), format!("{} {}", v.pane, v.filter), Choice::Run(Command::View(v.name.clone()))))
            .collect();
        let save = Choice::Run(Command::SaveView(String::new()));
        items.push(Item::new("save this view as ...", "Pane, filter, sort and columns under a name", save));
        self.overlay = Some(Overlay::Choose(Chooser::new("Views", items)));
        Vec::new()
    }

    pub(super) fn show_view(&mut self, world: &World, name: &str) -> Vec<Effect> {
        let Some(view) = self.views.iter().find(|v| v.name == name).cloned() else {
            let hint = crate::diag::nearest(name, self.views.iter().map(|v| v.name.as_str()))
                .map(|n| format!("; did you mean {n}?"))
                .unwrap_or_default();
            self.notice = Some(Notice::error(format!("no view {name}{hint}")));
            return Vec::new();
        };
        if let Some(subject) = self.apply_view(world, &view) {
            self.go_table(world, subject);
        }
        Vec::new()
    }
}
