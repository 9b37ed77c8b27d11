//! The findings of a cluster that a scheduled inspection judges: taken from its reports, and joined to the rows that are there.
//!
//! Nothing is judged of such a cluster here but whether it is reached, which nobody inside it knows. What was said of findings here (suppressions,
//! annotations, severities of tiers) holds for these too. A rule that we do not have is told all the same.

use super::{Engine, Subject};
use crate::inspect::{Finding, Judge, RuleInfo, Verdict, title};
use crate::model::{Args, ClusterId, Evidence, Heard, Kind, KindState, Object, ObjectRef, Remedy, Reported, Severity, Str, Uid, VerbId};
use crate::store::{Cluster, Store, Touched};
use hashbrown::{HashMap, HashSet};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Whether a rule is judged here where all others are read from reports.
pub(super) fn judged_here(rule: &str) -> bool {
    rule == "cluster-unreachable"
}

/// Where a finding is: kind, namespace and name.
type Place = (Kind, Str, Str);

/// What was taken from a cluster's reports.
#[derive(Default)]
pub(super) struct Taken {
    heard: Arc<Heard>,
    /// Of the cluster itself.
    pub(super) own: Vec<Finding>,
    /// The objects that have findings, by the uid that these are kept under.
    held: HashMap<Uid, Place>,
    places: HashSet<Place>,
}

impl Engine {
    /// Takes the findings of clusters anew whose reports are others, and those at rows that came, or that say another thing of what may be.
    pub(super) fn retake(&mut self, store: &Store, touched: &[Touched], now: i64) {
        if !store.clusters().iter().any(|c| c.info.reported()) {
            return;
        }
        let news = |touch: &Touched| {
            let id = match touch {
                Touched::Cluster(id) => *id,
                Touched::Row { id, .. } => id.cluster,
                Touched::Gone { .. } | Touched::Usage { .. } => return None,
            };
            let cluster = store.cluster(id).filter(|c| c.info.reported())?;
            let taken = &self.rooms.get(usize::from(id.0))?.taken;
            let news = match touch {
                Touched::Row { id, before } => {
                    let (_, object) = store.row(*id)?;
                    let meta = object.meta();
                    before.as_ref().is_none_or(|b| b.meta().ignore != meta.ignore)
                        && taken.places.contains(&(object.kind(), meta.namespace.clone(), meta.name.clone()))
                }
                _ => !Arc::ptr_eq(&taken.heard, &cluster.reports),
            };
            news.then_some(id)
        };
        let due: HashSet<ClusterId> = touched.iter().filter_map(news).collect();
        for cluster in due.into_iter().filter_map(|id| store.cluster(id)) {
            self.take(store, cluster, now);
        }
    }

