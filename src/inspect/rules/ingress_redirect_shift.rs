//! After the ingress controller was given something new, a host redirects or refuses far more than before; or the controller refuses what it was given.
//!
//! A reload stands for the change (an Ingress, the controller's ConfigMap, a Secret). Left out: which object it was (no history of Ingresses is kept).

use super::measured::{BASE, Measured, USUAL, after};
use crate::inspect::{Need, RuleInfo, Severity};

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "ingress-redirect-shift",
        area: "network",
        scope: "host",
        summary: "Within 20 minutes of a reload a host's share of redirects or of 4xx doubled and rose by 5 points; or the controller keeps its old configuration",
        why: "Ties the symptom (users bounced to another URL) to the one object that changed.",
        needs: &[Need::Query("answers-shifted")],
        thresholds: &[after("3m")],
        links: &[
            "https://kubernetes.github.io/ingress-nginx/user-guide/tls/#server-side-https-enforcement-through-redirect",
            "https://kubernetes.github.io/ingress-nginx/how-it-works/#when-a-reload-is-required",
        ],
        ..BASE
    },
    queries: &["answers-shifted", "ingress-reload-failed"],
    level: |seen| seen.limits().map(|_| Severity::Critical),
    says: |seen| match seen.label("answers") {
        "" => seen.signal.title.to_string(),
        answers => format!("{} points more {answers} from {} since a reload", seen.value().trim_end_matches('%'), seen.label("host")),
    },
    next: "See which Ingress, ConfigMap or Secret changed last and put it back; for a refused configuration, read the controller's log",
    more: |seen, finding| {
        let named = ["host", "ingress", "controller_pod"].map(|label| (label, seen.label(label).to_owned()));
        finding.with_all(named.into_iter().filter(|(_, value)| !value.is_empty()))
    },
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::Fleet;
    use crate::inspect::rules::measured::tests::seen;

    #[test]
    fn points_of_a_host_and_a_refused_configuration() {
        let at =
            |query: &str, labels: &[(&str, &str)], value: f64, wait: i64| seen(&mut Fleet::default(), &RULE, query, labels, value, wait);
        let host = [("host", "shop.example.com"), ("ingress", "shop"), ("answers", "3xx")];
        let found = at("answers-shifted", &host, 0.05, 180).unwrap();
        assert_eq!(
            (found.severity, found.message.as_str()),
            (Severity::Critical, "5 points more 3xx from shop.example.com since a reload")
        );
        assert_eq!((at("answers-shifted", &host, 0.049, 180), at("answers-shifted", &host, 0.05, 179)), (None, None));
        assert_eq!(at("ingress-reload-failed", &[("controller_pod", "c")], 1.0, 180).map(|f| f.severity), Some(Severity::Critical));
    }
}
