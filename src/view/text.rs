//! Text in cells: width, cutting in the middle, padding.

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// Cells that a text takes.
pub fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// The text in at most `max` cells: cut in the middle, where names differ least.
pub fn elide(text: &str, max: usize, ellipsis: &str) -> String {
    if width(text) <= max {
        return text.to_owned();
    }
    let room = max.saturating_sub(width(ellipsis));
    if room == 0 {
        return text.graphemes(true).take(max).collect();
    }
    let head = take(text.graphemes(true), room.div_ceil(2));
    let tail: Vec<&str> = {
        let mut used = 0;
        let back = text.graphemes(true).rev().take_while(|g| {
            used += width(g);
            used <= room / 2
        });
        back.collect()
    };
    let tail: String = tail.into_iter().rev().collect();
    format!("{head}{ellipsis}{tail}")
}

/// The text in at most `max` cells, cut at its end.
pub fn cut(text: &str, max: usize, ellipsis: &str) -> String {
    if width(text) <= max {
        return text.to_owned();
    }
    let room = max.saturating_sub(width(ellipsis));
    format!("{}{ellipsis}", take(text.graphemes(true), room))
}

fn take<'a>(graphemes: impl Iterator<Item = &'a str>, max: usize) -> String {
    let mut used = 0;
    graphemes
        .take_while(|g| {
            used += width(g);
            used <= max
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_in_the_middle_and_wide_ones_at_cells() {
        assert_eq!(elide("checkout-5d8f7c9b64-x2x7z", 15, "~"), "checkou~4-x2x7z");
        assert_eq!(elide("short", 15, "~"), "short");
        assert_eq!(width(&elide("数据库服务器节点", 9, "…")), 9);
        assert_eq!(cut("abcdef", 4, "~"), "abc~");
        assert_eq!(elide("abcdef", 0, "~"), "");
    }
}