    /// Takes what a cluster's reports say.
    pub(super) fn take(&mut self, store: &Store, cluster: &Cluster, now: i64) {
        let mut taken = Taken { heard: cluster.reports.clone(), ..Taken::default() };
        let mut found: HashMap<Uid, (Option<&Object>, Vec<Finding>)> = HashMap::new();
        for said in taken.heard.reports.iter().flat_map(|r| &r.findings) {
            let rule = self.rules().find(&said.rule).unwrap_or_else(|| stranger(said));
            if judged_here(rule.id) {
                continue;
            }
            let place = Kind::parse(&said.kind).map(|kind| (kind, said.namespace.clone(), said.name.clone()));
            let object = place.as_ref().and_then(|place| row(cluster, place));
            let mut finding = read(cluster, rule, said, place.as_ref(), object);
            if let Some(twin) = found.get_mut(&finding.id().uid).and_then(|(_, all)| all.iter_mut().find(|f| f.rule == rule)) {
                match finding.object.take() {
                    // What two measurements say of one pod is two findings about it.
                    Some(about) => {
                        let nth = taken.held.len();
                        let uid = Uid::parse(&format!("reported/{nth}/{}/{}", rule.id, about.uid));
                        finding.object = Some(ObjectRef { uid, ..about.clone() });
                        finding.about = Some(about);
                    }
                    None => {
                        twin.evidence.push(Evidence { what: "also".to_owned(), value: finding.message, at: finding.since });
                        continue;
                    }
                }
            }
            let Some((finding, end)) = self.policy.apply(cluster, object, finding, now) else { continue };
            self.ends.extend(end.map(|at| (at, Subject { cluster: cluster.id, kind: None, uid: Uid::default() })));
            let uid = finding.id().uid;
            if let Some(place) = place {
                taken.places.insert(place.clone());
                taken.held.insert(uid, place);
            }
            found.entry(uid).or_insert_with(|| (object, Vec::new())).1.push(finding);
        }
        let at = usize::from(cluster.id.0);
        // Of what no report speaks any more nobody knows that it ended.
        let gone = taken.heard.reports.is_none();
        let before = std::mem::take(&mut self.rooms[at].taken);
        for (uid, place) in before.held.into_iter().filter(|(uid, _)| !found.contains_key(uid)) {
            let subject = Subject { cluster: cluster.id, kind: Some(place.0), uid };
            self.keep(cluster, subject, row(cluster, &place), Vec::new(), now);
            // It has come under its own uid, or is another object of that name: the same finding, and none that ended.
            if gone || taken.places.contains(&place) {
                let room = &mut self.rooms[at];
                room.news.extend(room.lives.forget(uid, |_| false));
            }
        }
        taken.own = found.remove(&Uid::default()).map(|(_, findings)| findings).unwrap_or_default();
        for (uid, (object, findings)) in found {
            let kind = taken.held.get(&uid).map(|(kind, ..)| *kind);
            self.keep(cluster, Subject { cluster: cluster.id, kind, uid }, object, findings, now);
        }
        self.rooms[at].taken = taken;
        self.judge(store, cluster, None, now);
        if gone {
            let room = &mut self.rooms[at];
            room.news.extend(room.lives.forget(Uid::default(), judged_here));
        }
    }

    /// Why a rule judges nothing in a cluster whose findings are read from reports, as these say.
    pub(super) fn unreported(&self, rule: &RuleInfo, cluster: &Cluster) -> Option<String> {
        if let KindState::Failing { reason } = cluster.kind_state(Kind::Finding) {
            return Some(reason.to_string());
        }
        if let Some(why) = cluster.reports.skipped(rule.id) {
            return Some(why.to_string());
        }
        let told = || cluster.reports.reports.iter().flat_map(|r| &r.findings).any(|f| *f.rule == *rule.id);
        (self.rules().is_own(rule.id) && !told())
            .then(|| "a rule of this configuration, and an inspection inside the cluster judges it".to_owned())
    }
}

/// The row of that place, where one name means one object.
fn row<'a>(cluster: &'a Cluster, (kind, namespace, name): &Place) -> Option<&'a Object> {
    (kind.one_of_a_name() || *kind == Kind::EtcdMember).then(|| cluster.named(*kind, namespace, name))?
}

fn read(cluster: &Cluster, rule: &'static RuleInfo, said: &Reported, place: Option<&Place>, object: Option<&Object>) -> Finding {
    let unseen = |(kind, namespace, name): &Place| {
        let uid = Uid::parse(&format!("reported/{}/{namespace}/{name}", kind.name()));
        ObjectRef { cluster: cluster.id, kind: *kind, namespace: namespace.clone(), name: name.clone(), uid }
    };
    let top = object.map(|o| cluster.workload_of(o).reference(cluster.id));
    let object = object.map(|o| o.reference(cluster.id)).or_else(|| place.map(unseen));
    // A kind that we do not know.
    let odd = object.is_none() && !said.kind.is_empty() && &*said.kind != "Cluster";
    Finding {
        rule,
        severity: said.severity,
        cluster: cluster.id,
        remedy: object.iter().chain(&top).find_map(|on| remedy(&said.remedy, on)),
        object,
        about: None,
        since: said.since,
        first_seen: said.first_seen,
        message: if odd { format!("{} {}: {}", said.kind, title(&said.namespace, &said.name), said.message) } else { said.message.clone() },
        evidence: said.evidence.clone(),
        next_step: said.next_step.clone(),
        suppressed: None,
    }
}

