//! The register itself: each command is one line here, from which the enum, its parser, its printer and its docs follow.

use std::fmt;
use std::sync::LazyLock;

use super::names::{PaneName, Target};
use super::parse::{CommandError, Payload};
use super::{ArgInfo, Category, CommandInfo};
use crate::model::{VERBS, VerbId, VerbInfo};

const fn req(name: &'static str, doc: &'static str) -> ArgInfo {
    ArgInfo { name, doc, optional: false }
}

const fn opt(name: &'static str, doc: &'static str) -> ArgInfo {
    ArgInfo { name, doc, optional: true }
}

/// The arguments of a verb, as the palette shows them; which there are is the catalogue's.
const VERB_ARGS: &[ArgInfo] = &[opt("ARGUMENTS", "as name=value, or in order")];

/// Every command, the verbs of the catalogue last.
pub static COMMANDS: LazyLock<Vec<CommandInfo>> = LazyLock::new(|| {
    let verb = |v: &VerbInfo| CommandInfo { name: v.name, aliases: v.aliases, category: Category::Act, args: VERB_ARGS, doc: v.doc };
    OWN.iter().copied().chain(VERBS.iter().map(verb)).collect()
});

macro_rules! register {
    (
        commands {
            $($variant:ident $(($arg:ident: $ty:ty))? $name:literal [$($alias:literal)*] $category:ident
              [$($info:expr),*] $doc:literal;)*
        }
    ) => {
        /// Everything that can be asked of the cockpit. `Display` prints what [`Command::parse`] reads.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Command {
            $(#[doc = $doc] $variant $(($ty))?,)*
            /// A verb of the catalogue, with its arguments as typed: planned, previewed and confirmed, never done by a key alone.
            Verb(VerbId, Option<String>),
        }

        const OWN: &[CommandInfo] = &[
            $(CommandInfo {
                name: $name, aliases: &[$($alias),*], category: Category::$category, args: &[$($info),*], doc: $doc,
            },)*
        ];

        impl Command {
            /// The name in the register.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant $((register!(@ignore $arg)))? => $name,)*
                    Self::Verb(verb, _) => verb.info().name,
                }
            }

            /// `rest` is trimmed; that a command without arguments got none was seen to by the caller.
            pub(super) fn build(info: &CommandInfo, rest: &str) -> Result<Self, CommandError> {
                match info.name {
                    $($name => Ok(Self::$variant $((<$ty as Payload>::read(info, rest)?))?),)*
                    name => match VerbId::find(name) {
                        Some(verb) => Ok(Self::Verb(verb, Payload::read(info, rest)?)),
                        None => Err(CommandError::unknown(name)),
                    },
                }
            }
        }

        impl fmt::Display for Command {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())?;
                match self {
                    $(Self::$variant $(($arg))? => { $($arg.write(f)?;)? })*
                    Self::Verb(_, rest) => rest.write(f)?,
                }
                Ok(())
            }
        }
    };
    (@ignore $arg:ident) => { _ };
}

