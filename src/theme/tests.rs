use std::collections::HashSet;

use super::*;

const SEVERITIES: [Role; 4] = [Role::SeverityCritical, Role::SeverityWarning, Role::SeverityInfo, Role::SeverityOk];

fn embedded(name: &str) -> Theme {
    let (theme, problems) = Theme::load(name, None);
    assert!(problems.is_empty(), "{name}: {problems:?}");
    theme
}

/// A configuration directory with one theme, `mine`.
fn mine(text: &str) -> (Theme, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("themes")).unwrap();
    std::fs::write(dir.path().join("themes/mine.toml"), text).unwrap();
    let (theme, problems) = Theme::load("mine", Some(dir.path()));
    let root = format!("{}/themes/", dir.path().display());
    (theme, problems.iter().map(|problem| problem.to_string().replace(&root, "")).collect())
}

/// Relative luminance as WCAG 2 defines it.
fn luminance(color: Color) -> f64 {
    let rgb = match color {
        Color::Rgb(r, g, b) => [r, g, b],
        Color::Indexed(n) => depth::indexed(n),
        other => panic!("{other:?} is the terminal's own"),
    };
    let [r, g, b] = rgb.map(|part| {
        let part = f64::from(part) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

fn contrast(one: Color, other: Color) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn role_names_are_unique_and_documented_and_each_has_its_place() {
    let names: HashSet<_> = Role::ALL.iter().map(|role| role.name()).collect();
    assert_eq!(names.len(), Role::COUNT);
    for (place, role) in Role::ALL.iter().enumerate() {
        assert_eq!(*role as usize, place);
        assert!(!role.doc().is_empty());
        assert_eq!(role.parent().is_none(), *role == Role::Text);
    }
    assert_eq!(Role::SeverityCritical.parent(), Some(Role::Severity));
    assert_eq!(Role::Severity.parent(), Some(Role::Text));
}

#[test]
fn every_theme_sets_apart_what_must_be_told_apart_at_every_depth() {
    for (name, _) in EMBEDDED {
        let theme = embedded(name);
        for depth in [Depth::TrueColor, Depth::Ansi256, Depth::Ansi16] {
            let theme = theme.at(depth);
            let distinct: HashSet<_> = SEVERITIES.iter().map(|role| theme.role(*role)).collect();
            assert_eq!(distinct.len(), 4, "{name} at {depth:?}");
            for (one, other) in [
                (Role::StateLive, Role::StateUnreachable),
                (Role::StateLive, Role::StateStale),
                (Role::DiffAdd, Role::DiffRemove),
                (Role::Cursor, Role::Text),
                (Role::Border, Role::BorderFocus),
                (Role::Stale, Role::Text),
            ] {
                assert_ne!(theme.role(one), theme.role(other), "{name} at {depth:?}: {one:?}, {other:?}");
            }
        }
        let mono = theme.at(Depth::Mono);
        assert!(Role::ALL.iter().all(|role| mono.role(*role).fg.is_none() && mono.role(*role).bg.is_none()), "{name}");
        assert_ne!(mono.role(Role::SeverityCritical), mono.role(Role::SeverityOk), "{name}");
        assert_ne!(mono.role(Role::Cursor), mono.role(Role::Text), "{name}");
    }
}

#[test]
fn text_and_severities_can_be_read() {
    let (black, grey) = (Color::Rgb(0, 0, 0), Color::Rgb(0x28, 0x28, 0x28));
    let (white, paper) = (Color::Rgb(255, 255, 255), Color::Rgb(0xf5, 0xf5, 0xf5));
    // Themes that leave the terminal's background are held against the least favourable one they are for.
    for (name, backgrounds, least) in [
        ("dark", vec![black, grey], 4.5),
        ("light", vec![white, paper], 4.5),
        ("high-contrast", vec![], 7.0),
        ("colour-blind", vec![], 4.5),
        ("fjord", vec![], 4.5),
        ("sundial", vec![], 4.5),
    ] {
        let theme = embedded(name);
        let text = theme.role(Role::Text);
        for role in SEVERITIES.into_iter().chain([Role::Text, Role::TextDim, Role::Hint, Role::Error, Role::Production, Role::Key]) {
            let style = theme.role(role);
            let screens = style.bg.or(text.bg).filter(|bg| *bg != Color::Reset).map_or_else(|| backgrounds.clone(), |bg| vec![bg]);
            assert!(!screens.is_empty(), "{name}: {role:?} has no background");
            let fg = style.fg.or(text.fg).unwrap_or(Color::Reset);
            if fg == Color::Reset {
                continue;
            }
            for screen in screens {
                let ratio = contrast(fg, screen);
                assert!(ratio >= least, "{name}: {role:?} is {ratio:.2}:1 on {screen:?}");
            }
        }
    }
}

#[test]
fn colour_blind_severities_differ_in_lightness_and_critical_in_more() {
    let theme = embedded("colour-blind");
    let [critical, warning, _, ok] = SEVERITIES.map(|role| theme.role(role));
    for (one, other) in [(critical, warning), (warning, ok), (critical, ok)] {
        let ratio = contrast(one.fg.unwrap(), other.fg.unwrap());
        assert!(ratio >= 1.5 || one.add_modifier != other.add_modifier, "{one:?} {other:?} {ratio:.2}");
    }
    assert!(critical.add_modifier.contains(Modifier::REVERSED));
}

#[test]
fn the_16_colour_theme_needs_no_more_and_the_monochrome_none() {
    let theme = embedded("ansi-16");
    assert_eq!(theme, theme.at(Depth::Ansi16));
    let theme = embedded("monochrome");
    assert_eq!(theme, theme.at(Depth::Mono));
}

#[test]
fn the_cursor_of_the_default_theme_is_no_bar() {
    assert_eq!(embedded("dark").role(Role::Cursor).bg, None);
}

#[test]
fn a_bar_without_colours_is_reversed() {
    let (theme, problems) = mine("cursor = { bg = \"blue\" }\nfilter = { fg = \"blue\", bold = true }");
    assert_eq!(problems, Vec::<String>::new());
    let mono = theme.at(Depth::Mono);
    assert_eq!(mono.role(Role::Cursor), Style::new().add_modifier(Modifier::REVERSED));
    assert_eq!(mono.role(Role::Filter), Style::new().add_modifier(Modifier::BOLD));
}

#[test]
fn roles_fall_back_and_palettes_are_inherited() {
    let (theme, problems) = mine(
        r##"
inherits = "dark"
[palette]
red = "#ff0000"
tea = 9
[severity]
fg = "tea"
ok = { fg = "cyan", italic = true }
[log]
pod = 33
"##,
    );
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(theme.role(Role::SeverityCritical).fg, Some(Color::Rgb(255, 0, 0)), "dark's role, our red");
    assert_eq!(theme.role(Role::Severity).fg, Some(Color::LightRed));
    assert_eq!(theme.role(Role::SeverityOk), Style::new().fg(Color::Cyan).add_modifier(Modifier::ITALIC));
    assert_eq!(theme.role(Role::LogPod).fg, Some(Color::Indexed(33)));
    let (theme, _) = mine("text = \"white\"\nseverity = \"red\"");
    assert_eq!(theme.role(Role::SeverityCritical).fg, Some(Color::Red));
    assert_eq!(theme.role(Role::YamlKey).fg, Some(Color::White));
}

#[test]
fn mistakes_are_placed_and_the_rest_counts() {
    let (theme, problems) = mine(
        r##"inherits = "dark"
"severity.critcal" = "red"
title = "ret"
mark = { fg = "blu", bolt = true, bold = 1 }
hint = "#12345"
error = 256
key = true
yaml.kee = 1
nonsense = { fg = "red" }
match = "green"
[palette]
red = "tea"
"##,
    );
    assert_eq!(
        problems,
        [
            "mine.toml:2:1: unknown role `severity.critcal`; did you mean `severity.critical`?",
            "mine.toml:3:9: unknown colour `ret`; did you mean `red`?",
            "mine.toml:4:15: unknown colour `blu`; did you mean `blue`?",
            "mine.toml:4:22: unknown part of a style `bolt`; did you mean `bold`?",
            "mine.toml:4:42: bold is true or false",
            "mine.toml:5:8: `#12345` is no colour: write #rrggbb",
            "mine.toml:6:9: a colour's number is 0 to 255",
            "mine.toml:7:7: a colour is \"#rrggbb\", a number 0 to 255 or a name",
            "mine.toml:8:6: unknown part of a style `kee`; did you mean `key`?",
            "mine.toml:9:1: unknown role `nonsense`",
            "mine.toml:12:7: unknown colour `tea`",
        ]
    );
    assert_eq!(theme.role(Role::Match).fg, Some(Color::Indexed(114)));
    assert_eq!(mine("text = ").1.len(), 1);
    assert_eq!(mine("inherits = \"drak\"").1, ["mine.toml:1:12: unknown theme `drak`; did you mean `dark`?"]);
    assert_eq!(mine("inherits = \"mine\"").1, ["mine.toml:1:12: theme `mine` inherits itself"]);
}
