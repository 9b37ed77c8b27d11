//! One request: who asks, whether they may, what it is, and who answers it.

use super::list::list;
use super::logs;
use super::query::{Place, Query, place};
use super::register::{self, REGISTER};
use super::reply::{Accept, Encoding, Refusal, Reply, json_reply, truncated, whole};
use super::serve::Cluster;
use super::store::Obj;
use super::table;
use super::watch::watch;
use super::write::{self, PatchKind};
use crate::model::frame::{self, MEDIA_TYPE};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Larger bodies are refused, as the API server does.
const BODY: usize = 3 << 20;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Admin,
    Viewer,
}

impl Role {
    fn user(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Viewer => "viewer",
        }
    }
    fn may(self, verb: &str, resource: &str) -> bool {
        self == Self::Admin || (matches!(verb, "get" | "list" | "watch") && !matches!(resource, "nodes" | "secrets"))
    }
}

/// Answers a request.
pub async fn handle(cluster: Arc<Cluster>, request: Request<Incoming>) -> Reply {
    let faults = cluster.switch.now();
    if faults.slow > 0 {
        tokio::time::sleep(Duration::from_millis(faults.slow)).await;
    }
    let accept = Accept::of(request.headers());
    let reply = answer(&cluster, request, accept).await.unwrap_or_else(|refusal| refusal.reply(accept.encoding));
    match faults.truncated {
        Some(bytes) => truncated(reply, bytes),
        None => reply,
    }
}

async fn answer(cluster: &Arc<Cluster>, request: Request<Incoming>, accept: Accept) -> Result<Reply, Refusal> {
    let faults = cluster.switch.now();
    let token = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
    let role = match token {
        Some(t) if t == cluster.admin => Role::Admin,
        Some(t) if t == cluster.viewer => Role::Viewer,
        _ => return Err(Refusal::new(401, "Unauthorized", "Unauthorized")),
    };
    if faults.unauthorized {
        return Err(Refusal::new(401, "Unauthorized", "Unauthorized"));
    }
    if let Some(after) = faults.too_many {
        let mut refusal =
            Refusal::new(429, "TooManyRequests", "the server has received too many requests and has asked us to try again later");
        refusal.retry = Some(after);
        return Err(refusal);
    }
    if faults.broken {
        return Err(Refusal::new(500, "InternalError", "Internal error occurred: etcdserver: leader changed"));
    }
    let path = request.uri().path().to_owned();
    let query = Query::parse(request.uri().query().unwrap_or(""));
    let Some(place) = place(&path) else { return other(role, &path, request, accept).await };
    let method = request.method().clone();
    let resource = &REGISTER[place.res];
    let watching = query.flag("watch") && method == Method::GET && place.sub.is_none();
    let verb = match (&method, &place.name) {
        (&Method::GET, _) if watching => "watch",
        (&Method::GET, None) => "list",
        (&Method::GET, Some(_)) => "get",
        (&Method::POST, _) => "create",
        (&Method::PUT, _) => "update",
        (&Method::PATCH, _) => "patch",
        (&Method::DELETE, None) => "deletecollection",
        (&Method::DELETE, Some(_)) => "delete",
        _ => return Err(Refusal::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")),
    };
    if !role.may(verb, resource.plural) || faults.forbidden.iter().any(|f| f == resource.plural) {
        return Err(forbidden(role, verb, &place));
    }
    match verb {
        "watch" => watch(cluster, &place, &query, accept),
        "list" => list(cluster, &place, &query, accept).await,
        "get" => get(cluster, &place, &query, accept),
        _ => change(cluster, &place, &query, &method, request, accept).await,
    }
}

fn forbidden(role: Role, verb: &str, place: &Place) -> Refusal {
    let r = &REGISTER[place.res];
    let name = place.name.as_deref().map(|n| format!(" \"{n}\"")).unwrap_or_default();
    let scope = place.namespace.as_deref().map_or_else(|| "at the cluster scope".to_owned(), |n| format!("in the namespace \"{n}\""));
    let text = format!(
        "{}{name} is forbidden: User \"{}\" cannot {verb} resource \"{}\" in API group \"{}\" {scope}",
        r.qualified(),
        role.user(),
        r.plural,
        r.group
    );
    Refusal {
        about: Some(Box::new((place.name.clone().unwrap_or_default(), r.group.to_owned(), r.plural.to_owned()))),
        ..Refusal::new(403, "Forbidden", text)
    }
}

fn get(cluster: &Arc<Cluster>, place: &Place, query: &Query, accept: Accept) -> Result<Reply, Refusal> {
    let resource = &REGISTER[place.res];
    match place.sub.as_deref() {
        Some("log") => return logs::log(cluster, place, query),
        Some(sub) if !resource.subresources.contains(&sub) => {
            return Err(Refusal::new(404, "NotFound", "the server could not find the requested resource"));
        }
        _ => {}
    }
    let name = place.name.as_deref().unwrap_or("");
    let found = cluster.read().get(place.res, place.namespace.as_deref().unwrap_or(""), name).cloned();
    let object = found.ok_or_else(|| Refusal::not_found(resource, name))?;
    if place.sub.as_deref() == Some("scale") {
        return Ok(json_reply(200, &write::scale_of(&object)));
    }
    Ok(one(200, place.res, &object, query, accept))
}

/// One object in the encoding that was asked for.
fn one(code: u16, res: usize, object: &Arc<Obj>, query: &Query, accept: Accept) -> Reply {
    let resource = &REGISTER[res];
    match accept.encoding {
        Encoding::Table => {
            let mut doc = table::table(res, std::slice::from_ref(object), query.get("includeObject"));
            doc["metadata"] = json!({"resourceVersion": object.rv.to_string()});
            json_reply(code, &doc)
        }
        Encoding::Proto if resource.model.is_some() => {
            whole(code, MEDIA_TYPE, frame::seal(&resource.api_version(), resource.kind, object.proto(res).to_vec()))
        }
        _ => whole(code, "application/json", Bytes::copy_from_slice(&object.json)),
    }
}

async fn body(request: Request<Incoming>) -> Result<Bytes, Refusal> {
    let body = Limited::new(request.into_body(), BODY).collect().await;
    body.map(|b| b.to_bytes()).map_err(|_| Refusal::new(413, "RequestEntityTooLarge", "limit is 3145728"))
}

/// JSON, or YAML where it is none.
fn read(bytes: &[u8]) -> Result<Value, Refusal> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(bytes)
        .or_else(|e| serde_saphyr::from_slice(bytes).map_err(|_| Refusal::bad(format!("the body is neither JSON nor YAML: {e}"))))
}

