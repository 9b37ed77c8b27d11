//! What comes in and what goes out of `update`.

use super::deed::{Refusal, Remember};
use super::fetched::KeptFile;
use crate::action::{Confirmation, Ledger, Preview, Wanted};
use crate::model::{ClusterId, Control, JobId, JobState, ObjectRef, Target, VerbId};
use crossterm::event::{KeyEvent, MouseEvent};
use std::path::PathBuf;

/// Counts what was asked for: an answer to an older question is late and dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Something happened that the cockpit may react to. Changes of the store come through `App::touched`.
#[derive(Debug)]
pub enum Event {
    Key(KeyEvent),
    Mouse(MouseEvent),
    Paste(String),
    Resize(u16, u16),
    /// A full object has come, or the reason why not, in words.
    Fetched(RequestId, Result<serde_json::Value, String>),
    /// Lines of a log have come.
    Logs(RequestId, Vec<LogLine>),
    /// A container's log began, ended or failed; in words.
    LogState {
        id: RequestId,
        pod: String,
        container: String,
        state: LogState,
    },
    /// Verbs of the list of acts that would be refused, and why.
    Refused(RequestId, Vec<(VerbId, String)>),
    /// A plan was made and checked, or there is none.
    Previewed(RequestId, Result<std::sync::Arc<Preview>, Refusal>),
    /// A confirmed plan began as a job, or why it did not.
    Started(RequestId, Result<JobId, String>),
    JobEnded(JobId, JobState),
    /// The person's own editor has ended: the text as it was left.
    Edited(RequestId, Result<String, String>),
    /// The audit log was read.
    Remembered(Remember, Result<Box<Ledger>, String>),
    /// Something to tell: an effect's outcome.
    Notice(Notice),
}

/// One line of a log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLine {
    /// As the server wrote it, RFC 3339 with nanoseconds; empty when it had none.
    pub time: String,
    pub pod: std::sync::Arc<str>,
    pub container: std::sync::Arc<str>,
    pub text: String,
}

/// How one container's log stands.
#[derive(Clone, Debug, PartialEq)]
pub enum LogState {
    Open,
    /// Gone for now; it is tried again.
    Waiting(String),
    Ended(String),
}

/// A line for the person, until the next key.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    pub error: bool,
    pub text: String,
}

impl Notice {
    pub fn info(text: impl Into<String>) -> Self {
        Self { error: false, text: text.into() }
    }
    pub fn error(text: impl Into<String>) -> Self {
        Self { error: true, text: text.into() }
    }
}

/// Which logs: all containers of these pods, or one of them.
#[derive(Clone, Debug, PartialEq)]
pub struct LogsOf {
    pub pods: Vec<(ObjectRef, Vec<String>)>,
    pub previous: bool,
    pub follow: bool,
    /// Lines from the end of each container's log.
    pub tail: u32,
}

/// What the runtime shall do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Fetch(RequestId, ObjectRef),
    StartLogs(RequestId, LogsOf),
    StopLogs(RequestId),
    /// Read kept files as logs.
    ReadFiles(RequestId, Vec<KeptFile>),
    /// Make a plan and check it.
    Plan(RequestId, Box<Wanted>),
    /// Which of these verbs the clusters would refuse.
    MayI(RequestId, Vec<VerbId>, Vec<Target>),
    /// The preview was closed.
    DropPlan(RequestId),
    /// A person confirmed the preview of that request.
    Confirm(RequestId, Confirmation),
    Job(JobId, Control),
    /// Lend the terminal to the person's own editor: a name for the file, and the text.
    EditOutside(RequestId, String, String),
    /// Read the audit log.
    Remember(Remember),
    Copy(String),
    /// Writes a private file in the state directory or where the person said.
    SaveFile {
        path: PathBuf,
        text: String,
    },
    Reconnect(Option<ClusterId>),
    Login(ClusterId),
    Suspend,
    Mouse(bool),
    Redraw,
    SetTheme(String),
    SetKeymap(String),
    SaveSession,
    Quit,
}
