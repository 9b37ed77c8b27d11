//! The log file: private, and never larger than a few megabytes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::file::{Lock, naming, restrict, with_suffix};

/// How large the log grows before it is rotated.
pub(super) const MAX_BYTES: u64 = 4 << 20;

/// How many files there are: the log, and older ones with `.1`, `.2` after their name.
const KEPT: u32 = 3;

/// A log file that several processes may append to. Rotates itself; give it one line a write.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    max_bytes: u64,
}

impl LogFile {
    pub(super) fn open(path: &Path, max_bytes: u64) -> io::Result<Self> {
        let file = append(path)?;
        restrict(path, 0o600)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, bytes, max_bytes })
    }

    /// Where it is, to tell the user.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn rotate(&mut self) -> io::Result<()> {
        let _lock = Lock::exclusive(&with_suffix(&self.path, ".lock"))?;
        let ours = self.file.metadata()?;
        // Another process may have rotated in the meantime: then its file is ours too.
        let still_ours = fs::metadata(&self.path).is_ok_and(|now| (now.dev(), now.ino()) == (ours.dev(), ours.ino()));
        if still_ours {
            for age in (1..KEPT).rev() {
                let younger = if age == 1 { self.path.clone() } else { with_suffix(&self.path, &format!(".{}", age - 1)) };
                match fs::rename(&younger, with_suffix(&self.path, &format!(".{age}"))) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(naming(&younger, &error));
                    }
                    _ => {}
                }
            }
        }
        self.file = append(&self.path)?;
        self.bytes = self.file.metadata()?.len();
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(|error| naming(path, &error))
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.bytes > 0 && self.bytes + line.len() as u64 > self.max_bytes {
            self.rotate()?;
        }
        let written = self.file.write(line)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn it_rotates_at_a_size_and_keeps_three() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("qd.log");
        let mut log = LogFile::open(&path, 10).unwrap();
        for line in ["one 789\n", "two\n", "three\n", "four 6789\n", "five\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        let read = |suffix: &str| fs::read_to_string(with_suffix(&path, suffix)).unwrap();
        assert_eq!([read(""), read(".1"), read(".2")], ["five\n", "four 6789\n", "two\nthree\n"]);
        assert!(!with_suffix(&path, ".3").exists());
        for suffix in ["", ".1", ".2", ".lock"] {
            let mode = fs::metadata(with_suffix(&path, suffix)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{suffix}");
        }
    }

    #[test]
    fn it_goes_on_where_it_was_and_becomes_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("qd.log");
        fs::write(&path, "old\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let mut log = LogFile::open(&path, 100).unwrap();
        log.write_all(b"new\n").unwrap();
        assert_eq!(fs::read_to_string(log.path()).unwrap(), "old\nnew\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn two_processes_do_not_rotate_each_others_new_file_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("qd.log");
        let (mut a, mut b) = (LogFile::open(&path, 10).unwrap(), LogFile::open(&path, 10).unwrap());
        a.write_all(b"a1 4567\n").unwrap();
        b.write_all(b"b1 4567\n").unwrap();
        a.write_all(b"a2 4567\n").unwrap();
        b.write_all(b"b2\n").unwrap();
        let read = |suffix: &str| fs::read_to_string(with_suffix(&path, suffix)).unwrap();
        assert_eq!([read(""), read(".1")], ["a2 4567\nb2\n", "a1 4567\nb1 4567\n"]);
    }
}
