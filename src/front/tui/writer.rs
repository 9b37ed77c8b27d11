//! Our own ratatui backend: the fewest practical bytes from what the terminal shows to what it must show.
//!
//! A frame is one write: attribute deltas, short moves, erased line ends, moved blocks of rows, nothing at its end.
//! Nothing here asks the process or the terminal: size, `sync` and `bce` come from the caller, so that several
//! terminals can be served by one process. When to draw is `pace`'s business, modes of the terminal are `screen`'s
//! (this counts on raw mode and on autowrap being off or on, whichever: it never relies on it).

mod grid;
mod known;
mod motion;
mod pen;
mod scroll;

use std::io;

use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::{Buffer, Cell, CellWidth};
use ratatui::layout::{Position, Rect, Size};
use ratatui::style::Color;

use grid::{Grid, Shown};
use known::{Known, Symbol};
use motion::At;
use pen::Pen;
use scroll::Scroll;

/// Frames longer than this many bytes are bracketed by synchronized output, where it is on.
const SYNC_FROM: usize = 4096;
/// A run of this many blanks is erased (`ECH` and a move) and not written.
const ERASE_RUN: usize = 10;
/// Unchanged cells that are looked at as a way to the next change.
const GAP: u16 = 16;
/// Rows of fewer bytes are not tried another way.
const TRY_ROW: usize = 16;

/// What the terminal shows, what it should show, and where its cursor and attributes are.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    /// What is drawn into.
    drawn: Buffer,
    screen: Grid,
    next: Grid,
    known: Known,
    term: Term,
    frame: Vec<u8>,
    /// The terminal shows something else than `screen` says: everything is painted.
    stale: bool,
    /// Where the cursor is wanted; hidden when nowhere.
    cursor: Option<Position>,
    shown: bool,
    sync: bool,
    bce: bool,
}

#[derive(Clone, Copy, Debug)]
struct Term {
    at: At,
    pen: Pen,
}

impl<W: io::Write> Writer<W> {
    /// A writer for a terminal of `size`, about which nothing else is known: the first frame paints everything.
    /// `out` should not be buffered by line (`std::io::Stdout` is).
    pub fn new(out: W, size: Size) -> Self {
        Self {
            out,
            drawn: Buffer::empty(Rect::new(0, 0, size.width, size.height)),
            screen: Grid::new(size),
            next: Grid::new(size),
            known: Known::new(),
            term: Term { at: At::Unknown, pen: Pen::DEFAULT },
            frame: Vec::new(),
            stale: true,
            cursor: None,
            shown: true,
            sync: false,
            bce: true,
        }
    }

    /// Whether long frames are bracketed by synchronized output (mode 2026): only where the terminal said it has it.
    pub fn set_sync(&mut self, on: bool) {
        self.sync = on;
    }

    /// Whether the terminal erases to the current background colour (on at first). GNU screen does not.
    pub fn set_bce(&mut self, on: bool) {
        self.bce = on;
    }

    /// The terminal has another size: the next frame starts from an empty buffer and paints everything.
    pub fn resize(&mut self, size: Size) {
        self.drawn = Buffer::empty(Rect::new(0, 0, size.width, size.height));
        self.screen = Grid::new(size);
        self.next = Grid::new(size);
        self.stale = true;
    }

    /// Something else wrote to the terminal: the next frame paints everything.
    pub fn redraw(&mut self) {
        self.stale = true;
    }

    /// The buffer to draw the next frame into, which holds what was left in it: every cell of it is painted, then comes `encode` or
    /// `present`.
    pub fn buffer(&mut self) -> &mut Buffer {
        &mut self.drawn
    }

    /// Where the cursor is shown after the next frame; hidden with `None`.
    pub fn set_cursor(&mut self, cursor: Option<Position>) {
        self.cursor = cursor;
    }

    /// The underlying writer, for sequences that leave cursor and attributes alone.
    pub fn out(&mut self) -> &mut W {
        &mut self.out
    }

