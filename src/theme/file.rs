//! A theme's text: `inherits`, `light` (made for a light background), `[palette]` with names for colours, and roles.
//!
//! A role is a colour (`"red"`, `"#d70000"`, `160`) or `{ fg, bg, bold, dim, italic, underline, reverse }`, written
//! `"severity.critical" = ...` or in a table `[severity]`. A palette that is inherited may be changed without its roles.

use std::collections::BTreeMap;
use std::path::Path;

use ratatui::style::{Color, Modifier, Style};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{EMBEDDED, Role, Theme};
use crate::diag::{Diag, Layer, Library, nearest, unknown};

pub(super) const LIBRARY: Library = Library { what: "theme", folder: "themes", embedded: EMBEDDED };

const STYLE_KEYS: [&str; 7] = ["fg", "bg", "bold", "dim", "italic", "underline", "reverse"];

/// The terminal's own colours by name; the first name of each is the usual one.
const COLORS: &[(&str, Color)] = &[
    ("default", Color::Reset),
    ("black", Color::Black),
    ("red", Color::Red),
    ("green", Color::Green),
    ("yellow", Color::Yellow),
    ("blue", Color::Blue),
    ("magenta", Color::Magenta),
    ("cyan", Color::Cyan),
    ("gray", Color::Gray),
    ("grey", Color::Gray),
    ("dark-gray", Color::DarkGray),
    ("dark-grey", Color::DarkGray),
    ("bright-black", Color::DarkGray),
    ("bright-red", Color::LightRed),
    ("bright-green", Color::LightGreen),
    ("bright-yellow", Color::LightYellow),
    ("bright-blue", Color::LightBlue),
    ("bright-magenta", Color::LightMagenta),
    ("bright-cyan", Color::LightCyan),
    ("white", Color::White),
    ("bright-white", Color::White),
];

/// The first 16 of the 256, in their order.
pub const FIRST_16: [Color; 16] = [
    Color::Black,
    Color::Red,
    Color::Green,
    Color::Yellow,
    Color::Blue,
    Color::Magenta,
    Color::Cyan,
    Color::Gray,
    Color::DarkGray,
    Color::LightRed,
    Color::LightGreen,
    Color::LightYellow,
    Color::LightBlue,
    Color::LightMagenta,
    Color::LightCyan,
    Color::White,
];

type Value<'a> = &'a Spanned<DeValue<'a>>;

pub(super) fn load(name: &str, dir: Option<&Path>) -> (Theme, Vec<Diag>) {
    let mut problems = Vec::new();
    let layers = LIBRARY.chain(name, dir, &mut problems);
    let mut documents = Vec::new();
    for layer in &layers {
        match DeTable::parse(&layer.text) {
            Ok(document) => documents.push((layer, document)),
            Err(error) => problems.push(layer.wrong(error.span().map_or(0, |span| span.start), error.message())),
        }
    }
    // All palettes first: a layer may give an inherited role another colour by changing what its name means.
    let mut palette = BTreeMap::new();
    for (layer, document) in &documents {
        read_palette(layer, document.get_ref(), &mut palette, &mut problems);
    }
    let mut reader = Reader { palette, light: false, styles: [None; Role::COUNT], problems };
    for (layer, document) in &documents {
        reader.root(layer, document.get_ref());
    }
    let light = reader.light;
    let mut styles = [Style::new(); Role::COUNT];
    for role in Role::ALL {
        let own = std::iter::successors(Some(*role), |role| role.parent()).find_map(|role| reader.styles[role as usize]);
        styles[*role as usize] = own.unwrap_or_default();
    }
    let mut problems = reader.problems;
    problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    (Theme { name: name.to_owned(), light, styles }, problems)
}

fn read_palette(layer: &Layer, root: &DeTable<'_>, palette: &mut BTreeMap<String, Color>, problems: &mut Vec<Diag>) {
    let Some(value) = root.get("palette") else {
        return;
    };
    let Some(table) = value.get_ref().as_table() else {
        problems.push(layer.wrong(value.span().start, "palette is a table of names and colours"));
        return;
    };
    for (key, value) in table {
        match color(value, None) {
            Ok(color) => {
                palette.insert(key.get_ref().to_string(), color);
            }
            Err(message) => problems.push(layer.wrong(value.span().start, message)),
        }
    }
}

struct Reader {
    palette: BTreeMap<String, Color>,
    light: bool,
    styles: [Option<Style>; Role::COUNT],
    problems: Vec<Diag>,
}

