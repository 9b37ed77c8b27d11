//! A table of rows: the full pane, a tile, the cluster strip.

use super::pieces::{self, clean};
use super::text::{cut, elide, width};
use super::{Draw, group, panes};
use crate::app::{Focus, Hit, HitMap, TablePane};
use crate::model::{Amiss, ConnectionState, Kind, KindState, Service, ServiceState, Severity, refused, use_from, use_gap};
use crate::table::{Align, Column, Row, Subject, Tone, Value, bad, stale};
use crate::theme::Role;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::borrow::Cow;

/// Columns that stay at the left while the others scroll.
const ANCHORED: [&str; 4] = ["cluster", "namespace", "kind", "name"];

/// How a table is drawn.
pub struct Look<'a> {
    /// Which part of the cockpit this is; none for the full pane.
    pub part: Option<Focus>,
    pub focused: bool,
    pub header: bool,
    /// Column ids, or none for the pane's own choice.
    pub columns: Option<&'a [&'static str]>,
}

struct Placed {
    column: &'static Column,
    /// Which of the wanted columns it is.
    at: usize,
    x: u16,
    width: u16,
}

pub(super) fn tone(tone: Tone) -> Role {
    match tone {
        Tone::Plain => Role::Text,
        Tone::Dim => Role::TextDim,
        Tone::Ok => Role::SeverityOk,
        Tone::Info => Role::SeverityInfo,
        Tone::Warning => Role::SeverityWarning,
        Tone::Critical => Role::SeverityCritical,
        Tone::Stale => Role::Stale,
    }
}

/// The full pane: title, headers, rows, what is missing.
pub fn draw_full(d: &Draw, pane: &TablePane, area: Rect, buf: &mut Buffer, hits: &mut HitMap) {
    let n = pane.view.len();
    let mut title = format!("{} {n}", pane.subject.title().to_uppercase());
    if pane.view.faults_only() {
        title.push_str(" faults only");
    }
    if !pane.marks.is_empty() {
        title.push_str(&format!(" | {} marked", pane.marks.len()));
    }
    let sort = match pane.view.sort() {
        None => "worst first".to_owned(),
        Some(s) => format!("by {} {}", s.column.id, if s.descending { d.glyphs.descending } else { d.glyphs.ascending }),
    };
    let lines = pane.len();
    let place = if lines == 0 { String::new() } else { format!(" {}/{lines}", pane.cursor + 1) };
    if let Some(grouping) = &pane.grouping {
        title.push_str(&format!(" in {} groups by {}", grouping.groups.len(), grouping.by.title.to_lowercase()));
    }
    d.rule(buf, Rect { height: 1, ..area }, &title, &format!("{sort}{place}"), true);
    if !pane.filter_text.is_empty() {
        let x = area.x + width(&title) as u16 + 1;
        let text = elide(&format!("/{}", pane.filter_text), usize::from(area.width / 2), d.glyphs.ellipsis);
        d.put(buf, x, area.y, area.right().saturating_sub(x), &text, Role::Filter);
    }
    let head = head(d, pane);
    let most = (area.height / 4).max(1);
    let shown = u16::try_from(head.len()).unwrap_or(u16::MAX).min(most);
    // Lines that are longer than the pane go on below themselves, the worst first, where there is room for all.
    let (mut over, mut spare) = (0, most - shown);
    for (i, line) in head.iter().take(usize::from(shown)).enumerate() {
        let more = (usize::from(shown) == i + 1).then(|| head.len() - i - 1);
        let used = head_line(d, line, more, Rect { y: area.y + 1 + over, height: 1 + spare, ..area }, buf);
        (over, spare) = (over + used, spare + 1 - used);
    }
    let gaps = gaps(d, pane);
    let below = u16::try_from(gaps.len()).unwrap_or(0).min(3) + 1;
    let rows = Rect { y: area.y + 1 + over, height: area.height.saturating_sub(1 + over + below), ..area };
    draw(d, pane, &Look { part: None, focused: true, header: true, columns: None }, rows, buf, hits);
    hits.page = usize::from(rows.height.saturating_sub(1)).max(1);
    for (i, gap) in gaps.iter().take(3).enumerate() {
        let more = gaps.len() - 3.min(gaps.len());
        let gap = if i == 2 && more > 0 { &format!("{gap}; and {more} more (1 shows the clusters)") } else { gap };
        d.put(buf, area.x, rows.bottom() + i as u16, area.width, &elide(gap, usize::from(area.width), d.glyphs.ellipsis), Role::Denied);
    }
    let why = pane.head().map_or_else(|| why(d, pane), group::why);
    d.put(buf, area.x, area.bottom() - 1, area.width, &elide(&why, usize::from(area.width), d.glyphs.ellipsis), Role::Hint);
}

