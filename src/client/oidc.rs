//! OpenID Connect as the kubeconfig's `auth-provider: oidc` has it: its id-token while it lasts, then one that the issuer gives for
//! the refresh token.
//!
//! kube's own is not enough: it takes neither the issuer's certificate authority nor a user without a client secret, does not go
//! through proxies, and would have every cluster spend the one refresh token by itself. What kubectl or another program has put into
//! the kubeconfig meanwhile is taken up, and a refresh token that the issuer has replaced is written there: `keep`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, StatusCode, Uri,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use kube::{client::Body, config::Config};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{
    auth::Another,
    budget::{Budget, BudgetConfig},
    error::{ClientError, printable, shorten},
    reach::{ProxyEnv, certificates, content, from_env},
    stack,
};

mod keep;

pub(super) use keep::Home;
use keep::Kept;

/// How long an issuer may take, discovery and token together.
const LIMIT: Duration = Duration::from_secs(15);
/// A token that ends within this is renewed.
const LEEWAY: i64 = 10;
/// After an issuer has refused, or a server a token just issued, nobody is asked again for this long.
const PAUSE: Duration = Duration::from_secs(30);
/// As much of an issuer's answer as is read.
const ANSWER: usize = 1 << 20;

/// A user of an issuer, as the kubeconfig has it.
#[derive(Clone)]
pub(super) struct OidcSpec {
    issuer: Uri,
    client_id: String,
    client_secret: Option<SecretString>,
    id_token: Option<SecretString>,
    refresh_token: Option<SecretString>,
    /// PEM; none: the system's.
    authority: Option<Vec<u8>>,
    proxies: ProxyEnv,
    home: Home,
}

impl OidcSpec {
    /// `Err` says in words what is wrong with the kubeconfig.
    pub fn new(config: &HashMap<String, String>, proxies: &ProxyEnv) -> Result<Self, String> {
        let get = |key: &str| config.get(key).map(String::as_str).map(str::trim).filter(|text| !text.is_empty());
        let needed = |key: &str| get(key).ok_or_else(|| format!("auth-provider oidc: {key} is missing"));
        let secret = |key: &str| get(key).map(SecretString::from);
        let url = needed("idp-issuer-url")?.trim_end_matches('/');
        let issuer: Uri = url.parse().map_err(|_| format!("idp-issuer-url {url:?} is not a URL"))?;
        if issuer.scheme_str() != Some("https") {
            return Err(format!("idp-issuer-url {url:?} is not an https URL"));
        }
        let authority = content("issuer's certificate authority", get("idp-certificate-authority-data"), get("idp-certificate-authority"))?;
        let spec = Self {
            issuer,
            client_id: needed("client-id")?.to_owned(),
            client_secret: secret("client-secret"),
            id_token: secret("id-token"),
            refresh_token: secret("refresh-token"),
            authority,
            proxies: proxies.clone(),
            home: Home::default(),
        };
        if spec.id_token.is_none() && spec.refresh_token.is_none() {
            return Err("auth-provider oidc: neither an id-token nor a refresh-token; log in with kubectl's plugin".to_owned());
        }
        Ok(spec)
    }

    /// Where the kubeconfig has this user.
    pub fn at(mut self, home: Home) -> Self {
        self.home = home;
        self
    }

    /// The same for contexts of the same user.
    fn key(&self) -> [u8; 32] {
        let secrets = [&self.client_secret, &self.id_token, &self.refresh_token].map(plain);
        Sha256::digest(serde_json::json!([self.issuer.to_string(), self.client_id, secrets]).to_string()).into()
    }
}

/// The tokens of all issuers, one place a user. Clones share everything.
#[derive(Clone, Default)]
pub(super) struct Issuers(Arc<Mutex<HashMap<[u8; 32], Arc<Place>>>>);

impl Issuers {
    pub fn of(&self, spec: OidcSpec) -> Oidc {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry(spec.key()).or_insert_with(|| Arc::new(Place::new(&spec))).clone();
        Oidc { spec, place }
    }
}

