//! `publish`: what an inspection found, written into the cluster that it was found in: a PolicyReport a namespace, and one of the cluster.
//!
//! Server-side apply of whole reports: results that are gone go with it, and reports of ours that would say nothing are deleted. What has not changed
//! is not written again; the cluster's own report is, and last, for its time is that of the whole. Since when a finding is known is kept.

use super::super::snapshot::{NoFact, gather};
use super::{Request, Snapshot, Stop};
use crate::model::duration::format_duration;
use crate::model::policy_report::{NAME, Sheet, key, known_since, list, resource, result, skipped, stamp};
use crate::model::{Act, ClusterId, Kind, Level, Method, Plan, Step, Target, Write};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

/// Where nobody says how often it is done.
const HOUR: Duration = Duration::from_secs(3600);

pub fn plan(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let Some((file, text)) = request.documents.first() else { return Err(usage("no report to publish".to_owned())) };
    let report: Value = serde_json::from_str(text).map_err(|e| usage(format!("{file}: no report: {e}")))?;
    let (Some(at), Some(items)) = (report["at"].as_str(), report["items"].as_array()) else {
        return Err(usage(format!("{file}: no report")));
    };
    let every = format_duration(request.args.duration("every").unwrap_or(HOUR));
    let live = gather(request.targets.iter().map(|t| Ok((t, there(snapshot, t.cluster)?))))?;
    let mut plan = Plan::new(request.verb, &request.args, String::new());
    plan.undo_text = "the next inspection writes what is so then".to_owned();
    let (mut findings, mut same) = (0, 0);
    for (lane, (target, live)) in live.into_iter().enumerate() {
        let name = &*snapshot.cluster(target.cluster)?.info.name;
        let part = report["clusters"].as_array().into_iter().flatten().find(|c| c["name"] == name);
        let part = part.ok_or_else(|| usage(format!("{file}: no report of {name}")))?;
        if part["score"].is_null() {
            return Err(Stop::refuse("unreachable", format!("{name} was not seen: nothing of it is published")));
        }
        // What was read from its reports would stand there as found anew, and never be old.
        if snapshot.cluster(target.cluster)?.info.reported() || part["reported_at"].is_string() {
            return Err(Stop::refuse("reported", format!("the findings of {name} are read from its reports: nothing of it is published"))
                .with_hint("the inspection inside the cluster publishes; `findings = \"computed\"` for the cluster judges it here"));
        }
        if part["part"] == true {
            // It would take the place of the whole.
            return Err(usage(format!("{file}: only a part of {name} was inspected")));
        }
        let own = items.iter().filter(|i| i["cluster"] == name);
        let sheets = sheets(snapshot, target.cluster, own, part, &live)?;
        findings += sheets.values().map(Sheet::findings).sum::<usize>();
        for (namespace, sheet) in &sheets {
            let there = live.get(namespace.as_str());
            // The cluster's own comes after all others.
            let stage = usize::from(namespace.is_empty());
            let report = report_of(target.cluster, namespace);
            match there {
                Some(there) if stage == 0 && sheet.said_by(there) => same += 1,
                // One that is not ours by its label has another's fields: it is not taken over.
                there => {
                    let body = sheet.object(namespace, at, &every);
                    let query = format!("force={}", there.is_some());
                    let write = Write { method: Method::Apply, path: report.path(), query, body };
                    let text = format!("publish {} in {}", counted(sheet.findings()), report.label());
                    plan.steps.push(Step::new(text, &report, Act::Write(write)).at(lane, stage));
                }
            }
        }
        for (namespace, there) in live.iter().filter(|(n, _)| !sheets.contains_key(**n)) {
            let uid = there["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
            let report = Target { uid: Some(uid.clone()), ..report_of(target.cluster, namespace) };
            let body = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}});
            let text = format!("delete {}: nothing is found there any more", report.label());
            plan.steps.push(Step::write(text, &report, Method::Delete, body).at(lane, 0));
        }
    }
    if same > 0 {
        plan.note(Level::Info, format!("{same} report{} the same already", if same == 1 { " says" } else { "s say" }));
    }
    let clusters: Vec<&str> = request.targets.iter().map(|t| t.name.as_str()).collect();
    plan.title = format!("publish {} of {}", counted(findings), clusters.join(", "));
    plan.parallel = 8;
    Ok(plan)
}

