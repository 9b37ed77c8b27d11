//! What the clusters say before anybody confirms: whether we may, whether it would be taken, whether it is still as it was planned.
//!
//! Reads, access reviews and dry runs; a read-only cluster gets no dry run, since that is a write.

use super::{Clients, Gate};
use crate::client::{Ask, WriteAnswer};
use crate::model::{Act, ClusterId, FieldChange, Method, Permission, Plan, Step, Uid};
use futures::StreamExt as _;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Requests of one preflight at the same time.
const AT_ONCE: usize = 8;
/// Dry runs of one preflight at most; what is beyond is said.
const DRY_RUNS: usize = 50;

/// Fields in conflict that are told by name.
const CONFLICTS: usize = 8;

/// What a check found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    Fine,
    /// It cannot be told, and why; no reason not to go on.
    Unknown(String),
    /// Not permitted.
    Forbidden(String),
    /// It is no longer as it was planned.
    Drifted(String),
    /// The server would not take it.
    Invalid(String),
}

/// One check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    pub cluster: ClusterId,
    /// `may patch deployments/scale in pay`, `dry run: scale deployment pay/checkout`.
    pub text: String,
    pub finding: Finding,
    pub warnings: Vec<String>,
}

/// All that was checked.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Preflight {
    pub checks: Vec<Check>,
    /// What the server would store, by step.
    pub stored: BTreeMap<usize, Value>,
    /// What there is now, by step.
    pub live: BTreeMap<usize, Value>,
    /// Who the clusters say we are.
    pub users: Vec<(ClusterId, String)>,
}

impl Preflight {
    /// The first thing that is not permitted, or that a server would not take.
    pub fn forbidden(&self) -> Option<String> {
        self.checks.iter().find_map(|c| match &c.finding {
            Finding::Forbidden(why) | Finding::Invalid(why) => Some(format!("{}: {why}", c.text)),
            _ => None,
        })
    }
    /// The first thing that is no longer as it was planned.
    pub fn drifted(&self) -> Option<String> {
        self.checks.iter().find_map(|c| match &c.finding {
            Finding::Drifted(why) => Some(format!("{}: {why}", c.text)),
            _ => None,
        })
    }
    /// Warnings of admission, each once.
    pub fn warnings(&self) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        for warning in self.checks.iter().flat_map(|c| &c.warnings) {
            if !all.contains(&warning.as_str()) {
                all.push(warning);
            }
        }
        all
    }
}

/// A plan with what was found out about it: what is shown, and what a confirmation speaks of.
#[derive(Clone, Debug)]
pub struct Preview {
    pub plan: Plan,
    pub preflight: Preflight,
    pub gate: Gate,
    /// Of the plan.
    pub hash: String,
}

impl Preview {
    pub fn new(plan: Plan, preflight: Preflight, gate: Gate) -> Self {
        let hash = plan.hash();
        Self { plan, preflight, gate, hash }
    }
}

/// Asks the clusters.
pub async fn preflight(plan: &Plan, clients: &Clients) -> Preflight {
    let permissions = futures::stream::iter(plan.permissions()).map(|(cluster, p)| allowed(cluster, p, clients));
    let mut checks: Vec<Check> = permissions.buffered(AT_ONCE).collect().await;
    let writes = first_writes(plan);
    let skipped = writes.len().saturating_sub(DRY_RUNS);
    let dry = futures::stream::iter(writes.into_iter().take(DRY_RUNS)).map(|at| rehearsed(at, plan, clients));
    let (mut stored, mut live) = (BTreeMap::new(), BTreeMap::new());
    for (at, mut check, is, would_be) in dry.buffered(AT_ONCE).collect::<Vec<_>>().await {
        live.extend(is.map(|o| (at, o)));
        stored.extend(would_be.map(|o| (at, o)));
        if matches!(check.finding, Finding::Drifted(_))
            && let Some(what) = made_before(plan, at)
        {
            check.finding = Finding::Unknown(format!("it needs {what}, which is made first"));
        }
        checks.push(check);
    }
    checks.extend(super::silencing::checks(plan, clients).await);
    if skipped > 0
        && let Some(step) = plan.steps.first()
    {
        let finding = Finding::Unknown(format!("{DRY_RUNS} were tried; {skipped} more are sent without"));
        checks.push(Check { cluster: step.target.cluster, text: "dry runs".to_owned(), finding, warnings: Vec::new() });
    }
    checks.extend(super::etcd::checked(plan, clients).await);
    let mut users = Vec::new();
    for cluster in &plan.clusters {
        if let Ok(client) = clients.read(cluster.id)
            && let Ok((user, _)) = client.whoami().await
        {
            users.push((cluster.id, user));
        }
    }
    Preflight { checks, stored, live, users }
}

