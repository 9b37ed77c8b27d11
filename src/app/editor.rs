//! The built-in editor of `edit`: an object's YAML as text, and what of it goes to the preview.
//!
//! Secret values are masked here as everywhere else; a mask that was left alone stands for the value under it.

use super::{App, Effect, Notice, Place, RequestId, World};
use crate::action::{Request, Wanted};
use crate::command::Command;
use crate::doc::{Doc, Mask, redact};
use crate::model::{Args, ObjectRef, Target, Uid, VerbId};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::Value;
use std::collections::BTreeSet;
use tui_textarea::{CursorMove, TextArea};

/// How far the object is.
pub enum Copy {
    Coming,
    Failed(String),
    Here(Box<Pages>),
}

/// The text, and what it was made from.
pub struct Pages {
    area: TextArea<'static>,
    /// As it came, and as it was shown.
    raw: Value,
    shown: Value,
    /// The text as it was before anybody typed.
    before: String,
    pub masked: usize,
}

/// An object that is being edited.
pub struct Editor {
    pub object: ObjectRef,
    pub request: RequestId,
    pub copy: Copy,
    pub unmasked: bool,
    /// Why the text cannot be taken as it is.
    pub error: Option<String>,
    /// First line that was drawn.
    pub offset: usize,
    /// Asked once to throw the changes away.
    leaving: bool,
}

impl Pages {
    fn of(raw: Value, unmasked: bool) -> Self {
        let mut shown = raw.clone();
        let masked = if unmasked { 0 } else { redact(&mut shown, Mask::Ascii) };
        let before = Doc::new(&shown).text();
        Self { area: area(&before), raw, shown, before, masked }
    }

    /// The lines.
    pub fn lines(&self) -> &[String] {
        self.area.lines()
    }

    /// Line and character of the cursor, from 0.
    pub fn cursor(&self) -> (usize, usize) {
        let at = self.area.cursor();
        (at.0, at.1)
    }

    fn text(&self) -> String {
        self.area.lines().join("\n") + "\n"
    }

    pub fn changed(&self) -> bool {
        self.text().trim_end() != self.before.trim_end()
    }

    /// The object that the text says, with the values that the masks stand for.
    fn object(&self) -> Result<Value, String> {
        let mut edited: Value = serde_saphyr::from_str(&self.text()).map_err(|e| format!("no YAML: {}", mistake(&e.to_string())))?;
        if !edited.is_object() {
            return Err("this is no object".to_owned());
        }
        let mut masks = BTreeSet::new();
        masks_of(&self.shown, &self.raw, &mut masks);
        unmask(&mut edited, &self.shown, &self.raw);
        match masked_still(&edited, &masks) {
            Some(at) => Err(format!("{at} is a mask that was moved or copied: show the values first")),
            None => Ok(edited),
        }
    }
}

/// The parser's words without what it quotes of the text.
fn mistake(text: &str) -> &str {
    let line = text.lines().next().unwrap_or(text);
    line.strip_prefix("error: ").unwrap_or(line)
}

/// The line and column that a mistake names, from 0.
fn place(why: &str) -> Option<(u16, u16)> {
    let number = |after: &str| {
        let rest = why.split_once(after)?.1;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u16>().ok()?.checked_sub(1)
    };
    Some((number("line ")?, number("column ").unwrap_or(0)))
}

fn area(text: &str) -> TextArea<'static> {
    let mut area = TextArea::new(text.lines().map(str::to_owned).collect());
    area.set_tab_length(2);
    area
}

/// The texts that stand for hidden values.
fn masks_of(shown: &Value, raw: &Value, masks: &mut BTreeSet<String>) {
    match (shown, raw) {
        (Value::Object(s), Value::Object(r)) => s.iter().filter_map(|(k, v)| Some((v, r.get(k)?))).for_each(|(s, r)| masks_of(s, r, masks)),
        (Value::Array(s), Value::Array(r)) => s.iter().zip(r).for_each(|(s, r)| masks_of(s, r, masks)),
        (Value::String(text), r) if shown != r => drop(masks.insert(text.clone())),
        _ => {}
    }
}

/// The item of a list that an edited item was: by its name where it has one, else by its place.
fn was<'a>(list: &'a [Value], edited: &Value, at: usize) -> Option<(usize, &'a Value)> {
    match edited["name"].as_str() {
        Some(name) => list.iter().enumerate().find(|(_, v)| v["name"] == name),
        None => list.get(at).map(|v| (at, v)),
    }
}

/// Puts the hidden values back where their masks were left alone.
fn unmask(edited: &mut Value, shown: &Value, raw: &Value) {
    match (edited, shown, raw) {
        (Value::Object(e), Value::Object(s), Value::Object(r)) => {
            for (key, value) in e {
                if let (Some(s), Some(r)) = (s.get(key), r.get(key)) {
                    unmask(value, s, r);
                }
            }
        }
        (Value::Array(e), Value::Array(s), Value::Array(r)) => {
            for (at, value) in e.iter_mut().enumerate() {
                if let Some((n, s)) = was(s, value, at)
                    && let Some(r) = r.get(n)
                {
                    unmask(value, s, r);
                }
            }
        }
        (e, s, r) if *e == *s && s != r => e.clone_from(r),
        _ => {}
    }
}

