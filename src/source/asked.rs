//! What an API server is asked now and then: who leads its controllers, which of its checks fail, which webhooks and aggregated APIs answer,
//! which deprecated APIs are used, which ScaledObjects stand still, whether the kubelets of nodes that are not ready renew their leases.
//!
//! Polled and not watched: leases change every two seconds and say the same. Told only when something of it became another thing. What it
//! means is `inspect`'s.

use super::exposition::samples;
use super::heartbeats::Heartbeats;
use super::kube::Reader;
use super::kubelets::Kubelets;
use super::service::{self, Closed, Handle};
use crate::client::{Ask, Certificate, ClientError, ReadClient};
use crate::model::asked::{Api, Asked, Deprecated, Hook, InUse, Lease, Told, Whose};
use crate::model::{Batch, ClusterId, Delta, Interner, Labels, Selector, Str, Time, wire};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncBufReadExt as _;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Between two looks at leases and checks.
const LOOK: Duration = Duration::from_secs(30);
/// Of these looks, every so manieth asks for aggregated APIs, ScaledObjects and endpoints of webhooks, ...
const OFTEN: u32 = 2;
/// ... for the webhooks themselves, ...
const SELDOM: u32 = 4;
/// ... for the metrics, which are long, for rights, for volumes, for ingress controllers and for which nodes there are.
const RARELY: u32 = 20;
/// Certificates are looked at every six hours.
const SIX_HOURS: u32 = 720;
/// What is not known by then is an error.
pub(super) const ANSWER: Duration = Duration::from_secs(10);
/// Services of webhooks whose endpoints are asked for.
const SERVICES: usize = 50;
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// Starts to ask a cluster, the first time after so long. `unready`: the nodes that are not ready, by name. Must be called within a tokio runtime.
pub fn spawn_asked(
    cluster: ClusterId,
    reader: Reader,
    unready: watch::Receiver<Arc<[Str]>>,
    after: Duration,
    tx: mpsc::Sender<Batch>,
) -> Handle {
    let mut asker = Asker::default();
    let (mut reader, mut unready) = (reader, unready);
    Handle::of(tokio::spawn(async move {
        let follow = async {
            let Some(client) = reader.wait().await else { return Ok(()) };
            sleep(after).await;
            let mut told = None;
            loop {
                asker.look(&client).await;
                let next = Instant::now() + LOOK.mul_f64(0.9 + 0.2 * fastrand::f64());
                loop {
                    let nodes = unready.borrow_and_update().clone();
                    asker.known.heartbeats = asker.heartbeats.look(&client, &nodes, Instant::now()).await;
                    if told.as_ref() != Some(&asker.known) {
                        told = Some(asker.known.clone());
                        service::send(&tx, cluster, Delta::Asked(Arc::new(asker.known.clone()))).await?;
                    }
                    tokio::select! {
                        () = sleep_until(next) => break,
                        Ok(()) = unready.changed() => {}
                        () = tx.closed() => return Err(Closed),
                    }
                }
            }
        };
        // The only error is that nobody takes deltas any more.
        drop(follow.await);
    }))
}

/// What is known, and what the next look compares with.
#[derive(Default)]
struct Asker {
    looks: u32,
    known: Asked,
    /// When each lease's holder changed, newest last, and how often it had.
    changes: BTreeMap<String, (i64, VecDeque<Instant>)>,
    /// What was first seen when (unix seconds), and at which look last.
    seen: BTreeMap<String, (i64, u32)>,
    kubelets: Kubelets,
    heartbeats: Heartbeats,
    interner: Interner,
}

#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
}

