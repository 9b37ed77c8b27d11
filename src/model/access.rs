//! What a verb has to be allowed beside reading: one list, which the keys ask the cluster about and the pages tell in words.

use super::verb::On;
use super::{Kind, VerbId};

/// What a permission is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Of {
    /// The verb's own object.
    Target,
    /// The verb's own object, where it is of that kind.
    TargetIf(Kind),
    /// The verb's own object, where it is not of that kind.
    TargetUnless(Kind),
    /// Objects of that kind in the object's namespace.
    Beside(Kind),
    /// Objects of that kind, of which only the plan knows where they are.
    Elsewhere(Kind),
    /// Whatever the arguments name.
    Named,
    /// Silences at the cluster's Alertmanager, which no authorizer is asked about.
    Silences,
    /// Requests to Velero of that kind, by its plural, beside the object.
    Velero(&'static str),
}

/// A permission that a verb needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Access {
    /// As the authorizer is asked: `patch`.
    pub verb: &'static str,
    pub of: Of,
    pub subresource: Option<&'static str>,
    /// Only with this argument; empty: always.
    pub with: &'static str,
}

const fn access(verb: &'static str, of: Of) -> Access {
    Access { verb, of, subresource: None, with: "" }
}
const fn sub(verb: &'static str, of: Of, subresource: &'static str) -> Access {
    Access { subresource: Some(subresource), ..access(verb, of) }
}

const PATCH: &[Access] = &[access("patch", Of::Target)];

impl VerbId {
    /// The permissions that it needs beside reading.
    pub fn accesses(self) -> &'static [Access] {
        match self {
            Self::Scale => const { &[sub("patch", Of::Target, "scale")] },
            Self::Resize => const { &[sub("patch", Of::TargetIf(Kind::Pod), "resize"), access("patch", Of::TargetUnless(Kind::Pod))] },
            Self::Drain => {
                const {
                    &[
                        access("patch", Of::Target),
                        sub("create", Of::Elsewhere(Kind::Pod), "eviction"),
                        Access { with: "disable-eviction", ..access("delete", Of::Elsewhere(Kind::Pod)) },
                    ]
                }
            }
            Self::Evict => const { &[sub("create", Of::Target, "eviction")] },
            Self::Delete => const { &[access("delete", Of::Target)] },
            Self::Trigger | Self::RetryJob => const { &[access("create", Of::Beside(Kind::Job))] },
            Self::CreatePdb => const { &[access("create", Of::Beside(Kind::Pdb))] },
            Self::Silence => const { &[access("create", Of::Silences)] },
            Self::SilenceExtend => const { &[access("update", Of::Silences)] },
            Self::SilenceExpire => const { &[access("delete", Of::Silences)] },
            Self::Backup => const { &[access("create", Of::Elsewhere(Kind::Backup))] },
            Self::Restore => const { &[access("create", Of::Beside(Kind::Restore))] },
            Self::BackupDelete => const { &[access("create", Of::Velero("deletebackuprequests"))] },
            Self::BackupLogs => const { &[access("create", Of::Velero("downloadrequests"))] },
            _ if self.info().on == On::Etcd => &[],
            Self::Apply => const { &[access("patch", Of::Named), access("create", Of::Named)] },
            _ => PATCH,
        }
    }

    /// The same in words: `patch nodes, create pods/eviction; with disable-eviction delete pods`.
    pub fn needs(self) -> String {
        let on = self.info().on;
        if on == On::Etcd {
            return "a client certificate of etcd".to_owned();
        }
        let mut text = String::new();
        for a in self.accesses() {
            let what = match a.of {
                Of::Target => own(on, |_| true),
                Of::TargetIf(kind) => own(on, |k| k == kind),
                Of::TargetUnless(kind) => own(on, |k| k != kind),
                Of::Beside(kind) | Of::Elsewhere(kind) => kind.plural().to_owned(),
                Of::Named => "the objects that are named".to_owned(),
                Of::Silences => "silences at the Alertmanager".to_owned(),
                Of::Velero(plural) => plural.to_owned(),
            };
            let what = match a.subresource {
                Some(sub) if matches!(a.of, Of::Target) && !matches!(on, On::Kinds(_)) => format!("{what}'s {sub} subresource"),
                Some(sub) => format!("{what}/{sub}"),
                None => what,
            };
            let with = if a.with.is_empty() { String::new() } else { format!("with {} ", a.with) };
            let between = if text.is_empty() {
                ""
            } else if with.is_empty() {
                ", "
            } else {
                "; "
            };
            text.push_str(&format!("{between}{with}{} {what}", a.verb));
        }
        text
    }
}

/// The kinds that a verb is for, by their plurals.
fn own(on: On, which: impl Fn(Kind) -> bool) -> String {
    match on {
        On::Kinds(kinds) | On::OrCluster(kinds) => {
            let names: Vec<&str> = kinds.iter().filter(|k| which(**k)).map(|k| k.plural()).collect();
            match names.split_last() {
                Some((last, [])) => (*last).to_owned(),
                Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
                None => String::new(),
            }
        }
        _ => "the object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::VERBS;
    use super::*;

    #[test]
    fn the_words_come_from_the_list() {
        assert_eq!(VerbId::Drain.needs(), "patch nodes, create pods/eviction; with disable-eviction delete pods");
        assert_eq!(VerbId::Resize.needs(), "patch pods/resize, patch deployments, statefulsets or daemonsets");
        assert_eq!(VerbId::Scale.needs(), "patch the object's scale subresource");
        for verb in VERBS {
            assert!(verb.id.accesses().is_empty() == (verb.on == On::Etcd) && !verb.id.needs().contains("  "), "{}", verb.name);
            let with = verb.id.accesses().iter().map(|a| a.with).filter(|w| !w.is_empty());
            with.for_each(|w| assert!(verb.param(w).is_some(), "{} has no {w}", verb.name));
        }
    }
}
