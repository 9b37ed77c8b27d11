//! What a verb plans from: the store, and whole objects that were fetched because a verb asked for them.

use super::Clients;
use crate::client::ClientError;
use crate::model::{Args, ClusterId, Kind, Object, Step, Target, Uid, VerbId};
use crate::store::{Cluster, Store};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What is wanted.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    pub verb: VerbId,
    /// Several for a bulk act; over several clusters too.
    pub targets: Vec<Target>,
    pub args: Args,
    /// The texts that `--file` or `--filename` named, or an editor gave: name and content.
    pub documents: Vec<(String, String)>,
}

/// Something to GET before a plan can be made.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Need {
    pub cluster: ClusterId,
    /// With its query.
    pub path: String,
}

/// Why there is no plan yet.
#[derive(Clone, PartialEq, Debug)]
pub enum Stop {
    Needs(Vec<Need>),
    /// It cannot be done: one word for scripts, the message, a hint.
    Refuse {
        kind: &'static str,
        message: String,
        hint: Option<String>,
    },
}

impl Stop {
    pub fn refuse(kind: &'static str, message: impl Into<String>) -> Self {
        Self::Refuse { kind, message: message.into(), hint: None }
    }
    pub fn with_hint(self, text: impl Into<String>) -> Self {
        match self {
            Self::Refuse { kind, message, .. } => Self::Refuse { kind, message, hint: Some(text.into()) },
            needs => needs,
        }
    }
}

/// Why a fact could not be had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoFact {
    NotFound,
    Forbidden(String),
    Other(String),
}

/// Answers to [`Need`]s.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    answers: BTreeMap<Need, Result<Value, NoFact>>,
    /// What is so by earlier steps of the same plan, or of the job that it goes on with: the object, and the field's pointer.
    assumed: BTreeSet<(Need, String)>,
}

impl Facts {
    /// Notes an answer.
    pub fn set(&mut self, need: Need, answer: Result<Value, NoFact>) {
        self.answers.insert(need, answer);
    }

    /// As if a step had been carried out: who plans the next one sees what it leaves behind.
    pub fn assume(&mut self, step: &Step) {
        let own = step.target.path();
        let of_it = |path: &str| path.strip_prefix(&own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.own(step);
        for (_, answer) in self.answers.iter_mut().filter(|(need, _)| need.cluster == step.target.cluster && of_it(&need.path)) {
            let Ok(object) = answer else { continue };
            step.changes.iter().for_each(|c| put(object, &c.pointer, c.after.as_ref()));
        }
    }

    /// Notes that what a step changes is so by the same deed.
    pub fn own(&mut self, step: &Step) {
        let need = Need { cluster: step.target.cluster, path: step.target.path() };
        self.assumed.extend(step.changes.iter().map(|c| (need.clone(), c.pointer.clone())));
    }

    /// Notes that there is no such object.
    pub fn missing(&mut self, need: Need) {
        self.set(need, Err(NoFact::NotFound));
    }

    /// Fetches what is needed, eight at a time; the budget of each cluster counts.
    pub async fn fetch(&mut self, needs: Vec<Need>, clients: &Clients) {
        use futures::StreamExt as _;
        let ask = |need: Need| async move {
            let answer = match clients.read(need.cluster) {
                Ok(client) => client.get_json(&need.path).await.map_err(|e| match e {
                    ClientError::NotFound { .. } => NoFact::NotFound,
                    ClientError::Forbidden { .. } => NoFact::Forbidden(e.reason()),
                    e => NoFact::Other(e.reason()),
                }),
                Err(why) => Err(NoFact::Other(why)),
            };
            (need, answer)
        };
        let answers: Vec<_> = futures::stream::iter(needs.into_iter().map(ask)).buffer_unordered(8).collect().await;
        self.answers.extend(answers);
    }
}

/// Sets a field, or takes it away; objects on the way are made.
fn put(object: &mut Value, pointer: &str, value: Option<&Value>) {
    let plain = |part: &str| part.replace("~1", "/").replace("~0", "~");
    let (parent, key) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    let mut at = object;
    for part in parent.split('/').filter(|p| !p.is_empty()).map(plain) {
        if at.is_null() {
            *at = Value::Object(serde_json::Map::new());
        }
        let next = match at {
            Value::Array(all) => part.parse::<usize>().ok().and_then(|n| all.get_mut(n)),
            Value::Object(map) => Some(map.entry(part).or_insert(Value::Null)),
            _ => None,
        };
        let Some(next) = next else { return };
        at = next;
    }
    if at.is_null() {
        *at = Value::Object(serde_json::Map::new());
    }
    let key = plain(key);
    match (at, value) {
        (Value::Object(map), Some(value)) => drop(map.insert(key, value.clone())),
        (Value::Object(map), None) => drop(map.shift_remove(&key)),
        (Value::Array(all), Some(value)) => {
            if let Some(slot) = key.parse::<usize>().ok().and_then(|n| all.get_mut(n)) {
                *slot = value.clone();
            }
        }
        _ => {}
    }
}

/// What is known when a plan is made.
#[derive(Clone, Copy)]
pub struct Snapshot<'a> {
    pub store: &'a Store,
    pub facts: &'a Facts,
    /// Unix seconds.
    pub now: i64,
}

