//! The form of a silence: matchers that are proposed, and what those that stand there would hide now, told while they are typed.

use super::form::{Form, Of};
use super::{App, Effect, Notice, World};
use crate::action::silences::{Width, count, hidden, propose, together, width, within, words};
use crate::model::verb::split;
use crate::model::{Args, ClusterId, Kind, Level, Matcher, Target, VerbId};
use crate::table::RowKey;

/// How long is proposed.
const LONG: &str = "2h";

/// What a form's matchers would hide: a line each, the judgement first.
pub type Told = Vec<(Level, String)>;

/// What is proposed for a silence of these objects. Alerts propose what they have in common; of several others each proposes its own.
pub(super) fn proposals(world: &World, targets: &[Target]) -> Vec<(&'static str, String)> {
    let mut all = vec![("for", LONG.to_owned())];
    let matchers = match targets {
        [one] => propose(world.store, one).ok(),
        several => together(world.store, several),
    };
    all.extend(matchers.map(|m| ("match", typed(&m))));
    all
}

fn typed(matchers: &[Matcher]) -> String {
    matchers.iter().map(Matcher::typed).collect::<Vec<_>>().join(" ")
}

/// What would be silenced now by the form as it stands; `most`: lines at most. None: it is no form of a silence.
pub fn muted(world: &World, form: &Form, most: usize) -> Option<Told> {
    let Of::Verb(VerbId::Silence, targets) = &form.of else { return None };
    let text = form.fields.iter().find(|f| f.name == "match").map_or("", |f| f.text());
    let given: Result<Vec<Matcher>, String> = split(text).iter().map(|m| Matcher::parse(m)).collect();
    let mut told = Told::new();
    let given = match given {
        Ok(given) => given,
        Err(why) => return Some(vec![(Level::Warning, why)]),
    };
    let mut all = Vec::new();
    let mut seen: Vec<(ClusterId, Vec<Matcher>)> = Vec::new();
    for (n, target) in targets.iter().enumerate() {
        // The same matchers hide the same for every object of a cluster.
        if !given.is_empty() && targets[..n].iter().any(|t| t.cluster == target.cluster) {
            continue;
        }
        let Some(cluster) = world.store.cluster(target.cluster) else { continue };
        let matchers = if given.is_empty() { propose(world.store, target) } else { Ok(given.clone()) };
        let matchers = match matchers {
            Ok(matchers) => within(world.store, target, matchers).0,
            Err(why) => {
                told.push((Level::Danger, why));
                continue;
            }
        };
        if seen.contains(&(cluster.id, matchers.clone())) {
            continue;
        }
        let here = hidden(world.store, cluster.id, &matchers);
        match width(cluster.info.alert_label.as_deref(), &matchers, &here) {
            Width::Fine => {}
            Width::Wide(why) => told.push((Level::Warning, format!("too wide? {why}"))),
            Width::Everything => told.push((Level::Danger, "it matches everything".to_owned())),
        }
        if !cluster.current(Kind::Alert) {
            told.push((Level::Warning, format!("{}: the alerts are not seen: what it hides is not known", cluster.info.name)));
        }
        all.extend(here);
        seen.push((cluster.id, matchers));
    }
    let mut once = hashbrown::HashSet::new();
    all.retain(|(c, a)| once.insert((c.id, a.meta.uid)));
    told.dedup();
    told.push(match all.len() {
        0 => (Level::Warning, "it matches nothing that fires now".to_owned()),
        _ => (Level::Info, format!("silences now {}:", count(&all))),
    });
    let room = most.saturating_sub(told.len());
    let shown = if all.len() > room { room.saturating_sub(1) } else { all.len() };
    told.extend(all.iter().take(shown).map(|(_, a)| (Level::Info, format!("  {}", words(a)))));
    if all.len() > shown && room > 0 {
        told.push((Level::Info, format!("  and {} more", all.len() - shown)));
    }
    told.truncate(most);
    Some(told)
}

impl App {
    /// The clusters that are marked or highlighted, where rows of clusters are.
    fn whole_clusters(&self, world: &World) -> Vec<Target> {
        let keys: Vec<RowKey> = match self.table() {
            Some(t) if !t.marks.is_empty() => t.marks.iter().map(|(key, _)| *key).collect(),
            Some(t) => t.current().into_iter().collect(),
            None => Vec::new(),
        };
        let cluster = |key: RowKey| match key {
            RowKey::Cluster(id) => world.store.cluster(id),
            _ => None,
        };
        keys.into_iter().filter_map(cluster).map(|c| Target::of_cluster(c.id, &c.info.name)).collect()
    }

    /// A silence of whole clusters; none: what is highlighted is something else.
    pub(super) fn mute_clusters(&mut self, world: &World, text: Option<&str>) -> Option<Vec<Effect>> {
        let targets = self.whole_clusters(world);
        if targets.is_empty() {
            return None;
        }
        let locked = targets.iter().find_map(|t| {
            let c = world.store.cluster(t.cluster)?;
            Some(format!("{} is read-only: {}", c.info.name, c.info.read_only.as_ref()?))
        });
        if let Some(why) = locked {
            self.notice = Some(Notice::error(why));
            return Some(Vec::new());
        }
        Some(self.mute(world, targets, text))
    }

    /// Opens the form of a silence with what was typed; what is complete goes to the preview at once.
    pub(super) fn mute(&mut self, world: &World, targets: Vec<Target>, text: Option<&str>) -> Vec<Effect> {
        let info = VerbId::Silence.info();
        let text = text.unwrap_or_default();
        if let Ok(args) = Args::parse(info, text) {
            return self.wish(crate::action::Wanted::Act(crate::action::Request {
                verb: VerbId::Silence,
                targets,
                args,
                documents: Vec::new(),
            }));
        }
        // `mute 2h`: the rest is asked for.
        let mut args = Args::default();
        match args.set(info, "for", if text.is_empty() { LONG } else { text }) {
            Ok(()) => {
                for (name, value) in proposals(world, &targets).into_iter().filter(|(name, _)| *name == "match") {
                    for one in split(&value) {
                        if let Err(e) = args.set(info, name, &one) {
                            self.notice = Some(Notice::error(e.to_string()));
                        }
                    }
                }
                self.open_form(world, VerbId::Silence, targets, &args);
            }
            Err(e) => self.notice = Some(Notice::error(e.to_string())),
        }
        Vec::new()
    }
}