pub(super) async fn allowed(cluster: ClusterId, permission: Permission, clients: &Clients) -> Check {
    let text = format!("may {}", permission.words());
    let ask = Ask {
        verb: &permission.verb,
        group: &permission.group,
        resource: &permission.resource,
        subresource: permission.subresource.as_deref(),
        namespace: (!permission.namespace.is_empty()).then_some(&permission.namespace),
        name: None,
    };
    let finding = match clients.read(cluster) {
        Err(why) => Finding::Forbidden(why),
        Ok(client) => match client.can_i(ask).await {
            Ok(access) if access.allowed => Finding::Fine,
            Ok(access) if access.reason.is_empty() => Finding::Forbidden("not permitted".to_owned()),
            Ok(access) => Finding::Forbidden(format!("not permitted: {}", access.reason)),
            Err(e) => Finding::Unknown(e.reason()),
        },
    };
    Check { cluster, text, finding, warnings: Vec::new() }
}

/// The first write on each object: what comes after depends on it, and a dry run stores nothing. Evictions are not tried: each would
/// find the whole budget.
fn first_writes(plan: &Plan) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    let first = plan.steps.iter().enumerate().filter(|(_, s)| matches!(s.act, Act::Write(_)) && seen.insert(s.target.clone()));
    first.map(|(at, _)| at).collect()
}

/// What an earlier step of the plan makes that this one cannot be without: its namespace, or the definition of its kind.
fn made_before(plan: &Plan, at: usize) -> Option<String> {
    let step = plan.steps.get(at).filter(|s| matches!(&s.act, Act::Write(w) if w.method == Method::Apply) && s.target.uid.is_none())?;
    let (target, kind) = (&step.target, &step.target.resource);
    let definition = format!("{}.{}", kind.plural, kind.group);
    let makes = |s: &&Step| {
        let t = &s.target;
        let new = t.cluster == target.cluster && t.uid.is_none() && matches!(s.act, Act::Write(_));
        new && match t.resource.kind.as_str() {
            "Namespace" => !target.namespace.is_empty() && t.name == target.namespace,
            "CustomResourceDefinition" => t.name == definition,
            _ => false,
        }
    };
    plan.steps[..at].iter().find(makes).map(|s| s.target.label())
}

/// The step's number, what was found, the object as it is and as it would be stored.
async fn rehearsed(at: usize, plan: &Plan, clients: &Clients) -> (usize, Check, Option<Value>, Option<Value>) {
    let step = &plan.steps[at];
    let mut check =
        Check { cluster: step.target.cluster, text: format!("dry run: {}", step.text), finding: Finding::Fine, warnings: Vec::new() };
    let Act::Write(write) = &step.act else { return (at, check, None, None) };
    let mut is = None;
    if !step.changes.is_empty() || step.target.uid.is_some() {
        match look(step, clients).await {
            Ok(live) => {
                if plan.resumes && reached(step, &live) {
                    return (at, check, Some(live), None);
                }
                if let Some(why) = drift(step, &live) {
                    check.finding = Finding::Drifted(why);
                    return (at, check, Some(live), None);
                }
                is = Some(live);
            }
            Err(Looked::Gone) if write.method == Method::Post || write.method == Method::Apply => {}
            Err(Looked::Gone) => {
                check.finding = Finding::Drifted("it is gone".to_owned());
                return (at, check, is, None);
            }
            Err(Looked::Unknown(why) | Looked::Refused(why)) => {
                check.finding = Finding::Unknown(why);
                return (at, check, is, None);
            }
        }
    }
    let client = match clients.write(step.target.cluster) {
        Ok(client) => client,
        Err(why) => {
            check.finding = Finding::Unknown(why);
            return (at, check, is, None);
        }
    };
    match client.rehearse(write).await {
        Ok(answer) => {
            check.warnings = if step.sensitive { Vec::new() } else { answer.warnings.clone() };
            check.finding = judged(&answer, step);
            (at, check, is, answer.ok().then_some(answer.body))
        }
        Err(e) => {
            check.finding = Finding::Unknown(e.reason());
            (at, check, is, None)
        }
    }
}

