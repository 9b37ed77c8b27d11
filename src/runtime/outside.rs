//! The person's own editor on a private copy of a text, which is gone afterwards.

use super::Screen;
use std::io;
use std::process::Command;

/// Lends the terminal to `$VISUAL` or `$EDITOR`. The text as it was left, or why it was not taken.
pub fn edit<S: Screen>(screen: &mut S, name: &str, text: &str) -> io::Result<Result<String, String>> {
    let set = |name: &str| std::env::var(name).ok().filter(|v| !v.trim().is_empty());
    let editor = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".to_owned());
    let path = std::env::temp_dir().join(format!("qd-{name}-{:016x}.yaml", fastrand::u64(..)));
    if let Err(e) = crate::state::write_private(&path, text.as_bytes()) {
        return Ok(Err(format!("{}: {e}", path.display())));
    }
    // A shell reads the words of EDITOR, as git has it. The screen keeps what a child prints: an editor's screen is the terminal.
    let mut command = Command::new("sh");
    command.args(["-c", "exec </dev/tty >/dev/tty 2>&1; eval \"$0 \\\"\\$1\\\"\"", &editor]).arg(&path);
    let lent = screen.lend(command);
    let left = std::fs::read_to_string(&path);
    let _ = std::fs::remove_file(&path);
    let (ok, _) = lent?;
    Ok(if ok { left.map_err(|e| e.to_string()) } else { Err(format!("{editor} did not end well: the text is as it was")) })
}
