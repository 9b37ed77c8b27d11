//! An aggregated API that is not available.
//!
//! Left out: flapping, and how old the measurements of metrics.k8s.io are.

use crate::inspect::explain::words::joined;
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::asked::{Api, Part};
use crate::model::{Kind, Object, Time};

const AFTER: Threshold = Threshold { name: "after", default: "2m", doc: "how long it may be not available" };

pub static RULE: RuleInfo = RuleInfo {
    id: "aggregated-api-down",
    area: "control-plane",
    tier: 3,
    burns: true,
    severity: Severity::Critical,
    scope: "cluster, its APIServices",
    summary: "An APIService is not Available for 2 minutes; critical when HPAs need it or a namespace cannot be deleted for it",
    why: "Broken aggregation stops HPAs, kubectl discovery and namespace deletion at once.",
    kinds: &[],
    needs: &[Need::Asked(Part::Apis)],
    leans_on: &[],
    thresholds: &[AFTER],
    peers: &["~popeye:402", "popeye:708", "k8s-mixin:KubeAggregatedAPIDown"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Ok(apis) = &judge.cluster.asked.apis else { return Verdict::Fine };
    let began = |a: &Api| a.since.map_or(0, Time::secs);
    let hold = judge.value(&AFTER);
    let down: Vec<&Api> = apis.iter().filter(|a| judge.held(began(a), hold).is_ok()).collect();
    if down.is_empty() {
        return apis.iter().map(|a| began(a) + hold).min().map_or(Verdict::Fine, Verdict::FineUntil);
    }
    let hpas = judge.cluster.objects(Kind::Hpa).count();
    let measures = down.iter().any(|a| a.name.ends_with("metrics.k8s.io")) && hpas > 0;
    let stuck = judge.cluster.objects(Kind::Namespace).filter(|o| matches!(o, Object::Namespace(n) if n.meta.deleting.is_some()));
    let stuck = joined(stuck.map(|o| &*o.meta().name), 4);
    let severity = if measures || !stuck.is_empty() { Severity::Critical } else { Severity::Warning };
    let message = format!("{} not available", joined(down.iter().map(|a| &*a.name), 3));
    let mut finding = judge.finding(severity, down.iter().filter_map(|a| a.since).min(), message);
    for a in down.iter().take(6) {
        let service = a.service.as_ref().map_or_else(String::new, |(namespace, name)| format!("service {namespace}/{name}: "));
        let why = format!("{service}{} {}", a.reason.as_deref().unwrap_or(""), a.message.as_deref().unwrap_or(""));
        finding = finding.with(&a.name, why.trim(), a.since);
    }
    if measures {
        finding = finding.with("autoscalers that may need it", hpas.to_string(), None);
    }
    Verdict::Burning(finding.with("namespaces that are being deleted", stuck, None).then("Bring back the Deployment behind its service"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, NOW};
    use crate::model::{Asked, ClusterId, Delta, Uid};
    use serde_json::json;

    #[test]
    fn not_available_for_two_minutes_and_worse_when_something_needs_it() {
        let at = |name: &str, since: i64, hpa: bool| {
            let mut fleet = Fleet::default();
            if hpa {
                fleet.put(Kind::Hpa, [json!({"metadata": {"name": "h"}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 3}})]);
            }
            let since = Time::from_secs(NOW - since);
            let api = Api {
                name: name.into(),
                service: Some(("kube-system".into(), "m".into())),
                reason: Some("MissingEndpoints".into()),
                message: None,
                since,
            };
            fleet.delta(0, Delta::Asked(Asked { apis: Ok([api].into()), ..Asked::default() }.into()));
            fleet.engine.for_object(ClusterId(0), Uid::default()).iter().find(|f| f.rule == &RULE).map(|f| f.severity)
        };
        assert_eq!(at("v1beta1.metrics.k8s.io", 120, false), Some(Severity::Warning));
        assert_eq!(at("v1beta1.metrics.k8s.io", 119, false), None);
        assert_eq!(at("v1beta1.metrics.k8s.io", 120, true), Some(Severity::Critical));
        assert_eq!(at("v1.packages.example.com", 120, true), Some(Severity::Warning));
    }
}
