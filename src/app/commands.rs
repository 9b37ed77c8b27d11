//! What each command does to the cockpit.

use super::chooser::Choice;
use super::{
    App, AuditPane, Chooser, Detail, Effect, Focus, Item, JobsPane, Logs, Notice, Overlay, Own, Place, Purpose, Remember, Scope, Spot,
    World, line_key,
};
use crate::command::{Command, PaneName};
use crate::model::{Kind, Object, ObjectRef};
use crate::table::{RowKey, Sort, Subject};

impl App {
    pub(super) fn run(&mut self, world: &World, command: &Command) -> Vec<Effect> {
        if self.overlay.is_some()
            && let Some(effects) = self.in_overlay(world, command)
        {
            return effects;
        }
        if self.overlay.is_none()
            && let Some(effects) = self.in_editor(world, command)
        {
            return effects;
        }
        let own = match &mut self.place {
            Place::Detail(d) => d.command(world, command),
            Place::Logs(l) => l.command(world, command),
            _ => Own::No,
        };
        match own {
            Own::No => {}
            Own::Done(effects) => return effects,
            Own::Say(notice) => {
                self.notice = Some(notice);
                return Vec::new();
            }
            Own::Ask(purpose, text) => {
                self.open_prompt(purpose, &text);
                return Vec::new();
            }
            Own::Restart { previous } => {
                let id = self.request();
                return if let Place::Logs(l) = &mut self.place { l.restart(id, previous) } else { Vec::new() };
            }
        }
        let page = isize::try_from(self.shown.page.max(2) - 1).unwrap_or(1);
        match command {
            Command::Up => self.step(world, -1),
            Command::Down => self.step(world, 1),
            Command::PageUp => self.step(world, -page),
            Command::PageDown => self.step(world, page),
            Command::HalfPageUp => self.step(world, -page / 2),
            Command::HalfPageDown => self.step(world, page / 2),
            Command::Top => self.step(world, isize::MIN / 2),
            Command::Bottom => self.step(world, isize::MAX / 2),
            Command::Left => self.on_table(|t| t.hscroll = t.hscroll.saturating_sub(1)),
            Command::Right => self.on_table(|t| t.hscroll = (t.hscroll + 1).min(t.shown_columns().len().saturating_sub(1))),
            Command::NextTile | Command::PrevTile => {
                if matches!(self.place, Place::Cockpit) {
                    self.cockpit.turn(world.store, *command == Command::NextTile);
                }
            }
            Command::NextMatch => self.next_problem(world, 1),
            Command::PrevMatch => self.next_problem(world, -1),
            Command::Pane((pane, filter)) => return self.show_pane(world, *pane, filter.as_deref()),
            Command::All => {
                self.set_scope(world, Scope::default());
                return self.say("all clusters, all namespaces");
            }
            Command::Cluster(name) => return self.scope_to(world, Some(name), None),
            Command::Namespace(name) => return self.scope_to(world, None, Some(name)),
            Command::Open if matches!(self.place, Place::Jobs(_) | Place::Audit(_)) => match &mut self.place {
                Place::Jobs(p) => (p.open, p.offset) = (!p.open, 0),
                Place::Audit(p) => (p.open, p.offset) = (!p.open, 0),
                _ => {}
            },
            Command::Open => return self.open(world),
            Command::Yaml => {
                let effects = self.open_object(world, None);
                if let Place::Detail(d) = &mut self.place {
                    d.show_yaml();
                }
                return effects;
            }
            Command::Logs | Command::LogsPrevious => return self.open_logs(world, *command == Command::LogsPrevious),
            Command::Go(target) => return self.jump(world, *target),
            Command::Back => return self.go_back(world),
            Command::HistoryBack => return self.history(world, true),
            Command::HistoryForward => return self.history(world, false),
            Command::LastView => return self.last_view(world),
            Command::Rules => self.list_blind(world),
            Command::Views => return self.choose_view(),
            Command::View(name) => return self.show_view(world, name),
            Command::SaveView(name) => return self.save_view(name),
            Command::Help => {
                let under = std::mem::replace(&mut self.place, Place::Help { scroll: 0 });
                self.under.push(under);
            }
            Command::Filter(text) | Command::Search(text) if matches!(self.place, Place::Audit(_)) => {
                let Place::Audit(pane) = &mut self.place else { return Vec::new() };
                pane.open = false;
                match text {
                    Some(text) => pane.filter(text),
                    None => {
                        let text = pane.filter.clone();
                        self.open_prompt(Purpose::AuditFilter, &text);
                    }
                }
            }
            Command::Filter(terms) => return self.filter(world, terms.as_deref()),
            Command::Search(text) => match text {
                Some(text) => {
                    text.clone_into(&mut self.search);
                    let problem = match &mut self.place {
                        Place::Detail(d) => d.search(text),
                        Place::Logs(l) => l.search(text),
                        _ => return self.filter(world, Some(text)),
                    };
                    if let Some(problem) = problem {
                        self.notice = Some(Notice::error(problem));
                    }
                }
                None if matches!(self.place, Place::Detail(_) | Place::Logs(_)) => {
                    // Empty, as in a pager; Esc and Enter leave the search that was.
                    self.open_prompt(Purpose::Search, "");
                    if let Some(Overlay::Prompt(prompt)) = &mut self.overlay {
                        prompt.before.clone_from(&self.search);
                    }
                }
                None => return self.filter(world, None),
            },
            Command::Palette => self.open_search(world, Purpose::Palette, ""),
            Command::Find(text) => self.open_search(world, Purpose::Find, text.as_deref().unwrap_or("")),
            Command::FaultsOnly => {
                let Some(t) = self.table_mut() else { return self.say("nothing to filter here") };
                let on = !t.view.faults_only();
                t.set_faults_only(world, on);
                t.move_to(world, 0);
                return self.say(if on { "faults only" } else { "everything" });
            }
            Command::Zoom => return self.zoom(world),
            Command::Group(Some(column)) if column == "?" => return self.choose_group(),
            Command::Group(column) => return self.group(world, column.as_deref()),
            Command::Wide => self.on_table(|t| {
                t.wide = !t.wide;
                t.columns = None;
                t.widths.clear();
            }),
            Command::Sort(column) => return self.sort(world, column.as_deref()),
            Command::SortReverse => {
                if let Some(t) = self.table_mut() {
                    let sort = match t.view.sort() {
                        Some(sort) => Sort { descending: !sort.descending, ..sort },
                        None => return self.say("sorted with the worst on top; S chooses a column"),
                    };
                    t.set_sort(world, Some(sort));
                }
            }
            Command::Columns => {
                if self.table().is_none() {
                    return self.say("no table here");
                }
                self.overlay = Some(Overlay::Columns { selected: 0 });
            }
            Command::Freeze => {
                self.frozen = !self.frozen;
                if !self.frozen {
                    self.refresh_place(world);
                }
                return self.say(if self.frozen { "frozen: P lets it live again" } else { "live" });
            }
            Command::Seen => {
                self.cockpit.seen = Some(self.cockpit.lines.iter().map(line_key).collect());
                return self.say("seen: what is new from here on is marked");
            }
            Command::Mark => {
                if let Some(t) = self.table_mut() {
                    t.mark(world);
                    t.step(world, 1);
                }
            }
            Command::MarkRange => self.on_table_with(world, super::TablePane::mark_range),
            Command::MarkAll => self.on_table_with(world, super::TablePane::mark_all),
            Command::MarkClear => self.on_table(|t| t.marks.clear()),
            Command::Copy => {
                let names: Vec<String> = match (self.table(), self.highlighted(world)) {
                    (Some(t), Some(_)) => t.objects(world).iter().map(|o| o.name.to_string()).collect(),
                    (_, Some(o)) => vec![o.name.to_string()],
                    _ => Vec::new(),
                };
                if names.is_empty() {
                    return self.say("nothing to copy");
                }
                self.notice = Some(Notice::info(format!(
                    "sent to the terminal's clipboard, which some terminals refuse: {}",
                    if names.len() == 1 { names[0].clone() } else { format!("{} names", names.len()) }
                )));
                return vec![Effect::Copy(names.join("\n"))];
            }
            Command::Acts => return self.acts(world),
            Command::Fix => return self.fix(world),
            Command::Verb(verb, text) => return self.verb(world, *verb, text.as_deref()),
            Command::Run(text) => return self.run_book(world, text.as_deref()),
            Command::Shell(_) => return self.say("a shell in a pod comes in a later version; until then kubectl exec -it"),
            Command::Undo(job) => return vec![Effect::Remember(Remember::Undo(job.clone()))],
            Command::Resume(job) => return vec![Effect::Remember(Remember::Resume(job.clone()))],
            Command::JobPause => return self.control_job(world, false),
            Command::JobStop => return self.control_job(world, true),
            Command::Jobs => {
                let mut pane = JobsPane::default();
                pane.settle(world);
                self.open_over(Place::Jobs(pane));
            }
            Command::Audit => {
                self.open_over(Place::Audit(AuditPane::default()));
                return vec![Effect::Remember(Remember::Show)];
            }
            Command::Login(name) => return self.on_cluster(world, name, Effect::Login),
            Command::Reconnect(Some(name)) => return self.on_cluster(world, name, |id| Effect::Reconnect(Some(id))),
            Command::Reconnect(None) => {
                let id = self.highlighted_cluster(world);
                let name = id.and_then(|id| world.store.cluster(id)).map_or("every cluster", |c| &c.info.name);
                self.notice = Some(Notice::info(format!("reconnecting {name}")));
                return vec![Effect::Reconnect(id)];
            }
            Command::Theme(name) => return vec![Effect::SetTheme(name.clone())],
            Command::Keymap(name) => return vec![Effect::SetKeymap(name.clone())],
            Command::Mouse => {
                self.mouse = !self.mouse;
                self.notice = Some(Notice::info(if self.mouse { "mouse on" } else { "mouse off: the terminal selects text" }));
                return vec![Effect::Mouse(self.mouse)];
            }
            Command::Redraw => return vec![Effect::Redraw],
            Command::Suspend => return vec![Effect::Suspend],
            Command::Quit if self.overlay.is_none() && world.store.jobs.active().count() > 0 => {
                self.overlay = Some(Overlay::Quit);
            }
            Command::Quit | Command::ForceQuit => {
                self.quit = true;
                return vec![Effect::SaveSession, Effect::Quit];
            }
            Command::ColumnMoveLeft | Command::ColumnMoveRight | Command::ColumnGrow | Command::ColumnShrink => {
                return self.say("C opens the columns, where they can be moved and sized");
            }
            Command::Fold if self.table_mut().is_some_and(|t| t.fold(world)) => {}
            Command::FoldAll if self.table_mut().is_some_and(|t| t.fold_all(world, false)) => {}
            Command::UnfoldAll if self.table_mut().is_some_and(|t| t.fold_all(world, true)) => {}
            Command::Unmask | Command::Fold | Command::FoldAll | Command::UnfoldAll => return self.say("open an object first (Enter)"),
            Command::LogFollow
            | Command::LogWrap
            | Command::LogTimestamps
            | Command::LogPrevious
            | Command::LogContainer(_)
            | Command::LogFilter(_)
            | Command::LogSave(_) => {
                return self.say("open logs first (l)");
            }
            Command::EditPreview | Command::EditOutside => return self.say("e opens the editor"),
            Command::Accept | Command::Complete => {}
        }
        Vec::new()
    }

