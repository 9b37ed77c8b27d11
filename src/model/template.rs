//! What rules read in a pod template beyond its shape: probes, hooks, spread, the node's own, DNS, and what literals look like.
//!
//! It hangs at the shape, which equal templates share. Pods that somebody owns have none: their owner's counts.

use super::{Interner, Leak, Selector, Str, Told, leak, pod::Lxcfs, quantity, wire};

/// How a probe or a hook does what it does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Handler {
    Http,
    Tcp,
    Grpc,
    Exec,
    Sleep,
    /// None that this version knows.
    Other,
}

/// A probe. Seconds; defaults filled in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Probe {
    pub handler: Handler,
    pub delay: u32,
    pub period: u32,
    pub timeout: u32,
    pub failures: u32,
}

/// What runs before a container is told to stop.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PreStop {
    pub handler: Handler,
    /// Seconds that it waits, as far as it says so: the sleep action, or `sleep 10` in a command.
    pub waits: Option<u32>,
}

/// A literal that looks like a secret. The literal is not kept.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Literal {
    /// The variable or the flag; `argument 3` where it has no name.
    pub name: Str,
    pub looks: Leak,
    /// Characters.
    pub length: u32,
    /// It is an argument, else a variable.
    pub argument: bool,
}

/// A path of the node in a container.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HostMount {
    /// On the node.
    pub path: Str,
    /// In the container.
    pub at: Str,
    pub read_only: bool,
    /// `None`, `HostToContainer`, `Bidirectional`; empty is None.
    pub propagation: Str,
}

/// A container of a template; init containers are among them, last.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ContainerTemplate {
    pub name: Str,
    /// It runs before the others and ends.
    pub init: bool,
    pub readiness: Option<Probe>,
    pub liveness: Option<Probe>,
    pub startup: Option<Probe>,
    pub pre_stop: Option<PreStop>,
    /// The ports that it declares.
    pub ports: Box<[u16]>,
    /// Those that it takes on the node.
    pub host_ports: Box<[u16]>,
    /// Bytes.
    pub ephemeral_request: Option<i64>,
    pub ephemeral_limit: Option<i64>,
    pub privileged: bool,
    /// Capabilities that it adds, without `CAP_`.
    pub capabilities: Box<[Str]>,
    /// `procMount: Unmasked`.
    pub unmasked: bool,
    /// It runs as a process of the (Windows) node.
    pub host_process: bool,
    pub host_mounts: Box<[HostMount]>,
    pub literals: Box<[Literal]>,
    /// Variables that come from Secrets; `envFrom` for all of one.
    pub secret_env: Box<[Str]>,
    /// A variable or an argument names a Service by its DNS name.
    pub names_service: bool,
    pub told: Told,
}

/// A rule that keeps pods apart: a spread constraint, or an anti-affinity.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Apart {
    /// `topologySpreadConstraints` or `podAntiAffinity`.
    pub what: &'static str,
    /// The label of nodes that makes a domain.
    pub topology: Str,
    pub hard: bool,
    /// None selects nothing.
    pub selector: Option<Selector>,
}

/// A disk-backed emptyDir without a limit, or with one (bytes).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Scratch {
    pub name: Str,
    pub limit: Option<i64>,
}

/// How names are resolved.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Dns {
    /// Empty is `ClusterFirst`.
    pub policy: Option<Str>,
    pub nameservers: Box<[Str]>,
    pub searches: Box<[Str]>,
    /// `ndots:2`, `single-request-reopen`.
    pub options: Box<[Str]>,
    /// Names in `hostAliases`.
    pub aliases: u32,
}

/// What rules read in a template.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Template {
    pub containers: Box<[ContainerTemplate]>,
    pub apart: Box<[Apart]>,
    pub scratch: Box<[Scratch]>,
    pub dns: Dns,
    pub host_pid: bool,
    pub host_ipc: bool,
    pub sysctls: Box<[Str]>,
    /// `automountServiceAccountToken`, where it says so.
    pub automount: Option<bool>,
}

/// The directory that lxcfs has on nodes.
const LXCFS: &str = "/var/lib/lxcfs";

