//! A runbook as one plan: its steps' plans one after the other, each made as if the ones before had been carried out.
//!
//! A step is a wave of lanes; in a plan of parts the executor begins no wave after one that failed.

use super::{Facts, Request, Snapshot, Stop};
use crate::config::{Does, Runbook, RunbookStep};
use crate::model::duration::parse_duration;
use crate::model::verb::On;
use crate::model::{
    Act, Args, BlastRadius, ClusterId, Kind, Level, Plan, Service, ServiceState, Step, Sweep, Target, UndoKind, VerbId, Wait,
};
use std::collections::BTreeMap;

/// What a runbook is run with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Params {
    pub values: BTreeMap<String, String>,
    /// It is run in each of these.
    pub clusters: Vec<ClusterId>,
    /// For steps that name none.
    pub namespace: Option<String>,
}

/// Makes the plan.
///
/// # Errors
/// What is missing, or which step cannot be done and why.
pub fn plan(snapshot: &Snapshot, book: &Runbook, params: &Params) -> Result<Plan, Stop> {
    let values = values(book, params)?;
    let verbs = |s: &RunbookStep| if let Does::Verb { verb, .. } = &s.does { Some(*verb) } else { None };
    let parts: Vec<VerbId> = book.steps.iter().filter_map(verbs).collect();
    let Some(first) = parts.first() else {
        return Err(Stop::refuse("usage", format!("runbook {} changes nothing", book.name)));
    };
    let mut whole = Plan::new(*first, &Args::default(), format!("runbook {}", book.name));
    (whole.undo, whole.irreversible) = (UndoKind::Exact, false);
    let mut making = Making { snapshot, params, values: &values, facts: snapshot.facts.clone(), whole, lanes: 0, wave: 0 };
    for step in &book.steps {
        let (steps, sweeps) = (making.whole.steps.len(), making.whole.sweeps.len());
        making.step(step).map_err(|stop| named(step, stop))?;
        let parts = making.whole.steps[steps..].iter_mut().map(|s| &mut s.part);
        parts.chain(making.whole.sweeps[sweeps..].iter_mut().map(|s| &mut s.part)).for_each(|part| part.clone_from(&step.name));
    }
    let mut plan = making.whole;
    if !plan.steps.iter().any(|s| !matches!(s.act, Act::Wait(_))) {
        let why: Vec<&str> = plan.notes.iter().map(|n| n.text.as_str()).collect();
        return Err(Stop::refuse("nothing", format!("nothing to do: {}", why.join("; "))));
    }
    if !values.is_empty() && !plan.steps.iter().any(|s| s.sensitive) {
        let given: Vec<String> = values.iter().map(|(k, v)| format!("{k}={v}")).collect();
        plan.title = format!("{} ({})", plan.title, given.join(" "));
    }
    plan.parts = parts;
    plan.runbook = Some(book.name.clone());
    plan.targets.sort();
    plan.targets.dedup();
    plan.undo_text = "takes back what its steps did, last step first, as far as each can be".to_owned();
    super::name_clusters(snapshot, &mut plan);
    Ok(plan)
}

/// A refusal that says in which step.
fn named(step: &RunbookStep, stop: Stop) -> Stop {
    match stop {
        Stop::Refuse { kind, message, hint } => Stop::Refuse { kind, message: format!("step `{}`: {message}", step.name), hint },
        needs => needs,
    }
}

/// Every parameter's value.
fn values(book: &Runbook, params: &Params) -> Result<BTreeMap<String, String>, Stop> {
    let usage = |message: String| {
        let one = |(name, doc): (&String, &String)| match book.defaults.get(name) {
            Some(value) => format!("{name}: {doc} ({value})"),
            None => format!("{name}: {doc}"),
        };
        Stop::refuse("usage", message).with_hint(book.params.iter().map(one).collect::<Vec<_>>().join("; "))
    };
    if let Some(name) = params.values.keys().find(|n| !book.params.contains_key(*n)) {
        return Err(usage(crate::diag::unknown("parameter", name, book.params.keys().map(String::as_str))));
    }
    let value = |name: &String| {
        let found = params.values.get(name).or_else(|| book.defaults.get(name)).filter(|v| !v.trim().is_empty());
        found.map(|v| (name.clone(), v.clone())).ok_or_else(|| usage(format!("runbook {} needs {name}", book.name)))
    };
    book.params.keys().map(value).collect()
}

