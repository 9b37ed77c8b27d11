//! The cockpit screen: BURNING, the cluster strip, the tiles, why.

use super::text::{elide, width};
use super::{Draw, panes, since, table};
use crate::app::{Focus, Hit, HitMap, TablePane, TileRow};
use crate::inspect::Line;
use crate::model::{ConnectionState, Service, ServiceState, Uid};
use crate::store::Cluster;
use crate::table::{Row, RowKey};
use crate::theme::Role;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Rows of each part, from top to bottom.
struct Parts {
    burning: u16,
    strip: u16,
    tiles: Vec<u16>,
    /// The tiles in one line, where not all of them have a place.
    summary: u16,
    why: u16,
}

/// A screen of fewer rows than this has the tiles in one line, and those that fit above it.
const SMALL: u16 = 28;
/// Three tiles side by side need this many columns.
const NARROW: u16 = 100;
/// A small screen's tiles have a title and two rows, or no place.
const LEAST_TILE: u16 = 3;

/// The tiles two by two, in their order.
fn pairs(rows: &[TileRow]) -> Vec<TileRow> {
    let all: Vec<usize> = rows.iter().flat_map(|r| r.tiles.iter().copied()).collect();
    all.chunks(2).map(|two| TileRow { height: 1, tiles: two.to_vec() }).collect()
}

/// Shares the height out: problems first, then the clusters; tiles take what is left.
fn parts(height: u16, lines: u16, clusters: u16, tiles: &[u16]) -> Parts {
    let small = height < SMALL;
    let why = if small { 2 } else { 1 };
    let rest = height.saturating_sub(why);
    let least: u16 = if small || tiles.is_empty() { u16::from(!tiles.is_empty()) } else { tiles.iter().map(|h| (*h).max(2)).sum() };
    let least = least.min(rest * 2 / 5).max(u16::from(!tiles.is_empty()));
    let top = rest - least;
    let (want_burning, want_strip) = (lines.max(1) + 1, clusters.max(1) + 1);
    let strip = want_strip.min((top * 2 / 5).max(3)).min(top.saturating_sub(3));
    let burning = want_burning.max(if small { 3 } else { 4 }).min(top - strip);
    if !small {
        return Parts { burning, strip, tiles: shares(rest - strip - burning, tiles), summary: 0, why };
    }
    let spare = top - strip - burning;
    let rows = usize::from(spare / LEAST_TILE).min(tiles.len());
    let tiles = shares(spare, &tiles[..rows]);
    let burning = if rows == 0 { burning + spare } else { burning };
    Parts { burning, strip, tiles, summary: least, why }
}

/// Shares `room` out in proportion to the heights wanted.
fn shares(room: u16, heights: &[u16]) -> Vec<u16> {
    let total: u16 = heights.iter().sum::<u16>().max(1);
    let mut left = room;
    let share = |(n, h): (usize, &u16)| {
        let share = if n + 1 == heights.len() { left } else { (room * h / total).min(left) };
        left -= share;
        share
    };
    heights.iter().enumerate().map(share).collect()
}

pub fn draw(d: &Draw, area: Rect, buf: &mut Buffer, hits: &mut HitMap) {
    let app = &d.app.cockpit;
    let rows = app.rows_there(d.world.store);
    let rows = if area.height < SMALL && area.width < NARROW { pairs(&rows) } else { rows };
    let heights: Vec<u16> = rows.iter().map(|r| r.height).collect();
    let lines = u16::try_from(app.lines.len()).unwrap_or(u16::MAX);
    let clusters = u16::try_from(app.strip.view.len()).unwrap_or(u16::MAX);
    let parts = parts(area.height, lines, clusters, &heights);
    let mut y = area.y;
    let mut take = |height: u16| {
        let r = Rect { y, height, ..area };
        y += height;
        r
    };
    burning(d, take(parts.burning), buf, hits);
    strip(d, take(parts.strip), buf, hits);
    for (row, height) in rows.iter().zip(&parts.tiles) {
        tiles(d, &row.tiles, take(*height), buf, hits);
    }
    if parts.summary > 0 {
        summary(d, rows.iter().flat_map(|r| r.tiles.iter().copied()), take(parts.summary), buf, hits);
    }
    why(d, take(parts.why), buf);
}

