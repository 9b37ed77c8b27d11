//! The closed sets of names that commands take: panes, and what `go` can jump to.

use std::fmt;

macro_rules! named {
    ($(#[$meta:meta])* $enum:ident { $($variant:ident $name:literal [$($alias:literal)*] $doc:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $enum { $(#[doc = $doc] $variant),* }

        impl $enum {
            /// Every one, in the order in which they are listed.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// Other spellings, kubectl's and k9s's short names among them.
            #[must_use]
            pub fn aliases(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($alias),*]),* }
            }

            /// One line, for help and the palette.
            #[must_use]
            pub fn doc(self) -> &'static str {
                match self { $(Self::$variant => $doc),* }
            }

            /// By name or alias.
            #[must_use]
            pub fn find(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|item| item.name() == word || item.aliases().contains(&word))
            }
        }

        impl fmt::Display for $enum {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

named! {
    /// A pane as one asks for it. Single workload kinds are the workloads pane, filtered.
    PaneName {
        Cockpit "cockpit" ["pulse" "pulses" "home"] "The whole fleet: what burns, the clusters, the tiles";
        Clusters "clusters" ["cluster" "context" "contexts" "ctx"] "Clusters with their connection, load and faults";
        Nodes "nodes" ["node" "no"] "Nodes of every cluster";
        Pods "pods" ["pod" "po"] "Pods of every cluster";
        Workloads "workloads" ["workload" "wl" "wk"] "Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs and CronJobs";
        Deployments "deployments" ["deployment" "deploy" "dp"] "Deployments only";
        StatefulSets "statefulsets" ["statefulset" "sts"] "StatefulSets only";
        DaemonSets "daemonsets" ["daemonset" "ds"] "DaemonSets only";
        ReplicaSets "replicasets" ["replicaset" "rs"] "ReplicaSets only";
        Jobs "jobs" ["job"] "Kubernetes Jobs only";
        CronJobs "cronjobs" ["cronjob" "cj"] "CronJobs only";
        Hpa "hpa" ["hpas" "horizontalpodautoscalers" "horizontalpodautoscaler"] "Horizontal pod autoscalers";
        Pdb "pdb" ["pdbs" "poddisruptionbudgets" "poddisruptionbudget"] "Pod disruption budgets";
        Events "events" ["event" "ev"] "Events, newest first";
        Namespaces "namespaces" ["namespace" "ns"] "Namespaces of every cluster";
        Claims "pvc" ["pvcs" "persistentvolumeclaims" "persistentvolumeclaim"] "Persistent volume claims, and how full their volumes are";
        Services "services" ["service" "svc"] "Services, their ports, and how many endpoints answer";
        Ingresses "ingresses" ["ingress" "ing"] "Ingresses: hosts, and the Services that they lead to";
        Findings "findings" ["finding" "inspect" "inspection"] "What the rules find in every cluster: what is wrong, why, and what mends it";
        Etcd "etcd" ["etcdmembers" "etcdmember"] "etcd's members, and whether the quorum holds";
        Alerts "alerts" ["alert"] "Alerts of every cluster: firing, silenced, inhibited";
        Silences "silences" [] "Silences, what each hides and when it ends";
        Backups "backups" ["velero"] "Velero's backups: could we restore, and to when?";
        Restores "restores" [] "Velero's restores";
        Schedules "schedules" [] "Velero's schedules: when they run next, and which are late";
        Locations "locations" ["location" "bsl" "backupstoragelocations" "backupstoragelocation"] "Where Velero keeps its backups";
        Signals "signals" ["signal" "prometheus" "metrics"] "What Prometheus measures: throttling, latencies, volumes, targets";
    }
}

named! {
    /// What one can jump to from the highlighted object.
    Target {
        Node "node" ["nodes" "no"] "The node it runs on";
        Owner "owner" ["owners"] "What created it";
        Pods "pods" ["pod" "po"] "Its pods";
        Hpa "hpa" ["hpas"] "The autoscaler that scales it";
        Pdb "pdb" ["pdbs"] "The disruption budgets that cover it";
        Events "events" ["event" "ev"] "Its events";
        Alerts "alerts" ["alert"] "Its alerts";
        Cluster "cluster" ["ctx"] "Its cluster";
    }
}

/// The panes that the digits 1-9 stand for, `pane 1` first.
pub const PANE_KEYS: [PaneName; 9] = [
    PaneName::Clusters,
    PaneName::Nodes,
    PaneName::Pods,
    PaneName::Workloads,
    PaneName::Hpa,
    PaneName::Pdb,
    PaneName::Events,
    PaneName::Namespaces,
    PaneName::Deployments,
];
