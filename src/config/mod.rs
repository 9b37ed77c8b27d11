//! The settings: one TOML file, read so that every mistake is reported at once and none is fatal.
//!
//! Owns where the file is, which keys there are, and what holds for one cluster when several tables match its context.
//! Names that another room knows (themes, keymaps, panes, columns, rules, verbs) are kept as [`Setting`]s with their
//! place; that room resolves them, with [`Setting::unknown`] for a bad one. What the user last did is `state`'s.
//!
//! Safety: a mistake in `read_only`, `tier` or a tier's guardrails makes the clusters that it concerns read-only, a
//! file that cannot be read or parsed all of them.

mod glob;
mod query;
mod rule;
mod runbook;
mod schema;
mod settings;
mod show;
mod suppress;
mod walk;
mod window;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeTable;

use crate::model::Query;
pub use crate::model::duration::{format_duration, parse_duration};
pub use glob::Glob;
pub use rule::{Condition, Given, OwnCase, OwnRule, parse as parse_rules};
pub use runbook::{Does, Runbook, RunbookStep, named, parse as parse_runbooks, runbooks};
pub use schema::TABLES;
pub use settings::{
    Budget, ClusterSettings, Columns, Confirm, Endpoint, Etcd, Findings, JobsRef, Layout, LayoutRow, LogLevel, Origin, Reach, Reason,
    SecretRef, Service, Setting, Threshold, ThresholdValue, Tier, TierRules, Tiers, Tls, Velero, Via,
};
pub use suppress::{Override, Suppression, end as suppression_end};
pub use walk::KeyDoc;
pub use window::Window;

use crate::diag::{self, Diag, Severity};
use walk::{Walk, find};

/// The settings that hold, whatever was wrong with the file.
#[derive(Clone)]
pub struct Config {
    /// For clusters that do not say otherwise.
    pub read_only: Setting<bool>,
    /// Resolved by the room of the themes.
    pub theme: Setting<String>,
    /// Resolved by the room of the keymaps.
    pub keymap: Setting<String>,
    /// One of `layouts` or of the built-in ones.
    pub layout: Setting<String>,
    pub log_level: Setting<LogLevel>,
    pub tiers: Tiers,
    pub layouts: Vec<Layout>,
    pub columns: Vec<Columns>,
    pub thresholds: Vec<Threshold>,
    /// Of this file only; [`runbooks`] has all.
    pub runbooks: Vec<Runbook>,
    /// What Prometheus is asked for: those that come with qd, as this file changes them.
    pub queries: Vec<Query>,
    /// Rules of the user's own.
    pub rules: Vec<OwnRule>,
    /// The files and directories that have more of them; empty: those of `rules/` beside the file.
    rule_files: Vec<Setting<PathBuf>>,
    /// Findings that may be, for a while.
    pub suppressions: Vec<Suppression>,
    /// How bad rules are in a tier.
    pub overrides: Vec<Override>,
    /// Where what the cluster itself runs on lives.
    pub infra_namespaces: Setting<Vec<Glob>>,
    /// How long what is new is left in peace.
    pub new_for: Setting<Duration>,
    groups: Vec<Group>,
    /// The keys of the cluster tables, in which the tables are found again in `text`.
    clusters: Vec<Setting<Glob>>,
    /// Why every cluster is read-only.
    locked: Option<String>,
    tier_mistakes: Vec<(Tier, String)>,
    /// `None` when no file was read.
    file: Option<Arc<Path>>,
    text: Arc<str>,
}

#[derive(Clone)]
struct Group {
    name: Setting<String>,
    globs: Vec<Setting<Glob>>,
}

/// Settings and what was wrong with them.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    /// In the order of the file.
    pub diags: Vec<Diag>,
}

impl Loaded {
    /// Whether something was wrong, rather than only doubtful.
    pub fn has_errors(&self) -> bool {
        self.diags.iter().any(Diag::is_error)
    }
}