async fn change(
    cluster: &Arc<Cluster>,
    place: &Place,
    query: &Query,
    method: &Method,
    request: Request<Incoming>,
    accept: Accept,
) -> Result<Reply, Refusal> {
    let content = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("application/json").to_owned();
    if content.starts_with(MEDIA_TYPE) {
        return Err(Refusal::new(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml",
        ));
    }
    let bytes = body(request).await?;
    let sent = read(&bytes)?;
    if place.sub.as_deref().is_some_and(|s| !REGISTER[place.res].subresources.contains(&s)) {
        return Err(Refusal::new(404, "NotFound", "the server could not find the requested resource"));
    }
    let (code, value) = match *method {
        Method::POST => match place.sub.as_deref() {
            Some("eviction") => (201, cluster.change(|s| write::evict(s, place, query, &sent))?),
            None if place.name.is_none() => (201, cluster.change(|s| write::create(s, place, query, sent))?),
            _ => return Err(Refusal::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")),
        },
        Method::PUT => (200, cluster.change(|s| write::update(s, place, query, sent))?),
        Method::PATCH => {
            let kind = PatchKind::of(&content)
                .ok_or_else(|| Refusal::new(415, "UnsupportedMediaType", "the body of the request was in an unknown format"))?;
            (200, cluster.change(|s| write::patched(s, place, query, kind, &sent))?)
        }
        _ => cluster.change(|s| write::delete(s, place, query, &sent))?,
    };
    if accept.encoding == Encoding::Table && place.sub.is_none() && *method != Method::DELETE {
        let found = cluster
            .read()
            .get(place.res, value["metadata"]["namespace"].as_str().unwrap_or(""), value["metadata"]["name"].as_str().unwrap_or(""))
            .cloned();
        if let Some(object) = found.filter(|_| !query.dry_run()) {
            return Ok(one(code, place.res, &object, query, accept));
        }
    }
    Ok(json_reply(code, &value))
}

/// What is no resource: versions, health, discovery, reviews.
async fn other(role: Role, path: &str, request: Request<Incoming>, accept: Accept) -> Result<Reply, Refusal> {
    let missing = || Refusal::new(404, "NotFound", "the server could not find the requested resource");
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let aggregated = |core: bool| {
        whole(200, "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", register::aggregated(core).to_string())
    };
    if request.method() == Method::POST {
        let kind = (parts.first() == Some(&"apis")).then(|| parts.last().copied()).flatten().unwrap_or("").to_owned();
        if !REVIEWS.contains(&kind.as_str()) {
            return Err(missing());
        }
        let bytes = body(request).await?;
        let review = if bytes.starts_with(&frame::MAGIC) { access_review(bytes)? } else { read(&bytes)? };
        return Ok(json_reply(201, &reviewed(role, &kind, review)));
    }
    let doc = match parts.as_slice() {
        ["version"] => {
            json!({"major": "1", "minor": "36", "gitVersion": "v1.36.3", "gitCommit": "0000000000000000000000000000000000000000", "gitTreeState": "clean", "buildDate": "2026-09-09T00:00:00Z",
            "goVersion": "go1.26.1", "compiler": "gc", "platform": "linux/amd64"})
        }
        ["healthz" | "livez" | "readyz", ..] => return Ok(whole(200, "text/plain; charset=utf-8", "ok")),
        ["api"] if accept.aggregated => return Ok(aggregated(true)),
        ["apis"] if accept.aggregated => return Ok(aggregated(false)),
        ["api"] => json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
        ["apis"] => register::group_list(),
        ["api", version] => register::resource_list("", version).ok_or_else(missing)?,
        ["apis", group] => register::one_group(group).ok_or_else(missing)?,
        ["apis", group, version] => register::resource_list(group, version).ok_or_else(missing)?,
        ["openapi", "v3"] => register::openapi_index(),
        ["openapi", "v3", "api", version] => register::openapi("", version),
        ["openapi", "v3", "apis", group, version] => register::openapi(group, version),
        _ => return Err(missing()),
    };
    Ok(json_reply(200, &doc))
}

const REVIEWS: [&str; 3] = ["selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"];

/// SelfSubjectAccessReview as kubectl sends it: protobuf.
#[derive(Clone, PartialEq, prost::Message)]
struct AccessReview {
    #[prost(message, optional, tag = "2")]
    spec: Option<AccessSpec>,
}
#[derive(Clone, PartialEq, prost::Message)]
struct AccessSpec {
    #[prost(message, optional, tag = "1")]
    resource: Option<AccessAsk>,
    #[prost(message, optional, tag = "2")]
    path: Option<PathAsk>,
}
#[derive(Clone, PartialEq, prost::Message)]
struct AccessAsk {
    #[prost(string, tag = "2")]
    verb: String,
    #[prost(string, tag = "5")]
    resource: String,
}
#[derive(Clone, PartialEq, prost::Message)]
struct PathAsk {
    #[prost(string, tag = "2")]
    verb: String,
}

fn access_review(bytes: Bytes) -> Result<Value, Refusal> {
    use prost::Message as _;
    let broken = |e: &dyn std::fmt::Display| Refusal::bad(e.to_string());
    let unknown = frame::open(bytes).map_err(|e| broken(&e))?;
    let kind = unknown.type_meta.unwrap_or_default().kind;
    let spec = AccessReview::decode(unknown.raw).map_err(|e| broken(&e))?.spec.unwrap_or_default();
    let resource = spec.resource.map(|r| json!({"verb": r.verb, "resource": r.resource}));
    let path = spec.path.map(|p| json!({"verb": p.verb}));
    Ok(
        json!({"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": {"resourceAttributes": resource, "nonResourceAttributes": path}}),
    )
}

fn reviewed(role: Role, plural: &str, mut review: Value) -> Value {
    match plural {
        "selfsubjectaccessreviews" => {
            let ask = &review["spec"]["resourceAttributes"];
            let (verb, resource) = (ask["verb"].as_str().unwrap_or("*").to_owned(), ask["resource"].as_str().unwrap_or("*").to_owned());
            let path = &review["spec"]["nonResourceAttributes"];
            let allowed = if path.is_object() { role == Role::Admin || path["verb"] == "get" } else { role.may(&verb, &resource) };
            review["status"] = json!({"allowed": allowed, "reason": if allowed { "RBAC: allowed by the simulated fleet" } else { "" }});
        }
        "selfsubjectrulesreviews" => {
            let rules = match role {
                Role::Admin => json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]),
                Role::Viewer => REGISTER
                    .iter()
                    .filter(|r| role.may("list", r.plural))
                    .map(|r| json!({"verbs": ["get", "list", "watch"], "apiGroups": [r.group], "resources": [r.plural]}))
                    .collect(),
            };
            review["status"] =
                json!({"resourceRules": rules, "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["*"]}], "incomplete": false});
        }
        _ => review["status"] = json!({"userInfo": {"username": role.user(), "groups": ["system:authenticated"]}}),
    }
    review["metadata"] = json!({"creationTimestamp": null});
    review
}