impl<'a> Snapshot<'a> {
    /// # Errors
    /// When the cluster is not known.
    pub fn cluster(&self, id: ClusterId) -> Result<&'a Cluster, Stop> {
        self.store.cluster(id).ok_or_else(|| Stop::refuse("cluster", "no such cluster"))
    }

    /// The answer to a GET.
    ///
    /// # Errors
    /// [`Stop::Needs`] while it has not been asked.
    pub fn fact(&self, cluster: ClusterId, path: impl Into<String>) -> Result<&'a Result<Value, NoFact>, Stop> {
        let need = Need { cluster, path: path.into() };
        self.facts.answers.get(&need).ok_or_else(|| Stop::Needs(vec![need]))
    }

    /// Whether a field is as it is because of an earlier step of the same deed.
    pub fn assumed(&self, target: &Target, pointer: &str) -> bool {
        let need = Need { cluster: target.cluster, path: target.path() };
        self.facts.assumed.contains(&(need, pointer.to_owned()))
    }

    /// The whole object. Its uid is the target's, where that has one.
    ///
    /// # Errors
    /// While it has not been fetched; when it is gone, another one by now, or may not be read.
    pub fn object(&self, target: &Target) -> Result<&'a Value, Stop> {
        let object = match self.fact(target.cluster, target.path())? {
            Ok(object) => object,
            Err(NoFact::NotFound) => return Err(Stop::refuse("not-found", format!("{} is gone", self.named(target)))),
            Err(NoFact::Forbidden(why)) => return Err(Stop::refuse("forbidden", format!("{}: {why}", self.named(target)))),
            Err(NoFact::Other(why)) => return Err(Stop::refuse("unreachable", format!("{}: {why}", self.named(target)))),
        };
        let uid = object["metadata"]["uid"].as_str().unwrap_or("");
        match &target.uid {
            Some(wanted) if Uid::parse(wanted) != Uid::parse(uid) => {
                Err(Stop::refuse("not-found", format!("{} is another one by now", self.named(target))))
            }
            _ => Ok(object),
        }
    }

    /// A target in a refusal: which cluster's, too.
    fn named(&self, target: &Target) -> String {
        format!("{}{}", self.place(target.cluster), target.label())
    }

    /// `prod-eu: `, before words about something in it.
    pub fn place(&self, cluster: ClusterId) -> String {
        self.store.cluster(cluster).map_or_else(String::new, |c| format!("{}: ", c.info.name))
    }

    /// Every whole object of the targets at once, so that they are fetched together.
    ///
    /// # Errors
    /// As [`Self::object`]; all that is needed is asked for in one go.
    pub fn objects(&self, targets: &[Target]) -> Result<Vec<&'a Value>, Stop> {
        gather(targets.iter().map(|t| self.object(t)))
    }

    /// The items of a list.
    ///
    /// # Errors
    /// While it has not been fetched, or when it may not be.
    pub fn list(&self, cluster: ClusterId, path: impl Into<String>) -> Result<&'a [Value], Stop> {
        let path = path.into();
        match self.fact(cluster, path.clone())? {
            Ok(list) => Ok(list["items"].as_array().map_or(&[], Vec::as_slice)),
            Err(NoFact::NotFound) => Ok(&[]),
            Err(NoFact::Forbidden(why) | NoFact::Other(why)) => {
                Err(Stop::refuse("forbidden", format!("{}GET {path}: {why}", self.place(cluster))))
            }
        }
    }

    /// The projected row of a target.
    pub fn row(&self, target: &Target) -> Option<&'a Object> {
        let cluster = self.store.cluster(target.cluster)?;
        let kind = target.resource.known()?;
        let by_uid = target.uid.as_deref().and_then(|uid| self.store.find(target.cluster, kind, Uid::parse(uid))).map(|(_, o)| o);
        by_uid.or_else(|| cluster.named(kind, &target.namespace, &target.name))
    }

    /// The uid of `kube-system`, which names the cluster for good.
    pub fn cluster_uid(&self, id: ClusterId) -> Option<String> {
        self.store.cluster(id)?.named(Kind::Namespace, "", "kube-system").map(|o| o.meta().uid.to_string())
    }
}

/// All of them, or everything that is needed for all of them.
///
/// # Errors
/// The first refusal; else all needs together.
pub fn gather<T>(all: impl Iterator<Item = Result<T, Stop>>) -> Result<Vec<T>, Stop> {
    let (mut done, mut needs) = (Vec::new(), Vec::new());
    for one in all {
        match one {
            Ok(one) => done.push(one),
            Err(Stop::Needs(more)) => needs.extend(more),
            Err(refuse) => return Err(refuse),
        }
    }
    if needs.is_empty() { Ok(done) } else { Err(Stop::Needs(needs)) }
}
