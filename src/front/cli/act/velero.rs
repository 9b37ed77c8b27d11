//! `qd backup list`, `qd restore describe` and the like: reads, beside the verbs of their groups.

use super::super::args::Global;
use super::super::fail::{Code, Failure};
use super::super::read;
use crate::model::Kind;
use clap::{Arg, ArgMatches, Command};

/// The groups, and the kind of each.
const GROUPS: [(&str, Kind); 3] = [("backup", Kind::Backup), ("restore", Kind::Restore), ("schedule", Kind::Schedule)];

/// Two subcommands for each group.
pub fn commands() -> Vec<(&'static str, Command)> {
    let of = |(group, kind): (&'static str, Kind)| {
        let names = Arg::new("names").value_name("NAME").num_args(0..).help("Only these names");
        let list = Command::new("list").about(format!("List {} over the fleet, as qd get {} does", kind.plural(), kind.plural()));
        let list = list.after_help(format!("Example:\n  qd {group} list --clusters 'prod-*' -o json")).arg(names);
        let name = Arg::new("name").value_name("NAME").required(true).help("Its name");
        let describe = Command::new("describe").about(format!("Why a {group} is as it is, and its YAML"));
        let describe = describe.after_help(format!("Example:\n  qd {group} describe b1 --context lab-1")).arg(name);
        [(group, list), (group, describe)]
    };
    GROUPS.into_iter().flat_map(of).collect()
}

/// Runs one of them, if one was typed.
pub fn chosen(global: &Global, matches: &ArgMatches) -> Option<Result<Code, Failure>> {
    let (group, inner) = matches.subcommand()?;
    let (_, kind) = GROUPS.into_iter().find(|(name, _)| *name == group)?;
    match inner.subcommand()? {
        ("list", inner) => {
            let names: Vec<String> = inner.get_many::<String>("names").into_iter().flatten().cloned().collect();
            Some(read::get(global, kind.plural(), &names))
        }
        ("describe", inner) => Some(read::describe(global, kind.plural(), inner.get_one::<String>("name").map(String::as_str))),
        _ => None,
    }
}
