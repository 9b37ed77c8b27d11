//! The tables of a keymap: where in the cockpit a binding counts.

use crate::command::PaneName;

macro_rules! modes {
    ($($variant:ident $name:literal $doc:literal;)*) => {
        /// A table of a keymap. What one is in is a stack of them, the most specific first; see [`Mode::doc`] for which.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Mode { $(#[doc = $doc] $variant),* }

        impl Mode {
            /// In the order in which keymaps list them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The table's name in a keymap file.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// Where it counts.
            #[must_use]
            pub fn doc(self) -> &'static str {
                match self { $(Self::$variant => $doc),* }
            }
        }
    };
}

modes! {
    Global "global" "Everywhere except where text is typed and in dialogs";
    Object "object" "An object is highlighted in a table or open: over `global`";
    Table "table" "Any table, a tile's too: over `object`";
    Text "text" "Any text that scrolls (detail, logs, help): over `object`, or over `global` when it is of no object";
    Cockpit "cockpit" "BURNING and the cluster strip of the cockpit: over `table`";
    Clusters "clusters" "The clusters pane or tile: over `table`, under `detail` and `logs`";
    Nodes "nodes" "As clusters, for nodes";
    Pods "pods" "As clusters, for pods";
    Workloads "workloads" "As clusters, for workloads of every kind";
    Hpa "hpa" "As clusters, for horizontal pod autoscalers";
    Pdb "pdb" "As clusters, for pod disruption budgets";
    Events "events" "As clusters, for events";
    Namespaces "namespaces" "As clusters, for namespaces";
    Claims "pvc" "As clusters, for persistent volume claims";
    Services "services" "As clusters, for Services";
    Ingresses "ingresses" "As clusters, for Ingresses";
    Findings "findings" "As clusters, for what the rules find";
    Etcd "etcd" "As clusters, for etcd's members";
    Alerts "alerts" "As clusters, for alerts";
    Silences "silences" "As clusters, for silences";
    Backups "backups" "As clusters, for Velero's backups";
    Restores "restores" "As clusters, for Velero's restores";
    Schedules "schedules" "As clusters, for Velero's schedules";
    Locations "locations" "As clusters, for Velero's storage locations";
    Signals "signals" "As clusters, for what Prometheus measures";
    Detail "detail" "An object's detail and YAML: over its pane's table, `text`, `object`, `global`";
    Logs "logs" "Logs: over `text` and `global`";
    Jobs "jobs" "The jobs of this session and earlier ones: over `text` and `global`";
    Audit "audit" "The audit log: over `text` and `global`";
    Help "help" "The help screen: over `text` and `global`";
    Editor "editor" "The built-in editor; nothing under it, other keys are text";
    Dialog "dialog" "An overlay that asks or offers a choice; nothing under it";
    Form "form" "A verb's parameters; nothing under it, other keys are text";
    Columns "columns" "The column chooser: over `dialog`";
    Input "input" "Where text is typed (filter, search, a name); nothing under it, other keys are text";
    Palette "palette" "The palette and find: over `input`";
}

impl Mode {
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|mode| mode.name() == name)
    }
}

impl From<PaneName> for Mode {
    fn from(pane: PaneName) -> Self {
        match pane {
            PaneName::Cockpit => Self::Cockpit,
            PaneName::Clusters => Self::Clusters,
            PaneName::Nodes => Self::Nodes,
            PaneName::Pods => Self::Pods,
            PaneName::Workloads
            | PaneName::Deployments
            | PaneName::StatefulSets
            | PaneName::DaemonSets
            | PaneName::ReplicaSets
            | PaneName::Jobs
            | PaneName::CronJobs => Self::Workloads,
            PaneName::Hpa => Self::Hpa,
            PaneName::Pdb => Self::Pdb,
            PaneName::Events => Self::Events,
            PaneName::Namespaces => Self::Namespaces,
            PaneName::Claims => Self::Claims,
            PaneName::Services => Self::Services,
            PaneName::Ingresses => Self::Ingresses,
            PaneName::Findings => Self::Findings,
            PaneName::Etcd => Self::Etcd,
            PaneName::Alerts => Self::Alerts,
            PaneName::Silences => Self::Silences,
            PaneName::Backups => Self::Backups,
            PaneName::Restores => Self::Restores,
            PaneName::Schedules => Self::Schedules,
            PaneName::Locations => Self::Locations,
            PaneName::Signals => Self::Signals,
        }
    }
}
