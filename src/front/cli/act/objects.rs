//! Which objects a command line means: words to names, names to objects of the fleet.

use super::super::args::Global;
use super::super::fail::{Code, Failure};
use super::command::own;
use crate::model::verb::{On, Param, ParamKind};
use crate::model::{Kind, Resource, Selector, Service, Target, Until, VerbInfo};
use crate::runtime::Fleet;
use crate::source::kube::resources::Resources;
use crate::store::Cluster;

/// An object as it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// None: the verb's own kind.
    pub kind: Option<String>,
    /// None: every one that the selector takes.
    pub name: Option<String>,
}

/// Whether the values of a parameter stand among the objects.
pub fn among(param: &Param) -> bool {
    matches!(param.kind, ParamKind::Pairs | ParamKind::Until)
}

/// Splits words into objects and `key=value` pairs.
pub fn split(info: &VerbInfo, words: Vec<String>) -> Result<(Vec<Named>, Vec<String>), Failure> {
    let takes_pairs = info.params.iter().any(|p| p.kind == ParamKind::Pairs);
    // An end stands alone only where objects need no kind: `extend ID +30m`.
    let ends = own(info).is_some() && info.params.iter().any(|p| p.kind == ParamKind::Until);
    let (mut names, mut pairs) = (Vec::new(), Vec::new());
    let mut kind: Option<String> = None;
    for word in words {
        let slashed = word.split_once('/').filter(|(k, n)| !n.is_empty() && !k.contains(['=', ':', '.']) || is_kind(k));
        let pair = ends && Until::parse(&word).is_some()
            || takes_pairs && (word.contains('=') || word.ends_with('-') || (own(info) == Some(Kind::Node) && word.contains(':')));
        if pair {
            pairs.push(word);
        } else if let Some((k, n)) = slashed.filter(|(k, _)| is_kind(k) || names.is_empty()) {
            names.push(Named { kind: Some(k.to_owned()), name: Some(n.to_owned()) });
        } else if own(info).is_some_and(|k| Kind::parse(&word) != Some(k)) {
            names.push(Named { kind: None, name: Some(word) });
        } else if kind.is_none() && names.is_empty() {
            kind = Some(word);
        } else if kind.is_some() {
            names.push(Named { kind: kind.clone(), name: Some(word) });
        } else if takes_pairs {
            pairs.push(word);
        } else {
            return Err(Failure::usage(format!("`{word}`: write KIND/NAME, or KIND and then names")));
        }
    }
    if names.is_empty()
        && let Some(kind) = kind
    {
        names.push(Named { kind: Some(kind), name: None });
    }
    if names.is_empty() && !info.on.alone() && info.on != On::Etcd {
        let wanted = match own(info) {
            Some(kind @ (Kind::Node | Kind::Silence)) => format!("a {}", kind.name().to_lowercase()),
            _ => info.on.words(),
        };
        return Err(Failure::usage(format!("{} needs {wanted}", info.cli.join(" "))).hint(format!("qd {}", info.example)));
    }
    Ok((names, pairs))
}

fn is_kind(word: &str) -> bool {
    Kind::parse(word).is_some()
}

