//! The Alertmanagers of `lab alerts`, told of alerts and silences by their own API.

use super::lab::{Lab, now, until};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::MutexGuard;
use std::time::Duration;

/// What `lab alerts` runs, each named as its Debian package.
pub const PROGRAMS: &[&str] = &["prometheus", "prometheus-alertmanager"];

/// They end with the test.
pub struct Alertmanagers<'a> {
    _one: MutexGuard<'a, ()>,
    lab: &'a Lab,
    context: &'a str,
    pub urls: Vec<String>,
}

impl<'a> Alertmanagers<'a> {
    pub fn new(lab: &'a Lab, context: &'a str) -> Self {
        let one = lab.alone_with_alertmanagers();
        lab.lab(&["alerts", context]);
        let services: Value = serde_json::from_str(&std::fs::read_to_string(lab.file(context, "services.json")).unwrap()).unwrap();
        let urls = services["alertmanagers"].as_array().unwrap().iter().map(|u| u.as_str().unwrap().to_owned()).collect();
        let all = Self { _one: one, lab, context, urls };
        for url in &all.urls {
            until("an Alertmanager to be ready", Duration::from_secs(30), || match ask(url, "GET", "/-/ready", "") {
                Ok(answer) if answer.contains(" 200 OK") => Ok(()),
                Ok(answer) | Err(answer) => Err(answer),
            });
        }
        all
    }
    /// Waits until the Prometheus beside them, at `url`, has scraped the API server so often that it knows rates: a round that comes before finds no data.
    pub fn measured(&self, url: &str) {
        until("Prometheus to know rates of the API server", Duration::from_secs(120), || {
            let answer = ask(url, "GET", "/api/v1/query?query=count(rate(apiserver_request_total%5B5m%5D))", "")?;
            let targets = || ask(url, "GET", "/api/v1/query?query=up", "").unwrap_or_else(|e| e);
            if answer.contains("\"metric\"") { Ok(()) } else { Err(format!("{answer}\n{}", targets())) }
        });
    }
    /// Tells those that there are of an alert, as Prometheus does: it fires until its end.
    pub fn tell(&self, labels: &Value, end: Option<&str>) {
        let mut alert = json!({"labels": labels});
        if let Some(end) = end {
            alert["endsAt"] = end.into();
        }
        for url in &self.urls {
            if let Ok(answer) = ask(url, "POST", "/api/v2/alerts", &json!([alert]).to_string()) {
                assert!(answer.contains(" 200 "), "{answer}");
            }
        }
    }
    /// What one of them answers to a GET, as JSON.
    pub fn get(&self, at: usize, path: &str) -> Value {
        let answer = ask(&self.urls[at], "GET", path, "").unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {answer}"))
    }
    /// The silences that have not ended, by their ids; all of them know of the same.
    pub fn silences(&self) -> Vec<Value> {
        let known = |at: usize| {
            let all: Vec<Value> = serde_json::from_value(self.get(at, "/api/v2/silences")).unwrap();
            let mut there: Vec<Value> = all.into_iter().filter(|s| s["status"]["state"] != "expired").collect();
            there.sort_by_key(|s| s["id"].to_string());
            there
        };
        until("the Alertmanagers to know of the same silences", Duration::from_secs(20), || {
            let (one, other) = (known(0), known(1));
            let ids = |all: &[Value]| all.iter().map(|s| (s["id"].clone(), s["endsAt"].clone())).collect::<Vec<_>>();
            if ids(&one) == ids(&other) { Ok(one) } else { Err(json!([one, other]).to_string()) }
        })
    }
    /// Silences, at the first of them and for an hour, the alerts that have this label; the silence's id.
    pub fn silence(&self, name: &str, value: &str) -> String {
        let at = |secs: i64| jiff::Timestamp::from_second(now() + secs).unwrap().to_string();
        let matchers = json!([{"name": name, "value": value, "isRegex": false, "isEqual": true}]);
        let body = json!({"matchers": matchers, "startsAt": at(0), "endsAt": at(3600), "createdBy": "lab", "comment": "node work"});
        let answer = ask(&self.urls[0], "POST", "/api/v2/silences", &body.to_string()).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let said: Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {answer}"));
        said["silenceID"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

impl Drop for Alertmanagers<'_> {
    fn drop(&mut self) {
        for process in ["prometheus", "alertmanager-0", "alertmanager-1"] {
            self.lab.try_lab(&["kill", self.context, process]);
        }
    }
}

/// One request to one of them, and all that it answers.
fn ask(url: &str, method: &str, path: &str, body: &str) -> Result<String, String> {
    let host = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).map_err(|e| e.to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).map_err(|e| e.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|e| e.to_string())?;
    Ok(answer)
}
