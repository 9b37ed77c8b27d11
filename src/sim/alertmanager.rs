//! A simulated cluster's Alertmanager, API v2: alerts as they fire, and silences that hide them until they end.
//!
//! What fires is `alerts`'. Statuses and texts are Alertmanager's (`api/v2/api.go`, `silence/silence.go`); a refusal is a bare JSON text.

use super::alerts::{Alert, firing};
use super::generate;
use super::query::Query;
use super::reply::{Reply, json_reply, whole};
use super::store::State;
use crate::model::Matcher;
use bytes::Bytes;
use http::Method;
use regex::Regex;
use serde_json::{Value, json};

/// The Service as the Prometheus operator makes it.
pub const NAMESPACE: &str = "monitoring";
pub const NAME: &str = "alertmanager-operated";
const PORT: u16 = 9093;
/// Milliseconds for which an ended silence is still listed, and how many are.
const KEPT: i64 = 120 * 3_600_000;
const MOST: usize = 1000;
/// An alert ends when it is not sent again within these seconds.
const RESOLVES: i64 = 240;

/// What Alertmanager keeps.
#[derive(Default)]
pub struct Alerting {
    silences: Vec<Silence>,
    /// Since when (unix seconds), and how many alerts.
    pub storm: Option<(i64, i64)>,
}

/// A matcher that is ready to be asked.
#[derive(Clone)]
struct Matching {
    matcher: Matcher,
    pattern: Option<Regex>,
}

impl Matching {
    fn new(matcher: Matcher) -> Result<Self, String> {
        let pattern = matcher.regex.then(|| Regex::new(&format!("^(?:{})$", matcher.value))).transpose();
        let pattern = pattern.map_err(|e| format!("error parsing regexp: {}", e.to_string().lines().last().unwrap_or_default().trim()))?;
        Ok(Self { matcher, pattern })
    }
    fn takes(&self, value: &str) -> bool {
        let alike = self.pattern.as_ref().map_or_else(|| *self.matcher.value == *value, |p| p.is_match(value));
        alike == self.matcher.equal
    }
    fn parse(text: &str) -> Result<Self, String> {
        Self::new(Matcher::parse(text).map_err(|_| format!("bad matcher format: {text}"))?)
    }
}

struct Silence {
    id: String,
    matchers: Vec<Matching>,
    /// Unix milliseconds, all three.
    starts: i64,
    ends: i64,
    updated: i64,
    creator: String,
    comment: String,
    annotations: Value,
}

impl Silence {
    fn state(&self, now: i64) -> &'static str {
        if now >= self.ends {
            "expired"
        } else if now < self.starts {
            "pending"
        } else {
            "active"
        }
    }
    fn hides(&self, alert: &Alert) -> bool {
        self.matchers.iter().all(|m| m.takes(alert.label(&m.matcher.name)))
    }
    fn json(&self, now: i64) -> Value {
        let matcher =
            |Matching { matcher: m, .. }: &Matching| json!({"isEqual": m.equal, "isRegex": m.regex, "name": &*m.name, "value": &*m.value});
        let matchers: Vec<Value> = self.matchers.iter().map(matcher).collect();
        let mut said = json!({"id": self.id, "status": {"state": self.state(now)}, "updatedAt": stamp(self.updated), "comment": self.comment,
            "createdBy": self.creator, "endsAt": stamp(self.ends), "matchers": matchers, "startsAt": stamp(self.starts)});
        if self.annotations.is_object() {
            said["annotations"] = self.annotations.clone();
        }
        said
    }
    fn end(&mut self, now: i64) {
        self.starts = self.starts.min(now);
        (self.ends, self.updated) = (now, now);
    }
}

