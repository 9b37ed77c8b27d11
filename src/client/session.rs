//! One cluster's connection: the client in force, the credential it sends, and what happens when either is refused.
//!
//! Sends what it is given. What may be sent is decided by the wrappers: `ReadClient` and `WriteClient`.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use tokio::sync::Mutex;

use super::{
    auth::{Another, Auth, Grant},
    budget::{AnswerWithin, Budget, BudgetConfig, BudgetUse},
    error::ClientError,
    exec::{ExecPool, Identity},
    kubeconfig::Target,
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
    reach: Arc<Reach>,
    auth: Auth,
    budget: Budget,
    live: Mutex<Option<Live>>,
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
            auth: Auth::new(&target.name, reach, pool)?,
            reach: Arc::new(reach.clone()),
            budget: Budget::new(budget),
            live: Mutex::new(None),
        })
    }

    pub fn used(&self) -> BudgetUse {
        self.budget.used()
    }

    /// A client and a credential, without a request: runs an exec plugin, reads certificates.
    pub async fn ready(&self) -> Result<(kube::Client, Grant), ClientError> {
        let grant = self.auth.grant().await?;
        let identity = grant.exec.as_ref().and_then(|c| Some((c.serial, c.identity.clone()?)));
        let serial = identity.as_ref().map(|(serial, _)| *serial);
        let mut live = self.live.lock().await;
        if let Some(live) = live.as_ref()
            && live.serial == serial
        {
            return Ok((live.client.clone(), grant));
        }
        let built = self.build(identity.map(|(_, identity)| identity), None).await?;
        let Some((client, fingerprint)) = built else {
            return Err(ClientError::Config { reason: "no client".to_owned() });
        };
        *live = Some(Live { client: client.clone(), fingerprint, serial });
        Ok((client, grant))
    }

    /// Forgets the client with its connections; the next request reads the certificates anew.
    pub async fn forget(&self) {
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
            let (client, grant) = self.ready().await?;
            if let Some(header) = &grant.header {
                request.headers_mut().insert(AUTHORIZATION, header.clone());
            }
            request.extensions_mut().insert(AnswerWithin(within));
            match client.send(request).await {
                Ok(response) if response.status() != StatusCode::UNAUTHORIZED => return Ok(response),
                Ok(response) => {
                    // Refused before anything was done: the one answer after which a write may be sent again.
                    match self.another(again, &grant).await {
                        Another::Now => {}
                        other => return Err(read_error(response).await.asked_anew(other)),
                    }
                }
                Err(error) => {
                    let error = ClientError::from_transport(&error);
                    let refused = matches!(error, ClientError::Unauthorized { .. });
                    match self.another(refused && again, &grant).await {
                        Another::Now => {}
                        other => return Err(error.asked_anew(other)),
                    }
                }
            }
            again = false;
        }
    }

    /// After a refusal, where another try is worth it at all: whether the credential or a certificate is another one now.
    async fn another(&self, again: bool, grant: &Grant) -> Another {
        if !again {
            return Another::No;
        }
        let credential = self.auth.refused(grant).await;
        let mut live = self.live.lock().await;
        let Some(now) = live.as_ref() else {
            return credential;
        };
        if now.serial.is_some() {
            return credential;
        }
        match self.build(None, Some(now.fingerprint)).await {
            Ok(Some((client, fingerprint))) => {
                *live = Some(Live { client, fingerprint, serial: None });
                Another::Now
            }
            _ => credential,
        }
    }

    /// Reads the certificates and builds a client, unless they are what they were. Files may be on a slow disk, and the
    /// system's roots are many: off the event loop.
    async fn build(&self, identity: Option<Identity>, unless: Option<[u8; 32]>) -> Result<Option<(kube::Client, [u8; 32])>, ClientError> {
        let reach = self.reach.clone();
        let budget = self.budget.clone();
        let built = tokio::task::spawn_blocking(move || {
            let material = reach.material(identity.as_ref()).map_err(|reason| ClientError::Config { reason })?;
            if unless == Some(material.fingerprint) {
                return Ok(None);
            }
            let client = stack::build(material.config, reach.proxy.as_ref(), &budget)?;
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