/// The objects, in every cluster that is open.
pub async fn resolve(fleet: &Fleet, global: &Global, info: &VerbInfo, names: &[Named]) -> Result<Vec<Target>, Failure> {
    let selector = global.selector.as_deref().map(Selector::parse).transpose().map_err(Failure::usage)?;
    if global.namespace.len() > 1 {
        return Err(Failure::usage("a write is in one namespace"));
    }
    if info.on == On::Nothing {
        // What it touches stands in its arguments; these are the namespaces that objects without one go to.
        let into = |c: &Cluster| Target {
            cluster: c.id,
            resource: Kind::Namespace.into(),
            namespace: String::new(),
            name: namespace(fleet, global, c, &Kind::Pod.into()),
            uid: None,
        };
        return Ok(fleet.store.clusters().iter().map(into).collect());
    }
    if info.on == On::Etcd {
        return fleet.store.clusters().iter().map(|c| members(c, names)).collect::<Result<Vec<_>, _>>().map(|all| all.concat());
    }
    if names.is_empty() && info.on.alone() {
        return Ok(fleet.store.clusters().iter().map(|c| Target::of_cluster(c.id, &c.info.name)).collect());
    }
    let own = own(info).unwrap_or(Kind::Node);
    let mut targets = Vec::new();
    for cluster in fleet.store.clusters() {
        let mut resources = None;
        for named in names {
            let resource = resource(fleet, cluster, (info, own), named, &mut resources).await?;
            let namespace = namespace(fleet, global, cluster, &resource);
            let target = |name: &str, uid: Option<String>| Target {
                cluster: cluster.id,
                resource: resource.clone(),
                namespace: namespace.clone(),
                name: name.to_owned(),
                uid,
            };
            let Some(kind) = resource.known() else {
                match &named.name {
                    Some(name) => targets.push(target(name, None)),
                    None => return Err(Failure::usage(format!("name the {} that is meant", resource.kind))),
                }
                continue;
            };
            if !info.on.takes(kind) {
                return Err(Failure::usage(format!("{} is for {}, not for a {}", info.cli.join(" "), info.on.words(), kind.name())));
            }
            let there = || cluster.objects(kind).filter(|o| *o.meta().namespace == *namespace);
            match (&named.name, &selector) {
                (Some(name), _) => match there().find(|o| *o.meta().name == **name) {
                    Some(o) => targets.push(target(name, Some(o.meta().uid.to_string()))),
                    None if cluster.current(kind) => return Err(missing(cluster, kind, &namespace, name)),
                    // The kind may not be listed and the object be there all the same.
                    None => targets.push(target(name, None)),
                },
                (None, Some(selector)) => {
                    let chosen = there().filter(|o| selector.matches(&o.meta().labels));
                    targets.extend(chosen.map(|o| target(&o.meta().name, Some(o.meta().uid.to_string()))));
                }
                (None, None) => return Err(Failure::usage(format!("name the {} that is meant, or choose with --selector", kind.name()))),
            }
        }
    }
    if targets.is_empty() && info.on != On::Nothing {
        return Err(Failure::failed("not-found", "no object has these labels"));
    }
    Ok(targets)
}

/// The members of a cluster's etcd that were named; all of them where none was.
fn members(cluster: &Cluster, names: &[Named]) -> Result<Vec<Target>, Failure> {
    let all = || cluster.objects(Kind::EtcdMember).map(|o| (o.meta(), Target::from(&o.reference(cluster.id))));
    if all().next().is_none() {
        let slot = cluster.service(Service::Etcd);
        let why = slot.state.reason().map_or_else(|| slot.state.word().to_owned(), ToString::to_string);
        let failure = Failure::failed("unreachable", format!("{}: etcd is not reached: {why}", cluster.info.name));
        return Err(failure.hint("qd doctor says what to configure"));
    }
    if names.is_empty() {
        return Ok(all().map(|(_, target)| target).collect());
    }
    let named = names.iter().filter_map(|n| n.name.as_deref());
    let found = named.map(|name| {
        let target = all().find(|(meta, _)| *meta.name == *name).map(|(_, target)| target);
        target.ok_or_else(|| missing(cluster, Kind::EtcdMember, "", name))
    });
    found.collect()
}

fn missing(cluster: &Cluster, kind: Kind, namespace: &str, name: &str) -> Failure {
    let place = if namespace.is_empty() { String::new() } else { format!(" in {namespace}") };
    let failure =
        Failure { code: Code::Failed, ..Failure::failed("not-found", format!("{}: no {} {name}{place}", cluster.info.name, kind.name())) };
    if let Some(elsewhere) = cluster.objects(kind).find(|o| *o.meta().name == *name) {
        return failure.hint(format!("there is one in the namespace {}: -n {}", elsewhere.meta().namespace, elsewhere.meta().namespace));
    }
    let near = cluster.objects(kind).filter(|o| *o.meta().namespace == *namespace).map(|o| &*o.meta().name);
    match crate::diag::nearest(name, near) {
        Some(near) => failure.hint(format!("did you mean {near}?")),
        None => failure,
    }
}

async fn resource(
    fleet: &Fleet,
    cluster: &Cluster,
    (info, own): (&VerbInfo, Kind),
    named: &Named,
    known: &mut Option<Resources>,
) -> Result<Resource, Failure> {
    let Some(word) = &named.kind else { return Ok(own.into()) };
    if let Some(kind) = Kind::parse(word).filter(|k| k.watched() || info.on.takes(*k)) {
        return Ok(kind.into());
    }
    if known.is_none() {
        let client = fleet.reader(cluster.id).and_then(|r| r.client()).ok_or_else(|| Failure::failed("unreachable", "not connected"))?;
        *known = Some(Resources::ask(&client).await.map_err(|e| Failure::failed("discovery", e.reason()))?);
    }
    let found = known.as_ref().and_then(|r| r.find(word).cloned());
    found.ok_or_else(|| {
        let mut names: Vec<&str> = Kind::names().collect();
        names.extend(known.iter().flat_map(|r| r.names()));
        Failure::usage(format!("{}: {}", cluster.info.name, crate::diag::unknown("kind", word, names)))
    })
}

