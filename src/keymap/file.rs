//! A keymap's text: tables of `keys = [{ on = "g n", run = "go node", desc = "..." }]`, one a mode, and how layers merge.
//!
//! `on` may be a list of ways to type the same. `run = ""` makes a key do nothing in that table; `run = "unbind"` takes what is
//! inherited away (with all that the chords begin), so that the wider tables' binding counts.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Binding, Chord, EMBEDDED, Entry, Keymap, Mode, beginning_with};
use crate::command::Command;
use crate::diag::{Diag, Layer, Library, line_col, unknown};

pub(super) const LIBRARY: Library = Library { what: "keymap", folder: "keymaps", embedded: EMBEDDED };

/// What a line of a table says.
struct Line {
    mode: Mode,
    chords: Vec<Chord>,
    run: Run,
    /// Of `on`, in bytes.
    offset: usize,
}

enum Run {
    Command(Command, String),
    Nothing,
    Unbind,
}

pub(super) fn load(name: &str, dir: Option<&Path>) -> (Keymap, Vec<Diag>) {
    let mut problems = Vec::new();
    let mut layers = LIBRARY.chain(name, dir, &mut problems);
    if let Some(path) = dir.map(|dir| dir.join("keys.toml")).filter(|path| path.exists()) {
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let layer = Layer { source: path.display().to_string(), text };
                if let Ok(Some((parent, offset))) = layer.inherits() {
                    let problem = layer.wrong(offset, "keys.toml lies over the keymap that is chosen and inherits nothing");
                    problems.push(problem.hint(format!("choose it in config.toml: keymap = \"{parent}\"")));
                }
                layers.push(layer);
            }
            Err(error) => problems.push(Diag::error(error.to_string()).in_file(path)),
        }
    }
    let mut keymap = Keymap { name: name.to_owned(), tables: BTreeMap::new(), found: RefCell::default() };
    for (depth, layer) in layers.iter().enumerate() {
        let lines = parse(layer, &mut problems);
        merge(&mut keymap, layer, depth, lines, &mut problems);
    }
    (keymap, problems)
}

/// All lines of a text in its order; what is wrong in it goes to `problems`.
fn parse(layer: &Layer, problems: &mut Vec<Diag>) -> Vec<Line> {
    let mut reader = Reader { layer, problems, lines: Vec::new() };
    match DeTable::parse(&layer.text) {
        Ok(table) => reader.root(table.get_ref()),
        Err(error) => reader.wrong(error.span().map_or(0, |span| span.start), error.message().to_owned(), None),
    }
    let mut lines = reader.lines;
    lines.sort_by_key(|line| line.offset);
    lines
}

struct Reader<'a> {
    layer: &'a Layer,
    problems: &'a mut Vec<Diag>,
    lines: Vec<Line>,
}

