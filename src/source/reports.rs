//! What a scheduled inspection has published in a cluster, for where its findings are read and not computed.
//!
//! Polled once a minute, and at once when somebody asks: get and list of policyreports and clusterpolicyreports is all that it needs. The cluster's own
//! report is written last, so where that is the one read before, nothing else is asked for. What is said in them is `model::reported`'s to read.

use super::asked::{ANSWER, allowed, why};
use super::kube::{Reader, escape};
use super::service::{self, Closed, Handle};
use crate::client::{Ask, ClientError, ReadClient};
use crate::model::policy_report::{GROUP, list, resource};
use crate::model::{Batch, ClusterId, Delta, Heard, Reports};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(60);
/// The same where they could not be read.
const AGAIN: Duration = Duration::from_secs(10);
/// Every so manieth look reads all of them, whatever the cluster's own says: somebody may have deleted one.
const WHOLE: u32 = 10;
/// Reports a page: one may have 768 KiB.
const PAGE: usize = 20;

/// Starts to read the reports of a cluster, and again whenever `again` is notified. Must be called within a tokio runtime.
pub fn spawn_reports(cluster: ClusterId, reader: Reader, again: Arc<Notify>, tx: mpsc::Sender<Batch>) -> Handle {
    let mut reader = reader;
    Handle::of(tokio::spawn(async move {
        let follow = async {
            let Some(client) = reader.wait().await else { return Ok(()) };
            let (mut looker, mut told, mut asked) = (Looker::default(), Heard::default(), false);
            loop {
                looker.look(&client, asked).await;
                if told != looker.known {
                    told = looker.known.clone();
                    service::send(&tx, cluster, Delta::Reports(Arc::new(told.clone()))).await?;
                }
                let pause = if told.failing.is_some() { AGAIN } else { LOOK };
                asked = tokio::select! {
                    () = sleep(pause.mul_f64(0.9 + 0.2 * fastrand::f64())) => false,
                    () = again.notified() => true,
                    () = tx.closed() => return Err(Closed),
                };
            }
        };
        // The only error is that nobody takes deltas any more.
        drop(follow.await);
    }))
}

/// What is known, and what the next look compares with.
#[derive(Default)]
struct Looker {
    looks: u32,
    known: Heard,
    /// Uid and version of the cluster's own when all were read last.
    seen: Option<Vec<(String, String)>>,
    refused: bool,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: Place,
    items: Vec<Value>,
}

#[derive(Deserialize, Default)]
struct Place {
    #[serde(default)]
    r#continue: Option<String>,
}

impl Looker {
    /// `all`: whatever the cluster's own report says.
    async fn look(&mut self, client: &ReadClient, all: bool) {
        let all = all || self.looks.is_multiple_of(WHOLE);
        self.looks += 1;
        let read = self.read(client, all).await;
        self.refused = matches!(read, Err(ClientError::Forbidden { .. }));
        match read {
            Ok(Some(reports)) => self.known = Heard { told: true, reports: reports.map(Arc::new), ..Heard::default() },
            Ok(None) => self.known.failing = None,
            // Nobody has defined them.
            Err(ClientError::NotFound { .. }) => self.known = Heard { told: true, undefined: true, ..Heard::default() },
            // It was written while it was read: the next look finds it whole.
            Err(ClientError::Gone { .. }) => self.seen = None,
            Err(e) => {
                self.seen = None;
                (self.known.told, self.known.failing) = (true, Some(why(&e)));
            }
        }
    }

    /// What they say; none where that is what they said before.
    async fn read(&mut self, client: &ReadClient, all: bool) -> Result<Option<Option<Reports>>, ClientError> {
        if self.refused {
            for namespaced in [false, true] {
                allowed(client, Ask { verb: "list", group: GROUP, resource: &resource(namespaced).plural, ..Ask::default() }).await?;
            }
        }
        let own = reports(client, false).await?;
        let meta = |r: &Value, key: &str| r["metadata"][key].as_str().unwrap_or_default().to_owned();
        let version = own.iter().map(|r| (meta(r, "uid"), meta(r, "resourceVersion"))).collect();
        if !all && self.seen.as_ref() == Some(&version) {
            return Ok(None);
        }
        let of_namespaces = reports(client, true).await?;
        self.seen = Some(version);
        Ok(Some(Reports::read(own.iter().chain(&of_namespaces))))
    }
}

