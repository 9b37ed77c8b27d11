//! `qd top`: what is used beside what is requested. How full nodes and groups are, and who requests most of what nobody uses.
//!
//! The fields are columns of the subject; the order is this command's own: who is to be shrunk first.

use super::args::Global;
use super::fail::{Code, Failure};
use super::print::{self, Below, Cell};
use super::read::{self, Wanted};
use crate::model::{Kind, Object, Service, ServiceState, use_from};
use crate::runtime::{Fleet, now};
use crate::table::{Column, Ctx, Row, Subject, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What can be looked at, what must be watched for that, and which fields are told.
struct Look {
    subject: Subject,
    kinds: &'static [Kind],
    fields: &'static [&'static str],
}

const PODS_FIELDS: &[&str] = &[
    "cluster",
    "kind",
    "namespace",
    "name",
    "pods_measured",
    "pods_cpu_request_m",
    "cpu_use_m",
    "cpu_use_request_percent",
    "cpu_slack_m",
    "pods_memory_request_bytes",
    "memory_use_bytes",
    "memory_use_request_percent",
    "memory_slack_bytes",
];

static LOOKS: [Look; 4] = [
    Look {
        subject: Subject::Nodes,
        kinds: &[Kind::Node, Kind::Pod],
        fields: &[
            "cluster",
            "kind",
            "namespace",
            "name",
            "zone",
            "pods",
            "cpu_allocatable_m",
            "cpu_request_m",
            "cpu_request_percent",
            "cpu_use_m",
            "cpu_use_percent",
            "cpu_slack_m",
            "memory_allocatable_bytes",
            "memory_request_bytes",
            "memory_request_percent",
            "memory_use_bytes",
            "memory_use_percent",
            "memory_slack_bytes",
        ],
    },
    Look {
        subject: Subject::Pods,
        kinds: &[Kind::Node, Kind::Pod],
        fields: &[
            "cluster",
            "kind",
            "namespace",
            "name",
            "node",
            "cpu_request_m",
            "cpu_limit_m",
            "cpu_use_m",
            "cpu_use_request_percent",
            "cpu_use_limit_percent",
            "cpu_slack_m",
            "memory_request_bytes",
            "memory_limit_bytes",
            "memory_use_bytes",
            "memory_use_request_percent",
            "memory_use_limit_percent",
            "memory_slack_bytes",
            "owner",
        ],
    },
    Look {
        subject: Subject::Workloads,
        kinds: &[Kind::Pod, Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::ReplicaSet, Kind::Job, Kind::CronJob],
        fields: PODS_FIELDS,
    },
    Look { subject: Subject::Namespaces, kinds: &[Kind::Namespace, Kind::Pod], fields: PODS_FIELDS },
];

/// What `qd top` takes.
pub fn names() -> Vec<&'static str> {
    LOOKS.iter().map(|l| l.subject.name()).collect()
}

pub fn run(global: &Global, what: &str, names: &[String]) -> Result<Code, Failure> {
    let look = LOOKS.iter().find(|l| Subject::parse(what) == Ok(l.subject));
    let look = look.ok_or_else(|| Failure::usage(crate::diag::unknown("thing to look at", what, self::names())))?;
    let wanted = Wanted::of(global, look.subject, names)?;
    let runtime = super::runtime()?;
    let code = runtime.block_on(async {
        let (fleet, _) = read::open_with_use(global, look.kinds, global.timeout).await?;
        let ctx = Ctx { store: &fleet.store, now: now() };
        let rows = wanted.rows(&ctx).into_iter().filter_map(|key| Row::of(&fleet.store, key)).filter(|row| told(global, *row)).collect();
        let rows = most_slack_first(&ctx, look, rows);
        let columns: Vec<&'static Column> = look.fields.iter().filter_map(|id| look.subject.column(id).ok()).collect();
        let below = if look.subject == Subject::Nodes { groups(&ctx, &rows) } else { vec![total(&ctx, look.subject, &rows)] };
        print::columns_of(global.output, &ctx, look.subject, &columns, &rows, &below)?;
        let seen = read::health(&fleet, look.subject);
        let measured = measured(&fleet, look, &ctx, &rows);
        Ok::<Code, Failure>(if seen == Code::Done { measured } else { seen })
    })?;
    runtime.shutdown_background();
    Ok(code)
}

/// Whether it is one of those that use something: pods that have not ended, workloads that are nobody's and have pods, the wanted namespaces.
fn told(global: &Global, row: Row<'_>) -> bool {
    let Row::Object(c, o) = row else { return false };
    match o {
        Object::Pod(p) => !p.finished(),
        Object::Namespace(n) => global.namespace.is_empty() || global.namespace.iter().any(|g| **g == *n.meta.name),
        Object::Workload(_) => {
            let live = c.service(Service::Metrics).state == ServiceState::Live;
            std::ptr::eq(c.workload_of(o), o) && (!live || c.usage_of_pods(o).is_some())
        }
        _ => true,
    }
}

