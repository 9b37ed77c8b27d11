//! Certificates that cert-manager keeps: those that it should have renewed by now.

use super::asked::{Named, Wire, list, time};
use crate::client::{ClientError, ReadClient};
use crate::model::asked::{InUse, Whose};
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
}
