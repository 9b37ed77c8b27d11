//! What every field of `qd get KIND -o json` must be, from kubectl's JSON: the API's fields and kubectl's rules.

use super::amount::{milli, seconds, selector, whole};
use super::{network, pods, workloads};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What a field must be.
#[derive(Clone, Debug)]
pub enum Expected {
    Is(Value),
    /// Seconds since this moment.
    Since(i64),
    /// Known to qd alone: whether the value makes sense, and how that is said.
    Sane(fn(&Value) -> bool, &'static str),
}

impl<T: Into<Value>> From<T> for Expected {
    fn from(value: T) -> Self {
        Self::Is(value.into())
    }
}

/// A cluster as kubectl sees it.
pub struct World {
    pub context: String,
    pub server: String,
    pub version: String,
    /// By kind, as `kind:` says.
    pub lists: BTreeMap<String, Vec<Value>>,
}

impl World {
    pub fn list(&self, kind: &str) -> &[Value] {
        self.lists.get(kind).map_or(&[], Vec::as_slice)
    }
}

/// The text, or null where it is empty or absent.
pub fn text(value: &Value) -> Value {
    value.as_str().filter(|t| !t.is_empty()).map_or(Value::Null, Into::into)
}

pub fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

/// Since a moment; null where there is none.
pub fn since(value: &Value) -> Expected {
    seconds(value).map_or(Expected::Is(Value::Null), Expected::Since)
}

/// The first of these that is there.
pub fn first<'a>(values: &[&'a Value]) -> &'a Value {
    values.iter().find(|v| !v.is_null()).copied().unwrap_or(&Value::Null)
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub fn condition<'a>(o: &'a Value, kind: &str) -> &'a Value {
    list(&o["status"]["conditions"]).iter().find(|c| c["type"] == kind).unwrap_or(&Value::Null)
}

/// A condition's message, else its reason.
pub fn words(c: &Value) -> Value {
    let message = text(&c["message"]);
    if message.is_null() { text(&c["reason"]) } else { message }
}

/// The first of these conditions that is true (or false), in words.
pub fn words_of(o: &Value, wanted: &[(&str, &str)]) -> Value {
    let found = wanted.iter().map(|(kind, status)| (condition(o, kind), status)).find(|(c, status)| c["status"] == **status);
    found.map_or(Value::Null, |(c, _)| words(c))
}

pub fn names(items: &Value, key: &str) -> Value {
    list(items).iter().map(|c| c[key].clone()).collect()
}

pub fn percent(part: i128, of: i128) -> Value {
    if of > 0 { json!(part * 100 / of) } else { Value::Null }
}

fn sum(values: impl Iterator<Item = i128>) -> Value {
    json!(i64::try_from(values.sum::<i128>()).unwrap())
}

/// The field, or none when this file does not know how to derive it: that is a failure of the comparison.
pub fn expected(subject: &str, field: &str, o: &Value, w: &World) -> Option<Expected> {
    // Measured anew again and again, on one of the clusters: compared with kubectl's at one moment in a test of its own.
    const USE: [&str; 22] = [
        "cpu_use_m",
        "cpu_use_percent",
        "cpu_use_request_percent",
        "cpu_use_limit_percent",
        "cpu_slack_m",
        "memory_use_bytes",
        "memory_use_percent",
        "memory_use_request_percent",
        "memory_use_limit_percent",
        "memory_slack_bytes",
        "use_age_s",
        "pods_measured",
        "pods_cpu_request_m",
        "pods_memory_request_bytes",
        // The rest is Prometheus'.
        "cpu_throttled_percent",
        "recent_restarts",
        "recent_oom_kills",
        "receive_rate_bytes",
        "transmit_rate_bytes",
        "filesystem_use_percent",
        "conntrack_use_percent",
        "pleg_relist_ms",
    ];
    // Counted where all is read that rules rest on.
    if field == "findings" {
        return Some(Value::Null.into());
    }
    if USE.contains(&field) {
        return Some(Expected::Sane(|v| v.is_null() || v.is_i64(), "a whole number, or null where nothing was measured"));
    }
    // Told by services of their own, which have tests of their own: the API server knows nothing of them.
    if ["etcd_healthy", "alerts_firing", "alerts_critical"].contains(&field) {
        return Some(Value::Null.into());
    }
    let own = match subject {
        "clusters" => return cluster(field, w),
        "nodes" => node(field, o, w),
        "pods" => pods::field(field, o),
        "hpa" => hpa(field, o),
        "pdb" => pdb(field, o),
        "events" => event(field, o),
        "namespaces" => namespace(field, o),
        "pvc" => claim(field, o),
        "services" => network::service(field, o, w),
        "ingresses" => network::ingress(field, o),
        _ => workloads::field(field, o),
    };
    own.or_else(|| common(field, o, w))
}

