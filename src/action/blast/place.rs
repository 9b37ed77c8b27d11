//! Whether pods find room on what is left: as the scheduler would look, one pod after the other, by requests, taints, affinity and
//! spread. What it cannot know (storage, other schedulers, preemption) it says.

use crate::model::placing::PodTerm;
use crate::model::plan::Placement;
use crate::model::{Kind, Labels, Node, Object, Pod, PodShape, Str, Tri};
use crate::store::Cluster;
use std::collections::{BTreeMap, HashMap};

/// A pod that looks for a node.
#[derive(Clone, Copy)]
pub struct Newcomer<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub labels: &'a Labels,
    pub shape: &'a PodShape,
}

impl<'a> From<&'a Pod> for Newcomer<'a> {
    fn from(pod: &'a Pod) -> Self {
        Self { namespace: &pod.meta.namespace, name: &pod.meta.name, labels: &pod.meta.labels, shape: &pod.shape }
    }
}

/// What is left of a node.
struct Room<'a> {
    node: &'a Node,
    cpu: i64,
    memory: i64,
    pods: i64,
}

/// Places pods on the nodes of a cluster without these nodes; `leaving` are the pods that go, which hold nothing up any more.
pub fn place(cluster: &Cluster, newcomers: &[Newcomer], without: &[&str], leaving: &[&Pod]) -> Placement {
    let mut rooms: Vec<Room> = cluster
        .objects(Kind::Node)
        .filter_map(|o| if let Object::Node(n) = o { Some(&**n) } else { None })
        .filter(|n| !n.unschedulable && n.ready() == Tri::True && !without.contains(&&*n.meta.name))
        .map(|node| {
            let used = cluster.counts.by_node.get(&node.meta.name).copied().unwrap_or_default();
            Room {
                node,
                cpu: node.cpu_allocatable_m - used.cpu_request_m,
                memory: node.memory_allocatable - used.memory_request,
                pods: node.pods_allocatable - i64::from(used.pods),
            }
        })
        .collect();
    let mut others = Others::new(cluster, leaving);
    let mut order: Vec<&Newcomer> = newcomers.iter().collect();
    // The large ones first, as one would pack a car.
    order.sort_by_key(|p| std::cmp::Reverse((p.shape.requests.cpu_request_m.unwrap_or(0), p.shape.requests.memory_request.unwrap_or(0))));
    let mut placement = Placement::default();
    let mut claims = 0;
    for pod in order {
        claims += usize::from(pod.shape.placing.claims);
        match find(pod, &rooms, &mut others) {
            Ok(at) => {
                let (requests, room) = (&pod.shape.requests, &mut rooms[at]);
                room.cpu -= requests.cpu_request_m.unwrap_or(0);
                room.memory -= requests.memory_request.unwrap_or(0);
                room.pods -= 1;
                others.placed(pod, rooms[at].node);
                placement.fits += 1;
            }
            Err(why) => placement.unplaced.push((format!("{}/{}", pod.namespace, pod.name), why)),
        }
    }
    if claims > 0 {
        placement.unknown.push(format!("{claims} pods have claims: where their storage can go is not known here"));
    }
    placement
}

/// The roomiest node that takes a pod, or why none does.
fn find(pod: &Newcomer, rooms: &[Room], others: &mut Others) -> Result<usize, String> {
    let (placing, requests) = (&pod.shape.placing, &pod.shape.requests);
    let (cpu, memory) = (requests.cpu_request_m.unwrap_or(0), requests.memory_request.unwrap_or(0));
    let mut why: BTreeMap<String, usize> = BTreeMap::new();
    let mut best: Option<usize> = None;
    for (at, room) in rooms.iter().enumerate() {
        let no = if let Some(taint) = placing.repelled_by(room.node) {
            Some(format!("taint {}", taint.key))
        } else if !pod.shape.node_selector.iter().all(|(k, v)| room.node.meta.labels.get(k) == Some(v)) || !placing.takes(room.node) {
            Some("not its nodes (selector, affinity)".to_owned())
        } else if cpu > room.cpu {
            Some("no cpu".to_owned())
        } else if memory > room.memory {
            Some("no memory".to_owned())
        } else if room.pods < 1 {
            Some("no pod left".to_owned())
        } else {
            others.objection(pod, room.node, rooms)
        };
        match no {
            Some(no) => *why.entry(no).or_default() += 1,
            None if best.is_none_or(|b| (room.cpu, room.memory) > (rooms[b].cpu, rooms[b].memory)) => best = Some(at),
            None => {}
        }
    }
    best.ok_or_else(|| {
        let words: Vec<String> = why.iter().map(|(no, n)| format!("{n} {no}")).collect();
        if words.is_empty() { "no node is left".to_owned() } else { format!("0 of {} nodes: {}", rooms.len(), words.join(", ")) }
    })
}

