//! What the compiler does not check: which room may use which, and the shape of the files.
//!
//! The rooms and what each may touch are the table in the crate's documentation. Read as tokens, not as items: a path in a macro's
//! arguments counts as one in a `use`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test: helpers beside the test functions too")]

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const LONGEST: usize = 700;

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every Rust file under `src`, with its text.
fn files() -> Vec<(PathBuf, String)> {
    let (mut found, mut folders) = (Vec::new(), vec![src()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(src()).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// The table of rooms: what each may touch.
fn rooms(lib: &str) -> BTreeMap<String, BTreeSet<String>> {
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = lib.lines().filter_map(|l| l.strip_prefix("//! | `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').collect();
        assert_eq!(cells.len(), 4, "a row of the table of rooms has three cells: {row}");
        (cells[0].trim().trim_end_matches('`').to_owned(), quoted(cells[2]).into_iter().collect())
    })
    .collect()
}

/// A file's path inside the crate: its module, outermost first.
fn module(path: &Path) -> Vec<String> {
    let mut parts: Vec<String> = path.with_extension("").iter().map(|p| p.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|p| matches!(p.as_str(), "mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

fn ident(tree: Option<&TokenTree>) -> Option<String> {
    match tree {
        Some(TokenTree::Ident(i)) => Some(i.to_string()),
        _ => None,
    }
}

fn colons(trees: &[TokenTree], at: usize) -> bool {
    let colon = |n: usize| matches!(trees.get(n), Some(TokenTree::Punct(p)) if p.as_char() == ':');
    colon(at) && colon(at + 1)
}

/// What stands at the crate's root behind a path's end: one name, or those of a group.
fn roots(trees: &[TokenTree], at: usize, line: usize, found: &mut Vec<(usize, String)>) {
    match trees.get(at) {
        Some(TokenTree::Ident(i)) => found.push((line, i.to_string())),
        Some(TokenTree::Group(g)) => {
            let inner: Vec<TokenTree> = g.stream().into_iter().collect();
            let comma = |t: &TokenTree| matches!(t, TokenTree::Punct(p) if p.as_char() == ',');
            found.extend(inner.split(comma).filter_map(|part| ident(part.first())).map(|name| (line, name)));
        }
        _ => {}
    }
}

/// The names at the crate's root that these tokens use, with their lines: through `crate::` and through enough `super::`.
fn used(stream: TokenStream, depth: usize, found: &mut Vec<(usize, String)>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    for (at, tree) in trees.iter().enumerate() {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Ident(i) if i == "crate" && colons(&trees, at + 1) => roots(&trees, at + 3, line, found),
            TokenTree::Ident(i)
                if i == "super" && !(at >= 3 && colons(&trees, at - 2) && ident(trees.get(at - 3)).is_some_and(|i| i == "super")) =>
            {
                let (mut end, mut up) = (at, 0);
                while ident(trees.get(end)).is_some_and(|i| i == "super") && colons(&trees, end + 1) {
                    (end, up) = (end + 3, up + 1);
                }
                if up == depth {
                    roots(&trees, end, line, found);
                }
            }
            TokenTree::Group(g) => {
                let inline = g.delimiter() == Delimiter::Brace && at >= 2 && ident(trees.get(at - 2)).is_some_and(|i| i == "mod");
                used(g.stream(), depth + usize::from(inline), found);
            }
            _ => {}
        }
    }
}

fn tokens(path: &Path, text: &str) -> TokenStream {
    text.parse().unwrap_or_else(|e| panic!("src/{}: {e}", path.display()))
}

/// Whether these tokens have this sequence somewhere, such as `todo` and `!`.
fn has(stream: TokenStream, wanted: &[&str]) -> bool {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let texts: Vec<String> = trees.iter().map(|t| if matches!(t, TokenTree::Group(_)) { String::new() } else { t.to_string() }).collect();
    texts.windows(wanted.len()).any(|w| w == wanted)
        || trees.into_iter().any(|t| matches!(t, TokenTree::Group(g) if has(g.stream(), wanted)))
}

/// Whether a test is switched off.
fn ignored(stream: TokenStream) -> bool {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let attribute = |pair: &[TokenTree]| match pair {
        [TokenTree::Punct(p), TokenTree::Group(g)] if p.as_char() == '#' => {
            ident(g.stream().into_iter().next().as_ref()).is_some_and(|name| name == "ignore")
        }
        _ => false,
    };
    trees.windows(2).any(attribute) || trees.into_iter().any(|t| matches!(t, TokenTree::Group(g) if ignored(g.stream())))
}

#[test]
fn rooms_touch_what_the_table_allows() {
    let files = files();
    let (_, lib) = files.iter().find(|(p, _)| p == Path::new("lib.rs")).unwrap();
    let rooms = rooms(lib);
    let modules: BTreeSet<String> = files.iter().filter_map(|(p, _)| module(p).first().cloned()).collect();
    assert_eq!(rooms.keys().cloned().collect::<BTreeSet<_>>(), modules, "the table of rooms in src/lib.rs and the modules there are");
    let mut wrong = Vec::new();
    for (room, may) in &rooms {
        wrong.extend(
            may.iter().filter(|m| !rooms.contains_key(*m)).map(|m| format!("src/lib.rs: `{room}` may touch `{m}`, which is no room")),
        );
    }
    for (path, text) in &files {
        let module = module(path);
        let Some(room) = module.first() else { continue };
        let mut found = Vec::new();
        used(tokens(path, text), module.len(), &mut found);
        for (line, name) in found {
            if rooms.contains_key(&name) && name != *room && !rooms[room].contains(&name) {
                wrong.push(format!("src/{}:{line}: `{room}` may not touch `{name}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Nothing but the action layer changes a cluster: who may name the writing client, and who may say that an intent was written down.
#[test]
fn changes_pass_through_one_door() {
    let allowed = |path: &Path, doors: &[&str]| doors.iter().any(|d| path.starts_with(d));
    let mut wrong = Vec::new();
    for (path, text) in &files() {
        for (name, doors) in [
            ("WriteClient", ["client", "action", "runtime/fleet.rs"].as_slice()),
            ("ServiceWriter", ["client"].as_slice()),
            ("EtcdWriter", ["client", "action/execute"].as_slice()),
            ("EtcdPermit", ["client", "action", "runtime/fleet.rs"].as_slice()),
            ("Receipt", ["client", "action/execute.rs"].as_slice()),
            ("Licence", ["client", "runtime/fleet.rs"].as_slice()),
        ] {
            if has(tokens(path, text), &[name]) && !allowed(path, doors) {
                wrong.push(format!("src/{}: `{name}` is not for this room", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `a` before `b` when `b` may touch `a`, whatever the order of the table: no room may reach itself.
#[test]
fn rooms_have_no_circle() {
    let rooms = rooms(&std::fs::read_to_string(src().join("lib.rs")).unwrap());
    let mut left = rooms.clone();
    loop {
        let done: Vec<String> =
            left.iter().filter(|(_, may)| may.iter().all(|m| !left.contains_key(m))).map(|(room, _)| room.clone()).collect();
        if done.is_empty() {
            break;
        }
        done.iter().for_each(|room| drop(left.remove(room)));
    }
    assert!(left.is_empty(), "rooms that touch each other in a circle: {:?}", left.keys());
}

#[test]
fn files_say_what_they_are_and_stay_short() {
    let mut wrong = Vec::new();
    for (path, text) in files() {
        let name = format!("src/{}", path.display());
        let lines = text.lines().count();
        if lines > LONGEST {
            wrong.push(format!("{name}: {lines} lines, {LONGEST} at most"));
        }
        // A module's tests in a file of their own are said by the module.
        let tests = path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests"));
        if !tests && !text.starts_with("//!") {
            wrong.push(format!("{name}: does not begin with //!"));
        }
        let stream = tokens(&path, &text);
        for (wanted, what) in [(["todo", "!"], "todo!"), (["unimplemented", "!"], "unimplemented!")] {
            if has(stream.clone(), &wanted) {
                wrong.push(format!("{name}: {what}"));
            }
        }
        if ignored(stream) {
            wrong.push(format!("{name}: #[ignore]"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The reader of paths, on what it must see and what it must not.
#[test]
fn paths_are_found_wherever_they_stand() {
    let source = r#"
        use crate::{client::{self, Target}, model::Kind};
        use super::super::store;
        use super::near;
        mod tests { use super::super::super::view; fn f() { println!("{}", crate::theme::X); let s = "crate::keymap"; } }
        macro_rules! m { () => { $crate::diag::unknown() } }
        // crate::sim
    "#;
    let mut found = Vec::new();
    used(source.parse().unwrap(), 2, &mut found);
    let names: Vec<&str> = found.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["client", "model", "store", "view", "theme", "diag"]);
}
