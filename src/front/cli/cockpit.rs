//! `qd` and `qd demo`: the cockpit.

use super::args::{Color, Demo, Global};
use super::fail::{Code, Failure};
use super::read::select;
use crate::app::{App, Event};
use crate::config::{Config, config_dir};
use crate::front::tui::terminal::Terminal;
use crate::keymap::Keymap;
use crate::model::Kind;
use crate::runtime::{self, Fleet, SESSION, members};
use crate::state::StateDir;
use std::io::IsTerminal as _;

pub fn run(global: &Global, screen: Option<&str>, greeting: Option<String>) -> Result<Code, Failure> {
    if let Some(screen) = screen
        && screen != "cockpit"
    {
        crate::table::Subject::parse(screen).map_err(|e| Failure::usage(e.to_string()).hint("screens: cockpit, clusters, nodes, pods, workloads, hpa, pdb, events, namespaces"))?;
    }
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(Failure::usage("the cockpit needs a terminal").hint("qd snapshot draws one screen; qd get prints rows"));
    }
    let loaded = Config::load(global.config.as_deref());
    let (config, mut diags) = (loaded.config, loaded.diags);
    let state = StateDir::open().ok();
    super::log(global, config.log_level.value, state.as_ref())?;
    let targets = select(global, &config)?;
    diags.extend(config.unmatched(&targets.iter().map(|t| t.name.clone()).collect::<Vec<_>>()));
    let (keymap, mistakes) = Keymap::load(&config.keymap.value, config_dir().as_deref());
    diags.extend(mistakes);
    let runtime = super::runtime()?;
    runtime.block_on(async {
        let (fleet, mistakes) = Fleet::open(members(targets, &config), &Kind::ALL, &config, global.read_only, &global.namespace);
        diags.extend(mistakes);
        let saved = state.as_ref().map(|s| s.session(SESSION.0, SESSION.1).load());
        let (session, set_aside): (Option<crate::app::SessionState>, _) = saved.unwrap_or((None, None));
        diags.extend(set_aside);
        let mut app = App::new(&config, keymap, diags);
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
        let (mut terminal, mistakes) = Terminal::open(&app.theme, app.mouse, crashes, color)?;
        app.diags.extend(mistakes);
        app.restore(&fleet.world(), session.unwrap_or_default(), screen);
        app.size = terminal.size();
        if let Some(text) = greeting {
            app.update(&fleet.world(), Event::Notice(crate::app::Notice::info(text)));
        }
        let result = runtime::run(fleet, app, &mut terminal, state.as_ref()).await;
        terminal.close().await;
        result
    })?;
    // Watches are open: nothing waits for them.
    runtime.shutdown_background();
    Ok(Code::Done)
}

pub fn demo(global: &Global, screen: Option<&str>, demo: &Demo) -> Result<Code, Failure> {
    let _ = (global, screen, demo);
    Err(Failure::failed("demo", "the simulated fleet is not in this build"))
}
