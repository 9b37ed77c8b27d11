//! The command line as it is typed. Completions and man pages are made from here.

use super::suggest::{self, Suggest};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Every Kubernetes cluster of the fleet at once, live, in one terminal.
#[derive(Parser, Debug)]
#[command(name = "qd", version, about, long_about = None, after_help = "Examples:\n  qd                                  the cockpit, all contexts of the kubeconfig\n  qd demo                             the cockpit on a simulated fleet\n  qd --context prod-eu --screen pods  one cluster, opened on its pods\n  qd get pods --all -o json           every pod of the fleet")]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    /// The screen to open on: cockpit, clusters, nodes, pods, workloads, hpa, pdb, events, namespaces
    #[arg(long, value_name = "NAME", value_parser = Suggest(suggest::screens), hide_possible_values = true)]
    pub screen: Option<String>,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options of every command.
#[derive(Args, Debug, Clone)]
pub struct Global {
    /// The kubeconfig to read instead of $KUBECONFIG or ~/.kube/config
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The configuration file to read instead of the one in the configuration directory
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Only this context; may be given several times
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Vec<String>,
    /// Every context and all namespaces: the default for reads, spelt out
    #[arg(long, global = true)]
    pub all: bool,
    /// Only contexts, display names or groups that match
    #[arg(long, global = true, value_name = "GLOB")]
    pub clusters: Option<String>,
    /// Only this namespace; may be given several times
    #[arg(short, long, global = true, value_name = "NS")]
    pub namespace: Vec<String>,
    /// Only objects with these labels, as kubectl has it
    #[arg(short = 'l', long, global = true, value_name = "LABELS")]
    pub selector: Option<String>,
    /// Only rows that match these terms, as the cockpit's filter has them
    #[arg(long, global = true, value_name = "EXPR")]
    pub filter: Option<String>,
    /// How to print
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// The user to act as
    #[arg(long = "as", global = true, value_name = "USER")]
    pub as_user: Option<String>,
    /// A group to act as; may be given several times
    #[arg(long, global = true, value_name = "GROUP")]
    pub as_group: Vec<String>,
    /// No write request can be made
    #[arg(long, global = true)]
    pub read_only: bool,
    /// How long to wait for clusters, such as 30s
    #[arg(long, global = true, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub timeout: Duration,
    /// What is written to the log file: off, error, warn, info, debug, trace
    #[arg(long, global = true, value_name = "LEVEL", value_parser = Suggest(suggest::log_levels), hide_possible_values = true)]
    pub log_level: Option<String>,
    /// Colours
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
}

pub fn duration(text: &str) -> Result<Duration, String> {
    crate::config::parse_duration(text).ok_or_else(|| "not a duration; write 30s, 5m or 2h".to_owned())
}

/// How a read is printed.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Output {
    Table,
    Wide,
    Json,
    Yaml,
    Csv,
    Name,
    /// Only of qd inspect, as the four that follow
    Markdown,
    Html,
    Sarif,
    Junit,
    Metrics,
}

/// When colours are used.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Color {
    Auto,
    Always,
    Never,
}

