//! The sockets of etcd's members: gRPC and `/metrics` on one port, as etcd has them, without TLS.

use super::super::serve::{self, Cluster};
use super::super::store::State;
use super::{NO_ANSWER, Said, metrics, snapshot};
use crate::model::etcd_rpc::{
    ALARM, COMPACT, DEFRAGMENT, HASH_KV, MEMBER_ADD, MEMBER_LIST, MEMBER_PROMOTE, MEMBER_REMOVE, MOVE_LEADER, Method, Nothing, RANGE,
    SNAPSHOT, STATUS, SnapshotResponse,
};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tonic::body::Body;
use tonic::{Status, server::Grpc};
use tonic_prost::ProstCodec;

/// How long etcd tries before it gives up.
const TRIES: Duration = Duration::from_secs(7);

/// Opens the sockets of all members. Within a runtime.
///
/// # Errors
/// When there are none to be had.
pub fn listen(cluster: &Arc<Cluster>) -> io::Result<()> {
    let ids: Vec<u64> = cluster.read().etcd.members.iter().map(|m| m.id).collect();
    for id in ids {
        let (url, listener) = socket()?;
        if let Some(member) = cluster.read().etcd.members.iter_mut().find(|m| m.id == id) {
            member.client = Some(url);
        }
        begin(cluster, id, listener)?;
    }
    Ok(())
}

fn socket() -> io::Result<(String, TcpListener)> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    Ok((format!("http://{}", listener.local_addr()?), listener))
}

/// Serves a member until the runtime ends: one task, which sleeps while nobody asks.
fn begin(cluster: &Arc<Cluster>, id: u64, listener: TcpListener) -> io::Result<()> {
    let address = listener.local_addr()?;
    let (faults, cluster) = (cluster.member(id), cluster.clone());
    tokio::spawn(serve::accept(faults, listener, address, move |stream| connection(cluster.clone(), id, stream)));
    Ok(())
}

async fn connection(cluster: Arc<Cluster>, id: u64, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let cluster = cluster.clone();
        async move { Ok::<_, Infallible>(answer(&cluster, id, request).await) }
    });
    // A client that goes away is no error of ours.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

fn plain(code: u16, kind: &str, text: String) -> Response<Body> {
    let mut reply = Response::new(Body::new(Full::new(bytes::Bytes::from(text))));
    *reply.status_mut() = http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(kind) = kind.parse() {
        reply.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    }
    reply
}

/// Calls a method's function with what came, and frames what it says.
async fn unary<Q, A>(
    _: Method<Q, A>,
    cluster: &Arc<Cluster>,
    id: u64,
    request: Request<Incoming>,
    call: impl Fn(&mut State, u64, &Q) -> Said<A> + Clone + Send + 'static,
) -> Response<Body>
where
    Q: prost::Message + Default + Send + Sync + 'static,
    A: prost::Message + Default + Send + Sync + 'static,
{
    let cluster = cluster.clone();
    let service = tower::service_fn(move |asked: tonic::Request<Q>| {
        let (cluster, call) = (cluster.clone(), call.clone());
        async move {
            let said = cluster.etcd(|s| call(s, id, asked.get_ref()));
            if said.as_ref().is_err_and(|e| e.message() == NO_ANSWER) {
                tokio::time::sleep(TRIES).await;
            }
            said.map(tonic::Response::new)
        }
    });
    Grpc::new(ProstCodec::<A, Q>::default()).unary(service, request).await
}

async fn streamed(cluster: &Arc<Cluster>, id: u64, request: Request<Incoming>) -> Response<Body> {
    let cluster = cluster.clone();
    let service = tower::service_fn(move |_: tonic::Request<Nothing>| {
        let stream = cluster.etcd(|s| snapshot::stream(s, id));
        async move { stream.map(tonic::Response::new) }
    });
    Grpc::new(ProstCodec::<SnapshotResponse, Nothing>::default()).server_streaming(service, request).await
}

/// Adds a member, and gives it a socket.
async fn add(cluster: &Arc<Cluster>, id: u64, request: Request<Incoming>) -> Response<Body> {
    let Ok((url, listener)) = socket() else { return Status::resource_exhausted("no socket").into_http() };
    let client = url.clone();
    let reply = unary(MEMBER_ADD, cluster, id, request, move |s, id, q| super::add(s, id, q, client.clone())).await;
    let new = cluster.read().etcd.members.iter().find(|m| m.client.as_ref() == Some(&url)).map(|m| m.id);
    match new.map(|id| begin(cluster, id, listener)) {
        Some(Err(e)) => Status::resource_exhausted(e.to_string()).into_http(),
        _ => reply,
    }
}

async fn answer(cluster: &Arc<Cluster>, id: u64, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    macro_rules! calls {
        ($($method:ident => $call:expr),*) => {
            $(if path == $method.path {
                return unary($method, cluster, id, request, $call).await;
            })*
        };
    }
    calls! {
        STATUS => |s, id, _| super::status(s, id),
        MEMBER_LIST => super::list,
        ALARM => super::alarm,
        HASH_KV => super::hash,
        MOVE_LEADER => super::move_leader,
        MEMBER_REMOVE => super::remove,
        MEMBER_PROMOTE => super::promote,
        COMPACT => super::compact,
        RANGE => |s, id, _| super::range(s, id),
        DEFRAGMENT => |s, id, _| super::defragment(s, id)
    }
    let grpc = request.headers().get(http::header::CONTENT_TYPE).is_some_and(|t| t.as_bytes().starts_with(b"application/grpc"));
    match path.as_str() {
        p if p == MEMBER_ADD.path => add(cluster, id, request).await,
        p if p == SNAPSHOT.path => streamed(cluster, id, request).await,
        "/metrics" => {
            let text = cluster.etcd(|s| metrics::text(&s.etcd, id, s.now(), s.revision()));
            plain(200, "text/plain; version=0.0.4; charset=utf-8", text)
        }
        "/health" | "/readyz" | "/livez" => match cluster.etcd(|s| s.etcd.leader) {
            0 => plain(503, "application/json", r#"{"health":"false","reason":"RAFT NO LEADER"}"#.to_owned()),
            _ => plain(200, "application/json", r#"{"health":"true","reason":""}"#.to_owned()),
        },
        _ if grpc => Status::unimplemented(format!("unknown method {path}")).into_http(),
        _ => plain(404, "text/plain; charset=utf-8", "404 page not found\n".to_owned()),
    }
}
