//! Finds a block of rows that moved up or down, so that the terminal can move it for a dozen bytes.

use super::grid::{Grid, Shown};
use super::motion::{self, At};

/// Rows `top..=bottom` move by `by`: up when positive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Scroll {
    top: u16,
    bottom: u16,
    by: i32,
}

/// Cells that a scroll has to save before it is worth a try.
const WORTH: i64 = 24;

impl Scroll {
    /// The most useful scroll on the way from `screen` to `next` (same size), if there is one; `changed` are
    /// the rows that differ, in order.
    pub fn find(screen: &Grid, next: &Grid, changed: &[usize]) -> Option<Self> {
        let (old, new) = (|y| screen.row(y), |y| next.row(y));
        let height = next.height();
        let by = most_voted_shift(screen, next, changed)?;
        let shift = by.unsigned_abs() as usize;
        // Per row of `next`: cells saved when it comes from `shift` rows away, and when it starts out blank.
        let mut here = vec![0; height];
        for y in changed {
            here[*y] = differing(old(*y), new(*y));
        }
        let moved: Vec<i64> = (0..height)
            .map(|y| match source(y, by, height) {
                Some(from) => here[y] - differing(old(from), new(y)),
                None => i64::MIN / 4096,
            })
            .collect();
        let blanked: Vec<i64> = (0..height).map(|y| here[y] - new(y).iter().filter(|c| **c != Shown::EMPTY).count() as i64).collect();
        let (moved, blanked) = (sums(&moved), sums(&blanked));
        let mut best: Option<(i64, usize, usize)> = None;
        for top in 0..height {
            for bottom in top + shift..height {
                // The rows that come into view are at the end that the block moves away from.
                let gain = if by > 0 {
                    moved[bottom + 1 - shift] - moved[top] + blanked[bottom + 1] - blanked[bottom + 1 - shift]
                } else {
                    moved[bottom + 1] - moved[top + shift] + blanked[top + shift] - blanked[top]
                };
                if gain >= WORTH && best.is_none_or(|(most, ..)| gain > most) {
                    best = Some((gain, top, bottom));
                }
            }
        }
        best.map(|(_, top, bottom)| Self { top: top as u16, bottom: bottom as u16, by })
    }

    /// Writes the scroll. The pen must erase to the default background. Deleting and inserting lines within margins
    /// is used and not `SU`/`SD`, which the Linux console lacks. Returns where the cursor ends up.
    pub fn write(self, height: u16, out: &mut Vec<u8>) -> At {
        let margins = self.bottom + 1 < height;
        if margins {
            out.extend_from_slice(b"\x1b[");
            motion::number(self.top + 1, out);
            out.push(b';');
            motion::number(self.bottom + 1, out);
            out.push(b'r');
        }
        if !margins || self.top > 0 {
            motion::absolute((0, self.top).into(), out);
        }
        motion::csi(self.by.unsigned_abs() as u16, if self.by > 0 { b'M' } else { b'L' }, out);
        if margins {
            out.extend_from_slice(b"\x1b[r");
            // Home says the standard, where it was says at least one emulator.
            return At::Unknown;
        }
        At::Cell((0, self.top).into())
    }

    /// The row that row `y` is from afterwards; nothing where it is erased.
    pub fn source(self, y: usize) -> Option<usize> {
        let block = usize::from(self.top)..usize::from(self.bottom) + 1;
        if block.contains(&y) { y.checked_add_signed(self.by as isize).filter(|from| block.contains(from)) } else { Some(y) }
    }
}

fn source(y: usize, by: i32, height: usize) -> Option<usize> {
    y.checked_add_signed(by as isize).filter(|from| *from < height)
}

fn differing(a: &[Shown], b: &[Shown]) -> i64 {
    a.iter().zip(b).filter(|(a, b)| a != b).count() as i64
}

fn sums(gains: &[i64]) -> Vec<i64> {
    let mut total = 0;
    std::iter::once(0)
        .chain(gains.iter().map(|gain| {
            total += gain;
            total
        }))
        .collect()
}

/// Every changed row votes for the distances to changed old rows with its text; colours have no say, because the cursor
/// bar usually stays where it is while its row moves on.
fn most_voted_shift(screen: &Grid, next: &Grid, changed: &[usize]) -> Option<i32> {
    if changed.len() < 2 {
        return None;
    }
    let height = next.height() as i32;
    let texts: Vec<(usize, Option<u64>)> = changed.iter().map(|y| (*y, screen.text(*y))).collect();
    let mut votes = vec![0u16; 2 * next.height()];
    for (y, was) in &texts {
        let Some(wanted) = next.text(*y).filter(|wanted| *was != Some(*wanted)) else {
            continue;
        };
        for (from, _) in texts.iter().filter(|(_, text)| *text == Some(wanted)) {
            votes[(*from as i32 - *y as i32 + height) as usize] += 1;
        }
    }
    let (best, count) = votes.iter().enumerate().max_by_key(|(i, count)| (**count, -(*i as i32 - height).abs()))?;
    (*count > 0).then_some(best as i32 - height)
}

#[cfg(test)]
mod tests {
    use super::super::known::Known;
    use super::*;
    use ratatui::buffer::Buffer;

    fn frame(rows: impl Iterator<Item = String>) -> (Grid, Vec<String>) {
        let mut lines = vec!["── header ───────────────────".to_owned()];
        lines.extend(rows);
        lines.push("── hints ────────────────────".to_owned());
        let drawn = Buffer::with_lines(lines.clone());
        let mut grid = Grid::new(drawn.area.as_size());
        grid.take(&drawn, &Grid::new(drawn.area.as_size()), &mut Known::new());
        (grid, lines)
    }

    #[test]
    fn finds_a_block_that_moved_and_knows_what_a_terminal_has_then() {
        let at = |first: usize| frame((first..first + 8).map(|i| format!("pod-{:<24}", "abcdefghijkl".repeat(3)[i..i + 12].to_owned())));
        for (from, to, by) in [(0, 1, 1), (5, 3, -2), (4, 7, 3)] {
            let ((screen, lines), (next, _)) = (at(from), at(to));
            let scroll = Scroll::find(&screen, &next, &(0..10).collect::<Vec<_>>()).unwrap();
            assert_eq!(scroll, Scroll { top: 1, bottom: 8, by });
            let mut parser = vt100::Parser::new(10, 29, 0);
            parser.process(lines.join("\r\n").as_bytes());
            let mut out = Vec::new();
            scroll.write(10, &mut out);
            parser.process(&out);
            for (y, line) in parser.screen().rows(0, 29).enumerate() {
                let ours = scroll.source(y).map_or("", |from| lines[from].trim_end());
                assert_eq!(line.trim_end(), ours, "row {y} by {by}");
            }
        }
    }

    #[test]
    fn leaves_a_frame_alone_whose_rows_stay() {
        let at = |age: usize| frame((0..8).map(|i| format!("pod-{:<18}{:>6}", i * 7919, age + i))).0;
        assert_eq!(Scroll::find(&at(0), &at(1), &(1..9).collect::<Vec<_>>()), None);
    }

    /// Guards against frames that come apart where an emulator leaves the cursor alone on `CSI r`.
    #[test]
    fn nobody_relies_on_where_the_cursor_is_after_the_margins_are_reset() {
        let mut out = Vec::new();
        assert!(matches!(Scroll { top: 2, bottom: 8, by: 1 }.write(24, &mut out), At::Unknown));
        assert!(out.ends_with(b"\x1b[r"));
    }
}
