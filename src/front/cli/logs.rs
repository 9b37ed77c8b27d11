//! `qd logs`: the containers' logs of pods over the fleet, read through the source that the cockpit reads with.
//!
//! One log goes out as it comes. Of several every line says whose it is, and they are sorted by time: a followed one within each beat,
//! others as a whole as long as they fit the memory that is meant for it. Followed workloads take in pods that come later.

use super::args::{Global, Logs, Output};
use super::fail::{Code, Failure};
use super::read;
use crate::app::pods_of;
use crate::model::{ContainerSpec, Kind, Object, ObjectRef, Pod, Selector, Time, Uid};
use crate::runtime::{Fleet, now};
use crate::source::kube::logs::{LogEnd, LogEvent, LogLine, LogRequest, follow};
use crate::store::Touched;
use crate::table::{Ctx, Filter, Row, Subject, View};
use std::collections::{BTreeSet, HashSet};
use std::io::{IsTerminal as _, Write};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Lines of followed logs wait for each other this long.
const BEAT: Duration = Duration::from_millis(100);
/// Several logs that are not followed are held in memory up to here, in bytes of text, and sorted as a whole.
const HELD: usize = 32 << 20;
/// As kubectl has it: of so many pods one wants to see the ends.
const TAIL_OF_SELECTED: u32 = 10;
/// Who follows waits this long for clusters to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// New pods are looked for at most this often.
const LOOK: Duration = Duration::from_secs(1);

/// What the arguments name.
struct Wanted {
    /// None: every pod that the selector and the filter take.
    object: Option<(Kind, String)>,
    selector: Option<Selector>,
    filter: Filter,
    namespaces: Vec<String>,
    container: Option<String>,
    /// Of several only those that have run before.
    previous: bool,
}

/// One container's log.
struct Origin {
    cluster: String,
    pod: ObjectRef,
    container: String,
    /// The pod's, seconds since 1970.
    created: Option<i64>,
    /// It broke, and why.
    failed: Option<LogEnd>,
}

pub fn run(global: &Global, args: &Logs) -> Result<Code, Failure> {
    if !matches!(global.output, Output::Table | Output::Json) {
        return Err(Failure::usage("logs are lines: -o json, or nothing"));
    }
    let wanted = Wanted::new(global, args)?;
    let runtime = super::runtime()?;
    let code = runtime.block_on(async {
        let kinds = wanted.kinds();
        let began = now();
        // Who follows does not wait for a cluster that is down: its pods are taken in when it is there.
        let first = if args.follow && wanted.grows() { global.timeout.min(PATIENCE) } else { global.timeout };
        let (mut fleet, _) = read::open_within(global, &kinds, first).await?;
        let mut origins = wanted.origins(&fleet, &HashSet::new());
        if origins.is_empty() && first < global.timeout {
            read::settle(&mut fleet, &kinds, global.timeout - first).await;
            origins = wanted.origins(&fleet, &HashSet::new());
        }
        if origins.is_empty() {
            return Err(wanted.nothing(&fleet));
        }
        let health = read::health(&fleet, Subject::Pods);
        let mut printing = Printing::new(fleet, wanted, args.clone(), global.output == Output::Json, began);
        printing.add(origins);
        match printing.run().await {
            Ok(Code::Done) => Ok(health),
            other => other.map_err(Failure::from),
        }
    })?;
    runtime.shutdown_background();
    Ok(code)
}

impl Wanted {
    fn new(global: &Global, args: &Logs) -> Result<Self, Failure> {
        let object = match (args.object.as_deref(), args.name.as_deref()) {
            (None, _) if global.selector.is_none() && global.filter.is_none() => {
                return Err(
                    Failure::usage("name a pod or KIND/NAME, or choose pods with -l or --filter").hint("qd logs deployment/checkout -f")
                );
            }
            (None, _) => None,
            (Some(kind), Some(name)) => Some((kind, name)),
            (Some(text), None) => Some(text.split_once('/').unwrap_or(("pod", text))),
        };
        let object = object.map(|(kind, name)| match Kind::parse(kind) {
            Some(Kind::Event) => Err(Failure::usage("an event has no logs")),
            Some(kind) => Ok((kind, name.to_owned())),
            None => Err(Failure::usage(crate::diag::unknown("kind", kind, Kind::names()))),
        });
        Ok(Self {
            object: object.transpose()?,
            selector: global.selector.as_deref().map(Selector::parse).transpose().map_err(Failure::usage)?,
            filter: Filter::parse(Subject::Pods, global.filter.as_deref().unwrap_or("")).map_err(|e| Failure::usage(e.to_string()))?,
            namespaces: global.namespace.clone(),
            container: args.container.clone(),
            previous: args.previous,
        })
    }

