//! What Alertmanager answers (API v2, `api/v2/openapi.yaml`), naming only the fields that are projected.

use super::velero::{Mapping, json};
use super::wire::{Time, zero};
use serde::Deserialize;

json! {
    Alert {
        labels: Mapping, annotations: Mapping, starts_at: Option<Time>, updated_at: Option<Time>, fingerprint: String, receivers: Vec<Receiver>,
        status: AlertStatus, #[serde(rename = "generatorURL")] generator_url: String,
    }
    Receiver { name: String, }
    AlertStatus { silenced_by: Vec<String>, inhibited_by: Vec<String>, }

    Silence {
        id: String, status: SilenceStatus, matchers: Vec<Matcher>, starts_at: Option<Time>, ends_at: Option<Time>, updated_at: Option<Time>,
        created_by: String, comment: String, annotations: Mapping,
    }
    SilenceStatus { state: String, }
    Status { cluster: Peers, }
    Peers { status: String, peers: Vec<Peer>, }
    Peer { name: String, address: String, }

    Matcher { name: String, value: String, is_regex: bool, is_equal: Option<bool>, }
}
