//! What Velero keeps of a backup or a restore: the address that a DownloadRequest comes to have, what lies there, a private file of it.

use super::{Ended, Run, Why};
use crate::client::{ClientError, ReadClient};
use crate::model::{Kind, Step, StepState};
use crate::reach::download;
use crate::state::write_private;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks at the request.
const LOOK: Duration = Duration::from_millis(500);
/// A request for what is not there is never answered.
const ANSWER: Duration = Duration::from_secs(30);

impl Run {
    pub(super) async fn fetch(&self, at: usize, step: &Step, file: &str) -> Ended {
        let client = self.clients.read(step.target.cluster).map_err(|why| (Why::Failed, why))?;
        let until = Instant::now() + ANSWER;
        let (request, address) = loop {
            let why = match client.get_json(&step.target.path()).await {
                Ok(request) => match request["status"]["downloadURL"].as_str().filter(|a| !a.is_empty()).map(str::to_owned) {
                    Some(address) => break (request, address),
                    None => "Velero has not said where it is".to_owned(),
                },
                Err(ClientError::NotFound { .. }) => return Err((Why::Failed, "the request is gone".to_owned())),
                Err(e) => e.reason(),
            };
            if Instant::now() >= until {
                return Err((Why::Failed, format!("not within {} s: {why}", ANSWER.as_secs())));
            }
            self.tell(at, StepState::Waits(why), None);
            self.rest(LOOK).await?;
        };
        let trust = trust(client, &request).await;
        let got = download(&address, trust.authority.as_deref()).await;
        let text = got.map_err(|why| (Why::Failed, trust.said.map_or(why.clone(), |more| format!("{why}; {more}"))))?;
        let path = self.state.path(file);
        let words = told(&text);
        let kept = path.clone();
        let written = tokio::task::spawn_blocking(move || write_private(&kept, &text)).await;
        match written {
            Ok(Ok(())) => Ok(format!("{words}; kept in {}", path.display())),
            Ok(Err(e)) => Err((Why::Failed, format!("it cannot be kept: {e}"))),
            Err(_) => Err((Why::Failed, "it cannot be kept".to_owned())),
        }
    }
}

/// Whose certificates count for a location's store.
#[derive(Default, PartialEq, Debug)]
struct Trust {
    /// Base64 of the PEM of the authority that the location names; none: the system's.
    authority: Option<String>,
    /// What to say beside a failure.
    said: Option<String>,
}

/// What the location of a request's backup says of its store's certificate. Velero has the authority in the location, or in a Secret beside it.
async fn trust(client: &ReadClient, request: &Value) -> Trust {
    let found = location(client, request).await;
    let Some((namespace, location)) = found else { return Trust::default() };
    let store = &location["spec"]["objectStorage"];
    let text = |v: &Value| v.as_str().filter(|t| !t.is_empty()).map(str::to_owned);
    let reference = (text(&store["caCertRef"]["name"]), text(&store["caCertRef"]["key"]));
    let (authority, said) = match reference {
        (Some(name), Some(key)) => {
            let failed = |why: String| format!("its authority is key {key} of Secret {namespace}/{name}: {why}");
            match client.get_json(&format!("/api/v1/namespaces/{namespace}/secrets/{name}")).await {
                Ok(secret) => match text(&secret["data"][&key]) {
                    Some(authority) => (Some(authority), None),
                    None => (None, Some(failed("there is no such key".to_owned()))),
                },
                Err(e) => (None, Some(failed(e.reason()))),
            }
        }
        _ => (text(&store["caCert"]), None),
    };
    let skips = location["spec"]["config"]["insecureSkipTLSVerify"] == "true";
    let unverified = || "the location has insecureSkipTLSVerify, which is not followed: its authority belongs in caCertRef".to_owned();
    let said = said.or_else(|| (skips && authority.is_none()).then(unverified));
    Trust { authority, said }
}

/// The location of a request's backup, and its namespace.
async fn location(client: &ReadClient, request: &Value) -> Option<(String, Value)> {
    let namespace = request["metadata"]["namespace"].as_str()?;
    let of = |kind: Kind, name: &str| format!("{}/{name}", kind.path(Some(namespace)));
    let target = &request["spec"]["target"];
    let mut backup = target["name"].as_str()?.to_owned();
    if target["kind"].as_str()?.starts_with("Restore") {
        let restore = client.get_json(&of(Kind::Restore, &backup)).await.ok()?;
        backup = restore["spec"]["backupName"].as_str()?.to_owned();
    }
    let backup = client.get_json(&of(Kind::Backup, &backup)).await.ok()?;
    let location = client.get_json(&of(Kind::StorageLocation, backup["spec"]["storageLocation"].as_str()?)).await.ok()?;
    Some((namespace.to_owned(), location))
}

