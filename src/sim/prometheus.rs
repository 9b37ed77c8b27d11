//! A simulated cluster's Prometheus, HTTP API v1. It knows the queries that qd ships, by their text, and says so of any other: PromQL it has none.
//!
//! What a query gives is `measured`'s. One socket beside the clusters serves those of all of them, told apart by the label `cluster`; each cluster's
//! own is behind its service proxy.

use super::fault::Faults;
use super::measured::{self, Row};
use super::query::Query;
use super::reply::{Reply, json_reply, whole};
use super::serve::Cluster;
use super::store::{State, rfc3339};
use super::{alerts, generate};
use http::Method;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use regex::Regex;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use tokio::net::TcpListener;

/// The Service as the Prometheus operator makes it.
pub const NAME: &str = "prometheus-operated";
const PORT: u16 = 9090;
/// What it has as labels.
const LABELS: [&str; 12] =
    ["__name__", "alertname", "cluster", "container", "instance", "job", "le", "mountpoint", "namespace", "node", "pod", "verb"];
/// Points of a course at the most, as Prometheus has it.
const POINTS: i64 = 11_000;

/// The Service.
pub fn service() -> Value {
    generate::operated("prometheus", NAME, &[("web", PORT)])
}

/// A query that qd ships.
struct Known {
    name: String,
    /// Its text, with or without the label that tells clusters apart: name and pattern of that are captured.
    text: Regex,
    /// The question whether there is such a metric.
    there: Regex,
    /// It tells only of what there is.
    above: bool,
}

#[derive(Deserialize)]
struct File {
    query: Vec<Shipped>,
}

#[derive(Deserialize)]
struct Shipped {
    name: String,
    expr: String,
    #[serde(default)]
    needs: String,
}

fn spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A pattern of an expression in which `$by` and `$match` are filled in one way or the other.
fn pattern(expr: &str) -> Option<Regex> {
    let text = regex::escape(&spaced(expr));
    let text = text.replace(r"\$by", r"(?:([a-zA-Z_]\w*),)?").replace(r"\$match", r#"(?:[a-zA-Z_]\w*=~"((?:[^"\\]|\\.)*)",)?"#);
    Regex::new(&format!("^{text}$")).ok()
}

fn known() -> &'static [Known] {
    static KNOWN: OnceLock<Vec<Known>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let file = toml::from_str(include_str!("../../assets/queries.toml")).map_or_else(|_| Vec::new(), |f: File| f.query);
        let one = |q: Shipped| {
            let there = format!("count by ($by) ({}{{$match}})", q.needs);
            let above = spaced(&q.expr).ends_with("> 0");
            Some(Known { text: pattern(&q.expr)?, there: pattern(&there)?, name: q.name, above })
        };
        file.into_iter().filter_map(one).collect()
    })
}

/// What is asked for.
struct Asked<'a> {
    known: &'a Known,
    /// Only so many of a cluster, the highest.
    top: Option<usize>,
    /// Whether there is such a metric, and no more.
    there: bool,
    /// The label that is to tell clusters apart, and which clusters are meant.
    by: Option<String>,
    of: Option<Regex>,
}

fn asked(text: &str) -> Option<Asked<'static>> {
    let text = spaced(text);
    let (top, inner) = match text.strip_prefix("topk by (") {
        Some(rest) => {
            let (top, inner) = rest.split_once(") (")?.1.split_once(", ")?;
            (Some(top.parse().ok()?), inner.strip_suffix(')')?.to_owned())
        }
        None => (None, text),
    };
    known().iter().find_map(|known| {
        let (found, there) = match known.text.captures(&inner) {
            Some(found) => (found, false),
            None => (known.there.captures(&inner)?, true),
        };
        // The label's name comes before what it may be, in every query.
        let mut groups = found.iter().skip(1).flatten().map(|m| m.as_str());
        let by = groups.next().map(str::to_owned);
        let of = groups.find(|g| Some(*g) != by.as_deref());
        let of = of.and_then(|p| Regex::new(&format!("^(?:{})$", p.replace("\\\"", "\"").replace("\\\\", "\\"))).ok());
        Some(Asked { known, top, there, by, of })
    })
}

/// When: one moment, or from, to and by which step (unix seconds).
#[derive(Clone, Copy)]
enum When {
    At(i64),
    Over(i64, i64, i64),
}

fn bad(why: &str) -> Reply {
    json_reply(400, &json!({"status": "error", "errorType": "bad_data", "error": why}))
}

fn good(data: Value) -> Reply {
    json_reply(200, &json!({"status": "success", "data": data}))
}

