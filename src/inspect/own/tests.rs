use super::super::fixture::{Fleet, NOW, ago, deployment, pod, running, told};
use super::super::{Engine, Policy, Severity, Thresholds};
use super::*;
use crate::config::{Config, parse_rules};
use crate::model::{ClusterId, Remedy, Service, ServiceState, Signal};
use serde_json::json;
use std::path::Path;

fn rules(text: &str) -> (Rules, Vec<crate::config::OwnRule>, Vec<String>) {
    let (mut config, mut diags) = (Config::default(), Vec::new());
    parse_rules(text, Path::new("r.toml"), &mut config.rules, &mut diags);
    let (rules, more) = Rules::of(&config);
    diags.extend(more);
    (rules, config.rules, diags.iter().map(ToString::to_string).collect())
}

fn fleet(text: &str) -> Fleet {
    let (rules, _, diags) = rules(text);
    assert_eq!(diags, Vec::<String>::new());
    Fleet { engine: Engine::new(Thresholds::of(rules)).with(Policy::default()), ..Fleet::default() }
}

const REPLICAS: &str = "[[rule]]\nid = 'few'\nkind = 'deployment'\nwhen = 'object.spec.replicas < thresholds.least'\nthresholds.least = 3\n\
    message = '{object.spec.replicas} of {thresholds.least} replicas in {cluster.name}'\nevidence.labels = 'object.spec.selector.matchLabels'\n\
    run = 'scale'\nargs = '{thresholds.least}'\nsteps = 'Scale {object.metadata.name}'\n";

#[test]
fn an_object_is_judged_with_words_evidence_and_remedy() {
    let mut f = fleet(REPLICAS);
    f.put(Kind::Deployment, [deployment("web", 2, 2)]);
    let found = f.finding(Kind::Deployment, "web", "few").unwrap();
    assert_eq!(
        (found.message.as_str(), found.next_step.as_str(), found.severity),
        ("2 of 3 replicas in prod", "Scale web", Severity::Warning)
    );
    assert_eq!((found.evidence[0].what.as_str(), found.evidence[0].value.as_str()), ("labels", "app=web"));
    assert!(
        matches!(&found.remedy, Some(Remedy::Act { verb: VerbId::Scale, args, .. }) if args.get("replicas") == Some("3")),
        "{:?}",
        found.remedy
    );
    f.put(Kind::Deployment, [deployment("web", 3, 3)]);
    assert_eq!(f.severity(Kind::Deployment, "web", "few"), None);
    let (rules, ..) = rules(REPLICAS);
    let mut t = Thresholds::of(rules);
    assert_eq!(t.set("few", "least", "2"), Ok(()));
    let mut f = Fleet { engine: Engine::new(t), ..Fleet::default() };
    f.put(Kind::Deployment, [deployment("web", 2, 2)]);
    assert_eq!(f.severity(Kind::Deployment, "web", "few"), None, "a threshold is set");
}

#[test]
fn it_must_be_so_for_a_while() {
    let mut f = fleet(&REPLICAS.replace("kind =", "for = '5m'\nkind ="));
    f.put(Kind::Deployment, [deployment("web", 2, 2)]);
    f.wait(299);
    assert_eq!(f.severity(Kind::Deployment, "web", "few"), None);
    f.wait(1);
    assert_eq!(f.severity(Kind::Deployment, "web", "few"), Some(Severity::Warning));
}

#[test]
fn a_rule_over_time_judges_again_although_nothing_changed() {
    let mut f = fleet(
        "[[rule]]\nid = 'old'\nkind = 'pod'\nwhen = 'now - timestamp(object.metadata.creationTimestamp) > thresholds.age'\nthresholds.age = '1d'\nmessage = 'old'\n",
    );
    let made = |secs: i64| pod(json!({"name": "p", "creationTimestamp": ago(secs)}), "n", true, 10, running());
    f.put(Kind::Pod, [made(86_300)]);
    assert_eq!(f.severity(Kind::Pod, "p", "old"), None);
    f.wait(90).wait(120);
    assert_eq!(f.severity(Kind::Pod, "p", "old"), Some(Severity::Warning));
}

#[test]
fn what_an_object_has_not_fires_nothing_and_what_cannot_be_judged_is_told() {
    let mut f = fleet("[[rule]]\nid = 'odd'\nkind = 'pdb'\nwhen = 'object.spec.minAvailable > 1'\nmessage = 'm'\n");
    let pdb = |name: &str, spec: serde_json::Value| json!({"metadata": {"name": name}, "spec": spec});
    let why = |f: &Fleet| {
        let rules = f.engine.rules();
        rules.named("odd").unwrap().state.told()
    };
    f.put(Kind::Pdb, [pdb("none", json!({})), pdb("two", json!({"minAvailable": 2}))]);
    assert_eq!((f.severity(Kind::Pdb, "none", "odd"), f.severity(Kind::Pdb, "two", "odd")), (None, Some(Severity::Warning)));
    assert_eq!(why(&f), None);
    f.put(Kind::Pdb, [pdb("half", json!({"minAvailable": "50%"}))]);
    assert!(why(&f).unwrap().starts_with("cannot judge pay/half: "), "{:?}", why(&f));
    assert_eq!(f.severity(Kind::Pdb, "two", "odd"), Some(Severity::Warning), "the others are judged");
}

