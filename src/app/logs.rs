//! Open logs: of a pod, or of all pods of a workload.

use super::{Effect, LogLine, LogState, LogsOf, RequestId, World};
use crate::command::Command;
use crate::model::ObjectRef;
use crate::store::Touched;

/// Open logs.
pub struct Logs {
    pub objects: Vec<ObjectRef>,
    pub request: RequestId,
}

impl Logs {
    /// Opens the logs of an object's pods.
    pub fn open(_world: &World, object: ObjectRef, pods: Vec<ObjectRef>, previous: bool, request: RequestId) -> (Self, Vec<Effect>) {
        let of = LogsOf { pods: pods.into_iter().map(|p| (p, Vec::new())).collect(), previous, follow: !previous, tail: 500 };
        (Self { objects: vec![object], request }, vec![Effect::StartLogs(request, of)])
    }
    /// Lines have come.
    pub fn lines(&mut self, _lines: Vec<LogLine>) {}
    /// How one container's log stands.
    pub fn state(&mut self, _pod: &str, _container: &str, _state: LogState) {}
    /// The store changed: whether to draw again.
    pub fn touched(&mut self, _world: &World, _touched: &[Touched]) -> bool {
        false
    }
    /// A command that is the logs' own; none when it is not.
    pub fn command(&mut self, _world: &World, _command: &Command) -> Option<Vec<Effect>> {
        None
    }
    /// Scrolls by lines.
    pub fn scroll(&mut self, _by: isize) {}
    /// Searches; why the pattern is bad.
    pub fn search(&mut self, _text: &str) -> Option<String> {
        None
    }
}
