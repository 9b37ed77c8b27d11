//! Acting: from a key to a request, from a preview to a word that confirms it.
//!
//! A write key only ever opens a preview. What is typed counts once the preview is certain to be on the screen; Enter alone never
//! confirms.

use super::{App, Chooser, Effect, Focus, Item, Notice, Overlay, Place, RequestId, TablePane, World};
use crate::action::{Ask, Confirmation, Ledger, Past, Preview, Request, Wanted};
use crate::app::chooser::Choice;
use crate::app::fetched::Fetching;
use crate::app::form::{propose, silent};
use crate::app::jump::meant;
use crate::inspect::Finding;
use crate::model::verb::On;
use crate::model::{Args, ClusterId, Control, JobId, JobState, Kind, Object, ObjectRef, Remedy, Target, VERBS, VerbId};
use crate::table::RowKey;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::sync::Arc;

/// Why there is no plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// It is so already.
    pub nothing: bool,
    pub message: String,
    pub hint: Option<String>,
}

/// How far a preview is.
#[derive(Clone, Debug)]
pub enum Stage {
    /// Planned and checked.
    Making,
    Refused(Refusal),
    Ready(Arc<Preview>),
    /// Confirmed; the job begins.
    Sent(Arc<Preview>),
}

/// A preview on the screen.
#[derive(Clone, Debug)]
pub struct PreviewPane {
    pub request: RequestId,
    pub wanted: Wanted,
    pub stage: Stage,
    pub offset: usize,
    /// The typed name, and the reason.
    pub typed: String,
    pub reason: String,
    /// The reason is being typed, not the name.
    pub in_reason: bool,
    /// What was asked for before this was taken from its offers: it comes back when this is done.
    pub(super) then: Option<Wanted>,
    /// The frame that first showed what is to be confirmed.
    frame: Option<u64>,
}

impl PreviewPane {
    fn new(request: RequestId, wanted: Wanted) -> Self {
        Self {
            request,
            wanted,
            stage: Stage::Making,
            offset: 0,
            typed: String::new(),
            reason: String::new(),
            in_reason: false,
            then: None,
            frame: None,
        }
    }

    /// What is previewed when this is done, in words.
    pub fn then(&self) -> Option<String> {
        self.then.as_ref().map(Wanted::title)
    }

    /// Whether it could be asked for with other arguments.
    pub fn takes_arguments(&self) -> bool {
        match &self.wanted {
            Wanted::Act(request) => request.verb != VerbId::Edit && !request.verb.info().params.is_empty(),
            Wanted::Run(_) => true,
            Wanted::Undo(_) | Wanted::Resume(_) => false,
        }
    }

    /// One that is on the screen.
    #[cfg(test)]
    pub fn showing(preview: Preview) -> Self {
        let nothing = Wanted::Act(Request { verb: preview.plan.verb, targets: Vec::new(), args: Args::default(), documents: Vec::new() });
        Self { in_reason: preview.gate.reason_required, stage: Stage::Ready(Arc::new(preview)), ..Self::new(RequestId::default(), nothing) }
    }

    /// Frame number `frame` has shown it.
    pub(super) fn drawn(&mut self, frame: u64) {
        if matches!(self.stage, Stage::Ready(_)) {
            self.frame.get_or_insert(frame);
        }
    }

    /// What is asked, when something is.
    pub fn ready(&self) -> Option<&Arc<Preview>> {
        match &self.stage {
            Stage::Ready(preview) => Some(preview),
            _ => None,
        }
    }

    /// What was confirmed.
    fn sent(&self) -> Option<&Arc<Preview>> {
        if let Stage::Sent(preview) = &self.stage { Some(preview) } else { None }
    }

    /// What the keys go to.
    fn field(&mut self) -> &mut String {
        if self.in_reason { &mut self.reason } else { &mut self.typed }
    }

    /// Whether text is typed: a name, or a reason.
    pub fn types(&self) -> bool {
        self.ready().is_some_and(|p| blocked(p).is_none() && (matches!(p.gate.ask, Ask::Typed(_)) || p.gate.reason_required))
    }
}

/// What forbids it, whatever is said.
pub fn blocked(preview: &Preview) -> Option<String> {
    preview.gate.refusals.first().cloned().or_else(|| preview.preflight.forbidden()).or_else(|| preview.preflight.drifted())
}

