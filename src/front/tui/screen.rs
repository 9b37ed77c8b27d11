//! The terminal as a whole: taken over, given back on every way out, its size, and its clipboard.
//!
//! Frames are `writer`'s, input is `input`'s. Signals are the caller's: it calls `suspend` and `resume`, or drops the
//! guard. A panic is the hook's.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ratatui::layout::Size;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcgetwinsize, tcsetattr};

/// Alternate screen, pastes told from keys, focus reports, no cursor, no wrapping at the right edge.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?2004h\x1b[?1004h\x1b[?25l\x1b[?7l";
/// The reverse, with attributes and margins as they were.
const LEAVE: &[u8] = b"\x1b[m\x1b[r\x1b[?7h\x1b[?25h\x1b[?1004l\x1b[?2004l\x1b[?1049l";
/// Presses, releases, drags and the wheel, in the form without a limit of columns.
const MOUSE_ON: &[u8] = b"\x1b[?1002h\x1b[?1006h";
const MOUSE_OFF: &[u8] = b"\x1b[?1006l\x1b[?1002l";

/// A terminal's device: written to without a buffer, and shared.
#[derive(Clone, Debug)]
pub struct Tty(Arc<OwnedFd>);

impl Tty {
    /// The terminal behind `fd`, which is duplicated.
    pub fn new(fd: impl AsFd) -> io::Result<Self> {
        Ok(Self(Arc::new(fd.as_fd().try_clone_to_owned()?)))
    }

    /// Columns and rows; 80x24 where the device does not know.
    pub fn size(&self) -> io::Result<Size> {
        let size = tcgetwinsize(&self.0)?;
        Ok(match (size.ws_col, size.ws_row) {
            (0, _) | (_, 0) => Size::new(80, 24),
            (width, height) => Size { width, height },
        })
    }
}

