//! From text to a command and back: the palette's line and a keymap's `run`.

use std::fmt;

use super::CommandInfo;
use super::names::{PANE_KEYS, PaneName, Target};
use super::register::{COMMANDS, Command};
use crate::diag::nearest;

/// A line that is no command: what is wrong, and the nearest thing that would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default())]
pub struct CommandError {
    pub message: String,
    pub hint: Option<String>,
}

impl CommandError {
    pub(super) fn unknown(word: &str) -> Self {
        let commands = COMMANDS.iter().flat_map(|info| std::iter::once(info.name).chain(info.aliases.iter().copied()));
        let panes = PaneName::ALL.iter().map(|pane| pane.name());
        Self { message: format!("unknown command `{word}`"), hint: did_you_mean(word, commands.chain(panes)) }
    }

    fn missing(info: &CommandInfo) -> Self {
        let arg = info.args.iter().find(|arg| !arg.optional).map_or("an argument", |arg| arg.name);
        Self { message: format!("{} needs {arg}", info.name), hint: Some(format!("usage: {}", info.usage())) }
    }
}

impl Command {
    /// Reads a line: a command's name or alias and its arguments, or a pane's name and terms to filter it by. A leading `:`
    /// is allowed.
    ///
    /// # Errors
    /// An unknown command or name, a missing or a superfluous argument; with a hint.
    pub fn parse(line: &str) -> Result<Self, CommandError> {
        let line = line.trim();
        let line = line.strip_prefix(':').unwrap_or(line).trim_start();
        let (word, rest) = line.split_once(char::is_whitespace).map_or((line, ""), |(word, rest)| (word, rest.trim_start()));
        if word.is_empty() {
            return Err(CommandError { message: "no command".into(), hint: None });
        }
        let as_pane = || PaneName::find(word).map(|pane| Self::Pane((pane, text(rest))));
        let Some(info) = find(word) else {
            return as_pane().ok_or_else(|| CommandError::unknown(word));
        };
        if rest.is_empty() && info.args.first().is_some_and(|arg| !arg.optional) {
            // `ns` and `ctx` alone are the panes one chooses from.
            return as_pane().ok_or_else(|| CommandError::missing(info));
        }
        if !rest.is_empty() && info.args.is_empty() {
            return Err(CommandError { message: format!("{word} takes no argument"), hint: None });
        }
        Self::build(info, rest)
    }

    /// Its line in the register.
    #[must_use]
    pub fn info(&self) -> Option<&'static CommandInfo> {
        find(self.name())
    }

    /// The register's doc, made particular where the argument has a doc of its own.
    #[must_use]
    pub fn doc(&self) -> &'static str {
        match self {
            Self::Pane((pane, _)) => pane.doc(),
            Self::Go(target) => target.doc(),
            _ => self.info().map_or("", |info| info.doc),
        }
    }
}

fn find(word: &str) -> Option<&'static CommandInfo> {
    COMMANDS.iter().find(|info| info.name == word || info.aliases.contains(&word))
}

fn text(rest: &str) -> Option<String> {
    (!rest.is_empty()).then(|| rest.to_owned())
}

fn did_you_mean<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    nearest(word, names).map(|name| format!("did you mean `{name}`?"))
}

/// What a command carries: read from the rest of the line, written back with a space in front.
pub(super) trait Payload: Sized {
    fn read(info: &CommandInfo, rest: &str) -> Result<Self, CommandError>;
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

impl Payload for String {
    fn read(info: &CommandInfo, rest: &str) -> Result<Self, CommandError> {
        text(rest).ok_or_else(|| CommandError::missing(info))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " {self}")
    }
}

impl Payload for Option<String> {
    fn read(_: &CommandInfo, rest: &str) -> Result<Self, CommandError> {
        Ok(text(rest))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().map_or(Ok(()), |text| text.write(f))
    }
}

impl Payload for Target {
    fn read(_: &CommandInfo, rest: &str) -> Result<Self, CommandError> {
        Self::find(rest).ok_or_else(|| CommandError {
            message: format!("nothing to go to is called `{rest}`"),
            hint: did_you_mean(rest, Self::ALL.iter().map(|target| target.name())),
        })
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " {self}")
    }
}

