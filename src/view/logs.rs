//! Open logs on the screen: what is read and how that stands, then lines.

use super::Draw;
use super::pieces::{self, Piece, clean};
use super::text::{cut, width};
use crate::app::{HitMap, LogLine, LogState, Logs};
use crate::model::Time;
use crate::theme::Role;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::collections::{BTreeMap, BTreeSet};

/// Cells of a pod's label at most.
const LABEL: usize = 24;
/// Cells of a time: `12:00:00.123`.
const TIME: usize = 12;

pub fn draw(d: &Draw, logs: &Logs, area: Rect, buf: &mut Buffer, hits: &mut HitMap) {
    title(d, logs, Rect { height: 1, ..area }, buf);
    let mut top = area.y + 1;
    let note = note(logs);
    if let Some((text, role)) = &note {
        d.put(buf, area.x + 1, top, area.width - 1, &cut(&clean(text), usize::from(area.width) - 1, d.glyphs.ellipsis), *role);
        top += 1;
    }
    let body = Rect { y: top, height: area.bottom().saturating_sub(top), ..area };
    let rows = usize::from(body.height);
    (hits.page, hits.text_page, hits.text_at_end) = (rows, rows, true);
    if logs.is_empty() {
        d.put(buf, body.x + 1, body.y, body.width - 1, &empty(logs), Role::TextDim);
        return;
    }
    let labels = labels(logs);
    let label = labels.values().map(|l| width(l)).max().unwrap_or(0).min(LABEL);
    let before = usize::from(logs.timestamps) * (TIME + 1) + if label > 0 { label + 1 } else { 0 };
    let room = usize::from(body.width).saturating_sub(before + 1).max(2);
    let high = |at: usize| if logs.wrap { logs.line(at).map_or(1, |l| pieces::wrapped(&l.text, room)) } else { 1 };
    let (first, skip, end) = window(logs, rows, high);
    (hits.text_offset, hits.text_at_end) = (first, end);
    let today = Time::from_secs(d.world.now).map(Time::rfc3339).unwrap_or_default();
    let (mut y, mut skip) = (body.y, skip);
    for at in first..logs.len() {
        let Some(line) = logs.line(at).filter(|_| y < body.bottom()) else { break };
        let matches: Vec<_> = logs.search.iter().flat_map(|s| s.matches(0, &line.text)).map(|m| m.range).collect();
        let text: Vec<Piece> = pieces::split(&line.text, Role::Log, [], &matches);
        let wrapped = if logs.wrap { pieces::wrap(&text, room, false) } else { vec![text] };
        for (n, row) in wrapped.iter().enumerate().skip(skip) {
            if y >= body.bottom() {
                break;
            }
            if logs.at() == Some(at) {
                d.put(buf, body.x, y, 1, d.glyphs.cursor, Role::CursorMarker);
            }
            if n == 0 {
                let mut x = body.x + 1;
                if logs.timestamps {
                    d.put(buf, x, y, TIME as u16, &moment(&line.time, &today), Role::LogTimestamp);
                    x += TIME as u16 + 1;
                }
                if label > 0 {
                    let name = labels.get(&key(line)).map_or("", String::as_str);
                    d.put(buf, x, y, label as u16, &super::elide(name, label, d.glyphs.ellipsis), Role::LogPod);
                }
            }
            pieces::put(d, buf, (body.x + 1 + before as u16, y), room as u16, row, if logs.wrap { 0 } else { logs.hscroll });
            y += 1;
        }
        skip = 0;
    }
}

/// The first line that is drawn, its rows that are above the screen, and whether the last line is drawn.
fn window(logs: &Logs, rows: usize, high: impl Fn(usize) -> usize) -> (usize, usize, bool) {
    let n = logs.len();
    if let Some(top) = logs.top() {
        let (mut used, mut at) = (0, top.min(n));
        while at < n && used < rows {
            used += high(at);
            at += 1;
        }
        if at < n || used > rows {
            return (top, 0, at == n && used <= rows);
        }
    }
    // The last lines fill the screen.
    let (mut used, mut at) = (0, n);
    while at > 0 && used < rows {
        at -= 1;
        used += high(at);
    }
    (at, used.saturating_sub(rows), true)
}

