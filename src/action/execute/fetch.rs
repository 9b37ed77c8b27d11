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
        let text = download(&address, authority(client, &request).await.as_deref()).await.map_err(|why| (Why::Failed, why))?;
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

/// The authority of the location's certificate, base64 of PEM, where one is written there.
async fn authority(client: &ReadClient, request: &Value) -> Option<String> {
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
    location["spec"]["objectStorage"]["caCert"].as_str().filter(|c| !c.is_empty()).map(str::to_owned)
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