/// One line a problem, the worst first.
fn burning(d: &Draw, area: Rect, buf: &mut Buffer, hits: &mut HitMap) {
    let app = &d.app.cockpit;
    let focused = app.focus == Focus::Burning;
    let visible = usize::from(area.height.saturating_sub(1));
    let n = app.lines.len();
    let first = app.offset.min(app.cursor).max((app.cursor + 1).saturating_sub(visible.max(1))).min(n.saturating_sub(visible));
    hits.burning_offset = first;
    if focused {
        hits.page = visible.max(1);
    }
    let shown = n.min(first + visible);
    let title = match n {
        0 => "BURNING 0".to_owned(),
        _ if n <= visible => format!("BURNING {n}/{n}"),
        _ => format!("BURNING {}-{shown}/{n}", first + 1),
    };
    hits.add(area, Hit::Part(Focus::Burning));
    d.rule(buf, Rect { height: 1, ..area }, &title, "since", focused);
    if n > 0 {
        not_seen(d, Rect { x: area.x + width(&title) as u16, width: area.width - width(&title) as u16, height: 1, ..area }, buf);
    }
    if n == 0 {
        let (text, role) = quiet(d);
        d.put(buf, area.x + 2, area.y + 1, area.width.saturating_sub(2), &text, role);
        return;
    }
    let name_width = app.lines.iter().map(|l| cluster_label(d, l).0.len()).max().unwrap_or(0);
    for (i, line) in app.lines[first..shown].iter().enumerate() {
        let y = area.y + 1 + i as u16;
        let row = Rect { y, height: 1, ..area };
        hits.add(row, Hit::Line(first + i));
        let title = problem(d, line, row, name_width, buf);
        if focused && first + i == app.cursor {
            d.put(buf, area.x + 1, y, 1, d.glyphs.cursor, Role::CursorMarker);
            d.highlight(buf, Rect { x: row.x + 1, width: row.width - 1, ..row }, title);
        }
    }
}

/// In BURNING's rule: clusters that are not seen, and that no line speaks of yet. Their rules wait for a while; this does not.
fn not_seen(d: &Draw, area: Rect, buf: &mut Buffer) {
    let silent = |c: &&Cluster| d.world.engine.for_object(c.id, Uid::default()).iter().all(|f| f.rule.id != "cluster-unreachable");
    let names: Vec<String> = unseen(d).filter(silent).map(|c| format!("{} {}", c.info.name, c.state.word())).collect();
    if names.is_empty() {
        return;
    }
    let room = usize::from(area.width).saturating_sub(" since ".len());
    let whole = format!(" not seen: {} ", names.join(", "));
    let text = if width(&whole) <= room { whole } else { format!(" not seen: {} clusters ", names.len()) };
    d.put(buf, area.x, area.y, room as u16, &text, Role::StateStale);
}

/// The clusters whose rows are not proven.
fn unseen<'a>(d: &'a Draw) -> impl Iterator<Item = &'a Cluster> {
    d.world.store.clusters().iter().filter(|c| !c.state.live())
}

fn cluster_label(d: &Draw, line: &Line) -> (String, bool) {
    match d.world.store.cluster(line.cluster) {
        Some(c) => (c.info.name.to_string(), c.info.production()),
        None => (String::new(), false),
    }
}

