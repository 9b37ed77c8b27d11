//! When the kubelets of nodes that are not ready last renewed their leases: those of kube-node-lease, asked for `asked`.
//!
//! Of nodes that are well nobody is asked: their leases change every ten seconds and say the same.

use super::asked::{ANSWER, Wire, allowed, dated, time, why};
use crate::client::{Ask, ClientError, ReadClient};
use crate::model::Str;
use crate::model::asked::{Heartbeat, Told};
use futures::StreamExt as _;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Leases that are asked for at a look, ...
const FEW: usize = 20;
/// ... and at once.
const BESIDE: usize = 4;
/// When one is asked for again.
const AGAIN: Duration = Duration::from_secs(20);
/// When it is asked again whether one may.
const RETRY: Duration = Duration::from_secs(600);

/// The nodes that are not ready, and what their leases said.
#[derive(Default)]
pub(super) struct Heartbeats {
    heard: BTreeMap<Str, (Instant, Heartbeat)>,
    /// Whether one may, as of when.
    may: Option<(Instant, Told<()>)>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    lease_duration_seconds: i64,
    renew_time: Option<String>,
}

impl Heartbeats {
    /// Asks for the leases of these nodes, by name, of those first that were never asked for. By the name of their node.
    pub async fn look(&mut self, client: &ReadClient, nodes: &[Str], now: Instant) -> Box<[Heartbeat]> {
        self.heard.retain(|node, _| nodes.binary_search(node).is_ok());
        let due = |node: &&Str| self.heard.get(*node).is_none_or(|(at, _)| *at + AGAIN <= now);
        let mut due: Vec<Str> = nodes.iter().filter(due).cloned().collect();
        due.sort_by_key(|node| self.heard.get(node).map(|(at, _)| *at));
        due.truncate(FEW);
        if !due.is_empty() {
            match self.may(client, now).await {
                Ok(()) => self.ask(client, due, now).await,
                Err(why) => {
                    for node in due {
                        self.heard.insert(node.clone(), (now, Heartbeat { node, lapsed: Err(why.clone()) }));
                    }
                }
            }
        }
        self.heard.values().map(|(_, heard)| heard.clone()).collect()
    }

    async fn may(&mut self, client: &ReadClient, now: Instant) -> Told<()> {
        if let Some((_, told)) = self.may.as_ref().filter(|(at, _)| *at + RETRY > now) {
            return told.clone();
        }
        let ask =
            Ask { verb: "get", group: "coordination.k8s.io", resource: "leases", namespace: Some("kube-node-lease"), ..Ask::default() };
        let told = allowed(client, ask).await.map_err(|e| why(&e));
        self.may = Some((now, told.clone()));
        told
    }

    async fn ask(&mut self, client: &ReadClient, nodes: Vec<Str>, now: Instant) {
        let one = |node: Str| async move {
            let path = format!("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{node}");
            let lapsed = match dated::<Wire<Spec>>(client, &path).await {
                Ok((lease, clock)) => lease.spec.lapsed(clock),
                Err(ClientError::NotFound { .. }) => Err("it has none".into()),
                Err(error) => Err(why(&error)),
            };
            Heartbeat { node, lapsed }
        };
        let answers = futures::stream::iter(nodes).map(one).buffer_unordered(BESIDE).take_until(tokio::time::sleep(ANSWER));
        let mut answers = std::pin::pin!(answers);
        while let Some(heard) = answers.next().await {
            self.heard.insert(heard.node.clone(), (now, heard));
        }
    }
}

