//! Nodes.

use super::{Condition, Interner, Labels, Meta, Str, Tri, meta, quantity, wire};

/// A taint.
#[derive(Clone, PartialEq, Debug)]
pub struct Taint {
    pub key: Str,
    pub value: Str,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: Str,
}
impl std::fmt::Display for Taint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let eq = if self.value.is_empty() { "" } else { "=" };
        write!(f, "{}{eq}{}:{}", self.key, self.value, self.effect)
    }
}

/// A node. Heartbeat times are left out: they change every few seconds and say nothing.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    pub meta: Meta,
    /// Cordoned.
    pub unschedulable: bool,
    pub taints: Box<[Taint]>,
    pub conditions: Box<[Condition]>,
    /// Millicores.
    pub cpu_capacity_m: i64,
    pub cpu_allocatable_m: i64,
    /// Bytes.
    pub memory_capacity: i64,
    pub memory_allocatable: i64,
    pub pods_allocatable: i64,
    pub internal_ip: Option<Str>,
    pub external_ip: Option<Str>,
    pub kernel: Str,
    pub os_image: Str,
    pub runtime: Str,
    pub kubelet: Str,
    pub arch: Str,
    pub os: Str,
    pub pod_cidr: Option<Str>,
}

impl Node {
    /// Projects the wire's object.
    pub fn of(o: &wire::Node, i: &mut Interner) -> Self {
        let (nospec, nostatus, noinfo) = (wire::NodeSpec::default(), wire::NodeStatus::default(), wire::NodeSystemInfo::default());
        let (spec, status) = (o.spec.as_ref().unwrap_or(&nospec), o.status.as_ref().unwrap_or(&nostatus));
        let info = status.node_info.as_ref().unwrap_or(&noinfo);
        let amount = |set: &[wire::QuantityPair], key: &str, read: fn(&str) -> Option<i64>| {
            set.iter().find(|p| p.key == key).and_then(|p| p.value.as_ref()).and_then(|q| read(&q.text)).unwrap_or(0)
        };
        let mut address = |kind: &str| status.addresses.iter().find(|a| a.r#type == kind).map(|a| i.str(&a.address));
        let (internal_ip, external_ip) = (address("InternalIP"), address("ExternalIP"));
        Self {
            unschedulable: spec.unschedulable,
            taints: spec.taints.iter().map(|t| Taint { key: i.str(&t.key), value: i.str(&t.value), effect: i.str(&t.effect) }).collect(),
            conditions: status
                .conditions
                .iter()
                .map(|c| Condition::of(&c.r#type, &c.status, &c.reason, &c.message, c.last_transition_time, i))
                .collect(),
            cpu_capacity_m: amount(&status.capacity, "cpu", quantity::milli),
            cpu_allocatable_m: amount(&status.allocatable, "cpu", quantity::milli),
            memory_capacity: amount(&status.capacity, "memory", quantity::whole),
            memory_allocatable: amount(&status.allocatable, "memory", quantity::whole),
            pods_allocatable: amount(&status.allocatable, "pods", quantity::whole),
            internal_ip,
            external_ip,
            kernel: i.str(&info.kernel_version),
            os_image: i.str(&info.os_image),
            runtime: i.str(&info.container_runtime_version),
            kubelet: i.str(&info.kubelet_version),
            arch: i.str(&info.architecture),
            os: i.str(&info.operating_system),
            pod_cidr: i.opt(&spec.pod_cidr),
            meta: Meta::of(o.metadata.as_ref(), i),
        }
    }

    /// The Ready condition; a node without one is unknown.
    pub fn ready(&self) -> Tri {
        meta::condition(&self.conditions, "Ready").map_or(Tri::Unknown, |c| c.status)
    }

    /// The pressures that are on: `MemoryPressure`, `DiskPressure`, `PIDPressure`.
    pub fn pressures(&self) -> impl Iterator<Item = &Condition> {
        self.conditions.iter().filter(|c| c.kind.ends_with("Pressure") && c.status == Tri::True)
    }

    /// `topology.kubernetes.io/zone`.
    pub fn zone(&self) -> Option<&str> {
        self.meta.labels.get("topology.kubernetes.io/zone")
    }

    /// What nodes that are made alike have in common, in words: the instance type where there is one, else the architecture and the number of
    /// cores; and the roles.
    pub fn model(&self) -> String {
        let labels = &self.meta.labels;
        let named = labels.get("node.kubernetes.io/instance-type").or_else(|| labels.get("beta.kubernetes.io/instance-type"));
        let own = || format!("{} {} cores", self.arch, self.cpu_capacity_m / 1000);
        format!("{} {}", named.map_or_else(own, str::to_owned), self.roles().join(","))
    }

    /// The roles in the `node-role.kubernetes.io/` labels, by name.
    pub fn roles(&self) -> Vec<&str> {
        roles(&self.meta.labels)
    }
}

fn roles(labels: &Labels) -> Vec<&str> {
    let mut roles: Vec<&str> = labels
        .iter()
        .filter_map(|(k, v)| {
            k.strip_prefix("node-role.kubernetes.io/")
                .filter(|r| !r.is_empty())
                .or((k == "kubernetes.io/role" && !v.is_empty()).then_some(v))
        })
        .collect();
    roles.sort_unstable();
    roles.dedup();
    roles
}
