//! Events: what components say about objects.

use super::{Interner, Kind, Meta, Str, Time, Uid, time, wire};

/// An event (core/v1, both the old and the new form).
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    pub meta: Meta,
    /// `Warning`, or anything else (`Normal`).
    pub warning: bool,
    pub reason: Str,
    pub message: Str,
    /// What it is about.
    pub about: About,
    pub source: Str,
    /// How often it was seen, 1 at least.
    pub count: u32,
    pub first: Option<Time>,
    /// Last time it was seen.
    pub last: Option<Time>,
}

/// The object that an event is about.
#[derive(Clone, PartialEq, Debug)]
pub struct About {
    /// As written in the event, `Pod`.
    pub kind: Str,
    pub namespace: Str,
    pub name: Str,
    pub uid: Uid,
}

impl About {
    /// The kind, when it is one that is watched.
    pub fn known_kind(&self) -> Option<Kind> {
        Kind::parse(&self.kind)
    }
}

impl Event {
    /// Projects the wire's object.
    pub fn of(o: &wire::Event, i: &mut Interner) -> Self {
        let meta = Meta::of(o.metadata.as_ref(), i);
        let about = o.involved_object.clone().unwrap_or_default();
        let series = o.series.as_ref();
        let first = time::of(o.first_timestamp).or(time::of(o.event_time)).or(meta.created);
        let last =
            series.and_then(|s| time::of(s.last_observed_time)).or(time::of(o.last_timestamp)).or(time::of(o.event_time)).or(meta.created);
        let count = series.map_or(o.count, |s| s.count);
        let source = o.source.as_ref().map_or("", |s| &s.component);
        Self {
            warning: o.r#type == "Warning",
            reason: i.str(&o.reason),
            message: i.str(o.message.trim_end()),
            about: About {
                kind: i.str(&about.kind),
                namespace: i.str(&about.namespace),
                name: i.str(&about.name),
                uid: Uid::parse(&about.uid),
            },
            source: i.str(if source.is_empty() { &o.reporting_component } else { source }),
            count: u32::try_from(count).unwrap_or(0).max(1),
            first,
            last,
            meta,
        }
    }
}