/// An object of the API, by what is read of it.
#[derive(Deserialize)]
pub(super) struct Wire<S, T = IgnoredAny> {
    pub metadata: Named,
    #[serde(default)]
    pub spec: S,
    #[serde(default)]
    pub status: T,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Named {
    pub name: String,
    pub namespace: String,
    pub annotations: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    pub creation_timestamp: Option<String>,
    pub deletion_timestamp: Option<String>,
    pub managed_fields: Vec<Value>,
}

#[derive(Deserialize)]
pub(super) struct Condition {
    pub r#type: String,
    pub status: String,
    #[serde(default)]
    pub reason: Option<Str>,
    #[serde(default)]
    pub message: Option<Str>,
    #[serde(default, rename = "lastTransitionTime")]
    since: Option<String>,
}

pub(super) fn time(text: &str) -> Option<Time> {
    text.parse::<jiff::Timestamp>().ok().and_then(|t| Time::from_secs(t.as_second()))
}

impl Condition {
    pub fn since(&self) -> Option<Time> {
        self.since.as_deref().and_then(time)
    }
}

/// Why a part is not told.
pub(super) fn why(error: &ClientError) -> Str {
    match error {
        ClientError::Forbidden { .. } => {
            let words = error.words();
            format!("no right to {}", words.strip_prefix("may not ").unwrap_or(&words)).into()
        }
        ClientError::NotFound { .. } => "not served by this API server".into(),
        error => error.words().into(),
    }
}

/// The items of a list.
pub(super) async fn list<T: DeserializeOwned>(client: &ReadClient, path: &str) -> Result<Vec<T>, ClientError> {
    let asked = timeout(ANSWER, client.get_typed::<List<T>>(path)).await;
    asked.map_err(|_| ClientError::Timeout { after: ANSWER })?.map(|l| l.items)
}

/// An answer, and the server's own clock then (unix seconds): ours may be another.
pub(super) async fn dated<T: DeserializeOwned>(client: &ReadClient, path: &str) -> Result<(T, i64), ClientError> {
    let ask = async {
        let stream = client.stream(path, "application/json").await?;
        let date = stream.headers().get(http::header::DATE).and_then(|d| d.to_str().ok()).and_then(date);
        let bytes = stream.collect().await?.bytes;
        let answer = serde_json::from_slice(&bytes).map_err(|e| ClientError::Decode { message: e.to_string() })?;
        Ok::<_, ClientError>((answer, date.unwrap_or_else(|| jiff::Timestamp::now().as_second())))
    };
    timeout(ANSWER, ask).await.map_err(|_| ClientError::Timeout { after: ANSWER })?
}

/// Refused without being sent where an authorizer says so: nobody's audit log has a 403 of ours every few minutes.
pub(super) async fn allowed(client: &ReadClient, ask: Ask<'_>) -> Result<(), ClientError> {
    match timeout(ANSWER, client.can_i(ask)).await {
        Ok(Ok(access)) if !access.allowed => {
            let sub = ask.subresource.map(|s| format!("/{s}")).unwrap_or_default();
            Err(ClientError::Forbidden { message: format!("one cannot {} resource \"{}{sub}\"", ask.verb, ask.resource) })
        }
        // One that does not say is met by what is sent.
        _ => Ok(()),
    }
}

impl Asker {
    async fn look(&mut self, client: &ReadClient) {
        let due = |every: u32| self.looks.is_multiple_of(every);
        let (often, seldom, rarely, hardly) = (due(OFTEN), due(SELDOM), due(RARELY), due(SIX_HOURS));
        self.looks += 1;
        self.known.leases = self.leases(client).await.map_err(|e| why(&e));
        let failing = checks(client).await;
        self.known.checks = failing.map(|names| names.iter().filter_map(|n| Some((n.clone(), self.first(n)?))).collect());
        if often {
            self.known.apis = apis(client).await.map_err(|e| why(&e));
            let mut scaled = super::keda::scaled(client).await;
            for s in scaled.iter_mut().flatten() {
                let name = format!("{} {}/{}", s.target.0, s.namespace, s.name);
                if s.since.is_none() && !s.paused.is_empty() {
                    s.since = self.first(&format!("paused {name}"));
                }
                if s.wrong_since.is_none() && s.wrong.is_some() {
                    s.wrong_since = self.first(&format!("wrong {name}"));
                }
            }
            self.known.scaled = scaled.map_err(|e| match e {
                ClientError::NotFound { .. } => "no scaledobjects of keda.sh".into(),
                e => why(&e),
            });
        }
        if seldom {
            self.known.hooks = self.hooks(client).await.map_err(|e| why(&e));
        }
        if often && let Ok(hooks) = &mut self.known.hooks {
            endpoints(client, hooks).await;
        }
        self.seen.retain(|_, (_, looks)| *looks + 2 * OFTEN > self.looks);
        if rarely {
            let read = timeout(ANSWER, deprecated(client)).await.map_err(|_| ClientError::Timeout { after: ANSWER });
            self.known.deprecated = read.and_then(|read| read).map_err(|e| why(&e));
            self.known.grants = super::rbac::grants(client).await.map_err(|e| why(&e));
            self.known.volumes = super::storage::unused(client).await.map_err(|e| why(&e));
            self.known.quotas = super::quotas::quotas(client).await.map_err(|e| why(&e));
            self.known.unanswered = super::issued::unanswered(client).await.unwrap_or_default();
            self.known.detaching = super::storage::detaching(client).await.unwrap_or_default();
            self.known.controllers = super::controllers::controllers(client).await.map_err(|e| why(&e));
        }
        self.known.kubelets = self.kubelets.look(client, rarely, Instant::now()).await;
        if hardly {
            self.known.certificates = Self::certificates(client).await;
        }
    }

