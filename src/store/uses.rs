//! What nodes and pods use now and how full claims are, found by name, and how use went over the last half hour.

use crate::model::pod::Resources;
use crate::model::{ClaimRow, ClaimUse, Kind, Str, Uid, Usage, UsageList};
use hashbrown::{Equivalent, HashMap};

/// What some pods use together, and what the same pods request: of each resource those count that were measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UseSum {
    /// Pods that were measured.
    pub pods: u32,
    /// Millicores; none: of no pod it is known.
    pub cpu_m: Option<i64>,
    /// Bytes.
    pub memory: Option<i64>,
    pub cpu_request_m: i64,
    pub memory_request: i64,
}

impl UseSum {
    fn add(&mut self, usage: &Usage, requests: &Resources) {
        self.pods += 1;
        if let Some(cpu) = usage.cpu_m {
            self.cpu_m = Some(self.cpu_m.unwrap_or(0) + cpu);
            self.cpu_request_m += requests.cpu_request_m.unwrap_or(0);
        }
        if let Some(memory) = usage.memory {
            self.memory = Some(self.memory.unwrap_or(0) + memory);
            self.memory_request += requests.memory_request.unwrap_or(0);
        }
    }
}

/// What is kept of the last half hour: so many points of four minutes each.
const POINTS: usize = 8;
const STEP: i64 = 240;

/// A course in 255 parts of its highest point; 0 where nothing was measured.
#[derive(Clone, Copy, Default)]
struct Course {
    /// The highest point: millicores or KiB.
    top: u32,
    /// Oldest first; the last is the newest.
    parts: [u8; POINTS],
}

impl Course {
    fn shift(&mut self, points: usize) {
        let points = points.min(POINTS);
        self.parts.copy_within(points.., 0);
        self.parts[POINTS - points..].fill(0);
    }

    /// Notes a value for the newest point, which keeps its highest.
    fn record(&mut self, value: i64) {
        let value = u32::try_from(value.max(0)).unwrap_or(u32::MAX);
        if value > self.top {
            let (old, new) = (u64::from(self.top), u64::from(value));
            for part in self.parts.iter_mut().filter(|p| **p > 0) {
                *part = u8::try_from(u64::from(*part - 1) * old / new).unwrap_or(u8::MAX).saturating_add(1);
            }
            self.top = value;
        }
        let part = u64::from(value) * 254 / u64::from(self.top.max(1)) + 1;
        let newest = &mut self.parts[POINTS - 1];
        *newest = (*newest).max(u8::try_from(part).unwrap_or(u8::MAX));
    }

    /// From the first that was measured on; what was missed between carries the last value on.
    fn values(&self) -> Vec<u32> {
        let known = self.parts.iter().skip_while(|p| **p == 0);
        let value = |part: u8| u32::try_from(u64::from(part - 1) * u64::from(self.top) / 254).unwrap_or(u32::MAX);
        let mut last = 0;
        known
            .map(|part| {
                last = if *part > 0 { value(*part) } else { last };
                last
            })
            .collect()
    }
}

/// The courses of what one uses.
#[derive(Clone, Copy, Default)]
struct Courses {
    /// Which point is the newest, in steps since 1970; 0: none was noted.
    newest: u32,
    cpu: Course,
    memory: Course,
}

impl Courses {
    fn record(&mut self, now: i64, cpu_m: Option<i64>, memory: Option<i64>) {
        let step = u32::try_from(now / STEP).unwrap_or(0);
        if step > self.newest {
            let points = (step - self.newest) as usize;
            self.cpu.shift(points);
            self.memory.shift(points);
            self.newest = step;
        }
        if let Some(cpu) = cpu_m {
            self.cpu.record(cpu);
        }
        if let Some(memory) = memory {
            self.memory.record(memory >> 10);
        }
    }

    fn told(&self) -> UseCourse {
        UseCourse { cpu_m: self.cpu.values(), memory_kib: self.memory.values() }
    }
}

