//! etcd's members seen directly, also when the API server is gone with the quorum.

use super::SIZE;
use super::support::alerts::{Alertmanagers, PROGRAMS};
use super::support::lab::{Lab, Own, Room, until};
use super::support::pty::Term;
use super::support::runner::{Test, test};
use super::support::slow_proxy::SlowProxy;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const CONTEXT: &str = "lab-1";

pub const TESTS: &[Test] = &[
    test!(etcd_is_seen_member_by_member_and_without_its_quorum).needs(&["strace"]),
    test!(what_keeps_etcd_from_us_is_told_and_costs_the_pods_nothing),
    test!(services_are_found_by_their_pods_and_met_by_port_forward).needs(PROGRAMS),
    test!(etcd_that_is_slow_is_told_until_it_is_too_slow),
];

/// A configuration that says where the etcd of a lab's cluster is.
fn configured(lab: &Lab, file: &Path) -> Value {
    let etcd: Value = serde_json::from_str(&std::fs::read_to_string(lab.file(CONTEXT, "etcd.json")).unwrap()).unwrap();
    let text = |name: &str| etcd[name].as_str().unwrap().to_owned();
    let lines = ["ca", "cert", "key"].map(|name| format!("{name} = {:?}\n", text(name))).concat();
    std::fs::write(file, format!("[clusters.{CONTEXT}.etcd]\nendpoints = {}\n{lines}", etcd["endpoints"])).unwrap();
    etcd
}

fn etcd_is_seen_member_by_member_and_without_its_quorum(lab: &Lab) {
    let own = lab.own_with(1, 3, &["--fsync"]);
    let room = Room::new();
    let config = room.path("qd.toml");
    let etcd = configured(&own, &config);
    let at_once = "[thresholds.etcd-disk-slow]\nafter = '0s'\n".to_owned() + &std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, at_once).unwrap();
    let config = config.to_str().unwrap();

    let (got, code, said) = room.json(&own.kubeconfig(), &["get", "etcd", "--config", config, "-o", "json"]);
    assert_eq!(code, 0, "{said}");
    let members = got["items"].as_array().unwrap();
    let endpoints: Vec<&str> = etcd["endpoints"].as_array().unwrap().iter().map(|e| e.as_str().unwrap()).collect();
    let text = |name: &str| etcd[name].as_str().unwrap();
    let etcdctl = |args: &[&str]| {
        let whose = ["--endpoints", &endpoints.join(","), "--cacert", text("ca"), "--cert", text("cert"), "--key", text("key")];
        Command::new("etcdctl").args(whose).args(args).output().unwrap()
    };
    let out = etcdctl(&["endpoint", "status", "-w", "json"]);
    let theirs: Vec<Value> =
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)));
    assert_eq!((members.len(), theirs.len()), (3, 3), "{got}");
    for their in &theirs {
        let status = &their["Status"];
        let id = status["header"]["member_id"].as_u64().unwrap();
        let ours = members.iter().find(|m| m["id"] == format!("{id:x}")).unwrap_or_else(|| panic!("no member {id:x}: {got}"));
        let word = if status["leader"].as_u64() == Some(id) { "Leader" } else { "Follower" };
        assert_eq!((&ours["status"], &ours["version"]), (&json!(word), &status["version"]), "{ours}");
        assert_eq!(ours["raft_term"], status["raftTerm"]);
    }

    let mut term = Term::open(&["--screen", "etcd", "--config", config], room.env(&own.kubeconfig()), SIZE.0, SIZE.1);
    let verdict = |term: &mut Term, words: &str, seconds: u64| {
        let seen = |lines: &[String]| lines.iter().any(|l| l.contains(words)).then_some(());
        term.wait(words, seconds, seen);
    };
    verdict(&mut term, "3 of 3 voters answer", 20);
    let slow = may_trace();
    if slow {
        own.lab(&["slow-disk", CONTEXT, "etcd-2", "150"]);
    } else {
        println!("  skipped: etcd-disk-slow, since no process may be traced here (ptrace)");
    }
    // Somebody else moves the leader, which then dies.
    let led_by = |term: &mut Term, name: &str| {
        let words = format!("3 of 3 voters answer, leader {name}");
        let id = members.iter().find(|m| m["name"] == name).unwrap()["id"].as_str().unwrap();
        until(&words, Duration::from_secs(30), || {
            if term.lines().iter().any(|l| l.contains(&words)) {
                return Ok(());
            }
            let said = etcdctl(&["move-leader", id]);
            // Looks are three seconds apart.
            std::thread::sleep(Duration::from_secs(4));
            Err(String::from_utf8_lossy(&said.stderr).into_owned())
        });
    };
    led_by(&mut term, "etcd-0");
    own.lab(&["kill", CONTEXT, "etcd-0"]);
    verdict(&mut term, "2 of 3 voters answer, leader", 15);
    own.lab(&["pause", CONTEXT, "etcd-1"]);
    let began = std::time::Instant::now();
    verdict(&mut term, "QUORUM LOST", 15);
    println!("  the quorum's loss was told after {:.1} s", began.elapsed().as_secs_f32());
    assert!(term.lines().iter().any(|l| l.contains("etcd-2")), "members are remembered");
    own.lab(&["resume", CONTEXT, "etcd-1"]);
    own.lab(&["start", CONTEXT, "etcd-0"]);
    verdict(&mut term, "3 of 3 voters answer", 30);
    led_by(&mut term, "etcd-0");
    led_by(&mut term, "etcd-1");
    // Its elections, three at the least, and the disk that made each fsync wait.
    term.keys("I");
    if slow {
        term.line(30, &["etcd-disk-slow", "EtcdMember/etcd-2", "its disk is slow: fsync "]);
    }
    term.keys("/name:etcd-leader-changes\r");
    term.line(30, &["etcd-leader-changes", "warning", " elections in 15m"]);
    term.keys("\r");
    term.line(20, &["etcd-0 -> etcd-", ": etcd-0 was gone: connection refused"]);
    if slow {
        own.lab(&["kill", CONTEXT, "etcd-2-disk"]);
    }
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
}

