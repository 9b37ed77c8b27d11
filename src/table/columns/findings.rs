//! Findings: what the rules say.

use super::*;
use crate::model::{Explains, FindingRow};
use serde_json::json;

fn finding<'a, V: Into<Value<'a>>>(r: Row<'a>, f: impl FnOnce(&'a FindingRow) -> V) -> Value<'a> {
    match r.object() {
        Some(Object::Finding(o)) => f(o).into(),
        _ => Value::None,
    }
}

fn object(f: &FindingRow) -> Option<Cow<'_, str>> {
    f.about.as_ref().map(|o| reference(o.kind.name(), &o.name))
}

fn workload(f: &FindingRow) -> Option<Cow<'_, str>> {
    f.top.as_ref().map(|o| reference(o.kind.name(), &o.name))
}

fn explained<'a>(r: Row<'a>, of: impl Fn(&Explains) -> u32) -> Value<'a> {
    finding(r, |f| f.explains.as_ref().map(|e| i64::from(of(e))))
}

fn cause(r: Row<'_>) -> Value<'_> {
    match r {
        Row::Object(c, Object::Finding(f)) => match &f.cause {
            Some(cause) => Cow::<str>::Owned(format!("{} {cause}", c.info.name)).into(),
            None => (&f.meta.name).into(),
        },
        _ => Value::None,
    }
}

fn evidence(f: &FindingRow) -> Value<'_> {
    let all = f.evidence.iter().map(|e| json!({"what": e.what, "value": e.value, "at": e.at.map(|t| t.rfc3339())}));
    Value::Json(all.collect::<serde_json::Value>())
}

pub(super) static COLUMNS: &[Column] = &[
    CLUSTER,
    KIND,
    NAMESPACE.leave(6),
    Column { title: "RULE", doc: "The rule that found it", ..NAME },
    col("severity", "SEVERITY", Unit::Text, |_, r| finding(r, |f| f.severity.word()), "critical, warning or info")
        .width(4, 8)
        .leave(35)
        .tone(row_tone),
    col(
        "status",
        "STATE",
        Unit::Text,
        |_, r| finding(r, |f| f.state.word()),
        "open, flapping (it began three times or more within the last hour), suppressed, or resolved (within the last hour)",
    )
    .width(4, 10)
    .wide()
    .leave(30),
    col("object", "OBJECT", Unit::Reference, |_, r| finding(r, object), "What it is attached to, as Kind/name; none is the cluster")
        .width(8, 44)
        .leave(1),
    col("message", "WHAT", Unit::Text, |_, r| finding(r, |f| &f.message), "What is wrong, in short").width(12, 90).leave(3),
    col(
        "since_age_s",
        "SINCE",
        Unit::Seconds,
        |_, r| finding(r, |f| f.since.map(Value::Age)),
        "Since when it is so, from the object's own times",
    )
    .leave(4),
    col("first_seen_age_s", "SEEN", Unit::Seconds, |_, r| finding(r, |f| f.meta.created.map(Value::Age)), "Since it was first seen here")
        .wide()
        .leave(31),
    col("workload", "WORKLOAD", Unit::Reference, |_, r| finding(r, workload), "The workload that its object belongs to, as Kind/name")
        .width(8, 40)
        .wide()
        .leave(32),
    col(
        "cause",
        "CAUSE",
        Unit::Text,
        |_, r| cause(r),
        "What explains it: the cluster, the object and the rule of the probable cause; of what no other finding explains, the rule",
    )
    .width(8, 44)
    .wide()
    .leave(34),
    col(
        "explains",
        "EXPLAINS",
        Unit::Text,
        |_, r| finding(r, |f| f.explains.as_ref().map(|e| e.words())),
        "What a probable cause explains",
    )
    .width(8, 44)
    .wide()
    .leave(36),
    col("area", "AREA", Unit::Text, |_, r| finding(r, |f| &f.area), "The rule's area").width(4, 13).wide().leave(20),
    col("tier", "TIER", Unit::Number, |_, r| finding(r, |f| i64::from(f.tier)), "The rule's tier: 1 wakes people, 3 is for depth").hidden(),
    col(
        "remedy",
        "FIX",
        Unit::Text,
        |_, r| finding(r, |f| f.remedy.as_ref().map(|r| Cow::Owned(r.words()))),
        "What a key can do about it: the verb, its object and what it is given",
    )
    .width(6, 40)
    .wide()
    .leave(33),
    col("next_step", "NEXT", Unit::Text, |_, r| finding(r, |f| &f.next_step), "What to do, in words").width(10, 90).wide().leave(40),
    col("explains_findings", "EXPLAINED", Unit::Number, |_, r| explained(r, |e| e.findings), "Findings that a probable cause explains")
        .hidden(),
    col("explains_alerts", "ALERTS", Unit::Number, |_, r| explained(r, |e| e.alerts), "Firing alerts that it explains").hidden(),
    col("explains_workloads", "WORKLOADS", Unit::Number, |_, r| explained(r, |e| e.workloads), "Workloads that it touches").hidden(),
    col("begun", "BEGUN", Unit::Number, |_, r| finding(r, |f| i64::from(f.begun)), "How often it began within the last hour").hidden(),
    col("suppressed", "SUPPRESSED", Unit::Text, |_, r| finding(r, |f| f.suppressed.as_ref()), "Why it may be, and until when")
        .wide()
        .leave(41),
    col("evidence", "EVIDENCE", Unit::Json, |_, r| finding(r, evidence), "What it rests on: fields, values and times").hidden(),
    col("open", "OPEN", Unit::Bool, |_, r| finding(r, FindingRow::open), "Whether somebody should look").hidden(),
    Column { doc: "The labels of its object", ..LABELS },
];
