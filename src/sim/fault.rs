//! What can be wrong between a client and an API server, on demand.

use std::sync::Mutex;
use tokio::sync::watch;

/// A fault of one cluster's API server. Several hold at once; [`Fault::Heal`] ends all.
#[derive(Clone, PartialEq, Debug)]
pub enum Fault {
    Heal,
    /// Connections are taken and nothing is ever answered; those that are open stall.
    Hang,
    /// Every answer comes this many milliseconds late.
    Slow(u64),
    /// Open connections are cut, once.
    Drop,
    /// Nobody listens, and open connections are cut.
    Refuse,
    /// Every token is refused.
    Unauthorized,
    /// Lists, watches and reads of this resource (`nodes`) are forbidden.
    Forbidden(String),
    /// Open watches end with 410 and the log is forgotten, once.
    Gone,
    /// 429 with this Retry-After, in seconds.
    TooMany(u32),
    /// 500.
    Broken,
    /// Bodies break off after this many bytes.
    Truncated(usize),
}

/// What holds now.
#[derive(Clone, Default, Debug)]
pub struct Faults {
    pub hang: bool,
    pub refuse: bool,
    pub slow: u64,
    /// Connections made before this generation are cut.
    pub cut: u64,
    pub unauthorized: bool,
    pub forbidden: Vec<String>,
    pub too_many: Option<u32>,
    pub broken: bool,
    pub truncated: Option<usize>,
}

/// A cluster's faults, and how connections hear of a change.
pub struct Switch {
    state: watch::Sender<Faults>,
    /// Changes are made one at a time.
    turn: Mutex<()>,
}

impl Default for Switch {
    fn default() -> Self {
        Self { state: watch::channel(Faults::default()).0, turn: Mutex::new(()) }
    }
}

impl Switch {
    pub fn now(&self) -> Faults {
        self.state.borrow().clone()
    }
    pub fn subscribe(&self) -> watch::Receiver<Faults> {
        self.state.subscribe()
    }
    /// Lets a fault hold. [`Fault::Gone`] is the store's.
    pub fn set(&self, fault: &Fault) {
        let _turn = self.turn.lock();
        self.state.send_modify(|f| match fault {
            Fault::Heal => *f = Faults { cut: f.cut, ..Faults::default() },
            Fault::Hang => f.hang = true,
            Fault::Slow(ms) => f.slow = *ms,
            Fault::Drop => f.cut += 1,
            Fault::Refuse => (f.refuse, f.cut) = (true, f.cut + 1),
            Fault::Unauthorized => f.unauthorized = true,
            Fault::Forbidden(resource) => f.forbidden.push(resource.clone()),
            Fault::Gone => {}
            Fault::TooMany(after) => f.too_many = Some(*after),
            Fault::Broken => f.broken = true,
            Fault::Truncated(bytes) => f.truncated = Some(*bytes),
        });
    }
}
