//! Who may do more than is good for a cluster: its roles and bindings, read for `asked` and reduced to the wide ones.

use super::asked::{Named, list};
use crate::client::{ClientError, ReadClient};
use crate::model::Str;
use crate::model::asked::{Grant, Reach};
use serde::Deserialize;
use std::collections::BTreeMap;

const ROOT: &str = "/apis/rbac.authorization.k8s.io/v1";
/// The API server makes these anew whenever it starts: nobody chose them.
const DEFAULTS: &str = "kubernetes.io/bootstrapping";

#[derive(Deserialize)]
struct Role {
    metadata: Named,
    #[serde(default)]
    rules: Option<Vec<Rule>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    api_groups: Vec<String>,
    resources: Vec<String>,
    verbs: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Binding {
    metadata: Named,
    role_ref: RoleRef,
    #[serde(default)]
    subjects: Option<Vec<Subject>>,
}

#[derive(Deserialize)]
struct RoleRef {
    kind: String,
    name: String,
}

#[derive(Deserialize)]
struct Subject {
    kind: String,
    name: String,
    #[serde(default)]
    namespace: String,
}

impl Rule {
    fn has(list: &[String], wanted: &[&str]) -> bool {
        list.iter().any(|x| x == "*" || wanted.contains(&x.as_str()))
    }

    /// What it allows that is worth knowing.
    fn powers(&self) -> Vec<&'static str> {
        let star = |list: &[String]| list.iter().any(|x| x == "*");
        if star(&self.verbs) && star(&self.resources) && star(&self.api_groups) {
            return vec![EVERYTHING];
        }
        let group = |name: &str| Self::has(&self.api_groups, &[name]);
        let on = |resources: &[&str], verbs: &[&str]| Self::has(&self.resources, resources) && Self::has(&self.verbs, verbs);
        let mut powers = Vec::new();
        if group("") {
            let all = [
                ("exec into pods", on(&["pods/exec", "pods/attach", "pods/*"], &["create", "get"])),
                ("read all secrets", on(&["secrets"], &["list", "watch"])),
                ("proxy to kubelets", on(&["nodes/proxy", "nodes/*"], &["get", "create"])),
                ("make tokens of service accounts", on(&["serviceaccounts/token", "serviceaccounts/*"], &["create"])),
                ("be somebody else", on(&["users", "groups", "serviceaccounts"], &["impersonate"])),
            ];
            powers.extend(all.into_iter().filter(|(_, may)| *may).map(|(what, _)| what));
        }
        if group("rbac.authorization.k8s.io") && on(&["roles", "clusterroles"], &["escalate", "bind"]) {
            powers.push("give itself rights");
        }
        powers
    }

    fn wild(&self) -> bool {
        [&self.verbs, &self.resources].iter().any(|list| list.iter().any(|x| x == "*"))
    }
}

const EVERYTHING: &str = "everything";

impl Subject {
    fn reach(&self) -> Option<Reach> {
        match (self.kind.as_str(), self.name.as_str()) {
            ("Group", "system:authenticated" | "system:unauthenticated" | "system:serviceaccounts") | ("User", "system:anonymous") => {
                Some(Reach::Everybody)
            }
            ("Group", group) if group.starts_with("system:serviceaccounts:kube-system") => None,
            ("Group", group) if group.starts_with("system:serviceaccounts:") => Some(Reach::Workload),
            // The control plane's own.
            (_, name) if name.starts_with("system:") => None,
            ("ServiceAccount", _) if self.namespace == "kube-system" => None,
            ("ServiceAccount", _) => Some(Reach::Workload),
            _ => Some(Reach::Person),
        }
    }

    fn words(&self) -> String {
        match self.kind.as_str() {
            "ServiceAccount" => format!("ServiceAccount {}/{}", self.namespace, self.name),
            kind => format!("{kind} {}", self.name),
        }
    }
}

/// The bindings that give much: cluster-wide any power, in a namespace everything or by a wildcard.
pub(super) async fn grants(client: &ReadClient) -> Result<Box<[Grant]>, ClientError> {
    let cluster_roles: Vec<Role> = list(client, &format!("{ROOT}/clusterroles")).await?;
    let wide: Vec<Binding> = list(client, &format!("{ROOT}/clusterrolebindings")).await?;
    let roles: Vec<Role> = list(client, &format!("{ROOT}/roles")).await?;
    let narrow: Vec<Binding> = list(client, &format!("{ROOT}/rolebindings")).await?;
    Ok(of(cluster_roles, &wide, roles, &narrow))
}

