//! Silences.

use super::*;
use crate::model::{Silence, SilenceState};

reader!(silence: Silence);

/// One with less left is about to end, in seconds.
pub(in crate::table) const SOON: i64 = 900;

/// A silence that is about to end brings its alerts back.
fn ends_tone(_: &Ctx<'_>, _: Row<'_>, value: &Value<'_>) -> Tone {
    match value {
        Value::Seconds(left) if *left < SOON => Tone::Warning,
        Value::None => Tone::Dim,
        _ => Tone::Plain,
    }
}

fn hides_tone(_: &Ctx<'_>, row: Row<'_>, value: &Value<'_>) -> Tone {
    match (row.object(), value) {
        (Some(Object::Silence(s)), Value::Int(0)) if s.state == SilenceState::Active => Tone::Info,
        _ => Tone::Plain,
    }
}

fn message(s: &Silence, now: i64) -> Option<&'static str> {
    match s.state {
        SilenceState::Active if s.hides == 0 => Some("hides nothing"),
        SilenceState::Active if s.left(now).is_some_and(|left| left < SOON) => Some("ends soon"),
        _ => None,
    }
}

pub(super) static COLUMNS: &[Column] = &[
    CLUSTER,
    KIND,
    NO_NAMESPACE,
    Column { title: "ID", doc: "The silence's id", ..NAME }.width(8, 36).wide().leave(50),
    col(
        "status",
        "STATE",
        Unit::Text,
        |_, r| silence(r, |s| s.state.word()),
        "active, pending (it has not begun) or expired: `status.state`",
    )
    .width(6, 7)
    .leave(1)
    .tone(row_tone),
    col(
        "matchers",
        "MATCHERS",
        Unit::List,
        |_, r| silence(r, |s| list(s.matchers.iter().map(ToString::to_string))),
        "What it hides, as amtool writes `matchers`: all must match",
    )
    .width(18, 80)
    .leave(0),
    col("hides", "HIDES", Unit::Number, |_, r| silence(r, |s| s.hides), "Alerts that it hides now").leave(2).tone(hides_tone),
    col(
        "ends_in_s",
        "ENDS-IN",
        Unit::Seconds,
        |ctx, r| silence(r, |s| s.left(ctx.now).map(Value::Seconds)),
        "Until it ends: `endsAt` less now; none unless it is active",
    )
    .leave(3)
    .tone(ends_tone),
    col("created_by", "BY", Unit::Text, |_, r| silence(r, |s| &s.creator), "`createdBy`").width(4, 24).leave(6),
    col("comment", "COMMENT", Unit::Text, |_, r| silence(r, |s| &s.comment), "`comment`").width(8, 80).leave(5),
    col("starts_age_s", "AGE", Unit::Seconds, |_, r| silence(r, |s| s.starts.map(Value::Age)), "Since it began: now less `startsAt`")
        .leave(8),
    col("starts_at", "STARTS", Unit::Moment, |_, r| silence(r, |s| s.starts.map(Value::Moment)), "`startsAt`").wide().leave(51),
    col("ends_at", "ENDS", Unit::Moment, |_, r| silence(r, |s| s.ends.map(Value::Moment)), "`endsAt`").wide().leave(52),
    col("updated_age_s", "UPDATED", Unit::Seconds, |_, r| silence(r, |s| s.updated.map(Value::Age)), "Since it was changed: `updatedAt`")
        .hidden(),
    col(
        "message",
        "WHY",
        Unit::Text,
        |ctx, r| silence(r, |s| message(s, ctx.now)),
        "What is odd about it: it hides nothing, or is about to end",
    )
    .width(8, 17)
    .leave(4)
    .tone(row_tone),
    col("annotations", "ANNOTATIONS", Unit::Json, |_, r| silence(r, |s| labels(&s.annotations)), "`annotations`").hidden(),
];