/// Where a mask is left that stands for nothing.
fn masked_still(value: &Value, masks: &BTreeSet<String>) -> Option<String> {
    match value {
        Value::Object(map) => map.iter().find_map(|(k, v)| masked_still(v, masks).map(|at| format!("{k}.{at}"))),
        Value::Array(items) => items.iter().enumerate().find_map(|(n, v)| masked_still(v, masks).map(|at| format!("{n}.{at}"))),
        Value::String(text) if masks.contains(text) => Some(text.clone()),
        _ => None,
    }
}

impl Editor {
    /// The text, when it is here.
    pub fn pages(&self) -> Option<&Pages> {
        match &self.copy {
            Copy::Here(pages) => Some(pages),
            _ => None,
        }
    }

    fn pages_mut(&mut self) -> Option<&mut Pages> {
        match &mut self.copy {
            Copy::Here(pages) => Some(pages),
            _ => None,
        }
    }

    fn changed(&self) -> bool {
        self.pages().is_some_and(Pages::changed)
    }

    /// The object has come, or why not.
    pub(super) fn fetched(&mut self, result: &Result<Value, String>) {
        if self.pages().is_some() {
            return;
        }
        self.copy = match result {
            Err(why) => Copy::Failed(why.clone()),
            Ok(value) if value["metadata"]["uid"].as_str().is_some_and(|uid| Uid::parse(uid) != self.object.uid) => {
                Copy::Failed("another object has this name now".to_owned())
            }
            Ok(value) => {
                let mut raw = value.clone();
                if let Some(meta) = raw["metadata"].as_object_mut() {
                    meta.shift_remove("managedFields");
                }
                Copy::Here(Box::new(Pages::of(raw, self.unmasked)))
            }
        };
    }

    /// A key that is text, or moves in it.
    pub(super) fn key(&mut self, key: KeyEvent) {
        self.leaving = false;
        let Some(pages) = self.pages_mut() else { return };
        // A new line begins where the one before did.
        if key.code == KeyCode::Enter && key.modifiers == KeyModifiers::NONE {
            let (row, column) = pages.cursor();
            let indent: String = pages.lines().get(row).map_or("", String::as_str).chars().take(column).take_while(|c| *c == ' ').collect();
            pages.area.insert_newline();
            pages.area.insert_str(indent);
        } else {
            pages.area.input(key);
        }
        self.error = None;
    }

    pub(super) fn paste(&mut self, text: &str) {
        if let Some(pages) = self.pages_mut() {
            pages.area.insert_str(text.replace("\r\n", "\n").replace('\r', "\n"));
        }
    }

    /// Moves the cursor by lines.
    pub(super) fn scroll(&mut self, by: isize) {
        if let Some(pages) = self.pages_mut() {
            let (row, column) = pages.cursor();
            let row = row.saturating_add_signed(by).min(pages.lines().len().saturating_sub(1));
            let at = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
            pages.area.move_cursor(CursorMove::Jump(at(row), at(column)));
        }
    }

    /// Another program's text.
    pub(super) fn replaced(&mut self, text: &str) {
        if let Some(pages) = self.pages_mut() {
            let (row, _) = pages.cursor();
            pages.area = area(text);
            self.error = None;
            self.scroll(isize::try_from(row).unwrap_or(0));
        }
    }
}

impl App {
    /// Opens the editor on an object. One that cannot be written to is not edited.
    pub(super) fn edit(&mut self, world: &World, objects: &[ObjectRef]) -> Vec<Effect> {
        let [object] = objects else { return self.say("one object is edited at a time") };
        if let Some(c) = world.store.cluster(object.cluster)
            && let Some(why) = &c.info.read_only
        {
            return self.say(format!("{} is read-only: {why}", c.info.name));
        }
        let request = self.request();
        let editor =
            Editor { object: object.clone(), request, copy: Copy::Coming, unmasked: false, error: None, offset: 0, leaving: false };
        let under = std::mem::replace(&mut self.place, Place::Editor(Box::new(editor)));
        self.under.push(under);
        vec![Effect::Fetch(request, object.clone())]
    }

    /// The editor of that request, open or under its preview.
    pub(super) fn editor_mut(&mut self, id: RequestId) -> Option<&mut Editor> {
        self.under.iter_mut().chain([&mut self.place]).find_map(|place| match place {
            Place::Editor(e) if e.request == id => Some(&mut **e),
            _ => None,
        })
    }

