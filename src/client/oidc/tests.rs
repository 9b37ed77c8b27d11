//! Against an issuer on loopback, which has its own certificate authority, as companies' issuers do.

use super::super::{
    BudgetConfig, ExecPool, ReadClient,
    fake::{Reply, Server, reply, sent, target, tls},
    install_crypto_provider,
};
use super::*;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A token of this name that ends in so many seconds.
fn token(name: &str, ends_in: i64) -> String {
    let claims = serde_json::json!({"sub": name, "exp": Timestamp::now().as_second() + ends_in});
    format!("e30.{}.{name}", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

struct Issuer {
    server: Server,
    dir: tempfile::TempDir,
}

impl Issuer {
    /// One that answers with its metadata, and as `grant` says to the nth request for a token.
    async fn start(grant: impl Fn(usize, &Request<()>) -> Reply + Send + Sync + 'static) -> Self {
        let (pem, config) = tls(rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap());
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca"), pem).unwrap();
        let asked = AtomicUsize::new(0);
        let server = Server::start_tls(config, move |request| match request.uri().path() {
            "/realm/.well-known/openid-configuration" => {
                let host = request.headers()["host"].to_str().unwrap();
                reply(200, format!(r#"{{"issuer":"https://{host}/realm","token_endpoint":"https://{host}/token?v=2"}}"#))
            }
            "/token" => grant(asked.fetch_add(1, Ordering::SeqCst), request),
            _ => reply(404, ""),
        })
        .await;
        Self { server, dir }
    }

    /// A user of the kubeconfig; `rest` goes beside the issuer and the client's id.
    fn user(&self, rest: &str) -> String {
        let (port, ca) = (self.server.address.port(), self.dir.path().join("ca"));
        format!(
            "auth-provider: {{name: oidc, config: {{idp-issuer-url: 'https://localhost:{port}/realm/', idp-certificate-authority: '{}', client-id: 'q d', {rest}}}}}",
            ca.display()
        )
    }

    /// What was sent to the token endpoint.
    fn forms(&self) -> Vec<String> {
        self.server.seen.lock().unwrap().iter().filter(|r| r.method() == Method::POST).map(sent).collect()
    }
}

fn granted(id: &str, refresh: &str) -> Reply {
    reply(200, serde_json::json!({"id_token": id, "refresh_token": refresh, "token_type": "Bearer"}).to_string())
}

async fn client(dir: &Path, server: &Server, user: &str, pool: &ExecPool) -> Result<ReadClient, ClientError> {
    install_crypto_provider();
    ReadClient::connect(&target(dir, &format!("server: '{}'", server.url()), user), pool, BudgetConfig::default()).await
}

/// An API server that takes one token.
async fn only(token: String) -> Server {
    Server::start(move |request| reply(if request.headers()["authorization"] == format!("Bearer {token}") { 200 } else { 401 }, "{}")).await
}

#[tokio::test]
async fn an_id_token_that_lasts_is_sent_and_no_issuer_asked() {
    let issuer = Issuer::start(|_, _| reply(500, "")).await;
    let api = only(token("first", 600)).await;
    let user = issuer.user(&format!("id-token: '{}', refresh-token: r1", token("first", 600)));
    client(issuer.dir.path(), &api, &user, &ExecPool::default()).await.unwrap().get_json("/").await.unwrap();
    assert_eq!(issuer.server.count(), 0);
}

#[tokio::test]
async fn one_that_ended_is_renewed_once_for_all_clusters_of_the_user() {
    let new = token("new", 600);
    let (give, pool) = (new.clone(), ExecPool::default());
    let issuer = Issuer::start(move |_, _| granted(&give, "r2")).await;
    let user = issuer.user(&format!("client-secret: 's/1', id-token: '{}', refresh-token: 'r+1'", token("old", -60)));
    let (one, two) = (only(new.clone()).await, only(new).await);
    let a = client(issuer.dir.path(), &one, &user, &pool).await.unwrap();
    let b = client(issuer.dir.path(), &two, &user, &pool).await.unwrap();
    let (first, second) = tokio::join!(a.get_json("/"), b.get_json("/"));
    first.unwrap();
    second.unwrap();
    b.get_json("/").await.unwrap();
    assert_eq!(issuer.forms(), ["grant_type=refresh_token&refresh_token=r%2B1"]);
    let basic = issuer.server.header(1, "authorization").unwrap();
    assert_eq!(basic, format!("Basic {}", STANDARD.encode("q%20d:s%2F1")));
    assert_eq!((one.count(), two.count()), (1, 2), "nothing is sent with a token that has ended");
}

#[tokio::test]
async fn a_refresh_token_that_was_replaced_is_not_used_again() {
    // Each lasts less than the leeway, so that every request needs another.
    let issuer = Issuer::start(|nth, _| granted(&token("short", 5), &format!("r{}", nth + 2))).await;
    let api = Server::start(|_| reply(200, "{}")).await;
    let user = issuer.user("client-secret: s, refresh-token: r1");
    let client = client(issuer.dir.path(), &api, &user, &ExecPool::default()).await.unwrap();
    client.get_json("/").await.unwrap();
    client.get_json("/").await.unwrap();
    // Connecting is the first one that needs it.
    assert_eq!(issuer.forms(), ["r1", "r2", "r3"].map(|r| format!("grant_type=refresh_token&refresh_token={r}")));
    let metadata = issuer.server.seen.lock().unwrap().iter().filter(|r| r.method() == Method::GET).count();
    assert_eq!(metadata, 1, "the metadata is kept");
}

#[tokio::test]
async fn the_kubeconfig_has_what_replaced_its_tokens_and_what_kubectl_puts_there_counts() {
    let short = token("short", 5);
    let give = short.clone();
    let issuer = Issuer::start(move |_, _| granted(&give, "refresh-2")).await;
    let api = Server::start(|_| reply(200, "{}")).await;
    let old = token("old", -60);
    let user = issuer.user(&format!("client-secret: s, id-token: '{old}', refresh-token: refresh-1"));
    let client = client(issuer.dir.path(), &api, &user, &ExecPool::default()).await.unwrap();
    let file = issuer.dir.path().join("config");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("refresh-token: refresh-2") && text.contains(&short) && !text.contains(&old), "{text}");
    let kubectls = token("kubectls", 600);
    std::fs::write(&file, text.replace("refresh-2", "refresh-3").replace(&short, &kubectls)).unwrap();
    assert_eq!(client.told(), None);
    let (asked, sent) = (issuer.forms().len(), api.count());
    client.get_json("/").await.unwrap();
    assert_eq!(issuer.forms().len(), asked, "no need to ask");
    assert!(api.header(sent, "authorization").unwrap().ends_with("kubectls"));
}

#[tokio::test]
async fn what_cannot_be_written_back_is_told_once() {
    let issuer = Issuer::start(move |_, _| granted(&token("new", 600), "refresh-2")).await;
    let api = Server::start(|_| reply(200, "{}")).await;
    let user = issuer.user(&format!("client-secret: s, id-token: '{}', refresh-token: refresh-1", token("old", -60)));
    std::fs::write(issuer.dir.path().join("config.lock"), "").unwrap();
    let client = client(issuer.dir.path(), &api, &user, &ExecPool::default()).await.unwrap();
    let told = client.told().unwrap();
    assert!(told.contains("kubectl may have to log in again") && told.contains("config.lock is there"), "{told}");
    assert!(!told.contains("refresh-"), "{told}");
    assert_eq!(client.told(), None);
}

#[tokio::test]
async fn a_client_is_named_where_the_issuer_wants_it() {
    let in_form = |request: &Request<()>| {
        let form = sent(request);
        if request.headers().contains_key("authorization") || !form.contains("client_id=q%20d") {
            return reply(401, r#"{"error":"invalid_client"}"#);
        }
        granted(&token(if form.contains("client_secret=s") { "with" } else { "without" }, 5), "r1")
    };
    for (secret, asked, name) in [("client-secret: s,", 4, "with"), ("", 3, "without")] {
        let issuer = Issuer::start(move |_, request| in_form(request)).await;
        let api = Server::start(|_| reply(200, "{}")).await;
        let user = issuer.user(&format!("{secret} refresh-token: r1"));
        let client = client(issuer.dir.path(), &api, &user, &ExecPool::default()).await.unwrap();
        client.get_json("/").await.unwrap();
        client.get_json("/").await.unwrap();
        assert_eq!(issuer.forms().len(), asked, "the place is found once");
        assert!(api.header(0, "authorization").unwrap().ends_with(name));
    }
}

#[tokio::test]
async fn a_refused_refresh_is_unauthorized_in_words_and_not_asked_for_again_at_once() {
    let said = [
        (400, r#"{"error":"invalid_grant","error_description":"Token is not active"}"#, "the OIDC login has ended; log in again", 1),
        (401, r#"{"error":"invalid_client","error_description":"no \u001b[2Jsuch client"}"#, "OIDC issuer: no [2Jsuch client", 2),
        (503, "<html>", "OIDC issuer: HTTP 503", 2),
    ];
    for (code, body, words, asked) in said {
        let issuer = Issuer::start(move |_, _| reply(code, body)).await;
        let api = Server::start(|_| reply(200, "{}")).await;
        let user = issuer.user(&format!("client-secret: s, id-token: '{}', refresh-token: r1", token("old", -60)));
        let pool = ExecPool::default();
        for _ in 0..3 {
            let error = client(issuer.dir.path(), &api, &user, &pool).await.err().unwrap();
            assert!(error.is_auth(), "{error:?}");
            assert_eq!(error.reason(), words);
        }
        assert_eq!((issuer.forms().len(), api.count()), (asked, 0));
    }
}

#[tokio::test]
async fn a_token_that_the_server_refuses_is_renewed_once() {
    let new = token("new", 600);
    let give = new.clone();
    let issuer = Issuer::start(move |_, _| granted(&give, "r2")).await;
    let user = issuer.user(&format!("client-secret: s, id-token: '{}', refresh-token: r1", token("revoked", 600)));
    let api = only(new).await;
    client(issuer.dir.path(), &api, &user, &ExecPool::default()).await.unwrap().get_json("/").await.unwrap();
    assert_eq!((issuer.forms().len(), api.count()), (1, 2));
    // One that takes none: the new token is refused too, and that is that.
    let never = only("none".to_owned()).await;
    let client = client(issuer.dir.path(), &never, &user, &ExecPool::default()).await.unwrap();
    for _ in 0..3 {
        assert!(client.get_json("/").await.unwrap_err().is_auth());
    }
    assert_eq!(issuer.forms().len(), 2, "not once a request");
}

#[tokio::test]
async fn an_issuer_that_cannot_be_asked_is_said() {
    let issuer = Issuer::start(|_, _| reply(200, "{}")).await;
    let dir = issuer.dir.path();
    let api = Server::start(|_| reply(200, "{}")).await;
    let reason = async |user: String| match client(dir, &api, &user, &ExecPool::default()).await {
        Ok(_) => "connected".to_owned(),
        Err(error) => {
            if error.is_auth() {
                error.reason()
            } else {
                error.to_string()
            }
        }
    };
    assert_eq!(reason(issuer.user("refresh-token: r")).await, "the OIDC issuer gives no id-token for t…");
    let ended = issuer.user(&format!("id-token: '{}'", token("old", -60)));
    assert_eq!(reason(ended).await, "the OIDC token has ended, and there is …");
    std::fs::write(dir.join("other"), tls(rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap()).0).unwrap();
    let other = issuer.user("refresh-token: r").replace("/ca'", "/other'");
    assert_eq!(reason(other).await, "OIDC issuer: certificate signed by unkn…");
    let closed = issuer.user("refresh-token: r").replace(&format!(":{}/", issuer.server.address.port()), ":1/");
    assert_eq!(reason(closed).await, "OIDC issuer: connection refused");
    assert!(reason(issuer.user("x: y")).await.contains("neither an id-token nor a refresh-token"));
    assert!(reason(issuer.user("refresh-token: r").replace("client-id", "clientid")).await.contains("client-id is missing"));
    assert!(reason(issuer.user("refresh-token: r").replace("https:", "http:")).await.contains("not an https URL"));
    assert_eq!(api.count(), 0);
}
