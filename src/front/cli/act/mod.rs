//! The verbs on the command line: the same catalogue, plans, guardrails and jobs as the cockpit's.
//!
//! Owns the question, the progress and the exit code. How a verb's subcommand looks is `command`'s, which objects are meant `objects`'s,
//! what is printed `show`'s; jobs, undo and the audit log are in `jobs`, what a rollout
//! is at in `rollout`, runbooks in `runbook`.

pub mod command;
mod editing;
pub mod etcd;
mod jobs;
mod objects;
pub mod rollout;
mod runbook;
mod show;
pub mod velero;

pub use jobs::{Which, audit, jobs, resume, undo};
pub use runbook::run as run_book;

use super::args::{Global, Output};
use super::fail::{Code, Failure};
use super::read;
use crate::action::{Ask, Confirmation, Preview, Refused, Request, Stop, TERMINAL_LOST, TOLD_TO_END, Wanted, confirm};
use crate::client::{Target, install_crypto_provider};
use crate::config::Config;
use crate::inspect::Rules;
use crate::model::verb::On;
use crate::model::{self, Args, Control, Kind, Outcome, Progress, Service, ServiceState, VerbId, VerbInfo};
use crate::runtime::acting::{self, Started};
use crate::runtime::{Fleet, now};
use crate::state::StateDir;
use clap::ArgMatches;
use command::Writing;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// A rule that is misspelt would hide nothing, and nobody would see it.
fn known_rules(global: &Global, ids: &str) -> Result<(), Failure> {
    let rules = Rules::of(&Config::load(global.config.as_deref()).config).0;
    let known = || rules.all().iter().map(|r| r.id);
    match ids.split(',').map(str::trim).find(|id| !id.is_empty() && !known().any(|k| k == *id)) {
        Some(stranger) => Err(Failure::usage(crate::diag::unknown("rule", stranger, known()))),
        None => Ok(()),
    }
}

/// Runs the subcommand of a verb.
pub fn run(global: &Global, info: &'static VerbInfo, matches: &ArgMatches) -> Result<Code, Failure> {
    let writing = Writing::of(matches);
    let mut args = command::args(info, matches)?;
    let mut words = command::words(matches);
    if let Some(param) = command::title(info)
        && words.first().is_some_and(|w| !w.contains('/') && Kind::parse(w).is_none())
    {
        args.set(info, param, &words.remove(0)).map_err(command::wrong)?;
    }
    words.extend(command::named(info, matches));
    let (names, pairs) = objects::split(info, words)?;
    if let (Some(labels), true) = (&global.selector, info.param("labels").is_some()) {
        args.set(info, "labels", labels).map_err(command::wrong)?;
    }
    for pair in &pairs {
        if let Some(param) = info.params.iter().find(|p| objects::among(p)) {
            args.set(info, param.name, pair).map_err(command::wrong)?;
        }
    }
    if info.id == VerbId::Ignore {
        known_rules(global, args.get("rule").unwrap_or_default())?;
    }
    let limit = command::time_limit(matches);
    if let Some(limit) = limit.as_ref().filter(|_| info.param("timeout").is_some()) {
        args.set(info, "timeout", limit).map_err(command::wrong)?;
    }
    if let Err(missing) = args.complete(info) {
        return Err(command::wrong(missing));
    }
    let mut global = global.clone();
    if limit.is_some() {
        // Here the limit is the job's: how long clusters are waited for stays as it is.
        global.timeout = Duration::from_secs(30);
    }
    let seen = match info.id {
        _ if info.on == On::Etcd => Seen::Etcd,
        id if silences(id) => Seen::Silences,
        VerbId::Drain if args.flag("silence") => Seen::And(SILENCES),
        // It offers to silence its nodes, where there is an Alertmanager.
        VerbId::Drain => Seen::Perhaps(SILENCES),
        _ => Seen::And(&[]),
    };
    following(&global, seen, async |fleet, state| {
        let targets = objects::resolve(fleet, &global, info, &names).await?;
        let mut request = Request { verb: info.id, targets, args, documents: Vec::new() };
        editing::documents(fleet, &mut request).await?;
        let wanted = Wanted::Act(request);
        carry_out(fleet, state, &global, &writing, &wanted).await
    })
}

