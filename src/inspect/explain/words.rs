//! Words for codes, reasons and amounts.

use crate::inspect::age;
use crate::model::pod::Resources;
use crate::model::{Terminated, Time};

/// `3m ago`.
pub fn ago(at: Time, now: i64) -> String {
    if at.secs() > now + 1 { format!("in {}", age(at.secs() - now)) } else { format!("{} ago", age(at.age(now))) }
}

/// How long something has lasted.
pub fn lasted(at: Time, now: i64) -> String {
    age(at.age(now))
}

/// `1 pod`, `2 pods`.
pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// The first few, and how many more.
pub fn joined<T: std::fmt::Display>(items: impl IntoIterator<Item = T>, most: usize) -> String {
    let all: Vec<String> = items.into_iter().map(|i| i.to_string()).collect();
    let more = all.len().saturating_sub(most);
    let text = all[..all.len() - more].join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}

/// `250m`, `1.5`.
pub fn cores(milli: i64) -> String {
    if milli.abs() < 1000 {
        return format!("{milli}m");
    }
    let text = format!("{}.{:03}", milli / 1000, (milli % 1000).abs());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `512Mi`, `1.5Gi`.
pub fn bytes(n: i64) -> String {
    const UNITS: [(&str, u32); 4] = [("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];
    let Some((unit, shift)) = UNITS.into_iter().find(|(_, shift)| n.unsigned_abs() >= 1 << shift) else { return n.to_string() };
    let tenths = (i128::from(n) * 10 + (1i128 << (shift - 1))) >> shift;
    if tenths % 10 == 0 { format!("{}{unit}", tenths / 10) } else { format!("{}.{}{unit}", tenths / 10, tenths % 10) }
}

/// A share in percent; none of nothing.
pub fn percent(part: i64, whole: i64) -> Option<i64> {
    (whole > 0).then(|| i64::try_from(i128::from(part) * 100 / i128::from(whole)).unwrap_or(i64::MAX))
}

/// `requests cpu 250m, memory 1Gi; limits memory 1Gi`.
pub fn resources(r: &Resources) -> String {
    let pair = |cpu: Option<i64>, memory: Option<i64>| {
        let parts: Vec<String> =
            cpu.map(|c| format!("cpu {}", cores(c))).into_iter().chain(memory.map(|m| format!("memory {}", bytes(m)))).collect();
        if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
    };
    format!("requests {}; limits {}", pair(r.cpu_request_m, r.memory_request), pair(r.cpu_limit_m, r.memory_limit))
}

/// What a waiting container's reason means.
pub fn waiting(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "CrashLoopBackOff" => "it keeps ending; each next start waits longer, up to 5m",
        "ErrImagePull" | "ImagePullBackOff" => "the image cannot be pulled: name, tag, registry or credentials",
        "InvalidImageName" => "the image's name cannot be read",
        "ErrImageNeverPull" => "the image is not on the node and may not be pulled",
        "ImageInspectError" => "the image on the node cannot be read",
        "RegistryUnavailable" => "the registry does not answer",
        "CreateContainerConfigError" => "a ConfigMap, Secret or key that it names is missing",
        "CreateContainerError" => "the runtime could not make the container",
        "RunContainerError" | "StartError" => "the runtime could not start the container",
        "ContainerCreating" => "volumes, network or image are being prepared",
        "PodInitializing" => "the init containers have not ended yet",
        _ => return None,
    })
}

/// Whether a waiting reason is part of any start.
pub fn usual_wait(reason: &str) -> bool {
    matches!(reason, "ContainerCreating" | "PodInitializing")
}

/// What a pod's own reason means.
pub fn pod_reason(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "Evicted" => "the kubelet took it off the node to get resources back",
        "NodeLost" => "its node is gone or does not answer",
        "NodeAffinity" | "NodeShutdown" | "Terminated" => "its node does not take it any more",
        "DeadlineExceeded" => "it ran longer than activeDeadlineSeconds allows",
        "Preempting" | "Preempted" => "it made room for a pod of higher priority",
        "UnexpectedAdmissionError" | "OutOfcpu" | "OutOfmemory" | "OutOfpods" => "the kubelet had no room for it",
        "Shutdown" => "the node was shut down",
        _ => return None,
    })
}

