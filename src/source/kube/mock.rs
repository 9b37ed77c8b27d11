//! An API server for tests: real sockets, answers by a closure; it can freeze, break off and go away.

use crate::client::{BudgetConfig, ExecPool, LoadOptions, ReadClient, Target, install_crypto_provider, load};
use crate::model::{Kind, frame, object::json_to_proto};
use bytes::Bytes;
use futures::StreamExt;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::io::{Error, Write as _};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

/// A request as the closure sees it.
#[derive(Clone, Debug)]
pub struct Ask {
    pub path: String,
    pub query: String,
    pub accept: String,
    pub encoding: String,
}

impl Ask {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|p| p.strip_prefix(name)?.strip_prefix('='))
    }
    pub fn watch(&self) -> bool {
        self.get("watch") == Some("true")
    }
}

type Body = BoxBody<Bytes, Error>;

/// An answer: status, headers, pieces. An error among the pieces breaks the connection off.
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub pieces: Vec<Result<Bytes, Error>>,
    /// What follows the pieces, as it comes.
    pub then: Option<mpsc::Receiver<Result<Bytes, Error>>>,
    /// After that, say no more and do not end.
    pub hang: bool,
    /// Nothing of it is sent as long as this is set.
    pub held: Option<Arc<AtomicBool>>,
}

impl Reply {
    pub fn new(status: u16, kind: &str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: vec![("content-type", kind.to_owned())],
            pieces: vec![Ok(body.into())],
            then: None,
            hang: false,
            held: None,
        }
    }
    pub fn json(value: &Value) -> Self {
        Self::new(200, "application/json", value.to_string())
    }
    pub fn proto(body: Vec<u8>) -> Self {
        Self::new(200, frame::MEDIA_TYPE, body)
    }
    pub fn status(code: u16, reason: &str, message: &str) -> Self {
        Self::new(code, "application/json", status(code, reason, message).to_string())
    }
    /// In pieces of so many bytes.
    pub fn cut(mut self, size: usize) -> Self {
        let whole: Vec<u8> = self.pieces.drain(..).flatten().flatten().collect();
        self.pieces = whole.chunks(size).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
        self
    }
    /// The connection breaks after the pieces.
    pub fn broken(mut self) -> Self {
        self.pieces.push(Err(Error::other("broken off")));
        self
    }
    pub fn hang(mut self) -> Self {
        self.hang = true;
        self
    }
    pub fn held(mut self, flag: &Arc<AtomicBool>) -> Self {
        self.held = Some(flag.clone());
        self
    }
    pub fn then(mut self, rx: mpsc::Receiver<Result<Bytes, Error>>) -> Self {
        self.then = Some(rx);
        self
    }
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
    fn response(self) -> Response<Body> {
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(*name, value);
        }
        let more = self.then.map_or_else(
            || futures::stream::empty().boxed(),
            |rx| futures::stream::unfold(rx, |mut rx| async { rx.recv().await.map(|p| (p, rx)) }).boxed(),
        );
        let hang = if self.hang { futures::stream::pending().boxed() } else { futures::stream::empty().boxed() };
        // One piece at a time reaches the socket, else a break swallows those before it.
        let pieces = futures::stream::iter(self.pieces).then(|p| async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            p
        });
        let stream = pieces.chain(more).chain(hang).map(|p| p.map(Frame::data));
        response.body(BodyExt::boxed(StreamBody::new(SyncStream(Mutex::new(stream.boxed()))))).unwrap()
    }
}

/// hyper's box wants `Sync`.
struct SyncStream(Mutex<futures::stream::BoxStream<'static, Result<Frame<Bytes>, Error>>>);
impl futures::Stream for SyncStream {
    type Item = Result<Frame<Bytes>, Error>;
    fn poll_next(self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Option<Self::Item>> {
        self.0.lock().unwrap().poll_next_unpin(cx)
    }
}

pub fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message })
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn pod(name: &str, version: u64) -> Value {
    json!({ "metadata": { "name": name, "namespace": "ns", "uid": format!("uid-{name}"), "resourceVersion": version.to_string() },
        "spec": { "containers": [{ "name": "c", "image": "i" }] }, "status": { "phase": "Running" } })
}