    /// Opens something over what is shown; the same again is not put over itself.
    fn open_over(&mut self, place: Place) {
        if std::mem::discriminant(&self.place) == std::mem::discriminant(&place) {
            self.place = place;
        } else {
            let under = std::mem::replace(&mut self.place, place);
            self.under.push(under);
        }
    }

    pub(super) fn on_table(&mut self, f: impl FnOnce(&mut super::TablePane)) {
        if let Some(t) = self.table_mut() {
            f(t);
        }
    }

    fn on_table_with(&mut self, world: &World, f: impl FnOnce(&mut super::TablePane, &World)) {
        if let Some(t) = self.table_mut() {
            f(t, world);
        }
    }

    fn on_cluster(&mut self, world: &World, name: &str, effect: impl FnOnce(crate::model::ClusterId) -> Effect) -> Vec<Effect> {
        match world.store.cluster_named(name) {
            Some(c) => vec![effect(c.id)],
            None => {
                let hint = crate::diag::nearest(name, world.store.clusters().iter().map(|c| &*c.info.name))
                    .map(|n| format!("; did you mean {n}?"))
                    .unwrap_or_default();
                self.notice = Some(Notice::error(format!("no cluster {name}{hint}")));
                Vec::new()
            }
        }
    }

    /// Moves the cursor of what has the focus.
    pub(super) fn step(&mut self, world: &World, by: isize) {
        match &mut self.overlay {
            Some(Overlay::Choose(c) | Overlay::Search(_, c)) => return c.step(by),
            Some(Overlay::Form(form)) => return form.step(by),
            Some(Overlay::Columns { selected }) => {
                *selected = selected.saturating_add_signed(by);
                return self.clamp_columns();
            }
            _ => {}
        }
        match &mut self.place {
            Place::Help { scroll } => *scroll = scroll.saturating_add_signed(by),
            Place::Detail(d) => d.scroll(by),
            Place::Logs(l) => l.scroll(by),
            Place::Preview(_) => {}
            Place::Editor(e) => e.scroll(by),
            Place::Jobs(p) => p.step(world, by),
            Place::Audit(p) => p.step(by),
            Place::Cockpit if self.cockpit.focus == Focus::Burning => {
                let last = self.cockpit.lines.len().saturating_sub(1);
                self.cockpit.cursor = self.cockpit.cursor.saturating_add_signed(by).min(last);
            }
            _ => self.on_table_with(world, |t, world| t.step(world, by)),
        }
    }

