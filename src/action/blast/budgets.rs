//! Disruption budgets: which cover the pods that are to go, and which would say no.

use crate::model::plan::Blocker;
use crate::model::{Kind, Object, Pdb, Phase, Pod, Tri};
use crate::store::Cluster;
use std::collections::BTreeMap;

/// What the budgets say to evictions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Budgets {
    /// Over these pods, `pay/db`.
    pub names: Vec<String>,
    pub blockers: Vec<Blocker>,
    pub waves: Vec<Wave>,
}

/// A budget that lets its pods go only some at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Wave {
    /// `pay/db`.
    pub name: String,
    /// Those that have to go, `pay/db-0`.
    pub pods: Vec<String>,
    /// At a time, as things are; at least one.
    pub allowed: usize,
}

impl Budgets {
    /// The pods that do not all go at the same time: how many do, and which they are. What blocks for ever lets none go.
    pub fn together(&self) -> impl Iterator<Item = (usize, &[String])> {
        let waves = self.waves.iter().map(|w| (w.allowed, w.pods.as_slice()));
        waves.chain(self.blockers.iter().map(|b| (usize::from(!b.never), b.pods.as_slice())))
    }
}

/// Whether the API server asks budgets at all about a pod.
fn counts(pod: &Pod) -> bool {
    pod.meta.deleting.is_none() && !matches!(pod.phase, Phase::Pending | Phase::Succeeded | Phase::Failed)
}

/// Whether an unready pod may go whatever the budget allows, by its policy.
fn free(pod: &Pod, pdb: &Pdb) -> bool {
    if pod.ready == Tri::True {
        return false;
    }
    match pdb.unhealthy_policy.as_deref() {
        Some("AlwaysAllow") => true,
        _ => pdb.healthy >= pdb.desired && pdb.desired > 0,
    }
}

/// Asks the budgets of a cluster about evicting these pods: in the order and by the rules of the API server, the sums done here, since a
/// dry run finds the whole budget each time.
pub fn budgets(cluster: &Cluster, pods: &[&Pod]) -> Budgets {
    let mut found = Budgets::default();
    let mut covered: BTreeMap<String, (&Pdb, Vec<&Pod>)> = BTreeMap::new();
    for pod in pods.iter().filter(|p| counts(p)) {
        let over: Vec<&Pdb> = cluster
            .objects(Kind::Pdb)
            .filter_map(|o| if let Object::Pdb(p) = o { Some(&**p) } else { None })
            .filter(|p| covers(p, pod))
            .collect();
        match over.as_slice() {
            [] => {}
            [pdb] => covered.entry(title(pdb)).or_insert((pdb, Vec::new())).1.push(pod),
            several => {
                let names: Vec<String> = several.iter().map(|p| title(p)).collect();
                found.names.extend(names.iter().cloned());
                let name = format!("{}/{}", pod.meta.namespace, pod.meta.name);
                let why = format!("{} cover it, and the server evicts no pod of two budgets", names.join(" and "));
                found.blockers.push(Blocker { what: format!("pod {name}"), pods: vec![name], why, never: true });
            }
        }
    }
    for (name, (pdb, pods)) in covered {
        let need: Vec<&&Pod> = pods.iter().filter(|p| !free(p, pdb)).collect();
        found.names.push(name.clone());
        let names = || need.iter().map(|p| format!("{}/{}", p.meta.namespace, p.meta.name)).collect::<Vec<_>>();
        let allowed = usize::try_from(pdb.allowed).unwrap_or(0);
        let failed = pdb.conditions.iter().find(|c| &*c.kind == "DisruptionAllowed" && c.reason.as_deref() == Some("SyncFailed"));
        if let Some(failed) = failed.filter(|_| !need.is_empty()) {
            let why = failed.message.as_deref().unwrap_or("its controller cannot tell").to_owned();
            found.blockers.push(Blocker { what: format!("pdb {name}"), pods: names(), why, never: true });
        } else if need.is_empty() {
        } else if pdb.observed < pdb.meta.generation {
            found.blockers.push(Blocker {
                what: format!("pdb {name}"),
                pods: names(),
                why: "its controller has not seen the last change yet".to_owned(),
                never: false,
            });
        } else if pdb.allowed <= 0 {
            let never = pdb.desired >= pdb.expected;
            let why = format!("allows 0 of {} now: {} healthy, {} needed", pdb.expected, pdb.healthy, pdb.desired);
            found.blockers.push(Blocker { what: format!("pdb {name}"), pods: names(), why, never });
        } else if need.len() > allowed {
            found.waves.push(Wave { name, pods: names(), allowed });
        }
    }
    found.names.sort();
    found.names.dedup();
    // Those that never give way first.
    found.blockers.sort_by_key(|b| !b.never);
    found
}

