//! The cockpit's terminal: what the event loop asks of a screen, over the writer, the reader and the pacer.

use super::input::{Input, Reader};
use super::lend::{self, Lent, stop_self};
use super::pace::{Due, PROBE, Pacer};
use super::screen::{Multiplexer, TerminalGuard, Tty, copy_sequence};
use super::writer::Writer;
use crate::app::{App, Effect, Event, HitMap, Notice, World};
use crate::config::config_dir;
use crate::runtime::{Cause, FromScreen, Outcome, Screen};
use crate::theme::{Depth, Glyphs, Role, Theme, detect_ascii, detect_depth};
use crate::view::{self, Draw};
use ratatui::layout::Position;
use ratatui::style::Style;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Asks whether the terminal has synchronized output.
const ASK_SYNC: &[u8] = b"\x1b[?2026$p";
/// Answers to probes that are still on their way are waited for this long at the end.
const LAST_ANSWERS: Duration = Duration::from_millis(300);

/// A frame of a terminal that does not answer counts as seen after this.
const UNPROVEN: Duration = Duration::from_millis(400);

/// A terminal of this process.
pub struct Terminal {
    writer: Writer<Tty>,
    guard: TerminalGuard,
    input: Reader,
    pacer: Pacer,
    frame: u64,
    drawn_at: Option<Instant>,
    /// The style in which the writer's buffer was wiped for the next frame.
    wiped: Option<Style>,
    bytes: Vec<u8>,
    theme: Theme,
    depth: Depth,
    glyphs: &'static Glyphs,
    multiplexer: Multiplexer,
    tty: Tty,
    signals: Signals,
    lent: Lent,
}