struct Making<'a> {
    snapshot: &'a Snapshot<'a>,
    params: &'a Params,
    values: &'a BTreeMap<String, String>,
    /// What is known, and what the steps so far leave behind.
    facts: Facts,
    whole: Plan,
    lanes: u16,
    wave: u16,
}

impl Making<'_> {
    fn fill(&self, text: &str) -> String {
        self.values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
    }

    fn step(&mut self, step: &RunbookStep) -> Result<(), Stop> {
        match &step.does {
            Does::Verb { verb, on, namespace, args, wave } => {
                let info = verb.info();
                if info.on == On::Nothing || *verb == VerbId::Edit {
                    return Err(Stop::refuse("usage", format!("{} cannot be a step: what it writes is a text of its own", info.name)));
                }
                let args = Args::parse(info, &self.fill(args)).map_err(|e| Stop::refuse("usage", e.message).with_hint(e.hint))?;
                let targets = self.targets(on, namespace.as_deref())?;
                if targets.is_empty() {
                    self.whole.note(Level::Info, format!("step `{}`: there is nothing to {}", step.name, info.name));
                    return Ok(());
                }
                let size = match wave.as_ref().map(|w| self.fill(w)) {
                    None => targets.len(),
                    Some(text) => match text.parse::<usize>() {
                        Ok(n) if n > 0 => n,
                        _ => return Err(Stop::refuse("usage", format!("`{text}` is no size of a wave"))),
                    },
                };
                for some in targets.chunks(size) {
                    let request = Request { verb: *verb, targets: some.to_vec(), args: args.clone(), documents: Vec::new() };
                    match super::plan(&Snapshot { facts: &self.facts, ..*self.snapshot }, &request) {
                        Ok(part) => self.append(part),
                        Err(Stop::Refuse { kind: "nothing", message, .. }) => {
                            self.whole.note(Level::Info, format!("step `{}`: {message}", step.name));
                        }
                        Err(stop) => return Err(stop),
                    }
                }
                Ok(())
            }
            Does::Wait(text) => self.wait(&step.name, &self.fill(text), false),
            Does::Check(text) => self.wait(&step.name, &self.fill(text), true),
        }
    }

    fn wait(&mut self, name: &str, text: &str, check: bool) -> Result<(), Stop> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let wait = match word {
            "ready" => Wait::Ready,
            "no-pending" => Wait::NoPending,
            "alert-gone" => Wait::AlertGone { alert: rest.to_owned() },
            _ => match parse_duration(text) {
                Some(time) => Wait::Seconds { seconds: time.as_secs() },
                None => return Err(Stop::refuse("usage", format!("`{text}` is nothing to wait for"))),
            },
        };
        if matches!(wait, Wait::AlertGone { .. }) {
            for id in &self.params.clusters {
                let cluster = self.snapshot.cluster(*id)?;
                let info = &cluster.info;
                let absent = matches!(cluster.service(Service::Alertmanager).state, ServiceState::Absent { .. });
                if !info.alertmanager && absent {
                    let hint = format!(
                        "write where it is: [clusters.\"{}\".alertmanager] urls = [..] or service = \"NS/NAME:PORT\"",
                        info.contexts.first().unwrap_or(&info.name)
                    );
                    return Err(Stop::refuse("usage", format!("`{text}`: no Alertmanager of {} is configured", info.name)).with_hint(hint));
                }
            }
        }
        if let (Wait::Seconds { seconds }, Some(limit)) = (&wait, &mut self.whole.timeout) {
            *limit += seconds;
        }
        let targets = match wait {
            Wait::Ready => self.targets(&[rest.to_owned()], None)?,
            _ => self.params.clusters.iter().map(|c| cluster_itself(*c)).collect(),
        };
        let wait = if check { Wait::Check { what: Box::new(wait) } } else { wait };
        let words = format!("{name}: {} {text}", if check { "check" } else { "wait" });
        let mut part = Plan::new(self.whole.verb, &Args::default(), "");
        (part.undo, part.irreversible) = (UndoKind::Exact, false);
        // Lanes stand in line for their turn: a pause of several clusters is one.
        part.steps = targets.iter().map(|t| Step::new(words.clone(), t, Act::Wait(wait.clone()))).collect();
        self.append(part);
        Ok(())
    }

    /// The objects that are meant, in each cluster.
    fn targets(&self, on: &[String], namespace: Option<&str>) -> Result<Vec<Target>, Stop> {
        let mut all = Vec::new();
        for id in &self.params.clusters {
            let cluster = self.snapshot.cluster(*id)?;
            for text in on {
                let text = self.fill(text);
                let parsed = text.split_once('/').and_then(|(kind, name)| Some((Kind::parse(kind)?, name.to_owned())));
                let Some((kind, name)) = parsed else {
                    return Err(Stop::refuse("usage", format!("`{text}`: write KIND/NAME or KIND/*")));
                };
                let namespace = match (kind.info().namespaced, namespace.map(|n| self.fill(n)).or_else(|| self.params.namespace.clone())) {
                    (false, _) => String::new(),
                    (true, named) => named.unwrap_or_else(|| "default".to_owned()),
                };
                let target = |name: &str, uid: Option<String>| Target {
                    cluster: *id,
                    resource: kind.into(),
                    namespace: namespace.clone(),
                    name: name.to_owned(),
                    uid,
                };
                let there = || cluster.objects(kind).filter(|o| *o.meta().namespace == *namespace);
                if name == "*" {
                    if !cluster.current(kind) {
                        return Err(Stop::refuse("unreachable", format!("{}: {} are not seen", cluster.info.name, kind.plural())));
                    }
                    let before = all.len();
                    all.extend(there().map(|o| target(&o.meta().name, Some(o.meta().uid.to_string()))));
                    all[before..].sort();
                    continue;
                }
                match there().find(|o| *o.meta().name == *name) {
                    Some(o) => all.push(target(&name, Some(o.meta().uid.to_string()))),
                    None if cluster.current(kind) => {
                        let stop = Stop::refuse("not-found", format!("{}: no {} {name}", cluster.info.name, kind.name()));
                        let near = crate::diag::nearest(&name, there().map(|o| &*o.meta().name));
                        return Err(near.map_or(stop.clone(), |n| stop.with_hint(format!("did you mean {n}?"))));
                    }
                    None => all.push(target(&name, None)),
                }
            }
        }
        Ok(all)
    }

    /// Puts a part after what there is.
    fn append(&mut self, part: Plan) {
        let lanes = part.steps.iter().map(|s| s.lane + 1).max().unwrap_or(0);
        let wave = |lane: u16| part.waves.get(usize::from(lane)).copied().unwrap_or(0);
        self.whole.waves.extend((0..lanes).map(|lane| self.wave + wave(lane)));
        self.wave += (0..lanes).map(wave).max().unwrap_or(0) + 1;
        for mut step in part.steps {
            self.facts.assume(&step);
            step.lane += self.lanes;
            self.whole.steps.push(step);
        }
        let base = self.lanes;
        self.lanes += lanes;
        let whole = &mut self.whole;
        whole.sweeps.extend(part.sweeps.into_iter().map(|s| Sweep { lane: s.lane + base, ..s }));
        whole.targets.extend(part.targets);
        whole.judge(part.verdict);
        part.notes.into_iter().for_each(|n| whole.note(n.level, n.text));
        whole.parallel = whole.parallel.max(part.parallel);
        whole.irreversible |= part.irreversible;
        whole.undo = match (whole.undo, part.undo) {
            (UndoKind::None, _) | (_, UndoKind::None) => UndoKind::None,
            (UndoKind::Exact, UndoKind::Exact) => UndoKind::Exact,
            _ => UndoKind::Compensating,
        };
        if let Some(limit) = part.timeout {
            // Time that was spent waiting before counts in it too.
            let before =
                whole.steps.iter().filter_map(|s| if let Act::Wait(Wait::Seconds { seconds }) = &s.act { Some(*seconds) } else { None });
            let before = before.sum::<u64>();
            whole.timeout = Some(whole.timeout.unwrap_or(before) + limit);
        }
        for b in part.blast {
            merge(whole.blast_in(b.cluster), b);
        }
    }
}

