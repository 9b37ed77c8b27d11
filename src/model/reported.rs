//! What a scheduled inspection has published in a cluster, as it is read back: the findings of our PolicyReports, how old they are, and what is amiss
//! with them. How they are written is [`super::policy_report`]'s.

use super::duration::{age, format_duration, parse_duration};
use super::policy_report::{AT, EVERY, LABEL, LEFT_OUT, NAME, known_since};
use super::{Evidence, Severity, Str, Time};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Where a report does not say how often one is made (seconds).
const HOUR: i64 = 3600;
/// A report that is so many times older than it should become is old.
const TIMES: i64 = 3;

/// A finding as a report has it.
#[derive(Clone, PartialEq, Debug)]
pub struct Reported {
    pub rule: Str,
    pub area: Str,
    /// 1 wakes people, 2 completes, 3 is for depth.
    pub tier: u8,
    pub severity: Severity,
    /// As the API names it; `Cluster` for the cluster itself.
    pub kind: Str,
    /// Empty for what is cluster-wide.
    pub namespace: Str,
    pub name: Str,
    pub message: String,
    pub evidence: Vec<Evidence>,
    /// The verb and what it is given, in words; empty: by hand.
    pub remedy: String,
    pub next_step: String,
    /// Since when it is so.
    pub since: Option<Time>,
    /// When an inspection first saw it.
    pub first_seen: Option<Time>,
}

/// All that is published of one cluster.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Reports {
    /// When it was inspected, as the cluster's own report says, which is written last. None: that one is not there.
    pub at: Option<Time>,
    /// How often that is done (seconds); none: nobody has said.
    pub every: Option<i64>,
    pub findings: Vec<Reported>,
    /// The rules that could not judge, and why.
    pub skipped: Vec<(Str, Str)>,
    /// Findings that found no room.
    pub left_out: usize,
}

/// What was heard of a cluster's reports.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Heard {
    /// Somebody answered, be it with a refusal.
    pub told: bool,
    /// Why they could not be read when that was last tried.
    pub failing: Option<Str>,
    /// The cluster does not know what a PolicyReport is.
    pub undefined: bool,
    /// What was read last. None: there is none of ours.
    pub reports: Option<Arc<Reports>>,
}

/// What is amiss with a cluster's reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Amiss {
    /// Not asked for yet.
    Waiting,
    Missing,
    Failing,
    Stale,
    /// Not all that was found is in them.
    Cut,
}

impl Amiss {
    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Missing => "missing",
            Self::Failing => "failing",
            Self::Stale => "stale",
            Self::Cut => "cut",
        }
    }
}

impl Heard {
    /// What is amiss with them, and in words. None where all is well. `now` in unix seconds.
    pub fn amiss(&self, now: i64) -> Option<(Amiss, String)> {
        let old = |r: &Reports| r.at.map_or_else(|| "of unknown age".to_owned(), |at| format!("{} old", age(at.age(now))));
        match (&self.reports, &self.failing) {
            _ if !self.told => Some((Amiss::Waiting, "its reports are not read yet".to_owned())),
            (None, Some(why)) => Some((Amiss::Failing, format!("its reports are not read: {why}"))),
            (None, None) if self.undefined => {
                let words = "no PolicyReports are defined there: nothing is published (kubectl apply -k assets/inspect/crds)";
                Some((Amiss::Missing, words.to_owned()))
            }
            (None, None) => Some((Amiss::Missing, "no report of an inspection is there (docs/scheduled-inspection.md)".to_owned())),
            (Some(r), Some(why)) => Some((Amiss::Failing, format!("its reports are not read: {why}; what is shown is {}", old(r)))),
            (Some(r), None) => match (r.at, r.every) {
                (None, _) => Some((Amiss::Stale, "its reports do not say when they were made: the cluster's own is not there".to_owned())),
                (Some(at), _) if at.age(now) > r.fresh() => {
                    let every = r.every.and_then(|s| u64::try_from(s).ok()).map(|s| format_duration(Duration::from_secs(s)));
                    let expected = every.map_or_else(
                        || "and it does not say how often one is made".to_owned(),
                        |every| format!("one is expected every {every}"),
                    );
                    Some((Amiss::Stale, format!("the report is stale: {}, {expected}", old(r))))
                }
                _ if r.left_out > 0 => Some((Amiss::Cut, format!("{} findings found no room in its reports", r.left_out))),
                _ => None,
            },
        }
    }

    /// Why a rule did not judge, as the inspection says.
    pub fn skipped(&self, rule: &str) -> Option<&Str> {
        self.reports.as_ref()?.skipped.iter().find(|(id, _)| **id == *rule).map(|(_, why)| why)
    }
}