    /// Appends what brings the terminal from what it shows to the frame that was drawn; nothing when nothing changed.
    /// The terminal counts as showing it from here on: who does not write the bytes calls `redraw`.
    pub fn encode(&mut self, out: &mut Vec<u8>) {
        let start = out.len();
        self.stale |= self.known.is_full();
        if self.stale {
            self.screen.clear();
            self.known = Known::new();
            self.term = Term { at: At::Cell((0, 0).into()), pen: Pen::DEFAULT };
            self.shown = true;
            self.stale = false;
            out.extend_from_slice(b"\x1b[m\x1b[H\x1b[2J");
        }
        let changed = self.next.take(&self.drawn, &self.screen, &mut self.known);
        self.encode_cells(&changed, out);
        self.encode_cursor(out);
        if self.sync && out.len() - start > SYNC_FROM {
            out.splice(start..start, *b"\x1b[?2026h");
            out.extend_from_slice(b"\x1b[?2026l");
        }
        std::mem::swap(&mut self.screen, &mut self.next);
    }

    /// Writes the frame that was drawn, and `tail` after it if there was anything to write. Returns the bytes of the frame.
    pub fn present(&mut self, tail: &[u8]) -> io::Result<usize> {
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        self.encode(&mut frame);
        let len = frame.len();
        let written = if len > 0 {
            frame.extend_from_slice(tail);
            self.out.write_all(&frame).and_then(|()| self.out.flush())
        } else {
            Ok(())
        };
        self.frame = frame;
        // A part of it may be on the screen.
        self.stale |= written.is_err();
        written.map(|()| len)
    }

    fn encode_cells(&mut self, changed: &[usize], out: &mut Vec<u8>) {
        let Self { screen, next, known, term, bce, .. } = self;
        let painter = Painter { next, known, bce: *bce };
        let plainly = |y: usize| screen.row(y);
        let before = *term;
        let start = out.len();
        // What moved is looked for first: the frame of a table that scrolls is long without it, and need not be written out.
        let Some(scroll) = Scroll::find(screen, next, changed) else {
            painter.paint(plainly, changed, usize::MAX, term, out);
            return;
        };
        // The rows that come into view are erased: with the default background, and no attribute that shows.
        term.set_pen(term.pen.erasing(Color::Reset), out);
        term.at = scroll.write(next.height() as u16, out);
        let fresh = vec![Shown::EMPTY; next.width()];
        let moved = |y: usize| scroll.source(y).map_or(fresh.as_slice(), |from| screen.row(from));
        painter.paint(moved, &painter.changed(moved), usize::MAX, term, out);
        let most = out.len() - start;
        let mut plain = Vec::with_capacity(most);
        let mut other = before;
        if painter.paint(plainly, changed, most, &mut other, &mut plain) {
            out.truncate(start);
            out.append(&mut plain);
            *term = other;
        }
    }

    fn encode_cursor(&mut self, out: &mut Vec<u8>) {
        let Rect { width, height, .. } = self.drawn.area;
        if let Some(Position { x, y }) = self.cursor.filter(|p| p.x < width && p.y < height) {
            self.term.go(Position { x, y }, out);
            if !self.shown {
                out.extend_from_slice(b"\x1b[?25h");
                self.shown = true;
            }
        } else if self.shown {
            out.extend_from_slice(b"\x1b[?25l");
            self.shown = false;
        }
    }
}

impl<W: io::Write> Backend for Writer<W> {
    type Error = io::Error;

