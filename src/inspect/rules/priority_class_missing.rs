//! Who is preempted first: priorities of core workloads against those of others.
//!
//! PriorityClass objects are not read: that there are classes is known from the pods that have one, and a workload's priority from its pods. That a pod was
//! preempted it says itself before it goes: those are known that were seen since this program follows the cluster.

use super::lint::{Whole, several};
use crate::inspect::{Judge, RuleInfo, Severity, Verdict};
use crate::model::{Kind, Time};

pub static RULE: RuleInfo = RuleInfo {
    id: "priority-class-missing",
    area: "availability",
    tier: 2,
    burns: false,
    severity: Severity::Critical,
    scope: "workload",
    summary: "A pod of a core workload was preempted within a day (critical); a core workload has priority 0 while others have a class, or another workload has a higher priority than core pods; info: a system class outside infrastructure namespaces",
    why: "Priority decides who is preempted and who is evicted last when capacity is short.",
    kinds: &[Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet],
    needs: &[crate::inspect::Need::Kind(Kind::Pod)],
    leans_on: &[],
    thresholds: &[],
    peers: &["polaris:priorityClassNotSet", "kube-linter:priority-class-name"],
    links: &["https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/"],
    judge,
};

/// Seconds that a pod that was preempted counts.
const DAY: i64 = 86_400;

fn system(class: Option<&str>) -> bool {
    matches!(class, Some("system-node-critical" | "system-cluster-critical"))
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(whole) = Whole::of(judge) else { return Verdict::Fine };
    let class = whole.shape.priority_class.as_deref();
    let core = whole.core();
    if !core && class.is_none() {
        return Verdict::Fine;
    }
    let infra = judge.policy.infra(&whole.meta.namespace);
    let finding = |severity, message: String| {
        let step = |(priority, class, pods, core): (i32, Option<&str>, u32, u32)| {
            let class = class.unwrap_or("no class");
            let core = if core > 0 { format!(" ({core} core)") } else { String::new() };
            format!("{priority} {class}: {pods} pods{core}")
        };
        let ladder = several(judge.index.ranks().map(step).collect(), 8);
        judge.finding(severity, None, message).with("its class", class.unwrap_or("none"), None).with(
            "priorities of the cluster's pods",
            ladder,
            None,
        )
    };
    if system(class) {
        let found = (!infra).then(|| {
            finding(Severity::Info, format!("{} is for what the cluster itself runs on", class.unwrap_or_default()))
                .then("Give it a class of your own below the system's")
                .edit()
        });
        return whole.verdict(judge, found);
    }
    let victims = judge.cluster.stops.of(whole.meta.uid).filter(|s| s.preempted && s.at + DAY > judge.now);
    let victims: Vec<Option<Time>> = victims.map(|s| Time::from_secs(s.at)).collect();
    if let Some(last) = victims.last().filter(|_| core) {
        let mut found = finding(Severity::Critical, format!("core, and {} of its pods had to make room within a day", victims.len()))
            .with("the last", last.map(Time::rfc3339).unwrap_or_default(), *last)
            .then("Give it the class of core workloads, or make room: what has a higher priority pushes it out again")
            .edit();
        found.since = victims[0];
        return whole.again(judge, Some(found));
    }
    // What admission gave its pods: a default of the cluster counts.
    let Some(priority) = whole.pods(judge).first().map(|p| p.shape.priority) else { return whole.again(judge, None) };
    let classes = || judge.index.ranks().any(|(_, class, ..)| class.is_some() && !system(class));
    let below = || judge.index.ranks().filter(|(p, _, _, core)| *p < priority && *core > 0).map(|(_, _, _, core)| core).sum::<u32>();
    let found = if core {
        (priority == 0 && classes()).then(|| {
            finding(Severity::Warning, "core, and of no priority: others are scheduled before it and may push it out".to_owned())
                .then("Set priorityClassName in its template to the class of core workloads")
                .edit()
        })
    } else {
        let behind = if infra { 0 } else { below() };
        (behind > 0).then(|| {
            finding(Severity::Warning, format!("priority {priority}, above {behind} core pods"))
                .then("Give core workloads a higher class, or this one a lower")
                .edit()
        })
    };
    whole.again(judge, found)
}

#[cfg(test)]
mod tests {
    use super::super::lint::tests::with;
    use super::*;
    use crate::inspect::fixture::{Fleet, ago};
    use serde_json::{Value, json};

    fn app(name: &str, core: bool, class: Option<&str>) -> Value {
        let mut d = with(json!({"containers": [{"name": "a"}], "priorityClassName": class}), core);
        d["metadata"]["name"] = json!(name);
        d
    }

