//! What is to be watched of a cluster, and how each kind stands: wishes, discovery and permissions put together.

use super::watcher::{Scope, What};
use crate::model::{Kind, KindState, Str};
use std::collections::{BTreeMap, HashMap, HashSet};

/// These need no discovery and are what people look at first.
const FIRST: [Kind; 2] = [Kind::Node, Kind::Pod];

/// As many objects as pods, and nobody opens on them: asked for when the first kinds are there, or a server with few
/// cores answers these before the pods.
const LAST: [Kind; 3] = [Kind::ReplicaSet, Kind::Event, Kind::EndpointSlice];

/// The kinds of one cluster.
pub(super) struct Kinds {
    kinds: Vec<Kind>,
    namespaces: Option<Vec<Str>>,
    /// Tried where all namespaces are forbidden and none are configured.
    fallback: Option<Str>,
    /// The namespace of Velero's objects.
    velero: Option<Str>,
    narrowed: HashSet<Kind>,
    /// What discovery knows to be absent; none before it is through.
    absent: Option<HashSet<Kind>>,
    scopes: HashMap<Scope, Standing>,
    told: BTreeMap<Kind, KindState>,
}

#[derive(Default)]
struct Standing {
    state: KindState,
    /// The first list is through, or there will be none.
    settled: bool,
    /// Broken connections in a row.
    broken: u32,
}

impl Kinds {
    pub fn new(kinds: &[Kind], namespaces: Option<&[String]>, fallback: Option<&str>) -> Self {
        let namespaces = namespaces.map(|list| list.iter().map(|n| Str::from(&**n)).collect());
        let mut new = Self {
            kinds: Vec::new(),
            namespaces,
            fallback: fallback.filter(|n| !n.is_empty()).map(Str::from),
            velero: None,
            narrowed: HashSet::new(),
            absent: None,
            scopes: HashMap::new(),
            told: BTreeMap::new(),
        };
        new.set(kinds);
        new
    }

    /// Where Velero's objects are when they are not looked for everywhere.
    pub fn velero(mut self, namespace: &str) -> Self {
        self.velero = Some(namespace.into());
        self
    }

    /// The wish.
    pub fn set(&mut self, kinds: &[Kind]) {
        self.kinds = FIRST.into_iter().filter(|k| kinds.contains(k)).collect();
        for kind in kinds {
            if !self.kinds.contains(kind) {
                self.kinds.push(*kind);
            }
        }
        self.scopes.retain(|scope, _| self.kinds.contains(&scope.kind));
    }

    /// What was heard of kinds was nothing: all are listed again.
    pub fn forget(&mut self) {
        self.scopes.clear();
        self.absent = None;
    }

    /// Permissions may have changed: all namespaces are tried again.
    pub fn widen(&mut self) {
        for kind in self.narrowed.drain() {
            self.scopes.retain(|scope, _| scope.kind != kind);
        }
    }

    /// Discovery is through.
    pub fn discovered(&mut self, has: impl Fn(Kind) -> bool) {
        self.absent = Some(Kind::WATCHED.into_iter().filter(|k| !has(*k)).collect());
    }

    /// What to watch now, the most wanted first.
    pub fn wanted(&self) -> Vec<Scope> {
        let kinds = self.kinds.iter().filter(|k| match &self.absent {
            Some(absent) => !absent.contains(k),
            None => FIRST.contains(k),
        });
        let open = self.first_are_there();
        kinds.filter(|k| open || !LAST.contains(k)).flat_map(|k| self.scopes(*k)).collect()
    }

    /// The first lists of the first kinds are through, or there will be none.
    fn first_are_there(&self) -> bool {
        FIRST.iter().filter(|k| self.kinds.contains(k)).all(|k| self.is_settled(*k))
    }

    fn is_settled(&self, kind: Kind) -> bool {
        self.is_absent(kind) || self.scopes(kind).iter().all(|s| self.scopes.get(s).is_some_and(|s| s.settled))
    }

