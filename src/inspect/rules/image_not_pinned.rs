//! Images that may be other ones tomorrow.

use crate::inspect::{Judge, RuleInfo, Severity, Verdict, core};
use crate::model::{Kind, Object};

pub static RULE: RuleInfo = RuleInfo {
    id: "image-not-pinned",
    area: "release",
    tier: 2,
    burns: false,
    severity: Severity::Critical,
    scope: "workload, by container",
    summary: "An image has no tag or the tag latest; critical for core workloads, whose tags without a digest are worth knowing",
    why: "The same manifest can start different code on different nodes or days, so rollback and audit lose meaning.",
    kinds: &[Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::CronJob],
    needs: &[],
    leans_on: &[],
    thresholds: &[],
    peers: &["popeye:100", "popeye:101", "kube-score:container-image-tag", "polaris:tagNotSpecified", "kube-linter:latest-tag"],
    links: &["https://kubernetes.io/docs/concepts/containers/images/"],
    judge,
};

/// How an image is named: by digest, by a tag that means one version, or by one that does not.
#[derive(PartialEq, PartialOrd, Clone, Copy, Debug)]
enum Named {
    Digest,
    Tag,
    Anything,
}

fn named(image: &str) -> Named {
    if image.contains('@') {
        return Named::Digest;
    }
    // A registry's port has a colon too.
    match image.rsplit('/').next().and_then(|last| last.split_once(':')) {
        None | Some((_, "" | "latest")) => Named::Anything,
        Some(_) => Named::Tag,
    }
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(object @ Object::Workload(w)) = judge.object else { return Verdict::Fine };
    if w.meta.owner.is_some() || w.meta.deleting.is_some() {
        return Verdict::Fine;
    }
    let core = core(object);
    let worst = if core { Named::Tag } else { Named::Anything };
    let all = w.shape.containers.iter().chain(&w.shape.init).map(|c| (c, named(&c.image))).filter(|(_, n)| *n >= worst);
    let mut bad: Vec<_> = all.collect();
    let loose = bad.iter().any(|(_, n)| *n == Named::Anything);
    if loose {
        bad.retain(|(_, n)| *n == Named::Anything);
    }
    let Some((first, _)) = bad.first() else { return Verdict::Fine };
    let severity = match (loose, core) {
        (true, true) => Severity::Critical,
        (true, false) => Severity::Warning,
        (false, _) => Severity::Info,
    };
    let what = if loose { "has no tag of its own" } else { "has a tag and no digest" };
    let mut finding = judge.finding(severity, w.meta.created, format!("image {} {what}", first.image));
    for (c, _) in &bad {
        finding = finding.with(&c.name, &*c.image, None);
    }
    super::lint::settle(judge, &w.meta, finding.then("Name the version that runs now: its tag, or better its digest"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, deployment};
    use serde_json::json;

    fn at(image: &str, core: bool) -> Option<Severity> {
        let mut fleet = Fleet::default();
        let mut d = deployment("web", 2, 2);
        d["spec"]["template"]["spec"]["containers"] = json!([{"name": "app", "image": image}]);
        if core {
            d["metadata"]["labels"] = json!({"tier": "core"});
        }
        fleet.put(Kind::Deployment, [d]);
        fleet.severity(Kind::Deployment, "web", RULE.id)
    }

    #[test]
    fn no_tag_latest_tag_and_digest() {
        for (image, plain, core) in [
            ("reg.internal:5000/app", Some(Severity::Warning), Some(Severity::Critical)),
            ("app:latest", Some(Severity::Warning), Some(Severity::Critical)),
            ("reg.internal:5000/app:1.9", None, Some(Severity::Info)),
            ("app:1.9@sha256:0a1b", None, None),
            ("app@sha256:0a1b", None, None),
        ] {
            assert_eq!((at(image, false), at(image, true)), (plain, core), "{image}");
        }
    }
}
