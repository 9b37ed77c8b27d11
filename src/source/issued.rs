//! Certificates that cert-manager keeps: those that it should have renewed by now; and kubelets' requests for theirs that nobody answers.

use super::asked::{Named, Wire, list, time};
use crate::client::{ClientError, ReadClient};
use crate::model::Str;
use crate::model::asked::{InUse, Unanswered, Whose};
use serde::Deserialize;

/// Renewed so much later than it should be (seconds), something is wrong.
const LATE: i64 = 86_400;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    not_before: Option<String>,
    not_after: Option<String>,
    renewal_time: Option<String>,
    conditions: Vec<Condition>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Condition {
    r#type: String,
    status: String,
    message: String,
}

/// Those whose renewal is, or will be before the next look in `ahead` seconds, a day late; `now` in unix seconds. None where there is no cert-manager.
pub(super) async fn issued(client: &ReadClient, now: i64, ahead: i64) -> Result<Vec<InUse>, ClientError> {
    let all: Vec<Wire<serde::de::IgnoredAny, Status>> = match list(client, "/apis/cert-manager.io/v1/certificates").await {
        Err(ClientError::NotFound { .. }) => return Ok(Vec::new()),
        other => other?,
    };
    Ok(all.into_iter().filter_map(|c| late(c.metadata, c.status, now + ahead)).collect())
}

