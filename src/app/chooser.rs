//! Overlays that offer a choice: the palette, find, saved views, sort columns, containers.

use super::{Form, Prompt, RequestId, World};
use crate::command::{COMMANDS, Command, PaneName};
use crate::config::Runbook;
use crate::inspect::blind_words;
use crate::model::{Kind, ObjectRef, VerbId};
use crate::table::{RowKey, find_anywhere};
use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

/// What choosing an item does.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    Run(Command),
    /// Puts text into the palette: the command needs an argument.
    Type(String),
    Show(RowKey),
    /// A verb on what was highlighted when the list was opened.
    Act(VerbId),
}

/// One line to choose.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub text: String,
    pub doc: String,
    pub choice: Choice,
    /// It would be refused; the doc says why.
    pub off: bool,
}

impl Item {
    pub fn new(text: impl Into<String>, doc: impl Into<String>, choice: Choice) -> Self {
        Self { text: text.into(), doc: doc.into(), choice, off: false }
    }
}

/// A list with a cursor.
pub struct Chooser {
    pub title: String,
    pub items: Vec<Item>,
    pub selected: usize,
    /// The question that is still out about it.
    pub asked: Option<RequestId>,
    /// What its acts are for.
    pub objects: Vec<ObjectRef>,
}

impl Chooser {
    pub fn new(title: impl Into<String>, items: Vec<Item>) -> Self {
        Self { title: title.into(), items, selected: 0, asked: None, objects: Vec::new() }
    }

    pub fn step(&mut self, by: isize) {
        self.selected = self.selected.saturating_add_signed(by).min(self.items.len().saturating_sub(1));
    }

    pub fn current(&self) -> Option<&Item> {
        self.items.get(self.selected)
    }
}

/// The rules that judge nothing in some cluster, each with the clusters and why; choosing one shows what it found elsewhere.
pub fn blind_items(world: &World) -> Vec<Item> {
    let not = |rule: &str| -> Vec<(String, String)> {
        let here = |c: &crate::store::Cluster| {
            let why = world.engine.blind(c.id).iter().find(|(r, _)| *r == rule).map(|(_, why)| why.clone());
            Some((c.info.name.to_string(), why?))
        };
        world.store.clusters().iter().filter_map(here).collect()
    };
    let rules = world.engine.rules().all().iter().map(|r| (r.id, not(r.id))).filter(|(_, not)| !not.is_empty());
    let show = |rule: &str| Choice::Run(Command::Pane((PaneName::Findings, Some(format!("name:{rule}")))));
    rules.map(|(rule, not)| Item::new(rule, blind_words(&not), show(rule))).collect()
}

const LIMIT: usize = 200;

/// What the palette offers for the typed text, best first.
pub fn palette_items(world: &World, text: &str, views: &[String], books: &[Runbook]) -> Vec<Item> {
    let run = |text: String, doc: &str, command| Item::new(text, doc, Choice::Run(command));
    let mut all: Vec<Item> = Vec::new();
    for pane in PaneName::ALL {
        all.push(run(pane.name().to_owned(), pane.doc(), Command::Pane((*pane, None))));
    }
    for info in COMMANDS.iter().filter(|c| c.name != "pane") {
        let required = info.args.first().is_some_and(|a| !a.optional);
        match Command::parse(info.name) {
            Ok(command) if !required => all.push(run(info.name.to_owned(), info.doc, command)),
            _ => all.push(Item::new(info.usage(), info.doc, Choice::Type(format!("{} ", info.name)))),
        }
    }
    let mut namespaces = std::collections::BTreeSet::new();
    for c in world.store.clusters() {
        let doc = format!("Only this cluster ({})", c.state.word());
        all.push(run(format!("cluster {}", c.info.name), &doc, Command::Cluster(c.info.name.to_string())));
        namespaces.extend(c.objects(Kind::Namespace).map(|n| n.meta().name.clone()));
    }
    all.extend(namespaces.iter().map(|ns| run(format!("namespace {ns}"), "Only this namespace", Command::Namespace(ns.to_string()))));
    all.extend(views.iter().map(|v| run(format!("view {v}"), "A saved view", Command::View(v.clone()))));
    for c in world.store.clusters() {
        let (name, doc) = (c.info.name.to_string(), format!("Run its credential plugin in the foreground ({})", c.state.word()));
        all.push(run(format!("login {name}"), &doc, Command::Login(name)));
    }
    all.extend(books.iter().map(|b| run(format!("run {}", b.name), &b.doc, Command::Run(Some(b.name.clone())))));
    let text = text.trim();
    if text.is_empty() {
        all.truncate(LIMIT);
        return all;
    }
    let (pattern, mut matcher, mut buffer) =
        (Pattern::parse(text, CaseMatching::Smart, Normalization::Smart), Matcher::new(Config::DEFAULT), Vec::new());
    let exact = |item: &Item| item.text == text || PaneName::find(text).is_some_and(|p| p.name() == item.text);
    let mut scored: Vec<(u32, Item)> = all
        .into_iter()
        .filter_map(|item| {
            let score = pattern.score(Utf32Str::new(&item.text, &mut buffer), &mut matcher);
            let score = if exact(&item) { Some(u32::MAX) } else { score };
            Some((score?, item))
        })
        .collect();
    scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    let mut items: Vec<Item> = scored.into_iter().map(|(_, item)| item).collect();
    // A whole command with its arguments wins over what only resembles it.
    let half = |command: &Command| match command {
        Command::Run(Some(text)) => !books.iter().any(|b| text.split(' ').next() == Some(&b.name)),
        _ => false,
    };
    if let Ok(command) = Command::parse(text)
        && (items.is_empty() || !half(&command))
        && items.first().is_none_or(|first| first.choice != Choice::Run(command.clone()))
        && (text.contains(' ') || items.is_empty() || COMMANDS.iter().any(|c| c.aliases.contains(&text)))
    {
        let doc = COMMANDS.iter().find(|c| c.name == command.name()).map_or("", |c| c.doc);
        items.insert(0, run(text.to_owned(), doc, command));
    }
    items.truncate(LIMIT);
    items
}

/// Objects of the fleet by name, best first.
pub fn find_items(world: &World, text: &str) -> Vec<Item> {
    if text.trim().is_empty() {
        return Vec::new();
    }
    find_anywhere(world.store, text.trim(), LIMIT)
        .into_iter()
        .filter_map(|found| {
            let key = found.key;
            let (text, doc) = match crate::table::Row::of(world.store, key)? {
                crate::table::Row::Cluster(c) => (c.info.name.to_string(), "cluster".to_owned()),
                crate::table::Row::Object(c, o) => {
                    let m = o.meta();
                    let place = if m.namespace.is_empty() { c.info.name.to_string() } else { format!("{} {}", c.info.name, m.namespace) };
                    (m.name.to_string(), format!("{} {place}", o.kind().name()))
                }
            };
            Some(Item::new(text, doc, Choice::Show(key)))
        })
        .collect()
}

/// What lies over the screen.
pub enum Overlay {
    /// A line of text at the bottom.
    Prompt(Prompt),
    /// Typed text with a list above it: palette and find.
    Search(Prompt, Chooser),
    Choose(Chooser),
    /// A verb's parameters.
    Form(Box<Form>),
    /// The column chooser of the pane; the place in all columns.
    Columns {
        selected: usize,
    },
    /// A question about quitting.
    Quit,
}