impl Template {
    /// Projects a template's spec.
    pub(super) fn of(spec: &wire::PodSpec, i: &mut Interner) -> Self {
        let windows = spec.security_context.as_ref().and_then(|s| s.windows_options.as_ref()).is_some_and(|w| w.host_process);
        let all = spec.containers.iter().map(|c| (c, false));
        let all = all.chain(spec.init_containers.iter().map(|c| (c, c.restart_policy != "Always")));
        let containers = all.map(|(c, init)| container(c, init, windows, spec, i)).collect();
        let empty = |v: &wire::Volume, i: &mut Interner| {
            let dir = v.source.as_ref()?.empty_dir.as_ref().filter(|d| d.medium.is_empty())?;
            Some(Scratch { name: i.str(&v.name), limit: dir.size_limit.as_ref().and_then(|q| quantity::whole(&q.text)) })
        };
        let scratch = spec.volumes.iter().filter_map(|v| empty(v, i)).collect();
        let none = wire::DnsConfig::default();
        let dns = spec.dns_config.as_ref().unwrap_or(&none);
        let option = |o: &wire::DnsOption, i: &mut Interner| {
            if o.value.is_empty() { i.str(&o.name) } else { i.str(&format!("{}:{}", o.name, o.value)) }
        };
        let names: usize = spec.host_aliases.iter().map(|a| a.hostnames.len()).sum();
        Self {
            containers,
            apart: apart(spec, i),
            scratch,
            dns: Dns {
                policy: i.opt(&spec.dns_policy),
                nameservers: strs(&dns.nameservers, i),
                searches: strs(&dns.searches, i),
                options: dns.options.iter().map(|o| option(o, i)).collect(),
                aliases: u32::try_from(names).unwrap_or(u32::MAX),
            },
            host_pid: spec.host_pid,
            host_ipc: spec.host_ipc,
            sysctls: spec.security_context.iter().flat_map(|s| &s.sysctls).map(|s| i.str(&s.name)).collect(),
            automount: spec.automount_service_account_token,
        }
    }

    /// The containers that run while the pod serves.
    pub fn running(&self) -> impl Iterator<Item = &ContainerTemplate> {
        self.containers.iter().filter(|c| !c.init)
    }
}

fn strs(all: &[String], i: &mut Interner) -> Box<[Str]> {
    all.iter().map(|s| i.str(s)).collect()
}

fn apart(spec: &wire::PodSpec, i: &mut Interner) -> Box<[Apart]> {
    let anti = spec.affinity.as_ref().and_then(|a| a.pod_anti_affinity.as_ref());
    let hard = anti.iter().flat_map(|a| &a.required_during_scheduling_ignored_during_execution).map(|t| (t, true));
    let soft = anti.iter().flat_map(|a| &a.preferred_during_scheduling_ignored_during_execution);
    let terms = hard.chain(soft.filter_map(|w| w.pod_affinity_term.as_ref()).map(|t| (t, false)));
    let terms = terms.map(|(t, hard)| ("podAntiAffinity", &t.topology_key, hard, t.label_selector.as_ref()));
    let spreads = spec.topology_spread_constraints.iter();
    let spreads = spreads
        .map(|c| ("topologySpreadConstraints", &c.topology_key, c.when_unsatisfiable != "ScheduleAnyway", c.label_selector.as_ref()));
    let one = |(what, topology, hard, selector): (&'static str, &String, bool, Option<&wire::LabelSelector>)| Apart {
        what,
        topology: i.str(topology),
        hard,
        selector: selector.map(|s| Selector::of(s, i)),
    };
    spreads.chain(terms).map(one).collect()
}

