//! Signals: what a Prometheus measures of a cluster, one row a series of a query.

use super::{Kind, Labels, Measure, Meta, Query, Str, Uid};

/// How a signal stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SignalState {
    Ok,
    /// At or above the query's warning.
    Warning,
    /// At or above the query's critical.
    Critical,
    /// Asked and answered: there is nothing of the kind.
    Nothing,
    /// The metric that it needs is not there: not scraped, or not made.
    NoData,
    /// The query was refused.
    Failing,
}

impl SignalState {
    /// One word, as JSON has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Nothing => "nothing",
            Self::NoData => "no-data",
            Self::Failing => "failing",
        }
    }
}

/// One number of a cluster, and its course.
#[derive(Clone, PartialEq, Debug)]
pub struct Signal {
    /// `name` is the query's, `namespace` the label of that name, `labels` those of the series but for the cluster's; the uid is made of name and labels.
    pub meta: Meta,
    pub area: Str,
    pub title: Str,
    pub measure: Measure,
    pub state: SignalState,
    /// In the measure's unit; none where nothing was told.
    pub value: Option<f64>,
    /// The last half hour or less, a minute apart (or as often as it is asked), oldest first, the value last.
    pub course: Box<[f64]>,
    pub warning: Option<f64>,
    pub critical: Option<f64>,
    /// What is missing, or why it failed.
    pub why: Option<Str>,
}

impl Signal {
    /// The row of a series.
    pub fn of(query: &Query, labels: Labels, value: f64, course: Box<[f64]>) -> Self {
        let at = |limit: Option<f64>| limit.is_some_and(|l| value >= l);
        let state = match () {
            () if at(query.critical) => SignalState::Critical,
            () if at(query.warning) => SignalState::Warning,
            () => SignalState::Ok,
        };
        Self { value: Some(value), course, ..Self::empty(query, labels, state, None) }
    }

    /// The row of a query that told nothing.
    pub fn without(query: &Query, state: SignalState, why: Option<Str>) -> Self {
        Self::empty(query, Labels::default(), state, why)
    }

    fn empty(query: &Query, labels: Labels, state: SignalState, why: Option<Str>) -> Self {
        let namespace = labels.get("namespace").unwrap_or_default().into();
        Self {
            meta: Meta::bare(Self::uid(query, &labels), query.name.clone(), namespace, labels, None),
            area: query.area.clone(),
            title: query.title.clone(),
            measure: query.measure,
            state,
            value: None,
            course: Box::default(),
            warning: query.warning,
            critical: query.critical,
            why,
        }
    }

    /// What names a series of a query.
    pub fn uid(query: &Query, labels: &Labels) -> Uid {
        Uid::parse(&format!("signal/{}/{labels:?}", query.name))
    }

    /// The objects that its labels name, the most particular first: kind, namespace (empty for what is cluster-wide), name.
    pub fn about(&self) -> impl Iterator<Item = (Kind, &str, &str)> {
        super::alert::about(&self.meta.labels)
    }

    /// Which one of its kind it is, by its labels: `pay/checkout-1 app`, `GET`, `10.0.0.1:9100 /var`.
    pub fn of_what(&self) -> String {
        let labels = &self.meta.labels;
        let first =
            ["pod", "persistentvolumeclaim", "workload"].into_iter().find_map(|l| Some((l, labels.get(l).filter(|v| !v.is_empty())?)));
        let mut out = match (first, labels.get("namespace").filter(|n| !n.is_empty())) {
            (Some((_, name)), Some(namespace)) => format!("{namespace}/{name}"),
            (Some((_, name)), None) => name.to_owned(),
            (None, Some(namespace)) => namespace.to_owned(),
            (None, None) => String::new(),
        };
        let told = |l: &str| l == "namespace" || first.is_some_and(|(name, _)| name == l);
        for (name, value) in labels.iter().filter(|(l, v)| !told(l) && !v.is_empty() && *l != "__name__") {
            let plain = matches!(
                name,
                "container" | "device" | "host" | "instance" | "node" | "job" | "verb" | "alertname" | "mountpoint" | "name"
            );
            let space = if out.is_empty() { "" } else { " " };
            out.push_str(&if plain { format!("{space}{value}") } else { format!("{space}{name}={value}") });
        }
        out
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn query(name: &str) -> Query {
        Query {
            name: name.into(),
            area: "pods".into(),
            title: "CPU throttled".into(),
            expr: "x".to_owned(),
            measure: Measure::Ratio,
            warning: Some(0.25),
            critical: Some(0.5),
            top: Some(10),
            every: None,
            needs: "x".to_owned(),
            gives: crate::model::Gives::Signals,
        }
    }

    pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from(pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect::<Vec<(Str, Str)>>())
    }

    #[test]
    fn a_limit_counts_from_the_limit_on() {
        let of = |v: f64| Signal::of(&query("q"), Labels::default(), v, Box::default()).state;
        assert_eq!([of(0.249), of(0.25), of(0.499), of(0.5)].map(SignalState::word), ["ok", "warning", "warning", "critical"]);
        let free = Query { warning: None, critical: None, ..query("q") };
        assert_eq!(Signal::of(&free, Labels::default(), 9.0, Box::default()).state, SignalState::Ok);
    }

    #[test]
    fn a_row_says_which_one_it_is() {
        let of = |pairs: &[(&str, &str)]| Signal::of(&query("q"), labels(pairs), 1.0, Box::default()).of_what();
        assert_eq!(of(&[("container", "app"), ("namespace", "pay"), ("pod", "checkout-1")]), "pay/checkout-1 app");
        assert_eq!(of(&[("verb", "GET")]), "GET");
        assert_eq!(of(&[("instance", "10.0.0.1:9100"), ("mountpoint", "/var")]), "10.0.0.1:9100 /var");
        assert_eq!(of(&[("queue", "active")]), "queue=active");
        assert_eq!(of(&[]), "");
        let signal = Signal::of(&query("q"), labels(&[("namespace", "pay"), ("pod", "a")]), 1.0, Box::default());
        assert_eq!(signal.about().next(), Some((Kind::Pod, "pay", "a")));
    }
}
