//! What can be listed, and what people call it.

use super::Column;
use super::columns;
use crate::diag;
use crate::model::{Kind, Object};

/// What a pane or `qd get` lists.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Subject {
    Clusters,
    Nodes,
    Pods,
    /// All six kinds; a ReplicaSet that somebody owns is left out: it only repeats its owner.
    Workloads,
    Deployments,
    StatefulSets,
    DaemonSets,
    ReplicaSets,
    Jobs,
    CronJobs,
    Hpa,
    Pdb,
    Events,
    Namespaces,
    Claims,
    Services,
    Ingresses,
    Etcd,
    Alerts,
    Silences,
    Backups,
    Restores,
    Schedules,
    Locations,
    Signals,
    Findings,
}

/// A name that is not in a register, worded with the nearest that is.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Unknown {
    pub message: String,
    /// The name that was probably meant.
    pub nearest: Option<&'static str>,
}

impl Unknown {
    pub(super) fn new(what: &str, name: &str, candidates: &[&'static str]) -> Self {
        let candidates = || candidates.iter().copied();
        Self { message: diag::unknown(what, name, candidates()), nearest: diag::nearest(name, candidates()) }
    }
}

impl Subject {
    /// The register, in the order of the panes.
    pub const ALL: [Self; 26] = [
        Self::Clusters,
        Self::Nodes,
        Self::Pods,
        Self::Workloads,
        Self::Deployments,
        Self::StatefulSets,
        Self::DaemonSets,
        Self::ReplicaSets,
        Self::Jobs,
        Self::CronJobs,
        Self::Hpa,
        Self::Pdb,
        Self::Events,
        Self::Namespaces,
        Self::Claims,
        Self::Services,
        Self::Ingresses,
        Self::Etcd,
        Self::Alerts,
        Self::Silences,
        Self::Backups,
        Self::Restores,
        Self::Schedules,
        Self::Locations,
        Self::Signals,
        Self::Findings,
    ];

