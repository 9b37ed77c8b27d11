//! The client that changes a cluster: one request at a time, never sent again by itself, its answer whole.
//!
//! What keeps it in check is in the types: it cannot be had without a [`Licence`], which a read-only cluster does not give, and it
//! sends nothing but dry runs without a [`Receipt`], which there is only after the intent is on disk. Who decides is `action`.

use super::{
    error::{ClientError, printable, shorten},
    read::ReadClient,
    session::Session,
};
use crate::config::ClusterSettings;
use crate::model::{Method, Write};
use http::{HeaderMap, Request, header::ACCEPT, header::CONTENT_TYPE};
use kube::client::Body;
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Who the API server shall write down as owner of the fields.
pub const FIELD_MANAGER: &str = "quarterdeck";
/// The server gives up changes after 34 s.
const ANSWER: Duration = Duration::from_secs(40);

/// The permission to write to a cluster: not given for one that is read-only.
#[derive(Clone, Debug)]
pub struct Licence(());

impl Licence {
    /// For a cluster with these settings; `read_only` is the command line's.
    ///
    /// # Errors
    /// Why the cluster is read-only, in words.
    pub fn of(settings: &ClusterSettings, read_only: bool) -> Result<Self, String> {
        if read_only {
            return Err("--read-only".to_owned());
        }
        if let Some(why) = &settings.read_only_because {
            return Err(why.clone());
        }
        if settings.read_only.value { Err("read_only is set".to_owned()) } else { Ok(Self(())) }
    }
}

/// The proof that an intent was written down before anything is sent.
#[derive(Clone, Debug)]
pub struct Receipt(());

impl Receipt {
    /// Writes the intent down; there is a receipt only when that went well.
    ///
    /// # Errors
    /// What `log` gives.
    pub fn after<E>(log: impl FnOnce() -> Result<(), E>) -> Result<Self, E> {
        log().map(|()| Self(()))
    }
}

/// What a cluster answered to a change.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct WriteAnswer {
    pub code: u16,
    /// The body; null when it is none that can be read.
    pub body: Value,
    /// Warnings of admission.
    pub warnings: Vec<String>,
    /// Under which the cluster's own audit log has it.
    pub audit_id: Option<String>,
    pub retry_after: Option<Duration>,
    /// Turned away by priority and fairness, not by what was asked.
    pub throttled: bool,
}

impl WriteAnswer {
    /// 2xx.
    pub fn ok(&self) -> bool {
        (200..300).contains(&self.code)
    }
    /// `reason` of a Status: `Conflict`, `NotFound`.
    pub fn reason(&self) -> &str {
        self.body["reason"].as_str().unwrap_or("")
    }
    /// The server's words on one line, at most 300 columns.
    pub fn message(&self) -> String {
        // Alertmanager answers with a bare text.
        match self.body["message"].as_str().or(self.body.as_str()).filter(|m| !m.is_empty()) {
            Some(text) => shorten(&printable(&unquoted(text)), 300),
            None => format!("HTTP {}", self.code),
        }
    }
    /// The causes of a Status: type, field and message.
    pub fn causes(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let causes = self.body["details"]["causes"].as_array().into_iter().flatten();
        causes.map(|c| (c["reason"].as_str().unwrap_or(""), c["field"].as_str().unwrap_or(""), c["message"].as_str().unwrap_or("")))
    }
    /// The fields of an apply that others own, and whose they are; fit to be shown.
    pub fn owned_by_others(&self) -> Vec<(String, String)> {
        let theirs = self.causes().filter(|(reason, ..)| *reason == "FieldManagerConflict");
        theirs.map(|(_, field, message)| (printable(field.trim_start_matches('.')), printable(message))).collect()
    }
    /// Whether one of the causes is of this type.
    pub fn caused_by(&self, kind: &str) -> bool {
        self.causes().any(|(reason, ..)| reason == kind)
    }
}

/// Writes to one cluster. Shares connection, credential and budget with the [`ReadClient`] that it was made from.
#[derive(Clone)]
pub struct WriteClient(Arc<Session>);

impl fmt::Debug for WriteClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriteClient").field(&self.0.name).finish()
    }
}

impl WriteClient {
    /// The writing side of a client.
    pub fn new(client: &ReadClient, _: Licence) -> Self {
        Self(client.session())
    }

    /// For what is beside the API server: who may write there may write here.
    pub fn licence(&self) -> Licence {
        Licence(())
    }

    /// Asks the server to go through it all and store nothing.
    ///
    /// # Errors
    /// When there is no answer. A refusal is an answer.
    pub async fn rehearse(&self, write: &Write) -> Result<WriteAnswer, ClientError> {
        self.exchange(write, true).await
    }

