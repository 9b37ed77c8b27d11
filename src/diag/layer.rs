//! Texts that are found by name and build on each other: keymaps and themes, embedded or a person's own.

use std::path::Path;

use toml::de::DeTable;

use super::{Diag, unknown};

/// A text with where it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The file, or the embedded text's name.
    pub source: String,
    pub text: String,
}

impl Layer {
    /// A mistake at the byte `offset` of this text.
    pub fn wrong(&self, offset: usize, message: impl Into<String>) -> Diag {
        Diag::error(message).in_file(&self.source).at(&self.text, offset)
    }

    /// Its name in `inherits`, with the place of it. An error when it is no TOML at all, which its reader will report.
    pub fn inherits(&self) -> Result<Option<(String, usize)>, toml::de::Error> {
        let table = DeTable::parse(&self.text)?;
        let parent = table.get_ref().get("inherits");
        Ok(parent.and_then(|value| Some((value.get_ref().as_str()?.to_owned(), value.span().start))))
    }
}

/// Where such texts are kept.
#[derive(Clone, Copy, Debug)]
pub struct Library {
    /// What one is called in a message.
    pub what: &'static str,
    /// The folder of the configuration directory with a person's own, as `NAME.toml`.
    pub folder: &'static str,
    /// Those that come with qd, name and text; the first is what everything falls back on.
    pub embedded: &'static [(&'static str, &'static str)],
}

impl Library {
    /// Every name there is, embedded ones first.
    pub fn names(&self, dir: Option<&Path>) -> Vec<String> {
        let mut names: Vec<String> = self.embedded.iter().map(|(name, _)| (*name).to_owned()).collect();
        let files = dir.and_then(|dir| std::fs::read_dir(dir.join(self.folder)).ok()).into_iter().flatten().flatten();
        let mut own: Vec<String> = files
            .map(|file| file.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
            .filter(|name| is_plain(name) && !names.contains(name))
            .collect();
        own.sort();
        names.append(&mut own);
        names
    }

    /// The layers of `name`, the one that inherits nothing first. A person's own text goes before an embedded one of the
    /// same name, and may inherit that. When one is missing, unreadable or inherits itself, the problem is reported and
    /// the first embedded text is the foundation.
    pub fn chain(&self, name: &str, dir: Option<&Path>, problems: &mut Vec<Diag>) -> Vec<Layer> {
        let mut layers = Vec::new();
        let mut wanted = (name.to_owned(), 0);
        loop {
            let found = self.find(&wanted.0, dir, &layers).map_err(|mut problem| {
                if let Some(child) = layers.last() {
                    let Layer { source, text } = child;
                    if problem.file.is_none() {
                        problem = problem.in_file(source).at(text, wanted.1);
                    }
                }
                problems.push(problem);
            });
            let parent = found.map(|layer| {
                let parent = layer.inherits();
                layers.push(layer);
                parent
            });
            match parent {
                Ok(Ok(Some(parent))) => wanted = parent,
                Ok(Ok(None)) => break,
                Ok(Err(_)) | Err(()) => {
                    layers.extend(self.embedded.first().map(embedded));
                    break;
                }
            }
        }
        layers.reverse();
        layers
    }

    fn find(&self, name: &str, dir: Option<&Path>, taken: &[Layer]) -> Result<Layer, Diag> {
        let free = |source: &str| taken.iter().all(|layer| layer.source != source);
        let own = dir
            .filter(|_| is_plain(name))
            .map(|dir| dir.join(self.folder).join(format!("{name}.toml")))
            .filter(|path| path.exists() && free(&path.display().to_string()));
        if let Some(path) = own {
            return match std::fs::read_to_string(&path) {
                Ok(text) => Ok(Layer { source: path.display().to_string(), text }),
                Err(error) => Err(Diag::error(error.to_string()).in_file(path)),
            };
        }
        if let Some(entry) = self.embedded.iter().find(|(known, _)| *known == name && free(known)) {
            return Ok(embedded(entry));
        }
        let known = self.names(dir);
        Err(Diag::error(if known.iter().any(|known| known == name) {
            format!("{} `{name}` inherits itself", self.what)
        } else {
            unknown(self.what, name, known.iter().map(String::as_str))
        }))
    }
}

fn embedded((name, text): &(&str, &str)) -> Layer {
    Layer { source: (*name).to_owned(), text: (*text).to_owned() }
}

/// No way out of the folder.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBRARY: Library = Library { what: "thing", folder: "things", embedded: &[("base", ""), ("fancy", "inherits = \"base\"")] };

    fn chain(files: &[(&str, &str)], name: &str) -> (Vec<String>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("things")).unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join("things").join(name), text).unwrap();
        }
        let root = format!("{}/things/", dir.path().display());
        let mut problems = Vec::new();
        let layers = LIBRARY.chain(name, Some(dir.path()), &mut problems);
        let strip = |text: String| text.replace(&root, "");
        (layers.into_iter().map(|layer| strip(layer.source)).collect(), problems.iter().map(|p| strip(p.to_string())).collect())
    }

    #[test]
    fn own_texts_build_on_embedded_ones_even_of_their_own_name() {
        assert_eq!(chain(&[], "fancy"), (vec!["base".into(), "fancy".into()], vec![]));
        assert_eq!(chain(&[("base.toml", "inherits = \"base\"")], "fancy").0, ["base", "base.toml", "fancy"]);
    }

    #[test]
    fn what_is_wrong_is_said_and_the_first_embedded_is_the_foundation() {
        let (layers, problems) = chain(&[("a.toml", "inherits = \"b\""), ("b.toml", "\ninherits = \"a\"")], "a");
        assert_eq!(layers, ["base", "b.toml", "a.toml"]);
        assert_eq!(problems, ["b.toml:2:12: thing `a` inherits itself"]);
        let (layers, problems) = chain(&[("a.toml", "inherits = \"fency\"")], "a");
        assert_eq!(layers, ["base", "a.toml"]);
        assert_eq!(problems, ["a.toml:1:12: unknown thing `fency`; did you mean `fancy`?"]);
        assert_eq!(chain(&[], "../x").1, ["unknown thing `../x`"]);
        assert_eq!(chain(&[("a.toml", "x")], "a"), (vec!["base".into(), "a.toml".into()], vec![]));
    }
}
