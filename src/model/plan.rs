//! What is intended: a plan of steps, what it touches, and what it would cost. Data only: made by `action::verbs`, sent by nobody but
//! `action::execute`, kept in the audit log so that an interrupted job can go on.

use super::act::{Act, Sweep};
use super::{Args, ClusterId, Kind, ObjectRef, UndoKind, VerbId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// A resource of the API: enough to write its path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Resource {
    /// Empty for the core group.
    pub group: String,
    pub version: String,
    /// Lower-case plural, as in the URL.
    pub plural: String,
    pub kind: String,
    pub namespaced: bool,
}

impl From<Kind> for Resource {
    fn from(kind: Kind) -> Self {
        let i = kind.info();
        Self { group: i.group.into(), version: i.version.into(), plural: i.plural.into(), kind: i.name.into(), namespaced: i.namespaced }
    }
}

impl Resource {
    /// `apps/v1`, or `v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
    /// The path of the collection.
    pub fn path(&self, namespace: &str) -> String {
        let root = if self.group.is_empty() { format!("/api/{}", self.version) } else { format!("/apis/{}/{}", self.group, self.version) };
        match self.namespaced && !namespace.is_empty() {
            true => format!("{root}/namespaces/{namespace}/{}", self.plural),
            false => format!("{root}/{}", self.plural),
        }
    }
    /// A whole cluster, as if it were an object.
    pub fn cluster() -> Self {
        Self { group: String::new(), version: String::new(), plural: "clusters".into(), kind: "Cluster".into(), namespaced: false }
    }
    pub fn is_cluster(&self) -> bool {
        self.kind == "Cluster" && self.version.is_empty()
    }
    /// The kind of rows that it is, if it is one.
    pub fn known(&self) -> Option<Kind> {
        Kind::ALL.into_iter().find(|k| (k.info().group, k.plural()) == (self.group.as_str(), self.plural.as_str()))
    }
}

/// An object that a plan is about: of a watched kind or of any other.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Target {
    pub cluster: ClusterId,
    pub resource: Resource,
    /// Empty for cluster-wide kinds.
    pub namespace: String,
    pub name: String,
    /// As the server writes it; none where only the name was given.
    pub uid: Option<String>,
}

impl From<&ObjectRef> for Target {
    fn from(o: &ObjectRef) -> Self {
        let (namespace, name) = (o.namespace.to_string(), o.name.to_string());
        Self { cluster: o.cluster, resource: o.kind.into(), namespace, name, uid: Some(o.uid.to_string()) }
    }
}

impl Target {
    /// A whole cluster, by what it is called.
    pub fn of_cluster(cluster: ClusterId, name: &str) -> Self {
        Self { cluster, resource: Resource::cluster(), namespace: String::new(), name: name.to_owned(), uid: None }
    }
    /// The object's own path in the API.
    pub fn path(&self) -> String {
        format!("{}/{}", self.resource.path(&self.namespace), self.name)
    }
    /// `deployment pay/checkout`, `node node-003`.
    pub fn label(&self) -> String {
        format!("{} {}", self.resource.kind.to_lowercase(), self.title())
    }
    /// `pay/checkout`, or the name alone.
    pub fn title(&self) -> String {
        if self.namespace.is_empty() { self.name.clone() } else { format!("{}/{}", self.namespace, self.name) }
    }
    /// `deployment/checkout`, as deny rules and the command line write it.
    pub fn slashed(&self) -> String {
        format!("{}/{}", self.resource.kind.to_lowercase(), self.name)
    }
}

/// A cluster that a plan touches, so that it is known again in another run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlanCluster {
    pub id: ClusterId,
    /// What is shown, and typed to confirm.
    pub name: String,
    pub context: String,
    pub server: String,
    /// Of the namespace `kube-system`; none where it may not be read.
    pub uid: Option<String>,
}

/// How it would go, in one word and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "verdict", content = "why", rename_all = "lowercase")]
pub enum Verdict {
    Fits,
    Degrades(String),
    Blocks(String),
}