/// What every object has.
fn common(field: &str, o: &Value, w: &World) -> Option<Expected> {
    let meta = &o["metadata"];
    Some(match field {
        "cluster" => w.context.as_str().into(),
        "kind" => o["kind"].clone().into(),
        "namespace" => text(&meta["namespace"]).into(),
        "name" => meta["name"].clone().into(),
        "age_s" => since(&meta["creationTimestamp"]),
        "labels" => meta.get("labels").cloned().unwrap_or_else(|| json!({})).into(),
        "deletion_at" => meta["deletionTimestamp"].clone().into(),
        "owner" => {
            let owners = list(&meta["ownerReferences"]);
            let owner = owners.iter().find(|r| r["controller"] == true).or(owners.first());
            owner.map_or(Value::Null, |r| format!("{}/{}", r["kind"].as_str().unwrap(), r["name"].as_str().unwrap()).into()).into()
        }
        "conditions" => {
            let all = list(&o["status"]["conditions"]).iter();
            all.map(|c| Value::from(format!("{}={}", c["type"].as_str().unwrap(), c["status"].as_str().unwrap()))).collect::<Value>().into()
        }
        _ => return None,
    })
}

/// The pods of a node that count: bound to it and not ended.
fn pods_on<'a>(w: &'a World, node: &'a Value) -> impl Iterator<Item = &'a Value> + Clone {
    w.list("Pod").iter().filter(|p| !pods::ended(p) && p["spec"]["nodeName"] == node["metadata"]["name"])
}

fn node(field: &str, o: &Value, w: &World) -> Option<Expected> {
    let (spec, status, info) = (&o["spec"], &o["status"], &o["status"]["nodeInfo"]);
    let amount = |set: &str, key: &str, read: fn(&str) -> i128| status[set][key].as_str().map_or(0, read);
    let asked = |set: &str, key: &str| sum(pods_on(w, o).filter_map(|p| pods::asked(&p["spec"], set, key)));
    let share = |key: &str, read: fn(&str) -> i128| {
        percent(pods_on(w, o).filter_map(|p| pods::asked(&p["spec"], "requests", key)).sum(), amount("allocatable", key, read))
    };
    let address = |kind: &str| list(&status["addresses"]).iter().find(|a| a["type"] == kind).map_or(Value::Null, |a| a["address"].clone());
    let pressures: Vec<&Value> =
        list(&status["conditions"]).iter().filter(|c| c["type"].as_str().unwrap().ends_with("Pressure") && c["status"] == "True").collect();
    let ready = condition(o, "Ready");
    let labels = o["metadata"]["labels"].as_object();
    Some(match field {
        "status" => {
            let word = match ready["status"].as_str() {
                Some("True") => "Ready",
                Some(_) => "NotReady",
                None => "Unknown",
            };
            format!("{word}{}", if spec["unschedulable"] == true { ",SchedulingDisabled" } else { "" }).into()
        }
        "ready_change_age_s" => since(&ready["lastTransitionTime"]),
        "cordoned" => (spec["unschedulable"] == true).into(),
        "pressure" => pressures.iter().map(|c| c["type"].clone()).collect::<Value>().into(),
        "pods" => pods_on(w, o).count().into(),
        "pods_max" => json!(amount("allocatable", "pods", whole)).into(),
        "pods_bad" => pods_on(w, o).filter(|p| pods::bad(p)).count().into(),
        "cpu_request_m" => asked("requests", "cpu").into(),
        "cpu_limit_m" => asked("limits", "cpu").into(),
        "memory_request_bytes" => asked("requests", "memory").into(),
        "memory_limit_bytes" => asked("limits", "memory").into(),
        "cpu_request_percent" => share("cpu", milli).into(),
        "memory_request_percent" => share("memory", whole).into(),
        "cpu_allocatable_m" => json!(amount("allocatable", "cpu", milli)).into(),
        "cpu_capacity_m" => json!(amount("capacity", "cpu", milli)).into(),
        "memory_allocatable_bytes" => json!(amount("allocatable", "memory", whole)).into(),
        "memory_capacity_bytes" => json!(amount("capacity", "memory", whole)).into(),
        "zone" => labels.map_or(Value::Null, |l| text(l.get("topology.kubernetes.io/zone").unwrap_or(&Value::Null))).into(),
        "taints" => {
            let taint = |t: &Value| {
                let value = t["value"].as_str().map(|v| format!("={v}")).unwrap_or_default();
                Value::from(format!("{}{value}:{}", t["key"].as_str().unwrap(), t["effect"].as_str().unwrap()))
            };
            list(&spec["taints"]).iter().map(taint).collect::<Value>().into()
        }
        "roles" => {
            let of = |(k, v): (&String, &Value)| match k.strip_prefix("node-role.kubernetes.io/") {
                Some(role) => (!role.is_empty()).then(|| role.to_owned()),
                None => v.as_str().filter(|v| k == "kubernetes.io/role" && !v.is_empty()).map(str::to_owned),
            };
            let roles: std::collections::BTreeSet<String> = labels.into_iter().flatten().filter_map(of).collect();
            json!(roles).into()
        }
        "version" => text(&info["kubeletVersion"]).into(),
        "internal_ip" => address("InternalIP").into(),
        "external_ip" => address("ExternalIP").into(),
        "os_image" => text(&info["osImage"]).into(),
        "kernel" => text(&info["kernelVersion"]).into(),
        "runtime" => text(&info["containerRuntimeVersion"]).into(),
        "arch" => text(&info["architecture"]).into(),
        "os" => text(&info["operatingSystem"]).into(),
        "pod_cidr" => text(&spec["podCIDR"]).into(),
        "message" if ready["status"] == "True" || ready.is_null() => pressures.first().map_or(Value::Null, |c| words(c)).into(),
        "message" => words(ready).into(),
        _ => return None,
    })
}

