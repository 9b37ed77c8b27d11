//! Words that completions offer. Not all that is taken: a kind may have a name behind it, a screen any of its other names.

use crate::inspect::RULES;
use crate::keymap;
use crate::model::{Kind, VerbInfo};
use crate::sim::BUILT_IN;
use crate::table::Subject;
use crate::theme;
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Command, Error};
use std::ffi::OsStr;

/// What clap's script for fish leaves out: the words of arguments without an option, and the value of an option that stands last.
pub fn for_fish(root: &Command, script: &str) -> String {
    const STRICT: &str = "    argparse -s (__fish_qd_global_optspecs) -- $cmd 2>/dev/null\n    or return\n";
    let again = STRICT.replace("    or return\n", "");
    let lenient = format!("{again}    or begin\n        set -e cmd[-1]\n    {again}    end\n    or return\n");
    let mut out = script.replacen(STRICT, &lenient, 1);
    let mut offer = |command: &Command, place: &str| {
        for arg in command.get_positionals() {
            let words: Vec<String> = arg.get_possible_values().iter().map(|v| v.get_name().to_owned()).collect();
            if !words.is_empty() {
                out.push_str(&format!("complete -c qd -n \"{place}\" -f -a \"{}\"\n", words.join(" ")));
            }
        }
    };
    for command in root.get_subcommands() {
        let place = format!("__fish_qd_using_subcommand {}", command.get_name());
        offer(command, &place);
        for below in command.get_subcommands() {
            offer(below, &format!("{place}; and __fish_seen_subcommand_from {}", below.get_name()));
        }
    }
    out
}

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

pub fn rules() -> Vec<&'static str> {
    RULES.iter().map(|r| r.id).collect()
}

pub fn areas() -> Vec<&'static str> {
    let mut areas: Vec<&str> = RULES.iter().map(|r| r.area).collect();
    areas.sort_unstable();
    areas.dedup();
    areas
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
    // What nobody types whole has its short name.
    let word =
        |k: &Kind| if matches!(k, Kind::Hpa | Kind::Pdb) { Some(Subject::of_kind(*k).name()) } else { k.info().aliases.first().copied() };
    kinds.iter().filter_map(word).collect()
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
