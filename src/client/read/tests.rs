use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::super::{
    fake::{Server, connect, connect_in, flowing, gzipped, reply, target, tls},
    install_crypto_provider,
};
use super::*;

#[tokio::test]
async fn nothing_but_get_and_the_reviews_leaves_it() {
    let server = Server::start(|request| match request.uri().path() {
        "/version" => reply(200, r#"{"major":"1","minor":"36","gitVersion":"v1.36.0"}"#),
        path if path.ends_with("accessreviews") => reply(201, r#"{"status":{"allowed":true,"reason":"because"}}"#),
        path if path.ends_with("rulesreviews") => {
            reply(201, r#"{"status":{"resourceRules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]}}"#)
        }
        path if path.ends_with("selfsubjectreviews") => reply(201, r#"{"status":{"userInfo":{"username":"jane","groups":["ops"]}}}"#),
        _ => reply(200, "{}"),
    })
    .await;
    let client = connect(&server, "token: t").await;
    client.get_json("/a").await.unwrap();
    client.get_bytes("/b", "application/vnd.kubernetes.protobuf").await.unwrap();
    client.stream("/c?watch=1", "application/json").await.unwrap();
    client.get_text_stream("/d/log?follow=true").await.unwrap();
    assert_eq!(client.version().await.unwrap().minor, "36");
    client.readyz(Duration::from_secs(5)).await.unwrap();
    let ask = Ask { verb: "list", resource: "pods", namespace: Some("a"), ..Ask::default() };
    assert_eq!(client.can_i(ask).await.unwrap(), Access { allowed: true, reason: "because".into() });
    assert_eq!(client.rules("a").await.unwrap()[0].resources, ["pods"]);
    assert_eq!(client.whoami().await.unwrap(), ("jane".to_owned(), vec!["ops".to_owned()]));
    client.reconnect().await.unwrap();

    let seen = server.seen.lock().unwrap();
    let posts: Vec<_> = seen.iter().filter(|r| r.method() != Method::GET).map(|r| (r.method().as_str(), r.uri().path())).collect();
    assert_eq!(
        posts,
        [
            ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
            ("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"),
            ("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews")
        ]
    );
    assert_eq!(client.used().sent, seen.len() as u64);
    for request in seen.iter() {
        assert_eq!(request.headers()["authorization"], "Bearer t");
        assert_eq!(request.headers()["user-agent"], concat!("qd/", env!("CARGO_PKG_VERSION")));
    }
}

#[tokio::test]
async fn a_path_can_neither_lead_elsewhere_nor_act() {
    let server = Server::start(|_| reply(200, "{}")).await;
    let client = connect(&server, "").await;
    for path in ["http://elsewhere/", "elsewhere", "/a b", "", "/api/v1/namespaces/a/pods/b/exec?command=rm"] {
        assert!(matches!(client.get_json(path).await, Err(ClientError::Invalid { .. })), "{path}");
    }
    assert_eq!(server.count(), 0);
    client.get_json("/api/v1/namespaces/a/pods/exec").await.unwrap();
}

#[tokio::test]
async fn lists_are_asked_for_with_gzip_and_watches_as_they_are() {
    let server = Server::start(|request| {
        let watch = request.uri().query() == Some("watch=true");
        let mut response = reply(200, if watch { b"plain".to_vec() } else { gzipped(&[b"one,", b"two,", b"three"]) });
        if !watch {
            response.headers_mut().insert(CONTENT_ENCODING, "gzip".parse().unwrap());
        }
        response.headers_mut().insert(CONTENT_TYPE, "application/x".parse().unwrap());
        response
    })
    .await;
    let client = connect(&server, "").await;
    let list = client.get_bytes("/list", "application/json").await.unwrap();
    assert_eq!((list.bytes.as_ref(), list.content_type.as_str()), (&b"one,two,three"[..], "application/x"));
    let watch = client.stream("/list?watch=true", "application/json").await.unwrap().collect().await.unwrap();
    assert_eq!(watch.bytes, "plain");
    assert_eq!(server.header(0, "accept-encoding").as_deref(), Some("gzip"));
    assert_eq!(server.header(1, "accept-encoding").as_deref(), Some("identity"));
}

#[tokio::test]
async fn a_plugin_is_run_again_once_when_its_token_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    let script = format!(r#"echo x >>{0}; echo "{{\"status\":{{\"token\":\"t$(($(wc -l <{0})))\"}}}}""#, runs.display());
    let user = format!("exec: {{command: sh, args: [-c, '{script}']}}");
    let server = Server::start(|request| match request.headers()["authorization"].to_str().unwrap() {
        "Bearer t2" if request.uri().path() == "/good" => reply(200, "{}"),
        _ => reply(401, r#"{"kind":"Status","code":401,"message":"Unauthorized"}"#),
    })
    .await;
    let client = connect_in(dir.path(), &format!("server: '{}'", server.url()), &user).await.unwrap();
    assert_eq!(server.count(), 0, "connecting sends nothing");
    client.get_json("/good").await.unwrap();
    assert_eq!(server.count(), 2);
    let error = client.get_json("/bad").await.unwrap_err();
    assert_eq!(error, ClientError::Unauthorized { reason: "credentials refused, asked anew in 10 s".into() });
    assert_eq!(std::fs::read_to_string(&runs).unwrap().lines().count(), 2, "not once a request");
}

#[tokio::test]
async fn a_token_file_is_read_again_when_its_token_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "old").unwrap();
    let server = Server::start(|request| {
        let new = request.headers()["authorization"] == "Bearer new";
        reply(if new { 200 } else { 401 }, "{}")
    })
    .await;
    let client = connect_in(dir.path(), &format!("server: '{}'", server.url()), "tokenFile: token").await.unwrap();
    assert!(matches!(client.get_json("/").await, Err(ClientError::Unauthorized { .. })));
    assert_eq!(server.count(), 1, "the same token is not sent twice");
    std::fs::write(&token, "new").unwrap();
    client.get_json("/").await.unwrap();
}

#[tokio::test]
async fn a_rotated_client_certificate_is_taken_up_when_the_old_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let rotate = |dir: &Path| {
        let made = rcgen::generate_simple_self_signed(["me".to_owned()]).unwrap();
        std::fs::write(dir.join("c"), made.cert.pem()).unwrap();
        std::fs::write(dir.join("k"), made.signing_key.serialize_pem()).unwrap();
    };
    rotate(dir.path());
    let refusals = Arc::new(AtomicUsize::new(2));
    let left = refusals.clone();
    let server = Server::start(move |_| {
        let refuse = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        reply(if refuse { 401 } else { 200 }, "{}")
    })
    .await;
    let user = "client-certificate: c, client-key: k";
    let client = connect_in(dir.path(), &format!("server: '{}'", server.url()), user).await.unwrap();
    assert!(client.get_json("/").await.is_err(), "nothing changed: not sent again");
    rotate(dir.path());
    client.get_json("/").await.unwrap();
    assert_eq!(server.count(), 3);
}

#[tokio::test]
async fn a_credential_that_the_kubeconfig_has_by_now_is_taken_up_and_another_server_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|request| reply(if request.headers()["authorization"] == "Bearer two" { 200 } else { 401 }, "{}")).await;
    let cluster = format!("server: '{}'", server.url());
    let client = connect_in(dir.path(), &cluster, "token: one").await.unwrap();
    assert!(client.get_json("/").await.unwrap_err().is_auth());
    assert_eq!(server.count(), 1, "nothing changed: not sent again");
    assert!(!client.rewritten().await);
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    // Whoever has moved the context to another server has not renewed this one's credential.
    target(dir.path(), "server: 'http://127.0.0.1:9'", "token: two");
    assert!(client.get_json("/").await.unwrap_err().is_auth());
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    target(dir.path(), &cluster, "token: two");
    assert!(client.rewritten().await);
    client.get_json("/").await.unwrap();
    assert_eq!(server.count(), 4);
}

