//! Alerts, as Alertmanager (or a Prometheus that has not sent them yet) tells them.

use super::{Kind, Labels, Meta, Str, Time};

/// How an alert stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum AlertState {
    Firing,
    /// Its rule's condition holds, not yet for long enough: Prometheus alone knows of it.
    Pending,
    /// Another alert speaks for it.
    Inhibited,
    /// A silence hides it.
    Silenced,
}

impl AlertState {
    /// One word, as JSON has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Pending => "pending",
            Self::Inhibited => "inhibited",
            Self::Silenced => "silenced",
        }
    }
}

/// An alert.
#[derive(Clone, PartialEq, Debug)]
pub struct Alert {
    /// `name` is the label alertname, `namespace` the label of that name, `labels` all of them, `created` startsAt; the uid is that of
    /// `alert/<fingerprint>`.
    pub meta: Meta,
    /// As Alertmanager names it, hex.
    pub fingerprint: Str,
    pub state: AlertState,
    /// `startsAt`.
    pub starts: Option<Time>,
    /// `updatedAt`.
    pub updated: Option<Time>,
    /// `annotations`.
    pub annotations: Labels,
    /// Ids of the silences that hide it: `status.silencedBy`.
    pub silenced_by: Box<[Str]>,
    /// Fingerprints of the alerts that speak for it: `status.inhibitedBy`.
    pub inhibited_by: Box<[Str]>,
    /// `receivers[].name`.
    pub receivers: Box<[Str]>,
    /// Where its rule is: `generatorURL`.
    pub generator: Option<Str>,
}

/// Labels that name an object of a kind, the most particular first.
const NAMED: [(&str, Kind); 9] = [
    ("pod", Kind::Pod),
    ("horizontalpodautoscaler", Kind::Hpa),
    ("poddisruptionbudget", Kind::Pdb),
    ("deployment", Kind::Deployment),
    ("statefulset", Kind::StatefulSet),
    ("daemonset", Kind::DaemonSet),
    ("job_name", Kind::Job),
    ("cronjob", Kind::CronJob),
    ("node", Kind::Node),
];

impl Alert {
    /// The label `severity`.
    pub fn severity(&self) -> Option<&str> {
        self.meta.labels.get("severity")
    }
    /// Whether somebody should look at once.
    pub fn critical(&self) -> bool {
        matches!(self.severity(), Some("critical" | "page" | "error" | "emergency"))
    }
    /// What it says, in one line: the annotation summary, else message, else description.
    pub fn summary(&self) -> Option<&str> {
        ["summary", "message", "description"].iter().find_map(|name| self.annotations.get(name))
    }
    /// The annotation `runbook_url`.
    pub fn runbook(&self) -> Option<&str> {
        self.annotations.get("runbook_url").or_else(|| self.annotations.get("runbook"))
    }
    /// The objects that its labels name, the most particular first: kind, namespace (empty for what is cluster-wide), name.
    pub fn about(&self) -> impl Iterator<Item = (Kind, &str, &str)> {
        let labels = &self.meta.labels;
        let named = NAMED.iter().filter_map(move |(label, kind)| {
            let name = labels.get(label).filter(|n| !n.is_empty())?;
            let namespace = if kind.info().namespaced { labels.get("namespace")? } else { "" };
            Some((*kind, namespace, name))
        });
        named.chain(labels.get("namespace").filter(|n| !n.is_empty()).map(|ns| (Kind::Namespace, "", ns)))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::Uid;

    pub(crate) fn alert(labels: &[(&str, &str)], state: AlertState) -> Alert {
        let pairs: Vec<(Str, Str)> = labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let labels = Labels::from(pairs);
        let (name, namespace) = (labels.get("alertname").unwrap_or("").into(), labels.get("namespace").unwrap_or("").into());
        let fingerprint = format!("{labels:?}");
        Alert {
            meta: Meta::bare(Uid::parse(&fingerprint), name, namespace, labels, Time::from_secs(1_000)),
            fingerprint: fingerprint.as_str().into(),
            state,
            starts: Time::from_secs(1_000),
            updated: None,
            annotations: Labels::from(vec![("summary".into(), "it burns".into())]),
            silenced_by: Box::default(),
            inhibited_by: Box::default(),
            receivers: Box::default(),
            generator: None,
        }
    }

    #[test]
    fn labels_name_objects_the_most_particular_first() {
        let a =
            alert(&[("alertname", "X"), ("namespace", "pay"), ("node", "n1"), ("pod", "p1"), ("severity", "critical")], AlertState::Firing);
        assert_eq!(a.about().collect::<Vec<_>>(), [(Kind::Pod, "pay", "p1"), (Kind::Node, "", "n1"), (Kind::Namespace, "", "pay")]);
        assert!(a.critical());
        let lost = alert(&[("alertname", "X"), ("pod", "p1")], AlertState::Firing);
        assert_eq!(lost.about().count(), 0, "a pod without a namespace is none");
    }
}