/// What an exit code means.
pub fn exit_code(code: i32) -> &'static str {
    match code {
        0 => "it completed",
        1 => "an error of the program's own; its log says which",
        2 => "an error of the program's own, often wrong arguments",
        125 => "the runtime could not run it",
        126 => "the command cannot be executed: permission or format",
        127 => "the command does not exist in the image",
        128 => "the runtime could not start it",
        130 => "SIGINT: it was interrupted",
        134 => "SIGABRT: it aborted itself",
        135 => "SIGBUS: a bad memory access",
        136 => "SIGFPE: a fatal arithmetic error",
        137 => "SIGKILL: killed by a failed liveness probe, a deletion that took too long, or for memory",
        139 => "SIGSEGV: it read or wrote memory it may not",
        141 => "SIGPIPE: it wrote to a closed pipe",
        143 => "SIGTERM: it was asked to stop",
        255 => "an exit status out of range, or the runtime lost it",
        129..=192 => "ended by a signal",
        _ => "an error of the program's own",
    }
}

/// `exit 137 (OOMKilled): ...`. The limit is the container's for memory.
pub fn ended(t: &Terminated, memory_limit: Option<i64>) -> String {
    let signal = if t.signal != 0 { format!(" by signal {}", t.signal) } else { String::new() };
    let reason = t.reason.as_deref().filter(|r| !matches!(*r, "Error" | "Completed"));
    let meaning = if reason == Some("OOMKilled") {
        let limit = memory_limit.map_or_else(|| "it has no limit of its own".to_owned(), |l| format!("its limit is {}", bytes(l)));
        format!("killed for using too much memory; {limit}")
    } else {
        exit_code(t.exit_code).to_owned()
    };
    let ran = t.started.zip(t.finished).map_or_else(String::new, |(a, b)| format!(", after {}", age(a.age(b.secs()))));
    let message = t.message.as_deref().filter(|m| !m.trim().is_empty()).map_or_else(String::new, |m| format!("; it said: {m}"));
    format!("exit {}{signal}{}{ran}: {meaning}{message}", t.exit_code, reason.map_or_else(String::new, |r| format!(" ({r})")))
}

/// A scheduler's message as (nodes, cause), and of how many nodes: `0/50 nodes are available: 20 Insufficient cpu, ...`.
pub fn unschedulable(message: &str) -> Option<(u32, Vec<(u32, String)>)> {
    let (head, rest) = message.split_once(" nodes are available: ")?;
    let total = head.rsplit_once('/')?.1.parse().ok()?;
    let rest = [" preemption: ", " no new claims", "no new claims to deallocate"]
        .iter()
        .fold(rest, |rest, end| rest.split(end).next().unwrap_or(rest));
    let mut causes: Vec<(u32, String)> = Vec::new();
    for part in rest.trim().trim_end_matches(['.', ',']).split(", ") {
        let counted = part.trim().split_once(' ').and_then(|(n, cause)| Some((n.parse().ok()?, cause)));
        match (counted, causes.last_mut()) {
            (Some((n, cause)), _) => causes.push((n, cause.trim_end_matches('.').to_owned())),
            (None, Some((_, cause))) => *cause = format!("{cause}, {}", part.trim_end_matches('.')),
            (None, None) => causes.push((total, part.trim_end_matches('.').to_owned())),
        }
    }
    causes.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
    Some((total, causes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedulers_message_becomes_a_table() {
        let text = "0/50 nodes are available: 3 node(s) had untolerated taint {a: b, c}, 20 Insufficient cpu, 27 Insufficient memory. preemption: 0/50 nodes are available: 50 No preemption victims found for incoming pod.";
        let (total, causes) = unschedulable(text).unwrap();
        assert_eq!(total, 50);
        assert_eq!(
            causes,
            [(27, "Insufficient memory".into()), (20, "Insufficient cpu".into()), (3, "node(s) had untolerated taint {a: b, c}".into())]
        );
        assert_eq!(unschedulable("no nodes available to schedule pods"), None);
        let (_, causes) =
            unschedulable("0/3 nodes are available: persistentvolumeclaim \"x\" not found. no new claims to deallocate, preemption: 0/3")
                .unwrap();
        assert_eq!(causes, [(3, "persistentvolumeclaim \"x\" not found".to_owned())]);
    }

    #[test]
    fn amounts() {
        assert_eq!((cores(250), cores(1500), cores(2000)), ("250m".into(), "1.5".into(), "2".into()));
        assert_eq!((bytes(512 << 20), bytes(3 << 29), bytes(10)), ("512Mi".into(), "1.5Gi".into(), "10".into()));
        assert_eq!(joined(["a", "b", "c"], 2), "a, b and 1 more");
    }
}
