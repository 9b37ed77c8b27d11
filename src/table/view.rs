//! A view: which rows of a subject are seen and in which order, kept right while the store changes.
//!
//! Keeps places ([`RowKey`]) and sort keys, no rows. The default order has the bad on top, then fleet order, namespace, name; what
//! happens (events, alerts, backups) has the newest of the worst on top. Ties end with the row's place, so that nothing jumps without a cause.

use super::{Column, Ctx, Filter, Row, RowKey, Subject, Unit, Value, bad};
use crate::model::{ClusterId, Kind, KindState, Object, ObjectRef, Str, Time};
use crate::store::{RowId, Touched};
use hashbrown::HashSet;
use std::cmp::Ordering;

/// By which column, and which way.
#[derive(Clone, Copy, Debug)]
pub struct Sort {
    pub column: &'static Column,
    pub descending: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    key: u64,
    row: RowKey,
}

/// More dirty rows than this part of all, and everything is looked at again.
const REBUILD_PART: usize = 8;

/// An index over a subject's rows. Call [`View::repair`] with what each turn touched before anything else that turn.
pub struct View {
    subject: Subject,
    sort: Option<Sort>,
    filter: Filter,
    faults_only: bool,
    clusters: Option<HashSet<ClusterId>>,
    namespaces: Option<HashSet<Str>>,
    rows: Vec<Entry>,
}

impl View {
    /// An empty view of everything; [`View::rebuild`] fills it.
    pub fn new(subject: Subject) -> Self {
        Self { subject, sort: None, filter: Filter::all(subject), faults_only: false, clusters: None, namespaces: None, rows: Vec::new() }
    }

