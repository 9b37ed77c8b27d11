//! What may be done to an object before anybody asks for it: which permissions a verb needs at least, and who has them.
//!
//! A plan asks for exactly what it sends; this is the short list behind the keys, which greys out what would be refused anyway.

use super::preflight::{Finding, allowed};
use super::{Clients, Guardrails};
use crate::model::access::{Access, Of};
use crate::model::{ClusterId, Permission, Target, VerbId};
use futures::StreamExt as _;
use std::collections::BTreeMap;

/// Questions at the same time.
const AT_ONCE: usize = 8;
/// Questions at most: what is beyond is told by the preview.
const MOST: usize = 64;

/// What a verb sends to a target whatever its arguments. What it sends elsewhere only its plan knows.
pub fn needs(verb: VerbId, target: &Target) -> Vec<Permission> {
    let kind = target.resource.known();
    let one = |a: &Access| {
        let resource = match a.of {
            _ if !a.with.is_empty() => return None,
            Of::Target => target.resource.clone(),
            Of::TargetIf(k) if kind == Some(k) => target.resource.clone(),
            Of::TargetUnless(k) if kind != Some(k) => target.resource.clone(),
            Of::Beside(kind) => kind.into(),
            Of::TargetIf(_) | Of::TargetUnless(_) | Of::Elsewhere(_) | Of::Named | Of::Silences => return None,
        };
        Some(Permission {
            verb: a.verb.to_owned(),
            group: resource.group,
            resource: resource.plural,
            subresource: a.subresource.map(str::to_owned),
            namespace: target.namespace.clone(),
        })
    };
    verb.accesses().iter().filter_map(one).collect()
}

/// Which of these verbs would be refused, and why: by a guardrail, or by a cluster that was asked. What cannot be told is not refused.
pub async fn refused(verbs: Vec<VerbId>, targets: &[Target], rails: &Guardrails, clients: &Clients) -> Vec<(VerbId, String)> {
    let mut asked: BTreeMap<(ClusterId, Permission), Option<String>> = BTreeMap::new();
    for (verb, target) in verbs.iter().flat_map(|v| targets.iter().map(move |t| (*v, t))) {
        for permission in needs(verb, target) {
            if asked.len() < MOST {
                asked.insert((target.cluster, permission), None);
            }
        }
    }
    let questions = futures::stream::iter(asked.into_keys()).map(|(cluster, p)| async move {
        // A cluster that is not connected gives no answer.
        let why = match clients.read(cluster) {
            Ok(_) => match allowed(cluster, p.clone(), clients).await.finding {
                Finding::Forbidden(why) => Some(format!("{}: {why}", p.words())),
                _ => None,
            },
            Err(_) => None,
        };
        ((cluster, p), why)
    });
    let answers: BTreeMap<_, _> = questions.buffer_unordered(AT_ONCE).collect().await;
    let why = |verb: VerbId| {
        targets.iter().find_map(|t| {
            let permitted = || needs(verb, t).into_iter().find_map(|p| answers.get(&(t.cluster, p)).cloned().flatten());
            rails.get(t.cluster).and_then(|r| r.denies(verb, t)).or_else(permitted)
        })
    };
    verbs.into_iter().filter_map(|verb| Some((verb, why(verb)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::verbs::fixture::Fixture;
    use super::*;
    use crate::model::Kind;

    /// The short list is no list of its own: each is among what the plan asks for.
    #[test]
    fn what_a_verb_needs_is_what_its_plan_asks_for() {
        let mut f = Fixture::new();
        f.deployment("api", 3, |_| {});
        f.node("n1", |_| {});
        f.pod("api-1", "api", "n1", |_| {});
        for (verb, kind, name, args) in [
            (VerbId::Scale, Kind::Deployment, "api", "5"),
            (VerbId::Restart, Kind::Deployment, "api", ""),
            (VerbId::SetImage, Kind::Deployment, "api", "app=registry.internal/app:2"),
            (VerbId::CreatePdb, Kind::Deployment, "api", ""),
            (VerbId::Label, Kind::Deployment, "api", "a=b"),
            (VerbId::Cordon, Kind::Node, "n1", ""),
            (VerbId::Drain, Kind::Node, "n1", ""),
            (VerbId::Evict, Kind::Pod, "api-1", ""),
            (VerbId::Delete, Kind::Pod, "api-1", ""),
            (VerbId::Resize, Kind::Deployment, "api", "cpu=1"),
        ] {
            let plan = f.plan(verb, kind, &[name], args).unwrap();
            let asked = plan.permissions();
            let wanted = needs(verb, &plan.targets[0]);
            assert!(!wanted.is_empty(), "{verb}");
            for need in wanted {
                assert!(asked.contains(&(ClusterId(0), need.clone())), "{verb}: {} of {asked:?}", need.words());
            }
        }
    }

    #[tokio::test]
    async fn a_cluster_that_is_not_connected_refuses_nothing() {
        let mut f = Fixture::new();
        let target = f.node("n1", |_| {});
        let none = refused(vec![VerbId::Cordon, VerbId::Drain], &[target], &Guardrails::default(), &Clients::default()).await;
        assert_eq!(none, []);
    }
}
