//! One request: who asks, whether they may, what it is, and who answers it.

use super::fault::Trouble;
use super::list::list;
use super::query::{self, Place, Query, place};
use super::register::{self, REGISTER};
use super::reply::{Accept, Encoding, Refusal, Reply, json_reply, truncated, whole};
use super::serve::{Cluster, Written};
use super::store::Obj;
use super::table;
use super::watch::watch;
use super::write::{self, PatchKind};
use super::{evict, logs, metrics, proxy, review, schema, velero};
use crate::model::frame::{self, MEDIA_TYPE};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// Larger bodies are refused, as the API server does.
const BODY: usize = 3 << 20;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Admin,
    Viewer,
}

impl Role {
    pub fn user(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Viewer => "viewer",
        }
    }
    /// `resource`: `deployments`, `deployments/scale`.
    pub fn may(self, verb: &str, resource: &str) -> bool {
        let plural = resource.split('/').next().unwrap_or("");
        self == Self::Admin || (matches!(verb, "get" | "list" | "watch") && !matches!(plural, "nodes" | "secrets"))
    }
}

impl Trouble {
    /// What is wrong before the change is made.
    pub async fn before(&self, cluster: &Cluster, conflict: impl FnOnce() -> Refusal) -> Result<(), Refusal> {
        match self {
            Self::Conflict => Err(conflict()),
            Self::Broken => Err(Refusal::new(500, "InternalError", "Internal error occurred: etcdserver: leader changed")),
            Self::Webhook(words) => Err(Refusal::new(429, "TooManyRequests", words.clone())),
            Self::Stalled => {
                let mut healed = cluster.switch.subscribe();
                // Whoever heals it may be gone with the fleet.
                let _ = healed.changed().await;
                Err(Refusal::cut())
            }
            Self::None | Self::Cut | Self::Late => Ok(()),
        }
    }
    /// What is wrong once it is made.
    pub fn after(&self) -> Result<(), Refusal> {
        match self {
            Self::Cut => Err(Refusal::cut()),
            Self::Late => Err(Refusal::new(504, "Timeout", "Timeout: request did not complete within the allotted timeout")),
            _ => Ok(()),
        }
    }
}

/// Answers a request.
///
/// # Errors
/// The connection is to end without an answer.
pub async fn handle(cluster: Arc<Cluster>, request: Request<Incoming>) -> std::io::Result<Reply> {
    let faults = cluster.switch.now();
    if faults.slow > 0 {
        tokio::time::sleep(Duration::from_millis(faults.slow)).await;
    }
    let accept = Accept::of(request.headers());
    let audit_id = request.headers().get("audit-id").cloned();
    let mut reply = match answer(&cluster, request, accept).await {
        Ok(reply) => reply,
        Err(refusal) if refusal.code == 0 => return Err(std::io::Error::other("the simulated server cuts the connection")),
        Err(refusal) => refusal.reply(accept.encoding),
    };
    if let Some(id) = audit_id {
        reply.headers_mut().insert("audit-id", id);
    }
    Ok(match faults.truncated {
        Some(bytes) => truncated(reply, bytes),
        None => reply,
    })
}

async fn answer(cluster: &Arc<Cluster>, request: Request<Incoming>, accept: Accept) -> Result<Reply, Refusal> {
    let faults = cluster.switch.now();
    // An object store beside the server, whose addresses are their own credential.
    if let Some(asked) = request.uri().path_and_query().filter(|p| p.path().starts_with(velero::STORE)) {
        let found = velero::stored(&cluster.read(), asked.as_str());
        return found
            .map(|bytes| whole(200, "application/gzip", bytes))
            .ok_or_else(|| Refusal::new(403, "Forbidden", "SignatureDoesNotMatch"));
    }
    let token = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
    let role = match token {
        Some(t) if t == cluster.admin || t == cluster.renewed() => Role::Admin,
        Some(t) if t == cluster.viewer => Role::Viewer,
        _ => return Err(Refusal::new(401, "Unauthorized", "Unauthorized")),
    };
    if faults.unauthorized || cluster.switch.expired() && token != Some(&cluster.renewed()) {
        return Err(Refusal::new(401, "Unauthorized", "Unauthorized"));
    }
    if let Some(after) = faults.too_many {
        let mut refusal =
            Refusal::new(429, "TooManyRequests", "the server has received too many requests and has asked us to try again later");
        refusal.retry = Some(after).filter(|s| *s > 0);
        return Err(refusal);
    }
    if let Some(after) = faults.throttled {
        let text = "Too many requests, please try again later.";
        return Err(Refusal { retry: Some(after).filter(|s| *s > 0), throttled: true, ..Refusal::new(429, "TooManyRequests", text) });
    }
    if faults.broken {
        return Err(Refusal::new(500, "InternalError", "Internal error occurred: etcdserver: leader changed"));
    }
    let path = request.uri().path().to_owned();
    let mut query = Query::parse(request.uri().query().unwrap_or(""));
    cluster.hear(if query.flag("watch") { "WATCH" } else { request.method().as_str() }, &path);
    let agent = request.headers().get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or("unknown");
    query.manager = query.get("fieldManager").unwrap_or_else(|| agent.split('/').next().unwrap_or("unknown")).to_owned();
    if let Some(to) = proxy::to(&path) {
        return proxy::answer(cluster, role, &to, &query, request).await;
    }
    let Some(place) = place(&path) else { return other(cluster, role, &path, request, accept).await };
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
    let whole = place.sub.as_ref().map_or_else(|| resource.plural.to_owned(), |sub| format!("{}/{sub}", resource.plural));
    let denied = faults.denied.iter().any(|(v, r)| v == verb && *r == whole);
    if denied || !role.may(verb, resource.plural) || faults.forbidden.iter().any(|f| f == resource.plural) {
        return Err(forbidden(role, verb, &whole, &place));
    }
    match verb {
        "watch" => watch(cluster, &place, &query, accept),
        "list" => list(cluster, &place, &query, accept).await,
        "get" => get(cluster, &place, &query, accept),
        _ => change(cluster, &place, &query, &method, request, accept).await,
    }
}