/// The number of a metric as a person reads it: a percentage, bytes, or a quantity.
fn metric_text(value: Option<i128>, percent: bool, bytes: bool) -> String {
    let Some(n) = value else { return "?".into() };
    let short = |text: String| text.trim_end_matches('0').trim_end_matches('.').to_owned();
    if percent {
        n.to_string()
    } else if bytes {
        let (mut amount, mut unit) = (n as f64 / 1000.0, 0);
        while amount >= 1024.0 {
            (amount, unit) = (amount / 1024.0, unit + 1);
        }
        let digits = usize::from(amount.fract() != 0.0 && amount < 99.95);
        let number = format!("{amount:.digits$}");
        format!("{}{}", if digits > 0 { short(number) } else { number }, ["", "Ki", "Mi", "Gi", "Ti", "Pi"][unit])
    } else if n < 1000 {
        format!("{n}m")
    } else {
        short(format!("{}.{:02}", n / 1000, n % 1000 / 10))
    }
}

fn hpa_metrics(o: &Value) -> Vec<(Value, String)> {
    let current = list(&o["status"]["currentMetrics"]);
    let one = |(at, m): (usize, &Value)| {
        let source = m["type"].as_str().unwrap();
        let key = format!("{}{}", source[..1].to_lowercase(), &source[1..]);
        let (spec, now) = (&m[&key], current.get(at).filter(|c| c["type"] == source).map_or(Value::Null, |c| c[&key]["current"].clone()));
        let name = if source.ends_with("Resource") { &spec["name"] } else { &spec["metric"]["name"] };
        let target = &spec["target"];
        let percent = target["type"] == "Utilization";
        let read = |v: &Value| match percent {
            true => v["averageUtilization"].as_i64().map(i128::from),
            false => first(&[&v["averageValue"], &v["value"]]).as_str().map(milli),
        };
        let (wanted, is) = (read(target), read(&now));
        let unit = if percent { "percent" } else { "m" };
        let item: Map<String, Value> = [
            ("name".to_owned(), name.clone()),
            ("source".to_owned(), source.into()),
            (format!("current_{unit}"), json!(is)),
            (format!("target_{unit}"), json!(wanted)),
        ]
        .into_iter()
        .collect();
        let bytes = name == "memory";
        let words = format!(
            "{} {}/{}{}",
            name.as_str().unwrap(),
            metric_text(is, percent, bytes),
            metric_text(wanted, percent, bytes),
            if percent { "%" } else { "" }
        );
        (Value::Object(item), words)
    };
    list(&o["spec"]["metrics"]).iter().enumerate().map(one).collect()
}

