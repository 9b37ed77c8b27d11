//! `qd config`, `keys`, `themes`, `completions`, `man`: what needs no cluster.

use super::act::command::whole;
use super::args::{ConfigCommand, Global, Output};
use super::fail::{Code, Failure};
use super::print;
use crate::config::{Config, config_dir};
use crate::keymap::{Chord, Keymap, Mode};
use crate::theme::{Role, Theme};
use serde_json::json;
use std::fmt::Write as _;

/// The contexts of the kubeconfig; none when there is no kubeconfig.
fn contexts(global: &Global, config: &Config) -> Vec<String> {
    super::read::select(global, config).map(|t| t.into_iter().flat_map(|t| t.contexts).collect()).unwrap_or_default()
}

pub fn config(global: &Global, what: &ConfigCommand) -> Result<Code, Failure> {
    let mut loaded = Config::load(global.config.as_deref());
    let contexts = contexts(global, &loaded.config);
    match what {
        ConfigCommand::Show => {
            print::text(&loaded.config.show(&contexts))?;
            for d in &loaded.diags {
                eprintln!("{d}");
            }
            Ok(Code::Done)
        }
        ConfigCommand::Check => {
            // The names that other rooms know are checked by these rooms.
            let (keymap, theme) = (&loaded.config.keymap, &loaded.config.theme);
            let (map, mistakes) = Keymap::load(&keymap.value, config_dir().as_deref());
            let mut more: Vec<_> = mistakes.into_iter().map(|d| keymap.place(d)).collect();
            more.extend(Theme::load(&theme.value, config_dir().as_deref()).1.into_iter().map(|d| theme.place(d)));
            let app = crate::app::App::new(&loaded.config, map, Vec::new());
            more.extend(app.diags);
            more.extend(crate::runtime::thresholds(&loaded.config).1);
            // Those of the file itself are in what was loaded.
            more.extend(crate::config::runbooks(&loaded.config).1);
            loaded.diags.extend(more);
            print::text(&loaded.check(&contexts))?;
            Ok(if loaded.has_errors() { Code::Usage } else { Code::Done })
        }
    }
}

pub fn keys(global: &Global, name: Option<&str>) -> Result<Code, Failure> {
    let config = Config::load(global.config.as_deref()).config;
    let (keymap, diags) = Keymap::load(name.unwrap_or(&config.keymap.value), config_dir().as_deref());
    for d in &diags {
        eprintln!("{d}");
    }
    if name.is_some() && diags.iter().any(crate::diag::Diag::is_error) {
        return Err(
            Failure::usage("the keymap has mistakes").hint(format!("keymaps: {}", Keymap::names(config_dir().as_deref()).join(", ")))
        );
    }
    let (mut items, mut text) = (Vec::new(), String::new());
    for mode in Mode::ALL {
        let bindings = keymap.bindings(&[*mode]);
        if bindings.is_empty() {
            continue;
        }
        if global.output != Output::Json {
            let _ = writeln!(text, "\n[{}] {}", mode.name(), mode.doc());
        }
        for b in bindings {
            let chords = Chord::print_sequence(&b.chords);
            if global.output == Output::Json {
                items.push(json!({"table": mode.name(), "on": chords, "run": b.command.to_string(), "desc": b.desc, "source": format!("{}:{}", b.source.0, b.source.1)}));
            } else {
                let _ = writeln!(text, "  {chords:<16} {:<24} {}", b.command.to_string(), b.desc);
            }
        }
    }
    if global.output == Output::Json {
        let _ = writeln!(text, "{}", json!({"keymap": keymap.name(), "items": items}));
    }
    print::text(&text)?;
    Ok(Code::Done)
}

pub fn themes(global: &Global, name: Option<&str>) -> Result<Code, Failure> {
    let dir = config_dir();
    let names = Theme::names(dir.as_deref());
    let Some(name) = name else {
        let text = match global.output {
            Output::Json => format!("{}\n", json!({"items": names.iter().map(|n| json!({"name": n})).collect::<Vec<_>>()})),
            _ => names.iter().map(|n| format!("{n}\n")).collect(),
        };
        print::text(&text)?;
        return Ok(Code::Done);
    };
    let (theme, diags) = Theme::load(name, dir.as_deref());
    for d in &diags {
        eprintln!("{d}");
    }
    if diags.iter().any(crate::diag::Diag::is_error) {
        return Err(Failure::usage(format!("the theme {name} has mistakes")).hint(format!("themes: {}", names.join(", "))));
    }
    let line = |role: &Role| format!("{:<20} {:?}  {}\n", role.name(), theme.role(*role), role.doc());
    print::text(&Role::ALL.iter().map(line).collect::<String>())?;
    Ok(Code::Done)
}

pub fn completions(shell: clap_complete::Shell) -> Result<Code, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut whole(), "qd", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if shell == clap_complete::Shell::Fish {
        script = super::suggest::for_fish(&whole(), &script);
    }
    print::text(&script)?;
    Ok(Code::Done)
}

pub fn man() -> Result<Code, Failure> {
    clap_mangen::Man::new(whole()).render(&mut std::io::stdout())?;
    Ok(Code::Done)
}
