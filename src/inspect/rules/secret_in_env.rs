//! Secrets written out in a template.
//!
//! What they are is judged when the object is read, and only their names, forms and lengths are kept. Left out: ConfigMaps, which are not read.

use super::lint::{TEMPLATED, Whole, several};
use crate::inspect::{Judge, RuleInfo, Severity, Verdict};
use crate::model::Leak;

pub static RULE: RuleInfo = RuleInfo {
    id: "secret-in-env",
    area: "security",
    tier: 2,
    burns: false,
    severity: Severity::Critical,
    scope: "workload, by container",
    summary: "A variable or an argument holds what looks like a secret: a warning, critical for private keys and cloud keys; info: variables of core workloads from Secrets",
    why: "Literals are readable by anyone who can read pods, and stay in etcd history, Helm secrets and Git.",
    kinds: TEMPLATED,
    needs: &[],
    leans_on: &[],
    thresholds: &[],
    peers: &["polaris:sensitiveContainerEnvVar", "kube-linter:env-var-secret", "kube-linter:read-secret-from-env-var"],
    links: &["https://kubernetes.io/docs/concepts/security/secrets-good-practices/"],
    judge,
};

fn judge(judge: &Judge<'_>) -> Verdict {
    let Some(whole) = Whole::of(judge) else { return Verdict::Fine };
    let all = || whole.template.containers.iter().flat_map(|c| c.literals.iter().map(move |l| (c, l)));
    if let Some((_, worst)) = all().max_by_key(|(_, l)| l.looks) {
        let severity = if worst.looks >= Leak::CloudKey { Severity::Critical } else { Severity::Warning };
        let names: Vec<String> = all().map(|(_, l)| l.name.to_string()).collect();
        let mut finding = judge.finding(severity, None, format!("{} written out: looks like {}", several(names, 2), worst.looks.words()));
        for (c, l) in all().take(8) {
            let place = if l.argument { "argument" } else { "env" };
            finding = finding.with(
                &format!("{} {place} {}", c.name, l.name),
                format!("looks like {}, {} characters", l.looks.words(), l.length),
                None,
            );
        }
        let next = "Put it in a Secret and name that with secretKeyRef or a volume; then make a new one, for this one has been read";
        return whole.verdict(judge, Some(finding.then(next).edit()));
    }
    let refs: Vec<String> =
        whole.template.containers.iter().flat_map(|c| c.secret_env.iter().map(move |n| format!("{}: {n}", c.name))).collect();
    if refs.is_empty() || !whole.core() {
        return Verdict::Fine;
    }
    let finding = judge
        .finding(Severity::Info, None, format!("{} of its variables come from Secrets", refs.len()))
        .with("variables", several(refs, 8), None)
        .then("Mount them as files where the program can read them: variables show in dumps and in every child process");
    whole.verdict(judge, Some(finding.edit()))
}

#[cfg(test)]
mod tests {
    use super::super::lint::tests::one;
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn literals_by_their_names_and_forms() {
        let rule = |c: Value, core| one(RULE.id, c, core).map(|f| f.0);
        let env = |name: &str, value: &str| json!({"env": [{"name": name, "value": value}]});
        assert_eq!(rule(env("LOG_LEVEL", "info"), true), None);
        assert_eq!(rule(env("DB_PASSWORD", "hunter2"), false), Some(Severity::Warning));
        assert_eq!(rule(env("X", concat!("AK", "IA", "ABCDEFGHIJKLMNOP")), false), Some(Severity::Critical));
        assert_eq!(rule(json!({"args": ["--token=abcdef"]}), false), Some(Severity::Warning));
        let from = json!({"env": [{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]});
        assert_eq!((rule(from.clone(), false), rule(from, true)), (None, Some(Severity::Info)));
    }

    #[test]
    fn what_is_said_has_no_value_in_it() {
        let mut fleet = crate::inspect::fixture::Fleet::default();
        let spec =
            json!({"containers": [{"name": "app", "env": [{"name": "DB_PASSWORD", "value": "hunter2"}], "args": ["--token", "hunter22"]}]});
        fleet.put(crate::model::Kind::Deployment, [super::super::lint::tests::with(spec, false)]);
        let finding = fleet.finding(crate::model::Kind::Deployment, "web", RULE.id).unwrap();
        let text = format!("{finding:?}");
        assert!(!text.contains("hunter"), "{text}");
        assert_eq!(finding.message, "DB_PASSWORD, --token written out: looks like a secret by its name");
        assert_eq!(finding.evidence[0].what, "app env DB_PASSWORD");
        assert_eq!(finding.evidence[0].value, "looks like a secret by its name, 7 characters");
    }
}