    /// What must be watched: pods, and what leads from the object to them.
    fn kinds(&self) -> Vec<Kind> {
        match self.object {
            None | Some((Kind::Pod, _)) => vec![Kind::Pod],
            Some((kind @ (Kind::Node | Kind::Namespace | Kind::Pdb), _)) => vec![Kind::Pod, kind],
            Some(_) => Kind::WATCHED
                .iter()
                .copied()
                .filter(|k| !k.optional() && !matches!(k, Kind::Event | Kind::Node | Kind::Namespace | Kind::Pdb))
                .collect(),
        }
    }

    /// One pod by name ends; others may get new pods.
    fn grows(&self) -> bool {
        !matches!(self.object, Some((Kind::Pod, _)))
    }

    /// The containers that are meant and not among those already.
    fn origins(&self, fleet: &Fleet, known: &HashSet<(Uid, String)>) -> Vec<Origin> {
        let ctx = Ctx { store: &fleet.store, now: now() };
        let mut view = View::new(Subject::Pods);
        view.set_filter(&ctx, self.filter.clone());
        view.rebuild(&ctx);
        let named: Option<HashSet<Uid>> = self.object.as_ref().map(|(kind, name)| {
            let objects = |c| fleet.store.cluster(c).into_iter().flat_map(|c| c.objects(*kind).map(move |o| (c, o)));
            let ids = fleet.store.clusters().iter().map(|c| c.id);
            let found = ids.flat_map(objects).filter(|(_, o)| *o.meta().name == **name && self.inside(&o.meta().namespace));
            found.flat_map(|(c, o)| pods_of(c, o)).map(|p| p.meta().uid).collect()
        });
        let mut all = Vec::new();
        for row in (0..view.len()).filter_map(|at| view.key(at)).filter_map(|key| Row::of(&fleet.store, key)) {
            let Row::Object(cluster, object @ Object::Pod(pod)) = row else { continue };
            let meta = object.meta();
            let meant = named.as_ref().is_none_or(|n| n.contains(&meta.uid))
                && self.inside(&meta.namespace)
                && self.selector.as_ref().is_none_or(|s| s.matches(&meta.labels));
            if !meant {
                continue;
            }
            for name in self.containers(pod).filter(|name| !known.contains(&(meta.uid, (*name).to_owned()))) {
                let (cluster, pod, created) = (cluster.info.name.to_string(), object.reference(cluster.id), meta.created.map(Time::secs));
                all.push(Origin { cluster, pod, created, container: name.to_owned(), failed: None });
            }
        }
        all
    }

    fn inside(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || namespace.is_empty() || self.namespaces.iter().any(|n| n == namespace)
    }

    /// All but those that only start a pod; those too where one is named.
    fn containers<'a>(&'a self, pod: &'a Pod) -> impl Iterator<Item = &'a str> {
        let chosen = |c: &&ContainerSpec| {
            let again = || pod.init.iter().chain(&pod.containers).any(|s| s.name == c.name && s.restarts > 0);
            self.container.as_deref().is_none_or(|name| *c.name == *name) && (!self.previous || again())
        };
        let init = pod.shape.init.iter().filter(|_| self.container.is_some());
        init.chain(&pod.shape.containers).filter(chosen).map(|c| &*c.name)
    }

