//! Storage that nobody has, and volumes that do not leave their node.

use super::asked::{Named, Wire, list, time};
use crate::client::{ClientError, ReadClient};
use crate::model::asked::{Detaching, SNAPSHOT, Unused};
use crate::model::{Str, quantity};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::{BTreeMap, BTreeSet};

/// Volumes that no claim has, and snapshots whose claim is gone; none of these where they may not be listed, or there are no such.
pub(super) async fn unused(client: &ReadClient) -> Result<Box<[Unused]>, ClientError> {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Spec {
        capacity: BTreeMap<String, String>,
        claim_ref: Option<Named>,
        storage_class_name: String,
        persistent_volume_reclaim_policy: String,
    }
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Status {
        phase: String,
        last_phase_transition_time: Option<String>,
    }
    let all: Vec<Wire<Spec, Status>> = list(client, "/api/v1/persistentvolumes").await?;
    let unused = all.into_iter().filter(|v| matches!(v.status.phase.as_str(), "Released" | "Available")).map(|v| Unused {
        size: v.spec.capacity.get("storage").and_then(|s| quantity::whole(s)).unwrap_or(0),
        // Servers before 1.28 do not say when: it is as old as it is.
        since: v.status.last_phase_transition_time.or(v.metadata.creation_timestamp).as_deref().and_then(time),
        name: v.metadata.name.into(),
        phase: v.status.phase.into(),
        claim: v.spec.claim_ref.map(|c| format!("{}/{}", c.namespace, c.name).into()),
        class: v.spec.storage_class_name.into(),
        reclaim: v.spec.persistent_volume_reclaim_policy.into(),
    });
    Ok(unused.chain(snapshots(client).await.unwrap_or_default()).collect())
}

/// Snapshots whose claim is gone.
async fn snapshots(client: &ReadClient) -> Result<Vec<Unused>, ClientError> {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Spec {
        source: Source,
        volume_snapshot_class_name: String,
    }
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Source {
        persistent_volume_claim_name: Option<String>,
    }
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Status {
        restore_size: Option<String>,
    }
    let all: Vec<Wire<Spec, Status>> = list(client, "/apis/snapshot.storage.k8s.io/v1/volumesnapshots").await?;
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let claims: Vec<Wire<IgnoredAny>> = list(client, "/api/v1/persistentvolumeclaims").await?;
    let there: BTreeSet<(String, String)> = claims.into_iter().map(|c| (c.metadata.namespace, c.metadata.name)).collect();
    let orphan = |s: Wire<Spec, Status>| {
        let of = (s.metadata.namespace, s.spec.source.persistent_volume_claim_name?);
        let orphan = Unused {
            name: format!("{}/{}", of.0, s.metadata.name).into(),
            phase: SNAPSHOT.into(),
            claim: Some(format!("{}/{}", of.0, of.1).into()),
            class: s.spec.volume_snapshot_class_name.into(),
            reclaim: "its claim is gone".into(),
            size: s.status.restore_size.and_then(|s| quantity::whole(&s)).unwrap_or(0),
            since: s.metadata.creation_timestamp.as_deref().and_then(time),
        };
        (!there.contains(&of)).then_some(orphan)
    };
    Ok(all.into_iter().filter_map(orphan).collect())
}

