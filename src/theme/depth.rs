//! How many colours a terminal has, and what becomes of a colour when it has fewer.

use ratatui::style::Color;

/// What a terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depth {
    /// Bold, dim, italic, underline and reverse only.
    Mono,
    /// The terminal's own 16 colours.
    Ansi16,
    Ansi256,
    TrueColor,
}

/// The depth that the terminal's environment tells: `NO_COLOR`, `CLICOLOR` with `CLICOLOR_FORCE`, `COLORTERM`, `TERM`.
pub fn detect_depth(env: impl Fn(&str) -> Option<String>) -> Depth {
    let get = |name: &str| env(name).unwrap_or_default().to_lowercase();
    let forced = !matches!(get("CLICOLOR_FORCE").as_str(), "" | "0");
    if !get("NO_COLOR").is_empty() || (get("CLICOLOR") == "0" && !forced) {
        return Depth::Mono;
    }
    let term = get("TERM");
    if term == "dumb" {
        return if forced { Depth::Ansi16 } else { Depth::Mono };
    }
    if term == "linux" || term.starts_with("vt1") || term.starts_with("vt2") {
        return Depth::Ansi16;
    }
    // GNU screen hands the outer terminal's COLORTERM on but cannot show it; tmux, which also says "screen", can.
    let screen = term.starts_with("screen") && get("TMUX").is_empty();
    let direct = ["direct", "truecolor", "kitty", "alacritty", "wezterm", "foot", "ghostty"].iter().any(|name| term.contains(name));
    if !screen && (direct || matches!(get("COLORTERM").as_str(), "truecolor" | "24bit")) {
        return Depth::TrueColor;
    }
    if term.contains("256") || screen && !get("COLORTERM").is_empty() { Depth::Ansi256 } else { Depth::Ansi16 }
}

/// Whether borders and signs must be ASCII: the locale is not UTF-8, or the terminal lacks the glyphs.
pub fn detect_ascii(env: impl Fn(&str) -> Option<String>) -> bool {
    if matches!(env("TERM").as_deref(), Some("linux" | "dumb")) {
        return true;
    }
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(|name| env(name)).find(|value| !value.is_empty());
    let locale = locale.unwrap_or_default().to_lowercase();
    !(locale.contains("utf-8") || locale.contains("utf8"))
}

/// `color` as a terminal of `depth` shows it; none in `Mono`.
pub(super) fn convert(color: Color, depth: Depth) -> Option<Color> {
    match (depth, color) {
        (Depth::Mono, _) => None,
        (Depth::Ansi256, Color::Rgb(r, g, b)) => Some(nearest_256([r, g, b])),
        (Depth::Ansi16, Color::Rgb(r, g, b)) => Some(nearest_16([r, g, b])),
        (Depth::Ansi16, Color::Indexed(n)) => Some(nearest_16(indexed(n))),
        _ => Some(color),
    }
}

/// What xterm shows for a colour of the 256 from 16 on, which no terminal's palette changes.
pub(super) fn indexed(n: u8) -> [u8; 3] {
    let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
    match n.checked_sub(16) {
        Some(cube @ 0..=215) => [level(cube / 36), level(cube / 6 % 6), level(cube % 6)],
        Some(grey) => [8 + 10 * (grey - 216); 3],
        None => [0; 3],
    }
}

fn nearest_256(rgb: [u8; 3]) -> Color {
    // Weighted as the eye weighs, at the mean red of the two.
    let distance = |n: u8| {
        let [near, want] = [indexed(n), rgb].map(|rgb| rgb.map(i32::from));
        let red = (near[0] + want[0]) / 2;
        let square = |i: usize| (near[i] - want[i]).pow(2);
        (((512 + red) * square(0)) >> 8) + 4 * square(1) + (((767 - red) * square(2)) >> 8)
    };
    Color::Indexed((16..=u8::MAX).min_by_key(|n| distance(*n)).unwrap_or(u8::MAX))
}