fn of(cluster_roles: Vec<Role>, wide: &[Binding], roles: Vec<Role>, narrow: &[Binding]) -> Box<[Grant]> {
    let by_name = |all: Vec<Role>| -> BTreeMap<(String, String), Vec<Rule>> {
        all.into_iter().map(|r| ((r.metadata.namespace, r.metadata.name), r.rules.unwrap_or_default())).collect()
    };
    let (cluster_roles, roles) = (by_name(cluster_roles), by_name(roles));
    let mut found = Vec::new();
    for (binding, everywhere) in wide.iter().map(|b| (b, true)).chain(narrow.iter().map(|b| (b, false))) {
        let chosen = !binding.metadata.labels.contains_key(DEFAULTS);
        let namespace = if binding.role_ref.kind == "Role" { binding.metadata.namespace.clone() } else { String::new() };
        let role = if binding.role_ref.kind == "Role" { &roles } else { &cluster_roles };
        let Some(rules) = role.get(&(namespace, binding.role_ref.name.clone())).filter(|_| chosen) else { continue };
        let mut powers: Vec<&str> = rules.iter().flat_map(Rule::powers).collect();
        if powers.contains(&EVERYTHING) {
            powers = vec![EVERYTHING];
        } else if !everywhere {
            let own = binding.role_ref.kind == "Role";
            powers = if own && rules.iter().any(Rule::wild) { vec!["verbs or resources by wildcard"] } else { Vec::new() };
        }
        powers.sort_unstable();
        powers.dedup();
        if powers.is_empty() {
            continue;
        }
        for subject in binding.subjects.iter().flatten() {
            let Some(reach) = subject.reach() else { continue };
            found.push(Grant {
                binding: binding.metadata.name.as_str().into(),
                namespace: (!everywhere).then(|| binding.metadata.namespace.as_str().into()),
                role: binding.role_ref.name.as_str().into(),
                subject: subject.words().into(),
                reach,
                everything: powers == [EVERYTHING],
                powers: powers.iter().map(|p| Str::from(*p)).collect(),
            });
        }
    }
    found.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read<T: serde::de::DeserializeOwned>(values: &[Value]) -> Vec<T> {
        values.iter().map(|v| serde_json::from_value(v.clone()).unwrap()).collect()
    }

    fn role(name: &str, groups: &[&str], resources: &[&str], verbs: &[&str]) -> Value {
        json!({"metadata": {"name": name}, "rules": [{"apiGroups": groups, "resources": resources, "verbs": verbs}]})
    }

    fn binding(name: &str, role: &str, kind: &str, subject: Value) -> Value {
        json!({"metadata": {"name": name}, "roleRef": {"kind": kind, "name": role}, "subjects": [subject]})
    }

    fn account(namespace: &str) -> Value {
        json!({"kind": "ServiceAccount", "name": "default", "namespace": namespace})
    }

    #[test]
    fn what_is_wide_and_whose_it_is() {
        let roles = [
            role("cluster-admin", &["*"], &["*"], &["*"]),
            role("execs", &[""], &["pods/exec"], &["create"]),
            role("view", &[""], &["pods"], &["get", "list"]),
            role("secrets", &[""], &["secrets"], &["get"]),
        ];
        let mut boot = binding("cluster-admin", "cluster-admin", "ClusterRole", json!({"kind": "Group", "name": "everyone"}));
        boot["metadata"]["labels"] = json!({"kubernetes.io/bootstrapping": "rbac-defaults"});
        let wide = [
            boot,
            binding("a", "cluster-admin", "ClusterRole", account("pay")),
            binding("b", "cluster-admin", "ClusterRole", account("kube-system")),
            binding("c", "cluster-admin", "ClusterRole", json!({"kind": "Group", "name": "system:authenticated"})),
            binding("d", "execs", "ClusterRole", json!({"kind": "User", "name": "ann"})),
            binding("e", "view", "ClusterRole", account("pay")),
            binding("f", "secrets", "ClusterRole", account("pay")),
            binding("g", "gone", "ClusterRole", account("pay")),
        ];
        let found = of(read(&roles), &read::<Binding>(&wide), Vec::new(), &[]);
        let facts: Vec<_> = found.iter().map(|g| (&*g.binding, g.everything, g.reach, &*g.powers[0])).collect();
        let expected = [
            ("a", true, Reach::Workload, "everything"),
            ("c", true, Reach::Everybody, "everything"),
            ("d", false, Reach::Person, "exec into pods"),
        ];
        assert_eq!(facts, expected, "one secret by its name is not all of them");
    }

    #[test]
    fn in_a_namespace_only_everything_and_wildcards() {
        let mut own = role("own", &["apps"], &["*"], &["get"]);
        own["metadata"]["namespace"] = json!("pay");
        let mut narrow = [
            binding("x", "own", "Role", account("pay")),
            binding("y", "execs", "ClusterRole", account("pay")),
            binding("z", "cluster-admin", "ClusterRole", account("pay")),
        ];
        for b in &mut narrow {
            b["metadata"]["namespace"] = json!("pay");
        }
        let roles = [role("cluster-admin", &["*"], &["*"], &["*"]), role("execs", &[""], &["pods/exec"], &["create"])];
        let found = of(read(&roles), &[], read(&[own]), &read::<Binding>(&narrow));
        let facts: Vec<_> = found.iter().map(|g| (&*g.binding, &*g.powers[0])).collect();
        assert_eq!(facts, [("x", "verbs or resources by wildcard"), ("z", "everything")]);
    }
}
