//! A volume is nearly full, will be within half a day, or waits to be made larger.
//!
//! Every claim is judged by how full its volume is; where claims are not seen, the fullest by what Prometheus tells. Left out: a trend of days, without
//! which 85 % may be as it should be, and volumes that are excluded by a label.

use super::later;
use super::measured::{BASE, Measured, USUAL, after};
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Claim, Kind, Measure, Object, Time, meta};

const AFTER: Threshold = after("5m");
const WARNING: Threshold = Threshold { name: "warning-from", default: "85%", doc: "of the bytes or inodes of a claim's volume" };
const CRITICAL: Threshold = Threshold { name: "critical-from", default: "95%", doc: "the same, for critical" };
const RESIZE: Threshold = Threshold { name: "resize-after", default: "15m", doc: "how long a resize may wait for the node" };

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "volume-nearly-full",
        area: "storage",
        scope: "persistentvolumeclaim",
        summary: "A volume or its inodes are 85 % full for 5 minutes (critical from 95 % on), it is half full and will be full within 12 hours at the rate of the last 6 (critical), or a resize waits for 15 minutes",
        why: "Databases stop or corrupt when their volume fills.",
        kinds: &[Kind::Claim, Kind::Signal],
        needs: &[Need::Query("volume-use")],
        thresholds: &[AFTER, WARNING, CRITICAL, RESIZE],
        peers: &["k8s-mixin:KubePersistentVolumeFillingUp", "k8s-mixin:KubePersistentVolumeInodesFillingUp"],
        ..BASE
    },
    queries: &["volume-use", "volume-inodes", "volume-fills"],
    level: |seen| {
        // A claim that is seen is judged itself.
        let judged =
            || matches!(seen.object(), Some(Object::Claim(c)) if seen.judge.cluster.claim_use(&c.meta.namespace, &c.meta.name).is_some());
        seen.limits().filter(|_| &*seen.signal.meta.name == "volume-fills" || !judged())
    },
    says: |seen| match &*seen.signal.meta.name {
        "volume-fills" => "full within 12h at the rate of the last 6h".to_owned(),
        _ => format!("{}: {}", seen.signal.title, seen.value()),
    },
    next: "Back up first; then make the claim larger (its class must allow it), or make room",
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| match judge.object {
    Some(Object::Claim(c)) => claim(judge, c),
    _ => FACTS.judge(judge),
});

/// How often one looks again (seconds) at what the claim itself does not tell.
const AGAIN: i64 = 300;

/// The worst that a share is.
fn level(judge: &Judge<'_>, share: f64) -> Option<Severity> {
    let from = |t: &Threshold| share * 100.0 >= judge.value(t) as f64;
    [(&CRITICAL, Severity::Critical), (&WARNING, Severity::Warning)].into_iter().find(|(t, _)| from(t)).map(|(_, severity)| severity)
}

