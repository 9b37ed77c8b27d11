//! Which tables and keys there are, and how each is read.

use toml::de::DeValue;

use super::settings::{
    ClusterSettings, Columns, Endpoint, Etcd, JobsRef, Layout, LayoutRow, Named as _, Reach, SecretRef, Service, Setting, Threshold,
    ThresholdValue, Tier, Tls, Velero, Via,
};
use super::walk::{Entries, Key, KeyDoc, Value, Walk, find};
use super::{Config, Group};
use crate::diag::{self, Diag};
use crate::model::Selector;
use crate::model::duration::parse_duration;

const fn key(name: &'static str, doc: &'static str) -> KeyDoc {
    KeyDoc { name, doc }
}

pub(super) const TOP: &[KeyDoc] = &[
    key("read_only", "whether clusters are read-only that do not say otherwise; false"),
    key("theme", "the name of the theme; dark"),
    key("keymap", "the name of the keymap; default"),
    key("layout", "the name of the cockpit's layout; default"),
    key("clusters", "a table for each kubeconfig context or glob of contexts, the most specific winning key by key"),
    key("tiers", "the guardrails of production, staging and development"),
    key("groups", "names for sets of clusters: a list of contexts or globs each"),
    key("layouts", "layouts of the cockpit"),
    key("columns", "the columns of a pane, in order"),
    key("thresholds", "numbers of the inspection rules, a table for each rule"),
    key("runbook", "runbooks, as in a file of the directory runbooks"),
    key("query", "what Prometheus is asked for: changes of what comes with qd, and queries of your own"),
    key("rule", "rules of your own, as in a file of rules"),
    key("rules", "files of rules, or directories of such files; those of the directory rules beside this file"),
    key("suppress", "findings that may be as they are, each with a reason and an end"),
    key("severity", "how bad rules are in a tier: a table for each, with info, warning, critical or off"),
    key(
        "infra_namespaces",
        "namespaces of what the cluster itself runs on, names or globs: there, rules on how templates are made say info at most; kube-*, calico-*, tigera-*, cilium*, *csi*, rook-ceph, longhorn-system, metallb-system, monitoring and velero",
    ),
    key("new_for", "how long rules on how templates are made leave new objects in peace; 5m"),
    key("log", "the log file"),
];
pub(super) const CLUSTER: &[KeyDoc] = &[
    key("name", "what is shown, and typed to confirm in production; the context"),
    key("tier", "production, staging or development; decides the guardrails"),
    key("group", "the group or room it belongs to"),
    key("read_only", "whether nothing is ever written to it; what the top level says"),
    key("namespaces", "the namespaces to watch; all"),
    key("owner_labels", "the labels of an alert, or of its namespace, that say who it belongs to, the first that is there; team, owner"),
    key(
        "findings",
        "computed: its objects are judged here; reports: they are read from the PolicyReports that a scheduled inspection publishes in it (docs/scheduled-inspection.md); computed",
    ),
    key("budget", "how many requests its API server gets"),
    key("etcd", "where its etcd is"),
    key("alertmanager", "where its Alertmanager is"),
    key("prometheus", "where its Prometheus or VictoriaMetrics is"),
    key("velero", "its backups"),
];
pub(super) const BUDGET: &[KeyDoc] = &[key("requests_per_second", "sustained requests a second; 20"), key("burst", "requests at once; 40")];
pub(super) const ETCD: &[KeyDoc] = &[
    key(
        "endpoints",
        "the client addresses of the members, http or https; those of the pods that kubeadm labels, where ca, cert and key, secret or via is set",
    ),
    key(
        "via",
        "port-forward reaches these pods through the API server, which needs get and create on pods/portforward; their own addresses",
    ),
    key("ca", "the file with the authority of the members' certificates"),
    key("cert", "the file with our certificate"),
    key("key", "the file with our key"),
    key("secret", "the Secret with ca.crt, tls.crt and tls.key, as namespace/name, in place of ca, cert and key; kept in memory only"),
    key("snapshots", "the directory for snapshots"),
    key(
        "snapshot_jobs",
        "the CronJobs that take snapshots, as namespace/labels (kube-system/app=etcd-backup): the rule etcd-backup-stale takes their success for proof",
    ),
    key(
        "after_snapshot",
        "the program and its arguments that each snapshot is given to, run without a shell; {file} is the snapshot, which comes last where no argument names it",
    ),
    key("after_snapshot_within", "how long that program may take; 10m"),
];
pub(super) const ALERTMANAGER: &[KeyDoc] = &[
    key("urls", "the addresses of the replicas, http or https"),
    key("service", "the service inside the cluster, as namespace/name:port, in place of urls"),
    key(
        "via",
        "how the service is reached: service-proxy, or port-forward to each of its pods, which needs get and create on pods/portforward (with TLS where ca is set); service-proxy",
    ),
    key("cluster_label", "the label that tells clusters apart; `cluster` where several share it"),
    key("token_file", "the file with a bearer token"),
    key("username", "the name for basic authentication"),
    key("password_file", "the file with the password"),
    key("ca", "the file with the authority of the server's certificate"),
    key("cert", "the file with our certificate"),
    key("key", "the file with our key"),
];
pub(super) const PROMETHEUS: &[KeyDoc] = &[
    key("url", "the address, http or https"),
    key("service", "the service inside the cluster, as namespace/name:port, in place of url"),
    key(
        "via",
        "how the service is reached: service-proxy, or port-forward to one of its pods, which needs get and create on pods/portforward (with TLS where ca is set); service-proxy",
    ),
    key("cluster_label", "the label that tells clusters apart"),
    key("token_file", "the file with a bearer token"),
    key("username", "the name for basic authentication"),
    key("password_file", "the file with the password"),
    key("ca", "the file with the authority of the server's certificate"),
    key("cert", "the file with our certificate"),
    key("key", "the file with our key"),
];
pub(super) const VELERO: &[KeyDoc] =
    &[key("namespace", "the namespace that velero runs in; velero"), key("rpo", "how old the newest backup may be")];