/// What is wrong with the row under the cursor, in words.
fn why(d: &Draw, pane: &TablePane) -> String {
    let Some(row) = pane.current().and_then(|k| Row::of(d.world.store, k)) else { return String::new() };
    let Row::Object(c, o) = row else { return String::new() };
    let findings = d.world.engine.for_object(c.id, o.meta().uid);
    match findings.first() {
        Some(f) if findings.len() > 1 => format!("> {}: {} (+{} more)", f.rule.id, f.message, findings.len() - 1),
        Some(f) => format!("> {}: {}", f.rule.id, f.message),
        // No rule has said it (yet): what the object says of itself.
        None if bad(&d.world.ctx(), row).fault() => {
            let cell = |name: &str| pane.subject.column(name).map_or(String::new(), |c| c.value(&d.world.ctx(), row).text(d.world.now));
            let said: Vec<String> = ["status", "message", "summary"].map(cell).into_iter().filter(|t| !t.is_empty()).collect();
            if said.is_empty() { String::new() } else { format!("> {}", said.join(": ")) }
        }
        None => String::new(),
    }
}

/// What the pane says over its rows: of the clusters that it is limited to, the worst first.
fn head(d: &Draw, pane: &TablePane) -> Vec<panes::HeadLine> {
    let Some(head) = pane_of(pane).and_then(|p| p.head) else { return Vec::new() };
    let mut lines = head(d.world.store, d.world.now);
    lines.retain(|l| pane.view.clusters().is_none_or(|only| only.contains(&l.cluster)));
    lines.sort_by_key(|l| std::cmp::Reverse(l.severity));
    lines
}

/// One line of the head, on as many rows of its area as it needs; the last that has room says how many more there are. Returns the rows.
fn head_line(d: &Draw, line: &panes::HeadLine, more: Option<usize>, area: Rect, buf: &mut Buffer) -> u16 {
    let (sign, role) = line.severity.map_or((" ", Role::SeverityOk), Draw::severity);
    let name = d.world.store.cluster(line.cluster).map_or("", |c| &c.info.name);
    let more = more.filter(|n| *n > 0).map_or_else(String::new, |n| format!("; and {n} more clusters"));
    let x = d.put(buf, area.x, area.y, area.width, &format!("{sign} {name}: "), role);
    let role = if line.severity.is_some() { role } else { Role::Text };
    let (room, most) = (usize::from(area.right().saturating_sub(x)), usize::from(area.height.max(1)));
    let text = clean(&line.text);
    let rows: Vec<String> = if more.is_empty() && most > 1 {
        let rows = pieces::wrap(&[(text, role)], room, true);
        rows.iter().map(|row| row.iter().map(|(t, _)| t.as_ref()).collect()).collect()
    } else {
        vec![text.into_owned()]
    };
    let shown = rows.len().min(most);
    for (n, row) in rows.iter().take(shown).enumerate() {
        let rest = || format!("{}{more}", cut(&rows[n..].join(" "), room.saturating_sub(width(&more)), d.glyphs.ellipsis));
        let text = if n + 1 == shown { rest() } else { row.clone() };
        d.put(buf, x, area.y + n as u16, area.right().saturating_sub(x), &text, role);
    }
    shown as u16
}

