//! A port of a pod through its API server: each connection is a port-forward of its own, a websocket that carries bytes.
//!
//! Which pod and why is `reach`'s. What is spoken over it, TLS too, is the caller's, as over any other connection.

use super::{
    error::{ClientError, printable, shorten},
    read::ReadClient,
};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tower::{BoxError, Service};

/// For the API server and the kubelet behind it to have it open.
const OPEN: Duration = Duration::from_secs(8);
/// For the reason why a connection has ended, after its end.
const REASON: Duration = Duration::from_millis(300);

/// Where connections go, in place of the host of an address. Clones share nothing but the cluster's client.
#[derive(Clone)]
pub struct Forward {
    through: ReadClient,
    namespace: String,
    pod: String,
    port: u16,
}

impl Forward {
    /// To a port of a pod of the client's cluster.
    pub fn new(through: &ReadClient, namespace: &str, pod: &str, port: u16) -> Self {
        Self { through: through.clone(), namespace: namespace.to_owned(), pod: pod.to_owned(), port }
    }

    async fn dial(self) -> Result<TokioIo<Piped>, ClientError> {
        let client = self.through.session().upgrading().await?;
        let pods: Api<Pod> = Api::namespaced(client, &self.namespace);
        let mut forwarder = pods.portforward(&self.pod, &[self.port]).await.map_err(|e| refused(&e))?;
        let broken = || ClientError::Unreachable { reason: "the port-forward has no stream".to_owned() };
        let stream = forwarder.take_stream(self.port).ok_or_else(broken)?;
        let error = forwarder.take_error(self.port).ok_or_else(broken)?.boxed();
        Ok(TokioIo::new(Piped { stream, error: Some(error), waits: None }))
    }
}

impl fmt::Display for Forward {
    /// `pod monitoring/alertmanager-0:9093`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pod {}/{}:{}", self.namespace, self.pod, self.port)
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Forward({self})")
    }
}

impl Service<Uri> for Forward {
    type Response = TokioIo<Piped>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let forward = self.clone();
        Box::pin(async move {
            let timeout = ClientError::Timeout { after: OPEN };
            Ok(tokio::time::timeout(OPEN, forward.dial()).await.map_err(|_| timeout)??)
        })
    }
}

/// What the API server answered in place of opening it.
fn refused(error: &kube::Error) -> ClientError {
    match error {
        kube::Error::Api(status) => {
            ClientError::from_response(status.code, &http::HeaderMap::new(), &serde_json::to_vec(status).unwrap_or_default())
        }
        error => ClientError::from_transport(error),
    }
}

/// The bytes of a port-forward. Its end, where the other side said why, is that error.
pub struct Piped {
    stream: DuplexStream,
    error: Option<BoxFuture<'static, Option<String>>>,
    /// Until when the reason is waited for, once it has ended.
    waits: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl AsyncRead for Piped {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.waits.is_none() {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            if buf.filled().len() > before || buf.capacity() == before {
                return Poll::Ready(Ok(()));
            }
            self.waits = Some(Box::pin(tokio::time::sleep(REASON)));
        }
        let Piped { error, waits, .. } = &mut *self;
        if let Some(pending) = error {
            match pending.poll_unpin(cx) {
                Poll::Ready(said) => {
                    *error = None;
                    if let Some(said) = said {
                        let reason = format!("port-forward: {}", shorten(&printable(&said), 120));
                        return Poll::Ready(Err(io::Error::other(ClientError::Unreachable { reason })));
                    }
                }
                Poll::Pending => match waits {
                    Some(waits) => ready!(waits.poll_unpin(cx)),
                    None => return Poll::Pending,
                },
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Piped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Connection for Piped {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
