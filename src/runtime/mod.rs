//! The event loop: folds deltas, judges, hands events to the app, carries its effects out, has the screen drawn.
//!
//! Owns the only thread that touches store, engine and app, and everything that is spawned. The terminal is behind
//! [`Screen`], which `front` implements.

pub mod acting;
mod deeds;
mod effects;
mod fleet;
mod logs;
mod outside;

pub use fleet::{Fleet, Member, members, thresholds};

use crate::action::{Ledger, TERMINAL_LOST};
use crate::app::{App, Effect, Event, HitMap, Notice, World};
use crate::model::verb::On;
use crate::model::{Batch, ClusterId, Delta, JobId, KindState, VerbId};
use crate::state::{Session, StateDir};
use crate::store::Touched;
use deeds::Deeds;
use effects::Effects;
use std::io;
use std::time::{Duration, Instant};

/// What a screen has to say.
#[derive(Debug)]
pub enum FromScreen {
    Event(Event),
    /// The terminal has shown a frame, is back, or its size changed: look at `due` again.
    Ready,
    /// Draw everything again.
    Redraw,
    /// The terminal is gone, or somebody asked us to end.
    Closed,
}

/// Why a frame is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// A person did something: at once.
    Person,
    /// Data changed: at the screen's own pace.
    Data,
}

/// A terminal, as the loop needs it.
pub trait Screen {
    /// The next thing from the person or the terminal. Cancel safe.
    fn next(&mut self) -> impl Future<Output = FromScreen>;
    /// A frame is wanted.
    fn want(&mut self, cause: Cause);
    /// When the wanted frame may be drawn: none when none is wanted or the terminal has to answer first.
    fn due(&mut self) -> Option<Instant>;
    /// Draws a frame.
    ///
    /// # Errors
    /// When the terminal does not take it.
    fn draw(&mut self, app: &App, world: &World) -> io::Result<HitMap>;
    /// The number of the newest frame that a person has certainly seen by now.
    fn seen(&self) -> u64;
    /// Carries out what concerns the terminal: copy, mouse, redraw, suspend, theme. What it does not know it gives back.
    ///
    /// # Errors
    /// When the terminal does not take it.
    fn carry_out(&mut self, effect: Effect) -> io::Result<Outcome>;
    /// Gives the terminal to a child and takes it back; what the child wrote to its standard output.
    ///
    /// # Errors
    /// When the child could not be run or the terminal not be taken back.
    fn lend(&mut self, command: std::process::Command) -> io::Result<(bool, Vec<u8>)>;
}

/// What became of an effect.
pub enum Outcome {
    Done,
    Told(Notice),
    NotMine(Effect),
}

/// Unix seconds.
pub fn now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}

/// The fold has this long a turn before keys are looked at again, and so have the rules.
const FOLD: Duration = Duration::from_millis(1);

/// The session's file in the state directory, and its version.
pub const SESSION: (&str, u32) = ("session.json", 1);

