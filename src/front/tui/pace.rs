//! When the next frame is drawn: at once for a key, and for changes of data as often as the terminal keeps up.
//!
//! After a frame `PROBE` is sent. The terminal answers it when it has shown the frame, whatever lies between: so at
//! most two frames are on their way that nobody asked for, and a slow link always gets the newest state. A terminal
//! that never answers gets a fixed low rate. A multiplexer answers for itself, which limits nothing and harms nothing.
//! Pure: the time is an argument. Drawing and writing are the caller's.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Goes to the terminal after a frame (`DSR`); the answer is `Input::Ack`.
pub const PROBE: &[u8] = b"\x1b[5n";

/// Between a frame and the next that data asks for: ten a second.
const DATA_GAP: Duration = Duration::from_millis(100);
/// The same where nothing answers.
const SILENT_GAP: Duration = Duration::from_millis(250);
/// Who has not answered the first probe by now does not.
const FIRST_ANSWER: Duration = Duration::from_secs(2);
/// Frames on their way before data has to wait, and before even keys have to.
const DATA_AHEAD: usize = 2;
const KEYS_AHEAD: usize = 4;
/// Without an answer for so long the link is stalled or answers were lost: one frame to find out.
const STALLED: Duration = Duration::from_secs(10);
/// A silent terminal is asked again that often: the link may have been slow.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// When to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    Now,
    /// Not before this, unless something happens first.
    At(Instant),
    /// Nothing has changed.
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    /// Not asked, or asked at this time.
    Unknown(Option<Instant>),
    Yes,
    No,
}

/// One terminal's pace.
#[derive(Debug)]
pub struct Pacer {
    answers: Answers,
    changed: bool,
    key: bool,
    last_frame: Option<Instant>,
    last_ack: Option<Instant>,
    last_probe: Option<Instant>,
    /// Frames that were probed and not answered, oldest first.
    on_the_way: VecDeque<u64>,
    /// Answers that belong to frames given up during a stall, which come before all others.
    late: usize,
    acked: u64,
}

impl Default for Pacer {
    fn default() -> Self {
        Self::new()
    }
}

impl Pacer {
    /// Nothing sent yet, and the first frame wanted.
    pub fn new() -> Self {
        Self {
            answers: Answers::Unknown(None),
            changed: true,
            key: false,
            last_frame: None,
            last_ack: None,
            last_probe: None,
            on_the_way: VecDeque::new(),
            late: 0,
            acked: 0,
        }
    }

    /// Data changed: a frame is wanted as soon as the pace allows.
    pub fn on_change(&mut self) {
        self.changed = true;
    }

    /// The user did something: a frame is wanted at once.
    pub fn on_key(&mut self) {
        self.key = true;
    }

    /// The terminal answered a probe.
    pub fn on_ack(&mut self, now: Instant) {
        self.answers = Answers::Yes;
        self.last_ack = Some(now);
        if self.late > 0 {
            self.late -= 1;
        } else if let Some(frame) = self.on_the_way.pop_front() {
            self.acked = frame;
        }
    }

    /// When to draw the next frame.
    pub fn due(&mut self, now: Instant) -> Due {
        self.settle(now);
        if !self.changed && !self.key {
            return Due::Never;
        }
        let Some(last) = self.last_frame else {
            return Due::Now;
        };
        let ahead = self.on_the_way.len();
        let (limit, gap) = if self.key { (KEYS_AHEAD, Duration::ZERO) } else { (DATA_AHEAD, DATA_GAP) };
        let at = match self.answers {
            Answers::No if !self.key => last + SILENT_GAP,
            Answers::No => last,
            _ if ahead < limit => last + gap,
            // Keys cannot wait to learn whether it answers at all.
            // Nothing is known of the link before the first answer: neither keys nor first rows wait for it.
            Answers::Unknown(_) => last + SILENT_GAP,
            Answers::Yes => self.quiet_since(last) + STALLED,
        };
        if at <= now { Due::Now } else { Due::At(at) }
    }

    /// Frame number `frame` (growing) was drawn and is `bytes` long; with zero bytes nothing is sent. Returns whether
    /// `PROBE` has to follow it.
    pub fn sent(&mut self, now: Instant, frame: u64, bytes: usize) -> bool {
        self.settle(now);
        self.changed = false;
        self.key = false;
        if bytes == 0 {
            // What the terminal shows is this frame too, once it shows the one before.
            match self.on_the_way.back_mut() {
                Some(last) => *last = frame,
                None if self.answers == Answers::Yes && self.late == 0 => self.acked = frame,
                None => {}
            }
            return false;
        }
        self.last_frame = Some(now);
        if self.answers == Answers::No && self.last_probe.is_some_and(|probe| now - probe < ASK_AGAIN) {
            return false;
        }
        if self.answers == Answers::Unknown(None) {
            self.answers = Answers::Unknown(Some(now));
        }
        if self.answers == Answers::No {
            self.late += self.on_the_way.len();
            self.on_the_way.clear();
        }
        self.last_probe = Some(now);
        self.on_the_way.push_back(frame);
        true
    }