/// Clusters of which this pane shows nothing, or not all, and why. What many have in common is said once.
fn gaps(d: &Draw, pane: &TablePane) -> Vec<String> {
    let mut gaps: Vec<(String, Vec<&str>)> = Vec::new();
    let mut add = |name, text| match gaps.iter_mut().find(|(t, _)| *t == text) {
        Some((_, names)) => names.push(name),
        None => gaps.push((text, vec![name])),
    };
    for c in d.world.store.clusters() {
        let name: &str = &c.info.name;
        if let Some(silent) = pane.subject.kinds().first().and_then(|k| silent(c, *k)) {
            add(name, silent);
        }
        if let Some((_, words)) = c.reports_amiss(d.world.now).filter(|_| pane.subject == Subject::Findings) {
            add(name, format!("findings: {words}"));
            continue;
        }
        for kind in pane.subject.kinds() {
            let missing = match (c.kind_state(*kind), absence(c, *kind)) {
                (KindState::Forbidden { missing }, _) => refused(missing),
                (KindState::Missing, Some(hint)) => {
                    add(name, hint.to_owned());
                    continue;
                }
                (KindState::Missing, None) => format!("this server has no {}", kind.plural()),
                (KindState::Failing { reason }, _) if c.state.live() || !kind.watched() => match c.table(*kind).len() {
                    0 => format!("{}: {reason}", kind.plural()),
                    n => format!("{reason}, {n} rows {} old", last_told(d, c, *kind)),
                },
                _ => continue,
            };
            add(name, format!("{}: {missing}", kind.plural()));
        }
        // Findings rest on what is watched, and are as old.
        let hangs_on_watches = |k: &Kind| k.watched() || *k == Kind::Finding;
        if let Some(reason) = c.state.reason().filter(|_| pane.subject.kinds().iter().all(hangs_on_watches)) {
            let rows = pane.subject.kinds().iter().map(|k| c.table(*k).len()).sum::<usize>();
            let age = crate::model::Time::from_secs(c.alive)
                .map_or("never seen".to_owned(), |t| format!("{rows} rows {} old", Value::Age(t).text(d.world.now)));
            add(name, format!("{}: {reason}, {age}", c.state.word()));
        }
    }
    let read: Vec<_> = d
        .world
        .store
        .clusters()
        .iter()
        .filter(|_| pane.subject == Subject::Findings)
        .filter_map(|c| Some((c, c.current_report(d.world.now)?)))
        .collect();
    if let Some(oldest) = read.iter().map(|(_, at)| *at).min() {
        let oldest = Value::Age(oldest).text(d.world.now);
        let text = if read.len() == 1 {
            format!("findings are from its reports, {oldest} old")
        } else {
            format!("findings are from their reports, the oldest {oldest} old")
        };
        read.iter().for_each(|(c, _)| add(&c.info.name, text.clone()));
    }
    let uses = matches!(pane.subject, Subject::Pods | Subject::Nodes | Subject::Workloads);
    for c in d.world.store.clusters().iter().filter(|_| uses) {
        let told = c.service(Service::Metrics);
        let reason = match &told.state {
            ServiceState::Stale { reason } | ServiceState::Failing { reason } => reason.to_string(),
            ServiceState::Forbidden { missing } => refused(missing),
            ServiceState::Live => {
                let kind = if pane.subject == Subject::Nodes { Kind::Node } else { Kind::Pod };
                match (use_from(&told.via, kind), use_gap(&told.via, kind)) {
                    (Some(by), _) => add(&c.info.name, format!("use of cpu and memory is from {by}")),
                    (None, Some(gap)) => add(&c.info.name, format!("use of cpu and memory: {gap}")),
                    (None, None) => {}
                }
                continue;
            }
            _ => continue,
        };
        let age = crate::model::Time::from_secs(told.alive).filter(|_| told.alive > 0);
        let age = age.map_or_else(String::new, |t| format!(", seen {} ago", Value::Age(t).text(d.world.now)));
        add(&c.info.name, format!("use of cpu and memory: {reason}{age}"));
    }
    let said = |(text, names): (String, Vec<&str>)| match &names[..] {
        [one] => format!("{one} {text}"),
        [a, b] => format!("{a}, {b}: {text}"),
        [a, b, rest @ ..] => format!("{a}, {b} and {} more: {text}", rest.len()),
        [] => text,
    };
    let mut gaps: Vec<String> = gaps.into_iter().map(said).collect();
    gaps.extend(if pane.subject == Subject::Findings { blind(d) } else { None });
    gaps
}

