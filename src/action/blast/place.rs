//! Whether pods find room on what is left: as the scheduler would look, one pod after the other, by requests, taints, affinity and
//! spread, and where their storage is. What it cannot know (storage that may not be read, other schedulers, preemption) it says.

use super::others::Others;
use super::storage::Storage;
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
    /// The claims of its volumes, by name.
    pub claims: &'a [String],
}

impl<'a> Newcomer<'a> {
    /// The twin of a pod, which takes over its claims.
    pub fn of(pod: &'a Pod, claims: &'a [String]) -> Self {
        Self { namespace: &pod.meta.namespace, name: &pod.meta.name, labels: &pod.meta.labels, shape: &pod.shape, claims }
    }
}

/// What is left of a node.
struct Room<'a> {
    node: &'a Node,
    cpu: i64,
    memory: i64,
    pods: i64,
}

/// Places pods on the nodes of a cluster without these nodes; `leaving` are the pods that go, which hold nothing up any more, `storage`
/// what is known of the newcomers' claims.
pub fn place(cluster: &Cluster, newcomers: &[Newcomer], without: &[&str], leaving: &[&Pod], storage: &Storage) -> Placement {
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
    let mut unknown: BTreeMap<String, u32> = BTreeMap::new();
    for pod in order {
        let blind = storage.unknown(pod.namespace, pod.claims);
        match find(pod, &rooms, &nodes, &mut others, storage) {
            Ok(at) => {
                let (requests, room) = (&pod.shape.requests, &mut rooms[at]);
                room.cpu -= requests.cpu_request_m.unwrap_or(0);
                room.memory -= requests.memory_request.unwrap_or(0);
                room.pods -= 1;
                others.placed(pod, rooms[at].node);
                match blind {
                    None => placement.fits += 1,
                    Some(why) => *unknown.entry(why).or_default() += 1,
                }
            }
            Err(why) => placement.unplaced.push((format!("{}/{}", pod.namespace, pod.name), why)),
        }
    }
    let words = |(why, n): (String, u32)| {
        let pods = if n == 1 { "1 pod".to_owned() } else { format!("{n} pods") };
        format!("where the storage of {pods} can go is not known: {why}")
    };
    placement.unjudged = unknown.values().sum();
    placement.unknown = unknown.into_iter().map(words).collect();
    if others.blind(newcomers) {
        placement.unknown.push("affinity to pods of namespaces by their labels: namespaces are not seen".to_owned());
    }
    placement
}

/// The roomiest node that takes a pod, or why none does.
fn find(pod: &Newcomer, rooms: &[Room], nodes: &[&Node], others: &mut Others, storage: &Storage) -> Result<usize, String> {
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
        } else if let Some(why) = storage.objection(pod.namespace, pod.claims, room.node) {
            Some(why)
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
        let newcomers: Vec<Newcomer> = pods.iter().map(|p| Newcomer::of(p, &[])).collect();
        place(cluster, &newcomers, &[node], &pods, &Storage::default())
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
        let again = |leaving: &[&Pod]| place(cluster, &[Newcomer::of(pod, &[])], &[], leaving, &Storage::default()).fits;
        assert_eq!((again(&[]), again(&[pod])), (0, 1), "its twin has the room that it leaves");
    }

    #[test]
    fn affinity_looks_into_the_namespaces_that_it_names_or_selects() {
        // A pod of `pay` wants no `web` beside it: its twin may go to n2, where one is, or not.
        let fits = |term: serde_json::Value, kind: &str, known: bool| {
            let mut f = Fixture::new();
            f.node("n1", |_| {});
            f.node("n2", |_| {});
            let namespace = |name: &str, team: &str| json!({"metadata": {"name": name, "labels": {"team": team}}});
            if known {
                f.add(Kind::Namespace, namespace("pay", "money"));
                f.add(Kind::Namespace, namespace("shop", "front"));
            } else {
                f.unseen(Kind::Namespace);
            }
            f.pod("web", "web", "n2", |p| p["metadata"]["namespace"] = "shop".into());
            f.pod("db", "db", "n1", |p| {
                let mut term = term;
                term["labelSelector"] = json!({"matchLabels": {"app": "web"}});
                term["topologyKey"] = "kubernetes.io/hostname".into();
                p["spec"]["affinity"][kind] = json!({"requiredDuringSchedulingIgnoredDuringExecution": [term]});
            });
            let placement = empty(&f, "n1");
            (placement.fits == 1, placement.unknown.len())
        };
        let by = |team: &str| json!({"namespaceSelector": {"matchLabels": {"team": team}}});
        for (term, sees) in [
            (json!({}), false),
            (json!({"namespaces": ["shop"]}), true),
            (json!({"namespaces": ["pay"]}), false),
            (json!({"namespaceSelector": {}}), true),
            (by("front"), true),
            (by("money"), false),
            (json!({"namespaces": ["shop"], "namespaceSelector": {"matchLabels": {"team": "money"}}}), true),
        ] {
            assert_eq!(fits(term.clone(), "podAntiAffinity", true), (!sees, 0), "{term}");
            assert_eq!(fits(term.clone(), "podAffinity", true), (sees, 0), "{term}");
        }
        assert_eq!(fits(by("front"), "podAntiAffinity", false), (true, 1), "what is not seen is said");
        assert_eq!(fits(json!({"namespaceSelector": {}}), "podAntiAffinity", false), (false, 0), "all of them needs no labels");
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
