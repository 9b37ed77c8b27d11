//! What pods want of other pods: affinity, anti-affinity (both ways round) and spread, counted by domain. Each term is counted once
//! over the cluster and kept up to date as pods are placed, so that a large fleet costs little more than a small one.

use super::place::Newcomer;
use crate::model::placing::PodTerm;
use crate::model::{Kind, Labels, Node, Object, Pod, PodShape, Selector, Str, Uid};
use crate::store::Cluster;
use std::collections::{BTreeSet, HashMap, HashSet};

/// The pods a term selects, by domain.
struct Tally {
    namespace: Str,
    term: PodTerm,
    by_domain: HashMap<Str, i32>,
}

/// Where pods are that want none of some others beside them.
struct Shy {
    namespace: Str,
    term: PodTerm,
    domains: HashSet<Str>,
}

/// What one pod wants, looked up once for all nodes.
pub(super) struct Wishes {
    anti: Vec<usize>,
    /// The tally, and whether the pod may be the first of its kind.
    near: Vec<(usize, bool)>,
    /// The tally, how uneven it may be, and the emptiest domain now.
    spread: Vec<(usize, i32, i32)>,
    /// Those of [`Others::shy`] that do not want it.
    shunned: Vec<usize>,
}

/// The pods that are there and stay, and those that were placed meanwhile.
pub(super) struct Others<'a> {
    /// None where they are not seen.
    namespaces: Namespaces<'a>,
    by_namespace: HashMap<&'a str, Vec<(&'a Pod, &'a Node)>>,
    tallies: Vec<Tally>,
    by_term: HashMap<(Str, PodTerm), usize>,
    shy: Vec<Shy>,
    by_shy: HashMap<(Str, PodTerm), usize>,
}

/// Labels of namespaces, by name.
type Namespaces<'a> = Option<HashMap<&'a str, &'a Labels>>;

/// Whether a term of a pod in `own` looks into a namespace. What cannot be told is taken for no.
fn looks_into(own: &str, term: &PodTerm, namespace: &str, known: &Namespaces) -> bool {
    match &term.namespace_selector {
        None if term.namespaces.is_empty() => *own == *namespace,
        Some(all) if *all == Selector::default() => true,
        by => {
            let labels = || known.as_ref()?.get(namespace).copied();
            term.namespaces.iter().any(|n| **n == *namespace) || by.as_ref().is_some_and(|s| labels().is_some_and(|l| s.matches(l)))
        }
    }
}

fn takes(own: &str, term: &PodTerm, namespace: &str, labels: &Labels, known: &Namespaces) -> bool {
    term.selector.as_ref().is_some_and(|s| s.matches(labels)) && looks_into(own, term, namespace, known)
}

impl<'a> Others<'a> {
    pub(super) fn new(cluster: &'a Cluster, leaving: &HashSet<Uid>) -> Self {
        let nodes = cluster.objects(Kind::Node).filter_map(|o| if let Object::Node(n) = o { Some((&*n.meta.name, &**n)) } else { None });
        let nodes: HashMap<&str, &Node> = nodes.collect();
        let namespaces = cluster.current(Kind::Namespace).then(|| {
            let all = cluster.objects(Kind::Namespace).map(Object::meta);
            all.map(|meta| (&*meta.name, &meta.labels)).collect()
        });
        let mut others = Self {
            namespaces,
            by_namespace: HashMap::new(),
            tallies: Vec::new(),
            by_term: HashMap::new(),
            shy: Vec::new(),
            by_shy: HashMap::new(),
        };
        for o in cluster.objects(Kind::Pod) {
            let Object::Pod(pod) = o else { continue };
            let Some(node) = pod.node.as_deref().and_then(|n| nodes.get(n)) else { continue };
            if pod.finished() || leaving.contains(&pod.meta.uid) {
                continue;
            }
            others.by_namespace.entry(&pod.meta.namespace).or_default().push((pod, node));
            others.keeps_away(&pod.meta.namespace, &pod.shape, node);
        }
        others
    }

    /// Notes what a pod on a node wants none of.
    fn keeps_away(&mut self, namespace: &str, shape: &PodShape, node: &Node) {
        for term in &shape.placing.anti_affinity {
            let Some(domain) = node.meta.labels.get(&term.topology) else { continue };
            let shy = &mut self.shy;
            let at = *self.by_shy.entry((Str::from(namespace), term.clone())).or_insert_with(|| {
                shy.push(Shy { namespace: Str::from(namespace), term: term.clone(), domains: HashSet::new() });
                shy.len() - 1
            });
            if !shy[at].domains.contains(domain) {
                shy[at].domains.insert(Str::from(domain));
            }
        }
    }