/// Runs the cockpit until the person or the terminal ends it.
///
/// # Errors
/// When the terminal fails.
pub async fn run<S: Screen>(mut fleet: Fleet, mut app: App, screen: &mut S, state: Option<&StateDir>) -> io::Result<()> {
    let mut effects = Effects::new();
    let mut deeds = Deeds::new();
    remember(&mut fleet, &mut app, state);
    let mut touched: Vec<Touched> = Vec::new();
    let mut minute = now() / 60;
    let mut kept = app.session();
    screen.want(Cause::Person);
    loop {
        let to_minute = Duration::from_secs((60 - now().rem_euclid(60)).unsigned_abs());
        let mut wake = Instant::now() + to_minute;
        if let Some(due) = screen.due() {
            wake = wake.min(due);
        }
        if let Some(at) = fleet.engine.next_due() {
            wake = wake.min(Instant::now() + Duration::from_secs((at - now()).max(0).unsigned_abs()).min(to_minute));
        }
        let mut done: Vec<Effect> = Vec::new();
        tokio::select! {
            biased;
            from = screen.next() => match from {
                FromScreen::Event(event) => {
                    catch_up(&mut fleet, &mut app, &mut touched, &mut done);
                    let cause = cause_of(&event);
                    app.acked = screen.seen();
                    done.extend(app.update(&fleet.world(), event));
                    screen.want(cause);
                }
                FromScreen::Ready => {}
                FromScreen::Redraw => screen.want(Cause::Person),
                FromScreen::Closed => {
                    save(&app, state);
                    deeds.stop_all(TERMINAL_LOST, &mut fleet).await;
                    return Ok(());
                }
            },
            batch = fleet.next() => {
                let Some(batch) = batch else { continue };
                let (began, at) = (Instant::now(), now());
                let mut urgent = false;
                let empty = app.waits_for_rows();
                let complete = |batch: &Batch| matches!(&batch.delta, Delta::KindState(kind, KindState::Live) if app.shows(*kind));
                urgent |= complete(&batch);
                fleet.fold(batch, at, &mut touched);
                while began.elapsed() < FOLD
                    && let Some(batch) = fleet.try_next()
                {
                    urgent |= complete(&batch);
                    fleet.fold(batch, at, &mut touched);
                }
                if !touched.is_empty() {
                    // Who looks at a table that fills wants its first rows now, and the last ones.
                    urgent |= empty && touched.iter().any(|t| matches!(t, Touched::Row { .. }));
                    screen.want(if urgent { Cause::Person } else { Cause::Data });
                }
            },
            come = deeds.next() => {
                screen.want(Cause::Data);
                if let Some(event) = deeds.take(come, &mut fleet) {
                    if let (Event::JobEnded(job, _), Some(state)) = (&event, state) {
                        dated(&fleet, job, state);
                    }
                    done.extend(app.update(&fleet.world(), event));
                }
            },
            event = effects.next() => {
                if matches!(event, Event::Fetched(..) | Event::Notice(_) | Event::Refused(..)) || app.shows_logs() {
                    screen.want(Cause::Data);
                }
                done.extend(app.update(&fleet.world(), event));
            },
            () = tokio::time::sleep_until(wake.into()) => {}
        }
        for words in std::mem::take(&mut fleet.told) {
            done.extend(app.update(&fleet.world(), Event::Notice(Notice::error(words))));
            screen.want(Cause::Data);
        }
        let at = now();
        // Who pressed a key sees what it did first.
        let waited_for = screen.due().is_some_and(|due| due <= Instant::now());
        if !waited_for && fleet.engine.next_due().is_some_and(|due| due <= at) {
            let began = Instant::now();
            fleet.tick(at, &mut touched, || began.elapsed() < FOLD);
            if app.tick(&fleet.world()) || !touched.is_empty() {
                screen.want(Cause::Data);
            }
        }
        if at / 60 != minute {
            minute = at / 60;
            app.minute(&fleet.world());
            // Who is killed, or loses the machine, loses a minute.
            let session = app.session();
            if session != kept {
                save(&app, state);
                kept = session;
            }
            screen.want(Cause::Data);
        }
        let mut done = std::collections::VecDeque::from(done);
        while let Some(effect) = done.pop_front() {
            let effect = match act(effect, &fleet, &mut deeds, state) {
                Acted::Not(effect) => effect,
                Acted::Done(event) => {
                    screen.want(Cause::Person);
                    done.extend(event.into_iter().flat_map(|e| app.update(&fleet.world(), e)));
                    continue;
                }
            };
            if carry_out(effect, &fleet, &mut app, screen, &mut effects, state)? {
                deeds.stop_all("the cockpit was closed", &mut fleet).await;
                return Ok(());
            }
        }
        if screen.due().is_some_and(|due| due <= Instant::now()) {
            let mut more = Vec::new();
            catch_up(&mut fleet, &mut app, &mut touched, &mut more);
            let hits = screen.draw(&app, &fleet.world())?;
            app.drawn(hits);
            for effect in more {
                carry_out(effect, &fleet, &mut app, screen, &mut effects, state)?;
            }
        }
    }
}

fn cause_of(event: &Event) -> Cause {
    match event {
        Event::Key(_) | Event::Mouse(_) | Event::Paste(_) | Event::Resize(..) => Cause::Person,
        _ => Cause::Data,
    }
}

/// Judges and sorts what was folded since the last frame.
fn catch_up(fleet: &mut Fleet, app: &mut App, touched: &mut Vec<Touched>, effects: &mut Vec<Effect>) {
    if touched.is_empty() {
        return;
    }
    let began = Instant::now();
    fleet.judge_some(touched, now(), || began.elapsed() < FOLD);
    let (_, more) = app.touched(&fleet.world(), touched);
    effects.extend(more);
    touched.clear();
    if touched.capacity() > 4096 {
        *touched = Vec::new();
    }
}

/// What became of an effect that may be an act.
enum Acted {
    Done(Option<Event>),
    Not(Effect),
}

/// Carries out what concerns plans and jobs.
fn act(effect: Effect, fleet: &Fleet, deeds: &mut Deeds, state: Option<&StateDir>) -> Acted {
    Acted::Done(match effect {
        Effect::Plan(id, wanted) => deeds.plan(id, *wanted, fleet),
        Effect::DropPlan(id) => {
            deeds.forget(id);
            None
        }
        Effect::Confirm(id, said) => Some(deeds.confirm(id, &said, fleet, state)),
        Effect::Job(job, control) => (!deeds.control(&job, control)).then(|| Event::Notice(Notice::info("that job is not led from here"))),
        Effect::Remember(why) => {
            let ledger =
                state.ok_or_else(|| "there is no state directory".to_owned()).and_then(|s| Ledger::read(s).map_err(|e| e.to_string()));
            ledger.iter().for_each(|ledger| fleet.remember(ledger));
            Some(Event::Remembered(why, ledger.map(Box::new)))
        }
        other => return Acted::Not(other),
    })
}