    /// As commands and screens call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clusters => "clusters",
            Self::Nodes => "nodes",
            Self::Pods => "pods",
            Self::Workloads => "workloads",
            Self::Deployments => "deployments",
            Self::StatefulSets => "statefulsets",
            Self::DaemonSets => "daemonsets",
            Self::ReplicaSets => "replicasets",
            Self::Jobs => "jobs",
            Self::CronJobs => "cronjobs",
            Self::Hpa => "hpa",
            Self::Pdb => "pdb",
            Self::Events => "events",
            Self::Namespaces => "namespaces",
            Self::Claims => "pvc",
            Self::Services => "services",
            Self::Ingresses => "ingresses",
            Self::Etcd => "etcd",
            Self::Alerts => "alerts",
            Self::Silences => "silences",
            Self::Backups => "backups",
            Self::Restores => "restores",
            Self::Schedules => "schedules",
            Self::Locations => "locations",
            Self::Signals => "signals",
            Self::Findings => "findings",
        }
    }

    /// As a pane's border has it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Clusters => "CLUSTERS",
            Self::Nodes => "NODES",
            Self::Pods => "PODS",
            Self::Workloads => "WORKLOADS",
            Self::Deployments => "DEPLOYMENTS",
            Self::StatefulSets => "STATEFULSETS",
            Self::DaemonSets => "DAEMONSETS",
            Self::ReplicaSets => "REPLICASETS",
            Self::Jobs => "JOBS",
            Self::CronJobs => "CRONJOBS",
            Self::Hpa => "HPA",
            Self::Pdb => "PDB",
            Self::Events => "EVENTS",
            Self::Namespaces => "NAMESPACES",
            Self::Claims => "PVC",
            Self::Services => "SERVICES",
            Self::Ingresses => "INGRESSES",
            Self::Etcd => "ETCD",
            Self::Alerts => "ALERTS",
            Self::Silences => "SILENCES",
            Self::Backups => "BACKUPS",
            Self::Restores => "RESTORES",
            Self::Schedules => "SCHEDULES",
            Self::Locations => "LOCATIONS",
            Self::Signals => "SIGNALS",
            Self::Findings => "FINDINGS",
        }
    }

    /// The kinds whose rows it lists; none for clusters.
    pub fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Clusters => &[],
            Self::Nodes => &[Kind::Node],
            Self::Pods => &[Kind::Pod],
            Self::Workloads => &Kind::WORKLOADS,
            Self::Deployments => &[Kind::Deployment],
            Self::StatefulSets => &[Kind::StatefulSet],
            Self::DaemonSets => &[Kind::DaemonSet],
            Self::ReplicaSets => &[Kind::ReplicaSet],
            Self::Jobs => &[Kind::Job],
            Self::CronJobs => &[Kind::CronJob],
            Self::Hpa => &[Kind::Hpa],
            Self::Pdb => &[Kind::Pdb],
            Self::Events => &[Kind::Event],
            Self::Namespaces => &[Kind::Namespace],
            Self::Claims => &[Kind::Claim],
            Self::Services => &[Kind::Service],
            Self::Ingresses => &[Kind::Ingress],
            Self::Etcd => &[Kind::EtcdMember],
            Self::Alerts => &[Kind::Alert],
            Self::Silences => &[Kind::Silence],
            Self::Backups => &[Kind::Backup],
            Self::Restores => &[Kind::Restore],
            Self::Schedules => &[Kind::Schedule],
            Self::Locations => &[Kind::StorageLocation],
            Self::Signals => &[Kind::Signal],
            Self::Findings => &[Kind::Finding],
        }
    }

    /// Kinds of other rows that its cells are derived from: when one of these changes, all of its rows may look different. Nodes look at
    /// their own pods alone and find them.
    pub fn leans_on(self) -> &'static [Kind] {
        match self {
            Self::Schedules | Self::Locations => &[Kind::Backup],
            _ => &[],
        }
    }

    /// Whether what nodes or pods use is in its cells: theirs, or that of the pods of its rows.
    pub fn shows_use_of(self, kind: Kind) -> bool {
        let of_pods = |k: &Kind| *k == Kind::Namespace || Kind::WORKLOADS.contains(k);
        self.kinds().contains(&kind) || kind == Kind::Pod && self.kinds().iter().any(of_pods)
    }

    /// The subject that lists this kind alone; of endpoints, the one whose rows have their counts.
    pub fn of_kind(kind: Kind) -> Self {
        let other = if kind == Kind::EndpointSlice { Self::Services } else { Self::Workloads };
        Self::ALL.into_iter().find(|s| s.kinds() == [kind]).unwrap_or(other)
    }

    /// Whether an object of one of its kinds is listed.
    pub fn lists(self, object: &Object) -> bool {
        self != Self::Workloads || object.meta().owner.is_none() || object.kind() != Kind::ReplicaSet
    }

    /// Whether its rows are in namespaces.
    pub fn namespaced(self) -> bool {
        self.kinds().iter().any(|k| k.info().namespaced)
    }

    /// Every name that [`Subject::parse`] takes.
    pub fn names() -> impl Iterator<Item = &'static str> {
        let own = ["clusters", "cluster", "workloads", "workload", "wl", "hpa", "pdb"];
        let listed = |n: &&str| Kind::parse(n) != Some(Kind::EndpointSlice);
        own.into_iter().chain(Kind::names().filter(move |n| !own.contains(n)).filter(listed))
    }

    /// What a person typed: the name, or what kubectl takes for the kind.
    ///
    /// # Errors
    /// When there is no such name; with the nearest.
    pub fn parse(text: &str) -> Result<Self, Unknown> {
        match text.to_ascii_lowercase().as_str() {
            "clusters" | "cluster" => Ok(Self::Clusters),
            "workloads" | "workload" | "wl" => Ok(Self::Workloads),
            _ => Kind::parse(text)
                .filter(|k| *k != Kind::EndpointSlice)
                .map(Self::of_kind)
                .ok_or_else(|| Unknown::new("kind", text, &Self::names().collect::<Vec<_>>())),
        }
    }

    /// Its columns, in their order.
    pub fn columns(self) -> &'static [Column] {
        columns::of(self)
    }

    /// The column of that id, title or alias, in any case; as written before in another case, an id before a title.
    ///
    /// # Errors
    /// When there is no such column; with the nearest.
    pub fn column(self, name: &str) -> Result<&'static Column, Unknown> {
        let columns = self.columns();
        let by_id = |id: &str| columns.iter().find(|c| c.id.eq_ignore_ascii_case(id));
        let exact = columns.iter().find(|c| c.id == name).or_else(|| columns.iter().find(|c| c.title == name));
        let found = exact.or_else(|| by_id(name)).or_else(|| columns.iter().find(|c| c.title.eq_ignore_ascii_case(name)));
        let lower = name.to_ascii_lowercase();
        let alias = || self.aliases().filter(|(alias, _)| *alias == lower).find_map(|(_, id)| by_id(id));
        found.or_else(alias).ok_or_else(|| Unknown::new("field", name, &self.fields()))
    }

    /// Other names of columns, and the ids that they stand for; also of columns that it has not.
    fn aliases(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let own = columns::OWN_ALIASES.iter().filter(move |(subject, ..)| *subject == self).map(|&(_, alias, id)| (alias, id));
        own.chain(columns::ALIASES.iter().copied())
    }

    /// Every name that a filter takes for its columns: ids, and the aliases that lead to one.
    pub fn fields(self) -> Vec<&'static str> {
        let has = |id: &str| self.columns().iter().any(|c| c.id == id);
        let aliases = self.aliases().filter(|(alias, id)| has(id) && !has(alias)).map(|(alias, _)| alias);
        let mut all: Vec<_> = self.columns().iter().map(|c| c.id).chain(aliases).collect();
        let mut seen = hashbrown::HashSet::new();
        all.retain(|f| seen.insert(*f));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kubectls_and_a_slip_gets_a_hint() {
        for (text, expected) in [
            ("po", Subject::Pods),
            ("Pods", Subject::Pods),
            ("deploy", Subject::Deployments),
            ("deployments.apps", Subject::Deployments),
            ("hpa", Subject::Hpa),
            ("pdb", Subject::Pdb),
            ("ns", Subject::Namespaces),
            ("wl", Subject::Workloads),
            ("cluster", Subject::Clusters),
            ("ev", Subject::Events),
            ("sts", Subject::StatefulSets),
            ("cj", Subject::CronJobs),
            ("bsl", Subject::Locations),
            ("pvc", Subject::Claims),
            ("svc", Subject::Services),
            ("ing", Subject::Ingresses),
            ("ingresses.networking.k8s.io", Subject::Ingresses),
            ("backups.velero.io", Subject::Backups),
            ("etcd", Subject::Etcd),
        ] {
            assert_eq!(Subject::parse(text), Ok(expected), "{text}");
        }
        assert!(Subject::parse("endpointslices").is_err(), "Services have their counts");
        assert_eq!(Subject::parse("pdos").unwrap_err().nearest, Some("pods"));
        for s in Subject::ALL {
            assert_eq!(Subject::parse(s.name()), Ok(s));
        }
        for name in Subject::names() {
            assert!(Subject::parse(name).is_ok(), "{name}");
        }
    }
}
