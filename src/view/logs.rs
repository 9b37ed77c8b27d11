//! Open logs on the screen.

use super::Draw;
use crate::app::{HitMap, Logs};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

pub fn draw(d: &Draw, logs: &Logs, area: Rect, buf: &mut Buffer, _hits: &mut HitMap) {
    let title = logs.objects.first().map_or("", |o| &o.name);
    d.rule(buf, Rect { height: 1, ..area }, title, "", true);
}