    /// Says why there is nothing to read.
    fn nothing(&self, fleet: &Fleet) -> Failure {
        let _ = read::health(fleet, Subject::Pods);
        let whole = Self {
            object: self.object.clone(),
            selector: self.selector.clone(),
            filter: self.filter.clone(),
            namespaces: self.namespaces.clone(),
            container: None,
            previous: false,
        };
        let there = whole.origins(fleet, &HashSet::new());
        if !there.is_empty() {
            let names: BTreeSet<&str> = there.iter().map(|o| o.container.as_str()).collect();
            return match &self.container {
                Some(container) if !names.contains(&**container) => {
                    let failure = Failure::failed("not-found", crate::diag::unknown("container", container, names.iter().copied()));
                    failure.hint(format!("there are {}", names.into_iter().collect::<Vec<_>>().join(", ")))
                }
                _ => Failure::failed("not-found", "no container has run before"),
            };
        }
        let Some((kind, name)) = &self.object else { return Failure::failed("not-found", "no pod matches") };
        let all = || fleet.store.clusters().iter().flat_map(|c| c.objects(*kind)).map(|o| &*o.meta().name);
        if all().any(|n| n == name) {
            return Failure::failed("not-found", format!("{} {name} has no pod that matches", kind.name()));
        }
        let failure = Failure::failed("not-found", format!("no {} {name}", kind.name()));
        match crate::diag::nearest(name, all()) {
            Some(near) => failure.hint(format!("did you mean {near}?")),
            None => failure,
        }
    }
}

/// Reads logs and prints them.
struct Printing {
    fleet: Fleet,
    wanted: Wanted,
    args: Logs,
    json: bool,
    /// When qd was started, seconds since 1970.
    began: i64,
    origins: Vec<Origin>,
    known: HashSet<(Uid, String)>,
    readers: JoinSet<()>,
    tx: mpsc::Sender<(usize, LogEvent)>,
    rx: mpsc::Receiver<(usize, LogEvent)>,
    /// Read and not written yet, and their size.
    held: Vec<(usize, LogLine)>,
    bytes: usize,
    /// Lines have gone out that were not sorted with those that come.
    in_parts: bool,
    /// Control characters of a log must not paint somebody's terminal.
    terminal: bool,
}

impl Printing {
    fn new(fleet: Fleet, wanted: Wanted, args: Logs, json: bool, began: i64) -> Self {
        // Few: what waits here is not waited for at the server.
        let (tx, rx) = mpsc::channel(8);
        let terminal = std::io::stdout().is_terminal();
        let (origins, known, readers, held) = (Vec::new(), HashSet::new(), JoinSet::new(), Vec::new());
        Self { fleet, wanted, args, json, began, origins, known, readers, tx, rx, held, bytes: 0, in_parts: false, terminal }
    }

    fn tail(&self) -> Option<u32> {
        match self.args.tail {
            Some(lines) => u32::try_from(lines).ok(),
            None => self.wanted.object.is_none().then_some(TAIL_OF_SELECTED),
        }
    }

    /// Begins to read these.
    fn add(&mut self, origins: Vec<Origin>) {
        for origin in origins {
            let at = self.origins.len();
            // Of a pod that is new everything is.
            let tail_lines = self.tail().filter(|_| origin.created.is_none_or(|at| at < self.began));
            let request = LogRequest {
                pod: origin.pod.clone(),
                container: origin.container.as_str().into(),
                previous: self.args.previous,
                tail_lines,
                since: self.args.since,
                follow: self.args.follow,
            };
            self.known.insert((origin.pod.uid, origin.container.clone()));
            let (reader, tx) = (self.fleet.reader(origin.pod.cluster), self.tx.clone());
            self.origins.push(origin);
            self.readers.spawn(async move {
                let Some(reader) = reader else { return };
                let (lines, mut read) = mpsc::channel(1);
                let forward = async move {
                    while let Some(event) = read.recv().await {
                        if tx.send((at, event)).await.is_err() {
                            return;
                        }
                    }
                };
                tokio::join!(follow(reader, request, lines), forward);
            });
        }
    }

