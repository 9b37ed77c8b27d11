//! The shortest way of the terminal's cursor from where it is to where it must be.

use ratatui::layout::Position;

/// Where the terminal's cursor is, as far as that is certain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum At {
    /// After a glyph whose width terminals disagree on, or something we did not send.
    Unknown,
    /// On this cell.
    Cell(Position),
    /// Past the last cell of this row: terminals differ on what a relative move does from there.
    PastEnd(u16),
}

/// Writes the way from `at` to `to`.
pub(super) fn write(at: At, to: Position, out: &mut Vec<u8>) {
    let Position { x, y } = to;
    let (column, row) = match at {
        At::Unknown => return absolute(to, out),
        At::Cell(p) if p == to => return,
        At::Cell(p) => (Some(p.x), p.y),
        At::PastEnd(row) => (None, row),
    };
    let start = out.len();
    horizontal(column, x, out);
    vertical(row, y, out);
    if out.len() - start > absolute_cost(to) {
        out.truncate(start);
        absolute(to, out);
    }
}

/// The length of what `write` would write, in bytes.
pub(super) fn cost(at: At, to: Position, scratch: &mut Vec<u8>) -> usize {
    let start = scratch.len();
    write(at, to, scratch);
    let cost = scratch.len() - start;
    scratch.truncate(start);
    cost
}

/// `CUP`, its defaults left out.
pub(super) fn absolute(Position { x, y }: Position, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\x1b[");
    if y > 0 {
        number(y + 1, out);
    }
    if x > 0 {
        out.push(b';');
        number(x + 1, out);
    }
    out.push(b'H');
}

fn absolute_cost(Position { x, y }: Position) -> usize {
    3 + if y > 0 { digits(y + 1) } else { 0 } + if x > 0 { 1 + digits(x + 1) } else { 0 }
}

/// To column `x`; first, because a carriage return or `CHA` ends the state past the last cell.
fn horizontal(column: Option<u16>, x: u16, out: &mut Vec<u8>) {
    if column == Some(x) {
        return;
    }
    if x == 0 {
        return out.push(b'\r');
    }
    let from_edge = 1 + csi_cost(x);
    let to_column = 3 + digits(x + 1);
    let (relative, back) = match column {
        Some(c) if c < x => (csi_cost(x - c), 0),
        Some(c) => (csi_cost(c - x), c - x),
        None => (usize::MAX, 0),
    };
    if back > 0 && usize::from(back) <= relative.min(from_edge).min(to_column) {
        out.resize(out.len() + usize::from(back), b'\x08');
    } else if relative <= from_edge.min(to_column) {
        csi(x.abs_diff(column.unwrap_or(0)), if back > 0 { b'D' } else { b'C' }, out);
    } else if from_edge < to_column {
        out.push(b'\r');
        csi(x, b'C', out);
    } else {
        out.extend_from_slice(b"\x1b[");
        number(x + 1, out);
        out.push(b'G');
    }
}

/// To row `y`; a line feed only moves (raw mode, and never on the last row).
fn vertical(row: u16, y: u16, out: &mut Vec<u8>) {
    let distance = y.abs_diff(row);
    if distance == 0 {
        return;
    }
    let relative = csi_cost(distance);
    let to_row = 3 + digits(y + 1);
    if y > row && usize::from(distance) <= relative.min(to_row) {
        out.resize(out.len() + usize::from(distance), b'\n');
    } else if relative <= to_row {
        csi(distance, if y > row { b'B' } else { b'A' }, out);
    } else {
        out.extend_from_slice(b"\x1b[");
        number(y + 1, out);
        out.push(b'd');
    }
}

/// `CSI n <end>`, where one is the default.
pub(super) fn csi(n: u16, end: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\x1b[");
    if n != 1 {
        number(n, out);
    }
    out.push(end);
}

fn csi_cost(n: u16) -> usize {
    3 + if n == 1 { 0 } else { digits(n) }
}

pub(super) fn number(n: u16, out: &mut Vec<u8>) {
    if n >= 10 {
        number(n / 10, out);
    }
    out.push(b'0' + (n % 10) as u8);
}

fn digits(n: u16) -> usize {
    match n {
        0..10 => 1,
        10..100 => 2,
        100..1000 => 3,
        1000..10000 => 4,
        _ => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(at: At, x: u16, y: u16) -> String {
        let mut out = Vec::new();
        write(at, Position { x, y }, &mut out);
        assert_eq!(out.len(), cost(at, Position { x, y }, &mut Vec::new()));
        String::from_utf8(out).unwrap().replace('\x1b', "^")
    }

    #[test]
    fn takes_the_shortest_way() {
        let at = At::Cell(Position { x: 10, y: 5 });
        assert_eq!(way(at, 10, 5), "");
        assert_eq!(way(at, 11, 5), "^[C");
        assert_eq!(way(at, 8, 5), "\x08\x08");
        assert_eq!(way(at, 0, 6), "\r\n");
        assert_eq!(way(at, 10, 7), "\n\n");
        assert_eq!(way(at, 10, 4), "^[A");
        assert_eq!(way(at, 0, 0), "^[H");
        assert_eq!(way(at, 70, 20), "^[21;71H");
        assert_eq!(way(At::PastEnd(5), 0, 6), "\r\n");
        assert_eq!(way(At::PastEnd(5), 79, 5), "^[80G");
        assert_eq!(way(At::Unknown, 0, 5), "^[6H");
        assert_eq!(way(At::Unknown, 5, 0), "^[;6H");
    }

    /// The model must agree with a terminal on every way there is.
    #[test]
    fn a_terminal_arrives_where_we_think() {
        let mut parser = vt100::Parser::new(12, 130, 0);
        for (from, to) in (0..1000u16).map(|i| ((i * 37 % 130, i * 7 % 12), (i * 53 % 130, i * 5 % 12))) {
            let mut out = Vec::new();
            absolute(Position { x: from.0, y: from.1 }, &mut out);
            write(At::Cell(from.into()), to.into(), &mut out);
            parser.process(&out);
            assert_eq!(parser.screen().cursor_position(), (to.1, to.0), "{from:?} to {to:?}");
        }
    }
}