/// The lock is held while an issuer is asked: that is the single flight.
struct Place {
    tokens: tokio::sync::Mutex<Tokens>,
    /// What could not be kept, for people.
    told: Mutex<Option<String>>,
}

struct Tokens {
    id: Option<SecretString>,
    refresh: Option<SecretString>,
    /// What the kubeconfig has, as far as we know.
    kept: Kept,
    /// From the issuer's metadata.
    endpoint: Option<Uri>,
    /// The client's name and secret go in the form: the issuer does not take them in a header.
    in_form: bool,
    /// The last failure, for those who were already waiting when it happened.
    failed: Option<(Instant, ClientError)>,
    /// When the issuer last said no: asking again at once changes nothing, and some lock out who asks too often.
    refused: Option<Instant>,
    /// When the present id-token was issued to us.
    issued: Option<Instant>,
}

impl Place {
    fn new(spec: &OidcSpec) -> Self {
        let tokens = Tokens {
            id: spec.id_token.clone(),
            refresh: spec.refresh_token.clone(),
            kept: Kept { id: plain(&spec.id_token), refresh: plain(&spec.refresh_token) },
            endpoint: None,
            in_form: spec.client_secret.is_none(),
            failed: None,
            refused: None,
            issued: None,
        };
        Self { tokens: tokio::sync::Mutex::new(tokens), told: Mutex::default() }
    }
}

/// One user's tokens.
pub(super) struct Oidc {
    spec: OidcSpec,
    place: Arc<Place>,
}

impl Oidc {
    /// What went wrong beside the requests; each once, whichever cluster of the user asks first.
    pub fn told(&self) -> Option<String> {
        self.place.told.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The id-token, a new one if it ends.
    pub async fn token(&self) -> Result<SecretString, ClientError> {
        let asked = Instant::now();
        let mut tokens = self.place.tokens.lock().await;
        if let Some(id) = &tokens.id
            && lasts(id)
        {
            return Ok(id.clone());
        }
        if let Some((when, error)) = &tokens.failed
            && (*when >= asked || tokens.refused.is_some_and(|at| at.elapsed() < PAUSE))
        {
            return Err(error.clone());
        }
        let renewed = tokio::time::timeout(LIMIT, self.renew(&mut tokens)).await;
        let renewed = renewed.unwrap_or_else(|_| Err(unauthorized("the OIDC issuer does not answer")));
        match &renewed {
            Ok(id) => {
                (tokens.id, tokens.issued) = (Some(id.clone()), Some(Instant::now()));
                (tokens.failed, tokens.refused) = (None, None);
            }
            Err(error) => tokens.failed = Some((Instant::now(), error.clone())),
        }
        renewed
    }

    /// The server refused `token` though it lasts, by its own clock or because its keys changed: whether there may be another.
    pub async fn refused(&self, token: &SecretString) -> Another {
        let mut tokens = self.place.tokens.lock().await;
        match &tokens.id {
            Some(id) if id.expose_secret() == token.expose_secret() => {
                if tokens.refresh.is_none() {
                    return Another::No;
                }
                let another = Another::after(tokens.issued, PAUSE);
                if another == Another::Now {
                    tokens.id = None;
                }
                another
            }
            _ => Another::Now,
        }
    }

    async fn renew(&self, tokens: &mut Tokens) -> Result<SecretString, ClientError> {
        if let Some(id) = self.look_again(tokens).await {
            return Ok(id);
        }
        let Some(refresh) = tokens.refresh.clone() else {
            return Err(unauthorized("the OIDC token has ended, and there is no refresh token"));
        };
        let endpoint = match &tokens.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => tokens.endpoint.insert(self.discover().await?).clone(),
        };
        let (mut status, mut body) = self.ask(&endpoint, &refresh, tokens.in_form).await?;
        // Issuers want the client's secret in one place and refuse it in the other; a dead token is dead in both.
        if !status.is_success() && !tokens.in_form && said(&body).error != "invalid_grant" {
            (status, body) = self.ask(&endpoint, &refresh, true).await?;
            tokens.in_form = status.is_success();
        }
        if !status.is_success() {
            tokens.refused = Some(Instant::now());
            return Err(refused(status, &said(&body)));
        }
        let granted: Granted = serde_json::from_slice(&body).map_err(|_| unauthorized("the OIDC issuer's answer cannot be read"))?;
        // It may be good for one use only.
        if let Some(next) = granted.refresh_token.filter(|next| next != refresh.expose_secret()) {
            tokens.refresh = Some(next.clone().into());
            self.keep(tokens, Kept { id: granted.id_token.clone(), refresh: Some(next) }).await;
        }
        granted.id_token.map(SecretString::from).ok_or_else(|| unauthorized("the OIDC issuer gives no id-token for the refresh token"))
    }

