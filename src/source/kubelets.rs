//! How kubelets give out cores, where they evict and which DNS they name: `/configz` of each through the API server, asked for `asked` a few at a
//! time and seldom.
//!
//! Only what rules read of the answers is kept. Of each kind of node one is asked first: after the first look something of all is known.

use super::asked::{ANSWER, HOUR, Named, allowed, why};
use crate::client::{Ask, ClientError, ReadClient};
use crate::model::asked::{Kubelet, Told};
use crate::model::{Interner, Str};
use futures::StreamExt as _;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Kubelets that are asked at a look, ...
const FEW: usize = 4;
/// ... and at the first.
const FIRST: usize = 20;
/// Asked at once.
const BESIDE: usize = 4;
/// What has not answered by then does not, for now: whoever waits for the look waits no longer for kubelets.
const ALL: Duration = Duration::from_secs(3);
/// When it is asked again.
const RETRY: Duration = Duration::from_secs(600);
/// No configuration is longer (bytes).
const MOST: usize = 1 << 20;
const METADATA: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json";

/// The nodes of a cluster, and what their kubelets said.
pub(super) struct Kubelets {
    /// [`ALL`], but in tests: these wait for what is to be said, however long it takes.
    patience: Duration,
    nodes: BTreeMap<String, Asked>,
    /// Why nobody is asked until the nodes are listed again.
    refused: Option<Str>,
    /// Why the last one that did not answer did not.
    silent: Option<Str>,
    interner: Interner,
}

impl Default for Kubelets {
    fn default() -> Self {
        Self { patience: ALL, nodes: BTreeMap::new(), refused: None, silent: None, interner: Interner::default() }
    }
}

struct Asked {
    /// Whether it ever was.
    once: bool,
    /// The how manieth it is of its kind.
    place: usize,
    due: Instant,
    said: Option<Kubelet>,
}

#[derive(Deserialize)]
struct Nodes {
    items: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    metadata: Named,
}

impl Node {
    /// Those of one kind are set up alike: the machine, and what it is for.
    fn kind(&self) -> String {
        let of = |(key, value): (&String, &String)| {
            let role = key.starts_with("node-role.kubernetes.io/");
            let pool = role || key.ends_with("/instance-type") || key.ends_with("nodepool") || key.ends_with("nodegroup");
            pool.then(|| format!("{key}={value} "))
        };
        self.metadata.labels.iter().filter_map(of).collect()
    }
}

#[derive(Deserialize)]
struct Configz {
    kubeletconfig: Config,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    cpu_manager_policy: String,
    cpu_manager_policy_options: BTreeMap<String, String>,
    topology_manager_policy: String,
    #[serde(rename = "reservedSystemCPUs")]
    reserved: String,
    eviction_hard: BTreeMap<String, String>,
    eviction_soft: BTreeMap<String, String>,
    #[serde(rename = "clusterDNS")]
    dns: Vec<String>,
}

/// How many CPUs a list has: `0-3,8`.
fn cpus(list: &str) -> u32 {
    let of = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (u32, u32) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
        to.checked_sub(from)?.checked_add(1)
    };
    list.split(',').filter_map(of).fold(0, u32::saturating_add)
}

/// Where it evicts, hard and soft: `memory.available<100Mi,nodefs.available<10%`.
fn evicts(config: &Config) -> String {
    let all = config.eviction_hard.iter().chain(&config.eviction_soft).filter(|(_, below)| !below.is_empty());
    all.map(|(signal, below)| format!("{signal}<{below}")).collect::<Vec<_>>().join(",")
}

impl Kubelets {
    /// Asks whose turn it is by now. `list`: reads first which nodes there are.
    pub async fn look(&mut self, client: &ReadClient, list: bool, now: Instant) -> Told<Box<[Kubelet]>> {
        let first = self.nodes.is_empty();
        if list {
            self.refused = self.list(client, now).await.err().map(|e| why(&e));
        }
        if let Some(why) = &self.refused {
            return Err(why.clone());
        }
        self.ask(client, if first { FIRST } else { FEW }, now).await;
        let heard: Box<[Kubelet]> = self.nodes.values().filter_map(|n| n.said.clone()).collect();
        match (&self.refused, &self.silent) {
            (Some(why), _) => Err(why.clone()),
            (None, Some(why)) if heard.is_empty() => Err(format!("no kubelet says how it is configured: {why}").into()),
            (None, None) if heard.is_empty() && !self.nodes.is_empty() => Err("no kubelet has said yet how it is configured".into()),
            _ => Ok(heard),
        }
    }

