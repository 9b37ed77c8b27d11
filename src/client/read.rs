//! The client that cannot change anything: GET, and the reviews that ask who we are and what we may do.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, TryStreamExt, stream::BoxStream};
use http::{
    HeaderMap, Method, Request, Uri,
    header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE},
};
use http_body_util::BodyExt;
use kube::client::Body;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::io::AsyncBufRead;
use tokio_util::io::StreamReader;

use super::{
    budget::{BudgetConfig, BudgetUse, is_endless},
    certificate::Certificate,
    error::ClientError,
    exec::ExecPool,
    gzip::Gunzip,
    kubeconfig::Target,
    session::{ANSWER, Session},
};

const JSON: &str = "application/json";
/// A bounded answer that says nothing for this long has stopped.
const IDLE: Duration = Duration::from_secs(30);
const AUTHORIZATION: &str = "authorization.k8s.io/v1";

/// Reads from one cluster. Clones share the connection, the credential and the budget.
#[derive(Clone)]
pub struct ReadClient(Arc<Session>);

impl fmt::Debug for ReadClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadClient").field(&self.0.name).finish()
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub bytes: Bytes,
    /// `Content-Type`; empty when the server sent none.
    pub content_type: String,
}

/// `GET /version`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    pub major: String,
    pub minor: String,
    pub git_version: String,
}

/// What a SelfSubjectAccessReview asks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ask<'a> {
    pub verb: &'a str,
    /// Empty: the core group.
    pub group: &'a str,
    /// The plural, lower case.
    pub resource: &'a str,
    pub subresource: Option<&'a str>,
    /// `None`: in all namespaces, or a kind without one.
    pub namespace: Option<&'a str>,
    /// `None`: of any name.
    pub name: Option<&'a str>,
}

/// The answer to [`Ask`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Access {
    #[serde(default)]
    pub allowed: bool,
    /// The authorizer's words, often empty.
    #[serde(default)]
    pub reason: String,
}

/// One line of a SelfSubjectRulesReview.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceRule {
    #[serde(default)]
    pub verbs: Vec<String>,
    #[serde(default)]
    pub api_groups: Vec<String>,
    #[serde(default)]
    pub resources: Vec<String>,
    #[serde(default)]
    pub resource_names: Vec<String>,
}

impl ReadClient {
    /// Prepares the connection: reads certificates and runs the exec plugin, but sends nothing to the cluster. Takes as
    /// long as the plugin; belongs in the cluster's own task. The crypto provider must be installed.
    pub async fn connect(target: &Target, pool: &ExecPool, budget: BudgetConfig) -> Result<Self, ClientError> {
        let session = Session::new(target, pool, budget)?;
        session.ready().await?;
        Ok(Self(Arc::new(session)))
    }

    /// For the writing side of the same connection.
    pub(super) fn session(&self) -> Arc<Session> {
        self.0.clone()
    }

    /// The target's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What this cluster has been asked so far.
    pub fn used(&self) -> BudgetUse {
        self.0.used()
    }

    /// Whether a file that the credential comes from, the kubeconfig among them, was written since we were refused.
    pub async fn rewritten(&self) -> bool {
        self.0.rewritten().await
    }

    /// What a person should know that no request says: each once.
    pub fn told(&self) -> Option<String> {
        self.0.told()
    }

    /// Drops the idle connections and reads certificates anew: to be called before a cluster that was lost is tried
    /// again. Answers under way go on.
    pub async fn reconnect(&self) -> Result<(), ClientError> {
        self.0.forget().await;
        self.0.ready().await.map(drop)
    }

    /// A JSON answer.
    pub async fn get_json(&self, path: &str) -> Result<serde_json::Value, ClientError> {
        self.get_typed(path).await
    }