/// Those with our label, page by page.
async fn reports(client: &ReadClient, namespaced: bool) -> Result<Vec<Value>, ClientError> {
    let (mut found, mut from) = (Vec::new(), String::new());
    loop {
        let path = format!("{}&limit={PAGE}{from}", list(namespaced));
        let page: Page = timeout(ANSWER, client.get_typed(&path)).await.map_err(|_| ClientError::Timeout { after: ANSWER })??;
        found.extend(page.items);
        match page.metadata.r#continue.filter(|token| !token.is_empty()) {
            Some(token) => from = format!("&continue={}", escape(&token)),
            None => return Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fake::{Server, connect, reply};
    use crate::model::Amiss;
    use crate::model::policy_report::{Sheet, result};
    use serde_json::json;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    fn report(namespace: &str, name: &str, version: u32) -> Value {
        let mut sheet = Sheet::default();
        sheet.add(result(
            &json!({"rule": "pdb-missing", "severity": "warning", "kind": "Deployment", "namespace": namespace, "name": name}),
        ));
        let mut object = sheet.object(namespace, "2026-03-01T02:50:00Z", "15m");
        object["metadata"]["uid"] = "u".into();
        object["metadata"]["resourceVersion"] = version.to_string().into();
        object
    }

    #[tokio::test]
    async fn page_by_page_and_those_of_namespaces_only_when_the_clusters_own_is_another() {
        let version = Arc::new(AtomicU32::new(1));
        let now = version.clone();
        let server = Server::start(move |r| {
            let (path, query) = (r.uri().path(), r.uri().query().unwrap_or_default());
            assert!(query.contains("labelSelector=") && query.contains("limit="), "{query}");
            let page = match (path.ends_with("/clusterpolicyreports"), query.contains("continue=two")) {
                (true, _) => json!({"metadata": {}, "items": [report("", "own", now.load(Relaxed))]}),
                (false, false) => json!({"metadata": {"continue": "two"}, "items": [report("pay", "api", 1)]}),
                (false, true) => json!({"metadata": {"continue": ""}, "items": [report("shop", "web", 1)]}),
            };
            reply(200, page.to_string())
        })
        .await;
        let client = connect(&server, "").await;
        let mut looker = Looker::default();
        looker.look(&client, false).await;
        let names: Vec<_> = looker.known.reports.as_ref().unwrap().findings.iter().map(|f| f.name.to_string()).collect();
        assert_eq!((names, server.count()), (["own", "api", "web"].map(str::to_owned).to_vec(), 3));
        looker.look(&client, false).await;
        assert_eq!(server.count(), 4, "the cluster's own is the same");
        version.store(2, Relaxed);
        looker.look(&client, false).await;
        assert_eq!(server.count(), 7);
        looker.look(&client, true).await;
        assert_eq!(server.count(), 10, "somebody asked for it");
    }

    #[tokio::test]
    async fn none_and_refused_are_told_and_what_was_read_stays() {
        let mode = Arc::new(AtomicU32::new(404));
        let now = mode.clone();
        let server = Server::start(move |r| match now.load(Relaxed) {
            404 => reply(404, "{}"),
            403 => {
                let words = r#"{"kind":"Status","message":"policyreports is forbidden: User \"v\" cannot list resource \"clusterpolicyreports\" in API group \"wgpolicyk8s.io\" at the cluster scope","reason":"Forbidden","code":403}"#;
                reply(403, words)
            }
            _ if r.uri().path().ends_with("/clusterpolicyreports") => reply(200, json!({"items": [report("", "own", 1)]}).to_string()),
            _ => reply(200, json!({"items": []}).to_string()),
        })
        .await;
        let client = connect(&server, "").await;
        let mut looker = Looker::default();
        let at = 1_772_333_400;
        looker.look(&client, false).await;
        let (amiss, words) = looker.known.amiss(at).unwrap();
        assert!(amiss == Amiss::Missing && words.contains("no PolicyReports are defined"), "{words}");
        mode.store(200, Relaxed);
        looker.look(&client, false).await;
        assert_eq!((looker.known.amiss(at), looker.known.reports.as_ref().unwrap().findings.len()), (None, 1));
        mode.store(403, Relaxed);
        looker.look(&client, false).await;
        let (amiss, words) = looker.known.amiss(at).unwrap();
        assert!(amiss == Amiss::Failing && words.contains("no right to list clusterpolicyreports"), "{words}");
        assert_eq!(looker.known.reports.as_ref().unwrap().findings.len(), 1, "what was read stays, and its age is told");
    }
}
