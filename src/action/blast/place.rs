//! Whether pods find room on what is left: as the scheduler would look, one pod after the other, by requests, taints, affinity and
//! spread. What it cannot know (storage, other schedulers, preemption) it says.

use super::others::Others;
use crate::model::plan::Placement;
use crate::model::{Kind, Labels, Node, Object, Pod, PodShape, Tri, Uid};
use crate::store::Cluster;
use std::collections::{BTreeMap, HashMap, HashSet};

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
    let going: HashSet<Uid> = leaving.iter().map(|p| p.meta.uid).collect();
    // What they hold is free again where their node stays.
    let mut freed: HashMap<&str, (i64, i64, i64)> = HashMap::new();
    for pod in leaving.iter().filter(|p| !p.finished()) {
        let Some(node) = pod.node.as_deref() else { continue };
        let (requests, free) = (&pod.shape.requests, freed.entry(node).or_default());
        free.0 += requests.cpu_request_m.unwrap_or(0);
        free.1 += requests.memory_request.unwrap_or(0);
        free.2 += 1;
    }
    let mut rooms: Vec<Room> = cluster
        .objects(Kind::Node)
        .filter_map(|o| if let Object::Node(n) = o { Some(&**n) } else { None })
        .filter(|n| !n.unschedulable && n.ready() == Tri::True && !without.contains(&&*n.meta.name))
        .map(|node| {
            let used = cluster.counts.by_node.get(&node.meta.name).copied().unwrap_or_default();
            let (cpu, memory, pods) = freed.get(&*node.meta.name).copied().unwrap_or_default();
            Room {
                node,
                cpu: node.cpu_allocatable_m - used.cpu_request_m + cpu,
                memory: node.memory_allocatable - used.memory_request + memory,
                pods: node.pods_allocatable - i64::from(used.pods) + pods,
            }
        })
        .collect();
    let nodes: Vec<&Node> = rooms.iter().map(|r| r.node).collect();
    let mut others = Others::new(cluster, &going);
    let mut order: Vec<&Newcomer> = newcomers.iter().collect();
    // The large ones first, as one would pack a car.
    order.sort_by_key(|p| std::cmp::Reverse((p.shape.requests.cpu_request_m.unwrap_or(0), p.shape.requests.memory_request.unwrap_or(0))));
    let mut placement = Placement::default();
    let mut claims = 0;
    for pod in order {
        claims += usize::from(pod.shape.placing.claims);
        match find(pod, &rooms, &nodes, &mut others) {
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
fn find(pod: &Newcomer, rooms: &[Room], nodes: &[&Node], others: &mut Others) -> Result<usize, String> {
    let (placing, requests) = (&pod.shape.placing, &pod.shape.requests);
    let (cpu, memory) = (requests.cpu_request_m.unwrap_or(0), requests.memory_request.unwrap_or(0));
    let wishes = others.wishes(pod, nodes);
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
            others.objection(&wishes, room.node)
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
    fn pods_that_are_there_keep_others_away_and_those_that_go_make_room() {
        let shy = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "kubernetes.io/hostname"}]}});
        let mut f = Fixture::new();
        f.node("n1", |_| {});
        f.node("n2", |_| {});
        f.pod("web", "web", "n1", |_| {});
        f.pod("db", "db", "n2", |p| p["spec"]["affinity"] = shy);
        assert_eq!(empty(&f, "n1").unplaced[0].1, "0 of 1 nodes: 1 anti-affinity of others (kubernetes.io/hostname)");
        let mut f = Fixture::new();
        f.node("n1", |_| {});
        f.pod("big", "big", "n1", |p| p["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "7".into());
        let cluster = f.store.cluster(ClusterId(0)).unwrap();
        let Some(Object::Pod(pod)) = cluster.objects(Kind::Pod).next() else { panic!() };
        let again = |leaving: &[&Pod]| place(cluster, &[Newcomer::from(&**pod)], &[], leaving).fits;
        assert_eq!((again(&[]), again(&[pod])), (0, 1), "its twin has the room that it leaves");
    }

    #[test]
    fn a_large_fleet_is_placed_quickly() {
        let term = |key: &str| json!({"labelSelector": {"matchLabels": {"app": "b"}}, "topologyKey": key});
        let mut f = Fixture::new();
        for n in 0..500 {
            f.node(&format!("n{n}"), |node| node["metadata"]["labels"]["zone"] = format!("z{}", n % 3).into());
        }
        for n in 0..20_000 {
            let app = format!("a-{}", n % 100);
            f.pod(&format!("a-{n}"), &app, &format!("n{}", 1 + n % 499), |p| {
                p["metadata"]["namespace"] = format!("ns-{}", n % 50).into();
                p["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "10m".into();
            });
        }
        for n in 0..200 {
            f.pod(&format!("b-{n}"), "b", "n0", |p| {
                p["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "10m".into();
                p["spec"]["affinity"] =
                    json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term("kubernetes.io/hostname")]}});
                let mut spread = [term("zone"), term("kubernetes.io/hostname")];
                spread.iter_mut().for_each(|s| {
                    s["maxSkew"] = 1.into();
                    s["whenUnsatisfiable"] = "DoNotSchedule".into();
                });
                p["spec"]["topologySpreadConstraints"] = json!(spread);
            });
        }
        let began = std::time::Instant::now();
        let placement = empty(&f, "n0");
        let took = began.elapsed();
        println!("200 pods with affinity and spread over 500 nodes and 20,000 pods: {took:?}");
        assert_eq!((placement.fits, placement.unplaced.len()), (200, 0));
        assert!(took.as_secs() < 3, "{took:?}, without optimization and beside other work");
    }
}
