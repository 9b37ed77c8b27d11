//! What the process needs before the first connection: open files and a TLS provider.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

static ORIGINAL: OnceLock<Rlimit> = OnceLock::new();
/// Enough for any fleet; some kernels refuse "unlimited" here.
const WANTED: u64 = 1 << 20;

/// Raises the soft limit of open files to the hard one (a watch is a socket: 25 kinds on 40 clusters are 1,000) and
/// gives the limit that is now in force. What cannot be raised stays as it is.
pub fn raise_nofile_limit() -> u64 {
    let now = getrlimit(Resource::Nofile);
    let original = ORIGINAL.get_or_init(|| now);
    let wanted = now.maximum.map_or(WANTED, |hard| hard.min(WANTED));
    let current = now.current.unwrap_or(u64::MAX);
    if current >= wanted || setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..*original }).is_err() {
        return current;
    }
    wanted
}

/// The limit that children should have: some programs misbehave with a large one.
pub(super) fn original_nofile() -> Option<Rlimit> {
    ORIGINAL.get().map(|limit| Rlimit { current: limit.current, maximum: limit.maximum })
}

/// Makes ring the TLS provider of the process; once is enough, more is harmless.
pub fn install_crypto_provider() {
    // An error says that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_and_the_original_remembered() {
        let before = getrlimit(Resource::Nofile).current;
        let raised = raise_nofile_limit();
        assert_eq!(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX), raised);
        assert!(before.is_none_or(|before| raised >= before));
        assert_eq!(raise_nofile_limit(), raised, "twice is the same");
        assert!(original_nofile().is_some());
        install_crypto_provider();
        install_crypto_provider();
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }
}
