//! The register of rules, one file each.

use super::RuleInfo;

/// Every rule.
pub static RULES: &[&RuleInfo] = &[];