    /// When something was first seen that was seen at every look since.
    fn first(&mut self, what: &str) -> Option<Time> {
        let now = jiff::Timestamp::now().as_second();
        let (at, looks) = self.seen.entry(what.to_owned()).or_insert((now, self.looks));
        *looks = self.looks;
        Time::from_secs(*at)
    }

    /// Certificates that end, and are not renewed by whoever gives them from hour to hour.
    async fn certificates(client: &ReadClient) -> Told<Box<[InUse]>> {
        let seen = client.certificates().await.into_iter().zip([Whose::Ours, Whose::Server]).filter_map(|(c, whose)| {
            let c = c?;
            Some(InUse { whose, subject: c.subject.into(), from: c.from, until: c.until })
        });
        let mut seen: Vec<InUse> = seen.collect();
        // What may not be listed is not known; the others are.
        let ahead = i64::from(SIX_HOURS) * LOOK.as_secs().cast_signed();
        seen.extend(super::issued::issued(client, jiff::Timestamp::now().as_second(), ahead).await.unwrap_or_default());
        let seen: Box<[InUse]> = seen.into();
        if seen.is_empty() { Err("no client certificate, and no handshake that we see".into()) } else { Ok(seen) }
    }

    async fn leases(&mut self, client: &ReadClient) -> Result<Box<[Lease]>, ClientError> {
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Spec {
            holder_identity: Option<Str>,
            lease_duration_seconds: i64,
            lease_transitions: i64,
            renew_time: Option<String>,
        }
        let path = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
        let (List { items: all }, now) = dated::<List<Wire<Spec>>>(client, path).await?;
        // Those of API servers say who there is, and elect nobody.
        let elects = all.into_iter().filter(|l| !l.metadata.name.starts_with("apiserver-"));
        let at = Instant::now();
        let mut found: Vec<Lease> = Vec::new();
        for Wire { metadata, spec, .. } in elects {
            let (before, changes) = self.changes.entry(metadata.name.clone()).or_insert((spec.lease_transitions, VecDeque::new()));
            for _ in 0..(spec.lease_transitions - *before).clamp(0, 16) {
                changes.push_back(at);
            }
            *before = spec.lease_transitions;
            changes.retain(|c| at.duration_since(*c) < HOUR);
            let changed = u32::try_from(changes.len()).unwrap_or(u32::MAX);
            let holder = spec.holder_identity.filter(|h| !h.is_empty());
            let renewed = spec.renew_time.as_deref().and_then(time);
            // Given back on purpose: nobody holds it, and that is for the next to see.
            let lapsed = renewed.filter(|t| spec.lease_duration_seconds > 0 && now - t.secs() > 2 * spec.lease_duration_seconds);
            found.push(Lease {
                name: metadata.name.into(),
                holder: holder.unwrap_or_default(),
                duration: spec.lease_duration_seconds,
                lapsed,
                transitions: spec.lease_transitions,
                changed,
            });
        }
        Ok(found.into())
    }

