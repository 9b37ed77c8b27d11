//! The terminal's input: bytes to keys, mouse, pastes, and the terminal's own answers.
//!
//! crossterm's parser swallows the answer to `CSI 5n`, which paces the frames (see `pace`), and `vte` reads what
//! programs send, where `ESC ]` opens a string that never ends: so this is a parser of what terminals send.
//! `reader` brings the bytes. What a key means is left to `keymap`.

mod decode;
mod reader;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseEvent};

use decode::{function, meaning};
pub use reader::Reader;

/// One thing that the terminal said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Key(KeyEvent),
    /// Column and row from zero.
    Mouse(MouseEvent),
    /// Line ends are `\n`.
    Paste(String),
    FocusGained,
    FocusLost,
    /// `CSI 0 n`, the answer to `CSI 5 n`.
    Ack,
    /// Column and row from zero. In row one, columns two to sixteen are not told from F3 with modifiers, and read as that.
    CursorPosition(u16, u16),
    /// Primary device attributes.
    Attributes(Vec<u16>),
    /// Whether the terminal knows a private mode: 0 not, 1 set, 2 reset, 3 and 4 for ever so.
    ModeReport {
        mode: u16,
        value: u8,
    },
}

/// A paste is cut after this many bytes, so that one which never ends costs no more memory.
const PASTE_LIMIT: usize = 4 << 20;
/// No control sequence that terminals send is longer.
const SEQUENCE_LIMIT: usize = 128;
/// No answer in a string (a colour, a version) is longer.
const STRING_LIMIT: usize = 4096;

/// Holds what is incomplete between two reads.
#[derive(Debug, Default)]
pub struct Parser {
    pending: Vec<u8>,
    paste: Option<Vec<u8>>,
}

/// What the beginning of the input is.
enum Step {
    /// So many bytes mean this, or nothing.
    Take(usize, Option<Input>),
    PasteStart(usize),
    Incomplete,
}

impl Parser {
    /// Reads `bytes` and appends what they complete.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<Input>) {
        self.pending.extend_from_slice(bytes);
        let mut pending = std::mem::take(&mut self.pending);
        let mut at = 0;
        while at < pending.len() {
            let rest = &pending[at..];
            if let Some(paste) = &mut self.paste {
                let (taken, ended) = take_paste(rest, paste);
                at += taken;
                if ended {
                    let paste = self.paste.take().unwrap_or_default();
                    out.push(Input::Paste(text(&paste)));
                } else {
                    break;
                }
                continue;
            }
            match step(rest) {
                Step::Take(taken, input) => {
                    at += taken;
                    out.extend(input);
                }
                Step::PasteStart(taken) => {
                    at += taken;
                    self.paste = Some(Vec::new());
                }
                Step::Incomplete => break,
            }
        }
        pending.drain(..at);
        self.pending = pending;
    }

    /// Whether input waits for its rest or for `flush`: an escape may be a key or a sequence's first byte.
    pub fn is_pending(&self) -> bool {
        self.paste.is_none() && self.pending.first() == Some(&0x1b)
    }

    /// Nothing followed for a while (30 ms): what could be a key of its own is one.
    pub fn flush(&mut self, out: &mut Vec<Input>) {
        if !self.is_pending() {
            return;
        }
        let key = match self.pending[1..] {
            [] => key(KeyCode::Esc, KeyModifiers::NONE),
            // A sequence that broke off within its parameters is waited for: its rest would come as text.
            [b'[', _, ..] | [b'O', _, ..] => return,
            // The rest of a string that is none: `ESC ]`, and a digit, typed.
            [first, ..] => char_key(char::from(first), KeyModifiers::ALT),
        };
        out.push(Input::Key(key));
        let rest = self.pending.split_off(self.pending.len().min(2));
        self.pending.clear();
        self.feed(&rest, out);
        self.flush(out);
    }
}

fn step(rest: &[u8]) -> Step {
    match *rest {
        [0x1b, ref after @ ..] => escape(after),
        [b, ..] if b < 0x20 || b == 0x7f => Step::Take(1, Some(Input::Key(control(b, KeyModifiers::NONE)))),
        _ => character(rest, KeyModifiers::NONE),
    }
}