    async fn list(&mut self, client: &ReadClient, now: Instant) -> Result<(), ClientError> {
        let ask = Ask { verb: "get", resource: "nodes", subresource: Some("proxy"), ..Ask::default() };
        allowed(client, ask).await?;
        let read = async { client.get_bytes("/api/v1/nodes", METADATA).await };
        let answer = tokio::time::timeout(ANSWER, read).await.map_err(|_| ClientError::Timeout { after: ANSWER })??;
        let nodes: Nodes = serde_json::from_slice(&answer.bytes).map_err(|e| ClientError::Decode { message: e.to_string() })?;
        let mut before = std::mem::take(&mut self.nodes);
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for node in nodes.items {
            let count = places.entry(node.kind()).or_default();
            let known = before.remove(&node.metadata.name);
            let asked = known.unwrap_or(Asked { once: false, place: 0, due: now, said: None });
            self.nodes.insert(node.metadata.name, Asked { place: *count, ..asked });
            *count += 1;
        }
        Ok(())
    }

    async fn ask(&mut self, client: &ReadClient, most: usize, now: Instant) {
        // Those that were never asked before those whose hour is over: in a large cluster the first would be due again before the last.
        let turn = |n: &Asked| (n.once, if n.once { 0 } else { n.place }, n.due);
        let mut due: Vec<_> = self.nodes.iter().filter(|(_, n)| n.due <= now).map(|(name, n)| (turn(n), name.clone())).collect();
        due.sort_unstable();
        due.truncate(most);
        for (_, name) in &due {
            if let Some(node) = self.nodes.get_mut(name) {
                (node.once, node.due) = (true, now + RETRY);
            }
        }
        let patience = self.patience;
        let one = |(_, name): (_, String)| async move {
            let path = format!("/api/v1/nodes/{name}/proxy/configz");
            let answer = client.get_within::<Configz>(&path, MOST, patience).await;
            (name, answer)
        };
        let mut answers = std::pin::pin!(futures::stream::iter(due).map(one).buffer_unordered(BESIDE).take_until(sleep(patience)));
        while let Some((name, answer)) = answers.next().await {
            match answer {
                Ok(Configz { kubeletconfig: config }) => {
                    let said = self.kubelet(&name, &config);
                    if let Some(node) = self.nodes.get_mut(&name) {
                        (node.due, node.said) = (now + HOUR.mul_f64(0.9 + 0.2 * fastrand::f64()), Some(said));
                    }
                }
                // What the API server does not let us at one it does not at any; a kubelet, or who stands before it, refuses for itself.
                Err(error @ ClientError::Forbidden { .. }) if error.words().starts_with("may not ") => {
                    self.refused = Some(why(&error));
                    return;
                }
                Err(error @ ClientError::Forbidden { .. }) => self.silent = Some(error.words().into()),
                Err(error) => self.silent = Some(why(&error)),
            }
        }
    }

