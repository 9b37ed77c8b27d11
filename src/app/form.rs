//! Parameters as a form: a verb's, one line each, made from the catalogue; a runbook's, from its own. Enter goes to the preview, never
//! further.

use super::{App, Effect, Overlay, World};
use crate::action::runbook::Params;
use crate::action::{Request, Wanted};
use crate::config::{Glob, Runbook};
use crate::model::verb::{Param, ParamKind, quoted};
use crate::model::{Args, ClusterId, Object, Target, Uid, VerbId};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tui_textarea::{CursorMove, TextArea};

/// What the parameters are for.
pub enum Of {
    Verb(VerbId, Vec<Target>),
    Run(Box<Runbook>),
}

/// A cluster: its name, and why it is read-only, if it is.
pub(super) type Place = (String, ClusterId, Option<String>);

/// One line of the form.
pub struct Field {
    pub name: String,
    /// What stands where nothing is typed: the value's name, or what is taken then.
    pub value: String,
    pub kind: ParamKind,
    pub required: bool,
    pub doc: String,
    proposed: bool,
    area: TextArea<'static>,
}

/// Parameters, being filled in.
pub struct Form {
    pub of: Of,
    pub fields: Vec<Field>,
    /// The clusters that a runbook can be run in, by name; why one is read-only.
    clusters: Vec<Place>,
    /// The field that is typed into.
    pub at: usize,
    /// What is wrong: the field and why. None of a field: something is missing.
    pub error: Option<(Option<usize>, String)>,
}

fn area(text: &str) -> TextArea<'static> {
    let mut area = TextArea::new(vec![text.to_owned()]);
    area.move_cursor(CursorMove::End);
    area
}

/// The fields of a runbook's form that are none of its parameters.
const CLUSTER: &str = "cluster";
const NAMESPACE: &str = "namespace";

impl Field {
    fn of(param: &Param, text: &str) -> Self {
        Self { kind: param.kind, ..Self::named(param.name, param.value, param.required, param.doc, text) }
    }

    fn named(name: &str, value: &str, required: bool, doc: &str, text: &str) -> Self {
        let (name, value, doc) = (name.to_owned(), value.to_owned(), doc.to_owned());
        Self { name, value, kind: ParamKind::Text, required, doc, proposed: false, area: area(text) }
    }

    pub fn text(&self) -> &str {
        self.area.lines().first().map_or("", String::as_str)
    }

    /// Whether it is a number that was only proposed: the first key of a text takes its place.
    pub fn proposed(&self) -> bool {
        self.proposed && !self.text().is_empty()
    }

    /// The cursor, in characters from the start.
    pub fn cursor(&self) -> usize {
        self.area.cursor().1
    }

    /// The values that the text says.
    fn values(&self) -> Vec<String> {
        match (self.text().trim(), self.kind) {
            ("", _) => Vec::new(),
            (text, kind) if kind.several() => crate::model::verb::split(text),
            (text, _) => vec![text.to_owned()],
        }
    }

    /// The words that Space goes through; nothing is one of them.
    fn words(&self) -> Option<Vec<&'static str>> {
        match self.kind {
            ParamKind::Flag => Some(vec!["", "true"]),
            ParamKind::OneOf(words) => Some(std::iter::once("").chain(words.iter().copied()).collect()),
            _ => None,
        }
    }
}

