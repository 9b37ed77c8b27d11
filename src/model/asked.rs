//! What an API server tells of itself when it is asked now and then: what changes too often, or too seldom, to be watched.

use super::{Labels, Str, Time};

/// What was told; or why not, in words: `no right to list leases in kube-system`.
pub type Told<T> = Result<T, Str>;

/// A part of what is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    Leases,
    Checks,
    Hooks,
    Apis,
    Deprecated,
    Scaled,
    Certificates,
    Grants,
    Volumes,
    Kubelets,
    Controllers,
}

impl Part {
    /// The register.
    pub const ALL: [Self; 11] = [
        Self::Leases,
        Self::Checks,
        Self::Hooks,
        Self::Apis,
        Self::Deprecated,
        Self::Scaled,
        Self::Certificates,
        Self::Grants,
        Self::Volumes,
        Self::Kubelets,
        Self::Controllers,
    ];

    /// In words, for `qd rule show`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Leases => "leases of kube-system",
            Self::Checks => "/readyz?verbose of the API server",
            Self::Hooks => "admission webhooks, and the endpoints of their services",
            Self::Apis => "apiservices",
            Self::Deprecated => "/metrics of the API server",
            Self::Scaled => "scaledobjects and scaledjobs of keda.sh",
            Self::Certificates => "a client certificate, or a handshake of our own",
            Self::Grants => "roles and rolebindings, of the cluster too",
            Self::Volumes => "persistentvolumes, and volumesnapshots where there are such",
            Self::Kubelets => "/configz of the kubelets, through nodes/proxy",
            Self::Controllers => "ingress-nginx: its deployments and daemonsets, and the services and the configmap of each",
        }
    }
}

/// A Lease of kube-system that elects a leader.
#[derive(Clone, PartialEq, Debug)]
pub struct Lease {
    pub name: Str,
    pub holder: Str,
    /// Seconds that a renewal holds.
    pub duration: i64,
    /// The last renewal, where it is older than twice that by the server's own clock. A fresh one is not kept: it says nothing.
    pub lapsed: Option<Time>,
    pub transitions: i64,
    /// How often the holder changed within the last hour, as far as that was seen.
    pub changed: u32,
}

/// One webhook of an admission configuration.
#[derive(Clone, PartialEq, Debug)]
pub struct Hook {
    /// Of the configuration.
    pub config: Str,
    pub mutating: bool,
    pub name: Str,
    /// What it does not answer is refused.
    pub fail_closed: bool,
    /// Namespace and name of the Service that answers; none: a URL.
    pub service: Option<(Str, Str)>,
    /// Ready endpoints of it; none: not known.
    pub ready: Option<u32>,
    /// The nodes that these are on.
    pub nodes: Box<[Str]>,
    /// `CREATE, UPDATE of pods`.
    pub matches: Str,
    /// It is asked about pods, or about everything.
    pub pods: bool,
    /// Its selectors leave in kube-system.
    pub system: bool,
    /// They leave in the namespace of its own Service.
    pub own: bool,
    /// Seconds.
    pub timeout: i64,
    /// When the last of the certificates ends by which it is trusted (unix seconds); none: it has none of its own.
    pub trusted: Option<i64>,
}

/// An aggregated API that is not available.
#[derive(Clone, PartialEq, Debug)]
pub struct Api {
    /// `v1beta1.metrics.k8s.io`.
    pub name: Str,
    pub service: Option<(Str, Str)>,
    pub reason: Option<Str>,
    pub message: Option<Str>,
    pub since: Option<Time>,
}

/// An API that is deprecated and was requested since the server started.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Deprecated {
    /// `flowcontrol.apiserver.k8s.io`; empty for the core group.
    pub group: Str,
    pub version: Str,
    pub resource: Str,
    /// `1.38`; empty: not decided.
    pub removed: Str,
}

