//! The schedules pane.

use super::Pane;
use crate::model::{Kind, Object};
use crate::store::Cluster;
use crate::table::Subject;

pub static PANE: Pane = Pane {
    subject: Subject::Schedules,
    short: "SCHEDULES",
    tile: &["cluster", "name", "status", "next_run_in_s", "last_success_age_s"],
    bad: late,
    bad_word: "late",
    head: None,
};

fn late(cluster: &Cluster, now: i64) -> u32 {
    let late = cluster.objects(Kind::Schedule).filter(|o| matches!(o, Object::Schedule(s) if s.late(now).is_some())).count();
    u32::try_from(late).unwrap_or(u32::MAX)
}
