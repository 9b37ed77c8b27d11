//! Words that completions offer. Not all that is taken: a kind may have a name behind it, a screen any of its other names.

use crate::keymap;
use crate::model::{Kind, VerbInfo};
use crate::sim::BUILT_IN;
use crate::table::Subject;
use crate::theme;
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Command, Error};
use std::ffi::OsStr;

/// Takes any text, and offers these words.
#[derive(Clone)]
pub struct Suggest<F: Fn() -> Vec<&'static str>>(pub F);

impl<F: Fn() -> Vec<&'static str> + Clone + Send + Sync + 'static> TypedValueParser for Suggest<F> {
    type Value = String;
    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<String, Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }
    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.0)().into_iter().map(PossibleValue::new)))
    }
}

pub fn screens() -> Vec<&'static str> {
    [vec!["cockpit"], subjects()].concat()
}

pub fn subjects() -> Vec<&'static str> {
    Subject::ALL.iter().map(|s| s.name()).collect()
}

pub fn kinds() -> Vec<&'static str> {
    singular(&Kind::ALL)
}

/// What has logs: a pod, and what has pods.
pub fn logged() -> Vec<&'static str> {
    singular(&[&[Kind::Pod][..], &Kind::WORKLOADS].concat())
}

/// What a verb is done to.
pub fn of_verb(info: &VerbInfo) -> Vec<&'static str> {
    singular(&Kind::ALL.into_iter().filter(|k| info.on.takes(*k)).collect::<Vec<_>>())
}

fn singular(kinds: &[Kind]) -> Vec<&'static str> {
    kinds.iter().filter_map(|k| k.info().aliases.first().copied()).collect()
}

pub fn themes() -> Vec<&'static str> {
    theme::EMBEDDED.iter().map(|(name, _)| *name).collect()
}

pub fn keymaps() -> Vec<&'static str> {
    keymap::EMBEDDED.iter().map(|(name, _)| *name).collect()
}

pub fn scenarios() -> Vec<&'static str> {
    BUILT_IN.iter().map(|(name, _)| *name).collect()
}

pub fn log_levels() -> Vec<&'static str> {
    super::LOG_LEVELS.to_vec()
}
