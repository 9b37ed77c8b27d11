//! A Job that failed, or that runs far too long.
//!
//! A failed run of a CronJob is over once a later run succeeded. What is usual is judged by the runs of its CronJob that are kept. Left out:
//! finished Jobs without a TTL (not projected), and acknowledgement (silencing a finding is that).

use crate::inspect::{Judge, RuleInfo, Severity, Threshold, Verdict, age};
use crate::model::{Kind, Object, Tri, VerbId, Workload, WorkloadDetail};

const LONG: Threshold = Threshold { name: "running-for", default: "12h", doc: "how long a Job may be active" };
const USUAL: Threshold =
    Threshold { name: "times-usual", default: "3", doc: "times the median of its CronJob's kept runs that it may be active" };
/// So many runs say what is usual; what takes no longer than this is never too long (seconds).
const RUNS: usize = 3;
const QUICK: i64 = 600;

pub static RULE: RuleInfo = RuleInfo {
    id: "job-failed",
    area: "availability",
    tier: 2,
    burns: true,
    severity: Severity::Warning,
    scope: "job, rolled up to its CronJob",
    summary: "A Job has failed, or is active for more than 12 hours, or three times as long as its CronJob's runs usually are",
    why: "Batch failures do not page anyone and finished Jobs pile up as objects in etcd.",
    kinds: &[Kind::Job],
    needs: &[crate::inspect::Need::Running],
    leans_on: &[],
    thresholds: &[LONG, USUAL],
    peers: &["k8s-mixin:KubeJobFailed", "k8s-mixin:KubeJobNotCompleted", "kube-linter:job-ttl-seconds-after-finished"],
    links: &[
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubejobfailed/",
        "https://kubernetes.io/docs/concepts/workloads/controllers/job/",
    ],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(object @ Object::Workload(job)) = judge.object else { return Verdict::Fine };
    let WorkloadDetail::Job { failed, active, backoff_limit, started, suspended, .. } = &job.detail else { return Verdict::Fine };
    if job.meta.deleting.is_some() {
        return Verdict::Fine;
    }
    if let Some(c) = job.condition("Failed").filter(|c| c.status == Tri::True) {
        if let Object::Workload(top) = judge.cluster.workload_of(object)
            && let WorkloadDetail::CronJob { last_success: Some(success), .. } = top.detail
            && c.since.is_some_and(|failed| success >= failed)
        {
            return Verdict::Fine;
        }
        let reason = c.reason.as_deref().unwrap_or("no reason given");
        let finding = judge
            .finding(Severity::Warning, c.since, format!("failed: {reason}"))
            .with("reason", reason, c.since)
            .with("message", c.message.as_deref().unwrap_or(""), c.since)
            .with("failed pods / limit", format!("{failed} / {backoff_limit}"), None);
        return Verdict::Burning(
            finding.then("Read the last pod's log; run it again from its owner's template").here(VerbId::RetryJob, &[]),
        );
    }
    let Some(started) = started.filter(|_| *active > 0 && !suspended) else { return Verdict::Fine };
    let usual = usual(judge, job);
    let long = judge.value(&LONG).min(usual.map_or(i64::MAX, |u| u.saturating_mul(judge.value(&USUAL)).max(QUICK)));
    super::after(judge.held(started.secs(), long), || {
        let finding = judge.finding(Severity::Warning, Some(started), format!("active for more than {}", age(long)));
        finding
            .with("usually", usual.map_or_else(|| "not known".to_owned(), age), None)
            .with("active pods", active.to_string(), Some(started))
            .then("Read its log: does it still do something? A deadline (activeDeadlineSeconds) would end it")
    })
}

/// How long the runs of its CronJob take that succeeded and are kept: the median, seconds.
fn usual(judge: &Judge<'_>, job: &Workload) -> Option<i64> {
    let owner = job.meta.owner.as_deref().filter(|o| &*o.kind == Kind::CronJob.name())?;
    let took = |o: &Object| match o {
        Object::Workload(w) => match &w.detail {
            WorkloadDetail::Job { started: Some(from), ended: Some(to), succeeded: 1.., .. } => Some(to.secs() - from.secs()),
            _ => None,
        },
        _ => None,
    };
    let mut all: Vec<i64> = judge.index.owned(judge.cluster, owner.uid).filter_map(took).collect();
    all.sort_unstable();
    (all.len() >= RUNS).then(|| all[all.len() / 2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ago, judged, owned};
    use serde_json::{Value, json};

    fn job(conditions: Value, active: i32, started: i64) -> Value {
        json!({"metadata": owned("j", Kind::CronJob, "cron"), "spec": {}, "status": {"active": active, "failed": 7, "startTime": ago(started), "conditions": conditions}})
    }

    fn failed() -> Value {
        job(json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "lastTransitionTime": ago(600)}]), 0, 900)
    }

    #[test]
    fn failed_or_active_for_twelve_hours() {
        assert_eq!(judged(Kind::Job, failed(), "job-failed"), Some(Severity::Warning));
        assert_eq!(judged(Kind::Job, job(json!([{"type": "Complete", "status": "True"}]), 0, 90_000), "job-failed"), None);
        assert_eq!(judged(Kind::Job, job(json!([]), 1, 43_199), "job-failed"), None);
        assert_eq!(judged(Kind::Job, job(json!([]), 1, 43_200), "job-failed"), Some(Severity::Warning));
    }

    #[test]
    fn a_later_success_of_the_cronjob_ends_it() {
        let cron = |success: i64| json!({"metadata": {"name": "cron"}, "spec": {"schedule": "* * * * *"}, "status": {"lastSuccessfulTime": ago(success)}});
        let mut fleet = Fleet::default();
        fleet.put(Kind::CronJob, [cron(601)]).put(Kind::Job, [failed()]);
        assert_eq!(
            fleet.lines().iter().map(|l| (l.title.as_str(), l.message.as_str())).collect::<Vec<_>>(),
            [("pay/cron", "failed: BackoffLimitExceeded")]
        );
        fleet.put(Kind::CronJob, [cron(60)]);
        assert!(fleet.lines().is_empty());
    }

    #[test]
    fn three_times_as_long_as_usual() {
        let of = |runs: usize, active: i64| {
            let mut fleet = Fleet::default();
            let done = (0..runs).map(|n| {
                let mut j = job(json!([{"type": "Complete", "status": "True"}]), 0, 90_000);
                j["metadata"]["name"] = json!(format!("done-{n}"));
                j["status"]["succeeded"] = json!(1);
                j["status"]["completionTime"] = json!(ago(90_000 - 600));
                j
            });
            fleet.put(Kind::Job, done.chain([job(json!([]), 1, active)]));
            fleet.finding(Kind::Job, "j", RULE.id).map(|f| f.message.clone())
        };
        assert_eq!(of(3, 1800).as_deref(), Some("active for more than 30m"));
        assert_eq!((of(3, 1799), of(2, 1800)), (None, None));
    }
}