/// How many rules judge nothing in which cluster, the most first, and the reason that most have.
fn blind(d: &Draw) -> Option<String> {
    let engine = d.world.engine;
    let not = d.world.store.clusters().iter().map(|c| (&*c.info.name, engine.blind(c.id)));
    let mut not: Vec<_> = not.filter(|(_, rules)| !rules.is_empty()).collect();
    not.sort_by_key(|(_, rules)| std::cmp::Reverse(rules.len()));
    let mut whys: Vec<(&str, usize)> = Vec::new();
    for (_, why) in not.iter().flat_map(|(_, rules)| rules.iter()) {
        match whys.iter_mut().find(|(w, _)| w == why) {
            Some((_, n)) => *n += 1,
            None => whys.push((why, 1)),
        }
    }
    let (why, _) = whys.into_iter().max_by_key(|(_, n)| *n)?;
    let counts: Vec<String> = not.iter().map(|(name, rules)| format!("{name} {}", rules.len())).collect();
    let counts = match &counts[..] {
        [most, rest @ ..] if rest.len() > 1 => format!("{most} and {} more", rest.len()),
        few => few.join(", "),
    };
    Some(format!("rules not evaluated (:rules): {counts}; most: {why}"))
}

/// The replicas of a service that do not answer while another one does, each with its reason.
fn silent(c: &crate::store::Cluster, kind: Kind) -> Option<String> {
    let slot = c.service(kind.teller()?);
    let (others, silent) = slot.via.split_once("; ").filter(|_| slot.state == ServiceState::Live)?;
    Some(format!("no answer from {silent}; read from {others}"))
}

/// What to do where there is none of a kind that a cluster need not have: configure or install its service.
fn absence(c: &crate::store::Cluster, kind: Kind) -> Option<&str> {
    let service = kind.teller()?;
    match &c.service(service).state {
        ServiceState::Absent { hint } => Some(hint),
        _ => None,
    }
}

/// Since a service, or the cluster, last told something.
fn last_told(d: &Draw, c: &crate::store::Cluster, kind: Kind) -> String {
    let at = kind.service().map_or(c.alive, |s| c.service(s).alive);
    crate::model::Time::from_secs(at).map_or_else(|| "of unknown age".to_owned(), |t| Value::Age(t).text(d.world.now))
}

/// Why there is nothing to show.
fn empty(d: &Draw, pane: &TablePane) -> String {
    let kinds: &[Kind] = pane.subject.kinds();
    let clusters = d.world.store.clusters();
    let rows: usize = clusters.iter().flat_map(|c| kinds.iter().map(|k| c.table(*k).len())).sum();
    let all = if pane.subject == Subject::Clusters { clusters.len() } else { rows };
    let what = pane.subject.name();
    if all > 0 && !pane.filter_text.is_empty() {
        return format!("no {what} match the filter; it hides {all} (Esc clears it)");
    }
    if all > 0 && pane.view.faults_only() {
        return format!("no faults among {all} {what} (! shows all)");
    }
    if all > 0 {
        return format!("no {what} in this scope; 0 shows all clusters and namespaces");
    }
    let waiting: Vec<String> = d
        .world
        .store
        .clusters()
        .iter()
        .filter(|c| !c.state.live() && (pane.subject == Subject::Findings || kinds.iter().any(|k| k.watched())))
        .map(|c| match &c.state {
            crate::model::ConnectionState::Syncing { done, of } => format!("{} syncing {done}/{of}", c.info.name),
            state => format!("{} {}", c.info.name, state.word()),
        })
        .collect();
    if !waiting.is_empty() {
        return format!("nothing yet: {}", waiting.join(", "));
    }
    // What is not seen is not said to be absent.
    let unseen = |c: &crate::store::Cluster| {
        if pane.subject == Subject::Findings && c.info.reported() && c.reports.reports.is_none() {
            return Some(format!("{} has no report", c.info.name));
        }
        let word = kinds.iter().find_map(|k| match c.kind_state(*k) {
            KindState::Forbidden { .. } => Some("forbidden"),
            KindState::Missing => Some(if k.optional() { "has none" } else { "not served" }),
            KindState::Failing { .. } => Some("failing"),
            KindState::Waiting | KindState::Listing => Some("listing"),
            _ => None,
        });
        word.map(|word| format!("{} {word}", c.info.name))
    };
    let unseen: Vec<String> = d.world.store.clusters().iter().filter_map(unseen).collect();
    if unseen.is_empty() { format!("there are no {what}") } else { format!("no {what} are seen: {}", unseen.join(", ")) }
}