/// The namespace that was named, else the context's own, else `default`, as kubectl has it. Velero's objects are where Velero is.
fn namespace(fleet: &Fleet, global: &Global, cluster: &Cluster, resource: &Resource) -> String {
    if !resource.namespaced {
        return String::new();
    }
    let velero = |ns: &String| cluster.objects(Kind::StorageLocation).any(|o| *o.meta().namespace == **ns);
    if resource.group == Kind::Backup.info().group
        && !global.namespace.first().is_some_and(velero)
        && let Some(home) = cluster.velero()
    {
        return home.to_string();
    }
    let own = || fleet.target(cluster.id).and_then(|t| t.namespace.clone());
    global.namespace.first().cloned().or_else(own).unwrap_or_else(|| "default".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::VerbId;

    fn words(verb: VerbId, line: &str) -> Result<(Vec<String>, Vec<String>), String> {
        let (names, pairs) = split(verb.info(), line.split(' ').map(str::to_owned).collect()).map_err(|f| f.message)?;
        let text = |n: &Named| format!("{}/{}", n.kind.as_deref().unwrap_or("-"), n.name.as_deref().unwrap_or("*"));
        Ok((names.iter().map(text).collect(), pairs))
    }
    fn fine(verb: VerbId, line: &str, names: &[&str], pairs: &[&str]) {
        let owned = |all: &[&str]| all.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        assert_eq!(words(verb, line), Ok((owned(names), owned(pairs))), "{line}");
    }

    #[test]
    fn objects_are_written_as_kubectl_has_them() {
        fine(VerbId::Scale, "deployment/a deploy/b", &["deployment/a", "deploy/b"], &[]);
        fine(VerbId::Scale, "deployment a b", &["deployment/a", "deployment/b"], &[]);
        fine(VerbId::Drain, "n1 n2", &["-/n1", "-/n2"], &[]);
        fine(VerbId::Drain, "node n1", &["-/n1"], &[]);
        fine(VerbId::Restart, "deployments", &["deployments/*"], &[]);
        assert!(words(VerbId::Scale, "deployment/a stray").is_err());
        assert_eq!(split(VerbId::Drain.info(), vec![]).unwrap_err().message, "drain needs a node");
    }

    #[test]
    fn of_veleros_kinds_the_name_is_enough() {
        fine(VerbId::BackupDelete, "b1 b2", &["-/b1", "-/b2"], &[]);
        fine(VerbId::BackupDelete, "backup b1", &["-/b1"], &[]);
        fine(VerbId::BackupLogs, "restore/r1", &["restore/r1"], &[]);
        fine(VerbId::SchedulePause, "nightly", &["-/nightly"], &[]);
        fine(VerbId::Backup, "namespaces/pay schedules/nightly", &["namespaces/pay", "schedules/nightly"], &[]);
        assert_eq!(split(VerbId::Backup.info(), vec![]).unwrap().0, [], "all of a cluster");
        assert!(split(VerbId::Restore.info(), vec![]).is_err());
    }

    #[test]
    fn pairs_come_after_the_objects() {
        fine(VerbId::Label, "deployment/a x=y z-", &["deployment/a"], &["x=y", "z-"]);
        fine(VerbId::Label, "deployment a x.io/y=z", &["deployment/a"], &["x.io/y=z"]);
        fine(VerbId::Taint, "n1 key=v:NoSchedule", &["-/n1"], &["key=v:NoSchedule"]);
        fine(VerbId::Taint, "n1 key:NoExecute key2-", &["-/n1"], &["key:NoExecute", "key2-"]);
        fine(VerbId::SetImage, "deployment/a app=registry.internal/x:1", &["deployment/a"], &["app=registry.internal/x:1"]);
        fine(VerbId::SetImage, "deployment/a registry.internal/x:1", &["deployment/a"], &["registry.internal/x:1"]);
    }
}
