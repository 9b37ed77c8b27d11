//! Pods: containers, scheduling, probes, where they run and who made them.

use super::words::{ago, count, ended, joined, lasted, pod_reason, resources, unschedulable, usual_wait, waiting};
use super::{Look, Parts, Section, conditions, created, events, workload};
use crate::inspect::Severity;
use crate::model::{Condition, ContainerSpec, ContainerState, ContainerStatus, Kind, Object, Phase, Pod, Tri, meta};

/// An end longer ago than this is history, seconds.
const RECENT: i64 = 3600;

pub fn explain(look: &Look, object: &Object, pod: &Pod) -> Parts {
    let mut why = Section::default();
    let mut facts = vec![scheduling(look, object, pod)];
    itself(look, pod, &mut why);
    for (spec, status) in containers(pod) {
        container(look, pod, spec, status, &mut why);
    }
    probes(look, object, pod, &mut why);
    let usual = |c: &Condition| {
        matches!(&*c.kind, "Ready" | "ContainersReady" | "PodScheduled" | "Initialized" | "PodReadyToStartContainers")
            || (c.status == Tri::True && &*c.kind != "DisruptionTarget")
    };
    conditions(look, &pod.conditions, usual, Severity::Warning, &mut why);
    if let Some(node) = pod.node.as_ref().filter(|_| !pod.finished())
        && let Some(Object::Node(n)) = look.cluster.named(Kind::Node, "", node)
        && n.ready() != Tri::True
    {
        let since = meta::condition(&n.conditions, "Ready")
            .and_then(|c| c.since)
            .map_or_else(String::new, |t| format!(" since {}", ago(t, look.now)));
        why.bad(Severity::Critical, "node", format!("{node} is not ready{since}: what is said of this pod may be old"));
    }
    let top = look.cluster.workload_of(object);
    if let Object::Workload(w) = top {
        facts.push(workload::change(look, w));
    }
    facts.push(events::section(look, object, &[]));
    facts.push(state_of(look, pod));
    facts.push(place(look, object, pod));
    let (ready, total) = pod.ready_containers();
    let since = pod.ready_since.map_or_else(String::new, |t| format!(" for {}", lasted(t, look.now)));
    let healthy = match pod.phase {
        Phase::Succeeded => "it ran and completed".to_owned(),
        _ => format!("{}, {ready} of {} ready{since}", pod.phase.as_str().to_lowercase(), count(total, "container")),
    };
    (why, healthy, facts)
}

/// Every container with its status, init containers first.
fn containers(pod: &Pod) -> impl Iterator<Item = (&ContainerSpec, Option<&ContainerStatus>)> {
    let init = pod.shape.init.iter().map(|c| (c, pod.init.iter().find(|s| s.name == c.name)));
    let main = pod.shape.containers.iter().map(|c| (c, pod.containers.iter().find(|s| s.name == c.name)));
    init.chain(main)
}

/// What the pod says of itself.
fn itself(look: &Look, pod: &Pod, why: &mut Section) {
    if !pod.shape.scheduling_gates.is_empty() && pod.node.is_none() {
        why.bad(
            Severity::Info,
            "gated",
            format!("not scheduled until its gates are taken away: {}", joined(pod.shape.scheduling_gates.iter(), 6)),
        );
    } else if pod.phase == Phase::Pending && pod.node.is_none() && pod.meta.deleting.is_none() {
        let since = pod.meta.created.map_or_else(String::new, |t| format!(" since {}", ago(t, look.now)));
        why.bad(Severity::Warning, "pending", format!("no node takes it{since}"));
    }
    if matches!(pod.phase, Phase::Failed | Phase::Unknown) || pod.reason.is_some() {
        let reason = pod.reason.as_deref().unwrap_or_default();
        let parts = [reason, pod_reason(reason).unwrap_or_default(), pod.message.as_deref().unwrap_or_default()];
        let text = parts.into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(": ");
        why.bad(
            Severity::Critical,
            pod.phase.as_str().to_lowercase(),
            if text.is_empty() { "its containers ended and are not started again".to_owned() } else { text },
        );
    }
}

