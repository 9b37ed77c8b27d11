//! The settings in words: `qd config show` and `qd config check`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use super::settings::{
    ClusterSettings, Confirm, Endpoint, Findings, JobsRef, LogLevel, Reach, Reason, SecretRef, Setting, ThresholdValue, Tier, Tls, Via,
};
use super::{Config, Loaded, format_duration};

/// As TOML on the right of `=`; `None` when unset.
trait Toml {
    fn toml(&self) -> Option<String>;
}

impl Toml for String {
    fn toml(&self) -> Option<String> {
        Some(toml::Value::String(self.clone()).to_string())
    }
}

impl Toml for PathBuf {
    fn toml(&self) -> Option<String> {
        self.display().to_string().toml()
    }
}

impl Toml for Duration {
    fn toml(&self) -> Option<String> {
        format_duration(*self).toml()
    }
}

impl<T: Toml> Toml for Option<T> {
    fn toml(&self) -> Option<String> {
        self.as_ref().and_then(T::toml)
    }
}

impl<T: Toml> Toml for Setting<T> {
    fn toml(&self) -> Option<String> {
        self.value.toml()
    }
}

impl<T: Toml> Toml for Vec<T> {
    fn toml(&self) -> Option<String> {
        let items: Vec<_> = self.iter().filter_map(T::toml).collect();
        (!items.is_empty()).then(|| format!("[{}]", items.join(", ")))
    }
}

macro_rules! toml_display {
    ($($type:ty),+) => { $(impl Toml for $type {
        fn toml(&self) -> Option<String> {
            Some(self.to_string())
        }
    })+ };
}
toml_display!(bool, u16, u32, f64);

macro_rules! toml_name {
    ($($type:ty),+) => { $(impl Toml for $type {
        fn toml(&self) -> Option<String> {
            self.name().to_owned().toml()
        }
    })+ };
}
toml_name!(Tier, Confirm, Reason, LogLevel, Via, Findings);

impl Toml for JobsRef {
    fn toml(&self) -> Option<String> {
        self.to_string().toml()
    }
}

impl Toml for SecretRef {
    fn toml(&self) -> Option<String> {
        self.to_string().toml()
    }
}

impl Toml for ThresholdValue {
    fn toml(&self) -> Option<String> {
        match self {
            Self::Flag(flag) => flag.toml(),
            Self::Number(number) => number.toml(),
            Self::Duration(duration) => duration.toml(),
            Self::Text(text) => text.toml(),
        }
    }
}

/// Lines of TOML, each with where its value came from.
#[derive(Default)]
struct Page {
    text: String,
    /// Written before the first value of the table.
    header: Option<String>,
}

impl Page {
    fn table(&mut self, path: &[&str]) {
        self.header = Some(path.iter().map(|part| key(part)).collect::<Vec<_>>().join("."));
    }

    fn line(&mut self, name: &str, value: &impl Toml, origin: impl std::fmt::Display) {
        let Some(value) = value.toml() else { return };
        if let Some(header) = self.header.take() {
            let _ = writeln!(self.text, "\n[{header}]");
        }
        let _ = writeln!(self.text, "{:<40} # {origin}", format!("{} = {value}", key(name)));
    }

    fn set<T: Toml>(&mut self, name: &str, setting: &Setting<T>) {
        self.line(name, setting, &setting.origin);
    }

    fn cluster(&mut self, cluster: &ClusterSettings) {
        let table = ["clusters", cluster.context.as_str()];
        self.table(&table);
        self.set("name", &cluster.name);
        self.set("tier", &cluster.tier);
        self.set("group", &cluster.group);
        match &cluster.read_only_because {
            // Not where the file has `false`, or nothing.
            Some(why) => self.line("read_only", &cluster.read_only, why),
            None => self.set("read_only", &cluster.read_only),
        }
        self.set("namespaces", &cluster.namespaces);
        self.set("owner_labels", &cluster.owner_labels);
        self.set("findings", &cluster.findings);
        self.table(&[table[0], table[1], "budget"]);
        self.set("requests_per_second", &cluster.budget.requests_per_second);
        self.set("burst", &cluster.budget.burst);
        self.table(&[table[0], table[1], "etcd"]);
        let etcd = &cluster.etcd;
        self.set("endpoints", &etcd.endpoints);
        self.set("via", &etcd.via);
        self.tls(&etcd.tls);
        self.set("secret", &etcd.secret);
        self.set("snapshots", &etcd.snapshots);
        self.set("snapshot_jobs", &etcd.snapshot_jobs);
        self.set("after_snapshot", &etcd.after_snapshot);
        if !etcd.after_snapshot.is_empty() {
            self.set("after_snapshot_within", &etcd.after_snapshot_within);
        }
        self.table(&[table[0], table[1], "alertmanager"]);
        self.endpoint(&cluster.alertmanager, |urls| ("urls", urls.to_vec().toml()));
        self.table(&[table[0], table[1], "prometheus"]);
        self.endpoint(&cluster.prometheus, |urls| ("url", urls.first().and_then(String::toml)));
        self.table(&[table[0], table[1], "velero"]);
        self.set("namespace", &cluster.velero.namespace);
        self.set("rpo", &cluster.velero.rpo);
    }

