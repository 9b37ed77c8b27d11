//! A cluster's etcd looked at before and while something is done to it: who answers, whether they hold the same data, whether there is
//! room for a snapshot.

use super::{Check, Clients, Finding};
use crate::client::{ClientError, EtcdClient};
use crate::model::{Act, ClusterId, EtcdCall, Plan, Quorum, SnapshotTo};
use crate::reach::{EtcdReach, Look};
use futures::future::join_all;
use std::path::{Path, PathBuf};

/// What a member answered to HashKV.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hash {
    pub id: u64,
    pub name: String,
    /// The hash, and the revision up to which history is forgotten; or why there is none, in words.
    pub answer: Result<(u32, i64), String>,
}

/// The hashes of all members at one revision, the newest that all have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hashes {
    pub revision: i64,
    pub members: Vec<Hash>,
}

impl Hashes {
    /// The members that do not hold the same data as another one that has forgotten as much: none, or why, in words.
    pub fn differ(&self) -> Option<String> {
        let mut known: Vec<(&str, u32, i64)> = Vec::new();
        for m in &self.members {
            let Ok((hash, compacted)) = m.answer else { continue };
            if let Some((other, theirs, _)) = known.iter().find(|(_, h, c)| *c == compacted && *h != hash) {
                return Some(format!(
                    "{} and {other} do not hold the same data: their hashes at revision {} are {hash:08x} and {theirs:08x}",
                    m.name, self.revision
                ));
            }
            known.push((&m.name, hash, compacted));
        }
        None
    }

    /// How many can be compared.
    pub fn compared(&self) -> usize {
        self.members.iter().filter(|m| m.answer.is_ok()).count()
    }
}

/// A refusal's own words, longer than a column of a table.
pub(super) fn words(e: &ClientError) -> String {
    match e {
        ClientError::Server { message, .. } if !message.is_empty() => message.clone(),
        ClientError::Invalid { message } | ClientError::NotFound { message } | ClientError::Forbidden { message } => message.clone(),
        e => e.reason(),
    }
}

/// A member's name; its first peer address before it was started.
pub(super) fn name_of(reach: &EtcdReach, id: u64) -> String {
    let member = reach.members().iter().find(|m| m.id == id);
    let name = member.and_then(|m| [&m.name].into_iter().chain(&m.peer_urls).find(|n| !n.is_empty()).cloned());
    name.unwrap_or_else(|| format!("{id:x}"))
}

/// Asks every member that answers for its hash.
///
/// # Errors
/// When nobody answers, in words.
pub async fn hashes(clients: &Clients, cluster: ClusterId) -> Result<Hashes, String> {
    let mut reach = clients.etcd(cluster)?;
    let look = reach.look().await;
    hashed(&reach, &look).await
}

pub(super) async fn hashed(reach: &EtcdReach, look: &Look) -> Result<Hashes, String> {
    // The newest that everybody has applied: others may be behind.
    let revision = look.answers().filter_map(|s| Some(s.header.as_ref()?.revision)).min().ok_or_else(|| silent(look))?;
    let ask = |id: u64, client: EtcdClient| async move {
        let answer = client.hash(revision).await.map(|h| (h.hash, h.compact_revision)).map_err(|e| words(&e));
        (id, answer)
    };
    let asked = reach.members().iter().filter_map(|m| Some(ask(m.id, reach.client(look.of(m.id)?.0)?.clone())));
    let answers = join_all(asked.collect::<Vec<_>>()).await;
    let members = reach.members().iter().map(|m| {
        let answer = answers.iter().find(|(id, _)| *id == m.id).map(|(_, a)| a.clone());
        Hash { id: m.id, name: name_of(reach, m.id), answer: answer.unwrap_or_else(|| Err("it does not answer".to_owned())) }
    });
    let mut members: Vec<Hash> = members.collect();
    members.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Hashes { revision, members })
}

/// Why nobody answers.
pub(super) fn silent(look: &Look) -> String {
    let why = look.heard.iter().find_map(|h| h.answer.as_ref().err().map(words));
    format!("no member of etcd answers: {}", why.unwrap_or_else(|| "no address is known".to_owned()))
}

