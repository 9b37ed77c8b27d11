//! etcd's calls against members that answer late, not at all, or with something else: what is not known is said to be, nothing is sent
//! twice, and no file is left that is not whole.

use super::*;
use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use quarterdeck::action::snapfile::verify;
use quarterdeck::client::{EtcdClient, EtcdWay};
use quarterdeck::model::EtcdMember;
use quarterdeck::model::etcd_rpc::{
    AlarmResponse, Done, HashKvResponse, Member, MemberListResponse, ResponseHeader, SnapshotResponse, StatusResponse,
};
use sha2::{Digest as _, Sha256};
use std::convert::Infallible;
use std::path::PathBuf;

/// How a member takes what changes it.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Takes {
    Well,
    /// It does it and does not say so.
    Mute,
    /// It neither does it nor says anything.
    Lost,
    /// It does it and is behind from then on.
    Behind,
    /// Its snapshot has a byte that is another one.
    Flipped,
    /// Its snapshot ends before its end.
    Cut,
    /// Its data is another one.
    Other,
}

struct State {
    takes: Takes,
    /// Bytes of the file.
    size: i64,
    behind: bool,
    /// What was sent to it, reads apart.
    heard: Vec<String>,
}

/// A member behind a real socket: 1 leads.
struct Peer {
    id: u64,
    url: String,
    state: Arc<Mutex<State>>,
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

fn framed(message: Vec<u8>) -> Frame<Bytes> {
    let mut out = BytesMut::with_capacity(message.len() + 5);
    out.put_u8(0);
    out.put_u32(u32::try_from(message.len()).unwrap());
    out.put_slice(&message);
    Frame::data(out.freeze())
}

fn answer(messages: Vec<Vec<u8>>, status: &str) -> http::Response<Body> {
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", status.parse().unwrap());
    let frames: Vec<_> = messages.into_iter().map(framed).chain([Frame::trailers(trailers)]).map(Ok).collect();
    let body = StreamBody::new(futures::stream::iter(frames));
    http::Response::builder().header("content-type", "application/grpc").body(UnsyncBoxBody::new(body)).unwrap()
}

fn plain(text: &'static str) -> http::Response<Body> {
    http::Response::new(UnsyncBoxBody::new(http_body_util::Full::new(Bytes::from_static(text.as_bytes()))))
}

/// What a member would send: two meta pages of a database of four, and their hash.
fn database() -> Vec<u8> {
    let mut bytes = vec![7; 4 * 4096];
    for n in 0..2_usize {
        let mut meta = Vec::new();
        [0xED0C_DAED_u32, 2, 4096, 0].iter().for_each(|v| meta.extend(v.to_le_bytes()));
        [2, 0, 3, 4, 40 + n as u64].iter().for_each(|v| meta.extend(v.to_le_bytes()));
        let sum = meta.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
        meta.extend(sum.to_le_bytes());
        bytes[n * 4096 + 16..][..64].copy_from_slice(&meta);
    }
    let hash = Sha256::digest(&bytes);
    bytes.extend(hash);
    bytes
}

impl Peer {
    async fn start(id: u64, takes: Takes, all: Arc<Mutex<Vec<Member>>>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let peer =
            Member { id, name: format!("m{id}"), peer_urls: vec![format!("{url}/p")], client_urls: vec![url.clone()], ..Member::default() };
        all.lock().unwrap().push(peer);
        let state = Arc::new(Mutex::new(State { takes, size: 100 << 20, behind: false, heard: Vec::new() }));
        let told = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, all) = (told.clone(), all.clone());
                tokio::spawn(async move {
                    let mut first = [0; 3];
                    let _ = stream.peek(&mut first).await;
                    let service = hyper::service::service_fn(move |request| respond(request, id, state.clone(), all.clone()));
                    // Metrics come over HTTP/1, as Prometheus asks.
                    if &first == b"PRI" {
                        let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                            .serve_connection(TokioIo::new(stream), service)
                            .await;
                    } else {
                        let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                    }
                });
            }
        });
        Self { id, url, state }
    }
    fn heard(&self) -> Vec<String> {
        self.state.lock().unwrap().heard.clone()
    }
}