fn container(look: &Look, pod: &Pod, spec: &ContainerSpec, status: Option<&ContainerStatus>, why: &mut Section) {
    let Some(s) = status else { return };
    let name = &*spec.name;
    let init = pod.shape.init.iter().any(|c| c.name == spec.name) && !spec.sidecar;
    let limit = spec.resources.memory_limit;
    match &s.state {
        ContainerState::Waiting { reason, message } => {
            let reason = reason.as_deref().unwrap_or("waiting");
            let begun = pod.started.or(pod.meta.created).map_or(0, |t| t.age(look.now));
            let tone = if !usual_wait(reason) {
                Severity::Critical
            } else if begun > 120 && reason == "ContainerCreating" {
                Severity::Warning
            } else {
                Severity::Info
            };
            let meaning = waiting(reason).map_or_else(String::new, |m| format!(": {m}"));
            why.bad(tone, name, format!("{reason}{meaning}"));
            if let Some(message) = message.as_deref().filter(|m| !m.is_empty()) {
                why.say("", &**message);
            }
        }
        ContainerState::Terminated(t) if t.exit_code != 0 || (!init && !pod.finished()) => {
            let tone = if t.exit_code == 0 { Severity::Warning } else { Severity::Critical };
            let when = t.finished.map_or_else(String::new, |f| format!("{}, ", ago(f, look.now)));
            why.bad(tone, name, format!("ended {when}{}", ended(t, limit)));
        }
        ContainerState::Terminated(_) => {}
        ContainerState::Running { since } if !s.ready && !init && pod.phase == Phase::Running => {
            let ran = since.map_or_else(String::new, |t| format!(" for {}", lasted(t, look.now)));
            let cause = match (s.started, spec.startup, spec.readiness) {
                (false, true, _) => "its startup probe has not passed yet",
                (_, _, true) => "its readiness probe does not pass",
                _ => "the kubelet has not called it ready",
            };
            why.bad(Severity::Warning, name, format!("running{ran} but not ready: {cause}"));
        }
        ContainerState::Running { .. } => {}
    }
    if let Some(last) = &s.last {
        let recent = last.finished.is_some_and(|f| f.age(look.now) < RECENT);
        let when = last.finished.map_or_else(String::new, |f| format!("{}, ", ago(f, look.now)));
        let text = format!("its last run ended {when}{}", ended(last, limit));
        let label = if why.lines.last().is_some_and(|l| l.label == name || l.label.is_empty()) { "" } else { name };
        // A healthy container's old restart is a fact of its own section.
        if !s.ready || recent {
            let tone = if last.exit_code != 0 && !s.ready { Severity::Critical } else { Severity::Warning };
            why.bad(tone, label, text);
            why.say("", format!("restarted {} times", s.restarts));
        }
    }
}

/// Probes that failed lately, from the kubelet's events.
fn probes(look: &Look, object: &Object, pod: &Pod, why: &mut Section) {
    if pod.finished() {
        return;
    }
    for e in events::of(look, object).into_iter().filter(|e| matches!(&*e.reason, "Unhealthy" | "ProbeWarning")).take(3) {
        let Some(last) = e.last else { continue };
        if pod.ready == Tri::True && last.age(look.now) > 600 {
            continue;
        }
        let times = if e.count > 1 { format!(", {} times", e.count) } else { String::new() };
        why.bad(Severity::Warning, "probe", format!("{} ({}{times})", e.message, ago(last, look.now)));
    }
}

/// Why no node takes it: the scheduler's count of nodes by cause.
fn scheduling(look: &Look, object: &Object, pod: &Pod) -> Section {
    let mut out = Section::new("scheduling");
    if pod.node.is_some() || pod.finished() {
        return out;
    }
    let condition = meta::condition(&pod.conditions, "PodScheduled").filter(|c| c.status == Tri::False);
    let event = events::of(look, object).into_iter().find(|e| &*e.reason == "FailedScheduling");
    let Some(message) = condition.and_then(|c| c.message.clone()).or_else(|| event.map(|e| e.message.clone())) else { return out };
    match unschedulable(&message) {
        Some((total, causes)) => {
            for (nodes, cause) in causes {
                out.bad(Severity::Warning, format!("{nodes} of {total} nodes"), cause);
            }
        }
        None => out.bad(Severity::Warning, "scheduler", &*message),
    }
    out.say("it asks for", resources(&pod.shape.requests));
    let selector: Vec<String> = pod.shape.node_selector.iter().map(|(k, v)| format!("{k}={v}")).collect();
    if !selector.is_empty() {
        out.say("of nodes with", selector.join(", "));
    }
    out
}

