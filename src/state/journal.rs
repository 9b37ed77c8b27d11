//! The audit log's files: JSON lines that are only ever added to, private, chained by digest, rotated and never thrown away silently.
//!
//! What a record says is `model::audit`'s; which are written when is `action`'s.

use super::file::{Lock, naming, restrict, with_suffix};
use crate::model::AuditRecord;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// How large a file grows before a new one is begun.
const MAX_BYTES: u64 = 8 << 20;
/// How many files there are: some years of work, or a few hundred drains of large nodes.
const KEPT: u32 = 20;

/// The audit log of a state directory. Several processes may write to it.
#[derive(Clone, Debug)]
pub struct Journal {
    path: PathBuf,
    max_bytes: u64,
}

/// A line that is no record: which, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadLine {
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    pub why: String,
}

/// What the log holds.
#[derive(Debug, Default)]
pub struct History {
    /// Oldest first.
    pub records: Vec<AuditRecord>,
    /// Lines that cannot be read, and places where the chain is broken.
    pub bad: Vec<BadLine>,
}

impl Journal {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path, max_bytes: MAX_BYTES }
    }

    /// Where it is, to tell the user.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a record; with `sync` it is on the disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written: then nothing may be sent.
    pub fn append(&self, record: &AuditRecord, sync: bool) -> io::Result<()> {
        let _lock = Lock::exclusive(&with_suffix(&self.path, ".lock"))?;
        let mut file = self.open()?;
        let mut bytes = file.metadata()?.len();
        let mut prev = last_line(&mut file, bytes)?;
        if bytes > self.max_bytes {
            self.rotate()?;
            file = self.open()?;
            bytes = 0;
        }
        // A line that a crash has cut short is closed, so that it spoils no other.
        let torn = bytes > 0 && prev.last() != Some(&b'\n');
        if prev.last() == Some(&b'\n') {
            prev.pop();
        }
        let record = AuditRecord { prev: if prev.is_empty() { String::new() } else { digest(&prev) }, ..record.clone() };
        let mut line = if torn { b"\n".to_vec() } else { Vec::new() };
        serde_json::to_writer(&mut line, &record)?;
        line.push(b'\n');
        file.write_all(&line).map_err(|e| naming(&self.path, &e))?;
        if sync {
            file.sync_data().map_err(|e| naming(&self.path, &e))?;
            if bytes == 0
                && let Some(dir) = self.path.parent()
            {
                File::open(dir)?.sync_all()?;
            }
        }
        Ok(())
    }

    /// Everything that is in it, from the oldest file to the newest.
    ///
    /// # Errors
    /// When a file cannot be read; no log at all is an empty one.
    pub fn read(&self) -> io::Result<History> {
        let mut history = History::default();
        let mut prev = String::new();
        for age in (0..KEPT).rev() {
            let path = self.file(age);
            let text = match fs::read(&path) {
                Ok(text) => text,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(naming(&path, &e)),
            };
            for (n, line) in text.split(|b| *b == b'\n').enumerate().filter(|(_, l)| !l.is_empty()) {
                let mut bad = |why: String| history.bad.push(BadLine { file: path.clone(), line: n + 1, why });
                match serde_json::from_slice::<AuditRecord>(line) {
                    Ok(record) => {
                        if !prev.is_empty() && record.prev != prev {
                            bad("the line before it is not the one that was there when it was written".to_owned());
                        }
                        history.records.push(record);
                    }
                    // Where it stopped is enough: the line may quote what is nobody's business.
                    Err(e) => bad(format!("no audit record: {:?} error at column {}", e.classify(), e.column())),
                }
                prev = digest(line);
            }
        }
        Ok(history)
    }

    fn file(&self, age: u32) -> PathBuf {
        if age == 0 { self.path.clone() } else { with_suffix(&self.path, &format!(".{age}")) }
    }

    fn open(&self) -> io::Result<File> {
        let file = OpenOptions::new().append(true).read(true).create(true).mode(0o600).open(&self.path);
        let file = file.map_err(|e| naming(&self.path, &e))?;
        restrict(&self.path, 0o600)?;
        Ok(file)
    }

    fn rotate(&self) -> io::Result<()> {
        for age in (1..KEPT).rev() {
            match fs::rename(self.file(age - 1), self.file(age)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(naming(&self.file(age - 1), &e)),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The last line of a file with its newline, if it has one.
fn last_line(file: &mut File, bytes: u64) -> io::Result<Vec<u8>> {
    let mut tail = Vec::new();
    let mut from = bytes;
    loop {
        let step = from.min(64 << 10);
        if step == 0 {
            return Ok(tail);
        }
        from -= step;
        let mut piece = vec![0; usize::try_from(step).unwrap_or(0)];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(&mut piece)?;
        piece.extend_from_slice(&tail);
        tail = piece;
        let body = tail.strip_suffix(b"\n").unwrap_or(&tail);
        if let Some(at) = body.iter().rposition(|b| *b == b'\n') {
            return Ok(tail.split_off(at + 1));
        }
    }
}

fn digest(line: &[u8]) -> String {
    crate::model::plan::hex(&Sha256::digest(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AuditEvent, JobId, Outcome};
    use std::os::unix::fs::PermissionsExt as _;

    fn record(n: usize) -> AuditRecord {
        let event = AuditEvent::Outcome { outcome: Outcome::Done, done: n, failed: 0, left: 0, why: String::new() };
        AuditRecord { at: "2026-03-01T02:47:30Z".into(), job: JobId(format!("j{n}")), event, prev: String::new() }
    }

    fn journal(dir: &tempfile::TempDir, max_bytes: u64) -> Journal {
        Journal { path: dir.path().join("audit.jsonl"), max_bytes }
    }

    fn names(history: &History) -> Vec<&str> {
        history.records.iter().map(|r| r.job.0.as_str()).collect()
    }

    #[test]
    fn lines_are_chained_private_and_read_in_order_over_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let journal = journal(&dir, 300);
        for n in 0..9 {
            journal.append(&record(n), n % 2 == 0).unwrap();
        }
        let history = journal.read().unwrap();
        assert_eq!(names(&history), (0..9).map(|n| format!("j{n}")).collect::<Vec<_>>());
        assert_eq!(history.bad, []);
        assert!(with_suffix(journal.path(), ".1").exists(), "it was rotated");
        assert_eq!(fs::metadata(journal.path()).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_line_that_was_changed_or_torn_is_told_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let journal = journal(&dir, 1 << 20);
        for n in 0..3 {
            journal.append(&record(n), false).unwrap();
        }
        let text = fs::read_to_string(journal.path()).unwrap();
        fs::write(journal.path(), text.replace("\"done\":1", "\"done\":7")).unwrap();
        let bad = journal.read().unwrap().bad;
        assert_eq!(bad.iter().map(|b| b.line).collect::<Vec<_>>(), [3], "{bad:?}");
        fs::write(journal.path(), format!("{}{}", text, r#"{"at":"2026","jo"#)).unwrap();
        journal.append(&record(3), true).unwrap();
        let history = journal.read().unwrap();
        assert_eq!(names(&history), ["j0", "j1", "j2", "j3"], "a cut line costs no other");
        assert_eq!(history.bad.iter().map(|b| b.line).collect::<Vec<_>>(), [4]);
        assert!(history.bad[0].why.starts_with("no audit record"), "{:?}", history.bad);
    }

    #[test]
    fn two_writers_keep_one_chain() {
        let dir = tempfile::tempdir().unwrap();
        let journal = journal(&dir, 2000);
        std::thread::scope(|scope| {
            for w in 0..2 {
                let journal = journal.clone();
                scope.spawn(move || (0..20).for_each(|n| journal.append(&record(w * 100 + n), false).unwrap()));
            }
        });
        let history = journal.read().unwrap();
        assert_eq!((history.records.len(), history.bad), (40, vec![]));
    }

    #[test]
    fn what_cannot_be_written_is_an_error_that_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let journal = journal(&dir, 100);
        fs::create_dir(journal.path()).unwrap();
        let error = journal.append(&record(0), true).unwrap_err();
        assert!(error.to_string().contains("audit.jsonl: "), "{error}");
        assert!(self::journal(&tempfile::tempdir().unwrap(), 1).read().unwrap().records.is_empty());
    }
}
