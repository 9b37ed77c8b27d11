//! What a column is. The columns themselves are in `columns/`, one file a kind.

use super::{Ctx, Row, Value};

/// Where a cell's text stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Align {
    Left,
    Right,
}

/// Where a column is seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Show {
    Always,
    /// In wide panes and with `-o wide`.
    Wide,
    /// In JSON and in the column chooser only.
    Hidden,
}

/// How a cell looks: a role, not a colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tone {
    Plain,
    Dim,
    Ok,
    Info,
    Warning,
    Critical,
    Stale,
}

impl Tone {
    /// 0 is fine, 3 the worst.
    pub fn rank(self) -> u8 {
        match self {
            Self::Critical => 3,
            Self::Warning => 2,
            Self::Info => 1,
            Self::Plain | Self::Dim | Self::Ok | Self::Stale => 0,
        }
    }
    /// Warning or worse: what "faults only" keeps.
    pub fn fault(self) -> bool {
        self.rank() >= 2
    }
}

/// What a column's values are: how a filter reads what is compared with them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    Text,
    /// `Kind/name`; a filter may give the name alone.
    Reference,
    Bool,
    Number,
    Ratio,
    Millicores,
    Bytes,
    Percent,
    Seconds,
    Millis,
    Moment,
    List,
    Trend,
    Json,
}

impl Unit {
    /// Whether `>` and `<` make sense.
    pub fn ordered(self) -> bool {
        matches!(self, Self::Number | Self::Ratio | Self::Millicores | Self::Bytes | Self::Percent | Self::Seconds | Self::Millis)
    }
}

impl Unit {
    /// Whether equal sort keys mean equal values.
    pub(super) fn exact_key(self) -> bool {
        matches!(
            self,
            Self::Bool | Self::Number | Self::Millicores | Self::Bytes | Self::Percent | Self::Seconds | Self::Millis | Self::Moment
        )
    }
}

/// How a cell's value is had.
pub type Get = for<'a> fn(&Ctx<'a>, Row<'a>) -> Value<'a>;
/// How bad a cell is.
pub type Severity = fn(&Ctx<'_>, Row<'_>, &Value<'_>) -> Tone;

/// A column of a subject.
#[derive(Clone, Copy)]
pub struct Column {
    /// The JSON field, with the unit in the name.
    pub id: &'static str,
    pub title: &'static str,
    /// What it says and what of the API object it is made from.
    pub doc: &'static str,
    pub unit: Unit,
    pub align: Align,
    /// Widths in cells.
    pub min: u16,
    pub max: u16,
    pub show: Show,
    /// The highest leaves first when the terminal is narrow; 0 stays.
    pub leave: u8,
    pub severity: Option<Severity>,
    pub get: Get,
}

/// A column that is always shown, with its unit's usual alignment and widths.
pub(super) const fn col(id: &'static str, title: &'static str, unit: Unit, get: Get, doc: &'static str) -> Column {
    let (align, min, max) = match unit {
        Unit::Text | Unit::Reference => (Align::Left, 6, 40),
        Unit::List | Unit::Json => (Align::Left, 6, 60),
        Unit::Moment => (Align::Left, 20, 20),
        Unit::Bool => (Align::Left, 3, 6),
        Unit::Trend => (Align::Left, 5, 15),
        Unit::Number | Unit::Ratio | Unit::Percent => (Align::Right, 3, 9),
        Unit::Millicores | Unit::Bytes | Unit::Seconds | Unit::Millis => (Align::Right, 4, 8),
    };
    Column { id, title, doc, unit, align, min, max, show: Show::Always, leave: 20, severity: None, get }
}

impl Column {
    pub(super) const fn wide(mut self) -> Self {
        self.show = Show::Wide;
        self
    }
    pub(super) const fn hidden(mut self) -> Self {
        self.show = Show::Hidden;
        self
    }
    pub(super) const fn width(mut self, min: u16, max: u16) -> Self {
        (self.min, self.max) = (min, max);
        self
    }
    pub(super) const fn leave(mut self, n: u8) -> Self {
        self.leave = n;
        self
    }
    pub(super) const fn tone(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }
    /// The cell of a row.
    pub fn value<'a>(&self, ctx: &Ctx<'a>, row: Row<'a>) -> Value<'a> {
        (self.get)(ctx, row)
    }
    /// How bad the cell is; plain where the column has no opinion.
    pub fn tone_of(&self, ctx: &Ctx<'_>, row: Row<'_>, value: &Value<'_>) -> Tone {
        self.severity.map_or(Tone::Plain, |f| f(ctx, row, value))
    }
}