    async fn run(mut self) -> std::io::Result<Code> {
        let grows = self.args.follow && self.wanted.grows() && !self.args.previous;
        let mut touched: Vec<Touched> = Vec::new();
        let mut beat: Option<Instant> = None;
        let mut look: Option<Instant> = None;
        loop {
            let far = Instant::now() + Duration::from_secs(3600);
            tokio::select! {
                () = tokio::time::sleep_until(beat.unwrap_or(far)), if beat.is_some() => {
                    self.write()?;
                    beat = None;
                }
                () = tokio::time::sleep_until(look.unwrap_or(far)), if look.is_some() => {
                    look = None;
                    self.add(self.wanted.origins(&self.fleet, &self.known));
                }
                Some((at, event)) = self.rx.recv() => {
                    self.take(at, event);
                    if self.origins.len() == 1 && !grows {
                        self.write()?;
                    } else if self.bytes > HELD {
                        if !self.args.follow && !std::mem::replace(&mut self.in_parts, true) {
                            eprintln!("qd: more than {} MiB: sorted in parts; --tail and --since make it less", HELD >> 20);
                        }
                        self.write()?;
                    } else if self.args.follow && !self.held.is_empty() {
                        beat = beat.or(Some(Instant::now() + BEAT));
                    }
                }
                Some(batch) = self.fleet.next() => {
                    self.fleet.fold(batch, now(), &mut touched);
                    let pods = touched.drain(..).any(|t| matches!(t, Touched::Row { id, .. } if id.kind == Kind::Pod));
                    if grows && pods {
                        look = look.or(Some(Instant::now() + LOOK));
                    }
                }
                Some(_) = self.readers.join_next(), if !self.readers.is_empty() => {}
            }
            if self.readers.is_empty() && !grows {
                break;
            }
        }
        while let Ok((at, event)) = self.rx.try_recv() {
            self.take(at, event);
        }
        self.write()?;
        let broken = self.origins.iter().filter(|o| o.failed.is_some()).count();
        let forbidden = self.origins.iter().filter(|o| matches!(o.failed, Some(LogEnd::Forbidden { .. }))).count();
        Ok(match () {
            () if broken == 0 => Code::Done,
            () if forbidden == self.origins.len() => Code::Refused,
            () if broken == self.origins.len() => Code::Failed,
            () => Code::Partial,
        })
    }

    fn take(&mut self, at: usize, event: LogEvent) {
        let Some(origin) = self.origins.get_mut(at) else { return };
        let whose = format!("{}: {}/{} {}", origin.cluster, origin.pod.namespace, origin.pod.name, origin.container);
        match event {
            LogEvent::Lines(lines) => {
                self.bytes += lines.iter().map(|l| l.text.len() + size_of::<LogLine>()).sum::<usize>();
                self.held.extend(lines.into_iter().map(|line| (at, line)));
            }
            LogEvent::Waiting { reason } => eprintln!("qd: {whose}: {reason}"),
            LogEvent::Ended(LogEnd::Complete | LogEnd::ContainerEnded) => {}
            LogEvent::Ended(LogEnd::PodGone) if self.args.follow => eprintln!("qd: {whose}: the pod is gone"),
            LogEvent::Ended(end) => {
                let words = match &end {
                    LogEnd::Forbidden { missing } => format!("forbidden, needs {missing}"),
                    LogEnd::Failed { reason } => reason.to_string(),
                    _ => "the pod is gone".to_owned(),
                };
                eprintln!("qd: {whose}: {words}");
                origin.failed = Some(end);
            }
        }
    }

    /// Writes what is held, in the order of time.
    fn write(&mut self) -> std::io::Result<()> {
        self.bytes = 0;
        let mut held = std::mem::take(&mut self.held);
        let named = self.origins.len() > 1 || self.wanted.grows();
        if named {
            held.sort_by_key(|(_, line)| line.time);
        }
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        for (at, line) in held {
            let Some(origin) = self.origins.get(at) else { continue };
            let time = line.time.map(|t| format!("{t:.9}"));
            if self.json {
                let line = serde_json::json!({"time": time, "cluster": origin.cluster, "namespace": &*origin.pod.namespace,
                    "pod": &*origin.pod.name, "container": origin.container, "text": line.text, "cut": line.cut});
                serde_json::to_writer(&mut out, &line)?;
                writeln!(out)?;
                continue;
            }
            if named {
                write!(out, "{}/{}/{}/{} ", origin.cluster, origin.pod.namespace, origin.pod.name, origin.container)?;
            }
            if self.args.timestamps {
                write!(out, "{} ", time.as_deref().unwrap_or("-"))?;
            }
            if self.terminal {
                writeln!(out, "{}", line.text.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect::<String>())?;
            } else {
                // A piece of a long line goes on in the next one; of one log only that is the very next.
                let end = if line.cut && !named { "" } else { "\n" };
                write!(out, "{}{end}", line.text)?;
            }
        }
        out.flush()
    }
}
