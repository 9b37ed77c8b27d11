//! The HTTP stack under a `kube::Client`: kube's parts, with what it lacks: keepalive, limits on connecting, proxies by
//! kubectl's rules, a request budget. No retries and no decompression: callers have both.

use std::{future::Future, pin::Pin, time::Duration};

use http::{HeaderValue, Uri, header::USER_AGENT};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{
            Connect, Connection, HttpConnector,
            proxy::{SocksV5, Tunnel},
        },
    },
    client::proxy::matcher::Intercept,
    rt::TokioExecutor,
};
use kube::{client::ConfigExt, config::Config};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

use super::{
    budget::Budget,
    certificate::Certificate,
    error::{ClientError, DialTimeout},
    forward::Forward,
};

/// TCP alone.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Name lookup, TCP, proxy and TLS together: a stopped server still accepts TCP.
const DIAL_LIMIT: Duration = Duration::from_secs(10);
/// A peer that has vanished is noticed within 5 + 3 x 3 s when idle, and within this when something was sent.
const USER_TIMEOUT: Duration = Duration::from_secs(12);
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(5), Duration::from_secs(3), 3);

/// What servers see in their audit logs.
pub(super) const AGENT: &str = concat!("qd/", env!("CARGO_PKG_VERSION"));

/// Builds the client. Does not connect. Must run within a tokio runtime.
pub(super) fn build(
    mut config: Config,
    proxy: Option<&Intercept>,
    forward: Option<Forward>,
    budget: &Budget,
) -> Result<kube::Client, ClientError> {
    config.headers.push((USER_AGENT, HeaderValue::from_static(AGENT)));
    if let Some(forward) = forward {
        return finish(&config, forward, budget);
    }
    let tcp = tcp();
    let Some(proxy) = proxy else {
        return finish(&config, tcp, budget);
    };
    let uri = proxy.uri().clone();
    match uri.scheme_str() {
        Some("socks5" | "socks5h") => {
            let mut socks = SocksV5::new(uri, tcp);
            if let Some((user, password)) = proxy.raw_auth() {
                socks = socks.with_auth(user.to_owned(), password.to_owned());
            }
            finish(&config, socks, budget)
        }
        Some("https") => {
            // As in Go, the cluster's roots and server name hold for its proxy too.
            let tls = config.rustls_https_connector_with_connector(tcp).map_err(refused)?;
            finish(&config, tunnel(uri, tls, proxy), budget)
        }
        _ => finish(&config, tunnel(uri, tcp, proxy), budget),
    }
}

/// The certificate that the server of a configuration shows in a handshake.
pub(super) async fn shown_certificate(config: &Config) -> Option<Certificate> {
    let (url, tls) = (&config.cluster_url, config.rustls_client_config().ok()?);
    let host = url.host()?.trim_matches(['[', ']']);
    let name = config.tls_server_name.clone().unwrap_or_else(|| host.to_owned());
    let name = rustls::pki_types::ServerName::try_from(name).ok()?;
    let port = url.port_u16().unwrap_or(443);
    let shake = async {
        let tcp = tokio::net::TcpStream::connect((host, port)).await.ok()?;
        tokio_rustls::TlsConnector::from(std::sync::Arc::new(tls)).connect(name, tcp).await.ok()
    };
    let stream = tokio::time::timeout(DIAL_LIMIT, shake).await.ok()??;
    Certificate::read(stream.get_ref().1.peer_certificates()?.first()?)
}

fn tunnel<C>(uri: Uri, connector: C, proxy: &Intercept) -> Tunnel<C> {
    let tunnel = Tunnel::new(uri, connector);
    match proxy.basic_auth() {
        Some(basic) => tunnel.with_auth(basic.clone()),
        None => tunnel,
    }
}

fn tcp() -> HttpConnector {
    let (idle, interval, probes) = KEEPALIVE;
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_LIMIT));
    tcp.set_keepalive(Some(idle));
    tcp.set_keepalive_interval(Some(interval));
    tcp.set_keepalive_retries(Some(probes));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(USER_TIMEOUT));
    tcp
}

fn finish<C>(config: &Config, connector: C, budget: &Budget) -> Result<kube::Client, ClientError>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: hyper::rt::Read + hyper::rt::Write + Connection + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    let tls = config.rustls_https_connector_with_connector(connector).map_err(refused)?;
    let http = Client::builder(TokioExecutor::new()).build(within(tls));
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .layer(config.extra_headers_layer().map_err(refused)?)
        .layer(budget.clone())
        .service(http);
    Ok(kube::Client::new(service, config.default_namespace.clone()))
}

/// `connector` with a limit on the whole of connecting.
fn within<C>(connector: C) -> impl Connect + Clone + Send + Sync + 'static
where
    C: Service<Uri, Error = BoxError> + Clone + Send + Sync + 'static,
    C::Response: hyper::rt::Read + hyper::rt::Write + Connection + Send + Unpin + 'static,
    C::Future: Send + 'static,
{
    type Dial<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;
    connector.map_future(|dial| -> Dial<C::Response> {
        Box::pin(async move { tokio::time::timeout(DIAL_LIMIT, dial).await.map_err(|_| DialTimeout)? })
    })
}

/// kube refuses a configuration: words only, it may quote nothing secret.
fn refused(error: kube::Error) -> ClientError {
    match ClientError::from_transport(&error) {
        ClientError::Unreachable { reason } => ClientError::Config { reason },
        other => other,
    }
}

#[cfg(test)]
mod proxies;

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::sockopt;

    #[tokio::test]
    async fn sockets_notice_a_peer_that_vanished() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri: Uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let stream = tcp().oneshot(uri).await.unwrap().into_inner();
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), Duration::from_secs(5));
        assert_eq!(sockopt::tcp_keepintvl(&stream).unwrap(), Duration::from_secs(3));
        assert_eq!(sockopt::tcp_keepcnt(&stream).unwrap(), 3);
        #[cfg(target_os = "linux")]
        assert_eq!(sockopt::tcp_user_timeout(&stream).unwrap(), 12_000);
        assert!(sockopt::tcp_nodelay(&stream).unwrap());
    }

    #[tokio::test]
    async fn a_name_that_is_not_known_and_a_peer_that_vanished_are_said() {
        let resolver = tower::service_fn(|_| async { Err::<std::vec::IntoIter<_>, _>(std::io::Error::other("failed to lookup")) });
        let http: Client<_, http_body_util::Empty<bytes::Bytes>> =
            Client::builder(TokioExecutor::new()).build(HttpConnector::new_with_resolver(resolver));
        let unknown = http.get(Uri::from_static("http://kube.example/")).await.unwrap_err();
        assert_eq!(ClientError::from_transport(&unknown).reason(), "no such host");
        let lost = std::io::Error::from_raw_os_error(rustix::io::Errno::TIMEDOUT.raw_os_error());
        assert_eq!(ClientError::from_transport(&lost).reason(), "connection lost");
    }
}