/// What follows an escape.
fn escape(after: &[u8]) -> Step {
    match *after {
        [] => Step::Incomplete,
        [b'[', ref body @ ..] => csi(body),
        [b'O'] => Step::Incomplete,
        [b'O', end, ..] => match function(end) {
            Some(code) => Step::Take(3, Some(Input::Key(key(code, KeyModifiers::NONE)))),
            None => Step::Take(2, Some(Input::Key(char_key('O', KeyModifiers::ALT)))),
        },
        // Strings begin like this, and so do Alt-] and Alt-P: answers have a digit or a mark next.
        [b']'] | [b'P'] => Step::Incomplete,
        [b']', b'0'..=b'9', ..] | [b'P', b'0'..=b'9' | b'>' | b'!' | b'+' | b'$', ..] => string(after),
        // Two escapes: the first is a key, the second begins whatever it begins.
        [0x1b, ..] => Step::Take(1, Some(Input::Key(key(KeyCode::Esc, KeyModifiers::NONE)))),
        [b, ..] if b < 0x20 || b == 0x7f => Step::Take(2, Some(Input::Key(control(b, KeyModifiers::ALT)))),
        _ => match character(after, KeyModifiers::ALT) {
            Step::Take(taken, Some(input)) => Step::Take(taken + 1, Some(input)),
            // Not text: the escape was a key.
            Step::Take(_, None) => Step::Take(1, Some(Input::Key(key(KeyCode::Esc, KeyModifiers::NONE)))),
            other => other,
        },
    }
}

/// One UTF-8 character; what is none is dropped byte by byte.
fn character(rest: &[u8], modifiers: KeyModifiers) -> Step {
    let len = match rest[0] {
        0x00..0x80 => 1,
        0xc2..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf5 => 4,
        _ => return Step::Take(1, None),
    };
    match std::str::from_utf8(&rest[..len.min(rest.len())]) {
        Ok(text) => Step::Take(len, text.chars().next().map(|c| Input::Key(char_key(c, modifiers)))),
        Err(e) if e.error_len().is_none() => Step::Incomplete,
        Err(_) => Step::Take(1, None),
    }
}

fn control(byte: u8, modifiers: KeyModifiers) -> KeyEvent {
    let (code, more) = match byte {
        0 => (KeyCode::Char(' '), KeyModifiers::CONTROL),
        b'\t' => (KeyCode::Tab, KeyModifiers::NONE),
        b'\r' => (KeyCode::Enter, KeyModifiers::NONE),
        0x1b => (KeyCode::Esc, KeyModifiers::NONE),
        0x7f => (KeyCode::Backspace, KeyModifiers::NONE),
        1..=26 => (KeyCode::Char(char::from(byte + 0x60)), KeyModifiers::CONTROL),
        _ => (KeyCode::Char(char::from(byte + 0x40)), KeyModifiers::CONTROL),
    };
    key(code, modifiers | more)
}

fn key(code: KeyCode, modifiers: KeyModifiers) -> KeyEvent {
    KeyEvent::new(code, modifiers)
}

/// As crossterm has it: a capital comes with Shift.
fn char_key(c: char, modifiers: KeyModifiers) -> KeyEvent {
    key(KeyCode::Char(c), if c.is_uppercase() { modifiers | KeyModifiers::SHIFT } else { modifiers })
}

/// `body` follows `ESC [`.
fn csi(body: &[u8]) -> Step {
    // The Linux console's F1 to F5.
    if let [b'[', end, ..] = *body {
        let input = (b'A'..=b'E').contains(&end).then(|| Input::Key(key(KeyCode::F(end - b'A' + 1), KeyModifiers::NONE)));
        return if input.is_some() { Step::Take(4, input) } else { Step::Take(3, None) };
    }
    if body == b"[" {
        return Step::Incomplete;
    }
    let Some(len) = body.iter().position(|b| !(0x20..0x40).contains(b)) else {
        return if body.len() < SEQUENCE_LIMIT { Step::Incomplete } else { Step::Take(2 + body.len(), None) };
    };
    let end = body[len];
    if !(0x40..0x7f).contains(&end) {
        // Something else began in the midst of it: what came before is dropped, that is not.
        return Step::Take(2 + len, None);
    }
    if end == b'~' && &body[..len] == b"200" {
        return Step::PasteStart(3 + len);
    }
    Step::Take(3 + len, meaning(&body[..len], end))
}

/// `ESC ] .. BEL`, `ESC P .. ESC \`: answers that nobody asked for.
fn string(after: &[u8]) -> Step {
    for (i, byte) in after.iter().enumerate().take(STRING_LIMIT).skip(2) {
        match byte {
            0x07 => return Step::Take(2 + i, None),
            0x1b => match after.get(i + 1) {
                Some(b'\\') => return Step::Take(3 + i, None),
                Some(_) => break,
                None => return Step::Incomplete,
            },
            0x20..=0x7e | 0x80.. => {}
            _ => break,
        }
    }
    if after.len() < STRING_LIMIT && after[2..].iter().all(|b| *b >= 0x20 && *b != 0x7f) {
        return Step::Incomplete;
    }
    Step::Take(2, Some(Input::Key(char_key(char::from(after[0]), KeyModifiers::ALT))))
}

