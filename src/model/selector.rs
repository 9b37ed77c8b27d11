//! Label selectors, as workloads and budgets carry them.

use super::{Interner, Labels, Str, wire};
use serde_json::{Value, json};

/// A label selector. Empty selects everything; an absent one (an `Option` around it) nothing.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Selector {
    pub labels: Labels,
    pub expressions: Box<[Requirement]>,
}

/// One `matchExpressions` term.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Requirement {
    pub key: Str,
    pub operator: Operator,
    pub values: Box<[Str]>,
}

/// How a requirement compares.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    /// Greater than a whole number; node affinity only, as is the next.
    Gt,
    Lt,
    /// One that this version does not know: selects nothing.
    Other,
}

impl Selector {
    /// Projects the wire's selector.
    pub fn of(selector: &wire::LabelSelector, interner: &mut Interner) -> Self {
        let expressions = selector.match_expressions.iter().map(|e| Requirement {
            key: interner.str(&e.key),
            operator: Operator::parse(&e.operator),
            values: e.values.iter().map(|v| interner.str(v)).collect(),
        });
        let expressions = expressions.collect();
        Self { labels: interner.labels(&selector.match_labels), expressions }
    }

    /// Reads what people type: `app=x,tier!=y,zone in (a,b),env notin (c),key,!key`.
    ///
    /// # Errors
    /// A term that is none of these, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut labels, mut expressions) = (Vec::new(), Vec::new());
        let mut depth = 0;
        let terms = text.split(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            c == ',' && depth == 0
        });
        for term in terms.map(str::trim).filter(|t| !t.is_empty()) {
            let set = |operator, word: &str| -> Option<Requirement> {
                let (key, rest) = term.split_once(word)?;
                let values = rest.trim().strip_prefix('(')?.strip_suffix(')')?;
                Some(Requirement { key: key.trim().into(), operator, values: values.split(',').map(|v| Str::from(v.trim())).collect() })
            };
            let one = |key: &str, operator, value: &str| Requirement {
                key: key.trim().into(),
                operator,
                values: [Str::from(value.trim())].into(),
            };
            if let Some(r) = set(Operator::NotIn, " notin ").or_else(|| set(Operator::In, " in ")) {
                expressions.push(r);
            } else if let Some((key, value)) = term.split_once("!=") {
                expressions.push(one(key, Operator::NotIn, value));
            } else if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
                labels.push((Str::from(key.trim()), Str::from(value.trim())));
            } else if term.contains([' ', '(', ')']) {
                return Err(format!("`{term}` is no label term; write key=value, key!=value, key in (a,b), key or !key"));
            } else if let Some(key) = term.strip_prefix('!') {
                expressions.push(Requirement { key: key.into(), operator: Operator::DoesNotExist, values: Box::default() });
            } else {
                expressions.push(Requirement { key: term.into(), operator: Operator::Exists, values: Box::default() });
            }
        }
        Ok(Self { labels: Labels::from(labels), expressions: expressions.into() })
    }

    /// As the API has it.
    pub fn json(&self) -> Value {
        let expression = |e: &Requirement| {
            let mut out = json!({"key": &*e.key, "operator": e.operator.name()});
            if !e.values.is_empty() {
                out["values"] = e.values.iter().map(|v| Value::from(&**v)).collect();
            }
            out
        };
        let mut out = json!({});
        let labels: serde_json::Map<String, Value> = self.labels.iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
        if !labels.is_empty() {
            out["matchLabels"] = labels.into();
        }
        if !self.expressions.is_empty() {
            out["matchExpressions"] = self.expressions.iter().map(expression).collect();
        }
        out
    }

    /// Whether these labels are selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.labels.iter().all(|(k, v)| labels.get(k) == Some(v)) && self.expressions.iter().all(|e| e.takes(labels))
    }
}