/// Looks at each of these clusters as it is now: its state, and what is wrong with its API server.
fn each<T>(clusters: &[Arc<Cluster>], look: impl Fn(&State, &Faults) -> T) -> Vec<T> {
    clusters.iter().map(|c| c.etcd(|s| look(s, &c.switch.now()))).collect()
}

/// Answers a request about these clusters.
pub fn answer(clusters: &[Arc<Cluster>], method: &Method, path: &str, query: &Query) -> Reply {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (method, parts.as_slice()) {
        (&Method::GET, ["-", "ready" | "healthy"]) => whole(200, "text/plain; charset=utf-8", "Prometheus Server is Ready.\n"),
        (&Method::GET, ["api", "v1", which @ ("query" | "query_range")]) => match when(which, query) {
            Ok(when) => series(clusters, query.get("query").unwrap_or_default(), when),
            Err(why) => bad(why),
        },
        (&Method::GET, ["api", "v1", "labels"]) => good(LABELS.as_slice().into()),
        (&Method::GET, ["api", "v1", "rules"]) => good(rules(clusters)),
        (&Method::GET, ["api", "v1", "targets"]) => good(targets(clusters)),
        (&Method::GET, ["api", "v1", "status", "buildinfo"]) => good(
            json!({"version": "3.5.0", "revision": "0000000", "branch": "HEAD", "buildUser": "qd", "buildDate": "20260901-10:00:00", "goVersion": "go1.26.1"}),
        ),
        _ => whole(404, "text/plain; charset=utf-8", "404 page not found\n"),
    }
}

fn when(which: &str, query: &Query) -> Result<When, &'static str> {
    let number = |name: &str| query.get(name).and_then(|v| v.parse::<f64>().ok()).filter(|v| v.is_finite()).map(|v| v as i64);
    if which == "query" {
        return Ok(When::At(number("time").unwrap_or_else(super::serve::seconds)));
    }
    let start = number("start").ok_or("invalid parameter \"start\": cannot parse \"\" to a valid timestamp")?;
    let end = number("end").ok_or("invalid parameter \"end\": cannot parse \"\" to a valid timestamp")?;
    let step = number("step")
        .filter(|s| *s > 0)
        .ok_or("invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer")?;
    if end < start {
        return Err("invalid parameter \"end\": end timestamp must not be before start time");
    }
    if (end - start) / step > POINTS {
        return Err("exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)");
    }
    Ok(When::Over(start, end, step))
}

fn series(clusters: &[Arc<Cluster>], text: &str, when: When) -> Reply {
    let Some(asked) = asked(text) else {
        let why = "invalid parameter \"query\": this is a simulated Prometheus: it knows the queries that qd ships, by their text, and no other PromQL";
        return bad(why);
    };
    let now = match when {
        When::At(at) => at,
        When::Over(_, end, _) => end,
    };
    let result = each(clusters, |s, faults| {
        let meant = asked.of.as_ref().is_none_or(|of| of.is_match(&s.name));
        let mut rows = if meant { measured::rows(s, faults, &asked.known.name).unwrap_or_default() } else { Vec::new() };
        if meant && asked.there {
            rows = vec![Row::count(900)];
        }
        if let Some(top) = asked.top {
            rows.sort_by(|a, b| b.at(now).total_cmp(&a.at(now)));
            rows.truncate(top);
        }
        // Who asks above zero is told of nothing else.
        rows.retain(|row| !asked.known.above || row.at(now) > 0.0);
        rows.iter().map(|row| one(row, asked.by.as_deref(), &s.name, when)).collect::<Vec<Value>>()
    });
    let result: Vec<Value> = result.into_iter().flatten().collect();
    let kind = if matches!(when, When::At(_)) { "vector" } else { "matrix" };
    good(json!({"resultType": kind, "result": result}))
}

fn one(row: &Row, by: Option<&str>, cluster: &str, when: When) -> Value {
    let mut metric: serde_json::Map<String, Value> = row.labels.iter().map(|(k, v)| ((*k).to_owned(), v.as_str().into())).collect();
    if let Some(by) = by {
        metric.insert(by.to_owned(), cluster.into());
    }
    let sample = |at: i64| json!([at, row.at(at).to_string()]);
    match when {
        When::At(at) => json!({"metric": metric, "value": sample(at)}),
        When::Over(start, end, step) => {
            let times = (0..=(end - start) / step).map(|n| start + n * step);
            json!({"metric": metric, "values": times.map(sample).collect::<Vec<_>>()})
        }
    }
}

