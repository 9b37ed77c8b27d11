//! The pages under `docs/` that come from code: a page that is stale fails. `QD_UPDATE_DOCS=1 cargo test --test docs` writes them.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "docs/peers.rs"]
mod peers;

use quarterdeck::command::{COMMANDS, Category};
use quarterdeck::front::cli::act::command::whole;
use quarterdeck::inspect::{RULES, explanations, judges_manifests, kept};
use quarterdeck::keymap::{Chord, EMBEDDED, Keymap, Mode};
use quarterdeck::model::verb::{Param, ParamKind};
use quarterdeck::model::{Kind, UndoKind, VERBS};
use quarterdeck::table::{Show, Subject};
use std::fmt::Write as _;

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn commands() -> String {
    let mut out = "# Commands\n\nWhat the palette (`:`) and a keymap's `run` take.\n".to_owned();
    for category in Category::ALL {
        let _ = writeln!(out, "\n## {}\n\n| Command | Also | Does |\n|---|---|---|", category.title());
        for c in COMMANDS.iter().filter(|c| c.category == *category) {
            let _ = writeln!(out, "| `{}` | {} | {} |", cell(&c.usage()), cell(&c.aliases.join(", ")), cell(c.doc));
        }
    }
    out
}

fn keys() -> String {
    let mut out =
        "# Keys\n\nThe keymaps that come with qd. `keys.toml` in the configuration directory lies over the chosen one.\n".to_owned();
    for (name, _) in EMBEDDED {
        let (keymap, diags) = Keymap::load(name, None);
        assert!(diags.is_empty(), "{diags:?}");
        let _ = writeln!(out, "\n## {name}");
        for mode in Mode::ALL {
            let bindings = keymap.bindings(&[*mode]);
            if bindings.is_empty() {
                continue;
            }
            let _ = writeln!(out, "\n`[{}]` {}\n\n| Keys | Does |\n|---|---|", mode.name(), cell(mode.doc()));
            for b in bindings {
                let _ = writeln!(out, "| `{}` | {} |", cell(&Chord::print_sequence(&b.chords)), cell(&b.desc));
            }
        }
    }
    out
}

fn fields() -> String {
    let mut out = "# Fields\n\nThe columns of panes, the fields of `-o json`, the names that filters take.\n".to_owned();
    for subject in Subject::ALL {
        let _ = writeln!(out, "\n## {}\n\n| Field | Title | Shown | Is |\n|---|---|---|---|", subject.name());
        for c in subject.columns() {
            let shown = match c.show {
                Show::Always => "always",
                Show::Wide => "wide",
                Show::Hidden => "chooser, JSON",
            };
            let _ = writeln!(out, "| `{}` | {} | {shown} | {} |", c.id, cell(c.title), cell(c.doc));
        }
    }
    out
}

fn rules() -> String {
    let mut out = "# Rules\n\nWhat BURNING and the findings pane are made from. Tier 1 wakes people, or will; 2 completes the picture; 3 is for depth. Rules \
that burn are in BURNING too; others say how things are made.\n"
        .to_owned();
    for r in RULES {
        let burns = if r.burns { ", burns" } else { "" };
        let _ = writeln!(
            out,
            "\n## {}\n\n{} ({}, tier {}, up to {}{burns}): {}\n\n{}\n",
            r.id,
            r.scope,
            r.area,
            r.tier,
            r.severity.word(),
            r.summary,
            r.why
        );
        for need in r.needs {
            let _ = writeln!(out, "- Needs {}", need.words());
        }
        for t in r.thresholds {
            let _ = writeln!(out, "- `thresholds.{}.{} = \"{}\"` {}", r.id, t.name, t.default, t.doc);
        }
        if judges_manifests(r, false) {
            out.push_str("- Judges manifests too (`qd inspect --file`)\n");
        }
        if !r.peers.is_empty() {
            let _ = writeln!(out, "- As {}", r.peers.join(", "));
        }
        for link in r.links {
            let _ = writeln!(out, "- Read {link}");
        }
    }
    out.push_str("\n## What explains what\n\nFindings and firing alerts that one thing explains are one incident: in BURNING, in the findings pane, in reports. \
Besides what owns what (pods and Jobs fold into their workload, nodes of a lost zone into the zone, what is found of etcd into one, alerts into what \
burns at the object that they name):\n\n| A finding of | explains findings of | found |\n|---|---|---|\n");
    for (by, of, tie) in explanations() {
        let _ = writeln!(out, "| {} | {} | {tie} |", by.join(", "), of.join(", "));
    }
    out.push_str("\n## Fields\n\nWhat rules of your own ([own-rules.md](own-rules.md)) may name of a cluster's objects; manifests are there as a whole. `[]` stands for a member of a list, `*` for keys of one's own.\n\nOf every kind: ");
    let of_all = kept(Kind::Event);
    let _ = writeln!(out, "{}", of_all.iter().map(|f| format!("`{f}`")).collect::<Vec<_>>().join(", "));
    for kind in Kind::WATCHED {
        let own: Vec<String> = kept(kind).into_iter().filter(|f| !of_all.contains(f)).map(|f| format!("`{f}`")).collect();
        if !own.is_empty() {
            let _ = writeln!(out, "\n- {}: {}", kind.name(), own.join(", "));
        }
    }
    out.push_str(&peers::tables());
    out
}

