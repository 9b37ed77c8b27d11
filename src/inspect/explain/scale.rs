//! Autoscalers and disruption budgets: the arithmetic, and why they do not move.

use super::words::{ago, bytes, count, joined};
use super::{Look, Parts, Section, conditions, created, events};
use crate::inspect::Severity;
use crate::model::{Condition, Hpa, HpaMetric, Kind, Object, Pdb, Pod, Tri, meta};
use std::collections::BTreeMap;

pub fn hpa(look: &Look, h: &Hpa) -> Parts {
    let mut why = Section::default();
    let target = Kind::parse(&h.target_kind).and_then(|k| look.cluster.named(k, &h.meta.namespace, &h.target_name));
    if h.at_max() {
        let hot: Vec<&HpaMetric> = h.metrics.iter().filter(|m| m.target.zip(m.current).is_some_and(|(t, c)| c > t)).collect();
        let tone = if hot.is_empty() { Severity::Info } else { Severity::Warning };
        let more = if hot.is_empty() {
            "no metric is over its target".to_owned()
        } else {
            format!("over its target: {}", joined(hot.iter().map(|m| &m.name), 4))
        };
        why.bad(tone, "at maximum", format!("{} of at most {} pods; {more}", h.current, h.max));
    }
    if target.is_none() && Kind::parse(&h.target_kind).is_some_and(|k| look.cluster.current(k)) {
        why.bad(Severity::Critical, "target", format!("{} {} does not exist", h.target_kind, h.target_name));
    }
    for m in h.metrics.iter().filter(|m| m.current.is_none()) {
        why.bad(Severity::Warning, &*m.name, "its current value is not known: it cannot be scaled by");
    }
    let known = |c: &Condition| match &*c.kind {
        "ScalingLimited" => c.status != Tri::True || h.at_max(),
        _ => c.status == Tri::True,
    };
    let disabled = meta::condition(&h.conditions, "ScalingActive").is_some_and(|c| c.reason.as_deref() == Some("ScalingDisabled"));
    if disabled {
        why.bad(Severity::Info, "off", "the target is scaled to nothing, so it is left alone");
    }
    conditions(look, &h.conditions, |c| known(c) || disabled, Severity::Warning, &mut why);
    let mut metrics = Section::new("metrics");
    for m in &h.metrics {
        let over = m.target.zip(m.current).is_some_and(|(t, c)| c > t);
        let current = m.current.map_or_else(|| "unknown".to_owned(), |v| amount(m, v));
        let target = m.target.map_or_else(|| "no target".to_owned(), |v| amount(m, v));
        let source = if &*m.source == "Resource" { String::new() } else { format!(" ({})", m.source) };
        metrics.add(over.then_some(Severity::Warning), &*m.name, format!("{current} against {target}{source}"));
    }
    let mut scale = Section::new("scaling");
    scale.say("target", format!("{} {}", h.target_kind, h.target_name));
    scale.say("pods", format!("{} now, {} wanted, {} to {} allowed", h.current, h.desired, h.min, h.max));
    scale.say("last scaled", h.last_scale.map_or_else(|| "never".to_owned(), |t| ago(t, look.now)));
    for c in &h.conditions {
        scale.say(&*c.kind, format!("{}{}", c.status.as_str(), c.message.as_deref().map_or_else(String::new, |m| format!(": {m}"))));
    }
    created(look, &h.meta, &mut scale);
    let events = look.cluster.named(Kind::Hpa, &h.meta.namespace, &h.meta.name).map(|o| events::section(look, o, &[]));
    let facts = std::iter::once(metrics).chain(events).chain([scale]).collect();
    (why, format!("{} of {} to {} pods, it can scale", h.current, h.min, h.max), facts)
}

fn amount(m: &HpaMetric, value: i64) -> String {
    if m.percent {
        format!("{value}%")
    } else if &*m.name == "memory" {
        bytes(value / 1000)
    } else if value % 1000 == 0 {
        (value / 1000).to_string()
    } else {
        format!("{value}m")
    }
}

