//! Which open findings are at which objects.

use crate::model::{FindingRow, Severity, Uid};
use hashbrown::HashMap;

/// The open findings at an object and at what belongs to it, by its uid: how many of each severity. Objects without any are not in it.
#[derive(Default)]
pub struct FindingsOf(HashMap<Uid, [u32; Severity::ALL.len()]>);

impl FindingsOf {
    /// Adds a finding (`sign` 1) or takes it away (-1).
    pub fn count(&mut self, finding: &FindingRow, sign: i32) {
        for place in finding.places().filter(|_| finding.open()) {
            let slots = self.0.entry(place.uid).or_default();
            let slot = &mut slots[finding.severity as usize];
            *slot = slot.wrapping_add_signed(sign);
            if slots.iter().all(|n| *n == 0) {
                self.0.remove(&place.uid);
            }
        }
    }

    /// The worst at that object, and how many there are.
    pub fn at(&self, uid: Uid) -> Option<(Severity, u32)> {
        let slots = self.0.get(&uid)?;
        let worst = Severity::ALL.into_iter().rev().find(|s| slots[*s as usize] > 0)?;
        Some((worst, slots.iter().sum()))
    }
}