impl Reports {
    /// For so many seconds it is current.
    fn fresh(&self) -> i64 {
        self.every.map_or(HOUR, |every| every.saturating_mul(TIMES))
    }

    /// What our reports among these say, those of namespaces and the cluster's own. None: there is none of ours.
    pub fn read<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Option<Self> {
        let mut read: Option<Self> = None;
        for object in objects.into_iter().filter(|o| ours(o)) {
            let into = read.get_or_insert_default();
            let annotation = |key: &str| object["metadata"]["annotations"][key].as_str();
            if text(&object["metadata"], "namespace").is_empty() {
                into.at = annotation(AT).and_then(time);
                into.every = annotation(EVERY).and_then(parse_duration).and_then(|d| i64::try_from(d.as_secs()).ok()).filter(|s| *s > 0);
            }
            into.left_out += annotation(LEFT_OUT).and_then(|n| n.parse::<usize>().ok()).unwrap_or_default();
            for result in object["results"].as_array().into_iter().flatten() {
                match text(result, "result") {
                    "skip" => {
                        let why = text(result, "message");
                        into.skipped.push((text(result, "policy").into(), why.strip_prefix("not evaluated: ").unwrap_or(why).into()));
                    }
                    "fail" | "warn" | "error" => into.findings.push(Reported::read(result)),
                    _ => {}
                }
            }
        }
        read
    }
}

/// Whether a report is ours: by its name and its label.
fn ours(report: &Value) -> bool {
    let meta = &report["metadata"];
    meta["name"] == NAME && meta["labels"][LABEL.0] == LABEL.1
}

impl Reported {
    fn read(result: &Value) -> Self {
        let (object, properties) = (&result["resources"][0], &result["properties"]);
        // Its own word; else what others understand.
        let severity = Severity::parse(text(properties, "severity")).unwrap_or(match text(result, "severity") {
            "critical" | "high" => Severity::Critical,
            "medium" => Severity::Warning,
            _ => Severity::Info,
        });
        let evidence = text(properties, "evidence");
        Self {
            rule: text(result, "policy").into(),
            area: text(result, "category").into(),
            tier: text(properties, "tier").parse().unwrap_or(2),
            severity,
            kind: text(object, "kind").into(),
            namespace: text(object, "namespace").into(),
            name: text(object, "name").into(),
            message: text(result, "message").to_owned(),
            evidence: evidence.lines().fold(Vec::new(), gathered),
            remedy: text(properties, "remedy").to_owned(),
            next_step: text(properties, "next-step").to_owned(),
            since: time(text(properties, "since")),
            first_seen: known_since(result).and_then(Time::from_secs),
        }
    }
}

