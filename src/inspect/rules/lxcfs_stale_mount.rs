//! Pods whose `/proc` files died with the lxcfs that served them.
//!
//! Judged where a DaemonSet runs lxcfs; where the node itself does, nothing tells of its restarts. Left out: namespaces in which some pods lack
//! the mounts, and the webhook that adds them, which is not read.

use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict, clock};
use crate::model::{ContainerState, Kind, Object, Pod, Time, Tri, VerbId, pod::Lxcfs};

const AFTER: Threshold = Threshold { name: "after", default: "2m", doc: "how long it may be so" };

pub static RULE: RuleInfo = RuleInfo {
    id: "lxcfs-stale-mount",
    area: "runtime",
    tier: 1,
    burns: false,
    severity: Severity::Critical,
    scope: "pod",
    summary: "lxcfs on its node began after the pod's containers, and its mounts do not follow: critical; no lxcfs is ready there: a warning",
    why: "lxcfs makes top and free show the container, but a restart of its FUSE process breaks every reader on that node until pods are recreated.",
    kinds: &[Kind::Pod],
    needs: &[],
    leans_on: &[],
    thresholds: &[AFTER],
    peers: &[],
    links: &["https://linuxcontainers.org/lxcfs/introduction/"],
    judge,
};

/// How often it looks again (seconds): lxcfs restarts without the pods that use it.
const AGAIN: i64 = 60;

fn serves(pod: &Pod) -> bool {
    let owned = pod.meta.owner.as_ref().is_some_and(|o| &*o.kind == "DaemonSet");
    owned
        && !pod.finished()
        && pod.meta.deleting.is_none()
        && (pod.meta.name.contains("lxcfs") || pod.shape.containers.iter().any(|c| c.image.contains("lxcfs")))
}

