//! The writer against the stock backend, on a terminal emulator: the same screens, in fewer bytes.

use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::style::Style;

use super::known::is_certain;
use super::*;
use ratatui::buffer::CellDiffOption;
use ratatui::style::Modifier;

fn stock(prev: &Buffer, next: &Buffer) -> Vec<u8> {
    crossterm::style::force_color_output(true);
    let mut bytes = Vec::new();
    CrosstermBackend::new(&mut bytes).draw(prev.diff_iter(next)).unwrap();
    bytes
}

/// Every cell of both terminals looks the same. What does not show on a blank is left out; so are the cells that a
/// glyph covers on whose width terminals disagree.
fn assert_same(ours: &vt100::Screen, stock: &vt100::Screen, next: &Buffer) {
    for position in next.area.positions() {
        let Position { x, y } = position;
        let doubtful = |from: u16| !is_certain(next[(from, y)].symbol()) && from + next[(from, y)].cell_width() > x;
        if (x.saturating_sub(3)..x).any(doubtful) {
            continue;
        }
        let (a, b) = (ours.cell(y, x).unwrap(), stock.cell(y, x).unwrap());
        let text = |cell: &vt100::Cell| {
            if cell.has_contents() { cell.contents().to_owned() } else { " ".to_owned() }
        };
        let look = |cell: &vt100::Cell| {
            let plain = text(cell) == " " && !cell.inverse() && !cell.underline();
            let fg = if plain { vt100::Color::Default } else { cell.fgcolor() };
            let marks = (!plain).then(|| (cell.bold(), cell.dim(), cell.italic()));
            (text(cell), cell.is_wide(), fg, cell.bgcolor(), marks, cell.inverse(), cell.underline())
        };
        if a.is_wide_continuation() && b.is_wide_continuation() {
            continue;
        }
        assert_eq!(look(a), look(b), "at column {x}, row {y} of\n{next:?}");
    }
}

fn show(buffers: &[Buffer], bce: bool) {
    let Some(first) = buffers.first() else { return };
    let (width, height) = (first.area.width, first.area.height);
    let mut ours = vt100::Parser::new(height, width, 0);
    ours.process(b"\x1b[31;44mwhat was there before\r\n\n\nand here");
    let mut writer = Writer::new(Vec::new(), first.area.as_size());
    writer.set_bce(bce);
    for next in buffers {
        writer.buffer().content.clone_from(&next.content);
        let mut bytes = Vec::new();
        writer.encode(&mut bytes);
        ours.process(&bytes);
        let mut full = vt100::Parser::new(height, width, 0);
        full.process(&stock(&Buffer::empty(next.area), next));
        assert_same(ours.screen(), full.screen(), next);
        let mut again = Vec::new();
        writer.buffer().content.clone_from(&next.content);
        writer.encode(&mut again);
        assert!(again.is_empty(), "an unchanged frame: {:?}", String::from_utf8_lossy(&again));
    }
}

#[derive(Clone, Debug)]
enum Edit {
    Text { x: u16, y: u16, text: String, style: Style },
    Fill { y: u16, style: Style },
    Scroll { top: u16, rows: u16, by: i8 },
    Clear,
}

const SIZE: (u16, u16) = (34, 9);

fn style() -> impl Strategy<Value = Style> {
    let color = prop_oneof![
        Just(Color::Reset),
        Just(Color::Red),
        Just(Color::LightCyan),
        Just(Color::Black),
        Just(Color::White),
        (0u8..=255).prop_map(Color::Indexed),
        (0u8..3, 0u8..=255).prop_map(|(r, b)| Color::Rgb(r, 128, b)),
    ];
    // Bold with dim is left out: the emulator has room for one of them.
    let modifiers = prop::sample::subsequence(vec![Modifier::ITALIC, Modifier::UNDERLINED, Modifier::REVERSED], 0..=2);
    let weight = prop::sample::select(vec![Modifier::empty(), Modifier::empty(), Modifier::BOLD, Modifier::DIM]);
    (color.clone(), color, modifiers, weight).prop_map(|(fg, bg, modifiers, weight)| {
        let modifier = modifiers.into_iter().fold(weight, Modifier::union);
        Style::new().fg(fg).bg(bg).add_modifier(modifier).remove_modifier(modifier.complement())
    })
}

