//! What rules over templates share: whose template is judged, the grace of what is new, and the mildness where the cluster itself lives.

use crate::inspect::{Finding, Judge, Severity, Verdict};
use crate::model::svc::SvcPort;
use crate::model::{ContainerSpec, Kind, Labels, Meta, Node, Object, Pod, PodShape, Svc, Template, Workload};

/// These kinds, and one more.
pub const fn and<const N: usize>(kinds: &[Kind], more: Kind) -> [Kind; N] {
    let mut all = [more; N];
    let mut n = 0;
    while n < kinds.len() && n < N {
        all[n] = kinds[n];
        n += 1;
    }
    all
}

/// The kinds that have a template that nobody above them has.
pub const TEMPLATED: &[Kind] =
    &[Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::ReplicaSet, Kind::Job, Kind::CronJob, Kind::Pod];
/// Those of them that stay up.
pub const SERVING: &[Kind] = &[Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::ReplicaSet, Kind::Pod];
/// Those of them that Services are looked up for.
pub const SERVED: &[Kind] = &[Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet];
/// Those of them with replicas that somebody replaces.
pub const REPLICATED: &[Kind] = &[Kind::Deployment, Kind::StatefulSet];

/// How often what depends on pods is looked at again (seconds): they come and go without their workload.
pub const AGAIN: i64 = 300;

/// An object with a template of its own.
pub struct Whole<'a> {
    pub object: &'a Object,
    pub meta: &'a Meta,
    pub shape: &'a PodShape,
    pub template: &'a Template,
    /// The labels of its pods.
    pub labels: &'a Labels,
    /// None: a pod that nobody owns.
    pub workload: Option<&'a Workload>,
}

impl<'a> Whole<'a> {
    /// What is judged, if it has a template and stays.
    pub fn of(judge: &Judge<'a>) -> Option<Self> {
        let object = judge.object?;
        let (meta, shape, labels, workload) = match object {
            Object::Workload(w) => (&w.meta, &w.shape, &w.pod_labels, Some(&**w)),
            Object::Pod(p) if !p.finished() => (&p.meta, &p.shape, &p.meta.labels, None),
            _ => return None,
        };
        let template = shape.template.as_deref().filter(|_| meta.deleting.is_none())?;
        Some(Self { object, meta, shape, template, labels, workload })
    }

    /// Whether it is core: it, or the pods that it makes.
    pub fn core(&self) -> bool {
        crate::inspect::core(self.object) || matches!(self.labels.get("tier"), Some("core" | "critical"))
    }