    fn endpoint(&mut self, endpoint: &Endpoint, urls: impl Fn(&[String]) -> (&'static str, Option<String>)) {
        let (name, value) = match &endpoint.reach.value {
            Some(Reach::Urls(addresses)) => urls(addresses),
            Some(Reach::Service(service)) => ("service", service.to_string().toml()),
            None => ("service", None),
        };
        self.line(name, &Ready(value), &endpoint.reach.origin);
        self.set("via", &endpoint.via);
        self.set("cluster_label", &endpoint.cluster_label);
        self.set("token_file", &endpoint.token_file);
        self.set("username", &endpoint.username);
        self.set("password_file", &endpoint.password_file);
        self.tls(&endpoint.tls);
    }

    fn tls(&mut self, tls: &Tls) {
        self.set("ca", &tls.ca);
        self.set("cert", &tls.cert);
        self.set("key", &tls.key);
    }
}

/// TOML already.
struct Ready(Option<String>);

impl Toml for Ready {
    fn toml(&self) -> Option<String> {
        self.0.clone()
    }
}

/// A key, quoted when it must be.
fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if bare { name.to_owned() } else { toml::Value::String(name.to_owned()).to_string() }
}

impl Config {
    /// The settings as TOML, those of each of `contexts` resolved, with the place that each value came from as a
    /// comment. What is neither set nor has a default is left out.
    pub fn show(&self, contexts: &[String]) -> String {
        let mut page = Page::default();
        page.set("read_only", &self.read_only);
        page.set("theme", &self.theme);
        page.set("keymap", &self.keymap);
        page.set("layout", &self.layout);
        let infra: Vec<String> = self.infra_namespaces.value.iter().map(|glob| glob.as_str().to_owned()).collect();
        page.line("infra_namespaces", &infra, &self.infra_namespaces.origin);
        page.set("new_for", &self.new_for);
        page.table(&["log"]);
        page.set("level", &self.log_level);
        for cluster in self.for_clusters(contexts) {
            page.cluster(&cluster);
        }
        for tier in [Tier::Production, Tier::Staging, Tier::Development] {
            let rules = self.tiers.get(tier);
            page.table(&["tiers", tier.name()]);
            page.set("confirm", &rules.confirm);
            page.set("reason", &rules.reason);
            page.set("max_parallel", &rules.max_parallel);
            page.set("deny", &rules.deny);
            let windows: Vec<String> = rules.window.value.iter().map(ToString::to_string).collect();
            page.line("window", &windows, &rules.window.origin);
        }
        page.table(&["groups"]);
        for group in &self.groups {
            let globs: Vec<String> = group.globs.iter().map(|glob| glob.as_str().to_owned()).collect();
            page.line(&group.name, &globs, &group.name.origin);
        }
        for layout in &self.layouts {
            page.table(&["layouts", &layout.name]);
            let rows =
                layout.rows.iter().filter_map(|row| Some(format!("{{ height = {}, tiles = {} }}", row.height.toml()?, row.tiles.toml()?)));
            let rows = format!("[{}]", rows.collect::<Vec<_>>().join(", "));
            page.line("rows", &Ready(Some(rows)), &layout.name.origin);
        }
        page.table(&["columns"]);
        for columns in &self.columns {
            page.line(&columns.pane, &columns.names, &columns.pane.origin);
        }
        let mut rule = None;
        for threshold in &self.thresholds {
            if rule.replace(&threshold.rule) != Some(&threshold.rule) {
                page.table(&["thresholds", &threshold.rule]);
            }
            page.line(&threshold.key, &threshold.value, &threshold.key.origin);
        }
        page.text
    }
}

impl Loaded {
    /// What `qd config check` says: every mistake, then how many there are. Warns about patterns that match none of
    /// `contexts`, unless there are none at all.
    pub fn check(&self, contexts: &[String]) -> String {
        let unmatched = if contexts.is_empty() { Vec::new() } else { self.config.unmatched(contexts) };
        let mut text = String::new();
        for diag in self.diags.iter().chain(&unmatched) {
            let _ = writeln!(text, "{diag}");
        }
        let errors = self.diags.iter().chain(&unmatched).filter(|diag| diag.is_error()).count();
        let warnings = self.diags.len() + unmatched.len() - errors;
        let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let file = self.config.file().map_or_else(|| "no settings file".to_owned(), |file| file.display().to_string());
        let _ = writeln!(text, "{file}: {}, {}", plural(errors, "error"), plural(warnings, "warning"));
        text
    }
}
