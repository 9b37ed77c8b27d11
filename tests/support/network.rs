//! What the fields of Services and Ingresses must be, from kubectl's JSON.

use super::derive::{Expected, World, list, text};
use serde_json::{Value, json};

fn addresses(of: &Value) -> Vec<Value> {
    let name = |a: &Value| if a["ip"].is_string() { a["ip"].clone() } else { a["hostname"].clone() };
    list(&of["status"]["loadBalancer"]["ingress"]).iter().map(name).collect()
}

/// The endpoints of a Service, of the address family that has most.
fn endpoints(o: &Value, w: &World) -> Vec<Value> {
    let meta = &o["metadata"];
    let of_it = |s: &&Value| {
        s["metadata"]["namespace"] == meta["namespace"] && s["metadata"]["labels"]["kubernetes.io/service-name"] == meta["name"]
    };
    let of = |family: &str| -> Vec<Value> {
        let slices = w.list("EndpointSlice").iter().filter(of_it).filter(|s| s["addressType"] == family);
        slices.flat_map(|s| list(&s["endpoints"]).iter().cloned()).collect()
    };
    ["IPv4", "IPv6", "FQDN"].map(of).into_iter().max_by_key(Vec::len).unwrap_or_default()
}

pub fn service(field: &str, o: &Value, w: &World) -> Option<Expected> {
    let spec = &o["spec"];
    let ports = list(&spec["ports"]);
    let selector = spec["selector"].as_object().filter(|s| !s.is_empty());
    let all = endpoints(o, w);
    let known = (selector.is_some() && spec["type"] != "ExternalName") || !all.is_empty();
    let count = |is: &dyn Fn(&Value) -> bool| if known { json!(all.iter().filter(|e| is(&e["conditions"])).count()) } else { Value::Null };
    Some(match field {
        "type" => spec["type"].clone().into(),
        "endpoints_ready" => count(&|c| c["ready"] != false).into(),
        "endpoints" => count(&|_| true).into(),
        "endpoints_terminating" => count(&|c| c["terminating"] == true).into(),
        "cluster_ip" => text(&spec["clusterIP"]).into(),
        "ports" => ports
            .iter()
            .map(|p| {
                let node = p["nodePort"].as_i64().map(|n| format!(":{n}")).unwrap_or_default();
                Value::from(format!("{}{node}/{}", p["port"], p["protocol"].as_str().unwrap()))
            })
            .collect::<Value>()
            .into(),
        "target_ports" => ports
            .iter()
            .map(|p| {
                Value::from(
                    p["targetPort"]
                        .as_str()
                        .map_or_else(|| p["targetPort"].as_i64().or(p["port"].as_i64()).unwrap().to_string(), str::to_owned),
                )
            })
            .collect::<Value>()
            .into(),
        "app_protocols" => ports.iter().map(|p| p["appProtocol"].clone()).filter(|p| !p.is_null()).collect::<Value>().into(),
        "selector" => selector
            .map_or(Value::Null, |s| {
                let mut pairs: Vec<String> = s.iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap())).collect();
                pairs.sort();
                pairs.join(",").into()
            })
            .into(),
        "outside" => {
            let external = Some(spec["externalName"].clone()).filter(|n| !n.is_null());
            addresses(o).into_iter().chain(list(&spec["externalIPs"]).iter().cloned()).chain(external).collect::<Value>().into()
        }
        _ => return None,
    })
}

pub fn ingress(field: &str, o: &Value) -> Option<Expected> {
    let spec = &o["spec"];
    let to = |b: &Value| {
        let service = &b["service"];
        let port = &service["port"];
        let port = port["name"].as_str().map_or_else(|| port["number"].to_string(), str::to_owned);
        service["name"].as_str().map(|name| format!("{name}:{port}"))
    };
    let mut hosts: Vec<&str> = Vec::new();
    let mut routes = Vec::new();
    let mut backends: Vec<String> = to(&spec["defaultBackend"]).into_iter().collect();
    for rule in list(&spec["rules"]) {
        let host = rule["host"].as_str().unwrap_or("");
        if !host.is_empty() && !hosts.contains(&host) {
            hosts.push(host);
        }
        for path in list(&rule["http"]["paths"]) {
            let leads = to(&path["backend"]);
            let host = if host.is_empty() { "*" } else { host };
            routes.push(format!("{host}{} -> {}", path["path"].as_str().unwrap_or("/"), leads.as_deref().unwrap_or("a resource")));
            backends.extend(leads.filter(|l| !backends.contains(l)));
        }
    }
    let tls = list(&spec["tls"]);
    let covers = |host: &str| {
        let wild = host.split_once('.').map(|(_, rest)| format!("*.{rest}"));
        tls.iter()
            .any(|t| list(&t["hosts"]).is_empty() || list(&t["hosts"]).iter().any(|h| h == host || wild.as_deref().is_some_and(|w| h == w)))
    };
    let annotations = o["metadata"]["annotations"].as_object();
    Some(match field {
        "class" => {
            let old = annotations.map_or(Value::Null, |a| a.get("kubernetes.io/ingress.class").cloned().unwrap_or(Value::Null));
            if spec["ingressClassName"].is_null() { old.into() } else { spec["ingressClassName"].clone().into() }
        }
        "hosts" => json!(hosts).into(),
        "backends" => json!(backends).into(),
        "routes" => json!(routes).into(),
        "address" => json!(addresses(o)).into(),
        "tls" if hosts.is_empty() => i64::from(!tls.is_empty()).into(),
        "tls" => hosts.iter().filter(|h| covers(h)).count().into(),
        "settings" => {
            let own = |(k, v): (&String, &Value)| Some((k.strip_prefix("nginx.ingress.kubernetes.io/")?.to_owned(), v.clone()));
            Value::Object(annotations.into_iter().flatten().filter_map(own).collect()).into()
        }
        _ => return None,
    })
}
