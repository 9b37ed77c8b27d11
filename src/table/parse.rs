//! The filter language as text: terms and where they stand. What they mean is `filter`'s.

use std::ops::Range;

/// A field term's comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Op {
    /// `:` and `=`.
    Is,
    /// `!=`
    IsNot,
    /// `~`, a regular expression.
    Like,
    Greater,
    Less,
    AtLeast,
    AtMost,
}

/// Longest first, so that `>=` is not `>`.
pub(super) const OPS: [(&str, Op); 8] = [
    ("!=", Op::IsNot),
    (">=", Op::AtLeast),
    ("<=", Op::AtMost),
    (":", Op::Is),
    ("=", Op::Is),
    (">", Op::Greater),
    ("<", Op::Less),
    ("~", Op::Like),
];

/// What a term says.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Raw {
    Word(String),
    Quoted(String),
    Regex(String),
    Field { name: Range<usize>, op: Op, sign: &'static str, value: Range<usize>, quoted: bool },
}

/// One term.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Token {
    pub negate: bool,
    /// The whole term with its sign, in bytes.
    pub span: Range<usize>,
    pub raw: Raw,
}

/// The terms of a text. Everything is some term; a quote or a regex that is not closed goes to the end.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find(|c: char| !c.is_whitespace()).map(|n| at + n) {
        let negate = text[start..].strip_prefix(['!', '-']).is_some_and(|rest| !rest.is_empty() && !rest.starts_with(char::is_whitespace));
        let (raw, end) = term(text, start + usize::from(negate));
        out.push(Token { negate, span: start..end, raw });
        at = end;
    }
    out
}

fn term(text: &str, at: usize) -> (Raw, usize) {
    let rest = &text[at..];
    let word_end = |from: usize| text[from..].find(char::is_whitespace).map_or(text.len(), |n| from + n);
    if let Some(body) = rest.strip_prefix('"') {
        let (body, end) = quoted(body, at + 1, text.len());
        return (Raw::Quoted(body.to_owned()), end);
    }
    if let Some(body) = rest.strip_prefix('/') {
        let close = body
            .match_indices('/')
            .map(|(n, _)| n)
            .find(|n| !body[..*n].ends_with('\\') && body[n + 1..].chars().next().is_none_or(char::is_whitespace));
        let (body, end) = close.map_or((body, text.len()), |n| (&body[..n], at + n + 2));
        return (Raw::Regex(body.replace("\\/", "/")), end);
    }
    let end = word_end(at);
    if let Some(body) = text[at..end].strip_prefix("re:") {
        return (Raw::Regex(body.to_owned()), end);
    }
    let name = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '%'))).unwrap_or(rest.len());
    let op = OPS.iter().find(|(sign, _)| rest[name..].starts_with(sign));
    let Some((sign, op)) = op.filter(|_| name > 0 && rest.as_bytes()[0].is_ascii_alphabetic()) else {
        return (Raw::Word(text[at..end].to_owned()), end);
    };
    let from = at + name + sign.len();
    let field = |value, quoted| Raw::Field { name: at..at + name, op: *op, sign, value, quoted };
    match text[from..].strip_prefix('"') {
        Some(body) => {
            let (body, end) = quoted(body, from + 1, text.len());
            (field(from + 1..from + 1 + body.len(), true), end)
        }
        None => (field(from..end, false), end),
    }
}

/// The text up to the closing quote, and where the term ends.
fn quoted(body: &str, at: usize, end: usize) -> (&str, usize) {
    body.find('"').map_or((body, end), |n| (&body[..n], at + n + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn terms() {
        let text = r#"pay !/a b\/c/ -"x y" restarts>=3 msg:"a b" re:^x "open end"#;
        let all: Vec<_> = tokens(text).into_iter().map(|t| (t.negate, &text[t.span], t.raw)).collect();
        assert_eq!(all.len(), 7, "{all:?}");
        assert_eq!(all[1], (true, r"!/a b\/c/", Raw::Regex("a b/c".into())));
        assert_eq!(all[2], (true, r#"-"x y""#, Raw::Quoted("x y".into())));
        assert!(matches!(&all[3].2, Raw::Field { op: Op::AtLeast, value, .. } if &text[value.clone()] == "3"));
        assert!(matches!(&all[4].2, Raw::Field { quoted: true, value, .. } if &text[value.clone()] == "a b"));
        assert_eq!(all[6].2, Raw::Quoted("open end".into()));
    }

    proptest! {
        #[test]
        fn any_text_has_ordered_terms(text in "[ -~日é\"/!:-]{0,40}") {
            let mut at = 0;
            for t in tokens(&text) {
                prop_assert!(t.span.start >= at && t.span.end > t.span.start && text.get(t.span.clone()).is_some());
                at = t.span.end;
            }
        }
    }
}
