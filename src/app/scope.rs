//! Which clusters and namespaces every table is limited to.

use crate::config::Glob;
use crate::model::{ClusterId, Kind, Str};
use crate::store::Store;
use hashbrown::HashSet;

/// A limit on clusters and namespaces; none is all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scope {
    pub clusters: Option<HashSet<ClusterId>>,
    pub namespaces: Option<HashSet<Str>>,
    /// As typed, for the first line.
    text: Vec<String>,
}

impl Scope {
    /// No limit.
    pub fn is_all(&self) -> bool {
        self.clusters.is_none() && self.namespaces.is_none()
    }

    /// Only clusters whose name, context or group matches.
    ///
    /// # Errors
    /// When none does, in words with the nearest name.
    pub fn cluster(store: &Store, name: &str) -> Result<Self, String> {
        let glob = Glob::new(name)?;
        let clusters: HashSet<ClusterId> = store
            .clusters()
            .iter()
            .filter(|c| {
                glob.matches(&c.info.name)
                    || c.info.contexts.iter().any(|x| glob.matches(x))
                    || c.info.group.as_deref().is_some_and(|g| glob.matches(g))
            })
            .map(|c| c.id)
            .collect();
        if clusters.is_empty() {
            return Err(crate::diag::unknown("cluster", name, store.clusters().iter().map(|c| &*c.info.name)));
        }
        Ok(Self { clusters: Some(clusters), namespaces: None, text: vec![name.to_owned()] })
    }

    /// The same clusters, and only namespaces that match.
    ///
    /// # Errors
    /// When none does, in words with the nearest name.
    pub fn with_namespace(&self, store: &Store, name: &str) -> Result<Self, String> {
        let glob = Glob::new(name)?;
        let known = || store.clusters().iter().flat_map(|c| c.objects(Kind::Namespace)).map(|o| &o.meta().name);
        let mut namespaces: HashSet<Str> = known().filter(|n| glob.matches(n)).cloned().collect();
        if namespaces.is_empty() {
            // Namespaces may not be listed, and yet be right.
            let listable = store.clusters().iter().all(|c| c.current(Kind::Namespace));
            if listable || !glob.is_literal() {
                return Err(crate::diag::unknown("namespace", name, known().map(|n| &**n)));
            }
            namespaces.insert(name.into());
        }
        let mut text: Vec<String> = self.text.iter().filter(|t| !t.starts_with("ns ")).cloned().collect();
        text.push(format!("ns {name}"));
        Ok(Self { clusters: self.clusters.clone(), namespaces: Some(namespaces), text })
    }

    /// In words.
    pub fn describe(&self) -> String {
        if self.is_all() { "all clusters and namespaces".to_owned() } else { self.text.join(", ") }
    }
}
