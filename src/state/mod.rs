//! What `qd` keeps between runs: one private directory, written atomically.
//!
//! Owns where the directory is, how files in it are written (0600, whole or not at all), locks, the session's file,
//! the log file, the audit log's files and crash reports. What the session holds is `app`'s; what is logged is the callers'.

mod file;
mod journal;
mod log;
mod session;

use std::io;
use std::path::{Path, PathBuf};

pub use file::{Lock, write_private, write_whole};
pub use journal::{BadLine, History, Journal};
pub use log::LogFile;
pub use session::Session;

use file::{create_private_dir, naming};

/// The directory of our files, 0700.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// The directory that `QD_STATE_DIR` names, or else the platform's for state (`XDG_STATE_HOME`); created if need be.
    pub fn open() -> io::Result<Self> {
        if let Some(path) = std::env::var_os("QD_STATE_DIR").filter(|path| !path.is_empty()) {
            return Self::at(Path::new(&path));
        }
        let dirs = directories::ProjectDirs::from("", "", "qd")
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no home directory; QD_STATE_DIR can name one for state"))?;
        let state = Self::at(dirs.state_dir().unwrap_or_else(|| dirs.data_local_dir()))?;
        // This one is ours alone, whoever made it; a directory that the environment names may be somebody's.
        file::restrict(&state.path, 0o700)?;
        Ok(state)
    }

    /// The directory `path`, created with 0700 if need be.
    pub fn at(path: &Path) -> io::Result<Self> {
        create_private_dir(path)?;
        Ok(Self { path: path.to_owned() })
    }

    /// Where the file `name` is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The session of one front end, in the file `name`; `version` is that of the state's shape.
    pub fn session<T>(&self, name: &str, version: u32) -> Session<T> {
        Session::new(self.path(name), version)
    }

    /// The lock `name`, if nobody else has it.
    pub fn try_lock(&self, name: &str) -> io::Result<Option<Lock>> {
        Lock::try_exclusive(&self.path(name))
    }

    /// The audit log.
    pub fn journal(&self) -> Journal {
        Journal::at(self.path("audit.jsonl"))
    }

    /// The log file, opened to append.
    pub fn log(&self) -> io::Result<LogFile> {
        LogFile::open(&self.path("qd.log"), log::MAX_BYTES)
    }

    /// Writes a crash report and says where it is.
    pub fn write_crash_report(&self, report: &str) -> io::Result<PathBuf> {
        let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
        let path = self.path(&format!("crash-{now}-{}.txt", std::process::id()));
        write_private(&path, report.as_bytes()).map_err(|error| naming(&path, &error))?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_directory_and_what_is_in_it_are_private() {
        let temp = tempfile::tempdir().unwrap();
        let state = StateDir::at(&temp.path().join("a/b")).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&temp.path().join("a")), mode(&temp.path().join("a/b"))), (0o700, 0o700));
        let crash = state.write_crash_report("it fell").unwrap();
        assert_eq!(mode(&crash), 0o600);
        assert_eq!(std::fs::read_to_string(&crash).unwrap(), "it fell");
        assert!(crash.file_name().unwrap().to_str().unwrap().starts_with("crash-2"));
    }

    #[test]
    fn a_directory_that_somebody_has_is_used_as_it_is() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::set_permissions(temp.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        StateDir::at(temp.path()).unwrap();
        assert_eq!(std::fs::metadata(temp.path()).unwrap().permissions().mode() & 0o777, 0o755);
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("file");
        std::fs::write(&path, "").unwrap();
        let error = StateDir::at(&path.join("state")).unwrap_err();
        assert!(error.to_string().contains("file/state"), "{error}");
    }
}
