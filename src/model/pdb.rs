//! PodDisruptionBudgets.

use super::{Condition, Interner, Meta, Selector, Str, wire};

/// A number or a percentage of the pods.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Amount {
    Count(i32),
    Percent(i32),
}

impl Amount {
    /// From the wire; text that is no percentage counts as zero, as the disruption controller has it.
    pub fn of(value: &wire::IntOrString) -> Self {
        if value.kind == 0 { Self::Count(value.int) } else { Self::Percent(value.text.trim_end_matches('%').parse().unwrap_or(0)) }
    }
}
impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(n) => write!(f, "{n}"),
            Self::Percent(n) => write!(f, "{n}%"),
        }
    }
}

/// A PodDisruptionBudget.
#[derive(Clone, PartialEq, Debug)]
pub struct Pdb {
    pub meta: Meta,
    pub min_available: Option<Amount>,
    pub max_unavailable: Option<Amount>,
    /// None selects nothing.
    pub selector: Option<Selector>,
    /// Disruptions allowed now.
    pub allowed: i32,
    pub healthy: i32,
    pub desired: i32,
    pub expected: i32,
    /// `IfHealthyBudget` or `AlwaysAllow`; none is the former.
    pub unhealthy_policy: Option<Str>,
    pub conditions: Box<[Condition]>,
    /// The generation that the status speaks of.
    pub observed: u32,
}

impl Pdb {
    /// Projects the wire's object.
    pub fn of(o: &wire::PodDisruptionBudget, i: &mut Interner) -> Self {
        let (spec, status) = (o.spec.clone().unwrap_or_default(), o.status.clone().unwrap_or_default());
        Self {
            meta: Meta::of(o.metadata.as_ref(), i),
            min_available: spec.min_available.as_ref().map(Amount::of),
            max_unavailable: spec.max_unavailable.as_ref().map(Amount::of),
            selector: spec.selector.as_ref().map(|s| Selector::of(s, i)),
            allowed: status.disruptions_allowed,
            healthy: status.current_healthy,
            desired: status.desired_healthy,
            expected: status.expected_pods,
            unhealthy_policy: i.opt(&spec.unhealthy_pod_eviction_policy),
            conditions: status
                .conditions
                .iter()
                .map(|c| Condition::of(&c.r#type, &c.status, &c.reason, &c.message, c.last_transition_time, i))
                .collect(),
            observed: u32::try_from(status.observed_generation).unwrap_or(0),
        }
    }
}
