//! The panes of jobs and of the audit log.

use super::pieces::clean;
use super::text::{cut, elide, width};
use super::{Draw, since};
use crate::action::Past;
use crate::app::{AuditPane, HitMap, JobsPane};
use crate::model::{Job, JobState, Outcome, StepState};
use crate::theme::Role;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

fn role_of(state: JobState) -> Role {
    match state {
        JobState::Ended(Outcome::Done) => Role::SeverityOk,
        JobState::Running => Role::TextStrong,
        JobState::Paused | JobState::Stopping | JobState::Ended(Outcome::Cancelled | Outcome::Refused) => Role::SeverityWarning,
        JobState::Interrupted | JobState::Ended(_) => Role::SeverityCritical,
    }
}

fn role_of_step(state: &StepState) -> Role {
    match state {
        StepState::Waiting | StepState::Skipped(_) => Role::TextDim,
        StepState::Running => Role::TextStrong,
        StepState::Done(_) => Role::SeverityOk,
        StepState::Blocked(_) | StepState::Unknown(_) => Role::SeverityWarning,
        StepState::Failed(_) => Role::SeverityCritical,
    }
}

pub fn draw(d: &Draw, pane: &JobsPane, area: Rect, buf: &mut Buffer, hits: &mut HitMap) {
    let list = JobsPane::list(&d.world);
    let active = list.iter().filter(|j| j.state.active()).count();
    d.rule(buf, Rect { height: 1, ..area }, &format!("JOBS {} under way, {} in all", active, list.len()), "", true);
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    hits.text_page = usize::from(body.height);
    if list.is_empty() {
        d.put(buf, body.x, body.y, body.width, "nothing was done yet: a verb's key on an object opens its preview", Role::TextDim);
        return;
    }
    let cursor = pane.cursor(&list);
    if pane.open {
        return steps(d, list[cursor], pane.offset, body, buf, hits);
    }
    let rows = usize::from(body.height);
    let first = (cursor + 1).saturating_sub(rows);
    for (n, job) in list.iter().enumerate().skip(first).take(rows) {
        let y = body.y + (n - first) as u16;
        if n == cursor {
            d.put(buf, body.x, y, 1, d.glyphs.cursor, Role::CursorMarker);
        }
        let row = Rect { x: body.x + 2, y, width: body.width.saturating_sub(2), height: 1 };
        let end = line(d, job, row, buf);
        if n == cursor {
            d.highlight(buf, row, Rect { width: end.saturating_sub(row.x), ..row });
        }
    }
}

/// One job in a row; where its title ends.
fn line(d: &Draw, job: &Job, row: Rect, buf: &mut Buffer) -> u16 {
    let (done, all) = job.progress();
    let x = d.put(buf, row.x, row.y, 12, &format!("{:<12}", job.state.word()), role_of(job.state));
    let x = d.put(buf, x, row.y, 18, &format!("{} {done}/{all} ", bar(d, done, all)), Role::Text);
    let right = since(job.began, d.world.now);
    let room = usize::from(row.right().saturating_sub(x)).saturating_sub(width(&right) + 1);
    let blocked = job.blocked().count();
    let extra = if blocked > 0 && job.state.active() { format!(" ({blocked} blocked)") } else { String::new() };
    let text = format!("{}{extra}  {}", job.title, job.clusters.join(", "));
    let end = d.put(buf, x, row.y, room as u16, &elide(&clean(&text), room, d.glyphs.ellipsis), Role::Text);
    d.put(buf, row.right().saturating_sub(width(&right) as u16), row.y, width(&right) as u16, &right, Role::TextDim);
    end
}

fn bar(d: &Draw, done: usize, all: usize) -> String {
    let cells = 8;
    let full = (done * cells).checked_div(all).unwrap_or(cells);
    let (on, off) = if d.glyphs.spark[7].is_ascii() { ("#", ".") } else { (d.glyphs.spark[7], d.glyphs.spark[0]) };
    format!("{}{}", on.repeat(full), off.repeat(cells - full))
}

/// A job's steps: what is blocked and failed first.
fn steps(d: &Draw, job: &Job, offset: usize, area: Rect, buf: &mut Buffer, hits: &mut HitMap) {
    line(d, job, Rect { height: 1, ..area }, buf);
    let mut all: Vec<_> = job.steps.iter().collect();
    let rank = |s: &StepState| match s {
        StepState::Failed(_) | StepState::Unknown(_) => 0,
        StepState::Blocked(_) => 1,
        StepState::Running => 2,
        StepState::Waiting | StepState::Skipped(_) => 3,
        StepState::Done(_) => 4,
    };
    all.sort_by_key(|s| rank(&s.state));
    let top = area.y + 1 + u16::from(!job.note.is_empty());
    if !job.note.is_empty() {
        d.put(
            buf,
            area.x + 2,
            area.y + 1,
            area.width - 2,
            &cut(&clean(&job.note), usize::from(area.width) - 2, d.glyphs.ellipsis),
            Role::TextStrong,
        );
    }
    let rows = usize::from(area.bottom().saturating_sub(top));
    let first = offset.min(all.len().saturating_sub(rows));
    let several = job.clusters.len() > 1;
    for (n, step) in all.iter().skip(first).take(rows).enumerate() {
        let y = top + n as u16;
        let x = d.put(buf, area.x + 2, y, 9, &format!("{:<9}", step.state.word()), role_of_step(&step.state));
        let place = d.world.store.cluster(step.cluster).filter(|_| several).map(|c| format!("{} ", c.info.name)).unwrap_or_default();
        let why = if step.state.why().is_empty() || step.state.why() == "done" { String::new() } else { format!(": {}", step.state.why()) };
        let right = if step.state == StepState::Waiting { String::new() } else { since(step.since, d.world.now) };
        let room = usize::from(area.right().saturating_sub(x)).saturating_sub(width(&right) + 1);
        let text = format!("{place}{}{why}", step.text);
        d.put(buf, x, y, room as u16, &cut(&clean(&text), room, d.glyphs.ellipsis), Role::Text);
        d.put(buf, area.right().saturating_sub(width(&right) as u16), y, width(&right) as u16, &right, Role::TextDim);
    }
    (hits.text_page, hits.text_offset, hits.text_at_end) = (rows.max(1), first, first + rows >= all.len());
}