fn container(c: &wire::Container, init: bool, windows: bool, spec: &wire::PodSpec, i: &mut Interner) -> ContainerTemplate {
    let none = wire::SecurityContext::default();
    let security = c.security_context.as_ref().unwrap_or(&none);
    let port = |n: i32| u16::try_from(n).ok().filter(|n| *n > 0);
    let storage = |set: fn(&wire::ResourceRequirements) -> &[wire::QuantityPair]| {
        let pair = set(c.resources.as_ref()?).iter().find(|p| p.key == "ephemeral-storage")?;
        quantity::whole(&pair.value.as_ref()?.text)
    };
    let from_secret = |v: &&wire::EnvVar| v.value_from.as_ref().is_some_and(|s| s.secret_key_ref.is_some());
    let whole = c.env_from.iter().filter(|e| e.secret_ref.is_some()).map(|_| "envFrom");
    let texts = c.env.iter().map(|v| &v.value).chain(&c.command).chain(&c.args);
    ContainerTemplate {
        name: i.str(&c.name),
        init,
        readiness: c.readiness_probe.as_ref().map(probe),
        liveness: c.liveness_probe.as_ref().map(probe),
        startup: c.startup_probe.as_ref().map(probe),
        pre_stop: c.lifecycle.as_ref().and_then(|l| l.pre_stop.as_ref()).map(pre_stop),
        ports: c.ports.iter().filter_map(|p| port(p.container_port)).collect(),
        host_ports: c.ports.iter().filter_map(|p| port(p.host_port)).collect(),
        ephemeral_request: storage(|r| &r.requests),
        ephemeral_limit: storage(|r| &r.limits),
        privileged: security.privileged,
        capabilities: security.capabilities.iter().flat_map(|s| &s.add).map(|s| i.str(s.trim_start_matches("CAP_"))).collect(),
        unmasked: security.proc_mount == "Unmasked",
        host_process: windows || security.windows_options.as_ref().is_some_and(|w| w.host_process),
        host_mounts: mounts(c, spec).map(|(m, path)| host_mount(m, path, i)).collect(),
        names_service: texts.into_iter().any(|t| leak::names_service(t)),
        secret_env: c.env.iter().filter(from_secret).map(|v| v.name.as_str()).chain(whole).map(|n| i.str(n)).collect(),
        literals: literals(c, i),
        told: Told::of(c),
    }
}

/// The mounts of a container whose volume is a path of the node, and that path.
fn mounts<'a>(c: &'a wire::Container, spec: &'a wire::PodSpec) -> impl Iterator<Item = (&'a wire::VolumeMount, &'a str)> {
    let path = |m: &wire::VolumeMount| {
        let volume = spec.volumes.iter().find(|v| v.name == m.name)?;
        volume.source.as_ref()?.host_path.as_ref().map(|h| h.path.as_str())
    };
    c.volume_mounts.iter().filter_map(move |m| path(m).map(|p| (m, p)))
}

fn host_mount(m: &wire::VolumeMount, path: &str, i: &mut Interner) -> HostMount {
    HostMount { path: i.str(path), at: i.str(&m.mount_path), read_only: m.read_only, propagation: i.str(&m.mount_propagation) }
}

/// How a pod mounts lxcfs, if it does. One container whose mounts stay behind is enough.
pub(super) fn lxcfs(spec: &wire::PodSpec) -> Option<Lxcfs> {
    let on_node = |v: &wire::Volume| v.source.as_ref().and_then(|s| s.host_path.as_ref()).is_some_and(|h| h.path.starts_with(LXCFS));
    if !spec.volumes.iter().any(on_node) {
        return None;
    }
    let all = spec.containers.iter().flat_map(|c| mounts(c, spec)).filter(|(_, path)| path.starts_with(LXCFS));
    let one = |(m, path): (&wire::VolumeMount, &str)| {
        let follows = path.trim_end_matches('/') == LXCFS && matches!(m.mount_propagation.as_str(), "HostToContainer" | "Bidirectional");
        // lxcfs itself makes the mounts.
        if m.mount_propagation == "Bidirectional" { None } else { Some(if follows { Lxcfs::Follows } else { Lxcfs::Pinned }) }
    };
    all.filter_map(one).min_by_key(|l| *l == Lxcfs::Follows)
}

fn probe(p: &wire::Probe) -> Probe {
    let none = wire::ProbeHandler::default();
    let h = p.handler.as_ref().unwrap_or(&none);
    let or = |n: i32, default: u32| u32::try_from(n).ok().filter(|n| *n > 0).unwrap_or(default);
    Probe {
        handler: match () {
            () if h.http_get.is_some() => Handler::Http,
            () if h.tcp_socket.is_some() => Handler::Tcp,
            () if h.grpc.is_some() => Handler::Grpc,
            () if h.exec.is_some() => Handler::Exec,
            () => Handler::Other,
        },
        delay: or(p.initial_delay_seconds, 0),
        period: or(p.period_seconds, 10),
        timeout: or(p.timeout_seconds, 1),
        failures: or(p.failure_threshold, 3),
    }
}