#[tokio::test]
async fn passwords_and_impersonation_are_headers() {
    let server = Server::start(|_| reply(200, "{}")).await;
    let user = "username: jo, password: pw, as: jane, as-uid: '7', as-groups: [a, b], as-user-extra: {Why: [x]}";
    connect(&server, user).await.get_json("/").await.unwrap();
    assert_eq!(server.header(0, "authorization").as_deref(), Some("Basic am86cHc="));
    assert_eq!(server.header(0, "impersonate-user").as_deref(), Some("jane"));
    assert_eq!(server.header(0, "impersonate-uid").as_deref(), Some("7"));
    assert_eq!(server.header(0, "impersonate-extra-why").as_deref(), Some("x"));
    let seen = server.seen.lock().unwrap();
    assert_eq!(seen[0].headers().get_all("impersonate-group").iter().collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test]
async fn a_list_under_way_holds_its_place_and_a_watch_takes_none() {
    let server = Server::start(|request| match request.uri().path() {
        "/slow" | "/watch" => flowing("a", futures::stream::pending()),
        _ => reply(200, "{}"),
    })
    .await;
    install_crypto_provider();
    let dir = tempfile::tempdir().unwrap();
    let target = target(dir.path(), &format!("server: '{}'", server.url()), "");
    let budget = BudgetConfig { in_flight: 1, ..BudgetConfig::default() };
    let client = ReadClient::connect(&target, &ExecPool::default(), budget).await.unwrap();
    let slow = client.stream("/slow", "*/*").await.unwrap();
    let soon = Duration::from_millis(100);
    assert!(tokio::time::timeout(soon, client.get_json("/next")).await.is_err());
    let mut watch = client.stream("/watch?watch=1", "*/*").await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap(), "a");
    client.readyz(Duration::from_secs(5)).await.unwrap();
    assert_eq!(client.used().in_flight, 1);
    drop(slow);
    client.get_json("/next").await.unwrap();
}

