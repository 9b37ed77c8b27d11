use super::*;
use std::time::Duration;

fn parse(text: &str) -> Loaded {
    Config::parse(text, Path::new("/etc/qd/config.toml"))
}

/// `line: message` of each mistake.
fn mistakes(text: &str) -> Vec<String> {
    parse(text).diags.iter().map(|diag| format!("{}: {}", diag.line, diag.message)).collect()
}

fn at(setting_origin: &Origin) -> u32 {
    line(setting_origin)
}

const CONTRACT: &str = r#"read_only = false
theme = "dark"
keymap = "default"

[clusters."prod-*"]
name = "prod eu"              # what is shown and, in production, typed
tier = "production"           # production, staging, development; decides guardrails
group = "room-a"
read_only = false
namespaces = ["pay", "shop"]  # default: all
budget = { requests_per_second = 20, burst = 40 }

[clusters.prod-eu.etcd]
endpoints = ["https://10.0.0.1:2379"]
ca = "/etc/qd/etcd-ca.crt"
cert = "/etc/qd/etcd.crt"
key = "/etc/qd/etcd.key"
snapshots = "/var/backups/etcd"
snapshot_jobs = "kube-system/app=etcd-backup,tier in (a,b)"

[clusters.prod-eu.alertmanager]
urls = ["https://am-0:9093", "https://am-1:9093"]   # or service = "monitoring/alertmanager-operated:9093"
cluster_label = "cluster"

[clusters.prod-eu.prometheus]
url = "https://prometheus:9090"                     # or service = "..."; VictoriaMetrics the same

[clusters.prod-eu.velero]
namespace = "velero"
rpo = "24h"

[tiers.production]
confirm = "typed"             # typed, yes, none
reason = "required"           # required, optional
max_parallel = 1
deny = ["delete namespace/*"]
"#;

#[test]
fn the_contract_is_read_whole() {
    let loaded = parse(CONTRACT);
    assert_eq!(loaded.diags, []);
    let eu = loaded.config.for_cluster("prod-eu");
    assert_eq!((eu.name.as_str(), at(&eu.name.origin)), ("prod eu", 6));
    assert_eq!((eu.tier.value, at(&eu.tier.origin)), (Some(Tier::Production), 7));
    assert_eq!(eu.group.as_deref(), Some("room-a"));
    assert!(!eu.read_only.value && eu.read_only_because.is_none());
    assert_eq!(eu.namespaces.value, ["pay", "shop"]);
    assert_eq!((eu.budget.requests_per_second.value, eu.budget.burst.value), (20.0, 40));
    assert_eq!(at(&eu.budget.burst.origin), 11);
    assert_eq!(eu.etcd.endpoints.value, ["https://10.0.0.1:2379"]);
    assert_eq!(eu.etcd.tls.key.as_deref(), Some(Path::new("/etc/qd/etcd.key")));
    assert_eq!(eu.etcd.snapshots.as_deref(), Some(Path::new("/var/backups/etcd")));
    let jobs = eu.etcd.snapshot_jobs.as_ref().unwrap();
    assert_eq!((jobs.namespace.as_str(), jobs.to_string().as_str()), ("kube-system", "kube-system/app=etcd-backup,tier in (a,b)"));
    let urls = vec!["https://am-0:9093".to_owned(), "https://am-1:9093".to_owned()];
    assert_eq!(eu.alertmanager.reach.value, Some(Reach::Urls(urls)));
    assert_eq!(eu.prometheus.reach.value, Some(Reach::Urls(vec!["https://prometheus:9090".to_owned()])));
    assert_eq!(eu.velero.rpo.value, Some(Duration::from_secs(86_400)));
    let rules = loaded.config.tiers.get(Tier::Production);
    assert_eq!((rules.confirm.value, rules.reason.value), (Confirm::Typed, Reason::Required));
    assert_eq!((rules.deny[0].as_str(), at(&rules.deny[0].origin)), ("delete namespace/*", 36));

    let us = loaded.config.for_cluster("prod-us");
    assert_eq!(us.tier.value, Some(Tier::Production));
    assert!(us.etcd.endpoints.is_empty(), "the exact table is another cluster's");
}

#[test]
fn an_unknown_context_has_the_defaults() {
    let set = ClusterSettings { read_only: parse(CONTRACT).config.read_only, ..ClusterSettings::new("lab") };
    assert_eq!(parse(CONTRACT).config.for_cluster("lab"), set);
    assert_eq!(Config::default().for_cluster("lab"), ClusterSettings::new("lab"));
}

