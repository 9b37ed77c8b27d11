//! What can be wrong between a client and an API server, on demand.

use std::sync::{Mutex, MutexGuard, PoisonError};
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
    /// 429 with this Retry-After, in seconds; 0: without one.
    TooMany(u32),
    /// 500.
    Broken,
    /// Bodies break off after this many bytes.
    Truncated(usize),
    /// 429 by priority and fairness, with this Retry-After, in seconds; 0: without one.
    Throttled(u32),
    /// Every nth change is refused: somebody else was faster. Dry runs are no changes, here and below.
    Conflicts(u32),
    /// Every nth change is answered with 500, and not made.
    Flaky(u32),
    /// Changes of objects of this name are answered with 500, and not made.
    Fails(String),
    /// Changes are refused by a webhook with 429 and these words, and without a time to come back.
    Webhook(String),
    /// Changes are made with these words of warning.
    Warns(String),
    /// The next n changes are made, and the connection is cut before the answer.
    Cut(u32),
    /// The next n changes are made, and answered with 504.
    Late(u32),
    /// The next n changes are neither made nor answered; that ends with the fault.
    Stalled(u32),
    /// This verb on this resource or subresource is forbidden: `patch`, `deployments/scale`.
    Denied(String, String),
    /// The token is refused after this many more changes; the one that follows it is good.
    Expires(u32),
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
    pub throttled: Option<u32>,
    pub denied: Vec<(String, String)>,
}

/// What happens to changes.
#[derive(Default)]
struct Changes {
    seen: u32,
    conflicts: u32,
    flaky: u32,
    fails: Option<String>,
    webhook: Option<String>,
    warns: Option<String>,
    cut: u32,
    late: u32,
    stalled: u32,
    expires: Option<u32>,
}

/// What happens to one change.
#[derive(PartialEq, Eq, Debug)]
pub enum Trouble {
    None,
    Conflict,
    Broken,
    Webhook(String),
    Cut,
    Late,
    Stalled,
}

/// A cluster's faults, and how connections hear of a change.
pub struct Switch {
    state: watch::Sender<Faults>,
    /// Changes of the faults are made one at a time.
    turn: Mutex<()>,
    changes: Mutex<Changes>,
}

impl Default for Switch {
    fn default() -> Self {
        Self { state: watch::channel(Faults::default()).0, turn: Mutex::new(()), changes: Mutex::default() }
    }
}

impl Switch {
    pub fn now(&self) -> Faults {
        self.state.borrow().clone()
    }
    pub fn subscribe(&self) -> watch::Receiver<Faults> {
        self.state.subscribe()
    }
    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Whether the token is no longer good.
    pub fn expired(&self) -> bool {
        self.changes().expires == Some(0)
    }
    pub fn warning(&self) -> Option<String> {
        self.changes().warns.clone()
    }
    /// What happens to the change that has just come, of an object of this name.
    pub fn trouble(&self, name: &str) -> Trouble {
        let mut c = self.changes();
        c.seen += 1;
        if let Some(left) = &mut c.expires {
            *left = left.saturating_sub(1);
        }
        let nth = |every: u32| every > 0 && c.seen.is_multiple_of(every);
        let spend = |left: &mut u32| {
            let some = *left > 0;
            *left = left.saturating_sub(1);
            some
        };
        if nth(c.conflicts) {
            Trouble::Conflict
        } else if nth(c.flaky) || c.fails.as_deref() == Some(name) {
            Trouble::Broken
        } else if let Some(words) = &c.webhook {
            Trouble::Webhook(words.clone())
        } else if spend(&mut c.stalled) {
            Trouble::Stalled
        } else if spend(&mut c.cut) {
            Trouble::Cut
        } else if spend(&mut c.late) {
            Trouble::Late
        } else {
            Trouble::None
        }
    }
    /// Lets one fault be over, whatever else holds. What happens once is over by then.
    pub fn end(&self, fault: &Fault) {
        let _turn = self.turn.lock();
        {
            let mut c = self.changes();
            match fault {
                Fault::Conflicts(_) => c.conflicts = 0,
                Fault::Flaky(_) => c.flaky = 0,
                Fault::Fails(_) => c.fails = None,
                Fault::Webhook(_) => c.webhook = None,
                Fault::Warns(_) => c.warns = None,
                Fault::Cut(_) => c.cut = 0,
                Fault::Late(_) => c.late = 0,
                Fault::Stalled(_) => c.stalled = 0,
                Fault::Expires(_) => c.expires = None,
                _ => {}
            }
        }
        self.state.send_modify(|f| match fault {
            Fault::Hang => f.hang = false,
            Fault::Slow(_) => f.slow = 0,
            Fault::Refuse => f.refuse = false,
            Fault::Unauthorized => f.unauthorized = false,
            Fault::Forbidden(resource) => f.forbidden.retain(|r| r != resource),
            Fault::Throttled(_) => f.throttled = None,
            Fault::Denied(verb, resource) => f.denied.retain(|(v, r)| (v, r) != (verb, resource)),
            Fault::TooMany(_) => f.too_many = None,
            Fault::Broken => f.broken = false,
            Fault::Truncated(_) => f.truncated = None,
            _ => {}
        });
    }
    /// Lets a fault hold. [`Fault::Gone`] is the store's.
    pub fn set(&self, fault: &Fault) {
        let _turn = self.turn.lock();
        {
            let mut c = self.changes();
            match fault {
                Fault::Heal => *c = Changes::default(),
                Fault::Conflicts(every) => (c.conflicts, c.seen) = (*every, 0),
                Fault::Flaky(every) => (c.flaky, c.seen) = (*every, 0),
                Fault::Fails(name) => c.fails = Some(name.clone()),
                Fault::Webhook(words) => c.webhook = Some(words.clone()),
                Fault::Warns(words) => c.warns = Some(words.clone()),
                Fault::Cut(n) => c.cut = *n,
                Fault::Late(n) => c.late = *n,
                Fault::Stalled(n) => c.stalled = *n,
                Fault::Expires(n) => c.expires = Some(*n),
                _ => {}
            }
        }
        self.state.send_modify(|f| match fault {
            Fault::Heal => *f = Faults { cut: f.cut, ..Faults::default() },
            Fault::Hang => f.hang = true,
            Fault::Slow(ms) => f.slow = *ms,
            Fault::Drop => f.cut += 1,
            Fault::Refuse => (f.refuse, f.cut) = (true, f.cut + 1),
            Fault::Unauthorized => f.unauthorized = true,
            Fault::Forbidden(resource) => f.forbidden.push(resource.clone()),
            Fault::Throttled(after) => f.throttled = Some(*after),
            Fault::Denied(verb, resource) => f.denied.push((verb.clone(), resource.clone())),
            Fault::TooMany(after) => f.too_many = Some(*after),
            Fault::Broken => f.broken = true,
            Fault::Truncated(bytes) => f.truncated = Some(*bytes),
            // The store's, and those of the changes.
            _ => {}
        });
    }
}