/// The read-only cluster among those of these objects, and why it is: nothing is planned there.
fn locked(world: &World, objects: &[ObjectRef]) -> Option<String> {
    objects.iter().find_map(|o| {
        let c = world.store.cluster(o.cluster)?;
        let why = c.info.read_only.as_ref()?;
        let there = objects.iter().filter(|x| x.cluster == o.cluster).count();
        let marked = if objects.len() > 1 { format!("; {there} of the {} marked are there", objects.len()) } else { String::new() };
        Some(format!("{} is read-only: {why}{marked}", c.info.name))
    })
}

const NO_KEDA: &str = "only for an HPA that a KEDA ScaledObject keeps";

fn keda(verb: VerbId) -> bool {
    matches!(verb, VerbId::KedaPause | VerbId::KedaResume)
}

/// The ScaledObject that keeps an HPA: no pane lists those, and what they make is where they are seen.
fn scaled(world: &World, object: &ObjectRef) -> Option<Target> {
    let hpa = world.store.find(object.cluster, object.kind, object.uid).filter(|_| object.kind == Kind::Hpa)?;
    let owner = hpa.1.meta().owner.as_deref().filter(|o| &*o.kind == "ScaledObject")?;
    Some(Target {
        cluster: object.cluster,
        resource: crate::action::scaled_object(),
        namespace: object.namespace.to_string(),
        name: owner.name.to_string(),
        uid: Some(owner.uid.to_string()),
    })
}

impl App {
    /// What a verb would be done to: the marked objects, else the one that was highlighted in the last drawn frame.
    pub(super) fn acted_on(&self, world: &World) -> Result<Vec<ObjectRef>, String> {
        if let Some(table) = self.table().filter(|t| !t.marks.is_empty()) {
            let mut marked: Vec<ObjectRef> = table.objects(world).iter().map(|o| meant(world, o)).collect();
            marked.sort_by(|a, b| (a.cluster, a.kind, &a.namespace, &a.name).cmp(&(b.cluster, b.kind, &b.namespace, &b.name)));
            marked.dedup();
            return if marked.is_empty() { Err("what was marked is gone".to_owned()) } else { Ok(marked) };
        }
        if let (Some(title), Some(table)) = (self.seen_group(), self.table()) {
            let members = table.members(world, &title);
            return if members.is_empty() { Err(format!("the group {title} is gone")) } else { Ok(members) };
        }
        let Some(object) = self.seen_highlighted(world) else {
            return Err(self.no_object(world).to_owned());
        };
        let object = meant(world, &object);
        match world.store.find(object.cluster, object.kind, object.uid) {
            Some(_) => Ok(vec![object]),
            None => Err(format!("{} is gone", object.name)),
        }
    }

    /// What was highlighted in the last drawn frame. Before the first one, what would be.
    pub(super) fn seen_highlighted(&self, world: &World) -> Option<ObjectRef> {
        if self.shown.frame > 0 {
            self.shown.highlighted.clone()
        } else {
            self.shown.highlighted.clone().or_else(|| self.highlighted(world))
        }
    }

    /// A verb's key or palette line.
    pub(super) fn verb(&mut self, world: &World, verb: VerbId, text: Option<&str>) -> Vec<Effect> {
        if verb == VerbId::Apply {
            return self.apply(world, text.unwrap_or_default());
        }
        if verb == VerbId::Silence
            && let Some(effects) = self.mute_clusters(world, text)
        {
            return effects;
        }
        match self.acted_on(world) {
            Ok(objects) => self.verb_on(world, verb, text, objects),
            Err(why) => match (verb.info().on, self.table().and_then(TablePane::current)) {
                (On::OrCluster(_) | On::Cluster, Some(RowKey::Cluster(cluster))) => {
                    self.verb_on_all(world, verb, text.unwrap_or_default(), cluster)
                }
                (On::Etcd, _) => match self.members_meant(world) {
                    Ok(members) => self.verb_on(world, verb, text, members),
                    Err(none) => self.say(none.unwrap_or(why)),
                },
                _ => self.say(why),
            },
        }
    }

    /// A verb on all of a cluster.
    fn verb_on_all(&mut self, world: &World, verb: VerbId, text: &str, cluster: ClusterId) -> Vec<Effect> {
        let Some(c) = world.store.cluster(cluster) else { return Vec::new() };
        if let Some(why) = &c.info.read_only {
            self.notice = Some(Notice::error(format!("{} is read-only: {why}", c.info.name)));
            return Vec::new();
        }
        match Args::parse(verb.info(), text) {
            Ok(args) => self.wish(Wanted::Act(Request {
                verb,
                targets: vec![Target::of_cluster(cluster, &c.info.name)],
                args,
                documents: Vec::new(),
            })),
            Err(e) => {
                self.notice = Some(Notice::error(format!("{e}; {}", e.hint)));
                Vec::new()
            }
        }
    }