fn claim(judge: &Judge<'_>, c: &Claim) -> Verdict {
    if c.meta.deleting.is_some() {
        return Verdict::Fine;
    }
    let full = judge.cluster.claim_use(&c.meta.namespace, &c.meta.name).copied().unwrap_or_default();
    let shares = [("volume full", full.bytes), ("inodes used", full.inodes)];
    let worst = shares.into_iter().filter_map(|(what, share)| Some((level(judge, share?)?, what, share?))).max_by_key(|w| w.0);
    if let Some((severity, what, share)) = worst {
        let text = |share: Option<f64>| share.map_or_else(|| "not known".to_owned(), |s| Measure::Ratio.text(s));
        return super::until(judge.held_since_seen(judge.value(&AFTER)), || {
            let finding = judge
                .finding(severity, None, format!("{what}: {}", Measure::Ratio.text(share)))
                .with("bytes", text(full.bytes), None)
                .with("inodes", text(full.inodes), None)
                .with("storage class", c.class.as_deref().unwrap_or("none"), None);
            (finding.then(FACTS.next), Some(later(judge, AGAIN)))
        });
    }
    let Some(waits) = meta::condition(&c.conditions, "FileSystemResizePending").filter(|w| w.status == crate::model::Tri::True) else {
        return Verdict::Fine;
    };
    let began = waits.since.or(c.meta.created).map_or(judge.now, Time::secs);
    super::after(judge.held(began, judge.value(&RESIZE)), || {
        let finding = judge.finding(Severity::Warning, waits.since, "a resize waits for the node".to_owned());
        let finding = finding.with("condition", waits.message.as_deref().unwrap_or("FileSystemResizePending"), waits.since);
        finding.then("Let the pod that mounts it start anew: the kubelet then makes the file system larger, where it cannot do so while it is mounted")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago};
    use crate::inspect::rules::measured::tests::{holds, seen};
    use crate::model::{ClaimRow, ClaimUse, Delta};
    use serde_json::json;

    #[test]
    fn by_what_prometheus_tells_of_claims_that_are_not_seen() {
        holds(&RULE, &FACTS, 300);
    }

    fn fleet(bytes: f64, inodes: Option<f64>) -> Fleet {
        let mut f = Fleet::default();
        f.put(Kind::Claim, [json!({"metadata": {"name": "data", "creationTimestamp": ago(9000)}, "status": {"phase": "Bound"}})]);
        let row = ClaimRow { namespace: "pay".into(), name: "data".into(), full: ClaimUse { bytes: Some(bytes), inodes } };
        f.delta(0, Delta::ClaimUse(vec![row]));
        f
    }

    fn at(bytes: f64, inodes: Option<f64>, wait: i64) -> Option<(Severity, String)> {
        let mut f = fleet(bytes, inodes);
        f.wait(wait);
        f.finding(Kind::Claim, "data", RULE.id).map(|f| (f.severity, f.message.clone()))
    }

    #[test]
    fn every_claim_by_its_bytes_and_inodes() {
        assert_eq!(at(0.85, None, 300), Some((Severity::Warning, "volume full: 85%".into())));
        assert_eq!((at(0.85, None, 299), at(0.849, Some(0.84), 300)), (None, None));
        assert_eq!(at(0.95, None, 300).map(|f| f.0), Some(Severity::Critical));
        assert_eq!(at(0.86, Some(0.96), 300), Some((Severity::Critical, "inodes used: 96%".into())));
    }

    #[test]
    fn a_claim_is_found_once_and_is_gone_with_room() {
        let mut f = fleet(0.9, None);
        let labels = [("namespace", "pay"), ("persistentvolumeclaim", "data")];
        assert!(seen(&mut f, &RULE, "volume-use", &labels, 0.9, 300).is_none(), "the claim tells it");
        assert!(f.finding(Kind::Claim, "data", RULE.id).is_some());
        let row = ClaimRow { namespace: "pay".into(), name: "data".into(), full: ClaimUse { bytes: Some(0.5), inodes: None } };
        f.delta(0, Delta::ClaimUse(vec![row]));
        assert!(f.finding(Kind::Claim, "data", RULE.id).is_none());
        let fills = seen(&mut f, &RULE, "volume-fills", &labels, 1.0, 300).unwrap();
        assert_eq!((fills.severity, fills.about.map(|o| o.name.to_string())), (Severity::Critical, Some("data".to_owned())));
    }

    #[test]
    fn a_resize_that_waits() {
        let of = |since: i64| {
            let mut f = Fleet::default();
            let waits = json!([{"type": "FileSystemResizePending", "status": "True", "lastTransitionTime": ago(since)}]);
            f.put(Kind::Claim, [json!({"metadata": {"name": "data"}, "status": {"phase": "Bound", "conditions": waits}})]);
            f.severity(Kind::Claim, "data", RULE.id)
        };
        assert_eq!((of(900), of(899)), (Some(Severity::Warning), None));
    }
}