/// Draws a problem; where its title is.
fn problem(d: &Draw, line: &Line, area: Rect, name_width: usize, buf: &mut Buffer) -> Rect {
    let (sign, role) = Draw::severity(line.severity);
    let (y, end) = (area.y, area.right().saturating_sub(7));
    d.put(buf, area.x, y, 1, sign, role);
    if d.app.cockpit.is_new(line) {
        d.put(buf, area.x + 1, y, 1, d.glyphs.mark, Role::Match);
    }
    let (name, production) = cluster_label(d, line);
    let name_width = name_width.min(if area.width < 100 { 12 } else { 20 });
    let name = elide(&name, name_width, d.glyphs.ellipsis);
    let mut x = area.x + 2;
    d.put(buf, x, y, end.saturating_sub(x), &name, if line.stale { Role::Stale } else { Role::Text });
    x += name_width as u16 + 1;
    if production {
        x = d.put(buf, x, y, end.saturating_sub(x), "[P] ", Role::Production);
    }
    // The title gives way to the message only when both cannot stand whole.
    let room = usize::from(end.saturating_sub(x));
    let title_room = room.saturating_sub(width(&line.message) + 1).max(room / 3);
    let title = elide(&line.title, title_room, d.glyphs.ellipsis);
    let from = x;
    x = d.put(buf, x, y, end.saturating_sub(x), &title, role) + 1;
    let named = Rect { x: from, width: x - 1 - from, ..area };
    let message = super::text::cut(&line.message, usize::from(end.saturating_sub(x)), d.glyphs.ellipsis);
    d.put(buf, x, y, end.saturating_sub(x), &message, if line.stale { Role::Stale } else { Role::Text });
    if let Some(at) = line.since {
        let text = since(at.secs(), d.world.now);
        d.put(buf, area.right() - width(&text) as u16, y, 7, &text, Role::TextDim);
    }
    named
}

/// What to say when there is no problem: only a fleet that is wholly seen is well.
fn quiet(d: &Draw) -> (String, Role) {
    let clusters = d.world.store.clusters();
    if clusters.is_empty() {
        return ("no cluster: the kubeconfig has no context that is selected".into(), Role::StateStale);
    }
    let unseen: Vec<String> = unseen(d)
        .map(|c| match &c.state {
            ConnectionState::Syncing { done, of } => format!("{} syncing {done}/{of}", c.info.name),
            s => format!("{} {}", c.info.name, s.word()),
        })
        .collect();
    let hides = |c: &Cluster| crate::model::Kind::ALL.iter().any(|k| !c.seen(*k)) || c.reports_amiss(d.world.now).is_some();
    let hidden = clusters.iter().filter(|c| c.state.live() && hides(c)).count();
    match (unseen.is_empty(), hidden) {
        (true, 0) => ("nothing burns".into(), Role::SeverityOk),
        (true, n) => {
            let who = if n == 1 { "cluster hides" } else { "clusters hide" };
            (format!("nothing burns in what may be seen; {n} {who} something"), Role::SeverityInfo)
        }
        (false, _) => (format!("no problem seen so far; not seen: {}", unseen.join(", ")), Role::StateStale),
    }
}

fn strip(d: &Draw, area: Rect, buf: &mut Buffer, hits: &mut HitMap) {
    let app = &d.app.cockpit;
    let focused = app.focus == Focus::Strip;
    hits.add(area, Hit::Part(Focus::Strip));
    if focused {
        hits.page = usize::from(area.height.saturating_sub(1)).max(1);
    }
    // What a service tells that no cluster has takes no column.
    let has = |service| d.world.store.clusters().iter().any(|c| !matches!(c.service(service).state, ServiceState::Absent { .. }));
    let wanted = |id: &&str| match *id {
        "etcd_healthy" => has(Service::Etcd),
        "alerts_firing" => has(Service::Alertmanager),
        _ => true,
    };
    let columns: Option<Vec<&str>> = table::pane_of(&app.strip).map(|p| p.tile.iter().copied().filter(wanted).collect());
    let look = table::Look { part: Some(Focus::Strip), focused, header: true, columns: columns.as_deref() };
    d.rule(buf, Rect { height: 1, ..area }, "", "", focused);
    table::draw(d, &app.strip, &look, area, buf, hits);
    d.put(buf, area.x + 2, area.y, 8, "CLUSTERS", if focused { Role::TitleFocus } else { Role::Title });
}

