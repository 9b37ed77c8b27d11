//! How a silence stands at each replica of an Alertmanager: looked at before it is changed, after an answer that says nothing, and for the
//! preview.

use super::Clients;
use super::preflight::{Check, Finding};
use crate::client::ClientError;
use crate::model::alertmanager as wire;
use crate::model::{Act, Interner, Plan, Silence, SilenceState, SilenceWrite, Step, Time};
use crate::reach::Alertmanager;
use futures::future::join_all;

/// What one replica knows of the silence that a change is about.
#[derive(Debug)]
pub(super) enum Seen {
    /// It is as the change leaves it; the silence's id.
    Done(String),
    /// It can be changed; as it is, where it is there.
    Open(Option<wire::Silence>),
    /// It is no longer as it was planned, in words.
    Drifted(String),
    Silent(ClientError),
}

impl Seen {
    pub fn answers(&self) -> bool {
        !matches!(self, Self::Silent(_))
    }
}

/// Asks every replica. `creator`: who carries it out.
pub(super) async fn look(am: &Alertmanager, write: &SilenceWrite, creator: &str) -> Vec<Seen> {
    let all = 0..am.replicas().len();
    let SilenceWrite::Add { body } = write else { return join_all(all.map(|n| look_at(am, n, write, creator))).await };
    let known = join_all(all.map(|n| am.silences(n))).await;
    let read = |s: &wire::Silence| Silence::of(s, &mut Interner::default());
    // A peer that has not heard of its end yet takes it for one that is there.
    let over = |s: &Silence| {
        let theirs = known.iter().flatten().flatten();
        theirs.filter(|t| *t.id == *s.meta.name).filter_map(read).any(|t| t.state == SilenceState::Expired)
    };
    let seen = |answer: &Result<Vec<wire::Silence>, ClientError>| match answer {
        Ok(all) => match all.iter().filter_map(read).find(|s| body.same(s, creator) && !over(s)) {
            Some(there) => Seen::Done(there.meta.name.to_string()),
            None => Seen::Open(None),
        },
        Err(e) => Seen::Silent(e.clone()),
    };
    known.iter().map(seen).collect()
}

async fn look_at(am: &Alertmanager, replica: usize, write: &SilenceWrite, creator: &str) -> Seen {
    let read = |s: &wire::Silence| Silence::of(s, &mut Interner::default());
    match write {
        SilenceWrite::Add { .. } => Seen::Open(None),
        SilenceWrite::End { id, was, ends } => match am.silence(replica, id).await {
            Ok(Some(raw)) => match read(&raw) {
                Some(s) => ending(&s, id, *was, *ends).unwrap_or(Seen::Open(Some(raw))),
                None => Seen::Open(None),
            },
            Ok(None) => Seen::Open(None),
            Err(e) => Seen::Silent(e),
        },
        SilenceWrite::Expire { id, body } => {
            let found = match id.as_str() {
                "" => am.silences(replica).await.map(|all| all.into_iter().find(|s| read(s).is_some_and(|s| body.same(&s, creator)))),
                id => am.silence(replica, id).await,
            };
            match found {
                Ok(Some(raw)) => match read(&raw) {
                    Some(s) if s.state == SilenceState::Expired => Seen::Done(raw.id),
                    // Somebody wanted it longer, or shorter.
                    Some(s) if s.ends.map(Time::secs) != Some(body.ends) => Seen::Drifted(moved(s.ends, Some(body.ends))),
                    _ => Seen::Open(Some(raw)),
                },
                Ok(None) => Seen::Open(None),
                Err(e) => Seen::Silent(e),
            }
        }
    }
}

fn ending(s: &Silence, id: &str, was: i64, ends: i64) -> Option<Seen> {
    let end = s.ends.map(Time::secs);
    match s.state {
        SilenceState::Expired => Some(Seen::Drifted("it has ended".to_owned())),
        _ if end == Some(ends) => Some(Seen::Done(id.to_owned())),
        _ if end != Some(was) => Some(Seen::Drifted(moved(s.ends, Some(was)))),
        _ => None,
    }
}

fn moved(is: Option<Time>, was: Option<i64>) -> String {
    let words = |t: Option<Time>| t.map_or_else(|| "never".to_owned(), Time::rfc3339);
    format!("its end is {}, it was {}", words(is), words(was.and_then(Time::from_secs)))
}

/// What is the same for all replicas: they refuse us, or none answers.
pub(super) fn refused(seen: &[Seen]) -> Option<&ClientError> {
    let errors: Vec<&ClientError> = seen.iter().filter_map(|s| if let Seen::Silent(e) = s { Some(e) } else { None }).collect();
    errors.iter().find(|e| e.is_auth() || matches!(e, ClientError::Forbidden { .. })).copied().filter(|_| errors.len() == seen.len())
}

/// The checks of a plan's silences, each once a cluster.
pub(super) async fn checks(plan: &Plan, clients: &Clients) -> Vec<Check> {
    let silences = plan.steps.iter().filter_map(|s| if let Act::Silence(write) = &s.act { Some((s, write)) } else { None });
    join_all(silences.map(|(step, write)| check(step, write, plan.resumes, clients))).await
}

async fn check(step: &Step, write: &SilenceWrite, resumes: bool, clients: &Clients) -> Check {
    let mut check =
        Check { cluster: step.target.cluster, text: format!("Alertmanager: {}", step.text), finding: Finding::Fine, warnings: Vec::new() };
    let am = match clients.alerts(step.target.cluster) {
        Ok(am) => am,
        Err(why) => {
            check.finding = Finding::Invalid(why);
            return check;
        }
    };
    // Who carries it out is not known yet; a silence just like it is nobody's mistake.
    let seen = look(am, write, "").await;
    let drifted = seen.iter().find_map(|s| if let Seen::Drifted(why) = s { Some(why.clone()) } else { None });
    let nowhere = write.id().is_some() && seen.iter().all(|s| matches!(s, Seen::Open(None))) && !seen.is_empty();
    let done = seen.iter().any(|s| matches!(s, Seen::Done(_)));
    let silent = seen.iter().find_map(|s| if let Seen::Silent(e) = s { Some(e) } else { None });
    check.finding = match (refused(&seen), drifted, silent) {
        (Some(e), ..) => Finding::Forbidden(e.reason()),
        (_, Some(why), _) => Finding::Drifted(why),
        _ if nowhere => Finding::Drifted("it is gone".to_owned()),
        _ if done && !resumes && !matches!(write, SilenceWrite::Add { .. }) => Finding::Drifted("it is so already".to_owned()),
        // Silences that cannot be listed can be set all the same.
        (_, _, Some(ClientError::Server { .. })) if matches!(write, SilenceWrite::Add { .. }) => Finding::Fine,
        (_, _, Some(e)) if seen.iter().all(|s| !s.answers()) => Finding::Invalid(format!("no Alertmanager answers: {}", e.reason())),
        _ => Finding::Fine,
    };
    for (n, name) in am.replicas().enumerate() {
        match (&seen[n], am.apart(n).await) {
            (Seen::Silent(e), _) => check.warnings.push(format!("{name}: {}", e.reason())),
            (_, Ok(Some(why))) => check.warnings.push(format!("{name} does not tell its peers: {why}")),
            (_, Ok(None) | Err(_)) => {}
        }
    }
    check
}
