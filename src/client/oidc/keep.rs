//! The kubeconfig's own copy of a user's tokens. An issuer that gives a new refresh token with each renewal has ended the old one:
//! kubectl, which reads the kubeconfig, would have to log in again. So it is written back as kubectl does, under kubectl's lock.
//!
//! The file belongs to its user. Only the tokens change, every other byte stays, and where that cannot be shown nothing is written.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::Value;

/// How long kubectl's lock is waited for. A kubectl that was killed leaves it for ever.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the kubeconfig has a user.
#[derive(Clone, Default)]
pub(in crate::client) struct Home {
    /// The first of them that has the user counts, as in kubectl.
    pub files: Vec<PathBuf>,
    pub user: String,
}

/// A user's tokens as a kubeconfig has them.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Kept {
    pub id: Option<String>,
    pub refresh: Option<String>,
}

impl Home {
    /// What the kubeconfig has by now; none when the user is not there any more, or is not this issuer's.
    pub(super) fn read(&self, issuer: &str, client: &str) -> Option<Kept> {
        let (_, _, document) = self.find()?;
        let config = settings(&document, &self.user)?;
        let same = word(config, "idp-issuer-url").map(|url| url.trim_end_matches('/').to_owned()).as_deref() == Some(issuer)
            && word(config, "client-id").as_deref() == Some(client);
        same.then(|| Kept { id: word(config, "id-token"), refresh: word(config, "refresh-token") })
    }

    /// Puts `new` where the kubeconfig has the refresh token `old`. `Err` says why that was not done.
    pub(super) fn write(&self, old: &str, new: &Kept) -> Result<(), String> {
        let (path, ..) = self.find().ok_or_else(|| format!("no file has the user {:?} any more", self.user))?;
        // A link stays one.
        let path = path.canonicalize().map_err(|error| error.kind().to_string())?;
        let _lock = Lock::take(&path)?;
        let text = fs::read_to_string(&path).map_err(|error| error.kind().to_string())?;
        let changed = replaced(&text, &self.user, old, new)?;
        put(&path, &changed).map_err(|error| format!("{}: {}", path.display(), error.kind()))
    }

    fn find(&self) -> Option<(&Path, String, Value)> {
        self.files.iter().find_map(|path| {
            let text = fs::read_to_string(path).ok()?;
            let document: Value = serde_saphyr::from_str(&text).ok()?;
            settings(&document, &self.user)?;
            Some((path.as_path(), text, document))
        })
    }
}

/// The settings of a user's `auth-provider`.
fn settings<'a>(document: &'a Value, user: &str) -> Option<&'a Value> {
    let users = document.get("users")?.as_array()?;
    let entry = users.iter().find(|entry| entry.get("name").and_then(Value::as_str) == Some(user))?;
    entry.pointer("/user/auth-provider/config")
}

fn word(config: &Value, key: &str) -> Option<String> {
    config.get(key)?.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The text with the tokens exchanged, if that changes exactly what it should.
fn replaced(text: &str, user: &str, old: &str, new: &Kept) -> Result<String, String> {
    let read = |text: &str| serde_saphyr::from_str::<Value>(text).map_err(|_| "it is no YAML by now".to_owned());
    let mut wanted = read(text)?;
    let config = settings(&wanted, user).ok_or("the user is not there any more")?;
    if word(config, "refresh-token").as_deref() != Some(old) {
        return Err("it has another refresh token by now, which is left alone".to_owned());
    }
    let old_id = word(config, "id-token");
    let mut pairs = vec![("refresh-token", old.to_owned(), new.refresh.clone())];
    pairs.extend(old_id.map(|id| ("id-token", id, new.id.clone())));
    let mut changed = text.to_owned();
    for (key, from, to) in pairs {
        let Some(to) = to else { continue };
        changed = changed.replace(&from, &to);
        // Users that share the token share the login.
        for entry in wanted.get_mut("users").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(value) = entry.pointer_mut("/user/auth-provider/config").and_then(|config| config.get_mut(key))
                && value.as_str().map(str::trim) == Some(&from)
            {
                *value = Value::String(to.clone());
            }
        }
    }
    if read(&changed)? != wanted {
        return Err("the tokens cannot be exchanged without changing more".to_owned());
    }
    Ok(changed)
}