const PASTE_END: &[u8] = b"\x1b[201~";

/// Moves what belongs to the paste into it: how many bytes are done with, and whether the paste has ended. Ctrl-C ends
/// one too (terminals do not paste it), so that a lost end does not swallow all keys.
fn take_paste(rest: &[u8], paste: &mut Vec<u8>) -> (usize, bool) {
    let end = rest.windows(PASTE_END.len()).position(|window| window == PASTE_END);
    let interrupt = rest.iter().position(|b| *b == 3);
    let (body, taken, ended) = match (end, interrupt) {
        (Some(end), interrupt) if interrupt.is_none_or(|interrupt| end < interrupt) => (end, end + PASTE_END.len(), true),
        (_, Some(interrupt)) => (interrupt, interrupt, true),
        _ => {
            let split = (1..PASTE_END.len()).rev().find(|n| rest.ends_with(&PASTE_END[..*n])).unwrap_or(0);
            (rest.len() - split, rest.len() - split, false)
        }
    };
    let room = PASTE_LIMIT - paste.len();
    paste.extend_from_slice(&rest[..body.min(room)]);
    (taken, ended)
}

fn text(paste: &[u8]) -> String {
    String::from_utf8_lossy(paste).replace("\r\n", "\n").replace('\r', "\n")
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyEventKind, MouseButton, MouseEventKind};
    use proptest::prelude::*;

    use super::*;

    fn parse(bytes: &[u8]) -> Vec<Input> {
        let mut parser = Parser::default();
        let mut out = Vec::new();
        parser.feed(bytes, &mut out);
        parser.flush(&mut out);
        out
    }

    fn keys(bytes: &str) -> Vec<(KeyCode, KeyModifiers)> {
        parse(bytes.as_bytes())
            .into_iter()
            .map(|input| match input {
                Input::Key(key) => (key.code, key.modifiers),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn reads_keys() {
        use KeyCode::*;
        let (none, shift, alt, ctrl) = (KeyModifiers::NONE, KeyModifiers::SHIFT, KeyModifiers::ALT, KeyModifiers::CONTROL);
        let cases: &[(&str, &[(KeyCode, KeyModifiers)])] = &[
            ("jG", &[(Char('j'), none), (Char('G'), shift)]),
            ("é節🚀", &[(Char('é'), none), (Char('節'), none), (Char('🚀'), none)]),
            ("\x03\x1a\0\x1d", &[(Char('c'), ctrl), (Char('z'), ctrl), (Char(' '), ctrl), (Char(']'), ctrl)]),
            ("\r\n\t\x7f", &[(Enter, none), (Char('j'), ctrl), (Tab, none), (Backspace, none)]),
            ("\x1bx\x1bX\x1b\x7f\x1bé", &[(Char('x'), alt), (Char('X'), alt | shift), (Backspace, alt), (Char('é'), alt)]),
            ("\x1b", &[(Esc, none)]),
            ("\x1b\x1b[A", &[(Esc, none), (Up, none)]),
            ("\x1b[", &[(Char('['), alt)]),
            ("\x1bO", &[(Char('O'), alt | shift)]),
            ("\x1b[A\x1bOB\x1b[1;5C\x1b[1;2D", &[(Up, none), (Down, none), (Right, ctrl), (Left, shift)]),
            ("\x1b[H\x1bOF\x1b[1~\x1b[4~\x1b[7;5~", &[(Home, none), (End, none), (Home, none), (End, none), (Home, ctrl)]),
            ("\x1b[5~\x1b[6;3~\x1b[2~\x1b[3~", &[(PageUp, none), (PageDown, alt), (Insert, none), (Delete, none)]),
            ("\x1bOP\x1b[15~\x1b[24;2~\x1b[1;5R\x1b[[B", &[(F(1), none), (F(5), none), (F(12), shift), (F(3), ctrl), (F(2), none)]),
            ("\x1b[Z", &[(BackTab, shift)]),
            (
                "\x1b[97;5u\x1b[27u\x1b[9;2u\x1b[97:65;2u\x1b[57399u",
                &[(Char('a'), ctrl), (Esc, none), (BackTab, shift), (Char('A'), shift), (Char('0'), none)],
            ),
            ("\x1b[27;5;13~", &[(Enter, ctrl)]),
            ("\x1b]\x1bP", &[(Char(']'), alt), (Char('P'), alt | shift)]),
            ("\x1b]1j", &[(Char(']'), alt), (Char('1'), none), (Char('j'), none)]),
        ];
        for (bytes, expected) in cases {
            assert_eq!(keys(bytes), *expected, "{bytes:?}");
        }
        let release = parse(b"\x1b[97;1:3u");
        assert!(matches!(release[..], [Input::Key(KeyEvent { kind: KeyEventKind::Release, .. })]));
    }

    #[test]
    fn reads_what_the_terminal_says() {
        let ctrl = KeyModifiers::CONTROL;
        let mouse = |kind, column, row, modifiers| Input::Mouse(MouseEvent { kind, column, row, modifiers });
        let none = KeyModifiers::NONE;
        let cases: &[(&str, Vec<Input>)] = &[
            ("\x1b[0n", vec![Input::Ack]),
            ("\x1b[3n", vec![]),
            ("\x1b[24;80R", vec![Input::CursorPosition(79, 23)]),
            ("\x1b[?64;1;22c\x1b[>1;10;0c", vec![Input::Attributes(vec![64, 1, 22])]),
            ("\x1b[?2026;2$y", vec![Input::ModeReport { mode: 2026, value: 2 }]),
            ("\x1b[I\x1b[O", vec![Input::FocusGained, Input::FocusLost]),
            ("\x1b[<0;10;3M", vec![mouse(MouseEventKind::Down(MouseButton::Left), 9, 2, none)]),
            ("\x1b[<2;300;3m", vec![mouse(MouseEventKind::Up(MouseButton::Right), 299, 2, none)]),
            ("\x1b[<48;1;1M", vec![mouse(MouseEventKind::Drag(MouseButton::Left), 0, 0, ctrl)]),
            ("\x1b[<35;1;1M", vec![mouse(MouseEventKind::Moved, 0, 0, none)]),
            ("\x1b[<65;2;2M", vec![mouse(MouseEventKind::ScrollDown, 1, 1, none)]),
            ("\x1b[<0;0;0M\x1b[<M\x1b[<1M", vec![]),
            ("\x1b[200~a\rb\r\n\x1b[31mc\x1b[201~", vec![Input::Paste("a\nb\n\x1b[31mc".into())]),
            ("\x1b]11;rgb:0000/0000/0000\x07\x1b[0n\x1bP>|xterm(390)\x1b\\\x1b[0n", vec![Input::Ack, Input::Ack]),
            ("\x1b[12\x1b[0n", vec![Input::Ack]),
        ];
        for (bytes, expected) in cases {
            assert_eq!(parse(bytes.as_bytes()), *expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_paste_without_end_stops_at_ctrl_c() {
        let inputs = parse(b"\x1b[200~oops\x03q");
        assert!(matches!(&inputs[..], [Input::Paste(text), Input::Key(_), Input::Key(_)] if text == "oops"), "{inputs:?}");
    }

    const SAMPLES: &[&[u8]] = &[
        b"\x1b[1;5A",
        b"\x1b[200~",
        b"\x1b[201~",
        b"\x1b[<0;10;3M",
        b"\x1b",
        b"[",
        b"O",
        b"\x1b]1",
        b"\x1bP+",
        "節".as_bytes(),
        b"\xe7",
        b"\x1b[?2026",
        b"\x1b[99999999999;1:9u",
        b"q",
        b"\x1b[0n",
    ];

    proptest! {
        #[test]
        fn garbage_neither_panics_nor_swallows_what_follows(
            pieces in prop::collection::vec(prop_oneof![
                prop::collection::vec(any::<u8>(), 0..6),
                prop::sample::select(SAMPLES).prop_map(<[u8]>::to_vec),
            ], 0..12),
            flush: bool,
        ) {
            let mut parser = Parser::default();
            let mut out = Vec::new();
            for piece in &pieces {
                parser.feed(piece, &mut out);
                if flush {
                    parser.flush(&mut out);
                }
            }
            // The end of a paste that may be open, then a sequence that may cut one short, then what must be there.
            parser.feed(PASTE_END, &mut out);
            parser.flush(&mut out);
            out.clear();
            parser.feed(b"\x1b[0nj\x1b[B", &mut out);
            let (j, down) = (char_key('j', KeyModifiers::NONE), key(KeyCode::Down, KeyModifiers::NONE));
            prop_assert_eq!(&out[..], &[Input::Ack, Input::Key(j), Input::Key(down)]);
            prop_assert!(!parser.is_pending());
        }

        #[test]
        fn cuts_make_no_difference(pieces in prop::collection::vec(prop::sample::select(SAMPLES), 0..8), at: prop::sample::Index) {
            let bytes = pieces.concat();
            let mut parser = Parser::default();
            let mut out = Vec::new();
            let (first, second) = bytes.split_at(if bytes.is_empty() { 0 } else { at.index(bytes.len()) });
            parser.feed(first, &mut out);
            parser.feed(second, &mut out);
            parser.flush(&mut out);
            prop_assert_eq!(out, parse(&bytes));
        }
    }
}