/// A ScaledObject or ScaledJob of KEDA that does not scale as it is written.
#[derive(Clone, PartialEq, Debug)]
pub struct Scaled {
    pub namespace: Str,
    pub name: Str,
    /// Kind and name of what it scales; `ScaledJob` and its own name, where it makes Jobs.
    pub target: (Str, Str),
    /// The annotations that pause it, as `paused=true`.
    pub paused: Box<[Str]>,
    /// Since when it is paused: as it says, as the annotation was written, or as it was first seen.
    pub since: Option<Time>,
    /// Who wrote the annotation: the manager of the field.
    pub by: Option<Str>,
    /// The condition that is wrong and its message: `Ready`, `Fallback`.
    pub wrong: Option<(Str, Str)>,
    /// Since when, or since when that was seen.
    pub wrong_since: Option<Time>,
    /// Triggers that fail: name, and how often in a row.
    pub failing: Box<[(Str, i64)]>,
}

/// Whose a certificate is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Whose {
    /// The kubeconfig's.
    Ours,
    /// The API server's.
    Server,
    /// One that cert-manager keeps: when its renewal is a day late (unix seconds), and what it says of it.
    Issued { late: i64, why: Str },
}

/// A certificate in use between us and the API server, or one of the cluster's that is not renewed as it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InUse {
    pub whose: Whose,
    /// The common name of its subject; of one of the cluster's namespace and name.
    pub subject: Str,
    /// Unix seconds.
    pub from: i64,
    pub until: i64,
}

/// A kubelet's request for a certificate that nobody has approved or denied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unanswered {
    pub node: Str,
    /// `kubernetes.io/kubelet-serving`.
    pub signer: Str,
    pub since: Time,
}

/// Who has a right.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reach {
    /// All users, or whoever comes.
    Everybody,
    /// A service account.
    Workload,
    /// A user or a group.
    Person,
}

/// A binding that gives much.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    pub binding: Str,
    /// None: in the whole cluster.
    pub namespace: Option<Str>,
    pub role: Str,
    /// `ServiceAccount pay/web`, `Group devs`.
    pub subject: Str,
    pub reach: Reach,
    /// All verbs on all resources of all groups.
    pub everything: bool,
    /// In words, each to follow `may`: `exec into pods`.
    pub powers: Box<[Str]>,
}

/// The phase of a snapshot among [`Unused`].
pub const SNAPSHOT: &str = "Snapshot";

/// A PersistentVolume that no claim has, or a VolumeSnapshot whose claim is gone.
#[derive(Clone, PartialEq, Debug)]
pub struct Unused {
    /// Of a snapshot `ns/name`.
    pub name: Str,
    /// `Released` or `Available`; [`SNAPSHOT`].
    pub phase: Str,
    /// The claim that had it, `ns/name`.
    pub claim: Option<Str>,
    pub class: Str,
    /// What becomes of it: `Retain` or `Delete`; of a snapshot, why it is told.
    pub reclaim: Str,
    /// Bytes.
    pub size: i64,
    pub since: Option<Time>,
}

/// A ResourceQuota that holds for every pod of its namespace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quota {
    pub namespace: Str,
    pub name: Str,
    pub limits: Box<[Limit]>,
}

/// What a quota allows of a resource, and what of that is taken: millicores, bytes, or a count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limit {
    /// `requests.cpu`, `requests.memory`, `limits.cpu`, `limits.memory` or `pods`.
    pub resource: Str,
    pub hard: i64,
    pub used: i64,
}

/// A VolumeAttachment that is being deleted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Detaching {
    /// The PersistentVolume; else the attachment itself.
    pub volume: Str,
    pub node: Str,
    pub since: Time,
    /// What the driver said last.
    pub error: Option<Str>,
}

