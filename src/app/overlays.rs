//! Commands while something lies over the screen: prompts, lists, the column chooser.

use super::chooser::{Choice, Item};
use super::{App, Effect, Notice, Overlay, Place, Purpose, World};
use crate::command::Command;
use crate::table::RowKey;

impl App {
    /// A command while something lies over the screen; none when it is not the overlay's.
    pub(super) fn in_overlay(&mut self, world: &World, command: &Command) -> Option<Vec<Effect>> {
        match command {
            Command::Back => {
                if let Some(Overlay::Prompt(prompt)) = self.overlay.take() {
                    self.cancel_prompt(world, &prompt);
                }
                Some(Vec::new())
            }
            // Jobs are under way: the same question answered with the same key, or any word that means it.
            Command::Quit | Command::ForceQuit if matches!(self.overlay, Some(Overlay::Quit)) => None,
            Command::Accept => Some(self.accept(world)),
            Command::Complete => {
                match &mut self.overlay {
                    Some(Overlay::Prompt(prompt)) => {
                        prompt.complete(world);
                        self.apply_prompt(world);
                    }
                    Some(Overlay::Search(prompt, chooser)) => {
                        if let Some(item) = chooser.current() {
                            let text = match &item.choice {
                                Choice::Type(text) => text.clone(),
                                _ => item.text.clone(),
                            };
                            prompt.set(&text);
                            self.text_changed(world);
                        }
                    }
                    _ => {}
                }
                Some(Vec::new())
            }
            Command::Up | Command::Down | Command::PageUp | Command::PageDown | Command::Top | Command::Bottom => {
                let by = match command {
                    Command::Up => -1,
                    Command::Down => 1,
                    Command::PageUp => -10,
                    Command::PageDown => 10,
                    Command::Top => isize::MIN / 2,
                    _ => isize::MAX / 2,
                };
                self.step(world, by);
                Some(Vec::new())
            }
            Command::NextTile | Command::PrevTile => {
                if let Some(Overlay::Form(form)) = &mut self.overlay {
                    form.step(if *command == Command::NextTile { 1 } else { -1 });
                }
                Some(Vec::new())
            }
            Command::Mark | Command::ColumnMoveLeft | Command::ColumnMoveRight | Command::ColumnGrow | Command::ColumnShrink => {
                let Some(Overlay::Columns { selected }) = self.overlay else { return Some(Vec::new()) };
                self.change_columns(command, selected);
                Some(Vec::new())
            }
            Command::Quit | Command::ForceQuit | Command::Redraw | Command::Suspend => None,
            _ => Some(Vec::new()),
        }
    }

    fn cancel_prompt(&mut self, world: &World, prompt: &super::Prompt) {
        match prompt.purpose {
            Purpose::Filter(_) => {
                let _ = self.table_mut().map(|t| t.set_filter(world, &prompt.before));
            }
            Purpose::AuditFilter => {
                if let Place::Audit(pane) = &mut self.place {
                    pane.filter(&prompt.before);
                }
            }
            Purpose::Search => {
                prompt.before.clone_into(&mut self.search);
                match &mut self.place {
                    Place::Detail(d) => drop(d.search(&prompt.before)),
                    Place::Logs(l) => drop(l.search(&prompt.before)),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn accept(&mut self, world: &World) -> Vec<Effect> {
        match self.overlay.take() {
            Some(Overlay::Prompt(prompt)) => {
                let text = prompt.text().trim().to_owned();
                match prompt.purpose {
                    Purpose::Search if !text.is_empty() && !self.search_found() => {
                        self.notice = Some(Notice::error(format!("nothing here matches {text}")));
                        Vec::new()
                    }
                    Purpose::Filter(_) | Purpose::Search => {
                        if let Some(error) = &prompt.error {
                            self.notice = Some(Notice::error(error.clone()));
                            self.overlay = Some(Overlay::Prompt(prompt));
                        }
                        Vec::new()
                    }
                    Purpose::SaveView => self.save_view(&text),
                    Purpose::LogFilter => self.run(world, &Command::LogFilter(Some(text))),
                    Purpose::AuditFilter | Purpose::Palette | Purpose::Find => Vec::new(),
                }
            }
            Some(Overlay::Search(prompt, chooser)) => match chooser.current().map(|i| i.choice.clone()) {
                Some(choice) => self.choose(world, choice),
                None => {
                    let text = prompt.text().trim().to_owned();
                    if prompt.purpose == Purpose::Palette
                        && let Err(e) = Command::parse(&text)
                    {
                        self.notice = Some(Notice::error(e.to_string()));
                    }
                    Vec::new()
                }
            },
            Some(Overlay::Form(form)) => self.fill_in(form),
            Some(Overlay::Choose(chooser)) => match chooser.current() {
                Some(Item { choice: Choice::Act(verb), text, doc, off }) => {
                    let (verb, no) = (*verb, off.then(|| format!("{text}: {doc}")));
                    match no {
                        Some(no) => self.say(no),
                        // On all of a cluster.
                        None if !chooser.objects.iter().any(|o| verb.info().on.takes(o.kind)) => self.verb(world, verb, None),
                        None => self.verb_on(world, verb, None, chooser.objects),
                    }
                }
                Some(item) => self.choose(world, item.choice.clone()),
                None => Vec::new(),
            },
            other => {
                if !matches!(other, Some(Overlay::Columns { .. })) {
                    self.overlay = other;
                }
                Vec::new()
            }
        }
    }

    fn choose(&mut self, world: &World, choice: Choice) -> Vec<Effect> {
        match choice {
            Choice::Run(command) => self.run(world, &command),
            // Only a list of acts has these, and knows their objects.
            Choice::Act(verb) => self.verb(world, verb, None),
            Choice::Type(text) => {
                self.open_search(world, Purpose::Palette, &text);
                Vec::new()
            }
            Choice::Show(RowKey::Object(id)) => match world.store.row(id) {
                Some((c, o)) => {
                    let reference = o.reference(c.id);
                    self.show_object(world, &reference)
                }
                None => self.say("that object is gone"),
            },
            Choice::Show(RowKey::Cluster(id)) => {
                let name = world.store.cluster(id).map(|c| c.info.name.to_string()).unwrap_or_default();
                self.scope_to(world, Some(&name), None)
            }
        }
    }

    /// Shows, hides, moves or sizes a column in the chooser.
    fn change_columns(&mut self, command: &Command, selected: usize) {
        let Some(t) = self.table_mut() else { return };
        let Some(column) = t.subject.columns().get(selected) else { return };
        let drawn = t.widths.iter().find(|(id, _)| *id == column.id).map(|(_, w)| *w);
        let columns = t.own_columns();
        let at = columns.iter().position(|c| c.id == column.id);
        match (command, at) {
            (Command::Mark, Some(at)) if columns.len() > 1 => drop(columns.remove(at)),
            (Command::Mark, None) => columns.push(super::ColumnChoice { id: column.id, width: None }),
            (Command::ColumnMoveLeft, Some(at)) if at > 0 => columns.swap(at, at - 1),
            (Command::ColumnMoveRight, Some(at)) if at + 1 < columns.len() => columns.swap(at, at + 1),
            (Command::ColumnGrow, Some(at)) => columns[at].width = Some((columns[at].width.or(drawn).unwrap_or(column.min) + 2).min(200)),
            (Command::ColumnShrink, Some(at)) => {
                columns[at].width = Some(columns[at].width.or(drawn).unwrap_or(column.min).saturating_sub(2).max(3))
            }
            _ => {}
        }
    }
}