    fn draw<'a, I: Iterator<Item = (u16, u16, &'a Cell)>>(&mut self, content: I) -> io::Result<()> {
        let Rect { width, height, .. } = self.drawn.area;
        // ratatui may send the cells that a wide glyph of the same pass covers: the glyph stands.
        let mut covered = (Position::ORIGIN, 0);
        for (x, y, cell) in content {
            let (Position { x: from, y: row }, until) = covered;
            if (y == row && x > from && x < until) || x >= width || y >= height {
                continue;
            }
            self.drawn[(x, y)] = cell.clone();
            let until = x.saturating_add(cell.cell_width());
            for x in x + 1..until.min(width) {
                self.drawn[(x, y)] = Cell::EMPTY;
            }
            covered = (Position { x, y }, until);
        }
        Ok(())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.cursor = None;
        Ok(())
    }

    /// Shown where it was set last, with the next `flush`.
    fn show_cursor(&mut self) -> io::Result<()> {
        self.cursor = self.cursor.or(Some(Position::ORIGIN));
        Ok(())
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(self.cursor.unwrap_or(Position::ORIGIN))
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        if self.cursor.is_some() {
            self.cursor = Some(position.into());
        }
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.drawn.reset();
        self.stale = true;
        Ok(())
    }

    fn clear_region(&mut self, clear_type: ClearType) -> io::Result<()> {
        match clear_type {
            ClearType::All => self.clear(),
            _ => Err(io::Error::new(io::ErrorKind::Unsupported, "this backend draws full screens")),
        }
    }

    fn size(&self) -> io::Result<Size> {
        Ok(self.drawn.area.as_size())
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize { columns_rows: self.drawn.area.as_size(), pixels: Size::ZERO })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.present(&[]).map(|_| ())
    }
}

impl Term {
    fn go(&mut self, to: Position, out: &mut Vec<u8>) {
        motion::write(self.at, to, out);
        self.at = At::Cell(to);
    }

    fn set_pen(&mut self, pen: Pen, out: &mut Vec<u8>) {
        pen.write(self.pen, out);
        self.pen = pen;
    }

    /// Sets the pen to erase to `bg`.
    fn erase_with(&mut self, bg: Color, out: &mut Vec<u8>) {
        self.set_pen(self.pen.erasing(bg), out);
    }

    /// To `to`, in the row `cells`, ready to write what is there: by a move, or by writing again the few unchanged cells
    /// on the way where that is shorter.
    fn approach(&mut self, to: Position, cells: &[Shown], known: &Known, out: &mut Vec<u8>) {
        let target = &cells[usize::from(to.x)];
        if let At::Cell(at) = self.at
            && at.y == to.y
            && at.x < to.x
            && to.x - at.x <= GAP
        {
            let gap = &cells[usize::from(at.x)..usize::from(to.x)];
            let by_move = motion::cost(self.at, to, out) + target.pen_after(self.pen, known).cost(self.pen);
            let mut last = self.pen;
            let mut by_text = 0;
            for cell in gap {
                let pen = cell.pen_after(last, known);
                by_text += pen.cost(last) + known.len(cell.symbol);
                last = pen;
                if by_text > by_move {
                    break;
                }
            }
            by_text += target.pen_after(last, known).cost(last);
            if by_text <= by_move && !gap[0].symbol.is_covered() && gap.iter().all(|cell| known.is_certain(cell.symbol)) {
                for cell in gap.iter().filter(|cell| !cell.symbol.is_covered()) {
                    self.set_pen(cell.pen_after(self.pen, known), out);
                    known.write(cell.symbol, out);
                }
                self.at = At::Cell(to);
            }
        }
        self.go(to, out);
        self.set_pen(target.pen_after(self.pen, known), out);
    }
}

/// Writes rows of a frame, given what the terminal has there.
#[derive(Clone, Copy)]
struct Painter<'a> {
    next: &'a Grid,
    known: &'a Known,
    bce: bool,
}

