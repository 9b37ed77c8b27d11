//! One full object for somebody who has opened it: fetched, and followed while it is open.
//!
//! Nothing is kept here, and nothing is hidden: redaction is `doc`'s.

use super::{cluster::Reader, escape};
use crate::client::{Backoff, ClientError, ReadClient};
use crate::model::{ObjectRef, Str, Uid};
use futures::TryStreamExt;
use serde_json::Value;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// The server ends the watch after this; we wait a little longer.
const WATCH: Duration = Duration::from_secs(290);
/// Where watching is not allowed, it is fetched this often.
const POLL: Duration = Duration::from_secs(10);

/// What became of the object.
#[derive(Debug, Clone, PartialEq)]
pub enum ObjectUpdate {
    /// As it is now, whole.
    Changed(Value),
    /// Deleted, or replaced by another one of that name; nothing comes after this.
    Gone,
    /// What was sent before may be old; the reason in words. Attempts go on.
    Broken { reason: Str },
}

/// The object as it is now.
///
/// # Errors
/// `NotFound` also when there is another object of that name.
pub async fn fetch(client: &ReadClient, object: &ObjectRef) -> Result<Value, ClientError> {
    let value = client.get_json(&object.path()).await?;
    if same(&value, object) { Ok(value) } else { Err(ClientError::NotFound { message: format!("{} was replaced", object.name) }) }
}

/// Sends the object and each change of it, until it is gone or nobody listens. One newest state matters: a `tx` with a
/// capacity of one is enough.
pub async fn follow(mut reader: Reader, object: ObjectRef, tx: mpsc::Sender<ObjectUpdate>) {
    let mut backoff = Backoff::default();
    loop {
        let Some(client) = reader.wait().await else { return };
        let error = match round(&client, &object, &tx, &mut backoff).await {
            Ok(true) => continue,
            Ok(false) => return,
            Err(error) => error,
        };
        let (update, wait) = match &error {
            ClientError::NotFound { .. } => (Some(ObjectUpdate::Gone), None),
            ClientError::Gone { .. } => (None, Some(backoff.next_delay())),
            error => (Some(ObjectUpdate::Broken { reason: error.reason().into() }), Some(backoff.next_delay())),
        };
        if let Some(update) = update
            && tx.send(update).await.is_err()
        {
            return;
        }
        let Some(wait) = wait else { return };
        sleep(wait).await;
    }
}

/// Fetches and watches once; says whether to go on.
async fn round(
    client: &ReadClient,
    object: &ObjectRef,
    tx: &mpsc::Sender<ObjectUpdate>,
    backoff: &mut Backoff,
) -> Result<bool, ClientError> {
    let value = fetch(client, object).await?;
    let namespace = (!object.namespace.is_empty()).then_some(&*object.namespace);
    let version = version(&value).map(escape).unwrap_or_default();
    if !send(tx, value).await {
        return Ok(false);
    }
    let url = format!(
        "{}?watch=true&fieldSelector=metadata.name%3D{}&timeoutSeconds={}&resourceVersion={version}",
        object.kind.path(namespace),
        escape(&object.name),
        WATCH.as_secs()
    );
    let mut stream = match client.stream(&url, "application/json").await {
        Ok(stream) => stream,
        Err(ClientError::Forbidden { .. }) => {
            sleep(POLL).await;
            return Ok(!tx.is_closed());
        }
        Err(error) => return Err(error),
    };
    backoff.reset();
    let mut buffer = Vec::new();
    loop {
        let chunk = tokio::select! {
            () = tx.closed() => return Ok(false),
            chunk = timeout(WATCH + Duration::from_secs(5), stream.try_next()) => chunk,
        };
        // The end in time, and the one that did not come, are both answered by a new fetch.
        let Some(chunk) = chunk.unwrap_or(Ok(None))? else { return Ok(true) };
        buffer.extend_from_slice(&chunk);
        while let Some(end) = buffer.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            let mut event: Value =
                serde_json::from_slice(&line).map_err(|_| ClientError::Decode { message: "a broken watch event".into() })?;
            let value = event["object"].take();
            match event["type"].as_str() {
                Some("ADDED" | "MODIFIED") if same(&value, object) => match send(tx, value).await {
                    true => {}
                    false => return Ok(false),
                },
                Some("ADDED" | "MODIFIED" | "DELETED") => return Err(ClientError::NotFound { message: "deleted".into() }),
                Some("ERROR") => return Err(ClientError::from_status(value.to_string().as_bytes())),
                _ => {}
            }
        }
    }
}

async fn send(tx: &mpsc::Sender<ObjectUpdate>, value: Value) -> bool {
    tx.send(ObjectUpdate::Changed(value)).await.is_ok()
}

fn version(value: &Value) -> Option<&str> {
    value["metadata"]["resourceVersion"].as_str()
}

/// A reference without a uid takes what has the name.
fn same(value: &Value, object: &ObjectRef) -> bool {
    object.uid == Uid::default() || value["metadata"]["uid"].as_str().is_none_or(|uid| Uid::parse(uid) == object.uid)
}

#[cfg(test)]
mod tests {
    use super::super::mock::{Mock, Reply, pod};
    use super::*;
    use crate::model::{ClusterId, Kind};
    use serde_json::json;

    #[tokio::test]
    async fn an_object_is_followed_until_it_is_gone() {
        let mock = Mock::start(|ask| match ask.path.as_str() {
            "/api/v1/namespaces/ns/pods/a" => Some(Reply::json(&pod("a", 1))),
            "/api/v1/namespaces/ns/pods"
                if ask.get("fieldSelector") == Some("metadata.name%3Da") && ask.get("resourceVersion") == Some("1") =>
            {
                let lines = [json!({ "type": "MODIFIED", "object": pod("a", 2) }), json!({ "type": "DELETED", "object": pod("a", 3) })];
                Some(Reply::new(200, "application/json", lines.map(|l| format!("{l}\n")).concat()).cut(31).hang())
            }
            _ => None,
        })
        .await;
        let object =
            ObjectRef { cluster: ClusterId(0), kind: Kind::Pod, namespace: "ns".into(), name: "a".into(), uid: Uid::parse("uid-a") };
        let client = mock.client().await;
        let other = ObjectRef { uid: Uid::parse("other"), ..object.clone() };
        assert!(matches!(fetch(&client, &other).await, Err(ClientError::NotFound { .. })), "another one of that name");
        let (tx, mut rx) = mpsc::channel(1);
        let ((), updates) = tokio::join!(follow(Reader::of(client), object, tx), async {
            let mut updates = Vec::new();
            while let Some(update) = rx.recv().await {
                updates.push(update);
            }
            updates
        });
        assert_eq!(updates, [ObjectUpdate::Changed(pod("a", 1)), ObjectUpdate::Changed(pod("a", 2)), ObjectUpdate::Gone]);
    }
}
