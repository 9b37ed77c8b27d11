//! Nodes: readiness, pressure, taints, what runs on them and how much of them is spoken for.

use super::words::{ago, bytes, cores, count, joined, percent};
use super::{Look, Parts, Section, conditions, created, events};
use crate::inspect::Severity;
use crate::model::{Condition, Node, Object, Pod, Tri, meta};
use std::collections::BTreeMap;

pub fn explain(look: &Look, node: &Node) -> Parts {
    let mut why = Section::default();
    let ready = meta::condition(&node.conditions, "Ready");
    if node.ready() != Tri::True {
        let since = ready.and_then(|c| c.since).map_or_else(String::new, |t| format!(" since {}", ago(t, look.now)));
        let meaning = match node.ready() {
            Tri::Unknown => "the kubelet does not report: node down, cut off, or kubelet dead",
            _ => "the kubelet reports that it cannot run pods",
        };
        why.bad(Severity::Critical, "not ready", format!("{meaning}{since}"));
        if let Some(c) = ready {
            let text = [c.reason.as_deref(), c.message.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(": ");
            why.say("", text);
        }
    }
    for c in node.pressures() {
        let what = match &*c.kind {
            "MemoryPressure" => "memory runs out: pods are evicted, BestEffort ones first",
            "DiskPressure" => "disk runs out: images are removed and pods evicted",
            "PIDPressure" => "process ids run out: pods are evicted",
            _ => "a resource runs out",
        };
        why.bad(
            Severity::Warning,
            &*c.kind,
            format!("{what}{}", c.since.map_or_else(String::new, |t| format!(" (since {})", ago(t, look.now)))),
        );
    }
    let known = |c: &Condition| {
        &*c.kind == "Ready"
            || c.kind.ends_with("Pressure")
            || if c.kind.ends_with("Ready") { c.status == Tri::True } else { c.status == Tri::False }
    };
    conditions(look, &node.conditions, known, Severity::Warning, &mut why);
    if node.unschedulable {
        why.bad(Severity::Info, "cordoned", "no new pods are scheduled here");
    }
    let mut pods: Vec<&Pod> = look
        .index
        .on_node(look.cluster, &node.meta.name)
        .filter_map(|o| if let Object::Pod(p) = o { Some(&**p) } else { None })
        .filter(|p| !p.finished())
        .collect();
    pods.sort_by(|a, b| (&a.meta.namespace, &a.meta.name).cmp(&(&b.meta.namespace, &b.meta.name)));
    let bad: Vec<&Pod> = pods.iter().copied().filter(|p| p.bad()).collect();
    if !bad.is_empty() {
        why.bad(Severity::Warning, "pods", format!("{} of {} are not as they should be", bad.len(), count(pods.len(), "pod")));
    }
    let object = look.cluster.named(crate::model::Kind::Node, "", &node.meta.name);
    let mut facts = vec![load(look, node)];
    facts.extend(object.map(|o| events::section(look, o, &[])));
    facts.push(conditions_section(look, node));
    facts.push(on_it(look, &pods, &bad));
    facts.push(machine(look, node));
    (
        why,
        format!(
            "ready{}, {} on it",
            ready.and_then(|c| c.since).map_or_else(String::new, |t| format!(" since {}", ago(t, look.now))),
            count(pods.len(), "pod")
        ),
        facts,
    )
}

/// What is requested and used of what can be.
fn load(look: &Look, node: &Node) -> Section {
    let mut out = Section::new("requested and used of allocatable");
    let used = look.cluster.counts.by_node.get(&node.meta.name).copied().unwrap_or_default();
    let mut line = |label: &str, request: i64, limit: i64, whole: i64, text: fn(i64) -> String| {
        let share = percent(request, whole);
        let text = format!(
            "{} of {} ({}); limits {} ({})",
            text(request),
            text(whole),
            share.map_or_else(|| "?".to_owned(), |p| format!("{p}%")),
            text(limit),
            percent(limit, whole).map_or_else(|| "?".to_owned(), |p| format!("{p}%"))
        );
        out.add(share.filter(|p| *p >= 95).map(|_| Severity::Info), label, text);
    };
    line("cpu", used.cpu_request_m, used.cpu_limit_m, node.cpu_allocatable_m, cores);
    line("memory", used.memory_request, used.memory_limit, node.memory_allocatable, bytes);
    let usage = look.cluster.usage(crate::model::Kind::Node, "", &node.meta.name);
    let mut uses = |label: &str, use_of: Option<i64>, request: i64, whole: i64, text: fn(i64) -> String| {
        let said = use_of.map_or_else(
            || "not measured".to_owned(),
            |use_of| {
                let share = percent(use_of, whole).map_or_else(String::new, |p| format!(" ({p}%)"));
                let slack = if request >= use_of {
                    format!("slack {}: requested and not used", text(request - use_of))
                } else {
                    format!("{} more than is requested", text(use_of - request))
                };
                format!("{} of {}{share}; {slack}", text(use_of), text(whole))
            },
        );
        out.say(label, said);
    };
    uses("cpu used", usage.and_then(|u| u.cpu_m), used.cpu_request_m, node.cpu_allocatable_m, cores);
    uses("memory used", usage.and_then(|u| u.memory), used.memory_request, node.memory_allocatable, bytes);
    let share = percent(i64::from(used.pods), node.pods_allocatable);
    out.add(share.filter(|p| *p >= 95).map(|_| Severity::Warning), "pods", format!("{} of {}", used.pods, node.pods_allocatable));
    out
}

fn conditions_section(look: &Look, node: &Node) -> Section {
    let mut out = Section::new("conditions");
    for c in &node.conditions {
        let since = c.since.map_or_else(String::new, |t| format!(" since {}", ago(t, look.now)));
        let reason = c.reason.as_deref().map_or_else(String::new, |r| format!(" ({r})"));
        out.say(&*c.kind, format!("{}{since}{reason}", c.status.as_str()));
    }
    for t in &node.taints {
        out.say("taint", t.to_string());
    }
    out
}

fn on_it(look: &Look, pods: &[&Pod], bad: &[&Pod]) -> Section {
    let mut out = Section::new("pods");
    let mut by: BTreeMap<String, usize> = BTreeMap::new();
    for p in pods {
        *by.entry(p.status().into_owned()).or_default() += 1;
    }
    if !by.is_empty() {
        out.say("by status", joined(by.iter().map(|(s, n)| format!("{n} {s}")), 6));
    }
    for p in bad.iter().take(10) {
        let since = p.ready_since.or(p.meta.created).map_or_else(String::new, |t| format!(", {}", ago(t, look.now)));
        out.bad(Severity::Warning, p.status(), format!("{}/{}{since}", p.meta.namespace, p.meta.name));
    }
    if bad.len() > 10 {
        out.say("", format!("and {} more that are not as they should be", bad.len() - 10));
    }
    let mut big: Vec<&&Pod> = pods.iter().filter(|p| p.shape.requests.memory_request.is_some()).collect();
    big.sort_by_key(|p| std::cmp::Reverse(p.shape.requests.memory_request));
    for p in big.iter().take(5) {
        let r = &p.shape.requests;
        out.say(
            "largest",
            format!(
                "{}/{}: cpu {}, memory {}",
                p.meta.namespace,
                p.meta.name,
                r.cpu_request_m.map_or_else(|| "-".to_owned(), cores),
                r.memory_request.map_or_else(|| "-".to_owned(), bytes)
            ),
        );
    }
    out
}

fn machine(look: &Look, node: &Node) -> Section {
    let mut out = Section::new("node");
    let roles = node.roles();
    if !roles.is_empty() {
        out.say("roles", roles.join(", "));
    }
    if let Some(zone) = node.zone() {
        out.say("zone", zone);
    }
    for (label, value) in [("kubelet", &node.kubelet), ("runtime", &node.runtime), ("kernel", &node.kernel), ("system", &node.os_image)] {
        if !value.is_empty() {
            out.say(label, &**value);
        }
    }
    out.say("machine", format!("{}/{}, cpu {}, memory {}", node.os, node.arch, cores(node.cpu_capacity_m), bytes(node.memory_capacity)));
    for (label, ip) in [("internal IP", &node.internal_ip), ("external IP", &node.external_ip)] {
        if let Some(ip) = ip {
            out.say(label, &**ip);
        }
    }
    created(look, &node.meta, &mut out);
    out
}
