//! A silence: sent to one replica of the Alertmanager, which tells its peers. Another one is asked only when it is certain that the first
//! has not had it; after an answer that says nothing it is looked for before anything else.

use super::super::silencing::{Seen, look, refused};
use super::{Ended, Run, Why};
use crate::client::{ClientError, WriteAnswer, WriteClient};
use crate::model::alertmanager as wire;
use crate::model::{Matcher, Method, SilenceWrite, Step, StepState, Time, time};
use crate::reach::{Alertmanager, silence_path};
use serde_json::{Value, json};

/// Rounds over the replicas, and looks after an answer that says nothing.
const TRIES: u32 = 4;
/// Looks at peers until they have heard of it.
const LOOKS: u32 = 10;
/// Clocks that differ by more than this are told, in seconds.
const SKEW: i64 = 30;

/// What came of one round over the replicas.
enum Sent {
    /// By that replica; the silence's id, where it had one.
    Taken(usize, WriteAnswer, Option<String>),
    /// Nobody has had it; why.
    Nobody(String),
    /// That replica may have it; why that is not known.
    Perhaps(usize, String),
    Ended(Ended),
}

/// An Alertmanager that may be written to.
struct At<'a> {
    am: &'a Alertmanager,
    write: &'a WriteClient,
}

impl Run {
    pub(super) async fn silence(&self, at: usize, step: &Step, write: &SilenceWrite) -> Ended {
        let cluster = step.target.cluster;
        let am = self.clients.alerts(cluster).map_err(|why| (Why::Failed, why))?;
        let am = &At { am, write: self.clients.write(cluster).map_err(|why| (Why::Failed, why))? };
        let (mut tries, mut doubt) = (0, None::<(usize, String)>);
        loop {
            self.turn().await?;
            let seen = look(am.am, write, &self.who).await;
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
            let sent = if safe { self.round(at, am, write, &seen).await } else { Sent::Nobody("no answer".to_owned()) };
            match sent {
                Sent::Taken(n, answer, id) => return self.settled(at, am, write, n, (&answer, id)).await,
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
                let name = am.am.replicas().nth(n).unwrap_or_default();
                return Err((Why::Unknown, format!("{name}: {why}; it may be there: qd silence list")));
            }
            self.rest(am.am.limit() / 10 * (1 << tries.min(3))).await?;
        }
    }