fn usage(why: String) -> Stop {
    Stop::refuse("usage", why).with_hint("`qd inspect -o json` writes one; qd inspect --publish policyreport does both")
}

fn counted(n: usize) -> String {
    format!("{n} finding{}", if n == 1 { "" } else { "s" })
}

fn report_of(cluster: ClusterId, namespace: &str) -> Target {
    Target { cluster, resource: resource(!namespace.is_empty()), namespace: namespace.to_owned(), name: NAME.to_owned(), uid: None }
}

/// The reports of ours that are there, by namespace; that of the cluster has none.
fn there<'a>(snapshot: &Snapshot<'a>, cluster: ClusterId) -> Result<BTreeMap<&'a str, &'a Value>, Stop> {
    let lists = gather([false, true].into_iter().map(|namespaced| snapshot.fact(cluster, list(namespaced))))?;
    let mut found = BTreeMap::new();
    for list in lists {
        let list = list.as_ref().map_err(|e| match e {
            NoFact::NotFound => Stop::refuse("missing", format!("{}it has no PolicyReports", snapshot.place(cluster)))
                .with_hint("kubectl apply -k assets/inspect/crds defines them"),
            NoFact::Forbidden(why) => Stop::refuse("forbidden", format!("{}{why}", snapshot.place(cluster))),
            NoFact::Other(why) => Stop::refuse("unreachable", format!("{}{why}", snapshot.place(cluster))),
        })?;
        let ours = list["items"].as_array().into_iter().flatten().filter(|r| r["metadata"]["name"] == NAME);
        found.extend(ours.map(|r| (r["metadata"]["namespace"].as_str().unwrap_or_default(), r)));
    }
    Ok(found)
}