/// The server's words; of a step that holds secrets only how it is called, since they may quote what they speak of.
pub(super) fn said(answer: &WriteAnswer, step: &Step) -> String {
    if answer.caused_by("FieldManagerConflict") {
        owned(answer, step)
    } else if step.sensitive {
        format!("HTTP {} {}: the server's words are left out, they may quote what is secret", answer.code, answer.reason())
    } else {
        answer.message()
    }
}

/// Whose the fields are that an apply would change. Causes name fields and managers; of a step that holds secrets the managers only,
/// since a path can have a value in it.
fn owned(answer: &WriteAnswer, step: &Step) -> String {
    let mut all: Vec<String> = Vec::new();
    for (field, message) in answer.owned_by_others() {
        let text = if step.sensitive { message } else { format!("{field}: {message}") };
        if !all.contains(&text) {
            all.push(text);
        }
    }
    let more = all.len().saturating_sub(CONFLICTS);
    all.truncate(CONFLICTS);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("others own fields of it: {}{more}. Leave them out, or take them over with --force-conflicts", all.join("; "))
}

fn judged(answer: &WriteAnswer, step: &Step) -> Finding {
    match answer.code {
        200..300 => Finding::Fine,
        400 if answer.message().contains("does not support dry run") => Finding::Unknown("a webhook does not support dry runs".to_owned()),
        403 => Finding::Forbidden(said(answer, step)),
        404 => Finding::Drifted(said(answer, step)),
        429 | 500.. => Finding::Unknown(said(answer, step)),
        _ => Finding::Invalid(said(answer, step)),
    }
}

/// Why an object could not be looked at.
pub(super) enum Looked {
    Gone,
    /// Our credentials are refused.
    Refused(String),
    Unknown(String),
}

/// The object of a step as it is now.
pub(super) async fn look(step: &Step, clients: &Clients) -> Result<Value, Looked> {
    let client = clients.read(step.target.cluster).map_err(Looked::Unknown)?;
    client.get_json(&step.target.path()).await.map_err(|e| match e {
        crate::client::ClientError::NotFound { .. } => Looked::Gone,
        e if e.is_auth() => Looked::Refused(e.reason()),
        e => Looked::Unknown(e.reason()),
    })
}

/// Whether it is the object that the step is about.
fn same(step: &Step, live: &Value) -> bool {
    let uid = || Uid::parse(live["metadata"]["uid"].as_str().unwrap_or(""));
    step.target.uid.as_ref().is_none_or(|wanted| Uid::parse(wanted) == uid())
}

/// Whether all that the step would change is so already.
pub(super) fn reached(step: &Step, live: &Value) -> bool {
    same(step, live) && !step.changes.is_empty() && step.changes.iter().all(|c| holds(live, &c.pointer, c.after.as_ref()))
}

/// What is no longer as the step found it, in words.
pub(super) fn drift(step: &Step, live: &Value) -> Option<String> {
    if !same(step, live) {
        return Some("another object has that name by now".to_owned());
    }
    step.changes.iter().find(|c| !holds(live, &c.pointer, c.before.as_ref())).map(|c| moved(c, live, step.sensitive))
}

fn moved(change: &FieldChange, live: &Value, sensitive: bool) -> String {
    let field = change.pointer.trim_start_matches('/').replace('/', ".");
    if sensitive {
        return format!("{field} was changed by somebody");
    }
    let words = |v: Option<&Value>| v.map_or_else(|| "absent".to_owned(), short);
    format!("{field} is {}, it was {}", words(live.pointer(&change.pointer)), words(change.before.as_ref()))
}

fn short(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.chars().count() > 60 { text.chars().take(57).chain("...".chars()).collect() } else { text }
}

