//! A line made of styled pieces: cleaned of what could harm a terminal, cut with signs where it goes on, or wrapped.

use super::Draw;
use super::text::width;
use crate::theme::Role;
use ratatui::buffer::Buffer;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation as _;

/// Text with what it is for.
pub type Piece<'a> = (Cow<'a, str>, Role);

/// Cells that a tab takes.
const TAB: &str = "    ";

/// What would move the cursor, turn the text round or cannot be seen.
fn harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text with tabs as spaces, control characters as `^G`, and what turns text round or cannot be seen as `<U+202E>`.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(harmful) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\t' => out.push_str(TAB),
            '\0'..='\u{1f}' => {
                out.push('^');
                out.push(char::from(c as u8 + 0x40));
            }
            '\u{7f}' => out.push_str("^?"),
            c if harmful(c) => {
                // Writing to a String cannot fail.
                let _ = write!(out, "<U+{:04X}>", c as u32);
            }
            c => out.push(c),
        }
    }
    out.into()
}

/// Cuts a text at its styles and at the matches of a search, which go before. Both are byte ranges in ascending order.
pub fn split<'a>(
    text: &'a str,
    base: Role,
    styles: impl IntoIterator<Item = (Range<usize>, Role)>,
    matches: &[Range<usize>],
) -> Vec<Piece<'a>> {
    let styles: Vec<_> = styles.into_iter().collect();
    let mut edges: Vec<usize> = styles
        .iter()
        .map(|(r, _)| r)
        .chain(matches)
        .flat_map(|r| [r.start, r.end])
        .chain([0, text.len()])
        .filter(|at| text.is_char_boundary(*at))
        .collect();
    edges.sort_unstable();
    edges.dedup();
    let role = |at: usize| {
        if matches.iter().any(|r| r.contains(&at)) {
            return Role::Match;
        }
        styles.iter().find(|(r, _)| r.contains(&at)).map_or(base, |(_, role)| *role)
    };
    edges.windows(2).map(|w| (clean(&text[w[0]..w[1]]), role(w[0]))).collect()
}

/// Draws pieces in `max` cells without the first `skip` ones, with signs where something was left out. Half of a wide
/// character is not drawn.
pub fn put(d: &Draw, buf: &mut Buffer, (x, y): (u16, u16), max: u16, pieces: &[Piece<'_>], skip: usize) {
    let max = usize::from(max);
    let total: usize = pieces.iter().map(|(text, _)| width(text)).sum();
    if max == 0 || total == 0 {
        return;
    }
    let (left, right) = (usize::from(skip > 0), usize::from(total > skip + max));
    let shown = skip + left..skip + max - right.min(max);
    let mut at = 0;
    for (text, role) in pieces {
        for g in text.graphemes(true) {
            let from = at;
            at += width(g);
            if from >= shown.start && at <= shown.end && at > from {
                d.put(buf, x + (from - skip) as u16, y, (at - from) as u16, g, *role);
            }
            if at >= shown.end {
                break;
            }
        }
    }
    if left > 0 {
        d.put(buf, x, y, 1, d.glyphs.more_left, Role::TextDim);
    }
    if right > 0 {
        d.put(buf, x + (max - 1) as u16, y, 1, d.glyphs.more_right, Role::TextDim);
    }
}

/// The pieces in lines of at most `max` cells; broken at spaces when `words`. One line at least.
pub fn wrap<'a>(pieces: &[Piece<'a>], max: usize, words: bool) -> Vec<Vec<Piece<'a>>> {
    let max = max.max(2);
    let all: Vec<(&str, Role)> = pieces.iter().flat_map(|(text, role)| text.graphemes(true).map(|g| (g, *role))).collect();
    let mut lines = Vec::new();
    let mut from = 0;
    while from < all.len() {
        let (mut to, mut used) = (from, 0);
        while to < all.len() && used + width(all[to].0) <= max {
            used += width(all[to].0);
            to += 1;
        }
        let mut next = to;
        if words && to < all.len() {
            // A space that just did not fit is a fine place to break, too.
            if let Some(space) = (from + 1..=to).rev().find(|n| all[*n].0 == " ") {
                (to, next) = (space, space + 1);
            }
        }
        let mut line: Vec<Piece<'a>> = Vec::new();
        for (g, role) in &all[from..to] {
            match line.last_mut().filter(|(_, r)| r == role) {
                Some((text, _)) => text.to_mut().push_str(g),
                None => line.push((Cow::Owned((*g).to_owned()), *role)),
            }
        }
        lines.push(line);
        from = next.max(from + 1);
    }
    if lines.is_empty() {
        lines.push(Vec::new());
    }
    lines
}

/// Lines that [`wrap`] would make by cells alone.
pub fn wrapped(text: &str, max: usize) -> usize {
    if text.is_ascii() && !text.contains(harmful) {
        return text.len().div_ceil(max.max(2)).max(1);
    }
    wrap(&[(clean(text), Role::Text)], max, false).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: Vec<Vec<Piece<'_>>>) -> Vec<String> {
        lines.into_iter().map(|l| l.into_iter().map(|(t, _)| t.into_owned()).collect()).collect()
    }

    #[test]
    fn what_could_harm_is_seen_and_does_nothing() {
        assert_eq!(clean("a\tb\u{7}\u{1b}[31m\u{7f}\u{202e}x\u{200b}\u{85}"), "a    b^G^[[31m^?<U+202E>x<U+200B><U+0085>");
        assert!(matches!(clean("Straße 数据库 👩‍🚀"), Cow::Borrowed(_)));
    }

    #[test]
    fn matches_go_before_styles() {
        let pieces = split("key: value", Role::Yaml, [(0..3, Role::YamlKey), (5..10, Role::YamlString)], &[2..7]);
        let said: Vec<(&str, Role)> = pieces.iter().map(|(t, r)| (&**t, *r)).collect();
        assert_eq!(said, [("ke", Role::YamlKey), ("y", Role::Match), (": ", Role::Match), ("va", Role::Match), ("lue", Role::YamlString)]);
    }

    #[test]
    fn lines_are_broken_at_words_or_cells() {
        let pieces = [(Cow::Borrowed("no node takes this pod"), Role::Text)];
        assert_eq!(texts(wrap(&pieces, 8, true)), ["no node", "takes", "this pod"]);
        assert_eq!(texts(wrap(&pieces, 8, false)), ["no node ", "takes th", "is pod"]);
        assert_eq!(texts(wrap(&[("数据库a".into(), Role::Text)], 4, false)), ["数据", "库a"]);
        assert_eq!((wrapped("数据库a", 4), wrapped("", 4), wrapped("abcde", 4)), (2, 1, 2));
    }
}
