//! An inspection on paper: what was found in every cluster at one time, against an earlier one, as JSON, Markdown, HTML, SARIF, JUnit and metrics.
//!
//! Owns the document ([`Report`]) and how it is written. What is found is `inspect`'s.

mod html;
mod junit;
mod markdown;
mod metrics;
mod sarif;

pub use html::html;
pub use junit::junit;
pub use markdown::markdown;
pub use metrics::metrics;
pub use sarif::sarif;

use crate::inspect::{Engine, Need, RuleInfo, Rules, Severity};
use crate::model::asked::Part;
use crate::model::{ClusterId, Time, Uid};
use crate::store::{Cluster, Store};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// An inspection of a fleet. Its JSON is what `qd inspect -o json` prints and what `--since` reads.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct Report {
    /// When it was made, RFC 3339.
    pub at: String,
    pub items: Vec<Item>,
    pub clusters: Vec<ClusterReport>,
    /// What one thing explains, the worst first; an incident of one finding and no alert is left out.
    #[serde(default)]
    pub incidents: Vec<IncidentItem>,
    /// When the report that this one is compared with was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// What that one had and this one has not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixed: Vec<Item>,
    /// The rules that were there; of a report that was read, those of qd.
    #[serde(skip)]
    pub rules: Rules,
}

/// One finding.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct Item {
    pub rule: String,
    pub area: String,
    pub tier: u8,
    /// `critical`, `warning`, `info`.
    pub severity: String,
    pub cluster: String,
    pub kind: String,
    /// None for what is cluster-wide.
    pub namespace: Option<String>,
    pub name: String,
    pub message: String,
    pub evidence: Vec<EvidenceLine>,
    /// The verb and what it is given; none: by hand.
    pub remedy: Option<String>,
    pub next_step: String,
    /// What explains it, as cluster, object and rule: the `cause` of an incident. None: it stands for itself.
    #[serde(default)]
    pub cause: Option<String>,
    /// Since when it is so, RFC 3339, from the object's own times.
    pub since: Option<String>,
    /// When it was first seen, RFC 3339: by the report that this one is compared with, or by those of the cluster that it is read from.
    pub first_seen: String,
    /// `new` or `still`, where it is compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// Of manifests: the file that it was read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Of manifests: the line where its document begins, from 1 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

/// Findings and alerts that one thing explains.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct IncidentItem {
    /// As its findings have it.
    pub cause: String,
    pub cluster: String,
    pub severity: String,
    /// The rule of the probable cause, and where that was found.
    pub rule: String,
    pub kind: String,
    pub namespace: Option<String>,
    pub name: String,
    pub message: String,
    /// With the cause.
    pub findings: usize,
    /// Alerts that fire.
    pub alerts: usize,
    pub objects: usize,
    pub workloads: usize,
    /// RFC 3339.
    pub since: Option<String>,
}

impl IncidentItem {
    /// `31 findings, 5 alerts, 4 workloads`.
    pub fn counts(&self) -> String {
        let many = |n: usize, what: &str| (n > 0).then(|| format!("{n} {what}{}", if n == 1 { "" } else { "s" }));
        let all = [many(self.findings, "finding"), many(self.alerts, "alert"), many(self.workloads, "workload")];
        all.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// A line of evidence.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct EvidenceLine {
    pub what: String,
    pub value: String,
    /// RFC 3339.
    pub at: Option<String>,
}

/// One cluster as a whole.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct ClusterReport {
    pub name: String,
    pub state: String,
    /// Seconds since it answered last.
    pub age_s: Option<i64>,
    pub message: Option<String>,
    pub tier: Option<String>,
    pub group: Option<String>,
    pub nodes: u32,
    pub pods: u32,
    /// 100 is without findings; see [`score`]. None where the cluster was not seen.
    pub score: Option<u8>,
    /// Whether only a part was inspected: some namespaces, rules or areas.
    #[serde(default)]
    pub part: bool,
    /// The score of the report that this one is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score_before: Option<u8>,
    pub critical: usize,
    pub warning: usize,
    pub info: usize,
    /// Rules that judged.
    pub evaluated: usize,
    pub not_evaluated: Vec<NotEvaluated>,
    /// Where its findings are read from the reports of an inspection inside it: when that was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_at: Option<String>,
}

/// A rule that could not judge, and why.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct NotEvaluated {
    pub rule: String,
    pub why: String,
}