pub fn forbidden(role: Role, verb: &str, resource: &str, place: &Place) -> Refusal {
    let r = &REGISTER[place.res];
    let name = place.name.as_deref().map(|n| format!(" \"{n}\"")).unwrap_or_default();
    let scope = place.namespace.as_deref().map_or_else(|| "at the cluster scope".to_owned(), |n| format!("in the namespace \"{n}\""));
    let text = format!(
        "{}{name} is forbidden: User \"{}\" cannot {verb} resource \"{resource}\" in API group \"{}\" {scope}",
        r.qualified(),
        role.user(),
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
    if place.old {
        let mut value = object.value();
        query::to_v1(&mut value);
        return Ok(json_reply(200, &value));
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
        Encoding::Proto if resource.proto().is_some() => {
            whole(code, MEDIA_TYPE, frame::seal(&resource.api_version(), resource.kind, object.proto(res).to_vec()))
        }
        _ => whole(code, "application/json", Bytes::copy_from_slice(&object.json)),
    }
}

pub async fn body(request: Request<Incoming>) -> Result<Bytes, Refusal> {
    let body = Limited::new(request.into_body(), BODY).collect().await;
    body.map(|b| b.to_bytes()).map_err(|_| Refusal::new(413, "RequestEntityTooLarge", "limit is 3145728"))
}

/// JSON, YAML where it is none, or protobuf.
pub fn read(bytes: Bytes) -> Result<Value, Refusal> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    if bytes.starts_with(&frame::MAGIC) {
        let unknown = frame::open(bytes).map_err(|e| Refusal::bad(e.to_string()))?;
        let meta = unknown.type_meta.unwrap_or_default();
        let mut value = schema::decode(&meta.kind, &unknown.raw).map_err(Refusal::bad)?;
        (value["apiVersion"], value["kind"]) = (meta.api_version.into(), meta.kind.into());
        return Ok(value);
    }
    serde_json::from_slice(&bytes)
        .or_else(|e| serde_saphyr::from_slice(&bytes).map_err(|_| Refusal::bad(format!("the body is neither JSON nor YAML: {e}"))))
}

/// Whether nothing is to be stored. The body of a DELETE hides its query.
fn dry(method: &Method, query: &Query, sent: &Value) -> Result<bool, Refusal> {
    let all = |v: &Value| v.as_array().is_some_and(|d| d.iter().any(|d| d == "All"));
    if let Some(other) = query.get("dryRun").filter(|d| *d != "All") {
        return Err(Refusal::new(422, "Invalid", format!("dryRun: Unsupported value: {other:?}: supported values: \"All\"")));
    }
    Ok(if *method == Method::DELETE && sent.is_object() {
        all(&sent["dryRun"])
    } else {
        query.dry_run() || all(&sent["deleteOptions"]["dryRun"])
    })
}

/// The name of what is changed.
fn named<'a>(place: &'a Place, sent: &'a Value) -> &'a str {
    place.name.as_deref().or_else(|| sent["metadata"]["name"].as_str()).unwrap_or("")
}