#[tokio::test]
async fn a_server_that_stopped_is_a_timeout() {
    // Accepts, as a stopped process's kernel does, and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("server: 'http://{}'", listener.local_addr().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let client = connect_in(dir.path(), &url, "").await.unwrap();
    let after = Duration::from_millis(100);
    assert_eq!(client.readyz(after).await.unwrap_err(), ClientError::Timeout { after });
}

#[tokio::test]
async fn a_closed_port_a_cut_answer_and_an_error_status_are_told_apart() {
    let server = Server::start(|request| match request.uri().path() {
        "/403" => reply(403, r#"{"code":403,"message":"x cannot list resource \"nodes\" in"}"#),
        "/302" => reply(302, ""),
        "/gz" => {
            let mut response = reply(200, gzipped(&[b"0123456789"])[..20].to_vec());
            response.headers_mut().insert(CONTENT_ENCODING, "gzip".parse().unwrap());
            response
        }
        _ => reply(200, "not json s3cret"),
    })
    .await;
    let client = connect(&server, "").await;
    assert_eq!(client.get_json("/403").await.unwrap_err().reason(), "may not list nodes");
    assert_eq!(client.get_json("/302").await.unwrap_err().reason(), "HTTP 502");
    assert_eq!(client.get_json("/gz").await.unwrap_err().kind(), "decode");
    let error = client.get_json("/").await.unwrap_err();
    assert_eq!(error.kind(), "decode");
    assert!(!error.to_string().contains("s3cret"));

    let (cut, listener) = Server::bind().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 1024];
        let _ = stream.read(&mut head).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}").await.unwrap();
    });
    let client = connect(&cut, "").await;
    let error = client.get_json("/").await.unwrap_err();
    assert_eq!(error.kind(), "unreachable", "{error}");
    let error = client.get_json("/").await.unwrap_err();
    assert_eq!(error, ClientError::Unreachable { reason: "connection refused".into() });
}

