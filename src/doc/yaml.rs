//! From a JSON value to lines of YAML. Scalars and keys are spelled by serde-saphyr, which knows what must be quoted;
//! the structure is laid out here, because lines, paths, folds and styles come from it.

use serde_json::{Map, Value};

use super::{Kind, Line};

/// What comes first in an object.
const FIRST: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];

/// The lines of `value`.
pub(super) fn lines(value: &Value) -> Vec<Line> {
    let mut emit = Emit::default();
    match value {
        Value::Object(map) if !map.is_empty() => {
            let first = FIRST.iter().filter_map(|key| map.get_key_value(*key));
            let rest = map.iter().filter(|(key, _)| !FIRST.contains(&key.as_str()));
            emit.map(first.chain(rest), 0);
        }
        Value::Array(items) if !items.is_empty() => emit.list(items, 0),
        scalar => emit.scalar(scalar, 0),
    }
    emit.lines
}

#[derive(Default)]
struct Emit {
    lines: Vec<Line>,
    /// The line that is being written.
    line: Line,
    path: String,
}

impl Emit {
    fn put(&mut self, text: &str, kind: Kind) {
        let start = self.line.text.len();
        self.line.text.push_str(text);
        self.line.styles.push((start..self.line.text.len(), kind));
    }

    /// Fills the line up to `column`, if it is shorter.
    fn pad(&mut self, column: usize) {
        let missing = column.saturating_sub(self.line.text.len());
        self.line.text.extend(std::iter::repeat_n(' ', missing));
    }

    fn end_line(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        line.indent = line.text.len() - line.text.trim_start_matches(' ').len();
        line.path.clone_from(&self.path);
        self.lines.push(line);
    }

    /// Writes what has a line of its own, and makes what is below that line foldable.
    fn entry(&mut self, write: impl FnOnce(&mut Self)) {
        let head = self.lines.len();
        write(self);
        let end = self.lines.len();
        if end > head + 1 {
            // An item begins on the line of its first key and is set after it: the wider fold stays.
            self.lines[head].fold = Some(head + 1..end);
        }
    }

    /// Runs `write` with `part` at the end of the path.
    fn inside(&mut self, part: &str, write: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push_str(part);
        write(self);
        self.path.truncate(length);
    }

    fn map<'a>(&mut self, entries: impl Iterator<Item = (&'a String, &'a Value)>, column: usize) {
        for (key, value) in entries {
            let part = self.path_part(key);
            self.entry(|emit| {
                emit.inside(&part, |emit| {
                    emit.pad(column);
                    emit.put(&spell_key(key), Kind::Key);
                    emit.put(":", Kind::Punct);
                    emit.value(value, column);
                });
            });
        }
    }

    /// The value of a key: on its line if it fits there.
    fn value(&mut self, value: &Value, column: usize) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                self.end_line();
                self.map(map.iter(), column + 2);
            }
            Value::Array(items) if !items.is_empty() => {
                self.end_line();
                self.list(items, column);
            }
            scalar => {
                self.line.text.push(' ');
                self.scalar(scalar, column);
            }
        }
    }

    fn list(&mut self, items: &[Value], column: usize) {
        for (index, item) in items.iter().enumerate() {
            self.entry(|emit| {
                emit.inside(&format!("[{index}]"), |emit| {
                    emit.pad(column);
                    emit.put("-", Kind::Punct);
                    emit.line.text.push(' ');
                    match item {
                        Value::Object(map) if !map.is_empty() => emit.map(map.iter(), column + 2),
                        Value::Array(items) if !items.is_empty() => emit.list(items, column + 2),
                        scalar => emit.scalar(scalar, column),
                    }
                });
            });
        }
    }

    /// A scalar or something empty; the further lines of a long text are two to the right of `column`.
    fn scalar(&mut self, value: &Value, column: usize) {
        let kind = match value {
            Value::Null => Kind::Null,
            Value::Bool(_) => Kind::Bool,
            Value::Number(_) => Kind::Number,
            Value::String(_) => Kind::String,
            Value::Array(_) | Value::Object(_) => Kind::Punct,
        };
        let spelled = spell(value);
        let mut lines = spelled.split('\n');
        let first = lines.next().unwrap_or_default();
        let block = matches!(first.as_bytes().first(), Some(b'|' | b'>'));
        self.put(first, if block { Kind::Punct } else { kind });
        self.end_line();
        for text in lines {
            if !text.is_empty() {
                // The text is spelled two to the right of nothing.
                self.pad(column + 2);
                self.put(text.get(2..).unwrap_or_default(), kind);
            }
            self.end_line();
        }
    }

    fn path_part(&self, key: &str) -> String {
        let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        match (plain, self.path.is_empty()) {
            (true, true) => key.to_owned(),
            (true, false) => format!(".{key}"),
            (false, _) => format!("[{}]", Value::from(key)),
        }
    }
}