/// What each report is to say.
fn sheets<'a>(
    snapshot: &Snapshot,
    cluster: ClusterId,
    items: impl Iterator<Item = &'a Value>,
    part: &Value,
    live: &BTreeMap<&str, &Value>,
) -> Result<BTreeMap<String, Sheet>, Stop> {
    let results = live.values().flat_map(|r| r["results"].as_array().into_iter().flatten());
    let since: HashMap<[&str; 4], i64> = results.filter_map(|r| Some((key(r), known_since(r)?))).collect();
    let store = snapshot.cluster(cluster)?;
    // An alert may name a namespace that this cluster has not, and nothing comes into one that goes.
    let takes = |namespace: &str| match store.named(Kind::Namespace, "", namespace) {
        Some(crate::model::Object::Namespace(n)) => n.meta.deleting.is_none(),
        _ => false,
    };
    let mut sheets = BTreeMap::from([(String::new(), Sheet::default())]);
    let mut rules = std::collections::BTreeSet::new();
    for item in items {
        rules.insert(item["rule"].as_str().unwrap_or_default());
        let mut result = result(item);
        if let Some(earlier) = since.get(&key(&result)).copied() {
            stamp(&mut result, earlier);
        }
        let namespace = item["namespace"].as_str().filter(|n| takes(n)).unwrap_or_default();
        sheets.entry(namespace.to_owned()).or_default().add(result);
    }
    // What a rule that could not judge this time has found before is so until it can.
    let blind: HashSet<&str> = part["not_evaluated"].as_array().into_iter().flatten().filter_map(|n| n["rule"].as_str()).collect();
    for (namespace, report) in live {
        let kept = |r: &&Value| r["result"] != "skip" && r["policy"].as_str().is_some_and(|p| blind.contains(p) && !rules.contains(p));
        for result in report["results"].as_array().into_iter().flatten().filter(kept) {
            let namespace = Some(*namespace).filter(|n| takes(n)).unwrap_or_default();
            sheets.entry(namespace.to_owned()).or_default().add(result.clone());
        }
    }
    let own = sheets.entry(String::new()).or_default();
    for not in part["not_evaluated"].as_array().into_iter().flatten() {
        own.add(skipped(not["rule"].as_str().unwrap_or_default(), not["why"].as_str().unwrap_or_default()));
    }
    let judged = part["evaluated"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
    own.passed(judged.saturating_sub(rules.len()));
    Ok(sheets)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, NOW, at};
    use super::*;
    use crate::model::{Args, VerbId};

    fn item(namespace: Option<&str>, kind: &str, name: &str) -> Value {
        json!({"rule": "pdb-missing", "area": "availability", "tier": 1, "severity": "warning", "cluster": "lab", "kind": kind, "namespace": namespace,
            "name": name, "message": "no budget", "evidence": [], "remedy": null, "next_step": "make one", "since": null, "first_seen": at(NOW)})
    }

    fn publish(f: &mut Fixture, items: &[Value]) -> Result<Plan, String> {
        let report = json!({"at": at(NOW), "items": items,
            "clusters": [{"name": "lab", "score": 90, "evaluated": 10, "not_evaluated": [{"rule": "alert-critical", "why": "no alertmanager"}]}]});
        publish_report(f, &report)
    }

    fn publish_report(f: &mut Fixture, report: &Value) -> Result<Plan, String> {
        let args = Args::parse(VerbId::Publish.info(), "filename=r.json every=15m").unwrap();
        let targets = vec![Target::of_cluster(ClusterId(0), "lab")];
        f.request(&Request { verb: VerbId::Publish, targets, args, documents: vec![("r.json".into(), report.to_string())] })
    }

    /// A cluster with the namespaces `pay` and `shop`, and these reports.
    fn with(reports: &[Value]) -> Fixture {
        let mut f = Fixture::new();
        for name in ["pay", "shop"] {
            f.add(Kind::Namespace, json!({"metadata": {"name": name}, "status": {"phase": "Active"}}));
        }
        let (spaced, own): (Vec<&Value>, Vec<&Value>) = reports.iter().partition(|r| r["metadata"]["namespace"].is_string());
        f.fact(&list(true), json!({"items": spaced}));
        f.fact(&list(false), json!({"items": own}));
        f
    }

    fn bodies(plan: &Plan) -> Vec<(String, Value)> {
        plan.steps.iter().map(|s| (s.text.clone(), s.act.request().unwrap().body.clone())).collect()
    }

    #[test]
    fn a_report_a_namespace_and_one_of_the_cluster_that_is_written_last() {
        let found = [item(Some("pay"), "Deployment", "api"), item(None, "Node", "n1"), item(Some("elsewhere"), "Alert", "Down")];
        let plan = publish(&mut with(&[]), &found).unwrap();
        let all = bodies(&plan);
        assert_eq!(plan.title, "publish 3 findings of lab");
        assert_eq!(all.len(), 2);
        let (own, pay) = (&all[0].1, &all[1].1);
        assert_eq!((own["kind"].as_str(), pay["metadata"]["namespace"].as_str()), (Some("ClusterPolicyReport"), Some("pay")));
        assert!(plan.steps[0].stage > plan.steps[1].stage, "its time says that all is written");
        let names: Vec<_> = own["results"].as_array().unwrap().iter().map(|r| r["resources"][0]["name"].as_str().unwrap_or("-")).collect();
        assert_eq!(names, ["n1", "Down", "-"], "what is of no namespace here, and what was not evaluated");
        assert_eq!(own["summary"], json!({"pass": 9, "fail": 2, "warn": 0, "error": 0, "skip": 1}));
        assert_eq!(own["metadata"]["annotations"]["quarterdeck.io/every"], "15m");
        assert!(plan.steps.iter().all(|s| s.act.request().unwrap().query == "force=false"), "a stranger of that name is not taken over");
    }

    #[test]
    fn what_a_rule_found_stays_while_it_cannot_judge() {
        let first = publish(&mut with(&[]), &[item(Some("pay"), "Deployment", "api")]).unwrap();
        let mut reports: Vec<Value> = bodies(&first).into_iter().map(|(_, body)| body).collect();
        for (n, report) in reports.iter_mut().enumerate() {
            report["metadata"]["uid"] = format!("00000000-0000-4000-8000-00000000000{n}").into();
        }
        let at_work =
            json!({"name": "lab", "score": 90, "evaluated": 9, "not_evaluated": [{"rule": "pdb-missing", "why": "no list of pdb"}]});
        let report = json!({"at": at(NOW), "items": [], "clusters": [at_work]});
        let plan = publish_report(&mut with(&reports), &report).unwrap();
        let texts: Vec<&str> = plan.steps.iter().map(|s| s.text.as_str()).collect();
        assert_eq!(texts, ["publish 0 findings in clusterpolicyreport quarterdeck"], "it is not taken for healed");
    }

    #[test]
    fn what_is_gone_goes_what_is_the_same_stays_and_first_seen_is_kept() {
        let first = publish(&mut with(&[]), &[item(Some("pay"), "Deployment", "api"), item(Some("shop"), "Deployment", "web")]).unwrap();
        let mut reports: Vec<Value> = bodies(&first).into_iter().map(|(_, body)| body).collect();
        for (n, report) in reports.iter_mut().enumerate() {
            report["metadata"]["uid"] = format!("00000000-0000-4000-8000-00000000000{n}").into();
            stamp(&mut report["results"][0], 1_700_000_000);
        }
        let mut later = item(Some("pay"), "Deployment", "api");
        later["first_seen"] = at(NOW + 900).into();
        let plan = publish(&mut with(&reports), &[later.clone()]).unwrap();
        let texts: Vec<&str> = plan.steps.iter().map(|s| s.text.as_str()).collect();
        let gone = "delete policyreport shop/quarterdeck: nothing is found there any more";
        assert_eq!(texts, ["publish 0 findings in clusterpolicyreport quarterdeck", gone]);
        let delete = plan.steps[1].act.request().unwrap();
        assert_eq!(delete.body["preconditions"]["uid"], reports[2]["metadata"]["uid"]);
        assert!(plan.notes.iter().any(|n| n.text == "1 report says the same already"), "{:?}", plan.notes);
        later["message"] = "another".into();
        let plan = publish(&mut with(&reports), &[later]).unwrap();
        let pay = bodies(&plan).into_iter().find(|(_, b)| b["metadata"]["namespace"] == "pay").unwrap().1;
        assert_eq!(known_since(&pay["results"][0]), Some(1_700_000_000));
        assert_eq!(plan.steps.iter().find(|s| s.target.namespace == "pay").unwrap().act.request().unwrap().query, "force=true");
    }

    #[test]
    fn what_cannot_be_published_says_why() {
        let mut f = Fixture::new();
        assert!(publish(&mut f, &[]).unwrap_err().contains("has no PolicyReports"));
        let other = json!({"at": at(NOW), "items": [], "clusters": [{"name": "prod", "score": 100}, {"name": "lab", "score": null}]});
        let plan = |f: &mut Fixture, report: &str| {
            let args = Args::parse(VerbId::Publish.info(), "filename=r.json").unwrap();
            let targets = vec![Target::of_cluster(ClusterId(0), "lab")];
            f.request(&Request { verb: VerbId::Publish, targets, args, documents: vec![("r.json".into(), report.into())] })
        };
        assert!(plan(&mut with(&[]), &other.to_string()).unwrap_err().contains("was not seen"));
        let part = json!({"at": at(NOW), "items": [], "clusters": [{"name": "lab", "score": 90, "part": true}]});
        assert!(plan(&mut with(&[]), &part.to_string()).unwrap_err().contains("only a part of lab"));
        assert!(plan(&mut with(&[]), "{}").unwrap_err().contains("no report"));
        let read = json!({"at": at(NOW), "items": [], "clusters": [{"name": "lab", "score": 90, "reported_at": at(NOW)}]});
        assert!(plan(&mut with(&[]), &read.to_string()).unwrap_err().contains("are read from its reports"));
        assert!(plan(&mut with(&[]), &other.to_string().replace("lab", "lab-2")).unwrap_err().contains("no report of lab"));
    }
}
