//! Which resources a simulated API server has, and its discovery documents.

use super::metrics;
use crate::model::Kind;
use serde_json::{Value, json};

/// One resource: its place in the API and what can be done with it.
pub struct Resource {
    pub group: &'static str,
    pub version: &'static str,
    pub plural: &'static str,
    pub kind: &'static str,
    pub short: &'static [&'static str],
    pub namespaced: bool,
    pub subresources: &'static [&'static str],
    /// The kind of qd's own that it is; those with a protobuf are served so too.
    pub model: Option<Kind>,
    pub all: bool,
}

macro_rules! resource {
    ($group:literal, $plural:literal, $kind:literal, $short:expr, $ns:literal, $sub:expr, $model:expr, $all:literal) => {
        Resource {
            group: $group,
            version: match $group.as_bytes() {
                b"autoscaling" => "v2",
                b"keda.sh" => "v1alpha1",
                b"wgpolicyk8s.io" => "v1alpha2",
                _ => "v1",
            },
            plural: $plural,
            kind: $kind,
            short: &$short,
            namespaced: $ns,
            subresources: &$sub,
            model: $model,
            all: $all,
        }
    };
}

/// Every resource. The constants below are places in it.
pub static REGISTER: [Resource; 33] = [
    resource!("", "namespaces", "Namespace", ["ns"], false, ["status"], Some(Kind::Namespace), false),
    resource!("", "nodes", "Node", ["no"], false, ["status"], Some(Kind::Node), false),
    resource!("", "pods", "Pod", ["po"], true, ["status", "log", "eviction", "binding", "resize"], Some(Kind::Pod), true),
    resource!("", "events", "Event", ["ev"], true, [], Some(Kind::Event), false),
    resource!("", "services", "Service", ["svc"], true, ["status"], Some(Kind::Service), true),
    resource!("", "configmaps", "ConfigMap", ["cm"], true, [], None, false),
    resource!("", "secrets", "Secret", [], true, [], None, false),
    resource!("", "serviceaccounts", "ServiceAccount", ["sa"], true, [], None, false),
    resource!("", "persistentvolumeclaims", "PersistentVolumeClaim", ["pvc"], true, ["status"], Some(Kind::Claim), false),
    resource!("apps", "deployments", "Deployment", ["deploy"], true, ["status", "scale"], Some(Kind::Deployment), true),
    resource!("apps", "replicasets", "ReplicaSet", ["rs"], true, ["status", "scale"], Some(Kind::ReplicaSet), true),
    resource!("apps", "statefulsets", "StatefulSet", ["sts"], true, ["status", "scale"], Some(Kind::StatefulSet), true),
    resource!("apps", "daemonsets", "DaemonSet", ["ds"], true, ["status"], Some(Kind::DaemonSet), true),
    resource!("apps", "controllerrevisions", "ControllerRevision", [], true, [], None, false),
    resource!("batch", "jobs", "Job", [], true, ["status"], Some(Kind::Job), true),
    resource!("batch", "cronjobs", "CronJob", ["cj"], true, ["status"], Some(Kind::CronJob), true),
    resource!("autoscaling", "horizontalpodautoscalers", "HorizontalPodAutoscaler", ["hpa"], true, ["status"], Some(Kind::Hpa), true),
    resource!("policy", "poddisruptionbudgets", "PodDisruptionBudget", ["pdb"], true, ["status"], Some(Kind::Pdb), false),
    resource!("coordination.k8s.io", "leases", "Lease", [], true, [], None, false),
    resource!("storage.k8s.io", "storageclasses", "StorageClass", ["sc"], false, [], None, false),
    resource!("keda.sh", "scaledobjects", "ScaledObject", ["so"], true, ["status"], None, false),
    resource!("velero.io", "backups", "Backup", [], true, [], Some(Kind::Backup), false),
    resource!("velero.io", "restores", "Restore", [], true, [], Some(Kind::Restore), false),
    resource!("velero.io", "schedules", "Schedule", [], true, [], Some(Kind::Schedule), false),
    resource!(
        "velero.io",
        "backupstoragelocations",
        "BackupStorageLocation",
        ["bsl"],
        true,
        ["status"],
        Some(Kind::StorageLocation),
        false
    ),
    resource!("velero.io", "deletebackuprequests", "DeleteBackupRequest", [], true, [], None, false),
    resource!("velero.io", "downloadrequests", "DownloadRequest", [], true, [], None, false),
    resource!("velero.io", "volumesnapshotlocations", "VolumeSnapshotLocation", ["vsl"], true, [], None, false),
    resource!("", "persistentvolumes", "PersistentVolume", ["pv"], false, ["status"], None, false),
    resource!("discovery.k8s.io", "endpointslices", "EndpointSlice", [], true, [], Some(Kind::EndpointSlice), false),
    resource!("networking.k8s.io", "ingresses", "Ingress", ["ing"], true, ["status"], Some(Kind::Ingress), false),
    resource!("wgpolicyk8s.io", "policyreports", "PolicyReport", ["polr"], true, [], None, false),
    resource!("wgpolicyk8s.io", "clusterpolicyreports", "ClusterPolicyReport", ["cpolr"], false, [], None, false),
];

