use super::*;
use crate::command::VerbId;

const PODS: &[Mode] = &[Mode::Pods, Mode::Table, Mode::Object, Mode::Global];
const NODES: &[Mode] = &[Mode::Nodes, Mode::Table, Mode::Object, Mode::Global];
const WORKLOADS: &[Mode] = &[Mode::Workloads, Mode::Table, Mode::Object, Mode::Global];
const DETAIL: &[Mode] = &[Mode::Detail, Mode::Pods, Mode::Text, Mode::Object, Mode::Global];
const LOGS: &[Mode] = &[Mode::Logs, Mode::Text, Mode::Global];
const COLUMNS: &[Mode] = &[Mode::Columns, Mode::Dialog];
const PALETTE: &[Mode] = &[Mode::Palette, Mode::Input];
const STACKS: &[&[Mode]] = &[PODS, NODES, WORKLOADS, DETAIL, LOGS, COLUMNS, PALETTE];

fn embedded(name: &str) -> Keymap {
    let (keymap, problems) = Keymap::load(name, None);
    assert!(problems.is_empty(), "{name}: {problems:?}");
    keymap
}

/// What typing `keys` comes to in the end; nothing may be typed after a command.
fn typed(keymap: &Keymap, modes: &[Mode], keys: &str) -> String {
    let mut pending = Pending::default();
    let mut outcome = String::new();
    for chord in Chord::parse_sequence(keys).unwrap() {
        assert!(outcome.is_empty() || outcome == "...", "{keys}: {outcome} before the end");
        outcome = match keymap.feed(&mut pending, modes, chord) {
            Match::Command(command) => command.to_string(),
            Match::Pending(_) => "...".into(),
            Match::None => "none".into(),
        };
    }
    assert_eq!(pending.is_empty(), outcome != "...", "{keys}");
    outcome
}

/// A configuration directory with these files.
fn dir(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("keymaps")).unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

/// Problems with the directory's name taken out, so that they can be compared.
fn problems(dir: &tempfile::TempDir, name: &str) -> Vec<String> {
    let root = format!("{}/", dir.path().display());
    Keymap::load(name, Some(dir.path())).1.iter().map(|problem| problem.to_string().replace(&root, "")).collect()
}

#[test]
#[rustfmt::skip]
fn the_default_keys_are_the_documented_ones() {
    let keymap = embedded("default");
    for (keys, command) in [
        ("j", "down"), ("k", "up"), ("Down", "down"), ("Up", "up"), ("Left", "left"), ("Right", "right"),
        ("PgUp", "page-up"), ("PgDn", "page-down"), ("g g", "top"), ("G", "bottom"),
        ("Tab", "next-tile"), ("S-Tab", "prev-tile"), ("1", "pane clusters"), ("9", "pane deployments"), ("0", "all"),
        ("z", "zoom"), ("`", "pane cockpit"), ("Esc", "back"), ("q", "back"),
        ("[", "history-back"), ("]", "history-forward"), ("-", "last-view"), ("ctrl-c ctrl-c", "quit"),
        ("/", "filter"), (":", "palette"), ("?", "help"), ("ctrl-p", "find"), ("!", "faults-only"),
        ("n", "next-match"), ("N", "prev-match"), ("Enter", "open"), ("d", "open"),
        ("g n", "go node"), ("g o", "go owner"), ("g p", "go pods"), ("g h", "go hpa"), ("g b", "go pdb"),
        ("g e", "go events"), ("g a", "go alerts"), ("g c", "go cluster"),
        ("y", "yaml"), ("l", "logs"), ("p", "logs-previous"), ("x", "unmask"),
        ("S", "sort"), ("w", "wide"), ("v", "views"),
        ("Space", "mark"), ("V", "mark-range"), ("*", "mark-all"), ("\\", "mark-clear"),
        ("P", "freeze"), (".", "seen"), ("M", "mouse"),
        ("ctrl-l", "redraw"), ("ctrl-r", "reconnect"), ("ctrl-z", "suspend"), ("J", "jobs"), ("L", "audit"),
        ("a", "acts"), ("F", "fix"), ("c", "copy"), ("R", "rollback"), ("i", "set-image"), ("e", "edit"), ("t", "trigger"),
        ("m", "silence"), ("b", "backup"), ("ctrl-d", "delete"), ("ctrl-k", "evict"), ("U", "undo"), ("s", "shell"),
        ("r", "none"), ("u", "none"),
    ] {
        assert_eq!(typed(&keymap, PODS, keys), command, "{keys}");
    }
    for (modes, keys, command) in [
        (NODES, "r", "drain"), (NODES, "c", "cordon"), (NODES, "u", "uncordon"),
        (WORKLOADS, "s", "scale"), (WORKLOADS, "r", "restart"), (WORKLOADS, "c", "copy"),
        (DETAIL, "Enter", "fold"), (DETAIL, "s", "shell"), (DETAIL, "/", "search"), (DETAIL, "x", "unmask"),
        (LOGS, "p", "log-previous"), (LOGS, "ctrl-d", "none"), (LOGS, "Esc", "back"),
        (PALETTE, "j", "none"), (PALETTE, "ctrl-c ctrl-c", "quit"), (COLUMNS, "Space", "mark"), (COLUMNS, "q", "back"),
    ] {
        assert_eq!(typed(&keymap, modes, keys), command, "{modes:?} {keys}");
    }
}

