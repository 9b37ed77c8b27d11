//! Who one is and what one may: the reviews that are answered and never stored.

use super::api::Role;
use super::fault::Faults;
use super::register::REGISTER;
use serde_json::{Value, json};

pub const KINDS: [&str; 3] = ["selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"];

/// Answers a review of that plural.
pub fn reviewed(role: Role, faults: &Faults, plural: &str, mut review: Value) -> Value {
    match plural {
        "selfsubjectaccessreviews" => {
            let ask = &review["spec"]["resourceAttributes"];
            let text = |field: &str| ask[field].as_str().unwrap_or("").to_owned();
            let (verb, plural, sub) = (text("verb"), text("resource"), text("subresource"));
            let resource = if sub.is_empty() { plural.clone() } else { format!("{plural}/{sub}") };
            let path = &review["spec"]["nonResourceAttributes"];
            let allowed = if path["path"].is_string() || path["verb"].is_string() {
                role == Role::Admin || path["verb"] == "get"
            } else {
                let denied = faults.denied.iter().any(|(v, r)| *v == verb && *r == resource) || faults.forbidden.contains(&plural);
                !denied && role.may(&verb, &resource)
            };
            review["status"] = json!({"allowed": allowed, "reason": if allowed { "RBAC: allowed by the simulated fleet" } else { "" }});
        }
        "selfsubjectrulesreviews" => {
            let rules = match role {
                Role::Admin => json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]),
                Role::Viewer => REGISTER
                    .iter()
                    .filter(|r| role.may("list", r.plural))
                    .map(|r| json!({"verbs": ["get", "list", "watch"], "apiGroups": [r.group], "resources": [r.plural]}))
                    .collect(),
            };
            review["status"] =
                json!({"resourceRules": rules, "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["*"]}], "incomplete": false});
        }
        _ => review["status"] = json!({"userInfo": {"username": role.user(), "groups": ["system:authenticated"]}}),
    }
    review["metadata"] = json!({"creationTimestamp": null});
    review
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subresources_have_rights_of_their_own() {
        let faults = Faults { denied: vec![("patch".to_owned(), "deployments/scale".to_owned())], ..Faults::default() };
        let may = |role: Role, verb: &str, resource: &str, sub: &str| {
            let ask = json!({"spec": {"resourceAttributes": {"verb": verb, "resource": resource, "subresource": sub}}});
            reviewed(role, &faults, "selfsubjectaccessreviews", ask)["status"]["allowed"] == true
        };
        assert!(may(Role::Admin, "patch", "deployments", "") && !may(Role::Admin, "patch", "deployments", "scale"));
        assert!(may(Role::Viewer, "get", "pods", "log") && !may(Role::Viewer, "create", "pods", "eviction"));
        assert!(!may(Role::Viewer, "list", "nodes", ""));
    }
}
