//! Takes a terminal's escape sequences out of a line: a log may not move our cursor or paint our screen.

/// Removes CSI, OSC, DCS and other escape sequences. Other control characters stay; drawing makes them visible.
pub fn escapes(text: &mut String) {
    if !text.contains(['\u{1b}', '\u{9b}', '\u{9d}', '\u{90}']) {
        return;
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let kind = match c {
            '\u{1b}' => chars.next(),
            '\u{9b}' => Some('['),
            '\u{9d}' => Some(']'),
            '\u{90}' => Some('P'),
            _ => {
                out.push(c);
                continue;
            }
        };
        match kind {
            Some('[') => {
                while chars.next_if(|c| matches!(c, ' '..='?')).is_some() {}
                chars.next_if(|c| matches!(c, '@'..='~'));
            }
            // Up to BEL or ST.
            Some(']' | 'P' | 'X' | '^' | '_') => {
                while let Some(c) = chars.next() {
                    if matches!(c, '\u{7}' | '\u{9c}') || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                        break;
                    }
                }
            }
            Some(' '..='/') => {
                while chars.next_if(|c| matches!(c, ' '..='/')).is_some() {}
                chars.next();
            }
            _ => {}
        }
    }
    *text = out;
}

#[cfg(test)]
mod tests {
    #[test]
    fn sequences_go_and_text_stays() {
        for (text, expected) in [
            ("plain \u{7} stays", "plain \u{7} stays"),
            ("\u{1b}[31mred\u{1b}[0m text", "red text"),
            ("a\u{1b}]0;title\u{7}b\u{1b}]8;;http://x\u{1b}\\c", "abc"),
            ("\u{1b}[?1049h\u{1b}(Bx\u{1b}7y", "xy"),
            ("\u{9b}2Jx", "x"),
            ("cut \u{1b}[3", "cut "),
            ("\u{1b}", ""),
        ] {
            let mut line = text.to_owned();
            super::escapes(&mut line);
            assert_eq!(line, expected, "{text:?}");
        }
    }
}