#[test]
#[rustfmt::skip]
fn other_fingers() {
    let vim = embedded("vim");
    for (keys, command) in [
        ("h", "left"), ("l", "right"), ("g l", "logs"), ("g n", "go node"), ("g g", "top"), ("ctrl-d", "half-page-down"),
        ("ctrl-u", "half-page-up"), ("D", "delete"), ("ctrl-w w", "next-tile"), ("Z Z", "quit"), ("z", "zoom"), ("u", "undo"),
    ] {
        assert_eq!(typed(&vim, PODS, keys), command, "vim {keys}");
    }
    assert_eq!(typed(&vim, DETAIL, "z a"), "fold");
    assert_eq!(typed(&vim, NODES, "u"), "uncordon");
    let emacs = embedded("emacs");
    for (keys, command) in [
        ("C-n", "down"), ("C-p", "up"), ("M-x", "palette"), ("C-g", "back"), ("C-x C-c", "quit"), ("C-x C-f", "find"),
        ("C-/", "undo"), ("j", "down"),
    ] {
        assert_eq!(typed(&emacs, PODS, keys), command, "emacs {keys}");
    }
    assert_eq!(typed(&emacs, PALETTE, "C-g"), "back");
    let k9s = embedded("k9s");
    for (keys, command) in [
        ("0", "all"), ("ctrl-d", "delete"), ("s", "shell"), ("d", "open"), ("y", "yaml"), ("l", "logs"), ("p", "logs-previous"),
        ("/", "filter"), ("ctrl-z", "faults-only"), ("shift-n", "sort name"), ("shift-a", "sort age"), ("g", "top"),
        ("shift-r", "sort ready"), ("shift-m", "sort mem"), ("ctrl-g n", "go node"), ("ctrl-\\", "mark-clear"),
    ] {
        assert_eq!(typed(&k9s, PODS, keys), command, "k9s {keys}");
    }
    assert_eq!(typed(&k9s, LOGS, "N"), "prev-match");
}

#[test]
fn embedded_keymaps_leave_the_terminals_keys_alone_and_never_trap_or_quit_by_one_key() {
    let reserved = ["ctrl-a", "ctrl-b", "ctrl-s", "ctrl-q", "~"].map(|key| Chord::parse(key).unwrap());
    for (name, _) in EMBEDDED {
        let keymap = embedded(name);
        for binding in keymap.tables.keys().flat_map(|mode| keymap.bound(*mode)) {
            let keys = Chord::print_sequence(&binding.chords);
            assert!(!binding.chords.iter().any(|chord| reserved.contains(chord)), "{name}: {keys}");
            let quits = matches!(binding.command, Command::Quit | Command::ForceQuit);
            assert!(!quits || binding.chords.len() > 1, "{name}: {keys} quits");
            assert!(!binding.desc.is_empty(), "{name}: {keys}");
        }
        for modes in STACKS {
            assert_eq!(typed(&keymap, modes, "ctrl-c ctrl-c"), "quit", "{name} {modes:?}");
            assert_eq!(typed(&keymap, modes, "Esc"), "back", "{name} {modes:?}");
        }
        let object = [Mode::Object, Mode::Global];
        for command in [Command::Palette, Command::Help, Command::Verb(VerbId::Delete, None), Command::Logs] {
            assert!(keymap.keys_for(&object, &command).is_some(), "{name}: no key for {command}");
        }
    }
}

