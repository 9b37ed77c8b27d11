//! What a Prometheus tells of the use of nodes and pods, as metrics.k8s.io would have, and of how full claims are.

use crate::model::prometheus::Series;
use crate::model::{ClaimRow, ClaimUse, Interner, Kind, Str, Time, Usage, UsageList, UsageRow};
use std::collections::BTreeMap;

/// Use of one kind that is being told, by namespace (empty for nodes) and name.
pub(super) struct Told {
    kind: Kind,
    rows: BTreeMap<(Str, Str), Usage>,
}

impl Told {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, rows: BTreeMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes the series of an instant query; one that names no object, or nothing that is measured, is left out.
    pub(super) fn take(&mut self, series: &Series, interner: &mut Interner) {
        let label = |name: &str| label(series, name);
        let (namespace, name) = match self.kind {
            Kind::Node => ("", label("node").or_else(|| label("instance").map(without_port))),
            _ => (label("namespace").unwrap_or_default(), label("pod")),
        };
        let (Some(name), Some(sample)) = (name, &series.value) else { return };
        let Some(value) = sample.number().filter(|v| *v >= 0.0) else { return };
        let usage = self.rows.entry((interner.str(namespace), name.into())).or_default();
        match label("resource") {
            Some("cpu") => usage.cpu_m = Some(whole((value * 1000.0).ceil())),
            Some("memory") => usage.memory = Some(whole(value)),
            _ => return,
        }
        usage.at = Time::from_secs(whole(sample.0));
    }

    pub(super) fn list(self) -> UsageList {
        let known = |(_, usage): &((Str, Str), Usage)| usage.at.is_some();
        let rows = self.rows.into_iter().filter(known).map(|((namespace, name), usage)| UsageRow { namespace, name, usage });
        UsageList { kind: self.kind, namespace: None, rows: rows.collect() }
    }
}

/// How full claims are that are being told, by namespace and name.
#[derive(Default)]
pub(super) struct Full(BTreeMap<(Str, Str), ClaimUse>);

impl Full {
    /// Takes the series of an instant query; one that names no claim, or nothing that is measured, is left out.
    pub(super) fn take(&mut self, series: &Series, interner: &mut Interner) {
        let label = |name: &str| label(series, name);
        let (Some(namespace), Some(name), Some(sample)) = (label("namespace"), label("persistentvolumeclaim"), &series.value) else {
            return;
        };
        let Some(share) = sample.number().filter(|v| v.is_finite() && *v >= 0.0) else { return };
        let part: fn(&mut ClaimUse) -> &mut Option<f64> = match label("resource") {
            Some("bytes") => |full| &mut full.bytes,
            Some("inodes") => |full| &mut full.inodes,
            _ => return,
        };
        *part(self.0.entry((interner.str(namespace), name.into())).or_default()) = Some(share);
    }

    pub(super) fn rows(self) -> Vec<ClaimRow> {
        self.0.into_iter().map(|((namespace, name), full)| ClaimRow { namespace, name, full }).collect()
    }
}

fn label<'a>(series: &'a Series, name: &str) -> Option<&'a str> {
    series.metric.get(name).map(String::as_str).filter(|v| !v.is_empty())
}

/// Millicores, bytes, seconds: what does not fit is as large as can be.
#[expect(clippy::cast_possible_truncation, reason = "saturates")]
fn whole(value: f64) -> i64 {
    value as i64
}

fn without_port(instance: &str) -> &str {
    instance.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(instance, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(kind: Kind, series: serde_json::Value) -> Vec<(String, String, Option<i64>, Option<i64>)> {
        let series: Vec<Series> = serde_json::from_value(series).unwrap();
        let mut told = Told::new(kind);
        series.iter().for_each(|s| told.take(s, &mut Interner::default()));
        told.list().rows.into_iter().map(|r| (r.namespace.to_string(), r.name.to_string(), r.usage.cpu_m, r.usage.memory)).collect()
    }

    #[test]
    fn both_resources_of_an_object_are_one_row_and_the_unmeasured_is_unknown() {
        let pod = |pod: &str, resource: &str, value: &str| json!({"metric": {"namespace": "pay", "pod": pod, "resource": resource}, "value": [7, value]});
        let series = json!([
            pod("a", "cpu", "0.0101"), pod("a", "memory", "1048576"), pod("b", "memory", "5"), pod("c", "cpu", "NaN"), pod("d", "disk", "1"),
            {"metric": {"resource": "cpu"}, "value": [7, "1"]}
        ]);
        let row = |name: &str, cpu, memory| ("pay".to_owned(), name.to_owned(), cpu, memory);
        assert_eq!(told(Kind::Pod, series), [row("a", Some(11), Some(1 << 20)), row("b", None, Some(5))]);
    }

    #[test]
    fn a_node_is_its_label_or_its_instance() {
        let node = |labels: serde_json::Value| json!({"metric": labels, "value": [7, "2"]});
        let series = json!([
            node(json!({"resource": "cpu", "node": "n1", "instance": "10.0.0.1:10250"})),
            node(json!({"resource": "cpu", "instance": "n2:10250"})),
            node(json!({"resource": "cpu", "instance": "n3"}))
        ]);
        let names: Vec<_> = told(Kind::Node, series).into_iter().map(|(_, name, cpu, _)| (name, cpu)).collect();
        assert_eq!(names, ["n1", "n2", "n3"].map(|n| (n.to_owned(), Some(2000))));
    }

    #[test]
    fn both_shares_of_a_claim_are_one_row_and_the_unmeasured_is_unknown() {
        let claim = |name: &str, resource: &str, value: &str| json!({"metric": {"namespace": "pay", "persistentvolumeclaim": name, "resource": resource}, "value": [7, value]});
        let series = json!([
            claim("a", "bytes", "0.5"), claim("a", "inodes", "0.25"), claim("b", "bytes", "0"), claim("c", "bytes", "NaN"), claim("d", "files", "1"),
            claim("e", "bytes", "+Inf"), {"metric": {"resource": "bytes", "persistentvolumeclaim": "x"}, "value": [7, "1"]}
        ]);
        let series: Vec<Series> = serde_json::from_value(series).unwrap();
        let mut full = Full::default();
        series.iter().for_each(|s| full.take(s, &mut Interner::default()));
        let rows: Vec<_> = full.rows().into_iter().map(|r| (r.name.to_string(), r.full.bytes, r.full.inodes)).collect();
        assert_eq!(rows, [("a".to_owned(), Some(0.5), Some(0.25)), ("b".to_owned(), Some(0.0), None)]);
    }
}