impl Reader {
    fn root(&mut self, layer: &Layer, root: &DeTable<'_>) {
        for (key, value) in root {
            match &**key.get_ref() {
                "palette" => {}
                "inherits" if value.get_ref().is_str() => {}
                "inherits" => self.problems.push(layer.wrong(value.span().start, "inherits takes a theme's name")),
                "light" => match value.get_ref().as_bool() {
                    Some(light) => self.light = light,
                    None => self.problems.push(layer.wrong(value.span().start, "light is true or false")),
                },
                name => self.role(layer, name, key.span().start, value),
            }
        }
    }

    /// A role's style, or a table that holds a style, roles beneath it, or both.
    fn role(&mut self, layer: &Layer, name: &str, start: usize, value: Value<'_>) {
        let role = Role::find(name);
        let Some(table) = value.get_ref().as_table() else {
            match (role, color(value, Some(&self.palette))) {
                (Some(role), Ok(color)) => self.styles[role as usize] = Some(Style::new().fg(color)),
                (None, _) => self.unknown_role(layer, name, start),
                (_, Err(message)) => self.problems.push(layer.wrong(value.span().start, message)),
            }
            return;
        };
        let beneath = format!("{name}.");
        let holds_roles = Role::ALL.iter().any(|role| role.name().starts_with(&beneath));
        if role.is_none() && !holds_roles {
            return self.unknown_role(layer, name, start);
        }
        let mut style = (table.is_empty() || table.iter().any(|(key, _)| STYLE_KEYS.contains(&&**key.get_ref()))).then(Style::new);
        for (key, value) in table {
            let part: &str = key.get_ref();
            if let Some(style) = style.as_mut().filter(|_| STYLE_KEYS.contains(&part)) {
                if let Err(message) = self.set(style, part, value) {
                    self.problems.push(layer.wrong(value.span().start, message));
                }
            } else if Role::find(&format!("{beneath}{part}")).is_some() {
                self.role(layer, &format!("{beneath}{part}"), key.span().start, value);
            } else {
                let roles = Role::ALL.iter().filter_map(|role| role.name().strip_prefix(&beneath));
                let message = unknown("part of a style", part, STYLE_KEYS.into_iter().chain(roles));
                self.problems.push(layer.wrong(key.span().start, message));
            }
        }
        if let (Some(role), Some(style)) = (role, style) {
            self.styles[role as usize] = Some(style);
        }
    }

    fn set(&self, style: &mut Style, part: &str, value: Value<'_>) -> Result<(), String> {
        let modifier = match part {
            "fg" => {
                style.fg = Some(color(value, Some(&self.palette))?);
                return Ok(());
            }
            "bg" => {
                style.bg = Some(color(value, Some(&self.palette))?);
                return Ok(());
            }
            "bold" => Modifier::BOLD,
            "dim" => Modifier::DIM,
            "italic" => Modifier::ITALIC,
            "underline" => Modifier::UNDERLINED,
            _ => Modifier::REVERSED,
        };
        match value.get_ref().as_bool() {
            Some(true) => *style = style.add_modifier(modifier),
            Some(false) => {}
            None => return Err(format!("{part} is true or false")),
        }
        Ok(())
    }

    fn unknown_role(&mut self, layer: &Layer, name: &str, start: usize) {
        let message = unknown("role", name, Role::ALL.iter().map(|role| role.name()));
        self.problems.push(layer.wrong(start, message));
    }
}

/// A colour as written. In a palette itself (`palette` is none) only the terminal's own names count.
fn color(value: Value<'_>, palette: Option<&BTreeMap<String, Color>>) -> Result<Color, String> {
    let by_number = |n: u8| FIRST_16.get(usize::from(n)).copied().unwrap_or(Color::Indexed(n));
    let text = match value.get_ref() {
        DeValue::Integer(number) => {
            return number.as_str().parse().map(by_number).map_err(|_| "a colour's number is 0 to 255".into());
        }
        DeValue::String(text) => &**text,
        _ => return Err("a colour is \"#rrggbb\", a number 0 to 255 or a name".into()),
    };
    if let Some(hex) = text.strip_prefix('#') {
        return match u32::from_str_radix(hex, 16) {
            Ok(rgb) if hex.len() == 6 => Ok(Color::from_u32(rgb)),
            _ => Err(format!("`{text}` is no colour: write #rrggbb")),
        };
    }
    let own = palette.and_then(|palette| palette.get(text).copied());
    let known = || COLORS.iter().find(|(name, _)| *name == text).map(|(_, color)| *color);
    own.or_else(known).ok_or_else(|| {
        let names = palette.into_iter().flat_map(BTreeMap::keys).map(String::as_str).chain(COLORS.iter().map(|(name, _)| *name));
        nearest(text, names)
            .map_or_else(|| format!("unknown colour `{text}`"), |near| format!("unknown colour `{text}`; did you mean `{near}`?"))
    })
}