    fn pod(name: &str, app: &str, core: bool, class: Option<&str>, priority: i32) -> Value {
        let labels = if core { json!({"tier": "core"}) } else { json!({}) };
        json!({"metadata": {"name": name, "labels": labels, "creationTimestamp": ago(9000), "ownerReferences": [{"kind": "Deployment", "name": app, "uid": format!("deployments/{app}"), "controller": true}]},
            "spec": {"containers": [{"name": "a"}], "priorityClassName": class, "priority": priority}, "status": {"phase": "Running"}})
    }

    #[test]
    fn core_without_a_class_where_there_are_some() {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Pod, [pod("w", "web", true, None, 0)]).put(Kind::Deployment, [app("web", true, None)]);
        let rule = |f: &Fleet, name: &str| f.severity(Kind::Deployment, name, RULE.id);
        assert_eq!(rule(&fleet, "web"), None, "nobody has a class");
        fleet.put(Kind::Pod, [pod("b", "batch", false, Some("low"), -10)]);
        assert_eq!(rule(fleet.wait(300), "web"), Some(Severity::Warning));
        fleet.put(Kind::Pod, [pod("w", "web", true, None, 1000)]);
        assert_eq!(rule(fleet.wait(300), "web"), None, "a default of the cluster");
    }

    #[test]
    fn others_above_core_and_the_systems_classes() {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Pod, [pod("w", "web", true, Some("core"), 1000), pod("b", "batch", false, Some("high"), 1000)]);
        fleet.put(
            Kind::Deployment,
            [app("web", true, Some("core")), app("batch", false, Some("high")), app("agent", false, Some("system-node-critical"))],
        );
        let rule = |f: &Fleet, name: &str| f.severity(Kind::Deployment, name, RULE.id);
        assert_eq!((rule(&fleet, "web"), rule(&fleet, "batch"), rule(&fleet, "agent")), (None, None, Some(Severity::Info)));
        fleet.put(Kind::Pod, [pod("b", "batch", false, Some("high"), 1001)]);
        assert_eq!(rule(fleet.wait(300), "batch"), Some(Severity::Warning));
        fleet.delete(Kind::Pod, "w");
        assert_eq!(rule(fleet.wait(300), "batch"), None, "no core pod is below it");
    }
    #[test]
    fn core_pods_that_had_to_make_room() {
        let of = |core: bool, reason: &str, wait: i64| {
            let mut fleet = Fleet::default();
            let mut victim = pod("w", "web", core, None, 0);
            victim["metadata"]["deletionTimestamp"] = json!(ago(1));
            victim["status"]["conditions"] = json!([{"type": "DisruptionTarget", "status": "True", "reason": reason}]);
            fleet.put(Kind::Deployment, [app("web", core, Some("some"))]).put(Kind::Pod, [victim]);
            fleet.delete(Kind::Pod, "w");
            fleet.wait(wait).finding(Kind::Deployment, "web", RULE.id).map(|f| (f.severity, f.message.clone()))
        };
        let says = "core, and 1 of its pods had to make room within a day";
        assert_eq!(of(true, "PreemptionByScheduler", 300), Some((Severity::Critical, says.to_owned())));
        assert_eq!((of(true, "EvictionByEvictionAPI", 300), of(false, "PreemptionByScheduler", 300)), (None, None));
        assert_eq!(of(true, "PreemptionByScheduler", DAY - 1).map(|f| f.0), Some(Severity::Critical));
        assert_eq!(of(true, "PreemptionByScheduler", DAY + 300), None, "a day ago");
    }
    #[test]
    fn only_what_had_to_make_room_counts_from_the_first_on() {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Deployment, [app("web", true, Some("some"))]);
        let go = |fleet: &mut Fleet, name: &str, preempted: bool| {
            let mut gone = pod(name, "web", true, None, 0);
            gone["metadata"]["deletionTimestamp"] = json!(ago(1));
            gone["status"]["containerStatuses"] = json!([{"name": "a", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]);
            if preempted {
                gone["status"]["conditions"] = json!([{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]);
            }
            fleet.put(Kind::Pod, [gone]);
            fleet.delete(Kind::Pod, name);
            let at = fleet.now;
            fleet.wait(300);
            (at, fleet.finding(Kind::Deployment, "web", RULE.id).map(|f| (f.message.clone(), f.since)))
        };
        assert_eq!(go(&mut fleet, "replaced", false).1, None, "a rollout");
        let (first, found) = go(&mut fleet, "v1", true);
        assert_eq!(found, Some(("core, and 1 of its pods had to make room within a day".to_owned(), Time::from_secs(first))));
        let found = go(&mut fleet, "v2", true).1;
        assert_eq!(found, Some(("core, and 2 of its pods had to make room within a day".to_owned(), Time::from_secs(first))));
    }
}
