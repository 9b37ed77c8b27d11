//! What a cluster's Prometheus would alert on, from how its objects and its etcd are at the moment: nothing of it is kept.
//!
//! Names and labels are those of kube-prometheus where it has such an alert; its patience is shortened, so that a drill shows something.

use super::register::{DEPLOYMENTS, HPAS, JOBS, NODES, PODS};
use super::store::{Key, State, parse_time};
use crate::model::Str;
use crate::model::etcd_rpc::alarm_name;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Seconds for which it must be so before it is an alert.
const SOON: i64 = 60;
const LATER: i64 = 300;
/// Seconds over which a storm rises.
const RISES: i64 = 60;

/// An alert that fires.
pub struct Alert {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<&'static str, String>,
    /// Unix seconds.
    pub starts: i64,
}

impl Alert {
    /// As Alertmanager names it.
    pub fn fingerprint(&self) -> String {
        let byte = |h: u64, b: u8| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
        let text = |h: u64, t: &String| byte(t.bytes().fold(h, byte), 0xff);
        format!("{:016x}", self.labels.iter().fold(0xcbf2_9ce4_8422_2325, |h, (k, v)| text(text(h, k), v)))
    }
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// Alerts of a cluster as they are found.
struct Found<'a> {
    s: &'a State,
    all: Vec<Alert>,
}

impl Found<'_> {
    /// One that fires once it has been so for a while.
    fn add(&mut self, name: &str, severity: &str, (since, wait): (i64, i64), labels: &[(&str, &str)], summary: String) {
        let starts = since + wait;
        let own = [("alertname", name), ("severity", severity), ("cluster", &self.s.name), ("prometheus", "monitoring/k8s")];
        let labels = own.iter().chain(labels).filter(|(_, v)| !v.is_empty()).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut annotations = BTreeMap::from([("summary", summary)]);
        if severity != "none" {
            annotations.insert("runbook_url", format!("https://runbooks.example.com/{name}"));
        }
        self.all.push(Alert { labels, annotations, starts });
    }
}

/// When a condition became what it is.
pub fn since(object: &Value, kind: &str, status: &str) -> Option<i64> {
    let all = object["status"]["conditions"].as_array()?;
    let found = all.iter().find(|c| c["type"] == kind && c["status"] == status)?;
    parse_time(&found["lastTransitionTime"])
}

/// All that fires, the clock being where it is.
pub fn firing(s: &State) -> Vec<Alert> {
    let mut all = found(s);
    all.retain(|a| a.starts <= s.now());
    all
}

/// All that will fire if it stays so.
pub fn pending(s: &State) -> Vec<Alert> {
    let mut all = found(s);
    all.retain(|a| a.starts > s.now());
    all
}

fn found(s: &State) -> Vec<Alert> {
    let mut found = Found { s, all: Vec::new() };
    let always = "The way from Prometheus to whoever is on call works".to_owned();
    found.add("Watchdog", "none", (s.etcd.born - 30 * 86_400, 0), &[], always);
    nodes(&mut found);
    let unready = pods(&mut found);
    deployments(&mut found, &unready);
    for (key, object) in &s.tables[HPAS].objects {
        let hpa = object.value();
        let at_its_end = hpa["status"]["conditions"].as_array().into_iter().flatten().any(|c| c["reason"] == "TooManyReplicas");
        let Some(since) = since(&hpa, "ScalingLimited", "True").filter(|_| at_its_end) else { continue };
        let said = format!("{} has been at its {} replicas for more than 5 minutes", key.1, hpa["spec"]["maxReplicas"]);
        found.add("KubeHpaMaxedOut", "warning", (since, LATER), &[("namespace", &key.0), ("horizontalpodautoscaler", &key.1)], said);
    }
    for (key, object) in &s.tables[JOBS].objects {
        let job = object.value();
        let Some(since) = since(&job, "Failed", "True") else { continue };
        found.add(
            "KubeJobFailed",
            "warning",
            (since, SOON),
            &[("namespace", &key.0), ("job_name", &key.1)],
            "Job failed to complete".to_owned(),
        );
    }
    for (member, alarm, since) in s.etcd.raised() {
        let said = format!("etcd has raised {}: writes are refused", alarm_name(alarm));
        found.add("etcdAlarm", "critical", (since, 0), &[("etcd_member", member), ("alarm", alarm_name(alarm))], said);
    }
    for (member, since) in s.etcd.down() {
        found.add("etcdMembersDown", "warning", (since, SOON), &[("etcd_member", member)], format!("etcd member {member} is down"));
    }
    storm(&mut found);
    found.all
}

