//! A child that has the terminal for a while: its end, its stops, what it prints.
//!
//! It shares our process group, so what is typed for it (ctrl-c, ctrl-z) is a signal for us too. It is the child's: [`Lent`] says when such
//! a signal is none of ours, and a child that stops takes us with it, or the shell would wait for a process that waits for a stopped one.

use rustix::process::{Pid, Signal, WaitOptions, kill_current_process_group, waitpid};
use std::io::{self, Read as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A signal that was sent while the child had the terminal has come to us by then.
const UNDER_WAY: Duration = Duration::from_millis(300);

/// When the terminal came back from a child.
#[derive(Default)]
pub struct Lent(Option<Instant>);

impl Lent {
    /// Notes that it came back now.
    pub fn back(&mut self) {
        self.0 = Some(Instant::now());
    }

    /// Whether a ctrl-c or ctrl-z that we hear of now was typed for the child.
    pub fn meant_the_child(&self) -> bool {
        self.0.is_some_and(|at| at.elapsed() < UNDER_WAY)
    }
}

/// Runs the child to its end: whether it ended well, and what it wrote to its standard output.
pub fn run(command: &mut Command) -> io::Result<(bool, Vec<u8>)> {
    let mut child = command.stdin(Stdio::inherit()).stderr(Stdio::inherit()).stdout(Stdio::piped()).spawn()?;
    let pid = Pid::from_raw(child.id().cast_signed()).ok_or(io::ErrorKind::InvalidData)?;
    let printed = child.stdout.take().map(|mut out| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = out.read_to_end(&mut bytes);
            bytes
        })
    });
    let ok = loop {
        match waitpid(Some(pid), WaitOptions::UNTRACED) {
            Ok(Some((_, status))) if status.stopped() => {
                stop_self()?;
                // Whoever lets us go on means the child, and what it started.
                kill_current_process_group(Signal::CONT)?;
            }
            Ok(Some((_, status))) => break status.exit_status() == Some(0),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    };
    Ok((ok, printed.and_then(|thread| thread.join().ok()).unwrap_or_default()))
}

/// Stops this process until the shell lets it go on.
pub(super) fn stop_self() -> io::Result<()> {
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)?;
    Ok(())
}