/// What the words of [`Remedy::words`] mean, where they are about that object. Of others the words do not say what they are.
fn remedy(words: &str, on: &ObjectRef) -> Option<Remedy> {
    let (verb, rest) = words.split_once(' ')?;
    let (name, args) = rest.split_once(' ').unwrap_or((rest, ""));
    if name != &*on.name {
        return None;
    }
    if verb == "edit" && args.is_empty() {
        return Some(Remedy::Edit(on.clone()));
    }
    let verb = VerbId::find(verb).filter(|v| v.info().on.takes(on.kind))?;
    Some(Remedy::Act { verb, on: on.clone(), args: Args::parse(verb.info(), args).ok()? })
}

/// As many rules are told apart that we do not have; they stay for as long as we run.
const MOST: usize = 256;
/// The longest id of one, in bytes.
const LONGEST: usize = 100;

static STRANGER: RuleInfo = RuleInfo {
    id: "unknown-rule",
    area: "unknown",
    tier: 2,
    burns: false,
    severity: Severity::Info,
    scope: "as the report says",
    summary: "A rule that this qd does not have: the inspection inside the cluster does",
    why: "This qd does not know it: it is of another version, or a rule of the inspection's own. What it found stands as it was reported.",
    kinds: &[],
    needs: &[],
    leans_on: &[],
    thresholds: &[],
    peers: &[],
    links: &[],
    judge: never,
};

fn never(_: &Judge<'_>) -> Verdict {
    Verdict::Fine
}

