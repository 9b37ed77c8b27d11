//! A container is at its CPU limit in bursts and far below it on average: its limit was set from averages.
//!
//! Left out: threads that can run at once, and the start (needs the runtime's metrics).

use super::measured::{BASE, Measured, USUAL, after, cores, held, percent, whole};
use crate::inspect::{Need, RuleInfo, Severity};
use crate::model::{Object, VerbId};

const FACTS: Measured = Measured {
    info: RuleInfo {
        id: "cpu-limit-below-burst",
        area: "runtime",
        burns: false,
        severity: Severity::Warning,
        scope: "container",
        summary: "In 6 hours the p99 of its CPU a minute was 80 % of its limit while it used less than 40 % on average",
        why: "Averages hide bursts; a limit set from average use guarantees throttling at the traffic peak.",
        needs: &[Need::Query("cpu-burst")],
        thresholds: &[after("30m")],
        links: &[
            "https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#requests-and-limits",
            "https://docs.kernel.org/scheduler/sched-bwc.html",
        ],
        ..BASE
    },
    queries: &["cpu-burst"],
    says: |seen| format!("bursts to {} of its CPU limit, below 40% on average", seen.value()),
    next: "Raise its CPU limit to twice its p99, or take the limit away where the policy allows that",
    more: |seen, finding| {
        let Some(object @ Object::Pod(pod)) = seen.object() else { return finding };
        let spec = pod.shape.containers.iter().find(|c| *c.name == *seen.label("container"));
        let Some(limit) = spec.and_then(|c| c.resources.cpu_limit_m) else { return finding };
        let peak = whole(seen.number() * limit as f64);
        let request = spec.and_then(|c| c.resources.cpu_request_m).unwrap_or(0);
        let on = super::controller(seen.judge, object);
        finding
            .with_all([
                ("p99 of a minute", format!("{} ({} of the limit)", cores(peak), percent(peak, limit))),
                ("limit", cores(limit)),
                ("request", format!("{} ({} of it at the p99)", cores(request), percent(peak, request))),
                ("of a period of 100 ms", format!("{} ms", limit / 10)),
            ])
            .act(VerbId::Resize, on, &[("container", seen.label("container")), ("limits", &format!("cpu={}m", peak * 2))])
    },
    ..USUAL
};

pub static RULE: RuleInfo = FACTS.rule(|judge| FACTS.judge(judge));

held!(1800);
