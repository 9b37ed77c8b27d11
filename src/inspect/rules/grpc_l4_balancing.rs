//! gRPC behind a virtual address: connections are balanced, calls are not.

use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Kind, Object, Pod, Tri};
use std::sync::Arc;

const SKEW: Threshold = Threshold { name: "skew", default: "200%", doc: "CPU of the busiest pod, of the mean, over which it is a warning" };
const IDLE: Threshold = Threshold { name: "idle", default: "10%", doc: "CPU of a pod, of the mean, under which it is a warning" };
const FLOOR: Threshold =
    Threshold { name: "floor", default: "20", doc: "millicores that pods use on average, under which nothing is said of skew" };

pub static RULE: RuleInfo = RuleInfo {
    id: "grpc-l4-balancing",
    area: "network",
    tier: 1,
    burns: false,
    severity: Severity::Warning,
    scope: "service",
    summary: "gRPC through a virtual address to two pods or more, without a mesh; a warning when a pod uses twice the mean of CPU for 15 minutes, or next to nothing",
    why: "kube-proxy balances connections, and gRPC keeps one long HTTP/2 connection, so each client sticks to one pod and new pods stay idle.",
    kinds: &[Kind::Service],
    needs: &[Need::Kind(Kind::EndpointSlice)],
    leans_on: &[],
    thresholds: &[SKEW, IDLE, FLOOR],
    peers: &[],
    links: &[
        "https://grpc.io/blog/grpc-load-balancing/",
        "https://kubernetes.io/docs/concepts/services-networking/service/#headless-services",
    ],
    judge,
};

/// How often one looks at what pods use (seconds).
const AGAIN: i64 = 120;
/// So many points of a course, four minutes each, are 15 minutes.
const POINTS: usize = 4;

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Svc(service)) = judge.object else { return Verdict::Fine };
    let sign = service.ports.iter().find_map(crate::model::svc::SvcPort::grpc);
    let (Some(sign), true, true) = (sign, service.ip.is_some(), service.selects()) else { return Verdict::Fine };
    let endpoints = judge.cluster.endpoints(service).unwrap_or_default();
    let workloads = judge.index.selected(judge.cluster, service);
    let pods: Vec<&Arc<Pod>> = workloads.iter().flat_map(|w| judge.index.pods(judge.cluster, w.meta.uid)).collect();
    if endpoints.all < 2 || meshed(judge, &service.meta.namespace, &pods) {
        return Verdict::Fine;
    }
    let uses: Vec<(&Arc<Pod>, Vec<i64>)> = pods
        .into_iter()
        .filter(|p| p.ready == Tri::True && p.meta.deleting.is_none())
        .filter_map(|p| {
            let course = judge.cluster.use_course(&Object::Pod(p.clone()))?.cpu_m;
            let last = course.len().checked_sub(POINTS)?;
            Some((p, course[last..].iter().map(|n| i64::from(*n)).collect()))
        })
        .collect();
    let skewed = skewed(judge, &uses);
    let severity = if skewed.is_some() { Severity::Warning } else { Severity::Info };
    let message = match &skewed {
        Some(words) => format!("gRPC is balanced by connection: {words}"),
        None => format!("gRPC to {} pods is balanced by connection", endpoints.all),
    };
    let mut by_use: Vec<(i64, &str, String)> = uses
        .iter()
        .map(|(p, c)| {
            (
                c.last().copied().unwrap_or(0),
                &*p.meta.name,
                p.meta.created.map_or_else(String::new, |t| crate::model::duration::age(t.age(judge.now))),
            )
        })
        .collect();
    by_use.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let shown: Vec<String> = by_use.iter().take(6).map(|(cpu, name, age)| format!("{name} {cpu}m (age {age})")).collect();
    let finding = judge
        .finding(severity, None, message)
        .with("gRPC by", sign, None)
        .with("endpoints", format!("{} of {} ready", endpoints.ready, endpoints.all), None)
        .with("CPU by pod", shown.join(", "), None)
        .then("Give clients a headless twin and round_robin (dns:///), or a mesh; limit the age of connections at the server; until then a restart of the clients spreads them")
        .edit();
    Verdict::BurningUntil(finding, super::later(judge, AGAIN))
}

/// Whether something between clients and pods balances calls.
fn meshed(judge: &Judge<'_>, namespace: &str, pods: &[&Arc<Pod>]) -> bool {
    const MODE: &str = "istio.io/dataplane-mode";
    let ambient = judge.cluster.named(Kind::Namespace, "", namespace).is_some_and(|n| n.meta().labels.get(MODE) == Some("ambient"));
    let sidecar = |p: &&Arc<Pod>| {
        let mut all = p.shape.containers.iter().chain(&p.shape.init);
        all.any(|c| matches!(&*c.name, "istio-proxy" | "linkerd-proxy")) || p.meta.labels.get(MODE) == Some("ambient")
    };
    ambient || pods.first().is_some_and(sidecar)
}

