//! How much one cluster's API server is asked of: requests a second, and how many at the same time.
//!
//! The innermost layer of the stack: a permit is held until the last byte of the body. Watches, followed logs and the
//! health probe are exempt, else a few watches would stop everything.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use http::{Request, Response, Uri};
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{BoxError, Layer, Service};

use super::error::AnswerTimeout;

/// The head of a response must be there within this; set as a request extension.
#[derive(Clone, Copy)]
pub(super) struct AnswerWithin(pub Duration);

/// What a cluster may be asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BudgetConfig {
    /// Sustained requests a second.
    pub requests_per_second: f64,
    /// Requests that may go at once after a quiet time.
    pub burst: u32,
    /// Requests under way at the same time.
    pub in_flight: usize,
}

impl Default for BudgetConfig {
    fn default() -> Self {
        Self { requests_per_second: 20.0, burst: 40, in_flight: 16 }
    }
}

/// What has been asked so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BudgetUse {
    /// Requests sent since the start, watches and probes included.
    pub sent: u64,
    /// Under way now, watches not included.
    pub in_flight: usize,
    /// Waiting for their turn.
    pub waiting: usize,
}

#[derive(Clone)]
pub(super) struct Budget(Arc<Inner>);

struct Inner {
    config: BudgetConfig,
    places: Arc<Semaphore>,
    bucket: Mutex<Bucket>,
    sent: AtomicU64,
    waiting: AtomicUsize,
}

struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Budget {
    pub fn new(config: BudgetConfig) -> Self {
        let config = BudgetConfig {
            requests_per_second: config.requests_per_second.max(0.1),
            burst: config.burst.max(1),
            in_flight: config.in_flight.max(1),
        };
        Self(Arc::new(Inner {
            places: Arc::new(Semaphore::new(config.in_flight)),
            bucket: Mutex::new(Bucket { tokens: f64::from(config.burst), at: Instant::now() }),
            config,
            sent: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
        }))
    }

    pub fn used(&self) -> BudgetUse {
        let inner = &self.0;
        BudgetUse {
            sent: inner.sent.load(Ordering::Relaxed),
            in_flight: inner.config.in_flight - inner.places.available_permits(),
            waiting: inner.waiting.load(Ordering::Relaxed),
        }
    }

    async fn acquire(&self) -> Result<OwnedSemaphorePermit, BoxError> {
        let _waiting = Waiting::new(&self.0.waiting);
        let place = self.0.places.clone().acquire_owned().await?;
        let wait = self.take(Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(place)
    }

    /// Takes a token, on credit if need be: the wait until it is there.
    fn take(&self, now: Instant) -> Duration {
        let BudgetConfig { requests_per_second: rate, burst, .. } = self.0.config;
        let mut bucket = self.0.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let grown = now.duration_since(bucket.at).as_secs_f64() * rate;
        bucket.tokens = (bucket.tokens + grown).min(f64::from(burst)) - 1.0;
        bucket.at = now;
        Duration::from_secs_f64((-bucket.tokens / rate).max(0.0))
    }
}

/// Counts for as long as it lives, so that a cancelled request does not wait for ever.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A watch or a followed log: its answer has no end, is not compressed and is not counted.
pub(super) fn is_endless(uri: &Uri) -> bool {
    uri.query().unwrap_or_default().split('&').any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, "true"));
        matches!(name, "watch" | "follow") && matches!(value, "true" | "1")
    })
}

fn is_exempt(uri: &Uri) -> bool {
    is_endless(uri) || uri.path().ends_with("/readyz")
}

impl<S> Layer<S> for Budget {
    type Service = Budgeted<S>;

    fn layer(&self, inner: S) -> Budgeted<S> {
        Budgeted { inner, budget: self.clone() }
    }
}

#[derive(Clone)]
pub(super) struct Budgeted<S> {
    inner: S,
    budget: Budget,
}

impl<S, A, B> Service<Request<A>> for Budgeted<S>
where
    S: Service<Request<A>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    A: Send + 'static,
{
    type Response = Response<Held<B>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Waiting happens in the call: a request without a place must not hold up a watch behind it.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let mut inner = self.inner.clone();
        let budget = self.budget.clone();
        Box::pin(async move {
            let permit = if is_exempt(request.uri()) { None } else { Some(budget.acquire().await?) };
            let within = request.extensions().get::<AnswerWithin>().copied();
            budget.0.sent.fetch_add(1, Ordering::Relaxed);
            let answer = async {
                futures::future::poll_fn(|cx| inner.poll_ready(cx)).await.map_err(Into::into)?;
                inner.call(request).await.map_err(Into::into)
            };
            let response = match within {
                Some(AnswerWithin(limit)) => tokio::time::timeout(limit, answer).await.map_err(|_| AnswerTimeout(limit))??,
                None => answer.await?,
            };
            Ok(response.map(|body| Held { body, permit }))
        })
    }
}

/// A response body that gives its place back when it has ended or is dropped.
pub(super) struct Held<B> {
    body: B,
    permit: Option<OwnedSemaphorePermit>,
}

impl<B: http_body::Body + Unpin> http_body::Body for Held<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            self.permit = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let budget = Budget::new(BudgetConfig { requests_per_second: 10.0, burst: 5, in_flight: 100 });
        let now = Instant::now();
        let waits: Vec<_> = (0..8).map(|_| budget.take(now).as_millis()).collect();
        assert_eq!(waits[..5], [0; 5]);
        for (wait, wanted) in waits[5..].iter().zip([100u128, 200, 300]) {
            assert!(wait.abs_diff(wanted) <= 2, "{waits:?}");
        }
        let rested = now + Duration::from_secs(60);
        let waits: Vec<_> = (0..6).map(|_| budget.take(rested).is_zero()).collect();
        assert_eq!(waits, [true, true, true, true, true, false], "a long rest gives one burst, not more");
    }

    #[tokio::test]
    async fn a_place_is_held_until_it_is_given_back_and_a_cancelled_wait_is_not_counted() {
        let budget = Budget::new(BudgetConfig { in_flight: 1, ..BudgetConfig::default() });
        let held = budget.acquire().await.unwrap();
        let second = tokio::time::timeout(Duration::from_millis(20), budget.acquire()).await;
        assert!(second.is_err());
        assert_eq!(budget.used(), BudgetUse { sent: 0, in_flight: 1, waiting: 0 });
        drop(held);
        assert!(budget.acquire().await.is_ok());
    }

    #[test]
    fn endless_requests_are_told_by_their_query() {
        let endless = |path: &'static str| is_endless(&Uri::from_static(path));
        assert!(endless("/api/v1/pods?limit=1&watch=1"));
        assert!(endless("/api/v1/namespaces/a/pods/b/log?follow=true"));
        assert!(!endless("/api/v1/pods?watch=false&labelSelector=watch%3D1"));
        assert!(!endless("/api/v1/pods"));
        assert!(is_exempt(&Uri::from_static("/readyz")) && !is_exempt(&Uri::from_static("/version")));
    }
}