/// Each container: state, image, resources, restarts.
fn state_of(look: &Look, pod: &Pod) -> Section {
    let mut out = Section::new("containers");
    for (spec, status) in containers(pod) {
        let kind = match (pod.shape.init.iter().any(|c| c.name == spec.name), spec.sidecar) {
            (true, true) => " (sidecar)",
            (true, false) => " (init)",
            _ => "",
        };
        let state = match status.map(|s| (&s.state, s.ready)) {
            None => "no status yet".to_owned(),
            Some((ContainerState::Waiting { reason, .. }, _)) => format!("waiting: {}", reason.as_deref().unwrap_or("no reason given")),
            Some((ContainerState::Running { since }, ready)) => {
                format!(
                    "running{}{}",
                    since.map_or_else(String::new, |t| format!(" for {}", lasted(t, look.now))),
                    if ready { ", ready" } else { ", not ready" }
                )
            }
            Some((ContainerState::Terminated(t), _)) => {
                format!("ended{}, exit {}", t.finished.map_or_else(String::new, |f| format!(" {}", ago(f, look.now))), t.exit_code)
            }
        };
        let restarts = status.filter(|s| s.restarts > 0).map_or_else(String::new, |s| {
            let last = s.last.as_ref().and_then(|t| t.finished).map_or_else(String::new, |f| format!(", last {}", ago(f, look.now)));
            format!("; restarted {} times{last}", s.restarts)
        });
        out.say(&*spec.name, format!("{state}{kind}{restarts}"));
        out.say("", &*spec.image);
        out.say("", resources(&spec.resources));
        let probes: Vec<&str> = [(spec.liveness, "liveness"), (spec.readiness, "readiness"), (spec.startup, "startup")]
            .into_iter()
            .filter_map(|(on, name)| on.then_some(name))
            .collect();
        if !probes.is_empty() {
            out.say("", format!("probes: {}", probes.join(", ")));
        }
    }
    out
}

/// Where it runs, who made it, how it is ranked.
fn place(look: &Look, object: &Object, pod: &Pod) -> Section {
    let mut out = Section::new("pod");
    out.say("status", pod.status());
    out.say("node", pod.node.as_deref().unwrap_or("none yet"));
    let mut chain = Vec::new();
    let mut at = object;
    while let Some(owner) = at.meta().owner.as_deref().filter(|_| chain.len() < 4) {
        chain.push(format!("{} {}", owner.kind, owner.name));
        let Some(up) = Kind::parse(&owner.kind).and_then(|k| look.cluster.table(k).get(look.cluster.table(k).slot_of(owner.uid)?)) else {
            break;
        };
        at = up;
    }
    out.say("made by", if chain.is_empty() { "nobody: it does not come back when it is deleted".to_owned() } else { chain.join(", by ") });
    let class = pod.shape.priority_class.as_deref().map_or_else(String::new, |c| format!(" ({c})"));
    out.say("QoS", format!("{}, priority {}{class}", pod.qos.as_str(), pod.shape.priority));
    out.say("reserves", resources(&pod.shape.requests));
    if let Some(ip) = &pod.ip {
        out.say("IP", format!("{ip}{}", if pod.shape.host_network { " (the node's network)" } else { "" }));
    }
    out.say("account", &*pod.shape.service_account);
    out.say("restarts", format!("{}, policy {}", pod.restarts(), pod.shape.restart_policy));
    let namespace = &pod.meta.namespace;
    let pdbs: Vec<&str> = look
        .cluster
        .objects(Kind::Pdb)
        .filter(|o| matches!(o, Object::Pdb(b) if b.meta.namespace == *namespace && b.selector.as_ref().is_some_and(|s| s.matches(&pod.meta.labels))))
        .map(|o| &*o.meta().name)
        .collect();
    if !pdbs.is_empty() {
        out.say("budget", joined(pdbs, 4));
    }
    created(look, &pod.meta, &mut out);
    out
}
