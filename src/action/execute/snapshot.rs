//! A snapshot of etcd to a file: compared, streamed, hashed on the way, synced, renamed; then it moves on, and the older ones go.

use super::super::etcd::{hashed, parent, room, words};
use super::super::snapfile::{Damage, Sum, database};
use super::etcd::Live;
use super::{Ended, Run, Why};
use crate::model::etcd_act::snapshot_time;
use crate::model::{SnapshotTo, StepState};
use futures::TryStreamExt as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

/// A stream that gives nothing for that long is dead.
const SILENCE: Duration = Duration::from_secs(60);
/// How often it is told how far it is.
const TELL: Duration = Duration::from_millis(500);

fn failed(why: impl std::fmt::Display) -> (Why, String) {
    (Why::Failed, why.to_string())
}

impl Run {
    pub(super) async fn snapshot(&self, at: usize, live: &mut Live, to: &SnapshotTo) -> Ended {
        let id = to.member.0;
        let status = live.look.of(id).map(|(_, s)| s.clone()).ok_or_else(|| failed(format!("{} does not answer", live.name(id))))?;
        room(to, Some(status.db_size)).map_err(failed)?;
        let mut compared = String::new();
        if !to.unhashed {
            self.tell(at, StepState::Waits("the members' data is compared".to_owned()), None);
            let hashes = hashed(&live.reach, &live.look).await.map_err(failed)?;
            if let Some(why) = hashes.differ() {
                return Err(failed(format!("{why}; nothing was written (no-hash takes it all the same)")));
            }
            compared = format!(", {} members' data compared at revision {}", hashes.compared(), hashes.revision);
        }
        self.turn().await?;
        let file = PathBuf::from(&to.file);
        let mut part = file.clone().into_os_string();
        part.push(".part");
        let part = Unfinished(PathBuf::from(part));
        let begun = Instant::now();
        let (size, sha256) = self.stream(at, live, id, &part.0, status.db_size).await?;
        let finished = finish(part, file.clone(), size).await.map_err(failed)?;
        let mut text = format!(
            "{} MiB in {:.1} s, sha256 {sha256}, transaction {finished}{compared}",
            (size >> 20) + 1,
            begun.elapsed().as_secs_f32()
        );
        // From here on the snapshot is there, and what goes wrong is told beside it.
        let mut place = file.clone();
        if let Some(dir) = &to.move_to {
            self.tell(at, StepState::Waits(format!("it is moved to {dir}")), None);
            let (from, dir) = (file.clone(), PathBuf::from(dir));
            let moved = tokio::task::spawn_blocking(move || move_to(&from, &dir)).await.map_err(failed)?;
            match moved {
                Ok(there) => {
                    text.push_str(&format!(", moved to {}", there.display()));
                    place = there;
                }
                Err(e) => return Err(failed(format!("{text}; it is in {} and was not moved: {e}", file.display()))),
            }
        }
        if let Some(keep) = to.keep {
            let cluster = self.plan.clusters.iter().find(|c| c.id == live.cluster).map(|c| c.name.clone()).unwrap_or_default();
            let dir = parent(&place);
            match tokio::task::spawn_blocking(move || prune(&dir, &cluster, keep)).await {
                Ok(Ok(0)) => {}
                Ok(Ok(n)) => text.push_str(&format!(", {n} older deleted")),
                Ok(Err(e)) => return Err(failed(format!("{text}; the older ones were not deleted: {e}"))),
                Err(e) => return Err(failed(format!("{text}; the older ones were not deleted: {e}"))),
            }
        }
        Ok(text)
    }

    /// The database as it comes, into a new private file; its size and hash.
    async fn stream(&self, at: usize, live: &Live, id: u64, path: &Path, expected: i64) -> Result<(u64, String), (Why, String)> {
        let writer = live.writer(id)?;
        let mut stream = std::pin::pin!(writer.snapshot(&self.receipt).await.map_err(|e| failed(words(&e)))?);
        let io = |e: io::Error| failed(format!("{}: {e}", path.display()));
        let mut options = tokio::fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(path).await.map_err(io)?;
        let mut file = tokio::io::BufWriter::with_capacity(256 << 10, file);
        let (mut sum, mut told, begun) = (Sum::default(), Instant::now(), Instant::now());
        let cut = |sum: &Sum, why: String| failed(format!("cut after {} KiB: {why}; nothing is left of it", sum.size() >> 10));
        loop {
            self.turn().await?;
            let piece = match tokio::time::timeout(SILENCE, stream.try_next()).await {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) => break,
                Ok(Err(e)) => return Err(cut(&sum, words(&e))),
                Err(_) => return Err(cut(&sum, format!("nothing came for {} s", SILENCE.as_secs()))),
            };
            sum.push(&piece.blob);
            file.write_all(&piece.blob).await.map_err(io)?;
            if told.elapsed() >= TELL {
                told = Instant::now();
                let total = sum.size().saturating_add(piece.remaining_bytes).max(u64::try_from(expected).unwrap_or(1)).max(1);
                let speed = sum.size() as f64 / begun.elapsed().as_secs_f64() / f64::from(1 << 20);
                let text = format!("{} % of {} MiB, {speed:.0} MiB/s", sum.size() * 100 / total, (total >> 20) + 1);
                self.tell(at, StepState::Waits(text), None);
            }
        }
        file.flush().await.map_err(io)?;
        file.get_ref().sync_all().await.map_err(io)?;
        sum.finish().map_err(|e: Damage| failed(format!("what came is no whole snapshot: {e}; nothing is left of it")))
    }
}

