//! `qd` and `qd demo`: the cockpit.

use super::args::{Color, Demo, Global};
use super::fail::{Code, Failure};
use super::read::select;
use crate::app::{App, Event, Notice};
use crate::config::{Config, Loaded, config_dir};
use crate::front::tui::input::Reader;
use crate::front::tui::terminal::Terminal;
use crate::keymap::Keymap;
use crate::model::Kind;
use crate::runtime::{self, Fleet, SESSION, members};
use crate::sim;
use crate::state::StateDir;
use std::io::IsTerminal as _;

/// Who opens the cockpit wants rows first: what they use is asked for after the first lists.
const USE: std::time::Duration = std::time::Duration::from_secs(3);
/// And what API servers tell of themselves so much later.
const ASKED: std::time::Duration = std::time::Duration::from_secs(5);

pub fn run(global: &Global, screen: Option<&str>, greeting: Option<String>) -> Result<Code, Failure> {
    check(screen)?;
    open(global, screen, greeting, Config::load(global.config.as_deref()), StateDir::open().ok())
}

/// What has to be right before anything is opened.
fn check(screen: Option<&str>) -> Result<(), Failure> {
    if let Some(screen) = screen
        && screen != "cockpit"
    {
        crate::table::Subject::parse(screen).map_err(|e| {
            Failure::usage(e.to_string()).hint("screens: cockpit, clusters, nodes, pods, workloads, hpa, pdb, events, namespaces")
        })?;
    }
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(Failure::usage("the cockpit needs a terminal").hint("qd snapshot draws one screen; qd get prints rows"));
    }
    Ok(())
}

/// The loop's own thread waits for the terminal itself: a key wakes it and no other.
fn own_thread() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()
}

/// The cockpit with a configuration and a state directory.
fn open(global: &Global, screen: Option<&str>, greeting: Option<String>, loaded: Loaded, state: Option<StateDir>) -> Result<Code, Failure> {
    let (config, mut diags) = (loaded.config, loaded.diags);
    super::log(global, config.log_level.value, state.as_ref())?;
    let targets = select(global, &config)?;
    diags.extend(config.unmatched(&targets.iter().map(|t| t.name.clone()).collect::<Vec<_>>()));
    let (keymap, mistakes) = Keymap::load(&config.keymap.value, config_dir().as_deref());
    diags.extend(mistakes.into_iter().map(|d| config.keymap.place(d)));
    let runtime = super::runtime()?;
    own_thread()?.block_on(async {
        let input = Reader::new(std::io::stdin())?;
        // Whatever else is waited for, or started, is the other threads' business.
        let _connections = runtime.enter();
        let (mut fleet, mistakes) = Fleet::open(members(targets, &config), &Kind::ALL, &config, global.read_only, &global.namespace);
        fleet.follow_use(USE);
        fleet.follow_asked(ASKED);
        diags.extend(mistakes);
        let saved = state.as_ref().map(|s| s.session(SESSION.0, SESSION.1).load());
        let (session, set_aside): (Option<crate::app::SessionState>, _) = saved.unwrap_or((None, None));
        let (books, mistakes) = crate::config::runbooks(&config);
        diags.extend(mistakes);
        let mut app = App::new(&config, keymap, diags);
        app.runbooks = books;
        if let Some(session) = &session
            && !session.theme.is_empty()
        {
            app.theme.clone_from(&session.theme);
        }
        let color = match global.color {
            Color::Auto => None,
            Color::Always => Some(true),
            Color::Never => Some(false),
        };
        let crashes = state.as_ref().map_or_else(std::env::temp_dir, |s| s.path("crashes"));
        let (mut terminal, mistakes) = Terminal::open(input, &app.theme, app.mouse, crashes, color)?;
        let configured = app.theme == config.theme.value;
        app.diags.extend(mistakes.into_iter().map(|d| if configured { config.theme.place(d) } else { d }));
        app.restore(&fleet.world(), session.unwrap_or_default(), screen);
        app.size = terminal.size();
        // No mistake of anybody's: said once, and not counted among those of the configuration.
        let set_aside = set_aside.map(|why| {
            tracing::warn!("{why}");
            Notice::error(why.to_string().replace('\n', " "))
        });
        if let Some(notice) = set_aside.or_else(|| greeting.map(Notice::info)) {
            app.update(&fleet.world(), Event::Notice(notice));
        }
        let result = runtime::run(fleet, app, &mut terminal, state.as_ref()).await;
        terminal.close().await;
        result
    })?;
    // Watches are open: nothing waits for them.
    runtime.shutdown_background();
    Ok(Code::Done)
}