    /// The next row with a problem, or the next match of the search.
    fn next_problem(&mut self, world: &World, by: isize) {
        let Some(t) = self.table_mut() else { return self.step(world, by) };
        let n = t.len();
        let next = (1..=n).map(|i| (t.cursor + if by > 0 { i } else { n - i }) % n.max(1)).find(|at| {
            let row = t.key(*at).and_then(|key| crate::table::Row::of(world.store, key));
            row.is_some_and(|row| crate::table::bad(&world.ctx(), row).fault()) || t.head_at(*at).is_some_and(|g| g.worst.fault())
        });
        match next {
            Some(at) => t.move_to(world, at),
            None => self.notice = Some(Notice::info("no problem in this table")),
        }
    }

    fn show_pane(&mut self, world: &World, pane: PaneName, filter: Option<&str>) -> Vec<Effect> {
        if pane == PaneName::Cockpit {
            self.remember();
            self.leave(Place::Cockpit);
            self.refresh_place(world);
            return Vec::new();
        }
        let Ok(subject) = Subject::parse(pane.name()) else { return self.say(format!("no pane {}", pane.name())) };
        match filter {
            Some(filter) => self.show_table(world, subject, filter),
            None => self.go_table(world, subject),
        }
        Vec::new()
    }

    pub(super) fn scope_to(&mut self, world: &World, cluster: Option<&str>, namespace: Option<&str>) -> Vec<Effect> {
        let scope = match (cluster, namespace) {
            (Some(c), _) => Scope::cluster(world.store, c),
            (_, Some(ns)) => self.scope.with_namespace(world.store, ns),
            _ => Ok(Scope::default()),
        };
        match scope {
            Ok(scope) => {
                self.set_scope(world, scope);
                let text = self.scope.describe();
                self.say(text)
            }
            Err(e) => {
                self.notice = Some(Notice::error(e));
                Vec::new()
            }
        }
    }

