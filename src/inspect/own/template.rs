//! Texts with values in them: `{CEL}` stands for its value, `{{` for a brace.

use super::cel::{Compiled, Fault, compile};
use kube::core::cel::cel::Value;
use kube::core::cel::cel::objects::Key;

/// A text that can be filled in.
#[derive(Clone, Debug, Default)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Value(Box<Compiled>),
}

/// A text of a finding is not longer (characters).
const LONG: usize = 400;

impl Template {
    /// Reads a text.
    ///
    /// # Errors
    /// A brace that is not closed, or an expression that means nothing, in words.
    pub fn parse(text: &str, variables: &[&str]) -> Result<Self, String> {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            if rest[at + 1..].starts_with(brace) {
                plain.push_str(brace);
                rest = &rest[at + 2..];
                continue;
            }
            if brace == "}" {
                return Err("a `}` without its `{`; `}}` stands for one".to_owned());
            }
            let end = closing(&rest[at + 1..]).ok_or("a `{` that is not closed; `{{` stands for one")?;
            let inner = &rest[at + 1..at + 1 + end];
            let compiled = compile(inner, variables).map_err(|e| format!("`{{{inner}}}`: {e}"))?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Value(Box::new(compiled)));
            rest = &rest[at + end + 2..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts))
    }

    /// A text that is one expression.
    ///
    /// # Errors
    /// As [`compile`].
    pub fn value(text: &str, variables: &[&str]) -> Result<Self, String> {
        Ok(Self(vec![Part::Value(Box::new(compile(text, variables)?))]))
    }

    /// The expressions in it.
    pub fn expressions(&self) -> impl Iterator<Item = &Compiled> {
        self.0.iter().filter_map(|p| if let Part::Value(c) = p { Some(&**c) } else { None })
    }

    /// The text itself, where it has no values.
    pub fn plain(&self) -> Option<String> {
        self.expressions().next().is_none().then(|| self.fill(|_| Ok(Value::Null)))
    }

    /// The text with its values; `-` for what an object has not, `?` for what has no value.
    pub fn fill(&self, mut eval: impl FnMut(&Compiled) -> Result<Value, Fault>) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Value(c) => match eval(c) {
                    Ok(value) => out.push_str(&shown(&value)),
                    Err(Fault::Missing) => out.push('-'),
                    Err(_) => out.push('?'),
                },
            }
        }
        // Objects may hold anything; a line is a line.
        let line: String = out.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONG).collect();
        line
    }
}

/// Where the brace closes that is open; braces in texts of CEL are none.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0, None);
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some(_), '\\') => {
                chars.next();
            }
            (Some(q), c) if q == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') if depth == 0 => return Some(at),
            (None, '}') => depth -= 1,
            _ => {}
        }
    }
    None
}

/// A value for people.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::Int(n) => n.to_string(),
        Value::UInt(n) => n.to_string(),
        Value::Float(n) => {
            let text = format!("{n:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        Value::List(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::Map(map) => {
            let key = |k: &Key| k.to_string();
            let mut all: Vec<String> = map.map.iter().map(|(k, v)| format!("{}={}", key(k), shown(v))).collect();
            all.sort();
            all.join(", ")
        }
        Value::Duration(d) => crate::model::duration::age(d.num_seconds()),
        Value::Timestamp(at) => at.to_rfc3339(),
        _ => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::whole;
    use super::*;
    use serde_json::json;

    fn filled(text: &str) -> String {
        let object = whole(&json!({"a": "x", "n": 3, "list": ["p", "q"], "labels": {"b": "2", "a": "1"}, "odd": "two\nlines"}));
        Template::parse(text, &["object"]).unwrap().fill(|c| c.eval(&[("object", &object)], 100))
    }

    #[test]
    fn values_stand_in_texts() {
        assert_eq!(filled("{object.a} has {object.n + 1} of {object.list}"), "x has 4 of p, q");
        assert_eq!(filled("{object.labels}; {object.gone}; {object.n < 'a'}; {{x}}"), "a=1, b=2; -; ?; {x}");
        assert_eq!(filled("{'}' + object.a}{1.50}{object.odd}"), "}x1.5two lines");
        for (text, why) in [("{object.a", "not closed"), ("a } b", "without its"), ("{objet.a}", "did you mean `object`")] {
            assert!(Template::parse(text, &["object"]).unwrap_err().contains(why), "{text}");
        }
    }
}
