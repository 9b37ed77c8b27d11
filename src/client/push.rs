//! Text for a service that is no cluster's: the metrics of an inspection, for a Pushgateway.

use super::{BudgetConfig, ClientError, ExecPool, Target, session::Session};
use http::{Request, header::CONTENT_TYPE};
use kube::client::Body;
use kube::config::{AuthInfo, Cluster};
use std::time::Duration;

/// What is not taken by then is an error.
const ANSWER: Duration = Duration::from_secs(20);

/// PUTs a text of Prometheus' exposition format to a path below an address, through the environment's proxies.
///
/// # Errors
/// When the address is none, nobody answers, or the answer is not 2xx.
pub async fn put_metrics(address: &str, path: &str, text: &str) -> Result<(), ClientError> {
    let cluster = Cluster { server: Some(address.trim_end_matches('/').to_owned()), ..Cluster::default() };
    let target = Target::direct(address, cluster, AuthInfo::default());
    let session = Session::new(&target, &ExecPool::default(), BudgetConfig::default())?;
    let request = || {
        let request = Request::put(path).header(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
        request.body(Body::from(text.as_bytes().to_vec())).map_err(|e| ClientError::Invalid { message: e.to_string() })
    };
    session.send(request, ANSWER).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fake::{Server, reply};
    use crate::client::install_crypto_provider;

    #[tokio::test]
    async fn it_is_put_below_the_address_and_a_refusal_is_an_error() {
        install_crypto_provider();
        let server = Server::start(|r| reply(if r.uri().path().ends_with("/bad") { 400 } else { 202 }, "")).await;
        put_metrics(&format!("{}/push/", server.url()), "/metrics/job/qd/cluster/lab", "qd_score 1\n").await.unwrap();
        assert!(put_metrics(&server.url(), "/metrics/job/bad", "x").await.is_err());
        assert!(put_metrics("ftp://x", "/metrics", "x").await.is_err());
        let seen = server.seen.lock().unwrap();
        assert_eq!((seen[0].method().as_str(), seen[0].uri().path()), ("PUT", "/push/metrics/job/qd/cluster/lab"));
        assert!(seen[0].headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    }
}