    pub fn subject(&self) -> Subject {
        self.subject
    }
    /// None is the default order.
    pub fn sort(&self) -> Option<Sort> {
        self.sort
    }
    pub fn filter(&self) -> &Filter {
        &self.filter
    }
    pub fn faults_only(&self) -> bool {
        self.faults_only
    }
    /// None is all.
    pub fn clusters(&self) -> Option<&HashSet<ClusterId>> {
        self.clusters.as_ref()
    }
    /// None is all.
    pub fn namespaces(&self) -> Option<&HashSet<Str>> {
        self.namespaces.as_ref()
    }
    pub fn len(&self) -> usize {
        self.rows.len()
    }
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
    /// The row at that place.
    pub fn key(&self, at: usize) -> Option<RowKey> {
        self.rows.get(at).map(|e| e.row)
    }
    /// All rows in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = RowKey> + DoubleEndedIterator {
        self.rows.iter().map(|e| e.row)
    }
    /// Where a row is.
    pub fn position(&self, row: RowKey) -> Option<usize> {
        self.rows.iter().position(|e| e.row == row)
    }
    /// Where the object is now: by its uid, whatever slot it has.
    pub fn position_of(&self, ctx: &Ctx<'_>, object: &ObjectRef) -> Option<usize> {
        let (id, _) = ctx.store.find(object.cluster, object.kind, object.uid)?;
        self.position(RowKey::Object(id))
    }

    /// Sorts by a column, or by default.
    pub fn set_sort(&mut self, ctx: &Ctx<'_>, sort: Option<Sort>) {
        self.sort = sort;
        let mut rows: Vec<Sorted<'_>> = self.rows.iter().filter_map(|e| self.sorted(ctx, e.row)).collect();
        self.arrange(ctx, &mut rows);
    }

    /// Filters. Where the new filter only asks for more than the last, only its rows are looked at.
    pub fn set_filter(&mut self, ctx: &Ctx<'_>, filter: Filter) {
        let narrows = filter.narrows(&self.filter);
        self.filter = filter;
        if narrows {
            let mut rows = std::mem::take(&mut self.rows);
            rows.retain(|e| Row::of(ctx.store, e.row).is_some_and(|row| self.filter.matches(ctx, row)));
            self.rows = rows;
        } else {
            self.rebuild(ctx);
        }
    }

    /// Keeps only what is a warning or worse.
    pub fn set_faults_only(&mut self, ctx: &Ctx<'_>, on: bool) {
        self.faults_only = on;
        self.rebuild(ctx);
    }

    /// Keeps only these clusters and namespaces; none is all. Namespaces do not concern what is cluster-wide.
    pub fn set_scope(&mut self, ctx: &Ctx<'_>, clusters: Option<HashSet<ClusterId>>, namespaces: Option<HashSet<Str>>) {
        (self.clusters, self.namespaces) = (clusters, namespaces);
        self.rebuild(ctx);
    }

    /// Whether time alone may move, show or hide a row: the filter speaks of an age, or a schedule gets late.
    pub fn timed(&self) -> bool {
        self.filter.timed() || self.subject == Subject::Schedules
    }

    /// Whether which rows there are, or their order, hangs on amounts, as what is used is one.
    fn ranks_by_amounts(&self) -> bool {
        self.filter.weighs() || self.sort.is_some_and(|s| s.column.unit.ordered() || s.column.unit == Unit::Trend)
    }

    /// Looks at every row again: at the start, and on the minute when it is [`View::timed`].
    pub fn rebuild(&mut self, ctx: &Ctx<'_>) {
        let mut rows = Vec::new();
        for c in ctx.store.clusters() {
            if self.subject == Subject::Clusters {
                rows.extend(self.seen(ctx, RowKey::Cluster(c.id), Row::Cluster(c)));
            } else if self.clusters.as_ref().is_none_or(|set| set.contains(&c.id)) {
                for kind in self.subject.kinds() {
                    let key = |slot| RowKey::Object(RowId { cluster: c.id, kind: *kind, slot });
                    rows.extend(c.table(*kind).iter().filter_map(|(slot, o)| self.seen(ctx, key(slot), Row::Object(c, o))));
                }
            }
        }
        self.arrange(ctx, &mut rows);
    }

    /// Follows what was touched: drops it, sorts it, merges it in. Says whether a row that is or was in the view is concerned.
    pub fn repair(&mut self, ctx: &Ctx<'_>, touched: &[Touched]) -> bool {
        // Whether a node's pods are known hangs on the state of the pods' watch, and on there being any before it is live.
        let unsettled = |t: &Touched| match t {
            Touched::Cluster(_) => true,
            Touched::Usage { kind, .. } => *kind == Kind::Node,
            Touched::Row { id, .. } | Touched::Gone { id, .. } => {
                id.kind == Kind::Pod && ctx.store.cluster(id.cluster).is_some_and(|c| *c.kind_state(Kind::Pod) != KindState::Live)
            }
        };
        // Use is told of all pods at once.
        let used = |t: &Touched| matches!(t, Touched::Usage { kind, .. } if self.subject.shows_use_of(*kind));
        let ranked = self.ranks_by_amounts();
        let leans = |t: &Touched| match t {
            Touched::Row { id, .. } | Touched::Gone { id, .. } => self.subject.leans_on().contains(&id.kind),
            Touched::Usage { .. } => ranked && used(t),
            Touched::Cluster(_) => false,
        };
        let all = match self.subject {
            Subject::Clusters => !touched.is_empty(),
            Subject::Nodes => touched.iter().any(unsettled),
            _ => touched.iter().any(leans),
        };
        let dirty = if all { Vec::new() } else { self.dirty(ctx, touched) };
        if all || dirty.len() > 64 && dirty.len() > self.rows.len() / REBUILD_PART {
            self.rebuild(ctx);
            return true;
        }
        let used = touched.iter().any(used);
        if dirty.is_empty() {
            return used;
        }
        let before = self.rows.len();
        let mask = dirty.iter().fold([0u64; 64], |mut mask, key| {
            mask[slot(*key) / 64 % 64] |= 1 << (slot(*key) % 64);
            mask
        });
        self.rows.retain(|e| mask[slot(e.row) / 64 % 64] & 1 << (slot(e.row) % 64) == 0 || dirty.binary_search(&e.row).is_err());
        let mut new: Vec<Sorted<'_>> = dirty.iter().filter_map(|key| self.seen(ctx, *key, Row::of(ctx.store, *key)?)).collect();
        new.sort_unstable_by(|a, b| self.order(ctx, a, b));
        let concerned = used || before != self.rows.len() || !new.is_empty();
        let place = |n: &Sorted<'_>| self.rows.partition_point(|e| self.before(ctx, e, n));
        let places: Vec<usize> = new.iter().map(place).collect();
        if let Some(first) = new.first() {
            let mut end = self.rows.len();
            self.rows.resize(end + new.len(), first.entry);
            for (n, at) in places.iter().enumerate().rev() {
                self.rows.copy_within(*at..end, at + n + 1);
                self.rows[at + n] = new[n].entry;
                end = *at;
            }
        }
        concerned
    }

    /// The rows of this subject that may look different now, in order.
    fn dirty(&self, ctx: &Ctx<'_>, touched: &[Touched]) -> Vec<RowKey> {
        let kinds = self.subject.kinds();
        let nodes = self.subject == Subject::Nodes;
        let mut dirty = Vec::new();
        let mut of_pods: HashSet<(ClusterId, Str)> = HashSet::new();
        for t in touched {
            let (id, before) = match t {
                Touched::Row { id, before } => (*id, before.as_ref()),
                Touched::Gone { id, before } => (*id, Some(before)),
                Touched::Cluster(_) | Touched::Usage { .. } => continue,
            };
            if kinds.contains(&id.kind) {
                dirty.push(RowKey::Object(id));
            } else if id.kind == Kind::Finding {
                let now = ctx.store.row(id).map(|(_, o)| o);
                let found = [before, now].into_iter().flatten().filter_map(|o| if let Object::Finding(f) = o { Some(f) } else { None });
                let places = found.flat_map(|f| f.places()).filter(|at| kinds.contains(&at.kind));
                dirty.extend(places.filter_map(|at| Some(RowKey::Object(ctx.store.find(id.cluster, at.kind, at.uid)?.0))));
            } else if nodes && id.kind == Kind::Pod {
                let now = ctx.store.row(id).map(|(_, o)| o);
                of_pods.extend([before, now].into_iter().flatten().filter_map(|o| match o {
                    Object::Pod(p) => p.node.clone().map(|node| (id.cluster, node)),
                    _ => None,
                }));
            }
        }
        let clusters: HashSet<ClusterId> = of_pods.iter().map(|(c, _)| *c).collect();
        for c in clusters.into_iter().filter_map(|id| ctx.store.cluster(id)) {
            let hit = |o: &Object| of_pods.contains(&(c.id, o.meta().name.clone()));
            dirty.extend(
                c.table(Kind::Node)
                    .iter()
                    .filter(|(_, o)| hit(o))
                    .map(|(slot, _)| RowKey::Object(RowId { cluster: c.id, kind: Kind::Node, slot })),
            );
        }
        dirty.sort_unstable();
        dirty.dedup();
        dirty
    }

    /// The row with its sort key, when it is to be seen.
    fn seen<'a>(&self, ctx: &Ctx<'a>, key: RowKey, row: Row<'a>) -> Option<Sorted<'a>> {
        let scoped = |o: &Object| {
            let Some(set) = &self.namespaces else { return true };
            match o {
                Object::Namespace(n) => set.contains(&n.meta.name),
                _ => !o.kind().info().namespaced || set.contains(&o.meta().namespace),
            }
        };
        let seen = self.clusters.as_ref().is_none_or(|set| set.contains(&key.cluster()))
            && row.object().is_none_or(|o| self.subject.lists(o) && scoped(o))
            && (!self.faults_only || bad(ctx, row).fault())
            && self.filter.matches(ctx, row);
        seen.then(|| Sorted::new(Entry { key: self.sort_key(ctx, row), row: key }, row))
    }

    fn sorted<'a>(&self, ctx: &Ctx<'a>, key: RowKey) -> Option<Sorted<'a>> {
        let row = Row::of(ctx.store, key)?;
        Some(Sorted::new(Entry { key: self.sort_key(ctx, row), row: key }, row))
    }

    fn sort_key(&self, ctx: &Ctx<'_>, row: Row<'_>) -> u64 {
        match self.sort {
            None => {
                let worst_first = u64::from(3 - bad(ctx, row).rank()) << 60;
                if let Some(at) = row.object().and_then(happened) {
                    return worst_first | Value::from(at.map(Value::Age)).sort_key() & ((1 << 60) - 1);
                }
                worst_first | u64::from(row.cluster().id.0) << 44 | super::value::prefix(row.namespace()) >> 20
            }
            Some(sort) => {
                let value = sort.column.value(ctx, row);
                if sort.descending && !value.is_none() { !value.sort_key() } else { value.sort_key() }
            }
        }
    }

    fn order(&self, ctx: &Ctx<'_>, a: &Sorted<'_>, b: &Sorted<'_>) -> Ordering {
        let full = || {
            let Some(sort) = self.sort.filter(|s| !s.column.unit.exact_key()) else { return Ordering::Equal };
            let (a, b) = (sort.column.value(ctx, a.row), sort.column.value(ctx, b.row));
            if sort.descending && !a.is_none() && !b.is_none() { b.cmp(&a) } else { a.cmp(&b) }
        };
        // Clusters stay in fleet order: that of their ids.
        let clusters = || a.entry.row.cluster().cmp(&b.entry.row.cluster());
        // Namespaces are shared strings: most that are equal are the same.
        let namespaces = || if std::ptr::eq(a.namespace, b.namespace) { Ordering::Equal } else { a.namespace.cmp(b.namespace) };
        a.entry
            .key
            .cmp(&b.entry.key)
            .then_with(full)
            .then_with(clusters)
            .then_with(namespaces)
            .then_with(|| a.name.cmp(b.name))
            .then_with(|| a.entry.row.cmp(&b.entry.row))
    }

    /// Whether a row that is in place comes before a new one.
    fn before(&self, ctx: &Ctx<'_>, entry: &Entry, new: &Sorted<'_>) -> bool {
        match entry.key.cmp(&new.entry.key) {
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal => {
                Row::of(ctx.store, entry.row).is_some_and(|row| self.order(ctx, &Sorted::new(*entry, row), new) == Ordering::Less)
            }
        }
    }

    fn arrange(&mut self, ctx: &Ctx<'_>, rows: &mut [Sorted<'_>]) {
        rows.sort_unstable_by(|a, b| self.order(ctx, a, b));
        self.rows.clear();
        self.rows.extend(rows.iter().map(|s| s.entry));
    }
}

