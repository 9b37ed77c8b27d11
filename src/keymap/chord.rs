//! One key press as it is written, printed and compared.

use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::diag::nearest;

/// A key with its modifiers, in one form whatever the terminal sent: shift is part of a character (`G`, `?`) and a flag only
/// elsewhere (`S-Tab`), and what terminals cannot tell apart is the same (`ctrl-4` is `ctrl-\`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chord {
    key: Key,
    ctrl: bool,
    alt: bool,
    shift: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    Char(char),
    Function(u8),
    Enter,
    Esc,
    Tab,
    Backspace,
    Delete,
    Insert,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    PageUp,
    PageDown,
}

/// The first name of a key is how it is printed.
const NAMES: &[(&str, Key)] = &[
    ("Space", Key::Char(' ')),
    ("Enter", Key::Enter),
    ("Return", Key::Enter),
    ("Esc", Key::Esc),
    ("Escape", Key::Esc),
    ("Tab", Key::Tab),
    ("Backspace", Key::Backspace),
    ("Del", Key::Delete),
    ("Delete", Key::Delete),
    ("Ins", Key::Insert),
    ("Insert", Key::Insert),
    ("Up", Key::Up),
    ("Down", Key::Down),
    ("Left", Key::Left),
    ("Right", Key::Right),
    ("Home", Key::Home),
    ("End", Key::End),
    ("PgUp", Key::PageUp),
    ("PageUp", Key::PageUp),
    ("PgDn", Key::PageDown),
    ("PageDown", Key::PageDown),
];

impl Chord {
    fn new(key: Key, ctrl: bool, alt: bool, shift: bool) -> Self {
        let Key::Char(c) = key else {
            return Self { key, ctrl, alt, shift };
        };
        let (lower, upper) = (single(c.to_lowercase(), c), single(c.to_uppercase(), c));
        if !ctrl {
            return Self { key: Key::Char(if shift { upper } else { c }), ctrl, alt, shift: false };
        }
        // A terminal sends the same byte for each of these pairs.
        let key = match lower {
            '4' => '\\',
            '5' => ']',
            '6' => '^',
            '7' | '/' => '_',
            other => other,
        };
        Self { key: Key::Char(key), ctrl, alt, shift: (shift || c.is_uppercase()) && lower != upper }
    }

    /// The chord of a key event; none for a release and for keys that no keymap can name.
    #[must_use]
    pub fn from_event(event: KeyEvent) -> Option<Self> {
        let known = KeyModifiers::SHIFT | KeyModifiers::CONTROL | KeyModifiers::ALT;
        if event.kind == KeyEventKind::Release || !known.contains(event.modifiers) {
            return None;
        }
        let mut shift = event.modifiers.contains(KeyModifiers::SHIFT);
        let key = match event.code {
            KeyCode::Char(c) => Key::Char(c),
            KeyCode::F(n) => Key::Function(n),
            KeyCode::Enter => Key::Enter,
            KeyCode::Esc => Key::Esc,
            KeyCode::Tab => Key::Tab,
            KeyCode::BackTab => {
                shift = true;
                Key::Tab
            }
            KeyCode::Backspace => Key::Backspace,
            KeyCode::Delete => Key::Delete,
            KeyCode::Insert => Key::Insert,
            KeyCode::Up => Key::Up,
            KeyCode::Down => Key::Down,
            KeyCode::Left => Key::Left,
            KeyCode::Right => Key::Right,
            KeyCode::Home => Key::Home,
            KeyCode::End => Key::End,
            KeyCode::PageUp => Key::PageUp,
            KeyCode::PageDown => Key::PageDown,
            _ => return None,
        };
        let has = |modifier| event.modifiers.contains(modifier);
        Some(Self::new(key, has(KeyModifiers::CONTROL), has(KeyModifiers::ALT), shift))
    }

