//! The signs that are not letters, in Unicode and in ASCII. Every one is a single column wide.

use ratatui::symbols::border;

/// A terminal's set of signs. Those of severity are the same text everywhere, and `model`'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glyphs {
    pub border: border::Set<'static>,
    /// In front of the highlighted row.
    pub cursor: &'static str,
    /// In front of a marked row.
    pub mark: &'static str,
    /// Where text was left out.
    pub ellipsis: &'static str,
    pub ascending: &'static str,
    pub descending: &'static str,
    pub folded: &'static str,
    pub unfolded: &'static str,
    /// More columns to that side.
    pub more_left: &'static str,
    pub more_right: &'static str,
    pub separator: &'static str,
    pub gauge_full: &'static str,
    pub gauge_empty: &'static str,
    pub scroll_thumb: &'static str,
    pub scroll_track: &'static str,
    /// From nothing to the highest.
    pub spark: [&'static str; 8],
    /// One after the other while something is under way.
    pub spinner: &'static [&'static str],
}

pub const UNICODE: Glyphs = Glyphs {
    border: border::PLAIN,
    cursor: "▸",
    mark: "•",
    ellipsis: "…",
    ascending: "↑",
    descending: "↓",
    folded: "▸",
    unfolded: "▾",
    more_left: "‹",
    more_right: "›",
    separator: "│",
    gauge_full: "█",
    gauge_empty: "░",
    scroll_thumb: "█",
    scroll_track: "│",
    spark: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    spinner: &["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧"],
};

pub const ASCII: Glyphs = Glyphs {
    border: border::Set {
        top_left: "+",
        top_right: "+",
        bottom_left: "+",
        bottom_right: "+",
        vertical_left: "|",
        vertical_right: "|",
        horizontal_top: "-",
        horizontal_bottom: "-",
    },
    cursor: ">",
    mark: "*",
    ellipsis: "~",
    ascending: "^",
    descending: "v",
    folded: "+",
    unfolded: "-",
    more_left: "<",
    more_right: ">",
    separator: "|",
    gauge_full: "#",
    gauge_empty: ".",
    scroll_thumb: "#",
    scroll_track: "|",
    spark: ["_", ".", ":", "-", "=", "+", "*", "#"],
    spinner: &["|", "/", "-", "\\"],
};

impl Glyphs {
    /// The set for a terminal, as [`super::detect_ascii`] has it.
    #[must_use]
    pub fn of(ascii: bool) -> &'static Self {
        if ascii { &ASCII } else { &UNICODE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_width::UnicodeWidthStr;

    fn all(glyphs: &Glyphs) -> Vec<&'static str> {
        let Glyphs { border: b, cursor, mark, ellipsis, ascending, descending, folded, unfolded, more_left, more_right, .. } = *glyphs;
        let mut all = vec![b.top_left, b.top_right, b.bottom_left, b.bottom_right, b.vertical_left, b.vertical_right];
        all.extend([b.horizontal_top, b.horizontal_bottom, cursor, mark, ellipsis, ascending, descending, folded, unfolded]);
        all.extend([more_left, more_right, glyphs.separator, glyphs.gauge_full, glyphs.gauge_empty]);
        all.extend([glyphs.scroll_thumb, glyphs.scroll_track]);
        all.extend(glyphs.spark);
        all.extend(glyphs.spinner);
        all
    }

    #[test]
    fn every_sign_takes_one_column_and_ascii_is_ascii() {
        for sign in all(&UNICODE).into_iter().chain(all(&ASCII)) {
            assert_eq!(sign.width(), 1, "{sign}");
        }
        assert!(all(&ASCII).iter().all(|sign| sign.is_ascii()));
        assert_eq!(Glyphs::of(true), &ASCII);
    }

    #[test]
    fn sparks_rise() {
        for glyphs in [UNICODE, ASCII] {
            let distinct: std::collections::HashSet<_> = glyphs.spark.into_iter().collect();
            assert_eq!(distinct.len(), 8);
        }
    }
}