/// Of what happens, the newest of the worst goes first: what is normal comes all the time and tells least.
fn happened(object: &Object) -> Option<Option<Time>> {
    Some(match object {
        Object::Event(e) => e.last,
        Object::Alert(a) => a.starts,
        Object::Backup(b) => b.point(),
        Object::Restore(r) => r.run.started.or(r.meta.created),
        _ => return None,
    })
}

/// A row while it is sorted: held with its names, so that a tie needs no look-up.
struct Sorted<'a> {
    entry: Entry,
    row: Row<'a>,
    namespace: &'a str,
    name: &'a str,
}

impl<'a> Sorted<'a> {
    fn new(entry: Entry, row: Row<'a>) -> Self {
        Self { entry, row, namespace: row.namespace(), name: row.name() }
    }
}

fn slot(key: RowKey) -> usize {
    match key {
        RowKey::Cluster(id) => usize::from(id.0),
        RowKey::Object(id) => id.slot as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NOW, apply, everything, fleet, node, pod, put};
    use super::*;
    use crate::model::{Change, ConnectionState, Delta, Time, Uid, Usage, UsageList, UsageRow};
    use crate::store::Store;
    use proptest::prelude::*;
    use serde_json::json;

    fn names(store: &Store, view: &View) -> Vec<String> {
        view.keys().map(|k| Row::of(store, k).unwrap().name().to_owned()).collect()
    }

    #[test]
    fn the_bad_on_top_then_names_and_columns_either_way() {
        let mut store = fleet();
        for (cluster, name, restarts, waiting) in [
            (1, "b", 2, None),
            (0, "c", 1, None),
            (0, "a", 7, None),
            (1, "z", 3, Some("CrashLoopBackOff")),
            (0, "y", 0, Some("ContainerCreating")),
        ] {
            put(&mut store, cluster, Kind::Pod, &pod("ns", name, "n", restarts, waiting));
        }
        let ctx = Ctx { store: &store, now: NOW };
        let mut view = View::new(Subject::Pods);
        view.rebuild(&ctx);
        assert_eq!(names(&store, &view), ["z", "y", "a", "c", "b"]);
        let by = |column, descending| Some(Sort { column: Subject::Pods.column(column).unwrap(), descending });
        view.set_sort(&ctx, by("restarts", true));
        assert_eq!(names(&store, &view), ["a", "z", "b", "c", "y"]);
        view.set_sort(&ctx, by("name", false));
        assert_eq!(names(&store, &view), ["a", "b", "c", "y", "z"]);
        view.set_sort(&ctx, None);
        view.set_faults_only(&ctx, true);
        assert_eq!(names(&store, &view), ["z", "y"]);
        view.set_faults_only(&ctx, false);
        view.set_scope(&ctx, Some([ClusterId(1)].into()), Some(["ns".into()].into()));
        assert_eq!(names(&store, &view), ["z", "b"]);
        view.set_scope(&ctx, None, Some(["other".into()].into()));
        assert!(view.is_empty());
    }

    #[test]
    fn whoever_uses_most_moves_up_when_use_is_told() {
        let mut store = everything();
        put(&mut store, 0, Kind::Namespace, &json!({"metadata": {"name": "shop", "uid": "ns-shop"}, "status": {"phase": "Active"}}));
        let usage = |cpu_m| Usage { cpu_m: Some(cpu_m), ..Usage::default() };
        for (subject, expected) in [(Subject::Pods, ["web-1", "checkout-1"]), (Subject::Namespaces, ["shop", "pay"])] {
            let mut view = View::new(subject);
            view.rebuild(&Ctx { store: &store, now: NOW });
            let sort = Sort { column: subject.column("cpu_use_m").unwrap(), descending: true };
            view.set_sort(&Ctx { store: &store, now: NOW }, Some(sort));
            for (pay, shop, order) in [(5, 1, [expected[1], expected[0]]), (1, 5, expected)] {
                let of =
                    |namespace: &str, name: &str, cpu_m| UsageRow { namespace: namespace.into(), name: name.into(), usage: usage(cpu_m) };
                let rows = vec![of("pay", "checkout-1", pay), of("shop", "web-1", shop)];
                let touched = apply(&mut store, 0, Delta::Usage(UsageList { kind: Kind::Pod, namespace: None, rows }));
                view.repair(&Ctx { store: &store, now: NOW }, &touched);
                assert_eq!(names(&store, &view), order, "{subject:?}");
            }
        }
    }

    #[test]
    fn what_is_used_changes_amounts_alone_and_moves_nothing_ranked_by_others() {
        fn ctx(store: &Store) -> Ctx<'_> {
            Ctx { store, now: NOW }
        }
        let mut store = everything();
        let cells = |store: &Store| -> Vec<String> {
            let of = |subject: Subject| {
                let mut view = View::new(subject);
                view.rebuild(&ctx(store));
                let columns = || subject.columns().iter().filter(|c| !c.unit.ordered() && c.unit != Unit::Trend);
                let row = |n: usize| Row::of(store, view.key(n).unwrap()).unwrap();
                (0..view.len())
                    .flat_map(|n| columns().map(|c| format!("{subject:?} {} {:?}", c.id, c.value(&ctx(store), row(n)))).collect::<Vec<_>>())
                    .collect::<Vec<_>>()
            };
            Subject::ALL.into_iter().flat_map(of).collect()
        };
        let before = cells(&store);
        let mut views: Vec<View> = [None, Some("name"), Some("cpu_use_m")]
            .into_iter()
            .flat_map(|by| ["", "e", "cpu_use_m>3", "7"].map(|text| (by, text)))
            .map(|(by, text)| {
                let mut view = View::new(Subject::Pods);
                view.rebuild(&ctx(&store));
                view.set_filter(&ctx(&store), Filter::parse(Subject::Pods, text).unwrap());
                view.set_sort(&ctx(&store), by.map(|by| Sort { column: Subject::Pods.column(by).unwrap(), descending: false }));
                view
            })
            .collect();
        for n in [5, 1, 7] {
            let row = |namespace: &str, name: &str, cpu_m| UsageRow {
                namespace: namespace.into(),
                name: name.into(),
                usage: Usage { cpu_m: Some(cpu_m), memory: Some(cpu_m << 20), at: None },
            };
            let rows = vec![row("pay", "checkout-1", n), row("shop", "web-1", 4)];
            let touched = apply(&mut store, 0, Delta::Usage(UsageList { kind: Kind::Pod, namespace: None, rows }));
            assert_eq!(cells(&store), before);
            for view in &mut views {
                assert!(view.repair(&ctx(&store), &touched), "its cells are others");
                let kept = names(&store, view);
                view.rebuild(&ctx(&store));
                assert_eq!(kept, names(&store, view), "{:?} {:?}", view.filter, view.sort.map(|s| s.column.id));
            }
        }
    }

    #[test]
    fn a_node_follows_its_pods_and_clusters_their_state() {
        let mut store = everything();
        put(&mut store, 0, Kind::Node, &node("node-002", "False"));
        let mut nodes = View::new(Subject::Nodes);
        nodes.rebuild(&Ctx { store: &store, now: NOW });
        nodes.set_sort(&Ctx { store: &store, now: NOW }, Some(Sort { column: Subject::Nodes.column("pods").unwrap(), descending: true }));
        assert_eq!(names(&store, &nodes), ["node-001", "node-002"]);
        let touched: Vec<_> =
            (0..3).flat_map(|n| put(&mut store, 0, Kind::Pod, &pod("ns", &format!("p{n}"), "node-002", 0, None))).collect();
        assert!(nodes.repair(&Ctx { store: &store, now: NOW }, &touched));
        assert_eq!(names(&store, &nodes), ["node-002", "node-001"]);

        let mut clusters = View::new(Subject::Clusters);
        clusters.rebuild(&Ctx { store: &store, now: NOW });
        assert_eq!(names(&store, &clusters), ["prod-eu", "dev"]);
        let touched = apply(&mut store, 1, Delta::State(ConnectionState::Unreachable { last: None, reason: "x".into() }));
        clusters.repair(&Ctx { store: &store, now: NOW }, &touched);
        assert_eq!(names(&store, &clusters), ["dev", "prod-eu"]);
    }

    #[test]
    fn the_cursor_finds_its_object_and_owned_replicasets_are_noise() {
        let mut store = everything();
        let mut view = View::new(Subject::Pods);
        view.rebuild(&Ctx { store: &store, now: NOW });
        let object = Row::of(&store, view.key(1).unwrap()).unwrap().object().unwrap().reference(ClusterId(0));
        let touched = apply(&mut store, 0, Delta::Rows { kind: Kind::Pod, changes: vec![Change::Delete(Uid::parse("pay-checkout-1"))] });
        assert!(view.repair(&Ctx { store: &store, now: NOW }, &touched));
        assert_eq!(view.position_of(&Ctx { store: &store, now: NOW }, &object), Some(0));
        put(
            &mut store,
            0,
            Kind::ReplicaSet,
            &serde_json::json!({"metadata": {"name": "owned", "uid": "rs9", "ownerReferences": [{"kind": "Deployment", "name": "d", "uid": "d", "controller": true}]}}),
        );
        let has = |subject| {
            let mut view = View::new(subject);
            view.rebuild(&Ctx { store: &store, now: NOW });
            names(&store, &view).contains(&"owned".to_owned())
        };
        assert!(!has(Subject::Workloads) && has(Subject::ReplicaSets));
    }

    #[test]
    fn a_keystroke_more_gives_what_the_whole_filter_gives() {
        let mut store = fleet();
        for n in 0..60 {
            put(
                &mut store,
                n % 2,
                Kind::Pod,
                &pod(
                    &format!("team-{}", n % 3),
                    &format!("app-{n:02}-web"),
                    &format!("n{}", n % 4),
                    u32::from(n % 5),
                    (n % 7 == 0).then_some("CrashLoopBackOff"),
                ),
            );
        }
        let ctx = Ctx { store: &store, now: NOW };
        let mut view = View::new(Subject::Pods);
        view.rebuild(&ctx);
        for text in ["ap-2 crashloop restarts>1", "Crash !ns:team-1", "\"b\" 3 -w", "/p-1/ node:n1,n2", "256Mi", "1G 2"] {
            for end in (1..=text.len()).chain((0..text.len()).rev()) {
                let Ok(filter) = Filter::parse(Subject::Pods, &text[..end]) else { continue };
                view.set_filter(&ctx, filter.clone());
                let mut fresh = View::new(Subject::Pods);
                fresh.set_filter(&ctx, filter);
                fresh.rebuild(&ctx);
                assert_eq!(view.rows, fresh.rows, "{}", &text[..end]);
            }
        }
    }

    #[test]
    fn of_events_the_newest_warning_is_on_top() {
        let mut store = fleet();
        for (name, kind, ago) in [("a", "Normal", 5), ("b", "Warning", 900), ("c", "Warning", 60), ("d", "Normal", 1), ("e", "Warning", 0)]
        {
            let mut event = json!({"metadata": {"name": name, "namespace": "pay", "uid": name}, "type": kind, "involvedObject": {"kind": "Pod", "name": "p"}});
            if ago > 0 {
                event["lastTimestamp"] = Time::from_secs(NOW - ago).unwrap().rfc3339().into();
            }
            put(&mut store, 0, Kind::Event, &event);
        }
        let ctx = Ctx { store: &store, now: NOW };
        let mut view = View::new(Subject::Events);
        view.rebuild(&ctx);
        assert_eq!(names(&store, &view), ["c", "b", "e", "d", "a"], "one without a time is the last of its like");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Guards the incremental index: whatever is touched, it is what a rebuild gives.
        #[test]
        fn repair_is_rebuild(
            sort in 0..6usize, filter in 0..5usize, faults in any::<bool>(),
            turns in prop::collection::vec(prop::collection::vec((0..2u16, 0..40u8, 0..4u32, 0..4u8, any::<bool>()), 1..12), 1..8),
        ) {
            let mut store = fleet();
            for n in 0..3 {
                put(&mut store, 0, Kind::Node, &node(&format!("n{n}"), "True"));
            }
            let mut views = [View::new(Subject::Pods), View::new(Subject::Nodes)];
            for (view, columns) in views.iter_mut().zip([["restarts", "status", "node", "age"], ["pods", "cpu%", "status", "name"]]) {
                let ctx = Ctx { store: &store, now: NOW };
                let column = columns.get(sort / 2).filter(|_| sort > 1).map(|c| view.subject().column(c).unwrap());
                view.set_filter(&ctx, Filter::parse(view.subject(), ["", "n", "status:r*,crash*", "!name:*3", "ready<1"].get(filter).filter(|_| filter < 4 || view.subject() == Subject::Pods).unwrap_or(&"pods>1")).unwrap());
                view.set_faults_only(&ctx, faults && view.subject() == Subject::Pods);
                view.set_sort(&ctx, column.map(|column| Sort { column, descending: sort % 2 == 1 }));
            }
            for turn in turns {
                let mut touched = Vec::new();
                for (cluster, n, restarts, what, bad) in turn {
                    let (ns, name) = (format!("team-{}", n % 3), format!("n{n}"));
                    touched.extend(if what == 0 {
                        apply(&mut store, cluster, Delta::Rows { kind: Kind::Pod, changes: vec![Change::Delete(Uid::parse(&format!("{ns}-{name}")))] })
                    } else {
                        put(&mut store, cluster, Kind::Pod, &pod(&ns, &name, &format!("n{}", what % 3), restarts, bad.then_some("CrashLoopBackOff")))
                    });
                }
                let ctx = Ctx { store: &store, now: NOW };
                for view in &mut views {
                    view.repair(&ctx, &touched);
                    let repaired = view.rows.clone();
                    view.rebuild(&ctx);
                    prop_assert_eq!(&repaired, &view.rows);
                }
            }
        }
    }
}
