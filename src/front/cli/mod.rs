//! The command line: arguments to what is done, exit codes.
//!
//! The same store, projections and columns as the cockpit. Owns printing; what is read comes from `runtime::Fleet`.

pub mod act;
pub mod args;
mod cockpit;
mod doctor;
mod fail;
mod inspect;
mod logs;
mod manifest;
mod meta;
mod metrics;
mod print;
mod read;
mod rule;
mod snapshot;
mod suggest;
mod top;

use args::{Cli, Command, Global};
use clap::FromArgMatches as _;
use fail::{Code, Failure};
use std::process::ExitCode;

/// Runs what the arguments ask for.
pub fn main() -> ExitCode {
    let parsed = act::command::whole().try_get_matches().and_then(|m| Ok((Global::from_arg_matches(&m)?, m)));
    let (global, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(e) => {
            let _ = e.print();
            return if e.use_stderr() { Code::Usage.into() } else { Code::Done.into() };
        }
    };
    let output = global.output;
    let done = match act::command::chosen(&matches) {
        Some((verb, inner)) => act::run(&global, verb, inner),
        None => match act::rollout::chosen(&global, &matches)
            .or_else(|| act::etcd::chosen(&global, &matches))
            .or_else(|| listed(&global, &matches))
            .or_else(|| act::velero::chosen(&global, &matches))
        {
            Some(done) => done,
            None => match Cli::from_arg_matches(&matches) {
                Ok(cli) => run(cli, &matches),
                Err(e) => e.exit(),
            },
        },
    };
    match done {
        Ok(code) => code.into(),
        Err(failure) => {
            failure.report(output);
            failure.code.into()
        }
    }
}

/// `qd silence list`, if that was typed.
fn listed(global: &Global, matches: &clap::ArgMatches) -> Option<Result<Code, Failure>> {
    match matches.subcommand()? {
        ("silence", inner) => match inner.subcommand()? {
            ("list", inner) => Some(read::get(global, "silences", &act::command::words(inner))),
            _ => None,
        },
        _ => None,
    }
}

fn run(cli: Cli, matches: &clap::ArgMatches) -> Result<Code, Failure> {
    let Cli { global, screen, command } = cli;
    match command {
        None => cockpit::run(&global, screen.as_deref(), None),
        Some(Command::Demo(demo)) => cockpit::demo(&global, screen.as_deref(), &demo),
        Some(Command::Fleet) => read::get(&global, "clusters", &[]),
        Some(Command::Alerts { names }) => read::get(&global, "alerts", &names),
        Some(Command::Get { kind, names }) => read::get(&global, &kind, &names),
        Some(Command::Describe { object, name }) => read::describe(&global, &object, name.as_deref()),
        Some(Command::Top { what, names }) => top::run(&global, &what, &names),
        Some(Command::Doctor) => doctor::run(&global),
        Some(Command::Inspect(args)) => inspect::run(&global, &args),
        Some(Command::Rule { what: args::RuleCommand::List }) => rule::list(&global),
        Some(Command::Rule { what: args::RuleCommand::Show { id } }) => rule::show(&global, &id),
        Some(Command::Rule { what: args::RuleCommand::Test { file } }) => rule::test(&global, &file),
        Some(Command::Logs(args)) => logs::run(&global, &args),
        Some(Command::Snapshot { screen, cols, rows, format, theme }) => {
            snapshot::run(&global, &screen, (cols, rows), format, theme.as_deref())
        }
        Some(Command::Jobs) => act::jobs(&global),
        Some(Command::Run { name, param, .. }) => act::run_book(&global, name.as_deref(), &param, &writing(matches)),
        Some(Command::Resume { job, .. }) => act::resume(&global, &job, &writing(matches)),
        Some(Command::Undo { job, .. }) => act::undo(&global, &job, &writing(matches)),
        Some(Command::Audit { job, verb, since }) => act::audit(&global, &act::Which { job, verb, since }),
        Some(Command::Config { what }) => meta::config(&global, &what),
        Some(Command::Keys { keymap }) => meta::keys(&global, keymap.as_deref()),
        Some(Command::Themes { theme }) => meta::themes(&global, theme.as_deref()),
        Some(Command::Completions { shell }) => meta::completions(shell),
        Some(Command::Man) => meta::man(),
    }
}

/// The writing options of the subcommand that was typed.
fn writing(matches: &clap::ArgMatches) -> act::command::Writing {
    act::command::Writing::of(matches.subcommand().map_or(matches, |(_, inner)| inner))
}

/// The tokio runtime of the process: the loop's own thread and one for connections, which comes after it where both want the same core:
/// a key is answered before a list is read.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    crate::client::install_crypto_provider();
    crate::client::raise_nofile_limit();
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(8)
        .thread_name("qd")
        .on_thread_start(give_way)
        .enable_all()
        .build()?)
}

/// Lowers the calling thread's priority, and only its own, where threads have one of their own.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Ok(nice) = rustix::process::getpriority_process(None) {
        let _ = rustix::process::setpriority_process(None, (nice + BESIDE).min(19));
    }
}

/// By how much the other threads are nicer than the loop's: they weigh about a third.
#[cfg(target_os = "linux")]
const BESIDE: i32 = 5;

const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Logs go to the state directory, never to the screen.
fn log(global: &Global, configured: crate::config::LogLevel, state: Option<&crate::state::StateDir>) -> Result<(), Failure> {
    let level = global.log_level.as_deref().unwrap_or(configured.name());
    if !LOG_LEVELS.contains(&level) {
        return Err(Failure::usage(crate::diag::unknown("log level", level, LOG_LEVELS)));
    }
    if level == "off" {
        return Ok(());
    }
    let Some(file) = state.and_then(|s| s.log().ok()) else { return Ok(()) };
    let filter = tracing_subscriber::EnvFilter::new(format!("warn,quarterdeck={level}"));
    // A second subscriber is a second front end in one process: the first one keeps the log.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_target(true)
        .with_writer(std::sync::Mutex::new(file))
        .try_init();
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::getpriority_process;

    #[test]
    fn the_loop_comes_before_the_connections() {
        let own = getpriority_process(None).unwrap();
        let runtime = super::runtime().ok().unwrap();
        let theirs = runtime.block_on(runtime.spawn(async { getpriority_process(None) })).unwrap().unwrap();
        assert_eq!((theirs, getpriority_process(None).unwrap()), ((own + super::BESIDE).min(19), own));
    }
}