/// A row of tiles side by side.
fn tiles(d: &Draw, which: &[usize], area: Rect, buf: &mut Buffer, hits: &mut HitMap) {
    let app = &d.app.cockpit;
    let n = which.len().max(1) as u16;
    for (i, tile) in which.iter().enumerate() {
        let Some(pane) = app.tiles.get(*tile) else { continue };
        let i = i as u16;
        let (from, to) = (area.width * i / n, area.width * (i + 1) / n);
        let separated = i + 1 < n;
        let r = Rect { x: area.x + from, width: to - from - u16::from(separated), ..area };
        let part = Focus::Tile(*tile);
        let focused = app.focus == part;
        hits.add(r, Hit::Part(part));
        let title = tile_title(d, pane);
        d.rule(buf, Rect { height: 1, ..r }, &elide(&title, usize::from(r.width), d.glyphs.ellipsis), "", focused);
        if separated {
            for y in area.y..area.bottom() {
                d.put(buf, r.right(), y, 1, d.glyphs.border.vertical_left, Role::Border);
            }
        }
        if focused {
            hits.page = usize::from(r.height.saturating_sub(1)).max(1);
        }
        let look = table::Look { part: Some(part), focused, header: false, columns: table::pane_of(pane).map(|p| p.tile) };
        table::draw(d, pane, &look, Rect { y: r.y + 1, height: r.height.saturating_sub(1), ..r }, buf, hits);
    }
}

/// How many are bad of what the tile is limited to.
fn bad_of(d: &Draw, pane: &panes::Pane, tile: &TablePane) -> u32 {
    if tile.view.namespaces().is_some() {
        // The counts are whole clusters'. The bad are on top, unless somebody has sorted otherwise.
        let ctx = d.world.ctx();
        let bad = |key: RowKey| Row::of(ctx.store, key).is_some_and(|row| crate::table::bad(&ctx, row).fault());
        let rows = tile.view.keys();
        let n = if tile.view.sort().is_none() { rows.take_while(|k| bad(*k)).count() } else { rows.filter(|k| bad(*k)).count() };
        return u32::try_from(n).unwrap_or(u32::MAX);
    }
    let within = |c: &&Cluster| tile.view.clusters().is_none_or(|only| only.contains(&c.id));
    d.world.store.clusters().iter().filter(within).map(|c| (pane.bad)(c, d.world.now)).sum()
}

fn tile_title(d: &Draw, pane: &TablePane) -> String {
    let Some(p) = table::pane_of(pane) else { return pane.subject.title().to_uppercase() };
    let bad = bad_of(d, p, pane);
    let n = pane.view.len();
    if bad > 0 {
        format!("{} {bad} {} of {n}", pane.subject.title().to_uppercase(), p.bad_word)
    } else {
        format!("{} {n}", pane.subject.title().to_uppercase())
    }
}

/// The tiles of a small screen, in one line.
fn summary(d: &Draw, tiles: impl Iterator<Item = usize>, area: Rect, buf: &mut Buffer, hits: &mut HitMap) {
    d.rule(buf, area, "", "", false);
    let mut x = area.x;
    for n in tiles {
        let Some((tile, p)) = d.app.cockpit.tiles.get(n).and_then(|tile| Some((tile, table::pane_of(tile)?))) else { continue };
        let bad = bad_of(d, p, tile);
        let focused = d.app.cockpit.focus == Focus::Tile(n);
        let role = if focused {
            Role::TitleFocus
        } else if bad > 0 {
            Role::SeverityWarning
        } else {
            Role::TextDim
        };
        let text = format!("{} {bad}", p.short);
        hits.add(Rect { x, width: text.len() as u16, ..area }, Hit::Part(Focus::Tile(n)));
        x = d.put(buf, x, area.y, area.right().saturating_sub(x), &text, role);
        x = d.put(buf, x, area.y, area.right().saturating_sub(x), " ", Role::Text);
    }
}