/// Pods that are there, as far as terms over pods ask for them.
struct Others<'a> {
    cluster: &'a Cluster,
    leaving: Vec<crate::model::Uid>,
    /// Matching pods by domain, for a term of one kind of pod.
    counted: HashMap<(usize, usize, String), HashMap<Str, i32>>,
    /// What was placed meanwhile: labels and node.
    placed: Vec<(String, Labels, Str)>,
}

impl<'a> Others<'a> {
    fn new(cluster: &'a Cluster, leaving: &[&Pod]) -> Self {
        Self { cluster, leaving: leaving.iter().map(|p| p.meta.uid).collect(), counted: HashMap::new(), placed: Vec::new() }
    }

    fn placed(&mut self, pod: &Newcomer, node: &Node) {
        self.placed.push((pod.namespace.to_owned(), pod.labels.clone(), node.meta.name.clone()));
    }

    /// Why other pods keep it from that node.
    fn objection(&mut self, pod: &Newcomer, node: &Node, rooms: &[Room]) -> Option<String> {
        let placing = &pod.shape.placing;
        let shape = std::ptr::from_ref(pod.shape) as usize;
        for (n, term) in placing.anti_affinity.iter().enumerate() {
            let Some(domain) = node.meta.labels.get(&term.topology) else { continue };
            if self.count(pod, (shape, n), term, domain) > 0 {
                return Some(format!("anti-affinity ({})", term.topology));
            }
        }
        for (n, term) in placing.affinity.iter().enumerate() {
            let own = term.selector.as_ref().is_some_and(|s| s.matches(pod.labels));
            let near = node.meta.labels.get(&term.topology).is_some_and(|d| self.count(pod, (shape, 1000 + n), term, d) > 0);
            let none = self.counted.get(&(shape, 1000 + n, pod.namespace.to_owned())).is_none_or(HashMap::is_empty);
            if !(near || own && none) {
                return Some(format!("affinity ({})", term.topology));
            }
        }
        for (n, spread) in placing.spread.iter().enumerate() {
            let term = PodTerm { selector: spread.selector.clone(), namespaces: Box::default(), topology: spread.topology.clone() };
            let Some(domain) = node.meta.labels.get(&spread.topology) else { return Some(format!("spread ({})", spread.topology)) };
            let here = self.count(pod, (shape, 2000 + n), &term, domain);
            let domains: std::collections::BTreeSet<&str> =
                rooms.iter().filter(|r| placing.takes(r.node)).filter_map(|r| r.node.meta.labels.get(&spread.topology)).collect();
            let least = domains.into_iter().map(|d| self.count(pod, (shape, 2000 + n), &term, d)).min().unwrap_or(0);
            if here + 1 - least > spread.max_skew {
                return Some(format!("spread ({})", spread.topology));
            }
        }
        None
    }