/// Whether strace may attach to a process that is there: sandboxes often forbid it.
fn may_trace() -> bool {
    let mut sleeper = Command::new("sleep").arg("1").spawn().unwrap();
    let pid = sleeper.id().to_string();
    let traced = Command::new("strace").args(["-qq", "-o", "/dev/null", "-e", "trace=none", "-p", &pid]).output();
    sleeper.wait().unwrap();
    traced.is_ok_and(|out| out.status.success())
}

/// `qd` with these lines for the cluster's etcd: what its row says, its rows, and all that was said.
fn told(own: &Own, room: &Room, kubeconfig: &Path, lines: &str) -> (Value, Vec<Value>, String) {
    let config = room.path("etcd.toml");
    std::fs::write(&config, lines).unwrap();
    let config = config.to_str().unwrap();
    let status = room.qd(kubeconfig, &["etcd", "status", "--config", config, "-o", "json"]);
    let (doctor, _, said) = room.json(kubeconfig, &["doctor", "--config", config, "-o", "json"]);
    let check = doctor["items"][0]["checks"].as_array().unwrap().iter().find(|c| c["what"] == "etcd").unwrap().clone();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let rows: Value = serde_json::from_slice(&status.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&status.stderr)));
    let all = format!("{doctor}{said}{rows}{}{}", text(&status.stderr), room.log());
    let key = std::fs::read_to_string(own.file(CONTEXT, "etcd-client.key")).unwrap();
    let inner = key.lines().nth(1).unwrap();
    assert!(!all.contains(inner) && !all.contains("PRIVATE KEY"), "no secret is told: {all}");
    (check, rows["items"].as_array().unwrap().clone(), all)
}