/// An alerting rule a name, with its alerts that fire and that wait.
fn rules(clusters: &[Arc<Cluster>]) -> Value {
    let mut all: BTreeMap<String, (bool, Vec<Value>)> = BTreeMap::new();
    for (alert, fires) in each(clusters, |s, _| (alerts::firing(s), alerts::pending(s)))
        .into_iter()
        .flat_map(|(firing, waiting)| firing.into_iter().map(|a| (a, true)).chain(waiting.into_iter().map(|a| (a, false))))
    {
        let rule = all.entry(alert.label("alertname").to_owned()).or_default();
        rule.0 |= fires;
        let state = if fires { "firing" } else { "pending" };
        let told = json!({"labels": alert.labels, "annotations": alert.annotations, "state": state, "activeAt": rfc3339(alert.starts), "value": "1e+00"});
        rule.1.push(told);
    }
    let rule = |(name, (fires, alerts)): (String, (bool, Vec<Value>))| {
        json!({"type": "alerting", "name": name, "query": "vector(1)", "duration": 60, "labels": {}, "annotations": {}, "health": "ok",
            "state": if fires { "firing" } else { "pending" }, "alerts": alerts})
    };
    let rules: Vec<Value> = all.into_iter().map(rule).collect();
    json!({"groups": [{"name": "kubernetes", "file": "/etc/prometheus/rules/kubernetes.yaml", "interval": 30, "rules": rules}]})
}

/// Kubelets and node exporters.
fn targets(clusters: &[Arc<Cluster>]) -> Value {
    let active = each(clusters, |s, _| {
        let of = |node: &super::control::NodeFacts| {
            [("kubelet", 10250), ("node-exporter", 9100)].map(|(job, port)| {
                let instance = format!("{}:{port}", node.address);
                json!({"scrapePool": job, "scrapeUrl": format!("http://{instance}/metrics"), "health": if node.ready { "up" } else { "down" },
                    "lastError": if node.ready { "" } else { "context deadline exceeded" }, "lastScrape": rfc3339(s.now()),
                    "labels": {"job": job, "instance": instance, "node": &*node.name, "cluster": s.name}})
            })
        };
        s.world.nodes.iter().flat_map(of).collect::<Vec<Value>>()
    });
    json!({"activeTargets": active.into_iter().flatten().collect::<Vec<Value>>(), "droppedTargets": []})
}