    /// Reads `j`, `G`, `ctrl-r` (`C-r`), `alt-x` (`M-x`), `shift-Tab` (`S-Tab`), `Space`, `F1`.
    ///
    /// # Errors
    /// What is wrong with the word, with the nearest key's name.
    pub fn parse(word: &str) -> Result<Self, String> {
        let (mut ctrl, mut alt, mut shift) = (false, false, false);
        let mut rest = word;
        loop {
            let prefixed = |names: &[&str]| {
                names.iter().find_map(|name| {
                    let head = rest.get(..name.len())?;
                    let tail = rest[name.len()..].strip_prefix('-')?;
                    (head.eq_ignore_ascii_case(name) && !tail.is_empty()).then_some(tail)
                })
            };
            if let Some(tail) = prefixed(&["ctrl", "C", "control"]) {
                (ctrl, rest) = (true, tail);
            } else if let Some(tail) = prefixed(&["alt", "M", "A", "meta"]) {
                (alt, rest) = (true, tail);
            } else if let Some(tail) = prefixed(&["shift", "S"]) {
                (shift, rest) = (true, tail);
            } else {
                break;
            }
        }
        let mut chars = rest.chars();
        let key = match (chars.next(), chars.next()) {
            (None, _) => return Err("no key".into()),
            (Some(c), None) if !c.is_control() && !c.is_whitespace() => Key::Char(c),
            _ => named(rest)?,
        };
        if shift && matches!(key, Key::Char(c) if is_symbol(c)) {
            return Err(format!("`{word}` has shift in its character: write the character that it makes"));
        }
        if let (Key::Char(c), true) = (key, ctrl)
            && let Some(same) = match c.to_ascii_lowercase() {
                'i' => Some("Tab"),
                'm' => Some("Enter"),
                '[' => Some("Esc"),
                _ => None,
            }
        {
            return Err(format!("a terminal sends {same} for `{word}`: write {same}"));
        }
        Ok(Self::new(key, ctrl, alt, shift))
    }

    /// Reads chords that follow each other, with spaces between them: `g d`, `ctrl-c ctrl-c`.
    ///
    /// # Errors
    /// As [`Chord::parse`]; nothing at all is an error too.
    pub fn parse_sequence(text: &str) -> Result<Vec<Self>, String> {
        let chords = text.split_whitespace().map(Self::parse).collect::<Result<Vec<_>, _>>()?;
        if chords.is_empty() { Err("no key".into()) } else { Ok(chords) }
    }

    /// As [`Chord::parse_sequence`] reads it.
    #[must_use]
    pub fn print_sequence(chords: &[Self]) -> String {
        chords.iter().map(Self::to_string).collect::<Vec<_>>().join(" ")
    }

    /// The character, when the chord is one that is typed as text.
    #[must_use]
    pub fn as_text(self) -> Option<char> {
        match self.key {
            Key::Char(c) if !self.ctrl && !self.alt => Some(c),
            _ => None,
        }
    }
}

/// The one character that `mapped` is, else `c` as it was.
fn single(mut mapped: impl Iterator<Item = char>, c: char) -> char {
    mapped.next().filter(|_| mapped.next().is_none()).unwrap_or(c)
}

/// Shift makes another character of it, and which one depends on the keyboard.
fn is_symbol(c: char) -> bool {
    c != ' ' && !c.is_alphabetic()
}

fn named(word: &str) -> Result<Key, String> {
    if let Some(number) = word.strip_prefix(['F', 'f']).and_then(|digits| digits.parse().ok()) {
        return if (1..=24).contains(&number) { Ok(Key::Function(number)) } else { Err(format!("no key F{number}")) };
    }
    NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, key)| *key).ok_or_else(|| {
        let near = nearest(word, NAMES.iter().map(|(name, _)| *name));
        let hint = near.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        format!("unknown key `{word}`{hint}")
    })
}

