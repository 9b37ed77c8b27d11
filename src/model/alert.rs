//! Alerts, as Alertmanager (or a Prometheus that has not sent them yet) tells them.

use std::borrow::Cow;

use super::{Interner, Kind, Labels, Meta, Str, Time, Uid, alertmanager, time};

/// Labels that usually say whose an alert, or what is in a namespace, is.
pub const OWNER_LABELS: [&str; 2] = ["team", "owner"];

/// How an alert stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum AlertState {
    Firing,
    /// Its rule's condition holds, not yet for long enough: Prometheus alone knows of it.
    Pending,
    /// No alert yet: a target that Prometheus cannot scrape.
    Down,
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
            Self::Down => "down",
            Self::Inhibited => "inhibited",
            Self::Silenced => "silenced",
        }
    }
    /// Whether Prometheus alone knows of it.
    pub fn waits(self) -> bool {
        matches!(self, Self::Pending | Self::Down)
    }
}

/// An alert. Equality leaves `updated` out: it is sent again and again, and that changes nothing.
#[derive(Clone, Debug)]
pub struct Alert {
    /// `name` is the label alertname (the fingerprint where there is none), `namespace` the label of that name, `labels` all of them, `created` startsAt; the uid is that of
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

impl PartialEq for Alert {
    fn eq(&self, other: &Self) -> bool {
        let Self { meta, fingerprint, state, starts, updated: _, annotations, silenced_by, inhibited_by, receivers, generator } = self;
        *meta == other.meta
            && *fingerprint == other.fingerprint
            && *state == other.state
            && *starts == other.starts
            && *annotations == other.annotations
            && *silenced_by == other.silenced_by
            && *inhibited_by == other.inhibited_by
            && *receivers == other.receivers
            && *generator == other.generator
    }
}

/// Labels that name an object of a kind, the most particular first.
const NAMED: [(&str, Kind); 10] = [
    ("persistentvolumeclaim", Kind::Claim),
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
    /// Projects the wire's alert; none when it has no fingerprint, which every alert has.
    pub fn of(o: &alertmanager::Alert, i: &mut Interner) -> Option<Self> {
        let fingerprint: Str = Some(o.fingerprint.as_str()).filter(|f| !f.is_empty())?.into();
        let labels = i.labels(&o.labels.0);
        let name = labels.get("alertname").filter(|n| !n.is_empty()).map_or_else(|| fingerprint.clone(), |n| i.str(n));
        let namespace = i.str(labels.get("namespace").unwrap_or_default());
        let texts = |list: &[String]| list.iter().map(|t| Str::from(t.as_str())).collect::<Box<[Str]>>();
        // An alert in both hands is silenced: that is what somebody wanted.
        let state = match &o.status {
            s if !s.silenced_by.is_empty() => AlertState::Silenced,
            s if !s.inhibited_by.is_empty() => AlertState::Inhibited,
            _ => AlertState::Firing,
        };
        let starts = time::of(o.starts_at);
        Some(Self {
            meta: Meta::bare(Uid::parse(&format!("alert/{fingerprint}")), name, namespace, labels, starts),
            fingerprint,
            state,
            starts,
            updated: time::of(o.updated_at),
            annotations: i.labels(&o.annotations.0),
            silenced_by: texts(&o.status.silenced_by),
            inhibited_by: texts(&o.status.inhibited_by),
            receivers: o.receivers.iter().map(|r| i.str(&r.name)).collect(),
            generator: i.opt(&o.generator_url),
        })
    }
    /// What only Prometheus tells of: pending since then, or a target that is down. Its name is the label alertname, or that.
    pub fn waiting(name: &str, state: AlertState, labels: Labels, annotations: Labels, starts: Option<Time>) -> Self {
        let name: Str = labels.get("alertname").unwrap_or(name).into();
        let namespace: Str = labels.get("namespace").unwrap_or_default().into();
        Self {
            meta: Meta::bare(Uid::parse(&format!("waiting/{}/{name}/{labels:?}", state.word())), name, namespace, labels, starts),
            fingerprint: Str::default(),
            state,
            starts,
            updated: None,
            annotations,
            silenced_by: Box::default(),
            inhibited_by: Box::default(),
            receivers: Box::default(),
            generator: None,
        }
    }
    /// Whether it says all that another one says: the same alert, to which its Prometheus has put labels of its own when it sent it.
    pub fn covers(&self, other: &Self) -> bool {
        other.meta.labels.iter().all(|(name, value)| self.meta.labels.get(name) == Some(value))
    }
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
    /// What it says, else what tells it from others of its name: its labels but those that stand elsewhere (name, severity,
    /// cluster, namespace, the object), as `instance=10.0.0.1:2379 job=etcd`; none where it has no others.
    pub fn says(&self) -> Option<Cow<'_, str>> {
        let elsewhere = |name: &str| matches!(name, "alertname" | "severity" | "cluster" | "namespace" | "prometheus");
        let own = |(name, _): &(&str, &str)| !elsewhere(name) && NAMED.iter().all(|(n, _)| n != name);
        let told = || self.meta.labels.iter().filter(own).map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
        self.summary().map(Cow::Borrowed).or_else(|| Some(told()).filter(|t| !t.is_empty()).map(Cow::Owned))
    }
    /// The annotation `runbook_url`.
    pub fn runbook(&self) -> Option<&str> {
        self.annotations.get("runbook_url").or_else(|| self.annotations.get("runbook"))
    }
    /// The objects that its labels name, the most particular first: kind, namespace (empty for what is cluster-wide), name.
    pub fn about(&self) -> impl Iterator<Item = (Kind, &str, &str)> {
        about(&self.meta.labels)
    }
}

