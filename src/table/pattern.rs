//! Comparing texts: globs, substrings and the letters of a word in order. Smart case: a capital in what is looked for counts.
//!
//! Case is folded for ASCII only, so that lengths and places stay what they are.

use std::ops::Range;

/// Whether what a person typed asks for any case.
fn any_case(text: &str) -> bool {
    !text.chars().any(char::is_uppercase)
}

fn same(a: u8, b: u8, fold: bool) -> bool {
    a == b || fold && a.eq_ignore_ascii_case(&b)
}

/// A glob over a whole text: `*` anything, `?` one character.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Glob {
    text: String,
    fold: bool,
    literal: bool,
}

impl Glob {
    pub(super) fn new(text: &str, literal: bool) -> Self {
        Self { text: text.to_owned(), fold: any_case(text), literal: literal || !text.contains(['*', '?']) }
    }

    /// Whether it speaks of the part before a slash too.
    pub(super) fn has_slash(&self) -> bool {
        self.text.contains('/')
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let (p, t) = (self.text.as_bytes(), text.as_bytes());
        if self.literal {
            return p.len() == t.len() && p.iter().zip(t).all(|(a, b)| same(*a, *b, self.fold));
        }
        // The usual linear walk: on a mismatch, the last star takes one more byte.
        let (mut i, mut j, mut star) = (0, 0, None);
        while j < t.len() {
            if p.get(i) == Some(&b'*') {
                star = Some((i, j));
                i += 1;
            } else if p.get(i) == Some(&b'?') {
                i += 1;
                j += 1;
                while t.get(j).is_some_and(|b| b & 0xc0 == 0x80) {
                    j += 1;
                }
            } else if p.get(i).is_some_and(|c| same(*c, t[j], self.fold)) {
                i += 1;
                j += 1;
            } else if let Some((at, taken)) = star {
                star = Some((at, taken + 1));
                i = at + 1;
                j = taken + 1;
            } else {
                return false;
            }
        }
        p[i..].iter().all(|c| *c == b'*')
    }
}

/// A text to find in others.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Needle {
    text: String,
    fold: bool,
    /// Could stand in a formatted number; a word without a digit cannot.
    pub(super) numeric: bool,
}

impl Needle {
    pub(super) fn new(text: &str) -> Self {
        let number = |b: u8| b.is_ascii_digit() || b".-/%smhdykgtpei".contains(&b.to_ascii_lowercase());
        Self { text: text.to_owned(), fold: any_case(text), numeric: text.bytes().any(|b| b.is_ascii_digit()) && text.bytes().all(number) }
    }

    /// The first place at or after `from`.
    pub(super) fn find(&self, text: &str, from: usize) -> Option<usize> {
        if !self.fold {
            return text.get(from..)?.find(&self.text).map(|n| from + n);
        }
        let (needle, hay) = (self.text.as_bytes(), text.as_bytes().get(from..)?);
        let Some((first, rest)) = needle.split_first() else { return Some(from) };
        let last = hay.len().checked_sub(needle.len())?;
        let (lower, upper) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
        let mut at = 0;
        while let Some(n) = hay[at..=last].iter().position(|b| *b == lower || *b == upper) {
            at += n;
            if hay[at + 1..at + needle.len()].eq_ignore_ascii_case(rest) {
                return Some(from + at);
            }
            at += 1;
            if at > last {
                break;
            }
        }
        None
    }

    /// Whether its characters occur in order in the texts, one after the other.
    pub(super) fn scattered<'a>(&self, texts: impl Iterator<Item = &'a str>) -> bool {
        let mut wanted = self.text.as_bytes();
        for text in texts {
            for b in text.bytes() {
                match wanted.split_first() {
                    Some((w, rest)) if same(b, *w, self.fold) => wanted = rest,
                    Some(_) => {}
                    None => return true,
                }
            }
        }
        wanted.is_empty()
    }

    /// All places where it stands.
    pub(super) fn spans(&self, text: &str) -> Vec<Range<usize>> {
        let mut out: Vec<Range<usize>> = Vec::new();
        while let Some(at) = self.find(text, out.last().map_or(0, |r| r.end)).filter(|_| !self.text.is_empty()) {
            out.push(at..at + self.text.len());
        }
        out
    }

    /// Where its characters stand when they are scattered; empty when they are not all there.
    pub(super) fn scattered_spans(&self, text: &str) -> Vec<Range<usize>> {
        let mut out: Vec<Range<usize>> = Vec::new();
        let mut wanted = self.text.chars().peekable();
        for (at, c) in text.char_indices() {
            if wanted.next_if(|w| *w == c || self.fold && w.eq_ignore_ascii_case(&c)).is_some() {
                match out.last_mut() {
                    Some(last) if last.end == at => last.end += c.len_utf8(),
                    _ => out.push(at..at + c.len_utf8()),
                }
            }
        }
        if wanted.peek().is_none() { out } else { Vec::new() }
    }

    /// Whatever this finds, the shorter one finds too.
    pub(super) fn narrows(&self, other: &Self) -> bool {
        let contains = if other.fold { self.text.to_ascii_lowercase().contains(&other.text) } else { self.text.contains(&other.text) };
        contains && (!self.numeric || other.numeric) && self.text.contains('/') == other.text.contains('/')
    }

    /// Whether it spells a namespace too, as in `pay/api`.
    pub(super) fn has_slash(&self) -> bool {
        self.text.contains('/')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_cover_the_whole_text() {
        for (glob, text, expected) in [
            ("prod-*", "prod-eu", true),
            ("prod-*", "a-prod-eu", false),
            ("*eu", "prod-eu", true),
            ("p?y", "pay", true),
            ("p?y", "p日y", true),
            ("running", "Running", true),
            ("Running", "running", false),
            ("*a*b*c", "xaxbxbxc", true),
            ("a*b", "a", false),
            ("*", "", true),
            ("pay", "payments", false),
        ] {
            assert_eq!(Glob::new(glob, false).matches(text), expected, "{glob} {text}");
        }
        assert!(!Glob::new("a*", true).matches("ab"));
    }

    #[test]
    fn needles_in_any_case_and_scattered() {
        assert_eq!(Needle::new("back").find("CrashLoopBackOff", 0), Some(9));
        assert_eq!(Needle::new("Back").find("crashloopbackoff", 0), None);
        assert_eq!(Needle::new("語").find("日本語", 0), Some(6));
        assert!(Needle::new("chkt").scattered(["checkout"].into_iter()) && !Needle::new("tkch").scattered(["checkout"].into_iter()));
        assert!(Needle::new("pay/chk").scattered(["pay", "/", "checkout"].into_iter()));
        assert_eq!(Needle::new("chkt").scattered_spans("checkout"), [0..2, 4..5, 7..8]);
        assert_eq!(Needle::new("a").spans("abA"), [0..1, 2..3]);
        assert!(
            Needle::new("pay").narrows(&Needle::new("pa"))
                && !Needle::new("12").narrows(&Needle::new("x"))
                && !Needle::new("a1").narrows(&Needle::new("A"))
        );
    }
}