/// How a snapshot is written.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Text,
    Ansi,
    Svg,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// The cockpit on a simulated fleet, without any cluster
    #[command(
        after_help = "Here --clusters N says how many there are, and --kubeconfig FILE names one that is written, for kubectl and others; it is there while the demo runs, and with --serve FILE.qd.toml beside it, which says where each etcd is.\n\nA fault is made while it runs by an annotation of namespace kube-system of its cluster, and ends by itself (after a minute, if not said).\n\nFaults of every request: hang, slow MILLISECONDS, drop, refuse, unauthorized, forbidden RESOURCE, gone, too-many SECONDS, broken, truncated BYTES, throttled SECONDS.\n\nFaults of changes: conflicts EVERY, flaky EVERY, fails NAME, webhook WORDS, warns WORDS, cut CHANGES, late CHANGES, stalled CHANGES, denied VERB RESOURCE, expires CHANGES.\n\nExamples:\n  qd demo --scenario on-call-night --clusters 2\n  qd demo --serve --kubeconfig demo.kubeconfig\n  kubectl --kubeconfig demo.kubeconfig --context prod-us annotate --overwrite namespace kube-system demo.quarterdeck/fault='slow 300 for 30s'"
    )]
    Demo(Demo),
    /// One line a cluster: state, nodes, bad pods, requests, latency
    #[command(after_help = "Example:\n  qd fleet -o json")]
    Fleet,
    /// List objects of a kind over the fleet
    #[command(after_help = "Example:\n  qd get pods --filter 'status!=Running restarts>3' -o wide")]
    Get {
        /// A kind as kubectl spells or shortens it, KIND/NAME, or clusters
        #[arg(value_parser = Suggest(suggest::subjects), hide_possible_values = true)]
        kind: String,
        /// Only these names
        names: Vec<String>,
    },
    /// Alerts of every cluster: firing, silenced, inhibited; the same as get alerts
    #[command(after_help = "Example:\n  qd alerts --filter 'status=firing severity=critical'")]
    Alerts {
        /// Only alerts of these names
        names: Vec<String>,
    },
    /// Why an object is as it is, and its YAML
    #[command(after_help = "Example:\n  qd describe deployment/checkout -n pay --context prod-eu")]
    Describe {
        /// KIND/NAME, or KIND and then the name
        #[arg(value_parser = Suggest(suggest::kinds), hide_possible_values = true)]
        object: String,
        name: Option<String>,
    },
    /// What nodes, pods, workloads or namespaces use beside what they request: who is to be shrunk first
    #[command(
        after_help = "From metrics.k8s.io, which metrics-server gives; where that does not answer, from the cluster's Prometheus, and standard error says so. What was not measured is null, and exit code 3 says that something was not. Slack is what is requested and not used; who has most of it stands first, cpu and memory weighed alike. Below nodes stands each group of clusters (room) as a whole, below all the total; GAIN is the slack of those that use less than they request.\n\nExamples:\n  qd top workloads --clusters 'prod-*'\n  qd top nodes --filter 'cpu_use%>80' -o json\n  qd top pods -n pay -l app=checkout"
    )]
    Top {
        /// nodes, pods, workloads or namespaces
        #[arg(value_parser = Suggest(super::top::names), hide_possible_values = true)]
        what: String,
        /// Only these names
        names: Vec<String>,
    },
    /// Logs of a pod, or of all pods of an object or a selection, over the fleet
    #[command(
        after_help = "Of several logs every line begins with CLUSTER/NAMESPACE/POD/CONTAINER, and they are sorted by time.\n\nExamples:\n  qd logs deployment/checkout -n pay -f\n  qd logs -l app=api --clusters 'prod-*' --since 10m -o json\n  qd logs api-0 -n shop --context prod-eu --previous"
    )]
    Logs(Logs),
    /// What is reached of each cluster, how, since when, and what to configure for the rest
    #[command(
        after_help = "Of each cluster: its API server, who we are there, the kinds that we may not see, the services beside it (etcd, Alertmanager, Prometheus, metrics, Velero), and where its findings are read from reports, how old these are.\n\nExit code 0 when all that is configured is reached and may be seen, 3 otherwise.\n\nExample:\n  qd doctor --clusters 'prod-*' -o json"
    )]
    Doctor,
    /// What the rules find in every cluster: what is wrong, why, and what mends it
    #[command(
        after_help = "Exit code 6 when something is found at or above --fail-on, 3 when a cluster or a part of one was not seen, the reports that its findings are read from are missing or stale, or a manifest could not be read.\n\nWith --file no cluster is asked: rules that rest on what objects are meant to be judge the manifests, and those that need a cluster say so.\n\n--publish policyreport writes what is found into each cluster, as PolicyReports of wgpolicyk8s.io: one a namespace, one of the cluster. It is a change as any other: planned, checked, confirmed (--yes), in the audit log. docs/scheduled-inspection.md has the manifests that do it by the clock.\n\nExamples:\n  qd inspect --context lab-1 -o json > monday.json\n  qd inspect --since monday.json --fail-on warning -o sarif\n  qd inspect --area etcd --area backup\n  qd inspect -o html > report.html\n  kustomize build overlays/prod | qd inspect --file - --fail-on warning\n  qd inspect --context lab-1 --publish policyreport --every 15m --yes\n  qd inspect --metrics-file /var/lib/node_exporter/qd.prom"
    )]
    Inspect(super::inspect::Inspect),
    /// The rules: all of them, or one
    #[command(after_help = "Example:\n  qd rule show pdb-blocks-drain")]
    Rule {
        #[command(subcommand)]
        what: RuleCommand,
    },
    /// A screen of the cockpit, drawn once
    #[command(after_help = "Example:\n  qd snapshot --screen cockpit --cols 120 --rows 40 --format svg > cockpit.svg")]
    Snapshot {
        /// The screen, as in --screen
        #[arg(long, value_name = "NAME", default_value = "cockpit", value_parser = Suggest(suggest::screens), hide_possible_values = true)]
        screen: String,
        #[arg(long, default_value_t = 120)]
        cols: u16,
        #[arg(long, default_value_t = 40)]
        rows: u16,
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
        /// The theme instead of the configured one
        #[arg(long, value_name = "NAME", value_parser = Suggest(suggest::themes), hide_possible_values = true)]
        theme: Option<String>,
    },
    /// Jobs: what was done with qd, and what never came to its end
    #[command(after_help = "Example:\n  qd jobs -o json")]
    Jobs,
    /// Run a runbook, or list those there are
    #[command(
        after_help = "Runbooks are [[runbook]] tables of config.toml or of runbooks/*.toml beside it; some come with qd.\n\nExample:\n  qd run node-maintenance --param node=node-0003 --context lab-1"
    )]
    Run {
        /// The runbook; without it, all are listed
        name: Option<String>,
        /// A parameter; may be given several times. A parameter called namespace is also what -n names
        #[arg(long, value_name = "NAME=VALUE")]
        param: Vec<String>,
        #[command(flatten)]
        writing: Writing,
    },
    /// Go on with a job that was interrupted, blocked or stopped
    #[command(after_help = "Example:\n  qd resume 20260301-024730-4f2a --yes")]
    Resume {
        /// The job's name, as qd jobs lists it
        job: String,
        #[command(flatten)]
        writing: Writing,
    },
    /// Take a job back, where its result still stands
    #[command(after_help = "Example:\n  qd undo last --yes")]
    Undo {
        /// The job's name, or last
        job: String,
        #[command(flatten)]
        writing: Writing,
    },
    /// The audit log: who did what, when, where, with which answer
    #[command(
        after_help = "--context NAME: only jobs in that cluster. Exit code 3 when a line is bad or the chain is broken.\n\nExample:\n  qd audit --since 12h -o json"
    )]
    Audit {
        /// Only this job
        #[arg(long, value_name = "JOB")]
        job: Option<String>,
        /// Only this verb, as qd jobs has it
        #[arg(long, value_name = "VERB")]
        verb: Option<String>,
        /// Only what is not older
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        since: Option<Duration>,
    },
    /// The configuration: check it, or show every value and where it came from
    #[command(after_help = "Example:\n  qd config check")]
    Config {
        #[command(subcommand)]
        what: ConfigCommand,
    },
    /// The keys of a keymap
    #[command(after_help = "Example:\n  qd keys vim")]
    Keys {
        /// The keymap; the configured one if left out
        #[arg(value_parser = Suggest(suggest::keymaps), hide_possible_values = true)]
        keymap: Option<String>,
    },
    /// The themes there are, or the roles of one
    #[command(after_help = "Example:\n  qd themes dark")]
    Themes {
        /// The theme; all are listed if left out
        #[arg(value_parser = Suggest(suggest::themes), hide_possible_values = true)]
        theme: Option<String>,
    },
    /// Completions for a shell
    #[command(after_help = "Example:\n  qd completions bash > /etc/bash_completion.d/qd")]
    Completions { shell: clap_complete::Shell },
    /// The manual page
    #[command(after_help = "Example:\n  qd man | man -l -")]
    Man,
}