/// Why: of what is highlighted, over one or two rows.
fn why(d: &Draw, area: Rect, buf: &mut Buffer) {
    let app = &d.app.cockpit;
    let text = match app.focus {
        Focus::Burning => app.lines.get(app.cursor).map(|l| if l.detail.is_empty() { l.message.clone() } else { l.detail.clone() }),
        Focus::Strip | Focus::Tile(_) => app.table().and_then(TablePane::current).and_then(|key| explain(d, key)),
    };
    let Some(text) = text else { return };
    let text = format!("> {text}");
    let (mut y, mut rest) = (area.y, text.as_str());
    while !rest.is_empty() && y < area.bottom() {
        let last = y + 1 == area.bottom();
        let line = if last {
            super::text::cut(rest, usize::from(area.width), d.glyphs.ellipsis)
        } else {
            wrap_at(rest, usize::from(area.width)).to_owned()
        };
        d.put(buf, area.x, y, area.width, &line, Role::Hint);
        rest = rest.get(line.len()..).unwrap_or("").trim_start();
        y += 1;
    }
}

/// The beginning of the text that fits, cut at a space where there is one.
fn wrap_at(text: &str, max: usize) -> &str {
    if width(text) <= max {
        return text;
    }
    let mut used = 0;
    let end = text.char_indices().find_map(|(n, c)| {
        used += width(c.encode_utf8(&mut [0; 4]));
        (used > max).then_some(n)
    });
    let head = &text[..end.unwrap_or(text.len())];
    head.rfind(' ').filter(|n| *n > max / 2).map_or(head, |n| &head[..n])
}

fn explain(d: &Draw, key: crate::table::RowKey) -> Option<String> {
    match crate::table::Row::of(d.world.store, key)? {
        crate::table::Row::Cluster(c) => {
            let version = c.version.as_deref().unwrap_or("?");
            let reason = c.state.reason().map(|r| format!(": {r}")).unwrap_or_default();
            Some(format!("{} {}{reason}; {} {version}, {} requests", c.info.name, c.state.word(), c.info.server, c.requests))
        }
        crate::table::Row::Object(c, o) => {
            let f = d.world.engine.for_object(c.id, o.meta().uid).first()?;
            Some(format!("{}: {}", o.meta().name, f.message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_screen_leaves_no_row_empty_while_tiles_have_none() {
        let of = |lines| parts(22, lines, 4, &[7, 5, 3]);
        let calm = of(2);
        assert_eq!((calm.burning, calm.strip, calm.tiles.iter().sum::<u16>()), (3, 5, 11));
        assert!(of(12).tiles.is_empty());
        for lines in 1..20 {
            let p = of(lines);
            assert!(p.tiles.is_empty() || p.burning == lines.max(2) + 1, "{lines} lines: {} rows", p.burning);
        }
    }

    #[test]
    fn heights_add_up_at_every_size() {
        for height in 22..90 {
            for lines in [0, 1, 12, 300] {
                for clusters in [1, 4, 40] {
                    let p = parts(height, lines, clusters, &[7, 5, 3]);
                    let sum = p.burning + p.strip + p.tiles.iter().sum::<u16>() + p.summary + p.why;
                    assert_eq!(sum, height, "height {height}, {lines} lines, {clusters} clusters");
                    assert!(p.burning >= 3 && p.strip >= 2, "height {height}");
                    assert!(height >= SMALL || p.tiles.iter().all(|t| *t >= 2), "height {height}: {:?}", p.tiles);
                }
            }
        }
    }
}
