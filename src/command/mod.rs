//! The typed commands of the cockpit: one register that keys, the palette, help and `qd keys` are made from.
//!
//! This room says what can be asked for, how it is spelt and what it takes. What a command does to the cockpit is `app`'s,
//! which key asks for it is `keymap`'s. Names of things that only the running fleet knows (clusters, columns, views) stay text
//! here and are resolved by `app`.

mod names;
mod parse;
mod register;

pub use crate::model::VerbId;
pub use names::{PANE_KEYS, PaneName, Target};
pub use parse::CommandError;
pub use register::{COMMANDS, Command};

/// What a command is about: the headings of the help screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    Move,
    Go,
    Find,
    View,
    Mark,
    Logs,
    Act,
    Session,
}

impl Category {
    /// In the order in which help shows them.
    pub const ALL: &[Self] = &[Self::Move, Self::Go, Self::Find, Self::View, Self::Mark, Self::Logs, Self::Act, Self::Session];

    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Move => "Move",
            Self::Go => "Go to",
            Self::Find => "Find",
            Self::View => "View",
            Self::Mark => "Mark",
            Self::Logs => "Logs",
            Self::Act => "Act",
            Self::Session => "Session",
        }
    }
}

/// One line of the register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandInfo {
    /// As typed in the palette and in a keymap's `run`: kebab-case.
    pub name: &'static str,
    /// Other spellings that parse to the same command.
    pub aliases: &'static [&'static str],
    pub category: Category,
    pub args: &'static [ArgInfo],
    /// One line, for help and the palette.
    pub doc: &'static str,
}

impl CommandInfo {
    /// `sort [COLUMN]`, `cluster NAME`.
    #[must_use]
    pub fn usage(&self) -> String {
        let mut usage = self.name.to_owned();
        for arg in self.args {
            usage.push_str(&if arg.optional { format!(" [{}]", arg.name) } else { format!(" {}", arg.name) });
        }
        usage
    }
}

/// An argument of a command. Only the last one may contain spaces: it is the rest of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgInfo {
    /// In capitals; it also says what may complete it: `CLUSTER`, `NAMESPACE`, `COLUMN`, `PANE`, `VIEW`, `THEME`, `KEYMAP`.
    pub name: &'static str,
    pub doc: &'static str,
    pub optional: bool,
}
