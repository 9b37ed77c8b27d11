//! What a server is and which of our kinds it has.

use crate::client::{ClientError, ReadClient};
use crate::model::Kind;
use serde::Deserialize;
use std::collections::BTreeSet;

/// The answers of `/version` and `/apis`, each may be refused.
pub(super) struct Discovery {
    /// `v1.36.3`.
    pub version: Option<String>,
    /// `apps/v1`, ...; none: not known, so everything is tried.
    groups: Option<BTreeSet<String>>,
    /// Something answers, and knows neither question.
    pub stranger: bool,
}

impl Discovery {
    /// Asks the server. Neither answer is needed to go on.
    pub async fn ask(client: &ReadClient) -> Self {
        let (version, groups) = tokio::join!(client.version(), client.get_typed::<Groups>("/apis"));
        let refused = |what: &str, error: ClientError| tracing::debug!(cluster = client.name(), what, error = error.kind(), "discovery");
        let unknown = |error: Option<&ClientError>| matches!(error, Some(ClientError::NotFound { .. }));
        Self {
            stranger: unknown(version.as_ref().err()) && unknown(groups.as_ref().err()),
            version: version.map_err(|e| refused("version", e)).ok().map(|v| v.git_version),
            groups: groups.map_err(|e| refused("groups", e)).ok().map(Groups::names),
        }
    }

    /// Whether the kind's API may be there. The core group always is.
    pub fn has(&self, kind: Kind) -> bool {
        kind.info().group.is_empty() || self.groups.as_ref().is_none_or(|groups| groups.contains(&kind.api_version()))
    }
}

/// APIGroupList.
#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}
#[derive(Deserialize)]
struct Group {
    versions: Vec<GroupVersion>,
}
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupVersion {
    group_version: String,
}

impl Groups {
    fn names(self) -> BTreeSet<String> {
        self.groups.into_iter().flat_map(|g| g.versions).map(|v| v.group_version).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_decide_and_a_refusal_means_try() {
        let groups: Groups = serde_json::from_value(serde_json::json!({ "kind": "APIGroupList", "groups": [
            { "name": "autoscaling", "versions": [{ "groupVersion": "autoscaling/v1", "version": "v1" }] },
            { "name": "apps", "versions": [{ "groupVersion": "apps/v1", "version": "v1" }] },
        ] }))
        .unwrap();
        let known = Discovery { version: None, groups: Some(groups.names()), stranger: false };
        assert_eq!([Kind::Pod, Kind::Deployment, Kind::Hpa, Kind::Pdb].map(|k| known.has(k)), [true, true, false, false]);
        assert!(Discovery { version: None, groups: None, stranger: false }.has(Kind::Hpa));
    }
}