#[test]
fn where_findings_are_from_is_one_of_two_words() {
    let findings = |text: &str| Config::parse(text, Path::new("/etc/qd/config.toml"));
    let of = |loaded: &Loaded, context: &str| loaded.config.for_cluster(context).findings.value;
    let loaded = findings("[clusters.'prod-*']\nfindings = \"reports\"\n");
    assert_eq!(loaded.diags, []);
    assert_eq!((of(&loaded, "prod-eu"), of(&loaded, "dev")), (Findings::Reports, Findings::Computed));
    let loaded = findings("[clusters.prod]\nfindings = \"report\"\n");
    let said = loaded.diags[0].to_string();
    assert!(said.starts_with("/etc/qd/config.toml:2:12: unknown source of findings `report`; did you mean `reports`?"), "{said}");
    assert!(said.contains("hint: one of computed, reports"), "{said}");
    assert_eq!(of(&loaded, "prod"), Findings::Computed);
}

#[test]
fn an_unknown_key_at_each_level_names_its_line_and_the_nearest() {
    let cases = [
        ("\ntheem = 'dark'", "2: unknown key `theem`; did you mean `theme`?"),
        ("[cluster.a]\nname = 'a'", "1: unknown key `cluster`; did you mean `clusters`?"),
        ("[clusters.a]\nteir = 'staging'", "2: unknown key `teir`; did you mean `tier`?"),
        ("[clusters.a]\n\n[clusters.a.budget]\nbrust = 1", "4: unknown key `brust`; did you mean `burst`?"),
        ("clusters.a.etcd.endpoint = []", "1: unknown key `endpoint`; did you mean `endpoints`?"),
        ("[clusters.a.alertmanager]\nurl = ''", "2: unknown key `url`; did you mean `urls`?"),
        ("[clusters.a.prometheus]\nulr = ''", "2: unknown key `ulr`; did you mean `url`?"),
        ("[clusters.a.velero]\nrop = ''", "2: unknown key `rop`; did you mean `rpo`?"),
        ("[tiers.staging]\n\nconfirms = 'yes'", "3: unknown key `confirms`; did you mean `confirm`?"),
        ("[tiers.stagging]", "1: unknown tier `stagging`; did you mean `staging`?"),
        ("[log]\nlevle = 'info'", "2: unknown key `levle`; did you mean `level`?"),
        ("[layouts.a]\nrow = []\nrows = [{height = 1, tiles = ['a']}]", "2: unknown key `row`; did you mean `rows`?"),
        ("[layouts.a]\nrows = [\n{height = 1, tile = 'a', tiles = ['a']}]", "3: unknown key `tile`; did you mean `tiles`?"),
        ("quarterdeck = 1", "1: unknown key `quarterdeck`"),
    ];
    for (text, wanted) in cases {
        assert_eq!(mistakes(text), [wanted], "{text}");
    }
}

