//! The subcommands of the verbs, made from the catalogue: words, flags, examples.

use super::super::args::Cli;
use super::super::fail::Failure;
use super::super::suggest::{self, Suggest};
use crate::model::verb::{ArgError, On, ParamKind};
use crate::model::{Args, Kind, VERBS, VerbId, VerbInfo};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory as _};

const HEADING: &str = "Writing";

/// The whole command line: what is derived, and the verbs.
pub fn whole() -> Command {
    let mut root = Cli::command();
    for info in VERBS {
        root = below(root, info, info.cli);
    }
    for command in super::rollout::commands() {
        root = root.mut_subcommand("rollout", |g| g.subcommand(command));
    }
    for (group, command) in super::velero::commands() {
        root = root.mut_subcommand(group, |g| g.subcommand(command));
    }
    for command in super::etcd::commands() {
        root = root.mut_subcommand("etcd", |g| g.subcommand(command));
    }
    root.mut_subcommand("silence", |g| g.subcommand(silences()))
}

/// `qd silence list`, which is `qd get silences`.
fn silences() -> Command {
    let ids = Arg::new("words").value_name("ID").num_args(0..).help("Only these silences");
    let example = "HIDES is how many alerts each hides now; WHY says which hide nothing and which are about to end.\n\nExample:\n  qd silence list --context lab-1 --filter status=active";
    Command::new("list").about("Silences: what each hides, and when it ends").after_help(example).arg(ids)
}

/// Puts a verb below the groups that its words name.
fn below(parent: Command, info: &'static VerbInfo, words: &[&'static str]) -> Command {
    match words {
        [] => parent,
        [word] => parent.subcommand(verb(info, word)),
        [group, rest @ ..] if parent.find_subcommand(group).is_some() => parent.mut_subcommand(group, |g| below(g, info, rest)),
        [group, rest @ ..] => {
            let new = Command::new(*group).about(about(group)).subcommand_required(true).arg_required_else_help(true);
            parent.subcommand(below(new, info, rest))
        }
    }
}

fn about(group: &str) -> &'static str {
    match group {
        "hpa" => "Horizontal pod autoscalers: bounds, freeze and thaw",
        "keda" => "KEDA ScaledObjects: pause and resume",
        "rollout" => "Rollouts: status, history, undo, pause and resume",
        "set" => "Images and environment variables",
        "cronjob" => "CronJobs: trigger, suspend and resume",
        "job" => "Kubernetes Jobs: run one again",
        "etcd" => "etcd: how it stands, snapshots, space, leader and members",
        "alarm" => "etcd's alarms: disarm",
        "member" => "etcd's members: add, promote, remove",
        "silence" => "Silences: set, list, extend and end",
        "backup" => "Velero's backups: create, list, describe, logs, delete",
        "restore" => "Velero's restores: create, list, describe",
        "schedule" => "Velero's schedules: list, pause and resume",
        _ => "",
    }
}

fn verb(info: &'static VerbInfo, name: &'static str) -> Command {
    // The global option's own words are about clusters that are slow to answer.
    let limit = info.param("timeout").map(|p| format!("--timeout is {}.\n", p.doc)).unwrap_or_default();
    let mut command =
        Command::new(name).about(info.doc).after_help(format!("{limit}Undo: {}.\n\nExample:\n  qd {}", info.undo.word(), info.example));
    if !matches!(info.on, On::Nothing | On::Cluster) {
        let pairs = info.params.iter().find(|p| p.kind == ParamKind::Pairs);
        let help = match pairs {
            Some(p) => format!("{}: KIND/NAME, or KIND and then names; then {}: {}", capital(&info.on.words()), p.value, p.doc),
            None if info.on == On::Etcd => "etcd's members by name; without one, all of the cluster".to_owned(),
            None if own(info) == Some(Kind::Silence) => match info.params.first() {
                Some(p) => format!("Silences by id; then {}: {}", p.value, p.doc),
                None => "Silences by id".to_owned(),
            },
            None if own(info).is_some() => format!("{}: names, or KIND/NAME", capital(&info.on.words())),
            None if info.on.alone() => format!("{}: KIND/NAME, or KIND and then names; none: the cluster", capital(&info.on.words())),
            None => format!("{}: KIND/NAME, or KIND and then names", capital(&info.on.words())),
        };
        command = command.arg(Arg::new("words").value_name("OBJECT").num_args(0..).help(help));
        if own(info) != Some(Kind::Node) {
            let offered = Suggest(move || suggest::of_verb(info));
            command = command.mut_arg("words", |a| a.value_parser(offered).hide_possible_values(true));
        }
    }
    for (_, option, kind, help) in NAMING.iter().filter(|n| n.0 == info.id) {
        let value = if *kind == Kind::Namespace { "NS" } else { "NAME" };
        let arg = Arg::new(*option).long(*option).value_name(value).action(ArgAction::Append).value_delimiter(',');
        command = command.arg(arg.help(*help).help_heading("What"));
    }
    for p in info.params.iter().filter(|p| p.kind != ParamKind::Pairs && p.name != "timeout") {
        let mut arg = Arg::new(format!("p-{}", p.name)).long(p.name).help(capital(p.doc)).help_heading("What");
        if p.name == "filename" {
            arg = arg.short('f');
        }
        arg = match p.kind {
            ParamKind::Flag => arg.action(ArgAction::SetTrue),
            ParamKind::OneOf(words) => arg.value_name(p.value).value_parser(clap::builder::PossibleValuesParser::new(words)),
            ParamKind::Matchers => arg.value_name(p.value).action(ArgAction::Append),
            ParamKind::Replicas => arg.value_name(p.value).allow_hyphen_values(true),
            _ => arg.value_name(p.value),
        };
        command = command.arg(arg);
    }
    writing(command)
}

