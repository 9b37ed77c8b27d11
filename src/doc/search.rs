//! Finding text in lines.

use std::ops::Range;

use regex::{Regex, RegexBuilder};

use crate::diag::Diag;

/// What is searched for. Upper and lower case are the same unless it has an upper-case letter.
#[derive(Clone, Debug)]
pub struct Search {
    regex: Option<Regex>,
}

/// Where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Index of the line, hidden or not.
    pub line: usize,
    /// Bytes in the line's text; not empty.
    pub range: Range<usize>,
}

impl Search {
    /// Searches for the text as it is.
    pub fn plain(text: &str) -> Self {
        let insensitive = !text.chars().any(char::is_uppercase);
        let built = RegexBuilder::new(&regex::escape(text)).case_insensitive(insensitive).build();
        // An escaped text fails only when it is too long to be looked for, and then nothing is found.
        Self { regex: built.ok() }
    }

    /// Searches for a regular expression; an error says what is wrong with it.
    pub fn regex(pattern: &str) -> Result<Self, Diag> {
        // `\S` and the like are classes, not upper-case letters.
        let mut upper = false;
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            if c == '\\' {
                chars.next();
            }
            upper |= c.is_uppercase();
        }
        RegexBuilder::new(pattern).case_insensitive(!upper).build().map(|regex| Self { regex: Some(regex) }).map_err(|error| {
            let text = error.to_string();
            let why = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            Diag::error(format!("`{pattern}` is no regular expression: {why}")).hint("a backslash before a sign takes it literally")
        })
    }

    /// The places in one line, those of no length left out.
    pub fn matches<'a>(&'a self, line: usize, text: &'a str) -> impl Iterator<Item = Match> + 'a {
        let found = self.regex.iter().flat_map(|regex| regex.find_iter(text));
        found.filter(|found| !found.is_empty()).map(move |found| Match { line, range: found.range() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(search: &Search, text: &'a str) -> Vec<&'a str> {
        search.matches(0, text).map(|found| &text[found.range]).collect()
    }

    #[test]
    fn plain_text_is_literal_and_smart_about_case() {
        assert_eq!(found(&Search::plain("a.b"), "A.B axb a.b"), ["A.B", "a.b"]);
        assert_eq!(found(&Search::plain("A.b"), "A.b a.b"), ["A.b"]);
        assert_eq!(found(&Search::plain("ß"), "Straße"), ["ß"]);
        assert!(found(&Search::plain(""), "abc").is_empty());
    }

    #[test]
    fn a_regex_is_smart_about_case_and_its_errors_are_said() {
        assert_eq!(found(&Search::regex(r"x\S+").unwrap(), "Xyz x y"), ["Xyz"]);
        assert_eq!(found(&Search::regex("Y.").unwrap(), "yz Yz"), ["Yz"]);
        assert!(found(&Search::regex("x*").unwrap(), "abc").is_empty());
        let diag = Search::regex("a(b").unwrap_err();
        assert_eq!(diag.message, "`a(b` is no regular expression: unclosed group");
    }
}