pub(super) const TIER: &[KeyDoc] = &[
    key("confirm", "what a write asks for: typed, yes or none; typed in production, else yes"),
    key("reason", "whether a write needs a reason: required or optional; optional"),
    key("max_parallel", "how many of the named objects a write works on at the same time; 1 in production"),
    key("deny", "what is refused: a list of VERB KIND/NAME, with globs"),
    key("window", "when writes are allowed, in UTC: a list such as Mon-Fri 08:00-18:00; always"),
];
pub(super) const LAYOUT: &[KeyDoc] = &[key("rows", "the rows of tiles, from top to bottom")];
pub(super) const ROW: &[KeyDoc] = &[key("height", "in screen rows"), key("tiles", "the panes side by side, from left to right")];
pub(super) const LOG: &[KeyDoc] = &[key("level", "off, error, warn, info, debug or trace; info")];

/// Every table with fixed keys, by its path, for the settings page.
pub const TABLES: &[(&str, &[KeyDoc])] = &[
    ("", TOP),
    ("clusters.CONTEXT", CLUSTER),
    ("clusters.CONTEXT.budget", BUDGET),
    ("clusters.CONTEXT.etcd", ETCD),
    ("clusters.CONTEXT.alertmanager", ALERTMANAGER),
    ("clusters.CONTEXT.prometheus", PROMETHEUS),
    ("clusters.CONTEXT.velero", VELERO),
    ("tiers.TIER", TIER),
    ("layouts.NAME", LAYOUT),
    ("layouts.NAME.rows[]", ROW),
    ("runbook[]", super::runbook::RUNBOOK),
    ("runbook[].step[]", super::runbook::STEP),
    ("query[]", super::query::QUERY),
    ("rule[]", super::rule::RULE),
    ("rule[].case[]", super::rule::CASE),
    ("suppress[]", super::suppress::SUPPRESS),
    ("log", LOG),
];