/// Adds a line of evidence, `what: value (time)`; one that is none belongs to the value before it.
fn gathered(mut all: Vec<Evidence>, line: &str) -> Vec<Evidence> {
    let (rest, at) = match line.strip_suffix(')').and_then(|l| l.rsplit_once(" (")).and_then(|(rest, at)| Some((rest, time(at)?))) {
        Some((rest, at)) => (rest, Some(at)),
        None => (line, None),
    };
    // Nothing behind the colon: a value that is empty.
    let split = rest.split_once(": ").or_else(|| rest.strip_suffix(':').map(|what| (what, "")));
    match (split, all.last_mut()) {
        (Some((what, value)), _) => all.push(Evidence { what: what.to_owned(), value: value.to_owned(), at }),
        (None, Some(last)) => {
            last.value.push('\n');
            last.value.push_str(rest);
            last.at = last.at.or(at);
        }
        (None, None) => all.push(Evidence { what: String::new(), value: rest.to_owned(), at }),
    }
    all
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn time(text: &str) -> Option<Time> {
    text.parse::<jiff::Timestamp>().ok().and_then(|t| Time::from_secs(t.as_second()))
}

#[cfg(test)]
mod tests {
    use super::super::policy_report::{Sheet, result, skipped};
    use super::*;
    use serde_json::json;

    const AT_SECS: i64 = 1_772_333_400;

    fn item() -> Value {
        json!({"rule": "node-not-ready", "area": "node", "tier": 1, "severity": "critical", "cluster": "c", "kind": "Node", "namespace": null,
            "name": "a", "message": "not ready", "evidence": [{"what": "Ready", "value": "False", "at": "2026-03-01T02:47:30Z"},
                {"what": "said", "value": "line one: x\nand another", "at": null}, {"what": "nothing", "value": "", "at": null}],
            "remedy": "cordon a", "next_step": "look at it", "since": "2026-03-01T02:47:30Z", "first_seen": "2026-03-01T02:50:00Z"})
    }

    fn heard(reports: &[Value]) -> Heard {
        Heard { told: true, reports: Reports::read(reports).map(Arc::new), ..Heard::default() }
    }

    fn cluster(every: &str) -> Value {
        let mut sheet = Sheet::default();
        sheet.add(result(&item()));
        sheet.add(skipped("alert-critical", "no alertmanager"));
        sheet.object("", "2026-03-01T02:50:00Z", every)
    }

    #[test]
    fn what_is_published_is_read_back() {
        let mut sheet = Sheet::default();
        sheet.add(result(
            &json!({"rule": "pdb-missing", "area": "availability", "tier": 2, "severity": "info", "kind": "Deployment", "namespace": "pay",
            "name": "api", "message": "no budget", "evidence": [], "next_step": "", "first_seen": "2026-03-01T02:50:00Z"}),
        ));
        let mut other = sheet.object("pay", "2026-03-01T02:50:00Z", "15m");
        other["metadata"]["labels"][LABEL.0] = "kyverno".into();
        let read = Reports::read(&[sheet.object("pay", "2020-01-01T00:00:00Z", "9h"), other, cluster("15m")]).unwrap();
        assert_eq!((read.at, read.every), (Time::from_secs(AT_SECS), Some(900)), "those of the cluster's own count");
        assert_eq!(read.skipped, [("alert-critical".into(), "no alertmanager".into())]);
        let [api, node] = read.findings.as_slice() else { panic!("{:?}", read.findings) };
        assert_eq!((&*api.rule, api.severity, api.tier, &*api.namespace, &*api.name), ("pdb-missing", Severity::Info, 2, "pay", "api"));
        assert_eq!(api.evidence, []);
        let seen = Time::from_secs(AT_SECS - 150);
        assert_eq!((&*node.kind, &*node.namespace, node.since, node.first_seen), ("Node", "", seen, Time::from_secs(AT_SECS)));
        let line = |what: &str, value: &str, at| Evidence { what: what.into(), value: value.into(), at };
        // A value of several lines is read as what it shows.
        assert_eq!(
            node.evidence,
            [line("Ready", "False", seen), line("said", "line one: x\nand another", None), line("nothing", "", None)]
        );
        assert_eq!((node.remedy.as_str(), node.next_step.as_str()), ("cordon a", "look at it"));
        assert_eq!(Reports::read(&[json!({"metadata": {"name": NAME}})]), None, "without our label it is not ours");
    }

    #[test]
    fn none_old_cut_or_not_read_is_told_apart() {
        let amiss = |heard: &Heard, now: i64| heard.amiss(now).map(|(amiss, _)| amiss);
        assert_eq!(amiss(&Heard::default(), AT_SECS), Some(Amiss::Waiting));
        assert_eq!(heard(&[]).amiss(AT_SECS).unwrap().1, "no report of an inspection is there (docs/scheduled-inspection.md)");
        let undefined = Heard { told: true, undefined: true, ..Heard::default() };
        assert!(undefined.amiss(AT_SECS).unwrap().1.starts_with("no PolicyReports are defined there: "));
        let quarter = heard(&[cluster("15m")]);
        assert_eq!(amiss(&quarter, AT_SECS + 2700), None, "at three times its interval it is not old yet");
        let (stale, words) = quarter.amiss(AT_SECS + 2701).unwrap();
        assert_eq!((stale, words.as_str()), (Amiss::Stale, "the report is stale: 45m old, one is expected every 15m"));
        // It names no interval: an hour.
        let mut mute = cluster("15m");
        mute["metadata"]["annotations"].as_object_mut().unwrap().remove(EVERY);
        assert_eq!((amiss(&heard(&[mute.clone()]), AT_SECS + 3600), amiss(&heard(&[mute]), AT_SECS + 3601)), (None, Some(Amiss::Stale)));
        let refused = Heard { failing: Some("no right to list policyreports".into()), ..quarter };
        assert!(refused.amiss(AT_SECS + 60).unwrap().1.ends_with("no right to list policyreports; what is shown is 60s old"));
        let mut cut = cluster("15m");
        cut["metadata"]["annotations"][LEFT_OUT] = "7".into();
        assert_eq!(amiss(&heard(&[cut]), AT_SECS), Some(Amiss::Cut));
        let alone = heard(&[Sheet::default().object("pay", "2026-03-01T02:50:00Z", "15m")]);
        assert_eq!(amiss(&alone, AT_SECS), Some(Amiss::Stale), "the cluster's own is written last: without it nobody knows");
    }
}