/// A change as somebody else makes it, past all faults: method, path, the body's type.
pub fn by_another(cluster: &Arc<Cluster>, method: &Method, path: &str, content: &str, sent: Value) -> Result<Value, String> {
    let mut query = Query::parse("");
    "somebody".clone_into(&mut query.manager);
    let place = place(path).ok_or_else(|| format!("{path} is no resource"))?;
    carry_out(cluster, &place, &query, method, content, sent).map(|(_, v)| v).map_err(|r| r.message)
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
    let audit_id = request.headers().get("audit-id").and_then(|v| v.to_str().ok()).map(str::to_owned);
    let path = request.uri().path().to_owned();
    let mut sent = read(body(request).await?)?;
    if place.old && matches!(*method, Method::POST | Method::PUT) {
        query::from_v1(&mut sent);
    }
    let dry_run = dry(method, query, &sent)?;
    cluster.tell(&Written { method: method.to_string(), path, dry_run, audit_id });
    if place.sub.as_deref().is_some_and(|s| !REGISTER[place.res].subresources.contains(&s)) {
        return Err(Refusal::new(404, "NotFound", "the server could not find the requested resource"));
    }
    let trouble = if dry_run { Trouble::None } else { cluster.switch.trouble(named(place, &sent)) };
    trouble.before(cluster, || Refusal::conflict(&REGISTER[place.res], place.name.as_deref().unwrap_or(""))).await?;
    if !dry_run && *method != Method::DELETE && cluster.etcd(|s| s.etcd.full()) {
        let text = "rpc error: code = ResourceExhausted desc = etcdserver: mvcc: database space exceeded";
        return Err(Refusal::new(500, "InternalError", format!("Internal error occurred: {text}")));
    }
    let done = carry_out(cluster, place, query, method, &content, sent);
    trouble.after()?;
    let (code, mut value) = done?;
    if place.old {
        query::to_v1(&mut value);
    }
    let mut reply = json_reply(code, &value);
    if accept.encoding == Encoding::Table && place.sub.is_none() && !place.old && *method != Method::DELETE {
        let text = |field: &str| value["metadata"][field].as_str().unwrap_or("").to_owned();
        let found = cluster.read().get(place.res, &text("namespace"), &text("name")).cloned();
        if let Some(object) = found.filter(|_| !dry_run) {
            reply = one(code, place.res, &object, query, accept);
        }
    }
    let warnings = std::mem::take(&mut *query.warnings.lock().unwrap_or_else(PoisonError::into_inner));
    for text in warnings.into_iter().chain(cluster.switch.warning()) {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = format!("299 - \"{quoted}\"").parse() {
            reply.headers_mut().append(header::WARNING, value);
        }
    }
    Ok(reply)
}

fn carry_out(
    cluster: &Arc<Cluster>,
    place: &Place,
    query: &Query,
    method: &Method,
    content: &str,
    sent: Value,
) -> Result<(u16, Value), Refusal> {
    Ok(match *method {
        Method::POST => match place.sub.as_deref() {
            Some("eviction") => (201, cluster.change(|s| evict::evict(s, place, query, &sent))?),
            None if place.name.is_none() => (201, cluster.change(|s| write::create(s, place, query, sent))?),
            _ => return Err(Refusal::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")),
        },
        Method::PUT => (200, cluster.change(|s| write::update(s, place, query, sent))?),
        Method::PATCH => {
            let kind = PatchKind::of(content)
                .ok_or_else(|| Refusal::new(415, "UnsupportedMediaType", "the body of the request was in an unknown format"))?;
            cluster.change(|s| write::patched(s, place, query, kind, &sent))?
        }
        _ => cluster.change(|s| write::delete(s, place, query, &sent))?,
    })
}

/// What is no resource: versions, health, discovery, reviews.
async fn other(cluster: &Arc<Cluster>, role: Role, path: &str, request: Request<Incoming>, accept: Accept) -> Result<Reply, Refusal> {
    let missing = || Refusal::new(404, "NotFound", "the server could not find the requested resource");
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let aggregated = |core: bool| {
        whole(200, "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", register::aggregated(core).to_string())
    };
    if request.method() == Method::POST {
        let kind = (parts.first() == Some(&"apis")).then(|| parts.last().copied()).flatten().unwrap_or("").to_owned();
        if !review::KINDS.contains(&kind.as_str()) {
            return Err(missing());
        }
        let asked = read(body(request).await?)?;
        return Ok(json_reply(201, &review::reviewed(role, &cluster.switch.now(), &kind, asked)));
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
        ["apis", metrics::GROUP, metrics::VERSION, rest @ ..] if request.method() == Method::GET => {
            return metrics::answer(cluster, role, rest, &Query::parse(request.uri().query().unwrap_or("")), accept).await;
        }
        ["api", "v1", "nodes", node, "proxy", "configz"] if request.method() == Method::GET => return proxy::configz(cluster, role, node),
        ["openapi", "v3"] => register::openapi_index(),
        ["openapi", "v3", "api", version] => register::openapi("", version),
        ["openapi", "v3", "apis", group, version] => register::openapi(group, version),
        _ => return Err(missing()),
    };
    Ok(json_reply(200, &doc))
}