impl Painter<'_> {
    /// The rows that differ from `old`.
    fn changed<'a>(self, old: impl Fn(usize) -> &'a [Shown]) -> Vec<usize> {
        (0..self.next.height()).filter(|y| old(*y) != self.next.row(*y)).collect()
    }

    /// Writes the rows that changed. Gives up, and says so, when that takes more than `most` bytes.
    fn paint<'a>(self, old: impl Fn(usize) -> &'a [Shown], changed: &[usize], most: usize, term: &mut Term, out: &mut Vec<u8>) -> bool {
        let mut erased = Vec::new();
        for y in changed {
            let (old, new) = (old(*y), self.next.row(*y));
            let (start, before, y) = (out.len(), *term, *y as u16);
            self.paint_row(|x| &old[x], new, y, usize::MAX, term, out);
            if out.len() > most {
                return false;
            }
            let blank = new.last().filter(|cell| cell.is_plain_blank(self.known)).map_or(Shown::EMPTY, |cell| *cell);
            let bg = self.known.pen(blank.look).bg;
            let plain = out.len() - start;
            if plain < TRY_ROW || !(self.bce || bg == Color::Reset) {
                continue;
            }
            // A row with many blanks is shorter when it is erased first.
            let Some(first) = old.iter().zip(new).position(|(old, new)| old != new) else { continue };
            let glyphs: usize =
                new[first..].iter().filter(|cell| cell.symbol != Symbol::BLANK).map(|cell| self.known.len(cell.symbol)).sum();
            if glyphs >= plain {
                continue;
            }
            erased.clear();
            let mut other = before;
            other.go(Position { x: first as u16, y }, &mut erased);
            other.erase_with(bg, &mut erased);
            erased.extend_from_slice(b"\x1b[K");
            self.paint_row(|x| if x < first { &old[x] } else { &blank }, new, y, plain, &mut other, &mut erased);
            if erased.len() < plain {
                out.truncate(start);
                out.extend_from_slice(&erased);
                *term = other;
            }
        }
        true
    }

    /// Writes what differs in a row; stops where that is `most` bytes already.
    fn paint_row<'a>(self, old: impl Fn(usize) -> &'a Shown, new: &[Shown], y: u16, most: usize, term: &mut Term, out: &mut Vec<u8>) {
        let width = new.len();
        let Some(last) = (0..width).rposition(|x| old(x) != &new[x]) else {
            return;
        };
        let mut stop = last + 1;
        let tail = &new[width - 1];
        let tail_from =
            if tail.is_plain_blank(self.known) { new.iter().rposition(|cell| cell != tail).map_or(0, |x| x + 1) } else { width };
        let can_erase = |cell: &Shown| cell.is_plain_blank(self.known) && (self.bce || self.known.pen(cell.look).bg == Color::Reset);
        // Cells before this are written whatever was there.
        let mut doubtful = 0;
        let mut x = 0;
        while x < stop && out.len() < most {
            let cell = &new[x];
            let covers = 1 + new[x + 1..].iter().take_while(|cell| cell.symbol.is_covered()).count();
            if x >= doubtful && (x..x + covers).all(|x| old(x) == &new[x]) {
                x += covers;
                continue;
            }
            let at = Position { x: x as u16, y };
            term.approach(at, new, self.known, out);
            if x >= tail_from && stop - x > 3 && can_erase(cell) {
                out.extend_from_slice(b"\x1b[K");
                return;
            }
            if can_erase(cell) {
                let run = new[x..stop].iter().take_while(|other| *other == cell).count();
                if run >= ERASE_RUN {
                    motion::csi(run as u16, b'X', out);
                    x += run;
                    continue;
                }
            }
            if self.known.is_certain(cell.symbol) {
                self.known.write(cell.symbol, out);
                let after = (x + covers) as u16;
                term.at = if usize::from(after) < width { At::Cell(Position { x: after, y }) } else { At::PastEnd(y) };
            } else {
                // Terminals disagree: nothing of what was there may remain, and what follows is written again, in its place.
                motion::csi(covers as u16, b'X', out);
                self.known.write(cell.symbol, out);
                term.at = At::Unknown;
                doubtful = (x + covers + 2).min(width);
                stop = stop.max(doubtful);
            }
            x += covers;
        }
    }
}

#[cfg(test)]
mod tests;