/// Which logs, and how much of them.
#[derive(Args, Debug, Clone)]
pub struct Logs {
    /// A pod, KIND/NAME, or KIND and then the name; without it -l or --filter chooses pods
    #[arg(value_parser = Suggest(suggest::logged), hide_possible_values = true)]
    pub object: Option<String>,
    /// The name, if the kind stands before it
    pub name: Option<String>,
    /// Go on as lines are written, over restarts; of a workload or a selection pods that come later too
    #[arg(short, long)]
    pub follow: bool,
    /// Of the containers' runs before
    #[arg(short, long)]
    pub previous: bool,
    /// Only this container, init containers among them; all but these if left out
    #[arg(short, long, value_name = "NAME")]
    pub container: Option<String>,
    /// Only so many of the last lines of each; 10 where -l or --filter choose, else all; -1 for all
    #[arg(long, value_name = "LINES", allow_hyphen_values = true)]
    pub tail: Option<i64>,
    /// Only lines younger than this
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub since: Option<Duration>,
    /// With the time of each line
    #[arg(long)]
    pub timestamps: bool,
}

/// The simulated fleet's options.
#[derive(Args, Debug, Clone)]
pub struct Demo {
    /// calm, on-call-night, node-lost, region-down, etcd-quorum, etcd-full, alert-storm, backups, huge, or a file that ends in .toml
    #[arg(long, value_name = "NAME", default_value = "on-call-night", value_parser = Suggest(suggest::scenarios), hide_possible_values = true)]
    pub scenario: String,
    /// Nodes a cluster
    #[arg(long, value_name = "N")]
    pub nodes: Option<usize>,
    /// Pods a cluster
    #[arg(long, value_name = "N")]
    pub pods: Option<usize>,
    /// The same seed gives the same fleet
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Pod updates a second and cluster
    #[arg(long, value_name = "RATE")]
    pub churn: Option<f64>,
    /// As a user who may not see nodes and secrets, nor change anything
    #[arg(long)]
    pub viewer: bool,
    /// Serve only, without the cockpit
    #[arg(long)]
    pub serve: bool,
}

