//! Pods. What thousands of them have in common (containers, images, requests) is a shared [`PodShape`].

use super::{Condition, Interner, Labels, Meta, Placing, Str, Template, Time, Tri, quantity, template, time, wire};
use std::sync::Arc;

/// `status.phase`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Phase {
    Pending,
    Running,
    Succeeded,
    Failed,
    Unknown,
}

impl Phase {
    fn parse(text: &str) -> Self {
        match text {
            "Pending" => Self::Pending,
            "Running" => Self::Running,
            "Succeeded" => Self::Succeeded,
            "Failed" => Self::Failed,
            _ => Self::Unknown,
        }
    }
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Unknown => "Unknown",
        }
    }
}

/// `status.qosClass`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Qos {
    Guaranteed,
    Burstable,
    BestEffort,
}

impl Qos {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }
}

/// What a container asks for. Millicores and bytes; none where nothing is asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Resources {
    pub cpu_request_m: Option<i64>,
    pub cpu_limit_m: Option<i64>,
    pub memory_request: Option<i64>,
    pub memory_limit: Option<i64>,
}

impl Resources {
    fn of(r: Option<&wire::ResourceRequirements>) -> Self {
        let Some(r) = r else { return Self::default() };
        let get = |set: &[wire::QuantityPair], key: &str, read: fn(&str) -> Option<i64>| {
            set.iter().find(|p| p.key == key).and_then(|p| p.value.as_ref()).and_then(|q| read(&q.text))
        };
        Self {
            cpu_request_m: get(&r.requests, "cpu", quantity::milli),
            cpu_limit_m: get(&r.limits, "cpu", quantity::milli),
            memory_request: get(&r.requests, "memory", quantity::whole),
            memory_limit: get(&r.limits, "memory", quantity::whole),
        }
    }
    fn combine(self, other: Self, f: fn(i64, i64) -> i64) -> Self {
        let f = |a: Option<i64>, b: Option<i64>| match (a, b) {
            (Some(a), Some(b)) => Some(f(a, b)),
            (a, b) => a.or(b),
        };
        Self {
            cpu_request_m: f(self.cpu_request_m, other.cpu_request_m),
            cpu_limit_m: f(self.cpu_limit_m, other.cpu_limit_m),
            memory_request: f(self.memory_request, other.memory_request),
            memory_limit: f(self.memory_limit, other.memory_limit),
        }
    }
}

/// A container as the template has it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ContainerSpec {
    pub name: Str,
    pub image: Str,
    pub resources: Resources,
    /// An init container that keeps running.
    pub sidecar: bool,
    pub liveness: bool,
    pub readiness: bool,
    pub startup: bool,
}

/// What pods of one template share.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PodShape {
    pub containers: Box<[ContainerSpec]>,
    pub init: Box<[ContainerSpec]>,
    /// What the scheduler reserves: containers, sidecars, the largest init container, overhead; pod-level resources win.
    pub requests: Resources,
    pub priority_class: Option<Str>,
    pub priority: i32,
    pub service_account: Str,
    pub host_network: bool,
    /// Its containers get variables of every Service of their namespace: `enableServiceLinks`.
    pub service_links: bool,
    pub restart_policy: Str,
    /// Seconds.
    pub grace: u32,
    pub node_selector: Labels,
    pub placing: Box<Placing>,
    pub scheduling_gates: Box<[Str]>,
    /// Its `/proc` is lxcfs's.
    pub lxcfs: Option<Lxcfs>,
    /// What else rules read; only where nobody above has a template: of workloads and pods without an owner.
    pub template: Option<Box<Template>>,
}

/// How a pod mounts lxcfs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lxcfs {
    /// Its files as they were when the container started: a restart of lxcfs breaks them.
    Pinned,
    /// The directory above them, with the host's mounts following.
    Follows,
}