fn settings() -> String {
    let mut out = "# Settings\n\n`config.toml` in the configuration directory, or `--config FILE`. Every key may be left out.\n".to_owned();
    for (table, keys) in quarterdeck::config::TABLES {
        let _ = writeln!(out, "\n## {}\n\n| Key | Is |\n|---|---|", if table.is_empty() { "(top)" } else { table });
        for key in *keys {
            let _ = writeln!(out, "| `{}` | {} |", key.name, cell(key.doc));
        }
    }
    out
}

fn cli() -> String {
    let mut out =
        "# The command line\n\nThe options of `qd` itself hold for every command; with each command stand those of its own.\n".to_owned();
    let mut root = whole().term_width(100);
    root.build();
    let mut all = vec![root];
    while let Some(mut command) = all.pop() {
        let (below, name) = (command.get_bin_name().is_some_and(|n| n.contains(' ')), command.get_bin_name().unwrap_or("qd").to_owned());
        if below {
            command = command.mut_args(|a| if a.is_global_set() { a.hide(true) } else { a });
        }
        let help = command.render_long_help().to_string();
        let _ = writeln!(out, "\n## {name}\n\n```text\n{help}```");
        let mut subs: Vec<_> = command.get_subcommands().filter(|s| s.get_name() != "help").cloned().collect();
        subs.reverse();
        all.extend(subs);
    }
    out
}

fn kind_of(p: &Param) -> &'static str {
    match p.kind {
        ParamKind::Flag => "flag",
        ParamKind::Count => "whole number",
        ParamKind::Replicas => "number, +n, -n, n%",
        ParamKind::Text => "text",
        ParamKind::Duration => "duration",
        ParamKind::Resources => "quantities",
        ParamKind::Pairs => "several",
        ParamKind::Selector => "label selector",
        ParamKind::Matchers => "matchers, several",
        ParamKind::Until => "duration, or until when",
        ParamKind::File => "file",
        ParamKind::OneOf(_) => "one of these",
    }
}

fn undo_of(kind: UndoKind) -> &'static str {
    match kind {
        UndoKind::Exact => "exact: the state before comes back as it was",
        UndoKind::Compensating => "compensating: something is done that makes up for it; what happened in between stays happened",
        UndoKind::None => "none: it cannot be taken back",
    }
}