/// The options of what writes; the verbs have the same.
#[derive(Args, Debug, Clone)]
pub struct Writing {
    /// Plan, check and show; nothing is sent but dry runs
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask where the tier is content with a yes
    #[arg(short = 'y', long)]
    pub yes: bool,
    /// The name that production asks to be typed; in bulk with the number of objects
    #[arg(long, value_name = "NAME")]
    pub confirm: Option<String>,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Do not wait for what controllers make of it
    #[arg(long)]
    pub no_wait: bool,
}

#[derive(Subcommand, Debug)]
pub enum RuleCommand {
    /// Every rule, with what it finds
    #[command(
        after_help = "Where clusters are named (--context, --clusters, --all) they are looked at, and each rule says in which of them it is not evaluated, and why.\n\nExample:\n  qd rule list --clusters 'prod-*'"
    )]
    List,
    /// One rule: what it finds, why that matters, what it needs, its thresholds
    Show {
        #[arg(value_name = "ID", value_parser = Suggest(suggest::rules), hide_possible_values = true)]
        id: String,
    },
    /// Judge the cases of your own rules: what they must find, and must not
    #[command(
        after_help = "Without a file, all rules of your own. Each object is judged as a whole and as qd keeps a cluster's.\n\nExit code 0 when every case is as it says, 1 when one is not or a rule has no case in which it fires, 2 when a rule has a mistake.\n\nExample:\n  qd rule test rules/images.toml"
    )]
    Test {
        /// Files of rules
        file: Vec<PathBuf>,
    },
}

#[derive(Subcommand, Debug)]
pub enum ConfigCommand {
    /// Every mistake, with file, line and what was probably meant
    Check,
    /// Every value and where it came from
    Show,
}
