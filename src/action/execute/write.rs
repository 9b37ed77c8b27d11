//! One request: looked at before, sent once, and after an answer that says nothing looked at again before anything else.

use super::super::preflight::{Looked, drift, look, reached, said};
use super::{Ended, Run, Why};
use crate::client::WriteAnswer;
use crate::model::{Method, Step, Write};
use serde_json::{Value, json};
use std::time::Duration;

/// Conflicts with somebody who writes other fields: tried again this often.
const CONFLICTS: u32 = 10;
/// Answers that say nothing, or that we shall come later.
const TRIES: u32 = 6;
/// The same where a kind is not served.
const SERVED: u32 = 2;
/// Waits while told to come later.
const LATER: Duration = Duration::from_secs(30);

impl Run {
    pub(super) async fn write(&self, at: usize, step: &Step, write: &Write) -> Ended {
        let client = self.clients.write(step.target.cluster).map_err(|why| (Why::Failed, why))?;
        let (mut conflicts, mut tries, mut doubt) = (0, 0, None::<String>);
        // The version at which a JSON patch was turned down.
        let mut declined = None::<String>;
        loop {
            self.turn().await?;
            let live = match self.look(step, write, doubt.as_deref()).await {
                Ok(live) => live,
                Err(Seen::Ended(ended)) => return ended,
                Err(Seen::Again(why)) => {
                    tries += 1;
                    if tries >= TRIES {
                        let class = if doubt.is_some() { Why::Unknown } else { Why::Failed };
                        return Err((class, doubt.map_or(why.clone(), |d| format!("{d}; and it cannot be looked at: {why}"))));
                    }
                    self.rest(pause(tries)).await?;
                    continue;
                }
            };
            let request = with_version(write, step, live.as_ref());
            let answer = {
                let _place = self.requests.acquire().await;
                client.send(&request, &self.receipt).await
            };
            match answer {
                Ok(answer) => {
                    self.tell(at, crate::model::StepState::Running, Some(&answer));
                    match answer.code {
                        200..300 => return Ok(words(&answer, step)),
                        404 if write.method == Method::Delete => return Ok("gone already".to_owned()),
                        // Its kind: a definition that is established is served a moment later.
                        404 if write.method == Method::Apply && tries < SERVED && answer.body["details"]["name"].is_null() => {
                            tries += 1;
                            self.rest(pause(tries)).await?;
                        }
                        404 if creates(write) => return Err((Why::Failed, said(&answer, step))),
                        404 => return Err((Why::Blocked, "it is gone".to_owned())),
                        409 if answer.reason() == "Conflict" && !answer.caused_by("FieldManagerConflict") && conflicts < CONFLICTS => {
                            conflicts += 1;
                            // Another field was written meanwhile; whether ours still stands is looked at.
                            self.rest(Duration::from_millis(20 + fastrand::u64(..50 << conflicts.min(4)))).await?;
                        }
                        409 if doubt.is_some() && answer.reason() == "AlreadyExists" => return Ok("created".to_owned()),
                        409 => return Err((Why::Blocked, said(&answer, step))),
                        // A test in it failed: if somebody wrote between look and patch, the version is another one by now.
                        422 if write.method == Method::JsonPatch && conflicts < CONFLICTS && version(live.as_ref()) != declined => {
                            conflicts += 1;
                            declined = version(live.as_ref());
                        }
                        429 if tries < TRIES => {
                            tries += 1;
                            self.rest(answer.retry_after.unwrap_or(pause(tries)).min(LATER)).await?;
                        }
                        429 => return Err((Why::Blocked, said(&answer, step))),
                        500.. if tries < TRIES => {
                            tries += 1;
                            doubt = Some(said(&answer, step));
                            self.rest(pause(tries)).await?;
                        }
                        500.. => return Err((Why::Unknown, said(&answer, step))),
                        _ => return Err((Why::Failed, said(&answer, step))),
                    }
                }
                Err(e) if e.is_auth() => return Err((Why::Failed, e.reason())),
                Err(e) => {
                    tries += 1;
                    if tries >= TRIES {
                        return Err((Why::Unknown, e.reason()));
                    }
                    doubt = Some(e.reason());
                    self.rest(pause(tries)).await?;
                }
            }
        }
    }