/// A job has ended: what it did to an etcd is part of its past. A log that cannot be read leaves that as it was.
fn dated(fleet: &Fleet, job: &JobId, state: &StateDir) {
    let etcd = fleet.store.jobs.get(job).and_then(|j| VerbId::find(&j.what)).is_some_and(|v| v.info().on == On::Etcd);
    if let Some(Ok(ledger)) = etcd.then(|| Ledger::read(state)) {
        fleet.remember(&ledger);
    }
}

/// Jobs of earlier runs; those that never came to an end are named.
fn remember(fleet: &mut Fleet, app: &mut App, state: Option<&StateDir>) {
    let Some(state) = state else { return };
    match Ledger::read(state) {
        Ok(ledger) => {
            let interrupted: Vec<String> = ledger.interrupted().map(|j| j.plan.title.clone()).collect();
            fleet.remember(&ledger);
            fleet.store.jobs.remember(ledger.jobs.iter().map(crate::action::Past::job));
            if let Some(first) = interrupted.first() {
                let more = if interrupted.len() > 1 { format!(" and {} more", interrupted.len() - 1) } else { String::new() };
                let before = app.notice.take().filter(|n| n.error).map(|n| format!("; {}", n.text)).unwrap_or_default();
                app.notice = Some(Notice::error(format!("interrupted: {first}{more}; J shows it, R there goes on{before}")));
            }
        }
        Err(e) => app.notice = Some(Notice::error(format!("the audit log cannot be read: {e}"))),
    }
}

/// Whether the loop shall end.
fn carry_out<S: Screen>(
    effect: Effect,
    fleet: &Fleet,
    app: &mut App,
    screen: &mut S,
    effects: &mut Effects,
    state: Option<&StateDir>,
) -> io::Result<bool> {
    let theme = if let Effect::SetTheme(name) = &effect { Some(name.clone()) } else { None };
    let effect = match screen.carry_out(effect)? {
        Outcome::Done => {
            // The screen has it: it comes back at the next start.
            app.theme = theme.unwrap_or(std::mem::take(&mut app.theme));
            return Ok(false);
        }
        Outcome::Told(notice) => {
            app.update(&fleet.world(), Event::Notice(notice));
            screen.want(Cause::Person);
            return Ok(false);
        }
        Outcome::NotMine(effect) => effect,
    };
    match effect {
        Effect::Quit => {
            save(app, state);
            return Ok(true);
        }
        Effect::SaveSession => save(app, state),
        Effect::Login(id) => {
            let notice = login(fleet, screen, id)?;
            app.update(&fleet.world(), Event::Notice(notice));
            screen.want(Cause::Person);
        }
        Effect::EditOutside(id, name, text) => {
            let result = outside::edit(screen, &name, &text)?;
            app.update(&fleet.world(), Event::Edited(id, result));
            screen.want(Cause::Person);
        }
        Effect::SetKeymap(name) => {
            let (keymap, diags) = crate::keymap::Keymap::load(&name, crate::config::config_dir().as_deref());
            let notice = match diags.first() {
                Some(diag) => Notice::error(diag.to_string().replace('\n', " ")),
                None => Notice::info(format!("keymap {}", keymap.name())),
            };
            app.keymap = keymap;
            app.update(&fleet.world(), Event::Notice(notice));
        }
        Effect::ReadFiles(id, files) => effects.read(id, files, state),
        other => effects.start(other, fleet),
    }
    Ok(false)
}

/// Runs a cluster's credential plugin in the foreground.
fn login<S: Screen>(fleet: &Fleet, screen: &mut S, id: ClusterId) -> io::Result<Notice> {
    let Some(target) = fleet.target(id) else { return Ok(Notice::error("no such cluster")) };
    let Some(command) = crate::client::login_command(target) else {
        return Ok(Notice::info(format!("{} has no credential plugin: nothing to log in with", target.name)));
    };
    let (ok, output) = screen.lend(command)?;
    if !ok {
        let hint = crate::client::login_hint(target).map(|hint| format!("; where it is not installed: {hint}")).unwrap_or_default();
        return Ok(Notice::error(format!("the credential plugin of {} failed{hint}", target.name)));
    }
    fleet.renew(id, output);
    Ok(Notice::info(format!("the credential plugin of {} ended well: connecting", target.name)))
}

fn save(app: &App, state: Option<&StateDir>) {
    if let Some(state) = state {
        let session: Session<crate::app::SessionState> = state.session(SESSION.0, SESSION.1);
        if let Err(e) = session.save(&app.session()) {
            tracing::warn!("the session could not be saved: {e}");
        }
    }
}