pub fn audit(d: &Draw, pane: &AuditPane, area: Rect, buf: &mut Buffer, hits: &mut HitMap) {
    let (n, shown) = (pane.jobs.as_ref().map_or(0, Vec::len), pane.shown());
    let count = if pane.filter.is_empty() { format!("{n}") } else { format!("{} of {n}", shown.len()) };
    let filter = if pane.filter.is_empty() { String::new() } else { format!(": {}", clean(&pane.filter)) };
    let bad = if pane.bad.is_empty() { String::new() } else { format!("{} lines cannot be read", pane.bad.len()) };
    d.rule(buf, Rect { height: 1, ..area }, &format!("AUDIT LOG {count} jobs, newest first{filter}"), &bad, true);
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let rows = usize::from(body.height);
    hits.text_page = rows.max(1);
    if pane.jobs.is_none() {
        d.put(buf, body.x, body.y, body.width, "reading", Role::TextDim);
        return;
    }
    if shown.is_empty() {
        let why = if n > 0 { "no job has all of these words" } else { "nothing was done with qd on this machine yet" };
        d.put(buf, body.x, body.y, body.width, why, Role::TextDim);
        return;
    }
    if pane.open
        && let Some(past) = shown.get(pane.cursor)
    {
        let lines = record(past);
        let first = pane.offset.min(lines.len().saturating_sub(rows));
        for (n, (label, text, role)) in lines.iter().skip(first).take(rows).enumerate() {
            let y = body.y + n as u16;
            d.put(buf, body.x + 1, y, 11, label, Role::TextDim);
            let room = usize::from(body.width).saturating_sub(13);
            d.put(buf, body.x + 13, y, room as u16, &cut(&clean(text), room, d.glyphs.ellipsis), *role);
        }
        (hits.text_offset, hits.text_at_end) = (first, first + rows >= lines.len());
        return;
    }
    let first = (pane.cursor + 1).saturating_sub(rows);
    for (n, past) in shown.iter().enumerate().skip(first).take(rows) {
        let y = body.y + (n - first) as u16;
        if n == pane.cursor {
            d.put(buf, body.x, y, 1, d.glyphs.cursor, Role::CursorMarker);
        }
        let state = past.state();
        let when = past.began.get(5..16).unwrap_or("").replace('T', " ");
        let x = d.put(buf, body.x + 2, y, 12, &format!("{when} "), Role::TextDim);
        let x = d.put(buf, x, y, 12, &format!("{:<12}", state.word()), role_of(state));
        let room = usize::from(body.right().saturating_sub(x));
        let text = format!("{}  {}  {}@{}", past.plan.title, past.clusters.join(", "), past.actor.user, past.actor.host);
        let end = d.put(buf, x, y, room as u16, &elide(&clean(&text), room, d.glyphs.ellipsis), Role::Text);
        if n == pane.cursor {
            let row = Rect { x: body.x + 2, y, width: body.width - 2, height: 1 };
            d.highlight(buf, row, Rect { width: end.saturating_sub(row.x), ..row });
        }
    }
}

/// A job of the log: label, text and role.
fn record(past: &Past) -> Vec<(&'static str, String, Role)> {
    let from = past.actor.ssh_from.as_ref().map(|f| format!(" from {f}")).unwrap_or_default();
    let mut lines = vec![
        ("what", past.plan.title.clone(), Role::TextStrong),
        ("job", past.id.to_string(), Role::Text),
        ("state", past.state().word().to_owned(), role_of(past.state())),
        ("clusters", past.clusters.join(", "), Role::Text),
        ("who", format!("{}@{}{from}, {} {}", past.actor.user, past.actor.host, past.actor.ui, past.actor.version), Role::Text),
        ("began", past.began.clone(), Role::Text),
        ("confirmed", past.confirmed.clone(), Role::Text),
    ];
    lines.extend(past.actor.cluster_users.iter().map(|(cluster, user)| ("as", format!("{user} on {cluster}"), Role::Text)));
    lines.extend(past.reason.iter().map(|r| ("reason", r.clone(), Role::Text)));
    if let Some((at, _, why)) = &past.outcome {
        lines.push(("ended", at.clone(), Role::Text));
        if !why.is_empty() {
            lines.push(("why", why.clone(), Role::SeverityWarning));
        }
    }
    lines.extend(past.followed_by.iter().map(|j| ("followed", j.to_string(), Role::Text)));
    lines.push(("plan", past.plan_hash.clone(), Role::TextDim));
    for (at, step) in past.plan.steps.iter().enumerate() {
        let state = past.steps.get(&at).cloned().unwrap_or(StepState::Waiting);
        let why = if state.why().is_empty() || state.why() == "done" { String::new() } else { format!(": {}", state.why()) };
        let label: &'static str = match &state {
            StepState::Waiting => "waiting",
            other => other.word(),
        };
        lines.push((label, format!("{}{why}", step.text), role_of_step(&state)));
        for change in &step.changes {
            let word = |v: &Option<serde_json::Value>| v.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
            let field = change.pointer.trim_start_matches('/').replace('/', ".");
            lines.push(("", format!("{field}: {} -> {}", word(&change.before), word(&change.after)), Role::TextDim));
        }
    }
    lines
}
