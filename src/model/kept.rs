//! What of a plan is kept in the audit log, and what that is enough for: no secrets, and no reports by the hundred kilobytes.

use super::plan::{Inverse, Method, Plan, Step, Write, hex};
use super::policy_report::GROUP;
use super::{Act, VerbId};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// What stands in the place of a body that is not kept.
const DIGEST: &str = "notKept";

impl Write {
    /// Keeps of a report only how many results it has, its size and its digest.
    fn digest(&mut self) {
        if let Some(results) = self.body["results"].as_array() {
            let text = self.body.to_string();
            let digest = hex(&Sha256::digest(&text));
            self.body = json!({DIGEST: {"results": results.len(), "bytes": text.len(), "sha256": digest}});
        }
    }

    /// Whether the body is there to be sent.
    fn kept(&self) -> bool {
        self.body.get(DIGEST).is_none()
    }
}

impl Step {
    /// How to take it back, where the log of it is enough for that: of secrets a hash is kept.
    pub fn way_back(&self) -> Option<&Inverse> {
        // What a deletion says is no secret.
        let plain = |i: &&Inverse| !self.sensitive || i.act.request().is_some_and(|w| w.method == Method::Delete);
        self.undo.as_ref().filter(plain)
    }
    /// Whether the log of it is enough to do it.
    pub fn kept(&self) -> bool {
        !self.sensitive && self.act.request().is_none_or(Write::kept)
    }
}

impl Plan {
    /// The plan as it may be kept: what is sensitive only as salted hashes, reports only by their size and digest.
    pub fn redacted(&self, salt: &str) -> Self {
        let mut plan = self.clone();
        if self.verb == VerbId::Publish || self.parts.contains(&VerbId::Publish) {
            let reports = plan.steps.iter_mut().filter(|s| s.target.resource.group == GROUP);
            reports.filter_map(|s| s.act.request_mut()).for_each(Write::digest);
        }
        for step in plan.steps.iter_mut().filter(|s| s.sensitive) {
            let hide = |v: &mut Value| *v = salted(v, salt).into();
            if let Act::Write(w) = &mut step.act {
                hide(&mut w.body);
            }
            let fields = step.changes.iter_mut().chain(step.undo.iter_mut().flat_map(|u| u.changes.iter_mut()));
            fields.flat_map(|c| [&mut c.before, &mut c.after]).flatten().for_each(hide);
            // What a deletion says is no secret, and it is how something that holds secrets is taken back.
            if let Some(undo) = &mut step.undo
                && let Act::Write(write) = &mut undo.act
                && write.method != Method::Delete
            {
                hide(&mut write.body);
            }
        }
        if plan.steps.iter().any(|s| s.sensitive) {
            plan.args = plan.args.hashed(&["env", "file", "filename"], |value| salted(&Value::from(value), salt));
        }
        plan
    }
}

/// `sha256:` and the digest of salt and value.
fn salted(value: &Value, salt: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(salt.as_bytes());
    digest.update(value.to_string().as_bytes());
    format!("sha256:{}", hex(&digest.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Args, ClusterId, FieldChange, Kind, Target};

    fn target() -> Target {
        Target {
            cluster: ClusterId(0),
            resource: Kind::Deployment.into(),
            namespace: "pay".into(),
            name: "api".into(),
            uid: Some("u1".into()),
        }
    }

    #[test]
    fn nothing_secret_is_left_in_what_is_kept() {
        let mut secret = Plan::new(VerbId::SetEnv, &Args::default(), "set env");
        secret.steps = vec![Step::write("set", &target(), Method::MergePatch, json!({"data": {"token": "canary"}}))];
        let plain = secret.clone();
        secret.args = Args::parse(VerbId::SetEnv.info(), "TOKEN=canary").unwrap();
        let step = &mut secret.steps[0];
        step.sensitive = true;
        step.changes.push(FieldChange { pointer: "/data/token".into(), before: Some(json!("canary")), after: None });
        let text = serde_json::to_string(&secret.redacted("salt")).unwrap();
        assert!(!text.contains("canary") && text.contains("sha256:"), "{text}");
        assert_ne!(salted(&json!("a"), "salt"), salted(&json!("a"), "pepper"));
        assert_eq!(plain.redacted("salt"), plain, "what is not secret stays readable");
    }

    #[test]
    fn of_a_report_that_is_published_the_size_and_digest_are_kept() {
        let step = |message: &str| {
            let target = Target { resource: crate::model::policy_report::resource(true), ..target() };
            let body = json!({"kind": "PolicyReport", "results": [{"message": message}, {"message": "b"}]});
            Step::write("publish 2 findings", &target, Method::Apply, body)
        };
        let mut publish = Plan::new(VerbId::Publish, &Args::default(), "publish");
        publish.steps = vec![step("canary"), Step::write("delete", &target(), Method::Delete, json!({"kind": "DeleteOptions"}))];
        let log = publish.redacted("salt");
        let text = serde_json::to_string(&log).unwrap();
        assert!(!text.contains("canary"), "{text}");
        let digest = &log.steps[0].act.request().unwrap().body["notKept"];
        assert_eq!((&digest["results"], digest["sha256"].as_str().map(str::len)), (&json!(2), Some(64)), "{text}");
        assert_eq!(log.steps.iter().map(Step::kept).collect::<Vec<_>>(), [false, true], "a deletion can be done from the log");
        publish.steps[0] = step("another");
        assert_ne!(publish.redacted("salt").steps[0], log.steps[0], "what was written is told from anything else");
        publish.verb = VerbId::Apply;
        assert!(publish.redacted("salt").steps[0].kept(), "what is applied is kept: it can be gone on with");
    }
}
