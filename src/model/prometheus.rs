//! What a Prometheus or VictoriaMetrics answers to a query (HTTP API v1), naming only the fields that are read.

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