    fn scopes(&self, kind: Kind) -> Vec<Scope> {
        let one = |namespace| Scope { kind, namespace };
        match (&self.namespaces, self.narrow(kind)) {
            _ if !kind.info().namespaced => vec![one(None)],
            (Some(_), Some(own)) if Kind::VELERO.contains(&kind) => vec![one(Some(own.clone()))],
            (Some(list), _) => list.iter().map(|n| one(Some(n.clone()))).collect(),
            (None, Some(own)) if self.narrowed.contains(&kind) => vec![one(Some(own.clone()))],
            _ => vec![one(None)],
        }
    }

    /// The one namespace to look at where all are forbidden.
    fn narrow(&self, kind: Kind) -> Option<&Str> {
        if Kind::VELERO.contains(&kind) { self.velero.as_ref() } else { self.fallback.as_ref() }
    }

    /// A watcher's note; says whether something else is to be watched now.
    pub fn note(&mut self, scope: Scope, what: What) -> bool {
        let kind = scope.kind;
        if matches!(what, What::Forbidden)
            && scope.namespace.is_none()
            && kind.info().namespaced
            && self.narrow(kind).is_some()
            && self.narrowed.insert(kind)
        {
            self.scopes.remove(&scope);
            return true;
        }
        let standing = self.scopes.entry(scope.clone()).or_default();
        standing.broken = if matches!(what, What::Broken(_)) { standing.broken + 1 } else { 0 };
        let state = match what {
            What::Listing => KindState::Listing,
            What::Live => KindState::Live,
            What::Missing => KindState::Missing,
            What::Forbidden => {
                let place = scope.namespace.map(|n| format!(" in {n}")).unwrap_or_default();
                KindState::Forbidden { missing: format!("list {}{place}", kind.plural()).into() }
            }
            What::Failing(error) => KindState::Failing { reason: error.reason().into() },
            // The cluster's state says it; unless it is this kind alone, again and again.
            What::Broken(error) if standing.broken >= 3 => KindState::Failing { reason: error.reason().into() },
            What::Broken(_) | What::Auth(_) => return false,
        };
        let settles = !standing.settled && state != KindState::Listing;
        standing.settled |= settles;
        standing.state = state;
        settles && FIRST.contains(&kind) && self.first_are_there()
    }

    /// Kinds whose first list is through, of all.
    pub fn progress(&self) -> (u16, u16) {
        let settled = |kind: &&Kind| self.is_settled(**kind);
        let count = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        (count(self.kinds.iter().filter(settled).count()), count(self.kinds.len()))
    }

    /// The kinds whose state is another one than was told, and from now on has been told.
    pub fn changes(&mut self) -> Vec<(Kind, KindState)> {
        let changed: Vec<_> = Kind::WATCHED
            .into_iter()
            .map(|kind| (kind, self.state(kind)))
            .filter(|(kind, state)| self.told.get(kind).unwrap_or(&KindState::Waiting) != state)
            .collect();
        self.told.extend(changed.iter().cloned());
        changed
    }

    fn is_absent(&self, kind: Kind) -> bool {
        self.absent.as_ref().is_some_and(|absent| absent.contains(&kind))
    }