impl Reader<'_> {
    fn wrong(&mut self, offset: usize, message: String, hint: Option<String>) {
        let problem = Diag::error(message).in_file(&self.layer.source).at(&self.layer.text, offset);
        self.problems.push(match hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        });
    }

    fn root(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            let name: &str = key.get_ref();
            if name == "inherits" {
                if value.get_ref().as_str().is_none() {
                    self.wrong(value.span().start, "inherits takes a keymap's name".into(), None);
                }
            } else if let Some(mode) = Mode::find(name) {
                match value.get_ref().as_table() {
                    Some(table) => self.mode(mode, table),
                    None => self.wrong(value.span().start, format!("`{name}` is a table: [{name}]"), None),
                }
            } else {
                let known = Mode::ALL.iter().map(|mode| mode.name()).chain(["inherits"]);
                self.wrong(key.span().start, unknown("table", name, known), None);
            }
        }
    }

    fn mode(&mut self, mode: Mode, table: &DeTable<'_>) {
        for (key, value) in table {
            let name: &str = key.get_ref();
            if name != "keys" {
                self.wrong(key.span().start, unknown("key", name, ["keys"]), None);
                continue;
            }
            let Some(items) = value.get_ref().as_array() else {
                self.wrong(value.span().start, "keys is a list of { on = \"...\", run = \"...\" }".into(), None);
                continue;
            };
            for item in items {
                match item.get_ref().as_table() {
                    Some(table) => self.line(mode, table, item.span().start),
                    None => self.wrong(item.span().start, "a key is { on = \"...\", run = \"...\" }".into(), None),
                }
            }
        }
    }

    fn line(&mut self, mode: Mode, table: &DeTable<'_>, start: usize) {
        let mut desc = None;
        let mut complete = true;
        for (key, value) in table {
            let name: &str = key.get_ref();
            match (name, value.get_ref()) {
                ("on" | "run", _) => {}
                ("desc", DeValue::String(text)) => desc = Some(text.to_string()),
                ("desc", _) => self.wrong(value.span().start, "desc takes text".into(), None),
                _ => {
                    self.wrong(key.span().start, unknown("key", name, ["on", "run", "desc"]), None);
                    complete = false;
                }
            }
        }
        let (Some(on), Some(run)) = (table.get("on"), table.get("run")) else {
            if complete {
                self.wrong(start, "a key needs both on and run".into(), None);
            }
            return;
        };
        let Some(text) = run.get_ref().as_str() else {
            return self.wrong(run.span().start, "run takes a command as text".into(), None);
        };
        let command = match text.trim() {
            "" | "unbind" => None,
            text => match Command::parse(text) {
                Ok(command) => Some(command),
                Err(error) => return self.wrong(run.span().start, error.message, error.hint),
            },
        };
        let ways: Vec<&Spanned<DeValue<'_>>> = on.get_ref().as_array().map_or_else(|| vec![on], |list| list.iter().collect());
        for way in ways {
            let offset = way.span().start;
            let chords = match way.get_ref().as_str().map(Chord::parse_sequence) {
                Some(Ok(chords)) => chords,
                Some(Err(message)) => {
                    self.wrong(offset, message, None);
                    continue;
                }
                None => {
                    self.wrong(offset, "on takes keys as text, or a list of such".into(), None);
                    continue;
                }
            };
            let run = match &command {
                Some(command) => Run::Command(command.clone(), desc.clone().unwrap_or_else(|| command.doc().to_owned())),
                None if text.trim().is_empty() => Run::Nothing,
                None => Run::Unbind,
            };
            self.lines.push(Line { mode, chords, run, offset });
        }
    }
}

fn merge(keymap: &mut Keymap, layer: &Layer, depth: usize, lines: Vec<Line>, problems: &mut Vec<Diag>) {
    let wrong = |offset: usize, message: String| Diag::error(message).in_file(&layer.source).at(&layer.text, offset);
    let mut binds = Vec::new();
    for line in lines {
        let table = keymap.tables.entry(line.mode).or_default();
        let before = table.len();
        match line.run {
            Run::Command(command, desc) => binds.push((line.mode, line.chords, line.offset, command, desc)),
            Run::Nothing => {
                table.retain(|chords, _| !chords.starts_with(&line.chords));
                table.insert(line.chords, Entry::Nothing);
            }
            Run::Unbind => {
                table.retain(|chords, _| !chords.starts_with(&line.chords));
                if table.len() == before {
                    let keys = Chord::print_sequence(&line.chords);
                    let message = format!("nothing to unbind: [{}] inherits no `{keys}`", line.mode.name());
                    problems.push(wrong(line.offset, message));
                }
            }
        }
    }
    for (mode, chords, offset, command, desc) in binds {
        let table = keymap.tables.entry(mode).or_default();
        let keys = Chord::print_sequence(&chords);
        let shorter = (1..chords.len()).filter_map(|n| table.get(&chords[..n]));
        let rival = shorter.chain(beginning_with(table, &chords).map(|(_, entry)| entry)).find_map(|entry| match entry {
            Entry::Bound(other) if other.chords != chords || other.order.0 == depth => Some(other),
            _ => None,
        });
        if let Some(other) = rival {
            let (file, line) = &other.source;
            let place = if other.order.0 == depth { format!("line {line}") } else { format!("line {line} of {file}") };
            problems.push(if other.chords == chords {
                wrong(offset, format!("`{keys}` is already bound in [{}], on {place}", mode.name()))
            } else {
                let theirs = Chord::print_sequence(&other.chords);
                let (short, long) = if other.chords.len() < chords.len() { (&theirs, &keys) } else { (&keys, &theirs) };
                wrong(offset, format!("`{short}` would hide `{long}` in [{}]; `{theirs}` is on {place}", mode.name()))
                    .hint(format!("take it away first: {{ on = \"{theirs}\", run = \"unbind\" }}"))
            });
            continue;
        }
        let source = (layer.source.clone(), line_col(&layer.text, offset).0);
        let binding = Binding { mode, chords: chords.clone(), command, desc, source, order: (depth, offset) };
        table.insert(chords, Entry::Bound(binding));
    }
}