/// When a pod's containers began, as they run now.
fn began(pod: &Pod) -> impl Iterator<Item = Time> {
    pod.containers.iter().filter_map(|c| if let ContainerState::Running { since } = c.state { since } else { None })
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(object @ Object::Pod(pod)) = judge.object else { return Verdict::Fine };
    let (Some(how), Some(node)) = (pod.shape.lxcfs, pod.node.as_deref()) else { return Verdict::Fine };
    if pod.finished() || pod.meta.deleting.is_some() {
        return Verdict::Fine;
    }
    let again = super::later(judge, AGAIN);
    let on_node = |o: &'_ Object| if let Object::Pod(p) = o { serves(p) } else { false };
    let server = judge.index.on_node(judge.cluster, node).find(|o| on_node(o));
    let server = server.and_then(|o| if let Object::Pod(p) = o { Some(&**p) } else { None });
    let Some(first) = began(pod).min() else { return Verdict::LookAgain(again) };
    let hold = judge.value(&AFTER);
    let ready = |p: &&Pod| p.ready == Tri::True;
    let Some(lxcfs) = server.filter(ready) else {
        // The node may run it by itself: only where a DaemonSet runs it somewhere does one expect it.
        let daemon = |o: &Object| matches!(o, Object::Workload(w) if w.meta.name.contains("lxcfs") || w.shape.containers.iter().any(|c| c.image.contains("lxcfs")));
        if server.is_none() && !judge.cluster.objects(Kind::DaemonSet).any(daemon) {
            return Verdict::LookAgain(again);
        }
        let since = server.and_then(super::unready_since);
        let held = since.map_or_else(|| judge.held_since_seen(hold), |t| judge.held(t.secs(), hold));
        return super::until(held, || {
            let what = if server.is_some() { "lxcfs is not ready" } else { "no lxcfs runs" };
            let finding = judge
                .finding(Severity::Warning, since, format!("{what} on {node}: its /proc files cannot be read"))
                .with("lxcfs", server.map_or("none", |p| &*p.meta.name), since)
                .with("node", node, None);
            (
                finding.then("See why lxcfs does not run on that node; then restart the pod").act(
                    VerbId::Restart,
                    super::controller(judge, object),
                    &[],
                ),
                Some(again),
            )
        });
    };
    let Some(restarted) = began(lxcfs).max().filter(|at| *at > first && how == Lxcfs::Pinned) else { return Verdict::LookAgain(again) };
    super::until(judge.held(restarted.secs(), hold), || {
        let finding = judge
            .finding(
                Severity::Critical,
                Some(restarted),
                format!("lxcfs on {node} began anew {}: its /proc files are dead", clock(restarted)),
            )
            .with("lxcfs began", &*lxcfs.meta.name, Some(restarted))
            .with("the pod's first container began", clock(first), Some(first))
            .with("mountPropagation", "none that follows the directory", None)
            .then(
                "Restart what reads them, node by node; mount /var/lib/lxcfs itself with HostToContainer, so that it follows the next time",
            )
            .act(VerbId::Restart, super::controller(judge, object), &[]);
        (finding, Some(again))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, owned, pod};
    use serde_json::{Value, json};

    fn reader(name: &str, path: &str, propagation: &str, began: i64) -> Value {
        let mut p = pod(
            json!({"name": name, "creationTimestamp": ago(9000)}),
            "n1",
            true,
            began,
            json!({"state": {"running": {"startedAt": ago(began)}}}),
        );
        p["spec"]["volumes"] = json!([{"name": "l", "hostPath": {"path": path}}]);
        p["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "l", "mountPath": "/proc/meminfo", "mountPropagation": propagation}]);
        p
    }

    fn lxcfs(ready: bool, began: i64) -> Value {
        pod(owned("lxcfs-1", Kind::DaemonSet, "lxcfs"), "n1", ready, began, json!({"state": {"running": {"startedAt": ago(began)}}}))
    }

    fn rule(fleet: &Fleet) -> Option<Severity> {
        fleet.severity(Kind::Pod, "web", RULE.id)
    }

    #[test]
    fn lxcfs_that_began_later_left_dead_files_behind() {
        let file = "/var/lib/lxcfs/proc/meminfo";
        let of = |path: &str, propagation: &str, lxcfs_began: i64| {
            let mut fleet = Fleet::default();
            fleet.put(Kind::Pod, [lxcfs(true, lxcfs_began), reader("web", path, propagation, 5000)]);
            rule(&fleet)
        };
        assert_eq!(of(file, "", 7000), None, "it was there first");
        assert_eq!((of(file, "", 119), of(file, "", 120)), (None, Some(Severity::Critical)));
        assert_eq!(of("/var/lib/lxcfs", "HostToContainer", 4000), None, "the mount follows");
        assert_eq!(of("/var/log", "", 4000), None);
    }

    #[test]
    fn a_restart_is_seen_although_the_pod_does_not_change() {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Pod, [lxcfs(true, 7000), reader("web", "/var/lib/lxcfs/proc/meminfo", "", 5000)]);
        fleet.put(Kind::Pod, [lxcfs(true, 300)]);
        assert_eq!(rule(&fleet), None);
        assert_eq!(rule(fleet.wait(60)), Some(Severity::Critical));
        fleet.put(Kind::Pod, [reader("web", "/var/lib/lxcfs/proc/meminfo", "", 10)]);
        assert_eq!(rule(&fleet), None, "recreated");
    }

    #[test]
    fn without_a_ready_one_where_a_daemonset_runs_it() {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Pod, [reader("web", "/var/lib/lxcfs/proc/meminfo", "", 5000)]);
        assert_eq!(rule(fleet.wait(600)), None, "the node may run it");
        fleet.put(Kind::DaemonSet, [json!({"metadata": {"name": "lxcfs"}})]);
        fleet.wait(60);
        assert_eq!(rule(fleet.wait(120)), Some(Severity::Warning));
        let mut fleet = Fleet::default();
        fleet.put(Kind::Pod, [lxcfs(false, 119), reader("web", "/var/lib/lxcfs/proc/meminfo", "", 5000)]);
        assert_eq!(rule(&fleet), None);
        assert_eq!(rule(fleet.wait(1)), Some(Severity::Warning));
    }
}
