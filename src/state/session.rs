//! The session's file: a version and whatever the front end wants to find again.

use std::fs;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::file::{with_suffix, write_private};
use crate::diag::Diag;

/// How many files that could not be read are kept beside the session's.
const SET_ASIDE: u32 = 5;

/// The state `T` of a front end, kept as JSON.
#[derive(Clone, Debug)]
pub struct Session<T> {
    path: PathBuf,
    version: u32,
    state: PhantomData<fn() -> T>,
}

#[derive(Deserialize)]
struct Stored {
    version: u32,
    state: Box<RawValue>,
}

#[derive(Serialize)]
struct Storing<'a, T> {
    version: u32,
    state: &'a T,
}

impl<T> Session<T> {
    /// The session in the file `path`. `version` is that of the shape of `T`: raise it when an older program would
    /// misread what this one writes, and let `T` have defaults for what older ones did not write.
    pub fn new(path: PathBuf, version: u32) -> Self {
        Self { path, version, state: PhantomData }
    }
}

impl<T: DeserializeOwned> Session<T> {
    /// What was saved last, if anything. What cannot be read, or is of a newer version, is renamed, and the warning
    /// says where it is now and why.
    pub fn load(&self) -> (Option<T>, Option<Diag>) {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (None, None),
            Err(error) => {
                return (None, Some(self.warning(&format!("the last session cannot be read: {error}"))));
            }
        };
        match self.read(&bytes) {
            Ok(state) => (Some(state), None),
            Err(why) => (None, Some(self.set_aside(&why))),
        }
    }

    fn read(&self, bytes: &[u8]) -> Result<T, String> {
        let stored: Stored = serde_json::from_slice(bytes).map_err(|error| format!("is damaged ({error})"))?;
        if stored.version > self.version {
            return Err(format!("was written by a newer qd (version {}, this one reads {})", stored.version, self.version));
        }
        serde_json::from_str(stored.state.get()).map_err(|error| format!("is not understood ({error})"))
    }

    fn set_aside(&self, why: &str) -> Diag {
        let names = (1..=SET_ASIDE).map(|number| with_suffix(&self.path, &format!(".set-aside-{number}")));
        // The oldest go when there are too many.
        let free = names.clone().find(|name| !name.exists());
        let Some(aside) = free.or_else(|| names.min_by_key(|name| modified(name))) else {
            return self.warning(&format!("the last session {why}"));
        };
        match fs::rename(&self.path, &aside) {
            Ok(()) => self.warning(&format!("the last session {why}; starting afresh")).hint(format!("it is kept in {}", aside.display())),
            Err(error) => self.warning(&format!("the last session {why}, and cannot be set aside: {error}")),
        }
    }

    fn warning(&self, message: &str) -> Diag {
        Diag::warning(message).in_file(&self.path)
    }
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

impl<T: Serialize> Session<T> {
    /// Keeps `state` for the next start, privately and whole or not at all.
    pub fn save(&self, state: &T) -> io::Result<()> {
        let json = serde_json::to_vec_pretty(&Storing { version: self.version, state })?;
        write_private(&self.path, &json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Screen {
        name: String,
        #[serde(default)]
        wide: bool,
    }

    fn session(dir: &Path, version: u32) -> Session<Screen> {
        Session::new(dir.join("session.json"), version)
    }

    #[test]
    fn what_was_saved_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let session = session(dir.path(), 3);
        assert_eq!(session.load(), (None, None), "the first start");
        session.save(&Screen { name: "pods".into(), wide: true }).unwrap();
        assert_eq!(session.load(), (Some(Screen { name: "pods".into(), wide: true }), None));
        let mode = fs::metadata(dir.path().join("session.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn an_older_version_is_read_with_defaults() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("session.json"), r#"{"version": 1, "state": {"name": "hpa"}}"#).unwrap();
        assert_eq!(session(dir.path(), 2).load(), (Some(Screen { name: "hpa".into(), wide: false }), None));
    }

    #[test]
    fn a_newer_a_torn_and_a_strange_state_are_set_aside_and_said_so() {
        let cases = [
            (r#"{"version": 9, "state": {"anything": 1}}"#, "was written by a newer qd (version 9, this one reads 2)"),
            (r#"{"version": 2, "state": {"name": "po"#, "is damaged"),
            (r#"{"version": 2, "state": {"name": 5}}"#, "is not understood"),
            ("", "is damaged"),
        ];
        for (text, why) in cases {
            let dir = tempfile::tempdir().unwrap();
            let session = session(dir.path(), 2);
            fs::write(dir.path().join("session.json"), text).unwrap();
            let (state, diag) = session.load();
            assert_eq!(state, None);
            let said = diag.unwrap().to_string();
            assert!(said.contains(why) && said.contains("session.json.set-aside-1"), "{said}");
            let kept = fs::read_to_string(dir.path().join("session.json.set-aside-1")).unwrap();
            assert_eq!(kept, text);
            session.save(&Screen { name: "pods".into(), wide: false }).unwrap();
            assert!(session.load().0.is_some(), "and the next start is well");
        }
    }

    #[test]
    fn only_a_few_are_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..8 {
            fs::write(dir.path().join("session.json"), "torn").unwrap();
            assert!(session(dir.path(), 1).load().1.is_some());
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 5);
    }
}