/// Milliseconds as Alertmanager writes times.
fn stamp(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| String::new(), |t| t.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

/// The Service.
pub fn service() -> Value {
    generate::operated("alertmanager", NAME, &[("web", PORT), ("tcp-mesh", 9094)])
}

/// A refusal, or whatever else is a bare text.
fn said(code: u16, text: impl Into<String>) -> Reply {
    json_reply(code, &Value::String(text.into()))
}

/// Answers a request.
pub fn answer(s: &mut State, method: &Method, path: &str, query: &Query, body: &Bytes) -> Reply {
    let now = s.clock;
    s.alerting.forget(now);
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (method, parts.as_slice()) {
        (&Method::GET, ["-", "ready" | "healthy"]) => whole(200, "text/plain; charset=utf-8", "OK"),
        (&Method::GET, ["api", "v2", "status"]) => json_reply(200, &status(s)),
        (&Method::GET, ["api", "v2", "receivers"]) => json_reply(200, &json!([{"name": "default"}, {"name": "pager"}, {"name": "null"}])),
        (&Method::GET, ["api", "v2", "alerts"]) => alerts(s, query),
        (&Method::GET, ["api", "v2", "silences"]) => match filters(query) {
            Ok(filters) => json_reply(200, &Value::Array(s.alerting.listed(now, &filters))),
            Err(why) => said(400, why),
        },
        (&Method::POST, ["api", "v2", "silences"]) => set(s, body),
        (&Method::GET, ["api", "v2", "silence", id]) => match s.alerting.silences.iter().find(|x| x.id == *id) {
            Some(silence) => json_reply(200, &silence.json(now)),
            None => whole(404, "application/json", ""),
        },
        (&Method::DELETE, ["api", "v2", "silence", id]) => match s.alerting.silences.iter_mut().find(|x| x.id == *id) {
            Some(silence) if silence.state(now) == "expired" => said(500, format!("silence {id} already expired")),
            Some(silence) => {
                silence.end(now);
                whole(200, "application/json", "")
            }
            None => whole(404, "application/json", ""),
        },
        (_, ["api", "v2", "status" | "receivers" | "alerts" | "silences"] | ["api", "v2", "silence", _]) => {
            json_reply(405, &json!({"code": 405, "message": format!("method {method} is not allowed")}))
        }
        _ => json_reply(404, &json!({"code": 404, "message": format!("path {path} was not found")})),
    }
}

fn status(s: &State) -> Value {
    let up = stamp(s.clock - 9 * 86_400_000 - 1_234_567);
    json!({
        "cluster": {"name": "01K2QDDEMO0000000000000000", "status": "ready",
            "peers": [{"address": "10.64.1.11:9094", "name": "01K2QDDEMO0000000000000000"}, {"address": "10.64.2.12:9094", "name": "01K2QDDEMO0000000000000001"}]},
        "config": {"original": "route:\n  receiver: default\nreceivers:\n- name: default\n- name: pager\n- name: \"null\"\n"},
        "uptime": up,
        "versionInfo": {"branch": "HEAD", "buildDate": "20260901-10:00:00", "buildUser": "qd", "goVersion": "go1.26.1", "revision": "0000000", "version": "0.32.1"},
    })
}

fn filters(query: &Query) -> Result<Vec<Matching>, String> {
    query.all("filter").map(Matching::parse).collect()
}

fn alerts(s: &State, query: &Query) -> Reply {
    let filters = match filters(query) {
        Ok(filters) => filters,
        Err(why) => return said(400, why),
    };
    let receiver = match query.get("receiver").map(|r| Regex::new(&format!("^(?:{r})$"))).transpose() {
        Ok(receiver) => receiver,
        Err(_) => return said(400, "failed to parse receiver param"),
    };
    let wanted = |flag: &str| query.get(flag).is_none_or(|v| v != "false");
    let (active, silenced, inhibited) = (wanted("active"), wanted("silenced"), wanted("inhibited"));
    let (now, all) = (s.clock, firing(s));
    let nodes: Vec<(String, String)> =
        all.iter().filter(|a| a.label("alertname") == "KubeNodeNotReady").map(|a| (a.label("node").to_owned(), a.fingerprint())).collect();
    let standing: Vec<&Silence> = s.alerting.silences.iter().filter(|x| x.state(now) == "active").collect();
    let tick = now - now.rem_euclid(60_000);
    let mut rows: Vec<(String, Value)> = Vec::new();
    for alert in all.iter().filter(|a| filters.iter().all(|f| f.takes(a.label(&f.matcher.name)))) {
        let by: Vec<&str> = standing.iter().filter(|x| x.hides(alert)).map(|x| x.id.as_str()).collect();
        // What is wrong with a node's pods is what is wrong with the node.
        let from = |(node, _): &&(String, String)| alert.labels.contains_key("pod") && *node == alert.label("node");
        let over: Vec<&str> = nodes.iter().filter(from).map(|(_, fingerprint)| fingerprint.as_str()).collect();
        let to = match alert.label("severity") {
            "critical" => "pager",
            "none" => "null",
            _ => "default",
        };
        let shown = (by.is_empty() || silenced) && (over.is_empty() || inhibited) && (active || !by.is_empty() || !over.is_empty());
        if !shown || receiver.as_ref().is_some_and(|r| !r.is_match(to)) {
            continue;
        }
        let state = if by.is_empty() && over.is_empty() { "active" } else { "suppressed" };
        let fingerprint = alert.fingerprint();
        let row = json!({
            "annotations": alert.annotations, "endsAt": stamp(tick + RESOLVES * 1000), "fingerprint": fingerprint, "receivers": [{"name": to}],
            "startsAt": stamp(alert.starts * 1000), "status": {"inhibitedBy": over, "mutedBy": [], "silencedBy": by, "state": state},
            "updatedAt": stamp(tick.max(alert.starts * 1000)), "labels": alert.labels,
            "generatorURL": format!("http://prometheus.monitoring:9090/graph?g0.expr={}&g0.tab=1", alert.label("alertname")),
        });
        rows.push((fingerprint, row));
    }
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    json_reply(200, &rows.into_iter().map(|(_, row)| row).collect())
}

/// What a request's silence says; or code and body of the refusal.
fn read(body: &Bytes) -> Result<(Option<String>, Silence), (u16, Value)> {
    let wrong = |code: u16, number: u16, text: String| (code, json!({"code": number, "message": text}));
    let sent: Value =
        serde_json::from_slice(body).map_err(|e| wrong(400, 400, format!("parsing silence body from \"\" failed, because {e}")))?;
    let required = |field: &str| wrong(422, 602, format!("silence.{field} in body is required"));
    let text = |field: &str| sent[field].as_str().map(str::to_owned).ok_or_else(|| required(field));
    let time = |field: &str| {
        let time = text(field)?.parse::<jiff::Timestamp>();
        time.map(jiff::Timestamp::as_millisecond).map_err(|_| wrong(400, 601, format!("silence.{field} in body must be of type date-time")))
    };
    let (starts, ends, creator, comment) = (time("startsAt")?, time("endsAt")?, text("createdBy")?, text("comment")?);
    let mut matchers = Vec::new();
    for m in sent["matchers"].as_array().ok_or_else(|| required("matchers"))? {
        let field = |name: &str| m[name].as_str().map(Into::into).ok_or_else(|| required(&format!("matchers.{name}")));
        let matcher = Matcher {
            name: field("name")?,
            value: field("value")?,
            regex: m["isRegex"] == true,
            equal: m["isEqual"].as_bool().unwrap_or(true),
        };
        let n = matchers.len();
        let bad = |why: String| (400, Value::String(format!("invalid silence: invalid label matcher {n}: {why}")));
        matchers.push(Matching::new(matcher).map_err(bad)?);
    }
    let id = sent["id"].as_str().filter(|id| !id.is_empty()).map(str::to_owned);
    Ok((id, Silence { id: String::new(), matchers, starts, ends, updated: 0, creator, comment, annotations: sent["annotations"].clone() }))
}

fn set(s: &mut State, body: &Bytes) -> Reply {
    let now = s.clock;
    let (id, mut new) = match read(body) {
        Ok(read) => read,
        Err((code, why)) => return json_reply(code, &why),
    };
    if new.starts >= new.ends {
        return said(400, "Failed to create silence: start time must be before end time");
    }
    if new.ends < now {
        return said(400, "Failed to create silence: end time can't be in the past");
    }
    if new.matchers.is_empty() {
        return said(400, "invalid silence: at least one matcher required");
    }
    if new.matchers.iter().all(|m| m.takes("")) {
        return said(400, "invalid silence: at least one matcher must not match the empty string");
    }
    new.updated = now;
    if let Some(id) = id {
        let Some(old) = s.alerting.silences.iter_mut().find(|x| x.id == id) else { return said(404, "silence not found") };
        let same = old.matchers.iter().map(|m| &m.matcher).eq(new.matchers.iter().map(|m| &m.matcher));
        let changes = same
            && match old.state(now) {
                "active" => old.starts.div_euclid(1000) == new.starts.div_euclid(1000),
                "pending" => new.starts >= now,
                _ => false,
            };
        if changes {
            let starts = if old.state(now) == "active" { old.starts } else { new.starts };
            *old = Silence { id: id.clone(), starts, ..new };
            return json_reply(200, &json!({"silenceID": id}));
        }
        if old.state(now) != "expired" {
            old.end(now);
        }
    }
    new.starts = new.starts.max(now);
    json_reply(200, &json!({"silenceID": s.silence(new)}))
}

impl State {
    fn silence(&mut self, new: Silence) -> String {
        let id = self.uid();
        self.alerting.silences.push(Silence { id: id.clone(), ..new });
        id
    }

    /// A silence that somebody has set before: matchers with commas between them, and how many seconds it lasts.
    pub fn silenced(&mut self, matchers: &str, seconds: i64, comment: &str) {
        let matchers = matchers.split(',').filter_map(|m| Matching::parse(m).ok()).collect();
        let (starts, ends) = (self.clock, self.clock + seconds * 1000);
        let (creator, comment) = ("mira".to_owned(), comment.to_owned());
        self.silence(Silence { id: String::new(), matchers, starts, ends, updated: starts, creator, comment, annotations: Value::Null });
    }
}

impl Alerting {
    /// Ended silences go after a while, the oldest first when they are many.
    fn forget(&mut self, now: i64) {
        let ended = self.silences.iter().filter(|x| now >= x.ends).count();
        let mut over = ended.saturating_sub(MOST);
        self.silences.retain(|x| {
            let gone = now >= x.ends && (over > 0 || now - x.ends > KEPT);
            over -= usize::from(gone && over > 0);
            !gone
        });
    }

    /// The silences of which these filters take the matchers, those that hold first.
    fn listed(&self, now: i64, filters: &[Matching]) -> Vec<Value> {
        let fits = |x: &&Silence| {
            filters.iter().all(|f| {
                let value = x.matchers.iter().find(|m| m.matcher.name == f.matcher.name).map(|m| &*m.matcher.value);
                f.takes(value.unwrap_or(""))
            })
        };
        let mut found: Vec<&Silence> = self.silences.iter().filter(fits).collect();
        let rank = |x: &Silence| ["active", "pending", "expired"].iter().position(|state| *state == x.state(now));
        found.sort_by_key(|x| (rank(x), if x.state(now) == "expired" { -x.ends } else { x.ends }));
        found.into_iter().map(|x| x.json(now)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::control;
    use super::super::generate::cluster;
    use super::super::scenario::Scenario;
    use super::*;
    use http_body_util::BodyExt as _;

    const START: i64 = 1_800_000_000;

    fn night(name: &str) -> State {
        let quiet = Scenario { replace_every: 0.0, churn: 0.0, ..Scenario::load("on-call-night").unwrap() };
        let mut s = cluster(&quiet, name, 0, 1, START);
        s.clock = START * 1000;
        s
    }

    fn asked(s: &mut State, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let body = Bytes::from(if body.is_null() { String::new() } else { body.to_string() });
        let reply = answer(s, &method, path, &Query::parse(query), &body);
        let code = reply.status().as_u16();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let body = runtime.block_on(reply.into_body().collect()).unwrap().to_bytes();
        (code, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    fn get(s: &mut State, path: &str) -> Vec<Value> {
        asked(s, Method::GET, path, &Value::Null).1.as_array().cloned().unwrap_or_default()
    }

    fn names(alerts: &[Value], state: &str) -> Vec<String> {
        let mut all: Vec<String> = alerts
            .iter()
            .filter(|a| a["status"]["state"] == state)
            .map(|a| a["labels"]["alertname"].as_str().unwrap().to_owned())
            .collect();
        all.sort();
        all.dedup();
        all
    }

    fn wanted(from: i64, to: i64) -> Value {
        json!({"matchers": [{"name": "alertname", "value": "KubePod.*", "isRegex": true, "isEqual": true}, {"name": "namespace", "value": "pay", "isRegex": false}],
            "startsAt": stamp(from), "endsAt": stamp(to), "createdBy": "ada", "comment": "node work"})
    }

    #[test]
    fn what_fires_follows_from_what_is_wrong() {
        let mut s = night("prod-us");
        let all = get(&mut s, "/api/v2/alerts");
        assert_eq!(names(&all, "active"), ["DeploymentDown", "KubeNodeNotReady", "KubePodCrashLooping", "Watchdog"]);
        let crashing: Vec<&Value> = all.iter().filter(|a| a["labels"]["alertname"] == "KubePodCrashLooping").collect();
        assert_eq!(crashing.len(), 6);
        let labels = &crashing[0]["labels"];
        assert_eq!((&labels["namespace"], &labels["cluster"], &labels["severity"]), (&json!("pay"), &json!("prod-us"), &json!("warning")));
        assert!(labels["pod"].as_str().unwrap().starts_with("checkout-") && labels["node"].as_str().unwrap().starts_with("node-"));
        let node = all.iter().find(|a| a["labels"]["alertname"] == "KubeNodeNotReady").unwrap();
        assert_eq!((&node["labels"]["node"], &node["startsAt"]), (&json!("node-017"), &json!(stamp((START - 480) * 1000))));
        let hidden: Vec<&Value> = all.iter().filter(|a| a["status"]["state"] == "suppressed").collect();
        assert!(
            hidden.len() > 10
                && hidden.iter().all(|a| a["labels"]["node"] == "node-017" && a["status"]["inhibitedBy"] == json!([node["fingerprint"]]))
        );
        let elsewhere = crashing.iter().filter(|a| a["labels"]["node"] != "node-017").count();
        assert_eq!(get(&mut s, "/api/v2/alerts?inhibited=false&filter=severity%3D%22warning%22&filter=pod!%3D").len(), elsewhere);
        let (code, why) = asked(&mut s, Method::GET, "/api/v2/alerts?filter=pod", &Value::Null);
        assert_eq!((code, why), (400, json!("bad matcher format: pod")));
        assert_eq!(names(&get(&mut night("prod-ap"), "/api/v2/alerts"), "active"), ["KubeHpaMaxedOut", "Watchdog"]);
        assert_eq!(names(&get(&mut night("prod-eu"), "/api/v2/alerts"), "active"), ["KubePodNotReady", "Watchdog"]);
        let staging = get(&mut night("staging"), "/api/v2/alerts");
        assert_eq!(
            (names(&staging, "active"), names(&staging, "suppressed")),
            (vec!["Watchdog".to_owned()], vec!["KubeJobFailed".to_owned()])
        );
    }

    #[test]
    fn a_silence_hides_until_it_ends_is_given_another_end_and_expired() {
        let mut s = night("prod-us");
        let now = s.clock;
        let (code, said) = asked(&mut s, Method::POST, "/api/v2/silences", &wanted(now - 5000, now + 60_000));
        let id = said["silenceID"].as_str().unwrap().to_owned();
        let crashing = |s: &mut State| get(s, "/api/v2/alerts?filter=alertname%3DKubePodCrashLooping");
        assert!(
            code == 200
                && crashing(&mut s).iter().all(|a| a["status"]["silencedBy"] == json!([id]) && a["status"]["state"] == "suppressed")
        );
        assert_eq!(names(&get(&mut s, "/api/v2/alerts"), "active"), ["DeploymentDown", "KubeNodeNotReady", "Watchdog"]);
        let one = asked(&mut s, Method::GET, &format!("/api/v2/silence/{id}"), &Value::Null).1;
        assert_eq!(
            (&one["startsAt"], &one["status"]["state"], &one["matchers"][1]["isEqual"]),
            (&json!(stamp(now)), &json!("active"), &json!(true))
        );
        // Another end: the same silence. Other matchers: another one, and this one is over.
        let mut longer = wanted(now, now + 120_000);
        longer["id"] = id.as_str().into();
        assert_eq!(asked(&mut s, Method::POST, "/api/v2/silences", &longer).1["silenceID"], id);
        control::run(&mut s, now + 90_000);
        assert!(!crashing(&mut s)[0]["status"]["silencedBy"].as_array().unwrap().is_empty());
        longer["matchers"][1]["value"] = "shop".into();
        let other = asked(&mut s, Method::POST, "/api/v2/silences", &longer).1["silenceID"].as_str().unwrap().to_owned();
        assert!(other != id && crashing(&mut s)[0]["status"]["silencedBy"] == json!([]));
        assert_eq!(asked(&mut s, Method::DELETE, &format!("/api/v2/silence/{other}"), &Value::Null).0, 200);
        let states: Vec<Value> = get(&mut s, "/api/v2/silences").into_iter().map(|x| x["status"]["state"].clone()).collect();
        assert_eq!(states, ["expired", "expired"]);
        assert_eq!(get(&mut s, "/api/v2/silences?filter=namespace%3D%22shop%22").len(), 1);
        assert_eq!(asked(&mut s, Method::DELETE, &format!("/api/v2/silence/{other}"), &Value::Null).0, 500);
        assert_eq!(asked(&mut s, Method::DELETE, "/api/v2/silence/none", &Value::Null).0, 404);
        // By its own end.
        let now = s.clock;
        asked(&mut s, Method::POST, "/api/v2/silences", &wanted(now, now + 1000));
        assert!(!crashing(&mut s)[0]["status"]["silencedBy"].as_array().unwrap().is_empty());
        control::run(&mut s, now + 1000);
        assert_eq!(crashing(&mut s)[0]["status"]["silencedBy"], json!([]));
    }

    #[test]
    fn what_is_no_silence_is_refused_in_alertmanagers_words() {
        let mut s = night("prod-us");
        let now = s.clock;
        let refused = |s: &mut State, change: &dyn Fn(&mut Value)| {
            let mut body = wanted(now, now + 60_000);
            change(&mut body);
            let (code, said) = asked(s, Method::POST, "/api/v2/silences", &body);
            (code, said.as_str().or(said["message"].as_str()).unwrap_or_default().to_owned())
        };
        let past = refused(&mut s, &|b| (b["startsAt"], b["endsAt"]) = (stamp(now - 9000).into(), stamp(now - 5000).into()));
        assert_eq!(past, (400, "Failed to create silence: end time can't be in the past".to_owned()));
        assert!(refused(&mut s, &|b| b["endsAt"] = stamp(now).into()).1.contains("start time must be before end time"));
        assert_eq!(refused(&mut s, &|b| b["comment"] = Value::Null), (422, "silence.comment in body is required".to_owned()));
        assert!(refused(&mut s, &|b| b["matchers"] = json!([])).1.contains("at least one matcher required"));
        assert!(
            refused(&mut s, &|b| b["matchers"] = json!([{"name": "a", "value": ".*", "isRegex": true}]))
                .1
                .contains("must not match the empty string")
        );
        assert!(refused(&mut s, &|b| b["matchers"][0]["value"] = "(".into()).1.contains("error parsing regexp"));
        assert_eq!(refused(&mut s, &|b| b["id"] = "none".into()), (404, "silence not found".to_owned()));
    }

    #[test]
    fn a_storm_rises_within_a_minute_and_names_pods_that_there_are() {
        let scenario = Scenario { replace_every: 0.0, ..Scenario::load("alert-storm").unwrap() };
        let mut s = cluster(&scenario, "prod-us", 1, 1, START);
        control::run(&mut s, (START + 45) * 1000);
        let some = get(&mut s, "/api/v2/alerts").len();
        control::run(&mut s, (START + 80) * 1000);
        let all = get(&mut s, "/api/v2/alerts");
        assert!(some > 500 && some < 1500 && all.len() == 2001, "{some} {}", all.len());
        let fingerprints: std::collections::HashSet<&str> = all.iter().map(|a| a["fingerprint"].as_str().unwrap()).collect();
        assert_eq!(fingerprints.len(), all.len());
        let storming = all.iter().find(|a| a["labels"]["alertname"] == "HighErrorRate").unwrap();
        let label = |name: &str| storming["labels"][name].as_str().unwrap();
        assert!(s.get(super::super::register::PODS, label("namespace"), label("pod")).is_some());
    }
}
