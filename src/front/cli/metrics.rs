//! The metrics of an inspection, where Prometheus finds them: a file of node_exporter's textfile collector, a Pushgateway.

use super::fail::Failure;
use crate::client::{install_crypto_provider, put_metrics};
use crate::report::{Report, metrics};
use crate::state::write_whole;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where they go.
#[derive(clap::Args, Debug, Clone)]
pub struct Metrics {
    /// Also write the metrics of it into this file, whole or not at all, for node_exporter's textfile collector: its name ends in .prom
    #[arg(long, value_name = "FILE", help_heading = "Metrics")]
    pub metrics_file: Option<PathBuf>,
    /// The mode of that file, octal: node_exporter runs as another user, so that others may read it
    #[arg(long, value_name = "MODE", default_value = "644", value_parser = mode, help_heading = "Metrics")]
    pub metrics_mode: u32,
    /// Also put them into a Pushgateway, http://HOST:PORT: each cluster in a group of its own, in place of what was in it
    #[arg(long, value_name = "URL", help_heading = "Metrics", value_parser = gateway)]
    pub pushgateway: Option<String>,
}

/// Whoever it is told to need not know: arguments stand in lists of processes, and addresses in logs.
fn gateway(text: &str) -> Result<String, String> {
    let url: http::Uri = text.parse().map_err(|_| "no URL: write http://HOST:PORT".to_owned())?;
    match (url.scheme_str(), url.authority()) {
        (Some("http" | "https"), Some(host)) if !host.as_str().contains('@') => Ok(text.to_owned()),
        (Some("http" | "https"), Some(_)) => {
            Err("no user or password in the address: it would stand in lists of processes and in logs".to_owned())
        }
        _ => Err("no URL: write http://HOST:PORT".to_owned()),
    }
}

fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|m| m & !0o666 == 0 && m & 0o600 == 0o600);
    mode.ok_or_else(|| "no mode of a file of ours: write 600, 640 or 644".to_owned())
}

impl Metrics {
    /// Writes and sends what is asked for. `took`: the inspection.
    ///
    /// # Errors
    /// When the file cannot be written, or the Pushgateway does not take it.
    pub fn tell(&self, report: &Report, took: Duration) -> Result<(), Failure> {
        if let Some(path) = &self.metrics_file {
            write(path, &metrics(report, None, took), self.metrics_mode)?;
        }
        let Some(url) = &self.pushgateway else { return Ok(()) };
        install_crypto_provider();
        let runtime = super::runtime()?;
        runtime.block_on(async {
            let mut all = Ok(());
            for cluster in &report.clusters {
                let text = metrics(report, Some(&cluster.name), took);
                let sent = put_metrics(url, &group(&cluster.name), &text).await;
                all = all.and(sent.map_err(|e| Failure::failed("pushgateway", format!("{url}: {}", e.reason()))));
            }
            all
        })
    }
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    write_whole(path, text.as_bytes(), mode).map_err(|e| Failure::failed("metrics", e.to_string()))
}

/// The path of a cluster's group. What a path cannot hold is base64, as the Pushgateway reads it.
fn group(cluster: &str) -> String {
    let plain = !cluster.is_empty() && cluster.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    match plain {
        true => format!("/metrics/job/qd/cluster/{cluster}"),
        false => format!("/metrics/job/qd/cluster@base64/{}", URL_SAFE_NO_PAD.encode(cluster)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::Rules;
    use crate::report::{ClusterReport, Item, NotEvaluated};
    use crate::source::exposition::samples;

    fn item(rule: &str, namespace: Option<&str>, cluster: &str) -> Item {
        let value = serde_json::json!({"rule": rule, "area": "node", "tier": 1, "severity": "warning", "cluster": cluster, "kind": "Node",
            "namespace": namespace, "name": "n", "message": "m", "evidence": [], "remedy": null, "next_step": "", "since": null, "first_seen": ""});
        serde_json::from_value(value).unwrap()
    }

    fn report() -> Report {
        let cluster = |name: &str, score: Option<u8>| -> ClusterReport {
            let value = serde_json::json!({"name": name, "state": "live", "age_s": 0, "message": null, "tier": null, "group": null, "nodes": 1,
                "pods": 1, "score": score, "critical": 0, "warning": 0, "info": 0, "evaluated": 9, "not_evaluated": []});
            serde_json::from_value(value).unwrap()
        };
        let mut odd = cluster("a\\b\"c\nd", Some(90));
        odd.not_evaluated = vec![NotEvaluated { rule: "alert-critical".into(), why: "no alertmanager".into() }];
        let items = vec![item("r", Some("pay"), &odd.name), item("r", Some("pay"), &odd.name), item("r", None, &odd.name)];
        let clusters = vec![odd, cluster("gone", None)];
        Report {
            at: "2026-03-01T02:47:30Z".into(),
            items,
            clusters,
            since: None,
            fixed: Vec::new(),
            incidents: Vec::new(),
            rules: Rules::default(),
        }
    }

    #[test]
    fn our_own_reader_reads_what_is_written() {
        let text = metrics(&report(), None, Duration::from_millis(1500));
        let all: Vec<_> = samples(&text).collect();
        assert_eq!(all.len(), text.lines().filter(|l| !l.starts_with('#')).count(), "every line is one: {text}");
        let of = |name: &str| all.iter().filter(|s| s.name == name).map(|s| (s.label("namespace"), s.value)).collect::<Vec<_>>();
        assert_eq!(of("qd_findings"), [(Some(""), 1.0), (Some("pay"), 2.0)]);
        assert_eq!(of("qd_inspection_duration_seconds"), [(None, 1.5)]);
        assert_eq!(of("qd_inspection_timestamp_seconds"), [(None, 1_772_333_250.0)]);
        assert_eq!(of("qd_cluster_seen"), [(None, 1.0), (None, 0.0)], "one that was not seen says nothing else");
        assert_eq!(of("qd_cluster_score"), [(None, 90.0)]);
        let not = all.iter().find(|s| s.name == "qd_rule_not_evaluated").unwrap();
        assert_eq!((not.label("rule"), not.label("cluster")), (Some("alert-critical"), Some("a\\\\b\\\"c\\nd")));
        let alone = metrics(&report(), Some("gone"), Duration::ZERO);
        assert_eq!(samples(&alone).count(), 1);
    }

    #[test]
    fn each_cluster_has_a_group_of_its_own() {
        assert_eq!(group("prod-eu.1"), "/metrics/job/qd/cluster/prod-eu.1");
        assert_eq!(group("prod eu/1"), "/metrics/job/qd/cluster@base64/cHJvZCBldS8x");
    }

    #[test]
    fn the_file_can_be_read_by_others_only_as_its_mode_says() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("qd.prom");
        for (bits, text) in [(0o644, "644"), (0o600, "600"), (0o640, "640")] {
            write(&path, text, mode(text).unwrap()).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, bits);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
        assert!(mode("777").is_err() && mode("044").is_err() && mode("x").is_err());
    }
}
