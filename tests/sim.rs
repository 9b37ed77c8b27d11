//! The simulated fleet from outside: through qd's own client and source, and through kubectl where there is one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use quarterdeck::client::{
    BudgetConfig, ClientError, EtcdClient, EtcdWay, ExecPool, LoadOptions, ReadClient, Target, install_crypto_provider, load,
};
use quarterdeck::config::{Endpoint, Reach, Setting};
use quarterdeck::inspect::recovery::recovery;
use quarterdeck::model::etcd_rpc::{self as rpc, Method};
use quarterdeck::model::{Batch, ClusterId, ConnectionState, Gives, Kind, KindState};
use quarterdeck::reach::{Alertmanager, Sought, find};
use quarterdeck::sim::{Fault, Moment, Options, Running, Scenario, start};
use quarterdeck::source::kube::{ClusterSource, Handle, Timing, spawn_cluster};
use quarterdeck::store::{ClusterInfo, Store};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

fn fleet(scenario: &str, viewer: bool) -> Running {
    install_crypto_provider();
    let mut scenario = Scenario::load(scenario).unwrap();
    scenario.resize(Some(1), Some(4), Some(60)).unwrap();
    scenario.replace_every = 0.0;
    scenario.churn = 0.0;
    start(&Options { scenario, kubeconfig: None, viewer }).unwrap()
}

fn targets(running: &Running) -> Vec<Target> {
    load(&LoadOptions { kubeconfig: Some(running.kubeconfig.clone()), ..LoadOptions::default() }).unwrap()
}

fn target(running: &Running) -> Target {
    targets(running).swap_remove(0)
}

async fn client(running: &Running) -> ReadClient {
    ReadClient::connect(&target(running), &ExecPool::default(), BudgetConfig::default()).await.unwrap()
}

/// A tenth of a second here is a second out there.
fn timing() -> Timing {
    let ms = Duration::from_millis;
    Timing {
        quiet: ms(500),
        probe: ms(400),
        latency: ms(1200),
        stale: ms(1200),
        unreachable: ms(3000),
        refused: ms(300),
        again: ms(100),
        again_most: ms(500),
    }
}

/// What the cockpit would know.
struct Follower {
    store: Store,
    deltas: mpsc::Receiver<Batch>,
    _handle: Handle,
}

impl Follower {
    fn of(running: &Running) -> Self {
        Self::one_of(running, 0)
    }

    /// Of the fleet's cluster of that number, which may have backups as old as a day.
    fn one_of(running: &Running, n: usize) -> Self {
        let target = targets(running).swap_remove(n);
        let info = ClusterInfo { name: target.name.as_str().into(), rpo: Some(86_400), ..ClusterInfo::default() };
        let (tx, deltas) = mpsc::channel(256);
        let source = ClusterSource {
            id: ClusterId(0),
            target,
            kinds: Kind::WATCHED.to_vec(),
            namespaces: None,
            velero: "velero".to_owned(),
            budget: BudgetConfig::default(),
            pool: ExecPool::default(),
            timing: timing(),
        };
        Self { store: Store::new(vec![info], 0), deltas, _handle: spawn_cluster(source, tx) }
    }

    /// Folds deltas until it is so.
    async fn until(&mut self, what: &str, so: impl Fn(&quarterdeck::store::Cluster) -> bool) {
        let end = Instant::now() + Duration::from_secs(30);
        let mut touched = Vec::new();
        loop {
            let cluster = &self.store.clusters()[0];
            if so(cluster) {
                return;
            }
            let left = end.saturating_duration_since(Instant::now());
            let batch = tokio::time::timeout(left, self.deltas.recv())
                .await
                .unwrap_or_else(|_| panic!("not {what}: {:?}", self.store.clusters()[0].state));
            self.store.apply(batch.unwrap(), 0, &mut touched);
        }
    }

    async fn live(&mut self) {
        self.until("live", live).await;
    }
}

fn live(c: &quarterdeck::store::Cluster) -> bool {
    c.state.live() && Kind::WATCHED.iter().all(|k| matches!(c.kind_state(*k), KindState::Live))
}

