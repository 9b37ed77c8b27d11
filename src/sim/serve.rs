//! Sockets, TLS and connections of one simulated API server, the faults on that way, and the task that moves its time.

use super::fault::{Fault, Faults, Switch};
use super::store::State;
use super::{api, control};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;

/// One simulated cluster.
pub struct Cluster {
    pub name: String,
    pub admin: String,
    pub viewer: String,
    /// Milliseconds that its clock is before the system's.
    ahead: i64,
    pub switch: Switch,
    state: Mutex<State>,
    /// Timers or work may be new.
    poke: Notify,
    witness: Mutex<Option<Witness>>,
    /// Method and path of each request, where somebody listens.
    heard: Mutex<Option<BTreeSet<(String, String)>>>,
    /// The sockets of etcd's members, by their ids.
    members: Mutex<HashMap<u64, Switch>>,
}

/// What begins at sockets, and what ends: the API server's, and those of etcd's members.
#[derive(Default)]
struct Outages {
    api: Vec<(Fault, bool)>,
    members: Vec<(u64, Fault, bool)>,
}

impl Outages {
    fn of(s: &mut State) -> Self {
        Self { api: std::mem::take(&mut s.world.outages), members: std::mem::take(&mut s.etcd.troubles) }
    }
}

/// A request that would change something, as it came in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    pub method: String,
    pub path: String,
    pub dry_run: bool,
    pub audit_id: Option<String>,
}

/// Who is told of every such request before it is looked at.
pub type Witness = Arc<dyn Fn(&Written) + Send + Sync>;

/// The system's clock, unix milliseconds.
fn millis() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

impl Cluster {
    pub fn new(state: State, ahead: i64, admin: String, viewer: String) -> Arc<Self> {
        Arc::new(Self {
            name: state.name.clone(),
            admin,
            viewer,
            ahead,
            switch: Switch::default(),
            state: Mutex::new(state),
            poke: Notify::new(),
            witness: Mutex::default(),
            heard: Mutex::default(),
            members: Mutex::default(),
        })
    }

    /// Its clock, unix milliseconds.
    pub fn millis(&self) -> i64 {
        millis() + self.ahead
    }

    /// The administrator's next token.
    pub fn renewed(&self) -> String {
        format!("{}.renewed", self.admin)
    }

    /// The state, to be read. A panic elsewhere does not make it unreadable.
    pub fn read(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, at today's clock; what follows at once has followed when this returns.
    pub fn change<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        let (out, outages) = {
            let mut s = self.read();
            s.clock = s.clock.max(self.millis());
            let out = f(&mut s);
            control::settle(&mut s);
            (out, Outages::of(&mut s))
        };
        self.troubled(&outages);
        self.poke.notify_one();
        out
    }

