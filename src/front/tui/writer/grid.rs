//! What a terminal shows, cell by cell, in a third of the memory that ratatui's cells take: a frame and the one before it stay in
//! the processor's cache together, and two cells are compared by their numbers.

use hashbrown::HashMap;
use ratatui::buffer::{Buffer, Cell, CellDiffOption, CellWidth};
use ratatui::layout::Size;
use ratatui::style::{Color, Modifier};

use super::pen::{self, VISIBLE_ON_BLANK};

/// Symbols of more than one `char` that are kept; when there are more the next frame paints everything.
const MOST_LONG: usize = 4096;
/// Marks the number of a symbol of more than one `char`.
const LONG: u32 = 1 << 31;

/// What one cell shows: a `char`, the number of a longer symbol, or nothing where a wide glyph covers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Symbol(u32);

impl Symbol {
    pub const BLANK: Self = Self(' ' as u32);
    const COVERED: Self = Self(0);

    /// Whether a wide glyph before it covers the cell.
    pub fn is_covered(self) -> bool {
        self == Self::COVERED
    }
}

/// A colour as a number: a named one is its place in the palette, as it is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Hue(u32);

impl Hue {
    pub const RESET: Self = Self(0);
    const INDEXED: u8 = 1;
    const RGB: u8 = 2;
}

impl From<Color> for Hue {
    fn from(color: Color) -> Self {
        Self(u32::from_be_bytes(match color {
            Color::Reset => return Self::RESET,
            Color::Rgb(r, g, b) => [Self::RGB, r, g, b],
            of_palette => [Self::INDEXED, 0, 0, pen::index(of_palette)],
        }))
    }
}

impl From<Hue> for Color {
    fn from(hue: Hue) -> Self {
        match hue.0.to_be_bytes() {
            [Hue::RGB, r, g, b] => Self::Rgb(r, g, b),
            [Hue::INDEXED, .., n] => Self::Indexed(n),
            _ => Self::Reset,
        }
    }
}

/// A cell, with one way to say each look: see `Grid::take`.
#[derive(Clone, Copy, Eq, Debug)]
pub(super) struct Shown {
    pub symbol: Symbol,
    pub fg: Hue,
    pub bg: Hue,
    pub underline: Hue,
    pub modifier: Modifier,
}

/// All at once: which part differs is anybody's guess, the processor's too.
impl PartialEq for Shown {
    fn eq(&self, other: &Self) -> bool {
        let hues = (self.fg.0 ^ other.fg.0) | (self.bg.0 ^ other.bg.0) | (self.underline.0 ^ other.underline.0);
        let modifiers = self.modifier.bits() ^ other.modifier.bits();
        (self.symbol.0 ^ other.symbol.0) | hues | u32::from(modifiers) == 0
    }
}

impl Shown {
    pub const EMPTY: Self = Self::blank(Hue::RESET);

    pub const fn blank(bg: Hue) -> Self {
        Self { symbol: Symbol::BLANK, fg: Hue::RESET, bg, underline: Hue::RESET, modifier: Modifier::empty() }
    }
}

/// The symbols of more than one `char`, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    texts: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u32>,
}

impl Symbols {
    /// Whether it is time to forget them all, and what is on the screen with them.
    pub fn is_full(&self) -> bool {
        self.texts.len() > MOST_LONG
    }

    pub fn clear(&mut self) {
        self.texts.clear();
        self.numbers.clear();
    }

