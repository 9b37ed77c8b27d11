//! One mistake in a person's text: what is wrong, in which file, where, and what may have been meant.
//!
//! Every room that reads names (settings, keys, themes, filters) reports through [`Diag`]. This room only holds and
//! words the report, and finds texts that are named and inherit ([`Library`]); what is fatal is left to the callers.

mod layer;

use std::fmt;
use std::path::{Path, PathBuf};

pub use layer::{Layer, Library};

/// Whether a [`Diag`] makes the text invalid or only doubtful.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Valid, but probably not what was meant.
    Warning,
    /// Not valid: what it says is not used.
    Error,
}

/// A mistake, where it is, and a hint. Displays as `file:line:column: message`, then `  hint: ...` on its own line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diag {
    pub severity: Severity,
    /// One sentence without a full stop.
    pub message: String,
    pub file: Option<PathBuf>,
    /// 1-based; 0 when no place is known.
    pub line: u32,
    /// 1-based, in characters; 0 when no place is known.
    pub column: u32,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Diag {
    /// An error without a place.
    pub fn error(message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, message: message.into(), file: None, line: 0, column: 0, hint: None }
    }

    /// A warning without a place.
    pub fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    /// Names the file.
    pub fn in_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// Places it at the byte `offset` of `text`.
    pub fn at(mut self, text: &str, offset: usize) -> Self {
        (self.line, self.column) = line_col(text, offset);
        self
    }

    /// Says what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether this is an error rather than a warning.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = self.file.as_deref().map(Path::display) {
            write!(f, "{file}:")?;
        }
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        if self.file.is_some() || self.line > 0 {
            f.write_str(" ")?;
        }
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Diag {}

/// Line and column, both 1-based and the column in characters, of the byte `offset`. An offset past the end is the end.
pub fn line_col(text: &str, offset: usize) -> (u32, u32) {
    let before = &text[..text.floor_char_boundary(offset)];
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let lines = before.bytes().filter(|b| *b == b'\n').count();
    (count(lines + 1), count(before[start..].chars().count() + 1))
}

/// The candidate that was probably meant by `name`: the one with the fewest edits, if a third of the name or less is
/// edited (one edit always counts for names of two or more characters), else the only one that `name` begins.
/// Upper and lower case, `-` and `_` are taken for the same. Among equals the first.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let fold = |s: &str| s.to_lowercase().replace('-', "_");
    let wanted = fold(name);
    let length = wanted.chars().count();
    let limit = if length < 2 { 0 } else { length.div_ceil(3) };
    let (mut best, mut begun, mut ambiguous) = (None, None, false);
    for candidate in candidates {
        let folded = fold(candidate);
        let edits = strsim::damerau_levenshtein(&wanted, &folded);
        // A name of which no letter is kept is no misspelling, however short.
        if edits <= limit && edits < folded.chars().count() && best.is_none_or(|(least, _)| edits < least) {
            best = Some((edits, candidate));
        }
        if length > 0 && folded.starts_with(&wanted) {
            ambiguous |= begun.is_some();
            begun = Some(candidate);
        }
    }
    best.map(|(_, candidate)| candidate).or(begun.filter(|_| !ambiguous))
}

/// "unknown WHAT `name`", with "; did you mean `x`?" when a candidate is near.
pub fn unknown<'a>(what: &str, name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(name, candidates) {
        Some(near) => format!("unknown {what} `{name}`; did you mean `{near}`?"),
        None => format!("unknown {what} `{name}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displays_place_message_and_hint() {
        let text = "a = 1\nß = zz\n";
        let diag = Diag::error("bad value").in_file("c.toml").at(text, text.find("zz").unwrap());
        assert_eq!(diag.to_string(), "c.toml:2:5: bad value");
        assert_eq!(diag.hint("use 2").to_string(), "c.toml:2:5: bad value\n  hint: use 2");
        assert_eq!(Diag::warning("odd").to_string(), "warning: odd");
        assert_eq!(Diag::warning("odd").in_file("c.toml").to_string(), "c.toml: warning: odd");
        assert!(Diag::error("x").is_error() && !Diag::warning("x").is_error());
    }

    #[test]
    fn line_and_column_are_one_based_and_safe() {
        assert_eq!(line_col("", 0), (1, 1));
        assert_eq!(line_col("ab\ncd", 2), (1, 3));
        assert_eq!(line_col("ab\ncd", 3), (2, 1));
        assert_eq!(line_col("ab\ncd", 99), (2, 3));
        assert_eq!(line_col("日本", 1), (1, 1), "inside a character");
        assert_eq!(line_col("日本", 3), (1, 2));
    }

    #[test]
    fn nearest_is_helpful_and_silent_when_nothing_is_near() {
        let names = ["namespaces", "name", "read_only", "tier", "budget"];
        assert_eq!(nearest("namespace", names), Some("namespaces"));
        assert_eq!(nearest("read-only", names), Some("read_only"));
        assert_eq!(nearest("teir", names), Some("tier"));
        assert_eq!(nearest("READONLY", names), Some("read_only"));
        assert_eq!(nearest("bud", names), Some("budget"), "a beginning");
        assert_eq!(nearest("na", names), None, "two begin so and neither is near");
        assert_eq!(nearest("kubernetes", names), None);
        assert_eq!(nearest("", names), None);
        assert_eq!(nearest("x", ["y"]), None);
    }

    #[test]
    fn unknown_names_the_nearest() {
        assert_eq!(unknown("key", "teir", ["tier"]), "unknown key `teir`; did you mean `tier`?");
        assert_eq!(unknown("key", "zzz", ["tier"]), "unknown key `zzz`");
    }
}
