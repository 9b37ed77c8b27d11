//! PodDisruptionBudgets.

use super::*;
use crate::model::{Amount, Pdb, Tri, meta};

reader!(pdb: Pdb);

fn amount<'a>(amount: Option<Amount>) -> Value<'a> {
    match amount {
        None => Value::None,
        Some(Amount::Count(n)) => Value::Json(n.into()),
        Some(n) => Value::Text(n.to_string().into()),
    }
}

/// Why no pod may go.
fn message(p: &Pdb) -> Option<Cow<'_, str>> {
    let failed =
        meta::condition(&p.conditions, "DisruptionAllowed").filter(|c| c.status == Tri::False && c.reason.as_deref() == Some("SyncFailed"));
    if let Some(c) = failed {
        return words(c).map(Into::into);
    }
    Some(match (p.allowed, p.expected) {
        (_, 0) => "selects no pods".into(),
        (1.., _) => return None,
        _ if p.healthy < p.desired => format!("only {} of the {} needed pods are healthy", p.healthy, p.desired).into(),
        _ if p.desired >= p.expected => format!("all {} pods are needed", p.expected).into(),
        _ => format!("{} healthy, {} needed", p.healthy, p.desired).into(),
    })
}

fn status(p: &Pdb) -> &str {
    match (p.expected, p.allowed) {
        (0, _) => "Empty",
        (_, 0) => "Blocks",
        _ => "Allows",
    }
}

pub(super) static COLUMNS: &[Column] = &[
    CLUSTER,
    KIND,
    NAMESPACE,
    NAME,
    col(
        "status",
        "STATUS",
        Unit::Text,
        |_, r| pdb(r, status),
        "Blocks (no disruption allowed, pods there), Allows, or Empty (`status.expectedPods` is 0)",
    )
    .width(6, 6)
    .leave(2)
    .tone(row_tone),
    col("disruptions_allowed", "ALLOWED", Unit::Number, |_, r| pdb(r, |p| p.allowed), "Pods that may go now: `status.disruptionsAllowed`")
        .leave(1)
        .tone(row_tone),
    col(
        "current_healthy",
        "HEALTHY",
        Unit::Ratio,
        |_, r| pdb(r, |p| Value::Ratio(p.healthy.into(), p.desired.into())),
        "Healthy pods of those needed: `status.currentHealthy` of `status.desiredHealthy`; JSON has the first",
    )
    .leave(3)
    .tone(ratio_tone),
    col("desired_healthy", "NEEDED", Unit::Number, |_, r| pdb(r, |p| p.desired), "`status.desiredHealthy`").hidden(),
    col("expected_pods", "PODS", Unit::Number, |_, r| pdb(r, |p| p.expected), "Pods that it covers: `status.expectedPods`").leave(6),
    col(
        "min_available",
        "MIN-AVAIL",
        Unit::Json,
        |_, r| pdb(r, |p| amount(p.min_available)),
        "`spec.minAvailable`, a number or a percentage",
    )
    .width(3, 11)
    .leave(20),
    col(
        "max_unavailable",
        "MAX-UNAVAIL",
        Unit::Json,
        |_, r| pdb(r, |p| amount(p.max_unavailable)),
        "`spec.maxUnavailable`, a number or a percentage",
    )
    .width(3, 11)
    .leave(21),
    col(
        "selector",
        "SELECTS",
        Unit::Text,
        |_, r| pdb(r, |p| p.selector.as_ref().map(ToString::to_string)),
        "`spec.selector` as kubectl writes selectors; none selects nothing",
    )
    .leave(30),
    FINDINGS,
    AGE,
    col(
        "message",
        "WHY",
        Unit::Text,
        |_, r| pdb(r, message),
        "Why it blocks: the condition's message when the controller failed, else from expected, healthy and needed pods",
    )
    .width(10, 60)
    .leave(10),
    col("unhealthy_policy", "UNHEALTHY", Unit::Text, |_, r| pdb(r, |p| p.unhealthy_policy.as_ref()), "`spec.unhealthyPodEvictionPolicy`")
        .wide()
        .leave(50),
    col("conditions", "CONDITIONS", Unit::List, |_, r| pdb(r, |p| conditions(&p.conditions)), "`status.conditions` as type=status")
        .hidden(),
    OWNER.hidden(),
    LABELS,
    DELETED,
];