/// What has to be seen of services for a verb of silences, or one that sets some.
const SILENCES: &[Kind] = &[Kind::Alert, Kind::Silence];

/// A silence is not kept waiting longer by an API server that is not needed for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What only an offer rests on is waited for no longer.
const PERHAPS: Duration = Duration::from_secs(2);

fn silences(verb: VerbId) -> bool {
    matches!(verb, VerbId::Silence | VerbId::SilenceExtend | VerbId::SilenceExpire)
}

/// What is seen of the clusters.
enum Seen {
    /// All that their API servers have, and this beside it.
    And(&'static [Kind]),
    /// All that their API servers have, and this too where it does not keep them waiting.
    Perhaps(&'static [Kind]),
    /// Their Alertmanagers, which answer whatever their API servers do.
    Silences,
    /// Their etcd alone, which is reached whether the API server is or not.
    Etcd,
}

/// Follows the chosen clusters, and with several of them only those that were named. `more`: what is seen of them beside their API server.
fn with_fleet(
    global: &Global,
    more: &'static [Kind],
    work: impl AsyncFnOnce(&mut Fleet, &StateDir) -> Result<Code, Failure>,
) -> Result<Code, Failure> {
    following(global, Seen::And(more), work)
}

/// Whether it is said which clusters a change is for.
///
/// # Errors
/// When there are several and none is named.
pub fn named(global: &Global, targets: &[Target]) -> Result<(), Failure> {
    let named = !global.context.is_empty() || global.clusters.is_some() || global.all;
    if targets.len() > 1 && !named {
        let names: Vec<&str> = targets.iter().map(|t| t.name.as_str()).collect();
        return Err(Failure::refused(format!("there are {} contexts: name the ones that are meant", names.len()))
            .hint(format!("--context NAME; there are {}", names.join(", "))));
    }
    Ok(())
}

/// Writes an inspection into the clusters that it saw. `report` as `qd inspect -o json` has it.
pub async fn publish(
    fleet: &mut Fleet,
    global: &Global,
    writing: &Writing,
    report: String,
    every: Option<Duration>,
) -> Result<Code, Failure> {
    let seen = fleet.store.clusters().iter().filter(|c| c.state.live());
    let targets: Vec<model::Target> = seen.map(|c| model::Target::of_cluster(c.id, &c.info.name)).collect();
    if targets.is_empty() {
        return Err(Failure { code: Code::Partial, ..Failure::failed("unreachable", "no cluster was seen: nothing is published") });
    }
    let info = VerbId::Publish.info();
    let mut args = Args::default();
    args.set(info, "filename", "the inspection").map_err(command::wrong)?;
    if let Some(every) = every {
        args.set(info, "every", &crate::config::format_duration(every)).map_err(command::wrong)?;
    }
    let documents = vec![("the inspection".to_owned(), report)];
    let wanted = Wanted::Act(Request { verb: VerbId::Publish, targets, args, documents });
    carry_out(fleet, &StateDir::open()?, global, writing, &wanted).await
}

fn following(global: &Global, seen: Seen, work: impl AsyncFnOnce(&mut Fleet, &StateDir) -> Result<Code, Failure>) -> Result<Code, Failure> {
    install_crypto_provider();
    let loaded = Config::load(global.config.as_deref());
    let targets = read::select(global, &loaded.config)?;
    named(global, &targets)?;
    let state = StateDir::open()?;
    let runtime = super::runtime()?;
    let code = runtime.block_on(async {
        let (kinds, etcd) = match &seen {
            Seen::And(more) => ([&Kind::WATCHED[..], more].concat(), false),
            Seen::Perhaps(_) => (Kind::WATCHED.to_vec(), false),
            Seen::Silences => ([&Kind::WATCHED[..], SILENCES].concat(), false),
            Seen::Etcd => (vec![Kind::EtcdMember], true),
        };
        let (mut fleet, _) = match &seen {
            Seen::Silences => read::open_beside(global, &kinds, PATIENCE).await?,
            Seen::Perhaps(more) => read::open_perhaps(global, &kinds, more, PERHAPS).await?,
            _ => read::open(global, &kinds).await?,
        };
        let alone = matches!(seen, Seen::Silences);
        let served = |c: &&crate::store::Cluster| alone && c.service(Service::Alertmanager).state == ServiceState::Live;
        let dead = fleet.store.clusters().iter().filter(|c| !etcd && !c.state.live() && !served(c));
        let dead: Vec<String> = dead.map(words).collect();
        if let Some(first) = dead.first() {
            return Err(Failure { code: Code::Partial, ..Failure::failed("unreachable", first.clone()) });
        }
        work(&mut fleet, &state).await
    });
    // Watches are open: nothing waits for them.
    runtime.shutdown_background();
    code
}

fn words(c: &crate::store::Cluster) -> String {
    format!("{}: {}{}", c.info.name, c.state.word(), c.state.reason().map(|r| format!(": {r}")).unwrap_or_default())
}

/// Plans, shows, asks, carries out.
async fn carry_out(fleet: &mut Fleet, state: &StateDir, global: &Global, writing: &Writing, wanted: &Wanted) -> Result<Code, Failure> {
    let json = global.output == Output::Json;
    let preview = match acting::prepare(fleet, wanted, writing.wait).await {
        Ok(preview) => preview,
        Err(stop) => return refused_plan(stop, json),
    };
    show::preview(fleet, &preview, json)?;
    if writing.dry_run {
        return Ok(match blocked_before(&preview) {
            Some(why) => {
                show::outcome(Outcome::Refused, None, &why, json)?;
                Code::Refused
            }
            None => Code::Done,
        });
    }
    let confirmed = ask(&preview, writing).and_then(|said| {
        confirm(&preview, &said).map_err(|refused| {
            let code = if matches!(refused, Refused::Drifted(_)) { Code::Blocked } else { Code::Refused };
            Failure { code, ..Failure::refused(refused.to_string()) }
        })
    });
    let confirmed = match confirmed {
        Ok(confirmed) => confirmed,
        Err(failure) => {
            // For people it is an error, for scripts also how it ended.
            show::outcome(Outcome::Refused, None, &failure.message, json)?;
            return Err(failure);
        }
    };
    let (tx, rx) = mpsc::unbounded_channel();
    let actor = acting::actor("cli", &preview);
    // From here on they are heard: what has begun must not die of one.
    let signals = Signals::listen()?;
    let started = acting::start(fleet, state, confirmed, wanted.resumes(), actor, tx);
    let id = started.id.clone();
    let outcome = follow(fleet, started, rx, signals, &preview, json).await?;
    let (note, next) = fleet.store.jobs.get(&id).map(|j| (j.note.clone(), show::next(&preview.plan, j, outcome))).unwrap_or_default();
    show::outcome(outcome, Some((&id, &next)), &note, json)?;
    if outcome == Outcome::Done && !json {
        show::fetched(state, &preview.plan)?;
    }
    Ok(match outcome {
        Outcome::Done => Code::Done,
        Outcome::Partial => Code::Partial,
        Outcome::Refused => Code::Refused,
        Outcome::Blocked | Outcome::Cancelled => Code::Blocked,
        Outcome::Failed => Code::Failed,
    })
}

fn refused_plan(stop: Stop, json: bool) -> Result<Code, Failure> {
    let Stop::Refuse { kind, message, hint } = stop else { return Err(Failure::failed("failed", "the plan was not made")) };
    if kind == "nothing" {
        show::outcome(Outcome::Done, None, &message, json)?;
        if !json {
            println!("{message}");
        }
        return Ok(Code::Done);
    }
    let code = match kind {
        "usage" | "flags" => Code::Usage,
        "forbidden" | "quorum" | "reported" => Code::Refused,
        "conflict" => Code::Blocked,
        _ => Code::Failed,
    };
    Err(Failure { code, kind, message, hint })
}

/// What forbids it, whatever is said.
fn blocked_before(preview: &Preview) -> Option<String> {
    preview.gate.refusals.first().cloned().or_else(|| preview.preflight.forbidden()).or_else(|| preview.preflight.drifted())
}

/// What a person or a flag says to it.
///
/// # Errors
/// When nobody is there to be asked, and when the answer is no.
fn ask(preview: &Preview, writing: &Writing) -> Result<Confirmation, Failure> {
    let no = || Err(Failure::refused("not confirmed"));
    let mut said = Confirmation {
        yes: writing.yes,
        typed: writing.confirm.clone(),
        reason: writing.reason.clone(),
        flag: true,
        hash: preview.hash.clone(),
    };
    if blocked_before(preview).is_some() {
        return Ok(said);
    }
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let enough = match &preview.gate.ask {
        Ask::Typed(_) => writing.confirm.is_some(),
        Ask::Yes | Ask::Nothing => writing.yes,
    };
    if enough {
        return Ok(said);
    }
    if !terminal {
        let hint = match &preview.gate.ask {
            Ask::Typed(expected) => format!("--confirm {expected:?}"),
            _ => "--yes".to_owned(),
        };
        return Err(Failure::refused("nothing is written without a terminal and without a confirmation").hint(hint));
    }
    if preview.gate.reason_required && said.reason.is_none() {
        said.reason = line("reason: ")?;
    }
    said.flag = false;
    match &preview.gate.ask {
        Ask::Nothing => {}
        Ask::Yes => match line("do it? (y) ")?.as_deref().map(str::trim) {
            Some("y" | "yes") => said.yes = true,
            _ => return no(),
        },
        Ask::Typed(expected) => match line(&format!("type {expected} to do it: "))? {
            Some(typed) if !typed.trim().is_empty() => said.typed = Some(typed),
            _ => return no(),
        },
    }
    Ok(said)
}

/// A line from the terminal. What was typed before the question does not count.
fn line(question: &str) -> Result<Option<String>, Failure> {
    // An error only means that nothing can be thrown away.
    let _ = rustix::termios::tcflush(std::io::stdin(), rustix::termios::QueueSelector::IFlush);
    eprint!("{question}");
    std::io::stderr().flush()?;
    let mut text = String::new();
    let n = std::io::stdin().lock().read_line(&mut text)?;
    Ok((n > 0).then(|| text.trim_end_matches(['\n', '\r']).to_owned()))
}

/// What asks us to end.
struct Signals([(Signal, &'static str); 3]);

impl Signals {
    fn listen() -> std::io::Result<Self> {
        let on = |kind, why| signal(kind).map(|s| (s, why));
        Ok(Self([
            on(SignalKind::interrupt(), "interrupted by ctrl-c")?,
            on(SignalKind::terminate(), TOLD_TO_END)?,
            on(SignalKind::hangup(), TERMINAL_LOST)?,
        ]))
    }
    /// The next one, in words. Cancel safe.
    async fn next(&mut self) -> &'static str {
        let [(int, a), (term, b), (hup, c)] = &mut self.0;
        tokio::select! {
            _ = int.recv() => a,
            _ = term.recv() => b,
            _ = hup.recv() => c,
        }
    }
}

/// Shows what a job does until it ends. The first signal stops it safely, a second one leaves at once.
async fn follow(
    fleet: &mut Fleet,
    mut started: Started,
    mut progress: mpsc::UnboundedReceiver<Progress>,
    mut signals: Signals,
    preview: &Preview,
    json: bool,
) -> Result<Outcome, Failure> {
    let mut stopping = false;
    loop {
        // What is printed last must not be lost: the channel is drained before the end counts.
        let why = tokio::select! {
            biased;
            told = progress.recv() => match told {
                Some(told) => {
                    show::progress(fleet, &told, preview, json)?;
                    fleet.store.jobs.apply(told, now());
                    continue;
                }
                None => return Ok(started.task.await.unwrap_or(Outcome::Failed)),
            },
            done = &mut started.task => {
                while let Ok(told) = progress.try_recv() {
                    show::progress(fleet, &told, preview, json)?;
                    fleet.store.jobs.apply(told, now());
                }
                return Ok(done.unwrap_or(Outcome::Failed));
            }
            why = signals.next() => why,
            () = fleet.alongside(tokio::time::sleep(Duration::from_millis(500))) => continue,
        };
        if stopping {
            return Err(Failure { code: Code::Blocked, ..Failure::failed("cancelled", format!("left job {} as it was", started.id)) }
                .hint(format!("qd resume {}", started.id)));
        }
        stopping = true;
        eprintln!("qd: stopping: what is under way is waited for ({why})");
        let _ = started.control.send(Control::Stop(why));
    }
}