/// By hue rather than by distance: a pale red is red, not grey, for the hue is what was meant.
fn nearest_16(rgb: [u8; 3]) -> Color {
    let [r, g, b] = rgb;
    let (max, min) = (r.max(g).max(b), r.min(g).min(b));
    if max - min < 48 {
        return match max {
            0..=55 => Color::Black,
            56..=135 => Color::DarkGray,
            136..=215 => Color::Gray,
            216.. => Color::White,
        };
    }
    let middle = min + (max - min) / 2;
    let bright = max >= 0xe0;
    match ((r > middle, g > middle, b > middle), bright) {
        ((true, false, false), false) => Color::Red,
        ((true, false, false), true) => Color::LightRed,
        ((false, true, false), false) => Color::Green,
        ((false, true, false), true) => Color::LightGreen,
        ((true, true, _), false) => Color::Yellow,
        ((true, true, _), true) => Color::LightYellow,
        ((false, false, _), false) => Color::Blue,
        ((false, false, _), true) => Color::LightBlue,
        ((true, false, true), false) => Color::Magenta,
        ((true, false, true), true) => Color::LightMagenta,
        ((false, true, true), false) => Color::Cyan,
        ((false, true, true), true) => Color::LightCyan,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env<'a>(vars: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn depth_follows_the_environment() {
        for (vars, depth) in [
            (&[("TERM", "xterm-256color")][..], Depth::Ansi256),
            (&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")], Depth::TrueColor),
            (&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor"), ("NO_COLOR", "1")], Depth::Mono),
            (&[("TERM", "xterm-256color"), ("NO_COLOR", "")], Depth::Ansi256),
            (&[("TERM", "xterm-kitty")], Depth::TrueColor),
            (&[("TERM", "xterm")], Depth::Ansi16),
            (&[], Depth::Ansi16),
            (&[("TERM", "linux"), ("COLORTERM", "truecolor")], Depth::Ansi16),
            (&[("TERM", "dumb")], Depth::Mono),
            (&[("TERM", "xterm"), ("CLICOLOR", "0")], Depth::Mono),
            (&[("TERM", "xterm"), ("CLICOLOR", "0"), ("CLICOLOR_FORCE", "1")], Depth::Ansi16),
            (&[("TERM", "screen-256color"), ("COLORTERM", "truecolor")], Depth::Ansi256),
            (&[("TERM", "screen-256color"), ("COLORTERM", "truecolor"), ("TMUX", "/tmp/t")], Depth::TrueColor),
        ] {
            assert_eq!(detect_depth(env(vars)), depth, "{vars:?}");
        }
    }

    #[test]
    fn ascii_follows_the_locale() {
        for (vars, ascii) in [
            (&[("LANG", "en_US.UTF-8")][..], false),
            (&[("LANG", "de_DE.utf8"), ("TERM", "xterm")], false),
            (&[("LANG", "en_US.UTF-8"), ("LC_ALL", "C")], true),
            (&[("LANG", "C"), ("LC_ALL", ""), ("LC_CTYPE", "C.UTF-8")], false),
            (&[("LANG", "en_US.UTF-8"), ("TERM", "linux")], true),
            (&[], true),
        ] {
            assert_eq!(detect_ascii(env(vars)), ascii, "{vars:?}");
        }
    }

    #[test]
    fn fewer_colours_keep_the_hue() {
        assert_eq!(convert(Color::Rgb(255, 95, 95), Depth::Ansi256), Some(Color::Indexed(203)));
        assert_eq!(convert(Color::Rgb(128, 128, 128), Depth::Ansi256), Some(Color::Indexed(244)));
        assert_eq!(convert(Color::Rgb(255, 95, 95), Depth::Ansi16), Some(Color::LightRed));
        assert_eq!(convert(Color::Indexed(114), Depth::Ansi16), Some(Color::Green));
        assert_eq!(convert(Color::Indexed(214), Depth::Ansi16), Some(Color::LightYellow));
        assert_eq!(convert(Color::Indexed(245), Depth::Ansi16), Some(Color::Gray));
        assert_eq!(convert(Color::Red, Depth::Ansi16), Some(Color::Red));
        assert_eq!(convert(Color::Rgb(1, 2, 3), Depth::TrueColor), Some(Color::Rgb(1, 2, 3)));
        assert_eq!(convert(Color::Red, Depth::Mono), None);
    }
}
