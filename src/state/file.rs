//! Private files: written whole or not at all, and locks.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// The error with the path that it is about.
pub(super) fn naming(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Creates the directory and the missing ones above it with 0700; one that exists stays as it is.
pub(super) fn create_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| naming(path, &error))
}

/// Takes away the permissions that are not in `mode`.
pub(super) fn restrict(path: &Path, mode: u32) -> io::Result<()> {
    let now = fs::metadata(path)?.permissions().mode() & 0o777;
    if now & !mode == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|error| naming(path, &error))
}

/// Writes a file of ours with 0600, so that after a crash it has either the old content or the new, never a part:
/// a temporary file beside it, synced, renamed over it, the directory synced.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    write_whole(path, content, 0o600)
}

/// The same for what others are to read: its permissions are `mode`, whatever the umask.
pub fn write_whole(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(naming(path, &io::Error::from(io::ErrorKind::InvalidInput)));
    };
    let temporary = dir.join(format!(".{}.{:016x}.tmp", name.to_string_lossy(), fastrand::u64(..)));
    let written = write_new(&temporary, content, mode).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        let _ = fs::remove_file(&temporary);
        return Err(naming(path, &error));
    }
    File::open(if dir.as_os_str().is_empty() { Path::new(".") } else { dir })?.sync_all()
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    if mode != 0o600 {
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    file.sync_all()
}

/// An exclusive lock between processes, given back when dropped. Its file stays.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// The lock, or `None` when another process, or another part of this one, has it.
    pub fn try_exclusive(path: &Path) -> io::Result<Option<Self>> {
        Self::take(path, FlockOperation::NonBlockingLockExclusive)
    }

    /// Waits for the lock; only for what is held for moments.
    pub(super) fn exclusive(path: &Path) -> io::Result<Option<Self>> {
        Self::take(path, FlockOperation::LockExclusive)
    }

    fn take(path: &Path, operation: FlockOperation) -> io::Result<Option<Self>> {
        let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = open.map_err(|error| naming(path, &error))?;
        loop {
            match flock(&file, operation) {
                Ok(()) => return Ok(Some(Self { _file: file })),
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(naming(path, &error.into())),
            }
        }
    }
}

/// `path` with `suffix` after its name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_private_and_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "a longer old text").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        write_private(&path, b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(dir.path()), ["f"], "no temporary file is left");
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, path) = (dir.path().join("victim"), dir.path().join("f"));
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        write_private(&path, b"new").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert!(!fs::symlink_metadata(&path).unwrap().is_symlink());
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_and_no_litter() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::create_dir(&path).unwrap();
        let error = write_private(&path, b"new").unwrap_err();
        assert!(error.to_string().contains("/f: "), "{error}");
        assert_eq!(names(dir.path()), ["f"]);
        assert!(write_private(&dir.path().join("none/f"), b"").is_err());
    }

    #[test]
    fn a_write_that_was_torn_leaves_the_old_readable() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write_private(&path, b"old").unwrap();
        // What a crash between writing and renaming leaves behind.
        fs::write(dir.path().join(".f.0123456789abcdef.tmp"), "ne").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        write_private(&path, b"newer").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "newer");
    }

    #[test]
    fn a_lock_is_one_holders_until_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = Lock::try_exclusive(&path).unwrap();
        assert!(held.is_some());
        assert!(Lock::try_exclusive(&path).unwrap().is_none());
        drop(held);
        assert!(Lock::try_exclusive(&path).unwrap().is_some());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
