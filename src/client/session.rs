//! One cluster's connection: the client in force, the credential it sends, and what happens when either is refused.
//!
//! Sends what it is given. What may be sent is decided by the wrappers: `ReadClient` and `WriteClient`.

use std::{
    sync::{Arc, Mutex as Lock, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use tokio::sync::Mutex;

use super::{
    auth::{Another, Auth, Grant},
    budget::{AnswerWithin, Budget, BudgetConfig, BudgetUse},
    certificate::Certificate,
    error::ClientError,
    exec::{ExecPool, Identity},
    forward::Forward,
    kubeconfig::Target,
    origin::{Origin, Stamp},
    reach::Reach,
    stack,
};

/// The head of an answer must be there within this, once the request has its place.
pub(super) const ANSWER: Duration = Duration::from_secs(30);
/// As much of an error's body as is read, and how long it may take.
const ERROR_BODY: (usize, Duration) = (64 << 10, Duration::from_secs(5));
/// As much of the answer to a change as is read; objects are at most 3 MiB.
const WHOLE: usize = 8 << 20;

pub(super) struct Session {
    pub name: String,
    who: Lock<Arc<Who>>,
    origin: Option<Arc<Origin>>,
    forward: Option<Forward>,
    pool: ExecPool,
    budget: Budget,
    live: Mutex<Option<Live>>,
    /// The files that credentials come from, as they were when the kubeconfig was last read again; empty before that.
    read: Mutex<Stamp>,
}

/// A server and a user, as the kubeconfig had them when it was last read.
struct Who {
    reach: Reach,
    auth: Auth,
}

struct Live {
    client: kube::Client,
    fingerprint: [u8; 32],
    /// The plugin's answer whose certificate the client uses.
    serial: Option<u64>,
}

impl Session {
    pub fn new(target: &Target, pool: &ExecPool, budget: BudgetConfig) -> Result<Self, ClientError> {
        let reach = target.reach().map_err(|reason| ClientError::Config { reason: reason.to_owned() })?;
        Ok(Self {
            name: target.name.clone(),
            who: Lock::new(Arc::new(Who { auth: Auth::new(&target.name, reach, pool)?, reach: reach.clone() })),
            origin: target.origin(),
            forward: target.forward(),
            pool: pool.clone(),
            budget: Budget::new(budget),
            live: Mutex::new(None),
            read: Mutex::default(),
        })
    }

    fn who(&self) -> Arc<Who> {
        self.who.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a file that credentials come from was written since we were refused.
    pub async fn rewritten(&self) -> bool {
        let now = self.stamp().await;
        let read = self.read.lock().await;
        !read.is_empty() && *read != now
    }

    async fn stamp(&self) -> Stamp {
        match &self.origin {
            Some(origin) => origin.stamp(&self.who().reach).await,
            None => Stamp::new(),
        }
    }

    /// What went wrong beside the requests, for people; each once.
    pub fn told(&self) -> Option<String> {
        self.who().auth.told()
    }

    /// Takes the kubeconfig's user as it is by now; false when that is the one we are.
    async fn read_again(&self) -> bool {
        let Some(origin) = self.origin.clone() else { return false };
        *self.read.lock().await = self.stamp().await;
        let old = self.who();
        // OIDC looks by itself, and writes there too.
        if old.reach.oidc.is_some() {
            return false;
        }
        let same = old.clone();
        let Ok(Some(reach)) = tokio::task::spawn_blocking(move || origin.again(&same.reach)).await else { return false };
        let Ok(auth) = Auth::new(&self.name, &reach, &self.pool) else { return false };
        tracing::info!(cluster = self.name, "the kubeconfig has another credential by now");
        let mut who = self.who.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&who, &old) {
            *who = Arc::new(Who { reach, auth });
        }
        true
    }

    /// Our certificate as the kubeconfig has it, and the server's by a handshake of its own. None where there is none, where it is reached
    /// through a proxy or a forward, or where it does not let us see it.
    pub async fn certificates(&self) -> [Option<Certificate>; 2] {
        let who = self.who();
        let direct = self.forward.is_none() && who.reach.proxy.is_none();
        let read = tokio::task::spawn_blocking(move || (who.reach.own_certificate(), who.reach.material(None).ok().filter(|_| direct)));
        let Ok((own, material)) = read.await else { return [None, None] };
        let shown = match material {
            Some(material) => stack::shown_certificate(&material.config).await,
            None => None,
        };
        [own, shown]
    }

    pub fn used(&self) -> BudgetUse {
        self.budget.used()
    }

    /// A client and a credential, without a request: runs an exec plugin, reads certificates.
    pub async fn ready(&self) -> Result<(kube::Client, Grant), ClientError> {
        self.ready_as(&self.who()).await
    }

    async fn ready_as(&self, who: &Arc<Who>) -> Result<(kube::Client, Grant), ClientError> {
        let grant = who.auth.grant().await?;
        let identity = grant.exec.as_ref().and_then(|c| Some((c.serial, c.identity.clone()?)));
        let serial = identity.as_ref().map(|(serial, _)| *serial);
        let mut live = self.live.lock().await;
        if let Some(live) = live.as_ref()
            && live.serial == serial
        {
            return Ok((live.client.clone(), grant));
        }
        let built = self.build(who, identity.map(|(_, identity)| identity), None).await?;
        let Some((client, fingerprint)) = built else {
            return Err(ClientError::Config { reason: "no client".to_owned() });
        };
        *live = Some(Live { client: client.clone(), fingerprint, serial });
        Ok((client, grant))
    }

    /// A client that sends the credential in force with each request by itself: for kube's upgrades, which take no headers.
    pub async fn upgrading(&self) -> Result<kube::Client, ClientError> {
        let (client, grant) = self.ready().await?;
        let namespace = client.default_namespace().to_owned();
        let service = tower::service_fn(move |mut request: Request<Body>| {
            if let Some(header) = &grant.header {
                request.headers_mut().insert(AUTHORIZATION, header.clone());
            }
            request.extensions_mut().insert(AnswerWithin(ANSWER));
            let client = client.clone();
            async move { client.send(request).await }
        });
        Ok(kube::Client::new(service, namespace))
    }

    /// Forgets the client with its connections; the next request reads the certificates anew. The kubeconfig is read at once,
    /// if it was written since: a fleet that is down must not read a large one again and again.
    pub async fn forget(&self) {
        let stamp = self.stamp().await;
        if *self.read.lock().await != stamp {
            self.read_again().await;
        }
        *self.live.lock().await = None;
    }

    /// Sends `request`, again once if the credential was refused and there is another. Only 2xx is `Ok`.
    pub async fn send(
        &self,
        request: impl Fn() -> Result<Request<Body>, ClientError>,
        within: Duration,
    ) -> Result<Response<Body>, ClientError> {
        let response = self.answered(request, within).await?;
        if response.status().is_success() { Ok(response) } else { Err(read_error(response).await) }
    }

    /// Sends `request` likewise and reads the whole answer, whatever its code.
    pub async fn exchange(
        &self,
        request: impl Fn() -> Result<Request<Body>, ClientError>,
        within: Duration,
    ) -> Result<(u16, HeaderMap, Bytes), ClientError> {
        let answer = async {
            let (parts, body) = self.answered(request, within).await?.into_parts();
            let body = Limited::new(body, WHOLE).collect().await.map_err(|error| ClientError::from_transport(&*error))?;
            Ok((parts.status.as_u16(), parts.headers, body.to_bytes()))
        };
        // The request waits for its place in the budget without a limit of its own.
        tokio::time::timeout(within * 3, answer).await.map_err(|_| ClientError::Timeout { after: within * 3 })?
    }

    /// The answer, of any code but a 401 that another credential may mend.
    async fn answered(
        &self,
        request: impl Fn() -> Result<Request<Body>, ClientError>,
        within: Duration,
    ) -> Result<Response<Body>, ClientError> {
        let mut again = true;
        loop {
            let mut request = request()?;
            let who = self.who();
            let (client, grant) = self.ready_as(&who).await?;
            if let Some(header) = &grant.header {
                request.headers_mut().insert(AUTHORIZATION, header.clone());
            }
            request.extensions_mut().insert(AnswerWithin(within));
            match client.send(request).await {
                Ok(response) if response.status() != StatusCode::UNAUTHORIZED => return Ok(response),
                Ok(response) => {
                    // Refused before anything was done: the one answer after which a write may be sent again.
                    match self.another(again, &who, &grant).await {
                        Another::Now => {}
                        other => return Err(read_error(response).await.asked_anew(other)),
                    }
                }
                Err(error) => {
                    let error = ClientError::from_transport(&error);
                    let refused = matches!(error, ClientError::Unauthorized { .. });
                    match self.another(refused && again, &who, &grant).await {
                        Another::Now => {}
                        other => return Err(error.asked_anew(other)),
                    }
                }
            }
            again = false;
        }
    }

    /// After a refusal, where another try is worth it at all: whether the credential or a certificate is another one now.
    async fn another(&self, again: bool, who: &Arc<Who>, grant: &Grant) -> Another {
        if !again {
            return Another::No;
        }
        if !Arc::ptr_eq(who, &self.who()) {
            return Another::Now;
        }
        let credential = self.another_in_files(who, grant).await;
        if credential != Another::Now && self.read_again().await {
            *self.live.lock().await = None;
            return Another::Now;
        }
        credential
    }

    /// The same for what the plugin, the issuer and the files that the kubeconfig names have.
    async fn another_in_files(&self, who: &Arc<Who>, grant: &Grant) -> Another {
        let credential = who.auth.refused(grant).await;
        let mut live = self.live.lock().await;
        let Some(now) = live.as_ref() else {
            return credential;
        };
        if now.serial.is_some() {
            return credential;
        }
        match self.build(who, None, Some(now.fingerprint)).await {
            Ok(Some((client, fingerprint))) => {
                *live = Some(Live { client, fingerprint, serial: None });
                Another::Now
            }
            _ => credential,
        }
    }

    /// Reads the certificates and builds a client, unless they are what they were. Files may be on a slow disk, and the
    /// system's roots are many: off the event loop.
    async fn build(
        &self,
        who: &Arc<Who>,
        identity: Option<Identity>,
        unless: Option<[u8; 32]>,
    ) -> Result<Option<(kube::Client, [u8; 32])>, ClientError> {
        let who = who.clone();
        let (budget, forward) = (self.budget.clone(), self.forward.clone());
        let built = tokio::task::spawn_blocking(move || {
            let material = who.reach.material(identity.as_ref()).map_err(|reason| ClientError::Config { reason })?;
            if unless == Some(material.fingerprint) {
                return Ok(None);
            }
            let client = stack::build(material.config, who.reach.proxy.as_ref(), forward, &budget)?;
            Ok(Some((client, material.fingerprint)))
        });
        built.await.map_err(|_| ClientError::Config { reason: "building the client failed".to_owned() })?
    }
}

async fn read_error(response: Response<Body>) -> ClientError {
    let (parts, body) = response.into_parts();
    let (most, within) = ERROR_BODY;
    let body = match tokio::time::timeout(within, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        _ => bytes::Bytes::new(),
    };
    // A redirect is an answer of something that is not an API server.
    let code = if parts.status.is_redirection() { StatusCode::BAD_GATEWAY } else { parts.status };
    ClientError::from_response(code.as_u16(), &parts.headers, &body)
}