/// What is read, and where one is in it.
fn title(d: &Draw, logs: &Logs, area: Rect, buf: &mut Buffer) {
    let word = match (logs.files.is_empty(), logs.of.previous) {
        (false, _) => "FETCHED LOGS",
        (true, true) => "PREVIOUS LOGS",
        (true, false) => "LOGS",
    };
    let mut title = word.to_owned();
    let name = |id| d.world.store.cluster(id).map_or("", |c| &c.info.name);
    let clusters: BTreeSet<_> = logs.objects.iter().map(|o| o.cluster).collect();
    match &logs.objects[..] {
        [] => {}
        [o] => title.push_str(&format!(" {} {}/{}", name(o.cluster), o.namespace, o.name)),
        [o, ..] if clusters.len() == 1 => title.push_str(&format!(" {}", name(o.cluster))),
        _ => title.push_str(&format!(" {} clusters", clusters.len())),
    }
    let (pods, containers) = (logs.of.pods.len(), logs.of.pods.iter().map(|(_, c)| c.len()).sum::<usize>());
    if pods > 1 {
        title.push_str(&format!(" {pods} pods"));
    } else if containers > 1 {
        title.push_str(&format!(" {containers} containers"));
    }
    let right = match (logs.follow, logs.fresh()) {
        _ if !logs.files.is_empty() => String::new(),
        (true, _) if logs.of.previous => String::new(),
        (true, _) => "FOLLOWING".to_owned(),
        (false, 0) => "PAUSED".to_owned(),
        (false, n) => format!("PAUSED, {n} new"),
    };
    let place = logs.top().map_or_else(String::new, |at| format!(" {}/{}", at + 1, logs.len()));
    let right = format!("{right}{place}");
    let room = usize::from(area.width).saturating_sub(width(&right) + 3);
    d.rule(buf, area, &super::elide(&clean(&title), room, d.glyphs.ellipsis), &right, true);
}

/// What one has to know of the lines: filters, what is missing, what is not read now.
fn note(logs: &Logs) -> Option<(String, Role)> {
    let mut parts = Vec::new();
    let mut role = Role::Hint;
    if let Some(c) = &logs.container {
        parts.push(format!("container {c}"));
    }
    if let Some(keep) = &logs.keep {
        let (word, text) = keep.text.strip_prefix('!').map_or(("keep", &*keep.text), |t| ("drop", t));
        parts.push(format!("{word} {text}: {} of {}", logs.len(), logs.total()));
        role = Role::Filter;
    }
    if logs.dropped > 0 {
        parts.push(format!("{} older lines dropped from memory", logs.dropped));
    }
    if logs.left_out > 0 {
        parts.push(format!("{} containers left out: {} at most", logs.left_out, crate::app::logs::MAX_CONTAINERS));
        role = Role::Error;
    }
    // The pods by what keeps them: those with the same reason in one part.
    let mut others: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for ((pod, _), state) in &logs.states {
        match state {
            LogState::Open => {}
            LogState::Waiting(why) => others.entry(("waiting", why)).or_default().push(pod),
            LogState::Ended(why) => others.entry(("ended", why)).or_default().push(pod),
        }
    }
    for ((word, why), pods) in others.into_iter().rev() {
        let who = if pods.len() == 1 && logs.of.pods.len() > 1 { pods[0].to_owned() } else { pods.len().to_string() };
        parts.push(if logs.several() { format!("{who} {word}: {why}") } else { format!("{word}: {why}") });
    }
    (!parts.is_empty()).then(|| (parts.join(" | "), role))
}

/// Why there are no lines.
fn empty(logs: &Logs) -> String {
    let all = logs.states.len();
    let ended = logs.states.values().filter(|s| matches!(s, LogState::Ended(_))).count();
    if logs.total() > 0 {
        format!("none of {} lines is kept by the filter", logs.total())
    } else if all > 0 && ended == all {
        "no lines".to_owned()
    } else {
        "no lines yet".to_owned()
    }
}

fn key(line: &LogLine) -> (String, String) {
    (line.pod.to_string(), line.container.to_string())
}

