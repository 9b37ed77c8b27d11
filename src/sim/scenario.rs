//! Scenarios: what a fleet looks like and what goes wrong when, as TOML.

use crate::diag::{Diag, nearest, unknown};
use serde::Deserialize;
use std::path::Path;

/// A fleet and its troubles.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// One sentence.
    pub about: String,
    pub clusters: usize,
    /// Per cluster.
    pub nodes: usize,
    /// Per cluster, about.
    pub pods: usize,
    #[serde(default)]
    pub seed: u64,
    /// Pod updates a second and cluster.
    #[serde(default)]
    pub churn: f64,
    /// Seconds between pods that are replaced; 0: none are.
    #[serde(default)]
    pub replace_every: f64,
    /// The moment of its start, unix seconds; none: now. Only kubectl's tables tell ages by the system's clock all the same.
    #[serde(skip)]
    pub began: Option<i64>,
    #[serde(default, rename = "incident")]
    pub incidents: Vec<Incident>,
}

/// One trouble.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Incident {
    /// The cluster's name.
    pub cluster: String,
    pub what: What,
    /// When, from the fleet's start: `-9m` is nine minutes before.
    pub at: Moment,
    /// How long; for ever when left out.
    pub lasts: Option<Moment>,
    /// `namespace/name`, a node, a zone's letter, a member of etcd, or a silence's matchers.
    #[serde(default)]
    pub target: String,
    /// What a kubelet or a log says.
    pub message: Option<String>,
    /// The image that is rolled out.
    pub image: Option<String>,
    pub exit: Option<i64>,
    pub reason: Option<String>,
    /// Percent, milliseconds, replicas: whatever `what` counts.
    pub amount: Option<i64>,
}

/// What can go wrong.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    ApiHangs,
    ApiRefuses,
    ApiSlow,
    NodeNotReady,
    ZoneLost,
    CrashLoop,
    HpaAtMax,
    PdbBlocks,
    Pending,
    JobFails,
    StuckTerminating,
    /// The newest backup of a schedule has errors.
    BackupFails,
    /// A schedule makes no more backups; the last was `amount` seconds before.
    ScheduleLate,
    /// A member of etcd (`etcd-2`) refuses connections.
    EtcdMemberDown,
    /// A member of etcd takes connections and answers nothing.
    EtcdMemberHangs,
    /// A member of etcd runs an older version on a slow disk, follows from far behind, and its file is mostly empty.
    EtcdMemberAils,
    /// etcd's database grows, and is at its quota after `amount` seconds.
    EtcdFills,
    /// `amount` alerts, within a minute.
    AlertStorm,
    /// Somebody has silenced `target` (`alertname=KubeHpaMaxedOut,namespace=pay`), with `message` as the comment.
    Silence,
    /// A storage location cannot be reached.
    LocationUnavailable,
    /// The Velero server is gone.
    VeleroDown,
    /// The balancer before the Ingress controller ends TLS from now on, and the controller is not told.
    TlsAtBalancer,
    /// The kubelets give out whole cores, and `target`, which is core, asks for fractions.
    CoresPinned,
}

/// Seconds, as `-9m`, `20s`, `1h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment(pub i64);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let wrong = || serde::de::Error::custom(format!("`{text}` is no time; write -9m, 20s or 1h"));
        let unit = text.chars().last().ok_or_else(wrong)?;
        let number: i64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
        let scale = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return Err(wrong()),
        };
        Ok(Self(number.saturating_mul(scale)))
    }
}

/// The scenarios that come with qd: name and text.
pub static BUILT_IN: [(&str, &str); 10] = [
    ("calm", include_str!("../../assets/scenarios/calm.toml")),
    ("on-call-night", include_str!("../../assets/scenarios/on-call-night.toml")),
    ("node-lost", include_str!("../../assets/scenarios/node-lost.toml")),
    ("region-down", include_str!("../../assets/scenarios/region-down.toml")),
    ("etcd-quorum", include_str!("../../assets/scenarios/etcd-quorum.toml")),
    ("etcd-full", include_str!("../../assets/scenarios/etcd-full.toml")),
    ("backups", include_str!("../../assets/scenarios/backups.toml")),
    ("alert-storm", include_str!("../../assets/scenarios/alert-storm.toml")),
    ("from-vms", include_str!("../../assets/scenarios/from-vms.toml")),
    ("huge", include_str!("../../assets/scenarios/huge.toml")),
];