/// Opens the socket of the Prometheus that all these clusters share, and serves it until the runtime ends; says where it is. Must be called within the
/// runtime.
///
/// # Errors
/// When there is no socket to be had.
pub fn listen(clusters: Vec<Arc<Cluster>>) -> std::io::Result<String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let url = format!("http://{}", listener.local_addr()?);
    let listener = TcpListener::from_std(listener)?;
    let clusters: Arc<[Arc<Cluster>]> = clusters.into();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let clusters = clusters.clone();
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let clusters = clusters.clone();
                async move {
                    let query = Query::parse(request.uri().query().unwrap_or(""));
                    Ok::<_, Infallible>(answer(&clusters, request.method(), request.uri().path(), &query))
                }
            });
            // A client that goes away is no error of ours.
            tokio::spawn(async move { drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await) });
        }
    });
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{Scenario, names};
    use super::*;
    use crate::model::query::fill;
    use http_body_util::BodyExt as _;
    use std::collections::BTreeSet;

    fn cluster(scenario: &str, name: &str) -> Arc<Cluster> {
        let mut scenario = Scenario::load(scenario).unwrap();
        (scenario.churn, scenario.replace_every) = (0.0, 0.0);
        scenario.resize(None, Some(20), Some(300)).unwrap();
        let index = names(scenario.clusters).iter().position(|n| n == name).unwrap();
        let start = super::super::serve::seconds();
        let mut state = generate::cluster(&scenario, name, index, scenario.seed, start);
        // Into the storm, where there is one.
        super::super::control::run(&mut state, (start + 45) * 1000);
        Cluster::new(state, 0, String::new(), String::new())
    }

    async fn get(clusters: &[Arc<Cluster>], path: &str, pairs: &[(&str, &str)]) -> (u16, Value) {
        let hex = |text: &str| text.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
        let query: Vec<String> = pairs.iter().map(|(k, v)| format!("{k}={}", hex(v))).collect();
        let reply = answer(clusters, &Method::GET, path, &Query::parse(&query.join("&")));
        let code = reply.status().as_u16();
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&body).unwrap())
    }

    fn shipped() -> Vec<Shipped> {
        toml::from_str::<File>(include_str!("../../assets/queries.toml")).unwrap().query
    }

    #[tokio::test]
    async fn every_query_that_ships_gives_rows_somewhere_and_each_with_its_label_too() {
        let troubled = [
            ("calm", "prod-eu"),
            ("on-call-night", "prod-us"),
            ("on-call-night", "prod-eu"),
            ("alert-storm", "prod-us"),
            ("node-lost", "prod-eu"),
            ("etcd-full", "prod-eu"),
            ("from-vms", "prod-eu"),
        ];
        let all = troubled.map(|(scenario, name)| cluster(scenario, name));
        let mut dead: BTreeSet<String> = BTreeSet::new();
        for query in shipped() {
            let plain = fill(&query.expr, None, &[]);
            let names = ["prod-us".to_owned(), "prod-eu".to_owned()];
            let labelled = fill(&query.expr, Some("cluster"), &names);
            let (code, said) = get(&all, "/api/v1/query", &[("query", &plain)]).await;
            assert_eq!((code, &said["data"]["resultType"]), (200, &json!("vector")), "{}: {said}", query.name);
            let rows = said["data"]["result"].as_array().unwrap();
            assert!(
                rows.iter().all(|r| r["metric"]["cluster"].is_null() && r["value"][1].as_str().unwrap().parse::<f64>().is_ok()),
                "{said}"
            );
            if rows.is_empty() {
                dead.insert(query.name.clone());
            }
            let (code, said) = get(&all, "/api/v1/query", &[("query", &labelled)]).await;
            let labelled = said["data"]["result"].as_array().unwrap();
            assert!(code == 200 && labelled.len() == rows.len(), "{}: {said}", query.name);
            assert!(labelled.iter().all(|r| names.iter().any(|n| r["metric"]["cluster"] == **n)), "{said}");
        }
        assert_eq!(dead, BTreeSet::new());
    }

    #[tokio::test]
    async fn the_highest_a_course_and_whether_there_is_a_metric() {
        let all = [cluster("calm", "prod-eu"), cluster("calm", "prod-us")];
        let by = |names: &[String], name: &str| fill(&shipped().into_iter().find(|q| q.name == name).unwrap().expr, Some("cluster"), names);
        let one = ["prod-us".to_owned()];
        let expr = by(&one, "pod-receive");
        let (_, said) = get(&all, "/api/v1/query", &[("query", &format!("topk by (cluster,) (3, {expr})"))]).await;
        let rows = said["data"]["result"].as_array().unwrap();
        assert_eq!(rows.len(), 3);
        assert!(rows.iter().all(|r| r["metric"]["cluster"] == "prod-us" && r["metric"]["pod"].is_string()), "{said}");
        let expr = by(&one, "api-latency");
        let (_, said) = get(&all, "/api/v1/query_range", &[("query", &expr), ("start", "1200"), ("end", "3000"), ("step", "60")]).await;
        let rows = said["data"]["result"].as_array().unwrap();
        assert_eq!((&said["data"]["resultType"], rows.len(), rows[0]["values"].as_array().unwrap().len()), (&json!("matrix"), 6, 31));
        assert_eq!((&rows[0]["values"][0][0], &rows[0]["values"][30][0]), (&json!(1200), &json!(3000)));
        let there = "count by (cluster,) (container_oom_events_total{cluster=~\"prod-us\",})";
        let (_, said) = get(&all, "/api/v1/query", &[("query", there)]).await;
        assert_eq!(said["data"]["result"][0]["metric"], json!({"cluster": "prod-us"}), "{said}");
    }

    #[tokio::test]
    async fn other_promql_is_refused_in_prometheus_own_way() {
        let all = [cluster("calm", "prod-eu")];
        for (path, pairs) in [
            ("/api/v1/query", &[("query", "sum(rate(my_total[5m]))")][..]),
            ("/api/v1/query", &[]),
            ("/api/v1/query_range", &[("query", "up")]),
        ] {
            let (code, said) = get(&all, path, pairs).await;
            assert_eq!((code, &said["status"], &said["errorType"]), (400, &json!("error"), &json!("bad_data")), "{said}");
        }
        let (_, said) = get(&all, "/api/v1/query", &[("query", "up")]).await;
        assert!(said["error"].as_str().unwrap().contains("knows the queries that qd ships"), "{said}");
        let (code, said) = get(&all, "/api/v1/targets", &[]).await;
        assert!(code == 200 && said["data"]["activeTargets"].as_array().unwrap().len() == 40, "{said}");
        let (_, said) = get(&all, "/api/v1/rules", &[]).await;
        assert!(said["data"]["groups"][0]["rules"].as_array().unwrap().iter().any(|r| r["name"] == "Watchdog"), "{said}");
    }
}
