//! The thread that reads the terminal, which can step aside while a child has the terminal.

use std::io::{self, PipeWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::sync::mpsc::UnboundedSender;

use super::{Input, Parser};

/// After an escape, how long its rest may take.
const ESCAPE_WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 30_000_000 };

/// What the reader reports.
#[derive(Debug, PartialEq, Eq)]
pub enum FromTerminal {
    Input(Input),
    /// The terminal is gone (connection lost, window closed); the last message.
    Closed,
}

/// The reading thread; stopped and waited for when dropped.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    wake: PipeWriter,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    mode: Mutex<Mode>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Running,
    Pausing,
    Paused,
    Stopped,
}

/// Reads `terminal` (which is duplicated) in a thread of its own and sends what it says to `to`, until the terminal
/// is gone, the receiver is, or the `Reader` is dropped.
pub fn spawn_reader(terminal: impl AsFd, to: UnboundedSender<FromTerminal>) -> io::Result<Reader> {
    let terminal = terminal.as_fd().try_clone_to_owned()?;
    let (woken, wake) = io::pipe()?;
    let shared = Arc::new(Shared::default());
    let of_thread = Arc::clone(&shared);
    let thread = std::thread::Builder::new().name("terminal".into()).spawn(move || {
        read_all(&terminal, woken, &of_thread, &to);
        *of_thread.lock() = Mode::Stopped;
        of_thread.changed.notify_all();
    })?;
    Ok(Reader { shared, wake, thread: Some(thread) })
}

impl Reader {
    /// Returns when the thread has stopped reading: from here on input belongs to somebody else.
    pub fn pause(&mut self) -> io::Result<()> {
        let mut mode = self.shared.lock();
        if *mode == Mode::Running {
            *mode = Mode::Pausing;
            self.wake.write_all(b"!")?;
        }
        while *mode == Mode::Pausing {
            mode = self.shared.changed.wait(mode).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Reads again.
    pub fn resume(&mut self) {
        let mut mode = self.shared.lock();
        if *mode == Mode::Paused {
            *mode = Mode::Running;
            self.shared.changed.notify_all();
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        *self.shared.lock() = Mode::Stopped;
        self.shared.changed.notify_all();
        // When the pipe is closed the thread has already ended.
        _ = self.wake.write_all(b"!");
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Mode> {
        self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while paused; whether to read on.
    fn proceed(&self) -> bool {
        let mut mode = self.lock();
        if *mode == Mode::Pausing {
            *mode = Mode::Paused;
            self.changed.notify_all();
        }
        while *mode == Mode::Paused {
            mode = self.changed.wait(mode).unwrap_or_else(PoisonError::into_inner);
        }
        *mode == Mode::Running
    }
}

fn read_all(terminal: &OwnedFd, mut woken: io::PipeReader, shared: &Shared, to: &UnboundedSender<FromTerminal>) {
    let mut parser = Parser::default();
    let mut inputs = Vec::new();
    let mut bytes = [0; 4096];
    // Whether the wait for the rest of a sequence is over: then only more input can complete it.
    let mut waited = false;
    loop {
        let mut fds = [PollFd::new(terminal, PollFlags::IN), PollFd::new(&woken, PollFlags::IN)];
        let wait = (parser.is_pending() && !waited).then_some(&ESCAPE_WAIT);
        let ready = match poll(&mut fds, wait) {
            Ok(ready) => ready,
            Err(Errno::INTR | Errno::AGAIN) => continue,
            Err(_) => break,
        };
        let (input, wake) = (!fds[0].revents().is_empty(), !fds[1].revents().is_empty());
        if wake {
            if woken.read(&mut bytes[..1]).is_err() || !shared.proceed() {
                return;
            }
            // What was half read before the pause has nothing to do with what comes after it.
            parser = Parser::default();
            continue;
        }
        waited = !input;
        if input {
            match rustix::io::read(terminal, &mut bytes) {
                Ok(0) => break,
                Ok(len) => parser.feed(&bytes[..len], &mut inputs),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => break,
            }
        } else if ready == 0 {
            parser.flush(&mut inputs);
        }
        for input in inputs.drain(..) {
            if to.send(FromTerminal::Input(input)).is_err() {
                return;
            }
        }
    }
    _ = to.send(FromTerminal::Closed);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;

    fn next(from: &mut UnboundedReceiver<FromTerminal>) -> Option<FromTerminal> {
        for _ in 0..200 {
            match from.try_recv() {
                Ok(message) => return Some(message),
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
        None
    }

    fn key(code: KeyCode) -> Option<FromTerminal> {
        Some(FromTerminal::Input(Input::Key(KeyEvent::new(code, KeyModifiers::NONE))))
    }

    #[test]
    fn reads_pauses_and_sees_the_end() {
        let (terminal, mut keyboard) = io::pipe().unwrap();
        let (to, mut from) = unbounded_channel();
        let mut reader = spawn_reader(&terminal, to).unwrap();
        keyboard.write_all(b"j").unwrap();
        assert_eq!(next(&mut from), key(KeyCode::Char('j')));
        keyboard.write_all(b"\x1b").unwrap();
        assert_eq!(next(&mut from), key(KeyCode::Esc), "a lone escape, after a while");

        reader.pause().unwrap();
        keyboard.write_all(b"for the child").unwrap();
        let mut child = [0; 13];
        (&terminal).read_exact(&mut child).unwrap();
        assert_eq!(&child, b"for the child");
        reader.resume();
        keyboard.write_all(b"k").unwrap();
        assert_eq!(next(&mut from), key(KeyCode::Char('k')));

        drop(keyboard);
        assert_eq!(next(&mut from), Some(FromTerminal::Closed));
        reader.pause().unwrap();
    }

    #[test]
    fn ends_when_dropped_paused_or_not() {
        for pause in [false, true] {
            let (terminal, _keyboard) = io::pipe().unwrap();
            let (to, mut from) = unbounded_channel();
            let mut reader = spawn_reader(&terminal, to).unwrap();
            if pause {
                reader.pause().unwrap();
            }
            drop(reader);
            assert_eq!(from.try_recv(), Err(tokio::sync::mpsc::error::TryRecvError::Disconnected));
        }
    }
}
