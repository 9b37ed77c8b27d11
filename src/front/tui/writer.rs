//! Our own ratatui backend: the fewest practical bytes from what the terminal shows to what it must show.
//!
//! A frame is one write: attribute deltas, short moves, erased line ends, moved blocks of rows, nothing at its end.
//! Nothing here asks the process or the terminal: size, `sync` and `bce` come from the caller, so that several
//! terminals can be served by one process. When to draw is `pace`'s business, modes of the terminal are `screen`'s
//! (this counts on raw mode and on autowrap being off or on, whichever: it never relies on it).

mod motion;
mod pen;
mod scroll;

use std::io;

use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::{Buffer, Cell, CellDiffOption, CellWidth};
use ratatui::layout::{Position, Rect, Size};
use ratatui::style::{Color, Modifier};

use motion::At;
use pen::{Pen, VISIBLE_ON_BLANK, is_plain_blank};
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
    screen: Buffer,
    next: Buffer,
    /// `next` holds the frame before the last: it is of no use but for its memory.
    spent: bool,
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
        let empty = Buffer::empty(Rect::new(0, 0, size.width, size.height));
        Self {
            out,
            screen: empty.clone(),
            next: empty,
            spent: false,
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
        let empty = Buffer::empty(Rect::new(0, 0, size.width, size.height));
        self.screen = empty.clone();
        self.next = empty;
        self.spent = false;
        self.stale = true;
    }

    /// Something else wrote to the terminal: the next frame paints everything.
    pub fn redraw(&mut self) {
        self.stale = true;
    }

    /// An empty buffer to draw the next frame into; then `encode` or `present`.
    pub fn start(&mut self) -> &mut Buffer {
        self.next.reset();
        self.spent = false;
        &mut self.next
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
        self.unspend();
        if self.stale {
            self.screen.reset();
            self.term = Term { at: At::Cell((0, 0).into()), pen: Pen::DEFAULT };
            self.shown = true;
            self.stale = false;
            out.extend_from_slice(b"\x1b[m\x1b[H\x1b[2J");
        }
        normalise(&mut self.next, &self.screen);
        self.encode_cells(out);
        self.encode_cursor(out);
        if self.sync && out.len() - start > SYNC_FROM {
            out.splice(start..start, *b"\x1b[?2026h");
            out.extend_from_slice(b"\x1b[?2026l");
        }
        std::mem::swap(&mut self.screen, &mut self.next);
        self.spent = true;
    }

    /// For who draws on what was there and does not `start` anew.
    fn unspend(&mut self) {
        if std::mem::take(&mut self.spent) {
            self.next.content.clone_from(&self.screen.content);
        }
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

    fn encode_cells(&mut self, out: &mut Vec<u8>) {
        let changed = changed_rows(&self.screen, &self.next);
        let before = self.term;
        let start = out.len();
        // What moved is looked for first: the frame of a table that scrolls is long without it, and need not be written out.
        let Some(scroll) = Scroll::find(&self.screen, &self.next, &changed) else {
            paint(&self.screen, &self.next, self.bce, &changed, usize::MAX, &mut self.term, out);
            return;
        };
        let mut term = before;
        // The rows that come into view are erased: with the default background, and no attribute that shows.
        term.set_pen(term.pen.erasing(Color::Reset), out);
        term.at = scroll.write(self.next.area.height, out);
        let mut screen = self.screen.clone();
        scroll.apply(&mut screen);
        paint(&screen, &self.next, self.bce, &changed_rows(&screen, &self.next), usize::MAX, &mut term, out);
        let most = out.len() - start;
        let mut plain = Vec::with_capacity(most);
        self.term = before;
        if paint(&self.screen, &self.next, self.bce, &changed, most, &mut self.term, &mut plain) {
            out.truncate(start);
            out.append(&mut plain);
        } else {
            self.term = term;
        }
    }

    fn encode_cursor(&mut self, out: &mut Vec<u8>) {
        let Rect { width, height, .. } = self.next.area;
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
        self.unspend();
        // ratatui may send the cells that a wide glyph of the same pass covers: the glyph stands.
        let mut covered = (Position::ORIGIN, 0);
        for (x, y, cell) in content {
            let (Position { x: from, y: row }, until) = covered;
            if (y == row && x > from && x < until) || x >= self.next.area.width || y >= self.next.area.height {
                continue;
            }
            let behind = (x + 1..self.next.area.width).take_while(|x| self.next[(*x, y)].symbol().is_empty()).count();
            for x in x + 1..=x + behind as u16 {
                self.next[(x, y)] = Cell::EMPTY;
            }
            self.next[(x, y)] = cell.clone();
            covered = (Position { x, y }, x.saturating_add(cell.cell_width()));
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
        self.next.reset();
        self.spent = false;
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
        Ok(self.next.area.as_size())
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize { columns_rows: self.next.area.as_size(), pixels: Size::ZERO })
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
    fn approach(&mut self, to: Position, cells: &[Cell], out: &mut Vec<u8>) {
        let target = &cells[usize::from(to.x)];
        if let At::Cell(at) = self.at
            && at.y == to.y
            && at.x < to.x
            && to.x - at.x <= GAP
        {
            let gap = &cells[usize::from(at.x)..usize::from(to.x)];
            let by_move = motion::cost(self.at, to, out) + self.pen.towards(target).cost(self.pen);
            let mut last = self.pen;
            let mut by_text = 0;
            for cell in gap {
                let pen = last.towards(cell);
                by_text += pen.cost(last) + cell.symbol().len();
                last = pen;
                if by_text > by_move {
                    break;
                }
            }
            by_text += last.towards(target).cost(last);
            if by_text <= by_move && !gap[0].symbol().is_empty() && gap.iter().all(is_certain) {
                for cell in gap.iter().filter(|cell| !cell.symbol().is_empty()) {
                    self.set_pen(self.pen.towards(cell), out);
                    out.extend_from_slice(cell.symbol().as_bytes());
                }
                self.at = At::Cell(to);
            }
        }
        self.go(to, out);
        self.set_pen(self.pen.towards(target), out);
    }
}

/// Makes `next` say one thing in one way, so that equal cells look equal and the other way round: a wide glyph owns the
/// cells it covers (empty symbol, its style), what cannot be shown (control characters, a wide glyph cut by the edge,
/// nothing) is a blank, a blank has only what shows on it, and a skipped cell is what the screen has.
fn normalise(next: &mut Buffer, screen: &Buffer) {
    let width = usize::from(next.area.width).max(1);
    for (row, shown) in next.content.chunks_mut(width).zip(screen.content.chunks(width)) {
        let mut x = 0;
        while x < row.len() {
            let rest = row.len() - x;
            let cell = &mut row[x];
            if cell.diff_option == CellDiffOption::None
                && let [glyph @ b' '..=b'~'] = cell.symbol().as_bytes()
            {
                let blank = *glyph == b' ';
                simplify(cell, blank);
                x += 1;
                continue;
            }
            if cell.diff_option != CellDiffOption::None {
                if cell.diff_option == CellDiffOption::Skip {
                    let keep = shown[x].symbol().cell_width() == 1 && !shown.get(x + 1).is_some_and(|c| c.symbol().is_empty());
                    *cell = if keep { shown[x].clone() } else { Cell::EMPTY };
                }
                cell.set_diff_option(CellDiffOption::None);
            }
            let symbol = cell.symbol();
            let covers = match symbol.as_bytes() {
                [b' '..=b'~'] => 1,
                _ if symbol.contains(char::is_control) => 0,
                _ => usize::from(symbol.cell_width()),
            };
            if covers == 0 || covers > rest {
                cell.set_symbol(" ");
            }
            let blank = cell.symbol() == " ";
            simplify(cell, blank);
            let head = cell.clone();
            let covers = if covers > rest { 1 } else { covers.max(1) };
            for cell in &mut row[x + 1..x + covers] {
                *cell = head.clone();
                cell.set_symbol("");
            }
            x += covers;
        }
    }
}

/// Takes away what does not show on the cell, which holds a blank or a glyph.
fn simplify(cell: &mut Cell, blank: bool) {
    if !cell.modifier.contains(Modifier::UNDERLINED) {
        cell.underline_color = Color::Reset;
    }
    if blank && !cell.modifier.intersects(VISIBLE_ON_BLANK) {
        cell.fg = Color::Reset;
        cell.modifier = Modifier::empty();
    }
}

/// Whether two normalised cells are the same: as `==`, which compares the symbols first and by a call.
fn same(a: &Cell, b: &Cell) -> bool {
    let (x, y) = (a.symbol().as_bytes(), b.symbol().as_bytes());
    let symbols = match (x, y) {
        ([x], [y]) => x == y,
        _ => x == y,
    };
    symbols && a.fg == b.fg && a.bg == b.bg && a.modifier == b.modifier && a.underline_color == b.underline_color
}

/// The rows that differ.
fn changed_rows(screen: &Buffer, next: &Buffer) -> Vec<usize> {
    let width = usize::from(next.area.width).max(1);
    let differ = |(old, new): (&[Cell], &[Cell])| old.iter().zip(new).any(|(old, new)| !same(old, new));
    let rows = screen.content.chunks(width).zip(next.content.chunks(width)).enumerate();
    rows.filter_map(|(y, pair)| differ(pair).then_some(y)).collect()
}

/// Whether every terminal agrees how far the cursor moves by writing `cell` (which may be covered by a wide one).
fn is_certain(cell: &Cell) -> bool {
    if let [_] = cell.symbol().as_bytes() {
        return true;
    }
    let mut chars = cell.symbol().chars();
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
        c => c < '\u{300}' || (c < '\u{1f000}' && cell.symbol().cell_width() == 1),
    }
}