fn nodes(found: &mut Found<'_>) {
    for facts in found.s.world.nodes.iter().filter(|n| !n.ready) {
        let Some(node) = found.s.get(NODES, "", &facts.name).map(|o| o.value()) else { continue };
        let Some(since) = since(&node, "Ready", "False").or(since(&node, "Ready", "Unknown")) else { continue };
        found.add("KubeNodeNotReady", "warning", (since, SOON), &[("node", &facts.name)], format!("Node {} is not ready", facts.name));
    }
}

/// Of pods that are not ready; the Deployments that these may belong to.
fn pods(found: &mut Found<'_>) -> BTreeSet<Key> {
    let s = found.s;
    let mut owners = BTreeSet::new();
    let unready = |facts: &super::store::PodFacts| !facts.ready && !matches!(&*facts.phase, "Succeeded" | "Failed");
    for (key, object) in s.tables[PODS].objects.iter().filter(|(_, o)| !o.deleting) {
        let Some(facts) = object.pod.as_ref().filter(|f| unready(f)) else { continue };
        if let Some((kind, name, _)) = &object.owner
            && &**kind == "ReplicaSet"
            && let Some((deployment, _)) = name.rsplit_once('-')
        {
            owners.insert((key.0.clone(), Str::from(deployment)));
        }
        let pod = object.value();
        let node = facts.node.as_deref().unwrap_or_default();
        let labels = [("namespace", &*key.0), ("pod", &*key.1), ("node", node)];
        let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
        let crashing = statuses.filter(|c| c["state"]["waiting"]["reason"] == "CrashLoopBackOff").find_map(|c| c["name"].as_str());
        let unready = since(&pod, "Ready", "False").or(since(&pod, "PodScheduled", "False"));
        let Some(unready) = unready else { continue };
        if let Some(container) = crashing {
            let labels = [&labels[..], &[("container", container)]].concat();
            found.add("KubePodCrashLooping", "warning", (unready, SOON), &labels, format!("Container {container} is crash looping"));
        } else {
            let said = format!("Pod has not been ready for more than {} minutes", LATER / 60);
            found.add("KubePodNotReady", "warning", (unready, LATER), &labels, said);
        }
    }
    owners
}

fn deployments(found: &mut Found<'_>, suspects: &BTreeSet<Key>) {
    for key in suspects {
        let Some(deployment) = found.s.at(DEPLOYMENTS, key).map(|o| o.value()) else { continue };
        let (wanted, ready) = (&deployment["spec"]["replicas"], deployment["status"]["readyReplicas"].as_i64().unwrap_or(0));
        // What never was up is not down.
        let made = parse_time(&deployment["metadata"]["creationTimestamp"]).unwrap_or(0);
        let down = |since: &i64| ready == 0 && *wanted != 0 && *since > made + SOON;
        let Some(since) = since(&deployment, "Available", "False").filter(down) else { continue };
        let said = format!("None of the {wanted} replicas of {} is ready", key.1);
        found.add("DeploymentDown", "critical", (since, SOON), &[("namespace", &key.0), ("deployment", &key.1)], said);
    }
}

/// What a storm is made of: name, severity, summary.
const STORM: [(&str, &str, &str); 8] = [
    ("HighErrorRate", "critical", "More than 5% of requests fail"),
    ("HighLatency", "warning", "p99 latency is above 2 s"),
    ("TargetDown", "warning", "The target cannot be scraped"),
    ("ConnectionPoolExhausted", "warning", "No connection to the database is free"),
    ("QueueBacklog", "warning", "Messages wait for more than a minute"),
    ("ProbeFailing", "critical", "The health probe fails from every zone"),
    ("CPUThrottlingHigh", "info", "Processes are throttled more than a quarter of the time"),
    ("UpstreamTimeouts", "warning", "Upstream requests time out"),
];

/// As many alerts as were ordered, on the pods that there are: one after the other within a minute.
fn storm(found: &mut Found<'_>) {
    let Some((since, count)) = found.s.alerting.storm else { return };
    let pods = &found.s.tables[PODS].objects;
    let pods: Vec<_> = pods.values().filter(|o| o.pod.as_ref().is_some_and(|f| f.node.is_some()) && !o.ended()).collect();
    for n in 0..usize::try_from(count).unwrap_or(0) {
        let Some(pod) = pods.get(n / STORM.len() % pods.len().max(1)) else { return };
        let (name, severity, said) = STORM[n % STORM.len()];
        let node = pod.pod.as_ref().and_then(|f| f.node.as_deref()).unwrap_or_default();
        let instance = format!("10.64.{}.{}:9102", n >> 8 & 0xff, n & 0xff);
        let labels = [("namespace", &*pod.key.0), ("pod", &*pod.key.1), ("node", node), ("instance", &instance)];
        let begins = since + n as i64 * RISES / count.max(1);
        found.add(name, severity, (begins, 0), &labels, said.to_owned());
    }
}
