//! Answers of the API server are 5xx, as it counts them or as its clients do, or burn its error budget; or a component is refused more than before.
//!
//! The budget is a hundredth of the answers of 30 days, burnt in the windows of the kubernetes-mixin. Left out: slow answers as errors
//! (apiserver-slow tells of them; the histogram over days is dearer than what it tells).

use super::measured::{BASE, Measured, USUAL, whole};
use crate::inspect::{Need, RuleInfo, age};
use crate::model::Measure;

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "apiserver-errors",
        area: "control-plane",
        scope: "cluster",
        summary: "More than 1 % of the API server's answers are 5xx for 5 minutes (critical from 5 % on), or a hundredth of the answers that one component had in 15 minutes; a month's error budget burns 14.4 times too fast over an hour or 6 times over six (critical), 3 times over a day or at all over three (a warning); a component has ten times the 401 and 403 of an hour ago",
        why: "Failed calls stop reconciliation; the error budget tells if it is a blip or an outage.",
        needs: &[Need::Query("api-errors")],
        peers: &["k8s-mixin:KubeAPIErrorBudgetBurn", "k8s-mixin:KubeClientErrors"],
        links: &["https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubeapierrorbudgetburn/"],
        ..BASE
    },
    queries: &["api-errors", "client-errors", "api-budget", "api-budget-days", "client-refused"],
    says: |seen| match &*seen.signal.meta.name {
        "client-errors" => format!("{} of the API's answers to {} are 5xx", seen.value(), seen.label("job")),
        "client-refused" => format!("{} is refused {} times as often as an hour ago", seen.label("job"), seen.value()),
        "api-budget" | "api-budget-days" => {
            let (errors, left) = burnt(seen.label("window"), seen.number());
            format!("{errors} of the API's answers in {} are 5xx: {left}", seen.label("window"))
        }
        _ => format!("{}: {}", seen.signal.title, seen.value()),
    },
    next: "See which verb, resource and instance fail, and whether etcd or a webhook fails at the same time; of one that is refused its credential and rights",
    ..USUAL
};

/// Of a window and how many times its limit is reached: the share of answers that are 5xx, and how long a month's budget lasts at that.
fn burnt(window: &str, times: f64) -> (String, String) {
    let limit = match window {
        "1h" => 0.144,
        "6h" => 0.06,
        "1d" => 0.03,
        _ => 0.01,
    };
    let share = times * limit;
    (Measure::Ratio.text(share), format!("the budget of 30 days is gone in {}", age(whole(30.0 * 86_400.0 * 0.01 / share.max(0.01)))))
}

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::Fleet;
    use crate::inspect::rules::measured::tests::{holds, seen};

    #[test]
    fn at_its_limits_after_its_time() {
        holds(&RULE, &FACTS, 300);
    }

    #[test]
    fn what_is_burnt_and_who_is_refused() {
        let says =
            |query: &str, label: (&str, &str), value: f64| seen(&mut Fleet::default(), &RULE, query, &[label], value, 300).unwrap().message;
        let burnt = "14.4% of the API's answers in 1h are 5xx: the budget of 30 days is gone in 2d";
        assert_eq!(says("api-budget", ("window", "1h"), 1.0), burnt);
        let slowly = "2% of the API's answers in 3d are 5xx: the budget of 30 days is gone in 15d";
        assert_eq!(says("api-budget-days", ("window", "3d"), 2.0), slowly);
        assert_eq!(says("client-refused", ("job", "kubelet"), 12.0), "kubelet is refused 12 times as often as an hour ago");
    }
}
