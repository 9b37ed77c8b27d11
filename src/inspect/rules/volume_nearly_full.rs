//! A volume is nearly full, will be within half a day, or waits to be made larger.
//!
//! Every claim is judged by how full its volume is; where claims are not seen, the fullest by what Prometheus tells. Bytes that would last for four days
//! and more at the rate of the last six hours are as they should be up to the critical limit; without that rate 85 % is told. Block devices, volumes that
//! are only read, and claims with the label `excluded_from_alerts=true` are left alone. Left out: a trend of inodes, and of seven days (Prometheus
//! often keeps less).

use super::later;
use super::measured::{BASE, Measured, USUAL, after};
use crate::inspect::{Judge, Need, RuleInfo, Severity, Threshold, Verdict};
use crate::model::{Claim, Kind, Measure, Object, Signal, Time, meta};

const AFTER: Threshold = after("5m");
const WARNING: Threshold = Threshold { name: "warning-from", default: "85%", doc: "of the bytes or inodes of a claim's volume" };
const CRITICAL: Threshold = Threshold { name: "critical-from", default: "97%", doc: "the same, for critical" };
const RESIZE: Threshold = Threshold { name: "resize-after", default: "15m", doc: "how long a resize may wait for the node" };

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "volume-nearly-full",
        area: "storage",
        scope: "persistentvolumeclaim",
        summary: "A volume is 85 % full for 5 minutes and will be full within 4 days at the rate of the last 6 hours, where that is measured, or its inodes are (critical from 97 % on); it is half full and will be full within 12 hours (critical); or a resize waits for 15 minutes",
        why: "Databases stop or corrupt when their volume fills.",
        kinds: &[Kind::Claim, Kind::Signal],
        needs: &[Need::Query("volume-use")],
        thresholds: &[AFTER, WARNING, CRITICAL, RESIZE],
        peers: &["k8s-mixin:KubePersistentVolumeFillingUp", "k8s-mixin:KubePersistentVolumeInodesFillingUp"],
        links: &[
            "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepersistentvolumefillingup/",
            "https://kubernetes.io/docs/concepts/storage/persistent-volumes/",
        ],
        ..BASE
    },
    queries: &["volume-use", "volume-inodes", "volume-fills"],
    level: |seen| {
        // A claim that is seen is judged itself.
        let judged =
            || matches!(seen.object(), Some(Object::Claim(c)) if seen.judge.cluster.claim_use(&c.meta.namespace, &c.meta.name).is_some());
        let left_alone = || matches!(seen.object(), Some(Object::Claim(c)) if left_alone(c));
        let lasts = || {
            let days = trend(seen.judge, &seen.signal.meta.namespace, seen.label("persistentvolumeclaim"));
            days.is_some_and(|at| at < 1.0)
        };
        match &*seen.signal.meta.name {
            "volume-fills" => seen.limits().filter(|_| !left_alone()),
            "volume-use" => seen.limits().filter(|s| !judged() && (*s == Severity::Critical || !lasts())),
            _ => seen.limits().filter(|_| !judged()),
        }
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

/// Nothing is written to it, or it is not for a file system, or somebody wants it left alone.
fn left_alone(c: &Claim) -> bool {
    let read = !c.access.is_empty() && c.access.iter().all(|a| &**a == "ReadOnlyMany");
    read || &*c.mode == "Block" || c.meta.labels.get("excluded_from_alerts") == Some("true")
}

/// How full a nearly full claim's volume will be in four days; none where that is not measured.
fn trend(judge: &Judge<'_>, namespace: &str, name: &str) -> Option<f64> {
    let of = |s: &Signal| *s.meta.namespace == *namespace && s.meta.labels.get("persistentvolumeclaim") == Some(name);
    let all = judge.cluster.objects(Kind::Signal).filter_map(|o| if let Object::Signal(s) = o { Some(&**s) } else { None });
    all.filter(|s| &*s.meta.name == "volume-days").find(|s| of(s))?.value
}

/// How often one looks again (seconds) at what the claim itself does not tell.
const AGAIN: i64 = 300;

/// The worst that a share is.
fn level(judge: &Judge<'_>, share: f64) -> Option<Severity> {
    let from = |t: &Threshold| share * 100.0 >= judge.value(t) as f64;
    [(&CRITICAL, Severity::Critical), (&WARNING, Severity::Warning)].into_iter().find(|(t, _)| from(t)).map(|(_, severity)| severity)
}

fn claim(judge: &Judge<'_>, c: &Claim) -> Verdict {
    if c.meta.deleting.is_some() || left_alone(c) {
        return Verdict::Fine;
    }
    let full = judge.cluster.claim_use(&c.meta.namespace, &c.meta.name).copied().unwrap_or_default();
    let shares = [("volume full", full.bytes), ("inodes used", full.inodes)];
    let mut over: Vec<_> = shares.into_iter().filter_map(|(what, share)| Some((level(judge, share?)?, what, share?))).collect();
    let days = if over.is_empty() { None } else { trend(judge, &c.meta.namespace, &c.meta.name) };
    let lasts = days.is_some_and(|at| at < 1.0);
    over.retain(|(severity, what, _)| *severity == Severity::Critical || *what == "inodes used" || !lasts);
    if let Some((severity, what, share)) = over.into_iter().max_by_key(|w| w.0) {
        let text = |share: Option<f64>| share.map_or_else(|| "not known".to_owned(), |s| Measure::Ratio.text(s));
        return super::until(judge.held_since_seen(judge.value(&AFTER)), || {
            let finding = judge
                .finding(severity, None, format!("{what}: {}", Measure::Ratio.text(share)))
                .with("bytes", text(full.bytes), None)
                .with("inodes", text(full.inodes), None)
                .with("bytes in 4 days, at the rate of the last 6h", text(days), None)
                .with("storage class", c.class.as_deref().unwrap_or("none"), None);
            (finding.then(FACTS.next), Some(later(judge, AGAIN)))
        });
    }
    let Some(waits) = meta::condition(&c.conditions, "FileSystemResizePending").filter(|w| w.status == crate::model::Tri::True) else {
        return if lasts { Verdict::LookAgain(later(judge, AGAIN)) } else { Verdict::Fine };
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
        assert_eq!(at(0.97, None, 300).map(|f| f.0), Some(Severity::Critical));
        assert_eq!(at(0.86, Some(0.98), 300), Some((Severity::Critical, "inodes used: 98%".into())));
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

    #[test]
    fn what_lasts_for_days_is_as_it_should_be() {
        let of = |bytes: f64, inodes: Option<f64>, days: f64| {
            let mut f = fleet(bytes, inodes);
            let labels = [("namespace", "pay"), ("persistentvolumeclaim", "data")];
            seen(&mut f, &RULE, "volume-days", &labels, days, 300);
            f.wait(300).severity(Kind::Claim, "data", RULE.id)
        };
        assert_eq!((of(0.9, None, 0.99), of(0.9, None, 1.0)), (None, Some(Severity::Warning)));
        assert_eq!((of(0.97, None, 0.97), of(0.9, Some(0.9), 0.9)), (Some(Severity::Critical), Some(Severity::Warning)));
    }

    #[test]
    fn what_is_only_read_or_excluded_is_left_alone() {
        let of = |labels: serde_json::Value, spec: serde_json::Value| {
            let mut f = fleet(0.99, None);
            f.put(Kind::Claim, [json!({"metadata": {"name": "data", "labels": labels}, "spec": spec, "status": {"phase": "Bound"}})]);
            f.wait(300).severity(Kind::Claim, "data", RULE.id)
        };
        assert_eq!(of(json!({}), json!({"accessModes": ["ReadWriteOnce"]})), Some(Severity::Critical));
        assert_eq!(of(json!({}), json!({"accessModes": ["ReadOnlyMany"]})), None);
        assert_eq!((of(json!({}), json!({"volumeMode": "Block"})), of(json!({"excluded_from_alerts": "true"}), json!({}))), (None, None));
    }
}