/// Reads the whole file. What is wrong where safety depends on it locks clusters in `config`.
pub(super) fn read(walk: &mut Walk, entries: &Entries<'_>, config: &mut Config) {
    let misspelt = walk.check_keys(entries, "the top level", TOP).into_iter();
    let mut misspelt = misspelt.filter(|(meant, _)| ["read_only", "clusters", "tiers"].contains(meant));
    config.locked = config.locked.take().or_else(|| misspelt.next().map(|(_, mistake)| mistake));
    let mark = walk.diags.len();
    walk.set(entries, "read_only", &mut config.read_only, Walk::flag);
    lock(walk, mark, config);
    walk.set(entries, "theme", &mut config.theme, Walk::string);
    walk.set(entries, "keymap", &mut config.keymap, Walk::string);
    walk.set(entries, "layout", &mut config.layout, Walk::string);
    if let Some(table) = find(entries, "log").and_then(|(_, value)| walk.table(value)) {
        walk.check_keys(table, "[log]", LOG);
        walk.set(table, "level", &mut config.log_level, Walk::one_of);
    }
    read_tiers(walk, entries, config);
    read_clusters(walk, entries, config);
    for (name, value) in members(walk, entries, "groups") {
        let globs = walk.some_list(value, |walk, item| {
            let text = walk.string(item)?;
            let glob = walk.glob(&text, item.span())?;
            Some(Setting { value: glob, origin: walk.origin(item.span()) })
        });
        config.groups.extend(globs.map(|globs| Group { name: named(walk, name), globs }));
    }
    for (name, value) in members(walk, entries, "layouts") {
        config.layouts.extend(read_layout(walk, name, value));
    }
    for (pane, value) in members(walk, entries, "columns") {
        let names = walk.some_list(value, Walk::named_string);
        config.columns.extend(names.map(|names| Columns { pane: named(walk, pane), names }));
    }
    super::runbook::read(walk, entries, &mut config.runbooks);
    super::query::read(walk, entries, &mut config.queries);
    super::rule::read(walk, entries, &mut config.rules);
    if let Some((_, value)) = find(entries, "rules") {
        let path = |walk: &mut Walk, value: &Value<'_>| Some(Setting { value: walk.path(value)?, origin: walk.origin(value.span()) });
        config.rule_files = walk.some_list(value, path).unwrap_or_default();
    }
    super::suppress::read(walk, entries, &mut config.suppressions);
    super::suppress::read_overrides(walk, entries, &mut config.overrides);
    walk.set(entries, "new_for", &mut config.new_for, Walk::duration);
    walk.set(entries, "infra_namespaces", &mut config.infra_namespaces, |walk, value| {
        walk.some_list(value, |walk, item| {
            let text = walk.string(item)?;
            walk.glob(&text, item.span())
        })
    });
    for (rule, value) in members(walk, entries, "thresholds") {
        for (key, value) in walk.table(value).into_iter().flatten() {
            let (rule, key) = (named(walk, rule), named(walk, key));
            config.thresholds.extend(read_threshold(walk, value).map(|value| Threshold { rule, key, value }));
        }
    }
}

/// Makes every cluster read-only when there was an error since `mark`.
fn lock(walk: &Walk, mark: usize, config: &mut Config) {
    if config.locked.is_none() {
        config.locked = walk.first_error_since(mark);
    }
}

fn named(walk: &Walk, key: &Key<'_>) -> Setting<String> {
    Setting { value: key.get_ref().to_string(), origin: walk.origin(key.span()) }
}

/// The entries of the table `name`, whose keys are the person's own.
fn members<'a, 'i>(walk: &mut Walk, entries: &'a Entries<'i>, name: &str) -> Vec<(&'a Key<'i>, &'a Value<'i>)> {
    let table = find(entries, name).and_then(|(_, value)| walk.table(value));
    table.into_iter().flatten().collect()
}