/// How the use of one went over the last half hour, four minutes a point, oldest first; empty where nothing was measured.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UseCourse {
    /// Millicores.
    pub cpu_m: Vec<u32>,
    /// KiB.
    pub memory_kib: Vec<u32>,
}

/// Sums over the pods there are.
#[derive(Default)]
pub struct Sums {
    by_owner: HashMap<Uid, UseSum>,
    by_namespace: HashMap<Str, UseSum>,
}

impl Sums {
    /// Counts a pod for its namespace and for those that own it.
    pub fn add(&mut self, namespace: &Str, owners: impl IntoIterator<Item = Uid>, usage: &Usage, requests: &Resources) {
        self.by_namespace.entry(namespace.clone()).or_default().add(usage, requests);
        for owner in owners {
            self.by_owner.entry(owner).or_default().add(usage, requests);
        }
    }
}

/// Namespace and name.
#[derive(PartialEq, Eq, Hash)]
pub struct Place(pub Str, pub Str);

/// The same, to look one up.
#[derive(Hash)]
pub struct Sought<'a>(pub &'a str, pub &'a str);

impl Equivalent<Place> for Sought<'_> {
    fn equivalent(&self, place: &Place) -> bool {
        (self.0, self.1) == (&*place.0, &*place.1)
    }
}

/// What one uses now, and how that went.
#[derive(Default)]
struct Used {
    usage: Usage,
    courses: Courses,
    /// The list that named it last.
    list: u32,
}

/// What those of one kind use.
#[derive(Default)]
struct Measured {
    all: HashMap<Place, Used>,
    /// How many lists were told whole.
    lists: u32,
}

/// The side table of one cluster.
#[derive(Default)]
pub struct Uses {
    nodes: Measured,
    pods: Measured,
    claims: HashMap<Place, ClaimUse>,
    /// Of all nodes.
    total: Usage,
    sums: Sums,
    owners: HashMap<Uid, Courses>,
}