impl PodShape {
    /// Projects a pod's or a template's spec; with what else rules read where it is `whole`.
    pub fn of(spec: &wire::PodSpec, whole: bool, i: &mut Interner) -> Arc<Self> {
        let mut container = |c: &wire::Container| ContainerSpec {
            name: i.str(&c.name),
            image: i.str(&c.image),
            resources: Resources::of(c.resources.as_ref()),
            sidecar: c.restart_policy == "Always",
            liveness: c.liveness_probe.is_some(),
            readiness: c.readiness_probe.is_some(),
            startup: c.startup_probe.is_some(),
        };
        let containers: Box<[_]> = spec.containers.iter().map(&mut container).collect();
        let init: Box<[_]> = spec.init_containers.iter().map(&mut container).collect();
        let shape = Self {
            requests: effective(&containers, &init, spec),
            containers,
            init,
            priority_class: i.opt(&spec.priority_class_name),
            priority: spec.priority.unwrap_or(0),
            service_account: i.str(&spec.service_account_name),
            host_network: spec.host_network,
            service_links: spec.enable_service_links.unwrap_or(true),
            restart_policy: i.str(&spec.restart_policy),
            grace: spec.termination_grace_period_seconds.and_then(|s| u32::try_from(s).ok()).unwrap_or(30),
            node_selector: i.labels(&spec.node_selector),
            placing: Box::new(Placing::of(spec, i)),
            scheduling_gates: spec.scheduling_gates.iter().map(|g| i.str(&g.name)).collect(),
            lxcfs: template::lxcfs(spec),
            template: whole.then(|| Box::new(Template::of(spec, i))),
        };
        i.shape(shape)
    }
}

/// The pod's effective requests and limits (KEP-753: sidecars run beside, other init containers before).
fn effective(containers: &[ContainerSpec], init: &[ContainerSpec], spec: &wire::PodSpec) -> Resources {
    let add = |a: Resources, b: Resources| a.combine(b, i64::saturating_add);
    let main = containers.iter().fold(Resources::default(), |sum, c| add(sum, c.resources));
    let (mut sidecars, mut peak) = (Resources::default(), Resources::default());
    for c in init {
        let now = add(sidecars, c.resources);
        if c.sidecar {
            sidecars = now;
        }
        peak = peak.combine(now, i64::max);
    }
    let mut sum = add(main, sidecars).combine(peak, i64::max);
    let pod = Resources::of(spec.resources.as_ref());
    sum = Resources {
        cpu_request_m: pod.cpu_request_m.or(sum.cpu_request_m),
        cpu_limit_m: pod.cpu_limit_m.or(sum.cpu_limit_m),
        memory_request: pod.memory_request.or(sum.memory_request),
        memory_limit: pod.memory_limit.or(sum.memory_limit),
    };
    let overhead = Resources::of(Some(&wire::ResourceRequirements { requests: spec.overhead.clone(), limits: Vec::new() }));
    add(sum, overhead)
}

/// How a container ended.
#[derive(Clone, PartialEq, Debug)]
pub struct Terminated {
    pub exit_code: i32,
    pub signal: i32,
    pub reason: Option<Str>,
    pub message: Option<Str>,
    pub started: Option<Time>,
    pub finished: Option<Time>,
}

/// What a container does now.
#[derive(Clone, PartialEq, Debug)]
pub enum ContainerState {
    Waiting { reason: Option<Str>, message: Option<Box<Str>> },
    Running { since: Option<Time> },
    Terminated(Box<Terminated>),
}

/// A container's status.
#[derive(Clone, PartialEq, Debug)]
pub struct ContainerStatus {
    pub name: Str,
    pub state: ContainerState,
    /// How the previous instance ended.
    pub last: Option<Box<Terminated>>,
    pub restarts: u32,
    pub ready: bool,
    pub started: bool,
}

impl ContainerStatus {
    fn of(s: &wire::ContainerStatus, i: &mut Interner) -> Self {
        let state = s.state.clone().unwrap_or_default();
        Self {
            name: i.str(&s.name),
            state: if let Some(t) = &state.terminated {
                ContainerState::Terminated(terminated(t, i))
            } else if let Some(r) = &state.running {
                ContainerState::Running { since: time::of(r.started_at) }
            } else {
                let w = state.waiting.unwrap_or_default();
                ContainerState::Waiting { reason: i.opt(&w.reason), message: i.opt(&w.message).map(Box::new) }
            },
            last: s.last_state.as_ref().and_then(|l| l.terminated.as_ref()).map(|t| terminated(t, i)),
            restarts: u32::try_from(s.restart_count).unwrap_or(0),
            ready: s.ready,
            started: s.started.unwrap_or(false),
        }
    }