    /// The members of etcd that a highlighted cluster stands for; why there are none, if it is one.
    fn members_meant(&self, world: &World) -> Result<Vec<ObjectRef>, Option<String>> {
        let Some(RowKey::Cluster(id)) = self.table().and_then(TablePane::current) else { return Err(None) };
        let cluster = world.store.cluster(id).ok_or(None)?;
        let members: Vec<ObjectRef> = cluster.objects(Kind::EtcdMember).map(|o| o.reference(id)).collect();
        if members.is_empty() { Err(Some(format!("{}: etcd is not reached", cluster.info.name))) } else { Ok(members) }
    }

    /// Manifests go to the cluster and the namespace of what is highlighted, where they name none themselves.
    fn apply(&mut self, world: &World, text: &str) -> Vec<Effect> {
        let objects = match self.acted_on(world) {
            Ok(objects) => objects,
            Err(why) => return self.say(format!("{why}: manifests go to the cluster of what is highlighted")),
        };
        if let Some(why) = locked(world, &objects[..1]) {
            self.notice = Some(Notice::error(why));
            return Vec::new();
        }
        let (cluster, namespace) = (objects[0].cluster, objects[0].namespace.to_string());
        let name = if namespace.is_empty() { "default".to_owned() } else { namespace };
        let targets = vec![Target { cluster, resource: Kind::Namespace.into(), namespace: String::new(), name, uid: None }];
        match Args::parse(VerbId::Apply.info(), text) {
            Ok(args) => self.wish(Wanted::Act(Request { verb: VerbId::Apply, targets, args, documents: Vec::new() })),
            Err(_) if text.is_empty() => {
                self.open_form(world, VerbId::Apply, targets, &Args::default());
                Vec::new()
            }
            Err(e) => {
                self.notice = Some(Notice::error(e.to_string()));
                Vec::new()
            }
        }
    }

    /// A verb on these objects: those that are still there.
    pub(super) fn verb_on(&mut self, world: &World, verb: VerbId, text: Option<&str>, mut objects: Vec<ObjectRef>) -> Vec<Effect> {
        let info = verb.info();
        let first = objects.first().map(|o| o.name.to_string()).unwrap_or_default();
        objects.retain(|o| world.store.find(o.cluster, o.kind, o.uid).is_some());
        if objects.is_empty() {
            return self.say(format!("{first} is gone"));
        }
        if let Some(odd) = objects.iter().find(|o| !info.on.takes(o.kind)) {
            return self.say(format!("{} is for {}, not for a {}", info.name, info.on.words(), odd.kind.name()));
        }
        if let Some(why) = locked(world, &objects) {
            self.notice = Some(Notice::error(why));
            return Vec::new();
        }
        let targets: Vec<Target> = if keda(verb) {
            let kept: Option<Vec<Target>> = objects.iter().map(|o| scaled(world, o)).collect();
            let Some(kept) = kept else {
                let word = info.cli.join(" ");
                return self.say(format!("{NO_KEDA}; or qd {word} scaledobject/NAME -n NAMESPACE --context NAME"));
            };
            kept
        } else {
            objects.iter().map(Target::from).collect()
        };
        if verb == VerbId::Silence {
            return self.mute(world, targets, text);
        }
        let text = text.unwrap_or_default();
        if verb == VerbId::Edit {
            return if text.is_empty() {
                self.edit(world, &objects)
            } else {
                self.say("files are the command line's: qd edit --file FILE")
            };
        }
        if text.is_empty() && silent(verb) {
            self.open_form(world, verb, targets, &Args::default());
            return Vec::new();
        }
        match Args::parse(info, text) {
            Ok(args) => self.wish(Wanted::Act(Request { verb, targets, args, documents: Vec::new() })),
            Err(_) if text.is_empty() => {
                let known = if verb == VerbId::Ignore { self.ignored(world, &objects) } else { Args::default() };
                self.open_form(world, verb, targets, &known);
                Vec::new()
            }
            Err(e) => {
                self.notice = Some(Notice::error(format!("{e}; {}", e.hint)));
                Vec::new()
            }
        }
    }