/// Appends a cell's text. Of a cluster that is not live the numbers are marked, and its state is said as people say it.
fn write(d: &Draw, column: &Column, value: &Value, cluster: Option<&crate::store::Cluster>, out: &mut String) {
    if let Value::Trend(values) = value {
        out.push_str(&d.spark(values, 8));
        return;
    }
    let Some(c) = cluster.filter(|_| column.id == "state") else {
        value.write(d.world.now, out);
        let counts = matches!(value, Value::Int(_) | Value::Ratio(..) | Value::Percent(_) | Value::Millicores(_) | Value::Bytes(_));
        if cluster.is_some_and(|c| counts && stale(Row::Cluster(c))) {
            out.push('?');
        }
        return;
    };
    let age = crate::model::Time::from_secs(c.since).map(|t| Value::Age(t).text(d.world.now)).unwrap_or_default();
    out.push_str(&match &c.state {
        ConnectionState::Stale { .. } => format!("STALE {age}"),
        ConnectionState::Unreachable { .. } => format!("DOWN {age}"),
        ConnectionState::Unauthorized { .. } => format!("NO LOGIN {age}"),
        ConnectionState::Syncing { done, of } => format!("sync {done}/{of}"),
        ConnectionState::Live => match c.reports_amiss(d.world.now) {
            Some((Amiss::Stale, _)) => "OLD REPORT".to_owned(),
            Some((Amiss::Missing | Amiss::Failing, _)) if c.reports.reports.is_none() => "NO REPORT".to_owned(),
            _ => c.state.word().to_owned(),
        },
        ConnectionState::Connecting => c.state.word().to_owned(),
    });
}

/// The cells of the rows in view, row after row, and how they read: one text, and where each cell's ends.
struct Cells<'a> {
    columns: usize,
    values: Vec<Value<'a>>,
    text: String,
    ends: Vec<usize>,
}