fn what_keeps_etcd_from_us_is_told_and_costs_the_pods_nothing(lab: &Lab) {
    let own = lab.own_with(1, 3, &["--fsync"]);
    let room = Room::new();
    let etcd = configured(&own, &room.path("qd.toml"));
    let file = |name: &str, text: &str| {
        std::fs::write(room.path(name), text).unwrap();
        room.path(name)
    };
    let [past, past_key] = own.client_certificate(CONTEXT, "root", -60);
    let (past, past_key) = (file("past.crt", &past), file("past.key", &past_key));
    let stranger = rcgen::generate_simple_self_signed(vec!["root".to_owned()]).unwrap();
    let (other, other_key) = (file("other.crt", &stranger.cert.pem()), file("other.key", &stranger.signing_key.serialize_pem()));
    let own_file = |name: &str| Path::new(etcd[name].as_str().unwrap()).to_owned();
    for (ca, cert, key, why) in [
        (own_file("ca"), &past, &past_key, "client certificate refused: expired"),
        (own_file("ca"), &other, &other_key, "client certificate refused: unknown authority"),
        (other.clone(), &own_file("cert"), &own_file("key"), "certificate signed by unknown authority"),
        (own_file("ca"), &room.path("none.crt"), &room.path("none.key"), "No such file"),
    ] {
        let lines = format!("[clusters.{CONTEXT}.etcd]\nendpoints = {}\nca = {ca:?}\ncert = {cert:?}\nkey = {key:?}\n", etcd["endpoints"]);
        let (check, rows, all) = told(&own, &room, &own.kubeconfig(), &lines);
        assert!(check["message"].as_str().unwrap().contains(why) && check["ok"] == false, "no {why:?} in {check}");
        assert_eq!((rows.len(), &rows[0]["status"]), (1, &json!("SecondHand")), "{all}");
        assert!(rows[0]["message"].as_str().unwrap().contains("the API server's check of etcd is ok"), "{}", rows[0]);
        let (pods, code, said) =
            room.json(&own.kubeconfig(), &["get", "pods", "--config", room.path("etcd.toml").to_str().unwrap(), "-o", "json"]);
        assert_eq!((code, pods["items"].is_array()), (0, true), "{said}");
    }

    // One hangs: its row says so, and what comes to the cluster is shown.
    let config = room.path("qd.toml");
    let mut term = Term::open(&["--screen", "etcd", "--config", config.to_str().unwrap()], room.env(&own.kubeconfig()), SIZE.0, SIZE.1);
    let row = |term: &mut Term, member: &str, words: &str, seconds: u64| {
        let seen = |lines: &[String]| lines.iter().any(|l| l.contains(member) && l.contains(words)).then_some(());
        term.wait(&format!("{member}: {words}"), seconds, seen);
    };
    row(&mut term, "etcd-0", "ms", 40);
    let (got, ..) = room.json(&own.kubeconfig(), &["get", "etcd", "--config", config.to_str().unwrap(), "-o", "json"]);
    let follower =
        got["items"].as_array().unwrap().iter().find(|m| m["status"] == "Follower").unwrap()["name"].as_str().unwrap().to_owned();
    own.lab(&["pause", CONTEXT, &follower]);
    row(&mut term, &follower, "no answer for 5 s", 15);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "after-the-hang", "namespace": "default"},
        "spec": {"containers": [{"name": "a", "image": "i"}]}});
    let pod = file("pod.json", &pod.to_string());
    // The API server has asked the one that hangs, and gives up that connection first.
    until("the API server writes with two members", Duration::from_secs(60), || {
        let out = own.try_kubectl(CONTEXT, &["apply", "-f", pod.to_str().unwrap()]);
        if out.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&out.stderr).into_owned()) }
    });
    term.keys(":pods\r");
    term.line(15, &["after-the-hang"]);
    own.lab(&["resume", CONTEXT, &follower]);
    own.lab(&["kill", CONTEXT, &follower]);
    term.keys(":etcd\r");
    row(&mut term, &follower, "connection refused", 15);
    term.keys("\x03\x03");
    assert_eq!(term.ended(10), Vec::<String>::new());
}