/// The options of every command that writes.
pub fn writing(command: Command) -> Command {
    let flag = |id: &'static str, name: &'static str, help: &'static str| {
        Arg::new(id).long(name).action(ArgAction::SetTrue).help(help).help_heading(HEADING)
    };
    let value =
        |name: &'static str, v: &'static str, help: &'static str| Arg::new(name).long(name).value_name(v).help(help).help_heading(HEADING);
    command
        .arg(flag("dry_run", "dry-run", "Plan, check and show; nothing is sent but dry runs"))
        .arg(flag("yes", "yes", "Do not ask where the tier is content with a yes").short('y'))
        .arg(value("confirm", "NAME", "The name that production asks to be typed; in bulk with the number of objects"))
        .arg(value("reason", "TEXT", "Why, for the audit log"))
        .arg(flag("wait", "wait", "Wait until controllers have done their part: the default").overrides_with("no_wait"))
        .arg(flag("no_wait", "no-wait", "Do not wait for what controllers make of it").overrides_with("wait"))
}

/// Options that name the objects, as velero's own command has them: of which verb, of which kind.
const NAMING: &[(VerbId, &str, Kind, &str)] = &[
    (VerbId::Backup, "include-namespace", Kind::Namespace, "All of this namespace; may be given several times"),
    (VerbId::Backup, "from-schedule", Kind::Schedule, "What this schedule takes in"),
    (VerbId::Restore, "from-backup", Kind::Backup, "This backup"),
    (VerbId::Restore, "from-schedule", Kind::Schedule, "The newest completed backup of this schedule"),
];

/// The objects that are named by options, as `KIND/NAME`.
pub fn named(info: &VerbInfo, matches: &ArgMatches) -> Vec<String> {
    let of = |(_, option, kind, _): &(VerbId, &str, Kind, &str)| {
        let names = matches.get_many::<String>(option).into_iter().flatten();
        names.map(|n| format!("{}/{n}", kind.plural())).collect::<Vec<_>>()
    };
    NAMING.iter().filter(|n| n.0 == info.id).flat_map(of).collect()
}

/// The kind whose names a verb takes without it: that of verbs for nodes, silences or etcd's members alone, and the first of those for Velero's kinds alone.
pub fn own(info: &VerbInfo) -> Option<Kind> {
    if info.on == On::Etcd {
        return Some(Kind::EtcdMember);
    }
    let On::Kinds(kinds) = info.on else { return None };
    let alone = matches!(kinds, [Kind::Node | Kind::Silence]) || kinds.iter().all(|k| Kind::VELERO.contains(k)) && title(info).is_none();
    kinds.first().copied().filter(|_| alone)
}

/// The parameter that is the name of what is made: a word that is no object.
pub fn title(info: &VerbInfo) -> Option<&'static str> {
    info.params.iter().find(|p| p.positional && p.kind == ParamKind::Text).map(|p| p.name)
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

/// The verb that was typed, with its own matches.
pub fn chosen(matches: &ArgMatches) -> Option<(&'static VerbInfo, &ArgMatches)> {
    let (mut words, mut at) = (Vec::new(), matches);
    while let Some((word, inner)) = at.subcommand() {
        words.push(word);
        at = inner;
    }
    VERBS.iter().find(|v| v.cli == words).map(|info| (info, at))
}