/// The objects that labels name, the most particular first: kind, namespace (empty for what is cluster-wide), name.
pub(super) fn about(labels: &Labels) -> impl Iterator<Item = (Kind, &str, &str)> {
    let named = NAMED.iter().filter_map(move |(label, kind)| {
        let name = labels.get(label).filter(|n| !n.is_empty())?;
        let namespace = if kind.info().namespaced { labels.get("namespace")? } else { "" };
        Some((*kind, namespace, name))
    });
    named.chain(labels.get("namespace").filter(|n| !n.is_empty()).map(|ns| (Kind::Namespace, "", ns)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

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
    fn an_alert_is_read_as_alertmanager_writes_it() {
        let read = |json: &str| Alert::of(&serde_json::from_str(json).unwrap(), &mut Interner::default());
        let text = r#"{"annotations": {"summary": "slow"}, "endsAt": "2026-11-26T10:05:00.000Z", "fingerprint": "5ca1ab1e",
            "receivers": [{"name": "pager"}], "startsAt": "2026-11-26T10:00:00.123Z", "updatedAt": "2026-11-26T10:01:00.000Z",
            "status": {"inhibitedBy": [], "silencedBy": [], "mutedBy": null, "state": "active"}, "generatorURL": "http://p/graph",
            "labels": {"namespace": "pay", "alertname": "Slow"}}"#;
        let a = read(text).unwrap();
        assert_eq!((&*a.meta.name, &*a.meta.namespace, a.state, a.summary()), ("Slow", "pay", AlertState::Firing, Some("slow")));
        assert_eq!((a.starts, a.meta.created, a.generator.as_deref()), (Time::from_secs(1_795_687_200), a.starts, Some("http://p/graph")));
        assert_eq!(read(&text.replace("10:01", "10:02")), Some(a.clone()), "said again");
        let hidden = text.replace(r#""inhibitedBy": []"#, r#""inhibitedBy": ["f"]"#);
        assert_eq!(read(&hidden).unwrap().state, AlertState::Inhibited);
        assert_eq!(read(&hidden.replace(r#""silencedBy": []"#, r#""silencedBy": ["s"]"#)).unwrap().state, AlertState::Silenced);
        assert_eq!(&*read(r#"{"fingerprint": "f", "labels": null}"#).unwrap().meta.name, "f");
        assert!(read("{}").is_none(), "anything else is no alert");
    }

    #[test]
    fn an_alert_without_a_summary_says_what_tells_it_from_others_of_its_name() {
        let mut a = alert(
            &[("alertname", "TargetDown"), ("severity", "warning"), ("job", "etcd"), ("instance", "10.0.0.1:2379")],
            AlertState::Firing,
        );
        assert_eq!(a.says().as_deref(), Some("it burns"));
        a.annotations = Labels::default();
        let said = a.says().unwrap().into_owned();
        assert_eq!((said.contains("job=etcd") && said.contains("instance=10.0.0.1:2379"), said.split(' ').count()), (true, 2), "{said}");
        a.meta.labels = Labels::from(vec![("alertname".into(), "TargetDown".into())]);
        assert_eq!(a.says(), None);
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
