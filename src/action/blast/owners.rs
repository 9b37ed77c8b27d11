//! Who else writes an object: autoscalers by their targets, GitOps tools by the marks that they leave.

use super::super::{Snapshot, Stop};
use crate::model::{Kind, Object, Resource, Target};
use serde_json::Value;

/// Something that sets a workload's replicas.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scaler {
    Hpa {
        target: Target,
        min: i32,
        max: i32,
    },
    /// A KEDA ScaledObject, and whether it is paused.
    Keda {
        target: Target,
        paused: bool,
    },
}

impl Scaler {
    /// `hpa pay/api`, `scaledobject pay/queue`.
    pub fn words(&self) -> String {
        match self {
            Self::Hpa { target, .. } => format!("hpa {}", target.title()),
            Self::Keda { target, .. } => format!("scaledobject {}", target.title()),
        }
    }
}

/// KEDA's resource.
pub fn scaled_object() -> Resource {
    Resource {
        group: "keda.sh".into(),
        version: "v1alpha1".into(),
        plural: "scaledobjects".into(),
        kind: "ScaledObject".into(),
        namespaced: true,
    }
}

/// The autoscalers of an object, by kind and name: HPAs of the store, ScaledObjects where the cluster has them. An HPA that a ScaledObject
/// owns is told as the ScaledObject.
///
/// # Errors
/// While the ScaledObjects have not been fetched.
pub fn scalers(snapshot: &Snapshot, target: &Target) -> Result<Vec<Scaler>, Stop> {
    let cluster = snapshot.cluster(target.cluster)?;
    let (kind, name) = (target.resource.kind.as_str(), target.name.as_str());
    let keda = scaled_object();
    let objects = match snapshot.fact(target.cluster, keda.path(&target.namespace))? {
        Ok(list) => list["items"].as_array().cloned().unwrap_or_default(),
        // Not there, or not ours to see: the HPAs that it makes still show.
        Err(_) => Vec::new(),
    };
    let mut found: Vec<Scaler> = Vec::new();
    for o in &objects {
        let of = &o["spec"]["scaleTargetRef"];
        if of["kind"].as_str().unwrap_or("Deployment") == kind && of["name"] == name {
            let target = Target {
                cluster: target.cluster,
                resource: keda.clone(),
                namespace: target.namespace.clone(),
                name: o["metadata"]["name"].as_str().unwrap_or("").to_owned(),
                uid: o["metadata"]["uid"].as_str().map(str::to_owned),
            };
            found.push(Scaler::Keda { target, paused: paused(o) });
        }
    }
    for o in cluster.objects(Kind::Hpa) {
        let Object::Hpa(hpa) = o else { continue };
        let same = *hpa.meta.namespace == *target.namespace && &*hpa.target_kind == kind && &*hpa.target_name == name;
        let of_keda = hpa.meta.owner.as_ref().is_some_and(|owner| &*owner.kind == "ScaledObject");
        if same && !(of_keda && found.iter().any(|s| matches!(s, Scaler::Keda { .. }))) {
            found.push(Scaler::Hpa { target: Target::from(&o.reference(target.cluster)), min: hpa.min, max: hpa.max });
        }
    }
    Ok(found)
}

/// Whether KEDA takes a ScaledObject for paused: any replicas that are asked for, or a text that is not a false.
pub fn paused(scaled_object: &Value) -> bool {
    let annotation = |name: &str| scaled_object["metadata"]["annotations"][format!("autoscaling.keda.sh/{name}")].as_str();
    let off = |text: &str| matches!(text, "false" | "False" | "FALSE" | "f" | "F" | "0");
    annotation("paused-replicas").is_some() || annotation("paused").is_some_and(|t| !off(t))
}

/// The tools that would put an object back as they have it: `Argo CD (pay)`, `Flux (apps/pay)`, `Helm (checkout)`.
pub fn owned_by(object: &Value) -> Vec<String> {
    let label = |key: &str| object["metadata"]["labels"][key].as_str();
    let annotation = |key: &str| object["metadata"]["annotations"][key].as_str();
    let mut found = Vec::new();
    if let Some(id) = annotation("argocd.argoproj.io/tracking-id") {
        found.push(format!("Argo CD ({})", id.split(':').next().unwrap_or(id)));
    } else if let Some(app) = label("argocd.argoproj.io/instance") {
        found.push(format!("Argo CD ({app})"));
    }
    for (tool, name, namespace) in [
        ("Flux Kustomization", "kustomize.toolkit.fluxcd.io/name", "kustomize.toolkit.fluxcd.io/namespace"),
        ("Flux HelmRelease", "helm.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/namespace"),
    ] {
        if let Some(n) = label(name) {
            found.push(format!("{tool} ({}/{n})", label(namespace).unwrap_or("?")));
        }
    }
    if let Some(release) = annotation("meta.helm.sh/release-name")
        && !found.iter().any(|f| f.starts_with("Flux HelmRelease"))
    {
        found.push(format!("Helm ({release})"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_keda_takes_for_paused() {
        let with = |key: &str, value: &str| paused(&json!({"metadata": {"annotations": {format!("autoscaling.keda.sh/{key}"): value}}}));
        assert!(with("paused", "true") && with("paused", "no") && with("paused-replicas", "0"));
        assert!(!with("paused", "false") && !paused(&json!({})));
    }

    #[test]
    fn gitops_tools_leave_marks() {
        let object = json!({"metadata": {"labels": {"helm.toolkit.fluxcd.io/name": "pay", "helm.toolkit.fluxcd.io/namespace": "apps"},
            "annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:pay/api", "meta.helm.sh/release-name": "pay"}}});
        assert_eq!(owned_by(&object), ["Argo CD (shop)", "Flux HelmRelease (apps/pay)"]);
        assert!(owned_by(&json!({"metadata": {}})).is_empty());
    }
}