/// The number in a field of a row.
fn number(ctx: &Ctx<'_>, subject: Subject, row: Row<'_>, id: &str) -> Option<i64> {
    subject.column(id).ok()?.value(ctx, row).number(ctx.now)
}

/// Who requests most of what nobody uses goes first, cpu and memory each as a part of all there is to gain; the unmeasured last.
fn most_slack_first<'a>(ctx: &Ctx<'a>, look: &Look, rows: Vec<Row<'a>>) -> Vec<Row<'a>> {
    let slack = |row: Row<'a>| ["cpu_slack_m", "memory_slack_bytes"].map(|id| number(ctx, look.subject, row, id));
    let slacks: Vec<[Option<i64>; 2]> = rows.iter().map(|row| slack(*row)).collect();
    let all = [0, 1].map(|n| slacks.iter().filter_map(|s| s[n]).filter(|s| *s > 0).map(|s| s as f64).sum::<f64>().max(1.0));
    let score = |s: &[Option<i64>; 2]| match s {
        [None, None] => f64::NEG_INFINITY,
        [cpu, memory] => cpu.unwrap_or(0) as f64 / all[0] + memory.unwrap_or(0) as f64 / all[1],
    };
    let mut order: Vec<(f64, Row<'a>)> = slacks.iter().map(score).zip(rows).collect();
    let place = |row: &Row<'a>| (row.cluster().id, row.namespace(), row.name());
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| place(&a.1).cmp(&place(&b.1))));
    order.into_iter().map(|(_, row)| row).collect()
}

/// What a group has of one resource.
#[derive(Default)]
struct Packed {
    allocatable: i64,
    request: Option<i64>,
    used: Option<i64>,
    slack: Option<i64>,
    /// Allocatable on the nodes that were measured.
    measured: i64,
}

impl Packed {
    fn add(&mut self, allocatable: i64, request: Option<i64>, used: Option<i64>) {
        let add = |sum: &mut Option<i64>, more: Option<i64>| *sum = more.map_or(*sum, |more| Some(sum.unwrap_or(0) + more));
        self.allocatable += allocatable;
        self.measured += used.map_or(0, |_| allocatable);
        add(&mut self.request, request);
        add(&mut self.used, used);
        add(&mut self.slack, request.zip(used).map(|(request, used)| request - used));
    }
}

fn millicores(n: Option<i64>) -> Value<'static> {
    n.map_or(Value::None, Value::Millicores)
}

fn bytes(n: Option<i64>) -> Value<'static> {
    n.map_or(Value::None, Value::Bytes)
}

fn count(n: usize) -> Value<'static> {
    Value::Int(i64::try_from(n).unwrap_or(i64::MAX))
}

/// Nodes of several clusters together.
#[derive(Default)]
struct Group {
    clusters: BTreeSet<u16>,
    nodes: usize,
    measured: usize,
    packed: [Packed; 2],
}

impl Group {
    fn add(&mut self, ctx: &Ctx<'_>, row: Row<'_>) {
        const FIELDS: [[&str; 3]; 2] =
            [["cpu_allocatable_m", "cpu_request_m", "cpu_use_m"], ["memory_allocatable_bytes", "memory_request_bytes", "memory_use_bytes"]];
        self.clusters.insert(row.cluster().id.0);
        self.nodes += 1;
        for (packed, fields) in self.packed.iter_mut().zip(FIELDS) {
            let [allocatable, request, used] = fields.map(|id| number(ctx, Subject::Nodes, row, id));
            packed.add(allocatable.unwrap_or(0), request, used);
        }
        self.measured += usize::from(number(ctx, Subject::Nodes, row, "cpu_use_m").is_some());
    }

    fn cells(&self) -> Vec<Cell> {
        let [cpu, memory] = &self.packed;
        let of = |part: Option<i64>, whole: i64| part.map_or(Value::None, |part| crate::table::percent(part, whole));
        vec![
            ("clusters", "CLUSTERS", count(self.clusters.len())),
            ("nodes", "NODES", count(self.nodes)),
            ("nodes_measured", "MEASURED", count(self.measured)),
            ("cpu_allocatable_m", "CPU-ALLOC", millicores(Some(cpu.allocatable))),
            ("cpu_request_m", "CPU", millicores(cpu.request)),
            ("cpu_request_percent", "CPU%", of(cpu.request, cpu.allocatable)),
            ("cpu_use_m", "CPU-USE", millicores(cpu.used)),
            ("cpu_use_percent", "CPU-USE%", of(cpu.used, cpu.measured)),
            ("cpu_slack_m", "CPU-SLACK", millicores(cpu.slack)),
            ("memory_allocatable_bytes", "MEM-ALLOC", bytes(Some(memory.allocatable))),
            ("memory_request_bytes", "MEM", bytes(memory.request)),
            ("memory_request_percent", "MEM%", of(memory.request, memory.allocatable)),
            ("memory_use_bytes", "MEM-USE", bytes(memory.used)),
            ("memory_use_percent", "MEM-USE%", of(memory.used, memory.measured)),
            ("memory_slack_bytes", "MEM-SLACK", bytes(memory.slack)),
        ]
    }
}