/// What is to be in a report.
#[derive(Default, PartialEq, Eq)]
pub struct Wanted {
    /// Ids; empty: every rule.
    pub rules: Vec<String>,
    /// Empty: every area.
    pub areas: Vec<String>,
    /// Empty: every namespace. What is cluster-wide is there always.
    pub namespaces: Vec<String>,
}

impl Wanted {
    fn rule(&self, rule: &RuleInfo) -> bool {
        (self.rules.is_empty() || self.rules.iter().any(|r| r == rule.id))
            && (self.areas.is_empty() || self.areas.iter().any(|a| a == rule.area))
    }

    fn namespace(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || namespace.is_empty() || self.namespaces.iter().any(|n| n == namespace)
    }
}

impl Report {
    /// What the engine has found. `now` in unix seconds.
    pub fn of(store: &Store, engine: &Engine, wanted: &Wanted, now: i64) -> Self {
        let time = |t: Option<Time>| t.map(Time::rfc3339);
        let at = time(Time::from_secs(now)).unwrap_or_default();
        let mut items = Vec::new();
        let (incidents, causes) = incidents(store, engine, wanted, now);
        for finding in engine.findings().filter(|f| wanted.rule(f.rule) && f.open()) {
            let Some(cluster) = store.cluster(finding.cluster) else { continue };
            let place = finding.place();
            let namespace = place.map_or("", |o| &*o.namespace);
            if !wanted.namespace(namespace) {
                continue;
            }
            items.push(Item {
                rule: finding.rule.id.to_owned(),
                area: finding.rule.area.to_owned(),
                tier: finding.rule.tier,
                severity: finding.severity.word().to_owned(),
                cluster: cluster.info.name.to_string(),
                kind: place.map_or("Cluster", |o| o.kind.name()).to_owned(),
                namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
                name: place.map_or_else(|| cluster.info.name.to_string(), |o| o.name.to_string()),
                message: finding.message.clone(),
                evidence: finding
                    .evidence
                    .iter()
                    .map(|e| EvidenceLine { what: e.what.clone(), value: e.value.clone(), at: time(e.at) })
                    .collect(),
                remedy: finding.remedy.as_ref().map(|r| r.words()),
                next_step: finding.next_step.clone(),
                cause: causes.get(&(finding.cluster, finding.id().uid, finding.rule.id)).cloned(),
                since: time(finding.since),
                first_seen: time(finding.first_seen).unwrap_or_else(|| at.clone()),
                change: None,
                file: None,
                line: None,
            });
        }
        items.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| key(a).cmp(&key(b))));
        let clusters = store.clusters().iter().map(|c| ClusterReport::of(c, engine, &items, wanted, now)).collect();
        Self { at, items, clusters, incidents, since: None, fixed: Vec::new(), rules: engine.rules().clone() }
    }

    /// The same beside an earlier report: what is new, what is still there, what is fixed. Clusters that are not seen now have fixed nothing.
    pub fn compare(mut self, before: &Self) -> Self {
        let old: BTreeMap<_, &Item> = before.items.iter().map(|i| (key(i), i)).collect();
        let now: BTreeSet<_> = self.items.iter().map(|i| key(i).map(str::to_owned)).collect();
        let unseen: BTreeSet<&str> = self.clusters.iter().filter(|c| c.score.is_none()).map(|c| c.name.as_str()).collect();
        let known: BTreeSet<&str> = self.clusters.iter().map(|c| c.name.as_str()).collect();
        let gone = |i: &&Item| {
            !now.contains(&key(i).map(str::to_owned)) && known.contains(i.cluster.as_str()) && !unseen.contains(i.cluster.as_str())
        };
        self.fixed = before.items.iter().filter(gone).cloned().collect();
        for item in &mut self.items {
            let earlier = old.get(&key(item)).copied();
            match earlier {
                Some(earlier) => {
                    item.change = Some("still".to_owned());
                    item.first_seen.clone_from(&earlier.first_seen);
                }
                None => item.change = Some("new".to_owned()),
            }
        }
        for cluster in &mut self.clusters {
            cluster.score_before = before.clusters.iter().find(|c| c.name == cluster.name).and_then(|c| c.score);
        }
        self.since = Some(before.at.clone());
        self
    }

    /// Whether a finding is that bad, or worse.
    pub fn fails(&self, on: Severity) -> bool {
        self.items.iter().any(|i| Severity::parse(&i.severity).is_some_and(|s| s >= on))
    }

    /// Findings by rule, the worst first: severity, then how many.
    pub fn by_rule(&self) -> Vec<(&str, Vec<&Item>)> {
        let mut all: BTreeMap<&str, Vec<&Item>> = BTreeMap::new();
        for item in &self.items {
            all.entry(&item.rule).or_default().push(item);
        }
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort_by_key(|(rule, items)| (items.iter().map(|i| rank(i)).min(), std::cmp::Reverse(items.len()), *rule));
        all
    }
}

