//! HorizontalPodAutoscalers.

use super::{Condition, Interner, Meta, Str, Time, time, wire};

/// One metric: what is wanted and what is.
#[derive(Clone, PartialEq, Debug)]
pub struct HpaMetric {
    /// `cpu`, `memory`, or the metric's name.
    pub name: Str,
    /// `Resource`, `ContainerResource`, `Pods`, `Object`, `External`.
    pub source: Str,
    /// Utilization in percent of the request, when that is the target.
    pub percent: bool,
    /// Percent, or thousandths of the metric's unit.
    pub target: Option<i64>,
    /// In the target's unit; none while the metric cannot be read.
    pub current: Option<i64>,
}

/// A HorizontalPodAutoscaler (autoscaling/v2).
#[derive(Clone, PartialEq, Debug)]
pub struct Hpa {
    pub meta: Meta,
    pub target_kind: Str,
    pub target_name: Str,
    pub min: i32,
    pub max: i32,
    pub current: i32,
    pub desired: i32,
    pub last_scale: Option<Time>,
    pub metrics: Box<[HpaMetric]>,
    pub conditions: Box<[Condition]>,
}

/// A value as (percent, number in thousandths).
fn value(percent: Option<i32>, quantities: [Option<&wire::Quantity>; 2], want_percent: bool) -> Option<i64> {
    if want_percent {
        return percent.map(i64::from);
    }
    quantities.into_iter().flatten().find_map(|q| super::quantity::milli(&q.text))
}

impl Hpa {
    /// Projects the wire's object.
    pub fn of(o: &wire::HorizontalPodAutoscaler, i: &mut Interner) -> Self {
        let (spec, status) = (o.spec.clone().unwrap_or_default(), o.status.clone().unwrap_or_default());
        let target = spec.scale_target_ref.unwrap_or_default();
        let metrics = spec.metrics.iter().enumerate().map(|(at, m)| {
            let (name, wanted) = named_target(m);
            let percent = wanted.is_some_and(|t| t.r#type == "Utilization");
            // The controller writes currentMetrics in the order of spec.metrics, an empty entry where it could not read one.
            let current = status.current_metrics.get(at).filter(|c| c.r#type == m.r#type).and_then(current_of);
            HpaMetric {
                name: i.str(name),
                source: i.str(&m.r#type),
                percent,
                target: wanted.and_then(|t| value(t.average_utilization, [t.average_value.as_ref(), t.value.as_ref()], percent)),
                current: current.and_then(|c| value(c.average_utilization, [c.average_value.as_ref(), c.value.as_ref()], percent)),
            }
        });
        let metrics = metrics.collect();
        Self {
            meta: Meta::of(o.metadata.as_ref(), i),
            target_kind: i.str(&target.kind),
            target_name: i.str(&target.name),
            min: spec.min_replicas.unwrap_or(1),
            max: spec.max_replicas,
            current: status.current_replicas,
            desired: status.desired_replicas,
            last_scale: time::of(status.last_scale_time),
            metrics,
            conditions: status
                .conditions
                .iter()
                .map(|c| Condition::of(&c.r#type, &c.status, &c.reason, &c.message, c.last_transition_time, i))
                .collect(),
        }
    }

    /// At the maximum and not by being pinned there.
    pub fn at_max(&self) -> bool {
        self.max > self.min && self.current >= self.max
    }
}

fn named_target(m: &wire::MetricSpec) -> (&str, Option<&wire::MetricTarget>) {
    let resource = m.resource.as_ref().or(m.container_resource.as_ref());
    if let Some(r) = resource {
        return (&r.name, r.target.as_ref());
    }
    if let Some(n) = m.pods.as_ref().or(m.external.as_ref()) {
        return (n.metric.as_ref().map_or("", |x| &x.name), n.target.as_ref());
    }
    m.object.as_ref().map_or(("", None), |o| (o.metric.as_ref().map_or("", |x| &x.name), o.target.as_ref()))
}

fn current_of(m: &wire::MetricStatus) -> Option<&wire::MetricValue> {
    m.resource
        .as_ref()
        .or(m.container_resource.as_ref())
        .and_then(|r| r.current.as_ref())
        .or_else(|| m.pods.as_ref().or(m.external.as_ref()).and_then(|n| n.current.as_ref()))
        .or_else(|| m.object.as_ref().and_then(|o| o.current.as_ref()))
}