/// As a whole or not at all, with 0600, and whoever owned it before.
fn put(path: &Path, text: &str) -> std::io::Result<()> {
    let owner = fs::metadata(path)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}.tmp", fastrand::u64(..)));
    let temporary = path.with_file_name(name);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        let ours = file.metadata()?;
        if (ours.uid(), ours.gid()) != (owner.uid(), owner.gid()) {
            std::os::unix::fs::chown(&temporary, Some(owner.uid()), Some(owner.gid()))?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
        return written;
    }
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// kubectl's lock of a kubeconfig: a file beside it that is there while somebody writes.
struct Lock(PathBuf);

impl Lock {
    fn take(path: &Path) -> Result<Self, String> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let (lock, begun) = (PathBuf::from(name), Instant::now());
        loop {
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&lock) {
                Ok(_) => return Ok(Self(lock)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists && begun.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(format!("{} is there", lock.display())),
                Err(error) => return Err(format!("{}: {}", lock.display(), error.kind())),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const TEXT: &str = "# mine\nusers:\n- name: other\n  user: {token: abc}\n- name: me # work\n  user:\n    auth-provider:\n      name: oidc\n      config:\n        id-token: \"old.id\"\n        refresh-token: old-refresh\n        idp-issuer-url: https://issuer/\n        client-id: qd\n";

    fn kept(id: &str, refresh: &str) -> Kept {
        Kept { id: Some(id.to_owned()), refresh: Some(refresh.to_owned()) }
    }

    fn home(dir: &Path, text: &str) -> Home {
        let file = dir.join("config");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        Home { files: vec![dir.join("none"), file], user: "me".to_owned() }
    }

    #[test]
    fn only_the_tokens_change() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(dir.path(), TEXT);
        home.write("old-refresh", &kept("new.id", "n3w")).unwrap();
        let expected = TEXT.replace("old.id", "new.id").replace("old-refresh", "n3w");
        assert_eq!(fs::read_to_string(&home.files[1]).unwrap(), expected);
        assert_eq!(fs::metadata(&home.files[1]).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "neither a lock nor a temporary file stays");
        assert!(home.read("https://issuer", "qd") == Some(kept("new.id", "n3w")));
        assert!(home.read("https://elsewhere", "qd").is_none());
    }

    #[test]
    fn what_cannot_be_done_cleanly_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        for (text, old, new, words) in [
            // The old one is a word of a name.
            (TEXT.replace("old-refresh", "me"), "me", "n3w", "changing more"),
            // The new one would be read as a number, or as more than one thing.
            (TEXT.to_owned(), "old-refresh", "123", "changing more"),
            (TEXT.to_owned(), "old-refresh", "a: b", "no YAML"),
            // Somebody else was first.
            (TEXT.to_owned(), "older", "n3w", "another refresh token"),
        ] {
            let home = home(dir.path(), &text);
            let said = home.write(old, &kept("new.id", new)).unwrap_err();
            assert!(said.contains(words), "{said}");
            assert_eq!(fs::read_to_string(&home.files[1]).unwrap(), text);
        }
        let home = home(dir.path(), TEXT);
        fs::write(dir.path().join("config.lock"), "").unwrap();
        let said = home.write("old-refresh", &kept("new.id", "n3w")).unwrap_err();
        assert!(said.contains("config.lock is there"), "{said}");
        assert_eq!(fs::read_to_string(&home.files[1]).unwrap(), TEXT);
        assert!(dir.path().join("config.lock").exists(), "somebody else's");
    }
}
