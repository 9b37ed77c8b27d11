//! A cluster that does not answer, or not to us.
//!
//! Critical in production and where no tier is set (what is not classified may be production); a warning in other tiers,
//! and always a warning while merely stale. `since` is the last proof of life, none when there never was one; the hold counts
//! from when the state began. A disconnect on purpose is no state of the store yet.

use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict, age};
use crate::model::{ConnectionState, Time};

const AFTER: Threshold =
    Threshold { name: "after", default: "15s", doc: "how long the cluster must be unreachable or refuse our credentials" };
const STALE: Threshold = Threshold { name: "stale-after", default: "30s", doc: "how long the cluster must give no sign of life" };

pub static RULE: RuleInfo = RuleInfo {
    id: "cluster-unreachable",
    area: "availability",
    tier: 1,
    burns: true,
    severity: Severity::Critical,
    scope: "cluster",
    summary: "The cluster is not reached, refuses our credentials, or gives no sign of life",
    why: "Everything shown of this cluster is old; what burns there cannot be seen.",
    kinds: &[],
    needs: &[],
    leans_on: &[],
    thresholds: &[AFTER, STALE],
    peers: &["k8s-mixin:KubeAPIDown"],
    links: &[
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubeapidown/",
        "https://kubernetes.io/docs/tasks/debug/debug-cluster/troubleshoot-kubectl/",
    ],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let cluster = judge.cluster;
    let (word, threshold, last, reason, next) = match &cluster.state {
        ConnectionState::Unreachable { last, reason } => (
            "DOWN",
            &AFTER,
            last,
            reason,
            "Check the API server, and the route to it (proxy, bastion, VPN), from here; ctrl-r reconnects at once",
        ),
        ConnectionState::Unauthorized { last, reason } => {
            ("REFUSED", &AFTER, last, reason, "Renew the credentials: `:login` for this cluster runs its login in the foreground")
        }
        ConnectionState::Stale { last, reason } => {
            ("STALE", &STALE, last, reason, "The server has stopped answering: watch whether it comes back, look at the API server's load")
        }
        _ => return Verdict::Fine,
    };
    if let Err(at) = judge.held(cluster.since, judge.value(threshold)) {
        return Verdict::FineUntil(at);
    }
    let classified_lower = cluster.info.tier.is_some() && !cluster.info.production();
    let severity = if word == "STALE" || classified_lower { Severity::Warning } else { Severity::Critical };
    let last = last.or(Time::from_secs(cluster.alive));
    // Whole minutes: the line is repainted once a minute, not every second.
    let old = last.map(|t| t.age(judge.now));
    let rows = match old {
        Some(..60) => "rows <1m old".to_owned(),
        Some(secs @ 60..7200) => format!("rows {}m old", secs / 60),
        Some(secs) => format!("rows {} old", age(secs)),
        None => "never seen".to_owned(),
    };
    let repaint = old.map_or(judge.now + 3600, |secs| super::repaint(secs, judge.now));
    let others = judge.store.clusters().iter().filter(|c| c.id != cluster.id);
    let down = others.clone().filter(|c| c.state.reason().is_some()).count();
    let reason = reason.trim();
    let message = if reason.is_empty() { format!("{word}, {rows}") } else { format!("{word} {reason}, {rows}") };
    let finding = judge
        .finding(severity, last, message)
        .with("reason", reason, Time::from_secs(cluster.since))
        .with("address", &*cluster.info.server, None)
        .with("last answer", last.map_or_else(|| "none".to_owned(), Time::rfc3339), last)
        .with("other clusters not answering", format!("{down} of {}", others.count()), None)
        .then(next);
    Verdict::BurningUntil(finding, repaint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, NOW};
    use crate::model::{ClusterId, Delta, Uid};

    fn after(cluster: u16, state: ConnectionState, secs: i64) -> Option<(Severity, String)> {
        let mut fleet = Fleet::default();
        fleet.delta(cluster, Delta::State(state));
        fleet.wait(secs);
        fleet.engine.for_object(ClusterId(cluster), Uid::default()).first().map(|f| (f.severity, f.message.clone()))
    }

    fn down() -> ConnectionState {
        ConnectionState::Unreachable { last: Time::from_secs(NOW), reason: "dial timeout".into() }
    }

    #[test]
    fn critical_in_production_and_unclassified_after_the_hold() {
        assert_eq!(after(0, down(), 14), None);
        assert_eq!(after(0, down(), 15), Some((Severity::Critical, "DOWN dial timeout, rows <1m old".to_owned())));
        assert_eq!(after(1, down(), 15).map(|f| f.0), Some(Severity::Warning));
        assert_eq!(after(2, down(), 130), Some((Severity::Critical, "DOWN dial timeout, rows 2m old".to_owned())));
    }

    #[test]
    fn stale_warns_later_and_connecting_never() {
        let stale = || ConnectionState::Stale { last: None, reason: "".into() };
        assert_eq!(after(0, stale(), 29), None);
        assert_eq!(after(0, stale(), 30).map(|f| f.0), Some(Severity::Warning));
        assert_eq!(after(0, ConnectionState::Connecting, 600), None);
    }
}
