//! What a whole control sequence means. Where it begins and ends is the parser's.

use crossterm::event::{
    KeyCode, KeyEvent, KeyEventKind, KeyEventState, KeyModifiers, MediaKeyCode, MouseButton, MouseEvent, MouseEventKind,
};

use super::{Input, key};

/// Parameters separated by `;`, each with its parts separated by `:`; an empty one is `None`.
fn parameters(text: &str) -> Vec<Vec<Option<u32>>> {
    text.split(';').map(|parameter| parameter.split(':').map(|part| part.parse().ok()).collect()).collect()
}

/// What `CSI body end` means, if it means anything.
pub(super) fn meaning(body: &[u8], end: u8) -> Option<Input> {
    let body = std::str::from_utf8(body).ok()?;
    match (body.chars().next(), end) {
        (Some('<'), b'M' | b'm') => return mouse(&body[1..], end == b'm'),
        (Some('?'), b'c') => {
            let attributes = parameters(&body[1..]).iter().filter_map(|p| u16::try_from((*p.first()?)?).ok()).collect();
            return Some(Input::Attributes(attributes));
        }
        (Some('?'), b'y') => {
            let (mode, value) = body[1..].strip_suffix('$')?.split_once(';')?;
            return Some(Input::ModeReport { mode: mode.parse().ok()?, value: value.parse().ok()? });
        }
        (Some('<' | '=' | '>' | '?'), _) => return None,
        _ => {}
    }
    let parameters = parameters(body);
    let number = |i: usize| parameters.get(i).and_then(|p| *p.first()?);
    let (modifiers, kind) = modifiers_and_kind(parameters.get(1));
    let code = match end {
        b'n' => return (number(0) == Some(0)).then_some(Input::Ack),
        b'I' if body.is_empty() => return Some(Input::FocusGained),
        b'O' if body.is_empty() => return Some(Input::FocusLost),
        b'Z' => {
            return Some(Input::Key(key(KeyCode::BackTab, modifiers | KeyModifiers::SHIFT)));
        }
        b'R' if parameters.len() == 2 && !(number(0) == Some(1) && matches!(number(1), Some(2..=16))) => {
            let from_zero = |i: usize| u16::try_from(number(i)?.checked_sub(1)?).ok();
            return Some(Input::CursorPosition(from_zero(1)?, from_zero(0)?));
        }
        b'u' => return kitty(&parameters, modifiers, kind),
        b'~' if number(0) == Some(27) => return code_point(number(2)?, modifiers, kind),
        b'~' => tilde(number(0)?)?,
        end if matches!(number(0), None | Some(1)) => function(end)?,
        _ => return None,
    };
    Some(Input::Key(KeyEvent::new_with_kind(code, modifiers, kind)))
}

fn modifiers_and_kind(parameter: Option<&Vec<Option<u32>>>) -> (KeyModifiers, KeyEventKind) {
    let part = |i: usize| parameter.and_then(|p| *p.get(i)?);
    let mask = part(0).unwrap_or(1).saturating_sub(1);
    let modifiers = [
        (1, KeyModifiers::SHIFT),
        (2, KeyModifiers::ALT),
        (4, KeyModifiers::CONTROL),
        (8, KeyModifiers::SUPER),
        (16, KeyModifiers::HYPER),
        (32, KeyModifiers::META),
    ];
    let modifiers = modifiers.into_iter().filter(|(bit, _)| mask & bit != 0).map(|(_, modifier)| modifier).collect();
    let kind = match part(1) {
        Some(2) => KeyEventKind::Repeat,
        Some(3) => KeyEventKind::Release,
        _ => KeyEventKind::Press,
    };
    (modifiers, kind)
}

/// The last byte of `SS3` and of `CSI 1 ; modifiers`.
pub(super) fn function(end: u8) -> Option<KeyCode> {
    Some(match end {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'E' => KeyCode::KeypadBegin,
        b'F' => KeyCode::End,
        b'H' => KeyCode::Home,
        b'M' => KeyCode::Enter,
        b'P'..=b'S' => KeyCode::F(end - b'P' + 1),
        _ => return None,
    })
}

fn tilde(number: u32) -> Option<KeyCode> {
    Some(match number {
        1 | 7 => KeyCode::Home,
        2 => KeyCode::Insert,
        3 => KeyCode::Delete,
        4 | 8 => KeyCode::End,
        5 => KeyCode::PageUp,
        6 => KeyCode::PageDown,
        n @ 11..=15 => KeyCode::F(n as u8 - 10),
        n @ 17..=21 => KeyCode::F(n as u8 - 11),
        n @ 23..=26 => KeyCode::F(n as u8 - 12),
        n @ 28..=29 => KeyCode::F(n as u8 - 13),
        n @ 31..=34 => KeyCode::F(n as u8 - 14),
        _ => return None,
    })
}