/// Volumes that are to leave a node and have not.
pub(super) async fn detaching(client: &ReadClient) -> Result<Box<[Detaching]>, ClientError> {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Spec {
        node_name: Str,
        source: Source,
    }
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Source {
        persistent_volume_name: Option<Str>,
    }
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Status {
        detach_error: Option<Failed>,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Failed {
        message: Str,
    }
    let all: Vec<Wire<Spec, Status>> = list(client, "/apis/storage.k8s.io/v1/volumeattachments").await?;
    let leaves = all.into_iter().filter_map(|a| {
        Some(Detaching {
            since: a.metadata.deletion_timestamp.as_deref().and_then(time)?,
            volume: a.spec.source.persistent_volume_name.unwrap_or_else(|| a.metadata.name.into()),
            node: a.spec.node_name,
            error: a.status.detach_error.map(|e| e.message),
        })
    });
    Ok(leaves.collect())
}

#[cfg(test)]
mod tests {
    use super::super::asked::tests::{heard, ok};
    use crate::client::fake::reply;
    use serde_json::json;

    #[tokio::test]
    async fn volumes_and_snapshots_of_nobody_and_what_does_not_leave_its_node() {
        let snapshot = |name: &str, source: serde_json::Value| {
            json!({"metadata": {"name": name, "namespace": "pay", "creationTimestamp": "2020-01-01T00:00:00Z"},
                "spec": {"source": source, "volumeSnapshotClassName": "csi"}, "status": {"restoreSize": "3Gi"}})
        };
        let of = |claim: &str| json!({"persistentVolumeClaimName": claim});
        let snapshots = json!({"items": [snapshot("kept", of("data")), snapshot("left", of("gone")), snapshot("static", json!({"volumeSnapshotContentName": "c"}))]});
        let leaves = json!({"metadata": {"name": "csi-1", "deletionTimestamp": "2020-01-01T00:00:00Z"},
            "spec": {"nodeName": "n1", "source": {"persistentVolumeName": "pv-1"}}, "status": {"detachError": {"message": "busy"}}});
        let attached = json!({"metadata": {"name": "csi-2"}, "spec": {"nodeName": "n1", "source": {"persistentVolumeName": "pv-2"}}});
        let (asked, _) = heard(
            move |r| match r.uri().path() {
                "/api/v1/persistentvolumes" => ok(&json!({"items": [
                    {"metadata": {"name": "pv-0"}, "spec": {"capacity": {"storage": "1Gi"}}, "status": {"phase": "Released"}},
                    {"metadata": {"name": "pv-1"}, "spec": {"capacity": {"storage": "1Gi"}}, "status": {"phase": "Bound"}}]})),
                "/apis/snapshot.storage.k8s.io/v1/volumesnapshots" => ok(&snapshots),
                "/api/v1/persistentvolumeclaims" => ok(&json!({"items": [{"metadata": {"name": "data", "namespace": "pay"}}, {"metadata": {"name": "gone", "namespace": "other"}}]})),
                "/apis/storage.k8s.io/v1/volumeattachments" => ok(&json!({"items": [leaves, attached]})),
                _ => reply(404, "{}"),
            },
            1,
        )
        .await;
        let unused = asked.volumes.unwrap();
        let facts: Vec<_> = unused.iter().map(|u| (&*u.name, &*u.phase, u.claim.as_deref(), u.size >> 30)).collect();
        assert_eq!(facts, [("pv-0", "Released", None, 1), ("pay/left", "Snapshot", Some("pay/gone"), 3)]);
        let leaving: Vec<_> = asked.detaching.iter().map(|d| (&*d.volume, &*d.node, d.error.as_deref())).collect();
        assert_eq!(leaving, [("pv-1", "n1", Some("busy"))]);
    }
    #[tokio::test]
    async fn a_volume_is_unused_since_its_phase_changed() {
        let one = |name: &str, changed: Option<&str>| {
            json!({"metadata": {"name": name, "creationTimestamp": "2020-01-01T00:00:00Z"}, "spec": {"claimRef": {"namespace": "pay", "name": "data"},
                "storageClassName": "ssd", "persistentVolumeReclaimPolicy": "Retain"}, "status": {"phase": "Released", "lastPhaseTransitionTime": changed}})
        };
        let all = json!({"items": [one("new", Some("2020-02-02T00:00:00Z")), one("old", None)]});
        let (asked, _) = heard(move |r| if r.uri().path() == "/api/v1/persistentvolumes" { ok(&all) } else { reply(404, "{}") }, 1).await;
        let unused = asked.volumes.unwrap();
        let since: Vec<_> = unused.iter().map(|u| u.since.map(crate::model::Time::rfc3339).unwrap()).collect();
        assert_eq!(since, ["2020-02-02T00:00:00Z", "2020-01-01T00:00:00Z"]);
        assert_eq!((unused[0].claim.as_deref(), &*unused[0].class, &*unused[0].reclaim), (Some("pay/data"), "ssd", "Retain"));
    }
}
