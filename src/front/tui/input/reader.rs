//! Reads the terminal on the thread that asks: between a key and what it does no other thread has to wake.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Duration, Instant, timeout_at};

use super::{Input, Parser};

/// After an escape, how long its rest may take.
const ESCAPE_WAIT: Duration = Duration::from_millis(30);

/// A terminal's input.
#[derive(Debug)]
pub struct Reader {
    terminal: AsyncFd<OwnedFd>,
    parser: Parser,
    inputs: VecDeque<Input>,
    /// Until when the rest of a sequence is waited for.
    until: Option<Instant>,
    closed: bool,
}

impl Reader {
    /// Reads `terminal` (which is duplicated).
    ///
    /// # Errors
    /// When it cannot be waited for: a file.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O: the runtime whose thread waits for the terminal.
    #[expect(deprecated, reason = "what tokio has instead is unsafe for the sake of descriptors that are not owned; this one is")]
    pub fn new(terminal: impl AsFd) -> io::Result<Self> {
        let terminal = AsyncFd::with_interest(terminal.as_fd().try_clone_to_owned()?, Interest::READABLE)?;
        Ok(Self { terminal, parser: Parser::default(), inputs: VecDeque::new(), until: None, closed: false })
    }

    /// The next thing that the terminal said; nothing when it is gone (connection lost, window closed). Cancel safe.
    pub async fn next(&mut self) -> Option<Input> {
        loop {
            if let Some(input) = self.inputs.pop_front() {
                return Some(input);
            }
            if self.closed {
                return None;
            }
            let ready = match self.until {
                Some(until) => match timeout_at(until, self.terminal.readable()).await {
                    Ok(ready) => ready,
                    Err(_) => {
                        // From here on only more input can complete it.
                        self.until = None;
                        let mut inputs = Vec::new();
                        self.parser.flush(&mut inputs);
                        self.inputs.extend(inputs);
                        continue;
                    }
                },
                None => self.terminal.readable().await,
            };
            let mut bytes = [0; 4096];
            // The device may block: it is shared with whoever started us, and not made to do otherwise.
            let read = ready.and_then(|mut ready| match ready.try_io(|terminal| read_ready(terminal.get_ref(), &mut bytes)) {
                Ok(read) => read.map(Some),
                Err(_not_now) => Ok(None),
            });
            match read {
                Ok(Some(0)) | Err(_) => self.closed = true,
                Ok(Some(len)) => {
                    let mut inputs = Vec::new();
                    self.parser.feed(&bytes[..len], &mut inputs);
                    self.inputs.extend(inputs);
                    self.until = self.parser.is_pending().then(|| Instant::now() + ESCAPE_WAIT);
                }
                Ok(None) => {}
            }
        }
    }

    /// Somebody else had the terminal: what was half read has nothing to do with what comes from here on.
    pub fn forget(&mut self) {
        self.parser = Parser::default();
        self.until = None;
    }
}

/// Reads what is there.
///
/// # Errors
/// `WouldBlock` when nothing is.
fn read_ready(terminal: &OwnedFd, bytes: &mut [u8]) -> io::Result<usize> {
    loop {
        let mut fds = [PollFd::new(terminal, PollFlags::IN)];
        match poll(&mut fds, Some(&Timespec::default())) {
            Ok(0) => return Err(io::ErrorKind::WouldBlock.into()),
            Ok(_) => match rustix::io::read(terminal, &mut *bytes) {
                Err(Errno::INTR) => {}
                read => return Ok(read?),
            },
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use super::*;

    async fn next(reader: &mut Reader) -> Option<Input> {
        timeout_at(Instant::now() + Duration::from_secs(20), reader.next()).await.unwrap()
    }

    fn key(code: KeyCode) -> Option<Input> {
        Some(Input::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }

    #[tokio::test]
    async fn reads_leaves_what_is_not_its_own_and_sees_the_end() {
        let (terminal, mut keyboard) = io::pipe().unwrap();
        let mut reader = Reader::new(&terminal).unwrap();
        keyboard.write_all(b"jk").unwrap();
        assert_eq!(next(&mut reader).await, key(KeyCode::Char('j')));
        assert_eq!(next(&mut reader).await, key(KeyCode::Char('k')));
        keyboard.write_all(b"\x1b").unwrap();
        assert_eq!(next(&mut reader).await, key(KeyCode::Esc), "a lone escape, after a while");

        // A sequence is cut short by a child that gets the terminal.
        keyboard.write_all(b"\x1b[").unwrap();
        assert!(timeout_at(Instant::now(), reader.next()).await.is_err());
        keyboard.write_all(b"for the child").unwrap();
        let mut child = [0; 13];
        (&terminal).read_exact(&mut child).unwrap();
        assert_eq!(&child, b"for the child");
        reader.forget();
        // What it was told of was read by the child: it does not block.
        assert!(timeout_at(Instant::now() + Duration::from_millis(50), reader.next()).await.is_err());
        keyboard.write_all(b"Al").unwrap();
        assert_eq!(next(&mut reader).await, Some(Input::Key(KeyEvent::new(KeyCode::Char('A'), KeyModifiers::SHIFT))));

        drop(keyboard);
        assert_eq!(next(&mut reader).await, key(KeyCode::Char('l')));
        assert_eq!(next(&mut reader).await, None);
        assert_eq!(next(&mut reader).await, None);
    }

    #[tokio::test]
    async fn a_file_is_no_terminal() {
        assert!(Reader::new(tempfile::tempfile().unwrap()).is_err());
    }
}