/// Whether a field has that value; absent, null and empty are the same nothing, and `1000m` is the same amount as `1`.
pub(super) fn holds(live: &Value, pointer: &str, wanted: Option<&Value>) -> bool {
    let amount = |v: &Value| v.as_str().and_then(crate::model::quantity::milli);
    let nothing = |v: &Value| v.is_null() || v.as_object().is_some_and(|o| o.is_empty()) || v.as_array().is_some_and(Vec::is_empty);
    match (live.pointer(pointer), wanted) {
        (None, None) => true,
        (Some(v), None) | (None, Some(v)) => nothing(v),
        (Some(a), Some(b)) => {
            a == b || nothing(a) && nothing(b) || pointer.contains("/resources/") && amount(a).is_some() && amount(a) == amount(b)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, Target};
    use serde_json::json;

    fn step() -> Step {
        let target = Target {
            cluster: ClusterId(0),
            resource: Kind::Node.into(),
            namespace: String::new(),
            name: "n".into(),
            uid: Some("0d3f2a10-6a8f-4ad1-9d0f-8b2f6f7a9c11".into()),
        };
        Step::write("cordon", &target, Method::StrategicPatch, json!({})).changing("/spec/unschedulable", None, Some(json!(true)))
    }

    fn live(spec: Value) -> Value {
        json!({"metadata": {"uid": "0d3f2a10-6a8f-4ad1-9d0f-8b2f6f7a9c11"}, "spec": spec})
    }

    #[test]
    fn drift_is_another_object_or_another_value() {
        assert_eq!(drift(&step(), &live(json!({}))), None);
        assert_eq!(drift(&step(), &live(json!({"unschedulable": true}))).unwrap(), "spec.unschedulable is true, it was absent");
        let other = json!({"metadata": {"uid": "0d3f2a10-6a8f-4ad1-9d0f-8b2f6f7a9c12"}});
        assert_eq!(drift(&step(), &other).unwrap(), "another object has that name by now");
        let secret = Step { sensitive: true, ..step() };
        assert_eq!(drift(&secret, &live(json!({"unschedulable": "canary"}))).unwrap(), "spec.unschedulable was changed by somebody");
    }

    #[test]
    fn nothing_is_nothing_however_it_is_written() {
        assert!(
            holds(&json!({"a": {}}), "/a", None) && holds(&json!({}), "/a", Some(&json!([]))) && holds(&json!({"a": null}), "/a", None)
        );
        let cpu = json!({"resources": {"requests": {"cpu": "1"}}, "version": "1"});
        assert!(holds(&cpu, "/resources/requests/cpu", Some(&json!("1000m"))) && !holds(&cpu, "/version", Some(&json!("1000m"))));
        assert!(!holds(&json!({"a": 0}), "/a", None) && !holds(&json!({"a": false}), "/a", None));
    }

    #[test]
    fn a_conflict_of_managers_says_which_fields_are_whose() {
        let cause =
            |field: &str, by: &str| json!({"reason": "FieldManagerConflict", "field": field, "message": format!("conflict with \"{by}\"")});
        let causes = vec![cause(".spec.replicas", "hpa"), cause(".spec.paused", "argocd")];
        let body = json!({"reason": "Conflict", "message": "Apply failed", "details": {"causes": causes}});
        let answer = WriteAnswer { code: 409, body, ..WriteAnswer::default() };
        let Finding::Invalid(why) = judged(&answer, &step()) else { panic!("no drift: planning again changes nothing") };
        let told = "others own fields of it: spec.replicas: conflict with \"hpa\"; spec.paused: conflict with \"argocd\". ";
        assert!(why.starts_with(told) && why.ends_with("--force-conflicts"), "{why}");
        let secret = judged(&answer, &Step { sensitive: true, ..step() });
        assert!(matches!(&secret, Finding::Invalid(why) if why.contains("argocd") && !why.contains("spec.")), "{secret:?}");
        let many = (0..20).map(|n| cause(&format!(".spec.f{n}"), "x")).collect::<Vec<_>>();
        let body = json!({"reason": "Conflict", "details": {"causes": many}});
        let Finding::Invalid(why) = judged(&WriteAnswer { code: 409, body, ..answer }, &step()) else { panic!() };
        assert!(why.contains("; and 12 more"), "{why}");
    }

    #[test]
    fn an_object_is_rehearsed_once() {
        let mut plan = Plan::new(crate::model::VerbId::Cordon, &crate::model::Args::default(), "x");
        plan.steps = vec![step(), step(), Step::new("evict", &step().target, Act::evict(None))];
        assert_eq!(first_writes(&plan), [0]);
    }
}
