//! `qd` in a pseudo-terminal, and what a person would see there.

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read as _, Write};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::lab::QD;

struct Shown {
    parser: vt100::Parser,
    /// The screen as the last whole frame left it, and how many bytes that is.
    whole: (vt100::Parser, usize),
    /// When something came last.
    heard: Instant,
    /// Everything that was ever written to the terminal.
    bytes: Vec<u8>,
    answered: usize,
    /// Where in the bytes each frame ended.
    frames: Vec<usize>,
}

pub struct Term {
    shown: Arc<Mutex<Shown>>,
    writer: Arc<Mutex<Box<dyn Write + Send>>>,
    child: Box<dyn Child + Send + Sync>,
    /// Held open: the terminal outlives the program, as a shell's does.
    master: Box<dyn MasterPty + Send>,
    modes: String,
}

/// How long nothing comes before what has come is taken for all.
const SETTLED: Duration = Duration::from_millis(500);

/// What `qd` asks after each frame.
const FRAME: &[u8] = b"\x1b[5n";

/// What a terminal answers by itself, and to what.
const ANSWERS: [(&[u8], &[u8]); 2] = [(FRAME, b"\x1b[0n"), (b"\x1b[?2026$p", b"\x1b[?2026;2$y")];

impl Term {
    /// Runs `qd` with these arguments and nothing but this environment.
    pub fn open(args: &[&str], env: Vec<(&'static str, PathBuf)>, cols: u16, rows: u16) -> Self {
        let pair = native_pty_system().openpty(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
        let mut command = CommandBuilder::new(QD);
        command.args(args);
        command.env_clear();
        // It would be the home directory, which a room does not have.
        command.cwd(env!("CARGO_MANIFEST_DIR"));
        for (key, value) in env {
            command.env(key, value);
        }
        let modes = modes_of(pair.master.as_ref());
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let shown = Arc::new(Mutex::new(Shown::new(rows, cols)));
        let writer = Arc::new(Mutex::new(pair.master.take_writer().unwrap()));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (sink, back) = (shown.clone(), writer.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(n) = reader.read(&mut buffer) {
                if n == 0 {
                    break;
                }
                let mut shown = sink.lock().unwrap();
                shown.parser.process(&buffer[..n]);
                shown.bytes.extend_from_slice(&buffer[..n]);
                shown.heard = Instant::now();
                // Before anybody can see the frame, and type: keys come after the answer, as they do from a terminal.
                let answers = shown.answers();
                let _ = back.lock().unwrap().write_all(&answers);
            }
        });
        Self { shown, writer, child, master: pair.master, modes }
    }

    pub fn keys(&self, keys: &str) {
        self.writer.lock().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// The screen as lines: never a frame of which only a part has come.
    pub fn lines(&self) -> Vec<String> {
        let shown = self.shown.lock().unwrap();
        // What comes without frames (a login's question, an editor) has come when no more does.
        let under_way = shown.whole.1 > 0 && shown.whole.1 < shown.bytes.len() && shown.heard.elapsed() < SETTLED;
        let screen = if under_way { shown.whole.0.screen() } else { shown.parser.screen() };
        screen.rows(0, screen.size().1).collect()
    }

    /// Everything that was ever written to the terminal.
    pub fn bytes(&self) -> Vec<u8> {
        self.shown.lock().unwrap().bytes.clone()
    }

    /// How many frames have come so far.
    pub fn frames(&self) -> usize {
        self.shown.lock().unwrap().frames.len()
    }

    /// What was seen in every frame after the first `skip` ones, also in those that were gone again before anybody looked: the whole
    /// stream is played again. What repeats is there once.
    pub fn seen<T: PartialEq>(&self, skip: usize, mut see: impl FnMut(&[String]) -> Option<T>) -> Vec<T> {
        let (bytes, frames, (rows, cols)) = {
            let shown = self.shown.lock().unwrap();
            (shown.bytes.clone(), shown.frames.clone(), shown.parser.screen().size())
        };
        let (mut parser, mut from, mut all) = (vt100::Parser::new(rows, cols, 0), 0, Vec::new());
        for (at, end) in frames.into_iter().enumerate() {
            parser.process(&bytes[from..end]);
            from = end;
            if at >= skip
                && let Some(seen) = see(&parser.screen().rows(0, cols).collect::<Vec<_>>())
            {
                all.push(seen);
            }
        }
        all.dedup();
        all
    }

    /// Waits for a screen with something on it; the screen is in the message when it does not come.
    pub fn wait<T>(&mut self, what: &str, seconds: u64, mut see: impl FnMut(&[String]) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            let lines = self.lines();
            if let Some(seen) = see(&lines) {
                return seen;
            }
            let exit = self.child.try_wait().unwrap();
            let late = began.elapsed() > Duration::from_secs(seconds);
            assert!(
                !late && exit.is_none(),
                "waited {:.1} s for {what}; qd {}\n{}",
                began.elapsed().as_secs_f32(),
                exit.map_or("runs".into(), |e| format!("ended: {e}")),
                framed(&lines)
            );
            std::thread::sleep(Duration::from_millis(25));
        }
    }

    /// Waits for a line that holds all of these.
    pub fn line(&mut self, seconds: u64, words: &[&str]) -> String {
        self.wait(&format!("a line with {words:?}"), seconds, |lines| lines.iter().find(|l| words.iter().all(|w| l.contains(w))).cloned())
    }

    /// Waits until the pane of this title is on top.
    pub fn pane(&mut self, key: &str, title: &str) {
        self.keys(key);
        self.wait(&format!("the pane {title}"), 20, |lines| lines.iter().take(4).any(|l| l.starts_with(title)).then_some(()));
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.process_id().unwrap()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for the end of `qd`, then says what it left the terminal in: wrong things, in words.
    pub fn ended(&mut self, seconds: u64) -> Vec<String> {
        let began = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < Duration::from_secs(seconds), "qd has not ended after {seconds} s\n{}", framed(&self.lines()));
            std::thread::sleep(Duration::from_millis(20));
        }
        // What it wrote last may still be on its way to us.
        std::thread::sleep(Duration::from_millis(300));
        let shown = self.shown.lock().unwrap();
        let screen = shown.parser.screen();
        let modes = modes_of(self.master.as_ref());
        let wrong = [
            (screen.alternate_screen(), "the alternate screen is still on".to_owned()),
            (screen.hide_cursor(), "the cursor is hidden".to_owned()),
            (screen.bracketed_paste(), "bracketed paste is still on".to_owned()),
            (screen.mouse_protocol_mode() != vt100::MouseProtocolMode::None, "the mouse is still reported".to_owned()),
            (modes != self.modes, format!("the terminal's modes were {}, are {modes}", self.modes)),
        ];
        wrong.into_iter().filter(|(on, _)| *on).map(|(_, what)| what).collect()
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Shown {
    fn new(rows: u16, cols: u16) -> Self {
        let parser = || vt100::Parser::new(rows, cols, 0);
        Self { parser: parser(), whole: (parser(), 0), heard: Instant::now(), bytes: Vec::new(), answered: 0, frames: Vec::new() }
    }

    /// Answers to what was asked since the last time.
    fn answers(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        while self.answered < self.bytes.len() {
            let rest = &self.bytes[self.answered..];
            if let Some((question, answer)) = ANSWERS.iter().find(|(q, _)| rest.starts_with(q)) {
                out.extend_from_slice(answer);
                self.answered += question.len();
                if *question == FRAME {
                    self.frames.push(self.answered);
                    self.whole.0.process(&self.bytes[self.whole.1..self.answered]);
                    self.whole.1 = self.answered;
                }
            } else if ANSWERS.iter().any(|(q, _)| q.starts_with(rest)) {
                break;
            } else {
                self.answered += 1;
            }
        }
        out
    }
}

/// The terminal's modes as `stty` writes them down.
fn modes_of(master: &dyn MasterPty) -> String {
    let out = Command::new("stty").arg("-g").arg("-F").arg(master.tty_name().unwrap()).output().unwrap();
    assert!(out.status.success(), "stty: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// A screen in a failure's message.
pub fn framed(lines: &[String]) -> String {
    lines.iter().map(|l| format!("  |{}\n", l.trim_end())).collect()
}
