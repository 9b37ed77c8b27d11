//! An open object: why it is as it is, then its YAML.

use super::{Effect, RequestId, World};
use crate::command::Command;
use crate::model::ObjectRef;
use crate::store::Touched;

/// An open object.
pub struct Detail {
    pub object: ObjectRef,
    pub request: RequestId,
}

impl Detail {
    /// Opens an object and asks for it.
    pub fn open(object: ObjectRef, request: RequestId) -> (Self, Vec<Effect>) {
        let effects = vec![Effect::Fetch(request, object.clone())];
        (Self { object, request }, effects)
    }
    /// The full object has come, or why not.
    pub fn fetched(&mut self, _id: RequestId, _result: &Result<serde_json::Value, String>) {}
    /// The store changed: whether to draw again, and what to fetch anew.
    pub fn touched(&mut self, _world: &World, _touched: &[Touched]) -> (bool, Vec<Effect>) {
        (true, Vec::new())
    }
    /// A command that is the detail's own; none when it is not.
    pub fn command(&mut self, _world: &World, _command: &Command) -> Option<Vec<Effect>> {
        None
    }
    /// Scrolls by lines.
    pub fn scroll(&mut self, _by: isize) {}
    /// Searches; why the pattern is bad.
    pub fn search(&mut self, _text: &str) -> Option<String> {
        None
    }
    /// Scrolls to the YAML.
    pub fn show_yaml(&mut self) {}
}