fn covers(pdb: &Pdb, pod: &Pod) -> bool {
    pdb.meta.namespace == pod.meta.namespace && pdb.selector.as_ref().is_some_and(|s| s.matches(&pod.meta.labels))
}

fn title(pdb: &Pdb) -> String {
    format!("{}/{}", pdb.meta.namespace, pdb.meta.name)
}

#[cfg(test)]
mod tests {
    use super::super::super::verbs::fixture::Fixture;
    use super::*;
    use crate::model::ClusterId;
    use serde_json::{Value, json};

    fn pdb(f: &mut Fixture, name: &str, allowed: i64, more: impl FnOnce(&mut Value)) {
        let mut value = json!({"metadata": {"name": name, "namespace": "pay", "generation": 1}, "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "db"}}},
            "status": {"observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 3, "desiredHealthy": 2, "expectedPods": 3}});
        more(&mut value);
        f.add(Kind::Pdb, value);
    }

    fn ask(f: &Fixture) -> Budgets {
        let cluster = f.store.cluster(ClusterId(0)).unwrap();
        let pods: Vec<&Pod> = cluster.objects(Kind::Pod).filter_map(|o| if let Object::Pod(p) = o { Some(&**p) } else { None }).collect();
        budgets(cluster, &pods)
    }

    fn three(f: &mut Fixture) {
        for n in 0..3 {
            f.pod(&format!("db-{n}"), "db", "n1", |_| {});
        }
    }

    #[test]
    fn a_budget_lets_pods_go_in_waves_or_not_at_all() {
        let mut f = Fixture::new();
        three(&mut f);
        pdb(&mut f, "db", 1, |_| {});
        let found = ask(&f);
        let wave = Wave { name: "pay/db".into(), pods: (0..3).map(|n| format!("pay/db-{n}")).collect(), allowed: 1 };
        assert_eq!((found.names, found.blockers.len(), found.waves), (vec!["pay/db".to_owned()], 0, vec![wave]));
        let mut f = Fixture::new();
        three(&mut f);
        pdb(&mut f, "db", 0, |p| p["status"]["desiredHealthy"] = 3.into());
        let blocker = &ask(&f).blockers[0];
        assert_eq!((blocker.never, blocker.pods.len(), blocker.why.as_str()), (true, 3, "allows 0 of 3 now: 3 healthy, 3 needed"));
        let mut f = Fixture::new();
        three(&mut f);
        pdb(&mut f, "db", 0, |p| p["status"]["currentHealthy"] = 2.into());
        assert!(!ask(&f).blockers[0].never, "it gives way when the third is healthy again");
    }

    #[test]
    fn two_budgets_over_one_pod_block_it_for_good() {
        let mut f = Fixture::new();
        f.pod("db-0", "db", "n1", |_| {});
        pdb(&mut f, "a", 1, |_| {});
        pdb(&mut f, "b", 1, |p| p["spec"]["selector"] = json!({}));
        assert_eq!(ask(&f).blockers[0].what, "pod pay/db-0");
    }

    #[test]
    fn unready_pods_go_by_the_policy_and_others_are_not_asked_about() {
        let unready = |f: &mut Fixture| {
            f.pod("db-0", "db", "n1", |p| p["status"]["conditions"] = json!([{"type": "Ready", "status": "False"}]));
        };
        let mut f = Fixture::new();
        unready(&mut f);
        pdb(&mut f, "db", 0, |p| p["spec"]["unhealthyPodEvictionPolicy"] = "AlwaysAllow".into());
        assert_eq!(ask(&f).blockers, []);
        let mut f = Fixture::new();
        unready(&mut f);
        pdb(&mut f, "db", 0, |p| p["status"]["currentHealthy"] = 1.into());
        assert_eq!(ask(&f).blockers.len(), 1);
        let mut f = Fixture::new();
        f.pod("done", "db", "n1", |p| p["status"]["phase"] = "Succeeded".into());
        pdb(&mut f, "db", 0, |_| {});
        assert_eq!(ask(&f), Budgets::default());
        let mut f = Fixture::new();
        three(&mut f);
        pdb(&mut f, "none", 0, |p| drop(p["spec"].as_object_mut().unwrap().shift_remove("selector")));
        assert_eq!(ask(&f), Budgets::default(), "without a selector it covers nothing");
    }
}