    /// Opens a preview of what is wanted; one that is open gives way.
    pub(super) fn wish(&mut self, wanted: Wanted) -> Vec<Effect> {
        let request = self.request();
        let mut effects = vec![Effect::Plan(request, Box::new(wanted.clone()))];
        let pane = Place::Preview(Box::new(PreviewPane::new(request, wanted)));
        match std::mem::replace(&mut self.place, pane) {
            Place::Preview(old) => {
                effects.insert(0, Effect::DropPlan(old.request));
                // The same with other arguments still comes before something.
                if let Place::Preview(new) = &mut self.place
                    && new.wanted.verb().is_some_and(|verb| old.wanted.verb() == Some(verb))
                {
                    new.then = old.then;
                }
            }
            under => self.under.push(under),
        }
        effects
    }

    /// A plan has come, or the reason why there is none.
    pub(super) fn previewed(&mut self, id: RequestId, result: Result<Arc<Preview>, Refusal>) {
        if let Some(pane) = self.preview_mut(id) {
            pane.stage = match result {
                Ok(preview) => Stage::Ready(preview),
                Err(refusal) => Stage::Refused(refusal),
            };
            pane.in_reason = pane.ready().is_some_and(|p| p.gate.reason_required);
        }
    }

    /// The job has begun: what was under the preview comes back.
    pub(super) fn started(&mut self, world: &World, id: RequestId, result: Result<JobId, String>) -> Vec<Effect> {
        match result {
            Ok(job) => {
                if let Some(pane) = self.preview_mut(id) {
                    let fetching = pane.sent().and_then(|preview| Fetching::of(world, pane, preview, &job));
                    let then = pane.then.clone().map(|wanted| (job.clone(), wanted));
                    self.fetching.extend(fetching);
                    self.afterwards.extend(then);
                    self.close_preview(world);
                    // The text has become a job.
                    if matches!(self.place, Place::Editor(_)) {
                        self.close_preview(world);
                    }
                }
                self.on_table(|t| t.marks.clear());
                self.say(format!("job {job} began; J shows it"))
            }
            Err(why) => {
                if let Some(pane) = self.preview_mut(id) {
                    pane.stage = Stage::Refused(Refusal { nothing: false, message: why.clone(), hint: None });
                }
                self.notice = Some(Notice::error(why));
                Vec::new()
            }
        }
    }

    fn preview_mut(&mut self, id: RequestId) -> Option<&mut PreviewPane> {
        match &mut self.place {
            Place::Preview(pane) if pane.request == id => Some(pane),
            _ => None,
        }
    }

    fn close_preview(&mut self, world: &World) {
        self.place = self.under.pop().unwrap_or(Place::Cockpit);
        self.refresh_place(world);
    }

