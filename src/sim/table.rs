//! Table output: the columns that `kubectl get` shows.

use super::register::{self, REGISTER, Res};
use super::store::{Obj, parse_time};
use crate::model::{Interner, Object, decode_json};
use serde_json::{Value, json};
use std::sync::Arc;

/// Name and whether it is shown without `-o wide`.
type Column = (&'static str, bool);

const fn columns(res: Res) -> &'static [Column] {
    match res {
        register::PODS => &[
            ("Name", true),
            ("Ready", true),
            ("Status", true),
            ("Restarts", true),
            ("Age", true),
            ("IP", false),
            ("Node", false),
            ("Nominated Node", false),
            ("Readiness Gates", false),
        ],
        register::NODES => &[
            ("Name", true),
            ("Status", true),
            ("Roles", true),
            ("Age", true),
            ("Version", true),
            ("Internal-IP", false),
            ("External-IP", false),
            ("OS-Image", false),
            ("Kernel-Version", false),
            ("Container-Runtime", false),
        ],
        register::NAMESPACES => &[("Name", true), ("Status", true), ("Age", true)],
        register::EVENTS => &[
            ("Last Seen", true),
            ("Type", true),
            ("Reason", true),
            ("Object", true),
            ("Subobject", false),
            ("Source", false),
            ("Message", true),
            ("First Seen", false),
            ("Count", false),
            ("Name", false),
        ],
        register::SERVICES => &[
            ("Name", true),
            ("Type", true),
            ("Cluster-IP", true),
            ("External-IP", true),
            ("Port(s)", true),
            ("Age", true),
            ("Selector", false),
        ],
        register::DEPLOYMENTS => &[
            ("Name", true),
            ("Ready", true),
            ("Up-to-date", true),
            ("Available", true),
            ("Age", true),
            ("Containers", false),
            ("Images", false),
            ("Selector", false),
        ],
        register::REPLICASETS => &[
            ("Name", true),
            ("Desired", true),
            ("Current", true),
            ("Ready", true),
            ("Age", true),
            ("Containers", false),
            ("Images", false),
            ("Selector", false),
        ],
        register::STATEFULSETS => &[("Name", true), ("Ready", true), ("Age", true), ("Containers", false), ("Images", false)],
        register::DAEMONSETS => &[
            ("Name", true),
            ("Desired", true),
            ("Current", true),
            ("Ready", true),
            ("Up-to-date", true),
            ("Available", true),
            ("Node Selector", true),
            ("Age", true),
            ("Containers", false),
            ("Images", false),
            ("Selector", false),
        ],
        register::JOBS => &[
            ("Name", true),
            ("Status", true),
            ("Completions", true),
            ("Duration", true),
            ("Age", true),
            ("Containers", false),
            ("Images", false),
            ("Selector", false),
        ],
        register::CRONJOBS => &[
            ("Name", true),
            ("Schedule", true),
            ("Timezone", true),
            ("Suspend", true),
            ("Active", true),
            ("Last Schedule", true),
            ("Age", true),
            ("Containers", false),
            ("Images", false),
            ("Selector", false),
        ],
        register::HPAS => &[
            ("Name", true),
            ("Reference", true),
            ("Targets", true),
            ("MinPods", true),
            ("MaxPods", true),
            ("Replicas", true),
            ("Age", true),
        ],
        register::CLAIMS => &[
            ("Name", true),
            ("Status", true),
            ("Volume", true),
            ("Capacity", true),
            ("Access Modes", true),
            ("StorageClass", true),
            ("VolumeAttributesClass", true),
            ("Age", true),
            ("VolumeMode", false),
        ],
        register::INGRESSES => &[("Name", true), ("Class", true), ("Hosts", true), ("Address", true), ("Ports", true), ("Age", true)],
        register::ENDPOINT_SLICES => &[("Name", true), ("AddressType", true), ("Ports", true), ("Endpoints", true), ("Age", true)],
        register::PDBS => {
            &[("Name", true), ("Min Available", true), ("Max Unavailable", true), ("Allowed Disruptions", true), ("Age", true)]
        }
        _ => &[("Name", true), ("Age", true)],
    }
}