impl Form {
    /// The form of a verb with what is known already. What is proposed stands where nothing is.
    pub fn new(verb: VerbId, targets: Vec<Target>, args: &Args, proposals: &[(&str, String)]) -> Self {
        let field = |param: &'static Param| {
            let given: Vec<String> = args.all(param.name).map(|v| if param.kind.several() { quoted(v) } else { v.to_owned() }).collect();
            let proposed = || proposals.iter().find(|(name, _)| *name == param.name).map(|(_, value)| value.clone()).unwrap_or_default();
            let mut field = Field::of(param, &if args.is_empty() { proposed() } else { given.join(" ") });
            field.proposed = args.is_empty() && matches!(param.kind, ParamKind::Replicas | ParamKind::Count);
            field
        };
        // A file is read by the command line.
        let fields: Vec<Field> = verb.info().params.iter().filter(|p| p.kind != ParamKind::File).map(field).collect();
        let mut form = Self { of: Of::Verb(verb, targets), fields, clusters: Vec::new(), at: 0, error: None };
        form.look();
        form
    }

    /// The form of a runbook: where it is run, and its parameters with what was given or is proposed for them, else what they are
    /// when nothing is said.
    pub(super) fn run(book: Runbook, clusters: Vec<Place>, given: &dyn Fn(&str) -> Option<String>) -> Self {
        let text = |name: &str| given(name).unwrap_or_default();
        let mut fields =
            vec![Field::named(CLUSTER, "NAME, NAME", true, "where it is run: names, with commas between; globs allowed", &text(CLUSTER))];
        for (name, doc) in &book.params {
            let default = book.defaults.get(name);
            let value = given(name).or_else(|| default.cloned()).unwrap_or_default();
            fields.push(Field::named(name, default.map_or("", String::as_str), default.is_none(), doc, &value));
        }
        if book.wants_namespace() && !book.params.contains_key(NAMESPACE) {
            fields.push(Field::named(NAMESPACE, "default", false, "for steps that name none", &text(NAMESPACE)));
        }
        let at = fields.iter().position(|f| f.required && f.text().is_empty()).unwrap_or(0);
        let mut form = Self { of: Of::Run(Box::new(book)), fields, clusters, at, error: None };
        form.look();
        form
    }

    /// What it asks for as it stands.
    pub(super) fn wanted(&self) -> Result<Wanted, (Option<usize>, String)> {
        match &self.of {
            Of::Verb(verb, targets) => {
                let (verb, targets, args) = (*verb, targets.clone(), self.args(*verb)?);
                Ok(Wanted::Act(Request { verb, targets, args, documents: Vec::new() }))
            }
            Of::Run(book) => Ok(Wanted::Run(Box::new(((**book).clone(), self.params(book)?)))),
        }
    }

    /// A runbook's parameters as they stand.
    fn params(&self, book: &Runbook) -> Result<Params, (Option<usize>, String)> {
        let mut params = Params::default();
        for (n, field) in self.fields.iter().enumerate() {
            let text = field.text().trim();
            match field.name.as_str() {
                _ if text.is_empty() && field.required => return Err((None, format!("runbook {} needs {}", book.name, field.name))),
                _ if text.is_empty() => {}
                CLUSTER if !book.params.contains_key(CLUSTER) || n == 0 => {
                    params.clusters = self.clusters(text).map_err(|e| (Some(n), e))?
                }
                name if book.params.contains_key(name) => drop(params.values.insert(name.to_owned(), text.to_owned())),
                _ => params.namespace = Some(text.to_owned()),
            }
        }
        Ok(params)
    }

    /// The clusters that are meant.
    fn clusters(&self, text: &str) -> Result<Vec<ClusterId>, String> {
        let mut all = Vec::new();
        for word in text.split(',').map(str::trim).filter(|w| !w.is_empty()) {
            let glob = Glob::new(word)?;
            let before = all.len();
            for (name, id, read_only) in self.clusters.iter().filter(|(name, ..)| glob.matches(name)) {
                if let Some(why) = read_only {
                    return Err(format!("{name} is read-only: {why}"));
                }
                all.push(*id);
            }
            if all.len() == before {
                return Err(crate::diag::unknown("cluster", word, self.clusters.iter().map(|(name, ..)| name.as_str())));
            }
        }
        all.sort();
        all.dedup();
        if all.is_empty() { Err("no cluster is named".to_owned()) } else { Ok(all) }
    }

    /// The arguments as they stand.
    fn args(&self, verb: VerbId) -> Result<Args, (Option<usize>, String)> {
        let (info, mut args) = (verb.info(), Args::default());
        for (n, field) in self.fields.iter().enumerate() {
            for value in field.values() {
                args.set(info, &field.name, &value).map_err(|e| (Some(n), e.message))?;
            }
        }
        args.complete(info).map_err(|e| (None, e.message))?;
        Ok(args)
    }

    fn look(&mut self) {
        self.error = self.wanted().err();
    }

    pub(super) fn step(&mut self, by: isize) {
        let n = isize::try_from(self.fields.len()).unwrap_or(1).max(1);
        let at = isize::try_from(self.at).unwrap_or(0) + by.clamp(-1, 1);
        self.at = at.rem_euclid(n).unsigned_abs();
    }

    /// A key that is text. The first one stands for a number that was only proposed. Space goes through the words where there are no others.
    pub(super) fn key(&mut self, key: KeyEvent) {
        let Some(field) = self.fields.get_mut(self.at) else { return };
        let text = matches!(key.code, KeyCode::Char(_)) && key.modifiers.difference(KeyModifiers::SHIFT).is_empty();
        if std::mem::take(&mut field.proposed) && text {
            field.area = area("");
        }
        match (key.code, field.words()) {
            (KeyCode::Char(' '), Some(words)) => {
                let here = words.iter().position(|w| *w == field.text().trim()).map_or(0, |n| n + 1);
                field.area = area(words[here % words.len()]);
            }
            // As in a shell, where the text area would undo.
            (KeyCode::Char('u'), _) if key.modifiers == KeyModifiers::CONTROL => drop(field.area.delete_line_by_head()),
            (KeyCode::Char(_), Some(_)) if field.kind == ParamKind::Flag => {}
            _ => drop(field.area.input(key)),
        }
        self.look();
    }

    pub(super) fn paste(&mut self, text: &str) {
        if let Some(field) = self.fields.get_mut(self.at) {
            if std::mem::take(&mut field.proposed) {
                field.area = area("");
            }
            field.area.insert_str(text.replace(['\n', '\r'], " ").trim());
        }
        self.look();
    }
}