async fn respond(
    request: http::Request<hyper::body::Incoming>,
    id: u64,
    state: Arc<Mutex<State>>,
    all: Arc<Mutex<Vec<Member>>>,
) -> Result<http::Response<Body>, std::io::Error> {
    let call = request.uri().path().rsplit('/').next().unwrap_or("").to_owned();
    let _ = request.into_body().collect().await;
    let header = Some(ResponseHeader { cluster_id: 1, member_id: id, revision: 9, raft_term: 2 });
    let one = |message: Vec<u8>| Ok(answer(vec![message], "0"));
    let (takes, mut size, behind) = {
        let mut state = state.lock().unwrap();
        if matches!(call.as_str(), "Defragment" | "Snapshot" | "MoveLeader") {
            state.heard.push(call.clone());
        }
        if call == "Defragment" && takes_it(state.takes) {
            state.size = 10 << 20;
            state.behind = state.takes == Takes::Behind;
        }
        (state.takes, state.size, state.behind)
    };
    match call.as_str() {
        "metrics" => Ok(plain("etcd_disk_defrag_inflight 0\n")),
        "Status" => {
            // What is behind stays behind, whatever the others have.
            let (index, applied) = if behind { (90_000, 10) } else { (90_000, 90_000) };
            let status = StatusResponse {
                header,
                version: "3.6.5".into(),
                db_size: std::mem::take(&mut size),
                leader: 1,
                raft_index: index,
                raft_term: 2,
                raft_applied_index: applied,
                db_size_in_use: 5 << 20,
                ..StatusResponse::default()
            };
            one(status.encode_to_vec())
        }
        "MemberList" => one(MemberListResponse { header, members: all.lock().unwrap().clone() }.encode_to_vec()),
        "Alarm" => one(AlarmResponse::default().encode_to_vec()),
        "HashKV" => {
            let hash = if takes == Takes::Other { 2 } else { 1 };
            one(HashKvResponse { header, hash, compact_revision: 3, hash_revision: 9 }.encode_to_vec())
        }
        "Defragment" if matches!(takes, Takes::Mute | Takes::Lost) => Err(std::io::Error::other("gone")),
        "Defragment" => one(Done { header }.encode_to_vec()),
        "Snapshot" => {
            let mut bytes = database();
            if takes == Takes::Flipped {
                bytes[9_000] ^= 1;
            }
            let (end, status) = if takes == Takes::Cut { (9_000, "14") } else { (bytes.len(), "0") };
            let piece = |p: &[u8]| SnapshotResponse { blob: Bytes::copy_from_slice(p), ..SnapshotResponse::default() }.encode_to_vec();
            Ok(answer(bytes[..end].chunks(4_000).map(piece).collect(), status))
        }
        _ => Ok(answer(Vec::new(), "12")),
    }
}

fn takes_it(takes: Takes) -> bool {
    !matches!(takes, Takes::Lost)
}

/// A fleet of one cluster whose etcd has three members that take things so.
async fn peopled(sim: &Running, takes: [Takes; 3]) -> (Fleet, Vec<Peer>) {
    peopled_with(sim, takes, "").await
}

/// The same with more settings of its etcd.
async fn peopled_with(sim: &Running, takes: [Takes; 3], more: &str) -> (Fleet, Vec<Peer>) {
    let all: Arc<Mutex<Vec<Member>>> = Arc::default();
    let mut peers = Vec::new();
    for (n, takes) in takes.into_iter().enumerate() {
        peers.push(Peer::start(n as u64 + 1, takes, all.clone()).await);
    }
    let urls: Vec<String> = peers.iter().map(|p| p.url.clone()).collect();
    (met(sim, &urls, more).await, peers)
}

/// A fleet of one cluster whose etcd is at these three addresses.
async fn met(sim: &Running, urls: &[String], more: &str) -> Fleet {
    let config = Config::parse(&format!("[clusters.{CLUSTER}.etcd]\nendpoints = {urls:?}\n{more}"), Path::new("test.toml"));
    assert!(config.diags.is_empty(), "{:?}", config.diags);
    let targets = load(&LoadOptions { kubeconfig: Some(sim.kubeconfig.clone()), ..LoadOptions::default() }).unwrap();
    let (mut fleet, _) = Fleet::open(members(targets, &config.config), &[Kind::EtcdMember], &config.config, false, &[]);
    for _ in 0..200 {
        if fleet.store.clusters()[0].objects(Kind::EtcdMember).count() == 3 {
            return fleet;
        }
        fleet.alongside(tokio::time::sleep(Duration::from_millis(50))).await;
    }
    panic!("etcd is not seen");
}

async fn done(fleet: &mut Fleet, verb: VerbId, args: &str) -> (Outcome, Job) {
    let (_dir, state) = state();
    done_in(&state, fleet, verb, args).await
}

/// Those members of the fleet's etcd.
fn of(fleet: &Fleet, these: impl Fn(&EtcdMember) -> bool) -> Vec<Target> {
    let c = &fleet.store.clusters()[0];
    let is = |o: &&Object| matches!(o, Object::EtcdMember(m) if these(m));
    c.objects(Kind::EtcdMember).filter(is).map(|o| Target::from(&o.reference(c.id))).collect()
}