    /// Sends it, once.
    ///
    /// # Errors
    /// When there is no answer: whether it was done is then not known, and has to be looked at.
    pub async fn send(&self, write: &Write, _: &Receipt) -> Result<WriteAnswer, ClientError> {
        self.exchange(write, false).await
    }

    async fn exchange(&self, write: &Write, dry: bool) -> Result<WriteAnswer, ClientError> {
        let mut body = write.body.clone();
        let mut query = vec![write.query.clone()];
        if write.method == Method::Delete || write.path.ends_with("/eviction") {
            // A DELETE with a body ignores the query, and an eviction carries its options in the body too.
            if dry {
                let options = if write.method == Method::Delete { &mut body } else { &mut body["deleteOptions"] };
                options["dryRun"] = json!(["All"]);
            }
            if dry && write.method == Method::Post {
                query.push("dryRun=All".to_owned());
            }
        } else {
            query.push(format!("fieldManager={FIELD_MANAGER}"));
            if dry {
                query.push("dryRun=All".to_owned());
            }
        }
        query.retain(|q| !q.is_empty());
        let uri = if query.is_empty() { write.path.clone() } else { format!("{}?{}", write.path, query.join("&")) };
        if !uri.starts_with('/') {
            return Err(ClientError::Invalid { message: format!("{uri:?} is not an absolute path") });
        }
        ask(&self.0, write.method, &uri, Some(&body), ANSWER).await
    }
}

/// Writes to a service that a cluster has beside its API server. Shares connection and credential with the [`ReadClient`] that it was made
/// from.
#[derive(Clone)]
pub struct ServiceWriter(Arc<Session>);

impl ServiceWriter {
    /// The writing side of a client.
    pub fn new(client: &ReadClient, _: Licence) -> Self {
        Self(client.session())
    }

    /// Sends it to an absolute path, once.
    ///
    /// # Errors
    /// When there is no answer within that time: unless it was [`ClientError::never_sent`], whether it was done is then not known.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        within: Duration,
        _: &Receipt,
    ) -> Result<WriteAnswer, ClientError> {
        ask(&self.0, method, path, body, within).await
    }
}

async fn ask(session: &Session, method: Method, uri: &str, body: Option<&Value>, within: Duration) -> Result<WriteAnswer, ClientError> {
    let audit_id = audit_id();
    let text = body.map(Value::to_string).unwrap_or_default();
    let request = || {
        let request = Request::builder().method(method.http()).uri(uri).header(ACCEPT, "application/json").header("Audit-ID", &audit_id);
        let request = if body.is_some() { request.header(CONTENT_TYPE, method.content_type()) } else { request };
        request.body(Body::from(text.clone().into_bytes())).map_err(|e| ClientError::Invalid { message: e.to_string() })
    };
    let (code, headers, bytes) = session.exchange(request, within).await?;
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let seconds = text("Retry-After").and_then(|t| t.parse().ok()).or_else(|| body["details"]["retryAfterSeconds"].as_u64());
    Ok(WriteAnswer {
        code,
        warnings: warnings(&headers),
        audit_id: Some(text("Audit-ID").unwrap_or(audit_id)),
        retry_after: seconds.filter(|s| *s > 0).map(Duration::from_secs),
        throttled: code == 429 && (headers.contains_key("X-Kubernetes-PF-FlowSchema-UID") || body.is_null()),
        body,
    })
}

/// A refused patch comes back with the whole object in it, secrets and all: only what is said of it is kept.
fn unquoted(text: &str) -> String {
    match text.split_once("Invalid value: \"{") {
        Some((before, rest)) => {
            let said = rest.rfind("}\": ").map_or("", |at| &rest[at + 4..]);
            format!("{before}Invalid value: {said}")
        }
        None => text.to_owned(),
    }
}

/// `299 - "text"`, each on one line.
fn warnings(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(http::header::WARNING).iter().filter_map(|v| v.to_str().ok());
    values
        .filter_map(|v| {
            let text = v.split_once('"')?.1.rsplit_once('"')?.0;
            Some(shorten(&printable(&text.replace("\\\"", "\"")), 300))
        })
        .collect()
}