/// The checks of a preflight: what etcd says now, and where snapshots would go.
pub(super) async fn checked(plan: &Plan, clients: &Clients) -> Vec<Check> {
    let mut checks = Vec::new();
    for cluster in plan.touched() {
        let calls: Vec<&EtcdCall> = plan
            .steps
            .iter()
            .filter(|s| s.target.cluster == cluster)
            .filter_map(|s| if let Act::Etcd(call) = &s.act { Some(call) } else { None })
            .collect();
        if calls.is_empty() {
            continue;
        }
        let mut add = |text: String, finding| checks.push(Check { cluster, text, finding, warnings: Vec::new() });
        let mut reach = match clients.etcd(cluster) {
            Ok(reach) => reach,
            Err(why) => {
                add("etcd answers".to_owned(), Finding::Forbidden(why));
                continue;
            }
        };
        let look = reach.look().await;
        let quorum = look.quorum(reach.members());
        let planned = plan.blast.iter().find(|b| b.cluster == cluster).and_then(|b| b.etcd.as_ref()).map(|e| e.before);
        add(format!("etcd: {}", quorum.words()), stands(quorum, planned, &look));
        for call in calls {
            if let EtcdCall::Snapshot(to) = call {
                let size = look.of(to.member.0).map(|(_, s)| s.db_size);
                add(format!("room for {}", to.file), room(to, size).map_or_else(Finding::Invalid, |()| Finding::Fine));
            }
        }
    }
    checks
}

/// Whether it still stands as it was planned.
fn stands(now: Quorum, planned: Option<Quorum>, look: &Look) -> Finding {
    match planned {
        _ if now.voters == 0 => Finding::Invalid(silent(look)),
        Some(then) if then.voters != now.voters || then.healthy > now.healthy => {
            Finding::Drifted(format!("when it was planned: {}", then.words()))
        }
        _ => Finding::Fine,
    }
}

/// The directory of a file that may be named without one.
pub(super) fn parent(file: &Path) -> PathBuf {
    file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// Whether a snapshot of a database of so many bytes can be put there.
///
/// # Errors
/// Why not, in words.
pub(super) fn room(to: &SnapshotTo, size: Option<i64>) -> Result<(), String> {
    let file = Path::new(&to.file);
    if file.symlink_metadata().is_ok() {
        return Err(format!("{} is there already: nothing is overwritten", to.file));
    }
    for dir in [Some(parent(file)), to.move_to.as_ref().map(PathBuf::from)].into_iter().flatten() {
        if !dir.is_dir() {
            return Err(format!("{} is no directory", dir.display()));
        }
        let about = rustix::fs::statvfs(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let free = about.f_bavail.saturating_mul(about.f_frsize);
        // It grows while it is sent, and nobody wants a full disk.
        let needed = u64::try_from(size.unwrap_or(0)).unwrap_or(0) / 10 * 11;
        if needed > free {
            return Err(format!("{} has {} MiB left, {} MiB are needed", dir.display(), free >> 20, (needed >> 20) + 1));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EtcdId;

    #[test]
    fn members_are_compared_with_those_that_have_forgotten_as_much() {
        let hash = |name: &str, answer| Hash { id: 1, name: name.into(), answer };
        let mut hashes = Hashes { revision: 9, members: vec![hash("a", Ok((1, 5))), hash("b", Ok((2, 4))), hash("c", Err("no".into()))] };
        assert_eq!((hashes.differ(), hashes.compared()), (None, 2), "b has not compacted yet");
        hashes.members.push(hash("d", Ok((3, 5))));
        let said = hashes.differ().unwrap();
        assert_eq!(said, "d and a do not hold the same data: their hashes at revision 9 are 00000003 and 00000001");
    }

    #[test]
    fn nothing_is_overwritten_and_a_full_disk_is_told_before() {
        let dir = tempfile::tempdir().unwrap();
        let to = |name: &str, move_to: Option<&str>| SnapshotTo {
            member: EtcdId(1),
            file: dir.path().join(name).to_string_lossy().into_owned(),
            keep: None,
            move_to: move_to.map(str::to_owned),
            unhashed: false,
        };
        std::fs::write(dir.path().join("old"), "x").unwrap();
        assert!(room(&to("new", None), Some(1 << 20)).is_ok());
        assert!(room(&to("old", None), None).unwrap_err().contains("nothing is overwritten"));
        assert!(room(&to("no/new", None), None).unwrap_err().contains("is no directory"));
        assert!(room(&to("new", Some("/nowhere")), None).unwrap_err().contains("/nowhere is no directory"));
        let why = room(&to("new", None), Some(i64::MAX / 2)).unwrap_err();
        assert!(why.contains("MiB left") && why.contains("are needed"), "{why}");
    }

    #[test]
    fn fewer_voters_than_were_planned_with_are_drift() {
        let look = Look { heard: Vec::new(), listed: false, alarms: None };
        assert_eq!(stands(Quorum::sum(3, 3), Some(Quorum::sum(3, 3)), &look), Finding::Fine);
        assert!(matches!(stands(Quorum::sum(3, 2), Some(Quorum::sum(3, 3)), &look), Finding::Drifted(_)));
        assert!(matches!(stands(Quorum::sum(0, 0), None, &look), Finding::Invalid(_)));
    }
}