impl Verdict {
    /// The worse of both; of equals the first.
    pub fn or(self, other: Self) -> Self {
        let rank = |v: &Self| match v {
            Self::Fits => 0,
            Self::Degrades(_) => 1,
            Self::Blocks(_) => 2,
        };
        if rank(&other) > rank(&self) { other } else { self }
    }
    /// `fits`, `degrades pay/checkout`, `blocks on pdb pay/db`.
    pub fn words(&self) -> String {
        match self {
            Self::Fits => "fits".to_owned(),
            Self::Degrades(what) => format!("degrades {what}"),
            Self::Blocks(what) => format!("blocks on {what}"),
        }
    }
}

/// How much a note matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Info,
    Warning,
    Danger,
}

/// Something to know before one says yes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Note {
    pub level: Level,
    pub text: String,
}

/// Another act that serves the purpose better, or that is better done before: offered with the preview.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Offer {
    pub text: String,
    /// Not in place of the plan: before it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub before: bool,
    pub verb: VerbId,
    pub args: Args,
    #[serde(default)]
    pub targets: Vec<Target>,
}

/// How a body is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    Post,
    Put,
    MergePatch,
    StrategicPatch,
    JsonPatch,
    /// Server-side apply.
    Apply,
    Delete,
}

impl Method {
    /// The `Content-Type` of its body.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Post | Self::Put | Self::Delete => "application/json",
            Self::MergePatch => "application/merge-patch+json",
            Self::StrategicPatch => "application/strategic-merge-patch+json",
            Self::JsonPatch => "application/json-patch+json",
            Self::Apply => "application/apply-patch+yaml",
        }
    }
    /// The HTTP method.
    pub fn http(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            _ => "PATCH",
        }
    }
    /// The verb that the authorizer is asked about.
    pub fn access(self) -> &'static str {
        match self {
            Self::Post => "create",
            Self::Put => "update",
            Self::Delete => "delete",
            _ => "patch",
        }
    }
}

/// One request that changes something.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Write {
    pub method: Method,
    /// Without a query.
    pub path: String,
    /// `force=true`, without `dryRun` and `fieldManager`; often empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub query: String,
    pub body: Value,
}

/// One field that a step changes, for the diff, for the check that nobody changed it meanwhile, and for undo.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FieldChange {
    /// A JSON pointer into the object, `/spec/replicas`.
    pub pointer: String,
    /// None: it was not there.
    pub before: Option<Value>,
    /// None: it is taken away.
    pub after: Option<Value>,
}

/// How to take a step back, and what must still be so.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Inverse {
    pub text: String,
    /// Logs of before there were other acts call it `write`.
    #[serde(alias = "write", deserialize_with = "act_or_write")]
    pub act: Act,
    /// In the direction of the undo: `before` is what the step left behind.
    pub changes: Vec<FieldChange>,
    /// The object that the inverse is about, where it is another one than the step's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
}

fn act_or_write<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Act, D::Error> {
    let mut value = Value::deserialize(d)?;
    if value.is_object() && value.get("act").is_none() {
        value["act"] = "write".into();
    }
    serde_json::from_value(value).map_err(serde::de::Error::custom)
}

/// One step. Lanes go side by side (as many as the guardrails allow), a lane's stages one after the other, the steps of a stage together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// `evict pod pay/checkout-1`; without secrets.
    pub text: String,
    pub target: Target,
    pub lane: u16,
    pub stage: u16,
    pub act: Act,
    /// Checked again before it is sent: it goes out only while every `before` still stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<FieldChange>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Inverse>,
    /// Holds something secret: values are kept only as salted hashes, and the step cannot be sent from the log.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
    /// The lane goes on when it fails.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// The step of the runbook that it belongs to; empty: of none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub part: String,
}