/// How long ago, as kubectl says it.
fn age(time: &Value) -> String {
    let Some(at) = parse_time(time) else { return "<none>".to_owned() };
    human((super::serve::seconds() - at).max(0))
}

fn human(secs: i64) -> String {
    let two =
        |big: i64, unit: &str, small: i64, sub: &str| if small > 0 { format!("{big}{unit}{small}{sub}") } else { format!("{big}{unit}") };
    match secs {
        0..120 => format!("{secs}s"),
        120..600 => two(secs / 60, "m", secs % 60, "s"),
        600..10_800 => format!("{}m", secs / 60),
        10_800..28_800 => two(secs / 3600, "h", secs / 60 % 60, "m"),
        28_800..172_800 => format!("{}h", secs / 3600),
        172_800..691_200 => two(secs / 86_400, "d", secs / 3600 % 24, "h"),
        _ => format!("{}d", secs / 86_400),
    }
}

fn text(v: &Value) -> String {
    match v {
        Value::Null => "<none>".to_owned(),
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

/// A text that is left empty where there is none.
fn word(v: &Value) -> &str {
    v.as_str().unwrap_or_default()
}

/// Access modes as kubectl shortens them.
fn modes(v: &Value) -> String {
    let short = |m: &Value| match word(m) {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        _ => "",
    };
    v.as_array().into_iter().flatten().map(short).collect::<Vec<_>>().join(",")
}

fn number(v: &Value) -> i64 {
    v.as_i64().unwrap_or(0)
}

fn pairs(v: &Value) -> String {
    let all: Vec<String> = v.as_object().into_iter().flatten().map(|(k, v)| format!("{k}={}", text(v))).collect();
    if all.is_empty() { "<none>".to_owned() } else { all.join(",") }
}

/// Containers, images, selector.
fn template(o: &Value, template: &Value) -> [Value; 3] {
    let of = |field: &str| {
        template["spec"]["containers"].as_array().into_iter().flatten().map(|c| text(&c[field])).collect::<Vec<_>>().join(",").into()
    };
    [of("name"), of("image"), pairs(&o["spec"]["selector"]["matchLabels"]).into()]
}

fn condition<'a>(o: &'a Value, kind: &str) -> Option<&'a Value> {
    o["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == kind)
}

fn cells(res: Res, object: &Obj) -> Vec<Value> {
    let o = &object.value();
    let (meta, spec, status) = (&o["metadata"], &o["spec"], &o["status"]);
    let name = meta["name"].clone();
    let born = Value::from(age(&meta["creationTimestamp"]));
    let zero = |v: &Value| Value::from(number(v));
    let with = |mut row: Vec<Value>, more: &[Value]| {
        row.extend_from_slice(more);
        row
    };
    match res {
        register::PODS => {
            let read = REGISTER[res].model.and_then(|kind| decode_json(kind, &object.json, &mut Interner::default()).ok());
            let Some(Object::Pod(pod)) = read else { return vec![name] };
            let (ready, all) = pod.ready_containers();
            let word = if object.deleting && pod.reason.is_none() { "Terminating".to_owned() } else { pod.status().into_owned() };
            let restarts = pod.restarts();
            let last = pod.last_termination().and_then(|(_, t)| t.finished).map(|t| human(super::serve::seconds() - t.secs()));
            let restarts = last.filter(|_| restarts > 0).map_or_else(|| restarts.to_string(), |ago| format!("{restarts} ({ago} ago)"));
            vec![
                name,
                format!("{ready}/{all}").into(),
                word.into(),
                restarts.into(),
                born,
                text(&status["podIP"]).into(),
                text(&spec["nodeName"]).into(),
                "<none>".into(),
                "<none>".into(),
            ]
        }
        register::NODES => {
            let mut word = match condition(o, "Ready").map(|c| c["status"] == "True") {
                Some(true) => "Ready".to_owned(),
                Some(false) => "NotReady".to_owned(),
                None => "Unknown".to_owned(),
            };
            if spec["unschedulable"] == true {
                word.push_str(",SchedulingDisabled");
            }
            let info = &status["nodeInfo"];
            let version = |k: &str| Value::from(text(&info[k]));
            vec![
                name,
                word.into(),
                "<none>".into(),
                born,
                version("kubeletVersion"),
                text(&status["addresses"][0]["address"]).into(),
                "<none>".into(),
                version("osImage"),
                version("kernelVersion"),
                version("containerRuntimeVersion"),
            ]
        }
        register::NAMESPACES => vec![name, status["phase"].clone(), born],
        register::EVENTS => {
            let about = &o["involvedObject"];
            let object = format!("{}/{}", text(&about["kind"]).to_lowercase(), text(&about["name"]));
            vec![
                age(&o["lastTimestamp"]).into(),
                o["type"].clone(),
                o["reason"].clone(),
                object.into(),
                "".into(),
                o["source"]["component"].clone(),
                o["message"].clone(),
                age(&o["firstTimestamp"]).into(),
                zero(&o["count"]),
                name,
            ]
        }
        register::SERVICES => {
            let ports: Vec<String> =
                spec["ports"].as_array().into_iter().flatten().map(|p| format!("{}/{}", text(&p["port"]), text(&p["protocol"]))).collect();
            let outside: Vec<&str> = status["loadBalancer"]["ingress"].as_array().into_iter().flatten().map(|a| word(&a["ip"])).collect();
            vec![
                name,
                spec["type"].clone(),
                spec["clusterIP"].clone(),
                if outside.is_empty() { "<none>".into() } else { outside.join(",").into() },
                ports.join(",").into(),
                born,
                pairs(&spec["selector"]).into(),
            ]
        }
        register::DEPLOYMENTS => {
            let ready = format!("{}/{}", number(&status["readyReplicas"]), number(&spec["replicas"]));
            with(
                vec![name, ready.into(), zero(&status["updatedReplicas"]), zero(&status["availableReplicas"]), born],
                &template(o, &spec["template"]),
            )
        }
        register::REPLICASETS => with(
            vec![name, zero(&spec["replicas"]), zero(&status["replicas"]), zero(&status["readyReplicas"]), born],
            &template(o, &spec["template"]),
        ),
        register::STATEFULSETS => {
            let ready = format!("{}/{}", number(&status["readyReplicas"]), number(&spec["replicas"]));
            with(vec![name, ready.into(), born], &template(o, &spec["template"])[..2])
        }
        register::DAEMONSETS => {
            let counts = ["desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled", "numberAvailable"]
                .map(|k| zero(&status[k]));
            with(
                with(vec![name], &counts),
                &[&[pairs(&spec["template"]["spec"]["nodeSelector"]).into(), born], &template(o, &spec["template"])[..]].concat(),
            )
        }
        register::JOBS => {
            let is = |kind: &str| condition(o, kind).is_some_and(|c| c["status"] == "True");
            let word = if is("Complete") {
                "Complete"
            } else if is("Failed") {
                "Failed"
            } else if spec["suspend"] == true {
                "Suspended"
            } else {
                "Running"
            };
            let (from, to) = (parse_time(&status["startTime"]), parse_time(&status["completionTime"]));
            let took = from.map_or_else(|| "<none>".to_owned(), |f| human(to.unwrap_or_else(super::serve::seconds) - f));
            let done = format!("{}/{}", number(&status["succeeded"]), spec["completions"].as_i64().unwrap_or(1));
            with(vec![name, word.into(), done.into(), took.into(), born], &template(o, &spec["template"]))
        }
        register::CRONJOBS => {
            let active = i64::try_from(status["active"].as_array().map_or(0, Vec::len)).unwrap_or(0);
            let suspend = if spec["suspend"] == true { "True" } else { "False" };
            with(
                vec![
                    name,
                    spec["schedule"].clone(),
                    text(&spec["timeZone"]).into(),
                    suspend.into(),
                    active.into(),
                    age(&status["lastScheduleTime"]).into(),
                    born,
                ],
                &template(o, &spec["jobTemplate"]["spec"]["template"]),
            )
        }
        register::HPAS => {
            let target = &spec["scaleTargetRef"];
            vec![
                name,
                format!("{}/{}", text(&target["kind"]), text(&target["name"])).into(),
                targets(&spec["metrics"], &status["currentMetrics"]).into(),
                text(&spec["minReplicas"]).into(),
                zero(&spec["maxReplicas"]),
                zero(&status["currentReplicas"]),
                born,
            ]
        }
        register::CLAIMS => vec![
            name,
            word(&status["phase"]).into(),
            word(&spec["volumeName"]).into(),
            word(&status["capacity"]["storage"]).into(),
            modes(&status["accessModes"]).into(),
            word(&spec["storageClassName"]).into(),
            "<unset>".into(),
            born,
            text(&spec["volumeMode"]).into(),
        ],
        register::INGRESSES => {
            let listed = |v: &Value, of: fn(&Value) -> String| {
                v.as_array().into_iter().flatten().map(of).filter(|t| !t.is_empty()).collect::<Vec<_>>().join(",")
            };
            let hosts = listed(&spec["rules"], |r| word(&r["host"]).to_owned());
            let address = listed(&status["loadBalancer"]["ingress"], |a| format!("{}{}", word(&a["ip"]), word(&a["hostname"])));
            vec![
                name,
                text(&spec["ingressClassName"]).into(),
                if hosts.is_empty() { "*".into() } else { hosts.into() },
                address.into(),
                if spec["tls"].is_array() { "80, 443" } else { "80" }.into(),
                born,
            ]
        }
        register::ENDPOINT_SLICES => {
            const SHOWN: usize = 3;
            let few = |v: &Value, of: fn(&Value) -> String| {
                let all = v.as_array().map_or(&[][..], Vec::as_slice);
                let shown = all.iter().take(SHOWN).map(of).collect::<Vec<_>>().join(",");
                match all.len() {
                    0 => "<unset>".to_owned(),
                    n if n > SHOWN => format!("{shown} + {} more...", n - SHOWN),
                    _ => shown,
                }
            };
            let ports = few(&o["ports"], |p| text(&p["port"]));
            let endpoints = few(&o["endpoints"], |e| text(&e["addresses"][0]));
            vec![name, o["addressType"].clone(), ports.into(), endpoints.into(), born]
        }
        register::PDBS => {
            let or = |v: &Value| Value::from(if v.is_null() { "N/A".to_owned() } else { text(v) });
            vec![name, or(&spec["minAvailable"]), or(&spec["maxUnavailable"]), zero(&status["disruptionsAllowed"]), born]
        }
        _ => vec![name, born],
    }
}

/// What a server shows of an autoscaler's metrics: two of them, and how many more there are.
fn targets(specs: &Value, current: &Value) -> String {
    const SHOWN: usize = 2;
    let list = specs.as_array().map_or(&[][..], Vec::as_slice);
    if list.is_empty() {
        return "<none>".to_owned();
    }
    let shown: Vec<String> = list.iter().take(SHOWN).enumerate().map(|(n, spec)| target(spec, &current[n])).collect();
    let more = if list.len() > SHOWN { format!(" + {} more...", list.len() - SHOWN) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

fn target(spec: &Value, now: &Value) -> String {
    // The member is named as the type is, in a field's spelling.
    let Some(member) = spec["type"].as_str().and_then(|kind| Some(kind.get(..1)?.to_lowercase() + kind.get(1..)?)) else {
        return "<unknown type>".to_owned();
    };
    let (wanted, now) = (&spec[&member]["target"], &now[&member]["current"]);
    let value = |of: &Value, field: &str| of.get(field).filter(|v| !v.is_null()).map(text);
    let of = |field: &str| value(now, field).unwrap_or_else(|| "<unknown>".to_owned());
    let average = value(wanted, "averageValue");
    match member.as_str() {
        "resource" | "containerResource" => {
            let name = text(&spec[&member]["name"]);
            if let Some(average) = average {
                return format!("{name}: {}/{average}", of("averageValue"));
            }
            let percent = |of: &Value| value(of, "averageUtilization").map(|n| format!("{n}%"));
            let now = percent(now).unwrap_or_else(|| "<unknown>".to_owned());
            format!("{name}: {now}/{}", percent(wanted).unwrap_or_else(|| "<auto>".to_owned()))
        }
        "pods" => format!("{}/{}", of("averageValue"), average.unwrap_or_default()),
        "object" | "external" => match average {
            Some(average) => format!("{}/{average} (avg)", of("averageValue")),
            None => format!("{}/{}", of("value"), value(wanted, "value").unwrap_or_default()),
        },
        _ => "<unknown type>".to_owned(),
    }
}

/// A Table of these objects. `include`: how much of each goes with its row (Metadata when not said).
pub fn table(res: Res, items: &[Arc<Obj>], include: Option<&str>) -> Value {
    let definitions: Vec<Value> = columns(res)
        .iter()
        .map(|(name, always)| json!({"name": name, "type": "string", "format": if *name == "Name" { "name" } else { "" }, "description": "", "priority": i32::from(!always)}))
        .collect();
    let rows: Vec<Value> = items
        .iter()
        .map(|o| {
            let whole = || o.value();
            let object = match include {
                Some("None") => Value::Null,
                Some("Object") => whole(),
                _ => json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": whole()["metadata"]}),
            };
            json!({"cells": cells(res, o), "object": object})
        })
        .collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "columnDefinitions": definitions, "rows": rows})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resource_has_a_cell_for_each_column() {
        let mut s = super::super::store::State::new("c", 1);
        for (res, r) in REGISTER.iter().enumerate() {
            let o = s.put(res, json!({"metadata": {"name": "x", "namespace": "a"}, "spec": {}, "status": {}}));
            assert_eq!(cells(res, &o).len(), columns(res).len(), "{}", r.plural);
        }
    }

    #[test]
    fn metrics_of_every_type_read_as_a_server_prints_them() {
        let metrics = json!([
            {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}},
            {"type": "External", "external": {"metric": {"name": "s0-kafka"}, "target": {"type": "AverageValue", "averageValue": "100"}}},
            {"type": "External", "external": {"metric": {"name": "lag"}, "target": {"type": "Value", "value": "2k"}}},
            {"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "30"}}},
            {"type": "ContainerResource", "containerResource": {"name": "memory", "container": "app", "target": {"averageValue": "1Gi"}}},
        ]);
        let now = json!([
            {"type": "Resource", "resource": {"current": {"averageUtilization": 143}}},
            {"type": "External", "external": {"current": {"averageValue": "120"}}},
            {"type": "External", "external": {"current": {"value": "1500"}}},
        ]);
        assert_eq!(targets(&metrics, &now), "cpu: 143%/80%, 120/100 (avg) + 3 more...");
        let rest = ["1500/2k", "<unknown>/30", "memory: <unknown>/1Gi"];
        for (n, said) in rest.into_iter().enumerate() {
            assert_eq!(target(&metrics[n + 2], &now[n + 2]), said);
        }
        assert_eq!(targets(&Value::Null, &now), "<none>");
    }

    #[test]
    fn ages_read_as_kubectl_says_them() {
        for (secs, said) in [
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (3600, "60m"),
            (11_000, "3h3m"),
            (172_800, "2d"),
            (180_000, "2d2h"),
            (864_000, "10d"),
        ] {
            assert_eq!(human(secs), said);
        }
    }
}