/// A fleet with more pods than this takes seconds to make.
const MANY: usize = 40_000;

pub fn demo(global: &Global, screen: Option<&str>, demo: &Demo) -> Result<Code, Failure> {
    let wrong =
        |d: crate::diag::Diag| Failure { hint: d.hint.clone(), ..Failure::usage(crate::diag::Diag { hint: None, ..d }.to_string()) };
    let mut scenario = sim::Scenario::load(&demo.scenario).map_err(wrong)?;
    // Elsewhere this option is a glob; of a fleet that is made up one says how large it is.
    let count = |text: &String| text.parse().map_err(|_| Failure::usage(format!("`{text}` is no number of clusters")));
    let clusters = global.clusters.as_ref().map(count).transpose()?;
    scenario.resize(clusters, demo.nodes, demo.pods).map_err(wrong)?;
    scenario.seed = demo.seed.unwrap_or(scenario.seed);
    scenario.churn = demo.churn.unwrap_or(scenario.churn);
    if !demo.serve {
        check(screen)?;
    }
    crate::client::install_crypto_provider();
    crate::client::raise_nofile_limit();
    let about = scenario.about.clone();
    let pods = scenario.pods * scenario.clusters;
    if pods > MANY {
        eprintln!("qd: making {} clusters with {pods} pods; this takes a while", scenario.clusters);
    }
    let kubeconfig = global.kubeconfig.clone();
    let mut running =
        sim::start(&sim::Options { scenario, kubeconfig, viewer: demo.viewer }).map_err(|e| Failure::failed("demo", e.to_string()))?;
    if demo.serve {
        let settings = running.write_settings(&clusters_config(&running.fleet)).map_err(|e| Failure::failed("demo", e.to_string()))?;
        let (many, kubeconfig) = (running.fleet.names().count(), running.kubeconfig.display());
        let line = format!("serving {many} clusters; KUBECONFIG={kubeconfig}; qd --config {}", settings.display());
        super::runtime()?.block_on(until_asked_to_end(&line))?;
        return Ok(Code::Done);
    }
    let mut global = global.clone();
    global.kubeconfig = Some(running.kubeconfig.clone());
    global.clusters = None;
    let own = Config::load(global.config.as_deref());
    let loaded = if global.config.is_some() {
        own
    } else {
        Config::parse(&demo_config(&own.config, &running.fleet), std::path::Path::new("demo.toml"))
    };
    // The person's own session is not touched.
    let state = StateDir::open().ok().and_then(|s| StateDir::at(&s.path("demo")).ok());
    open(&global, screen, Some(about), loaded, state)
}

/// Says that it serves, and does until somebody asks the process to end.
async fn until_asked_to_end(line: &str) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut int, mut term, mut hup) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    println!("{line}");
    tokio::select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
        _ = hup.recv() => {}
    }
    Ok(())
}

/// The fleet's clusters; theme and keys as the person has them.
fn demo_config(own: &Config, fleet: &sim::Fleet) -> String {
    format!("theme = {:?}\nkeymap = {:?}\n{}", own.theme.value, own.keymap.value, clusters_config(fleet))
}

/// The fleet's tiers and rooms, how old its backups may be, where each etcd is and which share a Prometheus: nothing in a cluster tells.
fn clusters_config(fleet: &sim::Fleet) -> String {
    let mut text = String::new();
    for name in fleet.names() {
        let tier = if name.starts_with("prod") {
            "production"
        } else if name == "staging" {
            "staging"
        } else {
            "development"
        };
        let group =
            name.split('-').nth(1).filter(|_| name.starts_with("prod")).map_or_else(|| "lab".to_owned(), |region| format!("room-{region}"));
        text.push_str(&format!("[clusters.\"{name}\"]\ntier = \"{tier}\"\ngroup = \"{group}\"\n"));
        if tier == "production" {
            text.push_str("velero.rpo = \"26h\"\n");
        }
        let members = fleet.etcd(name);
        if !members.is_empty() {
            text.push_str(&format!("etcd.endpoints = {members:?}\n"));
        }
        // The others have one of their own.
        if tier == "production" {
            text.push_str(&format!("prometheus.url = {:?}\nprometheus.cluster_label = \"cluster\"\n", fleet.prometheus()));
        }
    }
    text
}
