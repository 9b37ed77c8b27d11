//! What Prometheus measures.

use super::*;
use crate::model::Signal;

fn signal<'a, V: Into<Value<'a>>>(r: Row<'a>, f: impl FnOnce(&'a Signal) -> V) -> Value<'a> {
    match r.object() {
        Some(Object::Signal(s)) => f(s).into(),
        _ => Value::None,
    }
}

/// The course in thousandths of its highest point.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1000")]
fn trend(s: &Signal) -> Option<Value<'_>> {
    let top = s.course.iter().copied().fold(0.0, f64::max);
    let point = |v: &f64| if top > 0.0 { (v.max(0.0) / top * 1000.0) as u32 } else { 0 };
    (s.course.len() > 1).then(|| Value::Trend(s.course.iter().map(point).collect()))
}

fn number(value: Option<f64>) -> Option<Value<'static>> {
    value.and_then(serde_json::Number::from_f64).map(|n| Value::Json(n.into()))
}

fn limit<'a>(s: &Signal, limit: Option<f64>) -> Option<Value<'a>> {
    limit.map(|l| Value::Text(s.measure.text(l).into()))
}

pub(super) static COLUMNS: &[Column] = &[
    CLUSTER,
    KIND,
    NAMESPACE.wide().leave(50),
    Column { title: "QUERY", doc: "The query's name", ..NAME }.wide().leave(53),
    col("area", "AREA", Unit::Text, |_, r| signal(r, |s| &s.area), "What it is about: the query's `area`").width(4, 12).leave(5),
    col("title", "SIGNAL", Unit::Text, |_, r| signal(r, |s| &s.title), "What is measured: the query's `title`").width(12, 34).leave(0),
    col(
        "of",
        "OF",
        Unit::Text,
        |_, r| signal(r, |s| Value::Text(s.of_what().into())),
        "Which one, by the labels of its series; empty where the query told nothing or one number",
    )
    .width(8, 60)
    .leave(1),
    col(
        "reads",
        "VALUE",
        Unit::Text,
        |_, r| signal(r, |s| s.value.map(|v| Value::Text(s.measure.text(v).into()))),
        "The number now, for people",
    )
    .width(5, 10)
    .leave(0)
    .tone(row_tone),
    col("course", "30M", Unit::Trend, |_, r| signal(r, trend), "Its last half hour, in thousandths of the highest point").leave(3),
    col(
        "status",
        "STATUS",
        Unit::Text,
        |_, r| signal(r, |s| s.state.word()),
        "ok, warning, critical (by the query's limits), nothing (asked, and there is none), no-data (its metric is not there) or failing",
    )
    .width(2, 8)
    .leave(2)
    .tone(row_tone),
    col("warns_at", "WARN", Unit::Text, |_, r| signal(r, |s| limit(s, s.warning)), "From when on it is a warning").wide().leave(51),
    col("critical_at", "CRIT", Unit::Text, |_, r| signal(r, |s| limit(s, s.critical)), "From when on it is critical").wide().leave(52),
    col("message", "WHY", Unit::Text, |_, r| signal(r, |s| s.why.as_ref()), "What is missing, or why the query was refused")
        .width(6, 60)
        .leave(4),
    col("measure", "UNIT", Unit::Text, |_, r| signal(r, |s| s.measure.name()), "What `value` is in: the query's `measure`").hidden(),
    col("value", "NUMBER", Unit::Json, |_, r| signal(r, |s| number(s.value)), "The number now, in the measure's unit").hidden(),
    LABELS,
];
