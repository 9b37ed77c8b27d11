//! What an API server tells of its etcd, for where etcd itself is not reached: its own check, how long its requests take, how much is stored.
//!
//! Metrics: `staging/src/k8s.io/apiserver/pkg/storage/etcd3/metrics/metrics.go`. They are long: read line by line, and seldom.

use super::exposition::{Buckets, samples};
use crate::client::{ClientError, ReadClient};
use crate::model::{SecondHand, Str};
use std::time::Duration;
use tokio::io::AsyncBufReadExt as _;
use tokio::time::{Instant, timeout};

/// Between two looks.
pub const AGAIN: Duration = Duration::from_secs(60);
/// How long the check may take, and the metrics.
const CHECK: Duration = Duration::from_secs(5);
const METRICS: Duration = Duration::from_secs(8);

const REQUESTS: &str = "etcd_request_duration_seconds_bucket";
/// Of a database file; since 1.26, before that by the second name.
const SIZES: [&str; 2] = ["apiserver_storage_size_bytes", "apiserver_storage_db_total_size_in_bytes"];
/// Objects of a resource; since 1.34, before that by the second name.
const OBJECTS: [&str; 2] = ["apiserver_resource_objects", "apiserver_storage_objects"];

/// What was heard, and what the next look compares with.
#[derive(Default)]
pub struct Listener {
    due: Option<Instant>,
    requests: Option<Buckets>,
    said: Option<SecondHand>,
}

impl Listener {
    /// What is known; none: the API server says nothing of it.
    pub fn said(&self) -> Option<&SecondHand> {
        self.said.as_ref()
    }

    /// Asks, unless it was asked a short while ago.
    pub async fn look(&mut self, client: &ReadClient) {
        if self.due.is_some_and(|due| Instant::now() < due) {
            return;
        }
        self.due = Some(Instant::now() + AGAIN);
        let mut heard = SecondHand::default();
        let mut missing: Vec<String> = Vec::new();
        match timeout(CHECK, client.get_bytes("/readyz?verbose", "*/*")).await {
            Ok(Ok(answer)) => {
                let told = String::from_utf8_lossy(&answer.bytes).lines().any(|l| l.starts_with("[+]etcd "));
                heard.check = told.then_some(Ok(()));
            }
            Ok(Err(ClientError::Server { message, .. })) if message.contains("etcd") => heard.check = Some(Err(Str::from(&*message))),
            Ok(Err(e @ ClientError::Forbidden { .. })) => missing.push(e.reason()),
            _ => {}
        }
        match timeout(METRICS, self.measure(client, &mut heard)).await {
            Ok(Err(e @ ClientError::Forbidden { .. })) => missing.push(e.reason()),
            Ok(Ok(())) => {}
            // Half of it would be told as all.
            _ => heard = SecondHand { check: heard.check, ..SecondHand::default() },
        }
        heard.missing = (!missing.is_empty()).then(|| missing.join(", ").into());
        self.said = (heard != SecondHand::default()).then_some(heard);
    }