    /// Somebody else may have renewed the tokens or logged in since: then the kubeconfig's count, and its id-token may do.
    async fn look_again(&self, tokens: &mut Tokens) -> Option<SecretString> {
        let spec = &self.spec;
        let (home, issuer, client) = (spec.home.clone(), spec.issuer.to_string(), spec.client_id.clone());
        let reading = tokio::task::spawn_blocking(move || home.read(issuer.trim_end_matches('/'), &client));
        let there = reading.await.ok().flatten().filter(|there| *there != tokens.kept)?;
        tokens.kept = there.clone();
        tokens.refresh = there.refresh.map(SecretString::from).or_else(|| tokens.refresh.take());
        there.id.map(SecretString::from).filter(lasts)
    }

    /// Writes what the issuer gave into the kubeconfig. Where that fails this run goes on with what it has in memory.
    async fn keep(&self, tokens: &mut Tokens, new: Kept) {
        let Some(old) = tokens.kept.refresh.clone() else { return };
        let (home, written) = (self.spec.home.clone(), new.clone());
        let user = home.user.clone();
        let why = match tokio::task::spawn_blocking(move || home.write(&old, &written)).await {
            Ok(Ok(())) => {
                // An id-token goes only where there was one.
                tokens.kept = Kept { id: tokens.kept.id.take().and(new.id), refresh: new.refresh };
                return;
            }
            Ok(Err(why)) => why,
            Err(error) => error.to_string(),
        };
        let words = format!("OIDC user {user}: the renewed tokens are not in the kubeconfig, kubectl may have to log in again: {why}");
        tracing::warn!("{words}");
        *self.place.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
    }

    async fn discover(&self) -> Result<Uri, ClientError> {
        let text = format!("{}/.well-known/openid-configuration", self.spec.issuer.to_string().trim_end_matches('/'));
        let url: Uri = text.parse().map_err(|_| unauthorized("the OIDC issuer is not a URL"))?;
        let (status, body) = self.send(&url, Method::GET, None, String::new()).await?;
        if !status.is_success() {
            return Err(unauthorized(format!("the OIDC issuer's metadata: HTTP {}", status.as_u16())));
        }
        let metadata: Metadata = serde_json::from_slice(&body).map_err(|_| unauthorized("the OIDC issuer's metadata cannot be read"))?;
        match metadata.token_endpoint.parse::<Uri>() {
            Ok(endpoint) if endpoint.scheme_str() == Some("https") => Ok(endpoint),
            _ => Err(unauthorized("the OIDC issuer's token endpoint is not an https URL")),
        }
    }

    async fn ask(&self, endpoint: &Uri, refresh: &SecretString, in_form: bool) -> Result<(StatusCode, Bytes), ClientError> {
        let spec = &self.spec;
        let secret = spec.client_secret.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
        let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", refresh.expose_secret())];
        let mut basic = None;
        if in_form {
            form.push(("client_id", &spec.client_id));
            form.extend((!secret.is_empty()).then_some(("client_secret", secret)));
        } else {
            // RFC 6749 has both encoded like a form's fields.
            let pair = STANDARD.encode(format!("{}:{}", encoded(&spec.client_id), encoded(secret)));
            let mut value = HeaderValue::try_from(format!("Basic {pair}")).map_err(|_| unauthorized("OIDC: the client's secret"))?;
            value.set_sensitive(true);
            basic = Some(value);
        }
        let body: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        self.send(endpoint, Method::POST, basic, body.join("&")).await
    }