impl Requirement {
    /// Whether these labels meet it.
    pub fn takes(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        let listed = value.is_some_and(|v| self.values.iter().any(|x| &**x == v));
        let compared = || Some((value?.parse::<i64>().ok()?, self.values.first()?.parse::<i64>().ok()?));
        match self.operator {
            Operator::In => listed,
            Operator::NotIn => !listed,
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt => compared().is_some_and(|(is, than)| is > than),
            Operator::Lt => compared().is_some_and(|(is, than)| is < than),
            Operator::Other => false,
        }
    }
}

impl Operator {
    /// As the API writes it.
    pub fn parse(text: &str) -> Self {
        match text {
            "In" => Self::In,
            "NotIn" => Self::NotIn,
            "Exists" => Self::Exists,
            "DoesNotExist" => Self::DoesNotExist,
            "Gt" => Self::Gt,
            "Lt" => Self::Lt,
            _ => Self::Other,
        }
    }

    /// The same; empty where it is not known.
    pub fn name(self) -> &'static str {
        match self {
            Self::In => "In",
            Self::NotIn => "NotIn",
            Self::Exists => "Exists",
            Self::DoesNotExist => "DoesNotExist",
            Self::Gt => "Gt",
            Self::Lt => "Lt",
            Self::Other => "",
        }
    }
}

/// As kubectl writes it: terms by key, values in order.
impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut terms: Vec<(&str, String)> = self.labels.iter().map(|(k, v)| (k, format!("{k}={v}"))).collect();
        for e in &self.expressions {
            let mut values: Vec<&str> = e.values.iter().map(|v| &**v).collect();
            values.sort_unstable();
            let values = values.join(",");
            let text = match e.operator {
                Operator::In => format!("{} in ({values})", e.key),
                Operator::NotIn => format!("{} notin ({values})", e.key),
                Operator::Exists => e.key.to_string(),
                Operator::DoesNotExist => format!("!{}", e.key),
                Operator::Gt => format!("{} > {values}", e.key),
                Operator::Lt => format!("{} < {values}", e.key),
                Operator::Other => format!("{} ? ({values})", e.key),
            };
            terms.push((&e.key, text));
        }
        terms.sort_by_key(|(key, _)| *key);
        if terms.is_empty() {
            return f.write_str("<all>");
        }
        terms.iter().enumerate().try_for_each(|(n, (_, text))| write!(f, "{}{text}", if n > 0 { "," } else { "" }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_selectors() {
        let labels = Labels::from(vec![(Str::from("app"), Str::from("a")), (Str::from("tier"), Str::from("core"))]);
        for (text, expected) in [
            ("app=a", true),
            ("app==a,tier!=core", false),
            ("app in (x, a),tier", true),
            ("app notin (a)", false),
            ("!zone", true),
            ("zone", false),
            ("", true),
        ] {
            assert_eq!(Selector::parse(text).unwrap().matches(&labels), expected, "{text}");
        }
        assert!(Selector::parse("app a").is_err());
    }

    #[test]
    fn written_as_kubectl_writes_it() {
        let selector = Selector::parse("tier notin (x,a),b=1,!old,a").unwrap();
        assert_eq!(selector.to_string(), "a,b=1,!old,tier notin (a,x)");
        assert_eq!(Selector::default().to_string(), "<all>");
    }

    #[test]
    fn every_operator() {
        let labels = Labels::from(vec![(Str::from("app"), Str::from("a")), (Str::from("tier"), Str::from("core"))]);
        let term = |key: &str, operator, values: &[&str]| Selector {
            labels: Labels::default(),
            expressions: [Requirement { key: key.into(), operator, values: values.iter().map(|v| Str::from(*v)).collect() }].into(),
        };
        for (selector, expected) in [
            (term("app", Operator::In, &["a", "b"]), true),
            (term("app", Operator::NotIn, &["a"]), false),
            (term("none", Operator::NotIn, &["a"]), true),
            (term("tier", Operator::Exists, &[]), true),
            (term("tier", Operator::DoesNotExist, &[]), false),
            (term("app", Operator::Other, &["a"]), false),
            (Selector::default(), true),
        ] {
            assert_eq!(selector.matches(&labels), expected, "{selector}");
        }
    }
}
