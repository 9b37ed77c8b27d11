//! The terminal's current attributes and the shortest SGR sequence from one set to another.

use ratatui::style::{Color, Modifier};

/// Attributes that show on a cell without a glyph; the others make no difference there.
const VISIBLE_ON_BLANK: Modifier = Modifier::REVERSED.union(Modifier::UNDERLINED).union(Modifier::CROSSED_OUT);

/// What the terminal will give to the next character.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Pen {
    fg: Color,
    pub bg: Color,
    underline: Color,
    modifier: Modifier,
}

impl Pen {
    pub const DEFAULT: Self = Self { fg: Color::Reset, bg: Color::Reset, underline: Color::Reset, modifier: Modifier::empty() };

    /// A pen that erases to `bg`, in whatever else is set now.
    pub fn erasing(self, bg: Color) -> Self {
        Self { bg, modifier: self.modifier - VISIBLE_ON_BLANK, ..self }
    }

    /// A pen with one way to say each colour, and none for an underline that is not drawn.
    pub fn new(fg: Color, bg: Color, underline: Color, modifier: Modifier) -> Self {
        let underline = if modifier.contains(Modifier::UNDERLINED) { underline } else { Color::Reset };
        Self { fg: plain(fg), bg: plain(bg), underline: plain(underline), modifier }
    }

    /// What of it shows on a cell without a glyph.
    pub fn on_blank(self) -> Self {
        if self.is_plain_on_blank() { Self { bg: self.bg, ..Self::DEFAULT } } else { self }
    }

    /// Whether nothing of it but the background shows on a cell without a glyph.
    pub fn is_plain_on_blank(self) -> bool {
        !self.modifier.intersects(VISIBLE_ON_BLANK)
    }

    /// Writes the way from `from` to `self`; nothing when there is nothing to change.
    pub fn write(self, from: Self, out: &mut Vec<u8>) {
        if let Some(params) = &self.params(from) {
            out.extend_from_slice(b"\x1b[");
            out.extend_from_slice(params.bytes());
            out.push(b'm');
        }
    }

    /// The length of what `write` would write, in bytes.
    pub fn cost(self, from: Self) -> usize {
        self.params(from).map_or(0, |p| p.len + 3)
    }

    fn params(self, from: Self) -> Option<Params> {
        if from == self {
            return None;
        }
        let mut reset = Params::reset();
        reset.delta(Self::DEFAULT, self);
        let mut delta = Params::new();
        delta.delta(from, self);
        Some(if delta.len <= reset.len { delta } else { reset })
    }
}

/// A named colour is its place in the palette, as it is written.
fn plain(color: Color) -> Color {
    match color {
        Color::Reset | Color::Rgb(..) => color,
        of_palette => Color::Indexed(index(of_palette)),
    }
}

const ATTRIBUTES: [(Modifier, u8, u8); 9] = [
    (Modifier::BOLD, 1, 22),
    (Modifier::DIM, 2, 22),
    (Modifier::ITALIC, 3, 23),
    (Modifier::UNDERLINED, 4, 24),
    (Modifier::SLOW_BLINK, 5, 25),
    (Modifier::RAPID_BLINK, 6, 25),
    (Modifier::REVERSED, 7, 27),
    (Modifier::HIDDEN, 8, 28),
    (Modifier::CROSSED_OUT, 9, 29),
];

/// SGR parameters, on the stack: at most nine attributes off and on and three colours.
struct Params {
    buf: [u8; 128],
    len: usize,
    any: bool,
}

impl Params {
    fn new() -> Self {
        Self { buf: [0; 128], len: 0, any: false }
    }

    /// An empty first parameter is a reset.
    fn reset() -> Self {
        Self { any: true, ..Self::new() }
    }

    fn bytes(&self) -> &[u8] {
        &self.buf[..self.len]
    }

    fn byte(&mut self, byte: u8) {
        if let Some(slot) = self.buf.get_mut(self.len) {
            *slot = byte;
            self.len += 1;
        }
    }

    fn number(&mut self, n: u8) {
        if n >= 100 {
            self.byte(b'0' + n / 100);
        }
        if n >= 10 {
            self.byte(b'0' + n / 10 % 10);
        }
        self.byte(b'0' + n % 10);
    }

