//! Where a context comes from, so that it can be read again: credentials change in the kubeconfig while we run, and in the files that it
//! names. Who is refused looks there before giving up.

use super::{
    kubeconfig::{merged, resolved},
    reach::{ProxyEnv, Reach},
};
use std::{path::PathBuf, time::SystemTime};

/// A context of these files, as it was asked for.
pub(super) struct Origin {
    pub files: Vec<PathBuf>,
    pub context: String,
    pub as_user: Option<String>,
    pub as_groups: Vec<String>,
    pub proxies: ProxyEnv,
}

/// When files were last written; none where there is no such file.
pub(super) type Stamp = Vec<Option<SystemTime>>;

impl Origin {
    /// What the files say by now, if it can be used and differs from `old`. Another server is another cluster, which this one never becomes.
    pub fn again(&self, old: &Reach) -> Option<Reach> {
        let (config, _) = merged(&self.files).ok()?;
        let new = resolved(&config, &self.context, &self.files, self.as_user.as_deref(), &self.as_groups, &self.proxies).ok()?;
        (new.uri == old.uri && new.key() != old.key()).then_some(new)
    }

    /// Changes when one of the files does, those of the credentials among them.
    pub async fn stamp(&self, reach: &Reach) -> Stamp {
        let user = &reach.user;
        let named = [&user.client_certificate, &user.client_key, &user.token_file].into_iter().flatten().map(PathBuf::from);
        let mut stamp = Stamp::new();
        for file in self.files.iter().cloned().chain(named) {
            stamp.push(tokio::fs::metadata(file).await.and_then(|m| m.modified()).ok());
        }
        stamp
    }
}
