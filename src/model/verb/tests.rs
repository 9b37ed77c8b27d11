//! The catalogue is whole, and arguments are read as they are typed.

use super::*;

#[test]
fn the_catalogue_is_in_order_unique_and_documented() {
    let mut names = std::collections::BTreeSet::new();
    let mut lines = std::collections::BTreeSet::new();
    for (n, verb) in VERBS.iter().enumerate() {
        assert_eq!(verb.id as usize, n);
        for name in std::iter::once(&verb.name).chain(verb.aliases) {
            assert!(names.insert(*name), "{name} is there twice");
            assert_eq!(VerbId::find(name), Some(verb.id));
        }
        assert!(lines.insert(verb.cli), "{:?} is there twice", verb.cli);
        assert!(!verb.doc.is_empty() && !verb.doc.ends_with('.'), "{}", verb.name);
        assert!(verb.example.starts_with(&verb.cli.join(" ")), "{}: {}", verb.name, verb.example);
        assert!(verb.params.iter().all(|p| !p.doc.is_empty() && (p.kind == ParamKind::Flag) == p.value.is_empty()), "{}", verb.name);
    }
    assert!(VerbId::Delete.info().irreversible && !VerbId::Scale.info().irreversible);
}

#[test]
fn arguments_are_typed_with_and_without_names() {
    let parse = |verb: VerbId, text| Args::parse(verb.info(), text).map(|a| a.to_string()).map_err(|e| e.to_string());
    assert_eq!(parse(VerbId::Scale, "7").unwrap(), "replicas=7");
    assert_eq!(parse(VerbId::Scale, "replicas=+2 current-replicas=5").unwrap(), "current-replicas=5 replicas=+2");
    assert_eq!(parse(VerbId::Drain, "force --timeout 2m --grace-period=0").unwrap(), "force=true grace-period=0 timeout=2m");
    assert_eq!(parse(VerbId::Label, "a=b c- overwrite").unwrap(), "labels=a=b labels=c- overwrite=true");
    assert_eq!(parse(VerbId::SetEnv, "A=\"b c\"").unwrap(), "env=\"A=b c\"");
    let muted = "comment=\"node work\" for=\"until 08:00\" match=pod=~a.* match=\"x=say \\\"hi\\\"\"";
    assert_eq!(parse(VerbId::Silence, muted).unwrap(), muted);
    assert_eq!(
        parse(VerbId::Silence, "2h comment=x match=a").unwrap_err(),
        "match: `a` is no matcher: write LABEL=VALUE, with =, !=, =~ or !~"
    );
    assert_eq!(parse(VerbId::Silence, "later comment=x").unwrap_err(), "for: `later` is not an end: write 2h, +30m or until 08:00 (UTC)");
    assert_eq!(parse(VerbId::Scale, "").unwrap_err(), "scale needs REPLICAS");
    assert_eq!(parse(VerbId::Scale, "many").unwrap_err(), "replicas: `many` is not a number of replicas: write 5, +2, -1 or 150%");
    assert_eq!(parse(VerbId::Scale, "5 6").unwrap_err(), "`6` is one argument too many");
    assert_eq!(parse(VerbId::Drain, "--timout 2m").unwrap_err(), "unknown argument `timout`; did you mean `timeout`?");
    assert!(parse(VerbId::Resize, "cpu=500m,memory=1Gi limits=cpu=1").is_ok());
    assert!(parse(VerbId::Resize, "gpu=1").is_err());
}

#[test]
fn replicas_in_every_form() {
    let of = |text: &str, now| Replicas::parse(text).map(|r| r.of(now));
    assert_eq!([of("5", 3), of("+2", 3), of("-5", 3), of("150%", 3), of("0", 3)], [Some(5), Some(5), Some(0), Some(5), Some(0)]);
    assert_eq!([of("", 3), of("+", 3), of("5x", 3), of("99999999", 3)], [None; 4]);
}

#[test]
fn a_verb_and_its_arguments_survive_the_journal() {
    let args = Args::parse(VerbId::Label.info(), "a=b c-").unwrap();
    let text = serde_json::to_string(&(VerbId::Label, &args)).unwrap();
    assert_eq!(serde_json::from_str::<(VerbId, Args)>(&text).unwrap(), (VerbId::Label, args));
    assert!(serde_json::from_str::<VerbId>("\"explode\"").is_err());
}