impl Payload for (PaneName, Option<String>) {
    fn read(info: &CommandInfo, rest: &str) -> Result<Self, CommandError> {
        let (word, filter) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let numbered = || PANE_KEYS.get(word.parse::<usize>().ok()?.checked_sub(1)?).copied();
        let pane = PaneName::find(word).or_else(numbered).ok_or_else(|| CommandError {
            message: format!("no {} is called `{word}`", info.name),
            hint: did_you_mean(word, PaneName::ALL.iter().map(|pane| pane.name())),
        })?;
        Ok((pane, text(filter.trim_start())))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " {}", self.0)?;
        self.1.write(f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::Category;
    use super::*;
    use crate::model::VerbId;
    use proptest::prelude::*;

    #[test]
    fn names_are_unique_and_kebab_case_and_documented() {
        let mut seen = HashSet::new();
        for info in COMMANDS.iter() {
            assert!(info.name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", info.name);
            assert!(!info.doc.is_empty() && !info.doc.ends_with('.'), "{}", info.name);
            assert!(info.args.iter().all(|arg| !arg.doc.is_empty() && arg.name == arg.name.to_uppercase()), "{}", info.name);
            assert!(info.args.iter().is_sorted_by_key(|arg| arg.optional), "{}: required arguments first", info.name);
            for name in std::iter::once(&info.name).chain(info.aliases) {
                assert!(seen.insert(*name), "{name} is there twice");
            }
        }
        let mut panes = HashSet::new();
        for pane in PaneName::ALL {
            for name in std::iter::once(&pane.name()).chain(pane.aliases()) {
                assert!(panes.insert(*name), "pane {name} is there twice");
            }
        }
        assert!(Category::ALL.iter().all(|category| COMMANDS.iter().any(|info| info.category == *category)));
    }

    #[test]
    fn every_command_parses_by_every_spelling_and_prints_what_parses() {
        for info in COMMANDS.iter() {
            let arg = match info.args.first().map(|arg| arg.name) {
                None => "",
                Some("PANE") => " pods ns:pay",
                Some("TARGET") => " node",
                Some(_) => " two words",
            };
            let command = Command::parse(&format!("{}{arg}", info.name)).unwrap();
            assert_eq!(command.to_string(), format!("{}{arg}", info.name));
            assert_eq!(command.info(), Some(info));
            for alias in info.aliases {
                assert_eq!(Command::parse(&format!("{alias}{arg}")).unwrap(), command, "{alias}");
            }
        }
    }

    #[test]
    fn pane_names_are_commands() {
        for pane in PaneName::ALL {
            assert_eq!(Command::parse(&format!("pane {pane}")).unwrap(), Command::Pane((*pane, None)));
        }
        assert_eq!(Command::parse(":pods").unwrap(), Command::Pane((PaneName::Pods, None)));
        assert_eq!(Command::parse("deploy  image:x y").unwrap(), Command::Pane((PaneName::Deployments, Some("image:x y".into()))));
        assert_eq!(Command::parse("pane 3").unwrap(), Command::parse("po").unwrap());
        assert_eq!(Command::parse("ns").unwrap(), Command::Pane((PaneName::Namespaces, None)));
        assert_eq!(Command::parse("ns pay").unwrap(), Command::Namespace("pay".into()));
        assert_eq!(Command::parse("jobs").unwrap(), Command::Jobs);
        assert_eq!(Command::parse("job").unwrap(), Command::Pane((PaneName::Jobs, None)));
        assert_eq!(Command::parse("kill").unwrap(), Command::Verb(VerbId::Evict, None));
    }

    #[test]
    fn mistakes_say_what_would_be_right() {
        let wrong = |line: &str| Command::parse(line).unwrap_err().to_string();
        assert_eq!(wrong("dran"), "unknown command `dran` (did you mean `drain`?)");
        assert_eq!(wrong("xyzzyplugh"), "unknown command `xyzzyplugh`");
        assert_eq!(wrong("go nodde"), "nothing to go to is called `nodde` (did you mean `node`?)");
        assert_eq!(wrong("pane podz"), "no pane is called `podz` (did you mean `pods`?)");
        assert_eq!(wrong("pane 0"), "no pane is called `0`");
        assert_eq!(wrong("login"), "login needs CLUSTER (usage: login CLUSTER)");
        assert_eq!(wrong("zoom x"), "zoom takes no argument");
        assert_eq!(wrong("  "), "no command");
    }

    proptest! {
        #[test]
        fn free_text_survives(text in "[^\\s][^\\n\\r]{0,30}[^\\s]") {
            let command = Command::Filter(Some(text));
            prop_assert_eq!(Command::parse(&command.to_string()).unwrap(), command);
        }
    }
}
