//! How the command line fails: exit codes and messages for people and scripts.

use super::args::Output;
use std::process::ExitCode;

/// Exit codes, as ../docs and scripts rely on them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Partial = 3,
    /// Read-only, permission, guardrail, no confirmation.
    Refused = 4,
    /// Budget, conflict, time: nothing is lost, it can be resumed.
    Blocked = 5,
    /// Findings at or above `--fail-on`.
    Found = 6,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// A failure, with what to do about it.
#[derive(Debug)]
pub struct Failure {
    pub code: Code,
    /// One word for scripts.
    pub kind: &'static str,
    pub message: String,
    pub hint: Option<String>,
}

impl Failure {
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: Code::Usage, kind: "usage", message: message.into(), hint: None }
    }
    pub fn refused(message: impl Into<String>) -> Self {
        Self { code: Code::Refused, kind: "refused", message: message.into(), hint: None }
    }
    pub fn failed(kind: &'static str, message: impl Into<String>) -> Self {
        Self { code: Code::Failed, kind, message: message.into(), hint: None }
    }
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says it on standard error, and with `-o json` as one JSON line too.
    pub fn report(&self, output: Output) {
        if self.code == Code::Done {
            return;
        }
        eprintln!("qd: {}", self.message);
        if let Some(hint) = &self.hint {
            eprintln!("  hint: {hint}");
        }
        if output == Output::Json {
            eprintln!("{}", serde_json::json!({"error": {"kind": self.kind, "message": self.message, "hint": self.hint}}));
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(e: std::io::Error) -> Self {
        // Whoever reads has seen enough: nothing to complain of.
        if e.kind() == std::io::ErrorKind::BrokenPipe {
            return Self { code: Code::Done, kind: "pipe", message: String::new(), hint: None };
        }
        Self::failed("io", e.to_string())
    }
}
