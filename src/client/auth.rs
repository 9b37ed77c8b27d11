//! Who we are to a server, as kubectl has it: token file before token, password, OIDC, exec plugin. Client certificates
//! belong to the connection: `reach` reads them.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use super::{
    error::{ClientError, printable, shorten},
    exec::{Credential, ExecPool, ExecSpec},
    oidc::Oidc,
    reach::Reach,
};

/// How long a token file is trusted unread, as in kubectl.
const FILE_AGE: Duration = Duration::from_secs(60);

pub(super) enum Auth {
    Nobody,
    Fixed(HeaderValue),
    File(TokenFile),
    Oidc(Oidc),
    Exec { cluster: String, pool: ExecPool, spec: ExecSpec },
}

/// What to send, and what to remember in case it is refused.
pub(super) struct Grant {
    pub header: Option<HeaderValue>,
    pub exec: Option<Arc<Credential>>,
    /// An issuer's.
    token: Option<SecretString>,
}

/// Whether there may be another credential than the one that was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Another {
    Now,
    /// Nobody is asked for one sooner.
    In(Duration),
    No,
}

impl Another {
    /// Nobody is asked again within `pause` after `when`.
    pub fn after(when: Option<Instant>, pause: Duration) -> Self {
        let left = when.map_or(Duration::ZERO, |when| pause.saturating_sub(when.elapsed()));
        if left.is_zero() { Self::Now } else { Self::In(left) }
    }
}

impl Auth {
    pub fn new(cluster: &str, reach: &Reach, pool: &ExecPool) -> Result<Self, ClientError> {
        let user = &reach.user;
        let token = user.token.as_ref().filter(|t| !t.expose_secret().is_empty());
        if let Some(path) = &user.token_file {
            return Ok(Self::File(TokenFile::new(path.into(), token.cloned())));
        }
        if let Some(token) = token {
            return bearer(token).map(Self::Fixed);
        }
        if let (Some(name), Some(password)) = (&user.username, &user.password)
            && !name.is_empty()
        {
            let pair = STANDARD.encode(format!("{name}:{}", password.expose_secret()));
            return header(format!("Basic {pair}")).map(Self::Fixed);
        }
        if let Some(spec) = &reach.oidc {
            return Ok(Self::Oidc(pool.issuers().of(spec.clone())));
        }
        Ok(match &reach.exec {
            Some(spec) => Self::Exec { cluster: cluster.to_owned(), pool: pool.clone(), spec: spec.clone() },
            None => Self::Nobody,
        })
    }

    /// The credential to use now; may run a plugin or ask an issuer.
    pub async fn grant(&self) -> Result<Grant, ClientError> {
        let (mut exec, mut token) = (None, None);
        let header = match self {
            Self::Nobody => None,
            Self::Fixed(header) => Some(header.clone()),
            Self::File(file) => Some(bearer(&file.token(FILE_AGE).await?)?),
            Self::Oidc(oidc) => {
                let id = oidc.token().await?;
                let header = bearer(&id)?;
                token = Some(id);
                Some(header)
            }
            Self::Exec { cluster, pool, spec } => {
                let credential = pool.get(spec).await.map_err(|error| error.of(cluster))?;
                let header = credential.token.as_ref().map(bearer).transpose()?;
                exec = Some(credential);
                header
            }
        };
        Ok(Grant { header, exec, token })
    }

    /// What went wrong beside the requests, for people; each once.
    pub fn told(&self) -> Option<String> {
        match self {
            Self::Oidc(oidc) => oidc.told(),
            _ => None,
        }
    }

    /// The server refused `grant`: whether another one is worth a try.
    pub async fn refused(&self, grant: &Grant) -> Another {
        match self {
            Self::File(file) => match file.token(Duration::ZERO).await {
                Ok(token) if bearer(&token).ok() != grant.header => Another::Now,
                _ => Another::No,
            },
            Self::Exec { pool, spec, .. } => match &grant.exec {
                Some(credential) => pool.refused(spec, credential.serial).await,
                None => Another::No,
            },
            Self::Oidc(oidc) => match &grant.token {
                Some(token) => oidc.refused(token).await,
                None => Another::No,
            },
            _ => Another::No,
        }
    }
}

fn bearer(token: &SecretString) -> Result<HeaderValue, ClientError> {
    header(format!("Bearer {}", token.expose_secret().trim()))
}

fn header(value: String) -> Result<HeaderValue, ClientError> {
    let mut value =
        HeaderValue::try_from(value).map_err(|_| unauthorized("the token or password holds characters that a header may not"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn unauthorized(reason: impl Into<String>) -> ClientError {
    ClientError::Unauthorized { reason: reason.into() }
}

/// A token that somebody else keeps fresh in a file.
pub(super) struct TokenFile {
    path: PathBuf,
    last: Mutex<Option<(SecretString, Instant)>>,
    fallback: Option<SecretString>,
}

impl TokenFile {
    pub fn new(path: PathBuf, fallback: Option<SecretString>) -> Self {
        Self { path, last: Mutex::new(None), fallback }
    }

    /// The token, read again when what we have is older than `age`. A file that has gone leaves the last one in force.
    pub async fn token(&self, age: Duration) -> Result<SecretString, ClientError> {
        let mut last = self.last.lock().await;
        if let Some((token, read)) = last.as_ref()
            && read.elapsed() < age
        {
            return Ok(token.clone());
        }
        let kept = last.as_ref().map(|(token, _)| token).or(self.fallback.as_ref());
        let token = match (tokio::fs::read_to_string(&self.path).await, kept) {
            (Ok(text), _) if !text.trim().is_empty() => SecretString::from(text.trim()),
            (_, Some(kept)) => kept.clone(),
            (Ok(_), None) => {
                return Err(unauthorized(format!("token file {} is empty", self.path.display())));
            }
            (Err(error), None) => {
                let words = format!("token file {}: {}", self.path.display(), error.kind());
                return Err(unauthorized(shorten(&printable(&words), 160)));
            }
        };
        *last = Some((token.clone(), Instant::now()));
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_token_file_is_read_again_when_old_and_kept_when_it_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "one\n").unwrap();
        let file = TokenFile::new(path.clone(), None);
        let now = async |age| file.token(age).await.unwrap().expose_secret().to_owned();
        assert_eq!(now(FILE_AGE).await, "one");
        std::fs::write(&path, "two").unwrap();
        assert_eq!(now(FILE_AGE).await, "one");
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(now(Duration::from_millis(5)).await, "two");
        std::fs::write(&path, "three").unwrap();
        assert_eq!(now(Duration::ZERO).await, "three");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(now(Duration::ZERO).await, "three");
    }

    #[tokio::test]
    async fn a_token_file_that_never_was_names_itself() {
        let file = TokenFile::new("/nowhere/token".into(), None);
        let error = file.token(FILE_AGE).await.unwrap_err();
        assert!(error.to_string().contains("/nowhere/token"), "{error}");
        let fallback = TokenFile::new("/nowhere/token".into(), Some("inline".into()));
        assert_eq!(fallback.token(FILE_AGE).await.unwrap().expose_secret(), "inline");
    }
}