impl AsFd for Tty {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Write for Tty {
    /// Waits for room, also where another process has made the device non-blocking.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::io::write(&self.0, bytes) {
                Err(Errno::AGAIN) => match poll(&mut [PollFd::new(&self.0, PollFlags::OUT)], None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(e) => return Err(e.into()),
                },
                Err(Errno::INTR) => {}
                written => return Ok(written?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The terminal is ours from `enter` on, and given back when this is dropped.
#[derive(Debug)]
pub struct TerminalGuard {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tty: Tty,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The modes to give back; `None` while the terminal is not ours.
    saved: Option<Termios>,
    mouse: bool,
    /// Reports of panics that were not the end, for when there is a place to print them.
    reports: Vec<String>,
}

impl TerminalGuard {
    /// Takes the terminal over: raw mode, alternate screen, reports, and the mouse if wanted.
    pub fn enter(tty: Tty, mouse: bool) -> io::Result<Self> {
        let state = Mutex::new(State { saved: None, mouse, reports: Vec::new() });
        let guard = Self { shared: Arc::new(Shared { tty, state }) };
        guard.resume()?;
        Ok(guard)
    }

    /// Gives the terminal back for a while: before stopping, or before a child takes it. Does nothing the second time.
    pub fn suspend(&self) -> io::Result<()> {
        self.shared.leave(&mut self.shared.lock())
    }

    /// Takes it over again; the writer has to `redraw`, and its size may be another.
    pub fn resume(&self) -> io::Result<()> {
        let mut state = self.shared.lock();
        if state.saved.is_some() {
            return Ok(());
        }
        let modes = tcgetattr(&self.shared.tty)?;
        let mut raw = modes.clone();
        raw.make_raw();
        tcsetattr(&self.shared.tty, OptionalActions::Now, &raw)?;
        state.saved = Some(modes);
        let mut enter = ENTER.to_vec();
        if state.mouse {
            enter.extend_from_slice(MOUSE_ON);
        }
        self.shared.write(&enter)
    }

    /// Whether the terminal reports the mouse to us; when not, it selects text with it.
    pub fn set_mouse(&self, on: bool) -> io::Result<()> {
        let mut state = self.shared.lock();
        if state.mouse == on {
            return Ok(());
        }
        state.mouse = on;
        if state.saved.is_none() {
            return Ok(());
        }
        self.shared.write(if on { MOUSE_ON } else { MOUSE_OFF })
    }

    /// From now on a panic in this thread gives the terminal back, and any panic leaves a report in `report_dir` (made
    /// if missing; file and directory are the user's alone). The path is printed: at once when the terminal is
    /// given back, or when it is later on, because other threads' panics may not be the end.
    pub fn install_panic_hook(&self, report_dir: PathBuf) {
        let shared = Arc::clone(&self.shared);
        let home = std::thread::current().id();
        std::panic::set_hook(Box::new(move |info| {
            let line = report(&report_dir, info);
            // Not to wait for a lock that the panicking thread itself may hold.
            let mut state = match shared.state.try_lock() {
                Ok(state) => state,
                Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(std::sync::TryLockError::WouldBlock) => return,
            };
            state.reports.push(line);
            if std::thread::current().id() == home {
                _ = shared.leave(&mut state);
            }
            if state.saved.is_none() {
                state.print_reports();
            }
        }));
    }
}

impl Drop for TerminalGuard {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        // The terminal may be gone; there is nobody to tell.
        _ = self.shared.leave(&mut state);
        state.print_reports();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.tty.clone().write_all(bytes)
    }

    fn leave(&self, state: &mut State) -> io::Result<()> {
        let Some(modes) = state.saved.take() else {
            return Ok(());
        };
        let mut leave = if state.mouse { MOUSE_OFF.to_vec() } else { Vec::new() };
        leave.extend_from_slice(LEAVE);
        let written = self.write(&leave);
        // Answers and keys that were for us are not for the shell. Output is not waited for: a terminal may be stalled.
        _ = tcflush(&self.tty, QueueSelector::IFlush);
        tcsetattr(&self.tty, OptionalActions::Now, &modes)?;
        written
    }
}

impl State {
    fn print_reports(&mut self) {
        for line in self.reports.drain(..) {
            _ = writeln!(io::stderr(), "{line}");
        }
    }
}

/// A task that panics over and over does not fill the disk.
const MOST_REPORTS: usize = 20;

fn report(dir: &Path, info: &PanicHookInfo<'_>) -> String {
    static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let message = info.payload_as_str().unwrap_or("no message");
    let place = info.location().map_or_else(|| "somewhere".to_owned(), ToString::to_string);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    if number >= MOST_REPORTS {
        return format!("qd: a defect at {place}, not reported: {MOST_REPORTS} reports of this run are there");
    }
    match write_report(dir, number, message, &place) {
        Ok(path) => format!("qd: a defect at {place}: {message}\n    report: {}", path.display()),
        Err(e) => format!("qd: a defect at {place}: {message}\n    no report in {}: {e}", dir.display()),
    }
}

/// What happened and where; nothing of the environment.
fn write_report(dir: &Path, number: usize, message: &str, place: &str) -> io::Result<PathBuf> {
    let now = jiff::Timestamp::now();
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let path = dir.join(format!("panic-{}-{}-{number}.txt", now.as_second(), std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let thread = std::thread::current();
    writeln!(
        file,
        "qd {} at {now}, thread {}\n{message}\nat {place}\n\n{}",
        env!("CARGO_PKG_VERSION"),
        thread.name().unwrap_or("without a name"),
        std::backtrace::Backtrace::force_capture(),
    )?;
    Ok(path)
}

/// What stands between us and the terminal that the user sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Multiplexer {
    None,
    Tmux,
    /// GNU screen: does not erase to a background colour (`Writer::set_bce`).
    Screen,
}

impl Multiplexer {
    /// From the environment, which `env` looks up.
    pub fn detect(env: impl Fn(&str) -> Option<String>) -> Self {
        let term = env("TERM").unwrap_or_default();
        let set = |name| env(name).is_some_and(|value| !value.is_empty());
        if set("TMUX") || term.starts_with("tmux") {
            Self::Tmux
        } else if set("STY") || term.starts_with("screen") {
            Self::Screen
        } else {
            Self::None
        }
    }
}

/// The most that terminals take in one clipboard sequence, encoded, in bytes.
const COPY_LIMIT: usize = 74_994;
/// GNU screen takes no longer string at once.
const SCREEN_CHUNK: usize = 512;

/// The sequence (OSC 52) that puts `text` on the clipboard of the user's terminal, through SSH and multiplexers too;
/// `None` when it is too long to arrive.
pub fn copy_sequence(text: &str, multiplexer: Multiplexer) -> Option<Vec<u8>> {
    let encoded = STANDARD.encode(text);
    if encoded.len() > COPY_LIMIT {
        return None;
    }
    let plain = format!("\x1b]52;c;{encoded}\x07").into_bytes();
    Some(match multiplexer {
        Multiplexer::None => plain,
        // tmux takes the plain one or passes the wrapped one on, depending on its settings.
        Multiplexer::Tmux => [plain.as_slice(), b"\x1bPtmux;\x1b", &plain, b"\x1b\\"].concat(),
        Multiplexer::Screen => plain.chunks(SCREEN_CHUNK).flat_map(|chunk| [b"\x1bP", chunk, b"\x1b\\"].concat()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    use portable_pty::{MasterPty, PtySize, native_pty_system};
    use rustix::termios::LocalModes;

    use super::*;

    fn terminal() -> (Box<dyn MasterPty + Send>, Tty) {
        let size = PtySize { rows: 40, cols: 120, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let path = pair.master.tty_name().unwrap();
        let tty = Tty::new(OpenOptions::new().read(true).write(true).open(path).unwrap()).unwrap();
        (pair.master, tty)
    }

    fn expect(master: &dyn MasterPty, shown: &str) {
        let mut bytes = vec![0; shown.len()];
        master.try_clone_reader().unwrap().read_exact(&mut bytes).unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes).replace('\x1b', "^"), shown);
    }

    fn cooked(tty: &Tty) -> bool {
        tcgetattr(tty).unwrap().local_modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    #[test]
    fn the_terminal_is_taken_over_and_given_back_once() {
        let (master, tty) = terminal();
        assert_eq!(tty.size().unwrap(), Size::new(120, 40));
        let guard = TerminalGuard::enter(tty.clone(), true).unwrap();
        assert!(!cooked(&tty));
        let enter = "^[?1049h^[?2004h^[?1004h^[?25l^[?7l";
        expect(&*master, &format!("{enter}^[?1002h^[?1006h"));
        guard.resume().unwrap();
        guard.set_mouse(false).unwrap();
        // Nothing for what was already so.
        expect(&*master, "^[?1006l^[?1002l");
        guard.suspend().unwrap();
        guard.suspend().unwrap();
        assert!(cooked(&tty));
        guard.resume().unwrap();
        let leave = "^[m^[r^[?7h^[?25h^[?1004l^[?2004l^[?1049l";
        expect(&*master, &format!("{leave}{enter}"));
        drop(guard);
        assert!(cooked(&tty));
        expect(&*master, leave);
    }

    #[test]
    fn a_report_is_private_and_says_what_happened() {
        let dir = tempfile::tempdir().unwrap();
        let path = write_report(&dir.path().join("reports"), 7, "index out of range", "src/x.rs:3:4").unwrap();
        let mut text = String::new();
        File::open(&path).unwrap().read_to_string(&mut text).unwrap();
        assert!(text.contains("index out of range\nat src/x.rs:3:4\n"), "{text}");
        assert!(text.contains("a_report_is_private"), "the backtrace: {text}");
        assert!(std::env::var("PATH").is_ok_and(|path| !text.contains(&path)));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(path.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }

    /// A worker's panic leaves the screen alone, ours gives it back; both leave a report.
    #[test]
    fn a_panic_gives_the_terminal_back() {
        let (master, tty) = terminal();
        let dir = tempfile::tempdir().unwrap();
        let guard = TerminalGuard::enter(tty.clone(), false).unwrap();
        let hook = std::panic::take_hook();
        guard.install_panic_hook(dir.path().to_owned());
        let worker = std::thread::spawn(|| panic!("in a worker")).join();
        let during = cooked(&tty);
        let ours = std::panic::catch_unwind(|| panic!("in the event loop"));
        std::panic::set_hook(hook);
        assert!(worker.is_err() && ours.is_err() && !during);
        assert!(cooked(&tty));
        let shown = String::from_utf8([ENTER, LEAVE].concat()).unwrap();
        expect(&*master, &shown.replace('\x1b', "^"));
        assert_eq!(dir.path().read_dir().unwrap().count(), 2);
    }

    #[test]
    fn copies_through_what_is_in_between() {
        let copy = |text: &str, multiplexer| {
            copy_sequence(text, multiplexer).map(|bytes| String::from_utf8(bytes).unwrap().replace('\x1b', "^").replace('\x07', "!"))
        };
        assert_eq!(copy("pod", Multiplexer::None).unwrap(), "^]52;c;cG9k!");
        assert_eq!(copy("pod", Multiplexer::Tmux).unwrap(), "^]52;c;cG9k!^Ptmux;^^]52;c;cG9k!^\\");
        assert_eq!(copy("pod", Multiplexer::Screen).unwrap(), "^P^]52;c;cG9k!^\\");
        assert!(copy(&"x".repeat(56_000), Multiplexer::None).is_some());
        assert_eq!(copy(&"x".repeat(57_000), Multiplexer::None), None);
    }

    #[test]
    fn sees_what_is_in_between() {
        let detect = |vars: &[(&str, &str)]| {
            Multiplexer::detect(|name| vars.iter().find(|(var, _)| *var == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(detect(&[("TERM", "xterm-256color")]), Multiplexer::None);
        assert_eq!(detect(&[("TERM", "screen-256color"), ("TMUX", "/tmp/tmux-0/default,1,0")]), Multiplexer::Tmux);
        assert_eq!(detect(&[("TERM", "tmux-256color")]), Multiplexer::Tmux);
        assert_eq!(detect(&[("TERM", "xterm"), ("STY", "1.pts-0")]), Multiplexer::Screen);
    }
}