fn read_tiers(walk: &mut Walk, entries: &Entries<'_>, config: &mut Config) {
    let mark = walk.diags.len();
    let members = members(walk, entries, "tiers");
    lock(walk, mark, config);
    for (name, value) in members {
        let mark = walk.diags.len();
        let Some((_, tier)) = Tier::ALL.iter().find(|(known, _)| known == name.get_ref()) else {
            let names = Tier::ALL.iter().map(|(known, _)| *known);
            let hint = format!("the tiers are {}", names.clone().collect::<Vec<_>>().join(", "));
            walk.push(Diag::error(diag::unknown("tier", name.get_ref(), names)).hint(hint), name.span());
            lock(walk, mark, config);
            continue;
        };
        if let Some(table) = walk.table(value) {
            walk.check_keys(table, "a tier", TIER);
            let rules = config.tiers.get_mut(*tier);
            walk.set(table, "confirm", &mut rules.confirm, Walk::one_of);
            walk.set(table, "reason", &mut rules.reason, Walk::one_of);
            walk.set_some(table, "max_parallel", &mut rules.max_parallel, |walk, value| walk.whole(value, 1, 10_000));
            walk.set(table, "deny", &mut rules.deny, |walk, value| walk.list(value, Walk::named_string));
            walk.set(table, "window", &mut rules.window, |walk, value| {
                walk.list(value, |walk, item| {
                    let window = super::Window::parse(&walk.string(item)?);
                    window.map_err(|why| walk.wrong(item.span(), why)).ok()
                })
            });
        }
        config.tier_mistakes.extend(walk.first_error_since(mark).map(|mistake| (*tier, mistake)));
    }
}

fn read_clusters(walk: &mut Walk, entries: &Entries<'_>, config: &mut Config) {
    let mark = walk.diags.len();
    let members = members(walk, entries, "clusters");
    lock(walk, mark, config);
    for (key, value) in members {
        let mark = walk.diags.len();
        let glob = walk.glob(key.get_ref(), key.span());
        lock(walk, mark, config);
        // Read once here for the mistakes; `Config::for_cluster` lays the tables that match over each other.
        read_cluster(walk, value, &mut ClusterSettings::new(key.get_ref()));
        let origin = walk.origin(key.span());
        config.clusters.extend(glob.map(|glob| Setting { value: glob, origin }));
    }
}

/// Lays one table over `into`. A mistake where safety depends on it makes the cluster read-only.
pub(super) fn read_cluster(walk: &mut Walk, value: &Value<'_>, into: &mut ClusterSettings) {
    let mark = walk.diags.len();
    let Some(table) = walk.table(value) else {
        into.read_only_because = walk.first_error_since(mark);
        return;
    };
    let misspelt = walk.check_keys(table, "a cluster", CLUSTER).into_iter();
    let mut misspelt = misspelt.filter(|(meant, _)| ["tier", "read_only"].contains(meant));
    let mark = walk.diags.len();
    walk.set_some(table, "tier", &mut into.tier, Walk::one_of);
    walk.set(table, "read_only", &mut into.read_only, Walk::flag);
    let mistake = misspelt.next().map(|(_, mistake)| mistake).or_else(|| walk.first_error_since(mark));
    into.read_only_because = into.read_only_because.take().or(mistake);
    walk.set(table, "name", &mut into.name, Walk::string);
    walk.set_some(table, "group", &mut into.group, Walk::string);
    walk.set(table, "namespaces", &mut into.namespaces, |walk, value| walk.some_list(value, Walk::string));
    walk.set(table, "owner_labels", &mut into.owner_labels, |walk, value| walk.some_list(value, Walk::string));
    walk.set(table, "findings", &mut into.findings, Walk::one_of);
    if let Some(table) = sub(walk, table, "budget", BUDGET) {
        walk.set(table, "requests_per_second", &mut into.budget.requests_per_second, |walk, value| {
            let number = walk.number(value)?;
            if number <= 0.0 {
                walk.wrong(value.span(), "expected more than 0");
            }
            Some(number).filter(|number| *number > 0.0)
        });
        walk.set(table, "burst", &mut into.budget.burst, |walk, value| walk.whole(value, 1, 100_000));
    }
    if let Some(table) = sub(walk, table, "etcd", ETCD) {
        read_etcd(walk, table, &mut into.etcd);
    }
    if let Some(table) = sub(walk, table, "alertmanager", ALERTMANAGER) {
        let urls = |walk: &mut Walk, value: &Value<'_>| walk.some_list(value, url).map(Reach::Urls);
        read_endpoint(walk, table, "urls", urls, &mut into.alertmanager);
    }
    if let Some(table) = sub(walk, table, "prometheus", PROMETHEUS) {
        let one = |walk: &mut Walk, value: &Value<'_>| url(walk, value).map(|url| Reach::Urls(vec![url]));
        read_endpoint(walk, table, "url", one, &mut into.prometheus);
    }
    if let Some(table) = sub(walk, table, "velero", VELERO) {
        let Velero { namespace, rpo } = &mut into.velero;
        walk.set(table, "namespace", namespace, Walk::string);
        walk.set_some(table, "rpo", rpo, Walk::duration);
    }
}

