//! The kinds of rows that there are, what each is called, and who tells of it.

use super::Service;

/// A kind of rows. The register is [`Kind::ALL`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    Node,
    Pod,
    Deployment,
    StatefulSet,
    DaemonSet,
    ReplicaSet,
    Job,
    CronJob,
    Hpa,
    Pdb,
    Event,
    Namespace,
    Claim,
    Service,
    EndpointSlice,
    Ingress,
    Backup,
    Restore,
    Schedule,
    StorageLocation,
    EtcdMember,
    Alert,
    Silence,
    Signal,
    Finding,
}

/// Who tells of a kind's rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Feed {
    /// Watched at the API server.
    Api,
    /// Polled from a service.
    Service(Service),
    /// Judged here from the other rows.
    Rules,
}

/// What a kind is called and where it lives.
pub struct KindInfo {
    pub kind: Kind,
    /// As `kind:` says.
    pub name: &'static str,
    /// Lower-case plural, as in the URL.
    pub plural: &'static str,
    /// What else people type: singular, short names.
    pub aliases: &'static [&'static str],
    /// Empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    pub namespaced: bool,
    pub feed: Feed,
}

const fn info(
    kind: Kind,
    name: &'static str,
    plural: &'static str,
    aliases: &'static [&'static str],
    group: &'static str,
    version: &'static str,
    namespaced: bool,
) -> KindInfo {
    KindInfo { kind, name, plural, aliases, group, version, namespaced, feed: Feed::Api }
}

/// A kind that no API server has.
const fn told(
    kind: Kind,
    name: &'static str,
    plural: &'static str,
    aliases: &'static [&'static str],
    service: Service,
    namespaced: bool,
) -> KindInfo {
    KindInfo { kind, name, plural, aliases, group: "", version: "", namespaced, feed: Feed::Service(service) }
}

const VELERO: &str = "velero.io";

static KINDS: [KindInfo; 25] = [
    info(Kind::Node, "Node", "nodes", &["node", "no"], "", "v1", false),
    info(Kind::Pod, "Pod", "pods", &["pod", "po"], "", "v1", true),
    info(Kind::Deployment, "Deployment", "deployments", &["deployment", "deploy"], "apps", "v1", true),
    info(Kind::StatefulSet, "StatefulSet", "statefulsets", &["statefulset", "sts"], "apps", "v1", true),
    info(Kind::DaemonSet, "DaemonSet", "daemonsets", &["daemonset", "ds"], "apps", "v1", true),
    info(Kind::ReplicaSet, "ReplicaSet", "replicasets", &["replicaset", "rs"], "apps", "v1", true),
    info(Kind::Job, "Job", "jobs", &["job"], "batch", "v1", true),
    info(Kind::CronJob, "CronJob", "cronjobs", &["cronjob", "cj"], "batch", "v1", true),
    info(
        Kind::Hpa,
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        &["horizontalpodautoscaler", "hpa", "hpas"],
        "autoscaling",
        "v2",
        true,
    ),
    info(Kind::Pdb, "PodDisruptionBudget", "poddisruptionbudgets", &["poddisruptionbudget", "pdb", "pdbs"], "policy", "v1", true),
    info(Kind::Event, "Event", "events", &["event", "ev"], "", "v1", true),
    info(Kind::Namespace, "Namespace", "namespaces", &["namespace", "ns"], "", "v1", false),
    info(Kind::Claim, "PersistentVolumeClaim", "persistentvolumeclaims", &["persistentvolumeclaim", "pvc", "pvcs"], "", "v1", true),
    info(Kind::Service, "Service", "services", &["service", "svc"], "", "v1", true),
    info(Kind::EndpointSlice, "EndpointSlice", "endpointslices", &["endpointslice"], "discovery.k8s.io", "v1", true),
    info(Kind::Ingress, "Ingress", "ingresses", &["ingress", "ing"], "networking.k8s.io", "v1", true),
    info(Kind::Backup, "Backup", "backups", &["backup"], VELERO, "v1", true),
    info(Kind::Restore, "Restore", "restores", &["restore"], VELERO, "v1", true),
    info(Kind::Schedule, "Schedule", "schedules", &["schedule"], VELERO, "v1", true),
    info(
        Kind::StorageLocation,
        "BackupStorageLocation",
        "backupstoragelocations",
        &["backupstoragelocation", "bsl", "locations", "location"],
        VELERO,
        "v1",
        true,
    ),
    told(Kind::EtcdMember, "EtcdMember", "etcdmembers", &["etcdmember", "etcd"], Service::Etcd, false),
    told(Kind::Alert, "Alert", "alerts", &["alert"], Service::Alertmanager, true),
    told(Kind::Silence, "Silence", "silences", &["silence"], Service::Alertmanager, false),
    told(Kind::Signal, "Signal", "signals", &["signal"], Service::Prometheus, true),
    KindInfo {
        kind: Kind::Finding,
        name: "Finding",
        plural: "findings",
        aliases: &["finding"],
        group: "",
        version: "",
        namespaced: true,
        feed: Feed::Rules,
    },
];

/// The first of all: those that services tell of come last.
const fn watched() -> [Kind; 20] {
    let (mut kinds, mut at) = ([Kind::Node; 20], 0);
    while at < kinds.len() {
        kinds[at] = Kind::ALL[at];
        at += 1;
    }
    kinds
}

