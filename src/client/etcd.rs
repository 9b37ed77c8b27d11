//! A member of a cluster's etcd, asked directly: its own gRPC API, and its metrics.
//!
//! [`EtcdClient`] only reads. [`EtcdWriter`] changes things and, like `WriteClient`, needs a [`Licence`] and for each call a [`Receipt`].
//! Which members there are and what their answers mean is `source`'s.

use super::{
    budget::BudgetConfig,
    error::ClientError,
    exec::ExecPool,
    forward::Forward,
    kubeconfig::Target,
    read::ReadClient,
    stack::AGENT,
    write::{Licence, Receipt},
};
use crate::config::Tls;
use crate::model::etcd_rpc::{
    ALARM, AlarmMember, AlarmRequest, HASH_KV, HashKvRequest, HashKvResponse, MEMBER_LIST, Member, MemberListRequest, Method, Nothing,
    SNAPSHOT, STATUS, SnapshotResponse, StatusResponse,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::{Stream, TryStreamExt};
use http::uri::PathAndQuery;
use kube::config::{AuthInfo, Cluster};
use secrecy::{ExposeSecret as _, SecretString};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status, client::Grpc};
use tonic_prost::ProstCodec;

/// A member that has not answered by then does not live.
const ANSWER: Duration = Duration::from_secs(5);
/// A member that has said nothing by then may have refused us.
const SUSPECT: Duration = Duration::from_millis(1500);
/// Hashing all keys takes as long as reading them.
const HASH: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(4);
const KEEPALIVE: Duration = Duration::from_secs(5);

/// What says who we are to etcd, as PEM in memory: of a Secret.
pub struct Certificates {
    pub ca: String,
    pub cert: String,
    pub key: SecretString,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates")
    }
}

/// As whom a member is asked, and which way.
#[derive(Clone, Debug, Default)]
pub struct EtcdWay {
    /// Files, read at each connecting; not looked at where there are certificates.
    pub tls: Tls,
    pub certificates: Option<Arc<Certificates>>,
    /// In place of the address's host.
    pub forward: Option<Forward>,
}

/// Reads from one member. Clones share the connection, which is made at the first call and again whenever it is lost.
#[derive(Clone)]
pub struct EtcdClient {
    url: String,
    channel: Channel,
    http: ReadClient,
}

impl fmt::Debug for EtcdClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EtcdClient").field(&self.url).finish()
    }
}

impl EtcdClient {
    /// Reads the certificates and prepares the connection to a member's client address (`https://10.0.0.1:2379`). Needs a tokio runtime.
    ///
    /// # Errors
    /// When a file cannot be read or is no certificate, or the address is none.
    pub async fn connect(url: &str, way: &EtcdWay) -> Result<Self, ClientError> {
        let url = url.trim_end_matches('/');
        let config = |reason: String| ClientError::Config { reason };
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| config(format!("{url:?} is not an address")))?;
        let endpoint = endpoint.user_agent(AGENT).map_err(|e| config(e.to_string()))?;
        let mut endpoint = endpoint
            .connect_timeout(CONNECT)
            .tcp_keepalive(Some(KEEPALIVE))
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .tcp_nodelay(true);
        if url.starts_with("https://") {
            let mut with = ClientTlsConfig::new();
            let tls = &way.tls;
            if let Some(of) = &way.certificates {
                with = with.ca_certificate(Certificate::from_pem(&of.ca)).identity(Identity::from_pem(&of.cert, of.key.expose_secret()));
            } else {
                if let Some(path) = &tls.ca.value {
                    with = with.ca_certificate(Certificate::from_pem(file(path)?));
                }
                if let (Some(cert), Some(key)) = (&tls.cert.value, &tls.key.value) {
                    with = with.identity(Identity::from_pem(file(cert)?, file(key)?));
                }
            }
            endpoint = endpoint.tls_config(with).map_err(|e| ClientError::from_transport(&e))?;
        }
        let channel = match &way.forward {
            None => endpoint.connect_lazy(),
            Some(forward) => endpoint.connect_with_connector_lazy(forward.clone()),
        };
        Ok(Self { url: url.to_owned(), channel, http: http(url, way).await? })
    }

    /// The address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How the member stands.
    ///
    /// # Errors
    /// When it does not answer within 5 s, or refuses.
    pub async fn status(&self) -> Result<StatusResponse, ClientError> {
        // With TLS 1.3 a client certificate is refused after the handshake, and over HTTP/2 that looks like silence: another connection tells.
        let refused = async {
            tokio::time::sleep(SUSPECT).await;
            match self.http.get_bytes("/version", "*/*").await {
                Err(e @ ClientError::Unauthorized { .. }) => e,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            answer = self.ask(STATUS, Nothing {}, ANSWER) => answer,
            error = refused => Err(error),
        }
    }

    /// The members: with a quorum as the cluster has them, without one as this member knows them.
    ///
    /// # Errors
    /// As [`EtcdClient::status`]; `quorum` fails when there is none.
    pub async fn members(&self, quorum: bool) -> Result<Vec<Member>, ClientError> {
        Ok(self.ask(MEMBER_LIST, MemberListRequest { linearizable: quorum }, ANSWER).await?.members)
    }

    /// The alarms that are raised, of all members.
    ///
    /// # Errors
    /// As [`EtcdClient::status`].
    pub async fn alarms(&self) -> Result<Vec<AlarmMember>, ClientError> {
        Ok(self.ask(ALARM, AlarmRequest::default(), ANSWER).await?.alarms)
    }

    /// The hash of all keys up to a revision (0: all); equal on members with the same `compact_revision`.
    ///
    /// # Errors
    /// When there is no answer within 60 s, or the revision is compacted.
    pub async fn hash(&self, revision: i64) -> Result<HashKvResponse, ClientError> {
        self.ask(HASH_KV, HashKvRequest { revision }, HASH).await
    }

    /// `/metrics`, as Prometheus would read it.
    ///
    /// # Errors
    /// When it is not served there or not within 5 s.
    pub async fn metrics(&self) -> Result<bytes::Bytes, ClientError> {
        let asked = self.http.get_bytes("/metrics", "text/plain");
        Ok(tokio::time::timeout(ANSWER, asked).await.map_err(|_| ClientError::Timeout { after: ANSWER })??.bytes)
    }

    async fn ask<Q, A>(&self, method: Method<Q, A>, request: Q, within: Duration) -> Result<A, ClientError>
    where
        Q: prost::Message + Default + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let asked = async {
            let mut grpc = ready(&self.channel).await?;
            let codec = ProstCodec::<Q, A>::default();
            grpc.unary(Request::new(request), PathAndQuery::from_static(method.path), codec).await
        };
        match tokio::time::timeout(within, asked).await {
            Ok(answer) => Ok(answer.map_err(|s| refused(&s))?.into_inner()),
            Err(_) => Err(ClientError::Timeout { after: within }),
        }
    }
}

