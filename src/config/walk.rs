//! Walks a TOML table by hand, so that every mistake is found in one go, each with its place.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::glob::Glob;
use super::settings::{Named, Origin, Setting};
use crate::diag::{self, Diag};
use crate::model::duration::parse_duration;

pub(super) type Value<'i> = Spanned<DeValue<'i>>;
pub(super) type Key<'i> = Spanned<DeString<'i>>;
pub(super) type Entries<'i> = DeTable<'i>;

/// A key that a table may have, with its documentation.
#[derive(Clone, Copy, Debug)]
pub struct KeyDoc {
    pub name: &'static str,
    pub doc: &'static str,
}

/// The file that is walked, and the mistakes so far.
#[derive(Debug)]
pub(super) struct Walk {
    file: Arc<Path>,
    text: Arc<str>,
    home: Option<PathBuf>,
    pub(super) diags: Vec<Diag>,
}

impl Walk {
    pub(super) fn new(file: Arc<Path>, text: Arc<str>) -> Self {
        let home = directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned());
        Self { file, text, home, diags: Vec::new() }
    }

    pub(super) fn origin(&self, span: Range<usize>) -> Origin {
        let (line, column) = diag::line_col(&self.text, span.start);
        Origin::File { file: Arc::clone(&self.file), line, column }
    }

    pub(super) fn wrong(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.push(Diag::error(message), span);
    }

    pub(super) fn push(&mut self, diag: Diag, span: Range<usize>) {
        self.diags.push(diag.in_file(self.file.as_ref()).at(&self.text, span.start));
    }

    /// The first error since there were `mark`, on one line.
    pub(super) fn first_error_since(&self, mark: usize) -> Option<String> {
        let diag = self.diags[mark..].iter().find(|diag| diag.is_error())?;
        Some(Diag { hint: None, ..diag.clone() }.to_string())
    }

    /// Reports the keys that `known` does not have; gives the names that were probably meant, each with its report.
    pub(super) fn check_keys(&mut self, entries: &Entries<'_>, table: &str, known: &'static [KeyDoc]) -> Vec<(&'static str, String)> {
        let names = || known.iter().map(|key| key.name);
        let mut meant = Vec::new();
        for key in entries.keys().filter(|key| !names().any(|name| name == key.get_ref())) {
            let near = diag::nearest(key.get_ref(), names());
            let hint = match near {
                Some(name) if name.ends_with("_file") => "secrets are named by file, never written here".to_owned(),
                _ => format!("{table} has {}", names().collect::<Vec<_>>().join(", ")),
            };
            let mark = self.diags.len();
            self.push(Diag::error(diag::unknown("key", key.get_ref(), names())).hint(hint), key.span());
            meant.extend(near.zip(self.first_error_since(mark)));
        }
        meant
    }

    /// Reads the value of `name`, if it is there, into a setting; a mistake leaves the setting as it was.
    pub(super) fn set<T>(
        &mut self,
        entries: &Entries<'_>,
        name: &str,
        into: &mut Setting<T>,
        read: impl FnOnce(&mut Self, &Value<'_>) -> Option<T>,
    ) {
        if let Some((key, value)) = find(entries, name)
            && let Some(value) = read(self, value)
        {
            *into = Setting { value, origin: self.origin(key.span()) };
        }
    }

    /// As [`Walk::set`], for what may be unset.
    pub(super) fn set_some<T>(
        &mut self,
        entries: &Entries<'_>,
        name: &str,
        into: &mut Setting<Option<T>>,
        read: impl FnOnce(&mut Self, &Value<'_>) -> Option<T>,
    ) {
        self.set(entries, name, into, |walk, value| read(walk, value).map(Some));
    }

    fn expected(&mut self, what: &str, value: &Value<'_>) {
        // Never the value itself: it might be a secret in the wrong place.
        let found = value.get_ref().type_str();
        let article = if found.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
        self.wrong(value.span(), format!("expected {what}, found {article} {found}"));
    }

    pub(super) fn table<'a, 'i>(&mut self, value: &'a Value<'i>) -> Option<&'a Entries<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.expected("a table", value);
        }
        table
    }

    pub(super) fn flag(&mut self, value: &Value<'_>) -> Option<bool> {
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.expected("true or false", value);
        }
        flag
    }

    /// A text that is not empty.
    pub(super) fn string(&mut self, value: &Value<'_>) -> Option<String> {
        match value.get_ref().as_str() {
            Some("") => {
                self.wrong(value.span(), "an empty text says nothing here");
                None
            }
            Some(text) => Some(text.to_owned()),
            None => {
                self.expected("a string", value);
                None
            }
        }
    }

    /// A text with its place.
    pub(super) fn named_string(&mut self, value: &Value<'_>) -> Option<Setting<String>> {
        let value_text = self.string(value)?;
        Some(Setting { value: value_text, origin: self.origin(value.span()) })
    }

    /// A list; members with a mistake are reported and left out.
    pub(super) fn list<T>(&mut self, value: &Value<'_>, mut read: impl FnMut(&mut Self, &Value<'_>) -> Option<T>) -> Option<Vec<T>> {
        let Some(items) = value.get_ref().as_array() else {
            self.expected("an array", value);
            return None;
        };
        Some(items.iter().filter_map(|item| read(self, item)).collect())
    }

    /// As [`Walk::list`], with at least one member.
    pub(super) fn some_list<T>(&mut self, value: &Value<'_>, read: impl FnMut(&mut Self, &Value<'_>) -> Option<T>) -> Option<Vec<T>> {
        if value.get_ref().as_array().is_some_and(|items| items.is_empty()) {
            self.wrong(value.span(), "an empty list says nothing here");
            return None;
        }
        self.list(value, read).filter(|items| !items.is_empty())
    }

    /// A whole number from `least` to `most`.
    pub(super) fn whole(&mut self, value: &Value<'_>, least: u32, most: u32) -> Option<u32> {
        let Some(integer) = value.get_ref().as_integer() else {
            self.expected("a whole number", value);
            return None;
        };
        let number = u32::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.wrong(value.span(), format!("expected a whole number from {least} to {most}"));
        }
        number
    }

    /// Any finite number.
    pub(super) fn number(&mut self, value: &Value<'_>) -> Option<f64> {
        let number = match value.get_ref() {
            #[expect(clippy::cast_precision_loss, reason = "settings are far below 2^53")]
            DeValue::Integer(int) => i64::from_str_radix(int.as_str(), int.radix()).ok().map(|n| n as f64),
            DeValue::Float(float) => float.as_str().parse().ok().filter(|n: &f64| n.is_finite()),
            _ => {
                self.expected("a number", value);
                return None;
            }
        };
        if number.is_none() {
            self.wrong(value.span(), "not a number that can be used here");
        }
        number
    }

    pub(super) fn one_of<T: Named>(&mut self, value: &Value<'_>) -> Option<T> {
        let text = self.string(value)?;
        let found = T::ALL.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<_> = T::ALL.iter().map(|(name, _)| *name).collect();
            let diag = Diag::error(diag::unknown(T::WHAT, &text, names.iter().copied()));
            self.push(diag.hint(format!("one of {}", names.join(", "))), value.span());
        }
        found
    }

    pub(super) fn duration(&mut self, value: &Value<'_>) -> Option<Duration> {
        let text = self.string(value)?;
        let duration = parse_duration(&text);
        if duration.is_none() {
            let diag = Diag::error(format!("`{text}` is no duration")).hint("such as 30s, 5m, 1h30m, 24h or 7d");
            self.push(diag, value.span());
        }
        duration
    }

    /// A path; `~/` is the home directory, and a relative one starts at the directory of the settings file.
    pub(super) fn path(&mut self, value: &Value<'_>) -> Option<PathBuf> {
        let text = self.string(value)?;
        if let (Some(rest), Some(home)) = (text.strip_prefix("~/"), &self.home) {
            return Some(home.join(rest));
        }
        Some(self.file.parent().map_or_else(|| PathBuf::from(&text), |dir| dir.join(&text)))
    }

    pub(super) fn glob(&mut self, text: &str, span: Range<usize>) -> Option<Glob> {
        Glob::new(text).map_err(|why| self.wrong(span, format!("`{text}` is no pattern: {why}"))).ok()
    }
}

/// The entry `name` with its key.
pub(super) fn find<'a, 'i>(entries: &'a Entries<'i>, name: &str) -> Option<(&'a Key<'i>, &'a Value<'i>)> {
    entries.iter().find(|(key, _)| key.get_ref() == name)
}
