//! Keys to commands: chords, layered tables, pending chords and their hints.
//!
//! This room reads `keymaps/*.toml` and the user's files and says which command a chord asks for where. Which modes one is in,
//! and what a command does, is `app`'s. Reading never fails: what is wrong is reported and left out, the rest counts.

mod chord;
mod file;
mod mode;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;

pub use chord::Chord;
pub use mode::Mode;

use crate::command::Command;
use crate::diag::Diag;

/// The keymaps that come with qd: name and text.
pub const EMBEDDED: &[(&str, &str)] = &[
    ("default", include_str!("../../keymaps/default.toml")),
    ("vim", include_str!("../../keymaps/vim.toml")),
    ("emacs", include_str!("../../keymaps/emacs.toml")),
    ("k9s", include_str!("../../keymaps/k9s.toml")),
];

/// A key and what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    pub mode: Mode,
    pub chords: Vec<Chord>,
    pub command: Command,
    /// The keymap's own words, or else the command's doc.
    pub desc: String,
    /// The file, or the embedded keymap's name, and the line in it.
    pub source: (String, u32),
    /// Layer and place in it: the order in which help lists it.
    order: (usize, usize),
}

#[derive(Clone, Debug)]
enum Entry {
    Bound(Binding),
    /// `run = ""`: nothing, and wider modes are not asked.
    Nothing,
}

/// All layers, merged. The tables are sorted, so that what a sequence may go on with follows it.
#[derive(Clone, Debug)]
pub struct Keymap {
    name: String,
    tables: BTreeMap<Mode, BTreeMap<Vec<Chord>, Entry>>,
    /// What `keys_for` has found: every frame asks for the same hints.
    found: RefCell<BTreeMap<Vec<Mode>, Vec<Way>>>,
}

/// A command, and how it is typed where it can be.
type Way = (Command, Option<String>);

/// The chords typed so far of a sequence that may go on. A terminal has its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pending(Vec<Chord>);

impl Pending {
    #[must_use]
    pub fn chords(&self) -> &[Chord] {
        &self.0
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// What a chord came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    Command(Command),
    /// More is needed: the chords that may follow and what they lead to.
    Pending(Vec<(Chord, String)>),
    /// Bound to nothing; a sequence that was pending is dropped with it.
    None,
}

enum Found<'a> {
    Bound(&'a Binding),
    Prefix(Vec<&'a Binding>),
    None,
}

impl Keymap {
    /// The keymap `name`: `keymaps/NAME.toml` under the configuration directory `dir` or the embedded one, what it inherits
    /// beneath it and `keys.toml` of `dir` on top. Mistakes come with it; what they concern is left out. An unknown name
    /// is a mistake too and means the default keymap.
    #[must_use]
    pub fn load(name: &str, dir: Option<&Path>) -> (Self, Vec<Diag>) {
        file::load(name, dir)
    }

    /// The names that [`Keymap::load`] knows, embedded ones first.
    #[must_use]
    pub fn names(dir: Option<&Path>) -> Vec<String> {
        file::LIBRARY.names(dir)
    }

    /// The name it was loaded by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds a chord to the pending ones and says what they mean in `modes`, the most specific first. A mode that binds a
    /// sequence, or goes on from it, hides the wider modes' binding of the same sequence; what may follow is collected
    /// from all.
    pub fn feed(&self, pending: &mut Pending, modes: &[Mode], chord: Chord) -> Match {
        pending.0.push(chord);
        let depth = pending.0.len();
        match self.find(modes, &pending.0) {
            Found::Bound(binding) => {
                pending.clear();
                Match::Command(binding.command.clone())
            }
            Found::Prefix(bindings) => {
                let mut hints: Vec<(Chord, String)> = Vec::new();
                for binding in bindings {
                    let Some(next) = binding.chords.get(depth) else {
                        continue;
                    };
                    if hints.iter().all(|(seen, _)| seen != next) {
                        let more = binding.chords.len() > depth + 1;
                        hints.push((*next, if more { "...".into() } else { binding.desc.clone() }));
                    }
                }
                Match::Pending(hints)
            }
            Found::None => {
                pending.clear();
                Match::None
            }
        }
    }

    /// What can be typed in `modes` (the most specific first): hidden bindings are left out. In the keymap's order.
    #[must_use]
    pub fn bindings(&self, modes: &[Mode]) -> Vec<&Binding> {
        let mut all = Vec::new();
        for mode in modes {
            let mut table: Vec<_> = self.bound(*mode).filter(|binding| self.reaches(modes, binding)).collect();
            table.sort_by_key(|binding| binding.order);
            all.append(&mut table);
        }
        all
    }

    /// How `command` is typed in `modes`, the first way of several: for hints such as `a act`.
    #[must_use]
    pub fn keys_for(&self, modes: &[Mode], command: &Command) -> Option<String> {
        if let Some((_, keys)) = self.found.borrow().get(modes).and_then(|ways| ways.iter().find(|way| way.0 == *command)) {
            return keys.clone();
        }
        let keys = self.shortest(modes, command);
        self.found.borrow_mut().entry(modes.to_vec()).or_default().push((command.clone(), keys.clone()));
        keys
    }

    fn shortest(&self, modes: &[Mode], command: &Command) -> Option<String> {
        modes
            .iter()
            .flat_map(|mode| self.bound(*mode))
            .filter(|binding| binding.command == *command && self.reaches(modes, binding))
            .min_by_key(|binding| (binding.chords.len(), binding.order))
            .map(|binding| Chord::print_sequence(&binding.chords))
    }

    fn bound(&self, mode: Mode) -> impl Iterator<Item = &Binding> {
        self.tables.get(&mode).into_iter().flat_map(BTreeMap::values).filter_map(|entry| match entry {
            Entry::Bound(binding) => Some(binding),
            Entry::Nothing => None,
        })
    }

    fn reaches(&self, modes: &[Mode], binding: &Binding) -> bool {
        let chords = &binding.chords;
        (1..chords.len()).all(|n| matches!(self.find(modes, &chords[..n]), Found::Prefix(_)))
            && matches!(self.find(modes, chords), Found::Bound(found) if std::ptr::eq(found, binding))
    }

    fn find(&self, modes: &[Mode], chords: &[Chord]) -> Found<'_> {
        let mut longer = Vec::new();
        for table in modes.iter().filter_map(|mode| self.tables.get(mode)) {
            let start = longer.len();
            for (_, entry) in beginning_with(table, chords) {
                match entry {
                    Entry::Bound(binding) if binding.chords.len() > chords.len() => longer.push(binding),
                    Entry::Bound(binding) if longer.is_empty() => return Found::Bound(binding),
                    _ => {}
                }
            }
            longer[start..].sort_by_key(|binding| binding.order);
            if (1..=chords.len()).any(|n| matches!(table.get(&chords[..n]), Some(Entry::Nothing))) {
                break;
            }
        }
        if longer.is_empty() { Found::None } else { Found::Prefix(longer) }
    }
}

fn beginning_with<'a>(table: &'a BTreeMap<Vec<Chord>, Entry>, chords: &[Chord]) -> impl Iterator<Item = (&'a Vec<Chord>, &'a Entry)> {
    table.range::<[Chord], _>((Bound::Included(chords), Bound::Unbounded)).take_while(move |(key, _)| key.starts_with(chords))
}

#[cfg(test)]
mod tests;