/// Writes the rows that changed. Gives up, and says so, when that takes more than `most` bytes.
fn paint(screen: &Buffer, next: &Buffer, bce: bool, changed: &[usize], most: usize, term: &mut Term, out: &mut Vec<u8>) -> bool {
    let width = usize::from(next.area.width).max(1);
    let mut erased = Vec::new();
    for y in changed {
        let (old, new) = (&screen.content[y * width..(y + 1) * width], &next.content[y * width..(y + 1) * width]);
        let (start, before, y) = (out.len(), *term, *y as u16);
        paint_row(|x| &old[x], new, y, bce, usize::MAX, term, out);
        if out.len() > most {
            return false;
        }
        let bg = new.last().filter(|cell| is_plain_blank(cell)).map_or(Color::Reset, |cell| cell.bg);
        let plain = out.len() - start;
        if plain < TRY_ROW || !(bce || bg == Color::Reset) {
            continue;
        }
        // A row with many blanks is shorter when it is erased first.
        let Some(first) = old.iter().zip(new).position(|(old, new)| !same(old, new)) else { continue };
        let glyphs: usize = new[first..].iter().filter(|cell| cell.symbol() != " ").map(|cell| cell.symbol().len()).sum();
        if glyphs >= plain {
            continue;
        }
        erased.clear();
        let mut other = before;
        other.go(Position { x: first as u16, y }, &mut erased);
        other.erase_with(bg, &mut erased);
        erased.extend_from_slice(b"\x1b[K");
        let mut blank = Cell::EMPTY;
        blank.set_bg(bg);
        paint_row(|x| if x < first { &old[x] } else { &blank }, new, y, bce, plain, &mut other, &mut erased);
        if erased.len() < plain {
            out.truncate(start);
            out.extend_from_slice(&erased);
            *term = other;
        }
    }
    true
}