impl Step {
    /// Whether it does the same to the same object; the numbers of clusters are each job's own.
    pub fn same(&self, other: &Self) -> bool {
        let of = |s: &Self| (s.target.resource.clone(), s.target.namespace.clone(), s.target.name.clone(), s.target.uid.clone());
        self.text == other.text && of(self) == of(other)
    }
    /// A step that sends one request to its target's own path.
    pub fn write(text: impl Into<String>, target: &Target, method: Method, body: Value) -> Self {
        let write = Write { method, path: target.path(), query: String::new(), body };
        Self::new(text, target, Act::Write(write))
    }
    /// A step of lane and stage 0.
    pub fn new(text: impl Into<String>, target: &Target, act: Act) -> Self {
        Self {
            text: text.into(),
            target: target.clone(),
            lane: 0,
            stage: 0,
            act,
            changes: Vec::new(),
            undo: None,
            sensitive: false,
            optional: false,
            part: String::new(),
        }
    }
    /// The same on a subresource of the target.
    pub fn on(mut self, subresource: &str) -> Self {
        if let Act::Write(write) = &mut self.act {
            let _ = write!(write.path, "/{subresource}");
        }
        self
    }
    pub fn at(mut self, lane: usize, stage: usize) -> Self {
        self.lane = u16::try_from(lane).unwrap_or(u16::MAX);
        self.stage = u16::try_from(stage).unwrap_or(u16::MAX);
        self
    }
    /// Names a field that it changes.
    pub fn changing(mut self, pointer: impl Into<String>, before: Option<Value>, after: Option<Value>) -> Self {
        self.changes.push(FieldChange { pointer: pointer.into(), before, after });
        self
    }
    /// Says how to take it back: the same fields the other way round.
    pub fn undone_by(mut self, text: impl Into<String>, write: Write) -> Self {
        let back = |c: &FieldChange| FieldChange { pointer: c.pointer.clone(), before: c.after.clone(), after: c.before.clone() };
        self.undo =
            Some(Inverse { text: text.into(), act: Act::Write(write), changes: self.changes.iter().map(back).collect(), target: None });
        self
    }
    /// Says how to take it back by an act of its own.
    pub fn taken_back_by(mut self, text: impl Into<String>, act: Act) -> Self {
        self.undo = Some(Inverse { text: text.into(), act, changes: Vec::new(), target: None });
        self
    }
    /// What the authorizer is asked before it is sent: verb, group, resource, subresource, namespace.
    pub fn permission(&self) -> Option<Permission> {
        let r = &self.target.resource;
        let of = |verb: &str, subresource: Option<&str>| Permission {
            verb: verb.to_owned(),
            group: r.group.clone(),
            resource: r.plural.clone(),
            subresource: subresource.map(str::to_owned),
            namespace: self.target.namespace.clone(),
        };
        match &self.act {
            Act::Write(w) => {
                let sub = w.path.strip_prefix(&self.target.path()).and_then(|rest| rest.strip_prefix('/'));
                Some(of(w.method.access(), sub))
            }
            Act::Evict { delete: true, .. } => Some(of("delete", None)),
            Act::Evict { .. } => Some(of("create", Some("eviction"))),
            Act::Wait(_) | Act::Silence(_) | Act::Etcd(_) | Act::Fetch { .. } => None,
        }
    }
}

/// What must be allowed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Permission {
    pub verb: String,
    pub group: String,
    pub resource: String,
    pub subresource: Option<String>,
    /// Empty for cluster-wide kinds.
    pub namespace: String,
}

impl Permission {
    /// `patch deployments/scale in pay`.
    pub fn words(&self) -> String {
        let sub = self.subresource.as_ref().map(|s| format!("/{s}")).unwrap_or_default();
        let place = if self.namespace.is_empty() { String::new() } else { format!(" in {}", self.namespace) };
        format!("{} {}{sub}{place}", self.verb, self.resource)
    }
}

/// What stands in the way of an eviction.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Blocker {
    /// `pdb pay/db`, or a pod where it is the pod itself.
    pub what: String,
    /// The pods that it keeps, `pay/db-0`.
    pub pods: Vec<String>,
    pub why: String,
    /// It never gives way by itself.
    pub never: bool,
}

/// Whether what is moved finds room.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Placement {
    /// Pods that fit on what is left.
    pub fits: u32,
    /// Pods that do not, and why.
    pub unplaced: Vec<(String, String)>,
    /// Pods of which it cannot be told.
    #[serde(default)]
    pub unjudged: u32,
    /// What could not be judged (storage, scheduling gates of others), in words.
    pub unknown: Vec<String>,
}