/// A finding: its cluster, object and rule.
type Which = (ClusterId, Uid, &'static str);

/// The incidents, those of a wanted cause; and what explains which finding, where it is one of several or has alerts.
fn incidents(store: &Store, engine: &Engine, wanted: &Wanted, now: i64) -> (Vec<IncidentItem>, BTreeMap<Which, String>) {
    let (mut all, mut causes) = (Vec::new(), BTreeMap::new());
    for incident in engine.incidents(store, now).iter().filter(|i| i.line.findings.len() + i.alerts > 1) {
        let Some(first) = incident.line.findings.first().and_then(|id| engine.finding(*id)) else { continue };
        let Some(cluster) = store.cluster(first.cluster) else { continue };
        let cause = format!("{} {}", cluster.info.name, incident.name);
        causes.extend(incident.line.findings.iter().map(|id| ((id.cluster, id.uid, id.rule), cause.clone())));
        let place = first.place();
        let namespace = place.map_or("", |o| &*o.namespace);
        if !wanted.rule(first.rule) || !wanted.namespace(namespace) {
            continue;
        }
        all.push(IncidentItem {
            cause,
            cluster: cluster.info.name.to_string(),
            severity: incident.line.severity.word().to_owned(),
            rule: first.rule.id.to_owned(),
            kind: place.map_or("Cluster", |o| o.kind.name()).to_owned(),
            namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
            name: place.map_or_else(|| cluster.info.name.to_string(), |o| o.name.to_string()),
            message: incident.line.message.clone(),
            findings: incident.line.findings.len(),
            alerts: incident.alerts,
            objects: incident.objects,
            workloads: incident.workloads,
            since: incident.line.since.map(Time::rfc3339),
        });
    }
    (all, causes)
}

/// The worst first: severity, then tier.
fn rank(item: &Item) -> (std::cmp::Reverse<Option<Severity>>, u8) {
    (std::cmp::Reverse(Severity::parse(&item.severity)), item.tier)
}

/// What makes two findings the same.
fn key(item: &Item) -> [&str; 5] {
    [&item.cluster, &item.rule, &item.kind, item.namespace.as_deref().unwrap_or(""), &item.name]
}

impl ClusterReport {
    fn of(c: &Cluster, engine: &Engine, items: &[Item], wanted: &Wanted, now: i64) -> Self {
        let own: Vec<&Item> = items.iter().filter(|i| *i.cluster == *c.info.name).collect();
        let count = |word: Severity| own.iter().filter(|i| i.severity == word.word()).count();
        // Without a report nobody knows what there is.
        let seen = c.state.live() && (!c.info.reported() || c.reports.reports.is_some());
        let blind = |rule: &&&RuleInfo| {
            if c.state.live() { engine.not_evaluated(rule, c) } else { (!rule.kinds.is_empty()).then(|| c.state.word().to_owned()) }
        };
        let rules: Vec<&&RuleInfo> = engine.rules().all().iter().filter(|r| wanted.rule(r)).collect();
        let waiting = engine.waiting(c.id);
        // One look cannot tell how long that has been so.
        let found = |rule: &RuleInfo| own.iter().any(|i| i.rule == rule.id);
        let early = |rule: &&&RuleInfo| {
            (waiting.contains(rule.id) && !found(rule))
                .then(|| format!("seen, and one look cannot tell for how long: thresholds.{}", rule.id))
        };
        // Kubelets are asked a few at a time, and some do not answer.
        let (heard, nodes) = (c.asked.kubelets.as_ref().map_or(0, |all| all.len()), c.counts.nodes);
        let partly = |rule: &&&RuleInfo| {
            let in_part = rule.needs.contains(&Need::Asked(Part::Kubelets)) && heard < nodes as usize;
            (in_part && !found(rule)).then(|| format!("the kubelets of {heard} of {nodes} nodes were heard"))
        };
        let why = |r: &&&RuleInfo| Some(NotEvaluated { rule: r.id.to_owned(), why: blind(r).or_else(|| early(r)).or_else(|| partly(r))? });
        let not: Vec<NotEvaluated> = rules.iter().filter_map(why).collect();
        Self {
            name: c.info.name.to_string(),
            state: c.state.word().to_owned(),
            age_s: c.age(now),
            message: c.state.reason().map(str::to_owned).or_else(|| c.reports_amiss(now).map(|(_, words)| words)),
            tier: c.info.tier.as_deref().map(str::to_owned),
            group: c.info.group.as_deref().map(str::to_owned),
            nodes: c.counts.nodes,
            pods: c.counts.pods,
            score: seen.then(|| score(&own)),
            part: *wanted != Wanted::default(),
            score_before: None,
            critical: count(Severity::Critical),
            warning: count(Severity::Warning),
            info: count(Severity::Info),
            evaluated: rules.len() - not.len(),
            not_evaluated: not,
            reported_at: c.reports.reports.as_ref().and_then(|r| r.at).map(Time::rfc3339),
        }
    }
}

/// 100 less what each rule that found something takes: 12 when critical, 4 for a warning, 0.5 for info, and half as much again for every
/// tenfold of findings; at least 0.
pub fn score(items: &[&Item]) -> u8 {
    let mut by_rule: BTreeMap<&str, (Option<Severity>, usize)> = BTreeMap::new();
    for item in items {
        let entry = by_rule.entry(&item.rule).or_default();
        *entry = (entry.0.max(Severity::parse(&item.severity)), entry.1 + 1);
    }
    let lost = |(severity, n): &(Option<Severity>, usize)| {
        let weight = match severity {
            Some(Severity::Critical) => 12.0,
            Some(Severity::Warning) => 4.0,
            _ => 0.5,
        };
        weight * (1.0 + 0.5 * (*n as f64).log10())
    };
    (100.0 - by_rule.values().map(lost).sum::<f64>()).clamp(0.0, 100.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::RULES;
    use crate::inspect::Thresholds;
    use crate::inspect::fixture::{Fleet, NOW, node};
    use crate::model::policy_report::{Sheet, result};
    use crate::model::{ConnectionState, Delta, Heard, Kind, Reports};
    use crate::store::{ClusterInfo, Judged};
    use serde_json::{Value, json};

    fn report(fleet: &Fleet, wanted: &Wanted) -> Report {
        Report::of(&fleet.store, &fleet.engine, wanted, fleet.now)
    }

    fn two() -> Fleet {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Node, [node("a", "False", 9000), node("<b>&", "False", 100)]);
        fleet
    }

    #[test]
    fn the_worst_first_and_only_what_is_wanted() {
        let fleet = two();
        let all = report(&fleet, &Wanted::default());
        let found: Vec<_> = all.items.iter().map(|i| (i.severity.as_str(), i.rule.as_str(), i.name.as_str(), i.kind.as_str())).collect();
        assert_eq!(found, [("critical", "node-not-ready", "a", "Node"), ("warning", "node-not-ready", "<b>&", "Node")]);
        let c = &all.clusters[0];
        assert_eq!((c.critical, c.warning, c.score), (1, 1, Some(86)));
        assert!(c.not_evaluated.iter().any(|n| n.rule == "alert-critical" && n.why == "no alertmanager"));
        assert_eq!(c.evaluated + c.not_evaluated.len(), RULES.len());
        assert!(all.fails(Severity::Critical) && !report(&Fleet::default(), &Wanted::default()).fails(Severity::Info));
        let none = Wanted { areas: vec!["backup".into()], ..Wanted::default() };
        assert_eq!(report(&fleet, &none).items, []);
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), all, "what is written can be read");
    }

    #[test]
    fn kubelets_that_were_not_heard_are_counted() {
        use crate::model::asked::Kubelet;
        let why = |heard: usize| {
            let mut fleet = two();
            let kubelet = |n: usize| Kubelet {
                node: format!("{n}").into(),
                cpus: "none".into(),
                topology: "none".into(),
                kept: 0,
                ..Kubelet::default()
            };
            let kubelets = Ok((0..heard).map(kubelet).collect());
            fleet.delta(0, crate::model::Delta::Asked(crate::model::Asked { kubelets, ..Default::default() }.into()));
            fleet.delta(0, crate::model::Delta::KindState(Kind::Node, crate::model::KindState::Live));
            let all = report(&fleet, &Wanted::default()).clusters.swap_remove(0).not_evaluated;
            all.into_iter().find(|n| n.rule == "cpu-manager-mismatch").map(|n| n.why)
        };
        assert_eq!((why(1).as_deref(), why(2)), (Some("the kubelets of 1 of 2 nodes were heard"), None));
    }

    #[test]
    fn findings_of_one_cause_name_it_and_are_an_incident() {
        use crate::inspect::fixture::{owned, pod, running};
        let mut fleet = two();
        fleet.put(Kind::Pod, (0..2).map(|n| pod(owned(&format!("p{n}"), Kind::ReplicaSet, "rs"), "a", false, 900, running())));
        let now = report(&fleet, &Wanted::default());
        let [incident] = now.incidents.as_slice() else { panic!("{:?}", now.incidents) };
        assert_eq!((incident.cause.as_str(), incident.rule.as_str(), incident.findings), ("prod a node-not-ready", "node-not-ready", 3));
        let causes = |rule: &str| now.items.iter().filter(|i| i.rule == rule).map(|i| i.cause.as_deref()).collect::<Vec<_>>();
        assert_eq!(causes("pod-not-ready"), [Some("prod a node-not-ready"); 2]);
        assert_eq!(causes("node-not-ready"), [Some("prod a node-not-ready"), None], "the other node stands alone");
        assert!(markdown(&now).contains("| critical | prod a node-not-ready | ") && markdown(&now).contains("(by prod a node-not-ready)"));
        assert!(html(&now).contains("Incidents, by their probable cause"));
        let text = serde_json::to_string(&now).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), now);
        let old = r#"{"at": "2026-01-01T00:00:00Z", "items": [], "clusters": []}"#;
        assert!(serde_json::from_str::<Report>(old).is_ok(), "reports of before are read");
    }

    /// A cluster whose findings are read from what was published of another.
    fn reader(before: &Report, judged: Judged) -> Fleet {
        let mut sheets = BTreeMap::from([(String::new(), Sheet::default())]);
        for item in &before.items {
            sheets.entry(item.namespace.clone().unwrap_or_default()).or_default().add(result(&json!(item)));
        }
        let objects: Vec<Value> = sheets.iter().map(|(namespace, sheet)| sheet.object(namespace, &before.at, "15m")).collect();
        let info = ClusterInfo { name: "prod".into(), tier: Some("production".into()), judged, ..Default::default() };
        let mut fleet = Fleet { store: Store::new(vec![info], NOW), engine: Engine::new(Thresholds::default()), now: NOW, hurried: false };
        fleet.delta(0, Delta::State(ConnectionState::Live));
        let none = report(&fleet, &Wanted::default());
        assert_eq!((none.items.len(), none.clusters[0].score), (0, None), "without a report nobody says that nothing was found");
        let heard = Heard { told: true, reports: Reports::read(&objects).map(Into::into), ..Heard::default() };
        fleet.delta(0, Delta::Reports(heard.into()));
        fleet
    }

    #[test]
    fn what_is_published_is_the_same_where_it_is_read() {
        use crate::inspect::fixture::{deployment, owned, pod, running};
        let put = |fleet: &mut Fleet| {
            fleet.put(Kind::Node, [node("a", "False", 9000), node("b", "False", 100)]);
            fleet.put(Kind::Deployment, [deployment("web", 3, 0)]);
            fleet.put(Kind::Pod, (0..2).map(|n| pod(owned(&format!("p{n}"), Kind::ReplicaSet, "rs"), "a", false, 900, running())));
        };
        let mut fleet = Fleet::default();
        put(&mut fleet);
        let before = report(&fleet, &Wanted::default());
        assert!(before.items.len() > 3 && before.items.iter().any(|i| i.remedy.is_some()), "{:?}", before.items);
        let mut beside = reader(&before, Judged::ByReports);
        put(&mut beside);
        let now = report(&beside, &Wanted::default());
        assert_eq!(now.items, before.items, "with the rows beside them, incidents too");
        assert_eq!(now.incidents, before.incidents);
        let card = |r: &Report| (r.clusters[0].score, r.clusters[0].critical, r.clusters[0].warning, r.clusters[0].info);
        assert_eq!(card(&now), card(&before));
        assert_eq!((now.clusters[0].reported_at.as_ref(), now.clusters[0].message.as_ref()), (Some(&before.at), None));
        let mut alone = report(&reader(&before, Judged::ByReportsAlone), &Wanted::default());
        let mut told = before.items.clone();
        // What hangs together is seen by rows.
        told.iter_mut().chain(&mut alone.items).for_each(|i| i.cause = None);
        assert_eq!(alone.items, told);
        // An old one says so, and its metrics are as old as it is.
        beside.now = NOW + 3000;
        let old = report(&beside, &Wanted::default());
        assert_eq!(old.clusters[0].message.as_deref(), Some("the report is stale: 50m old, one is expected every 15m"));
        assert!(
            metrics(&old, None, std::time::Duration::ZERO)
                .contains(&format!("qd_inspection_timestamp_seconds{{cluster=\"prod\"}} {NOW}\n"))
        );
    }

    #[test]
    fn against_an_earlier_one_it_says_what_is_new_still_there_and_fixed() {
        let before = report(&two(), &Wanted::default());
        let mut fleet = two();
        fleet.put(Kind::Node, [node("a", "True", 10), node("c", "False", 9000)]);
        fleet.now = NOW + 60;
        let now = report(&fleet, &Wanted::default()).compare(&before);
        let change = |name: &str| now.items.iter().find(|i| i.name == name).and_then(|i| i.change.as_deref());
        assert_eq!((change("c"), change("<b>&"), change("a")), (Some("new"), Some("still"), None));
        assert_eq!(now.fixed.iter().map(|i| i.name.as_str()).collect::<Vec<_>>(), ["a"]);
        let still = now.items.iter().find(|i| i.name == "<b>&").unwrap();
        assert_eq!((&still.first_seen, now.since.as_ref()), (&before.at, Some(&before.at)));
        assert_eq!(now.clusters[0].score_before, Some(86));
        // What is not seen has fixed nothing.
        let mut gone = two();
        gone.delete(Kind::Node, "a");
        let state = crate::model::ConnectionState::Unreachable { last: None, reason: "dial timeout".into() };
        gone.delta(0, crate::model::Delta::State(state));
        assert_eq!(report(&gone, &Wanted::default()).compare(&before).fixed, []);
    }

    /// A page loads nothing from elsewhere, and names addresses in links alone, which tell nobody where they stand.
    #[track_caller]
    fn loads_nothing(page: &str) {
        for loads in ["src=", "srcset=", "url(", "<link", "@import", "<script", "<iframe", "<object", "<embed", "<base", "http-equiv"] {
            assert!(!page.contains(loads), "{loads}");
        }
        let mut rest = page.to_owned();
        while let Some(at) = rest.find("<a ") {
            let end = at + rest[at..].find("</a>").unwrap() + 4;
            let link = &rest[at..end];
            assert!(link.starts_with("<a href=\"https://") && link.contains("\" rel=\"noreferrer\">"), "{link}");
            rest.replace_range(at..end, "");
        }
        assert!(!rest.contains("http://") && !rest.contains("https://"), "an address outside a link");
    }

    #[test]
    fn every_form_says_the_same_and_breaks_on_no_name() {
        let mut fleet = two();
        let before = report(&fleet, &Wanted::default());
        fleet.put(Kind::Node, [node("a", "True", 10), node("c", "False", 9000)]);
        let now = report(&fleet, &Wanted::default()).compare(&before);
        let md = markdown(&now);
        assert!(md.contains("1 new, 1 still there, 1 fixed") && md.contains("- prod Node c **new**: ") && md.contains("## Fixed"), "{md}");
        let page = html(&now);
        assert!(page.contains("Node &lt;b&gt;&amp;") && !page.contains("<b>&,") && page.contains("<mark>new</mark>"), "{page}");
        loads_nothing(&page);
        let read = RULES.iter().find(|r| r.id == "node-not-ready").unwrap().links;
        for link in read {
            assert!(page.contains(&format!("<a href=\"{link}\" rel=\"noreferrer\">{link}</a>")), "{page}");
            assert!(md.contains(&format!("<{link}>")), "{md}");
        }
        let suite = junit(&now);
        assert!(suite.contains("<failure type=\"critical\" message=\"2 findings\">") && suite.contains("&lt;b&gt;&amp;"), "{suite}");
        assert!(suite.contains("<skipped message=\"no alertmanager\"/>"));
        let log = sarif(&now);
        let results = log["runs"][0]["results"].as_array().unwrap();
        let states: Vec<_> = results.iter().map(|r| (r["level"].as_str().unwrap(), r["baselineState"].as_str().unwrap())).collect();
        assert_eq!(states, [("error", "new"), ("warning", "unchanged"), ("error", "absent")]);
        let rule = &log["runs"][0]["tool"]["driver"]["rules"][0];
        assert_eq!((rule["id"].as_str(), rule["helpUri"].as_str()), (Some("node-not-ready"), read.first().copied()));
        assert!(!suite.contains("https://"), "{suite}");
    }
}