async fn preview(fleet: &mut Fleet, verb: VerbId, targets: Vec<Target>, args: &str) -> Preview {
    acting::prepare(fleet, &act(verb, targets, args), true).await.unwrap_or_else(|e| panic!("{e:?}"))
}

async fn done_in(state: &StateDir, fleet: &mut Fleet, verb: VerbId, args: &str) -> (Outcome, Job) {
    let targets = of(fleet, |_| true);
    let preview = preview(fleet, verb, targets, args).await;
    job(fleet, state, &preview, None, |_| async {}).await
}

fn states(job: &Job) -> Vec<&StepState> {
    job.steps.iter().map(|s| &s.state).collect()
}

#[test]
fn a_defragmentation_whose_answer_is_lost_is_not_sent_again_and_only_called_done_where_it_shows() {
    let sim = sim();
    super::block_on(async {
        let (mut fleet, peers) = peopled(&sim, [Takes::Well, Takes::Mute, Takes::Well]).await;
        let (outcome, job) = done(&mut fleet, VerbId::EtcdDefrag, "keep-leader").await;
        assert_eq!(outcome, Outcome::Done, "{:?}", states(&job));
        assert!(matches!(states(&job)[0], StepState::Done(text) if text.contains("the answer was lost")), "{:?}", states(&job));
        assert_eq!(peers.iter().map(|p| p.heard().len()).collect::<Vec<_>>(), [1, 1, 1]);

        let (mut fleet, peers) = peopled(&sim, [Takes::Well, Takes::Lost, Takes::Well]).await;
        let (outcome, job) = done(&mut fleet, VerbId::EtcdDefrag, "keep-leader").await;
        assert_eq!(outcome, Outcome::Failed, "{:?}", states(&job));
        assert!(matches!(states(&job)[0], StepState::Unknown(text) if text.contains("cannot be told")), "{:?}", states(&job));
        assert_eq!(
            peers.iter().map(|p| (p.id, p.heard().len())).collect::<Vec<_>>(),
            [(1, 0), (2, 1), (3, 0)],
            "the others are left alone"
        );
    });
}

#[test]
fn the_next_member_waits_until_the_one_before_has_caught_up() {
    let sim = sim();
    super::block_on(async {
        let (mut fleet, peers) = peopled(&sim, [Takes::Well, Takes::Behind, Takes::Well]).await;
        let (outcome, job) = done(&mut fleet, VerbId::EtcdDefrag, "keep-leader timeout=1s").await;
        assert_eq!(outcome, Outcome::Blocked, "{:?}", states(&job));
        assert!(matches!(states(&job)[0], StepState::Failed(text) if text.contains("entries behind")), "{:?}", states(&job));
        assert_eq!(peers.iter().map(|p| p.heard().len()).collect::<Vec<_>>(), [0, 1, 0]);
    });
}