impl<'a> Cells<'a> {
    fn of(d: &Draw<'a>, rows: &[Option<Row<'a>>], columns: &[(&'static Column, Option<u16>)], clusters: bool) -> Self {
        let (ctx, all) = (d.world.ctx(), rows.len() * columns.len());
        let mut cells = Self {
            columns: columns.len(),
            values: Vec::with_capacity(all),
            text: String::with_capacity(8 * all),
            ends: Vec::with_capacity(all),
        };
        for row in rows {
            let cluster = row.filter(|_| clusters).map(Row::cluster);
            for (column, _) in columns {
                let value = row.map_or(Value::None, |row| (column.get)(&ctx, row));
                write(d, column, &value, cluster, &mut cells.text);
                cells.values.push(value);
                cells.ends.push(cells.text.len());
            }
        }
        cells
    }

    /// A cell's value and text.
    fn get(&self, row: usize, column: usize) -> (&Value<'a>, &str) {
        let at = row * self.columns + column;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        (&self.values[at], &self.text[start..self.ends[at]])
    }
}

/// Rows of a table in an area.
pub fn draw(d: &Draw, pane: &TablePane, look: &Look, area: Rect, buf: &mut Buffer, hits: &mut HitMap) {
    let header = u16::from(look.header);
    let visible = usize::from(area.height.saturating_sub(header));
    let first = pane.visible(visible);
    hits.offsets.push((look.part, first));
    let ctx = d.world.ctx();
    let last = (first + visible).min(pane.len());
    let keys: Vec<_> = (first..last).map(|at| pane.key(at)).collect();
    let rows: Vec<_> = keys.iter().map(|key| Row::of(d.world.store, (*key)?)).collect();
    let heads = group::Heads::of(d, pane, (first..last).filter_map(|at| pane.head_at(at)), area.width);
    let wanted: Vec<(&'static Column, Option<u16>)> = match look.columns {
        Some(ids) => ids.iter().filter_map(|id| Some((pane.subject.columns().iter().find(|c| c.id == *id)?, None))).collect(),
        None => pane.shown_columns(),
    };
    let clusters = pane.subject == crate::table::Subject::Clusters;
    let cells = Cells::of(d, &rows, &wanted, clusters);
    let widths: Vec<u16> = wanted
        .iter()
        .enumerate()
        .map(|(n, (column, fixed))| {
            let content = (0..rows.len()).map(|row| width(cells.get(row, n).1)).max().unwrap_or(0);
            let title = if look.header { width(column.title) } else { 0 };
            // A header is read whole, however narrow what is below it may be.
            let most = column.max.max(u16::try_from(title).unwrap_or(0));
            let content = u16::try_from(content.max(title)).unwrap_or(u16::MAX).clamp(column.min.min(most), most);
            let before = pane.widths.iter().find(|(id, _)| *id == column.id).map_or(0, |(_, w)| *w);
            hits.widths.push((look.part, column.id, content));
            let asks = u16::from(!clusters && column.id == ANCHORED[0] && rows.iter().any(|row| row.is_some_and(stale)));
            fixed.unwrap_or(content.max(before) + asks)
        })
        .collect();
    let placed = place(pane, &wanted, &widths, area.width.saturating_sub(2), look.columns.is_some());
    if look.header && !keys.is_empty() && keys.iter().all(Option::is_none) {
        heads.header(d, pane, Rect { height: 1, ..area }, buf);
    } else if look.header {
        for p in &placed {
            let sorted = pane.view.sort().is_some_and(|s| s.column.id == p.column.id);
            let title = elide(p.column.title, usize::from(p.width), d.glyphs.ellipsis);
            let pad = if p.column.align == Align::Right { p.width.saturating_sub(width(&title) as u16) } else { 0 };
            d.put(buf, area.x + 2 + p.x + pad, area.y, p.width - pad, &title, if sorted { Role::HeaderSorted } else { Role::Header });
            hits.add(Rect { x: area.x + 2 + p.x, y: area.y, width: p.width, height: 1 }, Hit::Header(p.column.id));
        }
    }
    if keys.is_empty() && visible > 0 {
        let text = empty(d, pane);
        d.put(
            buf,
            area.x + 2,
            area.y + header,
            area.width.saturating_sub(2),
            &elide(&text, usize::from(area.width - 2), d.glyphs.ellipsis),
            Role::TextDim,
        );
    }
    for (i, key) in keys.iter().enumerate() {
        let (at, y) = (first + i, area.y + header + i as u16);
        let line = Rect { x: area.x, y, width: area.width, height: 1 };
        if let Some(group) = pane.head_at(at) {
            hits.add(line, Hit::Row { part: look.part, at });
            heads.draw(d, pane, group, line, look.focused && at == pane.cursor, buf);
            continue;
        }
        let Some((key, row)) = key.zip(rows[i]) else { continue };
        hits.add(line, Hit::Row { part: look.part, at });
        let (old, worst) = (stale(row), bad(&ctx, row));
        let current = look.focused && at == pane.cursor;
        let marked = !pane.marks.is_empty() && pane.marks.iter().any(|(k, _)| *k == key);
        let sign = match worst {
            Tone::Critical => Severity::Critical.sign(),
            Tone::Warning => Severity::Warning.sign(),
            _ => " ",
        };
        d.put(buf, area.x, y, 1, sign, tone(worst));
        for p in &placed {
            let (value, text) = cells.get(i, p.at);
            // Names differ at their ends, sentences at their beginnings.
            let shorten = if p.column.max > 63 { cut } else { elide };
            let text = if old && p.column.id == ANCHORED[0] && !clusters {
                format!("{}?", elide(text, usize::from(p.width.saturating_sub(1)), d.glyphs.ellipsis)).into()
            } else if width(text) <= usize::from(p.width) {
                Cow::Borrowed(text)
            } else {
                shorten(text, usize::from(p.width), d.glyphs.ellipsis).into()
            };
            let role = match p.column.severity.map(|f| f(&ctx, row, value)) {
                _ if old => Role::Stale,
                Some(Tone::Plain) | None if p.column.id == "name" && worst.fault() => tone(worst),
                Some(t) => tone(t),
                None => Role::Text,
            };
            let pad = if p.column.align == Align::Right { p.width.saturating_sub(width(&text) as u16) } else { 0 };
            d.put(buf, area.x + 2 + p.x + pad, y, p.width - pad, &text, role);
        }
        if marked {
            d.put(buf, area.x + 1, y, 1, d.glyphs.mark, Role::Mark);
            buf.set_style(line, d.role(Role::Mark));
        }
        if current {
            d.put(buf, area.x + 1, y, 1, d.glyphs.cursor, Role::CursorMarker);
            let name = placed.iter().find(|p| p.column.id == "name").or(placed.first());
            let name = name.map_or(line, |p| Rect { x: area.x + 2 + p.x, width: p.width, ..line });
            d.highlight(buf, Rect { x: area.x + 1, width: area.width - 1, ..line }, name);
        }
    }
}

/// As narrow as a column may get before another has to leave: long texts may be cut short, names only a little.
fn least(column: &Column, width: u16) -> u16 {
    let floor = match column.id {
        "name" => 28,
        "object" => 24,
        _ if column.max >= 40 => column.min.max(12),
        // Short ones lose more than they give.
        _ if width <= 14 => width,
        _ => (width * 3).div_ceil(4).max(14),
    };
    floor.min(width)
}

/// Which columns fit, and where. Without a choice of one's own columns leave in their declared order; with `wide` or chosen
/// columns the rest scrolls; a tile keeps all of its few.
fn place(pane: &TablePane, wanted: &[(&'static Column, Option<u16>)], widths: &[u16], room: u16, tile: bool) -> Vec<Placed> {
    let mut keep: Vec<usize> = (0..wanted.len()).collect();
    let scrolls = !tile && (pane.wide || pane.columns.is_some());
    let needed = |keep: &[usize]| keep.iter().map(|n| least(wanted[*n].0, widths[*n]) + 1).sum::<u16>().saturating_sub(1);
    if scrolls {
        let mut skip = pane.hscroll;
        keep.retain(|n| {
            let anchored = ANCHORED.contains(&wanted[*n].0.id);
            let hide = !anchored && skip > 0;
            skip -= usize::from(hide);
            !hide
        });
    } else if !tile {
        while needed(&keep) > room && keep.len() > 1 {
            let Some(out) = keep.iter().copied().max_by_key(|n| (wanted[*n].0.leave, *n)) else { break };
            if wanted[out].0.leave == 0 {
                break;
            }
            keep.retain(|n| *n != out);
        }
    }
    // What lacks is taken from the column that has most above its least; then, in a tile, from the widest.
    let mut own: Vec<u16> = keep.iter().map(|n| widths[*n]).collect();
    let slack = |own: &[u16], at: usize| own[at] - least(wanted[keep[at]].0, widths[keep[at]]).min(own[at]);
    while !scrolls && own.iter().map(|w| w + 1).sum::<u16>().saturating_sub(1) > room {
        let at = (0..own.len()).max_by_key(|at| slack(&own, *at)).filter(|at| slack(&own, *at) > 0);
        let Some(at) = at.or_else(|| (0..own.len()).max_by_key(|at| own[*at]).filter(|at| own[*at] > 4)) else { break };
        own[at] -= 1;
    }
    let mut x = 0;
    let mut placed = Vec::new();
    for (n, w) in keep.into_iter().zip(own) {
        if x >= room {
            break;
        }
        let width = w.min(room - x);
        placed.push(Placed { column: wanted[n].0, at: n, x, width });
        x += width + 1;
    }
    placed
}

/// The pane's register entry for a table.
pub fn pane_of(pane: &TablePane) -> Option<&'static panes::Pane> {
    panes::PANES.iter().find(|p| p.subject == pane.subject).copied()
}