/// `CSI code:shifted ; modifiers:kind u`.
fn kitty(parameters: &[Vec<Option<u32>>], modifiers: KeyModifiers, kind: KeyEventKind) -> Option<Input> {
    let code = parameters.first()?;
    let shifted = code.get(1).copied().flatten().filter(|_| modifiers.contains(KeyModifiers::SHIFT));
    code_point(shifted.or(*code.first()?)?, modifiers, kind)
}

/// A key by its Unicode code point, or by kitty's number for it in the private use area.
fn code_point(number: u32, modifiers: KeyModifiers, kind: KeyEventKind) -> Option<Input> {
    let shift = modifiers.contains(KeyModifiers::SHIFT);
    let code = match number {
        9 if shift => KeyCode::BackTab,
        9 => KeyCode::Tab,
        13 | 57414 => KeyCode::Enter,
        27 => KeyCode::Esc,
        8 | 127 => KeyCode::Backspace,
        57358 => KeyCode::CapsLock,
        57359 => KeyCode::ScrollLock,
        57360 => KeyCode::NumLock,
        57361 => KeyCode::PrintScreen,
        57362 => KeyCode::Pause,
        57363 => KeyCode::Menu,
        n @ 57376..=57398 => KeyCode::F((n - 57376) as u8 + 13),
        n @ 57399..=57408 => KeyCode::Char(char::from(b'0' + (n - 57399) as u8)),
        57409 => KeyCode::Char('.'),
        57410 => KeyCode::Char('/'),
        57411 => KeyCode::Char('*'),
        57412 => KeyCode::Char('-'),
        57413 => KeyCode::Char('+'),
        57415 => KeyCode::Char('='),
        57416 => KeyCode::Char(','),
        57417 => KeyCode::Left,
        57418 => KeyCode::Right,
        57419 => KeyCode::Up,
        57420 => KeyCode::Down,
        57421 => KeyCode::PageUp,
        57422 => KeyCode::PageDown,
        57423 => KeyCode::Home,
        57424 => KeyCode::End,
        57425 => KeyCode::Insert,
        57426 => KeyCode::Delete,
        57427 => KeyCode::KeypadBegin,
        57430 => KeyCode::Media(MediaKeyCode::PlayPause),
        // Modifiers alone, and what no keyboard of an SRE needs.
        57344..=63743 => return None,
        n => match char::from_u32(n).filter(|c| !c.is_control())? {
            c if shift && c.is_lowercase() => KeyCode::Char(c.to_uppercase().next().unwrap_or(c)),
            c => KeyCode::Char(c),
        },
    };
    Some(Input::Key(KeyEvent { code, modifiers, kind, state: KeyEventState::NONE }))
}

/// SGR mouse: `button;column;row`.
fn mouse(body: &str, released: bool) -> Option<Input> {
    let mut numbers = body.split(';').map(str::parse::<u16>);
    let mut number = || numbers.next()?.ok();
    let (bits, column, row) = (number()?, number()?.checked_sub(1)?, number()?.checked_sub(1)?);
    let button = match bits & 3 {
        0 => Some(MouseButton::Left),
        1 => Some(MouseButton::Middle),
        2 => Some(MouseButton::Right),
        _ => None,
    };
    let kind = match (bits & 64 != 0, bits & 32 != 0, button) {
        _ if bits & 128 != 0 => return None,
        (true, _, Some(MouseButton::Left)) => MouseEventKind::ScrollUp,
        (true, _, Some(MouseButton::Middle)) => MouseEventKind::ScrollDown,
        (true, _, Some(MouseButton::Right)) => MouseEventKind::ScrollLeft,
        (true, _, None) => MouseEventKind::ScrollRight,
        (false, true, Some(button)) => MouseEventKind::Drag(button),
        (false, true, None) => MouseEventKind::Moved,
        (false, false, Some(button)) if released => MouseEventKind::Up(button),
        (false, false, Some(button)) => MouseEventKind::Down(button),
        (false, false, None) => return None,
    };
    let modifiers = [(4, KeyModifiers::SHIFT), (8, KeyModifiers::ALT), (16, KeyModifiers::CONTROL)];
    let modifiers = modifiers.into_iter().filter(|(bit, _)| bits & bit != 0).map(|(_, modifier)| modifier).collect();
    Some(Input::Mouse(MouseEvent { kind, column, row, modifiers }))
}