#[tokio::test]
async fn a_log_comes_line_by_line_as_it_is_written() {
    let server = Server::start(|_| flowing("one\ntw", futures::stream::iter([Bytes::from("o\nthree")]))).await;
    let client = connect(&server, "").await;
    let mut lines = client.get_text_stream("/log?follow=true").await.unwrap().lines();
    let mut got = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        got.push(line);
    }
    assert_eq!(got, ["one", "two", "three"]);
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let named = |name: &str| rcgen::CertificateParams::new([name.to_owned()]).unwrap();
    let (good, config) = tls(named("kube.example"));
    std::fs::write(dir.path().join("ca"), good).unwrap();
    std::fs::write(dir.path().join("other"), tls(named("kube.example")).0).unwrap();
    let server = Server::start_tls(config, |_| reply(200, "{}")).await;
    let mut expired = named("kube.example");
    expired.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let (expired, config) = tls(expired);
    std::fs::write(dir.path().join("expired"), expired).unwrap();
    let old = Server::start_tls(config, |_| reply(200, "{}")).await;
    let plain = Server::start(|_| reply(200, "{}")).await;

    let ask = async |server: &Server, rest: &str| {
        let cluster = format!("server: 'https://{}', {rest}", server.address);
        let client = connect_in(dir.path(), &cluster, "").await.unwrap();
        client.get_json("/").await.map_or_else(|error| error.reason(), |_| "ok".to_owned())
    };
    assert_eq!(ask(&server, "certificate-authority: ca, tls-server-name: kube.example").await, "ok");
    assert_eq!(ask(&server, "insecure-skip-tls-verify: true").await, "ok");
    assert_eq!(ask(&server, "certificate-authority: ca").await, "certificate name mismatch");
    let other = "certificate-authority: other, tls-server-name: kube.example";
    assert_eq!(ask(&server, other).await, "certificate signed by unknown authority");
    let old_ca = "certificate-authority: expired, tls-server-name: kube.example";
    assert_eq!(ask(&old, old_ca).await, "certificate has expired");
    assert_eq!(ask(&plain, "certificate-authority: ca").await, "the server does not speak TLS");
}

#[tokio::test]
async fn a_client_certificate_from_a_plugin_is_presented() {
    install_crypto_provider();
    let dir = tempfile::tempdir().unwrap();
    let server_key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["kube".to_owned()]).unwrap();
    let certificate = params.self_signed(&server_key).unwrap();
    let me = rcgen::generate_simple_self_signed(["me".to_owned()]).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(me.cert.der().clone()).unwrap();
    let verifier = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let config = rustls::ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.der().clone()], server_key.serialize_der().try_into().unwrap())
        .unwrap();
    let server = Server::start_tls(config, |_| reply(200, "{}")).await;
    std::fs::write(dir.path().join("ca"), certificate.pem()).unwrap();
    let credential = serde_json::json!({
        "status": { "clientCertificateData": me.cert.pem(), "clientKeyData": me.signing_key.serialize_pem() }
    });
    std::fs::write(dir.path().join("credential"), credential.to_string()).unwrap();
    let cluster = format!("server: 'https://{}', certificate-authority: ca, tls-server-name: kube", server.address);
    let user = format!("exec: {{command: cat, args: ['{}']}}", dir.path().join("credential").display());
    connect_in(dir.path(), &cluster, &user).await.unwrap().get_json("/").await.unwrap();

    let error = connect_in(dir.path(), &cluster, "").await.unwrap().get_json("/").await.unwrap_err();
    assert_eq!(error.reason(), "client certificate refused");
}

#[tokio::test]
async fn a_broken_context_fails_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let error = connect_in(dir.path(), "server: 'https://x', certificate-authority: gone.pem", "").await.unwrap_err();
    assert_eq!(error.kind(), "config");
    assert!(error.to_string().contains("gone.pem"), "{error}");
}

#[test]
fn the_client_goes_between_tasks() {
    fn sendable<T: Send>(_: T) {}
    fn check(client: &'static ReadClient) {
        sendable(client.get_json("/"));
        sendable(client.stream("/", ""));
        sendable(client.reconnect());
    }
    let _ = check;
}

#[tokio::test]
async fn an_answer_that_does_not_end_is_cut_off_by_its_length_or_by_the_clock() {
    let server = Server::start(|request| match request.uri().path() {
        "/long" => reply(200, format!("\"{}\"", "x".repeat(2000))),
        "/flood" => flowing("\"", futures::stream::repeat(bytes::Bytes::from_static(&[b'x'; 4096]))),
        _ => flowing("\"", futures::stream::pending()),
    })
    .await;
    let client = connect(&server, "").await;
    let get = |path: &'static str, most| client.get_within::<String>(path, most, Duration::from_secs(5));
    assert_eq!(get("/long", 4000).await.unwrap().len(), 2000);
    assert!(matches!(get("/long", 1000).await, Err(ClientError::Decode { .. })));
    assert!(matches!(get("/flood", 1 << 20).await, Err(ClientError::Decode { .. })));
    let short = Duration::from_millis(200);
    assert_eq!(client.get_within::<String>("/silent", 1000, short).await, Err(ClientError::Timeout { after: short }));
}
