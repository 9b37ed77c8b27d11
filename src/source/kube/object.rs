//! One full object for somebody who has opened it. The store's row says when it changed and is worth fetching anew.
//!
//! Nothing is kept here, and nothing is hidden: redaction is `doc`'s.

use crate::client::{ClientError, ReadClient};
use crate::model::{ObjectRef, Uid};
use serde_json::Value;

/// The object as it is now.
///
/// # Errors
/// `NotFound` also when there is another object of that name.
pub async fn fetch(client: &ReadClient, object: &ObjectRef) -> Result<Value, ClientError> {
    let value = client.get_json(&object.path()).await?;
    if same(&value, object) { Ok(value) } else { Err(ClientError::NotFound { message: format!("{} was replaced", object.name) }) }
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

    #[tokio::test]
    async fn another_object_of_that_name_is_not_taken_for_it() {
        let mock = Mock::start(|ask| (ask.path == "/api/v1/namespaces/ns/pods/a").then(|| Reply::json(&pod("a", 1)))).await;
        let object =
            ObjectRef { cluster: ClusterId(0), kind: Kind::Pod, namespace: "ns".into(), name: "a".into(), uid: Uid::parse("uid-a") };
        let client = mock.client().await;
        assert_eq!(fetch(&client, &object).await.unwrap(), pod("a", 1));
        let other = ObjectRef { uid: Uid::parse("other"), ..object };
        assert!(matches!(fetch(&client, &other).await, Err(ClientError::NotFound { .. })));
    }
}