/// How a kubelet gives out cores, where it evicts and which DNS it names, as its configuration has it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Kubelet {
    pub node: Str,
    /// `cpuManagerPolicy`: `none` or `static`.
    pub cpus: Str,
    /// `topologyManagerPolicy`: `none`, `best-effort`, `restricted` or `single-numa-node`.
    pub topology: Str,
    /// Cores that no pod may use: `reservedSystemCPUs` under `strict-cpu-reservation`.
    pub kept: u32,
    /// `evictionHard` and `evictionSoft`: `memory.available<100Mi,nodefs.available<10%`.
    pub evicts: Str,
    /// `clusterDNS`, with commas between; empty: none.
    pub dns: Str,
}

/// Whether the kubelet of a node that is not ready renews its lease.
#[derive(Clone, PartialEq, Debug)]
pub struct Heartbeat {
    pub node: Str,
    /// The last renewal, where the lease has run out by the API server's own clock; none: it is renewed as it should be.
    pub lapsed: Told<Option<Time>>,
}

/// A Service by which an ingress controller is reached from outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Way {
    pub service: Str,
    /// `LoadBalancer` or `NodePort`.
    pub class: Str,
    /// The annotation by which its balancer ends TLS, and sends on what it has decrypted.
    pub tls: Option<Str>,
    /// The annotation by which its balancer speaks the PROXY protocol.
    pub proxy: Option<Str>,
    /// Some annotation tells the balancer what to do: one that is not told to speak PROXY does not.
    pub told: bool,
}

/// The labels by which charts and manifests name ingress-nginx, each with the values of it.
pub const INGRESS_NGINX: [(&str, &[&str]); 2] =
    [("app.kubernetes.io/name", &["ingress-nginx", "nginx-ingress", "rke2-ingress-nginx"]), ("app", &["ingress-nginx", "nginx-ingress"])];

/// An ingress-nginx controller: what it believes of those before it.
#[derive(Clone, PartialEq, Debug)]
pub struct Controller {
    pub namespace: Str,
    /// Kind and name of what runs it.
    pub of: (Str, Str),
    /// The class of its Ingresses.
    pub class: Str,
    /// Its ConfigMap, `ns/name`; none: it reads none.
    pub config: Option<Str>,
    /// The keys of it that say what it believes.
    pub settings: Labels,
    pub ways: Box<[Way]>,
    /// It takes the ports of its nodes.
    pub host_network: bool,
}

/// All of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Asked {
    pub leases: Told<Box<[Lease]>>,
    /// The checks that fail, each with when that was first seen.
    pub checks: Told<Box<[(Str, Time)]>>,
    pub hooks: Told<Box<[Hook]>>,
    pub apis: Told<Box<[Api]>>,
    pub deprecated: Told<Box<[Deprecated]>>,
    pub scaled: Told<Box<[Scaled]>>,
    pub certificates: Told<Box<[InUse]>>,
    /// None where they may not be listed; no rule needs it.
    pub unanswered: Box<[Unanswered]>,
    pub grants: Told<Box<[Grant]>>,
    pub volumes: Told<Box<[Unused]>>,
    /// No rule needs it.
    pub quotas: Told<Box<[Quota]>>,
    /// None where they may not be listed; no rule needs it.
    pub detaching: Box<[Detaching]>,
    /// Those that answered, by the name of their node. They are asked a few at a time.
    pub kubelets: Told<Box<[Kubelet]>>,
    pub controllers: Told<Box<[Controller]>>,
    /// Of nodes that are not ready, by the name of their node; no rule needs it. They are asked for a few at a time.
    pub heartbeats: Box<[Heartbeat]>,
}

impl Default for Asked {
    fn default() -> Self {
        let not_yet = || Str::from("not asked yet");
        Self {
            leases: Err(not_yet()),
            checks: Err(not_yet()),
            hooks: Err(not_yet()),
            apis: Err(not_yet()),
            deprecated: Err(not_yet()),
            scaled: Err(not_yet()),
            certificates: Err(not_yet()),
            grants: Err(not_yet()),
            volumes: Err(not_yet()),
            kubelets: Err(not_yet()),
            controllers: Err(not_yet()),
            unanswered: Box::default(),
            quotas: Err(not_yet()),
            detaching: Box::default(),
            heartbeats: Box::default(),
        }
    }
}

