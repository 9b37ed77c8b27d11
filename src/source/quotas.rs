//! What namespaces may take: their ResourceQuotas, asked for `asked`.

use super::asked::{Wire, list};
use crate::client::{ClientError, ReadClient};
use crate::model::asked::{Limit, Quota};
use crate::model::quantity;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// By its names, each resource that rules read, and whether it is counted in thousandths.
const READ: [(&str, &[&str], bool); 5] = [
    ("requests.cpu", &["requests.cpu", "cpu"], true),
    ("requests.memory", &["requests.memory", "memory"], false),
    ("limits.cpu", &["limits.cpu"], true),
    ("limits.memory", &["limits.memory"], false),
    ("pods", &["pods", "count/pods"], false),
];

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    scopes: Vec<String>,
    scope_selector: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    hard: BTreeMap<String, String>,
    used: BTreeMap<String, String>,
}

/// Those that hold for every pod of their namespace: one with scopes is for some of them only.
pub(super) async fn quotas(client: &ReadClient) -> Result<Box<[Quota]>, ClientError> {
    let all: Vec<Wire<Spec, Status>> = list(client, "/api/v1/resourcequotas").await?;
    let of = |q: Wire<Spec, Status>| {
        let limits: Box<[Limit]> = READ
            .iter()
            .filter_map(|(resource, names, milli)| {
                let amount = |set: &BTreeMap<String, String>| {
                    let text = names.iter().find_map(|name| set.get(*name))?;
                    if *milli { quantity::milli(text) } else { quantity::whole(text) }
                };
                Some(Limit { resource: (*resource).into(), hard: amount(&q.status.hard)?, used: amount(&q.status.used).unwrap_or(0) })
            })
            .collect();
        Quota { namespace: q.metadata.namespace.into(), name: q.metadata.name.into(), limits }
    };
    Ok(all.into_iter().filter(|q| q.spec.scopes.is_empty() && q.spec.scope_selector.is_none()).map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fake::{Server, connect, reply};
    use serde_json::json;

    #[tokio::test]
    async fn of_every_pod_and_in_units_that_are_counted() {
        let one = |name: &str, spec: Value| {
            json!({"metadata": {"name": name, "namespace": "pay"}, "spec": spec,
                "status": {"hard": {"cpu": "2", "limits.memory": "1Gi", "count/pods": "10", "services": "3"}, "used": {"cpu": "1500m", "count/pods": "4"}}})
        };
        let all = json!({"items": [one("team", json!({})), one("best-effort", json!({"scopes": ["BestEffort"]})),
            one("high", json!({"scopeSelector": {"matchExpressions": []}}))]});
        let body = all.to_string();
        let server = Server::start(move |_| reply(200, body.clone())).await;
        let found = quotas(&connect(&server, "").await).await.unwrap();
        assert_eq!(found.iter().map(|q| (&*q.namespace, &*q.name)).collect::<Vec<_>>(), [("pay", "team")]);
        let limits: Vec<_> = found[0].limits.iter().map(|l| (&*l.resource, l.hard, l.used)).collect();
        assert_eq!(limits, [("requests.cpu", 2000, 1500), ("limits.memory", 1 << 30, 0), ("pods", 10, 4)]);
    }
    #[tokio::test]
    async fn by_all_of_their_names() {
        let status = json!({"hard": {"memory": "2Gi", "requests.cpu": "1500m", "limits.cpu": "3", "pods": "7"}, "used": {"memory": "1Gi", "limits.cpu": "250m"}});
        let body = json!({"items": [{"metadata": {"name": "team", "namespace": "pay"}, "status": status}]}).to_string();
        let server = Server::start(move |_| reply(200, body.clone())).await;
        let found = quotas(&connect(&server, "").await).await.unwrap();
        let limits: Vec<_> = found[0].limits.iter().map(|l| (&*l.resource, l.hard, l.used)).collect();
        assert_eq!(limits, [("requests.cpu", 1500, 0), ("requests.memory", 2 << 30, 1 << 30), ("limits.cpu", 3000, 250), ("pods", 7, 0)]);
    }
}