async fn listed(client: &ReadClient, path: &str) -> usize {
    client.get_json(path).await.unwrap()["items"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_sees_what_is_listed() {
    let running = fleet("calm", false);
    let client = client(&running).await;
    let mut follower = Follower::of(&running);
    follower.live().await;
    for kind in [
        Kind::Node,
        Kind::Pod,
        Kind::Deployment,
        Kind::ReplicaSet,
        Kind::StatefulSet,
        Kind::DaemonSet,
        Kind::Hpa,
        Kind::Pdb,
        Kind::Namespace,
        Kind::CronJob,
    ] {
        let listed = listed(&client, &kind.path(None)).await;
        assert!(listed > 0, "{kind:?}");
        assert_eq!(follower.store.clusters()[0].objects(kind).count(), listed, "{kind:?}");
    }
    let mut all = 0;
    let mut next = String::new();
    loop {
        let page = client.get_json(&format!("/api/v1/pods?limit=7&continue={next}")).await.unwrap();
        all += page["items"].as_array().unwrap().len();
        next = page["metadata"]["continue"].as_str().unwrap_or("").to_owned();
        if next.is_empty() {
            break;
        }
    }
    assert_eq!(all, listed(&client, "/api/v1/pods").await);
    assert_eq!(listed(&client, "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-001&labelSelector=app%3Dcni").await, 1);
}

/// Every object of a fleet: kind, namespace, name and uid, and where pods are.
async fn everything(running: &Running) -> Vec<String> {
    let client = ReadClient::connect(&target(running), &ExecPool::default(), BudgetConfig::default()).await.unwrap();
    let mut all = Vec::new();
    for kind in Kind::WATCHED.into_iter().filter(|k| *k != Kind::Event) {
        // Not every kind has a path of its own: what qd reckons itself is of no server.
        let list = client.get_json(&kind.path(None)).await.unwrap();
        let line = |o: &serde_json::Value| {
            let m = &o["metadata"];
            format!("{kind:?} {} {} {} {}", m["namespace"], m["name"], m["uid"], o["spec"]["nodeName"])
        };
        all.extend(list["items"].as_array().unwrap().iter().map(line));
    }
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_seed_gives_the_same_fleet() {
    let seeded = |scenario: &str, seed: u64| {
        install_crypto_provider();
        let mut scenario = Scenario::load(scenario).unwrap();
        scenario.resize(Some(2), Some(6), Some(90)).unwrap();
        (scenario.seed, scenario.replace_every, scenario.churn) = (seed, 0.0, 0.0);
        // What runs by the clock has run as often in each.
        scenario.began = Some(1_790_000_130);
        // What goes wrong while people watch is at its time; what went wrong before is part of the fleet.
        scenario.incidents.retain(|i| i.at.0 < 0);
        start(&Options { scenario, kubeconfig: None, viewer: false }).unwrap()
    };
    for scenario in ["calm", "on-call-night"] {
        let (a, b) = (seeded(scenario, 11), seeded(scenario, 11));
        let (a, b) = (everything(&a).await, everything(&b).await);
        assert!(a.len() > 100, "{}", a.len());
        let differ: Vec<_> = a.iter().filter(|l| !b.contains(l)).chain(b.iter().filter(|l| !a.contains(l))).take(6).collect();
        assert!(differ.is_empty(), "{scenario}: {differ:#?}");
        let other = everything(&seeded(scenario, 12)).await;
        assert_ne!(a, other, "another seed gives another fleet");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_go_wrong_in_every_way_and_each_cluster_says_whether_it_could_be_restored() {
    install_crypto_provider();
    let mut scenario = Scenario::load("backups").unwrap();
    scenario.resize(None, Some(4), Some(60)).unwrap();
    let running = start(&Options { scenario, kubeconfig: None, viewer: false }).unwrap();
    let said: [&[&str]; 4] = [
        &["; nightly-", " is PartiallyFailed"],
        &["not now, location default is unavailable: to "],
        &["; no backup of the last 24h has ", "; 1 schedule is late"],
        &["not now, Velero stands still (nobody has looked at location default for ", " when it goes on"],
    ];
    for (n, words) in said.into_iter().enumerate() {
        let mut follower = Follower::one_of(&running, n);
        follower.live().await;
        let now = jiff::Timestamp::now().as_second();
        let answer = recovery(&follower.store.clusters()[0], now).unwrap().text;
        assert!(words.iter().all(|w| answer.contains(w)), "{n}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_shows_and_heals() {
    let running = fleet("calm", false);
    let mut follower = Follower::of(&running);
    follower.live().await;
    let pods = follower.store.clusters()[0].objects(Kind::Pod).count();
    let fault = |fault: Fault| assert!(running.fleet.fault("prod-eu", &fault));

    // The watches hear that their version is too old, and lists break off: nothing is complete until that ends.
    fault(Fault::Truncated(300));
    fault(Fault::Gone);
    follower.until("not live", |c| !live(c)).await;
    assert_eq!(follower.store.clusters()[0].objects(Kind::Pod).count(), pods, "rows are kept");
    fault(Fault::Heal);
    follower.live().await;
    assert_eq!(follower.store.clusters()[0].objects(Kind::Pod).count(), pods);

    fault(Fault::Hang);
    follower.until("stale", |c| matches!(c.state, ConnectionState::Stale { .. } | ConnectionState::Unreachable { .. })).await;
    assert_eq!(follower.store.clusters()[0].objects(Kind::Pod).count(), pods, "rows are kept");
    fault(Fault::Heal);
    follower.live().await;

    fault(Fault::Refuse);
    follower.until("unreachable", |c| matches!(c.state, ConnectionState::Unreachable { .. })).await;
    fault(Fault::Heal);
    follower.live().await;

    fault(Fault::Drop);
    follower.live().await;
    assert_eq!(follower.store.clusters()[0].objects(Kind::Pod).count(), pods);
}

/// As `qd demo --help` says it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_is_ordered_by_an_annotation_and_ends_by_itself() {
    let running = fleet("calm", false);
    let client = client(&running).await;
    let order = |namespace: &str, text: Option<&str>| {
        let body = serde_json::json!({"metadata": {"annotations": {"demo.quarterdeck/fault": text}}});
        let path = format!("/api/v1/namespaces/{namespace}");
        running.fleet.by_another("prod-eu", "PATCH", &path, "application/merge-patch+json", body)
    };
    let until = async |what: &str, so: fn(&Result<serde_json::Value, ClientError>) -> bool| {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let answer = client.get_json("/api/v1/nodes").await;
            if so(&answer) {
                return;
            }
            assert!(Instant::now() < end, "not {what}: {answer:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let holds = || running.fleet.object("prod-eu", "/api/v1/namespaces/kube-system").unwrap()["metadata"]["annotations"].to_string();
    // Another fault that holds stays when the ordered one ends.
    assert!(running.fleet.fault("prod-eu", &Fault::Forbidden("secrets".into())));
    order("kube-system", Some("forbidden nodes for 2s")).unwrap();
    assert!(client.get_json("/api/v1/nodes").await.is_ok(), "the order itself is answered first");
    until("forbidden", |a| matches!(a, Err(ClientError::Forbidden { .. }))).await;
    until("over", Result::is_ok).await;
    assert!(!holds().contains("fault"), "{}", holds());
    assert!(client.get_json("/api/v1/secrets").await.is_err());
    // Another order ends the one before, and so does its taking back.
    order("kube-system", Some("broken")).unwrap();
    until("broken", |a| matches!(a, Err(ClientError::Server { .. }))).await;
    order("kube-system", Some("forbidden nodes")).unwrap();
    until("forbidden", |a| matches!(a, Err(ClientError::Forbidden { .. }))).await;
    order("kube-system", None).unwrap();
    until("over", Result::is_ok).await;
    // Mistakes are refused with what would be right, and nothing is stored.
    let refused = order("kube-system", Some("brokn")).unwrap_err();
    assert!(refused.contains("demo.quarterdeck/fault") && refused.contains("did you mean `broken`"), "{refused}");
    assert!(order("kube-system", Some("slow")).unwrap_err().contains("slow MILLISECONDS"));
    assert!(order("pay", Some("hang")).unwrap_err().contains("of namespace kube-system, not of pay"));
    assert!(!holds().contains("fault"), "{}", holds());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_come_as_the_api_words_them() {
    let running = fleet("calm", false);
    let client = client(&running).await;
    let fault = |fault: Fault| assert!(running.fleet.fault("prod-eu", &fault));
    let refused = async |path: &str| client.get_json(path).await.unwrap_err();
    fault(Fault::Unauthorized);
    assert!(refused("/api/v1/pods").await.is_auth());
    fault(Fault::Heal);
    fault(Fault::Forbidden("nodes".to_owned()));
    assert!(matches!(refused("/api/v1/nodes").await, ClientError::Forbidden { .. }));
    assert!(client.get_json("/api/v1/pods").await.is_ok());
    fault(Fault::Heal);
    fault(Fault::TooMany(3));
    assert_eq!(refused("/api/v1/pods").await.retry_after(), Some(Duration::from_secs(3)));
    fault(Fault::Heal);
    fault(Fault::Broken);
    assert!(matches!(refused("/api/v1/pods").await, ClientError::Server { .. }));
    fault(Fault::Heal);
    assert!(!running.fleet.fault("no-such", &Fault::Heal));
    assert!(client.get_json("/api/v1/pods?watch=true&sendInitialEvents=true").await.is_err(), "422 without resourceVersionMatch");
    assert!(matches!(refused("/api/v1/pods?resourceVersion=99999999").await, ClientError::TooLarge { .. }));
    assert!(matches!(refused("/api/v1/pods?watch=true&resourceVersion=1").await, ClientError::Gone { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_is_told_what_is_missing() {
    let running = fleet("calm", true);
    let mut follower = Follower::of(&running);
    follower
        .until("told", |c| {
            matches!(c.kind_state(Kind::Node), KindState::Forbidden { .. }) && matches!(c.kind_state(Kind::Pod), KindState::Live)
        })
        .await;
    let client = client(&running).await;
    let ask = |verb: &'static str, resource: &'static str| quarterdeck::client::Ask { verb, resource, ..Default::default() };
    assert!(client.can_i(ask("list", "pods")).await.unwrap().allowed);
    assert!(!client.can_i(ask("list", "nodes")).await.unwrap().allowed);
    assert!(!client.can_i(ask("delete", "pods")).await.unwrap().allowed);
}

#[test]
fn the_kubeconfig_is_private_and_goes_with_the_fleet() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut running = fleet("calm", false);
    let path = running.kubeconfig.clone();
    let settings = running.write_settings("x = 1\n").unwrap();
    assert!(settings.parent() == path.parent() && std::fs::read_to_string(&settings).unwrap().ends_with("\nx = 1\n"));
    for path in [&path, &settings] {
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    drop(running);
    assert!(!path.exists() && !path.parent().unwrap().exists());
}

/// Runs kubectl; what it printed.
fn kubectl(running: &Running, args: &str) -> Result<String, String> {
    let out = Command::new("kubectl")
        .args(args.split_whitespace())
        .env("KUBECONFIG", &running.kubeconfig)
        .env("HOME", running.kubeconfig.parent().unwrap().join("home"))
        .output()
        .unwrap();
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stderr)) }
}

#[test]
fn kubectl_works_on_it() {
    if Command::new("kubectl").arg("version").arg("--client").output().is_err() {
        eprintln!("SKIPPED: no kubectl on the PATH");
        return;
    }
    let running = fleet("calm", false);
    let run = |args: &str| kubectl(&running, args).unwrap_or_else(|e| panic!("kubectl {args}: {e}"));
    assert!(run("get pods -n pay -o wide").contains("db-0"));
    assert!(run("get nodes").lines().filter(|l| l.contains(" Ready ")).count() == 4);
    run("get all -A");
    assert!(run("describe pod db-0 -n pay").contains("http-get http://:8080/healthz"));
    assert!(run("describe deploy checkout -n pay").contains("RollingUpdate"));
    assert!(run("describe node node-001").contains("Non-terminated Pods"));
    // What is scaled, deleted or evicted comes back where it should.
    run("scale deploy/checkout -n pay --replicas 8");
    assert!(run("rollout status deploy/checkout -n pay --timeout 30s").contains("successfully rolled out"));
    let node = run("get pod db-0 -n pay -o jsonpath={.spec.nodeName}");
    run("delete pod db-0 -n pay");
    run("rollout status sts/db -n pay --timeout 30s");
    run(&format!("cordon {node}"));
    assert!(run(&format!("get node {node}")).contains("SchedulingDisabled"));
    run(&format!("drain {node} --ignore-daemonsets --timeout 60s"));
    run("rollout status sts/db -n pay --timeout 30s");
    assert_ne!(run("get pod db-0 -n pay -o jsonpath={.spec.nodeName}"), node);
    run(&format!("uncordon {node}"));
    run("set image deploy/ledger -n pay ledger=registry.example.com/pay/ledger:1.9");
    run("rollout status deploy/ledger -n pay --timeout 30s");
    assert!(run("rollout history deploy/ledger -n pay").contains('2'));
    assert_eq!(run("logs -n pay db-1 --tail 3").lines().count(), 3);
    assert_eq!(run("auth can-i delete pods").trim(), "yes");
    // A budget that allows nothing holds an eviction up.
    run("patch pdb db -n pay --type merge -p {\"spec\":{\"maxUnavailable\":0}}");
    let review = "{\"apiVersion\":\"policy/v1\",\"kind\":\"Eviction\",\"metadata\":{\"name\":\"db-0\",\"namespace\":\"pay\"}}";
    let file = running.kubeconfig.parent().unwrap().join("eviction.json");
    std::fs::write(&file, review).unwrap();
    let refused = kubectl(&running, &format!("create --raw /api/v1/namespaces/pay/pods/db-0/eviction -f {}", file.display())).unwrap_err();
    std::fs::remove_file(&file).unwrap();
    assert!(refused.contains("disruption budget"), "{refused}");
    let _ = std::fs::remove_dir_all(running.kubeconfig.parent().unwrap().join("home"));
}

/// What a member answers to a call.
async fn asked<Q, A>(url: &str, method: Method<Q, A>, request: Q) -> Result<A, tonic::Status>
where
    Q: prost::Message + Default + Send + Sync + 'static,
    A: prost::Message + Default + Send + Sync + 'static,
{
    let mut grpc = ready(url).await;
    let codec = tonic_prost::ProstCodec::<Q, A>::default();
    let path = http::uri::PathAndQuery::from_static(method.path);
    grpc.unary(tonic::Request::new(request), path, codec).await.map(tonic::Response::into_inner)
}

async fn ready(url: &str) -> tonic::client::Grpc<tonic::transport::Channel> {
    let channel = tonic::transport::Endpoint::from_shared(url.to_owned()).unwrap().connect_lazy();
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    grpc
}

async fn members(running: &Running) -> Vec<EtcdClient> {
    let mut all = Vec::new();
    for url in running.fleet.etcd("prod-eu") {
        all.push(EtcdClient::connect(&url, &EtcdWay::default()).await.unwrap());
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_answers_as_etcd_does() {
    let running = fleet("calm", false);
    let all = members(&running).await;
    assert_eq!(all.len(), 3);
    let listed = all[0].members(true).await.unwrap();
    let mut leaders = Vec::new();
    for (client, member) in all.iter().zip(&listed) {
        let status = client.status().await.unwrap();
        assert_eq!((status.header.unwrap().member_id, &*member.client_urls[0]), (member.id, client.url()));
        assert!(status.raft_applied_index <= status.raft_index && status.db_size_in_use < status.db_size && status.errors.is_empty());
        leaders.push(status.leader);
        let text = String::from_utf8(client.metrics().await.unwrap().to_vec()).unwrap();
        assert!(text.contains("etcd_network_peer_round_trip_time_seconds_bucket{To=\""), "{text}");
    }
    assert!(leaders.iter().all(|l| *l == leaders[0] && listed.iter().any(|m| m.id == *l)), "{leaders:?}");
    assert!(all[1].alarms().await.unwrap().is_empty());
    let revision = all[0].status().await.unwrap().header.unwrap().revision;
    let hashes = [all[0].hash(revision).await.unwrap(), all[2].hash(revision).await.unwrap()];
    assert_eq!((hashes[0].hash, hashes[0].compact_revision), (hashes[1].hash, hashes[1].compact_revision));
    let future = all[0].hash(revision + 1_000_000_000).await;
    assert!(matches!(&future, Err(ClientError::Invalid { message }) if message.contains("future revision")), "{future:?}");

    // One is down, then two: who is left knows of no leader, and what needs a quorum is not answered.
    let trouble = |begins: bool| {
        let all = [("etcd-2", Fault::Refuse), ("etcd-3", Fault::Hang)];
        assert!(all.iter().all(|(member, fault)| running.fleet.member("prod-eu", member, fault, begins)));
    };
    trouble(true);
    let refused = all[1].status().await;
    assert!(matches!(refused, Err(ClientError::Unreachable { .. })), "{refused:?}");
    assert!(all[2].status().await.is_err());
    let status = all[0].status().await.unwrap();
    assert_eq!((status.leader, status.errors), (0, vec!["etcdserver: no leader".to_owned()]));
    assert!(all[0].members(true).await.is_err());
    assert_eq!(all[0].members(false).await.unwrap().len(), 3);
    trouble(false);
    assert_ne!(all[0].status().await.unwrap().leader, 0);
    let end = Instant::now() + Duration::from_secs(30);
    while all[1].status().await.is_err() || all[2].status().await.is_err() {
        assert!(Instant::now() < end, "they do not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_etcd_refuses_writes_until_it_is_mended_and_its_snapshot_is_whole() {
    let mut scenario = Scenario::load("etcd-full").unwrap();
    scenario.resize(Some(1), Some(4), Some(60)).unwrap();
    scenario.incidents[0].at = Moment(-600);
    install_crypto_provider();
    let running = start(&Options { scenario, kubeconfig: None, viewer: false }).unwrap();
    let (urls, all) = (running.fleet.etcd("prod-eu"), members(&running).await);
    for member in &all {
        assert!(member.status().await.unwrap().db_size >= 512 << 20);
    }
    let alarms = all[0].alarms().await.unwrap();
    assert_eq!(alarms.len(), 3);
    let map = json!({"metadata": {"generateName": "x-"}});
    let write = || raw(&running, "POST", "/api/v1/namespaces/default/configmaps", &map);
    let (code, said) = write().await;
    assert!(code == 500 && said["message"].as_str().unwrap().contains("database space exceeded"), "{said}");
    let revision = all[0].status().await.unwrap().header.unwrap().revision;
    asked(&urls[0], rpc::COMPACT, rpc::CompactionRequest { revision, physical: true }).await.unwrap();
    for url in &urls {
        asked(url, rpc::DEFRAGMENT, rpc::Nothing {}).await.unwrap();
    }
    for a in alarms {
        asked(&urls[0], rpc::ALARM, rpc::AlarmRequest { action: 2, member: a.member, alarm: a.alarm }).await.unwrap();
    }
    assert!(all[0].alarms().await.unwrap().is_empty());
    assert_eq!(write().await.0, 201);

    let codec = tonic_prost::ProstCodec::<rpc::Nothing, rpc::SnapshotResponse>::default();
    let path = http::uri::PathAndQuery::from_static(rpc::SNAPSHOT.path);
    let mut stream = ready(&urls[1]).await.server_streaming(tonic::Request::new(rpc::Nothing {}), path, codec).await.unwrap().into_inner();
    let (mut bytes, mut left) = (Vec::new(), u64::MAX);
    while let Some(piece) = stream.message().await.unwrap() {
        assert!(piece.remaining_bytes <= left);
        left = piece.remaining_bytes;
        bytes.extend_from_slice(&piece.blob);
    }
    let size = usize::try_from(all[1].status().await.unwrap().db_size).unwrap();
    assert_eq!((left, bytes.len()), (0, size + 32));
    let hash: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(&bytes[..size]).into();
    assert_eq!(bytes[size..], hash);
    assert_eq!(bytes[16..24], [0xED, 0xDA, 0x0C, 0xED, 2, 0, 0, 0], "a bolt database");
}

/// What the API server answers to a request: code and body.
async fn raw(running: &Running, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let config = kube::config::Kubeconfig::read_from(&running.kubeconfig).unwrap();
    let config = kube::Config::from_custom_kubeconfig(config, &kube::config::KubeConfigOptions::default()).await.unwrap();
    let client = kube::Client::try_from(config).unwrap();
    let request = http::Request::builder().method(method).uri(path).header("content-type", "application/json");
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let answer = client.send(request.body(kube::client::Body::from(body)).unwrap()).await.unwrap();
    let code = answer.status().as_u16();
    let bytes = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    (code, serde_json::from_slice(&bytes).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_alertmanager_is_found_and_silences_are_kept_there() {
    let running = fleet("calm", false);
    let client = client(&running).await;
    let found = find(&client, &Sought::ALERTMANAGER).await.unwrap();
    assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), ["monitoring/alertmanager-operated:9093"]);
    let endpoint = Endpoint { reach: Setting::default_to(Some(Reach::Service(found[0].clone()))), ..Endpoint::default() };
    let am = Alertmanager::of(&endpoint, &client, vec!["prod-eu".into()]).unwrap();
    assert_eq!((am.firing("Watchdog").await, am.firing("KubeNodeNotReady").await), (Ok(1), Ok(0)));

    let base = "/api/v1/namespaces/monitoring/services/alertmanager-operated:9093/proxy";
    let silence = json!({"matchers": [{"name": "alertname", "value": "Watchdog", "isRegex": false, "isEqual": true}],
        "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2999-01-01T00:00:00.000Z", "createdBy": "ada", "comment": "x"});
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = seen.clone();
    running.fleet.witness("prod-eu", Some(Arc::new(move |w| told.lock().unwrap().push(format!("{} {}", w.method, w.path)))));
    let (code, said) = raw(&running, "POST", &format!("{base}/api/v2/silences"), &silence).await;
    assert_eq!(code, 200, "{said}");
    let alerts = client.get_json(&format!("{base}/api/v2/alerts")).await.unwrap();
    assert_eq!(alerts[0]["status"], json!({"inhibitedBy": [], "mutedBy": [], "silencedBy": [said["silenceID"]], "state": "suppressed"}));
    let one = format!("{base}/api/v2/silence/{}", said["silenceID"].as_str().unwrap());
    assert_eq!(raw(&running, "DELETE", &one, &Value::Null).await.0, 200);
    let alerts = client.get_json(&format!("{base}/api/v2/alerts")).await.unwrap();
    assert_eq!(alerts[0]["status"]["state"], "active");
    assert_eq!(*seen.lock().unwrap(), [format!("POST {base}/api/v2/silences"), format!("DELETE {one}")]);

    // Behind others there is nobody, and who may only look changes nothing.
    let refused = client.get_json(&base.replace("alertmanager-operated:9093", "grafana:80")).await;
    assert!(matches!(refused, Err(ClientError::Server { code: 503, .. })), "{refused:?}");
    assert!(matches!(client.get_json(&base.replace("operated", "none")).await, Err(ClientError::NotFound { .. })));
    let viewed = fleet("calm", true);
    assert_eq!(raw(&viewed, "GET", &format!("{base}/api/v2/alerts"), &Value::Null).await.0, 200);
    assert_eq!(raw(&viewed, "POST", &format!("{base}/api/v2/silences"), &silence).await.0, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_prometheus_is_found_or_shared_and_answers_every_query() {
    let mut scenario = Scenario::load("on-call-night").unwrap();
    scenario.resize(Some(2), Some(18), Some(150)).unwrap();
    // What has happened already, and nothing more.
    scenario.incidents.retain(|i| i.at.0 < 0);
    install_crypto_provider();
    let running = start(&Options { scenario, kubeconfig: None, viewer: false }).unwrap();
    let targets = load(&LoadOptions { kubeconfig: Some(running.kubeconfig.clone()), ..LoadOptions::default() }).unwrap();
    let names: Vec<&str> = targets.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["prod-eu", "prod-us"]);
    // One with an address, which serves both and tells them apart; the other by its service.
    let text = format!("[clusters.prod-us.prometheus]\nurl = {:?}\ncluster_label = \"cluster\"\n", running.fleet.prometheus());
    let config = quarterdeck::config::Config::parse(&text, std::path::Path::new("c.toml")).config;
    let members = quarterdeck::runtime::members(targets, &config);
    assert!(running.fleet.fault("prod-us", &Fault::Forbidden("nodes.metrics.k8s.io".into())));
    assert!(running.fleet.fault("prod-us", &Fault::Forbidden("pods.metrics.k8s.io".into())));
    let kinds = [Kind::Node, Kind::Pod, Kind::Deployment, Kind::ReplicaSet, Kind::Signal];
    let (mut fleet, _) = quarterdeck::runtime::Fleet::open(members, &kinds, &config, false, &[]);
    fleet.follow_use(Duration::ZERO);
    let live = |s: &Store| {
        let services = [quarterdeck::model::Service::Prometheus, quarterdeck::model::Service::Metrics];
        s.clusters().iter().all(|c| services.iter().all(|s| c.service(*s).state.word() == "live") && c.current(Kind::Pod))
    };
    let end = Instant::now() + Duration::from_secs(60);
    while !live(&fleet.store) {
        let batch = tokio::time::timeout_at(end.into(), fleet.next()).await;
        let Ok(Some(batch)) = batch else {
            let stand = fleet.store.clusters().iter().map(|c| {
                format!("{:?} {:?}", c.service(quarterdeck::model::Service::Prometheus), c.service(quarterdeck::model::Service::Metrics))
            });
            panic!("not live: {:?}", stand.collect::<Vec<_>>());
        };
        let (now, mut touched) = (jiff::Timestamp::now().as_second(), Vec::new());
        fleet.fold(batch, now, &mut touched);
        fleet.judge(&mut touched, now);
    }
    let via: Vec<&str> = fleet.store.clusters().iter().map(|c| &*c.service(quarterdeck::model::Service::Prometheus).via).collect();
    assert!(via[0].contains("monitoring/prometheus-operated:9090") && via[1].starts_with("http://127.0.0.1:"), "{via:?}");
    for c in fleet.store.clusters() {
        let signals: Vec<_> = c
            .objects(Kind::Signal)
            .filter_map(|o| if let quarterdeck::model::Object::Signal(s) = o { Some(s.clone()) } else { None })
            .collect();
        let without: Vec<String> = signals
            .iter()
            .filter(|s| !matches!(s.state.word(), "ok" | "warning" | "critical" | "nothing"))
            .map(|s| format!("{s:?}"))
            .collect();
        assert_eq!(without, Vec::<String>::new());
        let asked: std::collections::BTreeSet<&str> = signals.iter().map(|s| &*s.meta.name).collect();
        let all = config.queries.iter().filter(|q| q.gives == Gives::Signals).count();
        assert_eq!(asked.len(), all, "{asked:?}");
    }
    // What metrics.k8s.io may not tell of one comes from its Prometheus, and is marked so.
    let [eu, us] = fleet.store.clusters() else { panic!() };
    let via = |c: &quarterdeck::store::Cluster| c.service(quarterdeck::model::Service::Metrics).via.to_string();
    assert!(via(eu) == "the API server" && via(us).starts_with("Prometheus, http://127.0.0.1:"), "{} {}", via(eu), via(us));
    for c in [eu, us] {
        let measured = |kind: Kind| {
            c.objects(kind)
                .filter(|o| {
                    c.usage(kind, &o.meta().namespace, &o.meta().name).is_some_and(|u| u.cpu_m > Some(0) && u.memory > Some(1 << 20))
                })
                .count()
        };
        assert!(
            measured(Kind::Node) >= 17 && measured(Kind::Pod) > 100,
            "{} {} {}",
            c.info.name,
            measured(Kind::Node),
            measured(Kind::Pod)
        );
    }
    // The release that crashes is seen at its pods and at the Deployment.
    let checkout = us.named(Kind::Deployment, "pay", "checkout").unwrap();
    assert!(us.signals_of(checkout, "oom-kills").count() >= 3 && us.signals_of(checkout, "dns-errors").count() == 0);
    let sick = us.objects(Kind::Node).find(|o| &*o.meta().name == "node-017").unwrap();
    assert!(us.signals_of(sick, "pleg-relist").any(|s| s.value > Some(5.0)));
    // Of nodes that are not ready the leases are asked for, which this fleet has not.
    fleet.follow_asked(Duration::ZERO);
    let end = Instant::now() + Duration::from_secs(60);
    while fleet.store.clusters()[1].asked.heartbeat("node-017").is_none() {
        let batch = tokio::time::timeout_at(end.into(), fleet.next()).await.expect("nobody asked for its lease").unwrap();
        fleet.fold(batch, jiff::Timestamp::now().as_second(), &mut Vec::new());
    }
    let [eu, us] = fleet.store.clusters() else { panic!() };
    assert!(us.asked.heartbeats.iter().all(|h| h.lapsed == Err("it has none".into())), "{:?}", us.asked.heartbeats);
    assert!(eu.asked.heartbeats.is_empty(), "all of its nodes are ready: {:?}", eu.asked.heartbeats);
}