    /// A command while the editor is open; none when it is not the editor's.
    pub(super) fn in_editor(&mut self, world: &World, command: &Command) -> Option<Vec<Effect>> {
        let page = isize::try_from(self.shown.text_page.max(2) - 1).unwrap_or(1);
        let Place::Editor(editor) = &mut self.place else { return None };
        match command {
            Command::PageUp => editor.scroll(-page),
            Command::PageDown => editor.scroll(page),
            Command::EditPreview => return Some(self.preview_edit()),
            Command::EditOutside => {
                let jobs = world.store.jobs.active().count();
                let Some(pages) = editor.pages() else { return Some(Vec::new()) };
                if jobs > 0 {
                    return Some(self.say("jobs are under way, and would not be seen: this editor only"));
                }
                return Some(vec![Effect::EditOutside(editor.request, editor.object.name.to_string(), pages.text())]);
            }
            Command::Unmask => {
                if editor.changed() {
                    return Some(self.say("the text was changed: values are shown or masked before that"));
                }
                editor.unmasked = !editor.unmasked;
                let unmasked = editor.unmasked;
                if let Some(pages) = editor.pages_mut() {
                    let (row, _) = pages.cursor();
                    *pages = Pages::of(std::mem::take(&mut pages.raw), unmasked);
                    editor.scroll(isize::try_from(row).unwrap_or(0));
                }
            }
            Command::Back | Command::Quit if editor.changed() && !editor.leaving => {
                editor.leaving = true;
                return Some(self.say("the text was changed: the same again throws the changes away"));
            }
            Command::Back | Command::Quit | Command::ForceQuit | Command::Redraw | Command::Suspend => return None,
            // What else there is would leave the text.
            _ => {}
        }
        Some(Vec::new())
    }

    fn preview_edit(&mut self) -> Vec<Effect> {
        let Place::Editor(editor) = &mut self.place else { return Vec::new() };
        let Some(pages) = editor.pages() else { return Vec::new() };
        if !pages.changed() {
            return self.say("nothing was changed");
        }
        match pages.object() {
            Ok(edited) => {
                let documents = vec![("the editor".to_owned(), edited.to_string()), ("base".to_owned(), pages.raw.to_string())];
                let targets = vec![Target::from(&editor.object)];
                editor.leaving = false;
                self.wish(Wanted::Act(Request { verb: VerbId::Edit, targets, args: Args::default(), documents }))
            }
            Err(why) => {
                self.notice = Some(Notice::error(why.clone()));
                if let (Some((row, column)), Some(pages)) = (place(&why), editor.pages_mut()) {
                    pages.area.move_cursor(CursorMove::Jump(row, column));
                }
                editor.error = Some(why);
                Vec::new()
            }
        }
    }

    /// Another editor has ended.
    pub(super) fn edited(&mut self, id: RequestId, result: Result<String, String>) {
        let Some(editor) = self.editor_mut(id) else { return };
        match result {
            Ok(text) => editor.replaced(&text),
            Err(why) => self.notice = Some(Notice::error(why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pages() -> Pages {
        Pages::of(
            json!({"kind": "Deployment", "spec": {"replicas": 3, "env": [
                {"name": "LEVEL", "value": "info"}, {"name": "DB_PASSWORD", "value": "canary"}, {"name": "API_TOKEN", "value": "secret"}]}}),
            false,
        )
    }

    fn write(pages: &mut Pages, from: &str, to: &str) {
        let text = pages.text();
        assert!(text.contains(from), "{text}");
        pages.area = area(&text.replacen(from, to, 1));
    }

    #[test]
    fn masks_that_are_left_alone_stand_for_their_values() {
        let mut p = pages();
        assert!(!p.text().contains("canary") && !p.changed() && p.masked == 2);
        write(&mut p, "replicas: 3", "replicas: 4");
        write(&mut p, "  - name: LEVEL\n", "  - name: FIRST\n    value: x\n  - name: LEVEL\n");
        let edited = p.object().unwrap();
        assert_eq!(edited["spec"]["env"][2], json!({"name": "DB_PASSWORD", "value": "canary"}), "{edited}");
        assert_eq!((&edited["spec"]["env"][3]["value"], &edited["spec"]["replicas"]), (&json!("secret"), &json!(4)));
    }

    #[test]
    fn a_mask_is_never_sent_as_a_value() {
        let mut p = pages();
        write(&mut p, "name: DB_PASSWORD", "name: OTHER_PASSWORD");
        let why = p.object().unwrap_err();
        assert!(why.contains("is a mask"), "{why}");
        let mut p = pages();
        write(&mut p, "value: \"*** (6 bytes)\"", "value: mine");
        assert_eq!(p.object().unwrap()["spec"]["env"][1]["value"], "mine");
    }

    #[test]
    fn what_is_no_yaml_is_said() {
        let mut p = pages();
        write(&mut p, "replicas: 3", "replicas: [3");
        let why = p.object().unwrap_err();
        assert!(why.starts_with("no YAML: line ") && place(&why).is_some(), "{why}");
        p.area = area("- 1");
        assert_eq!(p.object().unwrap_err(), "this is no object");
    }
}
