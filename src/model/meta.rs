//! What every object has: identity, labels, owner, times, conditions.

use super::{Interner, Str, Time, time, wire};
use std::sync::Arc;

/// An object's uid.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uid(pub u128);

impl Uid {
    /// Reads the usual form; anything else (mirror pods have 32 hex digits, tests short names) is hashed.
    pub fn parse(text: &str) -> Self {
        let hex: String = text.chars().filter(|c| *c != '-').collect();
        if hex.len() == 32
            && let Ok(value) = u128::from_str_radix(&hex, 16)
        {
            return Self(value);
        }
        let fold = |seed: u64| text.bytes().fold(seed, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        Self(u128::from(fold(0xcbf2_9ce4_8422_2325)) << 64 | u128::from(fold(0x9e37_79b9_7f4a_7c15)))
    }
}

impl std::fmt::Display for Uid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let v = self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            v >> 96,
            (v >> 80) & 0xffff,
            (v >> 64) & 0xffff,
            (v >> 48) & 0xffff,
            v & 0xffff_ffff_ffff
        )
    }
}
impl std::fmt::Debug for Uid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// A label set, shared, sorted by key.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Labels(Arc<[(Str, Str)]>);

impl From<Vec<(Str, Str)>> for Labels {
    fn from(set: Vec<(Str, Str)>) -> Self {
        Self(set.into())
    }
}
impl Default for Labels {
    fn default() -> Self {
        Self(Arc::new([]))
    }
}
impl Labels {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| &**k == key).map(|(_, v)| &**v)
    }
    /// All pairs, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (&**k, &**v))
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub(super) fn shared(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

/// The controller that owns an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Owner {
    pub kind: Str,
    pub name: Str,
    pub uid: Uid,
}

/// The annotation in which an object says which rules' findings may be, why and until when.
pub const IGNORE: &str = "quarterdeck.io/ignore";

/// What every object has. Equality leaves the resourceVersion out: an update that changes no projected field is no change.
#[derive(Clone, Debug)]
pub struct Meta {
    pub uid: Uid,
    pub name: Str,
    /// Empty for cluster-wide kinds.
    pub namespace: Str,
    pub created: Option<Time>,
    /// When deletion was asked for; the grace period is already in it.
    pub deleting: Option<Time>,
    pub labels: Labels,
    pub owner: Option<Box<Owner>>,
    pub finalizers: Box<[Str]>,
    /// resourceVersion.
    pub version: u64,
    pub generation: u32,
    /// `quarterdeck.io/ignore`: what may be as it is.
    pub ignore: Option<Box<str>>,
}

impl PartialEq for Meta {
    fn eq(&self, other: &Self) -> bool {
        self.uid == other.uid
            && self.name == other.name
            && self.namespace == other.namespace
            && self.created == other.created
            && self.deleting == other.deleting
            && self.labels == other.labels
            && self.owner == other.owner
            && self.finalizers == other.finalizers
            && self.generation == other.generation
            && self.ignore == other.ignore
    }
}

impl Meta {
    /// Of a row that no API server keeps: without version, owner and finalizers.
    pub fn bare(uid: Uid, name: Str, namespace: Str, labels: Labels, created: Option<Time>) -> Self {
        let (deleting, owner, finalizers) = (None, None, Box::default());
        Self { uid, name, namespace, created, deleting, labels, owner, finalizers, version: 0, generation: 0, ignore: None }
    }

    /// Projects the wire's metadata.
    pub fn of(meta: Option<&wire::ObjectMeta>, interner: &mut Interner) -> Self {
        let none = wire::ObjectMeta::default();
        let meta = meta.unwrap_or(&none);
        let owner = meta.owner_references.iter().find(|o| o.controller).or(meta.owner_references.first());
        Self {
            uid: Uid::parse(&meta.uid),
            name: Str::from(&*meta.name),
            namespace: interner.str(&meta.namespace),
            created: time::of(meta.creation_timestamp),
            deleting: time::of(meta.deletion_timestamp),
            labels: interner.labels(&meta.labels),
            owner: owner.map(|o| Box::new(Owner { kind: interner.str(&o.kind), name: interner.str(&o.name), uid: Uid::parse(&o.uid) })),
            finalizers: meta.finalizers.iter().map(|f| interner.str(f)).collect(),
            version: meta.resource_version.parse().unwrap_or(0),
            generation: u32::try_from(meta.generation).unwrap_or(0),
            ignore: meta.annotations.iter().find(|p| p.key == IGNORE).map(|p| p.value.as_str().into()),
        }
    }
}

/// A condition's status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tri {
    True,
    False,
    Unknown,
}

impl Tri {
    /// Anything but `True` and `False` is unknown.
    pub fn parse(text: &str) -> Self {
        match text {
            "True" => Self::True,
            "False" => Self::False,
            _ => Self::Unknown,
        }
    }
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// One status condition.
#[derive(Clone, PartialEq, Debug)]
pub struct Condition {
    pub kind: Str,
    pub status: Tri,
    pub reason: Option<Str>,
    pub message: Option<Str>,
    /// Last transition.
    pub since: Option<Time>,
}

impl Condition {
    /// From the fields that every wire condition has.
    pub fn of(kind: &str, status: &str, reason: &str, message: &str, since: Option<wire::Time>, interner: &mut Interner) -> Self {
        Self {
            kind: interner.str(kind),
            status: Tri::parse(status),
            reason: interner.opt(reason),
            message: interner.opt(message),
            since: time::of(since),
        }
    }
}

/// The condition of that type.
pub fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| &*c.kind == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uid_round_trip_and_odd_ones() {
        let text = "0d3f2a10-6a8f-4ad1-9d0f-8b2f6f7a9c11";
        assert_eq!(Uid::parse(text).to_string(), text);
        assert_ne!(Uid::parse("a"), Uid::parse("b"));
    }
}