impl fmt::Display for Chord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (on, prefix) in [(self.ctrl, "ctrl-"), (self.alt, "alt-"), (self.shift, "S-")] {
            if on {
                f.write_str(prefix)?;
            }
        }
        if let Some((name, _)) = NAMES.iter().find(|(_, key)| *key == self.key) {
            return f.write_str(name);
        }
        match self.key {
            Key::Function(n) => write!(f, "F{n}"),
            Key::Char(c) => write!(f, "{c}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(code: KeyCode, modifiers: KeyModifiers) -> String {
        Chord::from_event(KeyEvent::new(code, modifiers)).map(|chord| chord.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_terminals_send_is_what_keymaps_write() {
        let none = KeyModifiers::NONE;
        assert_eq!(event(KeyCode::Char('G'), KeyModifiers::SHIFT), "G");
        assert_eq!(event(KeyCode::Char('G'), none), "G");
        assert_eq!(event(KeyCode::Char('g'), KeyModifiers::SHIFT), "G");
        assert_eq!(event(KeyCode::Char('?'), KeyModifiers::SHIFT), "?");
        assert_eq!(event(KeyCode::Char(' '), none), "Space");
        assert_eq!(event(KeyCode::Char('r'), KeyModifiers::CONTROL), "ctrl-r");
        assert_eq!(event(KeyCode::Char('R'), KeyModifiers::CONTROL | KeyModifiers::SHIFT), "ctrl-S-r");
        assert_eq!(event(KeyCode::Char('4'), KeyModifiers::CONTROL), "ctrl-\\");
        assert_eq!(event(KeyCode::Char('<'), KeyModifiers::ALT), "alt-<");
        assert_eq!(event(KeyCode::BackTab, KeyModifiers::SHIFT), "S-Tab");
        assert_eq!(event(KeyCode::BackTab, none), "S-Tab");
        assert_eq!(event(KeyCode::F(1), none), "F1");
        assert_eq!(event(KeyCode::PageUp, none), "PgUp");
        assert_eq!(event(KeyCode::CapsLock, none), "");
        assert_eq!(event(KeyCode::Char('x'), KeyModifiers::SUPER), "");
        let release = KeyEvent::new_with_kind(KeyCode::Char('x'), none, KeyEventKind::Release);
        assert_eq!(Chord::from_event(release), None);
    }

    #[test]
    fn spellings() {
        for (written, printed) in [
            ("C-x C-c", "ctrl-x ctrl-c"),
            ("M-x", "alt-x"),
            ("shift-tab", "S-Tab"),
            ("shift-n", "N"),
            ("ctrl-space", "ctrl-Space"),
            ("ctrl--", "ctrl--"),
            ("-", "-"),
            ("return", "Enter"),
            ("pagedown", "PgDn"),
            ("f12", "F12"),
            ("f", "f"),
            ("ctrl-/", "ctrl-_"),
            ("S", "S"),
            ("shift-é", "É"),
            ("ß", "ß"),
        ] {
            assert_eq!(Chord::print_sequence(&Chord::parse_sequence(written).unwrap()), printed, "{written}");
        }
    }

    #[test]
    fn mistakes() {
        let wrong = |text: &str| Chord::parse_sequence(text).unwrap_err();
        assert_eq!(wrong("ctrl-Spce"), "unknown key `Spce`; did you mean `Space`?");
        assert_eq!(wrong("crtl-r"), "unknown key `crtl-r`");
        assert_eq!(wrong("F25"), "no key F25");
        assert_eq!(wrong(" "), "no key");
        assert!(wrong("ctrl-i").contains("Tab"));
        assert!(wrong("shift-1").contains("write the character"));
    }

    fn any_chord() -> impl Strategy<Value = Chord> {
        let named = proptest::sample::select(NAMES).prop_map(|(_, key)| key);
        let key = prop_oneof![
            any::<char>().prop_filter("a key", |c| !c.is_control() && !c.is_whitespace()).prop_map(Key::Char),
            (b' '..=b'~').prop_map(|byte| Key::Char(char::from(byte))),
            named,
            (1u8..=24).prop_map(Key::Function)
        ];
        (key, any::<[bool; 3]>())
            .prop_map(|(key, [ctrl, alt, shift])| Chord::new(key, ctrl, alt, shift))
            .prop_filter("one that a terminal can send", |chord| !(chord.ctrl && matches!(chord.key, Key::Char('i' | 'm' | '['))))
    }

    proptest! {
        #[test]
        fn printed_and_read_again_it_is_the_same(chords in proptest::collection::vec(any_chord(), 1..4)) {
            let text = Chord::print_sequence(&chords);
            prop_assert_eq!(Chord::parse_sequence(&text).unwrap(), chords, "{}", text);
        }
    }
}