    fn of(&mut self, text: &str) -> Symbol {
        let mut chars = text.chars();
        if let (Some(c), None) = (chars.next(), chars.next()) {
            return Symbol(c.into());
        }
        if let Some(n) = self.numbers.get(text) {
            return Symbol(LONG | n);
        }
        let n = self.texts.len() as u32;
        self.texts.push(text.into());
        self.numbers.insert(text.into(), n);
        Symbol(LONG | n)
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

/// The cells of a screen, row after row.
#[derive(Debug)]
pub(super) struct Grid {
    cells: Vec<Shown>,
    width: usize,
    /// What each row says, whatever its colours: a hash; nothing of an empty row, which looks like every other.
    texts: Vec<Option<u64>>,
}

impl Grid {
    pub fn new(size: Size) -> Self {
        let (width, height) = (usize::from(size.width), usize::from(size.height));
        Self { cells: vec![Shown::EMPTY; width * height], width, texts: vec![None; height] }
    }

    /// Every cell is a blank.
    pub fn clear(&mut self) {
        self.cells.fill(Shown::EMPTY);
        self.texts.fill(None);
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn height(&self) -> usize {
        self.texts.len()
    }

    /// What a row says: a hash; nothing of an empty one.
    pub fn text(&self, y: usize) -> Option<u64> {
        self.texts[y]
    }

    pub fn row(&self, y: usize) -> &[Shown] {
        &self.cells[y * self.width..(y + 1) * self.width]
    }

    #[cfg(test)]
    pub fn cells(&self) -> &[Shown] {
        &self.cells
    }

    /// Takes `frame` (of the same size), and says one thing in one way, so that equal cells look equal and the other way round: a wide
    /// glyph owns the cells it covers (no symbol, its style), what cannot be shown (control characters, a wide glyph cut by the edge,
    /// nothing) is a blank, a blank has only what shows on it, and a skipped cell is what the `screen` has. Returns the rows that differ
    /// from the screen's.
    pub fn take(&mut self, frame: &Buffer, screen: &Self, symbols: &mut Symbols) -> Vec<usize> {
        let width = self.width.max(1);
        let rows = self.cells.chunks_mut(width).zip(frame.content.chunks(width)).zip(screen.cells.chunks(width));
        let mut changed = Vec::with_capacity(self.texts.len());
        for (y, ((row, from), shown)) in rows.enumerate() {
            let mut x = 0;
            while x < row.len() {
                let cell = &from[x];
                // Most cells: written where they stand, not by way of the stack.
                if let ([glyph @ b' '..=b'~'], true) = (cell.symbol().as_bytes(), cell.diff_option != CellDiffOption::Skip) {
                    row[x] = look(Symbol((*glyph).into()), cell);
                    x += 1;
                    continue;
                }
                let (now, covers) = if cell.diff_option == CellDiffOption::Skip {
                    let width = symbols.text(shown[x].symbol, &mut [0; 4]).cell_width();
                    let keep = width == 1 && !shown.get(x + 1).is_some_and(|next| next.symbol.is_covered());
                    (if keep { shown[x] } else { Shown::EMPTY }, 1)
                } else {
                    glyph(cell, row.len() - x, symbols)
                };
                row[x] = now;
                row[x + 1..x + covers].fill(Shown { symbol: Symbol::COVERED, ..now });
                x += covers;
            }
            self.texts[y] = text(row);
            if row != shown {
                changed.push(y);
            }
        }
        changed
    }
}

/// A hash of the row's text.
fn text(row: &[Shown]) -> Option<u64> {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut blank = true;
    for cell in row {
        blank &= cell.symbol == Symbol::BLANK;
        hash = (hash ^ u64::from(cell.symbol.0)).wrapping_mul(0x100_0000_01b3);
    }
    (!blank).then_some(hash)
}

/// A cell with another symbol than one of ASCII, and how many cells it covers; `rest` are those to the edge.
fn glyph(cell: &Cell, rest: usize, symbols: &mut Symbols) -> (Shown, usize) {
    let text = cell.symbol();
    let covers = if text.contains(char::is_control) { 0 } else { usize::from(text.cell_width()) };
    if (1..=rest).contains(&covers) { (look(symbols.of(text), cell), covers) } else { (look(Symbol::BLANK, cell), 1) }
}

/// A cell without what does not show on its symbol.
#[inline(always)]
fn look(symbol: Symbol, cell: &Cell) -> Shown {
    let underline = if cell.modifier.contains(Modifier::UNDERLINED) { cell.underline_color.into() } else { Hue::RESET };
    if symbol == Symbol::BLANK && !cell.modifier.intersects(VISIBLE_ON_BLANK) {
        return Shown::blank(cell.bg.into());
    }
    Shown { symbol, fg: cell.fg.into(), bg: cell.bg.into(), underline, modifier: cell.modifier }
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
    fn a_hue_is_its_colour() {
        let all = std::iter::once(Color::Reset).chain((0..=255).map(Color::Indexed)).chain((0..=255).map(|n| Color::Rgb(n, 255 - n, 7)));
        for color in all {
            assert_eq!(Color::from(Hue::from(color)), color);
        }
        assert_eq!(Color::from(Hue::from(Color::LightCyan)), Color::Indexed(14), "written the same way");
        assert_eq!(Hue::from(Color::Reset), Hue::RESET);
    }
}
