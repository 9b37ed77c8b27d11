//! Events.

use super::*;
use crate::model::Event;

reader!(event: Event);

pub(super) static COLUMNS: &[Column] = &[
    CLUSTER,
    KIND,
    NAMESPACE.leave(25),
    NAME.hidden(),
    col("last_seen_age_s", "LAST", Unit::Seconds, |_, r| event(r, |e| e.last.map(Value::Age)), "Since it was last seen: now less the first there is of `series.lastObservedTime`, `lastTimestamp`, `eventTime`, `metadata.creationTimestamp`").leave(1),
    col("type", "TYPE", Unit::Text, |_, r| event(r, |e| if e.warning { "Warning" } else { "Normal" }), "Warning or Normal: `type`").width(4, 7).leave(40).tone(row_tone),
    col("reason", "REASON", Unit::Text, |_, r| event(r, |e| &e.reason), "`reason`").width(8, 24).leave(2),
    col("object", "OBJECT", Unit::Reference, |_, r| event(r, |e| reference(&e.about.kind, &e.about.name)), "What it is about: `involvedObject` as Kind/name").width(10, 50).leave(3),
    col("count", "COUNT", Unit::Number, |_, r| event(r, |e| e.count), "How often: `series.count`, else `count`, 1 at least").leave(30),
    col("message", "MESSAGE", Unit::Text, |_, r| event(r, |e| &e.message), "`message`").width(20, 120).leave(4),
    col("source", "SOURCE", Unit::Text, |_, r| event(r, |e| &e.source), "Who says so: `source.component`, else `reportingComponent`").width(6, 30).wide().leave(50),
    col("first_seen_age_s", "FIRST", Unit::Seconds, |_, r| event(r, |e| e.first.map(Value::Age)), "Since it was first seen: now less the first there is of `firstTimestamp`, `eventTime`, `metadata.creationTimestamp`").wide().leave(51),
    col("object_kind", "OBJECT-KIND", Unit::Text, |_, r| event(r, |e| &e.about.kind), "`involvedObject.kind`").hidden(),
    col("object_namespace", "OBJECT-NAMESPACE", Unit::Text, |_, r| event(r, |e| &e.about.namespace), "`involvedObject.namespace`").hidden(),
    col("object_name", "OBJECT-NAME", Unit::Text, |_, r| event(r, |e| &e.about.name), "`involvedObject.name`").hidden(),
    AGE.hidden(),
];
