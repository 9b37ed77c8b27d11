//! The register of roles: what a colour is for. Each is one line here; themes are read and views draw by it.

macro_rules! roles {
    ($($variant:ident $name:literal $doc:literal;)*) => {
        /// What a style is for. A role that a theme leaves out is its parent's (`severity.critical` is `severity`), and at
        /// last `text`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Role { $(#[doc = $doc] $variant),* }

        impl Role {
            /// Every role, `text` first.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// As themes write it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// One line, for the list of roles.
            #[must_use]
            pub fn doc(self) -> &'static str {
                match self { $(Self::$variant => $doc),* }
            }
        }
    };
}

roles! {
    Text "text" "Everything that has no role of its own; its background is the screen's";
    TextDim "text.dim" "What matters less: units, repeated names, ages";
    TextStrong "text.strong" "What matters more";
    Border "border" "Lines around and between tiles";
    BorderFocus "border.focus" "Lines of the tile that has the keys";
    Title "title" "A tile's title";
    TitleFocus "title.focus" "The title of the tile that has the keys";
    Status "status" "The screen's first line";
    Header "header" "Column headings";
    HeaderSorted "header.sorted" "The heading of the column that is sorted by";
    Cursor "cursor" "The highlighted row";
    CursorMarker "cursor.marker" "The sign in front of the highlighted row";
    Mark "mark" "Marked rows";
    Severity "severity" "A problem of any severity";
    SeverityCritical "severity.critical" "Broken: somebody is needed now";
    SeverityWarning "severity.warning" "About to break, or broken where it can wait";
    SeverityInfo "severity.info" "Worth knowing";
    SeverityOk "severity.ok" "As it should be";
    State "state" "A cluster's connection";
    StateConnecting "state.connecting" "Not reached yet";
    StateSyncing "state.syncing" "The first lists are on their way";
    StateLive "state.live" "Proven to be current";
    StateStale "state.stale" "Not heard from for a while";
    StateUnreachable "state.unreachable" "Cannot be reached";
    StateUnauthorized "state.unauthorized" "Refuses our credentials";
    Stale "stale" "A value that may be out of date";
    Denied "denied" "What we may not see, and the permission that is missing";
    Production "production" "The sign of a production cluster";
    Match "match" "What a search or fuzzy filter hit";
    Filter "filter" "The filter that is on";
    FilterError "filter.error" "A term that is wrong";
    Key "key" "A key in a hint";
    KeyDesc "key.desc" "What the key does";
    Hint "hint" "Advice and messages";
    Error "error" "What went wrong";
    Spark "spark" "Sparklines";
    Gauge "gauge" "A share of what there is";
    GaugeLow "gauge.low" "Plenty left";
    GaugeMid "gauge.mid" "Getting full";
    GaugeHigh "gauge.high" "Full or nearly so";
    Yaml "yaml" "YAML, where it is nothing more particular";
    YamlKey "yaml.key" "A key";
    YamlString "yaml.string" "A string";
    YamlNumber "yaml.number" "A number";
    YamlBool "yaml.bool" "True or false";
    YamlNull "yaml.null" "Null";
    YamlComment "yaml.comment" "A comment, and what is folded or masked";
    Log "log" "A line of a log";
    LogTimestamp "log.timestamp" "When it was written";
    LogPod "log.pod" "Which pod and container wrote it";
    Diff "diff" "A line that stays";
    DiffAdd "diff.add" "A line that comes";
    DiffRemove "diff.remove" "A line that goes";
    Dialog "dialog" "Overlays";
    DialogBorder "dialog.border" "Lines around overlays";
    Input "input" "Where text is typed";
}

impl Role {
    /// The number of roles, for arrays that are indexed by `role as usize`.
    pub const COUNT: usize = Self::ALL.len();

    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|role| role.name() == name)
    }

    /// Where its style comes from when a theme leaves it out; none for `text`.
    #[must_use]
    pub fn parent(self) -> Option<Self> {
        let above = self.name().rsplit_once('.').and_then(|(above, _)| Self::find(above));
        above.or((self != Self::Text).then_some(Self::Text))
    }
}