    /// The object as it is, or how the step has ended without a request. `doubt`: one was sent and its answer said nothing.
    async fn look(&self, step: &Step, write: &Write, doubt: Option<&str>) -> Result<Option<Value>, Seen> {
        let creates = creates(write);
        let needed = !step.changes.is_empty() || step.target.uid.is_some() || doubt.is_some();
        if !needed {
            return Ok(None);
        }
        let live = match look(step, &self.clients).await {
            Ok(live) => live,
            Err(Looked::Gone) if creates => return Ok(None),
            Err(Looked::Gone) if write.method == Method::Delete => return Err(Seen::Ended(Ok("gone already".to_owned()))),
            Err(Looked::Gone) => return Err(Seen::Ended(Err((Why::Blocked, "it is gone".to_owned())))),
            Err(Looked::Refused(why)) => {
                let class = if doubt.is_some() { Why::Unknown } else { Why::Failed };
                return Err(Seen::Ended(Err((class, why))));
            }
            Err(Looked::Unknown(why)) => return Err(Seen::Again(why)),
        };
        let reached = reached(step, &live);
        match drift(step, &live) {
            Some(_) if write.method == Method::Delete && live["metadata"]["uid"].as_str() != step.target.uid.as_deref() => {
                Err(Seen::Ended(Ok("gone already".to_owned())))
            }
            Some(_) if reached => Err(Seen::Ended(Ok(if doubt.is_some() { "done, as was seen" } else { "was so already" }.to_owned()))),
            Some(why) => Err(Seen::Ended(Err((Why::Blocked, why)))),
            None if doubt.is_some() && write.method == Method::Post && step.changes.is_empty() => {
                Err(Seen::Ended(Ok("created".to_owned())))
            }
            None => Ok(Some(live)),
        }
    }
}

/// What is not there is made by it, or is not what it is about.
fn creates(write: &Write) -> bool {
    matches!(write.method, Method::Post | Method::Apply)
}

fn version(live: Option<&Value>) -> Option<String> {
    live.and_then(|l| l["metadata"]["resourceVersion"].as_str()).map(str::to_owned)
}

enum Seen {
    Ended(Ended),
    Again(String),
}

/// 1 s, doubling to 16 s, with jitter.
pub(super) fn pause(tries: u32) -> Duration {
    Duration::from_millis((1000u64 << tries.saturating_sub(1).min(4)) * (75 + fastrand::u64(..50)) / 100)
}

fn words(answer: &WriteAnswer, step: &Step) -> String {
    match answer.warnings.first().filter(|_| !step.sensitive) {
        Some(warning) => format!("done, with a warning: {warning}"),
        None => "done".to_owned(),
    }
}

/// The request bound to the version that was just looked at, so that nobody's change is overwritten unseen. What carries a version of
/// its own keeps it.
fn with_version(write: &Write, step: &Step, live: Option<&Value>) -> Write {
    let mut write = write.clone();
    let version = live.and_then(|l| l["metadata"]["resourceVersion"].as_str()).filter(|_| !step.changes.is_empty());
    if let Some(version) = version {
        match write.method {
            Method::MergePatch | Method::StrategicPatch
                if write.body.is_object() && write.body["metadata"]["resourceVersion"].is_null() =>
            {
                write.body["metadata"]["resourceVersion"] = version.into();
            }
            Method::JsonPatch => {
                if let Some(operations) = write.body.as_array_mut() {
                    operations.insert(0, json!({"op": "test", "path": "/metadata/resourceVersion", "value": version}));
                }
            }
            _ => {}
        }
    }
    write
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ClusterId, Kind, Target};

    #[test]
    fn a_patch_is_bound_to_the_version_that_was_looked_at() {
        let target = Target { cluster: ClusterId(0), resource: Kind::Node.into(), namespace: String::new(), name: "n".into(), uid: None };
        let live = json!({"metadata": {"resourceVersion": "7"}});
        let step = Step::write("x", &target, Method::MergePatch, json!({"spec": {"a": 1}}));
        let crate::model::Act::Write(write) = step.act.clone() else { panic!() };
        assert_eq!(with_version(&write, &step, Some(&live)).body, json!({"spec": {"a": 1}}), "nothing was looked at");
        let step = step.changing("/spec/a", None, Some(json!(1)));
        assert_eq!(with_version(&write, &step, Some(&live)).body["metadata"]["resourceVersion"], "7");
        let patch = Write { method: Method::JsonPatch, body: json!([{"op": "remove", "path": "/spec/a"}]), ..write.clone() };
        assert_eq!(with_version(&patch, &step, Some(&live)).body[0]["path"], "/metadata/resourceVersion");
        let put = Write { method: Method::Put, body: json!({"metadata": {"resourceVersion": "3"}}), ..write };
        assert_eq!(with_version(&put, &step, Some(&live)).body["metadata"]["resourceVersion"], "3");
    }

    #[test]
    fn pauses_grow_and_end() {
        for (tries, range) in [(1, 750..1250), (3, 3000..5000), (20, 12_000..20_000)] {
            assert!(range.contains(&u64::try_from(pause(tries).as_millis()).unwrap()));
        }
    }
}