struct Signals {
    size: Signal,
    end: [Signal; 3],
    stop: Signal,
    go_on: Signal,
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl Terminal {
    /// Takes over the terminal of standard output, from whose `input` it reads. The theme's mistakes come back with it.
    ///
    /// # Errors
    /// When there is no terminal, or it cannot be set up.
    pub fn open(
        input: Reader,
        theme: &str,
        mouse: bool,
        crash_dir: PathBuf,
        color: Option<bool>,
    ) -> io::Result<(Self, Vec<crate::diag::Diag>)> {
        let tty = Tty::new(io::stdout())?;
        let size = tty.size()?;
        let (theme, diags) = Theme::load(theme, config_dir().as_deref());
        let depth = match color {
            Some(false) => Depth::Mono,
            Some(true) => detect_depth(|name| if name == "NO_COLOR" { None } else { env(name) }),
            None => detect_depth(env),
        };
        let multiplexer = Multiplexer::detect(env);
        let signals = Signals {
            size: signal(SignalKind::window_change())?,
            end: [signal(SignalKind::terminate())?, signal(SignalKind::hangup())?, signal(SignalKind::interrupt())?],
            stop: signal(SignalKind::from_raw(libc::SIGTSTP))?,
            go_on: signal(SignalKind::from_raw(libc::SIGCONT))?,
        };
        let guard = TerminalGuard::enter(tty.clone(), mouse)?;
        guard.install_panic_hook(crash_dir);
        let mut writer = Writer::new(tty.clone(), size);
        writer.set_bce(multiplexer != Multiplexer::Screen);
        tty.clone().write_all(ASK_SYNC)?;
        let terminal = Self {
            writer,
            guard,
            input,
            pacer: Pacer::new(),
            frame: 0,
            drawn_at: None,
            wiped: None,
            bytes: Vec::new(),
            theme: theme.at(depth),
            depth,
            glyphs: Glyphs::of(detect_ascii(env)),
            multiplexer,
            tty,
            signals,
            lent: Lent::default(),
        };
        Ok((terminal, diags))
    }

    /// Columns and rows.
    pub fn size(&self) -> (u16, u16) {
        self.tty.size().map_or((80, 24), |s| (s.width, s.height))
    }

    fn resized(&mut self) -> FromScreen {
        let (width, height) = self.size();
        self.wiped = None;
        self.writer.resize((width, height).into());
        FromScreen::Event(Event::Resize(width, height))
    }

    fn take(&mut self, input: Input) -> FromScreen {
        match input {
            Input::Key(key) => FromScreen::Event(Event::Key(key)),
            Input::Mouse(mouse) => FromScreen::Event(Event::Mouse(mouse)),
            Input::Paste(text) => FromScreen::Event(Event::Paste(text)),
            Input::Ack => {
                self.pacer.on_ack(Instant::now());
                FromScreen::Ready
            }
            Input::ModeReport { mode: 2026, value } => {
                self.writer.set_sync(matches!(value, 1..=3));
                FromScreen::Ready
            }
            _ => FromScreen::Ready,
        }
    }

    /// Takes the terminal back after a child or a stop.
    fn take_back(&mut self) -> io::Result<()> {
        self.guard.resume()?;
        self.input.forget();
        self.pacer.reset();
        let (width, height) = self.size();
        self.wiped = None;
        self.writer.resize((width, height).into());
        self.pacer.on_key();
        Ok(())
    }

    fn give_away(&mut self) -> io::Result<()> {
        self.guard.suspend()
    }

    /// Gives the terminal back. Answers that are still on their way are waited for, or the shell would read them.
    pub async fn close(mut self) {
        let until = tokio::time::Instant::now() + LAST_ANSWERS;
        while self.pacer.unanswered() > 0 {
            match tokio::time::timeout_at(until, self.input.next()).await {
                Ok(Some(Input::Ack)) => self.pacer.on_ack(Instant::now()),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
    }
}

impl Screen for Terminal {
    async fn next(&mut self) -> FromScreen {
        let [term, hup, int] = &mut self.signals.end;
        tokio::select! {
            biased;
            input = self.input.next() => match input {
                Some(input) => self.take(input),
                None => FromScreen::Closed,
            },
            _ = term.recv() => FromScreen::Closed,
            _ = hup.recv() => FromScreen::Closed,
            _ = int.recv() => if self.lent.meant_the_child() { FromScreen::Redraw } else { FromScreen::Closed },
            _ = self.signals.size.recv() => self.resized(),
            _ = self.signals.stop.recv() => {
                if self.lent.meant_the_child() {
                    return FromScreen::Redraw;
                }
                let stopped = self.give_away().and_then(|()| stop_self()).and_then(|()| self.take_back());
                if stopped.is_err() { FromScreen::Closed } else { FromScreen::Redraw }
            }
            _ = self.signals.go_on.recv() => {
                // Somebody stopped us with a signal that cannot be caught: what is on the screen is not ours.
                self.writer.redraw();
                FromScreen::Redraw
            }
        }
    }

    fn want(&mut self, cause: Cause) {
        match cause {
            Cause::Person => self.pacer.on_key(),
            Cause::Data => self.pacer.on_change(),
        }
    }

    fn due(&mut self) -> Option<Instant> {
        let now = Instant::now();
        match self.pacer.due(now) {
            Due::Now => Some(now),
            Due::At(at) => Some(at),
            Due::Never => None,
        }
    }

    fn draw(&mut self, app: &App, world: &World) -> io::Result<HitMap> {
        let draw = Draw { world: *world, app, theme: &self.theme, glyphs: self.glyphs };
        let text = self.theme.role(Role::Text);
        if self.wiped.take() != Some(text) {
            view::wipe(text, self.writer.buffer());
        }
        let hits = view::draw_on_blank(&draw, self.writer.buffer());
        self.writer.set_cursor(hits.cursor.map(|(x, y)| Position { x, y }));
        self.bytes.clear();
        self.writer.encode(&mut self.bytes);
        self.frame += 1;
        if self.pacer.sent(Instant::now(), self.frame, self.bytes.len()) {
            self.bytes.extend_from_slice(PROBE);
        }
        if !self.bytes.is_empty()
            && let Err(e) = self.tty.write_all(&self.bytes)
        {
            self.writer.redraw();
            return Err(e);
        }
        self.drawn_at = Some(Instant::now());
        // Who waits for the next frame need not wait for this.
        view::wipe(text, self.writer.buffer());
        self.wiped = Some(text);
        Ok(HitMap { frame: self.frame, ..hits })
    }

    fn seen(&self) -> u64 {
        if self.pacer.answers() {
            return self.pacer.acked_frame();
        }
        // One that does not answer proves nothing: what was typed right after a frame was typed before it was seen.
        let settled = self.drawn_at.is_some_and(|at| at.elapsed() >= UNPROVEN);
        if settled { self.frame } else { self.frame.saturating_sub(1) }
    }

    fn carry_out(&mut self, effect: Effect) -> io::Result<Outcome> {
        match effect {
            Effect::Copy(text) => match copy_sequence(&text, self.multiplexer) {
                Some(sequence) => self.tty.write_all(&sequence)?,
                None => return Ok(Outcome::Told(Notice::error("too long for the terminal's clipboard"))),
            },
            Effect::Mouse(on) => self.guard.set_mouse(on)?,
            Effect::Redraw => {
                self.writer.redraw();
                self.pacer.on_key();
            }
            Effect::Suspend => {
                self.give_away()?;
                stop_self()?;
                self.take_back()?;
            }
            Effect::SetTheme(name) => {
                let (theme, diags) = Theme::load(&name, config_dir().as_deref());
                if let Some(diag) = diags.first() {
                    return Ok(Outcome::Told(Notice::error(diag.to_string().replace('\n', " "))));
                }
                self.theme = theme.at(self.depth);
                self.pacer.on_key();
            }
            other => return Ok(Outcome::NotMine(other)),
        }
        Ok(Outcome::Done)
    }

    fn lend(&mut self, mut command: std::process::Command) -> io::Result<(bool, Vec<u8>)> {
        self.give_away()?;
        let ended = lend::run(&mut command);
        self.take_back()?;
        self.lent.back();
        Ok(ended.unwrap_or_default())
    }
}