/// What a wait that is about no object stands on.
fn cluster_itself(cluster: ClusterId) -> Target {
    Target { cluster, resource: Kind::Namespace.into(), namespace: String::new(), name: "kube-system".to_owned(), uid: None }
}

/// Several steps touch the same objects: the largest number counts.
fn merge(into: &mut BlastRadius, from: BlastRadius) {
    into.nodes = into.nodes.max(from.nodes);
    into.workloads = into.workloads.max(from.workloads);
    into.pods = into.pods.max(from.pods);
    into.unavailable = into.unavailable.max(from.unavailable);
    into.budgets.extend(from.budgets);
    into.budgets.sort();
    into.budgets.dedup();
    into.blockers.extend(from.blockers);
    into.placement = match (into.placement.take(), from.placement) {
        (Some(mut all), Some(more)) => {
            all.fits = all.fits.max(more.fits);
            all.unjudged = all.unjudged.max(more.unjudged);
            let (fresh, told) = (more.unplaced.into_iter(), all.unplaced.clone());
            all.unplaced.extend(fresh.filter(|(pod, _)| !told.iter().any(|(there, _)| there == pod)));
            let (fresh, told) = (more.unknown.into_iter(), all.unknown.clone());
            all.unknown.extend(fresh.filter(|why| !told.contains(why)));
            Some(all)
        }
        (is, more) => more.or(is),
    };
    into.undone_by.extend(from.undone_by);
    into.undone_by.sort();
    into.undone_by.dedup();
}

