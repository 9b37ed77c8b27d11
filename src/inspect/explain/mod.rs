//! Why an object is as it is, in words.

use super::{Finding, Severity};
use crate::model::Object;
use crate::store::{Cluster, Store};

pub struct Section {
    pub title: String,
    pub tone: Option<Severity>,
    pub lines: Vec<ExplainLine>,
}
pub struct ExplainLine {
    pub label: String,
    pub text: String,
    pub tone: Option<Severity>,
}
pub fn explain(_: &Store, _: &Cluster, _: &Object, _: &[Finding], _: i64) -> Vec<Section> {
    Vec::new()
}