#[test]
fn pending_chords_show_what_may_follow_from_every_mode() {
    let keymap = embedded("default");
    let mut pending = Pending::default();
    let g = Chord::parse("g").unwrap();
    let Match::Pending(hints) = keymap.feed(&mut pending, PODS, g) else { panic!("g is a prefix") };
    let shown: Vec<String> = hints.iter().map(|(chord, _)| chord.to_string()).collect();
    assert_eq!(shown, ["n", "o", "p", "h", "b", "e", "a", "c", "g"]);
    assert_eq!(hints[0].1, "The node it runs on");
    assert_eq!(pending.chords(), [g]);
    let Match::Pending(hints) = keymap.feed(&mut Pending::default(), LOGS, g) else { panic!("g is a prefix") };
    assert_eq!(hints.len(), 1);
    // An unknown chord drops the sequence, and is not taken for itself: x after g unmasks nothing.
    assert_eq!(keymap.feed(&mut pending, PODS, Chord::parse("x").unwrap()), Match::None);
    assert!(pending.is_empty());
}

#[test]
fn bindings_are_those_that_can_be_typed() {
    let keymap = embedded("default");
    let node = keymap.bindings(NODES);
    let by = |keys: &str| -> Vec<&str> {
        let chords = Chord::parse_sequence(keys).unwrap();
        node.iter().filter(|binding| binding.chords == chords).map(|binding| binding.command.name()).collect()
    };
    assert_eq!(by("c"), ["cordon"], "copy is hidden by cordon");
    assert_eq!(by("g n"), ["go"]);
    assert_eq!(node[0].mode, Mode::Nodes);
    assert_eq!(node[0].source.0, "default");
    assert_eq!(keymap.keys_for(NODES, &Command::Copy), None);
    assert_eq!(keymap.keys_for(PODS, &Command::Copy).as_deref(), Some("c"));
    assert_eq!(keymap.keys_for(PODS, &Command::Quit).as_deref(), Some("ctrl-c ctrl-c"));
    // A whole key in a specific mode hides a sequence of a wider one.
    let dir = dir(&[("keys.toml", "[pods]\nkeys = [{ on = \"g\", run = \"bottom\" }]")]);
    let (keymap, found) = Keymap::load("default", Some(dir.path()));
    assert_eq!(found, []);
    assert_eq!(typed(&keymap, PODS, "g"), "bottom");
    assert_eq!(keymap.keys_for(PODS, &Command::Top).as_deref(), Some("Home"));
}

#[test]
fn the_users_layer_overrides_and_removes() {
    let keys = r#"
[global]
keys = [
  { on = "q", run = "quit", desc = "Out" },
  { on = "z", run = "unbind" },
  { on = "P", run = "" },
]
[pods]
keys = [
  { on = "d", run = "" },
  { on = "s", run = "unbind" },
]
[table]
keys = [{ on = "s", run = "sort" }]
"#;
    let dir = dir(&[("keys.toml", keys)]);
    let (keymap, found) = Keymap::load("default", Some(dir.path()));
    assert_eq!(found, []);
    assert_eq!(typed(&keymap, PODS, "q"), "quit");
    assert_eq!(typed(&keymap, PODS, "z"), "none");
    assert_eq!(typed(&keymap, PODS, "P"), "none");
    assert_eq!(typed(&keymap, PODS, "d"), "none");
    assert_eq!(typed(&keymap, NODES, "d"), "open");
    assert_eq!(typed(&keymap, PODS, "s"), "sort");
    let out = keymap.bindings(PODS).into_iter().find(|binding| binding.desc == "Out").unwrap();
    assert!(out.source.0.ends_with("keys.toml"));
    assert_eq!(out.source.1, 4);
}