/// The table `name` with its keys checked.
fn sub<'a, 'i>(walk: &mut Walk, entries: &'a Entries<'i>, name: &str, known: &'static [KeyDoc]) -> Option<&'a Entries<'i>> {
    let table = walk.table(find(entries, name)?.1)?;
    walk.check_keys(table, name, known);
    Some(table)
}

fn read_etcd(walk: &mut Walk, table: &Entries<'_>, into: &mut Etcd) {
    let Etcd { endpoints, via, tls, secret, snapshots, snapshot_jobs, after_snapshot, after_snapshot_within } = into;
    walk.set(table, "endpoints", endpoints, |walk, value| walk.some_list(value, url));
    walk.set_some(table, "snapshots", snapshots, Walk::path);
    walk.set_some(table, "snapshot_jobs", snapshot_jobs, jobs_ref);
    walk.set(table, "after_snapshot", after_snapshot, |walk, value| walk.some_list(value, Walk::string));
    walk.set(table, "after_snapshot_within", after_snapshot_within, Walk::duration);
    read_tls(walk, table, tls);
    if let (Some(_), Some((key, _))) = (find(table, "endpoints"), find(table, "via")) {
        walk.wrong(key.span(), "`endpoints` and `via` exclude each other: via reaches the pods that are found");
    } else {
        walk.set_some(table, "via", via, |walk, value| {
            let way = walk.one_of(value)?;
            if way == Via::ServiceProxy {
                walk.wrong(value.span(), "etcd's certificates do not pass the service proxy: port-forward, or leave it out");
            }
            Some(way).filter(|way| *way == Via::PortForward)
        });
    }
    let file = ["ca", "cert", "key"].into_iter().find(|name| find(table, name).is_some());
    if let (Some(file), Some((key, _))) = (file, find(table, "secret")) {
        walk.wrong(key.span(), format!("`{file}` and `secret` exclude each other"));
    } else {
        walk.set_some(table, "secret", secret, secret_ref);
    }
}

fn read_tls(walk: &mut Walk, table: &Entries<'_>, into: &mut Tls) {
    walk.set_some(table, "ca", &mut into.ca, Walk::path);
    walk.set_some(table, "cert", &mut into.cert, Walk::path);
    walk.set_some(table, "key", &mut into.key, Walk::path);
}