#[cfg(test)]
mod tests {
    use super::super::verbs::fixture::{Fixture, NOW};
    use super::*;
    use crate::config::parse_runbooks;
    use std::path::Path;

    fn book(text: &str) -> Runbook {
        let (mut books, mut diags) = (Vec::new(), Vec::new());
        parse_runbooks(text, Path::new("r.toml"), &mut books, &mut diags);
        assert_eq!(diags, []);
        books.remove(0)
    }

    fn made(f: &mut Fixture, book: &Runbook, values: &[(&str, &str)]) -> Result<Plan, String> {
        let values = values.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let params = Params { values, clusters: vec![ClusterId(0)], namespace: Some("pay".to_owned()) };
        loop {
            match plan(&Snapshot { store: &f.store, facts: &f.facts, now: NOW }, book, &params) {
                Ok(plan) => return Ok(plan),
                Err(Stop::Needs(needs)) => needs.into_iter().for_each(|n| f.facts.missing(n)),
                Err(Stop::Refuse { message, .. }) => return Err(message),
            }
        }
    }

    const MAINTENANCE: &str = include_str!("../../assets/runbooks/node-maintenance.toml");

    #[test]
    fn each_step_is_planned_on_what_the_ones_before_leave_behind() {
        let mut f = Fixture::new();
        f.node("n1", |_| {});
        f.node("n2", |_| {});
        f.pod("api-1", "api", "n1", |_| {});
        f.fact(
            "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1",
            serde_json::json!({"items": [f.object(&Target { name: "api-1".into(), namespace: "pay".into(), resource: Kind::Pod.into(), cluster: ClusterId(0),
                uid: f.store.clusters()[0].named(Kind::Pod, "pay", "api-1").map(|o| o.meta().uid.to_string()) })]}),
        );
        let plan = made(&mut f, &book(MAINTENANCE), &[("node", "n1"), ("pause", "5m")]).unwrap();
        let steps: Vec<(&str, u16)> = plan.steps.iter().map(|s| (s.text.as_str(), plan.waves[usize::from(s.lane)])).collect();
        assert_eq!(
            steps,
            [
                ("cordon node n1", 0),
                ("evict pod pay/api-1", 1),
                ("work: wait 5m", 2),
                ("back: wait ready node/n1", 3),
                ("uncordon node n1", 4)
            ]
        );
        assert_eq!(plan.parts, [VerbId::Cordon, VerbId::Drain, VerbId::Uncordon]);
        assert_eq!(plan.timeout, Some(35 * 60), "the drain's limit, and the pause after it");
        assert_eq!(plan.undo, UndoKind::Compensating);
        assert_eq!(plan.steps[4].changes[0].before, Some(serde_json::json!(true)), "it is planned on a cordoned node");
        assert_eq!(plan.notes, [], "the node is cordoned by the runbook itself");
        assert_eq!(plan.sweeps.iter().map(|s| s.part.as_str()).collect::<Vec<_>>(), ["drain"]);
        let uid = plan.targets[0].uid.clone();
        f.node("n1", |n| {
            n["metadata"]["uid"] = uid.into();
            n["spec"]["unschedulable"] = true.into();
        });
        let cordoned = made(&mut f, &book(MAINTENANCE), &[("node", "n1"), ("pause", "5m")]).unwrap();
        assert!(cordoned.notes.iter().any(|n| n.text == "n1 is cordoned already, and stays so after an undo"), "{:?}", cordoned.notes);
    }

