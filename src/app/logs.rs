//! Open logs: of a pod, or of all pods of a workload.
//!
//! Owns the lines that are kept (bounded; what goes is counted), which of them are shown, and where one is in them.
//! Reading and reconnecting are `runtime`'s and `source`'s.

mod strip;

use super::jump::owned_by;
use super::{Effect, HitMap, KeptFile, LogLine, LogState, LogsOf, Notice, Own, Purpose, RequestId, World};
use crate::command::Command;
use crate::doc::Search;
use crate::model::{Kind, Object, ObjectRef};
use crate::store::Touched;
use regex::Regex;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

/// Lines that are kept, and their bytes.
pub const MAX_LINES: usize = 20_000;
pub const MAX_BYTES: usize = 8 << 20;
/// Containers that are read at most.
pub const MAX_CONTAINERS: usize = 100;
/// Lines that a batch may sort itself in before.
const MERGED: usize = 4_000;
/// Cells that Left and Right move by.
const SIDEWAYS: usize = 16;

/// Which lines are shown.
pub struct Keep {
    /// As it was typed: with `!` in front, matching lines are dropped.
    pub text: String,
    regex: Regex,
}

impl Keep {
    fn new(text: &str) -> Result<Self, String> {
        let pattern = text.strip_prefix('!').unwrap_or(text);
        let regex = Regex::new(pattern)
            .map_err(|e| format!("`{pattern}`: {}", e.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ")))?;
        Ok(Self { text: text.to_owned(), regex })
    }
    fn keeps(&self, text: &str) -> bool {
        self.regex.is_match(text) != self.text.starts_with('!')
    }
}

/// Open logs.
pub struct Logs {
    pub objects: Vec<ObjectRef>,
    pub request: RequestId,
    /// What is read now.
    pub of: LogsOf,
    /// The files that they were fetched into; none: they are read from the clusters.
    pub files: Vec<KeptFile>,
    /// Containers beyond [`MAX_CONTAINERS`].
    pub left_out: usize,
    /// Lines that are no longer in memory.
    pub dropped: u64,
    pub follow: bool,
    pub wrap: bool,
    pub timestamps: bool,
    /// Only this container's lines.
    pub container: Option<String>,
    pub keep: Option<Keep>,
    pub search: Option<Search>,
    /// Cells that long lines are moved to the left.
    pub hscroll: usize,
    /// How each container's log stands, by pod and container.
    pub states: BTreeMap<(String, String), LogState>,
    lines: VecDeque<LogLine>,
    bytes: usize,
    /// The number of the first line in memory; every line has one, in order.
    first: u64,
    /// The numbers of the lines that are shown.
    kept: VecDeque<u64>,
    /// While not following: the topmost line, and the first that came since.
    top: u64,
    fresh: u64,
    /// The line that the search is at.
    at: Option<u64>,
    /// What the last frame had on top, how many rows, and whether it had the last line.
    drawn: (usize, usize, bool),
}

impl Logs {
    fn new(objects: Vec<ObjectRef>, of: LogsOf, request: RequestId) -> Self {
        Self {
            objects,
            request,
            of,
            files: Vec::new(),
            left_out: 0,
            dropped: 0,
            follow: true,
            wrap: false,
            timestamps: false,
            container: None,
            keep: None,
            search: None,
            hscroll: 0,
            states: BTreeMap::new(),
            lines: VecDeque::new(),
            bytes: 0,
            first: 0,
            kept: VecDeque::new(),
            top: 0,
            fresh: 0,
            at: None,
            drawn: (0, 1, true),
        }
    }

    /// Opens logs that were fetched into files, at their beginning.
    pub fn of_files(objects: Vec<ObjectRef>, files: Vec<KeptFile>, request: RequestId) -> (Self, Vec<Effect>) {
        let of = LogsOf { pods: Vec::new(), previous: false, follow: false, tail: 0 };
        let logs = Self { files: files.clone(), follow: false, ..Self::new(objects, of, request) };
        (logs, vec![Effect::ReadFiles(request, files)])
    }

    /// Opens the logs of an object's pods.
    pub fn open(world: &World, object: ObjectRef, pods: Vec<ObjectRef>, previous: bool, request: RequestId) -> (Self, Vec<Effect>) {
        let of = LogsOf { pods: Vec::new(), previous, follow: !previous, tail: 500 };
        let mut logs = Self::new(vec![object], of, request);
        for pod in pods {
            let containers = containers(world, &pod);
            let of = logs.admit(pod, containers);
            logs.of.pods.extend(of);
        }
        let n: usize = logs.of.pods.iter().map(|(_, c)| c.len().max(1)).sum();
        logs.of.tail = u32::try_from(2_000 / n.max(1)).unwrap_or(500).clamp(20, 500);
        let effects = vec![Effect::StartLogs(request, logs.of.clone())];
        (logs, effects)
    }

    /// A pod with as many of its containers as may still be read.
    fn admit(&mut self, pod: ObjectRef, mut containers: Vec<String>) -> Option<(ObjectRef, Vec<String>)> {
        let n: usize = self.of.pods.iter().map(|(_, c)| c.len()).sum();
        let room = MAX_CONTAINERS.saturating_sub(n);
        self.left_out += containers.len().saturating_sub(room);
        containers.truncate(room);
        (!containers.is_empty()).then_some((pod, containers))
    }

    /// Reads anew under another request: current containers, or those before. The app stops the old one, as it is no longer open.
    pub fn restart(&mut self, request: RequestId, previous: bool) -> Vec<Effect> {
        self.request = request;
        self.of.previous = previous;
        self.of.follow = !previous;
        self.first += self.lines.len() as u64;
        self.lines.clear();
        self.kept.clear();
        self.states.clear();
        (self.bytes, self.dropped, self.at, self.follow) = (0, 0, None, true);
        vec![Effect::StartLogs(request, self.of.clone())]
    }

    /// Lines that are shown.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether no line is shown.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Lines in memory, shown or not.
    pub fn total(&self) -> usize {
        self.lines.len()
    }

    /// The shown line at that place.
    pub fn line(&self, at: usize) -> Option<&LogLine> {
        self.lines.get(usize::try_from(self.kept.get(at)?.checked_sub(self.first)?).ok()?)
    }

    /// The topmost line while one stays where one is; none while the end is followed.
    pub fn top(&self) -> Option<usize> {
        (!self.follow).then(|| self.place(self.top))
    }

    /// Shown lines that came since the end was left.
    pub fn fresh(&self) -> usize {
        if self.follow { 0 } else { self.kept.len() - self.place(self.fresh) }
    }

    /// The line that the search is at.
    pub fn at(&self) -> Option<usize> {
        self.at.and_then(|n| self.kept.binary_search(&n).ok())
    }

    /// The place of a numbered line, or of the first after it.
    fn place(&self, number: u64) -> usize {
        self.kept.partition_point(|n| *n < number)
    }

    fn keeps(&self, line: &LogLine) -> bool {
        self.container.as_ref().is_none_or(|c| *c == *line.container) && self.keep.as_ref().is_none_or(|k| k.keeps(&line.text))
    }

    /// Lines have come: sorted by time among themselves and, while the end is followed, among the last ones.
    pub fn lines(&mut self, mut batch: Vec<LogLine>) {
        for line in &mut batch {
            strip::escapes(&mut line.text);
        }
        let timed = batch.iter().all(|l| !l.time.is_empty());
        if timed {
            batch.sort_by(|a, b| a.time.cmp(&b.time));
        }
        if let Some(begin) = batch.first().filter(|_| timed && self.follow) {
            let low = self.lines.len().saturating_sub(MERGED);
            let mut from = self.lines.len();
            while from > low && self.lines[from - 1].time > begin.time {
                from -= 1;
            }
            let mut tail: Vec<LogLine> = self.lines.drain(from..).collect();
            if !tail.is_empty() {
                self.bytes -= tail.iter().map(size).sum::<usize>();
                let number = self.first + from as u64;
                self.kept.truncate(self.place(number));
                tail.append(&mut batch);
                tail.sort_by(|a, b| a.time.cmp(&b.time));
                batch = tail;
            }
        }
        for line in batch {
            if self.keeps(&line) {
                self.kept.push_back(self.first + self.lines.len() as u64);
            }
            self.bytes += size(&line);
            self.lines.push_back(line);
        }
        while self.lines.len() > MAX_LINES || self.bytes > MAX_BYTES {
            let Some(gone) = self.lines.pop_front() else { break };
            self.bytes -= size(&gone);
            if self.kept.front() == Some(&self.first) {
                self.kept.pop_front();
            }
            self.first += 1;
            self.dropped += 1;
        }
    }

    /// Chooses the shown lines anew; the topmost stays if it may.
    fn choose(&mut self) {
        let kept = self.lines.iter().enumerate().filter(|(_, l)| self.keeps(l)).map(|(n, _)| self.first + n as u64);
        self.kept = kept.collect();
    }

    /// How one container's log stands.
    pub fn state(&mut self, pod: &str, container: &str, state: LogState) {
        self.states.insert((pod.to_owned(), container.to_owned()), state);
    }

    /// The store changed: new pods of the workload are read too. Whether to draw again.
    pub fn touched(&mut self, world: &World, touched: &[Touched]) -> (bool, Vec<Effect>) {
        let mut dirty = false;
        let mut added = Vec::new();
        for touch in touched {
            match touch {
                Touched::Cluster(id) => dirty |= self.objects.iter().any(|o| o.cluster == *id),
                Touched::Row { id, before: None } if id.kind == Kind::Pod && !self.of.previous => {
                    let (Some(of), Some((cluster, pod))) = (self.objects.first(), world.store.row(*id)) else { continue };
                    if of.cluster != id.cluster || !Kind::WORKLOADS.contains(&of.kind) || !owned_by(cluster, pod, of.uid) {
                        continue;
                    }
                    let pod = pod.reference(cluster.id);
                    if self.of.pods.iter().any(|(p, _)| p.uid == pod.uid) {
                        continue;
                    }
                    let names = containers(world, &pod);
                    let admitted = self.admit(pod, names);
                    self.of.pods.extend(admitted.clone());
                    added.extend(admitted);
                }
                _ => {}
            }
        }
        if added.is_empty() {
            return (dirty, Vec::new());
        }
        let of = LogsOf { pods: added, tail: 500, ..self.of.clone() };
        (true, vec![Effect::StartLogs(self.request, of)])
    }

    /// What was drawn.
    pub fn drawn(&mut self, hits: &HitMap) {
        self.drawn = (hits.text_offset, hits.text_page.max(1), hits.text_at_end);
        if !self.follow
            && let Some(n) = self.kept.get(hits.text_offset)
        {
            self.top = *n;
        }
    }

    /// Leaves the end: this line is on top from now on.
    fn stay(&mut self, top: usize) {
        if self.follow {
            self.follow = false;
            self.fresh = self.first + self.lines.len() as u64;
        }
        self.top = self.kept.get(top).copied().unwrap_or(self.first);
    }

    /// Scrolls by lines. Beyond the last line the end is followed again.
    pub fn scroll(&mut self, by: isize) {
        let here = self.top().unwrap_or(self.drawn.0);
        if by < 0 {
            self.stay(here.saturating_add_signed(by));
        } else if !self.follow {
            let to = here.saturating_add_signed(by);
            if self.drawn.2 || to >= self.kept.len() { self.follow = true } else { self.stay(to) }
        }
    }

    /// Searches from the top of the screen on; an empty text ends the search. A text that is no regular expression is looked for as it is.
    pub fn search(&mut self, text: &str) -> Option<String> {
        self.search = (!text.is_empty()).then(|| Search::regex(text).unwrap_or_else(|_| Search::plain(text)));
        self.at = None;
        if self.search.is_some() {
            let top = self.top().unwrap_or(self.drawn.0);
            let _ = self.find(top..self.kept.len(), 0..top, false);
        }
        None
    }

    fn hit(&self, at: usize) -> bool {
        self.search.as_ref().zip(self.line(at)).is_some_and(|(s, l)| s.matches(0, &l.text).next().is_some())
    }

    /// Goes to the first (or last) match of the near lines, else of the far ones.
    fn find(&mut self, near: std::ops::Range<usize>, far: std::ops::Range<usize>, back: bool) -> bool {
        let pick = |range: std::ops::Range<usize>| {
            if back { range.rev().find(|n| self.hit(*n)) } else { range.into_iter().find(|n| self.hit(*n)) }
        };
        let Some(found) = pick(near).or_else(|| pick(far)) else { return false };
        self.at = self.kept.get(found).copied();
        let (top, page, _) = self.drawn;
        let top = self.top().unwrap_or(top);
        let seen = (top..top + page).contains(&found);
        self.stay(if seen { top } else { found.saturating_sub(page / 3) });
        true
    }

    fn next_match(&mut self, back: bool) -> Own {
        if self.search.is_none() {
            return Own::Say(Notice::info("nothing is searched for; / searches"));
        }
        let n = self.kept.len();
        let here = self.at().unwrap_or_else(|| self.top().unwrap_or(self.drawn.0));
        let found =
            if back { self.find(0..here, here.min(n)..n, true) } else { self.find((here + 1).min(n)..n, 0..(here + 1).min(n), false) };
        if found { Own::Done(Vec::new()) } else { Own::Say(Notice::info("not found")) }
    }

    /// The names of the containers, once each.
    fn containers(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for name in self.of.pods.iter().flat_map(|(_, c)| c) {
            if !all.contains(name) {
                all.push(name.clone());
            }
        }
        all
    }

    fn only(&mut self, name: Option<&str>) -> Own {
        let all = self.containers();
        let next = match name {
            Some("" | "all" | "*") => None,
            Some(name) if all.iter().any(|c| c == name) => Some(name.to_owned()),
            Some(name) => return Own::Say(Notice::error(crate::diag::unknown("container", name, all.iter().map(String::as_str)))),
            None if all.len() < 2 => return Own::Say(Notice::info("there is one container only")),
            None => match &self.container {
                None => all.first().cloned(),
                Some(now) => all.iter().skip_while(|c| *c != now).nth(1).cloned(),
            },
        };
        let text = next.as_ref().map_or_else(|| "all containers".to_owned(), |c| format!("container {c}"));
        self.container = next;
        self.choose();
        Own::Say(Notice::info(text))
    }

    fn filter(&mut self, text: &str) -> Own {
        self.keep = match text {
            "" | "!" => None,
            text => match Keep::new(text) {
                Ok(keep) => Some(keep),
                Err(e) => return Own::Say(Notice::error(e)),
            },
        };
        self.choose();
        Own::Done(Vec::new())
    }

    /// The shown lines as a file.
    fn save(&self, world: &World, file: Option<&str>) -> Own {
        if self.is_empty() {
            return Own::Say(Notice::info("no lines to save"));
        }
        let stamp = jiff::Timestamp::from_second(world.now).map(|t| t.strftime("%Y%m%dT%H%M%SZ").to_string()).unwrap_or_default();
        let name = self.objects.first().map_or("logs", |o| &o.name);
        let path = file.map_or_else(|| PathBuf::from(format!("{name}-{stamp}.log")), PathBuf::from);
        let several = self.several();
        let mut text = String::new();
        if self.dropped > 0 {
            text.push_str(&format!("# {} older lines were no longer in memory\n", self.dropped));
        }
        for line in (0..self.len()).filter_map(|at| self.line(at)) {
            if !line.time.is_empty() {
                text.push_str(&line.time);
                text.push(' ');
            }
            if several {
                text.push_str(&format!("{}/{} ", line.pod, line.container));
            }
            text.push_str(&line.text);
            text.push('\n');
        }
        Own::Done(vec![Effect::SaveFile { path, text }])
    }

    /// Whether lines of more than one container may be shown.
    pub fn several(&self) -> bool {
        self.of.pods.len() > 1 || self.of.pods.iter().any(|(_, c)| c.len() > 1)
    }

    /// A command that is the logs' own.
    pub fn command(&mut self, world: &World, command: &Command) -> Own {
        match command {
            Command::LogFollow => {
                if self.follow {
                    self.stay(self.drawn.0)
                } else {
                    self.follow = true
                }
            }
            Command::LogWrap => self.wrap = !self.wrap,
            Command::LogTimestamps => self.timestamps = !self.timestamps,
            Command::LogPrevious | Command::LogsPrevious if !self.files.is_empty() => {
                return Own::Say(Notice::info("a fetched log has none before it"));
            }
            Command::LogPrevious | Command::LogsPrevious => return Own::Restart { previous: !self.of.previous },
            Command::Logs if self.of.previous => return Own::Restart { previous: false },
            Command::LogContainer(name) => return self.only(name.as_deref()),
            Command::LogFilter(None) => {
                return Own::Ask(Purpose::LogFilter, self.keep.as_ref().map_or_else(String::new, |k| k.text.clone()));
            }
            Command::LogFilter(Some(text)) => return self.filter(text),
            Command::LogSave(file) => return self.save(world, file.as_deref().filter(|f| !f.is_empty())),
            Command::NextMatch => return self.next_match(false),
            Command::PrevMatch => return self.next_match(true),
            Command::Left => self.hscroll = self.hscroll.saturating_sub(SIDEWAYS),
            Command::Right => self.hscroll = (self.hscroll + SIDEWAYS).min(1 << 16),
            _ => return Own::No,
        }
        Own::Done(Vec::new())
    }
}

/// What a line costs.
fn size(line: &LogLine) -> usize {
    line.text.len() + line.time.len() + 64
}

/// A pod's containers, init containers first, as its shape has them.
fn containers(world: &World, pod: &ObjectRef) -> Vec<String> {
    match world.store.resolve(pod) {
        Some(Object::Pod(p)) => p.shape.init.iter().chain(&p.shape.containers).map(|c| c.name.to_string()).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
