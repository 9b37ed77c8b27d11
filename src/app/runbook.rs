//! Runbooks: the list of them, and the form of one with what the screen already says.

use super::chooser::Choice;
use super::form::Form;
use super::{App, Chooser, Effect, Item, Notice, Overlay, World};
use crate::action::runbook::Params;
use crate::command::Command;
use crate::config::Runbook;
use crate::model::{ClusterId, Kind, ObjectRef, verb};
use std::collections::BTreeMap;

impl App {
    /// `run`: the runbooks there are, or the one that is named. What is wholly said, its cluster too, goes to the preview at once.
    pub(super) fn run_book(&mut self, world: &World, text: Option<&str>) -> Vec<Effect> {
        let mut words = verb::split(text.unwrap_or_default()).into_iter();
        let Some(name) = words.next() else {
            let item = |b: &Runbook| Item::new(b.name.clone(), b.doc.clone(), Choice::Run(Command::Run(Some(b.name.clone()))));
            self.overlay = Some(Overlay::Choose(Chooser::new("Runbooks", self.runbooks.iter().map(item).collect())));
            return Vec::new();
        };
        let Some(book) = self.runbooks.iter().find(|b| b.name == name).cloned() else {
            let names = self.runbooks.iter().map(|b| b.name.as_str());
            self.notice = Some(Notice::error(crate::diag::unknown("runbook", &name, names)));
            return Vec::new();
        };
        let mut given = BTreeMap::new();
        for word in words {
            let Some((key, value)) = word.split_once('=').filter(|(key, _)| *key == "cluster" || book.params.contains_key(*key)) else {
                let known = std::iter::once("cluster").chain(book.params.keys().map(String::as_str));
                let key = word.split_once('=').map_or(word.as_str(), |(key, _)| key);
                self.notice = Some(Notice::error(crate::diag::unknown("parameter", key, known)));
                return Vec::new();
            };
            given.insert(key.to_owned(), value.to_owned());
        }
        let whole = given.contains_key("cluster");
        let form = self.book_form(world, book, &given);
        if whole && let Ok(wanted) = form.wanted() {
            return self.wish(wanted);
        }
        self.overlay = Some(Overlay::Form(Box::new(form)));
        Vec::new()
    }

    /// The form of a runbook that was run with these parameters already.
    pub(super) fn book_again(&mut self, world: &World, book: Runbook, params: &Params) {
        let mut given = params.values.clone();
        given.insert("cluster".to_owned(), names(world, params.clusters.iter().copied()));
        given.extend(params.namespace.clone().map(|n| ("namespace".to_owned(), n)));
        let form = self.book_form(world, book, &given);
        self.overlay = Some(Overlay::Form(Box::new(form)));
    }

    fn book_form(&self, world: &World, book: Runbook, given: &BTreeMap<String, String>) -> Form {
        let place = |c: &crate::store::Cluster| (c.info.name.to_string(), c.id, c.info.read_only.as_ref().map(ToString::to_string));
        let clusters = world.store.clusters().iter().map(place).collect();
        let objects = self.acted_on(world).unwrap_or_default();
        Form::run(book, clusters, &|name| given.get(name).cloned().or_else(|| self.proposed(world, &objects, name)))
    }

    /// What the screen says of a parameter: `node` is the highlighted node, `namespace` the highlighted object's.
    fn proposed(&self, world: &World, objects: &[ObjectRef], name: &str) -> Option<String> {
        let same = |text: &dyn Fn(&ObjectRef) -> Option<String>| {
            let first = text(objects.first()?)?;
            objects.iter().all(|o| text(o).as_ref() == Some(&first)).then_some(first)
        };
        match name {
            "cluster" => {
                let of_objects: Vec<ClusterId> = objects.iter().map(|o| o.cluster).collect();
                let ids = if of_objects.is_empty() { self.highlighted_cluster(world).into_iter().collect() } else { of_objects };
                match (ids.as_slice(), world.store.clusters()) {
                    ([], [only]) => Some(only.info.name.to_string()),
                    ([], _) => None,
                    (ids, _) => Some(names(world, ids.iter().copied())),
                }
            }
            "namespace" => same(&|o| match o.kind {
                Kind::Namespace => Some(o.name.to_string()),
                _ => Some(o.namespace.to_string()).filter(|n| !n.is_empty()),
            }),
            _ => same(&|o| (Kind::parse(name) == Some(o.kind)).then(|| o.name.to_string())),
        }
    }
}

/// Names of clusters as the form takes them.
fn names(world: &World, ids: impl Iterator<Item = ClusterId>) -> String {
    let mut all: Vec<String> = ids.filter_map(|id| world.store.cluster(id)).map(|c| c.info.name.to_string()).collect();
    all.sort();
    all.dedup();
    all.join(", ")
}
