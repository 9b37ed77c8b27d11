//! The verbs: one file each, pure, from a snapshot to a plan.

mod apply;
mod backup;
mod backup_delete;
mod backup_logs;
mod cordon;
mod create_pdb;
mod delete;
pub(super) mod drain;
mod drain_quiet;
mod edit;
mod env;
mod etcd;
mod etcd_members;
mod etcd_snapshot;
mod fields;
mod hpa;
mod ignore;
mod image;
mod job;
mod keda;
mod label;
mod paused;
mod publish;
mod resize;
mod restart;
mod restore;
mod rollback;
mod scale;
mod silence;
mod taint;
mod template;
mod velero;

use super::{Request, Snapshot, Stop};
use crate::model::{Plan, VerbId};

/// Makes a plan of a request whose arguments are complete and whose targets the verb takes.
pub type Planner = fn(&Snapshot, &Request) -> Result<Plan, Stop>;

/// Every verb's planner.
pub const PLANNERS: &[(VerbId, Planner)] = &[
    (VerbId::Scale, scale::plan),
    (VerbId::HpaSet, hpa::set),
    (VerbId::HpaFreeze, hpa::freeze),
    (VerbId::HpaThaw, hpa::thaw),
    (VerbId::KedaPause, keda::pause),
    (VerbId::KedaResume, keda::resume),
    (VerbId::Resize, resize::plan),
    (VerbId::Restart, restart::plan),
    (VerbId::Rollback, rollback::plan),
    (VerbId::RolloutPause, paused::pause),
    (VerbId::RolloutResume, paused::resume),
    (VerbId::SetImage, image::plan),
    (VerbId::SetEnv, env::plan),
    (VerbId::Trigger, job::trigger),
    (VerbId::RetryJob, job::retry),
    (VerbId::CreatePdb, create_pdb::plan),
    (VerbId::Suspend, paused::suspend),
    (VerbId::Unsuspend, paused::unsuspend),
    (VerbId::Cordon, cordon::cordon),
    (VerbId::Uncordon, cordon::uncordon),
    (VerbId::Drain, drain::drain),
    (VerbId::Evict, drain::evict),
    (VerbId::Delete, delete::plan),
    (VerbId::Taint, taint::plan),
    (VerbId::Label, label::label),
    (VerbId::Annotate, label::annotate),
    (VerbId::Ignore, ignore::plan),
    (VerbId::Edit, edit::plan),
    (VerbId::Silence, silence::add),
    (VerbId::SilenceExtend, silence::extend),
    (VerbId::SilenceExpire, silence::expire),
    (VerbId::Apply, apply::plan),
    (VerbId::Publish, publish::plan),
    (VerbId::Backup, backup::plan),
    (VerbId::BackupDelete, backup_delete::plan),
    (VerbId::BackupLogs, backup_logs::plan),
    (VerbId::Restore, restore::plan),
    (VerbId::SchedulePause, paused::pause_schedule),
    (VerbId::ScheduleResume, paused::resume_schedule),
    (VerbId::EtcdSnapshot, etcd_snapshot::plan),
    (VerbId::EtcdDefrag, etcd::defrag),
    (VerbId::EtcdMoveLeader, etcd::move_leader),
    (VerbId::EtcdDisarm, etcd::disarm),
    (VerbId::EtcdCompact, etcd::compact),
    (VerbId::EtcdMemberAdd, etcd_members::add),
    (VerbId::EtcdPromote, etcd_members::promote),
    (VerbId::EtcdMemberRemove, etcd_members::remove),
];

/// The planner of a verb.
pub fn planner(verb: VerbId) -> Planner {
    fn missing(_: &Snapshot, request: &Request) -> Result<Plan, Stop> {
        Err(Stop::refuse("usage", format!("{} cannot be planned", request.verb)))
    }
    PLANNERS.iter().find(|(id, _)| *id == verb).map_or(missing, |(_, planner)| *planner)
}

/// The one object that is named in titles, or how many there are.
fn subject(request: &Request) -> String {
    match request.targets.as_slice() {
        [one] => one.label(),
        all => {
            let kind = all.first().map_or("object", |t| t.resource.kind.as_str());
            let same = all.iter().all(|t| t.resource.kind == kind);
            format!("{} {}s", all.len(), if same { kind } else { "object" })
        }
    }
}

/// The refusal of a plan in which nothing is left to do; its notes say why.
fn nothing(plan: &Plan) -> Stop {
    let why: Vec<&str> = plan.notes.iter().map(|n| n.text.as_str()).collect();
    Stop::refuse("nothing", format!("nothing to do: {}", why.join("; ")))
}

#[cfg(test)]
pub(crate) mod fixture;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::VERBS;

    #[test]
    fn every_verb_of_the_catalogue_has_one_planner() {
        for verb in VERBS {
            assert_eq!(PLANNERS.iter().filter(|(id, _)| *id == verb.id).count(), 1, "{}", verb.name);
        }
        assert_eq!(PLANNERS.len(), VERBS.len());
    }
}