    /// Pods that a term selects, in a domain.
    fn count(&mut self, pod: &Newcomer, key: (usize, usize), term: &PodTerm, domain: &str) -> i32 {
        let takes = |namespace: &str, labels: &Labels| {
            let there =
                if term.namespaces.is_empty() { namespace == pod.namespace } else { term.namespaces.iter().any(|n| **n == *namespace) };
            there && term.selector.as_ref().is_some_and(|s| s.matches(labels))
        };
        let (cluster, leaving) = (self.cluster, &self.leaving);
        let nodes = || cluster.objects(Kind::Node).filter_map(|o| if let Object::Node(n) = o { Some(&**n) } else { None });
        let known = self.counted.entry((key.0, key.1, pod.namespace.to_owned())).or_insert_with(|| {
            let domains: HashMap<&str, &str> = nodes().filter_map(|n| Some((&*n.meta.name, n.meta.labels.get(&term.topology)?))).collect();
            let mut by_domain: HashMap<Str, i32> = HashMap::new();
            for o in cluster.objects(Kind::Pod) {
                let Object::Pod(p) = o else { continue };
                let at = p.node.as_deref().and_then(|n| domains.get(n));
                if let Some(at) = at.filter(|_| !p.finished() && takes(&p.meta.namespace, &p.meta.labels) && !leaving.contains(&p.meta.uid))
                {
                    *by_domain.entry(Str::from(*at)).or_default() += 1;
                }
            }
            by_domain
        });
        let there = known.get(domain).copied().unwrap_or(0);
        let label = |name: &str| nodes().find(|n| *n.meta.name == *name).and_then(|n| n.meta.labels.get(&term.topology));
        let new = self.placed.iter().filter(|(ns, labels, node)| takes(ns, labels) && label(node) == Some(domain)).count();
        there + i32::try_from(new).unwrap_or(i32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::verbs::fixture::Fixture;
    use super::*;
    use crate::model::ClusterId;
    use serde_json::json;

    /// Empties a node.
    fn empty(f: &Fixture, node: &str) -> Placement {
        let cluster = f.store.cluster(ClusterId(0)).unwrap();
        let pods = cluster.objects(Kind::Pod).filter_map(|o| if let Object::Pod(p) = o { Some(&**p) } else { None });
        let pods: Vec<&Pod> = pods.filter(|p| p.node.as_deref() == Some(node)).collect();
        let newcomers: Vec<Newcomer> = pods.iter().map(|p| Newcomer::from(*p)).collect();
        place(cluster, &newcomers, &[node], &pods)
    }

    #[test]
    fn what_fits_by_requests_and_what_does_not() {
        let mut f = Fixture::new();
        f.node("n1", |_| {});
        f.node("n2", |_| {});
        for n in 0..20 {
            f.pod(&format!("a-{n}"), "a", "n1", |p| p["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "1".into());
        }
        let placement = empty(&f, "n1");
        assert_eq!((placement.fits, placement.unplaced.len(), placement.unplaced[0].1.as_str()), (8, 12, "0 of 1 nodes: 1 no cpu"));
    }

    #[test]
    fn cordoned_unready_tainted_and_other_nodes_are_no_room() {
        let mut f = Fixture::new();
        f.node("n1", |_| {});
        f.node("cordoned", |n| n["spec"]["unschedulable"] = true.into());
        f.node("unready", |n| n["status"]["conditions"][0]["status"] = "Unknown".into());
        f.node("tainted", |n| n["spec"]["taints"] = json!([{"key": "gpu", "effect": "NoSchedule"}]));
        f.node("other", |_| {});
        f.pod("a", "a", "n1", |p| p["spec"]["nodeSelector"] = json!({"disk": "ssd"}));
        assert_eq!(empty(&f, "n1").unplaced[0].1, "0 of 2 nodes: 1 not its nodes (selector, affinity), 1 taint gpu");
        f.pod("a", "a", "n1", |p| p["metadata"]["uid"] = "00000000-0000-4000-8000-000000000006".into());
        assert_eq!(empty(&f, "n1").fits, 1);
    }

    #[test]
    fn anti_affinity_and_spread_count_those_that_stay_and_those_that_come() {
        let anti = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"labelSelector": {"matchLabels": {"app": "db"}}, "topologyKey": "kubernetes.io/hostname"}]}});
        let mut f = Fixture::new();
        for n in ["n1", "n2", "n3"] {
            f.node(n, |_| {});
        }
        f.pod("db-0", "db", "n1", |p| p["spec"]["affinity"] = anti.clone());
        f.pod("db-1", "db", "n2", |p| p["spec"]["affinity"] = anti.clone());
        assert_eq!(empty(&f, "n1").fits, 1, "n3 has none");
        f.pod("db-2", "db", "n3", |p| p["spec"]["affinity"] = anti.clone());
        assert_eq!(empty(&f, "n1").unplaced[0].1, "0 of 2 nodes: 2 anti-affinity (kubernetes.io/hostname)");
        let spread = json!([{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "web"}}}]);
        let mut f = Fixture::new();
        for (n, zone) in [("n1", "a"), ("n2", "b")] {
            f.node(n, |node| node["metadata"]["labels"]["zone"] = zone.into());
        }
        for n in 0..4 {
            f.pod(&format!("web-{n}"), "web", "n1", |p| p["spec"]["topologySpreadConstraints"] = spread.clone());
        }
        assert_eq!(empty(&f, "n1").fits, 4, "one domain alone is even with itself");
    }

    #[test]
    fn a_large_fleet_is_placed_quickly() {
        let mut f = Fixture::new();
        for n in 0..500 {
            f.node(&format!("n{n}"), |_| {});
        }
        for n in 0..3000 {
            f.pod(&format!("a-{n}"), "a", &format!("n{}", n % 500), |_| {});
        }
        for n in 0..200 {
            f.pod(&format!("b-{n}"), "b", "n0", |p| p["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "10m".into());
        }
        let began = std::time::Instant::now();
        let placement = empty(&f, "n0");
        println!("206 pods over 500 nodes: {:?}", began.elapsed());
        assert_eq!((placement.fits, placement.unplaced.len()), (206, 0));
    }
}