fn late(of: Named, status: Status, by: i64) -> Option<InUse> {
    let at = |text: &Option<String>| text.as_deref().and_then(time).map(|t| t.secs());
    let (from, until, renewal) = (at(&status.not_before)?, at(&status.not_after)?, at(&status.renewal_time)?);
    let late = renewal + LATE;
    let why = status.conditions.into_iter().filter(|c| (&*c.r#type, &*c.status) == ("Ready", "False") || c.r#type == "Issuing");
    let why = why.map(|c| c.message).find(|m| !m.is_empty()).unwrap_or_default();
    let subject = format!("{}/{}", of.namespace, of.name).into();
    (late <= by).then(|| InUse { whose: Whose::Issued { late, why: why.into() }, subject, from, until })
}

/// Requests of kubelets for certificates that nobody has approved or denied.
pub(super) async fn unanswered(client: &ReadClient) -> Result<Box<[Unanswered]>, ClientError> {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Spec {
        signer_name: Str,
        username: String,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Answer {
        conditions: Vec<serde::de::IgnoredAny>,
    }
    let all: Vec<Wire<Spec, Answer>> = list(client, "/apis/certificates.k8s.io/v1/certificatesigningrequests").await?;
    let kubelets = ["kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet"];
    let open = all.into_iter().filter(|r| r.status.conditions.is_empty() && kubelets.contains(&&*r.spec.signer_name));
    let waits = open.filter_map(|r| {
        // One that joins has no name of its own yet.
        let node = r.spec.username.strip_prefix("system:node:").unwrap_or(&r.spec.username);
        let since = r.metadata.creation_timestamp.as_deref().and_then(time)?;
        Some(Unanswered { node: node.into(), signer: r.spec.signer_name.clone(), since })
    });
    Ok(waits.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fake::{Server, connect, reply};
    use serde_json::json;

    #[tokio::test]
    async fn those_that_should_have_been_renewed() {
        let one = |name: &str, renewal: &str| {
            json!({"metadata": {"name": name, "namespace": "pay"}, "spec": {"secretName": "tls"},
                "status": {"notBefore": "2026-01-01T00:00:00Z", "notAfter": "2026-04-01T00:00:00Z", "renewalTime": renewal,
                    "conditions": [{"type": "Ready", "status": "True", "message": "up to date"}, {"type": "Issuing", "status": "True", "message": "no such issuer"}]}})
        };
        let none = json!({"metadata": {"name": "never", "namespace": "pay"}});
        let body = json!({"items": [one("web", "2026-03-01T00:00:00Z"), one("api", "2026-03-02T00:00:01Z"), none]}).to_string();
        let server = Server::start(move |_| reply(200, body.clone())).await;
        let now = "2026-03-02T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_second();
        let client = connect(&server, "").await;
        let found = issued(&client, now, 0).await.unwrap();
        assert_eq!(found.iter().map(|c| &*c.subject).collect::<Vec<_>>(), ["pay/web"]);
        assert_eq!(found[0].whose, Whose::Issued { late: now, why: "no such issuer".into() });
        assert_eq!(issued(&client, now, 90_000).await.unwrap().len(), 2, "before the next look");
        let server = Server::start(|_| reply(404, "{}")).await;
        assert!(issued(&connect(&server, "").await, now, 0).await.unwrap().is_empty());
    }
    #[tokio::test]
    async fn requests_of_kubelets_that_nobody_answers() {
        let one = |user: &str, signer: &str, conditions: serde_json::Value| {
            json!({"metadata": {"name": "csr", "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"signerName": signer, "username": user, "request": "eHg="}, "status": {"conditions": conditions}})
        };
        let serving = "kubernetes.io/kubelet-serving";
        let approved = json!([{"type": "Approved", "status": "True"}]);
        let mut new = one("system:node:n1", serving, json!([]));
        new["status"] = json!({});
        let all = json!({"items": [new, one("system:node:n2", serving, approved), one("dev", "kubernetes.io/kube-apiserver-client", json!([])),
            one("system:bootstrap:abc", "kubernetes.io/kube-apiserver-client-kubelet", json!([]))]});
        let body = all.to_string();
        let server = Server::start(move |_| reply(200, body.clone())).await;
        let found = unanswered(&connect(&server, "").await).await.unwrap();
        assert_eq!(found.iter().map(|u| &*u.node).collect::<Vec<_>>(), ["n1", "system:bootstrap:abc"]);
    }
    #[test]
    fn why_it_is_not_renewed() {
        let of = |conditions: serde_json::Value| {
            let status = json!({"notBefore": "2026-01-01T00:00:00Z", "notAfter": "2026-04-01T00:00:00Z", "renewalTime": "2026-03-01T00:00:00Z", "conditions": conditions});
            match late(Named::default(), serde_json::from_value(status).unwrap(), i64::MAX).unwrap().whose {
                Whose::Issued { why, .. } => why.to_string(),
                other => panic!("{other:?}"),
            }
        };
        let says = |kind: &str, status: &str, message: &str| json!({"type": kind, "status": status, "message": message});
        assert_eq!(of(json!([says("Ready", "False", "has expired"), says("Issuing", "True", "x")])), "has expired");
        assert_eq!(of(json!([says("Ready", "True", "up to date"), says("Other", "False", "x")])), "");
    }

    #[tokio::test]
    async fn who_asks_keeps_them() {
        use crate::source::asked::tests::{heard, ok};
        let late = json!({"items": [{"metadata": {"name": "web", "namespace": "pay"},
            "status": {"notBefore": "2020-01-01T00:00:00Z", "notAfter": "2020-04-01T00:00:00Z", "renewalTime": "2020-03-01T00:00:00Z"}}]});
        let request = json!({"items": [{"metadata": {"name": "csr", "creationTimestamp": "2020-01-01T00:00:00Z"},
            "spec": {"signerName": "kubernetes.io/kubelet-serving", "username": "system:node:n1"}}]});
        let quota = json!({"items": [{"metadata": {"name": "team", "namespace": "pay"}, "status": {"hard": {"pods": "10"}}}]});
        let (asked, _) = heard(
            move |r| match r.uri().path() {
                "/apis/cert-manager.io/v1/certificates" => ok(&late),
                "/apis/certificates.k8s.io/v1/certificatesigningrequests" => ok(&request),
                "/api/v1/resourcequotas" => ok(&quota),
                _ => reply(404, "{}"),
            },
            1,
        )
        .await;
        assert!(asked.certificates.unwrap().iter().any(|c| &*c.subject == "pay/web"));
        assert_eq!(asked.unanswered.iter().map(|u| &*u.node).collect::<Vec<_>>(), ["n1"]);
        assert_eq!(asked.quotas.unwrap().iter().map(|q| &*q.name).collect::<Vec<_>>(), ["team"]);
    }
}
