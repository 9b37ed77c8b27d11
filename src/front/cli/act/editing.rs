//! The texts that `edit` and `apply` work on: files that were named, standard input, or an editor's.

use super::super::fail::Failure;
use crate::action::Request;
use crate::model::verb::On;
use crate::model::{Target, VerbId};
use crate::runtime::{Fleet, acting};
use std::io::IsTerminal as _;

/// Reads what the request names.
pub async fn documents(fleet: &Fleet, request: &mut Request) -> Result<(), Failure> {
    let info = request.verb.info();
    let file = request.args.get("filename").or_else(|| request.args.get("file")).map(str::to_owned);
    if let Some(file) = file {
        let text = acting::document(request.verb, &file).map_err(Failure::usage)?;
        request.documents.push((file, text));
        if request.verb != VerbId::Edit {
            return Ok(());
        }
    }
    if request.verb == VerbId::Edit && info.on != On::Nothing {
        let [target] = request.targets.as_slice() else { return Err(Failure::usage("one object is edited at a time")) };
        let base = yaml(fleet, target).await?;
        if request.documents.is_empty() {
            request.documents.push(("the editor".to_owned(), edited(target, &base)?));
        }
        request.documents.push(("base".to_owned(), base));
    }
    Ok(())
}

/// The object as YAML, as it is now.
async fn yaml(fleet: &Fleet, target: &Target) -> Result<String, Failure> {
    let client = fleet.reader(target.cluster).and_then(|r| r.client()).ok_or_else(|| Failure::failed("unreachable", "not connected"))?;
    let mut object =
        client.get_json(&target.path()).await.map_err(|e| Failure::failed("not-found", format!("{}: {}", target.label(), e.reason())))?;
    if let Some(meta) = object["metadata"].as_object_mut() {
        meta.shift_remove("managedFields");
    }
    Ok(crate::doc::Doc::new(&object).text())
}

/// Runs `$VISUAL` or `$EDITOR` on a private copy, which is gone afterwards.
fn edited(target: &Target, base: &str) -> Result<String, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("edit needs a terminal, or the edited object in --file FILE"));
    }
    let set = |name: &str| std::env::var(name).ok().filter(|v| !v.trim().is_empty());
    let editor = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".to_owned());
    let path = std::env::temp_dir().join(format!("qd-{}-{:016x}.yaml", target.name, fastrand::u64(..)));
    crate::state::write_private(&path, base.as_bytes())?;
    let mut words = editor.split_whitespace();
    let status = std::process::Command::new(words.next().unwrap_or("vi")).args(words).arg(&path).status();
    let text = std::fs::read_to_string(&path);
    let _ = std::fs::remove_file(&path);
    match status {
        Ok(status) if status.success() => Ok(text?),
        Ok(status) => Err(Failure::failed("editor", format!("{editor} ended with {status}; nothing was sent"))),
        Err(e) => Err(Failure::usage(format!("{editor}: {e}")).hint("set EDITOR")),
    }
}
