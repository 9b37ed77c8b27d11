//! Ingresses: hosts, paths, where these lead, and what the controller is told by annotations.

use super::svc::PortRef;
use super::{Interner, Labels, Meta, Str, wire};
use std::hash::{Hash as _, Hasher as _};

/// An Ingress (networking.k8s.io/v1).
#[derive(Clone, PartialEq, Debug)]
pub struct Ingress {
    pub meta: Meta,
    /// `spec.ingressClassName`, else the annotation of old.
    pub class: Option<Str>,
    /// A line a host and path, in their order; a host without paths has none here.
    pub routes: Box<[Route]>,
    /// Hosts that stand in its rules, in their order, once each; empty: any host.
    pub hosts: Box<[Str]>,
    /// What gets what no rule takes.
    pub default: Option<Backend>,
    pub tls: Box<[Tls]>,
    /// What the load balancer has: addresses or names.
    pub addresses: Box<[Str]>,
    /// What ingress-nginx is told by annotations, without their prefix; snippets as a fingerprint.
    pub settings: Labels,
}

/// One path of one host.
#[derive(Clone, PartialEq, Debug)]
pub struct Route {
    /// Empty: any host.
    pub host: Str,
    /// `/` where none is given.
    pub path: Str,
    /// `Exact`, `Prefix` or `ImplementationSpecific`.
    pub path_type: Str,
    /// None: a resource other than a Service.
    pub backend: Option<Backend>,
}

/// The port of a Service in the same namespace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backend {
    pub service: Str,
    pub port: PortRef,
}

impl std::fmt::Display for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.service, self.port)
    }
}

/// Hosts with one certificate.
#[derive(Clone, PartialEq, Debug)]
pub struct Tls {
    pub hosts: Box<[Str]>,
    pub secret: Option<Str>,
}

const PREFIX: &str = "nginx.ingress.kubernetes.io/";
const CLASS: &str = "kubernetes.io/ingress.class";

/// An annotation without its prefix, or none where nobody asks for it; of free text only whether it is the same.
fn setting(pair: &wire::Pair) -> Option<wire::Pair> {
    let key = pair.key.strip_prefix(PREFIX)?;
    let value = if key.ends_with("-snippet") {
        let mut hasher = std::hash::DefaultHasher::new();
        pair.value.trim().hash(&mut hasher);
        format!("#{:08x}", hasher.finish() >> 32)
    } else {
        pair.value.clone()
    };
    Some(wire::Pair { key: key.to_owned(), value })
}

fn backend(b: Option<&wire::IngressBackend>, i: &mut Interner) -> Option<Backend> {
    let service = b?.service.as_ref()?;
    let port = service.port.clone().unwrap_or_default();
    let port = if port.name.is_empty() { PortRef::Number(port.number) } else { PortRef::Name(i.str(&port.name)) };
    Some(Backend { service: i.str(&service.name), port })
}

impl Ingress {
    /// Projects the wire's object.
    pub fn of(o: &wire::Ingress, i: &mut Interner) -> Self {
        let (spec, status) = (o.spec.clone().unwrap_or_default(), o.status.clone().unwrap_or_default());
        let annotations = o.metadata.as_ref().map(|m| m.annotations.as_slice()).unwrap_or_default();
        let old = || annotations.iter().find(|p| p.key == CLASS).map_or("", |p| p.value.as_str());
        let (mut routes, mut hosts) = (Vec::new(), Vec::<Str>::new());
        for rule in &spec.rules {
            let host = i.str(&rule.host);
            if !host.is_empty() && !hosts.contains(&host) {
                hosts.push(host.clone());
            }
            let http = rule.value.as_ref().and_then(|v| v.http.as_ref());
            for path in http.map(|h| h.paths.as_slice()).unwrap_or_default() {
                routes.push(Route {
                    host: host.clone(),
                    path: i.str(if path.path.is_empty() { "/" } else { &path.path }),
                    path_type: i.str(if path.path_type.is_empty() { "ImplementationSpecific" } else { &path.path_type }),
                    backend: backend(path.backend.as_ref(), i),
                });
            }
        }
        let settings: Vec<wire::Pair> = annotations.iter().filter_map(setting).collect();
        let balancer = status.load_balancer.unwrap_or_default();
        Self {
            meta: Meta::of(o.metadata.as_ref(), i),
            class: i.opt(if spec.ingress_class_name.is_empty() { old() } else { &spec.ingress_class_name }),
            routes: routes.into(),
            hosts: hosts.into(),
            default: backend(spec.default_backend.as_ref(), i),
            tls: spec
                .tls
                .iter()
                .map(|t| Tls { hosts: t.hosts.iter().map(|h| i.str(h)).collect(), secret: i.opt(&t.secret_name) })
                .collect(),
            addresses: balancer.ingress.iter().map(|a| i.str(if a.ip.is_empty() { &a.hostname } else { &a.ip })).collect(),
            settings: i.labels(&settings),
        }
    }

