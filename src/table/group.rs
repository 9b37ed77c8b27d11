//! Groups of a view's rows: those of which a column says the same, with what they come to.

use super::{Column, Ctx, Row, RowKey, Subject, Tone, Unit, Value, View, bad};
use crate::model::{Object, Time};
use hashbrown::{HashMap, HashSet};
use std::cmp::Reverse;

/// Rows of which a column says the same.
#[derive(Clone, PartialEq, Debug)]
pub struct Group {
    /// What the column says; empty where it says nothing.
    pub title: String,
    /// In the view's order.
    pub rows: Vec<RowKey>,
    pub worst: Tone,
    /// Rows that are a warning or worse.
    pub faults: u32,
    /// What the worst row's `severity` says, where the subject has that column.
    pub severity: String,
    /// Since when the oldest row is so, or is there.
    pub oldest: Option<Time>,
    /// How many rows are in which state, the worst state first.
    pub states: Vec<(String, u32)>,
    /// Of an incident: what it is in one line, and what its probable cause explains.
    pub says: Option<(String, String)>,
    /// Objects that an incident touches; 0 of other groups.
    objects: u32,
    /// The tier of its rows' rules, where they are findings; the lowest.
    tier: u8,
}

/// Columns that rows are usually grouped by, in the order in which one key goes through them.
pub fn usual(subject: Subject) -> Vec<&'static Column> {
    let ids: &[&str] = match subject {
        Subject::Alerts => &["name", "cluster", "namespace", "node", "owner"],
        Subject::Findings => &["cause", "name", "cluster", "namespace", "area", "workload"],
        _ => &["cluster", "namespace", "kind", "zone", "node", "owner", "reason", "area"],
    };
    ids.iter().filter_map(|id| subject.columns().iter().find(|c| c.id == *id)).collect()
}

/// Whether rows can be grouped by it: words repeat themselves, numbers and ages do not.
pub fn groups_by(column: &Column) -> bool {
    matches!(column.unit, Unit::Text | Unit::Reference | Unit::Bool | Unit::List)
}