/// What a plan touches in one cluster.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct BlastRadius {
    pub cluster: ClusterId,
    pub nodes: u32,
    pub workloads: u32,
    pub pods: u32,
    /// Pods that do not serve while it is under way.
    pub unavailable: u32,
    /// Budgets over these pods, `pay/db`.
    pub budgets: Vec<String>,
    pub blockers: Vec<Blocker>,
    pub placement: Option<Placement>,
    /// Who would undo it: `hpa pay/api`, `Argo CD application pay`.
    pub undone_by: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd: Option<super::EtcdBlast>,
}

/// What a verb made of a snapshot and its arguments.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Plan {
    pub verb: VerbId,
    pub args: Args,
    /// `scale deployment pay/checkout 3 -> 7`.
    pub title: String,
    pub clusters: Vec<PlanCluster>,
    /// The objects that were named.
    pub targets: Vec<Target>,
    pub verdict: Verdict,
    pub notes: Vec<Note>,
    pub offers: Vec<Offer>,
    pub steps: Vec<Step>,
    pub blast: Vec<BlastRadius>,
    pub undo: UndoKind,
    /// What undo means here, in words.
    pub undo_text: String,
    /// Asks for the typed name also where no tier is set.
    pub irreversible: bool,
    /// Lanes at the same time; the guardrails may allow fewer.
    pub parallel: u16,
    /// The wave of each lane, by its number: the lanes of one wave end before those of the next begin. Empty: one wave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<u16>,
    /// Seconds until what is still blocked is given up; none: until done or stopped.
    pub timeout: Option<u64>,
    /// The job that this takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// The verbs of a runbook; guardrails look at each. No wave begins after one that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<VerbId>,
    /// The nodes that are emptied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sweeps: Vec<Sweep>,
    /// The runbook that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runbook: Option<String>,
    /// It is what a job has left: what is so already may have been done by it, its answer being lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resumes: bool,
}

impl Plan {
    /// A plan without steps yet.
    pub fn new(verb: VerbId, args: &Args, title: impl Into<String>) -> Self {
        let info = verb.info();
        Self {
            verb,
            args: args.clone(),
            title: title.into(),
            clusters: Vec::new(),
            targets: Vec::new(),
            verdict: Verdict::Fits,
            notes: Vec::new(),
            offers: Vec::new(),
            steps: Vec::new(),
            blast: Vec::new(),
            undo: info.undo,
            undo_text: String::new(),
            irreversible: info.irreversible,
            parallel: 1,
            waves: Vec::new(),
            timeout: None,
            undoes: None,
            parts: Vec::new(),
            sweeps: Vec::new(),
            runbook: None,
            resumes: false,
        }
    }

    /// What it is in one word: the runbook's name, or the verb's.
    pub fn what(&self) -> &str {
        self.runbook.as_deref().unwrap_or(self.verb.info().name)
    }

    /// The clusters that it touches, whatever it says of them.
    pub fn touched(&self) -> std::collections::BTreeSet<ClusterId> {
        self.steps.iter().map(|s| s.target.cluster).chain(self.targets.iter().map(|t| t.cluster)).collect()
    }