fn services_are_found_by_their_pods_and_met_by_port_forward(lab: &Lab) {
    let own = lab.own(1, 3);
    let alertmanagers = Alertmanagers::new(&own, CONTEXT);
    own.lab(&["pods", CONTEXT]);
    alertmanagers.tell(&json!({"alertname": "QdForwarded", "cluster": CONTEXT}), None);
    let room = Room::new();
    let (admin, viewer) = (own.kubeconfig(), own.viewer());
    let of = |lines: &str| format!("[clusters.{CONTEXT}.etcd]\n{lines}\n");
    let says = |check: &Value, words: &[&str]| {
        for part in words {
            assert!(check.to_string().contains(part), "no {part:?} in {check}");
        }
    };

    let (check, rows, _) = told(&own, &room, &admin, "");
    assert_eq!((&check["state"], &check["ok"], &check["expected"]), (&json!("absent"), &json!(false), &json!(false)));
    let (ca, urls) = (own.file(CONTEXT, "ca.crt"), std::fs::read_to_string(own.file(CONTEXT, "etcd.json")).unwrap());
    let urls: Value = serde_json::from_str(&urls).unwrap();
    let first = format!("etcd-cp0 on node-0000 at {}", urls["endpoints"][0].as_str().unwrap());
    says(
        &check,
        &[
            "second hand: the API server's check of etcd is ok",
            &first,
            ca.to_str().unwrap(),
            "healthcheck-client.key",
            "[clusters.lab-1.etcd] ca = ",
        ],
    );
    assert_eq!((rows.len(), &rows[0]["status"], &rows[0]["second_hand"]), (1, &json!("SecondHand"), &json!(true)));
    assert!(rows[0]["db_size_bytes"].as_i64() > Some(100_000), "{}", rows[0]);
    // The API server counts its objects once a minute.
    assert!(rows[0]["objects"] != json!(0), "{}", rows[0]);
    let (_, rows, _) = told(&own, &room, &viewer, "");
    assert!(rows[0]["message"].as_str().unwrap().contains("may not get /metrics"), "{}", rows[0]);

    let secret = "secret = \"kube-system/etcd-client\"";
    let (check, rows, _) = told(&own, &room, &admin, &of(secret));
    assert_eq!((&check["state"], rows.len()), (&json!("live"), 3), "{check}");
    let (check, rows, all) = told(&own, &room, &admin, &of(&format!("{secret}\nvia = \"port-forward\"")));
    says(&check, &["pod kube-system/etcd-cp0:", "by port-forward"]);
    let words = |status: &str| rows.iter().filter(|m| m["status"] == status).count();
    assert_eq!((words("Leader"), words("Follower"), &check["state"]), (1, 2, &json!("live")), "{all}");
    assert!(rows.iter().all(|m| m["proposals_pending"].is_i64()), "metrics come that way too: {all}");
    let (check, ..) = told(&own, &room, &viewer, &of(secret));
    says(&check, &["forbidden", "needs get secrets"]);
    let files = ["ca", "cert", "key"].map(|n| format!("{n} = {:?}\n", urls[n].as_str().unwrap())).concat();
    let (check, ..) = told(&own, &room, &viewer, &of(&format!("via = \"port-forward\"\n{files}")));
    says(&check, &["forbidden", "pods/portforward"]);
    // What acts takes the same way.
    let (config, snap) = (room.path("etcd.toml"), room.path("snap.db"));
    std::fs::write(&config, of(&format!("{secret}\nvia = \"port-forward\""))).unwrap();
    let done = room.qd(
        &admin,
        &["etcd", "snapshot", "--out", snap.to_str().unwrap(), "--context", CONTEXT, "--config", config.to_str().unwrap(), "--yes"],
    );
    assert!(done.status.success() && snap.is_file(), "{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));

    let lines = format!("[clusters.{CONTEXT}.alertmanager]\nservice = \"monitoring/alertmanager:80\"\nvia = \"port-forward\"\n");
    std::fs::write(&config, &lines).unwrap();
    let am = |kubeconfig: &Path| {
        let (doctor, ..) = room.json(kubeconfig, &["doctor", "--config", config.to_str().unwrap(), "-o", "json"]);
        doctor["items"][0]["checks"].as_array().unwrap().iter().find(|c| c["what"] == "alertmanager").unwrap().clone()
    };
    let both = "pod monitoring/alertmanager-0:9093 by port-forward, pod monitoring/alertmanager-1:9093 by port-forward";
    until("both Alertmanagers", Duration::from_secs(30), || {
        let check = am(&admin);
        if check["state"] == "live" && check["via"] == both { Ok(()) } else { Err(check.to_string()) }
    });
    let alerts = || room.json(&admin, &["get", "alerts", "--config", config.to_str().unwrap(), "-o", "json"]).0["items"].clone();
    until("an alert", Duration::from_secs(60), || {
        let all = alerts();
        if all.as_array().unwrap().iter().any(|a| a["name"] == "QdForwarded") { Ok(()) } else { Err(all.to_string()) }
    });
    prometheus_is_met_by_port_forward(&own, &room);
    own.lab(&["kill", CONTEXT, "alertmanager-0"]);
    says(&am(&admin), &["live", "; pod monitoring/alertmanager-0:9093 by port-forward: "]);
    says(&am(&viewer), &["forbidden", "pods/portforward"]);
}

/// Its queries, its rules and its targets, all of them through the pod.
fn prometheus_is_met_by_port_forward(own: &Own, room: &Room) {
    let config = room.path("prometheus.toml");
    std::fs::write(&config, format!("[clusters.{CONTEXT}.prometheus]\nservice = \"monitoring/prometheus:80\"\nvia = \"port-forward\"\n"))
        .unwrap();
    let config = config.to_str().unwrap();
    let check = |kubeconfig: &Path| {
        let (doctor, ..) = room.json(kubeconfig, &["doctor", "--config", config, "-o", "json"]);
        doctor["items"][0]["checks"].as_array().unwrap().iter().find(|c| c["what"] == "prometheus").unwrap().clone()
    };
    until("Prometheus", Duration::from_secs(60), || {
        let check = check(&own.kubeconfig());
        let there = check["state"] == "live" && check["via"] == "pod monitoring/prometheus-0:9090 by port-forward";
        if there { Ok(()) } else { Err(check.to_string()) }
    });
    assert!(check(&own.viewer()).to_string().contains("pods/portforward"), "who may not forward is told so");
    // A target that is down, a rule that waits, and what only the API server can have counted.
    own.lab(&["kill", CONTEXT, "kube-scheduler"]);
    until("the queries", Duration::from_secs(90), || {
        let (got, _, said) = room.json(&own.kubeconfig(), &["get", "signals", "--config", config, "-o", "json"]);
        let signals = got["items"].as_array().unwrap();
        let number = |name: &str| signals.iter().any(|s| s["name"] == name && s["value"].is_number());
        if number("api-inflight") && number("api-to-etcd") { Ok(()) } else { Err(format!("{got}{said}")) }
    });
    let mut term = Term::open(&["--screen", "alerts", "--config", config], room.env(&own.kubeconfig()), SIZE.0, SIZE.1);
    term.line(120, &["LabWaits", "pending"]);
    term.line(120, &["TargetDown", "down", "kube-scheduler"]);
    term.keys("\x03\x03");
    assert_eq!(term.ended(15), Vec::<String>::new());
    own.lab(&["start", CONTEXT, "kube-scheduler"]);
}

/// Members that answer late: told all the same while they answer in time; then said to be silent, and nothing else waits for them.
fn etcd_that_is_slow_is_told_until_it_is_too_slow(lab: &Lab) {
    let own = lab.own(1, 3);
    let room = Room::new();
    let etcd = configured(&own, &room.path("direct.toml"));
    let members = etcd["endpoints"].as_array().unwrap().iter().map(|e| e.as_str().unwrap().trim_start_matches("https://"));
    let slow: Vec<SlowProxy> = members.map(|at| SlowProxy::new(at.parse().unwrap(), Duration::from_millis(200))).collect();
    let endpoints: Vec<String> = slow.iter().map(|s| format!("https://{}", s.address)).collect();
    let files = ["ca", "cert", "key"].map(|n| format!("{n} = {:?}\n", etcd[n].as_str().unwrap())).concat();
    let lines = format!("[clusters.{CONTEXT}.etcd]\nendpoints = {}\n{files}", json!(endpoints));

    let began = std::time::Instant::now();
    let (check, rows, all) = told(&own, &room, &own.kubeconfig(), &lines);
    assert!(began.elapsed() > Duration::from_millis(800), "nothing was late");
    let words = |status: &str| rows.iter().filter(|m| m["status"] == status).count();
    assert_eq!((words("Leader"), words("Follower"), &check["state"]), (1, 2, &json!("live")), "{all}");

    // Who never heard of the members cannot meet them where they say that they are.
    slow.iter().for_each(|s| s.set(Duration::from_secs(3)));
    let config = room.path("etcd.toml");
    let mut term = Term::open(&["--screen", "etcd", "--config", config.to_str().unwrap()], room.env(&own.kubeconfig()), SIZE.0, SIZE.1);
    let wait = |term: &mut Term, words: &str, seconds: u64| {
        term.wait(words, seconds, |lines| lines.iter().any(|l| l.contains(words)).then_some(()));
    };
    wait(&mut term, "no answer for 5 s", 60);
    wait(&mut term, "SecondHand", 60);
    // What does not hang on etcd's own answers goes on meanwhile.
    term.keys(":pods\r");
    term.wait("the pods", 20, |lines| lines.iter().any(|l| l.starts_with("PODS ")).then_some(()));
    let (check, rows, all) = told(&own, &room, &own.kubeconfig(), &lines);
    assert!(check["ok"] == false && check["message"].as_str().unwrap().contains("no answer for 5 s"), "{check}");
    assert_eq!((rows.len(), &rows[0]["status"]), (1, &json!("SecondHand")), "{all}");
    let (_, code, said) =
        room.json(&own.kubeconfig(), &["get", "pods", "--config", room.path("etcd.toml").to_str().unwrap(), "-o", "json"]);
    assert_eq!(code, 0, "{said}");

    slow.iter().for_each(|s| s.set(Duration::ZERO));
    term.keys(":etcd\r");
    wait(&mut term, "3 of 3 voters answer", 60);
    term.keys("\x03\x03");
    assert_eq!(term.ended(15), Vec::<String>::new());
}