    fn push(&mut self, n: u8) {
        if self.any {
            self.byte(b';');
        }
        self.any = true;
        self.number(n);
    }

    fn delta(&mut self, from: Pen, to: Pen) {
        let removed = from.modifier - to.modifier;
        let mut kept = from.modifier & to.modifier;
        let mut last_off = 0;
        for (attribute, _, off) in ATTRIBUTES {
            if removed.contains(attribute) && off != last_off {
                self.push(off);
                last_off = off;
            }
        }
        // One code ends bold and dim, one both kinds of blinking: what stays of the pair is set again.
        for pair in [Modifier::BOLD | Modifier::DIM, Modifier::SLOW_BLINK | Modifier::RAPID_BLINK] {
            if removed.intersects(pair) {
                kept -= pair;
            }
        }
        for (attribute, on, _) in ATTRIBUTES {
            if (to.modifier - kept).contains(attribute) {
                self.push(on);
            }
        }
        if from.fg != to.fg {
            self.color(to.fg, 30);
        }
        if from.bg != to.bg {
            self.color(to.bg, 40);
        }
        if from.underline != to.underline {
            self.underline(to.underline);
        }
    }

    /// `base` is 30 for the foreground, 40 for the background.
    fn color(&mut self, color: Color, base: u8) {
        match color {
            Color::Reset => self.push(base + 9),
            Color::Rgb(r, g, b) => [base + 8, 2, r, g, b].into_iter().for_each(|n| self.push(n)),
            color => match index(color) {
                i @ 0..8 => self.push(base + i),
                i @ 8..16 => self.push(base + 52 + i),
                i => [base + 8, 5, i].into_iter().for_each(|n| self.push(n)),
            },
        }
    }

    /// With colons: a terminal that does not know 58 skips the whole of it, and would read `58;5;1` as blinking and bold.
    fn underline(&mut self, color: Color) {
        match color {
            Color::Reset => self.push(59),
            Color::Rgb(r, g, b) => {
                self.push(58);
                self.sub(2);
                self.byte(b':');
                [r, g, b].into_iter().for_each(|n| self.sub(n));
            }
            color => {
                self.push(58);
                self.sub(5);
                self.sub(index(color));
            }
        }
    }

    fn sub(&mut self, n: u8) {
        self.byte(b':');
        self.number(n);
    }
}

/// The palette index of a named or indexed colour.
fn index(color: Color) -> u8 {
    match color {
        Color::Black | Color::Reset | Color::Rgb(..) => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 8,
        Color::LightRed => 9,
        Color::LightGreen => 10,
        Color::LightYellow => 11,
        Color::LightBlue => 12,
        Color::LightMagenta => 13,
        Color::LightCyan => 14,
        Color::White => 15,
        Color::Indexed(i) => i,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sgr(from: Pen, to: Pen) -> String {
        let mut out = Vec::new();
        to.write(from, &mut out);
        assert_eq!(out.len(), to.cost(from));
        String::from_utf8(out).unwrap().replace('\x1b', "")
    }

    #[test]
    fn says_only_what_changes_and_resets_when_that_is_shorter() {
        let d = Pen::DEFAULT;
        let red = Pen { fg: Color::Red, ..d };
        let bold_red = Pen { modifier: Modifier::BOLD, ..red };
        assert_eq!(sgr(red, red), "");
        assert_eq!(sgr(red, bold_red), "[1m");
        assert_eq!(sgr(bold_red, d), "[m");
        assert_eq!(sgr(bold_red, red), "[22m");
        assert_eq!(sgr(d, Pen { bg: Color::Rgb(1, 20, 255), ..d }), "[48;2;1;20;255m");
        assert_eq!(sgr(d, Pen { fg: Color::LightBlue, bg: Color::Indexed(99), ..d }), "[94;48;5;99m");
        let dim = Pen { modifier: Modifier::DIM, ..d };
        let both = Pen { modifier: Modifier::DIM | Modifier::BOLD, fg: Color::Rgb(100, 100, 100), ..d };
        assert_eq!(sgr(both, Pen { fg: both.fg, ..dim }), "[22;2m", "bold goes, dim is set again");
        assert_eq!(sgr(d, Pen { underline: Color::Indexed(3), modifier: Modifier::UNDERLINED, ..d }), "[4;58:5:3m");
    }
}
