//! `qd snapshot`: one screen, drawn without a terminal.

use super::args::{Format, Global};
use super::fail::{Code, Failure};
use crate::app::{App, SessionState};
use crate::config::config_dir;
use crate::keymap::Keymap;
use crate::model::Kind;
use crate::theme::{Depth, FIRST_16, Glyphs, Role, Theme};
use crate::view::{self, Draw, SMALLEST};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};
use std::fmt::Write as _;

pub fn run(global: &Global, screen: &str, size: (u16, u16), format: Format, theme: Option<&str>) -> Result<Code, Failure> {
    if screen != "cockpit" {
        crate::table::Subject::parse(screen).map_err(|e| Failure::usage(e.to_string()))?;
    }
    if size.0 < SMALLEST.0 || size.1 < SMALLEST.1 || size.0 > 1000 || size.1 > 1000 {
        return Err(Failure::usage(format!("a screen is {}x{} to 1000x1000; this is {}x{}", SMALLEST.0, SMALLEST.1, size.0, size.1)));
    }
    let runtime = super::runtime()?;
    let code = runtime.block_on(async {
        let (fleet, config) = super::read::open_with_use(global, &Kind::ALL, super::read::USE.min(global.timeout)).await?;
        let (theme, diags) = Theme::load(theme.unwrap_or(&config.theme.value), config_dir().as_deref());
        for d in diags {
            eprintln!("{d}");
        }
        let (keymap, diags) = Keymap::load(&config.keymap.value, config_dir().as_deref());
        let mut app = App::new(&config, keymap, diags);
        app.size = size;
        app.restore(&fleet.world(), SessionState::default(), Some(screen));
        let mut buffer = Buffer::empty(Rect::new(0, 0, size.0, size.1));
        let theme = if format == Format::Text { theme.at(Depth::Mono) } else { theme };
        // Twice: the first frame measures, as in a terminal.
        for _ in 0..2 {
            buffer.reset();
            let hits = view::draw(&Draw { world: fleet.world(), app: &app, theme: &theme, glyphs: Glyphs::of(false) }, &mut buffer);
            app.drawn(hits);
        }
        super::print::text(&match format {
            Format::Text => text(&buffer),
            Format::Ansi => ansi(&buffer),
            Format::Svg => svg(&buffer, &theme),
        })?;
        Ok::<Code, Failure>(if fleet.store.clusters().iter().all(|c| c.state.live()) { Code::Done } else { Code::Partial })
    })?;
    runtime.shutdown_background();
    Ok(code)
}

/// The symbols, a line a row.
pub fn text(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in buffer.area.top()..buffer.area.bottom() {
        let mut line = String::new();
        let mut x = buffer.area.left();
        while x < buffer.area.right() {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            x += view::width(symbol).max(1) as u16;
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// The symbols with their colours as escape sequences.
pub fn ansi(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in buffer.area.top()..buffer.area.bottom() {
        let mut last = String::new();
        let mut x = buffer.area.left();
        while x < buffer.area.right() {
            let cell = &buffer[(x, y)];
            // Each attribute on its own: not every reader, the one that makes the SVG among them, takes two colours in one sequence.
            let mut style = String::from("\x1b[0m");
            color(&mut style, cell.fg, false);
            color(&mut style, cell.bg, true);
            for (modifier, code) in
                [(Modifier::BOLD, 1), (Modifier::DIM, 2), (Modifier::ITALIC, 3), (Modifier::UNDERLINED, 4), (Modifier::REVERSED, 7)]
            {
                if cell.modifier.contains(modifier) {
                    let _ = write!(style, "\x1b[{code}m");
                }
            }
            if style != last {
                out.push_str(&style);
                last = style;
            }
            out.push_str(cell.symbol());
            x += view::width(cell.symbol()).max(1) as u16;
        }
        out.push_str("\x1b[0m\n");
    }
    out
}

/// A picture. Where the theme leaves the terminal's own colours it has those that the theme is made for.
fn svg(buffer: &Buffer, theme: &Theme) -> String {
    let (ink, paper) = if theme.light() { (0x22, 0xFF) } else { (0xAA, 0x00) };
    let own = |color: Option<Color>, grey: u8| match color {
        Some(Color::Rgb(r, g, b)) => anstyle::RgbColor(r, g, b).into(),
        Some(Color::Indexed(n)) => anstyle::Ansi256Color(n).into(),
        Some(Color::White) => anstyle::RgbColor(0xFF, 0xFF, 0xFF).into(),
        Some(Color::Black) => anstyle::RgbColor(0, 0, 0).into(),
        _ => anstyle::Color::from(anstyle::RgbColor(grey, grey, grey)),
    };
    let text = theme.role(Role::Text);
    let term = anstyle_svg::Term::new().fg_color(own(text.fg, ink)).bg_color(own(text.bg, paper));
    term.render_svg(&ansi(buffer)) + "\n"
}

fn color(out: &mut String, color: Color, background: bool) {
    let base = if background { 40 } else { 30 };
    let _ = match color {
        Color::Reset => Ok(()),
        Color::Rgb(r, g, b) => write!(out, "\x1b[{};2;{r};{g};{b}m", base + 8),
        Color::Indexed(n) => write!(out, "\x1b[{};5;{n}m", base + 8),
        named => {
            let n = FIRST_16.iter().position(|c| *c == named).unwrap_or(7);
            write!(out, "\x1b[{}m", if n < 8 { base + n } else { base + 60 + n - 8 })
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::style::Style;

    #[test]
    fn a_picture_of_a_light_theme_is_light() {
        let buffer = Buffer::empty(Rect::new(0, 0, 3, 1));
        let ground = |name: &str| {
            let svg = svg(&buffer, &Theme::load(name, None).0);
            let at = svg.find(".bg { fill: ").unwrap();
            svg[at + 12..at + 19].to_owned()
        };
        assert_eq!(["dark", "light", "sundial", "fjord"].map(ground), ["#000000", "#FFFFFF", "#FBF5E4", "#2B313D"]);
    }

    #[test]
    fn a_picture_has_the_colours_of_the_theme() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 3, 1));
        let (text, ground) = (Color::Rgb(0xF0, 0xE1, 0xD2), Color::Rgb(0x10, 0x21, 0x32));
        buffer.set_string(0, 0, "abc", Style::new().fg(text).bg(ground).add_modifier(Modifier::BOLD));
        let svg = anstyle_svg::Term::new().render_svg(&ansi(&buffer));
        let fills: Vec<&str> = svg.match_indices("fill: #").map(|(at, _)| &svg[at + 7..at + 13]).collect();
        assert!(fills.contains(&"F0E1D2") && fills.contains(&"102132"), "{fills:?}");
        assert!(svg.contains("bold"), "{svg}");
    }
}
