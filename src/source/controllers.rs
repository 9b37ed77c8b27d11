//! What ingress-nginx believes of those before it: its controllers, found by their usual labels and known by their arguments, the ConfigMap that
//! these name, and the Services that lead to them. Read for `asked`; only the keys and annotations that rules read are kept.

use super::asked::{ANSWER, Named, Wire, allowed, list};
use crate::client::{Ask, ClientError, ReadClient};
use crate::model::asked::{Controller, INGRESS_NGINX, Way};
use crate::model::{Labels, Str};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The keys of its ConfigMap that are read.
const KEYS: [&str; 6] = [
    "use-forwarded-headers",
    "compute-full-forwarded-for",
    "use-proxy-protocol",
    "proxy-real-ip-cidr",
    "ssl-redirect",
    "force-ssl-redirect",
];
/// The program in its image.
const PROGRAM: &str = "/nginx-ingress-controller";

/// What an annotation must say.
#[derive(Clone, Copy)]
enum Says {
    Something,
    True,
    /// Anything but this.
    Not(&'static str),
    Contains(&'static str),
}

impl Says {
    fn is(self, value: &str) -> bool {
        match self {
            Self::Something => !value.is_empty(),
            Self::True => value == "true",
            Self::Not(other) => !value.is_empty() && value != other,
            Self::Contains(part) => value.contains(part),
        }
    }
}

/// By which annotations a balancer ends TLS.
const ENDS_TLS: [(&str, Says); 8] = [
    ("service.beta.kubernetes.io/aws-load-balancer-ssl-cert", Says::Something),
    ("service.beta.kubernetes.io/do-loadbalancer-certificate-id", Says::Something),
    ("service.beta.kubernetes.io/alibaba-cloud-loadbalancer-cert-id", Says::Something),
    ("service.beta.kubernetes.io/oci-load-balancer-ssl-ports", Says::Something),
    ("service.beta.kubernetes.io/scw-loadbalancer-certificate-ids", Says::Something),
    ("service.beta.kubernetes.io/ncloud-load-balancer-ssl-cert", Says::Something),
    ("load-balancer.hetzner.cloud/http-certificates", Says::Something),
    ("loadbalancer.openstack.org/default-tls-container-ref", Says::Something),
];
/// By which it encrypts again what it has decrypted.
const ENCRYPTS: [(&str, Says); 4] = [
    ("service.beta.kubernetes.io/aws-load-balancer-backend-protocol", Says::Contains("ssl")),
    ("service.beta.kubernetes.io/aws-load-balancer-backend-protocol", Says::Contains("https")),
    ("service.beta.kubernetes.io/do-loadbalancer-tls-passthrough", Says::True),
    ("service.beta.kubernetes.io/oci-load-balancer-backend-protocol", Says::Contains("SSL")),
];
/// By which it speaks the PROXY protocol.
const SPEAKS_PROXY: [(&str, Says); 9] = [
    ("service.beta.kubernetes.io/aws-load-balancer-proxy-protocol", Says::Something),
    ("service.beta.kubernetes.io/aws-load-balancer-target-group-attributes", Says::Contains("proxy_protocol_v2.enabled=true")),
    ("service.beta.kubernetes.io/do-loadbalancer-enable-proxy-protocol", Says::True),
    ("service.beta.kubernetes.io/scw-loadbalancer-proxy-protocol-v1", Says::Not("false")),
    ("service.beta.kubernetes.io/scw-loadbalancer-proxy-protocol-v2", Says::Not("false")),
    ("service.beta.kubernetes.io/oci-load-balancer-connection-proxy-protocol-version", Says::Something),
    ("service.beta.kubernetes.io/ncloud-load-balancer-proxy-protocol", Says::True),
    ("load-balancer.hetzner.cloud/uses-proxyprotocol", Says::True),
    ("loadbalancer.openstack.org/proxy-protocol", Says::Not("false")),
];
/// What the annotations of balancers begin with that can be told to speak it.
const TELLS: [&str; 7] = [
    "service.beta.kubernetes.io/aws-load-balancer-",
    "service.beta.kubernetes.io/do-loadbalancer-",
    "service.beta.kubernetes.io/scw-loadbalancer-",
    "service.beta.kubernetes.io/oci-load-balancer-",
    "service.beta.kubernetes.io/ncloud-load-balancer-",
    "load-balancer.hetzner.cloud/",
    "loadbalancer.openstack.org/",
];

type Annotations = BTreeMap<String, String>;

/// The first of these annotations that stands there, as `name=value`.
fn first(annotations: &Annotations, of: &[(&str, Says)]) -> Option<Str> {
    let said = |(name, says): &(&str, Says)| annotations.get(*name).filter(|v| says.is(v)).map(|v| format!("{name}={v}").into());
    of.iter().find_map(said)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Workload {
    template: Template,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Template {
    metadata: Named,
    spec: Pod,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Pod {
    host_network: bool,
    containers: Vec<Container>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Container {
    image: String,
    command: Vec<String>,
    args: Vec<String>,
}

impl Container {
    fn controller(&self) -> bool {
        let image = self.image.contains("ingress-nginx/controller") || self.image.contains("nginx-ingress-controller");
        image || self.command.iter().chain(&self.args).any(|a| a == PROGRAM)
    }

    /// The value of a flag: `--configmap=a/b`, or the word after `--configmap`.
    fn flag(&self, name: &str) -> Option<&str> {
        let words: Vec<&str> = self.command.iter().chain(&self.args).map(String::as_str).collect();
        let of = |at: usize| {
            let rest = words[at].trim_start_matches('-').strip_prefix(name)?;
            if rest.is_empty() { words.get(at + 1).copied() } else { rest.strip_prefix('=') }
        };
        (0..words.len()).filter(|at| words[*at].starts_with('-')).find_map(of)
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Service {
    r#type: String,
    selector: BTreeMap<String, String>,
}

fn way(service: Wire<Service>, pods: &BTreeMap<String, String>) -> Option<Way> {
    let (spec, annotations) = (service.spec, service.metadata.annotations);
    let selects = !spec.selector.is_empty() && spec.selector.iter().all(|(k, v)| pods.get(k) == Some(v));
    let again = first(&annotations, &ENCRYPTS).is_some();
    let outside = selects && matches!(spec.r#type.as_str(), "LoadBalancer" | "NodePort");
    outside.then(|| Way {
        service: service.metadata.name.into(),
        class: spec.r#type.into(),
        tls: first(&annotations, &ENDS_TLS).filter(|_| !again),
        proxy: first(&annotations, &SPEAKS_PROXY),
        told: annotations.keys().any(|k| TELLS.iter().any(|t| k.starts_with(t))),
    })
}

async fn settings(client: &ReadClient, config: &str) -> Result<Labels, ClientError> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(default)]
        data: Option<BTreeMap<String, String>>,
    }
    let Some((namespace, name)) = config.split_once('/') else { return Ok(Labels::default()) };
    allowed(client, Ask { verb: "get", resource: "configmaps", namespace: Some(namespace), name: Some(name), ..Ask::default() }).await?;
    let path = format!("/api/v1/namespaces/{namespace}/configmaps/{name}");
    match client.get_within::<Config>(&path, 1 << 20, ANSWER).await {
        Ok(config) => {
            let mut all = config.data.unwrap_or_default();
            let kept = KEYS.iter().filter_map(|k| Some((Str::from(*k), Str::from(all.remove(*k)?.trim()))));
            let mut kept: Vec<(Str, Str)> = kept.collect();
            kept.sort();
            Ok(kept.into())
        }
        // It then has its defaults.
        Err(ClientError::NotFound { .. }) => Ok(Labels::default()),
        Err(error) => Err(error),
    }
}

/// The controllers of a cluster.
pub(super) async fn controllers(client: &ReadClient) -> Result<Box<[Controller]>, ClientError> {
    let mut found: BTreeMap<(String, String, &str), Wire<Workload>> = BTreeMap::new();
    for (plural, kind) in [("deployments", "Deployment"), ("daemonsets", "DaemonSet")] {
        for (label, names) in INGRESS_NGINX {
            let selector = format!("{label}%20in%20({})", names.join(","));
            let all: Vec<Wire<Workload>> = list(client, &format!("/apis/apps/v1/{plural}?labelSelector={selector}")).await?;
            found.extend(all.into_iter().map(|w| ((w.metadata.namespace.clone(), w.metadata.name.clone(), kind), w)));
        }
    }
    let mut all = Vec::new();
    for ((namespace, name, kind), workload) in found {
        let Template { metadata, spec } = workload.spec.template;
        let Some(container) = spec.containers.iter().find(|c| c.controller()) else { continue };
        let config = container.flag("configmap").map(|c| c.replace("$(POD_NAMESPACE)", &namespace));
        let settings = match &config {
            Some(config) => settings(client, config).await?,
            None => Labels::default(),
        };
        let services: Vec<Wire<Service>> = list(client, &format!("/api/v1/namespaces/{namespace}/services")).await?;
        all.push(Controller {
            ways: services.into_iter().filter_map(|s| way(s, &metadata.labels)).collect(),
            class: container.flag("ingress-class").unwrap_or("nginx").into(),
            namespace: namespace.into(),
            of: (kind.into(), name.into()),
            config: config.map(Str::from),
            settings,
            host_network: spec.host_network,
        });
    }
    Ok(all.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fake::{Server, connect, reply};
    use serde_json::{Value, json};

    fn workload(name: &str, args: Value) -> Value {
        json!({"metadata": {"name": name, "namespace": "edge"}, "spec": {"template": {"metadata": {"labels": {"app": "in", "x": "y"}},
            "spec": {"containers": [{"image": "sidecar:1"}, {"image": "registry.example.com/edge:1", "args": args}]}}}})
    }

    async fn read(annotations: Value, data: Value) -> Box<[Controller]> {
        let server = Server::start(move |r| {
            let list = |items: &[Value]| reply(200, json!({"items": items}).to_string());
            match r.uri().path() {
                "/apis/apps/v1/deployments" if r.uri().query().is_some_and(|q| q.contains("app.kubernetes.io")) => list(&[
                    workload("backend", json!(["/server"])),
                    workload("in", json!([PROGRAM, "--configmap=$(POD_NAMESPACE)/conf", "--ingress-class", "outer"])),
                ]),
                "/apis/apps/v1/deployments" | "/apis/apps/v1/daemonsets" => list(&[]),
                "/api/v1/namespaces/edge/configmaps/conf" => reply(200, json!({"data": data}).to_string()),
                "/api/v1/namespaces/edge/services" => {
                    let service = |name: &str, class: &str, selector: Value, annotations: Value| json!({"metadata": {"name": name, "annotations": annotations}, "spec": {"type": class, "selector": selector}});
                    list(&[
                        service("in", "LoadBalancer", json!({"app": "in"}), annotations.clone()),
                        service("inner", "ClusterIP", json!({"app": "in"}), json!({})),
                        service("other", "NodePort", json!({"app": "other"}), json!({})),
                        service("nobody", "NodePort", json!({}), json!({})),
                    ])
                }
                "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" => reply(201, r#"{"status":{"allowed":true}}"#),
                path => panic!("{path} is not for it"),
            }
        })
        .await;
        controllers(&connect(&server, "").await).await.unwrap()
    }

    #[tokio::test]
    async fn a_controller_its_keys_and_the_way_to_it() {
        let cert = "service.beta.kubernetes.io/aws-load-balancer-ssl-cert";
        let all =
            read(json!({cert: "arn:x", "note": "kept by nobody"}), json!({"use-forwarded-headers": "false", "http-snippet": "secret"}))
                .await;
        assert_eq!(all.len(), 1, "what has the label and is no controller is none: {all:?}");
        let one = &all[0];
        assert_eq!((&*one.of.0, &*one.of.1, one.config.as_deref(), &*one.class), ("Deployment", "in", Some("edge/conf"), "outer"));
        assert_eq!(one.settings.iter().collect::<Vec<_>>(), [("use-forwarded-headers", "false")]);
        let ways: Vec<_> = one.ways.iter().map(|w| (&*w.service, w.tls.as_deref(), w.proxy.as_deref(), w.told)).collect();
        assert_eq!(ways, [("in", Some(format!("{cert}=arn:x").as_str()), None, true)]);
    }

    #[tokio::test]
    async fn what_is_encrypted_again_has_not_ended_and_proxy_is_seen() {
        let aws = |name: &str| format!("service.beta.kubernetes.io/aws-load-balancer-{name}");
        let all = read(json!({aws("ssl-cert"): "arn:x", aws("backend-protocol"): "https"}), json!({})).await;
        assert_eq!((all[0].ways[0].tls.as_deref(), all[0].ways[0].proxy.as_deref()), (None, None));
        let all = read(json!({aws("target-group-attributes"): "a=b,proxy_protocol_v2.enabled=true"}), json!({})).await;
        assert!(all[0].ways[0].proxy.is_some());
    }
}