fn edit() -> impl Strategy<Value = Edit> {
    let plain = Just(Style::new());
    let style = prop_oneof![plain, style()];
    let piece = prop::sample::select(vec![
        "pod",
        "api-7f9c",
        " ",
        "     ",
        "                  ",
        "節点",
        "クラスタ",
        "e\u{301}",
        "│",
        "─",
        "x",
        "Running",
        "ｶﾞ",
        "❤\u{fe0f}",
        "🚀",
        "✅",
    ]);
    let text = prop::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat());
    prop_oneof![
        6 => (0..SIZE.0, 0..SIZE.1, text, style.clone()).prop_map(|(x, y, text, style)| Edit::Text { x, y, text, style }),
        1 => (0..SIZE.1, style).prop_map(|(y, style)| Edit::Fill { y, style }),
        2 => (0..SIZE.1, 2..SIZE.1, -3i8..=3).prop_map(|(top, rows, by)| Edit::Scroll { top, rows, by }),
        1 => Just(Edit::Clear),
    ]
}

fn apply(buffer: &mut Buffer, edit: &Edit) {
    match edit {
        Edit::Text { x, y, text, style } => {
            // What a widget does: the half of a wide glyph that it overwrites becomes a blank.
            if buffer[(*x, *y)].symbol() == " " && *x > 0 && buffer[(x - 1, *y)].cell_width() > 1 {
                buffer[(x - 1, *y)].set_symbol(" ");
            }
            let (end, _) = buffer.set_stringn(*x, *y, text, usize::from(SIZE.0), *style);
            if end > 0 && end < SIZE.0 && buffer[(end - 1, *y)].cell_width() > 1 {
                buffer[(end, *y)].reset();
            }
        }
        Edit::Fill { y, style } => buffer.set_style(Rect::new(0, *y, SIZE.0, 1), *style),
        Edit::Scroll { top, rows, by } => {
            let width = usize::from(SIZE.0);
            let bottom = (top + rows).min(SIZE.1);
            let block = &mut buffer.content[usize::from(*top) * width..usize::from(bottom) * width];
            let cells = (usize::from(by.unsigned_abs()) * width).min(block.len());
            if *by > 0 { block.rotate_left(cells) } else { block.rotate_right(cells) }
        }
        Edit::Clear => buffer.reset(),
    }
}

proptest! {
    #[test]
    fn shows_what_the_stock_backend_shows(frames in prop::collection::vec(prop::collection::vec(edit(), 0..8), 1..8), bce: bool) {
        let mut buffer = Buffer::empty(Rect::new(0, 0, SIZE.0, SIZE.1));
        let buffers: Vec<Buffer> = frames
            .iter()
            .map(|edits| {
                edits.iter().for_each(|edit| apply(&mut buffer, edit));
                buffer.clone()
            })
            .collect();
        show(&buffers, bce);
    }

    #[test]
    fn any_cells_at_all_do_no_harm(symbols in prop::collection::vec(any::<String>(), 40), skip in 0usize..40) {
        let mut writer = Writer::new(Vec::new(), Size::new(8, 5));
        for (cell, symbol) in writer.buffer().content.iter_mut().zip(&symbols) {
            cell.set_symbol(symbol);
        }
        writer.drawn.content[skip].set_diff_option(CellDiffOption::Skip);
        let mut bytes = Vec::new();
        writer.encode(&mut bytes);
        let control = |cell: &Shown| writer.known.text(cell.symbol, &mut [0; 4]).contains(char::is_control);
        prop_assert!(!writer.screen.cells().iter().any(control));
    }
}

