//! Ingresses.

use super::*;
use crate::model::Ingress;

reader!(ingress: Ingress);

/// Hosts with TLS of all hosts; without a host, whether there is TLS at all.
fn tls(i: &Ingress) -> Value<'_> {
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    if i.hosts.is_empty() {
        return Value::Ratio(i64::from(!i.tls.is_empty()), 1);
    }
    Value::Ratio(count(i.hosts.iter().filter(|h| i.certificate(h).is_some()).count()), count(i.hosts.len()))
}

/// Every path with where it leads: `a.example.com/api -> web:http`.
fn routes(i: &Ingress) -> Value<'_> {
    let all = i.routes.iter().map(|r| {
        let host = if r.host.is_empty() { "*" } else { &r.host };
        let to = r.backend.as_ref().map_or_else(|| "a resource".to_owned(), ToString::to_string);
        format!("{host}{} -> {to}", r.path)
    });
    list(all)
}

/// Its backends; those whose Service is not there are what is wrong with it.
fn backends(r: Row<'_>) -> Value<'_> {
    ingress(r, |i| list(i.backends().into_iter().map(ToString::to_string)))
}

pub(super) static COLUMNS: &[Column] = &[
    CLUSTER,
    KIND,
    NAMESPACE,
    NAME,
    col(
        "class",
        "CLASS",
        Unit::Text,
        |_, r| ingress(r, |i| i.class.as_ref()),
        "Who serves it: `spec.ingressClassName`, else the annotation `kubernetes.io/ingress.class`",
    )
    .width(5, 20)
    .leave(10),
    col(
        "hosts",
        "HOSTS",
        Unit::List,
        |_, r| ingress(r, |i| list(i.hosts.iter().map(|h| &**h))),
        "The hosts of its rules: `spec.rules[].host`; none: any host",
    )
    .width(8, 48)
    .leave(1),
    col(
        "backends",
        "BACKENDS",
        Unit::List,
        |_, r| backends(r),
        "The Services that it leads to, with the port: `spec.defaultBackend` first, then `spec.rules[].http.paths[].backend`, each once",
    )
    .width(8, 40)
    .leave(2)
    .tone(row_tone),
    col(
        "address",
        "ADDRESS",
        Unit::List,
        |_, r| ingress(r, |i| list(i.addresses.iter().map(|a| &**a))),
        "Where its controller is reached: `status.loadBalancer.ingress[]`, address or name",
    )
    .width(7, 32)
    .leave(20),
    col(
        "tls",
        "TLS",
        Unit::Ratio,
        |_, r| ingress(r, tls),
        "Its hosts that `spec.tls` covers, of all; JSON has the first. A wildcard covers one label",
    )
    .leave(15),
    AGE,
    col("routes", "ROUTES", Unit::List, |_, r| ingress(r, routes), "Every host and path with the Service that it leads to")
        .width(12, 60)
        .wide()
        .leave(50),
    col(
        "settings",
        "SETTINGS",
        Unit::Json,
        |_, r| ingress(r, |i| labels(&i.settings)),
        "What ingress-nginx is told: annotations `nginx.ingress.kubernetes.io/`, snippets as a fingerprint",
    )
    .width(8, 40)
    .hidden(),
    OWNER.hidden(),
    LABELS,
    DELETED,
];