/// A file that goes unless it is finished.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Gives the file its name, which nobody else has taken meanwhile. The newest transaction in it.
async fn finish(part: Unfinished, file: PathBuf, size: u64) -> Result<u64, String> {
    let done = tokio::task::spawn_blocking(move || {
        let mut there = std::fs::File::open(&part.0).map_err(Damage::from)?;
        let (_, transaction) = database(&mut there, size.saturating_sub(32))?;
        place(&part.0, &file)?;
        Ok::<_, Damage>(transaction)
    });
    done.await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
}

/// Renames without taking anybody's place, and makes it last.
fn place(from: &Path, to: &Path) -> io::Result<()> {
    let cwd = rustix::fs::CWD;
    match rustix::fs::renameat_with(cwd, from, cwd, to, rustix::fs::RenameFlags::NOREPLACE) {
        Ok(()) => {}
        // A file system that cannot do that: looked at before.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if to.symlink_metadata().is_err() => std::fs::rename(from, to)?,
        Err(e) => return Err(e.into()),
    }
    std::fs::File::open(parent(to))?.sync_all()
}

/// Deletes all but the newest of a cluster's snapshots that we named. How many went.
fn prune(dir: &Path, cluster: &str, keep: u32) -> io::Result<usize> {
    let mut ours: Vec<(i64, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let taken = entry.file_name().to_str().and_then(|name| snapshot_time(cluster, name));
        if let Some(taken) = taken.filter(|_| entry.file_type().is_ok_and(|t| t.is_file())) {
            ours.push((taken, entry.path()));
        }
    }
    ours.sort();
    let old = ours.len().saturating_sub(keep as usize);
    for (_, path) in &ours[..old] {
        std::fs::remove_file(path)?;
    }
    Ok(old)
}

/// Moves a file to a directory, also of another file system: there it is whole and lasting before it goes here.
fn move_to(file: &Path, dir: &Path) -> io::Result<PathBuf> {
    let name = file.file_name().ok_or_else(|| io::Error::other("a file without a name"))?;
    let there = dir.join(name);
    match place(file, &there) {
        Ok(()) => return Ok(there),
        Err(e) if e.kind() == io::ErrorKind::CrossesDevices => {}
        Err(e) => return Err(e),
    }
    let mut part = there.clone().into_os_string();
    part.push(".part");
    let part = Unfinished(PathBuf::from(part));
    let mut options = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create_new(true), 0o600);
    let mut to = options.open(&part.0)?;
    io::copy(&mut std::fs::File::open(file)?, &mut to)?;
    to.sync_all()?;
    super::super::snapfile::verify(&part.0).map_err(|e| io::Error::other(e.to_string()))?;
    place(&part.0, &there)?;
    std::fs::remove_file(file)?;
    Ok(there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_oldest_of_ours_go() {
        let dir = tempfile::tempdir().unwrap();
        let names = [
            "lab-20260101T000000Z.snapshot.db",
            "lab-20260102T000000Z.snapshot.db",
            "lab-20260103T000000Z.snapshot.db",
            "lab-2-20250101T000000Z.snapshot.db",
            "lab-20240101T000000Z.snapshot.db.part",
            "other.db",
        ];
        names.iter().for_each(|n| std::fs::write(dir.path().join(n), "x").unwrap());
        assert_eq!(prune(dir.path(), "lab", 2).unwrap(), 1);
        let left: Vec<bool> = names.iter().map(|n| dir.path().join(n).exists()).collect();
        assert_eq!(left, [false, true, true, true, true, true]);
    }

    #[tokio::test]
    async fn a_name_that_was_taken_meanwhile_is_not_taken_away_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let (part, file) = (dir.path().join("a.part"), dir.path().join("a"));
        let bytes = super::super::super::snapfile::tests::snapshot(5);
        std::fs::write(&part, &bytes).unwrap();
        std::fs::write(&file, "theirs").unwrap();
        let why = finish(Unfinished(part.clone()), file.clone(), bytes.len() as u64).await.unwrap_err();
        assert!(why.contains("exists"), "{why}");
        assert_eq!((std::fs::read_to_string(&file).unwrap().as_str(), part.exists()), ("theirs", false));
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&part, &bytes).unwrap();
        assert_eq!(finish(Unfinished(part.clone()), file.clone(), bytes.len() as u64).await, Ok(42));
        assert!(file.exists() && !part.exists());
        let there = dir.path().join("there");
        std::fs::create_dir(&there).unwrap();
        assert_eq!(move_to(&file, &there).unwrap(), there.join("a"));
        assert!(!file.exists());
    }
}
