//! `qd get`, `qd fleet`, `qd describe`: follow the clusters until their lists are in, print, leave.

use super::args::{Global, Output};
use super::fail::{Code, Failure};
use super::print;
use crate::action::Ledger;
use crate::client::{LoadOptions, Target, load};
use crate::config::Config;
use crate::model::{ConnectionState, Gives, Kind, KindState, Selector, Service, ServiceState};
use crate::runtime::{Fleet, members, now};
use crate::state::StateDir;
use crate::store::{Cluster, Judged, Touched};
use crate::table::{Ctx, Filter, Row, RowKey, SHOWN, Subject, View, item_json};
use std::time::{Duration, Instant};

/// The targets that the arguments select.
pub fn select(global: &Global, config: &Config) -> Result<Vec<Target>, Failure> {
    let options = LoadOptions {
        kubeconfig: global.kubeconfig.clone(),
        contexts: global.context.clone(),
        clusters: None,
        as_user: global.as_user.clone(),
        as_groups: global.as_group.clone(),
    };
    let mut targets = load(&options).map_err(|e| {
        let failure = Failure { code: Code::Usage, kind: "kubeconfig", message: e.to_string(), hint: None };
        match e.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })?;
    if let Some(glob) = &global.clusters {
        let names: Vec<String> = targets.iter().map(|t| t.name.clone()).collect();
        let chosen = config.select(glob, &names).map_err(|d| Failure::usage(d.to_string()))?;
        targets.retain(|t| chosen.contains(&t.name));
    }
    Ok(targets)
}

/// A round trip is measured at once, but may come after the last list: it is worth this long.
const LATENCY: Duration = Duration::from_millis(500);

/// Rows are not kept waiting longer for what they use, where that is only one of their columns.
pub const USE: Duration = Duration::from_secs(5);

/// Follows clusters until every list that is wanted is in, or will not come.
pub async fn settle(fleet: &mut Fleet, kinds: &[Kind], limit: Duration) {
    let mut touched: Vec<Touched> = Vec::new();
    follow(fleet, limit, &mut touched, |c| settled(c, kinds)).await;
    follow(fleet, LATENCY, &mut touched, |c| !c.state.live() || c.latency_ms.is_some()).await;
    fleet.judge(&mut touched, now());
}

/// Folds what comes until every cluster is as it should be, or the time is over.
pub async fn follow(fleet: &mut Fleet, limit: Duration, touched: &mut Vec<Touched>, done: impl Fn(&Cluster) -> bool) {
    let until = Instant::now() + limit;
    while !fleet.store.clusters().iter().all(&done) {
        match tokio::time::timeout_at(until.into(), fleet.next()).await {
            Ok(Some(batch)) => fleet.fold(batch, now(), touched),
            Ok(None) | Err(_) => break,
        }
    }
    while let Some(batch) = fleet.try_next() {
        fleet.fold(batch, now(), touched);
    }
    for words in fleet.told.drain(..) {
        eprintln!("qd: {words}");
    }
}

fn settled(c: &Cluster, kinds: &[Kind]) -> bool {
    // Its reports are waited for by who reads them.
    if c.info.judged == Judged::ByReportsAlone {
        return !matches!(c.state, ConnectionState::Connecting | ConnectionState::Syncing { .. });
    }
    let known = |k: &Kind| !matches!(c.kind_state(*k), KindState::Waiting | KindState::Listing);
    // What services tell comes on its own way, whether the API server is reached or not.
    let watched = match &c.state {
        ConnectionState::Unreachable { .. } | ConnectionState::Unauthorized { .. } => true,
        ConnectionState::Connecting | ConnectionState::Syncing { .. } => !kinds.iter().any(|k| k.watched()),
        _ => kinds.iter().filter(|k| k.watched()).all(known),
    };
    // Through a cluster that is lost no service is found or reached.
    let lost = matches!(c.state, ConnectionState::Unreachable { .. } | ConnectionState::Unauthorized { .. });
    let told = |k: &Kind| known(k) || lost && behind(c, *k);
    watched && kinds.iter().filter(|k| !k.watched()).all(told)
}