/// How unevenly the pods work at every one of the last points, in words; none where they do not, or hardly work.
fn skewed(judge: &Judge<'_>, uses: &[(&Arc<Pod>, Vec<i64>)]) -> Option<String> {
    if uses.len() < 2 {
        return None;
    }
    let count = i64::try_from(uses.len()).unwrap_or(i64::MAX);
    let means: Vec<i64> = (0..POINTS).map(|n| uses.iter().map(|(_, c)| c[n]).sum::<i64>() / count).collect();
    if means.iter().any(|m| *m < judge.value(&FLOOR)) {
        return None;
    }
    let always = |c: &[i64], holds: &dyn Fn(i64, i64) -> bool| c.iter().zip(&means).all(|(use_, mean)| holds(*use_, *mean));
    let busy = |use_: i64, mean: i64| use_ * 100 > mean * judge.value(&SKEW);
    let idle = |use_: i64, mean: i64| use_ * 100 < mean * judge.value(&IDLE);
    let share = |c: &[i64]| c.last().copied().unwrap_or(0) * 100 / means.last().copied().unwrap_or(1).max(1);
    let hot = uses.iter().find(|(_, c)| always(c, &busy)).map(|(p, c)| format!("{} uses {}% of the mean", p.meta.name, share(c)));
    hot.or_else(|| uses.iter().find(|(_, c)| always(c, &idle)).map(|(p, c)| format!("{} uses {}% of the mean", p.meta.name, share(c))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, deployment, owned, pod, replicaset, running, service, slice};
    use crate::model::{Delta, KindState, Usage, UsageList, UsageRow};
    use serde_json::{Value, json};

    fn grpc() -> Value {
        let mut s = service("web", "web");
        s["spec"]["ports"][0]["appProtocol"] = json!("grpc");
        s
    }
    fn fleet(svc: Value, pods: u32, sidecar: Option<&str>) -> Fleet {
        let mut fleet = Fleet::default();
        fleet.delta(0, Delta::KindState(Kind::EndpointSlice, KindState::Live));
        let mut d = deployment("web", pods as i32, pods as i32);
        d["spec"]["template"]["metadata"] = json!({"labels": {"app": "web"}});
        fleet.put(Kind::Deployment, [d]).put(Kind::ReplicaSet, [replicaset("rs", "web", 1, "i:1", 9000, 3)]);
        fleet.put(
            Kind::Pod,
            (0..pods).map(|n| {
                let mut p = pod(owned(&format!("p{n}"), Kind::ReplicaSet, "rs"), "n", true, 900, running());
                if let Some(name) = sidecar {
                    p["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": name, "image": "x"}));
                }
                p
            }),
        );
        fleet.put(Kind::EndpointSlice, [slice("web", pods as usize, 0)]).put(Kind::Service, [svc]);
        fleet
    }
    fn rule(f: &Fleet) -> Option<Severity> {
        f.severity(Kind::Service, "web", RULE.id)
    }
    fn used(f: &mut Fleet, cpu: &[i64]) -> Option<Severity> {
        for _ in 0..POINTS {
            let row = |(n, cpu): (usize, &i64)| UsageRow {
                namespace: "pay".into(),
                name: format!("p{n}").into(),
                usage: Usage { cpu_m: Some(*cpu), memory: None, at: None },
            };
            let rows = cpu.iter().enumerate().map(row).collect();
            f.delta(0, Delta::Usage(UsageList { kind: Kind::Pod, namespace: None, rows }));
            f.wait(240);
        }
        rule(f)
    }

    #[test]
    fn two_pods_behind_a_virtual_address_and_no_mesh() {
        assert_eq!(rule(&fleet(grpc(), 2, None)), Some(Severity::Info));
        assert_eq!(rule(&fleet(grpc(), 1, None)), None);
        assert_eq!(rule(&fleet(service("web", "web"), 2, None)), None);
        assert_eq!(rule(&fleet(grpc(), 2, Some("istio-proxy"))), None);
        assert_eq!(rule(&fleet(grpc(), 2, Some("side"))), Some(Severity::Info));
        let mut headless = grpc();
        headless["spec"]["clusterIP"] = json!("None");
        assert_eq!(rule(&fleet(headless, 2, None)), None);
        let mut named = service("web", "web");
        named["spec"]["ports"][0]["name"] = json!("grpc-api");
        assert_eq!(rule(&fleet(named, 2, None)), Some(Severity::Info));
    }

    #[test]
    fn a_warning_from_measured_skew_on() {
        let measured = |cpu: &[i64]| {
            let mut f = fleet(grpc(), cpu.len() as u32, None);
            used(&mut f, cpu)
        };
        assert_eq!(measured(&[200, 200, 200]), Some(Severity::Info));
        assert_eq!(measured(&[1000, 100, 100]), Some(Severity::Warning), "one at two and a half times the mean");
        assert_eq!(measured(&[600, 150, 150]), Some(Severity::Info), "twice the mean is not over it");
        assert_eq!(measured(&[300, 300, 10]), Some(Severity::Warning), "one idles");
        assert_eq!(measured(&[40, 4, 4]), Some(Severity::Info), "too little to speak of");
    }
}