fn pre_stop(h: &wire::Hook) -> PreStop {
    if let Some(sleep) = &h.sleep {
        return PreStop { handler: Handler::Sleep, waits: Some(u32::try_from(sleep.seconds).unwrap_or(0)) };
    }
    let Some(exec) = &h.exec else {
        return PreStop { handler: if h.http_get.is_some() { Handler::Http } else { Handler::Other }, waits: None };
    };
    let text = exec.command.join(" ");
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || matches!(c, ';' | '&' | '(' | ')' | '"' | '\'')).filter(|w| !w.is_empty()).collect();
    let sleeps = words.windows(2).filter(|w| w[0] == "sleep" || w[0].ends_with("/sleep"));
    let seconds = |text: &str| {
        let (number, scale) = match text.strip_suffix('m') {
            Some(minutes) => (minutes, 60.0),
            None => (text.trim_end_matches('s'), 1.0),
        };
        number.parse::<f64>().ok().filter(|n| (0.0..86_400.0).contains(n)).map(|n| (n * scale) as u32)
    };
    let waits = sleeps.filter_map(|w| seconds(w[1])).reduce(u32::saturating_add);
    PreStop { handler: Handler::Exec, waits }
}

/// What looks like a secret among a container's variables and arguments.
fn literals(c: &wire::Container, i: &mut Interner) -> Box<[Literal]> {
    let mut all = Vec::new();
    let mut add = |name: &str, said: &str, value: &str, argument: bool| {
        if let Some(looks) = leak::look(said, value) {
            let length = u32::try_from(value.chars().count()).unwrap_or(u32::MAX);
            all.push(Literal { name: i.str(name), looks, length, argument });
        }
    };
    for v in c.env.iter().filter(|v| v.value_from.is_none()) {
        add(&v.name, &v.name, &v.value, false);
    }
    let mut flag: Option<&str> = None;
    for (n, text) in c.command.iter().chain(&c.args).enumerate() {
        let named = text.starts_with('-').then(|| text.split_once('=')).flatten();
        match named {
            Some((name, value)) => add(name, name, value, true),
            // A flag's value may be the next word.
            None if text.starts_with('-') && !text.contains(char::is_whitespace) => {}
            None => add(flag.unwrap_or(&format!("argument {}", n + 1)), flag.unwrap_or_default(), text, true),
        }
        flag = (text.starts_with("--") && named.is_none() && !text.contains(char::is_whitespace)).then_some(text);
    }
    all.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, Object, PodShape, decode_json, decode_proto, object::json_to_proto};
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn shape(kind: Kind, value: &Value, i: &mut Interner) -> Arc<PodShape> {
        let one = decode_json(kind, value.to_string().as_bytes(), i).unwrap();
        let other = decode_proto(kind, &json_to_proto(kind, value).unwrap(), i).unwrap();
        assert_eq!(one, other, "both encodings say the same");
        match one {
            Object::Pod(p) => p.shape.clone(),
            Object::Workload(w) => w.shape.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn deployment(name: &str, spec: &Value) -> Value {
        json!({"metadata": {"name": name, "uid": name}, "spec": {"template": {"metadata": {"labels": {"app": "a"}}, "spec": spec}}})
    }

    fn of(spec: Value) -> Template {
        *shape(Kind::Deployment, &deployment("d", &spec), &mut Interner::default()).template.clone().unwrap()
    }

    #[test]
    fn containers_in_both_encodings() {
        let t = of(
            json!({"hostPID": true, "automountServiceAccountToken": false, "dnsPolicy": "Default", "securityContext": {"sysctls": [{"name": "net.core.somaxconn", "value": "9"}]},
            "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a", "b"]}], "dnsConfig": {"nameservers": ["1.1.1.1"], "options": [{"name": "ndots", "value": "2"}, {"name": "use-vc"}]},
            "volumes": [{"name": "sock", "hostPath": {"path": "/run/containerd/containerd.sock"}}, {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}, {"name": "open", "emptyDir": {}}, {"name": "shm", "emptyDir": {"medium": "Memory"}}],
            "containers": [{"name": "app", "ports": [{"containerPort": 8080, "hostPort": 80}], "resources": {"requests": {"ephemeral-storage": "1Gi"}, "limits": {"ephemeral-storage": "2Gi"}},
                "readinessProbe": {"httpGet": {"port": 8080}, "periodSeconds": 5}, "livenessProbe": {"exec": {"command": ["true"]}, "initialDelaySeconds": 30, "timeoutSeconds": 2, "failureThreshold": 6},
                "startupProbe": {"grpc": {"port": 1}}, "lifecycle": {"preStop": {"sleep": {"seconds": 10}}},
                "securityContext": {"privileged": true, "procMount": "Unmasked", "capabilities": {"add": ["CAP_SYS_ADMIN", "NET_RAW"]}},
                "volumeMounts": [{"name": "sock", "mountPath": "/run/c.sock", "readOnly": true, "mountPropagation": "HostToContainer"}, {"name": "tmp", "mountPath": "/tmp"}]}],
            "initContainers": [{"name": "init"}, {"name": "side", "restartPolicy": "Always"}]}),
        );
        let c = &t.containers[0];
        assert_eq!(c.readiness, Some(Probe { handler: Handler::Http, delay: 0, period: 5, timeout: 1, failures: 3 }));
        assert_eq!(c.liveness, Some(Probe { handler: Handler::Exec, delay: 30, period: 10, timeout: 2, failures: 6 }));
        assert_eq!(c.startup.map(|p| p.handler), Some(Handler::Grpc));
        assert_eq!(c.pre_stop, Some(PreStop { handler: Handler::Sleep, waits: Some(10) }));
        assert_eq!(
            (&*c.ports, &*c.host_ports, c.ephemeral_request, c.ephemeral_limit),
            (&[8080][..], &[80][..], Some(1 << 30), Some(2 << 30))
        );
        assert!(c.privileged && c.unmasked && !c.host_process);
        assert_eq!(c.capabilities.iter().map(|c| &**c).collect::<Vec<_>>(), ["SYS_ADMIN", "NET_RAW"]);
        assert_eq!(c.host_mounts.len(), 1);
        assert_eq!(
            (&*c.host_mounts[0].path, c.host_mounts[0].read_only, &*c.host_mounts[0].propagation),
            ("/run/containerd/containerd.sock", true, "HostToContainer")
        );
        assert_eq!(t.containers.iter().map(|c| (&*c.name, c.init)).collect::<Vec<_>>(), [("app", false), ("init", true), ("side", false)]);
        assert_eq!(t.scratch.iter().map(|s| (&*s.name, s.limit)).collect::<Vec<_>>(), [("tmp", Some(1 << 30)), ("open", None)]);
        assert_eq!((t.dns.policy.as_deref(), t.dns.nameservers.len(), t.dns.aliases), (Some("Default"), 1, 2));
        assert_eq!(t.dns.options.iter().map(|o| &**o).collect::<Vec<_>>(), ["ndots:2", "use-vc"]);
        assert_eq!((t.host_pid, t.host_ipc, t.automount, t.sysctls.len()), (true, false, Some(false), 1));
    }

    #[test]
    fn rules_that_keep_pods_apart_hard_and_soft() {
        let selector = json!({"matchLabels": {"app": "a"}});
        let t = of(
            json!({"containers": [], "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": selector}, {"maxSkew": 1, "topologyKey": "host", "whenUnsatisfiable": "DoNotSchedule"}],
            "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "h1", "labelSelector": selector}],
                "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": {"topologyKey": "h2", "labelSelector": selector}}]}}}),
        );
        let all: Vec<_> = t.apart.iter().map(|a| (&*a.topology, a.hard, a.selector.is_some())).collect();
        assert_eq!(all, [("zone", false, true), ("host", true, false), ("h1", true, true), ("h2", false, true)]);
    }

    #[test]
    fn what_a_hook_waits() {
        let waits = |command: Value| {
            let t = of(json!({"containers": [{"name": "a", "lifecycle": {"preStop": {"exec": {"command": command}}}}]}));
            t.containers[0].pre_stop.and_then(|p| p.waits)
        };
        assert_eq!(waits(json!(["sleep", "10"])), Some(10));
        assert_eq!(waits(json!(["/bin/sh", "-c", "sleep 5; nginx -s quit && /bin/sleep 10s"])), Some(15));
        assert_eq!(waits(json!(["sh", "-c", "kill -QUIT 1"])), None);
    }

    #[test]
    fn equal_templates_are_one_and_no_secret_stays() {
        let spec = json!({"containers": [{"name": "a", "env": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "API_TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}, {"name": "LOG", "value": "info"}, {"name": "DB", "value": "db.pay.svc:5432"}],
            "args": ["--user=me", "--password=hunter2", "--token", "hunter2", "postgres://a:hunter2@db/x"], "envFrom": [{"secretRef": {"name": "s"}}]}]});
        let mut i = Interner::default();
        let (a, b) = (shape(Kind::Deployment, &deployment("a", &spec), &mut i), shape(Kind::Deployment, &deployment("b", &spec), &mut i));
        assert!(Arc::ptr_eq(&a, &b), "shared");
        let text = format!("{a:?}");
        assert!(!text.contains("hunter2") && text.contains("DB_PASSWORD"), "{text}");
        assert_eq!(i.str("probe").len(), 5);
        let c = &a.template.as_ref().unwrap().containers[0];
        let found: Vec<_> = c.literals.iter().map(|l| (&*l.name, l.looks, l.length, l.argument)).collect();
        assert_eq!(
            found,
            [
                ("DB_PASSWORD", Leak::Name, 7, false),
                ("--password", Leak::Name, 7, true),
                ("--token", Leak::Name, 7, true),
                ("argument 5", Leak::Address, 25, true)
            ]
        );
        assert_eq!(c.secret_env.iter().map(|s| &**s).collect::<Vec<_>>(), ["API_TOKEN", "envFrom"]);
        assert!(c.names_service);
    }

    #[test]
    fn only_what_nobody_owns_has_one() {
        let mut i = Interner::default();
        let owned =
            json!({"name": "p", "uid": "p", "ownerReferences": [{"kind": "ReplicaSet", "name": "r", "uid": "r", "controller": true}]});
        let spec = json!({"containers": [{"name": "a"}]});
        assert!(shape(Kind::Pod, &json!({"metadata": owned, "spec": spec}), &mut i).template.is_none());
        assert!(shape(Kind::Pod, &json!({"metadata": {"name": "p", "uid": "p"}, "spec": spec}), &mut i).template.is_some());
        assert!(shape(Kind::ReplicaSet, &json!({"metadata": owned, "spec": {"template": {"spec": spec}}}), &mut i).template.is_none());
        let cron = json!({"metadata": {"name": "c", "uid": "c"}, "spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}}});
        assert!(shape(Kind::CronJob, &cron, &mut i).template.is_some());
    }

    #[test]
    fn lxcfs_by_its_files_or_its_directory() {
        let with = |path: &str, propagation: &str| {
            let spec = json!({"volumes": [{"name": "l", "hostPath": {"path": path}}], "containers": [{"name": "a", "volumeMounts": [{"name": "l", "mountPath": "/proc/meminfo", "mountPropagation": propagation}]}]});
            shape(Kind::Pod, &json!({"metadata": {"name": "p", "uid": "p"}, "spec": spec}), &mut Interner::default()).lxcfs
        };
        assert_eq!(with("/var/lib/lxcfs/proc/meminfo", ""), Some(Lxcfs::Pinned));
        assert_eq!(with("/var/lib/lxcfs/", "HostToContainer"), Some(Lxcfs::Follows));
        assert_eq!(with("/var/lib/lxcfs/proc/meminfo", "HostToContainer"), Some(Lxcfs::Pinned), "a file follows nothing");
        assert_eq!(with("/var/lib/lxcfs", "Bidirectional"), None, "lxcfs itself");
        assert_eq!(with("/var/log", ""), None);
    }
}