    /// A JSON answer as `T`.
    pub async fn get_typed<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        decode(&self.get_bytes(path, JSON).await?.bytes)
    }

    /// A whole answer in the encoding that `accept` asks for.
    pub async fn get_bytes(&self, path: &str, accept: &str) -> Result<Answer, ClientError> {
        self.stream(path, accept).await?.collect().await
    }

    /// A JSON answer as `T`, whole within a time and of so many bytes at most: from servers whose answers nobody bounds.
    pub async fn get_within<T: DeserializeOwned>(&self, path: &str, most: usize, within: Duration) -> Result<T, ClientError> {
        let read = async { decode(&self.get(path, JSON, within).await?.collect_most(most).await?.bytes) };
        tokio::time::timeout(within, read).await.map_err(|_| ClientError::Timeout { after: within })?
    }

    /// An answer piece by piece, decompressed. Lists are asked for with gzip and must keep coming; watches and followed
    /// logs (`watch=`, `follow=` in the query) are asked for as they are, take no place in the budget, and may be silent
    /// for as long as they like.
    pub async fn stream(&self, path: &str, accept: &str) -> Result<ByteStream, ClientError> {
        self.get(path, accept, ANSWER).await
    }

    /// Text, line by line: a pod's log. A broken connection comes as an `io::Error` around a [`ClientError`].
    pub async fn get_text_stream(&self, path: &str) -> Result<impl AsyncBufRead + Send + Unpin + use<>, ClientError> {
        let stream = self.stream(path, "*/*").await?;
        Ok(StreamReader::new(stream.map_err(io::Error::other)))
    }

    /// Our certificate, as the kubeconfig has it, and the one that the server shows; where they are seen. Makes a connection of its own.
    pub async fn certificates(&self) -> [Option<Certificate>; 2] {
        self.0.certificates().await
    }

    /// The server's version.
    pub async fn version(&self) -> Result<Version, ClientError> {
        self.get_typed("/version").await
    }

    /// How long the server takes to say that it is ready; an error after `within`. A server that refuses to tell has
    /// answered. Takes no place in the budget.
    pub async fn readyz(&self, within: Duration) -> Result<Duration, ClientError> {
        let start = Instant::now();
        let probe = async { self.get("/readyz", "*/*", within).await?.collect().await };
        match tokio::time::timeout(within, probe).await {
            Ok(Ok(_) | Err(ClientError::Forbidden { .. } | ClientError::NotFound { .. })) => Ok(start.elapsed()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ClientError::Timeout { after: within }),
        }
    }

    /// Whether we may do what `ask` says.
    pub async fn can_i(&self, ask: Ask<'_>) -> Result<Access, ClientError> {
        let mut attributes = serde_json::json!({ "verb": ask.verb, "group": ask.group, "resource": ask.resource });
        for (name, value) in [("subresource", ask.subresource), ("namespace", ask.namespace), ("name", ask.name)] {
            if let Some(value) = value {
                attributes[name] = value.into();
            }
        }
        self.review("SelfSubjectAccessReview", serde_json::json!({ "resourceAttributes": attributes })).await
    }

    /// What we may do in `namespace`, as far as the server can list it (webhook authorizers cannot).
    pub async fn rules(&self, namespace: &str) -> Result<Vec<ResourceRule>, ClientError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Rules {
            #[serde(default)]
            resource_rules: Vec<ResourceRule>,
        }
        let rules: Rules = self.review("SelfSubjectRulesReview", serde_json::json!({ "namespace": namespace })).await?;
        Ok(rules.resource_rules)
    }

    /// Who the server says that we are: name and groups.
    pub async fn whoami(&self) -> Result<(String, Vec<String>), ClientError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Is {
            user_info: User,
        }
        #[derive(Deserialize)]
        struct User {
            #[serde(default)]
            username: String,
            #[serde(default)]
            groups: Vec<String>,
        }
        let is: Is = self.review_in("authentication.k8s.io/v1", "SelfSubjectReview", serde_json::Value::Null).await?;
        Ok((is.user_info.username, is.user_info.groups))
    }

    async fn review<T: DeserializeOwned>(&self, kind: &'static str, spec: serde_json::Value) -> Result<T, ClientError> {
        self.review_in(AUTHORIZATION, kind, spec).await
    }

    /// The only request with a body; `kind` is one of the three reviews, which store nothing.
    async fn review_in<T: DeserializeOwned>(
        &self,
        group: &'static str,
        kind: &'static str,
        spec: serde_json::Value,
    ) -> Result<T, ClientError> {
        #[derive(Deserialize)]
        struct Review<T> {
            status: T,
        }
        let path = format!("/apis/{group}/{}s", kind.to_lowercase());
        let mut body = serde_json::json!({ "apiVersion": group, "kind": kind });
        if !spec.is_null() {
            body["spec"] = spec;
        }
        let body = body.to_string();
        let request = || {
            let request = Request::builder().method(Method::POST).uri(&path).header(ACCEPT, JSON);
            request.header(CONTENT_TYPE, JSON).body(Body::from(body.clone().into_bytes())).map_err(unbuildable)
        };
        let response = self.0.send(request, ANSWER).await?;
        let answer = ByteStream::new(response, Some(IDLE)).collect().await?;
        decode::<Review<T>>(&answer.bytes).map(|review| review.status)
    }

    async fn get(&self, path: &str, accept: &str, within: Duration) -> Result<ByteStream, ClientError> {
        if !path.starts_with('/') {
            return Err(ClientError::Invalid { message: format!("{path:?} is not an absolute path") });
        }
        let uri: Uri = path.parse().map_err(|_| ClientError::Invalid { message: format!("{path:?} is not a path") })?;
        if opens_a_session(uri.path()) {
            return Err(ClientError::Invalid { message: format!("{path:?} is more than a read") });
        }
        let endless = is_endless(&uri);
        let encoding = if endless { "identity" } else { "gzip" };
        let request = || {
            let request = Request::builder().method(Method::GET).uri(uri.clone());
            let request = request.header(ACCEPT, accept).header(ACCEPT_ENCODING, encoding);
            request.body(Body::empty()).map_err(unbuildable)
        };
        let response = self.0.send(request, within).await?;
        Ok(ByteStream::new(response, (!endless).then_some(IDLE)))
    }
}