    /// Where one is, for going back. Logs, help and the like lie over where one is.
    fn spot(&self) -> Spot {
        let places = std::iter::once(&self.place).chain(self.under.iter().rev());
        match places.into_iter().find(|place| matches!(place, Place::Table(_) | Place::Detail(_))).unwrap_or(&self.place) {
            Place::Table(subject) => {
                let pane = self.panes.get(subject);
                Spot::Table {
                    subject: *subject,
                    filter: pane.map(|p| p.filter_text.clone()).unwrap_or_default(),
                    at: pane.and_then(super::TablePane::current),
                }
            }
            Place::Detail(d) => Spot::Detail(d.object.clone()),
            _ => Spot::Cockpit,
        }
    }

    pub(super) fn remember(&mut self) {
        let spot = self.spot();
        if self.back.last() != Some(&spot) {
            self.back.push(spot);
            if self.back.len() > 100 {
                self.back.remove(0);
            }
        }
        self.forward.clear();
    }

    /// Leaves everything that is open and goes there.
    pub(super) fn leave(&mut self, place: Place) {
        self.under.clear();
        self.overlay = None;
        self.place = place;
    }

    fn history(&mut self, world: &World, back: bool) -> Vec<Effect> {
        if back && self.lies_over() {
            return self.go_back(world);
        }
        let here = self.spot();
        let from = if back { &mut self.back } else { &mut self.forward };
        let Some(spot) = from.pop() else { return self.say(if back { "nothing before this" } else { "nothing after this" }) };
        if back { &mut self.forward } else { &mut self.back }.push(here);
        let (saved_back, saved_forward) = (std::mem::take(&mut self.back), std::mem::take(&mut self.forward));
        let effects = match spot {
            Spot::Cockpit => {
                self.leave(Place::Cockpit);
                self.refresh_place(world);
                Vec::new()
            }
            Spot::Table { subject, filter, at } => {
                self.show_table(world, subject, &filter);
                if let (Some(pane), Some(at)) = (self.panes.get_mut(&subject), at) {
                    pane.select(world, at);
                }
                Vec::new()
            }
            Spot::Detail(object) => self.open_object(world, Some(object)),
        };
        (self.back, self.forward) = (saved_back, saved_forward);
        effects
    }