#[test]
fn a_snapshot_that_is_not_whole_leaves_nothing_behind() {
    let sim = sim();
    super::block_on(async {
        for (takes, words) in [
            (Takes::Well, ""),
            (Takes::Flipped, "it was changed or damaged"),
            (Takes::Cut, "cut after"),
            (Takes::Other, "do not hold the same data"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("snap.db");
            let (mut fleet, _peers) = peopled(&sim, [Takes::Well, takes, Takes::Well]).await;
            let (outcome, job) = done(&mut fleet, VerbId::EtcdSnapshot, &format!("out={}", file.display())).await;
            let left = std::fs::read_dir(dir.path()).unwrap().count();
            match takes {
                Takes::Well => {
                    assert_eq!((outcome, left), (Outcome::Done, 1), "{:?}", states(&job));
                    assert_eq!(verify(&file).unwrap().transaction, 41);
                }
                _ => {
                    assert_eq!((outcome, left), (Outcome::Failed, 0), "{takes:?}: {:?}", states(&job));
                    assert!(matches!(states(&job)[0], StepState::Failed(text) if text.contains(words)), "{takes:?}: {:?}", states(&job));
                }
            }
        }
    });
}

/// A program that does this; `$1` is the snapshot.
fn program(dir: &Path, what: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let file = dir.join("after");
    std::fs::write(&file, format!("#!/bin/sh\n{what}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o700)).unwrap();
    file
}

#[test]
fn a_snapshot_is_handed_on_and_stays_whatever_the_program_does() {
    let sim = sim();
    super::block_on(async {
        for (what, outcome, words) in [
            ("cp \"$1\" \"$0.copy\"", Outcome::Done, "exit status: 0"),
            ("echo token=canary >&2; echo no such bucket >&2; exit 3", Outcome::Partial, "exit status: 3"),
            ("sleep 300 & echo $! > \"$0.pid\"; wait", Outcome::Partial, "ended after 1 s"),
        ] {
            let (dir, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let file = kept.path().join("snap.db");
            let after = program(dir.path(), what);
            let more = format!("after_snapshot = [{:?}, \"{{file}}\"]\nafter_snapshot_within = \"1s\"", after.display().to_string());
            let (mut fleet, _peers) = peopled_with(&sim, [Takes::Well; 3], &more).await;
            let (_state, log) = state();
            let (got, job) = done_in(&log, &mut fleet, VerbId::EtcdSnapshot, &format!("out={}", file.display())).await;
            assert_eq!(got, outcome, "{:?}", states(&job));
            assert!(verify(&file).is_ok(), "it stays, whole");
            assert!(matches!(states(&job)[0], StepState::Done(_)), "{:?}", states(&job));
            assert_eq!(job.steps[1].text, format!("run {} {}", after.display(), file.display()), "the preview names the program");
            let written = serde_json::to_string(&last(&log).steps.values().map(|s| format!("{s:?}")).collect::<Vec<_>>()).unwrap();
            match states(&job)[1] {
                StepState::Done(text) => assert!(text.contains(words) && written.contains(words), "{text} {written}"),
                StepState::Failed(text) => {
                    assert!(text.contains(words) && text.contains(&format!("the snapshot is in {}", file.display())), "{text}");
                    assert!(written.contains(words) && !written.contains("canary"), "{written}");
                }
                other => panic!("{other:?}"),
            }
            if let Ok(pid) = std::fs::read_to_string(format!("{}.pid", after.display())) {
                // What it started has gone with it; who has nobody to wait for it is a zombie until init does.
                let gone = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).map_or(true, |s| s.contains(") Z "));
                for _ in 0..50 {
                    if gone() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                assert!(gone(), "{what}");
            } else {
                assert!(outcome != Outcome::Done || verify(Path::new(&format!("{}.copy", after.display()))).is_ok());
            }
        }
    });
}

#[test]
fn a_full_etcd_is_mended_and_only_the_member_that_is_named_is_disarmed() {
    install_crypto_provider();
    let mut scenario = Scenario::load("etcd-full").unwrap();
    scenario.resize(Some(1), Some(3), Some(40)).unwrap();
    scenario.incidents[0].at = Moment(-600);
    let sim = start(&Options { scenario, kubeconfig: None, viewer: false }).unwrap();
    let urls = sim.fleet.etcd(CLUSTER);
    super::block_on(async {
        let raised = async || {
            let client = EtcdClient::connect(&urls[0], &EtcdWay::default()).await.unwrap();
            client.alarms().await.unwrap().iter().map(|a| a.member).collect::<Vec<_>>()
        };
        let mut fleet = met(&sim, &urls, "").await;
        assert_eq!(raised().await.len(), 3);
        for (verb, args) in [(VerbId::EtcdCompact, ""), (VerbId::EtcdDefrag, "even-small keep-leader")] {
            let (outcome, job) = done(&mut fleet, verb, args).await;
            assert_eq!(outcome, Outcome::Done, "{verb}: {:?}", states(&job));
        }
        let (_dir, log) = state();
        let one = of(&fleet, |m| &*m.meta.name == "etcd-2");
        let id = fleet.store.clusters()[0].objects(Kind::EtcdMember).find_map(|o| match o {
            Object::EtcdMember(m) if &*m.meta.name == "etcd-2" => Some(m.id),
            _ => None,
        });
        let preview = preview(&mut fleet, VerbId::EtcdDisarm, one, "force").await;
        let (outcome, steps) = carry_out(&mut fleet, &log, &preview, |_| async {}).await;
        assert_eq!(outcome, Outcome::Done, "{steps:?}");
        let left = raised().await;
        assert!(left.len() == 2 && !left.contains(&id.unwrap()), "{left:?}");
    });
}

#[test]
fn a_member_is_not_removed_when_another_has_gone_since_the_preview() {
    let sim = sim();
    let urls = sim.fleet.etcd(CLUSTER);
    super::block_on(async {
        let mut fleet = met(&sim, &urls, "").await;
        let followers = of(&fleet, |m| !m.leads());
        let (_dir, log) = state();
        let preview = preview(&mut fleet, VerbId::EtcdMemberRemove, vec![followers[0].clone()], "").await;
        assert!(sim.fleet.member(CLUSTER, &followers[1].name, &Fault::Refuse, true));
        let (outcome, steps) = carry_out(&mut fleet, &log, &preview, |_| async {}).await;
        assert_eq!(outcome, Outcome::Blocked, "{steps:?}");
        assert!(
            matches!(&steps[0], StepState::Failed(why) if why.starts_with("the quorum would be lost: 1 of 2 voters answers")),
            "{steps:?}"
        );
        assert_eq!(sim.fleet.etcd(CLUSTER).len(), 3, "it is a member still");
    });
}