    /// `waiting.reason`.
    pub fn waiting_reason(&self) -> Option<&str> {
        match &self.state {
            ContainerState::Waiting { reason, .. } => reason.as_deref(),
            _ => None,
        }
    }

    /// How it ended, when it has ended.
    pub fn terminated(&self) -> Option<&Terminated> {
        match &self.state {
            ContainerState::Terminated(t) => Some(t),
            _ => None,
        }
    }
}

fn terminated(t: &wire::ContainerStateTerminated, i: &mut Interner) -> Box<Terminated> {
    Box::new(Terminated {
        exit_code: t.exit_code,
        signal: t.signal,
        reason: i.opt(&t.reason),
        message: i.opt(&t.message),
        started: time::of(t.started_at),
        finished: time::of(t.finished_at),
    })
}

/// A pod.
#[derive(Clone, PartialEq, Debug)]
pub struct Pod {
    pub meta: Meta,
    pub shape: Arc<PodShape>,
    pub node: Option<Str>,
    pub phase: Phase,
    pub qos: Qos,
    /// The API's picture of a pod that a kubelet runs from a file: it cannot be moved.
    pub mirror: bool,
    pub ready: Tri,
    /// Last change of Ready.
    pub ready_since: Option<Time>,
    pub reason: Option<Str>,
    pub message: Option<Str>,
    pub ip: Option<Box<str>>,
    pub started: Option<Time>,
    /// In the order of the shape's containers where the status names them.
    pub containers: Box<[ContainerStatus]>,
    pub init: Box<[ContainerStatus]>,
    /// Conditions that say more than "as it should be": PodScheduled while false, Ready's reason, DisruptionTarget, custom gates.
    pub conditions: Box<[Condition]>,
    /// The claims that it mounts, by name.
    pub claims: Box<[Str]>,
}