    /// There and, the next time, here again.
    fn last_view(&mut self, world: &World) -> Vec<Effect> {
        let goes = !self.lies_over() && !self.back.is_empty();
        let effects = self.history(world, true);
        if goes {
            self.back.extend(self.forward.pop());
        }
        effects
    }

    /// Logs, help and the like: what lies over a view is none itself.
    fn lies_over(&self) -> bool {
        !matches!(self.place, Place::Cockpit | Place::Table(_) | Place::Detail(_))
    }

    fn go_back(&mut self, world: &World) -> Vec<Effect> {
        self.hints.clear();
        match &mut self.place {
            Place::Jobs(JobsPane { open, .. }) | Place::Audit(AuditPane { open, .. }) if *open => {
                *open = false;
                return Vec::new();
            }
            Place::Audit(pane) if !pane.filter.is_empty() => {
                pane.filter("");
                return Vec::new();
            }
            _ => {}
        }
        if let Some(under) = self.under.pop() {
            self.place = under;
            self.refresh_place(world);
            // It was not told of changes while it lay below.
            return if let Place::Detail(d) = &mut self.place { d.refetch(world) } else { Vec::new() };
        }
        match self.place {
            Place::Cockpit => match self.table_mut().filter(|tile| !tile.filter_text.is_empty()) {
                Some(tile) => {
                    let _ = tile.set_filter(world, "");
                    Vec::new()
                }
                None => self.say("this is the cockpit; ctrl-c twice quits"),
            },
            Place::Table(subject) => {
                let pane = self.pane(subject);
                if !pane.filter_text.is_empty() {
                    let _ = pane.set_filter(world, "");
                    return Vec::new();
                }
                if pane.view.faults_only() {
                    pane.set_faults_only(world, false);
                    return Vec::new();
                }
                self.remember();
                self.leave(Place::Cockpit);
                self.refresh_place(world);
                Vec::new()
            }
            _ => {
                self.leave(Place::Cockpit);
                self.refresh_place(world);
                Vec::new()
            }
        }
    }

    /// Enter: the object of the line or row; a cluster shows its problems' pane.
    fn open(&mut self, world: &World) -> Vec<Effect> {
        if self.highlighted_group().is_some() {
            if let Some(t) = self.table_mut() {
                t.fold(world);
            }
            return Vec::new();
        }
        if let Some(RowKey::Cluster(id)) = self.table().and_then(super::TablePane::current)
            && let Some(c) = world.store.cluster(id)
        {
            let name = c.info.name.to_string();
            let effects = self.scope_to(world, Some(&name), None);
            self.go_table(world, Subject::Pods);
            return effects;
        }
        if let Place::Cockpit = self.place
            && self.cockpit.focus == Focus::Burning
        {
            let Some(line) = self.cockpit.lines.get(self.cockpit.cursor) else { return self.say("nothing burns") };
            if line.subject.is_none() {
                let id = line.cluster;
                self.go_table(world, Subject::Clusters);
                if let Some(p) = self.panes.get_mut(&Subject::Clusters) {
                    p.select(world, RowKey::Cluster(id));
                }
                return Vec::new();
            }
        }
        self.open_object(world, None)
    }

    /// Opens an object, the highlighted one if none is named. An event opens what it is about.
    pub(super) fn open_object(&mut self, world: &World, object: Option<ObjectRef>) -> Vec<Effect> {
        let Some(mut reference) = object.or_else(|| self.highlighted(world)) else { return self.say(self.no_object(world)) };
        let Some(object) = world.store.resolve(&reference) else { return self.say(format!("{} is gone", reference.name)) };
        if let Object::Event(e) = object
            && let Some(about) =
                e.about.known_kind().and_then(|k| world.store.cluster(reference.cluster)?.named(k, &e.about.namespace, &e.about.name))
        {
            reference = about.reference(reference.cluster);
        }
        if matches!(&self.place, Place::Detail(d) if d.object == reference) {
            return Vec::new();
        }
        self.remember();
        let id = self.request();
        let (detail, effects) = Detail::open(world, reference, id);
        let under = std::mem::replace(&mut self.place, Place::Detail(Box::new(detail)));
        self.under.push(under);
        effects
    }

