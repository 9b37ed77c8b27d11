//! What cells are made of, by number: so that a cell is eight bytes, and two cells are compared by their numbers.

use hashbrown::HashMap;
use ratatui::buffer::{Cell, CellWidth};
use ratatui::style::{Color, Modifier};

use super::pen::Pen;

/// Symbols of more than one `char` that are kept, and pens; when there are more the next frame paints everything.
const MOST: usize = 4096;
/// Marks the number of a symbol of more than one `char`.
const LONG: u32 = 1 << 31;

/// What one cell shows: a `char`, the number of a longer symbol, or nothing where a wide glyph covers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Symbol(u32);

impl Symbol {
    pub const BLANK: Self = Self(' ' as u32);
    pub const COVERED: Self = Self(0);

    pub fn ascii(byte: u8) -> Self {
        Self(byte.into())
    }

    /// Whether a wide glyph before it covers the cell.
    pub fn is_covered(self) -> bool {
        self == Self::COVERED
    }

    /// What two rows that say the same have in common.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// How a cell is painted: the number of a pen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Look(u32);

impl Look {
    /// [`Pen::DEFAULT`].
    pub const PLAIN: Self = Self(0);
}

/// A cell's attributes as ratatui has them, and the looks of a glyph and of a blank with them.
type Told = ((Color, Color, Color, Modifier), [Look; 2]);

/// The symbols of more than one `char`, and the pens.
#[derive(Debug)]
pub(super) struct Known {
    texts: Vec<Box<str>>,
    symbols: HashMap<Box<str>, u32>,
    pens: Vec<Pen>,
    looks: HashMap<Pen, u32>,
    /// Most cells are painted as the one before.
    last: Option<Told>,
}

impl Known {
    pub fn new() -> Self {
        let looks = HashMap::from_iter([(Pen::DEFAULT, 0)]);
        Self { texts: Vec::new(), symbols: HashMap::new(), pens: vec![Pen::DEFAULT], looks, last: None }
    }

    /// Whether it is time to begin anew, and to forget what is on the screen.
    pub fn is_full(&self) -> bool {
        self.texts.len() > MOST || self.pens.len() > MOST
    }

    pub fn symbol(&mut self, text: &str) -> Symbol {
        let mut chars = text.chars();
        if let (Some(c), None) = (chars.next(), chars.next()) {
            return Symbol(c.into());
        }
        if let Some(n) = self.symbols.get(text) {
            return Symbol(LONG | n);
        }
        let n = self.texts.len() as u32;
        self.texts.push(text.into());
        self.symbols.insert(text.into(), n);
        Symbol(LONG | n)
    }

    /// The looks of a glyph and of a blank that have the attributes of `cell`.
    #[inline]
    pub fn looks(&mut self, cell: &Cell) -> [Look; 2] {
        let attributes = (cell.fg, cell.bg, cell.underline_color, cell.modifier);
        match self.last {
            Some((last, looks)) if last == attributes => looks,
            _ => self.other_looks(attributes),
        }
    }

    #[inline(never)]
    fn other_looks(&mut self, attributes: (Color, Color, Color, Modifier)) -> [Look; 2] {
        let (fg, bg, underline, modifier) = attributes;
        let pen = Pen::new(fg, bg, underline, modifier);
        let looks = [self.look(pen), self.look(pen.on_blank())];
        self.last = Some((attributes, looks));
        looks
    }

    fn look(&mut self, pen: Pen) -> Look {
        let Self { pens, looks, .. } = self;
        Look(*looks.entry(pen).or_insert_with(|| {
            pens.push(pen);
            pens.len() as u32 - 1
        }))
    }

    pub fn pen(&self, look: Look) -> Pen {
        self.pens.get(look.0 as usize).copied().unwrap_or(Pen::DEFAULT)
    }

    /// A symbol's text, which is put into `room` where it is one `char`.
    pub fn text<'a>(&'a self, symbol: Symbol, room: &'a mut [u8; 4]) -> &'a str {
        if symbol.is_covered() {
            return "";
        }
        match char::from_u32(symbol.0) {
            Some(c) => c.encode_utf8(room),
            None => self.texts.get((symbol.0 & !LONG) as usize).map_or(" ", |text| text),
        }
    }

    /// The length of a symbol's text, in bytes.
    pub fn len(&self, symbol: Symbol) -> usize {
        if symbol.0 < 0x80 { usize::from(!symbol.is_covered()) } else { self.text(symbol, &mut [0; 4]).len() }
    }

    /// Whether every terminal agrees how far the cursor moves by writing it.
    pub fn is_certain(&self, symbol: Symbol) -> bool {
        symbol.0 < 0x80 || is_certain(self.text(symbol, &mut [0; 4]))
    }

    pub fn write(&self, symbol: Symbol, out: &mut Vec<u8>) {
        out.extend_from_slice(self.text(symbol, &mut [0; 4]).as_bytes());
    }
}

/// Whether every terminal agrees how far the cursor moves by writing this symbol (which may be none).
pub(super) fn is_certain(symbol: &str) -> bool {
    let mut chars = symbol.chars();
    let Some(first) = chars.next() else {
        return true;
    };
    if !chars.all(|c| matches!(c, '\u{300}'..='\u{36f}')) {
        return false;
    }
    match first {
        // Hangul, CJK and fullwidth forms: wide everywhere. Other wide ones are emoji, wide since this or that version.
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe4f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{20000}'..='\u{3fffd}' => true,
        c => c < '\u{300}' || (c < '\u{1f000}' && symbol.cell_width() == 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_the_same_has_one_number() {
        let mut known = Known::new();
        let mut looks = |fg, bg, underline, modifier| {
            let mut cell = Cell::EMPTY;
            (cell.fg, cell.bg, cell.underline_color, cell.modifier) = (fg, bg, underline, modifier);
            known.looks(&cell)
        };
        let (reset, none) = (Color::Reset, Modifier::empty());
        assert_eq!(looks(reset, reset, reset, none), [Look::PLAIN; 2]);
        let [glyph, blank] = looks(Color::LightCyan, Color::Red, reset, none);
        assert_eq!(looks(Color::Indexed(14), Color::Indexed(1), Color::Green, none), [glyph, blank], "an underline that is not drawn");
        assert_eq!(looks(Color::Blue, Color::Red, reset, Modifier::BOLD)[1], blank, "of a blank the background shows");
        let [glyph, blank] = looks(Color::Blue, Color::Red, reset, Modifier::REVERSED);
        assert_eq!(glyph, blank, "and all of it where it is reversed");
        assert_ne!(looks(reset, reset, Color::Green, Modifier::UNDERLINED), looks(reset, reset, reset, Modifier::UNDERLINED));
        assert_eq!(known.pen(glyph), Pen::new(Color::Indexed(4), Color::Indexed(1), reset, Modifier::REVERSED));
    }
}
