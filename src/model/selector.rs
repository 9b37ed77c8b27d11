//! Label selectors, as workloads and budgets carry them.

use super::{Interner, Labels, Str, wire};

/// A label selector. Empty selects everything; an absent one (an `Option` around it) nothing.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Selector {
    pub labels: Labels,
    pub expressions: Box<[Requirement]>,
}

/// One `matchExpressions` term.
#[derive(Clone, PartialEq, Debug)]
pub struct Requirement {
    pub key: Str,
    pub operator: Operator,
    pub values: Box<[Str]>,
}

/// How a requirement compares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    /// One that this version does not know: selects nothing.
    Other,
}

impl Selector {
    /// Projects the wire's selector.
    pub fn of(selector: &wire::LabelSelector, interner: &mut Interner) -> Self {
        let expressions = selector.match_expressions.iter().map(|e| Requirement {
            key: interner.str(&e.key),
            operator: match e.operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                _ => Operator::Other,
            },
            values: e.values.iter().map(|v| interner.str(v)).collect(),
        });
        let expressions = expressions.collect();
        Self { labels: interner.labels(&selector.match_labels), expressions }
    }

    /// Whether these labels are selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.labels.iter().all(|(k, v)| labels.get(k) == Some(v))
            && self.expressions.iter().all(|e| {
                let value = labels.get(&e.key);
                let listed = value.is_some_and(|v| e.values.iter().any(|x| &**x == v));
                match e.operator {
                    Operator::In => listed,
                    Operator::NotIn => !listed,
                    Operator::Exists => value.is_some(),
                    Operator::DoesNotExist => value.is_none(),
                    Operator::Other => false,
                }
            })
    }
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut terms: Vec<String> = self.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        for e in &self.expressions {
            let values = e.values.join(",");
            terms.push(match e.operator {
                Operator::In => format!("{} in ({values})", e.key),
                Operator::NotIn => format!("{} notin ({values})", e.key),
                Operator::Exists => e.key.to_string(),
                Operator::DoesNotExist => format!("!{}", e.key),
                Operator::Other => format!("{} ? ({values})", e.key),
            });
        }
        f.write_str(if terms.is_empty() { "<all>".to_owned() } else { terms.join(",") }.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