    async fn hooks(&mut self, client: &ReadClient) -> Result<Box<[Hook]>, ClientError> {
        #[derive(Deserialize)]
        struct Config {
            metadata: Named,
            #[serde(default)]
            webhooks: Vec<One>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct One {
            name: Str,
            #[serde(default)]
            failure_policy: String,
            #[serde(default)]
            timeout_seconds: i64,
            #[serde(default)]
            namespace_selector: Option<wire::LabelSelector>,
            #[serde(default)]
            rules: Vec<Matches>,
            client_config: Client,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Client {
            service: Option<Named>,
            ca_bundle: String,
        }
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Matches {
            operations: Vec<String>,
            resources: Vec<String>,
        }
        let mut configs: Vec<(bool, Config)> = Vec::new();
        for (plural, mutating) in [("mutatingwebhookconfigurations", true), ("validatingwebhookconfigurations", false)] {
            let some: Vec<Config> = list(client, &format!("/apis/admissionregistration.k8s.io/v1/{plural}")).await?;
            configs.extend(some.into_iter().map(|c| (mutating, c)));
        }
        // Selectors of namespaces go by labels; where these may not be listed every namespace has at least its name.
        let spaces: Vec<Wire<IgnoredAny>> = match configs.iter().flat_map(|(_, c)| &c.webhooks).any(|h| h.namespace_selector.is_some()) {
            true => list(client, "/api/v1/namespaces").await.unwrap_or_default(),
            false => Vec::new(),
        };
        let labels: BTreeMap<String, Labels> = spaces
            .into_iter()
            .map(|n| (n.metadata.name, n.metadata.labels.into_iter().map(|(k, v)| (k.into(), v.into())).collect::<Vec<_>>().into()))
            .collect();
        let mut found = Vec::new();
        for (mutating, config) in configs {
            let name: Str = config.metadata.name.into();
            for hook in config.webhooks {
                let selector = hook.namespace_selector.map(|s| Selector::of(&s, &mut self.interner));
                let takes = |namespace: &str| {
                    let named = || Labels::from(vec![(Str::from("kubernetes.io/metadata.name"), Str::from(namespace))]);
                    selector.as_ref().is_none_or(|s| labels.get(namespace).map_or_else(|| s.matches(&named()), |l| s.matches(l)))
                };
                let mut operations: Vec<&str> = hook.rules.iter().flat_map(|r| &r.operations).map(String::as_str).collect();
                let mut resources: Vec<&str> = hook.rules.iter().flat_map(|r| &r.resources).map(String::as_str).collect();
                for names in [&mut operations, &mut resources] {
                    names.sort_unstable();
                    names.dedup();
                }
                let service = hook.client_config.service.map(|s| (Str::from(s.namespace), Str::from(s.name)));
                found.push(Hook {
                    config: name.clone(),
                    mutating,
                    name: hook.name,
                    fail_closed: hook.failure_policy != "Ignore",
                    ready: None,
                    nodes: Box::default(),
                    matches: format!("{} of {}", operations.join(", "), resources.join(", ")).into(),
                    pods: resources.iter().any(|r| matches!(*r, "pods" | "*" | "*/*")),
                    system: takes("kube-system"),
                    own: service.as_ref().is_some_and(|(namespace, _)| takes(namespace)),
                    service,
                    timeout: hook.timeout_seconds,
                    trusted: ends(&hook.client_config.ca_bundle),
                });
            }
        }
        Ok(found.into())
    }
}

/// When the last of the certificates of a bundle ends (unix seconds).
fn ends(bundle: &str) -> Option<i64> {
    let pem = STANDARD.decode(bundle).ok()?;
    Certificate::of_pem(&pem).iter().map(|c| c.until).max()
}

/// `Tue, 15 Nov 1994 08:12:31 GMT` in unix seconds.
fn date(text: &str) -> Option<i64> {
    jiff::fmt::rfc2822::parse(text).ok().map(|t| t.timestamp().as_second())
}

/// The checks of the server that fail.
async fn checks(client: &ReadClient) -> Told<Box<[Str]>> {
    match timeout(ANSWER, client.get_bytes("/readyz?verbose", "*/*")).await {
        Ok(Ok(_)) => Ok(Box::default()),
        Ok(Err(ClientError::Server { message, .. })) if message.contains("failing checks: ") => {
            let names = message.rsplit("failing checks: ").next().unwrap_or_default();
            Ok(names.split(", ").map(Str::from).collect())
        }
        Ok(Err(error)) => Err(why(&error)),
        Err(_) => Err(why(&ClientError::Timeout { after: ANSWER })),
    }
}

async fn apis(client: &ReadClient) -> Result<Box<[Api]>, ClientError> {
    #[derive(Deserialize, Default)]
    struct Spec {
        #[serde(default)]
        service: Option<Named>,
    }
    #[derive(Deserialize, Default)]
    struct Status {
        #[serde(default)]
        conditions: Vec<Condition>,
    }
    let all: Vec<Wire<Spec, Status>> = list(client, "/apis/apiregistration.k8s.io/v1/apiservices").await?;
    let down = all.into_iter().filter_map(|one| {
        let condition = one.status.conditions.into_iter().find(|c| c.r#type == "Available" && c.status != "True")?;
        Some(Api {
            name: one.metadata.name.into(),
            service: one.spec.service.map(|s| (s.namespace.into(), s.name.into())),
            since: condition.since(),
            reason: condition.reason,
            message: condition.message,
        })
    });
    Ok(down.collect())
}

/// How many of the endpoints of each webhook's service are ready, and where.
async fn endpoints(client: &ReadClient, hooks: &mut [Hook]) {
    #[derive(Deserialize)]
    struct Slice {
        #[serde(default)]
        endpoints: Option<Vec<Endpoint>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Endpoint {
        #[serde(default)]
        conditions: Ready,
        #[serde(default)]
        node_name: Option<Str>,
    }
    #[derive(Deserialize, Default)]
    struct Ready {
        ready: Option<bool>,
    }
    let services: BTreeSet<(Str, Str)> = hooks.iter().filter_map(|h| h.service.clone()).take(SERVICES).collect();
    for of in services {
        let path =
            format!("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3D{}", of.0, of.1);
        let slices = list::<Slice>(client, &path).await.ok();
        let ready = slices.map(|slices| {
            let all = slices.into_iter().flat_map(|s| s.endpoints.unwrap_or_default());
            all.filter(|e| e.conditions.ready != Some(false)).map(|e| e.node_name).collect::<Vec<_>>()
        });
        for hook in hooks.iter_mut().filter(|h| h.service.as_ref() == Some(&of)) {
            hook.ready = ready.as_ref().map(|r| u32::try_from(r.len()).unwrap_or(u32::MAX));
            let nodes: BTreeSet<Str> = ready.iter().flatten().flatten().cloned().collect();
            hook.nodes = nodes.into_iter().collect();
        }
    }
}

async fn deprecated(client: &ReadClient) -> Result<Box<[Deprecated]>, ClientError> {
    let mut text = client.get_text_stream("/metrics").await?;
    let mut found: BTreeSet<Deprecated> = BTreeSet::new();
    let mut line = String::new();
    loop {
        line.clear();
        let read = text.read_line(&mut line).await;
        if read.map_err(|e| ClientError::Decode { message: e.to_string() })? == 0 {
            return Ok(found.into_iter().collect());
        }
        if line.starts_with("apiserver_requested_deprecated_apis{") {
            let label = |s: &super::exposition::Sample<'_>, name: &str| Str::from(s.label(name).unwrap_or_default());
            found.extend(samples(&line).filter(|s| s.value > 0.0).map(|s| Deprecated {
                group: label(&s, "group"),
                version: label(&s, "version"),
                resource: label(&s, "resource"),
                removed: label(&s, "removed_release"),
            }));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::client::fake::{Reply, Server, connect, reply};
    use http::Request;
    use serde_json::json;

    pub async fn heard(answer: impl Fn(&Request<()>) -> Reply + Send + Sync + 'static, looks: u32) -> (Asked, usize) {
        let server = Server::start(answer).await;
        let client = connect(&server, "").await;
        let mut asker = Asker::default();
        for _ in 0..looks {
            asker.look(&client).await;
        }
        (asker.known, server.count())
    }

    fn lease(name: &str, renewed: &str, transitions: i64) -> Value {
        json!({"metadata": {"name": name}, "spec": {"holderIdentity": "node-1_a", "leaseDurationSeconds": 15, "leaseTransitions": transitions, "renewTime": renewed}})
    }

    pub fn ok(value: &Value) -> Reply {
        reply(200, value.to_string())
    }

    #[tokio::test]
    async fn a_lease_is_as_old_as_the_servers_clock_says_and_changes_are_counted_since_seen() {
        let looks = std::sync::atomic::AtomicI64::new(4);
        let (asked, _) = heard(
            move |r| {
                if !r.uri().path().ends_with("/leases") {
                    return reply(404, "{}");
                }
                let n = looks.fetch_add(2, std::sync::atomic::Ordering::Relaxed);
                let all = json!({"items": [lease("kube-scheduler", "2020-01-01T00:00:00.000000Z", n), lease("other", "2020-01-01T00:00:31.000000Z", 1),
                    lease("apiserver-abc", "2019-01-01T00:00:00.000000Z", 0)]});
                let mut answer = ok(&all);
                answer.headers_mut().insert(http::header::DATE, http::HeaderValue::from_static("Wed, 01 Jan 2020 00:00:31 GMT"));
                answer
            },
            2,
        )
        .await;
        let leases = asked.leases.unwrap();
        let facts: Vec<_> = leases.iter().map(|l| (&*l.name, l.lapsed.is_some(), l.changed)).collect();
        assert_eq!(facts, [("kube-scheduler", true, 2), ("other", false, 0)], "what was before is not dated, and API servers elect nobody");
        assert_eq!(asked.scaled, Err("no scaledobjects of keda.sh".into()));
    }

    #[tokio::test]
    async fn webhooks_know_their_endpoints_and_whom_their_selector_leaves_in() {
        let made = |year: i32| {
            let mut params = rcgen::CertificateParams::new(vec!["svc".to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(year, 1, 2);
            params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
        };
        let bundle = STANDARD.encode(made(2030) + &made(2031) + &made(2029));
        let hook = move |selector: Value| {
            json!({"name": "check.policy.io", "failurePolicy": "Fail", "timeoutSeconds": 10, "namespaceSelector": selector,
                "rules": [{"operations": ["CREATE"], "resources": ["pods"]}], "clientConfig": {"service": {"namespace": "policy", "name": "svc"}, "caBundle": bundle}})
        };
        let without = json!({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"]}]});
        let ignored = json!({"matchExpressions": [{"key": "policy.io/ignore", "operator": "DoesNotExist"}]});
        let space =
            |name: &str, more: &str| json!({"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name, (more): ""}}});
        let spaces = json!({"items": [space("kube-system", "policy.io/ignore"), space("policy", "team")]});
        let (asked, _) = heard(
            move |r| match r.uri().path() {
                p if p.ends_with("/validatingwebhookconfigurations") => {
                    ok(&json!({"items": [{"metadata": {"name": "policy"}, "webhooks": [hook(json!({})), hook(without.clone()), hook(ignored.clone())]}]}))
                }
                "/api/v1/namespaces" => ok(&spaces),
                p if p.ends_with("/mutatingwebhookconfigurations") => ok(&json!({"items": []})),
                p if p.ends_with("/namespaces/policy/endpointslices") => {
                    assert_eq!(r.uri().query(), Some("labelSelector=kubernetes.io%2Fservice-name%3Dsvc"));
                    ok(&json!({"items": [{"endpoints": [{"conditions": {"ready": true}, "nodeName": "n1"}, {"conditions": {"ready": false}, "nodeName": "n2"}]}, {"endpoints": null}]}))
                }
                _ => reply(404, "{}"),
            },
            1,
        )
        .await;
        let hooks = asked.hooks.unwrap();
        let facts: Vec<_> = hooks.iter().map(|h| (h.fail_closed, h.ready, h.nodes.len(), h.pods, h.system, h.own)).collect();
        let (inside, outside) = ((true, Some(1), 1, true, true, true), (true, Some(1), 1, true, false, true));
        assert_eq!(facts, [inside, outside, outside], "the last goes by a label that the system has");
        assert_eq!(&*hooks[0].matches, "CREATE of pods");
        assert_eq!(hooks[0].trusted.and_then(Time::from_secs).map(Time::rfc3339).as_deref(), Some("2031-01-02T00:00:00Z"), "the last");
        assert_eq!(ends("eHg="), None);
    }

    #[tokio::test]
    async fn failing_checks_deprecated_apis_and_a_missing_right_are_named() {
        let metrics = "# TYPE apiserver_requested_deprecated_apis gauge\n\
            apiserver_requested_deprecated_apis{group=\"flow.k8s.io\",removed_release=\"1.38\",resource=\"flowschemas\",subresource=\"\",version=\"v1beta3\"} 1\n\
            apiserver_requested_deprecated_apis{group=\"old.k8s.io\",removed_release=\"\",resource=\"x\",subresource=\"\",version=\"v1\"} 0\n";
        let (asked, count) = heard(
            move |r| match r.uri().path() {
                "/readyz" => reply(500, "[+]ping ok\n[-]etcd failed: reason withheld\n[-]etcd-readiness failed: reason withheld\nreadyz check failed\n"),
                "/metrics" => reply(200, metrics),
                p if p.ends_with("/leases") => reply(
                    403,
                    r#"{"kind":"Status","message":"leases.coordination.k8s.io is forbidden: User \"v\" cannot list resource \"leases\" in API group \"coordination.k8s.io\" in the namespace \"kube-system\"","reason":"Forbidden","code":403}"#,
                ),
                p if p.ends_with("/apiservices") => ok(&json!({"items": [
                    {"metadata": {"name": "v1.apps"}, "status": {"conditions": [{"type": "Available", "status": "True"}]}},
                    {"metadata": {"name": "v1beta1.metrics.k8s.io"}, "spec": {"service": {"namespace": "kube-system", "name": "m"}},
                        "status": {"conditions": [{"type": "Available", "status": "False", "reason": "MissingEndpoints", "lastTransitionTime": "2020-01-01T00:00:00Z"}]}}]})),
                _ => reply(404, "{}"),
            },
            1,
        )
        .await;
        let failing: Vec<_> = asked.checks.as_deref().unwrap().iter().map(|(name, _)| &**name).collect();
        assert_eq!(failing, ["etcd", "etcd-readiness"]);
        let used: Vec<_> = asked.deprecated.as_deref().unwrap().iter().map(|d| (&*d.resource, &*d.removed)).collect();
        assert_eq!(used, [("flowschemas", "1.38")]);
        assert!(asked.leases.as_ref().unwrap_err().starts_with("no right to list leases"), "{:?}", asked.leases);
        let down: Vec<_> = asked.apis.as_deref().unwrap().iter().map(|a| (&*a.name, a.since.is_some())).collect();
        assert_eq!(down, [("v1beta1.metrics.k8s.io", true)]);
        assert_eq!(count, 15, "each once, and what is refused first is not asked further");
    }
}