/// The nodes of each group (room) of clusters together, and all of them.
fn groups(ctx: &Ctx<'_>, rows: &[Row<'_>]) -> Vec<Below> {
    let (mut groups, mut all): (BTreeMap<Option<String>, Group>, Group) = Default::default();
    for row in rows {
        groups.entry(row.cluster().info.group.as_deref().map(str::to_owned)).or_default().add(ctx, *row);
        all.add(ctx, *row);
    }
    let name = |name: Option<String>| vec![("group", "GROUP", Value::from(name.unwrap_or_default()))];
    let rows = groups.into_iter().map(|(group, of)| [name(group), of.cells()].concat()).collect();
    vec![
        Below { id: "groups", rows },
        Below { id: "total", rows: vec![[vec![("all", "ALL", Value::from("nodes"))], all.cells()].concat()] },
    ]
}

/// What all that was measured requests and uses together, and what could be had by shrinking those that use less.
fn total(ctx: &Ctx<'_>, subject: Subject, rows: &[Row<'_>]) -> Below {
    let requests = if subject == Subject::Pods {
        ["cpu_request_m", "memory_request_bytes"]
    } else {
        ["pods_cpu_request_m", "pods_memory_request_bytes"]
    };
    let mut measured = 0;
    let mut sums: [Packed; 2] = Default::default();
    let mut gains: [Option<i64>; 2] = [None; 2];
    for row in rows {
        let of = |id| number(ctx, subject, *row, id);
        measured += usize::from(of("cpu_use_m").is_some());
        let uses = ["cpu_use_m", "memory_use_bytes"].map(of);
        for (n, used) in uses.into_iter().enumerate().filter(|(_, used)| used.is_some()) {
            let request = of(requests[n]).unwrap_or(0);
            sums[n].add(0, Some(request), used);
            gains[n] = used.map(|used| gains[n].unwrap_or(0) + (request - used).max(0));
        }
    }
    let [cpu, memory] = &sums;
    let cells = vec![
        ("all", "ALL", Value::from(subject.name())),
        ("rows", "ROWS", count(rows.len())),
        ("rows_measured", "MEASURED", count(measured)),
        ("cpu_request_m", "CPU-REQ", millicores(cpu.request)),
        ("cpu_use_m", "CPU-USE", millicores(cpu.used)),
        ("cpu_slack_m", "CPU-SLACK", millicores(cpu.slack)),
        ("cpu_gain_m", "CPU-GAIN", millicores(gains[0])),
        ("memory_request_bytes", "MEM-REQ", bytes(memory.request)),
        ("memory_use_bytes", "MEM-USE", bytes(memory.used)),
        ("memory_slack_bytes", "MEM-SLACK", bytes(memory.slack)),
        ("memory_gain_bytes", "MEM-GAIN", bytes(gains[1])),
    ];
    Below { id: "total", rows: vec![cells] }
}

/// Says of which clusters no use is known, and why.
fn measured(fleet: &Fleet, look: &Look, ctx: &Ctx<'_>, rows: &[Row<'_>]) -> Code {
    let mut code = Code::Done;
    for c in fleet.store.clusters().iter().filter(|c| c.state.live()) {
        let slot = c.service(Service::Metrics);
        let id = c.id;
        let own = || rows.iter().filter(move |row| row.cluster().id == id);
        let nothing = || own().count() > 0 && own().all(|row| number(ctx, look.subject, *row, "cpu_use_m").is_none());
        let why = match &slot.state {
            ServiceState::Live if nothing() => format!("nothing was measured of its {}: {}", look.subject.name(), slot.via),
            ServiceState::Live => {
                if let Some(by) = use_from(&slot.via, if look.subject == Subject::Nodes { Kind::Node } else { Kind::Pod }) {
                    eprintln!("qd: {}: use is from {by}", c.info.name);
                }
                continue;
            }
            ServiceState::Waiting => "no answer within the time limit".to_owned(),
            ServiceState::Forbidden { missing } => format!("forbidden, needs {missing}"),
            ServiceState::Absent { hint } => hint.to_string(),
            ServiceState::Stale { reason } | ServiceState::Failing { reason } => reason.to_string(),
        };
        eprintln!("qd: {}: metrics: {why}", c.info.name);
        code = Code::Partial;
    }
    code
}
