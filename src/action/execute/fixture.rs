//! A job for the tests of its steps: of one cluster whose API server answers as it is told.

use super::super::{Clients, ClusterClients, Sightings};
use super::Run;
use crate::client::ReadClient;
use crate::client::fake::{Server, connect, writes};
use crate::model::{Args, ClusterId, Control, JobId, Plan, Progress, Step, VerbId};
use crate::reach::Alertmanager;
use std::collections::BTreeMap;
use std::sync::Mutex;
use tokio::sync::{Semaphore, mpsc, watch};

pub struct Bench {
    /// Where the audit log is.
    pub dir: tempfile::TempDir,
    pub run: Run,
    pub lead: watch::Sender<Control>,
    pub told: mpsc::UnboundedReceiver<Progress>,
}

/// A job of these steps.
pub async fn bench(server: &Server, steps: Vec<Step>, alerts: impl FnOnce(&ReadClient) -> Option<Alertmanager>) -> Bench {
    let read = connect(server, "token: t").await;
    let (write, receipt) = writes(&read);
    let alerts = alerts(&read);
    let mut clients = Clients::default();
    clients.add(ClusterId(0), ClusterClients { read, write: Ok(write), alerts });
    let mut plan = Plan::new(VerbId::Evict, &Args::default(), "evict");
    plan.steps = steps;
    let dir = tempfile::tempdir().unwrap();
    let state = crate::state::StateDir::at(dir.path()).unwrap();
    let journal = state.journal();
    let ((progress, told), (lead, control)) = (mpsc::unbounded_channel(), watch::channel(Control::Run));
    let run = Run {
        plan,
        id: JobId("j".into()),
        state,
        journal,
        receipt,
        clients,
        sightings: Sightings::default(),
        progress,
        control,
        requests: Semaphore::new(8),
        alone: tokio::sync::Mutex::new(()),
        who: "ada@bastion".into(),
        pending: BTreeMap::new(),
        ended: Mutex::new(BTreeMap::new()),
        added: Mutex::new(Vec::new()),
    };
    Bench { dir, run, lead, told }
}
