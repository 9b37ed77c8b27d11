//! An open object on the screen.

use super::Draw;
use crate::app::{Detail, HitMap};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

pub fn draw(d: &Draw, detail: &Detail, area: Rect, buf: &mut Buffer, _hits: &mut HitMap) {
    d.rule(buf, Rect { height: 1, ..area }, &detail.object.name, "", true);
}