impl Uses {
    fn find(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Used> {
        let map = match kind {
            Kind::Node => &self.nodes,
            Kind::Pod => &self.pods,
            _ => return None,
        };
        map.all.get(&Sought(namespace, name))
    }

    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Usage> {
        self.find(kind, namespace, name).map(|u| &u.usage)
    }

    /// How full a claim is.
    pub fn claim(&self, namespace: &str, name: &str) -> Option<&ClaimUse> {
        self.claims.get(&Sought(namespace, name))
    }

    /// Takes how full claims are: of one that it does not name that is no longer known.
    pub fn replace_claims(&mut self, rows: Vec<ClaimRow>) {
        self.claims = rows.into_iter().map(|row| (Place(row.namespace, row.name), row.full)).collect();
    }

    /// How the use of a node or a pod went.
    pub fn course(&self, kind: Kind, namespace: &str, name: &str) -> Option<UseCourse> {
        self.find(kind, namespace, name).map(|u| u.courses.told())
    }

    /// How the use of an owner's pods went together.
    pub fn course_of_owner(&self, uid: Uid) -> Option<UseCourse> {
        self.owners.get(&uid).map(Courses::told)
    }

    /// No pod was measured.
    pub fn is_empty(&self) -> bool {
        self.pods.all.is_empty()
    }

    /// What all nodes use that were measured.
    pub fn total(&self) -> Usage {
        self.total
    }

    pub fn of_owner(&self, uid: Uid) -> Option<&UseSum> {
        self.sums.by_owner.get(&uid)
    }

    pub fn of_namespace(&self, name: &str) -> Option<&UseSum> {
        self.sums.by_namespace.get(name)
    }

    /// Takes sums that were made anew; `now`: the pods were measured anew too.
    pub fn sum(&mut self, sums: Sums, now: Option<i64>) {
        self.sums = sums;
        let Some(now) = now else { return };
        self.owners.retain(|uid, _| self.sums.by_owner.contains_key(uid));
        for (uid, sum) in &self.sums.by_owner {
            self.owners.entry(*uid).or_default().record(now, sum.cpu_m, sum.memory);
        }
    }

    fn of_kind(&mut self, kind: Kind) -> Option<&mut Measured> {
        match kind {
            Kind::Node => Some(&mut self.nodes),
            Kind::Pod => Some(&mut self.pods),
            _ => None,
        }
    }

    /// Takes a list, or a part of one.
    pub fn note(&mut self, list: UsageList, now: i64) {
        let Some(Measured { all, lists }) = self.of_kind(list.kind) else { return };
        for row in list.rows {
            let used = match all.get_mut(&Sought(&row.namespace, &row.name)) {
                Some(used) => used,
                None => all.entry(Place(row.namespace, row.name)).or_default(),
            };
            (used.usage, used.list) = (row.usage, *lists + 1);
            used.courses.record(now, row.usage.cpu_m, row.usage.memory);
        }
    }

    /// A list was told whole: what it did not name (in its namespace) is no longer known.
    pub fn end(&mut self, kind: Kind, namespace: Option<&Str>) {
        let Some(Measured { all, lists }) = self.of_kind(kind) else { return };
        *lists += 1;
        all.retain(|place, used| used.list == *lists || namespace.is_some_and(|ns| *ns != place.0));
        if kind == Kind::Node {
            let all = || self.nodes.all.values().map(|u| &u.usage);
            let sum = |f: fn(&Usage) -> Option<i64>| all().filter_map(f).reduce(|a, b| a + b);
            self.total = Usage { cpu_m: sum(|u| u.cpu_m), memory: sum(|u| u.memory), at: all().filter_map(|u| u.at).min() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UsageRow;

    fn list(cpu_m: i64, memory: i64) -> UsageList {
        let usage = Usage { cpu_m: Some(cpu_m), memory: Some(memory), at: None };
        UsageList { kind: Kind::Pod, namespace: None, rows: vec![UsageRow { namespace: "pay".into(), name: "a".into(), usage }] }
    }

    fn told(uses: &mut Uses, list: UsageList, now: i64) {
        let (kind, namespace) = (list.kind, list.namespace.clone());
        uses.note(list, now);
        uses.end(kind, namespace.as_ref());
    }

    #[test]
    fn a_course_keeps_the_highest_of_each_point_and_follows_a_new_top() {
        let mut uses = Uses::default();
        let start = STEP * 1_000_000;
        for (after, cpu) in [(0, 100), (30, 80), (STEP, 50), (2 * STEP, 100), (3 * STEP, 0)] {
            told(&mut uses, list(cpu, cpu << 20), start + after);
        }
        let course = uses.course(Kind::Pod, "pay", "a").unwrap();
        assert_eq!(course.cpu_m, [100, 50, 100, 0]);
        told(&mut uses, list(1000, 1 << 30), start + 5 * STEP);
        let course = uses.course(Kind::Pod, "pay", "a").unwrap();
        let near = |of: &[u32], to: &[u32], by: u32| of.len() == to.len() && of.iter().zip(to).all(|(a, b)| a.abs_diff(*b) <= by);
        assert!(near(&course.cpu_m, &[100, 50, 100, 0, 0, 1000], 5), "{course:?}");
        assert!(near(&course.memory_kib, &[102_400, 51_200, 102_400, 0, 0, 1 << 20], 5000), "{course:?}");
        for n in 0..40 {
            told(&mut uses, list(7, 1024), start + (6 + n) * STEP);
        }
        let course = uses.course(Kind::Pod, "pay", "a").unwrap();
        assert_eq!(course.cpu_m.len(), POINTS);
        assert_eq!(uses.course(Kind::Pod, "pay", "b"), None, "what was not measured has no course");
        told(&mut uses, UsageList { rows: Vec::new(), ..list(0, 0) }, start + 50 * STEP);
        assert!(uses.course(Kind::Pod, "pay", "a").is_none() && uses.is_empty());
    }
}
