//! HorizontalPodAutoscalers.

use super::super::bad::is_true;
use super::*;
use crate::model::{Hpa, HpaMetric, Tri, meta};

reader!(hpa: Hpa);

/// `Unable` to scale, `Blind` (no metric), `Off` (scaled to nothing), `AtMax`, `Scaling`, `Steady`.
pub fn status(h: &Hpa) -> &str {
    let is_false = |kind: &str| meta::condition(&h.conditions, kind).filter(|c| c.status == Tri::False);
    let inactive = is_false("ScalingActive");
    if is_false("AbleToScale").is_some() {
        "Unable"
    } else if inactive.is_some_and(|c| c.reason.as_deref() == Some("ScalingDisabled")) {
        "Off"
    } else if inactive.is_some() {
        "Blind"
    } else if h.at_max() {
        "AtMax"
    } else if h.current != h.desired {
        "Scaling"
    } else {
        "Steady"
    }
}

/// `cpu 143/80%`, `?` for what cannot be read.
fn metric<'a>(m: &HpaMetric) -> Cow<'a, str> {
    let number = |n: Option<i64>| match n {
        None => "?".to_owned(),
        Some(n) if m.percent => n.to_string(),
        Some(n) if &*m.name == "memory" => Value::Bytes(n / 1000).text(0),
        Some(n) => Value::Millicores(n).text(0),
    };
    format!("{} {}/{}{}", m.name, number(m.current), number(m.target), if m.percent { "%" } else { "" }).into()
}

fn metrics(h: &Hpa) -> Value<'_> {
    let item = |m: &HpaMetric| {
        let unit = if m.percent { "percent" } else { "m" };
        let mut map = serde_json::Map::new();
        map.insert("name".into(), (&*m.name).into());
        map.insert("source".into(), (&*m.source).into());
        map.insert(format!("current_{unit}"), m.current.into());
        map.insert(format!("target_{unit}"), m.target.into());
        serde_json::Value::Object(map)
    };
    Value::Json(h.metrics.iter().map(item).collect())
}

fn message(h: &Hpa) -> Option<&str> {
    let failing = |kind: &str| meta::condition(&h.conditions, kind).filter(|c| c.status == Tri::False);
    let limited = || meta::condition(&h.conditions, "ScalingLimited").filter(|c| c.status == Tri::True);
    failing("AbleToScale").or_else(|| failing("ScalingActive")).or_else(limited).and_then(words)
}

fn targets_tone(_: &Ctx<'_>, r: Row<'_>, _: &Value<'_>) -> Tone {
    let over = |m: &HpaMetric| m.current.zip(m.target).is_some_and(|(c, t)| c > t);
    match r.object() {
        Some(Object::Hpa(h)) if h.metrics.iter().any(over) => Tone::Info,
        _ => Tone::Plain,
    }
}

fn replicas_tone(_: &Ctx<'_>, r: Row<'_>, _: &Value<'_>) -> Tone {
    match r.object() {
        Some(Object::Hpa(h)) if h.at_max() => Tone::Warning,
        _ => Tone::Plain,
    }
}

pub(super) static COLUMNS: &[Column] = &[
    CLUSTER,
    KIND,
    NAMESPACE,
    NAME,
    col("target", "TARGET", Unit::Reference, |_, r| hpa(r, |h| reference(&h.target_kind, &h.target_name)), "What it scales: `spec.scaleTargetRef` as Kind/name").leave(20),
    col("status", "STATUS", Unit::Text, |_, r| hpa(r, status), "Unable (AbleToScale False), Off (ScalingActive False, ScalingDisabled), Blind (ScalingActive False), AtMax, Scaling (current is not desired) or Steady").width(5, 8).leave(2).tone(row_tone),
    col("current_replicas", "REPLICAS", Unit::Ratio, |_, r| hpa(r, |h| Value::Ratio(h.current.into(), h.max.into())), "Pods now of the most: `status.currentReplicas` of `spec.maxReplicas`; JSON has the first").leave(1).tone(replicas_tone),
    col("desired_replicas", "DESIRED", Unit::Number, |_, r| hpa(r, |h| h.desired), "`status.desiredReplicas`").leave(30),
    col("min_replicas", "MIN", Unit::Number, |_, r| hpa(r, |h| h.min), "`spec.minReplicas`, 1 when absent").leave(31),
    col("max_replicas", "MAX", Unit::Number, |_, r| hpa(r, |h| h.max), "`spec.maxReplicas`").leave(32),
    col("at_max", "AT-MAX", Unit::Bool, |_, r| hpa(r, Hpa::at_max), "At the maximum and not pinned there: current >= max and max > min").hidden(),
    col("targets", "TARGETS", Unit::List, |_, r| hpa(r, |h| list(h.metrics.iter().map(metric))), "Each metric, current/target: `status.currentMetrics`, `spec.metrics`; memory in bytes, other amounts as quantities").width(10, 48).leave(3).tone(targets_tone),
    col("last_scale_age_s", "SCALED", Unit::Seconds, |_, r| hpa(r, |h| h.last_scale.map(Value::Age)), "Since it last scaled: now less `status.lastScaleTime`").leave(10),
    col("limited", "LIMITED", Unit::Bool, |_, r| hpa(r, |h| is_true(&h.conditions, "ScalingLimited")), "It would go beyond its bounds: condition ScalingLimited").wide().leave(45),
    FINDINGS,
    AGE,
    col("message", "MESSAGE", Unit::Text, |_, r| hpa(r, message), "Message, else reason, of AbleToScale or ScalingActive while False, else of ScalingLimited while True").width(10, 80).wide().leave(70),
    col("conditions", "CONDITIONS", Unit::List, |_, r| hpa(r, |h| conditions(&h.conditions)), "`status.conditions` as type=status").wide().leave(65),
    col("metrics", "METRICS", Unit::Json, |_, r| hpa(r, metrics), "Each metric: name, source, current_ and target_, percent of the request or thousandths of the unit").hidden(),
    OWNER.hidden(),
    LABELS,
    DELETED,
];