pub fn pod_list(version: &str, names: impl IntoIterator<Item = String>) -> Vec<u8> {
    let items: Vec<_> = names.into_iter().map(|n| json_to_proto(Kind::Pod, &pod(&n, 1)).unwrap()).collect();
    frame::list("v1", "PodList", version, "", None, &items)
}

pub fn pod_frame(event: &str, name: &str, version: u64) -> Vec<u8> {
    frame::watch_frame(event, "v1", "Pod", json_to_proto(Kind::Pod, &pod(name, version)).unwrap())
}

type Answerer = dyn Fn(&Ask) -> Option<Reply> + Send + Sync;

/// A running server; it goes away when dropped.
pub struct Mock {
    pub port: u16,
    pub asked: Arc<Mutex<Vec<Ask>>>,
    /// Nothing is answered, nothing is closed.
    pub frozen: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Mock {
    pub async fn start(answer: impl Fn(&Ask) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::at(0, Arc::new(answer)).await
    }

    pub async fn at(port: u16, answer: Arc<Answerer>) -> Self {
        Self::serve(port, answer, false).await
    }

    /// The glance at the first pods is answered and noted like anything else; elsewhere it is refused, and not spoken of.
    pub async fn glanced_at(answer: impl Fn(&Ask) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::serve(0, Arc::new(answer), true).await
    }

    async fn serve(port: u16, answer: Arc<Answerer>, glances: bool) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, frozen) = (Arc::<Mutex<Vec<Ask>>>::default(), Arc::<AtomicBool>::default());
        let (log, ice) = (asked.clone(), frozen.clone());
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (answer, log, ice) = (answer.clone(), log.clone(), ice.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (answer, log, ice) = (answer.clone(), log.clone(), ice.clone());
                    async move {
                        while ice.load(Relaxed) {
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                        let header = |name| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
                        let ask = Ask {
                            path: request.uri().path().to_owned(),
                            query: request.uri().query().unwrap_or_default().to_owned(),
                            accept: header("accept"),
                            encoding: header("accept-encoding"),
                        };
                        if !glances && ask.query == "limit=100" {
                            return Ok(Reply::status(503, "ServiceUnavailable", "no glances").response());
                        }
                        log.lock().unwrap().push(ask.clone());
                        let Some(reply) = answer(&ask).or_else(|| usual(&ask)) else { return Ok::<_, Error>(not_found()) };
                        while reply.held.as_ref().is_some_and(|held| held.load(Relaxed)) {
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                        Ok(reply.response())
                    }
                });
                connections.spawn(async move {
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { port, asked, frozen, task }
    }

    pub fn target(&self) -> Target {
        target(self.port)
    }

    pub async fn client(&self) -> ReadClient {
        install_crypto_provider();
        ReadClient::connect(&self.target(), &ExecPool::default(), BudgetConfig::default()).await.unwrap()
    }

    pub fn asks(&self, path: &str) -> Vec<Ask> {
        self.asked.lock().unwrap().iter().filter(|a| a.path == path).cloned().collect()
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub fn target(port: u16) -> Target {
    let config = json!({ "apiVersion": "v1", "kind": "Config", "current-context": "mock",
        "clusters": [{ "name": "mock", "cluster": { "server": format!("http://127.0.0.1:{port}") } }],
        "users": [{ "name": "mock", "user": { "token": "t" } }],
        "contexts": [{ "name": "mock", "context": { "cluster": "mock", "user": "mock", "namespace": "ns" } }] });
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(config.to_string().as_bytes()).unwrap();
    load(&LoadOptions { kubeconfig: Some(file.path().to_owned()), ..Default::default() }).unwrap().remove(0)
}

fn usual(ask: &Ask) -> Option<Reply> {
    Some(match ask.path.as_str() {
        "/readyz" => Reply::new(200, "text/plain", "ok"),
        "/version" => Reply::json(&json!({ "major": "1", "minor": "36", "gitVersion": "v1.36.0" })),
        "/api" => Reply::json(&json!({ "versions": ["v1"] })),
        "/apis" => Reply::json(&json!({ "groups": [] })),
        _ => return None,
    })
}

fn not_found() -> Response<Body> {
    let body = Full::new(Bytes::from(status(404, "NotFound", "not found").to_string())).map_err(|e| match e {});
    Response::builder().status(404).body(BodyExt::boxed(body)).unwrap()
}