/// A table as the panes draw it: title, header, rows with coloured cells, hints.
fn table(size: Size, first: usize, selected: usize, bar: bool) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, size.width, size.height));
    let dim = Style::new().fg(Color::Rgb(110, 118, 129));
    buffer.set_string(
        0,
        0,
        " PODS 10,000  fleet 4 clusters, 1 stale",
        Style::new().fg(Color::Rgb(88, 166, 255)).add_modifier(Modifier::BOLD),
    );
    let spare = usize::from(size.width - 80);
    let row =
        |c: &[&str]| format!("{:<11} {:<12} {:<w$} {:>5} {:<10} {:>3} {:>4}", c[0], c[1], c[2], c[3], c[4], c[5], c[6], w = 26 + spare);
    buffer.set_string(2, 1, row(&["CLUSTER", "NAMESPACE", "NAME", "READY", "STATUS", "RST", "AGE"]), dim);
    for y in 2..size.height - 1 {
        let i = first + usize::from(y) - 2;
        let name = format!("{}-{:08x}", ["api", "checkout", "ledger-worker", "search"][i % 4], i * 2_654_435_761 % 0xffff_ffff);
        let burning = i % 7 == 3;
        let status = if burning { "CrashLoop" } else { "Running" };
        let text = row(&[
            "prod-eu-1",
            ["pay", "shop", "kube-system"][i % 3],
            &name,
            if burning { "0/1" } else { "1/1" },
            status,
            &(i % 5).to_string(),
            &format!("{}d", i % 90),
        ]);
        buffer.set_string(2, y, &text, Style::new().fg(Color::Rgb(201, 209, 217)));
        buffer.set_style(Rect::new(2, y, 11, 1), dim);
        let color = if burning { Color::Rgb(248, 81, 73) } else { Color::Rgb(63, 185, 80) };
        buffer.set_style(Rect::new(60 + spare as u16, y, 10, 1), Style::new().fg(color));
        if i == selected && bar {
            buffer.set_style(Rect::new(0, y, size.width, 1), Style::new().bg(Color::Rgb(22, 52, 92)));
        } else if i == selected {
            buffer.set_string(0, y, "▌", Style::new().fg(Color::Rgb(88, 166, 255)));
            buffer.set_style(Rect::new(27, y, name.len() as u16, 1), Style::new().add_modifier(Modifier::BOLD));
        }
    }
    buffer.set_string(0, size.height - 1, " / filter  : palette  ? help  q quit", dim);
    buffer
}

/// Bytes from `prev` to `next`: ours, the stock backend's.
fn bytes(prev: &Buffer, next: &Buffer) -> (usize, usize) {
    let mut writer = Writer::new(io::sink(), prev.area.as_size());
    writer.buffer().content.clone_from(&prev.content);
    writer.present(&[]).unwrap();
    writer.buffer().content.clone_from(&next.content);
    (writer.present(&[]).unwrap(), stock(prev, next).len())
}

#[test]
fn stays_within_the_byte_budgets() {
    let (small, large) = (Size::new(80, 24), Size::new(200, 60));
    let last = |size: Size| usize::from(size.height) - 4;
    let cases = [
        ("j, bar", table(small, 0, 4, true), table(small, 0, 5, true), 320),
        ("j, marker", table(small, 0, 4, false), table(small, 0, 5, false), 150),
        ("scroll, bar", table(small, 0, last(small), true), table(small, 1, last(small) + 1, true), 600),
        ("scroll, bar, large", table(large, 0, last(large), true), table(large, 1, last(large) + 1, true), 600),
        ("scroll, marker, large", table(large, 0, last(large), false), table(large, 1, last(large) + 1, false), 600),
        ("scroll back", table(large, 9, 9, true), table(large, 8, 8, true), 600),
        ("nothing", table(small, 0, 4, true), table(small, 0, 4, true), 0),
    ];
    for (what, prev, next, budget) in &cases {
        let (ours, stock) = bytes(prev, next);
        println!("{what}: {ours} bytes, stock {stock}");
        assert!(ours <= *budget, "{what}: {ours} bytes, {budget} allowed, stock {stock}");
        show(&[prev.clone(), next.clone()], true);
    }
    let (ours, stock) = bytes(&Buffer::empty(Rect::new(0, 0, 80, 24)), &table(small, 0, 4, true));
    println!("full paint: {ours} bytes, stock {stock}");
    assert!(ours * 6 < stock * 5, "full paint: {ours}, stock {stock}");
}