fn hpa(field: &str, o: &Value) -> Option<Expected> {
    let (spec, status) = (&o["spec"], &o["status"]);
    let (min, max) = (spec["minReplicas"].as_i64().unwrap_or(1), number(&spec["maxReplicas"]));
    let (current, desired) = (number(&status["currentReplicas"]), number(&status["desiredReplicas"]));
    let at_max = max > min && current >= max;
    let limited = condition(o, "ScalingLimited")["status"] == "True";
    let active = condition(o, "ScalingActive");
    Some(match field {
        "target" => {
            format!("{}/{}", spec["scaleTargetRef"]["kind"].as_str().unwrap(), spec["scaleTargetRef"]["name"].as_str().unwrap()).into()
        }
        "status" => match () {
            () if condition(o, "AbleToScale")["status"] == "False" => "Unable",
            () if active["status"] == "False" && active["reason"] == "ScalingDisabled" => "Off",
            () if active["status"] == "False" => "Blind",
            () if at_max => "AtMax",
            () if current != desired => "Scaling",
            () => "Steady",
        }
        .into(),
        "current_replicas" => current.into(),
        "desired_replicas" => desired.into(),
        "min_replicas" => min.into(),
        "max_replicas" => max.into(),
        "at_max" => at_max.into(),
        "targets" => hpa_metrics(o).into_iter().map(|(_, words)| Value::from(words)).collect::<Value>().into(),
        "metrics" => hpa_metrics(o).into_iter().map(|(item, _)| item).collect::<Value>().into(),
        "last_scale_age_s" => since(&status["lastScaleTime"]),
        "limited" => limited.into(),
        "message" => words_of(o, &[("AbleToScale", "False"), ("ScalingActive", "False"), ("ScalingLimited", "True")]).into(),
        _ => return None,
    })
}

fn claim(field: &str, o: &Value) -> Option<Expected> {
    let (spec, status) = (&o["spec"], &o["status"]);
    let short = |m: &Value| match m.as_str().unwrap() {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        other => panic!("{other}"),
    };
    let size = |v: &Value| v.as_str().map_or(Value::Null, |q| Value::from(whole(q) as i64));
    let waits = list(&status["conditions"]).iter().find(|c| c["status"] == "True");
    Some(match field {
        "status" => status["phase"].clone().into(),
        // Only a Prometheus knows.
        "used_percent" | "inodes_percent" => Value::Null.into(),
        "capacity_bytes" => size(&status["capacity"]["storage"]).into(),
        "requested_bytes" => size(&spec["resources"]["requests"]["storage"]).into(),
        "class" => text(&spec["storageClassName"]).into(),
        "access" => list(&spec["accessModes"]).iter().map(|m| Value::from(short(m))).collect::<Value>().into(),
        "volume" => text(&spec["volumeName"]).into(),
        "volume_mode" => spec["volumeMode"].clone().into(),
        "message" if status["phase"] == "Lost" => format!("its volume {} is gone", spec["volumeName"].as_str().unwrap()).into(),
        "message" => waits.map_or(Value::Null, words).into(),
        _ => return None,
    })
}

fn pdb(field: &str, o: &Value) -> Option<Expected> {
    let (spec, status) = (&o["spec"], &o["status"]);
    let [allowed, healthy, desired, expected] =
        ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"].map(|key| number(&status[key]));
    let failed = condition(o, "DisruptionAllowed");
    Some(match field {
        "status" => (if expected == 0 {
            "Empty"
        } else if allowed == 0 {
            "Blocks"
        } else {
            "Allows"
        })
        .into(),
        "disruptions_allowed" => allowed.into(),
        "current_healthy" => healthy.into(),
        "desired_healthy" => desired.into(),
        "expected_pods" => expected.into(),
        "min_available" => spec["minAvailable"].clone().into(),
        "max_unavailable" => spec["maxUnavailable"].clone().into(),
        "selector" => selector(&spec["selector"]).into(),
        "unhealthy_policy" => text(&spec["unhealthyPodEvictionPolicy"]).into(),
        "message" if failed["status"] == "False" && failed["reason"] == "SyncFailed" => words(failed).into(),
        "message" => match () {
            () if expected == 0 => "selects no pods".into(),
            () if allowed > 0 => Value::Null,
            () if healthy < desired => format!("only {healthy} of the {desired} needed pods are healthy").into(),
            () if desired >= expected => format!("all {expected} pods are needed").into(),
            () => format!("{healthy} healthy, {desired} needed").into(),
        }
        .into(),
        _ => return None,
    })
}

fn event(field: &str, o: &Value) -> Option<Expected> {
    let (about, meta) = (&o["involvedObject"], &o["metadata"]);
    Some(match field {
        "last_seen_age_s" => {
            since(first(&[&o["series"]["lastObservedTime"], &o["lastTimestamp"], &o["eventTime"], &meta["creationTimestamp"]]))
        }
        "first_seen_age_s" => since(first(&[&o["firstTimestamp"], &o["eventTime"], &meta["creationTimestamp"]])),
        "type" => (if o["type"] == "Warning" { "Warning" } else { "Normal" }).into(),
        "reason" => text(&o["reason"]).into(),
        "object" => format!("{}/{}", about["kind"].as_str().unwrap(), about["name"].as_str().unwrap()).into(),
        "object_kind" => text(&about["kind"]).into(),
        "object_namespace" => text(&about["namespace"]).into(),
        "object_name" => text(&about["name"]).into(),
        "count" => number(first(&[&o["series"]["count"], &o["count"]])).max(1).into(),
        "message" => text(&o["message"].as_str().unwrap_or_default().trim_end().into()).into(),
        "source" => {
            let component = text(&o["source"]["component"]);
            if component.is_null() { text(&o["reportingComponent"]) } else { component }.into()
        }
        _ => return None,
    })
}