impl Scenario {
    /// One that comes with qd, or a file (whatever ends in `.toml`).
    ///
    /// # Errors
    /// An unknown name with the nearest one, or the file's mistake with its line.
    pub fn load(name: &str) -> Result<Self, Diag> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(n, _)| *n == name) {
            return Self::parse(text, Path::new(&format!("{name}.toml")));
        }
        if !name.ends_with(".toml") {
            let names = BUILT_IN.map(|(n, _)| n);
            return Err(Diag::error(unknown("scenario", name, names))
                .hint(format!("scenarios: {}, or a file that ends in .toml", names.join(", "))));
        }
        let text = std::fs::read_to_string(name).map_err(|e| Diag::error(format!("cannot read the scenario: {e}")).in_file(name))?;
        Self::parse(&text, Path::new(name))
    }

    /// Another size. Fewer clusters leave out what happens in the others.
    ///
    /// # Errors
    /// A fleet of nothing.
    pub fn resize(&mut self, clusters: Option<usize>, nodes: Option<usize>, pods: Option<usize>) -> Result<(), Diag> {
        self.clusters = clusters.unwrap_or(self.clusters);
        self.nodes = nodes.unwrap_or(self.nodes);
        self.pods = pods.unwrap_or(self.pods);
        if self.clusters == 0 || self.nodes == 0 || self.clusters > 500 {
            return Err(Diag::error("a fleet has 1 to 500 clusters, and a node at least in each"));
        }
        let names = names(self.clusters);
        self.incidents.retain(|i| names.contains(&i.cluster));
        Ok(())
    }

    fn parse(text: &str, file: &Path) -> Result<Self, Diag> {
        let wrong = |message: String, offset: usize| Diag::error(message).in_file(file).at(text, offset);
        let scenario: Self = toml::from_str(text).map_err(|e| {
            // serde lists what it knows in backquotes behind what it does not.
            let said: Vec<&str> = e.message().split('`').skip(1).step_by(2).collect();
            let near = said
                .split_first()
                .filter(|_| e.message().starts_with("unknown"))
                .and_then(|(name, known)| nearest(name, known.iter().copied()));
            let message = near.map_or_else(|| e.message().to_owned(), |near| format!("{}; did you mean `{near}`?", e.message()));
            wrong(message, e.span().map_or(0, |s| s.start))
        })?;
        let names = names(scenario.clusters);
        for incident in &scenario.incidents {
            if !names.contains(&incident.cluster) {
                let at = text.find(&format!("\"{}\"", incident.cluster)).unwrap_or(0);
                return Err(wrong(unknown("cluster", &incident.cluster, names.iter().map(String::as_str)), at));
            }
        }
        if scenario.clusters == 0 || scenario.nodes == 0 {
            return Err(wrong("a fleet needs a cluster and a node at least".to_owned(), 0));
        }
        Ok(scenario)
    }
}

/// What the clusters are called.
pub fn names(clusters: usize) -> Vec<String> {
    let first = ["prod-eu", "prod-us", "prod-ap", "staging"];
    (0..clusters).map(|n| first.get(n).map_or_else(|| format!("edge-{:02}", n - 3), |s| (*s).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_come_with_it_are_right() {
        for (name, _) in BUILT_IN {
            Scenario::load(name).unwrap();
        }
        assert_eq!(Scenario::load("calm").unwrap().incidents.len(), 0);
    }

    #[test]
    fn a_mistake_names_its_line_and_the_nearest() {
        let base = "about = \"x\"\nclusters = 2\nnodes = 1\npods = 1\n";
        let incident = |cluster: &str, what: &str, at: &str| {
            format!("{base}[[incident]]\ncluster = \"{cluster}\"\nwhat = \"{what}\"\nat = \"{at}\"\n")
        };
        let said = |text: String| Scenario::parse(&text, Path::new("x.toml")).unwrap_err().to_string();
        assert!(said(format!("{base}nods = 2\n")).starts_with("x.toml:5:"));
        assert!(
            said(incident("prod-eu", "crash-lop", "1s")).contains("x.toml:7:")
                && said(incident("prod-eu", "crash-lop", "1s")).contains("did you mean `crash-loop`")
        );
        assert!(said(incident("prod-ue", "crash-loop", "1s")).contains("did you mean `prod-eu`"));
        assert!(said(incident("prod-eu", "crash-loop", "soon")).contains("no time"));
        assert!(Scenario::load("calmm").unwrap_err().to_string().contains("did you mean `calm`"));
    }
}
