//! Named settings of rules: their defaults, and what a user set instead.

use super::{RuleInfo, Rules};

/// A setting of a rule. Its default also says what it is: `5m` a duration, `3` a count, `120%` a percentage.
pub struct Threshold {
    pub name: &'static str,
    pub default: &'static str,
    pub doc: &'static str,
}

/// Why a threshold was refused.
#[derive(thiserror::Error, Clone, PartialEq, Debug)]
pub enum ThresholdError {
    #[error("no rule is called `{0}`")]
    Rule(String),
    #[error("rule {rule} has no threshold `{name}` (it has: {known})")]
    Name { rule: &'static str, name: String, known: String },
    #[error("`{value}` is not {wanted} as in `{default}`")]
    Value { value: String, wanted: &'static str, default: &'static str },
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Unit {
    Duration,
    Count,
    Percent,
}

pub(super) fn parse(text: &str) -> Option<(i64, Unit)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: i64 = text[..digits].parse().ok().filter(|n| *n <= 1_000_000_000)?;
    let (scale, unit) = match &text[digits..] {
        "s" => (1, Unit::Duration),
        "m" => (60, Unit::Duration),
        "h" => (3600, Unit::Duration),
        "d" => (86_400, Unit::Duration),
        "%" => (1, Unit::Percent),
        "" => (1, Unit::Count),
        _ => return None,
    };
    Some((number * scale, unit))
}

/// Every rule's thresholds: the defaults, and what was set instead.
#[derive(Clone, PartialEq, Debug)]
pub struct Thresholds {
    rules: Rules,
    /// By rule.
    set: Vec<Vec<i64>>,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self::of(Rules::default())
    }
}

impl Thresholds {
    /// The defaults of these rules.
    pub fn of(rules: Rules) -> Self {
        let defaults = |rule: &&RuleInfo| rule.thresholds.iter().map(|t| parse(t.default).map_or(0, |(value, _)| value)).collect();
        Self { set: rules.all().iter().map(defaults).collect(), rules }
    }

    /// The rules that they are of.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Sets one: `pod-pending`, `after`, `10m`.
    ///
    /// # Errors
    /// When there is no such rule or threshold, or the value is of another unit than the default.
    pub fn set(&mut self, rule: &str, name: &str, value: &str) -> Result<(), ThresholdError> {
        let at = self.rules.place(rule).ok_or_else(|| ThresholdError::Rule(rule.to_owned()))?;
        let info = self.rules.all()[at];
        let all = info.thresholds;
        let place = all.iter().position(|t| t.name == name).ok_or_else(|| ThresholdError::Name {
            rule: info.id,
            name: name.to_owned(),
            known: all.iter().map(|t| t.name).collect::<Vec<_>>().join(", "),
        })?;
        let default = all[place].default;
        let unit = parse(default).map(|(_, unit)| unit);
        let wanted = match unit {
            Some(Unit::Duration) => "a duration",
            Some(Unit::Percent) => "a percentage",
            _ => "a number",
        };
        let (value, _) = parse(value).filter(|(_, u)| Some(*u) == unit).ok_or_else(|| ThresholdError::Value {
            value: value.to_owned(),
            wanted,
            default,
        })?;
        self.set[at][place] = value;
        Ok(())
    }

    pub(super) fn at(&self, rule: usize) -> &[i64] {
        self.set.get(rule).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::RULES;

    #[test]
    fn every_default_parses_and_a_wrong_setting_is_refused() {
        for rule in RULES {
            for t in rule.thresholds {
                assert!(parse(t.default).is_some(), "{} {}", rule.id, t.name);
            }
        }
        let mut t = Thresholds::default();
        assert_eq!(t.set("pod-pending", "after", "10m"), Ok(()));
        let at = RULES.iter().position(|r| r.id == "pod-pending").unwrap();
        assert_eq!(t.at(at)[0], 600);
        assert!(matches!(t.set("pod-pendin", "after", "10m"), Err(ThresholdError::Rule(_))));
        assert!(matches!(t.set("pod-pending", "afte", "10m"), Err(ThresholdError::Name { .. })));
        assert!(matches!(t.set("pod-pending", "after", "10"), Err(ThresholdError::Value { .. })));
    }
}
