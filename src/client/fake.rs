//! A loopback API server for the tests of this room.

use std::{
    convert::Infallible,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::{
    BudgetConfig, ClientError, ExecPool, Licence, LoadOptions, ReadClient, Receipt, Target, WriteClient, install_crypto_provider,
    kubeconfig::load_from,
};
use crate::config::ClusterSettings;

pub type Reply = Response<UnsyncBoxBody<Bytes, Infallible>>;

pub fn reply(code: u16, body: impl Into<Bytes>) -> Reply {
    let body = Full::new(body.into()).boxed_unsync();
    Response::builder().status(StatusCode::from_u16(code).unwrap()).body(body).unwrap()
}

/// The body of a request, among its extensions.
#[derive(Clone)]
pub struct Sent(pub Bytes);

/// What a request sent as text.
pub fn sent(request: &Request<()>) -> String {
    String::from_utf8(request.extensions().get::<Sent>().unwrap().0.to_vec()).unwrap()
}

/// A body that begins with `start` and then goes on as `rest` says.
pub fn flowing(start: &'static str, rest: impl Stream<Item = Bytes> + Send + 'static) -> Reply {
    let pieces = futures::stream::iter([Bytes::from(start)]).chain(rest);
    Response::new(StreamBody::new(pieces.map(|p| Ok::<_, Infallible>(http_body::Frame::data(p)))).boxed_unsync())
}

/// A loopback API server that keeps the heads of what it was sent.
#[derive(Clone)]
pub struct Server {
    pub address: SocketAddr,
    pub seen: Arc<Mutex<Vec<Request<()>>>>,
}

impl Server {
    pub async fn start(answer: impl Fn(&Request<()>) -> Reply + Send + Sync + 'static) -> Self {
        let (server, listener) = Self::bind().await;
        let (seen, answer) = (server.seen.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, seen.clone(), answer.clone()));
            }
        });
        server
    }

    pub async fn start_tls(tls: rustls::ServerConfig, answer: impl Fn(&Request<()>) -> Reply + Send + Sync + 'static) -> Self {
        let (server, listener) = Self::bind().await;
        let (seen, answer) = (server.seen.clone(), Arc::new(answer));
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen, answer) = (acceptor.clone(), seen.clone(), answer.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, seen, answer).await;
                    }
                });
            }
        });
        server
    }

    pub async fn bind() -> (Self, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        (Self { address: listener.local_addr().unwrap(), seen: Arc::default() }, listener)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn header(&self, index: usize, name: &str) -> Option<String> {
        let seen = self.seen.lock().unwrap();
        seen[index].headers().get(name).map(|v| v.to_str().unwrap().to_owned())
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

async fn serve<S>(stream: S, seen: Arc<Mutex<Vec<Request<()>>>>, answer: Arc<impl Fn(&Request<()>) -> Reply + Send + Sync>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send,
{
    let service = service_fn(|request: Request<Incoming>| {
        let (seen, answer) = (seen.clone(), answer.clone());
        async move {
            let (mut head, body) = request.into_parts();
            head.extensions.insert(Sent(body.collect().await.map(|b| b.to_bytes()).unwrap_or_default()));
            let head = Request::from_parts(head, ());
            let response = answer(&head);
            seen.lock().unwrap().push(head);
            Ok::<_, Infallible>(response)
        }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// A certificate as PEM, and a server that has it.
pub fn tls(params: rcgen::CertificateParams) -> (String, rustls::ServerConfig) {
    install_crypto_provider();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.serialize_der().try_into().unwrap())
        .unwrap();
    (certificate.pem(), config)
}

pub fn target(dir: &Path, cluster: &str, user: &str) -> Target {
    target_in(dir, cluster, user, &|name| std::env::var_os(name))
}

/// The same with an environment of its own.
pub fn target_in(dir: &Path, cluster: &str, user: &str, env: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> Target {
    let text = format!(
        "contexts: [{{name: lab, context: {{cluster: c, user: u}}}}]\nclusters: [{{name: c, cluster: {{{cluster}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
    );
    let file = dir.join("config");
    std::fs::write(&file, text).unwrap();
    load_from(&LoadOptions { kubeconfig: Some(file), ..LoadOptions::default() }, env, Path::new("/nowhere")).unwrap().remove(0)
}

pub async fn connect_in(dir: &Path, cluster: &str, user: &str) -> Result<ReadClient, ClientError> {
    install_crypto_provider();
    ReadClient::connect(&target(dir, cluster, user), &ExecPool::default(), BudgetConfig::default()).await
}

pub async fn connect(server: &Server, user: &str) -> ReadClient {
    let dir = tempfile::tempdir().unwrap();
    connect_in(dir.path(), &format!("server: '{}'", server.url()), user).await.unwrap()
}

/// The writing side of a client, and a receipt for an intent that no test wrote down.
pub fn writes(read: &ReadClient) -> (WriteClient, Receipt) {
    let licence = Licence::of(&ClusterSettings::new("lab"), false).unwrap();
    (WriteClient::new(read, licence), Receipt::after(|| Ok::<_, ()>(())).unwrap())
}

pub fn gzipped(members: &[&[u8]]) -> Vec<u8> {
    use std::io::Write;
    let mut out = Vec::new();
    for text in members {
        let mut encoder = flate2::write::GzEncoder::new(&mut out, flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap();
    }
    out
}
