//! The panes of jobs and of the audit log.

use super::pieces::clean;
use super::text::{cut, elide, width};
use super::{Draw, since};
use crate::action::Past;
use crate::app::{AuditPane, HitMap, JobsPane};
use crate::model::{Job, JobState, JobStep, Outcome, StepState};
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
        StepState::Running | StepState::Waits(_) => Role::TextStrong,
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
    let waits = job.steps.iter().filter(|s| s.waits && matches!(s.state, StepState::Running | StepState::Waits(_))).count();
    let extra = match (blocked, waits) {
        _ if !job.state.active() => String::new(),
        (0, 0) => String::new(),
        (0, _) => " (waits)".to_owned(),
        (n, _) => format!(" ({n} blocked)"),
    };
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

/// A job's steps: what is blocked and failed first. Those of a runbook by its parts, what is under way before what is done.
fn steps(d: &Draw, job: &Job, offset: usize, area: Rect, buf: &mut Buffer, hits: &mut HitMap) {
    line(d, job, Rect { height: 1, ..area }, buf);
    let top = area.y + 1 + u16::from(!job.note.is_empty());
    if !job.note.is_empty() {
        let room = usize::from(area.width) - 2;
        d.put(buf, area.x + 2, area.y + 1, area.width - 2, &cut(&clean(&job.note), room, d.glyphs.ellipsis), Role::TextStrong);
    }
    let all = rows_of(job);
    let rows = usize::from(area.bottom().saturating_sub(top));
    let first = offset.min(all.len().saturating_sub(rows));
    for (n, row) in all.iter().skip(first).take(rows).enumerate() {
        let y = top + n as u16;
        match row {
            Row::Part(at, name, steps) => {
                let done = steps.iter().filter(|s| s.state.ended()).count();
                let words = format!("{at} {name} {done}/{}", steps.len());
                d.put(
                    buf,
                    area.x + 2,
                    y,
                    area.width - 2,
                    &clean(&words),
                    if done == steps.len() { Role::TextDim } else { Role::TextStrong },
                );
            }
            Row::Step(step, indent) => self::step(d, job, step, Rect { x: area.x + indent, y, width: area.width - indent, height: 1 }, buf),
        }
    }
    (hits.text_page, hits.text_offset, hits.text_at_end) = (rows.max(1), first, first + rows >= all.len());
}

/// A row of a job that is open.
enum Row<'a> {
    /// A step of a runbook: its number, its name, what it is made of.
    Part(usize, &'a str, Vec<&'a JobStep>),
    Step(&'a JobStep, u16),
}

fn rank(step: &JobStep) -> u8 {
    match step.state {
        StepState::Failed(_) | StepState::Unknown(_) => 0,
        StepState::Blocked(_) => 1,
        StepState::Running | StepState::Waits(_) => 2,
        StepState::Waiting | StepState::Skipped(_) => 3,
        StepState::Done(_) => 4,
    }
}

fn rows_of(job: &Job) -> Vec<Row<'_>> {
    let ranked = |mut steps: Vec<_>| {
        steps.sort_by_key(|s: &&JobStep| rank(s));
        steps
    };
    let mut parts: Vec<(&str, Vec<&JobStep>)> = Vec::new();
    for step in &job.steps {
        match parts.iter_mut().find(|(name, _)| *name == step.part) {
            Some((_, steps)) => steps.push(step),
            None => parts.push((&step.part, vec![step])),
        }
    }
    let mut parts: Vec<_> = parts.into_iter().enumerate().map(|(n, (name, steps))| (n + 1, name, ranked(steps))).collect();
    parts.sort_by_key(|(_, _, steps)| steps.first().map_or(4, |s| rank(s)));
    let mut rows = Vec::new();
    for (at, name, steps) in parts {
        let indent = if name.is_empty() { 0 } else { 2 };
        let each = steps.clone();
        if !name.is_empty() {
            rows.push(Row::Part(at, name, steps));
        }
        rows.extend(each.into_iter().map(|s| Row::Step(s, indent)));
    }
    rows
}

fn step(d: &Draw, job: &Job, step: &JobStep, row: Rect, buf: &mut Buffer) {
    let under_way = matches!(step.state, StepState::Running | StepState::Waits(_) | StepState::Blocked(_));
    let word = if step.waits && step.state == StepState::Running { "waits" } else { step.state.word() };
    let x = d.put(buf, row.x + 2, row.y, 9, &format!("{word:<9}"), role_of_step(&step.state));
    let several = job.clusters.len() > 1;
    let place = d.world.store.cluster(step.cluster).filter(|_| several).map(|c| format!("{} ", c.info.name)).unwrap_or_default();
    let why = if step.state.why().is_empty() || step.state.why() == "done" { String::new() } else { format!(": {}", step.state.why()) };
    let right = match &step.state {
        StepState::Waiting => String::new(),
        _ if under_way && job.state.active() => format!("for {}", lasting(d.world.now - step.since)),
        _ => since(step.since, d.world.now),
    };
    let room = usize::from(row.right().saturating_sub(x)).saturating_sub(width(&right) + 1);
    let text = format!("{place}{}{why}", super::telling::in_part(&step.part, &step.text));
    d.put(buf, x, row.y, room as u16, &cut(&clean(&text), room, d.glyphs.ellipsis), Role::Text);
    d.put(buf, row.right().saturating_sub(width(&right) as u16), row.y, width(&right) as u16, &right, Role::TextDim);
}

/// How long something has lasted, in minutes: what is drawn once a minute shows no seconds.
fn lasting(seconds: i64) -> String {
    match seconds.max(0) / 60 {
        0 => "<1m".to_owned(),
        m if m < 120 => format!("{m}m"),
        m => format!("{}h{:02}m", m / 60, m % 60),
    }
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
