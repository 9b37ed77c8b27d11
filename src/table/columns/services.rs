//! Services of the API, with the counts of their EndpointSlices.

use super::*;
use crate::model::svc::SvcPort;
use crate::model::{Endpoints, Svc};

reader!(svc: Svc);

/// What its slices say together; none where they are not seen, or it selects nothing and has none.
fn endpoints<'a, V: Into<Value<'a>>>(r: Row<'a>, f: impl FnOnce(Endpoints) -> V) -> Value<'a> {
    let Row::Object(cluster, Object::Svc(s)) = r else { return Value::None };
    cluster.endpoints(s).filter(|e| s.selects() || e.all > 0).map(f).into()
}

/// One that selects pods and reaches none is as bad as its row.
fn ready_tone(ctx: &Ctx<'_>, row: Row<'_>, value: &Value<'_>) -> Tone {
    if value.is_none() { Tone::Dim } else { row_tone(ctx, row, value) }
}

fn selector(s: &Svc) -> Option<String> {
    let pairs: Vec<String> = s.selector.iter().map(|(k, v)| format!("{k}={v}")).collect();
    (!pairs.is_empty()).then(|| pairs.join(","))
}

pub(super) static COLUMNS: &[Column] = &[
    CLUSTER,
    KIND,
    NAMESPACE,
    NAME,
    col("type", "TYPE", Unit::Text, |_, r| svc(r, |s| &s.class), "ClusterIP, NodePort, LoadBalancer or ExternalName: `spec.type`")
        .width(8, 12)
        .leave(20),
    col(
        "endpoints_ready",
        "ENDPOINTS",
        Unit::Ratio,
        |_, r| endpoints(r, |e| Value::Ratio(e.ready.into(), e.all.into())),
        "Ready endpoints of all, over its EndpointSlices: `endpoints[].conditions.ready`; JSON has the first. Of two address families one counts",
    )
    .leave(1)
    .tone(ready_tone),
    col("endpoints", "ALL", Unit::Number, |_, r| endpoints(r, |e| i64::from(e.all)), "Its endpoints, ready or not").hidden(),
    col(
        "endpoints_terminating",
        "TERMINATING",
        Unit::Number,
        |_, r| endpoints(r, |e| i64::from(e.terminating)),
        "Its endpoints whose pods are going: `endpoints[].conditions.terminating`",
    )
    .wide()
    .leave(55)
    .tone(some_tone),
    col(
        "cluster_ip",
        "CLUSTER-IP",
        Unit::Text,
        |_, r| svc(r, |s| if s.headless { Some("None") } else { s.ip.as_deref() }),
        "Its address in the cluster: `spec.clusterIP`, None where it is headless",
    )
    .width(4, 15)
    .leave(30),
    col(
        "ports",
        "PORTS",
        Unit::List,
        |_, r| svc(r, |s| list(s.ports.iter().map(SvcPort::text))),
        "Its ports as kubectl has them: `port[:nodePort]/protocol` of each",
    )
    .width(6, 32)
    .leave(10),
    col("selector", "SELECTOR", Unit::Text, |_, r| svc(r, selector), "The labels of the pods that it selects: `spec.selector`")
        .width(8, 44)
        .leave(40),
    AGE,
    col(
        "outside",
        "EXTERNAL",
        Unit::List,
        |_, r| svc(r, |s| list(s.outside.iter().map(|a| &**a))),
        "Where it is reached from outside: its load balancer's addresses, `spec.externalIPs`, `spec.externalName`",
    )
    .width(8, 32)
    .wide()
    .leave(50),
    col(
        "target_ports",
        "TARGETS",
        Unit::List,
        |_, r| svc(r, |s| list(s.ports.iter().map(|p| p.target.to_string()))),
        "The ports of the pods that its ports lead to: `spec.ports[].targetPort`, the port itself where there is none",
    )
    .width(6, 24)
    .wide()
    .leave(52),
    col(
        "app_protocols",
        "PROTOCOLS",
        Unit::List,
        |_, r| svc(r, |s| list(s.ports.iter().filter_map(|p| p.app.as_deref()))),
        "What its ports speak, where that is said: `spec.ports[].appProtocol`",
    )
    .hidden(),
    OWNER.hidden(),
    LABELS,
    DELETED,
];