    /// One state for a kind that may be watched in several namespaces.
    fn state(&self, kind: Kind) -> KindState {
        if !self.kinds.contains(&kind) {
            return KindState::Waiting;
        }
        if self.is_absent(kind) {
            return KindState::Missing;
        }
        let states: Vec<_> =
            self.scopes(kind).iter().map(|s| self.scopes.get(s).map_or(&KindState::Waiting, |s| &s.state)).cloned().collect();
        // What is most in need of being known goes first; some permission is enough to show what there is.
        let rank = |state: &KindState| match state {
            KindState::Failing { .. } => 0,
            KindState::Listing => 1,
            KindState::Waiting => 2,
            KindState::Live => 3,
            KindState::Forbidden { .. } => 4,
            KindState::Missing => 5,
        };
        states.into_iter().min_by_key(rank).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ClientError;

    fn scope(kind: Kind, namespace: Option<&str>) -> Scope {
        Scope { kind, namespace: namespace.map(Str::from) }
    }

    #[test]
    fn the_first_two_do_not_wait_for_discovery() {
        let mut kinds = Kinds::new(&[Kind::Hpa, Kind::Pod, Kind::Node], None, None);
        assert_eq!(kinds.wanted(), [scope(Kind::Node, None), scope(Kind::Pod, None)]);
        kinds.discovered(|k| k != Kind::Hpa);
        assert_eq!(kinds.wanted().len(), 2);
        assert_eq!(kinds.changes(), [(Kind::Hpa, KindState::Missing)]);
        assert_eq!(kinds.progress(), (1, 3));
        kinds.note(scope(Kind::Pod, None), What::Live);
        assert_eq!((kinds.progress(), kinds.changes()), ((2, 3), vec![(Kind::Pod, KindState::Live)]));
        assert_eq!(kinds.changes(), [], "told once");
    }

    #[test]
    fn events_wait_for_the_first_lists_of_pods_and_nodes() {
        let mut kinds = Kinds::new(&[Kind::Event, Kind::Pod, Kind::Node, Kind::Hpa], None, None);
        kinds.discovered(|_| true);
        assert_eq!(kinds.wanted().iter().map(|s| s.kind).collect::<Vec<_>>(), [Kind::Node, Kind::Pod, Kind::Hpa]);
        assert!(!kinds.note(scope(Kind::Pod, None), What::Live));
        assert!(kinds.note(scope(Kind::Node, None), What::Forbidden), "it will not come: the rest is asked for");
        assert!(kinds.wanted().contains(&scope(Kind::Event, None)));
    }

    #[test]
    fn forbidden_everywhere_tries_the_contexts_namespace_and_names_the_permission() {
        let mut kinds = Kinds::new(&[Kind::Pod, Kind::Node], None, Some("pay"));
        assert!(kinds.note(scope(Kind::Pod, None), What::Forbidden));
        assert!(!kinds.note(scope(Kind::Node, None), What::Forbidden), "a cluster-wide kind has no namespace to try");
        assert_eq!(kinds.wanted(), [scope(Kind::Node, None), scope(Kind::Pod, Some("pay"))]);
        kinds.note(scope(Kind::Pod, Some("pay")), What::Forbidden);
        let forbidden = |missing: &str| KindState::Forbidden { missing: missing.into() };
        assert_eq!(kinds.changes(), [(Kind::Node, forbidden("list nodes")), (Kind::Pod, forbidden("list pods in pay"))]);
        assert_eq!(kinds.progress(), (2, 2), "nothing more will come");
        kinds.widen();
        assert_eq!(kinds.wanted()[1], scope(Kind::Pod, None));
    }

    #[test]
    fn veleros_objects_are_looked_for_where_it_is() {
        let mut kinds = Kinds::new(&[Kind::Pod, Kind::Backup], Some(&["pay".into()]), None).velero("backup-system");
        kinds.discovered(|_| true);
        assert_eq!(kinds.wanted(), [scope(Kind::Pod, Some("pay")), scope(Kind::Backup, Some("backup-system"))]);
        let mut kinds = Kinds::new(&[Kind::Backup], None, Some("mine")).velero("velero");
        kinds.discovered(|_| true);
        assert!(kinds.note(scope(Kind::Backup, None), What::Forbidden));
        assert_eq!(kinds.wanted(), [scope(Kind::Backup, Some("velero"))]);
    }

    #[test]
    fn several_namespaces_are_one_state() {
        let mut kinds = Kinds::new(&[Kind::Pod], Some(&["a".into(), "b".into()]), None);
        kinds.note(scope(Kind::Pod, Some("a")), What::Live);
        assert_eq!((kinds.progress(), kinds.changes()), ((0, 1), vec![]));
        kinds.note(scope(Kind::Pod, Some("b")), What::Forbidden);
        assert_eq!((kinds.progress(), kinds.changes()), ((1, 1), vec![(Kind::Pod, KindState::Live)]));
        let broken = || What::Broken(ClientError::Unreachable { reason: "connection reset".into() });
        for _ in 0..2 {
            kinds.note(scope(Kind::Pod, Some("a")), broken());
        }
        assert_eq!(kinds.changes(), []);
        kinds.note(scope(Kind::Pod, Some("a")), broken());
        assert_eq!(kinds.changes(), [(Kind::Pod, KindState::Failing { reason: "connection reset".into() })]);
    }
}