    /// A container's image and resources.
    pub fn spec(&self, name: &str) -> Option<&'a ContainerSpec> {
        self.shape.containers.iter().chain(&self.shape.init).find(|c| *c.name == *name)
    }

    /// Its pods that have not ended.
    pub fn pods(&self, judge: &Judge<'a>) -> Vec<&'a Pod> {
        match self.object {
            Object::Pod(pod) => vec![pod],
            object => judge.index.pods(judge.cluster, object.meta().uid).into_iter().map(|p| &**p).filter(|p| !p.finished()).collect(),
        }
    }

    /// The nodes that its pods are on.
    pub fn nodes(&self, judge: &Judge<'a>) -> Vec<&'a Node> {
        let mut names: Vec<&str> = self.pods(judge).iter().filter_map(|p| p.node.as_deref()).collect();
        names.sort_unstable();
        names.dedup();
        let node = |name: &str| if let Some(Object::Node(n)) = judge.cluster.named(Kind::Node, "", name) { Some(&**n) } else { None };
        names.into_iter().filter_map(node).collect()
    }

    /// The Services that lead to its pods, with their ports. None: no Service does.
    pub fn serves(&self, judge: &Judge<'_>) -> Option<String> {
        let text = |s: &Svc| {
            let ports: Vec<String> = s.ports.iter().map(SvcPort::text).collect();
            format!("{} {}", s.meta.name, ports.join(" "))
        };
        let all = judge.index.services(judge.cluster, &self.meta.namespace).filter(|s| s.takes(self.labels));
        let all: Vec<String> = all.map(|s| text(s)).collect();
        (!all.is_empty()).then(|| several(all, 3))
    }

    /// The verdict with what was found, if anything: not before its time, and mild where the cluster itself lives.
    pub fn verdict(&self, judge: &Judge<'_>, found: Option<Finding>) -> Verdict {
        found.map_or(Verdict::Fine, |finding| settle(judge, self.meta, finding))
    }

    /// The same for what depends on pods too: it is looked at again.
    pub fn again(&self, judge: &Judge<'_>, found: Option<Finding>) -> Verdict {
        let at = super::later(judge, AGAIN);
        match self.verdict(judge, found) {
            Verdict::Fine => Verdict::LookAgain(at),
            Verdict::Burning(finding) => Verdict::BurningUntil(finding, at),
            other => other,
        }
    }
}

/// A finding about how an object is made: not before its time, and mild where the cluster itself lives.
pub fn settle(judge: &Judge<'_>, meta: &Meta, mut finding: Finding) -> Verdict {
    if let Some(created) = meta.created
        && let Err(at) = judge.held(created.secs(), judge.policy.new_for)
    {
        return Verdict::FineUntil(at);
    }
    if judge.policy.infra(&meta.namespace) {
        finding.severity = finding.severity.min(Severity::Info);
    }
    finding.since = finding.since.or(meta.created);
    Verdict::Burning(finding)
}

/// `a, b and 3 more`.
pub fn several(mut names: Vec<String>, most: usize) -> String {
    let more = names.len().saturating_sub(most);
    names.truncate(most);
    let text = names.join(", ");
    if more == 0 { text } else { format!("{text} and {more} more") }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, deployment, service};
    use serde_json::{Value, json};

    /// A Deployment with this pod spec.
    pub fn with(spec: Value, core: bool) -> Value {
        let mut d = deployment("web", 2, 2);
        d["spec"]["template"] = json!({"metadata": {"labels": {"app": "web"}}, "spec": spec});
        if core {
            d["metadata"]["labels"] = json!({"tier": "core"});
        }
        d
    }

    /// The severity that a rule gives a Deployment with this pod spec, and what it says.
    pub fn judged(rule: &str, spec: Value, core: bool) -> Option<(Severity, String)> {
        let mut fleet = Fleet::default();
        fleet.put(Kind::Deployment, [with(spec, core)]);
        fleet.finding(Kind::Deployment, "web", rule).map(|f| (f.severity, f.message.clone()))
    }

    /// The same with one container, behind a Service.
    pub fn served(rule: &str, container: Value, core: bool) -> Option<(Severity, String)> {
        let mut c = container;
        c["name"] = json!("app");
        let mut fleet = Fleet::default();
        fleet.put(Kind::Deployment, [with(json!({"containers": [c]}), core)]).put(Kind::Service, [service("web", "web")]);
        fleet.finding(Kind::Deployment, "web", rule).map(|f| (f.severity, f.message.clone()))
    }

    /// The same with one container.
    pub fn one(rule: &str, container: Value, core: bool) -> Option<(Severity, String)> {
        let mut c = container;
        c["name"] = json!("app");
        judged(rule, json!({"containers": [c]}), core)
    }

    #[test]
    fn new_ones_are_left_in_peace_and_infrastructure_gets_info() {
        let rule = "privileged-or-host-access";
        let mut d = with(json!({"hostPID": true, "containers": [{"name": "a"}]}), false);
        d["metadata"]["creationTimestamp"] = json!(ago(0));
        let mut fleet = Fleet::default();
        fleet.put(Kind::Deployment, [d.clone()]);
        assert_eq!(fleet.wait(299).severity(Kind::Deployment, "web", rule), None);
        assert_eq!(fleet.wait(1).severity(Kind::Deployment, "web", rule), Some(Severity::Warning));
        d["metadata"]["namespace"] = json!("kube-system");
        d["metadata"]["name"] = json!("infra");
        fleet.put(Kind::Deployment, [d]);
        assert_eq!(fleet.severity(Kind::Deployment, "infra", rule), Some(Severity::Info));
    }

    #[test]
    fn one_owner_up_is_judged_and_what_it_made_is_not() {
        let rule = "privileged-or-host-access";
        let mut fleet = Fleet::default();
        let spec = json!({"hostPID": true, "containers": [{"name": "a"}]});
        fleet.put(
            Kind::ReplicaSet,
            [json!({"metadata": crate::inspect::fixture::owned("rs", Kind::Deployment, "web"), "spec": {"template": {"spec": spec}}})],
        );
        fleet.put(Kind::Pod, [
            json!({"metadata": crate::inspect::fixture::owned("p", Kind::ReplicaSet, "rs"), "spec": spec, "status": {"phase": "Running"}}),
            json!({"metadata": {"name": "bare", "creationTimestamp": ago(9000)}, "spec": spec, "status": {"phase": "Running"}}),
            json!({"metadata": {"name": "ended", "creationTimestamp": ago(9000)}, "spec": spec, "status": {"phase": "Succeeded"}}),
        ]);
        let of = |kind, name| fleet.severity(kind, name, rule);
        assert_eq!((of(Kind::ReplicaSet, "rs"), of(Kind::Pod, "p")), (None, None));
        assert_eq!((of(Kind::Pod, "bare"), of(Kind::Pod, "ended")), (Some(Severity::Warning), None));
    }
}