    /// Asks one replica after the other, those that answer first.
    async fn round(&self, at: usize, am: &At<'_>, write: &SilenceWrite, seen: &[Seen]) -> Sent {
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
                    (SilenceWrite::Add { body }, _) => self.set(am, n, body.json(&self.who)).await,
                    (SilenceWrite::End { ends, .. }, Some(silence)) => self.set(am, n, whole(silence, *ends)).await,
                    (SilenceWrite::Expire { .. }, Some(silence)) => self.expire(am, n, &silence.id).await,
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
                        200..300 => return Sent::Taken(n, answer, known.map(|s| s.id.clone())),
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
    async fn settled(
        &self,
        at: usize,
        am: &At<'_>,
        write: &SilenceWrite,
        replica: usize,
        (answer, known): (&WriteAnswer, Option<String>),
    ) -> Ended {
        let id = answer.body["silenceID"].as_str().or(known.as_deref()).unwrap_or_default().to_owned();
        let mut words = vec![format!("silence {id}")];
        if let (SilenceWrite::Add { body }, Ok(Some(there))) = (write, am.am.silence(replica, &id).await) {
            let mut is: Vec<Matcher> = there.matchers.iter().map(Matcher::from).collect();
            let mut wanted = body.matchers.clone();
            is.sort();
            wanted.sort();
            if is != wanted {
                // What is too much is taken away at once: it hides what nobody meant.
                let taken = self.expire(am, replica, &id).await.is_ok_and(|a| a.ok());
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
    async fn unheard(&self, at: usize, am: &At<'_>, write: &SilenceWrite, id: &str) -> Vec<String> {
        // What was given another id is looked for under that.
        let now = write.clone().of(id);
        for tries in 1.. {
            let seen = look(am.am, &now, &self.who).await;
            let missing: Vec<(String, &Seen)> = am.am.replicas().zip(&seen).filter(|(_, s)| !matches!(s, Seen::Done(_))).collect();
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
            tokio::time::sleep(am.am.limit() / 20).await;
        }
        Vec::new()
    }

    async fn set(&self, am: &At<'_>, replica: usize, body: Value) -> Result<WriteAnswer, ClientError> {
        self.ask(am, replica, Method::Post, "/api/v2/silences", Some(&body)).await
    }

    async fn expire(&self, am: &At<'_>, replica: usize, id: &str) -> Result<WriteAnswer, ClientError> {
        self.ask(am, replica, Method::Delete, &silence_path(id), None).await
    }

    async fn ask(&self, am: &At<'_>, replica: usize, method: Method, path: &str, body: Option<&Value>) -> Result<WriteAnswer, ClientError> {
        let reached = am.am.reached(replica).await?;
        let writer = am.write.beside(&reached.client);
        writer.send(method, &reached.path(path), body, am.am.limit(), &self.receipt).await
    }

    /// Writes down which silence it is, so that undo finds it.
    fn note(&self, at: usize, id: &str) {
        let answer = WriteAnswer { body: json!({"silenceID": id}), ..WriteAnswer::default() };
        self.tell(at, StepState::Running, Some(&answer));
    }
}

/// A silence as it is written back. Its beginning stays to the second, or it would be another one.
fn whole(s: &wire::Silence, ends: i64) -> Value {
    let starts = time::of(s.starts_at).map(Time::rfc3339);
    let matchers: Vec<_> = s.matchers.iter().map(Matcher::from).collect();
    let mut body = json!({
        "id": s.id, "matchers": matchers, "startsAt": starts, "endsAt": Time::from_secs(ends).map(Time::rfc3339), "createdBy": s.created_by,
        "comment": s.comment,
    });
    if !s.annotations.0.is_empty() {
        body["annotations"] = s.annotations.0.iter().map(|p| (p.key.clone(), Value::from(p.value.as_str()))).collect();
    }
    body
}

#[cfg(test)]
mod tests {
    use super::super::fixture::bench;
    use super::*;
    use crate::client::fake::{Reply, Server, flowing, reply, sent};
    use crate::config::{Endpoint, Reach, Setting};
    use crate::model::{Act, AuditEvent, ClusterId, SilenceBody, Target};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    /// 2026-03-01T02:47:30Z.
    const NOW: i64 = 1_772_333_250;
    const LIMIT: Duration = Duration::from_millis(400);

    type Silences = Arc<Mutex<Vec<Value>>>;

    /// A replica's answer to a request, where it is another one than it should be.
    type Fault = fn(&http::Request<()>, usize) -> Option<Reply>;

    fn rfc(secs: i64) -> String {
        Time::from_secs(secs).unwrap().rfc3339()
    }

    /// What an Alertmanager does with a request.
    fn serve(silences: &Silences, request: &http::Request<()>) -> Reply {
        let mut all = silences.lock().unwrap();
        let path = request.uri().path();
        let id = path.strip_prefix("/api/v2/silence/").unwrap_or_default();
        match (request.method().as_str(), path) {
            ("POST", _) => {
                let mut body: Value = serde_json::from_str(&sent(request)).unwrap();
                if let Some(known) = all.iter_mut().find(|s| s["id"] == body["id"]) {
                    known["endsAt"] = body["endsAt"].clone();
                    return reply(200, json!({"silenceID": known["id"]}).to_string());
                }
                let id = format!("s{}", all.len() + 1);
                (body["id"], body["status"], body["updatedAt"]) =
                    (id.clone().into(), json!({"state": "active"}), rfc(super::super::unix()).into());
                all.push(body);
                reply(200, json!({"silenceID": id}).to_string())
            }
            ("DELETE", _) => match all.iter_mut().find(|s| s["id"] == id) {
                Some(silence) => {
                    silence["status"]["state"] = "expired".into();
                    reply(200, "")
                }
                None => reply(404, "\"silence not found\""),
            },
            (_, "/api/v2/silences") => reply(200, Value::from(all.clone()).to_string()),
            _ => match all.iter().find(|s| s["id"] == id) {
                Some(silence) => reply(200, silence.to_string()),
                None => reply(404, ""),
            },
        }
    }

    /// A replica that goes wrong: its fault is told how often it was written to before.
    async fn replica(silences: &Silences, fault: Fault) -> Server {
        let (silences, writes) = (silences.clone(), Mutex::new(0));
        Server::start(move |request| {
            let mut writes = writes.lock().unwrap();
            let answer = fault(request, *writes).unwrap_or_else(|| serve(&silences, request));
            *writes += usize::from(request.method() != "GET");
            answer
        })
        .await
    }

    fn writes(server: &Server) -> usize {
        server.seen.lock().unwrap().iter().filter(|r| r.method() != "GET").count()
    }

    fn body() -> SilenceBody {
        SilenceBody {
            matchers: vec![Matcher::is("alertname", "Crash"), Matcher { equal: false, ..Matcher::is("pod", "a") }],
            starts: NOW,
            ends: super::super::unix() + 3600,
            creator: String::new(),
            comment: "work".into(),
            annotations: std::collections::BTreeMap::new(),
        }
    }

    /// Carries it out at these replicas: how it ended, and the id that was written down.
    async fn done(urls: &[String], write: SilenceWrite) -> (Ended, Option<String>) {
        let step = Step::new("silence", &Target::of_cluster(ClusterId(0), "lab"), Act::Silence(write));
        let endpoint = Endpoint { reach: Setting::default_to(Some(Reach::Urls(urls.to_vec()))), ..Endpoint::default() };
        let api = Server::start(|_| reply(200, "{}")).await;
        let bench = bench(&api, vec![step], |read| Alertmanager::of(&endpoint, read, Vec::new()).map(|am| am.within(LIMIT))).await;
        let ended = bench.run.step(0).await;
        let uids = bench.run.journal.read().unwrap().records.into_iter().filter_map(|r| match r.event {
            AuditEvent::Step { uid, .. } => uid,
            _ => None,
        });
        (ended, uids.last())
    }

    async fn add(urls: &[String]) -> (Ended, Option<String>) {
        done(urls, SilenceWrite::Add { body: body() }).await
    }

    #[tokio::test]
    async fn one_replica_has_it_and_the_other_only_where_the_first_surely_has_not() {
        let silences = Silences::default();
        let (a, b) = (replica(&silences, |_, _| None).await, replica(&silences, |_, _| None).await);
        let (ended, id) = add(&[a.url(), b.url()]).await;
        assert_eq!((ended, id.as_deref()), (Ok("silence s1".into()), Some("s1")));
        assert_eq!((writes(&a), writes(&b), silences.lock().unwrap()[0]["createdBy"].as_str()), (1, 0, Some("ada@bastion")));
        assert_eq!(silences.lock().unwrap()[0]["matchers"][1]["isEqual"], false);

        // The first one refuses the connection.
        let silences = Silences::default();
        let b = replica(&silences, |_, _| None).await;
        let (ended, id) = add(&["http://127.0.0.1:1".into(), b.url()]).await;
        assert_eq!((ended, id.as_deref()), (Ok("silence s1; http://127.0.0.1:1 does not answer: connection refused".into()), Some("s1")));
        assert_eq!(writes(&b), 1);

        // The first one takes connections and says nothing.
        let silences = Silences::default();
        let (hangs, _listener) = Server::bind().await;
        let b = replica(&silences, |_, _| None).await;
        let (ended, _) = add(&[hangs.url(), b.url()]).await;
        assert!(matches!(&ended, Ok(words) if words.starts_with("silence s1; ") && words.contains("no answer")), "{ended:?}");
        assert_eq!(writes(&b), 1);

        let (ended, _) = add(&["http://127.0.0.1:1".into(), "http://127.0.0.1:1".into()]).await;
        assert_eq!(ended, Err((Why::Failed, "nothing was sent: connection refused".into())));
    }

    #[tokio::test]
    async fn after_an_answer_that_says_nothing_it_is_looked_for_before_it_is_sent_again() {
        // Not done: again.
        let silences = Silences::default();
        let a = replica(&silences, |r, writes| (r.method() == "POST" && writes == 0).then(|| reply(500, "\"boom\""))).await;
        assert_eq!(add(&[a.url()]).await.0, Ok("silence s1".into()));
        assert_eq!((writes(&a), silences.lock().unwrap().len()), (2, 1));
        // Done, and the answer is lost: by an error, or on the way.
        for lost in [|| reply(502, ""), || flowing("{", futures::stream::pending())] as [fn() -> Reply; 2] {
            let silences = Silences::default();
            let (theirs, writes_to) = (silences.clone(), Mutex::new(0));
            let a = Server::start(move |request| {
                let answer = serve(&theirs, request);
                let mut n = writes_to.lock().unwrap();
                *n += usize::from(request.method() == "POST");
                if request.method() == "POST" && *n == 1 { lost() } else { answer }
            })
            .await;
            let (ended, id) = add(&[a.url()]).await;
            assert_eq!((ended, id.as_deref()), (Ok("done, as was seen: s1".into()), Some("s1")));
            assert_eq!((writes(&a), silences.lock().unwrap().len()), (1, 1));
        }
    }

    #[tokio::test]
    async fn a_peer_that_has_not_heard_of_an_end_does_not_stand_for_one_that_is_there() {
        let again = SilenceBody { creator: "bo".into(), ..body() };
        let (a, b) = (there(again.ends), there(again.ends));
        a.lock().unwrap()[0]["status"]["state"] = "expired".into();
        let (a, b) = (replica(&a, |_, _| None).await, replica(&b, |_, _| None).await);
        let (ended, id) = done(&[a.url(), b.url()], SilenceWrite::Add { body: again }).await;
        assert!(matches!(&ended, Ok(words) if words.starts_with("silence s2")), "{ended:?}");
        assert_eq!((id.as_deref(), writes(&a), writes(&b)), (Some("s2"), 1, 0));
    }

    #[tokio::test]
    async fn who_may_have_it_and_says_nothing_more_leaves_it_unknown_and_no_other_is_asked() {
        let silences = Silences::default();
        let a = replica(&silences, |r, writes| match (r.method().as_str(), writes) {
            ("GET", 0) => None,
            _ => Some(reply(503, "")),
        })
        .await;
        // The other one listens only later: the first is asked first.
        let b = replica(&silences, |_, _| None).await;
        let (ended, id) = add(&[a.url(), b.url()]).await;
        assert!(matches!(&ended, Err((Why::Unknown, why)) if why.contains("HTTP 503") && why.contains("qd silence list")), "{ended:?}");
        assert_eq!((id, writes(&a), writes(&b)), (None, 1, 0));
    }

    #[tokio::test]
    async fn refusals_are_told_and_nothing_is_tried_again() {
        for (code, class) in [(401, Why::Failed), (403, Why::Failed), (400, Why::Failed)] {
            let silences = Silences::default();
            let refuses: Fault = match code {
                401 => |_, _| Some(reply(401, "")),
                403 => |r, _| (r.method() == "POST").then(|| reply(403, "\"no\"")),
                _ => |r, _| (r.method() == "POST").then(|| reply(400, "\"end time must not be in the past\"")),
            };
            let (a, b) = (replica(&silences, refuses).await, replica(&silences, refuses).await);
            let (ended, _) = add(&[a.url(), b.url()]).await;
            assert!(matches!(&ended, Err((is, _)) if *is == class), "{code}: {ended:?}");
            assert_eq!((writes(&a), writes(&b)), (usize::from(code != 401), 0), "{code}");
        }
    }

    #[tokio::test]
    async fn an_alertmanager_that_forgets_what_is_not_equal_hides_nothing_for_long() {
        let silences = Silences::default();
        let theirs = silences.clone();
        let a = Server::start(move |request| {
            let answer = serve(&theirs, request);
            theirs.lock().unwrap().iter_mut().for_each(|s| s["matchers"][1]["isEqual"] = true.into());
            answer
        })
        .await;
        let (ended, _) = add(&[a.url()]).await;
        assert!(matches!(&ended, Err((Why::Failed, why)) if why.contains("it was ended at once") && why.contains("0.22")), "{ended:?}");
        assert_eq!(silences.lock().unwrap()[0]["status"]["state"], "expired");
    }

    fn there(ends: i64) -> Silences {
        let mut silence = SilenceBody { ends, ..body() }.json("bo");
        (silence["id"], silence["status"]) = ("s1".into(), json!({"state": "active"}));
        silence["startsAt"] = "2026-03-01T02:00:00.123Z".into();
        silence["annotations"] = json!({"team": "pay"});
        Arc::new(Mutex::new(vec![silence]))
    }

    #[tokio::test]
    async fn another_end_leaves_all_else_as_it_is_and_what_somebody_changed_is_left() {
        let ends = super::super::unix() + 600;
        let silences = there(ends);
        let (a, b) = (replica(&silences, |_, _| None).await, replica(&silences, |_, _| None).await);
        let end = SilenceWrite::End { id: "s1".into(), was: ends, ends: ends + 600 };
        assert_eq!(done(&[a.url(), b.url()], end.clone()).await, (Ok("silence s1".into()), Some("s1".into())));
        let posted = a.seen.lock().unwrap().iter().find(|r| r.method() == "POST").map(sent).unwrap();
        let posted: Value = serde_json::from_str(&posted).unwrap();
        assert_eq!(
            (&posted["id"], &posted["startsAt"], &posted["annotations"], &posted["endsAt"]),
            (&json!("s1"), &json!("2026-03-01T02:00:00Z"), &json!({"team": "pay"}), &json!(rfc(ends + 600)))
        );
        assert_eq!(done(&[a.url()], end).await.0, Ok("was so already: s1".into()));
        let other = SilenceWrite::End { id: "s1".into(), was: ends, ends: ends + 900 };
        let (ended, _) = done(&[a.url()], other).await;
        assert!(matches!(&ended, Err((Why::Blocked, why)) if why.starts_with("its end is ")), "{ended:?}");
        assert_eq!(
            done(&[a.url()], SilenceWrite::End { id: "s9".into(), was: 1, ends: 2 }).await.0,
            Err((Why::Blocked, "it is gone".into()))
        );
        assert_eq!((writes(&a), writes(&b)), (1, 0));
    }

    /// A lane that sets a silence, waits for what comes of `rest`, and ends it: how its steps ended, and the state of the silence.
    async fn lane(stop: bool, fault: Fault) -> (Vec<Ended>, Option<String>) {
        let silences = Silences::default();
        let am = replica(&silences, fault).await;
        let endpoint = Endpoint { reach: Setting::default_to(Some(Reach::Urls(vec![am.url()]))), ..Endpoint::default() };
        let api = Server::start(|_| reply(404, "{}")).await;
        let place = Target::of_cluster(ClusterId(0), "lab");
        let add = SilenceWrite::Add { body: body() };
        let end = Step { optional: true, ..Step::new("end", &place, Act::Silence(add.back())) };
        let wait = Act::Wait(if stop { crate::model::Wait::Seconds { seconds: 60 } } else { crate::model::Wait::Ready });
        let steps = [Step::new("begin", &place, Act::Silence(add)), Step::new("empty", &place, wait), end];
        let steps = steps.into_iter().zip(0..).map(|(s, stage)| s.at(0, stage)).collect();
        let bench = bench(&api, steps, |read| Alertmanager::of(&endpoint, read, Vec::new()).map(|am| am.within(LIMIT))).await;
        let run = Arc::new(bench.run);
        let lead = bench.lead;
        let stopping = tokio::spawn({
            let silences = silences.clone();
            async move {
                while stop && silences.lock().unwrap().is_empty() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                if stop {
                    lead.send_replace(crate::model::Control::Stop("told to"));
                }
                std::future::pending::<()>().await;
            }
        });
        run.lanes(1).await;
        stopping.abort();
        let ended = run.ended.lock().unwrap().values().cloned().collect();
        let state = silences.lock().unwrap().first().and_then(|s| s["status"]["state"].as_str().map(str::to_owned));
        (ended, state)
    }

    #[tokio::test]
    async fn what_a_lane_silenced_is_ended_though_it_fails_or_is_stopped() {
        for stop in [false, true] {
            let (ended, state) = lane(stop, |_, _| None).await;
            assert!(ended[0].is_ok() && ended[1].is_err() && ended[2].is_ok(), "{ended:?}");
            assert_eq!(state.as_deref(), Some("expired"), "stopped: {stop}");
        }
        let (ended, _) = lane(false, |r, _| (r.method() == "DELETE").then(|| reply(403, "\"no\""))).await;
        assert!(matches!(&ended[2], Err((Why::Failed, why)) if why.contains("; it ends by itself at ")), "{ended:?}");
        let (ended, state) = lane(false, |r, _| (r.method() == "POST").then(|| reply(400, "\"no\""))).await;
        assert!(matches!(&ended[2], Err((Why::Stopped, _))) && state.is_none(), "what was never set is not ended: {ended:?}");
    }

    #[tokio::test]
    async fn one_that_is_ended_is_ended_once_and_found_without_its_id_too() {
        let body = body();
        let silences = there(body.ends);
        // The first one has not heard of it.
        let a = replica(&silences, |r, _| r.uri().path().contains("s1").then(|| reply(404, ""))).await;
        let b = replica(&silences, |_, _| None).await;
        let expire = SilenceWrite::Expire { id: "s1".into(), body: body.clone() };
        let (ended, _) = done(&[a.url(), b.url()], expire.clone()).await;
        assert_eq!(ended, Ok(format!("silence s1; {} has not heard of it", a.url())));
        assert_eq!((writes(&a), writes(&b)), (0, 1));
        assert_eq!(done(&[b.url()], expire).await.0, Ok("was so already: s1".into()));
        let silences = there(body.ends);
        let b = replica(&silences, |_, _| None).await;
        let unnamed = SilenceWrite::Expire { id: String::new(), body: SilenceBody { creator: "bo".into(), ..body } };
        assert_eq!(done(&[b.url()], unnamed).await.0, Ok("silence s1".into()));
        assert_eq!(silences.lock().unwrap()[0]["status"]["state"], "expired");
    }
}