impl Default for Config {
    fn default() -> Self {
        let name = |text: &str| Setting::default_to(text.to_owned());
        Self {
            read_only: Setting::default(),
            theme: name("dark"),
            keymap: name("default"),
            layout: name("default"),
            log_level: Setting::default_to(LogLevel::Info),
            tiers: Tiers::default(),
            layouts: Vec::new(),
            columns: Vec::new(),
            thresholds: Vec::new(),
            runbooks: Vec::new(),
            queries: query::embedded(),
            rules: Vec::new(),
            rule_files: Vec::new(),
            suppressions: Vec::new(),
            overrides: Vec::new(),
            infra_namespaces: Setting::default_to(suppress::infra()),
            new_for: Setting::default_to(Duration::from_secs(300)),
            groups: Vec::new(),
            clusters: Vec::new(),
            locked: None,
            tier_mistakes: Vec::new(),
            file: None,
            text: Arc::from(""),
        }
    }
}

impl fmt::Debug for Config {
    // Not the text: somebody may have written a secret into it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("file", &self.file).field("locked", &self.locked).finish_non_exhaustive()
    }
}

/// The directory of the settings, and of the user's themes and keymaps; `None` when there is no home directory.
pub fn config_dir() -> Option<PathBuf> {
    directories::ProjectDirs::from("", "", "qd").map(|dirs| dirs.config_dir().to_owned())
}

impl Config {
    /// Reads the file that was named, or `config.toml` in [`config_dir`], which need not exist.
    pub fn load(path: Option<&Path>) -> Loaded {
        let mut loaded = Self::load_file(path);
        rule::load(&mut loaded.config, &mut loaded.diags);
        loaded
    }

    fn load_file(path: Option<&Path>) -> Loaded {
        let Some(file) = path.map(Path::to_owned).or_else(|| Some(config_dir()?.join("config.toml"))) else {
            return Loaded { config: Self::default(), diags: Vec::new() };
        };
        match std::fs::read_to_string(&file) {
            Ok(text) => Self::parse(&text, &file),
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_none() => {
                Loaded { config: Self::default(), diags: Vec::new() }
            }
            Err(error) => {
                let diag = Diag::error(format!("the settings cannot be read: {error}")).in_file(&file);
                let locked = Some(diag.to_string());
                let config = Self { locked, file: Some(Arc::from(file)), ..Self::default() };
                Loaded { config, diags: vec![diag] }
            }
        }
    }

    /// Reads `text`, which came from `file`.
    pub fn parse(text: &str, file: &Path) -> Loaded {
        let (file, text) = (Arc::<Path>::from(file), Arc::<str>::from(text));
        let mut walk = Walk::new(Arc::clone(&file), Arc::clone(&text));
        let mut config = Self { file: Some(file), text: Arc::clone(&text), ..Self::default() };
        let (table, errors) = DeTable::parse_recoverable(&text);
        for error in errors {
            walk.wrong(error.span().unwrap_or_default(), error.message());
        }
        config.locked = walk.first_error_since(0);
        let syntax = walk.diags.len();
        schema::read(&mut walk, table.get_ref(), &mut config);
        let mut diags = walk.diags;
        // What a broken line seems to say is no mistake of its own.
        let broken: Vec<u32> = diags[..syntax].iter().map(|diag| diag.line).collect();
        let mut index = 0;
        diags.retain(|diag| {
            index += 1;
            index <= syntax || !broken.contains(&diag.line)
        });
        diags.sort_by_key(|diag| (diag.line, diag.column));
        Loaded { config, diags }
    }

    /// The file that was read.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// What holds for a kubeconfig context: all tables that match laid over each other key by key, an exact name
    /// over every glob, a glob with more literal characters over one with fewer, a later line over an earlier one.
    /// Reads the file's text again: ask once, not once a frame.
    pub fn for_cluster(&self, context: &str) -> ClusterSettings {
        self.for_clusters(std::slice::from_ref(&context)).swap_remove(0)
    }

    /// [`Config::for_cluster`] for each of `contexts`, in their order.
    pub fn for_clusters(&self, contexts: &[impl AsRef<str>]) -> Vec<ClusterSettings> {
        let parsed = DeTable::parse_recoverable(&self.text).0;
        let tables = find(parsed.get_ref(), "clusters").and_then(|(_, value)| value.get_ref().as_table());
        contexts.iter().map(|context| self.resolve(context.as_ref(), tables)).collect()
    }

