//! A silence: sent to one replica of the Alertmanager, which tells its peers. Another one is asked only when it is certain that the first
//! has not had it; after an answer that says nothing it is looked for before anything else.

use super::super::silencing::{Seen, look, refused};
use super::write::pause;
use super::{Ended, Run, Why};
use crate::client::{ClientError, WriteAnswer};
use crate::model::{Matcher, SilenceWrite, Step, StepState, Time, time};
use crate::reach::Silencer;
use serde_json::json;
use std::time::Duration;

/// Rounds over the replicas, and looks after an answer that says nothing.
const TRIES: u32 = 4;
/// Looks at peers until they have heard of it, and the time between.
const LOOKS: u32 = 10;
const LOOK: Duration = Duration::from_millis(500);
/// Clocks that differ by more than this are told, in seconds.
const SKEW: i64 = 30;

/// What came of one round over the replicas.
enum Sent {
    /// By that replica.
    Taken(usize, WriteAnswer),
    /// Nobody has had it; why.
    Nobody(String),
    /// That replica may have it; why that is not known.
    Perhaps(usize, String),
    Ended(Ended),
}

impl Run {
    pub(super) async fn silence(&self, at: usize, step: &Step, write: &SilenceWrite) -> Ended {
        let am = self.clients.silencer(step.target.cluster).map_err(|why| (Why::Failed, why))?;
        let (mut tries, mut doubt) = (0, None::<(usize, String)>);
        loop {
            self.turn().await?;
            let seen = look(am.reader(), write, &self.who).await;
            if let Some(Seen::Done(id)) = seen.iter().find(|s| matches!(s, Seen::Done(_))) {
                self.note(at, id);
                return Ok(if doubt.is_some() { format!("done, as was seen: {id}") } else { format!("was so already: {id}") });
            }
            if let Some(Seen::Drifted(why)) = seen.iter().find(|s| matches!(s, Seen::Drifted(_))) {
                return Err((Why::Blocked, why.clone()));
            }
            if let Some(e) = refused(&seen) {
                let class = if doubt.is_some() { Why::Unknown } else { Why::Failed };
                return Err((class, e.reason()));
            }
            // Who may have had it and does not say so may do it yet: a silence that is sent again would be there twice. What else is sent
            // again is the same.
            let safe = !matches!(write, SilenceWrite::Add { .. }) || doubt.as_ref().is_none_or(|(n, _)| seen[*n].answers());
            // Where it was sent by a job before this one nobody remembers to whom.
            let safe = safe && (!self.plan.resumes || seen.iter().any(Seen::answers));
            let sent = if safe { self.round(at, &am, write, &seen).await } else { Sent::Nobody("no answer".to_owned()) };
            match sent {
                Sent::Taken(n, answer) => return self.settled(at, &am, write, n, &answer).await,
                Sent::Ended(ended) => return ended,
                Sent::Perhaps(n, why) => doubt = Some((n, why)),
                Sent::Nobody(why) if tries + 1 >= TRIES && doubt.is_none() => {
                    return Err((Why::Failed, format!("nothing was sent: {why}")));
                }
                Sent::Nobody(_) => {}
            }
            tries += 1;
            if tries >= TRIES {
                let (n, why) = doubt.unwrap_or_default();
                let name = am.reader().replicas().nth(n).unwrap_or_default();
                return Err((Why::Unknown, format!("{name}: {why}; it may be there: qd silence list")));
            }
            self.rest(pause(tries)).await?;
        }
    }