/// The subresources of a pod that act although they are asked for with GET.
fn opens_a_session(path: &str) -> bool {
    let mut from_the_end = path.trim_end_matches('/').rsplit('/');
    let acts = |last| matches!(last, "exec" | "attach" | "portforward");
    from_the_end.next().is_some_and(acts) && from_the_end.nth(1) == Some("pods")
}

fn unbuildable(error: http::Error) -> ClientError {
    ClientError::Invalid { message: error.to_string() }
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ClientError> {
    // serde_json's message may quote a value; where it stopped is enough.
    serde_json::from_slice(bytes).map_err(|error| ClientError::Decode {
        message: format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column()),
    })
}

/// The body of an answer as it comes.
pub struct ByteStream {
    headers: HeaderMap,
    pieces: BoxStream<'static, Result<Bytes, ClientError>>,
}

impl ByteStream {
    fn new(response: http::Response<Body>, idle: Option<Duration>) -> Self {
        let (parts, body) = response.into_parts();
        let gzip = parts.headers.get(CONTENT_ENCODING).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"gzip"));
        let state = Some((body, gzip.then(Gunzip::new)));
        let pieces = futures::stream::unfold(state, move |state| async move {
            let (mut body, mut gunzip) = state?;
            loop {
                return match next_piece(&mut body, idle).await {
                    Ok(Some(piece)) => match gunzip.as_mut().map_or(Ok(piece.clone()), |g| g.feed(&piece)) {
                        Ok(piece) if piece.is_empty() => continue,
                        Ok(piece) => Some((Ok(piece), Some((body, gunzip)))),
                        Err(error) => Some((Err(bad_gzip(&error)), None)),
                    },
                    Ok(None) => match gunzip?.finish() {
                        Ok(rest) if rest.is_empty() => None,
                        Ok(rest) => Some((Ok(rest), None)),
                        Err(error) => Some((Err(bad_gzip(&error)), None)),
                    },
                    Err(error) => Some((Err(error), None)),
                };
            }
        });
        Self { headers: parts.headers, pieces: pieces.boxed() }
    }

    /// `Content-Type`; empty when the server sent none.
    pub fn content_type(&self) -> &str {
        self.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// Every header of the answer.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The whole answer.
    pub async fn collect(self) -> Result<Answer, ClientError> {
        self.collect_most(usize::MAX).await
    }

    async fn collect_most(mut self, most: usize) -> Result<Answer, ClientError> {
        let content_type = self.content_type().to_owned();
        let Some(first) = self.pieces.try_next().await? else {
            return Ok(Answer { bytes: Bytes::new(), content_type });
        };
        let mut bytes = BytesMut::from(first);
        while bytes.len() <= most
            && let Some(piece) = self.pieces.try_next().await?
        {
            bytes.extend_from_slice(&piece);
        }
        if bytes.len() > most {
            return Err(ClientError::Decode { message: format!("more than {most} bytes") });
        }
        Ok(Answer { bytes: bytes.freeze(), content_type })
    }
}

async fn next_piece(body: &mut Body, idle: Option<Duration>) -> Result<Option<Bytes>, ClientError> {
    loop {
        let frame = match idle {
            Some(limit) => tokio::time::timeout(limit, body.frame()).await.map_err(|_| ClientError::Timeout { after: limit })?,
            None => body.frame().await,
        };
        match frame {
            None => return Ok(None),
            Some(Err(error)) => return Err(ClientError::from_transport(&error)),
            // Trailers say nothing that we need.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

fn bad_gzip(error: &io::Error) -> ClientError {
    ClientError::Decode { message: format!("gzip: {error}") }
}

impl Stream for ByteStream {
    type Item = Result<Bytes, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pieces.poll_next_unpin(cx)
    }
}

#[cfg(test)]
mod tests;