register! {
    commands {
        Up "up" [] Move [] "Move up a row or line";
        Down "down" [] Move [] "Move down a row or line";
        Left "left" [] Move [] "Move left by a column";
        Right "right" [] Move [] "Move right by a column";
        PageUp "page-up" [] Move [] "Move up a page";
        PageDown "page-down" [] Move [] "Move down a page";
        HalfPageUp "half-page-up" [] Move [] "Move up half a page";
        HalfPageDown "half-page-down" [] Move [] "Move down half a page";
        Top "top" [] Move [] "Move to the first row or line";
        Bottom "bottom" [] Move [] "Move to the last row or line";
        NextTile "next-tile" [] Move [] "Move to the next tile";
        PrevTile "prev-tile" [] Move [] "Move to the previous tile";
        NextMatch "next-match" ["next-problem"] Move [] "Move to the next match or, without a search, the next problem";
        PrevMatch "prev-match" ["prev-problem"] Move [] "Move to the previous match or problem";

        Pane(pane: (PaneName, Option<String>)) "pane" [] Go
            [req("PANE", "a pane's name, kubectl's short name or number 1-9"), opt("FILTER", "terms to filter it by")]
            "Show a pane; its name alone does the same";
        All "all" [] Go [] "All clusters and all namespaces";
        Cluster(name: String) "cluster" ["context" "ctx"] Go [req("CLUSTER", "a cluster's name; globs allowed")]
            "Only this cluster";
        Namespace(name: String) "namespace" ["ns"] Go [req("NAMESPACE", "a namespace; globs allowed")] "Only this namespace";
        Open "open" ["detail" "describe" "desc"] Go [] "Open the object: why it is as it is, then its YAML";
        Yaml "yaml" [] Go [] "Open the object's YAML";
        Go(target: Target) "go" ["jump"] Go [req("TARGET", "node, owner, pods, hpa, pdb, events, alerts or cluster")]
            "Jump from the object to what it belongs to";
        Back "back" [] Go [] "Close what is open or undo the filter; never quits";
        HistoryBack "history-back" [] Go [] "Back in the history of views";
        HistoryForward "history-forward" [] Go [] "Forward in the history of views";
        LastView "last-view" [] Go [] "Switch between this view and the one before";
        Rules "rules" [] Go [] "The rules that are not evaluated, in which clusters and why";
        Views "views" [] Go [] "Choose a saved view";
        View(name: String) "view" [] Go [req("VIEW", "a saved view's name")] "Show a saved view";
        SaveView(name: String) "save-view" [] Go [req("VIEW", "a name to save it under")]
            "Save pane, filter, sort and columns as a view";
        Jobs "jobs" [] Go [] "Jobs: what this session has set going";
        Audit "audit" [] Go [] "The audit log";
        Help "help" ["keys" "h"] Go [] "Keys of this pane";

        Filter(terms: Option<String>) "filter" [] Find [opt("EXPR", "terms such as ns:pay status!=Running restarts>3")]
            "Filter what is shown";
        Search(text: Option<String>) "search" ["log-search"] Find [opt("TEXT", "text or a regular expression")]
            "Search in the text that is open";
        Palette "palette" ["commands"] Find [] "Every command, pane, cluster and namespace by name";
        Find(text: Option<String>) "find" [] Find [opt("TEXT", "part of an object's name")] "Find any object of the fleet by name";
        FaultsOnly "faults-only" ["faults"] Find [] "Only what has a problem, or everything again";

        Zoom "zoom" [] View [] "Zoom the tile to a full pane and back";
        Wide "wide" [] View [] "All columns, or those that fit";
        Sort(column: Option<String>) "sort" [] View [opt("COLUMN", "a column's name; without it, choose one")]
            "Sort by a column; again to turn the order round";
        SortReverse "sort-reverse" [] View [] "Turn the order round";
        Group(column: Option<String>) "group" ["group-by"] View [opt("COLUMN", "a column's name, none, auto, or ? to choose; without it, the next that is usual")]
            "Group the rows by a column; Enter opens and folds a group";
        Columns "columns" ["column-chooser"] View [] "Choose the columns, their order and width";
        ColumnMoveLeft "column-move-left" [] View [] "Move the column to the left";
        ColumnMoveRight "column-move-right" [] View [] "Move the column to the right";
        ColumnGrow "column-grow" [] View [] "Make the column wider";
        ColumnShrink "column-shrink" [] View [] "Make the column narrower";
        Freeze "freeze" ["pause"] View [] "Freeze the screen, or let it live again";
        Seen "seen" [] View [] "Mark as seen: new problems stand out from here on";
        Unmask "unmask" [] View [] "Show or mask secret values";
        Fold "fold" ["unfold"] View [] "Fold or unfold the block under the cursor";
        FoldAll "fold-all" [] View [] "Fold every block";
        UnfoldAll "unfold-all" [] View [] "Unfold every block";

        Mark "mark" [] Mark [] "Mark the row, or unmark it";
        MarkRange "mark-range" [] Mark [] "Mark from the last marked row to this one";
        MarkAll "mark-all" [] Mark [] "Mark every row that is shown";
        MarkClear "mark-clear" ["unmark"] Mark [] "Unmark everything";

        Logs "logs" ["log"] Logs [] "Logs of the pod, or of all pods of the workload";
        LogsPrevious "logs-previous" [] Logs [] "Logs of the containers that ran before";
        LogFollow "log-follow" [] Logs [] "Follow the end, or stay";
        LogWrap "log-wrap" [] Logs [] "Wrap long lines, or cut them";
        LogTimestamps "log-timestamps" [] Logs [] "Show or hide timestamps";
        LogPrevious "log-previous" [] Logs [] "Switch between current and previous containers";
        LogContainer(name: Option<String>) "log-container" [] Logs [opt("CONTAINER", "a container's name; without it, choose one")]
            "Only this container's lines";
        LogFilter(pattern: Option<String>) "log-filter" [] Logs [opt("REGEX", "lines to keep; with ! in front, lines to drop")]
            "Only lines that match";
        LogSave(file: Option<String>) "log-save" [] Logs [opt("FILE", "where to; without it, a name made from pod and time")]
            "Save the lines to a private file";

        Acts "acts" ["actions"] Act [] "What may be done here, and why the rest may not";
        Fix "fix" [] Act [] "The remedy of the finding";
        Shell(container: Option<String>) "shell" ["exec" "sh"] Act [opt("CONTAINER", "a container's name")] "A shell in the pod";
        Run(text: Option<String>) "run" ["runbook" "runbooks"] Act
            [opt("NAME", "a runbook's name, then cluster=... and its parameters as name=value; without it, choose one")]
            "Run a runbook: its parameters, one preview, one job";
        Undo(job: Option<String>) "undo" [] Act [opt("JOB", "a job's name; without it, the last that can be undone")]
            "Undo a job, where its result still stands";
        Resume(job: Option<String>) "resume" [] Act [opt("JOB", "a job's name; without it, the highlighted one")] "Go on with a job that was interrupted, blocked or stopped";
        JobPause "job-pause" [] Act [] "Pause the job, or let it go on";
        JobStop "job-stop" [] Act [] "Stop the job safely";
        EditPreview "edit-preview" [] Act [] "Preview what the edited text would change";
        EditOutside "edit-outside" [] Act [] "Edit the text in $VISUAL or $EDITOR";
        Copy "copy" ["yank"] Act [] "Copy the name, or the marked names, to your clipboard";

        Login(name: String) "login" [] Session [req("CLUSTER", "a cluster's name")]
            "Run the cluster's credential plugin in the foreground";
        Reconnect(name: Option<String>) "reconnect" ["refresh"] Session [opt("CLUSTER", "a cluster's name; without it, the highlighted one")]
            "Connect again at once";
        Theme(name: String) "theme" ["skin"] Session [req("THEME", "a theme's name")] "Change the theme";
        Keymap(name: String) "keymap" [] Session [req("KEYMAP", "a keymap's name")] "Change the keymap";
        Mouse "mouse" [] Session [] "Mouse on or off (off: the terminal selects text)";
        Redraw "redraw" [] Session [] "Draw the whole screen again";
        Suspend "suspend" [] Session [] "Suspend to the shell";
        Accept "accept" [] Session [] "Accept what was typed or chosen";
        Complete "complete" [] Session [] "Complete the word";
        Quit "quit" ["q" "qa" "exit"] Session [] "Quit; asks when jobs are running";
        ForceQuit "force-quit" ["q!" "qa!"] Session [] "Quit without asking";
    }
}
