//! Findings that may be: which rules are meant, where nobody names them.

use super::{App, World};
use crate::model::{Args, Object, ObjectRef, VerbId};

impl App {
    /// What is known of an `ignore` of these objects: the rule of the finding, or of the group of findings, that is highlighted; else those
    /// that found something at them.
    pub(super) fn ignored(&self, world: &World, objects: &[ObjectRef]) -> Args {
        let finding = |o: &ObjectRef| match world.store.resolve(o) {
            Some(Object::Finding(row)) => Some(row.meta.name.to_string()),
            _ => None,
        };
        let known = |title: &String| world.engine.rules().find(title).is_some();
        let here = self.seen_group().filter(known).or_else(|| finding(&self.seen_highlighted(world)?));
        let rules = here.unwrap_or_else(|| {
            let found = objects.iter().flat_map(|o| world.engine.for_object(o.cluster, o.uid)).filter(|f| f.open());
            let mut rules: Vec<&str> = found.map(|f| f.rule.id).collect();
            rules.sort_unstable();
            rules.dedup();
            rules.join(",")
        });
        let mut args = Args::default();
        if !rules.is_empty() {
            let _ = args.set(VerbId::Ignore.info(), "rule", &rules);
        }
        args
    }
}