/// What stands before a line: what tells its pod and container from the others; nothing when there is only one.
fn labels(logs: &Logs) -> BTreeMap<(String, String), String> {
    let mut keys: Vec<(String, String)> =
        logs.of.pods.iter().flat_map(|(pod, all)| all.iter().map(|c| (pod.name.to_string(), c.clone()))).collect();
    keys.extend(logs.states.keys().cloned());
    labels_of(keys)
}

fn labels_of(mut keys: Vec<(String, String)>) -> BTreeMap<(String, String), String> {
    keys.sort();
    keys.dedup();
    if keys.len() < 2 {
        return BTreeMap::new();
    }
    // Over several clusters a pod has its cluster before it, which stays.
    let last = |pod: &str| pod.rfind('/').map_or(0, |at| at + 1);
    let pods: Vec<&str> = keys.iter().map(|(pod, _)| &pod[last(pod)..]).collect();
    let same = keys.iter().all(|(pod, _)| *pod == keys[0].0);
    let one = keys.iter().all(|(_, c)| *c == keys[0].1);
    let common = pods.iter().skip(1).fold(pods[0], |common, pod| {
        let n = common
            .char_indices()
            .zip(pod.chars())
            .take_while(|((_, a), b)| a == b)
            .map(|((at, a), _)| at + a.len_utf8())
            .last()
            .unwrap_or(0);
        &common[..n]
    });
    let cut = common.rfind(['-', '.']).map_or(0, |at| at + 1);
    let short = |pod: &str, container: &str| {
        let (cluster, name) = pod.split_at(last(pod));
        match (same, one) {
            (true, _) => container.to_owned(),
            (false, true) => format!("{cluster}{}", &name[cut..]),
            _ => format!("{cluster}{}/{container}", &name[cut..]),
        }
    };
    let label = |(pod, container): (String, String)| (short(&pod, &container), (pod, container));
    keys.into_iter().map(label).map(|(text, key)| (key, text)).collect()
}

/// A line's time in twelve cells: the hour today, the day before that.
fn moment(time: &str, today: &str) -> String {
    let part = |from: usize, to: usize| time.get(from..to).unwrap_or_default();
    if time.len() >= 19 && time.get(..10) == today.get(..10) {
        let millis = time.get(19..23).filter(|t| t.starts_with('.')).unwrap_or_default();
        return format!("{}{millis}", part(11, 19));
    }
    if time.len() < 16 {
        return "--:--".to_owned();
    }
    format!("{} {}", part(5, 10), part(11, 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_say_what_tells_logs_apart() {
        let of = |pods: &[&str], containers: &[&str]| {
            let keys = pods.iter().flat_map(|p| containers.iter().map(|c| ((*p).to_owned(), (*c).to_owned())));
            labels_of(keys.collect()).into_values().collect::<Vec<_>>()
        };
        assert_eq!(of(&["web-5d4d7d5cb4-2bbtc"], &["app"]), Vec::<String>::new());
        assert_eq!(of(&["web-5d4d7d5cb4-2bbtc"], &["app", "proxy"]), ["app", "proxy"]);
        assert_eq!(of(&["web-5d4d7d5cb4-2bbtc", "web-5d4d7d5cb4-9xkcd"], &["app"]), ["2bbtc", "9xkcd"]);
        let two = ["lab-1/web-5d4d7d5cb4-2bbtc", "lab-2/web-5d4d7d5cb4-9xkcd"];
        assert_eq!(of(&two, &["app"]), ["lab-1/2bbtc", "lab-2/9xkcd"]);
        assert_eq!(of(&two, &["app", "proxy"])[..2], ["lab-1/2bbtc/app", "lab-1/2bbtc/proxy"]);
        assert_eq!(of(&["lab-1/db-0", "lab-2/db-0"], &["db"]), ["lab-1/0", "lab-2/0"]);
    }

    #[test]
    fn times_fit_their_column() {
        assert_eq!(moment("2026-01-05T11:59:58.123456789Z", "2026-01-05T12:00:00Z"), "11:59:58.123");
        assert_eq!(moment("2026-01-04T11:59:58.123456789Z", "2026-01-05T12:00:00Z"), "01-04 11:59");
        assert_eq!(moment("", "2026-01-05T12:00:00Z"), "--:--");
    }
}