impl Group {
    /// The groups of a view. In its default order the worst group is first, incidents before others, then the one with the most objects or faults;
    /// sorted by a column they stand as their first rows do. Since when an incident is, its cause says.
    pub fn all(ctx: &Ctx<'_>, view: &View, by: &Column) -> Vec<Self> {
        let column = |id: &str| view.subject().columns().iter().find(|c| c.id == id);
        let (status, severity) = (column("status"), column("severity"));
        let since = column("started_age_s").or_else(|| column("since_age_s")).or_else(|| column("age_s"));
        let mut groups: Vec<Self> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        let (mut causes, mut began): (HashSet<RowKey>, HashMap<usize, Option<Time>>) = Default::default();
        let mut tones: Vec<HashMap<String, (Tone, u32)>> = Vec::new();
        for key in view.keys() {
            let Some(row) = Row::of(ctx.store, key) else { continue };
            let text = |c: &Column| {
                let value = c.value(ctx, row);
                if value.is_none() { String::new() } else { value.text(ctx.now) }
            };
            let at = *places.entry(text(by)).or_insert_with_key(|title| {
                let (worst, severity) = (Tone::Plain, String::new());
                let (rows, states) = (Vec::new(), Vec::new());
                groups.push(Self {
                    title: title.clone(),
                    rows,
                    worst,
                    faults: 0,
                    severity,
                    oldest: None,
                    states,
                    says: None,
                    objects: 0,
                    tier: u8::MAX,
                });
                tones.push(HashMap::new());
                groups.len() - 1
            });
            let (group, tone) = (&mut groups[at], bad(ctx, row));
            if group.rows.is_empty() || tone.rank() > group.worst.rank() {
                group.worst = tone;
                group.severity = severity.map(text).unwrap_or_default();
            }
            group.faults += u32::from(tone.fault());
            if let Some(Value::Age(time)) = since.map(|c| c.value(ctx, row)) {
                group.oldest = Some(group.oldest.map_or(time, |old| old.min(time)));
            }
            if let Some(state) = status.map(text).filter(|s| !s.is_empty()) {
                let (worst, n) = tones[at].entry(state).or_insert((tone, 0));
                *n += 1;
                if tone.rank() > worst.rank() {
                    *worst = tone;
                }
            }
            if let Row::Object(_, Object::Finding(f)) = row {
                group.tier = group.tier.min(f.tier);
                if let Some(e) = f.explains.as_ref().filter(|_| by.id == "cause") {
                    (group.says, group.objects) = (Some((e.says.to_string(), e.words())), e.objects);
                    causes.insert(key);
                    began.insert(at, f.since);
                }
            }
            group.rows.push(key);
        }
        for (at, since) in began {
            groups[at].oldest = since.or(groups[at].oldest);
        }
        for (group, tones) in groups.iter_mut().zip(tones) {
            let mut states: Vec<(String, (Tone, u32))> = tones.into_iter().collect();
            states.sort_by(|(a, (s, n)), (b, (t, m))| t.rank().cmp(&s.rank()).then(m.cmp(n)).then(a.cmp(b)));
            group.states = states.into_iter().map(|(state, (_, n))| (state, n)).collect();
        }
        if view.sort().is_none() {
            for group in groups.iter_mut().filter(|g| g.says.is_some()) {
                group.rows.sort_by_key(|row| !causes.contains(row));
            }
            let weight = |g: &Self| (g.worst.rank(), g.says.is_some(), g.objects.max(g.faults), Reverse(g.tier));
            groups.sort_by(|a, b| weight(b).cmp(&weight(a)).then_with(|| a.title.cmp(&b.title)));
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sort;
    use super::super::tests::{NOW, fleet, pod, put};
    use super::*;
    use crate::model::Kind;

    #[test]
    fn rows_that_say_the_same_stand_together_the_worst_first() {
        let mut store = fleet();
        for (cluster, ns, name, waiting) in [
            (0, "calm", "a", None),
            (0, "calm", "b", None),
            (0, "bad", "c", None),
            (1, "bad", "d", Some("CrashLoopBackOff")),
            (1, "slow", "e", Some("ContainerCreating")),
        ] {
            put(&mut store, cluster, Kind::Pod, &pod(ns, name, "n", 0, waiting));
        }
        let ctx = Ctx { store: &store, now: NOW };
        let mut view = View::new(Subject::Pods);
        view.rebuild(&ctx);
        let namespace = Subject::Pods.column("namespace").unwrap();
        let told = |view: &View| -> Vec<String> {
            let of = |g: &Group| format!("{} {} {:?} {}", g.title, g.rows.len(), g.worst, g.faults);
            Group::all(&ctx, view, namespace).iter().map(of).collect()
        };
        assert_eq!(told(&view), ["bad 2 Critical 1", "slow 1 Warning 1", "calm 2 Ok 0"]);
        let bad = Group::all(&ctx, &view, namespace).remove(0);
        assert_eq!(bad.states, [("CrashLoopBackOff".to_owned(), 1), ("Running".to_owned(), 1)]);
        view.set_sort(&ctx, Some(Sort { column: Subject::Pods.column("name").unwrap(), descending: true }));
        assert_eq!(told(&view), ["slow 1 Warning 1", "bad 2 Critical 1", "calm 2 Ok 0"]);
    }

    #[test]
    fn incidents_come_first_by_what_they_touch_their_cause_on_top() {
        use crate::model::{Change, Delta, Explains, FindingRow, FindingState, Object, Severity, Uid};
        let mut store = fleet();
        let row = |rule: &str, object: &str, cause: Option<&str>, objects: u32, since: i64| {
            let explains = (objects > 0).then(|| Explains { says: "gone".into(), findings: objects, alerts: 2, objects, workloads: 3 });
            Change::Upsert(Object::Finding(
                FindingRow {
                    meta: FindingRow::meta(rule, Uid::parse(object), "pay".into(), Default::default(), None),
                    area: "node".into(),
                    tier: 1,
                    severity: Severity::Critical,
                    state: FindingState::Open,
                    about: None,
                    top: None,
                    message: "x".into(),
                    evidence: Box::default(),
                    remedy: None,
                    next_step: "".into(),
                    since: Time::from_secs(NOW - since),
                    resolved: None,
                    begun: 1,
                    suppressed: None,
                    cause: cause.map(Into::into),
                    explains,
                }
                .into(),
            ))
        };
        let (n1, n2) = (Some("n1 node-not-ready"), Some("n2 node-not-ready"));
        let changes = vec![
            row("a-pod", "p1", n1, 0, 900),
            row("node-not-ready", "n1", n1, 3, 60),
            row("node-not-ready", "n2", n2, 9, 60),
            row("a-rule", "o1", None, 0, 5),
            row("a-rule", "o2", None, 0, 5),
        ];
        super::super::tests::apply(&mut store, 0, Delta::Rows { kind: Kind::Finding, changes });
        let ctx = Ctx { store: &store, now: NOW };
        let mut view = View::new(Subject::Findings);
        view.rebuild(&ctx);
        let by = |column: &str| Group::all(&ctx, &view, Subject::Findings.column(column).unwrap());
        let groups = by("cause");
        let told: Vec<(&str, usize)> = groups.iter().map(|g| (g.title.as_str(), g.rows.len())).collect();
        let cluster = &store.clusters()[0].info.name;
        assert_eq!(
            told,
            [(format!("{cluster} n2 node-not-ready").as_str(), 1), (format!("{cluster} n1 node-not-ready").as_str(), 2), ("a-rule", 2)]
        );
        let said = groups[1].says.as_ref().map(|(says, explains)| (says.as_str(), explains.as_str()));
        assert_eq!(said, Some(("gone", "3 findings and 2 alerts on 3 workloads")));
        assert_eq!(groups[1].oldest, Time::from_secs(NOW - 60), "since its cause is so");
        let Some(Row::Object(_, Object::Finding(first))) = Row::of(&store, groups[1].rows[0]) else { panic!() };
        assert_eq!(&*first.meta.name, "node-not-ready");
        assert!(by("name").iter().all(|g| g.says.is_none()));
    }

    #[test]
    fn what_rows_are_usually_grouped_by_can_be_grouped_by() {
        for subject in Subject::ALL {
            assert!(usual(subject).into_iter().all(groups_by), "{}", subject.name());
        }
        assert_eq!(usual(Subject::Alerts).len(), 5);
        assert!(!groups_by(Subject::Pods.column("age").unwrap()));
    }
}