/// How a scalar is written after `key: `; the further lines of a block begin with two spaces.
fn spell(value: &Value) -> String {
    let map = Map::from_iter([("k".to_owned(), value.clone())]);
    let spelled = to_yaml(&map).and_then(|text| Some(text.strip_prefix("k: ")?.strip_suffix('\n')?.to_owned()));
    // JSON is YAML too.
    spelled.unwrap_or_else(|| value.to_string())
}

/// How a key is written before its colon. YAML wants it below 1,024 characters, Kubernetes below 320.
fn spell_key(key: &str) -> String {
    let map = Map::from_iter([(key.to_owned(), Value::Null)]);
    let spelled = to_yaml(&map).and_then(|text| text.strip_suffix(": null\n").map(str::to_owned));
    spelled.filter(|text| !text.contains('\n')).unwrap_or_else(|| Value::from(key).to_string())
}

fn to_yaml(map: &Map<String, Value>) -> Option<String> {
    // Text is not folded: a line that is too long is the reader's to wrap.
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    serde_saphyr::to_string_with_options(map, options).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn text(value: &Value) -> String {
        lines(value).iter().fold(String::new(), |text, line| text + &line.text + "\n")
    }

    /// Reads the text back, and checks what must hold of all lines.
    fn check(value: &Value) {
        let (text, lines) = (text(value), lines(value));
        let back: Value = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(&back, value, "{text}");
        for (index, line) in lines.iter().enumerate() {
            assert!(!line.text.chars().any(|c| c.is_control() && c != '\t'), "{:?}", line.text);
            assert!(line.text.is_empty() || line.indent < line.text.len() || line.text.trim().is_empty());
            let mut from = 0;
            for (range, _) in &line.styles {
                assert!(range.start >= from && line.text.get(range.clone()).is_some(), "{line:?}");
                from = range.end;
            }
            if let Some(fold) = &line.fold {
                assert!(fold.start == index + 1 && fold.end > fold.start && fold.end <= lines.len());
            }
        }
    }

    #[test]
    fn an_object_reads_as_people_expect() {
        let value = json!({
            "data": {"a.b": "x"},
            "spec": {"list": [{"name": "c", "args": ["-x", "yes"]}, {"name": "d"}], "empty": {}, "none": [], "nested": [[1, 2], [true]]},
            "kind": "Pod",
            "metadata": {"annotations": {"note": "one\n  two\n", "end": "a\n\nb"}, "x": null},
            "apiVersion": "v1",
        });
        let wanted = "\
apiVersion: v1
kind: Pod
metadata:
  annotations:
    note: |
      one
        two
    end: |-
      a

      b
  x: null
spec:
  list:
  - name: c
    args:
    - -x
    - \"yes\"
  - name: d
  empty: {}
  none: []
  nested:
  - - 1
    - 2
  - - true
data:
  a.b: x
";
        assert_eq!(text(&value), wanted);
        check(&value);
    }

    #[test]
    fn lines_know_their_path_fold_and_styles() {
        let value = json!({"spec": {"list": [{"name": "c", "max": 1}, {"name": "d"}]}, "data": {"a.b": "x\ny"}});
        let lines = lines(&value);
        let paths: Vec<_> = lines.iter().map(|line| line.path.as_str()).collect();
        let long = "data[\"a.b\"]";
        assert_eq!(paths, ["spec", "spec.list", "spec.list[0].name", "spec.list[0].max", "spec.list[1].name", "data", long, long, long]);
        let folds: Vec<_> = lines.iter().map(|line| line.fold.clone()).collect();
        assert_eq!(folds[..3], [Some(1..5), Some(2..5), Some(3..4)]);
        assert_eq!(folds[3..], [None, None, Some(6..9), Some(7..9), None, None]);
        assert_eq!(lines[2].indent, 2);
        let styles = |index: usize| {
            let line: &Line = &lines[index];
            line.styles.iter().map(|(range, kind)| (&line.text[range.clone()], *kind)).collect::<Vec<_>>()
        };
        assert_eq!(styles(2), [("-", Kind::Punct), ("name", Kind::Key), (":", Kind::Punct), ("c", Kind::String)]);
        assert_eq!(styles(3), [("max", Kind::Key), (":", Kind::Punct), ("1", Kind::Number)]);
        assert_eq!(styles(6), [("a.b", Kind::Key), (":", Kind::Punct), ("|-", Kind::Punct)]);
        assert_eq!(styles(7), [("x", Kind::String)]);
    }

    const TRICKY: &[&str] = &[
        "",
        " ",
        "yes",
        "no",
        "on",
        "off",
        "y",
        "n",
        "~",
        "null",
        "Null",
        "true",
        "False",
        "1",
        "-1",
        "+1",
        "01",
        "0o7",
        "0x1f",
        "1e3",
        "1_000",
        ".5",
        "1.",
        ".inf",
        "-.INF",
        ".nan",
        "1:30",
        "12:30:45",
        "2024-01-01",
        "2024-01-01T00:00:00Z",
        "=",
        "<<",
        "-",
        "- x",
        "--",
        "---",
        "...",
        "? x",
        ": x",
        "a: b",
        "a:",
        "a #b",
        "#x",
        "[x",
        "{x}",
        "&a",
        "*a",
        "!t",
        "|",
        ">",
        "%x",
        "@x",
        "`x",
        "'x'",
        "\"x\"",
        "\\",
        "a\\nb",
        " lead",
        "trail ",
        "a\nb",
        "a\nb\n",
        "a\n\n\nb\n\n",
        "\n",
        "\n\n",
        "\na",
        " a\nb",
        "\ta\nb",
        "a\n b\n  c",
        "a \nb",
        "a\n ",
        "a\n  \nb",
        "\n  a",
        "# c\nx",
        "- a\n- b",
        "---\nx",
        "...\nx",
        "a\r\nb",
        "\r",
        "a\tb",
        "\u{0}",
        "\u{1b}[31m",
        "\u{7f}",
        "\u{85}",
        "\u{9b}31m",
        "\u{2028}",
        "\u{feff}",
        "\u{feff}a\nb",
        "日本語",
        "é\nß",
        "🚀",
        "\u{200b}",
        "a,b",
        "a]b",
        "a}b",
        "key: |\n  x",
        "a\u{85}b\nc",
        "a\u{0}\nb",
        "a\u{2028}b\nc",
    ];

    #[test]
    fn tricky_texts_survive_everywhere() {
        for tricky in TRICKY {
            check(&json!(tricky));
            check(&json!({"k": tricky, "z": 1}));
            check(&json!({"a": {"b": [tricky, [tricky, tricky], {"x": tricky, "y": tricky}, {"n": {"m": tricky}}]}, "z": 1}));
            check(&json!({*tricky: tricky, "z": {*tricky: {"x": 1}, "l": [{*tricky: [1]}]}}));
        }
        check(&json!({"x".repeat(900): 1, "long": "word ".repeat(300), "deep": {"y ".repeat(400): [{}]}}));
        check(&json!([[], {}, [[]], [{}], null, 1.5, 1e300, 18_446_744_073_709_551_615_u64, -9_223_372_036_854_775_808_i64, 0.1, 5e-324]));
    }

    fn any_text() -> impl Strategy<Value = String> {
        let bits = prop::collection::vec(prop::sample::select(TRICKY), 0..4);
        prop_oneof![bits.prop_map(|bits| bits.concat()), any::<String>(), "[ \n\t:#a'\"-]{0,12}"]
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_filter("JSON has no others", |float| float.is_finite()).prop_map(Value::from),
            any_text().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((any_text(), inner), 0..4).prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn the_text_parses_to_the_value(value in any_value()) {
            check(&value);
        }
    }
}