/// Through ratatui's `Terminal`, which sends differences only, and sets the cursor.
#[test]
fn serves_as_a_backend() {
    let mut terminal = Terminal::new(Writer::new(Vec::new(), Size::new(20, 3))).unwrap();
    let mut parser = vt100::Parser::new(3, 20, 0);
    for (text, cursor) in [("節点 ready", None), ("a点 ready", Some((3, 1))), ("aab", Some((4, 2))), ("aab", None), ("aab", None)] {
        terminal
            .draw(|frame| {
                frame.buffer_mut().set_string(0, 1, text, Style::new().fg(Color::Red));
                if let Some(cursor) = cursor {
                    frame.set_cursor_position(cursor);
                }
            })
            .unwrap();
        let bytes = std::mem::take(terminal.backend_mut().out());
        parser.process(&bytes);
        assert_eq!(parser.screen().contents().trim(), text);
        assert_eq!(parser.screen().hide_cursor(), cursor.is_none());
        if let Some((x, y)) = cursor {
            assert_eq!(parser.screen().cursor_position(), (y, x));
        }
    }
    terminal.backend_mut().resize(Size::new(10, 2));
    terminal.draw(|frame| frame.buffer_mut().set_string(0, 0, "small", Style::new())).unwrap();
    assert!(terminal.backend_mut().out().starts_with(b"\x1b[m\x1b[H\x1b[2J"), "a resize paints everything");
}

#[test]
fn brackets_only_long_frames_by_synchronized_output() {
    let frame = |size: Size| {
        let mut writer = Writer::new(io::sink(), size);
        writer.set_sync(true);
        let next = table(size, 0, 0, true);
        writer.buffer().content.clone_from(&next.content);
        let mut bytes = Vec::new();
        writer.encode(&mut bytes);
        (bytes.starts_with(b"\x1b[?2026h"), bytes.ends_with(b"\x1b[?2026l"))
    };
    assert_eq!(frame(Size::new(80, 5)), (false, false));
    assert_eq!(frame(Size::new(200, 60)), (true, true));
}

#[test]
fn a_failed_write_is_followed_by_a_full_paint() {
    struct Fails(bool);
    impl io::Write for Fails {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(bytes.len()) }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut writer = Writer::new(Fails(true), Size::new(20, 2));
    writer.buffer().set_string(0, 0, "here", Style::new());
    assert!(writer.present(&[]).is_err());
    writer.out().0 = false;
    writer.buffer().set_string(0, 0, "here", Style::new());
    assert!(writer.present(&[]).unwrap() >= 4 + 10);
}

/// Names with more symbols of several `char`s than are kept.
#[test]
fn symbols_are_forgotten_before_they_are_too_many() {
    let size = Size::new(40, 10);
    let mut writer = Writer::new(io::sink(), size);
    let mut repainted = 0;
    for frame in 0..30_u32 {
        let text: Vec<String> = (0..200).map(|n| format!("{}\u{301}", char::from_u32(0x4e00 + frame * 200 + n).unwrap())).collect();
        let drawn = writer.buffer();
        drawn.reset();
        for (y, row) in text.chunks(20).enumerate() {
            drawn.set_string(0, y as u16, row.concat(), Style::new());
        }
        let mut bytes = Vec::new();
        writer.encode(&mut bytes);
        repainted += usize::from(frame > 0 && bytes.starts_with(b"\x1b[m\x1b[H\x1b[2J"));
        let shown = |cell: &Shown| writer.known.text(cell.symbol, &mut [0; 4]).to_owned();
        let row: String = writer.screen.row(9).iter().map(shown).collect();
        assert_eq!(row, text[180..200].concat(), "frame {frame}");
    }
    assert_eq!(repainted, 1, "200 a frame, and 4,096 are kept");
}
