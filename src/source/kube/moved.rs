//! What a backup of Velero has moved of the data of volumes, for somebody who has opened it.

use crate::client::{ClientError, ReadClient};
use crate::model::{MovedData, ObjectRef, backup_label};
use serde_json::Value;

/// Where each volume's part is told: copied by pods, and moved from snapshots.
const TELL: [(&str, &str); 2] = [("v1", "podvolumebackups"), ("v2alpha1", "datauploads")];

/// The sum of a backup's volumes. None where there are none.
///
/// # Errors
/// When one of the two lists cannot be read; a server that does not have it tells of no volumes.
pub async fn moved(client: &ReadClient, backup: &ObjectRef) -> Result<Option<MovedData>, ClientError> {
    let mut sum = MovedData::default();
    for (version, plural) in TELL {
        let selector = super::escape(&format!("velero.io/backup-name={}", backup_label(&backup.name)));
        let path = format!("/apis/velero.io/{version}/namespaces/{}/{plural}?labelSelector={selector}", backup.namespace);
        let list = match client.get_json(&path).await {
            Ok(list) => list,
            Err(ClientError::NotFound { .. }) => continue,
            Err(e) => return Err(e),
        };
        let volumes = list["items"].as_array().into_iter().flatten();
        volumes.for_each(|v: &Value| sum.add(v["status"]["progress"]["totalBytes"].as_i64()));
    }
    Ok((sum != MovedData::default()).then_some(sum))
}

#[cfg(test)]
mod tests {
    use super::super::mock::{Mock, Reply};
    use super::*;
    use crate::model::{ClusterId, Kind, Uid};
    use serde_json::json;

    #[tokio::test]
    async fn volumes_are_summed_and_those_that_do_not_tell_are_counted() {
        let volume = |total: Value| json!({"metadata": {"name": "v"}, "status": {"progress": {"totalBytes": total}}});
        let mock = Mock::start(move |ask| {
            let list = |items: Vec<Value>| Some(Reply::json(&json!({"items": items})));
            match ask.path.as_str() {
                "/apis/velero.io/v1/namespaces/velero/podvolumebackups" => {
                    list(vec![volume(json!(5_i64 << 30)), volume(Value::Null), volume(json!(1 << 30))])
                }
                "/apis/velero.io/v2alpha1/namespaces/velero/datauploads" => list(vec![volume(json!(1 << 30))]),
                _ => Some(Reply::status(404, "NotFound", "there is no such list")),
            }
        })
        .await;
        let of = |namespace: &str| ObjectRef {
            cluster: ClusterId(0),
            kind: Kind::Backup,
            namespace: namespace.into(),
            name: "nightly".into(),
            uid: Uid::default(),
        };
        let client = mock.client().await;
        let sum = moved(&client, &of("velero")).await.unwrap();
        assert_eq!(sum, Some(MovedData { volumes: 3, bytes: 7 << 30, unknown: 1 }));
        assert_eq!(moved(&client, &of("elsewhere")).await.unwrap(), None);
    }
}