fn actions() -> String {
    let mut out = "# Actions\n\nWhat qd can change: each is a command of the palette (`:`), a subcommand, and a step that a runbook may have (`qd run`), but for edit and apply.\n".to_owned();
    out.push_str("Every one is planned from what is there, checked by the cluster (access review, dry run), shown, confirmed, written to the audit log before the first request, and carried out as a job.\n\n");
    out.push_str("| Action | Does | On | Undo |\n|---|---|---|---|\n");
    for v in VERBS {
        let _ = writeln!(out, "| [{}](#{}) | {} | {} | {} |", v.name, v.name, cell(v.doc), cell(&v.on.words()), v.undo.word());
    }
    for v in VERBS {
        let _ = writeln!(out, "\n## {}\n\n{}.\n\n- On: {}", v.name, v.doc, v.on.words());
        let _ = writeln!(
            out,
            "- Palette: `:{}`{}",
            v.usage(),
            match v.aliases {
                [] => String::new(),
                all => format!(", also `{}`", all.join("`, `")),
            }
        );
        let _ = writeln!(out, "- Needs: {}", v.id.needs());
        let _ = writeln!(out, "- Undo: {}", undo_of(v.undo));
        if v.irreversible {
            out.push_str("- Asks for the cluster's name to be typed, also where no tier is set\n");
        }
        let _ = writeln!(out, "- Example: `qd {}`", v.example);
        if !v.params.is_empty() {
            out.push_str("\n| Parameter | Form | Is |\n|---|---|---|\n");
        }
        for p in v.params {
            let value = if p.value.is_empty() { String::new() } else { format!(" {}", p.value) };
            let must = if p.required { "; must be given" } else { "" };
            let _ = writeln!(out, "| `{}{}` | {} | {}{must} |", p.name, cell(&value), kind_of(p), cell(p.doc));
        }
    }
    out
}

#[test]
fn pages_are_what_the_code_says() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut stale = Vec::new();
    for (name, text) in [
        ("commands.md", commands()),
        ("keys.md", keys()),
        ("fields.md", fields()),
        ("rules.md", rules()),
        ("settings.md", settings()),
        ("cli.md", cli()),
        ("actions.md", actions()),
    ] {
        let path = dir.join(name);
        if std::fs::read_to_string(&path).unwrap_or_default() == text {
            continue;
        }
        if std::env::var_os("QD_UPDATE_DOCS").is_some() {
            std::fs::write(&path, text).unwrap();
        } else {
            stale.push(name);
        }
    }
    assert!(stale.is_empty(), "stale: {stale:?}; QD_UPDATE_DOCS=1 cargo test --test docs writes them");
}

/// The examples of the page on rules of one's own are rules, and their cases are as they say.
#[test]
fn the_examples_of_own_rules_hold() {
    use quarterdeck::config::{Config, parse_rules};
    use quarterdeck::inspect::{Rules, run_cases};
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/own-rules.md")).unwrap();
    let (mut config, mut diags) = (Config::default(), Vec::new());
    for block in page.split("```toml\n").skip(1).filter_map(|b| b.split("```").next()) {
        parse_rules(block, std::path::Path::new("own-rules.md"), &mut config.rules, &mut diags);
    }
    let (rules, more) = Rules::of(&config);
    diags.extend(more);
    assert_eq!(diags, []);
    let results = run_cases(&rules, &config.rules, 1_767_614_400);
    let wrong: Vec<_> = results.iter().filter(|r| r.wrong.is_some()).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(results.len() >= 8 && config.rules.iter().all(|r| r.cases.iter().any(|c| c.fires.value)));
}

/// A verb is a key, a palette entry and a subcommand; the last two are made from the register.
#[test]
fn every_verb_has_a_key_in_the_default_keymap() {
    let keymap = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/keymaps/default.toml")).unwrap();
    let bound = |name: &str| keymap.contains(&format!("run = \"{name}\""));
    let without: Vec<&str> = VERBS.iter().filter(|v| !bound(v.name) && !v.aliases.iter().any(|a| bound(a))).map(|v| v.name).collect();
    assert_eq!(without, Vec::<&str>::new());
}

/// A page that names the test behind each claim names tests that there are.
#[test]
fn the_tests_that_the_page_of_scheduled_inspection_names_exist() {
    fn sources(dir: &std::path::Path, text: &mut String) {
        for entry in std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
            if entry.is_dir() {
                sources(&entry, text);
            } else if entry.extension().is_some_and(|e| e == "rs") {
                text.push_str(&std::fs::read_to_string(&entry).unwrap());
            }
        }
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = String::new();
    ["src", "tests"].iter().for_each(|dir| sources(&root.join(dir), &mut all));
    let page = std::fs::read_to_string(root.join("docs/scheduled-inspection.md")).unwrap();
    let named: Vec<&str> =
        page.split('`').filter(|w| w.matches('_').count() >= 4 && w.chars().all(|c| c.is_ascii_lowercase() || c == '_')).collect();
    assert!(named.len() > 8, "{named:?}");
    let missing: Vec<&&str> = named.iter().filter(|n| !all.contains(&format!("fn {n}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
