//! Logs that a job fetches into files: they open in the same view as pods' logs when the job has ended well.

use super::{App, Effect, Logs, Place, PreviewPane, World};
use crate::action::{Preview, Wanted};
use crate::model::{Act, JobId, JobState, Kind, ObjectRef, Outcome, Target, VerbId};

/// A file in the state directory, and what it is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptFile {
    /// The object's name.
    pub about: String,
    pub file: String,
}

/// Files that a job is to fetch.
#[derive(Clone, Debug)]
pub struct Fetching {
    job: JobId,
    objects: Vec<ObjectRef>,
    files: Vec<KeptFile>,
}

impl Fetching {
    /// Of a preview that became a job; none where it fetches nothing.
    pub(super) fn of(world: &World, pane: &PreviewPane, preview: &Preview, job: &JobId) -> Option<Self> {
        let Wanted::Act(request) = &pane.wanted else { return None };
        let files = preview.plan.steps.iter().filter_map(|s| if let Act::Fetch { file } = &s.act { Some(file) } else { None });
        let about = |(target, file): (&Target, &String)| KeptFile { about: target.name.clone(), file: file.clone() };
        let files: Vec<KeptFile> = request.targets.iter().zip(files).map(about).collect();
        let found = |t: &Target| {
            let cluster = world.store.cluster(t.cluster)?;
            Some(cluster.named(t.resource.known()?, &t.namespace, &t.name)?.reference(t.cluster))
        };
        let objects = request.targets.iter().filter_map(found).collect();
        (!files.is_empty()).then(|| Self { job: job.clone(), objects, files })
    }
}

impl App {
    /// A job has ended: what it fetched is opened, unless the person is at something that a new screen would take the keys from.
    pub(super) fn open_fetched(&mut self, id: &JobId, state: JobState) -> Vec<Effect> {
        let Some(at) = self.fetching.iter().position(|f| f.job == *id) else { return Vec::new() };
        let fetching = self.fetching.remove(at);
        if state != JobState::Ended(Outcome::Done) || !self.free() {
            return Vec::new();
        }
        let request = self.request();
        let (logs, effects) = Logs::of_files(fetching.objects, fetching.files, request);
        let under = std::mem::replace(&mut self.place, Place::Logs(Box::new(logs)));
        self.under.push(under);
        effects
    }

    /// The log of a backup or a restore is fetched by its verb.
    pub(super) fn logs_of_backup(&mut self, world: &World, object: &ObjectRef) -> Option<Vec<Effect>> {
        matches!(object.kind, Kind::Backup | Kind::Restore).then(|| self.verb(world, VerbId::BackupLogs, None))
    }
}