fn read_endpoint(
    walk: &mut Walk,
    table: &Entries<'_>,
    urls: &str,
    read_urls: impl FnOnce(&mut Walk, &Value<'_>) -> Option<Reach>,
    into: &mut Endpoint,
) {
    if let (Some(_), Some((key, _))) = (find(table, urls), find(table, "service")) {
        walk.wrong(key.span(), format!("`{urls}` and `service` exclude each other"));
    } else {
        walk.set_some(table, urls, &mut into.reach, read_urls);
        walk.set_some(table, "service", &mut into.reach, |walk, value| service(walk, value).map(Reach::Service));
    }
    if let (Some(_), Some((key, _))) = (find(table, urls), find(table, "via")) {
        walk.wrong(key.span(), format!("`via` is for a `service`, not for `{urls}`"));
    } else {
        walk.set_some(table, "via", &mut into.via, Walk::one_of);
    }
    walk.set_some(table, "cluster_label", &mut into.cluster_label, Walk::string);
    walk.set_some(table, "token_file", &mut into.token_file, Walk::path);
    walk.set_some(table, "username", &mut into.username, Walk::string);
    walk.set_some(table, "password_file", &mut into.password_file, Walk::path);
    read_tls(walk, table, &mut into.tls);
}

/// An `http` or `https` address without a user in it.
pub(super) fn url(walk: &mut Walk, value: &Value<'_>) -> Option<String> {
    let text = walk.string(value)?;
    let uri = text.parse::<http::Uri>().ok();
    let authority = uri.as_ref().filter(|uri| matches!(uri.scheme_str(), Some("http" | "https"))).and_then(http::Uri::authority);
    let why = match authority {
        // The text is not repeated: it may hold a password.
        Some(authority) if authority.as_str().contains('@') => "an address must not hold a user or password",
        Some(authority) if !authority.host().is_empty() => return Some(text),
        _ => "expected an address that begins with http:// or https://",
    };
    walk.wrong(value.span(), why);
    None
}

/// Fit for a path of the API server.
fn plain(part: &str) -> bool {
    !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
}

fn secret_ref(walk: &mut Walk, value: &Value<'_>) -> Option<SecretRef> {
    let text = walk.string(value)?;
    let Some((namespace, name)) = text.split_once('/').filter(|(namespace, name)| plain(namespace) && plain(name)) else {
        walk.wrong(value.span(), "expected a Secret as namespace/name");
        return None;
    };
    Some(SecretRef { namespace: namespace.to_owned(), name: name.to_owned() })
}

fn jobs_ref(walk: &mut Walk, value: &Value<'_>) -> Option<JobsRef> {
    let text = walk.string(value)?;
    let parts = text.split_once('/').filter(|(namespace, labels)| plain(namespace) && !labels.trim().is_empty());
    let read = parts.map(|(namespace, labels)| (namespace, Selector::parse(labels)));
    match read {
        Some((namespace, Ok(labels))) => Some(JobsRef { namespace: namespace.to_owned(), labels }),
        Some((_, Err(why))) => {
            walk.wrong(value.span(), why);
            None
        }
        None => {
            walk.wrong(value.span(), "expected CronJobs as namespace/labels");
            None
        }
    }
}

fn service(walk: &mut Walk, value: &Value<'_>) -> Option<Service> {
    let text = walk.string(value)?;
    let parts = text.split_once('/').and_then(|(namespace, rest)| {
        let (name, port) = rest.split_once(':')?;
        [namespace, name, port].iter().all(|part| plain(part)).then(|| (namespace.to_owned(), name.to_owned(), port.to_owned()))
    });
    let Some((namespace, name, port)) = parts else {
        walk.wrong(value.span(), "expected a service as namespace/name:port");
        return None;
    };
    Some(Service { namespace, name, port })
}

fn read_layout(walk: &mut Walk, name: &Key<'_>, value: &Value<'_>) -> Option<Layout> {
    let table = walk.table(value)?;
    walk.check_keys(table, "a layout", LAYOUT);
    let Some((_, rows)) = find(table, "rows") else {
        walk.wrong(name.span(), format!("layout `{}` has no rows", name.get_ref()));
        return None;
    };
    let rows = walk.some_list(rows, |walk, row| {
        let (span, row) = (row.span(), walk.table(row)?);
        walk.check_keys(row, "a row", ROW);
        let (Some((_, height)), Some((_, tiles))) = (find(row, "height"), find(row, "tiles")) else {
            walk.wrong(span, "a row has a height and tiles");
            return None;
        };
        let height = walk.whole(height, 1, 1_000);
        let tiles = walk.some_list(tiles, Walk::named_string)?;
        Some(LayoutRow { height: u16::try_from(height?).ok()?, tiles })
    })?;
    Some(Layout { name: named(walk, name), rows })
}

fn read_threshold(walk: &mut Walk, value: &Value<'_>) -> Option<ThresholdValue> {
    match value.get_ref() {
        DeValue::Boolean(flag) => Some(ThresholdValue::Flag(*flag)),
        DeValue::String(_) => {
            let text = walk.string(value)?;
            Some(parse_duration(&text).map_or(ThresholdValue::Text(text), ThresholdValue::Duration))
        }
        _ => walk.number(value).map(ThresholdValue::Number),
    }
}