impl Kind {
    /// Every kind, in the order of the panes.
    pub const ALL: [Kind; 25] = [
        Kind::Node,
        Kind::Pod,
        Kind::Deployment,
        Kind::StatefulSet,
        Kind::DaemonSet,
        Kind::ReplicaSet,
        Kind::Job,
        Kind::CronJob,
        Kind::Hpa,
        Kind::Pdb,
        Kind::Event,
        Kind::Namespace,
        Kind::Claim,
        Kind::Service,
        Kind::EndpointSlice,
        Kind::Ingress,
        Kind::Backup,
        Kind::Restore,
        Kind::Schedule,
        Kind::StorageLocation,
        Kind::EtcdMember,
        Kind::Alert,
        Kind::Silence,
        Kind::Signal,
        Kind::Finding,
    ];
    /// The kinds that are watched at the API server.
    pub const WATCHED: [Kind; 20] = watched();
    /// Velero's kinds: custom resources that many clusters do not have.
    pub const VELERO: [Kind; 4] = [Kind::Backup, Kind::Restore, Kind::Schedule, Kind::StorageLocation];
    /// The kinds of the workloads pane.
    pub const WORKLOADS: [Kind; 6] = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::ReplicaSet, Kind::Job, Kind::CronJob];

    /// Names and place in the API.
    pub fn info(self) -> &'static KindInfo {
        &KINDS[self as usize]
    }
    /// As `kind:` says.
    pub fn name(self) -> &'static str {
        self.info().name
    }
    /// Lower-case plural.
    pub fn plural(self) -> &'static str {
        self.info().plural
    }
    /// The service that tells of it; none: it is watched at the API server.
    pub fn service(self) -> Option<Service> {
        match self.info().feed {
            Feed::Api | Feed::Rules => None,
            Feed::Service(service) => Some(service),
        }
    }
    /// The service that its rows are of, also where the API server keeps them.
    pub fn teller(self) -> Option<Service> {
        self.service().or(Self::VELERO.contains(&self).then_some(Service::Velero))
    }
    /// Whether it is watched at the API server.
    pub fn watched(self) -> bool {
        self.info().feed == Feed::Api
    }
    /// Whether a name in a namespace means one object, and people ask for it by that.
    pub fn one_of_a_name(self) -> bool {
        self.watched() && !matches!(self, Self::Event | Self::EndpointSlice)
    }
    /// Whether a cluster without it lacks nothing: a custom resource, or what a service tells.
    pub fn optional(self) -> bool {
        self.info().group == VELERO || !self.watched()
    }
    /// Whether the API server speaks protobuf for it: it does for its own, and not for custom resources.
    pub fn proto(self) -> bool {
        let group = self.info().group;
        self.watched() && (!group.contains('.') || group.ends_with(".k8s.io"))
    }
    /// What a person typed: any case, plural, singular, short name, with or without `.group` or `.version.group`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (bare, group) = text.split_once('.').map_or((text.as_str(), None), |(bare, group)| (bare, Some(group)));
        let of = |k: &KindInfo| {
            group.is_none_or(|g| g == k.group || g.strip_prefix(k.version).and_then(|g| g.strip_prefix('.')).is_some_and(|g| g == k.group))
        };
        KINDS.iter().find(|k| (k.plural == bare || k.aliases.contains(&bare)) && of(k)).map(|k| k.kind)
    }
    /// Every name that [`Kind::parse`] takes.
    pub fn names() -> impl Iterator<Item = &'static str> {
        KINDS.iter().flat_map(|k| std::iter::once(k.plural).chain(k.aliases.iter().copied()))
    }
    /// The list path: all namespaces, or one.
    pub fn path(self, namespace: Option<&str>) -> String {
        let info = self.info();
        let root = if info.group.is_empty() { format!("/api/{}", info.version) } else { format!("/apis/{}/{}", info.group, info.version) };
        match namespace.filter(|_| info.namespaced) {
            Some(ns) => format!("{root}/namespaces/{ns}/{}", info.plural),
            None => format!("{root}/{}", info.plural),
        }
    }
    /// `apps/v1`, or `v1`.
    pub fn api_version(self) -> String {
        let info = self.info();
        if info.group.is_empty() { info.version.to_owned() } else { format!("{}/{}", info.group, info.version) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn register_is_in_order_and_names_are_unique() {
        for (i, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!((*kind as usize, kind.info().kind), (i, *kind));
        }
        let mut names: Vec<_> = Kind::names().collect();
        let n = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), n);
        assert_eq!(Kind::parse("Deployments.apps"), Some(Kind::Deployment));
        assert_eq!(Kind::parse("deployments.v1.apps"), Some(Kind::Deployment));
        assert_eq!(Kind::parse("backups.velero.io"), Some(Kind::Backup));
        assert_eq!(Kind::parse("backups.postgresql.cnpg.io"), None, "another operator's");
        let (watched, told): (Vec<_>, Vec<_>) = Kind::ALL.into_iter().partition(|k| k.watched());
        assert_eq!((watched.as_slice(), told.len()), (&Kind::WATCHED[..], 5));
        assert!(Kind::Hpa.proto() && !Kind::Backup.proto() && Kind::Backup.optional() && !Kind::Hpa.optional());
        assert_eq!(Kind::Hpa.path(Some("a")), "/apis/autoscaling/v2/namespaces/a/horizontalpodautoscalers");
    }
}