/// A rule that we do not have, as far as a report tells of it.
fn stranger(said: &Reported) -> &'static RuleInfo {
    static KNOWN: Mutex<BTreeMap<Str, &'static RuleInfo>> = Mutex::new(BTreeMap::new());
    let Ok(mut known) = KNOWN.lock() else { return &STRANGER };
    if let Some(rule) = known.get(&said.rule) {
        return rule;
    }
    if known.len() >= MOST || said.rule.is_empty() || said.rule.len().max(said.area.len()) > LONGEST {
        return &STRANGER;
    }
    let keep = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
    let area = if said.area.is_empty() { STRANGER.area } else { keep(&said.area) };
    let (id, tier, severity) = (keep(&said.rule), said.tier, said.severity);
    let rule: &'static RuleInfo = Box::leak(Box::new(RuleInfo { id, area, tier, burns: tier == 1, severity, ..STRANGER }));
    known.insert(said.rule.clone(), rule);
    rule
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::inspect::fixture::{Fleet, NOW, node, uid};
    use crate::inspect::{Engine, Policy, Thresholds};
    use crate::model::{ConnectionState, Delta, FindingRow, FindingState, Reports, Time};
    use crate::store::{ClusterInfo, Judged};
    use std::path::Path;

    fn fleet() -> Fleet {
        let info = ClusterInfo { name: "prod".into(), tier: Some("production".into()), judged: Judged::ByReports, ..Default::default() };
        let mut fleet = Fleet { store: Store::new(vec![info], NOW), engine: Engine::new(Thresholds::default()), now: NOW, hurried: false };
        fleet.delta(0, Delta::State(ConnectionState::Live));
        fleet
    }

    fn said(rule: &str, kind: &str, name: &str, severity: Severity) -> Reported {
        let namespace = if matches!(kind, "Node" | "Cluster" | "Widget") { "" } else { "pay" };
        Reported {
            rule: rule.into(),
            area: "node".into(),
            tier: 1,
            severity,
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
            message: format!("{name} is ill"),
            evidence: Vec::new(),
            remedy: String::new(),
            next_step: String::new(),
            since: None,
            first_seen: Time::from_secs(NOW - 7200),
        }
    }

    fn publish(fleet: &mut Fleet, findings: Vec<Reported>) {
        let skipped = vec![("alert-critical".into(), "no alertmanager".into())];
        let reports = Reports { at: Time::from_secs(NOW), every: Some(900), findings, skipped, left_out: 0 };
        fleet.delta(0, Delta::Reports(Heard { told: true, reports: Some(reports.into()), ..Heard::default() }.into()));
        told(fleet);
    }

    /// Tells the store what became of findings.
    fn told(fleet: &mut Fleet) {
        for (cluster, changes) in fleet.engine.news() {
            fleet.delta(cluster.0, Delta::Rows { kind: Kind::Finding, changes });
        }
    }

    fn rows(fleet: &Fleet) -> Vec<&FindingRow> {
        let objects = fleet.store.clusters()[0].objects(Kind::Finding);
        let mut all: Vec<&FindingRow> = objects.filter_map(|o| if let Object::Finding(f) = o { Some(&**f) } else { None }).collect();
        all.sort_by(|a, b| (&a.meta.name, &a.message).cmp(&(&b.meta.name, &b.message)));
        all
    }

    fn not(fleet: &Fleet, rule: &str) -> Option<String> {
        fleet.engine.not_evaluated(fleet.engine.rules().find(rule).unwrap(), &fleet.store.clusters()[0])
    }

    #[test]
    fn nothing_is_judged_here_but_whether_it_is_reached() {
        let mut fleet = fleet();
        fleet.put(Kind::Node, [node("n", "False", 9000)]);
        assert_eq!(fleet.engine.findings().count(), 0);
        assert_eq!(not(&fleet, "node-not-ready").as_deref(), Some("its reports are not read yet"));
        fleet.delta(0, Delta::Reports(Heard { told: true, ..Heard::default() }.into()));
        assert!(not(&fleet, "node-not-ready").unwrap().starts_with("no report of an inspection is there"));
        assert!(!fleet.store.clusters()[0].seen(Kind::Finding), "nobody has looked, and nobody says that there is nothing");
        publish(&mut fleet, vec![said("cluster-unreachable", "Cluster", "in-cluster", Severity::Critical)]);
        assert_eq!(fleet.engine.findings().count(), 0, "what was so inside it says nothing of our way to it");
        assert_eq!((not(&fleet, "node-not-ready"), not(&fleet, "cluster-unreachable")), (None, None));
        assert_eq!(not(&fleet, "alert-critical").as_deref(), Some("no alertmanager"));
        let down = ConnectionState::Unreachable { last: None, reason: "dial timeout".into() };
        publish(&mut fleet, vec![said("backup-overdue", "Cluster", "in-cluster", Severity::Warning)]);
        fleet.delta(0, Delta::State(down));
        fleet.wait(60);
        let mut own: Vec<&str> = fleet.engine.for_object(ClusterId(0), Uid::default()).iter().map(|f| f.rule.id).collect();
        own.sort_unstable();
        assert_eq!(own, ["backup-overdue", "cluster-unreachable"], "beside what was reported of the cluster itself");
    }

    #[test]
    fn a_finding_is_joined_to_its_row_when_that_comes_and_ends_with_its_report() {
        let mut fleet = fleet();
        let mut ill = said("node-not-ready", "Node", "n", Severity::Critical);
        ill.remedy = "cordon n".into();
        publish(&mut fleet, vec![ill.clone()]);
        let [row] = rows(&fleet)[..] else { panic!() };
        assert_eq!((row.state, row.meta.created), (FindingState::Open, Time::from_secs(NOW - 7200)));
        assert_eq!(row.about.as_ref().map(|o| (o.kind, &*o.name)), Some((Kind::Node, "n")));
        assert_eq!(fleet.lines().iter().map(|l| (l.title.as_str(), l.severity)).collect::<Vec<_>>(), [("n", Severity::Critical)]);
        fleet.put(Kind::Node, [node("n", "False", 9000)]);
        told(&mut fleet);
        let [row] = rows(&fleet)[..] else { panic!("it is the same finding: {:?}", rows(&fleet)) };
        assert_eq!(row.about.as_ref().map(|o| o.uid), Some(uid(Kind::Node, "n")));
        assert!(matches!(&row.remedy, Some(Remedy::Act { verb: VerbId::Cordon, on, .. }) if on.uid == uid(Kind::Node, "n")));
        assert_eq!(fleet.store.clusters()[0].findings_at(uid(Kind::Node, "n")), Some((Severity::Critical, 1)));
        assert_eq!(fleet.engine.incidents(&fleet.store, NOW)[0].name, "n node-not-ready");
        // A row that changes changes nothing: its inspection says what is so.
        fleet.put(Kind::Node, [node("n", "True", 10)]);
        told(&mut fleet);
        assert_eq!(rows(&fleet)[0].state, FindingState::Open);
        publish(&mut fleet, Vec::new());
        assert_eq!(rows(&fleet)[0].state, FindingState::Resolved);
    }

    #[test]
    fn what_no_report_speaks_of_any_more_has_not_ended() {
        let mut fleet = fleet();
        let own = said("backup-overdue", "Cluster", "in-cluster", Severity::Warning);
        publish(&mut fleet, vec![said("node-not-ready", "Node", "n", Severity::Critical), own]);
        assert_eq!(rows(&fleet).len(), 2);
        fleet.delta(0, Delta::Reports(Heard { told: true, ..Heard::default() }.into()));
        told(&mut fleet);
        assert_eq!((rows(&fleet).len(), fleet.engine.findings().count()), (0, 0), "nobody says that they are resolved: {:?}", rows(&fleet));
    }

    #[test]
    fn strangers_twins_and_alerts_are_told_and_what_may_be_is_said_here() {
        let mut fleet = fleet();
        let config = "[[suppress]]\nrule = \"pdb-missing\"\nreason = \"known\"\nuntil = \"2026-12-31\"\n";
        let loaded = Config::parse(config, Path::new("c.toml"));
        assert_eq!(loaded.diags, []);
        fleet.engine = Engine::new(Thresholds::default()).with(Policy::of(&loaded.config));
        let mut full = said("volume-nearly-full", "Pod", "db-0", Severity::Warning);
        full.message = "another volume is full".into();
        publish(
            &mut fleet,
            vec![
                said("of-a-newer-qd", "Deployment", "api", Severity::Critical),
                said("of-a-newer-qd", "Widget", "w", Severity::Info),
                said("of-a-newer-qd", "Widget", "x", Severity::Info),
                said("volume-nearly-full", "Pod", "db-0", Severity::Warning),
                full,
                said("pdb-missing", "Deployment", "api", Severity::Info),
                said("alert-critical", "Alert", "Down", Severity::Critical),
            ],
        );
        let shown: Vec<_> = rows(&fleet).iter().map(|r| (r.meta.name.to_string(), r.message.to_string(), r.state)).collect();
        let row = |rule: &str, message: &str, state| (rule.to_owned(), message.to_owned(), state);
        assert_eq!(
            shown,
            [
                row("alert-critical", "Down is ill", FindingState::Open),
                row("of-a-newer-qd", "Widget w: w is ill", FindingState::Open),
                row("of-a-newer-qd", "api is ill", FindingState::Open),
                row("pdb-missing", "api is ill", FindingState::Suppressed),
                row("volume-nearly-full", "another volume is full", FindingState::Open),
                row("volume-nearly-full", "db-0 is ill", FindingState::Open),
            ]
        );
        let own = fleet.engine.for_object(ClusterId(0), Uid::default());
        assert_eq!(own[0].evidence[0].value, "Widget x: x is ill", "of a kind that nobody here knows");
        let stranger = fleet.engine.findings().find(|f| f.rule.id == "of-a-newer-qd").unwrap().rule;
        assert!(stranger.burns && stranger.area == "node" && !stranger.why.is_empty());
        let mut titles: Vec<String> = fleet.lines().into_iter().map(|l| l.title).collect();
        titles.sort();
        assert!(titles.contains(&"pay/Down".to_owned()) && titles.contains(&"pay/api".to_owned()), "{titles:?}");
    }
}