fn namespace(field: &str, o: &Value) -> Option<Expected> {
    Some(match field {
        "status" => text(&o["status"]["phase"]).into(),
        "message" => list(&o["status"]["conditions"]).iter().find(|c| c["status"] == "True").map_or(Value::Null, words).into(),
        _ => return None,
    })
}

fn cluster(field: &str, w: &World) -> Option<Expected> {
    let count = |kind: &str, f: &dyn Fn(&Value) -> bool| w.list(kind).iter().filter(|o| f(o)).count();
    let bound = || w.list("Pod").iter().filter(|p| !pods::ended(p) && p["spec"]["nodeName"].is_string());
    let asked = |key: &str| bound().filter_map(|p| pods::asked(&p["spec"], "requests", key)).sum::<i128>();
    let allocatable = |key: &str, read: fn(&str) -> i128| {
        w.list("Node").iter().filter_map(|n| n["status"]["allocatable"][key].as_str()).map(read).sum::<i128>()
    };
    let all = |_: &Value| true;
    let short =
        || ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"].iter().map(|kind| count(kind, &workloads::short)).sum::<usize>();
    Some(match field {
        "cluster" | "name" | "context" => w.context.as_str().into(),
        "contexts" => json!([w.context]).into(),
        "kind" => "Cluster".into(),
        "namespace" | "message" | "tier" | "group" | "read_only" => Value::Null.into(),
        "state" => "live".into(),
        "server" => w.server.as_str().into(),
        "version" => w.version.as_str().into(),
        "state_age_s" | "age_s" => {
            Expected::Sane(|v| v.as_i64().is_some_and(|n| (0..60).contains(&n)), "seconds, below a minute: it was just reached")
        }
        "latency_ms" => {
            Expected::Sane(|v| v.is_null() || v.as_i64().is_some_and(|n| (0..60_000).contains(&n)), "milliseconds, or not measured yet")
        }
        "requests_sent" => Expected::Sane(|v| v.as_i64().is_some_and(|n| (0..1000).contains(&n)), "a number of requests"),
        "requests_waiting" => Expected::Sane(|v| v.as_i64().is_some_and(|n| (0..1000).contains(&n)), "a number of requests"),
        "nodes" => count("Node", &all).into(),
        "nodes_ready" => count("Node", &|n| condition(n, "Ready")["status"] == "True").into(),
        "nodes_cordoned" => count("Node", &|n| n["spec"]["unschedulable"] == true).into(),
        "pods" => count("Pod", &all).into(),
        "pods_bad" => count("Pod", &pods::bad).into(),
        "pods_pending" => count("Pod", &|p| p["status"]["phase"] == "Pending" && p["metadata"]["deletionTimestamp"].is_null()).into(),
        "hpas" => count("HorizontalPodAutoscaler", &all).into(),
        "hpas_at_max" => count("HorizontalPodAutoscaler", &|h| matches!(hpa("at_max", h), Some(Expected::Is(Value::Bool(true))))).into(),
        "pdbs" => count("PodDisruptionBudget", &all).into(),
        "pdbs_zero" => {
            count("PodDisruptionBudget", &|p| number(&p["status"]["disruptionsAllowed"]) == 0 && number(&p["status"]["expectedPods"]) > 0)
                .into()
        }
        "workloads_short" => short().into(),
        "warnings" => count("Event", &|e| e["type"] == "Warning").into(),
        "restarts" => sum(w.list("Pod").iter().map(|p| i128::from(pods::restarts(p)))).into(),
        "cpu_request_m" => json!(asked("cpu")).into(),
        "memory_request_bytes" => json!(asked("memory")).into(),
        "cpu_allocatable_m" => json!(allocatable("cpu", milli)).into(),
        "memory_allocatable_bytes" => json!(allocatable("memory", whole)).into(),
        "cpu_request_percent" => percent(asked("cpu"), allocatable("cpu", milli)).into(),
        "memory_request_percent" => percent(asked("memory"), allocatable("memory", whole)).into(),
        _ => return None,
    })
}