    /// The newest frame that the user has certainly been shown; zero before the first answer. Keys that came before the
    /// answer were typed without having seen a later one.
    pub fn acked_frame(&self) -> u64 {
        self.acked
    }

    /// Frames whose answer is still to come: before the terminal is given back it is worth a moment's wait for them,
    /// else they are typed into the shell.
    pub fn unanswered(&self) -> usize {
        self.on_the_way.len() + self.late
    }

    /// Whether the terminal answers, so that `acked_frame` can be counted on.
    pub fn answers(&self) -> bool {
        self.answers == Answers::Yes
    }

    /// The terminal was somebody else's for a while, who may have got our answers: starts over, with a frame.
    pub fn reset(&mut self) {
        let acked = self.acked;
        *self = Self { acked, ..Self::new() };
    }

    fn quiet_since(&self, last: Instant) -> Instant {
        self.last_ack.map_or(last, |ack| ack.max(last))
    }

    /// Draws the conclusions of time having passed.
    fn settle(&mut self, now: Instant) {
        if let Answers::Unknown(Some(asked)) = self.answers
            && now >= asked + FIRST_ANSWER
        {
            self.answers = Answers::No;
            self.late += self.on_the_way.len();
            self.on_the_way.clear();
        }
        let Some(last) = self.last_frame else { return };
        if self.answers == Answers::Yes && self.unanswered() > 0 && now >= self.quiet_since(last) + STALLED {
            // Where an answer came after the newest frame the link works, and what did not come is lost. Else it may come.
            let lost = self.last_ack.is_some_and(|ack| ack > last);
            self.late = if lost { 0 } else { self.unanswered() };
            self.on_the_way.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn idle_is_silent_and_a_frame_without_bytes_is_not_probed() {
        let t = Instant::now();
        let mut pacer = Pacer::new();
        assert_eq!(pacer.due(t), Due::Now, "the first frame");
        assert!(pacer.sent(t, 1, 900));
        pacer.on_ack(t + ms(1));
        assert_eq!((pacer.acked_frame(), pacer.due(t + ms(5000))), (1, Due::Never));
        pacer.on_change();
        assert_eq!(pacer.due(t + ms(5000)), Due::Now);
        assert!(!pacer.sent(t + ms(5000), 2, 0));
        assert_eq!((pacer.due(t + ms(5001)), pacer.unanswered(), pacer.acked_frame()), (Due::Never, 0, 2));
    }

    #[test]
    fn a_fast_terminal_gets_ten_frames_a_second_and_keys_at_once() {
        let t = Instant::now();
        let mut pacer = Pacer::new();
        let mut frames = 0;
        for i in 0..1000 {
            let now = t + ms(i);
            if i % 20 == 0 {
                pacer.on_change();
            }
            if pacer.due(now) == Due::Now {
                frames += 1;
                pacer.sent(now, frames, 500);
                pacer.on_ack(now);
            }
        }
        assert_eq!(frames, 10);
        pacer.on_key();
        assert_eq!(pacer.due(t + ms(1000)), Due::Now);
    }

    #[test]
    fn two_frames_on_the_way_hold_data_and_four_hold_keys() {
        let t = Instant::now();
        let mut pacer = Pacer::new();
        pacer.sent(t, 1, 500);
        pacer.on_ack(t + ms(200));
        for frame in [2, 3] {
            pacer.on_change();
            let now = t + ms(200 * frame);
            assert_eq!(pacer.due(now), Due::Now);
            pacer.sent(now, frame, 500);
        }
        pacer.on_change();
        let now = t + ms(900);
        assert_eq!(pacer.due(now), Due::At(t + ms(600) + STALLED));
        for frame in [4, 5] {
            pacer.on_key();
            assert_eq!(pacer.due(now), Due::Now);
            pacer.sent(now, frame, 100);
        }
        pacer.on_key();
        assert!(matches!(pacer.due(now), Due::At(_)), "keys are coalesced from here");
        pacer.on_ack(now + ms(1));
        assert_eq!((pacer.acked_frame(), pacer.due(now + ms(1))), (2, Due::Now));
    }

    #[test]
    fn a_terminal_that_never_answers_gets_four_frames_a_second() {
        let t = Instant::now();
        let mut pacer = Pacer::new();
        let (mut frames, mut probes) = (0, 0);
        for i in 0..12_000 {
            let now = t + ms(i);
            pacer.on_change();
            if pacer.due(now) == Due::Now {
                frames += 1;
                probes += u32::from(pacer.sent(now, frames, 500));
            }
        }
        assert!((44..=50).contains(&frames), "{frames}");
        assert!(probes <= 10, "{probes}: asked for two seconds, then rarely");
        assert_eq!((pacer.answers(), pacer.acked_frame()), (false, 0));
        pacer.on_key();
        assert_eq!(pacer.due(t + ms(12_000)), Due::Now);
        pacer.on_ack(t + ms(12_001));
        assert!(pacer.answers(), "late, but it does answer");
    }

    #[test]
    fn lost_answers_do_not_hold_frames_for_ever_and_late_ones_are_not_taken_for_newer_frames() {
        let t = Instant::now();
        let mut pacer = Pacer::new();
        pacer.sent(t, 1, 500);
        pacer.on_ack(t + ms(200));
        pacer.sent(t + ms(300), 2, 500);
        pacer.sent(t + ms(400), 3, 500);
        pacer.on_change();
        let stalled = t + ms(400) + STALLED;
        assert_eq!(pacer.due(stalled), Due::Now);
        pacer.sent(stalled, 4, 500);
        // The link was stalled: the answers to 2 and 3 come after all.
        pacer.on_ack(stalled + ms(50));
        pacer.on_ack(stalled + ms(51));
        assert_eq!(pacer.acked_frame(), 1, "frame 4 has not been seen yet");
        pacer.on_ack(stalled + ms(300));
        assert_eq!(pacer.acked_frame(), 4);

        // This one is really lost; the next two get theirs.
        pacer.sent(stalled + ms(400), 5, 500);
        let later = stalled + ms(400) + STALLED;
        pacer.on_change();
        assert_eq!(pacer.due(later), Due::Now);
        pacer.sent(later, 6, 500);
        pacer.on_ack(later + ms(200));
        assert_eq!(pacer.acked_frame(), 4, "it could be the answer to 5");
        let settled = later + ms(200) + STALLED;
        pacer.on_change();
        assert_eq!(pacer.due(settled), Due::Now);
        pacer.sent(settled, 7, 500);
        pacer.on_ack(settled + ms(200));
        assert_eq!(pacer.acked_frame(), 7);
    }

    /// 200 ms there and back, 9.6 kB/s, frames of 500 bytes, 50 changes a second, a key about every 700 ms.
    #[test]
    fn a_slow_link_shows_keys_soon_and_its_queue_does_not_grow() {
        const ONE_WAY: u64 = 100;
        let start = Instant::now();
        let mut pacer = Pacer::new();
        // All in milliseconds since the start: when the line is free, answers and keys that arrive here.
        let (mut line_free, mut acks, mut keys) = (0f64, VecDeque::new(), VecDeque::new());
        let (mut typed, mut waits, mut longest_queue, mut frame) = (Vec::new(), Vec::new(), 0f64, 0);
        for i in 0..120_000u64 {
            let now = start + ms(i);
            if i % 20 == 0 {
                pacer.on_change();
            }
            if i % 700 == (i / 700 * 37) % 300 {
                keys.push_back((i + ONE_WAY, i));
            }
            while acks.front().is_some_and(|at| *at <= i) {
                acks.pop_front();
                pacer.on_ack(now);
            }
            while keys.front().is_some_and(|(at, _)| *at <= i) {
                typed.extend(keys.pop_front().map(|(_, pressed)| pressed));
                pacer.on_key();
            }
            if pacer.due(now) == Due::Now {
                frame += 1;
                pacer.sent(now, frame, 500);
                line_free = line_free.max(i as f64) + (500.0 + PROBE.len() as f64) / 9.6;
                longest_queue = longest_queue.max(line_free - i as f64);
                let shown = line_free as u64 + ONE_WAY;
                acks.push_back(shown + ONE_WAY);
                waits.extend(typed.drain(..).map(|pressed| shown - pressed));
            }
        }
        waits.sort_unstable();
        let p95 = waits[waits.len() * 95 / 100];
        println!("p95 {p95} ms of {} keys, queue {longest_queue:.0} ms, {frame} frames", waits.len());
        assert!(waits.len() > 150 && p95 <= 500, "p95 {p95} ms");
        assert!(longest_queue <= 300.0, "{longest_queue} ms of frames in the queue");
        assert!((600..=1200).contains(&frame), "the link is used: {frame} frames in two minutes");
    }
}