/// A place in [`REGISTER`].
pub type Res = usize;
pub const NAMESPACES: Res = 0;
pub const NODES: Res = 1;
pub const PODS: Res = 2;
pub const EVENTS: Res = 3;
pub const SERVICES: Res = 4;
pub const CONFIGMAPS: Res = 5;
pub const CLAIMS: Res = 8;
pub const DEPLOYMENTS: Res = 9;
pub const REPLICASETS: Res = 10;
pub const STATEFULSETS: Res = 11;
pub const DAEMONSETS: Res = 12;
pub const REVISIONS: Res = 13;
pub const JOBS: Res = 14;
pub const CRONJOBS: Res = 15;
pub const HPAS: Res = 16;
pub const PDBS: Res = 17;
pub const SCALED_OBJECTS: Res = 20;
pub const BACKUPS: Res = 21;
pub const RESTORES: Res = 22;
pub const SCHEDULES: Res = 23;
pub const LOCATIONS: Res = 24;
pub const DELETIONS: Res = 25;
pub const DOWNLOADS: Res = 26;
pub const VOLUMES: Res = 28;
pub const ENDPOINT_SLICES: Res = 29;
pub const INGRESSES: Res = 30;

const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

impl Resource {
    /// `apps/v1`, or `v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }
    /// `pods`, `deployments.apps`, as errors name it.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }
    /// The kind that its protobuf is projected from; none: it is served as JSON only.
    pub fn proto(&self) -> Option<Kind> {
        self.model.filter(|k| k.proto())
    }
    fn singular(&self) -> String {
        self.kind.to_ascii_lowercase()
    }
    fn subresource(&self, sub: &str) -> (&'static str, &'static str, &'static str, &'static [&'static str]) {
        match sub {
            "scale" => ("autoscaling", "v1", "Scale", &["get", "patch", "update"]),
            "eviction" => ("policy", "v1", "Eviction", &["create"]),
            "binding" => ("", "v1", "Binding", &["create"]),
            "log" => (self.group, self.version, self.kind, &["get"]),
            _ => (self.group, self.version, self.kind, &["get", "patch", "update"]),
        }
    }
}

/// The resource at `group/version/plural`.
pub fn find(group: &str, version: &str, plural: &str) -> Option<Res> {
    REGISTER.iter().position(|r| r.group == group && r.version == version && r.plural == plural)
}

/// The resource of that kind, `Pod`.
pub fn of_kind(kind: &str) -> Option<Res> {
    REGISTER.iter().position(|r| r.kind == kind)
}

/// Every named group with its version.
fn groups() -> Vec<(&'static str, &'static str)> {
    let mut groups: Vec<_> = REGISTER.iter().filter(|r| !r.group.is_empty()).map(|r| (r.group, r.version)).collect();
    groups.dedup();
    groups.push(("authorization.k8s.io", "v1"));
    groups.push(("authentication.k8s.io", "v1"));
    groups.push((metrics::GROUP, metrics::VERSION));
    groups
}

/// Reviews are made, never stored.
const REVIEWS: [(&str, &str, &str); 3] = [
    ("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    ("authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
    ("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview"),
];

/// `/apis`.
pub fn group_list() -> Value {
    let groups: Vec<Value> = groups().into_iter().map(|(g, v)| group(g, v)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

fn group(name: &str, version: &str) -> Value {
    let one = |version: &str| json!({"groupVersion": format!("{name}/{version}"), "version": version});
    let versions = if name == "autoscaling" { vec![one(version), one("v1")] } else { vec![one(version)] };
    json!({"name": name, "versions": versions, "preferredVersion": one(version)})
}

/// `/api/v1` or `/apis/GROUP/VERSION`; none when there is no such group and version.
pub fn resource_list(group: &str, version: &str) -> Option<Value> {
    let mut resources = Vec::new();
    for r in REGISTER.iter().filter(|r| r.group == group && r.version == version) {
        let mut entry = json!({"name": r.plural, "singularName": r.singular(), "namespaced": r.namespaced, "kind": r.kind, "verbs": VERBS, "shortNames": r.short});
        if r.all {
            entry["categories"] = json!(["all"]);
        }
        resources.push(entry);
        for sub in r.subresources {
            let (group, version, kind, verbs) = r.subresource(sub);
            resources.push(json!({"name": format!("{}/{sub}", r.plural), "singularName": "", "namespaced": r.namespaced, "group": group, "version": version, "kind": kind, "verbs": verbs}));
        }
    }
    for (_, plural, kind) in REVIEWS.iter().filter(|(g, ..)| *g == group && version == "v1") {
        resources.push(
            json!({"name": plural, "singularName": kind.to_ascii_lowercase(), "namespaced": false, "kind": kind, "verbs": ["create"]}),
        );
    }
    for (plural, kind, namespaced) in metrics::RESOURCES.iter().filter(|_| (group, version) == (metrics::GROUP, metrics::VERSION)) {
        resources.push(json!({"name": plural, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get", "list"]}));
    }
    if (group, version) == ("autoscaling", "v1") {
        resources.push(json!({"name": "horizontalpodautoscalers", "singularName": "horizontalpodautoscaler", "namespaced": true, "kind": "HorizontalPodAutoscaler", "verbs": ["create", "get", "update"], "shortNames": ["hpa"]}));
    }
    let gv = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    (!resources.is_empty()).then(|| json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": gv, "resources": resources}))
}

/// `/apis/GROUP`.
pub fn one_group(name: &str) -> Option<Value> {
    let (name, version) = groups().into_iter().find(|(g, _)| *g == name)?;
    let mut doc = group(name, version);
    doc["kind"] = "APIGroup".into();
    doc["apiVersion"] = "v1".into();
    Some(doc)
}

/// Aggregated discovery (`apidiscovery.k8s.io/v2`) of the core group or of all others.
pub fn aggregated(core: bool) -> Value {
    let scope = |namespaced| if namespaced { "Namespaced" } else { "Cluster" };
    let kind = |g: &str, v: &str, k: &str| json!({"group": g, "version": v, "kind": k});
    let wanted = if core { vec![("", "v1")] } else { groups() };
    let items: Vec<Value> = wanted
        .into_iter()
        .map(|(group, version)| {
            let mut resources: Vec<Value> = REGISTER
                .iter()
                .filter(|r| r.group == group)
                .map(|r| {
                    let subs: Vec<Value> = r
                        .subresources
                        .iter()
                        .map(|sub| {
                            let (g, v, k, verbs) = r.subresource(sub);
                            json!({"subresource": sub, "responseKind": kind(g, v, k), "verbs": verbs})
                        })
                        .collect();
                    let categories: &[&str] = if r.all { &["all"] } else { &[] };
                    json!({"resource": r.plural, "responseKind": kind(group, version, r.kind), "scope": scope(r.namespaced), "singularResource": r.singular(), "verbs": VERBS,
                        "shortNames": r.short, "categories": categories, "subresources": subs})
                })
                .collect();
            for (_, plural, k) in REVIEWS.iter().filter(|(g, ..)| *g == group) {
                resources.push(json!({"resource": plural, "responseKind": kind(group, version, k), "scope": "Cluster", "singularResource": k.to_ascii_lowercase(), "verbs": ["create"]}));
            }
            for (plural, k, namespaced) in metrics::RESOURCES.iter().filter(|_| group == metrics::GROUP) {
                resources.push(json!({"resource": plural, "responseKind": kind(group, version, k), "scope": scope(*namespaced), "singularResource": "", "verbs": ["get", "list"]}));
            }
            json!({"metadata": {"name": group, "creationTimestamp": null}, "versions": [{"version": version, "freshness": "Current", "resources": resources}]})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

/// `/openapi/v3`: which documents there are.
pub fn openapi_index() -> Value {
    let mut paths = serde_json::Map::new();
    paths.insert("api/v1".into(), json!({"serverRelativeURL": "/openapi/v3/api/v1?hash=1"}));
    for (g, v) in groups() {
        paths.insert(format!("apis/{g}/{v}"), json!({"serverRelativeURL": format!("/openapi/v3/apis/{g}/{v}?hash=1")}));
    }
    json!({"paths": paths})
}

/// One document: no schemas, only that the server checks fields itself, which is what kubectl asks before it applies.
pub fn openapi(group: &str, version: &str) -> Value {
    let mut paths = serde_json::Map::new();
    for r in REGISTER.iter().filter(|r| r.group == group && r.version == version) {
        let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let ns = if r.namespaced { "/namespaces/{namespace}" } else { "" };
        let gvk = json!({"group": group, "version": version, "kind": r.kind});
        let field = json!([{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}, {"name": "dryRun", "in": "query", "schema": {"type": "string"}}]);
        let patch = json!({"patch": {"x-kubernetes-action": "patch", "x-kubernetes-group-version-kind": gvk, "parameters": field, "responses": {"200": {"description": "OK"}}}});
        paths.insert(format!("{root}{ns}/{}/{{name}}", r.plural), patch);
    }
    json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.36.0"}, "paths": paths, "components": {"schemas": {}}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_names_are_right() {
        for (res, plural) in [
            (PODS, "pods"),
            (EVENTS, "events"),
            (DEPLOYMENTS, "deployments"),
            (DAEMONSETS, "daemonsets"),
            (JOBS, "jobs"),
            (HPAS, "horizontalpodautoscalers"),
            (PDBS, "poddisruptionbudgets"),
            (CRONJOBS, "cronjobs"),
            (REVISIONS, "controllerrevisions"),
            (SCALED_OBJECTS, "scaledobjects"),
            (BACKUPS, "backups"),
            (RESTORES, "restores"),
            (SCHEDULES, "schedules"),
            (LOCATIONS, "backupstoragelocations"),
            (SERVICES, "services"),
            (ENDPOINT_SLICES, "endpointslices"),
            (INGRESSES, "ingresses"),
            (CONFIGMAPS, "configmaps"),
        ] {
            assert_eq!(REGISTER[res].plural, plural);
        }
        for kind in Kind::WATCHED {
            let r = REGISTER.iter().find(|r| r.model == Some(kind)).unwrap();
            assert_eq!((r.plural, r.api_version()), (kind.plural(), kind.api_version()));
        }
        assert!(resource_list("apps", "v1").is_some() && resource_list("apps", "v2").is_none());
    }
}
