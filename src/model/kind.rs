//! The kinds that are watched now, and what each is called.

/// A watched kind. The register is [`Kind::ALL`].
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
    KindInfo { kind, name, plural, aliases, group, version, namespaced }
}

static KINDS: [KindInfo; 12] = [
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
];

impl Kind {
    /// Every kind, in the order of the panes.
    pub const ALL: [Kind; 12] = [
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
    ];
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
    /// What a person typed: any case, plural, singular, short name, with or without `.group`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let bare = text.split('.').next().unwrap_or(&text);
        KINDS.iter().find(|k| k.plural == bare || k.aliases.contains(&bare)).map(|k| k.kind)
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
        assert_eq!(Kind::Hpa.path(Some("a")), "/apis/autoscaling/v2/namespaces/a/horizontalpodautoscalers");
    }
}
