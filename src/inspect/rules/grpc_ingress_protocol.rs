//! An Ingress that speaks HTTP/1.1 to what speaks gRPC.

use crate::inspect::{Judge, Need, RuleInfo, Severity, Verdict};
use crate::model::{Ingress, Kind, Object};

pub static RULE: RuleInfo = RuleInfo {
    id: "grpc-ingress-protocol",
    area: "network",
    tier: 1,
    burns: false,
    severity: Severity::Warning,
    scope: "ingress",
    summary: "An Ingress of ingress-nginx leads to a gRPC port without backend-protocol GRPC, without TLS, or to other ports too under that protocol",
    why: "The controller speaks HTTP/1.1 to the pod by default and gRPC fails or is balanced per connection.",
    kinds: &[Kind::Ingress],
    needs: &[Need::Kind(Kind::Service)],
    leans_on: &[Kind::Service],
    thresholds: &[],
    peers: &[],
    links: &[
        "https://kubernetes.github.io/ingress-nginx/examples/grpc/",
        "https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/#backend-protocol",
    ],
    judge,
};

/// A path whose port is known.
struct Path {
    /// `a.example.com/api`.
    place: String,
    host: String,
    to: String,
    /// By what the port is known to speak gRPC.
    grpc: Option<String>,
}

fn paths(judge: &Judge<'_>, ingress: &Ingress) -> Vec<Path> {
    let known = |host: &str, path: &str, backend: &crate::model::ingress::Backend| {
        let Object::Svc(service) = judge.cluster.named(Kind::Service, &ingress.meta.namespace, &backend.service)? else { return None };
        let port = service.port(&backend.port)?;
        let place = format!("{}{path}", if host.is_empty() { "*" } else { host });
        Some(Path { place, host: host.to_owned(), to: backend.to_string(), grpc: port.grpc() })
    };
    let default = ingress.default.iter().filter_map(|b| known("", "", b));
    default.chain(ingress.routes.iter().filter_map(|r| known(&r.host, &r.path, r.backend.as_ref()?))).collect()
}

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(Object::Ingress(ingress)) = judge.object else { return Verdict::Fine };
    if !ingress.nginx() || ingress.meta.deleting.is_some() {
        return Verdict::Fine;
    }
    let paths = paths(judge, ingress);
    let (grpc, other): (Vec<&Path>, Vec<&Path>) = paths.iter().partition(|p| p.grpc.is_some());
    let Some(first) = grpc.first() else { return Verdict::Fine };
    let protocol = ingress.settings.get("backend-protocol").unwrap_or("HTTP").trim().to_ascii_uppercase();
    let speaks = matches!(protocol.as_str(), "GRPC" | "GRPCS");
    let open = grpc.iter().find(|p| ingress.certificate(&p.host).is_none());
    let (message, next) = match (speaks, open, other.first()) {
        (false, _, Some(_)) => (
            format!("{} leads to gRPC at {} as {protocol}", first.place, first.to),
            "Move the gRPC paths to an Ingress of their own with the annotation backend-protocol: GRPC, and TLS",
        ),
        (false, _, None) => (
            format!("{} leads to gRPC at {} as {protocol}", first.place, first.to),
            "Set the annotation backend-protocol: GRPC, and TLS for the host",
        ),
        (true, Some(open), _) => {
            (format!("{} speaks gRPC without TLS: no HTTP/2 is negotiated", open.place), "Give the host a certificate under spec.tls")
        }
        (true, None, Some(other)) => (
            format!("{} leads to {}, which is not known to speak gRPC, as {protocol}", other.place, other.to),
            "Move it to an Ingress of its own, or say appProtocol: grpc at its port",
        ),
        (true, None, None) => return Verdict::Fine,
    };
    let mut finding = judge.finding(Severity::Warning, ingress.meta.created, message).with("backend-protocol", protocol, None);
    for path in paths.iter().take(6) {
        finding = finding.with(&path.place, format!("{}: {}", path.to, path.grpc.as_deref().unwrap_or("not known to speak gRPC")), None);
    }
    Verdict::Burning(finding.then(next).edit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture::{Fleet, ingress, service};
    use serde_json::json;

    #[test]
    fn the_protocol_tls_and_a_mix() {
        let fleet = |protocol: Option<&str>, tls: bool, mixed: bool, app: &str| {
            let mut f = Fleet::default();
            let mut rpc = service("rpc", "rpc");
            rpc["spec"]["ports"][0]["appProtocol"] = json!(app);
            let paths: &[(&str, &str)] = if mixed { &[("/rpc", "rpc"), ("/web", "web")] } else { &[("/rpc", "rpc")] };
            let mut i = ingress("i", "a.example.com", paths);
            if let Some(protocol) = protocol {
                i["metadata"]["annotations"] = json!({"nginx.ingress.kubernetes.io/backend-protocol": protocol});
            }
            if tls {
                i["spec"]["tls"] = json!([{"hosts": ["a.example.com"], "secretName": "c"}]);
            }
            f.put(Kind::Ingress, [i]).put(Kind::Service, [rpc, service("web", "web")]);
            f.finding(Kind::Ingress, "i", RULE.id).map(|f| f.message.clone())
        };
        let says = |m: Option<String>, what: &str| assert!(m.as_deref().is_some_and(|m| m.contains(what)), "{m:?}");
        assert_eq!(fleet(Some("GRPC"), true, false, "grpc"), None);
        assert_eq!(fleet(None, true, false, "http"), None);
        says(fleet(None, true, false, "grpc"), "leads to gRPC at rpc:80 as HTTP");
        says(fleet(Some("grpcs"), false, false, "kubernetes.io/h2c"), "without TLS");
        says(fleet(Some("GRPC"), true, true, "grpc"), "a.example.com/web leads to web:80, which is not known");
    }

    #[test]
    fn other_controllers_are_not_judged_by_nginx_annotations() {
        let mut f = Fleet::default();
        let mut rpc = service("rpc", "rpc");
        rpc["spec"]["ports"][0]["appProtocol"] = json!("grpc");
        let mut i = ingress("i", "a.example.com", &[("/", "rpc")]);
        i["spec"]["ingressClassName"] = json!("traefik");
        f.put(Kind::Service, [rpc]).put(Kind::Ingress, [i]);
        assert_eq!(f.severity(Kind::Ingress, "i", RULE.id), None);
    }
}