impl Pod {
    /// Projects the wire's object.
    pub fn of(o: &wire::Pod, i: &mut Interner) -> Self {
        let (nospec, nostatus) = (wire::PodSpec::default(), wire::PodStatus::default());
        let (spec, status) = (o.spec.as_ref().unwrap_or(&nospec), o.status.as_ref().unwrap_or(&nostatus));
        let ready = status.conditions.iter().find(|c| c.r#type == "Ready");
        let usual = |c: &&wire::PodCondition| {
            !(c.status == "True"
                && matches!(c.r#type.as_str(), "Ready" | "PodScheduled" | "Initialized" | "ContainersReady" | "PodReadyToStartContainers"))
        };
        Self {
            meta: Meta::of(o.metadata.as_ref(), i),
            shape: PodShape::of(spec, o.metadata.as_ref().is_none_or(|m| m.owner_references.is_empty()), i),
            node: i.opt(&spec.node_name),
            phase: Phase::parse(&status.phase),
            qos: match status.qos_class.as_str() {
                "Guaranteed" => Qos::Guaranteed,
                "Burstable" => Qos::Burstable,
                _ => Qos::BestEffort,
            },
            mirror: o.metadata.as_ref().is_some_and(|m| m.annotations.iter().any(|p| p.key == "kubernetes.io/config.mirror")),
            ready: ready.map_or(Tri::Unknown, |c| Tri::parse(&c.status)),
            ready_since: ready.and_then(|c| time::of(c.last_transition_time)),
            reason: i.opt(&status.reason),
            message: i.opt(&status.message),
            ip: (!status.pod_ip.is_empty()).then(|| status.pod_ip.as_str().into()),
            started: time::of(status.start_time),
            containers: status.container_statuses.iter().map(|s| ContainerStatus::of(s, i)).collect(),
            init: status.init_container_statuses.iter().map(|s| ContainerStatus::of(s, i)).collect(),
            conditions: status
                .conditions
                .iter()
                .filter(usual)
                .map(|c| Condition::of(&c.r#type, &c.status, &c.reason, &c.message, c.last_transition_time, i))
                .collect(),
            claims: spec
                .volumes
                .iter()
                .filter_map(|v| v.source.as_ref()?.persistent_volume_claim.as_ref())
                .map(|c| i.str(&c.claim_name))
                .collect(),
        }
    }

    /// Ready containers and all, as `kubectl get` counts them: restartable init containers (sidecars) included.
    pub fn ready_containers(&self) -> (usize, usize) {
        let sidecar = |s: &&ContainerStatus| self.shape.init.iter().any(|c| c.sidecar && c.name == s.name);
        let total = self.shape.containers.len() + self.shape.init.iter().filter(|c| c.sidecar).count();
        let ready = self.containers.iter().filter(|c| c.ready).count() + self.init.iter().filter(sidecar).filter(|c| c.ready).count();
        (ready, total)
    }

    /// All restarts, sidecars included; other init containers while they run.
    pub fn restarts(&self) -> u32 {
        self.restarted().map(|c| c.restarts).sum()
    }

    /// The statuses whose restarts count.
    fn restarted(&self) -> impl Iterator<Item = &ContainerStatus> {
        let initializing = self.initializing().is_some();
        let init = self.init.iter().filter(move |s| initializing || self.shape.init.iter().any(|c| c.sidecar && c.name == s.name));
        init.chain(self.containers.iter().filter(move |_| !initializing))
    }

    /// The container that ended last among those that were restarted.
    pub fn last_termination(&self) -> Option<(&ContainerStatus, &Terminated)> {
        let all = self.init.iter().chain(&self.containers);
        all.filter_map(|c| c.last.as_deref().map(|t| (c, t))).max_by_key(|(_, t)| t.finished)
    }

    /// The init container that the pod is still at: its index.
    fn initializing(&self) -> Option<usize> {
        self.init.iter().enumerate().find_map(|(at, s)| {
            let sidecar = self.shape.init.iter().any(|c| c.sidecar && c.name == s.name);
            let done = s.terminated().is_some_and(|t| t.exit_code == 0) || (sidecar && s.started);
            (!done).then_some(at)
        })
    }

    /// What `kubectl get pods` shows as STATUS.
    pub fn status(&self) -> std::borrow::Cow<'_, str> {
        use std::borrow::Cow;
        let scheduled = super::meta::condition(&self.conditions, "PodScheduled");
        let mut out: Cow<'_, str> = match &self.reason {
            Some(reason) => (&**reason).into(),
            None => self.phase.as_str().into(),
        };
        if scheduled.is_some_and(|c| c.reason.as_deref() == Some("SchedulingGated")) {
            out = "SchedulingGated".into();
        }
        let end = |t: &Terminated| -> Cow<'_, str> {
            match &t.reason {
                Some(r) => r.to_string().into(),
                None if t.signal != 0 => format!("Signal:{}", t.signal).into(),
                None => format!("ExitCode:{}", t.exit_code).into(),
            }
        };
        if let Some(at) = self.initializing() {
            let s = &self.init[at];
            out = match &s.state {
                ContainerState::Terminated(t) => format!("Init:{}", end(t)).into(),
                ContainerState::Waiting { reason: Some(r), .. } if &**r != "PodInitializing" => format!("Init:{r}").into(),
                _ => format!("Init:{at}/{}", self.shape.init.len()).into(),
            };
        } else {
            let mut running = false;
            for s in self.containers.iter().rev() {
                match &s.state {
                    ContainerState::Waiting { reason: Some(r), .. } => out = (&**r).into(),
                    ContainerState::Terminated(t) => out = end(t),
                    ContainerState::Running { .. } if s.ready => running = true,
                    _ => {}
                }
            }
            if out == "Completed" && running {
                out = if self.ready == Tri::True { "Running" } else { "NotReady" }.into();
            }
        }
        if self.meta.deleting.is_some() {
            if self.reason.as_deref() == Some("NodeLost") {
                out = "Unknown".into();
            } else if !matches!(self.phase, Phase::Succeeded | Phase::Failed) {
                out = "Terminating".into();
            }
        }
        out
    }

    /// Ended: it uses nothing any more.
    pub fn finished(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }

    /// Not as it should be: pending, failed, not ready, waiting, stuck. A finished Job's pod is fine.
    pub fn bad(&self) -> bool {
        match self.phase {
            Phase::Succeeded => false,
            Phase::Running => self.ready != Tri::True && self.meta.deleting.is_none(),
            Phase::Pending => self.meta.deleting.is_none(),
            Phase::Failed | Phase::Unknown => true,
        }
    }
}
