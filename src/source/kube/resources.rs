//! Which resources a cluster has beside the watched kinds: from its aggregated discovery, for what people name on the command line.

use crate::client::{ClientError, ReadClient};
use crate::model::Resource;
use serde_json::Value;

const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

/// Every resource of a cluster with the words that people call it.
#[derive(Clone, Debug, Default)]
pub struct Resources(Vec<(Resource, Vec<String>)>);

impl Resources {
    /// Asks the cluster.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn ask(client: &ReadClient) -> Result<Self, ClientError> {
        let (core, groups) = tokio::try_join!(client.get_bytes("/api", ACCEPT), client.get_bytes("/apis", ACCEPT))?;
        let mut all = Vec::new();
        for answer in [core, groups] {
            let list: Value = serde_json::from_slice(&answer.bytes).unwrap_or(Value::Null);
            all.extend(read(&list));
        }
        Ok(Self(all))
    }

    /// The resource that a word means: plural, singular, short name or kind, with or without its group.
    pub fn find(&self, word: &str) -> Option<&Resource> {
        let word = word.to_ascii_lowercase();
        let (name, group) = word.split_once('.').map_or((word.as_str(), None), |(n, g)| (n, Some(g)));
        let called = |names: &[String], r: &Resource| names.iter().any(|n| n == name) && group.is_none_or(|g| g == r.group);
        self.0.iter().find(|(r, names)| called(names, r)).map(|(r, _)| r)
    }

    /// Plural names, for a hint.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(r, _)| r.plural.as_str())
    }
}

/// The resources of an APIGroupDiscoveryList, each in the version that its group prefers.
fn read(list: &Value) -> Vec<(Resource, Vec<String>)> {
    let mut found: Vec<(Resource, Vec<String>)> = Vec::new();
    for group in list["items"].as_array().into_iter().flatten() {
        let name = group["metadata"]["name"].as_str().unwrap_or("");
        for version in group["versions"].as_array().into_iter().flatten() {
            for r in version["resources"].as_array().into_iter().flatten() {
                let text = |v: &Value| v.as_str().unwrap_or("").to_owned();
                let plural = text(&r["resource"]);
                let kind = text(&r["responseKind"]["kind"]);
                if plural.is_empty() || found.iter().any(|(f, _)| f.group == name && f.plural == plural) {
                    continue;
                }
                let short = r["shortNames"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
                let names = [plural.clone(), text(&r["singularResource"]), kind.to_ascii_lowercase()].into_iter().chain(short);
                let names = names.filter(|n| !n.is_empty()).collect();
                let namespaced = r["scope"] == "Namespaced";
                found.push((Resource { group: name.to_owned(), version: text(&version["version"]), plural, kind, namespaced }, names));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_people_use_and_the_preferred_version() {
        let list = json!({"items": [{"metadata": {"name": "keda.sh"}, "versions": [
            {"version": "v1", "resources": [{"resource": "scaledobjects", "responseKind": {"kind": "ScaledObject"}, "scope": "Namespaced", "singularResource": "scaledobject", "shortNames": ["so"]}]},
            {"version": "v1alpha1", "resources": [{"resource": "scaledobjects", "responseKind": {"kind": "ScaledObject"}, "scope": "Namespaced"}]}]}]});
        let all = Resources(read(&list));
        for word in ["so", "ScaledObject", "scaledobjects", "scaledobjects.keda.sh", "so.keda.sh"] {
            assert_eq!(all.find(word).map(|r| r.api_version()).as_deref(), Some("keda.sh/v1"), "{word}");
        }
        assert!(all.find("so.other").is_none() && all.find("x").is_none());
    }
}
