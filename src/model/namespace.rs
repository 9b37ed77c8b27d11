//! Namespaces.

use super::{Condition, Interner, Meta, Str, wire};

/// A namespace.
#[derive(Clone, PartialEq, Debug)]
pub struct Namespace {
    pub meta: Meta,
    /// `Active` or `Terminating`.
    pub phase: Str,
    /// Why deletion does not end; empty while active.
    pub conditions: Box<[Condition]>,
}

impl Namespace {
    /// Projects the wire's object.
    pub fn of(o: &wire::Namespace, i: &mut Interner) -> Self {
        let none = wire::NamespaceStatus::default();
        let status = o.status.as_ref().unwrap_or(&none);
        Self {
            meta: Meta::of(o.metadata.as_ref(), i),
            phase: i.str(&status.phase),
            conditions: status
                .conditions
                .iter()
                .map(|c| Condition::of(&c.r#type, &c.status, &c.reason, &c.message, c.last_transition_time, i))
                .collect(),
        }
    }
}