impl App {
    /// Opens the form of a verb.
    pub(super) fn open_form(&mut self, world: &World, verb: VerbId, targets: Vec<Target>, args: &Args) {
        let proposals = propose(world, verb, &targets);
        self.overlay = Some(Overlay::Form(Box::new(Form::new(verb, targets, args, &proposals))));
    }

    /// The form was filled in. Where something is wrong it stays, on the field that is.
    pub(super) fn fill_in(&mut self, mut form: Box<Form>) -> Vec<Effect> {
        match form.wanted() {
            Ok(wanted) => self.wish(wanted),
            Err((field, why)) => {
                form.at = field.or_else(|| form.fields.iter().position(|f| f.required && f.values().is_empty())).unwrap_or(form.at);
                form.error = Some((field, why));
                self.overlay = Some(Overlay::Form(form));
                Vec::new()
            }
        }
    }
}

/// Verbs that say nothing without an argument, though none of theirs is a must.
pub(super) fn silent(verb: VerbId) -> bool {
    matches!(verb, VerbId::HpaSet | VerbId::Resize)
}

/// What is proposed where arguments are missing.
pub(super) fn propose(world: &World, verb: VerbId, targets: &[Target]) -> Vec<(&'static str, String)> {
    let [one] = targets else { return Vec::new() };
    let row = one.resource.known().zip(one.uid.as_deref()).and_then(|(kind, uid)| world.store.find(one.cluster, kind, Uid::parse(uid)));
    let Some((_, object)) = row else { return Vec::new() };
    let containers = match object {
        Object::Workload(w) => &*w.shape.containers,
        Object::Pod(p) => &*p.shape.containers,
        _ => &[],
    };
    match (verb, object) {
        (VerbId::Scale, Object::Workload(w)) => w.desired.map(|n| ("replicas", n.to_string())).into_iter().collect(),
        (VerbId::HpaSet, Object::Hpa(h)) => {
            vec![("min", h.min.to_string()), ("max", if h.at_max() { h.max + h.max / 2 + 1 } else { h.max }.to_string())]
        }
        // Those that stay as they are change nothing.
        (VerbId::SetImage, _) => {
            let all: Vec<String> = containers.iter().map(|c| format!("{}={}", c.name, c.image)).collect();
            if all.is_empty() { Vec::new() } else { vec![("image", all.join(" "))] }
        }
        (VerbId::Resize, _) => containers.first().map(|c| ("container", c.name.to_string())).into_iter().collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ClusterId, Kind};
    use crossterm::event::KeyModifiers;

    fn form(verb: VerbId, kind: Kind, text: &str) -> Form {
        let target = Target { cluster: ClusterId(0), resource: kind.into(), namespace: "pay".into(), name: "x".into(), uid: None };
        let args = if text.is_empty() { Args::default() } else { Args::parse(verb.info(), text).unwrap() };
        Form::new(verb, vec![target], &args, &[("replicas", "3".into()), ("min", "2".into())])
    }

    fn args(form: &Form) -> String {
        let Of::Verb(verb, _) = form.of else { panic!("a verb's") };
        form.args(verb).unwrap().to_string()
    }

    #[test]
    fn ctrl_u_deletes_to_the_start_as_in_a_shell() {
        let mut f = form(VerbId::Scale, Kind::Deployment, "");
        press(&mut f, "50");
        assert_eq!(f.fields[0].text(), "50", "not 350: what was proposed makes way");
        f.key(KeyEvent::new(KeyCode::Left, KeyModifiers::NONE));
        f.key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL));
        assert_eq!((f.fields[0].text(), f.fields[0].cursor()), ("0", 0));
        f.step(1);
        press(&mut f, "7");
        f.key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL));
        assert_eq!(f.fields[1].text(), "", "what another field holds stays");
    }

    fn press(form: &mut Form, text: &str) {
        text.chars().for_each(|c| form.key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)));
    }

    #[test]
    fn a_form_has_a_line_for_each_parameter_and_says_what_is_wrong_while_typing() {
        let mut f = form(VerbId::Scale, Kind::Deployment, "");
        assert_eq!((f.fields[0].text(), &f.error), ("3", &None));
        assert!(f.fields[0].proposed());
        f.key(KeyEvent::new(KeyCode::Right, KeyModifiers::NONE));
        press(&mut f, "x");
        assert_eq!(f.error, Some((Some(0), "replicas: `3x` is not a number of replicas: write 5, +2, -1 or 150%".into())));
        f.key(KeyEvent::new(KeyCode::Backspace, KeyModifiers::NONE));
        f.step(1);
        press(&mut f, "4");
        assert_eq!(args(&f), "current-replicas=4 replicas=3");
        f.step(1);
        assert_eq!(f.at, 0, "round the end");
    }

    #[test]
    fn space_goes_through_the_words_and_every_verb_has_a_form() {
        let mut f = form(VerbId::Drain, Kind::Node, "");
        press(&mut f, " x");
        f.step(1);
        f.step(1);
        press(&mut f, "  ");
        assert_eq!(args(&f), "delete-emptydir-data=true ignore-daemonsets=false");
        press(&mut f, " ");
        assert_eq!(args(&f), "delete-emptydir-data=true");
        for verb in crate::model::VERBS.iter().filter(|v| !v.params.is_empty()) {
            let f = form(verb.id, Kind::Pod, "");
            assert_eq!(f.fields.len(), verb.params.iter().filter(|p| p.kind != ParamKind::File).count(), "{}", verb.name);
        }
    }

    #[test]
    fn what_was_given_comes_back_as_it_was() {
        for text in ["FIRST=1 SECOND=\"two words\" container=app", "A=b"] {
            let args = Args::parse(VerbId::SetEnv.info(), text).unwrap();
            assert_eq!(form(VerbId::SetEnv, Kind::Deployment, text).args(VerbId::SetEnv).unwrap(), args);
        }
    }
}