/// The parameters that were given.
pub fn args(info: &VerbInfo, matches: &ArgMatches) -> Result<Args, Failure> {
    let mut args = Args::default();
    for p in info.params.iter().filter(|p| p.kind != ParamKind::Pairs && p.name != "timeout") {
        let id = format!("p-{}", p.name);
        if p.kind == ParamKind::Flag {
            if matches.get_flag(&id) {
                args.set(info, p.name, "true").map_err(wrong)?;
            }
        } else {
            for value in matches.get_many::<String>(&id).into_iter().flatten() {
                args.set(info, p.name, value).map_err(wrong)?;
            }
        }
    }
    Ok(args)
}

/// `--timeout`, where it was given, as it was meant: the global option is written again as text.
pub fn time_limit(matches: &ArgMatches) -> Option<String> {
    let given = matches.value_source("timeout") == Some(ValueSource::CommandLine);
    matches.get_one::<std::time::Duration>("timeout").filter(|_| given).map(|d| crate::config::format_duration(*d))
}

/// Everything that is no option.
pub fn words(matches: &ArgMatches) -> Vec<String> {
    matches.try_get_many::<String>("words").ok().flatten().into_iter().flatten().cloned().collect()
}

pub fn wrong(error: ArgError) -> Failure {
    Failure::usage(error.message).hint(error.hint)
}

/// How it shall be written.
#[derive(Clone, Debug)]
pub struct Writing {
    pub dry_run: bool,
    pub yes: bool,
    pub confirm: Option<String>,
    pub reason: Option<String>,
    pub wait: bool,
}

impl Writing {
    pub fn of(matches: &ArgMatches) -> Self {
        let text = |name: &str| matches.get_one::<String>(name).cloned();
        Self {
            dry_run: matches.get_flag("dry_run"),
            yes: matches.get_flag("yes"),
            confirm: text("confirm"),
            reason: text("reason"),
            wait: !matches.get_flag("no_wait"),
        }
    }
}

impl From<&super::super::args::Writing> for Writing {
    fn from(typed: &super::super::args::Writing) -> Self {
        let super::super::args::Writing { dry_run, yes, confirm, reason, no_wait } = typed.clone();
        Self { dry_run, yes, confirm, reason, wait: !no_wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_is_a_subcommand_and_its_example_parses() {
        whole().debug_assert();
        for info in VERBS {
            let line = std::iter::once("qd").chain(info.example.split(' '));
            let matches = whole().try_get_matches_from(line).unwrap_or_else(|e| panic!("{}: {e}", info.example));
            let (found, inner) = chosen(&matches).unwrap_or_else(|| panic!("{}", info.example));
            assert_eq!(found.id, info.id);
            args(info, inner).unwrap_or_else(|e| panic!("{}: {}", info.example, e.message));
        }
    }

    #[test]
    fn options_name_the_objects_as_veleros_own_command_has_them() {
        let of = |line: &str| {
            let matches = whole().try_get_matches_from(line.split(' ')).unwrap();
            let (info, inner) = chosen(&matches).unwrap();
            (words(inner), named(info, inner))
        };
        let (free, named) = of("qd backup create b1 --include-namespace pay,shop --include-namespace auth");
        assert_eq!(
            (free, named.as_slice()),
            (vec!["b1".to_owned()], ["namespaces/pay", "namespaces/shop", "namespaces/auth"].map(str::to_owned).as_slice())
        );
        assert_eq!(of("qd restore create --from-backup b1").1, ["backups/b1"]);
        assert_eq!(of("qd restore create --from-schedule nightly").1, ["schedules/nightly"]);
        assert_eq!(
            (title(VerbId::Backup.info()), own(VerbId::Restore.info()), own(VerbId::BackupLogs.info())),
            (Some("name"), None, Some(Kind::Backup))
        );
    }

    #[test]
    fn a_time_limit_is_the_jobs_only_where_it_was_given() {
        let limit = |line: &str| time_limit(chosen(&whole().try_get_matches_from(line.split(' ')).unwrap()).unwrap().1);
        assert_eq!(limit("qd drain n --timeout 2m"), Some("2m".to_owned()));
        assert_eq!(limit("qd --timeout 90s drain n"), Some("1m30s".to_owned()));
        assert_eq!(limit("qd drain n"), None);
    }
}