/// Writes what differs in a row; stops where that is `most` bytes already.
fn paint_row<'a>(old: impl Fn(usize) -> &'a Cell, new: &[Cell], y: u16, bce: bool, most: usize, term: &mut Term, out: &mut Vec<u8>) {
    let width = new.len();
    let Some(last) = (0..width).rposition(|x| !same(old(x), &new[x])) else {
        return;
    };
    let mut stop = last + 1;
    let tail = &new[width - 1];
    let tail_from = if is_plain_blank(tail) { new.iter().rposition(|cell| !same(cell, tail)).map_or(0, |x| x + 1) } else { width };
    let can_erase = |cell: &Cell| is_plain_blank(cell) && (bce || cell.bg == Color::Reset);
    // Cells before this are written whatever was there.
    let mut doubtful = 0;
    let mut x = 0;
    while x < stop && out.len() < most {
        let cell = &new[x];
        let covers = 1 + new[x + 1..].iter().take_while(|cell| cell.symbol().is_empty()).count();
        if x >= doubtful && (x..x + covers).all(|x| same(old(x), &new[x])) {
            x += covers;
            continue;
        }
        let at = Position { x: x as u16, y };
        term.approach(at, new, out);
        if x >= tail_from && stop - x > 3 && can_erase(cell) {
            out.extend_from_slice(b"\x1b[K");
            return;
        }
        if can_erase(cell) {
            let run = new[x..stop].iter().take_while(|other| same(other, cell)).count();
            if run >= ERASE_RUN {
                motion::csi(run as u16, b'X', out);
                x += run;
                continue;
            }
        }
        if is_certain(cell) {
            out.extend_from_slice(cell.symbol().as_bytes());
            let after = (x + covers) as u16;
            term.at = if usize::from(after) < width { At::Cell(Position { x: after, y }) } else { At::PastEnd(y) };
        } else {
            // Terminals disagree: nothing of what was there may remain, and what follows is written again, in its place.
            motion::csi(covers as u16, b'X', out);
            out.extend_from_slice(cell.symbol().as_bytes());
            term.at = At::Unknown;
            doubtful = (x + covers + 2).min(width);
            stop = stop.max(doubtful);
        }
        x += covers;
    }
}

#[cfg(test)]
mod tests;