pub fn pdb(look: &Look, object: &Object, p: &Pdb) -> Parts {
    let mut why = Section::default();
    let rule = match (&p.min_available, &p.max_unavailable) {
        (Some(a), _) => format!("minAvailable {a}"),
        (_, Some(a)) => format!("maxUnavailable {a}"),
        _ => "neither minAvailable nor maxUnavailable".to_owned(),
    };
    let mut pods: Vec<&Object> = match &p.selector {
        Some(s) => {
            look.cluster.objects(Kind::Pod).filter(|o| o.meta().namespace == p.meta.namespace && s.matches(&o.meta().labels)).collect()
        }
        None => Vec::new(),
    };
    pods.sort_by(|a, b| a.meta().name.cmp(&b.meta().name));
    let sick: Vec<&Pod> = pods.iter().filter_map(|o| if let Object::Pod(p) = o { Some(&**p) } else { None }).filter(|p| p.bad()).collect();
    if p.observed > 0 && p.observed < p.meta.generation {
        why.bad(Severity::Warning, "controller", "it has not seen the latest change yet: the numbers speak of the one before");
    }
    if p.expected == 0 {
        let selector = p.selector.as_ref().map_or_else(|| "it has no selector".to_owned(), |s| format!("nothing matches {s}"));
        why.bad(Severity::Info, "covers nothing", selector);
    } else if p.allowed == 0 {
        let text = if p.healthy < p.desired {
            format!("{} of {} pods are healthy and {} must be: {} too few", p.healthy, p.expected, p.desired, p.desired - p.healthy)
        } else if p.desired >= p.expected {
            format!("{rule} asks for all {} pods: it never allows a disruption, whatever their health", p.expected)
        } else {
            format!("exactly {} of {} pods are healthy and that many must be", p.healthy, p.expected)
        };
        why.bad(Severity::Warning, "blocks", format!("no pod may be evicted: {text}"));
        if !sick.is_empty() {
            why.say("", format!("not healthy: {}", joined(sick.iter().map(|p| format!("{} ({})", p.meta.name, p.status())), 5)));
        }
        let always = p.unhealthy_policy.as_deref() == Some("AlwaysAllow");
        if !always && !sick.is_empty() {
            why.say("", "pods that are not healthy cannot be evicted either (unhealthyPodEvictionPolicy is IfHealthyBudget)");
        }
    }
    if let Some(c) = p.conditions.iter().find(|c| c.reason.as_deref() == Some("SyncFailed")) {
        why.bad(
            Severity::Critical,
            "controller",
            format!("it cannot work the budget out: {}", c.message.as_deref().unwrap_or("no reason given")),
        );
    }
    let mut sum = Section::new("arithmetic");
    sum.say("budget", &*rule);
    sum.say("pods", format!("{} expected, {} must be healthy, {} are", p.expected, p.desired, p.healthy));
    sum.say(
        "allowed",
        format!(
            "{} may go now ({} healthy less {} that must be)",
            count(usize::try_from(p.allowed).unwrap_or(0), "pod"),
            p.healthy,
            p.desired
        ),
    );
    sum.say("unhealthy", p.unhealthy_policy.as_deref().unwrap_or("IfHealthyBudget"));
    let mut covers = Section::new("covers");
    covers.say("selector", p.selector.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string));
    let mut by: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for o in &pods {
        let top = look.cluster.workload_of(o);
        let name = if top.kind() == Kind::Pod { "no workload".to_owned() } else { format!("{} {}", top.kind().name(), top.meta().name) };
        let entry = by.entry(name).or_default();
        entry.0 += 1;
        entry.1 += usize::from(matches!(o, Object::Pod(p) if !p.bad()));
    }
    for (name, (all, fine)) in by.iter().take(10) {
        covers.say(name.as_str(), format!("{}, {fine} healthy", count(*all, "pod")));
    }
    covers.say("nodes", spread(&pods));
    created(look, &p.meta, &mut covers);
    let healthy = format!("{} of {} may go now", p.allowed, count(usize::try_from(p.expected).unwrap_or(0), "pod"));
    (why, healthy, vec![events::section(look, object, &[]), sum, covers])
}

/// On how many nodes the pods are.
fn spread(pods: &[&Object]) -> String {
    let mut nodes: Vec<&str> = pods.iter().filter_map(|o| if let Object::Pod(p) = o { p.node.as_deref() } else { None }).collect();
    nodes.sort_unstable();
    nodes.dedup();
    count(nodes.len(), "node")
}
