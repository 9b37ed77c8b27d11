//! `qd inspect --file`: manifests, judged without a cluster.

use super::fail::Failure;
use crate::config::Config;
use crate::inspect::{Manifests, Policy, Thresholds};
use crate::model::Kind;
use crate::report::{Report, Wanted};
use crate::runtime::now;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Larger files are not read.
const MOST: u64 = 64 << 20;
/// What stands where a cluster's name does.
const NAME: &str = "files";

/// An object and where its document begins.
struct Found {
    file: String,
    line: usize,
    object: Value,
}

#[derive(Default)]
struct Read {
    found: Vec<Found>,
    /// What could not be read, with its place.
    wrong: Vec<String>,
}

/// What the rules find in manifests, and whether something could not be read.
pub fn judge(files: &[PathBuf], wanted: &Wanted, thresholds: Thresholds, config: &Config) -> Result<(Report, bool), Failure> {
    let mut read = Read::default();
    for path in files {
        for file in below(path)? {
            read.file(&file)?;
        }
    }
    let mut shelf = Manifests::new(NAME, thresholds, Policy::of(config), now());
    shelf.engine = shelf.engine.of_manifests();
    let (mut places, mut others) = (BTreeMap::new(), BTreeMap::<String, usize>::new());
    let mut judged = 0;
    for found in read.found {
        let text = |field: &str| found.object[field].as_str().unwrap_or_default().to_owned();
        let (version, named) = (text("apiVersion"), text("kind"));
        let Some(kind) = Kind::WATCHED.into_iter().find(|k| k.name() == named && k.api_version() == version) else {
            *others.entry(format!("{named} {version}").trim().to_owned()).or_default() += 1;
            continue;
        };
        let place = format!("{}:{}", found.file, found.line);
        match shelf.put(kind, found.object, true) {
            Ok(uid) => {
                judged += 1;
                if let Some((_, row)) = shelf.store.find(crate::model::ClusterId(0), kind, uid) {
                    let meta = row.meta();
                    places.insert((kind.name(), meta.namespace.to_string(), meta.name.to_string()), (found.file, found.line));
                }
            }
            Err(e) => read.wrong.push(format!("{place}: no {named}: {e}")),
        }
    }
    shelf.again();
    for wrong in &read.wrong {
        eprintln!("qd: {wrong}");
    }
    let mut report = Report::of(&shelf.store, &shelf.engine, wanted, now());
    for item in &mut report.items {
        let namespace = item.namespace.clone().unwrap_or_default();
        if let Some((file, line)) =
            places.iter().find(|((k, ns, n), _)| **k == *item.kind && *ns == namespace && *n == item.name).map(|(_, at)| at)
        {
            (item.file, item.line) = (Some(file.clone()), Some(*line));
        }
    }
    let named = others.iter().map(|(what, n)| format!("{n} {what}")).collect::<Vec<_>>().join(", ");
    let not = if named.is_empty() { String::new() } else { format!("; not judged: {named}") };
    let message = format!("{judged} object{} judged{not}", if judged == 1 { "" } else { "s" });
    eprintln!("qd: {NAME}: {message}");
    for cluster in &mut report.clusters {
        (cluster.state, cluster.message, cluster.age_s) = (NAME.to_owned(), Some(message.clone()), None);
    }
    Ok((report, !read.wrong.is_empty()))
}

/// A file itself, or the manifests below a directory; hidden ones are left out.
fn below(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if path.as_os_str() == "-" || !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let failed = |e: std::io::Error| Failure::usage(format!("{}: {e}", path.display()));
    let mut all: Vec<PathBuf> = std::fs::read_dir(path).map_err(failed)?.filter_map(|e| Some(e.ok()?.path())).collect();
    all.sort();
    let mut files = Vec::new();
    for one in all {
        let hidden = one.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        let manifest = one.extension().is_some_and(|e| ["yaml", "yml", "json"].iter().any(|known| e == *known));
        // A link may lead round in a ring.
        if hidden || one.is_symlink() && one.is_dir() {
            continue;
        }
        if one.is_dir() {
            files.extend(below(&one)?);
        } else if manifest {
            files.push(one);
        }
    }
    Ok(files)
}

impl Read {
    fn file(&mut self, path: &Path) -> Result<(), Failure> {
        let (mut bytes, named) = (Vec::new(), path.display().to_string());
        let failed = |e: std::io::Error| Failure::usage(format!("{named}: {e}"));
        let (name, size) = if path.as_os_str() == "-" {
            ("standard input".to_owned(), std::io::stdin().take(MOST).read_to_end(&mut bytes).map_err(failed)?)
        } else {
            let file = std::fs::File::open(path).map_err(failed)?;
            (named.clone(), file.take(MOST).read_to_end(&mut bytes).map_err(failed)?)
        };
        if size as u64 == MOST {
            return Err(Failure::usage(format!("{name}: larger than {} MiB", MOST >> 20)));
        }
        match String::from_utf8(bytes) {
            Ok(text) => self.text(&name, &text),
            Err(_) => self.wrong.push(format!("{name}: no text")),
        }
        Ok(())
    }

    /// The documents of a text, lists taken apart.
    fn text(&mut self, name: &str, text: &str) {
        let (mut document, mut from) = (String::new(), 1);
        for (n, line) in text.lines().enumerate() {
            if line == "---" || line.starts_with("--- ") {
                self.document(name, &document, from);
                document.clear();
                from = n + 2;
            } else {
                document.push_str(line);
                document.push('\n');
            }
        }
        self.document(name, &document, from);
    }

    fn document(&mut self, name: &str, text: &str, from: usize) {
        let blank = |l: &&str| l.trim().is_empty() || l.trim_start().starts_with('#');
        let line = from + text.lines().take_while(blank).count();
        if text.lines().all(|l| blank(&l)) {
            return;
        }
        // As many lines before it as there are in the file, so that a mistake has the file's line.
        let object: Value = match serde_saphyr::from_str(&format!("{}{text}", "\n".repeat(from - 1))) {
            Ok(object) => object,
            Err(e) => {
                let why = e.to_string();
                let at = why
                    .split("line ")
                    .nth(1)
                    .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
                    .unwrap_or(line);
                self.wrong.push(format!("{name}:{at}: no YAML: {}", why.lines().next().unwrap_or_default()));
                return;
            }
        };
        let items = match (object["kind"].as_str(), object["items"].as_array()) {
            (Some(kind), Some(items)) if kind.ends_with("List") => items.clone(),
            _ => vec![object],
        };
        for object in items {
            if object["kind"].is_string() && object["apiVersion"].is_string() {
                self.found.push(Found { file: name.to_owned(), line, object });
            } else {
                self.wrong.push(format!("{name}:{line}: no object of the API: it has no apiVersion or no kind"));
            }
        }
    }
}
