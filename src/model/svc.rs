//! Services of the API. What tells of a cluster from beside it is [`super::Service`].

use super::{Interner, Labels, Meta, Str, wire};

/// A Service.
#[derive(Clone, PartialEq, Debug)]
pub struct Svc {
    pub meta: Meta,
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`.
    pub class: Str,
    /// The first of its addresses in the cluster; none: headless, or an external name.
    pub ip: Option<Str>,
    /// It has no address on purpose: `clusterIP: None`.
    pub headless: bool,
    /// Where it is reached from outside: of its load balancer, its external addresses, or the external name.
    pub outside: Box<[Str]>,
    pub ports: Box<[SvcPort]>,
    /// Empty: nobody keeps its endpoints but who made it.
    pub selector: Labels,
    /// Pods that are not ready get traffic too.
    pub unready_too: bool,
}

/// A port of a Service.
#[derive(Clone, PartialEq, Debug)]
pub struct SvcPort {
    pub name: Option<Str>,
    pub port: i32,
    pub target: PortRef,
    /// On every node; zero: none.
    pub node_port: i32,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Str,
    /// `appProtocol`: `grpc`, `kubernetes.io/h2c`...
    pub app: Option<Str>,
}

/// A port by number or by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PortRef {
    Number(i32),
    Name(Str),
}

impl PortRef {
    fn of(wire: Option<&wire::IntOrString>, otherwise: i32, i: &mut Interner) -> Self {
        match wire {
            Some(w) if w.kind == 1 => Self::Name(i.str(&w.text)),
            Some(w) if w.int != 0 => Self::Number(w.int),
            _ => Self::Number(otherwise),
        }
    }
}

impl std::fmt::Display for PortRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(n) => write!(f, "{n}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl SvcPort {
    /// As kubectl has it: `80/TCP`, `80:30080/TCP`.
    pub fn text(&self) -> String {
        match self.node_port {
            0 => format!("{}/{}", self.port, self.protocol),
            node => format!("{}:{node}/{}", self.port, self.protocol),
        }
    }

    /// By what it is known to speak gRPC: its protocol, or its name; none where nothing says so.
    pub fn grpc(&self) -> Option<String> {
        let app = self.app.as_deref().filter(|a| matches!(*a, "grpc" | "grpcs" | "kubernetes.io/h2c"));
        let named = || self.name.as_deref().filter(|n| n.starts_with("grpc") || n.starts_with("http2"));
        app.map(|a| format!("appProtocol {a}")).or_else(|| named().map(|n| format!("port name {n}")))
    }
}

impl Svc {
    /// Projects the wire's object.
    pub fn of(o: &wire::Service, i: &mut Interner) -> Self {
        let (spec, status) = (o.spec.clone().unwrap_or_default(), o.status.clone().unwrap_or_default());
        let headless = spec.cluster_ip == "None";
        let balancer = status.load_balancer.unwrap_or_default();
        let named = balancer.ingress.iter().map(|a| if a.ip.is_empty() { &a.hostname } else { &a.ip });
        let outside = named.chain(&spec.external_ips).chain((spec.r#type == "ExternalName").then_some(&spec.external_name));
        Self {
            meta: Meta::of(o.metadata.as_ref(), i),
            class: i.str(if spec.r#type.is_empty() { "ClusterIP" } else { &spec.r#type }),
            ip: (!headless && !spec.cluster_ip.is_empty()).then(|| Str::from(&*spec.cluster_ip)),
            headless,
            outside: outside.filter(|a| !a.is_empty()).map(|a| Str::from(&**a)).collect(),
            ports: spec
                .ports
                .iter()
                .map(|p| SvcPort {
                    name: i.opt(&p.name),
                    port: p.port,
                    target: PortRef::of(p.target_port.as_ref(), p.port, i),
                    node_port: p.node_port,
                    protocol: i.str(if p.protocol.is_empty() { "TCP" } else { &p.protocol }),
                    app: i.opt(&p.app_protocol),
                })
                .collect(),
            selector: i.labels(&spec.selector),
            unready_too: spec.publish_not_ready_addresses,
        }
    }

    /// Its endpoints are the pods that it selects.
    pub fn selects(&self) -> bool {
        !self.selector.is_empty() && &*self.class != "ExternalName"
    }

    /// Whether it selects pods with these labels.
    pub fn takes(&self, labels: &Labels) -> bool {
        self.selects() && self.selector.iter().all(|(k, v)| labels.get(k) == Some(v))
    }

    /// It is reached from outside of the cluster by itself, without an Ingress.
    pub fn exposed(&self) -> bool {
        matches!(&*self.class, "NodePort" | "LoadBalancer")
    }

    /// The variables that a container gets of it where `enableServiceLinks` holds, and their bytes with names; none where it has no address.
    pub fn links(&self) -> Option<(u32, u32)> {
        let ip = self.ip.as_ref().filter(|_| &*self.class != "ExternalName")?.len();
        let name = self.meta.name.len();
        // NAME_SERVICE_HOST=10.0.0.1 and its end.
        let (mut count, mut bytes) = (1, name + "_SERVICE_HOST=".len() + ip + 1);
        for (n, port) in self.ports.iter().enumerate() {
            let number = port.port.to_string().len();
            let url = port.protocol.len() + "://:".len() + ip + number;
            let stem = name + "_PORT__".len() + number + port.protocol.len();
            if n == 0 {
                count += 2;
                bytes += name + "_SERVICE_PORT=".len() + number + 1 + name + "_PORT=".len() + url + 1;
            }
            if let Some(own) = &port.name {
                count += 1;
                bytes += name + "_SERVICE_PORT_=".len() + own.len() + number + 1;
            }
            count += 4;
            bytes += 4 * (stem + 2) + url + "_PROTO".len() + port.protocol.len() + "_PORT".len() + number + "_ADDR".len() + ip;
        }
        Some((count, u32::try_from(bytes).unwrap_or(u32::MAX)))
    }

    /// The port that a number or a name means.
    pub fn port(&self, of: &PortRef) -> Option<&SvcPort> {
        self.ports.iter().find(|p| match of {
            PortRef::Number(n) => p.port == *n,
            PortRef::Name(name) => p.name.as_ref() == Some(name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, Object, decode_json, decode_proto, object::json_to_proto};
    use serde_json::json;

    #[test]
    fn both_encodings_say_the_same() {
        let value = json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u"},
            "spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.1", "selector": {"app": "web"}, "externalIPs": ["1.2.3.4"], "ports": [
                {"name": "http", "port": 80, "targetPort": "web", "nodePort": 30080, "protocol": "TCP"},
                {"name": "rpc", "port": 9000, "appProtocol": "kubernetes.io/h2c"}]},
            "status": {"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}]}}});
        let mut i = Interner::default();
        let one = decode_json(Kind::Service, value.to_string().as_bytes(), &mut i).unwrap();
        assert_eq!(one, decode_proto(Kind::Service, &json_to_proto(Kind::Service, &value).unwrap(), &mut i).unwrap());
        let Object::Svc(svc) = one else { panic!() };
        assert_eq!(svc.ports.iter().map(SvcPort::text).collect::<Vec<_>>(), ["80:30080/TCP", "9000/TCP"]);
        assert_eq!((&svc.ports[0].target, &svc.ports[1].target), (&PortRef::Name("web".into()), &PortRef::Number(9000)));
        assert_eq!((svc.ports[0].grpc(), svc.ports[1].grpc().as_deref()), (None, Some("appProtocol kubernetes.io/h2c")));
        assert_eq!(svc.outside.iter().map(|a| &**a).collect::<Vec<_>>(), ["lb.example.com", "1.2.3.4"]);
        assert!(svc.exposed() && svc.selects() && !svc.headless && svc.ip.is_some());
        assert_eq!(svc.port(&PortRef::Name("rpc".into())).map(|p| p.port), Some(9000));
    }

    #[test]
    fn variables_are_counted_as_the_kubelet_makes_them() {
        let of = |spec: serde_json::Value| {
            let value = json!({"metadata": {"name": "db"}, "spec": spec});
            match decode_json(Kind::Service, value.to_string().as_bytes(), &mut Interner::default()).unwrap() {
                Object::Svc(svc) => svc.links(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(of(json!({"clusterIP": "None", "ports": [{"port": 1}]})), None);
        assert_eq!(of(json!({"ports": [{"port": 1}]})), None);
        let made = [
            "DB_SERVICE_HOST=10.0.0.1",
            "DB_SERVICE_PORT=80",
            "DB_SERVICE_PORT_HTTP=80",
            "DB_PORT=tcp://10.0.0.1:80",
            "DB_PORT_80_TCP=tcp://10.0.0.1:80",
            "DB_PORT_80_TCP_PROTO=tcp",
            "DB_PORT_80_TCP_PORT=80",
            "DB_PORT_80_TCP_ADDR=10.0.0.1",
        ];
        let bytes = made.iter().map(|v| v.len() as u32 + 1).sum::<u32>();
        assert_eq!(of(json!({"clusterIP": "10.0.0.1", "ports": [{"name": "http", "port": 80}]})), Some((8, bytes)));
        let unnamed = of(json!({"clusterIP": "10.0.0.1", "ports": [{"port": 80}]})).unwrap();
        assert_eq!(unnamed, (7, bytes - made[2].len() as u32 - 1), "3 + named ports + 4 x ports");
    }

    #[test]
    fn what_has_no_address_and_what_selects_nothing() {
        let of = |spec: serde_json::Value| {
            let value = json!({"metadata": {"name": "x"}, "spec": spec});
            match decode_json(Kind::Service, value.to_string().as_bytes(), &mut Interner::default()).unwrap() {
                Object::Svc(svc) => svc,
                other => panic!("{other:?}"),
            }
        };
        let headless = of(json!({"clusterIP": "None", "selector": {"app": "x"}}));
        assert!(headless.headless && headless.ip.is_none() && headless.selects());
        let external = of(json!({"type": "ExternalName", "externalName": "db.example.com", "selector": {"app": "x"}}));
        assert!(!external.selects() && &*external.outside[0] == "db.example.com" && !external.headless);
        assert!(!of(json!({"clusterIP": "10.0.0.2"})).selects());
    }
}