/// Whether a kind comes from a service that is not reached yet but through the cluster.
fn behind(c: &Cluster, kind: Kind) -> bool {
    kind.service().is_some_and(|s| c.service(s).via.is_empty())
}

/// Everything that rules read.
pub fn judged() -> Vec<Kind> {
    Kind::ALL.into_iter().filter(|k| *k != Kind::Finding).collect()
}

/// What must be watched so that a subject's columns are right: owners, node sums, counts. Events are many, and only a count of warnings
/// needs them: where it is printed or asked for. Services are asked where their columns are printed.
fn kinds_for(subject: Subject, output: Output, filter: &str) -> Vec<Kind> {
    let warnings = matches!(output, Output::Json | Output::Yaml | Output::Csv) || filter.contains("warnings");
    match subject {
        Subject::Clusters => {
            let wanted = |k: &Kind| match k {
                Kind::Namespace | Kind::Service | Kind::EndpointSlice | Kind::Ingress => false,
                Kind::Event => warnings,
                Kind::EtcdMember | Kind::Alert => warnings || output == Output::Wide,
                k => !k.optional(),
            };
            Kind::ALL.into_iter().filter(wanted).collect()
        }
        Subject::Nodes | Subject::Pods => {
            let own = |column: &str| subject.columns().iter().any(|c| c.id == column);
            let all = matches!(output, Output::Json | Output::Yaml | Output::Csv);
            let signals = SHOWN.iter().any(|(column, _)| own(column) && (all || filter.contains(column)));
            [Kind::Node, Kind::Pod].into_iter().chain(signals.then_some(Kind::Signal)).collect()
        }
        Subject::Namespaces => vec![Kind::Namespace, Kind::Pod],
        Subject::Findings => judged(),
        Subject::Claims if output != Output::Name => vec![Kind::Claim, Kind::Signal],
        // Their endpoints, and whether what they lead to is there.
        Subject::Services => vec![Kind::Service, Kind::EndpointSlice],
        Subject::Ingresses => vec![Kind::Ingress, Kind::Service],
        s @ (Subject::Schedules | Subject::Locations) => [s.kinds(), s.leans_on()].concat(),
        s => s.kinds().to_vec(),
    }
}

/// Whether what nodes and pods use is among what is printed or asked for. Of workloads `qd top` tells: their pods are not listed here.
fn shows_use(subject: Subject, output: Output, filter: &str) -> bool {
    if subject == Subject::Claims {
        return output != Output::Name || filter.contains("_percent");
    }
    let listed = matches!(subject, Subject::Clusters | Subject::Nodes | Subject::Pods | Subject::Namespaces);
    let asked = filter.contains("use") || SHOWN.iter().any(|(column, _)| filter.contains(column));
    listed && (!matches!(output, Output::Table | Output::Name) || asked)
}

/// Opens what the arguments select and waits for its lists.
pub async fn open(global: &Global, kinds: &[Kind]) -> Result<(Fleet, Config), Failure> {
    open_within(global, kinds, global.timeout).await
}

/// The same with a limit of its own.
pub async fn open_within(global: &Global, kinds: &[Kind], limit: Duration) -> Result<(Fleet, Config), Failure> {
    let (mut fleet, config) = begin(global, kinds)?;
    settle(&mut fleet, kinds, limit).await;
    Ok((fleet, config))
}

/// The same for what services tell: once they have told it, API servers are waited for no longer than `patience`.
pub async fn open_beside(global: &Global, kinds: &[Kind], patience: Duration) -> Result<(Fleet, Config), Failure> {
    let (mut fleet, config) = begin(global, kinds)?;
    let told: Vec<Kind> = kinds.iter().copied().filter(|k| !k.watched()).collect();
    let mut touched = Vec::new();
    let until = Instant::now() + global.timeout;
    follow(&mut fleet, global.timeout, &mut touched, |c| settled(c, &told)).await;
    fleet.judge(&mut touched, now());
    settle(&mut fleet, kinds, patience.min(until.saturating_duration_since(Instant::now()))).await;
    Ok((fleet, config))
}