#[test]
fn a_users_keymap_inherits_and_may_carry_an_embedded_name() {
    let dir = dir(&[
        ("keymaps/default.toml", "inherits = \"default\"\n[global]\nkeys = [{ on = \"z\", run = \"quit\" }]"),
        ("keymaps/mine.toml", "inherits = \"default\"\n[global]\nkeys = [{ on = \"Z\", run = \"zoom\" }]"),
        ("keymaps/a.toml", "inherits = \"b\""),
        ("keymaps/b.toml", "\ninherits = \"a\""),
    ]);
    let (keymap, found) = Keymap::load("mine", Some(dir.path()));
    assert_eq!(found, []);
    assert_eq!((typed(&keymap, PODS, "z"), typed(&keymap, PODS, "Z")), ("quit".into(), "zoom".into()));
    assert_eq!(Keymap::names(Some(dir.path())), ["default", "vim", "emacs", "k9s", "a", "b", "mine"]);
    assert_eq!(problems(&dir, "a"), ["keymaps/b.toml:2:12: keymap `a` inherits itself"]);
    assert_eq!(typed(&Keymap::load("a", Some(dir.path())).0, PODS, "j"), "down");
}

#[test]
fn mistakes_are_placed_and_the_rest_counts() {
    let keys = r#"[global]
keys = [
  { on = "X", run = "zom" },
  { on = "ctrl-Spce", run = "zoom" },
  { on = "Y", run = "zoom" }, { on = "Y", run = "wide" },
  { on = "g", run = "top" },
  { on = "z x", run = "top" },
  { on = "H", rum = "top" },
  { on = "H" },
  { on = 3, run = "top" },
  { on = "D", run = "unbind" },
  { on = "E", run = "faults" },
]
[pod]
keys = []
[nodes]
key = []
"#;
    let default_line = |text: &str| EMBEDDED[0].1.lines().position(|line| line.contains(text)).unwrap() + 1;
    let dir = dir(&[("keys.toml", keys)]);
    assert_eq!(
        problems(&dir, "default"),
        [
            "keys.toml:3:21: unknown command `zom`\n  hint: did you mean `zoom`?",
            "keys.toml:4:10: unknown key `Spce`; did you mean `Space`?",
            "keys.toml:8:15: unknown key `rum`; did you mean `run`?",
            "keys.toml:9:3: a key needs both on and run",
            "keys.toml:10:10: on takes keys as text, or a list of such",
            "keys.toml:17:1: unknown key `key`; did you mean `keys`?",
            "keys.toml:14:2: unknown table `pod`; did you mean `pods`?",
            "keys.toml:11:10: nothing to unbind: [global] inherits no `D`",
            "keys.toml:5:38: `Y` is already bound in [global], on line 5",
            &format!(
                "keys.toml:6:10: `g` would hide `g g` in [global]; `g g` is on line {} of default\n  \
                 hint: take it away first: {{ on = \"g g\", run = \"unbind\" }}",
                default_line("run = \"top\"")
            ),
            &format!(
                "keys.toml:7:10: `z` would hide `z x` in [global]; `z` is on line {} of default\n  \
                 hint: take it away first: {{ on = \"z\", run = \"unbind\" }}",
                default_line("run = \"zoom\"")
            ),
        ]
    );
    let (keymap, _) = Keymap::load("default", Some(dir.path()));
    assert_eq!(typed(&keymap, PODS, "E"), "faults-only");
    assert_eq!(typed(&keymap, PODS, "Y"), "zoom");
    assert_eq!(problems(&dir, "vmi")[0], "unknown keymap `vmi`; did you mean `vim`?");
    std::fs::write(dir.path().join("keys.toml"), "inherits = \"vim\"").unwrap();
    let inherits = "keys.toml:1:12: keys.toml lies over the keymap that is chosen and inherits nothing\n  \
                    hint: choose it in config.toml: keymap = \"vim\"";
    assert_eq!(problems(&dir, "default"), [inherits]);
    std::fs::write(dir.path().join("keys.toml"), "[global]\nkeys = [{ on = \"j }]").unwrap();
    assert!(problems(&dir, "default")[0].starts_with("keys.toml:2:"), "{:?}", problems(&dir, "default"));
}