#[test]
fn an_unknown_value_names_its_line_and_what_is_wrong() {
    let cases = [
        ("[clusters.a]\ntier = 'prodution'", "2: unknown tier `prodution`; did you mean `production`?"),
        ("[tiers.staging]\nconfirm = 'type'", "2: unknown confirmation `type`; did you mean `typed`?"),
        ("[tiers.staging]\nmax_parallel = 0", "2: expected a whole number from 1 to 10000"),
        ("[tiers.staging]\ndeny = 'x'", "2: expected an array, found a string"),
        ("log.level = 'verbose'", "1: unknown log level `verbose`"),
        ("read_only = 'yes'", "1: expected true or false, found a string"),
        ("theme = 3", "1: expected a string, found an integer"),
        ("theme = ''", "1: an empty text says nothing here"),
        ("clusters = 1", "1: expected a table, found an integer"),
        ("[clusters]\na = 1", "2: expected a table, found an integer"),
        ("[clusters.'a[']", "1: `a[` is no pattern: unclosed character class; missing ']'"),
        ("[clusters.a]\nnamespaces = []", "2: an empty list says nothing here"),
        ("[clusters.a.budget]\nrequests_per_second = 0", "2: expected more than 0"),
        ("[clusters.a.budget]\nrequests_per_second = nan", "2: not a number that can be used here"),
        ("[clusters.a.velero]\nrpo = '24 hours'", "2: `24 hours` is no duration"),
        ("[clusters.a.etcd]\nendpoints = ['https://a', '10.0.0.1:2379']", "2: expected an address that begins with http:// or https://"),
        ("[clusters.a.prometheus]\nservice = 'vm:80'", "2: expected a service as namespace/name:port"),
        ("[clusters.a.prometheus]\nurl = 'http://a'\nservice = 'a/b:1'", "3: `url` and `service` exclude each other"),
        ("[clusters.a.prometheus]\nurl = 'http://a'\nvia = 'port-forward'", "3: `via` is for a `service`, not for `url`"),
        ("[clusters.a.alertmanager]\nvia = 'portforward'", "2: unknown way `portforward`; did you mean `port-forward`?"),
        ("[clusters.a.etcd]\nvia = 'service-proxy'", "2: etcd's certificates do not pass the service proxy: port-forward, or leave it out"),
        ("[clusters.a.etcd]\nsecret = 'etcd-client'", "2: expected a Secret as namespace/name"),
        ("[clusters.a.etcd]\nsnapshot_jobs = 'etcd-backup'", "2: expected CronJobs as namespace/labels"),
        ("[clusters.a.etcd]\nca = 'a'\nsecret = 'a/b'", "3: `ca` and `secret` exclude each other"),
        (
            "[clusters.a.etcd]\nendpoints = ['https://a']\nvia = 'port-forward'",
            "3: `endpoints` and `via` exclude each other: via reaches the pods that are found",
        ),
        ("[layouts.a]", "1: layout `a` has no rows"),
        ("[layouts.a]\nrows = [{height = 2}]", "2: a row has a height and tiles"),
        ("[columns]\npods = []", "2: an empty list says nothing here"),
        ("[groups]\nroom = ['{a']", "2: `{a` is no pattern: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)"),
    ];
    for (text, wanted) in cases {
        assert_eq!(mistakes(text), [wanted], "{text}");
    }
}

#[test]
fn all_mistakes_are_found_in_one_go_and_the_rest_holds() {
    let text = "theme = 1\nkeymap = 'vim'\n[clusters.a]\nname = 'x'\nnames = 'y'\n[log]\nlevel = 'inf'\n";
    assert_eq!(
        mistakes(text),
        [
            "1: expected a string, found an integer",
            "5: unknown key `names`; did you mean `name`?",
            "7: unknown log level `inf`; did you mean `info`?",
        ]
    );
    let config = parse(text).config;
    assert_eq!((config.theme.as_str(), config.keymap.as_str()), ("dark", "vim"));
    assert_eq!(config.for_cluster("a").name.as_str(), "x");
}

#[test]
fn columns_count_characters_and_the_file_is_named() {
    let loaded = parse("[clusters.a]\nname = 'ß'  \ntier = 'x'");
    assert!(loaded.diags[0].to_string().starts_with("/etc/qd/config.toml:3:8: unknown tier `x`\n  hint: one of "));
}

#[test]
fn the_most_specific_table_wins_key_by_key() {
    let config = parse(
        "[clusters.prod-eu]\ngroup = 'exact'\n[clusters.'prod-*']\ngroup = 'glob'\nname = 'glob'\n\
         [clusters.'*']\ngroup = 'all'\nname = 'all'\nnamespaces = ['a']\n[clusters.'prod-?u']\nname = 'longer'\n",
    );
    assert_eq!(config.diags, []);
    let eu = config.config.for_cluster("prod-eu");
    assert_eq!(eu.group.as_deref(), Some("exact"));
    assert_eq!((eu.name.as_str(), at(&eu.name.origin)), ("longer", 11));
    assert_eq!((eu.namespaces.value.len(), at(&eu.namespaces.origin)), (1, 9));
    assert_eq!(config.config.for_cluster("prod-ap").name.as_str(), "glob");
    assert_eq!(config.config.for_cluster("lab").name.as_str(), "all");
}

#[test]
fn among_equally_specific_globs_the_later_line_wins() {
    let config = parse("[clusters.'*-eu']\nname = 'first'\n[clusters.'a-e*']\nname = 'later'\n").config;
    assert_eq!(config.for_cluster("a-eu").name.as_str(), "later");
}

#[test]
fn a_cluster_may_leave_the_general_read_only() {
    let config = parse("read_only = true\n[clusters.'dev-*']\nread_only = false\n").config;
    assert!(!config.for_cluster("dev-1").read_only.value);
    let prod = config.for_cluster("prod");
    assert!(prod.read_only.value);
    assert_eq!(prod.read_only_because.as_deref(), Some("read_only is set at /etc/qd/config.toml:1"));
}