    /// One request to the issuer. No connection is kept: it is asked once an hour.
    async fn send(&self, url: &Uri, method: Method, basic: Option<HeaderValue>, form: String) -> Result<(StatusCode, Bytes), ClientError> {
        let words = |error: ClientError| unauthorized(format!("OIDC issuer: {}", error.reason()));
        let base = Uri::builder().scheme("https").authority(url.authority().map(|a| a.as_str()).unwrap_or_default()).path_and_query("/");
        let mut config = Config::new(base.build().map_err(|_| unauthorized("the OIDC issuer is not a URL"))?);
        config.default_retry = false;
        if let Some(pem) = &self.spec.authority {
            config.root_cert = Some(certificates(pem).map_err(unauthorized)?);
        }
        let proxy = from_env(url, &self.spec.proxies).map_err(unauthorized)?;
        // The system's roots are many files: off the event loop.
        let handle = tokio::runtime::Handle::current();
        let built = tokio::task::spawn_blocking(move || {
            let _runtime = handle.enter();
            stack::build(config, proxy.as_ref(), None, &Budget::new(BudgetConfig::default()))
        });
        let client = built.await.map_err(|_| unauthorized("OIDC: building the client failed"))?.map_err(words)?;
        let mut request = Request::builder().method(method).uri(url.path_and_query().map_or("/", |p| p.as_str()));
        request = request.header(ACCEPT, "application/json");
        if !form.is_empty() {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        if let Some(basic) = basic {
            request = request.header(AUTHORIZATION, basic);
        }
        let request = request.body(Body::from(form.into_bytes())).map_err(|_| unauthorized("OIDC: the request"))?;
        let response = client.send(request).await.map_err(|error| words(ClientError::from_transport(&error)))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER).collect().await;
        let body = body.map_err(|_| unauthorized("the OIDC issuer's answer broke off"))?;
        Ok((status, body.to_bytes()))
    }
}

#[derive(Deserialize)]
struct Metadata {
    token_endpoint: String,
}

#[derive(Deserialize)]
struct Granted {
    id_token: Option<String>,
    refresh_token: Option<String>,
}

/// An issuer's refusal.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Said {
    error: String,
    error_description: String,
}

fn said(body: &[u8]) -> Said {
    serde_json::from_slice(body).unwrap_or_default()
}

fn refused(status: StatusCode, said: &Said) -> ClientError {
    if said.error == "invalid_grant" {
        return unauthorized("the OIDC login has ended; log in again");
    }
    let words = match [&said.error_description, &said.error].into_iter().find(|text| !text.is_empty()) {
        Some(text) => shorten(&printable(text), 100),
        None => format!("HTTP {}", status.as_u16()),
    };
    unauthorized(format!("OIDC issuer: {words}"))
}

/// Whether a token is good for a while. One that cannot be read is not ours to judge.
fn lasts(token: &SecretString) -> bool {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let middle = token.expose_secret().split('.').nth(1).unwrap_or_default();
    let claims = URL_SAFE_NO_PAD.decode(middle.trim_end_matches('=')).ok().and_then(|json| serde_json::from_slice::<Claims>(&json).ok());
    claims.is_none_or(|claims| (Timestamp::now().as_second() + LEEWAY) as f64 <= claims.exp)
}

fn plain(secret: &Option<SecretString>) -> Option<String> {
    secret.as_ref().map(|secret| secret.expose_secret().to_owned())
}

/// A field of a form.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn unauthorized(reason: impl Into<String>) -> ClientError {
    ClientError::Unauthorized { reason: reason.into() }
}

#[cfg(test)]
mod tests;