/// The same, and then what services tell of `more`, for no longer than `patience`.
pub async fn open_perhaps(global: &Global, kinds: &[Kind], more: &[Kind], patience: Duration) -> Result<(Fleet, Config), Failure> {
    let (mut fleet, config) = begin(global, &[kinds, more].concat())?;
    settle(&mut fleet, kinds, global.timeout).await;
    let mut touched = Vec::new();
    follow(&mut fleet, patience, &mut touched, |c| settled(c, more)).await;
    fleet.judge(&mut touched, now());
    Ok((fleet, config))
}

/// The same with what nodes and pods use, and what Prometheus measures at them where signals are among the kinds; these are waited for no longer than
/// `within`.
pub async fn open_with_use(global: &Global, kinds: &[Kind], within: Duration) -> Result<(Fleet, Config), Failure> {
    with_use(global, kinds, within, false).await
}

/// The same with what API servers tell of themselves when they are asked: all that rules rest on.
pub async fn open_judged(global: &Global, kinds: &[Kind], within: Duration) -> Result<(Fleet, Config), Failure> {
    with_use(global, kinds, within, true).await
}

async fn with_use(global: &Global, kinds: &[Kind], within: Duration, asked: bool) -> Result<(Fleet, Config), Failure> {
    let until = Instant::now() + within;
    let (mut fleet, config) = begin(global, kinds)?;
    let used = kinds.iter().any(|k| matches!(k, Kind::Node | Kind::Pod));
    if used {
        fleet.follow_use(Duration::ZERO);
    }
    if asked {
        fleet.follow_asked(Duration::ZERO);
    } else if kinds.contains(&Kind::Finding) {
        fleet.follow_reports();
    }
    let (signals, listed): (Vec<Kind>, Vec<Kind>) = kinds.iter().copied().partition(|k| *k == Kind::Signal);
    settle(&mut fleet, &listed, global.timeout).await;
    let services = [used.then_some(Service::Metrics), signals.first().and_then(|k| k.service())];
    let waiting = |c: &Cluster| services.iter().flatten().any(|s| c.service(*s).state == ServiceState::Waiting);
    let told = |c: &Cluster| match c.info.reported() {
        true => c.reports.told || !asked && !kinds.contains(&Kind::Finding),
        false => c.asked.told() || !asked,
    };
    let waits = |c: &Cluster| c.state.live() && (waiting(c) || !told(c));
    let mut touched = Vec::new();
    follow(&mut fleet, until.saturating_duration_since(Instant::now()), &mut touched, |c| !waits(c)).await;
    fleet.judge(&mut touched, now());
    Ok((fleet, config))
}

/// Begins to follow what the arguments select.
fn begin(global: &Global, kinds: &[Kind]) -> Result<(Fleet, Config), Failure> {
    let loaded = Config::load(global.config.as_deref());
    let (mut config, diags) = (loaded.config, loaded.diags);
    // Beside nodes, pods and claims only what their columns show.
    let has = |kind| kinds.contains(&kind);
    if has(Kind::Signal) && !has(Kind::Alert) && (has(Kind::Pod) || has(Kind::Claim)) {
        let shown = |name: &str| has(Kind::Pod) && SHOWN.iter().any(|(_, query)| *query == name);
        config.queries.retain(|q| q.gives != Gives::Signals || shown(&q.name));
    }
    config.queries.retain(|q| q.gives != Gives::ClaimUse || has(Kind::Claim));
    for d in &diags {
        eprintln!("{d}");
    }
    // A script gets no answer that may have left out what the broken line meant.
    if diags.iter().any(crate::diag::Diag::is_error) {
        return Err(
            Failure::usage("the configuration has mistakes").hint("`qd config check` lists them all; the cockpit opens all the same")
        );
    }
    super::log(global, config.log_level.value, StateDir::open().ok().as_ref())?;
    let targets = select(global, &config)?;
    let (mut fleet, diags) = Fleet::open(members(targets, &config), kinds, &config, global.read_only, &global.namespace);
    for d in &diags {
        eprintln!("{d}");
    }
    // A log that cannot be read leaves unknown what was done.
    if kinds.iter().any(|k| matches!(k, Kind::EtcdMember | Kind::Finding))
        && let Ok(ledger) = StateDir::open().and_then(|state| Ledger::read(&state))
    {
        fleet.remember(&ledger);
        fleet.store.jobs.remember(ledger.jobs.iter().map(crate::action::Past::job));
    }
    Ok((fleet, config))
}

