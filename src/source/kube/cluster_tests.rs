use super::*;
use crate::client::{LoadOptions, install_crypto_provider, load};
use crate::model::Change;

/// What a store would know, roughly.
#[derive(Default)]
struct Seen {
    rows: HashMap<Kind, HashMap<crate::model::Uid, crate::model::Object>>,
    states: Vec<ConnectionState>,
    kinds: HashMap<Kind, crate::model::KindState>,
    log: Vec<String>,
    generation: Generation,
    marks: HashMap<Kind, std::collections::HashSet<crate::model::Uid>>,
    batches: usize,
}

impl Seen {
    fn fold(&mut self, batch: Batch) {
        assert!(batch.generation >= self.generation, "nothing late");
        self.generation = batch.generation;
        self.batches += 1;
        match batch.delta {
            Delta::State(state) => {
                self.log.push(state.word().to_owned());
                self.states.push(state);
            }
            Delta::KindState(kind, state) => {
                self.kinds.insert(kind, state);
            }
            Delta::ListBegin { kind, .. } => {
                self.marks.insert(kind, self.rows.entry(kind).or_default().keys().copied().collect());
                self.log.push(format!("list {}", kind.plural()));
            }
            Delta::Rows { kind, changes } => {
                assert!(changes.len() <= 512 && !changes.is_empty());
                for change in changes {
                    match change {
                        Change::Upsert(object) => {
                            self.marks.entry(kind).or_default().remove(&object.meta().uid);
                            self.rows.entry(kind).or_default().insert(object.meta().uid, object);
                        }
                        Change::Delete(uid) => {
                            self.rows.entry(kind).or_default().remove(&uid);
                        }
                    }
                }
            }
            Delta::ListEnd { kind, .. } => {
                for uid in self.marks.remove(&kind).unwrap_or_default() {
                    self.rows.entry(kind).or_default().remove(&uid);
                }
            }
            Delta::Latency(ms) => self.log.push(format!("latency {ms}")),
            Delta::Version(v) => self.log.push(format!("version {v}")),
            Delta::Alive | Delta::Requests { .. } => {}
        }
    }

    async fn until(&mut self, rx: &mut mpsc::Receiver<Batch>, within: Duration, what: &str, done: impl Fn(&Self) -> bool) {
        let limit = Instant::now() + within;
        while !done(self) {
            match tokio::time::timeout_at(limit, rx.recv()).await {
                Ok(Some(batch)) => self.fold(batch),
                Ok(None) => panic!("{what}: the source ended; {:?} {:?}", self.log, self.kinds),
                Err(_) => panic!("{what}: not within {within:?}; {:?} {:?}", self.log, self.kinds),
            }
        }
    }

    fn word(&self) -> &str {
        self.states.last().map_or("", ConnectionState::word)
    }
}

/// Against real control planes, where there are any.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lab_clusters_go_live_with_every_row() {
    let Ok(file) = std::env::var("QD_LAB_KUBECONFIG") else {
        eprintln!("skipped: QD_LAB_KUBECONFIG is not set");
        return;
    };
    install_crypto_provider();
    for target in load(&LoadOptions { kubeconfig: Some(file.into()), ..Default::default() }).unwrap() {
        let (name, pool, timing) = (target.name.clone(), ExecPool::default(), Timing::default());
        let (tx, mut rx) = mpsc::channel(256);
        let began = Instant::now();
        let source = ClusterSource { id: ClusterId(1), target: target.clone(), kinds: Kind::ALL.to_vec(), namespaces: None, budget: BudgetConfig::default(), pool: pool.clone(), timing };
        let handle = spawn_cluster(source, tx);
        let mut seen = Seen::default();
        seen.until(&mut rx, Duration::from_secs(10), "rows", |s| s.rows.values().any(|r| !r.is_empty())).await;
        eprintln!("{name}: first rows {:?}", began.elapsed());
        seen.until(&mut rx, Duration::from_secs(10), "live", |s| s.word() == "live").await;
        eprintln!("{name}: live {:?}, batches {}, {:?}", began.elapsed(), seen.batches, seen.log);
        let client = handle.reader().client().unwrap();
        for kind in Kind::ALL {
            let list = client.get_json(&kind.path(None)).await.unwrap();
            let n = list["items"].as_array().unwrap().len();
            eprintln!("{name}: {} {} of {n}, {:?}", kind.plural(), seen.rows.get(&kind).map_or(0, HashMap::len), seen.kinds.get(&kind));
            if !matches!(kind, Kind::Event) {
                assert_eq!(seen.rows.get(&kind).map_or(0, HashMap::len), n, "{}", kind.plural());
            }
        }
        let generation = seen.generation;
        handle.reconnect();
        seen.until(&mut rx, Duration::from_secs(10), "again", |s| s.generation > generation && s.word() == "live").await;
        seen.until(&mut rx, Duration::from_secs(10), "latency", |s| s.log.iter().any(|l| l.starts_with("latency"))).await;
        eprintln!("{name}: {:?}", seen.log);
    }
}
