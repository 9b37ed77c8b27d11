//! An address pool is 80 % used, its addresses leak, or blocks of it are a node's that is gone.
//!
//! By what calico-kube-controllers measures. Left out: blocks that are free against nodes without one (they are made on demand), and address pools of
//! other networks.

use super::measured::{BASE, Measured, USUAL};
use crate::inspect::{Need, RuleInfo, Severity, Threshold};

const BORROWED: Threshold =
    Threshold { name: "borrowed-from", default: "20%", doc: "of the addresses in use, those from blocks of other nodes" };

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "calico-ipam-exhausted",
        area: "network",
        scope: "cluster",
        summary: "An address pool is 80 % used for 5 minutes (critical from 95 % on); a twentieth of its addresses are nobody's for an hour, or blocks are a node's that is gone (a warning); info: a fifth of its addresses come from blocks of other nodes",
        why: "Pods stay in ContainerCreating although CPU and memory are free, and leaked blocks make it look like growth.",
        needs: &[Need::Query("calico-ipam")],
        thresholds: &[super::measured::after("5m"), BORROWED],
        links: &[
            "https://docs.tigera.io/calico/latest/reference/calicoctl/ipam/check",
            "https://docs.tigera.io/calico/latest/networking/ipam/change-block-size",
        ],
        ..BASE
    },
    queries: &["calico-ipam", "calico-blocks", "calico-lost-blocks"],
    level: |seen| match seen.label("what") {
        "borrowed" => (seen.number() * 100.0 >= seen.threshold(&BORROWED) as f64).then_some(Severity::Info),
        _ => seen.limits(),
    },
    says: |seen| match (&*seen.signal.meta.name, seen.label("what")) {
        ("calico-lost-blocks", _) => format!("{} address blocks are of {}, which is gone", seen.value(), seen.label("node")),
        (_, "leaked") => format!("address pool {}: {} of its addresses in use are nobody's", seen.label("ippool"), seen.value()),
        (_, "borrowed") => {
            format!("address pool {}: {} of its addresses come from blocks of other nodes", seen.label("ippool"), seen.value())
        }
        _ => format!("address pool {}: {} used", seen.of(), seen.value()),
    },
    next: "Release leaked blocks (`calicoctl ipam check`), or add an IPPool",
    ..USUAL
};

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
    fn what_is_leaked_borrowed_and_lost() {
        let of = |query: &str, labels: &[(&str, &str)], value: f64| {
            seen(&mut Fleet::default(), &RULE, query, labels, value, 300).map(|f| (f.severity, f.message))
        };
        let pool = |what: &'static str| [("ippool", "p"), ("what", what)];
        let leaked = "address pool p: 5% of its addresses in use are nobody's";
        assert_eq!(of("calico-blocks", &pool("leaked"), 0.05), Some((Severity::Warning, leaked.into())));
        assert_eq!((of("calico-blocks", &pool("leaked"), 0.049), of("calico-blocks", &pool("borrowed"), 0.199)), (None, None));
        assert_eq!(of("calico-blocks", &pool("borrowed"), 0.2).map(|f| f.0), Some(Severity::Info));
        let lost = of("calico-lost-blocks", &[("node", "n9")], 2.0);
        assert_eq!(lost, Some((Severity::Warning, "2 address blocks are of n9, which is gone".into())));
    }
}