/// A random UUID.
fn audit_id() -> String {
    let n = (fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62)) | (4 << 76) | (2 << 62);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        n >> 96,
        (n >> 80) & 0xffff,
        (n >> 64) & 0xffff,
        (n >> 48) & 0xffff,
        n & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Server, connect, reply};
    use super::*;

    fn write(method: Method, path: &str) -> Write {
        Write { method, path: path.into(), query: String::new(), body: json!({}) }
    }

    async fn client(server: &Server) -> WriteClient {
        WriteClient::new(&connect(server, "token: t").await, Licence(()))
    }

    #[test]
    fn a_read_only_cluster_gives_no_licence() {
        let mut settings = ClusterSettings::new("prod");
        assert!(Licence::of(&settings, false).is_ok());
        assert_eq!(Licence::of(&settings, true).unwrap_err(), "--read-only");
        settings.read_only_because = Some("line 3: unknown tier".into());
        assert_eq!(Licence::of(&settings, false).unwrap_err(), "line 3: unknown tier");
        settings.read_only_because = None;
        settings.read_only.value = true;
        assert_eq!(Licence::of(&settings, false).unwrap_err(), "read_only is set");
    }

    #[test]
    fn there_is_no_receipt_for_what_could_not_be_written_down() {
        assert!(Receipt::after(|| Err::<(), _>("disk full")).is_err());
        assert!(Receipt::after(|| Ok::<_, ()>(())).is_ok());
    }

    #[tokio::test]
    async fn a_rehearsal_says_so_where_the_server_looks_for_it() {
        let server = Server::start(|_| reply(200, "{}")).await;
        let client = client(&server).await;
        client.rehearse(&write(Method::MergePatch, "/apis/apps/v1/namespaces/a/deployments/b/scale")).await.unwrap();
        client.rehearse(&write(Method::Post, "/api/v1/namespaces/a/pods/b/eviction")).await.unwrap();
        client.rehearse(&write(Method::Delete, "/api/v1/namespaces/a/pods/b")).await.unwrap();
        let uris: Vec<String> = server.seen.lock().unwrap().iter().map(|r| r.uri().to_string()).collect();
        assert_eq!(
            uris,
            [
                "/apis/apps/v1/namespaces/a/deployments/b/scale?fieldManager=quarterdeck&dryRun=All",
                "/api/v1/namespaces/a/pods/b/eviction?dryRun=All",
                "/api/v1/namespaces/a/pods/b",
            ]
        );
        assert_eq!(server.header(0, "content-type").as_deref(), Some("application/merge-patch+json"));
        assert_eq!(server.header(0, "audit-id").map(|id| id.len()), Some(36));
    }

    #[tokio::test]
    async fn a_refusal_is_an_answer_with_its_causes_and_is_not_sent_again() {
        let server = Server::start(|_| {
            let mut answer = reply(
                429,
                r#"{"kind":"Status","reason":"TooManyRequests","message":"Cannot evict pod as it would violate the pod's disruption budget.","details":{"causes":[{"reason":"DisruptionBudget","message":"The disruption budget db needs 3 healthy pods and has 3 currently"}]},"code":429}"#,
            );
            answer.headers_mut().append("warning", "299 - \"unknown field \\\"spec.x\\\"\"".parse().unwrap());
            answer.headers_mut().insert("retry-after", "10".parse().unwrap());
            answer
        })
        .await;
        let receipt = Receipt::after(|| Ok::<_, ()>(())).unwrap();
        let answer = client(&server).await.send(&write(Method::Post, "/api/v1/namespaces/a/pods/b/eviction"), &receipt).await.unwrap();
        assert!(!answer.ok() && !answer.throttled && answer.caused_by("DisruptionBudget"));
        assert_eq!((answer.reason(), answer.retry_after), ("TooManyRequests", Some(Duration::from_secs(10))));
        assert_eq!(answer.warnings, ["unknown field \"spec.x\""]);
        assert_eq!(server.count(), 1);
    }

    #[tokio::test]
    async fn throttling_is_told_from_a_budget_by_its_headers() {
        let server = Server::start(|_| {
            let mut answer = reply(429, "Too many requests, please try again later.");
            answer.headers_mut().insert("X-Kubernetes-PF-FlowSchema-UID", "u".parse().unwrap());
            answer
        })
        .await;
        let receipt = Receipt::after(|| Ok::<_, ()>(())).unwrap();
        let answer = client(&server).await.send(&write(Method::Put, "/api/v1/namespaces/a"), &receipt).await.unwrap();
        assert!(answer.throttled && !answer.caused_by("DisruptionBudget"));
    }

    #[test]
    fn an_object_that_a_refusal_quotes_is_left_out() {
        let quoted = r#"Deployment "web" is invalid: patch: Invalid value: "{\"spec\":{\"env\":\"canary\"}}": strict decoding error: unknown field "spec.x""#;
        let answer = WriteAnswer { code: 422, body: json!({"message": quoted}), ..WriteAnswer::default() };
        assert_eq!(answer.message(), r#"Deployment "web" is invalid: patch: Invalid value: strict decoding error: unknown field "spec.x""#);
        let cut = WriteAnswer { code: 422, body: json!({"message": "x: Invalid value: \"{canary"}), ..WriteAnswer::default() };
        assert_eq!(cut.message(), "x: Invalid value:");
    }

    #[test]
    fn audit_ids_are_random_uuids() {
        let (one, other) = (audit_id(), audit_id());
        assert_ne!(one, other);
        assert_eq!((one.len(), one.as_bytes()[14], "89ab".contains(char::from(one.as_bytes()[19]))), (36, b'4', true), "{one}");
    }
}
