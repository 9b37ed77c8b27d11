//! What a terminal shows, cell by cell, in a sixth of the memory that ratatui's cells take: a frame and the one before it stay in
//! the processor's cache together, and two cells are compared by their numbers.

use ratatui::buffer::{Buffer, Cell, CellDiffOption, CellWidth};
use ratatui::layout::Size;

use super::known::{Known, Look, Symbol};
use super::pen::Pen;

/// A cell, with one way to say each look: see `Grid::take`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Shown {
    pub symbol: Symbol,
    pub look: Look,
}

impl Shown {
    pub const EMPTY: Self = Self { symbol: Symbol::BLANK, look: Look::PLAIN };

    /// Whether nothing of it shows but its background.
    pub fn is_plain_blank(self, known: &Known) -> bool {
        self.symbol == Symbol::BLANK && known.pen(self.look).is_plain_on_blank()
    }

    /// The pen that shows it after `pen`: a plain blank leaves alone what does not show on it.
    pub fn pen_after(self, pen: Pen, known: &Known) -> Pen {
        let own = known.pen(self.look);
        if self.is_plain_blank(known) { pen.erasing(own.bg) } else { own }
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
    pub fn take(&mut self, frame: &Buffer, screen: &Self, known: &mut Known) -> Vec<usize> {
        let width = self.width.max(1);
        let rows = self.cells.chunks_mut(width).zip(frame.content.chunks(width)).zip(screen.cells.chunks(width));
        let mut changed = Vec::with_capacity(self.texts.len());
        for (y, ((row, from), shown)) in rows.enumerate() {
            let mut x = 0;
            while x < row.len() {
                let cell = &from[x];
                // Most cells: written where they stand, not by way of the stack.
                if let ([glyph @ b' '..=b'~'], true) = (cell.symbol().as_bytes(), cell.diff_option != CellDiffOption::Skip) {
                    row[x] = shown_as(Symbol::ascii(*glyph), cell, known);
                    x += 1;
                    continue;
                }
                let (now, covers) = if cell.diff_option == CellDiffOption::Skip {
                    let width = known.text(shown[x].symbol, &mut [0; 4]).cell_width();
                    let keep = width == 1 && !shown.get(x + 1).is_some_and(|next| next.symbol.is_covered());
                    (if keep { shown[x] } else { Shown::EMPTY }, 1)
                } else {
                    glyph(cell, row.len() - x, known)
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
        hash = (hash ^ u64::from(cell.symbol.number())).wrapping_mul(0x100_0000_01b3);
    }
    (!blank).then_some(hash)
}

/// A cell with another symbol than one of ASCII, and how many cells it covers; `rest` are those to the edge.
fn glyph(cell: &Cell, rest: usize, known: &mut Known) -> (Shown, usize) {
    let text = cell.symbol();
    let covers = if text.contains(char::is_control) { 0 } else { usize::from(text.cell_width()) };
    if (1..=rest).contains(&covers) {
        (shown_as(known.symbol(text), cell, known), covers)
    } else {
        (shown_as(Symbol::BLANK, cell, known), 1)
    }
}

/// A cell without what does not show on its symbol.
#[inline(always)]
fn shown_as(symbol: Symbol, cell: &Cell, known: &mut Known) -> Shown {
    let [glyph, blank] = known.looks(cell);
    Shown { symbol, look: if symbol == Symbol::BLANK { blank } else { glyph } }
}