    /// All that it leads to, the default first, once each.
    pub fn backends(&self) -> Vec<&Backend> {
        let mut all: Vec<&Backend> = Vec::new();
        for backend in self.default.iter().chain(self.routes.iter().filter_map(|r| r.backend.as_ref())) {
            if !all.contains(&backend) {
                all.push(backend);
            }
        }
        all
    }

    /// The certificate's Secret for a host: none where it has no TLS, an inner none where TLS is without one (the controller's own).
    pub fn certificate(&self, host: &str) -> Option<Option<&Str>> {
        let covers = |h: &Str| &**h == host || wildcard(h, host);
        self.tls.iter().find(|t| t.hosts.is_empty() || t.hosts.iter().any(covers)).map(|t| t.secret.as_ref())
    }

    /// It takes a share of another's traffic, and is no rival.
    pub fn canary(&self) -> bool {
        self.settings.get("canary") == Some("true")
    }

    /// Whether ingress-nginx is who serves it, as far as class and annotations say.
    pub fn nginx(&self) -> bool {
        match self.class.as_deref() {
            Some(class) => class.contains("nginx") || !self.settings.is_empty(),
            None => !self.settings.is_empty(),
        }
    }
}

/// Whether a wildcard host (`*.example.com`) has another in it: one label more, and no wildcard itself.
pub fn wildcard(pattern: &str, host: &str) -> bool {
    let rest = pattern.strip_prefix("*.");
    rest.is_some_and(|rest| host.split_once('.').is_some_and(|(first, parent)| parent == rest && first != "*"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, Object, decode_json, decode_proto, object::json_to_proto};
    use serde_json::json;

    #[test]
    fn both_encodings_say_the_same_and_a_snippet_is_not_kept() {
        let value = json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u", "annotations": {
                "nginx.ingress.kubernetes.io/ssl-redirect": "false", "nginx.ingress.kubernetes.io/server-snippet": "proxy_set_header Authorization hunter2;",
                "kubernetes.io/ingress.class": "old", "other/x": "y"}},
            "spec": {"ingressClassName": "nginx", "tls": [{"hosts": ["a.example.com"], "secretName": "cert"}, {"hosts": ["*.b.example.com"]}],
                "defaultBackend": {"service": {"name": "fallback", "port": {"number": 80}}},
                "rules": [{"host": "a.example.com", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"name": "http"}}}},
                        {"pathType": "Exact", "backend": {"resource": {"kind": "Bucket", "name": "b"}}}]}},
                    {"host": "x.b.example.com"}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}, {"hostname": "lb"}]}}});
        let mut i = Interner::default();
        let one = decode_json(Kind::Ingress, value.to_string().as_bytes(), &mut i).unwrap();
        assert_eq!(one, decode_proto(Kind::Ingress, &json_to_proto(Kind::Ingress, &value).unwrap(), &mut i).unwrap());
        assert!(!format!("{one:?}").contains("hunter2"));
        let Object::Ingress(ing) = one else { panic!() };
        assert_eq!(ing.class.as_deref(), Some("nginx"));
        assert_eq!(ing.backends().iter().map(ToString::to_string).collect::<Vec<_>>(), ["fallback:80", "web:http"]);
        assert_eq!(ing.routes.iter().map(|r| (&*r.path, &*r.path_type)).collect::<Vec<_>>(), [("/", "Prefix"), ("/", "Exact")]);
        assert_eq!(ing.hosts.len(), 2);
        assert_eq!(ing.settings.iter().map(|(k, _)| k).collect::<Vec<_>>(), ["server-snippet", "ssl-redirect"]);
        assert_eq!(ing.addresses.iter().map(|a| &**a).collect::<Vec<_>>(), ["1.2.3.4", "lb"]);
        assert_eq!(ing.certificate("a.example.com").map(|s| s.map(|s| &**s)), Some(Some("cert")));
        assert_eq!((ing.certificate("x.b.example.com"), ing.certificate("c.example.com")), (Some(None), None));
        assert!(ing.nginx() && !ing.canary());
    }

    #[test]
    fn a_wildcard_has_one_label_in_it() {
        for (pattern, host, is) in [
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.example.com", "*.example.com", false),
            ("a.example.com", "a.example.com", false),
        ] {
            assert_eq!(wildcard(pattern, host), is, "{pattern} {host}");
        }
    }
}