impl Asked {
    /// Whether anything was heard yet.
    pub fn told(&self) -> bool {
        *self != Self::default()
    }

    /// Why a part is not known; none: it is.
    pub fn lacks(&self, part: Part) -> Option<&Str> {
        match part {
            Part::Leases => self.leases.as_ref().err(),
            Part::Checks => self.checks.as_ref().err(),
            Part::Hooks => self.hooks.as_ref().err(),
            Part::Apis => self.apis.as_ref().err(),
            Part::Deprecated => self.deprecated.as_ref().err(),
            Part::Scaled => self.scaled.as_ref().err(),
            Part::Certificates => self.certificates.as_ref().err(),
            Part::Grants => self.grants.as_ref().err(),
            Part::Volumes => self.volumes.as_ref().err(),
            Part::Kubelets => self.kubelets.as_ref().err(),
            Part::Controllers => self.controllers.as_ref().err(),
        }
    }

    /// Whether a node that is not ready renews its lease, if that is known.
    pub fn heartbeat(&self, node: &str) -> Option<&Heartbeat> {
        self.heartbeats.binary_search_by(|h| (*h.node).cmp(node)).ok().map(|at| &self.heartbeats[at])
    }

    /// The kubelet of a node, if it was heard.
    pub fn kubelet(&self, node: &str) -> Option<&Kubelet> {
        let all = self.kubelets.as_ref().ok()?;
        all.binary_search_by(|k| (*k.node).cmp(node)).ok().map(|at| &all[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_the_name_of_their_node_among_others() {
        let lapsed = |n: usize| Err(Str::from(format!("{n}")));
        let names = ["a", "b", "c", "d"];
        let heartbeats = names.iter().enumerate().map(|(n, node)| Heartbeat { node: (*node).into(), lapsed: lapsed(n) }).collect();
        let kubelets = Ok(names.iter().map(|node| Kubelet { node: (*node).into(), dns: (*node).into(), ..Kubelet::default() }).collect());
        let asked = Asked { heartbeats, kubelets, ..Asked::default() };
        for (n, node) in names.iter().enumerate() {
            assert_eq!(asked.heartbeat(node).map(|h| h.lapsed.clone()), Some(lapsed(n)));
            assert_eq!(asked.kubelet(node).map(|k| &*k.dns), Some(*node));
        }
        assert_eq!((asked.heartbeat("x"), asked.kubelet("x")), (None, None));
    }

    #[test]
    fn what_is_not_told_lacks_and_nothing_else() {
        let lacks = |asked: &Asked| Part::ALL.into_iter().filter(|p| asked.lacks(*p).is_some()).collect::<Vec<_>>();
        assert_eq!(lacks(&Asked::default()), Part::ALL);
        let but = |part: Part| Part::ALL.into_iter().filter(|p| *p != part).collect::<Vec<_>>();
        let none = Asked::default;
        for (asked, part) in [
            (Asked { leases: Ok(Box::default()), ..none() }, Part::Leases),
            (Asked { checks: Ok(Box::default()), ..none() }, Part::Checks),
            (Asked { hooks: Ok(Box::default()), ..none() }, Part::Hooks),
            (Asked { apis: Ok(Box::default()), ..none() }, Part::Apis),
            (Asked { deprecated: Ok(Box::default()), ..none() }, Part::Deprecated),
            (Asked { scaled: Ok(Box::default()), ..none() }, Part::Scaled),
            (Asked { certificates: Ok(Box::default()), ..none() }, Part::Certificates),
            (Asked { grants: Ok(Box::default()), ..none() }, Part::Grants),
            (Asked { volumes: Ok(Box::default()), ..none() }, Part::Volumes),
            (Asked { kubelets: Ok(Box::default()), ..none() }, Part::Kubelets),
            (Asked { controllers: Ok(Box::default()), ..none() }, Part::Controllers),
        ] {
            assert_eq!(lacks(&asked), but(part));
        }
    }
}