    /// A key while a preview is open. None: it is for the keymap.
    pub(super) fn preview_key(&mut self, world: &World, key: KeyEvent) -> Option<Vec<Effect>> {
        let Place::Preview(pane) = &mut self.place else { return None };
        if (key.code, key.modifiers) == (KeyCode::Char('u'), KeyModifiers::CONTROL) && self.overlay.is_none() && pane.types() {
            pane.field().clear();
            return Some(Vec::new());
        }
        if self.overlay.is_some() || key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) || !self.pending.is_empty() {
            return None;
        }
        let typing = pane.types();
        match key.code {
            KeyCode::Up => pane.offset = pane.offset.saturating_sub(1),
            KeyCode::Down => pane.offset += 1,
            KeyCode::PageUp => pane.offset = pane.offset.saturating_sub(self.shown.text_page.max(2) - 1),
            KeyCode::PageDown => pane.offset += self.shown.text_page.max(2) - 1,
            KeyCode::Esc => return Some(self.drop_preview(world)),
            KeyCode::Char('q' | 'n') if !typing => return Some(self.drop_preview(world)),
            KeyCode::Char('k') if !typing => pane.offset = pane.offset.saturating_sub(1),
            KeyCode::Char('j') if !typing => pane.offset += 1,
            KeyCode::Char('o') if !typing => return Some(self.other_arguments(world)),
            // What is typed of a name before it was asked for takes nothing either.
            KeyCode::Char(c @ '1'..='9') if (!typing || pane.frame.is_some_and(|f| self.acked >= f)) && pane.offered(c).is_some() => {
                return Some(self.take_offer(c));
            }
            KeyCode::Char(_) | KeyCode::Backspace | KeyCode::Tab | KeyCode::Enter => return Some(self.word(key.code)),
            _ => {}
        }
        Some(Vec::new())
    }

    fn drop_preview(&mut self, world: &World) -> Vec<Effect> {
        let Place::Preview(pane) = &self.place else { return Vec::new() };
        let dropped = Effect::DropPlan(pane.request);
        self.close_preview(world);
        vec![dropped]
    }

    /// A key that confirms, or types what confirms. It counts only when what it speaks of was on the screen before it was typed.
    fn word(&mut self, key: KeyCode) -> Vec<Effect> {
        let acked = self.acked;
        let Place::Preview(pane) = &mut self.place else { return Vec::new() };
        let Some(preview) = pane.ready().cloned() else { return Vec::new() };
        if pane.frame.is_none_or(|frame| acked < frame) {
            self.notice = Some(Notice::info("typed before it was on the screen: not counted"));
            return Vec::new();
        }
        if let Some(why) = blocked(&preview) {
            self.notice = Some(Notice::error(why));
            return Vec::new();
        }
        let typing = pane.types();
        let field = pane.field();
        match key {
            KeyCode::Char(c) if typing && field.chars().count() < 200 => field.push(c),
            KeyCode::Backspace if typing => drop(field.pop()),
            KeyCode::Tab if typing && preview.gate.reason_required => pane.in_reason = !pane.in_reason,
            KeyCode::Enter if typing && pane.in_reason && !pane.reason.trim().is_empty() => pane.in_reason = false,
            KeyCode::Enter if typing => {
                let yes = pane.typed.trim() == "y";
                let typed = matches!(preview.gate.ask, Ask::Typed(_)).then(|| pane.typed.clone());
                if typed.as_ref().is_some_and(|t| t.trim().is_empty()) {
                    self.notice = Some(Notice::info("Enter alone confirms nothing: type the name"));
                    return Vec::new();
                }
                return self.say_yes(&preview, yes, typed);
            }
            KeyCode::Char('y') => return self.say_yes(&preview, true, None),
            KeyCode::Enter => self.notice = Some(Notice::info("Enter alone confirms nothing: y does")),
            _ => {}
        }
        Vec::new()
    }

    fn say_yes(&mut self, preview: &Arc<Preview>, yes: bool, typed: Option<String>) -> Vec<Effect> {
        let Place::Preview(pane) = &mut self.place else { return Vec::new() };
        let reason = Some(pane.reason.trim().to_owned()).filter(|r| !r.is_empty());
        let said = Confirmation { yes, typed, reason, flag: false, hash: preview.hash.clone() };
        // Looked at here too, so that a slip of the fingers leaves the preview open.
        if let Err(why) = crate::action::confirm(preview, &said) {
            self.notice = Some(Notice::error(why.to_string()));
            return Vec::new();
        }
        pane.stage = Stage::Sent(preview.clone());
        vec![Effect::Confirm(pane.request, said)]
    }

    /// Other arguments for what is previewed.
    fn other_arguments(&mut self, world: &World) -> Vec<Effect> {
        let Place::Preview(pane) = &self.place else { return Vec::new() };
        if let Wanted::Run(run) = &pane.wanted {
            let (book, params) = (run.0.clone(), run.1.clone());
            self.book_again(world, book, &params);
            return Vec::new();
        }
        let Wanted::Act(request) = &pane.wanted else { return self.say("a job is taken back or gone on with as it is") };
        let (verb, args, targets) = (request.verb, request.args.clone(), request.targets.clone());
        if verb == VerbId::Edit {
            return self.say("Esc goes back to the text");
        }
        if verb.info().params.is_empty() {
            return self.say(format!("{verb} takes no arguments"));
        }
        self.open_form(world, verb, targets, &args);
        Vec::new()
    }

    /// F: the finding's remedy as a preview, or in words.
    pub(super) fn fix(&mut self, world: &World) -> Vec<Effect> {
        let Some((remedy, next_step)) = (match self.found(world) {
            Ok(found) => found,
            Err(why) => return self.say(why),
        }) else {
            return self.say("no finding here");
        };
        let (verb, object, mut args) = match remedy {
            None => return self.say(format!("by hand: {next_step}")),
            Some(Remedy::Edit(object)) => {
                let effects = self.edit(world, std::slice::from_ref(&object));
                self.notice = self.notice.take().or_else(|| Some(Notice::info(next_step)));
                return effects;
            }
            Some(Remedy::Act { verb, on, args }) => (verb, on, args),
        };
        if let Some(why) = locked(world, std::slice::from_ref(&object)) {
            self.notice = Some(Notice::error(why));
            return Vec::new();
        }
        let targets = vec![Target::from(&object)];
        let proposals = propose(world, verb, &targets);
        let missing = proposals.iter().filter(|(name, _)| args.get(name).is_none()).collect::<Vec<_>>();
        match missing.iter().try_for_each(|(name, value)| args.set(verb.info(), name, value)).and_then(|()| args.complete(verb.info())) {
            Ok(()) => self.wish(Wanted::Act(Request { verb, targets, args, documents: Vec::new() })),
            Err(e) => {
                self.notice = Some(Notice::error(e.to_string()));
                Vec::new()
            }
        }
    }

    /// The remedy of the finding that is highlighted, or that the highlighted object has, and what to do in words.
    fn found(&self, world: &World) -> Result<Option<(Option<Remedy>, String)>, &'static str> {
        let seen = self.seen_highlighted(world);
        let of = |f: &Finding| (f.remedy.clone(), f.next_step.clone());
        if let (Place::Cockpit, Focus::Burning) = (&self.place, self.cockpit.focus) {
            let line = self.cockpit.lines.get(self.cockpit.cursor);
            // The line that was there may have gone out since, and another one taken its place.
            if line.is_some_and(|l| l.subject != seen) {
                return Err("what was highlighted burns no more");
            }
            return Ok(line.and_then(|l| world.engine.finding(*l.findings.first()?)).map(of));
        }
        let Some(object) = seen else { return Ok(None) };
        if let Some(Object::Finding(row)) = world.store.resolve(&object) {
            return Ok(Some((row.remedy.clone(), row.next_step.to_string())));
        }
        Ok(world.engine.for_object(object.cluster, object.uid).first().map(of))
    }

    /// a: what may be done here, and why the rest may not.
    pub(super) fn acts(&mut self, world: &World) -> Vec<Effect> {
        let (objects, whole) = match self.acted_on(world) {
            Ok(objects) => (objects, None),
            Err(why) => match self.table().and_then(TablePane::current) {
                Some(RowKey::Cluster(id)) => (self.members_meant(world).unwrap_or_default(), world.store.cluster(id)),
                _ => return self.say(why),
            },
        };
        let shut = |c: &crate::store::Cluster| Some(format!("{} is read-only: {}", c.info.name, c.info.read_only.as_ref()?));
        let locked = locked(world, &objects).or_else(|| whole.and_then(shut));
        let (mut can, mut cannot, mut asked) = (Vec::new(), Vec::new(), Vec::new());
        for v in VERBS.iter().filter(|v| v.on != On::Nothing) {
            let all_of_it = whole.is_some() && matches!(v.on, On::OrCluster(_) | On::Cluster);
            let odd = if whole.is_some() && objects.is_empty() { v.on != On::Etcd } else { objects.iter().any(|o| !v.on.takes(o.kind)) };
            let unreached = whole.is_some() && objects.is_empty() && v.on == On::Etcd;
            let odd = (odd && !all_of_it).then(|| format!("only for {}", v.on.words()));
            let odd = odd.or_else(|| unreached.then(|| "etcd is not reached".to_owned()));
            let not_kept = (keda(v.id) && objects.iter().any(|o| scaled(world, o).is_none())).then(|| NO_KEDA.to_owned());
            let why = odd.or(not_kept).or_else(|| locked.clone());
            match why {
                None => {
                    can.push((v.on == On::Any && !keda(v.id), Item::new(v.name, v.doc, Choice::Act(v.id))));
                    // Of another object than the one that is shown; its preview asks.
                    if !keda(v.id) && !all_of_it {
                        asked.push(v.id);
                    }
                }
                Some(why) => cannot.push(Item { off: true, ..Item::new(v.name, format!("no: {why}"), Choice::Act(v.id)) }),
            }
        }
        // What is this kind's own goes before what can be done to anything.
        can.sort_by_key(|(any, _)| *any);
        let items: Vec<Item> = can.into_iter().map(|(_, item)| item).chain(cannot).collect();
        let title = match objects.as_slice() {
            _ if whole.is_some() => format!("Acts on cluster {}, or its etcd", whole.map_or("", |c| &c.info.name)),
            [one] => format!("Acts on {} {}", one.kind.name(), one.name),
            all => format!("Acts on {} marked objects", all.len()),
        };
        let targets = objects.iter().map(Target::from).collect();
        let id = self.request();
        let chooser = Chooser { asked: (!asked.is_empty()).then_some(id), objects, ..Chooser::new(title, items) };
        let effects = if asked.is_empty() { Vec::new() } else { vec![Effect::MayI(id, asked, targets)] };
        self.overlay = Some(Overlay::Choose(chooser));
        effects
    }

    /// The clusters have said which acts they would refuse: these go below the others. The cursor stays on its act.
    pub(super) fn refused(&mut self, id: RequestId, verbs: &[(VerbId, String)]) {
        let Some(Overlay::Choose(chooser)) = &mut self.overlay else { return };
        if chooser.asked != Some(id) {
            return;
        }
        chooser.asked = None;
        let here = chooser.current().map(|i| i.text.clone());
        for item in &mut chooser.items {
            if let Choice::Act(verb) = item.choice
                && let Some((_, why)) = verbs.iter().find(|(v, _)| *v == verb)
            {
                (item.off, item.doc) = (true, format!("no: {why}"));
            }
        }
        chooser.items.sort_by_key(|i| i.off);
        chooser.selected = chooser.items.iter().position(|i| Some(&i.text) == here.as_ref()).unwrap_or(0);
    }

    /// The job that undo or resume means: the named one, the highlighted one in the jobs pane, or the last.
    fn past(&self, ledger: &Ledger, name: Option<&str>) -> Result<Past, String> {
        let highlighted = match &self.place {
            Place::Jobs(pane) => pane.current.clone().map(|j| j.0),
            _ => None,
        };
        let name = name.map(str::to_owned).or(highlighted).unwrap_or_else(|| "last".to_owned());
        ledger.find(&name).cloned()
    }

    /// The ledger was read for an undo or a resume.
    pub(super) fn remembered(&mut self, why: &Remember, ledger: &Ledger) -> Vec<Effect> {
        let (name, undo) = match why {
            Remember::Undo(name) => (name.as_deref(), true),
            Remember::Resume(name) => (name.as_deref(), false),
            Remember::Show => {
                if let Place::Audit(pane) = &mut self.place {
                    pane.fill(ledger);
                }
                return Vec::new();
            }
        };
        match self.past(ledger, name) {
            Err(why) => self.say(why),
            Ok(past) if undo => self.wish(Wanted::Undo(Box::new(past))),
            Ok(past) if !past.state().resumable() => self.say(format!("job {} is {}", past.id, past.state().word())),
            Ok(past) => self.wish(Wanted::Resume(Box::new(past))),
        }
    }

    /// A job has come to its end.
    pub(super) fn job_ended(&mut self, world: &World, id: &JobId, state: JobState) {
        let Some(job) = world.store.jobs.get(id) else { return };
        let why = if job.note.is_empty() { String::new() } else { format!(": {}", job.note) };
        let text = format!("{}: {}{why}", state.word(), job.title);
        self.notice = Some(if state == JobState::Ended(crate::model::Outcome::Done) { Notice::info(text) } else { Notice::error(text) });
    }

    /// Pause, go on, stop: the highlighted job of the jobs pane.
    pub(super) fn control_job(&mut self, world: &World, stop: bool) -> Vec<Effect> {
        let Place::Jobs(pane) = &mut self.place else { return self.say("J shows the jobs") };
        let Some(job) = pane.current.as_ref().and_then(|id| world.store.jobs.get(id)) else { return self.say("no job is highlighted") };
        if !job.state.active() {
            return self.say(format!("job {} is {}", job.id, job.state.word()));
        }
        let control = match (stop, job.state) {
            (true, _) if pane.stopping.as_ref() != Some(&job.id) => {
                pane.stopping = Some(job.id.clone());
                return self.say("the same key again stops the job: what is in flight is waited for, what is left can be resumed");
            }
            (true, _) => Control::Stop("stopped in the cockpit"),
            (false, JobState::Paused) => Control::Run,
            (false, _) => Control::Pause,
        };
        pane.stopping = None;
        vec![Effect::Job(job.id.clone(), control)]
    }
}

/// Why the ledger is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Remember {
    Undo(Option<String>),
    Resume(Option<String>),
    Show,
}
