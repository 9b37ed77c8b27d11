//! Patterns for kubeconfig contexts, and which of several is the most specific.

use globset::{GlobBuilder, GlobMatcher};

/// A pattern: `*`, `?`, `[a-z]`, `{eu,us}`; `*` matches `/` and `:` too, for contexts such as EKS gives.
#[derive(Clone, Debug)]
pub struct Glob {
    text: String,
    literal: Option<usize>,
    matcher: GlobMatcher,
}

impl Glob {
    /// Reads a pattern; the error says in words what is wrong.
    pub fn new(text: &str) -> Result<Self, String> {
        let glob = GlobBuilder::new(text).build().map_err(|error| error.kind().to_string())?;
        let wild = text.contains(['*', '?', '[', '{']);
        let literal = wild.then(|| literal_chars(text));
        Ok(Self { text: text.to_owned(), literal, matcher: glob.compile_matcher() })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is a name rather than a pattern.
    pub fn is_literal(&self) -> bool {
        self.literal.is_none()
    }

    /// Whether it matches; a context that is spelled exactly like the pattern is matched whatever is in it.
    pub fn matches(&self, name: &str) -> bool {
        self.text == name || self.matcher.is_match(name)
    }

    /// How specific the match of `name` is, greater being more specific: the exact name before every pattern, a
    /// pattern with more literal characters before one with fewer. `None` when it does not match.
    pub fn rank(&self, name: &str) -> Option<usize> {
        if self.text == name {
            return Some(usize::MAX);
        }
        self.matches(name).then_some(self.literal.unwrap_or(usize::MAX))
    }
}

/// How many characters are outside wildcards, classes and alternatives.
fn literal_chars(text: &str) -> usize {
    let (mut count, mut depth) = (0, 0usize);
    for c in text.chars() {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            '*' | '?' => {}
            _ if depth == 0 => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_name_then_the_longer_literal_part() {
        let rank = |pattern: &str| Glob::new(pattern).unwrap().rank("prod-eu");
        assert!(rank("prod-eu") > rank("prod-e?"));
        assert!(rank("prod-e?") > rank("prod-*"));
        assert!(rank("prod-*") > rank("*"));
        assert!(rank("prod-*") > rank("{prod-eu,other-long-name}"), "alternatives are not literal");
        assert_eq!(rank("dev-*"), None);
    }

    #[test]
    fn odd_context_names_match_themselves() {
        let arn = "arn:aws:eks:eu-west-1:1:cluster/pay";
        assert!(Glob::new("arn:*").unwrap().matches(arn));
        assert!(Glob::new("*/pay").unwrap().matches(arn));
        assert_eq!(Glob::new("a[b]").unwrap().rank("a[b]"), Some(usize::MAX));
        assert!(Glob::new("a[").is_err());
    }
}