#[test]
fn a_mistake_that_safety_depends_on_makes_read_only_what_it_concerns() {
    // Text, the clusters that become read-only, those that do not.
    let cases: [(&str, &[&str], &[&str]); 15] = [
        ("[clusters.'prod-*']\ntier = 'prodution'", &["prod-eu"], &["lab"]),
        ("[clusters.'prod-*']\nread_only = 'false'", &["prod-eu"], &["lab"]),
        ("[clusters.'prod-*']\nteir = 'production'", &["prod-eu"], &["lab"]),
        ("[clusters.'prod-*']\nreadonly = true", &["prod-eu"], &["lab"]),
        ("[clusters]\nprod-eu = 3", &["prod-eu"], &["lab"]),
        ("[clusters.'prod-*']\ntier = 'x'\n[clusters.prod-eu]\ntier = 'staging'", &["prod-eu"], &["lab"]),
        ("read_only = 'true'", &["prod-eu", "lab"], &[]),
        ("[cluster.prod-eu]\ntier = 'production'", &["prod-eu", "lab"], &[]),
        ("[clusters.'prod[']\ntier = 'production'", &["prod-eu", "lab"], &[]),
        ("[tiers.prod]\nconfirm = 'typed'", &["prod-eu", "lab"], &[]),
        ("[clusters.prod-eu]\ntier = 'production'\n[tiers.production]\nconfirms = 'typed'", &["prod-eu"], &["lab"]),
        ("[clusters.prod-eu]\ntier = 'staging'\n[tiers.production]\nconfirm = 1", &[], &["prod-eu", "lab"]),
        ("[clusters.lab]\ntier = 'staging'\n[tiers.production]\nconfirm = 1\n[tiers.staging]\ndeny = 1", &["lab"], &["x"]),
        ("this is no toml", &["prod-eu", "lab"], &[]),
        ("theme = 3\n[clusters.lab]\nnames = 'x'", &[], &["prod-eu", "lab"]),
    ];
    for (text, locked, free) in cases {
        let loaded = parse(text);
        assert!(loaded.has_errors(), "{text}");
        for context in locked {
            let settings = loaded.config.for_cluster(context);
            assert!(settings.read_only.value, "{context} with {text}");
            let because = settings.read_only_because.unwrap_or_default();
            assert!(because.starts_with("a mistake in the settings: /etc/qd/config.toml:"), "{because}");
        }
        for context in free {
            assert!(!loaded.config.for_cluster(context).read_only.value, "{context} with {text}");
        }
    }
}

#[test]
fn the_reason_is_the_mistake_that_matters() {
    let because = |text: &str| parse(text).config.for_cluster("a").read_only_because.unwrap_or_default();
    assert!(because("apple = 1\ncluster = 1").ends_with(":2:1: unknown key `cluster`; did you mean `clusters`?"));
    assert!(because("[clusters.a]\nnames = 'x'\nteir = 'x'").ends_with(":3:1: unknown key `teir`; did you mean `tier`?"));
}

#[test]
fn a_broken_line_is_reported_once_and_the_others_are_read() {
    let loaded = parse("theme = \nkeymap = 'vim'\nfoo = 1\n");
    let lines: Vec<_> = loaded.diags.iter().map(|diag| diag.line).collect();
    assert_eq!(lines, [1, 3]);
    assert_eq!(loaded.config.keymap.as_str(), "vim");
}

#[test]
fn secrets_are_named_by_file_and_never_repeated() {
    let text = "[clusters.a.alertmanager]\nurls = ['https://u:hunter2@am:9093']\npassword = 'hunter2'\ntoken = 'hunter2'\nusername = 5\n";
    let loaded = parse(text);
    let said = loaded.diags.iter().map(|diag| format!("{diag}\n")).collect::<String>();
    assert!(said.contains("unknown key `password`; did you mean `password_file`?\n  hint: secrets are named by file"), "{said}");
    assert!(said.contains("unknown key `token`; did you mean `token_file`?"), "{said}");
    assert!(said.contains(":2:9: an address must not hold a user or password"), "{said}");
    assert!(!format!("{said}{loaded:?}").contains("hunter2"));
}