    fn resolve(&self, context: &str, tables: Option<&DeTable<'_>>) -> ClusterSettings {
        let mut settings = ClusterSettings::new(context);
        settings.read_only = self.read_only.clone();
        let mut globs: Vec<_> = self.clusters.iter().filter_map(|glob| Some((glob.rank(context)?, glob))).collect();
        globs.sort_by_key(|(rank, glob)| (*rank, line(&glob.origin)));
        if let (Some(file), Some(tables)) = (&self.file, tables) {
            let mut walk = Walk::new(Arc::clone(file), Arc::clone(&self.text));
            for (_, table) in globs.iter().filter_map(|(_, glob)| find(tables, glob.as_str())) {
                schema::read_cluster(&mut walk, table, &mut settings);
            }
        }
        if settings.group.is_none() {
            settings.group = self.group_of(context);
        }
        let tier_mistake = self.tier_mistakes.iter().find(|(tier, _)| Some(*tier) == settings.tier.value);
        let mistake = settings.read_only_because.take().or_else(|| tier_mistake.map(|(_, mistake)| mistake.clone()));
        settings.read_only_because = match mistake.or_else(|| self.locked.clone()) {
            Some(mistake) => Some(format!("a mistake in the settings: {mistake}")),
            None => settings.read_only.then(|| format!("read_only is set at {}", settings.read_only.origin)),
        };
        settings.read_only.value |= settings.read_only_because.is_some();
        settings
    }

    /// The group whose glob matches `context` most specifically, the first in the file among equals.
    fn group_of(&self, context: &str) -> Setting<Option<String>> {
        let ranked = self.groups.iter().flat_map(|group| group.globs.iter().map(move |glob| (group, glob)));
        let best = ranked
            .filter_map(|(group, glob)| Some((glob.rank(context)?, std::cmp::Reverse(line(&glob.origin)), group, glob)))
            .max_by_key(|(rank, line, ..)| (*rank, *line));
        best.map_or_else(Setting::default, |(_, _, group, glob)| Setting {
            value: Some(group.name.value.clone()),
            origin: glob.origin.clone(),
        })
    }

    /// The contexts that `pattern` selects: a glob over contexts, shown names and groups. Nothing selected is an error
    /// with the nearest name.
    pub fn select(&self, pattern: &str, contexts: &[String]) -> Result<Vec<String>, Diag> {
        let glob = Glob::new(pattern).map_err(|why| Diag::error(format!("`{pattern}` is no pattern: {why}")))?;
        let names: Vec<Vec<String>> = self.for_clusters(contexts).into_iter().map(|settings| self.names_of(settings)).collect();
        let selected: Vec<String> = contexts
            .iter()
            .zip(&names)
            .filter(|(_, names)| names.iter().any(|name| glob.matches(name)))
            .map(|(context, _)| context.clone())
            .collect();
        if selected.is_empty() {
            let known = names.iter().flatten().map(String::as_str);
            return Err(Diag::error(diag::unknown("cluster or group", pattern, known)));
        }
        Ok(selected)
    }

    /// By which names a cluster can be selected.
    fn names_of(&self, settings: ClusterSettings) -> Vec<String> {
        let matches = |group: &&Group| group.globs.iter().any(|glob| glob.matches(&settings.context));
        let groups = self.groups.iter().filter(matches).map(|group| group.name.value.clone()).collect::<Vec<_>>();
        [settings.context, settings.name.value].into_iter().chain(settings.group.value).chain(groups).collect()
    }

    /// A warning for each cluster table and group glob that none of `contexts` matches.
    pub fn unmatched(&self, contexts: &[String]) -> Vec<Diag> {
        let globs = self.clusters.iter().chain(self.groups.iter().flat_map(|group| &group.globs));
        globs
            .filter(|glob| !contexts.iter().any(|context| glob.matches(context)))
            .map(|glob| {
                let near = diag::nearest(glob.as_str(), contexts.iter().map(String::as_str)).filter(|_| glob.is_literal());
                let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                let message = format!("no context of the kubeconfig matches `{}`{near}", glob.as_str());
                Diag { severity: Severity::Warning, ..glob.error(message) }
            })
            .collect()
    }
}

fn line(origin: &Origin) -> u32 {
    match origin {
        Origin::File { line, .. } => *line,
        Origin::Default => 0,
    }
}

#[cfg(test)]
mod tests;