pub fn get(global: &Global, kind: &str, names: &[String]) -> Result<Code, Failure> {
    match kind.split_once('/') {
        Some((kind, name)) => run_get(global, kind, &[&[name.to_owned()], names].concat()),
        None => run_get(global, kind, names),
    }
}

fn run_get(global: &Global, kind: &str, names: &[String]) -> Result<Code, Failure> {
    let subject = Subject::parse(kind).map_err(|e| Failure::usage(e.to_string()))?;
    let wanted = Wanted::of(global, subject, names)?;
    let kinds = kinds_for(subject, global.output, global.filter.as_deref().unwrap_or_default());
    let runtime = super::runtime()?;
    let code = runtime.block_on(async {
        let (fleet, _) = if shows_use(subject, global.output, global.filter.as_deref().unwrap_or_default()) {
            open_with_use(global, &kinds, USE.min(global.timeout)).await?
        } else if subject == Subject::Findings {
            open_judged(global, &kinds, global.timeout).await?
        } else {
            open(global, &kinds).await?
        };
        let ctx = Ctx { store: &fleet.store, now: now() };
        print::rows(global.output, &ctx, subject, &wanted.rows(&ctx))?;
        Ok::<Code, Failure>(health(&fleet, subject))
    })?;
    runtime.shutdown_background();
    Ok(code)
}

/// Which rows of a subject the arguments name.
pub struct Wanted<'a> {
    global: &'a Global,
    subject: Subject,
    names: &'a [String],
    filter: Filter,
    selector: Option<Selector>,
}

impl<'a> Wanted<'a> {
    /// Reads filter and selector.
    ///
    /// # Errors
    /// When one of them means nothing.
    pub fn of(global: &'a Global, subject: Subject, names: &'a [String]) -> Result<Self, Failure> {
        let filter = Filter::parse(subject, global.filter.as_deref().unwrap_or("")).map_err(|e| Failure::usage(e.to_string()))?;
        let selector = global.selector.as_deref().map(Selector::parse).transpose().map_err(Failure::usage)?;
        Ok(Self { global, subject, names, filter, selector })
    }

    /// The rows there are, in the subject's order.
    pub fn rows(&self, ctx: &Ctx<'_>) -> Vec<RowKey> {
        let mut view = View::new(self.subject);
        view.set_filter(ctx, self.filter.clone());
        view.rebuild(ctx);
        let within = |row: Row| {
            row.object().is_none_or(|o| {
                let given = &self.global.namespace;
                given.is_empty() || o.meta().namespace.is_empty() || given.iter().any(|n| **n == *o.meta().namespace)
            })
        };
        let named = |row: Row| self.names.is_empty() && within(row) || self.names.iter().any(|n| n == row.name());
        let labelled = |row: Row| self.selector.as_ref().is_none_or(|s| row.object().is_some_and(|o| s.matches(&o.meta().labels)));
        view.keys().filter(|k| Row::of(ctx.store, *k).is_some_and(|r| named(r) && labelled(r))).collect()
    }
}