#[test]
fn paths_start_at_home_or_at_the_file() {
    let config = parse("[clusters.a.etcd]\nca = 'ca.crt'\ncert = '~/c.crt'\nkey = '/k'").config;
    let tls = config.for_cluster("a").etcd.tls;
    assert_eq!(tls.ca.as_deref(), Some(Path::new("/etc/qd/ca.crt")));
    assert!(tls.cert.value.is_some_and(|path| path.is_absolute() && path.ends_with("c.crt")));
    assert_eq!(tls.key.as_deref(), Some(Path::new("/k")));
}

#[test]
fn layouts_columns_and_thresholds_are_data_with_their_places() {
    let loaded = parse(
        "layout = 'night'\n[layouts.night]\nrows = [\n  { height = 7, tiles = ['nodes', 'workloads'] },\n  { height = 2, tiles = ['evnts'] },\n]\n\
         [columns]\npods = ['cluster', 'nmae']\n[thresholds.pod-pending]\nafter = '5m'\nover = 3\n",
    );
    assert_eq!(loaded.diags, []);
    let config = loaded.config;
    let [layout] = config.layouts.as_slice() else { panic!("one layout") };
    assert_eq!((layout.name.as_str(), layout.rows.len(), layout.rows[0].height), ("night", 2, 7));
    let diag = layout.rows[1].tiles[0].unknown("pane", ["events", "nodes"]);
    assert_eq!(diag.to_string(), "/etc/qd/config.toml:5:26: unknown pane `evnts`; did you mean `events`?");
    assert_eq!((config.columns[0].pane.as_str(), config.columns[0].names[1].as_str()), ("pods", "nmae"));
    let thresholds: Vec<_> = config.thresholds.iter().map(|t| (t.rule.as_str(), t.key.as_str(), t.value.clone())).collect();
    let after = ThresholdValue::Duration(Duration::from_secs(300));
    assert_eq!(thresholds, [("pod-pending", "after", after), ("pod-pending", "over", ThresholdValue::Number(3.0))]);
}

#[test]
fn groups_give_and_select_clusters() {
    let config = parse("[groups]\nroom-a = ['prod-*']\nroom-b = ['*']\n[clusters.lab-1]\ngroup = 'bench'\nname = 'Bench One'\n").config;
    assert_eq!(config.for_cluster("prod-eu").group.as_deref(), Some("room-a"));
    assert_eq!(config.for_cluster("lab-1").group.as_deref(), Some("bench"));
    let contexts = ["prod-eu", "lab-1", "lab-2"].map(str::to_owned);
    let select = |pattern: &str| config.select(pattern, &contexts).map_err(|diag| diag.to_string());
    assert_eq!(select("room-a").unwrap(), ["prod-eu"]);
    assert_eq!(select("room-b").unwrap().len(), 3);
    assert_eq!(select("Bench*").unwrap(), ["lab-1"]);
    assert_eq!(select("lab-?").unwrap(), ["lab-1", "lab-2"]);
    assert_eq!(select("room-c").unwrap_err(), "unknown cluster or group `room-c`; did you mean `room-a`?");
}

#[test]
fn a_table_that_matches_no_context_is_a_warning() {
    let loaded = parse("[clusters.prod-ue]\n[clusters.'x-*']\n[clusters.'prod-*']\n[groups]\na = ['y']\n");
    let contexts = ["prod-eu".to_owned()];
    assert_eq!(
        loaded.check(&contexts),
        "/etc/qd/config.toml:1:11: warning: no context of the kubeconfig matches `prod-ue`; did you mean `prod-eu`?\n\
         /etc/qd/config.toml:2:11: warning: no context of the kubeconfig matches `x-*`\n\
         /etc/qd/config.toml:5:6: warning: no context of the kubeconfig matches `y`\n\
         /etc/qd/config.toml: 0 errors, 3 warnings\n"
    );
    assert!(loaded.check(&[]).ends_with("0 errors, 0 warnings\n"), "nothing to compare with");
}

#[test]
fn show_says_where_each_value_came_from_and_is_valid() {
    let text = format!(
        "layout = 'n'\nlayouts.n.rows = [{{height=1,tiles=['a']}}]\ncolumns.pods = ['a']\nthresholds.r.x = '5m'\ngroups.g = ['prod-*']\n{CONTRACT}"
    );
    let shown = parse(&text).config.show(&["prod-eu".to_owned(), "a:b/c".to_owned()]);
    for line in [
        "theme = \"dark\"                           # /etc/qd/config.toml:7",
        "[clusters.prod-eu]",
        "tier = \"production\"                      # /etc/qd/config.toml:12",
        "rpo = \"1d\"                               # /etc/qd/config.toml:35",
        "[clusters.\"a:b/c\".budget]",
        "burst = 40                               # default",
        "confirm = \"yes\"                          # default",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "no line {line:?} in\n{shown}");
    }
    assert!(!shown.contains("\n[clusters.\"a:b/c\".etcd]"), "nothing is set there");
    let again = parse(&shown);
    assert_eq!(again.diags, [], "{shown}");
    assert_eq!(again.config.for_cluster("prod-eu").velero.rpo.value, Some(Duration::from_secs(86_400)));
}

