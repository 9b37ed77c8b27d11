//! What the app asked for and takes time: full objects, logs, files. Each runs beside the loop and answers with an event.

use super::Fleet;
use crate::app::{Effect, Event, KeptFile, Notice, RequestId};
use crate::state::StateDir;
use std::collections::HashMap;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// What is under way.
pub struct Effects {
    tx: mpsc::UnboundedSender<Event>,
    rx: mpsc::UnboundedReceiver<Event>,
    /// Lines of logs have a queue of their own, and a short one: who writes them waits when nobody reads.
    lines: (mpsc::Sender<Event>, mpsc::Receiver<Event>),
    logs: HashMap<RequestId, Vec<AbortHandle>>,
}

impl Effects {
    pub fn new() -> Self {
        let (tx, rx) = mpsc::unbounded_channel();
        Self { tx, rx, lines: mpsc::channel(4), logs: HashMap::new() }
    }

    /// The next answer. We hold senders ourselves: it never ends.
    pub async fn next(&mut self) -> Event {
        tokio::select! {
            biased;
            Some(event) = self.rx.recv() => event,
            Some(event) = self.lines.1.recv() => event,
            else => std::future::pending().await,
        }
    }

    /// Reads files of the state directory as logs.
    pub fn read(&mut self, id: RequestId, files: Vec<KeptFile>, state: Option<&StateDir>) {
        let files = files.into_iter().filter_map(|f| Some((state?.path(&f.file), f.about))).collect();
        let task = super::logs::read(id, files, self.lines.0.clone());
        self.logs.entry(id).or_default().push(task);
    }

    /// Begins what an effect asks for.
    pub fn start(&mut self, effect: Effect, fleet: &Fleet) {
        let tx = self.tx.clone();
        match effect {
            Effect::Fetch(id, object) => {
                let reader = fleet.reader(object.cluster);
                tokio::spawn(async move {
                    let client = reader.and_then(|r| r.client());
                    let result = match client {
                        Some(client) => crate::source::kube::object::fetch(&client, &object).await.map_err(|e| e.reason()),
                        None => Err("not connected".to_owned()),
                    };
                    let _ = tx.send(Event::Fetched(id, result));
                });
            }
            Effect::MayI(id, verbs, targets) => {
                let (rails, clients) = (fleet.guardrails.clone(), fleet.clients());
                tokio::spawn(async move {
                    let refused = crate::action::refused(verbs, &targets, &rails, &clients).await;
                    let _ = tx.send(Event::Refused(id, refused));
                });
            }
            Effect::StopLogs(id) => {
                for task in self.logs.remove(&id).into_iter().flatten() {
                    task.abort();
                }
            }
            Effect::Reconnect(id) => fleet.reconnect(id),
            Effect::SaveFile { path, text } => {
                tokio::task::spawn_blocking(move || {
                    // A relative path says nothing of where it is.
                    let path = std::path::absolute(&path).unwrap_or(path);
                    let shown = path.display().to_string();
                    let notice = match crate::state::write_private(&path, text.as_bytes()) {
                        Ok(()) => Notice::info(format!("saved to {shown}")),
                        Err(e) => Notice::error(format!("{shown}: {e}")),
                    };
                    let _ = tx.send(Event::Notice(notice));
                });
            }
            Effect::StartLogs(id, of) => {
                let task = super::logs::start(id, &of, fleet, self.lines.0.clone());
                self.logs.entry(id).or_default().push(task);
            }
            // The screen's own, or the loop's.
            Effect::Copy(_)
            | Effect::Login(_)
            | Effect::Suspend
            | Effect::Mouse(_)
            | Effect::Redraw
            | Effect::SetTheme(_)
            | Effect::SetKeymap(_)
            | Effect::SaveSession
            | Effect::EditOutside(..)
            | Effect::Plan(..)
            | Effect::DropPlan(_)
            | Effect::Confirm(..)
            | Effect::Job(..)
            | Effect::Remember(_)
            | Effect::ReadFiles(..)
            | Effect::Quit => {}
        }
    }
}