    /// Asks or changes etcd, at today's clock. Nothing else follows from it.
    pub fn etcd<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        let (out, outages) = {
            let mut s = self.read();
            s.clock = s.clock.max(self.millis());
            let now = s.now();
            s.etcd.advance(now);
            (f(&mut s), Outages::of(&mut s))
        };
        self.troubled(&outages);
        out
    }

    /// The faults of a member's socket, which is new.
    pub fn member(&self, id: u64) -> watch::Receiver<Faults> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.entry(id).or_default().subscribe()
    }

    /// Who is told of changes from now on.
    pub fn witness(&self, witness: Option<Witness>) {
        *self.witness.lock().unwrap_or_else(PoisonError::into_inner) = witness;
    }

    /// Tells of a change that has come in.
    pub fn tell(&self, written: &Written) {
        let witness = self.witness.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(witness) = witness {
            witness(written);
        }
    }

    /// Notes a request.
    pub fn hear(&self, method: &str, path: &str) {
        if let Some(heard) = &mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner) {
            heard.insert((method.to_owned(), path.to_owned()));
        }
    }

    /// What was heard since the last call; from now on requests are noted.
    pub fn heard(&self) -> BTreeSet<(String, String)> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).replace(BTreeSet::new()).unwrap_or_default()
    }

    /// Lets faults begin and end.
    fn troubled(&self, outages: &Outages) {
        for (fault, begins) in &outages.api {
            if *begins { self.fault(fault) } else { self.switch.end(fault) }
        }
        for (id, fault, begins) in &outages.members {
            if let Some(switch) = self.members.lock().unwrap_or_else(PoisonError::into_inner).get(id) {
                if *begins { switch.set(fault) } else { switch.end(fault) }
            }
        }
    }

    /// Lets a fault hold.
    pub fn fault(&self, fault: &Fault) {
        if *fault == Fault::Gone {
            self.read().compact();
        }
        self.switch.set(fault);
    }

    /// Makes the protobuf of everything there is, so that a first list need not. From the end: a list comes from the other side.
    fn encode(&self) {
        for res in 0..super::register::REGISTER.len() {
            let all: Vec<_> = self.read().tables[res].objects.values().cloned().collect();
            for object in all.iter().rev() {
                object.proto(res);
            }
        }
    }

    /// Moves the cluster's time on, from timer to timer.
    async fn live(self: Arc<Self>) {
        loop {
            let next = {
                let mut s = self.read();
                control::run(&mut s, self.millis());
                let outages = Outages::of(&mut s);
                let next = s.timers.peek().map(|t| t.0.0);
                drop(s);
                self.troubled(&outages);
                next
            };
            let wait = next.map_or(3_600_000, |at| (at - self.millis()).max(1));
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(wait.unsigned_abs())) => {}
                () = self.poke.notified() => {}
            }
        }
    }
}

/// Opens the cluster's socket and serves it until the runtime ends. May be called within another runtime.
///
/// # Errors
/// When there is no socket to be had.
pub fn listen(runtime: &tokio::runtime::Runtime, cluster: Arc<Cluster>, tls: Arc<rustls::ServerConfig>) -> std::io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let _inside = runtime.enter();
    let listener = TcpListener::from_std(listener)?;
    runtime.spawn(cluster.clone().live());
    let warm = cluster.clone();
    runtime.spawn_blocking(move || warm.encode());
    let (faults, tls) = (cluster.switch.subscribe(), TlsAcceptor::from(tls));
    runtime.spawn(accept(faults, listener, address, move |stream| connection(cluster.clone(), stream, tls.clone())));
    Ok(address)
}

/// Takes connections and serves each by `serve`, as the faults let it; until nobody can change these any more.
pub async fn accept<F>(
    mut faults: watch::Receiver<Faults>,
    first: TcpListener,
    address: SocketAddr,
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut listener = Some(first);
    loop {
        if faults.borrow_and_update().refuse {
            listener = None;
            if faults.changed().await.is_err() {
                return;
            }
            continue;
        }
        let Some(open) = &listener else {
            match TcpListener::bind(address).await {
                Ok(new) => listener = Some(new),
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
            continue;
        };
        tokio::select! {
            accepted = open.accept() => {
                if let Ok((stream, _)) = accepted {
                    tokio::spawn(held(faults.clone(), serve(stream)));
                }
            }
            changed = faults.changed() => if changed.is_err() { return },
        }
    }
}

/// Serves one connection; stops for as long as the server hangs, ends when it is cut.
async fn held(mut faults: watch::Receiver<Faults>, serve: impl Future<Output = ()>) {
    let born = faults.borrow().cut;
    tokio::pin!(serve);
    loop {
        let (hang, cut) = {
            let f = faults.borrow_and_update();
            (f.hang, f.cut)
        };
        if cut != born {
            return;
        }
        tokio::select! {
            () = &mut serve, if !hang => return,
            changed = faults.changed() => if changed.is_err() { return },
        }
    }
}

async fn connection(cluster: Arc<Cluster>, stream: TcpStream, tls: TlsAcceptor) {
    // Small answers go at once.
    let _ = stream.set_nodelay(true);
    let Ok(stream) = tls.accept(stream).await else { return };
    let service = service_fn(|request| {
        let cluster = cluster.clone();
        async move { api::handle(cluster, request).await }
    });
    // A client that goes away is no error of ours.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// The system's clock, unix seconds.
pub fn seconds() -> i64 {
    millis().div_euclid(1000)
}
