//! What waits for an offer that is taken before it: a namespace is backed up, and then its deletion is previewed afresh. Nothing is sent unasked.

use super::{App, Effect, Notice, Place, PreviewPane};
use crate::action::{Ask, Request, Wanted};
use crate::model::plan::Offer;
use crate::model::{JobId, JobState, Outcome};

impl PreviewPane {
    /// The offer that a digit takes. Where a name is to be typed it does so before the first letter, unless the name begins with it.
    pub(super) fn offered(&self, digit: char) -> Option<&Offer> {
        let preview = self.ready()?;
        let begins = matches!(&preview.gate.ask, Ask::Typed(name) if name.starts_with(digit));
        if self.types() && (self.in_reason || begins || !self.typed.is_empty()) {
            return None;
        }
        preview.plan.offers.get(usize::try_from(u32::from(digit).checked_sub(u32::from('1'))?).ok()?)
    }
}

impl App {
    pub(super) fn take_offer(&mut self, digit: char) -> Vec<Effect> {
        let Place::Preview(pane) = &self.place else { return Vec::new() };
        pane.offered(digit).cloned().map_or_else(Vec::new, |offer| self.prefer(offer))
    }

    /// Previews an offer in place of the act that it is made with; one that comes before keeps that in mind.
    pub(super) fn prefer(&mut self, offer: Offer) -> Vec<Effect> {
        let Place::Preview(pane) = &self.place else { return Vec::new() };
        let then = offer.before.then(|| pane.wanted.clone());
        let request = Request { verb: offer.verb, targets: offer.targets, args: offer.args, documents: Vec::new() };
        let effects = self.wish(Wanted::Act(request));
        if let Place::Preview(pane) = &mut self.place {
            pane.then = then;
        }
        effects
    }

    /// A job has ended: what waited for it is previewed, unless the person is at something that it would take the keys from.
    pub(super) fn go_on(&mut self, id: &JobId, state: JobState) -> Vec<Effect> {
        let Some(at) = self.afterwards.iter().position(|(job, _)| job == id) else { return Vec::new() };
        let (_, wanted) = self.afterwards.remove(at);
        let title = wanted.title();
        if state != JobState::Ended(Outcome::Done) {
            self.notice = Some(Notice::error(format!("{title} is not begun: what was to be done before it did not succeed")));
            return Vec::new();
        }
        if !self.free() {
            self.notice = Some(Notice::info(format!("done; {title} can be asked for now")));
            return Vec::new();
        }
        self.notice = Some(Notice::info(format!("done; now {title}: nothing of it is sent yet")));
        self.wish(wanted)
    }

    /// Whether a new screen takes no keys from what the person is at.
    pub(super) fn free(&self) -> bool {
        let at = matches!(self.place, Place::Cockpit | Place::Table(_) | Place::Detail(_) | Place::Jobs(_) | Place::Logs(_));
        at && self.overlay.is_none() && self.pending.is_empty()
    }
}