    fn kubelet(&mut self, node: &str, config: &Config) -> Kubelet {
        let or_none = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
        let strict = config.cpu_manager_policy_options.get("strict-cpu-reservation").is_some_and(|v| v == "true");
        Kubelet {
            node: self.interner.str(node),
            cpus: self.interner.str(&or_none(&config.cpu_manager_policy)),
            topology: self.interner.str(&or_none(&config.topology_manager_policy)),
            kept: if strict { cpus(&config.reserved) } else { 0 },
            evicts: self.interner.str(&evicts(config)),
            dns: self.interner.str(&config.dns.join(",")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fake::{Server, connect, reply};
    use serde_json::json;

    const CONFIG: &str = r#"{"kubeletconfig":{"cpuManagerPolicy":"static","cpuManagerPolicyOptions":{"strict-cpu-reservation":"true"},
        "topologyManagerPolicy":"single-numa-node","reservedSystemCPUs":"0-2,8","maxPods":110,"clusterDNS":["10.96.0.10"],
        "evictionHard":{"memory.available":"100Mi","nodefs.available":"10%"},"evictionSoft":{"nodefs.available":"15%"}}}"#;

    fn nodes(n: usize) -> String {
        let node = |n: usize| json!({"metadata": {"name": format!("n{n:02}"), "labels": {"node.kubernetes.io/instance-type": if n < 40 { "a" } else { "b" }}}});
        json!({"items": (0..n).map(node).collect::<Vec<_>>()}).to_string()
    }

    fn patient() -> Kubelets {
        Kubelets { patience: HOUR, ..Kubelets::default() }
    }

    #[tokio::test]
    async fn few_at_a_time_one_of_each_kind_first_and_again_in_an_hour() {
        let server = Server::start(|r| match r.uri().path() {
            "/api/v1/nodes" => reply(200, nodes(45)),
            "/api/v1/nodes/n01/proxy/configz" => reply(503, r#"{"kind":"Status","message":"dial tcp: connection refused","code":503}"#),
            path if path.ends_with("/proxy/configz") => reply(200, CONFIG),
            _ => reply(404, "{}"),
        })
        .await;
        let client = connect(&server, "").await;
        let (mut kubelets, began) = (patient(), Instant::now());
        let heard = kubelets.look(&client, true, began).await.unwrap();
        assert_eq!((heard.len(), server.count()), (19, 22), "whether it may, the nodes, and twenty kubelets of which one is silent");
        assert!(heard.iter().any(|k| &*k.node == "n44"), "a few of one kind are not behind many of the other: {heard:?}");
        assert_eq!((&*heard[0].node, &*heard[0].cpus, &*heard[0].topology, heard[0].kept), ("n00", "static", "single-numa-node", 4));
        let evicts = "memory.available<100Mi,nodefs.available<10%,nodefs.available<15%";
        assert_eq!((&*heard[0].evicts, &*heard[0].dns), (evicts, "10.96.0.10"));
        assert_eq!(kubelets.look(&client, false, began).await.unwrap().len(), 23);
        for _ in 0..8 {
            kubelets.look(&client, false, began).await.unwrap();
        }
        assert_eq!(server.count(), 47, "each once");
        kubelets.look(&client, false, began + RETRY).await.unwrap();
        assert_eq!(server.count(), 48, "the silent one once more");
        kubelets.look(&client, false, began + HOUR * 2).await.unwrap();
        assert_eq!(server.count(), 52);
    }

    #[tokio::test]
    async fn without_the_right_one_is_asked_and_none_is_guessed() {
        let forbidden = r#"{"kind":"Status","status":"Failure","message":"nodes \"n00\" is forbidden: User \"u\" cannot get resource \"nodes/proxy\" in API group \"\" at the cluster scope","reason":"Forbidden","code":403}"#;
        let server =
            Server::start(move |r| if r.uri().path() == "/api/v1/nodes" { reply(200, nodes(1)) } else { reply(403, forbidden) }).await;
        let client = connect(&server, "").await;
        let mut kubelets = patient();
        let told = kubelets.look(&client, true, Instant::now()).await.unwrap_err();
        assert!(told.starts_with("no right to get nodes/proxy"), "{told}");
        kubelets.look(&client, false, Instant::now()).await.unwrap_err();
        assert_eq!(server.count(), 3, "and not again before the nodes are listed anew");
        let review = r#"{"kind":"SelfSubjectAccessReview","status":{"allowed":false}}"#;
        let server = Server::start(move |_| reply(201, review)).await;
        let told = patient().look(&connect(&server, "").await, true, Instant::now()).await.unwrap_err();
        assert_eq!((&*told, server.count()), ("no right to get nodes/proxy", 1), "what an authorizer denies is not sent");
    }

    #[tokio::test]
    async fn kubelets_that_say_nothing_are_not_taken_for_unpinned() {
        for (code, body) in
            [(404, "404 page not found"), (403, "Forbidden (user=kube-apiserver, verb=get, resource=nodes, subresource=configz)")]
        {
            let answer = move |r: &http::Request<()>| match r.uri().path() {
                "/api/v1/nodes" => reply(200, nodes(2)),
                path if path.ends_with("/configz") => reply(code, body),
                _ => reply(404, "{}"),
            };
            let server = Server::start(answer).await;
            let told = patient().look(&connect(&server, "").await, true, Instant::now()).await.unwrap_err();
            assert!(told.starts_with("no kubelet says how it is configured: "), "{told}");
        }
    }

    #[test]
    fn cpus_of_a_list() {
        assert_eq!((cpus(""), cpus("3"), cpus("0-3,8"), cpus("4-1,x")), (0, 1, 5, 0));
    }
}