    /// Asks one replica after the other, those that answer first.
    async fn round(&self, at: usize, am: &Silencer, write: &SilenceWrite, seen: &[Seen]) -> Sent {
        let mut order: Vec<usize> = (0..seen.len()).collect();
        order.sort_by_key(|n| match &seen[*n] {
            Seen::Open(Some(_)) => 0,
            Seen::Open(None) => 1,
            _ => 2,
        });
        let known = seen.iter().find_map(|s| if let Seen::Open(Some(silence)) = s { Some(silence) } else { None });
        let (mut why, mut gone) = ("no replica".to_owned(), false);
        for n in order {
            let answer = {
                let _place = self.requests.acquire().await;
                match (write, known) {
                    (SilenceWrite::Add { body }, _) => am.set(n, &body.json(&self.who), &self.receipt).await,
                    (SilenceWrite::End { ends, .. }, Some(silence)) => am.end(n, silence, *ends, &self.receipt).await,
                    (SilenceWrite::Expire { .. }, Some(silence)) => am.expire(n, &silence.id, &self.receipt).await,
                    _ if seen.iter().all(Seen::answers) => {
                        gone = true;
                        break;
                    }
                    _ => return Sent::Nobody("it cannot be looked at".to_owned()),
                }
            };
            match answer {
                Ok(answer) => {
                    self.tell(at, StepState::Running, Some(&answer));
                    match answer.code {
                        200..300 => return Sent::Taken(n, answer),
                        // A peer that has not heard of it yet.
                        404 if !matches!(write, SilenceWrite::Add { .. }) => gone = true,
                        429 => return Sent::Nobody(answer.message()),
                        500.. => return Sent::Perhaps(n, answer.message()),
                        _ => return Sent::Ended(Err((Why::Failed, answer.message()))),
                    }
                }
                Err(e) if e.never_sent() => why = e.reason(),
                Err(e) if e.is_auth() || matches!(e, ClientError::Config { .. }) => return Sent::Ended(Err((Why::Failed, e.reason()))),
                Err(e) => return Sent::Perhaps(n, e.reason()),
            }
        }
        match (gone, write) {
            (true, SilenceWrite::Expire { .. }) => Sent::Ended(Ok("gone already".to_owned())),
            (true, _) => Sent::Ended(Err((Why::Blocked, "it is gone".to_owned()))),
            _ => Sent::Nobody(why),
        }
    }

    /// It was taken: whether it is what was meant, and whether the peers have heard of it.
    async fn settled(&self, at: usize, am: &Silencer, write: &SilenceWrite, replica: usize, answer: &WriteAnswer) -> Ended {
        let id = answer.body["silenceID"].as_str().or(write.id()).unwrap_or_default().to_owned();
        let mut words = vec![if id.is_empty() { "done".to_owned() } else { format!("silence {id}") }];
        if let (SilenceWrite::Add { body }, Ok(Some(there))) = (write, am.reader().silence(replica, &id).await) {
            let mut is: Vec<Matcher> = there.matchers.iter().map(Matcher::from).collect();
            let mut wanted = body.matchers.clone();
            (is.sort(), wanted.sort());
            if is != wanted {
                // What is too much is taken away at once: it hides what nobody meant.
                let taken = am.expire(replica, &id, &self.receipt).await.is_ok_and(|a| a.ok());
                let end = if taken { "it was ended at once" } else { "and it could not be ended" };
                return Err((
                    Why::Failed,
                    format!("silence {id} is not what was sent, {end}: this Alertmanager is older than 0.22, which knows no != and !~"),
                ));
            }
            let skew = time::of(there.updated_at).map_or(0, |t| Time::secs(t) - super::unix());
            if skew.abs() > SKEW {
                words.push(format!("its clock is {} s {} ours", skew.abs(), if skew > 0 { "ahead of" } else { "behind" }));
            }
        }
        words.extend(self.unheard(at, am, write, &id).await);
        Ok(words.join("; "))
    }

    /// The peers that have not heard of it after a while, and why, in words.
    async fn unheard(&self, at: usize, am: &Silencer, write: &SilenceWrite, id: &str) -> Vec<String> {
        // What was given another id is looked for under that.
        let now = write.clone().of(id);
        for tries in 1.. {
            let seen = look(am.reader(), &now, &self.who).await;
            let missing: Vec<(String, &Seen)> = am.reader().replicas().zip(&seen).filter(|(_, s)| !matches!(s, Seen::Done(_))).collect();
            // One that does not answer is not waited for.
            if missing.iter().all(|(_, s)| !s.answers()) || tries >= LOOKS {
                let why = |s: &Seen| match s {
                    Seen::Silent(e) => format!("does not answer: {}", e.reason()),
                    _ => "has not heard of it".to_owned(),
                };
                return missing.iter().map(|(name, s)| format!("{name} {}", why(s))).collect();
            }
            if tries == 1 {
                self.tell(at, StepState::Waits("its peers are to hear of it".to_owned()), None);
            }
            tokio::time::sleep(LOOK).await;
        }
        Vec::new()
    }

    /// Writes down which silence it is, so that undo finds it.
    fn note(&self, at: usize, id: &str) {
        let answer = WriteAnswer { body: json!({"silenceID": id}), ..WriteAnswer::default() };
        self.tell(at, StepState::Running, Some(&answer));
    }
}
