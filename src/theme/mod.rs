//! Colours by meaning: themes as TOML, read into one style a role, and made fit for what a terminal can show.
//!
//! This room says how a role looks. What has which role is `view`'s; which theme and depth a terminal gets is `front`'s, and
//! nothing here is process-wide: every terminal has its own [`Theme`] and [`Glyphs`].

mod depth;
mod file;
mod glyphs;
mod role;

use std::path::Path;

pub use depth::{Depth, detect_ascii, detect_depth};
pub use file::FIRST_16;
pub use glyphs::{ASCII, Glyphs, UNICODE};
use ratatui::style::{Color, Modifier, Style};
pub use role::Role;

use crate::diag::Diag;

/// The themes that come with qd: name and text.
pub const EMBEDDED: &[(&str, &str)] = &[
    ("dark", include_str!("../../themes/dark.toml")),
    ("light", include_str!("../../themes/light.toml")),
    ("high-contrast", include_str!("../../themes/high-contrast.toml")),
    ("colour-blind", include_str!("../../themes/colour-blind.toml")),
    ("ansi-16", include_str!("../../themes/ansi-16.toml")),
    ("monochrome", include_str!("../../themes/monochrome.toml")),
    ("fjord", include_str!("../../themes/fjord.toml")),
    ("sundial", include_str!("../../themes/sundial.toml")),
];

/// A style for every role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theme {
    name: String,
    light: bool,
    styles: [Style; Role::COUNT],
}

impl Theme {
    /// The theme `name`: `themes/NAME.toml` under the configuration directory `dir` or the embedded one, over what it
    /// inherits. Mistakes come with it; what they concern is left out. An unknown name is a mistake too and means the dark
    /// theme.
    #[must_use]
    pub fn load(name: &str, dir: Option<&Path>) -> (Self, Vec<Diag>) {
        file::load(name, dir)
    }

    /// The names that [`Theme::load`] knows, embedded ones first.
    #[must_use]
    pub fn names(dir: Option<&Path>) -> Vec<String> {
        file::LIBRARY.names(dir)
    }

    /// The name it was loaded by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is made for a light background: what a picture has where the theme leaves the terminal's.
    #[must_use]
    pub fn light(&self) -> bool {
        self.light
    }

    /// How `role` looks: to be laid over what is drawn under it, colours that are not set stay.
    #[must_use]
    pub fn role(&self, role: Role) -> Style {
        self.styles[role as usize]
    }

    /// The theme as a terminal of `depth` shows it. Without colours, what only a background set apart is reversed.
    #[must_use]
    pub fn at(&self, depth: Depth) -> Self {
        let screen = self.role(Role::Text).bg;
        let styles = self.styles.map(|style| {
            let apart = style.bg.is_some_and(|bg| bg != Color::Reset && style.bg != screen);
            let converted = Style {
                fg: style.fg.and_then(|color| depth::convert(color, depth)),
                bg: style.bg.and_then(|color| depth::convert(color, depth)),
                ..style
            };
            if depth == Depth::Mono && apart { converted.add_modifier(Modifier::REVERSED) } else { converted }
        });
        Self { name: self.name.clone(), light: self.light, styles }
    }
}

#[cfg(test)]
mod tests;