    /// Adds a note.
    pub fn note(&mut self, level: Level, text: impl Into<String>) {
        let note = Note { level, text: text.into() };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Makes the verdict worse.
    pub fn judge(&mut self, verdict: Verdict) {
        self.verdict = std::mem::replace(&mut self.verdict, Verdict::Fits).or(verdict);
    }

    /// What it touches in a cluster.
    pub fn blast_in(&mut self, cluster: ClusterId) -> &mut BlastRadius {
        let at = self.blast.iter().position(|b| b.cluster == cluster).unwrap_or_else(|| {
            self.blast.push(BlastRadius { cluster, ..BlastRadius::default() });
            self.blast.len() - 1
        });
        &mut self.blast[at]
    }

    /// The same without waiting for what controllers make of it.
    ///
    /// A runbook's pauses and checks are what it is for: they stay.
    pub fn without_waiting(&mut self) {
        if !self.parts.is_empty() {
            return;
        }
        // What a later write stands on is waited for all the same.
        let last = |lane: u16| self.steps.iter().filter(|s| s.lane == lane && matches!(s.act, Act::Write(_))).map(|s| s.stage).max();
        let needed: Vec<bool> =
            self.steps.iter().map(|s| !matches!(s.act, Act::Wait(_)) || last(s.lane).is_some_and(|l| l > s.stage)).collect();
        let mut keep = needed.into_iter();
        self.steps.retain(|_| keep.next().unwrap_or(true));
        let acts = self.steps.iter_mut().map(|s| &mut s.act).chain(self.sweeps.iter_mut().map(|s| &mut s.act));
        for act in acts {
            if let Act::Evict { no_wait, .. } = act {
                *no_wait = true;
            }
        }
    }

    /// Every permission that the steps need, each once, with the cluster it is needed in.
    pub fn permissions(&self) -> Vec<(ClusterId, Permission)> {
        let mut all: Vec<_> = self.steps.iter().filter_map(|s| Some((s.target.cluster, s.permission()?))).collect();
        all.sort();
        all.dedup();
        all
    }

    /// SHA-256 of the plan, in hexadecimal: what the preview shows and the confirmation binds.
    pub fn hash(&self) -> String {
        hex(&Sha256::digest(serde_json::to_vec(self).unwrap_or_default()))
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Wait;
    use serde_json::json;

    fn target() -> Target {
        Target {
            cluster: ClusterId(0),
            resource: Kind::Deployment.into(),
            namespace: "pay".into(),
            name: "api".into(),
            uid: Some("u1".into()),
        }
    }

    fn plan() -> Plan {
        let mut plan = Plan::new(VerbId::Scale, &Args::default(), "scale");
        let step = Step::write("scale", &target(), Method::MergePatch, json!({"spec": {"replicas": 7}})).on("scale").changing(
            "/spec/replicas",
            Some(json!(3)),
            Some(json!(7)),
        );
        let back =
            Write { method: Method::MergePatch, path: target().path(), query: String::new(), body: json!({"spec": {"replicas": 3}}) };
        plan.steps.push(step.undone_by("scale back to 3", back));
        plan
    }

    #[test]
    fn an_undo_of_an_older_log_is_read() {
        let old = r#"{"text": "scale back", "write": {"method": "merge-patch", "path": "/x", "body": {}}, "changes": []}"#;
        let old = old.replace("merge-patch", serde_json::to_value(Method::MergePatch).unwrap().as_str().unwrap());
        let read: Inverse = serde_json::from_str(&old).unwrap();
        assert_eq!(read.act.request().unwrap().path, "/x");
        let again: Inverse = serde_json::from_value(serde_json::to_value(&read).unwrap()).unwrap();
        assert_eq!(again, read);
    }

    #[test]
    fn a_step_names_the_permission_of_its_subresource() {
        let words: Vec<_> = plan().permissions().iter().map(|(_, p)| p.words()).collect();
        assert_eq!(words, ["patch deployments/scale in pay"]);
        let evict = Step::new("evict", &Target { resource: Kind::Pod.into(), ..target() }, Act::evict(None));
        assert_eq!(evict.permission().map(|p| p.words()).as_deref(), Some("create pods/eviction in pay"));
        assert_eq!(Step::new("wait", &target(), Act::Wait(Wait::RolledOut)).permission(), None);
    }

    #[test]
    fn it_survives_the_journal_and_its_hash_binds_every_part() {
        let one = plan();
        let again: Plan = serde_json::from_str(&serde_json::to_string(&one).unwrap()).unwrap();
        assert_eq!((again.hash(), &again), (one.hash(), &one));
        let mut other = plan();
        other.steps[0].changes[0].before = Some(json!(4));
        assert_ne!(other.hash(), one.hash());
    }

    #[test]
    fn the_inverse_is_the_change_turned_round() {
        let undo = plan().steps[0].undo.clone().unwrap();
        assert_eq!(undo.changes, [FieldChange { pointer: "/spec/replicas".into(), before: Some(json!(7)), after: Some(json!(3)) }]);
    }

    #[test]
    fn the_worst_verdict_stands() {
        let mut plan = plan();
        plan.judge(Verdict::Degrades("pay/api".into()));
        plan.judge(Verdict::Fits);
        plan.judge(Verdict::Blocks("pdb pay/db".into()));
        plan.judge(Verdict::Degrades("other".into()));
        assert_eq!(plan.verdict.words(), "blocks on pdb pay/db");
    }
}