#[test]
fn one_that_costs_too_much_is_off_and_says_so() {
    let l = "object.metadata.finalizers";
    let when = format!("{l}.all(a, {l}.all(b, {l}.all(c, {l}.all(d, a == b || true)))) && object.metadata.name != 'x'");
    let mut f = fleet(&format!("[[rule]]\nid = 'loop'\nkind = 'namespace'\nwhen = \"{when}\"\nmessage = 'm'\n"));
    let of = |name: &str, n: usize| json!({"metadata": {"name": name, "finalizers": (0..n).map(|i| format!("f{i}")).collect::<Vec<_>>()}});
    f.put(Kind::Namespace, [of("small", 2)]);
    assert_eq!(f.severity(Kind::Namespace, "small", "loop"), Some(Severity::Warning));
    f.put(Kind::Namespace, [of("large", 30)]);
    assert_eq!(f.severity(Kind::Namespace, "large", "loop"), None);
    assert_eq!(f.severity(Kind::Namespace, "small", "loop"), None, "it found what it found before, and is not believed any more");
    let rule = f.engine.rules().find("loop").unwrap();
    let why = f.engine.not_evaluated(rule, &f.store.clusters()[0]).unwrap();
    assert_eq!(why, "off: large took more than 2000 steps");
}

#[test]
fn a_limit_of_promql_is_a_rule_over_a_query() {
    let text = "[[rule]]\nid = 'queue'\npromql = 'sum by ($by queue) (depth{$match})'\nwarning = 10\ncritical = 100\nfor = '2m'\nmessage = '{labels.queue} has {shown}'\n\
        evidence.twice = 'value * 2.0'\n[[rule.case]]\nvalue = 10\nlabels.queue = 'mail'\nfires = true\nmessage = 'mail has 10'\n[[rule.case]]\nvalue = 9\nfires = false\n";
    let (all, written, diags) = rules(text);
    assert_eq!(diags, Vec::<String>::new());
    assert!(run_cases(&all, &written, NOW).iter().all(|c| c.wrong.is_none()), "{:?}", run_cases(&all, &written, NOW));
    let mut f = fleet(text);
    let crate::config::Condition::Query(query) = &written[0].condition else { panic!() };
    let signal = Signal::of(query, crate::model::signal::tests::labels(&[("queue", "mail")]), 100.0, [100.0].into());
    let uid = signal.meta.uid;
    told(&mut f, Service::Prometheus, ServiceState::Live, vec![Object::Signal(signal.into())]);
    f.wait(119);
    assert!(f.engine.for_object(ClusterId(0), uid).is_empty());
    f.wait(1);
    let found = &f.engine.for_object(ClusterId(0), uid)[0];
    assert_eq!((found.severity, found.message.as_str()), (Severity::Critical, "mail has 100"));
    assert!(found.evidence.iter().any(|e| e.what == "twice" && e.value == "200"), "{:?}", found.evidence);
}

#[test]
fn mistakes_are_told_at_their_place() {
    let said = |when: &str, more: &str| {
        let (rules, _, diags) =
            rules(&format!("[[rule]]\nid = 'x'\nkind = ['pod', 'deployment']\nwhen = \"{when}\"\nmessage = 'm'\n{more}\n"));
        assert!(!rules.is_own("x"), "{when}");
        diags.join("\n")
    };
    let kept = said("object.spec.template.spec.dnsPolicy == 'x'", "");
    assert!(kept.contains("r.toml:4:8: `spec.template.spec.dnsPolicy` of a Deployment is not kept by qd"), "{kept}");
    assert!(kept.contains("of a Pod") && kept.contains("spec.template.spec.containers"), "{kept}");
    assert!(said("object.spec.nodeName == 'x'", "").contains("`spec.nodeName` of a Deployment"));
    assert!(said("object.metadata.annotations['a'] == 'x'", "").contains("metadata.annotations"));
    assert!(said("object.metadata.name ==", "").contains("r.toml:4:8: it does not parse: 1:"));
    assert!(said("true", "evidence.a = 'objet'").contains("r.toml:6:14: unknown variable `objet`; did you mean `object`?"));
    assert!(said("thresholds.mst > 1", "thresholds.most = 3").contains("unknown threshold `mst`; did you mean `most`?"));
    assert!(said("true", "run = 'cordon'").contains("r.toml:6:7: `cordon` is not done to a Pod"));
    assert!(said("now > timestamp('2026-01-01T00:00:00Z')", "for = '1m'").contains("exclude each other"));
    let taken = "[[rule]]\nid = 'pdb-missing'\nkind = 'pod'\nwhen = 'true'\nmessage = 'm'\n";
    assert!(rules(taken).2[0].contains("r.toml:2:6: `pdb-missing` is a rule of qd's"));
}

#[test]
fn a_case_is_judged_as_a_whole_and_as_it_is_kept() {
    let case = |fires: bool, object: &str| format!("[[rule.case]]\nfires = {fires}\nobject = '''\n{object}'''\n");
    let text = format!(
        "{REPLICAS}{}{}{}{}",
        case(true, "kind: Deployment\nspec: {replicas: 2}\n"),
        case(false, "kind: Deployment\nspec: {replicas: 3}\n"),
        case(true, "kind: Deployment\nspec: {replicas: 3}\n"),
        case(true, "kind: Deployment\nspec: {paused: true}\n"),
    );
    let (rules, written, diags) = rules(&text);
    assert_eq!(diags, Vec::<String>::new());
    let wrong: Vec<Option<String>> = run_cases(&rules, &written, NOW).into_iter().map(|c| c.wrong).collect();
    assert_eq!(wrong[..2], [None, None]);
    assert_eq!(wrong[2].as_deref(), Some("it finds nothing"));
    assert_eq!(wrong[3].as_deref(), Some("it finds nothing"), "what the API server would fill in is not there");
}