    #[test]
    fn an_alert_is_waited_for_where_there_is_an_alertmanager() {
        use crate::model::{Batch, Delta, Generation};
        use crate::store::{ClusterInfo, Store};
        let mut f = Fixture::new();
        f.deployment("a", 1, |_| {});
        let book = book(
            "[[runbook]]\nname = \"r\"\n[[runbook.step]]\nname = \"go\"\nrun = \"restart\"\non = [\"deployment/a\"]\n\
             [[runbook.step]]\nname = \"calm\"\nwait = \"alert-gone PayDown\"\n",
        );
        let plan = made(&mut f, &book, &[]).unwrap();
        let last = plan.steps.last().unwrap();
        assert_eq!(
            (last.text.as_str(), &last.act),
            ("calm: wait alert-gone PayDown", &Act::Wait(Wait::AlertGone { alert: "PayDown".to_owned() }))
        );
        f.store = Store::new(vec![ClusterInfo { name: "bare".into(), contexts: vec!["bare".into()], ..ClusterInfo::default() }], NOW);
        let turned = Runbook { steps: vec![book.steps[1].clone(), book.steps[0].clone()], ..book };
        assert!(made(&mut f, &turned, &[]).unwrap_err().contains("no Alertmanager of bare is configured"));
        let delta = Delta::Service { service: Service::Alertmanager, state: ServiceState::Live, via: "service m/am:9093".into() };
        f.store.apply(Batch { cluster: ClusterId(0), generation: Generation(0), delta }, NOW, &mut Vec::new());
        assert!(made(&mut f, &turned, &[]).is_ok(), "one that was found will do");
    }

    #[test]
    fn waves_come_one_after_the_other() {
        let mut f = Fixture::new();
        for name in ["a", "b", "c"] {
            f.deployment(name, 1, |_| {});
        }
        let text = include_str!("../../assets/runbooks/restart-in-waves.toml");
        let plan = made(&mut f, &book(text), &[("namespace", "pay"), ("wave", "2")]).unwrap();
        let waves: Vec<(&str, u16)> = plan.targets.iter().map(|t| t.name.as_str()).zip([1, 1, 2]).collect();
        for (name, wave) in waves {
            let of = plan.steps.iter().filter(|s| s.target.name == name);
            assert!(of.clone().count() >= 2 && of.clone().all(|s| plan.waves[usize::from(s.lane)] == wave), "{name}: {:?}", plan.waves);
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_said_with_the_step() {
        let mut f = Fixture::new();
        f.node("n1", |_| {});
        let book = book(MAINTENANCE);
        assert_eq!(made(&mut f, &book, &[]).unwrap_err(), "runbook node-maintenance needs node");
        assert_eq!(made(&mut f, &book, &[("nod", "n1")]).unwrap_err(), "unknown parameter `nod`; did you mean `node`?");
        assert_eq!(made(&mut f, &book, &[("node", "n9")]).unwrap_err(), "step `cordon`: lab: no Node n9");
        assert_eq!(made(&mut f, &book, &[("node", "n1"), ("pause", "soon")]).unwrap_err(), "step `work`: `soon` is nothing to wait for");
    }
}