    fn open_logs(&mut self, world: &World, previous: bool) -> Vec<Effect> {
        let Some(reference) = self.highlighted(world) else { return self.say(self.no_object(world)) };
        if let Some(effects) = self.logs_of_backup(world, &reference) {
            return effects;
        }
        let (Some(cluster), Some(object)) = (world.store.cluster(reference.cluster), world.store.resolve(&reference)) else {
            return self.say(format!("{} is gone", reference.name));
        };
        let object = match object {
            Object::Event(e) => e.about.known_kind().and_then(|k| cluster.named(k, &e.about.namespace, &e.about.name)).unwrap_or(object),
            o => o,
        };
        let mut pods: Vec<ObjectRef> = super::jump::pods_of(cluster, object).into_iter().map(|p| p.reference(cluster.id)).collect();
        if reference.kind == Kind::Node {
            return self.say("logs are of pods and workloads; g p shows the node's pods");
        }
        if let Some(t) = self.table()
            && !t.marks.is_empty()
            && t.subject == Subject::Pods
        {
            pods = t.objects(world);
        }
        if pods.is_empty() {
            return self.say(format!("{} has no pods", reference.name));
        }
        let id = self.request();
        let (logs, effects) = Logs::open(world, reference, pods, previous, id);
        let under = std::mem::replace(&mut self.place, Place::Logs(Box::new(logs)));
        self.under.push(under);
        effects
    }

    fn filter(&mut self, world: &World, terms: Option<&str>) -> Vec<Effect> {
        if matches!(self.place, Place::Cockpit) && self.cockpit.table().is_none() {
            self.go_table(world, Subject::Pods);
        }
        if let Place::Help { .. } = self.place {
            return self.say("the keys are not searched: : finds every command by its words");
        }
        let Some(t) = self.table() else { return self.say("no table to filter here") };
        let (subject, text) = (t.subject, t.filter_text.clone());
        match terms {
            None => {
                self.open_prompt(Purpose::Filter(subject), &text);
                Vec::new()
            }
            Some(terms) => match self.table_mut().map(|t| t.set_filter(world, terms)) {
                Some(Err(e)) => {
                    self.notice = Some(Notice::error(e.to_string()));
                    Vec::new()
                }
                _ => Vec::new(),
            },
        }
    }

    /// A tile fills the screen; a full pane goes back to the cockpit.
    fn zoom(&mut self, world: &World) -> Vec<Effect> {
        match self.place {
            Place::Cockpit => {
                let (subject, key) = match self.cockpit.table() {
                    Some(t) => (t.subject, t.current()),
                    None => return self.open(world),
                };
                self.go_table(world, subject);
                if let (Some(key), Some(pane)) = (key, self.panes.get_mut(&subject)) {
                    pane.select(world, key);
                }
            }
            Place::Table(_) => {
                self.remember();
                self.leave(Place::Cockpit);
                self.refresh_place(world);
            }
            _ => {}
        }
        Vec::new()
    }

    fn sort(&mut self, world: &World, column: Option<&str>) -> Vec<Effect> {
        let Some(t) = self.table_mut() else { return self.say("no table here") };
        match column {
            Some("default" | "worst") => t.set_sort(world, None),
            Some(name) => match t.subject.column(name) {
                Ok(column) => t.sort_by(world, column),
                Err(e) => self.notice = Some(Notice::error(e.to_string())),
            },
            None => {
                let mut items = vec![Item::new("worst", "The worst on top", Choice::Run(Command::Sort(Some("worst".into()))))];
                items.extend(t.subject.columns().iter().map(|c| Item::new(c.id, c.doc, Choice::Run(Command::Sort(Some(c.id.into()))))));
                self.overlay = Some(Overlay::Choose(Chooser::new("Sort by", items)));
            }
        }
        Vec::new()
    }

    fn clamp_columns(&mut self) {
        let last = self.table().map_or(0, |t| t.subject.columns().len().saturating_sub(1));
        if let Some(Overlay::Columns { selected }) = &mut self.overlay {
            *selected = (*selected).min(last);
        }
    }
}