/// What it says, in a line: a log's errors and warnings, or those of results.
fn told(bytes: &[u8]) -> String {
    let count = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    if let Ok(results) = serde_json::from_slice::<Value>(bytes)
        && results.is_object()
    {
        let texts = |key: &str| {
            let mut found = Vec::new();
            strings(&results[key], &mut found);
            found
        };
        let (errors, warnings) = (texts("errors"), texts("warnings"));
        let first = errors.first().map_or_else(String::new, |e| format!("; first: {e}"));
        return format!("{}, {}{first}", count(errors.len(), "error"), count(warnings.len(), "warning"));
    }
    let text = String::from_utf8_lossy(bytes);
    let of = |level: &'static str| text.lines().filter(move |l| l.contains(level));
    let first = of("level=error").next().and_then(message).map_or_else(String::new, |m| format!("; first error: {m}"));
    let (errors, warnings) = (of("level=error").count(), of("level=warning").count());
    format!("{}, {}, {}{first}", count(text.lines().count(), "line"), count(errors, "error"), count(warnings, "warning"))
}

fn strings<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(all) => all.iter().for_each(|v| strings(v, found)),
        Value::Object(map) => map.values().for_each(|v| strings(v, found)),
        _ => {}
    }
}

/// The words of a line of logrus: `msg="..."`, and its error.
fn message(line: &str) -> Option<String> {
    let of = |key: &str| {
        let rest = &line[line.find(key)? + key.len()..];
        match rest.strip_prefix('"') {
            Some(quoted) => {
                let end =
                    quoted.char_indices().find(|(at, c)| *c == '"' && !quoted[..*at].ends_with('\\')).map_or(quoted.len(), |(at, _)| at);
                Some(quoted[..end].replace("\\\"", "\""))
            }
            None => rest.split(' ').next().map(str::to_owned),
        }
    };
    let error = of(" error=").map_or_else(String::new, |e| format!(": {e}"));
    of(" msg=").map(|m| format!("{m}{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fake::{Server, connect, reply};
    use serde_json::json;

    #[tokio::test]
    async fn the_authority_is_the_locations_own_or_in_the_secret_that_it_names() {
        let trusted = async |store: Value, config: Value| {
            let server = Server::start(move |request| {
                let path = request.uri().path();
                let body = if path.ends_with("/restores/r") {
                    json!({"spec": {"backupName": "b"}})
                } else if path.ends_with("/backups/b") {
                    json!({"spec": {"storageLocation": "far"}})
                } else if path.ends_with("/backupstoragelocations/far") {
                    json!({"spec": {"objectStorage": store, "config": config}})
                } else if path == "/api/v1/namespaces/velero/secrets/store" {
                    json!({"data": {"ca.crt": "UEVN"}})
                } else {
                    return reply(404, "{}");
                };
                reply(200, body.to_string())
            })
            .await;
            let client = connect(&server, "token: t").await;
            trust(&client, &json!({"metadata": {"namespace": "velero"}, "spec": {"target": {"kind": "RestoreLog", "name": "r"}}})).await
        };
        let of = |authority: &str| Trust { authority: Some(authority.to_owned()), said: None };
        assert_eq!(trusted(json!({"bucket": "b"}), Value::Null).await, Trust::default());
        assert_eq!(trusted(json!({"caCert": "SU5MSU5F"}), Value::Null).await, of("SU5MSU5F"));
        let named = |name: &str, key: &str| json!({"caCertRef": {"name": name, "key": key}, "caCert": "SU5MSU5F"});
        assert_eq!(trusted(named("store", "ca.crt"), json!({"insecureSkipTLSVerify": "true"})).await, of("UEVN"), "the newer field counts");
        let said = async |store: Value, config: Value| trusted(store, config).await.said.unwrap();
        assert_eq!(said(named("store", "x"), Value::Null).await, "its authority is key x of Secret velero/store: there is no such key");
        assert!(said(named("gone", "x"), Value::Null).await.starts_with("its authority is key x of Secret velero/gone: "));
        assert!(said(json!({}), json!({"insecureSkipTLSVerify": "true"})).await.contains("is not followed"));
    }

    #[test]
    fn a_log_is_told_by_its_errors() {
        let log = concat!(
            "time=\"t\" level=info msg=\"Setting up backup\"\n",
            "time=\"t\" level=warning msg=\"slow\"\n",
            "time=\"t\" level=error msg=\"Error backing up \\\"item\\\"\" backup=velero/b error=\"timed out\" name=x\n",
        );
        assert_eq!(told(log.as_bytes()), "3 lines, 1 error, 1 warning; first error: Error backing up \"item\": timed out");
        assert_eq!(told(b""), "0 lines, 0 errors, 0 warnings");
        let results = br#"{"errors": {"namespaces": {"pay": ["no such thing"]}}, "warnings": {}}"#;
        assert_eq!(told(results), "1 error, 0 warnings; first: no such thing");
    }
}