/// Says which clusters are missing from what was printed.
pub fn health(fleet: &Fleet, subject: Subject) -> Code {
    let mut code = Code::Done;
    let watched = subject.kinds().iter().all(|k| k.watched());
    for c in fleet.store.clusters() {
        let mut say = |what: String| {
            eprintln!("qd: {}: {what}", c.info.name);
            code = Code::Partial;
        };
        if watched && !c.state.live() {
            say(format!("{}{}", c.state.word(), c.state.reason().map(|r| format!(": {r}")).unwrap_or_default()));
        }
        if subject == Subject::Findings && c.info.reported() {
            if let Some((_, words)) = c.reports_amiss(now()) {
                say(words);
            }
            continue;
        }
        for kind in subject.kinds() {
            match c.kind_state(*kind) {
                KindState::Forbidden { missing } => say(format!("{}: forbidden, needs {missing}", kind.plural())),
                KindState::Failing { reason } if c.state.live() || !watched => say(format!("{}: {reason}", kind.plural())),
                KindState::Waiting if behind(c, *kind) && c.state.reason().is_some() => {
                    say(format!("{}: {}: {}", kind.plural(), c.state.word(), c.state.reason().unwrap_or_default()))
                }
                KindState::Waiting | KindState::Listing if c.state.live() || !watched => {
                    say(format!("{}: not complete within the time limit", kind.plural()))
                }
                // Not an error: many clusters have none. Whoever asks for it is told why the list is empty.
                KindState::Missing if kind.optional() => {
                    if let Some(service) = kind.teller() {
                        eprintln!("qd: {}: {}", c.info.name, c.service(service).state.reason().map_or(service.info().hint, |hint| hint));
                    }
                }
                _ => {}
            }
        }
    }
    code
}

pub fn describe(global: &Global, object: &str, name: Option<&str>) -> Result<Code, Failure> {
    let (kind, name) = match (object.split_once('/'), name) {
        (Some((kind, name)), None) => (kind, name),
        (None, Some(name)) => (object, name),
        _ => return Err(Failure::usage("name one object: KIND/NAME, or KIND NAME")),
    };
    let kind = Kind::parse(kind).ok_or_else(|| Failure::usage(crate::diag::unknown("kind", kind, Kind::names())))?;
    let runtime = super::runtime()?;
    let code = runtime.block_on(async {
        let (fleet, _) = open(global, &Kind::ALL).await?;
        let found: Vec<_> = fleet
            .store
            .clusters()
            .iter()
            .flat_map(|c| c.objects(kind).filter(|o| *o.meta().name == *name).map(move |o| (c, o)))
            .filter(|(_, o)| {
                global.namespace.is_empty() || o.meta().namespace.is_empty() || global.namespace.iter().any(|n| **n == *o.meta().namespace)
            })
            .collect();
        if found.is_empty() {
            let near = fleet.store.clusters().iter().flat_map(|c| c.objects(kind)).map(|o| &*o.meta().name);
            let failure = Failure::failed("not-found", format!("no {} {name}", kind.name()));
            return Err(match crate::diag::nearest(name, near) {
                Some(n) => failure.hint(format!("did you mean {n}?")),
                None => failure,
            });
        }
        for (c, o) in found {
            let reference = o.reference(c.id);
            let client = fleet.reader(c.id).and_then(|r| r.client());
            let moved = match &client {
                Some(client) if kind == Kind::Backup => crate::source::kube::moved::moved(client, &reference).await.ok().flatten(),
                _ => None,
            };
            let full = match client {
                _ if !kind.watched() => Ok(serde_json::Value::Object(item_json(
                    &Ctx { store: &fleet.store, now: now() },
                    Subject::of_kind(kind),
                    Row::Object(c, o),
                ))),
                Some(client) => crate::source::kube::object::fetch(&client, &reference).await.map_err(|e| e.reason()),
                None => Err("not connected".to_owned()),
            };
            print::description(global.output, &fleet, (c, o), full, moved.as_ref())?;
        }
        Ok(if fleet.store.clusters().iter().all(|c| c.state.live()) { Code::Done } else { Code::Partial })
    })?;
    runtime.shutdown_background();
    Ok(code)
}