impl Spec {
    /// The last renewal, where the lease has run out by a clock (unix seconds).
    fn lapsed(&self, clock: i64) -> Told<Option<crate::model::Time>> {
        let renewed = self.renew_time.as_deref().and_then(time).ok_or("it does not say when it was renewed")?;
        Ok(Some(renewed).filter(|t| clock - t.secs() > self.lease_duration_seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fake::{Server, connect, reply};
    use serde_json::json;

    fn names(all: &[&str]) -> Vec<Str> {
        all.iter().map(|n| Str::from(*n)).collect()
    }

    #[tokio::test]
    async fn a_lease_has_run_out_by_the_servers_clock_and_those_that_are_new_are_asked_for_first() {
        let server = Server::start(|r| {
            let Some(node) = r.uri().path().strip_prefix("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/") else {
                return reply(404, "{}");
            };
            // Ten seconds, forty, forty-one.
            let renewed = match node {
                "fresh" => "2020-01-01T00:00:50.000000Z",
                "edge" => "2020-01-01T00:00:20.000000Z",
                "never" => "",
                "none" => return reply(404, r#"{"kind":"Status","reason":"NotFound","code":404}"#),
                _ => "2020-01-01T00:00:19.000000Z",
            };
            let lease = json!({"metadata": {"name": node}, "spec": {"leaseDurationSeconds": 40, "renewTime": renewed}});
            let mut answer = reply(200, lease.to_string());
            answer.headers_mut().insert(http::header::DATE, http::HeaderValue::from_static("Wed, 01 Jan 2020 00:01:00 GMT"));
            answer
        })
        .await;
        let client = connect(&server, "").await;
        let (mut beats, now) = (Heartbeats::default(), Instant::now());
        let heard = beats.look(&client, &names(&["edge", "fresh", "never", "none", "old"]), now).await;
        let facts: Vec<_> = heard.iter().map(|h| (&*h.node, h.lapsed.as_ref().map(Option::is_some).map_err(|e| &**e))).collect();
        assert_eq!(
            facts,
            [
                ("edge", Ok(false)),
                ("fresh", Ok(false)),
                ("never", Err("it does not say when it was renewed")),
                ("none", Err("it has none")),
                ("old", Ok(true))
            ]
        );
        assert_eq!(server.count(), 6, "whether one may, and each once");
        let heard = beats.look(&client, &names(&["new", "old"]), now + AGAIN / 2).await;
        assert_eq!((heard.len(), server.count()), (2, 7), "those that are well again are forgotten, and only the new one is asked for");
        beats.look(&client, &names(&["new", "old"]), now + AGAIN).await;
        assert_eq!(server.count(), 8);
        let many: Vec<Str> = (0..50).map(|n| Str::from(format!("n{n:02}"))).collect();
        assert_eq!(beats.look(&client, &many, now).await.len(), FEW);
        assert_eq!(beats.look(&client, &[], now).await.len(), 0);
    }

    #[tokio::test]
    async fn without_the_right_none_is_asked_for_and_that_is_said() {
        let review = r#"{"kind":"SelfSubjectAccessReview","status":{"allowed":false}}"#;
        let server = Server::start(move |_| reply(201, review)).await;
        let client = connect(&server, "").await;
        let (mut beats, now) = (Heartbeats::default(), Instant::now());
        for again in [now, now + AGAIN] {
            let heard = beats.look(&client, &names(&["a", "b"]), again).await;
            assert!(heard.iter().all(|h| h.lapsed.as_ref().is_err_and(|w| w.starts_with("no right to get"))), "{heard:?}");
        }
        assert_eq!(server.count(), 1, "it is asked once whether one may");
    }
    #[tokio::test]
    async fn those_that_were_never_asked_for_go_before_those_that_were() {
        let server =
            Server::start(|r| reply(if r.uri().path().contains("/leases/") { 200 } else { 404 }, r#"{"metadata": {"name": "x"}}"#)).await;
        let client = connect(&server, "").await;
        let (mut beats, now) = (Heartbeats::default(), Instant::now());
        let mut nodes: Vec<Str> = (0..FEW).map(|n| Str::from(format!("a{n:02}"))).collect();
        beats.look(&client, &nodes, now).await;
        nodes.push("z".into());
        let heard = beats.look(&client, &nodes, now + AGAIN).await;
        assert_eq!((heard.len(), &*heard[FEW].node), (FEW + 1, "z"), "{heard:?}");
    }
}