    /// The tally of a term, counted when it is asked for first.
    fn tally(&mut self, namespace: &str, term: &PodTerm) -> usize {
        let key = (Str::from(namespace), term.clone());
        if let Some(at) = self.by_term.get(&key) {
            return *at;
        }
        let mut by_domain: HashMap<Str, i32> = HashMap::new();
        let seen = self.by_namespace.iter().filter(|(n, _)| looks_into(namespace, term, n, &self.namespaces));
        for (pod, node) in seen.flat_map(|(_, pods)| pods) {
            let Some(domain) = node.meta.labels.get(&term.topology) else { continue };
            if term.selector.as_ref().is_some_and(|s| s.matches(&pod.meta.labels)) {
                match by_domain.get_mut(domain) {
                    Some(n) => *n += 1,
                    None => drop(by_domain.insert(Str::from(domain), 1)),
                }
            }
        }
        self.tallies.push(Tally { namespace: Str::from(namespace), term: term.clone(), by_domain });
        self.by_term.insert(key, self.tallies.len() - 1);
        self.tallies.len() - 1
    }

    /// What a pod wants, as things stand; `nodes` are those that could take it.
    pub(super) fn wishes(&mut self, pod: &Newcomer, nodes: &[&Node]) -> Wishes {
        let placing = &pod.shape.placing;
        let anti = placing.anti_affinity.iter().map(|t| self.tally(pod.namespace, t)).collect();
        let near = placing.affinity.iter().map(|term| {
            let at = self.tally(pod.namespace, term);
            // The first of its kind need not wait for itself.
            (at, takes(pod.namespace, term, pod.namespace, pod.labels, &self.namespaces) && self.tallies[at].by_domain.is_empty())
        });
        let near = near.collect();
        let spread = placing.spread.iter().map(|s| {
            let term = PodTerm {
                selector: s.selector.clone(),
                namespaces: Box::default(),
                namespace_selector: None,
                topology: s.topology.clone(),
            };
            let at = self.tally(pod.namespace, &term);
            let domains: BTreeSet<&str> =
                nodes.iter().filter(|n| placing.takes(n)).filter_map(|n| n.meta.labels.get(&s.topology)).collect();
            let least = domains.into_iter().map(|d| self.count(at, d)).min().unwrap_or(0);
            (at, s.max_skew, least)
        });
        let spread = spread.collect();
        let shunned =
            self.shy.iter().enumerate().filter(|(_, s)| takes(&s.namespace, &s.term, pod.namespace, pod.labels, &self.namespaces));
        let shunned = shunned.map(|(at, _)| at).collect();
        Wishes { anti, near, spread, shunned }
    }

    fn count(&self, tally: usize, domain: &str) -> i32 {
        self.tallies[tally].by_domain.get(domain).copied().unwrap_or(0)
    }

    /// Why other pods keep one from a node.
    pub(super) fn objection(&self, wishes: &Wishes, node: &Node) -> Option<String> {
        let labels = &node.meta.labels;
        for at in &wishes.anti {
            let topology = &self.tallies[*at].term.topology;
            if labels.get(topology).is_some_and(|d| self.count(*at, d) > 0) {
                return Some(format!("anti-affinity ({topology})"));
            }
        }
        for at in &wishes.shunned {
            let shy = &self.shy[*at];
            if labels.get(&shy.term.topology).is_some_and(|d| shy.domains.contains(d)) {
                return Some(format!("anti-affinity of others ({})", shy.term.topology));
            }
        }
        for (at, first) in &wishes.near {
            let topology = &self.tallies[*at].term.topology;
            if !labels.get(topology).is_some_and(|d| *first || self.count(*at, d) > 0) {
                return Some(format!("affinity ({topology})"));
            }
        }
        for (at, skew, least) in &wishes.spread {
            let topology = &self.tallies[*at].term.topology;
            if labels.get(topology).is_none_or(|d| self.count(*at, d) + 1 - least > *skew) {
                return Some(format!("spread ({topology})"));
            }
        }
        None
    }

    /// Whether terms by labels of namespaces, of these newcomers or of pods that are there, could not be judged.
    pub(super) fn blind(&self, newcomers: &[Newcomer]) -> bool {
        let by_labels = |t: &PodTerm| t.namespace_selector.as_ref().is_some_and(|s| *s != Selector::default());
        let own = newcomers.iter().flat_map(|p| p.shape.placing.affinity.iter().chain(&p.shape.placing.anti_affinity));
        self.namespaces.is_none() && own.chain(self.shy.iter().map(|s| &s.term)).any(by_labels)
    }

    /// A pod was placed: later ones count it.
    pub(super) fn placed(&mut self, pod: &Newcomer, node: &Node) {
        for tally in &mut self.tallies {
            if let Some(domain) = node.meta.labels.get(&tally.term.topology)
                && takes(&tally.namespace, &tally.term, pod.namespace, pod.labels, &self.namespaces)
            {
                *tally.by_domain.entry(Str::from(domain)).or_default() += 1;
            }
        }
        self.keeps_away(pod.namespace, pod.shape, node);
    }
}
