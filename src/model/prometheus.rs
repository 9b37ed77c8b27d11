//! What a Prometheus or VictoriaMetrics answers to a query (HTTP API v1), naming only the fields that are read.

use super::Time;
use serde::Deserialize;
use std::collections::BTreeMap;

/// `GET /api/v1/query` and `/api/v1/query_range`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
pub struct Answer {
    /// `success`, or `error` with `error` in words.
    pub status: String,
    #[serde(default)]
    pub error: String,
    #[serde(default)]
    pub data: Data,
}

/// Series, each with one sample or several.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
pub struct Data {
    #[serde(default)]
    pub result: Vec<Series>,
}

/// A series of the answer.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
pub struct Series {
    #[serde(default)]
    pub metric: BTreeMap<String, String>,
    /// Of an instant query.
    pub value: Option<Sample>,
    /// Of a range query, oldest first.
    #[serde(default)]
    pub values: Vec<Sample>,
}

/// `GET /api/v1/rules?type=alert`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
pub struct Rules {
    pub status: String,
    #[serde(default)]
    pub data: Groups,
}

/// The groups of that answer.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
pub struct Groups {
    #[serde(default)]
    pub groups: Vec<Group>,
}

/// Rules that are evaluated together.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
pub struct Group {
    #[serde(default)]
    pub rules: Vec<AlertRule>,
}

/// A rule, with its alerts that are pending or fire.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
pub struct AlertRule {
    #[serde(default)]
    pub alerts: Vec<ActiveAlert>,
}

impl Rules {
    /// The alerts that are pending.
    pub fn pending(&self) -> impl Iterator<Item = &ActiveAlert> {
        self.data.groups.iter().flat_map(|g| &g.rules).flat_map(|r| &r.alerts).filter(|a| a.state == "pending")
    }
}

/// One alert of a rule.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActiveAlert {
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// `pending` or `firing`.
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub active_at: Option<String>,
}

impl ActiveAlert {
    /// Since when its condition holds.
    pub fn since(&self) -> Option<Time> {
        Time::from_secs(self.active_at.as_deref()?.parse::<jiff::Timestamp>().ok()?.as_second())
    }
}

/// Unix seconds, and the number as text: `0.5`, `NaN`, `+Inf`.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub struct Sample(pub f64, pub String);

impl Sample {
    /// The number, unless it is none.
    pub fn number(&self) -> Option<f64> {
        self.1.parse().ok().filter(|n: &f64| n.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_answer_are_read() {
        let instant =
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"job":"a"},"value":[1700000000.1,"0.5"]}]}}"#;
        let answer: Answer = serde_json::from_str(instant).unwrap();
        assert_eq!(answer.data.result[0].value.as_ref().unwrap().number(), Some(0.5));
        let range =
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"NaN"],[2,"1e3"],[3,"+Inf"]]}]}}"#;
        let answer: Answer = serde_json::from_str(range).unwrap();
        let numbers: Vec<_> = answer.data.result[0].values.iter().map(Sample::number).collect();
        assert_eq!(numbers, [None, Some(1000.0), None]);
        let error: Answer = serde_json::from_str(r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#).unwrap();
        assert_eq!((error.status.as_str(), error.error.as_str()), ("error", "parse error"));
    }
}