#[test]
fn show_says_why_a_cluster_is_read_only() {
    let shown = parse("[clusters.a]\ntier = 'x'").config.show(&["a".to_owned()]);
    assert!(shown.contains("# a mistake in the settings: /etc/qd/config.toml:2:8: unknown tier `x`\n"), "{shown}");
}

#[test]
fn the_register_of_keys_is_documented_and_each_key_is_read() {
    for (table, keys) in TABLES {
        let mut names: Vec<_> = keys.iter().map(|key| key.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), keys.len(), "[{table}] has a key twice");
        for key in *keys {
            assert!(!key.doc.is_empty());
            // No key takes a date: a key that is read says so.
            let header = table.replace("CONTEXT", "a").replace("TIER", "staging").replace("NAME", "n");
            let entry = format!("{} = 1979-05-27", key.name);
            let text = match header.as_str() {
                "" => entry,
                "layouts.n.rows[]" => {
                    let other = if key.name == "height" { "tiles = ['a']" } else { "height = 1" };
                    format!("[layouts.n]\nrows = [{{ {entry}, {other} }}]")
                }
                "runbook[]" => {
                    let other = if key.name == "name" { "" } else { "name = 'n'" };
                    format!("[[runbook]]\n{entry}\n{other}")
                }
                "query[]" => {
                    let other = if key.name == "name" { "" } else { "name = 'n'" };
                    let known = if ["name", "off"].contains(&key.name) { "" } else { "[[query]]\nname = 'n'\nexpr = 'up'" };
                    format!("{known}\n[[query]]\n{entry}\n{other}")
                }
                "runbook[].step[]" => {
                    let other = if ["run", "wait", "check"].contains(&key.name) { "" } else { "run = 'drain'" };
                    format!("[[runbook]]\nname = 'n'\n[[runbook.step]]\n{entry}\n{other}")
                }
                "rule[]" => {
                    let series = ["promql", "needs", "measure", "warning", "critical", "top"].contains(&key.name);
                    let other = if series {
                        "id = 'n'\npromql = 'up'\nwarning = 1"
                    } else {
                        "id = 'n'\nkind = 'pod'\nwhen = 'true'\nrun = 'drain'"
                    };
                    let rest = other.lines().filter(|l| !l.starts_with(&format!("{} =", key.name))).collect::<Vec<_>>().join("\n");
                    format!("[[rule]]\n{entry}\n{rest}")
                }
                "rule[].case[]" => {
                    let series = ["value", "labels"].contains(&key.name);
                    let rule = if series { "promql = 'up'\nwarning = 1" } else { "kind = 'pod'\nwhen = 'true'" };
                    let rest =
                        ["fires = true", "value = 1", "object.a = 1"].into_iter().filter(|l| !l.starts_with(key.name)).collect::<Vec<_>>();
                    format!("[[rule]]\nid = 'n'\nmessage = 'm'\n{rule}\n[[rule.case]]\n{entry}\n{}", rest.join("\n"))
                }
                "suppress[]" => format!("[[suppress]]\n{entry}"),
                _ => format!("[{header}]\n{entry}"),
            };
            let said = mistakes(&text);
            assert!(said.iter().any(|said| said.ends_with("found a datetime")), "[{table}] {}: {said:?}", key.name);
        }
    }
}

#[test]
fn a_named_file_must_be_there_and_the_usual_one_need_not() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Config::load(Some(&dir.path().join("none.toml")));
    assert!(missing.has_errors());
    assert!(missing.diags[0].to_string().contains("none.toml: the settings cannot be read: "));
    assert!(missing.config.for_cluster("a").read_only.value);
    let file = dir.path().join("c.toml");
    std::fs::write(&file, "theme = 'light'").unwrap();
    let loaded = Config::load(Some(&file));
    assert_eq!((loaded.config.theme.as_str(), loaded.diags.len()), ("light", 0));
    std::fs::write(&file, [0xff, 0xfe]).unwrap();
    assert!(Config::load(Some(&file)).has_errors());
}