/// The permission to write to every member of a cluster's etcd.
#[derive(Clone, Debug)]
pub struct EtcdPermit(Licence);

impl EtcdPermit {
    pub fn new(licence: Licence) -> Self {
        Self(licence)
    }

    /// The writing side of a member.
    pub fn writer(&self, client: &EtcdClient) -> EtcdWriter {
        EtcdWriter::new(client, self.0.clone())
    }
}

/// Changes one member or, through it, the cluster.
#[derive(Clone, Debug)]
pub struct EtcdWriter(EtcdClient);

impl EtcdWriter {
    /// The writing side of a client.
    fn new(client: &EtcdClient, _: Licence) -> Self {
        Self(client.clone())
    }

    /// The reading side.
    pub fn reader(&self) -> &EtcdClient {
        &self.0
    }

    /// Sends it, once. etcd does not stop a defragmentation whose caller has gone: after a timeout it may still be under way.
    ///
    /// # Errors
    /// When there is no answer within `within`, or a refusal.
    pub async fn call<Q, A>(&self, method: Method<Q, A>, request: Q, within: Duration, _: &Receipt) -> Result<A, ClientError>
    where
        Q: prost::Message + Default + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        self.0.ask(method, request, within).await
    }

    /// The whole database as it comes. The last 32 bytes are the SHA-256 of those before.
    ///
    /// # Errors
    /// When the member does not begin within 5 s; later, each piece may be an error.
    pub async fn snapshot(
        &self,
        _: &Receipt,
    ) -> Result<impl Stream<Item = Result<SnapshotResponse, ClientError>> + Send + use<>, ClientError> {
        let channel = self.0.channel.clone();
        let begin = async move {
            let mut grpc = ready(&channel).await?;
            let codec = ProstCodec::<Nothing, SnapshotResponse>::default();
            grpc.server_streaming(Request::new(Nothing {}), PathAndQuery::from_static(SNAPSHOT.path), codec).await
        };
        let begun = tokio::time::timeout(ANSWER, begin).await.map_err(|_| ClientError::Timeout { after: ANSWER })?;
        Ok(begun.map_err(|s| refused(&s))?.into_inner().map_err(|s| refused(&s)))
    }
}

async fn ready(channel: &Channel) -> Result<Grpc<Channel>, Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.map_err(|e| Status::from_error(Box::new(e)))?;
    Ok(grpc)
}

/// gRPC's refusals in the terms of a cluster's.
fn refused(status: &Status) -> ClientError {
    let message = || super::error::printable(status.message().trim_start_matches("etcdserver: "));
    match status.code() {
        Code::DeadlineExceeded | Code::Cancelled => ClientError::Timeout { after: ANSWER },
        Code::Unauthenticated => ClientError::Unauthorized { reason: message() },
        Code::PermissionDenied => ClientError::Forbidden { message: message() },
        Code::NotFound => ClientError::NotFound { message: message() },
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange | Code::Unimplemented => {
            ClientError::Invalid { message: message() }
        }
        _ => match std::error::Error::source(status) {
            Some(cause) => ClientError::from_transport(cause),
            None => ClientError::Server { code: 503, message: message() },
        },
    }
}

fn file(path: &std::path::Path) -> Result<Vec<u8>, ClientError> {
    std::fs::read(path).map_err(|why| ClientError::Config { reason: format!("{}: {why}", path.display()) })
}

/// The same address for its metrics, as if it were an API server.
async fn http(url: &str, way: &EtcdWay) -> Result<ReadClient, ClientError> {
    let text = |path: &Option<PathBuf>| path.as_ref().map(|p| p.to_string_lossy().into_owned());
    let mut cluster = Cluster { server: Some(url.to_owned()), ..Cluster::default() };
    let mut user = AuthInfo::default();
    if let Some(of) = &way.certificates {
        cluster.certificate_authority_data = Some(STANDARD.encode(&of.ca));
        user.client_certificate_data = Some(STANDARD.encode(&of.cert));
        user.client_key_data = Some(STANDARD.encode(of.key.expose_secret()).into());
    } else {
        let tls = &way.tls;
        cluster.certificate_authority = text(&tls.ca.value);
        (user.client_certificate, user.client_key) = (text(&tls.cert.value), text(&tls.key.value));
    }
    let target = Target::direct("etcd", cluster, user);
    let target = if let Some(forward) = &way.forward { target.by(forward.clone()) } else { target };
    ReadClient::connect(&target, &ExecPool::default(), BudgetConfig::default()).await
}