    async fn measure(&mut self, client: &ReadClient, heard: &mut SecondHand) -> Result<(), ClientError> {
        let mut text = client.get_text_stream("/metrics").await?;
        let (mut requests, mut sizes, mut objects) = (Buckets::default(), [None; 2], [None; 2]);
        let mut line = String::new();
        loop {
            line.clear();
            let read = text.read_line(&mut line).await;
            if read.map_err(|e| ClientError::Decode { message: e.to_string() })? == 0 {
                break;
            }
            if !(line.starts_with("etcd_request_d") || line.starts_with("apiserver_storage_") || line.starts_with("apiserver_resource_o")) {
                continue;
            }
            for sample in samples(&line) {
                // What could not be counted is -1.
                let whole = Some(sample.value as i64).filter(|n| *n >= 0 && sample.value.is_finite());
                if sample.name == REQUESTS {
                    requests.add(&sample);
                } else if let Some(n) = SIZES.iter().position(|s| *s == sample.name) {
                    sizes[n] = sizes[n].max(whole);
                } else if let Some(n) = OBJECTS.iter().position(|s| *s == sample.name) {
                    objects[n] = whole.map_or(objects[n], |more| Some(objects[n].unwrap_or(0) + more));
                }
            }
        }
        let before = self.requests.replace(requests.clone());
        let p99 = before.and_then(|before| requests.since(&before).quantile(0.99));
        heard.request_p99_us = p99.map(|s| (s * 1e6).ceil() as i64);
        // It counts once a minute, and before that nothing; there is always something.
        (heard.size, heard.objects) = (sizes[0].or(sizes[1]), objects[0].or(objects[1]).filter(|n| *n > 0));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fake::{Reply, Server, connect, reply};
    use http::Request;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    async fn heard(answer: impl Fn(&Request<()>) -> Reply + Send + Sync + 'static, looks: u32) -> (Listener, usize) {
        let server = Server::start(answer).await;
        let client = connect(&server, "").await;
        let mut listener = Listener::default();
        for _ in 0..looks {
            listener.due = None;
            listener.look(&client).await;
        }
        listener.look(&client).await;
        (listener, server.count())
    }

    fn metrics(fast: u32, slow: u32) -> String {
        let of = |resource: &str, le: &str, n: u32| {
            format!("etcd_request_duration_seconds_bucket{{group=\"\",operation=\"get\",resource=\"{resource}\",le=\"{le}\"}} {n}\n")
        };
        let buckets = ["pods", "nodes"].map(|r| of(r, "0.005", fast) + &of(r, "0.4", slow) + &of(r, "+Inf", slow)).concat();
        format!(
            "# TYPE etcd_request_duration_seconds histogram\n{buckets}etcd_request_duration_seconds_sum 3\n\
             apiserver_storage_size_bytes{{storage_cluster_id=\"etcd-0\"}} 1.048576e+06\napiserver_storage_objects{{resource=\"pods\"}} 7\n\
             apiserver_resource_objects{{group=\"\",resource=\"pods\"}} 40\napiserver_resource_objects{{group=\"apps\",resource=\"x\"}} 2\n\
             apiserver_resource_objects{{group=\"\",resource=\"secrets\"}} -1\n"
        )
    }

    #[tokio::test]
    async fn check_size_objects_and_what_requests_take_since_the_look_before() {
        let looks = Arc::new(AtomicU32::new(0));
        let (listener, asked) = heard(
            move |r| match r.uri().path() {
                "/readyz" => reply(200, "[+]ping ok\n[+]etcd ok\n[+]etcd-readiness ok\nreadyz check passed\n"),
                _ => {
                    let n = looks.fetch_add(1, Ordering::Relaxed);
                    reply(200, metrics(1_000, 1_000 + n * 100))
                }
            },
            2,
        )
        .await;
        let said = listener.said().unwrap();
        assert_eq!((&said.check, said.size, said.objects, &said.missing), (&Some(Ok(())), Some(1 << 20), Some(42), &None));
        assert!(said.request_p99_us.is_some_and(|us| us > 390_000), "only what came since counts: {said:?}");
        assert_eq!(asked, 4, "a third look within the minute asks nothing");
        assert!(said.words().starts_with("the API server's check of etcd is ok, its requests take 39"), "{}", said.words());
    }

    #[tokio::test]
    async fn a_failing_check_is_told_and_a_missing_right_is_named() {
        let (listener, _) = heard(
            |r| match r.uri().path() {
                "/readyz" => reply(
                    500,
                    "[+]ping ok\n[-]etcd failed: reason withheld\n[-]etcd-readiness failed: reason withheld\nreadyz check failed\n",
                ),
                _ => reply(
                    403,
                    r#"{"kind":"Status","message":"forbidden: User \"v\" cannot get path \"/metrics\"","reason":"Forbidden","code":403}"#,
                ),
            },
            1,
        )
        .await;
        let said = listener.said().unwrap();
        assert_eq!(said.words(), "the API server's check of etcd FAILS: failing checks: etcd, etcd-readiness, may not get /metrics");
    }

    #[tokio::test]
    async fn an_api_server_that_says_nothing_of_it_gives_no_row() {
        let (listener, _) = heard(|r| if r.uri().path() == "/readyz" { reply(200, "ok") } else { reply(404, "{}") }, 1).await;
        assert!(listener.said().is_none());
    }
}
